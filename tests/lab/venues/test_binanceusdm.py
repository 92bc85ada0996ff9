# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's Binance USDⓈ-M: ccxt as its independent oracle, the product's adapter and the lab's client against it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import ccxt
import pytest

from ansible_collections.hft.incident.plugins.module_utils.venues.errors import (
    AuthError,
    MalformedReply,
    UnknownOutcome,
)
from hft_incident.lab.gateways.binanceusdm import BinanceUsdmGateway
from hft_incident.lab.venues.binanceusdm import MOST_TRADES_A_PAGE, TRADES_SPAN_MS
from hft_incident.lab.venues.exchange import Key
from hft_incident.lab.venues.server import VenueServer

from ..venues_host import KEY, Host, adapter_for
from .one_venue import seed, trade, with_gateway

DRIVER = "binanceusdm"


@pytest.fixture
def oracle(venue: VenueServer) -> Any:
    """ccxt's own client, its addresses turned to the lab."""
    exchange = ccxt.binanceusdm({"apiKey": KEY.id, "secret": KEY.secret, "enableRateLimit": False})
    exchange.options |= {"fetchCurrencies": False, "warnOnFetchOpenOrdersWithoutSymbol": False}
    origin = f"http://127.0.0.1:{venue.port}/fapi"
    for name in ("fapiPublic", "fapiPrivate"):
        exchange.urls["api"] |= {name: f"{origin}/v1", f"{name}V2": f"{origin}/v2", f"{name}V3": f"{origin}/v3"}
    return exchange


# ccxt against the lab -------------------------------------------------------------------------------------------------


