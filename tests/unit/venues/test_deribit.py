# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Deribit: every request against ccxt's own signature, documented replies, and each reply that proves nothing.

The example replies are those of docs.deribit.com/api-reference.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.venues.api import Call
from ansible_collections.hft.incident.plugins.module_utils.venues.deribit import DAY_MS, Deribit
from ansible_collections.hft.incident.plugins.module_utils.venues.errors import (
    AuthError,
    ClockSkew,
    MalformedReply,
    RateLimited,
    Rejected,
    Unavailable,
    UnknownOutcome,
    VenueError,
)

from . import oracle, stub
from .stub import FALSE_EMPTY, Reply

PREFIX = "/api/v2/"
ORDERS, CANCEL, CANCEL_KIND = Deribit.OPEN_ORDERS.path, Deribit.CANCEL_ALL.path, Deribit.CANCEL_KIND.path
CURRENCIES, FILLS = Deribit.CURRENCIES.path, Deribit.FILLS.path

REQUESTS = [
    Deribit.TIME,
    Deribit.STATUS,
    Deribit.TICKER.given(instrument_name="BTC-PERPETUAL"),
    Deribit.CURRENCIES,
    Deribit.OPEN_ORDERS,
    Deribit.OPEN_ORDERS.given(kind="option"),
    Deribit.CANCEL_ALL,
    Deribit.CANCEL_KIND.given(kind="future"),
    Deribit.POSITIONS,
    Deribit.BALANCES,
    Deribit.FILLS.given(
        currency="BTC", count=1000, sorting="asc", historical="false", start_timestamp=1, end_timestamp=2
    ),
]

LIMIT_ORDER = {
    "time_in_force": "good_til_cancelled",
    "reduce_only": False,
    "price": 0.0028,
    "post_only": False,
    "order_type": "limit",
    "order_state": "open",
    "order_id": "146062",
    "max_show": 10,
    "last_update_timestamp": 1550050597036,
    "label": "fooBar",
    "is_rebalance": False,
    "is_liquidation": False,
    "instrument_name": "BTC-15FEB19-3250-P",
    "filled_amount": 2.5,
    "direction": "buy",
    "creation_timestamp": 1550050597036,
    "average_price": 0,
    "api": True,
    "amount": 10,
}
TRIGGER_ORDER = {
    "triggered": False,
    "trigger": "index_price",
    "time_in_force": "good_til_cancelled",
    "trigger_price": 144.73,
    "reduce_only": False,
    "price": "market_price",
    "post_only": False,
    "order_type": "stop_market",
    "order_state": "untriggered",
    "order_id": "ETH-SLIS-12",
    "max_show": 5,
    "last_update_timestamp": 1550575961291,
    "label": "",
    "is_liquidation": False,
    "instrument_name": "ETH-PERPETUAL",
    "direction": "sell",
    "creation_timestamp": 1550575961291,
    "api": False,
    "amount": 5,
}
POSITION = {
    "average_price": 7440.18,
    "delta": 0.006687487,
    "direction": "sell",
    "estimated_liquidation_price": 1.74,
    "floating_profit_loss": -0.25,
    "index_price": 7466.79,
    "initial_margin": 0.000197283,
    "instrument_name": "BTC-PERPETUAL",
    "kind": "future",
    "leverage": 34,
    "mark_price": 7476.65,
    "size": -50,
    "size_currency": -0.006687487,
    "total_profit_loss": 0.000032781,
}


def rpc(result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "result": result, "usIn": oracle.NOW_MS * 1000, "usOut": 0, "usDiff": 0}


def refusal(code: int, message: str = "message", *, received_ms: int = oracle.NOW_MS) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": {"code": code, "message": message}, "usIn": received_ms * 1000}


def trade(number: int, at_ms: int) -> dict[str, Any]:
    return {
        "trade_id": str(number),
        "order_id": "4008699030",
        "instrument_name": "BTC-27MAY20-8750-C",
        "direction": "sell",
        "amount": 1,
        "price": 0.028,
        "fee": 0.0004,
        "fee_currency": "BTC",
        "timestamp": at_ms,
        "state": "filled",
        "liquidity": "M",
    }


