# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's trading system and its database: what survives a restart, and how the process dies."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hft_incident.lab.database import Database
from hft_incident.lab.venues.server import VenueServer

from .postgres import emptied, postgres
from .trading_system_process import ENVIRONMENT, TradingSystemProcess, command, trading_system
from .venues_host import Host, venue_host
from .waiting import wait_until

EXCHANGES = {"alpha": "binance", "beta": "binanceusdm"}
LIVES = 5  # so many times it is killed in the middle of its work
Start = Callable[..., AbstractContextManager[TradingSystemProcess]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with postgres(tmp_path_factory.mktemp("database")) as database:
        yield database


@pytest.fixture
def database(server: Database) -> Database:
    return emptied(server)


@pytest.fixture
def host() -> Iterator[Host]:
    with venue_host(EXCHANGES) as running:
        for venue in running.venues.values():
            venue.exchange.feed_running = True
        yield running


@pytest.fixture
def alpha(host: Host) -> VenueServer:
    return host.venues["alpha"]


@pytest.fixture
def beta(host: Host) -> VenueServer:
    return host.venues["beta"]


@pytest.fixture
def start(tmp_path: Path, host: Host, database: Database) -> Start:
    """A run of one and the same trading system."""

    def run(**options: Any) -> AbstractContextManager[TradingSystemProcess]:
        return trading_system(tmp_path, host, EXCHANGES, database=database.dsn, **options)

    return run


def count(venue: VenueServer, op: str) -> int:
    return sum(seen.op == op for seen in list(venue.seen))


def orders_arrive(venue: VenueServer) -> None:
    """Fails where no further order comes."""
    before = count(venue, "place")
    wait_until(lambda: count(venue, "place") > before + 6)


def no_order_arrives(venue: VenueServer) -> None:
    """While the process is seen to live on."""
    before, tickers = count(venue, "place"), count(venue, "ticker")
    wait_until(lambda: count(venue, "ticker") > tickers + 8)
    assert count(venue, "place") == before


def is_connected(hft: TradingSystemProcess) -> bool:
    return all(row["connected"] for row in hft.get("/exchanges")["exchanges"])


def live_ids(venue: VenueServer) -> set[str]:
    return {str(order.id) for order in venue.exchange.open_orders()}


def stand_still(host: Host) -> None:
    for venue in host.venues.values():
        venue.exchange.feed_running = False


def fills(hft: TradingSystemProcess, name: str) -> list[tuple[str, ...]]:
    return [
        (row["order_id"], row["side"], row["qty"], row["price"])
        for row in hft.get(f"/fills?exchange={name}&limit=1000")["fills"]
    ]


def executions(venue: VenueServer) -> list[tuple[str, ...]]:
    """The truth, in the same words."""
    return [
        (str(e.order.id), e.order.side, f"{e.qty:f}".rstrip("0"), f"{e.price:f}".rstrip("0").rstrip("."))
        for e in venue.exchange.executions
    ]


def positions(hft: TradingSystemProcess, name: str) -> dict[str, Decimal]:
    return {row["symbol"]: Decimal(row["qty"]) for row in hft.get("/positions")["positions"] if row["exchange"] == name}


def held(venue: VenueServer) -> dict[str, Decimal]:
    if venue.name == "alpha":
        return {asset: qty for asset, qty in venue.exchange.balances.items() if qty}
    return {symbol: holding.qty for symbol, holding in venue.exchange.holdings.items() if holding.qty}


def is_booked(hft: TradingSystemProcess, venue: VenueServer) -> bool:
    return len(fills(hft, venue.name)) >= len(venue.exchange.executions)


def are_stored(database: Database) -> bool:
    with psycopg.connect(database.dsn) as connection:
        return connection.execute("SELECT count(*) FROM accounts").fetchone() == (len(EXCHANGES),)


def has_filled(venue: VenueServer, executions: int) -> bool:
    return len(venue.exchange.executions) >= executions


def books_are_true(hft: TradingSystemProcess, host: Host) -> None:
    """Every fill of the venues once, and their own positions. The markets stand still."""
    for name, venue in host.venues.items():
        wait_until(partial(is_booked, hft, venue))
        assert sorted(fills(hft, name)) == sorted(executions(venue))
        assert positions(hft, name) == held(venue)


def costs(hft: TradingSystemProcess) -> dict[tuple[str, str], str]:
    return {(row["exchange"], row["symbol"]): row["avg_price"] for row in hft.get("/positions")["positions"]}


def orders(hft: TradingSystemProcess) -> set[tuple[str, ...]]:
    return {(row["id"], row["status"], row["filled"]) for row in hft.get("/orders?limit=1000")["orders"]}


# What survives ----------------------------------------------------------------------------------------------------


def test_books_wishes_and_killswitch_survive_a_restart(start: Start, host: Host, alpha: VenueServer) -> None:
    with start() as hft:
        wait_until(lambda: min(len(venue.exchange.executions) for venue in host.venues.values()) >= 4)
        hft.call("POST", "/strategies/mm-beta/stop")
        hft.call("POST", "/strategies/probe-alpha/stop")
        hft.call("POST", "/strategies/probe-alpha/start")
        hft.call("POST", "/killswitch", {"reason": "a test"})
        wait_until(lambda: not any(venue.exchange.open_orders() for venue in host.venues.values()))
        stand_still(host)
        books_are_true(hft, host)
        wait_until(lambda: hft.open_orders() == [])
        before = [hft.get(path) for path in ("/killswitch", "/strategies", "/fills?limit=1000")]
        books = costs(hft), orders(hft)
        assert hft.end() == 0
    with start() as hft:
        wait_until(lambda: is_connected(hft))
        assert [hft.get(path) for path in ("/killswitch", "/strategies", "/fills?limit=1000")] == before
        assert hft.get("/killswitch")["active"] is True
        states = {row["id"]: row["state"] for row in hft.get("/strategies")["strategies"]}
        assert [name for name, state in states.items() if state == "stopped"] == ["mm-beta"]
        assert (costs(hft), orders(hft)) == books
        books_are_true(hft, host)
        for venue in host.venues.values():
            venue.exchange.feed_running = True
        wait_until(lambda: hft.get("/exchanges/alpha")["last_market_data_age_s"] is not None)
        no_order_arrives(alpha)


def test_killed_again_and_again_it_loses_no_fill_and_books_none_twice(start: Start, host: Host) -> None:
    for _ in range(LIVES):
        with start() as hft:
            for venue, done in [(venue, len(venue.exchange.executions)) for venue in host.venues.values()]:
                wait_until(partial(has_filled, venue, done + 2), timeout=30)
            hft.kill_dash_nine()
    with start() as hft:
        for venue in host.venues.values():
            orders_arrive(venue)
        hft.call("POST", "/killswitch", {"reason": "a test"})
        wait_until(lambda: not any(venue.exchange.open_orders() for venue in host.venues.values()))
        stand_still(host)
        books_are_true(hft, host)
        assert sum(len(venue.exchange.executions) for venue in host.venues.values()) > LIVES * 4


def test_what_filled_while_nobody_ran_is_booked_and_the_rest_is_taken_back(
    start: Start, host: Host, alpha: VenueServer, beta: VenueServer
) -> None:
    with start() as hft:
        for venue in (alpha, beta):
            orders_arrive(venue)
        hft.kill_dash_nine()
    before = len(alpha.exchange.executions)
    wait_until(lambda: len(alpha.exchange.executions) > before or not live_ids(alpha))
    stand_still(host)
    assert live_ids(alpha) | live_ids(beta)
    with start() as hft:
        wait_until(lambda: not live_ids(alpha) | live_ids(beta))
        books_are_true(hft, host)
        wait_until(lambda: hft.open_orders() == [])


def test_what_the_account_traded_before_the_first_run_is_in_its_holdings_and_is_never_booked(
    start: Start, host: Host, database: Database, alpha: VenueServer, beta: VenueServer
) -> None:
    for venue in (alpha, beta):
        venue.exchange.place("BTCUSDT", "buy", Decimal("0.5"), venue.exchange.prices["BTCUSDT"] + 100)
        wait_until(partial(has_filled, venue, 1))
    stand_still(host)
    for _ in range(2):
        with start(observe=True) as hft:
            wait_until(partial(is_connected, hft))
            for name, venue in host.venues.items():
                assert fills(hft, name) == []
                assert positions(hft, name) == held(venue)
            wait_until(partial(are_stored, database))
            hft.kill_dash_nine()


def test_quoting_does_not_wait_for_the_database_and_orders_that_it_never_heard_of_are_taken_back(
    start: Start, host: Host, database: Database, alpha: VenueServer
) -> None:
    with start() as hft:
        orders_arrive(alpha)
        with database.connect_as_admin() as operator, operator.transaction():
            operator.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            orders_arrive(alpha)
            hft.kill_dash_nine()
    stand_still(host)
    orphans = live_ids(alpha)
    with psycopg.connect(database.dsn) as connection:
        stored = {row[0] for row in connection.execute("SELECT order_id FROM orders").fetchall()}
    assert orphans - stored
    with start(observe=True) as hft:
        wait_until(lambda: "is not in the books" in hft.log_file.read_text())
        no_order_arrives(alpha)
        assert live_ids(alpha) == orphans
        hft.end()
    with start() as hft:
        wait_until(lambda: not live_ids(alpha))
        books_are_true(hft, host)


def test_a_connection_that_breaks_is_made_anew_and_nothing_is_lost(
    start: Start, host: Host, database: Database, alpha: VenueServer
) -> None:
    with start() as hft:
        orders_arrive(alpha)
        with database.connect_as_admin() as operator:
            operator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hft_system'"
            )
        wait_until(lambda: "database connection lost" in hft.log_file.read_text())
        done = len(alpha.exchange.executions)
        wait_until(lambda: len(alpha.exchange.executions) > done)
        hft.call("POST", "/killswitch", {"reason": "a test"})
        wait_until(lambda: not any(venue.exchange.open_orders() for venue in host.venues.values()))
        stand_still(host)
        books_are_true(hft, host)
        hft.end()
    with start() as hft:
        books_are_true(hft, host)


