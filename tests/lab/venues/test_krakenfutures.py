# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's Kraken Futures: ccxt as its independent oracle, the product's adapter and the lab's client against it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import aiohttp
import ccxt
import pytest

from ansible_collections.hft.incident.plugins.module_utils.venues.errors import (
    AuthError,
    MalformedReply,
    UnknownOutcome,
)
from hft_incident.lab import signatures
from hft_incident.lab.gateways.krakenfutures import KrakenFuturesGateway
from hft_incident.lab.venues.exchange import Key
from hft_incident.lab.venues.krakenfutures import FILLS_PER_PAGE, order_id
from hft_incident.lab.venues.server import VenueServer

from ..venues_host import KEY, Host, adapter_for
from .one_venue import seed, trade, with_gateway

LINES = {"PF", "PI", "FF", "FI"}
DRIVER = "krakenfutures"


@pytest.fixture
def oracle(venue: VenueServer) -> Any:
    """ccxt's own client, its addresses turned to the lab."""
    exchange = ccxt.krakenfutures({"apiKey": KEY.id, "secret": KEY.secret, "enableRateLimit": False})
    origin = f"http://127.0.0.1:{venue.port}/derivatives/api/"
    exchange.urls["api"] |= {"public": origin, "private": origin}
    return exchange


# ccxt against the lab -------------------------------------------------------------------------------------------------


