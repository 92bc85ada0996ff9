# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The control API of a venue process: the truth, faults, seeds. On a port of its own, so that no fault reaches it.

``GET /venues`` · ``GET /venues/{name}/truth`` · ``GET|DELETE /venues/{name}/requests`` ·
``GET|POST|DELETE /venues/{name}/faults`` · ``POST /venues/{name}/orders {symbol?, count, conditional, client_id?,
key?}`` ·
``PUT /venues/{name}/market {"moving": bool}`` · ``PUT /venues/{name}/latency {"ms": n}``.

What people do on the venue's website, and what an intruder does there:
``POST /venues/{name}/keys {label?, permissions?, ips?}`` (the only answer with a secret) · ``DELETE
/venues/{name}/keys/{id}`` · ``POST /venues/{name}/withdrawals {asset, amount, address}`` · ``PUT
/venues/{name}/withdrawals/{id}`` (it is through) · ``POST /venues/{name}/addresses {asset, address, label?, trusted?,
ago_s?}`` · ``POST /venues/{name}/logins {ip, ok?, event?, ago_s?}``. Orders may be given a ``client_id`` and the id of
the ``key`` that placed them.
Errors are 400 and 404 with ``{"error": {"code", "message"}}``; quantities and prices are decimal strings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from typing import Any

from aiohttp import web

from ..control_api import json_object, json_reply, word_errors
from .exchange import Key, Order, Refusal
from .server import VenueServer

MAX_SEED = 10_000
MAX_LATENCY_MS = 60_000


