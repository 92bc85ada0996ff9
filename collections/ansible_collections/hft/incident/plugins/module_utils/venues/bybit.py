# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Bybit v5, unified account (bybit-exchange.github.io/docs/v5: /order, /spread/trade, /position, /account, /error).

Each category (and each settle coin of linear) is a list of its own, 50 orders a page, conditional orders among the
others; combination ("spread") orders have their own endpoints. A mass cancel takes a category, but: spot cancels one
kind of order per request, and inverse names a symbol or a coin. Not covered: block quotes (RFQ), trading bots.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from functools import partial
from urllib.parse import quote

from ..http_client import Request, Response, at_once
from . import schema
from .api import Balance, Call, CancelReply, Fill, OpenOrder, Position, SystemStatus, Ticker, Venue
from .errors import (
    AuthError,
    Banned,
    ClockSkew,
    MalformedReply,
    RateLimited,
    Rejected,
    UnknownOutcome,
    VenueError,
)
from .parts import cancel_in_parts
from .schema import Json, Row

RECV_WINDOW_MS = 5000
MAX_PAGES = 200
FILLS_WINDOW_MS = 7 * 24 * 3600 * 1000

#: Codes that a caller must react to (/docs/v5/error); the others are plain rejections.
ERRORS: dict[int, type[VenueError]] = {
    429: UnknownOutcome,  # "the trading service is experiencing a high server load"
    5004: UnknownOutcome,  # "server timeout"
    10000: UnknownOutcome,  # "server timeout"
    10002: ClockSkew,
    10003: AuthError,
    10004: AuthError,
    10005: AuthError,
    10006: RateLimited,
    10007: AuthError,
    10008: AuthError,  # "common banned": the account, not the address
    10009: Banned,  # "IP has been banned"
    10010: AuthError,
    10016: UnknownOutcome,  # "server error"
    10018: RateLimited,
    10024: AuthError,  # "compliance rules triggered"
    10027: AuthError,  # "transactions are banned"
    10429: RateLimited,
    33004: AuthError,  # the key has expired
    -2015: AuthError,
    170001: UnknownOutcome,  # "internal error"
    170007: UnknownOutcome,  # "timeout waiting for response from backend server"
    170032: UnknownOutcome,  # "network error"
    170147: UnknownOutcome,  # "order cancel timeout"
}
#: The orders are gone already: success once a listing agrees.
NOTHING_TO_CANCEL = ("110001", "110008", "170142", "170213")
#: "The API can only be accessed by unified account users": a classic account has no options and no spreads.
CLASSIC_ACCOUNT = "10028"

LINEAR_COINS = ("USDT", "USDC")
#: Where no listing names the symbols: the inverse coins that most is traded in; a listing finds the rest.
INVERSE_COINS = ("BTC", "ETH", "SOL", "XRP")
SPOT_CONDITIONAL = ("StopOrder", "tpslOrder", "OcoOrder", "BidirectionalTpslOrder")
NOT_A_TRADE = ("Funding", "SessionSettlePnL")


