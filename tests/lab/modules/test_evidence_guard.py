# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What would destroy evidence waits until the evidence is there, or a person has signed that it may do without."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils import authority, evidence_guard, evidence_manifest
from ansible_collections.hft.incident.plugins.module_utils.approvals import utc
from ansible_collections.hft.incident.plugins.module_utils.errors import HeldError
from ansible_collections.hft.incident.plugins.module_utils.evidence_guard import Ruling, ruling
from ansible_collections.hft.incident.plugins.module_utils.incident import (
    ENV_DIR,
    Incident,
    kills_journal,
    open_incident,
    state_of,
)
from hft_incident import approve
from hft_incident.sentences import sentence

from ..people import Firm
from .test_doors import BIN, ELSEWHERE, _environment

GATE = "waive_evidence"
GATES: Mapping[str, Any] = {
    GATE: {"people": 1, "groups": ["risk"], "question": "Go without?", "valid_for_s": 1800, "guards": "decision"}
}


@pytest.fixture
def firm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Firm:
    made = Firm(tmp_path)
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(made.home))
    return made


@pytest.fixture
def incident(firm: Firm) -> Incident:
    return open_incident("security_breach", severity=1, home=firm.home)


def keep(incident: Incident, host: str, *, volatile: bool = True, **changed: Any) -> Path:
    """Evidence of this host, on disk and on record."""
    folder = incident.directory / "evidence" / f"{host}-{len(incident.journal.events())}"
    folder.mkdir(parents=True)
    (folder / "sockets.json").write_text("{}")
    digest, _size = evidence_manifest.hash_of(str(folder / "sockets.json"))
    written = evidence_manifest.write(str(folder), {"host": host}, {"sockets.json": digest})
    told = {"host": folder.name, "inventory_host": host, "folder": f"evidence/{folder.name}", "volatile": volatile}
    incident.journal.append("evidence.kept", {**told, "manifest_sha256": written, **changed})
    return folder


def rule(firm: Firm, incident: Incident, *hosts: str, gates: Mapping[str, Any] = GATES) -> Ruling:
    return ruling(incident, hosts or ("hft-1",), gates, str(firm.signers))


def hold(firm: Firm, incident: Incident, *hosts: str) -> str:
    """What the door does with a refusal; the reason."""
    ruled = rule(firm, incident, *hosts)
    incident.journal.extend(ruled.record)
    return ruled.refusal


def go_on(firm: Firm, incident: Incident, *hosts: str) -> list[dict[str, Any]]:
    """What the door records before it lets the task go on."""
    ruled = rule(firm, incident, *hosts)
    assert ruled.refusal == ""
    incident.journal.extend(ruled.record)
    return [data for _kind, data in ruled.record]


# Kept -----------------------------------------------------------------------------------------------------------------


def test_without_evidence_it_names_the_host_and_both_ways_to_go_on(firm: Firm, incident: Incident) -> None:
    assert hold(firm, incident) == (
        "the volatile evidence of hft-1 was not kept: keep it first (module evidence, volatile: true), "
        f"then `hft-incident resume {incident.id}`; or 1 of risk waive it: `hft-incident approve {incident.id} {GATE}`"
    )
    assert list(state_of(incident.journal.events()).gates) == [GATE]


def test_with_it_the_task_goes_on_and_nobody_is_asked_any_more(firm: Firm, incident: Incident) -> None:
    hold(firm, incident)
    keep(incident, "hft-1")
    assert rule(firm, incident) == Ruling("")
    assert not state_of(incident.journal.events()).gates


def test_evidence_needs_no_gate_and_no_keys(firm: Firm, incident: Incident) -> None:
    keep(incident, "hft-1")
    assert ruling(incident, ["hft-1"], {}, None) == Ruling("")


@pytest.mark.parametrize("of", ["another host", "not volatile", "of unknown origin"])
def test_other_evidence_does_not_count(firm: Firm, incident: Incident, of: str) -> None:
    keep(
        incident,
        "hft-2" if of == "another host" else "hft-1",
        volatile=of != "not volatile",
        **({"inventory_host": None, "host_folder": "hft-1"} if of == "of unknown origin" else {}),
    )
    assert "the volatile evidence of hft-1 was not kept" in rule(firm, incident).refusal


def test_every_host_is_needed_and_only_those_that_lack_it_are_named(firm: Firm, incident: Incident) -> None:
    keep(incident, "hft-1")
    refusal = rule(firm, incident, "hft-1", "hft-2", "hft-3").refusal
    assert "hft-1 was" not in refusal
    assert "evidence of hft-2 was not kept; the volatile evidence of hft-3 was not kept" in refusal


