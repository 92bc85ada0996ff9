# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Writes ``awx/hft_incident.yml``: a job template with a survey for each incident type that is ready, and a workflow
with an approval node for each gate that holds its playbook. ``--check`` writes nothing and exits with 1 if it would.

The types and inputs come from ``catalog.py``, the gates from the playbooks, what a gate asks for from the policy of
``inventory/production.example``. The fields are those of the collection ``awx.awx`` (as ``ansible.controller``).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hft_incident.catalog import CATALOG, IncidentType, Input
from hft_incident.gates import gates_of

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "awx" / "hft_incident.yml"
POLICY = ROOT / "inventory" / "production.example" / "group_vars" / "all" / "policy.yml"
HEADER = """\
---
# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
#
# Written by tools/make_awx.py from the catalog, the playbooks and the policy's gates; a test holds it equal.
"""
RESUME = "hft-incident: resume"
BY_RULES = "by the rules"
#: Of every template: names that the site creates once, in awx/site.yml.
PLACE = {
    "organization": "{{ hft_awx_organization }}",
    "inventory": "{{ hft_awx_inventory }}",
    "project": "{{ hft_awx_project }}",
    "credentials": "{{ hft_awx_credentials }}",
}


def document() -> dict[str, Any]:
    ready = [entry for entry in CATALOG.values() if entry.is_ready]
    gates: Mapping[str, Any] = yaml.safe_load(POLICY.read_text(encoding="utf-8"))["hft_gates"]
    return {
        "hft_awx_job_templates": [*map(_template, ready), _resume_template()],
        "hft_awx_workflows": [_workflow(entry, gates) for entry in ready],
    }


def template_name(entry: IncidentType) -> str:
    return f"hft-incident: {entry.name}"


def _template(entry: IncidentType) -> dict[str, Any]:
    return {
        "name": template_name(entry),
        "description": f"{entry.title} (runbook section {entry.section})",
        "job_type": "run",
        **PLACE,
        "playbook": "awx/respond.yml",
        "extra_vars": {"hft_awx_type": entry.name, "hft_awx_inputs": [item.name for item in entry.inputs]},
        "allow_simultaneous": True,  # two venues may be out
        "survey_enabled": True,
        "survey_spec": _survey(entry),
    }


def _resume_template() -> dict[str, Any]:
    return {
        "name": RESUME,
        "description": "Go on with an incident where its record says it stopped",
        "job_type": "run",
        **PLACE,
        "playbook": "awx/resume.yml",
        "allow_simultaneous": True,
        "survey_enabled": True,
        "survey_spec": {
            "name": "",
            "description": "",
            "spec": [
                {
                    "question_name": "Incident",
                    "question_description": "its id, as `hft-incident status` shows it; in a workflow it is known",
                    "variable": "hft_awx_incident",
                    "type": "text",
                    "required": True,  # a workflow gives what the job before it set
                    "default": "",
                }
            ],
        },
    }


def _survey(entry: IncidentType) -> dict[str, Any]:
    severity = _choice("Severity", "1 is the worst", "hft_awx_severity", [BY_RULES, "1", "2", "3", "4"])
    rehearse = _choice("Rehearsal", "yes: say what would be done, change nothing", "hft_awx_check", ["no", "yes"])
    return {"name": "", "description": "", "spec": [*map(_question, entry.inputs), severity, rehearse]}


def _question(item: Input) -> dict[str, Any]:
    if item.example == "true":
        return _choice(item.name, item.help, item.name, ["false", "true"])
    return {
        "question_name": item.name,
        "question_description": f"{item.help}; for example {item.example}",
        "variable": item.name,
        "type": "text",
        "required": item.required,
        "default": "",
    }


def _choice(name: str, description: str, variable: str, choices: list[str]) -> dict[str, Any]:
    """The first is the default."""
    return {
        "question_name": name,
        "question_description": description,
        "variable": variable,
        "type": "multiplechoice",
        "choices": choices,
        "required": True,
        "default": choices[0],
    }


def _workflow(entry: IncidentType, gates: Mapping[str, Any]) -> dict[str, Any]:
    """Respond; what it did not bring to its end waits for people at the first gate, is resumed, and so on."""
    asked = [one.gate for one in gates_of(entry) if one.holds]
    nodes = [_job("respond", template_name(entry), failure=f"approve_{asked[0]}" if asked else None)]
    for gate, following in zip(asked, [*asked[1:], None], strict=True):
        nodes.append(_approval(gate, gates[gate]))
        nodes.append(_job(f"resume_{gate}", RESUME, failure=f"approve_{following}" if following else None))
    return {
        "name": f"{template_name(entry)}, with approvals",
        "description": f"{entry.title}; it waits where two people decide, and goes on",
        "organization": PLACE["organization"],
        "allow_simultaneous": True,
        "survey_enabled": True,
        "survey_spec": _survey(entry),
        "workflow_nodes": nodes,
    }


def _job(identifier: str, template: str, *, failure: str | None) -> dict[str, Any]:
    """``failure``: the node after a job that was not done, also one that is only held."""
    return {
        "identifier": identifier,
        "unified_job_template": {
            "name": template,
            "type": "job_template",
            "organization": {"name": PLACE["organization"]},
        },
        "related": _related(failure=failure),
    }


def _approval(gate: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A pause. It opens nothing: the resumed playbook verifies the signatures itself."""
    says = (
        f"{asked['question']} First {asked['people']} of {' or '.join(asked['groups'])} sign on the jumphost: "
        f"hft-incident approve INC {gate}. This click only lets it look; without their signatures it stays shut."
    )
    return {
        "identifier": f"approve_{gate}",
        "unified_job_template": {"name": gate, "type": "workflow_approval", "description": says, "timeout": 0},
        "related": _related(success=f"resume_{gate}"),
    }


def _related(*, success: str | None = None, failure: str | None = None) -> dict[str, Any]:
    return {
        "success_nodes": [{"identifier": success}] if success else [],
        "failure_nodes": [{"identifier": failure}] if failure else [],
        "always_nodes": [],
        "credentials": [],
    }


class _Plain(yaml.SafeDumper):
    """Without anchors, and with lists indented: people read it."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


def text() -> str:
    return HEADER + yaml.dump(document(), Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)


def main() -> int:
    if "--check" in sys.argv[1:]:
        same = FILE.is_file() and FILE.read_text(encoding="utf-8") == text()
        print(f"{FILE.relative_to(ROOT)}: {'as the catalog says' if same else 'is not what tools/make_awx.py writes'}")
        return 0 if same else 1
    FILE.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
