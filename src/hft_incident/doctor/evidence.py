# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Evidence: the key that signs it works and is known, what may hold secrets can be encrypted, and there is room. A
trial is signed in memory; nothing is written."""

from __future__ import annotations

import os
import shutil

from ansible_collections.hft.incident.plugins.module_utils.errors import HeldError, IncidentError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.evidence_cipher import recipients, unnamed
from ansible_collections.hft.incident.plugins.module_utils.evidence_signature import (
    NAMESPACE,
    owner_of,
    require_key,
    signature,
    signer_of,
)
from ansible_collections.hft.incident.plugins.module_utils.ssh_signature import read_signers
from ansible_collections.hft.incident.plugins.module_utils.steps.evidence import ARGUMENT_SPEC

from ..catalog import CATALOG
from .ansible_look import Look, Told
from .findings import BAD, OK, UNKNOWN, WARN, Finding
from .site import Site, exposure, texts

LACK = "sign evidence or encrypt it (hft_evidence_signing_key, hft_evidence_recipients)"
#: What the key is tried on: no manifest of evidence looks like it.
TRIAL = b"hft-incident doctor: a trial, which is evidence of nothing\n"
#: A key that wants more (s) waits for somebody who is not there at night.
SIGN_S = 5.0
#: The most that a response keeps of one host (bytes).
MOST = int(ARGUMENT_SPEC["total_size_limit"]["default"])
#: Files of recipients are named as seen from here.
BASE = str(CATALOG["security_breach"].playbook.parent)


def is_prepared(seen: Look) -> bool:
    """Also where there is no host to keep anything of, which is said of the hosts."""
    settings = _settings(seen)
    return not settings or any(one.ended != "ok" or any(one.result["msg"].values()) for one in settings)


def evidence(seen: Look, site: Site) -> list[Finding]:
    """A line for each key and each list of recipients, whatever the number of hosts that have them."""
    told: list[Finding] = []
    keys: dict[str, list[str]] = {}
    readers: dict[tuple[str, ...], list[str]] = {}
    for one in _settings(seen):
        if one.ended != "ok":
            told.append(Finding("evidence", one.host, BAD, f"none would be kept: {one.why}", "correct the inventory"))
            continue
        keys.setdefault(str(one.result["msg"]["signing_key"]), []).append(one.host)
        readers.setdefault(texts(one.result["msg"]["recipients"]), []).append(one.host)
    told += [_signature(key, hosts, seen, site) for key, hosts in keys.items()]
    told += [_encryption(names, hosts) for names, hosts in readers.items()]
    return [*told, _room(site, len(_settings(seen)))]


def _settings(seen: Look) -> list[Told]:
    return [one for one in seen.told if one.task == "evidence"]


def _signature(key: str, hosts: list[str], seen: Look, site: Site) -> Finding:
    of = f"signature of {_listed(hosts)}"
    if not key:
        mend = "ssh-keygen -t ed25519 -N '' -f KEY, for nothing else; hft_evidence_signing_key: KEY"
        return Finding("evidence", of, WARN, "nobody signs it: who collected it could not be proven to others", mend)
    try:
        path = require_key(key)
    except UsageError as error:
        return Finding("evidence", of, BAD, f"none would be kept: {error}", "make it, or correct the path")
    if not path.endswith(".pub") and os.stat(path).st_mode & 0o077:
        return Finding("evidence", of, BAD, f"{path} is open to others: nobody signs with it", f"chmod 600 {path}")
    if who := exposure(path):
        says, _, mend = who.partition("; ")
        return Finding("evidence", of, BAD, f"{path} {says}", mend)
    try:
        return _tried(path, of, seen, site)
    except HeldError as error:
        return Finding("evidence", of, UNKNOWN, str(error), "its key must sign while nobody is there to touch it")
    except IncidentError as error:
        mend = "a key without a passphrase, or the .pub of one that the responder's own agent holds"
        return Finding("evidence", of, BAD, str(error), mend)


def _tried(path: str, of: str, seen: Look, site: Site) -> Finding:
    """Raises IncidentError where it does not sign, HeldError where nobody can tell."""
    signed = signature(TRIAL, path, max(0.1, min(SIGN_S, site.deadline.remaining())))
    named = seen.of("allowed_signers")
    with unnamed() as file:
        file.write(signed.encode())
        file.flush()
        there = f"/proc/{os.getpid()}/fd/{file.fileno()}"
        key = signer_of(TRIAL, there)
        if named is None or named.ended != "ok":
            return Finding("evidence", of, UNKNOWN, f"{path} signs; who that is nobody can tell", "see approvals")
        signers = read_signers(str(named.result["msg"]))
        person = owner_of(TRIAL, there, key, signers)
    if not person:
        says = f"{path} signs, and {signers.path} does not know its key ({key}) for evidence"
        mend = f'a line there: evidence@jumphost namespaces="{NAMESPACE}", then its public half (ssh-keygen -y -f KEY)'
        return Finding("evidence", of, BAD, says, mend)
    return Finding("evidence", of, OK, f"{path} signs as {person}")


def _encryption(names: tuple[str, ...], hosts: list[str]) -> Finding:
    of = f"encryption of {_listed(hosts)}"
    if not names:
        says = "what may hold secrets is kept in the clear: only the modes of its files guard it"
        return Finding("evidence", of, WARN, says, "hft_evidence_recipients: the security team's age keys")
    try:
        found = recipients(names, BASE)
    except UsageError as error:
        text = str(error).removeprefix("encrypt_to: ")
        return Finding("evidence", of, BAD, f"none would be kept: {text}", "correct hft_evidence_recipients")
    return Finding("evidence", of, OK, f"{len(found)} keys can read what may hold secrets")


def _room(site: Site, hosts: int) -> Finding:
    """Each incident keeps it in a folder of its own in the state folder, which is looked at by itself."""
    there = next(folder for folder in (site.home, *site.home.parents) if folder.is_dir())
    free, wanted = shutil.disk_usage(there).free, hosts * MOST
    says = f"{free / 1024**3:.1f} GiB free, {hosts} hosts may need {wanted / 1024**3:.0f}"
    if free < wanted:
        mend = f"make room on the disk of {there}"
        return Finding("evidence", "room", WARN, f"{says}: what does not fit would be cut short", mend)
    return Finding("evidence", "room", OK, says)


def _listed(hosts: list[str]) -> str:
    return ", ".join(hosts[:3]) + (f" and {len(hosts) - 3} more" if len(hosts) > 3 else "")
