# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""OKX v5 (okx.com/docs-v5/en: overview, order-book-trading, spread-trading, trading-account, public-data, error-code).

There is no "cancel everything": orders are cancelled by id, 20 a request, algo orders 10 a request, spreads by spread.
One listing covers the orders of every instrument type; algo orders (triggers, stops, trailing, iceberg, TWAP, chase)
are listed one kind at a time, and spread orders on their own endpoint. All are paged by 100. Not covered: block
quotes (RFQ), trading bots, copy trading.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
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
from .schema import Json, Row

PAGE = 100
MAX_PAGES = 200
ORDERS_PER_CANCEL = 20
ALGOS_PER_CANCEL = 10
#: "Request timestamp expired" beyond this (#overview-rest-authentication).
TIMESTAMP_VALID_MS = 30_000
FILLS_WINDOW_MS = 3 * 24 * 3600 * 1000

#: Codes that a caller must react to (#error-code-rest-api); the others are plain rejections.
ERRORS: dict[str, type[VenueError]] = {
    "50001": Unavailable,  # "service temporarily unavailable"
    "50004": UnknownOutcome,  # "endpoint request timeout (does not indicate success or failure)"
    "50005": Unavailable,  # "API is offline"
    "50007": AuthError,  # "account blocked"
    "50008": AuthError,
    "50011": RateLimited,
    "50012": AuthError,
    "50013": Unavailable,  # "systems are busy"
    "50026": UnknownOutcome,  # "system error"
    "50027": AuthError,  # "the account is restricted from trading"
    "50030": AuthError,
    "50040": RateLimited,  # "too frequent operations"
    "50061": RateLimited,
    "50102": ClockSkew,
    **{str(code): AuthError for code in (50100, 50101, *range(50103, 50115), *range(50119, 50122))},
    "51054": UnknownOutcome,  # "request timed out"
    "51149": UnknownOutcome,  # "order timed out"
}
#: The order is filled, cancelled or being cancelled already: success once a listing agrees.
GONE = ("51400", "51401", "51402", "51405", "51410", "51603")
PARAMETER_ERROR = "51000"

#: A body that is a list goes under this name in ``Call.params``.
LIST = ""
#: Algo orders are listed one kind at a time; only these two go together.
ALGO_KINDS = ("conditional,oco", "trigger", "move_order_stop", "twap", "iceberg", "chase", "smart_iceberg")
#: Kinds that the venue has added and renamed over the years: where it does not know one, it has no such orders.
NEWER_KINDS = ("iceberg", "chase", "smart_iceberg")
SPREAD = "spread"


