# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Somebody else on a trading host of a running lab: a process that calls home, a configuration that was changed, and
what can be done at a venue with stolen keys.

The process runs for real, from an executable that is deleted; it calls home over a real connection, which this end
drops, as a switch would, while the host's port is closed (the lab's command ``switch-port``). In the configuration lie
programs that git would run for whoever looks at it carelessly: each would leave a trace in ``executed``.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from . import config_repo
from .errors import LabError
from .lifeline import Process, identify, is_alive, tie_to_me
from .trading_system_handle import LabTradingSystem
from .venue_handle import LabVenue

NAME = "kworker-u8"
BEAT_S = 0.05
SILENCE_S = 1.0
START_TIMEOUT_S = 20.0
#: What calls home, for ever; it is told where by its environment, which holds what it has stolen, too.
_IMPLANT = """
import os, socket, time
while True:
    try:
        with socket.create_connection(("127.0.0.1", int(os.environ["HOME_PORT"])), 5) as home:
            while home.send(b"."):
                time.sleep(0.05)
    except OSError:
        time.sleep(0.1)
"""
_OTHER = ("-c", "user.name=Release", "-c", "user.email=release@lab.example")


#: From where, to where, and under which name.
ABROAD = "203.0.113.66"
ADDRESS = "bc1q-somebody-else"
CLIENT_ID = "zz-not-ours"
LABEL = "backup"


class Planted(NamedTuple):
    """What an investigation has to find, and a word that it is known by."""

    what: str
    word: str


class Intruder:
    """One intruder on the host of one trading system. Methods raise LabError; ``leave`` ends all that it started."""

    def __init__(self, system: LabTradingSystem, venues: Mapping[str, LabVenue], folder: Path) -> None:
        """``venues``: where it is in the account, too; ``folder``: where its things are, which the lab knows not."""
        self.system = system
        self._venues = venues
        self.folder = folder
        self.executed = folder / "executed"
        self.token = secrets.token_hex(16)
        self._home = _Home(system.unplugged_file)
        self._implant: subprocess.Popen[bytes] | None = None
        self._process: Process | None = None

    def break_in(self) -> None:
        """Everything at once; returns when the process has called home."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.change_configuration()
        self.start()
        for venue in self._venues.values():
            self.use(venue)

    @staticmethod
    def use(venue: LabVenue) -> None:
        """What stolen keys and a stolen login are good for."""
        venue.add_login(ABROAD)
        venue.add_key(LABEL, ("read", "trade", "withdraw"))
        venue.add_address("BTC", ADDRESS)
        venue.withdraw("BTC", "1.5", ADDRESS)
        venue.seed(2, client_id=CLIENT_ID)

    @property
    def planted(self) -> list[Planted]:
        """What is on the host."""
        return [
            Planted("a process whose program was deleted", str(self.pid)),
            Planted("its connection home", str(self._home.port)),
            Planted("a committed change", "limits.json"),
            Planted("an uncommitted change", "hft.json"),
            Planted("a file that is not tracked", "late.json"),
            Planted("a program in core.fsmonitor", "core.fsmonitor"),
            Planted("a program in diff.external", "diff.external"),
        ]

    @property
    def pid(self) -> int:
        if self._process is None:
            raise LabError("the intruder has started no process")
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and is_alive(self._process)

    @property
    def connected(self) -> bool:
        """Whether it has called home a moment ago."""
        return self._home.heard_s() < SILENCE_S

    def start(self) -> None:
        program = self.folder / NAME
        shutil.copy(os.path.realpath(sys.executable), program)
        program.chmod(0o700)
        environment = {
            "PYTHONHOME": sys.base_prefix,
            "LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR") or ""),
            "HOME_PORT": str(self._home.port),
            "STOLEN": self.token,
        }
        self._implant = subprocess.Popen(  # noqa: S603  # a copy of our own interpreter, and our own words
            [str(program), "-S", "-c", _IMPLANT],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
            preexec_fn=tie_to_me(),
        )
        self._process = identify(self._implant.pid)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.connected:
            if self._implant.poll() is not None or time.monotonic() > deadline:
                raise LabError("the intruder's process does not call home")
            time.sleep(BEAT_S)
        program.unlink()

    def change_configuration(self) -> None:
        """A commit under a trusted name, an edit, a file that nobody asked for, and programs for git to run."""
        folder = self.system.config_folder
        trap = self.folder / "trap"
        trap.write_text(f'#!/bin/sh\necho "$0 $*" >> {self.executed}\n')
        trap.chmod(0o755)
        try:
            limits = folder / "limits.json"
            limits.write_text(limits.read_text().replace("50000", "5000000"))
            config_repo.git(folder, *_OTHER, "commit", "--quiet", "--all", "--message", "Adjust limits")
            with self.system.config_file.open("a") as config:
                config.write("\n")
            (folder / "late.json").write_text("{}\n")
            for setting in ("core.fsmonitor", "diff.external", "core.pager", "filter.x.clean", "diff.x.textconv"):
                config_repo.git(folder, "config", setting, str(trap))
            (folder / ".git" / "info" / "attributes").write_text("* filter=x diff=x\n")
            for hook in ("post-checkout", "post-index-change", "pre-commit"):
                (folder / ".git" / "hooks").mkdir(exist_ok=True)
                shutil.copy(trap, folder / ".git" / "hooks" / hook)
        except (OSError, config_repo.ConfigRepoError) as error:
            raise LabError(f"the intruder cannot change the configuration: {error}") from None

    def evicted(self) -> None:
        """The host is rebuilt: nothing of the intruder is left on it."""
        self._end()
        self.system.rebuild()

    def leave(self) -> None:
        self._end()
        self._home.close()

    def _end(self) -> None:
        if self._implant is not None:
            self._implant.kill()
            self._implant.wait()


class _Home:
    """Where it calls: counts what arrives, and plays the network between, which a switch can close."""

    def __init__(self, unplugged: Path) -> None:
        self._unplugged = unplugged
        self._heard_at = float("-inf")
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(BEAT_S)
        self.port: int = self._socket.getsockname()[1]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="intruder's home", daemon=True)
        self._thread.start()

    def heard_s(self) -> float:
        return time.monotonic() - self._heard_at

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                call, _address = self._socket.accept()
            except TimeoutError:
                continue
            with call:
                call.settimeout(BEAT_S)
                self._hear(call)

    def _hear(self, call: socket.socket) -> None:
        while not self._over.is_set() and not self._unplugged.exists():
            try:
                if not call.recv(4096):
                    return
                self._heard_at = time.monotonic()
            except TimeoutError:
                continue
            except OSError:
                return
