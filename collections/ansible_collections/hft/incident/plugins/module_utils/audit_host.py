# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What runs on a host, whom it speaks to, and what would start again: looked at in ``/proc`` and in files, changed by
nothing.

Sources: proc(5); Documentation/admin-guide/tainted-kernels; ld.so(8); seed-faults A3, A7, A11. Who is root on the host
can deceive all of it, so that nothing found proves nothing.
"""

from __future__ import annotations

import os
import pwd
import re
import stat
import struct
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from .audit_accounts import Network, within
from .audit_findings import ALARMING, INFO, SUSPICIOUS, Findings
from .deadline import Deadline
from .errors import UsageError
from .host_facts import read_small
from .log_lines import iso

PROC = "/proc"
#: Where everybody may write: no program of a trading host has its file there.
OPEN_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm", "/run/shm", "/dev/mqueue", "/run/user")  # noqa: S108  # looked at only
_DELETED = " (deleted)"
#: The host itself; other addresses of 127.0.0.0/8 are nobody's habit.
_ITSELF = ("127.0.0.1", "::1")


# Processes ------------------------------------------------------------------------------------------------------------


class Process(NamedTuple):
    """``exe``: None where it may not be seen; ``preloads``: the libraries that its environment pushes in."""

    pid: int
    name: str
    exe: str | None
    preloads: tuple[str, ...] = ()


def processes(proc: str = PROC) -> tuple[list[Process], int]:
    """Those with a program (the kernel's own threads have none), and how many may not be looked at."""
    found, unseen = [], 0
    for name in os.listdir(proc):
        if not name.isdigit():
            continue
        folder = f"{proc}/{name}"
        try:
            exe: str | None = os.readlink(f"{folder}/exe")
        except (PermissionError, FileNotFoundError, ProcessLookupError) as error:
            # A kernel's thread has no program and no arguments, and a process that is gone has no folder.
            unseen += isinstance(error, PermissionError) and bool(_read(f"{folder}/cmdline"))
            continue
        except OSError:
            continue
        environment = _read(f"{folder}/environ").split("\0")
        preloads = [row.partition("=")[2] for row in environment if row.startswith(("LD_PRELOAD=", "LD_AUDIT="))]
        found.append(Process(int(name), _read(f"{folder}/comm").strip(), exe, tuple(filter(None, preloads))))
    return found, unseen


class Suspects(NamedTuple):
    """``pids`` of processes that run an alarming program; ``others``: the programs of the rest, for the question whose
    they are."""

    pids: frozenset[int]
    others: tuple[str, ...]


def audit_processes(
    found: Findings, expected: Sequence[str], proc: str = PROC, explained: Container[str] = ()
) -> Suspects:
    """Programs whose files are gone or lie where anybody may write, and libraries that are pushed in. ``explained``:
    programs that alarm, whose processes are no suspects all the same."""
    seen, unseen = processes(proc)
    files: set[str] = set()
    pids: set[int] = set()
    for process in seen:
        exe, who = process.exe or "", f"process {process.pid} ({process.name})"
        path = exe[: -len(_DELETED)] if exe.endswith(_DELETED) else exe
        suspects: set[int] = set() if path in explained else pids
        known = below(path, expected)  # where it lies is no news; that its file is gone is
        if path.startswith("/memfd:") and not known:
            found.add("process_memory_only", ALARMING, f"{who} runs a program that was never a file", path, path)
            suspects.add(process.pid)
        elif below(path, OPEN_FOLDERS) and not known:
            found.add("process_open_folder", ALARMING, f"{who} runs from where anybody may write", exe, path)
            suspects.add(process.pid)
        elif path != exe and not path.startswith("/memfd:"):
            if os.path.lexists(path):
                what = f"{who} runs a program whose file was replaced since"
                found.add("process_deleted", SUSPICIOUS, what, exe, path)
            else:
                found.add("process_deleted", ALARMING, f"{who} runs a program whose file is gone", exe, path)
                suspects.add(process.pid)
        elif path == exe and not known:
            files.add(path)
        for library in process.preloads:
            severity = ALARMING if any(below(part, OPEN_FOLDERS) for part in re.split(r"[ :]", library)) else SUSPICIOUS
            found.add("preload", severity, f"{who} has a library pushed in by its environment", library)
    if unseen:
        found.unknown("processes", f"so many processes may not be looked at: {unseen} (root may)")
    return Suspects(frozenset(pids), tuple(sorted(files)))


def below(path: str, folders: Iterable[str]) -> bool:
    """Whether it is one of them or lies in one."""
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


# Sockets --------------------------------------------------------------------------------------------------------------

LISTENING, ESTABLISHED = "0A", "01"
_TABLES = (("tcp", "tcp"), ("tcp6", "tcp"), ("udp", "udp"), ("udp6", "udp"))
_UNCONNECTED = "07"


class Endpoint(NamedTuple):
    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class Socket(NamedTuple):
    protocol: str
    local: Endpoint
    remote: Endpoint
    state: str
    inode: str

    @property
    def listens(self) -> bool:
        return self.state == (LISTENING if self.protocol == "tcp" else _UNCONNECTED)


class Listener(NamedTuple):
    """One that is expected: ``address`` None for any."""

    protocol: str
    address: str | None
    port: int


def listeners(given: Sequence[str]) -> tuple[Listener, ...]:
    """``tcp/22``, ``udp/127.0.0.1:323``, ``tcp/[::1]:631``; raises UsageError naming the one that is none."""
    found = []
    for text in given:
        match = re.fullmatch(r"(tcp|udp)/(?:(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):)?(\d{1,5})", text.strip())
        try:
            if not match or not 0 < int(match[4]) < 65536:
                raise ValueError("it is written tcp/22 or udp/127.0.0.1:323")
            address = match[2] or match[3]
            found.append(Listener(match[1], str(ip_address(address)) if address else None, int(match[4])))
        except ValueError as error:
            raise UsageError(f"expected_listeners: {text!r} is none: {error}") from None
    return tuple(found)


def sockets(proc: str = PROC) -> list[Socket]:
    """Of this network namespace; raises OSError where the kernel tells of none."""
    found = []
    for table, protocol in _TABLES:
        try:
            with open(f"{proc}/net/{table}", encoding="ascii", errors="replace") as file:
                rows = file.read(16 * 1024 * 1024).splitlines()[1:]
        except FileNotFoundError:  # without IPv6
            if table == "tcp":
                raise
            continue
        for row in rows:
            words = row.split()
            if len(words) > 9:
                found.append(Socket(protocol, _endpoint(words[1]), _endpoint(words[2]), words[3], words[9]))
    return found


def _endpoint(text: str) -> Endpoint:
    """``0100007F:1F90``: each 32 bits of the address as a number of this machine."""
    digits, _colon, port = text.partition(":")
    raw = bytes.fromhex(digits)
    numbers = struct.unpack(f">{len(raw) // 4}I", raw)
    address = ip_address(struct.pack(f"={len(numbers)}I", *numbers))
    return Endpoint(str(getattr(address, "ipv4_mapped", None) or address), int(port, 16))


class Holder(NamedTuple):
    """The process that holds a socket."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.name})" if self.pid else self.name


_SOMEBODY = Holder(0, "somebody")


def holders_of_sockets(proc: str = PROC) -> dict[str, Holder]:
    """By the sockets' inodes; of the processes that may be looked at."""
    found: dict[str, Holder] = {}
    for pid in filter(str.isdigit, os.listdir(proc)):
        try:
            links = [os.readlink(f"{proc}/{pid}/fd/{name}") for name in os.listdir(f"{proc}/{pid}/fd")]
        except OSError:
            continue
        for link in links:
            if link.startswith("socket:["):
                found.setdefault(link[8:-1], Holder(int(pid), _read(f"{proc}/{pid}/comm").strip()))
    return found


def audit_listeners(
    found: Findings, seen: Sequence[Socket], holders: Mapping[str, Holder], wanted: Sequence[Listener]
) -> None:
    """What listens and is not expected to."""
    for one in seen:
        if one.listens and not any(_is(one, listener) for listener in wanted):
            what = f"{holders.get(one.inode, _SOMEBODY)} listens on {one.protocol}/{one.local}"
            found.add("listener", SUSPICIOUS, what, "it is not among the expected ones")


def _is(one: Socket, wanted: Listener) -> bool:
    return (one.protocol, one.local.port) == (wanted.protocol, wanted.port) and wanted.address in (
        None,
        one.local.address,
    )


def audit_connections(
    found: Findings,
    seen: Sequence[Socket],
    holders: Mapping[str, Holder],
    peers: Sequence[Network],
    known: Sequence[Network],
) -> None:
    """Whom this host has called, and who has called it, as far as it is expected to."""
    serving = {(one.protocol, one.local.port) for one in seen if one.listens}
    for one in seen:
        if one.state != ESTABLISHED or one.remote.address in _ITSELF or one.remote.address == one.local.address:
            continue
        who = holders.get(one.inode, _SOMEBODY)
        if (one.protocol, one.local.port) in serving:
            if known and not within(one.remote.address, [*known, *peers]):
                what = f"{who} is called from outside the known networks: {one.remote} to {one.local}"
                found.add("connection_in", ALARMING, what)
        elif not within(one.remote.address, peers):
            found.add("connection_out", ALARMING, f"{who} is connected to {one.remote}, which is no expected peer",
                      f"{one.protocol} from {one.local}")  # fmt: skip


def audit_suspects(
    found: Findings, seen: Sequence[Socket], holders: Mapping[str, Holder], pids: frozenset[int]
) -> None:
    """Whom the processes of alarming programs speak to, wherever that is."""
    for one in seen:
        holder = holders.get(one.inode, _SOMEBODY)
        if holder.pid in pids and one.state == ESTABLISHED:
            what = f"{holder}, whose program alarms, is connected to {one.remote}"
            found.add("connection_of_suspect", ALARMING, what, f"{one.protocol} from {one.local}")
        elif holder.pid in pids and one.listens:
            what = f"{holder}, whose program alarms, listens on {one.protocol}/{one.local}"
            found.add("listener_of_suspect", ALARMING, what)


# What would start again -----------------------------------------------------------------------------------------------

#: Folders and files that make something run, or let somebody in, with what they are. Ours to look at for changes.
STARTERS: Mapping[str, tuple[str, ...]] = {
    "cron": ("/etc/crontab", "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly",
             "/etc/cron.monthly", "/var/spool/cron", "/etc/anacrontab", "/var/spool/at"),
    "unit": ("/etc/systemd/system", "/run/systemd/system", "/etc/systemd/user", "/usr/local/lib/systemd"),
    "startup": ("/etc/rc.local", "/etc/init.d", "/etc/profile", "/etc/profile.d", "/etc/bash.bashrc",
                "/etc/environment", "/etc/ld.so.conf.d", "/etc/udev/rules.d", "/etc/modules-load.d", "/etc/modprobe.d"),
    "access": ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/sudoers", "/etc/sudoers.d", "/etc/pam.d",
               "/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d", "/etc/hosts.allow"),
}  # fmt: skip
PRELOAD = "/etc/ld.so.preload"


