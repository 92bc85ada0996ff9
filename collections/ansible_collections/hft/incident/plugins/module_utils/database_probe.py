# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Does a PostgreSQL database take a write? Proven by one: committed, read back over a new connection, removed again.

Source: seed-faults B6 (``SELECT 1`` succeeds on a read-only standby, and with the database set read-only
``pg_is_in_recovery`` says nothing), C7 (an error that passes for success); PostgreSQL documentation, appendix A.

Everything ends at one deadline, also where the server stops answering in the middle of a statement. What it writes it
removes within the same call, in the time that is set aside for that; what could not be removed is named, and the next
probe removes it.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, Literal, NamedTuple

from .bounded import in_time
from .deadline import Deadline
from .errors import UsageError
from .redaction import MASK
from .secret_ref import Secret

Verdict = Literal["writable", "read_only", "standby", "disk_full", "unreachable", "refused", "unknown"]

#: Verdicts of a server that has answered a query, and would answer another one.
ANSWERS = ("writable", "read_only", "standby", "disk_full")
#: The part of the time that is set aside for removing what an interrupted probe has written.
TIDYING = 0.25
#: What is left of a probe that was killed is removed by the next one after so long (s): it may still be at work.
FORGOTTEN_S = 3600
POLL_S = 0.02
OURS = "FROM pg_stat_activity WHERE pid = %s AND usename = current_user AND application_name = 'hft-incident'"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}(\.[A-Za-z_][A-Za-z0-9_]{0,39})?")
#: In which way a server that answers said no.
CAUSES = {
    "25006": "read_only",
    "3D000": "no_such_database",
    "42501": "no_right",
    "53100": "disk_full",
    "53300": "too_many_connections",
    "55P03": "locked",
    "57014": "timeout",
    "57P01": "shutting_down",
    "57P02": "crashed",
    "57P03": "starting_or_stopping",
}
_REFUSED = ("no_right", "no_such_database", "too_many_connections")
_GONE = ("shutting_down", "crashed", "starting_or_stopping", "connection_lost")


class Target(NamedTuple):
    """Where the database is and who asks; ``connect_timeout`` in seconds."""

    host: str
    port: int
    dbname: str
    user: str
    sslmode: str
    sslrootcert: str | None
    connect_timeout: int


class Finding(NamedTuple):
    """``reason`` is a sentence, ``cause`` a word ("" where the database is writable). ``role``: primary or standby.

    ``left_behind``: what of ours may still be there.
    """

    verdict: Verdict
    reason: str
    cause: str = ""
    server_version: str | None = None
    role: str | None = None
    connect_ms: float | None = None
    write_ms: float | None = None
    left_behind: str | None = None


class _Look(NamedTuple):
    """What the server says of itself and of our table; ``schema``: where the table would be made."""

    server_version: str
    standby: bool
    read_only: bool
    user: str
    schema: str | None
    table: bool
    insert_select_delete: bool
    create: bool

    @property
    def lacks(self) -> str:
        """What the role may not do that the probe needs; "" where it may."""
        if self.table:
            return "" if self.insert_select_delete else f"{self.user} lacks INSERT, SELECT or DELETE on it"
        return "" if self.create else f"it does not exist, and {self.user} may not create it in schema {self.schema}"


class _Fault(Exception):
    """The probe is over; says how."""

    def __init__(self, verdict: Verdict, cause: str, reason: str) -> None:
        super().__init__(reason)
        self.verdict: Verdict = verdict
        self.cause = cause


def examine(target: Target, password: Secret | None, table: str, timeout: float, *, write: bool) -> Finding:
    """The verdict within ``timeout`` seconds; not ``write``: reads only, and says what a write would show.

    Raises UsageError where there is no client library.
    """
    deadline = Deadline(timeout)
    probe = _Probe(_Server(target, password), table, deadline.within(timeout * (1 - TIDYING) if write else timeout))
    fault: _Fault | None = None
    try:
        in_time(probe.write if write else probe.look, probe.deadline)
        if not write:
            probe.predict()
    except TimeoutError:
        probe.server.hang_up()
        fault = probe.silence()
    except _Fault as error:
        fault = error
    left = probe.tidy(deadline) if probe.placed else None
    look = probe.seen
    return Finding(
        fault.verdict if fault else "writable",
        str(fault) if fault else probe.proof,
        fault.cause if fault else "",
        look.server_version if look else None,
        None if look is None else "standby" if look.standby else "primary",
        probe.server.connect_ms,
        probe.write_ms,
        left,
    )


