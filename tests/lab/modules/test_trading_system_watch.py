# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Waiting for trading systems and watching them: what ends a watch, and what does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.steps import trading_system_watch

from ..trading_system_process import trading_system
from ..venues_host import venue_host
from .stand_in import StandIn, stand_ins
from .steps import Arguments, Ran, run

LOOK = "GET /health"


@pytest.fixture
def systems() -> Iterator[list[StandIn]]:
    with stand_ins("one", "two") as both:
        yield both


@pytest.fixture
def one(systems: list[StandIn]) -> StandIn:
    return systems[0]


@pytest.fixture
def watch(systems: list[StandIn]) -> Callable[..., Ran]:
    """A quick watch of both."""

    def watched(**args: Any) -> Ran:
        quick = {"timeout": 30.0, "interval": 0.01, "look_timeout": 5.0}
        return run(trading_system_watch, **{"trading_systems": [system.entry for system in systems], **quick, **args})

    return watched


def at_look(system: StandIn, number: int, act: Callable[[], Any]) -> None:
    """``act`` is called right before this look is answered."""

    def hook() -> Any:
        return act() if system.seen.count(LOOK) == number else None

    system.on[LOOK] = hook


def said(done: Ran) -> list[str]:
    return [data["sentence"] for data in done.noted("trading_system.watched")]


# Waiting --------------------------------------------------------------------------------------------------------------


def test_systems_that_are_as_wanted_are_so_at_the_first_look(watch: Callable[..., Ran], systems: list[StandIn]) -> None:
    done = watch()
    assert (done.failed, done["changed"], done["held_s"], done["all_answer"]) == (False, False, 0, True)
    assert done["msg"] == "one, two are healthy after 0 s"
    assert [system.seen for system in systems] == [[LOOK]] * 2
    (told,) = done.recorded("trading_systems.probed")
    assert told["systems"] == done["systems"]
    (line,) = done.noted("trading_system.watched")
    assert line["names"] == ["one", "two"]
    assert line["left_s"] == 30


@pytest.mark.parametrize(
    ("status", "mode", "wanted"),
    [
        ("ok", "live", {"answering", "live", "healthy"}),
        ("degraded", "live", {"answering", "live"}),
        ("ok", "observe", {"answering", "observe"}),
        ("degraded", "observe", {"answering", "observe"}),
        ("halted", "halted", {"answering"}),
    ],
)
@pytest.mark.parametrize("wait_for", ["answering", "observe", "live", "healthy"])
def test_each_wish_is_met_by_what_it_says(
    watch: Callable[..., Ran], one: StandIn, wait_for: str, status: str, mode: str, wanted: set[str]
) -> None:
    one.health |= {"status": status, "mode": mode}
    done = watch(wait_for=wait_for, timeout=0, only=["one"])
    assert done.outcome == ("done" if wait_for in wanted else "unproven")
    assert one.seen == [LOOK]


@pytest.mark.parametrize("spoiled", ["lost", "half", "html", 500])
@pytest.mark.parametrize("wait_for", ["answering", "observe", "live", "healthy"])
def test_no_wish_is_met_by_one_that_gives_no_valid_answer(
    watch: Callable[..., Ran], one: StandIn, spoiled: str | int, wait_for: str
) -> None:
    one.on[LOOK] = lambda: spoiled
    done = watch(wait_for=wait_for, timeout=0)
    assert done.outcome == "unproven"
    assert done["msg"].startswith(f"not after 0 s: one, two are {wait_for}; one: unknown (GET /api/v1/health: ")


def test_it_waits_for_the_last_of_them_and_says_what_it_sees_only_when_that_changes(
    watch: Callable[..., Ran], systems: list[StandIn]
) -> None:
    one, two = systems
    one.health["mode"] = two.health["mode"] = "observe"
    at_look(one, 3, lambda: one.health.update(mode="live"))
    at_look(two, 5, lambda: two.health.update(mode="live"))
    done = watch()
    assert not done.failed
    assert [system.seen.count(LOOK) for system in systems] == [5, 5]
    assert said(done) == [
        "one: answering (ok, observe); two: answering (ok, observe)",
        "one: answering (ok, live); two: answering (ok, observe)",
        "one: answering (ok, live); two: answering (ok, live)",
    ]


def test_a_restart_while_it_is_waited_for_is_none_of_its_business(watch: Callable[..., Ran], one: StandIn) -> None:
    one.health["status"] = "degraded"
    at_look(one, 3, lambda: one.health.update(status="ok", uptime_s=0.1))
    assert not watch().failed


def test_one_that_hangs_costs_one_look_and_no_more(watch: Callable[..., Ran], one: StandIn) -> None:
    one.on[LOOK] = lambda: "hang"
    done = watch(timeout=0, look_timeout=0.2)
    assert "one: hung (GET /api/v1/health: no answer in time)" in done["msg"]


