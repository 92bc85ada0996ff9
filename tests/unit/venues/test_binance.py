# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Binance spot and margin: every request against ccxt's own signature, documented replies, and what proves nothing.

The example replies are those of developers.binance.com (/docs/binance-spot-api-docs/rest-api, /docs/margin_trading).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from decimal import Decimal
from email.utils import formatdate
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.http_client import HttpClient
from ansible_collections.hft.incident.plugins.module_utils.venues.api import Balance, Call, Fill, OpenOrder, Position
from ansible_collections.hft.incident.plugins.module_utils.venues.binance import (
    ERRORS,
    RECV_WINDOW_MS,
    Binance,
)
from ansible_collections.hft.incident.plugins.module_utils.venues.errors import (
    AuthError,
    Banned,
    ClockSkew,
    MalformedReply,
    RateLimited,
    Rejected,
    Unavailable,
    UnknownOutcome,
    VenueError,
)

from . import oracle, stub
from .stub import FALSE_EMPTY, FALSE_EMPTY_LIST, Answer, Asked, Reply

SYMBOL = {"symbol": "BTCUSDT"}
ISOLATED = {"symbol": "BTCUSDT", "isIsolated": "TRUE"}

REQUESTS: list[tuple[Call, str, str]] = [
    (Binance.TIME, "public", "time"),
    (Binance.STATUS, "sapi", "system/status"),
    (Binance.TICKER.given(**SYMBOL), "public", "ticker/24hr"),
    (Binance.SPOT_ORDERS, "private", "openOrders"),
    (Binance.MARGIN_ORDERS, "sapi", "margin/openOrders"),
    (Binance.MARGIN_ORDERS.given(**ISOLATED), "sapi", "margin/openOrders"),
    (Binance.ISOLATED_ACCOUNT, "sapi", "margin/isolated/account"),
    (Binance.CANCEL_SPOT.given(**SYMBOL), "private", "openOrders"),
    (Binance.CANCEL_MARGIN.given(**SYMBOL), "sapi", "margin/openOrders"),
    (Binance.CANCEL_MARGIN.given(**ISOLATED), "sapi", "margin/openOrders"),
    (Binance.ACCOUNT, "private", "account"),
    (Binance.MARGIN_ACCOUNT, "sapi", "margin/account"),
    (Binance.FILLS.given(startTime=oracle.NOW_MS - 1000, **SYMBOL), "private", "myTrades"),
]

SPOT_ORDER = {
    "symbol": "LTCBTC",
    "orderId": 1,
    "orderListId": -1,
    "clientOrderId": "myOrder1",
    "price": "0.1",
    "origQty": "1.0",
    "executedQty": "0.25",
    "cummulativeQuoteQty": "0.025",
    "status": "PARTIALLY_FILLED",
    "timeInForce": "GTC",
    "type": "LIMIT",
    "side": "BUY",
    "stopPrice": "0.0",
    "icebergQty": "0.0",
    "time": 1499827319559,
    "updateTime": 1499827319559,
    "isWorking": True,
    "origQuoteOrderQty": "0.000000",
    "selfTradePreventionMode": "NONE",
}
MARGIN_STOP = {
    "clientOrderId": "qhcZw71gAkCCTv0t0k8LUK",
    "cummulativeQuoteQty": "0.00000000",
    "executedQty": "0.00000000",
    "icebergQty": "0.00000000",
    "isWorking": True,
    "orderId": 211842552,
    "origQty": "0.30000000",
    "price": "0.00000000",
    "side": "SELL",
    "status": "NEW",
    "stopPrice": "0.00400000",
    "symbol": "BNBBTC",
    "isIsolated": False,
    "time": 1562040170089,
    "timeInForce": "GTC",
    "type": "STOP_LOSS",
    "selfTradePreventionMode": "NONE",
    "updateTime": 1562040170089,
}
ISOLATED_ORDER = {**MARGIN_STOP, "orderId": 211842553, "symbol": "BTCUSDT", "isIsolated": True, "type": "LIMIT"}
ISOLATED_PAIR = {
    "baseAsset": {"asset": "BTC", "borrowEnabled": True, "free": "0", "netAsset": "0", "totalAsset": "0"},
    "quoteAsset": {"asset": "USDT", "borrowEnabled": True, "free": "0", "netAsset": "0", "totalAsset": "0"},
    "symbol": "BTCUSDT",
    "isolatedCreated": True,
    "enabled": True,
    "marginLevel": "0.00000000",
    "tradeEnabled": True,
}
TRADE = {
    "symbol": "BNBBTC",
    "id": 28457,
    "orderId": 100234,
    "orderListId": -1,
    "price": "4.00000100",
    "qty": "12.00000000",
    "quoteQty": "48.000012",
    "commission": "10.10000000",
    "commissionAsset": "BNB",
    "time": 1499865549590,
    "isBuyer": True,
    "isMaker": False,
    "isBestMatch": True,
}
SPOT, MARGIN, ISOLATED_ACCOUNT = Binance.SPOT_ORDERS.path, Binance.MARGIN_ORDERS.path, Binance.ISOLATED_ACCOUNT.path


