# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What only the running host knows: sockets and processes first, then what the kernel holds, then what starts again.

Everything is read from ``/proc`` by us, since an intruder may replace the programs; what ``ss``, ``ip`` and ``nft`` say
is kept beside it, as text. Nothing is stopped, traced or opened for writing. A process that ends while it is looked at
is noted (``gone``) and loses no other.

Source: RFC 3227 (order of volatility); seed-faults A3. The environment and the command line of a process hold secrets,
so their item is ``restricted``, as are the files that people and intruders write.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pwd
import stat
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import IO, Any

from . import proc_net
from .bounded import in_time
from .deadline import Deadline
from .evidence_cipher import SUFFIX
from .evidence_manifest import CHUNK, safe_name
from .host_evidence import (
    OURSELVES,
    Item,
    Row,
    Skipped,
    command_item,
    file_item,
    log_items,
    no_file,
    no_item,
    reason,
)
from .timestamps import utc_now

PROC = "/proc"
UTMP = ("/run/utmp", "/var/run/utmp")
#: The longest that is read of one small file of ``/proc`` (bytes), and of a process's list of mappings.
SMALL, MAPS = 1024 * 1024, 8 * 1024 * 1024
#: What a document needs to be closed properly when its limit is reached (bytes).
CLOSING = 4096
#: One process that answers no question costs so much (s).
STUCK_S = 2.0
FOLDER = "volatile"
#: Read from ``/proc``, so that they are there on every host; what a program says may be missing.
SUBJECTS = (
    "clock",
    "sockets",
    "processes",
    "routes",
    "neighbors",
    "users",
    "modules",
    "mounts",
    "system",
    "maps",
    "executables",
)

#: Where programs are put that shall start again by themselves, and who may come in.
PERSISTENCE = (
    "/etc/ld.so.preload",
    "/etc/crontab",
    "/etc/anacrontab",
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
    "/var/spool/cron",
    "/etc/systemd/system",
    "/etc/systemd/user",
    "/run/systemd/system",
    "/etc/init.d",
    "/etc/rc.local",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/modules-load.d",
    "/etc/udev/rules.d",
    "/etc/passwd",
    "/etc/group",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/ssh/sshd_config",
    "/etc/ssh/sshd_config.d",
    "/etc/pam.d",
    "/etc/hosts",
)
#: The same, below each person's home.
AT_HOME = (
    ".ssh/authorized_keys",
    ".ssh/authorized_keys2",
    ".ssh/rc",
    ".config/systemd/user",
    ".bashrc",
    ".bash_profile",
    ".profile",
)
LOGINS = ("/var/log/wtmp", "/var/log/btmp", "/var/log/lastlog", "/var/log/auth.log", "/var/log/secure")

_UTMP = struct.Struct("hi32s4s32s256shhiii4i20s")
_UTMP_TYPES: Mapping[int, str] = {1: "run_level", 2: "boot", 5: "init", 6: "login", 7: "user", 8: "dead"}


def volatile_items(clock_offset: float | None) -> Iterator[Item]:
    """The most volatile first. ``clock_offset``: how far ahead of the control node this host's clock is (s)."""
    processes = _Processes()
    yield _document("clock", "the clocks of this host", lambda _deadline: [_clocks(clock_offset)])
    yield _document("sockets", f"{PROC}/net", lambda deadline: _sockets(processes.owners(deadline), deadline))
    yield command_item(f"{FOLDER}/ss.txt", ("ss", "-tunapoem"), optional=True)
    yield _document("processes", f"{PROC}/PID", processes.rows, restricted=True, verdict=processes.verdict)
    yield _table("routes", {"net/route": proc_net.routes, "net/ipv6_route": proc_net.routes6})
    yield _table("neighbors", {"net/arp": proc_net.neighbors})
    for name, argv in _COMMANDS:
        yield command_item(f"{FOLDER}/{name}.txt", argv, optional=True)
    yield _document("users", " and ".join(UTMP), lambda _deadline: _users())
    yield _table("modules", {"modules": proc_net.modules})
    yield _table("mounts", {"self/mountinfo": proc_net.mounts})
    yield _document("system", PROC, lambda _deadline: _system())
    yield _document("maps", f"{PROC}/PID/maps", processes.maps)
    yield _document("executables", f"{PROC}/PID/exe", processes.executables)
    yield from processes.deleted()