class Okx(Venue):
    driver = "okx"
    default_origin = "https://www.okx.com"
    clock_window_ms = TIMESTAMP_VALID_MS
    all_lines = ("SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION", SPREAD)
    cancel_needs_listing = True
    reference_symbol = "BTC-USDT"

    TIME = Call("GET", "/api/v5/public/time", signed=False)
    STATUS = Call("GET", "/api/v5/system/status", signed=False)
    TICKER = Call("GET", "/api/v5/market/ticker", signed=False)
    ORDERS = Call("GET", "/api/v5/trade/orders-pending", {"limit": PAGE})
    ALGO_ORDERS = Call("GET", "/api/v5/trade/orders-algo-pending", {"limit": PAGE})
    SPREAD_ORDERS = Call("GET", "/api/v5/sprd/orders-pending", {"limit": PAGE})
    CANCEL_ORDERS = Call("POST", "/api/v5/trade/cancel-batch-orders")
    CANCEL_ALGOS = Call("POST", "/api/v5/trade/cancel-algos")
    CANCEL_SPREADS = Call("POST", "/api/v5/sprd/mass-cancel")
    POSITIONS = Call("GET", "/api/v5/account/positions")
    BALANCE = Call("GET", "/api/v5/account/balance")
    FILLS = Call("GET", "/api/v5/trade/fills", {"limit": PAGE})

    def sign(self, call: Call) -> Request:
        """Base64 HMAC-SHA256 over timestamp, method, path with query, and body (#overview-rest-authentication)."""
        query = urlencode(call.params, quote_via=quote) if call.method == "GET" else ""
        target = f"{call.path}?{query}" if query else call.path
        if not call.signed:
            return Request(call.method, target, {})
        body = ""
        if call.method != "GET":
            body = json.dumps(call.params.get(LIST, dict(call.params)), separators=(",", ":"))
        now = self.now_ms()
        timestamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now // 1000))}.{now % 1000:03d}Z"
        payload = f"{timestamp}{call.method}{target}{body}"
        signature = hmac.new(self.secret.encode(), payload.encode(), hashlib.sha256).digest()
        headers = {
            "OK-ACCESS-KEY": self.key,
            "OK-ACCESS-PASSPHRASE": self.passphrase,
            "OK-ACCESS-TIMESTAMP": timestamp,
            "OK-ACCESS-SIGN": base64.b64encode(signature).decode(),
        }
        if not body:
            return Request(call.method, target, headers)
        return Request(call.method, target, {**headers, "Content-Type": "application/json"}, body.encode())

    def read(self, call: Call, status: int, payload: Json) -> Json:
        """The rows of ``{"code": "0", "data": [], "msg": ""}``; a batch that failed in part (1, 2) has rows too."""
        reply = schema.as_object(payload, call.name)
        code = schema.text(reply, "code", call.name)
        if code == "0":
            return schema.rows_at(reply, "data", call.name)
        data = reply.get("data")
        if code in ("1", "2") and isinstance(data, list) and data:
            rows = schema.rows(data, call.name)
            if LIST in call.params:
                return rows
            code = str(rows[0].get("sCode") or code)
        message = f"{call.name}: {reply.get('msg') or 'no message'} ({code})"
        raise ERRORS.get(code, UnknownOutcome if status >= 500 else Rejected)(message, code=code)

    def server_time(self) -> int:
        return schema.integer(self._one(self.TIME), "ts", self.TIME.name)

    def status(self) -> SystemStatus:
        events = schema.rows(self.ask(self.STATUS), self.STATUS.name)
        ongoing = [
            str(row.get("title", "")) for row in events if schema.text(row, "state", self.STATUS.name) == "ongoing"
        ]
        return SystemStatus(not ongoing, "; ".join(ongoing) or "no maintenance under way")

    def ticker(self) -> Ticker:
        call = self.TICKER.given(instId=self.reference_symbol)
        row = self._one(call)
        return Ticker(
            schema.text(row, "instId", call.name),
            schema.decimal(row, "last", call.name),
            schema.integer(row, "ts", call.name),
        )

    def open_orders(self) -> list[OpenOrder]:
        listings: list[Callable[[], list[OpenOrder]]] = []
        if set(self.lines) != {SPREAD}:
            listings += [self._book_orders, *(partial(self._algo_orders, kind) for kind in ALGO_KINDS)]
        if SPREAD in self.lines:
            listings.append(self._spread_orders)
        return [order for orders in at_once(listings) for order in orders if self._wanted(order.line)]

    def cancel_all(self, orders: Sequence[OpenOrder]) -> CancelReply:
        spreads = {order.symbol: None for order in orders if order.line == SPREAD}
        plain = [
            {"instId": order.symbol, "ordId": order.id}
            for order in orders
            if order.line != SPREAD and not order.conditional
        ]
        algos = [
            {"instId": order.symbol, "algoId": order.id}
            for order in orders
            if order.line != SPREAD and order.conditional
        ]
        return cancel_in_parts(
            [
                *(partial(self._cancel_batch, self.CANCEL_ORDERS, "ordId", b) for b in _cut(plain, ORDERS_PER_CANCEL)),
                *(partial(self._cancel_batch, self.CANCEL_ALGOS, "algoId", b) for b in _cut(algos, ALGOS_PER_CANCEL)),
                *(partial(self._cancel_spread, symbol) for symbol in spreads),
            ]
        )

    def positions(self) -> list[Position]:
        """Positions (contracts; margin ones in the base currency) and, for SPOT, what is held of each currency."""
        rows = schema.rows(self.ask(self.POSITIONS), self.POSITIONS.name)
        held = [_position(row, self.POSITIONS.name) for row in rows]
        if "SPOT" in self.lines:
            held += [Position(balance.asset, "SPOT", balance.total) for balance in self.balances()]
        return [position for position in held if position.qty and self._wanted(position.line)]

    def balances(self) -> list[Balance]:
        where = self.BALANCE.name
        balances = []
        for row in schema.rows_at(self._one(self.BALANCE), "details", where):
            total = schema.decimal(row, "cashBal", where)
            if total:
                balances.append(Balance(schema.text(row, "ccy", where), total, schema.decimal(row, "availBal", where)))
        return balances

    def fills(self, since_ms: int, symbols: Sequence[str] = ()) -> list[Fill]:
        """Raises Rejected further back than three days: the venue lists no more here (spread trades have their legs in
        it, not themselves)."""
        if self.now_ms() - since_ms > FILLS_WINDOW_MS:
            raise Rejected(f"{self.FILLS.name}: the venue lists the fills of the last three days only")
        rows = self._rows(self.FILLS.given(begin=since_ms), "billId", "after")
        fills = [_fill(row, self.FILLS.name) for row in rows]
        return sorted((fill for fill in fills if fill.at_ms >= since_ms), key=lambda fill: fill.at_ms)

    def _wanted(self, line: str) -> bool:
        """Without a restriction every line counts, also one that the venue opens tomorrow."""
        return line in self.lines or self.lines == self.all_lines

    def _book_orders(self) -> list[OpenOrder]:
        return [_order(row, self.ORDERS.name) for row in self._rows(self.ORDERS, "ordId", "after")]

    def _algo_orders(self, kind: str) -> list[OpenOrder]:
        call = self.ALGO_ORDERS.given(ordType=kind)
        try:
            return [_algo_order(row, call.name) for row in self._rows(call, "algoId", "after")]
        except Rejected as error:
            if kind in NEWER_KINDS and error.code == PARAMETER_ERROR and "ordType" in str(error):
                return []
            raise

    def _spread_orders(self) -> list[OpenOrder]:
        where = self.SPREAD_ORDERS.name
        return [
            OpenOrder(
                id=schema.text(row, "ordId", where),
                symbol=schema.text(row, "sprdId", where),
                line=SPREAD,
                side=schema.text(row, "side", where),
                qty=schema.decimal(row, "pendingFillSz", where),
                price=_price(row, "px", where),
                client_id=str(row.get("clOrdId", "")),
            )
            for row in self._rows(self.SPREAD_ORDERS, "ordId", "endId")
        ]

    def _cancel_batch(self, call: Call, id_name: str, batch: Sequence[Mapping[str, str]]) -> CancelReply:
        """Each id has its own verdict; ids without one are rejections, not successes."""
        rows = schema.rows(self.ask(call.given(**{LIST: batch})), call.name)
        verdicts = {str(row.get(id_name)): row for row in rows}
        accepted, rejected = 0, []
        for entry in batch:
            row = verdicts.get(entry[id_name], {})
            code = str(row.get("sCode", ""))
            if code == "0":
                accepted += 1
            elif code not in GONE:
                rejected.append(self.scrub(f"{entry[id_name]}: {row.get('sMsg') or 'no verdict'} ({code or '-'})"))
        return CancelReply(accepted, tuple(rejected))

    def _cancel_spread(self, symbol: str) -> CancelReply:
        """The venue says only whether it took the request, not how many orders it concerns."""
        call = self.CANCEL_SPREADS.given(sprdId=symbol)
        taken = self._one(call).get("result") is True
        return CancelReply(0, () if taken else (f"{call.name}: the venue reports no success",))

    def _one(self, call: Call) -> Row:
        rows = schema.rows(self.ask(call), call.name)
        if not rows:
            raise MalformedReply(f"{call.name}: an empty list in the reply")
        return rows[0]

    def _rows(self, call: Call, id_name: str, cursor: str) -> list[Row]:
        """Every row of every page; ``cursor`` names the parameter that asks for what is older than an id."""
        found: list[Row] = []
        seen: set[str] = set()
        page = call
        for _page in range(MAX_PAGES):
            rows = schema.rows(self.ask(page), call.name)
            ids = [schema.text(row, id_name, call.name) for row in rows]
            if seen.intersection(ids):
                raise MalformedReply(f"{call.name}: the same page comes again")
            found += rows
            if len(rows) < PAGE:
                return found
            seen.update(ids)
            page = call.given(**{cursor: ids[-1]})
        raise MalformedReply(f"{call.name}: more than {MAX_PAGES} pages")


