# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Deribit's keys, withdrawals, addresses and logins (docs.deribit.com/api-reference: account-management, wallet).

Everything has an API. An account that demands a security key (TFA) for managing keys refuses the API: that is an
``AuthError``, and a person's work. A listing carries secrets: only the fields that are named here are ever read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal

from ...secret_ref import Secret
from .. import schema
from ..api import Call, Credentials
from ..deribit import Deribit
from ..errors import AuthError, MalformedReply, Rejected
from ..parts import in_lanes
from ..schema import Row
from .api import Account, Address, ApiKey, Login, NewKey, NotOffered, Withdrawal

PAGE = 100
MAX_PAGES = 200
READS = ("account:read", "trade:read", "wallet:read")
#: Ours → the scope that gives it. Whoever may transfer may withdraw here.
SCOPES: Mapping[str, str] = {
    "trade": "trade:read_write",
    "withdraw": "wallet:read_write",
    "manage_keys": "account:read_write",
}
#: Scope → ours; one that is not here and writes is kept as "other:<scope>".
PERMISSIONS: Mapping[str, tuple[str, ...]] = {
    "trade:read_write": ("read", "trade"),
    "block_trade:read_write": ("read", "trade"),
    "block_rfq:read_write": ("read", "trade"),
    "wallet:read_write": ("read", "withdraw", "transfer"),
    "account:read_write": ("read", "manage_keys"),
}
STATES: Mapping[str, Literal["done", "cancelled", "failed"]] = {
    "completed": "done",
    "cancelled": "cancelled",
    "rejected": "failed",
    "interrupted": "failed",
}
LOGINS: Mapping[str, bool] = {"success": True, "failure": False}


class DeribitAccount(Account):
    driver = "deribit"
    manages_keys = True
    steps_to_create = (
        "Log in to deribit.com, account menu > API > 'Add new key' (Deribit-generated).",
        "Name '{label}', scopes for: {permissions} (wallet:read_write only where 'withdraw' is named); IP whitelist:"
        " {ips}.",
        "Put client id and secret where the venues file points to.",
    )
    steps_to_revoke = (
        "Log in to deribit.com, account menu > API.",
        "Remove the key {key_id} ('{label}') and confirm.",
    )
    steps_to_freeze_withdrawals = (
        "Log in to deribit.com, Wallet > Withdrawals: cancel each one that is not completed.",
        "Have support lock withdrawals of the account.",
    )
    steps_to_look: ClassVar = {
        "keys": ("Log in to deribit.com, account menu > API: compare the keys with the approved ones.",),
    }

    CURRENCIES = Deribit.CURRENCIES
    KEYS = Call("GET", "/api/v2/private/list_api_keys")
    CREATE = Call("GET", "/api/v2/private/create_api_key")
    DELETE = Call("GET", "/api/v2/private/remove_api_key")
    WITHDRAWALS = Call("GET", "/api/v2/private/get_withdrawals", {"count": PAGE})
    CANCEL_WITHDRAWAL = Call("GET", "/api/v2/private/cancel_withdrawal")
    ADDRESSES = Call("GET", "/api/v2/private/get_address_book", {"type": "withdrawal"})
    LOGINS = Call("GET", "/api/v2/private/get_access_log", {"count": PAGE})

    def own_key(self) -> ApiKey:
        own = next((key for key in self.keys() if key.id == self.venue.key), None)
        if own is None:
            raise AuthError(f"{self.KEYS.name}: the key that asks is not among the account's keys")
        return own

    def keys(self) -> list[ApiKey]:
        return [_key(row, self.KEYS.name) for row in self._key_rows()]

    def create_key(self, label: str, permissions: Collection[str], ips: Sequence[str]) -> NewKey:
        wanted = set(permissions)
        if "transfer" in wanted and "withdraw" not in wanted:
            raise NotOffered("deribit has no right to transfer that is not one to withdraw; ask for 'withdraw' too")
        unknown = wanted - {"read", "transfer", *SCOPES}
        if unknown:
            raise NotOffered(f"deribit has no scope for: {', '.join(sorted(unknown))}")
        scopes = {scope.partition(":")[0]: scope for scope in READS}
        scopes.update((scope.partition(":")[0], scope) for ours, scope in SCOPES.items() if ours in wanted)
        call = self.CREATE.given(
            max_scope=" ".join(scopes.values()),
            name=label,
            **({"ip_whitelist": json.dumps(list(ips), separators=(",", ":"))} if ips else {}),
        )
        row = schema.as_object(self.venue.ask(call), call.name)
        facts = _key(row, call.name)
        return NewKey(facts, Credentials(Secret(facts.id), Secret(schema.text(row, "client_secret", call.name))))

    def delete_key(self, key: ApiKey) -> None:
        """A request carries one number of a key, this call takes another one of it: the listing has both."""
        where = self.KEYS.name
        for row in self._key_rows():
            if schema.text(row, "client_id", where) == key.id:
                call = self.DELETE.given(id=schema.integer(row, "id", where))
                if self.venue.ask(call) != "ok":
                    raise MalformedReply(f"{call.name}: the venue does not say ok")

    def withdrawals(self, since_ms: int) -> list[Withdrawal]:
        listings = in_lanes(
            [
                partial(self._paged, self.WITHDRAWALS.given(currency=currency), _withdrawal_rows, since_ms)
                for currency in self._currencies()
            ]
        )
        found = [_withdrawal(row, self.WITHDRAWALS.name) for rows in listings for row in rows]
        return sorted((w for w in found if w.at_ms >= since_ms), key=lambda withdrawal: withdrawal.at_ms)

    def cancel_withdrawal(self, withdrawal: Withdrawal) -> None:
        call = self.CANCEL_WITHDRAWAL.given(currency=withdrawal.asset, id=withdrawal.id)
        reply = schema.as_object(self.venue.ask(call), call.name)
        if schema.text(reply, "state", call.name) != "cancelled":
            raise Rejected(f"{call.name}: the withdrawal is {reply['state']}, not cancelled")

    def addresses(self) -> list[Address]:
        where = self.ADDRESSES.name
        replies = in_lanes(
            [partial(self.venue.ask, self.ADDRESSES.given(currency=currency)) for currency in self._currencies()]
        )
        return [
            Address(
                asset=schema.text(row, "currency", where),
                address=schema.text(row, "address", where),
                label=str(row.get("label", "")),
                trusted=not schema.boolean(row, "requires_confirmation", where),
                added_ms=schema.integer(row, "creation_timestamp", where),
            )
            for reply in replies
            for row in schema.rows(reply, where)
        ]

    def logins(self, since_ms: int) -> list[Login]:
        rows = self._paged(self.LOGINS, schema.rows, since_ms)
        found = [_login(row, self.LOGINS.name) for row in rows]
        return sorted((login for login in found if login.at_ms >= since_ms), key=lambda login: login.at_ms)

    def _key_rows(self) -> list[Row]:
        rows = schema.rows(self.venue.ask(self.KEYS), self.KEYS.name)
        if not rows:  # the key that asks is one
            raise MalformedReply(f"{self.KEYS.name}: no key in the reply")
        return rows

    def _currencies(self) -> list[str]:
        where = self.CURRENCIES.name
        found = [schema.text(row, "currency", where) for row in schema.rows(self.venue.ask(self.CURRENCIES), where)]
        if not found:
            raise MalformedReply(f"{where}: no currency in the reply")
        return found

    def _paged(self, call: Call, rows_of: Callable[[schema.Json, str], list[Row]], since_ms: int) -> list[Row]:
        """Every row down to ``since_ms``; the venue lists the newest first and counts rows."""
        found: dict[str, Row] = {}
        for page in range(MAX_PAGES):
            rows = rows_of(self.venue.ask(call.given(offset=page * PAGE)), call.name)
            ids = [schema.text(row, "id", call.name) for row in rows]
            if found and rows and not set(ids) - found.keys():
                raise MalformedReply(f"{call.name}: the same page comes again")
            found.update(zip(ids, rows))
            if len(rows) < PAGE or _at_ms(rows[-1], call.name) < since_ms:
                return list(found.values())
        raise MalformedReply(f"{call.name}: more than {MAX_PAGES} pages")


