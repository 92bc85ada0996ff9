# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""OKX's keys and withdrawals (okx.com/docs-v5/en: trading-account, funding-account, sub-account).

The main account's key manages those of its sub-accounts, and must itself be bound to addresses to do so; its own
siblings no API lists. The address book and logins have no API.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal

from ...secret_ref import Secret
from .. import schema
from ..api import Call, Credentials
from ..errors import MalformedReply, Rejected
from ..parts import in_lanes
from ..schema import Row
from .api import Account, ApiKey, NewKey, NotOffered, Withdrawal

PAGE = 100
MAX_PAGES = 200
PERMISSIONS: Mapping[str, str] = {"read_only": "read", "trade": "trade", "withdraw": "withdraw"}
MAIN_ACCOUNT = "0"
#: Every other state is one on the way (#funding-account-rest-api-get-withdrawal-history).
STATES: Mapping[str, Literal["done", "cancelled", "failed"]] = {"2": "done", "-2": "cancelled", "-1": "failed"}
#: "8 to 32 characters containing at least 1 number, 1 uppercase letter, 1 lowercase letter and 1 special character".
PASSPHRASE_TAIL = "aA1!"  # noqa: S105  # what makes a random one fit that rule


class OkxAccount(Account):
    driver = "okx"
    manages_keys = True
    keys_not_listed = "the main account's own keys, other than the one that asks"
    label_length = 50
    label_extra = ""
    steps_to_create = (
        "Log in to okx.com, profile > API (of the sub-account, where the key is its own), 'Create API key'.",
        "Purpose 'API trading', name '{label}', permissions: {permissions}; IP addresses: {ips}.",
        "Put key, secret and passphrase where the venues file points to.",
    )
    steps_to_revoke = (
        "Log in to okx.com, profile > API (of the sub-account, where the key is its own).",
        "Delete the key {key_id} ('{label}') and confirm.",
    )
    steps_to_freeze_withdrawals = (
        "Log in to okx.com, Assets > Order history > Withdrawals: cancel each one that is pending.",
        "Profile > Security: freeze the account, or have support stop withdrawals.",
    )
    steps_to_look: ClassVar = {
        "keys": ("Log in to okx.com, profile > API: compare the main account's keys with the approved ones.",),
        "addresses": ("Log in to okx.com, Assets > Withdraw > Address book: look for addresses that are not ours.",),
        "logins": ("Log in to okx.com, profile > Security > Account activity: look for logins that are not ours.",),
    }

    OWN_KEY = Call("GET", "/api/v5/account/config")
    SUB_ACCOUNTS = Call("GET", "/api/v5/users/subaccount/list", {"limit": PAGE})
    KEYS = Call("GET", "/api/v5/users/subaccount/apikey")
    CREATE = Call("POST", "/api/v5/users/subaccount/apikey")
    DELETE = Call("POST", "/api/v5/users/subaccount/delete-apikey")
    WITHDRAWALS = Call("GET", "/api/v5/asset/withdrawal-history", {"limit": PAGE})
    CANCEL_WITHDRAWAL = Call("POST", "/api/v5/asset/cancel-withdrawal")

    def own_key(self) -> ApiKey:
        where = self.OWN_KEY.name
        row = self._one(self.OWN_KEY)
        permissions = _permissions(row, where)
        main = schema.text(row, "type", where) == MAIN_ACCOUNT
        return ApiKey(
            id=self.venue.key,
            label=str(row.get("label", "")),
            permissions=permissions | {"manage_keys"} if main and "trade" in permissions else permissions,
            ip_allow_list=_addresses(row, where),
            owner="" if main else schema.text(row, "uid", where),
        )

    def keys(self) -> list[ApiKey]:
        """Those of every sub-account, and the one that asks."""
        rows = self._rows_by_time(self.SUB_ACCOUNTS, "subAcct", 0)
        owners = [schema.text(row, "subAcct", self.SUB_ACCOUNTS.name) for row in rows]
        listings = in_lanes([partial(self._keys_of, owner) for owner in owners])
        found = [key for keys in listings for key in keys]
        own = self.own_key()
        return found if own.id in {key.id for key in found} else [own, *found]

    def create_key(self, label: str, permissions: Collection[str], ips: Sequence[str]) -> NewKey:
        wanted = set(permissions)
        if wanted - {"read", "trade"}:
            raise NotOffered(f"okx has no API to create a key with: {', '.join(sorted(wanted))}")
        if not self.sub_account:
            raise NotOffered(
                "okx creates keys of sub-accounts only; write the sub-account's name as sub_account in the venues file"
            )
        passphrase = (
            "".join(secrets.choice(string.ascii_letters + string.digits) for _place in range(24)) + PASSPHRASE_TAIL
        )
        call = self.CREATE.given(
            subAcct=self.sub_account,
            label=label,
            passphrase=passphrase,
            perm=",".join(word for word, ours in PERMISSIONS.items() if ours in wanted),
            **({"ip": ",".join(ips)} if ips else {}),
        )
        row = self._one(call)
        facts = _key(row, call.name)._replace(owner=self.sub_account)
        secret = Secret(schema.text(row, "secretKey", call.name))
        return NewKey(facts, Credentials(Secret(facts.id), secret, Secret(passphrase)))

    def delete_key(self, key: ApiKey) -> None:
        owner = key.owner or self.sub_account
        try:
            self.venue.ask(self.DELETE.given(subAcct=owner, apiKey=key.id))
        except Rejected:
            if key.id in {listed.id for listed in self.keys()}:
                raise

    def withdrawals(self, since_ms: int) -> list[Withdrawal]:
        where = self.WITHDRAWALS.name
        found = [_withdrawal(row, where) for row in self._rows_by_time(self.WITHDRAWALS, "wdId", since_ms)]
        return sorted(
            (withdrawal for withdrawal in found if withdrawal.at_ms >= since_ms),
            key=lambda withdrawal: withdrawal.at_ms,
        )

    def cancel_withdrawal(self, withdrawal: Withdrawal) -> None:
        call = self.CANCEL_WITHDRAWAL.given(wdId=withdrawal.id)
        if schema.text(self._one(call), "wdId", call.name) != withdrawal.id:
            raise MalformedReply(f"{call.name}: the reply is about another withdrawal")

    def _keys_of(self, owner: str) -> list[ApiKey]:
        call = self.KEYS.given(subAcct=owner)
        return [_key(row, call.name)._replace(owner=owner) for row in schema.rows(self.venue.ask(call), call.name)]

    def _one(self, call: Call) -> Row:
        rows = schema.rows(self.venue.ask(call), call.name)
        if len(rows) != 1:
            raise MalformedReply(f"{call.name}: {len(rows)} entries in the reply, not one")
        return rows[0]

    def _rows_by_time(self, call: Call, id_name: str, since_ms: int) -> list[Row]:
        """Every row down to ``since_ms``, newest first; a page starts at the time where the previous ended, since
        several rows may bear one time."""
        found: dict[str, Row] = {}
        page = call
        for _page in range(MAX_PAGES):
            rows = schema.rows(self.venue.ask(page), call.name)
            new = {schema.text(row, id_name, call.name): row for row in rows}
            oldest = min((schema.integer(row, "ts", call.name) for row in rows), default=0)
            if len(rows) < PAGE or oldest < since_ms:
                return list({**found, **new}.values())
            if not new.keys() - found.keys():
                raise MalformedReply(f"{call.name}: the same page comes again")
            found.update(new)
            page = call.given(after=oldest + 1)
        raise MalformedReply(f"{call.name}: more than {MAX_PAGES} pages")


def _key(row: Row, where: str) -> ApiKey:
    return ApiKey(
        id=schema.text(row, "apiKey", where),
        label=str(row.get("label", "")),
        permissions=_permissions(row, where),
        ip_allow_list=_addresses(row, where),
        created_ms=schema.integer(row, "ts", where),
    )


def _permissions(row: Row, where: str) -> frozenset[str]:
    words = schema.text(row, "perm", where).split(",")
    return frozenset(PERMISSIONS.get(word.strip(), f"other:{word.strip()}") for word in words)


def _addresses(row: Row, where: str) -> tuple[str, ...]:
    listed = schema.member(row, "ip", where)
    if not isinstance(listed, str):
        raise MalformedReply(f"{where}: 'ip' is not text")
    return tuple(address.strip() for address in listed.split(",") if address.strip())


def _withdrawal(row: Row, where: str) -> Withdrawal:
    return Withdrawal(
        id=schema.text(row, "wdId", where),
        asset=schema.text(row, "ccy", where),
        amount=schema.decimal(row, "amt", where),
        address=schema.text(row, "to", where),
        state=STATES.get(schema.text(row, "state", where), "pending"),
        at_ms=schema.integer(row, "ts", where),
    )