@pytest.mark.parametrize("call", REQUESTS, ids=lambda call: call.name)
def test_every_request_is_the_one_ccxt_would_send(call: Call) -> None:
    exchange = oracle.ccxt_exchange("deribit")
    access, _, path = call.path.removeprefix(PREFIX).partition("/")
    adapter = oracle.adapter(Deribit, nonce=lambda: str(oracle.NOW_MS))  # ccxt's is the time in ms
    wire = oracle.ours(adapter.sign(call))
    assert wire == oracle.theirs(exchange, path, [access, "GET"], call.method, dict(call.params))


def test_two_requests_of_one_millisecond_have_different_nonces() -> None:
    one, other = oracle.adapter(Deribit), oracle.adapter(Deribit)
    assert len({adapter.sign(Deribit.BALANCES).headers["Authorization"] for adapter in (one, one, other)}) == 3


def test_open_orders_of_every_kind_come_in_one_request() -> None:
    adapter, http = stub.venue(Deribit, {ORDERS: rpc([LIMIT_ORDER, TRIGGER_ORDER])})
    limit, trigger = adapter.open_orders()
    assert (limit.id, limit.symbol, limit.line, limit.side) == ("146062", "BTC-15FEB19-3250-P", "option", "buy")
    assert (limit.qty, limit.price, limit.client_id) == (Decimal("7.5"), Decimal("0.0028"), "fooBar")
    assert (trigger.id, trigger.line, trigger.qty, trigger.price) == ("ETH-SLIS-12", "future", Decimal(5), None)
    assert (limit.conditional, trigger.conditional) == (False, True)
    assert [asked[:3] for asked in http.asked] == [("GET", ORDERS, {"type": "all"})]


@pytest.mark.parametrize(
    ("instrument", "line"),
    [
        ("BTC_USDC", "spot"),
        ("BTC-PERPETUAL", "future"),
        ("ETH_USDC-PERPETUAL", "future"),
        ("BTC-27MAR26", "future"),
        ("BTC-27MAR26-90000-C", "option"),
        ("XRP_USDC-30JUN23-0d625-P", "option"),
        ("BTC-FS-27MAR26_PERP", "future_combo"),
        ("BTC-STRD-27MAR26-90000", "option_combo"),
    ],
)
def test_an_orders_line_is_its_instruments_kind(instrument: str, line: str) -> None:
    adapter, _ = stub.venue(Deribit, {ORDERS: rpc([{**LIMIT_ORDER, "instrument_name": instrument}])})
    assert adapter.open_orders()[0].line == line


def test_a_restricted_account_lists_and_cancels_its_kinds_only() -> None:
    replies = {ORDERS: rpc([LIMIT_ORDER]), CANCEL_KIND: rpc(3)}
    adapter, http = stub.venue(Deribit, replies, lines=["option", "spot"])
    assert len(adapter.open_orders()) == 2
    assert adapter.cancel_all([]).accepted == 6
    assert sorted(asked.query["kind"] for asked in http.asked) == ["option", "option", "spot", "spot"]


def test_cancel_all_is_one_request_that_needs_no_listing() -> None:
    adapter, http = stub.venue(Deribit, {CANCEL: rpc(4)})
    assert adapter.cancel_all([]) == (4, ())
    assert [asked[:3] for asked in http.asked] == [("GET", CANCEL, {})]


def test_a_refused_cancel_is_reported_with_the_venues_reason() -> None:
    adapter, _ = stub.venue(Deribit, {CANCEL: Reply(refusal(11029, "invalid_arguments"), 400)})
    accepted, rejected = adapter.cancel_all([])
    assert accepted == 0
    assert rejected == ("GET /api/v2/private/cancel_all: invalid_arguments (11029)",)


def test_positions_are_signed_by_direction_and_inverse_futures_count_in_usd() -> None:
    linear = {**POSITION, "instrument_name": "ETH_USDC-PERPETUAL", "direction": "buy", "size": 2}
    flat = {**POSITION, "direction": "zero", "size": 0}
    adapter, _ = stub.venue(Deribit, {Deribit.POSITIONS.path: rpc([POSITION, linear, flat])})
    short, long = adapter.positions()
    assert (short.symbol, short.qty, short.unit, short.unrealized_pnl) == (
        "BTC-PERPETUAL",
        Decimal(-50),
        "usd",
        Decimal("-0.25"),
    )
    assert (long.qty, long.unit) == (Decimal(2), "base")
    assert (short.pnl_asset, long.pnl_asset) == ("BTC", "USDC")
    assert short.mark_price == Decimal(str(POSITION["mark_price"]))


