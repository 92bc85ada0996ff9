# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A small lab whose venue breaks and heals from outside, and the three doors to the playbook that responds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from tests.lab.waiting import wait_until

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, State, list_incidents, state_of
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from ansible_collections.hft.incident.plugins.module_utils.trading_system import TradingSystem
from ansible_collections.hft.incident.plugins.module_utils.venues.errors import VenueError
from hft_incident import approve, respond, resume
from hft_incident.drill.exchange_outage import BREAKS
from hft_incident.lab.lab import Lab, LabVenue, running_lab
from hft_incident.venues_file import load

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
TYPE = "exchange_outage"
APPROVERS = ("alice", "bob")
VENUES = {"binance": "binance", "okx": "okx"}
#: The lab's clocks, shorter still.
SHORT = {
    "hft_detect_timeout_s": "2",
    "hft_kill_interval_s": "0.05",
    "hft_watch_interval_s": "0.2",
    "hft_strategy_settle_s": "0.1",
    "hft_stability_window_s": "0.5",
}
#: Long enough for any run here on a busy machine, short enough that a hang is noticed.
PATIENCE_S = 120.0


class Ran(NamedTuple):
    """How a run ended and what it left: exit code, outputs, and the record of its incident, if it came to one."""

    code: int
    out: str
    err: str
    newest: Incident | None

    @property
    def incident(self) -> Incident:
        assert self.newest is not None, self.out + self.err
        return self.newest

    @property
    def events(self) -> list[Event]:
        assert verify(self.incident.journal.path).state == "intact"
        return self.incident.journal.events()

    @property
    def state(self) -> State:
        return state_of(self.events)

    @property
    def kinds(self) -> list[str]:
        """What happened, in order; what is said again while it waits, and how often, is a matter of time."""
        return [event.kind for event in self.events if event.kind not in ("venue.reported", "venue.watched")]

    def data(self, kind: str) -> list[Mapping[str, Any]]:
        return [event.data for event in self.events if event.kind == kind]

    @property
    def phases(self) -> list[str]:
        return [entered["phase"] for entered in self.data("phase.entered")]

    @property
    def outcome(self) -> str:
        return str(self.data("run.finished")[-1]["outcome"])

    @property
    def reason(self) -> str:
        """The failed step's own words."""
        return " ".join(str(task["msg"]) for task in self.data("task.finished") if task["status"] == "failed")


