# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A venue of a running lab from outside: what is true there, and its controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from .control_client import ask
from .state import VenueProcess


class OpenOrder(NamedTuple):
    """A live order in the venue's own books; ``qty`` is what remains, ``line`` the product line."""

    id: int
    symbol: str
    line: str
    side: str
    qty: Decimal
    price: Decimal
    conditional: bool
    client_id: str
    created_ms: int


class Happening(NamedTuple):
    """Something that happened to an order: ``placed``, ``canceled``, ``filled``; ``at`` is seconds since 1970, ``key``
    the id of the key that did it ("": the market, or the lab's own hand)."""

    at: float
    kind: str
    order_id: int
    symbol: str
    key: str = ""


class Position(NamedTuple):
    symbol: str
    qty: Decimal
    avg_price: Decimal


class Key(NamedTuple):
    """An API key that is good for something there; nobody is shown its secret again."""

    id: str
    label: str
    permissions: tuple[str, ...]
    ips: tuple[str, ...]
    enabled: bool
    created_ms: int


class MadeKey(NamedTuple):
    """A key right after it was made on the website."""

    id: str
    secret: str
    passphrase: str = ""


class Withdrawal(NamedTuple):
    """``state``: pending, done, cancelled; ``key`` asked for it ("": somebody on the website)."""

    id: int
    asset: str
    amount: Decimal
    address: str
    at_ms: int
    key: str
    state: str


class Address(NamedTuple):
    id: int
    asset: str
    address: str
    label: str
    trusted: bool
    added_ms: int


class Login(NamedTuple):
    id: int
    at_ms: int
    ip: str
    ok: bool
    event: str


class Truth(NamedTuple):
    """What is so at a venue, whatever its API says."""

    open_orders: tuple[OpenOrder, ...]
    happenings: tuple[Happening, ...]
    positions: tuple[Position, ...]
    balances: Mapping[str, Decimal]
    keys: tuple[Key, ...] = ()
    withdrawals: tuple[Withdrawal, ...] = ()
    addresses: tuple[Address, ...] = ()
    logins: tuple[Login, ...] = ()


class SeenRequest(NamedTuple):
    """A request that arrived at the venue; ``writes`` where it would change something."""

    at: float
    op: str
    method: str
    path: str
    writes: bool


class LabVenue:
    """A venue of a running lab and its controls. Every method raises LabError."""

    def __init__(self, running: VenueProcess) -> None:
        self.name = running.name
        self.driver = running.driver
        self.process = running.process
        self.port = running.port
        self.url = running.url
        self.symbols = running.symbols
        self._control_port = running.control_port

    def truth(self) -> Truth:
        document = self._ask("GET", "truth")
        return Truth(
            tuple(
                OpenOrder(**row | {"qty": Decimal(row["qty"]), "price": Decimal(row["price"])})
                for row in document["open_orders"]
            ),
            tuple(Happening(**row) for row in document["happenings"]),
            tuple(
                Position(row["symbol"], Decimal(row["qty"]), Decimal(row["avg_price"])) for row in document["positions"]
            ),
            {asset: Decimal(qty) for asset, qty in document["balances"].items()},
            tuple(
                Key(**row | {"permissions": tuple(row["permissions"]), "ips": tuple(row["ips"])})
                for row in document["keys"]
            ),
            tuple(Withdrawal(**row | {"amount": Decimal(row["amount"])}) for row in document["withdrawals"]),
            tuple(Address(**row) for row in document["addresses"]),
            tuple(Login(**row) for row in document["logins"]),
        )

    def inject(self, kind: str, **options: Any) -> int:
        """Put a fault in force (``op``, ``remaining``, ``status`` …: see venues/faults.py); its number."""
        number: int = self._ask("POST", "faults", {"kind": kind, **options})["id"]
        return number

    def faults(self) -> list[dict[str, Any]]:
        faults: list[dict[str, Any]] = self._ask("GET", "faults")["faults"]
        return faults

    def clear_faults(self) -> None:
        self._ask("DELETE", "faults")

    def seed(
        self,
        count: int,
        *,
        symbol: str | None = None,
        conditional: bool = False,
        client_id: str = "",
        key: str = "",
    ) -> list[int]:
        """Resting orders far from the market, in the first symbol or this one; their ids in the venue's books.
        ``key``: the id of the key that is said to have placed them."""
        wanted = {"count": count, "conditional": conditional, "client_id": client_id, "key": key}
        wanted |= {"symbol": symbol} if symbol else {}
        ids: list[int] = self._ask("POST", "orders", wanted)["order_ids"]
        return ids

    def add_key(
        self, label: str = "", permissions: Sequence[str] = ("read", "trade"), ips: Sequence[str] = ()
    ) -> MadeKey:
        """What a person does on the website; so does an intruder."""
        wanted = {"label": label, "permissions": list(permissions), "ips": list(ips)}
        return MadeKey(**self._ask("POST", "keys", wanted))

    def remove_key(self, key_id: str) -> None:
        self._ask("DELETE", f"keys/{key_id}")

    def withdraw(self, asset: str, amount: str, address: str) -> int:
        """A withdrawal asked for on the website, pending for an hour; its id."""
        number: int = self._ask("POST", "withdrawals", {"asset": asset, "amount": amount, "address": address})["id"]
        return number

    def complete_withdrawal(self, number: int) -> None:
        """The money is gone."""
        self._ask("PUT", f"withdrawals/{number}", {})

    def add_address(self, asset: str, address: str, *, label: str = "", trusted: bool = True, ago_s: float = 0) -> None:
        """An entry of the withdrawal address book, made ``ago_s`` seconds ago."""
        wanted = {"asset": asset, "address": address, "label": label, "trusted": trusted, "ago_s": ago_s}
        self._ask("POST", "addresses", wanted)

    def add_login(self, ip: str, *, ok: bool = True, event: str = "login", ago_s: float = 0) -> None:
        """A line of the access history: a login, or another act on the website (``changed_password`` …)."""
        self._ask("POST", "logins", {"ip": ip, "ok": ok, "event": event, "ago_s": ago_s})

    def requests(self) -> list[SeenRequest]:
        """What arrived since the start or the last ``forget_requests``, oldest first."""
        return [SeenRequest(**row) for row in self._ask("GET", "requests")["requests"]]

    def forget_requests(self) -> None:
        self._ask("DELETE", "requests")

    def move_market(self, moving: bool) -> None:
        """Let prices move (and fills happen), or not."""
        self._ask("PUT", "market", {"moving": moving})

    def set_latency(self, ms: float) -> None:
        """How long every reply takes at least."""
        self._ask("PUT", "latency", {"ms": ms})

    def _ask(self, method: str, what: str, body: object = None) -> Any:
        path = f"/venues/{self.name}/{what}"
        return ask(f"the lab's venue {self.name}", self._control_port, method, path, body)