@pytest.fixture(scope="module")
def exchange() -> Any:
    return oracle.ccxt_exchange("binance", recvWindow=RECV_WINDOW_MS)


@pytest.mark.parametrize(("call", "api", "path"), REQUESTS, ids=lambda value: getattr(value, "name", None))
def test_every_request_is_the_one_ccxt_would_send(exchange: Any, call: Call, api: str, path: str) -> None:
    wire = oracle.ours(oracle.adapter(Binance).sign(call))
    assert wire == oracle.theirs(exchange, path, [api, "GET"], call.method, dict(call.params))


def account(**replies: Any) -> Answer:
    """Nothing open on any line, with one isolated pair; ``replies`` by listing replace what the venue would say."""

    def answer(asked: Asked) -> Any:
        isolated = "isIsolated" in asked.query
        listing = {
            SPOT: "spot",
            MARGIN: "isolated_pair" if isolated else "margin",
            ISOLATED_ACCOUNT: "isolated_account",
        }
        return replies.get(listing[asked.path], {"assets": [ISOLATED_PAIR]} if asked.path == ISOLATED_ACCOUNT else [])

    return answer


def refusal(code: int, message: str = "no", *, status: int = 400) -> Reply:
    return Reply({"code": code, "msg": message}, status)


def listed(line: str, symbol: str = "BTCUSDT") -> OpenOrder:
    return OpenOrder("1", symbol, line, "buy", Decimal(1), Decimal(1))


# Replies --------------------------------------------------------------------------------------------------------------


def test_open_orders_are_those_of_spot_cross_margin_and_each_isolated_pair() -> None:
    adapter, http = stub.venue(
        Binance, account(spot=[SPOT_ORDER], margin=[MARGIN_STOP], isolated_pair=[ISOLATED_ORDER])
    )
    spot, margin, isolated = adapter.open_orders()
    assert spot == ("1", "LTCBTC", "spot", "buy", Decimal("0.75"), Decimal("0.1"), False, "myOrder1")
    assert margin[:7] == ("211842552", "BNBBTC", "margin", "sell", Decimal("0.3"), None, True)
    assert (isolated.id, isolated.symbol, isolated.line) == ("211842553", "BTCUSDT", "isolated")
    assert [asked.query["symbol"] for asked in http.asked if "isIsolated" in asked.query] == ["BTCUSDT"]


@pytest.mark.parametrize("kind", ["STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"])
def test_stops_and_take_profits_are_conditional(kind: str) -> None:
    adapter, _ = stub.venue(Binance, account(spot=[{**SPOT_ORDER, "type": kind}]))
    assert adapter.open_orders()[0].conditional


def test_nothing_open_is_a_valid_answer() -> None:
    adapter, _ = stub.venue(Binance, account())
    assert adapter.open_orders() == []


def test_a_restricted_account_lists_its_lines_only() -> None:
    adapter, http = stub.venue(Binance, account(spot=[SPOT_ORDER]), lines=("spot",))
    assert len(adapter.open_orders()) == 1
    assert [asked.path for asked in http.asked] == [SPOT]


@pytest.mark.parametrize("code", ["-3003", "-11001"])
def test_an_account_without_margin_has_nothing_open_and_nothing_held_there(code: str) -> None:
    none = refusal(int(code), "Margin account does not exist.")
    adapter, _ = stub.venue(Binance, account(spot=[SPOT_ORDER], margin=none, isolated_account=none))
    assert [order.line for order in adapter.open_orders()] == ["spot"]
    adapter, _ = stub.venue(Binance, {Binance.MARGIN_ACCOUNT.path: none}, lines=("margin",))
    assert adapter.positions() == []


@pytest.mark.parametrize("listing", ["spot", "isolated_pair"])
def test_a_missing_margin_account_excuses_no_other_listing(listing: str) -> None:
    adapter, _ = stub.venue(Binance, account(**{listing: refusal(-3003, "Margin account does not exist.")}))
    with pytest.raises(Rejected):
        adapter.open_orders()


