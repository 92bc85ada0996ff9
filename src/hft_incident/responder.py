# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Opens an incident or takes up one that was left, runs its playbook by ansible-runner and reads from the record how it
ended.

The playbook is a process and a session of its own. It goes on if this process dies, even by `kill -9`: a response must
not be cut half way because a terminal was closed, and its record stays whole. It is stopped only when asked to, by
Ctrl-C or by ``timeout``.

What ansible-runner (2.4) would do otherwise, and is kept from here: take over SIGINT and SIGTERM; write the whole
environment, with the keys that ``env:NAME`` means, and every result to disk; turn host-key checking off; look for
`ansible-playbook` on PATH; notice a wish to stop only every five seconds; call a run without a single host successful.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.approvals import utc
from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.claims import take_from as take_from_other
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import (
    ENV_DIR,
    ENV_HOME,
    ENV_ID,
    ENV_RUN,
    PHASES,
    Incident,
    find,
    home_directory,
    open_incident,
    state_of,
)
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from ansible_collections.hft.incident.plugins.module_utils.run_lock import busy, holder
from ansible_collections.hft.incident.plugins.module_utils.severity_rules import load as severity_rules

from . import launch
from .catalog import COLLECTIONS_ROOT, IncidentType, Input, checked_inputs, did_you_mean, lookup, missing_input
from .fire_first import firing_first
from .inventory import inventory_sources, known_venues, yaml_fault
from .outcome import Outcome, is_closed, outcome_of, run_of
from .processes import kill_tree
from .resumption import Plan, plan_of
from .takeover import end_other_run, require_idle

OnEvent = Callable[[Event], None]
OnStep = Callable[[str], None]

SCRIBE = "hft.incident.scribe"
FROM_THE_START = "the beginning"
#: How often the journal is looked at, and how long a stopped playbook has to close its record (s).
POLL_S = 0.1
GRACE_S = 10.0
#: All of the environment that may be on disk for a moment: what Python needs before it can read the rest from a pipe.
PUBLIC_ENVIRONMENT = re.compile(r"PATH|HOME|LANG|LANGUAGE|LC_\w+|LD_LIBRARY_PATH|PYTHON\w+|TZ")

_STEP = re.compile(r"(?:TASK|RUNNING HANDLER) \[(?P<name>.*)\] \*+$")
_ERROR = re.compile(r"\[?ERROR\]?[:!]\s*(?P<text>.+)")
_log = logging.getLogger("hft_incident")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a response; the playbook has been stopped, and ``outcome`` says what is known."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


def respond(
    incident_type: str,
    *,
    inputs: Mapping[str, str] | None = None,
    inventory: str | None = None,
    severity: int | None = None,
    check: bool = False,
    until: str | None = None,
    timeout: float | None = None,
    on_event: OnEvent | None = None,
    on_step: OnStep | None = None,
    home: str | os.PathLike[str] | None = None,
) -> Outcome:
    """Opens an incident of ``incident_type``, runs its playbook to the end and returns how it ended.

    ``inputs``: the playbook's variables (`hft-incident list` tells which); only references to secrets, never secrets.
    Their text is data: braces in an alert are not evaluated. ``hft_fact_NAME`` are facts for the severity rules, which
    give the severity at once; ``severity`` is a person's word on it. ``inventory``: a path, by default what Ansible
    would take, else the running lab's. ``until``: stop after this phase. ``timeout``: seconds until the playbook is
    asked to stop.
    ``on_event`` gets every event of the journal in order, ``on_step`` the name of each step as it starts, both in the
    calling thread; what they raise is logged and stops nothing. ``home``: by default ``$HFT_INCIDENT_HOME``.

    Raises UsageError before anything was started. After that it returns an Outcome, whatever happens, but for Ctrl-C,
    which raises Interrupted. Any number of threads may call it at once.
    """
    entry = lookup(incident_type)
    variables = checked_inputs(entry, inputs or {})
    tags = _tags(until)
    if severity is not None:
        if severity not in (1, 2, 3, 4):
            raise UsageError(f"severity is 1 (worst) to 4, not {severity}")
        variables["severity"] = str(severity)
    where = Path(home).absolute() if home is not None else home_directory()
    if missing := missing_input(entry, variables):
        raise UsageError(_please_give(missing, inventory, where))
    sources = tuple(inventory_sources(inventory, where))
    incident = open_incident(entry.name, inputs=inputs, severity=severity, check=check, home=where, inventory=sources)
    job = _Job(incident, entry.playbook, sources, variables, tags, check)
    reason = variables.get("reason") or f"{entry.name}: fired first"
    beside = None if check else firing_first(incident, entry.name, sources, reason)
    return _Response(job, where, timeout, on_event, on_step, beside=beside).run()


