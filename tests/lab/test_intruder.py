# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's intruder is a real one: what it plants bites whoever looks carelessly, and only the network cuts it off."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ansible_collections.hft.incident.plugins.module_utils.steps import host_audit_info
from hft_incident.lab.config_repo import git
from hft_incident.lab.intruder import ABROAD, ADDRESS, CLIENT_ID, LABEL, Intruder
from hft_incident.lab.lab import Lab, running_lab

from .alone import only_intruder
from .modules.steps import run
from .waiting import wait_until

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is missing: install it")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("home"), {"okx": "okx"}, database=False) as running:
        yield running


@pytest.fixture
def intruder(lab: Lab, tmp_path: Path) -> Iterator[Intruder]:
    with only_intruder():
        somebody = Intruder(lab.trading_systems["hft-1"], lab.venues, tmp_path / "intruder")
        somebody.break_in()
        yield somebody
        somebody.evicted()
        somebody.leave()


def switch(lab: Lab, state: str) -> None:
    command = [str(lab.inventory.parent / "bin" / "switch-port"), "hft-1"]
    subprocess.run(command, env={**os.environ, "HFT_STATE": state}, check=True)


def test_it_calls_home_until_the_switch_is_told_otherwise(lab: Lab, intruder: Intruder) -> None:
    assert intruder.connected
    assert os.readlink(f"/proc/{intruder.pid}/exe").endswith(" (deleted)")
    switch(lab, "isolated")
    wait_until(lambda: not intruder.connected)
    assert intruder.alive
    switch(lab, "open")
    wait_until(lambda: intruder.connected)


def test_who_looks_at_the_configuration_as_the_runbook_does_runs_what_is_planted(intruder: Intruder) -> None:
    assert not intruder.executed.exists()
    shown = git(intruder.system.config_folder, "diff", "HEAD")
    assert str(intruder.folder / "trap") in intruder.executed.read_text()
    assert "5000000" not in shown


def test_a_rebuilt_host_has_the_approved_release_and_nothing_else(lab: Lab, intruder: Intruder) -> None:
    folder = intruder.system.config_folder
    approved = git(folder, "rev-parse", "release").strip()
    intruder.evicted()
    assert not intruder.alive
    assert git(folder, "rev-parse", "HEAD").strip() == approved
    assert git(folder, "status", "--porcelain", "--ignored") == ""
    assert "5000000" not in (folder / "limits.json").read_text()
    assert not intruder.executed.exists()


def test_it_is_in_the_account_too(lab: Lab, intruder: Intruder) -> None:
    truth = lab.venues["okx"].truth()
    assert LABEL in [key.label for key in truth.keys if "withdraw" in key.permissions]
    assert ADDRESS in [withdrawal.address for withdrawal in truth.withdrawals]
    assert CLIENT_ID in [order.client_id for order in truth.open_orders]
    assert ABROAD in [login.ip for login in truth.logins]


def test_an_audit_of_the_host_names_all_that_is_planted_and_runs_none_of_it(lab: Lab, intruder: Intruder) -> None:
    variables = yaml.safe_load((lab.inventory / "host_vars/hft-1.yml").read_text())
    args = {"approved": variables["hft_release"], "config_repository": variables["hft_config_repository"]}
    seen = run(host_audit_info, checks=["repository", "release", "processes", "sockets"], **args)
    told = [f"{finding['what']} {finding['detail']} {finding['path']}" for finding in seen["findings"]]
    assert [one for one in intruder.planted if not any(one.word in words for words in told)] == []
    assert not intruder.executed.exists()
    assert intruder.token not in str(seen.result)
    intruder.evicted()
    again = run(host_audit_info, checks=["repository", "release"], **args)
    assert (again["worst"], again["unknown"]) == ("info", [])
