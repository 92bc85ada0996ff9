# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What the report's sections are made of: tables whose rows name their journal lines, and how values are shown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.chain import Event

from .metrics import instant
from .sentences import plain

NOT_KNOWN = "not on record"
#: Longer texts are cut in the tables; the appendix has the whole line.
CELL_LIMIT = 600


class Row(NamedTuple):
    """``lines``: the journal lines that prove it; ``tone``: good, bad, or nothing."""

    cells: tuple[str, ...]
    lines: tuple[int, ...]
    tone: str = ""


class Table(NamedTuple):
    """``missing`` is said where there are no rows, ``note`` where there are."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    missing: str
    note: str = ""


class Section(NamedTuple):
    title: str
    tables: tuple[Table, ...]


def shown(value: object) -> str:
    """A value of the journal, as it stands there, on one line."""
    if value is None or value == "":
        return NOT_KNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = plain(text)
    return text if len(text) <= CELL_LIMIT else f"{text[:CELL_LIMIT]} … (cut; the line has all of it)"


def seconds(value: float | None) -> str:
    """A span for people: ``0.117 s``, ``5 min 07 s``, ``2 h 05 min``."""
    if value is None:
        return NOT_KNOWN
    if value < 60:
        return f"{value:.3f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def since(began: Event, ended: Event) -> str:
    """The span between two lines; not on record where there is none."""
    start, end = instant(began.at), instant(ended.at)
    return seconds((end - start).total_seconds() if start and end and end >= start else None)


def clock(at: object, day: str) -> str:
    """The time of day of a moment, ``10:12:03``; with its date where that is not ``day`` (``2026-11-23``)."""
    moment = instant(at)
    if moment is None:
        return shown(at)
    return f"{moment:%H:%M:%S}" if f"{moment:%Y-%m-%d}" == day else f"{moment:%Y-%m-%d %H:%M:%S}"


def day_of(events: Sequence[Event]) -> str:
    """The day that the record begins on."""
    first = next((moment for event in events if (moment := instant(event.at))), None)
    return f"{first:%Y-%m-%d}" if first else ""


def of(events: Iterable[Event], *kinds: str) -> list[Event]:
    return [event for event in events if event.kind in kinds]
