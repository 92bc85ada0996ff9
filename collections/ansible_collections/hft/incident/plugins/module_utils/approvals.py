# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""When an approval counts: pure rules, no input or output.

An approval is a person's signature over a *statement*: this incident, this gate, the journal as it stood (its head),
from when until when. It counts while the facts that the person decided upon are still the same; they are its *basis*,
derived from the journal like everything else. What changes nothing of them, a new run for example, outdates nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from .chain import Event, is_number
from .errors import UsageError
from .redaction import iso_utc

PURPOSE = "hft-incident approval"
HELD, GIVEN, PASSED = "gate.held", "approval.given", "gate.passed"

#: A statement made on another machine may be so much ahead of our clock (s).
SKEW_S = 5
DEFAULT_VALID_FOR_S = 3600

_GATE = re.compile(r"[a-z][a-z0-9_]*")
_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]*")

Basis = Mapping[str, Any]


#: What a gate stands before, and so what takes its passage back: ``trading`` may resume until something is closed;
#: ``hosts`` are clean until one is isolated again; a ``decision`` (somebody confirms, somebody waives) stays taken.
TRADING, HOSTS, DECISION = GUARDS = ("trading", "hosts", "decision")


#: What the inventory, and the record of a gate that holds, say of a gate.
POLICY_FIELDS = ("people", "groups", "valid_for_s", "question", "guards")


class Policy(NamedTuple):
    """What one gate asks for: so many different people, each of them in one of the groups, within so many seconds."""

    gate: str
    people: int
    groups: tuple[str, ...]
    valid_for_s: int
    question: str
    guards: str = TRADING


class Given(NamedTuple):
    """One ``approval.given``: where it stands in the journal, what it states, and whose signature ``ssh-keygen`` found.

    ``person`` and ``groups`` are proven; ``fault`` says why nothing is ("" where it is).
    """

    seq: int
    at: str
    statement: Any
    person: str
    fingerprint: str
    groups: tuple[str, ...]
    fault: str


class Refusal(NamedTuple):
    """An approval that does not count, and why."""

    person: str
    reason: str


class Judgement(NamedTuple):
    """What the approvals of a gate amount to. ``missing``: so many more people are needed."""

    accepted: tuple[Given, ...]
    refused: tuple[Refusal, ...]
    missing: int

    @property
    def approved_by(self) -> tuple[str, ...]:
        return tuple(given.person for given in self.accepted)


# The policy -----------------------------------------------------------------------------------------------------------


def policy_of(gates: Mapping[str, Any], gate: str) -> Policy:
    """What ``gates`` says of this gate. Raises UsageError, naming the gate and the field, where that makes no sense."""
    if gate not in gates:
        raise UsageError(f"unknown gate {gate!r}; known: {', '.join(sorted(gates)) or 'none'}")
    if not _GATE.fullmatch(gate):
        raise UsageError(f"gate {gate!r}: a gate's name is of small letters, digits and _")
    asked = gates[gate]
    if not isinstance(asked, Mapping):
        raise UsageError(f"gate {gate}: not a mapping with people and groups")
    unknown = sorted(map(str, set(asked) - set(POLICY_FIELDS)))
    if unknown:
        raise UsageError(f"gate {gate}: unknown field {unknown[0]!r}")
    groups = asked.get("groups")
    named = isinstance(groups, Sequence) and not isinstance(groups, str)
    if not named or not groups or not all(isinstance(name, str) and _GROUP.fullmatch(name) for name in groups):
        raise UsageError(f"gate {gate}: groups: say in which groups its people are")
    question = asked.get("question", "")
    if not isinstance(question, str):
        raise UsageError(f"gate {gate}: question: not a text")
    guards = asked.get("guards") or TRADING  # a record from before there was a choice has none
    if guards not in GUARDS:
        raise UsageError(f"gate {gate}: guards: must be one of {', '.join(GUARDS)}")
    return Policy(
        gate=gate,
        people=_count(gate, "people", asked.get("people")),
        groups=tuple(dict.fromkeys(map(str, groups))),
        valid_for_s=_count(gate, "valid_for_s", asked.get("valid_for_s", DEFAULT_VALID_FOR_S)),
        question=str(question),
        guards=guards,
    )


def _count(gate: str, field: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"gate {gate}: {field}: must be a whole number, 1 or more")
    return int(value)


# The statement --------------------------------------------------------------------------------------------------------


def statement_of(incident: str, policy: Policy, head: Event, now: datetime) -> dict[str, Any]:
    """What a person signs; ``head`` is the journal's last line."""
    return {
        "purpose": PURPOSE,
        "incident": incident,
        "gate": policy.gate,
        "head": {"seq": head.seq, "hash": head.hash},
        "at": iso_utc(now),
        "expires": iso_utc(now + timedelta(seconds=policy.valid_for_s)),
    }


