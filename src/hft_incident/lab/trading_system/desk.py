# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""One exchange as the trading system works it: market data, orders, fills, positions, and the way it loses and
regains its connection."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Iterable, Mapping
from decimal import Decimal
from typing import TypeVar

import aiohttp

from ..gateways.gateway import Gateway, GatewayError, GatewayKey, Quote, Side, Trade
from ..gateways.registry import gateway_class
from .ledger import Ledger
from .orders import OrderBook, WorkingOrder
from .settings import ExchangeEntry, read_key
from .store import Account, NoStore, Store

T = TypeVar("T")
QUOTE_INTERVAL_S = 0.2
FILLS_INTERVAL_S = 0.4
LISTING_INTERVAL_S = 1.0
REQUEST_TIMEOUT_S = 2.0
CONNECT_TIMEOUT_S = 2.0
#: Order failures in a row after which the session counts as lost.
MAX_FAILURES = 5
#: How long an order on its way is waited for before its request is given up.
SETTLE_TIME_S = 0.25
CANCEL_DEADLINE_S = 30.0
CANCELS_AT_ONCE = 8
#: Fills are asked for again from this long (ms, the venue's clock) before the latest market data.
OVERLAP_MS = 2_000
OPENING_OVERLAP_MS = 10_000
OPENING_ATTEMPTS = 20
LATENCIES_KEPT = 20_000


class Run:
    """What the desks of one process share. ``prefix`` begins the client id of every order that this run sends."""

    def __init__(self, store: Store | None = None, prefix: str | None = None, *, observe: bool = False) -> None:
        self.store = store or NoStore()
        self.prefix = prefix or new_prefix()
        self.observe = observe
        stored = (number for account in self.store.stored.accounts.values() for number, _ in account.fills.values())
        self.fill_numbers = itertools.count(max(stored, default=0) + 1)


def new_prefix() -> str:
    return f"hft{secrets.token_hex(3)}"


