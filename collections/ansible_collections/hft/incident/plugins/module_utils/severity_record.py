# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The severity of one incident over time, read from its record: pure rules.

Facts raise it, each time with the rule and the reason; only a person lowers it. What a rule said before a person spoke
is settled by that word; what it says for the first time afterwards is news, and may raise it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .chain import Event
from .severity import UNKNOWN, Facts, Rules, checked_facts, judge, worse_of

#: Inputs of this prefix are facts for the rules: what an alert or a person knows when the incident is opened.
FACT_PREFIX = "hft_fact_"
BY_RULES, BY_PERSON = "rules", "person"
SET, OPENED = "severity.set", "incident.opened"


class Change(NamedTuple):
    """One ``severity.set`` or the opening. ``rule``: None where a person decided."""

    at: str
    actor: str
    severity: int | None
    before: int | None
    by: str
    rule: str | None
    reason: str


def at_opening(rules: Rules, incident_type: str, inputs: Mapping[str, Any], given: int | None) -> dict[str, Any]:
    """``severity`` and ``assessment`` of an incident that is about to be opened, ``given``: by the person who does.

    Raises UsageError where an input names a fact that there is none of.
    """
    verdict = judge(rules, incident_type, checked_facts(rules, _stated(inputs)))
    said = {"proposed": verdict.severity, "rule": verdict.rule, "reason": verdict.reason}
    if given is None:
        return {"severity": verdict.severity, "assessment": {"by": BY_RULES, **said}}
    reason = f"given at the opening; the rules say {verdict.severity}: {verdict.reason}"
    return {"severity": given, "assessment": {"by": BY_PERSON, **said, "rule": None, "reason": reason}}


def set_by_person(before: int | None, severity: int, reason: str) -> dict[str, Any]:
    """The data of a ``severity.set`` by which a person raises or lowers it."""
    return {"severity": severity, "before": before, "by": BY_PERSON, "rule": None, "reason": reason}


def rise(rules: Rules, events: Sequence[Event]) -> dict[str, Any] | None:
    """The data of the ``severity.set`` that is due now; None: nothing that is new is worse than what is known."""
    opened = next((event for event in events if event.kind == OPENED), None)
    if opened is None or _is_closed(events):
        return None
    incident_type = str(opened.data.get("type"))
    told = changes(events)
    current = told[-1].severity
    verdict = judge(rules, incident_type, facts_of(rules, events))
    heard = _last_word(events)
    settled = {fired.rule for fired in judge(rules, incident_type, facts_of(rules, heard)).fired} if heard else set()
    news = next((fired for fired in verdict.fired if fired.rule not in settled), None)
    if news is None or (current is not None and news.severity >= current):
        return None
    return {
        "severity": news.severity,
        "before": current,
        "by": BY_RULES,
        "rule": news.rule,
        "reason": news.reason,
    }


def changes(events: Iterable[Event]) -> list[Change]:
    """The opening and every change since, the oldest first."""
    found: list[Change] = []
    for event in events:
        if event.kind not in (OPENED, SET):
            continue
        data = event.data
        why = data.get("assessment") or {} if event.kind == OPENED else data
        given = data.get("severity") is not None and event.kind == OPENED
        found.append(
            Change(
                event.at,
                event.actor,
                data.get("severity"),
                found[-1].severity if found else None,
                str(why.get("by") or (BY_PERSON if given else BY_RULES)),
                why.get("rule"),
                str(why.get("reason") or ""),
            )
        )
    return found


def facts_of(rules: Rules, events: Iterable[Event]) -> dict[str, str]:
    """Everything that the record says and a rule can ask for, as it stands after the last of ``events``.

    What was stated at the opening and what was found out since: the worse of the two. What a containment of our own
    does is no fact of the incident: cause and effect do not both raise it (E5).
    """
    stated: dict[str, str] = {}
    seen = _Seen({}, {}, {}, {}, {})
    for event in events:
        if event.kind in (OPENED, "run.started"):
            stated |= _stated(event.data.get("inputs") or {})
        if note := _NOTES.get(event.kind):
            note(seen, event.data)
    return worse_of(rules, stated, seen.facts())