def audit_starters(found: Findings, since: float, deadline: Deadline, root: str = "") -> None:
    """What makes something run, or lets somebody in, and was changed since then."""
    for kind, paths in STARTERS.items():
        for path, seen in _walk([root + path for path in paths], deadline, found, "persistence"):
            at = max(seen.st_mtime, seen.st_ctime)
            if at >= since and not stat.S_ISDIR(seen.st_mode):
                found.add(f"changed_{kind}", SUSPICIOUS, f"{path} was changed at {iso(at)}", path=path)
    text = _read(root + PRELOAD).strip()
    if text:
        found.add("preload", ALARMING, f"{PRELOAD} pushes a library into every program", text, PRELOAD)
    elif os.path.lexists(root + PRELOAD) and not os.access(root + PRELOAD, os.R_OK):
        found.unknown("persistence", f"{PRELOAD} may not be read")


class Account(NamedTuple):
    name: str
    uid: int
    home: str


def accounts() -> list[Account]:
    return [Account(entry.pw_name, entry.pw_uid, entry.pw_dir) for entry in pwd.getpwall()]


def audit_accounts(found: Findings, since: float, people: Sequence[Account], root: str = "") -> None:
    """Second roots, and keys that let somebody in."""
    for account in people:
        if account.uid == 0 and account.name != "root":
            found.add("second_root", ALARMING, f"{account.name} is root by another name", path="/etc/passwd")
    for home, name in sorted({account.home: account.name for account in people}.items()):
        for file in ("authorized_keys", "authorized_keys2"):
            path = f"{root}{home}/.ssh/{file}"
            try:
                seen = os.stat(path)
            except PermissionError:
                found.unknown("persistence", f"{path} may not be looked at")
                continue
            except OSError:
                continue
            at = max(seen.st_mtime, seen.st_ctime)
            keys = [row for row in _read(path).splitlines() if row.strip() and not row.lstrip().startswith("#")]
            told = ", ".join(" ".join(row.split()[-1:]) for row in keys)
            what = f"{len(keys)} keys let somebody in as {name}, changed at {iso(at)}"
            found.add("authorized_keys", ALARMING if at >= since else INFO, what, f"their names: {told}", path)


