# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Molecule skips what it cannot find and calls that a success; so what a scenario names is there, and a machine that
cannot make hosts is told so. (`make molecule` runs the scenarios.)"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from hft_incident.catalog import COLLECTION

ROOT = Path(__file__).resolve().parents[2]
MOLECULE = ROOT / "molecule"
SCENARIOS = sorted(path.parent for path in MOLECULE.glob("*/molecule.yml"))
ACTIONS = ("converge", "idempotence", "verify", "side_effect", "cleanup")


def test_a_scenario_is_named_for_its_playbook() -> None:
    playbooks = {path.stem for path in (COLLECTION / "playbooks").glob("*.yml")}
    names = {scenario.name for scenario in SCENARIOS}
    assert {"exchange_outage", "security_breach", "system_crash"} <= names <= playbooks | {"default"}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.name)
def test_what_a_scenario_runs_is_there(scenario: Path) -> None:
    settings = yaml.safe_load((scenario / "molecule.yml").read_text())
    usual = settings.get("ansible", {}).get("playbooks", {})
    for step in settings["scenario"]["test_sequence"]:
        action, *named = step.split(" ")
        playbook = "converge" if action == "idempotence" else action
        for file in (usual.get(playbook, f"{playbook}.yml"), *named):
            assert (scenario / file).is_file(), f"{step}: {file}"


def run(tmp_path: Path, **stubs: str) -> subprocess.CompletedProcess[str]:
    """``run.sh true`` on a machine whose commands of these names are these scripts."""
    for name, script in stubs.items():
        command = tmp_path / name.replace("_", "-")
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    venv = str(Path(sys.executable).parents[1])
    words = [str(MOLECULE / "run.sh"), "true"]
    return subprocess.run(
        words, env=os.environ | {"PATH": path, "VENV": venv}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("stubs", "said"),
    [
        ({"id": "echo 1000"}, "molecule: the hosts are system containers: run it as root\n"),
        (
            {"id": "echo 0", "dpkg_query": "exit 1", "apt_get": "echo no such package >&2; exit 100"},
            "molecule: the packages that make hosts cannot be installed: no such package\n",
        ),
        (
            {"id": "echo 0", "dpkg_query": "", "mkdir": "", "find": "", "bash": "echo not permitted >&2; exit 1"},
            "molecule: podman cannot run here: not permitted\n",
        ),
    ],
    ids=["not root", "nothing to install", "no namespaces"],
)
def test_a_machine_that_cannot_make_hosts_is_told_so_in_a_line(
    tmp_path: Path, stubs: dict[str, str], said: str
) -> None:
    done = run(tmp_path, **stubs)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
