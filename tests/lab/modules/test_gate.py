# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The gate, with real keys and the real ssh-keygen: what opens it, and every way that must not.

Approvals are put into the journal here by whoever can write it, not by `hft-incident approve`, which would refuse them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils import authority, claims, ssh_signature
from ansible_collections.hft.incident.plugins.module_utils.errors import HeldError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import (
    ENV_DIR,
    Incident,
    kills_journal,
    list_incidents,
)
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from ansible_collections.hft.incident.plugins.module_utils.redaction import iso_utc
from ansible_collections.hft.incident.plugins.module_utils.steps import gate
from hft_incident import approve

from ..people import GATE, Firm, rewrite
from .steps import Ran, run

ROOT = Path(__file__).parents[3]
CLOSED = ("kill.ordered", {"venues": ["alpha"], "reason": "again"})
NOISE: list[tuple[str, dict[str, Any]]] = [
    ("run.finished", {"outcome": "held", "tasks": 9}),
    ("run.started", {"playbook": "system_crash.yml"}),
    ("task.finished", {"task": "Ask", "status": "ok"}),
    ("positions.reconciled", {"verdict": "reconciled", "reason": "all agree again", "venues": []}),
]


@pytest.fixture
def firm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Firm:
    made = Firm(tmp_path)
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(made.home))
    return made


@pytest.fixture
def incident(firm: Firm, monkeypatch: pytest.MonkeyPatch) -> Incident:
    made = firm.incident()
    monkeypatch.setenv(ENV_DIR, str(made.directory))
    return made


def ask(firm: Firm, *, check: bool = False, **args: Any) -> Ran:
    return run(gate, check=check, **{"gate": GATE, "gates": firm.gates, "allowed_signers": str(firm.signers), **args})


def keep(incident: Incident, ran: Ran) -> None:
    """What the scribe does with a result."""
    incident.journal.extend([(line["kind"], line["data"]) for line in ran.result.get("record", [])])


def sign(firm: Firm, incident: Incident, *names: str, **changed: Any) -> None:
    """Approvals by these people, each over the record as the one before left it; ``changed``: of their statements."""
    for name in names:
        statement = firm.statement(incident, **changed)
        firm.record(incident, name, statement, firm.signature(name, statement))


def reasons(ran: Ran) -> list[str]:
    return [refusal["reason"] for refusal in ran["refused"]]


def require(firm: Firm, incident: Incident) -> None:
    authority.require_passed(incident, GATE, firm.gates, str(firm.signers))


def shut(firm: Firm, incident: Incident) -> str:
    """Why what would open asks in vain."""
    with pytest.raises(HeldError) as found:
        require(firm, incident)
    return str(found.value)


def passed(firm: Firm, incident: Incident) -> None:
    sign(firm, incident, "alice", "bob")
    keep(incident, ask(firm))


# Held and passed ------------------------------------------------------------------------------------------------------


def test_without_approvals_it_holds_and_says_who_can_do_what(firm: Firm, incident: Incident) -> None:
    held = ask(firm)
    assert (held.outcome, held["changed"], held["passed"], held["would_hold"]) == ("held", False, False, True)
    assert held["msg"] == (
        "gate resume_trading needs 2 of trading or risk; the question: May trading resume?; "
        "next: 2 of alice@firm.example, bob@firm.example, carol@firm.example: "
        f"`hft-incident approve {incident.id} {GATE}`; then: `hft-incident resume {incident.id}`"
    )
    (data,) = held.recorded("gate.held")
    assert data == {
        "gate": GATE,
        "people": 2,
        "groups": ["trading", "risk"],
        "question": "May trading resume?",
        "valid_for_s": 3600,
        "guards": "trading",
        "allowed_signers": str(firm.signers),
        "approved_by": [],
        "missing": 2,
        "may_approve": ["alice@firm.example", "bob@firm.example", "carol@firm.example"],
        "refused": [],
    }