def test_archived_orders_stay_archived(start: Start, alpha: VenueServer) -> None:
    with start() as hft:
        wait_until(lambda: hft.get("/orders?status=canceled")["orders"])
        hft.call("POST", "/killswitch", {"reason": "a test"})
        wait_until(lambda: not hft.open_orders())
        hft.call("POST", "/orders/archive")
        hft.end()
    with start() as hft:
        assert hft.get("/orders")["orders"] == []


def test_two_processes_never_keep_the_same_books(start: Start, tmp_path: Path, host: Host, database: Database) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with start() as hft:
        with pytest.raises(AssertionError, match="in use by another process"):
            TradingSystemProcess(other, host, EXCHANGES, observe=True, database=database.dsn)
        assert hft.get("/health")


def test_two_trading_systems_keep_their_books_apart_in_one_database(
    tmp_path: Path, host: Host, database: Database
) -> None:
    folders = [tmp_path / "hft-1", tmp_path / "hft-2"]
    for folder in folders:
        folder.mkdir()
    one, two = (
        trading_system(folder, host, {exchange: EXCHANGES[exchange]}, database=database.dsn_for(folder.name))
        for folder, exchange in zip(folders, EXCHANGES, strict=True)
    )
    with one as first, two as second:
        first.call("POST", "/killswitch", {"reason": "a test"})
        assert second.get("/killswitch")["active"] is False
    with psycopg.connect(database.dsn) as connection:
        query = 'SELECT active, (SELECT count(*) FROM "hft-2".killswitch) FROM "hft-1".killswitch'
        assert connection.execute(query).fetchone() == (True, 0)


