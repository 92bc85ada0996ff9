# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's Deribit: ccxt as its independent oracle, the product's adapter and the lab's own client against it."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt
import pytest

from ansible_collections.hft.incident.plugins.module_utils.venues.deribit import Deribit
from ansible_collections.hft.incident.plugins.module_utils.venues.errors import (
    AuthError,
    MalformedReply,
    RateLimited,
    Rejected,
    UnknownOutcome,
)
from hft_incident.lab import signatures
from hft_incident.lab.gateways.deribit import DeribitGateway
from hft_incident.lab.gateways.gateway import GatewayError
from hft_incident.lab.venues import dialect
from hft_incident.lab.venues.deribit import KINDS, MOST_TRADES_A_PAGE, RECENT_TRADES_MS, order_id
from hft_incident.lab.venues.exchange import Key
from hft_incident.lab.venues.server import VenueServer

from ..venues_host import KEY, Host, adapter_for
from .one_venue import seed, trade, with_gateway

LINEAR = "BTC_USDC-PERPETUAL"
DRIVER = "deribit"


@pytest.fixture
def oracle(venue: VenueServer) -> Any:
    """ccxt's own client, its address turned to the lab."""
    exchange = ccxt.deribit({"apiKey": KEY.id, "secret": KEY.secret, "enableRateLimit": False})
    exchange.urls["api"] = {"rest": f"http://127.0.0.1:{venue.port}"}
    nonces = itertools.count(exchange.milliseconds())
    exchange.nonce = lambda: next(nonces)  # its own, the time in ms, serves twice in a lab that answers at once
    return exchange


# ccxt against the lab -------------------------------------------------------------------------------------------------


