# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The picture of an incident's time: its phases as bars, its key moments as marks. Geometry only; a template draws it.

The scale is linear, so that a wait looks as long as it was. Marks that would cover each other go one below the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.incident import PHASES

from .metrics import instant, word
from .record import plain
from .report_sections import KEY_KINDS

WIDTH, MARGIN = 1000.0, 12.0
BARS_TOP, BAR = 26.0, 22.0
LANES_TOP, LANE = 66.0, 17.0
#: More marks below one another than this would be a wall; the rest share the last lane.
MAX_LANES = 14


class Bar(NamedTuple):
    """One stretch in one phase; ``phase`` is one of PHASES or ``other``."""

    x: float
    width: float
    phase: str
    label: str
    title: str
    line: int


class Mark(NamedTuple):
    x: float
    y: float
    text_x: float
    anchor: str
    tone: str
    title: str
    line: int


class Picture(NamedTuple):
    """``first`` and ``last``: the journal lines that its two ends are."""

    height: float
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]
    first: Event
    last: Event


class _Scale(NamedTuple):
    start: datetime
    length: float

    def x(self, moment: datetime) -> float:
        share = (moment - self.start).total_seconds() / self.length
        return round(MARGIN + share * (WIDTH - 2 * MARGIN), 1)


def picture(events: Sequence[Event]) -> Picture | None:
    """None where fewer than two moments can be told apart."""
    timed = [(moment, event) for event in events if (moment := instant(event.at)) is not None]
    if not timed:
        return None
    first, last = min(timed, key=lambda one: one[0]), max(timed, key=lambda one: one[0])
    length = (last[0] - first[0]).total_seconds()
    if length <= 0:
        return None
    scale = _Scale(first[0], length)
    marks = _marks(timed, scale)
    bottom = max((mark.y for mark in marks), default=LANES_TOP)
    return Picture(bottom + LANE, _bars(timed, scale), marks, first[1], last[1])


def _bars(timed: Sequence[tuple[datetime, Event]], scale: _Scale) -> tuple[Bar, ...]:
    """Plays of one phase in a row are one bar; where a run ended nothing was at work."""
    bars: list[Bar] = []
    current: tuple[datetime, Event] | None = None
    ends = ("run.finished", "run.interrupted", "run.lost")
    marks = [one for one in timed if one[1].kind == "phase.entered" or one[1].kind in ends]
    for moment, event in [*marks, timed[-1]]:
        same = current and event.kind == "phase.entered" and event.data.get("phase") == current[1].data.get("phase")
        if current and not same:
            bars.append(_bar(current, moment, scale))
            current = None
        if event.kind == "phase.entered" and current is None:
            current = (moment, event)
    return tuple(bars)


def _bar(entered: tuple[datetime, Event], until: datetime, scale: _Scale) -> Bar:
    phase = word(entered[1].data.get("phase"))
    x, end = scale.x(entered[0]), scale.x(until)
    width = max(round(end - x, 1), 1.5)
    label = plain(phase) if width > 8.0 * len(phase) else ""
    title = f"{plain(phase)}, from {plain(entered[1].at)} until {until:%H:%M:%S}"
    return Bar(x, width, phase if phase in PHASES else "other", label, title, entered[1].seq)


def _marks(timed: Sequence[tuple[datetime, Event]], scale: _Scale) -> tuple[Mark, ...]:
    marks = []
    ends = [-WIDTH] * MAX_LANES
    for moment, event in sorted((one for one in timed if one[1].kind in KEY_KINDS), key=lambda one: one[0]):
        x = scale.x(moment)
        kind = event.kind.replace("_", " ").replace(".", " ")
        size = 6.2 * len(f"{kind} #{event.seq}") + 12
        left = x + size > WIDTH - MARGIN  # its text would not fit to the right
        begin, end = (x - size, x + 6) if left else (x, x + size)
        lane = next((place for place, taken in enumerate(ends) if taken <= begin), MAX_LANES - 1)
        ends[lane] = end
        marks.append(
            Mark(x, LANES_TOP + lane * LANE, x - 6 if left else x + 6, "end" if left else "start", _tone(event),
                 plain(kind), event.seq)
        )  # fmt: skip
    return tuple(marks)


def _tone(event: Event) -> str:
    data = event.data
    if event.kind == "run.finished":
        return {"done": "good", "held": "hold"}.get(word(data.get("outcome")), "bad")
    return {
        "kill.ordered": "bad", "crash.classified": "bad", "latch.not_opened": "bad", "inverse.failed": "bad",
        "run.lost": "bad", "journal.alteration_found": "bad", "gate.held": "hold", "gate.passed": "good",
        "incident.closed": "good", "strategies.started": "good", "kill.verified": "good",
    }.get(event.kind, "")  # fmt: skip