# Observing --------------------------------------------------------------------------------------------------------


def test_observing_it_sends_no_order_whatever_it_is_told(
    start: Start, host: Host, alpha: VenueServer, beta: VenueServer
) -> None:
    with start() as hft:
        for venue in (alpha, beta):
            orders_arrive(venue)
        hft.kill_dash_nine()
    placed = {venue.name: count(venue, "place") for venue in (alpha, beta)}
    orphans = live_ids(alpha)
    hft.hold_file.touch()
    with start(observe=True) as hft:
        assert hft.get("/health")["mode"] == "observe"
        wait_until(lambda: is_connected(hft))
        refused = hft.call("PUT", "/config", {"mode": "live"})
        assert (refused.status, refused.body["error"]["code"]) == (400, "bad_configuration")
        hft.hold_file.unlink()
        for row in hft.get("/strategies")["strategies"]:
            assert hft.call("POST", f"/strategies/{row['id']}/stop").body["state"] == "stopped"
            assert hft.call("POST", f"/strategies/{row['id']}/start").body["state"] == "running"
        for name in EXCHANGES:
            hft.call("PUT", "/config", {"exchanges": {name: {"enabled": False}}})
            hft.call("PUT", "/config", {"exchanges": {name: {"enabled": True}}})
            assert hft.call("POST", f"/exchanges/{name}/reconnect").body == {"connected": True}
            assert hft.call("POST", f"/exchanges/{name}/credentials/reload").status == 200
        assert hft.call("POST", "/killswitch", {"reason": "a test"}).body["active"] is True
        assert hft.get("/health")["mode"] == "observe"
        assert hft.call("DELETE", "/killswitch").body["active"] is False
        hft.call("POST", "/system/clear_caches")
        # None where it has just been told to forget what it had.
        wait_until(lambda: (age := hft.get("/exchanges/alpha")["last_market_data_age_s"]) is not None and age < 1)
        no_order_arrives(alpha)
        no_order_arrives(beta)
        assert orphans
        stand_still(host)
        books_are_true(hft, host)
        hft.call("POST", "/strategies/mm-alpha/stop")
        assert hft.end() == 0
    assert placed == {venue.name: count(venue, "place") for venue in (alpha, beta)}
    with start() as hft:
        assert hft.get("/strategies/mm-alpha")["state"] == "stopped"


