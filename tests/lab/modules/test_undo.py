# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Undoing: the last change first, never twice, and going on where it was cut off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.claims import require_free
from ansible_collections.hft.incident.plugins.module_utils.incident import (
    ENV_DIR,
    Incident,
    list_incidents,
    open_incident,
    state_of,
)
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from ansible_collections.hft.incident.plugins.module_utils.steps import undo

from ..waiting import wait_until
from .stand_in import StandIn, stand_ins
from .steps import Ran, run

ROOT = Path(__file__).parents[3]
CLOSED = ("alpha", "beta")
UNDO = """
import sys
from ansible_collections.hft.incident.plugins.module_utils.steps import Context, undo
print(undo.run({"only": [], "skip": [], "extra": {}, "gate": None}, Context(check=False, note=lambda kind, data: None)))
"""


@pytest.fixture
def system() -> Iterator[StandIn]:
    """A trading system that a response has closed at two exchanges, alpha first, and whose strategy it has stopped."""
    with stand_ins("hft-1") as (one,):
        for name in CLOSED:
            one.exchanges[name]["enabled"] = False
        one.strategy("mm", "alpha", running=False)
        yield one


@pytest.fixture
def incident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Incident:
    opened = open_incident("exchange_outage", home=tmp_path / "home")
    monkeypatch.setenv(ENV_DIR, str(opened.directory))
    return opened


@pytest.fixture
def closed(incident: Incident, system: StandIn) -> Incident:
    """The incident with the inverses of that response, in the order in which it acted."""
    for name in CLOSED:
        args = {"trading_systems": [system.entry], "name": name, "state": "enabled", "timeout": 1.0}
        register(incident, "exchange", args, f"enable {name}")
    return incident


def register(incident: Incident, module: str, args: dict[str, Any], describe: str) -> None:
    number = len(incident.journal.events())
    data = {"id": f"i{number}", "module": f"hft.incident.{module}", "args": args, "describe": describe}
    incident.journal.append("inverse.registered", {**data, "task": "a task", "host": "localhost"})


def restart(incident: Incident, system: StandIn) -> None:
    args = {"trading_systems": [system.entry], "ids": ["mm"], "state": "started", "settle": 0.05, "timeout": 2.0}
    register(incident, "strategy", args, "start mm")


def enabled(system: StandIn) -> list[str]:
    return [name for name, row in system.exchanges.items() if row["enabled"]]


def still_open(incident: Incident) -> list[str]:
    return [inverse.describe for inverse in state_of(incident.journal.events()).inverses]


def happened(incident: Incident, kind: str) -> list[str]:
    return [event.data["describe"] for event in incident.journal.events() if event.kind == kind]


def test_the_last_change_is_undone_first_and_each_is_recorded(closed: Incident, system: StandIn) -> None:
    done = run(undo)
    assert (done["changed"], done.failed, done["undone"]) == (True, False, ["enable beta", "enable alpha"])
    assert enabled(system) == ["alpha", "beta"]
    assert happened(closed, "inverse.applied") == ["enable beta", "enable alpha"]
    assert still_open(closed) == []
    assert done["diff"] == {"before": {"to_undo": ["enable beta", "enable alpha"]}, "after": {"to_undo": []}}
    kinds = [event.kind for event in closed.journal.events()]
    assert kinds[-4:] == ["exchange.changed", "inverse.applied"] * 2
    assert verify(closed.journal.path).state == "intact"


def test_a_second_run_has_nothing_to_do(closed: Incident, system: StandIn) -> None:
    run(undo)
    events, writes = len(closed.journal.events()), len(system.writes)
    again = run(undo)
    assert (again["changed"], again["undone"], again["msg"]) == (False, [], "nothing to undo")
    assert (len(closed.journal.events()), len(system.writes)) == (events, writes)


def test_check_mode_says_what_it_would_undo_and_does_not(closed: Incident, system: StandIn) -> None:
    events = len(closed.journal.events())
    would = run(undo, check=True)
    assert (system.seen, len(closed.journal.events())) == ([], events)
    done = run(undo)
    for field in ("changed", "undone", "diff"):
        assert would[field] == done[field]


