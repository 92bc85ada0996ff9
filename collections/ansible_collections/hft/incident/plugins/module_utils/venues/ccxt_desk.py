# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""One line of an account driven through a ccxt client: its transport is our HTTP seam, its errors become ours, and an
empty listing counts only where ``ccxt_proof`` shows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..http_client import Request, Response, TransportError
from . import schema
from .api import CancelReply, Fill, OpenOrder, Position
from .ccxt_features import Line
from .ccxt_proof import narrowing, with_canary
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

if TYPE_CHECKING:
    from .ccxt_driver import CcxtVenue

#: ccxt's exception classes by name, the nearest ancestor counts. "ExchangeNotAvailable" is ccxt's word for any 5xx.
ERRORS: dict[str, type[VenueError]] = {
    "AuthenticationError": AuthError,
    "RestrictedLocation": AuthError,
    "InvalidNonce": ClockSkew,
    "DDoSProtection": RateLimited,
    "RateLimitExceeded": RateLimited,
    "OnMaintenance": Unavailable,
    "BadResponse": MalformedReply,
    "OperationFailed": UnknownOutcome,
    "ExchangeError": UnknownOutcome,  # by itself it is "no idea what this error code means"; what is known is below it
    **dict.fromkeys(
        (
            "ArgumentsRequired",
            "BadRequest",
            "OperationRejected",
            "InsufficientFunds",
            "InvalidAddress",
            "InvalidOrder",
            "NotSupported",
        ),
        Rejected,
    ),
    "BaseError": UnknownOutcome,
}
NOTHING_TO_CANCEL = "OrderNotFound"
MAX_PAGES = 100
NOT_OUR_HEADERS = ("accept-encoding", "connection")  # the seam takes plain bytes and keeps connections itself
ADDRESS = re.compile(r"https?://\S+")


