# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What the lab's venues say a position is worth is true, our adapters read it, and ccxt reads the same."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from ansible_collections.hft.incident.plugins.module_utils.http_client import HttpClient
from ansible_collections.hft.incident.plugins.module_utils.pnl import DOLLARS
from ansible_collections.hft.incident.plugins.module_utils.secret_ref import Secret
from ansible_collections.hft.incident.plugins.module_utils.venues.api import Credentials, Position
from ansible_collections.hft.incident.plugins.module_utils.venues.ccxt_driver import for_exchange
from hft_incident.lab.venues.server import VenueServer

from ..venues_host import KEY, Host, adapter_for, venue_host

DRIVERS = ["binanceusdm", "bybit", "okx", "kraken", "krakenfutures", "deribit"]
#: The lines that ccxt can list there without its markets.
CCXT_LINES = {
    "binanceusdm": ("swap.linear",),
    "bybit": ("swap.linear", "swap.inverse"),
    "okx": ("swap.linear",),
    "krakenfutures": (),
}


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def host(driver: str) -> Iterator[Host]:
    with venue_host({"venue": driver}) as running:
        yield running


@pytest.fixture
def venue(host: Host) -> VenueServer:
    """It holds some of everything, long and short, and the market has moved since."""
    exchange = host.venues["venue"].exchange
    exchange.feed_running = False
    for number, (symbol, holding) in enumerate(exchange.holdings.items()):
        holding.qty = Decimal("1.5") * (-1) ** number
        holding.avg_price = exchange.prices[symbol] * Decimal("0.96")
    return host.venues["venue"]


def derivatives(positions: list[Position]) -> dict[str, Position]:
    return {held.symbol: held for held in positions if held.avg_price is not None}


def spread(venue: VenueServer, symbol: str) -> bool:
    return venue.exchange.instruments[symbol].line == "spread"


def near(one: Decimal | None, other: Decimal) -> bool:
    """Some venues write floating-point numbers."""
    return one is not None and abs(one - other) <= abs(other) * Decimal("1e-9")


def test_every_position_has_its_entry_price_and_what_it_has_made(venue: VenueServer, driver: str) -> None:
    exchange = venue.exchange
    found = derivatives(adapter_for(venue, driver).positions())
    # A spread trade leaves positions in its legs, none in itself.
    single = {symbol: holding for symbol, holding in exchange.holdings.items() if not spread(venue, symbol)}
    assert len(found) == len(single)
    for symbol, holding in single.items():
        held = found[symbol.rpartition(":")[2]]
        price = exchange.prices[symbol]
        assert held.qty == holding.qty
        assert near(held.avg_price, holding.avg_price)
        assert held.mark_price is None or near(held.mark_price, price)
        gain = (price - holding.avg_price) * holding.qty
        if held.unit == "usd":
            gain = gain / holding.avg_price / price  # paid in the coin
            assert held.pnl_asset not in DOLLARS
        assert near(held.unrealized_pnl, gain)


@pytest.mark.parametrize("driver", sorted(CCXT_LINES), indirect=True)
def test_ccxt_reads_the_same(venue: VenueServer, driver: str) -> None:
    http = HttpClient(f"http://127.0.0.1:{venue.port}", request_timeout=5.0)
    key = Credentials(Secret(KEY.id), Secret(KEY.secret), Secret(KEY.passphrase))
    theirs = for_exchange(driver)(http, key, lines=CCXT_LINES[driver]).positions()
    ours = derivatives(adapter_for(venue, driver).positions())
    # ccxt gives options a name of its own.
    both = [(ours[symbol], held) for symbol, held in derivatives(theirs).items() if symbol in ours]
    assert both
    for native, held in both:
        assert held.avg_price is not None
        assert near(native.avg_price, held.avg_price)
        if held.unrealized_pnl is not None:
            assert near(native.unrealized_pnl, held.unrealized_pnl)
        if held.mark_price is not None:
            assert near(native.mark_price, held.mark_price)
