# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``ccxt:<id>``: the other hundred venues through ccxt, which signs and parses; every byte goes over our HTTP seam.

An empty listing counts only where ``ccxt_proof`` shows that it is the venue's, and of the whole line: ccxt asks Bybit
for one settle coin, OKX for one kind of algo order, Deribit for one currency, where the caller said "all". Where a line
cannot be listed, the orders of the others travel in the error, so that they can be cancelled; a listing is one page of
each line here. So prefer the native dialect where there is one, and name the account's ``product_lines`` where there is
none: the fewer lines, the more can be proven.

Markets are not loaded (a venue in trouble may not serve them, and they take seconds) unless ccxt cannot do without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar
from urllib.parse import urlsplit

from ..http_client import HttpClient, Request, Response
from ..settings import SettingsError
from . import schema
from .api import Balance, Call, CancelReply, Fill, OpenOrder, PartialListing, Position, SystemStatus, Ticker, Venue
from .ccxt_desk import Desk, number
from .ccxt_features import Line, cancels_by_symbol_only, first_origin, lines
from .errors import Banned, Rejected, VenueError
from .schema import Json


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
    known = {line.name: line for line in lines(sample)}
    return type(
        f"Ccxt_{exchange_id}",
        (CcxtVenue,),
        {
            "driver": f"ccxt:{exchange_id}",
            "default_origin": first_origin(sample),
            "all_lines": tuple(known),
            "cancel_needs_listing": cancels_by_symbol_only(sample),
            "known_lines": known,
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
        """Every line's; empty only where each reply was shown to be an empty listing of the whole line.

        Raises Rejected where a line cannot be listed, PartialListing where the others have orders all the same.
        """
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
        if doubt is None:
            return list(found.values())
        if not found:
            raise doubt
        raise PartialListing(
            f"{doubt}; {len(found)} open orders are known", code=doubt.code, orders=list(found.values())
        )

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
            Balance(asset, schema.decimal(totals, asset, where), number(free.get(asset), where))
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


def _row(value: Any, where: str) -> schema.Row:
    return schema.as_object(value, where)


def _whole(value: Any, where: str) -> int:
    return schema.integer({"value": value}, "value", where)
