# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's Bybit: ccxt as its oracle, and the product's adapter and the trading system's client against it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import ccxt
import pytest

from ansible_collections.hft.incident.plugins.module_utils.venues.bybit import Bybit
from ansible_collections.hft.incident.plugins.module_utils.venues.errors import AuthError
from hft_incident.lab.gateways.bybit import BybitGateway
from hft_incident.lab.gateways.gateway import GatewayError
from hft_incident.lab.venues.exchange import Key
from hft_incident.lab.venues.server import VenueServer

from ..venues_host import KEY, Host, adapter_for
from .one_venue import seed, trade, with_gateway

SPOT, OPTION = "spot:BTCUSDT", "BTC-25DEC26-90000-C-USDT"
DRIVER = "bybit"


@pytest.fixture
def oracle(venue: VenueServer) -> Any:
    """ccxt's own client, its addresses turned to the lab, its markets loaded from there."""
    exchange = ccxt.bybit({"apiKey": KEY.id, "secret": KEY.secret, "enableRateLimit": False})
    origin = f"http://127.0.0.1:{venue.port}"
    exchange.urls["api"] |= {"public": origin, "private": origin}
    exchange.has["fetchCurrencies"] = False
    exchange.options |= {"enableUnifiedMargin": False, "enableUnifiedAccount": True}
    exchange.load_markets()
    return exchange


def ids(venue: VenueServer) -> set[str]:
    return {str(order.id) for order in venue.exchange.open_orders()}


def test_ccxt_trades_on_every_line(venue: VenueServer, oracle: Any) -> None:
    assert abs(oracle.fetch_time() - venue.exchange.now_ms()) < 5000
    assert oracle.fetch_status()["status"] == "ok"
    for symbol in ("BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"):
        placed = oracle.create_order(symbol, "limit", "buy", 1, 1000)
        assert placed["id"] in ids(venue)
        (found,) = oracle.fetch_open_orders(symbol)
        assert (found["id"], found["side"], found["price"], found["remaining"]) == (placed["id"], "buy", 1000, 1)
        oracle.cancel_order(placed["id"], symbol)
        assert oracle.fetch_open_orders(symbol) == []
    venue.place_one(OPTION)
    (found,) = oracle.fetch_open_orders(None, params={"category": "option", "type": "option"})
    assert found["info"]["symbol"] == OPTION


def test_ccxt_cancels_all_of_a_settle_coin_and_leaves_the_others(venue: VenueServer, oracle: Any) -> None:
    seed(venue)
    oracle.cancel_all_orders(None, {"category": "linear", "settleCoin": "USDT"})
    assert {o.symbol for o in venue.exchange.open_orders(lines=("linear",))} == {"BTCPERP"}
    with pytest.raises(ccxt.OrderNotFound):
        oracle.cancel_order("1", "BTC/USDT:USDT")


def test_ccxt_reads_holdings(venue: VenueServer, oracle: Any) -> None:
    trade(venue, "BTCUSDT", "-0.5")
    assert oracle.fetch_balance()["total"]["BTC"] == 100
    (position,) = oracle.fetch_positions(["BTC/USDT:USDT"])
    assert (position["side"], position["contracts"]) == ("short", 0.5)
    (traded,) = oracle.fetch_my_trades("BTC/USDT:USDT")
    assert (traded["side"], traded["amount"]) == ("sell", 0.5)


def test_ccxt_is_refused_as_the_venue_would(host: Host, oracle: Any) -> None:
    oracle.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        oracle.fetch_open_orders("BTC/USDT")
    oracle.secret = KEY.secret
    host.inject("bybit", kind="clock_skew", seconds=60)
    with pytest.raises(ccxt.InvalidNonce):
        oracle.fetch_open_orders("BTC/USDT")


def test_the_adapter_sees_every_line_and_every_page_and_cancels_them(venue: VenueServer) -> None:
    adapter = adapter_for(venue, "bybit")
    count = seed(venue, each=30)
    listed = adapter.open_orders()
    assert {order.id for order in listed} == ids(venue)
    assert {order.line for order in listed} == set(Bybit.all_lines)
    assert sum(order.conditional for order in listed) == (count - 30) // 2
    assert adapter.cancel_all(listed) == (count, ())
    assert adapter.open_orders() == []
    assert venue.exchange.open_orders() == []


