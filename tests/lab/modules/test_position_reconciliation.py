# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``position_reconciliation``: lab venues against trading systems that are right, wrong, late or silent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.settings import venue_entries
from ansible_collections.hft.incident.plugins.module_utils.steps import position_reconciliation
from ansible_collections.hft.incident.plugins.module_utils.venues import open_venue
from ansible_collections.hft.incident.plugins.module_utils.venues.api import OpenOrder
from hft_incident.lab.venues.server import VenueServer

from ..trading_system_process import trading_system
from ..venues_host import Host, venue_host
from ..waiting import wait_until
from .stand_in import StandIn, stand_ins
from .steps import Arguments, Ran, run, seed, writes

DRIVERS = {"alpha": "binance", "beta": "bybit"}
ORDER = {"id": "424242", "client_id": "", "symbol": "BTCUSDT", "side": "buy", "qty": "1", "price": "80000"}


@pytest.fixture
def host() -> Iterator[Host]:
    with venue_host(DRIVERS) as running:
        yield running


@pytest.fixture
def alpha(host: Host) -> VenueServer:
    return host.venues["alpha"]


@pytest.fixture
def given(tmp_path: Path, host: Host) -> Arguments:
    return Arguments(tmp_path, host)


@pytest.fixture
def systems(given: Arguments, host: Host) -> Iterator[list[StandIn]]:
    """The first believes exactly what the venues say, the second that there is nothing."""
    with stand_ins("one", "two") as both:
        for name in DRIVERS:
            seed(host.venues[name])
        believe_the_venues(both[0], given)
        for system in both:
            system.seen.clear()
        for venue in host.venues.values():
            venue.seen.clear()
        yield both


@pytest.fixture
def one(systems: list[StandIn]) -> StandIn:
    return systems[0]


def do(given: Arguments, *systems: StandIn, only: tuple[str, ...] = ("alpha",), **args: Any) -> Ran:
    return run(
        position_reconciliation,
        **{
            "venues": [given.venue(name, driver) for name, driver in DRIVERS.items()],
            "trading_systems": [system.entry for system in systems],
            "only": list(only),
            "interval": 0.01,
            "timeout": 1.5,
            **args,
        },
    )


def believe_the_venues(system: StandIn, given: Arguments) -> None:
    """What the venues hold is what the engine finds missing in a trading system that believes in nothing."""
    for found in do(given, system, only=tuple(DRIVERS), timeout=20).result["breaks"]:
        place = {"exchange": found["exchange"], "account": found["account"], "symbol": found["symbol"]}
        if found["kind"] == "missing_in_system":
            system.positions.append({**place, "qty": found["venue"], "avg_price": None, "unrealized_pnl_usd": "0"})
    for name, driver in DRIVERS.items():
        for order in read_orders(given.venue(name, driver)):
            price = None if order.price is None else str(order.price)
            place = {"exchange": name, "account": order.line, "symbol": order.symbol}
            row = {"id": order.id, "client_id": order.client_id, "side": order.side, "qty": str(order.qty)}
            system.orders.append({**place, **row, "price": price})


def read_orders(entry: dict[str, Any]) -> list[OpenOrder]:
    return open_venue(venue_entries([entry])[0]).open_orders()


def held(system: StandIn, symbol: str = "BTC", exchange: str = "alpha") -> dict[str, Any]:
    return next(row for row in system.positions if (row["exchange"], row["symbol"]) == (exchange, symbol))


def add(row: dict[str, Any], amount: str) -> None:
    row["qty"] = str(Decimal(row["qty"]) + Decimal(amount))


def kinds(done: Ran) -> list[str]:
    return [found["kind"] for found in done.result["breaks"]]


# Agreement --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [False, True])
def test_books_that_agree_are_reconciled_by_one_read_that_changes_nothing(
    given: Arguments, host: Host, one: StandIn, check: bool
) -> None:
    done = do(given, one, only=(), check=check).result
    assert (done["verdict"], done["changed"], done["breaks"]) == ("reconciled", False, [])
    assert done["msg"].startswith("positions and open orders agree at alpha, beta; that of ")
    assert "failed" not in done
    assert "inverses" not in done
    assert one.writes == []
    assert one.seen.count("GET /positions") == 1
    assert [writes(venue) for venue in host.venues.values()] == [[], []]
    (line,) = done["record"]
    assert line["kind"] == "positions.reconciled"
    assert line["data"]["verdict"] == "reconciled"


def test_the_books_of_several_trading_systems_are_added_up(given: Arguments, systems: list[StandIn]) -> None:
    one, two = systems
    two.positions.append({**held(one), "qty": "0.25"})
    add(held(one), "-0.25")
    two.orders.append(one.orders.pop())
    assert do(given, one, two, only=()).result["verdict"] == "reconciled"
    assert do(given, one, only=()).result["verdict"] == "breaks"


