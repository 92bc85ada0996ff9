# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The Kraken adapter: its requests against ccxt's, the documented replies, and every reply that proves nothing."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import pytest

from ansible_collections.hft.incident.plugins.module_utils.http_client import HttpClient, Request, Response
from ansible_collections.hft.incident.plugins.module_utils.secret_ref import Secret
from ansible_collections.hft.incident.plugins.module_utils.venues import errors
from ansible_collections.hft.incident.plugins.module_utils.venues.api import Balance, Call, Credentials, Fill, Position
from ansible_collections.hft.incident.plugins.module_utils.venues.kraken import MAX_FILL_PAGES, Kraken

from . import oracle
from .stub import FALSE_EMPTY, Reply, Stub

REQUESTS: list[tuple[Call, str, str]] = [
    (Kraken.TIME, "public", "Time"),
    (Kraken.STATUS, "public", "SystemStatus"),
    (Kraken.TRADES, "public", "Trades"),
    (Kraken.OPEN_ORDERS, "private", "OpenOrders"),
    (Kraken.CANCEL_ALL, "private", "CancelAll"),
    (Kraken.BALANCE, "private", "BalanceEx"),
    (Kraken.POSITIONS, "private", "OpenPositions"),
    (Kraken.FILLS.given(start=1_795_478_399, ofs=50), "private", "TradesHistory"),
]

#: The example of docs.kraken.com "Get Open Orders", with a stop and a trailing stop from ccxt's notes.
OPEN_ORDERS = {
    "error": [],
    "result": {
        "open": {
            "OQCLML-BW3P3-BUCMWZ": {
                "refid": None,
                "userref": 0,
                "status": "open",
                "opentm": 1616666559.8974,
                "descr": {
                    "pair": "XBTUSD",
                    "type": "buy",
                    "ordertype": "limit",
                    "price": "30010.0",
                    "price2": "0",
                    "leverage": "none",
                    "order": "buy 1.25000000 XBTUSD @ limit 30010.0",
                    "close": "",
                },
                "vol": "1.25000000",
                "vol_exec": "0.37500000",
                "cost": "11253.7",
                "fee": "0.00000",
                "price": "30010.0",
                "stopprice": "0.00000",
                "limitprice": "0.00000",
                "misc": "",
                "oflags": "fciq",
            },
            "OB5VMB-B4U2U-DK2WRW": {
                "refid": "OKIVMP-5GVZN-Z2D2UA",
                "userref": None,
                "cl_ord_id": "hft-1-17",
                "status": "pending",
                "opentm": 1616665899.5699,
                "descr": {
                    "pair": "ETHUSDT",
                    "type": "sell",
                    "ordertype": "stop-loss-limit",
                    "price": "2677.00",
                    "price2": "2577.00",
                    "leverage": "5:1",
                    "order": "sell 0.00100000 ETHUSDT @ stop loss 2677.00 -> limit 2577.00 with 5:1 leverage",
                    "close": "",
                },
                "vol": "0.00100000",
                "vol_exec": "0.00000000",
                "oflags": "fciq",
                "trigger": "index",
            },
            "OXVPSU-Q726F-L3SDEP": {
                "status": "open",
                "descr": {
                    "pair": "XRPEUR",
                    "type": "sell",
                    "ordertype": "trailing-stop-limit",
                    "price": "+50.0000%",
                    "price2": "-1.0000%",
                    "leverage": "none",
                    "order": "sell 10.00000000 XRPEUR @ trailing stop +50.0000% -> limit -1.0000%",
                    "close": "",
                },
                "vol": "10.00000000",
                "vol_exec": "0.00000000",
            },
        }
    },
}


def kraken(http: HttpClient, key: str = "a-kraken-key") -> Kraken:
    return Kraken(http, Credentials(Secret(key), Secret(oracle.SECRET)))