def test_ccxt_finds_a_venue_it_knows(venue: VenueServer, oracle: Any) -> None:
    linear, inverse = "BTC/USDC:USDC", "ETH/USD:ETH"
    assert abs(oracle.fetch_time() - venue.exchange.now_ms()) < 5000
    assert oracle.fetch_status()["status"] == "ok"
    assert oracle.fetch_ticker(linear)["last"] == float(venue.exchange.prices[LINEAR])
    placed = oracle.create_order(linear, "limit", "buy", 0.01, 1000)
    stop = oracle.create_order(inverse, "market", "sell", 5, None, {"stopLossPrice": 1500})
    assert (placed["symbol"], placed["side"], placed["amount"], placed["price"]) == (linear, "buy", 0.01, 1000)
    assert [order["id"] for order in oracle.fetch_open_orders(params={"code": "USDC"})] == [placed["id"]]
    assert [order["id"] for order in oracle.fetch_open_orders(params={"code": "ETH"})] == [stop["id"]]
    assert oracle.fetch_open_orders(linear)[0]["status"] == "open"
    assert oracle.cancel_order(placed["id"])["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound):
        oracle.cancel_order(placed["id"])
    oracle.cancel_all_orders()
    assert oracle.fetch_open_orders(params={"code": "ETH"}) == []
    assert venue.exchange.open_orders() == []


def test_ccxt_knows_every_kind_of_instrument(venue: VenueServer, oracle: Any) -> None:
    markets = oracle.load_markets()
    assert {market["id"] for market in markets.values()} == set(venue.exchange.instruments)
    assert {market["info"]["kind"] for market in markets.values()} == set(KINDS)
    assert markets["BTC/USD:BTC-261225-90000-C"]["optionType"] == "call"


def test_ccxt_reads_holdings_and_fills(venue: VenueServer, oracle: Any) -> None:
    trade(venue, LINEAR, "0.5")
    trade(venue, "BTC-PERPETUAL", "100")
    held = {position["symbol"]: position for position in oracle.fetch_positions()}
    assert (held["BTC/USDC:USDC"]["contracts"], held["BTC/USDC:USDC"]["side"]) == (0.5, "long")
    assert held["BTC/USD:BTC"]["contracts"] == 100
    assert [fill["symbol"] for fill in oracle.fetch_my_trades("BTC/USDC:USDC")] == ["BTC/USDC:USDC"]
    assert [fill["amount"] for fill in oracle.fetch_my_trades(params={"code": "BTC"})] == [100]
    assert oracle.fetch_balance()["BTC"]["total"] == 100


def test_ccxt_is_refused_as_the_venue_would(venue: VenueServer, oracle: Any) -> None:
    oracle.load_markets()
    with pytest.raises(ccxt.ExchangeError, match="not_found"):
        oracle.private_get_buy({"instrument_name": "NO-SUCH", "amount": 1, "price": 1, "type": "limit"})
    with pytest.raises(ccxt.BadRequest, match="trigger_price"):
        oracle.private_get_buy({"instrument_name": LINEAR, "amount": 1, "type": "stop_market"})
    oracle.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        oracle.fetch_balance()


# The product's adapter against the lab --------------------------------------------------------------------------------


def test_the_adapter_sees_every_kind_and_currency_and_cancels_it(venue: VenueServer) -> None:
    adapter = adapter_for(venue, "deribit")
    count = seed(venue, each=20)
    listed = adapter.open_orders()
    assert {order.id for order in listed} == {order_id(order) for order in venue.exchange.open_orders()}
    assert {order.symbol: order.line for order in listed} == {
        symbol: instrument.line for symbol, instrument in venue.exchange.instruments.items()
    }
    assert sum(order.conditional for order in listed) == count // 2
    before = len(venue.seen)
    assert adapter.cancel_all([]) == (count, ())
    assert len(venue.seen) == before + 1
    assert adapter.open_orders() == []
    assert venue.exchange.open_orders() == []
    assert adapter.cancel_all([]) == (0, ())


def test_an_account_restricted_to_some_kinds_leaves_the_others_alone(venue: VenueServer) -> None:
    seed(venue)
    unrestricted = adapter_for(venue, "deribit")
    adapter = Deribit(unrestricted.http, unrestricted._credentials, lines=["option", "spot"])
    assert {order.line for order in adapter.open_orders()} == {"option", "spot"}
    assert adapter.cancel_all([]).accepted == 6
    assert adapter.open_orders() == []
    assert {order.line for order in unrestricted.open_orders()} == {"future", "future_combo", "option_combo"}


def test_the_adapter_reads_holdings(venue: VenueServer) -> None:
    adapter = adapter_for(venue, "deribit")
    trade(venue, LINEAR, "0.5")
    venue.exchange.place("BTC-PERPETUAL", "sell", Decimal(100), Decimal(1))
    trade(venue, "BTC-25DEC26-90000-C", "2")
    held = {position.symbol: position for position in adapter.positions()}
    assert (held[LINEAR].qty, held[LINEAR].unit, held[LINEAR].avg_price) == (Decimal("0.5"), "base", Decimal(999999))
    assert (held["BTC-PERPETUAL"].qty, held["BTC-PERPETUAL"].unit) == (Decimal(-100), "usd")
    assert (held["BTC-25DEC26-90000-C"].qty, held["BTC-25DEC26-90000-C"].line) == (Decimal(2), "option")
    assert {b.asset: b.total for b in adapter.balances()} == {
        c: venue.exchange.balances[c] for c in ("BTC", "ETH", "USDC")
    }
    assert adapter.status() == (True, "locked: false")
    assert adapter.ticker() == (
        "BTC-PERPETUAL",
        venue.exchange.prices["BTC-PERPETUAL"],
        venue.exchange.feed_at_ms,
    )
    assert abs(adapter.server_time() - venue.exchange.now_ms()) < 5000


def test_the_adapter_reads_every_page_of_fills_of_every_currency(venue: VenueServer) -> None:
    adapter = adapter_for(venue, "deribit")
    for _ in range(3):
        trade(venue, LINEAR, "0.01", times=MOST_TRADES_A_PAGE // 2)
    trade(venue, "ETH-PERPETUAL", "10")
    fills = adapter.fills(0)
    assert len(fills) == len({fill.id for fill in fills}) == len(venue.exchange.executions) == 1501
    assert fills == sorted(fills, key=lambda fill: fill.at_ms)
    assert adapter.fills(venue.exchange.now_ms() + 60_000) == []


def test_the_adapter_finds_fills_that_are_history_at_the_venue(venue: VenueServer) -> None:
    venue.exchange.clock_skew_ms = -2 * RECENT_TRADES_MS
    trade(venue, LINEAR, "0.01")
    venue.exchange.clock_skew_ms = 0
    trade(venue, LINEAR, "0.02")
    adapter = adapter_for(venue, "deribit")
    assert [fill.qty for fill in adapter.fills(0)] == [Decimal("0.01"), Decimal("0.02")]
    assert [fill.qty for fill in adapter.fills(venue.exchange.now_ms() - 3_600_000)] == [Decimal("0.02")]


@pytest.mark.parametrize("key", [Key("nobody", KEY.secret), Key(KEY.id, "wrong")])
def test_a_wrong_key_or_signature_is_refused(venue: VenueServer, key: Key) -> None:
    with pytest.raises(AuthError) as caught:
        adapter_for(venue, "deribit", key=key).open_orders()
    assert key.secret not in str(caught.value)


def test_a_key_that_may_only_read_cannot_cancel(venue: VenueServer) -> None:
    venue.exchange.keys[KEY.id].permissions = frozenset({"read"})
    seed(venue)
    adapter = adapter_for(venue, "deribit")
    with pytest.raises(AuthError, match="forbidden"):
        adapter.cancel_all(adapter.open_orders())


def test_too_many_requests_are_told(venue: VenueServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialect, "RATE_LIMIT", 1)
    adapter = adapter_for(venue, "deribit")
    adapter.open_orders()
    with pytest.raises(RateLimited):
        adapter.open_orders()


@pytest.mark.parametrize("seconds", [120, -120])
def test_a_skewed_clock_is_mended_by_reading_the_venues(host: Host, venue: VenueServer, seconds: int) -> None:
    count = seed(venue)
    host.inject("deribit", kind="clock_skew", seconds=seconds)
    assert len(adapter_for(venue, "deribit").open_orders()) == count


def test_a_nonce_serves_once_and_a_time_stamp_for_a_minute(host: Host, venue: VenueServer) -> None:
    target = "/api/v2/private/get_open_orders"

    async def ask(nonce: str, age_ms: int = 0) -> Any:
        timestamp = str(venue.exchange.now_ms() - age_ms)
        signature = signatures.deribit(KEY.secret, timestamp, nonce, "GET", target, "")
        headers = {"Authorization": f"deri-hmac-sha256 id={KEY.id},ts={timestamp},sig={signature},nonce={nonce}"}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{venue.port}{target}", headers=headers) as reply,
        ):
            return await reply.json()

    assert host.run(ask("a"))["result"] == []
    assert host.run(ask("a"))["error"]["code"] == 13009
    assert host.run(ask("b", age_ms=61_000))["error"]["code"] == 13009
    assert host.run(ask("b"))["result"] == []


@pytest.mark.parametrize("kind", ["html", "empty_object", "empty_body", "truncated", "wrong_schema"])
@pytest.mark.parametrize("read", ["open_orders", "positions", "balances", "fills"])
def test_a_spoiled_reply_is_never_an_empty_listing(host: Host, venue: VenueServer, kind: str, read: str) -> None:
    host.inject("deribit", kind=kind)
    adapter = adapter_for(venue, "deribit")
    with pytest.raises(MalformedReply):
        adapter.fills(0) if read == "fills" else getattr(adapter, read)()


def test_a_cancel_that_was_carried_out_behind_a_502_is_unknown(host: Host, venue: VenueServer) -> None:
    seed(venue)
    host.inject("deribit", kind="status", op="cancel_all", status=502, executes=True, remaining=1)
    adapter = adapter_for(venue, "deribit")
    with pytest.raises(UnknownOutcome):
        adapter.cancel_all([])
    assert adapter.open_orders() == []


def test_what_the_venue_does_not_know_is_rejected(venue: VenueServer) -> None:
    adapter = adapter_for(venue, "deribit")
    with pytest.raises(Rejected, match="invalid kind"):
        adapter.ask(Deribit.OPEN_ORDERS.given(kind="fruit"))


# The trading system's client ------------------------------------------------------------------------------------------


def test_the_trading_systems_client_quotes_and_books(host: Host, venue: VenueServer) -> None:
    venue.place_one("ETH-PERPETUAL")
    foreign = order_id(venue.place_one(LINEAR))

    async def work(gateway: DeribitGateway) -> None:
        quote = await gateway.quote()
        assert (quote.price, quote.at_ms) == (venue.exchange.prices[LINEAR], venue.exchange.feed_at_ms)
        placed = await gateway.place("buy", Decimal("1000.5"), "hft-1-7")
        assert await gateway.open_order_ids() == {placed: "hft-1-7", foreign: ""}
        await gateway.cancel(placed)
        await gateway.cancel(placed)
        assert await gateway.open_order_ids() == {foreign: ""}
        for _ in range(3):
            trade(venue, LINEAR, "0.01", times=MOST_TRADES_A_PAGE // 2)
        trade(venue, "ETH-PERPETUAL", "1")
        trades = await gateway.trades(0)
        assert len(trades) == len({found.id for found in trades}) == 1500
        assert {found.symbol for found in trades} == {gateway.symbol}
        held = {row.symbol: row.qty for row in await gateway.held()}
        assert held == {LINEAR: Decimal(15), "ETH-PERPETUAL": Decimal(1)}

    with_gateway(host, venue, DeribitGateway, work)


def test_the_client_reads_no_listing_out_of_a_maintenance_page(host: Host, venue: VenueServer) -> None:
    async def work(gateway: DeribitGateway) -> None:
        for kind in ("html", "empty_object", "wrong_schema"):
            venue.faults.inject({"kind": kind, "remaining": 1})
            with pytest.raises(GatewayError):
                await gateway.open_order_ids()

    with_gateway(host, venue, DeribitGateway, work)
