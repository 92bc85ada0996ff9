# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Venues to measure against: the lab's servers in processes of their own, quiet but for the orders that are seeded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

KEY_ID = "bench-key-0001"
SECRET = "YmVuY2gtc2VjcmV0LWJlbmNoLXNlY3JldC1iZW5jaC1zZWNyZXQtYmVuY2gtc2VjcmV0"  # base64, as Kraken's are
PASSPHRASE = "bench-passphrase"
#: What the contestants' keys are referred to by.
ENVIRONMENT = {"BENCH_KEY": KEY_ID, "BENCH_SECRET": SECRET, "BENCH_PASSPHRASE": PASSPHRASE}
#: The dialects in turn, each with the symbols that are seeded: plain orders that every contestant can list.
SYMBOLS = {
    "binance": ("BTCUSDT", "ETHUSDT", "SOLUSDT"),
    "bybit": ("BTCUSDT", "ETHUSDT", "BTCUSD"),
    "okx": ("BTC-USDT", "ETH-USDT", "BTC-USDT-SWAP"),
    "kraken": ("XBTUSD", "ETHUSD", "SOLUSD"),
    "deribit": ("BTC-PERPETUAL", "ETH-PERPETUAL", "BTC_USDC-PERPETUAL"),
}
ORDERS = 30


class BenchError(Exception):
    """What was to be measured did not happen; one line for people."""


class Bench(NamedTuple):
    """One venue: ``ask`` talks to its controls."""

    name: str
    driver: str
    port: int
    control: HTTPConnection

    def ask(self, method: str, what: str, body: object = None) -> Any:
        self.control.request(method, f"/venues/{self.name}/{what}", None if body is None else json.dumps(body))
        response = self.control.getresponse()
        document = json.loads(response.read())
        if response.status >= 400:
            raise BenchError(f"{self.name}: {document['error']['message']}")
        return document

    def seed(self) -> None:
        """ORDERS resting orders, and no other."""
        live = len(self.ask("GET", "truth")["open_orders"])
        if live:
            raise BenchError(f"{self.name}: {live} orders are left of the run before")
        symbols = SYMBOLS[self.driver]
        for symbol in symbols:
            self.ask("POST", "orders", {"symbol": symbol, "count": ORDERS // len(symbols)})


class Farm:
    """Venues over a few processes."""

    def __init__(self, venues: Sequence[Bench], pids: Sequence[int]) -> None:
        self.venues = venues
        self._pids = pids

    def set_latency(self, ms: float) -> None:
        for venue in self.venues:
            venue.ask("PUT", "latency", {"ms": ms})

    def cpu_ms(self) -> float:
        """Processor time that the servers have used so far."""
        ticks = 0
        for pid in self._pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks * 1000 / os.sysconf("SC_CLK_TCK")


@contextmanager
def farm(count: int, folder: Path, processes: int = 4) -> Iterator[Farm]:
    """``count`` venues of every dialect in turn, spread over the processes; raises BenchError."""
    drivers = list(SYMBOLS)
    named = [(f"{drivers[i % len(drivers)]}-{i // len(drivers)}", drivers[i % len(drivers)]) for i in range(count)]
    keys = folder / "keys.json"
    key = {"id": KEY_ID, "secret": SECRET, "passphrase": PASSPHRASE}
    keys.write_text(json.dumps({name: [key] for name, _ in named}))
    keys.chmod(0o600)
    with ExitStack() as stack:
        # A block of all dialects a process: the load is the same everywhere.
        shares = [[n for i, n in enumerate(named) if i // len(drivers) % processes == p] for p in range(processes)]
        servers = [stack.enter_context(_server(share, keys)) for share in shares if share]
        found = {venue.name: venue for _, venues in servers for venue in venues}
        yield Farm([found[name] for name, _ in named], [pid for pid, _ in servers])


@contextmanager
def _server(share: Sequence[tuple[str, str]], keys: Path) -> Iterator[tuple[int, list[Bench]]]:
    words = [word for name, driver in share for word in ("--venue", f"{name}={driver}")]
    with subprocess.Popen(
        [sys.executable, "-m", "hft_incident.lab.venues", *words, "--keys", str(keys)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise BenchError("the venues did not start")
            report = json.loads(line)
            control = HTTPConnection("127.0.0.1", report["control_port"], timeout=30)
            venues = [Bench(name, driver, report["venues"][name]["port"], control) for name, driver in share]
            for venue in venues:
                venue.ask("PUT", "market", {"moving": False})
            yield process.pid, venues
        finally:
            process.terminate()
