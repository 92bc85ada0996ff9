# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The latch of a host that is not the control node: only the hold file is the host's business."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ansible_collections.hft.incident.plugins.module_utils.incident import ENV_DIR, Incident
from ansible_collections.hft.incident.plugins.module_utils.steps import gate
from hft_incident import approve

from ..people import GATE, Firm
from .stand_in import StandIn, stand_ins
from .steps import run
from .test_doors import BIN, ELSEWHERE, _environment

#: As `elsewhere`, until the host is gone: every command finds nobody.
NOBODY_THERE = ELSEWHERE.replace(
    "def exec_command(self, cmd, in_data=None, sudoable=True):",
    "def exec_command(self, cmd, in_data=None, sudoable=True):\n"
    "        from ansible.errors import AnsibleConnectionFailure\n"
    "        raise AnsibleConnectionFailure('no route to host')\n",
).replace("elsewhere", "nowhere")


class Played(NamedTuple):
    results: dict[str, Any]
    shipped: int


class World:
    """A trading host ``door``, its trading system and an incident."""

    def __init__(self, folder: Path, firm: Firm, incident: Incident, system: StandIn) -> None:
        self.firm = firm
        self.incident = incident
        self.system = system
        self.hold_file = folder / "hft/ir-hold"
        self._folder = folder
        (folder / "elsewhere.py").write_text(ELSEWHERE)
        (folder / "nowhere.py").write_text(NOBODY_THERE)

    def play(self, *states: str, connection: str = "elsewhere") -> Played:
        args = {
            "hold_file": str(self.hold_file),
            "trading_systems": [self.system.entry],
            "gate": GATE,
            "gates": self.firm.gates,
            "allowed_signers": str(self.firm.signers),
            "timeout": 20,
        }
        tasks: list[dict[str, Any]] = [
            {"hft.incident.latch": {**args, "state": state}, "register": state, "ignore_errors": True}
            for state in states
        ]
        results = ", ".join(f"'{state}': {state}" for state in states)
        tasks.append({"ansible.builtin.debug": {"msg": "RESULTS={{ {" + results + "} | to_json | b64encode }}"}})
        (self._folder / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
        (self._folder / "shipped").write_text("")
        done = subprocess.run(
            [BIN / "ansible-playbook", "-i", "door,", "-c", connection, "play.yml"],
            cwd=self._folder,
            env={**_environment(self._folder, sys.executable), ENV_DIR: str(self.incident.directory)},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        found = re.search(r"RESULTS=([\w+/=]+)", done.stdout)
        assert found, done.stdout + done.stderr
        shipped = len((self._folder / "shipped").read_text().splitlines())
        told: dict[str, Any] = json.loads(base64.b64decode(found[1]))
        for result in told.values():  # as the scribe does
            self.incident.journal.extend([(line["kind"], line["data"]) for line in result.get("record", [])])
        return Played(told, shipped)

    def allow(self) -> None:
        for name in ("alice", "bob"):
            approve(self.incident.id, GATE, key=self.firm.key(name))
        passed = run(gate, gate=GATE, gates=self.firm.gates, allowed_signers=str(self.firm.signers))
        self.incident.journal.extend([(line["kind"], line["data"]) for line in passed["record"]])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    firm = Firm(tmp_path)
    incident = firm.incident()
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(firm.home))
    monkeypatch.setenv(ENV_DIR, str(incident.directory))
    with stand_ins("hft-1") as (system,):
        yield World(tmp_path, firm, incident, system)


def test_it_is_closed_by_anybody_and_opened_by_two_and_without_them_nothing_is_even_sent(world: World) -> None:
    played = world.play("closed", "open")
    closed, held = played.results["closed"], played.results["open"]
    assert (closed["failed"], closed["changed"], closed["agree"], closed["host"]) == (False, True, True, "door")
    assert closed["hold"]["holders"][0]["incident"] == world.incident.id
    assert [item["id"] for item in closed["inverses"]]
    assert (held["failed"], held["outcome"]) == (True, "held")
    assert (world.hold_file.exists(), world.system.killswitch["active"], played.shipped) == (True, True, 1)
    world.allow()
    played = world.play("open")
    opened = played.results["open"]
    assert (opened["failed"], opened["state"], opened["agree"], opened["journal"]) == (False, "open", True, "closed")
    assert (world.hold_file.exists(), world.system.killswitch["active"], played.shipped) == (False, False, 1)


def test_a_host_that_nobody_reaches_does_not_keep_its_trading_system_from_being_told(world: World) -> None:
    result = world.play("closed", connection="nowhere").results["closed"]
    assert (result["failed"], result["outcome"], result["state"]) == (True, "unproven", "closed")
    assert "cannot be reached: no route to host" in result["msg"]
    assert world.system.killswitch["active"] is True
    assert result["hold"]["state"] == "unknown"
