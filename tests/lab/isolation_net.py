# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A small firm in network namespaces: a suspect host with a real sshd, its responder, an intruder's server, an exchange
and a database, on one switch that leads nowhere else.

What is on the host sees a /run and a machine id of its own; everything else is this machine's.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import socket
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.lab.ssh_host import SSHD
from tests.lab.waiting import wait_until

#: The last part of each one's addresses.
NODES = {"host": 2, "control": 10, "other": 11, "exchange": 30, "database": 40, "c2": 66}
EXCHANGE_PORT, DATABASE_PORT, C2_PORT, SSH_PORT, SERVICE_PORT = 443, 5432, 4444, 22, 8443
CLONE_NEWNET = 0x40000000
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def v4(node: str) -> str:
    return f"10.77.0.{NODES[node]}"


def v6(node: str) -> str:
    return f"fd77::{NODES[node]:x}"


class Net(NamedTuple):
    """``prefix`` of the namespaces' names; ``host_pid``: a process on the host that everything there descends from."""

    folder: Path
    prefix: str
    host_pid: int

    # Network

    def within(self, node: str, work: Callable[[], socket.socket]) -> socket.socket:
        """A socket that belongs to that node: it is where it was made, not where it is used."""
        return _in_namespace(Path(f"/run/netns/{self.prefix}{node}"), work)

    def connect(self, node: str, address: str, port: int, timeout: float = 5.0) -> socket.socket:
        return self.within(node, lambda: socket.create_connection((address, port), timeout))

    def listen(self, node: str, port: int) -> socket.socket:
        """For both families."""
        return self.within(node, lambda: _listening(port))

    def reaches(self, node: str, address: str, port: int, timeout: float = 0.3) -> bool:
        try:
            self.connect(node, address, port, timeout).close()
        except OSError:
            return False
        return True

    # Commands

    def command(self, node: str, argv: Sequence[str | Path]) -> list[str]:
        return ["ip", "netns", "exec", f"{self.prefix}{node}", *map(str, argv)]

    def on_host(self, *argv: str | Path) -> subprocess.CompletedProcess[str]:
        """As root at its own console: not over the network."""
        enter = ["nsenter", f"--target={self.host_pid}", "--net", "--mount", *map(str, argv)]
        return subprocess.run(enter, capture_output=True, text=True, timeout=60, check=False)

    def ssh(self, *argv: str, node: str = "control", address: str = "") -> list[str]:
        """A new connection each time."""
        keys: list[str | Path] = [
            "-F", "none", "-i", self.folder / "ops", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
            "-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}", "-o", "StrictHostKeyChecking=yes",
            "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5",
        ]  # fmt: skip
        return self.command(node, ["ssh", *keys, f"root@{address or v4('host')}", *argv])

    # What is there

    def tables(self) -> set[str]:
        listed = self.on_host("nft", "list", "tables")
        assert listed.returncode == 0, listed.stderr
        return {line.removeprefix("table ") for line in listed.stdout.splitlines()}

    def left_in_run(self) -> set[str]:
        """Of the isolation, but for its lock."""
        names = self.on_host("sh", "-c", "ls /run/hft-incident 2>/dev/null").stdout.split()
        return {name for name in names if not name.endswith(".lock")}

    def reverts(self) -> list[int]:
        """The processes that wait to revert on this host, and not on another test's."""
        here = os.stat(f"/proc/{self.host_pid}/ns/net").st_ino
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if words[1:2] == [b"-c"] and b"isolation-" in words[2] and (folder / "ns/net").stat().st_ino == here:
                    found.append(int(folder.name))
            except OSError:
                continue
        return found


@contextmanager
def isolation_net(folder: Path) -> Iterator[Net]:
    """Skips the test where this machine cannot have it."""
    _require_possible()
    folder.mkdir(mode=0o700)
    prefix = f"hft{uuid.uuid4().hex[:6]}-"
    with ExitStack() as stack:
        for name in ("switch", *NODES):
            _ip("netns", "add", f"{prefix}{name}")
            stack.callback(_ip, "netns", "del", f"{prefix}{name}")
        _wire(prefix)
        net = Net(folder, prefix, 0)
        server = stack.enter_context(_sshd(net))
        net = net._replace(host_pid=server.pid)
        for node, port in (("exchange", EXCHANGE_PORT), ("database", DATABASE_PORT), ("host", SERVICE_PORT)):
            stack.enter_context(net.listen(node, port))
        wait_until(lambda: subprocess.run(net.ssh("true"), capture_output=True, check=False).returncode == 0, 30.0)
        yield net


