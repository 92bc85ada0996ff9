# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Which notices of an incident are due, and what became of each: derived from its journal, by pure rules.

Nobody keeps a list of what is to be told. ``schedule`` walks through the incident's life, its turns being what changes
who is told what: it is judged real, its severity changes, it is contained, trades again, is closed. Between two turns
the plan's rows say when somebody is told first and how often. So any process that can read the journal knows the same
notices by the same names, and one that is added to the journal later never moves those that were due before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any, Literal, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.regulatory_clocks import (
    MET,
    STARTED,
    STOPPED,
    ClockState,
    clocks_of,
)

from .comms.plan import Plan, plan_of
from .comms.policy import Row
from .metrics import instant, items, rows, word

SENT, FAILED, NOT_SENT, WITHHELD = "notice.sent", "notice.failed", "notice.not_sent", "notice.withheld"
ACKNOWLEDGED = "incident.acknowledged"
#: More updates than this nobody has been told of: a clock that is wrong, or an altered record.
MOST = 10_000
#: Closed as one of these, nothing has happened that somebody had to know.
_NOTHING = ("refused", "rehearsed")

Kind = Literal["first", "update", "severity", "contained", "restored", "resolved", "reopened", "page", "clock"]


class Notice(NamedTuple):
    """Something that an audience is told at ``due_at``. ``id`` is its name for good; ``gate``: what it waits for, where
    it does; ``line``: the journal line that it follows from."""

    id: str
    audience: str
    kind: Kind
    severity: int
    due_at: datetime
    channels: tuple[str, ...]
    gate: str | None
    wording: str
    line: int


class Delivery(NamedTuple):
    """What became of a notice on one channel. ``retry_at``: when it is tried again; ``lines``: of the journal."""

    state: Literal["sent", "failed", "not_sent"]
    attempts: int
    retry_at: datetime | None
    doubtful: bool
    reason: str
    lines: tuple[int, ...]


class Turn(NamedTuple):
    """Something that changes who is told what."""

    at: datetime
    kind: str
    value: Any
    line: int


def schedule(events: Sequence[Event], now: datetime) -> list[Notice]:
    """Every notice that was due until ``now``, the earliest first; none without a plan, and of a rehearsal none."""
    plan = plan_of(events)
    turns = list(turns_of(events))
    if plan is None or not turns or _is_nothing(events):
        return []
    found = [notice for audience in plan.audiences() for notice in _Walk(plan, audience).through(turns, now)]
    found += [*_pages(plan, turns, now), *_clocks(plan, turns, events, now)]
    return sorted(found, key=lambda notice: (notice.due_at, notice.id))


def next_due(events: Sequence[Event], now: datetime, horizon: timedelta) -> datetime | None:
    """When the next notice is due if nothing happens until then; None: not before ``now + horizon``."""
    later = [notice.due_at for notice in schedule(events, now + horizon) if notice.due_at > now]
    return min(later, default=None)


def deliveries(events: Sequence[Event]) -> dict[tuple[str, str | None], Delivery]:
    """What is on record of each notice and channel; channel None: nobody could be told at all."""
    found: dict[tuple[str, str | None], Delivery] = {}
    for event in events:
        outcome = _OUTCOMES.get(event.kind)
        if outcome is None:
            continue
        data = event.data
        channel = data.get("channel")
        key = (word(data.get("notice")), None if channel is None else word(channel))
        before = found.get(key)
        if before and before.state != "failed":
            continue  # the first word on it is the last
        found[key] = Delivery(
            outcome,
            (before.attempts if before else 0) + (event.kind != NOT_SENT),
            instant(data.get("retry_at")),
            data.get("doubtful") is True,
            word(data.get("error") or data.get("reason") or ""),
            (*(before.lines if before else ()), event.seq),
        )
    return found


def turns_of(events: Sequence[Event]) -> Iterator[Turn]:
    """The turns in an incident's life, in the order of their times. A time that cannot be read is no turn."""
    clear: dict[str, bool] = {}
    stopped: set[tuple[str, str]] = set()
    was: dict[str, bool] = {"contained": False, "restored": False}
    latest: datetime | None = None
    for event in events:
        at = instant(event.at)
        if at is None:
            continue
        latest = max(at, latest) if latest else at  # a clock that was set back moves nothing before what was
        for kind, value in _turns(event, clear, stopped):
            if kind in was:
                if was[kind] == value:
                    continue
                was[kind] = value
            yield Turn(latest, kind, value, event.seq)


