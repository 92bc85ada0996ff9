# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""One account at one simulated venue: orders, fills, holdings and a market that moves. No wire format, no clock faults.

It is the truth that every claim of the product is held against, so it keeps a log of everything that happened to
every order, stamped with the machine's own clock.
"""

from __future__ import annotations

import itertools
import random
import secrets
import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from .treasury import Treasury

Side = Literal["buy", "sell"]
CancelMode = Literal["honest", "ignored", "partial"]


class Refusal(Exception):
    """The venue says no; ``reason`` is rendered by the dialect in the venue's own words.

    Reasons: bad_key, bad_signature, bad_timestamp, bad_nonce, bad_passphrase, bad_ip, permission, rate_limit,
    unknown_symbol, unknown_order, unknown_key, unknown_withdrawal, bad_request, maintenance.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


@dataclass(frozen=True)
class Instrument:
    """Something that trades. ``line`` is the product line in the venue's own word; a spot line changes two assets.

    Of an ``inverse`` contract the quantity counts dollars, and what it makes is paid in the base asset.
    """

    symbol: str
    line: str
    base: str
    quote: str
    price: Decimal
    tick: Decimal = Decimal("0.1")
    spot: bool = False
    inverse: bool = False


@dataclass
class Order:
    """A live or ended order; ``created_ms`` is the venue's time."""

    id: int
    instrument: Instrument
    side: Side
    qty: Decimal
    price: Decimal
    client_id: str = ""
    conditional: bool = False
    created_ms: int = 0
    filled: Decimal = Decimal(0)
    state: Literal["open", "canceled", "filled"] = "open"

    @property
    def symbol(self) -> str:
        return self.instrument.symbol

    @property
    def line(self) -> str:
        return self.instrument.line

    @property
    def remaining(self) -> Decimal:
        return self.qty - self.filled


@dataclass(frozen=True)
class Execution:
    """One fill of ours; fees are zero in the lab."""

    id: int
    order: Order
    qty: Decimal
    price: Decimal
    at_ms: int


@dataclass(frozen=True)
class Happening:
    """A line of the truth: what happened to an order, and when (seconds since 1970 on this machine's clock).

    ``key`` did it ("": the market, or a hand from outside).
    """

    at: float
    kind: Literal["placed", "canceled", "filled"]
    order_id: int
    symbol: str
    key: str = ""


@dataclass
class Holding:
    """A derivative position: signed quantity at its average entry price."""

    qty: Decimal = Decimal(0)
    avg_price: Decimal = Decimal(0)


@dataclass
class Key:
    """An API key of the account. ``permissions``: read, trade, withdraw, transfer, manage_keys; one that may manage
    keys is the main account's, the others are its sub-account's. ``ips`` are the addresses it is good for (none: all).
    """

    id: str
    secret: str
    passphrase: str = ""
    permissions: frozenset[str] = frozenset({"read", "trade"})
    label: str = ""
    ips: tuple[str, ...] = ()
    enabled: bool = True
    number: int = 0
    created_ms: int = 0
    last_nonce: int = 0
    recent: list[float] = field(default_factory=list)  # times of recent requests, for the rate limit

    @property
    def main(self) -> bool:
        return "manage_keys" in self.permissions


def made(instrument: Instrument, qty: Decimal, entry: Decimal, price: Decimal) -> Decimal:
    """What a signed quantity has made from its entry to this price."""
    if not qty:
        return Decimal(0)
    return qty / entry - qty / price if instrument.inverse else (price - entry) * qty


def average(instrument: Instrument, holding: Holding, added: Decimal, price: Decimal) -> Decimal:
    """The entry price of a holding that grows: of an inverse one, that of the coins behind its dollars."""
    held = abs(holding.qty)
    if not instrument.inverse:
        return (holding.avg_price * held + price * added) / (held + added)
    coins = (held / holding.avg_price if held else Decimal(0)) + added / price
    return (held + added) / coins


