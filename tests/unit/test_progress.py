# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a person sees while a response runs."""

from __future__ import annotations

import io
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils.chain import GENESIS, Event, sealed
from hft_incident.progress import Lines, Screen, watching


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    """A terminal that was closed; counts how often it was tried."""

    tries = 0

    def write(self, text: str, /) -> int:
        self.tries += 1
        raise OSError(5, "Input/output error")


def event(kind: str, at: str = "00", **data: Any) -> Event:
    return sealed(1, f"2026-11-23T10:00:{at}.000000Z", "maria@desk", kind, data, GENESIS)


STORY = (
    event("incident.opened", type="exchange_outage", severity=2, inputs={}, check=False),
    event("phase.entered", "01", phase="contain", play="Nothing live there"),
    event("venue.reported", "02", name="okx", state="cancelling", text="30 open \x1b[31mred"),
    event("task.finished", "03", task="Cancel", status="changed", host="localhost"),
    event("task.finished", "04", task="Reconcile", status="failed", host="localhost", msg="3 breaks"),
    event("kill.verified", "05", verdict="open", venues=[{"name": "okx", "verdict": "open", "cancelled": 29}]),
)


def told_in_lines(*events: Event) -> list[str]:
    stream = io.StringIO()
    with watching(stream) as view:
        for item in events:
            view.event(item)
    return stream.getvalue().splitlines()


def test_lines_tell_phases_venues_and_failures_with_the_time_since_the_start() -> None:
    lines = told_in_lines(*STORY)
    assert lines[1] == "T+0:00:01.000  CONTAIN: Nothing live there"
    assert lines[2].startswith("T+0:00:02.000  okx: 30 open")
    assert "Reconcile: 3 breaks" in lines[3]
    assert "okx open" in lines[4]


def test_a_step_that_went_well_is_not_told_twice() -> None:
    assert not any("Cancel" in line for line in told_in_lines(*STORY))


def test_nothing_a_venue_says_can_steer_the_terminal() -> None:
    assert not any("\x1b" in line for line in told_in_lines(*STORY))


def test_a_step_is_told_as_it_starts() -> None:
    stream = io.StringIO()
    view = Lines(stream)
    view.event(STORY[0])
    view.step("Cancel everything")
    assert stream.getvalue().splitlines()[-1].endswith("  Cancel everything …")


def test_a_step_that_is_over_already_is_not_told_as_if_it_began() -> None:
    stream = io.StringIO()
    view = Lines(stream)
    view.event(event("task.finished", task="Close the incident", status="ok", host="localhost"))
    view.step("Close the incident")
    assert "Close the incident" not in stream.getvalue()
    view.step("Close the incident")
    assert stream.getvalue().endswith("Close the incident …\n")


def test_a_terminal_that_is_gone_is_left_alone() -> None:
    stream = Gone()
    view = Lines(stream)
    for item in STORY:
        view.event(item)
    assert stream.tries == 1


def test_the_screen_shows_phase_step_and_each_venues_state_and_keeps_the_lines() -> None:
    stream = Terminal()
    with watching(stream) as view:
        assert isinstance(view, Screen)
        for item in STORY:
            view.event(item)
        view.step("Watch the exchange")
        view.refresh()
        shown = stream.getvalue()
    assert "CONTAIN" in shown
    assert "Watch the exchange" in shown
    assert "29 canceled" in shown
    assert "Reconcile: 3 breaks" in shown


def test_the_screen_survives_a_terminal_that_is_gone() -> None:
    class GoneTerminal(Gone):
        def isatty(self) -> bool:
            return True

    with watching(GoneTerminal()) as view:
        for item in STORY:
            view.event(item)
