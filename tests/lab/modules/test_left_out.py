# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a task leaves out, the inventory says: through both doors, and never where the task says it itself.

Nobody answers at any of the addresses here: that a module names a venue shows where it has the venue from.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ansible_collections.hft.incident.plugins.plugin_utils.door import FROM_INVENTORY

from .test_doors import BIN, ELSEWHERE, MODULES, _environment, spec_of
from .test_doors import documentation as documentation

NOBODY = "http://127.0.0.1:9"
CANARY = "s3cr3t-canary"
HINT = "the lab is not up: run 'hft-incident lab up'"
INFO = "hft.incident.trading_system_info"


def system(name: str) -> dict[str, Any]:
    return {"name": name, "url": NOBODY}


#: One host of which everything is known, one of which nothing is, and one whose inventory cannot say it yet.
INVENTORY: Mapping[str, Any] = {
    "door": {
        "hft_trading_systems": [system("the site's")],
        "site_venue": "alpha",
        "hft_venues": [
            {
                "name": "{{ site_venue }}",
                "driver": "binance",
                "base_url": NOBODY,
                "api_key": "env:THE_KEY",
                "api_secret": "env:THE_SECRET",
            }
        ],
        "hft_log_files": ["{{ inventory_dir }}/hosts.json"],
    },
    "bare": {},
    "unready": {
        "hft_venues": f"{{{{ undef(hint={HINT!r}) }}}}",
        "hft_trading_systems": "{{ nobody_says_this }}",
    },
}

#: Of each host its tasks, by what is shown: the module and what it is told.
TASKS: Mapping[str, Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "door": {
        "filled": (INFO, {}),
        "given": (INFO, {"trading_systems": [system("the task's")]}),
        "omitted": (INFO, {"trading_systems": "{{ omit }}"}),
        "empty": (INFO, {"trading_systems": []}),
        "venues": ("hft.incident.open_orders_info", {"timeout": 2}),
        "collected": ("hft.incident.evidence", {"dest": "evidence"}),
        "collected_elsewhere": (
            "hft.incident.evidence",
            {"dest": "elsewhere", "log_files": ["{{ inventory_dir }}/play.yml"]},
        ),
    },
    "bare": {
        "missing": ("hft.incident.open_orders_info", {}),
        "missing_latch": ("hft.incident.latch", {"state": "closed"}),
    },
    "unready": {
        "hinted": ("hft.incident.open_orders_info", {}),
        "undefined": (INFO, {}),
        "given_all_the_same": (INFO, {"trading_systems": [system("the task's")]}),
    },
}


class Played(NamedTuple):
    results: Mapping[str, Any]
    output: str


def plays(folder: Path) -> list[dict[str, Any]]:
    """One of each host; then one that has defaults of its own, and one that takes over somebody else's words."""
    defaults = {"group/hft.incident.trading_systems": {"trading_systems": [system("the play's")]}}
    hear = {"ansible.builtin.set_fact": {"hft_trading_systems": "{{ lookup('file', heard) | from_json }}"}}
    return [
        *(_play(host, [_task(name, *told) for name, told in tasks.items()]) for host, tasks in TASKS.items()),
        {**_play("door", [_task("defaulted", INFO, {})]), "module_defaults": defaults},
        {**_play("bare", [hear, _task("foreign", INFO, {})]), "vars": {"heard": str(folder / "heard.json")}},
    ]


def _task(name: str, module: str, args: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, module: args, "register": name, "ignore_errors": True}


def _play(host: str, tasks: list[dict[str, Any]]) -> dict[str, Any]:
    results = ", ".join(f"'{task['register']}': {task['register']}" for task in tasks if "register" in task)
    tell = {"name": "Tell", "ansible.builtin.debug": {"msg": "RESULTS={{ {" + results + "} | to_json | b64encode }}"}}
    return {"name": host, "hosts": host, "gather_facts": False, "tasks": [*tasks, tell]}


