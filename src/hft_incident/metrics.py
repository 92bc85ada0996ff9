# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""When an incident began, was contained and was over, and how long that took: pure rules over its journal.

Source: seed-faults E16. What the journal does not say is None with the reason, never a guess. Drills, rehearsals and
false alarms are kept apart: they say nothing about how fast a real incident was handled, or the other way round.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.redaction import iso_utc

NATURES = ("real", "drill", "rehearsal", "false alarm")
#: The last parts of the inventory of a lab: the generated one of a running lab, and the one in the sources.
_LAB_INVENTORIES = (("lab", "inventory"), ("inventory", "lab"))
_AFTER_MITIGATION = ("recover", "validate", "review")
#: More milliseconds than this (30 years) no kill takes: such a figure is not one of ours.
_SANE_MS = 1e12


class Moment(NamedTuple):
    """``at`` (UTC) and the journal line that proves it; None with the reason in ``why``, which else says what it is."""

    at: str | None
    line: int | None
    why: str


class Span(NamedTuple):
    """The seconds between two moments and the lines that prove both; None with the reason in ``why``."""

    seconds: float | None
    lines: tuple[int, ...]
    why: str


class Metrics(NamedTuple):
    """One incident. ``nature``: one of NATURES. Moments and spans by name, in the order of an incident's life."""

    nature: str
    moments: Mapping[str, Moment]
    spans: Mapping[str, Span]

    def to_json(self) -> dict[str, Any]:
        """``{"nature", "moments": {name: {"at", "line", "why"}}, "spans": {name: {"seconds", "lines", "why"}}}``."""
        return {
            "nature": self.nature,
            "moments": {name: moment._asdict() for name, moment in self.moments.items()},
            "spans": {name: span._asdict() for name, span in self.spans.items()},
        }


class Total(NamedTuple):
    """A span over many incidents of one nature: it is ``known`` of so many ``of`` them. p90 is one that was
    measured (nearest rank); both None where there is none."""

    nature: str
    span: str
    known: int
    of: int
    median_s: float | None
    p90_s: float | None


#: What each span is measured from and to.
SPANS: Mapping[str, tuple[str, str]] = {
    "detect": ("started", "detected"),
    "acknowledge": ("detected", "acknowledged"),
    "contain": ("detected", "contained"),
    "mitigate": ("detected", "mitigated"),
    "restore": ("detected", "restored"),
    "resolve": ("detected", "resolved"),
    "restricted": ("trading stopped", "restored"),
}


def label(span: str) -> str:
    """A span's name for people."""
    return "trading restricted" if span == "restricted" else f"time to {span}"


def measure(events: Sequence[Event]) -> Metrics:
    """Everything that is derived of one incident's journal, whatever stands in it. Never raises."""
    detected = _detected(events)
    moments = {
        "started": _started(events, detected),
        "detected": detected,
        "acknowledged": _first(events, "incident.acknowledged", "a person said that they have it",
                               "nothing on record says that a person acknowledged it"),
        "trading stopped": _trading_stopped(events, detected),
        "contained": _contained(events),
        "mitigated": _mitigated(events),
        "restored": _restored(events),
        "resolved": _resolved(events),
    }  # fmt: skip
    spans = {name: _span(moments, *ends) for name, ends in SPANS.items()}
    return Metrics(nature(events), moments, spans)


def nature(events: Iterable[Event]) -> str:
    """What kind of incident this was: one of NATURES."""
    found = "real"
    for event in events:
        if event.kind == "incident.opened":
            if event.data.get("check") is True:
                return "rehearsal"
            if any(is_lab(source) for source in items(event.data, "inventory")):
                found = "drill"
        if event.kind == "incident.closed" and event.data.get("resolution") in ("rehearsed", "not_confirmed"):
            if event.data["resolution"] == "rehearsed":
                return "rehearsal"
            found = "drill" if found == "drill" else "false alarm"
    return found


