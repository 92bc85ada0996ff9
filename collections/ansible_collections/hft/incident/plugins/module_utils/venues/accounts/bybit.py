# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Bybit's keys, withdrawals and addresses (bybit-exchange.github.io/docs/v5: /user, /asset/withdraw).

The main account's key manages those of its sub-accounts; its own siblings no API lists. A key with "Wallet" rights on
the main account may manage keys. Logins have no API.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal
from urllib.parse import quote

from ...secret_ref import Secret
from .. import schema
from ..api import Call, Credentials
from ..errors import MalformedReply, Rejected
from ..parts import in_lanes
from ..schema import Row
from .api import Account, Address, ApiKey, NewKey, NotOffered, Withdrawal, iso_ms

MAX_PAGES = 200
#: "The interval between startTime and endTime must be less than 30 days" (/docs/v5/asset/withdraw/withdraw-record).
WINDOW_MS = 29 * 24 * 3600 * 1000
EVERYWHERE = "*"

TRADE = {
    "ContractTrade": ["Order", "Position"],
    "Spot": ["SpotTrade"],
    "Options": ["OptionsTrade"],
}
TRANSFER = {"Wallet": ["AccountTransfer", "SubMemberTransferList"]}
#: The venue's words → ours; a word that is not here is kept as "other:<word>".
PERMISSIONS: Mapping[str, str] = {
    "Order": "trade",
    "Position": "trade",
    "SpotTrade": "trade",
    "OptionsTrade": "trade",
    "DerivativesTrade": "trade",
    "CopyTrading": "trade",
    "BlockTrade": "trade",
    "ExchangeHistory": "trade",  # converts coins
    "AccountTransfer": "transfer",
    "SubMemberTransfer": "transfer",
    "SubMemberTransferList": "transfer",
    "Withdraw": "withdraw",
}
STATES: Mapping[str, Literal["done", "cancelled", "failed"]] = {
    "success": "done",
    "BlockchainConfirmed": "done",
    "CancelByUser": "cancelled",
    "Reject": "failed",
    "Fail": "failed",
}