def test_ccxt_finds_a_venue_it_knows(venue: VenueServer, oracle: Any) -> None:
    perpetual, inverse = "BTC/USD:USD", "BTC/USD:BTC"
    assert oracle.fetch_ticker(perpetual)["last"] == float(venue.exchange.prices["PF_XBTUSD"])
    placed = oracle.create_order(perpetual, "limit", "buy", 0.01, 1000, {"clientOrderId": "hft-1-1"})
    stop = oracle.create_order(inverse, "market", "sell", 5, None, {"triggerPrice": 1500})
    assert placed["status"] == "open"
    listed = {order["id"]: order for order in oracle.fetch_open_orders()}
    assert set(listed) == {placed["id"], stop["id"]}
    limit = listed[placed["id"]]
    assert (limit["symbol"], limit["side"], limit["remaining"], limit["type"]) == (perpetual, "buy", 0.01, "limit")
    assert (limit["clientOrderId"], limit["status"]) == ("hft-1-1", "open")
    assert (listed[stop["id"]]["symbol"], listed[stop["id"]]["triggerPrice"]) == (inverse, 1500)
    assert oracle.cancel_order(placed["id"])["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound):
        oracle.cancel_order(placed["id"])
    assert [order["id"] for order in oracle.cancel_all_orders()] == [stop["id"]]
    assert oracle.fetch_open_orders() == []
    assert oracle.cancel_all_orders() == []
    assert venue.exchange.open_orders() == []
    with pytest.raises(ccxt.InvalidOrder, match="invalidOrderType"):
        oracle.create_order(perpetual, "odd", "buy", 0.01, 1000)


def test_ccxt_reads_holdings_and_fills(venue: VenueServer, oracle: Any) -> None:
    trade(venue, "PF_XBTUSD", "0.5")
    trade(venue, "PI_XBTUSD", "100")
    linear, inverse = oracle.fetch_positions()
    assert (linear["symbol"], linear["side"], linear["contracts"]) == ("BTC/USD:USD", "long", 0.5)
    assert (inverse["symbol"], inverse["contracts"]) == ("BTC/USD:BTC", 100)
    assert [fill["symbol"] for fill in oracle.fetch_my_trades()] == ["BTC/USD:USD", "BTC/USD:BTC"]
    assert oracle.fetch_balance()["BTC"]["total"] == 100
    assert oracle.fetch_balance({"type": "cash"})["BTC"]["total"] == 0


def test_ccxt_is_refused_as_the_venue_would(venue: VenueServer, oracle: Any) -> None:
    oracle.load_markets()
    with pytest.raises(ccxt.BadSymbol):
        oracle.private_post_sendorder(
            {"symbol": "PF_NOSUCH", "side": "buy", "size": "1", "orderType": "lmt", "limitPrice": "1"}
        )
    oracle.secret = "d3Jvbmc="
    with pytest.raises(ccxt.AuthenticationError):
        oracle.fetch_open_orders()


# The product's adapter against the lab --------------------------------------------------------------------------------


def test_the_adapter_sees_every_line_and_cancels_it(venue: VenueServer) -> None:
    adapter = adapter_for(venue, "krakenfutures")
    count = seed(venue, each=20)
    listed = adapter.open_orders()
    assert {order.id for order in listed} == {order_id(order) for order in venue.exchange.open_orders()}
    assert sum(order.conditional for order in listed) == count // 2
    assert {order.line for order in listed} == LINES
    before = len(venue.seen)
    assert adapter.cancel_all([]).accepted == count
    assert len(venue.seen) == before + 1
    assert adapter.open_orders() == []
    assert venue.exchange.open_orders() == []
    assert adapter.cancel_all([]) == (0, ())


def test_the_adapter_reads_holdings_and_every_page_of_fills(venue: VenueServer) -> None:
    adapter = adapter_for(venue, "krakenfutures")
    venue.exchange.place("PI_XBTUSD", "sell", Decimal(100), Decimal(1))
    for _ in range(6):
        trade(venue, "PF_XBTUSD", "0.01", times=FILLS_PER_PAGE // 2 - 5)
    held = {position.symbol: position for position in adapter.positions()}
    assert (held["PF_XBTUSD"].qty, held["PF_XBTUSD"].unit) == (Decimal("2.7"), "base")
    assert (held["PI_XBTUSD"].qty, held["PI_XBTUSD"].unit) == (Decimal(-100), "usd")
    fills = adapter.fills(0)
    assert len(fills) == len({fill.id for fill in fills}) == len(venue.exchange.executions) == 271
    assert fills == sorted(fills, key=lambda fill: fill.at_ms)
    assert adapter.fills(venue.exchange.now_ms() + 60_000) == []
    assert {balance.asset: balance.total for balance in adapter.balances()}["XBT"] == Decimal(100)
    assert adapter.status().online
    assert adapter.ticker() == ("PF_XBTUSD", venue.exchange.prices["PF_XBTUSD"], venue.exchange.feed_at_ms)
    assert abs(adapter.server_time() - venue.exchange.now_ms()) < 5000


@pytest.mark.parametrize("key", [Key("nobody", KEY.secret), Key(KEY.id, "d3Jvbmc="), Key(KEY.id, "%%%")])
def test_a_wrong_key_or_signature_is_refused(venue: VenueServer, key: Key) -> None:
    with pytest.raises(AuthError) as caught:
        adapter_for(venue, "krakenfutures", key=key).open_orders()
    assert key.secret not in str(caught.value)


def test_a_key_that_may_only_read_cannot_cancel(venue: VenueServer) -> None:
    venue.exchange.keys[KEY.id].permissions = frozenset({"read"})
    seed(venue)
    adapter = adapter_for(venue, "krakenfutures")
    with pytest.raises(AuthError):
        adapter.cancel_all(adapter.open_orders())


def test_a_nonce_that_does_not_rise_is_refused(host: Host, venue: VenueServer) -> None:
    """The nonce is optional; where a client sends one it must rise."""

    async def ask(nonce: str) -> Any:
        path = "/api/v3/openorders"
        headers = {"APIKey": KEY.id, "Nonce": nonce, "Authent": signatures.krakenfutures(KEY.secret, "", nonce, path)}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{venue.port}/derivatives{path}", headers=headers) as reply,
        ):
            return await reply.json()

    assert host.run(ask("7"))["result"] == "success"
    assert host.run(ask("7"))["error"] == "nonceBelowThreshold"
    assert host.run(ask("8"))["result"] == "success"


@pytest.mark.parametrize("kind", ["html", "empty_object", "empty_body", "truncated", "wrong_schema"])
@pytest.mark.parametrize("read", ["open_orders", "positions", "balances"])
def test_a_spoiled_reply_is_never_an_empty_listing(host: Host, venue: VenueServer, kind: str, read: str) -> None:
    host.inject("krakenfutures", kind=kind)
    with pytest.raises(MalformedReply):
        getattr(adapter_for(venue, "krakenfutures"), read)()


def test_a_cancel_that_was_carried_out_behind_a_502_is_unknown(host: Host, venue: VenueServer) -> None:
    seed(venue)
    host.inject("krakenfutures", kind="status", op="cancel_all", status=502, executes=True, remaining=1)
    adapter = adapter_for(venue, "krakenfutures")
    with pytest.raises(UnknownOutcome):
        adapter.cancel_all([])
    assert adapter.open_orders() == []


# The trading system's client ------------------------------------------------------------------------------------------


def test_the_trading_systems_client_quotes_and_books(host: Host, venue: VenueServer) -> None:
    venue.place_one("PI_XBTUSD")
    foreign = order_id(venue.place_one("PF_XBTUSD"))

    async def work(gateway: KrakenFuturesGateway) -> None:
        quote = await gateway.quote()
        assert (quote.price, quote.at_ms) == (venue.exchange.prices["PF_XBTUSD"], venue.exchange.feed_at_ms)
        placed = await gateway.place("buy", Decimal("1000.5"), "hft-1-7")
        assert await gateway.open_order_ids() == {placed: "hft-1-7", foreign: ""}
        await gateway.cancel(placed)
        await gateway.cancel(placed)
        assert await gateway.open_order_ids() == {foreign: ""}
        for _ in range(3):
            trade(venue, "PF_XBTUSD", "0.01", times=FILLS_PER_PAGE - 30)
        trade(venue, "PI_XBTUSD", "1")
        trades = await gateway.trades(0)
        assert len(trades) == len({found.id for found in trades}) == 210
        assert {found.symbol for found in trades} == {gateway.symbol}
        held = {row.symbol: row.qty for row in await gateway.held()}
        assert held == {"PF_XBTUSD": Decimal("2.1"), "PI_XBTUSD": Decimal(1)}

    with_gateway(host, venue, KrakenFuturesGateway, work)