def is_lab(inventory: object) -> bool:
    """Whether an inventory, as the journal has it, is that of a lab: what was done there was an exercise."""
    parts = tuple(part for part in str(inventory).split("/") if part)
    return parts[-2:] in _LAB_INVENTORIES


def totals(measured: Iterable[Metrics]) -> list[Total]:
    """Median and 90th percentile of every span by nature; natures of which there is none are left out."""
    by_nature: dict[str, list[Metrics]] = {}
    for metrics in measured:
        by_nature.setdefault(metrics.nature, []).append(metrics)
    return [_total(kind, span, by_nature[kind]) for kind in NATURES if kind in by_nature for span in SPANS]


def instant(text: object) -> datetime | None:
    """A time of the journal; None for what is none: an altered line may hold anything."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
        return found.astimezone(UTC) if found and found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def later(start: object, milliseconds: object) -> str | None:
    """The time so many milliseconds after ``start``; None where either is not one."""
    began, took = instant(start), number(milliseconds)
    if began is None or took is None or not 0 <= took < _SANE_MS:
        return None
    try:
        return iso_utc(began + timedelta(milliseconds=took))
    except OverflowError:
        return None


def number(value: object) -> float | None:
    """A figure of the journal; None for anything else, yes and no included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def items(data: Mapping[str, Any], field: str) -> list[Any]:
    """The list in ``field``; empty where there is none."""
    found = data.get(field)
    return list(found) if isinstance(found, list | tuple) else []


