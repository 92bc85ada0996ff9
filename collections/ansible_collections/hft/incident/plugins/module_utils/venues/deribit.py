# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Deribit: JSON-RPC over HTTP GET, API v2 (docs.deribit.com/api-reference, docs.deribit.com/articles/errors).

One account-wide list holds everything: ``private/get_open_orders`` takes no currency, so it cannot miss one that was
listed yesterday, and its ``type=all`` holds the untriggered trigger orders too. ``private/cancel_all`` cancels both
kinds over all currencies in one request.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from ..http_client import Request, at_once
from . import schema
from .api import Balance, Call, CancelReply, Fill, OpenOrder, Position, SystemStatus, Ticker, Venue
from .errors import (
    AuthError,
    ClockSkew,
    MalformedReply,
    RateLimited,
    Rejected,
    Unavailable,
    UnknownOutcome,
    VenueError,
)
from .parts import cancel_in_parts
from .schema import Json

#: Error codes that a caller must react to (docs.deribit.com/articles/errors); the others are plain rejections.
ERRORS: dict[int, type[VenueError]] = {
    9999: AuthError,  # api_not_enabled
    10000: AuthError,  # authorization_required
    10001: UnknownOutcome,  # "some general failure, no public information available"
    10019: Unavailable,  # locked_by_admin
    10028: RateLimited,  # too_many_requests
    10040: Unavailable,  # retry: "can't be processed right now"
    10041: Unavailable,  # settlement_in_progress, some seconds a day
    10047: RateLimited,  # matching_engine_queue_full
    10048: Unavailable,  # not_on_this_server
    10066: RateLimited,  # too_many_concurrent_requests
    11042: AuthError,  # permission_denied
    11051: Unavailable,  # system_maintenance
    11094: UnknownOutcome,  # internal_server_error
    12003: AuthError,  # login_over_limit
    12005: AuthError,  # country_is_banned
    13000: AuthError,
    13001: AuthError,  # account_not_activated
    13002: AuthError,  # account_blocked
    13003: AuthError,  # tfa_required
    13004: AuthError,  # invalid_credentials
    13007: AuthError,  # user_not_found
    13008: UnknownOutcome,  # request_failed: "invalid input or internal failure"
    13009: AuthError,  # unauthorized, invalid_token, a bad signature
    13010: AuthError,  # token_revoked
    13011: AuthError,  # insufficient_scope
    13012: AuthError,  # unavailable_in_subaccount
    13021: AuthError,  # forbidden
    13025: Unavailable,  # method_switched_off_by_admin
    13668: AuthError,  # security_key_authorization_error: the account demands a person's security key
}
#: A signature's time stamp is good for a minute.
TIMESTAMP_VALID_MS = 60_000
DAY_MS = 86_400_000
FILLS_A_PAGE = 1000
MAX_PAGES = 100


def _random_nonce() -> str:
    return os.urandom(8).hex()


