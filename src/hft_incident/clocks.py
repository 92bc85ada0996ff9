# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What `hft-incident clocks` shows and takes: by when somebody has to be notified, and that it was done (A13)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, find, list_incidents
from ansible_collections.hft.incident.plugins.module_utils.regulatory_clocks import ClockState, clocks_of
from ansible_collections.hft.incident.plugins.module_utils.steps.regulatory_clock import ended, sentence, shown

from .roles import person_named


class Shown(NamedTuple):
    """The clocks of incidents, as they stood at ``now``."""

    now: datetime
    clocks: tuple[tuple[str, ClockState], ...]

    def to_json(self) -> dict[str, Any]:
        return {"clocks": [{"incident": incident, **shown(clock, self.now)} for incident, clock in self.clocks]}

    def lines(self) -> list[str]:
        told = [f"{incident}: {sentence(clock, self.now)}" for incident, clock in self.clocks]
        return told or ["no clock is on record"]


def clocks(incident_id: str | None = None, home: Path | None = None) -> Shown:
    """Those of one incident; without one, those that run of all, the most urgent first."""
    now = datetime.now(UTC)
    if incident_id:
        incident = find(incident_id, home)
        return Shown(now, tuple((incident.id, clock) for clock in clocks_of(incident.journal.events())))
    running = [(incident.id, clock) for incident in list_incidents(home)
               for clock in clocks_of(incident.journal.events()) if clock.runs]  # fmt: skip
    return Shown(now, tuple(sorted(running, key=lambda one: (one[1].due_at is None, one[1].due_at or now))))


def end(incident_id: str, name: str, state: str, by: str, reference: str = "", home: Path | None = None) -> Shown:
    """Somebody says that a clock was met, or (``stopped``) does not apply; also after the incident was closed. Raises
    UsageError where it does not run."""
    incident: Incident = find(incident_id, home)
    if not by:
        raise UsageError("--by PERSON: say who did it")
    line = ended(incident.journal.events(), name, state, person_named(by), reference)
    incident.journal.append(line["kind"], line["data"])
    return clocks(incident.id, home)