class _Probe:
    """One probe; it runs in a thread of its own, and what it has come to is read from outside where it hangs."""

    def __init__(self, server: _Server, table: str, deadline: Deadline) -> None:
        self.server = server
        self.deadline = deadline
        self.seen: _Look | None = None
        self.write_ms: float | None = None
        self.proof = ""
        #: The table or the row of ours that is there, or may be.
        self.placed: str | None = None
        self._stage = "connecting"
        self._table = table.split(".")
        now = int(time.time())
        self._forgotten = now - FORGOTTEN_S
        mark = os.urandom(4).hex()
        self._id = f"hft-incident {now} {mark}"
        self._own = [*self._table[:-1], f"{self._table[-1]}_{now}_{mark}"]

    def write(self) -> None:
        """Write, read it back, remove it. Raises _Fault."""
        with self._stages():
            look = self._looked()
            began = time.monotonic()
            self._stage = "writing"
            with self.server.transaction(self.deadline) as session:
                self.server.backend = session.backend
                name = self._table if look.table else self._own
                if not look.table:
                    session.run("CREATE TABLE {} (id text)", self._own)
                session.run("INSERT INTO {} (id) VALUES (%s)", name, self._id)
                self.placed = ".".join(name)  # from here on the commit may have happened, whatever we hear of it
            self.write_ms = round((time.monotonic() - began) * 1000, 1)
            if self.server.warnings:
                # The standby that every commit waits for is missing: committed here, and nobody knows where else.
                raise _Fault("unknown", "not_replicated", "; ".join(self.server.warnings))
            self._stage = "reading back"
            with self.server.transaction(self.deadline) as session:
                if session.ask("SELECT count(*), pg_is_in_recovery() FROM {} WHERE id = %s", name, self._id) != (
                    1,
                    False,
                ):
                    raise _Fault("unknown", "not_read_back", "a committed row was not there over a new connection")
            self._stage = "removing it"
            self._remove(self.deadline)
            self.proof = "a write was committed, read back over a new connection and removed"

    def look(self) -> None:
        """Only read. Raises _Fault."""
        with self._stages():
            self._looked()

    def predict(self) -> None:
        """What a write would come to by what was seen. Raises _Fault."""
        look = self.seen
        if look is None or look.standby:
            raise _Fault("standby", "read_only", "it is in recovery: a standby, which takes no write")
        if look.read_only:
            raise _Fault("read_only", "read_only", "default_transaction_read_only is on")
        if look.lacks:
            raise self._no_right(look)
        self.proof = "a write would be tried: it is a primary, not read-only, and the table may be written"

    def silence(self) -> _Fault:
        """The verdict where the time was up."""
        verdict: Verdict = "unreachable" if self._stage == "connecting" else "unknown"
        return _Fault(verdict, "timeout", f"it gave no answer in time while {self._stage}")

    def tidy(self, deadline: Deadline) -> str | None:
        """Remove what may be there, in the time that is left; what could not be removed."""
        with suppress(*self.server.errors):  # what is left is told by what is still placed
            in_time(lambda: self._end_and_remove(deadline), deadline)
        if self.placed:
            self.server.hang_up()
        return self.placed

    def _end_and_remove(self, deadline: Deadline) -> None:
        """First the session that hangs is ended: a commit that waits for a standby is not cut short by any timeout,
        nor by our hanging up, and what it has written would show up after we had looked for it."""
        hung = self.server.backend
        with self.server.transaction(deadline) as session:
            session.end(hung)
        while True:
            with self.server.transaction(deadline, read_only=True) as session:
                if not session.lives(hung):
                    break
            time.sleep(POLL_S)
        self._remove(deadline)

    def _looked(self) -> _Look:
        with self.server.transaction(self.deadline, read_only=True) as session:
            self._stage = "looking"
            self.seen = look = session.look(self._table)
        return look

    def _remove(self, deadline: Deadline) -> None:
        look = self.seen
        if look is None or self.placed is None:
            return
        with self.server.transaction(deadline, commit="local") as session:
            if look.table:
                session.run(
                    "DELETE FROM {} WHERE id = %s OR (id ~ '^hft-incident [0-9]+ ' "
                    "AND split_part(id, ' ', 2)::bigint < %s)",
                    self._table,
                    self._id,
                    self._forgotten,
                )
            else:
                session.run("DROP TABLE IF EXISTS {}", self._own)
                for name in session.forgotten(look.schema, self._table[-1], self._forgotten):
                    session.run("DROP TABLE IF EXISTS {}", [*self._table[:-1], name])
        self.placed = None

    @contextmanager
    def _stages(self) -> Iterator[None]:
        try:
            yield
        except self.server.errors as error:
            raise self._judged(error) from None

    def _judged(self, error: Exception) -> _Fault:
        """What an error of the client library means at this stage."""
        said = self.server.words(error)
        if self._stage == "connecting":
            return self.server.not_connected(error, said)
        state = getattr(error, "sqlstate", None)
        cause = CAUSES.get(state or "", state or "connection_lost")
        verdict: Verdict = "unknown"
        if cause == "no_right" and self.seen and self.seen.lacks:
            return self._no_right(self.seen)
        if cause == "read_only":
            verdict = "standby" if self.seen and self.seen.standby else "read_only"
        elif cause == "disk_full":
            verdict = "disk_full"
        elif cause in _REFUSED:
            verdict = "refused"
        elif cause in _GONE and self._stage == "looking":
            verdict = "unreachable"
        return _Fault(verdict, cause, f"while {self._stage}: {said}")

    def _no_right(self, look: _Look) -> _Fault:
        table = ".".join(self._table)
        grant = f"GRANT SELECT, INSERT, DELETE ON {table} TO {look.user}"
        make = "" if look.table else f"CREATE TABLE {table} (id text); "
        return _Fault("refused", "no_right", f"table {table}: {look.lacks}; once, as its owner: {make}{grant}")


