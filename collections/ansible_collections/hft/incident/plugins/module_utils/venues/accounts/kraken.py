# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Kraken's own key, withdrawals and addresses (docs.kraken.com/api-reference: account-data, funding).

Keys are made and deleted on the website.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar, Literal

from .. import schema
from ..api import Call
from ..errors import MalformedReply, Rejected
from ..schema import Row
from .api import Account, Address, ApiKey, Withdrawal

PAGE = 100
MAX_PAGES = 200
#: Words that begin so only read.
READS = ("query-", "export-", "access-")
PERMISSIONS: Mapping[str, str] = {
    "modify-trades": "trade",
    "close-trades": "trade",
    "withdraw-funds": "withdraw",
    "deposit-funds": "read",  # shows the addresses to pay in to
}
STATES: Mapping[str, Literal["done", "failed"]] = {"Success": "done", "Failure": "failed"}


class KrakenAccount(Account):
    driver = "kraken"
    steps_to_create = (
        "Log in to kraken.com, Settings > API > 'Create API key', name '{label}'.",
        "Permissions for: {permissions} (never 'Withdraw' unless it is named); IP allow-list: {ips}.",
        "Put key and private key where the venues file points to.",
    )
    steps_to_revoke = (
        "Log in to kraken.com, Settings > API.",
        "Delete the key {key_id} ('{label}') and confirm.",
    )
    steps_to_freeze_withdrawals = (
        "Log in to kraken.com, Portfolio > History > Withdrawals: cancel each one that is pending.",
        "Settings > Security: turn the global settings lock on, and have support lock withdrawals.",
    )
    steps_to_look: ClassVar = {
        "keys": ("Log in to kraken.com, Settings > API: compare the keys with the approved ones.",),
        "logins": ("Log in to kraken.com, Settings > Security > 'Sessions', 'Activity': look for what is not ours.",),
    }

    OWN_KEY = Call("POST", "/0/private/GetApiKeyInfo")
    WITHDRAWALS = Call("POST", "/0/private/WithdrawStatus", {"limit": PAGE})
    CANCEL_WITHDRAWAL = Call("POST", "/0/private/WithdrawCancel")
    ADDRESSES = Call("POST", "/0/private/WithdrawAddresses")

    def own_key(self) -> ApiKey:
        where = self.OWN_KEY.name
        row = schema.as_object(self.venue.ask(self.OWN_KEY), where)
        words = [str(word) for word in schema.as_list(schema.member(row, "permissions", where), where)]
        return ApiKey(
            id=schema.text(row, "apiKey", where),
            label=str(row.get("apiKeyName", "")),
            permissions=frozenset(map(_permission, words)),
            ip_allow_list=tuple(map(str, schema.as_list(schema.member(row, "ipAllowlist", where), where))),
            created_ms=schema.integer(row, "createdTime", where) * 1000,
        )

    def withdrawals(self, since_ms: int) -> list[Withdrawal]:
        """The newest first, a page at a time."""
        call = self.WITHDRAWALS.given(start=str(since_ms // 1000))
        found: dict[str, Withdrawal] = {}
        seen: set[str] = set()
        cursor = "true"
        for _page in range(MAX_PAGES):
            reply = schema.as_object(self.venue.ask(call.given(cursor=cursor)), call.name)
            rows = schema.rows_at(reply, "withdrawals", call.name)
            found.update((w.id, w) for w in (_withdrawal(row, call.name) for row in rows))
            following = reply.get("next_cursor")
            if following is None or following == "":
                # What may still be stopped is told whenever it was asked for, also where its time is nonsense.
                recent = (w for w in found.values() if w.state == "pending" or w.at_ms >= since_ms // 1000 * 1000)
                return sorted(recent, key=lambda withdrawal: withdrawal.at_ms)
            cursor = schema.text(reply, "next_cursor", call.name)
            if cursor in seen:
                raise MalformedReply(f"{call.name}: the same page comes again")
            seen.add(cursor)
        raise MalformedReply(f"{call.name}: more than {MAX_PAGES} pages")

    def cancel_withdrawal(self, withdrawal: Withdrawal) -> None:
        call = self.CANCEL_WITHDRAWAL.given(asset=withdrawal.asset, refid=withdrawal.id)
        if self.venue.ask(call) is not True:
            raise Rejected(f"{call.name}: the venue reports no success")

    def addresses(self) -> list[Address]:
        where = self.ADDRESSES.name
        return [
            Address(
                asset=schema.text(row, "asset", where),
                address=schema.text(row, "address", where),
                label=str(row.get("key", "")),
                trusted=schema.boolean(row, "verified", where),
            )
            for row in schema.rows(self.venue.ask(self.ADDRESSES), where)
        ]


def _permission(word: str) -> str:
    return "read" if word.startswith(READS) else PERMISSIONS.get(word, f"other:{word}")


def _withdrawal(row: Row, where: str) -> Withdrawal:
    """A state that is not known is one that may still be stopped; that it was stopped stands beside its state."""
    status = schema.text(row, "status", where)
    cancelled = row.get("status-prop") == "canceled"
    return Withdrawal(
        id=schema.text(row, "refid", where),
        asset=schema.text(row, "asset", where),
        amount=schema.decimal(row, "amount", where),
        address=schema.text(row, "info", where),
        state="cancelled" if cancelled else STATES.get(status, "pending"),
        at_ms=int(schema.decimal(row, "time", where) * Decimal(1000)),
    )