def _require_possible() -> None:
    if os.geteuid() != 0:
        pytest.skip("an isolation is tried out in network namespaces, which take root")
    for tool, package in {
        "nft": "nftables",
        "ip": "iproute2",
        "conntrack": "conntrack",
        "nsenter": "util-linux",
    }.items():
        if shutil.which(tool, path=_PATH) is None:
            pytest.skip(f"{tool} is not installed here (Debian: {package}), so no host can be isolated")
    if SSHD is None:
        pytest.skip("sshd is not installed here: make sshd, or install OpenSSH's server")
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "nft", "add", "table", "inet", "tried"],
        capture_output=True, text=True, check=False, env={**os.environ, "PATH": _PATH},
    )  # fmt: skip
    if tried.returncode:
        pytest.skip(f"network namespaces with nftables are not to be had here: {tried.stderr.strip()}")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=30)


def _wire(prefix: str) -> None:
    switch = f"{prefix}switch"
    _ip("-n", switch, "link", "add", "br0", "type", "bridge")
    _ip("-n", switch, "link", "set", "br0", "up")
    for node in NODES:
        space = f"{prefix}{node}"
        _ip("-n", switch, "link", "add", node, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("-n", switch, "link", "set", node, "master", "br0", "up")
        _ip("-n", space, "address", "add", f"{v4(node)}/24", "dev", "eth0")
        _ip("-n", space, "address", "add", f"{v6(node)}/64", "dev", "eth0", "nodad")
        for link in ("lo", "eth0"):
            _ip("-n", space, "link", "set", link, "up")


@contextmanager
def _sshd(net: Net) -> Iterator[subprocess.Popen[bytes]]:
    folder = net.folder
    for key in ("host_key", "ops"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    settings: Mapping[str, object] = {
        "Port": SSH_PORT,
        "HostKey": folder / "host_key",
        "PidFile": "none",
        "AuthorizedKeysFile": folder / "ops.pub",
        "AuthenticationMethods": "publickey",
        "PermitRootLogin": "prohibit-password",
        "UsePAM": "no",
        "StrictModes": "no",  # the folder of a test is under one that everybody may write
        "MaxStartups": "100",
        "KexAlgorithms": "curve25519-sha256",  # the fastest
    }
    (folder / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    host_key = " ".join((folder / "host_key.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text("".join(f"{one} {host_key}\n" for one in (v4("host"), v6("host"))))
    (folder / "machine-id").write_text(f"{uuid.uuid4().hex}\n")
    own = (
        "mount -t tmpfs tmpfs /run && mkdir -p /run/sshd && "
        "mount -t tmpfs tmpfs /var/log && "  # who comes in here did not come into the machine that the tests run on
        "{ ! [ -e ~/.bashrc ] || mount --bind /dev/null ~/.bashrc; } && "  # whatever somebody has there, it takes time
        f"mount --bind {shlex.quote(str(folder / 'machine-id'))} /etc/machine-id && "
        f"exec {SSHD} -D -f {shlex.quote(str(folder / 'sshd_config'))} -E {shlex.quote(str(folder / 'sshd.log'))}"
    )
    with subprocess.Popen(net.command("host", ["unshare", "--mount", "sh", "-c", own])) as server:
        try:
            yield server
        finally:
            server.terminate()


def _listening(port: int) -> socket.socket:
    return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)


def _in_namespace(path: Path, work: Callable[[], socket.socket]) -> socket.socket:
    """In a thread of its own, since a thread that has gone there stays."""
    made: list[socket.socket | BaseException] = []

    def go() -> None:
        try:
            with path.open("rb") as space:
                if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), f"cannot enter {path}")
            made.append(work())
        except BaseException as error:  # noqa: BLE001  # raised again below, where somebody waits for it
            made.append(error)

    thread = threading.Thread(target=go)
    thread.start()
    thread.join()
    if isinstance(made[0], BaseException):
        raise made[0]
    return made[0]