def resume(
    incident_id: str,
    *,
    take_over: bool = False,
    take_from: Sequence[str] = (),
    timeout: float | None = None,
    on_event: OnEvent | None = None,
    on_step: OnStep | None = None,
    home: str | os.PathLike[str] | None = None,
) -> Outcome:
    """Goes on with an open incident where its record says it stopped, and returns how that ended.

    Whatever ended the last run, a hold, a failure, a reboot, ``kill -9`` of any process at any moment: inputs,
    inventory and what is done already come from the record. ``take_over``: end the run that works on it now.
    ``take_from``: other open incidents, of which this one takes over what both hold closed. The rest as in ``respond``.

    Raises UsageError where there is nothing to go on with, or somebody works on it already, and IncidentError where the
    record was altered. After that as ``respond``.
    """
    where = Path(home).absolute() if home is not None else home_directory()
    incident = find(incident_id, where)
    plan, entry = _plan_past_a_stopped_run(incident) if take_over else _plan(incident)
    recorded = [inventory_sources(source, where) for source in plan.inventory] or [inventory_sources(None, where)]
    if missing := missing_input(entry, plan.inputs):
        raise UsageError(f"{incident.id}: {missing.name} is not on record; nothing can go on without it")
    sources = tuple(source for some in recorded for source in some)
    severity_rules(sources)  # what the run would stumble over is said before anything is taken over
    others = [find(other, where) for other in take_from]
    if take_over:
        end_other_run(incident)
    require_idle(incident)
    for other in others:
        require_idle(other)
        take_from_other(incident, other)
    job = _Job(incident, entry.playbook, sources, plan.inputs, plan.tags, plan.check)
    return _Response(job, where, timeout, on_event, on_step, resumes=plan.start or FROM_THE_START).run()


def _plan_past_a_stopped_run(incident: Incident) -> tuple[Plan, IncidentType]:
    """A run that was stopped in the middle of a line keeps the record to itself: to end it is what was asked for."""
    try:
        return _plan(incident)
    except UsageError:
        raise
    except IncidentError:
        if holder(incident.directory) is None:
            raise
        end_other_run(incident)
        return _plan(incident)


def _plan(incident: Incident) -> tuple[Plan, IncidentType]:
    """How to go on with the incident, and its type."""
    events = incident.journal.events()
    if events and (found := verify(incident.journal.path)).state == "altered":
        raise IncidentError(f"{incident.id} cannot go on by itself, its record was {found.reason}")
    state = state_of(events)
    if state.type is None:
        raise UsageError(f"{incident.id} was never opened, its record is empty; nothing was done: start a new one")
    if not state.is_open:
        end = next(event for event in reversed(events) if event.kind == "incident.closed")
        raise UsageError(f"{incident.id} was closed at {end.at} ({end.data.get('resolution')}); nothing is left to do")
    return plan_of(events, utc()), lookup(state.type)


class _Job(NamedTuple):
    """What `ansible-playbook` is told."""

    incident: Incident
    playbook: Path
    inventory: tuple[str, ...]
    variables: Mapping[str, str]
    tags: str | None
    check: bool