@pytest.mark.parametrize(("how", "words"), [(500, "HTTP 500"), ("hang", "no answer in time")])
def test_an_inverse_that_fails_stops_the_rest_stays_open_and_is_recorded(
    closed: Incident, system: StandIn, how: str | int, words: str
) -> None:
    restart(closed, system)
    system.on["PUT /config"] = lambda: how
    done = run(undo)
    assert done.outcome == "unproven"
    assert (done["undone"], done["changed"]) == (["start mm"], True)
    assert "could not enable beta" in done["msg"]
    assert words in done["msg"]
    assert "still to undo: enable beta, enable alpha" in done["msg"]
    assert system.running() == ["mm"]
    assert still_open(closed) == ["enable beta", "enable alpha"]
    assert happened(closed, "inverse.failed") == ["enable beta"]
    assert done["diff"]["after"] == {"to_undo": ["enable beta", "enable alpha"]}
    system.on.clear()
    assert run(undo)["undone"] == ["enable beta", "enable alpha"]
    assert enabled(system) == ["alpha", "beta"]


@pytest.mark.parametrize(
    ("module", "args", "words"),
    [
        ("nosuch", {}, "no module 'hft.incident.nosuch'"),
        ("exchange", {"name": "alpha"}, "arguments are not valid"),
        ("exchange", {"trading_systems": [{"url": 7}], "name": "alpha", "state": "enabled"}, "has no 'name'"),
    ],
)
def test_an_inverse_that_cannot_even_begin_stays_open_and_is_recorded(
    incident: Incident, module: str, args: dict[str, Any], words: str
) -> None:
    register(incident, module, args, "something odd")
    done = run(undo)
    assert done.failed
    assert words in done["msg"]
    assert (happened(incident, "inverse.failed"), still_open(incident)) == (["something odd"], ["something odd"])


def test_only_and_skip_choose_by_module(closed: Incident, system: StandIn) -> None:
    restart(closed, system)
    assert run(undo, skip=["strategy"])["undone"] == ["enable beta", "enable alpha"]
    assert system.running() == []
    assert run(undo, only=["hft.incident.strategy"], extra={"settle": 0})["undone"] == ["start mm"]
    assert system.running() == ["mm"]


@pytest.mark.parametrize("wrong", [{"only": ["stratgy"]}, {"skip": ["nosuch"]}, {"extra": {"setle": 1}}])
@pytest.mark.parametrize("check", [False, True])
def test_a_misspelt_argument_is_refused_instead_of_undoing_too_little(
    closed: Incident, system: StandIn, wrong: dict[str, Any], check: bool
) -> None:
    assert run(undo, check=check, **wrong).outcome == "usage"
    assert system.seen == []
    assert still_open(closed) == ["enable beta", "enable alpha"]


def test_an_inverse_that_finds_nothing_to_change_is_done_too(closed: Incident, system: StandIn) -> None:
    system.exchanges["beta"]["enabled"] = True  # by hand
    assert run(undo)["undone"] == ["enable beta", "enable alpha"]
    assert system.writes == ["PUT /config"]
    assert [e.data["changed"] for e in closed.journal.events() if e.kind == "inverse.applied"] == [False, True]