def trade(number: int) -> dict[str, Any]:
    return {
        "ordertxid": "OQCLML-BW3P3-BUCMWZ",
        "postxid": "TKH2SE-M7IF5-CFI7LT",
        "pair": "XXBTZUSD",
        "time": 1688667796.8802 - number,
        "type": "buy",
        "ordertype": "limit",
        "price": "30010.00000",
        "cost": "600.20000",
        "fee": "0.00000",
        "vol": "0.02000000",
        "margin": "0.00000",
        "misc": "",
        "trade_id": 40274859 - number,
        "maker": True,
    }


def history(count: int, start: int, size: int) -> dict[str, Any]:
    trades = {f"T{number:05}-AAAAA-BBBBBB": trade(number) for number in range(start, start + size)}
    return {"error": [], "result": {"count": count, "trades": trades}}


def body_of(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs((request.body or b"").decode()).items()}


# Requests -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "api", "path"), REQUESTS, ids=lambda value: getattr(value, "name", None))
def test_every_request_is_the_one_ccxt_would_send(call: Call, api: str, path: str) -> None:
    request = oracle.adapter(Kraken).sign(call)
    exchange = oracle.ccxt_exchange("kraken")
    exchange.incrementing_nonce = lambda: int(body_of(request)["nonce"])
    assert oracle.ours(request) == oracle.theirs(exchange, path, [api, "GET"], call.method, dict(call.params))


def test_every_call_of_the_adapter_is_checked_against_ccxt() -> None:
    checked = {call.path for call, _, _ in REQUESTS}
    assert {value.path for value in vars(Kraken).values() if isinstance(value, Call)} == checked


def test_the_signature_is_the_one_of_the_venues_own_example() -> None:
    """docs.kraken.com, "Spot REST Authentication": AddOrder with a fixed nonce."""
    secret = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
    at = 1616492376594 / 1e6  # the example's nonce, as if it were microseconds
    venue = Kraken(HttpClient("http://127.0.0.1:9"), Credentials(Secret("example"), Secret(secret)), now=lambda: at)
    order = {"ordertype": "limit", "pair": "XBTUSD", "price": 37500, "type": "buy", "volume": 1.25}
    request = venue.sign(Call("POST", "/0/private/AddOrder", order))
    assert request.body == b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25"
    assert request.headers["API-Sign"] == (
        "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="
    )


def test_nonces_are_microseconds_and_rise_while_the_clock_stands_still_or_goes_back() -> None:
    clock = [1_700_000_000.5]
    venue = Kraken(
        HttpClient("http://127.0.0.1:9"), Credentials(Secret("one"), Secret(oracle.SECRET)), now=lambda: clock[0]
    )
    nonces = [int(body_of(venue.sign(Kraken.OPEN_ORDERS))["nonce"]) for _ in range(2)]
    clock[0] -= 60
    nonces.append(int(body_of(venue.sign(Kraken.OPEN_ORDERS))["nonce"]))
    assert nonces == [1_700_000_000_500_000, 1_700_000_000_500_001, 1_700_000_000_500_002]


def test_requests_of_one_key_arrive_one_by_one_with_rising_nonces_from_many_threads_and_adapters() -> None:
    class Counter(HttpClient):
        """Sees whether two requests of the key are ever under way at once."""

        nonces: list[int]
        inside = 0

        def send(self, request: Request) -> Response:
            self.inside += 1
            assert self.inside == 1
            self.nonces.append(int(body_of(request)["nonce"]))
            self.inside -= 1
            return Response(200, {}, b'{"error":[],"result":{"open":{}}}')

    http = Counter("http://127.0.0.1:9")
    http.nonces = []
    start = threading.Barrier(4)
    failures: list[BaseException] = []

    def work() -> None:
        venue = kraken(http, "shared")
        start.wait()
        try:
            for _ in range(50):
                venue.open_orders()
        except BaseException as error:  # noqa: BLE001  # carried to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(http.nonces) == 200
    assert http.nonces == sorted(set(http.nonces))