def test_balances_leave_out_empty_currencies() -> None:
    full = {"currency": "BTC", "balance": 302.60065765, "available_funds": 301.38059622, "equity": 302.61869214}
    empty = {"currency": "ETH", "balance": 0, "available_funds": 0, "equity": 0}
    adapter, _ = stub.venue(Deribit, {Deribit.BALANCES.path: rpc({"id": 10, "summaries": [full, empty]})})
    assert adapter.balances() == [("BTC", Decimal("302.60065765"), Decimal("301.38059622"))]


def test_fills_follow_has_more_and_count_each_trade_once() -> None:
    start = oracle.NOW_MS - 1000
    pages = (
        rpc({"trades": [trade(1, start), trade(2, start + 5)], "has_more": True}),
        rpc({"trades": [trade(2, start + 5), trade(3, start + 7)], "has_more": False}),
    )
    adapter, http = stub.venue(Deribit, {CURRENCIES: rpc([{"currency": "BTC"}]), FILLS: pages})
    fills = adapter.fills(start)
    assert [fill.id for fill in fills] == ["1", "2", "3"]
    assert (fills[0].side, fills[0].fee, fills[0].fee_asset) == ("sell", Decimal("0.0004"), "BTC")
    assert [asked.query["start_timestamp"] for asked in http.asked if asked.path == FILLS] == [
        str(start),
        str(start + 5),
    ]


def test_fills_older_than_the_venues_recent_shelf_are_taken_from_history_too() -> None:
    currencies, nothing = rpc([{"currency": "BTC"}, {"currency": "ETH"}]), rpc({"trades": [], "has_more": False})
    adapter, http = stub.venue(Deribit, {CURRENCIES: currencies, FILLS: nothing})
    assert adapter.fills(oracle.NOW_MS - 2 * DAY_MS) == []
    asked = sorted((asked.query["currency"], asked.query["historical"]) for asked in http.asked if asked.path == FILLS)
    assert asked == [("BTC", "false"), ("BTC", "true"), ("ETH", "false"), ("ETH", "true")]


def test_a_page_of_fills_that_repeats_itself_is_malformed() -> None:
    stuck = rpc({"trades": [trade(1, oracle.NOW_MS)], "has_more": True})
    adapter, _ = stub.venue(Deribit, {CURRENCIES: rpc([{"currency": "BTC"}]), FILLS: stuck})
    with pytest.raises(MalformedReply, match="none follow"):
        adapter.fills(oracle.NOW_MS - 1000)


@pytest.mark.parametrize(
    ("locked", "online", "detail"),
    [
        ({"locked": "false", "locked_indices": []}, True, "locked: false"),
        ({"locked": False}, True, "locked: false"),
        ({"locked": "partial", "locked_indices": ["BTC", "ETH"]}, False, "locked: partial (BTC, ETH)"),
        ({"locked": True, "locked_currencies": ["BTC"]}, False, "locked: true (BTC)"),
    ],
)
def test_status_is_online_only_while_nothing_is_locked(locked: Any, online: bool, detail: str) -> None:
    adapter, _ = stub.venue(Deribit, {Deribit.STATUS.path: rpc(locked)})
    assert adapter.status() == (online, detail)


def test_time_and_ticker_are_the_venues_own() -> None:
    ticker = {"last_price": 7476.65, "timestamp": 1550652954406, "instrument_name": "BTC-PERPETUAL"}
    adapter, _ = stub.venue(Deribit, {Deribit.TIME.path: rpc(1550147385946), Deribit.TICKER.path: rpc(ticker)})
    assert adapter.server_time() == 1550147385946
    assert adapter.ticker() == ("BTC-PERPETUAL", Decimal("7476.65"), 1550652954406)


LISTINGS = {
    "open_orders": ORDERS,
    "positions": Deribit.POSITIONS.path,
    "balances": Deribit.BALANCES.path,
    "status": Deribit.STATUS.path,
    "server_time": Deribit.TIME.path,
    "ticker": Deribit.TICKER.path,
}