def test_a_time_shorter_than_the_interval_is_used_whole(watch: Callable[..., Ran], one: StandIn) -> None:
    one.health["mode"] = "observe"
    at_look(one, 2, lambda: one.health.update(mode="live"))
    assert not watch(timeout=0.2, interval=3600).failed
    assert one.seen.count(LOOK) == 2


# Holding --------------------------------------------------------------------------------------------------------------


def test_it_watches_for_as_long_as_they_have_to_stay_so(watch: Callable[..., Ran], one: StandIn) -> None:
    done = watch(hold=0.2)
    assert done["held_s"] >= 0.2
    assert "and stayed so for" in done["msg"]
    assert one.seen.count(LOOK) > 2


@pytest.mark.parametrize(
    ("act", "complaint"),
    [
        (lambda health: health.update(status="degraded"), "one: answering (degraded, live)"),
        (lambda health: health.update(mode="observe"), "one: its mode was live, is observe"),
        (lambda health: health.update(uptime_s=0.4), "one: restarted, up for 0 s after 60 s"),
        (lambda health: health.pop("version"), "no 'version' in the reply"),
        (lambda _health: 500, "one: unknown (GET /api/v1/health: HTTP 500"),
    ],
)
def test_what_ends_a_hold_is_said_and_noted(
    watch: Callable[..., Ran], one: StandIn, act: Callable[[dict[str, Any]], Any], complaint: str
) -> None:
    def happen() -> int | None:
        spoiled = act(one.health)
        return spoiled if isinstance(spoiled, int) else None

    at_look(one, 4, happen)
    done = watch(hold=30)
    assert done.outcome == "unproven"
    assert "of 30 s: one, two are healthy; " in done["msg"]
    assert complaint in done["msg"]
    assert complaint in said(done)[-1]
    assert one.seen.count(LOOK) == 4


def test_a_mode_that_changes_ends_a_hold_of_any_wish(watch: Callable[..., Ran], one: StandIn) -> None:
    """Whoever waits for an answer only must still see that it has started to trade."""
    one.health["mode"] = "observe"
    at_look(one, 3, lambda: one.health.update(mode="live"))
    done = watch(wait_for="answering", hold=30)
    assert "one: its mode was observe, is live" in done["msg"]


def test_a_status_that_changes_does_not_end_a_hold_that_does_not_ask_for_it(
    watch: Callable[..., Ran], one: StandIn
) -> None:
    at_look(one, 3, lambda: one.health.update(status="degraded"))
    assert not watch(wait_for="live", hold=0.2).failed


def test_the_last_look_of_a_hold_counts(watch: Callable[..., Ran], one: StandIn) -> None:
    at_look(one, 2, lambda: one.health.update(status="degraded"))
    assert watch(hold=0.05, interval=3600).outcome == "unproven"


# The rest -------------------------------------------------------------------------------------------------------------


def test_check_mode_takes_one_look_and_waits_for_nothing(watch: Callable[..., Ran], systems: list[StandIn]) -> None:
    systems[1].health["mode"] = "observe"
    done = watch(check=True, hold=30)
    assert (done.failed, done["changed"], done["all_answer"], done["waited_s"]) == (False, False, True, 0)
    assert done["msg"].startswith("would wait until one, two are healthy; now: one: answering (ok, live); two: ")
    assert [system.seen for system in systems] == [[LOOK]] * 2
    assert done.notes == []
    assert "record" not in done.result


@pytest.mark.parametrize(
    "wrong",
    [{"interval": 0}, {"look_timeout": 0}, {"timeout": -1}, {"hold": -1}, {"only": ["x"]}, {"trading_systems": []}],
)
@pytest.mark.parametrize("check", [False, True])
def test_arguments_that_mean_nothing_are_refused_before_anything_is_asked(
    watch: Callable[..., Ran], one: StandIn, wrong: dict[str, Any], check: bool
) -> None:
    assert watch(check=check, **wrong).outcome == "usage"
    assert one.seen == []


def test_a_real_process_that_dies_while_it_is_held_ends_the_watch(tmp_path: Path) -> None:
    with venue_host({"alpha": "binance"}) as host, trading_system(tmp_path, host, {"alpha": "binance"}) as hft:

        def kill(_kind: str, _data: Any) -> None:
            if hft.process.poll() is None:
                hft.kill_dash_nine()

        done = run(
            trading_system_watch,
            on_note=kill,
            trading_systems=[Arguments.system(hft)],
            wait_for="live",
            hold=30,
            interval=0.05,
        )
    assert done.outcome == "unproven"
    assert "hft-1: no_answer (GET /api/v1/health: connection refused)" in done["msg"]
