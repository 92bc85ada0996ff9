# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The kernel's own tables of sockets, routes and neighbors (``/proc/net``), read as proc(5) has them: pure rules.

An intruder may replace ``ss`` and ``ip``; these lines come from the kernel. A line that does not fit is kept as it is,
under ``unread``: what nobody expected is what an investigation looks for.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Row = dict[str, Any]

#: /proc/net/FILE of each family of sockets.
INET = ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6")
TCP_STATES: Mapping[str, str] = {
    "01": "established",
    "02": "syn_sent",
    "03": "syn_recv",
    "04": "fin_wait1",
    "05": "fin_wait2",
    "06": "time_wait",
    "07": "close",
    "08": "close_wait",
    "09": "last_ack",
    "0A": "listen",
    "0B": "closing",
    "0C": "new_syn_recv",
}
_UNIX_TYPES: Mapping[str, str] = {"0001": "stream", "0002": "datagram", "0005": "seqpacket"}
_ROUTE_UP, _UNIX_LISTENS = 0x1, 0x10000
_OCTAL = re.compile(r"\\([0-7]{3})")


def sockets(name: str, text: str) -> Iterator[Row]:
    """Each socket of the table ``name`` (one of ``INET``, ``unix`` or ``packet``)."""
    read = _unix if name == "unix" else _packet if name == "packet" else _inet
    yield from _rows(text, lambda line: {"protocol": name, **read(name, line)})


def routes(text: str) -> Iterator[Row]:
    """``/proc/net/route``."""
    yield from _rows(text, _route)


def routes6(text: str) -> Iterator[Row]:
    """``/proc/net/ipv6_route``, which has no heading."""
    yield from _rows(text, _route6, heading=False)


def neighbors(text: str) -> Iterator[Row]:
    """``/proc/net/arp``."""
    yield from _rows(text, _neighbor)


def modules(text: str) -> Iterator[Row]:
    """``/proc/modules``."""
    yield from _rows(text, _module, heading=False)


def mounts(text: str) -> Iterator[Row]:
    """``/proc/PID/mountinfo``."""
    yield from _rows(text, _mount, heading=False)


def address(text: str) -> tuple[str, int]:
    """``0100007F:1F90`` is ``127.0.0.1`` and 8080: words of 32 bits in the machine's own order, and the port."""
    digits, _colon, port = text.partition(":")
    if len(digits) not in (8, 32):
        raise ValueError(f"not an address: {text!r}")
    words = (digits[at : at + 8] for at in range(0, len(digits), 8))
    packed = b"".join(int(word, 16).to_bytes(4, sys.byteorder) for word in words)
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed), int(port or "0", 16)


def _rows(text: str, read: Callable[[str], Row], *, heading: bool = True) -> Iterator[Row]:
    lines = text.split("\n")
    for line in lines[1:] if heading else lines:
        if not line.strip():
            continue
        try:
            yield read(line)
        except (ValueError, IndexError, OverflowError):
            yield {"unread": line}


def _inet(name: str, line: str) -> Row:
    fields = line.split()
    local, local_port = address(fields[1])
    remote, remote_port = address(fields[2])
    is_tcp = name.startswith("tcp")
    return {
        "local": local,
        "local_port": local_port,
        "remote": remote,
        "remote_port": remote_port,
        # Of the others only whether they are connected (01) is told by it.
        "state": TCP_STATES.get(fields[3], fields[3])
        if is_tcp
        else "connected"
        if fields[3] == "01"
        else "unconnected",
        "uid": int(fields[7]),
        "inode": int(fields[9]),
    }


def _unix(_name: str, line: str) -> Row:
    fields = line.split(None, 7)
    row: Row = {
        "type": _UNIX_TYPES.get(fields[4], fields[4]),
        "state": "listening" if int(fields[3], 16) & _UNIX_LISTENS else "connected" if fields[5] == "03" else fields[5],
        "inode": int(fields[6]),
    }
    return {**row, "path": fields[7]} if len(fields) > 7 else row


def _packet(_name: str, line: str) -> Row:
    """A socket that sees every packet: a sniffer."""
    fields = line.split()
    return {
        "type": int(fields[2]),
        "ethertype": f"0x{int(fields[3], 16):04x}",
        "interface_index": int(fields[4]),
        "uid": int(fields[7]),
        "inode": int(fields[8]),
    }


def _route(line: str) -> Row:
    fields = line.split()
    destination, gateway, mask = (address(fields[at])[0] for at in (1, 2, 7))
    bits = bin(int.from_bytes(socket.inet_aton(mask), "big")).count("1")
    return {
        "interface": fields[0],
        "destination": f"{destination}/{bits}",
        "gateway": gateway,
        "up": bool(int(fields[3], 16) & _ROUTE_UP),
        "metric": int(fields[6]),
    }


def _route6(line: str) -> Row:
    fields = line.split()
    destination, source, gateway = (socket.inet_ntop(socket.AF_INET6, bytes.fromhex(fields[at])) for at in (0, 2, 4))
    return {
        "interface": fields[9],
        "destination": f"{destination}/{int(fields[1], 16)}",
        "source": f"{source}/{int(fields[3], 16)}",
        "gateway": gateway,
        "up": bool(int(fields[8], 16) & _ROUTE_UP),
        "metric": int(fields[5], 16),
    }


def _neighbor(line: str) -> Row:
    fields = line.split()
    return {
        "address": fields[0],
        "hardware": fields[3],
        "complete": bool(int(fields[2], 16) & 0x2),
        "permanent": bool(int(fields[2], 16) & 0x4),
        "interface": fields[5],
    }


def _module(line: str) -> Row:
    fields = line.split()
    used_by = [] if fields[3] == "-" else fields[3].strip(",").split(",")
    tainted = fields[6].strip("()") if len(fields) > 6 else ""
    return {
        "name": fields[0],
        "bytes": int(fields[1]),
        "used": int(fields[2]),
        "used_by": used_by,
        "state": fields[4],
        "taints": tainted,
    }


def _mount(line: str) -> Row:
    before, separator, after = line.partition(" - ")
    fields, rest = before.split(" "), after.split(" ")
    if not separator:
        raise ValueError("no separator")
    return {
        "place": _unescaped(fields[4]),
        "root": _unescaped(fields[3]),
        "options": fields[5],
        "type": rest[0],
        "source": _unescaped(rest[1]),
        "device": fields[2],
        "device_options": rest[2],
    }


def _unescaped(text: str) -> str:
    """Blanks and such are octal there."""
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)
