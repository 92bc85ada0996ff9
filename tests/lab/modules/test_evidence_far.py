# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Evidence of a host in an incident: a real ``ansible-playbook`` with the scribe, and ``hft-incident verify``."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.evidence_guard import Ruling, ruling
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
CANARY = "canary-51be7702aa"

# This machine, reached like another one; what comes back from it may be spoiled on the way.
FARAWAY = '''
DOCUMENTATION = """
name: faraway
short_description: another host
description: This machine, reached like another one.
author: tests
options:
  become_success_timeout: {type: int, default: 10, description: "as local"}
  become_strip_preamble: {type: bool, default: true, description: "as local"}
extends_documentation_fragment: [connection_pipelining]
"""
import os
import shutil
from ansible.errors import AnsibleError
from ansible.plugins.connection.local import Connection as Local


class Connection(Local):
    transport = "faraway"

    def exec_command(self, cmd, in_data=None, sudoable=True):
        if "chown -R" in cmd and os.environ.get("SPOILED") == "theirs":
            return 1, b"", b"chown: operation not permitted"
        if in_data:
            with open(os.environ["SHIPPED"], "a") as file:
                file.write("module\\n")
        return super().exec_command(cmd, in_data=in_data, sudoable=sudoable)

    def fetch_file(self, in_path, out_path):
        how = os.environ.get("SPOILED")
        if how == "theirs":
            raise AnsibleError("permission denied")
        if how == "lost" and in_path.endswith(".log"):
            raise AnsibleError("the line is cut")
        if how == "resolves":  # as Ansible's own local connection does
            super().fetch_file(in_path, out_path)
        else:  # as sftp does
            shutil.copyfile(in_path, out_path)
        if how == "altered" and in_path.endswith(".log"):
            with open(out_path, "ab") as file:
                file.write(b"and more")
        if how == "escape" and in_path.endswith("manifest.sha256"):
            with open(out_path, "ab") as file:
                file.write(b"0" * 64 + b"  ../../../../escaped\\n")
'''


