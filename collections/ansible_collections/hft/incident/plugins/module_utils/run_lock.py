# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""One living run per incident: a lock that says who holds it and that cannot go stale.

The kernel's flock on a file in the incident's folder; the kernel lets go of it when its holder dies, by ``kill -9``
too. The file's content only tells people who it is. Ansible's workers inherit the lock, so one that outlives a killed
run still holds it: nothing else may act while such a step does. It cannot report to anybody any more, so the next run
waits for it a moment and then ends it.

Pressing the red button needs no lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from .errors import UsageError
from .journal import actor_name
from .redaction import iso_utc

FILE_NAME = "run.lock"
#: How long a lock may be taken by somebody who only looks at it, or who is just ending (s); how often it is tried.
LOOK_S, POLL_S = 0.5, 0.05
#: How long a step that outlives its killed run may take to end by itself (s).
ORPHAN_GRACE_S = 2.0


class Owner(NamedTuple):
    """Who works on an incident: ``user`` as user@host, ``since`` UTC. ``born``: when the process started, in the
    kernel's ticks; with it a process id that was given to another process later is told apart."""

    user: str
    host: str
    pid: int
    born: int
    run: str
    since: str

    @property
    def is_here(self) -> bool:
        return self.host == os.uname().nodename

    @property
    def is_alive(self) -> bool:
        """Of a process on another host nobody here can tell, so it counts as alive."""
        return not self.is_here or (self.born != 0 and _born(self.pid) == self.born)

    def __str__(self) -> str:
        return f"{self.user} (process {self.pid} on {self.host}, since {self.since})"


UNKNOWN = Owner("somebody", os.uname().nodename, 0, 0, "", "an unknown time")


class RunLock:
    """The lock, held until ``release`` or until this process and its workers have ended."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    def release(self) -> None:
        if self._fd is not None:
            fcntl.flock(self._fd, fcntl.LOCK_UN)  # for the workers' copies of the descriptor, too
            os.close(self._fd)
            self._fd = None


def myself(run: str) -> Owner:
    """This process, as the owner of a lock."""
    return Owner(actor_name(), os.uname().nodename, os.getpid(), _born(os.getpid()), run, _now())


def acquire(directory: Path, run: str, on_orphans: Callable[[list[int]], None]) -> RunLock:
    """Takes the lock for a run of the incident in ``directory``.

    ``on_orphans`` gets the processes of a killed run that had to be ended first. Raises UsageError that names the
    owner, or that there is no place for a lock.
    """
    try:
        fd = os.open(directory / FILE_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise UsageError(f"cannot take {directory / FILE_NAME}: {error.strerror or error}") from error
    try:
        if not _locked(fd, LOOK_S):
            owner = _read(fd)
            if owner.is_alive:
                raise UsageError(busy(directory.name, owner))
            ended = _end_orphans(fd)
            if not _locked(fd, LOOK_S):
                raise UsageError(busy(directory.name, _read(fd)))
            if ended:
                on_orphans(ended)
        mine = myself(run)
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(mine._asdict()).encode(), 0)
    except BaseException:
        os.close(fd)
        raise
    return RunLock(fd)


def holder(directory: Path) -> Owner | None:
    """Who works on the incident in ``directory`` now; None: nobody, or only what is left of a run that was killed."""
    try:
        fd = os.open(directory / FILE_NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = _read(fd)
        return owner if owner.is_alive or owner == UNKNOWN else None
    finally:
        os.close(fd)
    return None


def busy(incident_id: str, owner: Owner) -> str:
    """The sentence for whoever has to wait."""
    go_on = f"`hft-incident resume {incident_id} --take-over` ends that run and goes on"
    where = go_on if owner.is_here else f"it can only be ended on {owner.host}"
    return f"{incident_id} is being worked on by {owner}; {where}"


def _locked(fd: int, patience: float) -> bool:
    until = time.monotonic() + patience
    while True:
        with suppress(BlockingIOError):  # somebody else has it
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() > until:
            return False
        time.sleep(POLL_S)


def _end_orphans(fd: int) -> list[int]:
    """Ends the workers of a dead run, which still have its lock open; those that took no notice of a moment's wait."""
    if _locked(fd, ORPHAN_GRACE_S):
        return []
    ended = []
    for pid in _holding(fd):
        with suppress(ProcessLookupError, PermissionError):  # it has ended, or is not ours to end
            os.kill(pid, signal.SIGKILL)
            ended.append(pid)
    return ended


def _holding(fd: int) -> list[int]:
    """Every other process that holds the lock through an inherited descriptor; not one that only wants it or looks.

    Empty where there is no /proc.
    """
    mine = os.fstat(fd)
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):  # a process that ends as we look holds nothing
            theirs = link.stat()
            if (theirs.st_dev, theirs.st_ino) == (mine.st_dev, mine.st_ino):
                told = link.parents[1].joinpath("fdinfo", link.name).read_text()
                found |= {int(link.parts[2])} if "FLOCK" in told else set()
    return sorted(found - {os.getpid()})


def _read(fd: int) -> Owner:
    """Whom the file names; UNKNOWN while its holder has not written that yet."""
    try:
        found: dict[str, Any] = json.loads(os.pread(fd, 4096, 0))
        return Owner(**{**found, "pid": int(found["pid"]), "born": int(found["born"])})
    except (ValueError, TypeError, KeyError):
        return UNKNOWN


def _born(pid: int) -> int:
    """When a process started, in ticks since the machine did; 0 where there is none (a zombie is none)."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return 0 if state in "ZX" else int(rest[18])
    except (OSError, ValueError, IndexError):
        return 0


def _now() -> str:
    return iso_utc(datetime.now(timezone.utc))
