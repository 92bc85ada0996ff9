# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``strategy``: fast stop, gradual start, at trading systems good and bad."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.steps import strategy

from ..trading_system_process import trading_system
from ..venues_host import venue_host
from ..waiting import wait_until
from .stand_in import StandIn, stand_ins
from .steps import Ran, run

#: Waiting is over as soon as what is waited for is there; these bound what a test of a failure takes.
QUICK = {"timeout": 1.0, "health_timeout": 0.3, "settle": 0.3}


@pytest.fixture
def systems() -> Iterator[list[StandIn]]:
    with stand_ins("one", "two") as both:
        for system in both:
            system.strategy(f"mm-{system.name}", "alpha", priority="high")
            system.strategy(f"arb-{system.name}", "alpha", "beta")
            system.strategy(f"probe-{system.name}", "beta", priority="low")
        yield both


@pytest.fixture
def one(systems: list[StandIn]) -> StandIn:
    return systems[0]


def do(state: str, *systems: StandIn, check: bool = False, **args: Any) -> Ran:
    given = {"trading_systems": [system.entry for system in systems], "state": state}
    return run(strategy, check=check, **{**given, **QUICK, **args})


def undo(done: Ran, **more: Any) -> list[Ran]:
    return [run(strategy, **{**item["args"], **QUICK, **more}) for item in done.result["inverses"]]


# Stopping ---------------------------------------------------------------------------------------------------------


def test_stopping_stops_what_trades_at_the_exchange_and_nothing_else(one: StandIn) -> None:
    done = do("stopped", one, exchange="alpha").result
    assert one.running() == ["probe-one"]
    assert done["changed"] is True
    assert done["strategies"] == [{"trading_system": "one", "ids": ["mm-one", "arb-one"]}]
    assert done["diff"]["before"] == {"one": {"mm-one": "running", "arb-one": "running"}}
    assert done["diff"]["after"] == {"one": {"mm-one": "stopped", "arb-one": "stopped"}}
    assert done["record"] == [
        {"kind": "strategies.stopped", "data": {"trading_system": "one", "ids": ["mm-one", "arb-one"]}}
    ]


def test_stopping_in_check_mode_predicts_and_writes_nothing(one: StandIn) -> None:
    would = do("stopped", one, exchange="alpha", check=True).result
    assert one.writes == []
    assert not would["record"]
    assert not would["inverses"]
    really = do("stopped", one, exchange="alpha").result
    assert [would[field] for field in ("changed", "strategies", "diff")] == [
        really[field] for field in ("changed", "strategies", "diff")
    ]


def test_stopping_again_changes_nothing(one: StandIn) -> None:
    do("stopped", one, exchange="alpha")
    writes = list(one.writes)
    again = do("stopped", one, exchange="alpha").result
    assert again["changed"] is False
    assert again["inverses"] == []
    assert one.writes == writes


def test_all_are_told_to_stop_at_the_same_moment(one: StandIn) -> None:
    together = threading.Barrier(3)

    def meet() -> None:
        together.wait(timeout=10)

    for name in one.strategies:
        one.on[f"POST /strategies/{name}/stop"] = meet
    do("stopped", one, ids=list(one.strategies), timeout=20)
    assert one.running() == []
    assert len(one.writes) == 3


def test_everything_that_is_given_must_match(one: StandIn) -> None:
    do("stopped", one, exchange="beta", priority="normal")
    assert one.running() == ["mm-one", "probe-one"]
    do("stopped", one, exchange="beta", ids=["mm-one"])
    assert one.running() == ["mm-one", "probe-one"]
    do("stopped", one, priority="high")
    assert one.running() == ["probe-one"]


def test_all_of_every_trading_system_are_stopped_and_come_back(systems: list[StandIn]) -> None:
    before = [system.running() for system in systems]
    done = do("stopped", *systems, all=True)
    assert [system.running() for system in systems] == [[], []]
    assert [item["args"]["ids"] for item in done.result["inverses"]] == before
    assert do("stopped", *systems, all=True).result["changed"] is False


