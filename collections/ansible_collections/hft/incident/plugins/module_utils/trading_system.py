# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A trading system's API (contracts.md, "The trading system's API"; its first column is the runbook's sections 3 to 6).

Never a path to the venues: whatever it answers, the venues are asked themselves. Methods raise three of the venues'
errors and nothing else: ``Unavailable`` (no complete reply; ``Unreachable`` and ``Hung`` say why), ``Rejected`` (it
said no; ``code`` is the HTTP status) and ``MalformedReply`` (an answer outside its contract).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import NamedTuple
from urllib.parse import quote, urlencode

from .deadline import Deadline
from .http_client import HttpClient, Request, Response, TransportError
from .secret_ref import SecretError, resolve
from .settings import SystemEntry
from .venues import schema
from .venues.errors import MalformedReply, Rejected, Unavailable
from .venues.schema import Json, Row

BASE = "/api/v1"
MAX_PAGES = 1000
STATUSES = ("ok", "degraded", "halted")
MODES = ("live", "observe", "halted")
#: A position's P&L may be rounded, each by itself, and the total as a whole.
CENT = Decimal("0.01")


class Unreachable(Unavailable):
    """It took no connection: nothing listens there, or nothing is there."""

    kind = "unreachable"


class Hung(Unavailable):
    """It took the connection and gave no complete reply in time, as a stopped or stuck process does."""

    kind = "hung"


class ExchangeState(NamedTuple):
    """How the trading system sees one exchange; the age is in seconds (None: no market data yet)."""

    name: str
    enabled: bool
    connected: bool
    last_market_data_age_s: float | None
    open_orders: int


class Strategy(NamedTuple):
    id: str
    exchanges: tuple[str, ...]
    priority: str  #: low | normal | high
    running: bool


class SystemPosition(NamedTuple):
    """What the trading system believes it holds; ``qty`` is signed, ``avg_price`` None where it does not know it."""

    exchange: str
    account: str
    symbol: str
    qty: Decimal
    avg_price: Decimal | None
    unrealized_pnl_usd: Decimal


class SystemOrder(NamedTuple):
    """An order that the trading system believes is live; ``qty`` is what remains."""

    id: str
    client_id: str
    exchange: str
    account: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal | None


class Health(NamedTuple):
    status: str  #: one of STATUSES
    mode: str  #: one of MODES
    uptime_s: float  #: since the process started
    version: str


class OrderLimit(NamedTuple):
    """``scale_pct``: the share of their usual size that orders may have; ``etag``: of the configuration with it."""

    scale_pct: Decimal
    etag: str


