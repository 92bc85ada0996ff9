# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The process that starts a lab's processes, stays, and takes them with it however it ends.

Started by ``lab.up`` in a session of its own, holding the lab's lock. Its standard output tells the starter ``ready``,
or why not, in one line. All venues start at once; a trading system starts when its venues listen.
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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from .keys import KeyFiles, make_keys, make_token
from .lifeline import Process, end_of, identify, is_alive, myself, tie_to_me
from .state import Files, Record, SystemProcess, VenueProcess, write_private

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 3.0
PARENT_CHECK_S = 0.5  # where the system does not tell us of its end
PACKAGED_INVENTORY = Path(__file__).parent / "inventory"
NEVER_COPIED = ("lab.yml", "venues.yml", "__pycache__")  # the generated venues.yml takes their place
FILLS_BY_SYMBOL = ("binance", "binanceusdm")  # the venues file must name the symbols there


class LabFailure(Exception):
    """The lab cannot run; the message is one line for people."""


class Ending(Exception):
    """Somebody or something asks the supervisor to end; says who."""


class Plan(NamedTuple):
    """What to run: ``venues`` {name: driver}, ``trading_systems`` by name, ``parent`` to end with (None: stay)."""

    venues: Mapping[str, str]
    trading_systems: Sequence[str]
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
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{self.name} {how}" + (f": {last}" if last else "") + f" (log: {self.log})"


class Supervisor:
    """Starts the plan's processes, then waits for a reason to end."""

    def __init__(self, files: Files, plan: Plan) -> None:
        self._files = files
        self._plan = plan
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()
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
        keys = {name: make_keys(self._files.keys, name, driver) for name, driver in self._plan.venues.items()}
        venues = self._start({name: self._venue_arguments(name, keys[name]) for name in self._plan.venues})
        ran = tuple(self._venue_process(child) for child in venues)
        systems = self._start({name: self._system_arguments(name, ran, keys) for name in self._plan.trading_systems})
        record = Record(
            started_at=started_at,
            ready_ms=round((time.monotonic() - began) * 1000),
            attached=self._plan.parent is not None,
            supervisor=myself(),
            venues=ran,
            trading_systems=tuple(SystemProcess(c.name, c.process, _port(c.report, "port")) for c in systems),
        )
        self._write_inventory(record, keys)
        write_private(self._files.record, record.to_json())
        return record

    def stay(self) -> None:
        """Until Ending is raised. A process that dies stays dead, as in production: who injects faults wants that."""
        missed: set[str] = set()
        while True:
            self._turn(None)
            for child in self._children:
                how = child.how_it_ended() if child.name not in missed else None
                if how is not None:
                    missed.add(child.name)
                    say(how)

    def stop(self) -> None:
        """End every process, kindly first: the trading systems while their venues still answer, then the venues."""
        self._files.record.unlink(missing_ok=True)
        systems = [child for child in self._children if child.name in self._plan.trading_systems]
        _end(systems)
        _end([child for child in self._children if child not in systems])
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

    def _turn(self, timeout_s: float | None) -> None:
        """Wait for something to happen, and take it in."""
        parent = self._plan.parent
        if parent is not None and not self._watches_parent:
            timeout_s = PARENT_CHECK_S
            if not is_alive(parent):
                self._on_parent_end()
        for key, _events in self._selector.select(timeout_s):
            if not isinstance(key.data, Child):
                key.data()
            elif not key.data.hear():
                self._selector.unregister(key.fileobj)

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

    def _system_arguments(self, name: str, venues: Sequence[VenueProcess], keys: Mapping[str, KeyFiles]) -> list[str]:
        config = self._files.systems / f"{name}.json"
        document = {
            "port": 0,
            "token_file": str(make_token(self._files.keys, name)),
            "hold_file": str(self._files.systems / f"{name}.hold"),
            "log_file": str(self._files.logs / f"{name}.log"),
            "exchanges": [
                {"name": v.name, "driver": v.driver, "url": v.url, "key_file": str(keys[v.name].trading)}
                for v in venues
            ],
        }
        write_private(config, json.dumps(document, indent=2) + "\n")
        return ["hft_incident.lab.trading_system", "--config", str(config)]

    def _write_inventory(self, record: Record, keys: Mapping[str, KeyFiles]) -> None:
        """A complete static inventory: what the package has, and this lab's addresses and key references."""
        venues = [
            {
                "name": venue.name,
                "driver": venue.driver,
                "base_url": venue.url,
                **{part: f"file:{path}" for part, path in keys[venue.name].responder.items()},
                **({"symbols": [venue.symbols[0]]} if venue.driver in FILLS_BY_SYMBOL else {}),
            }
            for venue in record.venues
        ]
        systems = [
            {"name": s.name, "url": s.url, "token": f"file:{self._files.keys / s.name}.token"}
            for s in record.trading_systems
        ]
        text = yaml.safe_dump({"hft_venues": venues, "hft_trading_systems": systems}, sort_keys=False, width=1000)
        shutil.copytree(
            PACKAGED_INVENTORY, self._files.inventory, ignore=shutil.ignore_patterns(*NEVER_COPIED), dirs_exist_ok=True
        )
        write_private(self._files.venues_file, f"# Written by `hft-incident lab up`; gone when the lab is.\n{text}")


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
    except (LabFailure, OSError) as failure:
        why = str(failure)
        return 1
    finally:
        say(why)
        supervisor.stop()
        with contextlib.suppress(Ending):
            tell(why)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m hft_incident.lab.supervisor", description="Started by `lab up`.")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--lock", type=int, required=True, help="the descriptor of the lab's lock, held")
    parser.add_argument("--venue", dest="venues", action="append", default=[], metavar="NAME=DRIVER")
    parser.add_argument("--system", dest="systems", action="append", default=[], metavar="NAME")
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
    return supervise(files, Plan(dict(v.split("=", 1) for v in options.venues), options.systems, parent))


if __name__ == "__main__":
    sys.exit(main())
