# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Whether a host could be isolated, asked of a host behind a real sshd in network namespaces: by its own rehearsal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from hft_incident.doctor.findings import BAD, OK, WARN, Finding

from .isolation_net import EXCHANGE_PORT, Net, isolation_net, v4

TABLES_OF_NOBODY: set[str] = set()
SAID = {"hft_responders": [v4("control")], "hft_isolation_forbidden": [f"{v4('exchange')}:{EXCHANGE_PORT}"]}


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    with isolation_net(tmp_path_factory.mktemp("isolation") / "net") as made:
        yield made


def look(net: Net, folder: Path, said: Mapping[str, Any]) -> list[Finding]:
    """What the doctor says of the host and its isolation, from the jumphost's own place in the network."""
    options = f"-F none -o IdentitiesOnly=yes -o UserKnownHostsFile={net.folder / 'known_hosts'}"
    host = {
        "ansible_host": v4("host"),
        "ansible_user": "root",
        "ansible_python_interpreter": sys.executable,
        "ansible_ssh_private_key_file": str(net.folder / "ops"),
        "ansible_ssh_common_args": options,
        "hft_unit": "hft_system.service",
        **said,
    }
    (folder / "hosts.yml").write_text(yaml.safe_dump({"trading_hosts": {"hosts": {"hft-1": host}}}))
    program = Path(sys.executable).with_name("hft-incident")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "HFT_"))}
    done = subprocess.run(
        net.command("control", [program, "doctor", "-i", folder / "hosts.yml", "--timeout", "120", "--json"]),
        cwd=folder,
        env={**kept, "HFT_INCIDENT_HOME": str(folder / "home"), "ANSIBLE_HOME": str(folder / "ansible")},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    rows = json.loads(done.stdout)["checks"]
    return [Finding(**row) for row in rows if row["check"] in ("host", "python", "isolation")]


def test_the_hosts_own_rehearsal_says_who_would_get_in_and_changes_nothing(net: Net, tmp_path: Path) -> None:
    found = look(net, tmp_path, SAID)
    assert [(one.check, one.verdict) for one in found] == [("host", OK), ("python", OK), ("isolation", OK)]
    assert f"rehearsed: would let in {v4('control')}/32 by SSH and nobody else" in found[-1].says
    assert "root there can undo" in found[-1].says
    assert net.tables() == TABLES_OF_NOBODY
    assert net.left_in_run() == set()


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"hft_responders": [v4("other")]}, f"this very connection, from {v4('control')} to port 22, is not let in"),
        ({"hft_responders": ["jumphost.example.com"]}, "is not an address or a network"),
        ({"hft_responders": [v4("control"), v4("host")]}, "this host's own address"),
        ({"hft_isolation_forbidden": []}, "give one destination at least that must be out of reach"),
    ],
)
def test_what_it_would_refuse_when_it_counts_it_refuses_now(
    net: Net, tmp_path: Path, said: dict[str, Any], says: str
) -> None:
    (found,) = [one for one in look(net, tmp_path, {**SAID, **said}) if one.check == "isolation"]
    assert (found.verdict, says in found.says) == (BAD, True), found
    assert "hft_responders" in found.mend
    assert net.tables() == TABLES_OF_NOBODY


def test_a_command_from_outside_that_cannot_be_started_leaves_the_host_itself(net: Net, tmp_path: Path) -> None:
    said = {**SAID, "hft_external_isolation_command": ["/nowhere/switch-port"]}
    outside, itself = [one for one in look(net, tmp_path, said) if one.check == "isolation"]
    assert (outside.verdict, itself.verdict) == (WARN, OK)
    assert "on the host alone, not from outside: /nowhere/switch-port is not there" in outside.says


def test_a_host_that_is_not_there_is_said_once(net: Net, tmp_path: Path) -> None:
    found = look(net, tmp_path, {**SAID, "ansible_host": v4("exchange")})
    assert [(one.check, one.verdict) for one in found] == [("host", BAD)]
