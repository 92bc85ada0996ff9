# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A small lab in which something breaks, and the three doors to the playbook that responds, for every type."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar
from unittest.mock import patch

from tests.lab.apart import own
from tests.lab.waiting import wait_until

from ansible_collections.hft.incident.plugins.module_utils import follower
from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError
from ansible_collections.hft.incident.plugins.module_utils.incident import (
    Incident,
    State,
    find,
    list_incidents,
    state_of,
)
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from ansible_collections.hft.incident.plugins.module_utils.trading_system import TradingSystem
from hft_incident import approve, respond, resume
from hft_incident.lab.lab import Lab, running_lab
from hft_incident.lab.units import Restart
from hft_incident.venues_file import load

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
GATE = "resume_trading"
APPROVERS = ("alice", "bob")
#: Long enough for any run here on a busy machine, short enough that a hang is noticed.
PATIENCE_S = 120.0


AnyStage = TypeVar("AnyStage", bound="Stage")


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
        """What happened, in order; what is said again while it waits, and what people are told, is a matter of time."""
        return [event.kind for event in own(self.events)]

    def data(self, kind: str) -> list[Mapping[str, Any]]:
        return [event.data for event in self.events if event.kind == kind]

    @property
    def phases(self) -> list[str]:
        """In the order in which they were entered, however many plays each has."""
        return [phase for phase, _ in groupby(entered["phase"] for entered in self.data("phase.entered"))]

    @property
    def outcome(self) -> str:
        return str(self.data("run.finished")[-1]["outcome"])

    @property
    def reason(self) -> str:
        """The failed step's own words."""
        return " ".join(str(task["msg"]) for task in self.data("task.finished") if task["status"] == "failed")