class Stage:
    """A running lab; ``exchange`` is the venue that breaks, ``other`` one that does not."""

    def __init__(self, lab: Lab, scratch: Path) -> None:
        self.lab = lab
        self.home = lab.home
        self.scratch = scratch
        self.exchange: LabVenue = lab.venues["binance"]
        self.other: LabVenue = lab.venues["okx"]
        self.system = TradingSystem(load(str(lab.venues_file)).trading_systems[0])

    def incidents(self) -> list[Incident]:
        return list_incidents(self.home)

    def newest(self) -> Incident | None:
        return next(reversed(self.incidents()), None)

    def quoting(self) -> None:
        """Until the strategies have orders at both venues."""
        wait_until(lambda: all(len(v.truth().open_orders) > 1 for v in (self.exchange, self.other)), PATIENCE_S)

    def break_it(self, *faults: Mapping[str, Any]) -> None:
        """The drill's own faults, or these; returns once the trading system has noticed that it lost the exchange."""
        self.quoting()
        for fault in faults or BREAKS:
            self.exchange.inject(**fault)
        wait_until(lambda: not self.system.exchanges()["binance"].connected, PATIENCE_S)

    def running(self) -> set[str]:
        """The strategies that run."""
        return {strategy.id for strategy in self.system.strategies() if strategy.running}

    def writes(self) -> list[str]:
        """Every writing request that arrived at any venue, whoever sent it."""
        return [f"{name} {seen.op}" for name, venue in self.lab.venues.items() for seen in venue.requests()
                if seen.writes]  # fmt: skip

    def quiet(self) -> None:
        """No strategy runs and none of their orders is left to cancel, so that every write is a response's."""
        for strategy in self.system.strategies():
            self.system.set_running(strategy.id, False)
        wait_until(lambda: not any(state.open_orders for state in self.system.exchanges().values()), PATIENCE_S)
        for venue in self.lab.venues.values():
            venue.forget_requests()

    def command(self, *words: str, **inputs: str) -> subprocess.Popen[str]:
        """`hft-incident run` or `ansible-playbook` (the first word) at the root of the project."""
        extra = [word for name, value in (SHORT | inputs).items() for word in ("-e", f"{name}={value}")]
        return self.start(*words, *extra)

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(BIN / words[0]), *words[1:]],
            cwd=ROOT,
            env=environment_of(self.home) | {"TMPDIR": str(self.scratch)} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> Ran:
        with process:
            try:
                out, err = process.communicate(timeout=PATIENCE_S)
            finally:
                process.kill()
        return Ran(process.returncode, out, err, self.newest())

    def wrapper(self, *words: str, **inputs: str) -> Ran:
        return self.finish(self.command("hft-incident", "run", TYPE, *words, **inputs))

    def playbook(self, *words: str, **inputs: str) -> Ran:
        return self.finish(self.command("ansible-playbook", f"playbooks/{TYPE}.yml", *words, **inputs))

    def python(self, **inputs: str) -> Ran:
        with patch.object(tempfile, "tempdir", str(self.scratch)):
            found = respond(TYPE, inputs=SHORT | inputs, inventory=str(self.lab.inventory), home=self.home)
        return Ran(found.exit_code, json.dumps(found.to_json()), "", self.newest())

    def allowed(self, door: str, held: Ran, **inputs: str) -> Ran:
        """Two people approve what was held at the gate, and it goes on through the same door."""
        assert held.state.gates["resume_trading"].missing == 2, held.out + held.err
        incident = held.incident.id
        if door == "python":
            for person in APPROVERS:
                approve(incident, "resume_trading", key=self.lab.people[person], home=self.home)
            with patch.object(tempfile, "tempdir", str(self.scratch)):
                found = resume(incident, home=self.home)
            return Ran(found.exit_code, json.dumps(found.to_json()), "", held.newest)
        for person in APPROVERS:
            key = str(self.lab.people[person])
            done = self.finish(self.start("hft-incident", "approve", incident, "resume_trading", "--key", key))
            assert done.code == 0, done.err
        if door == "wrapper":
            return self.finish(self.start("hft-incident", "resume", incident))._replace(newest=held.newest)
        words = (f"playbooks/{TYPE}.yml", "--tags", "detect,recover,validate,review")
        extra = [word for name, value in (SHORT | inputs).items() for word in ("-e", f"{name}={value}")]
        resumed = self.finish(self.start("ansible-playbook", *words, *extra, HFT_INCIDENT_ID=incident))
        return resumed._replace(newest=held.newest)

    @contextmanager
    def when(self, kind: str, act: Callable[[], None], resumed: Incident | None = None) -> Iterator[None]:
        """``act`` as soon as an event of this kind stands in the record of the next incident, or anew in that of
        ``resumed``; fails where none came."""
        known = {incident.id for incident in self.incidents()}
        old = len(resumed.journal.events()) if resumed else 0
        over = threading.Event()
        caught: list[BaseException] = []

        def seen() -> bool:
            with suppress(IncidentError):  # a journal of which the first line is just being written
                fresh = [resumed] if resumed else [each for each in self.incidents() if each.id not in known]
                return any(event.kind == kind for each in fresh for event in each.journal.events()[old:])
            return False

        def watch() -> None:
            try:
                wait_until(lambda: over.is_set() or seen(), PATIENCE_S)
                assert seen(), f"it ended without {kind}"
                act()
            except BaseException as error:  # noqa: BLE001  # raised again in the test's own thread
                caught.append(error)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        if caught:
            raise caught[0]

    @contextmanager
    def healing(self, resumed: Incident | None = None, before: Callable[[], None] = lambda: None) -> Iterator[None]:
        """The venue comes back once the response waits for it; ``before`` is called in the middle of that wait."""

        def heal() -> None:
            before()
            self.exchange.clear_faults()

        with self.when("venue.watched", heal, resumed):
            yield

    def secrets(self) -> set[str]:
        """Every key, secret, passphrase and token of this lab."""
        found: set[str] = set()
        for path in self.lab.keys.iterdir():
            if path.suffix == ".json":
                found |= set(_strings(json.loads(path.read_text())))
            else:
                found.add(path.read_text().strip())
        return found

    def well(self) -> None:
        """Until all is as it was before: quotes at both venues, everything connected."""
        self.quoting()
        wait_until(self._connected, PATIENCE_S)

    def _connected(self) -> bool:
        try:
            return all(state.connected and state.enabled for state in self.system.exchanges().values())
        except VenueError:
            return False


def environment_of(home: Path) -> dict[str, str]:
    """Of a person at a terminal, who has set only where the state lives."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "HFT_"))}
    return {**kept, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "HFT_INCIDENT_HOME": str(home)}


def command_lines(mark: str = "") -> list[str]:
    """The command line of every other process here that has ``mark`` in it."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if mark in line and int(file.parent.name) != os.getpid():
                found.append(line)
    return found


def _strings(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, Mapping | list):
        for item in document.values() if isinstance(document, Mapping) else document:
            yield from _strings(item)


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """A lab of two venues and a trading system, in a state folder of its own."""
    scratch = folder / "tmp"
    scratch.mkdir()
    with running_lab(folder / "home", VENUES) as lab:
        yield Stage(lab, scratch)
