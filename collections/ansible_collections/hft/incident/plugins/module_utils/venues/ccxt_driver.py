# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``ccxt:<id>``: the other hundred venues through ccxt, which signs and parses; every byte goes over our HTTP seam.

ccxt reads "nothing open" out of a maintenance page, ``{}`` or nothing at all (venues.md). So an empty listing counts
only once it is proven: the same reply is parsed again with an order put into one of its empty places, and ccxt must
then find that order. Where it does not, the place that ccxt reads orders from was not in the reply.

Nor does an empty answer to a narrower question count. ccxt asks Bybit for one settle coin, OKX for one kind of algo
order, Deribit for one currency, where the caller said "all": such a request is recognized by its parameters, and an
empty answer to it is an error that says so. The orders that are found are returned all the same, so that they can be
cancelled; a listing is one page of each line here. So prefer the native dialect where there is one, and name the
account's ``product_lines`` where there is none: the fewer lines, the more can be proven.

Markets are not loaded (a venue in trouble may not serve them, and they take seconds) unless ccxt cannot do without.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from ..http_client import HttpClient, Request, Response, TransportError
from ..settings import SettingsError
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
from .schema import Json

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
#: What is put into an empty place of a reply: a row under the names that most venues use, also one level down (gate).
ROW = {
    **dict.fromkeys(("id", "orderId", "order_id", "ordId", "tradeId", "symbol", "instId", "instrument_name"), "CANARY"),
    **dict.fromkeys(("size", "qty", "pos", "positionAmt", "contracts", "amount", "vol"), "1"),
}
CANARY = {**ROW, "orders": [ROW]}
MAX_DEPTH = 6
MAX_PAGES = 100
#: Parameters (and, in a path, settle coins) that make a listing one of less than the account has on a line.
NARROWING = frozenset(
    (
        *("symbol", "market", "pair", "instid", "instrument_name", "contract_code", "underlying", "uly"),
        *("settle", "settlecoin", "basecoin", "currency", "margincoin", "marginasset"),
        *("producttype", "ordtype", "plantype"),
    )
)
SETTLE_COINS = frozenset(("btc", "usd", "usdt", "usdc"))
NOT_OUR_HEADERS = ("accept-encoding", "connection")  # the seam takes plain bytes and keeps connections itself
ADDRESS = re.compile(r"https?://\S+")


class Line(NamedTuple):
    """A list of its own at the venue, in ccxt's terms; ``triggers`` where trigger orders are asked for apart."""

    name: str
    type: str
    sub_type: str | None = None
    margin_mode: str | None = None
    triggers: bool = False
    by_symbol_only: bool = False


def for_exchange(exchange_id: str) -> type[Venue]:
    """The driver for one of ccxt's exchanges; raises SettingsError where ccxt or the exchange is not there."""
    try:
        import ccxt
    except ImportError:
        raise SettingsError(f"driver ccxt:{exchange_id} needs ccxt: pip install 'hft-incident[ccxt]'") from None
    if exchange_id not in ccxt.exchanges:
        raise SettingsError(f"ccxt has no exchange '{exchange_id}'")
    build = getattr(ccxt, exchange_id)
    sample = build()
    lines = {line.name: line for line in _lines(sample)}
    return type(
        f"Ccxt_{exchange_id}",
        (CcxtVenue,),
        {
            "driver": f"ccxt:{exchange_id}",
            "default_origin": _first_origin(sample),
            "all_lines": tuple(lines),
            "cancel_needs_listing": _cancels_by_symbol_only(sample),
            "known_lines": lines,
            "build": build,
        },
    )