def test_ccxt_finds_a_venue_it_knows(venue: VenueServer, oracle: Any) -> None:
    bitcoin = "BTC/USDT:USDT"
    assert abs(oracle.fetch_time() - venue.exchange.now_ms()) < 5000
    placed = oracle.create_order(bitcoin, "limit", "buy", 0.01, 1000, {"clientOrderId": "hft-1-1"})
    stop = oracle.create_order(bitcoin, "market", "sell", 0.02, None, {"stopLossPrice": 1500})
    (listed,) = oracle.fetch_open_orders()
    assert (listed["id"], listed["symbol"], listed["remaining"]) == (placed["id"], bitcoin, 0.01)
    assert (listed["clientOrderId"], listed["status"]) == ("hft-1-1", "open")
    (conditional,) = oracle.fetch_open_orders(params={"trigger": True})
    assert (conditional["id"], conditional["triggerPrice"], conditional["amount"]) == (stop["id"], 1500, 0.02)
    assert oracle.cancel_order(placed["id"], bitcoin)["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound):
        oracle.cancel_order(placed["id"], bitcoin)
    oracle.cancel_all_orders(bitcoin)
    assert len(venue.exchange.open_orders()) == 1
    oracle.cancel_all_orders(bitcoin, {"trigger": True})
    assert venue.exchange.open_orders() == []


def test_ccxt_reads_holdings_and_fills(venue: VenueServer, oracle: Any) -> None:
    venue.exchange.clock_skew_ms = -5000  # so that the trade is in the past when it is asked for
    trade(venue, "BTCUSDT", "0.5")
    (position,) = oracle.fetch_positions()
    assert (position["symbol"], position["side"], position["contracts"]) == ("BTC/USDT:USDT", "long", 0.5)
    (fill,) = oracle.fetch_my_trades("BTC/USDT:USDT")
    assert (fill["amount"], fill["side"], fill["price"]) == (0.5, "buy", 999999)
    assert oracle.fetch_balance()["USDT"]["total"] == float(venue.exchange.balances["USDT"])


def test_ccxt_is_refused_as_the_venue_would(venue: VenueServer, oracle: Any) -> None:
    with pytest.raises(ccxt.BadSymbol):
        oracle.fapiprivate_delete_allopenorders({"symbol": "NOSUCH"})
    with pytest.raises(ccxt.BadRequest):
        oracle.fapiprivate_post_order(
            {"symbol": "BTCUSDT", "side": "BUY", "type": "STOP_MARKET", "quantity": "1", "stopPrice": "1"}
        )
    oracle.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        oracle.fetch_open_orders()


# The product's adapter against the lab --------------------------------------------------------------------------------


def test_the_adapter_sees_plain_and_conditional_orders_and_cancels_both(venue: VenueServer) -> None:
    adapter = adapter_for(venue, "binanceusdm")
    count = seed(venue, each=20)
    listed = adapter.open_orders()
    assert {order.id for order in listed} == {str(order.id) for order in venue.exchange.open_orders()}
    assert sum(order.conditional for order in listed) == count // 2
    before = len(venue.seen)
    assert adapter.cancel_all(listed).rejected == ()
    assert len(venue.seen) - before == 2 * len(venue.exchange.instruments)
    assert adapter.open_orders() == []
    assert venue.exchange.open_orders() == []
    assert adapter.cancel_all(listed).rejected == ()


def test_the_adapter_reads_holdings(venue: VenueServer) -> None:
    adapter = adapter_for(venue, "binanceusdm")
    trade(venue, "BTCUSDT", "0.5")
    venue.exchange.place("ETHUSDT", "sell", Decimal(2), Decimal(1))
    trade(venue, "SOLUSDT", "1")
    held = {position.symbol: position for position in adapter.positions()}
    assert (held["BTCUSDT"].qty, held["BTCUSDT"].avg_price) == (Decimal("0.5"), Decimal(999999))
    assert held["ETHUSDT"].qty == Decimal(-2)
    assert held["BTCUSDT"].unrealized_pnl == venue.exchange.unrealized_pnl("BTCUSDT")
    assert [(b.asset, b.total) for b in adapter.balances()] == [("USDT", venue.exchange.balances["USDT"])]
    assert adapter.status().online
    assert adapter.ticker() == ("BTCUSDT", venue.exchange.prices["BTCUSDT"], venue.exchange.feed_at_ms)
    assert abs(adapter.server_time() - venue.exchange.now_ms()) < 5000


def test_the_adapter_reads_every_page_of_fills_and_more_than_a_week(venue: VenueServer) -> None:
    adapter = adapter_for(venue, "binanceusdm")
    start = venue.exchange.now_ms() - 2 * TRADES_SPAN_MS
    venue.exchange.clock_skew_ms = 10_000 - 2 * TRADES_SPAN_MS
    trade(venue, "BTCUSDT", "0.01")
    venue.exchange.clock_skew_ms = -100_000
    for _ in range(3):
        trade(venue, "BTCUSDT", "0.01", times=MOST_TRADES_A_PAGE // 2)
    trade(venue, "ETHUSDT", "0.01")
    venue.exchange.clock_skew_ms = 0
    fills = adapter.fills(start, ["BTCUSDT", "ETHUSDT"])
    assert len(fills) == len({fill.id for fill in fills}) == len(venue.exchange.executions) == 1502
    assert fills == sorted(fills, key=lambda fill: fill.at_ms)
    assert {fill.symbol for fill in adapter.fills(start, ["ETHUSDT"])} == {"ETHUSDT"}


@pytest.mark.parametrize("key", [Key("nobody", KEY.secret), Key(KEY.id, "wrong")])
def test_a_wrong_key_or_signature_is_refused(venue: VenueServer, key: Key) -> None:
    with pytest.raises(AuthError) as caught:
        adapter_for(venue, "binanceusdm", key=key).open_orders()
    assert key.secret not in str(caught.value)


def test_a_key_that_may_only_read_cannot_cancel(venue: VenueServer) -> None:
    venue.exchange.keys[KEY.id].permissions = frozenset({"read"})
    seed(venue)
    adapter = adapter_for(venue, "binanceusdm")
    with pytest.raises(AuthError):
        adapter.cancel_all(adapter.open_orders())


@pytest.mark.parametrize("seconds", [120, -120])
def test_a_skewed_clock_is_mended_by_reading_the_venues(host: Host, venue: VenueServer, seconds: int) -> None:
    count = seed(venue)
    host.inject("binanceusdm", kind="clock_skew", seconds=seconds)
    assert len(adapter_for(venue, "binanceusdm").open_orders()) == count


@pytest.mark.parametrize("kind", ["html", "empty_object", "empty_body", "truncated", "wrong_schema"])
@pytest.mark.parametrize("read", ["open_orders", "positions", "balances", "fills"])
def test_a_spoiled_reply_is_never_an_empty_listing(host: Host, venue: VenueServer, kind: str, read: str) -> None:
    host.inject("binanceusdm", kind=kind)
    adapter = adapter_for(venue, "binanceusdm")
    with pytest.raises(MalformedReply):
        adapter.fills(venue.exchange.now_ms(), ["BTCUSDT"]) if read == "fills" else getattr(adapter, read)()


@pytest.mark.parametrize("kind", ["html", "empty_object", "wrong_schema"])
def test_one_spoiled_list_of_the_two_spoils_the_listing(host: Host, venue: VenueServer, kind: str) -> None:
    host.inject("binanceusdm", kind=kind, op="open_orders", remaining=1)
    adapter = adapter_for(venue, "binanceusdm")
    with pytest.raises(MalformedReply):
        adapter.open_orders()
    assert adapter.open_orders() == []


def test_a_cancel_that_was_carried_out_behind_a_502_is_unknown(host: Host, venue: VenueServer) -> None:
    seed(venue)
    adapter = adapter_for(venue, "binanceusdm")
    listed = adapter.open_orders()
    host.inject("binanceusdm", kind="status", op="cancel_all", status=502, executes=True)
    with pytest.raises(UnknownOutcome):
        adapter.cancel_all(listed)
    assert adapter.open_orders() == []


# The trading system's client ------------------------------------------------------------------------------------------


def test_the_trading_systems_client_quotes_and_books(host: Host, venue: VenueServer) -> None:
    venue.place_one("ETHUSDT")
    foreign = str(venue.place_one("BTCUSDT").id)

    async def work(gateway: BinanceUsdmGateway) -> None:
        quote = await gateway.quote()
        assert (quote.price, quote.at_ms) == (venue.exchange.prices["BTCUSDT"], venue.exchange.feed_at_ms)
        placed = await gateway.place("buy", Decimal("1000.5"), "hft-1-7")
        assert await gateway.open_order_ids() == {placed: "hft-1-7", foreign: ""}
        await gateway.cancel(placed)
        await gateway.cancel(placed)
        assert await gateway.open_order_ids() == {foreign: ""}
        for _ in range(3):
            trade(venue, "BTCUSDT", "0.01", times=MOST_TRADES_A_PAGE // 2)
        trade(venue, "ETHUSDT", "1")
        venue.exchange.clock_skew_ms = 0
        trades = await gateway.trades(0)
        assert len(trades) == len({found.id for found in trades}) == 1500
        assert {found.symbol for found in trades} == {gateway.symbol}
        held = {row.symbol: row.qty for row in await gateway.held()}
        assert held == {"BTCUSDT": Decimal(15), "ETHUSDT": Decimal(1)}

    with_gateway(host, venue, BinanceUsdmGateway, work)