def test_a_request_that_cannot_get_its_turn_in_time_says_that_it_was_not_sent() -> None:
    entered, leave = threading.Event(), threading.Event()

    class Stuck(HttpClient):
        def send(self, request: Request) -> Response:
            entered.set()
            leave.wait()
            return Response(200, {}, b'{"error":[],"result":{"open":{}}}')

    held = threading.Thread(target=kraken(Stuck("http://127.0.0.1:9"), "busy").open_orders)
    held.start()
    entered.wait()
    impatient = Stub.saying(OPEN_ORDERS)
    impatient.request_timeout = 0.01
    try:
        with pytest.raises(errors.Unavailable, match="not sent"):
            kraken(impatient, "busy").open_orders()
    finally:
        leave.set()
        held.join()
    assert impatient.asked == []


def test_an_invalid_nonce_is_signed_again_with_the_venues_clock_and_never_goes_back() -> None:
    refused = {"error": ["EAPI:Invalid nonce"]}
    time = {"error": [], "result": {"unixtime": 2_000_000_000, "rfc1123": ""}}
    http = Stub.saying(refused, time, OPEN_ORDERS)
    assert len(kraken(http, "behind").open_orders()) == 3
    assert [asked.path for asked in http.asked] == [
        "/0/private/OpenOrders",
        "/0/public/Time",
        "/0/private/OpenOrders",
    ]
    assert int(http.asked[2].body["nonce"]) >= 1_999_999_999_000_000

    ticks = itertools.count(1_700_000_000)
    http = Stub.saying(refused, {"error": [], "result": {"unixtime": 1, "rfc1123": ""}}, OPEN_ORDERS)
    credentials = Credentials(Secret("ahead"), Secret(oracle.SECRET))
    Kraken(http, credentials, now=lambda: float(next(ticks))).open_orders()
    first, _, second = http.asked
    assert int(second.body["nonce"]) >= int(first.body["nonce"]) + 1_000_000, "this machine's clock went on"


def test_a_nonce_refused_twice_says_so_and_stops() -> None:
    time = {"error": [], "result": {"unixtime": 1_700_000_000, "rfc1123": ""}}
    refused = {"error": ["EAPI:Invalid nonce"]}
    http = Stub.saying(refused, time, refused)
    with pytest.raises(errors.ClockSkew, match="another program"):
        kraken(http).open_orders()
    assert len(http.asked) == 3


@pytest.mark.parametrize("secret", ["not base64!", "abc", "ünïcode=="])
def test_a_secret_that_is_not_base64_is_named_and_never_shown(secret: str) -> None:
    venue = Kraken(Stub.saying(OPEN_ORDERS), Credentials(Secret("k"), Secret(secret)))
    with pytest.raises(errors.AuthError, match="api_secret is not base64") as caught:
        venue.open_orders()
    assert secret not in str(caught.value)


# Replies --------------------------------------------------------------------------------------------------------------


def test_open_orders_of_every_line_and_kind_are_read() -> None:
    plain, stop, trailing = kraken(Stub.saying(OPEN_ORDERS)).open_orders()
    assert (plain.id, plain.symbol, plain.line, plain.side) == ("OQCLML-BW3P3-BUCMWZ", "XBTUSD", "spot", "buy")
    assert (plain.qty, plain.price, plain.conditional) == (Decimal("0.875"), Decimal("30010"), False)
    assert (stop.line, stop.side, stop.qty, stop.price) == ("margin", "sell", Decimal("0.001"), Decimal("2577"))
    assert (stop.conditional, stop.client_id) == (True, "hft-1-17")
    assert (trailing.conditional, trailing.price) == (True, None)


def test_no_open_orders_is_a_valid_answer() -> None:
    assert kraken(Stub.saying({"error": [], "result": {"open": {}}})).open_orders() == []


def test_a_restriction_to_one_line_hides_no_order() -> None:
    venue = Kraken(Stub.saying(OPEN_ORDERS), Credentials(Secret("k"), Secret(oracle.SECRET)), lines=("spot",))
    assert len(venue.open_orders()) == 3


