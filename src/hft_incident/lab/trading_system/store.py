# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What survives a restart: orders, fills, positions, the wish for each strategy and the killswitch, in PostgreSQL.

Written behind: callers put changes down and go on, and one writer commits all of them together every few milliseconds.
A transaction always holds whole changes, so what a crash leaves is the books as they stood a moment before; what is
missing there the venue still knows. Losing the database is fatal: who cannot store fills must not trade.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

import psycopg
from psycopg import sql

from ..gateways.gateway import Trade
from .ledger import Position
from .orders import ENDED_KEPT, WorkingOrder

WRITE_INTERVAL_S = 0.05
#: A write that proves, where there is nothing else to store, that the database is there and takes writes.
HEARTBEAT_S = 0.5
#: A database that does not answer for this long is lost.
DEADLINE_S = 5.0
#: How long to wait for another process that has the books open to end.
LOCK_TIMEOUT_S = 5.0
LOCK_POLL_S = 0.05
LOCK = 0x68667431
#: So many changes waiting mean that the database does not keep up.
PENDING_LIMIT = 20_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    prefix text PRIMARY KEY, version text NOT NULL, observe boolean NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(), seen_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS accounts (
    exchange text PRIMARY KEY, fills_since_ms bigint NOT NULL, opening_fills text[] NOT NULL);
CREATE TABLE IF NOT EXISTS orders (
    exchange text, client_id text, order_id text NOT NULL, strategy text NOT NULL, side text NOT NULL,
    qty numeric NOT NULL, price numeric NOT NULL, state text NOT NULL, archived boolean NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (exchange, client_id));
CREATE TABLE IF NOT EXISTS fills (
    exchange text, fill_id text, number bigint NOT NULL, order_id text NOT NULL, symbol text NOT NULL,
    side text NOT NULL, qty numeric NOT NULL, price numeric NOT NULL, at_ms bigint NOT NULL,
    PRIMARY KEY (exchange, fill_id));
CREATE TABLE IF NOT EXISTS positions (
    exchange text, account text, symbol text, qty numeric NOT NULL, avg_price numeric, realized_pnl numeric NOT NULL,
    PRIMARY KEY (exchange, account, symbol));
CREATE TABLE IF NOT EXISTS strategies (id text PRIMARY KEY, running boolean NOT NULL);
CREATE TABLE IF NOT EXISTS killswitch (
    singleton boolean PRIMARY KEY CHECK (singleton), active boolean NOT NULL, reason text, since text);