class Bybit(Venue):
    driver = "bybit"
    default_origin = "https://api.bybit.com"
    clock_window_ms = RECV_WINDOW_MS
    all_lines = ("spot", "linear", "inverse", "option", "spread")
    reference_symbol = "BTCUSDT"

    TIME = Call("GET", "/v5/market/time", signed=False)
    STATUS = Call("GET", "/v5/system/status", signed=False)
    #: The ticker carries the time of the reply, not of the price; a trade carries its own.
    LAST_TRADE = Call(
        "GET", "/v5/market/recent-trade", {"category": "linear", "symbol": "BTCUSDT", "limit": 1}, signed=False
    )
    ORDERS = Call("GET", "/v5/order/realtime", {"limit": 50})
    SPREAD_ORDERS = Call("GET", "/v5/spread/order/realtime", {"limit": 50})
    CANCEL_ALL = Call("POST", "/v5/order/cancel-all")
    CANCEL_SPREADS = Call("POST", "/v5/spread/order/cancel-all", {"cancelAll": True})
    POSITIONS = Call("GET", "/v5/position/list", {"limit": 200})
    WALLET = Call("GET", "/v5/account/wallet-balance", {"accountType": "UNIFIED"})
    FILLS = Call("GET", "/v5/execution/list", {"limit": 100})

    def sign(self, call: Call) -> Request:
        """Hex HMAC-SHA256 over timestamp, key, window and the query or body exactly as sent (/docs/v5/guide)."""
        query = "&".join(f"{name}={value}" for name, value in call.params.items())
        target = f"{call.path}?{query}" if query and call.method == "GET" else call.path
        if not call.signed:
            return Request(call.method, target, {})
        body = None if call.method == "GET" else json.dumps(dict(call.params), separators=(",", ":"))
        timestamp = str(self.now_ms())
        payload = f"{timestamp}{self.key}{RECV_WINDOW_MS}{query if body is None else body}"
        headers = {
            "Content-Type": "application/json",
            "X-BAPI-API-KEY": self.key,
            "X-BAPI-TIMESTAMP": timestamp,
            "X-BAPI-RECV-WINDOW": str(RECV_WINDOW_MS),
            "X-BAPI-SIGN": hmac.new(self.secret.encode(), payload.encode(), hashlib.sha256).hexdigest(),
        }
        return Request(call.method, target, headers, None if body is None else body.encode())

    def read(self, call: Call, status: int, payload: Json) -> Json:
        """The ``result`` of ``{"retCode": 0, "retMsg", "result", "retExtInfo", "time"}``."""
        reply = schema.as_object(payload, call.name)
        code = schema.integer(reply, "retCode", call.name)
        if code == 0:
            return schema.object_at(reply, "result", call.name)
        message = f"{call.name}: {reply.get('retMsg', 'no message')} ({code})"
        raise ERRORS.get(code, UnknownOutcome if status >= 500 else Rejected)(message, code=str(code))

    def server_time(self) -> int:
        return schema.integer(self.ask(self.TIME), "timeNano", self.TIME.name) // 1_000_000

    def status(self) -> SystemStatus:
        where = self.STATUS.name
        events = schema.rows_at(self.ask(self.STATUS), "list", where)
        ongoing = [str(row.get("title", "")) for row in events if schema.text(row, "state", where) == "ongoing"]
        return SystemStatus(not ongoing, "; ".join(ongoing) or "no maintenance under way")

    def ticker(self) -> Ticker:
        where = self.LAST_TRADE.name
        trades = schema.rows_at(self.ask(self.LAST_TRADE), "list", where)
        if not trades:
            raise MalformedReply(f"{where}: no trade in the reply")
        return Ticker(
            schema.text(trades[0], "symbol", where),
            schema.decimal(trades[0], "price", where),
            schema.integer(trades[0], "time", where),
        )

    def open_orders(self) -> list[OpenOrder]:
        listings = {
            "spot": [self.ORDERS.given(category="spot")],
            "linear": [self.ORDERS.given(category="linear", settleCoin=coin) for coin in LINEAR_COINS],
            "inverse": [self.ORDERS.given(category="inverse")],
            "option": [self.ORDERS.given(category="option")],
            "spread": [self.SPREAD_ORDERS],
        }
        wanted = [(line, call) for line in self.lines for call in listings[line]]
        pages = at_once([partial(self._rows_or_none, line, call) for line, call in wanted])
        return [_order(row, line, call.name) for (line, call), rows in zip(wanted, pages) for row in rows]

    def cancel_all(self, orders: Sequence[OpenOrder]) -> CancelReply:
        """The mass cancels that ``orders`` need; without any, those of every product line."""
        lines = [line for line in self.lines if not orders or any(order.line == line for order in orders)]
        calls = [call for line in lines for call in self._cancels(line, orders)]
        return cancel_in_parts([partial(self._cancel, call) for call in calls])

    def positions(self) -> list[Position]:
        """Derivative positions (inverse: in US dollars) and, for spot, what each coin's wallet holds net of loans."""
        listings = {
            "linear": [self.POSITIONS.given(category="linear", settleCoin=coin) for coin in LINEAR_COINS],
            "inverse": [self.POSITIONS.given(category="inverse")],
            "option": [self.POSITIONS.given(category="option")],
        }
        wanted = [(line, call) for line in self.lines if line in listings for call in listings[line]]
        pages = at_once([partial(self._rows_or_none, line, call) for line, call in wanted])
        held = [_position(row, line, call) for (line, call), rows in zip(wanted, pages) for row in rows]
        if "spot" in self.lines:
            for coin in self._coins():
                # Absent where the account cannot borrow.
                loan = schema.decimal(coin, "spotBorrow", self.WALLET.name) if coin.get("spotBorrow") else 0
                qty = schema.decimal(coin, "walletBalance", self.WALLET.name) - loan
                held.append(Position(schema.text(coin, "coin", self.WALLET.name), "spot", qty))
        return [position for position in held if position.qty]

    def balances(self) -> list[Balance]:
        where = self.WALLET.name
        found = []
        for coin in self._coins():
            total = schema.decimal(coin, "walletBalance", where)
            if total:
                available = total - schema.decimal(coin, "locked", where)
                found.append(Balance(schema.text(coin, "coin", where), total, available))
        return found

    def fills(self, since_ms: int, symbols: Sequence[str] = ()) -> list[Fill]:
        """Raises Rejected further back than seven days: the venue lists no longer window at once."""
        if self.now_ms() - since_ms > FILLS_WINDOW_MS:
            raise Rejected(f"{self.FILLS.name}: the venue lists at most seven days of fills at once")
        wanted = [
            (line, self.FILLS.given(category=line, startTime=since_ms)) for line in self.lines if line != "spread"
        ]
        pages = at_once([partial(self._rows_or_none, line, call) for line, call in wanted])
        trades = [row for rows in pages for row in rows if row.get("execType") not in NOT_A_TRADE]
        return sorted((_fill(row, self.FILLS.name) for row in trades), key=lambda fill: fill.at_ms)

    def _cancels(self, line: str, orders: Sequence[OpenOrder]) -> list[Call]:
        call = self.CANCEL_ALL.given(category=line)
        here = [order for order in orders if order.line == line]
        if line == "spot":
            plain = [call] if not here or any(not order.conditional for order in here) else []
            kinds = SPOT_CONDITIONAL if not here or any(order.conditional for order in here) else ()
            return plain + [call.given(orderFilter=kind) for kind in kinds]
        if line == "linear":
            return [call.given(settleCoin=coin) for coin in LINEAR_COINS]
        if line == "inverse" and here:
            return [call.given(symbol=symbol) for symbol in dict.fromkeys(order.symbol for order in here)]
        if line == "inverse":
            return [call.given(settleCoin=coin) for coin in INVERSE_COINS]
        return [self.CANCEL_SPREADS if line == "spread" else call]

    def _cancel(self, call: Call) -> CancelReply:
        try:
            reply = self.ask(call)
        except Rejected as error:
            return CancelReply(0) if error.code in NOTHING_TO_CANCEL else CancelReply(0, (str(error),))
        if reply.get("success") == "0":
            return CancelReply(0, (f"{call.name}: the venue reports no success",))
        listed = reply.get("list")
        return CancelReply(len(listed) if isinstance(listed, list) else 0)

    def _rows_or_none(self, line: str, call: Call) -> list[Row]:
        """Every row of every page; none where the venue says that a classic account has no such line at all."""
        try:
            return self._rows(call)
        except Rejected as error:
            if error.code == CLASSIC_ACCOUNT and line in ("option", "spread"):
                return []
            raise

    def _rows(self, call: Call) -> list[Row]:
        found: list[Row] = []
        seen: set[str] = set()
        page = call
        while len(seen) < MAX_PAGES:
            result = schema.as_object(self.ask(page), call.name)
            category = call.params.get("category")
            if category and schema.text(result, "category", call.name) != category:
                raise MalformedReply(f"{call.name}: the reply is for another category than '{category}'")
            rows = schema.rows_at(result, "list", call.name)
            found += rows
            cursor = schema.member(result, "nextPageCursor", call.name)
            if not isinstance(cursor, str):
                raise MalformedReply(f"{call.name}: 'nextPageCursor' is not text")
            # The venue may hand out a cursor with the last page; the page after it is empty then.
            if not cursor or (seen and not rows):
                return found
            if cursor in seen:
                raise MalformedReply(f"{call.name}: the same page comes again")
            seen.add(cursor)
            page = call.given(cursor=quote(cursor, safe="%"))
        raise MalformedReply(f"{call.name}: more than {MAX_PAGES} pages")

    def _coins(self) -> list[Row]:
        where = self.WALLET.name
        accounts = schema.rows_at(schema.as_object(self.ask(self.WALLET), where), "list", where)
        if not accounts:
            raise MalformedReply(f"{where}: no account in the reply")
        return [coin for account in accounts for coin in schema.rows_at(account, "coin", where)]

    def _error_of_status(self, call: Call, response: Response) -> VenueError:
        # Here 403 means "too many requests from this address, stay away for ten minutes" (/docs/v5/rate-limit).
        if response.status == 403:
            return Banned(f"{call.name}: HTTP 403, this address is shut out")
        return super()._error_of_status(call, response)


