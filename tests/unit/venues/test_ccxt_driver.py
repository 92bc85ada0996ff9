# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The ccxt driver: what it may call empty, what it sends, and what ccxt's exceptions become."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any, cast

import ccxt
import pytest

from ansible_collections.hft.incident.plugins.module_utils.http_client import (
    HttpClient,
    Request,
    Response,
    TransportError,
)
from ansible_collections.hft.incident.plugins.module_utils.secret_ref import Secret
from ansible_collections.hft.incident.plugins.module_utils.settings import SettingsError
from ansible_collections.hft.incident.plugins.module_utils.venues.api import Credentials, OpenOrder, PartialListing
from ansible_collections.hft.incident.plugins.module_utils.venues.ccxt_driver import CcxtVenue, for_exchange
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
from .stub import FALSE_EMPTY, FALSE_EMPTY_LIST, Asked, Reply, Stub

#: An empty listing as each venue answers it, on the lines named.
EMPTY: dict[str, tuple[tuple[str, ...], Any]] = {
    "binance": (("spot",), []),
    "bybit": (
        ("spot",),
        {
            "retCode": 0,
            "retMsg": "OK",
            "result": {"list": [], "nextPageCursor": "", "category": "spot"},
            "retExtInfo": {},
            "time": 1672211918471,
        },
    ),
    "kraken": ((), {"error": [], "result": {"open": {}}}),
    "krakenfutures": (
        (),
        {"result": "success", "openOrders": [], "serverTime": "2019-09-05T17:08:18.138Z"},
    ),
    "gate": (("spot",), []),
    "bitfinex": (("spot",), []),
    "coinbase": (("spot",), {"orders": [], "has_next": False, "sequence": "0", "cursor": ""}),
}
#: HTTP 200, JSON, the venue's envelope perhaps, and no listing in it.
NO_LISTING: dict[str, list[Any]] = {
    "bybit": [
        {"retCode": 0, "retMsg": "OK", "result": {}, "retExtInfo": {}},
        {"retCode": 0, "retMsg": "OK", "retExtInfo": {}},
        {"x_retCode": 0, "x_result": {"x_list": []}},
        {"retCode": 0, "result": {"list": None}},
    ],
    "kraken": [{"error": [], "result": {}}, {"error": []}, {"x_error": [], "x_result": {"x_open": {}}}],
    "okx": [{"code": "0", "msg": ""}, {"code": "0", "data": None}, {"x_code": "0", "x_data": []}],
    "krakenfutures": [{"result": "success"}, {"result": "success", "x_openOrders": []}],
    "binance": [{"unexpected": []}, {"data": []}, {"orders": {}}],
}


def driver(exchange_id: str, http: HttpClient, lines: tuple[str, ...] = ()) -> CcxtVenue:
    return oracle.adapter(cast(type[CcxtVenue], for_exchange(exchange_id)), http, lines=lines)


@pytest.mark.parametrize("exchange_id", EMPTY)
def test_the_venues_own_empty_listing_is_empty(exchange_id: str) -> None:
    lines, reply = EMPTY[exchange_id]
    assert driver(exchange_id, Stub.saying(reply), lines).open_orders() == []


@pytest.mark.parametrize("exchange_id", EMPTY)
@pytest.mark.parametrize("name", FALSE_EMPTY_LIST)
def test_no_false_empty_is_empty(exchange_id: str, name: str) -> None:
    lines, _ = EMPTY[exchange_id]
    with pytest.raises(UnknownOutcome):
        driver(exchange_id, Stub.saying(FALSE_EMPTY[name]), lines).open_orders()


@pytest.mark.parametrize("exchange_id", [i for i in EMPTY if EMPTY[i][1] != []])
def test_a_bare_list_is_no_listing_where_the_venue_has_an_envelope(exchange_id: str) -> None:
    with pytest.raises(UnknownOutcome):
        driver(exchange_id, Stub.saying([]), EMPTY[exchange_id][0]).open_orders()


@pytest.mark.parametrize(("exchange_id", "reply"), [(i, reply) for i in NO_LISTING for reply in NO_LISTING[i]], ids=str)
def test_an_envelope_without_the_listing_is_unknown(exchange_id: str, reply: Any) -> None:
    with pytest.raises(UnknownOutcome):
        driver(exchange_id, Stub.saying(reply), EMPTY.get(exchange_id, (("spot",), None))[0]).open_orders()


