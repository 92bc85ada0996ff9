# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Binance USDⓈ-M: every request against ccxt's own signature, documented replies, and what proves nothing.

The example replies are those of developers.binance.com/docs/derivatives/usds-margined-futures.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.venues.api import Call, OpenOrder, Position
from ansible_collections.hft.incident.plugins.module_utils.venues.binance import RECV_WINDOW_MS
from ansible_collections.hft.incident.plugins.module_utils.venues.binanceusdm import (
    FILLS_A_PAGE,
    FILLS_SPAN_MS,
    BinanceUsdm,
)
from ansible_collections.hft.incident.plugins.module_utils.venues.errors import (
    AuthError,
    Banned,
    MalformedReply,
    RateLimited,
    Rejected,
    Unavailable,
    UnknownOutcome,
    VenueError,
)

from . import oracle, stub
from .stub import FALSE_EMPTY, FALSE_EMPTY_LIST, Reply

ORDERS, ALGO_ORDERS = BinanceUsdm.ORDERS.path, BinanceUsdm.ALGO_ORDERS.path
CANCEL, CANCEL_ALGO, FILLS = BinanceUsdm.CANCEL.path, BinanceUsdm.CANCEL_ALGO.path, BinanceUsdm.FILLS.path
SYMBOL = {"symbol": "BTCUSDT"}
DONE = {"code": 200, "msg": "The operation of cancel all open order is done."}

REQUESTS = [
    (BinanceUsdm.TIME, "fapiPublic"),
    (BinanceUsdm.PING, "fapiPublic"),
    (BinanceUsdm.TICKER.given(**SYMBOL), "fapiPublic"),
    (BinanceUsdm.ORDERS, "fapiPrivate"),
    (BinanceUsdm.ALGO_ORDERS, "fapiPrivate"),
    (BinanceUsdm.CANCEL.given(**SYMBOL), "fapiPrivate"),
    (BinanceUsdm.CANCEL_ALGO.given(**SYMBOL), "fapiPrivate"),
    (BinanceUsdm.POSITIONS, "fapiPrivateV3"),
    (BinanceUsdm.BALANCES, "fapiPrivateV3"),
    (BinanceUsdm.FILLS.given(**SYMBOL, startTime=1, endTime=2, limit=FILLS_A_PAGE), "fapiPrivate"),
]

LIMIT_ORDER = {
    "avgPrice": "0.00000",
    "clientOrderId": "abc",
    "cumQuote": "0",
    "executedQty": "0.15",
    "orderId": 1917641,
    "origQty": "0.40",
    "origType": "LIMIT",
    "price": "9300.5",
    "reduceOnly": False,
    "side": "BUY",
    "positionSide": "SHORT",
    "status": "NEW",
    "stopPrice": "0",
    "closePosition": False,
    "symbol": "BTCUSDT",
    "time": 1579276756075,
    "timeInForce": "GTC",
    "type": "LIMIT",
    "updateTime": 1579276756075,
}
STOP_ORDER = {
    "algoId": 2148627,
    "clientAlgoId": "MRumok0dkhrP4kCm12AHaB",
    "algoType": "CONDITIONAL",
    "orderType": "STOP_MARKET",
    "symbol": "BNBUSDT",
    "side": "SELL",
    "positionSide": "BOTH",
    "timeInForce": "GTC",
    "quantity": "0.01",
    "algoStatus": "NEW",
    "actualOrderId": "",
    "actualPrice": "0.00000",
    "triggerPrice": "750.000",
    "price": "0.000",
    "icebergQuantity": None,
    "closePosition": False,
    "createTime": 1750514941540,
}
POSITION = {
    "symbol": "ADAUSDT",
    "positionSide": "BOTH",
    "positionAmt": "-30",
    "entryPrice": "0.385",
    "breakEvenPrice": "0.385077",
    "markPrice": "0.41047590",
    "unRealizedProfit": "-0.76427700",
    "liquidationPrice": "0",
    "notional": "12.31427700",
    "marginAsset": "USDT",
    "updateTime": 1720736417660,
}
BALANCE = {
    "accountAlias": "SgsR",
    "asset": "USDT",
    "balance": "122607.35137903",
    "crossWalletBalance": "23.72469206",
    "crossUnPnl": "0.00000000",
    "availableBalance": "23.72469206",
    "maxWithdrawAmount": "23.72469206",
    "marginAvailable": True,
    "updateTime": 1617939110373,
}


def trade(number: int, at_ms: int) -> dict[str, Any]:
    return {
        "buyer": False,
        "commission": "-0.07819010",
        "commissionAsset": "USDT",
        "id": number,
        "maker": False,
        "orderId": 25851813,
        "price": "7819.01",
        "qty": "0.002",
        "quoteQty": "15.63802",
        "realizedPnl": "-0.91539999",
        "side": "SELL",
        "positionSide": "SHORT",
        "symbol": "BTCUSDT",
        "time": at_ms,
    }


