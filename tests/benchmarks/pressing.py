# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The red button and its rivals: from the start of the process to the moment when every venue has answered once that
nothing is open. Each contestant says when that was on the wall clock, and the parent knows when it started it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from .contest import Contestant
from .venues import ENVIRONMENT, ORDERS, SYMBOLS, Bench, BenchError

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BIN = Path(sys.executable).parent
TIMEOUT_S = 120

#: Reads a contestant's standard output: how many orders it found, and when the last venue was clear (s since 1970).
Reading = Callable[[str], tuple[int, float]]


class Arena:
    """Contestants against these venues."""

    def __init__(self, venues: Sequence[Bench], folder: Path) -> None:
        self._venues = venues
        self.venues_file = folder / f"venues-{len(venues)}.yml"
        self.venues_file.write_text(yaml.safe_dump({"hft_venues": [_entry(venue) for venue in venues]}))
        self._environment = (
            with_bytecode(os.environ)
            | ENVIRONMENT
            | {
                "HFT_INCIDENT_HOME": str(folder / "home"),
                "BENCH_SYMBOLS": json.dumps(SYMBOLS),
                "BENCH_VENUES": json.dumps([(venue.driver, venue.port) for venue in venues]),
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_NOCOLOR": "1",
                "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            }
        )

    def press(self, command: Sequence[str], read: Reading, extra: Mapping[str, str] | None = None) -> float:
        """Orders at every venue, then the command; ms from its start to the last venue's first empty answer."""
        for venue in self._venues:
            venue.seed()
        started = time.time()
        done = subprocess.run(
            command,
            env=self._environment | dict(extra or {}),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise BenchError(f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")
        found, clear_at = read(done.stdout)
        if found != ORDERS * len(self._venues):
            raise BenchError(f"{command[0]} found {found} orders instead of {ORDERS * len(self._venues)}")
        return (clear_at - started) * 1000

    def contestants(self, *, rivals: bool = True) -> list[Contestant]:
        floor = Contestant("floor", lambda: self.press([sys.executable, str(HERE / "floor.py")], _said))
        button = [str(BIN / "hft-incident"), "kill", "--venues", str(self.venues_file), "--reason", "benchmark"]
        button += ["--confirm", "1", "--timeout", "30", "--json"]
        playbook = [str(BIN / "ansible-playbook"), "-i", "localhost,", str(HERE / "kill.yml")]
        playbook += ["-e", f"@{self.venues_file}"]
        ccxt = [sys.executable, str(HERE / "rival_ccxt.py")]
        ours = [
            floor,
            Contestant("hft-incident kill", lambda: self.press(button, _of_kill), "floor"),
            Contestant("ansible-playbook, killswitch", lambda: self.press(playbook, _of_playbook), "floor"),
        ]
        theirs = [
            Contestant("ccxt, limiter off", lambda: self.press([*ccxt, "off"], _said), "floor"),
            Contestant("ccxt as it comes", lambda: self.press([*ccxt, "on"], _said), "floor"),
        ]
        return ours + theirs if rivals else ours


def with_bytecode(environment: Mapping[str, str]) -> dict[str, str]:
    """As installed programs run: pip compiles what it installs; here the warm-up does."""
    return {name: value for name, value in environment.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _entry(venue: Bench) -> dict[str, Any]:
    entry = {"name": venue.name, "driver": venue.driver, "base_url": f"http://127.0.0.1:{venue.port}"}
    entry |= {"api_key": "env:BENCH_KEY", "api_secret": "env:BENCH_SECRET"}
    return entry | ({"api_passphrase": "env:BENCH_PASSPHRASE"} if venue.driver == "okx" else {})


def _said(output: str) -> tuple[int, float]:
    said = json.loads(output)
    return said["found"], said["clear_at"]


def _of_kill(output: str) -> tuple[int, float]:
    return _of_result(json.loads(output))


def _of_playbook(output: str) -> tuple[int, float]:
    shown = re.search(r'"msg": "KILL (.*)"$', output, re.MULTILINE)
    if shown is None:
        raise BenchError(f"no result in the playbook's output: {output[-2000:]}")
    return _of_result(json.loads(json.loads(f'"{shown[1]}"')))


def _of_result(kill: Mapping[str, Any]) -> tuple[int, float]:
    """Times count from ``started_at``, which comes from the same clock: the sum is exact whatever its own error is."""
    found = sum(venue["open_before"] for venue in kill["venues"])
    last_ms = max(venue["first_clear_ms"] for venue in kill["venues"])
    return found, datetime.fromisoformat(kill["started_at"]).timestamp() + last_ms / 1000
