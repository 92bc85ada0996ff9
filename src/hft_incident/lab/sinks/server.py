# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A service as an HTTP server: what arrives is recorded, and answered as the service or a fault in force says."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

from aiohttp import web

from ..connections import reset
from .arrivals import Arrival, Arrivals
from .faults import HTTP_STATUS, Fault, Faults
from .service import HTML, Incoming, Reply, Service

MAX_BODY = 64 * 1024 * 1024  # the services have smaller limits of their own
A_LONG_TIME_S = 3600.0


class ServiceServer:
    """One service. Calling it makes the protocol of one connection, as asyncio's servers want."""

    def __init__(self, service: Service, faults: Faults, arrivals: Arrivals) -> None:
        self.service = service
        self.faults = faults
        self.arrivals = arrivals
        self._server = web.Server(
            self._answer, handler_cancellation=True, access_log=None, request_factory=_with_room_for_large_bodies
        )

    def __call__(self) -> asyncio.Protocol:
        return self._server()

    async def stop(self) -> None:
        await self._server.shutdown(timeout=0.1)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        call = self.service.read(decode(request, await request.read()))
        arrival = self.arrivals.add(self.service.name, call)
        fault = self.faults.take(self.service.name, call.op)
        if fault is None:
            reply = arrival.do(call)
            arrival.tell(reply)
            return _response(reply)
        arrival.fault = fault.kind
        return await self._spoil(request, fault, arrival, arrival.do(call) if fault.works else None)

    async def _spoil(
        self, request: web.BaseRequest, fault: Fault, arrival: Arrival, reply: Reply | None
    ) -> web.StreamResponse:
        """``reply``: what the service says that it did; None where it did nothing."""
        if fault.kind == "hang":
            await asyncio.sleep(A_LONG_TIME_S)
        if fault.kind == "half_reply" and reply is not None:
            arrival.status = reply.status
            return await _send_half(request, reply)
        if fault.kind == "slow" and reply is not None:
            await asyncio.sleep(fault.seconds)
            arrival.tell(reply)
            return _response(reply)
        if fault.kind == "down" or fault.cut:
            if request.transport is not None:
                reset(request.transport)
            return web.Response()
        status = fault.status or HTTP_STATUS
        refusal = Reply(status, self.service.too_many if status == 429 else HTML)
        arrival.tell(refusal)
        response = _response(refusal)
        if fault.retry_after is not None:
            response.headers["Retry-After"] = f"{fault.retry_after:g}"
        return response


def decode(request: web.BaseRequest, body: bytes) -> Incoming:
    """The request as services read it."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    host = request.host.partition(":")[0]
    return Incoming(host, request.method, request.rel_url.path, dict(request.rel_url.query), headers, body)


async def _send_half(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    """The connection closes before the promised length."""
    body, content_type = _encoded(reply)
    response = web.StreamResponse(status=reply.status, headers={"Content-Type": content_type})
    response.content_length = len(body)
    with suppress(ConnectionResetError):  # whoever asked is gone
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        if request.transport is not None:
            request.transport.close()
    return response


def _response(reply: Reply) -> web.Response:
    body, content_type = _encoded(reply)
    return web.Response(status=reply.status, body=body, headers={"Content-Type": content_type})


def _encoded(reply: Reply) -> tuple[bytes, str]:
    if isinstance(reply.body, str):
        return reply.body.encode(), "text/html; charset=utf-8" if reply.body == HTML else "text/plain; charset=utf-8"
    return json.dumps(reply.body).encode(), "application/json; charset=utf-8"


def _with_room_for_large_bodies(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    """As aiohttp makes a request, which by itself reads one megabyte at most."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY)
