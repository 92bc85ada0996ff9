# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab from outside: ``up``, ``down``, ``status``, and a typed handle on a running one."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from . import people
from .lifeline import Process, is_alive, myself, readable, send, wait_for_end
from .state import DatabaseProcess, Files, Record, SystemProcess, VenueProcess, write_private
from .supervisor import DATABASE, START_TIMEOUT_S, STOP_TIMEOUT_S
from .trading_host import TradingHost
from .unit_journal import UnitEvent, unit_events
from .units import Restart

if TYPE_CHECKING:
    from .database import Database

DRIVERS = ("binance", "binanceusdm", "bybit", "okx", "kraken", "krakenfutures", "deribit")
DEFAULT_VENUES: Mapping[str, str] = {driver: driver for driver in DRIVERS}
DEFAULT_SYSTEMS = ("hft-1",)
CONTROL_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 1.0
POLL_S = 0.02
#: What ``crash`` sets off: defects of the running process, or one that each new start runs into.
Crash = Literal["segfault", "out_of_memory", "assertion", "exception", "loop"]
SOURCES = str(Path(__file__).resolve().parents[2])  # so that the lab's processes import this very code


class LabError(Exception):
    """The lab did not do what was asked; the message is for people."""


class OpenOrder(NamedTuple):
    """A live order in the venue's own books; ``qty`` is what remains, ``line`` the product line."""

    id: int
    symbol: str
    line: str
    side: str
    qty: Decimal
    price: Decimal
    conditional: bool
    client_id: str
    created_ms: int


class Happening(NamedTuple):
    """Something that happened to an order: ``placed``, ``canceled``, ``filled``; ``at`` is seconds since 1970."""

    at: float
    kind: str
    order_id: int
    symbol: str


class Position(NamedTuple):
    symbol: str
    qty: Decimal
    avg_price: Decimal


class Truth(NamedTuple):
    """What is so at a venue, whatever its API says."""

    open_orders: tuple[OpenOrder, ...]
    happenings: tuple[Happening, ...]
    positions: tuple[Position, ...]
    balances: Mapping[str, Decimal]


class SeenRequest(NamedTuple):
    """A request that arrived at the venue; ``writes`` where it would change something."""

    at: float
    op: str
    method: str
    path: str
    writes: bool


class LabVenue:
    """A venue of a running lab and its controls. Every method raises LabError."""

    def __init__(self, running: VenueProcess) -> None:
        self.name = running.name
        self.driver = running.driver
        self.process = running.process
        self.port = running.port
        self.url = running.url
        self.symbols = running.symbols
        self._control_port = running.control_port

    def truth(self) -> Truth:
        document = self._ask("GET", "truth")
        return Truth(
            tuple(
                OpenOrder(**row | {"qty": Decimal(row["qty"]), "price": Decimal(row["price"])})
                for row in document["open_orders"]
            ),
            tuple(Happening(**row) for row in document["happenings"]),
            tuple(
                Position(row["symbol"], Decimal(row["qty"]), Decimal(row["avg_price"])) for row in document["positions"]
            ),
            {asset: Decimal(qty) for asset, qty in document["balances"].items()},
        )

    def inject(self, kind: str, **options: Any) -> int:
        """Put a fault in force (``op``, ``remaining``, ``status`` …: see venues/faults.py); its number."""
        number: int = self._ask("POST", "faults", {"kind": kind, **options})["id"]
        return number

    def faults(self) -> list[dict[str, Any]]:
        faults: list[dict[str, Any]] = self._ask("GET", "faults")["faults"]
        return faults

    def clear_faults(self) -> None:
        self._ask("DELETE", "faults")

    def seed(self, count: int, *, symbol: str | None = None, conditional: bool = False) -> list[int]:
        """Resting orders far from the market, in the first symbol or this one; their ids in the venue's books."""
        wanted = {"count": count, "conditional": conditional} | ({"symbol": symbol} if symbol else {})
        ids: list[int] = self._ask("POST", "orders", wanted)["order_ids"]
        return ids

    def requests(self) -> list[SeenRequest]:
        """What arrived since the start or the last ``forget_requests``, oldest first."""
        return [SeenRequest(**row) for row in self._ask("GET", "requests")["requests"]]

    def forget_requests(self) -> None:
        self._ask("DELETE", "requests")

    def move_market(self, moving: bool) -> None:
        """Let prices move (and fills happen), or not."""
        self._ask("PUT", "market", {"moving": moving})

    def set_latency(self, ms: float) -> None:
        """How long every reply takes at least."""
        self._ask("PUT", "latency", {"ms": ms})

    def _ask(self, method: str, what: str, body: object = None) -> Any:
        text = None if body is None else json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self._control_port, timeout=CONTROL_TIMEOUT_S)
        try:
            connection.request(method, f"/venues/{self.name}/{what}", body=text)
            response = connection.getresponse()
            document = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise LabError(f"the lab's venue {self.name} gives no answer to its controls: {error}") from None
        finally:
            connection.close()
        if response.status >= 400:
            raise LabError(f"{self.name}: {document['error']['message']}")
        return document