class CcxtVenue(Venue):
    """One account at one of ccxt's exchanges. Symbols are the venue's own, or ccxt's where it had to load markets."""

    reference_symbol = "BTC/USDT"
    known_lines: ClassVar[Mapping[str, Line]]
    build: ClassVar[Any]  # ccxt's class

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._last_tick = 0
        self._desks = {name: Desk(self, self.known_lines[name]) for name in self.lines}

    def sign(self, call: Call) -> Request:
        """Not a way in: ccxt signs what it sends itself."""
        raise NotImplementedError(f"{self.driver}: {call.name} is not a request of ccxt's")

    def read(self, call: Call, status: int, payload: Json) -> Json:
        """Not a way in: ccxt reads what it gets itself."""
        raise NotImplementedError(f"{self.driver}: {call.name} is not a request of ccxt's")

    def server_time(self) -> int:
        return _whole(self._any_desk.call("fetch_time"), f"{self.driver}: time")

    def status(self) -> SystemStatus:
        reply = _row(self._any_desk.call("fetch_status"), f"{self.driver}: status")
        word = schema.text(reply, "status", f"{self.driver}: status")
        return SystemStatus(word == "ok", f"ccxt says: {word}")

    def ticker(self) -> Ticker:
        where = f"{self.driver}: ticker"
        row = _row(self._any_desk.call("fetch_ticker", self.reference_symbol), where)
        return Ticker(
            self.reference_symbol, schema.decimal(row, "last", where), schema.integer(row, "timestamp", where)
        )

    def open_orders(self) -> list[OpenOrder]:
        """Empty only where every line's reply was shown to be an empty listing of the whole line; raises Rejected
        where nothing was found and a line cannot be shown to be empty."""
        found: dict[tuple[str, str], OpenOrder] = {}
        doubt: Rejected | None = None
        for desk in self._desks.values():
            for params in desk.variants:
                try:
                    orders = desk.open_orders(params)
                except Rejected as error:
                    doubt = error
                    continue
                for order in orders:
                    found.setdefault((order.symbol, order.id), order)  # lines overlap at some venues: the first has it
        if doubt is not None and not found:
            raise doubt
        return list(found.values())

    def cancel_all(self, orders: Sequence[OpenOrder]) -> CancelReply:
        """Every line is tried; one that failed is a rejection beside the others, unless all did."""
        replies, failures = [], []
        for desk in self._desks.values():
            try:
                replies.append(desk.cancel_all(orders))
            except VenueError as error:
                failures.append(error)
                if isinstance(error, Banned):
                    break
        if failures and (not replies or isinstance(failures[-1], Banned)):
            raise failures[-1]
        reasons = [reason for reply in replies for reason in reply.rejected]
        return CancelReply(sum(reply.accepted for reply in replies), (*reasons, *map(str, failures)))

    def positions(self) -> list[Position]:
        """Derivatives in contracts, and what the first line's account holds where that is a spot account."""
        contracts = [desk for desk in self._desks.values() if desk.line.type in ("swap", "future", "option")]
        held = {(p.symbol, p.qty > 0): p for desk in contracts for p in desk.positions()}
        spot = [Position(b.asset, "spot", b.total) for b in self.balances()] if "spot" in self.lines else []
        return [*spot, *held.values()]

    def balances(self) -> list[Balance]:
        """The account behind the first line."""
        where = f"{self.driver}: balances"
        reply = _row(self._any_desk.call("fetch_balance"), where)
        totals, free = schema.object_at(reply, "total", where), schema.object_at(reply, "free", where)
        balances = [
            Balance(asset, schema.decimal(totals, asset, where), _number(free.get(asset), where))
            for asset, total in totals.items()
            if total is not None
        ]
        return [balance for balance in balances if balance.total]

    def fills(self, since_ms: int, symbols: Sequence[str] = ()) -> list[Fill]:
        """By symbol where symbols are given, else every line's; as far back as the venue answers ccxt."""
        work = [partial(self._any_desk.fills, since_ms, symbol) for symbol in symbols] or [
            partial(desk.fills, since_ms, None) for desk in self._desks.values()
        ]
        found = {(fill.symbol, fill.id): fill for run in work for fill in run()}
        return sorted(found.values(), key=lambda fill: (fill.at_ms, fill.id))

    def tick_ms(self) -> int:
        """The time, and never the same twice: most of ccxt's nonces are made of it."""
        self._last_tick = max(self._last_tick + 1, self.now_ms())
        return self._last_tick

    def read_clock(self) -> None:
        """Take over the venue's time for everything signed from now on."""
        self._offset_ms = self.server_time() - (self.now_ms() - self._offset_ms)
        self._last_tick = 0

    def exchange_bytes(self, url: str, request: Request) -> Response:
        """Send to the address that ccxt means: the configured one where it was replaced, else the venue's own."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if self.http.address != HttpClient(self.default_origin).address or origin == self.default_origin:
            return self.http.send(request)
        other = HttpClient(origin, ca_file=self.http.ca_file, request_timeout=self.http.request_timeout)
        other.deadline = self.http.deadline
        self.http.requests += 1
        try:
            return other.send(request)
        finally:
            other.close()

    @property
    def _any_desk(self) -> Desk:
        return self._desks[self.lines[0]]


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
            size = abs(_number(row.get("contracts"), where))
            positions.append(
                Position(
                    symbol=schema.text(row, "symbol", where),
                    line=self.line.name,
                    qty=-size if row.get("side") == "short" else size,
                    avg_price=_number(row["entryPrice"], where) if row.get("entryPrice") is not None else None,
                    unrealized_pnl=_number(row["unrealizedPnl"], where)
                    if row.get("unrealizedPnl") is not None
                    else None,
                    unit="contract",
                )
            )
        return [position for position in positions if position.qty]

    def fills(self, since_ms: int, symbol: str | None) -> list[Fill]:
        """Page after page, each from the time where the previous ended, until one brings nothing new."""
        where = f"{self.venue.driver}: fills"
        found: dict[str, Fill] = {}
        for _ in range(MAX_PAGES):
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
        keys = {name: part.reveal() for name, part in zip(names, venue._credentials or (), strict=False) if part}
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
        self._narrowed.update(_narrowing(parts.path, parts.query, body))
        self._last = None
        try:
            response = self._last = self.venue.exchange_bytes(url, Request(method, target, sent, content or None))
        except TransportError as error:
            raise (UnknownOutcome if error.sent else Unavailable)(f"{self.venue.driver}: {error}") from None
        if response.status == 200 and not isinstance(schema.parse(response.body, where), dict | list):
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
        for text in _with_canary(last):
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
            qty=_number(row.get("remaining") or row.get("amount"), where),
            price=_number(row.get("price"), where) or None,
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


def _lines(sample: Any) -> Iterator[Line]:
    """Every list that ccxt knows to ask this venue for."""
    features: Mapping[str, Any] = sample.features or {}
    listings = {
        (kind, sub): (described or {}).get("fetchOpenOrders") or {}
        for kind in ("spot", "swap", "future")
        for sub, described in _by_sub_type(features.get(kind))
    }
    by_symbol = any(listing.get("symbolRequired") for listing in listings.values())
    for (kind, sub), listing in listings.items():
        needs_symbol = bool(listing.get("symbolRequired", by_symbol))
        name = f"{kind}.{sub}" if sub else kind
        yield Line(name, kind, sub, None, bool(listing.get("trigger")), needs_symbol)
        if kind == "spot" and listing.get("marginMode"):
            yield Line("margin", "margin", None, "cross", bool(listing.get("trigger")), needs_symbol)
            yield Line("isolated", "margin", None, "isolated", bool(listing.get("trigger")), by_symbol_only=True)
    if sample.has.get("option") or not listings:
        yield Line("option" if listings else "account", "option" if listings else "spot", by_symbol_only=by_symbol)


def _by_sub_type(described: Any) -> list[tuple[str | None, Any]]:
    """Features of a market type, by sub-type where ccxt has them so; nothing where it knows of none."""
    if not described:
        return []
    if "linear" in described or "inverse" in described:
        return [(sub, described[sub]) for sub in ("linear", "inverse") if described.get(sub)]
    return [(None, described)]


def _first_origin(sample: Any) -> str:
    """Scheme, host and port of the first address that ccxt has for the venue's API."""
    for url in _texts(sample.urls.get("api")):
        parts = urlsplit(sample.implode_hostname(url))
        if parts.scheme in ("http", "https") and parts.hostname:
            return f"{parts.scheme}://{parts.netloc}"
    raise SettingsError(f"ccxt has no http address for '{sample.id}'")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)


