# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The Kraken Futures adapter: its requests against ccxt's, the documented replies, every reply that proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.http_client import HttpClient
from ansible_collections.hft.incident.plugins.module_utils.secret_ref import Secret
from ansible_collections.hft.incident.plugins.module_utils.venues import errors
from ansible_collections.hft.incident.plugins.module_utils.venues.api import Balance, Call, Credentials, Fill, Position
from ansible_collections.hft.incident.plugins.module_utils.venues.krakenfutures import (
    FILLS_PER_PAGE,
    MAX_FILL_PAGES,
    KrakenFutures,
)

from . import oracle
from .stub import FALSE_EMPTY, Reply, Stub

REQUESTS: list[tuple[Call, str, str, dict[str, Any]]] = [
    (KrakenFutures.TICKER, "public", "tickers/{symbol}", {"symbol": "PF_XBTUSD"}),
    (KrakenFutures.OPEN_ORDERS, "private", "openorders", {}),
    (KrakenFutures.CANCEL_ALL, "private", "cancelallorders", {}),
    (KrakenFutures.POSITIONS, "private", "openpositions", {}),
    (KrakenFutures.ACCOUNTS, "private", "accounts", {}),
    (KrakenFutures.FILLS, "private", "fills", {}),
    (
        KrakenFutures.FILLS.given(lastFillTime="2020-07-22T13:37:27.077Z"),
        "private",
        "fills",
        {"lastFillTime": "2020-07-22T13:37:27.077Z"},
    ),
]

SERVER_TIME = "2019-09-05T17:08:18.138Z"
#: The example of docs.kraken.com "Get open orders", with a trigger order.
OPEN_ORDERS: list[dict[str, Any]] = [
    {
        "order_id": "59302619-41d2-4f0b-941f-7e7914760ad3",
        "symbol": "PI_XBTUSD",
        "side": "sell",
        "orderType": "lmt",
        "limitPrice": 10640,
        "unfilledSize": 304,
        "receivedTime": "2019-09-05T17:01:17.410Z",
        "status": "partiallyFilled",
        "filledSize": 6,
        "reduceOnly": True,
        "lastUpdateTime": "2019-09-05T17:01:17.410Z",
    },
    {
        "order_id": "022774bc-2c4a-4f26-9317-436c8d85746d",
        "cliOrdId": "hft-1-17",
        "symbol": "pf_ethusd",
        "side": "buy",
        "orderType": "stop",
        "limitPrice": None,
        "stopPrice": 10850,
        "unfilledSize": 1.501,
        "receivedTime": "2019-09-05T16:45:00.000Z",
        "status": "untouched",
        "filledSize": 0.0,
        "reduceOnly": False,
        "triggerSignal": "mark",
        "lastUpdateTime": "2019-09-05T16:47:47.519Z",
    },
]
TICKER = {
    "symbol": "PF_XBTUSD",
    "last": 90030.5,
    "lastTime": "2026-11-23T10:00:00.250Z",
    "markPrice": 90031.0,
    "suspended": False,
    "postOnly": False,
}


def success(**members: Any) -> dict[str, Any]:
    return {"result": "success", **members, "serverTime": SERVER_TIME}


def futures(http: HttpClient) -> KrakenFutures:
    return KrakenFutures(http, Credentials(Secret("a-futures-key"), Secret(oracle.SECRET)))


def fill(at_ms: int, number: int) -> dict[str, Any]:
    return {
        "fill_id": f"fill-{number}",
        "symbol": "PI_XBTUSD",
        "side": "buy",
        "order_id": "693af756-055e-47ef-99d5-bcf4c456ebc5",
        "size": 5490,
        "price": 9400,
        "fillTime": datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "fillType": "maker",
    }


# Requests -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "api", "path", "params"), REQUESTS, ids=[f"{r[0].name} {sorted(r[0].params)}" for r in REQUESTS]
)
def test_every_request_is_the_one_ccxt_would_send(call: Call, api: str, path: str, params: dict[str, Any]) -> None:
    exchange = oracle.ccxt_exchange("krakenfutures")
    wire = oracle.ours(oracle.adapter(KrakenFutures).sign(call))
    assert wire == oracle.theirs(exchange, path, [api, "GET"], call.method, params)


