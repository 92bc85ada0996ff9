# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Who may open again what an incident closed: the journal, the inventory's policy and people's signatures together.

The rules are in ``approvals``, the signatures in ``ssh_signature``; here both meet an incident's journal. Nothing that
the journal says of an approval is believed: whose it is, and whether it still counts, is found out anew every time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from . import claims
from .approvals import (
    GIVEN,
    HELD,
    PASSED,
    TRADING,
    Given,
    Judgement,
    Policy,
    is_closing,
    judge,
    moment,
    policy_of,
    to_bytes,
    utc,
)
from .chain import Event
from .errors import HeldError, UsageError
from .incident import Incident, kills_journal
from .journal import verify
from .redaction import iso_utc
from .ssh_signature import Proof, Signers, prove, read_signers


class Gate(NamedTuple):
    """A gate of one incident: what the inventory asks for, and whose keys count."""

    incident: Incident
    policy: Policy
    signers: Signers

    @property
    def how_to_approve(self) -> str:
        return f"hft-incident approve {self.incident.id} {self.policy.gate}"

    @property
    def how_to_go_on(self) -> str:
        return f"hft-incident resume {self.incident.id}"


def gate_of(incident: Incident, gate: str, gates: Mapping[str, Any], allowed_signers: str | None) -> Gate:
    """The gate as the inventory has it (``hft_gates``, ``hft_allowed_signers``).

    Raises UsageError where they are missing or make no sense, HeldError where the file cannot be relied on.
    """
    policy = policy_of(gates, gate)
    if not allowed_signers:
        raise UsageError(f"gate {gate}: allowed_signers: say which file has the keys of those who may approve")
    # Whole, since `approve` reads it from the record, wherever it is started.
    return Gate(incident, policy, read_signers(os.path.abspath(allowed_signers)))


def require_passed(incident: Incident, gate: str, gates: Mapping[str, Any], allowed_signers: str | None) -> None:
    """Returns where this may be opened; raises HeldError where it may not, and UsageError as ``gate_of``.

    It may where the gate was passed in this incident, its signatures still prove it by the inventory of today, nothing
    was closed since, and no other incident holds what this one would open. Where something was closed since, and
    enough people have approved anew, the gate is passed here and now, and that is recorded.
    """
    asked = gate_of(incident, gate, gates, allowed_signers)
    events = intact_events(incident)
    objection = objection_to_passage(asked, events)
    if objection:
        found = judgement(asked, events, utc())
        if found.missing or not any(event.kind == HELD and event.data.get("gate") == gate for event in events):
            why = "; ".join([objection, *refusals(found)])
            raise HeldError(f"gate {gate} is shut: {why}; `{asked.how_to_approve}`, then `{asked.how_to_go_on}`")
        incident.journal.append(PASSED, passage_of(asked.policy, found))
    claims.require_free(incident)


def passage_of(policy: Policy, found: Judgement) -> dict[str, Any]:
    """The data of ``gate.passed``: whose approvals, and which, so that it can be proven again."""
    return {
        "gate": policy.gate,
        "guards": policy.guards,
        "people": list(found.approved_by),
        "approvals": [given.seq for given in found.accepted],
    }


def facts_of(gate: Gate, found: Judgement | None) -> dict[str, Any]:
    """What a gate's result and its ``gate.held`` say alike, which is what `approve` goes by; ``found`` is None where no
    approval had to be looked at."""
    policy = gate.policy
    return {
        "people": policy.people,
        "groups": list(policy.groups),
        "question": policy.question,
        "valid_for_s": policy.valid_for_s,
        "guards": policy.guards,
        "allowed_signers": gate.signers.path,
        "approved_by": list(found.approved_by) if found else [],
        "missing": found.missing if found else 0,
        "may_approve": list(may_approve(gate, found)) if found else [],
        "refused": [refusal._asdict() for refusal in found.refused] if found else [],
    }


