# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What `hft-incident timeline` and `verify` print: plain text for people, objects for ``--json``.

Everything here is derived from the journal when it is asked for; nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.chain import Event, Verification
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError
from ansible_collections.hft.incident.plugins.module_utils.evidence_manifest import check as check_evidence
from ansible_collections.hft.incident.plugins.module_utils.evidence_signature import fault as signature_fault
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident
from ansible_collections.hft.incident.plugins.module_utils.ssh_signature import read_signers

from .sentences import heading, offset, plain, sentence


class EvidenceFound(NamedTuple):
    """A folder of evidence, relative to the incident's own, that was read again."""

    host: str
    folder: str
    state: Literal["intact", "altered", "unknown"]
    files: int
    bytes: int
    reason: str


# How `verify` ends, as the words of the exit codes: a torn line is a crash that nothing has gone on from yet.
VERIFY_OUTCOMES = {"intact": "done", "torn": "unproven", "altered": "failed"}


def timeline_lines(events: Sequence[Event]) -> list[str]:
    """A line an event: the time since the first one, then what happened in English; each phase has a heading."""
    lines = []
    for event in events:
        since = offset(events[0].at, event.at)
        if event.kind == "phase.entered":
            lines += ["", f"{since}  {plain(heading(event.data))}"]
        else:
            lines.append(f"{since}  {sentence(event)}")
    return lines


def timeline_payload(incident: Incident, events: Iterable[Event]) -> dict[str, Any]:
    """`timeline --json`: the events as they are, each with its sentence."""
    return {"id": incident.id, "events": [{**event._asdict(), "text": sentence(event)} for event in events]}


def evidence_found(incident: Incident) -> list[EvidenceFound]:
    """Every folder of evidence that the journal knows, read again; one that was recorded twice is one."""
    recorded = dict.fromkeys(
        tuple(str(event.data.get(field) or "") for field in _ON_RECORD)
        for event in incident.journal.events()
        if event.kind == "evidence.kept"
    )
    return [_evidence(incident, *facts) for facts in recorded]


_ON_RECORD = ("host", "folder", "manifest_sha256", "signed_by", "allowed_signers")


def _evidence(
    incident: Incident, host: str, folder: str, manifest_sha256: str, signed_by: str, allowed_signers: str
) -> EvidenceFound:
    """Item by item, then the manifest against the journal, then the signature against both."""
    path = str(incident.directory / folder)
    found = check_evidence(path)
    faults, doubt = list(found.faults), ""
    if found.intact and found.sha256 != manifest_sha256:
        faults.append("its manifest is not the one that the record knows")
    try:
        unsigned = signature_fault(path, signed_by, read_signers(allowed_signers) if allowed_signers else None)
        faults += [unsigned] if unsigned else []
    except IncidentError as error:
        doubt = f"; its signature is unknown: {error}"
    signed = f", signed with {signed_by}" if signed_by and not doubt else ""
    state: Literal["intact", "altered", "unknown"] = "altered" if faults else "unknown" if doubt else "intact"
    reason = f"altered: {'; '.join(faults)}" if faults else f"intact: {found.files} files, {found.bytes} bytes{signed}"
    return EvidenceFound(host, folder, state, found.files, found.bytes, reason + doubt)


def verification_lines(incident: Incident, found: Verification, evidence: Sequence[EvidenceFound] = ()) -> list[str]:
    """`verify`: the verdict and the head, which is to be compared with a copy kept elsewhere; the evidence, if any.

    The chain cannot show by itself that lines were cut off its end; the head can.
    """
    kept = (f"  evidence of {row.host} in {row.folder}: {row.reason}" for row in evidence)
    return [
        f"{incident.id}: {found.reason}",
        f"  head: event {found.head_seq}, {found.head_hash}",
        *map(plain, kept),
    ]


def verification_payload(
    incident: Incident, found: Verification, evidence: Sequence[EvidenceFound] = ()
) -> dict[str, Any]:
    """`verify --json`: the fields of Verification, the id, the evidence and the outcome."""
    return {
        "id": incident.id,
        **found._asdict(),
        "evidence": [row._asdict() for row in evidence],
        "outcome": verify_outcome(found, evidence),
    }


def verify_outcome(found: Verification, evidence: Sequence[EvidenceFound]) -> str:
    """The word that says how `verify` ends: evidence that was altered is as bad as a record that was."""
    states = {row.state for row in evidence}
    if "altered" in states:
        return "failed"
    outcome = VERIFY_OUTCOMES[found.state]
    return "unproven" if "unknown" in states and outcome == "done" else outcome
