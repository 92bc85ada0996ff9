# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The signature beside a manifest of evidence, made by ``ssh-keygen -Y sign -n hft-evidence``: anybody can check it.

The manifest's hash in the journal proves that nothing was changed since; the signature proves who collected it, also to
somebody who has only the folder.
"""

from __future__ import annotations

import contextlib
import os
import re

from .errors import HeldError, IncidentError, UnprovenError, UsageError
from .evidence_manifest import MANIFEST, MANIFEST_LIMIT, SIGNATURE, SIGNATURE_DRAFT, create, read_own, sync, sync_folder
from .host_command import Ran, run
from .ssh_signature import Signers

NAMESPACE = "hft-evidence"
#: The key may be in an agent or in a token (s).
SIGN_S, CHECK_S = 30.0, 10.0
_KEY = re.compile(r"with \S+ key (SHA256:[A-Za-z0-9+/]{43})$", re.MULTILINE)
_ARMORED = re.compile(rb"-----BEGIN SSH SIGNATURE-----\n[A-Za-z0-9+/=\n]+\n-----END SSH SIGNATURE-----\n")
#: No signature is so long (bytes).
_LIMIT = 64 * 1024


def require_key(key: str) -> str:
    """The file that the reference names: a private key, or a public one whose private key an agent has. Raises
    UsageError where there is none."""
    if "PRIVATE KEY" in key:  # it is not repeated, as a path would be
        raise UsageError("signing_key: a private key itself is in the clear there: make another, name its file")
    path = os.path.abspath(os.path.expanduser(key))
    if not os.path.isfile(path):
        raise UsageError(
            f"signing_key: there is no file {path} (a private key, or a .pub whose private key the agent has)"
        )
    return path


def sign(folder: str, key: str) -> str:
    """Signs the manifest of a closed folder, once, and checks it; the key's fingerprint. Raises IncidentError."""
    path = os.path.join(folder, SIGNATURE)
    if not os.path.lexists(path):
        text = signature(_read(folder, MANIFEST), key)
        draft = os.path.join(folder, SIGNATURE_DRAFT)
        with contextlib.suppress(FileNotFoundError):  # of one who was killed
            os.unlink(draft)
        with create(draft) as file:
            file.write(text.encode())
            sync(file)
        os.rename(draft, path)
        sync_folder(folder)
    fingerprint = signer(folder)
    if not fingerprint:
        raise UnprovenError(f"{path}: is not a signature of the manifest beside it")
    return fingerprint


def signature(message: bytes, key: str, timeout: float = SIGN_S) -> str:
    """Of the message, as ``ssh-keygen`` writes one. Raises IncidentError.

    Nobody is asked for a passphrase: this runs where nobody types.
    """
    done = _ssh_keygen("sign", "-f", key, stdin=message, timeout=timeout)
    if not done.ok:
        raise IncidentError(f"cannot sign with {key}: {done.complaint}")
    return done.out


def signer(folder: str) -> str:
    """The fingerprint of the key that signed this manifest; "" where it is no signature of it. Raises HeldError where
    nobody can tell."""
    return signer_of(_read(folder, MANIFEST), os.path.join(folder, SIGNATURE))


def signer_of(message: bytes, path: str) -> str:
    """As ``signer``, of the message and the signature in the file."""
    done = _ssh_keygen("check-novalidate", "-s", path, stdin=message)
    found = _KEY.search(done.out) if done.rc == 0 else None
    return found[1] if found else ""


def fault(folder: str, recorded: str, signers: Signers | None) -> str:
    """What is wrong with the signature of a folder; "" where nothing is.

    ``recorded``: the key that the journal says it was signed with, "" where it says none. ``signers``: whose keys
    count. Raises HeldError where nobody can tell.
    """
    path = os.path.join(folder, SIGNATURE)
    if not os.path.lexists(path):
        return f"{SIGNATURE}: is gone" if recorded else ""
    try:
        if not _ARMORED.fullmatch(read_own(path, _LIMIT)):  # ssh-keygen overlooks what is written after its end
            return f"{SIGNATURE}: is not as ssh-keygen writes one"
    except (OSError, ValueError) as error:
        return f"{SIGNATURE}: {getattr(error, 'strerror', None) or error}"
    found = signer(folder)
    if not found:
        return f"{SIGNATURE}: is not a signature of this manifest"
    if recorded and found != recorded:
        return f"{SIGNATURE}: is made with another key ({found}) than the record knows"
    if signers is None or owner_of(_read(folder, MANIFEST), path, found, signers):
        return ""
    return f"{SIGNATURE}: its key ({found}) may not sign evidence, by {signers.path}"


def owner_of(message: bytes, path: str, key: str, signers: Signers) -> str:
    """As whom the file of allowed signers knows the key that made the signature in the file, for this namespace and at
    this time; "" where it does not. Raises HeldError where nobody can tell."""
    for person in dict.fromkeys(line.person for line in signers.lines if line.fingerprint == key):
        done = _ssh_keygen("verify", "-f", signers.path, "-I", person, "-s", path, stdin=message)
        if done.rc == 0 and f" key {key}\n" in done.out:
            return person
    return ""


def _read(folder: str, name: str) -> bytes:
    try:
        return read_own(os.path.join(folder, name), MANIFEST_LIMIT)
    except (OSError, ValueError) as error:
        raise IncidentError(f"{name}: {getattr(error, 'strerror', None) or error}") from None


def _ssh_keygen(what: str, *arguments: str, stdin: bytes, timeout: float = CHECK_S) -> Ran:
    done = run(["ssh-keygen", "-Y", what, "-n", NAMESPACE, *arguments], timeout=timeout, stdin=stdin)
    if done.problem:
        raise HeldError(f"signatures cannot be made or checked: {done.problem} (it is part of the OpenSSH client)")
    return done