#: What a distribution installs with that bit; after an upgrade it is new.
_USUAL_SETUID = frozenset(
    (
        *("at", "chage", "chfn", "chsh", "crontab", "doas", "expiry", "fusermount", "fusermount3", "gpasswd", "mount"),
        *("mount.cifs", "mount.nfs", "newgidmap", "newgrp", "newuidmap", "ntfs-3g", "passwd", "ping", "pkexec"),
        *("postdrop", "postqueue", "ssh-agent", "staprun", "su", "sudo", "sudoedit", "umount", "unix_chkpwd"),
        *("unix_update", "userhelper", "wall", "write"),
    )
)


def audit_setuid(found: Findings, paths: Sequence[str], since: float, deadline: Deadline) -> None:
    """Programs that run as somebody else whoever starts them, and are new, or lie where anybody may write."""
    for path, seen in _walk(paths, deadline, found, "setuid"):
        if not stat.S_ISREG(seen.st_mode) or not seen.st_mode & (stat.S_ISUID | stat.S_ISGID):
            continue
        at, bit = max(seen.st_mtime, seen.st_ctime), "setuid" if seen.st_mode & stat.S_ISUID else "setgid"
        if at >= since or below(path, OPEN_FOLDERS):
            usual = path.startswith(("/usr/bin/", "/usr/sbin/")) and os.path.basename(path) in _USUAL_SETUID
            what = f"{path} is {bit} (owner {seen.st_uid}), changed at {iso(at)}"
            found.add("setuid", SUSPICIOUS if usual else ALARMING, what, path=path)


