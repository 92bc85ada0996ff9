# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What changed on a host lately: files by their times, packages by their managers' logs (seed-faults B7).

A release is a leading cause of a crash, so this is listed at once and not only when the crash comes back.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .log_lines import Tail, iso, time_of

#: So many files and folders are looked at, and so many changes told, at the most.
LOOKED_AT, TOLD = 20_000, 200
#: The lines that tell of a change: dpkg's and dnf's own; of apt's history the command, whose time stands above it.
_PACKAGES = re.compile(
    r"^\S+ \S+ (?:install|upgrade|remove|purge) |^Commandline: "
    r"|\b(?:Installed|Upgraded?|Erased|Removed|Downgraded?): \S"
)
_APT_START = re.compile(r"^Start-Date: +(.*)$")


class ChangedFile(NamedTuple):
    """``modified_at``: its content; ``changed_at``: also its name, its owner, its rights. Newest first."""

    path: str
    sort: str  #: file, folder (something in it was made, renamed or removed) or link
    size_bytes: int
    modified_at: str | None
    changed_at: str | None


class Changes(NamedTuple):
    files: tuple[ChangedFile, ...]
    truncated: bool
    unseen: tuple[str, ...]  #: sentences


class PackageChange(NamedTuple):
    at: str | None
    line: str
    source: str


def changed_files(paths: Sequence[str], since: float) -> Changes:
    """What lies at or below ``paths`` and changed at or after ``since``; links are not followed."""
    found: list[tuple[float, ChangedFile]] = []
    unseen: list[str] = []
    for looked_at, (path, seen) in enumerate(_below(paths, unseen)):
        if looked_at >= LOOKED_AT:
            unseen.append(f"more than {LOOKED_AT} files are watched; the rest was not looked at")
            break
        at = max(seen.st_mtime, seen.st_ctime)
        if at >= since:
            times = iso(seen.st_mtime), iso(seen.st_ctime)
            found.append((at, ChangedFile(path, _sort(seen.st_mode), seen.st_size, *times)))
    found.sort(key=lambda pair: -pair[0])
    files = [file for _at, file in found]
    explained = {os.path.dirname(file.path) for file in files}
    told = [file for file in files if not (file.sort == "folder" and file.path in explained)]
    return Changes(tuple(told[:TOLD]), len(told) > TOLD, tuple(unseen))


def _below(paths: Sequence[str], unseen: list[str]) -> Iterator[tuple[str, os.stat_result]]:
    waiting = list(paths)
    while waiting:
        path = waiting.pop(0)
        try:
            seen = os.lstat(path)
            yield path, seen
            if stat.S_ISDIR(seen.st_mode):
                waiting.extend(sorted(entry.path for entry in os.scandir(path)))
        except OSError as error:
            unseen.append(f"{path}: {error.strerror or error}")


def _sort(mode: int) -> str:
    return "folder" if stat.S_ISDIR(mode) else "link" if stat.S_ISLNK(mode) else "file"


def package_changes(tails: Iterable[Tail], since: float, now: float) -> list[PackageChange]:
    """The newest first. A line without a time of its own has that of the entry that it belongs to."""
    found: list[tuple[float, PackageChange]] = []
    for tail in tails:
        at: float | None = None
        for line in tail.data.decode("utf-8", "replace").splitlines():
            started = _APT_START.match(line)
            own = time_of(started[1] if started else line, now)
            at = own if own is not None else at
            if at is not None and at >= since and _PACKAGES.search(line):
                found.append((at, PackageChange(iso(at), line[:500], tail.path)))
    return [change for _at, change in sorted(found, key=lambda pair: -pair[0])][:TOLD]