def test_a_trading_system_without_accounts_is_compared_by_exchange(given: Arguments, one: StandIn) -> None:
    for row in one.positions:
        row["account"] = ""
    assert do(given, one, only=()).result["verdict"] == "reconciled"
    add(held(one), "0.1")
    assert kinds(do(given, one)) == ["quantity_mismatch"]


def test_only_the_exchanges_in_question_are_compared(given: Arguments, host: Host, one: StandIn) -> None:
    one.positions.append({**held(one), "exchange": "elsewhere", "account": "", "qty": "7"})
    one.positions = [row for row in one.positions if row["exchange"] != "beta"]
    assert do(given, one).result["verdict"] == "reconciled"
    assert host.venues["beta"].seen == []


# Breaks -----------------------------------------------------------------------------------------------------------


def test_each_kind_of_break_is_found_and_told(given: Arguments, one: StandIn) -> None:
    add(held(one), "0.5")
    held(one, "USDT")["symbol"] = "USDX"
    orphan = one.orders.pop(0)
    one.orders[0]["qty"] = str(Decimal(one.orders[0]["qty"]) * 2)
    one.orders.append({**orphan, "id": "424242", "client_id": "nobody"})
    done = do(given, one)
    assert sorted(kinds(done)) == [
        "ghost_order",
        "missing_at_venue",
        "missing_in_system",
        "order_mismatch",
        "orphan_order",
        "quantity_mismatch",
    ]
    assert (done.result["failed"], done.result["outcome"], done.result["changed"]) == (True, "unproven", False)
    assert done.result["msg"].startswith("NOT RECONCILED: breaks at alpha 6; alpha spot BTC: the trading system holds")
    assert done.result["msg"].endswith("and 3 more")
    assert "\n" not in done.result["msg"]
    assert done.recorded("positions.reconciled")[0]["venues"][0]["breaks"] == done.result["breaks"]


def test_a_break_on_books_that_stand_still_is_told_after_the_reads_asked_for(given: Arguments, one: StandIn) -> None:
    add(held(one), "0.5")
    for reads in (1, 2, 3):
        one.seen.clear()
        assert do(given, one, reads=reads, timeout=60).result["verdict"] == "breaks"
        assert one.seen.count("GET /positions") == reads


def test_a_fill_on_the_wire_is_not_a_break(given: Arguments, one: StandIn) -> None:
    add(held(one), "-0.5")

    def fill_arrives() -> None:
        if one.seen.count("GET /positions") == 2:
            add(held(one), "0.5")

    one.on["GET /positions"] = fill_arrives
    done = do(given, one, timeout=60).result
    assert done["verdict"] == "reconciled"
    assert one.seen.count("GET /positions") == 2


def test_while_a_book_moves_no_difference_is_a_verdict_yet(given: Arguments, one: StandIn) -> None:
    add(held(one), "-0.5")

    def catch_up() -> None:
        if one.seen.count("GET /positions") <= 5:
            add(held(one), "0.1")

    one.on["GET /positions"] = catch_up
    done = do(given, one, timeout=60).result
    assert done["verdict"] == "reconciled"
    assert one.seen.count("GET /positions") == 5


def test_a_book_that_never_stands_still_gets_its_verdict_in_the_end(given: Arguments, one: StandIn) -> None:
    one.on["GET /positions"] = lambda: add(held(one), "0.1")
    done = do(given, one, timeout=0.8)
    assert done.result["verdict"] == "breaks"
    assert one.seen.count("GET /positions") > 2


def test_a_difference_within_tolerance_is_a_drift(given: Arguments, one: StandIn) -> None:
    add(held(one), "0.00000001")
    done = do(given, one, tolerance={"alpha:BTC": "0.00000001"}).result
    assert done["verdict"] == "reconciled"
    assert done["venues"][0]["drifts"][0]["difference"] == "-1E-8"
    assert kinds(do(given, one, tolerance={"alpha:BTC": "0.000000009", "*": "1"})) == ["quantity_mismatch"]


def test_the_response_may_go_on_but_the_record_says_what_is_not_proven(given: Arguments, one: StandIn) -> None:
    add(held(one), "0.5")
    done = do(given, one, require_reconciled=False)
    assert "failed" not in done.result
    assert done.result["verdict"] == "breaks"
    assert done.recorded("positions.reconciled")[0]["verdict"] == "breaks"


# P&L --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def long(given: Arguments, host: Host) -> Iterator[StandIn]:
    """It holds what the venue holds, half a bitcoin of a contract, and is right about what that has made."""
    beta = host.venues["beta"].exchange
    beta.feed_running = False
    beta.holdings["BTCUSDT"].qty = Decimal("0.5")
    beta.holdings["BTCUSDT"].avg_price = Decimal("89000")
    beta.prices["BTCUSDT"] = Decimal("90000")
    with stand_ins("one") as (system,):
        believe_the_venues(system, given)
        held(system, "BTCUSDT", "beta").update(avg_price="89000", unrealized_pnl_usd="500")
        yield system


