# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Each example responds to an outage at a running lab; the remote one through a real sshd."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.lab.waiting import wait_until

from ansible_collections.hft.incident.plugins.module_utils.incident import list_incidents, state_of
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from hft_incident.lab.lab import Lab, running_lab

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
BIN = Path(sys.executable).parent
VENUES = {"binance": "binance", "okx": "okx", "bybit": "bybit"}
PATIENCE_S = 120
SSHD = shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]))


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


class Jumphost(NamedTuple):
    """How to reach it by ssh, and where its log is."""

    ssh: str
    log: Path


@pytest.fixture
def jumphost(tmp_path: Path) -> Iterator[Jumphost]:
    """A real sshd with keys of its own, for whoever runs the tests."""
    if SSHD is None:
        pytest.skip("sshd is not installed here: make sshd, or install OpenSSH's server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it locks itself in before anybody is let in
    folder = tmp_path / "ssh"
    folder.mkdir(mode=0o700)
    for key in ("host", "ops"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "ListenAddress": "127.0.0.1",
        "Port": port,
        "HostKey": folder / "host",
        "PidFile": "none",
        "AuthorizedKeysFile": folder / "ops.pub",
        "AuthenticationMethods": "publickey",
        "UsePAM": "no",
        "StrictModes": "no",  # the folder of a test is under one that everybody may write
    }
    (folder / "config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    host_key = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    ssh = [
        "ssh", "-F", "none", "-i", str(folder / "ops"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
        "-o", f"UserKnownHostsFile={folder / 'known_hosts'}", "-o", "StrictHostKeyChecking=yes",
        "-p", str(port), f"{user}@127.0.0.1",
    ]  # fmt: skip
    log = folder / "log"
    with subprocess.Popen([SSHD, "-D", "-f", folder / "config", "-E", log]) as server:
        try:
            wait_until(lambda: subprocess.run([*ssh, "true"], capture_output=True, check=False).returncode == 0, 30.0)
            yield Jumphost(shlex.join(ssh), log)
        finally:
            server.terminate()


def test_a_response_on_another_host_by_transmit_worker_and_process(
    lab: Lab, jumphost: Jumphost, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    words = (
        "--ssh", jumphost.ssh, "--bin", str(BIN), "--inventory", str(lab.inventory),
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


def test_a_jumphost_that_lets_nobody_in_is_no_success(lab: Lab, jumphost: Jumphost, tmp_path: Path) -> None:
    words = (
        "--ssh", jumphost.ssh.replace("IdentitiesOnly=yes", "IdentitiesOnly=no").replace("/ops ", "/host "),
        "--bin", str(BIN), "--inventory", str(lab.inventory), "exchange_outage", "exchange=bybit",
    )  # fmt: skip
    before = len(list_incidents(lab.home))
    code, told, errors = example(tmp_path, {"HOME": str(tmp_path)}, "runner_remote.py", *words)
    assert code != 0, told
    assert "Permission denied" in errors
    assert len(list_incidents(lab.home)) == before
