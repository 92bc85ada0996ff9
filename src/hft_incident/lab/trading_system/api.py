# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The trading system's HTTP API (contracts.md, "The trading system's API")."""

from __future__ import annotations

import hmac
import json
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from aiohttp import web

from ..gateways.gateway import Trade
from .configuration import ConfigurationError, UnknownExchange
from .desk import Desk
from .orders import WorkingOrder
from .settings import SettingsError
from .strategy import Strategy
from .system import TradingSystem

T = TypeVar("T")
log = logging.getLogger("api")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
BASE = "/api/v1"
PAGE, MAX_PAGE = 100, 1000
LATENCY_WINDOW_S = 60.0


class ApiError(Exception):
    """What the caller did wrong, or what could not be done."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Api:
    """Routes and nothing else; what they do is in TradingSystem."""

    def __init__(self, system: TradingSystem, token: str | None) -> None:
        self._system = system
        self._token = token

    def application(self) -> web.Application:
        app = web.Application(middlewares=[errors_as_json, self._check_token])
        app.add_routes(
            [
                web.post(f"{BASE}/killswitch", self.kill),
                web.get(f"{BASE}/killswitch", self.killswitch),
                web.delete(f"{BASE}/killswitch", self.release),
                web.get(f"{BASE}/exchanges", self.exchanges),
                web.get(f"{BASE}/exchanges/{{exchange}}", self.exchange),
                web.post(f"{BASE}/exchanges/{{exchange}}/cancel_all_orders", self.cancel_all_orders),
                web.post(f"{BASE}/exchanges/{{exchange}}/reconnect", self.reconnect),
                web.post(f"{BASE}/exchanges/{{exchange}}/credentials/reload", self.reload_credentials),
                web.get(f"{BASE}/config", self.config),
                web.put(f"{BASE}/config", self.change_config),
                web.get(f"{BASE}/positions", self.positions),
                web.get(f"{BASE}/orders", self.orders),
                web.post(f"{BASE}/orders/archive", self.archive_orders),
                web.get(f"{BASE}/fills", self.fills),
                web.get(f"{BASE}/strategies", self.strategies),
                web.get(f"{BASE}/strategies/{{strategy}}", self.strategy),
                web.post(f"{BASE}/strategies/{{strategy}}/stop", self.stop_strategy),
                web.post(f"{BASE}/strategies/{{strategy}}/start", self.start_strategy),
                web.get(f"{BASE}/latency", self.latency),
                web.get(f"{BASE}/health", self.health),
                web.post(f"{BASE}/system/clear_caches", self.clear_caches),
            ]
        )
        return app

    @web.middleware
    async def _check_token(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._token is not None:
            given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
                raise ApiError(401, "unauthorized", "a valid bearer token is needed")
        return await handler(request)

    # Killswitch ---------------------------------------------------------------------------------------------------

    async def kill(self, request: web.Request) -> web.Response:
        reason = (await json_object(request)).get("reason", "")
        return web.json_response(asdict(await self._system.kill(str(reason))), status=202)

    async def killswitch(self, _request: web.Request) -> web.Response:
        return web.json_response(asdict(self._system.killswitch))

    async def release(self, _request: web.Request) -> web.Response:
        return web.json_response(asdict(await self._system.release()))

    # Exchanges ----------------------------------------------------------------------------------------------------

    async def exchanges(self, _request: web.Request) -> web.Response:
        return web.json_response({"exchanges": [self._exchange_row(desk) for desk in self._system.desks.values()]})

    async def exchange(self, request: web.Request) -> web.Response:
        desk = self._desk(request)
        return web.json_response({**self._exchange_row(desk), "key_fingerprint": desk.key_fingerprint})

    async def cancel_all_orders(self, request: web.Request) -> web.Response:
        return web.json_response({"requested": self._desk(request).request_cancels()}, status=202)

    async def reconnect(self, request: web.Request) -> web.Response:
        return web.json_response({"connected": await self._system.reconnect(self._desk(request))}, status=202)

    async def reload_credentials(self, request: web.Request) -> web.Response:
        desk = self._desk(request)
        try:
            desk.load_key()
        except SettingsError as error:
            raise ApiError(500, "credentials_unusable", f"{error}; the old ones stay in use") from None
        fingerprint = {"key_fingerprint": desk.key_fingerprint}
        return web.json_response({"exchange": desk.name, "reloaded": True, **fingerprint})

    def _desk(self, request: web.Request) -> Desk:
        return found(self._system.desks, request.match_info["exchange"], "exchange")

    def _exchange_row(self, desk: Desk) -> dict[str, Any]:
        age = desk.market_data_age_s
        return {
            "name": desk.name,
            "enabled": self._system.configuration.enabled(desk.name),
            "connected": desk.connected,
            "last_market_data_age_s": None if age is None else round(age, 3),
            "open_orders": desk.open_count,
        }

    # Configuration ------------------------------------------------------------------------------------------------

    async def config(self, _request: web.Request) -> web.Response:
        return self._config_response()

    async def change_config(self, request: web.Request) -> web.Response:
        fragment = await json_object(request)
        if not self._system.configuration.matches(request.headers.get("If-Match")):
            raise ApiError(412, "precondition_failed", "the configuration has changed since it was read")
        try:
            await self._system.configure(fragment)
        except UnknownExchange as error:
            raise ApiError(404, "unknown_exchange", str(error)) from None
        except ConfigurationError as error:
            raise ApiError(400, "bad_configuration", str(error)) from None
        return self._config_response()

    def _config_response(self) -> web.Response:
        configuration = self._system.configuration
        return web.json_response(configuration.document, headers={"ETag": configuration.etag})

    # Books --------------------------------------------------------------------------------------------------------

    async def positions(self, _request: web.Request) -> web.Response:
        rows, total = [], Decimal(0)
        for desk in self._system.desks.values():
            price = desk.quote.price if desk.quote else None
            for position in desk.ledger.held():
                unrealized = desk.ledger.unrealized_pnl(position, desk.gateway.symbol, price)
                total += unrealized
                rows.append(
                    {
                        "exchange": desk.name,
                        "account": position.account,
                        "symbol": position.symbol,
                        "qty": plain(position.qty),
                        "avg_price": None if position.avg_price is None else plain(position.avg_price),
                        "unrealized_pnl_usd": plain(unrealized),
                        "realized_pnl_usd": plain(position.realized_pnl),
                    }
                )
        return web.json_response({"positions": rows, "total_unrealized_pnl_usd": plain(total)})

    async def orders(self, request: web.Request) -> web.Response:
        """All that is known, or those in one state; only "open" ones were acknowledged by the venue."""
        status = request.query.get("status")
        rows = [
            (order.seq, order_row(desk, order))
            for desk in self._asked_desks(request)
            for order in (*desk.orders.live.values(), *desk.orders.ended.values())
            if status in (None, order.state)
        ]
        return paged(request, "orders", rows)

    async def archive_orders(self, _request: web.Request) -> web.Response:
        archived = sum(desk.orders.archive() for desk in self._system.desks.values())
        return web.json_response({"archived": archived}, status=202)

    async def fills(self, request: web.Request) -> web.Response:
        """``since`` is the venue's time: ISO 8601, or ms since 1970."""
        since_ms = moment_ms(request.query.get("since", "0"))
        rows = [
            (number, fill_row(desk, trade))
            for desk in self._asked_desks(request)
            for number, trade in desk.fills.values()
            if trade.at_ms >= since_ms
        ]
        return paged(request, "fills", rows)

    def _asked_desks(self, request: web.Request) -> list[Desk]:
        name = request.query.get("exchange")
        return [found(self._system.desks, name, "exchange")] if name else list(self._system.desks.values())

    # Strategies ---------------------------------------------------------------------------------------------------

    async def strategies(self, _request: web.Request) -> web.Response:
        return web.json_response({"strategies": [strategy_row(s) for s in self._system.strategies.values()]})

    async def strategy(self, request: web.Request) -> web.Response:
        return web.json_response(strategy_row(self._strategy(request)))

    async def stop_strategy(self, request: web.Request) -> web.Response:
        strategy = self._strategy(request)
        await self._system.stop(strategy)
        return web.json_response(strategy_row(strategy))

    async def start_strategy(self, request: web.Request) -> web.Response:
        strategy = self._strategy(request)
        await self._system.start(strategy)
        return web.json_response(strategy_row(strategy))

    def _strategy(self, request: web.Request) -> Strategy:
        return found(self._system.strategies, request.match_info["strategy"], "strategy")

    # The process --------------------------------------------------------------------------------------------------

    async def latency(self, request: web.Request) -> web.Response:
        """Round trips of new orders; null where none was measured in the window."""
        try:
            window_s = float(request.query.get("window_s", LATENCY_WINDOW_S))
        except ValueError:
            raise ApiError(400, "bad_request", "window_s must be a number of seconds") from None
        samples = self._system.latencies_us(window_s)
        quantiles = {"p50_us": 0.5, "p99_us": 0.99, "p999_us": 0.999, "max_us": 1.0}
        return web.json_response(
            {"count": len(samples), **{name: nearest_rank(samples, q) for name, q in quantiles.items()}}
        )

    async def health(self, _request: web.Request) -> web.Response:
        return web.json_response(self._system.health())

    async def clear_caches(self, _request: web.Request) -> web.Response:
        for desk in self._system.desks.values():
            desk.clear_caches()
        return web.json_response({"cleared": ["dns"]}, status=202)


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return error_response(error.status, error.code, str(error))
    except web.HTTPException as error:
        return error_response(error.status, error.reason.lower().replace(" ", "_"), f"{request.method} {request.path}")
    except Exception:
        log.exception("%s %s", request.method, request.path)
        return error_response(500, "internal_error", "a defect of the trading system; see its log")


