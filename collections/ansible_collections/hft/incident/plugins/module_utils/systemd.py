# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A systemd service, seen and moved through ``systemctl``.

Source: seed-faults B3 (what a start limit does, the hold file's assertion, which properties to read); systemctl(1),
systemd.unit(5) (AssertPathExists=), systemd.kill(5).
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .deadline import Deadline
from .errors import UnprovenError, UsageError
from .host_command import CANNOT_START, LATE, MISSING, Ran, run

#: The longest that one look may take (s): a system manager that does not answer by then is part of the trouble.
LOOK_S = 5.0
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]*")
#: ``ExecMainCode`` is the si_code of SIGCHLD.
_EXITED, _KILLED, _DUMPED = 1, 2, 3


class UnitState(NamedTuple):
    """``systemctl show``. ``main_pid`` is 0 without a process; ``exec_main_status`` is an exit status, or the number
    of the signal where ``exec_main_code`` is 2 (killed) or 3 (killed, core dumped)."""

    load_state: str
    active_state: str
    sub_state: str
    result: str
    exec_main_code: int
    exec_main_status: int
    n_restarts: int
    main_pid: int
    unit_file_state: str
    asserted: bool  #: what its last start demanded was so
    unit_files: tuple[str, ...]  #: its own file, then the drop-ins
    freezer_state: str  #: "" where this systemd cannot freeze

    @property
    def running(self) -> bool:
        """Up, with a process of its own; not "activating (auto-restart)", which is a crash loop between two crashes."""
        return (self.active_state, self.sub_state) == ("active", "running") and self.main_pid > 0

    @property
    def frozen(self) -> bool:
        """Its processes are there and do nothing, also not end."""
        return self.freezer_state in ("frozen", "frozen-by-parent")

    @property
    def stopped(self) -> bool:
        """No process, and none on its way."""
        return self.active_state in ("inactive", "failed") and self.main_pid == 0

    @property
    def words(self) -> str:
        """As systemctl's "Active:" line has it, with how the process ended where that was no success."""
        words = f"{self.active_state} ({self.sub_state}{', frozen' if self.frozen else ''})"
        return words if self.result == "success" else f"{words}, Result {self.result}, {self.ending}"

    @property
    def ending(self) -> str:
        """How its last main process ended."""
        if self.exec_main_code in (_KILLED, _DUMPED):
            dumped = ", core dumped" if self.exec_main_code == _DUMPED else ""
            return f"killed by {_signal_name(self.exec_main_status)}{dumped}"
        return f"exit status {self.exec_main_status}" if self.exec_main_code == _EXITED else "no process has ended"


class Service:
    """One service unit. Raises UsageError for a name that is none, and for a ``systemctl`` that cannot be run."""

    def __init__(self, systemctl: str, name: str) -> None:
        if not _UNIT.fullmatch(name):
            raise UsageError(f"unit: {name!r} is not the name of a unit")
        if "." in name and not name.endswith(".service"):
            raise UsageError(f"unit: {name} is not a service (its name would end in .service)")
        self.name = name if name.endswith(".service") else f"{name}.service"
        self._systemctl = systemctl

    def state(self, deadline: Deadline) -> UnitState:
        """As it is now. Raises UnprovenError where the system manager does not say."""
        ran = self._run(deadline.within(LOOK_S), "show", "-p", ",".join(_PROPERTIES))
        if not ran.ok:
            raise UnprovenError(f"the state of {self.name} is unknown: {ran.complaint}")
        return _state(self.name, dict(line.partition("=")[::2] for line in ran.out.splitlines()))

    def start(self, deadline: Deadline) -> Ran:
        return self._run(deadline, "start")

    def stop(self, deadline: Deadline) -> Ran:
        return self._run(deadline, "stop")

    def kill(self, deadline: Deadline) -> Ran:
        """SIGKILL to every process of it."""
        return self._run(deadline, "kill", "-s", "KILL")

    def freeze(self, deadline: Deadline) -> Ran:
        """Suspend every process of it, through its cgroup."""
        return self._run(deadline, "freeze")

    def thaw(self, deadline: Deadline) -> Ran:
        return self._run(deadline, "thaw")

    def reset(self, deadline: Deadline) -> Ran:
        """Forget its failures: a start limit that they have hit would refuse every start."""
        return self._run(deadline, "reset-failed")

    def _run(self, deadline: Deadline, verb: str, *options: str) -> Ran:
        ran = run([self._systemctl, verb, *options, self.name], timeout=max(0.1, deadline.remaining()))
        if ran.problem and ran.rc in (MISSING, CANNOT_START):
            raise UsageError(f"systemctl: {ran.problem}; give the one of this host, or run this on a systemd host")
        if ran.rc == LATE and ran.problem:
            return ran._replace(problem=f"systemctl {verb}: {ran.problem.rpartition(': ')[2]}")
        return ran


def unmet_assertions(state: UnitState) -> list[str]:
    """The ``AssertPathExists=`` lines of the unit's files that forbid a start now; none where they cannot be read."""
    return [
        line
        for line, path, wanted in path_assertions(_lines(state.unit_files))
        # As systemd looks: a link counts as what it points to.
        if os.path.exists(path) is not wanted
    ]


def path_assertions(lines: Iterable[str]) -> list[tuple[str, str, bool]]:
    """What the lines of a unit's files, one after the other, demand: (the line, the path, whether it must exist)."""
    found: list[tuple[str, str, bool]] = []
    for line in lines:
        key, _sign, value = line.partition("=")
        if key.strip() != "AssertPathExists":
            continue
        value = value.strip()
        if not value:
            found.clear()  # an empty assignment takes back what earlier files say
            continue
        path = value.lstrip("|! ")
        found.append((f"AssertPathExists={value}", path.replace("%%", "%"), "!" not in value[: -len(path)]))
    return found


def _lines(files: tuple[str, ...]) -> Iterator[str]:
    for name in files:
        try:
            with open(name, encoding="utf-8", errors="replace") as file:
                yield from file.read().splitlines()
        except OSError:
            continue  # only the explanation of a refused start depends on it


_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "ExecMainCode",
    "ExecMainStatus",
    "NRestarts",
    "MainPID",
    "UnitFileState",
    "AssertResult",
    "FragmentPath",
    "DropInPaths",
    "FreezerState",
)
#: What a service always has; the rest may be missing or empty.
_REQUIRED = _PROPERTIES[:8]


def _state(name: str, shown: dict[str, str]) -> UnitState:
    missing = [key for key in _REQUIRED if not shown.get(key)]
    if missing and shown.get("LoadState") != "not-found":
        raise UnprovenError(f"the state of {name} is unknown: systemctl shows no {missing[0]}")
    try:
        code, status, restarts, pid = (int(shown.get(key) or 0) for key in _REQUIRED[4:])
    except ValueError:
        raise UnprovenError(f"the state of {name} is unknown: systemctl shows a number that is none") from None
    return UnitState(
        load_state=shown.get("LoadState", ""),
        active_state=shown.get("ActiveState", ""),
        sub_state=shown.get("SubState", ""),
        result=shown.get("Result", ""),
        exec_main_code=code,
        exec_main_status=status,
        n_restarts=restarts,
        main_pid=pid,
        unit_file_state=shown.get("UnitFileState", ""),
        asserted=shown.get("AssertResult") != "no",
        unit_files=tuple(f"{shown.get('FragmentPath', '')} {shown.get('DropInPaths', '')}".split()),
        freezer_state=shown.get("FreezerState", ""),
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
