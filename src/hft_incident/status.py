# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What `hft-incident status` prints: where incidents stand, derived from their journals when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.claims import Claim, conflicts
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError
from ansible_collections.hft.incident.plugins.module_utils.follower import follower_of
from ansible_collections.hft.incident.plugins.module_utils.incident import (
    Incident,
    State,
    Waiting,
    list_incidents,
    state_of,
)
from ansible_collections.hft.incident.plugins.module_utils.regulatory_clocks import clocks_of
from ansible_collections.hft.incident.plugins.module_utils.run_lock import holder
from ansible_collections.hft.incident.plugins.module_utils.steps.regulatory_clock import sentence, shown

from .comms.plan import plan_of
from .credentials import still_open
from .notices import ACKNOWLEDGED, deliveries, schedule
from .roles import holders
from .sentences import plain, venue_said

StatusRow = tuple[Incident, State]


def status_rows(home: Path | None = None) -> list[StatusRow]:
    """Every incident with its state: those still open first, and of those the newest first."""
    rows = [(incident, state_of(incident.journal.events())) for incident in reversed(list_incidents(home))]
    return sorted(rows, key=lambda row: not row[1].is_open)


def status_lines(rows: Sequence[StatusRow]) -> list[str]:
    """The table of incidents, one a line; says so when there are none."""
    if not rows:
        return ["no incidents on record"]
    header = ("INCIDENT", "SEVERITY", "PHASE", "STATE", "LAST RUN", "WAITS FOR", "VENUES")
    table = [header, *(_cells(incident, state) for incident, state in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def incident_lines(incident: Incident, state: State) -> list[str]:
    """One incident in full: its row, its venues, its strategies, the gates it waits at, what is to be undone; then who
    works on it now, what other incidents keep closed that this one would open, and how to go on."""
    owner = holder(incident.directory)
    events = incident.journal.events()
    facts = [
        ("type", state.type),
        ("code name", code_name_of(events)),
        ("severity", _severity(state)),
        ("opened", state.opened_at),
        ("closed", state.closed_at),
        ("phase", state.phase),
        ("last run", _last_run(incident, state)),
        ("worked on by", owner),
        ("in hands of", _hands(events)),
        *((role.replace("_", " "), f"{held.person}, since {held.at}") for role, held in holders(events).items()),
        ("people told by", _follower(incident)),
        *(("not told yet", notice) for notice in _untold(events)),
        *(("clock", sentence(clock, datetime.now(UTC))) for clock in clocks_of(events)),
        ("check mode", "yes" if state.check else None),
        *(
            (f"venue {name}", venue_said(venue.verdict, venue.open_after))
            for name, venue in sorted(state.venues.items())
        ),
        *((f"strategy {name}", now) for name, now in sorted(state.strategies.items())),
        *((f"gate {name}", _gate(waiting)) for name, waiting in sorted(state.gates.items())),
        *(("to undo", inverse.describe) for inverse in state.inverses),
        *(("credential", told) for told in still_open(events)),
        *(("in the way", f"{claim.incident}, since {claim.since}") for claim in _in_the_way(incident, state)),
        ("go on with", f"hft-incident resume {incident.id}" if state.is_open and owner is None else None),
        ("record", incident.journal.path),
    ]
    shown = [(label, plain(str(value))) for label, value in facts if value is not None]
    width = max(len(label) for label, _ in shown)
    return [incident.id, *(f"  {label.ljust(width)}  {value}" for label, value in shown)]


def status_payload(rows: Sequence[StatusRow]) -> dict[str, Any]:
    """`status --json`: ``{"incidents": [{"id", "type", "severity", "phase", "open", "venues", "inverses", …}]}``;
    ``worked_on_by``: the run at work now; ``in_the_way``: claims of other incidents on what this one would open."""
    return {"incidents": [_payload(incident, state) for incident, state in rows]}


def _cells(incident: Incident, state: State) -> tuple[str, ...]:
    venues = " ".join(f"{name}:{venue.verdict}" for name, venue in sorted(state.venues.items()))
    mode = " (check)" if state.check else ""
    cells = (
        incident.id,
        str(state.severity or "-"),
        state.phase or "-",
        ("open" if state.is_open else "closed") + mode,
        _last_run(incident, state),
        " ".join(sorted(state.gates)) if state.is_open and state.gates else "-",
        venues or "-",
    )
    return tuple(plain(str(cell)) for cell in cells)


def _last_run(incident: Incident, state: State) -> str:
    if state.outcome:
        return state.outcome
    return "running" if holder(incident.directory) else "not finished"


def code_name_of(events: Sequence[Event]) -> str | None:
    """What it is called outside of this machine, where it is spoken of with care."""
    plan = plan_of(events)
    return plan.code_name or None if plan else None


def _hands(events: Sequence[Event]) -> str | None:
    """Who has said that they have it."""
    return ", ".join(str(event.data.get("by")) for event in events if event.kind == ACKNOWLEDGED) or None


def _follower(incident: Incident) -> str | None:
    pid = follower_of(incident.directory)
    return None if pid is None else f"process {pid}"


def _untold(events: Sequence[Event]) -> list[str]:
    """Notices that are due and have not arrived, the last error of each with it."""
    known = deliveries(events)
    told = []
    for notice in schedule(events, datetime.now(UTC)):
        for channel in notice.channels:
            found = known.get((notice.id, channel))
            if found is None or found.state == "failed":
                told.append(f"{notice.id} by {channel}" + (f": {found.reason}" if found else ""))
    return told


def _in_the_way(incident: Incident, state: State) -> list[Claim]:
    """What keeps this incident from opening again; of one that is over, nothing. A record that cannot be read is told
    by `verify`."""
    with suppress(IncidentError):  # `verify` tells
        return conflicts(incident) if state.is_open and not state.check else []
    return []


def _payload(incident: Incident, state: State) -> dict[str, Any]:
    owner = holder(incident.directory)
    return {
        "id": incident.id,
        **state._asdict(),
        "code_name": code_name_of(incident.journal.events()),
        "open": state.is_open,
        "venues": {name: venue._asdict() for name, venue in state.venues.items()},
        "inverses": [inverse._asdict() for inverse in state.inverses],
        "gates": {name: waiting._asdict() for name, waiting in state.gates.items()},
        "clocks": [shown(clock, datetime.now(UTC)) for clock in clocks_of(incident.journal.events())],
        "worked_on_by": owner._asdict() if owner else None,
        "in_the_way": [
            {**claim._asdict(), "things": [thing._asdict() for thing in claim.things]}
            for claim in _in_the_way(incident, state)
        ],
    }


def _severity(state: State) -> str | None:
    """The number and why, which a record of before the rules does not tell."""
    if state.severity is None:
        return None
    if not state.severity_reason:
        return str(state.severity)
    return f"{state.severity}, by {state.severity_rule or 'a person'}: {state.severity_reason}"


def _gate(waiting: Waiting) -> str:
    approved = f"approved by {', '.join(waiting.approved_by)}" if waiting.approved_by else "nobody has approved"
    if not waiting.missing:
        return f"{approved}; resume"
    who = ", ".join(waiting.may_approve) or "nobody"
    return f"{approved}, {waiting.missing} of {waiting.people} missing; may approve: {who}"
