# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Where a response goes on, by its events alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.chain import GENESIS, Event, sealed
from hft_incident.resumption import plan_of

#: Play, phase, own tag.
PLAYS = (
    ("look", "detect", "detect"),
    ("close", "contain", "contain"),
    ("observe", "recover", "observe"),
    ("ask", "recover", "authority"),
    ("open", "recover", "open"),
    ("end", "review", "review"),
)
Line = tuple[str, Mapping[str, Any]]
OPENED: Line = ("incident.opened", {"type": "system_crash", "inputs": {"reason": "test"}, "inventory": ["/inv"]})
NOW = datetime(2026, 11, 24, 3, 30, tzinfo=UTC)
HELD: Line = ("gate.held", {"gate": "resume_trading", "valid_for_s": 3600})
PASSED: Line = ("gate.passed", {"gate": "resume_trading", "people": ["a", "b"]})
CLOSED: Line = ("latch.changed", {"state": "closed", "host": "hft-1"})
OPEN: Line = ("latch.changed", {"state": "open", "host": "hft-1"})


def started(run: str = "r1") -> Line:
    plays = [{"name": name, "phase": phase, "tag": tag} for name, phase, tag in PLAYS]
    return "run.started", {"run": run, "plays": plays, "inventory": ["/inv"], "inputs": {"reason": "test"}}


def entered(*names: str) -> list[Line]:
    return [("phase.entered", {"phase": phase, "play": play}) for play, phase, _ in PLAYS if play in names]


def failed(play: str) -> Line:
    return "task.finished", {"play": play, "status": "failed", "task": "t"}


def finished(outcome: str, run: str = "r1") -> Line:
    return "run.finished", {"run": run, "outcome": outcome}


def chained(lines: Sequence[Line]) -> list[Event]:
    events: list[Event] = []
    for kind, data in lines:
        prev = events[-1].hash if events else GENESIS
        events.append(sealed(len(events) + 1, "2026-11-24T03:00:00.000000Z", "test", kind, data, prev))
    return events


def plan(*lines: Line, now: datetime = NOW) -> tuple[str | None, str | None]:
    found = plan_of(chained([OPENED, *lines]), now)
    return found.start, found.tags


UNTIL_GATE = [*entered("look", "close", "observe", "ask"), failed("ask"), finished("held")]


def test_what_was_held_goes_on_at_its_gate_and_looks_again_first() -> None:
    assert plan(started(), *UNTIL_GATE) == ("ask", "detect,authority,open,review")


def test_what_was_killed_goes_on_in_the_play_that_it_was_in() -> None:
    assert plan(started(), *entered("look", "close")) == ("close", "detect,contain,observe,authority,open,review")


@pytest.mark.parametrize("lines", [(), (started(),), (started(), *entered("look"))])
def test_what_has_not_got_beyond_looking_begins_anew(lines: Sequence[Line]) -> None:
    assert plan(*lines) == (None, None)


def test_what_an_earlier_run_completed_stays_so() -> None:
    again = [started("r2"), *entered("look", "ask", "open"), failed("open"), finished("failed", "r2")]
    assert plan(started(), *UNTIL_GATE, *again) == ("open", "detect,open,review")


def test_what_was_closed_again_behind_a_gate_starts_from_the_beginning_of_that_phase() -> None:
    again = [started("r2"), *entered("look", "ask"), PASSED, *entered("open"), CLOSED, failed("open")]
    assert plan(started(), *UNTIL_GATE, *again) == ("observe", "detect,observe,authority,open,review")


def test_a_second_passage_counts_again() -> None:
    again = [started("r2"), *entered("look", "ask"), PASSED, *entered("open"), CLOSED, finished("failed", "r2")]
    third = [started("r3"), *entered("look", "observe", "ask"), PASSED, *entered("open"), OPEN]
    assert plan(started(), *UNTIL_GATE, *again, *third) == ("open", "detect,open,review")


def test_all_done_but_not_closed_is_closed() -> None:
    assert plan(started(), *entered(*(name for name, _, _ in PLAYS)), failed("end")) == ("end", "detect,review")


