# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Each example responds to an outage at a running lab; the remote one through a real sshd."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.lab.ssh_host import SshHost, ssh_host

from ansible_collections.hft.incident.plugins.module_utils.incident import list_incidents, state_of
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from hft_incident.lab.lab import Lab, running_lab

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
BIN = Path(sys.executable).parent
VENUES = {"binance": "binance", "okx": "okx", "bybit": "bybit"}
PATIENCE_S = 120


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("home"), VENUES, database=False) as running:
        yield running


def example(folder: Path, env: Mapping[str, str], name: str, *words: str) -> tuple[int, list[dict[str, Any]], str]:
    """Its exit code, the objects that it printed, and what it complained of; started in an empty folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "HFT_"))}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *words],
        cwd=folder,
        env={**kept, **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")], done.stderr


def is_contained(lab: Lab, venue: str) -> None:
    """By the newest record of the lab's home: it waits for two people, the venue is clear, the record is whole."""
    incident = list_incidents(lab.home)[-1]
    state = state_of(incident.journal.events())
    assert (state.type, state.outcome) == ("exchange_outage", "held")
    assert state.venues[venue].verdict == "clear"
    assert list(state.gates) == ["resume_trading"]
    assert verify(incident.journal.path).state == "intact"


def test_a_service_responds_and_shows_how_it_goes(lab: Lab, tmp_path: Path) -> None:
    env = {"HFT_INCIDENT_HOME": str(lab.home), "ANSIBLE_INVENTORY": str(lab.inventory)}
    words = ("exchange_outage", "exchange=binance", "confirmed=true")
    code, told, errors = example(tmp_path, env, "respond_with_progress.py", *words)
    assert code == 4, errors
    kinds = [event["kind"] for event in told[:-1]]
    assert kinds[0] == "incident.opened"
    assert {"kill.verified", "gate.held", "run.finished"} <= set(kinds)
    assert [event["seq"] for event in told[:-1]] == list(range(1, len(told)))
    assert told[-1]["outcome"] == "held"
    is_contained(lab, "binance")


def test_what_cannot_begin_is_an_outcome_too(lab: Lab, tmp_path: Path) -> None:
    env = {"HFT_INCIDENT_HOME": str(lab.home), "ANSIBLE_INVENTORY": str(lab.inventory)}
    code, told, _errors = example(tmp_path, env, "respond_with_progress.py", "exchange_outage")
    assert (code, told[-1]["outcome"]) == (2, "usage")


def test_ansible_runner_runs_the_playbook_by_its_collection_name(lab: Lab, tmp_path: Path) -> None:
    env = {"HFT_INCIDENT_HOME": str(lab.home)}
    words = (str(lab.inventory), "exchange_outage", "exchange=okx", "confirmed=true")
    code, told, errors = example(tmp_path, env, "runner_direct.py", *words)
    assert code == 4, errors
    assert {"task": "Two people allow trading there to resume"} in told
    assert told[-1]["outcome"] == "held"
    assert told[-1]["venues"] == {"okx": "clear"}
    assert told[-1]["incident"] == list_incidents(lab.home)[-1].id
    is_contained(lab, "okx")


# Two hosts -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def jumphost(tmp_path: Path) -> Iterator[SshHost]:
    with ssh_host(tmp_path / "ssh") as running:
        yield running


def test_a_response_on_another_host_by_transmit_worker_and_process(lab: Lab, jumphost: SshHost, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    words = (
        "--ssh", jumphost.command, "--bin", str(BIN), "--inventory", str(lab.inventory),
        "--env", f"HFT_INCIDENT_HOME={lab.home}", "exchange_outage", "exchange=bybit", "confirmed=true",
    )  # fmt: skip
    # The host that asks has neither the inventory nor a record, nor a key of a venue.
    env = {"HFT_INCIDENT_HOME": str(here / "home"), "HOME": str(here)}
    code, told, errors = example(here, env, "runner_remote.py", *words)
    assert code == 4, errors + jumphost.log.read_text()
    assert {"task": "Cancel everything there and close the exchange to new orders, at the same moment"} in told
    assert told[-1]["outcome"] == "held"
    assert not (here / "home").exists()
    is_contained(lab, "bybit")


def test_a_jumphost_that_lets_nobody_in_is_no_success(lab: Lab, jumphost: SshHost, tmp_path: Path) -> None:
    words = (
        "--ssh", jumphost.command.replace("IdentitiesOnly=yes", "IdentitiesOnly=no").replace("/ops ", "/host "),
        "--bin", str(BIN), "--inventory", str(lab.inventory), "exchange_outage", "exchange=bybit",
    )  # fmt: skip
    before = len(list_incidents(lab.home))
    code, told, errors = example(tmp_path, {"HOME": str(tmp_path)}, "runner_remote.py", *words)
    assert code != 0, told
    assert "Permission denied" in errors
    assert len(list_incidents(lab.home)) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["respond_with_progress.py"], "required: type"),
        (["respond_with_progress.py", "exchange_outage", "exchange"], "'exchange' is not NAME=VALUE"),
        (["runner_direct.py"], "required: inventory, type"),
        (["runner_direct.py", "hosts.yml", "exchange_outage", "exchange"], "'exchange' is not NAME=VALUE"),
        (["runner_direct.py", "hosts.yml", "fire"], "unknown incident type 'fire'"),
        (["runner_remote.py"], "required: --ssh"),
    ],
)
def test_wrong_usage_of_an_example_says_what_is_wrong(tmp_path: Path, words: list[str], said: str) -> None:
    code, printed, complaint = example(tmp_path, {"HFT_INCIDENT_HOME": str(tmp_path / "home")}, *words)
    assert code == 2
    assert said in complaint + " ".join(row["reason"] for row in printed)
    assert "Traceback" not in complaint
    assert not (tmp_path / "home").exists()