def listed(symbol: str, *, conditional: bool = False) -> OpenOrder:
    return OpenOrder("1", symbol, "linear", "buy", Decimal(1), Decimal(1), conditional)


@pytest.mark.parametrize(("call", "api"), REQUESTS, ids=lambda value: getattr(value, "name", None))
def test_every_request_is_the_one_ccxt_would_send(call: Call, api: str) -> None:
    exchange = oracle.ccxt_exchange("binanceusdm", recvWindow=RECV_WINDOW_MS)
    wire = oracle.ours(oracle.adapter(BinanceUsdm).sign(call))
    assert wire == oracle.theirs(
        exchange, call.path.split("/", 3)[3], [api, call.method], call.method, dict(call.params)
    )


def test_open_orders_are_regular_and_conditional_ones() -> None:
    adapter, http = stub.venue(BinanceUsdm, {ORDERS: [LIMIT_ORDER], ALGO_ORDERS: [STOP_ORDER]})
    limit, stop = adapter.open_orders()
    assert limit == ("1917641", "BTCUSDT", "linear", "buy", Decimal("0.25"), Decimal("9300.5"), False, "abc")
    assert stop[:7] == ("2148627", "BNBUSDT", "linear", "sell", Decimal("0.01"), None, True)
    assert {asked.path for asked in http.asked} == {ORDERS, ALGO_ORDERS}


def test_cancel_all_asks_once_for_each_symbol_and_kind() -> None:
    adapter, http = stub.venue(BinanceUsdm, {CANCEL: DONE, CANCEL_ALGO: DONE})
    orders = [listed("BTCUSDT"), listed("BTCUSDT"), listed("ETHUSDT"), listed("BTCUSDT", conditional=True)]
    assert adapter.cancel_all(orders).rejected == ()
    assert sorted((asked.method, asked.path, asked.query["symbol"]) for asked in http.asked) == [
        ("DELETE", CANCEL_ALGO, "BTCUSDT"),
        ("DELETE", CANCEL, "BTCUSDT"),
        ("DELETE", CANCEL, "ETHUSDT"),
    ]


def test_nothing_to_cancel_is_no_rejection_and_a_refusal_is_one() -> None:
    nothing = Reply({"code": -2011, "msg": "Unknown order sent."}, 400)
    refused = Reply({"code": -1121, "msg": "Invalid symbol."}, 400)
    adapter, _ = stub.venue(BinanceUsdm, {CANCEL: nothing, CANCEL_ALGO: refused})
    reply = adapter.cancel_all([listed("BTCUSDT"), listed("BTCUSDT", conditional=True)])
    assert reply == (0, ("DELETE /fapi/v1/algoOpenOrders: Invalid symbol. (-1121)",))


def test_positions_and_balances_leave_out_what_is_zero() -> None:
    replies = {
        BinanceUsdm.POSITIONS.path: [POSITION, {**POSITION, "positionAmt": "0"}],
        BinanceUsdm.BALANCES.path: [BALANCE, {**BALANCE, "asset": "BNB", "balance": "0.00000000"}],
    }
    adapter, _ = stub.venue(BinanceUsdm, replies)
    assert adapter.positions() == [
        Position(
            "ADAUSDT",
            "linear",
            Decimal(-30),
            avg_price=Decimal("0.385"),
            unrealized_pnl=Decimal("-0.76427700"),
            mark_price=Decimal("0.41047590"),
            pnl_asset="USDT",
        )
    ]
    assert adapter.balances() == [("USDT", Decimal("122607.35137903"), Decimal("23.72469206"))]


@pytest.mark.parametrize("field", ["positionAmt", "entryPrice", "unRealizedProfit", "markPrice", "marginAsset"])
@pytest.mark.parametrize("spoil", [lambda row, field: row.pop(field), lambda row, field: row.update({field: None})])
def test_a_position_without_one_of_its_figures_proves_nothing(field: str, spoil: Any) -> None:
    row = dict(POSITION)
    spoil(row, field)
    adapter, _ = stub.venue(BinanceUsdm, {BinanceUsdm.POSITIONS.path: [row]})
    with pytest.raises(MalformedReply, match=field):
        adapter.positions()


def test_a_full_page_of_fills_is_followed_by_the_next() -> None:
    start = oracle.NOW_MS - 10_000
    first = [trade(n, start + n) for n in range(FILLS_A_PAGE)]
    adapter, http = stub.venue(BinanceUsdm, {FILLS: (first, [first[-1], trade(FILLS_A_PAGE, start + 2000)])})
    fills = adapter.fills(start, ["BTCUSDT"])
    assert sorted(int(fill.id) for fill in fills) == list(range(FILLS_A_PAGE + 1))
    assert (fills[0].side, fills[0].fee, fills[0].fee_asset) == ("sell", Decimal("-0.07819010"), "USDT")
    assert [asked.query["startTime"] for asked in http.asked] == [str(start), str(start + FILLS_A_PAGE - 1)]


