# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A tree as one tar file, the same for the same tree, whoever owns the tree and whatever is done to it meanwhile.

Sorted by the bytes of its names, owners by number, times to the nanosecond, attributes and access lists as PAX headers;
no name is absolute. Every step down is taken from the folder above it, without following a link, so that a folder that
becomes a link leads nowhere. What is no file, folder or link is noted and never opened. What could not be had is noted.
"""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from .deadline import Deadline
from .evidence_manifest import CHUNK

Row = dict[str, Any]

#: So deep, so many names of one tree, and so many notes are kept; what is beyond them is noted as a number.
MAX_DEPTH, MAX_ENTRIES, MAX_NOTES = 200, 200_000, 200
#: What a member and the end of the file may need beside its content (bytes).
OVERHEAD = 32 * 1024
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def write_tree(root: str, into: IO[bytes], limit: int, file_limit: int, deadline: Deadline) -> Row:
    """The tree (or the one file) at ``root`` as a tar file of ``limit`` bytes at most; what its manifest should know.

    ``file_limit``: a longer file is not in it. Raises OSError where there is no such tree. A link that is named is
    followed, one that is found is kept as a link.
    """
    path = os.path.realpath(root)
    top = os.lstat(path)
    # A pax name is read as UTF-8 where that goes; the rest stays the bytes that it was.
    with tarfile.open(
        fileobj=into, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape"
    ) as tar:
        archive = _Archive(tar, into, limit, file_limit, deadline, top.st_dev)
        parent = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            archive.add(parent, os.path.basename(path) or ".", os.path.basename(path) or "root")
        finally:
            os.close(parent)
    return archive.told(root, path)


class _Open(NamedTuple):
    """A folder on the way down: its descriptor, its name in the archive, and what is still to be added of it."""

    descriptor: int
    name: str
    left: Iterator[str]


class _Archive:
    def __init__(
        self, tar: tarfile.TarFile, into: IO[bytes], limit: int, file_limit: int, deadline: Deadline, device: int
    ) -> None:
        self._tar = tar
        self._into = into
        self._limit = limit
        self._file_limit = file_limit
        self._deadline = deadline
        self._device = device
        self._links: dict[tuple[int, int], str] = {}
        self._entries = 0
        self._lost = 0
        self._first_lost = ""
        self._notes: list[str] = []
        self._count = 0
        self._changed = False

    def told(self, root: str, path: str) -> Row:
        row: Row = {"entries": self._entries, "notes": self._notes, "notes_left_out": self._count - len(self._notes)}
        if path != os.path.abspath(root):
            row["real_path"] = _printable(path)
        first = f"{self._lost} are not in it, or not whole; the first: {self._first_lost}" if self._lost else None
        return {**row, "changed_while_read": self._changed, "truncated": bool(self._lost), "error": first}

    def add(self, parent: int, name: str, path: str) -> None:
        """Everything from here down, without recursion: how deep it is is for others to decide."""
        way: list[_Open] = []
        try:
            self._enter(way, parent, name, path)
            while way:
                here = way[-1]
                below = next(here.left, None)
                if below is None:
                    os.close(way.pop().descriptor)
                    continue
                if self._deadline.expired():
                    self._lose(here.name, "the time was up")
                    return
                if self._entries >= MAX_ENTRIES:
                    self._lose(here.name, f"more than {MAX_ENTRIES} names")
                    return
                self._enter(way, here.descriptor, below, f"{here.name}/{below}")
        finally:
            for opened in way:
                os.close(opened.descriptor)

    def _enter(self, way: list[_Open], parent: int, name: str, path: str) -> None:
        """One name; a folder is opened, and its names are next."""
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                self._folder(way, parent, name, path, status)
            elif stat.S_ISREG(status.st_mode):
                self._file(parent, name, path, status)
            elif stat.S_ISLNK(status.st_mode):
                member = self._member(path, status, tarfile.SYMTYPE)
                member.linkname = os.readlink(name, dir_fd=parent)
                self._put(member)
            else:
                kind = next((words for is_one, words in _KINDS if is_one(status.st_mode)), "no file")
                self._note(path, f"is {kind}, which is not opened")
        except OSError as error:
            self._lose(path, _reason(error))

    def _folder(self, way: list[_Open], parent: int, name: str, path: str, status: os.stat_result) -> None:
        self._put(self._member(path, status, tarfile.DIRTYPE))
        if status.st_dev != self._device:
            self._note(path, "is another file system, which is not entered")
            return
        if len(way) >= MAX_DEPTH:
            self._lose(path, f"deeper than {MAX_DEPTH} folders")
            return
        descriptor = os.open(name, _FOLDER, dir_fd=parent)
        try:
            self._require_same(status, os.fstat(descriptor))
            names = self._names(descriptor, path)
        except BaseException:
            os.close(descriptor)
            raise
        way.append(_Open(descriptor, path, iter(names)))

    def _names(self, descriptor: int, path: str) -> list[str]:
        """Sorted; of a folder that grows faster than it is read only so many."""
        found: list[str] = []
        with os.scandir(descriptor) as entries:
            for entry in entries:
                if len(found) >= MAX_ENTRIES or (len(found) % 1000 == 999 and self._deadline.expired()):
                    self._lose(path, f"more names than the {len(found)} that were read")
                    break
                found.append(entry.name)
        return sorted(found, key=os.fsencode)

    def _file(self, parent: int, name: str, path: str, status: os.stat_result) -> None:
        key = (status.st_dev, status.st_ino)
        if key in self._links:
            member = self._member(path, status, tarfile.LNKTYPE)
            member.linkname = self._links[key]
            self._put(member)
            return
        if status.st_size > self._file_limit or self._into.tell() + status.st_size + OVERHEAD > self._limit:
            sparse = (
                f", {status.st_blocks * 512} of them on the disk" if status.st_blocks * 512 < status.st_size else ""
            )
            limit = self._file_limit if status.st_size > self._file_limit else self._limit
            self._lose(path, f"is {status.st_size} bytes long{sparse}; the limit is {limit}")
            return
        descriptor = _open(name, parent)
        try:
            before = os.fstat(descriptor)
            self._require_same(status, before)
            member = self._member(path, before, tarfile.REGTYPE, descriptor)
            member.size = before.st_size
            content = _Content(descriptor, before.st_size, self._deadline)
            self._put(member, content)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if content.missing:
            self._lose(path, f"{content.missing} bytes of it could not be read any more, and are zeros here")
        if _state(before) != _state(after):
            self._changed = True
            self._note(path, "changed while it was read")
        if before.st_nlink > 1:
            self._links[key] = path

    def _member(self, path: str, status: os.stat_result, kind: bytes, descriptor: int | None = None) -> tarfile.TarInfo:
        member = tarfile.TarInfo(path)
        member.type = kind
        member.mode = stat.S_IMODE(status.st_mode)
        member.uid, member.gid = status.st_uid, status.st_gid
        seconds, nanoseconds = divmod(status.st_mtime_ns, 10**9)
        member.pax_headers = {"mtime": f"{seconds}.{nanoseconds:09d}"}
        if descriptor is not None:
            member.pax_headers.update(_attributes(descriptor))
        return member

    def _put(self, member: tarfile.TarInfo, content: _Content | None = None) -> None:
        if self._into.tell() + OVERHEAD > self._limit:
            raise OSError(errno.EFBIG, "there is room for no more")
        self._tar.addfile(member, content)  # type: ignore[arg-type]  # it needs nothing of a file but read()
        self._entries += 1

    @staticmethod
    def _require_same(seen: os.stat_result, opened: os.stat_result) -> None:
        if _identity(seen) != _identity(opened):
            raise OSError(errno.ESTALE, "became another one while it was looked at")

    def _lose(self, path: str, why: str) -> None:
        self._lost += 1
        self._first_lost = self._first_lost or f"{_printable(path)}: {why}"
        self._note(path, why)

    def _note(self, path: str, what: str) -> None:
        self._count += 1
        if len(self._notes) < MAX_NOTES:
            self._notes.append(f"{_printable(path)}: {what}")


class _Content:
    """Exactly as many bytes as the header has said: what cannot be read any more is zeros, and is counted."""

    def __init__(self, descriptor: int, size: int, deadline: Deadline) -> None:
        self._descriptor = descriptor
        self._left = size
        self._deadline = deadline
        self.missing = 0

    def read(self, size: int) -> bytes:
        wanted = min(size, self._left)
        data = b"" if self.missing or self._deadline.expired() else self._some(wanted)
        self._left -= wanted
        self.missing += wanted - len(data)
        return data + bytes(wanted - len(data))

    def _some(self, wanted: int) -> bytes:
        parts: list[bytes] = []
        while wanted:
            try:
                part = os.read(self._descriptor, min(CHUNK, wanted))
            except OSError:
                break
            if not part:
                break
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts)


def _open(name: str, parent: int) -> int:
    try:
        return os.open(name, _READ | os.O_NOATIME, dir_fd=parent)
    except PermissionError:  # only its owner may read without leaving a trace
        return os.open(name, _READ, dir_fd=parent)


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_dev, status.st_ino, stat.S_IFMT(status.st_mode)


def _attributes(descriptor: int) -> Iterator[tuple[str, str]]:
    """As GNU tar and star have them; access lists are attributes, too. A file system without them has none."""
    try:
        names = sorted(os.listxattr(descriptor))
    except OSError:
        return
    for name in names:
        try:
            value = os.getxattr(descriptor, name)
        except OSError:
            continue
        yield f"SCHILY.xattr.{name}", value.decode("utf-8", "surrogateescape")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _printable(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
