# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Every module of the collection: one step behind two doors, and documentation that says what it really takes.

Each door gets a world of its own, the same for both: lab venues with seeded orders, and a trading system that is held
from quoting. Then one real ``ansible-playbook`` plays all modules through that door.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import yaml

from ..trading_system_process import trading_system
from ..venues_host import venue_host
from ..waiting import wait_until
from .steps import Arguments, seed

COLLECTIONS = Path(__file__).parents[3] / "collections"
COLLECTION = COLLECTIONS / "ansible_collections/hft/incident"
BIN = Path(sys.executable).parent
STEPS = "ansible_collections.hft.incident.plugins.module_utils.steps"
EXCHANGES = {"alpha": "binance", "beta": "bybit"}
MODULES = sorted(path.stem for path in (COLLECTION / "plugins/modules").glob("*.py"))

Result = dict[str, Any]


class Case(NamedTuple):
    """What a module is given besides ``venues`` and ``trading_systems``, and what shows that it did its work."""

    args: Mapping[str, Any]
    worked: Callable[[Result], bool]


def _no_incident(result: Result) -> bool:
    return result["outcome"] == "usage" and "no incident is open here" in result["msg"]


#: In the order in which they are played; what changes something comes last.
CASES = {
    "venue_status_info": Case({"name": "alpha"}, lambda r: r["verdict"] == "healthy"),
    "venue_watch": Case({"name": "alpha", "timeout": 10}, lambda r: r["verdict"] == "healthy"),
    "trading_system_info": Case({"restarted_within": 3600}, lambda r: r["all_answer"] and r["systems"][0]["restarted"]),
    "trading_system_watch": Case({"wait_for": "answering"}, lambda r: r["all_answer"]),
    "open_orders_info": Case({}, lambda r: r["known"] and all(venue["count"] for venue in r["venues"])),
    "exposure_info": Case({}, lambda r: any(asset["asset"] == "BTC" for asset in r["assets"])),
    "venue_account_info": Case(
        {"client_id_pattern": "hft.*", "since": "2026-01-01T00:00:00Z"},
        lambda r: r["findings"][0]["kind"] == "order_foreign" and r["unknown"][0]["kind"] == "auth",
    ),
    "api_key_info": Case({}, lambda r: r["accounts"][0]["parts"]["own_keys"] and r["unknown"][0]["kind"] == "auth"),
    "withdrawals": Case({}, lambda r: r["frozen"]),
    "unknown_api_key": Case(
        {"keys": [{"name": "k", "venue": "alpha", "key_id": "x"}]}, lambda r: r["venues"][0]["verdict"] == "by_hand"
    ),
    "position_reconciliation": Case({"require_reconciled": False, "interval": 0.1}, lambda r: bool(r["verdict"])),
    "crash_report_info": Case(
        {"unit": "hft", "systemctl": "/nowhere", "journalctl": "/nowhere", "package_logs": []},
        lambda r: r["kind"] == "unknown" and len(r["not_seen"]) > 1,
    ),
    "host_pressure_info": Case({"paths": ["/"]}, lambda r: r["memory"]["total_bytes"] and r["disks"]),
    "release_info": Case(
        {"approved": {"version": "1", "files": {"/etc/none": "0" * 64}}}, lambda r: r["verdict"] == "not_approved"
    ),
    # What runs here changes from one look to the next; what was asked about files does not.
    "host_audit_info": Case(
        {"checks": ["repository", "release"], "approved": {"version": "1", "files": {"/etc/none": "0" * 64}}},
        lambda r: r["worst"] == "suspicious" and r["unknown"][0]["check"] == "repository",
    ),
    "strategy": Case({"state": "stopped", "exchange": "alpha"}, lambda r: r["changed"]),
    "exchange": Case({"name": "alpha", "state": "disabled"}, lambda r: r["changed"]),
    "service_state": Case(
        {"unit": "hft", "state": "stopped", "systemctl": "/nowhere"}, lambda r: r["outcome"] == "usage"
    ),
    "evidence": Case(
        {"log_files": [str(COLLECTION / "LICENSE"), "/nowhere.log"], "dest": "evidence"},
        lambda r: r["changed"] and r["host"] == "door" and r["folder"].endswith("/evidence/door"),
    ),
    "database_probe": Case(
        {"database": {"host": "127.0.0.1", "port": 1, "dbname": "hft_db", "user": "hft"}},
        lambda r: r["verdict"] == "unreachable",
    ),
    "trading_limit": Case({"scale_pct": "50"}, lambda r: r["changed"]),
    "killswitch": Case({"reason": "a test", "interval": 0.05}, lambda r: r["changed"]),
    "api_key": Case(
        {
            "keys": [{"name": "hft-1/beta", "venue": "beta", "slot": "beta.trading", "ip_allow_list": ["127.0.0.1"]}],
            "secret_store": {"kind": "file", "path": "/nowhere"},
            "state": "present",
        },
        lambda r: r["rotations"][0]["verdict"] == "failed" and "there is no key in beta.trading" in r["msg"],
    ),
    "latch": Case({"state": "closed", "gate": "resume"}, lambda r: r["changed"] and r["agree"]),
    "latch_info": Case({}, lambda r: r["state"] == ("closed" if r["api"][0]["state"] == "closed" else "open")),
    "host_isolation": Case(
        {"state": "isolated", "responders": ["192.0.2.10"], "forbidden": ["198.51.100.7:443"]},
        lambda r: r["outcome"] == "usage" and "is the control node itself" in r["msg"],
    ),
    "alarm": Case({"real": True, "because": "it is down"}, _no_incident),
    "escalation": Case({"within": 3600}, _no_incident),
    "regulatory_clock": Case({"state": "started"}, _no_incident),
    "breach_level": Case({}, _no_incident),
    "gate": Case({"gate": "resume_trading"}, _no_incident),
    "credential_checklist": Case({"credentials": [{"name": "database", "owner": "bob"}]}, _no_incident),
    "undo": Case({}, _no_incident),
    "incident": Case({}, _no_incident),
}