def test_cancel_all_asks_once_for_each_symbol_and_line() -> None:
    adapter, http = stub.venue(Binance, lambda _: [SPOT_ORDER, SPOT_ORDER])
    orders = [listed("spot"), listed("spot"), listed("spot", "ETHUSDT"), listed("margin"), listed("isolated")]
    assert adapter.cancel_all(orders) == (8, ())
    assert sorted((a.method, a.path, a.query["symbol"], a.query.get("isIsolated", "")) for a in http.asked) == [
        ("DELETE", SPOT, "BTCUSDT", ""),
        ("DELETE", SPOT, "ETHUSDT", ""),
        ("DELETE", MARGIN, "BTCUSDT", ""),
        ("DELETE", MARGIN, "BTCUSDT", "TRUE"),
    ]


def test_nothing_to_cancel_is_no_rejection_and_a_refusal_is_one() -> None:
    replies = {SPOT: refusal(-2011, "Unknown order sent."), MARGIN: refusal(-1121, "Invalid symbol.")}
    adapter, _ = stub.venue(Binance, replies)
    assert adapter.cancel_all([listed("spot"), listed("margin")]) == (
        0,
        ("DELETE /sapi/v1/margin/openOrders: Invalid symbol. (-1121)",),
    )


def test_without_a_listing_there_is_nothing_to_cancel() -> None:
    adapter, http = stub.venue(Binance, account())
    assert adapter.cancel_all([]) == (0, ())
    assert http.asked == []


def test_holdings_are_spot_balances_and_net_margin_assets_without_what_is_zero() -> None:
    spot = {
        "makerCommission": 15,
        "canTrade": True,
        "accountType": "SPOT",
        "balances": [
            {"asset": "BTC", "free": "4723846.89208129", "locked": "0.00000001"},
            {"asset": "LTC", "free": "0.00000000", "locked": "0.00000000"},
        ],
    }
    margin = {
        "tradeEnabled": True,
        "marginLevel": "11.64405625",
        "userAssets": [
            {"asset": "BTC", "borrowed": "0.2", "free": "0", "interest": "0", "locked": "0", "netAsset": "-0.2"},
            {"asset": "BNB", "borrowed": "0", "free": "0", "interest": "0", "locked": "0", "netAsset": "0.00000000"},
        ],
    }
    adapter, _ = stub.venue(Binance, {Binance.ACCOUNT.path: spot, Binance.MARGIN_ACCOUNT.path: margin})
    assert adapter.balances() == [Balance("BTC", Decimal("4723846.8920813"), Decimal("4723846.89208129"))]
    assert adapter.positions() == [
        Position("BTC", "spot", Decimal("4723846.8920813")),
        Position("BTC", "margin", Decimal("-0.2")),
    ]


def test_fills_of_all_symbols_come_oldest_first() -> None:
    older = {**TRADE, "id": 1, "symbol": "BTCUSDT", "time": 1499865549589, "isBuyer": False}
    adapter, http = stub.venue(Binance, lambda asked: [TRADE] if asked.query["symbol"] == "BNBBTC" else [older])
    fills = adapter.fills(1499865549000, ["BNBBTC", "BTCUSDT"])
    assert [(fill.id, fill.side) for fill in fills] == [("1", "sell"), ("28457", "buy")]
    assert fills[1] == Fill(
        "28457",
        "100234",
        "BNBBTC",
        "buy",
        Decimal(12),
        Decimal("4.000001"),
        Decimal("10.1"),
        "BNB",
        1499865549590,
    )
    assert {asked.query["startTime"] for asked in http.asked} == {"1499865549000"}


def test_time_status_and_ticker_are_read_without_a_key() -> None:
    replies = {
        Binance.TIME.path: {"serverTime": 1499827319559},
        Binance.STATUS.path: ({"status": 0, "msg": "normal"}, {"status": 1, "msg": "system_maintenance"}),
        Binance.TICKER.path: {"symbol": "BTCUSDT", "lastPrice": "4.00000200", "closeTime": 1499869899040},
    }
    adapter = Binance(stub.Stub.by_path(replies), None)
    assert adapter.server_time() == 1499827319559
    assert adapter.status() == (True, "normal")
    assert adapter.status() == (False, "system_maintenance")
    assert adapter.ticker() == ("BTCUSDT", Decimal("4.000002"), 1499869899040)
    with pytest.raises(AuthError, match="needs a key"):
        adapter.open_orders()


