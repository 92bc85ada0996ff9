# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Acknowledging an incident, naming people for its roles and handing over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, open_incident
from hft_incident.cli import main
from hft_incident.roles import acknowledge, assign, holders


@pytest.fixture
def incident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Incident:
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(tmp_path))
    return open_incident("exchange_outage", inputs={"exchange": "binance"}, home=tmp_path)


def recorded(incident: Incident, kind: str) -> list[dict[str, object]]:
    return [dict(event.data) for event in incident.journal.events() if event.kind == kind]


def test_whoever_has_it_is_on_record_once(incident: Incident) -> None:
    assert acknowledge(incident.id, "alice").changed
    assert not acknowledge(incident.id, "alice").changed
    second = acknowledge(incident.id, "bob")
    assert second.changed
    assert second.says == "bob has it, after alice"
    assert recorded(incident, "incident.acknowledged") == [{"by": "alice"}, {"by": "bob"}]


def test_a_role_is_given_and_handed_over_with_a_note(incident: Incident) -> None:
    assert assign(incident.id, "commander", "alice").says == "alice is commander"
    assert not assign(incident.id, "commander", "alice").changed
    done = assign(incident.id, "commander", "bob", "venues are clear")
    assert done.says == "commander: alice -> bob"
    (handed,) = recorded(incident, "role.handed_over")
    assert (handed["from"], handed["to"], handed["note"]) == ("alice", "bob", "venues are clear")
    assert holders(incident.journal.events())["commander"].person == "bob"


def test_who_leads_and_types_at_once_is_told(incident: Incident) -> None:
    assign(incident.id, "commander", "alice")
    done = assign(incident.id, "operations", "alice")
    assert done.warning is not None
    assert "leads and operates at once" in done.warning
    assert assign(incident.id, "operations", "bob").warning is None


@pytest.mark.parametrize("name", ["", " ", "a\nb; c", "<b>", "x" * 200, '"quoted"'])
def test_what_is_no_name_is_refused_and_nothing_recorded(incident: Incident, name: str) -> None:
    before = len(incident.journal.events())
    with pytest.raises(UsageError):
        assign(incident.id, "scribe", name)
    assert len(incident.journal.events()) == before


def test_an_unknown_role_says_which_there_are(incident: Incident) -> None:
    with pytest.raises(UsageError, match="one of: commander, operations"):
        assign(incident.id, "captain", "alice")


def test_what_is_over_is_in_nobodys_hands(incident: Incident) -> None:
    incident.journal.append("incident.closed", {"resolution": "resolved"})
    with pytest.raises(UsageError, match="is closed"):
        acknowledge(incident.id, "alice")


def test_from_the_command_line(incident: Incident, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ack", incident.id, "--by", "alice", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] is True
    assert main(["role", incident.id, "commander", "carol", "--note", "all yours"]) == 0
    assert capsys.readouterr().out == f"{incident.id}: carol is commander\n"
    assert main(["role", incident.id, "captain", "carol"]) == 2
