# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Kraken spot and margin (docs.kraken.com/api: Spot REST, /0/).

One call lists every order (spot, margin, conditional) and one cancels them all. In return a key's requests must
arrive with strictly increasing nonces, so they take turns, across threads and across entries that share the key.
A key that two programs use at once gets ``EAPI:Invalid nonce`` sooner or later: give the red button a key of its own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import threading
from collections.abc import Sequence
from decimal import Decimal
from urllib.parse import urlencode

from ..http_client import Request
from . import schema
from .api import Balance, Call, CancelReply, Fill, OpenOrder, Position, SystemStatus, Ticker, Venue
from .errors import (
    AuthError,
    Banned,
    ClockSkew,
    MalformedReply,
    RateLimited,
    Rejected,
    Unavailable,
    UnknownOutcome,
    VenueError,
)
from .schema import Json, Row

#: What Kraken's errors (support.kraken.com, "API error messages") ask of the caller, by their beginning; the most
#: particular first. The others are plain rejections.
ERRORS: tuple[tuple[str, type[VenueError]], ...] = (
    ("EAPI:Invalid nonce", ClockSkew),  # mended by signing again
    ("EAPI:Rate limit exceeded", RateLimited),
    ("EAPI:Bad request", Rejected),
    ("EAPI:", AuthError),  # key, signature, permission, a feature that the key may not use
    ("EAuth:Rate limit exceeded", RateLimited),
    ("EAuth:Too many requests", RateLimited),
    ("EAuth:", AuthError),
    ("ESession:", AuthError),
    ("EGeneral:Permission denied", AuthError),
    ("EGeneral:Too many requests", RateLimited),
    ("EGeneral:Temporary lockout", Banned),  # about a quarter of an hour, longer with every further request
    ("EGeneral:Internal error", UnknownOutcome),
    ("EDatabase:", UnknownOutcome),
    ("EOrder:Rate limit exceeded", RateLimited),
    ("EOrder:Domain rate limit exceeded", RateLimited),
    ("ETrade:User Locked", AuthError),
    ("EService:Throttled", RateLimited),
    ("EService:Unavailable", Unavailable),
    ("EService:Busy", Unavailable),
    ("EService:Market in", Rejected),  # cancel_only, post_only, limit_only
    ("EService:", UnknownOutcome),  # timeouts and elapsed deadlines, and what is added later
)
#: Orders of every other type wait for a trigger, outside the book.
PLAIN_TYPES = ("limit", "market", "iceberg", "settle-position")
MAX_FILL_PAGES = 400  # of 50
#: The ends of pair names, the longest first, with the asset's own code: fees are charged in the quote currency.
QUOTES = {
    "USDT": "USDT",
    "USDC": "USDC",
    "USD": "ZUSD",
    "EUR": "ZEUR",
    "GBP": "ZGBP",
    "CAD": "ZCAD",
    "JPY": "ZJPY",
    "AUD": "ZAUD",
    "CHF": "CHF",
    "XBT": "XXBT",
    "ETH": "XETH",
}


def hmac_key(venue: Venue) -> bytes:
    """The bytes of a Kraken secret, which is written in base64."""
    try:
        return base64.b64decode(venue.secret, validate=True)
    except (binascii.Error, ValueError):
        raise AuthError(f"{venue.driver}: api_secret is not base64, as this venue's secrets are") from None


class _Turn:
    """One key's place at the counter: whoever holds the lock may sign and send."""

    __slots__ = ("last_nonce", "lock")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.last_nonce = 0


#: By address and key and not by adapter: one process may hold several adapters of the same account.
_TURNS: dict[tuple[tuple[str, int], str], _Turn] = {}


