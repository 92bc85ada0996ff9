# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``release_info``: does this host run what was approved, with a valid configuration (seed-faults B6)."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import stat
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..arguments import require_positive
from ..errors import HeldError, UsageError
from ..host_command import run as run_command
from ..host_facts import require_absolute
from ..redaction import scrub_text
from . import Context, Params, Result, event

ARGUMENT_SPEC: dict[str, Any] = {
    "approved": {"type": "dict", "required": True},
    "version_command": {"type": "list", "elements": "str", "default": []},
    "validate_command": {"type": "list", "elements": "str", "default": []},
    "require": {"type": "str", "choices": ["approved"]},
    "timeout": {"type": "float", "default": 30.0},
}
SAME, DIFFERENT, MISSING, UNREADABLE = "same", "different", "missing", "unreadable"
APPROVED, NOT_APPROVED, UNKNOWN = "approved", "not_approved", "unknown"
CHUNK = 1024 * 1024
_SHA256 = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LAST_LINE = 500


class Release(NamedTuple):
    """The approved release: ``files`` are absolute paths with their SHA-256 in lower-case hexadecimal."""

    version: str
    files: Mapping[str, str]


class File(NamedTuple):
    """One file of it; ``sha256`` of what lies here, None where that cannot be said."""

    path: str
    state: str
    expected_sha256: str
    sha256: str | None
    reason: str


class Validation(NamedTuple):
    """What the program's own check said; ``valid`` is None where it did not say."""

    valid: bool | None
    rc: int | None
    last_line: str
    reason: str


class Version(NamedTuple):
    approved: str
    deployed: str | None
    same: bool | None
    reason: str


def run(params: Params, _context: Context) -> Result:
    """Compare and validate; only reads. Held where it has to be approved and is not."""
    require_positive(params, "timeout")
    release = release_of(params["approved"])
    for option in ("version_command", "validate_command"):
        require_fixed(option, params[option])
    files = [file_state(path, expected) for path, expected in release.files.items()]
    version = _version(release.version, params["version_command"], params["timeout"])
    validation = _validation(params["validate_command"], params["timeout"])
    verdict, reasons = judge(files, version, validation)
    told = {
        "verdict": verdict,
        "reasons": reasons,
        "version": version._asdict(),
        "files": [file._asdict() for file in files],
        "valid": validation.valid,
        "validation": validation._asdict(),
    }
    as_approved = f"version {release.version}, {len(files)} files as approved, the configuration is valid"
    result: Result = {
        "msg": f"{verdict}: {'; '.join(reasons) or as_approved}",
        **told,
        "record": [event("release.checked", {"host": socket.gethostname(), **_recorded(told, files)})],
    }
    if params["require"] == APPROVED and verdict != APPROVED:
        mend = "put the approved release back, or have this one approved and its hashes in hft_release"
        result |= {
            "failed": True,
            "outcome": HeldError.outcome,
            "msg": f"{result['msg']}. To mend it: {mend}; then resume",
        }
    return result


def judge(files: Sequence[File], version: Version, validation: Validation) -> tuple[str, list[str]]:
    """``not_approved`` where anything differs, ``unknown`` where anything could not be seen, with all the reasons."""
    differs = [f"{file.path} is {file.state}" for file in files if file.state in (DIFFERENT, MISSING)]
    unseen = [f"{file.path} is {file.state} ({file.reason})" for file in files if file.state == UNREADABLE]
    if not files:
        unseen.append("the release names no files")
    for judged, reason in ((version.same, version.reason), (validation.valid, validation.reason)):
        if not judged:
            (differs if judged is False else unseen).append(reason)
    verdict = NOT_APPROVED if differs else UNKNOWN if unseen else APPROVED
    return verdict, differs + unseen