def _turns(event: Event, clear: dict[str, bool], stopped: set[tuple[str, str]]) -> Iterator[tuple[str, Any]]:
    """What one event changes; ``clear`` and ``stopped`` are what is known of venues and strategies so far."""
    data = event.data
    if event.kind == "incident.opened":
        yield "opened", data.get("severity")
    elif event.kind == "severity.set":
        yield "severity", data.get("severity")
    elif event.kind in ("incident.closed", "incident.reopened"):
        yield "resolved", event.kind == "incident.closed"
    elif event.kind == ACKNOWLEDGED:
        yield "acknowledged", data.get("by")
    elif (event.kind == "alarm.judged" and data.get("real") is True) or event.kind == "kill.ordered":
        yield "judged", True
    elif event.kind == "kill.verified":
        clear |= {word(venue.get("name")): venue.get("verdict") == "clear" for venue in rows(data, "venues")}
        yield "contained", bool(clear) and all(clear.values())
    elif event.kind in ("strategies.stopped", "strategies.started", "strategy.started"):
        ids = [data.get("id")] if event.kind == "strategy.started" else items(data, "ids")
        touched = {(word(data.get("trading_system")), word(name)) for name in ids}
        if event.kind == "strategies.stopped":
            stopped |= touched
            yield "restored", False
        elif stopped & touched:
            stopped -= touched
            yield "restored", not stopped


class _Walk:
    """One audience through an incident's life. ``told_at``: the last notice, from which the next update counts."""

    def __init__(self, plan: Plan, audience: str) -> None:
        self._plan = plan
        self._audience = audience
        self._row: Row | None = None
        self._last_row: Row | None = None
        self._severity = 4
        self._told_at: datetime | None = None
        self._is = {"contained": False, "restored": False, "resolved": False}
        self._counts: Counter[str] = Counter()
        self._line = plan.line

    def through(self, turns: Sequence[Turn], now: datetime) -> Iterator[Notice]:
        opened = turns[0].at
        tellable = _judged_at(self._plan, turns)
        for turn, following in zip(turns, [*turns[1:], None], strict=True):
            if turn.at > now:
                break
            yield from self._at(turn)
            end = following.at if following else None
            yield from self._between(opened, tellable, turn.at, end, now)

    def _at(self, turn: Turn) -> Iterator[Notice]:
        """What a turn itself is a reason to tell."""
        if turn.kind in ("opened", "severity"):
            before, self._severity = self._severity, _level(turn.value, self._severity)
            self._line = turn.line
            self._row = self._plan.row(self._severity, self._audience)
            self._last_row = self._row or self._last_row
            if turn.kind == "severity" and before != self._severity and self._told_at:
                yield self._notice("severity", turn.at)
        elif turn.kind in self._is:
            self._is[turn.kind] = turn.value
            row = self._row or self._last_row
            wanted = turn.kind == "resolved" or (row is not None and turn.kind in row.at_once)
            if turn.kind == "resolved" and not turn.value and self._told_at:
                yield self._notice("reopened", turn.at, turn.line)
            elif turn.value and wanted and self._told_at:
                yield self._notice(_KINDS[turn.kind], turn.at, turn.line)

    def _between(
        self, opened: datetime, tellable: datetime, start: datetime, end: datetime | None, now: datetime
    ) -> Iterator[Notice]:
        """What the row says from ``start`` until the next turn, or now."""
        row = self._row
        if row is None or self._is["resolved"] or self._is.get(row.until):
            return

        def is_due(at: datetime) -> bool:
            return at <= now and (end is None or at < end)

        if self._told_at is None:
            first = max(opened + self._seconds(row.first_s), tellable, start)
            if not is_due(first):
                return
            yield self._notice("first", first)
        if row.every_s is None:
            return
        for _ in range(MOST):
            due = max((self._told_at or start) + self._seconds(row.every_s), start)
            if not is_due(due):
                return
            yield self._notice("update", due)

    def _notice(self, kind: Kind, at: datetime, line: int | None = None) -> Notice:
        row = self._row or self._last_row
        if row is None:
            raise AssertionError("nobody is told without a row")
        self._told_at = at
        self._counts[kind] += 1
        count = self._counts[kind]
        numbered = kind in ("update", "severity") or count > 1
        name = f"{self._audience}.{kind}.{count}" if numbered else f"{self._audience}.{kind}"
        return Notice(name, self._audience, kind, self._severity, at, row.channels, row.gate, row.wording,
                      line or self._line)  # fmt: skip

    def _seconds(self, seconds: float) -> timedelta:
        return timedelta(seconds=seconds / self._plan.time_scale)


