# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A service manager for the lab's trading systems: it does with its units what systemd 252 does with such services.

Of systemd it has what such a unit file says: ``Type=simple``, ``AssertPathExists=!``, ``Conflicts=`` (with the order
that the other one stops first), ``ExecStartPre=+systemctl stop``, ``Restart=``, ``RestartSec=``, ``StartLimitBurst=``,
``StartLimitIntervalSec=``, ``TimeoutStopSec=``. The state machine and the messages follow systemd's service.c, unit.c
and job.c.

It lives in one thread: its processes are tied to that thread, and everything happens in the turns of its selector.
"""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from . import unit_journal
from .lifeline import readable, tie_to_me
from .unit_journal import UnitJournal, signal_name

State = Literal["dead", "failed", "start-pre", "running", "stop-sigterm", "stop-sigkill", "auto-restart"]
JobKind = Literal["start", "stop", "restart"]
JobResult = Literal["done", "failed", "assert", "canceled"]
Restart = Literal["no", "on-failure"]

#: What ActiveState= is while SubState= is this.
ACTIVE_STATES: Mapping[State, str] = {
    "dead": "inactive",
    "failed": "failed",
    "start-pre": "activating",
    "running": "active",
    "stop-sigterm": "deactivating",
    "stop-sigkill": "deactivating",
    "auto-restart": "activating",
}
ENDED: tuple[State, ...] = ("dead", "failed")
CODES = {os.CLD_EXITED: "exited", os.CLD_KILLED: "killed", os.CLD_DUMPED: "dumped"}
CLEAN_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)
EXIT_STATUSES = ("SUCCESS", "FAILURE", "INVALIDARGUMENT", "NOTIMPLEMENTED", "NOPERMISSION", "NOTINSTALLED",
                 "NOTCONFIGURED", "NOTRUNNING")  # fmt: skip
EXIT_EXEC = 203  # what systemd reports where there is no such program
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
CORE_LIMIT = 256 * 1024 * 1024


class Definition(NamedTuple):
    """What the unit file says. ``directory`` is the working directory, where the kernel leaves a core dump."""

    name: str
    description: str
    command: Sequence[str]
    directory: Path
    identifier: str
    file: Path
    assert_path_missing: Path | None = None
    conflicts: tuple[str, ...] = ()
    stops_first: tuple[str, ...] = ()  # once nothing forbids its start; what conflicts is stopped before that is asked
    restart: Restart = "no"
    restart_s: float = 0.1
    start_limit_burst: int = 5
    start_limit_interval_s: float = 10.0
    timeout_stop_s: float = 5.0

    def text(self) -> str:
        """The unit file, as systemd would have it."""
        unit = [("Description", self.description)]
        for other in self.conflicts:
            unit += [("Conflicts", other), ("After", other)]
        if self.assert_path_missing:
            unit.append(("AssertPathExists", f"!{self.assert_path_missing}"))
        unit += [("StartLimitBurst", str(self.start_limit_burst)),
                 ("StartLimitIntervalSec", f"{self.start_limit_interval_s:g}")]  # fmt: skip
        limit = core_limit()
        service = [
            ("Type", "simple"),
            *(("ExecStartPre", f"+/usr/bin/systemctl stop {other}") for other in self.stops_first),
            ("ExecStart", " ".join(f'"{word}"' for word in self.command)),
            ("WorkingDirectory", str(self.directory)),
            ("SyslogIdentifier", self.identifier),
            ("Restart", self.restart),
            ("RestartSec", f"{self.restart_s:g}"),
            ("TimeoutStopSec", f"{self.timeout_stop_s:g}"),
            *([("LimitCORE", str(limit))] if limit is not None else []),
        ]
        sections = {"Unit": unit, "Service": service}
        return "\n".join(
            f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in rows) for name, rows in sections.items()
        )


class Moment(NamedTuple):
    """Microseconds of the two clocks; zero: never."""

    real_us: int = 0
    monotonic_us: int = 0

    @classmethod
    def now(cls) -> Moment:
        return cls(time.time_ns() // 1000, time.monotonic_ns() // 1000)


class Job:
    """What is asked of a unit; a unit has one at a time."""

    def __init__(self, kind: JobKind) -> None:
        self.kind: JobKind = kind
        self.had_to_stop = False
        self.waiters: list[Callable[[JobResult], None]] = []


class Output:
    """What one process prints, until its end; ``first_line`` is there once it is complete."""

    def __init__(self, pipe: int, tell: Callable[[bytes], None]) -> None:
        self.pipe = pipe
        self.first_line: bytes | None = None
        self._tell = tell
        self._rest = b""
        os.set_blocking(pipe, False)

    def hear(self) -> bool:
        """Take in what is there; False at the end of it."""
        try:
            said = os.read(self.pipe, 65536)
        except BlockingIOError:
            return True
        *lines, self._rest = (self._rest + said).split(b"\n")
        if self._rest and (not said or len(self._rest) > unit_journal.LINE_MAX):
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self.first_line = line if self.first_line is None else self.first_line
            self._tell(line)
        return bool(said)


class Unit:
    """A unit as its manager knows it; only the manager changes it."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.state: State = "dead"
        self.result = "success"
        self.job: Job | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.output: Output | None = None
        self.exec_main_pid = 0
        self.exec_main_code = 0
        self.exec_main_status = 0
        self.exec_main_start = Moment()
        self.exec_main_exit = Moment()
        self.n_restarts = 0
        self.frozen = False
        self.invocation = ""
        self.asserted: bool | None = None
        self.assert_at = Moment()
        self.state_change = Moment()
        self.inactive_exit = Moment()
        self.active_enter = Moment()
        self.active_exit = Moment()
        self.inactive_enter = Moment()
        self.deadline: float | None = None  # of the state that it is in, on the monotonic clock
        self.forbid_restart = False
        self.forget_restarts = False
        self.starts: deque[float] = deque(maxlen=definition.start_limit_burst)

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def main_pid(self) -> int:
        return self.process.pid if self.process else 0

    @property
    def full_name(self) -> str:
        return f"{self.name} - {self.definition.description}"


