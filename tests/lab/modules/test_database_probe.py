# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``database_probe`` against a real PostgreSQL: every verdict, nothing left behind, no secret told."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils import database_probe as probing
from ansible_collections.hft.incident.plugins.module_utils.steps import database_probe
from hft_incident.lab.database import Database

from ..postgres import emptied, postgres
from ..waiting import wait_until
from .steps import Ran, run

TABLE = "hft_incident_probe"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with postgres(tmp_path_factory.mktemp("database")) as database:
        yield database


@pytest.fixture
def database(server: Database) -> Database:
    database = emptied(server)
    for name in tables(database):
        sql(database, f"DROP TABLE {name}")
    sql(database, "DROP FUNCTION IF EXISTS swallow, full_disk, slow")
    return database


def probe(at: Database, /, *, check: bool = False, **args: Any) -> Ran:
    return run(database_probe, check=check, **{"database": at.parts, "timeout": 10.0, **args})


def sql(database: Database, *statements: str) -> Any:
    """As superuser; the rows of the last statement, if it has any."""
    with database.connect_as_admin() as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else None


def tables(database: Database) -> list[str]:
    rows = sql(database, "SELECT relname::text FROM pg_class WHERE relname LIKE 'hft_incident%' ORDER BY 1")
    return [name for (name,) in rows]


def prepared(database: Database, *more: str) -> None:
    sql(database, f"CREATE TABLE {TABLE} (id text)", f"GRANT SELECT, INSERT, DELETE ON {TABLE} TO hft", *more)


# Writable -------------------------------------------------------------------------------------------------------------


def test_a_write_is_proven_and_nothing_is_left(database: Database) -> None:
    done = probe(database, require="writable")
    assert (done.outcome, done["verdict"], done["changed"]) == ("done", "writable", False)
    assert (done["role"], done["left_behind"], done["cause"]) == ("primary", None, "")
    assert done["server_version"].split(".")[0].isdigit()
    assert done["connect_ms"] > 0 < done["write_ms"]
    assert tables(database) == []
    (told,) = done.recorded("database.probed")
    assert (told["host"], told["dbname"], told["verdict"]) == ("127.0.0.1", "hft_db", "writable")