class _Session:
    """One transaction; identifiers are quoted, values are sent apart from the statement."""

    def __init__(self, connection: Any, sql: Any) -> None:
        self.backend: int = connection.info.backend_pid
        self._connection = connection
        self._sql = sql

    def run(self, statement: str, table: list[str], *values: Any) -> Any:
        return self._connection.execute(self._sql.SQL(statement).format(self._sql.Identifier(*table)), values or None)

    def ask(self, statement: str, table: list[str], *values: Any) -> Any:
        return self.run(statement, table, *values).fetchone()

    def look(self, table: list[str]) -> _Look:
        row = self._connection.execute(
            "WITH wanted AS (SELECT to_regclass(%s) AS found, coalesce(%s, current_schema()) AS place) "
            "SELECT current_setting('server_version'), pg_is_in_recovery(), "
            "current_setting('default_transaction_read_only') = 'on', current_user, place, found IS NOT NULL, "
            "coalesce(has_table_privilege(found, 'INSERT') AND has_table_privilege(found, 'SELECT') "
            "AND has_table_privilege(found, 'DELETE'), false), "
            "coalesce((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = place), false) "
            "FROM wanted",
            (self._sql.Identifier(*table).as_string(self._connection), table[0] if len(table) > 1 else None),
        ).fetchone()
        return _Look(*row)

    def end(self, backend: int | None) -> None:
        """One of our own sessions, by its process number."""
        self._connection.execute(f"SELECT pg_terminate_backend(pid) {OURS}", (backend,))

    def lives(self, backend: int | None) -> bool:
        return self._connection.execute(f"SELECT pid {OURS}", (backend,)).fetchone() is not None

    def forgotten(self, schema: str | None, stem: str, before: int) -> list[str]:
        """Tables of ours that a probe which was killed has left."""
        rows = self._connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relowner = current_user::regrole "
            "AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s) AND relname ~ %s",
            (schema, f"^{stem}_[0-9]{{10}}_[0-9a-f]{{8}}$"),
        ).fetchall()
        return [name for (name,) in rows if int(name.split("_")[-2]) < before]


