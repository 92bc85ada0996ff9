# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What may be told in public only after somebody has signed for it (seed-faults A10): the question, asked once on
record, and the answer, whose signatures are verified every time that something is about to be told.

It is no gate that opens anything: a run is not held by it, and its passage lets nobody trade.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils import authority
from ansible_collections.hft.incident.plugins.module_utils.approvals import HELD, judge
from ansible_collections.hft.incident.plugins.module_utils.authority import Gate
from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident

from ..metrics import instant, items, word

ALLOWED = "disclosure.allowed"
_FIELDS = ("people", "groups", "question", "valid_for_s")


def question(
    events: Sequence[Event], gate: str, asked: Any, allowed_signers: str | None
) -> tuple[str, Mapping[str, Any]] | None:
    """The draft that lets `hft-incident approve INC GATE` be answered; None where it is on record, or is none."""
    if not isinstance(asked, Mapping) or _asked(events, gate):
        return None
    told = {name: asked.get(name) for name in _FIELDS}
    nobody: dict[str, Any] = {"approved_by": [], "refused": [], "missing": asked.get("people"), "may_approve": []}
    return HELD, {"gate": gate, **told, "allowed_signers": allowed_signers, **nobody}


def is_allowed(incident: Incident, events: Sequence[Event], gate: str, now: datetime) -> bool:
    """Whether it was allowed, is still, and the signatures that allowed it prove it today."""
    given = next((e for e in reversed(events) if e.kind == ALLOWED and e.data.get("gate") == gate), None)
    at = instant(given.at) if given else None
    if given is None or at is None:
        return False
    try:
        asked = _gate(incident, events, gate)
        if asked is None or now - at > timedelta(seconds=asked.policy.valid_for_s):
            return False
        before = [event for event in authority.intact_events(incident) if event.seq < given.seq]
        used = [event for event in before if event.seq in items(given.data, "approvals")]
        return not judge(incident.id, asked.policy, before, authority.given(asked, used), at, None).missing
    except IncidentError:  # no keys, an altered record: then nobody has allowed anything
        return False


def answer(
    incident: Incident, events: Sequence[Event], gate: str, now: datetime
) -> tuple[str, Mapping[str, Any]] | None:
    """The draft that says who has allowed it; None as long as not enough people have."""
    try:
        asked = _gate(incident, events, gate)
        if asked is None:
            return None
        found = authority.judgement(asked, authority.intact_events(incident), now)
    except IncidentError:
        return None
    return None if found.missing else (ALLOWED, authority.passage_of(asked.policy, found))


def signers_of(named: str | None, sources: Sequence[str]) -> str | None:
    """The site's file of people and keys: named in its policy, else beside its inventory."""
    if named:
        return named
    folders = [path if path.is_dir() else path.parent for path in map(Path, sources) if path.exists()]
    places = [folder / "allowed_signers.txt" for folder in folders]
    return next((str(place) for place in places if place.is_file()), None)


def _asked(events: Sequence[Event], gate: str) -> Mapping[str, Any] | None:
    """The first question counts: nobody makes it an easier one later."""
    return next((event.data for event in events if event.kind == HELD and event.data.get("gate") == gate), None)


def _gate(incident: Incident, events: Sequence[Event], gate: str) -> Gate | None:
    asked = _asked(events, gate)
    if asked is None:
        return None
    policy = {name: asked.get(name) for name in _FIELDS}
    signers = asked.get("allowed_signers")
    return authority.gate_of(incident, gate, {gate: policy}, word(signers) if signers else None)