def test_an_exchange_at_which_nobody_trades_is_no_error(one: StandIn) -> None:
    del one.strategies["probe-one"], one.strategies["arb-one"]
    done = do("stopped", one, exchange="beta").result
    assert "failed" not in done
    assert done["changed"] is False


@pytest.mark.parametrize("state", ["stopped", "started"])
@pytest.mark.parametrize(
    ("selection", "said"),
    [
        ({"exchange": "gamma"}, "unknown exchange 'gamma'; the trading systems have: alpha, beta"),
        ({"exchange": ""}, "unknown exchange ''"),
        ({"ids": ["mm-one", "mm-tow"]}, "unknown strategy 'mm-tow'; the trading systems have: mm-one, arb-one"),
        ({}, "nothing is selected"),
        ({"all": True, "priority": "high"}, "leave out exchange, priority and ids"),
    ],
)
def test_a_name_that_nobody_knows_is_refused_before_anything_is_changed(
    systems: list[StandIn], state: str, selection: dict[str, Any], said: str
) -> None:
    for some in (systems, systems[:1]):
        done = do(state, *some, **selection).result
        assert done["outcome"] == "usage"
        assert said in done["msg"]
    assert [system.writes for system in systems] == [[], []]


def test_without_a_trading_system_nothing_is_not_a_success() -> None:
    assert do("stopped", priority="low").result["outcome"] == "usage"


def test_ids_may_belong_to_different_trading_systems(systems: list[StandIn]) -> None:
    one, two = systems
    done = do("stopped", one, two, ids=["mm-two", "arb-one"])
    assert one.running() == ["mm-one", "probe-one"]
    assert two.running() == ["arb-two", "probe-two"]
    assert [item["args"]["ids"] for item in done.result["inverses"]] == [["arb-one"], ["mm-two"]]


def test_a_trading_system_that_hangs_is_named_and_holds_up_no_other(systems: list[StandIn]) -> None:
    one, two = systems
    stopped_at_two = threading.Event()
    two.on["POST /strategies/mm-two/stop"] = lambda: stopped_at_two.set()
    # It goes on only once the other has been told: in any other order this test would not end well.
    one.on["GET /exchanges"] = lambda: None if stopped_at_two.wait(timeout=10) else "hang"
    assert "failed" not in do("stopped", one, two, exchange="alpha", timeout=20).result

    one.on["GET /exchanges"] = lambda: "hang"
    do("started", two, exchange="alpha")
    done = do("stopped", one, two, exchange="alpha").result
    assert two.running() == ["probe-two"]
    assert (done["failed"], done["outcome"], done["changed"]) == (True, "unproven", True)
    assert "one: " in done["msg"]
    assert "stopped at two: mm-two, arb-two" in done["msg"]
    assert [item["args"]["ids"] for item in done["inverses"]] == [["mm-two", "arb-two"]]


def test_a_silent_trading_system_might_know_the_name_so_it_is_not_called_wrong_usage(systems: list[StandIn]) -> None:
    one, two = systems
    two.on["GET /exchanges"] = lambda: 503
    done = do("stopped", one, two, ids=["mm-one", "mm-two"]).result
    assert one.running() == ["arb-one", "probe-one"]
    assert done["outcome"] == "unproven"
    assert "unknown strategy 'mm-two'" in done["msg"]


def test_a_stop_whose_answer_was_lost_is_proven_by_the_list_and_still_undoable(one: StandIn) -> None:
    answers = iter(["lost"])
    one.on["POST /strategies/mm-one/stop"] = lambda: next(answers, None)
    done = do("stopped", one, exchange="alpha")
    assert "failed" not in done.result
    assert done.result["strategies"] == [{"trading_system": "one", "ids": ["mm-one", "arb-one"]}]
    undo(done)
    assert one.running() == ["mm-one", "arb-one", "probe-one"]


def test_a_strategy_that_only_says_it_stopped_is_not_believed(one: StandIn) -> None:
    one.on["GET /strategies"] = lambda: one.strategies["mm-one"].update(state="running")
    done = do("stopped", one, exchange="alpha").result
    assert done["outcome"] == "unproven"
    assert "still running: mm-one" in done["msg"]
    assert done["record"] == []
    assert done["inverses"][0]["args"]["ids"] == ["mm-one", "arb-one"]