def _withdrawal_rows(reply: schema.Json, where: str) -> list[Row]:
    return schema.rows_at(schema.as_object(reply, where), "data", where)


def _at_ms(row: Row, where: str) -> int:
    return schema.integer(row, "created_timestamp" if "created_timestamp" in row else "timestamp", where)


def _key(row: Row, where: str) -> ApiKey:
    whitelist = row.get("ip_whitelist")  # left out where there is none
    return ApiKey(
        id=schema.text(row, "client_id", where),
        label=str(row.get("name", "")),
        permissions=_permissions(schema.text(row, "max_scope", where)),
        ip_allow_list=tuple(str(ip) for ip in schema.as_list([] if whitelist is None else whitelist, where)),
        enabled=schema.boolean(row, "enabled", where),
        created_ms=schema.integer(row, "timestamp", where),
    )


def _permissions(scope: str) -> frozenset[str]:
    found: set[str] = set()
    for word in scope.split():
        if word in PERMISSIONS:
            found.update(PERMISSIONS[word])
        elif word.endswith(":read"):
            found.add("read")
        elif not word.endswith(":none"):
            found.add(f"other:{word}")
    return frozenset(found)


def _withdrawal(row: Row, where: str) -> Withdrawal:
    """A state that is not known is one that may still be stopped."""
    return Withdrawal(
        id=schema.text(row, "id", where),
        asset=schema.text(row, "currency", where),
        amount=schema.decimal(row, "amount", where),
        address=schema.text(row, "address", where),
        state=STATES.get(schema.text(row, "state", where), "pending"),
        at_ms=_at_ms(row, where),
    )


def _login(row: Row, where: str) -> Login:
    event = schema.text(row, "log", where)
    place = ", ".join(str(row[part]) for part in ("city", "country") if row.get(part))
    return Login(
        at_ms=_at_ms(row, where),
        ip=schema.text(row, "ip", where),
        ok=LOGINS.get(event, True),
        detail=place,
        event="login" if event in LOGINS else event,
    )
