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
    "host": dict.fromkeys(("name", "inventory"), "str") | {"enabled": "bool", "variables": "dict"},
    "job_template": dict.fromkeys(
        ("name", "description", "job_type", "organization", "inventory", "project", "playbook"), "str"
    )
    | dict.fromkeys(("allow_simultaneous", "ask_variables_on_launch", "survey_enabled"), "bool")
    | {"credentials": "list", "extra_vars": "dict", "survey_spec": "dict"},
    "workflow_job_template": dict.fromkeys(("name", "description", "organization"), "str")
    | dict.fromkeys(
        ("allow_simultaneous", "ask_variables_on_launch", "survey_enabled", "destroy_current_nodes"), "bool"
    )
    | {"survey_spec": "dict", "workflow_nodes": "list"},
}
STAND_IN = """
import json
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule(argument_spec={{name: {{"type": kind}} for name, kind in {spec!r}.items()}})
with open({log!r}, "a") as log:
    log.write(json.dumps([{name!r}, module.params]) + "\\n")
module.exit_json(changed=True)
"""
LOOKUP = """
import json
from ansible.plugins.lookup import LookupBase
class LookupModule(LookupBase):
    def run(self, terms, variables=None, query_params=None, return_all=False):
        with open({there!r}) as there:
            rows = json.load(there).get(terms[0], [])
        asked = [query_params.get("workflow_job_template__" + name) for name in ("name", "organization__name")]
        return [row for row in rows if row.get("workflow", asked) == asked]
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
    nodes = {node["identifier"]: node for node in workflow["workflow_nodes"]}
    assert len(nodes) == len(workflow["workflow_nodes"])
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
        cwd=ROOT,  # as AWX does: the project's ansible.cfg counts
        env={**kept, "PATH": path, "ANSIBLE_SHOW_CUSTOM_STATS": "1", **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.fixture
def controller(tmp_path: Path) -> Path:
    """What stands in for awx.awx: modules that take our arguments and write them to ``log``, and a lookup that answers
    from ``there.json``: by endpoint, what the controller would list."""
    plugins = tmp_path / "ansible_collections" / "awx" / "awx" / "plugins"
    for folder in ("modules", "lookup"):
        (plugins / folder).mkdir(parents=True)
    (tmp_path / "log").touch()
    for name, spec in MODULES.items():
        (plugins / "modules" / f"{name}.py").write_text(
            STAND_IN.format(spec=spec, log=str(tmp_path / "log"), name=name)
        )
    (plugins / "lookup" / "controller_api.py").write_text(LOOKUP.format(there=str(tmp_path / "there.json")))
    have(tmp_path)
    return tmp_path


def have(controller: Path, **there: Any) -> None:
    one: list[Any] = [{"id": 1}]
    (controller / "there.json").write_text(json.dumps({"organizations": one, "credentials": one, **there}))


def configure(controller: Path) -> tuple[subprocess.CompletedProcess[str], dict[str, dict[str, Any]]]:
    """How it ended, and what was told of each template and workflow."""
    (controller / "log").write_text("")
    done = playbook("configure.yml", "-i", "localhost,", env={"ANSIBLE_COLLECTIONS_PATH": str(controller)})
    told = [json.loads(line) for line in (controller / "log").read_text().splitlines()]
    return done, {params["name"]: params for name, params in told if name.endswith("job_template")}


def as_listed(workflow: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps of a workflow, as the controller lists them once they are made (seen at AWX 24.6.1)."""
    kinds = {"job_template": "job", "workflow_approval": "workflow_approval"}
    site = yaml.safe_load((AWX / "site.yml").read_text())
    return [
        {
            "identifier": node["identifier"],
            "workflow": [workflow["name"], site["hft_awx_organization"]],
            "summary_fields": {
                "unified_job_template": {
                    "name": node["unified_job_template"]["name"],
                    "description": node["unified_job_template"].get("description", "of the template"),
                    "unified_job_type": kinds[node["unified_job_template"]["type"]],
                }
            },
        }
        for node in workflow["workflow_nodes"]
    ]


def test_the_controllers_modules_take_it(controller: Path, written: Mapping[str, Any]) -> None:
    done, made = configure(controller)
    assert done.returncode == 0, done.stdout + done.stderr
    site = yaml.safe_load((AWX / "site.yml").read_text())
    assert set(made) == {row["name"] for rows in written.values() for row in rows}
    log = (controller / "log").read_text()
    assert "{{" not in log
    told = dict(map(json.loads, log.splitlines()))
    assert told["host"]["variables"] == {
        "ansible_host": site["hft_awx_jumphost"],
        "hft_awx_command": site["hft_awx_command"],
    }
    outage = made["hft-incident: exchange_outage"]
    assert (outage["project"], outage["credentials"]) == (site["hft_awx_project"], site["hft_awx_credentials"])
    for row in written["hft_awx_workflows"]:
        sent = made[row["name"]]
        assert [node["identifier"] for node in sent["workflow_nodes"]] == [
            node["identifier"] for node in row["workflow_nodes"]
        ]
        assert sent["destroy_current_nodes"] is True
    # Whoever may set variables runs what they like on the jumphost: hft_awx_command is one.
    assert {params["ask_variables_on_launch"] for params in made.values()} == {False}


