# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's OKX: ccxt as its oracle, and the product's adapter and the trading system's client against it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import ccxt
import pytest

from ansible_collections.hft.incident.plugins.module_utils.venues.errors import AuthError
from ansible_collections.hft.incident.plugins.module_utils.venues.okx import Okx
from hft_incident.lab.gateways.gateway import GatewayError
from hft_incident.lab.gateways.okx import OkxGateway
from hft_incident.lab.venues.exchange import Key
from hft_incident.lab.venues.okx import algo_kind
from hft_incident.lab.venues.server import VenueServer

from ..venues_host import KEY, Host, adapter_for
from .one_venue import seed, trade, with_gateway

DRIVER = "okx"


@pytest.fixture
def oracle(venue: VenueServer) -> Any:
    """ccxt's own client, its address turned to the lab, its markets loaded from there."""
    exchange = ccxt.okx({"apiKey": KEY.id, "secret": KEY.secret, "password": KEY.passphrase, "enableRateLimit": False})
    exchange.urls["api"] = {"rest": f"http://127.0.0.1:{venue.port}"}
    exchange.has["fetchCurrencies"] = False
    exchange.load_markets()
    return exchange


def ids(venue: VenueServer) -> set[str]:
    return {str(order.id) for order in venue.exchange.open_orders()}


def test_ccxt_trades_on_several_lines(venue: VenueServer, oracle: Any) -> None:
    assert abs(oracle.fetch_time() - venue.exchange.now_ms()) < 5000
    assert oracle.fetch_status()["status"] == "ok"
    for symbol in ("BTC/USDT", "BTC/USDT:USDT", "BTC/USDT:USDT-261225"):
        placed = oracle.create_order(symbol, "limit", "buy", 1, 1000)
        assert placed["id"] in ids(venue)
        (found,) = oracle.fetch_open_orders(symbol)
        assert (found["id"], found["side"], found["price"], found["remaining"]) == (placed["id"], "buy", 1000, 1)
        oracle.cancel_order(placed["id"], symbol)
        assert oracle.fetch_open_orders(symbol) == []
    with pytest.raises(ccxt.ExchangeError, match="51400"):
        oracle.cancel_order("1", "BTC/USDT")


def test_ccxt_finds_and_cancels_algo_orders(venue: VenueServer, oracle: Any) -> None:
    seed(venue, each=8)
    for kind in ("trigger", "iceberg", "twap", "oco"):
        listed = {order["id"] for order in oracle.fetch_open_orders(None, params={"ordType": kind})}
        assert listed == {str(o.id) for o in venue.exchange.open_orders(conditional=True) if algo_kind(o) == kind}
    first = venue.exchange.open_orders(lines=("SPOT",), symbol="BTC-USDT", conditional=True)[0]
    oracle.cancel_order(str(first.id), "BTC/USDT", {"trigger": True})
    assert first.state == "canceled"


def test_ccxt_reads_holdings(venue: VenueServer, oracle: Any) -> None:
    trade(venue, "BTC-USDT", "0.5")
    trade(venue, "BTC-USDT-SWAP", "-3")
    assert oracle.fetch_balance()["total"]["BTC"] == 100.5
    (position,) = oracle.fetch_positions()
    assert (position["symbol"], position["side"], position["contracts"]) == ("BTC/USDT:USDT", "short", 3)
    (traded,) = oracle.fetch_my_trades("BTC/USDT")
    assert (traded["side"], traded["amount"]) == ("buy", 0.5)


def test_ccxt_is_refused_as_the_venue_would(host: Host, oracle: Any) -> None:
    oracle.password = "wrong"
    with pytest.raises(ccxt.AuthenticationError, match="50105"):
        oracle.fetch_open_orders("BTC/USDT")
    oracle.password, oracle.secret = KEY.passphrase, "wrong"
    with pytest.raises(ccxt.AuthenticationError, match="50113"):
        oracle.fetch_open_orders("BTC/USDT")
    oracle.secret = KEY.secret
    host.inject("okx", kind="clock_skew", seconds=60)
    with pytest.raises(ccxt.InvalidNonce):
        oracle.fetch_open_orders("BTC/USDT")


def test_the_adapter_sees_every_line_kind_and_page_and_cancels_them(venue: VenueServer) -> None:
    adapter = adapter_for(venue, "okx")
    count = seed(venue, each=25)
    listed = adapter.open_orders()
    assert {order.id for order in listed} == ids(venue)
    assert {order.line for order in listed} == set(Okx.all_lines)
    assert sum(order.conditional for order in listed) == (count - 25) // 2
    spreads = 25  # taken as a whole: the venue names no orders
    assert adapter.cancel_all(listed) == (count - spreads, ())
    assert adapter.open_orders() == []
    assert venue.exchange.open_orders() == []


