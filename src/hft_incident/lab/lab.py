# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab from outside: ``up`` and ``down``, and a typed handle on a running one."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from . import people
from .errors import LabError
from .lifeline import is_alive, myself, readable, send, wait_for_end
from .sink_handle import LabSinks
from .state import Files, Record
from .status import process_table
from .supervisor import DATABASE, SINKS, START_TIMEOUT_S, STOP_TIMEOUT_S
from .trading_system_handle import LabTradingSystem
from .units import Restart
from .venue_handle import LabVenue

if TYPE_CHECKING:
    from .database import Database

DRIVERS = ("binance", "binanceusdm", "bybit", "okx", "kraken", "krakenfutures", "deribit")
DEFAULT_VENUES: Mapping[str, str] = {driver: driver for driver in DRIVERS}
DEFAULT_SYSTEMS = ("hft-1",)
POLL_S = 0.02
SOURCES = str(Path(__file__).resolve().parents[2])  # so that the lab's processes import this very code


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
        self._sinks_ca_file = files.sinks_ca_file
        self._group_vars = files.inventory / "group_vars"

    @property
    def database(self) -> Database:
        """PostgreSQL's controls. Raises LabError where this lab has none."""
        from .database import Database  # takes a while, which a lab without one saves

        if self.record.database is None:
            raise LabError("this lab was started without a database")
        return Database(self._database_folder)

    @property
    def sinks(self) -> LabSinks:
        """The message sinks. Raises LabError where this lab has none."""
        if self.record.sinks is None:
            raise LabError("this lab was started without message sinks")
        return LabSinks(self.record.sinks, self._sinks_ca_file)

    def api_keys(self) -> list[dict[str, Any]]:
        """``hft_api_keys`` of the inventory."""
        found: list[dict[str, Any]] = yaml.safe_load((self._group_vars / "all" / "api_keys.yml").read_text())[
            "hft_api_keys"
        ]
        return found

    def say_of_trading_hosts(self, variables: Mapping[str, Any]) -> None:
        """What whoever keeps the inventory writes into the group's file."""
        (self._group_vars / "trading_hosts.yml").write_text(yaml.safe_dump(dict(variables)))

    def render(self) -> list[str]:
        systems = len(self.trading_systems)
        count = f"{len(self.venues)} venues, {systems} trading system{'s'[: systems != 1]}"
        ready = f"up after {self.record.ready_ms / 1000:.1f} s"
        head = f"the lab is {'already up' if self.already_up else ready}"
        return [f"{head}: {count}", *process_table(self.record), *self._files()]

    def _files(self) -> list[str]:
        return [f"inventory: {self.inventory}", f"people, who approve with --key: {self.allowed_signers.parent}"]


class Stopped(NamedTuple):
    """What ``down`` did. ``was_up`` False: there was no lab, or only what a crash had left of one (``left_behind``)."""

    was_up: bool
    processes: int = 0
    left_behind: bool = False

    def render(self) -> list[str]:
        if self.was_up:
            return [f"the lab is down; {self.processes} processes ended"]
        return ["the lab was not up" + ("; removed what a crash had left of one" if self.left_behind else "")]


def up(
    home: Path,
    venues: Mapping[str, str] = DEFAULT_VENUES,
    *,
    trading_systems: Sequence[str] = DEFAULT_SYSTEMS,
    restart: Restart = "no",
    restart_s: float = 0.1,
    database: bool = True,
    sinks: bool = False,
    attached: bool = False,
) -> Lab:
    """A running lab under ``home``: the one that is up already, or a new one of ``venues`` {name: driver}.

    ``restart``: whether a trading system that fails is started again by its service manager, ``restart_s`` later.
    ``database``: its books are in PostgreSQL, else in its memory; without a trading system there is none.
    ``sinks``: there are message sinks, and the inventory says how to reach them.
    ``attached``: the lab ends with the calling process, however that ends; otherwise it stays until ``down``.
    Raises LabError; then nothing is left running.
    """
    home = home.expanduser().absolute()
    files = Files(home / "lab")
    database = database and bool(trading_systems)
    _check_names([*venues, *trading_systems, *([DATABASE] if database else []), *([SINKS] if sinks else [])])
    try:
        lock = _lock_or_wait(files)
        if lock is None:
            return Lab(home, _living_record(files), already_up=True)
        try:
            _end_leftovers(files)
            files.make()
            words = [word for name, driver in venues.items() for word in ("--venue", f"{name}={driver}")]
            words += [word for name in trading_systems for word in ("--system", name)]
            words += ["--restart", restart, "--restart-s", str(restart_s)]
            words += [*(["--database"] if database else []), *(["--sinks"] if sinks else [])]
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
    sinks: bool = False,
) -> Iterator[Lab]:
    """A lab for the time of a ``with`` block, which ends with the calling process at the latest."""
    lab = up(
        home,
        venues,
        trading_systems=trading_systems,
        restart=restart,
        restart_s=restart_s,
        database=database,
        sinks=sinks,
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
