# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""By when somebody has to be notified: pure rules over moments, and the clocks of an incident read from its record.

Source: seed-faults A13; Delegated Regulation (EU) 2025/301, Art. 5: an initial notification within 4 hours of the
classification as major and within 24 hours of awareness; where it is classified only after those 24 hours, within 4
hours of that. Legal decides what applies; here time is kept, and nothing is notified.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from .chain import Event
from .errors import UsageError
from .timestamps import moment

STARTED, MET, STOPPED = "clock.started", "clock.met", "clock.stopped"
AWARENESS, CLASSIFICATION = MOMENTS = ("awareness", "classification")
FIELDS = ("name", "starts_at", "due_s", "not_later_than", "owner", "question", "source")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")


class Limit(NamedTuple):
    """The latest, whatever else is said: so many seconds after another moment."""

    start: str
    due_s: float


class Clock(NamedTuple):
    """``starts_at``: a moment, or the name of another clock, which is when that one was met. ``not_later_than`` counts
    where the clock's own moment comes before it; after it, only the clock's own time counts."""

    name: str
    starts_at: str
    due_s: float
    not_later_than: Limit | None
    owner: str
    question: str
    source: str


class ClockState(NamedTuple):
    """One clock as the record has it. ``due_at`` is None where it waits for another one; ``line``: of its start."""

    name: str
    owner: str
    starts_at: str
    due_s: float
    due_at: datetime | None
    started_at: datetime
    met_at: datetime | None
    by: str
    reference: str
    stopped: bool
    question: str
    line: int

    @property
    def runs(self) -> bool:
        return self.met_at is None and not self.stopped

    def overdue(self, now: datetime) -> bool:
        """It ran out and nobody has said that it was met, or it was met too late."""
        return self.due_at is not None and not self.stopped and (self.met_at or now) > self.due_at


def parse(given: Iterable[Any]) -> tuple[Clock, ...]:
    """``hft_regulatory_clocks``; raises UsageError naming the clock and the field."""
    clocks = [_clock(number, item) for number, item in enumerate(given, 1)]
    names = [clock.name for clock in clocks]
    for number, clock in enumerate(clocks):
        if clock.name in names[:number]:
            raise UsageError(f"clocks: {clock.name} is there twice")
        if clock.starts_at not in (*MOMENTS, *names[:number]):
            known = ", ".join((*MOMENTS, *names[:number]))
            raise UsageError(f"clocks: {clock.name}: starts_at must be one of {known}, not {clock.starts_at!r}")
    return tuple(clocks)


def due_at(clock: Clock, moments: Mapping[str, datetime]) -> datetime | None:
    """By when, from the moments that are known; None where the clock does not run yet."""
    start, limit = moments.get(clock.starts_at), clock.not_later_than
    latest = moments[limit.start] + timedelta(seconds=limit.due_s) if limit and limit.start in moments else None
    if start is None:
        return latest
    own = start + timedelta(seconds=clock.due_s)
    return own if latest is None or start > latest else min(own, latest)


def clocks_of(events: Iterable[Event]) -> list[ClockState]:
    """Every clock that was started, the first one first, as it stands after the last of ``events``."""
    found: dict[str, ClockState] = {}
    for event in events:
        name = str(event.data.get("clock"))
        at = _moment(event.at)
        if at is None:
            continue
        if event.kind == STARTED:
            before = found.get(name)
            if before is None or before.runs:
                found[name] = _started(event, name, at, before)
        elif event.kind in (MET, STOPPED) and name in found and found[name].runs:
            by, reference = (str(event.data.get(field) or "") for field in ("by", "reference"))
            met_at = at if event.kind == MET else None
            found[name] = found[name]._replace(met_at=met_at, stopped=met_at is None, by=by, reference=reference)
            found |= {
                next_.name: next_._replace(due_at=at + timedelta(seconds=next_.due_s))
                for next_ in found.values()
                if met_at and next_.starts_at == name
            }
    return list(found.values())


def _started(event: Event, name: str, at: datetime, before: ClockState | None) -> ClockState:
    data = event.data
    return ClockState(
        name=name,
        owner=str(data.get("owner") or ""),
        starts_at=str(data.get("from") or ""),
        due_s=_number(data.get("due_s")),
        due_at=_moment(data.get("due_at")),
        started_at=before.started_at if before else at,
        met_at=None,
        by="",
        reference="",
        stopped=False,
        question=str(data.get("question") or ""),
        line=event.seq,
    )


def _clock(number: int, given: Any) -> Clock:
    if not isinstance(given, Mapping):
        raise UsageError(f"clocks: number {number} is no mapping with {', '.join(FIELDS)}")
    name = given.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(f"clocks: number {number}: name must be of small letters, digits and _")
    unknown = sorted(str(field) for field in set(given) - set(FIELDS))
    if unknown:
        raise UsageError(f"clocks: {name}: unknown field {unknown[0]!r}; there are {', '.join(FIELDS)}")
    limit = given.get("not_later_than")
    if limit is not None and not (isinstance(limit, Mapping) and set(limit) == {"from", "due_s"}):
        raise UsageError(f"clocks: {name}: not_later_than has from and due_s")
    if limit is not None and limit["from"] not in MOMENTS:
        raise UsageError(f"clocks: {name}: not_later_than: from must be one of {', '.join(MOMENTS)}")
    owner = given.get("owner")
    if not isinstance(owner, str) or not owner.strip():
        raise UsageError(f"clocks: {name}: owner: say who has to do it")
    return Clock(
        name,
        str(given.get("starts_at") or AWARENESS),
        _seconds(f"{name}: due_s", given.get("due_s")),
        Limit(limit["from"], _seconds(f"{name}: not_later_than: due_s", limit["due_s"])) if limit else None,
        owner.strip(),
        str(given.get("question") or ""),
        str(given.get("source") or ""),
    )


def _seconds(where: str, given: Any) -> float:
    seconds = _number(given)
    if not seconds:
        raise UsageError(f"clocks: {where} must be a number of seconds, more than 0")
    return seconds


def _number(given: Any) -> float:
    """0 for what is no number of seconds that a clock could have."""
    known = isinstance(given, (int, float)) and not isinstance(given, bool) and 0 < given < 1e9
    return float(given) if known else 0.0


def _moment(text: Any) -> datetime | None:
    """None for what no record of ours would hold."""
    try:
        found = moment(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None