_KINDS: Mapping[str, Kind] = {"contained": "contained", "restored": "restored", "resolved": "resolved"}
_OUTCOMES: Mapping[str, Literal["sent", "failed", "not_sent"]] = {SENT: "sent", FAILED: "failed", NOT_SENT: "not_sent"}


def _pages(plan: Plan, turns: Sequence[Turn], now: datetime) -> Iterator[Notice]:
    """Up the ladder, a response time apart, while nobody has said that they have it; who was paged hears the end."""
    ladder = plan.ladder
    reached, severity, last, line, answered = 0, 4, _judged_at(plan, turns), plan.line, False

    def page(kind: Kind, person: str, at: datetime, why: int) -> Notice:
        name = f"{ladder.audience}.{kind}.{person}"
        row = plan.row(severity, ladder.audience)
        # Of what is spoken of with care the ladder gives nothing away either.
        wording = row.wording if row and plan.room.private else "page"
        return Notice(name, ladder.audience, kind, severity, at, (person,), None, wording, why)

    for turn, following in zip(turns, [*turns[1:], None], strict=True):
        if turn.at > now:
            return
        if turn.kind in ("opened", "severity"):
            severity, line = _level(turn.value, severity), turn.line
        if turn.kind == "resolved" and turn.value:
            row = plan.row(severity, ladder.audience)
            told = row.channels if row else ()
            yield from (page("resolved", name, turn.at, turn.line) for name in ladder.people[:reached]
                        if name not in told)  # fmt: skip
            return
        answered = answered or turn.kind == "acknowledged"
        within = None if answered else ladder.within_s.get(severity)
        while within is not None and reached < len(ladder.people):
            due = max(last + timedelta(seconds=within / plan.time_scale), turn.at)
            if due > now or (following and due >= following.at):
                break
            reached, last = reached + 1, due
            yield page("page", ladder.people[reached - 1], due, line)


#: The owner of a clock that runs out hears of it when this part of its time is left, and again when none is.
CLOCK_WARNING = 0.25
#: Told besides the owner, where the plan has them.
CLOCK_AUDIENCES = ("legal", "security")


def _clocks(plan: Plan, turns: Sequence[Turn], events: Sequence[Event], now: datetime) -> Iterator[Notice]:
    """Before a regulatory clock runs out, and when it has. Its time is the regulator's, which no drill shortens."""
    told: Counter[str] = Counter()
    said = [number for number, event in enumerate(events, 1) if event.kind in (STARTED, MET, STOPPED)]
    for number, following in zip_longest(said, said[1:]):
        start, end = instant(events[number - 1].at), instant(events[following - 1].at) if following else None
        for clock in clocks_of(events[:number]):
            if start is None or clock.due_at is None or not clock.runs:
                continue
            warned = clock.due_at - (clock.due_at - clock.started_at) * CLOCK_WARNING
            if clock.line == events[number - 1].seq:  # the time for a warning may have passed already
                warned = max(warned, start)
            for at in dict.fromkeys((warned, clock.due_at)):
                # Between two lines about clocks, what the earlier one says holds.
                if start <= at <= now and (end is None or at < end):
                    told[clock.name] += 1
                    yield from _of_clock(plan, turns, clock, at, told[clock.name])


def _of_clock(plan: Plan, turns: Sequence[Turn], clock: ClockState, at: datetime, count: int) -> Iterator[Notice]:
    severity = 4
    for turn in turns:
        if turn.at <= at and turn.kind in ("opened", "severity"):
            severity = _level(turn.value, severity)
    for audience in dict.fromkeys((clock.owner, *CLOCK_AUDIENCES)):
        row = plan.row(severity, audience)
        if row:
            name = f"{audience}.clock.{clock.name}.{count}"
            yield Notice(name, audience, "clock", severity, at, row.channels, None, row.wording, clock.line)


def _judged_at(plan: Plan, turns: Sequence[Turn]) -> datetime:
    """From when on somebody is told: it is judged real, or nobody has judged it for a while."""
    unjudged = turns[0].at + timedelta(seconds=plan.unjudged_for_s / plan.time_scale)
    judged = next((turn.at for turn in turns if turn.kind == "judged"), unjudged)
    return min(judged, unjudged)


def _is_nothing(events: Sequence[Event]) -> bool:
    opened = next((event for event in events if event.kind == "incident.opened"), None)
    ends = [event.data.get("resolution") for event in events if event.kind == "incident.closed"]
    return opened is None or opened.data.get("check") is True or (bool(ends) and ends[-1] in _NOTHING)


def _level(value: Any, before: int) -> int:
    return value if isinstance(value, int) and value in (1, 2, 3, 4) else before
