# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A host with one unit of the lab's service manager, whose program a test writes."""

from __future__ import annotations

import selectors
import shlex
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils.steps import crash_report_info
from hft_incident.lab import unit_client
from hft_incident.lab.unit_commands import CommandServer
from hft_incident.lab.unit_journal import UnitJournal
from hft_incident.lab.units import Definition, Manager

from ..waiting import wait_until
from .steps import Ran, run

UNIT = "hft_system.service"


class TradingHost:
    """A host with one unit, whose program a test writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "engine.py"
        self.log = folder / "engine.log"
        self.systemctl, self.journalctl = folder / "systemctl", folder / "journalctl"
        self._definition = Definition(
            UNIT, "Trading", [sys.executable, str(self.program)], folder / "run", "engine", folder / UNIT
        )
        self._ended = threading.Event()

    def serve(self, ready: threading.Event) -> None:
        with selectors.DefaultSelector() as selector:
            definition = self._definition
            manager = Manager([definition], UnitJournal(self.folder / "journal"), selector)
            port = CommandServer(manager, selector).port
            for command in (self.systemctl, self.journalctl):
                words = [sys.executable, unit_client.__file__, str(port), command.name]
                command.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
                command.chmod(0o755)
            ready.set()
            while not self._ended.is_set():
                for key, _ in selector.select(0.01):
                    key.data()
                manager.turn()
            manager.end_all(1.0)

    def end(self) -> None:
        self._ended.set()

    def restarts(self, burst: int) -> None:
        """From now on it is started again when it fails, until the limit."""
        self._definition = self._definition._replace(
            restart="on-failure", restart_s=0.0, start_limit_burst=burst, start_limit_interval_s=100.0
        )

    def start(self, program: str) -> None:
        self.program.write_text(textwrap.dedent(program))
        self.ask("start", UNIT)

    def ask(self, *words: str) -> str:
        done = subprocess.run([self.systemctl, *words], capture_output=True, text=True, timeout=30, check=True)
        return done.stdout

    def shown(self, name: str) -> str:
        return self.ask("show", "-p", name, "--value", UNIT).strip()

    def dies(self, program: str) -> None:
        self.start(program)
        wait_until(lambda: self.shown("ActiveState") in ("failed", "inactive"))

    def report(self, **args: Any) -> Ran:
        tools = {"systemctl": str(self.systemctl), "journalctl": str(self.journalctl), "package_logs": []}
        return run(crash_report_info, **{"unit": UNIT, **tools, **args})


@contextmanager
def served(host: TradingHost) -> Iterator[TradingHost]:
    """With its service manager."""
    ready = threading.Event()
    thread = threading.Thread(target=host.serve, args=(ready,))
    thread.start()
    try:
        assert ready.wait(10)
        yield host
    finally:
        host.end()
        thread.join()