def test_the_pnl_of_both_sides_is_shown_with_what_could_not_be_compared(given: Arguments, long: StandIn) -> None:
    done = do(given, long, only=("beta",))
    pnl = done.result["pnl"]
    assert (done.result["verdict"], pnl["ours_usd"], pnl["compared"]) == ("reconciled", "500", 1)
    assert Decimal(pnl["venue_usd"]) == 500
    assert [row["symbol"] for row in pnl["positions"]] == ["BTCUSDT"]
    assert {row["reason"] for row in pnl["not_compared"]} == {"the venue states no entry price"}
    assert {row["account"] for row in pnl["not_compared"]} == {"spot"}
    assert done.recorded("positions.reconciled")[0]["pnl"] == pnl
    assert "; P&L of 1 agrees and that of " in done.result["msg"]
    assert all("pnl" not in venue for venue in done.result["venues"])


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({"avg_price": "89900"}, "entry_price", "it was entered at 89900, the venue at 89000"),
        ({"unrealized_pnl_usd": "-500"}, "unrealized_pnl", "it has made -500 USD so far, the venue 500"),
        ({"unrealized_pnl_usd": "50000"}, "unrealized_pnl", "it has made 50000 USD so far"),
    ],
)
def test_a_pnl_that_is_not_the_venues_is_a_break(
    given: Arguments, long: StandIn, wrong: dict[str, str], field: str, said: str
) -> None:
    held(long, "BTCUSDT", "beta").update(wrong)
    done = do(given, long, only=("beta",))
    (found,) = done.result["breaks"]
    assert (done.outcome, found["kind"], found["field"]) == ("unproven", "pnl", field)
    assert said in done.result["msg"]


def test_how_far_the_sides_may_be_apart_is_said_by_the_options(given: Arguments, long: StandIn) -> None:
    held(long, "BTCUSDT", "beta").update(avg_price="89008", unrealized_pnl_usd="900")
    limits: dict[str, Any] = {"entry_tolerance": "0.0001", "pnl_tolerance_usd": "175"}
    assert do(given, long, only=("beta",), **limits).result["verdict"] == "reconciled"
    for tight in ({"entry_tolerance": "0.00008"}, {"pnl_tolerance_usd": 174}):
        assert kinds(do(given, long, only=("beta",), **{**limits, **tight})) == ["pnl"]


def test_a_market_that_moves_does_not_keep_books_from_standing_still(
    given: Arguments, host: Host, long: StandIn
) -> None:
    """Otherwise a break would be told only when the time is up."""
    beta = host.venues["beta"].exchange

    def move() -> None:
        beta.prices["BTCUSDT"] += 1
        row = held(long, "BTCUSDT", "beta")
        row["unrealized_pnl_usd"] = str(Decimal(row["unrealized_pnl_usd"]) + Decimal("0.5"))

    long.on["GET /positions"] = move
    long.orders.append({**ORDER, "exchange": "beta", "account": "linear"})
    long.seen.clear()
    assert kinds(do(given, long, only=("beta",), timeout=60)) == ["ghost_order"]
    assert long.seen.count("GET /positions") == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda row: row.pop("unrealized_pnl_usd"),
        lambda row: row.pop("avg_price"),
        lambda row: row.update(unrealized_pnl_usd=None),
        lambda row: row.update(unrealized_pnl_usd=""),
        lambda row: row.update(avg_price="n/a"),
    ],
)
def test_a_missing_figure_is_no_zero(given: Arguments, long: StandIn, spoil: Callable[[dict[str, Any]], Any]) -> None:
    spoil(held(long, "BTCUSDT", "beta"))
    done = do(given, long, only=("beta",))
    assert (done.result["verdict"], done.result["pnl"]["compared"]) == ("unproven", 0)
    assert (done.result["pnl"]["ours_usd"], done.result["pnl"]["venue_usd"]) == (None, None)
    assert "GET /positions: " in done.result["pnl"]["not_compared"][0]["reason"]


@pytest.mark.parametrize(
    ("stated", "said"),
    [(None, "'total_unrealized_pnl_usd' is not a number"), ("512.34", "512.34 is not the sum of its positions")],
)
def test_a_total_that_is_missing_or_not_the_sum_proves_nothing(
    given: Arguments, long: StandIn, stated: str | None, said: str
) -> None:
    long.total_pnl = stated
    done = do(given, long, only=("beta",))
    assert done.result["verdict"] == "unproven"
    assert said in done.result["msg"]


