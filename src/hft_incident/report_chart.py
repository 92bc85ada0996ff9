# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Curves of P&L and net exposure over time, each in a panel of its own. Geometry only; a template draws it.

A panel has its own scale, which always has zero in it: assets count in different units. With one curve to a panel
nothing hangs on telling colors apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.chain import Event

from .metrics import instant
from .report_impact import Reading, Series
from .report_scale import Scale, scale_of, short, timed
from .sentences import plain

TOP, PANEL, GAP = 26.0, 64.0, 22.0
#: More curves than this would be no picture any more; the tables have them all.
MAX_PANELS = 6
_LABEL_LIMIT = 18


class Point(NamedTuple):
    """One measurement; ``whole``: nothing is missing from it."""

    x: float
    y: float
    whole: bool
    title: str
    line: int


class Label(NamedTuple):
    """The greatest or smallest value, as the journal has it."""

    y: float
    text: str


class Panel(NamedTuple):
    """``paths``: the curve as SVG points, in pieces where something in between was not known."""

    top: float
    bottom: float
    name: str
    unit: str
    zero: float
    paths: tuple[str, ...]
    points: tuple[Point, ...]
    labels: tuple[Label, ...]


class Chart(NamedTuple):
    """``first`` and ``last``: the journal lines that its two ends are; ``left_out``: curves that are not drawn."""

    height: float
    panels: tuple[Panel, ...]
    left_out: int
    first: Event
    last: Event


def chart(events: Sequence[Event], series: Sequence[Series]) -> Chart | None:
    """None where no value is known at two moments."""
    scale = scale_of(timed(events))
    curves = [one for one in series if len({r.event.at for r in one.readings if r.value is not None}) > 1]
    if scale is None or not curves:
        return None
    panels = tuple(_panel(one, scale, TOP + n * (PANEL + GAP)) for n, one in enumerate(curves[:MAX_PANELS]))
    return Chart(panels[-1].bottom + GAP / 2, panels, len(curves) - len(panels), scale.first, scale.last)


def _panel(series: Series, scale: Scale, top: float) -> Panel:
    known = [(reading, reading.value) for reading in series.readings if reading.value is not None]
    highest, lowest = max(known, key=lambda one: one[1]), min(known, key=lambda one: one[1])
    high, low = max(highest[1], 0.0), min(lowest[1], 0.0)
    span = (high - low) or 1.0

    def y(value: float) -> float:
        return round(top + (high - value) / span * PANEL, 1)

    pieces = _pieces(series, scale, y)
    extremes = {reading.text: y(value) for reading, value in (highest, lowest)}
    return Panel(
        top,
        top + PANEL,
        short(series.name),
        series.unit,
        y(0.0),
        tuple(" ".join(f"{point.x},{point.y}" for point in piece) for piece in pieces if len(piece) > 1),
        tuple(point for piece in pieces for point in piece),
        tuple(_apart(Label(at, _cut(text)) for text, at in extremes.items())),
    )


def _pieces(series: Series, scale: Scale, y: Callable[[float], float]) -> list[list[Point]]:
    """The points of a curve, a new list wherever a value in between is not known."""
    pieces: list[list[Point]] = [[]]
    for reading in series.readings:
        moment = instant(reading.event.at)
        if reading.value is None or moment is None:
            pieces.append([])
            continue
        x, title = scale.x(moment), _title(series, reading)
        pieces[-1].append(Point(x, y(reading.value), not reading.partial, title, reading.event.seq))
    return pieces


def _apart(labels: Iterable[Label]) -> list[Label]:
    """Two labels that would cover each other become one."""
    first, *rest = labels
    return [first, *(label for label in rest if abs(label.y - first.y) > 10)]


def _title(series: Series, reading: Reading) -> str:
    partial = ", partial" if reading.partial else ""
    return plain(f"{series.name[:80]} {series.unit} {_cut(reading.text)}{partial}, {reading.event.at}")


def _cut(text: str) -> str:
    return text if len(text) <= _LABEL_LIMIT else f"{text[: _LABEL_LIMIT - 1]}…"
