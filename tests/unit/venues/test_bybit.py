# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The Bybit adapter: its requests against ccxt's signature, its reading of the venue's documented replies."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.venues import errors
from ansible_collections.hft.incident.plugins.module_utils.venues.api import Call, OpenOrder
from ansible_collections.hft.incident.plugins.module_utils.venues.bybit import ERRORS, RECV_WINDOW_MS, Bybit

from . import oracle, stub
from .stub import FALSE_EMPTY, Answer, Asked, Reply

LINEAR = {"category": "linear", "settleCoin": "USDT"}
CURSOR = "f5f2d355-9a11-4af3-9b83-aa1d6ab6ddfe%3A1757837618905%2Caee7453a"

REQUESTS: list[tuple[Call, str]] = [
    (Bybit.TIME, "public"),
    (Bybit.STATUS, "public"),
    (Bybit.LAST_TRADE, "public"),
    (Bybit.ORDERS.given(category="spot"), "private"),
    (Bybit.ORDERS.given(**LINEAR), "private"),
    (Bybit.ORDERS.given(**LINEAR, cursor=CURSOR), "private"),
    (Bybit.SPREAD_ORDERS, "private"),
    (Bybit.CANCEL_ALL.given(**LINEAR), "private"),
    (Bybit.CANCEL_ALL.given(category="spot", orderFilter="StopOrder"), "private"),
    (Bybit.CANCEL_ALL.given(category="inverse", symbol="BTCUSD"), "private"),
    (Bybit.CANCEL_SPREADS, "private"),
    (Bybit.POSITIONS.given(**LINEAR), "private"),
    (Bybit.WALLET, "private"),
    (Bybit.FILLS.given(category="spot", startTime=oracle.NOW_MS - 1000), "private"),
]

#: One order as /v5/order/realtime documents it, cut to what matters.
ORDER = {
    "orderId": "fd4300ae-7847-404e-b947-b46980a4d140",
    "orderLinkId": "test-000005",
    "symbol": "ETHUSDT",
    "price": "1600.00",
    "qty": "0.10",
    "side": "Buy",
    "orderStatus": "PartiallyFilled",
    "cumExecQty": "0.04",
    "leavesQty": "0.06",
    "orderType": "Limit",
    "stopOrderType": "",
    "triggerPrice": "0.00",
}
STOP = {**ORDER, "orderId": "stop-1", "price": "0", "cumExecQty": "0", "stopOrderType": "Stop", "side": "Sell"}


@pytest.fixture(scope="module")
def exchange() -> Any:
    return oracle.ccxt_exchange("bybit", recvWindow=RECV_WINDOW_MS)


@pytest.mark.parametrize(("call", "api"), REQUESTS, ids=lambda value: getattr(value, "name", None))
def test_every_request_is_the_one_ccxt_would_send(exchange: Any, call: Call, api: str) -> None:
    theirs = oracle.theirs(exchange, call.path.removeprefix("/"), [api], call.method, dict(call.params))
    theirs.headers.pop("referer", None)  # ccxt's own broker id
    assert oracle.ours(oracle.adapter(Bybit).sign(call)) == theirs


def ok(result: dict[str, Any]) -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": 1672211918471}


def refused(code: int) -> dict[str, Any]:
    return {"retCode": code, "retMsg": "the venue's words", "result": {}, "retExtInfo": {}, "time": 1672211918471}


def empty(asked: Asked) -> Any:
    """A venue with nothing in it."""
    category = {"category": asked.query["category"]} if "category" in asked.query else {}
    return ok({**category, "list": [], "nextPageCursor": ""})


def with_orders(rows: dict[str, list[dict[str, Any]]]) -> Answer:
    """A venue with these rows in its categories (linear: those of USDT)."""

    def answer(asked: Asked) -> Any:
        line = "spread" if "spread" in asked.path else asked.query["category"]
        found = rows.get(line, []) if asked.query.get("settleCoin") != "USDC" else []
        return ok({"category": line, "list": found, "nextPageCursor": ""})

    return answer