#: What a program says better than ``/proc``, or alone: where it is missing, that is noted.
_COMMANDS: Sequence[tuple[str, Sequence[str]]] = (
    ("routes", ("ip", "route", "show", "table", "all")),
    ("rules", ("ip", "rule", "show")),
    ("neighbors", ("ip", "neigh", "show")),
    ("addresses", ("ip", "addr", "show")),
    ("conntrack", ("conntrack", "-L", "-o", "extended,id")),
    ("nftables", ("nft", "-a", "list", "ruleset")),
    ("iptables", ("iptables-save",)),
    ("who", ("who", "--all")),
    ("sessions", ("loginctl", "--no-pager", "list-sessions")),
    ("chrony", ("chronyc", "-n", "tracking")),
    ("timedatectl", ("timedatectl", "show")),
)


def is_whole(rows: Sequence[Row]) -> bool:
    """Whether everything that only this host's memory knew was kept: what the guard of destructive steps asks for."""
    kept = {row["name"].removesuffix(SUFFIX) for row in rows if row["sha256"] and not row["error"]}
    return {f"{FOLDER}/{name}.json" for name in SUBJECTS} <= kept


def persistence_items(systemctl: str) -> Iterator[Item]:
    """What would start an intruder's program again, and let the intruder in again; and who was here."""
    timers = (systemctl, "--no-pager", "list-timers", "--all")
    units = (systemctl, "--no-pager", "list-unit-files")
    yield command_item("persistence/timers.txt", timers, optional=True)
    yield command_item("persistence/unit-files.txt", units, optional=True)
    places = [*PERSISTENCE, *(os.path.join(home, name) for home in _homes() for name in AT_HOME), *LOGINS]
    for path in dict.fromkeys(os.path.normpath(place) for place in places):
        if os.path.isdir(path):
            yield from log_items(path, "persistence", optional=True, restricted=True)
        elif os.path.lexists(path):
            # Two homes have files of one name.
            name = safe_name(path.strip("/").replace("/", "_"))
            why = no_file(path)
            below = f"persistence/{name}"
            if why:
                yield no_item(below, path, why)
            else:  # units and jobs have tokens in them more often than not
                yield file_item(below, path, follow=False, optional=True, restricted=True)


def _homes() -> list[str]:
    try:
        return sorted(
            {entry.pw_dir for entry in pwd.getpwall() if entry.pw_dir.startswith("/") and entry.pw_dir != "/"}
        )
    except (KeyError, OSError):
        return []


# Documents ------------------------------------------------------------------------------------------------------------


def _document(
    name: str,
    source: str,
    rows: Callable[[Deadline], Iterable[Row]],
    *,
    restricted: bool = False,
    verdict: Callable[[], str] = lambda: "",
) -> Item:
    """One subject as JSON, a row a line. At its limit, or at its deadline, it is closed properly and says so.

    ``verdict``: what was wrong with it, once all rows are there.
    """

    def copy(into: IO[bytes], limit: int, deadline: Deadline) -> Row:
        head = json.dumps({"subject": name, "taken_at": utc_now(), "tool": OURSELVES})
        into.write(f'{head[:-1]}, "rows": ['.encode())
        separator, cut = b"\n", ""
        for row in rows(deadline):
            line = json.dumps(row).encode()  # ASCII: what is no text in a name is escaped
            if into.tell() + len(line) + CLOSING > limit:
                cut = "there was more than its limit"
                break
            into.write(separator + line)
            separator = b",\n"
            if deadline.expired():
                cut = "the time was up before its end"
                break
        into.write(f'\n], "ended_at": "{utc_now()}", "cut": {json.dumps(cut)}}}\n'.encode())
        return {"truncated": bool(cut), "error": cut or verdict() or None}

    return Item(f"{FOLDER}/{name}.json", source, copy, restricted=restricted)