# What proves nothing --------------------------------------------------------------------------------------------------

#: Cross margin, spot and each isolated pair are bare lists; which pairs there are comes in an object.
LISTINGS = {
    "spot": FALSE_EMPTY_LIST,
    "margin": FALSE_EMPTY_LIST,
    "isolated_account": FALSE_EMPTY,
    "isolated_pair": FALSE_EMPTY_LIST,
}
READS: dict[str, tuple[str, Callable[[Binance], object], dict[str, bytes]]] = {
    "balances": (Binance.ACCOUNT.path, Binance.balances, FALSE_EMPTY),
    "margin_holdings": (Binance.MARGIN_ACCOUNT.path, Binance.positions, FALSE_EMPTY),
    "fills": (Binance.FILLS.path, lambda venue: venue.fills(0, ["BTCUSDT"]), FALSE_EMPTY_LIST),
    "time": (Binance.TIME.path, Binance.server_time, FALSE_EMPTY),
    "status": (Binance.STATUS.path, Binance.status, FALSE_EMPTY),
    "ticker": (Binance.TICKER.path, Binance.ticker, FALSE_EMPTY),
}


def bodies(places: Mapping[str, dict[str, bytes]]) -> list[Any]:
    """(place, body) for each body that proves nothing there."""
    return [
        pytest.param(
            place,
            body,
            id=f"{place}-{name}",
        )
        for place, hollow in places.items()
        for name, body in hollow.items()
    ]


@pytest.mark.parametrize(("listing", "body"), bodies(LISTINGS))
def test_open_orders_need_a_valid_answer_of_every_listing(listing: str, body: bytes) -> None:
    adapter, _ = stub.venue(Binance, account(**{listing: body}))
    with pytest.raises(MalformedReply):
        adapter.open_orders()


@pytest.mark.parametrize(("name", "body"), bodies({name: hollow for name, (_, _, hollow) in READS.items()}))
def test_any_other_read_needs_a_valid_answer_too(name: str, body: bytes) -> None:
    path, read, _ = READS[name]
    replies = {Binance.ACCOUNT.path: {"balances": []}, path: body}
    with pytest.raises(MalformedReply):
        read(stub.venue(Binance, replies)[0])


@pytest.mark.parametrize("missing", ["orderId", "symbol", "side", "type", "price", "origQty", "executedQty"])
@pytest.mark.parametrize("listing", ["spot", "margin", "isolated_pair"])
def test_a_listed_order_without_a_field_is_malformed(listing: str, missing: str) -> None:
    row = {key: value for key, value in SPOT_ORDER.items() if key != missing}
    adapter, _ = stub.venue(Binance, account(**{listing: [SPOT_ORDER, row]}))
    with pytest.raises(MalformedReply, match=missing):
        adapter.open_orders()


@pytest.mark.parametrize("pairs", [None, {}, "", ["BTCUSDT"], [{}], [{**ISOLATED_PAIR, "symbol": ""}]], ids=str)
def test_an_isolated_account_that_does_not_name_its_pairs_is_malformed(pairs: Any) -> None:
    adapter, _ = stub.venue(Binance, account(isolated_account={"assets": pairs}))
    with pytest.raises(MalformedReply):
        adapter.open_orders()


# Errors ---------------------------------------------------------------------------------------------------------------

MEANINGS: list[tuple[int, type[VenueError]]] = [
    (-1000, UnknownOutcome),
    (-1001, UnknownOutcome),
    (-1002, AuthError),
    (-1003, RateLimited),
    (-1006, UnknownOutcome),
    (-1007, UnknownOutcome),
    (-1008, Unavailable),
    (-1015, RateLimited),
    (-1016, Unavailable),
    (-1021, ClockSkew),
    (-1022, AuthError),
    (-2014, AuthError),
    (-2015, AuthError),
]


def test_every_code_that_the_adapter_maps_is_tested() -> None:
    assert {code for code, _ in MEANINGS} == set(ERRORS)


@pytest.mark.parametrize(("code", "expected"), [*MEANINGS, (-1121, Rejected), (-2011, Rejected)])
@pytest.mark.parametrize("listing", LISTINGS)
def test_each_error_code_is_the_error_that_it_means(listing: str, code: int, expected: type[VenueError]) -> None:
    answer = account(**{listing: refusal(code, "the venue's words")})
    adapter, _ = stub.venue(
        Binance, lambda asked: {"serverTime": oracle.NOW_MS} if asked.path == Binance.TIME.path else answer(asked)
    )
    with pytest.raises(VenueError, match="the venue's words") as caught:
        adapter.open_orders()
    assert type(caught.value) is expected
    assert caught.value.code == str(code)