@pytest.mark.parametrize("spoiled", ["html", "half", "lost", "hang", 500, 401])
@pytest.mark.parametrize("state", ["stopped", "started"])
def test_no_valid_answer_is_never_taken_for_nothing_to_do(one: StandIn, state: str, spoiled: str | int) -> None:
    one.on["GET /strategies"] = lambda: spoiled
    done = do(state, one, exchange="alpha").result
    assert done["outcome"] == "unproven"
    assert "one: " in done["msg"]
    assert "unknown" not in done["msg"]
    assert one.writes == []


# Starting ---------------------------------------------------------------------------------------------------------


def test_the_inverse_starts_exactly_what_was_running(one: StandIn) -> None:
    one.strategy("asleep", "alpha", running=False)
    done = do("stopped", one, exchange="alpha")
    (back,) = undo(done)
    assert one.running() == ["mm-one", "arb-one", "probe-one"]
    assert back.result["changed"] is True
    assert back.notes == [
        ("strategy.started", {"trading_system": "one", "id": "mm-one"}),
        ("strategy.started", {"trading_system": "one", "id": "arb-one"}),
    ]
    assert back.result["record"] == [
        {"kind": "strategies.started", "data": {"trading_system": "one", "ids": ["mm-one", "arb-one"]}}
    ]
    undo(back)
    assert one.running() == ["probe-one"]


def test_starting_goes_one_by_one_in_the_order_given_with_looks_between(one: StandIn) -> None:
    do("stopped", one, exchange="alpha")
    one.seen.clear()
    do("started", one, ids=["arb-one", "mm-one", "probe-one"])
    assert one.writes == ["POST /strategies/arb-one/start", "POST /strategies/mm-one/start"]
    first, second = (one.seen.index(write) for write in one.writes)
    assert "GET /health" in one.seen[:first]
    # After a start: once until it is well, then again while it settles, then before the next.
    assert one.seen[first:second].count("GET /health") >= 3


def test_starting_in_check_mode_predicts_and_writes_nothing(one: StandIn) -> None:
    do("stopped", one, exchange="alpha")
    writes = list(one.writes)
    would = do("started", one, exchange="alpha", check=True)
    assert one.writes == writes
    assert would.notes == []
    really = do("started", one, exchange="alpha")
    assert [would.result[field] for field in ("changed", "strategies", "diff")] == [
        really.result[field] for field in ("changed", "strategies", "diff")
    ]
    again = do("started", one, exchange="alpha")
    assert again.result["changed"] is False


def sick(system: StandIn, how: str) -> None:
    """Make a trading system unwell, in one of the ways that must be seen."""
    match how:
        case "degraded":
            system.health["status"] = "degraded"
        case "observe":
            system.health["mode"] = "observe"
        case "disconnected":
            system.exchanges["alpha"]["connected"] = False
        case "stale":
            system.exchanges["alpha"]["last_market_data_age_s"] = 6
        case "no data":
            system.exchanges["alpha"]["last_market_data_age_s"] = None
        case "stopped":
            system.strategies["mm-one"]["state"] = "stopped"
        case "silent":
            system.on["GET /health"] = lambda: 500
        case _:
            raise ValueError(how)


SICK = ["degraded", "observe", "disconnected", "stale", "no data", "silent"]


@pytest.mark.parametrize("how", SICK)
def test_nothing_is_started_into_a_sick_trading_system(one: StandIn, how: str) -> None:
    do("stopped", one, exchange="alpha")
    one.seen.clear()
    sick(one, how)
    done = do("started", one, ids=["mm-one", "arb-one"])
    assert one.writes == []
    assert (done.result["outcome"], done.result["changed"]) == ("unproven", False)
    assert "mm-one was not started" in done.result["msg"]
    assert "not started: arb-one" in done.result["msg"]


