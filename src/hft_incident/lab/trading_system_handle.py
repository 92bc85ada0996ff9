# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A trading system of a running lab from outside, and what can befall it."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Literal

from . import config_repo
from .errors import LabError
from .lifeline import Process, send
from .state import Files, SystemProcess, write_private
from .trading_host import TradingHost
from .unit_journal import UnitEvent, unit_events

#: What ``crash`` sets off: defects of the running process, or one that each new start runs into.
Crash = Literal["segfault", "out_of_memory", "assertion", "exception", "loop"]


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
        self.config_folder = host.config_folder
        self.config_file = host.config_file
        self.unplugged_file = host.unplugged_file
        self.hold_file = host.hold_file
        self.log_file = host.log_file
        self._old_log_file = host.old_log_file
        self._approved_config_file = host.approved_config_file
        self._approved_bundle = host.approved_bundle
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

    def start_slowly(self) -> None:
        """The next live start listens only once this is mended."""
        write_private(self._fault_file, "slow_start\n")

    def mend(self) -> None:
        """Whatever ``crash`` or ``start_slowly`` has set off is repaired: the next start has it no more."""
        self._fault_file.unlink(missing_ok=True)

    def break_config(self) -> None:
        """Somebody edits the configuration by hand and misspells a driver; the next start fails (exit code 2)."""
        document = json.loads(self._approved_config_file.read_text())
        document["exchanges"][0]["driver"] += "-v2"
        write_private(self.config_file, json.dumps(document, indent=2) + "\n")

    def restore_config(self) -> None:
        """The approved one, byte by byte."""
        write_private(self.config_file, self._approved_config_file.read_text())

    def rebuild(self) -> None:
        """The host's configuration from trusted media, whatever has become of it."""
        try:
            config_repo.rebuild(self.config_folder, self._approved_bundle)
        except config_repo.ConfigRepoError as error:
            raise LabError(str(error)) from None

    def fill_log_disk(self) -> None:
        """Every write to its log fails with ENOSPC, in the running process too; what was logged is in the old log."""
        self.log_file.replace(self._old_log_file)
        self.log_file.symlink_to("/dev/full")

    def free_log_disk(self) -> None:
        """There is space again, and the log where it was."""
        if self.log_file.is_symlink():
            self._old_log_file.replace(self.log_file)
            self._old_log_file.touch(0o600)