@pytest.mark.parametrize("moment", ["before the change", "after the change, before it is recorded"])
def test_undo_killed_half_way_goes_on_where_it_was_without_repeating_anything(
    closed: Incident, system: StandIn, moment: str
) -> None:
    writes: list[str] = []

    def die_at_alpha() -> str | int | None:
        """The write of beta has been answered and recorded; this is alpha's."""
        writes.append("PUT /config")
        if len(writes) < 2:
            return None
        undoing.send_signal(signal.SIGKILL)
        undoing.wait(timeout=10)
        return 500 if moment == "before the change" else "lost"

    system.on["PUT /config"] = die_at_alpha
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "collections")}
    undoing = subprocess.Popen([sys.executable, "-c", UNDO], env=environment, stdout=subprocess.PIPE)
    assert undoing.stdout is not None
    assert undoing.stdout.read() == b""
    undoing.stdout.close()
    assert undoing.wait(timeout=30) == -signal.SIGKILL
    assert still_open(closed) == ["enable alpha"]
    wait_until(lambda: enabled(system) == (["beta"] if moment == "before the change" else ["alpha", "beta"]))
    system.on.clear()
    system.seen.clear()
    assert run(undo)["undone"] == ["enable alpha"]
    assert enabled(system) == ["alpha", "beta"]
    assert system.writes == (["PUT /config"] if moment == "before the change" else [])
    assert happened(closed, "inverse.applied") == ["enable beta", "enable alpha"]
    assert verify(closed.journal.path).state == "intact"


def test_only_what_was_changed_on_the_plays_own_host_is_undone(closed: Incident, system: StandIn) -> None:
    args = {"trading_systems": [system.entry], "ids": ["mm"], "state": "started"}
    lost = {"id": "far", "module": "hft.incident.strategy", "args": args, "describe": "start mm", "host": "hft-1"}
    closed.journal.append("inverse.registered", {**lost, "task": "a task"})
    assert run(undo)["undone"] == ["enable beta", "enable alpha"]
    assert (system.running(), still_open(closed)) == ([], ["start mm"])


@pytest.mark.parametrize("gate", [None, "resume_trading"])
def test_what_another_incident_holds_is_not_opened(
    closed: Incident, system: StandIn, monkeypatch: pytest.MonkeyPatch, gate: str | None
) -> None:
    """The gate asks for the same, and for approvals; see the tests of the gate."""
    monkeypatch.setattr(undo, "require_passed", lambda incident, *_: require_free(incident))
    other = open_incident("system_crash", home=closed.directory.parent)
    other.journal.append("kill.verified", {"verdict": "clear", "venues": [{"name": "alpha", "verdict": "clear"}]})
    before = len(closed.journal.events())
    would = run(undo, check=True, gate=gate)
    assert not would.failed
    assert f"only once it may: {other.id} holds venue alpha" in would["msg"]
    held = run(undo, gate=gate)
    assert held.outcome == "held"
    assert f"{other.id} holds venue alpha" in held["msg"]
    assert (system.seen, len(closed.journal.events())) == ([], before)
    other.journal.append("incident.closed", {"resolution": "resolved"})
    assert run(undo, gate=gate)["undone"] == ["enable beta", "enable alpha"]


def test_what_is_closed_again_meanwhile_stops_the_rest(closed: Incident, system: StandIn) -> None:
    def close_again() -> None:
        other = open_incident("system_crash", home=closed.directory.parent)
        other.journal.append("kill.verified", {"verdict": "clear", "venues": [{"name": "alpha", "verdict": "clear"}]})

    system.on["PUT /config"] = close_again
    done = run(undo)
    assert (done.outcome, done["undone"], enabled(system)) == ("held", ["enable beta"], ["beta"])
    assert still_open(closed) == ["enable alpha"]


def test_without_the_gate_passed_nothing_is_opened(closed: Incident, system: StandIn, tmp_path: Path) -> None:
    signers = tmp_path / "allowed_signers"
    signers.write_text("")
    gates = {"resume_trading": {"people": 2, "groups": ["risk"]}}
    asked: dict[str, Any] = {"gate": "resume_trading", "gates": gates, "allowed_signers": str(signers)}
    assert run(undo, **asked).outcome == "held"
    assert run(undo, gate="resume_trading").outcome == "usage"
    assert (system.seen, still_open(closed)) == ([], ["enable beta", "enable alpha"])


def test_what_closes_needs_nobodys_leave(incident: Incident, system: StandIn) -> None:
    system.exchanges["alpha"]["enabled"] = True
    args = {"trading_systems": [system.entry], "name": "alpha", "state": "disabled"}
    register(incident, "exchange", args, "disable alpha")
    assert run(undo, gate="resume_trading")["undone"] == ["disable alpha"]
    assert enabled(system) == []