class Exchange:
    """The venue's books for one account. Thread-safe; every method takes effect at once."""

    def __init__(self, instruments: Iterable[Instrument], keys: Iterable[Key], *, seed: int = 0) -> None:
        self.instruments = {i.symbol: i for i in instruments}
        self._ids = itertools.count(7_000_001)
        self._lock = threading.RLock()
        self.keys: dict[str, Key] = {}
        self.clock_skew_ms = 0
        self.acting = ""  #: the key whose request is being carried out
        for key in keys:
            self.add_key(key)
        self.cancel_mode: CancelMode = "honest"
        self.feed_running = True
        self.maintenance = False
        self.prices = {symbol: i.price for symbol, i in self.instruments.items()}
        self.feed_at_ms = self.now_ms()
        self.balances: dict[str, Decimal] = {}
        for instrument in self.instruments.values():
            for asset in (instrument.base, instrument.quote):
                self.balances.setdefault(asset, Decimal("1000000") if asset.startswith("USD") else Decimal("100"))
        self.holdings: dict[str, Holding] = {s: Holding() for s, i in self.instruments.items() if not i.spot}
        self.orders: dict[int, Order] = {}
        self.executions: list[Execution] = []
        self.happenings: list[Happening] = []
        self.treasury = Treasury(self.now_ms, self.balances)
        self._open: dict[int, Order] = {}
        self._random = random.Random(seed)

    def now_ms(self) -> int:
        """The venue's own clock."""
        return int(time.time() * 1000) + self.clock_skew_ms

    def add_key(self, key: Key) -> Key:
        """It can be used from now on."""
        with self._lock:
            key.number, key.created_ms = next(self._ids), key.created_ms or self.now_ms()
            self.keys[key.id] = key
            return key

    def new_key(
        self,
        label: str,
        permissions: Collection[str],
        ips: Collection[str] = (),
        *,
        passphrase: str = "",
        secret: str = "",
    ) -> Key:
        """A key with a random id and secret (or the given one)."""
        key = Key(secrets.token_hex(9), secret or secrets.token_hex(48), passphrase, frozenset(permissions))
        key.label, key.ips = label, tuple(ips)
        return self.add_key(key)

    def remove_key(self, key_id: str) -> bool:
        """It is no good from now on, on open connections too. False where there is no such key."""
        with self._lock:
            return self.keys.pop(key_id, None) is not None

    def place(
        self,
        symbol: str,
        side: Side,
        qty: Decimal,
        price: Decimal,
        *,
        client_id: str = "",
        conditional: bool = False,
    ) -> Order:
        """A new live order; raises Refusal for an unknown symbol, or a quantity or price that is not positive."""
        instrument = self.instruments.get(symbol)
        if instrument is None:
            raise Refusal("unknown_symbol", symbol)
        if qty <= 0 or price <= 0:
            raise Refusal("bad_request", "quantity and price must be positive")
        with self._lock:
            order = Order(
                next(self._ids), instrument, side, qty, price, client_id, conditional, created_ms=self.now_ms()
            )
            self.orders[order.id] = self._open[order.id] = order
            self._note("placed", order)
            return order

    def open_orders(
        self, *, lines: Collection[str] = (), symbol: str | None = None, conditional: bool | None = None
    ) -> list[Order]:
        """Live orders, oldest first; no filter means all of them."""
        with self._lock:
            return [
                order
                for order in self._open.values()
                if (not lines or order.line in lines)
                and symbol in (None, order.symbol)
                and conditional in (None, order.conditional)
            ]

    def cancel(self, order: Order | None) -> bool:
        """Cancel one order; False where the venue refuses it. What "ignored" claims is a lie: the order stays."""
        with self._lock:
            if order is None or order.state != "open":
                return False
            if self.cancel_mode == "ignored":
                return True
            if self.cancel_mode == "partial" and order.id % 2:
                return False
            order.state = "canceled"
            del self._open[order.id]
            self._note("canceled", order)
            return True

    def cancel_all(
        self, *, lines: Collection[str] = (), symbol: str | None = None, conditional: bool | None = None
    ) -> list[Order]:
        """A mass cancel; the orders that the venue claims to have cancelled."""
        return [o for o in self.open_orders(lines=lines, symbol=symbol, conditional=conditional) if self.cancel(o)]

    def cancel_withdrawal(self, number: int) -> bool:
        """False where the venue refuses it. What "ignored" claims is a lie: the money goes on."""
        if self.cancel_mode == "ignored":
            return any(w.id == number and w.state == "pending" for w in self.treasury.withdrawals())
        return self.treasury.cancel(number)

    def advance(self) -> None:
        """Move every market one step and fill what the new prices cross."""
        if not self.feed_running:
            return
        with self._lock:
            self.feed_at_ms = self.now_ms()
            for symbol, instrument in self.instruments.items():
                step = instrument.tick * self._random.randint(-3, 3)
                self.prices[symbol] = max(instrument.tick, self.prices[symbol] + step)
            for order in list(self._open.values()):
                price = self.prices[order.symbol]
                crossed = order.price >= price if order.side == "buy" else order.price <= price
                if crossed and not order.conditional:
                    self._fill(order, order.price)

    def executions_since(self, since_ms: int) -> list[Execution]:
        with self._lock:
            return [e for e in self.executions if e.at_ms >= since_ms]

    def unrealized_pnl(self, symbol: str) -> Decimal:
        """In the quote asset; of an inverse contract in the base asset."""
        holding = self.holdings[symbol]
        return made(self.instruments[symbol], holding.qty, holding.avg_price, self.prices[symbol])

    def _fill(self, order: Order, price: Decimal) -> None:
        qty, instrument = order.remaining, order.instrument
        order.filled, order.state = order.qty, "filled"
        del self._open[order.id]
        signed = qty if order.side == "buy" else -qty
        if instrument.spot:
            self.balances[instrument.base] += signed
            self.balances[instrument.quote] -= signed * price
        else:
            self._trade_derivative(self.holdings[instrument.symbol], signed, price, instrument)
        self.executions.append(Execution(next(self._ids), order, qty, price, self.now_ms()))
        self._note("filled", order)

    def _trade_derivative(self, holding: Holding, signed: Decimal, price: Decimal, instrument: Instrument) -> None:
        after = holding.qty + signed
        if holding.qty * signed >= 0:
            holding.avg_price = average(instrument, holding, abs(signed), price)
        else:
            closed = min(abs(signed), abs(holding.qty)) * (1 if holding.qty > 0 else -1)
            paid_in = instrument.base if instrument.inverse else instrument.quote
            self.balances[paid_in] += made(instrument, closed, holding.avg_price, price)
            if holding.qty * after < 0:
                holding.avg_price = price
        holding.qty = after
        if not after:
            holding.avg_price = Decimal(0)

    def _note(self, kind: Literal["placed", "canceled", "filled"], order: Order) -> None:
        key = "" if kind == "filled" else self.acting
        self.happenings.append(Happening(time.time(), kind, order.id, order.symbol, key))
