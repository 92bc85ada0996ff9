# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""`hft-incident severity`: which rule decided and why, and a person's word on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import TYPES, find, home_directory, state_of
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from ansible_collections.hft.incident.plugins.module_utils.severity import (
    Rules,
    Verdict,
    checked_facts,
    judge,
    respond_within_s,
    worse_of,
)
from ansible_collections.hft.incident.plugins.module_utils.severity_record import (
    BY_PERSON,
    SET,
    Change,
    changes,
    facts_of,
    set_by_person,
)
from ansible_collections.hft.incident.plugins.module_utils.severity_rules import load

from .catalog import did_you_mean
from .inventory import recorded_inventory, sources_if_any


class Explanation(NamedTuple):
    """What the rules say of an incident, a type or facts by themselves; ``history``: of an incident, how its severity
    came about, the last of which is what counts."""

    incident: str | None
    type: str | None
    verdict: Verdict
    rules: Rules
    history: Sequence[Change]

    @property
    def severity(self) -> int | None:
        return self.history[-1].severity if self.history else self.verdict.severity

    def to_json(self) -> dict[str, Any]:
        """``severity`` is what counts; ``by_rules`` what the rules say now, which never lowers it."""
        verdict = self.verdict
        return {
            "incident": self.incident,
            "type": self.type,
            "severity": self.severity,
            "respond_within_s": self._within(),
            "history": [change._asdict() for change in self.history],
            "by_rules": {
                "severity": verdict.severity,
                "rule": verdict.rule,
                "reason": verdict.reason,
                "fired": [fired._asdict() for fired in verdict.fired],
                "facts": dict(verdict.facts),
                "assumed": list(verdict.assumed),
            },
            "sources": list(self.rules.sources),
        }

    def lines(self) -> list[str]:
        verdict = self.verdict
        rows = [("means", self._meaning())] if self.severity else []
        rows += [(f"{change.at}", _told(change)) for change in self.history]
        label = "rules now" if self.history else "decided by"
        rows.append((label, f"{verdict.severity}, by {verdict.rule}: {verdict.reason}"))
        rows += [("also", f"{one.severity}, by {one.rule}: {one.reason}") for one in verdict.fired[1:]]
        assumed = (f"{name} {verdict.facts[name]}" for name in verdict.assumed)
        rows += [("assumed", text) for text in (", ".join(assumed),) if text]
        rows += [("rules from", source) for source in self.rules.sources]
        width = max(len(name) for name, _ in rows)
        head = f"{self.incident or self.type or 'facts by themselves'}: severity {self.severity or 'unknown'}"
        return [head, *(f"  {name.ljust(width)}  {text}" for name, text in rows)]

    def _within(self) -> float | None:
        return respond_within_s(self.rules, self.type, self.severity) if self.severity else None

    def _meaning(self) -> str:
        level = self.rules.levels[self.severity or 0]
        within = self._within()
        when = "answered the next business day" if within is None else f"answered within {within:g} s"
        return f"{level.name}: {level.impact}; {when}; {level.escalation}"


class Changed(NamedTuple):
    """What `severity set` did; ``changed``: False where it was so already, which is not recorded again."""

    incident: str
    severity: int
    before: int | None
    reason: str
    changed: bool

    def to_json(self) -> dict[str, Any]:
        return self._asdict()

    def lines(self) -> list[str]:
        if not self.changed:
            return [f"{self.incident}: severity {self.severity} already"]
        return [f"{self.incident}: severity {self.before or 'unknown'} -> {self.severity}"]


def explain(subject: str | None, facts: Mapping[str, str], inventory: str | None = None) -> Explanation:
    """What decides the severity of an incident (``subject`` an id) or of one that could be (a type, or None).

    ``facts`` count as if they were known as well. Raises UsageError.
    """
    if subject is None or subject in TYPES:
        rules = load(sources_if_any(inventory, home_directory()))
        return Explanation(None, subject, judge(rules, subject, checked_facts(rules, facts)), rules, ())
    if not subject.startswith("inc-"):
        raise UsageError(f"{subject!r} is neither an incident nor a type{did_you_mean(subject, TYPES)}")
    incident = find(subject)
    events = incident.journal.events()
    rules = load(
        sources_if_any(inventory, home_directory())
        if inventory
        else recorded_inventory(events, incident.directory.parent)
    )
    known = worse_of(rules, facts_of(rules, events), checked_facts(rules, facts))
    incident_type = state_of(events).type
    return Explanation(incident.id, incident_type, judge(rules, incident_type, known), rules, changes(events))


def set_severity(incident_id: str, severity: int, reason: str) -> Changed:
    """A person's word on it, up or down, on record with the reason; the rules raise it again only for news.

    Raises UsageError for no reason, and where there is no such incident; IncidentError where its record was altered.
    """
    if not reason.strip():
        raise UsageError("give a reason: it is what the record will say")
    incident = find(incident_id)
    events = incident.journal.events()
    if (state := state_of(events)).type is None:
        raise UsageError(f"{incident.id} was never opened, its record is empty")
    if (found := verify(incident.journal.path)).state == "altered":
        raise IncidentError(f"{incident.id}: nothing was recorded, its record was {found.reason}")
    # The same word again is one, where the rules spoke last: a person has now looked at it.
    same = severity == state.severity and changes(events)[-1].by == BY_PERSON
    if not same:
        incident.journal.append(SET, set_by_person(state.severity, severity, reason))
    return Changed(incident.id, severity, state.severity, reason, not same)


def _told(change: Change) -> str:
    before = "" if change.before is None else f"{change.before} -> "
    who = change.rule or (change.actor if change.by == BY_PERSON else "a playbook")
    return f"{before}{change.severity or 'unknown'}, by {who}{f': {change.reason}' if change.reason else ''}"
