# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The journal of one incident: an append-only, hash-chained file of events.

Source: contracts.md, "The journal". The rules are in ``chain``; this is the file. An event is on disk when ``append``
returns, and not before. Any number of threads and processes may append at once.

A crash can leave half a line at the end. The next append moves those bytes to ``journal.torn`` beside the file,
records ``journal.torn_line`` and goes on from the last good line. A last line that is complete but wrong was altered,
not torn: the next append records ``journal.alteration_found`` and goes on, since losing the new event would be worse,
and ``verify`` keeps saying where the chain was broken.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, NamedTuple

from . import chain
from .chain import Event, Verification
from .errors import IncidentError
from .redaction import iso_utc

FILE_NAME = "journal.jsonl"
TORN_NAME = "journal.torn"
_TAIL_BYTES = 16 * 1024
#: An event takes milliseconds to write; who waits this long (s) waits for a process that does not go on.
LOCK_PATIENCE_S, LOCK_POLL_S = 10.0, 0.002


class _Read(NamedTuple):
    """What was read of a journal: every event up to byte ``end``, where the line ``last`` ends."""

    path: str
    events: tuple[Event, ...]
    end: int
    last: bytes


#: The journal that this process read last, and with it every process that is forked afterwards. One is enough: that of
#: the incident at work, of which each of many hosts asks. Replaced as a whole, so that threads need no lock.
_last_read = _Read("", (), 0, b"")