def _table(name: str, files: Mapping[str, Callable[[str], Iterable[Row]]]) -> Item:
    def rows(_deadline: Deadline) -> Iterator[Row]:
        for path, read in files.items():
            try:
                text = _text(path)
            except OSError as error:  # a kernel without modules, or without IPv6
                yield {"unread": f"{PROC}/{path}", "reason": reason(error)}
                continue
            yield from read(text)

    return _document(name, " and ".join(f"{PROC}/{path}" for path in files), rows)


def _text(path: str, limit: int = SMALL) -> str:
    """A file below ``/proc``; it has no size, so it is read until it ends."""
    with open(os.path.join(PROC, path), "rb") as file:
        return os.fsdecode(file.read(limit))


# Clocks and the system ------------------------------------------------------------------------------------------------


def _clocks(offset: float | None) -> Row:
    """Three clocks of one moment: times in other items can be put onto one line by them."""
    return {
        "utc": utc_now(),
        "ahead_of_control_node_s": offset,
        "since_boot_s": time.clock_gettime(time.CLOCK_BOOTTIME),
        "monotonic_s": time.monotonic(),
        "boot_id": _quiet("sys/kernel/random/boot_id"),
        "time_zone": time.tzname[0],
    }


def _system() -> Iterator[Row]:
    for path in (
        "version",
        "cmdline",
        "uptime",
        "loadavg",
        "meminfo",
        "swaps",
        "keys",
        "net/dev",
        "sys/kernel/tainted",
    ):
        yield {"file": f"{PROC}/{path}", "text": _quiet(path)}
    for path in ("sys/kernel/core_pattern", "sys/kernel/modprobe", "sys/net/ipv4/ip_forward", "net/nf_conntrack"):
        yield {"file": f"{PROC}/{path}", "text": _quiet(path, 4 * SMALL)}


def _quiet(path: str, limit: int = SMALL) -> str | None:
    try:
        return _text(path, limit).strip()
    except OSError:
        return None


# Users ----------------------------------------------------------------------------------------------------------------


def _users() -> Iterator[Row]:
    """Who is logged in, by utmp(5). Systems without that file ask their login manager, which is kept as text."""
    for path in UTMP:
        try:
            with open(path, "rb") as file:
                data = file.read(SMALL)
        except OSError:
            continue
        whole = len(data) - len(data) % _UTMP.size
        for kind, pid, line, _id, user, host, *_exit, seconds, _micros, a0, a1, a2, a3, _unused in _UTMP.iter_unpack(
            data[:whole]
        ):
            if kind in _UTMP_TYPES:
                yield {
                    "kind": _UTMP_TYPES[kind],
                    "pid": pid,
                    "line": _c_string(line),
                    "user": _c_string(user),
                    "host": _c_string(host),
                    "at": seconds,
                    "address": [a0, a1, a2, a3],
                }
        return


def _c_string(data: bytes) -> str:
    return os.fsdecode(data.partition(b"\0")[0])


# Sockets --------------------------------------------------------------------------------------------------------------


Owners = Mapping[int, Sequence[Row]]


def _sockets(found: tuple[Owners, Mapping[str, int]], deadline: Deadline) -> Iterator[Row]:
    """Those of every network namespace that a process is in, each with who holds it."""
    owners, namespaces = found
    for namespace, pid in namespaces.items():
        for name in (*proc_net.INET, "unix", "packet"):
            try:
                text = _text(f"{pid}/net/{name}", MAPS)
            except OSError as error:
                if error.errno != errno.ENOENT:  # no such protocol here, or the process is gone
                    yield {"namespace": namespace, "protocol": name, "unread": reason(error)}
                continue
            for row in proc_net.sockets(name, text):
                yield {"namespace": namespace, **row, "held_by": owners.get(row.get("inode", 0), [])}
            if deadline.expired():
                return