# A host that is not the control node, as far as Ansible can tell: the module is built, sent over and run there.
ELSEWHERE = '''
DOCUMENTATION = """
name: elsewhere
short_description: another host
description: This machine, reached like another one.
author: tests
options:
  become_success_timeout: {type: int, default: 10, description: "as local"}
  become_strip_preamble: {type: bool, default: true, description: "as local"}
extends_documentation_fragment: [connection_pipelining]
"""
import os
from ansible.plugins.connection.local import Connection as Local


class Connection(Local):
    transport = "elsewhere"

    def exec_command(self, cmd, in_data=None, sudoable=True):
        if in_data:
            with open(os.environ["SHIPPED"], "a") as file:
                file.write(f"{len(in_data)}\\n")
        return super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
'''


#: Works on the record, which is here: what it plays is shipped, if anything is.
STAYING = {"api_key", "undo"}


class Played(NamedTuple):
    results: dict[str, Result]
    shipped: int  #: how many modules were sent to a host


def play(folder: Path, connection: str, *, check: bool) -> Played:
    """All cases in one playbook over this connection, in a fresh world."""
    folder.mkdir()
    (folder / "hold").touch()
    with venue_host(EXCHANGES) as host, trading_system(folder, host, EXCHANGES) as hft:
        for venue in host.venues.values():
            venue.exchange.feed_running = True
            venue.market_moves = False  # fresh market data, and the same prices in both worlds
            seed(venue)
        wait_until(lambda: all(_sees(row) for row in hft.get("/exchanges")["exchanges"]))
        given = Arguments(folder, host)
        world = {
            "venues": [given.venue(name, driver) for name, driver in EXCHANGES.items()],
            "trading_systems": [given.system(hft)],
            "hold_file": str(folder / "latch/ir-hold"),
        }
        (folder / "play.yml").write_text(json.dumps(_playbook(world)))
        (folder / "elsewhere.py").write_text(ELSEWHERE)
        (folder / "shipped").touch()
        # In process nothing may need an interpreter; to ship a module is to use this one.
        python = sys.executable if connection == "elsewhere" else "/nonexistent/python"
        done = subprocess.run(
            [BIN / "ansible-playbook", "-i", "door,", "-c", connection, "play.yml", *(["--check"] if check else [])],
            cwd=folder,
            env=_environment(folder, python),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    found = re.search(r"RESULTS=([\w+/=]+)", done.stdout)
    assert found, done.stdout + done.stderr
    shipped = len((folder / "shipped").read_text().splitlines())
    return Played(json.loads(base64.b64decode(found[1])), shipped)


def _sees(row: Mapping[str, Any]) -> bool:
    return bool(row["connected"]) and row["last_market_data_age_s"] is not None and row["open_orders"] == 0


def _environment(folder: Path, python: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "HFT_", "PYTHON"))}
    return {
        **kept,
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_CONNECTION_PLUGINS": str(folder),
        "ANSIBLE_PYTHON_INTERPRETER": python,
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "ansible/tmp"),
        "SHIPPED": str(folder / "shipped"),
    }


def _playbook(world: Mapping[str, Any]) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = []
    for module, case in CASES.items():
        args = {**{name: value for name, value in world.items() if name in spec_of(module)}, **case.args}
        tasks.append(
            {"name": module, f"hft.incident.{module}": args, "register": f"did_{module}", "ignore_errors": True}
        )
    results = ", ".join(f"'{module}': did_{module}" for module in CASES)
    tell = "RESULTS={{ {" + results + "} | to_json | b64encode }}"
    tasks.append({"name": "Tell", "ansible.builtin.debug": {"msg": tell}})
    return [{"name": "One door", "hosts": "all", "gather_facts": False, "tasks": tasks}]


def step_of(module: str) -> ModuleType:
    return import_module(f"{STEPS}.{module}")


def spec_of(module: str) -> dict[str, Any]:
    spec: dict[str, Any] = step_of(module).ARGUMENT_SPEC
    return spec


# The doors ------------------------------------------------------------------------------------------------------------


