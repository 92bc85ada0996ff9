# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``breach_level``, with real keys: who confirms, who clears, and what the record says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.incident import ENV_DIR, Incident
from ansible_collections.hft.incident.plugins.module_utils.severity_record import rise
from ansible_collections.hft.incident.plugins.module_utils.severity_rules import load
from ansible_collections.hft.incident.plugins.module_utils.steps import breach_level, gate

from ..people import Firm, rewrite
from .steps import Ran, run

GATES = {
    "confirm_breach": {"people": 1, "groups": ["trading", "risk"], "guards": "decision"},
    "security_clearance": {"people": 1, "groups": ["operations"], "guards": "hosts"},
}
HOST = {"source": "host", "kind": "process_deleted", "severity": "alarming", "what": "a program whose file is gone"}
VENUE = {"venue": "okx", "kind": "key", "severity": "alarming", "what": "a key that nobody made"}


@pytest.fixture
def firm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Firm:
    made = Firm(tmp_path)
    made.gates |= GATES
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(made.home))
    return made


@pytest.fixture
def incident(firm: Firm, monkeypatch: pytest.MonkeyPatch) -> Incident:
    made = firm.incident()
    monkeypatch.setenv(ENV_DIR, str(made.directory))
    return made


class Judge:
    """Runs it and keeps what it records, as the scribe does."""

    def __init__(self, firm: Firm, incident: Incident) -> None:
        self.firm, self.incident = firm, incident

    def __call__(self, *signals: dict[str, Any], check: bool = False, **args: Any) -> Ran:
        args = {"gates": self.firm.gates, "allowed_signers": str(self.firm.signers), **args}
        ran = run(breach_level, check=check, signals=list(signals), **args)
        if not check:
            self.incident.journal.extend([(line["kind"], line["data"]) for line in ran.result.get("record", [])])
        return ran

    def offer(self, name: str) -> None:
        """The gate holds, as the playbook has it."""
        held = run(gate, gate=name, gates=self.firm.gates, allowed_signers=str(self.firm.signers), hold=False)
        self.incident.journal.extend([(line["kind"], line["data"]) for line in held.result.get("record", [])])

    def sign(self, name: str, person: str) -> None:
        statement = self.firm.statement(self.incident, gate=name)
        self.firm.record(self.incident, person, statement, self.firm.signature(person, statement), name)


@pytest.fixture
def judge(firm: Firm, incident: Incident) -> Judge:
    return Judge(firm, incident)


def test_a_suspicion_is_recorded_once_and_makes_it_severe(judge: Judge, incident: Incident) -> None:
    first = judge(HOST)
    assert (first["level"], first["changed"], first["cleared"]) == ("suspected", False, False)
    assert len(first.recorded("breach.level_judged")) == 1
    assert judge(HOST).result["record"] == []
    assert judge().result["record"] == []
    assert rise(load(), incident.journal.events()) is None  # it is 1 already
    assert judge(VENUE)["level"] == "confirmed"
    assert judge()["level"] == "confirmed"


def test_what_is_on_record_counts_although_nobody_hands_it_on(judge: Judge, incident: Incident) -> None:
    incident.journal.append("account.finding", VENUE)
    assert judge()["level"] == "suspected"
    incident.journal.append("host.audited", {"host": "hft-1", "findings": [HOST, {"severity": "of another version"}]})
    found = judge()
    assert found["level"] == "confirmed"
    assert {signal["source"] for signal in found["signals"]} == {"host", "venue"}
    assert judge(HOST, VENUE).result["record"] == [], "the same, handed on as well"


def test_a_person_confirms_it_by_name(judge: Judge) -> None:
    seen = judge(confirmed_by="dave@firm.example")
    assert (seen["level"], seen["confirmed_by"]) == ("confirmed", ["dave@firm.example"])
    assert judge()["because"] == ["dave@firm.example confirms it"]


@pytest.mark.parametrize("name", ["yes", "TRUE", "on-call", "x", "{{ confirmed_by }}", "42", "a\nb; rm -rf", "<NAME>"])
def test_a_word_that_is_nobody_is_refused(judge: Judge, name: str) -> None:
    seen = judge(confirmed_by=name)
    assert seen.outcome == "usage"
    assert judge()["level"] == "suspected"


def test_a_signature_confirms_it(judge: Judge) -> None:
    judge(HOST)
    judge.offer("confirm_breach")
    assert judge()["level"] == "suspected"
    judge.sign("confirm_breach", "alice")
    seen = judge(check=True)
    assert (seen["level"], seen.recorded("gate.passed")) == ("confirmed", [])
    seen = judge()
    assert (seen["level"], seen["confirmed_by"]) == ("confirmed", ["alice@firm.example"])
    assert len(seen.recorded("gate.passed")) == 1
    assert judge().result["record"] == []


def test_who_may_not_does_not_confirm_it(judge: Judge) -> None:
    judge.offer("confirm_breach")
    judge.sign("confirm_breach", "dave")
    judge.sign("confirm_breach", "mallory")
    assert judge()["level"] == "suspected"


def test_a_level_that_somebody_wrote_into_the_record_does_not_hide_that(judge: Judge, incident: Incident) -> None:
    judge(HOST)
    lines = incident.journal.events()
    text = Path(incident.journal.path).read_text().replace('"suspected"', '"confirmed"')
    Path(incident.journal.path).write_text(text)
    assert judge().outcome == "held"
    rewrite(incident, lines)


def test_held_until_it_is_decided_one_way_or_the_other(judge: Judge) -> None:
    seen = judge(HOST, require="decided")
    assert seen.outcome == "held"
    assert "approve" in seen["msg"]
    assert "confirm_breach" in seen["msg"]
    assert "security_clearance" in seen["msg"]
    assert not judge(require="decided", check=True).failed
    judge.offer("security_clearance")
    judge.sign("security_clearance", "dave")
    cleared = judge(require="decided")
    assert (cleared.failed, cleared["level"], cleared["cleared"]) == (False, "suspected", True)
    assert judge(require="confirmed").outcome == "held"
    assert not judge(require="confirmed", confirmed_by="erin").failed


def test_a_site_without_these_gates_goes_by_names_and_signals(judge: Judge) -> None:
    seen = judge(HOST, gates={}, require="decided")
    assert seen.outcome == "held"
    assert "confirmed_by" in seen["msg"]
    assert judge(HOST, VENUE, gates={}, require="decided")["level"] == "confirmed"


def test_without_an_incident_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENV_DIR, raising=False)
    seen = run(breach_level)
    assert seen.outcome == "usage"
    assert "no incident is open here" in seen["msg"]
