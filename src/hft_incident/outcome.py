# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""How an incident's last run ended, read from its journal and from nothing else.

So it does not matter who started the playbook, the wrapper or a person with `ansible-playbook`. A record that is not
whole never counts as success: what is not written down did not happen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils.chain import Event, check, to_line
from ansible_collections.hft.incident.plugins.module_utils.errors import EXIT_CODES
from ansible_collections.hft.incident.plugins.module_utils.incident import State, state_of

# What only a run that touched something leaves behind.
ACTED = frozenset(
    (
        *("kill.ordered", "kill.verified", "venue.reported", "strategies.stopped", "strategies.started"),
        *("strategies.stopped", "strategies.started", "exchange.changed", "inverse.registered", "inverse.applied"),
    )
)
_FAILED = ("failed", "unreachable")


@dataclass(frozen=True)
class Phase:
    """A phase and when it was entered (UTC, ISO-8601)."""

    name: str
    at: str


@dataclass(frozen=True)
class Steps:
    """How many steps ended how, in the last run. ``failed`` counts hosts that could not be reached, too."""

    ok: int = 0
    changed: int = 0
    failed: int = 0
    skipped: int = 0
    rescued: int = 0
    ignored: int = 0


@dataclass(frozen=True)
class Outcome:
    """The result of a run.

    ``outcome``: done, failed, usage, unproven or held; ``exit_code`` says the same as a number; ``reason`` is a line
    for people. ``contained``: each venue's last verdict (clear, open, unknown); ``contained_at``: since when all of
    them are clear (None: they are not). ``phases``: in order, however many plays each has. Times are UTC ISO-8601;
    ``elapsed_ms`` counts from opening the incident to the last event. ``complete``: the record is whole. ``journal`` is
    a path. ``next``: the command that goes on from here, while the incident is open.
    """

    incident: str
    type: str | None
    outcome: str
    exit_code: int
    reason: str
    severity: int | None
    check: bool
    complete: bool
    phase: str | None
    phases: tuple[Phase, ...]
    contained: Mapping[str, str]
    contained_at: str | None
    started_at: str | None
    elapsed_ms: float
    steps: Steps
    journal: str
    next: str | None

    def to_json(self) -> dict[str, Any]:
        """An object of plain JSON types."""
        return {**asdict(self), "phases": [asdict(phase) for phase in self.phases], "contained": dict(self.contained)}


def outcome_of(incident: str, events: Sequence[Event], journal: str, run_id: str | None = None) -> Outcome:
    """What the events of an incident, all of them and in order, say about a run; by default about its last one."""
    state = state_of(events)
    run = last_run(events) if run_id is None else run_of(events, run_id)
    fault = record_fault(events, run)
    word, reason = ("failed", fault) if fault else _ending(state, run)
    return Outcome(
        incident=incident,
        type=state.type,
        outcome=word,
        exit_code=EXIT_CODES[word],
        reason=reason,
        severity=state.severity,
        check=state.check,
        complete=fault is None and run[-1].kind != "run.interrupted",
        phase=state.phase,
        phases=_phases(run),
        contained={name: venue.verdict for name, venue in state.venues.items()},
        contained_at=_contained_at(events),
        started_at=events[0].at if events else None,
        elapsed_ms=_elapsed_ms(events),
        steps=_steps(run),
        journal=journal,
        next=f"hft-incident resume {incident}" if state.is_open else None,
    )


def last_run(events: Sequence[Event]) -> Sequence[Event]:
    """The events of the last run that was started; all of them where none was."""
    starts = [event for event in events if event.kind == "run.started"]
    return run_of(events, str(starts[-1].data.get("run"))) if starts else events


def run_of(events: Sequence[Event], run_id: str) -> Sequence[Event]:
    """The events of one run: from its start to the next run's, and whatever else names it.

    Who followed a run that somebody took over writes its end down when the next one is under way already.
    """
    starts = [index for index, event in enumerate(events) if event.kind == "run.started"]
    own = [index for index in starts if events[index].data.get("run") == run_id]
    start = own[-1] if own else 0
    following = next((index for index in starts if index > start), len(events)) if own else 0
    return [
        event
        for index, event in enumerate(events[start:], start)
        if event.data.get("run") == run_id or (index < following and "run" not in event.data)
    ]


def is_closed(run: Sequence[Event]) -> bool:
    """Whether the run itself wrote down how it ended."""
    return any(event.kind in ("run.finished", "run.interrupted") for event in run)


