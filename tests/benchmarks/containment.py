# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The exchange outage contained in a running lab, with strategies that quote: from the start of the process to
venue-verified, which is when the venue, its book empty for good, had been asked for its open orders again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from ansible_collections.hft.incident.plugins.module_utils.trading_system import TradingSystem
from hft_incident.lab.lab import Lab
from hft_incident.venues_file import load

from .contest import Contestant
from .pressing import BIN, HERE, ROOT, TIMEOUT_S, with_bytecode
from .venues import ORDERS, BenchError

EXCHANGE = "binance"
#: Only who asks both knows that nothing is open; the trading system itself asks the first only.
LISTINGS = ("/api/v3/openOrders", "/sapi/v1/margin/openOrders")
QUOTING_TIMEOUT_S = 30.0


class Outage:
    """One lab; every run starts with orders at the venue and the strategies quoting."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._venue = lab.venues[EXCHANGE]
        settings = load(str(lab.venues_file))
        self._entry = next(entry for entry in settings.venues if entry.name == EXCHANGE)
        self._system_entry = settings.trading_systems[0]
        self._system = TradingSystem(self._system_entry)
        self._strategies = [s.id for s in self._system.strategies() if s.running]
        self._environment = with_bytecode(os.environ) | {
            "HFT_INCIDENT_HOME": str(lab.home),
            "ANSIBLE_NOCOLOR": "1",
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        }

    def contestants(self, *, rivals: bool = True) -> list[Contestant]:
        inventory, inputs = str(self._lab.inventory), ["-e", f"exchange={EXCHANGE}", "-e", "confirmed=true"]
        playbook = [str(BIN / "ansible-playbook"), "-i", inventory]
        outage = [*playbook, "playbooks/exchange_outage.yml", "--tags", "detect,contain", *inputs]
        run = [str(BIN / "hft-incident"), "run", "exchange_outage", "-i", inventory, *inputs, "--until", "contain"]
        nothing = "ansible-playbook, nothing"
        ours = [
            Contestant(nothing, lambda: self._idle([*playbook, str(HERE / "noop.yml")]), note="start to end"),
            Contestant("ansible-playbook, contain", lambda: self._contained(outage), nothing),
            Contestant("hft-incident run, contain", lambda: self._contained(run), nothing),
        ]
        stock = Contestant(
            "stock tasks and settings",
            self._stock,
            nothing,
            note="told which Python to use; without isolated margin, record, stopping the strategies, or a second look",
        )
        return [*ours, stock] if rivals else ours

    def _idle(self, command: Sequence[str]) -> float:
        started = time.time()
        self._run(command, self._environment | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")})
        return (time.time() - started) * 1000

    def _contained(self, command: Sequence[str]) -> float:
        return self._verified(command, self._environment | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")})

    def _stock(self) -> float:
        stock = self._lab.home / "stock.cfg"
        stock.write_text("")
        token = (self._system_entry.token or "").removeprefix("file:")
        command = [str(BIN / "ansible-playbook"), "-i", "localhost,", str(HERE / "stock.yml")]
        command += ["-e", f"exchange={EXCHANGE}", "-e", f"api={self._system_entry.url}/api/v1"]
        command += ["-e", f"token_file={token}", "-e", f"ansible_python_interpreter={sys.executable}"]
        keys = {
            "STOCK_PORT": str(self._venue.port),
            "STOCK_KEY_FILE": (self._entry.api_key or "").removeprefix("file:"),
            "STOCK_SECRET_FILE": (self._entry.api_secret or "").removeprefix("file:"),
            "ANSIBLE_CONFIG": str(stock),
        }
        return self._verified(command, self._environment | keys)

    def _verified(self, command: Sequence[str], environment: dict[str, str]) -> float:
        self._reset()
        started = time.time()
        self._run(command, environment)
        truth = self._venue.truth()
        if truth.open_orders:
            raise BenchError(f"{command[0]}: {len(truth.open_orders)} orders are still open")
        emptied_at = truth.happenings[-1].at
        asked = {}
        for request in reversed(self._venue.requests()):
            if request.at >= emptied_at and request.path in LISTINGS and request.method == "GET":
                asked[request.path] = request.at
        if len(asked) < len(LISTINGS):
            raise BenchError(f"{command[0]}: nobody asked the venue whether it is empty")
        return (max(asked.values()) - started) * 1000

    def _run(self, command: Sequence[str], environment: dict[str, str]) -> None:
        done = subprocess.run(
            command,
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise BenchError(f"{command[0]} ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")

    def _reset(self) -> None:
        """As before an outage: the exchange open, every strategy quoting, and orders that rest."""
        self._system.set_enabled(EXCHANGE, True)
        self._system.reconnect(EXCHANGE)
        for strategy in self._strategies:
            self._system.set_running(strategy, True)
        self._wait(lambda: len(self._venue.truth().open_orders) > 1)
        self._venue.seed(ORDERS)
        self._venue.forget_requests()

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + QUOTING_TIMEOUT_S
        while not condition():
            if time.monotonic() > deadline:
                raise BenchError(f"the strategies do not quote at {EXCHANGE} again")
            time.sleep(0.05)
