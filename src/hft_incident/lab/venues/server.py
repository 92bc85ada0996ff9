# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A venue as an HTTP server: requests go to a dialect, and replies are spoiled as the faults in force say."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from ..connections import reset
from .dialect import Dialect, Incoming, Json, Route
from .exchange import Order, Refusal
from .faults import Fault, Faults

DRIP_INTERVAL_S = 0.05
MARKET_INTERVAL_S = 0.1
HTML = b"<!DOCTYPE html><html><head><title>Maintenance</title></head><body><h1>We'll be back soon</h1></body></html>"


@dataclass(frozen=True)
class Seen:
    """A request that arrived, for tests and scores; ``at`` is seconds since 1970."""

    at: float
    op: str
    method: str
    path: str
    writes: bool


class VenueServer:
    """One venue on one port, by default of 127.0.0.1."""

    def __init__(
        self, name: str, dialect: Dialect, *, address: str = "127.0.0.1", port: int = 0, latency_s: float = 0.0
    ) -> None:
        self.name = name
        self.dialect = dialect
        self.exchange = dialect.exchange
        self.faults = Faults()
        self.seen: list[Seen] = []
        self.latency_s = latency_s
        self.market_moves = True
        self.address = address
        self.port = port
        self._runner: web.AppRunner | None = None
        self._site: web.SockSite | None = None
        self._market: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen; the port is chosen where it was given as 0."""
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await self.listen()
        self._market = asyncio.create_task(self._run_market())

    async def stop(self) -> None:
        if self._market:
            self._market.cancel()
        if self._runner:
            await self._runner.cleanup()

    async def listen(self) -> None:
        """Accept connections (again)."""
        if self._site is None and self._runner is not None:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self.address, self.port))
            self.port = sock.getsockname()[1]
            self._site = web.SockSite(self._runner, sock, backlog=512)
            await self._site.start()

    async def refuse(self) -> None:
        """Refuse connections and drop those that are open."""
        if self._site is not None and self._runner is not None:
            await self._site.stop()
            self._site = None
            for connection in list(self._runner.server.connections if self._runner.server else ()):
                connection.force_close()
                if connection.transport is not None:
                    connection.transport.abort()

    async def apply_state_faults(self) -> None:
        """Bring what does not depend on a single request in line with the faults in force."""
        await (self.refuse() if self.faults.holds("refuse") else self.listen())
        self.exchange.feed_running = self.faults.holds("feed_stops") is None
        skew = self.faults.holds("clock_skew")
        self.exchange.clock_skew_ms = int(skew.seconds * 1000) if skew else 0

    async def _run_market(self) -> None:
        while True:
            await asyncio.sleep(MARKET_INTERVAL_S)
            if self.market_moves:
                self.exchange.advance()
            elif self.exchange.feed_running:  # a quiet market is no stale feed
                self.exchange.feed_at_ms = self.exchange.now_ms()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        incoming = decode(request, body)
        route = self.dialect.find_route(incoming.method, incoming.path)
        op = route.op if route else "unknown"
        self.seen.append(Seen(time.time(), op, incoming.method, incoming.path, bool(route and route.writes)))
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        fault = None
        if not (op == "status" and self.faults.holds("status_lies")):
            fault = self.faults.take_reply_fault(op)
        if fault is not None and not fault.executes:
            return await self._spoil(request, fault, *self._genuine_or_none(route, incoming, fault))
        status, payload = self._execute(route, incoming)
        if fault is not None:
            return await self._spoil(request, fault, status, payload)
        return web.Response(status=status, body=encode(payload), content_type="application/json")

    def _genuine_or_none(self, route: Route | None, incoming: Incoming, fault: Fault) -> tuple[int, Json]:
        """Faults that only damage a reply need a genuine one, which reading may give; a write is not carried out."""
        damages = fault.kind in ("drip", "truncated", "half_body", "wrong_schema")
        if route is None or not damages:
            return 200, {}
        return self._execute(route, incoming) if not route.writes else (200, {"result": "ok", "data": []})

    def _execute(self, route: Route | None, incoming: Incoming) -> tuple[int, Json]:
        try:
            if route is None:
                raise Refusal("bad_request", f"no such endpoint: {incoming.method} {incoming.path}")
            self._set_clock(route)
            if route.permission is not None:
                if self.faults.take("revoked_key", route.op):
                    raise Refusal("bad_key")
                key = self.dialect.authenticate(incoming)
                self.dialect.allow(key, route.permission, incoming.remote)
                self.exchange.acting = key.id
            if route.op.startswith("cancel"):
                self._set_cancel_mode(route.op)
            payload = route.handler(incoming)
        except Refusal as refusal:
            return self.dialect.refuse(refusal)
        finally:
            self.exchange.acting = ""
        if route.op == "open_orders" and not self.exchange.open_orders() and self.faults.take("late_order", route.op):
            self.place_one()
        return 200, payload

    def _set_clock(self, route: Route) -> None:
        """Only requests that carry a timestamp use a counted skew up."""
        look = self.faults.holds if route.permission is None else self.faults.take
        skew = look("clock_skew", route.op)
        self.exchange.clock_skew_ms = int(skew.seconds * 1000) if skew else 0

    def _set_cancel_mode(self, op: str) -> None:
        if self.faults.take("cancel_ignored", op):
            self.exchange.cancel_mode = "ignored"
        elif self.faults.take("cancel_partial", op):
            self.exchange.cancel_mode = "partial"
        else:
            self.exchange.cancel_mode = "honest"

    def place_one(
        self, symbol: str | None = None, *, conditional: bool = False, client_id: str = "", key: str = ""
    ) -> Order:
        """A resting order far from the market, so that it is never filled; ``key`` is said to have placed it."""
        instrument = self.exchange.instruments[symbol] if symbol else next(iter(self.exchange.instruments.values()))
        price = (self.exchange.prices[instrument.symbol] / 2).quantize(instrument.tick)
        acting, self.exchange.acting = self.exchange.acting, key
        try:
            return self.exchange.place(
                instrument.symbol, "buy", instrument.tick, price, client_id=client_id, conditional=conditional
            )
        finally:
            self.exchange.acting = acting

    async def _spoil(self, request: web.Request, fault: Fault, status: int, payload: Json) -> web.StreamResponse:
        body = encode(payload)
        if fault.kind == "status":
            headers = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
            return web.Response(status=fault.status, headers=headers, body=HTML, content_type="text/html")
        if fault.kind == "wrong_schema":
            body = encode(_renamed(payload))
        replies = {
            "html": (HTML, "text/html"),
            "empty_object": (b"{}", "application/json"),
            "empty_body": (b"", "application/json"),
            "truncated": (body[: max(1, len(body) // 2)], "application/json"),
            "wrong_schema": (body, "application/json"),
        }
        if fault.kind in replies:
            content, content_type = replies[fault.kind]
            return web.Response(status=200, body=content, content_type=content_type)
        if fault.kind == "hang":
            await asyncio.sleep(3600)
        if fault.kind == "reset" and request.transport is not None:
            reset(request.transport)
            return web.Response()
        return await self._send_badly(request, fault, status, body)

    async def _send_badly(self, request: web.Request, fault: Fault, status: int, body: bytes) -> web.StreamResponse:
        """ "drip" (a byte at a time) and "half_body" (the connection closes before the promised length)."""
        response = web.StreamResponse(status=status, headers={"Content-Type": "application/json"})
        response.content_length = len(body)
        with suppress(ConnectionResetError):  # whoever asked does not wait for the end of it
            await response.prepare(request)
            if fault.kind == "half_body":
                await response.write(body[: len(body) // 2])
                if request.transport is not None:
                    request.transport.close()
                return response
            for index in range(len(body)):
                await response.write(body[index : index + 1])
                await asyncio.sleep(DRIP_INTERVAL_S)
        return response


def decode(request: web.Request, body: bytes) -> Incoming:
    """The request as dialects read it."""
    query = request.rel_url.raw_query_string
    params: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
    if request.content_type == "application/x-www-form-urlencoded":
        params.update(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
    elif body[:1] == b"{":
        try:
            params.update(json.loads(body))
        except ValueError:
            params["__malformed__"] = True
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Incoming(request.method, request.rel_url.raw_path, query, headers, body, params, request.remote or "")


def encode(payload: Json) -> bytes:
    return json.dumps(payload, separators=(",", ":"), default=str).encode()


def _renamed(value: Json) -> Json:
    """The same shape under names that the venue does not use; a bare list becomes an object."""
    if isinstance(value, list):
        return {"unexpected": [_renamed_keys(item) for item in value]}
    return _renamed_keys(value)


def _renamed_keys(value: Json) -> Json:
    if isinstance(value, dict):
        return {f"x_{key}": _renamed_keys(item) for key, item in value.items()}
    return [_renamed_keys(item) for item in value] if isinstance(value, list) else value