def test_every_call_of_the_adapter_is_checked_against_ccxt() -> None:
    checked = {call.path for call, *_ in REQUESTS}
    assert {value.path for value in vars(KrakenFutures).values() if isinstance(value, Call)} == checked


def test_a_secret_that_is_not_base64_is_named_and_never_shown() -> None:
    venue = KrakenFutures(Stub.saying(success()), Credentials(Secret("k"), Secret("not base64!")))
    with pytest.raises(errors.AuthError, match="api_secret is not base64") as caught:
        venue.open_orders()
    assert "not base64!" not in str(caught.value)


# Replies --------------------------------------------------------------------------------------------------------------


def test_open_orders_of_every_line_and_untriggered_stops_are_read() -> None:
    plain, stop = futures(Stub.saying(success(openOrders=OPEN_ORDERS))).open_orders()
    assert (plain.id, plain.symbol, plain.line) == ("59302619-41d2-4f0b-941f-7e7914760ad3", "PI_XBTUSD", "PI")
    assert (plain.side, plain.qty, plain.price, plain.conditional) == ("sell", Decimal(304), Decimal(10640), False)
    assert (stop.symbol, stop.line, stop.side, stop.qty) == ("PF_ETHUSD", "PF", "buy", Decimal("1.501"))
    assert (stop.price, stop.conditional, stop.client_id) == (None, True, "hft-1-17")


def test_no_open_orders_is_a_valid_answer() -> None:
    assert futures(Stub.saying(success(openOrders=[]))).open_orders() == []


def test_a_restriction_to_one_line_hides_no_order() -> None:
    credentials = Credentials(Secret("k"), Secret(oracle.SECRET))
    venue = KrakenFutures(Stub.saying(success(openOrders=OPEN_ORDERS)), credentials, lines=("PF",))
    assert len(venue.open_orders()) == 2


@pytest.mark.parametrize(
    ("outcome", "accepted", "rejected"),
    [
        ({"status": "cancelled", "cancelledOrders": [{"order_id": "a"}, {"order_id": "b"}]}, 2, ()),
        ({"status": "noOrdersToCancel", "cancelledOrders": [], "orderEvents": []}, 0, ()),
        ({"status": "noOrdersToCancel"}, 0, ()),
        ({"status": "partial", "cancelledOrders": [{"order_id": "a"}]}, 1, ("partial",)),
    ],
)
def test_cancel_all_is_one_request_and_tells_what_the_venue_said(
    outcome: dict[str, Any], accepted: int, rejected: tuple[str, ...]
) -> None:
    http = Stub.saying(success(cancelStatus={"receivedTime": SERVER_TIME, "cancelOnly": "all", **outcome}))
    assert futures(http).cancel_all([]) == (accepted, rejected)
    assert [(asked.method, asked.path) for asked in http.asked] == [("POST", "/derivatives/api/v3/cancelallorders")]


def test_positions_are_signed_and_say_what_they_count() -> None:
    rows = [
        {"side": "short", "symbol": "PI_XBTUSD", "price": 9392.7, "fillTime": SERVER_TIME, "size": 10000},
        {
            "side": "long",
            "symbol": "pf_ftmusd",
            "price": "0.4921",
            "size": "1.5",
            "unrealizedPnl": "12.34",
            "pnlCurrency": "USD",
        },
        {"side": "long", "symbol": "FV_XRPXBT", "price": "1", "size": "7"},
        {"side": "long", "symbol": "PF_XBTUSD", "price": "1", "size": "0"},
    ]
    assert futures(Stub.saying(success(openPositions=rows))).positions() == [
        Position("PI_XBTUSD", "PI", Decimal(-10000), Decimal("9392.7"), None, "usd"),
        Position("PF_FTMUSD", "PF", Decimal("1.5"), Decimal("0.4921"), Decimal("12.34"), pnl_asset="USD"),
        Position("FV_XRPXBT", "FV", Decimal(7), Decimal(1), None, "contract"),
    ]