"""
TRY_LOCK = "SELECT pg_try_advisory_lock(%s, hashtext(current_setting('search_path')))"
PUT_RUN = "INSERT INTO runs (prefix, version, observe) VALUES (%s, %s, %s)"
HEARTBEAT = "UPDATE runs SET seen_at = now() WHERE prefix = %s"
PUT_OPENING = """INSERT INTO accounts VALUES (%s, %s, %s) ON CONFLICT (exchange)
    DO UPDATE SET fills_since_ms = excluded.fills_since_ms, opening_fills = excluded.opening_fills"""
PUT_SINCE = "UPDATE accounts SET fills_since_ms = %s WHERE exchange = %s"
PUT_ORDER = """INSERT INTO orders VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (exchange, client_id)
    DO UPDATE SET order_id = excluded.order_id, state = excluded.state, archived = excluded.archived"""
PUT_FILL = "INSERT INTO fills VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
PUT_POSITION = """INSERT INTO positions VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (exchange, account, symbol)
    DO UPDATE SET qty = excluded.qty, avg_price = excluded.avg_price, realized_pnl = excluded.realized_pnl"""
PUT_STRATEGY = "INSERT INTO strategies VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET running = excluded.running"
PUT_KILLSWITCH = """INSERT INTO killswitch VALUES (true, %s, %s, %s) ON CONFLICT (singleton)
    DO UPDATE SET active = excluded.active, reason = excluded.reason, since = excluded.since"""
GET_ORDERS = """SELECT exchange, client_id, order_id, strategy, side, qty, price, state FROM orders
    WHERE NOT archived ORDER BY state IN ('pending', 'open', 'unknown') DESC, placed_at DESC LIMIT %s"""
GET_FILLS = """SELECT exchange, number, fill_id, order_id, symbol, side, qty, price, at_ms FROM fills
    ORDER BY number"""

log = logging.getLogger("database")
Row = Sequence[Any]


class DatabaseLost(Exception):
    """The books cannot be stored any more; the process must end."""


@dataclass(frozen=True)
class Killswitch:
    active: bool = False
    reason: str | None = None
    since: str | None = None


@dataclass
class Account:
    """One exchange as it was stored. ``known``: fills that the holdings it was opened with contain already."""

    fills_since_ms: int
    known: frozenset[str]
    positions: list[Position] = field(default_factory=list)
    fills: dict[str, tuple[int, Trade]] = field(default_factory=dict)
    orders: list[WorkingOrder] = field(default_factory=list)


@dataclass(frozen=True)
class Stored:
    """All that was stored: by exchange, the wish by strategy, and the client-id prefixes of earlier runs."""

    accounts: Mapping[str, Account] = field(default_factory=dict)
    running: Mapping[str, bool] = field(default_factory=dict)
    killswitch: Killswitch = Killswitch()
    prefixes: frozenset[str] = frozenset()


class Store(Protocol):
    """``put_…`` take a change down and return at once; ``saved`` returns when all that was put down is safe."""

    stored: Stored

    def put_opening(
        self, exchange: str, since_ms: int, known: Iterable[str], positions: Iterable[Position]
    ) -> None: ...

    def put_fills(
        self, exchange: str, since_ms: int, fills: Iterable[tuple[int, Trade]], positions: Iterable[Position]
    ) -> None: ...

    def put_order(self, exchange: str, order: WorkingOrder) -> None: ...

    def put_strategy(self, strategy: str, running: bool) -> None: ...

    def put_killswitch(self, killswitch: Killswitch) -> None: ...

    async def saved(self) -> None: ...

    async def write(self) -> None:
        """Store what is put down, for ever. Raises DatabaseLost."""

    async def close(self) -> None: ...


class NoStore:
    """For a trading system without a database: everything is forgotten when it ends."""

    stored = Stored()

    def put_opening(
        self, exchange: str, since_ms: int, known: Iterable[str], positions: Iterable[Position]
    ) -> None: ...

    def put_fills(
        self, exchange: str, since_ms: int, fills: Iterable[tuple[int, Trade]], positions: Iterable[Position]
    ) -> None: ...

    def put_order(self, exchange: str, order: WorkingOrder) -> None: ...

    def put_strategy(self, strategy: str, running: bool) -> None: ...

    def put_killswitch(self, killswitch: Killswitch) -> None: ...

    async def saved(self) -> None: ...

    async def write(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None: ...


class PostgresStore:
    """Made by ``open_store``; used on one event loop."""

    def __init__(self, dsn: str, prefix: str) -> None:
        self.stored = Stored()
        self._dsn = dsn
        self._prefix = prefix
        self._connection: psycopg.AsyncConnection[Row] | None = None
        self._pending: dict[tuple[str, ...], tuple[str, Row]] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self._hurry = asyncio.Event()

    # Taking down --------------------------------------------------------------------------------------------------

    def put_opening(self, exchange: str, since_ms: int, known: Iterable[str], positions: Iterable[Position]) -> None:
        self._put(("opening", exchange), PUT_OPENING, (exchange, since_ms, list(known)))
        self._put_positions(exchange, positions)

    def put_fills(
        self, exchange: str, since_ms: int, fills: Iterable[tuple[int, Trade]], positions: Iterable[Position]
    ) -> None:
        for number, t in fills:
            row = (exchange, t.id, number, t.order_id, t.symbol, t.side, t.qty, t.price, t.at_ms)
            self._put(("fill", exchange, t.id), PUT_FILL, row)
        self._put_positions(exchange, positions)
        self._put(("since", exchange), PUT_SINCE, (since_ms, exchange))

    def put_order(self, exchange: str, order: WorkingOrder) -> None:
        o = order
        row = (exchange, o.client_id, o.id, o.strategy, o.side, o.qty, o.price, o.state, o.archived)
        self._put(("order", exchange, o.client_id), PUT_ORDER, row)

    def put_strategy(self, strategy: str, running: bool) -> None:
        self._put(("strategy", strategy), PUT_STRATEGY, (strategy, running))

    def put_killswitch(self, killswitch: Killswitch) -> None:
        self._put(("killswitch",), PUT_KILLSWITCH, (killswitch.active, killswitch.reason, killswitch.since))

    def _put_positions(self, exchange: str, positions: Iterable[Position]) -> None:
        for p in positions:
            row = (exchange, p.account, p.symbol, p.qty, p.avg_price, p.realized_pnl)
            self._put(("position", exchange, p.account, p.symbol), PUT_POSITION, row)

    def _put(self, key: tuple[str, ...], statement: str, row: Row) -> None:
        """The latest change of the same thing counts."""
        if len(self._pending) >= PENDING_LIMIT:
            raise DatabaseLost(f"database too slow: {PENDING_LIMIT} changes wait to be stored")
        self._pending[key] = statement, row

    async def saved(self) -> None:
        ticket = asyncio.get_running_loop().create_future()
        self._waiting.append(ticket)
        self._hurry.set()
        await ticket

    # Writing ------------------------------------------------------------------------------------------------------

    async def write(self) -> None:
        written_at = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):  # nobody was in a hurry
                async with asyncio.timeout(WRITE_INTERVAL_S):
                    await self._hurry.wait()
            self._hurry.clear()
            changes, self._pending = self._pending, {}
            waiting, self._waiting = self._waiting, []
            if not changes and time.monotonic() - written_at > HEARTBEAT_S:
                changes[("heartbeat",)] = HEARTBEAT, (self._prefix,)
            if changes:
                await self._commit(list(changes.values()))
                written_at = time.monotonic()
            for ticket in waiting:
                if not ticket.done():
                    ticket.set_result(None)

    async def _commit(self, changes: Sequence[tuple[str, Row]]) -> None:
        """All or none of it. Where the connection broke, once more over a new one: every statement may be repeated."""
        rows: dict[str, list[Row]] = {}
        for statement, row in changes:
            rows.setdefault(statement, []).append(row)
        try:
            await self._execute(rows)
        except (psycopg.Error, TimeoutError) as error:
            if not _is_broken(error):
                raise _lost("write failed", error) from error
            log.error("database connection lost: %s; reconnecting", _line(error))
            try:
                await self._connect()
                await self._execute(rows)
            except (psycopg.Error, TimeoutError) as again:
                raise _lost("connection lost, cannot reconnect", again) from error

    async def _execute(self, rows: Mapping[str, Sequence[Row]]) -> None:
        """In a task of its own, because a server that hangs keeps even a cancelled query."""
        task = asyncio.create_task(self._transaction(rows))
        done, _ = await asyncio.wait({task}, timeout=DEADLINE_S)
        if not done:
            task.add_done_callback(asyncio.Task.exception)
            raise TimeoutError
        task.result()

    async def _transaction(self, rows: Mapping[str, Sequence[Row]]) -> None:
        assert self._connection is not None
        connection = self._connection
        async with connection.transaction(), connection.cursor() as cursor:
            for statement, batch in rows.items():
                await cursor.executemany(statement, batch)

    # The connection -----------------------------------------------------------------------------------------------

    async def open(self, version: str, observe: bool) -> None:
        """Connect, make the tables where they are missing, read what is stored. Raises DatabaseLost."""
        try:
            await self._connect()
            assert self._connection is not None
            async with asyncio.timeout(DEADLINE_S), self._connection.transaction():
                await self._make_schema(self._connection)
                self.stored = await self._load(self._connection)
                await self._connection.execute(PUT_RUN, (self._prefix, version, observe))
        except (psycopg.Error, TimeoutError) as error:
            raise _lost("connection failed" if _is_broken(error) else "cannot be used", error) from error

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _connect(self) -> None:
        await self.close()
        async with asyncio.timeout(DEADLINE_S):
            self._connection = await psycopg.AsyncConnection.connect(
                self._dsn, autocommit=True, application_name="hft_system"
            )
        until = time.monotonic() + LOCK_TIMEOUT_S
        while await self._one(TRY_LOCK, (LOCK,)) != (True,):
            if time.monotonic() > until:
                raise DatabaseLost("the books in the database are in use by another process")
            await asyncio.sleep(LOCK_POLL_S)

    async def _one(self, query: str, parameters: Row) -> Row | None:
        assert self._connection is not None
        async with asyncio.timeout(DEADLINE_S):
            return await (await self._connection.execute(query, parameters)).fetchone()

    async def _make_schema(self, connection: psycopg.AsyncConnection[Row]) -> None:
        """The tables, in the first schema of the search path; where there is none yet, that too."""
        path = await connection.execute("SELECT current_setting('search_path') WHERE current_schema() IS NULL")
        for (names,) in await path.fetchall():
            name = sql.Identifier(names.split(",")[0].strip(' "'))
            await connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
        await connection.execute(SCHEMA)

    async def _load(self, connection: psycopg.AsyncConnection[Row]) -> Stored:
        async def rows(query: str, *parameters: object) -> list[Row]:
            return await (await connection.execute(query, parameters)).fetchall()

        accounts = {name: Account(since, frozenset(known)) for name, since, known in await rows("TABLE accounts")}
        for name, *position in await rows("TABLE positions"):
            accounts[name].positions.append(Position(*position))
        filled: dict[tuple[str, str], Decimal] = {}
        for name, number, *trade in await rows(GET_FILLS):
            fill = Trade(*trade)
            accounts[name].fills[fill.id] = number, fill
            filled[name, fill.order_id] = filled.get((name, fill.order_id), Decimal(0)) + fill.qty
        for name, *order in reversed(await rows(GET_ORDERS, ENDED_KEPT)):
            accounts[name].orders.append(_order(order, name, filled))
        killswitch = await rows("SELECT active, reason, since FROM killswitch")
        return Stored(
            accounts,
            running={strategy: bool(running) for strategy, running in await rows("TABLE strategies")},
            killswitch=Killswitch(*killswitch[0]) if killswitch else Killswitch(),
            prefixes=frozenset(prefix for (prefix,) in await rows("SELECT prefix FROM runs")),
        )


def _order(row: Row, exchange: str, filled: Mapping[tuple[str, str], Decimal]) -> WorkingOrder:
    """As the fills say that it stands: its own row may have been stored before its last fill was."""
    client_id, order_id, strategy, side, qty, price, state = row
    order = WorkingOrder(client_id, strategy, side, qty, price, order_id, state)
    order.filled = filled.get((exchange, order_id), Decimal(0))
    if order.filled >= qty:
        order.state = "filled"
    elif order.state == "pending":
        order.state = "unknown"
    return order


def _is_broken(error: Exception) -> bool:
    """Whether the connection is what failed, and not the write."""
    return not isinstance(error, psycopg.Error) or error.sqlstate is None or error.sqlstate[:2] in ("08", "57")


def _lost(what: str, error: Exception) -> DatabaseLost:
    read_only = isinstance(error, psycopg.errors.ReadOnlySqlTransaction)
    return DatabaseLost(f"database {'is read-only' if read_only else what}: {_line(error)}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or f"no answer within {DEADLINE_S:g} s"


async def open_store(dsn: str | None, prefix: str, version: str, observe: bool) -> Store:
    """``prefix`` begins every client id of this run. Raises DatabaseLost."""
    if dsn is None:
        return NoStore()
    store = PostgresStore(dsn, prefix)
    await store.open(version, observe)
    return store