def release_of(given: Mapping[str, Any]) -> Release:
    """Raises UsageError for what is no release."""
    unknown = sorted(str(field) for field in set(given) - {"version", "files", "config_commit"})
    if unknown:
        raise UsageError(f"approved: unknown field '{unknown[0]}'; it has version, files and config_commit")
    version, files = given.get("version"), given.get("files", {})
    if not isinstance(version, (str, int)) or isinstance(version, bool) or not str(version).strip():
        raise UsageError("approved: 'version' must be given, as text (1.10 without quotes would be 1.1)")
    if not isinstance(files, Mapping):
        raise UsageError("approved: 'files' must be a mapping of absolute paths to their SHA-256")
    require_absolute("approved", [str(path) for path in files])
    commit = given.get("config_commit")
    if commit is not None and not (isinstance(commit, str) and _COMMIT.fullmatch(commit)):
        raise UsageError("approved: 'config_commit' must be a whole id, as text; what a name means, the host decides")
    hashes = {str(path): _SHA256.fullmatch(str(value).strip()) for path, value in files.items()}
    for path, found in hashes.items():
        if not found:
            raise UsageError(f"approved: the SHA-256 of {path} must be 64 hexadecimal digits")
    return Release(str(version).strip(), {path: found[1].lower() for path, found in hashes.items() if found})


def require_fixed(option: str, argv: Sequence[str]) -> None:
    """Raises UsageError for a command that means something else where somebody else stands (seed-faults F7)."""
    if not argv:
        return
    require_absolute(option, argv[:1])
    for word in argv[1:]:
        value = word.partition("=")[2] if word.startswith("-") else word
        if "/" in value and not value.startswith("/") and "://" not in value:
            raise UsageError(
                f"{option}: {word!r} holds a relative path; what it means depends on the working directory"
            )


# Looking --------------------------------------------------------------------------------------------------------------


def file_state(path: str, expected: str) -> File:
    """What has become of this file of the release."""
    try:
        found = sha256_of(path)
    except FileNotFoundError:
        return File(path, MISSING, expected, None, "it is not there")
    except OSError as error:
        return File(path, UNREADABLE, expected, None, error.strerror or str(error))
    same = found == expected
    return File(path, SAME if same else DIFFERENT, expected, found, "" if same else "its content is another one")


def sha256_of(path: str) -> str:
    """Of a regular file, read in pieces; raises OSError."""
    digest = hashlib.sha256()
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would wait for its writer
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is not a regular file")
        while piece := file.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _version(approved: str, argv: Sequence[str], timeout: float) -> Version:
    """What the program calls itself: the approved version must be one of the words of its last line."""
    if not argv:
        return Version(approved, None, None, "the deployed version is unknown: no version_command is given")
    ran = run_command(argv, timeout=timeout)
    said = _last_line(ran.out) or _last_line(ran.err)
    if not ran.ok or not said:
        why = ran.complaint if not ran.ok else "it says nothing"
        return Version(approved, None, None, f"the deployed version is unknown: {scrub_text(why)}")
    same = approved in {word.strip(",;()") for word in said.split()} | {said}
    return Version(approved, said, same, "" if same else f"version {approved} is approved, and here is '{said}'")


def _validation(argv: Sequence[str], timeout: float) -> Validation:
    if not argv:
        return Validation(None, None, "", "the configuration was not validated: no validate_command is given")
    ran = run_command(argv, timeout=timeout)
    said = _last_line(f"{ran.out}\n{ran.err}")
    if ran.problem:
        why = f"the configuration could not be validated: {scrub_text(ran.problem)}"
        return Validation(None, None, said, why)
    if ran.rc < 0:
        return Validation(None, ran.rc, said, f"the validation was killed by signal {-ran.rc}")
    if ran.rc:
        return Validation(False, ran.rc, said, f"the configuration is not valid: {said or f'exit status {ran.rc}'}")
    return Validation(True, 0, said, "")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return scrub_text(lines[-1].strip()[:_LAST_LINE]) if lines else ""


def _recorded(told: Mapping[str, Any], files: Sequence[File]) -> dict[str, Any]:
    """The record keeps what differs, with both hashes, and how many files there are."""
    return {
        "verdict": told["verdict"],
        "reasons": told["reasons"],
        "version": told["version"],
        "valid": told["valid"],
        "files": len(files),
        "differences": [file._asdict() for file in files if file.state != SAME],
    }
