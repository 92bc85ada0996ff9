# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's people: their SSH keys, and the allowed_signers file that says who may approve what."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

#: The groups of each; mallory has a key too, and stands in no file.
GROUPS: Mapping[str, str] = {"alice": "trading", "bob": "risk", "carol": "trading", "dave": "security"}
NAMES = (*GROUPS, "mallory")
ALLOWED_SIGNERS = "allowed_signers"  # the file's name
NAMESPACE = "approval@hft-incident"
DOMAIN = "lab.example"
TIMEOUT_S = 20.0


class PeopleError(Exception):
    """The keys cannot be made; the message is one line for people."""


class KeyMaking:
    """Begins to make everybody's key in ``folder`` at once; ``finish`` waits for them. Raises PeopleError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._makers = {name: self._make(name) for name in NAMES}
        except FileNotFoundError:
            raise PeopleError("ssh-keygen is missing (package openssh-client); approvals are signed with it") from None

    def finish(self) -> Path:
        """The allowed_signers file."""
        for name, maker in self._makers.items():
            _out, errors = maker.communicate(timeout=TIMEOUT_S)
            if maker.returncode:
                raise PeopleError(f"ssh-keygen made no key for {name}: {errors.decode(errors='replace').strip()}")
        lines = [
            f'{person(name)},group:{group} namespaces="{NAMESPACE}" {self._public_key(name)}\n'
            for name, group in GROUPS.items()
        ]
        signers = self._folder / ALLOWED_SIGNERS
        signers.write_text("".join(lines))
        return signers

    def _make(self, name: str) -> subprocess.Popen[bytes]:
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", person(name), "-f", str(self._folder / name)]
        return subprocess.Popen(  # noqa: S603  # fixed words and a path of the lab
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def _public_key(self, name: str) -> str:
        kind, key, *_comment = (self._folder / f"{name}.pub").read_text().split()
        return f"{kind} {key}"


def person(name: str) -> str:
    """How an approval names them."""
    return f"{name}@{DOMAIN}"