class _Response:
    """One run: ansible-runner on a thread, the record followed on the caller's."""

    def __init__(
        self,
        job: _Job,
        home: Path,
        timeout: float | None,
        on_event: OnEvent | None,
        on_step: OnStep | None,
        *,
        resumes: str | None = None,
        beside: AbstractContextManager[None] | None = None,
    ) -> None:
        """``resumes``: where an earlier run is taken up; its events are not told again. ``beside``: what is done while
        the playbook runs."""
        self._run = uuid.uuid4().hex[:12]
        self._incident = job.incident
        self._journal = job.incident.journal
        self._job = job
        self._home = home
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._timeout = timeout
        self._on_event = on_event
        self._on_step = on_step
        self._resumes = resumes
        self._beside = beside or nullcontext()
        self._events: list[Event] = []
        self._offset = 0
        if resumes:
            self._events, self._offset = self._journal.read_from(0)
        self._told = len(self._events)
        self._lines: SimpleQueue[str] = SimpleQueue()
        self._errors: deque[str] = deque(maxlen=1)
        self._ended = threading.Event()
        self._cancel = threading.Event()
        self._end = ""

    def run(self) -> Outcome:
        if self._resumes:
            resumed = {"run": self._run, "type": state_of(self._events).type, "play": self._resumes}
            self._journal.append("run.resumed", resumed)
        with _private_directory() as directory, self._beside:
            thread = threading.Thread(target=self._play, args=(directory,), name=self._incident.id, daemon=True)
            interrupted = not self._follow(thread)
            thread.join()
        self._drain()
        owner = holder(self._incident.directory)
        if owner and owner.run != self._run and self._playbook_pid() is None:
            raise UsageError(busy(self._incident.id, owner))  # somebody else was a moment faster
        self._close()
        outcome = self._explained(outcome_of(self._incident.id, self._read_again(), self._journal.path, self._run))
        if interrupted:
            raise Interrupted(outcome)
        return outcome

    def _explained(self, outcome: Outcome) -> Outcome:
        """With what Ansible said where it gave up in the middle, and the file that it could not read."""
        if outcome.complete or not self._errors or any(event.kind == "run.stop_requested" for event in self._events):
            return outcome
        words = [text for text in (self._errors[0], yaml_fault(self._job.inventory)) if text not in outcome.reason]
        return replace(outcome, reason="; ".join([outcome.reason, *words]))

    def _follow(self, thread: threading.Thread) -> bool:
        """Until the playbook has ended; False when the person at the keyboard ended it."""
        try:
            thread.start()
            while not self._ended.wait(POLL_S):
                self._drain()
                if self._deadline is not None and time.monotonic() > self._deadline:
                    self._stop(f"not done within {self._timeout:g} s")
        except KeyboardInterrupt:
            try:
                self._stop("Ctrl-C")
            except KeyboardInterrupt:
                self._kill()
            return False
        return True

    def _drain(self) -> None:
        """Hands on what is new, facts before steps: a step starts when what came before it is on record.

        A record that cannot be read now is judged at the end, and stops nothing before.
        """
        with suppress(IncidentError):  # judged at the end
            fresh, self._offset = self._journal.read_from(self._offset)
            self._events += fresh
        while self._told < len(self._events):
            self._told += 1
            self._tell(self._on_event, self._events[self._told - 1])
        with suppress(Empty):  # all is read
            while True:
                line = self._lines.get_nowait()
                if found := _STEP.match(line):
                    self._tell(self._on_step, found["name"])
                elif found := _ERROR.match(line):
                    self._errors.append(found["text"])

    def _tell(self, listener: Callable[[Any], None] | None, news: Event | str) -> None:
        if listener is None:
            return
        try:
            listener(news)
        except Exception:  # noqa: BLE001  # whatever a caller's function raises must not cut a response
            _log.exception("a listener of %s failed; the response goes on", self._incident.id)

    def _stop(self, reason: str) -> None:
        """Asks the playbook to end and close its record, then makes it end."""
        self._record("run.stop_requested", {"run": self._run, "reason": reason})
        self._drain()
        playbook = self._playbook_pid()
        if playbook is None:
            self._cancel.set()  # not one step was taken, there is nothing to close
        else:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(playbook, signal.SIGINT)  # Ansible hands it on to its workers
        if not self._ended.wait(GRACE_S):
            self._kill()

    def _kill(self) -> None:
        self._cancel.set()
        playbook = self._playbook_pid()
        if playbook is not None:
            kill_tree(playbook)
        self._ended.wait()

    def _playbook_pid(self) -> int | None:
        """The process of the running playbook, by its own word: before that word it has done nothing."""
        run = run_of(self._events, self._run)
        start = next((event for event in run if event.kind == "run.started"), None)
        return start.data.get("pid") if start else None

    def _close(self) -> None:
        """A playbook that could not close its record is written down as lost, with the reason where one is known."""
        run = run_of(self._events, self._run)
        finished = next((event for event in run if event.kind == "run.finished"), None)
        stopped = any(event.kind == "run.stop_requested" for event in run)
        if finished and finished.data.get("outcome") == "done" and self._end != "code 0":
            self._record(
                "run.lost", {"run": self._run, "reason": f"ansible-playbook ended with {self._end} after all was done"}
            )
        elif not is_closed(run):
            tasks = sum(event.kind == "task.finished" for event in run)
            said = f": {self._errors[0]}" if self._errors else ""
            if stopped:
                self._record("run.interrupted", {"run": self._run, "tasks": tasks, "reason": "stopped by force"})
            else:
                reason = f"the record is incomplete: ansible-playbook ended with {self._end} after {tasks} steps{said}"
                self._record("run.lost", {"run": self._run, "tasks": tasks, "reason": reason})
        self._drain()

    def _read_again(self) -> list[Event]:
        """The whole record from the disk: Ctrl-C may have come in the middle of following it."""
        try:
            return self._journal.events()
        except IncidentError as error:
            _log.error("%s", error)
            return []

    def _record(self, kind: str, data: Mapping[str, Any]) -> None:
        try:
            self._journal.append(kind, data)
        except IncidentError as error:  # the outcome is then drawn from what is there, and is no success
            _log.error("%s", error)

    def _play(self, directory: Path) -> None:
        try:
            self._end = self._run_playbook(directory)
        except Exception as error:  # noqa: BLE001  # every end of a run becomes an outcome
            _log.debug("ansible-runner", exc_info=True)
            self._end = f"{type(error).__name__}: {error}"
        finally:
            self._ended.set()

    def _run_playbook(self, directory: Path) -> str:
        """Runs it to its end; how that was, in words."""
        from ansible_runner.interface import init_runner

        _write_private(directory / "env" / "settings", json.dumps(_RUNNER_SETTINGS))
        _write_private(directory / "env" / "extravars", _as_data(self._job.variables))
        runner = init_runner(
            private_data_dir=str(directory),
            playbook=str(self._job.playbook),
            inventory=list(self._job.inventory),
            tags=self._job.tags,
            cmdline="--check --diff" if self._job.check else None,
            envvars=self._environment(),
            suppress_env_files=True,
            fact_cache_type="memory",
            quiet=True,
            cancel_callback=self._cancel.is_set,
            event_handler=self._heard,
        )
        config = runner.config
        environment = _without_runner_callback(config.env)
        pipe = directory / "environment"
        os.mkfifo(pipe, 0o600)
        config.cwd = os.getcwd()  # relative paths mean what they mean to `ansible-playbook` here
        config.env = {name: value for name, value in environment.items() if PUBLIC_ENVIRONMENT.fullmatch(name)}
        config.command = [sys.executable, "-P", launch.__file__, str(pipe), *config.command]
        with _poured(environment, pipe):
            runner.run()
        return "no exit code" if runner.rc is None else f"code {runner.rc}"

    def _environment(self) -> dict[str, str]:
        """What `ansible-playbook` gets on top of ours."""
        ours = os.environ
        callbacks = [name for name in ours.get("ANSIBLE_CALLBACKS_ENABLED", "").split(",") if name and name != SCRIBE]
        collections = [str(COLLECTIONS_ROOT), ours.get("ANSIBLE_COLLECTIONS_PATH", "")]
        path = [os.path.dirname(sys.executable), ours.get("PATH", os.defpath)]
        return {
            ENV_HOME: str(self._home),
            ENV_ID: self._incident.id,
            ENV_DIR: str(self._incident.directory),
            ENV_RUN: self._run,
            "ANSIBLE_CALLBACKS_ENABLED": ",".join([SCRIBE, *callbacks]),
            "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(filter(None, collections)),
            "ANSIBLE_HOST_KEY_CHECKING": "True",
            "PATH": os.pathsep.join(path),
        }

    def _heard(self, event: Mapping[str, Any]) -> bool:
        """A line of output; False keeps it off the disk."""
        self._lines.put(str(event.get("stdout") or ""))
        return False


