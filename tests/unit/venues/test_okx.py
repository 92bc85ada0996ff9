# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The OKX adapter: its requests against ccxt's signature, its reading of the venue's documented replies."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.venues import errors
from ansible_collections.hft.incident.plugins.module_utils.venues.api import Call, OpenOrder
from ansible_collections.hft.incident.plugins.module_utils.venues.okx import ALGO_KINDS, ERRORS, GONE, LIST, Okx

from . import oracle, stub
from .stub import FALSE_EMPTY, Answer, Asked, Reply

REQUESTS: list[tuple[Call, str]] = [
    (Okx.TIME, "public"),
    (Okx.STATUS, "public"),
    (Okx.TICKER.given(instId="BTC-USDT"), "public"),
    (Okx.ORDERS, "private"),
    (Okx.ORDERS.given(after="312269865356374016"), "private"),
    *((Okx.ALGO_ORDERS.given(ordType=kind), "private") for kind in ALGO_KINDS),
    (Okx.SPREAD_ORDERS.given(endId="312269865356374016"), "private"),
    (Okx.CANCEL_ORDERS.given(**{LIST: [{"instId": "BTC-USDT", "ordId": "1"}]}), "private"),
    (Okx.CANCEL_ALGOS.given(**{LIST: [{"instId": "BTC-USDT", "algoId": "1"}]}), "private"),
    (Okx.CANCEL_SPREADS.given(sprdId="BTC-USDT_BTC-USDT-SWAP"), "private"),
    (Okx.POSITIONS, "private"),
    (Okx.BALANCE, "private"),
    (Okx.FILLS.given(begin=oracle.NOW_MS - 1000), "private"),
]

#: Rows as the venue documents them, cut to what matters.
ORDER = {
    "instType": "SWAP",
    "instId": "BTC-USDT-SWAP",
    "ordId": "1752588852617379840",
    "clOrdId": "mine-1",
    "px": "13013.5",
    "sz": "3",
    "accFillSz": "1",
    "side": "buy",
    "ordType": "post_only",
    "state": "partially_filled",
}
ALGO = {
    "instType": "SPOT",
    "instId": "BTC-USDT",
    "algoId": "681096944655273984",
    "algoClOrdId": "",
    "ordType": "trigger",
    "ordPx": "-1",
    "sz": "10",
    "side": "sell",
    "state": "live",
}
SPREAD = {
    "sprdId": "BTC-USDT_BTC-USDT-SWAP",
    "ordId": "312269865356374016",
    "clOrdId": "b1",
    "px": "999",
    "sz": "3",
    "side": "buy",
    "accFillSz": "0",
    "pendingFillSz": "2",
    "state": "live",
}


@pytest.fixture(scope="module")
def exchange() -> Any:
    return oracle.ccxt_exchange("okx")


@pytest.mark.parametrize(("call", "api"), REQUESTS, ids=lambda value: getattr(value, "name", None))
def test_every_request_is_the_one_ccxt_would_send(exchange: Any, call: Call, api: str) -> None:
    params: Any = call.params.get(LIST, dict(call.params))
    theirs = oracle.theirs(exchange, call.path.removeprefix("/api/v5/"), [api], call.method, params)
    assert oracle.ours(oracle.adapter(Okx).sign(call)) == theirs


def ok(*rows: dict[str, Any], code: str = "0") -> dict[str, Any]:
    return {"code": code, "data": list(rows), "msg": ""}


def refused(code: str, message: str = "the venue's words") -> dict[str, Any]:
    return {"code": code, "data": [], "msg": message}


def with_orders(
    orders: list[Any] | None = None, algos: dict[str, list[Any]] | None = None, spreads: list[Any] | None = None
) -> Answer:
    def answer(asked: Asked) -> Any:
        if asked.path == Okx.ORDERS.path:
            return ok(*(orders or []))
        if asked.path == Okx.SPREAD_ORDERS.path:
            return ok(*(spreads or []))
        return ok(*(algos or {}).get(asked.query["ordType"], []))

    return answer


def order(number: int, *, conditional: bool = False, line: str = "SWAP", symbol: str = "BTC-USDT-SWAP") -> OpenOrder:
    return OpenOrder(str(number), symbol, line, "buy", Decimal(1), Decimal(1), conditional)


