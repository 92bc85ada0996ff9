# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Where the core dump of a crash is. It is found and never read: it holds whatever secret the process held.

Sources: core(5); coredumpctl(1); seed-faults B4 (``/tmp/core.*`` is right for some patterns only; a service with
``PrivateTmp=`` has its own ``/tmp``; in a container the host's handler takes it).
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .log_lines import iso

#: How the kernel hands a core dump over, by the first character of its pattern.
FILE, HANDLER, SOCKET, NOWHERE = "file", "handler", "socket", "nowhere"
#: Where handlers other than systemd's leave what they are given.
FOLDERS = {"apport": "/var/crash", "abrt-hook-ccpp": "/var/spool/abrt"}
SYSTEMD_HANDLER = "systemd-coredump"
IN_CONTAINER = ("/run/systemd/container", "/.dockerenv", "/run/.containerenv")
#: A file that is so much (s) older than the process may have a rounded time.
SLACK_S = 1.0
_SPECIFIER = re.compile(r"%(.)", re.DOTALL)
_NUMBERS = frozenset("pPiIugdstcCF")
_PIDS = frozenset("pP")


class Plan(NamedTuple):
    """``folders`` (patterns for glob, empty where no file is written) and ``name`` of the files; ``handler``: the
    program's name."""

    how: str
    folders: tuple[str, ...] = ()
    name: re.Pattern[str] | None = None
    handler: str = ""


class Core(NamedTuple):
    """A core dump. ``size_bytes``: as it lies there, None where it cannot be seen; ``pid``: by its name or handler."""

    path: str
    size_bytes: int | None
    modified_at: str | None
    pid: int | None


def plan_of(pattern: str, uses_pid: bool, folder: str, private_tmp_of: str = "") -> Plan:
    """What ``kernel.core_pattern`` means for a process in ``folder`` (absolute).

    ``uses_pid``: ``kernel.core_uses_pid``; ``private_tmp_of``: the unit, where it has a ``/tmp`` of its own.
    """
    pattern = pattern.strip()
    if not pattern:
        return Plan(NOWHERE)
    if pattern[0] == "|":
        return Plan(HANDLER, handler=os.path.basename(pattern[1:].split(" ")[0]))
    if pattern[0] == "@":
        return Plan(SOCKET, handler=pattern.lstrip("@"))
    if uses_pid and not re.search(r"%[pP]", pattern):
        pattern += ".%p"
    where, name = os.path.split(pattern)
    where = os.path.join(folder, where).rstrip("/") or "/"
    folders = [_SPECIFIER.sub("*", glob.escape(where))]
    for tmp in ("/tmp", "/var/tmp"):  # noqa: S108  # where a core dump may lie
        if private_tmp_of and (f"{where}/").startswith(f"{tmp}/"):
            folders.append(f"{tmp}/systemd-private-*-{glob.escape(private_tmp_of)}-*/tmp{folders[0][len(tmp) :]}")
    return Plan(FILE, tuple(folders), re.compile(_name_regex(name)))


def _name_regex(name: str) -> str:
    parts, kept, seen_pid = [], 0, False
    for found in _SPECIFIER.finditer(name):
        parts.append(re.escape(name[kept : found.start()]))
        kept = found.end()
        if found[1] in _PIDS and not seen_pid:
            seen_pid = True
            parts.append(r"(?P<pid>\d+)")
        else:
            parts.append("%" if found[1] == "%" else r"\d+" if found[1] in _NUMBERS else r"[^/]*")
    return "".join((*parts, re.escape(name[kept:]).rstrip("%")))


def find(folders: Iterable[str], name: re.Pattern[str] | None, pid: int | None, since: float | None) -> list[Core]:
    """The files of this crash, the likeliest first; one that is named for another process is another crash's. A
    folder that cannot be read holds none that we can see."""
    cores = [core for pattern in folders for folder in sorted(glob.glob(pattern)) for core in _in(folder, name, since)]
    ours = [core for core in cores if None in (pid, core.pid) or core.pid == pid]
    return sorted(ours, key=lambda core: (core.pid != pid, -_moment(core.path)))


def _in(folder: str, name: re.Pattern[str] | None, since: float | None) -> list[Core]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return []
    found = []
    for entry in entries:
        match = name.fullmatch(entry.name) if name else None
        if name and not match:
            continue
        try:
            seen = entry.stat(follow_symlinks=False)
        except OSError:
            continue  # it went away
        if stat.S_ISREG(seen.st_mode) and (since is None or seen.st_mtime + SLACK_S >= since):
            named = match.groupdict().get("pid") if match else None
            found.append(Core(entry.path, seen.st_size, iso(seen.st_mtime), int(named) if named else None))
    return found


def _moment(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def in_container(marks: Sequence[str] = IN_CONTAINER) -> bool:
    return any(os.path.exists(mark) for mark in marks)


_FIELD = re.compile(r"^ *(PID|Storage|Coredump): *(.*)$", re.MULTILINE)
_STORED = re.compile(r"^(/.*?)(?: \((\w+)\))?$")


def stored(output: str) -> list[Core]:
    """``coredumpctl info``: the newest first, as it is asked for; those that are no longer there have no size."""
    cores: list[Core] = []
    pid: int | None = None
    for field in _FIELD.finditer(output):
        if field[1] == "PID":
            number = field[2].split(" ")[0]
            pid = int(number) if number.isascii() and number.isdigit() and len(number) < 20 else None
            continue
        path = _STORED.match(field[2].strip())
        if path:
            cores.append(_seen(path[1], pid))
    return cores


def _seen(path: str, pid: int | None) -> Core:
    try:
        seen = os.stat(path)
    except (OSError, ValueError):
        return Core(path, None, None, pid)
    return Core(path, seen.st_size, iso(seen.st_mtime), pid)
