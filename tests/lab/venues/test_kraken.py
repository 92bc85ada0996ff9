# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's Kraken: ccxt as its independent oracle, the product's adapter against it, and the lab's own client."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from ansible_collections.hft.incident.plugins.module_utils.venues.errors import (
    AuthError,
    ClockSkew,
    MalformedReply,
    UnknownOutcome,
)
from hft_incident.lab.gateways.kraken import KrakenGateway
from hft_incident.lab.venues.exchange import Key
from hft_incident.lab.venues.kraken import FILLS_PER_PAGE, txid
from hft_incident.lab.venues.server import VenueServer

from ..venues_host import KEY, Host, adapter_for
from .one_venue import seed, trade, with_gateway

DRIVER = "kraken"


@pytest.fixture
def oracle(venue: VenueServer) -> Any:
    """ccxt's own client, its addresses turned to the lab."""
    exchange = ccxt.kraken({"apiKey": KEY.id, "secret": KEY.secret, "enableRateLimit": False})
    origin = f"http://127.0.0.1:{venue.port}"
    exchange.urls["api"] |= {"public": origin, "private": origin}
    return exchange


# ccxt against the lab -------------------------------------------------------------------------------------------------


def test_ccxt_finds_a_venue_it_knows(venue: VenueServer, oracle: Any) -> None:
    assert abs(oracle.fetch_time() - venue.exchange.now_ms()) < 5000
    assert oracle.fetch_status()["status"] == "ok"
    assert oracle.fetch_ticker("BTC/USD")["last"] == float(venue.exchange.prices["XBTUSD"])
    assert oracle.fetch_trades("BTC/USD")[-1]["timestamp"] == venue.exchange.feed_at_ms
    placed = oracle.create_order("BTC/USD", "limit", "buy", 0.01, 1000, {"clientOrderId": "hft-1-1"})
    stop = oracle.create_order("ETH/USD", "market", "sell", 0.5, None, {"stopLossPrice": 1500})
    margin = oracle.create_order("BTC/USD", "limit", "sell", 0.02, 200000, {"leverage": "3"})
    listed = {order["id"]: order for order in oracle.fetch_open_orders()}
    assert set(listed) == {placed["id"], stop["id"], margin["id"]}
    assert listed[margin["id"]]["info"]["descr"]["leverage"] == "3:1"
    limit = listed[placed["id"]]
    assert (limit["symbol"], limit["side"], limit["price"], limit["remaining"]) == ("BTC/USD", "buy", 1000, 0.01)
    assert limit["clientOrderId"] == "hft-1-1"
    assert listed[stop["id"]]["stopLossPrice"] == 1500
    oracle.cancel_order(placed["id"])
    assert {order["id"] for order in oracle.fetch_open_orders()} == {stop["id"], margin["id"]}
    assert oracle.cancel_all_orders()[0]["info"]["result"]["count"] == 2
    assert venue.exchange.open_orders() == []
    with pytest.raises(ccxt.InvalidOrder):
        oracle.cancel_order(placed["id"])


def test_ccxt_reads_holdings_and_fills(venue: VenueServer, oracle: Any) -> None:
    trade(venue, "XBTUSD", "0.5")
    trade(venue, "M:ETHUSD", "2")
    assert oracle.fetch_balance()["BTC"]["total"] == 100.5
    (position,) = oracle.fetch_positions()
    assert (position["symbol"], position["side"], position["contracts"]) == ("ETH/USD", "long", 2)
    spot, margin = oracle.fetch_my_trades()
    assert (spot["symbol"], spot["side"], spot["amount"]) == ("BTC/USD", "buy", 0.5)
    assert (margin["symbol"], margin["amount"]) == ("ETH/USD", 2)


def test_ccxt_is_refused_as_the_venue_would(venue: VenueServer, oracle: Any) -> None:
    oracle.fetch_open_orders()
    with pytest.raises(ccxt.ExchangeError, match="Unknown asset pair"):
        oracle.private_post_addorder(
            {"pair": "NOSUCH", "type": "buy", "ordertype": "limit", "volume": "1", "price": "1"}
        )
    oracle.options["lastNonce"] = 0
    oracle.nonce = lambda: 1
    with pytest.raises(ccxt.InvalidNonce):
        oracle.fetch_open_orders()
    oracle.secret = "d3Jvbmc="
    with pytest.raises(ccxt.ExchangeError, match="Invalid signature"):
        oracle.fetch_open_orders()
    oracle.apiKey = "nobody"
    with pytest.raises(ccxt.AuthenticationError):
        oracle.fetch_open_orders()


# The product's adapter against the lab --------------------------------------------------------------------------------


def test_the_adapter_sees_every_line_and_cancels_it(venue: VenueServer) -> None:
    adapter = adapter_for(venue, "kraken")
    count = seed(venue, each=20)
    listed = adapter.open_orders()
    assert {order.id for order in listed} == {txid("O", order.id) for order in venue.exchange.open_orders()}
    assert sum(order.conditional for order in listed) == count // 2
    assert {order.line for order in listed} == {"spot", "margin"}
    before = len(venue.seen)
    assert adapter.cancel_all([]).accepted == count
    assert len(venue.seen) == before + 1
    assert adapter.open_orders() == []
    assert venue.exchange.open_orders() == []