def order(line: str, symbol: str = "BTCUSDT", *, conditional: bool = False) -> OpenOrder:
    return OpenOrder("1", symbol, line, "buy", Decimal(1), Decimal(1), conditional)


def test_an_order_is_read_with_what_remains_of_it() -> None:
    venue, _ = stub.venue(Bybit, with_orders({"spot": [ORDER, STOP]}))
    plain, stop = venue.open_orders()
    assert plain == OpenOrder(
        id="fd4300ae-7847-404e-b947-b46980a4d140",
        symbol="ETHUSDT",
        line="spot",
        side="buy",
        qty=Decimal("0.06"),
        price=Decimal(1600),
        client_id="test-000005",
    )
    assert (stop.conditional, stop.price, stop.side) == (True, None, "sell")


def test_every_product_line_is_listed() -> None:
    venue, http = stub.venue(Bybit, with_orders({line: [ORDER] for line in Bybit.all_lines}))
    assert sorted(found.line for found in venue.open_orders()) == sorted(Bybit.all_lines)
    assert sorted(asked.query.get("settleCoin", "-") for asked in http.asked) == ["-"] * 4 + ["USDC", "USDT"]


def test_pages_are_followed_to_the_last() -> None:
    def answer(asked: Asked) -> Any:
        number = int(asked.query.get("cursor", "p0")[1:])
        rows = [{**ORDER, "orderId": f"{number}-{i}"} for i in range(50 if number < 2 else 0)]
        return ok({"category": "spot", "list": rows, "nextPageCursor": f"p{number + 1}"})

    venue, http = stub.venue(Bybit, answer, lines=["spot"])
    assert len({found.id for found in venue.open_orders()}) == 100
    assert [asked.query.get("cursor") for asked in http.asked] == [None, "p1", "p2"]


def test_a_cursor_that_comes_again_is_malformed() -> None:
    venue, _ = stub.venue(
        Bybit, lambda _: ok({"category": "spot", "list": [ORDER], "nextPageCursor": "same"}), lines=["spot"]
    )
    with pytest.raises(errors.MalformedReply, match="same page"):
        venue.open_orders()


def test_pages_without_end_are_malformed() -> None:
    def answer(asked: Asked) -> Any:
        number = int(asked.query.get("cursor", "0"))
        return ok({"category": "spot", "list": [ORDER], "nextPageCursor": str(number + 1)})

    venue, _ = stub.venue(Bybit, answer, lines=["spot"])
    with pytest.raises(errors.MalformedReply, match="more than"):
        venue.open_orders()


LISTINGS: dict[str, Callable[[Any], Any]] = {
    "open_orders": lambda venue: venue.open_orders(),
    "positions": lambda venue: venue.positions(),
    "balances": lambda venue: venue.balances(),
    "fills": lambda venue: venue.fills(oracle.NOW_MS - 1000),
    "ticker": lambda venue: venue.ticker(),
    "server_time": lambda venue: venue.server_time(),
    "status": lambda venue: venue.status(),
}
WRONG_ENVELOPES = [
    {"result": {"category": "spot", "list": [], "nextPageCursor": ""}},
    {"retCode": 0, "retMsg": "OK"},
    {"retCode": 0, "result": None},
    {"retCode": 0, "result": []},
    {"retCode": 0, "result": {}},
    {"retCode": "no number", "result": {"category": "spot", "list": [], "nextPageCursor": ""}},
    {"retCode": 0, "result": {"category": "spot", "list": None, "nextPageCursor": ""}},
    {"retCode": 0, "result": {"category": "spot", "list": {}, "nextPageCursor": ""}},
    {"retCode": 0, "result": {"category": "spot", "list": ["BTCUSDT"], "nextPageCursor": ""}},
    {"x_retCode": 0, "x_result": {"x_list": []}},
]