def test_observing_it_leaves_the_orders_of_a_dead_run_where_they_are(
    start: Start, host: Host, alpha: VenueServer
) -> None:
    with start() as hft:
        orders_arrive(alpha)
        hft.kill_dash_nine()
    stand_still(host)
    orphans = live_ids(alpha)
    with start(observe=True) as hft:
        wait_until(lambda: {row["id"] for row in hft.open_orders("alpha")} & orphans)
        no_order_arrives(alpha)
        assert hft.end() == 0
    assert live_ids(alpha) == orphans


# Holds ------------------------------------------------------------------------------------------------------------


def test_a_held_exchange_gets_no_orders_and_the_other_does(start: Start, alpha: VenueServer, beta: VenueServer) -> None:
    with start() as hft:
        orders_arrive(alpha)
        hold = hft.hold_file.with_name("hold.d") / "exchange-alpha"
        hold.parent.mkdir()
        hold.touch()
        wait_until(lambda: hft.get("/health")["components"].get("exchange.alpha") == "held" and not live_ids(alpha))
        no_order_arrives(alpha)
        orders_arrive(beta)
        assert hft.get("/health")["mode"] == "live"
        hold.unlink()
        orders_arrive(alpha)


def test_a_held_strategy_sends_nothing_and_the_others_do(start: Start, alpha: VenueServer) -> None:
    with start() as hft:
        orders_arrive(alpha)
        hold = hft.hold_file.with_name("hold.d") / "strategy-mm-alpha"
        hold.parent.mkdir()
        hold.touch()

        def those_with_orders() -> set[str]:
            return {row["strategy"] for row in hft.open_orders("alpha")}

        wait_until(lambda: those_with_orders() == {"probe-alpha", "arb-alpha-beta"})
        orders_arrive(alpha)
        assert those_with_orders() <= {"probe-alpha", "arb-alpha-beta"}
        assert hft.get("/strategies/mm-alpha")["state"] == "running"  # the wish is another thing
        hold.unlink()
        wait_until(lambda: "mm-alpha" in those_with_orders())


