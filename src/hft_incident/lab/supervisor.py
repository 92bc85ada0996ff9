# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The process that starts a lab's processes, stays, and takes them with it however it ends.

Started by ``lab.up`` in a session of its own, holding the lab's lock. Its standard output tells the starter ``ready``,
or why not, in one line. All venues and the database start at once; a trading system starts when they listen, as a unit
of the lab's service manager, which lives in this process.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import yaml

from . import unit_journal
from .config_repo import ConfigRepoError
from .keys import HERE, TRADER, KeyFiles, make_keys, make_token
from .lifeline import Process, end_of, identify, is_alive, myself, tie_to_me
from .people import KeyMaking, PeopleError
from .sink_keys import SinkKeys, communications
from .state import DatabaseProcess, Files, Record, SinkProcess, SystemProcess, VenueProcess, write_private
from .trading_host import TradingHost, install_commands, reserve_port
from .unit_commands import CommandServer
from .units import Manager, Restart, Unit, how_it_ended
from .venues.dialect import SUB_ACCOUNT, SUB_ACCOUNT_UID

if TYPE_CHECKING:
    from .database import Database

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 3.0
PARENT_CHECK_S = 0.5  # where the system does not tell us of its end
PACKAGED_INVENTORY = Path(__file__).parent / "inventory"
NEVER_COPIED = ("lab.yml", "venues.yml", "hosts.yml", "host_vars", "__pycache__")  # generated ones take their place
DATABASE = "postgresql"
SINKS = "sinks"
WRITTEN = "# Written by `hft-incident lab up`; gone when the lab is.\n"
#: Venues that keep keys by sub-account, by what they call the lab's one.
SUB_ACCOUNTS = {"bybit": SUB_ACCOUNT_UID, "okx": SUB_ACCOUNT}
FILLS_BY_SYMBOL = ("binance", "binanceusdm")  # the venues file must name the symbols there


class LabFailure(Exception):
    """The lab cannot run; the message is one line for people."""


class Ending(Exception):
    """Somebody or something asks the supervisor to end; says who."""


class Plan(NamedTuple):
    """What to run: ``venues`` {name: driver}, ``trading_systems`` by name and whether and when (s) their manager starts
    them again, whether they have a database, whether there are message sinks, ``parent`` to end with (None: stay).
    """

    venues: Mapping[str, str]
    trading_systems: Sequence[str]
    restart: Restart = "no"
    restart_s: float = 0.1
    database: bool = False
    sinks: bool = False
    parent: Process | None = None