def test_fills_of_more_than_a_week_are_read_week_by_week() -> None:
    start = oracle.NOW_MS - FILLS_SPAN_MS - 1000
    adapter, http = stub.venue(BinanceUsdm, {FILLS: ([trade(1, start)], [trade(2, oracle.NOW_MS)])})
    assert [fill.id for fill in adapter.fills(start, ["BTCUSDT"])] == ["1", "2"]
    assert all(int(asked.query["endTime"]) - int(asked.query["startTime"]) == FILLS_SPAN_MS for asked in http.asked)


def test_a_page_of_fills_that_repeats_itself_is_malformed() -> None:
    full = [trade(n, oracle.NOW_MS - 1000) for n in range(FILLS_A_PAGE)]
    adapter, _ = stub.venue(BinanceUsdm, {FILLS: full})
    with pytest.raises(MalformedReply, match="same page"):
        adapter.fills(oracle.NOW_MS - 1000, ["BTCUSDT"])


def test_the_right_answer_to_a_ping_is_an_empty_object() -> None:
    adapter, _ = stub.venue(BinanceUsdm, {BinanceUsdm.PING.path: {}})
    assert adapter.status().online


def test_time_and_ticker_are_the_venues_own() -> None:
    replies = {
        BinanceUsdm.TIME.path: {"serverTime": 1499827319559},
        BinanceUsdm.TICKER.path: {"symbol": "BTCUSDT", "lastPrice": "4.00000200", "closeTime": 1499869899040},
    }
    adapter, _ = stub.venue(BinanceUsdm, replies)
    assert adapter.server_time() == 1499827319559
    assert adapter.ticker() == ("BTCUSDT", Decimal("4.000002"), 1499869899040)


LISTINGS = {"positions": BinanceUsdm.POSITIONS.path, "balances": BinanceUsdm.BALANCES.path}


@pytest.mark.parametrize("broken", [ORDERS, ALGO_ORDERS])
@pytest.mark.parametrize("body", FALSE_EMPTY_LIST.values(), ids=list(FALSE_EMPTY_LIST))
def test_open_orders_need_a_list_of_each_kind(broken: str, body: bytes) -> None:
    adapter, _ = stub.venue(BinanceUsdm, {ORDERS: [], ALGO_ORDERS: [], broken: body})
    with pytest.raises(MalformedReply):
        adapter.open_orders()


@pytest.mark.parametrize("operation", LISTINGS)
@pytest.mark.parametrize("body", FALSE_EMPTY_LIST.values(), ids=list(FALSE_EMPTY_LIST))
def test_a_reply_that_proves_nothing_is_malformed(operation: str, body: bytes) -> None:
    adapter, _ = stub.venue(BinanceUsdm, {LISTINGS[operation]: body})
    with pytest.raises(MalformedReply):
        getattr(adapter, operation)()


@pytest.mark.parametrize("body", FALSE_EMPTY_LIST.values(), ids=list(FALSE_EMPTY_LIST))
def test_fills_that_are_no_list_are_malformed(body: bytes) -> None:
    adapter, _ = stub.venue(BinanceUsdm, {FILLS: body})
    with pytest.raises(MalformedReply):
        adapter.fills(oracle.NOW_MS, ["BTCUSDT"])


@pytest.mark.parametrize("body", [b for n, b in FALSE_EMPTY.items() if n != "an empty object"], ids=str)
def test_any_other_answer_to_a_ping_is_malformed(body: bytes) -> None:
    adapter, _ = stub.venue(BinanceUsdm, {BinanceUsdm.PING.path: body})
    with pytest.raises(MalformedReply):
        adapter.status()


@pytest.mark.parametrize("missing", ["orderId", "symbol", "side", "origQty", "executedQty", "price"])
def test_a_listed_order_without_a_field_is_malformed(missing: str) -> None:
    row = {key: value for key, value in LIMIT_ORDER.items() if key != missing}
    adapter, _ = stub.venue(BinanceUsdm, {ORDERS: [row], ALGO_ORDERS: []})
    with pytest.raises(MalformedReply, match=missing):
        adapter.open_orders()


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (401, -2015, AuthError),
        (400, -1022, AuthError),
        (429, -1003, RateLimited),
        (418, -1003, Banned),
        (503, -1008, Unavailable),
        (408, -1007, UnknownOutcome),
        (500, -1000, UnknownOutcome),
        (400, -1121, Rejected),
    ],
)
def test_each_error_code_is_the_error_that_it_means(status: int, code: int, expected: type[VenueError]) -> None:
    refused = Reply({"code": code, "msg": "no"}, status, {"retry-after": "7"})
    adapter, _ = stub.venue(BinanceUsdm, {ORDERS: refused, ALGO_ORDERS: refused})
    with pytest.raises(VenueError) as caught:
        adapter.open_orders()
    assert type(caught.value) is expected
    assert caught.value.retry_after == (7.0 if expected is RateLimited else None)