def call(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(command(*arguments), env=ENVIRONMENT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


# How it dies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "status", "in_log", "on_stderr"),
    [
        ("segfault", -signal.SIGSEGV, "", "Segmentation fault"),
        ("out_of_memory", -signal.SIGABRT, r"CRITICAL \[system\] out of memory[^\0]*\nMemoryError\n", "Aborted"),
        (
            "assertion",
            1,
            r"CRITICAL \[system\] crashed\nTraceback[^\0]*\nAssertionError: position ",
            "AssertionErr",
        ),
        ("exception", 1, r"CRITICAL \[system\] crashed\nTraceback[^\0]*\nKeyError: 'BTC-UNLISTED'\n", "KeyError"),
    ],
)
def test_a_mishap_is_the_real_thing_and_leaves_the_orders_live(
    start: Start, host: Host, alpha: VenueServer, word: str, status: int, in_log: str, on_stderr: str
) -> None:
    with start() as hft:
        orders_arrive(alpha)
        assert hft.commit(word) == status
        assert re.search(in_log, hft.log_file.read_text())
        assert on_stderr in hft.said()
        assert "stopping" not in hft.log_file.read_text()
        assert live_ids(alpha)
    stand_still(host)
    with start() as hft:
        wait_until(lambda: not live_ids(alpha))
        books_are_true(hft, host)


def test_a_word_that_is_no_mishap_does_nothing(start: Start, alpha: VenueServer) -> None:
    with start() as hft:
        orders_arrive(alpha)
        hft.process.send_signal(signal.SIGUSR1)  # there is no file
        orders_arrive(alpha)
        hft.fault_file.write_text("nothing")
        hft.process.send_signal(signal.SIGUSR1)
        orders_arrive(alpha)


def test_in_a_crash_loop_every_live_start_dies_soon_and_an_observer_lives(
    start: Start, alpha: VenueServer, tmp_path: Path
) -> None:
    (tmp_path / "fault").write_text("loop\n")
    for _ in range(2):
        with start() as hft:
            assert hft.process.wait(timeout=20) == 1
            assert "KeyError" in hft.said()
    with start(observe=True) as hft:
        no_order_arrives(alpha)  # for longer than a live start lives
        assert hft.get("/health")["mode"] == "observe"


LOST = "database connection lost, cannot reconnect"


@pytest.mark.parametrize("observe", [False, True])
@pytest.mark.parametrize(
    ("lose", "told"),
    [
        # The last: a server that was just going took the connection, and dropped it.
        (lambda database: database.stop(), f"{LOST}: .*(refused|shutting down|closed the connection unexpectedly)"),
        (
            lambda database: database.read_only(True),
            "database is read-only: cannot execute .* read-only transaction",
        ),
    ],
)
def test_without_its_database_it_dies_and_leaves_its_orders_live(
    start: Start,
    database: Database,
    alpha: VenueServer,
    lose: Callable[[Database], None],
    told: str,
    observe: bool,
) -> None:
    with start() as hft:
        orders_arrive(alpha)
        if observe:
            hft.kill_dash_nine()
    orphans = live_ids(alpha)
    with start(observe=observe) as hft:
        if observe:
            wait_until(lambda: is_connected(hft))
        else:
            orders_arrive(alpha)
        lose(database)
        assert hft.process.wait(timeout=20) == 1
        assert re.search(rf"CRITICAL \[system\] {told}", hft.log_file.read_text())
        assert re.search(rf"DatabaseLost: {told}", hft.said())
        assert "stopping" not in hft.log_file.read_text()
    assert orphans
    assert live_ids(alpha)


def test_it_notices_the_loss_of_its_database_when_there_is_nothing_to_store(
    start: Start, host: Host, database: Database
) -> None:
    with start(observe=True) as hft:
        wait_until(lambda: is_connected(hft))
        stand_still(host)
        wait_until(lambda: not any(row["connected"] for row in hft.get("/exchanges")["exchanges"]))
        database.stop()
        assert hft.process.wait(timeout=20) == 1


def test_a_database_that_hangs_is_a_lost_one(start: Start, database: Database, alpha: VenueServer) -> None:
    server = database.server
    assert server is not None
    with start() as hft:
        orders_arrive(alpha)
        backends = [server.pid, *children(server.pid)]
        for pid in backends:
            os.kill(pid, signal.SIGSTOP)
        try:
            assert hft.process.wait(timeout=40) == 1
        finally:
            for pid in backends:
                os.kill(pid, signal.SIGCONT)
        assert re.search(r"CRITICAL \[system\] database connection lost, cannot reconnect", hft.log_file.read_text())


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("lose", [lambda database: database.stop(), lambda database: database.read_only(True)])
def test_it_does_not_start_without_its_database(
    start: Start, database: Database, lose: Callable[[Database], None], tmp_path: Path
) -> None:
    with start() as hft:
        hft.end()
    lose(database)
    status, out, _err = call("--config", str(hft.config_file))
    assert (status, out) == (1, "")
    assert re.search(r"CRITICAL \[system\] database (connection failed|is read-only): ", hft.log_file.read_text())


def test_a_full_log_disk_ends_it_and_leaves_its_orders_live(start: Start, alpha: VenueServer, tmp_path: Path) -> None:
    with start() as hft:
        orders_arrive(alpha)
        full = tmp_path / "full"
        full.symlink_to("/dev/full")
        full.rename(hft.log_file)  # as after a rotation: the next line goes to the new file
        assert hft.process.wait(timeout=20) == 1
        assert "No space left on device" in hft.said()
        assert "Traceback" in hft.said()
        assert live_ids(alpha)
        done = subprocess.run(
            command("--config", str(hft.config_file)), env=ENVIRONMENT, capture_output=True, check=False
        )
        assert done.returncode == 1
        assert b"No space left on device" in done.stderr


# The command line -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("config")
    key = folder / "key"
    key.write_text(json.dumps({"id": "k", "secret": "s3cret"}))
    return {
        "hold_file": str(folder / "hold"),
        "log_file": str(folder / "log"),
        "exchanges": [{"name": "alpha", "driver": "binance", "url": "http://127.0.0.1:9", "key_file": str(key)}],
        "database": "host=127.0.0.1 dbname=hft_db",
    }


def test_a_valid_configuration_is_said_to_be_valid_and_nothing_is_started(
    config: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    assert call("--validate-config", "--config", str(file)) == (0, f"{file}: valid (1 exchanges)\n", "")
    assert not os.path.exists(config["log_file"])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"exchanges": [{"name": "alpha"}]}, "'driver' is missing"),
        ({"exchanges": [{"name": "a", "driver": "nasdaq", "url": "", "key_file": ""}]}, "unknown driver 'nasdaq'"),
        ({"exchanges": [{"name": "a", "driver": "okx", "url": "", "key_file": "/no/key"}]}, "the key file /no/key"),
        ({"hold_flie": "/hold"}, "unknown field 'hold_flie'"),
        ({"log_file": "/no/such/folder/log"}, "there is no folder /no/such/folder"),
        ({"token_file": "/no/token"}, "No such file or directory: '/no/token'"),
        ({"database": "hostt=1"}, "database: invalid connection option"),
        ({"port": "http"}, "invalid literal"),
        (None, "Expecting"),
    ],
)
def test_a_fault_in_the_configuration_is_named_in_one_line(
    config: dict[str, Any], tmp_path: Path, change: dict[str, Any] | None, fault: str
) -> None:
    file = tmp_path / "config.json"
    file.write_text("{" if change is None else json.dumps({**config, **change}))
    status, out, err = call("--validate-config", "--config", str(file))
    assert (status, out) == (2, "")
    assert err.startswith(f"{file}: ")
    assert fault in err
    assert err.count("\n") == 1
    assert "s3cret" not in err


def test_its_version_is_one_line() -> None:
    assert call("--version") == (0, "1.0.0\n", "")
