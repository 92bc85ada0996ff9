# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The manifest of a folder of evidence: which files belong to it, and the proof that they are what was put there.

``manifest.sha256`` is what ``sha256sum -c`` reads, sorted by name; it covers ``manifest.json``, which says where each
item comes from. Its own hash stands in the incident's journal, so the chain of the journal proves every file.

Source: seed-faults A4 (evidence that is overwritten or mixed), A5 (no integrity, no chain of custody).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

MANIFEST, FACTS = "manifest.sha256", "manifest.json"
#: Beside the manifest, and not in it: it is made over it.
SIGNATURE = "manifest.sha256.sig"
SIGNATURE_DRAFT = f".{SIGNATURE}"
#: A second attempt in the same folder, where the first was interrupted, asked for other things or was altered since.
ATTEMPT = re.compile(r"attempt-[1-9]\d*")
CHUNK = 1024 * 1024
#: More than this (bytes) no manifest of ours is long.
MANIFEST_LIMIT = 16 * 1024 * 1024

_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<name>.+)")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*")


class Checked(NamedTuple):
    """What re-reading a folder showed: ``faults`` are sentences, none where everything is as it was put there.

    ``sha256`` is that of the manifest itself, "" where there is none.
    """

    sha256: str
    files: int
    bytes: int
    faults: tuple[str, ...]

    @property
    def intact(self) -> bool:
        return not self.faults


def safe_name(text: str) -> str:
    """``text``, which may come from anywhere, as one part of a path that needs no quoting anywhere."""
    name = re.sub(r"[^A-Za-z0-9_.+-]", "_", text)[-100:].lstrip(".+-")
    return name or "unnamed"


def is_safe_path(name: str) -> bool:
    """Whether a name of a manifest stays in its folder, whoever wrote the manifest."""
    return bool(_NAME.fullmatch(name)) and name not in (MANIFEST, SIGNATURE)


def listed(manifest: bytes) -> dict[str, str]:
    """The hash of every file by its name. Raises ValueError for anything that ``write`` does not write."""
    entries: dict[str, str] = {}
    for line in manifest.decode("ascii").splitlines():
        found = _LINE.fullmatch(line)
        if not found or not is_safe_path(found["name"]) or found["name"] in entries:
            raise ValueError(f"not a line of a manifest: {line[:200]!r}")
        entries[found["name"]] = found["sha256"]
    return entries


def write(folder: str, facts: Mapping[str, Any], hashes: Mapping[str, str]) -> str:
    """Closes the folder: ``manifest.json`` with ``facts``, then the manifest over it and ``hashes``. Both are on disk
    when this returns the manifest's hash; a crash before leaves a folder without a manifest. Raises OSError."""
    told = json.dumps(facts, indent=1, sort_keys=True).encode() + b"\n"
    with create(os.path.join(folder, FACTS)) as file:
        file.write(told)
        sync(file)
    every = {**hashes, FACTS: hashlib.sha256(told).hexdigest()}
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(every.items())).encode("ascii")
    draft = os.path.join(folder, f".{MANIFEST}")
    with create(draft) as file:
        file.write(lines)
        sync(file)
    # A name appears at once or not at all, so a manifest that is there is whole.
    os.rename(draft, os.path.join(folder, MANIFEST))
    sync_folder(folder)
    return hashlib.sha256(lines).hexdigest()


def check(folder: str) -> Checked:
    """Reads everything again. Raises nothing: what cannot be read is a fault."""
    try:
        manifest = read_own(os.path.join(folder, MANIFEST), MANIFEST_LIMIT)
        entries = listed(manifest)
    except (OSError, ValueError) as error:
        return Checked("", 0, 0, (f"{MANIFEST}: {_reason(error)}",))
    faults, size = [], 0
    for name, expected in entries.items():
        try:
            digest, length = hash_of(os.path.join(folder, name))
        except OSError as error:
            faults.append(f"{name}: {_reason(error)}")
            continue
        size += length
        if digest != expected:
            faults.append(f"{name}: its content is not what was put there")
    faults += [f"{name}: was put there later" for name in sorted(set(_present(folder)) - set(entries))]
    return Checked(hashlib.sha256(manifest).hexdigest(), len(entries), size, tuple(faults))


def facts_of(folder: str) -> dict[str, Any]:
    """What ``manifest.json`` says; nothing where there is none that can be read."""
    with contextlib.suppress(OSError, ValueError):  # verify tells what is wrong with the file
        found = json.loads(read_own(os.path.join(folder, FACTS), MANIFEST_LIMIT))
        if isinstance(found, dict):
            return found
    return {}


def hash_of(path: str) -> tuple[str, int]:
    """SHA-256 and length of a file of ours. Raises OSError, also for a link, which is none of ours."""
    digest, length = hashlib.sha256(), 0
    for part in _parts(path):
        digest.update(part)
        length += len(part)
    return digest.hexdigest(), length


def digest_of(file: Any) -> tuple[str, int]:
    """SHA-256 and length of what an open file still has."""
    digest, length = hashlib.sha256(), 0
    while part := file.read(CHUNK):
        digest.update(part)
        length += len(part)
    return digest.hexdigest(), length


def create(path: str) -> Any:
    """A new file for its owner only; raises OSError where there is one already."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def make_folder(path: str) -> None:
    """The folder and its missing parents, for the owner only. Raises OSError."""
    if not os.path.isdir(path):
        make_folder(os.path.dirname(os.path.abspath(path)))
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.mkdir(path, 0o700)


def sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _present(folder: str) -> Iterator[str]:
    """What lies in the folder besides the manifest and later attempts; a link to a folder counts as a file."""
    for place, folders, files in os.walk(folder):
        at = os.path.relpath(place, folder)
        if at == ".":
            folders[:] = [name for name in folders if not ATTEMPT.fullmatch(name)]
            files = [name for name in files if name not in (MANIFEST, SIGNATURE, SIGNATURE_DRAFT)]
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        yield from (os.path.normpath(os.path.join(at, name)) for name in (*files, *links))


def _parts(path: str) -> Iterable[bytes]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "is not a regular file")
        while part := os.read(descriptor, CHUNK):
            yield part
    finally:
        os.close(descriptor)


def read_own(path: str, limit: int) -> bytes:
    """A file of ours. Raises OSError, and ValueError where it is longer than ``limit``."""
    kept = b""
    for part in _parts(path):
        kept += part
        if len(kept) > limit:
            raise ValueError("is longer than any of ours")
    return kept


def _reason(error: Exception) -> str:
    words = getattr(error, "strerror", None)
    return words.lower() if words else str(error)