@pytest.mark.parametrize("content", [b"", b"<html>teapot</html>", {"code": -1003, "msg": "Way too many requests"}])
def test_a_teapot_is_a_ban(content: Any) -> None:
    adapter, _ = stub.venue(Binance, account(spot=Reply(content, 418, {"retry-after": "120"})))
    with pytest.raises(Banned):
        adapter.open_orders()


NOW_S = oracle.NOW_MS // 1000


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (formatdate(NOW_S + 30, usegmt=True), pytest.approx(30 - oracle.NOW_MS % 1000 / 1000)),
        (formatdate(NOW_S - 30, usegmt=True), 0.0),
        ("soon", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("content", [b"<html>slow down</html>", {"code": -1003, "msg": "Too many requests"}], ids=type)
def test_too_many_requests_say_how_long_to_wait(content: Any, header: str | None, seconds: float | None) -> None:
    reply = Reply(content, 429, {"retry-after": header} if header else {})
    adapter, _ = stub.venue(Binance, account(spot=reply))
    with pytest.raises(RateLimited) as caught:
        adapter.open_orders()
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
@pytest.mark.parametrize(
    "content", [b"", b"<html>Bad gateway</html>", b"[]", {"code": -1007, "msg": "Timeout"}], ids=str
)
def test_a_status_that_does_not_say_whether_the_venue_acted_is_unknown(status: int, content: Any) -> None:
    adapter, _ = stub.venue(Binance, account(spot=Reply(content, status)))
    with pytest.raises(UnknownOutcome):
        adapter.open_orders()
    adapter, _ = stub.venue(Binance, {SPOT: Reply(content, status)})
    with pytest.raises(UnknownOutcome):
        adapter.cancel_all([listed("spot")])


def test_a_skewed_clock_is_mended_once_by_the_venues_own() -> None:
    ahead = oracle.NOW_MS + 90_000
    stale = refusal(-1021, "Timestamp for this request is outside of the recvWindow.")
    replies = {SPOT: (stale, [SPOT_ORDER]), Binance.TIME.path: {"serverTime": ahead}}
    adapter, http = stub.venue(Binance, replies, lines=("spot",))
    assert len(adapter.open_orders()) == 1
    assert [asked.path for asked in http.asked] == [SPOT, Binance.TIME.path, SPOT]
    assert [asked.query.get("timestamp") for asked in http.asked] == [str(oracle.NOW_MS), None, str(ahead)]
    adapter.open_orders()
    assert len(http.asked) == 4, "the clock is kept"


def test_a_clock_that_stays_refused_is_a_clock_error_after_one_more_try() -> None:
    stale = refusal(-1021, "Timestamp for this request is outside of the recvWindow.")
    adapter, http = stub.venue(
        Binance, {SPOT: stale, Binance.TIME.path: {"serverTime": oracle.NOW_MS}}, lines=("spot",)
    )
    with pytest.raises(ClockSkew):
        adapter.open_orders()
    assert [asked.path for asked in http.asked] == [SPOT, Binance.TIME.path, SPOT]


def what_an_echo_makes_of(status: int) -> tuple[str, str]:
    """The text of the error where the venue repeats all that it was sent, and the signature that was in it."""
    signatures: list[str] = []

    def echo(asked: Asked) -> Reply:
        signatures.append(asked.query["signature"])
        words = f"{asked.request.target} {oracle.SECRET} {dict(asked.request.headers)} refused"
        return refusal(-1100, words, status=status)

    adapter, _ = stub.venue(Binance, echo, lines=("spot",))
    with pytest.raises(VenueError, match="refused") as caught:
        adapter.open_orders()
    return str(caught.value), signatures[0]


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_no_error_carries_the_key_or_the_secret_that_the_venue_echoes(status: int) -> None:
    text, _ = what_an_echo_makes_of(status)
    assert oracle.KEY not in text
    assert oracle.SECRET not in text


def test_no_error_carries_a_signature_that_the_venue_echoes() -> None:
    text, signature = what_an_echo_makes_of(400)
    assert signature not in text


def test_an_unreachable_venue_is_named_without_the_signed_query() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and never listens: refused at once
        http = HttpClient(f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(Unavailable) as caught:
            oracle.adapter(Binance, http, lines=("spot",)).open_orders()
    assert str(caught.value) == f"GET {SPOT}: connection refused"
