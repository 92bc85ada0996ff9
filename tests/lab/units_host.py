# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's service manager in a thread, with the real commands in front of it and real processes behind it."""

from __future__ import annotations

import selectors
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hft_incident.lab.state import Files
from hft_incident.lab.trading_host import install_commands
from hft_incident.lab.unit_commands import CommandServer
from hft_incident.lab.unit_journal import UnitJournal, unit_events
from hft_incident.lab.units import Definition, Manager

from .waiting import wait_until

Ran = subprocess.CompletedProcess[bytes]


class UnitsHost:
    """``folder/bin`` has the commands; ``define`` what there is before the manager runs."""

    def __init__(self, folder: Path, definitions: list[Definition]) -> None:
        self.folder = folder
        self.journal = folder / "units.journal"
        self._selector = selectors.DefaultSelector()
        self._manager = Manager(definitions, UnitJournal(self.journal), self._selector)
        install_commands(Files(folder), CommandServer(self._manager, self._selector).port)
        self._over, self._ending = socket.socketpair()
        self._selector.register(self._ending, selectors.EVENT_READ, lambda: None)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # The supervisor is woken by SIGCHLD, which only a main thread can be; a short wait does for tests.
        while not self._is_over.is_set():
            due = self._manager.next_deadline()
            wait_s = 0.01 if due is None else min(0.01, max(0.0, due - time.monotonic()))
            for key, _events in self._selector.select(wait_s):
                key.data()
            self._manager.turn()
        self._manager.end_all(0)

    def close(self) -> None:
        self._is_over.set()
        self._over.send(b"x")
        self._thread.join()
        self._selector.close()
        self._over.close()
        self._ending.close()

    def run(self, command: str, *words: str) -> Ran:
        return subprocess.run([self.folder / "bin" / command, *words], capture_output=True, check=False, timeout=30)

    def systemctl(self, *words: str) -> Ran:
        return self.run("systemctl", *words)

    def start(self, unit: str) -> None:
        ran = self.systemctl("start", unit)
        assert ran.returncode == 0, ran.stderr

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        words = ["-p", ",".join(properties)] if properties else []
        ran = self.systemctl("show", *words, unit)
        assert ran.returncode == 0, ran.stderr
        return _pairs(ran.stdout)

    def state(self, unit: str) -> tuple[str, str, str]:
        """(ActiveState, SubState, Result)."""
        shown = self.show(unit)
        return shown["ActiveState"], shown["SubState"], shown["Result"]

    def pid(self, unit: str) -> int:
        return int(self.show(unit, "MainPID")["MainPID"])

    def until(self, unit: str, active: str, sub: str) -> dict[str, str]:
        """All properties, once the unit is so."""

        def there() -> dict[str, str]:
            shown = self.show(unit)
            return shown if (shown["ActiveState"], shown["SubState"]) == (active, sub) else {}

        return wait_until(there)

    def log(self, *units: str) -> list[str]:
        """What happened to these units, the unit's name first where there are several."""
        events = unit_events(self.journal, frozenset(f"{unit}.service" for unit in units))
        return [e.what if len(units) == 1 else f"{e.unit.removesuffix('.service')} {e.what}" for e in events]


def _pairs(output: bytes) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in output.decode().splitlines())


def define(folder: Path, name: str, *command: str, **more: Any) -> Definition:
    """A unit ``name`` that works in ``folder/name``."""
    defaults: dict[str, Any] = {
        "name": f"{name}.service",
        "description": f"Test of {name}",
        "command": command,
        "directory": folder / name,
        "identifier": name,
        "file": folder / f"{name}.service",
    }
    return Definition(**(defaults | more))


@contextmanager
def units_host(folder: Path, *definitions: Definition) -> Iterator[UnitsHost]:
    host = UnitsHost(folder, list(definitions))
    try:
        yield host
    finally:
        host.close()
