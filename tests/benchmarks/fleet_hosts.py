# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Hosts to measure on: this machine many times over, each with a folder and a trading system's killswitch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from .venues import BenchError

HERE = Path(__file__).parent
LOG_BYTES = 64 * 1024
CONFIG_BYTES = 2 * 1024


class Host(NamedTuple):
    """One host: ``port`` is its trading system's, ``files`` are its log and its configuration."""

    name: str
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def hold_file(self) -> Path:
        return self.folder / "etc" / "HOLD"

    @property
    def files(self) -> tuple[Path, Path]:
        return self.folder / "trading.log", self.folder / "trading.json"


class Fleet:
    """``hosts`` and the server of their trading systems; ``kept`` is where rivals put what they fetch."""

    def __init__(self, folder: Path, ports: Sequence[int]) -> None:
        names = [f"host-{number:03}" for number in range(1, len(ports) + 1)]
        self.hosts = [Host(name, folder / name, port) for name, port in zip(names, ports, strict=True)]
        self.home, self.kept = folder / "home", folder / "kept"
        self.inventory, self.pyinfra_inventory = folder / "hosts.yml", folder / "hosts.py"
        for host in self.hosts:
            host.hold_file.parent.mkdir(parents=True)
            log, config = host.files
            log.write_bytes(_lines(f"{host.name} filled BTCUSDT 0.010 at 64000.10", LOG_BYTES))
            config.write_bytes(_lines(f"# {host.name}", CONFIG_BYTES))
        self.inventory.write_text(yaml.safe_dump(self._ansible()))
        rows = [(f"@local/{host.name}", self._data(host)) for host in self.hosts]
        self.pyinfra_inventory.write_text(f"hosts = {rows!r}\n")

    def reset(self) -> None:
        """Nothing held, nothing closed, nothing kept."""
        self._ask("DELETE")
        for host in self.hosts:
            host.hold_file.unlink(missing_ok=True)
        for folder in (self.home, self.kept):
            shutil.rmtree(folder, ignore_errors=True)

    def require_contained(self) -> None:
        """Raises BenchError."""
        held = sum(host.hold_file.exists() for host in self.hosts)
        closed = self._ask("GET")
        if (held, closed) != (len(self.hosts), len(self.hosts)):
            raise BenchError(f"of {len(self.hosts)} hosts {held} are held and {closed} are closed")

    def require_kept(self) -> None:
        """Every host's files, byte for byte, somewhere below where they were to go; raises BenchError."""
        found = {path.read_bytes() for root in (self.home, self.kept) for path in root.rglob("trading.*")}
        lost = [path for host in self.hosts for path in host.files if path.read_bytes() not in found]
        if lost:
            raise BenchError(f"{len(lost)} files were not kept, the first: {lost[0]}")

    def _ansible(self) -> dict[str, Any]:
        variables = {
            "ansible_connection": "shipped",
            "ansible_python_interpreter": sys.executable,
            "bench_kept": str(self.kept),
            "hft_venues": [],
            "hft_gates": {"resume_trading": {"question": "May trading resume?", "people": 2, "groups": ["trading"]}},
            "hft_allowed_signers": "/dev/null",
            "hft_trading_systems": [{"name": host.name, "url": host.url} for host in self.hosts],
        }
        hosts = {
            host.name: {
                "bench_folder": str(host.folder),
                "bench_api": f"{host.url}/api/v1",
                "hft_trading_system": host.name,
                "hft_hold_file": str(host.hold_file),
                "hft_log_files": [str(host.files[0])],
                "hft_config_file": str(host.files[1]),
            }
            for host in self.hosts
        }
        return {"all": {"vars": variables, "children": {"trading_hosts": {"hosts": hosts}}}}

    def _data(self, host: Host) -> dict[str, Any]:
        paths = [str(path) for path in host.files]
        api = f"{host.url}/api/v1"
        return {"hold_file": str(host.hold_file), "api": api, "paths": paths, "kept": str(self.kept)}

    def _ask(self, method: str) -> int:
        connection = HTTPConnection("127.0.0.1", self.hosts[0].port, timeout=30)
        connection.request(method, "/closed")
        return int(json.loads(connection.getresponse().read()))


@contextmanager
def fleet(folder: Path, count: int) -> Iterator[Fleet]:
    """Raises BenchError."""
    command = [sys.executable, str(HERE / "fleet_api.py"), str(count)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise BenchError("the trading systems did not start")
            yield Fleet(folder, json.loads(line))
        finally:
            process.terminate()


def _lines(text: str, size: int) -> bytes:
    line = f"{text}\n".encode()
    return line * (size // len(line))