class BybitAccount(Account):
    driver = "bybit"
    manages_keys = True
    keys_not_listed = "the main account's own keys, other than the one that asks"
    steps_to_create = (
        "Log in to bybit.com, Account > API (of the sub-account, where the key is its own), 'Create New Key'.",
        "System-generated key, name '{label}', permissions: {permissions}; only these addresses: {ips}.",
        "Put key and secret where the venues file points to.",
    )
    steps_to_revoke = (
        "Log in to bybit.com, Account > API (of the sub-account, where the key is its own).",
        "Delete the key {key_id} ('{label}') and confirm.",
    )
    steps_to_freeze_withdrawals = (
        "Log in to bybit.com, Assets > Withdrawal history: cancel each one that is pending.",
        "Account & Security: turn the withdrawal address allow-list on, and have support lock withdrawals.",
    )
    steps_to_look: ClassVar = {
        "keys": ("Log in to bybit.com, Account > API: compare the main account's keys with the approved ones.",),
        "logins": ("Log in to bybit.com, Account & Security > Account activity: look for logins that are not ours.",),
    }

    OWN_KEY = Call("GET", "/v5/user/query-api")
    SUB_ACCOUNTS = Call("GET", "/v5/user/submembers", {"pageSize": 100})
    KEYS = Call("GET", "/v5/user/sub-apikeys", {"limit": 20})
    CREATE = Call("POST", "/v5/user/create-sub-api")
    DELETE = Call("POST", "/v5/user/delete-sub-api")
    WITHDRAWALS = Call("GET", "/v5/asset/withdraw/query-record", {"withdrawType": 2, "limit": 50})
    CANCEL_WITHDRAWAL = Call("POST", "/v5/asset/withdraw/cancel")
    ADDRESSES = Call("GET", "/v5/asset/withdraw/query-address", {"addressType": 2, "limit": 50})

    def own_key(self) -> ApiKey:
        where = self.OWN_KEY.name
        row = schema.as_object(self.venue.ask(self.OWN_KEY), where)
        key = _key(row, where)
        main = schema.boolean(row, "isMaster", where)
        permissions = key.permissions or frozenset()
        if main and permissions & {"transfer", "withdraw"}:
            permissions |= {"manage_keys"}
        return key._replace(permissions=permissions, owner="" if main else schema.text(row, "userID", where))

    def keys(self) -> list[ApiKey]:
        """Those of every sub-account, and the one that asks."""
        owners = self._sub_accounts()
        listings = in_lanes([partial(self._keys_of, owner) for owner in owners])
        found = [key for keys in listings for key in keys]
        own = self.own_key()
        return found if own.id in {key.id for key in found} else [own, *found]

    def create_key(self, label: str, permissions: Collection[str], ips: Sequence[str]) -> NewKey:
        wanted = self._for_sub_account(permissions)
        call = self.CREATE.given(
            subuid=int(self.sub_account),
            note=label,
            readOnly=0 if wanted & {"trade", "transfer"} else 1,
            ips=",".join(ips) or EVERYWHERE,
            permissions={
                **(TRADE if "trade" in wanted or wanted <= {"read"} else {}),
                **(TRANSFER if "transfer" in wanted else {}),
            },
        )
        row = schema.as_object(self.venue.ask(call), call.name)
        # The reply has no addresses: what they are is for whoever verifies the key to read.
        facts = _key({**row, "ips": [EVERYWHERE]}, call.name)._replace(ip_allow_list=None, owner=self.sub_account)
        return NewKey(facts, Credentials(Secret(facts.id), Secret(schema.text(row, "secret", call.name))))

    def delete_key(self, key: ApiKey) -> None:
        try:
            self.venue.ask(self.DELETE.given(apikey=key.id))
        except Rejected:
            if key.id in {listed.id for listed in self.keys()}:
                raise

    def withdrawals(self, since_ms: int) -> list[Withdrawal]:
        # The last window ends ahead of any difference between the clocks, and there is always one.
        starts = range(since_ms, max(self.venue.now_ms(), since_ms) + 1, WINDOW_MS)
        calls = [self.WITHDRAWALS.given(startTime=start, endTime=start + WINDOW_MS) for start in starts]
        listings = in_lanes([partial(self._rows, call) for call in calls])
        found = {w.id: w for rows in listings for w in (_withdrawal(row, self.WITHDRAWALS.name) for row in rows)}
        return sorted(found.values(), key=lambda withdrawal: withdrawal.at_ms)

    def cancel_withdrawal(self, withdrawal: Withdrawal) -> None:
        call = self.CANCEL_WITHDRAWAL.given(id=withdrawal.id)
        reply = schema.as_object(self.venue.ask(call), call.name)
        if schema.integer(reply, "status", call.name) != 1:
            raise Rejected(f"{call.name}: the venue reports no success")

    def addresses(self) -> list[Address]:
        where = self.ADDRESSES.name
        return [
            Address(
                asset=schema.text(row, "coin", where),
                address=schema.text(row, "address", where),
                label=str(row.get("remark", "")),
                trusted=schema.integer(row, "verified", where) == 1,
                added_ms=schema.integer(row, "createdAt", where) * 1000,
            )
            for row in self._rows(self.ADDRESSES)
        ]

    def _for_sub_account(self, permissions: Collection[str]) -> set[str]:
        """The rights as asked for; raises NotOffered where only a person can give them."""
        wanted = set(permissions)
        if wanted - {"read", "trade", "transfer"}:
            raise NotOffered(f"bybit has no API to create a key with: {', '.join(sorted(wanted))}")
        if not self.sub_account.isdigit():
            raise NotOffered(
                "bybit creates keys of sub-accounts only; write the sub-account's UID as sub_account in the venues file"
            )
        return wanted

    def _sub_accounts(self) -> list[str]:
        where = self.SUB_ACCOUNTS.name
        found: dict[str, None] = {}
        page = self.SUB_ACCOUNTS
        for _page in range(MAX_PAGES):
            reply = schema.as_object(self.venue.ask(page), where)
            uids = [schema.text(row, "uid", where) for row in schema.rows_at(reply, "subMembers", where)]
            cursor = schema.text(reply, "nextCursor", where)
            if cursor != "0" and not uids:
                raise MalformedReply(f"{where}: more sub-accounts are promised and none follow")
            found.update(dict.fromkeys(uids))
            if cursor == "0":
                return list(found)
            page = self.SUB_ACCOUNTS.given(nextCursor=quote(cursor, safe="%"))
        raise MalformedReply(f"{where}: more than {MAX_PAGES} pages")

    def _keys_of(self, owner: str) -> list[ApiKey]:
        call = self.KEYS.given(subMemberId=owner)
        return [_key(row, call.name)._replace(owner=owner) for row in self._rows(call)]

    def _rows(self, call: Call) -> list[Row]:
        """Every row of every page; the venue calls the list "rows" here, "result" there."""
        name = "result" if call.path == self.KEYS.path else "rows"
        found: list[Row] = []
        seen: set[str] = set()
        page = call
        while len(seen) < MAX_PAGES:
            reply = schema.as_object(self.venue.ask(page), call.name)
            rows = schema.rows_at(reply, name, call.name)
            found += rows
            cursor = schema.member(reply, "nextPageCursor", call.name)
            if not isinstance(cursor, str):
                raise MalformedReply(f"{call.name}: 'nextPageCursor' is not text")
            # The venue may hand out a cursor with the last page; the page after it is empty then.
            if not cursor or (seen and not rows):
                return found
            if cursor in seen:
                raise MalformedReply(f"{call.name}: the same page comes again")
            seen.add(cursor)
            page = call.given(cursor=quote(cursor, safe="%"))
        raise MalformedReply(f"{call.name}: more than {MAX_PAGES} pages")


def _key(row: Row, where: str) -> ApiKey:
    read_only = schema.member(row, "readOnly", where)
    if read_only not in (0, 1):  # true and false, too
        raise MalformedReply(f"{where}: 'readOnly' is neither 0 nor 1")
    ips = [str(ip) for ip in schema.as_list(schema.member(row, "ips", where), where)]
    created = row.get("createdAt")
    return ApiKey(
        id=schema.text(row, "apiKey", where),
        label=str(row.get("note", "")),
        permissions=_permissions(schema.object_at(row, "permissions", where), bool(read_only), where),
        ip_allow_list=() if EVERYWHERE in ips else tuple(ips),
        enabled=row.get("status") != 2,  # "expired"
        created_ms=None if created is None else iso_ms(created, where),
    )


def _permissions(groups: Row, read_only: bool, where: str) -> frozenset[str]:
    words = [str(word) for group in groups.values() for word in schema.as_list(group, where)]
    found = {PERMISSIONS.get(word, f"other:{word}") for word in words}
    return frozenset({"read"} if read_only else {"read"} | found)


def _withdrawal(row: Row, where: str) -> Withdrawal:
    """A state that is not known is one that may still be stopped."""
    return Withdrawal(
        id=schema.text(row, "withdrawId", where),
        asset=schema.text(row, "coin", where),
        amount=schema.decimal(row, "amount", where),
        address=schema.text(row, "toAddress", where),
        state=STATES.get(schema.text(row, "status", where), "pending"),
        at_ms=schema.integer(row, "createTime", where),
    )
