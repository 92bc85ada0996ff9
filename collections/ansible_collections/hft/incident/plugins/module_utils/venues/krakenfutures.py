# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Kraken Futures (docs.kraken.com/api: Futures REST, /derivatives/api/v3).

One call lists every order, untriggered stop and take-profit orders too, and one cancels them all. The signature
covers the query and the path without ``/derivatives``. The nonce is optional and left out: requests may overlap.
Symbols are upper case here, whatever case the endpoint answers in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timezone
from decimal import Decimal
from urllib.parse import urlencode

from ..http_client import Request
from ..timestamps import moment
from . import schema
from .api import Balance, Call, CancelReply, Fill, OpenOrder, Position, SystemStatus, Ticker, Venue
from .errors import AuthError, MalformedReply, RateLimited, Rejected, Unavailable, UnknownOutcome, VenueError
from .kraken import hmac_key
from .schema import Json, Row

API = "/derivatives/api/v3"

#: Errors that a caller must react to, in lower case since the venue writes them either way; the others are rejections.
ERRORS: dict[str, type[VenueError]] = {
    "apilimitexceeded": RateLimited,
    "authenticationerror": AuthError,
    "permissiondenied": AuthError,
    "nonceduplicate": AuthError,  # this adapter sends no nonce, so signing again changes nothing
    "noncebelowthreshold": AuthError,
    "marketunavailable": Unavailable,
    "unavailable": Unavailable,
    "server error": UnknownOutcome,
    "unknownerror": UnknownOutcome,
}
#: What a position counts, by product line: PF and FF in the base currency, the inverse PI and FI in dollars.
UNITS = {"PF": "base", "FF": "base", "PI": "usd", "FI": "usd"}
CONDITIONAL_TYPES = ("stop", "take_profit", "trailing_stop", "stp")
FILLS_PER_PAGE = 100
MAX_FILL_PAGES = 400


#: Who this key is and what it may do; asked by ``accounts.krakenfutures``.
KEY_CHECK = Call("GET", "/api/auth/v1/api-keys/v3/check")


class KrakenFutures(Venue):
    driver = "krakenfutures"
    default_origin = "https://futures.kraken.com"
    all_lines = ("PF", "PI", "FF", "FI")
    reference_symbol = "PF_XBTUSD"

    #: The smallest public reply that carries the venue's time (``serverTime``) and state.
    TICKER = Call("GET", f"{API}/tickers/{reference_symbol}", signed=False)
    OPEN_ORDERS = Call("GET", f"{API}/openorders")
    CANCEL_ALL = Call("POST", f"{API}/cancelallorders")
    POSITIONS = Call("GET", f"{API}/openpositions")
    ACCOUNTS = Call("GET", f"{API}/accounts")
    FILLS = Call("GET", f"{API}/fills")

    def sign(self, call: Call) -> Request:
        query = urlencode(call.params)
        target = call.path + (f"?{query}" if query else "")
        if not call.signed:
            return Request(call.method, target, {})
        digest = hashlib.sha256((query + call.path.removeprefix("/derivatives")).encode()).digest()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
            "APIKey": self.key,
            "Authent": base64.b64encode(hmac.new(hmac_key(self), digest, hashlib.sha512).digest()).decode(),
        }
        return Request(call.method, target, headers)

    def read(self, call: Call, status: int, payload: Json) -> Json:
        reply = schema.as_object(payload, call.name)
        # The authentication service has no envelope, and no codes: its HTTP status has to do.
        if reply.get("result") == "success" or (call.path == KEY_CHECK.path and "result" not in reply):
            return reply
        error = _error_text(reply)
        if not error:
            raise MalformedReply(f"{call.name}: neither a success nor an error")
        build = ERRORS.get(error.lower(), UnknownOutcome if status >= 500 else Rejected)
        raise build(f"{call.name}: {error}", code=error)

    def server_time(self) -> int:
        return _ms(schema.as_object(self.ask(self.TICKER), self.TICKER.name), "serverTime", self.TICKER.name)

    def status(self) -> SystemStatus:
        """The venue has no status call of its own; the reference market says whether it trades."""
        row = self._reference_market()
        suspended = schema.member(row, "suspended", self.TICKER.name) is not False
        return SystemStatus(
            not suspended, "suspended" if suspended else "post only" if row.get("postOnly") is True else "trading"
        )

    def ticker(self) -> Ticker:
        row, where = self._reference_market(), self.TICKER.name
        return Ticker(self.reference_symbol, schema.decimal(row, "last", where), _ms(row, "lastTime", where))

    def open_orders(self) -> list[OpenOrder]:
        where = self.OPEN_ORDERS.name
        return [_order(row, where) for row in schema.rows_at(self.ask(self.OPEN_ORDERS), "openOrders", where)]

    def cancel_all(self, orders: Sequence[OpenOrder]) -> CancelReply:
        where = self.CANCEL_ALL.name
        outcome = schema.object_at(self.ask(self.CANCEL_ALL), "cancelStatus", where)
        status = schema.text(outcome, "status", where)
        if status == "noOrdersToCancel":
            return CancelReply(0)
        cancelled = schema.rows_at(outcome, "cancelledOrders", where)
        return CancelReply(len(cancelled), () if status == "cancelled" else (status,))

    def positions(self) -> list[Position]:
        where = self.POSITIONS.name
        held = [_position(row, where) for row in schema.rows_at(self.ask(self.POSITIONS), "openPositions", where)]
        return [position for position in held if position.qty]

    def balances(self) -> list[Balance]:
        """Each currency over all of the venue's wallets: cash, one per inverse market, and the shared (flex) one."""
        where = self.ACCOUNTS.name
        totals: dict[str, tuple[Decimal, Decimal]] = {}
        for account in schema.object_at(self.ask(self.ACCOUNTS), "accounts", where).values():
            for balance in _wallet(schema.as_object(account, where), where):
                total, available = totals.get(balance.asset, (Decimal(0), Decimal(0)))
                totals[balance.asset] = (total + balance.total, available + balance.available)
        return [Balance(asset, *amounts) for asset, amounts in totals.items() if amounts[0]]

    def fills(self, since_ms: int, symbols: Sequence[str] = ()) -> list[Fill]:
        """This endpoint tells no fees: they are given as 0 of no asset."""
        where = self.FILLS.name
        found: dict[str, Fill] = {}
        call = self.FILLS
        for _page in range(MAX_FILL_PAGES):
            page = [_fill(row, where) for row in schema.rows_at(self.ask(call), "fills", where)]
            new = [fill for fill in page if fill.id not in found]
            found.update((fill.id, fill) for fill in new)
            if len(page) < FILLS_PER_PAGE or page[-1].at_ms < since_ms:
                fills = [fill for fill in reversed(found.values()) if fill.at_ms >= since_ms]
                return sorted(fills, key=lambda fill: fill.at_ms)
            if not new:
                raise MalformedReply(f"{where}: a full page has nothing new")
            # The page before this time; one ms more, or fills of the same ms on the next page would be skipped.
            call = self.FILLS.given(lastFillTime=_iso(min(fill.at_ms for fill in page) + 1))
        raise MalformedReply(f"{where}: no end after {MAX_FILL_PAGES} pages")

    def _reference_market(self) -> Row:
        return schema.object_at(self.ask(self.TICKER), "ticker", self.TICKER.name)