@pytest.mark.parametrize("operation", LISTINGS)
@pytest.mark.parametrize("body", [*FALSE_EMPTY.values(), *WRONG_ENVELOPES], ids=str)
def test_what_is_no_valid_reply_never_means_empty(operation: str, body: Any) -> None:
    venue, _ = stub.venue(Bybit, lambda _: body)
    with pytest.raises(errors.MalformedReply):
        LISTINGS[operation](venue)


@pytest.mark.parametrize(
    "result",
    [
        {"category": "spot", "list": []},
        {"category": "spot", "list": [], "nextPageCursor": None},
        {"category": "inverse", "list": [], "nextPageCursor": ""},
        {"list": [], "nextPageCursor": ""},
    ],
    ids=str,
)
def test_a_list_without_its_cursor_or_of_another_category_is_malformed(result: dict[str, Any]) -> None:
    venue, _ = stub.venue(Bybit, lambda _: ok(result), lines=["spot"])
    with pytest.raises(errors.MalformedReply):
        venue.open_orders()


@pytest.mark.parametrize("field", ["orderId", "symbol", "price", "qty", "side", "cumExecQty"])
def test_an_order_without_a_field_we_rely_on_is_malformed(field: str) -> None:
    row = {name: value for name, value in ORDER.items() if name != field}
    venue, _ = stub.venue(Bybit, with_orders({"spot": [row]}))
    with pytest.raises(errors.MalformedReply):
        venue.open_orders()


@pytest.mark.parametrize(("code", "kind"), ERRORS.items())
def test_every_error_code_raises_what_it_means(code: int, kind: type[errors.VenueError]) -> None:
    venue, _ = stub.venue(
        Bybit, lambda asked: refused(code) if asked.path != Bybit.TIME.path else ok({"timeNano": "1"})
    )
    with pytest.raises(kind) as caught:
        venue.balances()
    assert type(caught.value) is kind
    assert caught.value.code == str(code)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refused(10001), errors.Rejected),
        (Reply(refused(99999), 500), errors.UnknownOutcome),
        (Reply(b"<html>", 502), errors.UnknownOutcome),
        (Reply(b"", 401), errors.AuthError),
        (Reply(b"access too frequent", 403), errors.Banned),
        (Reply(b"", 429), errors.RateLimited),
    ],
    ids=str,
)
def test_codes_and_statuses_outside_the_table(answer: Any, kind: type[errors.VenueError]) -> None:
    venue, _ = stub.venue(Bybit, lambda _: answer)
    with pytest.raises(kind):
        venue.open_orders()


def test_a_refused_timestamp_is_mended_by_the_venues_clock() -> None:
    ahead = oracle.NOW_MS + 90_000
    wallet = ok({"list": [{"coin": [{"coin": "BTC", "walletBalance": "2", "locked": "0.5"}]}]})
    replies = iter([refused(10002), ok({"timeSecond": "0", "timeNano": f"{ahead}000000"}), wallet])
    venue, http = stub.venue(Bybit, lambda _: next(replies))
    assert venue.balances()[0].available == Decimal("1.5")
    assert venue.now_ms() == ahead
    assert [asked.path for asked in http.asked][1] == Bybit.TIME.path


def test_a_classic_account_has_no_options_and_no_spreads_but_spot_must_answer() -> None:
    def classic(lines: tuple[str, ...]) -> Answer:
        return lambda asked: (
            refused(10028)
            if ("spread" if "spread" in asked.path else asked.query["category"]) in lines
            else empty(asked)
        )

    venue, _ = stub.venue(Bybit, classic(("option", "spread")))
    assert venue.open_orders() == []
    venue, _ = stub.venue(Bybit, classic(("spot",)))
    with pytest.raises(errors.Rejected):
        venue.open_orders()