def test_a_total_of_rounded_rows_is_their_sum(given: Arguments, long: StandIn) -> None:
    long.total_pnl = "500.01"
    assert do(given, long, only=("beta",)).result["verdict"] == "reconciled"


# No answer --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["open_orders", "balances"])
@pytest.mark.parametrize("kind", ["hang", "html", "empty_object", "empty_body", "truncated", "half_body", "status"])
def test_a_venue_without_a_valid_answer_is_unproven_and_spoils_no_other(
    given: Arguments, host: Host, one: StandIn, kind: str, op: str
) -> None:
    host.inject("alpha", kind=kind, op=op)
    done = do(given, one, only=())
    assert done.outcome == "unproven"
    assert {venue["exchange"]: venue["verdict"] for venue in done.result["venues"]} == {
        "alpha": "unproven",
        "beta": "reconciled",
    }
    assert done.result["breaks"] == []
    assert "alpha: the venue's positions are not known" in done.result["msg"]


def test_a_revoked_key_is_unproven(given: Arguments, host: Host, one: StandIn) -> None:
    host.inject("alpha", kind="revoked_key")
    assert do(given, one).result["verdict"] == "unproven"


def test_a_venue_that_is_heard_at_last_is_reconciled(given: Arguments, host: Host, one: StandIn) -> None:
    host.inject("alpha", kind="status", remaining=3)
    assert do(given, one, timeout=60).result["verdict"] == "reconciled"


@pytest.mark.parametrize("spoiled", ["hang", "lost", "html", "half", 500, 401])
@pytest.mark.parametrize("request_name", ["GET /positions", "GET /orders"])
def test_a_silent_trading_system_is_never_read_as_flat(
    given: Arguments, systems: list[StandIn], spoiled: str | int, request_name: str
) -> None:
    one, two = systems
    two.on[request_name] = lambda: spoiled
    done = do(given, one, two)
    assert (done.result["verdict"], done.outcome) == ("unproven", "unproven")
    assert "the trading system's positions are not known: two: " in done.result["msg"]
    assert done.result["breaks"] == []


@pytest.mark.parametrize("wrong", [{"side": "bid"}, {"id": "", "client_id": ""}])
def test_a_row_that_no_side_can_mean_proves_nothing(given: Arguments, one: StandIn, wrong: dict[str, str]) -> None:
    one.orders[0] |= wrong
    assert do(given, one).result["verdict"] == "unproven"


def test_an_order_in_two_versions_proves_nothing(given: Arguments, one: StandIn) -> None:
    one.orders.append({**one.orders[0], "qty": "77"})
    assert do(given, one).result["verdict"] != "reconciled"


# Wrong usage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"only": ["gamma"]}, "unknown venue 'gamma'; the venues file has: alpha, beta"),
        ({"tolerance": {"BTC": 0.1}}, "tolerance 'BTC': write the number in quotes"),
        ({"tolerance": {"BTC": "-1"}}, "must be a number of 0 or more"),
        ({"reads": 0}, "reads must be more than 0"),
        ({"pnl_tolerance_usd": "-1"}, "pnl_tolerance_usd must be a number of 0 or more, not '-1'"),
        ({"entry_tolerance": "NaN"}, "entry_tolerance must be a number of 0 or more, not 'NaN'"),
        ({"entry_tolerance": "a lot"}, "entry_tolerance must be a number of 0 or more"),
        ({"trading_systems": []}, "'trading_systems' is empty"),
        ({"venues": [], "only": []}, "'venues' is empty"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_asked(
    given: Arguments, host: Host, one: StandIn, wrong: dict[str, Any], said: str
) -> None:
    done = do(given, one, **wrong)
    assert done.outcome == "usage"
    assert said in done.result["msg"]
    assert one.seen == []
    assert [venue.seen for venue in host.venues.values()] == [[], []]


# The real one -----------------------------------------------------------------------------------------------------


def test_at_the_lab_a_system_that_quotes_reconciles_and_one_that_died_does_not(
    tmp_path: Path, given: Arguments, host: Host
) -> None:
    for venue in host.venues.values():
        venue.exchange.feed_running = True
    with trading_system(tmp_path, host, DRIVERS) as hft:
        wait_until(lambda: all(venue.exchange.executions for venue in host.venues.values()))
        args: dict[str, Any] = {
            "venues": [given.venue(name, driver) for name, driver in DRIVERS.items()],
            "trading_systems": [given.system(hft)],
        }
        assert run(position_reconciliation, **args, timeout=30).result["verdict"] == "reconciled"
        hft.kill_dash_nine()
        done = run(position_reconciliation, **args, timeout=1)
        assert (done.result["verdict"], done.outcome) == ("unproven", "unproven")
        assert "hft-1: " in done.result["msg"]
