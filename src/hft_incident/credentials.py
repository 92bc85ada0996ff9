# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The checklist of a breach's other credentials (database, SSH, CI, paging, cloud, custody, code signing): no program
can replace them all, so each has an owner, and is open until somebody says on record that it is replaced.

Source: seed-faults A8. Put on record by the module ``credential_checklist``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.credentials import ROTATED, Item, items
from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import find, state_of
from ansible_collections.hft.incident.plugins.module_utils.journal import actor_name

from .roles import Done, person_named


class Checklist(NamedTuple):
    """All of it; ``open``: what is still to be replaced."""

    incident: str
    items: tuple[Item, ...]

    @property
    def open(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if not item.done_by)

    def to_json(self) -> dict[str, Any]:
        return {"incident": self.incident, "items": [item._asdict() for item in self.items], "open": len(self.open)}

    def lines(self) -> list[str]:
        if not self.items:
            return [f"{self.incident}: no other credentials are on its record (hft_credentials of the inventory)"]
        return [
            f"{self.incident}: {len(self.open)} of {len(self.items)} credentials are still to be replaced",
            *(f"  {told(item)}" for item in self.items),
        ]


def checklist(incident_id: str, home: Path | None = None) -> Checklist:
    incident = find(incident_id, home)
    return Checklist(incident.id, items(incident.journal.events()))


def tick(incident_id: str, name: str, by: str | None = None, home: Path | None = None) -> Done:
    """Somebody says that it is replaced. Raises UsageError where the incident is over, or has no such credential."""
    incident = find(incident_id, home)
    events = incident.journal.events()
    if not state_of(events).is_open:
        raise UsageError(f"{incident.id} is closed")
    known = {item.name: item for item in items(events)}
    if name not in known:
        raise UsageError(f"there is no credential {name!r} on its record; it has: {', '.join(known) or 'none'}")
    item = known[name]
    if item.done_by:
        return Done(incident.id, False, f"{name} was replaced already, by {item.done_by}")
    person = person_named(by or actor_name())
    incident.journal.append(ROTATED, {"name": name, "owner": item.owner, "by": person})
    left = len([other for other in known.values() if not other.done_by]) - 1
    return Done(incident.id, True, f"{name} is replaced, by {person}; {left or 'none'} left")


def still_open(events: Sequence[Event]) -> list[str]:
    """What `status` and the report say of it."""
    return [told(item) for item in items(events) if not item.done_by]


def told(item: Item) -> str:
    if item.done_by:
        return f"done  {item.name}: by {item.done_by}, {item.done_at}"
    return f"OPEN  {item.name}: {item.owner}" + (f": {item.how}" if item.how else "")