class Child:
    """A process of the lab; what it prints first is its report (JSON, one line), the rest goes to its log."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        self.report: dict[str, Any] | None = None
        self._said = b""
        with open(log, "ab") as errors:
            self.popen = subprocess.Popen(  # noqa: S603  # our own interpreter running our own modules
                [sys.executable, "-P", "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                preexec_fn=tie_to_me(),
            )
        process = identify(self.popen.pid)
        if process is None:
            raise LabFailure(f"{name} ended at once; see {log}")
        self.process = process

    @property
    def output(self) -> int:
        if self.popen.stdout is None:
            raise AssertionError("started with a pipe")
        return self.popen.stdout.fileno()

    def hear(self) -> bool:
        """Take in what it printed; False when it will print no more."""
        said = os.read(self.output, 65536)
        if self.report is not None:
            with open(self.log, "ab") as log:
                log.write(said)
            return bool(said)
        self._said += said
        line, newline, _rest = self._said.partition(b"\n")
        if newline:
            try:
                self.report = json.loads(line)
            except ValueError:
                raise LabFailure(f"{self.name} printed no report but: {line[:200]!r}") from None
        return bool(said)

    def how_it_ended(self) -> str | None:
        """In words; None while it runs."""
        code = self.popen.poll()
        if code is None:
            return None
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        lines = self.log.read_text(errors="replace").split("\n")
        return f"{self.name} {how}{_last_words(lines)} (log: {self.log})"


class Supervisor:
    """Starts the plan's processes, then waits for a reason to end."""

    def __init__(self, files: Files, plan: Plan) -> None:
        self._files = files
        self._plan = plan
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._record: Record | None = None  # as it stands in its file
        self._journal = files.unit_journal
        self._ports: list[socket.socket] = []  # held: a trading system has the same one over restarts
        self._sink_keys = SinkKeys.make()
        self._hosts = [TradingHost(files, name) for name in plan.trading_systems]
        self._manager = Manager(
            [definition for host in self._hosts for definition in host.definitions(plan.restart, plan.restart_s)],
            unit_journal.UnitJournal(files.unit_journal),
            self._selector,
            on_start=self._on_unit_start,
            on_end=self._on_unit_end,
        )
        self._watches_parent = False
        self._woken, waker = socket.socketpair()
        for end in (self._woken, waker):
            end.setblocking(False)
        self._waker = waker

    def watch(self) -> None:
        """From here on signals and the parent's end are noticed. Raises Ending where the parent is gone already."""
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(signum, lambda *_: None)
        self._selector.register(self._woken, selectors.EVENT_READ, self._on_signal)
        if self._plan.parent is not None:
            try:
                descriptor = end_of(self._plan.parent)
            except ProcessLookupError:
                raise Ending("the process that started the lab ended") from None
            if descriptor is not None:
                self._selector.register(descriptor, selectors.EVENT_READ, self._on_parent_end)
                self._watches_parent = True

    def start(self) -> Record:
        """All processes, listening. Raises LabFailure, Ending."""
        began, started_at = time.monotonic(), _now()
        people = KeyMaking(self._files.people)
        install_commands(self._files, CommandServer(self._manager, self._selector).port)
        keys = {name: make_keys(self._files.keys, name, driver) for name, driver in self._plan.venues.items()}
        commands = {name: self._venue_arguments(name, keys[name]) for name in self._plan.venues}
        if self._plan.database:
            commands[DATABASE] = ["hft_incident.lab.database", "--folder", str(self._files.database)]
        if self._plan.sinks:
            self._sink_keys.write(self._files.sinks_keys_file)
            files = ["--keys", str(self._files.sinks_keys_file), "--ca-file", str(self._files.sinks_ca_file)]
            commands[SINKS] = ["hft_incident.lab.sinks", *files]
        children = {child.name: child for child in self._start(commands)}
        venues = tuple(self._venue_process(children[name]) for name in self._plan.venues)
        database = self._database()
        for host in self._hosts:
            self._configure(host, venues, keys, database)
        for unit in self._manager.units.values():
            unit.definition.file.write_text(unit.definition.text())
        record = Record(
            started_at=started_at,
            ready_ms=0,
            attached=self._plan.parent is not None,
            supervisor=myself(),
            venues=venues,
            trading_systems=self._start_systems(),
            database=_database_process(children[DATABASE]) if self._plan.database else None,
            sinks=_sink_process(children[SINKS]) if self._plan.sinks else None,
        )
        self._write_inventory(record, keys, people.finish(), database)
        self._record = replace(record, ready_ms=round((time.monotonic() - began) * 1000))
        write_private(self._files.record, self._record.to_json())
        return self._record

    def stay(self) -> None:
        """Until Ending is raised. A process that dies stays dead, as in production: who injects faults wants that.
        (Trading systems are units: their manager may have been told otherwise.)
        """
        missed: set[str] = set()
        while True:
            self._turn(None)
            for child in self._children:
                how = child.how_it_ended() if child.name not in missed else None
                if how is not None:
                    missed.add(child.name)
                    say(how)

    def stop(self) -> None:
        """End every process, kindly first: the trading systems while their venues still answer, then the others."""
        self._record = None
        self._files.record.unlink(missing_ok=True)
        for unit in self._manager.end_all(STOP_TIMEOUT_S):
            say(f"{unit.name} did not end in time and is killed")
        _end(self._children)
        self._files.forget()

    def _start(self, arguments: Mapping[str, Sequence[str]]) -> list[Child]:
        children = [Child(name, words, self._files.logs / f"{name}.stderr.log") for name, words in arguments.items()]
        self._children += children
        for child in children:
            self._selector.register(child.output, selectors.EVENT_READ, child)
        deadline = time.monotonic() + START_TIMEOUT_S
        while waiting := [child for child in children if child.report is None]:
            for child in waiting:
                if (how := child.how_it_ended()) is not None:
                    raise LabFailure(how)
            if time.monotonic() > deadline:
                raise LabFailure(f"{waiting[0].name} did not listen within {START_TIMEOUT_S:g} s ({waiting[0].log})")
            self._turn(deadline - time.monotonic())
        return children

    def _start_systems(self) -> tuple[SystemProcess, ...]:
        """All live units, listening. Raises LabFailure."""
        units = {host.name: self._manager.units[host.unit] for host in self._hosts}
        for unit in units.values():
            self._manager.submit("start", unit)
        deadline = time.monotonic() + START_TIMEOUT_S
        while waiting := [unit for unit in units.values() if unit.output is None or unit.output.first_line is None]:
            for unit in waiting:
                if unit.process is None:
                    raise LabFailure(self._how_unit_ended(unit))
            if time.monotonic() > deadline:
                raise LabFailure(f"{waiting[0].name} did not listen within {START_TIMEOUT_S:g} s ({self._journal})")
            self._turn(deadline - time.monotonic())
        return tuple(SystemProcess(name, _identity(unit), _listening(unit), unit.name) for name, unit in units.items())

    def _turn(self, timeout_s: float | None) -> None:
        """Wait for something to happen, and take it in."""
        deadlines = [] if timeout_s is None else [time.monotonic() + timeout_s]
        due = self._manager.next_deadline()
        deadlines += [] if due is None else [due]
        parent = self._plan.parent
        if parent is not None and not self._watches_parent:
            deadlines.append(time.monotonic() + PARENT_CHECK_S)
            if not is_alive(parent):
                self._on_parent_end()
        wait_s = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
        for key, _events in self._selector.select(wait_s):
            if not isinstance(key.data, Child):
                key.data()
            elif not key.data.hear():
                self._selector.unregister(key.fileobj)
        self._manager.turn()

    def _on_unit_start(self, unit: Unit) -> None:
        """The record tells of the process that runs now, also to those who must see that none is left."""
        if self._record is None:
            return
        name = self._host(unit).name
        systems = tuple(
            replace(system, process=_identity(unit), unit=unit.name) if system.name == name else system
            for system in self._record.trading_systems
        )
        self._record = replace(self._record, trading_systems=systems)
        write_private(self._files.record, self._record.to_json())

    def _on_unit_end(self, unit: Unit) -> None:
        say(self._how_unit_ended(unit))

    def _how_unit_ended(self, unit: Unit) -> str:
        printed = [e["MESSAGE"] for e in unit_journal.entries(self._journal) if e.get("_SYSTEMD_UNIT") == unit.name]
        log = self._host(unit).log_file
        how = f"{unit.name.removesuffix('.service')} {how_it_ended(unit)}"
        return f"{how}{_last_words(printed)} (logs: {self._journal}, {log})"

    def _host(self, unit: Unit) -> TradingHost:
        return next(host for host in self._hosts if unit.name in (host.unit, host.observe_unit))

    def _on_signal(self) -> None:
        for signum in self._woken.recv(4096):
            if signum != signal.SIGCHLD:
                raise Ending(f"got {signal.Signals(signum).name}")

    def _on_parent_end(self) -> None:
        raise Ending("the process that started the lab ended")

    def _venue_arguments(self, name: str, keys: KeyFiles) -> list[str]:
        return ["hft_incident.lab.venues", "--venue", f"{name}={self._plan.venues[name]}", "--keys", str(keys.venue)]

    def _venue_process(self, child: Child) -> VenueProcess:
        report = child.report or {}
        mine = report.get("venues", {}).get(child.name, {})
        control_port, port = _port(report, "control_port"), _port(mine, "port")
        driver, symbols = self._plan.venues[child.name], tuple(mine["symbols"])
        return VenueProcess(child.name, driver, child.process, port, control_port, symbols)

    def _database(self) -> Database | None:
        """Everybody's handle on it."""
        if not self._plan.database:
            return None
        from .database import Database  # takes a while, which a lab without one saves

        return Database(self._files.database)

    def _configure(
        self, host: TradingHost, venues: Sequence[VenueProcess], keys: Mapping[str, KeyFiles], database: Database | None
    ) -> None:
        """Write what the trading system is started with: the approved release's configuration."""
        port = reserve_port()
        self._ports.append(port)
        make_token(host.token_file)
        host.old_log_file.touch(0o600)  # as logrotate leaves one
        document = {
            "port": port.getsockname()[1],
            "token_file": str(host.token_file),
            "hold_file": str(host.hold_file),
            "log_file": str(host.log_file),
            "fault_file": str(host.fault_file),
            "database": database.dsn_for(host.name) if database else None,
            "exchanges": [
                {"name": v.name, "driver": v.driver, "url": v.url, "key_file": str(keys[v.name].trading)}
                for v in venues
            ],
        }
        host.configure(document)

    def _write_inventory(
        self, record: Record, keys: Mapping[str, KeyFiles], allowed_signers: Path, database: Database | None
    ) -> None:
        """A complete static inventory: what the package has, and this lab's addresses, key references and hosts."""
        venues = [
            {
                "name": venue.name,
                "driver": venue.driver,
                "base_url": venue.url,
                **{part: f"file:{path}" for part, path in keys[venue.name].responder.items()},
                **({"sub_account": SUB_ACCOUNTS[venue.driver]} if venue.driver in SUB_ACCOUNTS else {}),
                **({"symbols": [venue.symbols[0]]} if venue.driver in FILLS_BY_SYMBOL else {}),
            }
            for venue in record.venues
        ]
        systems = [
            {"name": system.name, "url": system.url, "token": f"file:{host.token_file}"}
            for system, host in zip(record.trading_systems, self._hosts, strict=True)
        ]
        shutil.copytree(
            PACKAGED_INVENTORY, self._files.inventory, ignore=shutil.ignore_patterns(*NEVER_COPIED), dirs_exist_ok=True
        )
        self._files.host_vars.mkdir(mode=0o700)
        _write_yaml(self._files.inventory / "hosts.yml", self._groups())
        _write_yaml(self._files.venues_file, {"hft_venues": venues, "hft_trading_systems": systems})
        _write_yaml(self._files.group_vars / "api_keys.yml", self._api_keys(record))
        _write_yaml(self._files.group_vars / "people.yml", {"hft_allowed_signers": str(allowed_signers)})
        if record.sinks:
            settings = communications(self._sink_keys, record.sinks, self._files)
            _write_yaml(self._files.group_vars / "communications.yml", {"hft_communications": settings})
        for host in self._hosts:
            variables = host.variables(database.parts if database else None)
            _write_yaml(self._files.host_vars / f"{host.name}.yml", variables)

    def _api_keys(self, record: Record) -> dict[str, Any]:
        """Every trading system of a lab uses the same key at a venue; the store is where it reads it."""
        names = [system.name for system in record.trading_systems]
        keys = [
            {
                "name": f"trading/{venue.name}",
                "venue": venue.name,
                "used_by": names,
                "slot": f"{venue.name}.trading",
                "permissions": list(TRADER),
                "ip_allow_list": list(HERE),
            }
            for venue in record.venues
        ]
        return {"hft_api_keys": keys, "hft_secret_store": {"kind": "file", "path": str(self._files.keys)}}

    def _groups(self) -> dict[str, Any]:
        """Every host of the lab is this machine."""
        here = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        names = [host.name for host in self._hosts]
        return {
            "all": {"hosts": dict.fromkeys(("localhost", *names), here)},
            "control": {"hosts": {"localhost": None}},
            "trading_hosts": {"hosts": dict.fromkeys(names)},
        }


