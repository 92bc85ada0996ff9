# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's Binance: ccxt as its independent oracle, and the product's adapter against it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import ccxt
import pytest

from ansible_collections.hft.incident.plugins.module_utils.venues.errors import AuthError
from hft_incident.lab.venues.exchange import Key
from hft_incident.lab.venues.server import VenueServer

from ..venues_host import KEY, Host, adapter_for
from .one_venue import seed

DRIVER = "binance"


@pytest.fixture
def oracle(venue: VenueServer) -> Any:
    """ccxt's own client, its addresses turned to the lab."""
    exchange = ccxt.binance({"apiKey": KEY.id, "secret": KEY.secret, "enableRateLimit": False})
    origin = f"http://127.0.0.1:{venue.port}"
    exchange.urls["api"] |= {"public": f"{origin}/api/v3", "private": f"{origin}/api/v3", "sapi": f"{origin}/sapi/v1"}
    return exchange


def test_ccxt_finds_a_venue_it_knows(venue: VenueServer, oracle: Any) -> None:
    placed = oracle.private_post_order(
        {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.01", "price": "1000", "timeInForce": "GTC"}
    )
    assert [row["orderId"] for row in oracle.private_get_openorders()] == [placed["orderId"]]
    assert oracle.parse_order(placed)["remaining"] == 0.01
    oracle.private_delete_order({"symbol": "BTCUSDT", "orderId": placed["orderId"]})
    assert oracle.private_get_openorders() == []
    assert {row["asset"] for row in oracle.private_get_account()["balances"]} >= {"BTC", "USDT"}
    assert abs(int(oracle.public_get_time()["serverTime"]) - venue.exchange.now_ms()) < 5000
    with pytest.raises(ccxt.ExchangeError):
        oracle.private_delete_openorders({"symbol": "BTCUSDT"})


def test_ccxt_is_refused_as_the_venue_would(venue: VenueServer, oracle: Any) -> None:
    oracle.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        oracle.private_get_openorders()


def test_the_adapter_sees_every_line_and_cancels_it(venue: VenueServer) -> None:
    adapter = adapter_for(venue, "binance")
    count = seed(venue)
    listed = adapter.open_orders()
    assert {order.id for order in listed} == {str(order.id) for order in venue.exchange.open_orders()}
    assert sum(order.conditional for order in listed) == count // 2
    assert adapter.cancel_all(listed).accepted == count
    assert adapter.open_orders() == []
    assert venue.exchange.open_orders() == []


def test_the_adapter_reads_holdings_and_fills(venue: VenueServer) -> None:
    adapter = adapter_for(venue, "binance")
    venue.exchange.place("BTCUSDT", "buy", Decimal("0.5"), Decimal("999999"))
    venue.exchange.feed_running = True
    venue.exchange.advance()
    venue.exchange.feed_running = False
    held = {position.symbol: position.qty for position in adapter.positions()}
    assert held["BTC"] == venue.exchange.balances["BTC"] == Decimal("100.5")
    assert [fill.qty for fill in adapter.fills(0, ["BTCUSDT"])] == [Decimal("0.5")]
    assert adapter.status().online
    assert adapter.ticker().last == venue.exchange.prices["BTCUSDT"]


@pytest.mark.parametrize("key", [Key("nobody", KEY.secret), Key(KEY.id, "wrong")])
def test_a_wrong_key_or_signature_is_refused(venue: VenueServer, key: Key) -> None:
    with pytest.raises(AuthError):
        adapter_for(venue, "binance", key=key).open_orders()


def test_a_skewed_clock_is_mended_by_reading_the_venues(host: Host, venue: VenueServer) -> None:
    seed(venue)
    host.inject("binance", kind="clock_skew", seconds=120)
    assert len(adapter_for(venue, "binance").open_orders()) == len(venue.exchange.open_orders())
