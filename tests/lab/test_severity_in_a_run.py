# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The severity under a real `ansible-playbook`: there before the first task, raised by what the tasks find out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.incident import list_incidents, open_incident, state_of
from ansible_collections.hft.incident.plugins.module_utils.journal import verify

COLLECTIONS = Path(__file__).parents[2] / "collections"
# Stands for a module of the collection: returns what the task says.
SAY = """
from ansible.plugins.action import ActionBase
class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        return {**super().run(tmp, task_vars), "changed": False, **self._task.args}
"""

Play = Callable[..., tuple[int, str]]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Runs exchange_outage.yml with tasks that find out what ``found`` says, in this order."""
    (tmp_path / "action_plugins").mkdir()
    (tmp_path / "action_plugins" / "say.py").write_text(SAY)
    (tmp_path / "hosts.yml").write_text("all: {hosts: {localhost: {ansible_connection: local}}}\n")

    def run(*found: tuple[str, Mapping[str, Any]], extra: str = "", env: Mapping[str, str] | None = None) -> Any:
        tasks = [{"name": kind, "say": {"record": [{"kind": kind, "data": data}]}} for kind, data in found]
        head = {"name": "Contain", "hosts": "all", "gather_facts": False, "tags": ["contain"], "tasks": tasks}
        (tmp_path / "exchange_outage.yml").write_text(json.dumps([head]))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "HFT_"))}
        done = subprocess.run(
            [
                str(Path(sys.executable).parent / "ansible-playbook"),
                *("-i", "hosts.yml", "exchange_outage.yml", "-e", f"exchange=okx {extra}"),
            ],
            env={
                **kept,
                "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
                "ANSIBLE_CALLBACKS_ENABLED": "hft.incident.scribe",
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
                "ANSIBLE_HOME": str(tmp_path / "ansible"),
                "HFT_INCIDENT_HOME": str(tmp_path / "home"),
                **(env or {}),
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def events(tmp_path: Path) -> list[Event]:
    (incident,) = list_incidents(tmp_path / "home")
    assert verify(incident.journal.path).state == "intact"
    return incident.journal.events()


def down(name: str) -> tuple[str, dict[str, Any]]:
    return "venue.diagnosed", {"name": name, "verdict": "venue_down", "sentence": "it is down"}


def test_it_is_there_before_the_first_task_and_raised_right_after_the_task_that_found_out(
    play: Play, tmp_path: Path
) -> None:
    code, said = play(down("okx"), down("bybit"), ("positions.reconciled", {"verdict": "breaks", "reason": "x"}))
    assert code == 0, said
    told = events(tmp_path)
    kinds = [event.kind for event in told]
    assert kinds[0] == "incident.opened"
    assert told[0].data["severity"] == 2
    (place,) = [number for number, kind in enumerate(kinds) if kind == "severity.set"]
    assert kinds[place - 2 : place] == ["venue.diagnosed", "task.finished"], "after the second venue"
    assert kinds[place + 1] == "positions.reconciled", "and the books, which are as bad, change nothing more"
    change = told[place].data
    assert (change["before"], change["severity"], change["by"]) == (2, 1, "rules")
    assert change["rule"] == "several_exchanges_disconnected"
    assert "severity 2 -> 1: more than one exchange is out" in " ".join(said.split())


def test_what_an_alert_knows_counts_from_the_beginning(play: Play, tmp_path: Path) -> None:
    play(down("okx"), extra="hft_fact_exchanges_down=all")
    (opened, *rest) = events(tmp_path)
    assert (opened.data["severity"], opened.data["assessment"]["rule"]) == (1, "all_exchanges_disconnected")
    assert not [event for event in rest if event.kind == "severity.set"]


def test_a_run_that_goes_on_does_not_raise_what_a_person_has_lowered(play: Play, tmp_path: Path) -> None:
    incident = open_incident("exchange_outage", home=tmp_path / "home")
    incident.journal.append(*down("okx"))
    incident.journal.append(*down("bybit"))
    lowered = {"severity": 3, "before": 2, "by": "person", "rule": None, "reason": "a test account"}
    incident.journal.append("severity.set", lowered)
    play(down("okx"), env={"HFT_INCIDENT_ID": incident.id})
    assert state_of(events(tmp_path)).severity == 3


def test_rules_that_cannot_be_read_end_the_run_before_anything_is_there(play: Play, tmp_path: Path) -> None:
    folder = tmp_path / "group_vars" / "all"
    folder.mkdir(parents=True)
    (folder / "severity.yml").write_text("hft_severity_rules: {rules: {x: {severity: 1, if: {disk: fool}, why: y}}}")
    code, said = play(down("okx"))
    assert code == 2
    assert "severity.yml: rules: 'x': disk: 'fool' is none of ok, warning, full, unknown" in " ".join(said.split())
    assert not (tmp_path / "home").exists()
    incident = open_incident("exchange_outage", home=tmp_path / "home")
    code, said = play(down("okx"), env={"HFT_INCIDENT_ID": incident.id})
    assert code == 2
    assert [event.kind for event in events(tmp_path)] == ["incident.opened"], "not one line, and no task"
