# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Binance spot and margin (developers.binance.com: /docs/binance-spot-api-docs/rest-api, /docs/margin_trading).

There is no "cancel everything": a mass cancel names a symbol, so cancelling needs a listing first. Spot, cross
margin and each isolated margin pair are lists of their own.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from functools import partial
from typing import ClassVar
from urllib.parse import urlencode

from ..http_client import Request, at_once
from . import schema
from .api import Balance, Call, CancelReply, Fill, OpenOrder, Position, SystemStatus, Ticker, Venue
from .errors import AuthError, Banned, ClockSkew, RateLimited, Rejected, Unavailable, UnknownOutcome, VenueError
from .parts import cancel_in_parts
from .schema import Json

RECV_WINDOW_MS = 5000

#: Error codes of the Binance APIs that a caller must react to (/rest-api/errors); the others are plain rejections.
ERRORS: dict[int, type[VenueError]] = {
    -1000: UnknownOutcome,
    -1001: UnknownOutcome,  # "internal error; unable to process your request"
    -1002: AuthError,
    -1003: RateLimited,
    -1006: UnknownOutcome,  # "execution status unknown"
    -1007: UnknownOutcome,  # "send status unknown; execution status unknown"
    -1008: Unavailable,  # overloaded, refused before the matching engine
    -1015: RateLimited,
    -1016: Unavailable,  # "service shutting down"
    -1021: ClockSkew,
    -1022: AuthError,
    -2014: AuthError,
    -2015: AuthError,
}
NOTHING_TO_CANCEL = "-2011"
#: The account has no cross margin, no isolated margin: nothing can be open there.
NO_MARGIN_ACCOUNT = ("-3003", "-11001")