#: Lists that ccxt asks for in part only: the line, what it asks for, and an empty answer.
NARROW = [
    ("bybit", "swap.linear", "settleCoin=USDT", EMPTY["bybit"][1]),
    ("bybit", "swap.inverse", "settleCoin=USDT", EMPTY["bybit"][1]),
    ("okx", "spot", "ordType=trigger", {"code": "0", "msg": "", "data": []}),
    ("gate", "swap.linear", "usdt", []),
]


@pytest.mark.parametrize(("exchange_id", "line", "asked", "reply"), NARROW)
def test_an_empty_answer_to_a_narrower_question_is_not_called_empty(
    exchange_id: str, line: str, asked: str, reply: Any
) -> None:
    with pytest.raises(Rejected, match=f"{asked} only, so an empty answer proves nothing"):
        driver(exchange_id, Stub.saying(reply), (line,)).open_orders()


def test_isolated_margin_is_a_line_that_nothing_can_be_proven_of() -> None:
    assert "isolated" in for_exchange("binance").all_lines
    with pytest.raises(Rejected, match="by symbol only"):
        driver("binance", Stub.saying([]), ("spot", "isolated")).open_orders()


def test_orders_found_beside_a_line_that_is_refused_are_no_listing_and_are_not_lost() -> None:
    """A kill cancels by them; nobody may take them for all that is open."""
    with pytest.raises(PartialListing, match=r"by symbol only.*; 1 open orders are known") as caught:
        driver("binance", Stub.saying([ORDER]), ("spot", "isolated")).open_orders()
    assert [(order.id, order.symbol) for order in caught.value.orders] == [("28", "BTCUSDT")]


ORDER = {
    "symbol": "BTCUSDT",
    "orderId": 28,
    "clientOrderId": "mine",
    "price": "90000.10",
    "origQty": "0.30",
    "executedQty": "0.10",
    "status": "NEW",
    "type": "LIMIT",
    "side": "BUY",
    "time": 1,
}


def test_orders_come_with_the_venues_own_symbols_and_exact_numbers() -> None:
    (order,) = driver("binance", Stub.saying([ORDER]), ("spot",)).open_orders()
    assert order == ("28", "BTCUSDT", "spot", "buy", Decimal("0.2"), Decimal("90000.1"), False, "mine")


def test_a_venue_that_cancels_by_symbol_is_asked_once_a_symbol() -> None:
    http = Stub.saying([ORDER])
    venue = driver("binance", http, ("spot",))
    orders = [*venue.open_orders(), OpenOrder("29", "ETHUSDT", "spot", "buy", Decimal(1), None)]
    http.asked.clear()
    venue.cancel_all([*orders, orders[0]._replace(id="30")])
    assert venue.cancel_needs_listing
    assert [asked[:2] for asked in http.asked] == [("DELETE", "/api/v3/openOrders")] * 2
    assert [asked.query["symbol"] for asked in http.asked] == ["BTCUSDT", "ETHUSDT"]


def test_a_venue_that_cancels_everything_is_asked_once_without_a_listing() -> None:
    http = Stub.saying({"error": [], "result": {"count": 4}})
    venue = driver("kraken", http)
    venue.cancel_all([])
    assert not venue.cancel_needs_listing
    assert [asked.path for asked in http.asked] == ["/0/private/CancelAll"]


def test_a_line_that_cannot_be_cancelled_is_a_rejection_beside_the_others() -> None:
    def spot_only(asked: Asked) -> Any:
        if asked.method == "POST" and asked.body["category"] != "spot":
            return Reply(b"<html>", 502)
        return {"retCode": 0, "retMsg": "OK", "result": {"list": [{"orderId": "1"}], "success": "1"}, "time": 1}

    http = Stub(spot_only)
    accepted, rejected = driver("bybit", http, ("spot", "swap.linear")).cancel_all([])
    assert accepted > 0
    assert len(rejected) == 1
    with pytest.raises(UnknownOutcome):
        driver("bybit", http, ("swap.linear",)).cancel_all([])


def test_an_order_that_two_lines_list_is_listed_once_as_the_first_has_it() -> None:
    row = {"orderId": "1", "symbol": "BTCUSDT", "side": "Buy", "qty": "1", "price": "9", "orderStatus": "New"}
    http = Stub.saying({"retCode": 0, "result": {"list": [row], "nextPageCursor": "", "category": "linear"}, "time": 1})
    (order,) = driver("bybit", http, ("swap.linear", "future.linear")).open_orders()
    assert (order.line, order.conditional) == ("swap.linear", False)


