# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A trading host of the lab: the commands installed on it, its units, its approved release, its inventory variables.

The host is this machine; everything that would lie in ``/etc``, ``/usr/bin`` and ``/var`` lies in the lab's folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import config_repo
from .state import Files, write_private
from .trading_system import VERSION
from .units import Definition, Restart

SOURCES = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).parent / "trading_system"
CLIENT = Path(__file__).parent / "unit_client.py"
#: What else a configuration holds; nothing reads it here.
LIMITS = {"max_order_usd": 50_000, "max_position_usd": 250_000}
START_LIMIT_BURST = 3
START_LIMIT_INTERVAL_S = 60.0  # longer than systemd's own 10 s: a crash loop must reach it on a busy machine too


class TradingHost:
    """Where the files of one trading system are, by its name."""

    def __init__(self, files: Files, name: str) -> None:
        self._files = files
        self.name = name
        self.unit = f"{name}.service"
        self.observe_unit = f"{name}-observe.service"
        self.config_folder = files.systems / f"{name}.config"
        self.config_file = self.config_folder / "hft.json"
        self.approved_config_file = files.approved / f"{name}.json"
        self.approved_bundle = files.approved / f"{name}.bundle"
        self.unplugged_file = files.run / f"{name}.unplugged"
        self.hold_file = files.systems / f"{name}.hold"
        self.fault_file = files.systems / f"{name}.fault"
        self.log_file = files.logs / f"{name}.log"
        self.old_log_file = files.logs / f"{name}.log.1"
        self.token_file = files.keys / f"{name}.token"
        #: The commit of the approved configuration; None on a machine without git.
        self.approved_commit: str | None = None

    def configure(self, document: Mapping[str, Any]) -> None:
        """Deploys the approved release's configuration. Raises ConfigRepoError."""
        text = json.dumps(document, indent=2) + "\n"
        self.config_folder.mkdir(mode=0o700)
        for path in (self.config_file, self.approved_config_file):
            write_private(path, text)
        write_private(self.config_folder / "limits.json", json.dumps(LIMITS, indent=2) + "\n")
        self.approved_commit = config_repo.deploy(self.config_folder)
        if self.approved_commit:
            config_repo.bundle(self.config_folder, self.approved_bundle)

    def definitions(self, restart: Restart, restart_s: float) -> list[Definition]:
        """The live unit, which the hold file keeps from starting, and the one that only observes."""
        program = [str(self._files.bin / "hft-trading-system"), "--config", str(self.config_file)]
        live = Definition(
            name=self.unit,
            description=f"Trading system {self.name}",
            command=program,
            directory=self._files.run / self.name,
            identifier="hft-trading-system",
            file=self._files.units / self.unit,
            assert_path_missing=self.hold_file,
            stops_first=(self.observe_unit,),
            restart=restart,
            restart_s=restart_s,
            start_limit_burst=START_LIMIT_BURST,
            start_limit_interval_s=START_LIMIT_INTERVAL_S,
        )
        observe = live._replace(
            name=self.observe_unit,
            file=self._files.units / self.observe_unit,
            description=f"Trading system {self.name}, observing",
            command=[*program, "--observe"],
            assert_path_missing=None,
            stops_first=(self.unit,),
            restart="no",
        )
        return [live, observe]

    def variables(self, database: Mapping[str, str | int] | None) -> dict[str, Any]:
        """``host_vars`` of this host."""
        binaries = self._files.bin
        program = str(binaries / "hft-trading-system")
        return {
            "hft_trading_system": self.name,
            "hft_unit": self.unit,
            "hft_observe_unit": self.observe_unit,
            "hft_hold_file": str(self.hold_file),
            "hft_log_files": [str(self.log_file), str(self.old_log_file)],
            "hft_config_file": str(self.config_file),
            "hft_config_repository": str(self.config_folder),
            "hft_validate_command": [program, "--validate-config", "--config", str(self.config_file)],
            "hft_version_command": [program, "--version"],
            "hft_release": self._release(),
            # The host is this very machine: a switch can close its port, its own firewall would close it to itself.
            "hft_isolate_on_host": False,
            "hft_external_isolation_command": [str(binaries / "switch-port")],
            "hft_watched_paths": [str(self.config_file), program, str(PROGRAM)],
            **({"hft_database": dict(database)} if database else {}),
            "hft_systemctl": str(binaries / "systemctl"),
            "hft_journalctl": str(binaries / "journalctl"),
            "hft_coredumpctl": str(binaries / "coredumpctl"),
        }

    def _release(self) -> dict[str, Any]:
        """What is deployed at this moment, taken for approved."""
        deployed = [self.config_file, self._files.bin / "hft-trading-system", *sorted(PROGRAM.glob("*.py"))]
        return {
            "version": VERSION,
            "files": {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in deployed},
            **({"config_commit": self.approved_commit} if self.approved_commit else {}),
        }


def install_commands(files: Files, manager_port: int) -> None:
    """The trading system's program, the host's tools that speak to the lab's service manager, and, of the network that
    the host is plugged into, the command that takes it off (see ``intruder``)."""
    folder = files.bin
    folder.mkdir(mode=0o700, exist_ok=True)
    python = shlex.quote(sys.executable)
    path = shlex.quote(os.pathsep.join(filter(None, [str(SOURCES), os.environ.get("PYTHONPATH")])))
    client = f"exec {python} -S -E -P {shlex.quote(str(CLIENT))} {manager_port}"
    for name, script in (
        ("hft-trading-system", f'PYTHONPATH={path} exec {python} -P -m hft_incident.lab.trading_system "$@"'),
        ("systemctl", f'{client} systemctl "$@"'),
        ("journalctl", f'{client} journalctl "$@"'),
        ("coredumpctl", _COREDUMPCTL),
        ("switch-port", _SWITCH_PORT.format(run=shlex.quote(str(files.run)))),
    ):
        command = folder / name
        command.write_text(f"#!/bin/sh\n# Written by `hft-incident lab up`; gone when the lab is.\n{script}\n")
        command.chmod(0o700)


#: systemd keeps no core dumps where the kernel does not hand them to it, and then its command says so.
_COREDUMPCTL = """\
case $(cat /proc/sys/kernel/core_pattern) in
  *systemd-coredump*) PATH=/usr/bin:/bin exec coredumpctl "$@" ;;
esac
echo 'No coredumps found.' >&2
exit 1"""


#: What a switch does when the port of a host is closed: here, whoever plays the network looks for the file.
_SWITCH_PORT = """\
case $HFT_STATE in
  isolated) : > {run}/"$1".unplugged ;;
  open) rm -f {run}/"$1".unplugged ;;
  *) echo "HFT_STATE is neither isolated nor open" >&2; exit 2 ;;
esac"""


def reserve_port() -> socket.socket:
    """A port that is ours for as long as this lives: a trading system may listen there, and nobody else is given it.

    Both bind with SO_REUSEADDR, and a socket that does not listen is then in nobody's way; connections are refused.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder
