# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Copying what the investigation of a crash needs from this host, the most volatile first, within a budget.

Source: seed-faults A3 (order of volatility, a time budget), A4 (nothing is overwritten), A5 (chain of custody), B4
(where a core dump is), B5 (journal, properties, version and configuration belong to it); RFC 3227.

Whatever is copied may be hostile, huge, growing, vanishing, unreadable or stuck: that is noted beside the item, and the
next item is copied all the same.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import platform
import pwd
import re
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import IO, Any, NamedTuple, cast

from . import host_command
from .bounded import in_time
from .deadline import Deadline
from .evidence_cipher import SUFFIX
from .evidence_manifest import CHUNK, create, make_folder, safe_name, sync
from .timestamps import utc_now
from .tree_archive import write_tree

Row = dict[str, Any]
#: Encrypts what it reads from the first into the second.
Seal = Callable[[IO[bytes], IO[bytes]], None]

#: The longest that one command may take (s), if there is that much time at all.
COMMAND_S = 30.0
#: The longest that asking a command for its version, or for a few facts, may take (s).
ASK_S = 5.0
#: What ends by itself at its deadline is given this long (s) to say so.
GRACE_S = 1.0
#: How many files of a folder of logs are kept at most, and how many lines of a journal.
MAX_FILES, JOURNAL_LINES = 1000, 50_000
#: What is asked of a living process, under /proc/PID; who may not ask for some of it has the rest.
PROCESS_FILES = ("status", "stat", "cmdline", "limits", "maps", "io", "wchan", "stack", "cgroup")
CORE_PATTERN = "/proc/sys/kernel/core_pattern"
PROC = "/proc"
NO_FILE = "is not a regular file"
OURSELVES = f"hft.incident.evidence, Python {platform.python_version()}"


class Tools(NamedTuple):
    """The commands of this host."""

    systemctl: str
    journalctl: str
    coredumpctl: str


class Asked(NamedTuple):
    """What is to be kept; paths and commands are the operator's."""

    unit: str | None
    log_files: tuple[str, ...]
    config_file: str | None
    version_command: tuple[str, ...]
    core: bool
    volatile: bool = False
    paths: tuple[str, ...] = ()
    encrypt_to: tuple[str, ...] = ()


class Limits(NamedTuple):
    """Bytes of each item, of a core dump, and of everything together."""

    item: int
    core: int
    total: int


class Item(NamedTuple):
    """One thing to keep. ``copy`` writes it into a file and returns what the manifest should know of it; it raises
    OSError, or Skipped. ``optional``: nobody is told that it is missing. ``restricted``: it may hold secrets."""

    name: str
    source: str
    copy: Callable[[IO[bytes], int, Deadline], Row]
    size: int | None = None
    limit: int | None = None
    optional: bool = False
    restricted: bool = False


class Skipped(Exception):
    """The item is not kept; says why."""


class Collection:
    """Copies items into a folder of ours, one after the other, and keeps the row of each for the manifest."""

    def __init__(
        self,
        folder: str,
        limits: Limits,
        deadline: Deadline,
        clock_offset: float | None = None,
        seal: Seal | None = None,
    ) -> None:
        self.rows: list[Row] = []
        self.deadline = deadline
        self._clock_offset = clock_offset
        self._seal = seal  # what is restricted is written by it, and nowhere in the clear
        self._folder = folder
        self._limits = limits
        self._left = limits.total
        self._names: set[str] = set()

    @property
    def hashes(self) -> dict[str, str]:
        return {row["name"]: row["sha256"] for row in self.rows if row["sha256"]}

    def keep(self, item: Item) -> Row:
        """One item, or the note why there is none; raises nothing that has to do with the item."""
        row: Row = {
            "name": self._free_name(item.name),
            "source": item.source,
            "tool": OURSELVES,
            "optional": item.optional,
            "restricted": item.restricted,
            "clock_offset_s": self._clock_offset,
            "size": 0,
            "sha256": None,
            "truncated": False,
            "changed_while_read": False,
            "error": None,
            "started_at": utc_now(),
        }
        try:
            if self.deadline.expired():
                raise Skipped("the time was up")
            if self._left <= 0:
                raise Skipped("there is room for no more")
            limit = self._limits.item if item.limit is None else item.limit
            row.update(self._copied(row["name"], item, min(self._left, limit)))
        except (OSError, ValueError, Skipped) as error:  # ValueError: a null byte in a path
            row["error"] = reason(error)
        row["ended_at"] = utc_now()
        self._left -= row["size"]
        self.rows.append(row)
        return row

    def _copied(self, name: str, item: Item, limit: int) -> Row:
        """Under a hidden name until it is whole: a copy that hangs in the kernel leaves nothing that looks like one."""
        seal = self._seal if item.restricted else None
        name += SUFFIX if seal else ""
        path = os.path.join(self._folder, name)
        make_folder(os.path.dirname(path))
        draft = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.part")
        file = _Hashed(create(draft))  # has all of a file that a copy uses: it is written to
        try:
            if seal:
                with _sealing(seal, file) as plain:
                    facts = self._written(item, plain, limit)
                facts["plain"] = {"size": plain.size, "sha256": plain.digest.hexdigest()}
            else:
                facts = self._written(item, file, limit)
            sync(file.file)
            os.rename(draft, path)
        except BaseException:
            os.unlink(draft)
            raise
        finally:
            file.file.close()
        return {**facts, "name": name, "size": file.size, "sha256": file.digest.hexdigest()}

    def _written(self, item: Item, file: _Hashed, limit: int) -> Row:
        share = a_share_of(self.deadline)
        return in_time(lambda: item.copy(cast("IO[bytes]", file), limit, share), share, GRACE_S)

    def _free_name(self, name: str) -> str:
        root, end = os.path.splitext(name)
        free, n = name, 1
        while free in self._names:
            n += 1
            free = f"{root}-{n}{end}"
        self._names.add(free)
        return free