class Desk:
    """All that belongs to one exchange. Everything here runs on the event loop's thread."""

    def __init__(self, entry: ExchangeEntry, run: Run | None = None) -> None:
        self._run = run or Run()
        self.name = entry.name
        self.driver = entry.driver
        self.key_file = entry.key_file
        self.log = logging.getLogger(f"gateway.{entry.name}")
        self._connector = aiohttp.TCPConnector()
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        self._session = aiohttp.ClientSession(connector=self._connector, timeout=timeout)
        self.gateway: Gateway = gateway_class(entry.driver)(self._session, entry.url, GatewayKey("", ""))
        self.ledger = Ledger(self.gateway.line, self.gateway.spot_assets, self.gateway.settlement)
        self.orders = OrderBook(changed=self._order_changed)
        self.fills: dict[str, tuple[int, Trade]] = {}
        self.latencies: deque[tuple[float, float]] = deque(maxlen=LATENCIES_KEPT)  # (monotonic s, µs)
        self.connected = False
        self.quote: Quote | None = None
        self.moved_at: float | None = None  # monotonic; when the venue's own time stamp last moved
        self._connected_at = 0.0
        self._failures = 0
        self._opened = False
        self._booked: set[str] = set()
        self._trades_of_order: dict[str, list[Trade]] = {}
        self._fills_since_ms = 0
        self._sending: dict[asyncio.Task[None], WorkingOrder] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._resync = asyncio.Lock()
        self._order_numbers = itertools.count(1)
        self._strays: set[str] = set()
        self._inherited: list[WorkingOrder] = []
        self._restore(self._run.store.stored.accounts.get(entry.name))

    async def close(self) -> None:
        for task in list(self._background):
            task.cancel()
        await self._session.close()

    def _restore(self, account: Account | None) -> None:
        """Go on from the stored books; what happened since, the venue tells."""
        if account is None:
            return
        self.fills = dict(account.fills)
        for _, trade in account.fills.values():
            self._trades_of_order.setdefault(trade.order_id, []).append(trade)
        self.ledger.positions = {(row.account, row.symbol): row for row in account.positions}
        for order in account.orders:
            self.orders.restore(order)
        self._inherited = list(self.orders.live.values())
        self._booked = {*account.known, *account.fills}
        self._fills_since_ms, self._opened = account.fills_since_ms, True

    # The session --------------------------------------------------------------------------------------------------

    def load_key(self) -> None:
        """Raises SettingsError; the old key then stays."""
        self.gateway.key = read_key(self.key_file)
        self.log.info("credentials loaded")

    @property
    def key_fingerprint(self) -> str:
        """Which key is in use, without telling it."""
        return hashlib.sha256(self.gateway.key.id.encode()).hexdigest()[:12]

    def clear_caches(self) -> None:
        self._connector.clear_dns_cache()

    @property
    def market_data_age_s(self) -> float | None:
        return None if self.moved_at is None else time.monotonic() - self.moved_at

    def fresh(self, stale_after_s: float) -> bool:
        age = self.market_data_age_s
        return age is not None and age <= stale_after_s

    async def connect(self) -> bool:
        """Reach the venue and agree with it on orders and fills (the first time: holdings). False where it fails."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S), self._resync:
                self._see(await self._ask(self.gateway.quote()))
                if not self._opened:
                    await self._open()
                await self._agree()
        except (GatewayError, TimeoutError) as error:
            self.log.error("connect failed: %s", error or "no answer in time")
            return False
        if not self.connected:
            self.log.info("connected; %d open orders", self.open_count)
        self.connected, self._connected_at, self._failures = True, time.monotonic(), 0
        if self._inherited and not self._run.observe:
            self.log.warning("%d orders of an earlier run may be live", len(self._inherited))
            self._cancel_in_background(self._inherited)
            self._inherited = []
        return True

    def lose(self, why: str) -> None:
        if self.connected:
            self.connected = False
            self.log.error("connection lost: %s", why)

    async def watch_market(self, disconnect_after_s: float) -> None:
        """One look at the public market data."""
        try:
            self._see(await self._ask(self.gateway.quote()))
        except GatewayError as error:
            self.log.warning("no market data: %s", error)
        if time.monotonic() - max(self.moved_at or 0.0, self._connected_at) > disconnect_after_s:
            self.lose(f"no good market data for {disconnect_after_s:g} s")

    async def watch_account(self, *, listing: bool) -> None:
        """One look at the fills, and where asked at the venue's own list of our orders."""
        try:
            if listing:
                async with self._resync:
                    await self._agree()
            else:
                await self._book_trades()
        except GatewayError as error:
            self.log.warning("account data: %s", error)

    def _see(self, quote: Quote) -> None:
        if self.quote is not None and quote.at_ms != self.quote.at_ms:
            self.moved_at = time.monotonic()
        self.quote = quote

    async def _open(self) -> None:
        """Holdings and the fills that they contain already, read until no fill came between."""
        assert self.quote is not None
        since_ms = self.quote.at_ms - OPENING_OVERLAP_MS
        for _ in range(OPENING_ATTEMPTS):
            before = {trade.id for trade in await self._ask(self.gateway.trades(since_ms))}
            held = await self._ask(self.gateway.held())
            after = {trade.id for trade in await self._ask(self.gateway.trades(since_ms))}
            if before == after:
                self.ledger.open(held, self.quote.price)
                self._booked, self._fills_since_ms, self._opened = after, since_ms, True
                self._run.store.put_opening(self.name, since_ms, after, self.ledger.positions.values())
                return
        raise GatewayError("the holdings never stood still")

    async def _agree(self) -> None:
        """The venue's list of our orders, then its fills, then what follows for each order we believed in."""
        asked_at = time.monotonic()
        listed = await self._ask(self.gateway.open_order_ids())
        await self._book_trades()
        self.orders.agree(listed, asked_at)
        await self._take_back_strays(listed)

    async def _take_back_strays(self, listed: Mapping[str, str]) -> None:
        """An order that a crashed run sent and could not store is in no book: it is cancelled, or only told of."""
        earlier, length = self._run.store.stored.prefixes, len(self._run.prefix)
        for order_id, client_id in listed.items():
            if client_id[:length] not in earlier or self.orders.knows(client_id):
                continue
            if order_id not in self._strays:
                self._strays.add(order_id)
                self.log.warning("order %s (%s) of an earlier run is not in the books", order_id, client_id)
            if not self._run.observe:
                await self._ask(self.gateway.cancel(order_id))

    async def _book_trades(self) -> None:
        if not self._opened:
            return
        mark, new = self.quote, []
        for trade in await self._ask(self.gateway.trades(self._fills_since_ms)):
            if trade.id not in self._booked:
                self._booked.add(trade.id)
                self.fills[trade.id] = (next(self._run.fill_numbers), trade)
                new.append(self.fills[trade.id])
                self._trades_of_order.setdefault(trade.order_id, []).append(trade)
                self.ledger.book(trade)
                self.orders.apply(trade)
                self.log.info("fill %s %s %s at %s", trade.side, trade.qty, trade.symbol, trade.price)
        if mark is not None:
            self._fills_since_ms = mark.at_ms - OVERLAP_MS
        self._run.store.put_fills(self.name, self._fills_since_ms, new, self.ledger.positions.values() if new else ())

    # Orders -------------------------------------------------------------------------------------------------------

    @property
    def open_count(self) -> int:
        return sum(order.state == "open" for order in self.orders.live.values())

    def send(
        self, strategy: str, side: Side, price: Decimal, scale: Decimal = Decimal(1)
    ) -> tuple[WorkingOrder, asyncio.Task[None]]:
        """A new order on its way, as a task of its own so that it can be given up. The caller has asked the gates.
        ``scale``: the share of the usual size."""
        if self._run.observe:
            raise AssertionError("an observing process sends no orders")
        client_id = f"{self._run.prefix}{next(self._order_numbers):06x}"
        order = WorkingOrder(client_id, strategy, side, (self.gateway.qty * scale).normalize(), price)
        self.orders.add(order)
        task = asyncio.create_task(self._place(order))
        self._sending[task] = order
        task.add_done_callback(lambda done: self._sending.pop(done, None))
        return order, task

    async def _place(self, order: WorkingOrder) -> None:
        began = time.perf_counter()
        try:
            order_id = await self._ask(self.gateway.place(order.side, order.price, order.client_id, order.qty))
        except GatewayError as error:
            self._fail(f"order {order.client_id} not acknowledged: {error}")
            return
        finally:
            self.orders.doubt(order)
        self.latencies.append((time.monotonic(), (time.perf_counter() - began) * 1e6))
        self._failures = 0
        self.orders.acknowledge(order, order_id, self._trades_of_order.get(order_id, ()))

    def _order_changed(self, order: WorkingOrder) -> None:
        self._run.store.put_order(self.name, order)

    async def cancel(self, order: WorkingOrder) -> bool:
        """Cancel one order; False where nobody knows whether it worked."""
        if not order.id:
            return False
        try:
            await self._ask(self.gateway.cancel(order.id))
        except GatewayError as error:
            self._fail(f"cancel of {order.id} not acknowledged: {error}")
            return False
        self._failures = 0
        self.orders.cancelled(order)
        return True

    async def settle(self, strategy: str | None = None) -> None:
        """Return once no new order (of that strategy) is on its way: acknowledged, or given up and in doubt."""
        sending = [task for task, order in self._sending.items() if strategy in (None, order.strategy)]
        if sending:
            _, late = await asyncio.wait(sending, timeout=SETTLE_TIME_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def request_cancels(self, strategy: str | None = None) -> int:
        """Cancel in the background what is live now (of that strategy); how many orders that is."""
        orders = [order for order in self.orders.live.values() if strategy in (None, order.strategy)]
        if orders:
            self._cancel_in_background(orders)
        return len(orders)

    def _cancel_in_background(self, orders: Iterable[WorkingOrder]) -> None:
        task = asyncio.create_task(self.cancel_orders(orders, CANCEL_DEADLINE_S))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def cancel_orders(self, orders: Iterable[WorkingOrder], deadline_s: float) -> None:
        """Cancel until none of these is live as far as the venue's own list says, or the deadline has passed."""
        orders, until, pause = list(orders), time.monotonic() + deadline_s, 0.2
        self.log.info("cancelling %d orders", len(orders))
        while time.monotonic() < until:
            limit = asyncio.Semaphore(CANCELS_AT_ONCE)
            await asyncio.gather(*(self._cancel_within(limit, order) for order in orders if order.live))
            try:
                async with self._resync:
                    await self._agree()
            except GatewayError as error:
                self.log.warning("cancels not verified: %s", error)
            else:
                if not any(order.live for order in orders):
                    self.log.info("cancelled: none of %d orders is live", len(orders))
                    return
            await asyncio.sleep(pause)
            pause = min(2.0, pause * 2)
        self.log.error("%d of %d orders may still be live", sum(order.live for order in orders), len(orders))

    async def _cancel_within(self, limit: asyncio.Semaphore, order: WorkingOrder) -> None:
        async with limit:
            await self.cancel(order)

    def _fail(self, message: str) -> None:
        self.log.warning("%s", message)
        self._failures += 1
        if self._failures >= MAX_FAILURES:
            self.lose(f"{self._failures} order failures in a row")

    async def _ask(self, work: Awaitable[T]) -> T:
        """Only GatewayError leaves a gateway, also where a reply was JSON of another shape."""
        try:
            return await work
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise GatewayError(f"unexpected reply ({type(error).__name__})") from None