def test_with_one_of_two_it_holds_for_the_other(firm: Firm, incident: Incident) -> None:
    approve(incident.id, GATE, key=firm.key("bob"))
    held = ask(firm)
    assert (held.outcome, held["approved_by"], held["missing"]) == ("held", ["bob@firm.example"], 1)
    assert "so far bob@firm.example" in held["msg"]
    assert "next: 1 of alice@firm.example, carol@firm.example" in held["msg"]


@pytest.mark.parametrize("people", [("alice", "bob"), ("bob", "alice"), ("carol", "alice")])
def test_two_right_ones_pass_it_once_and_for_all_that_opens(
    firm: Firm, incident: Incident, people: tuple[str, str]
) -> None:
    assert "it was not passed" in shut(firm, incident)
    for name in people:
        approve(incident.id, GATE, key=firm.key(name))
    done = ask(firm)
    assert (done.failed, done["changed"], done["passed"], done["would_hold"]) == (False, False, True, False)
    names = [f"{name}@firm.example" for name in people]
    assert done.recorded("gate.passed") == [{"gate": GATE, "guards": "trading", "people": names, "approvals": [5, 6]}]
    keep(incident, done)
    require(firm, incident)
    again = ask(firm)
    assert (again.failed, again["passed"], "record" in again.result) == (False, True, False)
    with pytest.raises(UsageError, match=rf"has passed gate '{GATE}' already; next: `hft-incident resume"):
        approve(incident.id, GATE, key=firm.key("carol"))


def test_what_changes_nothing_outdates_no_approval_and_no_passage(firm: Firm, incident: Incident) -> None:
    sign(firm, incident, "alice")
    incident.journal.extend(NOISE)
    firm.hold(incident)
    sign(firm, incident, "bob")
    incident.journal.extend(NOISE)
    done = ask(firm)
    assert done["passed"]
    keep(incident, done)
    incident.journal.extend([*NOISE, ("latch.changed", {"host": "h", "scope": "all", "state": "open"})])
    require(firm, incident)


def test_check_mode_says_what_would_be_needed_and_never_holds(firm: Firm, incident: Incident) -> None:
    would = ask(firm, check=True)
    assert (would.failed, would["passed"], would["would_hold"], "record" in would.result) == (False, False, True, False)
    assert would["msg"].startswith("would hold: gate resume_trading needs 2")
    sign(firm, incident, "alice", "bob")
    would = ask(firm, check=True)
    assert (would.failed, would["passed"], would["would_hold"], "record" in would.result) == (False, True, False, False)
    assert "it was not passed" not in str(ask(firm).result), "what check mode saw, the run does"


def test_a_gate_that_is_only_offered_waits_and_does_not_hold(firm: Firm, incident: Incident) -> None:
    offered = ask(firm, hold=False)
    assert (offered.failed, offered["passed"], offered["would_hold"]) == (False, False, False)
    assert len(offered.recorded("gate.held")) == 1
    sign(firm, incident, "alice", "bob")
    assert ask(firm, hold=False).recorded("gate.passed")


def test_where_nobody_is_left_it_says_whose_keys_are_missing(firm: Firm, incident: Incident) -> None:
    firm.write(firm.line("alice@firm.example,group:trading", "alice"))
    assert "nobody of risk" in ask(firm, gates={GATE: {"people": 1, "groups": ["risk"]}})["msg"]
    sign(firm, incident, "alice")
    assert "nobody else of trading or risk is in" in ask(firm)["msg"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"gate": "open_sesame"}, "unknown gate 'open_sesame'; known: failover, resume_trading"),
        ({"gates": {GATE: {"people": 0, "groups": ["a"]}}}, "people: must be a whole number"),
        ({"allowed_signers": ""}, "say which file has the keys"),
        ({"allowed_signers": None}, "say which file has the keys"),
    ],
)
def test_a_gate_that_makes_no_sense_is_wrong_usage(
    firm: Firm, incident: Incident, args: dict[str, Any], words: str
) -> None:
    before = incident.journal.events()
    refused = ask(firm, **args)
    assert refused.outcome == "usage"
    assert words in refused["msg"]
    assert incident.journal.events() == before