def test_the_adapter_reads_holdings_and_every_page_of_fills(venue: VenueServer) -> None:
    adapter = adapter_for(venue, "kraken")
    trade(venue, "XBTUSD", "0.01", times=2 * FILLS_PER_PAGE + 1)
    trade(venue, "M:ETHUSD", "2")
    held = {(position.line, position.symbol): position for position in adapter.positions()}
    assert held["spot", "XXBT"].qty == venue.exchange.balances["XXBT"] == Decimal("101.01")
    assert held["margin", "ETHUSD"].qty == Decimal(2)
    assert held["margin", "ETHUSD"].avg_price == venue.exchange.holdings["M:ETHUSD"].avg_price
    fills = adapter.fills(0)
    assert [fill.id for fill in fills] == [txid("T", execution.id) for execution in venue.exchange.executions]
    assert {fill.symbol for fill in fills} == {"XBTUSD", "ETHUSD"}
    assert adapter.fills(venue.exchange.now_ms() + 60_000) == []
    assert {balance.asset for balance in adapter.balances()} >= {"XXBT", "XETH", "SOL"}
    assert adapter.status().online
    assert adapter.ticker() == ("XBTUSD", venue.exchange.prices["XBTUSD"], venue.exchange.feed_at_ms)
    assert abs(adapter.server_time() - venue.exchange.now_ms()) < 5000


@pytest.mark.parametrize("key", [Key("nobody", KEY.secret), Key(KEY.id, "d3Jvbmc="), Key(KEY.id, "%%%")])
def test_a_wrong_key_or_signature_is_refused(venue: VenueServer, key: Key) -> None:
    with pytest.raises(AuthError) as caught:
        adapter_for(venue, "kraken", key=key).open_orders()
    assert key.secret not in str(caught.value)


def test_a_key_that_may_only_read_cannot_cancel(venue: VenueServer) -> None:
    venue.exchange.keys[KEY.id].permissions = frozenset({"read"})
    seed(venue)
    adapter = adapter_for(venue, "kraken")
    with pytest.raises(AuthError, match="Permission denied"):
        adapter.cancel_all(adapter.open_orders())


def test_a_nonce_from_the_future_is_refused_with_a_hint_and_one_from_a_fast_clock_is_mended(
    host: Host, venue: VenueServer
) -> None:
    adapter = adapter_for(venue, "kraken")
    venue.exchange.keys[KEY.id].last_nonce = 10**19
    with pytest.raises(ClockSkew, match="another program"):
        adapter.open_orders()
    host.inject("kraken", kind="clock_skew", seconds=120)
    venue.exchange.keys[KEY.id].last_nonce = (venue.exchange.now_ms() - 60_000) * 1000
    assert adapter.open_orders() == []


def test_adapters_that_share_a_key_never_spoil_each_others_nonces(venue: VenueServer) -> None:
    seed(venue)
    failures: list[Exception] = []
    start = threading.Barrier(4)

    def work() -> None:
        adapter = adapter_for(venue, "kraken")
        start.wait()
        try:
            for _ in range(10):
                adapter.open_orders()
        except Exception as error:  # noqa: BLE001  # carried to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert not [seen for seen in venue.seen if seen.op == "time"], "a refused nonce would have read the clock"


@pytest.mark.parametrize("kind", ["html", "empty_object", "empty_body", "truncated", "wrong_schema"])
@pytest.mark.parametrize("read", ["open_orders", "positions", "balances"])
def test_a_spoiled_reply_is_never_an_empty_listing(host: Host, venue: VenueServer, kind: str, read: str) -> None:
    host.inject("kraken", kind=kind)
    with pytest.raises(MalformedReply):
        getattr(adapter_for(venue, "kraken"), read)()


def test_a_cancel_that_was_carried_out_behind_a_502_is_unknown(host: Host, venue: VenueServer) -> None:
    seed(venue)
    host.inject("kraken", kind="status", op="cancel_all", status=502, executes=True, remaining=1)
    adapter = adapter_for(venue, "kraken")
    with pytest.raises(UnknownOutcome):
        adapter.cancel_all([])
    assert adapter.open_orders() == []


# The trading system's client ------------------------------------------------------------------------------------------


def test_the_trading_systems_client_quotes_and_books(host: Host, venue: VenueServer) -> None:
    venue.place_one("M:XBTUSD")
    foreign = venue.place_one("XBTUSD")

    async def work(gateway: KrakenGateway) -> None:
        quote = await gateway.quote()
        assert (quote.price, quote.at_ms) == (venue.exchange.prices["XBTUSD"], venue.exchange.feed_at_ms)
        placed = await gateway.place("buy", Decimal("1000.5"), "hft-1-7")
        assert await gateway.open_order_ids() == {placed: "hft-1-7", txid("O", foreign.id): ""}
        await gateway.cancel(placed)
        await gateway.cancel(placed)
        assert await gateway.open_order_ids() == {txid("O", foreign.id): ""}
        trade(venue, "XBTUSD", "0.01", times=FILLS_PER_PAGE + 5)
        trade(venue, "M:XBTUSD", "0.01")
        trades = await gateway.trades(0)
        assert {found.id for found in trades} == {
            txid("T", e.id) for e in venue.exchange.executions if e.order.line == "spot"
        }
        assert {found.symbol for found in trades} == {gateway.symbol}
        held = {row.symbol: row.qty for row in await gateway.held()}
        assert held["XXBT"] == Decimal("100.55")

    with_gateway(host, venue, KrakenGateway, work)