class Desk:
    """One line of the account with a ccxt client of its own. Lines are asked one after the other: many venues want
    nonces that grow, and nobody tells us which."""

    def __init__(self, venue: CcxtVenue, line: Line) -> None:
        self.venue = venue
        self.line = line
        self._made: Any = None
        self._replies: dict[str, str] = {}  # path → body, of the operation under way, in the order of the requests
        self._rehearsal: Mapping[str, str] | None = None
        self._narrowed: set[str] = set()  # parameters of that operation by which ccxt asked for less than the line
        self._last: Response | None = None

    # What the venue asks -------------------------------------------------------------------------------------------

    def open_orders(self, params: Mapping[str, Any]) -> list[OpenOrder]:
        """One variant of the line; raises Rejected where ccxt cannot list all of it."""
        what = f"{self.venue.driver}: open orders ({self.line.name})"
        if self._client.has.get("fetchOpenOrders") is not True:
            raise Rejected(f"{what}: ccxt cannot list them here, so nothing can be proven")
        if self.line.by_symbol_only:
            raise Rejected(f"{what}: ccxt lists them by symbol only, so nothing can be proven")
        return [
            self._order(row, conditional=bool(params), where=what)
            for row in self._listing("fetch_open_orders", None, None, None, dict(params))
        ]

    def cancel_all(self, orders: Sequence[OpenOrder]) -> CancelReply:
        accepted, rejected = 0, []
        for params in self.variants:
            mine = [o for o in orders if o.line == self.line.name and o.conditional == bool(params)]
            for cancel in self._cancels(mine, params):
                try:
                    reply = cancel()
                except Rejected as error:
                    if error.code != NOTHING_TO_CANCEL:
                        rejected.append(str(error))
                else:
                    accepted += sum(bool(row.get("id")) for row in reply if isinstance(row, dict))
        return CancelReply(accepted, tuple(rejected))

    def positions(self) -> list[Position]:
        where = f"{self.venue.driver}: positions ({self.line.name})"
        positions = []
        for row in self._listing("fetch_positions"):
            # Told as null it would be 0, and a position that nobody sees.
            size = abs(schema.decimal({"contracts": _exact(row.get("contracts"))}, "contracts", where))
            positions.append(
                Position(
                    symbol=schema.text(row, "symbol", where),
                    line=self.line.name,
                    qty=-size if row.get("side") == "short" else size,
                    avg_price=_figure(row, "entryPrice", where),
                    unrealized_pnl=_figure(row, "unrealizedPnl", where),
                    unit="contract",
                    mark_price=_figure(row, "markPrice", where),
                    # ccxt's own name of a contract ends in what it is settled in; the venue's own does not tell it.
                    pnl_asset=schema.text(row, "symbol", where).partition(":")[2].partition("-")[0],
                )
            )
        return [position for position in positions if position.qty]

    def fills(self, since_ms: int, symbol: str | None) -> list[Fill]:
        """Page after page, each from the time where the previous ended, until one brings nothing new."""
        where = f"{self.venue.driver}: fills"
        found: dict[str, Fill] = {}
        for _page in range(MAX_PAGES):
            rows = schema.rows(self.call("fetch_my_trades", symbol, since_ms), where)
            if not rows and "{}" in self._replies.values():
                raise MalformedReply(f"{where}: an empty object is no list of trades")
            page = {fill.id: fill for fill in (_fill(row, where) for row in rows)}
            if not page.keys() - found.keys():
                return list(found.values())
            found.update(page)
            since_ms = max(fill.at_ms for fill in page.values())
        raise MalformedReply(f"{where}: no end after {MAX_PAGES} pages")

    def call(self, operation: str, *arguments: Any) -> Any:
        """One of ccxt's methods, its exceptions turned into ours. A refused timestamp is mended once."""
        try:
            return self._call_once(operation, arguments)
        except ClockSkew:
            self.venue.read_clock()
            return self._call_once(operation, arguments)

    # How ccxt is driven ---------------------------------------------------------------------------------------------

    @property
    def _client(self) -> Any:
        if self._made is None:
            self._made = self._make_client()
        return self._made

    @property
    def variants(self) -> list[dict[str, Any]]:
        """ccxt's parameters for the line's plain orders, and for its trigger orders where they are asked for apart."""
        return [{}, {"trigger": True}] if self.line.triggers else [{}]

    def _make_client(self) -> Any:
        venue = self.venue
        names = ("apiKey", "secret", "password")
        keys = {name: part.reveal() for name, part in zip(names, venue._credentials or ()) if part}
        client = venue.build({**keys, "enableRateLimit": False})
        client.number = str  # amounts stay exact
        client.options["warnOnFetchOpenOrdersWithoutSymbol"] = False
        client.fetch = self._fetch
        client.milliseconds = venue.tick_ms
        client.seconds = lambda: venue.now_ms() // 1000
        client.microseconds = lambda: venue.tick_ms() * 1000
        # Some exchanges ask these, some read the options; nothing of it may end up in the venue's own parameters.
        client.options |= {"defaultType": self.line.type, "defaultSubType": self.line.sub_type}
        self._ccxt_safe_market, client.safe_market = client.safe_market, self._market_of
        client.handle_market_type_and_params = self._market_type
        client.handle_sub_type_and_params = self._sub_type
        client.handle_margin_mode_and_params = self._margin_mode
        client.markets, client.markets_by_id, client.currencies, client.currencies_by_id = {}, {}, {}, {}
        return client

    def _market_type(self, _method: str, market: Any = None, params: Any = None, _default: Any = None) -> list[Any]:
        return [market["type"] if market else self.line.type, params or {}]

    def _market_of(self, market_id: Any = None, market: Any = None, _delimiter: Any = None, kind: Any = None) -> Any:
        """Where markets are not loaded ccxt would make up a symbol of its own; the venue's own name stays instead."""
        return self._ccxt_safe_market(market_id, market, None, kind)

    def _sub_type(self, _method: str, market: Any = None, params: Any = None, _default: Any = None) -> list[Any]:
        known = [kind for kind in ("linear", "inverse") if market and market.get(kind) is True]
        return [known[0] if known else self.line.sub_type, params or {}]

    def _margin_mode(self, _method: str, params: Any = None, _default: Any = None) -> list[Any]:
        return [self.line.margin_mode, params or {}]

    def _fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        """In the place of ccxt's own transport. Only JSON comes back from here."""
        client, where = self._client, f"{self.venue.driver}: {method} {urlsplit(url).path}"
        if self._rehearsal is not None:
            return client.parse_json(self._rehearsal[urlsplit(url).path])
        if isinstance(body, dict):
            raise Rejected(f"{where}: multipart bodies are not supported")
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        given = client.prepare_request_headers(headers).items()
        sent = {name: str(value) for name, value in given if name.lower() not in NOT_OUR_HEADERS}
        content = body.encode() if isinstance(body, str) else body
        self._narrowed.update(narrowing(parts.path, parts.query, body))
        self._last = None
        try:
            response = self._last = self.venue.exchange_bytes(url, Request(method, target, sent, content or None))
        except TransportError as error:
            raise (UnknownOutcome if error.sent else Unavailable)(f"{self.venue.driver}: {error}") from None
        if response.status == 200 and not isinstance(schema.parse(response.body, where), (dict, list)):
            raise MalformedReply(f"{where}: neither an object nor a list")
        text = response.body.decode(errors="replace").strip()
        reply = client.parse_json(text)
        client.handle_errors(response.status, "", url, method, response.headers, text, reply, sent, body)
        if response.status != 200:
            client.handle_http_status_code(response.status, "", url, method, "")
            raise (UnknownOutcome if response.status >= 500 else Rejected)(f"{where}: HTTP {response.status}")
        self._replies.pop(parts.path, None)
        self._replies[parts.path] = text
        return reply

    def _call_once(self, operation: str, arguments: Sequence[Any]) -> Any:
        try:
            return self._run(operation, arguments)
        except _NeedsMarketsError as stumble:
            problem = stumble.error
        if self._client.markets:
            raise problem
        try:
            self._run("load_markets", (True,))
            return self._run(operation, arguments)
        except (VenueError, _NeedsMarketsError):
            # It may well have been the reply that was wrong in the first place, so that is what is said.
            raise problem from None

    def _run(self, operation: str, arguments: Sequence[Any]) -> Any:
        client = self._client
        # Once a key has worked, ccxt takes its refusal for a passing one: a key revoked in between must be seen.
        client.options["hasAlreadyAuthenticatedSuccessfully"] = False
        self._replies.clear()
        self._narrowed.clear()
        try:
            return getattr(client, operation)(*arguments)
        except VenueError as error:
            error.args = (self.venue.scrub(str(error)),)
            raise
        except Exception as error:  # noqa: BLE001  # ccxt's parsers raise anything on a reply that they do not expect
            raise self._translated(operation, error) from None

    def _translated(self, operation: str, error: Exception) -> Exception:
        names = [cls.__name__ for cls in type(error).__mro__]
        what = f"{self.venue.driver}: {operation}: {names[0]}"
        if "BaseError" not in names:
            return _NeedsMarketsError(MalformedReply(f"{what} on the venue's reply"))
        message = self.venue.scrub(f"{what}: {ADDRESS.sub('…', str(error))}")
        kind = next(ERRORS[name] for name in names if name in ERRORS)
        status = self._last.status if self._last else 0
        if status == 418:
            kind = Banned
        elif status == 429:
            kind = RateLimited
        elif kind is Rejected and status >= 500:
            kind = UnknownOutcome
        wait = self.venue._retry_after(self._last) if self._last and kind is RateLimited else None
        ours = kind(message, code=names[0], retry_after=wait)
        return _NeedsMarketsError(ours) if names[0] == "BadSymbol" else ours

    def _listing(self, operation: str, *arguments: Any) -> list[schema.Row]:
        """The rows; an empty list only where the venue's reply is shown to be one."""
        where = f"{self.venue.driver}: {operation} ({self.line.name})"
        found = schema.rows(self.call(operation, *arguments), where)
        if not found and not self._is_proven_empty(operation, arguments):
            raise MalformedReply(f"{where}: ccxt says that there is nothing, and the reply does not show it")
        if not found and self._narrowed:
            asked = ", ".join(sorted(self._narrowed))
            raise Rejected(f"{where}: ccxt asked for {asked} only, so an empty answer proves nothing")
        return found

    def _is_proven_empty(self, operation: str, arguments: Sequence[Any]) -> bool:
        path, last = next(reversed(self._replies.items()), ("", ""))
        for text in with_canary(last):
            self._rehearsal = {**self._replies, path: text}
            try:
                if getattr(self._client, operation)(*arguments):
                    return True
            except Exception:  # noqa: BLE001, S112  # a reply that cannot be parsed so was not the listing
                continue
            finally:
                self._rehearsal = None
        return False

    def _order(self, row: schema.Row, *, conditional: bool, where: str) -> OpenOrder:
        return OpenOrder(
            id=schema.text(row, "id", where),
            symbol=schema.text(row, "symbol", where),
            line=self.line.name,
            side=str(row.get("side") or ""),
            qty=number(row.get("remaining") or row.get("amount"), where),
            price=number(row.get("price"), where) or None,
            conditional=conditional,
            client_id=str(row.get("clientOrderId") or ""),
        )

    def _cancels(self, orders: Sequence[OpenOrder], params: Mapping[str, Any]) -> Iterator[Callable[[], Any]]:
        """The fewest calls that ccxt has for it: everything, a symbol's, several orders of a symbol, one order."""
        has = self._client.has
        if has.get("cancelAllOrders") and not self.venue.cancel_needs_listing:
            yield partial(self.call, "cancel_all_orders", None, dict(params))
            return
        for symbol in dict.fromkeys(order.symbol for order in orders):
            ids = [order.id for order in orders if order.symbol == symbol]
            self._know(symbol)
            if has.get("cancelAllOrders"):
                yield partial(self.call, "cancel_all_orders", symbol, dict(params))
            elif has.get("cancelOrders"):
                yield partial(self.call, "cancel_orders", ids, symbol, dict(params))
            else:
                yield from (partial(self.call, "cancel_order", each, symbol, dict(params)) for each in ids)

    def _know(self, symbol: str) -> None:
        """A market by the venue's own name, as much of it as cancelling needs, where markets were not loaded."""
        client, line = self._client, self.line
        if symbol in client.markets or symbol in client.markets_by_id:
            return
        flags = {"spot": line.type == "spot", "swap": line.type == "swap", "future": line.type == "future"}
        sides = {"linear": line.sub_type == "linear", "inverse": line.sub_type == "inverse"}
        known = {"id": symbol, "symbol": symbol, "type": line.type, "option": line.type == "option", **flags, **sides}
        client.markets_by_id[symbol] = [client.safe_market_structure(known)]