LATER = NOW + timedelta(hours=1)


def test_an_old_passage_is_asked_for_again_while_there_is_something_to_open() -> None:
    lines = [started(), *entered("look", "close", "observe", "ask"), HELD, PASSED, *entered("open")]
    assert plan(*lines) == ("open", "detect,open,review")
    assert plan(*lines, now=LATER) == ("ask", "detect,authority,open,review")


def test_an_old_passage_is_no_matter_where_all_was_opened() -> None:
    lines = [started(), *entered("look", "close", "observe", "ask"), HELD, PASSED, *entered("open", "end")]
    assert plan(*lines, now=LATER) == ("end", "detect,review")


CLEARED: Line = ("gate.passed", {"gate": "security_clearance", "guards": "hosts", "people": ["d"]})
CONFIRMED: Line = ("gate.passed", {"gate": "confirm_breach", "guards": "decision", "people": ["d"]})
ISOLATED: Line = ("host.isolated", {"host": "hft-1"})


@pytest.mark.parametrize("passage", [CLEARED, CONFIRMED])
def test_a_gate_before_hosts_or_of_a_decision_is_not_shut_by_what_is_closed_to_trading(passage: Line) -> None:
    stopped = ("strategies.stopped", {"ids": ["mm"]})
    lines = [started(), *entered("look", "close", "observe"), passage, stopped, *entered("ask"), failed("ask")]
    assert plan(*lines) == ("ask", "detect,authority,open,review")


def test_a_host_that_is_isolated_again_has_to_be_cleared_again() -> None:
    cleared = [started(), *entered("look", "close", "observe"), CLEARED, *entered("ask")]
    assert plan(*cleared, ISOLATED) == ("observe", "detect,observe,authority,open,review")
    assert plan(*cleared, ISOLATED, CLEARED) == ("ask", "detect,authority,open,review")


def test_what_one_gate_loses_is_not_hidden_by_the_passage_of_another() -> None:
    again = [started("r2"), *entered("look", "ask"), PASSED, *entered("open"), CLOSED, CONFIRMED]
    assert plan(started(), *UNTIL_GATE, *again) == ("observe", "detect,observe,authority,open,review")


# A system that observes may die --------------------------------------------------------------------------------------

OTHER_CLOSED: Line = ("latch.changed", {"state": "closed", "host": "hft-2"})
LATCHED = [*entered("look", "close"), OTHER_CLOSED, CLOSED, *entered("observe", "ask")]
OTHER_OPEN: Line = ("latch.changed", {"state": "open", "host": "hft-2"})
OBSERVE_AGAIN = ("observe", "detect,observe,authority,open,review")


@pytest.mark.parametrize(
    "since",
    [
        [failed("ask")],
        [finished("held")],
        [PASSED, *entered("open"), failed("open")],
        [PASSED, *entered("open"), OPEN, failed("open")],
    ],
    ids=["not to be reached", "held", "nothing to open", "one of two is open"],
)
def test_as_long_as_a_latch_is_closed_it_is_brought_up_to_observe_again(since: Sequence[Line]) -> None:
    assert plan(started(), *LATCHED, *since) == OBSERVE_AGAIN


def test_what_has_opened_is_not_made_to_observe_again() -> None:
    opened = [PASSED, *entered("open"), OPEN, OTHER_OPEN]
    assert plan(started(), *LATCHED, *opened, failed("open")) == ("open", "detect,open,review")


def test_a_latch_of_one_strategy_keeps_no_system_from_trading() -> None:
    narrow = ("latch.changed", {"state": "closed", "host": "hft-1", "scope": "strategy", "name": "mm"})
    lines = [started(), *entered("look", "close"), narrow, *entered("observe", "ask"), finished("held")]
    assert plan(*lines) == ("ask", "detect,authority,open,review")


def test_what_was_cut_off_before_it_observed_goes_on_there() -> None:
    found = plan(started(), *entered("look", "close"), CLOSED)
    assert found == ("close", "detect,contain,observe,authority,open,review")