# Processes ------------------------------------------------------------------------------------------------------------


class _Processes:
    """All processes, looked at several times: what changes most, first."""

    def __init__(self) -> None:
        self._denied = 0
        self._seen = 0
        self._boot = _boot_time()

    def owners(self, deadline: Deadline) -> tuple[Owners, Mapping[str, int]]:
        """Who holds each socket, by its inode; and a process of each network namespace."""
        owners: dict[int, list[Row]] = {}
        namespaces: dict[str, int] = {}
        for pid in _pids():
            if deadline.expired():
                break
            namespace = _link(f"{pid}/ns/net")
            if namespace:  # ours can always be read
                namespaces.setdefault(namespace, pid)
            comm = _quiet(f"{pid}/comm", 64)
            for number, target in _descriptors(pid):
                if target and target.startswith("socket:["):
                    owners.setdefault(int(target[8:-1]), []).append({"pid": pid, "fd": number, "comm": comm})
        return owners, namespaces

    def rows(self, deadline: Deadline) -> Iterator[Row]:
        for pid in _pids():
            self._seen += 1
            row = _unless_stuck(pid, partial(self._row, pid), deadline)
            self._denied += "exe" in row.get("denied", ())
            yield row

    def verdict(self) -> str:
        """Who may not see all has not got all. What a hardened kernel denies to root, nobody could see."""
        if not self._denied or os.geteuid() == 0:
            return ""
        return f"only root may look into all processes: {self._denied} of {self._seen} were denied (become: true)"

    def maps(self, deadline: Deadline) -> Iterator[Row]:
        for pid in _pids():
            row = _unless_stuck(pid, partial(_maps, pid), deadline)
            if row.get("maps") != []:  # the kernel's own threads have none
                yield row

    def executables(self, deadline: Deadline) -> Iterator[Row]:
        """The program that each process really runs, also where its file is gone: read through ``/proc/PID/exe``."""
        known: dict[tuple[int, int], Row] = {}
        for pid in _pids():
            target = _link(f"{pid}/exe")
            if target is None:
                continue
            row = {"pid": pid, "exe": target, "deleted": _is_deleted(target)}
            path = os.path.join(PROC, str(pid), "exe")
            try:
                yield {**row, **in_time(partial(_hash_of, path, known, deadline), deadline.within(STUCK_S))}
            except (OSError, Skipped) as error:
                yield {**row, "sha256": None, "reason": reason(error)}

    def deleted(self) -> Iterator[Item]:
        """Programs that run and whose files are gone are nowhere else any more. Each once."""
        known: set[tuple[int, int]] = set()
        for pid in _pids():
            target = _link(f"{pid}/exe")
            if target is None or not _is_deleted(target):
                continue
            path = os.path.join(PROC, str(pid), "exe")
            try:
                status = in_time(partial(os.stat, path), Deadline(STUCK_S))
            except OSError:
                continue
            if (status.st_dev, status.st_ino) not in known:
                known.add((status.st_dev, status.st_ino))
                name = safe_name(os.path.basename(target.replace(" (deleted)", "")))
                yield file_item(f"{FOLDER}/deleted/{pid}-{name}", path, whole=True, restricted=True)

    def _row(self, pid: int) -> Row:
        row: Row = {"pid": pid}
        denied: list[str] = []

        def told(name: str, look: Callable[[], Any]) -> None:
            try:
                row[name] = look()
            except PermissionError:
                row[name] = None
                denied.append(name)
            except (OSError, ValueError, IndexError):  # gone, or a thread of the kernel, which has no such thing
                row[name] = None

        told("stat", lambda: _stat(pid, self._boot))
        if row["stat"] is None:
            return {"pid": pid, "gone": True}
        row.update(row.pop("stat"))
        told("exe", lambda: os.readlink(f"{PROC}/{pid}/exe"))
        row["deleted"] = _is_deleted(row["exe"] or "")
        told("cmdline", lambda: _words(pid, "cmdline"))
        told("environ", lambda: _words(pid, "environ"))
        told("cwd", lambda: os.readlink(f"{PROC}/{pid}/cwd"))
        told("root", lambda: os.readlink(f"{PROC}/{pid}/root"))
        told("ids", lambda: _ids(pid))
        told(
            "namespaces",
            lambda: {name: os.readlink(f"{PROC}/{pid}/ns/{name}") for name in ("net", "pid", "mnt", "user")},
        )
        told("cgroup", lambda: _text(f"{pid}/cgroup").splitlines())
        row["fds"] = dict(_descriptors(pid))
        row["denied"] = denied
        return row


