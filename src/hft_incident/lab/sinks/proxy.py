# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The way out to the Internet that jumphosts have, an HTTP proxy, except that the services are at this end of it.

``CONNECT host:443`` (RFC 9110, section 9.3.6) of a known host is accepted, and TLS ends here, with a certificate of the
lab's own authority. What is asked in clear goes to the services that are known by host and port. All else is 502:
nothing leaves the machine.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from ..connections import reset
from .arrivals import Arrivals
from .server import ServiceServer
from .service import Call, Reply

MAX_HEAD = 65536
NAME = "proxy"


class Proxy:
    """``services`` by ``host:port``; those at port 443 are reached through TLS."""

    def __init__(self, services: Mapping[str, ServiceServer], tls: ssl.SSLContext, arrivals: Arrivals) -> None:
        self.services = services
        self.tls = tls
        self.arrivals = arrivals
        self.handovers: set[asyncio.Task[None]] = set()  # kept, or they may be collected while they run

    def __call__(self) -> asyncio.Protocol:
        return _Connection(self)


class _Connection(asyncio.Protocol):
    """Until it is known whom it is for; then that service's protocol takes its place."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._is_tunnel = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._transport is None or self._is_tunnel:
            return  # what comes right behind the handshake waits for the service
        head, end, _rest = self._received.partition(b"\r\n\r\n")
        if end:
            self._find_service(self._transport, head.partition(b"\r\n")[0].decode("latin-1"))
        elif len(self._received) > MAX_HEAD:
            self._transport.abort()

    def _find_service(self, transport: asyncio.Transport, request_line: str) -> None:
        method, _, rest = request_line.partition(" ")
        target = rest.rpartition(" ")[0]
        address = target if method == "CONNECT" else urlsplit(target).netloc
        server = self._proxy.services.get(address.lower())
        if server is None or (method == "CONNECT") != address.endswith(":443"):
            refused = self._proxy.arrivals.add(NAME, Call("connect", _bad_gateway, target=address))
            refused.tell(_bad_gateway())
            transport.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            transport.close()
        elif server.faults.refuses(server.service.name):
            reset(transport)
        elif method == "CONNECT":
            self._is_tunnel, self._received = True, b""
            transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            task = asyncio.get_running_loop().create_task(self._start_tls(transport, server))
            self._proxy.handovers.add(task)
            task.add_done_callback(self._proxy.handovers.discard)
        else:
            self._hand_over(transport, server)

    async def _start_tls(self, transport: asyncio.Transport, server: ServiceServer) -> None:
        loop = asyncio.get_running_loop()
        try:
            tls = await loop.start_tls(transport, self, self._proxy.tls, server_side=True)
        except OSError:  # ssl.SSLError too: a client that does not trust us
            transport.abort()
            return
        if tls is not None:
            self._hand_over(tls, server)

    def _hand_over(self, transport: asyncio.Transport, server: ServiceServer) -> None:
        protocol = server()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._received:
            protocol.data_received(self._received)


def _bad_gateway() -> Reply:
    return Reply(502, "")