def error_response(status: int, code: str, message: str) -> web.Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)


async def json_object(request: web.Request) -> dict[str, Any]:
    """The body, whatever its Content-Type says (the runbook's curl lines send form headers); nothing is {}."""
    try:
        body = json.loads(await request.read() or b"{}")
    except ValueError:
        raise ApiError(400, "bad_json", "the body is not JSON") from None
    if not isinstance(body, dict):
        raise ApiError(400, "bad_json", "the body must be a JSON object")
    return body


def found(table: dict[str, T], name: str, kind: str) -> T:
    if name not in table:
        raise ApiError(404, f"unknown_{kind}", f"unknown {kind} '{name}'; known: {', '.join(table)}")
    return table[name]


def paged(request: web.Request, name: str, rows: list[tuple[int, dict[str, Any]]]) -> web.Response:
    """Rows after the cursor, oldest first; a cursor for the next page where there is one."""
    after = whole(request, "cursor", 0)
    limit = min(max(1, whole(request, "limit", PAGE)), MAX_PAGE)
    rows = sorted((row for row in rows if row[0] > after), key=lambda row: row[0])
    more = len(rows) > limit
    page = rows[:limit]
    return web.json_response({name: [row for _, row in page], "cursor": str(page[-1][0]) if more else None})


def whole(request: web.Request, name: str, default: int) -> int:
    try:
        return int(request.query.get(name) or default)
    except ValueError:
        raise ApiError(400, "bad_request", f"{name} must be a whole number") from None