def _unless_stuck(pid: int, look: Callable[[], Row], deadline: Deadline) -> Row:
    """A process that hangs in the kernel can hold whoever looks into its memory: it costs its share, and is noted."""
    try:
        return in_time(look, deadline.within(STUCK_S))
    except TimeoutError:
        return {"pid": pid, "stuck": True}


def _maps(pid: int) -> Row:
    try:
        return {"pid": pid, "maps": _text(f"{pid}/maps", MAPS).splitlines()}
    except OSError as error:
        return {"pid": pid, "maps": None, "reason": reason(error)}


def _pids() -> list[int]:
    """Without ourselves: what looks is not what was there."""
    return sorted(int(name) for name in os.listdir(PROC) if name.isdigit() and int(name) != os.getpid())


def _link(path: str) -> str | None:
    try:
        return os.readlink(os.path.join(PROC, path))
    except OSError:
        return None


def _is_deleted(target: str) -> bool:
    return target.endswith(" (deleted)") or target.startswith("/memfd:")


def _descriptors(pid: int) -> Iterator[tuple[int, str | None]]:
    try:
        names = os.listdir(f"{PROC}/{pid}/fd")
    except OSError:
        return
    for number in sorted(int(name) for name in names):
        yield number, _link(f"{pid}/fd/{number}")


def _words(pid: int, name: str) -> list[str]:
    text = _text(f"{pid}/{name}", SMALL)
    return text.rstrip("\0").split("\0") if text else []


def _stat(pid: int, boot: float) -> Row:
    """A process's name may hold blanks and brackets: what is after the last bracket is well-formed."""
    text = _text(f"{pid}/stat", CHUNK)
    comm, _bracket, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return {
        "comm": comm,
        "state": fields[0],
        "ppid": int(fields[1]),
        "session": int(fields[3]),
        "tty": int(fields[4]),
        "threads": int(fields[17]),
        "started_after_boot_s": started,
        "started_at": utc_now(time.time() - (boot + started)),
    }


def _ids(pid: int) -> Row:
    """Real, effective, saved and file-system ids; what it is allowed to; who traces it."""
    found: Row = {}
    for line in _text(f"{pid}/status").splitlines():
        name, _colon, value = line.partition(":")
        if name in ("Uid", "Gid"):
            found[name.lower()] = [int(number) for number in value.split()]
        elif name in ("TracerPid", "CapEff", "Seccomp"):
            found[name] = value.strip()
    return found


def _boot_time() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _hash_of(path: str, known: dict[tuple[int, int], Row], deadline: Deadline) -> Row:
    """Of many processes of one program it is read once."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        key = (status.st_dev, status.st_ino)
        if key not in known:
            if not stat.S_ISREG(status.st_mode):
                raise Skipped("is not a regular file")
            digest = hashlib.sha256()
            while part := os.read(descriptor, CHUNK):
                if deadline.expired():
                    raise Skipped("the time was up before its end")
                digest.update(part)
            facts = {"size": status.st_size, "inode": status.st_ino, "mtime_ns": status.st_mtime_ns}
            known[key] = {"sha256": digest.hexdigest(), **facts}
        return known[key]
    finally:
        os.close(descriptor)