def _walk(
    paths: Sequence[str], deadline: Deadline, found: Findings, check: str
) -> Iterator[tuple[str, os.stat_result]]:
    """Everything at and below ``paths`` on their own file systems; links are not followed."""
    waiting: list[tuple[str, int | None]] = [(path, None) for path in paths]
    while waiting:
        path, device = waiting.pop()
        if deadline.expired():
            found.unknown(check, f"there was no time for {path} and {len(waiting)} others")
            return
        try:
            seen = os.lstat(path)
            yield path, seen
            if stat.S_ISDIR(seen.st_mode) and device in (None, seen.st_dev):
                waiting += [(entry.path, seen.st_dev) for entry in os.scandir(path)]
        except FileNotFoundError:
            continue
        except OSError as error:
            found.unknown(check, f"{path}: {error.strerror or error}")


# The kernel -----------------------------------------------------------------------------------------------------------

_TAINTS = {1: "a module that was forced", 12: "a module from outside of its tree", 13: "a module without a signature"}


def audit_kernel(found: Findings, baseline: Sequence[str] | None, proc: str = PROC) -> None:
    """Its modules against those that belong there, and what it says of how it came to be."""
    try:
        loaded = [row.split()[0] for row in read_small(f"{proc}/modules").splitlines() if row.split()]
    except OSError as error:
        found.unknown("kernel", f"the kernel's modules: {error.strerror or error}")
        return
    if baseline is None:
        found.unknown("kernel", "nobody says which modules belong there (hft_kernel_modules)")
    else:
        belong = {name.replace("-", "_") for name in baseline}
        for name in sorted({module.replace("-", "_") for module in loaded} - belong):
            found.add("kernel_module", ALARMING, f"the kernel's module {name} is not in the baseline")
    taint = _read(f"{proc}/sys/kernel/tainted").strip()
    for bit, what in _TAINTS.items():
        if taint.isdigit() and int(taint) >> bit & 1:
            found.add("kernel_tainted", SUSPICIOUS, f"the kernel has, or had, {what}")


def _read(path: str) -> str:
    try:
        return read_small(path)
    except OSError:
        return ""
