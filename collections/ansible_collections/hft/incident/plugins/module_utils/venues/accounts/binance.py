# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Binance's own key, withdrawals and addresses (developers.binance.com/docs/wallet: account, capital).

Keys of an ordinary account are made and deleted on the website; so are withdrawals stopped. The venue says whether a
key is bound to addresses, not to which.
"""

from __future__ import annotations

import time
from calendar import timegm
from collections.abc import Mapping
from functools import partial
from typing import ClassVar, Literal

from .. import schema
from ..api import Call
from ..errors import MalformedReply
from ..parts import in_lanes
from ..schema import Row
from .api import Account, Address, ApiKey, Withdrawal

PAGE = 1000
MAX_PAGES = 100
#: "The time between startTime and endTime must be less than 90 days".
WINDOW_MS = 89 * 24 * 3600 * 1000
PERMISSIONS: Mapping[str, str] = {
    "enableReading": "read",
    "enableFixReadOnly": "read",
    "enableSpotAndMarginTrading": "trade",
    "enableMargin": "trade",
    "enableFutures": "trade",
    "enableVanillaOptions": "trade",
    "enablePortfolioMarginTrading": "trade",
    "enableFixApiTrade": "trade",
    "enableWithdrawals": "withdraw",
    "enableInternalTransfer": "transfer",
    "permitsUniversalTransfer": "transfer",
}
STATES: Mapping[int, Literal["done", "cancelled", "failed"]] = {1: "cancelled", 3: "failed", 5: "failed", 6: "done"}


class BinanceAccount(Account):
    driver = "binance"
    steps_to_create = (
        "Log in to binance.com, profile > API Management > 'Create API' (system generated), label '{label}'.",
        "Edit restrictions: {permissions} (never 'Enable Withdrawals'), 'Restrict access to trusted IPs': {ips}.",
        "Put key and secret where the venues file points to.",
    )
    steps_to_revoke = (
        "Log in to binance.com, profile > API Management.",
        "Delete the key {key_id} ('{label}') and confirm.",
    )
    steps_to_freeze_withdrawals = (
        "Log in to binance.com, Wallet > Transaction History > Withdraw: cancel each one that is not completed.",
        "Profile > Security > 'Manage account' > 'Disable account' stops withdrawals (and trading) at once.",
    )
    steps_to_look: ClassVar = {
        "keys": ("Log in to binance.com, profile > API Management: compare the keys with the approved ones.",),
        "logins": ("Log in to binance.com, profile > Security > 'Account activity': look for what is not ours.",),
    }

    OWN_KEY = Call("GET", "/sapi/v1/account/apiRestrictions")
    WITHDRAWALS = Call("GET", "/sapi/v1/capital/withdraw/history", {"limit": PAGE})
    ADDRESSES = Call("GET", "/sapi/v1/capital/withdraw/address/list")

    def own_key(self) -> ApiKey:
        where = self.OWN_KEY.name
        row = schema.as_object(self.venue.ask(self.OWN_KEY), where)
        restricted = schema.boolean(row, "ipRestrict", where)
        schema.boolean(row, "enableWithdrawals", where)  # the right that matters most is never missing
        rights = [name for name, given in row.items() if given is True and name != "ipRestrict"]
        return ApiKey(
            id=self.venue.key,
            permissions=frozenset(PERMISSIONS.get(name, f"other:{name}") for name in rights),
            ip_allow_list=None if restricted else (),
            created_ms=schema.integer(row, "createTime", where),
        )

    def withdrawals(self, since_ms: int) -> list[Withdrawal]:
        # The last window ends ahead of any difference between the clocks, and there is always one.
        starts = range(since_ms, max(self.venue.now_ms(), since_ms) + 1, WINDOW_MS)
        calls = [self.WITHDRAWALS.given(startTime=start, endTime=start + WINDOW_MS) for start in starts]
        found: dict[str, Withdrawal] = {}
        for page in in_lanes([partial(self._withdrawals, call) for call in calls]):
            found.update(page)
        return sorted(found.values(), key=lambda withdrawal: withdrawal.at_ms)

    def addresses(self) -> list[Address]:
        where = self.ADDRESSES.name
        return [
            Address(
                asset=schema.text(row, "coin", where),
                address=schema.text(row, "address", where),
                label=str(row.get("name", "")),
                trusted=schema.boolean(row, "whiteStatus", where),
            )
            for row in schema.rows(self.venue.ask(self.ADDRESSES), where)
        ]

    def _withdrawals(self, call: Call) -> dict[str, Withdrawal]:
        found: dict[str, Withdrawal] = {}
        for page in range(MAX_PAGES):
            rows = schema.rows(self.venue.ask(call.given(offset=page * PAGE)), call.name)
            new = {withdrawal.id: withdrawal for withdrawal in (_withdrawal(row, call.name) for row in rows)}
            if found and new and not new.keys() - found.keys():
                raise MalformedReply(f"{call.name}: the same page comes again")
            found.update(new)
            if len(rows) < PAGE:
                return found
        raise MalformedReply(f"{call.name}: more than {MAX_PAGES} pages")


def _withdrawal(row: Row, where: str) -> Withdrawal:
    """A state that is not known is one that may still be stopped."""
    try:
        applied = timegm(time.strptime(schema.text(row, "applyTime", where), "%Y-%m-%d %H:%M:%S"))
    except ValueError:
        raise MalformedReply(f"{where}: 'applyTime' is no time") from None
    return Withdrawal(
        id=schema.text(row, "id", where),
        asset=schema.text(row, "coin", where),
        amount=schema.decimal(row, "amount", where),
        address=schema.text(row, "address", where),
        state=STATES.get(schema.integer(row, "status", where), "pending"),
        at_ms=applied * 1000,
    )