class _Seen(NamedTuple):
    """What was seen last, per place: ``broken`` and ``silent`` venues, those not proven ``clear``, ``down`` systems."""

    broken: dict[str, bool]
    silent: dict[str, bool]
    live: dict[str, bool]
    down: dict[str, bool]
    other: dict[str, str]

    def facts(self) -> Facts:
        facts = dict(self.other)
        if self.broken or self.silent:
            names = self.broken.keys() | self.silent.keys()
            facts["exchanges_down"] = str(sum(self.broken.get(n, False) or self.silent.get(n, False) for n in names))
        if self.live:
            facts["exchanges_not_proven"] = str(sum(self.live.values()))
        if self.down:
            facts["systems_down"] = str(sum(self.down.values()))
        return facts


def _diagnosed(seen: _Seen, data: Mapping[str, Any]) -> None:
    seen.broken[str(data.get("name"))] = data.get("verdict") != "healthy"


def _killed(seen: _Seen, data: Mapping[str, Any]) -> None:
    for venue in _dicts(data, "venues"):
        name, verdict = str(venue.get("name")), venue.get("verdict")
        seen.silent[name] = verdict not in ("clear", "open")
        seen.live[name] = verdict != "clear"
    for system in _dicts(data, "trading_systems"):
        seen.down[str(system.get("name"))] = system.get("verdict") == "unreachable"


def _probed(seen: _Seen, data: Mapping[str, Any]) -> None:
    for system in _dicts(data, "systems"):
        seen.down[str(system.get("name"))] = system.get("verdict") != "answering" or bool(system.get("restarted"))


def _reconciled(seen: _Seen, data: Mapping[str, Any]) -> None:
    words = {"reconciled": "trusted", "breaks": "untrusted"}
    seen.other["positions"] = words.get(str(data.get("verdict")), UNKNOWN)


def _database(seen: _Seen, data: Mapping[str, Any]) -> None:
    words = {"writable": "ok", "read_only": "not_writable", "standby": "not_writable", "disk_full": "not_writable"}
    seen.other["database"] = words.get(str(data.get("verdict")), UNKNOWN)


def _level(seen: _Seen, data: Mapping[str, Any]) -> None:
    seen.other["security"] = "breach" if data.get("level") == "confirmed" else "suspected"


def _audited(seen: _Seen, data: Mapping[str, Any]) -> None:
    """An audit alone makes it no worse than suspected, and none makes it better."""
    if data.get("worst") == "alarming":
        seen.other.setdefault("security", "suspected")


def _escalated(seen: _Seen, _data: Mapping[str, Any]) -> None:
    seen.other["again"] = "repeated"


_NOTES: Mapping[str, Callable[[_Seen, Mapping[str, Any]], None]] = {
    "venue.diagnosed": _diagnosed,
    "venue.watched": _diagnosed,
    "kill.verified": _killed,
    "trading_systems.probed": _probed,
    "positions.reconciled": _reconciled,
    "database.probed": _database,
    "incident.escalated": _escalated,
    "breach.level_judged": _level,
    "host.audited": _audited,
}
#: What may change what ``rise`` says.
TELLING = frozenset((*_NOTES, OPENED, SET))


def _last_word(events: Sequence[Event]) -> Sequence[Event]:
    """The events up to the last word of a person about the severity; none where only rules spoke."""
    last = 0
    for number, event in enumerate(events, 1):
        if event.kind in (OPENED, SET) and changes([event])[0].by == BY_PERSON:
            last = number
    return events[:last]


def _is_closed(events: Iterable[Event]) -> bool:
    ends = [event.kind for event in events if event.kind in ("incident.closed", "incident.reopened")]
    return ends[-1:] == ["incident.closed"]


def _stated(inputs: Mapping[str, Any]) -> dict[str, str]:
    given = {name: value for name, value in inputs.items() if name.startswith(FACT_PREFIX)}
    return {name.removeprefix(FACT_PREFIX): str(value) for name, value in given.items()}


def _dicts(data: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    items = data.get(field)
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, (list, tuple)) else []