def test_every_kind_of_order_is_listed_and_read() -> None:
    venue, http = stub.venue(Okx, with_orders([ORDER], {"trigger": [ALGO]}, [SPREAD]))
    plain, algo, spread = venue.open_orders()
    assert plain == OpenOrder(
        "1752588852617379840", "BTC-USDT-SWAP", "SWAP", "buy", Decimal(2), Decimal("13013.5"), client_id="mine-1"
    )
    assert (algo.id, algo.line, algo.qty, algo.price, algo.conditional) == (
        "681096944655273984",
        "SPOT",
        Decimal(10),
        None,
        True,
    )
    assert (spread.symbol, spread.line, spread.qty) == ("BTC-USDT_BTC-USDT-SWAP", "spread", Decimal(2))
    asked_kinds = {asked.query["ordType"] for asked in http.asked if "ordType" in asked.query}
    assert asked_kinds == set(ALGO_KINDS)


def test_an_algo_order_that_closes_a_position_has_no_size() -> None:
    venue, _ = stub.venue(Okx, with_orders(algos={"conditional,oco": [{**ALGO, "sz": "", "closeFraction": "1"}]}))
    assert venue.open_orders()[0].qty == 0


def test_an_order_of_an_unknown_line_counts_unless_lines_are_named() -> None:
    answer = with_orders([{**ORDER, "instType": "EVENTS"}])
    assert len(stub.venue(Okx, answer)[0].open_orders()) == 1
    assert stub.venue(Okx, answer, lines=["SPOT"])[0].open_orders() == []


def test_spread_alone_asks_for_nothing_else() -> None:
    venue, http = stub.venue(Okx, with_orders([ORDER], spreads=[SPREAD]), lines=["spread"])
    assert len(venue.open_orders()) == 1
    assert len(http.asked) == 1


def test_pages_are_followed_to_the_last() -> None:
    ids = [str(number) for number in range(350, 100, -1)]

    def answer(asked: Asked) -> Any:
        older = {Okx.ORDERS.path: "after", Okx.ALGO_ORDERS.path: "after", Okx.SPREAD_ORDERS.path: "endId"}[asked.path]
        rest = ids[ids.index(asked.query[older]) + 1 :] if older in asked.query else ids
        if asked.path == Okx.ALGO_ORDERS.path:
            return ok(*({**ALGO, "algoId": i} for i in rest[:100] if asked.query["ordType"] == "trigger"))
        row = SPREAD if asked.path == Okx.SPREAD_ORDERS.path else ORDER
        return ok(*({**row, "ordId": i} for i in rest[:100]))

    venue, _ = stub.venue(Okx, answer)
    found = venue.open_orders()
    assert len(found) == 3 * 250
    assert len({(f.line, f.id) for f in found}) == 3 * 250


def test_a_page_that_comes_again_is_malformed() -> None:
    page = [{**ORDER, "ordId": str(number)} for number in range(100)]
    venue, _ = stub.venue(Okx, with_orders(page))
    with pytest.raises(errors.MalformedReply, match="same page"):
        venue.open_orders()


def test_pages_without_end_are_malformed() -> None:
    def answer(asked: Asked) -> Any:
        first = int(asked.query.get("after", "0")) + 1
        return ok(*({**ORDER, "ordId": str(number)} for number in range(first, first + 100)))

    venue, _ = stub.venue(Okx, answer)
    with pytest.raises(errors.MalformedReply, match="more than"):
        venue._book_orders()  # one listing is enough to see it


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
    {"data": []},
    {"code": "0"},
    {"code": "0", "msg": "", "data": None},
    {"code": "0", "msg": "", "data": {}},
    {"code": "0", "msg": "", "data": ""},
    {"code": "0", "msg": "", "data": ["BTC-USDT"]},
    {"code": None, "data": []},
    {"code": "", "data": []},
    {"x_code": "0", "x_data": []},
    {"result": "ok", "data": []},
]


@pytest.mark.parametrize("operation", LISTINGS)
@pytest.mark.parametrize("body", [*FALSE_EMPTY.values(), *WRONG_ENVELOPES], ids=str)
def test_what_is_no_valid_reply_never_means_empty(operation: str, body: Any) -> None:
    venue, _ = stub.venue(Okx, lambda _: body)
    with pytest.raises(errors.MalformedReply):
        LISTINGS[operation](venue)


@pytest.mark.parametrize("path", [Okx.ORDERS.path, Okx.SPREAD_ORDERS.path, *ALGO_KINDS])
def test_each_single_listing_counts(path: str) -> None:
    venue, _ = stub.venue(Okx, lambda asked: b"{}" if path in (asked.path, asked.query.get("ordType")) else ok())
    with pytest.raises(errors.MalformedReply):
        venue.open_orders()