class Stage:
    """A running lab; subclasses say for which type of incident, and what breaks in it."""

    type: ClassVar[str]
    venues: ClassVar[Mapping[str, str]]
    #: The lab's clocks, shorter still.
    clocks: ClassVar[Mapping[str, str]]
    #: What a person gives `ansible-playbook` to go on after the gate.
    resume_tags: ClassVar[str]
    #: Whether the service manager starts a dead trading system again, and so many seconds later.
    restart: ClassVar[Restart] = "no"
    restart_s: ClassVar[float] = 0.1
    #: Whether there is somebody to tell.
    sinks: ClassVar[bool] = False

    def __init__(self, lab: Lab, scratch: Path) -> None:
        self.lab = lab
        self.home = lab.home
        self.scratch = scratch
        self.system = TradingSystem(load(str(lab.venues_file)).trading_systems[0])

    def incidents(self) -> list[Incident]:
        return list_incidents(self.home)

    def newest(self) -> Incident | None:
        return next(reversed(self.incidents()), None)

    def quoting(self) -> None:
        """Until the strategies have orders at every venue."""
        wait_until(lambda: all(len(v.truth().open_orders) > 1 for v in self.lab.venues.values()), PATIENCE_S)

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
        extra = [word for name, value in {**self.clocks, **inputs}.items() for word in ("-e", f"{name}={value}")]
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

    def finish(self, process: subprocess.Popen[str], incident: str | None = None) -> Ran:
        """How it ended, with the record of ``incident``, by default the newest."""
        with process:
            try:
                out, err = process.communicate(timeout=PATIENCE_S)
            finally:
                process.kill()
        found = self.newest() if incident is None else find(incident, self.home)
        return Ran(process.returncode, out, err, found)

    def wrapper(self, *words: str, **inputs: str) -> Ran:
        return self.finish(self.command("hft-incident", "run", self.type, *words, **inputs))

    def playbook(self, *words: str, **inputs: str) -> Ran:
        return self.finish(self.command("ansible-playbook", f"playbooks/{self.type}.yml", *words, **inputs))

    def python(self, **inputs: str) -> Ran:
        with patch.object(tempfile, "tempdir", str(self.scratch)):
            told = {**self.clocks, **inputs}
            found = respond(self.type, inputs=told, inventory=str(self.lab.inventory), home=self.home)
        return Ran(found.exit_code, json.dumps(found.to_json()), "", self.newest())

    def allowed(self, door: str, held: Ran, **inputs: str) -> Ran:
        """Two people approve what was held at the gate, and it goes on through the same door."""
        assert held.state.gates[GATE].missing == len(APPROVERS), held.out + held.err
        incident = held.incident.id
        if door == "python":
            for person in APPROVERS:
                approve(incident, GATE, key=self.lab.people[person], home=self.home)
            with patch.object(tempfile, "tempdir", str(self.scratch)):
                found = resume(incident, home=self.home)
            return Ran(found.exit_code, json.dumps(found.to_json()), "", held.newest)
        for person in APPROVERS:
            done = self.approve(incident, person)
            assert done.code == 0, done.err
        if door == "wrapper":
            return self.resume(incident)
        return self.playbook_of(incident, "--tags", self.resume_tags, **inputs)

    def approve(self, incident: str, person: str, gate: str = GATE) -> Ran:
        key = str(self.lab.people[person])
        return self.finish(self.start("hft-incident", "approve", incident, gate, "--key", key), incident)

    def resume(self, incident: str, *words: str) -> Ran:
        return self.finish(self.start("hft-incident", "resume", incident, *words), incident)

    def playbook_of(self, incident: str, *words: str, **inputs: str) -> Ran:
        """`ansible-playbook` as a person calls it who goes on with an incident by hand."""
        extra = [word for name, value in {**self.clocks, **inputs}.items() for word in ("-e", f"{name}={value}")]
        told = ("ansible-playbook", f"playbooks/{self.type}.yml", *words, *extra)
        return self.finish(self.start(*told, HFT_INCIDENT_ID=incident), incident)

    @contextmanager
    def when(
        self, kind: str, act: Callable[[], None], resumed: Incident | None = None, **said: object
    ) -> Iterator[None]:
        """``act`` as soon as an event of this kind, that says this, stands in the record of the next incident, or anew
        in that of ``resumed``; fails where none came."""
        known = {incident.id for incident in self.incidents()}
        old = len(resumed.journal.events()) if resumed else 0
        over = threading.Event()
        caught: list[BaseException] = []

        def seen() -> bool:
            with suppress(IncidentError):  # a journal of which the first line is just being written
                fresh = [resumed] if resumed else [each for each in self.incidents() if each.id not in known]
                events = [event for each in fresh for event in each.journal.events()[old:]]
                return any(event.kind == kind and said.items() <= event.data.items() for event in events)
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

    def secrets(self) -> set[str]:
        """Every key, secret, passphrase, token and password of this lab, and the private parts of its SSH keys."""
        found: set[str] = set()
        for path in self.lab.keys.iterdir():
            if path.suffix == ".json":
                found |= set(_strings(json.loads(path.read_text()))) - _NO_SECRETS
            else:
                found.add(path.read_text().strip())
        found |= {path.read_text().strip() for path in self.lab.database.folder.glob("*password")}
        for key in self.lab.people.values():
            # Two lines that any key begins with and that its public part fills, then the private one.
            found |= set(key.read_text().splitlines()[3:-1])
        return found

    def kept(self) -> list[Path]:
        """Every file of the state folder but those in which the lab keeps its secrets."""
        private = (self.lab.keys, self.lab.allowed_signers.parent, self.lab.database.folder)
        files = (path for path in self.home.rglob("*") if path.is_file())
        return [path for path in files if not any(path.is_relative_to(folder) for folder in private)]

    def leaks(self) -> list[str]:
        """Where a secret can be read at this moment: a scratch file, or the command line of a process."""
        places = {str(path): path.read_bytes().decode(errors="replace")
                  for path in self.scratch.rglob("*") if path.is_file()}  # fmt: skip
        places |= {line: line for line in command_lines()}
        secrets = self.secrets()
        return [place for place, text in places.items() if any(secret in text for secret in secrets)]


def environment_of(home: Path) -> dict[str, str]:
    """Of a person at a terminal, who has set only where the state lives."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "HFT_"))}
    return {**kept, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "HFT_INCIDENT_HOME": str(home)}


def command_lines(mark: str = "") -> list[str]:
    """The command line of every other process here that has ``mark`` in it."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # a process that has ended has no command line
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if mark in line and int(file.parent.name) != os.getpid():
                found.append(line)
    return found


#: What is said of a key in the lab's own files, beside the key itself.
_NO_SECRETS = {"responder", "trading", "admin", "read", "trade", "transfer", "withdraw", "manage_keys", "127.0.0.1", ""}


def _strings(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, Mapping | list):
        for item in document.values() if isinstance(document, Mapping) else document:
            yield from _strings(item)


@contextmanager
def stage(make: type[AnyStage], folder: Path) -> Iterator[AnyStage]:
    """A lab with a trading system, in a state folder of its own."""
    scratch = folder / "tmp"
    scratch.mkdir(parents=True)
    with running_lab(
        folder / "home", make.venues, restart=make.restart, restart_s=make.restart_s, sinks=make.sinks
    ) as lab:
        try:
            yield make(lab, scratch)
        finally:
            for incident in list_incidents(lab.home):
                follower.end(incident.directory)