def test_the_write_is_really_committed_and_really_read_back_by_another_connection(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen from outside: another session sees the row between the two, so it was committed."""
    seen: list[Any] = []
    real = probing._Session.ask

    def ask(self: Any, *args: Any) -> Any:
        (name,) = tables(database)
        seen.append(sql(database, f"SELECT count(*) FROM {name}"))  # noqa: S608  # a name of ours
        return real(self, *args)

    monkeypatch.setattr(probing._Session, "ask", ask)
    assert probe(database)["verdict"] == "writable"
    assert seen == [[(1,)]]


def test_a_row_that_is_not_there_afterwards_is_no_proof(database: Database) -> None:
    """A server that says yes to everything."""
    prepared(
        database,
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        f"CREATE TRIGGER swallow BEFORE INSERT ON {TABLE} FOR EACH ROW EXECUTE FUNCTION swallow()",
    )
    done = probe(database, require="writable")
    assert (done["verdict"], done["cause"], done.outcome) == ("unknown", "not_read_back", "held")


def test_a_role_without_the_right_to_create_uses_the_table_that_is_there(database: Database) -> None:
    prepared(database)
    with no_create(database):
        done = probe(database, require="writable")
    assert done["verdict"] == "writable"
    assert sql(database, f"SELECT * FROM {TABLE}") == []  # noqa: S608  # a name of ours
    assert tables(database) == [TABLE]


def test_a_table_of_another_schema_may_be_named(database: Database) -> None:
    sql(database, "DROP SCHEMA IF EXISTS ops CASCADE", "CREATE SCHEMA ops AUTHORIZATION hft")
    assert probe(database, table="ops.probe", require="writable")["verdict"] == "writable"
    assert sql(database, "SELECT relname FROM pg_class WHERE relname LIKE 'probe%'") == []


def test_what_a_killed_probe_left_is_removed_by_a_later_one_and_nothing_else_is(database: Database) -> None:
    now = int(time.time())
    old, young = f"{TABLE}_{now - 7200}_0123abcd", f"{TABLE}_{now}_0123abcd"
    other = f"{TABLE}_{now - 7200}_notours1"
    for name in (old, young, other):
        sql(database, f"CREATE TABLE {name} (id text)", f"ALTER TABLE {name} OWNER TO hft")
    sql(database, f"CREATE TABLE {TABLE}_{now - 7201}_0123abcd (id text)")  # the right name and another owner
    assert probe(database)["verdict"] == "writable"
    assert tables(database) == sorted([f"{TABLE}_{now - 7201}_0123abcd", young, other])
    sql(database, f"DROP TABLE {TABLE}_{now - 7201}_0123abcd")


def test_rows_that_killed_probes_left_are_removed_and_others_stay(database: Database) -> None:
    now = int(time.time())
    prepared(database, f"INSERT INTO {TABLE} VALUES ('hft-incident {now - 7200} x'), ('hft-incident {now} y'), ('z')")  # noqa: S608  # ours
    assert probe(database)["verdict"] == "writable"
    assert sql(database, f"SELECT id FROM {TABLE} ORDER BY 1") == [(f"hft-incident {now} y",), ("z",)]  # noqa: S608  # ours


# Not writable ---------------------------------------------------------------------------------------------------------


@contextmanager
def no_create(database: Database) -> Iterator[None]:
    """PostgreSQL before 15 lets everybody create in ``public``; the owner of the database may in any case."""
    sql(
        database,
        "ALTER DATABASE hft_db OWNER TO postgres",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "ALTER SCHEMA public OWNER TO postgres",
    )
    try:
        yield
    finally:
        sql(database, "ALTER DATABASE hft_db OWNER TO hft", "GRANT CREATE ON SCHEMA public TO PUBLIC")


def test_a_read_only_server_answers_select_1_and_is_not_writable(database: Database) -> None:
    database.read_only(True)
    done = probe(database, require="writable")
    assert (done["verdict"], done["cause"], done.outcome) == ("read_only", "read_only", "held")
    assert "default_transaction_read_only" in done["msg"]
    assert done["msg"].startswith("held: database hft_db at 127.0.0.1:")
    assert done.recorded("database.probed")[0]["verdict"] == "read_only"
    assert probe(database, require="answers").outcome == "done"
    database.read_only(False)
    assert probe(database, require="writable").outcome == "done"


def test_a_role_without_rights_is_refused_with_the_statements_that_mend_it(database: Database) -> None:
    with no_create(database):
        done = probe(database, require="writable")
        assert (done["verdict"], done["cause"], done.outcome) == ("refused", "no_right", "held")
        assert f"CREATE TABLE {TABLE} (id text); GRANT SELECT, INSERT, DELETE ON {TABLE} TO hft" in done["msg"]
    sql(database, f"CREATE TABLE {TABLE} (id text)", f"GRANT SELECT, INSERT ON {TABLE} TO hft")
    done = probe(database)
    assert done["verdict"] == "refused"
    assert f"GRANT SELECT, INSERT, DELETE ON {TABLE} TO hft" in done["reason"]
    sql(database, f"DROP TABLE {TABLE}")


def test_a_stopped_server_is_unreachable_and_that_is_data_unless_more_is_required(database: Database) -> None:
    database.stop()
    done = probe(database)
    assert (done.outcome, done["verdict"], done["server_version"], done["role"]) == ("done", "unreachable", None, None)
    assert done["cause"] == "no_server"
    for require in ("answers", "writable"):
        held = probe(database, require=require)
        assert held.outcome == "held"
        assert "start it, or mend the way to it, then resume the incident" in held["msg"]


def test_a_wrong_password_is_refused_and_not_unreachable(database: Database, tmp_path: Path) -> None:
    wrong = secret(tmp_path, "not-the-password-8c1d")
    done = probe(database, database={**database.parts, "password": wrong}, require="answers")
    assert (done["verdict"], done["cause"], done.outcome) == ("refused", "rejected", "held")
    assert "not-the-password-8c1d" not in json.dumps(done.result)


def test_a_database_that_does_not_exist_is_refused(database: Database) -> None:
    done = probe(database, database={**database.parts, "dbname": "nothing"})
    assert (done["verdict"], done["cause"]) == ("refused", "rejected")


def test_a_standby_is_told_as_such(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's own words for a write on a standby; what it says of itself is the only thing made up."""
    database.read_only(True)
    real = probing._Session.look
    monkeypatch.setattr(probing._Session, "look", lambda self, table: real(self, table)._replace(standby=True))
    assert (probe(database)["verdict"], probe(database)["role"]) == ("standby", "standby")
    assert probe(database, check=True)["verdict"] == "standby"
    database.read_only(False)


def test_a_full_disk_is_told_apart(database: Database) -> None:
    prepared(
        database,
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END$$",
        f"CREATE TRIGGER full_disk BEFORE INSERT ON {TABLE} FOR EACH ROW EXECUTE FUNCTION full_disk()",
    )
    done = probe(database, require="writable")
    assert (done["verdict"], done["cause"], done.outcome) == ("disk_full", "disk_full", "held")
    assert probe(database, require="answers").outcome == "done"


def test_a_locked_table_is_unknown_and_the_lock_is_the_cause(database: Database) -> None:
    prepared(database)
    with database.connect_as_admin() as holder:
        holder.autocommit = False
        holder.execute(f"LOCK TABLE {TABLE}")
        done = probe(database, timeout=2.0)
        holder.rollback()
    assert (done["verdict"], done["cause"]) == ("unknown", "locked")


def test_a_commit_that_waits_for_a_standby_that_is_not_there_is_not_proven(database: Database) -> None:
    with synchronous(database, "nobody"):
        done = probe(database, timeout=4.0, require="writable")
    assert (done["verdict"], done["cause"], done.outcome) == ("unknown", "timeout", "held")
    assert (done["left_behind"], tables(database)) == (None, [])


def test_a_commit_whose_wait_for_a_standby_somebody_cancels_is_not_proven(database: Database) -> None:
    """It is committed here, the server says, and may not have been anywhere else."""
    waits = "SELECT pid FROM pg_stat_activity WHERE application_name = 'hft-incident' AND wait_event = 'SyncRep'"
    done: list[Ran] = []
    with synchronous(database, "nobody"):
        prober = threading.Thread(target=lambda: done.append(probe(database, require="writable")))
        prober.start()
        ((backend,),) = wait_until(lambda: sql(database, waits))
        sql(database, f"SELECT pg_cancel_backend({backend})")
        prober.join()
    assert (done[0]["verdict"], done[0]["cause"], done[0].outcome) == ("unknown", "not_replicated", "held")
    assert "canceling wait for synchronous replication" in done[0]["reason"]
    assert (done[0]["left_behind"], tables(database)) == (None, [])


@contextmanager
def synchronous(database: Database, names: str) -> Iterator[None]:
    def set_to(value: str) -> None:
        with database.connect_as_admin() as connection:
            connection.execute("SET synchronous_commit = off")
            connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{value}'".encode())
            connection.execute("SELECT pg_reload_conf()")
        wait_until(lambda: sql(database, "SHOW synchronous_standby_names") == [(value,)])

    set_to(names)
    try:
        yield
    finally:
        set_to("")


# Hanging --------------------------------------------------------------------------------------------------------------


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_server_that_accepts_and_does_not_answer_is_unreachable(database: Database) -> None:
    assert database.server is not None
    with stopped(database.server.pid):
        done = probe(database, timeout=1.0, require="answers")
    assert (done["verdict"], done["cause"], done.outcome) == ("unreachable", "timeout", "held")
    assert probe(database)["verdict"] == "writable"


def test_a_port_that_answers_nothing_is_unreachable(database: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = probe(database, database={**database.parts, "port": silent.getsockname()[1]}, timeout=1.0)
    assert (done["verdict"], done["cause"]) == ("unreachable", "timeout")


def test_a_server_that_stops_in_the_middle_of_a_statement_is_unknown_and_left_clean(database: Database) -> None:
    """The backend is stopped while it works: no timeout of its own can end it."""
    prepared(
        database,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(600); RETURN NEW; END$$",
        f"CREATE TRIGGER slow BEFORE INSERT ON {TABLE} FOR EACH ROW EXECUTE FUNCTION slow()",
    )
    done: list[Ran] = []
    prober = threading.Thread(target=lambda: done.append(probe(database, timeout=4.0, require="writable")))
    prober.start()
    ours = "SELECT pid FROM pg_stat_activity WHERE application_name = 'hft-incident' AND query LIKE 'INSERT%'"
    ((backend,),) = wait_until(lambda: sql(database, ours))
    with stopped(backend):
        prober.join()
    assert (done[0]["verdict"], done[0]["cause"], done[0].outcome) == ("unknown", "timeout", "held")
    assert "while writing" in done[0]["reason"]
    wait_until(lambda: not sql(database, ours))
    assert sql(database, f"SELECT * FROM {TABLE}") == []  # noqa: S608  # a name of ours


def test_a_probe_cut_short_after_its_commit_removes_its_table_in_the_time_set_aside(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = threading.Event()
    monkeypatch.setattr(probing._Session, "ask", lambda *_: hangs.wait(60))
    done = probe(database, timeout=4.0)
    hangs.set()
    assert (done["verdict"], done["left_behind"], done["changed"]) == ("unknown", None, False)
    assert tables(database) == []


def test_what_cannot_be_removed_is_named(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: Any) -> None:
        raise OSError("the line is cut")

    monkeypatch.setattr(probing._Probe, "_remove", lost)
    done = probe(database, timeout=3.0, require="writable")
    assert (done["verdict"], done["changed"], done.outcome) == ("unknown", True, "held")
    assert tables(database) == [done["left_behind"]]
    assert f"LEFT BEHIND there: {done['left_behind']}" in done["msg"]


# Check mode -----------------------------------------------------------------------------------------------------------


def states(database: Database) -> dict[str, Callable[[], None]]:
    return {
        "writable": lambda: None,
        "writable with a table": lambda: prepared(database),
        "read_only": lambda: database.read_only(True),
        "unreachable": lambda: database.stop(),
    }


@pytest.mark.parametrize("state", ["writable", "writable with a table", "read_only", "unreachable"])
def test_check_mode_predicts_the_verdict_and_reads_only(database: Database, state: str) -> None:
    states(database)[state]()
    up = state != "unreachable"
    before = (traces(database), tables(database)) if up else None
    would = probe(database, check=True, require="writable")
    assert ((traces(database), tables(database)) if up else None) == before
    really = probe(database, require="writable")
    assert would["verdict"] == really["verdict"]
    assert would["would_hold"] is (really.outcome == "held")
    assert (would.outcome, would["changed"], would["write_ms"]) == ("done", False, None)
    assert "record" not in would.result


def test_check_mode_predicts_that_a_right_is_missing(database: Database) -> None:
    with no_create(database):
        would, really = probe(database, check=True), probe(database)
    assert would["verdict"] == really["verdict"] == "refused"
    assert would["reason"] == really["reason"]


def traces(database: Database) -> Any:
    """What every write leaves: a transaction number."""
    return sql(database, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text")


# Secrets and wrong usage ----------------------------------------------------------------------------------------------


def secret(folder: Path, value: str) -> str:
    path = folder / "password"
    path.write_text(value)
    path.chmod(0o600)
    return f"file:{path}"


@pytest.mark.parametrize("state", ["writable", "stopped", "refused", "broken"])
@pytest.mark.parametrize("check", [False, True])
def test_the_password_is_told_to_nobody_but_the_server(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, check: bool
) -> None:
    password = database.password_file.read_text()
    args = dict(database.parts)
    if state == "stopped":
        database.stop()
    elif state == "refused":
        password = "canary's password\\ with=odd;characters"
        args["password"] = secret(tmp_path, password)
    elif state == "broken":  # a library that quotes what it was given
        import psycopg

        def quoting(**parameters: Any) -> Any:
            raise psycopg.OperationalError(f"cannot connect with {list(parameters.values())}")

        monkeypatch.setattr(psycopg, "connect", quoting)
    done = probe(database, database=args, check=check)
    assert password not in json.dumps(done.result)
    assert password not in repr(done.result)
    assert json.dumps(password)[1:-1] not in json.dumps(done.result)
    assert not any(password in part for part in sys.argv)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("password", "in-the-clear-5d", "database.password must be a reference"),
        ("password", "env:HFT_NO_SUCH_VARIABLE", "environment variable HFT_NO_SUCH_VARIABLE is not set"),
        ("pasword", "x", "unknown field pasword; known are host"),
        ("host", "", "database.host is missing"),
        ("host", "a,b", "database.host: one host"),
        ("port", "many", "database.port must be a whole number"),
        ("sslmode", "on", "database.sslmode is one of disable"),
        ("dbname", None, "database.dbname is missing"),
    ],
)
def test_wrong_usage_names_the_field_and_never_a_secret(database: Database, field: str, value: Any, said: str) -> None:
    done = probe(database, database={**database.parts, field: value})
    assert done.outcome == "usage"
    assert said in done["msg"]
    assert "in-the-clear-5d" not in json.dumps(done.result)


@pytest.mark.parametrize(
    "args", [{"timeout": 0}, {"table": "a; DROP TABLE b"}, {"table": "x" * 41}, {"require": "yes"}]
)
def test_options_without_a_meaning_are_refused(database: Database, args: dict[str, Any]) -> None:
    assert probe(database, **args).outcome == "usage"


def test_without_the_client_library_it_says_what_to_install(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    done = probe(database)
    assert done.outcome == "usage"
    assert "psycopg 3 is needed on" in done["msg"]
    assert "python3-psycopg" in done["msg"]