def test_every_list_is_read_to_its_last_page(venue: VenueServer) -> None:
    for _ in range(210):
        venue.place_one("BTC-USDT-SWAP")
        venue.place_one("BTC-USDT_BTC-USDT-SWAP")
    for _ in range(110 * 8):
        venue.place_one("BTC-USDT", conditional=True)
    adapter = adapter_for(venue, "okx")
    listed = adapter.open_orders()
    assert len(listed) == len(ids(venue)) == 420 + 880
    adapter.cancel_all(listed)
    assert venue.exchange.open_orders() == []


def test_each_order_that_is_not_cancelled_is_named(host: Host, venue: VenueServer) -> None:
    seed(venue, each=5)
    adapter = adapter_for(venue, "okx")
    host.inject("okx", kind="cancel_partial")
    adapter.cancel_all(adapter.open_orders())
    left = adapter.open_orders()
    assert left
    assert {order.id for order in left} == ids(venue)


def test_orders_that_are_gone_already_are_no_rejections(venue: VenueServer) -> None:
    seed(venue)
    adapter = adapter_for(venue, "okx")
    listed = adapter.open_orders()
    venue.exchange.cancel_all()
    assert adapter.cancel_all(listed) == (0, ())


def test_the_adapter_reads_holdings_and_fills(venue: VenueServer) -> None:
    adapter, start = adapter_for(venue, "okx"), venue.exchange.now_ms()
    trade(venue, "BTC-USDT", "0.5")
    trade(venue, "BTC-USDT-SWAP", "-3")
    held = {(p.line, p.symbol): (p.qty, p.unit) for p in adapter.positions()}
    assert held["SPOT", "BTC"] == (Decimal("100.5"), "base")
    assert held["SWAP", "BTC-USDT-SWAP"] == (Decimal(-3), "contract")
    assert {b.asset: b.total for b in adapter.balances()} == venue.exchange.balances
    assert {(f.symbol, f.side, f.qty) for f in adapter.fills(start)} == {
        ("BTC-USDT", "buy", Decimal("0.5")),
        ("BTC-USDT-SWAP", "sell", Decimal(3)),
    }
    assert adapter.status().online
    assert adapter.ticker() == ("BTC-USDT", venue.exchange.prices["BTC-USDT"], venue.exchange.feed_at_ms)


@pytest.mark.parametrize(
    "key",
    [Key("nobody", KEY.secret, KEY.passphrase), Key(KEY.id, "wrong", KEY.passphrase), Key(KEY.id, KEY.secret, "x")],
)
def test_a_wrong_key_signature_or_passphrase_is_refused(venue: VenueServer, key: Key) -> None:
    with pytest.raises(AuthError):
        adapter_for(venue, "okx", key=key).open_orders()


def test_a_key_that_may_not_trade_is_refused_to_cancel(venue: VenueServer) -> None:
    venue.exchange.keys[KEY.id].permissions = frozenset({"read"})
    adapter = adapter_for(venue, "okx")
    seed(venue)
    with pytest.raises(AuthError, match="50120"):
        adapter.cancel_all(adapter.open_orders())


def test_a_skewed_clock_is_mended_by_reading_the_venues(host: Host, venue: VenueServer) -> None:
    seed(venue)
    host.inject("okx", kind="clock_skew", seconds=120)
    assert len(adapter_for(venue, "okx").open_orders()) == len(venue.exchange.open_orders())


def test_the_trading_system_quotes_here(host: Host, venue: VenueServer) -> None:
    async def work(gateway: OkxGateway) -> None:
        price = (await gateway.quote()).price
        assert price == venue.exchange.prices[gateway.symbol]
        placed = {await gateway.place("buy", price / 2, f"mine{n}"): f"mine{n}" for n in range(101)}
        assert await gateway.open_order_ids() == placed
        for order_id in placed:
            await gateway.cancel(order_id)
            await gateway.cancel(order_id)
        assert await gateway.open_order_ids() == {}
        start = venue.exchange.now_ms()
        trade(venue, gateway.symbol, "-3")
        assert [(t.side, t.qty) for t in await gateway.trades(start)] == [("sell", Decimal(3))]
        assert {h.symbol: h.qty for h in await gateway.held()} == venue.exchange.balances
        with pytest.raises(GatewayError):
            await gateway.place("buy", Decimal(-1), "nonsense")

    with_gateway(host, venue, OkxGateway, work)
