# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Whether what would destroy evidence of a host may go on: its volatile state was kept, or people have waived that.

Nothing is believed that can be looked at: the folder is read again, the signatures are checked again. A waiver is for
the incident and is recorded for each host that is done without, so that the record says what was given up.

Source: seed-faults A2 and A3 (a service that is stopped, a host that is cut off before anything was captured).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .approvals import HELD, PASSED, utc
from .authority import Gate, facts_of, gate_of, intact_events, judgement, objection_to_passage, passage_of, refusals
from .chain import Event
from .errors import IncidentError
from .evidence_manifest import check
from .incident import WAIVE_EVIDENCE, Incident

Drafts = tuple[tuple[str, dict[str, Any]], ...]

KEPT, WAIVED = "evidence.kept", "evidence.waived"


class Ruling(NamedTuple):
    """``refusal``: why it may not go on, "" where it may. ``record``: what the journal has to know before it does, or
    so that people can be asked."""

    refusal: str
    record: Drafts = ()


def ruling(incident: Incident, hosts: Sequence[str], gates: Mapping[str, Any], allowed_signers: str | None) -> Ruling:
    """For these hosts of the inventory. Raises HeldError where the record itself was altered."""
    events = intact_events(incident)
    lacking = {host: fault for host in hosts if (fault := _fault(incident, events, host))}
    if not lacking:
        return Ruling("")
    why = "; ".join(f"the volatile evidence of {host} {fault}" for host, fault in lacking.items())
    keep = f"keep it first (module evidence, volatile: true), then `hft-incident resume {incident.id}`"
    try:
        gate = gate_of(incident, WAIVE_EVIDENCE, gates, allowed_signers)
        waived = _waiver(gate, events)
    except IncidentError as error:  # no such gate, no keys, or nobody can check them
        return Ruling(f"{why}: {keep}; nobody can waive it: {error}")
    if waived is not None:
        passage, people = waived
        known = [event.data for event in events if event.kind == WAIVED]
        told: list[dict[str, Any]] = [{"host": host, "gate": WAIVE_EVIDENCE, "people": people} for host in lacking]
        return Ruling("", (*passage, *((WAIVED, data) for data in told if data not in known)))
    found = judgement(gate, events, utc())
    who = " or ".join(gate.policy.groups)
    ask = "; ".join([f"or {found.missing} of {who} waive it: `{gate.how_to_approve}`", *refusals(found)])
    return Ruling(f"{why}: {keep}; {ask}", ((HELD, {"gate": WAIVE_EVIDENCE, **facts_of(gate, found)}),))


def _fault(incident: Incident, events: Sequence[Event], host: str) -> str:
    """What is wrong with the evidence of this host; "" where its volatile state is kept and proves intact."""
    kept = [event.data for event in events if event.kind == KEPT and event.data.get("inventory_host") == host]
    if not kept:
        return "was not kept"
    whole = [data for data in kept if data.get("volatile") is True]
    if not whole:
        return "was not kept, or not all of it"
    faults = [_alteration(incident, data) for data in reversed(whole)]
    return "" if "" in faults else f"is not what was kept: {faults[0]}"


def _alteration(incident: Incident, kept: Mapping[str, Any]) -> str:
    folder = os.path.join(str(incident.directory), str(kept.get("folder")))
    found = check(folder)
    if not found.intact:
        return f"{kept.get('folder')}: {found.faults[0]}"
    return "" if found.sha256 == kept.get("manifest_sha256") else f"{kept.get('folder')}: its manifest is another one"


def _waiver(gate: Gate, events: Sequence[Event]) -> tuple[Drafts, list[str]] | None:
    """Who has allowed to do without it, and the passage of the gate where that is not on record yet; None: nobody."""
    if not objection_to_passage(gate, events):
        passages = [event for event in events if event.kind == PASSED and event.data.get("gate") == WAIVE_EVIDENCE]
        return (), [str(person) for person in passages[-1].data.get("people") or ()]
    found = judgement(gate, events, utc())
    if found.missing:
        return None
    return ((PASSED, passage_of(gate.policy, found)),), list(found.approved_by)