@pytest.mark.parametrize("how", ["item", "manifest", "gone", "added"])
def test_evidence_that_was_altered_since_is_none(firm: Firm, incident: Incident, how: str) -> None:
    folder = keep(incident, "hft-1")
    if how == "item":
        (folder / "sockets.json").write_text("[]")
    elif how == "manifest":  # another whole folder in its place
        (folder / "manifest.sha256").unlink()
        (folder / "manifest.json").unlink()
        evidence_manifest.write(str(folder), {}, {})
        (folder / "sockets.json").unlink()
    elif how == "gone":
        folder.rename(folder.with_name("away"))
    else:
        (folder / "more.json").write_text("{}")
    assert "the volatile evidence of hft-1 is not what was kept: evidence/hft-1" in rule(firm, incident).refusal
    keep(incident, "hft-1")
    assert rule(firm, incident) == Ruling(""), "kept anew"


def test_in_a_record_that_was_altered_nothing_counts(firm: Firm, incident: Incident) -> None:
    keep(incident, "hft-1")
    path = Path(incident.journal.path)
    path.write_bytes(path.read_bytes().replace(b"security_breach", b"security_preach", 1))
    with pytest.raises(HeldError, match="was altered"):
        rule(firm, incident)


# Waived ---------------------------------------------------------------------------------------------------------------


def test_one_person_of_the_group_waives_it_and_each_host_is_on_record_once(firm: Firm, incident: Incident) -> None:
    hold(firm, incident)
    approve(incident.id, GATE, key=firm.key("bob"))
    passage, told = go_on(firm, incident)
    assert passage["people"] == ["bob@firm.example"]
    assert told == {"host": "hft-1", "gate": GATE, "people": ["bob@firm.example"]}
    assert go_on(firm, incident) == []
    assert go_on(firm, incident, "hft-1", "hft-2") == [{**told, "host": "hft-2"}]
    assert not state_of(incident.journal.events()).gates
    assert "hft-2 GIVEN UP" in sentence(incident.journal.events()[-1])


def test_what_is_stopped_and_closed_afterwards_takes_nothing_of_it_back(firm: Firm, incident: Incident) -> None:
    hold(firm, incident)
    approve(incident.id, GATE, key=firm.key("bob"))
    go_on(firm, incident)
    incident.journal.append("service.changed", {"unit": "hft.service", "host": "hft-1", "state": "stopped"})
    incident.journal.append("kill.ordered", {"venues": ["alpha"], "reason": "again"})
    kills_journal(firm.home).append("kill.ordered", {"venues": ["alpha"], "reason": "by hand"})
    assert go_on(firm, incident) == []
    assert [told["host"] for told in go_on(firm, incident, "hft-2")] == ["hft-2"], "the rest of the fleet"


@pytest.mark.parametrize("forged", ["nobody's approval", "another gate's", "of another group", "by its name alone"])
def test_a_forged_waiver_counts_for_nothing(firm: Firm, incident: Incident, forged: str) -> None:
    hold(firm, incident)
    approvals: list[int] = []
    if forged in ("another gate's", "of another group"):
        name = "bob" if forged == "another gate's" else "alice"
        statement = firm.statement(incident, gate="resume_trading" if forged == "another gate's" else GATE)
        approvals = [firm.record(incident, name, statement, firm.signature(name, statement), GATE).seq]
    elif forged == "nobody's approval":
        statement = firm.statement(incident, gate=GATE)
        approvals = [firm.record(incident, "bob", statement, firm.signature("mallory", statement), GATE).seq]
    told = {"gate": GATE, "people": ["bob@firm.example"], "approvals": approvals, "host": "hft-1"}
    incident.journal.extend([("gate.passed", told), ("evidence.waived", told)])
    assert "hft-1 was not kept" in rule(firm, incident).refusal