@pytest.mark.parametrize("listing", [True, False], ids=["with a listing", "without one"])
def test_cancel_all_is_one_request_with_or_without_a_listing(listing: bool) -> None:
    orders = kraken(Stub.saying(OPEN_ORDERS)).open_orders() if listing else []
    http = Stub.saying({"error": [], "result": {"count": "3"}})
    assert kraken(http).cancel_all(orders).accepted == 3
    assert [asked.path for asked in http.asked] == ["/0/private/CancelAll"]


def test_balances_count_holds_and_credit_lines() -> None:
    reply = {
        "error": [],
        "result": {
            "ZUSD": {"balance": "25435.21", "hold_trade": "8249.76"},
            "XXBT": {"balance": 1.2435, "hold_trade": 0.8423, "credit": "0.1", "credit_used": "0.05"},
            "XETH": {"balance": "0.0000000000", "hold_trade": "0.0000000000"},
        },
    }
    assert kraken(Stub.saying(reply)).balances() == [
        Balance("ZUSD", Decimal("25435.21"), Decimal("17185.45")),
        Balance("XXBT", Decimal("1.2435"), Decimal("0.4512")),
    ]


def test_positions_are_spot_holdings_and_signed_margin_positions() -> None:
    balance = {"error": [], "result": {"XXBT": {"balance": "2", "hold_trade": "0"}}}
    margin = {
        "error": [],
        "result": [
            {
                "pair": "ETHUSDT",
                "positions": "1",
                "type": "sell",
                "leverage": "2.00000",
                "cost": "28.49800",
                "fee": "0.07979",
                "vol": "0.02000000",
                "vol_closed": "0.00500000",
                "margin": "14.24900",
                "net": "-1.5",
            }
        ],
    }
    assert kraken(Stub.saying(balance, margin)).positions() == [
        Position("XXBT", "spot", Decimal(2)),
        Position("ETHUSDT", "margin", Decimal("-0.015"), Decimal("1424.9"), Decimal("-1.5"), pnl_asset="USDT"),
    ]


def test_fills_come_from_every_page_oldest_first_and_none_from_before() -> None:
    http = Stub.saying(history(120, 0, 50), history(120, 50, 50), history(120, 100, 20))
    fills = kraken(http).fills(1688667796_880 - 110_000)
    assert [asked.body["ofs"] for asked in http.asked] == ["0", "50", "100"]
    assert http.asked[0].body["start"] == "1688667685"
    assert len(fills) == 111
    assert fills == sorted(fills, key=lambda fill: fill.at_ms)
    assert fills[-1] == Fill(
        id="T00000-AAAAA-BBBBBB",
        order_id="OQCLML-BW3P3-BUCMWZ",
        symbol="XBTUSD",
        side="buy",
        qty=Decimal("0.02"),
        price=Decimal(30010),
        fee=Decimal(0),
        fee_asset="ZUSD",
        at_ms=1688667796_880,
    )


@pytest.mark.parametrize(
    ("pair", "symbol", "fee_asset"),
    [
        ("XXBTZUSD", "XBTUSD", "ZUSD"),
        ("XETHXXBT", "ETHXBT", "XXBT"),
        ("SOLUSD", "SOLUSD", "ZUSD"),
        ("XTZUSDT", "XTZUSDT", "USDT"),
        ("ADAETH", "ADAETH", "XETH"),
        ("BTCNEW", "BTCNEW", ""),
    ],
)
def test_fills_name_the_pair_as_orders_do_and_the_quote_asset_of_the_fee(
    pair: str, symbol: str, fee_asset: str
) -> None:
    reply = {"error": [], "result": {"count": 1, "trades": {"T1": {**trade(0), "pair": pair}}}}
    (fill,) = kraken(Stub.saying(reply)).fills(0)
    assert (fill.symbol, fill.fee_asset) == (symbol, fee_asset)


def test_a_fill_that_arrives_between_two_pages_is_neither_lost_nor_doubled() -> None:
    http = Stub.saying(history(60, 0, 50), history(61, 49, 11))
    assert len(kraken(http).fills(0)) == 60