class Kraken(Venue):
    driver = "kraken"
    default_origin = "https://api.kraken.com"
    all_lines = ("spot", "margin")
    reference_symbol = "XBTUSD"

    TIME = Call("GET", "/0/public/Time", signed=False)
    STATUS = Call("GET", "/0/public/SystemStatus", signed=False)
    #: The ticker carries no time, the latest public trade does.
    TRADES = Call("GET", "/0/public/Trades", {"pair": reference_symbol, "count": 1}, signed=False)
    OPEN_ORDERS = Call("POST", "/0/private/OpenOrders")
    CANCEL_ALL = Call("POST", "/0/private/CancelAll")
    BALANCE = Call("POST", "/0/private/BalanceEx")
    POSITIONS = Call("POST", "/0/private/OpenPositions", {"docalcs": "true", "consolidation": "market"})
    FILLS = Call("POST", "/0/private/TradesHistory")

    def sign(self, call: Call) -> Request:
        if not call.signed:
            query = urlencode(call.params)
            return Request(call.method, call.path + (f"?{query}" if query else ""), {})
        nonce = str(self._next_nonce())
        body = urlencode({"nonce": nonce, **call.params})
        message = call.path.encode() + hashlib.sha256((nonce + body).encode()).digest()
        signature = base64.b64encode(hmac.new(hmac_key(self), message, hashlib.sha512).digest()).decode()
        headers = {
            "API-Key": self.key,
            "API-Sign": signature,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return Request(call.method, call.path, headers, body.encode())

    def read(self, call: Call, status: int, payload: Json) -> Json:
        reply = schema.as_object(payload, call.name)
        for error in schema.as_list(schema.member(reply, "error", call.name), call.name):
            if not isinstance(error, str):
                raise MalformedReply(f"{call.name}: 'error' holds something else than texts")
            if not error.startswith("W"):  # a warning comes with its result
                raise self._error(call, error)
        return schema.member(reply, "result", call.name)

    def server_time(self) -> int:
        """Kraken tells its time in whole seconds."""
        where = self.TIME.name
        return schema.integer(schema.as_object(self.ask(self.TIME), where), "unixtime", where) * 1000

    def status(self) -> SystemStatus:
        where = self.STATUS.name
        text = schema.text(schema.as_object(self.ask(self.STATUS), where), "status", where)
        return SystemStatus(text == "online", text)

    def ticker(self) -> Ticker:
        where = self.TRADES.name
        reply = schema.as_object(self.ask(self.TRADES), where)
        pairs = [name for name in reply if name != "last"]
        trades = schema.as_list(reply[pairs[0]], where) if pairs else []
        if not trades:
            raise MalformedReply(f"{where}: no trade in the reply")
        last = dict(zip(("price", "volume", "time"), schema.as_list(trades[-1], where)))
        return Ticker(self.reference_symbol, schema.decimal(last, "price", where), _ms(last, "time", where))

    def open_orders(self) -> list[OpenOrder]:
        where = self.OPEN_ORDERS.name
        listed = schema.object_at(schema.as_object(self.ask(self.OPEN_ORDERS), where), "open", where)
        return [_order(txid, schema.as_object(row, where), where) for txid, row in listed.items()]

    def cancel_all(self, orders: Sequence[OpenOrder]) -> CancelReply:
        where = self.CANCEL_ALL.name
        return CancelReply(schema.integer(schema.as_object(self.ask(self.CANCEL_ALL), where), "count", where))

    def positions(self) -> list[Position]:
        """Spot holdings by asset and margin positions by pair, one after the other (nonces)."""
        held = [Position(b.asset, "spot", b.total) for b in self.balances()] if "spot" in self.lines else []
        if "margin" in self.lines:
            where = self.POSITIONS.name
            held += [_position(row, where) for row in schema.rows(self.ask(self.POSITIONS), where)]
        return [position for position in held if position.qty]

    def balances(self) -> list[Balance]:
        where = self.BALANCE.name
        balances = []
        for asset, value in schema.as_object(self.ask(self.BALANCE), where).items():
            row = schema.as_object(value, where)
            total = schema.decimal(row, "balance", where)
            available = total - schema.decimal(row, "hold_trade", where)
            if "credit" in row:
                available += schema.decimal(row, "credit", where) - schema.decimal(row, "credit_used", where)
            if total:
                balances.append(Balance(asset, total, available))
        return balances

    def fills(self, since_ms: int, symbols: Sequence[str] = ()) -> list[Fill]:
        where = self.FILLS.name
        # 'start' is exclusive and in seconds.
        call = self.FILLS.given(start=since_ms // 1000 - 1)
        found: dict[str, Fill] = {}
        offset = 0
        for _page in range(MAX_FILL_PAGES):
            reply = schema.as_object(self.ask(call.given(ofs=offset)), where)
            page = schema.object_at(reply, "trades", where)
            count = schema.integer(reply, "count", where)
            known = len(found)
            found.update((txid, _fill(txid, schema.as_object(row, where), where)) for txid, row in page.items())
            offset += len(page)
            if offset >= count:
                fills = [fill for fill in reversed(found.values()) if fill.at_ms >= since_ms]
                return sorted(fills, key=lambda fill: fill.at_ms)
            # Newest first: a fill in the meantime pushes known ones onto this page, but never only known ones.
            if len(found) == known:
                raise MalformedReply(f"{where}: {count} fills announced, yet a page has nothing new")
        raise MalformedReply(f"{where}: no end after {MAX_FILL_PAGES} pages")

    def _ask_once(self, call: Call) -> Json:
        if not call.signed:
            return super()._ask_once(call)
        turn = self._turn()
        deadline = self.http.deadline
        if not turn.lock.acquire(timeout=deadline.remaining() if deadline else self.http.request_timeout):
            raise Unavailable(f"{call.name}: not sent, an earlier request of this key has not ended")
        try:
            return super()._ask_once(call)
        finally:
            turn.lock.release()

    def _turn(self) -> _Turn:
        return _TURNS.setdefault((self.http.address, self.key), _Turn())

    def _next_nonce(self) -> int:
        """Microseconds since 1970, each larger than the one before: also after the ms that most clients count."""
        turn = self._turn()
        with turn.lock:
            # A clock that is behind is set forward; back would only make nonces that are spent already.
            now = round(self._now() * 1_000_000) + max(0, self._offset_ms) * 1000
            turn.last_nonce = max(turn.last_nonce + 1, now)
            return turn.last_nonce

    def _error(self, call: Call, error: str) -> VenueError:
        code = ":".join(error.split(":")[:2])
        build = next((build for start, build in ERRORS if error.startswith(start)), Rejected)
        hint = " (another program uses this key, or its clock was ahead)" if build is ClockSkew else ""
        return build(f"{call.name}: {error}{hint}", code=code, retry_after=self._throttled_for(error))

    def _throttled_for(self, error: str) -> float | None:
        """Seconds until the moment that ``EService:Throttled: <UNIX time>`` names."""
        start, _colon, until = error.rpartition(":")
        if not start.startswith("EService:Throttled") or not until.strip().isdigit():
            return None
        return max(0.0, int(until) - self.now_ms() / 1000)


def _order(txid: str, row: Row, where: str) -> OpenOrder:
    descr = schema.object_at(row, "descr", where)
    kind = schema.text(descr, "ordertype", where)
    return OpenOrder(
        id=txid,
        symbol=schema.text(descr, "pair", where),
        line="spot" if schema.text(descr, "leverage", where) == "none" else "margin",
        side=schema.text(descr, "type", where),
        qty=schema.decimal(row, "vol", where) - schema.decimal(row, "vol_exec", where),
        price=_limit(descr, kind, where),
        conditional=kind not in PLAIN_TYPES,
        client_id=str(row.get("cl_ord_id") or row.get("userref") or ""),
    )


def _limit(descr: Row, kind: str, where: str) -> Decimal | None:
    """The limit price: 'price' of a limit order, 'price2' of a conditional one; None where it is relative ("+5%")."""
    field = "price" if kind in ("limit", "iceberg") else "price2" if kind.endswith("-limit") else None
    if field is None:
        return None
    text = schema.text(descr, field, where)
    relative = text.startswith(("+", "-", "#")) or text.endswith("%")
    return None if relative else schema.decimal(descr, field, where) or None


def _position(row: Row, where: str) -> Position:
    volume = schema.decimal(row, "vol", where)
    qty = volume - schema.decimal(row, "vol_closed", where)
    pair = schema.text(row, "pair", where)
    return Position(
        symbol=_altname(pair),
        line="margin",
        qty=qty if schema.text(row, "type", where) == "buy" else -qty,
        avg_price=schema.decimal(row, "cost", where) / volume if volume else None,
        unrealized_pnl=schema.decimal(row, "net", where) if "net" in row else None,  # told only where it calculates
        pnl_asset=_quote(pair),
    )


def _quote(pair: str) -> str:
    return next((asset for end, asset in QUOTES.items() if pair.endswith(end)), "")


def _fill(txid: str, row: Row, where: str) -> Fill:
    pair = schema.text(row, "pair", where)
    return Fill(
        id=txid,
        order_id=schema.text(row, "ordertxid", where),
        symbol=_altname(pair),
        side=schema.text(row, "type", where),
        qty=schema.decimal(row, "vol", where),
        price=schema.decimal(row, "price", where),
        fee=schema.decimal(row, "fee", where),
        fee_asset=_quote(pair),
        at_ms=_ms(row, "time", where),
    )


def _altname(pair: str) -> str:
    """The pair as open orders name it: positions and fills say XXBTZUSD where orders say XBTUSD."""
    old_style = len(pair) == 8 and pair[0] in "XZ" and pair[4] in "XZ"
    return pair[1:4] + pair[5:] if old_style else pair


def _ms(row: Row, key: str, where: str) -> int:
    """Milliseconds from Kraken's seconds with a fraction."""
    return int(schema.decimal(row, key, where) * 1000)