def _cut(entries: Sequence[Mapping[str, str]], size: int) -> list[Sequence[Mapping[str, str]]]:
    return [entries[start : start + size] for start in range(0, len(entries), size)]


def _price(row: Row, name: str, where: str) -> Decimal | None:
    """A limit price; "" and -1 mean "at the market"."""
    if schema.member(row, name, where) == "":
        return None
    price = schema.decimal(row, name, where)
    return price if price > 0 else None


def _order(row: Row, where: str) -> OpenOrder:
    return OpenOrder(
        id=schema.text(row, "ordId", where),
        symbol=schema.text(row, "instId", where),
        line=schema.text(row, "instType", where),
        side=schema.text(row, "side", where),
        qty=schema.decimal(row, "sz", where) - schema.decimal(row, "accFillSz", where),
        price=_price(row, "px", where),
        client_id=str(row.get("clOrdId", "")),
    )


def _algo_order(row: Row, where: str) -> OpenOrder:
    closes_position = schema.member(row, "sz", where) == ""  # "closeFraction" instead of a size
    return OpenOrder(
        id=schema.text(row, "algoId", where),
        symbol=schema.text(row, "instId", where),
        line=schema.text(row, "instType", where),
        side=schema.text(row, "side", where),
        qty=Decimal(0) if closes_position else schema.decimal(row, "sz", where),
        price=_price(row, "ordPx", where) if "ordPx" in row else None,
        conditional=True,
        client_id=str(row.get("algoClOrdId", "")),
    )


