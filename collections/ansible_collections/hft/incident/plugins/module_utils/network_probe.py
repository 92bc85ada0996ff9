# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Whether a destination can be reached from here, and whether this host still talks to itself."""

from __future__ import annotations

import errno
import os
import selectors
import socket
from collections.abc import Sequence
from typing import Any, NamedTuple

from .deadline import Deadline
from .isolation_rules import Destination

#: An answer of the other end, or of something in between that was reached: packets get out.
_ANSWERS = frozenset((0, errno.ECONNREFUSED, errno.ECONNRESET))


class Reach(NamedTuple):
    """``blocked``: no answer came back; ``how``: what was seen."""

    destination: Destination
    blocked: bool
    how: str

    def shown(self) -> dict[str, Any]:
        return {"destination": str(self.destination), "blocked": self.blocked, "how": self.how}


def reach(destinations: Sequence[Destination], timeout: float) -> list[Reach]:
    """Try to connect to all of them at once, ``timeout`` seconds at most. Nothing is sent over a connection."""
    deadline = Deadline(timeout)
    found: dict[Destination, Reach] = {}
    with selectors.DefaultSelector() as selector:
        try:
            for one in destinations:
                _begin(one, selector, found)
            while selector.get_map() and not deadline.expired():
                for key, _events in selector.select(deadline.remaining()):
                    code = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # type: ignore[union-attr]  # ours
                    _end(key, selector)
                    found[key.data] = _seen(key.data, code)
        finally:
            for key in list(selector.get_map().values()):
                _end(key, selector)
    return [found.get(one, Reach(one, True, f"no answer in {timeout:g} s")) for one in destinations]


def loopback(timeout: float) -> str:
    """Why this host cannot connect to itself; "" where it can."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
            server.settimeout(timeout)
            client.settimeout(timeout)
            client.connect(server.getsockname())
            server.accept()[0].close()
    except OSError as error:
        return str(error.strerror or error)
    return ""


def _begin(one: Destination, selector: selectors.BaseSelector, found: dict[Destination, Reach]) -> None:
    family = socket.AF_INET6 if one.address.version == 6 else socket.AF_INET
    try:
        # Closed by _end, which is called for everything that the selector has.
        client = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except OSError as error:  # a host without IPv6
        found[one] = _seen(one, error.errno or errno.EAFNOSUPPORT)
        return
    code = client.connect_ex((str(one.address), one.port))
    if code == errno.EINPROGRESS:
        selector.register(client, selectors.EVENT_WRITE, one)
        return
    client.close()
    found[one] = _seen(one, code)


def _end(key: selectors.SelectorKey, selector: selectors.BaseSelector) -> None:
    selector.unregister(key.fileobj)
    key.fileobj.close()  # type: ignore[union-attr]  # ours


def _seen(one: Destination, code: int) -> Reach:
    return Reach(one, code not in _ANSWERS, os.strerror(code) if code else "connected")
