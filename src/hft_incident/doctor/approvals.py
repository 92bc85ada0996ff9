# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Who may approve: for each gate that a playbook asks for, enough different people with keys of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils.approvals import policy_of
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import WAIVE_EVIDENCE
from ansible_collections.hft.incident.plugins.module_utils.ssh_signature import Signers, read_signers

from ..catalog import CATALOG
from ..gates import gates_of
from .ansible_look import Look
from .findings import BAD, OK, UNKNOWN, WARN, Finding
from .site import exposure

_POLICY = "write hft_gates and hft_allowed_signers into group_vars/all/policy.yml"


def approvals(seen: Look) -> list[Finding]:
    gates, path = seen.of("gates"), seen.of("allowed_signers")
    if gates is None or path is None:
        return [Finding("approvals", "", UNKNOWN, "the inventory could not be read", "see there")]
    for found in (gates, path):
        if found.ended != "ok":
            return [Finding("approvals", "", BAD, f"nothing could be opened again: {found.why}", _POLICY)]
    return [*_signers(gates.result.get("msg"), str(path.result.get("msg")))]


def _signers(gates: Any, path: str) -> Iterator[Finding]:
    try:
        signers = read_signers(path)
    except IncidentError as error:
        yield Finding("approvals", "", BAD, str(error), "a line for each person: NAME,group:GROUP KEYTYPE KEY")
        return
    if who := exposure(path):
        says, _, mend = who.partition("; ")
        yield Finding("approvals", "", BAD, f"{path} {says}", mend)
    if not isinstance(gates, Mapping):
        yield Finding("approvals", "", BAD, "hft_gates is no mapping of gates", _POLICY)
        return
    yield from _shared_keys(signers, path)
    asked = [one.gate for entry in CATALOG.values() if entry.is_ready for one in gates_of(entry)]
    # Without evidence of a host nothing that would destroy it goes on, unless people waive it.
    for gate in dict.fromkeys([*asked, WAIVE_EVIDENCE, *gates]):
        yield gate_finding(gate, gates, signers)


def _shared_keys(signers: Signers, path: str) -> Iterator[Finding]:
    """One key for two people proves neither."""
    owners: dict[str, set[str]] = {}
    for line in signers.lines:
        owners.setdefault(line.fingerprint, set()).add(line.person.casefold())
    for fingerprint, people in owners.items():
        if len(people) > 1:
            says = f"{' and '.join(sorted(people))} have one key, {fingerprint}: it counts for neither"
            yield Finding("approvals", "", BAD, says, f"each person makes a key of their own (ssh-keygen); {path}")


def gate_finding(gate: str, gates: Mapping[str, Any], signers: Signers) -> Finding:
    """Whether enough people could open it, were they all here."""
    try:
        policy = policy_of(gates, gate)
    except UsageError as error:
        return Finding("gate", gate, BAD, str(error), _POLICY)
    people = signers.persons(policy.groups)
    groups = " or ".join(policy.groups)
    says = f"asks for {policy.people} of {groups}; there are {len(people)}: {', '.join(people) or 'nobody'}"
    mend = f"add people of {groups} to {signers.path}"
    if len(people) < policy.people:
        return Finding("gate", gate, BAD, f"can never be passed: {says}", mend)
    if len(people) == policy.people:
        return Finding("gate", gate, WARN, f"{says}: with one of them away it stays shut", mend)
    return Finding("gate", gate, OK, says)