class _NeedsMarketsError(Exception):
    """ccxt stumbled where it may have missed its markets; ``error`` is what it means if that was not it."""

    def __init__(self, error: VenueError) -> None:
        super().__init__(str(error))
        self.error = error


def number(value: Any, where: str) -> Decimal:
    """ccxt's amounts, which may be missing: 0 then. What is there and no number is a reply that proves nothing."""
    return Decimal(0) if value is None else schema.decimal({"amount": _exact(value)}, "amount", where)


def _figure(row: schema.Row, name: str, where: str) -> Decimal | None:
    """What ccxt may not know of a position."""
    return None if row.get(name) is None else number(row[name], where)


def _exact(value: Any) -> Any:
    """ccxt was told to give numbers as text, and does not everywhere."""
    return str(value) if isinstance(value, float) else value


def _fill(row: schema.Row, where: str) -> Fill:
    fee = row.get("fee") or {}
    return Fill(
        id=schema.text(row, "id", where),
        order_id=str(row.get("order") or ""),
        symbol=schema.text(row, "symbol", where),
        side=str(row.get("side") or ""),
        qty=schema.decimal(row, "amount", where),
        price=schema.decimal(row, "price", where),
        fee=number(fee.get("cost"), where),
        fee_asset=str(fee.get("currency") or ""),
        at_ms=schema.integer(row, "timestamp", where),
    )