PLAYBOOK = """
- name: Close and open again
  hosts: localhost
  gather_facts: false
  tags: [contain]
  module_defaults:
    group/hft.incident.trading_systems:
      trading_systems: [{{name: hft-1, url: "{url}", token: "env:HFT_TEST_TOKEN"}}]
  tasks:
    - name: Close
      hft.incident.exchange: {{name: alpha, state: disabled}}
    - name: Open again
      hft.incident.undo: {{}}
    - name: Nothing is left
      hft.incident.undo: {{}}
"""


def test_in_a_playbook_undo_finds_what_the_scribe_registered(tmp_path: Path, system: StandIn) -> None:
    """The whole way: a module's inverse through the journal, with its secrets as references, and back."""
    system.exchanges["alpha"]["enabled"] = True
    (tmp_path / "exchange_outage.yml").write_text(PLAYBOOK.format(url=system.entry["url"]))
    home = tmp_path / "home"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "HFT_"))}
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local", "exchange_outage.yml"],
        cwd=tmp_path,
        env={
            **kept,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_CALLBACKS_ENABLED": "hft.incident.scribe",
            "ANSIBLE_HOME": str(tmp_path / "ansible"),
            "HFT_INCIDENT_HOME": str(home),
            "HFT_TEST_TOKEN": "5a1tc0ffee",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (incident,) = list_incidents(home)
    events = incident.journal.events()
    assert [event.data["describe"] for event in events if event.kind == "inverse.registered"] == [
        event.data["describe"] for event in events if event.kind == "inverse.applied"
    ]
    assert still_open(incident) == []
    assert [event.data["status"] for event in events if event.kind == "task.finished"] == ["changed", "changed", "ok"]
    assert system.writes == ["PUT /config", "PUT /config"]
    assert enabled(system) == ["alpha"]
    assert verify(incident.journal.path).state == "intact"
    assert "5a1tc0ffee" not in Path(incident.journal.path).read_text() + done.stdout


ELSEWHERE = """
DOCUMENTATION = '''
name: elsewhere
short_description: another host
description: This machine, reached like another one.
author: tests
options:
  become_success_timeout: {type: int, default: 10, description: "as local"}
  become_strip_preamble: {type: bool, default: true, description: "as local"}
extends_documentation_fragment: [connection_pipelining]
'''
from ansible.plugins.connection.local import Connection as Local


class Connection(Local):
    transport = "elsewhere"
"""


def test_on_a_remote_host_the_module_is_shipped_there_and_the_record_is_kept_here(
    tmp_path: Path, system: StandIn
) -> None:
    system.exchanges["alpha"]["enabled"] = True
    far = PLAYBOOK.format(url=system.entry["url"]).replace("hosts: localhost", "hosts: far")
    (tmp_path / "exchange_outage.yml").write_text(far)
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "HFT_"))}
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "far,", "-c", "elsewhere", "exchange_outage.yml"],
        cwd=tmp_path,
        env={
            **kept,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_CALLBACKS_ENABLED": "hft.incident.scribe",
            "ANSIBLE_CONNECTION_PLUGINS": str(tmp_path),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_HOME": str(tmp_path / "ansible"),
            "HFT_INCIDENT_HOME": str(tmp_path / "home"),
            "HFT_TEST_TOKEN": "5a1tc0ffee",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (incident,) = list_incidents(tmp_path / "home")
    (registered,) = [event.data for event in incident.journal.events() if event.kind == "inverse.registered"]
    assert registered["host"] == "far"
    assert happened(incident, "inverse.applied") == [registered["describe"]]
    assert (still_open(incident), enabled(system)) == ([], ["alpha"])
    assert system.writes == ["PUT /config", "PUT /config"]


def test_without_an_incident_there_is_nothing_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENV_DIR, raising=False)
    done: Ran = run(undo)
    assert done.outcome == "usage"
    assert "no incident is open here" in done["msg"]
    assert "ANSIBLE_CALLBACKS_ENABLED=hft.incident.scribe" in done["msg"], "which is how to mend it"