class Control:
    """The API over these venues: ``{name: (driver, server)}``."""

    def __init__(self, venues: Mapping[str, tuple[str, VenueServer]]) -> None:
        self._venues = venues

    def application(self) -> web.Application:
        app = web.Application(middlewares=[word_errors])
        app.add_routes(
            [
                web.get("/venues", self.list_venues),
                web.get("/venues/{name}/truth", self.truth),
                web.get("/venues/{name}/requests", self.requests),
                web.delete("/venues/{name}/requests", self.forget_requests),
                web.get("/venues/{name}/faults", self.faults),
                web.post("/venues/{name}/faults", self.inject),
                web.delete("/venues/{name}/faults", self.clear_faults),
                web.post("/venues/{name}/orders", self.seed),
                web.post("/venues/{name}/keys", self.add_key),
                web.delete("/venues/{name}/keys/{id}", self.remove_key),
                web.post("/venues/{name}/withdrawals", self.withdraw),
                web.put("/venues/{name}/withdrawals/{id}", self.complete_withdrawal),
                web.post("/venues/{name}/addresses", self.add_address),
                web.post("/venues/{name}/logins", self.add_login),
                web.put("/venues/{name}/market", self.set_market),
                web.put("/venues/{name}/latency", self.set_latency),
            ]
        )
        return app

    async def list_venues(self, _request: web.Request) -> web.Response:
        rows = [
            {
                "name": name,
                "driver": driver,
                "port": server.port,
                "symbols": list(server.exchange.instruments),
                "moving": server.market_moves,
                "latency_ms": server.latency_s * 1000,
                "faults": server.faults.active(),
            }
            for name, (driver, server) in self._venues.items()
        ]
        return json_reply({"venues": rows})

    async def truth(self, request: web.Request) -> web.Response:
        exchange = self._venue(request).exchange
        positions = [
            {"symbol": symbol, "qty": holding.qty, "avg_price": holding.avg_price}
            for symbol, holding in exchange.holdings.items()
            if holding.qty
        ]
        return json_reply(
            {
                "open_orders": [_order(order) for order in exchange.open_orders()],
                "happenings": [asdict(happening) for happening in exchange.happenings],
                "positions": positions,
                "balances": exchange.balances,
                "keys": [_key(key) for key in exchange.keys.values()],
                "withdrawals": [asdict(withdrawal) for withdrawal in exchange.treasury.withdrawals()],
                "addresses": [asdict(address) for address in exchange.treasury.addresses],
                "logins": [asdict(login) for login in exchange.treasury.logins],
            }
        )

    async def requests(self, request: web.Request) -> web.Response:
        return json_reply({"requests": [asdict(seen) for seen in self._venue(request).seen]})

    async def forget_requests(self, request: web.Request) -> web.Response:
        self._venue(request).seen.clear()
        return json_reply({"requests": []})

    async def faults(self, request: web.Request) -> web.Response:
        return json_reply({"faults": self._venue(request).faults.active()})

    async def inject(self, request: web.Request) -> web.Response:
        server = self._venue(request)
        try:
            fault = server.faults.inject(await json_object(request))
        except TypeError as error:
            raise ValueError(f"not the description of a fault: {error}") from None
        await server.apply_state_faults()
        return json_reply(asdict(fault), status=201)

    async def clear_faults(self, request: web.Request) -> web.Response:
        server = self._venue(request)
        server.faults.clear()
        await server.apply_state_faults()
        return json_reply({"faults": []})

    async def seed(self, request: web.Request) -> web.Response:
        server, wanted = self._venue(request), await json_object(request)
        symbol, count = wanted.get("symbol"), wanted.get("count", 1)
        conditional = _take(wanted, "conditional", bool, False)
        client_id, key = _take(wanted, "client_id", str, ""), _take(wanted, "key", str, "")
        if symbol is not None and symbol not in server.exchange.instruments:
            raise ValueError(f"unknown symbol {symbol!r}; known: {', '.join(server.exchange.instruments)}")
        if type(count) is not int or not 0 < count <= MAX_SEED:
            raise ValueError(f"'count' must be a whole number from 1 to {MAX_SEED}")
        try:
            orders = [
                server.place_one(symbol, conditional=conditional, client_id=client_id, key=key) for _ in range(count)
            ]
        except Refusal as refusal:
            raise ValueError(str(refusal)) from None
        return json_reply({"order_ids": [order.id for order in orders]}, status=201)

    async def add_key(self, request: web.Request) -> web.Response:
        server, wanted = self._venue(request), await json_object(request)
        permissions = _texts(wanted, "permissions", ["read", "trade"])
        key = server.dialect.new_key(_take(wanted, "label", str, ""), permissions, _texts(wanted, "ips", []))
        shown = {"id": key.id, "secret": key.secret, **({"passphrase": key.passphrase} if key.passphrase else {})}
        return json_reply(shown, status=201)

    async def remove_key(self, request: web.Request) -> web.Response:
        if not self._venue(request).exchange.remove_key(request.match_info["id"]):
            raise LookupError("no such key here")
        return json_reply({})

    async def withdraw(self, request: web.Request) -> web.Response:
        treasury, wanted = self._venue(request).exchange.treasury, await json_object(request)
        try:
            amount = Decimal(_take(wanted, "amount", str))
        except InvalidOperation:
            raise ValueError("'amount' is no number") from None
        withdrawal = treasury.withdraw(_take(wanted, "asset", str), amount, _take(wanted, "address", str))
        return json_reply(asdict(withdrawal), status=201)

    async def complete_withdrawal(self, request: web.Request) -> web.Response:
        number = request.match_info["id"]
        if not number.isdigit() or not self._venue(request).exchange.treasury.complete(int(number)):
            raise LookupError("no such pending withdrawal here")
        return json_reply({})

    async def add_address(self, request: web.Request) -> web.Response:
        treasury, wanted = self._venue(request).exchange.treasury, await json_object(request)
        added = treasury.add_address(
            _take(wanted, "asset", str),
            _take(wanted, "address", str),
            label=_take(wanted, "label", str, ""),
            trusted=_take(wanted, "trusted", bool, True),
            ago_s=_take(wanted, "ago_s", (int, float), 0),
        )
        return json_reply(asdict(added), status=201)

    async def add_login(self, request: web.Request) -> web.Response:
        treasury, wanted = self._venue(request).exchange.treasury, await json_object(request)
        login = treasury.add_login(
            _take(wanted, "ip", str),
            ok=_take(wanted, "ok", bool, True),
            event=_take(wanted, "event", str, "login"),
            ago_s=_take(wanted, "ago_s", (int, float), 0),
        )
        return json_reply(asdict(login), status=201)

    async def set_market(self, request: web.Request) -> web.Response:
        server = self._venue(request)
        server.market_moves = _take(await json_object(request), "moving", bool)
        return json_reply({"moving": server.market_moves})

    async def set_latency(self, request: web.Request) -> web.Response:
        server = self._venue(request)
        milliseconds = _take(await json_object(request), "ms", (int, float))
        if not 0 <= milliseconds <= MAX_LATENCY_MS:
            raise ValueError(f"'ms' must be from 0 to {MAX_LATENCY_MS}")
        server.latency_s = milliseconds / 1000
        return json_reply({"ms": milliseconds})

    def _venue(self, request: web.Request) -> VenueServer:
        name = request.match_info["name"]
        if name not in self._venues:
            raise LookupError(f"no venue {name!r} here; there is: {', '.join(self._venues)}")
        return self._venues[name][1]


def _take(fields: Mapping[str, Any], name: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
    value = fields.get(name, default)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ValueError(f"'{name}' is missing or of the wrong type")
    return value


def _texts(fields: Mapping[str, Any], name: str, default: list[str]) -> list[str]:
    value = fields.get(name, default)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"'{name}' must be a list of texts")
    return value


def _key(key: Key) -> dict[str, Any]:
    """A key without its secret."""
    return {
        "id": key.id,
        "label": key.label,
        "permissions": sorted(key.permissions),
        "ips": list(key.ips),
        "enabled": key.enabled,
        "created_ms": key.created_ms,
    }


def _order(order: Order) -> dict[str, Any]:
    return {
        "id": order.id,
        "symbol": order.symbol,
        "line": order.line,
        "side": order.side,
        "qty": order.remaining,
        "price": order.price,
        "conditional": order.conditional,
        "client_id": order.client_id,
        "created_ms": order.created_ms,
    }
