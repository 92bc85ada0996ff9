# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a notice can say: every name of ``wording.EXAMPLE``, read from the incident's record. What is not on record is
said to be unknown, never guessed. Pure rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.incident import State, state_of

from ..metrics import instant, number, rows, word
from ..notices import ACKNOWLEDGED, Notice
from ..roles import holders
from .plan import Plan
from .wording import Trusted

_HEADLINES: Mapping[str, str] = {
    "first": "has begun",
    "contained": "is contained",
    "restored": "is over for trading, which goes on",
    "resolved": "is over",
    "reopened": "is open again",
    "page": "is in nobody's hands yet",
    "clock": "has a clock that runs out: hft-incident clocks",
}
#: What customers read: what is so, and nothing about us.
_PUBLIC: Mapping[str, str] = {
    "investigating": "We are investigating an issue that affects trading.",
    "identified": "We have identified the issue and are working on it.",
    "monitoring": "Trading is restored. We are watching it.",
    "resolved": "The issue is resolved.",
}


def facts_of(events: Sequence[Event], incident: str, plan: Plan, notice: Notice) -> dict[str, str]:
    """What the templates may name, for this notice, as the record stands now."""
    state = state_of(events)
    commander = holders(events).get("commander")
    room = _last(events, "war_room.opened")
    facts = {
        "incident": incident,
        "title": str(state.type or "incident").replace("_", " "),
        "severity": str(notice.severity),
        "severity_reason": state.severity_reason or "no reason on record",
        "headline": _headline(events, notice),
        "standing": f"{_containment(state)} {_trading(state)}".strip(),
        "phase": state.phase or "not begun",
        "venues": ", ".join(f"{name} {held.verdict}" for name, held in sorted(state.venues.items())) or "not asked yet",
        "canceled": _canceled(events),
        "strategies_stopped": str(sum(now == "stopped" for now in state.strategies.values())),
        "exposure": _exposure(_last(events, "exposure.measured")),
        "positions": _positions(_last(events, "positions.reconciled")),
        "acknowledged": _acknowledged(events),
        "commander": commander.person if commander else "not named yet",
        "commander_since": _clock(commander.at) if commander else "the opening",
        "war_room": Trusted(where(room)) if room else "none yet",
        "opened_at": _clock(state.opened_at),
        "next_update": _next_update(plan, notice),
        "public_title": "Trading is affected",
        "public_standing": _PUBLIC[public_status(events)],
    }
    if plan.code_name:
        # Whatever a site's wording names: what people and rules have written down would give it away.
        secret = {"severity_reason": "see the record", "headline": _HEADLINES.get(notice.kind, "goes on")}
        facts |= {"incident": plan.code_name, "title": plan.code_name, **secret}
    return facts


def public_status(events: Sequence[Event]) -> str:
    """Where an incident stands in the words of a status page: investigating, identified, monitoring or resolved."""
    state = state_of(events)
    if not state.is_open:
        return "resolved"
    strategies = set(state.strategies.values())
    if strategies and "stopped" not in strategies:
        return "monitoring"
    return "identified" if state.venues and not _not_clear(state) else "investigating"


def where(room: Event) -> str:
    """How to get into the war room: its channel, and how to join the call."""
    meeting = room.data.get("meeting")
    call = f", call: {word(meeting.get('join'))} (see its topic)" if isinstance(meeting, Mapping) else ""
    return "".join(character for character in f"#{word(room.data.get('name'))}{call}" if character.isprintable())


def _headline(events: Sequence[Event], notice: Notice) -> str:
    if notice.kind == "update":
        return f"goes on (update {notice.id.rpartition('.')[2]})"
    if notice.kind == "severity":
        return f"is SEV{notice.severity} now"
    closed = _last(events, "incident.closed")
    if notice.kind == "resolved" and closed:
        return f"is over: {word(closed.data.get('summary') or closed.data.get('resolution'))}"
    return _HEADLINES[notice.kind]


def _not_clear(state: State) -> list[str]:
    return [f"{name} is {held.verdict}" for name, held in sorted(state.venues.items()) if held.verdict != "clear"]


def _containment(state: State) -> str:
    if not state.venues:
        return "Not contained yet."
    if doubtful := _not_clear(state):
        return f"NOT CONTAINED: {', '.join(doubtful)}."
    return "Contained: nothing is open at any venue."


def _trading(state: State) -> str:
    if not state.is_open:
        return "It is over."
    stopped = sorted(name for name, now in state.strategies.items() if now == "stopped")
    if stopped:
        return f"Stopped: {len(stopped)} strategies."
    waits = ", ".join(state.gates)
    return f"Waiting for approval: {waits}." if waits else ""


def _canceled(events: Sequence[Event]) -> str:
    """As the report has it: where one kill does not know, nobody knows."""
    counts = [venue.get("cancelled") for event in events if event.kind == "kill.verified"
              for venue in rows(event.data, "venues")]  # fmt: skip
    known = [count for value in counts if (count := number(value)) is not None]
    return f"{sum(known):g}" if counts and len(known) == len(counts) else "not known"


def _exposure(measured: Event | None) -> str:
    if measured is None:
        return "not measured yet"
    nets = [f"{word(asset.get('asset'))} {word(asset.get('net'))}" for asset in rows(measured.data, "assets")
            if asset.get("stable") is not True]  # fmt: skip
    unknown = measured.data.get("unknown")
    partial = f" (not known: {', '.join(map(word, unknown))})" if isinstance(unknown, Mapping) and unknown else ""
    return f"{', '.join(nets) or 'none'}{partial}"


def _positions(reconciled: Event | None) -> str:
    if reconciled is None:
        return "Positions are not reconciled yet."
    if reconciled.data.get("verdict") == "reconciled":
        return "Positions agree with the venues."
    return f"POSITIONS ARE NOT TRUSTED: {word(reconciled.data.get('verdict'))}."


def _acknowledged(events: Sequence[Event]) -> str:
    first = next((event for event in events if event.kind == ACKNOWLEDGED), None)
    return f"by {word(first.data.get('by'))}" if first else "nobody yet"


def _next_update(plan: Plan, notice: Notice) -> str:
    row = plan.row(notice.severity, notice.audience)
    if notice.kind == "resolved" or row is None or row.every_s is None:
        return ""
    return f"Next update at {notice.due_at + timedelta(seconds=row.every_s / plan.time_scale):%H:%M:%S} UTC."


def _clock(at: Any) -> str:
    moment = instant(at)
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if isinstance(moment, datetime) else "an unknown time"


def _last(events: Sequence[Event], kind: str) -> Event | None:
    return next((event for event in reversed(events) if event.kind == kind), None)
