# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Evidence that may hold secrets, encrypted with age to the keys of those who may read it.

The plain bytes are only ever in memory (an unnamed file there, which is gone with the process however it ends). Whoever
has no private key can still prove that nothing was changed: the manifest has the hash of what lies in the folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import IO, Any

from .errors import UsageError

SUFFIX = ".age"
#: A file of recipients is not longer (bytes).
_LIMIT = 1024 * 1024


def recipients(given: Iterable[str], base: str = "") -> tuple[str, ...]:
    """The keys that are named, and those of the files that are named (a key a line), sorted. Raises UsageError."""
    found: set[str] = set()
    for text in map(str.strip, given):
        if text.startswith(("age1", "ssh-")):
            found.add(text)
            continue
        if text.upper().startswith("AGE-SECRET-KEY-"):  # it is not repeated, as a path would be
            raise UsageError("encrypt_to: a private key of age is in the clear there: make another, name its age1… key")
        path = os.path.join(base, os.path.expanduser(text))
        try:
            with open(path, encoding="utf-8") as file:
                lines = [line.strip() for line in file.read(_LIMIT).splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not text"
            raise UsageError(f"encrypt_to: {path}: {why.lower()}; give age1… keys, or a file with one a line") from None
        keys = [line for line in lines if line and not line.startswith("#")]
        if not keys:
            raise UsageError(f"encrypt_to: {path}: no key is in it")
        found.update(keys)
    if found:  # a host that encrypts nothing need not have what encrypts
        _parsed(sorted(found))
    return tuple(sorted(found))


class Sealer:
    """Encrypts to these keys."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._recipients = _parsed(keys)

    def seal(self, plain: IO[bytes], into: IO[bytes]) -> None:
        _age().encrypt_io(plain, into, self._recipients)


def opened(data: IO[bytes], into: IO[bytes], identity_file: str) -> None:
    """Decrypts with the identity in this file: one of age's (``AGE-SECRET-KEY-1…``), or an SSH key without passphrase.

    Raises UsageError; its text never has the key.
    """
    age = _age()
    try:
        with open(identity_file, "rb") as file:
            text = file.read(_LIMIT)
    except OSError as error:
        raise UsageError(f"--identity: {identity_file}: {(error.strerror or 'cannot be read').lower()}") from None
    try:
        words = text.decode("ascii", "replace").split()
        keys = [age.x25519.Identity.from_str(word) for word in words if word.startswith("AGE-SECRET-KEY-1")]
        age.decrypt_io(data, into, keys or [age.ssh.Identity.from_buffer(text)])
    except (age.IdentityError, age.DecryptError, ValueError):
        raise UsageError(f"--identity: {identity_file}: is no key that opens it") from None


def unnamed() -> IO[bytes]:
    """A file in memory without a name. Raises OSError where the system has none.

    Whoever resolves the link to it under ``/proc`` instead of using it gets a path in a folder that there is not, and
    so writes nowhere.
    """
    return os.fdopen(os.memfd_create("hft-evidence/in-memory", os.MFD_CLOEXEC), "w+b")


def room_in_memory() -> int:
    """Bytes that a file in memory may have: half of what is free, since this node has an incident to respond to."""
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            name, _colon, rest = line.partition(":")
            if name == "MemAvailable":
                return int(rest.split()[0]) * 1024 // 2
    return 0


def _parsed(keys: Sequence[str]) -> list[Any]:
    age = _age()
    found = []
    for key in keys:
        try:
            found.append((age.ssh if key.startswith("ssh-") else age.x25519).Recipient.from_str(key))
        except (age.RecipientError, ValueError):
            # Somebody may have named the private key by mistake.
            raise UsageError(f"encrypt_to: no public key of age or SSH: {key[:12]}…") from None
    return found


def _age() -> Any:
    try:
        import pyrage
    except ImportError:
        raise UsageError("encrypt_to: pip install 'hft-incident[age]' (pyrage), which encrypts") from None
    return pyrage