class BinanceApi(Venue):
    """What spot and futures share: HMAC over the query string, and errors as ``{"code": -1021, "msg": "…"}``."""

    clock_window_ms = RECV_WINDOW_MS
    #: GET server time, per API.
    TIME: ClassVar[Call]

    def sign(self, call: Call) -> Request:
        if not call.signed:
            query = urlencode(call.params)
            return Request(call.method, call.path + (f"?{query}" if query else ""), {})
        query = urlencode({"timestamp": self.now_ms(), **call.params, "recvWindow": RECV_WINDOW_MS})
        signature = hmac.new(self.secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        signed = f"{query}&signature={signature}"
        headers = {"X-MBX-APIKEY": self.key}
        if call.method in ("GET", "DELETE"):
            return Request(call.method, f"{call.path}?{signed}", headers)
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return Request(call.method, call.path, headers, signed.encode())

    def read(self, call: Call, status: int, payload: Json) -> Json:
        # A mass cancel on futures answers success in the error's shape: {"code": 200, "msg": "…"}.
        if not isinstance(payload, dict) or "code" not in payload or payload["code"] in (200, "200"):
            return payload
        code = schema.integer(payload, "code", call.name)
        message = f"{call.name}: {payload.get('msg', 'no message')} ({code})"
        if status == 418:
            raise Banned(message, code=str(code))
        raise ERRORS.get(code, UnknownOutcome if status >= 500 or status == 408 else Rejected)(message, code=str(code))

    def server_time(self) -> int:
        return schema.integer(schema.as_object(self.ask(self.TIME), self.TIME.name), "serverTime", self.TIME.name)

    def cancel_by_symbol(self, calls: Sequence[Call]) -> CancelReply:
        """One mass cancel a symbol, all at once; "nothing to cancel" is success only once a listing agrees."""

        def cancel(call: Call) -> CancelReply:
            try:
                reply = self.ask(call)
            except Rejected as error:
                return CancelReply(0) if error.code == NOTHING_TO_CANCEL else CancelReply(0, (str(error),))
            return CancelReply(len(reply) if isinstance(reply, list) else 0)

        return cancel_in_parts([partial(cancel, call) for call in calls])


class Binance(BinanceApi):
    driver = "binance"
    default_origin = "https://api.binance.com"
    all_lines = ("spot", "margin", "isolated")
    cancel_needs_listing = True
    reference_symbol = "BTCUSDT"

    TIME = Call("GET", "/api/v3/time", signed=False)
    STATUS = Call("GET", "/sapi/v1/system/status", signed=False)
    TICKER = Call("GET", "/api/v3/ticker/24hr", signed=False)
    SPOT_ORDERS = Call("GET", "/api/v3/openOrders")
    MARGIN_ORDERS = Call("GET", "/sapi/v1/margin/openOrders")
    ISOLATED_ACCOUNT = Call("GET", "/sapi/v1/margin/isolated/account")
    CANCEL_SPOT = Call("DELETE", "/api/v3/openOrders")
    CANCEL_MARGIN = Call("DELETE", "/sapi/v1/margin/openOrders")
    ACCOUNT = Call("GET", "/api/v3/account", {"omitZeroBalances": "true"})
    MARGIN_ACCOUNT = Call("GET", "/sapi/v1/margin/account")
    FILLS = Call("GET", "/api/v3/myTrades")

    def status(self) -> SystemStatus:
        reply = schema.as_object(self.ask(self.STATUS), self.STATUS.name)
        return SystemStatus(schema.integer(reply, "status", self.STATUS.name) == 0, str(reply.get("msg", "")))

    def ticker(self) -> Ticker:
        call = self.TICKER.given(symbol=self.reference_symbol)
        row = schema.as_object(self.ask(call), call.name)
        return Ticker(
            self.reference_symbol,
            schema.decimal(row, "lastPrice", call.name),
            schema.integer(row, "closeTime", call.name),
        )

    def open_orders(self) -> list[OpenOrder]:
        listings = {"spot": self._spot_orders, "margin": self._margin_orders, "isolated": self._isolated_orders}
        return [order for orders in at_once([listings[line] for line in self.lines]) for order in orders]

    def cancel_all(self, orders: Sequence[OpenOrder]) -> CancelReply:
        calls = {
            (order.line, order.symbol): {
                "spot": self.CANCEL_SPOT.given(symbol=order.symbol),
                "margin": self.CANCEL_MARGIN.given(symbol=order.symbol),
                "isolated": self.CANCEL_MARGIN.given(symbol=order.symbol, isIsolated="TRUE"),
            }[order.line]
            for order in orders
        }
        return self.cancel_by_symbol(list(calls.values()))

    def positions(self) -> list[Position]:
        """Spot and margin holdings: the asset is the symbol, what is borrowed counts negative."""
        held = [Position(b.asset, "spot", b.total) for b in self.balances()] if "spot" in self.lines else []
        if "margin" in self.lines:
            call = self.MARGIN_ACCOUNT
            account = schema.as_object(self._if_margin(call, {"userAssets": []}), call.name)
            for row in schema.rows_at(account, "userAssets", call.name):
                held.append(
                    Position(schema.text(row, "asset", call.name), "margin", schema.decimal(row, "netAsset", call.name))
                )
        return [position for position in held if position.qty]

    def balances(self) -> list[Balance]:
        call = self.ACCOUNT
        balances = []
        for row in schema.rows_at(schema.as_object(self.ask(call), call.name), "balances", call.name):
            free, locked = schema.decimal(row, "free", call.name), schema.decimal(row, "locked", call.name)
            if free + locked:
                balances.append(Balance(schema.text(row, "asset", call.name), free + locked, free))
        return balances

    def fills(self, since_ms: int, symbols: Sequence[str] = ()) -> list[Fill]:
        call = self.FILLS.given(startTime=since_ms)
        pages = at_once([partial(self.ask, call.given(symbol=symbol)) for symbol in symbols])
        fills = [_fill(row, call.name) for page in pages for row in schema.rows(page, call.name)]
        return sorted(fills, key=lambda fill: fill.at_ms)

    def _spot_orders(self) -> list[OpenOrder]:
        return _orders(self.ask(self.SPOT_ORDERS), "spot", self.SPOT_ORDERS.name)

    def _margin_orders(self) -> list[OpenOrder]:
        return _orders(self._if_margin(self.MARGIN_ORDERS, []), "margin", self.MARGIN_ORDERS.name)

    def _isolated_orders(self) -> list[OpenOrder]:
        """Isolated pairs are listed one by one; which pairs there are, the isolated account says."""
        where = self.ISOLATED_ACCOUNT.name
        account = schema.as_object(self._if_margin(self.ISOLATED_ACCOUNT, {"assets": []}), where)
        pairs = schema.rows_at(account, "assets", where)
        calls = [
            self.MARGIN_ORDERS.given(symbol=schema.text(pair, "symbol", where), isIsolated="TRUE") for pair in pairs
        ]
        replies = at_once([partial(self.ask, call) for call in calls])
        return [order for reply in replies for order in _orders(reply, "isolated", self.MARGIN_ORDERS.name)]

    def _if_margin(self, call: Call, empty: Json) -> Json:
        """The reply, or ``empty`` where the venue's own code says that this account has no margin account."""
        try:
            return self.ask(call)
        except Rejected as error:
            if error.code in NO_MARGIN_ACCOUNT:
                return empty
            raise


def _orders(reply: Json, line: str, where: str) -> list[OpenOrder]:
    orders = []
    for row in schema.rows(reply, where):
        price = schema.decimal(row, "price", where)
        orders.append(
            OpenOrder(
                id=schema.text(row, "orderId", where),
                symbol=schema.text(row, "symbol", where),
                line=line,
                side=schema.text(row, "side", where).lower(),
                qty=schema.decimal(row, "origQty", where) - schema.decimal(row, "executedQty", where),
                price=price or None,
                conditional=schema.text(row, "type", where).startswith(("STOP", "TAKE_PROFIT")),
                client_id=str(row.get("clientOrderId", "")),
            )
        )
    return orders


def _fill(row: schema.Row, where: str) -> Fill:
    return Fill(
        id=schema.text(row, "id", where),
        order_id=schema.text(row, "orderId", where),
        symbol=schema.text(row, "symbol", where),
        side="buy" if schema.member(row, "isBuyer", where) is True else "sell",
        qty=schema.decimal(row, "qty", where),
        price=schema.decimal(row, "price", where),
        fee=schema.decimal(row, "commission", where),
        fee_asset=schema.text(row, "commissionAsset", where),
        at_ms=schema.integer(row, "time", where),
    )
