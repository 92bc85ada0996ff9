# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Where an interrupted response goes on, read from its journal and from nothing else: pure rules.

A play is completed when a run that did not fail in it went on to a later play, or ended as done. The first that no run
has completed is where to go on, with everything after it; the plays of phase detect come before, since a playbook
finds out there what it acts on. Steps look before they act, so what a killed run had done already is not done twice.

What brings a system up to observe is done again as long as a latch is closed: all that follows rests on a process that
may have died since, right after its start or while the response was held for hours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.approvals import (
    DECISION,
    HELD,
    PASSED,
    guards_of,
    is_closing,
    moment,
)
from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.incident import PHASES, state_of

from .outcome import run_of

DETECT = PHASES[0]
#: The tag of the play that brings a system up to observe (``shared/observe.yml``).
OBSERVE = "observe"


class Play(NamedTuple):
    """A play as its run recorded it, with the phase it belongs to.

    ``tag``: chooses it, and of the plays before it only what looks and changes nothing; None: it has no tag, so that no
    tag leaves it out and none asks for it alone.
    """

    name: str
    phase: str | None
    tag: str | None


class Plan(NamedTuple):
    """How to go on: from the play ``start`` (None: from the beginning) with these ``tags`` (None: all), and with the
    inputs and inventory of the last run that got as far as to say so."""

    start: str | None
    tags: str | None
    inputs: Mapping[str, str]
    inventory: Sequence[str]
    check: bool


def plan_of(events: Sequence[Event], now: datetime) -> Plan:
    """The plan for the incident with these events, all of them and in order."""
    state = state_of(events)
    opened = next((event.data for event in events if event.kind == "incident.opened"), {})
    starts = [
        event.data for event in events if event.kind == "run.started" and bool(event.data.get("check")) == state.check
    ]
    last: Mapping[str, Any] = starts[-1] if starts else {}
    plays = [Play(str(play.get("name")), play.get("phase"), play.get("tag")) for play in last.get("plays") or ()]
    completed = set().union(*(_completed(run_of(events, str(start.get("run")))) for start in starts))
    start, tags = _rest(plays, completed - _voided(events, plays, completed, now) - _may_have_died(events, plays))
    inputs = {**(opened.get("inputs") or {}), **(last.get("inputs") or {})}
    if state.severity is not None:
        inputs["severity"] = state.severity
    return Plan(
        start=start,
        tags=tags,
        inputs={name: _text(value) for name, value in inputs.items()},
        inventory=tuple(map(str, last.get("inventory") or opened.get("inventory") or ())),
        check=state.check,
    )


def _completed(run: Sequence[Event]) -> set[str]:
    entered = [str(event.data.get("play")) for event in run if event.kind == "phase.entered"]
    failed = {
        event.data.get("play")
        for event in run
        if event.kind == "task.finished" and event.data.get("status") in ("failed", "unreachable")
    }
    done = any(event.kind == "run.finished" and event.data.get("outcome") == "done" for event in run)
    return {play for play in (entered if done else entered[:-1]) if play not in failed}


def _voided(events: Sequence[Event], plays: Sequence[Play], completed: set[str], now: datetime) -> set[str]:
    """What was completed behind a gate and counts no more; of each gate its last passage is looked at."""
    last = {event.data.get("gate"): event for event in events if event.kind == PASSED}
    return set().union(*(_voided_by(passage, events, plays, completed, now) for passage in last.values()))


def _voided_by(
    passage: Event, events: Sequence[Event], plays: Sequence[Play], completed: set[str], now: datetime
) -> set[str]:
    """Where something that the gate stands before was closed again, all since the phase of the gate began: what the
    approval rested on (a system that observes, books that agree) has to be shown anew. Where the passage has grown old
    with something left to open in that phase, the gate alone.
    """
    entered = [e.data.get("play") for e in events if e.kind == "phase.entered" and e.seq < passage.seq]
    number = next((number for number, play in enumerate(plays) if play.name in entered[-1:]), None)
    if number is None:
        return set()
    gate, guards = plays[number], guards_of(passage)
    if any(event.seq > passage.seq and is_closing(event, guards) for event in events):
        first = next(index for index, play in enumerate(plays) if play.phase == gate.phase)
        return {play.name for play in plays[first:]}
    left = any(play.name not in completed for play in plays[number:] if play.phase == gate.phase)
    return {gate.name} if left and guards != DECISION and _is_old(events, passage, now) else set()


def _may_have_died(events: Sequence[Event], plays: Sequence[Play]) -> set[str]:
    """The plays that have brought a system up to observe, while what is to take its place may not start."""
    latches = {
        event.data.get("host"): event.data.get("state")
        for event in events
        if event.kind == "latch.changed" and not event.data.get("name")  # of one exchange or strategy: it may start
    }
    return {play.name for play in plays if play.tag == OBSERVE} if "closed" in latches.values() else set()


def _is_old(events: Sequence[Event], passage: Event, now: datetime) -> bool:
    """Whether the passage opens nothing any more, by what its gate said of itself."""
    asked = [e for e in events if e.kind == HELD and e.data.get("gate") == passage.data.get("gate")]
    lasts, at = (asked[-1].data.get("valid_for_s") if asked else None), moment(passage.at)
    return at is not None and isinstance(lasts, int | float) and now - at > timedelta(seconds=lasts)


def _rest(plays: Sequence[Play], completed: set[str]) -> tuple[str | None, str | None]:
    """The play to go on with and the tags that choose it and what follows; the last one where all are completed, since
    it is the one that closes the incident."""
    first = next((number for number, play in enumerate(plays) if play.name not in completed), len(plays) - 1)
    rest = plays[max(first, 0) :]
    tags = [play.tag for play in rest if play.tag is not None]
    if first <= 0 or len(tags) < len(rest):
        return None, None
    return rest[0].name, ",".join(dict.fromkeys([DETECT, *tags]))


def _text(value: Any) -> str:
    """As it is written on a command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)
