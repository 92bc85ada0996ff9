# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Who leads, who acts, who speaks, who writes: the roles of an incident, on record with every hand-over, and who has
said that they have it. Source: runbook section 1.2, seed-faults E10."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, find, state_of
from ansible_collections.hft.incident.plugins.module_utils.journal import actor_name

from .notices import ACKNOWLEDGED

ROLES = ("commander", "operations", "communications", "scribe", "trading_liaison")
ASSIGNED, HANDED_OVER = "role.assigned", "role.handed_over"
_PERSON = re.compile(r"[^\s,;<>\"'`\x00-\x1f][^,;<>\"`\x00-\x1f]{0,99}")


class Holder(NamedTuple):
    """Who has a role, and since when."""

    person: str
    at: str


class Done(NamedTuple):
    """What a command did. ``changed``: False where it was so already, which is not recorded again; ``warning``: what
    to think about all the same."""

    incident: str
    changed: bool
    says: str
    warning: str | None = None

    def to_json(self) -> dict[str, Any]:
        return self._asdict()

    def lines(self) -> list[str]:
        return [f"{self.incident}: {self.says}", *([f"  {self.warning}"] if self.warning else [])]


def holders(events: Sequence[Event]) -> dict[str, Holder]:
    """Who has which role now."""
    found = {}
    for event in events:
        person = event.data.get({ASSIGNED: "person", HANDED_OVER: "to"}.get(event.kind, ""))
        if isinstance(person, str):
            found[str(event.data.get("role"))] = Holder(person, event.at)
    return found


def acknowledge(incident_id: str, by: str | None = None, home: Path | None = None) -> Done:
    """Somebody says that they have it, which ends the paging: the first one counts, others are recorded as well.

    Raises UsageError where the incident is over, or ``by`` is no name.
    """
    incident, events = _open(incident_id, home)
    person = person_named(by or actor_name())
    known = [str(event.data.get("by")) for event in events if event.kind == ACKNOWLEDGED]
    if person in known:
        return Done(incident.id, False, f"{person} has it already")
    incident.journal.append(ACKNOWLEDGED, {"by": person})
    return Done(incident.id, True, f"{person} has it" + (f", after {known[0]}" if known else "; nobody else is paged"))


def assign(incident_id: str, role: str, person: str, note: str = "", home: Path | None = None) -> Done:
    """Gives a role to somebody, or hands it over from whoever had it, on record.

    Raises UsageError where the incident is over, and for an unknown role or what is no name.
    """
    incident, events = _open(incident_id, home)
    if role not in ROLES:
        raise UsageError(f"unknown role {role!r}; one of: {', '.join(ROLES)}")
    name, by = person_named(person), actor_name()
    now = holders(events)
    before = now.get(role)
    if before and before.person == name:
        return Done(incident.id, False, f"{name} is {role} already")
    if before is None:
        incident.journal.append(ASSIGNED, {"role": role, "person": name, "by": by, "note": note or None})
        says = f"{name} is {role}"
    else:
        handed = {"role": role, "from": before.person, "to": name, "by": by, "note": note or None}
        incident.journal.append(HANDED_OVER, handed)
        says = f"{role}: {before.person} -> {name}"
    return Done(incident.id, True, says, _both_hands(name, {**now, role: Holder(name, "")}))


def _both_hands(person: str, now: Mapping[str, Holder]) -> str | None:
    """Whoever leads does not type (E10); at night there may be nobody else, so it is only said."""
    both = [now[role].person for role in ("commander", "operations") if role in now]
    return f"{person} leads and operates at once: name somebody else for one of them" if both == [person] * 2 else None


def _open(incident_id: str, home: Path | None) -> tuple[Incident, list[Event]]:
    incident = find(incident_id, home)
    events = incident.journal.events()
    if not state_of(events).is_open:
        raise UsageError(f"{incident.id} is closed")
    return incident, events


def person_named(name: str) -> str:
    """The name as the record has it; raises UsageError where it is none."""
    text = " ".join(name.split())
    if not _PERSON.fullmatch(text):
        raise UsageError(f"{name!r} is no name of a person: letters, digits, spaces and @ . - _, no more than 100")
    return text
