# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A venue of a running lab from outside: what is true there, and its controls."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Something that happened to an order: ``placed``, ``canceled``, ``filled``; ``at`` is seconds since 1970."""

    at: float
    kind: str
    order_id: int
    symbol: str


class Position(NamedTuple):
    symbol: str
    qty: Decimal
    avg_price: Decimal


class Truth(NamedTuple):
    """What is so at a venue, whatever its API says."""

    open_orders: tuple[OpenOrder, ...]
    happenings: tuple[Happening, ...]
    positions: tuple[Position, ...]
    balances: Mapping[str, Decimal]


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

    def seed(self, count: int, *, symbol: str | None = None, conditional: bool = False) -> list[int]:
        """Resting orders far from the market, in the first symbol or this one; their ids in the venue's books."""
        wanted = {"count": count, "conditional": conditional} | ({"symbol": symbol} if symbol else {})
        ids: list[int] = self._ask("POST", "orders", wanted)["order_ids"]
        return ids

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