class TradingSystem:
    """One trading system. ``request_timeout`` bounds each request (s), ``deadline`` all of them."""

    def __init__(self, entry: SystemEntry, *, request_timeout: float = 3.0, deadline: Deadline | None = None) -> None:
        self.name = entry.name
        if entry.fault:
            raise Unavailable(entry.fault)
        self._headers = {"Content-Type": "application/json"}
        try:
            self._token = resolve(entry.token, "token").reveal() if entry.token else ""
            if not (self._token.isascii() and self._token.isprintable()):
                raise SecretError("token: not one line of printable characters")  # http.client would quote it
            if self._token:
                self._headers["Authorization"] = f"Bearer {self._token}"
            self._http = HttpClient(entry.url, ca_file=entry.ca_file, request_timeout=request_timeout)
        except (SecretError, ValueError, OSError) as error:
            raise Unavailable(str(error)) from None
        self._http.deadline = deadline

    # The killswitch -----------------------------------------------------------------------------------------------

    def activate_killswitch(self, reason: str) -> str:
        """Stop all order sending; since when it is active (ISO 8601, "" where not said)."""
        reply = self._object("POST", "/killswitch", {"reason": reason})
        if schema.member(reply, "active", "killswitch") is not True:
            raise Rejected("it answered, but its killswitch is not active")
        return str(reply.get("since") or "")

    def killswitch_active(self) -> bool:
        return schema.boolean(self._object("GET", "/killswitch"), "active", "killswitch")

    def release_killswitch(self) -> None:
        self._object("DELETE", "/killswitch")

    # Exchanges ----------------------------------------------------------------------------------------------------

    def exchanges(self) -> dict[str, ExchangeState]:
        """Every exchange that it knows, by name."""
        where = "GET /exchanges"
        rows = schema.rows(_unwrapped(self._json("GET", "/exchanges"), "exchanges"), where)
        return {str(row.get("name")): _exchange_state(row, where) for row in rows}

    def set_enabled(self, exchange: str, enabled: bool) -> None:
        """Allow or forbid orders at one exchange; the fragment is merged, and the reply must show that it holds."""
        reply = self._object("PUT", "/config", {"exchanges": {exchange: {"enabled": enabled}}})
        entry = schema.object_at(schema.object_at(reply, "exchanges", "PUT /config"), exchange, "PUT /config")
        if entry.get("enabled") is not enabled:
            raise Rejected(f"its configuration does not show {exchange} with enabled: {str(enabled).lower()}")

    def cancel_all_orders(self, exchange: str) -> None:
        """Ask for a mass cancel; it works in the background and proves nothing."""
        self._json("POST", f"/exchanges/{quote(exchange)}/cancel_all_orders")

    def reconnect(self, exchange: str) -> bool:
        """Try to connect again; whether it is connected now."""
        return schema.boolean(self._object("POST", f"/exchanges/{quote(exchange)}/reconnect"), "connected", "reconnect")

    def reload_credentials(self, exchange: str) -> None:
        """Have it read its key from where it is kept; that it uses the new one then, ``key_fingerprint`` tells."""
        self._json("POST", f"/exchanges/{quote(exchange)}/credentials/reload")

    def key_fingerprint(self, exchange: str) -> str | None:
        """Of the key that it uses, the first 12 hex digits of the SHA-256 of its id; None where it does not tell."""
        where = f"GET /exchanges/{quote(exchange)}"
        told = self._object("GET", f"/exchanges/{quote(exchange)}").get("key_fingerprint")
        if told is not None and not isinstance(told, str):
            raise MalformedReply(f"{where}: 'key_fingerprint' is no text")
        return told or None

    # The size of its orders -----------------------------------------------------------------------------------------

    def order_limit(self) -> OrderLimit:
        """What its configuration says now."""
        response = self._exchanged("GET", "/config")
        reply = schema.as_object(schema.parse(response.body, "GET /config"), "GET /config")
        return OrderLimit(_scale_of(reply, "GET /config"), response.headers.get("etag", ""))

    def set_order_limit(self, scale_pct: Decimal, etag: str) -> None:
        """Raises Rejected with code 412 where the configuration is no longer the one of ``etag``; the fragment is
        merged, and the reply must show that it holds."""
        number = int(scale_pct) if scale_pct == int(scale_pct) else float(scale_pct)
        headers = {"If-Match": etag} if etag else {}
        response = self._exchanged("PUT", "/config", {"limits": {"scale_pct": number}}, headers)
        reply = schema.as_object(schema.parse(response.body, "PUT /config"), "PUT /config")
        if _scale_of(reply, "PUT /config") != scale_pct:
            raise Rejected(f"its configuration does not show limits.scale_pct {scale_pct:f}")

    # What it believes ---------------------------------------------------------------------------------------------

    def positions(self) -> list[SystemPosition]:
        """What it believes it holds; a total that is not the sum of its rows is a reply that contradicts itself."""
        reply, where = self._object("GET", "/positions"), "GET /positions"
        positions = [_position(row, where) for row in schema.rows_at(reply, "positions", where)]
        total = schema.decimal(reply, "total_unrealized_pnl_usd", where)
        if abs(total - sum(held.unrealized_pnl_usd for held in positions)) > CENT * len(positions):
            raise MalformedReply(f"{where}: its total_unrealized_pnl_usd {total:f} is not the sum of its positions")
        return positions

    def open_orders(self, exchange: str = "") -> list[SystemOrder]:
        """Every order that it believes is live, page by page."""
        orders: list[SystemOrder] = []
        where, cursor, seen = "GET /orders", "", {""}
        for _page in range(MAX_PAGES):
            query = {"status": "open", "exchange": exchange, "cursor": cursor}
            reply = self._object("GET", "/orders?" + urlencode({k: v for k, v in query.items() if v}))
            orders += [_order(row, where) for row in schema.rows_at(reply, "orders", where)]
            cursor = str(reply.get("cursor") or "")
            if not cursor:
                return orders
            if cursor in seen:
                break
            seen.add(cursor)
        raise MalformedReply(f"{where}: the pages do not end")

    def strategies(self) -> list[Strategy]:
        where = "GET /strategies"
        rows = schema.rows(_unwrapped(self._json("GET", "/strategies"), "strategies"), where)
        return [_strategy(row, where) for row in rows]

    def set_running(self, strategy_id: str, running: bool) -> None:
        """Start or stop one strategy."""
        self._json("POST", f"/strategies/{quote(strategy_id)}/{'start' if running else 'stop'}")

    def health(self) -> Health:
        reply, where = self._object("GET", "/health"), "GET /health"
        uptime = schema.decimal(reply, "uptime_s", where)
        if uptime < 0:
            raise MalformedReply(f"{where}: 'uptime_s' is negative")
        status, mode = _word(reply, "status", STATUSES, where), _word(reply, "mode", MODES, where)
        return Health(status, mode, float(uptime), schema.text(reply, "version", where))

    # One request --------------------------------------------------------------------------------------------------

    def _object(self, method: str, path: str, body: Json = None) -> Row:
        return schema.as_object(self._json(method, path, body), f"{method} {path.partition('?')[0]}")

    def _json(self, method: str, path: str, body: Json = None) -> Json:
        return schema.parse(self._exchanged(method, path, body).body, f"{method} {BASE}{path.partition('?')[0]}")

    def _exchanged(self, method: str, path: str, body: Json = None, more: Mapping[str, str] | None = None) -> Response:
        data = json.dumps(body).encode() if body is not None else None
        request = Request(method, BASE + path, {**self._headers, **(more or {})}, data)
        try:
            response = self._http.send(request)
        except TransportError as error:
            kind = Hung if error.late else Unavailable
            raise (kind if error.reached else Unreachable)(str(error)) from None
        if not 200 <= response.status < 300:
            words = self._scrub(_its_words(response))
            raise Rejected(f"{request.name}: HTTP {response.status}{words}", code=str(response.status))
        return response

    def _scrub(self, message: str) -> str:
        """Without our token: servers echo what they were sent."""
        return message.replace(self._token, "***") if self._token else message