# suppress_output_file: results stay off the disk. pexpect_timeout: seconds between two looks at the wish to stop.
_RUNNER_SETTINGS = {"suppress_output_file": True, "pexpect_timeout": 0.5}


def _please_give(missing: Input, inventory: str | None, home: Path) -> str:
    """What to add to the command; the venues by name where that can be told."""
    venues: list[str] = []
    if missing.name == "exchange":
        with suppress(UsageError):  # it is asked for all the same
            venues = known_venues(inventory_sources(inventory, home))
    choice = f"; this inventory has: {', '.join(venues)}" if venues else ""
    example = venues[0] if venues else missing.example
    return f"{missing.name} is missing ({missing.help}): -e {missing.name}={example}{choice}"


def _tags(until: str | None) -> str | None:
    """The phases up to ``until`` as tags; None: all."""
    if until is None:
        return None
    if until not in PHASES:
        raise UsageError(f"unknown phase {until!r}{did_you_mean(until, PHASES)}; one of: {', '.join(PHASES)}")
    return ",".join(PHASES[: PHASES.index(until) + 1])


def _as_data(variables: Mapping[str, str]) -> str:
    """YAML that Ansible takes as it stands: ``!unsafe`` keeps it from evaluating what an alert put between braces."""
    return "".join(f"{name}: !unsafe {_quoted(value)}\n" for name, value in variables.items()) or "{}\n"


