# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The configuration of AWX: it is what the catalog and the gates say, the controller's modules would take it (stand-ins
with their argument names do), and its jobs really respond at a lab."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.hft.incident.plugins.module_utils.incident import list_incidents, state_of
from hft_incident.approval import approve
from hft_incident.catalog import CATALOG
from hft_incident.gates import gates_of
from hft_incident.lab.lab import Lab, running_lab

ROOT = Path(__file__).resolve().parents[2]
AWX = ROOT / "awx"
BIN = Path(sys.executable).parent
READY = [entry for entry in CATALOG.values() if entry.is_ready]
PATIENCE_S = 120

#: The arguments that we give, of the modules of awx.awx 24, by type.
MODULES: Mapping[str, Mapping[str, str]] = {
    "project": dict.fromkeys(("name", "organization", "scm_type", "scm_url"), "str") | {"wait": "bool"},
    "inventory": dict.fromkeys(("name", "organization"), "str"),
    "host": dict.fromkeys(("name", "inventory"), "str") | {"variables": "dict"},
    "job_template": dict.fromkeys(
        ("name", "description", "job_type", "organization", "inventory", "project", "playbook"), "str"
    )
    | dict.fromkeys(("allow_simultaneous", "ask_variables_on_launch", "survey_enabled"), "bool")
    | {"credentials": "list", "extra_vars": "dict", "survey_spec": "dict"},
    "workflow_job_template": dict.fromkeys(("name", "description", "organization"), "str")
    | dict.fromkeys(("allow_simultaneous", "survey_enabled", "destroy_current_schema"), "bool")
    | {"survey_spec": "dict", "schema": "list"},
}
STAND_IN = """
import json
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule(argument_spec={{name: {{"type": kind}} for name, kind in {spec!r}.items()}})
with open({log!r}, "a") as log:
    log.write(json.dumps([{name!r}, module.params]) + "\\n")
module.exit_json(changed=True)
"""


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((AWX / "hft_incident.yml").read_text())
    return found


def make(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, str(root / "tools" / "make_awx.py"), *words]
    return subprocess.run(program, capture_output=True, text=True, check=False)