def rows(data: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    """The objects of the list in ``field``; empty where there is none."""
    return [item for item in items(data, field) if isinstance(item, Mapping)]


def word(value: object) -> str:
    """A name of the journal, whatever it is, as text that tells it from others."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _missing(why: str) -> Moment:
    return Moment(None, None, why)


def _first(events: Sequence[Event], kind: str, is_what: str, missing: str) -> Moment:
    event = next((event for event in events if event.kind == kind), None)
    return Moment(event.at, event.seq, is_what) if event else _missing(missing)


def _detected(events: Sequence[Event]) -> Moment:
    return _first(events, "incident.opened", "the incident was opened", "the line that opened it is not on record")


def _started(events: Sequence[Event], detected: Moment) -> Moment:
    """The end of the process that crashed first, if that was before anybody knew: a later one is another matter."""
    known = instant(detected.at)
    ended = [
        (moment, event.seq)
        for event in events
        if event.kind == "crash.classified" and (moment := instant(event.data.get("ended_at"))) is not None
    ]
    before = [end for end in ended if known is None or end[0] <= known]
    if before:
        moment, line = min(before)
        return Moment(iso_utc(moment), line, "the process ended, as the host's service manager says")
    if ended:
        return _missing("the crash on record came after the incident was opened")
    return _missing("nothing on record says when the fault began")


def _trading_stopped(events: Sequence[Event], detected: Moment) -> Moment:
    if is_rehearsal(events):
        return _missing("a rehearsal: nothing was stopped")
    started = _started(events, detected)
    if started.at is not None:
        return started
    for event in events:
        if event.kind == "strategies.stopped" and items(event.data, "ids"):
            return Moment(event.at, event.seq, "the first strategies were stopped")
        if event.kind == "kill.ordered" and items(event.data, "trading_systems"):
            return Moment(event.at, event.seq, "the trading systems were told to stop")
    return _missing("nothing on record stopped trading")


def is_rehearsal(events: Iterable[Event]) -> bool:
    return any(event.kind == "incident.opened" and event.data.get("check") is True for event in events)


def _contained(events: Sequence[Event]) -> Moment:
    """The first of the empty answers that every venue then confirmed, at the last venue. A venue that was found open or
    silent later on counts from when it was clear again."""
    if is_rehearsal(events):
        return _missing("a rehearsal: nothing was cancelled")
    clear: dict[str, tuple[datetime, int] | None] = {}
    for event in events:
        if event.kind == "kill.ordered":
            clear = {**{word(name): None for name in items(event.data, "venues")}, **clear}
        if event.kind == "kill.verified":
            for venue in rows(event.data, "venues"):
                name = word(venue.get("name"))
                clear[name] = _cleared(venue, event, clear.get(name))
    if not clear:
        return _missing("no kill is on record")
    doubtful = sorted(name for name, since in clear.items() if since is None)
    if doubtful:
        return _missing(f"not proven clear: {', '.join(doubtful)}")
    at, line = max(since for since in clear.values() if since is not None)
    return Moment(iso_utc(at), line, "the last venue gave the first of its confirmed empty answers")


def _cleared(
    venue: Mapping[str, Any], event: Event, before: tuple[datetime, int] | None
) -> tuple[datetime, int] | None:
    if venue.get("verdict") != "clear":
        return None
    at = instant(later(event.data.get("started_at"), venue.get("first_clear_ms")))
    if at is None:
        return before
    return min(before, (at, event.seq)) if before else (at, event.seq)


def _mitigated(events: Sequence[Event]) -> Moment:
    if is_rehearsal(events):
        return _missing("a rehearsal: nothing was mended")
    entered = [event for event in events if event.kind == "phase.entered"]
    mending = next((place for place, event in enumerate(entered) if event.data.get("phase") == "mitigate"), None)
    if mending is None:
        return _missing("the phase mitigate was not entered")
    for event in entered[mending:]:
        if event.data.get("phase") in _AFTER_MITIGATION:
            return Moment(event.at, event.seq, "every step of the phase mitigate was done")
    return _missing("the phase mitigate was not completed")


def _restored(events: Sequence[Event]) -> Moment:
    if is_rehearsal(events):
        return _missing("a rehearsal: nothing was stopped")
    stopped: set[tuple[str, str]] = set()
    last: Event | None = None
    for event in events:
        system = word(event.data.get("trading_system"))
        ids = {(system, word(name)) for name in items(event.data, "ids")}
        if event.kind == "strategies.stopped" and ids:
            stopped, last = stopped | ids, None
        started = {(system, word(event.data.get("id")))} if event.kind == "strategy.started" else ids
        if event.kind in ("strategies.started", "strategy.started") and started & stopped:
            stopped, last = stopped - started, event
    if last is not None and not stopped:
        return Moment(last.at, last.seq, "the last strategy that was stopped trades again")
    if stopped:
        return _missing(f"still stopped: {', '.join(sorted(name for _, name in stopped))}")
    return _missing("no strategy was stopped on record")


def _resolved(events: Sequence[Event]) -> Moment:
    ends = [event for event in events if event.kind in ("incident.closed", "incident.reopened")]
    if not ends:
        return _missing("it is still open")
    if ends[-1].kind == "incident.reopened":
        return _missing("it was reopened and is still open")
    if is_rehearsal(events):
        return _missing("a rehearsal: nothing was resolved")
    return Moment(ends[-1].at, ends[-1].seq, "the incident was closed")


def _span(moments: Mapping[str, Moment], start: str, end: str) -> Span:
    lines = tuple(line for line in (moments[start].line, moments[end].line) if line is not None)
    for name in (start, end):
        if moments[name].at is None:
            return Span(None, lines, moments[name].why)
    began, ended = instant(moments[start].at), instant(moments[end].at)
    if began is None or ended is None:
        return Span(None, lines, "a time on record cannot be read")
    if ended < began:
        return Span(None, lines, f"{end} lies before {start}")
    return Span((ended - began).total_seconds(), lines, f"from {start} to {end}")


def _total(kind: str, span: str, measured: Sequence[Metrics]) -> Total:
    found = sorted(seconds for one in measured if (seconds := one.spans[span].seconds) is not None)
    rank = math.ceil(0.9 * len(found)) - 1
    return Total(kind, span, len(found), len(measured),
                 median(found) if found else None, found[rank] if found else None)  # fmt: skip
