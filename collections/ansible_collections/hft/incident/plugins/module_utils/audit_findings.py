# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What an audit of a host finds, and what it could not see: kept apart, so that nobody takes the one for the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .errors import UsageError

#: ``info``: to be known; ``suspicious``: has harmless explanations, and somebody must give one; ``alarming``: has none
#: that a trading host should have.
SEVERITIES = ("info", "suspicious", "alarming")
INFO, SUSPICIOUS, ALARMING = SEVERITIES
#: So many findings of one kind are told; one more says how many there are.
PER_KIND = 50
_LONGEST = 500


class Finding(NamedTuple):
    """``kind``: for programs; ``what``: a sentence; ``detail``: more words, "" where there are none."""

    kind: str
    severity: str
    what: str
    detail: str = ""
    path: str | None = None


class Accepted(NamedTuple):
    """Findings that somebody has given an explanation for: all of this kind with this path or this sentence."""

    kind: str
    path: str | None = None
    what: str | None = None

    def covers(self, finding: Finding) -> bool:
        return self.kind == finding.kind and self.path in (None, finding.path) and self.what in (None, finding.what)


def accepted_of(rows: Iterable[Mapping[str, Any]]) -> list[Accepted]:
    """Raises UsageError for a row that would accept more, or less, than it says."""
    found = []
    for number, row in enumerate(rows, 1):
        if not row.get("kind") or not (row.get("path") or row.get("what")):
            raise UsageError(f"accepted_findings: entry {number} has no kind, or neither path nor what")
        unknown = sorted(set(row) - set(Accepted._fields))
        if unknown:
            raise UsageError(f"accepted_findings: entry {number}: unknown field {unknown[0]!r}")
        found.append(Accepted(**{field: str(value) for field, value in row.items()}))
    return found


def with_accepted(findings: Iterable[Finding], accepted: Sequence[Accepted]) -> list[Finding]:
    """What has an explanation is still told, last, and alarms nobody."""
    told = [
        finding._replace(severity=INFO, detail="; ".join(filter(None, [finding.detail, "accepted by the inventory"])))
        if any(one.covers(finding) for one in accepted)
        else finding
        for finding in findings
    ]
    return sorted(told, key=lambda finding: -SEVERITIES.index(finding.severity))


class Unknown(NamedTuple):
    """What nobody can say, and why."""

    check: str
    why: str


class Findings:
    """Collects both; every text is one harmless line."""

    def __init__(self) -> None:
        self._found: list[Finding] = []
        self._unknown: list[Unknown] = []
        self._counts: dict[str, int] = {}

    def add(self, kind: str, severity: str, what: str, detail: str = "", path: str | None = None) -> None:
        """One that is there already is not added again."""
        finding = Finding(kind, severity, line(what), line(detail), None if path is None else line(path))
        if finding not in self._found:
            count = self._counts[kind] = self._counts.get(kind, 0) + 1
            # What alarms is never crowded out by what an intruder can make plenty of.
            if count <= PER_KIND or (severity == ALARMING and self._alarms(kind) < PER_KIND):
                self._found.append(finding)

    def unknown(self, check: str, why: str) -> None:
        entry = Unknown(check, line(why))
        if entry not in self._unknown:
            self._unknown.append(entry)

    def take(self, other: Findings) -> None:
        """All of the other's."""
        self._found += [finding for finding in other._found if finding not in self._found]
        self._unknown += [entry for entry in other._unknown if entry not in self._unknown]
        for kind, count in other._counts.items():
            self._counts[kind] = self._counts.get(kind, 0) + count

    def findings(self) -> list[Finding]:
        """The worst first; where some are left out, one says so."""
        shown = {kind: sum(finding.kind == kind for finding in self._found) for kind in self._counts}
        left_out = [
            Finding("more", SUSPICIOUS, f"{count - shown[kind]} more of {kind} are not listed")
            for kind, count in self._counts.items()
            if count > shown[kind]
        ]
        return sorted([*self._found, *left_out], key=lambda finding: -SEVERITIES.index(finding.severity))

    def unknowns(self) -> list[Unknown]:
        return list(self._unknown)

    def _alarms(self, kind: str) -> int:
        return sum(finding.kind == kind and finding.severity == ALARMING for finding in self._found)


def worst(severities: Iterable[str]) -> str | None:
    """None where there is none."""
    places = [SEVERITIES.index(severity) for severity in severities]
    return SEVERITIES[max(places)] if places else None


def line(text: Any) -> str:
    """``text`` on one line, cut, and without what could steer a terminal or has no UTF-8."""
    shown = str(text)[: _LONGEST + 1].encode("utf-8", "backslashreplace").decode("utf-8")
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in shown)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