def test_nothing_to_cancel_is_no_rejection_and_a_refusal_is_one() -> None:
    order = OpenOrder("28", "BTCUSDT", "spot", "buy", Decimal(1), None)
    nothing = Stub.saying(Reply({"code": -2011, "msg": "Unknown order sent."}, 400))
    assert driver("binance", nothing, ("spot",)).cancel_all([order]).rejected == ()
    refused = Stub.saying(Reply({"code": -1100, "msg": "Illegal characters."}, 400))
    assert "Illegal characters" in driver("binance", refused, ("spot",)).cancel_all([order]).rejected[0]


def test_a_venue_that_ccxt_lists_by_symbol_only_is_never_called_empty() -> None:
    http = Stub.saying({"jsonrpc": "2.0", "result": []})
    with pytest.raises(Rejected, match="by symbol only"):
        driver("deribit", http).open_orders()
    assert http.asked == []


@pytest.mark.parametrize(
    ("status", "reply", "expected"),
    [
        (401, {"code": -2015, "msg": "Invalid API-key"}, AuthError),
        (400, {"code": -1022, "msg": "Signature for this request is not valid."}, AuthError),
        (429, {"code": -1003, "msg": "Too many requests"}, RateLimited),
        (418, {"code": -1003, "msg": "Way too many requests"}, Banned),
        (503, {"code": -1016, "msg": "Service shutting down"}, UnknownOutcome),
        (502, b"<html>Bad gateway</html>", UnknownOutcome),
        (408, b"", UnknownOutcome),
        (404, b"", UnknownOutcome),
    ],
)
def test_ccxts_exceptions_become_ours(status: int, reply: Any, expected: type[VenueError]) -> None:
    venue = driver("binance", Stub.saying(Reply(reply, status, {"retry-after": "9"})), ("spot",))
    with pytest.raises(expected) as caught:
        venue.open_orders()
    if expected is RateLimited:
        assert caught.value.retry_after == 9.0
    for secret in (oracle.KEY, oracle.SECRET, "signature", "https://", "timestamp="):
        assert secret not in str(caught.value)


def test_maintenance_is_unavailable() -> None:
    reply = {"code": "50001", "msg": "Service temporarily unavailable", "data": []}
    with pytest.raises(Unavailable):
        driver("okx", Stub.saying(reply), ("spot",)).open_orders()