def _scale_of(reply: Row, where: str) -> Decimal:
    """Of a whole configuration; a trading system whose size nobody can limit has none."""
    if not isinstance(reply.get("limits"), dict):
        raise Rejected(f"{where}: its configuration has no limits.scale_pct")
    given = schema.member(schema.object_at(reply, "limits", where), "scale_pct", where)
    scale = None if isinstance(given, bool) or not isinstance(given, (int, float, str)) else _number(given)
    if scale is None or not 0 < scale <= 100:
        raise MalformedReply(f"{where}: 'scale_pct' is no share above 0 and at most 100")
    return scale


def _number(given: float | str) -> Decimal | None:
    try:
        number = Decimal(str(given))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _its_words(response: Response) -> str:
    """The message of an error body, where there is one."""
    try:
        message = json.loads(response.body)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return ", " + " ".join(str(message).split())[:200]


def _unwrapped(reply: Json, name: str) -> Json:
    """A bare list, or the list under its own name: the contract shows the rows, not their wrapper."""
    return reply.get(name) if isinstance(reply, dict) else reply


def _word(row: Row, key: str, words: tuple[str, ...], where: str) -> str:
    value = schema.text(row, key, where)
    if value not in words:
        raise MalformedReply(f"{where}: '{key}' is none of {', '.join(words)}")
    return value


def _exchange_state(row: Row, where: str) -> ExchangeState:
    age = schema.member(row, "last_market_data_age_s", where)
    return ExchangeState(
        name=schema.text(row, "name", where),
        enabled=schema.boolean(row, "enabled", where),
        connected=schema.boolean(row, "connected", where),
        last_market_data_age_s=None if age is None else float(schema.decimal(row, "last_market_data_age_s", where)),
        open_orders=schema.integer(row, "open_orders", where),
    )


def _strategy(row: Row, where: str) -> Strategy:
    exchanges = schema.as_list(schema.member(row, "exchanges", where), where)
    return Strategy(
        id=schema.text(row, "id", where),
        exchanges=tuple(str(name) for name in exchanges),
        priority=schema.text(row, "priority", where),
        running=schema.text(row, "state", where) == "running",
    )


def _position(row: Row, where: str) -> SystemPosition:
    return SystemPosition(
        exchange=schema.text(row, "exchange", where),
        account=str(row.get("account") or ""),
        symbol=schema.text(row, "symbol", where),
        qty=schema.decimal(row, "qty", where),
        avg_price=_decimal_or_null(row, "avg_price", where),
        unrealized_pnl_usd=schema.decimal(row, "unrealized_pnl_usd", where),
    )


def _decimal_or_null(row: Row, key: str, where: str) -> Decimal | None:
    """None where it says null; a field that is missing altogether is none of its contract."""
    return None if schema.member(row, key, where) is None else schema.decimal(row, key, where)


def _order(row: Row, where: str) -> SystemOrder:
    return SystemOrder(
        id=schema.text(row, "id", where),
        client_id=str(row.get("client_id") or ""),
        exchange=schema.text(row, "exchange", where),
        account=str(row.get("account") or ""),
        symbol=schema.text(row, "symbol", where),
        side=schema.text(row, "side", where),
        qty=schema.decimal(row, "qty", where),
        price=schema.decimal(row, "price", where) if row.get("price") is not None else None,
    )