def test_balances_add_up_over_the_wallets() -> None:
    accounts = {
        "cash": {"balances": {"xbt": "0.5", "usd": "0.0"}, "type": "cashAccount"},
        "fi_xbtusd": {
            "auxiliary": {"usd": "0", "pv": "0.2", "pnl": "0.0", "af": "0.15", "funding": "0.0"},
            "balances": {"xbt": "0.2", "FI_XBTUSD_171215": 50000},
            "currency": "xbt",
            "type": "marginAccount",
        },
        "flex": {
            "currencies": {"USDT": {"quantity": "1", "value": "1.0001", "collateral": "0.9", "available": "0.75"}},
            "type": "multiCollateralMarginAccount",
        },
    }
    assert futures(Stub.saying(success(accounts=accounts))).balances() == [
        Balance("XBT", Decimal("0.7"), Decimal("0.65")),
        Balance("USDT", Decimal(1), Decimal("0.75")),
    ]


def test_fills_come_from_every_page_and_those_of_one_millisecond_are_kept_together() -> None:
    newest = 1_700_000_000_000
    rows = [fill(newest - number // 7, number) for number in range(2 * FILLS_PER_PAGE)]
    first = rows[:FILLS_PER_PAGE]
    edge = newest - (FILLS_PER_PAGE - 1) // 7
    second = [row for row in rows if row["fillTime"] <= fill(edge, 0)["fillTime"]][:FILLS_PER_PAGE]
    third = [row for row in rows if row["fillTime"] <= second[-1]["fillTime"]]
    http = Stub.saying(success(fills=first), success(fills=second), success(fills=third))
    fills = futures(http).fills(0)
    assert {found.id for found in fills} == {row["fill_id"] for row in rows}
    assert fills == sorted(fills, key=lambda found: found.at_ms)
    assert "lastFillTime" not in http.asked[0].query
    assert http.asked[1].query == {"lastFillTime": fill(edge + 1, 0)["fillTime"]}


def test_fills_from_before_are_left_out_and_end_the_search() -> None:
    newest = 1_700_000_000_000
    page = [fill(newest - number, number) for number in range(FILLS_PER_PAGE)]
    http = Stub.saying(success(fills=page))
    assert futures(http).fills(newest - 1) == [
        Fill(
            f"fill-{number}",
            "693af756-055e-47ef-99d5-bcf4c456ebc5",
            "PI_XBTUSD",
            "buy",
            Decimal(5490),
            Decimal(9400),
            Decimal(0),
            "",
            newest - number,
        )
        for number in (1, 0)
    ]
    assert len(http.asked) == 1


def test_a_full_page_without_anything_new_proves_nothing() -> None:
    http = Stub.saying(success(fills=[fill(1_700_000_000_000, number) for number in range(FILLS_PER_PAGE)]))
    with pytest.raises(errors.MalformedReply, match="nothing new"):
        futures(http).fills(0)
    assert len(http.asked) == 2


def test_pages_without_end_are_given_up() -> None:
    pages = [
        success(fills=[fill(1_700_000_000_000 - page, page * 1000 + row) for row in range(FILLS_PER_PAGE)])
        for page in range(MAX_FILL_PAGES + 1)
    ]
    with pytest.raises(errors.MalformedReply, match="no end"):
        futures(Stub.saying(*pages)).fills(0)


def test_time_status_and_ticker_come_from_one_public_reply() -> None:
    def public(**changes: Any) -> KrakenFutures:
        return KrakenFutures(Stub.saying(success(ticker={**TICKER, **changes})), None)

    assert public().server_time() == 1567703298138
    assert public().ticker() == ("PF_XBTUSD", Decimal("90030.5"), 1795428000250)
    assert public().status() == (True, "trading")
    assert public(postOnly=True).status() == (True, "post only")
    assert public(suspended=True).status() == (False, "suspended")


# What proves nothing --------------------------------------------------------------------------------------------------

READS: dict[str, Callable[[KrakenFutures], object]] = {
    "server_time": KrakenFutures.server_time,
    "status": KrakenFutures.status,
    "ticker": KrakenFutures.ticker,
    "open_orders": KrakenFutures.open_orders,
    "cancel_all": lambda venue: venue.cancel_all([]),
    "positions": KrakenFutures.positions,
    "balances": KrakenFutures.balances,
    "fills": lambda venue: venue.fills(0),
}
MALFORMED: dict[str, Any] = {
    **FALSE_EMPTY,
    "no result": {"openOrders": [], "openPositions": [], "accounts": {}, "fills": [], "serverTime": SERVER_TIME},
    "result is null": {"result": None, "openOrders": []},
    "result is another word": {"result": "ok", "openOrders": []},
    "an error without a word": {"result": "error"},
    "an error that is no text": {"result": "error", "error": {}},
    "another venue's envelope": {"code": 0, "data": []},
}
ORDER = OPEN_ORDERS[0]
#: Replies in the envelope that lack what the one operation reads.
PARTIAL: dict[str, list[dict[str, Any]]] = {
    "status": [{}, {"ticker": []}, {"ticker": {}}],
    "ticker": [{}, {"ticker": None}, {"ticker": {"last": 1}}, {"ticker": {**TICKER, "lastTime": "yesterday"}}],
    "open_orders": [
        {},
        {"openOrders": None},
        {"openOrders": {}},
        {"openOrders": ["59302619"]},
        {"openOrders": [{}]},
        *({"openOrders": [{k: v for k, v in ORDER.items() if k != lost}]} for lost in ("order_id", "unfilledSize")),
        {"openOrders": [{**ORDER, "unfilledSize": "NaN"}]},
        {"orders": []},
    ],
    "cancel_all": [{}, {"cancelStatus": []}, {"cancelStatus": {}}, {"cancelStatus": {"status": "cancelled"}}],
    "positions": [{}, {"openPositions": None}, {"openPositions": {}}, {"openPositions": [{"symbol": "PF_XBTUSD"}]}],
    "balances": [
        {},
        {"accounts": []},
        {"accounts": {"cash": []}},
        {"accounts": {"cash": {"type": "cashAccount"}}},
        {"accounts": {"cash": {"balances": {}, "type": "aNewKind"}}},
        {"accounts": {"flex": {"type": "multiCollateralMarginAccount", "currencies": {"USD": {"quantity": "1"}}}}},
    ],
    "fills": [{}, {"fills": None}, {"fills": {}}, {"fills": [{}]}],
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_reply_outside_the_envelope_proves_nothing(read: Callable[[KrakenFutures], object], body: Any) -> None:
    with pytest.raises(errors.MalformedReply):
        read(futures(Stub.saying(body)))


@pytest.mark.parametrize(("name", "members"), [(name, row) for name, rows in PARTIAL.items() for row in rows])
def test_a_success_without_what_is_relied_on_proves_nothing(name: str, members: dict[str, Any]) -> None:
    with pytest.raises(errors.MalformedReply):
        READS[name](futures(Stub.saying(success(**members))))


@pytest.mark.parametrize("text", [None, "", "soon", 1567703298138])
def test_a_server_time_that_is_no_time_proves_nothing(text: Any) -> None:
    with pytest.raises(errors.MalformedReply):
        futures(Stub.saying({"result": "success", "ticker": TICKER, "serverTime": text})).server_time()


# Errors ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (200, "apiLimitExceeded", errors.RateLimited),
        (429, "apiLimitExceeded", errors.RateLimited),
        (200, "authenticationError", errors.AuthError),
        (401, "authenticationError", errors.AuthError),
        (200, "nonceBelowThreshold", errors.AuthError),
        (200, "nonceDuplicate", errors.AuthError),
        (200, "marketUnavailable", errors.Unavailable),
        (503, "Unavailable", errors.Unavailable),
        (200, "Server Error", errors.UnknownOutcome),
        (200, "unknownError", errors.UnknownOutcome),
        (500, "somethingNew", errors.UnknownOutcome),
        (200, "accountInactive", errors.Rejected),
        (200, "invalidArgument: symbol", errors.Rejected),
    ],
)
@pytest.mark.parametrize("envelope", ["error", "errors"])
def test_each_error_asks_of_the_caller_what_it_means(
    status: int, code: str, kind: type[errors.VenueError], envelope: str
) -> None:
    body = {"error": code} if envelope == "error" else {"errors": [{"code": 92, "message": code}]}
    with pytest.raises(errors.VenueError) as caught:
        futures(Stub.saying(Reply({"result": "error", **body}, status))).open_orders()
    assert type(caught.value) is kind
    assert caught.value.code == code


def test_a_success_under_a_bad_http_status_is_unknown() -> None:
    with pytest.raises(errors.UnknownOutcome):
        futures(Stub.saying(Reply(success(openOrders=[]), 502))).open_orders()
