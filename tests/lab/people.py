# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""People with real SSH keys, the file that says who may approve, and incidents that wait for them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils import chain
from ansible_collections.hft.incident.plugins.module_utils.approvals import PURPOSE, to_bytes
from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, open_incident
from ansible_collections.hft.incident.plugins.module_utils.redaction import iso_utc
from ansible_collections.hft.incident.plugins.module_utils.ssh_signature import NAMESPACE

GATE = "resume_trading"
ONLY_APPROVALS = f'namespaces="{NAMESPACE}"'


class Firm:
    """alice and carol trade, bob is of risk, dave of operations; mallory's key is in no file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.signers = folder / "allowed_signers"
        self.gates: dict[str, Any] = {
            GATE: {"people": 2, "groups": ["trading", "risk"], "valid_for_s": 3600, "question": "May trading resume?"},
            "failover": {"people": 1, "groups": ["trading"]},
        }
        for name in ("alice", "bob", "carol", "dave", "mallory"):
            self.make_key(name)
        self.write(*self.usual())

    def key(self, name: str) -> Path:
        return self.folder / name

    def make_key(self, name: str, passphrase: str = "") -> Path:
        path = self.key(name)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", path], check=True)
        return path

    def public(self, name: str) -> str:
        """Type and key, as a line of allowed_signers has them."""
        return " ".join(self.key(name).with_suffix(".pub").read_text().split()[:2])

    def line(self, principals: str, key: str, options: str = ONLY_APPROVALS) -> str:
        return f"{principals} {options} {self.public(key)}".replace("  ", " ")

    def usual(self) -> list[str]:
        groups = {"alice": "trading", "bob": "risk", "carol": "trading", "dave": "operations"}
        return [self.line(f"{name}@firm.example,group:{group}", name) for name, group in groups.items()]

    def write(self, *lines: str) -> None:
        self.signers.write_text("".join(f"{line}\n" for line in ("# who may approve", *lines)))

    def incident(self, *lines: tuple[str, Mapping[str, Any]]) -> Incident:
        """One that is contained, with these lines more, and waits at the gate."""
        made = open_incident("system_crash", severity=1, home=self.home)
        clear = {"verdict": "clear", "venues": [{"name": "alpha", "verdict": "clear", "open_after": 0, "cancelled": 3}]}
        reconciled = {"verdict": "reconciled", "reason": "all agree", "venues": []}
        made.journal.extend([("kill.verified", clear), ("positions.reconciled", reconciled), *lines])
        self.hold(made)
        return made

    def hold(self, incident: Incident) -> None:
        """What the gate records when it holds."""
        held = {
            "gate": GATE,
            **self.gates[GATE],
            "allowed_signers": str(self.signers),
            "approved_by": [],
            "missing": self.gates[GATE]["people"],
            "may_approve": [f"{name}@firm.example" for name in ("alice", "bob", "carol")],
            "refused": [],
        }
        incident.journal.append("gate.held", held)

    def statement(self, incident: Incident, **changed: Any) -> dict[str, Any]:
        """What an honest program would sign now; ``changed``: what another one does."""
        head = incident.journal.events()[-1]
        now = datetime.now(UTC)
        return {
            "purpose": PURPOSE,
            "incident": incident.id,
            "gate": GATE,
            "head": {"seq": head.seq, "hash": head.hash},
            "at": iso_utc(now),
            "expires": iso_utc(now + timedelta(seconds=3600)),
            **changed,
        }

    def signature(self, name: str, statement: Any, namespace: str = NAMESPACE) -> str:
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(self.key(name))]
        done = subprocess.run(command, input=to_bytes(statement), stdout=subprocess.PIPE, check=True)
        return "".join(done.stdout.decode().split("\n")[1:-2]).rstrip("=")

    def record(self, incident: Incident, name: str, statement: Any, signature: Any, gate: str = GATE) -> Event:
        """An approval in the journal, whoever put it there."""
        told = {"gate": gate, "person": f"{name}@firm.example", "fingerprint": "SHA256:claimed"}
        return incident.journal.append("approval.given", {**told, "statement": statement, "sshsig": signature})


def rewrite(incident: Incident, lines: Iterable[Event]) -> None:
    """The journal as somebody leaves it who edits it and knows how to make its chain whole again."""
    made: list[Event] = []
    for seq, old in enumerate(lines, 1):
        prev = made[-1].hash if made else chain.GENESIS
        made.append(chain.sealed(seq, old.at, old.actor, old.kind, old.data, prev))
    Path(incident.journal.path).write_bytes(b"".join(map(chain.to_line, made)))
