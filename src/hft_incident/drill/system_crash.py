# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The trading system crashes or hangs in the lab, for real and in every way that the runbook names."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from typing import ClassVar

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.venues.errors import VenueError

from ..lab.lab import Lab
from ..lab.units import Restart
from .scenario import RESUME, Line, Scenario, Seen, seconds, trading_system, wait

ALERT_TIMEOUT_S = 30.0


class Crash:
    """What all of them have in common; ``kind`` is what the crash report must find."""

    story: ClassVar[str]
    kind: ClassVar[str]
    alert: ClassVar[str] = "System Down (hft-1)"
    inputs: ClassVar[Mapping[str, str]] = {"reason": "drill"}
    restart: ClassVar[Restart] = "on-failure"
    ends: ClassVar[frozenset[str]] = frozenset({"held"})
    approvers: ClassVar[Mapping[str, Sequence[str]]] = RESUME
    #: As long as it takes a person to type the command; one fault is quicker than that, on purpose.
    restart_s: ClassVar[float] = 15.0

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.system = next(iter(lab.trading_systems.values()))
        self._client = trading_system(lab)

    def venues(self) -> Sequence[str]:
        return tuple(self.lab.venues)

    def break_it(self) -> None:
        self.strike()
        wait("no alert", lambda: not self._answers(), ALERT_TIMEOUT_S)

    def strike(self) -> None:
        raise NotImplementedError

    def heard(self, event: Event) -> None:
        """Nothing mends itself here."""

    def before_approval(self, gate: str) -> None:
        """Nothing has to be done by hand."""

    def mend(self) -> None:
        """Most crashes leave nothing that is broken."""

    def lines(self, seen: Seen) -> list[Line]:
        found = [str(e.data.get("kind")) for e in seen.events if e.kind == "crash.classified"]
        return [
            Line("found out why", found[-1] if found else "never", found[:1] == [self.kind]),
            self._unrestarted(seen),
        ]

    def _unrestarted(self, seen: Seen) -> Line:
        """No life of the live unit between the closing of the latch and the approval of two people."""
        closed = next((seconds(e.at) for e in seen.events if e.kind == "latch.changed"), float("inf"))
        allowed = next((seconds(e.at) for e in seen.events if e.kind == "gate.passed"), float("inf"))
        live = [(at, what) for at, unit, what in self.system.unit_log() if unit == self.system.unit]
        early = sum(what == "started" and closed < at < allowed for at, what in live)
        refused = sum(what == "assertion_failed" and at > seen.alert_at for at, what in live)
        value = f"{early} TIMES" if early else f"never ({refused} attempt{'s'[: refused != 1]} refused)"
        return Line("restarted while the latch was closed", value, not early)

    def _answers(self) -> bool:
        try:
            self._client.health()
        except VenueError:
            return False
        return True


class Killed(Crash):
    story = "kill -9 in the middle of quoting; the venues keep its orders"
    kind = "killed_by_signal"

    def strike(self) -> None:
        self.system.signal(signal.SIGKILL)


class RestartRace(Killed):
    story = "kill -9, and systemd has it up again before anybody can act"
    restart_s = 0.1


class Frozen(Crash):
    story = "kill -STOP: the process is alive, holds its connections and answers nothing"
    kind = "hung"

    def strike(self) -> None:
        self.system.signal(signal.SIGSTOP)


class SegmentationFault(Crash):
    story = "it reads memory that is not its own"
    kind = "segmentation_fault"

    def strike(self) -> None:
        self.system.crash("segfault")


class OutOfMemory(Crash):
    story = "it cannot get the memory that it needs, and aborts"
    kind = "out_of_memory"

    def strike(self) -> None:
        self.system.crash("out_of_memory")


class Assertion(Crash):
    story = "an assertion in its own code fails"
    kind = "assertion_failure"

    def strike(self) -> None:
        self.system.crash("assertion")


class UnhandledException(Crash):
    story = "an exception that nobody handles ends it"
    kind = "unhandled_exception"

    def strike(self) -> None:
        self.system.crash("exception")


class DatabaseStopped(Crash):
    story = "its database is stopped under it, and stays so until somebody starts it"
    kind = "database_connection_lost"

    def strike(self) -> None:
        self.lab.database.stop()

    def mend(self) -> None:
        self.lab.database.start()


class DatabaseReadOnly(Crash):
    story = "its database turns read-only: SELECT 1 still works"
    kind = "database_read_only"

    def strike(self) -> None:
        self.lab.database.read_only(True)

    def mend(self) -> None:
        self.lab.database.read_only(False)


class DiskFull(Crash):
    ends = frozenset({"held", "unproven"})
    story = "the disk of its log is full"
    kind = "disk_full"

    def strike(self) -> None:
        self.system.fill_log_disk()

    def mend(self) -> None:
        self.system.free_log_disk()


class BadConfiguration(Crash):
    restart_s = 0.3
    story = "a broken configuration is rolled out, and it is killed to load it"
    kind = "bad_configuration"

    def strike(self) -> None:
        self.system.break_config()
        self.system.signal(signal.SIGKILL)

    def mend(self) -> None:
        self.system.restore_config()


class CrashLoop(Crash):
    ends = frozenset({"held", "failed"})
    restart_s = 0.3
    story = "it crashes, is restarted, crashes again, until systemd gives up"
    kind = "unhandled_exception"

    def strike(self) -> None:
        self.system.crash("loop")

    def mend(self) -> None:
        self.system.mend()


FAULTS: Mapping[str, type[Scenario]] = {
    "kill": Killed,
    "restart_race": RestartRace,
    "freeze": Frozen,
    "segfault": SegmentationFault,
    "out_of_memory": OutOfMemory,
    "assertion": Assertion,
    "exception": UnhandledException,
    "database_stopped": DatabaseStopped,
    "database_read_only": DatabaseReadOnly,
    "disk_full": DiskFull,
    "bad_configuration": BadConfiguration,
    "crash_loop": CrashLoop,
}