def record_fault(events: Sequence[Event], run: Sequence[Event]) -> str | None:
    """Why the record cannot be believed to be whole, in a line; None: it can."""
    chain = check(b"".join(map(to_line, events)))
    if chain.state != "intact":
        return f"the record was {chain.reason}"
    lost = _first(run, "run.lost")
    if lost:
        return str(lost.data.get("reason") or "the playbook ended without closing its record")
    if not run or run[0].kind != "run.started":
        return "the playbook was never started"
    if not is_closed(run):
        return f"the record is incomplete: the run ended after {_count_tasks(run)} steps without saying so"
    finished = _first(run, "run.finished")
    if finished:
        said, found = finished.data.get("tasks"), _count_tasks(run)
        if said != found:
            return f"the record is incomplete: {found} steps of {said}"
        if finished.data.get("outcome") not in EXIT_CODES:
            return f"the record is unclear: it ended as {finished.data.get('outcome')!r}"
        if not found and finished.data["outcome"] == "done":
            return "nothing ran: no host and no step matched"
    return None


def _phases(run: Sequence[Event]) -> tuple[Phase, ...]:
    """A phase begins with the first of its plays that follow each other."""
    entered = [Phase(str(event.data.get("phase")), event.at) for event in run if event.kind == "phase.entered"]
    return tuple(next(plays) for _, plays in groupby(entered, key=lambda phase: phase.name))


def _ending(state: State, run: Sequence[Event]) -> tuple[str, str]:
    finished = _first(run, "run.finished")
    if finished is None:
        asked = _first(run, "run.stop_requested")
        why = f"interrupted after {_count_tasks(run)} steps" + (f" ({asked.data.get('reason')})" if asked else "")
        if any(_has_acted(event) for event in run):
            return "unproven", f"{why}; what was done is in the record, the rest is unknown"
        return "failed", f"{why}; nothing had been changed"
    word = str(finished.data["outcome"])
    if word == "done":
        return word, _summary(state, run)
    return word, _first_failure(run) or str(finished.data.get("reason") or f"the playbook ended as {word}")


def _has_acted(event: Event) -> bool:
    return event.kind in ACTED or (event.kind == "task.finished" and event.data.get("status") == "changed")


def _summary(state: State, run: Sequence[Event]) -> str:
    closed = _first(run, "incident.closed")
    if closed and closed.data.get("summary"):
        return str(closed.data["summary"])
    verdicts = Counter(venue.verdict for venue in state.venues.values())
    venues = ", ".join(f"{count} venue{'s'[: count != 1]} {verdict}" for verdict, count in sorted(verdicts.items()))
    steps = f"{_count_tasks(run)} steps"
    return f"{venues}; {steps}" if venues else steps


def _first_failure(run: Sequence[Event]) -> str | None:
    """The failed step and what it said, or why no step ran."""
    for event in run:
        if event.kind == "task.finished" and event.data.get("status") in _FAILED:
            said = event.data.get("msg") or event.data["status"]
            return f"{event.data.get('task')}: {said}"
    nothing = _first(run, "run.no_hosts")
    return str(nothing.data.get("reason")) if nothing else None


def _contained_at(events: Sequence[Event]) -> str | None:
    verdicts: dict[str, str] = {}
    since: str | None = None
    for event in events:
        if event.kind == "kill.verified":
            found = event.data.get("venues") or ()
            verdicts |= {str(venue.get("name")): str(venue.get("verdict")) for venue in found}
            all_clear = bool(verdicts) and set(verdicts.values()) == {"clear"}
            since = (since or event.at) if all_clear else None
    return since


def _steps(run: Sequence[Event]) -> Steps:
    found = Counter(str(event.data.get("status")) for event in run if event.kind == "task.finished")
    return Steps(
        ok=found["ok"],
        changed=found["changed"],
        failed=sum(found[status] for status in _FAILED),
        skipped=found["skipped"],
        rescued=found["rescued"],
        ignored=found["ignored"],
    )


def _elapsed_ms(events: Sequence[Event]) -> float:
    try:
        span = datetime.fromisoformat(events[-1].at) - datetime.fromisoformat(events[0].at)
    except (IndexError, TypeError, ValueError):  # no events, or an altered time, which the chain tells
        return 0.0
    return span / timedelta(milliseconds=1)


def _count_tasks(run: Sequence[Event]) -> int:
    return sum(event.kind == "task.finished" for event in run)


def _first(run: Sequence[Event], kind: str) -> Event | None:
    return next((event for event in run if event.kind == kind), None)