def test_the_adapter_cancels_everything_without_a_listing(venue: VenueServer) -> None:
    count = seed(venue)
    assert adapter_for(venue, "bybit").cancel_all([]) == (count, ())
    assert venue.exchange.open_orders() == []


def test_more_than_the_venue_cancels_at_once_takes_another_round(venue: VenueServer) -> None:
    for _ in range(501):
        venue.place_one("BTCUSD")
    adapter = adapter_for(venue, "bybit")
    assert adapter.cancel_all(adapter.open_orders()).accepted == 500
    assert adapter.cancel_all(adapter.open_orders()).accepted == 1
    assert adapter.open_orders() == []


def test_the_adapter_reads_holdings_and_fills(venue: VenueServer) -> None:
    adapter, start = adapter_for(venue, "bybit"), venue.exchange.now_ms()
    trade(venue, SPOT, "0.5")
    trade(venue, "BTCPERP", "-2")
    trade(venue, "BTCUSD", "300")
    held = {(p.line, p.symbol): (p.qty, p.unit) for p in adapter.positions()}
    assert held["spot", "BTC"] == (Decimal("100.5"), "base")
    assert held["linear", "BTCPERP"] == (Decimal(-2), "base")
    assert held["inverse", "BTCUSD"] == (Decimal(300), "usd")
    assert {b.asset: b.total for b in adapter.balances()} == venue.exchange.balances
    assert {(f.symbol, f.side, f.qty) for f in adapter.fills(start)} == {
        ("BTCUSDT", "buy", Decimal("0.5")),
        ("BTCPERP", "sell", Decimal(2)),
        ("BTCUSD", "buy", Decimal(300)),
    }
    assert adapter.status().online
    assert adapter.ticker() == ("BTCUSDT", venue.exchange.prices["BTCUSDT"], venue.exchange.feed_at_ms)


@pytest.mark.parametrize("key", [Key("nobody", KEY.secret), Key(KEY.id, "wrong")])
def test_a_wrong_key_or_signature_is_refused(venue: VenueServer, key: Key) -> None:
    with pytest.raises(AuthError):
        adapter_for(venue, "bybit", key=key).open_orders()


def test_a_key_that_may_not_trade_is_refused_to_cancel(venue: VenueServer) -> None:
    venue.exchange.keys[KEY.id].permissions = frozenset({"read"})
    adapter = adapter_for(venue, "bybit")
    seed(venue)
    with pytest.raises(AuthError, match="10005"):
        adapter.cancel_all(adapter.open_orders())


def test_a_skewed_clock_is_mended_by_reading_the_venues(host: Host, venue: VenueServer) -> None:
    seed(venue)
    host.inject("bybit", kind="clock_skew", seconds=120)
    assert len(adapter_for(venue, "bybit").open_orders()) == len(venue.exchange.open_orders())


def test_a_cancel_that_does_nothing_is_seen_in_the_next_listing(host: Host, venue: VenueServer) -> None:
    count = seed(venue)
    adapter = adapter_for(venue, "bybit")
    host.inject("bybit", kind="cancel_ignored")
    adapter.cancel_all(adapter.open_orders())
    assert len(adapter.open_orders()) == count


def test_the_trading_system_quotes_here(host: Host, venue: VenueServer) -> None:
    async def work(gateway: BybitGateway) -> None:
        price = (await gateway.quote()).price
        assert price == venue.exchange.prices[gateway.symbol]
        placed = {await gateway.place("buy", price / 2, f"mine-{n}"): f"mine-{n}" for n in range(51)}
        assert await gateway.open_order_ids() == placed
        for order_id in placed:
            await gateway.cancel(order_id)
            await gateway.cancel(order_id)
        assert await gateway.open_order_ids() == {}
        start = venue.exchange.now_ms()
        trade(venue, gateway.symbol, "-3")
        assert [(t.side, t.qty) for t in await gateway.trades(start)] == [("sell", Decimal(3))]
        held = await gateway.held()
        assert [(h.symbol, h.qty) for h in held if h.line != "spot"] == [("BTCUSDT", Decimal(-3))]
        assert {h.symbol: h.qty for h in held if h.line == "spot"} == venue.exchange.balances
        with pytest.raises(GatewayError):
            await gateway.place("buy", Decimal(-1), "nonsense")

    with_gateway(host, venue, BybitGateway, work)