class LabTradingSystem:
    """A trading system of a running lab, and what can befall it. Every method raises LabError.

    ``unit`` is the live one, ``observe_unit`` the one that never trades.
    """

    def __init__(self, files: Files, started: SystemProcess) -> None:
        host = TradingHost(files, started.name)
        self.name = started.name
        self.port = started.port
        self.url = started.url
        self.unit = host.unit
        self.observe_unit = host.observe_unit
        self.config_file = host.config_file
        self.hold_file = host.hold_file
        self.log_file = host.log_file
        self._old_log_file = host.old_log_file
        self._approved_config_file = host.approved_config_file
        self._fault_file = host.fault_file
        self._files = files

    @property
    def process(self) -> Process:
        """The one that runs, else the last one that did."""
        record = self._files.read_record()
        for system in record.trading_systems if record else ():
            if system.name == self.name:
                return system.process
        raise LabError("the lab is not up: run 'hft-incident lab up'")

    def unit_log(self) -> list[UnitEvent]:
        """What happened to its two units since the lab started, oldest first."""
        return unit_events(self._files.unit_journal, frozenset({self.unit, self.observe_unit}))

    def systemctl(self, *words: str) -> str:
        """What the host's own ``systemctl`` prints."""
        command = [str(self._files.bin / "systemctl"), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # the lab's own program
        if done.returncode:
            raise LabError(f"systemctl {' '.join(words)}: {done.stderr.strip() or f'exit code {done.returncode}'}")
        return done.stdout

    def signal(self, signum: int) -> None:
        """Send it to the process that runs now; none is no error."""
        send(self.process, signum)

    def crash(self, kind: Crash) -> None:
        """Set it off. ``loop`` restarts the system with a defect that it dies of soon after every live start."""
        write_private(self._fault_file, kind + "\n")
        if kind == "loop":
            self.systemctl("restart", self.unit)
        else:
            self.signal(signal.SIGUSR1)

    def mend(self) -> None:
        """Whatever ``crash`` has set off is repaired: the next start has it no more."""
        self._fault_file.unlink(missing_ok=True)

    def break_config(self) -> None:
        """Somebody edits the configuration by hand and misspells a driver; the next start fails (exit code 2)."""
        document = json.loads(self._approved_config_file.read_text())
        document["exchanges"][0]["driver"] += "-v2"
        write_private(self.config_file, json.dumps(document, indent=2) + "\n")

    def restore_config(self) -> None:
        """The approved one, byte by byte."""
        write_private(self.config_file, self._approved_config_file.read_text())

    def fill_log_disk(self) -> None:
        """Every write to its log fails with ENOSPC, in the running process too; what was logged is in the old log."""
        self.log_file.replace(self._old_log_file)
        self.log_file.symlink_to("/dev/full")

    def free_log_disk(self) -> None:
        """There is space again, and the log where it was."""
        if self.log_file.is_symlink():
            self._old_log_file.replace(self.log_file)
            self._old_log_file.touch(0o600)


class Lab:
    """A running lab. ``already_up``: ``up`` found it so. ``people``: everybody's private SSH key, also mallory's, who
    may approve nothing.
    """

    def __init__(self, home: Path, record: Record, *, already_up: bool = False) -> None:
        files = Files(home / "lab")
        self.home = home
        self.record = record
        self.already_up = already_up
        self.inventory = files.inventory
        self.venues_file = files.venues_file
        self.keys = files.keys
        self.logs = files.logs
        self.venues: Mapping[str, LabVenue] = {venue.name: LabVenue(venue) for venue in record.venues}
        self.trading_systems: Mapping[str, LabTradingSystem] = {
            system.name: LabTradingSystem(files, system) for system in record.trading_systems
        }
        self.people: Mapping[str, Path] = {name: files.people / name for name in people.NAMES}
        self.allowed_signers = files.people / people.ALLOWED_SIGNERS
        self._database_folder = files.database

    @property
    def database(self) -> Database:
        """PostgreSQL's controls. Raises LabError where this lab has none."""
        from .database import Database  # takes a while, which a lab without one saves

        if self.record.database is None:
            raise LabError("this lab was started without a database")
        return Database(self._database_folder)

    def render(self) -> list[str]:
        count = f"{len(self.venues)} venues, {len(self.trading_systems)} trading systems"
        ready = f"up after {self.record.ready_ms / 1000:.1f} s"
        head = f"the lab is {'already up' if self.already_up else ready}"
        return [f"{head}: {count}", *_table(self.record), f"inventory: {self.inventory}"]


class Stopped(NamedTuple):
    """What ``down`` did. ``was_up`` False: there was no lab, or only what a crash had left of one (``left_behind``)."""

    was_up: bool
    processes: int = 0
    left_behind: bool = False

    def render(self) -> list[str]:
        if self.was_up:
            return [f"the lab is down; {self.processes} processes ended"]
        return ["the lab was not up" + ("; removed what a crash had left of one" if self.left_behind else "")]


class ProcessStatus(NamedTuple):
    """One process; ``answers`` None where there is nothing to ask (the supervisor); ``faults`` in force at a venue."""

    name: str
    kind: str
    pid: int
    port: int | None
    alive: bool
    answers: bool | None
    faults: tuple[str, ...] = ()


class Status(NamedTuple):
    """``record`` None: no lab. ``up``: its supervisor lives."""

    up: bool
    record: Record | None
    processes: tuple[ProcessStatus, ...] = ()

    def render(self) -> list[str]:
        if self.record is None:
            return ["the lab is not up: run 'hft-incident lab up'"]
        head = f"the lab is up since {self.record.started_at}"
        if not self.up:
            head = f"the lab of {self.record.started_at} was not stopped and is gone: run 'hft-incident lab up'"
        rows = [("PROCESS", "KIND", "PID", "PORT", "ANSWERS")]
        for process in self.processes:
            answers = {None: "-", True: "yes", False: "no"}[process.answers] if process.alive else "no (dead)"
            faults = f", faults: {', '.join(process.faults)}" if process.faults else ""
            rows.append((process.name, process.kind, str(process.pid), str(process.port or "-"), answers + faults))
        return [head, *_aligned(rows)]


def up(
    home: Path,
    venues: Mapping[str, str] = DEFAULT_VENUES,
    *,
    trading_systems: Sequence[str] = DEFAULT_SYSTEMS,
    restart: Restart = "no",
    restart_s: float = 0.1,
    database: bool = True,
    attached: bool = False,
) -> Lab:
    """A running lab under ``home``: the one that is up already, or a new one of ``venues`` {name: driver}.

    ``restart``: whether a trading system that fails is started again by its service manager, ``restart_s`` later.
    ``database``: its books are in PostgreSQL, else in its memory; without a trading system there is none.
    ``attached``: the lab ends with the calling process, however that ends; otherwise it stays until ``down``.
    Raises LabError; then nothing is left running.
    """
    home = home.expanduser().absolute()
    files = Files(home / "lab")
    database = database and bool(trading_systems)
    _check_names([*venues, *trading_systems, *([DATABASE] if database else [])])
    try:
        lock = _lock_or_wait(files)
        if lock is None:
            return Lab(home, _living_record(files), already_up=True)
        try:
            _end_leftovers(files)
            files.make()
            words = [word for name, driver in venues.items() for word in ("--venue", f"{name}={driver}")]
            words += [word for name in trading_systems for word in ("--system", name)]
            words += ["--restart", restart, "--restart-s", str(restart_s), *(["--database"] if database else [])]
            _start_supervisor(files, lock, words, attached)
        except BaseException:  # Ctrl-C too
            _end_supervisor(files)
            raise
        finally:
            os.close(lock)
        return Lab(home, _living_record(files))
    except OSError as error:
        raise LabError(f"the lab cannot use {files.directory}: {error}") from None


def down(home: Path) -> Stopped:
    """Stop the lab under ``home`` and see that none of its processes is left. Raises LabError."""
    files = Files(home.expanduser().absolute() / "lab")
    if not files.directory.is_dir():
        return Stopped(was_up=False)
    try:
        lock = files.try_lock()
        if lock is not None:
            try:
                record = files.read_record()
                _end_leftovers(files)
                files.forget()
                return Stopped(was_up=False, left_behind=record is not None)
            finally:
                os.close(lock)
        return _stop(files)
    except OSError as error:
        raise LabError(f"the lab cannot use {files.directory}: {error}") from None


def status(home: Path) -> Status:
    """Every process of the lab under ``home`` and whether it answers."""
    record = Files(home.expanduser().absolute() / "lab").read_record()
    if record is None:
        return Status(up=False, record=None)
    is_up = is_alive(record.supervisor)
    supervisor = ProcessStatus("supervisor", "supervisor", record.supervisor.pid, None, is_up, None)
    databases = [_database_status(record.database)] if record.database else []
    venues = [_venue_status(venue) for venue in record.venues]
    systems = [_system_status(system) for system in record.trading_systems]
    return Status(is_up, record, (supervisor, *databases, *venues, *systems))


def find(home: Path) -> Lab:
    """The lab that is up under ``home``. Raises LabError where none is."""
    home = home.expanduser().absolute()
    record = Files(home / "lab").read_record()
    if record is None or not is_alive(record.supervisor):
        raise LabError("the lab is not up: run 'hft-incident lab up'")
    return Lab(home, record, already_up=True)


@contextlib.contextmanager
def running_lab(
    home: Path,
    venues: Mapping[str, str] = DEFAULT_VENUES,
    *,
    trading_systems: Sequence[str] = DEFAULT_SYSTEMS,
    restart: Restart = "no",
    restart_s: float = 0.1,
    database: bool = True,
) -> Iterator[Lab]:
    """A lab for the time of a ``with`` block, which ends with the calling process at the latest."""
    lab = up(
        home,
        venues,
        trading_systems=trading_systems,
        restart=restart,
        restart_s=restart_s,
        database=database,
        attached=True,
    )
    try:
        yield lab
    finally:
        down(home)


def _check_names(names: Sequence[str]) -> None:
    """They name files too. Raises LabError."""
    for name in names:
        if not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):
            raise LabError(f"{name!r} cannot name a process of the lab: use letters, digits, '.', '_' and '-'")
        if names.count(name) > 1:
            raise LabError(f"two processes of the lab are named {name!r}")


