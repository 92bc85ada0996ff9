# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The connections of this host that an isolation cuts: seen, destroyed, and forgotten by connection tracking.

A packet filter only stalls a connection. It lives on at both ends, and goes on as soon as the filter is gone; so it is
destroyed while the filter holds, and what could not be is said.

Source: seed-faults A1 (a stalled session came back to life on revert); ss(8), ``-K``; conntrack(8).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .deadline import Deadline
from .errors import UnprovenError, UsageError
from .host_command import CANNOT_START, MISSING, Ran, located, run
from .isolation_rules import Address, Kept, foreign_sockets, plain_address

#: Every state with another end to it; a TCP socket in TIME-WAIT has none left.
SELECTED = ("-H", "-t", "-u", "-n", "state", "connected", "exclude", "time-wait")
#: How often what is left is tried again, and how far apart (s): a process may be about to let go of it.
ROUNDS, ROUND_S = 5, 0.1
_SS_PROCESS = re.compile(r'\("((?:[^"\\]|\\.)*)",pid=(\d+)')
_FLOW = re.compile(r"(src|dst|sport|dport)=(\S+)")


class Connection(NamedTuple):
    """``processes``: who has it, as name and process id; none where the kernel alone does."""

    protocol: str
    local: str
    peer: str
    processes: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        owner = ", ".join(f"{name} ({pid})" for name, pid in self.processes)
        return f"{self.protocol} {self.local} -> {self.peer}{f' of {owner}' if owner else ''}"


class Connections:
    """Those that are neither within this host nor a responder's session. Raises UsageError where a tool is missing."""

    def __init__(self, kept: Kept, deadline: Deadline) -> None:
        self._kept = kept
        self._deadline = deadline
        self.own = own_addresses(deadline)
        self._filter = foreign_sockets(kept, self.own)

    @property
    def kill_command(self) -> str:
        """For a shell."""
        return shlex.join([located("ss"), "-K", *SELECTED, self._filter])

    def listed(self) -> list[Connection]:
        """As they are now; raises UnprovenError where that cannot be seen."""
        ran = _tool(["ss", "-p", *SELECTED, self._filter], self._deadline)
        if not ran.ok:
            raise UnprovenError(f"the host's connections cannot be seen: ss: {ran.complaint}")
        return [found for found in map(_connection, ran.out.splitlines()) if found]

    def destroy(self, kill: Sequence[str] = ()) -> tuple[list[Connection], list[Connection]]:
        """What was there and what is left. ``kill``: processes, by name or id, that die if they have one of them."""
        first = left = self.listed()
        for turn in range(ROUNDS):
            if not left:
                break
            if turn:
                time.sleep(ROUND_S)
            _kill(left, kill)
            _tool(["ss", "-K", *SELECTED, self._filter], self._deadline)  # says nothing of what it could not do
            left = self.listed()
        return first, left

    def forget(self) -> str:
        """Have connection tracking forget what the isolation cuts, so that nothing counts as established later; "" or
        why it may still remember."""
        if _tracked() == 0:
            return ""
        try:
            flows = self._flows()
            for family, protocol, source, target in dict.fromkeys(flow for flow in flows):
                delete = ["conntrack", "-D", "-f", family, "-p", protocol]
                _tool(
                    [*delete, "--orig-src", source[0], "--orig-dst", target[0], *_ports(source, target)], self._deadline
                )
            left = len(self._flows()) if flows else 0
        except (UsageError, UnprovenError) as error:
            return str(error)
        return f"{left} flows are still tracked" if left else ""

    def _flows(self) -> list[tuple[str, str, tuple[str, str], tuple[str, str]]]:
        """Family, protocol, source and target (address, port) of every flow but those that are kept."""
        found = []
        for family in ("ipv4", "ipv6"):
            ran = _tool(["conntrack", "-L", "-f", family], self._deadline)
            if not ran.ok:
                raise UnprovenError(f"conntrack: {ran.complaint}")
            for line in ran.out.splitlines():
                said = dict(reversed(_FLOW.findall(line)))  # the first of each is the direction that it began in
                source, target = ((said.get(end, ""), said.get(port, "")) for end, port in _ENDS)
                if not self._is_kept(source, target):
                    found.append((family, line.split()[0], source, target))
        return found

    def _is_kept(self, source: tuple[str, str], target: tuple[str, str]) -> bool:
        ends = [plain_address(source[0]), plain_address(target[0])]
        if None in ends or all(end is not None and (end.is_loopback or end in self.own) for end in ends):
            return True
        for near, far in ((target, ends[0]), (source, ends[1])):
            if far is not None and near[1].isdigit() and self._kept.covers(far, int(near[1])):
                return True
        return False


_ENDS = (("src", "sport"), ("dst", "dport"))


def own_addresses(deadline: Deadline) -> tuple[Address, ...]:
    """Of every interface. Raises UsageError without ``ip``, UnprovenError where it does not say."""
    ran = _tool(["ip", "-j", "address", "show"], deadline)
    try:
        found = {plain_address(one["local"]) for link in json.loads(ran.out) for one in link["addr_info"]}
    except (ValueError, TypeError, KeyError):
        raise UnprovenError(f"the host's own addresses are unknown: ip: {ran.complaint}") from None
    return tuple(sorted((one for one in found if one), key=lambda one: (one.version, int(one))))


def _kill(connections: Iterable[Connection], named: Sequence[str]) -> None:
    """Nobody is killed who has none of them, and nobody who was not named."""
    for name, pid in {owner for connection in connections for owner in connection.processes}:
        if name in named or str(pid) in named:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGKILL)


def _connection(line: str) -> Connection | None:
    words = line.split(None, 6)
    if len(words) < 6:
        return None
    owners = tuple((name, int(pid)) for name, pid in _SS_PROCESS.findall(words[6] if len(words) > 6 else ""))
    return Connection(words[0], words[4], words[5], tuple(dict.fromkeys(owners)))


def _tracked() -> int | None:
    """How many flows the kernel tracks; None: it does not say. Without the file it tracks none."""
    try:
        with open("/proc/sys/net/netfilter/nf_conntrack_count", encoding="ascii") as file:
            return int(file.read())
    except FileNotFoundError:
        return 0
    except (OSError, ValueError):
        return None


def _ports(source: tuple[str, str], target: tuple[str, str]) -> list[str]:
    return ["--orig-port-src", source[1], "--orig-port-dst", target[1]] if source[1] and target[1] else []


def _tool(argv: list[str], deadline: Deadline) -> Ran:
    ran = run([located(argv[0]), *argv[1:]], timeout=max(0.1, deadline.remaining()))
    if ran.problem and ran.rc in (MISSING, CANNOT_START):
        package = "conntrack" if argv[0] == "conntrack" else "iproute2"
        raise UsageError(f"{ran.problem}: install it first (`apt install {package}`)")
    return ran