class Manager:
    """Runs units. ``selector`` calls back the data of its keys; ``on_start`` hears of each process that was started,
    ``on_end`` of each that ended.
    """

    def __init__(
        self,
        definitions: Iterable[Definition],
        journal: UnitJournal,
        selector: selectors.BaseSelector,
        *,
        on_start: Callable[[Unit], None] = lambda _unit: None,
        on_end: Callable[[Unit], None] = lambda _unit: None,
    ) -> None:
        self.units = {definition.name: Unit(definition) for definition in definitions}
        self.journal = journal
        self._selector = selector
        self._on_start = on_start
        self._on_end = on_end

    # What it is asked for ---------------------------------------------------------------------------------------------

    def submit(self, kind: JobKind, unit: Unit, waiter: Callable[[JobResult], None] = lambda _result: None) -> None:
        """Ask for a start, a stop or a restart, for which a frozen unit is thawed; ``waiter`` hears how it went."""
        self.thaw(unit)
        self._queue(kind, unit).waiters.append(waiter)
        self._run_jobs()

    def signal(self, unit: Unit, signum: int) -> None:
        """Send it to all of the unit's processes."""
        if unit.process is not None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.killpg(unit.process.pid, signum)

    def freeze(self, unit: Unit) -> None:
        """Suspend all of its processes. The lab's units have no control group; SIGSTOP does the same to them."""
        if unit.process is not None:
            self.signal(unit, signal.SIGSTOP)
            unit.frozen = True

    def thaw(self, unit: Unit) -> None:
        if unit.frozen:
            unit.frozen = False
            self.signal(unit, signal.SIGCONT)

    def reset_failed(self, unit: Unit) -> None:
        """Forget the failure, and the starts that count for the limit."""
        unit.starts.clear()
        unit.result, unit.n_restarts, unit.forget_restarts = "success", 0, False
        if unit.state == "failed":
            self._enter(unit, "dead")

    # What happens -----------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When ``turn`` has something to do at the latest, on the monotonic clock."""
        return min((unit.deadline for unit in self.units.values() if unit.deadline is not None), default=None)

    def turn(self) -> None:
        """Take in what ended and what is due; to be called after every wait of the selector."""
        for unit in self.units.values():
            self._reap(unit)
        for unit in self.units.values():
            if unit.deadline is not None and time.monotonic() >= unit.deadline:
                self._on_deadline(unit)
        self._run_jobs()

    def end_all(self, timeout_s: float) -> list[Unit]:
        """End every process, kindly first; the units that had to be killed. Nothing is started again."""
        running = [unit for unit in self.units.values() if unit.process is not None]
        for unit in running:
            self._terminate(unit)
        killed, deadline = [], time.monotonic() + timeout_s
        for unit in running:
            if unit.process is None:
                raise AssertionError("nobody else reaps")
            try:
                unit.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.signal(unit, signal.SIGKILL)
                unit.process.wait()
                killed.append(unit)
        return killed

    def _reap(self, unit: Unit) -> None:
        if unit.process is None:
            return
        pid, status = os.waitpid(unit.process.pid, os.WNOHANG)  # Popen would not tell of a core dump
        if not pid:
            return
        unit.process.returncode = os.waitstatus_to_exitcode(status)
        self._close_output(unit)
        unit.process, unit.frozen = None, False
        if os.WIFEXITED(status):
            self._ended(unit, os.CLD_EXITED, os.WEXITSTATUS(status))
        else:
            self._ended(unit, os.CLD_DUMPED if os.WCOREDUMP(status) else os.CLD_KILLED, os.WTERMSIG(status))
        self._on_end(unit)

    def _ended(self, unit: Unit, code: int, status: int) -> None:
        unit.exec_main_code, unit.exec_main_status, unit.exec_main_exit = code, status, Moment.now()
        result = _result(code, status)
        if result != "success":
            message = f"Main process exited, code={CODES[code]}, status={status}/{_status_name(code, status)}"
            self._say(
                unit,
                f"{unit.name}: {message}",
                unit_journal.PROCESS_EXITED,
                priority=5 if code == os.CLD_EXITED else 4,
                EXIT_CODE=CODES[code],
                EXIT_STATUS=str(status),
            )
        self._enter_dead(unit, result)

    def _enter_dead(self, unit: Unit, result: str, *, may_restart: bool = True) -> None:
        if unit.result == "success":  # the first failure counts
            unit.result = result
        if unit.result == "success":
            self._say(unit, f"{unit.name}: Deactivated successfully.", unit_journal.SUCCEEDED)
        else:
            message = f"{unit.name}: Failed with result '{unit.result}'."
            self._say(unit, message, unit_journal.FAILED, priority=4, UNIT_RESULT=unit.result)
        restarts = (
            may_restart
            and not unit.forbid_restart
            and unit.definition.restart == "on-failure"
            and unit.result != "success"
        )
        unit.forbid_restart = False
        self._enter(unit, "dead" if unit.result == "success" else "failed")
        if restarts:
            self._enter(unit, "auto-restart", unit.definition.restart_s)
        else:
            unit.forget_restarts = True

    def _on_deadline(self, unit: Unit) -> None:
        if unit.state == "auto-restart":
            unit.deadline = None
            unit.n_restarts += 1
            message = f"{unit.name}: Scheduled restart job, restart counter is at {unit.n_restarts}."
            self._say(unit, message, unit_journal.RESTART_SCHEDULED, N_RESTARTS=str(unit.n_restarts))
            self._queue("restart", unit)
            return
        self._say(unit, f"{unit.name}: State '{unit.state}' timed out. Killing.", priority=4)
        message = f"{unit.name}: Killing process {unit.main_pid} ({unit.definition.identifier}) with signal SIGKILL."
        self._say(unit, message, priority=5)
        unit.result = "timeout" if unit.result == "success" else unit.result
        self.signal(unit, signal.SIGKILL)
        self._enter(unit, "stop-sigkill", unit.definition.timeout_stop_s)

    # Jobs -------------------------------------------------------------------------------------------------------------

    def _queue(self, kind: JobKind, unit: Unit) -> Job:
        """The job, merged with the one that the unit has, or in its place."""
        if kind != "stop":
            for rival in self._rivals(unit):
                self._queue("stop", rival)
        held = unit.job
        if held is not None and ("stop" in (held.kind, kind)) and held.kind != kind:
            self._finish(unit, "canceled")
            held = None
        if held is None:
            held = unit.job = Job(kind)
        elif kind == "restart":
            held.kind = kind
        return held

    def _rivals(self, unit: Unit) -> list[Unit]:
        """Those that cannot run beside it, whoever of the two says so."""
        return [
            other
            for other in self.units.values()
            if other.name in unit.definition.conflicts or unit.name in other.definition.conflicts
        ]

    def _run_jobs(self) -> None:
        while any(self._advance(unit, unit.job) for unit in self.units.values() if unit.job is not None):
            pass

    def _advance(self, unit: Unit, job: Job) -> bool:
        """Do what can be done now; False where nothing can."""
        if job.kind == "start":
            return self._advance_start(unit)
        if unit.state in ENDED:
            if job.had_to_stop:
                self._say(unit, f"Stopped {unit.full_name}.", unit_journal.STOPPED, JOB_RESULT="done")
            if job.kind == "stop":
                self._finish(unit, "done")
            else:
                job.kind = "start"
            return True
        job.had_to_stop = True
        if unit.state in ("start-pre", "auto-restart"):
            self._enter(unit, "dead")
            return True
        unit.forbid_restart = True
        if unit.state != "running":
            return False
        self._say(unit, f"Stopping {unit.full_name}...", unit_journal.STOPPING)
        self._terminate(unit)
        self._enter(unit, "stop-sigterm", unit.definition.timeout_stop_s)
        return True

    def _advance_start(self, unit: Unit) -> bool:
        if unit.state == "running":
            self._finish(unit, "done")
            return True
        if unit.state == "start-pre":
            if self._to_stop_first(unit):
                return False
            self._start(unit)
            return True
        if unit.state not in ENDED or any(rival.job or rival.state not in ENDED for rival in self._rivals(unit)):
            return False  # one that waits for its restart is started by that
        if not self._assertion_holds(unit):
            self._say(unit, f"{unit.name}: Starting requested but asserts failed.", priority=5)
            self._fail_start(unit, "assert", f"Assertion failed for {unit.full_name}.")
        elif self._too_often(unit):
            self._say(unit, f"{unit.name}: Start request repeated too quickly.", priority=4)
            self._enter_dead(unit, "start-limit-hit", may_restart=False)
            self._fail_start(unit, "failed", f"Failed to start {unit.full_name}.")
        elif others := self._to_stop_first(unit):
            for other in others:
                self._queue("stop", other)
            self._enter(unit, "start-pre")
        else:
            self._start(unit)
        return True

    def _to_stop_first(self, unit: Unit) -> list[Unit]:
        """Of those that it stops before it starts, the ones that run or are about to."""
        others = (self.units[name] for name in unit.definition.stops_first if name in self.units)
        return [other for other in others if other.job or other.state not in ENDED]

    def _assertion_holds(self, unit: Unit) -> bool:
        path = unit.definition.assert_path_missing
        unit.asserted, unit.assert_at = path is None or not path.exists(), Moment.now()
        return unit.asserted

    def _too_often(self, unit: Unit) -> bool:
        now = time.monotonic()
        while unit.starts and unit.starts[0] <= now - unit.definition.start_limit_interval_s:
            unit.starts.popleft()
        if len(unit.starts) >= unit.definition.start_limit_burst:
            return True
        unit.starts.append(now)
        return False

    def _fail_start(self, unit: Unit, result: JobResult, message: str) -> None:
        self._say(unit, message, unit_journal.START_FAILED, priority=3, JOB_RESULT=result)
        self._finish(unit, result)

    def _finish(self, unit: Unit, result: JobResult) -> None:
        job, unit.job = unit.job, None
        for waiter in job.waiters if job else ():
            waiter(result)

    # Processes --------------------------------------------------------------------------------------------------------

    def _start(self, unit: Unit) -> None:
        if unit.forget_restarts:
            unit.n_restarts, unit.forget_restarts = 0, False
        unit.result, unit.forbid_restart = "success", False
        unit.invocation = uuid.uuid4().hex
        unit.exec_main_code, unit.exec_main_status, unit.exec_main_exit = 0, 0, Moment()
        unit.exec_main_start = Moment.now()
        try:
            unit.process = self._spawn(unit.definition)
        except OSError as error:
            self._say(unit, f"{unit.name}: Failed to execute {unit.definition.command[0]}: {error}", priority=3)
            self._ended(unit, os.CLD_EXITED, EXIT_EXEC)
            self._finish(unit, "done")  # Type=simple: nobody waits for the program
            return
        unit.exec_main_pid = unit.process.pid
        if unit.process.stdout is None:
            raise AssertionError("started with a pipe")
        tell = partial(
            self.journal.process_says, unit.name, unit.definition.identifier, unit.process.pid, unit.invocation
        )
        unit.output = Output(unit.process.stdout.fileno(), tell)
        self._selector.register(unit.output.pipe, selectors.EVENT_READ, partial(self._hear, unit))
        self._enter(unit, "running")
        self._on_start(unit)
        self._say(unit, f"Started {unit.full_name}.", unit_journal.STARTED, JOB_RESULT="done")
        self._finish(unit, "done")

    def _spawn(self, definition: Definition) -> subprocess.Popen[bytes]:
        definition.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        tie, limit = tie_to_me(), core_limit()

        def prepare() -> None:
            if tie is not None:
                tie()
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))

        return subprocess.Popen(  # noqa: S603  # the lab's own words
            definition.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=definition.directory,
            start_new_session=True,
            preexec_fn=prepare,
        )

    def _hear(self, unit: Unit) -> None:
        if unit.output is not None and not unit.output.hear():
            self._close_output(unit)

    def _close_output(self, unit: Unit) -> None:
        """Take in what is left."""
        if unit.process is None or unit.process.stdout is None or unit.output is None or unit.process.stdout.closed:
            return
        self._selector.unregister(unit.output.pipe)
        while unit.output.hear() and readable(unit.output.pipe, 0):
            pass
        unit.process.stdout.close()

    def _terminate(self, unit: Unit) -> None:
        """As systemd does: what is stopped must run to hear of it."""
        self.signal(unit, signal.SIGTERM)
        self.signal(unit, signal.SIGCONT)
        unit.frozen = False

    def _enter(self, unit: Unit, state: State, timeout_s: float | None = None) -> None:
        before, after, now = ACTIVE_STATES[unit.state], ACTIVE_STATES[state], Moment.now()
        was_over, is_over = unit.state in ENDED, state in ENDED
        unit.state, unit.state_change = state, now
        unit.deadline = None if timeout_s is None else time.monotonic() + timeout_s
        if was_over and not is_over:
            unit.inactive_exit = now
        if is_over and not was_over:
            unit.inactive_enter = now
        if after == "active" != before:
            unit.active_enter = now
        if before == "active" != after:
            unit.active_exit = now

    def _say(self, unit: Unit, message: str, message_id: str = "", *, priority: int = 6, **fields: str) -> None:
        more = {"MESSAGE_ID": message_id} if message_id else {}
        more |= {"INVOCATION_ID": unit.invocation} if unit.invocation else {}
        self.journal.manager_says(unit.name, message, priority=priority, **more, **fields)