class Doors(NamedTuple):
    in_process: Played
    shipped: Played


@pytest.fixture(scope="module", params=[False, True], ids=["", "check"])
def doors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Doors:
    folder = tmp_path_factory.mktemp("doors")
    return Doors(
        play(folder / "in_process", "local", check=request.param),
        play(folder / "shipped", "elsewhere", check=request.param),
    )


#: What differs between any two runs.
VOLATILE = re.compile(
    r".*_(ms|us|s|bytes|percent|available)|avg\d+|running|tasks|started_at|requests|url|base_url|not_counted|manifest_sha256"
)
#: What Ansible adds to a result on one of its ways.
ADDED = {"invocation", "exception", "warnings", "deprecations"}


def comparable(value: Any, field: str = "") -> Any:
    if VOLATILE.fullmatch(field) and not isinstance(value, Mapping):
        return None if value is None else "varies"
    if isinstance(value, Mapping):
        return {key: comparable(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [comparable(item, field) for item in value]
    return re.sub(r"[+-]?\d+(\.\d+)?|(?<=/)(in_process|shipped)(?=/)", "#", value) if isinstance(value, str) else value


@pytest.mark.parametrize("module", MODULES)
def test_both_doors_give_the_same_result(doors: Doors, module: str) -> None:
    in_process, shipped = (
        {key: item for key, item in played.results[module].items() if key not in ADDED}
        for played in (doors.in_process, doors.shipped)
    )
    assert comparable(in_process) == comparable(shipped)
    assert CASES[module].worked(in_process), in_process
    assert CASES[module].worked(shipped), shipped


def test_on_the_control_node_nothing_is_shipped_and_elsewhere_everything_is(doors: Doors) -> None:
    assert doors.in_process.shipped == 0
    assert doors.shipped.shipped == len(set(CASES) - STAYING)


def test_no_reference_to_a_secret_is_echoed(doors: Doors) -> None:
    for played in doors:
        for result in played.results.values():
            assert "responder.secret" not in json.dumps({**result, "inverses": None})


def test_every_module_has_a_case_here_and_an_action_of_its_name() -> None:
    assert sorted(CASES) == MODULES
    assert sorted(path.stem for path in (COLLECTION / "plugins/action").glob("*.py")) == MODULES


# The documentation ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def documentation() -> dict[str, Any]:
    """What ``ansible-doc`` makes of every module."""
    names = [f"hft.incident.{module}" for module in MODULES]
    done = subprocess.run(
        [BIN / "ansible-doc", "-t", "module", "--json", *names],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return {name.removeprefix("hft.incident."): page for name, page in document.items()}


def test_every_page_renders(documentation: dict[str, Any]) -> None:
    assert sorted(documentation) == MODULES
    done = subprocess.run(
        [BIN / "ansible-doc", "-t", "module", *(f"hft.incident.{module}" for module in MODULES)],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("module", MODULES)
def test_the_documented_options_are_those_that_it_takes(documentation: dict[str, Any], module: str) -> None:
    documented = documentation[module]["doc"].get("options", {})
    facts = ("type", "elements", "choices", "default", "required")

    def told(option: Mapping[str, Any]) -> dict[str, Any]:
        return {fact: option[fact] for fact in facts if option.get(fact) not in (None, False) or fact == "default"}

    spec = {name: {"default": None, **option} for name, option in spec_of(module).items()}
    assert {name: told({"default": None, **option}) for name, option in documented.items()} == {
        name: told(option) for name, option in spec.items()
    }


@pytest.mark.parametrize("module", MODULES)
def test_the_page_says_what_check_mode_diff_and_a_second_run_do(documentation: dict[str, Any], module: str) -> None:
    attributes = documentation[module]["doc"]["attributes"]
    assert set(attributes) == {"check_mode", "diff_mode", "idempotent"}
    assert all(
        attribute["support"] in ("full", "none", "N/A") and attribute["description"]
        for attribute in attributes.values()
    )
    assert attributes["check_mode"]["support"] == "full"


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_are_tasks_with_options_that_exist(documentation: dict[str, Any], module: str) -> None:
    used = [task[f"hft.incident.{module}"] for task in yaml.safe_load(documentation[module]["examples"])
            if f"hft.incident.{module}" in task]  # fmt: skip
    assert used
    assert all(set(args or {}) <= set(spec_of(module)) for args in used)


@pytest.mark.parametrize("module", MODULES)
def test_every_field_of_a_result_is_documented(documentation: dict[str, Any], doors: Doors, module: str) -> None:
    common = {"changed", "msg", "diff", "failed", "outcome", *ADDED}
    returned = set(doors.in_process.results[module]) - common
    assert returned <= set(documentation[module]["return"])


@pytest.mark.parametrize("group", ["gates", "venues", "trading_systems"])
def test_a_playbook_may_set_what_many_modules_take_once_for_all_of_them(group: str) -> None:
    runtime = yaml.safe_load((COLLECTION / "meta/runtime.yml").read_text())
    assert sorted(runtime["action_groups"][group]) == [module for module in MODULES if group in spec_of(module)]