@pytest.mark.parametrize("field", ["ordId", "instId", "instType", "px", "sz", "accFillSz", "side"])
def test_an_order_without_a_field_we_rely_on_is_malformed(field: str) -> None:
    venue, _ = stub.venue(Okx, with_orders([{name: value for name, value in ORDER.items() if name != field}]))
    with pytest.raises(errors.MalformedReply):
        venue.open_orders()


@pytest.mark.parametrize(("code", "kind"), ERRORS.items())
def test_every_error_code_raises_what_it_means(code: str, kind: type[errors.VenueError]) -> None:
    venue, _ = stub.venue(
        Okx, lambda asked: ok({"ts": "1"}) if asked.path == Okx.TIME.path else Reply(refused(code), 401)
    )
    with pytest.raises(kind) as caught:
        venue.balances()
    assert type(caught.value) is kind
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refused("51001"), errors.Rejected),
        (refused("1"), errors.Rejected),
        ({"code": "1", "data": [{"sCode": "50011", "sMsg": "slow down"}], "msg": ""}, errors.RateLimited),
        (Reply(refused("59999"), 500), errors.UnknownOutcome),
        (Reply(b"<html>", 502), errors.UnknownOutcome),
        (Reply(b"", 401), errors.AuthError),
        (Reply(b"", 429), errors.RateLimited),
    ],
    ids=str,
)
def test_codes_and_statuses_outside_the_table(answer: Any, kind: type[errors.VenueError]) -> None:
    venue, _ = stub.venue(Okx, lambda _: answer)
    with pytest.raises(kind):
        venue.open_orders()


def test_a_key_without_its_passphrase_says_so() -> None:
    venue = oracle.adapter(Okx)
    venue._credentials = venue._need()._replace(passphrase=None)
    with pytest.raises(errors.AuthError, match="api_passphrase"):
        venue.balances()


def test_a_kind_of_algo_order_that_the_venue_does_not_know_has_no_orders() -> None:
    def unknown(kind: str, message: str = "Parameter ordType error") -> Answer:
        return lambda asked: refused("51000", message) if asked.query.get("ordType") == kind else ok()

    assert stub.venue(Okx, unknown("smart_iceberg"))[0].open_orders() == []
    for answer in (unknown("trigger"), unknown("smart_iceberg", "Parameter limit error")):
        with pytest.raises(errors.Rejected):
            stub.venue(Okx, answer)[0].open_orders()


def verdicts(asked: Asked, refuse: dict[str, str] | None = None) -> list[dict[str, str]]:
    rows = []
    for entry in asked.body:
        name = "algoId" if "algoId" in entry else "ordId"
        code = (refuse or {}).get(entry[name], "0")
        rows.append({name: entry[name], "sCode": code, "sMsg": "" if code == "0" else "no such luck"})
    return rows


def test_cancels_go_in_batches_of_what_the_venue_takes() -> None:
    venue, http = stub.venue(
        Okx, lambda asked: ok({"result": True}) if asked.path == Okx.CANCEL_SPREADS.path else ok(*verdicts(asked))
    )
    spread = order(99, line="spread", symbol="A_B")
    orders = [*map(order, range(45)), *(order(n, conditional=True) for n in range(100, 125)), spread, spread]
    assert venue.cancel_all(orders) == (70, ())
    sent = sorted((asked.path, 1 if isinstance(asked.body, dict) else len(asked.body)) for asked in http.asked)
    assert sent == [
        (Okx.CANCEL_SPREADS.path, 1),
        *((Okx.CANCEL_ALGOS.path, size) for size in (5, 10, 10)),
        *((Okx.CANCEL_ORDERS.path, size) for size in (5, 20, 20)),
    ]


def test_without_a_listing_there_is_nothing_to_cancel() -> None:
    venue, http = stub.venue(Okx, lambda _: ok())
    assert venue.cancel_all([]) == (0, ())
    assert http.asked == []


@pytest.mark.parametrize("code", ["0", "1", "2"])
def test_each_id_has_its_own_verdict_whatever_the_top_says(code: str) -> None:
    refuse = {"1": "50026", "2": GONE[0]}
    venue, _ = stub.venue(Okx, lambda asked: ok(*verdicts(asked, refuse), code=code))
    assert venue.cancel_all([order(number) for number in range(4)]) == (2, ("1: no such luck (50026)",))


def test_an_id_without_a_verdict_is_a_rejection() -> None:
    venue, _ = stub.venue(Okx, lambda asked: ok(*verdicts(asked)[1:]))
    assert venue.cancel_all([order(1), order(2)]) == (1, ("1: no verdict (-)",))