def _position(row: Row, where: str) -> Position:
    symbol = schema.text(row, "instId", where)
    line = schema.text(row, "instType", where)
    qty = schema.decimal(row, "pos", where)
    if line == "MARGIN":
        # A short one is counted in the quote currency; what it owes is in the base.
        if qty and row.get("posCcy") != symbol.partition("-")[0]:
            qty = -abs(schema.decimal(row, "liab", where))
    elif schema.text(row, "posSide", where) == "short":
        qty = -abs(qty)
    return Position(
        symbol=symbol,
        line=line,
        qty=qty,
        avg_price=schema.decimal(row, "avgPx", where) if qty else None,
        unrealized_pnl=schema.decimal(row, "upl", where) if qty else None,
        unit="base" if line == "MARGIN" else "contract",
        mark_price=schema.decimal(row, "markPx", where) if qty else None,
        # In which of its two currencies a margin position's profit is counted depends on its side and mode.
        pnl_asset="" if line == "MARGIN" or not qty else schema.text(row, "ccy", where),
        notional_usd=schema.decimal(row, "notionalUsd", where) if qty else None,
    )


def _fill(row: Row, where: str) -> Fill:
    """The venue writes a fee as a negative number, a rebate as a positive one."""
    return Fill(
        id=schema.text(row, "tradeId", where),
        order_id=schema.text(row, "ordId", where),
        symbol=schema.text(row, "instId", where),
        side=schema.text(row, "side", where),
        qty=schema.decimal(row, "fillSz", where),
        price=schema.decimal(row, "fillPx", where),
        fee=-schema.decimal(row, "fee", where),
        fee_asset=str(row.get("feeCcy", "")),
        at_ms=schema.integer(row, "ts", where),
    )