def _order(row: Row, line: str, where: str) -> OpenOrder:
    price = schema.decimal(row, "price", where)
    return OpenOrder(
        id=schema.text(row, "orderId", where),
        symbol=schema.text(row, "symbol", where),
        line=line,
        side=schema.text(row, "side", where).lower(),
        qty=schema.decimal(row, "qty", where) - schema.decimal(row, "cumExecQty", where),
        price=price or None,
        conditional=row.get("stopOrderType", "") not in ("", "UNKNOWN"),
        client_id=str(row.get("orderLinkId", "")),
    )


def _position(row: Row, line: str, call: Call) -> Position:
    where = call.name
    size = schema.decimal(row, "size", where)
    side = schema.member(row, "side", where)
    if size and side not in ("Buy", "Sell"):
        raise MalformedReply(f"{where}: a position has no side")
    symbol = schema.text(row, "symbol", where)
    # Inverse contracts are settled in what they are named after ("BTCUSD"), options in one of the two dollars.
    settled_in = symbol.partition("USD")[0] if line == "inverse" else str(call.params.get("settleCoin", "USDC"))
    return Position(
        symbol=symbol,
        line=line,
        qty=-size if side == "Sell" else size,
        avg_price=schema.decimal(row, "avgPrice", where) if size else None,
        unrealized_pnl=schema.decimal(row, "unrealisedPnl", where) if size else None,
        unit="usd" if line == "inverse" else "base",
        mark_price=schema.decimal(row, "markPrice", where) if size else None,
        pnl_asset=settled_in,
    )


def _fill(row: Row, where: str) -> Fill:
    return Fill(
        id=schema.text(row, "execId", where),
        order_id=schema.text(row, "orderId", where),
        symbol=schema.text(row, "symbol", where),
        side=schema.text(row, "side", where).lower(),
        qty=schema.decimal(row, "execQty", where),
        price=schema.decimal(row, "execPrice", where),
        fee=schema.decimal(row, "execFee", where),
        fee_asset=str(row.get("feeCurrency", "")),
        at_ms=schema.integer(row, "execTime", where),
    )