def _last_words(lines: Sequence[str]) -> str:
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {last}" if last else ""


def _write_yaml(path: Path, document: Mapping[str, Any]) -> None:
    text = yaml.dump(document, Dumper=_PlainDumper, sort_keys=False, width=1000)
    write_private(path, f"{WRITTEN}{text}")


class _PlainDumper(yaml.SafeDumper):
    """Says the same twice where it is twice: people read these files."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _identity(unit: Unit) -> Process:
    """Who the unit's process is. One that has ended already is told from all others all the same."""
    return identify(unit.exec_main_pid) or Process(unit.exec_main_pid, "ended")


def _listening(unit: Unit) -> int:
    """The port that it said it listens on."""
    line = (unit.output.first_line if unit.output else None) or b""
    try:
        report = json.loads(line)
    except ValueError:
        raise LabFailure(f"{unit.name} printed no report but: {line[:200]!r}") from None
    return _port(report, "port")


def _end(children: Sequence[Child]) -> None:
    for child in children:
        child.popen.terminate()
    deadline = time.monotonic() + STOP_TIMEOUT_S
    for child in children:
        try:
            child.popen.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            say(f"{child.name} did not end in time and is killed")
            child.popen.kill()
            child.popen.wait()


def _database_process(child: Child) -> DatabaseProcess:
    return DatabaseProcess(child.name, child.process, _port(child.report, "port"))


