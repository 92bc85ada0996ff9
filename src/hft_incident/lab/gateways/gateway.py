# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What the trading system asks of a venue. One small client a dialect, written apart from the product's adapters."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Literal

import aiohttp
from yarl import URL

Json = Any
Side = Literal["buy", "sell"]


def oldest_first(listed: Iterable[Trade]) -> list[Trade]:
    """Fills of a venue that lists the newest first; of one millisecond, too."""
    fills = list(listed)
    fills.reverse()
    fills.sort(key=lambda trade: trade.at_ms)
    return fills


class GatewayError(Exception):
    """The venue did not do what was asked, or nobody knows whether it did."""


@dataclass(frozen=True)
class GatewayKey:
    """The trading system's own API key."""

    id: str
    secret: str
    passphrase: str = ""


@dataclass(frozen=True)
class Trade:
    """A fill as the trading system books it; ``spot`` trades change two assets."""

    id: str
    order_id: str
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    at_ms: int


@dataclass(frozen=True)
class Quote:
    """The last price and the venue's own time of it (ms)."""

    price: Decimal
    at_ms: int


@dataclass(frozen=True)
class Held:
    """What the account holds at start: (symbol or asset, signed quantity, average price or None, product line).

    ``line`` as the venue calls it; "" stands for the gateway's own.
    """

    symbol: str
    qty: Decimal
    avg_price: Decimal | None = None
    line: str = ""


class Gateway(ABC):
    """One venue over HTTP. Methods raise GatewayError."""

    #: The symbol that the lab's strategies quote here, its order size and price step.
    symbol: ClassVar[str]
    qty: ClassVar[Decimal]
    tick: ClassVar[Decimal]
    #: The product line of ``symbol`` as the venue and the lab's instruments call it ("spot", "linear", …).
    line: ClassVar[str]
    #: Base and quote asset where a fill changes two balances (spot); None for derivatives.
    spot_assets: ClassVar[tuple[str, str] | None] = None
    #: (product line, asset) of the balance that a derivative's realized P&L moves, if ``held`` has balances too.
    settlement: ClassVar[tuple[str, str] | None] = None

    def __init__(self, session: aiohttp.ClientSession, base_url: str, key: GatewayKey) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self.key = key

    @abstractmethod
    async def place(self, side: Side, price: Decimal, client_id: str, qty: Decimal | None = None) -> str:
        """A limit order for so much of ``symbol``, the gateway's own ``qty`` where nothing else is said; the venue's
        order id."""

    @abstractmethod
    async def cancel(self, order_id: str) -> None:
        """Cancel one order; an order that is gone already is no error."""

    @abstractmethod
    async def open_order_ids(self) -> dict[str, str]:
        """This account's live orders in ``symbol``, all pages: venue order id, as ``place`` returns it, to client id
        ("" where it has none). An answer that is not the venue's listing raises; it is never read as empty."""

    @abstractmethod
    async def trades(self, since_ms: int) -> list[Trade]:
        """Own fills in ``symbol`` at or after ``since_ms``, the oldest first: in which order they are booked decides
        what they have realized."""

    @abstractmethod
    async def quote(self) -> Quote:
        """Public market data of ``symbol``."""

    @abstractmethod
    async def held(self) -> list[Held]:
        """Balances (spot) or positions (derivatives), non-zero; of a unified account, both."""

    async def http(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: str | None = None
    ) -> tuple[int, Json]:
        """Status and JSON of one request; raises GatewayError where there is no JSON in time."""
        try:
            # As signed: left to itself, the client would write the query its own way.
            url = URL(self._base_url + target, encoded=True)
            async with self._session.request(method, url, headers=dict(headers or {}), data=body) as response:
                return response.status, await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise GatewayError(f"{method} {target.partition('?')[0]}: {type(error).__name__}") from None

    @staticmethod
    def now_ms() -> int:
        return int(time.time() * 1000)
