# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``regulatory_clock``: starts the clocks of an incident, and stops one that was met or does not apply."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from ..chain import Event
from ..errors import UsageError
from ..incident import state_of
from ..redaction import iso_utc
from ..regulatory_clocks import (
    AWARENESS,
    CLASSIFICATION,
    MET,
    MOMENTS,
    STARTED,
    STOPPED,
    Clock,
    ClockState,
    clocks_of,
    due_at,
    parse,
)
from ..timestamps import moment
from . import Context, Params, Result, event
from .undo import current_incident

ARGUMENT_SPEC: dict[str, Any] = {
    "state": {"type": "str", "choices": ["started", "met", "stopped"], "required": True},
    "clocks": {"type": "list", "elements": "dict", "default": []},
    "confirmed": {"type": "bool", "default": False},
    "aware_at": {"type": "str"},
    "name": {"type": "str"},
    "by": {"type": "str"},
    "reference": {"type": "str", "default": ""},
}
REQUIRED_IF = [("state", "met", ("name", "by")), ("state", "stopped", ("name", "by", "reference"))]


def run(params: Params, context: Context) -> Result:
    """The clocks as they stand then; the record gets what is new."""
    clocks = parse(params["clocks"])
    events = current_incident().journal.events()
    now = datetime.now(timezone.utc)
    if params["state"] == "started":
        record = _starts(clocks, params, events, now)
    else:
        record = [ended(events, params["name"], params["state"], params["by"], params["reference"])]
    after = clocks_of([*events, *_as_events(record, events, now)])
    result: Result = {
        "changed": False,
        "msg": "; ".join(sentence(clock, now) for clock in after) or "no clock runs: hft_regulatory_clocks has none",
        "clocks": [shown(clock, now) for clock in after],
    }
    return result if context.check else {**result, "record": record}


def ended(events: Sequence[Event], name: str, state: str, by: str, reference: str) -> dict[str, Any]:
    """The event by which somebody says that a clock was met, or does not apply; raises UsageError where it does not
    run."""
    known = {clock.name: clock for clock in clocks_of(events)}
    if name not in known:
        raise UsageError(f"no clock is called {name!r}; there are: {', '.join(known) or 'none'}")
    if not known[name].runs:
        raise UsageError(f"{name} was {'stopped' if known[name].stopped else 'met'} before, by {known[name].by}")
    if not by.strip():
        raise UsageError("by: say who did it")
    if state == "stopped" and not reference.strip():
        raise UsageError("reference: say why it does not apply")
    data = {"clock": name, "by": " ".join(by.split()), "reference": " ".join(reference.split())}
    return event(MET if state == "met" else STOPPED, data)


def _starts(clocks: Sequence[Clock], params: Params, events: Sequence[Event], now: datetime) -> list[dict[str, Any]]:
    """A start for each clock that is new or is due at another time by what is known now."""
    moments = _moments(params, events, now)
    known = {clock.name: clock for clock in clocks_of(events)}
    record = []
    for clock in clocks:
        due, before = due_at(clock, moments), known.get(clock.name)
        waits = clock.starts_at not in MOMENTS
        if (due is None and not waits) or (before and (not before.runs or waits or before.due_at == due)):
            continue
        data = {
            "clock": clock.name,
            "from": clock.starts_at,
            "due_s": clock.due_s,
            "due_at": iso_utc(due) if due else None,
            "owner": clock.owner,
            "question": clock.question,
            "source": clock.source,
            **{f"{name}_at": iso_utc(at) for name, at in moments.items()},
        }
        record.append(event(STARTED, data))
    return record


def _moments(params: Params, events: Sequence[Event], now: datetime) -> dict[str, datetime]:
    """The earliest that is known of each; a moment never moves to later."""
    aware = [_time("the opening", state_of(events).opened_at or iso_utc(now))]
    if params["aware_at"]:
        aware.append(_time("aware_at", params["aware_at"]))
    classified = [now] if params["confirmed"] else []
    for line in events:
        if line.kind == STARTED:
            aware += [_time("the record", line.data["awareness_at"])] if line.data.get("awareness_at") else []
            told = line.data.get("classification_at")
            classified += [_time("the record", told)] if told else []
    if min(aware) > now:
        raise UsageError("aware_at has not come yet")
    return {AWARENESS: min(aware), **({CLASSIFICATION: min(classified)} if classified else {})}


def _time(where: str, text: str) -> datetime:
    try:
        found = moment(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise UsageError(f"{where}: {text!r} is no time with a zone; it is written 2026-11-27T10:00:00Z")
    return found.astimezone(timezone.utc)


def _as_events(record: Sequence[dict[str, Any]], events: Sequence[Event], now: datetime) -> list[Event]:
    """What the record will be, to tell how the clocks stand then."""
    last = events[-1].seq if events else 0
    return [Event(last + number, iso_utc(now), "", line["kind"], line["data"], "", "")
            for number, line in enumerate(record, 1)]  # fmt: skip


def shown(clock: ClockState, now: datetime) -> dict[str, Any]:
    """One clock for a result, or for a program."""
    return {
        "name": clock.name,
        "owner": clock.owner,
        "from": clock.starts_at,
        "state": "stopped" if clock.stopped else "met" if clock.met_at else "started",
        "due_at": iso_utc(clock.due_at) if clock.due_at else None,
        "left_s": round((clock.due_at - now).total_seconds(), 1) if clock.due_at and clock.runs else None,
        "overdue": clock.overdue(now),
        "met_at": iso_utc(clock.met_at) if clock.met_at else None,
        "by": clock.by,
        "reference": clock.reference,
        "question": clock.question,
    }


def sentence(clock: ClockState, now: datetime) -> str:
    """One clock for people."""
    late = clock.overdue(now)
    if clock.stopped:
        return f"{clock.name}: stopped by {clock.by}: {clock.reference}"
    if clock.met_at:
        return f"{clock.name}: met by {clock.by}{', TOO LATE' if late else ''}" + (
            f" ({clock.reference})" if clock.reference else ""
        )
    if clock.due_at is None:
        return f"{clock.name}: begins when {clock.starts_at} is met, owner {clock.owner}"
    minutes = abs(int((clock.due_at - now).total_seconds())) // 60
    span = f"{minutes // 60} h {minutes % 60} min"
    when = f"OVERDUE since {span}" if late else f"{span} left"
    return f"{clock.name}: due {clock.due_at:%Y-%m-%d %H:%M} UTC, {when}, owner {clock.owner}"
