# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Signatures by people's own SSH keys, made and checked by ``ssh-keygen``; no key and no secret is read here.

What ``ssh-keygen`` (9.2) really does, and what follows:

- ``-Y verify -I NAME`` holds for *any* line with that key and that name, and looks at the line's ``namespaces``,
  ``valid-after`` and ``valid-before``. It does not say whose key it is: whoever writes two names beside one key can
  verify as both. So the person is looked up by the key itself, and a key with two persons is nobody's.
- ``-Y find-principals`` names the first line with the key only, and does not look at ``namespaces``. It is not used.
- ``-Y check-novalidate`` says which key signed, and holds for a key of nobody. It is where the look-up starts.
- Principals are patterns: ``*`` would be everybody. A file with patterns, or with a certificate authority, which can
  make new people, is refused as a whole.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from .errors import HeldError, IncidentError
from .host_command import run

NAMESPACE = "approval@hft-incident"
GROUP = "group:"
#: For a check, and for a signature: a person may have to type a passphrase or to touch a token (s).
CHECK_S, SIGN_S = 10.0, 120.0

_HEADER, _FOOTER = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_BODY = re.compile(r"[A-Za-z0-9+/]{1,16384}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]*")
_LINE = re.compile(
    r"""(?P<principals>[^ \t]+)
        (?:[ \t]+(?P<options>[a-z-]+(?:="[^"]*")?(?:,[a-z-]+(?:="[^"]*")?)*))??
        [ \t]+(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[A-Za-z0-9@.-]+[ \t]+(?P<key>[A-Za-z0-9+/]+={0,2})(?:[ \t].*)?""",
    re.VERBOSE,
)
_GOOD_KEY = re.compile(r"with \S+ key (SHA256:[A-Za-z0-9+/]{43})$", re.MULTILINE)


class Signer(NamedTuple):
    """One line of an allowed_signers file: a key, whose it is, and the groups that this person is in."""

    person: str
    groups: tuple[str, ...]
    fingerprint: str


class Signers(NamedTuple):
    """An allowed_signers file as it was read: ``ssh-keygen`` is shown these very bytes, whatever the file becomes."""

    path: str
    text: str
    lines: tuple[Signer, ...]

    def persons(self, groups: Sequence[str]) -> tuple[str, ...]:
        """Who is in any of these groups, in the file's order."""
        return tuple(dict.fromkeys(line.person for line in self.lines if set(line.groups) & set(groups)))


class Proof(NamedTuple):
    """Whose signature it is, as ``ssh-keygen`` proved it. ``groups``: those asked for that the person is proven in.

    ``fault``: why it counts for nothing ("" where it does); then ``person`` is the one whose key it is, or "".
    """

    person: str
    fingerprint: str
    groups: tuple[str, ...]
    fault: str


def read_signers(path: str) -> Signers:
    """The file at ``path``. Raises HeldError, with what to mend, where it cannot be relied on."""
    try:
        with open(path, encoding="utf-8") as file:
            shared = os.fstat(file.fileno()).st_mode & 0o002
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise HeldError(f"cannot read who may approve: {path}: {why}") from error
    if shared:
        raise HeldError(f"{path}: anybody may write it, so it proves nothing about who may approve (chmod o-w)")
    try:
        return Signers(path, text, parse_signers(text))
    except ValueError as error:
        raise HeldError(f"{path}: {error}") from None