@pytest.mark.parametrize("operation", LISTINGS)
@pytest.mark.parametrize("body", FALSE_EMPTY.values(), ids=list(FALSE_EMPTY))
def test_a_reply_that_proves_nothing_is_malformed(operation: str, body: bytes) -> None:
    adapter, _ = stub.venue(Deribit, {LISTINGS[operation]: body})
    with pytest.raises(MalformedReply):
        getattr(adapter, operation)()


@pytest.mark.parametrize(
    "body",
    [
        {"jsonrpc": "2.0", "id": 1},
        {"result": []},
        {"jsonrpc": "1.0", "result": []},
        rpc(None),
        rpc({}),
        rpc(""),
        rpc([1]),
        rpc([{}]),
        rpc([{k: v for k, v in LIMIT_ORDER.items() if k != "filled_amount"}]),
        rpc([{**LIMIT_ORDER, "amount": "many"}]),
    ],
    ids=str,
)
def test_a_listing_without_the_envelope_or_a_field_is_malformed(body: Any) -> None:
    adapter, _ = stub.venue(Deribit, {ORDERS: body})
    with pytest.raises(MalformedReply):
        adapter.open_orders()


@pytest.mark.parametrize("body", [*FALSE_EMPTY.values(), rpc({"trades": []}), rpc({"has_more": False})], ids=str)
def test_fills_without_their_envelope_are_malformed(body: Any) -> None:
    adapter, _ = stub.venue(Deribit, {CURRENCIES: rpc([{"currency": "BTC"}]), FILLS: body})
    with pytest.raises(MalformedReply):
        adapter.fills(oracle.NOW_MS)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, 10000, AuthError),
        (400, 13004, AuthError),
        (401, 13009, AuthError),
        (400, 13010, AuthError),
        (403, 13021, AuthError),
        (200, 13009, AuthError),
        (400, 10028, RateLimited),
        (400, 10047, RateLimited),
        (400, 10040, Unavailable),
        (400, 10041, Unavailable),
        (503, 11051, Unavailable),
        (500, 11094, UnknownOutcome),
        (400, 10001, UnknownOutcome),
        (500, 99999, UnknownOutcome),
        (400, 10020, Rejected),
        (400, -32602, Rejected),
    ],
)
def test_each_error_code_is_the_error_that_it_means(status: int, code: int, expected: type[VenueError]) -> None:
    adapter, _ = stub.venue(Deribit, {ORDERS: Reply(refusal(code), status)})
    with pytest.raises(VenueError) as caught:
        adapter.open_orders()
    assert type(caught.value) is expected
    assert caught.value.code == str(code)


def test_an_error_counts_without_the_json_rpc_envelope() -> None:
    adapter, _ = stub.venue(Deribit, {ORDERS: {"error": {"code": 13009, "message": "invalid_credentials"}}})
    with pytest.raises(AuthError, match="invalid_credentials"):
        adapter.open_orders()


def test_a_refused_signature_from_a_wrong_clock_is_mended_by_the_venues_time() -> None:
    venue_ms = oracle.NOW_MS + 600_000
    stale = refusal(13009, "unauthorized", received_ms=venue_ms)
    adapter, _ = stub.venue(Deribit, {ORDERS: (stale, rpc([])), Deribit.TIME.path: rpc(venue_ms)})
    assert adapter.open_orders() == []
    assert adapter.now_ms() == venue_ms


def test_a_clock_that_stays_refused_is_a_clock_error() -> None:
    stale = refusal(13009, "unauthorized", received_ms=oracle.NOW_MS + 600_000)
    adapter, _ = stub.venue(Deribit, {ORDERS: stale, Deribit.TIME.path: rpc(oracle.NOW_MS)})
    with pytest.raises(ClockSkew):
        adapter.open_orders()


def test_no_error_carries_the_key_or_the_secret() -> None:
    body = refusal(10020, f"{oracle.KEY} {oracle.SECRET}")
    adapter, _ = stub.venue(Deribit, {ORDERS: body})
    with pytest.raises(Rejected) as caught:
        adapter.open_orders()
    assert oracle.KEY not in str(caught.value)
    assert oracle.SECRET not in str(caught.value)