@pytest.mark.parametrize("again", [history(120, 0, 50), history(120, 0, 0)], ids=["the same page", "an empty page"])
def test_a_page_without_anything_new_while_more_is_announced_proves_nothing(again: dict[str, Any]) -> None:
    http = Stub.saying(history(120, 0, 50), again)
    with pytest.raises(errors.MalformedReply, match="nothing new"):
        kraken(http).fills(0)
    assert len(http.asked) == 2


def test_pages_without_end_are_given_up() -> None:
    http = Stub.saying(*(history(10**6, number, 1) for number in range(MAX_FILL_PAGES + 1)))
    with pytest.raises(errors.MalformedReply, match="no end"):
        kraken(http).fills(0)


def test_time_status_and_ticker_are_read_without_a_key() -> None:
    def public(result: Any) -> Kraken:
        return Kraken(Stub.saying({"error": [], "result": result}), None)

    assert public({"unixtime": 1688669448, "rfc1123": "Thu, 06 Jul 23 18:50:48 +0000"}).server_time() == 1688669448000
    assert public({"status": "online", "timestamp": "2023-07-06T18:52:00Z"}).status() == (True, "online")
    for status in ("maintenance", "cancel_only", "post_only"):
        assert public({"status": status, "timestamp": "2023-07-06T18:52:00Z"}).status() == (False, status)
    trades = {
        "XXBTZUSD": [["30243.40000", "0.34507674", 1688669597.827761, "b", "m", "", 61044952]],
        "last": "1688671969993150842",
    }
    assert public(trades).ticker() == ("XBTUSD", Decimal("30243.4"), 1688669597827)


def test_a_warning_does_not_hide_the_result_that_comes_with_it() -> None:
    reply = {"error": ["WDatabase:Replication lag"], "result": OPEN_ORDERS["result"]}
    assert len(kraken(Stub.saying(reply)).open_orders()) == 3


# What proves nothing --------------------------------------------------------------------------------------------------

