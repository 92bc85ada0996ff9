# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The hold file: the part of the latch that survives the trading process, its restarts and a reboot of its host.

That it is there is all that counts for those who heed it: ``AssertPathExists=!`` of the unit, and the trading system.
Its lines say who holds, one JSON object a line, ``{"incident", "reason", "by", "at"}`` (``at`` in UTC): of two
incidents that hold, both must let go before the file goes. A line that says nothing of that kind was not written here;
somebody holds by hand, and only by hand can it be taken away.

Source: seed-faults B2 and B3 (a persistent path, not under /run; why a unit is not masked instead).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from .deadline import Deadline
from .errors import UnprovenError, UsageError

SCOPES = ("all", "exchange", "strategy")
BY_HAND = ""
#: How long (s) to wait for another one who is changing the file.
LOCK_S = 5.0
MAX_BYTES = 256 * 1024
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:-]*")


class Hold(NamedTuple):
    """One line. ``incident`` is "" where the file says none (held by hand); ``line`` is kept as it was found."""

    incident: str
    reason: str = ""
    by: str = ""
    at: str = ""
    line: str = ""

    def shown(self) -> dict[str, str]:
        return {"incident": self.incident, "reason": self.reason, "by": self.by, "at": self.at}


class Look(NamedTuple):
    """``state``: closed (the file is there), open, or unknown, with the ``error`` that hides it."""

    state: str
    holds: tuple[Hold, ...] = ()
    error: str = ""

    def shown(self) -> dict[str, Any]:
        holders: dict[str, dict[str, str]] = {}
        for hold in self.holds:
            holders.setdefault(hold.incident, hold.shown())
        return {"state": self.state, "holders": list(holders.values()), "error": self.error}


def path_of(hold_file: str, scope: str, name: str | None) -> str:
    """Where the hold of this scope is. Raises UsageError for a path or a name that cannot be one."""
    if not os.path.isabs(hold_file) or hold_file.endswith("/"):
        raise UsageError(f"hold_file: {hold_file!r} is not the absolute path of a file")
    if scope == "all":
        if name:
            raise UsageError("name: only with scope exchange or strategy")
        return hold_file
    if not _NAME.fullmatch(name or ""):
        raise UsageError(f"name: {name!r} is not the name of a {scope}")
    return f"{hold_file}.d/{scope}-{name}"


def look(path: str) -> Look:
    """Whether there is a hold; never an error, and never "open" where it cannot be seen."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Look("open")
    except OSError as error:
        return Look("unknown", error=f"{path}: {error.strerror}")
    if stat.S_ISLNK(found.st_mode):
        # What it points to decides whether the unit may start, and somebody else decides where it points.
        return Look("unknown", error=f"{path} is a symbolic link, which is not followed; put a file in its place")
    if not stat.S_ISREG(found.st_mode):
        return Look("closed", (Hold(BY_HAND, "not a regular file"),))
    return Look("closed", _read(path))


def close(path: str, hold: Hold, *, check: bool = False) -> tuple[Look, Look]:
    """Hold, and stay with an older hold of the same incident; before and after.

    Raises UnprovenError where the file is not on the disk afterwards.
    """

    def add(before: Look) -> tuple[Hold, ...]:
        held = any(other.incident == hold.incident for other in before.holds)
        return before.holds if held else (*before.holds, hold)

    return _change(path, add, check=check)


def release(path: str, incidents: Iterable[str], *, check: bool = False) -> tuple[Look, Look]:
    """Let go of what these incidents hold, and of nothing else; before and after.

    Raises UnprovenError where that is not on the disk afterwards.
    """
    names = set(incidents) - {BY_HAND}
    return _change(path, lambda before: tuple(hold for hold in before.holds if hold.incident not in names), check=check)


def _change(path: str, change: Callable[[Look], tuple[Hold, ...]], *, check: bool) -> tuple[Look, Look]:
    try:
        if check or (look(path).state == "open" and not change(Look("open"))):
            return _changed(path, change, write=False)
        folder = os.path.dirname(path)
        _make_folder(folder)
        with _locked(folder):
            return _changed(path, change, write=True)
    except OSError as error:
        raise UnprovenError(f"the hold file {path} cannot be changed: {error.strerror or error}") from error


def _changed(path: str, change: Callable[[Look], tuple[Hold, ...]], *, write: bool) -> tuple[Look, Look]:
    before = look(path)
    if before.state == "unknown":
        raise UnprovenError(f"the hold file is not changed: {before.error}")
    holds = change(before)
    if holds == before.holds:
        return before, before
    if not write:
        return before, Look("closed" if holds else "open", holds)
    if holds:
        _write(path, holds)
    else:
        os.unlink(path)
        _sync(os.path.dirname(path))
    after = look(path)
    if after.holds != tuple(hold._replace(line=_line(hold)) for hold in holds):
        raise UnprovenError(f"the hold file {path} does not hold what was written to it")
    return before, after


def _read(path: str) -> tuple[Hold, ...]:
    """At least one hold, whatever is in the file: that it is there is what counts."""
    try:
        # Not a link meanwhile, and no waiting for whom a pipe would need at its other end.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            text = file.read(MAX_BYTES).decode("utf-8", "surrogateescape")
    except OSError as error:
        return (Hold(BY_HAND, f"it cannot be read: {error.strerror}"),)
    lines = [line for line in text.split("\n") if line.strip()]
    return tuple(map(_hold, lines)) or (Hold(BY_HAND, "an empty file"),)


def _hold(line: str) -> Hold:
    try:
        said = json.loads(line)
        incident = said["incident"]
    except (ValueError, TypeError, KeyError, RecursionError):
        incident = None
    if not isinstance(incident, str):
        return Hold(BY_HAND, "not written by an incident", line=line)
    reason, by, at = (str(said.get(key) or "") for key in ("reason", "by", "at"))
    return Hold(incident, reason, by, at, line)


def _line(hold: Hold) -> str:
    return hold.line or json.dumps(hold.shown(), sort_keys=True)


def _write(path: str, holds: Iterable[Hold]) -> None:
    """All or nothing, and on the disk: a crash or a reboot leaves the old file or the new one."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.new")
    data = "".join(f"{_line(hold)}\n" for hold in holds).encode("utf-8", "surrogateescape")
    with contextlib.suppress(FileNotFoundError):  # nothing was left
        os.unlink(temporary)  # left by one that was killed here; whoever holds the lock may
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(fd, 0o644)  # whatever the umask: the trading system must see it, under whichever user
            os.fsync(fd)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):  # the failure itself is raised
            os.unlink(temporary)
        raise
    _sync(folder)


def _make_folder(folder: str) -> None:
    if os.path.isdir(folder):
        return
    parent = os.path.dirname(folder)
    _make_folder(parent)
    with contextlib.suppress(FileExistsError):  # somebody was faster
        os.mkdir(folder, 0o755)
    _sync(parent)


def _sync(folder: str) -> None:
    """A new name in a folder is on the disk only once the folder is."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """One at a time reads, decides and writes; the kernel frees the lock of one that dies."""
    deadline = Deadline(LOCK_S)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if deadline.expired():
                    raise UnprovenError(f"another process has locked {folder} for {LOCK_S:g} s") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(fd)