def test_steps_that_are_as_ours_are_left_alone_or_approvals_that_wait_would_be_denied(
    controller: Path, written: Mapping[str, Any]
) -> None:
    nodes = [node for row in written["hft_awx_workflows"] for node in as_listed(row)]
    have(controller, workflow_job_template_nodes=nodes, workflow_jobs=[{"id": 7}])
    done, made = configure(controller)
    assert done.returncode == 0, done.stdout + done.stderr
    workflows = [made[row["name"]] for row in written["hft_awx_workflows"]]
    assert [(row["destroy_current_nodes"], row["workflow_nodes"]) for row in workflows] == [(False, None)] * len(
        workflows
    )


@pytest.mark.parametrize("other", ["a step less", "another order", "another template", "another question"])
def test_other_steps_are_laid_anew_but_not_under_a_workflow_that_is_under_way(
    controller: Path, written: Mapping[str, Any], other: str
) -> None:
    nodes = [node for row in written["hft_awx_workflows"] for node in as_listed(row)]
    first = [node for node in nodes if node["workflow"][0] == written["hft_awx_workflows"][0]["name"]]
    template = first[1]["summary_fields"]["unified_job_template"]
    if other == "a step less":
        nodes.remove(first[1])
    elif other == "another order":
        nodes.reverse()
    elif other == "another template":
        template["name"] = "failover"
    else:
        template["description"] = "May it?"
    have(controller, workflow_job_template_nodes=nodes)
    done, made = configure(controller)
    assert done.returncode == 0, done.stdout + done.stderr
    assert made[first[0]["workflow"][0]]["destroy_current_nodes"] is True
    assert made[first[0]["workflow"][0]]["workflow_nodes"]

    have(controller, workflow_job_template_nodes=nodes, workflow_jobs=[{"id": 7}])
    done, made = configure(controller)
    assert done.returncode != 0
    assert "is under way" in done.stdout
    assert made == {}


@pytest.mark.parametrize(
    ("endpoint", "listed", "says"),
    [
        ("organizations", [], "There is no organization Trading operations"),
        ("credentials", [], "There is no credential hft-incident jumphost"),
        ("credentials", [{"id": 1}, {"id": 2}], "or more than one"),
    ],
)
def test_what_the_site_makes_is_missed_before_anything_is_made(
    controller: Path, endpoint: str, listed: list[Any], says: str
) -> None:
    have(controller, **{endpoint: listed})
    done, _ = configure(controller)
    assert done.returncode != 0
    assert says in done.stdout
    assert (controller / "log").read_text() == ""


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
    return inventory(tmp_path, {"jumphost": {**host, "hft_awx_command": str(command)}})


def inventory(folder: Path, hosts: Mapping[str, Any]) -> Path:
    """As AWX hands it to a job: a program of this name that prints it (seen at 24.6.1)."""
    path = folder / "hosts"
    listed = {"all": {"hosts": list(hosts)}, "_meta": {"hostvars": hosts}}
    path.write_text(f"#! /usr/bin/env python3\n# -*- coding: utf-8 -*-\nprint({json.dumps(listed)!r})\n")
    path.chmod(0o700)
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


@pytest.mark.parametrize("name", ["respond.yml", "resume.yml"])
def test_a_job_that_would_reach_no_host_fails(tmp_path: Path, name: str) -> None:
    """The jumphost may be disabled in the inventory; to match no host is a success for Ansible."""
    code, artifacts, said = job(inventory(tmp_path, {}), name, hft_awx_type="system_crash", hft_awx_inputs=[])
    assert (code != 0, artifacts) == (True, {}), said
    assert "no host named jumphost" in said


def test_a_job_that_learns_nothing_new_hands_on_the_incident_it_was_given(jumphost: Path) -> None:
    code, artifacts, said = job(jumphost, "resume.yml", hft_awx_incident="inc-of-nobody")
    assert (code != 0, artifacts["hft_awx_outcome"]) == (True, "usage"), said
    assert artifacts["hft_awx_incident"] == "inc-of-nobody"


def test_a_rehearsal_changes_nothing(jumphost: Path, lab: Lab) -> None:
    code, artifacts, said = job(
        jumphost, "respond.yml", hft_awx_type="exchange_outage", hft_awx_inputs=["exchange", "confirmed"],
        exchange="binance", confirmed="true", hft_awx_check="yes", hft_awx_severity="3",
    )  # fmt: skip
    assert artifacts, said
    state = state_of(list_incidents(lab.home)[-1].journal.events())
    assert (state.check, state.severity) == (True, 3)
    assert code in (0, 2)