def cancels(orders: list[OpenOrder]) -> list[dict[str, Any]]:
    venue, http = stub.venue(Bybit, lambda _: ok({"list": [], "success": "1"}))
    assert venue.cancel_all(orders).rejected == ()
    return sorted((asked.body for asked in http.asked), key=str)


def test_without_a_listing_every_line_is_cancelled() -> None:
    assert cancels([]) == sorted(
        [
            {"category": "spot"},
            *(
                {"category": "spot", "orderFilter": kind}
                for kind in ("StopOrder", "tpslOrder", "OcoOrder", "BidirectionalTpslOrder")
            ),
            *({"category": "linear", "settleCoin": coin} for coin in ("USDT", "USDC")),
            *({"category": "inverse", "settleCoin": coin} for coin in ("BTC", "ETH", "SOL", "XRP")),
            {"category": "option"},
            {"cancelAll": True},
        ],
        key=str,
    )


@pytest.mark.parametrize(
    ("orders", "bodies"),
    [
        ([order("spot"), order("spot")], [{"category": "spot"}]),
        ([order("inverse", "BTCUSD"), order("inverse", "BTCUSD")], [{"category": "inverse", "symbol": "BTCUSD"}]),
        ([order("option", "BTC-29DEC26-90000-C")], [{"category": "option"}]),
        ([order("spread", "SOLUSDT_SOL/USDT")], [{"cancelAll": True}]),
        (
            [order("linear")],
            [{"category": "linear", "settleCoin": "USDC"}, {"category": "linear", "settleCoin": "USDT"}],
        ),
    ],
    ids=lambda value: value[0].line if isinstance(value[0], OpenOrder) else "",
)
def test_a_listing_spares_the_lines_that_hold_nothing(orders: list[OpenOrder], bodies: list[dict[str, Any]]) -> None:
    assert cancels(orders) == bodies


def test_conditional_spot_orders_are_cancelled_kind_by_kind() -> None:
    assert len(cancels([order("spot", conditional=True)])) == 4


def test_a_part_that_is_refused_is_reported_beside_the_others() -> None:
    def answer(asked: Asked) -> Any:
        if asked.body["category"] == "option":
            return refused(10005)
        return ok({"list": [{"orderId": "1", "orderLinkId": ""}, {"orderId": "2", "orderLinkId": ""}]})

    venue, _ = stub.venue(Bybit, answer)
    reply = venue.cancel_all([order("spot"), order("option")])
    assert reply.accepted == 2
    assert "10005" in reply.rejected[0]


def test_nothing_to_cancel_is_no_rejection_and_no_success_is_one() -> None:
    venue, _ = stub.venue(Bybit, lambda _: refused(110001))
    assert venue.cancel_all([order("spot")]) == (0, ())
    venue, _ = stub.venue(Bybit, lambda _: ok({"success": "0"}))
    assert len(venue.cancel_all([order("spot")]).rejected) == 1


@pytest.mark.parametrize(("answer", "kind"), [(refused(10016), errors.UnknownOutcome), (b"{}", errors.MalformedReply)])
def test_a_mass_cancel_of_which_nothing_is_known_raises(answer: Any, kind: type[errors.VenueError]) -> None:
    venue, _ = stub.venue(Bybit, lambda _: answer)
    with pytest.raises(kind):
        venue.cancel_all([])


def test_a_ban_is_raised_even_where_other_parts_succeeded() -> None:
    venue, _ = stub.venue(Bybit, lambda asked: refused(10009) if asked.body["category"] == "spot" else ok({"list": []}))
    with pytest.raises(errors.Banned):
        venue.cancel_all([order("spot"), order("option")])