def _error_text(reply: Row) -> str:
    """The error in either of the venue's envelopes: ``{"error": "…"}`` or ``{"errors": [{"message": "…"}]}``."""
    error = reply.get("error")
    if isinstance(error, str):
        return error
    errors = reply.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return str(first.get("message", "")) if isinstance(first, dict) else ""


def _symbol(row: Row, where: str) -> str:
    return schema.text(row, "symbol", where).upper()


def _line(symbol: str) -> str:
    return symbol.partition("_")[0]


def _order(row: Row, where: str) -> OpenOrder:
    symbol = _symbol(row, where)
    return OpenOrder(
        id=schema.text(row, "order_id", where),
        symbol=symbol,
        line=_line(symbol),
        side=schema.text(row, "side", where),
        qty=schema.decimal(row, "unfilledSize", where),
        price=None if row.get("limitPrice") is None else schema.decimal(row, "limitPrice", where) or None,
        conditional=schema.text(row, "orderType", where) in CONDITIONAL_TYPES,
        client_id=str(row.get("cliOrdId") or ""),
    )


def _position(row: Row, where: str) -> Position:
    symbol = _symbol(row, where)
    size = schema.decimal(row, "size", where)
    return Position(
        symbol=symbol,
        line=_line(symbol),
        qty=-size if schema.text(row, "side", where) == "short" else size,
        avg_price=schema.decimal(row, "price", where),
        unrealized_pnl=None if row.get("unrealizedPnl") is None else schema.decimal(row, "unrealizedPnl", where),
        unit=UNITS.get(_line(symbol), "contract"),
        pnl_asset=str(row.get("pnlCurrency") or ""),
    )


def _wallet(account: Row, where: str) -> list[Balance]:
    """One wallet's balances; what it holds depends on its type."""
    kind = schema.text(account, "type", where)
    if kind == "multiCollateralMarginAccount":
        currencies = schema.object_at(account, "currencies", where)
        rows = {asset: schema.as_object(row, where) for asset, row in currencies.items()}
        return [
            Balance(asset.upper(), schema.decimal(row, "quantity", where), schema.decimal(row, "available", where))
            for asset, row in rows.items()
        ]
    balances = schema.object_at(account, "balances", where)
    if kind == "cashAccount":
        amounts = {asset: schema.decimal(balances, asset, where) for asset in balances}
        return [Balance(asset.upper(), amount, amount) for asset, amount in amounts.items()]
    if kind == "marginAccount":  # 'balances' also holds contracts by symbol: the currency is what counts
        currency = schema.text(account, "currency", where)
        available = schema.decimal(schema.object_at(account, "auxiliary", where), "af", where)
        return [Balance(currency.upper(), schema.decimal(balances, currency, where), available)]
    raise MalformedReply(f"{where}: unknown account type '{kind}'")


def _fill(row: Row, where: str) -> Fill:
    return Fill(
        id=schema.text(row, "fill_id", where),
        order_id=schema.text(row, "order_id", where),
        symbol=_symbol(row, where),
        side=schema.text(row, "side", where),
        qty=schema.decimal(row, "size", where),
        price=schema.decimal(row, "price", where),
        fee=Decimal(0),
        fee_asset="",
        at_ms=_ms(row, "fillTime", where),
    )


def _ms(row: Row, key: str, where: str) -> int:
    """Milliseconds from ISO-8601 text in UTC."""
    text = schema.text(row, key, where)
    try:
        found = moment(text)
    except ValueError:
        raise MalformedReply(f"{where}: '{key}' is not a time") from None
    return round(found.replace(tzinfo=found.tzinfo or timezone.utc).timestamp() * 1000)


def _iso(ms: int) -> str:
    second = datetime.fromtimestamp(ms // 1000, timezone.utc)
    return f"{second:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"
