# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Contestants run in turn (A B C A B C …), so that whatever else the machine does hits them all alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import NamedTuple


class Contestant(NamedTuple):
    """``run`` prepares, runs once and returns what it took in ms; ``floor`` names whom it is compared with."""

    name: str
    run: Callable[[], float]
    floor: str = ""
    note: str = ""


class Row(NamedTuple):
    """Times in ms; ``ratio``: the median of the ratios to the floor, round by round (None: it has no floor)."""

    name: str
    times: Sequence[float]
    ratio: float | None
    note: str

    @property
    def median(self) -> float:
        return median(self.times)


def contest(contestants: Sequence[Contestant], runs: int, warm_ups: int = 1) -> dict[str, Row]:
    """``runs`` rounds after the warm-up. What a contestant raises ends it all: a failed run has no time."""
    times: dict[str, list[float]] = {one.name: [] for one in contestants}
    for number in range(warm_ups + runs):
        for one in contestants:
            took = one.run()
            if number >= warm_ups:
                times[one.name].append(took)
    return {one.name: Row(one.name, times[one.name], _ratio(one, times), one.note) for one in contestants}


def pairwise(times: Sequence[float], floor: Sequence[float]) -> float:
    """The median of the ratios round by round: a slow moment of the machine is in both of a pair."""
    return median(mine / its for mine, its in zip(times, floor, strict=True))


def table(title: str, rows: Sequence[Row]) -> list[str]:
    """Lines for people; notes below."""
    width = max(len(row.name) for row in rows)
    head = f"  {'':<{width}}  {'min':>8} {'median':>8} {'max':>8}  ratio"
    lines = [title, head]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:5.2f}"
        times = f"{min(row.times):8.1f} {row.median:8.1f} {max(row.times):8.1f}"
        lines.append(f"  {row.name:<{width}}  {times}  {ratio}".rstrip())
    return lines + [f"    {row.name}: {row.note}" for row in rows if row.note]


def _ratio(one: Contestant, times: Mapping[str, Sequence[float]]) -> float | None:
    return pairwise(times[one.name], times[one.floor]) if one.floor in times else None