def test_a_key_revoked_after_it_worked_is_an_auth_error() -> None:
    revoked = Reply({"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}, 401)
    venue = driver("binance", Stub.saying([], revoked), ("spot",))
    assert venue.open_orders() == []
    with pytest.raises(AuthError):
        venue.open_orders()


def test_no_answer_is_told_from_not_sent() -> None:
    class Silent(HttpClient):
        sent = True

        def send(self, request: Request) -> Response:
            raise TransportError(f"{request.name}: no answer in time", sent=self.sent)

    http = Silent("http://127.0.0.1:9")
    venue = driver("binance", http, ("spot",))
    with pytest.raises(UnknownOutcome, match="no answer in time"):
        venue.open_orders()
    http.sent = False
    with pytest.raises(Unavailable):
        venue.open_orders()


def test_a_refused_time_stamp_is_mended_by_the_venues_clock() -> None:
    ahead = oracle.NOW_MS + 90_000
    times = {"serverTime": ahead}
    stale = {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}
    venue, http = stub.venue(
        for_exchange("binance"), {"/api/v3/openOrders": (stale, []), "/api/v3/time": times}, lines=("spot",)
    )
    assert venue.open_orders() == []
    stamps = [int(asked.query["timestamp"]) for asked in http.asked if asked.path == "/api/v3/openOrders"]
    assert stamps[1] - stamps[0] >= 89_000


def test_a_time_stamp_that_stays_refused_is_a_clock_error() -> None:
    stale = {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}
    replies = {"/api/v3/openOrders": stale, "/api/v3/time": {"serverTime": oracle.NOW_MS}}
    venue, _ = stub.venue(for_exchange("binance"), replies, lines=("spot",))
    with pytest.raises(ClockSkew):
        venue.open_orders()


def test_what_is_sent_is_signed_by_ccxt_for_the_same_moment() -> None:
    http = Stub.saying([])
    driver("binance", http, ("spot",)).open_orders()
    exchange = oracle.ccxt_exchange("binance")
    exchange.milliseconds = lambda: oracle.NOW_MS + 1  # ccxt reads the clock once for itself before it signs
    theirs = oracle.theirs(exchange, "openOrders", ["private", "GET"], "GET", {})
    assert http.asked[0].request.target == theirs.target
    assert http.asked[0].request.headers["X-MBX-APIKEY"] == oracle.KEY


def test_derivative_positions_are_signed_and_no_false_empty() -> None:
    row = {"symbol": "BTCUSDT", "side": "Sell", "size": "0.5", "avgPrice": "90000", "unrealisedPnl": "-3"}
    result = {"list": [{**row, "positionIdx": 0}], "nextPageCursor": "", "category": "linear"}
    reply = {"retCode": 0, "result": result, "time": 1}
    (position,) = driver("bybit", Stub.saying(reply), ("swap.linear",)).positions()
    assert (position.symbol, position.qty, position.unit) == ("BTCUSDT", Decimal("-0.5"), "contract")
    nothing = {"result": "success", "openPositions": [], "serverTime": "2020-07-22T14:39:12.376Z"}
    assert driver("krakenfutures", Stub.saying(nothing), ("swap.linear",)).positions() == []
    with pytest.raises(UnknownOutcome):
        driver("krakenfutures", Stub.saying({"result": "success"}), ("swap.linear",)).positions()
    with pytest.raises(MalformedReply):
        driver("bybit", Stub.saying({"retCode": 0, "result": {}}), ("swap.linear",)).positions()


@pytest.mark.parametrize("size", [None, "", "lots"])
def test_a_position_without_a_size_proves_nothing(size: str | None) -> None:
    row = {"symbol": "BTCUSDT", "side": "Sell", "size": size, "positionIdx": 0, "avgPrice": "90000"}
    result = {"list": [row], "nextPageCursor": "", "category": "linear"}
    with pytest.raises(MalformedReply):
        driver("bybit", Stub.saying({"retCode": 0, "result": result, "time": 1}), ("swap.linear",)).positions()


def test_what_a_position_is_worth_comes_along_where_ccxt_knows_it() -> None:
    row = {"symbol": "BTCUSDT", "side": "Buy", "size": "1", "positionIdx": 0, "avgPrice": "90000"}
    result = {"list": [{**row, "markPrice": "90010", "unrealisedPnl": "10"}, row], "category": "linear"}
    told, silent = (
        driver("bybit", Stub.saying({"retCode": 0, "result": result}), ("swap.linear",))
        ._desks["swap.linear"]
        .positions()
    )
    assert (told.avg_price, told.unrealized_pnl, told.mark_price) == (Decimal(90000), Decimal(10), Decimal(90010))
    assert (silent.unrealized_pnl, silent.mark_price, silent.pnl_asset) == (None, None, "")


def test_balances_are_exact_and_leave_out_what_is_zero() -> None:
    rows = [{"asset": "BTC", "free": "0.10000001", "locked": "0.2"}, {"asset": "ETH", "free": "0", "locked": "0"}]
    venue = driver("binance", Stub.saying({"balances": rows}), ("spot",))
    assert venue.balances() == [("BTC", Decimal("0.30000001"), Decimal("0.10000001"))]


@pytest.mark.parametrize(
    ("base_url", "origins"),
    [
        (None, ["https://api.binance.com", "https://fapi.binance.com"]),
        ("http://127.0.0.1:9", ["http://127.0.0.1:9", "http://127.0.0.1:9"]),
    ],
)
def test_a_base_url_replaces_every_address_of_the_venue(
    monkeypatch: pytest.MonkeyPatch, base_url: str | None, origins: list[str]
) -> None:
    used: list[str] = []

    def send(client: HttpClient, _request: Request) -> Response:
        used.append(origin_of[client.address])
        return Response(200, {}, b"[]")

    origin_of = {HttpClient(origin).address: origin for origin in {*origins, "https://api.binance.com"}}
    monkeypatch.setattr(HttpClient, "send", send)
    build = for_exchange("binance")
    credentials = Credentials(Secret(oracle.KEY), Secret(oracle.SECRET))
    venue = build(HttpClient(base_url or build.default_origin), credentials, lines=("spot", "swap.linear"))
    assert venue.open_orders() == []
    assert list(dict.fromkeys(used)) == list(dict.fromkeys(origins))


def test_an_exchange_that_ccxt_does_not_have_is_a_setting_to_mend() -> None:
    with pytest.raises(SettingsError, match="no exchange 'nowhere'"):
        for_exchange("nowhere")


def test_without_ccxt_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(SettingsError, match=r"pip install 'hft-incident\[ccxt\]'"):
        for_exchange("binance")


def test_every_exchange_of_ccxts_can_be_opened() -> None:
    for exchange_id in ccxt.exchanges:
        build = for_exchange(exchange_id)
        assert build.all_lines
        assert build.default_origin.startswith("http")
