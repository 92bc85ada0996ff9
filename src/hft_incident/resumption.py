# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Where an interrupted response goes on, read from its journal and from nothing else: pure rules.

A play is completed when a run that did not fail in it went on to a later play, or ended as done. The first that no run
has completed is where to go on, with everything after it; the plays of phase detect come before, since a playbook
finds out there what it acts on. Steps look before they act, so what a killed run had done already is not done twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.approvals import is_closing
from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.incident import PHASES, state_of

from .outcome import run_of

DETECT = PHASES[0]


class Play(NamedTuple):
    """A play as its run recorded it. ``tag``: its own, the last of its tags, which no other play has; None: it has no
    tag, so that no tag leaves it out and none asks for it alone."""

    name: str
    tag: str | None


class Plan(NamedTuple):
    """How to go on: from the play ``start`` (None: from the beginning) with these ``tags`` (None: all), and with the
    inputs and inventory of the last run that got as far as to say so."""

    start: str | None
    tags: str | None
    inputs: Mapping[str, str]
    inventory: Sequence[str]
    check: bool


def plan_of(events: Sequence[Event]) -> Plan:
    """The plan for the incident with these events, all of them and in order."""
    state = state_of(events)
    opened = next((event.data for event in events if event.kind == "incident.opened"), {})
    starts = [
        event.data for event in events if event.kind == "run.started" and bool(event.data.get("check")) == state.check
    ]
    last: Mapping[str, Any] = starts[-1] if starts else {}
    plays = [Play(str(play.get("name")), play.get("tag")) for play in last.get("plays") or ()]
    completed = set().union(*(_completed(run_of(events, str(start.get("run")))) for start in starts))
    start, tags = _rest(plays, completed - _voided(events, plays))
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


def _voided(events: Sequence[Event], plays: Sequence[Play]) -> set[str]:
    """What was completed since the phase of a gate began counts no more once something was closed again behind it: what
    the approval rested on (a system that observes, books that agree) has to be shown anew."""
    passages = [number for number, event in enumerate(events) if event.kind == "gate.passed"]
    if not passages or not any(map(is_closing, events[passages[-1] :])):
        return set()
    phases = {event.data.get("play"): event.data.get("phase") for event in events if event.kind == "phase.entered"}
    entered = [event.data.get("phase") for event in events[: passages[-1]] if event.kind == "phase.entered"]
    first = next((number for number, play in enumerate(plays) if phases.get(play.name) in entered[-1:]), len(plays))
    return {play.name for play in plays[first:]}


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
