# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Completion: what is offered where, and that the real shells take it from there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.hft.incident.plugins.module_utils.incident import PHASES, Incident, open_incident
from hft_incident import cli, commands
from hft_incident.catalog import CATALOG
from hft_incident.command_list import COMMANDS
from hft_incident.completion import FILES, MARK, SCRIPTS, answer

BIN = Path(sys.executable).parent
READY = [name for name, entry in CATALOG.items() if entry.is_ready]


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An inventory with two venues, a state folder, and an empty folder to stand in."""
    folder = tmp_path / "site" / "group_vars" / "all"
    folder.mkdir(parents=True)
    venues = [{"name": name, "driver": "okx"} for name in ("okx-main", "okx-other")]
    (folder / "venues.yml").write_text(yaml.safe_dump({"hft_venues": venues}))
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ANSIBLE_INVENTORY", str(tmp_path / "site"))
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path / "empty")
    return tmp_path


@pytest.fixture
def incident(site: Path) -> Incident:
    """One that waits at a gate."""
    made = open_incident("exchange_outage", severity=2, home=site / "home")
    held: dict[str, Any] = {"gate": "resume_trading", "people": 2, "missing": 2}
    made.journal.append("gate.held", held)
    return made


def offered(line: str) -> list[str]:
    """What stands next in this line; ``INC`` is the newest incident, a space at its end begins a new word."""
    return answer([MARK + word for word in line.split(" ")], commands.parser_of)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", [*COMMANDS, "--help", "--version"]),
        ("re", ["resume", "report"]),
        ("run ", READY),
        ("run exchange_outage -e ", [f"{item.name}=" for item in CATALOG["exchange_outage"].inputs]),
        ("run exchange_outage -e exchange=okx-m", ["exchange=okx-main"]),
        ("run exchange_outage --until ", list(PHASES)),
        ("run exchange_outage --sev", ["--severity"]),
        ("run exchange_outage --severity ", ["1", "2", "3", "4"]),
        ("run exchange_outage -i ", [FILES]),
        ("run -i somewhere ", READY),
        ("kill --v", ["--venue", "--venues"]),
        ("kill --venue ", ["okx-main", "okx-other"]),
        ("kill --venues ", [FILES]),
        ("kill --reason ", []),
        ("severity ", ["set", "explain"]),
        ("severity set INC ", ["1", "2", "3", "4"]),
        ("severity set INC 3 --r", ["--reason"]),
        ("lab ", ["up", "down", "status"]),
        ("drill ", ["exchange_outage", "system_crash", "security_breach"]),
        ("drill system_crash --fault seg", ["segfault"]),
        ("nonsense ", []),
    ],
)
def test_what_is_offered(line: str, words: list[str]) -> None:
    assert offered(line) == words


@pytest.mark.parametrize(
    "line", ["resume ", "approve ", "timeline i", "severity set ", "severity explain i", "resume INC --take-from "]
)
def test_incidents_come_from_the_record(line: str, incident: Incident) -> None:
    assert incident.id in offered(line)


def test_gates_are_those_that_hold_the_incident(incident: Incident) -> None:
    assert offered(f"approve {incident.id} ") == ["resume_trading"]
    assert offered("approve inc-7 ") == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_every_command_is_offered(name: str) -> None:
    flags = {flag for action in commands.parser_of(name)._actions for flag in action.option_strings}
    assert set(offered(f"{name} -")) == flags


def test_no_state_and_no_inventory_offer_nothing_and_complain_of_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANSIBLE_INVENTORY", "/nowhere")
    for line in ("kill --venue ", "resume ", "approve INC "):
        assert offered(line) == []
    assert capsys.readouterr() == ("", "")


# The shells ----------------------------------------------------------------------------------------------------------

#: How each shell is asked what it would offer after a line.
_ASK = {
    "bash": ["bash", "--norc", "-c", 'source <(hft-incident completion bash); compopt() { :; }; COMP_LINE=$1; '
             "COMP_POINT=${#1}; _hft_incident; printf '%s\\n' \"${COMPREPLY[@]}\"", "bash"],
    "fish": ["fish", "--no-config", "-c", "hft-incident completion fish | source; complete -C \"$argv\""],
}  # fmt: skip


def asked(shell: str, *words: str) -> list[str]:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here")
    done = subprocess.run([*_ASK[shell], " ".join(words)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return [found.split("\t")[0] for found in done.stdout.splitlines()]


@pytest.mark.parametrize("shell", _ASK)
def test_a_shell_offers_what_we_do(shell: str, incident: Incident) -> None:
    assert asked(shell, "hft-incident", "resum") == ["resume"]
    assert asked(shell, "hft-incident", "resume", "") == [incident.id]
    assert sorted(asked(shell, "hft-incident", "kill", "--venue", "")) == ["okx-main", "okx-other"]
    assert "--timeout" in asked(shell, "hft-incident", "kill", "--")
    Path("a-file").write_text("")
    assert asked(shell, "hft-incident", "kill", "--venues", "a-f") == ["a-file"]


def test_bash_does_not_repeat_what_stands_before_an_equals_sign() -> None:
    """It takes ``exchange=okx-m`` for three words, and puts what it is offered after the second."""
    assert asked("bash", "hft-incident", "run", "exchange_outage", "-e", "exchange=okx-m") == ["okx-main"]


def test_zsh_offers_what_we_do(incident: Incident) -> None:
    """With its completion system stood in for, which wants a terminal."""
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed here")
    asking = """
compdef() { :; }
source <(hft-incident completion zsh)
compadd() { while [[ $1 != -- ]]; do shift; done; shift; print -l -- "$@"; }
words=(hft-incident resume "") CURRENT=3
_hft_incident
words=(hft-incident kill --venue okx-m) CURRENT=4
_hft_incident
"""
    done = subprocess.run(["zsh", "-f", "-c", asking], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == [incident.id, "okx-main"], done.stderr


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_script_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    assert capsys.readouterr().out == SCRIPTS[shell]