class _Hashed:
    """A file that hashes what is written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.size = 0

    def tell(self) -> int:
        return self.size

    def write(self, data: bytes) -> int:
        written = self.file.write(data)
        self.digest.update(data)
        self.size += len(data)
        return written

    def flush(self) -> None:
        self.file.flush()


@contextmanager
def _sealing(seal: Seal, into: _Hashed) -> Iterator[_Hashed]:
    """A file to write to, whose bytes go through a pipe and are encrypted on the way: they lie nowhere in the clear."""
    read, write = os.pipe()
    failed: list[BaseException] = []

    def go() -> None:
        try:
            with os.fdopen(read, "rb") as plain:
                seal(plain, cast("IO[bytes]", into))
        except BaseException as error:  # noqa: BLE001  # carried over
            failed.append(error)

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    try:
        with os.fdopen(write, "wb") as file:
            yield _Hashed(file)
    finally:
        thread.join()
    if failed:
        raise OSError(0, f"it could not be encrypted ({type(failed[0]).__name__})")


def items(asked: Asked, tools: Tools, limits: Limits, deadline: Deadline) -> Iterator[Item]:
    """What is to be kept, the most volatile first; each is looked for when its turn has come."""
    properties = unit_properties(asked.unit, tools, deadline)
    for source, look in _sources(asked, tools, limits, properties, deadline):
        try:
            yield from in_time(partial(_all, look), a_share_of(deadline), GRACE_S)
        except (OSError, ValueError) as error:
            yield no_item(f"missing/{safe_name(source)}", source, reason(error), optional=False)


def _all(look: Callable[[], Iterable[Item]]) -> list[Item]:
    return list(look())


def _sources(
    asked: Asked, tools: Tools, limits: Limits, properties: Mapping[str, str], deadline: Deadline
) -> Iterator[tuple[str, Callable[[], Iterable[Item]]]]:
    unit, config, version = asked.unit, asked.config_file, asked.version_command
    journal = (tools.journalctl, "--no-pager", "-o", "export", "-n", str(JOURNAL_LINES))
    if unit:
        pid = properties.get("MainPID", "0")
        if pid.isdigit() and pid != "0":
            yield "process", partial(process_items, int(pid))
        show = (tools.systemctl, "show", "--no-pager", "--", unit)
        yield "unit", lambda: [command_item("unit/properties.txt", show, restricted=True)]
    for path in asked.log_files:
        yield path, partial(log_items, path)
    if unit:
        yield "journal", lambda: [command_item("unit/journal.export", (*journal, "-u", unit))]
        yield "kernel", lambda: [command_item("unit/kernel.export", (*journal, "-k"), optional=True)]
    if config:
        yield config, lambda: [file_item(f"config/{safe_name(os.path.basename(config))}", config, restricted=True)]
    if version:
        yield "version", lambda: [command_item("version.txt", version, asks_version=False)]
    if unit and asked.core:
        yield "core", lambda: [core_item(unit, properties, tools, limits.core, deadline)]
    for path in asked.paths:
        yield path, partial(tree_items, path, limits)


def unit_properties(unit: str | None, tools: Tools, deadline: Deadline) -> dict[str, str]:
    """``systemctl show``; nothing where it does not answer."""
    if not unit:
        return {}
    argv = (tools.systemctl, "show", "--no-pager", "--", unit)
    said = host_command.run(argv, timeout=min(ASK_S, deadline.remaining()))
    pairs = (line.partition("=") for line in said.out.splitlines())
    return {name: value for name, separator, value in pairs if separator}


# Files ----------------------------------------------------------------------------------------------------------------


def log_items(path: str, under: str = "logs", *, optional: bool = False, restricted: bool = False) -> Iterator[Item]:
    """A file as it is; of a folder every file below it. A link that was named is followed (it is what `current.log`
    often is) and where it leads is noted; a link found below a folder could lead anywhere, and is noted only."""
    if not os.path.isdir(path):
        yield file_item(f"{under}/{safe_name(os.path.basename(path))}", path, optional=optional, restricted=restricted)
        return
    base = safe_name(os.path.basename(os.path.normpath(path))) + ".d"
    count = 0
    for place, folders, files in os.walk(path):
        folders.sort()
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        for name in sorted((*files, *links)):
            count += 1
            if count > MAX_FILES:
                yield no_item(
                    f"{under}/{base}/more", path, f"more than {MAX_FILES} files; the rest is not copied", optional=False
                )
                return
            found = os.path.join(place, name)
            below = f"{under}/{base}/{safe_name(os.path.relpath(found, path).replace(os.sep, '_'))}"
            why = no_file(found)
            if why:
                yield no_item(below, found, why)
            else:
                yield file_item(below, found, follow=False, optional=optional, restricted=restricted)


def tree_items(path: str, limits: Limits) -> Iterator[Item]:
    """A tree as one archive; ``limits.item`` is for each of its files."""

    def copy(into: IO[bytes], limit: int, deadline: Deadline) -> Row:
        return write_tree(path, into, limit, limits.item, deadline)

    name = safe_name(path.strip("/").replace("/", "_"))
    yield Item(f"trees/{name}.tar", printable(path), copy, limit=limits.total, restricted=True)


def file_item(
    name: str,
    path: str,
    *,
    follow: bool = True,
    limit: int | None = None,
    whole: bool = False,
    optional: bool = False,
    restricted: bool = False,
) -> Item:
    """A regular file; not ``follow``: a link is not what was meant; ``whole``: all of it or nothing."""

    def copy(into: IO[bytes], most: int, deadline: Deadline) -> Row:
        return copy_file(path, into, most, deadline, follow=follow, whole=whole)

    return Item(name, printable(path), copy, _size(path), limit, optional, restricted)


def copy_file(
    path: str, into: IO[bytes], limit: int, deadline: Deadline, *, follow: bool = True, whole: bool = False
) -> Row:
    """The file as long as it is at this moment; of one longer than ``limit`` its end, which is where a crash is."""
    descriptor = _open(path, follow)
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):  # it was one a moment ago
            raise Skipped(NO_FILE)
        facts = _facts(descriptor, path, before)
        if whole and before.st_size > limit:
            raise Skipped(_too_long(before.st_size, limit))
        start = max(0, before.st_size - limit)
        os.lseek(descriptor, start, os.SEEK_SET)
        left = before.st_size - start
        while left:
            if deadline.expired():
                facts["error"] = "the time was up before its end"
                break
            part = os.read(descriptor, min(CHUNK, left))
            if not part:
                break  # it became shorter
            into.write(part)
            left -= len(part)
        after = os.fstat(descriptor)
        changed = (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or not after.st_nlink
        return {**facts, "changed_while_read": changed, "truncated": start > 0 or left > 0, "from_byte": start}
    finally:
        os.close(descriptor)


def _open(path: str, follow: bool) -> int:
    """Looked at before it is opened, since to open a pipe or a device is to use it. Raises OSError, Skipped."""
    if not stat.S_ISREG((os.stat(path) if follow else os.lstat(path)).st_mode):
        raise Skipped(NO_FILE)
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        return os.open(path, flags | os.O_NOATIME)
    except PermissionError:  # only its owner may read without leaving a trace
        return os.open(path, flags)


def no_file(path: str) -> str:
    """What a name in a folder stands for where that is no file; "" where it is one, or is gone by now."""
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            return f"is a link to {printable(os.readlink(path))}, which is not followed"
    except OSError:
        return ""
    return "" if stat.S_ISREG(status.st_mode) else NO_FILE


def _facts(descriptor: int, path: str, status: os.stat_result) -> Row:
    """Where the bytes really come from, and what they looked like there."""
    real = os.path.realpath(f"{PROC}/self/fd/{descriptor}")
    return {
        "real_path": None if real == os.path.abspath(path) else printable(real),
        "source_size": status.st_size,
        "source_mode": f"{stat.S_IMODE(status.st_mode):04o}",
        "source_owner": f"{status.st_uid}:{status.st_gid}",
        "source_mtime_ns": status.st_mtime_ns,
    }


def _size(path: str) -> int | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


# Commands -------------------------------------------------------------------------------------------------------------


def command_item(
    name: str, argv: Sequence[str], *, optional: bool = False, asks_version: bool = True, restricted: bool = False
) -> Item:
    """The standard output of a command. One that fails has said something all the same, and that is kept."""

    def copy(into: IO[bytes], limit: int, deadline: Deadline) -> Row:
        ran = host_command.run(argv, timeout=min(COMMAND_S, deadline.remaining()), limit=limit, into=into)
        if not ran.ok and not into.tell():
            raise Skipped(ran.complaint)
        tool = _version_of(argv[0]) if asks_version else argv[0]
        return {"tool": tool, "rc": ran.rc, "truncated": ran.truncated, "error": None if ran.ok else ran.complaint}

    return Item(name, printable(" ".join(argv)), copy, optional=optional, restricted=restricted)


@lru_cache(maxsize=16)
def _version_of(program: str) -> str:
    """The first line that ``--version`` says, after the name that it was called by."""
    said = host_command.run((program, "--version"), timeout=ASK_S, limit=4096)
    lines = said.out.strip().splitlines()
    return printable(f"{program}: {lines[0]}" if said.ok and lines else program)


def no_item(name: str, source: str, why: str, *, optional: bool = True) -> Item:
    """What there is nothing to copy of; that is noted."""

    def copy(_into: IO[bytes], _limit: int, _deadline: Deadline) -> Row:
        raise Skipped(why)

    return Item(name, printable(source), copy, optional=optional)


# The living process ---------------------------------------------------------------------------------------------------


def process_items(pid: int) -> Iterator[Item]:
    """What the kernel tells of a process that still runs, or hangs; it is neither stopped nor traced for that."""
    for name in PROCESS_FILES:
        yield _process_file(f"process/{name}", f"{PROC}/{pid}/{name}")
    yield Item("process/fds.txt", f"{PROC}/{pid}/fd", partial(_descriptors, pid), optional=True)
    yield Item("process/threads.txt", f"{PROC}/{pid}/task", partial(_threads, pid), optional=True)


def _process_file(name: str, path: str) -> Item:
    def copy(into: IO[bytes], limit: int, _deadline: Deadline) -> Row:
        data = _read(path, limit + 1)
        into.write(data[:limit])
        return {"truncated": len(data) > limit}

    return Item(name, path, copy, optional=True)


def _descriptors(pid: int, into: IO[bytes], limit: int, _deadline: Deadline) -> Row:
    folder = f"{PROC}/{pid}/fd"
    lines = []
    for name in sorted(os.listdir(folder), key=int):
        try:
            lines.append(f"{name} -> {os.readlink(os.path.join(folder, name))}\n")
        except OSError as error:  # closed in the meantime
            lines.append(f"{name} -> ({reason(error)})\n")
    data = os.fsencode("".join(lines))
    into.write(data[:limit])
    return {"truncated": len(data) > limit}


def _threads(pid: int, into: IO[bytes], limit: int, _deadline: Deadline) -> Row:
    """What each thread waits for: its name, its state, the place in the kernel."""
    folder = f"{PROC}/{pid}/task"
    data = b""
    for thread in sorted(os.listdir(folder), key=int):
        data += b"== " + thread.encode() + b"\n"
        for name in ("comm", "stat", "wchan", "syscall", "stack"):
            try:
                said = _read(f"{folder}/{thread}/{name}", CHUNK).strip()
            except OSError as error:
                said = f"({reason(error)})".encode()
            data += name.encode() + b": " + said + b"\n"
    into.write(data[:limit])
    return {"truncated": len(data) > limit}


def _read(path: str, limit: int) -> bytes:
    """Such files have no size; they are read until they end."""
    with open(path, "rb") as file:
        return file.read(limit)


# The core dump --------------------------------------------------------------------------------------------------------


def core_item(unit: str, properties: Mapping[str, str], tools: Tools, limit: int, deadline: Deadline) -> Item:
    """The newest core dump of the unit: the one that systemd-coredump keeps, else the file that core_pattern means."""
    asked = (tools.coredumpctl, "--no-pager", "-1", "--json=short", "list", f"COREDUMP_UNIT={unit}")
    said = host_command.run(asked, timeout=min(ASK_S, deadline.remaining()))
    known = _newest_dump(said.out) if said.ok else None
    if known is not None:
        return _dump_item(unit, known, tools, limit)
    pattern = _core_pattern()
    found = core_files(pattern, properties)
    if found:
        return file_item("core/core", found[0], whole=True, follow=False, limit=limit, restricted=True)
    why = f"none found; core_pattern is {pattern!r}, LimitCORE is {properties.get('LimitCORE', 'unknown')}"
    return no_item("core/core", "core dump", why)


def _newest_dump(text: str) -> Row | None:
    try:
        rows = json.loads(text or "[]")
    except ValueError:
        return None
    return rows[-1] if isinstance(rows, list) and rows and isinstance(rows[-1], dict) else None


def _dump_item(unit: str, known: Row, tools: Tools, limit: int) -> Item:
    argv = (tools.coredumpctl, "--no-pager", "-1", "dump", f"COREDUMP_UNIT={unit}")
    size = known.get("size") if isinstance(known.get("size"), int) else None
    facts = {"dump": {str(key): printable(str(value)) for key, value in known.items()}}

    def copy(into: IO[bytes], most: int, deadline: Deadline) -> Row:
        if size is not None and size > most:
            raise Skipped(_too_long(size, most))
        ran = host_command.run(argv, timeout=deadline.remaining(), limit=most, into=into)
        if ran.truncated:
            raise Skipped(_too_long(None, most))
        if not ran.ok:
            raise Skipped(ran.complaint)
        return {**facts, "tool": _version_of(tools.coredumpctl), "rc": ran.rc}

    return Item("core/core", printable(" ".join(argv)), copy, size=size, limit=limit, restricted=True)


def _too_long(size: int | None, limit: int) -> str:
    length = "" if size is None else f"{size} bytes long, "
    return f"is {length}more than {limit} bytes are not kept, and no hash was taken"


def _core_pattern() -> str:
    try:
        return _read(CORE_PATTERN, 4096).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def core_files(pattern: str, properties: Mapping[str, str]) -> list[str]:
    """The files that core(5)'s pattern may mean for the unit's last process, the newest first; none where the kernel
    hands cores to a program. With core_uses_pid the kernel adds a number to the name."""
    if not pattern or pattern.startswith("|"):
        return []
    folder = properties.get("WorkingDirectory", "").lstrip("!")
    pid = properties.get("ExecMainPID", "0")
    known = {"p": pid if pid.isdigit() and pid != "0" else "*", "%": "%"}
    parts = re.split(r"%(.)", os.path.join(folder if folder.startswith("/") else "/", pattern))
    # Of "a%pb" split makes "a", "p", "b": every second part is a specifier.
    wanted = "".join(known.get(part, "*") if odd else glob.escape(part) for odd, part in _alternating(parts))
    found = {*glob.glob(wanted), *glob.glob(f"{wanted}.[0-9]*")}
    regular = [path for path in found if os.path.isfile(path) and not os.path.islink(path)]
    return sorted(regular, key=lambda path: os.stat(path).st_mtime_ns, reverse=True)


def _alternating(parts: Sequence[str]) -> Iterator[tuple[bool, str]]:
    for index, part in enumerate(parts):
        yield bool(index % 2), part


# Words ----------------------------------------------------------------------------------------------------------------


def a_share_of(deadline: Deadline) -> Deadline:
    """Half of the time that is left: one item that hangs takes it from no other."""
    return deadline.within(deadline.remaining() / 2)


def collector() -> str:
    """Who copies, as the host knows it: the user the module runs as and, behind sudo, the person."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # a container with a user id of its own
        name = f"uid{uid}"
    person = os.environ.get("SUDO_USER", "")
    return f"{name}@{os.uname().nodename}" + (f" (sudo by {printable(person)})" if person else "")


def printable(text: str) -> str:
    """A name as it may enter a manifest: a lone surrogate or a control character is escaped."""
    return text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text


def reason(error: BaseException) -> str:
    """One line."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "no space left for it"
    words = getattr(error, "strerror", None)
    return words.lower() if words else str(error)