def _cancels_by_symbol_only(sample: Any) -> bool:
    """Whether ccxt refuses to cancel everything without naming a symbol: tried without sending anything."""
    if not sample.has.get("cancelAllOrders"):
        return True
    sent: list[str] = []

    def record(url: str, *_request: Any) -> None:
        sent.append(url)
        raise LookupError

    sample.fetch, sample.markets, sample.markets_by_id = record, {}, {}
    for field, needed in sample.requiredCredentials.items():
        if needed:
            setattr(sample, field, "QUJDRA==")
    with suppress(Exception):  # it never gets an answer; what counts is whether it came to ask
        sample.cancel_all_orders()
    return not sent


def _with_canary(text: str) -> Iterator[str]:
    """The reply again and again, each time with a canary in another of its empty places. The reply as a whole is a
    place only where it is a list: ``{}`` shows nothing."""
    try:
        reply = json.loads(text)
    except ValueError:
        return
    for path in _empty_places(reply):
        spoiled = copy.deepcopy(reply)
        place = spoiled
        for step in path:
            place = place[step]
        if isinstance(place, list):
            place.append(CANARY)
        elif path:
            place["CANARY"] = CANARY
        else:
            continue
        yield json.dumps(spoiled)


def _empty_places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list) and len(path) <= MAX_DEPTH:
        if not value:
            yield path
        for step, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _empty_places(item, (*path, step))


def _narrowing(path: str, query: str, body: Any) -> set[str]:
    """What in a request asks for a part of a line: "settleCoin=USDT"."""
    sent: dict[str, Any] = dict(parse_qsl(query))
    if isinstance(body, str):
        with suppress(ValueError):
            sent |= json.loads(body) if body.startswith("{") else dict(parse_qsl(body))
    named = {f"{name}={value}" for name, value in sent.items() if name.lower() in NARROWING and value}
    return named | {step for step in path.lower().split("/") if step in SETTLE_COINS}


def _row(value: Any, where: str) -> schema.Row:
    return schema.as_object(value, where)


def _whole(value: Any, where: str) -> int:
    return schema.integer({"value": value}, "value", where)


def _number(value: Any, where: str) -> Decimal:
    """ccxt's amounts, which may be missing: 0 then. What is there and no number is a reply that proves nothing."""
    return Decimal(0) if value is None else schema.decimal({"amount": _exact(value)}, "amount", where)


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
        fee=_number(fee.get("cost"), where),
        fee_asset=str(fee.get("currency") or ""),
        at_ms=schema.integer(row, "timestamp", where),
    )