class World:
    """A control node with its incidents, and a host with a log; ``playbook`` is that of an incident type."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home, self.staging = folder / "home", folder / "staging"
        self.staging.mkdir()
        self.log = folder / "hft.log"
        self.log.write_text("crashed\n")
        self.config = folder / "hft.json"
        self.config.write_text(json.dumps({"token": CANARY}))
        (folder / "faraway.py").write_text(FARAWAY)
        (folder / "inventory.json").write_text(
            json.dumps({"all": {"hosts": {"hft-1": {"ansible_python_interpreter": sys.executable}}}})
        )
        self.args: dict[str, Any] = {
            "log_files": [str(self.log)],
            "config_file": str(self.config),
            "host_dest": str(self.staging),
        }

    def play(
        self, connection: str = "faraway", *, check: bool = False, become: bool = False, **env: str
    ) -> dict[str, Any]:
        """One run of the playbook; the module's result."""
        (self.folder / "shipped").write_text("")
        tasks: list[Mapping[str, Any]] = [
            {"name": "Keep", "hft.incident.evidence": self.args, "register": "did", "ignore_errors": True},
            {"name": "Tell", "ansible.builtin.copy": {"content": "{{ did | to_json }}", "dest": f"{self.folder}/did"},
             "delegate_to": "localhost", "check_mode": False, "connection": "local", "become": False,
             "vars": {"ansible_python_interpreter": sys.executable}},
        ]  # fmt: skip
        play: dict[str, Any] = {"name": "Evidence", "hosts": "all", "gather_facts": False, "tags": ["assess"]}
        play |= {"tasks": tasks, "become": become, "become_method": "ansible.builtin.su"}
        (self.folder / "system_crash.yml").write_text(json.dumps([play]))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "HFT_"))}
        done = subprocess.run(
            [BIN / "ansible-playbook", "-i", "inventory.json", "-c", connection, "system_crash.yml",
             *(["--check"] if check else [])],
            cwd=self.folder,
            env={
                **kept,
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
                "ANSIBLE_CONNECTION_PLUGINS": str(self.folder),
                "ANSIBLE_CALLBACKS_ENABLED": "hft.incident.scribe",
                "ANSIBLE_PIPELINING": "true",
                "ANSIBLE_HOME": str(self.folder / "ansible"),
                "HFT_INCIDENT_HOME": str(self.home),
                "SHIPPED": str(self.folder / "shipped"),
                **env,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )  # fmt: skip
        assert CANARY not in done.stdout + done.stderr
        assert (self.folder / "did").exists(), done.stdout + done.stderr
        result: dict[str, Any] = json.loads((self.folder / "did").read_text())
        (self.folder / "did").unlink()
        return result

    @property
    def incident(self) -> Path:
        (found,) = self.home.iterdir()
        return found

    @property
    def kept(self) -> Path:
        return self.incident / "evidence/hft-1"

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = (self.incident / "journal.jsonl").read_text().splitlines()
        return [event["data"] for event in map(json.loads, lines) if event["kind"] == "evidence.kept"]

    def verify(self, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hft_incident.cli", "verify", self.incident.name, *more],
            env={**os.environ, "HFT_INCIDENT_HOME": str(self.home), "PYTHONPATH": f"{ROOT}/src:{ROOT}/collections"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("connection", ["faraway", "local"])
def test_it_comes_into_the_incidents_folder_and_the_journal_proves_it(world: World, connection: str) -> None:
    done = world.play(connection)
    assert (done["changed"], done["complete"], done["folder"]) == (True, True, str(world.kept))
    assert (world.kept / "logs/hft.log").read_text() == "crashed\n"
    assert list(world.staging.iterdir()) == []  # the host's own copy is gone
    modes = {stat.S_IMODE(path.stat().st_mode) for path in world.kept.rglob("*") if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in world.kept.rglob("*") if path.is_dir()}
    assert (modes, folders) == ({0o600}, {0o700})
    (told,) = world.events
    assert (told["host"], told["folder"], told["items"]) == ("hft-1", "evidence/hft-1", 2)
    assert CANARY not in (world.incident / "journal.jsonl").read_text()

    (world.folder / "elsewhere").mkdir()
    world.home = world.home.rename(world.folder / "elsewhere/home")  # an incident's folder may be moved as a whole
    found = world.verify()
    assert found.returncode == 0
    assert "evidence of hft-1 in evidence/hft-1: intact: 3 files, " in found.stdout
    (row,) = json.loads(world.verify("--json").stdout)["evidence"]
    assert (row["host"], row["state"], row["files"]) == ("hft-1", "intact", 3)


@pytest.mark.parametrize("connection", ["faraway", "local"])
def test_a_second_run_in_the_same_incident_ships_and_records_nothing(world: World, connection: str) -> None:
    world.play(connection)
    inode = (world.kept / "logs/hft.log").stat().st_ino
    world.log.write_text("started again\n")
    again = world.play(connection, HFT_INCIDENT_ID=world.incident.name)
    assert (again["changed"], (world.folder / "shipped").read_text()) == (False, "")
    assert (world.kept / "logs/hft.log").stat().st_ino == inode
    assert len(world.events) == 1


def test_kept_but_not_recorded_because_the_responder_was_killed_it_is_recorded_later(world: World) -> None:
    world.play("local", HFT_INCIDENT_ID="")
    dest = world.kept
    bare = world.folder / "other"
    bare.mkdir()
    world.args["dest"] = str(dest.parent)  # the same folder, for an incident whose journal does not know it
    world.home = bare
    again = world.play("local")
    assert again["changed"] is False
    (told,) = world.events
    assert told["folder"] == str(dest)


@pytest.mark.parametrize(
    "alter",
    [
        lambda kept: (kept / "logs/hft.log").write_text("nothing happened\n"),
        lambda kept: (kept / "logs/hft.log").unlink(),
        lambda kept: (kept / "manifest.sha256").unlink(),
        lambda kept: (kept / "logs/more.log").write_text("planted"),
        lambda kept: kept.rename(kept.with_name("hft-2")),
    ],
    ids=["written over", "removed", "without its manifest", "added to", "moved away"],
)
def test_verify_finds_what_was_altered(world: World, alter: Any) -> None:
    world.play("local")
    alter(world.kept)
    found = world.verify()
    assert found.returncode == 1
    assert "evidence of hft-1 in evidence/hft-1: altered: " in found.stdout
    assert json.loads(world.verify("--json").stdout)["outcome"] == "failed"


def test_verify_finds_evidence_that_was_altered_together_with_its_manifest(world: World) -> None:
    world.play("local")
    (world.kept / "logs/hft.log").write_text("nothing happened\n")
    names = [line.split("  ")[1] for line in (world.kept / "manifest.sha256").read_text().splitlines()]
    made = subprocess.run(["sha256sum", *names], cwd=world.kept, capture_output=True, text=True, check=True)
    (world.kept / "manifest.sha256").write_text(made.stdout)
    assert "the record knows" in world.verify().stdout
    assert world.verify().returncode == 1
    # Nor is it taken for what was kept.
    again = world.play("local", HFT_INCIDENT_ID=world.incident.name)
    assert (again["changed"], again["folder"]) == (True, str(world.kept / "attempt-2"))
    assert again["altered"] == [str(world.kept)]


@pytest.mark.parametrize("how", ["lost", "altered", "escape"])
def test_what_cannot_be_proven_on_the_control_node_stays_on_the_host(world: World, how: str) -> None:
    done = world.play(SPOILED=how)
    assert (done["failed"], done["outcome"]) == (True, "unproven")
    (there,) = world.staging.iterdir()
    assert f"the evidence of hft-1 is still on it, in {there}/hft-1: " in done["msg"]
    assert (there / "hft-1/logs/hft.log").read_text() == "crashed\n"
    assert world.events == []
    assert not list(world.folder.rglob("escaped"))
    again = world.play(HFT_INCIDENT_ID=world.incident.name)
    assert (again["changed"], again["folder"]) == (True, str(world.kept / "attempt-2"))
    assert world.verify().returncode == 0


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("su") is None, reason="only root becomes root without a password")
@pytest.mark.parametrize("how", ["", "theirs"], ids=["given to the connection's user", "read as the other user"])
def test_what_another_user_collected_is_brought_over_all_the_same(world: World, how: str) -> None:
    done = world.play(become=True, SPOILED=how)
    assert (done["changed"], done["complete"], done["folder"]) == (True, True, str(world.kept))
    assert (world.kept / "logs/hft.log").read_text() == "crashed\n"
    assert {stat.S_IMODE(path.stat().st_mode) for path in world.kept.rglob("*") if path.is_file()} == {0o600}
    assert list(world.staging.iterdir()) == []
    assert world.verify().returncode == 0


def test_nothing_that_could_be_kept_leaves_nothing_on_the_host(world: World) -> None:
    world.args |= {"log_files": ["/nonexistent"], "config_file": None}
    done = world.play()
    assert (done["failed"], done.get("outcome")) == (True, "failed"), done
    assert list(world.staging.iterdir()) == []


def test_check_mode_writes_nothing_on_either_side(world: World) -> None:
    would = world.play(check=True)
    assert would["folder"] == str(world.kept)
    assert [item["name"] for item in would["items"]] == ["logs/hft.log", "config/hft.json"]
    assert list(world.staging.iterdir()) == []
    assert not (world.incident / "evidence").exists()
    assert world.events == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees all of a host")
@pytest.mark.parametrize("connection", ["faraway", "local"])
def test_the_volatile_state_that_was_kept_is_what_the_guard_asks_for(world: World, connection: str) -> None:
    world.args = {"volatile": True, "host_dest": str(world.staging), "host": "a name of its own"}
    done = world.play(connection)
    assert (done.get("volatile"), done["complete"]) == (True, True), done["missing"]
    incident = Incident(world.incident.name, world.incident)
    assert ruling(incident, ["hft-1"], {}, None) == Ruling("")
    assert "hft-2 was not kept" in ruling(incident, ["hft-1", "hft-2"], {}, None).refusal
    assert world.verify().returncode == 0