def test_a_waiver_is_over_after_its_time(firm: Firm, incident: Incident, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(firm, incident)
    approve(incident.id, GATE, key=firm.key("bob"))
    go_on(firm, incident)
    later = utc() + timedelta(seconds=1801)
    for module in (authority, evidence_guard):
        monkeypatch.setattr(module, "utc", lambda: later)
    assert "was not kept" in rule(firm, incident).refusal


@pytest.mark.parametrize(
    ("gates", "signers", "why"),
    [({}, True, "unknown gate 'waive_evidence'"), (GATES, False, "cannot read who may approve")],
)
def test_where_nobody_could_waive_it_that_is_said(
    firm: Firm, incident: Incident, gates: Mapping[str, Any], signers: bool, why: str
) -> None:
    if not signers:
        firm.signers.unlink()
    ruled = rule(firm, incident, gates=gates)
    assert "keep it first" in ruled.refusal
    assert f"nobody can waive it: {why}" in ruled.refusal
    assert ruled.record == ()


# The door -------------------------------------------------------------------------------------------------------------


STOP = {"unit": "hft", "state": "stopped", "systemctl": "/nowhere", "require_evidence": True}
#: What the module says when it is really run: there is no such systemctl here.
WAS_RUN = "/nowhere"


def play(firm: Firm, incident: Incident | None, connection: str, *, check: bool = False, **args: Any) -> dict[str, Any]:
    """One task with the guard on host hft-1; its result, and under ``was_shipped`` whether a module was sent there."""
    folder = firm.folder
    task = {"name": "Stop", "hft.incident.service_state": {**STOP, **args}, "register": "did", "ignore_errors": True}
    here = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    tell = {
        "name": "Tell",
        "ansible.builtin.copy": {"content": "{{ did | to_json }}", "dest": str(folder / "did")},
        "delegate_to": "localhost",
        "check_mode": False,
        "vars": here,
    }
    (folder / "play.yml").write_text(json.dumps([{"hosts": "hft-1", "gather_facts": False, "tasks": [task, tell]}]))
    policy = {"hft_gates": GATES, "hft_allowed_signers": str(firm.signers)}
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": {"hft-1": policy}}}))
    (folder / "elsewhere.py").write_text(ELSEWHERE)
    (folder / "shipped").write_text("")
    command = [str(BIN / "ansible-playbook"), "-i", "hosts.json", "-c", connection, "play.yml", *(["--check"] * check)]
    environment = _environment(folder, str(BIN / "python"))
    if incident:
        environment[ENV_DIR] = str(incident.directory)
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert (folder / "did").exists(), done.stdout + done.stderr
    did: dict[str, Any] = json.loads((folder / "did").read_text())
    os.unlink(folder / "did")
    return {**did, "was_shipped": bool((folder / "shipped").read_text())}


@pytest.mark.parametrize("connection", ["local", "elsewhere"])
def test_through_both_doors_nothing_runs_before_the_evidence_is_there(
    firm: Firm, incident: Incident, connection: str
) -> None:
    held = play(firm, incident, connection)
    assert (held["failed"], held["outcome"], held["changed"], held["was_shipped"]) == (True, "held", False, False)
    assert "the volatile evidence of hft-1 was not kept" in held["msg"]
    ((kind, data),) = [(line["kind"], line["data"]) for line in held["record"]]
    assert (kind, data["gate"], data["may_approve"]) == ("gate.held", GATE, ["bob@firm.example"])
    other = play(firm, incident, connection, evidence_of=["hft-2", "hft-3"])
    assert "evidence of hft-2 was not kept; the volatile evidence of hft-3" in other["msg"]
    rehearsed = play(firm, incident, connection, check=True)
    assert "it would be refused: the volatile evidence of hft-1 was not kept" in rehearsed["msg"]
    keep(incident, "hft-1")
    ran = play(firm, incident, connection)
    assert WAS_RUN in ran["msg"]
    assert ran["was_shipped"] == (connection == "elsewhere")


def test_a_waiver_is_recorded_by_the_door_before_it_goes_on(firm: Firm, incident: Incident) -> None:
    incident.journal.extend([(line["kind"], line["data"]) for line in play(firm, incident, "local")["record"]])
    approve(incident.id, GATE, key=firm.key("bob"))
    before = len(incident.journal.events())
    assert WAS_RUN in play(firm, incident, "local", check=True)["msg"]
    assert len(incident.journal.events()) == before, "a rehearsal gives nothing up"
    assert WAS_RUN in play(firm, incident, "local")["msg"]
    assert [event.kind for event in incident.journal.events()[before:]] == ["gate.passed", "evidence.waived"]


@pytest.mark.parametrize("connection", ["local", "elsewhere"])
def test_without_an_incident_it_is_wrong_usage(firm: Firm, connection: str) -> None:
    refused = play(firm, None, connection)
    assert (refused["outcome"], refused["was_shipped"]) == ("usage", False)
    assert "no incident is open here" in refused["msg"]