class _Server:
    """Connections to the database, one for each transaction, and what the client library says of them."""

    def __init__(self, target: Target, password: Secret | None) -> None:
        self._psycopg, self._sql = client()
        self._target = target
        self._password = password
        self._open: Any = None
        self.errors: tuple[type[Exception], ...] = (self._psycopg.Error, OSError, UnicodeError)
        self.connect_ms: float | None = None
        #: The session that writes.
        self.backend: int | None = None
        self.warnings: list[str] = []

    @contextmanager
    def transaction(self, deadline: Deadline, *, read_only: bool = False, commit: str = "on") -> Iterator[_Session]:
        """Commits at its end; ``commit``: "on" waits for the standbys that the server waits for, "local" does not.

        The server gives up a little before we do, so that it is it that says so.
        """
        began = time.monotonic()
        with closing(self._connect(deadline)) as connection:
            self.connect_ms = self.connect_ms or round((time.monotonic() - began) * 1000, 1)
            self._open = connection
            connection.read_only = read_only or None
            connection.add_notice_handler(self._noticed)
            patience = str(max(1, int(deadline.remaining() * 800)))
            connection.execute(
                "SELECT set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true), "
                "set_config('idle_in_transaction_session_timeout', %s, true), "
                "set_config('synchronous_commit', %s, true)",
                (patience, str(max(1, int(patience) // 2)), patience, commit),
            )
            yield _Session(connection, self._sql)
            connection.commit()

    def hang_up(self) -> None:
        """End the connection under a thread that waits on it: it wakes up, and the server rolls back once it is able
        to see that nobody is there any more."""
        if self._open is not None:
            with suppress(*self.errors), socket.socket(fileno=os.dup(self._open.fileno())) as line:  # gone
                line.shutdown(socket.SHUT_RDWR)

    def not_connected(self, error: Exception, said: str) -> _Fault:
        """The library has no code for an error while connecting, and its text is in the server's language; but a
        server tells anybody whether it accepts connections."""
        if isinstance(error, getattr(self._psycopg.errors, "ConnectionTimeout", ())) or "timeout expired" in said:
            return _Fault("unreachable", "timeout", f"it gave no answer to the connection: {said}")
        conninfo = self._psycopg.conninfo.make_conninfo(**self._parameters(2)).encode()
        state = self._psycopg.pq.Ping(self._psycopg.pq.PGconn.ping(conninfo)).name
        if state == "OK":
            return _Fault("refused", "rejected", f"it does not let us in: {said}")
        if state == "REJECT":
            return _Fault("unreachable", "starting_or_stopping", f"it is starting or stopping: {said}")
        return _Fault("unreachable", "no_server", f"nothing answers there: {said}")

    def words(self, error: Exception) -> str:
        """The error in one line; the password is masked in whatever way it may quote what it was given."""
        text = str(error)
        if self._password:
            secret = self._password.reveal()
            for form in (repr(secret)[1:-1], secret.replace("\\", "\\\\").replace("'", "\\'"), secret):
                text = text.replace(form, MASK)
        return " ".join(text.split()) or type(error).__name__

    def _connect(self, deadline: Deadline) -> Any:
        timeout = max(2, min(self._target.connect_timeout, int(deadline.remaining()) or 1))  # 2 is the library's least
        parameters = self._parameters(timeout)
        if self._password:
            parameters["password"] = self._password.reveal()
        return self._psycopg.connect(**parameters, prepare_threshold=None)

    def _parameters(self, timeout: int) -> dict[str, Any]:
        """No secret among them. Empty ``options`` keep those of the environment away."""
        target = self._target
        return {
            **{field: value for field, value in target._asdict().items() if value is not None},
            "connect_timeout": timeout,
            "application_name": "hft-incident",
            "options": "",
        }

    def _noticed(self, notice: Any) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self.warnings.append(" ".join((notice.message_primary or "").split()))


def client() -> tuple[Any, Any]:
    """psycopg 3 and its ``sql``. Raises UsageError that says how to install it."""
    try:
        import psycopg
        from psycopg import sql
    except ImportError as error:
        raise UsageError(
            f"psycopg 3 is needed on {os.uname().nodename} and is not there ({error}): "
            "install python3-psycopg (or python3-psycopg3) for the host's Python, or pip install 'psycopg[binary]'"
        ) from None
    return psycopg, sql