def test_a_batch_that_is_refused_is_reported_beside_the_others() -> None:
    venue, _ = stub.venue(
        Okx, lambda asked: refused("50013") if asked.path == Okx.CANCEL_ALGOS.path else ok(*verdicts(asked))
    )
    reply = venue.cancel_all([order(1), order(2, conditional=True)])
    assert reply.accepted == 1
    assert "50013" in reply.rejected[0]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(refused("50004"), errors.UnknownOutcome), (b"{}", errors.MalformedReply), (refused("50113"), errors.AuthError)],
    ids=str,
)
def test_a_mass_cancel_of_which_nothing_is_known_raises(answer: Any, kind: type[errors.VenueError]) -> None:
    venue, _ = stub.venue(Okx, lambda _: answer)
    with pytest.raises(kind):
        venue.cancel_all([order(1), order(2, conditional=True), order(3, line="spread")])


def test_positions_have_their_sign_and_unit() -> None:
    swap = {
        "instType": "SWAP", "instId": "BTC-USDT-SWAP", "posSide": "net", "pos": "-3", "avgPx": "90000", "upl": "1",
        "markPx": "89000", "ccy": "USDT", "notionalUsd": "2670",
    }  # fmt: skip
    margin = {**swap, "instType": "MARGIN", "instId": "BTC-USDT", "pos": "5"}
    rows = [
        swap,
        {**swap, "posSide": "short", "pos": "4"},
        {**swap, "posSide": "long", "pos": "2"},
        {**margin, "posCcy": "BTC", "liab": "-400", "liabCcy": "USDT"},
        {**margin, "posCcy": "USDT", "liab": "-0.5", "liabCcy": "BTC"},
        {**swap, "pos": "0", "avgPx": "", "upl": "", "markPx": "", "ccy": "", "notionalUsd": ""},
    ]
    balance = ok({"details": [{"ccy": "BTC", "cashBal": "1.5", "availBal": "1"}, {"ccy": "X", "cashBal": "0"}]})
    venue, _ = stub.venue(Okx, lambda asked: ok(*rows) if asked.path == Okx.POSITIONS.path else balance)
    assert [(p.line, p.qty, p.unit) for p in venue.positions()] == [
        ("SWAP", Decimal(-3), "contract"),
        ("SWAP", Decimal(-4), "contract"),
        ("SWAP", Decimal(2), "contract"),
        ("MARGIN", Decimal(5), "base"),
        ("MARGIN", Decimal("-0.5"), "base"),
        ("SPOT", Decimal("1.5"), "base"),
    ]
    first, *_, margined, spot = venue.positions()
    assert first[3:5] == (Decimal(90000), Decimal(1))
    assert first[6:] == (Decimal(89000), "USDT", Decimal(2670))
    assert (margined.pnl_asset, spot.avg_price, spot.pnl_asset) == ("", None, "")
    assert venue.balances() == [("BTC", Decimal("1.5"), Decimal(1))]


def test_fills_come_oldest_first_with_the_fee_as_a_cost() -> None:
    row = {
        "instId": "BTC-USDT",
        "tradeId": "123",
        "ordId": "312269865356374016",
        "billId": "2",
        "side": "buy",
        "fillSz": "1",
        "fillPx": "90000",
        "fee": "-0.25",
        "feeCcy": "USDT",
        "ts": str(oracle.NOW_MS - 100),
    }
    older = {**row, "billId": "1", "tradeId": "122", "ts": str(oracle.NOW_MS - 200)}
    venue, http = stub.venue(Okx, lambda _: ok(row, older, {**older, "billId": "0", "ts": "1"}))
    fills = venue.fills(oracle.NOW_MS - 1000)
    assert [fill.id for fill in fills] == ["122", "123"]
    assert (fills[0].fee, fills[0].fee_asset) == (Decimal("0.25"), "USDT")
    assert http.asked[0].query["begin"] == str(oracle.NOW_MS - 1000)
    with pytest.raises(errors.Rejected, match="three days"):
        venue.fills(oracle.NOW_MS - 4 * 24 * 3600 * 1000)


def test_status_clock_and_market_data() -> None:
    replies = {
        Okx.STATUS.path: ok({"title": "Spot System Upgrade", "state": "ongoing"}, {"title": "", "state": "scheduled"}),
        Okx.TIME.path: ok({"ts": "1597026383085"}),
        Okx.TICKER.path: ok({"instId": "BTC-USDT", "last": "90000.1", "ts": "1597026383084"}),
    }
    venue, _ = stub.venue(Okx, lambda asked: replies[asked.path])
    assert venue.status() == (False, "Spot System Upgrade")
    assert venue.server_time() == 1597026383085
    assert venue.ticker() == ("BTC-USDT", Decimal("90000.1"), 1597026383084)