def _lock_or_wait(files: Files) -> int | None:
    """The lock, or None when another one's lab is ready (it may be starting or stopping just now)."""
    deadline = time.monotonic() + START_TIMEOUT_S + STOP_TIMEOUT_S
    while (lock := files.try_lock()) is None:
        record = files.read_record()
        if record is not None and record.supervisor == files.lock_holder():
            return None
        if time.monotonic() > deadline:
            raise LabError(f"a lab is being started and does not get ready; see {files.logs}")
        time.sleep(POLL_S)
    return lock


def _living_record(files: Files) -> Record:
    record = files.read_record()
    if record is None:
        raise LabError(f"the lab ended as soon as it was up; see {files.logs}")
    return record


def _start_supervisor(files: Files, lock: int, plan: Sequence[str], attached: bool) -> None:
    """Returns when all of the lab listens; raises LabError."""
    words = ["--directory", str(files.directory), "--lock", str(lock), *plan]
    if attached:
        me = myself()
        words += ["--parent", f"{me.pid}:{me.started}"]
    path = os.pathsep.join(filter(None, [SOURCES, os.environ.get("PYTHONPATH")]))
    with open(files.logs / "supervisor.log", "ab") as log:
        starter = subprocess.Popen(  # noqa: S603  # our own interpreter running our own module
            [sys.executable, "-P", "-m", "hft_incident.lab.supervisor", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=os.environ | {"PYTHONPATH": path},
            start_new_session=True,
            pass_fds=[lock],
        )
    with starter:
        if starter.stdout is None:
            raise AssertionError("started with a pipe")
        if not readable(starter.stdout.fileno(), START_TIMEOUT_S * 2 + STOP_TIMEOUT_S):
            raise LabError(f"the lab's supervisor says nothing; see {files.logs}")
        answer = starter.stdout.readline().decode().strip()
    if answer != "ready":
        raise LabError(f"the lab did not start: {answer or 'its supervisor ended'} (log: {log.name})")


def _end_supervisor(files: Files) -> None:
    """The one that signed the lock last, if it lives."""
    holder = files.lock_holder()
    if holder is not None:
        send(holder, signal.SIGTERM)
        if not wait_for_end(holder, STOP_TIMEOUT_S * 3):  # it waits twice itself
            send(holder, signal.SIGKILL)


def _end_leftovers(files: Files) -> None:
    """What a dead supervisor left running (nothing, where the kernel ties processes together), then its record."""
    record = files.read_record()
    if record is None:
        return
    for process in record.processes:
        send(process, signal.SIGKILL)
    for process in record.processes:
        wait_for_end(process, STOP_TIMEOUT_S)
    files.record.unlink(missing_ok=True)


def _stop(files: Files) -> Stopped:
    """End the supervisor, and wait until the lock is free and every process gone."""
    record = files.read_record()
    deadline = time.monotonic() + START_TIMEOUT_S
    while (lock := files.try_lock()) is None:
        _end_supervisor(files)  # again: one that is just starting signs the lock a moment later
        if time.monotonic() > deadline:
            raise LabError(f"the lab does not stop; see {files.logs}")
        time.sleep(POLL_S)
    os.close(lock)
    processes = record.processes if record else ()
    alive = [process for process in processes if not wait_for_end(process, STOP_TIMEOUT_S)]
    if alive:
        raise LabError(f"these processes of the lab do not end: {', '.join(str(p.pid) for p in alive)}")
    return Stopped(was_up=True, processes=len(processes))


def _venue_status(venue: VenueProcess) -> ProcessStatus:
    document = _ask(venue.control_port, "/venues")
    rows = [row for row in (document or {}).get("venues", []) if row["name"] == venue.name]
    faults = [fault["kind"] for row in rows for fault in row["faults"]]
    kind = f"venue ({venue.driver})"
    return _process_status(venue.name, kind, venue.process, venue.port, document is not None, tuple(faults))


def _system_status(system: SystemProcess) -> ProcessStatus:
    kind = "trading system" if system.unit == f"{system.name}.service" else "trading system (observing)"
    answers = _ask(system.port, "/api/v1/health") is not None
    return _process_status(system.name, kind, system.process, system.port, answers)


def _database_status(database: DatabaseProcess) -> ProcessStatus:
    try:
        socket.create_connection(("127.0.0.1", database.port), ANSWER_TIMEOUT_S).close()
        answers = True
    except OSError:
        answers = False
    return _process_status(database.name, "database", database.process, database.port, answers)


def _process_status(
    name: str, kind: str, process: Process, port: int, answers: bool, faults: tuple[str, ...] = ()
) -> ProcessStatus:
    alive = is_alive(process)  # something else may have its port by now
    return ProcessStatus(name, kind, process.pid, port, alive, alive and answers, faults)


def _ask(port: int, path: str) -> dict[str, Any] | None:
    """The JSON object that is answered; None where nothing or something else is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", path)
        document = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return document if isinstance(document, dict) else None


def _table(record: Record) -> list[str]:
    rows = [(v.name, f"venue ({v.driver})", v.url, f"pid {v.process.pid}") for v in record.venues]
    rows += [(s.name, "trading system", s.url, f"pid {s.process.pid}") for s in record.trading_systems]
    if record.database:
        address = f"postgresql://127.0.0.1:{record.database.port}"
        rows.append((record.database.name, "database", address, f"pid {record.database.process.pid}"))
    return _aligned(rows)


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