def to_bytes(statement: Any) -> bytes:
    """Exactly what is signed: the canonical JSON of the statement, and a newline."""
    text = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.encode("ascii") + b"\n"


# The basis ------------------------------------------------------------------------------------------------------------


def basis(events: Iterable[Event]) -> dict[str, Any]:
    """The facts that a decision to open again rests on, by name; those that were undone are gone."""
    facts: dict[str, Any] = {}
    for event in events:
        if is_closing(event):
            facts["last closed"] = f"{event.kind}, event {event.seq}"
        tell = _FACTS.get(event.kind)
        for name, value in tell(event.data) if tell else ():
            if value is None:
                facts.pop(name, None)
            else:
                facts[name] = value
    return facts


def is_closing(event: Event, guards: str = TRADING) -> bool:
    """Whether this closed something that such a gate stands before: an approval from before was not meant for it."""
    closes = _CLOSES[guards].get(event.kind)
    return bool(closes and closes(event.data))


def guards_of(passage: Event) -> str:
    """What the gate of this ``gate.passed`` stands before; records from before there was a choice do not say it."""
    said = passage.data.get("guards")
    return said if isinstance(said, str) and said in GUARDS else TRADING


def _found_something(data: Mapping[str, Any]) -> bool:
    """A kill that found nothing to cancel and nothing to stop only proved again what was so."""
    cancelled = any(item.get("cancelled") for item in _dicts(data, "venues"))
    return cancelled or any(item.get("changed") for item in _dicts(data, "trading_systems"))


Closes = Mapping[str, Callable[[Mapping[str, Any]], bool]]
_ENDED: Closes = {"incident.closed": lambda data: True, "incident.reopened": lambda data: True}
_CLOSES: Mapping[str, Closes] = {
    TRADING: {
        "kill.ordered": lambda data: True,
        "kill.verified": _found_something,
        "latch.changed": lambda data: data.get("state") == "closed",
        "exchange.changed": lambda data: data.get("state") == "disabled",
        "strategies.stopped": lambda data: bool(data.get("ids")),
        **_ENDED,
    },
    HOSTS: {"host.isolated": lambda data: True, **_ENDED},
    DECISION: {},
}

Facts = Iterable[tuple[str, Any]]


def _fields(name: str, by: Sequence[str], counts: Sequence[str]) -> Callable[[Mapping[str, Any]], Facts]:
    """One fact for each of ``by`` (the venue, the host), of these fields; the last event is the one that holds."""

    def tell(data: Mapping[str, Any]) -> Facts:
        place = " ".join(str(data[field]) for field in by if data.get(field))
        yield f"{name} {place}".strip(), {field: data.get(field) for field in counts}

    return tell


def _kill(data: Mapping[str, Any]) -> Facts:
    for venue in _dicts(data, "venues"):
        yield f"venue {venue.get('name')}", {field: venue.get(field) for field in ("verdict", "open_after")}
    for system in _dicts(data, "trading_systems"):
        yield f"killswitch {system.get('name')}", {"verdict": system.get("verdict")}


def _reconciled(data: Mapping[str, Any]) -> Facts:
    breaks = [broken for venue in _dicts(data, "venues") for broken in venue.get("breaks") or ()]
    venues = {str(venue.get("exchange")): venue.get("verdict") for venue in _dicts(data, "venues")}
    yield "positions", {"verdict": data.get("verdict"), **venues, "breaks": breaks}


def _strategies(state: str) -> Callable[[Mapping[str, Any]], Facts]:
    return lambda data: [(f"strategy {data.get('trading_system')} {name}", state) for name in data.get("ids") or ()]


#: What each kind of event says about the basis; kinds that are not here say nothing about it. A value of None: no more.
_FACTS: Mapping[str, Callable[[Mapping[str, Any]], Facts]] = {
    "incident.opened": _fields("incident", (), ("type", "check")),
    "severity.set": _fields("severity", (), ("severity",)),
    "incident.escalated": _fields("escalated", (), ("earlier",)),
    "kill.verified": _kill,
    "venue.diagnosed": _fields("diagnosis", ("name",), ("verdict",)),
    "positions.reconciled": _reconciled,
    "strategies.stopped": _strategies("stopped"),
    "strategies.started": _strategies("running"),
    "exchange.changed": _fields("exchange", ("trading_system", "name"), ("state",)),
    "trading_limit.changed": _fields("order limit", ("trading_system",), ("scale_pct",)),
    "latch.changed": _fields("latch", ("host", "scope", "name"), ("state", "agree")),
    "crash.classified": _fields("crash", ("host", "unit"), ("kind", "ended_at")),
    "database.probed": _fields("database", ("host", "dbname"), ("verdict",)),
    "release.checked": _fields("release", ("host",), ("verdict",)),
    "breach.level_judged": _fields("breach", (), ("level",)),
    "service.changed": _fields("service", ("host", "unit"), ("state",)),
    "host.isolated": _fields("isolation", ("host",), ("state",)),
    "claims.taken_over": _fields("taken over from", ("incident",), ("things",)),
    "claims.given_up": _fields("given up to", ("incident",), ("things",)),
    "inverse.registered": lambda data: [(f"to undo {data.get('id')}", data.get("describe") or data.get("module"))],
    "inverse.applied": lambda data: [(f"to undo {data.get('id')}", None)],
}


