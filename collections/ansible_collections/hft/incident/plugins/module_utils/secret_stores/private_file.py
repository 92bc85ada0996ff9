# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Files that only we can read: what they may be, how they are replaced as a whole, and how one locks out another."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator

from ..deadline import Deadline
from ..run_lock import myself
from .api import Busy, StoreError

MAX_BYTES = 1024 * 1024
#: How long (s) a single read or write waits for another one; how often it is tried.
GUARD_S, POLL_S = 5.0, 0.02


def check_folder(folder: str, *, make: bool = False) -> None:
    """Raises StoreError where others could read or change what is in it, or it is not there (and not to be made)."""
    if make:
        with contextlib.suppress(FileExistsError):  # whose it is, is looked at next
            os.mkdir(folder, 0o700)
    try:
        found = os.lstat(folder)
    except OSError as error:
        raise StoreError(f"secret_store: {folder}: {(error.strerror or 'error').lower()}") from None
    if not stat.S_ISDIR(found.st_mode):
        raise StoreError(f"secret_store: {folder} is not a folder (a link to one is none)")
    _check_owner(folder, found, 0o700)


def read(path: str) -> bytes | None:
    """What is in it; None where there is no such file. Raises StoreError where it is not ours alone."""
    try:
        # Non-blocking, so that a pipe in its place cannot hold us up.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        why = "it is a link" if os.path.islink(path) else (error.strerror or "error").lower()
        raise StoreError(f"{path} cannot be read: {why}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise StoreError(f"{path} is not a file of its own: put a plain one in its place")
        _check_owner(path, found, 0o600)
        data = os.read(descriptor, MAX_BYTES + 1)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {(error.strerror or 'error').lower()}") from None
    finally:
        os.close(descriptor)
    if len(data) > MAX_BYTES:
        raise StoreError(f"{path} is too large to be a secret")
    return data


def replace(path: str, data: bytes) -> None:
    """All or nothing, and on the disk: a crash leaves the old file or the new one. Raises StoreError."""
    folder, temporary = os.path.dirname(path), temporary_of(path)
    try:
        with contextlib.suppress(FileNotFoundError):  # nothing was left
            os.unlink(temporary)  # left by one that was killed here
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(descriptor, 0o600)  # whatever the umask
                os.fsync(descriptor)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):  # the failure itself is raised
                os.unlink(temporary)
            raise
        _sync(folder)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {(error.strerror or 'error').lower()}") from None


def remove(path: str) -> None:
    """It is gone, on the disk too, and what a killed one left beside it. Raises StoreError."""
    try:
        for name in (path, temporary_of(path)):
            with contextlib.suppress(FileNotFoundError):  # it is gone already
                os.unlink(name)
        _sync(os.path.dirname(path))
    except OSError as error:
        raise StoreError(f"{path} cannot be removed: {(error.strerror or 'error').lower()}") from None


def temporary_of(path: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.new")


@contextlib.contextmanager
def locked(path: str, deadline: Deadline, what: str) -> Iterator[None]:
    """The lock file ``path`` for one process (and thread) at a time; the kernel frees it when its holder dies.

    Raises Busy, naming who has it, at the deadline.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{path} cannot be locked: {(error.strerror or 'error').lower()}") from None
    try:
        while not _taken(descriptor):
            if deadline.expired():
                raise Busy(f"{what} is being worked on by {_holder(descriptor)}; try again when that has ended")
            time.sleep(POLL_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(myself("")._asdict()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def guarded(folder: str) -> Iterator[None]:
    """One at a time compares and writes in this folder. Raises StoreError where another one does not end."""
    deadline = Deadline(GUARD_S)
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(f"secret_store: {folder}: {(error.strerror or 'error').lower()}") from None
    try:
        while not _taken(descriptor):
            if deadline.expired():
                raise StoreError(f"another process has locked {folder} for {GUARD_S:g} s")
            time.sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
        return f"{found['user']} (process {found['pid']} on {found['host']}, since {found['since']})"
    except (ValueError, TypeError, KeyError, OSError):
        return "somebody"


def _check_owner(path: str, found: os.stat_result, mode: int) -> None:
    if found.st_uid != os.geteuid():
        raise StoreError(f"{path} belongs to another user; chown it to the one who runs this")
    if stat.S_IMODE(found.st_mode) & ~mode:
        raise StoreError(f"{path} is open to others; chmod {mode:o} it")


def _sync(folder: str) -> None:
    """A new name in a folder is on the disk only once the folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