def _quoted(text: str) -> str:
    """A scalar of YAML; its parsers refuse the surrogates by which JSON writes what is beyond 16 bits."""
    plain = (letter if " " <= letter <= "~" and letter not in '"\\' else f"\\U{ord(letter):08x}" for letter in text)
    return f'"{"".join(plain)}"'


def _without_runner_callback(environment: Mapping[str, str]) -> dict[str, str]:
    """ansible-runner's own callback writes results to disk; the record and plain lines tell all that is needed."""
    ours = os.environ
    theirs = ("AWX_ISOLATED_DATA_DIR", "ORIGINAL_STDOUT_CALLBACK", "ANSIBLE_CALLBACK_PLUGINS")
    kept = {name: value for name, value in environment.items() if name not in theirs}
    kept |= {name: ours[name] for name in theirs if name in ours}
    return kept | {"ANSIBLE_STDOUT_CALLBACK": "default", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "1"}


@contextmanager
def _private_directory() -> Iterator[Path]:
    """A folder for the owner only, gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="hft-incident-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


@contextmanager
def _poured(environment: Mapping[str, str], pipe: Path) -> Iterator[None]:
    """Gives ``environment`` to whoever reads ``pipe``, once."""
    entries = b"\0".join(os.fsencode(f"{name}={value}") for name, value in environment.items())

    def pour() -> None:
        with suppress(BrokenPipeError), open(pipe, "wb") as sink:  # who was to read it has ended
            sink.write(entries)

    thread = threading.Thread(target=pour, daemon=True)
    thread.start()
    try:
        yield
    finally:
        # Where nobody came to read, the thread still waits in open(); this lets it go.
        os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))
        thread.join()
