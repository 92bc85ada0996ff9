# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What `hft-incident comms` does and prints: serves what is due, shows the table, checks it."""

from __future__ import annotations

from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import (
    TYPES,
    find,
    home_directory,
    list_incidents,
    state_of,
)

from ..inventory import sources_if_any
from .policy import Policy, rows
from .policy_check import Finding, findings
from .policy_reading import load
from .server import Served, Server, is_over_and_told


class Told(NamedTuple):
    """What serving came to; ``faults``: incidents that could not be served, with the reason."""

    served: tuple[Served, ...]
    faults: tuple[tuple[str, str], ...]

    @property
    def outcome(self) -> str:
        return "failed" if self.faults else "unproven" if any(one.open for one in self.served) else "done"

    def to_json(self) -> dict[str, Any]:
        """``open``: what is due and not delivered, ``{"notice", "channel", "reason"}``."""
        rows = [
            {"id": one.incident, "jobs": one.jobs,
             "open": [dict(zip(("notice", "channel", "reason"), row, strict=True)) for row in one.open]}
            for one in self.served
        ]  # fmt: skip
        faults = [{"id": name, "reason": reason} for name, reason in self.faults]
        return {"incidents": rows, "faults": faults, "outcome": self.outcome}

    def lines(self) -> list[str]:
        told = [f"{name}: CANNOT BE SERVED: {reason}" for name, reason in self.faults]
        for one in self.served:
            waits = f"; {len(one.open)} not delivered yet" if one.open else ""
            told.append(f"{one.incident}: {one.jobs} done{waits}")
            told += [f"  {notice} by {channel}: {reason}" for notice, channel, reason in one.open]
        return told or ["no incident is open"]


class Checked(NamedTuple):
    """A policy and what is wrong with it."""

    policy: Policy
    findings: tuple[Finding, ...]

    @property
    def outcome(self) -> str:
        return "failed" if self.findings else "done"

    def to_json(self) -> dict[str, Any]:
        return {
            "sources": list(self.policy.sources),
            "findings": [finding._asdict() for finding in self.findings],
            "outcome": self.outcome,
        }

    def lines(self) -> list[str]:
        found = [f"{finding.kind}: {finding.where}: {finding.says}" for finding in self.findings]
        return [*(found or ["every rule decides something, and everybody is told"]), *_sources(self.policy)]


class Table(NamedTuple):
    """Every cell in which somebody is told, of these types."""

    policy: Policy
    types: tuple[str, ...]
    outcome: str = "done"

    def to_json(self) -> dict[str, Any]:
        cells = [{"type": name, **row._asdict()} for name in self.types for row in rows(self.policy, name)]
        return {"sources": list(self.policy.sources), "rows": cells}

    def lines(self) -> list[str]:
        header = ("TYPE", "SEV", "AUDIENCE", "FIRST", "EVERY", "UNTIL", "AT ONCE", "CHANNELS", "GATE", "BY")
        table = [header]
        for name in self.types:
            for row in rows(self.policy, name):
                every = "-" if row.every_s is None else _span(row.every_s)
                table.append((name, str(row.severity), row.audience, _span(row.first_s), every, row.until,
                              ",".join(row.at_once) or "-", ",".join(row.channels), row.gate or "-",
                              ",".join(row.rules)))  # fmt: skip
        widths = [max(len(line[column]) for line in table) for column in range(len(header))]
        shown = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
                 for line in table)  # fmt: skip
        return [*shown, *_sources(self.policy)]


def serve(incident_id: str | None) -> Told:
    """What is due now, of one incident or of every one that somebody may still have to hear of."""
    home = home_directory()
    known = [find(incident_id, home)] if incident_id else list_incidents(home)
    incidents = [incident for incident in known if incident_id or not is_over_and_told(incident)]
    served, faults = [], []
    for incident in incidents:
        try:
            done = Server(incident).serve()
            if incident_id or done.jobs or done.open or state_of(incident.journal.events()).is_open:
                served.append(done)
        except IncidentError as error:
            faults.append((incident.id, str(error)))
    return Told(tuple(served), tuple(faults))


def check(inventory: str | None) -> Checked:
    """What is wrong with the policy that counts here. Raises UsageError where it cannot be read."""
    policy = load(sources_if_any(inventory, home_directory()))
    return Checked(policy, tuple(findings(policy)))


def table(inventory: str | None, incident_type: str | None) -> Table:
    """The whole table, or one type's. Raises UsageError."""
    if incident_type is not None and incident_type not in TYPES:
        raise UsageError(f"unknown incident type {incident_type!r}; one of: {', '.join(TYPES)}")
    return Table(load(sources_if_any(inventory, home_directory())), (incident_type,) if incident_type else TYPES)


def _sources(policy: Policy) -> list[str]:
    return [f"rules from {source}" for source in policy.sources]


def _span(seconds: float) -> str:
    """0, 90 s, 5 min, 4 h."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s" if seconds else "0"