def objection_to_passage(gate: Gate, events: Sequence[Event]) -> str:
    """Why the gate's last passage does not stand; "" where it does."""
    passages = [event for event in events if event.kind == PASSED and event.data.get("gate") == gate.policy.gate]
    if not passages:
        return "it was not passed"
    passage = passages[-1]
    closed = [event for event in events if event.seq > passage.seq and is_closing(event, gate.policy.guards)]
    if closed:
        return f"something was closed since it was passed ({closed[-1].kind}, event {closed[-1].seq})"
    passed_at = moment(passage.at)
    if passed_at is None:
        return f"its record is unreadable (event {passage.seq})"
    if utc() - passed_at > timedelta(seconds=gate.policy.valid_for_s):
        return f"it was passed at {passage.at}, which counts for {gate.policy.valid_for_s:g} s"
    pressed = _pressed_at(gate.incident)
    if pressed and pressed >= passed_at and gate.policy.guards == TRADING:
        return f"the red button was pressed by hand since it was passed (at {iso_utc(pressed)})"
    before = [event for event in events if event.seq < passage.seq]
    named = passage.data.get("approvals")
    used = [event for event in before if isinstance(named, list) and event.seq in named]
    found = judge(gate.incident.id, gate.policy, before, given(gate, used), passed_at, pressed)
    if not found.missing:
        return ""
    return "; ".join([f"{found.missing} of the approvals that passed it do not count", *refusals(found)])


def judgement(gate: Gate, events: Sequence[Event], now: datetime, also: Iterable[Given] = ()) -> Judgement:
    """What the approvals of this gate amount to now, with one that is not recorded yet where it is given.

    Those from before its last passage have had their turn.
    """
    passed = max((e.seq for e in events if e.kind == PASSED and e.data.get("gate") == gate.policy.gate), default=0)
    fresh = [event for event in events if event.seq > passed]
    pressed = _pressed_at(gate.incident)
    return judge(gate.incident.id, gate.policy, events, [*given(gate, fresh), *also], now, pressed)


def given(gate: Gate, events: Sequence[Event]) -> list[Given]:
    """The approvals among ``events`` that are recorded for this gate, each with what ``ssh-keygen`` says of it."""
    theirs = [event for event in events if event.kind == GIVEN and event.data.get("gate") == gate.policy.gate]
    return [_given(gate, event) for event in theirs]


def proven(gate: Gate, seq: int, at: str, statement: Any, signature: Any) -> Given:
    """An approval that stands, or would stand, at ``seq``."""
    try:
        message = to_bytes(statement)
    except (TypeError, ValueError, RecursionError):
        proof = Proof("", "", (), "the statement is not one of ours")
    else:
        proof = prove(message, signature, gate.signers, gate.policy.groups)
    return Given(seq, at, statement, proof.person, proof.fingerprint, proof.groups, proof.fault)


def refusals(found: Judgement) -> list[str]:
    """A line for each approval that does not count."""
    return [f"refused: {refusal.person}: {refusal.reason}" for refusal in found.refused]


def may_approve(gate: Gate, found: Judgement) -> tuple[str, ...]:
    """Who else could: the people of the gate's groups who have not yet."""
    done = {person.casefold() for person in found.approved_by}
    return tuple(name for name in gate.signers.persons(gate.policy.groups) if name.casefold() not in done)


def intact_events(incident: Incident) -> list[Event]:
    """The incident's events. Raises HeldError where its record was altered: then no approval in it counts."""
    found = verify(incident.journal.path)
    if found.state == "altered":
        raise HeldError(
            f"the record of {incident.id} was {found.reason}; no approval counts in it: "
            f"`hft-incident verify {incident.id}`, put the original back, then go on"
        )
    return incident.journal.events()


def _pressed_at(incident: Incident) -> datetime | None:
    """When somebody last pressed the red button by hand: it closes for every incident, and is in no incident's record.

    Raises HeldError where its record was altered, IncidentError where it cannot be read.
    """
    journal = kills_journal(incident.directory.parent)
    if not os.path.exists(journal.path):
        return None
    found = verify(journal.path)
    if found.state == "altered":
        raise HeldError(
            f"the record of the red button was {found.reason}, so nobody can tell what it closed: look into it, "
            f"then put {journal.path} away"
        )
    times = [event.at for event in journal.events() if event.kind == "kill.ordered"]
    return moment(times[-1]) if times else None


def _given(gate: Gate, event: Event) -> Given:
    return proven(gate, event.seq, event.at, event.data.get("statement"), event.data.get("sshsig"))
