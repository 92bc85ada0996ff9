# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What is done to a lab venue, in every dialect: fill its book, let an order trade, use the trading system's client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TypeVar

import aiohttp

from hft_incident.lab.gateways.gateway import GatewayKey
from hft_incident.lab.venues.server import VenueServer

from ..venues_host import KEY, Host

G = TypeVar("G")
T = TypeVar("T")


def seed(venue: VenueServer, each: int = 1) -> int:
    """Orders in every instrument, an untriggered stop beside every plain one (spreads have none)."""
    for instrument in venue.exchange.instruments.values():
        for _ in range(each):
            venue.place_one(instrument.symbol)
            if instrument.line != "spread":
                venue.place_one(instrument.symbol, conditional=True)
    return len(venue.exchange.open_orders())


def trade(venue: VenueServer, symbol: str, qty: str, times: int = 1) -> None:
    """Orders that the next price fills, a second after those before; a negative ``qty`` sells."""
    venue.exchange.clock_skew_ms += 1000
    for _ in range(times):
        if Decimal(qty) > 0:
            venue.exchange.place(symbol, "buy", Decimal(qty), Decimal("999999"))
        else:
            venue.exchange.place(symbol, "sell", -Decimal(qty), Decimal("0.1"))
    venue.exchange.feed_running = True
    venue.exchange.advance()
    venue.exchange.feed_running = False


def with_gateway(
    host: Host,
    venue: VenueServer,
    gateway: Callable[[aiohttp.ClientSession, str, GatewayKey], G],
    work: Callable[[G], Awaitable[T]],
) -> T:
    """What ``work`` answers, on the event loop of the venue."""

    async def run() -> T:
        async with aiohttp.ClientSession() as session:
            key = GatewayKey(KEY.id, KEY.secret, KEY.passphrase)
            return await work(gateway(session, f"http://127.0.0.1:{venue.port}", key))

    return host.run(run())
