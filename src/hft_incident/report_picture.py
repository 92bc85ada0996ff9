# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The picture of an incident's time: severity, phases, notices, and below them the key moments.

Geometry only; a template draws it. Marks that would cover each other go one below the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.incident import PHASES

from .metrics import word
from .report_lanes import LANE, Lane, Sign, Step, lanes, signs, steps
from .report_notices import told
from .report_scale import MARGIN, WIDTH, Scale, Timed, scale_of, timed
from .report_sections import KEY_KINDS
from .sentences import plain

#: From top to bottom: the two ends in words, the band of the severity, the bars of the phases, and what follows them.
BAND_TOP, BARS_TOP, BAR, LANES_TOP = 22.0, 48.0, 24.0, 80.0
MARK = 17.0
#: More marks below one another than this would be a wall; the rest share the last row.
MAX_ROWS = 14


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
    steps: tuple[Step, ...]
    bars: tuple[Bar, ...]
    lanes: tuple[Lane, ...]
    signs: tuple[Sign, ...]
    marks: tuple[Mark, ...]
    marks_top: float
    first: Event
    last: Event


def picture(events: Sequence[Event]) -> Picture | None:
    """None where fewer than two moments can be told apart."""
    found = timed(events)
    scale = scale_of(found)
    if scale is None:
        return None
    notices = told(events)
    placed = lanes(notices, LANES_TOP)
    drawn = tuple(dict.fromkeys(placed.values()))
    marks_top = max((lane.y + LANE for lane in drawn), default=LANES_TOP - MARK / 2) + MARK
    marks = _marks(found, scale, marks_top)
    bottom = max((mark.y for mark in marks), default=marks_top)
    return Picture(
        bottom + MARK,
        steps(found, scale, BAND_TOP),
        _bars(found, scale),
        drawn,
        signs(notices, scale, placed),
        marks,
        marks_top,
        scale.first,
        scale.last,
    )


def _bars(found: Sequence[Timed], scale: Scale) -> tuple[Bar, ...]:
    """Plays of one phase in a row are one bar; where a run ended nothing was at work."""
    bars: list[Bar] = []
    current: Timed | None = None
    ends = ("run.finished", "run.interrupted", "run.lost")
    marks = [one for one in found if one[1].kind == "phase.entered" or one[1].kind in ends]
    for moment, event in [*marks, found[-1]]:
        same = current and event.kind == "phase.entered" and event.data.get("phase") == current[1].data.get("phase")
        if current and not same:
            bars.append(_bar(current, moment, scale))
            current = None
        if event.kind == "phase.entered" and current is None:
            current = (moment, event)
    return tuple(bars)


def _bar(entered: Timed, until: datetime, scale: Scale) -> Bar:
    phase = word(entered[1].data.get("phase"))
    x, end = scale.x(entered[0]), scale.x(until)
    width = max(round(end - x, 1), 1.5)
    label = plain(phase) if width > 8.0 * len(phase) else ""
    title = f"{plain(phase)}, from {plain(entered[1].at)} until {until:%H:%M:%S}"
    return Bar(x, width, phase if phase in PHASES else "other", label, title, entered[1].seq)


def _marks(found: Sequence[Timed], scale: Scale, top: float) -> tuple[Mark, ...]:
    marks = []
    ends = [-WIDTH] * MAX_ROWS
    for moment, event in (one for one in found if one[1].kind in KEY_KINDS):
        x = scale.x(moment)
        kind = event.kind.replace("_", " ").replace(".", " ")
        size = 6.2 * len(f"{kind} #{event.seq}") + 12
        left = x + size > WIDTH - MARGIN  # its text would not fit to the right
        begin, end = (x - size, x + 6) if left else (x, x + size)
        row = next((place for place, taken in enumerate(ends) if taken <= begin), MAX_ROWS - 1)
        ends[row] = end
        marks.append(
            Mark(x, top + row * MARK, x - 6 if left else x + 6, "end" if left else "start", _tone(event),
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