def _dicts(data: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    items = data.get(field)
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, (list, tuple)) else []


# The judgement --------------------------------------------------------------------------------------------------------


def judge(
    incident: str,
    policy: Policy,
    events: Sequence[Event],
    given: Iterable[Given],
    now: datetime,
    pressed: datetime | None = None,
) -> Judgement:
    """Which approvals count at ``now``, the journal being ``events``: no two of one person, no two with one key.

    ``pressed``: when the red button was last pressed by hand, which no journal of an incident tells.
    """
    facts = basis(events)
    accepted: list[Given] = []
    refused: list[Refusal] = []
    for one in given:
        reason = _objection(incident, policy, events, facts, one, now)
        reason = reason or (_before(pressed, one) if policy.guards == TRADING else "") or _repeats(one, accepted)
        if reason:
            refused.append(Refusal(one.person or one.fingerprint or "somebody", reason))
        else:
            accepted.append(one)
    return Judgement(tuple(accepted), tuple(dict.fromkeys(refused)), max(0, policy.people - len(accepted)))


def _repeats(one: Given, accepted: Sequence[Given]) -> str:
    if any(one.person.casefold() == other.person.casefold() for other in accepted):
        return "has approved already, and counts once"
    return "one key for several people" if any(one.fingerprint == other.fingerprint for other in accepted) else ""


def _objection(incident: str, policy: Policy, events: Sequence[Event], facts: Basis, one: Given, now: datetime) -> str:
    """Why this approval, taken by itself, does not count; "" where it does."""
    if one.fault:
        return one.fault
    if not one.person or not one.fingerprint:
        return "nobody's signature"
    statement = one.statement
    if not _is_statement(statement):
        return "the statement is not one of ours"
    if statement["incident"] != incident:
        return f"it is for another incident, {statement['incident']}"
    if statement["gate"] != policy.gate:
        return f"it is for another gate, {statement['gate']}"
    if not set(one.groups) & set(policy.groups):
        return f"is not in {' or '.join(policy.groups)}"
    return _outdated(policy, events, facts, one, now)


def _outdated(policy: Policy, events: Sequence[Event], facts: Basis, one: Given, now: datetime) -> str:
    at, expires = moment(one.statement["at"]), moment(one.statement["expires"])
    written = moment(one.at)
    if at is None or expires is None or written is None:
        return "its times cannot be read"
    if at > min(now, written) + timedelta(seconds=SKEW_S):
        return "it is dated in the future"
    if expires > at + timedelta(seconds=policy.valid_for_s):
        return f"it would be valid for longer than {policy.valid_for_s} s"
    if now > expires:
        return f"it expired at {one.statement['expires']}"
    head = one.statement["head"]
    upto = [event for event in events if event.seq <= head["seq"]]
    signed = upto[-1] if upto and upto[-1].seq == head["seq"] < one.seq else None
    if signed is None or signed.hash != head["hash"]:
        return "it was signed over another record than this one"
    if policy.guards == DECISION:  # what has come to light since makes it no less taken
        return ""
    then = basis(upto)
    changed = sorted(name for name in {*then, *facts} if then.get(name) != facts.get(name))
    return f"outdated: changed since: {', '.join(changed)}" if changed else ""


def _before(pressed: datetime | None, one: Given) -> str:
    at = moment(one.statement["at"])
    if pressed is None or at is None or at > pressed:
        return ""
    return f"outdated: the red button was pressed by hand since, at {iso_utc(pressed)}"


def _is_statement(found: Any) -> bool:
    if not isinstance(found, Mapping) or set(found) != {"purpose", "incident", "gate", "head", "at", "expires"}:
        return False
    head = found["head"]
    if not isinstance(head, Mapping) or set(head) != {"seq", "hash"} or not is_number(head["seq"]):
        return False
    texts = (found["incident"], found["gate"], found["at"], found["expires"], head["hash"])
    return found["purpose"] == PURPOSE and all(isinstance(text, str) for text in texts)


def moment(text: str) -> datetime | None:
    """A time as records have it; None where it is none."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def utc() -> datetime:
    """This moment, aware."""
    return datetime.now(timezone.utc)
