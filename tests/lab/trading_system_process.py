# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's trading system as a real process, for tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

from .venues_host import KEY, Host

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "hft_incident.lab.trading_system", *arguments]


class Reply(NamedTuple):
    status: int
    body: Any
    headers: Mapping[str, str]


class TradingSystemProcess:
    """``folder`` holds its configuration, its log, its keys and its hold file; ``more`` goes into the configuration."""

    def __init__(
        self,
        folder: Path,
        host: Host,
        exchanges: Mapping[str, str],
        *,
        token: str | None = None,
        observe: bool = False,
        **more: str | None,
    ) -> None:
        self.folder = folder
        self.hold_file = folder / "hold"
        self.log_file = folder / "hft.log"
        self.key_file = folder / "trading.key"
        self.config_file = folder / "config.json"
        self.fault_file = folder / "fault"
        self.write_key(KEY.id)
        token_file = folder / "token"
        if token is not None:
            token_file.write_text(token + "\n")
        config = {
            "port": 0,
            "hold_file": str(self.hold_file),
            "log_file": str(self.log_file),
            "token_file": None if token is None else str(token_file),
            "fault_file": str(self.fault_file),
            "exchanges": [
                {
                    "name": name,
                    "driver": driver,
                    "url": f"http://127.0.0.1:{host.venues[name].port}",
                    "key_file": str(self.key_file),
                }
                for name, driver in exchanges.items()
            ],
            **more,
        }
        self.config_file.write_text(json.dumps(config))
        with open(folder / "stderr", "w") as errors:
            self.process = subprocess.Popen(
                command("--config", str(self.config_file), *(["--observe"] if observe else [])),
                stdout=subprocess.PIPE,
                stderr=errors,
                env=ENVIRONMENT,
            )
        assert self.process.stdout is not None
        report = self.process.stdout.readline()
        assert report, self.said()
        self.port: int = json.loads(report)["port"]

    def write_key(self, key_id: str) -> None:
        key = {"id": key_id, "secret": KEY.secret, "passphrase": KEY.passphrase}
        self.key_file.write_text(json.dumps(key))

    def call(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, raw: bytes = b""
    ) -> Reply:
        data = raw or (b"" if body is None else json.dumps(body).encode())
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, f"/api/v1{path}", data, dict(headers or {}))
            response = connection.getresponse()
            return Reply(response.status, json.load(response), dict(response.getheaders()))
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        reply = self.call("GET", path)
        assert reply.status == 200, reply
        return reply.body

    def open_orders(self, exchange: str = "") -> list[dict[str, Any]]:
        """Every page of what it believes is open."""
        rows: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self.get(f"/orders?status=open&limit=1000&exchange={exchange}&cursor={cursor}")
            rows += page["orders"]
            cursor = page["cursor"]
            if cursor is None:
                return rows

    def said(self) -> str:
        """On standard error."""
        return (self.folder / "stderr").read_text()

    def commit(self, word: str) -> int:
        """Have the mishap; the exit status."""
        self.fault_file.write_text(word)
        self.process.send_signal(signal.SIGUSR1)
        return self.process.wait(timeout=20)

    def kill_dash_nine(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=10)

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=10)


@contextmanager
def trading_system(
    folder: Path,
    host: Host,
    exchanges: Mapping[str, str],
    *,
    token: str | None = None,
    observe: bool = False,
    **more: str | None,
) -> Iterator[TradingSystemProcess]:
    """``exchanges`` is {name of a running venue: driver}."""
    system = TradingSystemProcess(folder, host, exchanges, token=token, observe=observe, **more)
    try:
        yield system
    finally:
        if system.process.poll() is None:
            system.kill_dash_nine()
        assert system.process.stdout is not None
        system.process.stdout.close()