def parse_signers(text: str) -> tuple[Signer, ...]:
    """The lines of an allowed_signers file. Raises ValueError naming the first line that could stand for anybody."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip(" \t\r")
        if line and not line.startswith("#"):
            try:
                found.append(_signer(line))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    return tuple(found)


def _signer(line: str) -> Signer:
    parts = _LINE.fullmatch(line)
    if parts is None:
        raise ValueError("not 'PERSON,group:NAME [OPTIONS] KEYTYPE KEY' as OpenSSH writes it")
    if "cert-authority" in re.findall(r"(?:^|,)([a-z-]+)", parts["options"] or ""):
        raise ValueError("a certificate authority could make new people; list their keys")
    person, *groups = parts["principals"].split(",")
    for name in (person, *(group.removeprefix(GROUP) for group in groups)):
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is a pattern or no plain name; each line is for one person")
    if not all(group.startswith(GROUP) for group in groups):
        raise ValueError(f"after the person come groups only, as '{GROUP}NAME'")
    return Signer(person, tuple(group.removeprefix(GROUP) for group in groups), fingerprint(parts["key"]))


def fingerprint(key: str) -> str:
    """Of a public key as its file has it (base64), as ``ssh-keygen`` shows it. Raises ValueError where it is none."""
    try:
        digest = hashlib.sha256(base64.b64decode(key, validate=True)).digest()
    except binascii.Error:
        raise ValueError("its key is not base64") from None
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def sign(message: bytes, key: str) -> str:
    """This message signed with the key in the file ``key`` (a ``.pub`` file: by the agent that holds it).

    The result is one line. ``ssh-keygen`` may ask for a passphrase, on the terminal, which is why it stays in this
    process's session. Raises IncidentError.
    """
    command = ["ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", key]
    # A person at a terminal has to see "touch your token"; elsewhere what it says belongs into our one line.
    errors = None if sys.stderr.isatty() else subprocess.PIPE
    try:
        done = subprocess.run(  # noqa: S603  # no shell; the key's path is the person's own
            command, input=message, stdout=subprocess.PIPE, stderr=errors, timeout=SIGN_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise IncidentError(f"ssh-keygen did not sign within {SIGN_S:g} s") from None
    except OSError as error:
        raise IncidentError(f"cannot sign: ssh-keygen: {error.strerror} (install the OpenSSH client)") from error
    if done.returncode != 0:
        said = (done.stderr or b"").decode("utf-8", "replace").split("\n")
        words = [line for line in map(str.strip, said) if line and not line.startswith(("@", "Signing data"))]
        raise IncidentError(f"cannot sign with {key}: {words[-1] if words else 'ssh-keygen refused'}")
    return _disarmed(done.stdout.decode("ascii", "replace"))


def prove(message: bytes, signature: str, signers: Signers, groups: Sequence[str]) -> Proof:
    """Whose signature this is, and in which of ``groups`` this person is. Raises HeldError where nobody can tell.

    ``signature`` as ``sign`` returned it: whatever else it is is a fault of the signature.
    """
    if not isinstance(signature, str) or not _BODY.fullmatch(signature):
        return Proof("", "", (), "the signature is damaged")
    with _files(signature, signers.text) as (signature_file, signers_file):
        checked = ["-Y", "check-novalidate", "-n", NAMESPACE, "-s", signature_file]
        found = _GOOD_KEY.search(_ssh_keygen(checked, message) or "")
        if found is None:
            return Proof("", "", (), "the signature is not one over this statement")
        key = found[1]
        persons = {line.person.casefold(): line.person for line in signers.lines if line.fingerprint == key}
        if not persons:
            return Proof("", key, (), f"the key {key} is nobody's who may approve")
        if len(persons) > 1:
            return Proof("", key, (), f"one key for several people: {' and '.join(sorted(persons.values()))}")
        (person,) = persons.values()

        def holds(principal: str) -> bool:
            verified = ["-Y", "verify", "-f", signers_file, "-I", principal, "-n", NAMESPACE, "-s", signature_file]
            return f" key {key}\n" in (_ssh_keygen(verified, message) or "")

        if not holds(person):
            return Proof(person, key, (), "the key is not (or no longer) allowed for approvals")
        theirs = {group for line in signers.lines if line.fingerprint == key for group in line.groups}
        proven = tuple(group for group in groups if group in theirs and holds(GROUP + group))
        return Proof(person, key, proven, "")


def _ssh_keygen(arguments: Sequence[str], message: bytes) -> str | None:
    """What it says where it agrees, None where it does not. Raises HeldError where it cannot be asked."""
    done = run(["ssh-keygen", *arguments], timeout=CHECK_S, stdin=message)
    if done.problem:
        raise HeldError(f"approvals cannot be checked: {done.problem} (it is part of the OpenSSH client)")
    return done.out if done.rc == 0 else None


def _disarmed(armored: str) -> str:
    """The signature as one word, which a journal can carry: no line breaks, no padding."""
    lines = armored.strip().split("\n")
    body = "".join(lines[1:-1]).rstrip("=")
    if [lines[0], lines[-1]] != [_HEADER, _FOOTER] or not _BODY.fullmatch(body):
        raise IncidentError("ssh-keygen returned no signature")
    return body


@contextmanager
def _files(signature: str, signers: str) -> Iterator[tuple[str, str]]:
    """Both as files that only we can read, gone afterward; neither is a secret."""
    armored = f"{_HEADER}\n{signature + '=' * (-len(signature) % 4)}\n{_FOOTER}\n"
    with tempfile.TemporaryDirectory(prefix="hft-incident-") as folder:
        paths = os.path.join(folder, "signature"), os.path.join(folder, "allowed_signers")
        for path, text in zip(paths, (armored, signers)):  # two and two
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        yield paths