def test_into_one_whose_killswitch_somebody_has_pressed_it_says_the_way_back(one: StandIn) -> None:
    do("stopped", one, exchange="alpha")
    one.health["status"], one.killswitch["active"] = "halted", True
    done = do("started", one, ids=["mm-one"])
    assert done.result["outcome"] == "unproven"
    assert "its health is halted, its mode live; its killswitch is pressed: `hft-incident run" in done.result["msg"]


@pytest.mark.parametrize("looks", [0, 2], ids=["at its start", "while it settles"])
@pytest.mark.parametrize("how", [*SICK, "stopped"])
def test_the_first_that_is_not_well_is_stopped_again_and_the_rest_not_started(
    one: StandIn, how: str, looks: int
) -> None:
    do("stopped", one, ids=list(one.strategies))
    one.seen.clear()

    def look() -> None:
        if "POST /strategies/mm-one/start" in one.seen:
            after = one.seen[one.seen.index("POST /strategies/mm-one/start") :]
            if after.count("GET /health") > looks:
                sick(one, how)

    one.on["GET /health"] = look
    done = do("started", one, ids=["probe-one", "mm-one", "arb-one"], settle=0.8)
    assert one.running() == ["probe-one"]
    assert "POST /strategies/arb-one/start" not in one.seen
    assert (done.result["failed"], done.result["outcome"], done.result["changed"]) == (True, "unproven", True)
    for words in (
        "mm-one was started and is not well",
        "stopped again",
        "well at one: probe-one",
        "not started: arb-one",
    ):
        assert words in done.result["msg"]
    assert [item["args"]["ids"] for item in done.result["inverses"]] == [["probe-one"], ["mm-one"]]
    assert done.result["record"][0]["data"]["ids"] == ["probe-one"]


def test_one_that_cannot_be_stopped_again_is_said_loudly(one: StandIn) -> None:
    do("stopped", one, exchange="alpha")
    one.on["POST /strategies/mm-one/start"] = lambda: sick(one, "degraded")
    one.on["POST /strategies/mm-one/stop"] = lambda: 500
    done = do("started", one, ids=["mm-one"]).result
    assert "NOT PROVEN that it stopped again" in done["msg"]


def test_a_start_whose_answer_is_lost_is_found_running(one: StandIn) -> None:
    do("stopped", one, exchange="alpha")
    answers = iter(["lost"])
    one.on["POST /strategies/mm-one/start"] = lambda: next(answers, None)
    assert do("started", one, ids=["mm-one"]).result["strategies"] == [{"trading_system": "one", "ids": ["mm-one"]}]


def test_nothing_is_started_while_one_trading_system_is_silent(systems: list[StandIn]) -> None:
    one, two = systems
    do("stopped", one, two, exchange="alpha")
    one.seen.clear()
    two.on["GET /strategies"] = lambda: 503
    done = do("started", one, two, exchange="alpha").result
    assert done["outcome"] == "unproven"
    assert "nothing was started: two: " in done["msg"]
    assert one.writes == []


# The real one -----------------------------------------------------------------------------------------------------


def test_at_the_lab_orders_stop_and_come_again(tmp_path: Path) -> None:
    venues = {"alpha": "binance", "beta": "binance"}
    with venue_host(venues) as host:
        for venue in host.venues.values():
            venue.exchange.feed_running = True
        with trading_system(tmp_path, host, venues) as hft:
            wait_until(lambda: hft.get("/health")["status"] == "ok")
            args: dict[str, Any] = {"trading_systems": [{"name": "hft-1", "url": f"http://127.0.0.1:{hft.port}"}]}
            done = run(strategy, **args, state="stopped", exchange="alpha")
            states = {row["id"]: row["state"] for row in hft.get("/strategies")["strategies"]}
            assert states == {
                "mm-alpha": "stopped",
                "probe-alpha": "stopped",
                "arb-alpha-beta": "stopped",
                "mm-beta": "running",
                "probe-beta": "running",
            }
            wait_until(lambda: not host.venues["alpha"].exchange.open_orders())
            (back,) = undo(done, health_timeout=10)
            assert "failed" not in back.result
            assert {row["state"] for row in hft.get("/strategies")["strategies"]} == {"running"}
            wait_until(lambda: host.venues["alpha"].exchange.open_orders())