def test_positions_have_their_sign_and_unit() -> None:
    row = {
        "symbol": "BTCUSD", "side": "Sell", "size": "300", "avgPrice": "90000.5",
        "unrealisedPnl": "-0.01", "markPrice": "90100.5",
    }  # fmt: skip
    flat = {"symbol": "ETHUSD", "side": "", "size": "0", "avgPrice": "0", "unrealisedPnl": "", "markPrice": ""}
    perp = {**row, "symbol": "BTCPERP"}
    coin = {"coin": "BTC", "walletBalance": "1.5", "locked": "0", "spotBorrow": "2"}

    def answer(asked: Asked) -> Any:
        if asked.path == Bybit.WALLET.path:
            return ok({"list": [{"accountType": "UNIFIED", "coin": [coin, {**coin, "coin": "ETH", "spotBorrow": ""}]}]})
        category = asked.query["category"]
        listed = {"inverse": [row, flat], "linear": [perp] if asked.query.get("settleCoin") == "USDC" else []}
        return ok({"category": category, "list": listed.get(category, []), "nextPageCursor": ""})

    venue, _ = stub.venue(Bybit, answer)
    assert [position[:3] for position in venue.positions()] == [
        ("BTCPERP", "linear", Decimal(-300)),
        ("BTCUSD", "inverse", Decimal(-300)),
        ("BTC", "spot", Decimal("-0.5")),
        ("ETH", "spot", Decimal("1.5")),
    ]
    linear, inverse, coin_held, _ = venue.positions()
    assert (linear.unit, linear.pnl_asset) == ("base", "USDC")
    assert (inverse.unit, inverse.pnl_asset, inverse.mark_price) == ("usd", "BTC", Decimal("90100.5"))
    assert (inverse.avg_price, inverse.unrealized_pnl) == (Decimal("90000.5"), Decimal("-0.01"))
    assert (coin_held.avg_price, coin_held.unrealized_pnl, coin_held.pnl_asset) == (None, None, "")


def test_a_wallet_reply_without_an_account_is_malformed() -> None:
    venue, _ = stub.venue(Bybit, lambda _: ok({"list": []}))
    with pytest.raises(errors.MalformedReply):
        venue.balances()


def test_fills_come_oldest_first_and_funding_is_no_fill() -> None:
    row = {
        "execId": "e1",
        "orderId": "o1",
        "symbol": "BTCUSDT",
        "side": "Sell",
        "execQty": "0.1",
        "execPrice": "90000",
        "execFee": "0.5",
        "feeCurrency": "USDT",
        "execTime": "1795478399500",
        "execType": "Trade",
    }
    rows = [row, {**row, "execId": "e0", "execTime": "1795478399400"}, {**row, "execType": "Funding"}]

    def answer(asked: Asked) -> Any:
        found = rows if asked.query["category"] == "linear" else []
        return ok({"category": asked.query["category"], "list": found, "nextPageCursor": ""})

    venue, _ = stub.venue(Bybit, answer)
    fills = venue.fills(oracle.NOW_MS - 1000)
    assert [fill.id for fill in fills] == ["e0", "e1"]
    assert fills[1][3:9] == ("sell", Decimal("0.1"), Decimal(90000), Decimal("0.5"), "USDT", 1795478399500)
    with pytest.raises(errors.Rejected, match="seven days"):
        venue.fills(oracle.NOW_MS - 8 * 24 * 3600 * 1000)


def test_status_clock_and_market_data() -> None:
    replies = {
        Bybit.STATUS.path: ok(
            {"list": [{"title": "upgrade", "state": "ongoing"}, {"title": "", "state": "completed"}]}
        ),
        Bybit.TIME.path: ok({"timeSecond": "1688639403", "timeNano": "1688639403423213947"}),
        Bybit.LAST_TRADE.path: ok(
            {"category": "linear", "list": [{"symbol": "BTCUSDT", "price": "16618.49", "time": "1672052955758"}]}
        ),
    }
    venue, _ = stub.venue(Bybit, lambda asked: replies[asked.path])
    assert venue.status() == (False, "upgrade")
    assert venue.server_time() == 1688639403423
    assert venue.ticker() == ("BTCUSDT", Decimal("16618.49"), 1672052955758)