def _sink_process(child: Child) -> SinkProcess:
    ports = (_port(child.report, f"{name}_port") for name in ("proxy", "webhook", "smtp", "control"))
    return SinkProcess(child.name, child.process, *ports)


def _port(report: Mapping[str, Any] | None, field: str) -> int:
    port = (report or {}).get(field)
    if not isinstance(port, int):
        raise LabFailure(f"a process of the lab reported no '{field}'")
    return port


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def say(text: str) -> None:
    """Into the supervisor's log."""
    print(_now(), text, file=sys.stderr, flush=True)


def tell(text: str) -> None:
    """To whoever started us, once. Raises Ending where they are gone."""
    try:
        os.write(sys.stdout.fileno(), text.encode() + b"\n")
    except OSError:
        raise Ending("whoever started the lab did not wait for it") from None
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def supervise(files: Files, plan: Plan) -> int:
    """The whole life of a supervisor; its exit code."""
    supervisor = Supervisor(files, plan)
    why = "failed"
    try:
        supervisor.watch()
        record = supervisor.start()
        say(f"ready after {record.ready_ms} ms")
        tell("ready")
        supervisor.stay()
    except Ending as ending:
        why = f"stopped: {ending}"
        return 0
    except (LabFailure, PeopleError, ConfigRepoError, OSError) as failure:
        why = str(failure)
        return 1
    finally:
        say(why)
        supervisor.stop()
        with contextlib.suppress(Ending):  # nobody listens any more
            tell(why)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m hft_incident.lab.supervisor", description="Started by `lab up`.")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--lock", type=int, required=True, help="the descriptor of the lab's lock, held")
    parser.add_argument("--venue", dest="venues", action="append", default=[], metavar="NAME=DRIVER")
    parser.add_argument("--system", dest="systems", action="append", default=[], metavar="NAME")
    parser.add_argument("--restart", choices=get_args(Restart), default="no", help="of the trading systems' units")
    parser.add_argument("--restart-s", type=float, default=0.1, metavar="S", help="their RestartSec=")
    parser.add_argument("--database", action="store_true", help="the trading systems keep their books in PostgreSQL")
    parser.add_argument("--sinks", action="store_true", help="there are message sinks")
    parser.add_argument("--parent", metavar="PID:STARTED", help="end when this process does")
    options = parser.parse_args(arguments)
    parent = None
    if options.parent:
        pid, _, started = options.parent.partition(":")
        parent = Process(int(pid), started)
    if os.fork():  # the starter's child ends here, so that nobody is left to reap the lab
        os._exit(0)
    files = Files(options.directory)
    files.sign_lock(options.lock, myself())
    venues = dict(venue.split("=", 1) for venue in options.venues)
    plan = Plan(venues, options.systems, options.restart, options.restart_s, options.database, options.sinks, parent)
    return supervise(files, plan)


if __name__ == "__main__":
    sys.exit(main())