def how_it_ended(unit: Unit) -> str:
    """Its last process's end, in words."""
    if unit.exec_main_code == os.CLD_EXITED:
        return f"ended with exit code {unit.exec_main_status}"
    return f"was killed by {signal_name(unit.exec_main_status)}"


def _result(code: int, status: int) -> str:
    if (code == os.CLD_EXITED and status == 0) or (code == os.CLD_KILLED and status in CLEAN_SIGNALS):
        return "success"
    return {os.CLD_EXITED: "exit-code", os.CLD_KILLED: "signal", os.CLD_DUMPED: "core-dump"}[code]


def _status_name(code: int, status: int) -> str:
    if code != os.CLD_EXITED:
        return signal_name(status).removeprefix("SIG")
    if status == EXIT_EXEC:
        return "EXEC"
    return EXIT_STATUSES[status] if status < len(EXIT_STATUSES) else "n/a"


def core_limit() -> int | None:
    """How large (bytes) a core dump in the working directory may be; None where the kernel puts them elsewhere."""
    try:
        pattern = CORE_PATTERN.read_text().strip()
    except OSError:
        return None
    if not pattern or "/" in pattern or pattern.startswith("|"):
        return None
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    return CORE_LIMIT if hard == resource.RLIM_INFINITY else min(hard, CORE_LIMIT)