def test_the_record_names_the_file_so_that_it_is_found_from_anywhere(
    firm: Firm, incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(firm.folder)
    keep(incident, ask(firm, allowed_signers="allowed_signers"))
    monkeypatch.chdir("/")
    assert approve(incident.id, GATE, key=firm.key("alice")).missing == 1


def test_it_needs_an_incident(firm: Firm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENV_DIR, raising=False)
    refused = ask(firm)
    assert (refused.outcome, "runs on the control node" in refused["msg"]) == ("usage", True)


# What does not count --------------------------------------------------------------------------------------------------


def holds_because(firm: Firm, words: str) -> None:
    held = ask(firm)
    assert held.outcome == "held"
    assert any(words in reason for reason in reasons(held)), reasons(held)
    assert words in held["msg"]


def test_one_person_twice(firm: Firm, incident: Incident) -> None:
    sign(firm, incident, "alice", "alice")
    holds_because(firm, "has approved already, and counts once")


def test_one_person_with_two_keys(firm: Firm, incident: Incident) -> None:
    firm.make_key("alice2")
    firm.write(*firm.usual(), firm.line("alice@firm.example,group:risk", "alice2"))
    sign(firm, incident, "alice", "alice2")
    holds_because(firm, "has approved already, and counts once")


def test_one_key_under_two_names(firm: Firm, incident: Incident) -> None:
    firm.write(*firm.usual(), firm.line("eve@firm.example,group:risk", "alice"))
    sign(firm, incident, "alice", "alice")
    held = ask(firm)
    assert (held.outcome, held["approved_by"], held["missing"]) == ("held", [], 2)
    assert "one key for several people: alice@firm.example and eve@firm.example" in held["msg"]


def test_a_strangers_key(firm: Firm, incident: Incident) -> None:
    statement = firm.statement(incident)
    firm.record(incident, "bob", statement, firm.signature("mallory", statement))
    sign(firm, incident, "alice")
    held = ask(firm)
    assert (held.outcome, held["approved_by"]) == ("held", ["alice@firm.example"])
    assert re.fullmatch(r"the key SHA256:\S+ is nobody's who may approve", reasons(held)[0])


def test_the_wrong_group(firm: Firm, incident: Incident) -> None:
    sign(firm, incident, "dave")
    holds_because(firm, "is not in trading or risk")


def test_a_signature_of_another_namespace(firm: Firm, incident: Incident) -> None:
    statement = firm.statement(incident)
    firm.record(incident, "alice", statement, firm.signature("alice", statement, namespace="git"))
    holds_because(firm, "the signature is not one over this statement")


@pytest.mark.parametrize(
    "changed",
    [
        {"expires": "2099-01-01T00:00:00.000000Z"},
        {"gate": "failover"},
        {"incident": "inc-another"},
        {"head": {"seq": 1, "hash": "0" * 64}},
    ],
)
def test_an_altered_statement(firm: Firm, incident: Incident, changed: dict[str, Any]) -> None:
    statement = firm.statement(incident)
    signature = firm.signature("alice", statement)
    firm.record(incident, "alice", {**statement, **changed}, signature)
    holds_because(firm, "the signature is not one over this statement")


@pytest.mark.parametrize("damage", ["half", "empty", "words", "armor", "none", "list", "flipped"])
def test_a_damaged_signature(firm: Firm, incident: Incident, damage: str) -> None:
    statement = firm.statement(incident)
    good = firm.signature("alice", statement)
    damaged = {
        "half": good[: len(good) // 2],
        "empty": "",
        "words": "trust me, it is signed",
        "armor": f"{good}\n-----END SSH SIGNATURE-----\n",
        "none": None,
        "list": [good],
        "flipped": good[:-9] + ("A" if good[-9] != "A" else "B") + good[-8:],
    }[damage]
    firm.record(incident, "alice", statement, damaged)
    sign(firm, incident, "bob")
    held = ask(firm)
    assert (held.outcome, held["approved_by"]) == ("held", ["bob@firm.example"])
    assert reasons(held)[0] in ("the signature is damaged", "the signature is not one over this statement")


def test_an_expired_approval(firm: Firm, incident: Incident) -> None:
    then = datetime.now(UTC) - timedelta(hours=2)
    sign(firm, incident, "alice", at=iso_utc(then), expires=iso_utc(then + timedelta(hours=1)))
    holds_because(firm, "it expired at")


def test_an_approval_for_longer_than_the_policy_allows(firm: Firm, incident: Incident) -> None:
    sign(firm, incident, "alice", expires=iso_utc(datetime.now(UTC) + timedelta(hours=2)))
    holds_because(firm, "it would be valid for longer than 3600 s")


def test_a_postdated_approval(firm: Firm, incident: Incident) -> None:
    then = datetime.now(UTC) + timedelta(hours=2)
    sign(firm, incident, "alice", at=iso_utc(then), expires=iso_utc(then + timedelta(hours=1)))
    holds_because(firm, "it is dated in the future")


def test_an_approval_of_facts_that_have_changed(firm: Firm, incident: Incident) -> None:
    sign(firm, incident, "alice", "bob")
    incident.journal.append("positions.reconciled", {"verdict": "breaks", "venues": []})
    holds_because(firm, "outdated: changed since: positions")


def test_an_approval_of_another_incident(firm: Firm, incident: Incident) -> None:
    other = firm.incident()
    sign(firm, other, "alice", "bob")
    for event in other.journal.events()[-2:]:
        incident.journal.append(event.kind, event.data)
    holds_because(firm, f"it is for another incident, {other.id}")


def test_an_approval_of_another_gate(firm: Firm, incident: Incident) -> None:
    sign(firm, incident, "alice", gate="failover")
    holds_because(firm, "it is for another gate, failover")


def test_approvals_used_once_do_not_open_what_was_closed_after(firm: Firm, incident: Incident) -> None:
    passed(firm, incident)
    used = [event for event in incident.journal.events() if event.kind == "approval.given"]
    require(firm, incident)
    incident.journal.append(*CLOSED)
    assert "something was closed since it was passed (kill.ordered, event 8)" in shut(firm, incident)
    held = ask(firm)
    assert (held.outcome, held["missing"]) == ("held", 2)
    for event in used:
        incident.journal.append(event.kind, event.data)
    holds_because(firm, "outdated: changed since: last closed")
    assert "outdated: changed since: last closed" in shut(firm, incident)


def test_an_edited_record_though_its_chain_is_whole_again(firm: Firm, incident: Incident) -> None:
    sign(firm, incident, "alice", "bob")
    events = incident.journal.events()
    events[1] = events[1]._replace(data={**events[1].data, "reason": "nothing happened here"})
    rewrite(incident, events)
    assert verify(incident.journal.path).state == "intact"
    holds_because(firm, "it was signed over another record than this one")


def test_a_record_without_the_line_that_was_signed(firm: Firm, incident: Incident) -> None:
    incident.journal.append("notice.sent", {"to": "desk"})
    sign(firm, incident, "alice", "bob")
    rewrite(incident, [event for event in incident.journal.events() if event.kind != "notice.sent"])
    assert verify(incident.journal.path).state == "intact"
    holds_because(firm, "it was signed over another record than this one")


def test_a_record_whose_chain_is_broken(firm: Firm, incident: Incident) -> None:
    passed(firm, incident)
    path = Path(incident.journal.path)
    path.write_text(path.read_text().replace('"cancelled":3', '"cancelled":0'))
    held = ask(firm)
    assert held.outcome == "held"
    assert "was altered at event 2" in held["msg"]
    assert "was altered at event 2" in shut(firm, incident)


# A passage that does not stand ----------------------------------------------------------------------------------------


def test_a_passage_that_nobody_signed(firm: Firm, incident: Incident) -> None:
    forged = {
        "gate": GATE,
        "guards": "trading",
        "people": ["alice@firm.example", "bob@firm.example"],
        "approvals": [1, 2],
    }
    incident.journal.append("gate.passed", forged)
    assert "2 of the approvals that passed it do not count" in shut(firm, incident)
    assert ask(firm).outcome == "held"


@pytest.mark.parametrize("approvals", [None, "5, 6", [5], [5, 5], [5, 7]])
def test_a_passage_with_too_few(firm: Firm, incident: Incident, approvals: Any) -> None:
    sign(firm, incident, "alice")
    firm.hold(incident)
    incident.journal.append(
        "gate.passed", {"gate": GATE, "guards": "trading", "people": ["alice", "bob"], "approvals": approvals}
    )
    assert "of the approvals that passed it do not count" in shut(firm, incident)


def test_a_passage_stands_on_the_approvals_that_it_names_and_no_others(firm: Firm, incident: Incident) -> None:
    sign(firm, incident, "alice", "bob")
    incident.journal.append(
        "gate.passed", {"gate": GATE, "guards": "trading", "people": ["alice", "bob"], "approvals": [5]}
    )
    assert "1 of the approvals that passed it do not count" in shut(firm, incident)


@pytest.mark.parametrize(
    "closing",
    [
        CLOSED,
        ("latch.changed", {"host": "h", "scope": "all", "state": "closed"}),
        ("strategies.stopped", {"trading_system": "hft-1", "ids": ["mm"]}),
        ("exchange.changed", {"trading_system": "hft-1", "name": "alpha", "state": "disabled"}),
        ("incident.closed", {"resolution": "resolved"}),
    ],
)
def test_a_passage_before_something_was_closed(
    firm: Firm, incident: Incident, closing: tuple[str, dict[str, Any]]
) -> None:
    passed(firm, incident)
    incident.journal.append(*closing)
    assert f"something was closed since it was passed ({closing[0]}" in shut(firm, incident)


def press(firm: Firm) -> None:
    """The red button by hand, as `hft-incident kill` records it: in no incident's journal."""
    kills_journal(firm.home).append("kill.ordered", {"reason": "it quotes wildly", "venues": ["alpha"]})


def test_a_passage_before_somebody_pressed_the_red_button_by_hand(firm: Firm, incident: Incident) -> None:
    press(firm)
    passed(firm, incident)
    require(firm, incident)
    press(firm)
    assert "the red button was pressed by hand since it was passed" in shut(firm, incident)
    assert ask(firm).outcome == "held"
    sign(firm, incident, "alice", "bob")
    keep(incident, ask(firm))
    require(firm, incident)


def test_approvals_before_somebody_pressed_the_red_button_by_hand(firm: Firm, incident: Incident) -> None:
    sign(firm, incident, "alice", "bob")
    press(firm)
    held = ask(firm)
    assert (held.outcome, held["approved_by"]) == ("held", [])
    assert all("the red button was pressed by hand since" in reason for reason in reasons(held))
    assert "it was not passed" in shut(firm, incident)


def test_a_record_of_the_red_button_that_was_altered_opens_nothing(firm: Firm, incident: Incident) -> None:
    passed(firm, incident)
    press(firm)
    path = Path(kills_journal(firm.home).path)
    path.write_text(path.read_text().replace("wildly", "mildly"))
    assert f"then put {path} away" in shut(firm, incident)


def test_a_closing_between_the_approvals_and_the_passage(firm: Firm, incident: Incident) -> None:
    sign(firm, incident, "alice", "bob")
    done = ask(firm)
    incident.journal.append(*CLOSED)
    keep(incident, done)
    assert "outdated: changed since: last closed" in shut(firm, incident)


def test_a_passage_by_somebody_whose_key_was_taken_out(firm: Firm, incident: Incident) -> None:
    passed(firm, incident)
    require(firm, incident)
    firm.write(*(line for line in firm.usual() if "bob" not in line))
    assert "is nobody's who may approve" in shut(firm, incident)


def test_a_passage_under_a_policy_that_asks_for_more_now(firm: Firm, incident: Incident) -> None:
    passed(firm, incident)
    firm.gates[GATE]["people"] = 3
    assert "1 of the approvals that passed it do not count" in shut(firm, incident)


def test_a_passage_of_another_gate(firm: Firm, incident: Incident) -> None:
    sign(firm, incident, "alice", "bob")
    incident.journal.append("gate.passed", {"gate": "failover", "people": [], "approvals": [5, 6]})
    with pytest.raises(HeldError, match="gate failover is shut"):
        authority.require_passed(incident, "failover", firm.gates, str(firm.signers))


def test_new_approvals_after_a_closing_pass_it_again_and_that_is_recorded(firm: Firm, incident: Incident) -> None:
    passed(firm, incident)
    incident.journal.append(*CLOSED)
    shut(firm, incident)
    approve(incident.id, GATE, key=firm.key("carol"))
    assert "something was closed" in shut(firm, incident)
    approve(incident.id, GATE, key=firm.key("bob"))
    require(firm, incident)
    last = incident.journal.events()[-1]
    assert (last.kind, last.data["people"]) == ("gate.passed", ["carol@firm.example", "bob@firm.example"])
    require(firm, incident)
    assert incident.journal.events()[-1] == last


def test_what_another_incident_holds_stays_closed(
    firm: Firm, incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed(firm, incident)
    asked: list[str] = []

    def taken(found: Incident) -> None:
        asked.append(found.id)
        raise HeldError("alpha is held by another incident")

    monkeypatch.setattr(claims, "require_free", taken)
    assert shut(firm, incident) == "alpha is held by another incident"
    assert asked == [incident.id]


def test_where_ssh_keygen_is_missing_or_hangs_it_stays_shut(
    firm: Firm, incident: Incident, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    passed(firm, incident)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    assert "approvals cannot be checked: ssh-keygen: not found" in shut(firm, incident)
    assert ask(firm).outcome == "held"
    (folder / "ssh-keygen").write_text("#!/bin/sh\nexec /bin/sleep 600\n")
    (folder / "ssh-keygen").chmod(0o755)
    monkeypatch.setattr(ssh_signature, "CHECK_S", 0.2)
    assert "approvals cannot be checked: ssh-keygen: no end in 0.2 s" in shut(firm, incident)


# A real run -----------------------------------------------------------------------------------------------------------

PLAYBOOK = """
- name: Ask two people
  hosts: localhost
  connection: local
  gather_facts: false
  tags: [recover]
  module_defaults:
    group/hft.incident.gates: {gates: "{{ hft_gates }}", allowed_signers: "{{ hft_allowed_signers }}"}
  tasks:
    - name: Two people allow trading to resume
      hft.incident.gate: {name: resume_trading}
"""
POLICY = """
all:
  hosts: {localhost: {}}
  vars:
    hft_gates: {resume_trading: {people: 2, groups: [trading, risk]}}
    hft_allowed_signers: "{{ inventory_dir }}/allowed_signers"
"""


def play(firm: Firm, incident: Incident | None = None) -> int:
    (firm.folder / "system_crash.yml").write_text(PLAYBOOK)
    (firm.folder / "hosts.yml").write_text(POLICY)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "HFT_"))}
    environment |= {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_CALLBACKS_ENABLED": "hft.incident.scribe",
        "ANSIBLE_HOME": str(firm.folder / "ansible"),
        "HFT_INCIDENT_HOME": str(firm.home),
        **({"HFT_INCIDENT_ID": incident.id} if incident else {}),
    }
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "hosts.yml", "system_crash.yml"]
    done = subprocess.run(command, cwd=firm.folder, env=environment, capture_output=True, timeout=120, check=False)
    return done.returncode


def test_a_playbook_is_held_until_two_people_have_approved(firm: Firm) -> None:
    assert play(firm) != 0
    (incident,) = list_incidents(firm.home)
    events = incident.journal.events()
    assert [event.kind for event in events if event.kind.startswith("gate.")] == ["gate.held"]
    assert (events[-1].kind, events[-1].data["outcome"]) == ("run.finished", "held")
    approve(incident.id, GATE, key=firm.key("alice"))
    assert play(firm, incident) != 0, "one is not two"
    approve(incident.id, GATE, key=firm.key("bob"))
    assert play(firm, incident) == 0
    kinds = [event.kind for event in incident.journal.events() if event.kind.startswith(("gate.", "approval."))]
    assert kinds == ["gate.held", "approval.given", "gate.held", "approval.given", "gate.passed"]
    assert incident.journal.events()[-1].data["outcome"] == "done"
    assert verify(incident.journal.path).state == "intact"
    require(firm, incident)