def test_the_file_is_what_the_catalog_the_playbooks_and_the_policy_say() -> None:
    done = make(ROOT, "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_another_policy_makes_another_file(tmp_path: Path) -> None:
    """Or the check would check nothing."""
    for folder in ("awx", "tools", "inventory/production.example"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    policy = tmp_path / "inventory/production.example/group_vars/all/policy.yml"
    policy.write_text(policy.read_text().replace("people: 2", "people: 3"))
    assert make(tmp_path, "--check").returncode == 1
    assert make(tmp_path).returncode == 0
    assert "First 3 of trading or risk sign" in (tmp_path / "awx/hft_incident.yml").read_text().replace("\n", " ")


def test_each_type_has_a_template_whose_survey_asks_for_its_inputs(written: Mapping[str, Any]) -> None:
    templates = {row["name"]: row for row in written["hft_awx_job_templates"]}
    assert list(templates) == [*(f"hft-incident: {entry.name}" for entry in READY), "hft-incident: resume"]
    for entry in READY:
        template = templates[f"hft-incident: {entry.name}"]
        asked = {question["variable"]: question for question in template["survey_spec"]["spec"]}
        inputs = {name: row["required"] for name, row in asked.items()
                  if not name.startswith("hft_awx_") and row["type"] == "text"}  # fmt: skip
        assert inputs == {item.name: item.required for item in entry.inputs if item.example != "true"}
        assert template["extra_vars"]["hft_awx_inputs"] == [item.name for item in entry.inputs]
        assert (ROOT / template["playbook"]).is_file()


def test_every_question_is_one_that_a_survey_can_ask(written: Mapping[str, Any]) -> None:
    for row in (*written["hft_awx_job_templates"], *written["hft_awx_workflows"]):
        questions = row["survey_spec"]["spec"]
        assert len({question["variable"] for question in questions}) == len(questions)
        for question in questions:
            assert {"question_name", "variable", "type", "required", "default"} <= set(question)
            assert question["variable"].isidentifier()
            assert question["type"] in ("text", "multiplechoice")
            if question["type"] == "multiplechoice":
                assert question["default"] in question["choices"]


@pytest.mark.parametrize("entry", READY, ids=lambda entry: entry.name)
def test_a_workflow_waits_where_the_playbook_is_held_in_its_order(written: Mapping[str, Any], entry: Any) -> None:
    name = f"hft-incident: {entry.name}, with approvals"
    (workflow,) = (row for row in written["hft_awx_workflows"] if row["name"] == name)
    nodes = {node["identifier"]: node for node in workflow["schema"]}
    assert len(nodes) == len(workflow["schema"])
    walked, here = [], "respond"
    while True:
        related = nodes[here]["related"]
        assert set(related) == {"success_nodes", "failure_nodes", "always_nodes", "credentials"}
        kind = nodes[here]["unified_job_template"]["type"]
        # After a job that came to its end there is nothing to approve; after an approval the job goes on.
        way, other = ("success", "failure") if kind == "workflow_approval" else ("failure", "success")
        assert related[f"{other}_nodes"] == []
        walked.append((kind, nodes[here]["unified_job_template"]["name"]))
        if not related[f"{way}_nodes"]:
            break
        ((here,),) = (edge.values() for edge in related[f"{way}_nodes"])
    assert len(walked) == len(nodes)
    approvals = [name for kind, name in walked if kind == "workflow_approval"]
    assert approvals == [one.gate for one in gates_of(entry) if one.holds]
    assert approvals == (["security_clearance"] if entry.name == "security_breach" else []) + ["resume_trading"]
    policy = yaml.safe_load((ROOT / "inventory/production.example/group_vars/all/policy.yml").read_text())["hft_gates"]
    for gate in approvals:
        says = nodes[f"approve_{gate}"]["unified_job_template"]["description"]
        assert policy[gate]["question"] in says
        assert f"{policy[gate]['people']} of {' or '.join(policy[gate]['groups'])}" in says
    known = {row["name"] for row in written["hft_awx_job_templates"]}
    assert {name for kind, name in walked if kind == "job_template"} <= known


def playbook(name: str, *words: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "HFT_"))}
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [BIN / "ansible-playbook", str(AWX / name), *words],
        env={**kept, "PATH": path, "ANSIBLE_SHOW_CUSTOM_STATS": "1", **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_the_controllers_modules_take_it(tmp_path: Path, written: Mapping[str, Any]) -> None:
    modules = tmp_path / "ansible_collections" / "awx" / "awx" / "plugins" / "modules"
    modules.mkdir(parents=True)
    log = tmp_path / "log"
    for name, spec in MODULES.items():
        (modules / f"{name}.py").write_text(STAND_IN.format(spec=spec, log=str(log), name=name))
    done = playbook("configure.yml", "-i", "localhost,", env={"ANSIBLE_COLLECTIONS_PATH": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    told = [json.loads(line) for line in log.read_text().splitlines()]
    site = yaml.safe_load((AWX / "site.yml").read_text())
    made = {params["name"]: params for name, params in told if name.endswith("job_template")}
    assert set(made) == {row["name"] for rows in written.values() for row in rows}
    assert "{{" not in log.read_text()
    outage = made["hft-incident: exchange_outage"]
    assert (outage["project"], outage["credentials"]) == (site["hft_awx_project"], site["hft_awx_credentials"])
    (schema,) = (row["schema"] for row in written["hft_awx_workflows"] if "exchange_outage" in row["name"])
    sent = made["hft-incident: exchange_outage, with approvals"]["schema"]
    assert [node["identifier"] for node in sent] == [node["identifier"] for node in schema]


# The jobs ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("home"), {"binance": "binance"}, database=False) as running:
        yield running


@pytest.fixture
def jumphost(lab: Lab, tmp_path: Path) -> Path:
    """An inventory with the jumphost, which is this machine; its `hft-incident` knows where the lab is."""
    command = tmp_path / "hft-incident"
    command.write_text(
        f"#!/bin/sh\nexport HFT_INCIDENT_HOME={lab.home} ANSIBLE_INVENTORY={lab.inventory}\n"
        f'exec {BIN / "hft-incident"} "$@"\n'
    )
    command.chmod(0o755)
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    path = tmp_path / "jumphost.yml"
    path.write_text(yaml.safe_dump({"all": {"hosts": {"jumphost": {**host, "hft_awx_command": str(command)}}}}))
    return path


def job(jumphost: Path, name: str, **answers: Any) -> tuple[int, dict[str, str], str]:
    """As the controller starts it: what the template and the survey say as extra variables. Exit code, artifacts."""
    done = playbook(name, "-i", str(jumphost), "-e", json.dumps(answers), env={})
    found = re.search(r"CUSTOM STATS: \*+\n\s*RUN: (\{.*?\})\s*\n", done.stdout, re.DOTALL)
    return done.returncode, json.loads(found[1]) if found else {}, done.stdout + done.stderr


def test_a_job_responds_is_held_and_a_later_one_goes_on_after_two_signatures(
    written: Mapping[str, Any], jumphost: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = written["hft_awx_job_templates"][0]
    answers = {question["variable"]: question["default"] for question in template["survey_spec"]["spec"]}
    answers |= {**template["extra_vars"], "exchange": "binance", "confirmed": "true", "reason": "it's 'out' $(id)"}
    code, artifacts, said = job(jumphost, "respond.yml", **answers)
    assert code != 0
    assert artifacts.get("hft_awx_outcome") == "held", said
    incident = list_incidents(lab.home)[-1]
    assert artifacts["hft_awx_incident"] == incident.id
    assert "hft-incident approve" in said
    assert incident.journal.events()[0].data["inputs"]["reason"] == answers["reason"]

    # Nobody has signed: a click alone opens nothing.
    code, artifacts, said = job(jumphost, "resume.yml", **artifacts)
    assert (code != 0, artifacts["hft_awx_outcome"]) == (True, "held"), said
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(lab.home))
    for person in ("alice", "bob"):
        approve(incident.id, "resume_trading", key=str(lab.people[person]))
    code, artifacts, said = job(jumphost, "resume.yml", **artifacts)
    assert (code, artifacts["hft_awx_outcome"]) == (0, "done"), said
    assert not state_of(incident.journal.events()).is_open


def test_a_job_that_cannot_begin_fails_and_says_why(jumphost: Path) -> None:
    code, artifacts, said = job(jumphost, "respond.yml", hft_awx_type="exchange_outage", hft_awx_inputs=["exchange"])
    assert code != 0
    assert artifacts["hft_awx_outcome"] == "usage"
    assert "exchange is missing" in said


def test_a_rehearsal_changes_nothing(jumphost: Path, lab: Lab) -> None:
    code, artifacts, said = job(
        jumphost, "respond.yml", hft_awx_type="exchange_outage", hft_awx_inputs=["exchange", "confirmed"],
        exchange="binance", confirmed="true", hft_awx_check="yes", hft_awx_severity="3",
    )  # fmt: skip
    assert artifacts, said
    state = state_of(list_incidents(lab.home)[-1].journal.events())
    assert (state.check, state.severity) == (True, 3)
    assert code in (0, 2)
