# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A copy of files that an intruder may control, for an unprivileged user to look at; gone when the look is over.

Source: seed-faults A6 (nothing is looked at in place, nor as root). Every folder is entered by its descriptor and no
link is followed, so that nothing outside the tree is copied, whoever moves things while we walk.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from .deadline import Deadline
from .host_command import Ran
from .host_command import run as run_command

CHUNK = 1024 * 1024
#: The environment of what looks at the copy: nothing of ours, in which an intruder may have had a say.
ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "HOME": "/nonexistent"}
UNPRIVILEGED = "nobody"


class Limits(NamedTuple):
    """Of everything in one copy."""

    files: int = 20_000
    total_bytes: int = 512 * 1024 * 1024
    file_bytes: int = 128 * 1024 * 1024


class PrivateCopy:
    """A folder of mode 0700 that belongs to the unprivileged user, where we are root; else to ourselves."""

    def __init__(self, folder: str, owner: tuple[int, int] | None, limits: Limits) -> None:
        self.folder = folder
        self.owner = owner
        self.incomplete: list[str] = []  #: why something is not in it, a sentence each
        self.left_out: list[str] = []  #: what was not wanted
        self._files, self._bytes = limits.files, limits.total_bytes
        self._file_bytes = limits.file_bytes

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def make(self, name: str) -> str:
        """A folder in it."""
        path = self.path(name)
        os.mkdir(path, 0o700)
        self._give(path)
        return path

    def take(self, source: str, name: str, deadline: Deadline, *, without: str = "") -> None:
        """Copy a file, or a folder with all below it but what is called ``without``; raises OSError where the source
        itself cannot be read, TimeoutError at the deadline."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(source, flags)
        try:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                self._folder(descriptor, source, self.make(name), deadline, without)
            else:
                self._file(descriptor, source, self.path(name), deadline)
        finally:
            os.close(descriptor)

    def run(self, argv: list[str], *, timeout: float, env: dict[str, str] | None = None, **how: object) -> Ran:
        """A program that looks at the copy, unprivileged and with an environment of its own."""
        return run_command(argv, timeout=timeout, env={**ENVIRONMENT, **(env or {})}, owner=self.owner, **how)  # type: ignore[arg-type]  # as run has them

    def _folder(self, descriptor: int, source: str, into: str, deadline: Deadline, without: str) -> None:
        for name in sorted(os.listdir(descriptor)):
            if name == without:
                self.left_out.append(f"{source}/{name}")
                continue
            if deadline.expired():
                raise TimeoutError(f"there was no time to copy all of {source}")
            if self._files <= 0:
                self._missing(source, "there are too many files")
                return
            self._files -= 1
            try:
                self._entry(descriptor, name, source, into, deadline, without)
            except OSError as error:
                if isinstance(error, TimeoutError):
                    raise
                self._missing(f"{source}/{name}", error.strerror or str(error))

    def _entry(self, parent: int, name: str, source: str, into: str, deadline: Deadline, without: str) -> None:
        path, copy = f"{source}/{name}", os.path.join(into, name)
        mode = os.lstat(name, dir_fd=parent).st_mode
        if stat.S_ISLNK(mode):
            os.symlink(os.readlink(name, dir_fd=parent), copy)
            if self.owner:
                os.lchown(copy, *self.owner)
            return
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # to open a device is to use it
            self._missing(path, "it is neither a file, a folder nor a link")
            return
        child = _open(name, parent)
        try:
            seen = os.fstat(child).st_mode
            if stat.S_ISDIR(seen):
                os.mkdir(copy, 0o700)
                self._give(copy)
                self._folder(child, path, copy, deadline, without)
            else:
                self._file(child, path, copy, deadline)
        finally:
            os.close(child)

    def _file(self, descriptor: int, source: str, copy: str, deadline: Deadline) -> None:
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode):
            self._missing(source, "it is no regular file")
            return
        if seen.st_size > min(self._file_bytes, self._bytes):
            self._missing(source, f"its {seen.st_size} bytes are too many")
            return
        # Nobody runs it: the mode only says whether the original was a program.
        descriptor_of_copy = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor_of_copy, "wb") as into:
            left = seen.st_size
            while left:
                if deadline.expired():
                    raise TimeoutError(f"there was no time to copy all of {source}")
                part = os.read(descriptor, min(CHUNK, left))
                if not part:
                    break  # it became shorter
                into.write(part)
                left -= len(part)
            self._bytes -= seen.st_size - left
            if seen.st_mode & stat.S_IXUSR:
                os.fchmod(into.fileno(), 0o700)
            if self.owner:
                os.fchown(into.fileno(), *self.owner)

    def _give(self, path: str) -> None:
        if self.owner:
            os.chown(path, *self.owner)

    def _missing(self, path: str, why: str) -> None:
        self.incomplete.append(f"{path} is not looked at: {why}")


def _open(name: str, parent: int) -> int:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        return os.open(name, flags | os.O_NOATIME, dir_fd=parent)
    except PermissionError:  # only its owner may read without leaving a trace
        return os.open(name, flags, dir_fd=parent)


@contextmanager
def private_copy(limits: Limits | None = None) -> Iterator[PrivateCopy]:
    """An empty one, removed at the end whatever happens."""
    folder = tempfile.mkdtemp(prefix="hft-audit-")  # 0700
    try:
        owner = unprivileged()
        if owner:
            os.chown(folder, *owner)
        yield PrivateCopy(folder, owner, limits or Limits())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unprivileged() -> tuple[int, int] | None:
    """Whom to look as, where we may choose: user and group ``nobody``. None: as we are, which is not root."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        return 65534, 65534
    return entry.pw_uid, entry.pw_gid