READS: dict[str, Callable[[Kraken], object]] = {
    "server_time": Kraken.server_time,
    "status": Kraken.status,
    "ticker": Kraken.ticker,
    "open_orders": Kraken.open_orders,
    "cancel_all": lambda venue: venue.cancel_all([]),
    "positions": Kraken.positions,
    "balances": Kraken.balances,
    "fills": lambda venue: venue.fills(0),
}
MALFORMED: dict[str, Any] = {
    **FALSE_EMPTY,
    "no result": {"error": []},
    "no error": {"result": {"open": {}, "count": 0, "trades": {}}},
    "error is text": {"error": "", "result": {"open": {}}},
    "error is null": {"error": None, "result": {"open": {}}},
    "error holds objects": {"error": [{}], "result": {"open": {}}},
    "result is null": {"error": [], "result": None},
    "result is a text": {"error": [], "result": "ok"},
    "another venue's envelope": {"code": 0, "data": []},
}
#: Bodies that fit the envelope and lack what the one operation reads.
PARTIAL: dict[str, list[Any]] = {
    "server_time": [{}, {"unixtime": "soon"}, {"unixtime": 1.5}],
    "status": [{}, {"status": ""}, {"status": None}],
    "ticker": [{}, {"last": "1"}, {"XXBTZUSD": []}, {"XXBTZUSD": [["1"]]}, {"XXBTZUSD": [{}]}, {"XXBTZUSD": {}}],
    "open_orders": [{}, [], {"open": []}, {"open": None}, {"open": {"O1": {}}}, {"open": {"O1": []}}, {"closed": {}}],
    "cancel_all": [{}, [], {"count": None}, {"count": "many"}],
    "positions": [[], {"XXBT": "1"}, {"XXBT": {"balance": "1"}}],
    "balances": [[], {"XXBT": "1"}, {"XXBT": {"balance": "1"}}, {"XXBT": {"balance": "NaN", "hold_trade": "0"}}],
    "fills": [{}, [], {"trades": {}}, {"count": 0}, {"trades": [], "count": 0}, {"trades": {"T1": {}}, "count": 1}],
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_reply_outside_the_envelope_proves_nothing(read: Callable[[Kraken], object], body: Any) -> None:
    with pytest.raises(errors.MalformedReply):
        read(kraken(Stub.saying(body)))


@pytest.mark.parametrize(("name", "result"), [(name, result) for name, rows in PARTIAL.items() for result in rows])
def test_a_result_without_what_is_relied_on_proves_nothing(name: str, result: Any) -> None:
    with pytest.raises(errors.MalformedReply):
        READS[name](kraken(Stub.saying({"error": [], "result": result})))


def test_margin_positions_that_are_no_list_prove_nothing() -> None:
    empty: dict[str, Any] = {"error": [], "result": {}}
    with pytest.raises(errors.MalformedReply):
        kraken(Stub.saying(empty, empty)).positions()


@pytest.mark.parametrize("field", ["vol", "vol_exec", "descr"])
def test_an_order_without_a_field_that_is_relied_on_proves_nothing(field: str) -> None:
    row = {k: v for k, v in OPEN_ORDERS["result"]["open"]["OQCLML-BW3P3-BUCMWZ"].items() if k != field}  # type: ignore[index]  # a literal of mixed types
    with pytest.raises(errors.MalformedReply):
        kraken(Stub.saying({"error": [], "result": {"open": {"O1": row}}})).open_orders()


# Errors ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("EAPI:Invalid key", errors.AuthError),
        ("EAPI:Invalid signature", errors.AuthError),
        ("EAPI:Invalid nonce", errors.ClockSkew),
        ("EAPI:Permission denied", errors.AuthError),
        ("EAPI:Bad request", errors.Rejected),
        ("EGeneral:Permission denied", errors.AuthError),
        ("ESession:Invalid session", errors.AuthError),
        ("EAuth:Account temporary disabled", errors.AuthError),
        ("ETrade:User Locked", errors.AuthError),
        ("EAPI:Rate limit exceeded", errors.RateLimited),
        ("EOrder:Rate limit exceeded", errors.RateLimited),
        ("EGeneral:Too many requests", errors.RateLimited),
        ("EAuth:Too many requests", errors.RateLimited),
        ("EGeneral:Temporary lockout", errors.Banned),
        ("EService:Unavailable", errors.Unavailable),
        ("EService:Busy", errors.Unavailable),
        ("EService:Timeout", errors.UnknownOutcome),
        ("EService:Deadline elapsed", errors.UnknownOutcome),
        ("EGeneral:Internal error", errors.UnknownOutcome),
        ("EDatabase:Internal error", errors.UnknownOutcome),
        ("EService:Market in cancel_only mode", errors.Rejected),
        ("EQuery:Unknown asset pair", errors.Rejected),
        ("EOrder:Unknown order", errors.Rejected),
    ],
)
def test_each_error_asks_of_the_caller_what_it_means(code: str, kind: type[errors.VenueError]) -> None:
    with pytest.raises(errors.VenueError) as caught:
        Kraken(Stub.saying(b""), None).read(Kraken.CANCEL_ALL, 200, {"error": [code], "result": {}})
    assert type(caught.value) is kind
    assert caught.value.code == code


def test_a_throttled_key_knows_until_when() -> None:
    venue = Kraken(Stub.saying({"error": ["EService:Throttled: 1700000030"]}), None, now=lambda: 1_700_000_000.0)
    with pytest.raises(errors.RateLimited) as caught:
        venue.status()
    assert caught.value.retry_after == 30.0


def test_the_venues_own_error_counts_under_any_http_status() -> None:
    with pytest.raises(errors.RateLimited) as caught:
        kraken(Stub.saying(Reply({"error": ["EAPI:Rate limit exceeded"]}, 429, {"retry-after": "7"}))).open_orders()
    assert caught.value.retry_after == 7.0


def test_a_success_under_a_bad_http_status_is_unknown() -> None:
    with pytest.raises(errors.UnknownOutcome):
        kraken(Stub.saying(Reply({"error": [], "result": {"open": {}}}, 520))).open_orders()