def moment_ms(text: str) -> int:
    try:
        if text.isdigit():
            return int(text)
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise ApiError(400, "bad_request", "since must be ISO 8601 or ms since 1970") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def order_row(desk: Desk, order: WorkingOrder) -> dict[str, Any]:
    """``qty`` is what remains; ``id`` is the venue's, empty until it acknowledges the order."""
    return {
        "id": order.id,
        "client_id": order.client_id,
        "exchange": desk.name,
        "account": desk.gateway.line,
        "symbol": desk.gateway.symbol,
        "strategy": order.strategy,
        "side": order.side,
        "qty": plain(order.qty - order.filled),
        "filled": plain(order.filled),
        "price": plain(order.price),
        "status": order.state,
    }


def fill_row(desk: Desk, trade: Trade) -> dict[str, Any]:
    return {
        "id": trade.id,
        "order_id": trade.order_id,
        "exchange": desk.name,
        "account": desk.gateway.line,
        "symbol": trade.symbol,
        "side": trade.side,
        "qty": plain(trade.qty),
        "price": plain(trade.price),
        "at": datetime.fromtimestamp(trade.at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "at_ms": trade.at_ms,
    }


def strategy_row(strategy: Strategy) -> dict[str, Any]:
    return {
        "id": strategy.id,
        "exchanges": [desk.name for desk in strategy.desks],
        "priority": strategy.priority,
        "state": "running" if strategy.running else "stopped",
    }


def nearest_rank(ascending: Sequence[float], quantile: float) -> float | None:
    """The smallest sample that at least this share of the samples does not exceed (µs, to a tenth)."""
    return round(ascending[math.ceil(quantile * len(ascending)) - 1], 1) if ascending else None


def plain(number: Decimal) -> str:
    """Without exponent or trailing zeros."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