class Journal:
    """The journal at ``path``; it and its folder come into being with the first event.

    Holds no file open, so it may be shared between threads and carried through a fork.
    """

    def __init__(self, path: str | os.PathLike[str], actor: str | None = None) -> None:
        self.path = os.fspath(path)
        self._actor = actor

    def append(self, kind: str, data: Mapping[str, Any], actor: str | None = None) -> Event:
        """Writes one event and returns it once it is on disk.

        Raises TypeError for data that is not JSON-able, ValueError for a kind that is not dotted, both before anything
        is written, and IncidentError when the file cannot be written.
        """
        return self.extend([(kind, data)], actor)[0]

    def extend(self, drafts: Iterable[tuple[str, Mapping[str, Any]]], actor: str | None = None) -> list[Event]:
        """Several events at the price of one: neighbors in the journal, flushed together; errors as ``append``."""
        checked = [chain.draft(kind, data) for kind, data in drafts]
        if not checked:
            return []
        by = actor or self._actor or actor_name()
        try:
            with _locked(self.path) as fd:
                return self._write(fd, checked, by)
        except OSError as error:
            raise IncidentError(f"cannot write the record {self.path}: {error.strerror or error}") from error

    def events(self) -> list[Event]:
        """Every event that can be read, in file order; ``verify`` says whether they are as they were written.

        What this process has read before is not read again: a line's hash stands for all lines before it.
        """
        global _last_read
        known = _last_read
        if known.path != self.path or not _is_still_there(known):
            known = _Read(self.path, (), 0, b"")
        fresh, end, last = self._read_on(known.end)
        known = _Read(self.path, known.events + tuple(fresh), end, last or known.last)
        _last_read = known
        return list(known.events)

    def read_from(self, offset: int) -> tuple[list[Event], int]:
        """The events from byte ``offset`` on (0, or what the last call returned) and where to go on next time.

        A line that is still being written is left for the next call; a journal not yet there has no events.
        """
        return self._read_on(offset)[:2]

    def _read_on(self, offset: int) -> tuple[list[Event], int, bytes]:
        """``read_from``, and the last line that was read; empty where there is no new one."""
        try:
            with open(self.path, "rb") as file:
                file.seek(offset)
                data = file.read()
        except FileNotFoundError:
            return [], offset, b""
        except OSError as error:
            raise IncidentError(f"cannot read the record {self.path}: {error.strerror or error}") from error
        tail = chain.split_tail(data)
        found = (chain.read_line(line)[0] for line in chain.lines(data[: tail.end]))
        return [event for event in found if event is not None], offset + tail.end, tail.last

    def _write(self, fd: int, drafts: list[tuple[str, Any]], actor: str) -> list[Event]:
        asked = len(drafts)
        size = os.fstat(fd).st_size
        tail = _tail(fd, size)
        link = chain.next_link(tail.last)
        seq, prev = link.seq or _count_lines(fd, tail.end) + 1, link.prev
        if link.fault:
            found = {"line_sha256": hashlib.sha256(tail.last).hexdigest(), "reason": link.fault}
            drafts = [(chain.ALTERATION_FOUND, found), *drafts]
        if tail.torn:
            self._set_aside(tail.torn)
            torn = {"bytes": len(tail.torn), "sha256": hashlib.sha256(tail.torn).hexdigest()}
            drafts = [(chain.TORN_LINE, torn), *drafts]
        events = []
        for kind, data in drafts:
            event = chain.sealed(seq, iso_utc(datetime.now(timezone.utc)), actor, kind, data, prev)
            events.append(event)
            seq, prev = event.seq + 1, event.hash
        _replace_from(fd, tail.end, b"".join(map(chain.to_line, events)))
        if size == 0:
            _sync_directory(os.path.dirname(self.path) or ".")
        return events[-asked:]

    def _set_aside(self, torn: bytes) -> None:
        """Keeps the bytes before they are written over; a crash in between keeps them twice, never not at all."""
        directory = os.path.dirname(self.path) or "."
        fd = os.open(os.path.join(directory, TORN_NAME), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _write_all(fd, torn + b"\n")
            os.fsync(fd)
        finally:
            os.close(fd)
        _sync_directory(directory)


def verify(path: str | os.PathLike[str]) -> Verification:
    """Whether the journal at ``path`` is intact, torn by a crash, or altered; see ``chain`` for what that can show.

    Raises IncidentError when there is no journal to read.
    """
    try:
        with _locked(os.fspath(path), write=False) as fd:
            data = _read(fd, 0, os.fstat(fd).st_size)
    except OSError as error:
        raise IncidentError(f"cannot read the record {os.fspath(path)}: {error.strerror or error}") from error
    return chain.check(data)


def actor_name() -> str:
    """Who acts, as ``user@host``: behind sudo the person, not root. Not from LOGNAME, which anyone can set."""
    import pwd  # not every reader of a journal acts

    user = os.environ.get("SUDO_USER", "") if os.geteuid() == 0 else ""
    if not user:
        try:
            user = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:  # a container with a user id of its own
            user = f"uid{os.getuid()}"
    return f"{user}@{os.uname().nodename}"


@contextmanager
def _locked(path: str, write: bool = True) -> Iterator[int]:
    """An open, locked file descriptor of the journal.

    flock belongs to the open file, so one opened per call excludes threads as well as processes, forked ones too; the
    kernel lets go of it when the holder dies.
    """
    if write:
        make_private_directory(os.path.dirname(path) or ".")
        flags, lock = os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX
    else:
        flags, lock = os.O_RDONLY, fcntl.LOCK_SH
    fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _lock(fd, lock)
        yield fd
    finally:
        os.close(fd)


def _lock(fd: int, lock: int) -> None:
    """A holder that was stopped (SIGSTOP, a disk that hangs) must not hang everybody else for good: OSError then."""
    until = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(fd, lock | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                held = f"another process has had it locked for {LOCK_PATIENCE_S:g} s"
                raise TimeoutError(errno.ETIMEDOUT, held) from None
            time.sleep(LOCK_POLL_S)
        else:
            return


def make_private_directory(path: str) -> None:
    """The folder and its missing parents, for the owner only, on disk when this returns."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(os.path.abspath(path))
    make_private_directory(parent)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:  # another process was faster
        return
    _sync_directory(parent)


def _tail(fd: int, size: int) -> chain.Tail:
    """The tail of the file, read backward in growing steps: an append costs the same however long the journal is."""
    want = _TAIL_BYTES
    while True:
        start = max(0, size - want)
        data = _read(fd, start, size - start)
        tail = chain.split_tail(data)
        whole_line = tail.end - len(tail.last) > 0  # it starts after a newline that was read too
        if whole_line or start == 0:
            return tail._replace(end=start + tail.end)
        want *= 4


def _count_lines(fd: int, end: int) -> int:
    return _read(fd, 0, end).count(b"\n")


def _read(fd: int, start: int, count: int) -> bytes:
    parts = []
    while count > 0 and (part := os.pread(fd, count, start)):
        parts.append(part)
        start, count = start + len(part), count - len(part)
    return b"".join(parts)


def _is_still_there(known: _Read) -> bool:
    """Whether the journal still has the last line that was read where it was; unreadable, it is read anew."""
    try:
        with open(known.path, "rb") as file:
            file.seek(known.end - len(known.last))
            return file.read(len(known.last)) == known.last
    except OSError:
        return False


def _replace_from(fd: int, end: int, data: bytes) -> None:
    """Writes ``data`` at ``end`` and drops whatever was behind it; on a full disk the file is left as it was."""
    os.lseek(fd, end, os.SEEK_SET)
    try:
        _write_all(fd, data)
        os.ftruncate(fd, end + len(data))
        os.fsync(fd)
    except OSError:
        os.ftruncate(fd, end)
        raise


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
