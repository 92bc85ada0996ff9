# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""One person's approval: signed with the person's own SSH key, checked as the gate will check it, then recorded.

What is refused is refused before it is recorded, with the reason that the gate would have for it. What the gate asks
for, and whose keys count, comes from the record: the last time that the gate held the incident.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils.approvals import (
    GIVEN,
    HELD,
    POLICY_FIELDS,
    Judgement,
    basis,
    statement_of,
    to_bytes,
    utc,
)
from ansible_collections.hft.incident.plugins.module_utils.authority import (
    Gate,
    gate_of,
    intact_events,
    judgement,
    may_approve,
    objection_to_passage,
    proven,
)
from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, find, state_of
from ansible_collections.hft.incident.plugins.module_utils.redaction import iso_utc
from ansible_collections.hft.incident.plugins.module_utils.ssh_signature import Signers, fingerprint, sign

ENV_KEY = "HFT_INCIDENT_SSH_KEY"
#: Where ssh keeps a person's keys; of several, the one that is in allowed_signers is taken.
USUAL_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")

Show = Callable[[Sequence[str]], None]


@dataclass(frozen=True)
class Approval:
    """An approval that was recorded, and what the gate still needs.

    ``approved_by``: everybody whose approval counts now, this one included. ``missing``: so many more people are
    needed, of ``may_approve``. ``expires`` is UTC ISO-8601. ``next`` is the command that goes on from here.
    """

    incident: str
    gate: str
    person: str
    fingerprint: str
    seq: int
    expires: str
    people: int
    approved_by: tuple[str, ...]
    missing: int
    may_approve: tuple[str, ...]
    next: str

    def to_json(self) -> dict[str, Any]:
        """An object of plain JSON types."""
        return asdict(self)


def approve(
    incident: str,
    gate: str,
    *,
    key: str | os.PathLike[str] | None = None,
    home: str | os.PathLike[str] | None = None,
    show: Show | None = None,
) -> Approval:
    """Sign the approval of ``gate`` in ``incident`` (an id) and record it.

    ``key``: the file of the private key, or of the public one where an agent has the private (default:
    $HFT_INCIDENT_SSH_KEY, else ssh's usual files). ``home``: the state folder, where it is not the usual one. ``show``
    gets, as lines, what is about to be signed. ``ssh-keygen`` may ask for a passphrase on the terminal. Raises
    UsageError, with nothing recorded, where the approval would not count, and IncidentError where it cannot be
    recorded.
    """
    found = find(incident, None if home is None else Path(home).absolute())
    try:
        asked, events = _asked(found, gate)
        path = _key(key or os.environ.get(ENV_KEY), asked.signers)
        if show:
            show(_shown(asked, events))
        statement = statement_of(found.id, asked.policy, events[-1], utc())
        signature = sign(to_bytes(statement), path)
        # A passphrase takes its time to type: what has happened by now counts.
        events, now = intact_events(found), utc()
        given = proven(asked, events[-1].seq + 1, iso_utc(now), statement, signature)
        judged = judgement(asked, events, now, also=[given])
    except IncidentError as error:
        raise UsageError(f"{error} (nothing was recorded)") from error
    if given not in judged.accepted:
        refused = judged.refused[-1]
        raise UsageError(f"not approved: {refused.person}: {refused.reason} (nothing was recorded)")
    told = {"gate": gate, "person": given.person, "fingerprint": given.fingerprint}
    # "sshsig" and not "signature": the record masks fields of that name, which elsewhere sign requests to venues.
    seq = found.journal.append(GIVEN, {**told, "statement": statement, "sshsig": signature}).seq
    return Approval(
        incident=found.id,
        gate=gate,
        person=given.person,
        fingerprint=given.fingerprint,
        seq=seq,
        expires=statement["expires"],
        people=asked.policy.people,
        approved_by=judged.approved_by,
        missing=judged.missing,
        may_approve=may_approve(asked, judged),
        next=asked.how_to_approve if judged.missing else asked.how_to_go_on,
    )


def approval_lines(approval: Approval) -> list[str]:
    """What was done, and who can do what next."""
    done = len(approval.approved_by)
    lines = [
        f"{approval.person} approved {approval.gate} of {approval.incident}: {done} of {approval.people}",
        f"  valid until {approval.expires}, as long as nothing of the above changes",
    ]
    if approval.missing:
        who = ", ".join(approval.may_approve) or "nobody is left: add keys to allowed_signers"
        return [*lines, f"  still needed: {approval.missing} of {who}: `{approval.next}`"]
    return [*lines, f"  next: `{approval.next}`"]


def _asked(incident: Incident, name: str) -> tuple[Gate, list[Event]]:
    """The gate as it held this incident last. Raises IncidentError where there is nothing to approve."""
    events = intact_events(incident)
    state = state_of(events)
    if not state.is_open:
        raise UsageError(f"{incident.id} is closed; there is nothing to approve")
    held = [event.data for event in events if event.kind == HELD and event.data.get("gate") == name]
    if not held:
        waits = ", ".join(state.gates)
        what = f"it waits at {waits}" if waits else f"`hft-incident status {incident.id}` says where it stands"
        raise UsageError(f"{incident.id} does not wait at gate {name!r}: {what}")
    policy = {field: held[-1].get(field) for field in POLICY_FIELDS}
    gate = gate_of(incident, name, {name: policy}, held[-1].get("allowed_signers"))
    if not objection_to_passage(gate, events):
        raise UsageError(f"{incident.id} has passed gate {name!r} already; next: `{gate.how_to_go_on}`")
    return gate, events


def _shown(gate: Gate, events: Sequence[Event]) -> list[str]:
    """The question, who has answered it, and the facts that the answer rests on."""
    policy = gate.policy
    so_far: Judgement = judgement(gate, events, utc())
    head = events[-1]
    return [
        f"{policy.gate} of {gate.incident.id}: {policy.question or 'approve?'}",
        f"  needs {policy.people} of {' or '.join(policy.groups)}; so far: {', '.join(so_far.approved_by) or 'nobody'}",
        *(f"  {name}: {_value(value)}" for name, value in sorted(basis(events).items())),
        f"  signed over event {head.seq}, {head.hash}",
    ]


def _value(value: Any) -> str:
    if not isinstance(value, Mapping):
        return str(value)
    (first, *rest) = value.items()
    told = [str(first[1]), *(f"{name} {len(item) if isinstance(item, list) else item}" for name, item in rest)]
    return ", ".join(told)


def _key(given: str | os.PathLike[str] | None, signers: Signers) -> str:
    """The key file to sign with. Raises UsageError where there is none."""
    if given:
        path = Path(given).expanduser()
        if not path.is_file():
            raise UsageError(f"no key file {path}")
        return str(path)
    folder = Path("~/.ssh").expanduser()
    found = [path for name in USUAL_KEYS for path in (folder / name, folder / f"{name}.pub") if path.is_file()]
    known = {line.fingerprint for line in signers.lines}
    listed = [path for path in found if _fingerprint(path) in known]
    if not found:
        raise UsageError(f"no SSH key in {folder}; name yours with --key FILE (FILE.pub: by the agent) or ${ENV_KEY}")
    return str((listed or found)[0])


def _fingerprint(key: Path) -> str | None:
    """Of a key file, by the public file beside it; None where that cannot be told."""
    public = key if key.suffix == ".pub" else key.with_name(f"{key.name}.pub")
    try:
        return fingerprint(public.read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