class Deribit(Venue):
    driver = "deribit"
    default_origin = "https://www.deribit.com"
    clock_window_ms = TIMESTAMP_VALID_MS
    #: Deribit's instrument kinds; each spans every currency.
    all_lines = ("future", "option", "spot", "future_combo", "option_combo")
    reference_symbol = "BTC-PERPETUAL"

    TIME = Call("GET", "/api/v2/public/get_time", signed=False)
    STATUS = Call("GET", "/api/v2/public/status", signed=False)
    TICKER = Call("GET", "/api/v2/public/ticker", signed=False)
    CURRENCIES = Call("GET", "/api/v2/public/get_currencies", signed=False)
    OPEN_ORDERS = Call("GET", "/api/v2/private/get_open_orders", {"type": "all"})
    CANCEL_ALL = Call("GET", "/api/v2/private/cancel_all")
    CANCEL_KIND = Call("GET", "/api/v2/private/cancel_all_by_kind_or_type", {"currency": "any"})
    POSITIONS = Call("GET", "/api/v2/private/get_positions", {"currency": "any"})
    BALANCES = Call("GET", "/api/v2/private/get_account_summaries")
    FILLS = Call("GET", "/api/v2/private/get_user_trades_by_currency_and_time")

    def __init__(self, *args: Any, nonce: Callable[[], str] = _random_nonce, **options: Any) -> None:
        """``nonce`` gives something that this key has not sent yet, whoever else uses the key."""
        super().__init__(*args, **options)
        self._nonce = nonce

    def sign(self, call: Call) -> Request:
        query = urlencode(call.params, quote_via=quote)
        target = call.path + (f"?{query}" if query else "")
        if not call.signed:
            return Request(call.method, target, {})
        timestamp, nonce = self.now_ms(), self._nonce()
        signed = f"{timestamp}\n{nonce}\n{call.method}\n{target}\n\n"
        signature = hmac.new(self.secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
        authorization = f"deri-hmac-sha256 id={self.key},ts={timestamp},sig={signature},nonce={nonce}"
        return Request(call.method, target, {"Authorization": authorization})

    def read(self, call: Call, status: int, payload: Json) -> Json:
        envelope = schema.as_object(payload, call.name)
        if "error" in envelope:
            raise self._error(call, status, envelope)
        if envelope.get("jsonrpc") != "2.0":
            raise MalformedReply(f"{call.name}: not a JSON-RPC 2.0 reply")
        return schema.member(envelope, "result", call.name)

    def server_time(self) -> int:
        return schema.integer({"result": self.ask(self.TIME)}, "result", self.TIME.name)

    def status(self) -> SystemStatus:
        """Online means that no currency is locked; what is locked is named."""
        reply = schema.as_object(self.ask(self.STATUS), self.STATUS.name)
        locked = str(schema.member(reply, "locked", self.STATUS.name)).lower()
        names = ", ".join(map(str, reply.get("locked_currencies") or reply.get("locked_indices") or []))
        return SystemStatus(locked == "false", f"locked: {locked}" + (f" ({names})" if names else ""))

    def ticker(self) -> Ticker:
        call = self.TICKER.given(instrument_name=self.reference_symbol)
        row = schema.as_object(self.ask(call), call.name)
        return Ticker(
            self.reference_symbol,
            schema.decimal(row, "last_price", call.name),
            schema.integer(row, "timestamp", call.name),
        )

    def open_orders(self) -> list[OpenOrder]:
        calls = [self.OPEN_ORDERS] if self._every_line else [self.OPEN_ORDERS.given(kind=kind) for kind in self.lines]
        replies = at_once([partial(self.ask, call) for call in calls])
        return [_order(row) for reply in replies for row in schema.rows(reply, self.OPEN_ORDERS.name)]

    def cancel_all(self, orders: Sequence[OpenOrder]) -> CancelReply:
        calls = [self.CANCEL_ALL] if self._every_line else [self.CANCEL_KIND.given(kind=kind) for kind in self.lines]

        def cancel(call: Call) -> CancelReply:
            try:
                return CancelReply(schema.integer({"result": self.ask(call)}, "result", call.name))
            except Rejected as error:
                return CancelReply(0, (str(error),))

        return cancel_in_parts([partial(cancel, call) for call in calls])

    def positions(self) -> list[Position]:
        """Derivative positions; spot holdings are balances here. Inverse futures count in USD."""
        rows = schema.rows(self.ask(self.POSITIONS), self.POSITIONS.name)
        return [position for position in map(_position, rows) if position.qty and position.line in self.lines]

    def balances(self) -> list[Balance]:
        """Cash by currency; the unrealized result of open positions is not in it."""
        where = self.BALANCES.name
        rows = schema.rows_at(schema.as_object(self.ask(self.BALANCES), where), "summaries", where)
        balances = [
            Balance(
                schema.text(row, "currency", where),
                schema.decimal(row, "balance", where),
                schema.decimal(row, "available_funds", where),
            )
            for row in rows
        ]
        return [balance for balance in balances if balance.total]

    def fills(self, since_ms: int, symbols: Sequence[str] = ()) -> list[Fill]:
        """Trades of every currency. The venue keeps a day of them; what is older it keeps as "historical"."""
        where = self.CURRENCIES.name
        currencies = [schema.text(row, "currency", where) for row in schema.rows(self.ask(self.CURRENCIES), where)]
        shelves = ["false"] if since_ms > self.now_ms() - DAY_MS // 2 else ["false", "true"]
        calls = [
            self.FILLS.given(currency=currency, count=FILLS_A_PAGE, sorting="asc", historical=shelf)
            for currency in currencies
            for shelf in shelves
        ]
        found: dict[str, Fill] = {}
        for fills in at_once([partial(self._fills, call, since_ms) for call in calls]):
            found.update(fills)
        return sorted(found.values(), key=lambda fill: (fill.at_ms, fill.id))

    @property
    def _every_line(self) -> bool:
        return set(self.lines) >= set(self.all_lines)

    def _fills(self, call: Call, since_ms: int) -> dict[str, Fill]:
        """One currency's trades by id, page after page; a page starts at the time where the previous ended."""
        found: dict[str, Fill] = {}
        until_ms = self.now_ms() + DAY_MS  # ahead of any difference between the clocks
        for _page in range(MAX_PAGES):
            reply = self.ask(call.given(start_timestamp=since_ms, end_timestamp=until_ms))
            page = schema.as_object(reply, call.name)
            fills = {fill.id: fill for fill in map(_fill, schema.rows_at(page, "trades", call.name))}
            more = schema.member(page, "has_more", call.name)
            if more is False:
                return {**found, **fills}
            if more is not True or not fills.keys() - found.keys():
                raise MalformedReply(f"{call.name}: more trades are promised and none follow")
            found.update(fills)
            since_ms = max(fill.at_ms for fill in fills.values())
        raise MalformedReply(f"{call.name}: no end after {MAX_PAGES} pages")

    def _error(self, call: Call, status: int, envelope: schema.Row) -> VenueError:
        error = schema.object_at(envelope, "error", call.name)
        code = schema.integer(error, "code", call.name)
        data = error.get("data")
        reason = f": {data['reason']}" if isinstance(data, dict) and "reason" in data else ""
        message = f"{call.name}: {error.get('message', 'no message')}{reason} ({code})"
        kind = ERRORS.get(code, UnknownOutcome if status >= 500 else Rejected)
        if kind is AuthError and call.signed and self._clock_is_off(envelope):
            kind = ClockSkew
        return kind(message, code=str(code))

    def _clock_is_off(self, envelope: schema.Row) -> bool:
        """Deribit has no code for a stale time stamp, but every reply says when the request came in (microseconds)."""
        came_in = envelope.get("usIn")
        return isinstance(came_in, int) and abs(came_in // 1000 - self.now_ms()) > TIMESTAMP_VALID_MS // 2


def _kind(instrument: str) -> str:
    """The kind from the name: BTC_USDC, BTC-PERPETUAL, BTC-27MAR26, BTC-27MAR26-90000-C, BTC-FS-27MAR26_PERP."""
    parts = instrument.split("-")
    if len(parts) == 1:
        return "spot"
    if parts[1].isalpha() and parts[1] != "PERPETUAL":
        return "future_combo" if parts[1] == "FS" else "option_combo"
    return "option" if parts[-1] in ("C", "P") else "future"


def _order(row: schema.Row) -> OpenOrder:
    where = Deribit.OPEN_ORDERS.name
    symbol = schema.text(row, "instrument_name", where)
    untriggered = schema.text(row, "order_state", where) == "untriggered"
    # A trigger order has filled nothing, and where it becomes a market order its price is the text "market_price".
    filled = schema.decimal(row, "filled_amount", where) if "filled_amount" in row or not untriggered else 0
    return OpenOrder(
        id=schema.text(row, "order_id", where),
        symbol=symbol,
        line=_kind(symbol),
        side=schema.text(row, "direction", where),
        qty=schema.decimal(row, "amount", where) - filled,
        price=None if row.get("price") == "market_price" else schema.decimal(row, "price", where),
        conditional=untriggered,
        client_id=str(row.get("label", "")),
    )


def _position(row: schema.Row) -> Position:
    where = Deribit.POSITIONS.name
    symbol, kind = schema.text(row, "instrument_name", where), schema.text(row, "kind", where)
    size = abs(schema.decimal(row, "size", where))
    # Linear ones name both of their assets and are settled in the second: BTC_USDC-PERPETUAL.
    base, linear, quote = symbol.partition("-")[0].partition("_")
    return Position(
        symbol=symbol,
        line=kind,
        qty=-size if schema.text(row, "direction", where) == "sell" else size,
        avg_price=schema.decimal(row, "average_price", where),
        unrealized_pnl=schema.decimal(row, "floating_profit_loss", where),
        unit="usd" if kind == "future" and not linear else "base",
        mark_price=schema.decimal(row, "mark_price", where),
        pnl_asset=quote if linear else base,
    )


def _fill(row: schema.Row) -> Fill:
    where = Deribit.FILLS.name
    return Fill(
        id=schema.text(row, "trade_id", where),
        order_id=schema.text(row, "order_id", where),
        symbol=schema.text(row, "instrument_name", where),
        side=schema.text(row, "direction", where),
        qty=schema.decimal(row, "amount", where),
        price=schema.decimal(row, "price", where),
        fee=schema.decimal(row, "fee", where),
        fee_asset=schema.text(row, "fee_currency", where),
        at_ms=schema.integer(row, "timestamp", where),
    )
