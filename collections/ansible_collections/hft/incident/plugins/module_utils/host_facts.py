# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What is read on a host: ends of files, a process, the kernel's log. Only reads, bounded in bytes and in time."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from typing import NamedTuple

from .errors import UsageError
from .log_lines import Tail

#: One record of the kernel's log is not longer (bytes; CONSOLE_EXT_LOG_MAX), and no kernel keeps more of them.
_RECORD, _RECORDS = 8192, 200_000
_SMALL = 64 * 1024


class ProcessFacts(NamedTuple):
    """A living process, from ``/proc``; what may not be seen is None. ``state`` as proc(5) has it."""

    pid: int
    name: str
    state: str
    threads: int | None
    resident_bytes: int | None
    waits_in: str | None  #: the kernel's function that it sleeps in
    open_files: int | None
    folder: str | None  #: its working directory


def require_absolute(option: str, paths: Sequence[str]) -> None:
    """Raises UsageError for a relative path: what it means depends on where somebody stands (seed-faults F7)."""
    for path in paths:
        if not path.startswith("/"):
            raise UsageError(f"{option}: {path!r} is not an absolute path")


def read_tail(path: str, most: int) -> Tail:
    """The last ``most`` bytes of a regular file, however large it is; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would wait for its writer
    with open(descriptor, "rb") as file:
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode):
            raise OSError(0, "it is not a regular file")
        offset = max(0, seen.st_size - most)
        file.seek(offset)
        return Tail(path, file.read(most), offset)


def read_small(path: str) -> str:
    """A file of ``/proc`` or ``/sys``; raises OSError."""
    with open(path, "rb") as file:
        return file.read(_SMALL).decode("utf-8", "replace")


def process_facts(pid: int, proc: str = "/proc") -> ProcessFacts | None:
    """None where there is no such process, or only what is left of it (a zombie)."""
    folder = f"{proc}/{pid}"
    try:
        status = dict(line.partition(":")[::2] for line in read_small(f"{folder}/status").splitlines())
    except OSError:
        return None
    state = status.get("State", "").strip()[:1]
    if state in ("", "Z", "X"):
        return None
    return ProcessFacts(
        pid,
        status.get("Name", "").strip(),
        state,
        _number(status.get("Threads")),
        _kilobytes(status.get("VmRSS")),
        _waits_in(folder),
        _entries(f"{folder}/fd"),
        _target(f"{folder}/cwd"),
    )


def _waits_in(folder: str) -> str | None:
    try:
        name = read_small(f"{folder}/wchan").strip()
    except OSError:
        return None
    return None if name in ("", "0") else name


def _entries(folder: str) -> int | None:
    try:
        return len(os.listdir(folder))
    except OSError:
        return None


def _target(link: str) -> str | None:
    try:
        return os.readlink(link)
    except OSError:
        return None


def _number(text: str | None) -> int | None:
    words = (text or "").split()
    return int(words[0]) if words and words[0].isascii() and words[0].isdigit() else None


def _kilobytes(text: str | None) -> int | None:
    number = _number(text)
    return None if number is None else number * 1024


def monotonic_zero() -> float:
    """When the monotonic clock, which the kernel and systemd count by, stood at 0 (s since the epoch)."""
    return time.time() - time.monotonic()


def kernel_records(path: str = "/dev/kmsg") -> list[bytes]:
    """What the kernel's log holds, the oldest first; raises OSError where it may not be read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    records: list[bytes] = []
    try:
        while len(records) < _RECORDS:
            try:
                record = os.read(descriptor, _RECORD)
            except BlockingIOError:
                break
            except BrokenPipeError:  # it was overwritten while we read; the next one is there
                continue
            if not record:
                break
            records.append(record)
    finally:
        os.close(descriptor)
    return records