@pytest.fixture(scope="module", params=["local", "elsewhere"])
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": INVENTORY}}))
    (folder / "heard.json").write_text(json.dumps([system("{{ 1 + 1 }}")]))
    (folder / "play.yml").write_text(json.dumps(plays(folder)))
    (folder / "elsewhere.py").write_text(ELSEWHERE)
    (folder / "shipped").touch()
    python = sys.executable if request.param == "elsewhere" else "/nonexistent/python"
    done = subprocess.run(
        [BIN / "ansible-playbook", "-i", "hosts.json", "-c", request.param, "-vvv", "play.yml"],
        cwd=folder,
        env={**_environment(folder, python), "THE_KEY": f"{CANARY}-key", "THE_SECRET": CANARY},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    found = re.findall(r"RESULTS=([\w+/=]+)", done.stdout)
    assert len(found) == len(TASKS) + 2, done.stdout + done.stderr
    results = {name: result for told in found for name, result in json.loads(base64.b64decode(told)).items()}
    return Played(results, done.stdout + done.stderr)


def names(result: Mapping[str, Any], what: str = "systems") -> list[str]:
    return [row["name"] for row in result[what]]


@pytest.mark.parametrize(
    ("task", "said_by"),
    [
        ("filled", "the site's"),
        ("omitted", "the site's"),
        ("given", "the task's"),
        ("given_all_the_same", "the task's"),
        ("defaulted", "the play's"),
    ],
)
def test_what_a_task_or_its_play_says_wins_and_the_rest_is_the_inventorys(
    played: Played, task: str, said_by: str
) -> None:
    assert names(played.results[task]) == [said_by], played.results[task]


def test_an_empty_list_is_an_answer(played: Played) -> None:
    assert played.results["empty"]["outcome"] == "usage", "nobody to ask"


def test_it_is_templated_where_the_inventory_wrote_it_and_nowhere_else(played: Played) -> None:
    assert names(played.results["venues"], "venues") == ["alpha"]
    assert names(played.results["foreign"]) == ["{{ 1 + 1 }}"]


def test_its_secrets_stay_references(played: Played) -> None:
    assert not played.results["venues"]["venues"][0]["known"]
    assert "env:THE_SECRET" not in json.dumps(played.results)
    assert CANARY not in played.output


@pytest.mark.parametrize(("task", "file"), [("collected", "hosts.json"), ("collected_elsewhere", "play.yml")])
def test_evidence_is_of_the_hosts_own_files(played: Played, task: str, file: str) -> None:
    items = played.results[task]["items"]
    assert [Path(item["source"]).name for item in items if item["name"].startswith("logs/")] == [file]


def test_what_is_needed_and_said_nowhere_is_missing(played: Played) -> None:
    for task, option in (("missing", "venues"), ("missing_latch", "hold_file")):
        result = played.results[task]
        assert (result["failed"], result["outcome"]) == (True, "usage")
        assert result["msg"] == f"missing required arguments: {option} (and the inventory has no hft_{option})"


@pytest.mark.parametrize(
    ("task", "variable", "said"),
    [("hinted", "hft_venues", HINT), ("undefined", "hft_trading_systems", "'nobody_says_this' is undefined")],
)
def test_what_the_inventory_cannot_say_yet_is_told_in_its_own_words(
    played: Played, task: str, variable: str, said: str
) -> None:
    result = played.results[task]
    assert (result["failed"], result["outcome"]) == (True, "usage")
    assert result["msg"].startswith(f"{variable} of the inventory: ")
    assert said in result["msg"]


@pytest.mark.parametrize("module", MODULES)
def test_the_page_of_a_module_says_where_it_has_from_what_is_left_out(
    documentation: dict[str, Any], module: str
) -> None:
    options = documentation[module]["doc"].get("options", {})
    for option, variable in FROM_INVENTORY.items():
        told = "".join(options.get(option, {}).get("description", ""))
        assert (f"C({variable}) of the inventory is taken" in told) == (option in spec_of(module))
