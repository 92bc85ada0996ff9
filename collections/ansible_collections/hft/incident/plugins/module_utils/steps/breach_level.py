# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``breach_level``: is a breach suspected or confirmed, by people, by signals and by the record."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..approvals import PASSED, utc
from ..arguments import GATES
from ..authority import Gate, gate_of, intact_events, judgement, objection_to_passage, passage_of
from ..breach_level import CONFIRMED, JUDGED, Level, judge, level_of, signals_of, signals_on_record
from ..chain import Event
from ..errors import HeldError, UsageError
from . import Context, Params, Result, event
from .undo import current_incident

ARGUMENT_SPEC: dict[str, Any] = {
    **GATES,
    "confirmed_by": {"type": "str", "default": ""},
    "signals": {"type": "list", "elements": "dict", "default": []},
    "gate": {"type": "str", "default": "confirm_breach"},
    "clearance": {"type": "str", "default": "security_clearance"},
    "require": {"type": "str", "choices": ["decided", "confirmed"]},
}
#: A person can be asked afterwards; a role or a placeholder cannot.
_PERSON = re.compile(r"[^\W\d_][\w.'@+ -]{1,98}")
_NOBODY = frozenset(("true", "yes", "none", "null", "oncall", "on-call", "admin", "root", "somebody", "test"))


def run(params: Params, context: Context) -> Result:
    """The level, which never goes down; the record gets it where it says something new."""
    named = _named(params["confirmed_by"])
    signals = signals_of(params["signals"])
    incident = current_incident()
    events = intact_events(incident)
    gate, clearance = (_gate(params, params[option]) for option in ("gate", "clearance"))
    signed, passage = _passed(gate, events) if gate else ((), [])
    before = level_of(events)
    found = judge([*signals, *signals_on_record(events)], [*named, *signed], before)
    cleared = bool(clearance and _passed(clearance, events)[0])
    told = {
        "level": found.level,
        "because": list(found.because),
        "confirmed_by": list(found.confirmed_by),
        "signals": [signal._asdict() for signal in found.signals],
    }
    record = [] if context.check else [event(PASSED, data) for data in passage]
    if before is None or _news(found, before):
        record.append(event(JUDGED, told))
    result: Result = {
        "msg": f"{found.level}: {'; '.join(found.because)}",
        **told,
        "cleared": cleared,
        "record": record,
    }
    decided = found.level == CONFIRMED or (cleared and params["require"] == "decided")
    if params["require"] and not decided:
        return _held(result, gate, clearance if params["require"] == "decided" else None, check=context.check)
    return result


def _held(result: Result, gate: Gate | None, clearance: Gate | None, *, check: bool) -> Result:
    """Who can do what next."""
    ways = ["say who confirms it (`-e confirmed_by=NAME`)"]
    ways += [f"`{gate.how_to_approve}`"] if gate else []
    ways += [f"or clear the hosts: `{clearance.how_to_approve}`"] if clearance else []
    go_on = gate or clearance
    told = f"{result['msg']}; to go on: {'; '.join(ways)}" + (f"; then `{go_on.how_to_go_on}`" if go_on else "")
    if check:
        return {**result, "msg": f"would hold: {told}"}
    return {**result, "failed": True, "outcome": HeldError.outcome, "msg": told}


def _named(given: str) -> list[str]:
    """Raises UsageError for what is nobody's name."""
    name = " ".join(given.split())
    if not name:
        return []
    if not _PERSON.fullmatch(name) or name.casefold() in _NOBODY:
        raise UsageError(f"confirmed_by: {name[:100]!r} is not the name of a person who can be asked about it")
    return [name]


def _gate(params: Params, name: str) -> Gate | None:
    """None where the site has no such gate."""
    if name not in params["gates"]:
        return None
    return gate_of(current_incident(), name, params["gates"], params["allowed_signers"])


def _passed(gate: Gate, events: Sequence[Event]) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """Who passed it, nobody where it was not; and what is to be recorded where they have just done so."""
    if not objection_to_passage(gate, events):
        last = [one for one in events if one.kind == PASSED and one.data.get("gate") == gate.policy.gate][-1]
        return tuple(map(str, last.data.get("people") or ["the gate"])), []
    found = judgement(gate, events, utc())
    return ((), []) if found.missing else (found.approved_by, [passage_of(gate.policy, found)])


def _news(found: Level, before: Level) -> bool:
    return (found.level, found.confirmed_by, set(found.signals)) != (
        before.level,
        before.confirmed_by,
        set(before.signals),
    )
