# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The policy table: what the rules of a cell come to, what is wrong with a table, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import TYPES
from hft_incident.comms.policy import SEVERITIES, UNTIL, Policy, cell, rows, speaking_rules
from hft_incident.comms.policy_check import Finding, findings
from hft_incident.comms.policy_reading import FILES, BadPolicyError, load, merged, parse, shipped

OURS = shipped()
BASE: Mapping[str, Any] = FILES.read(FILES.shipped)


def with_site(site: Mapping[str, Any]) -> Policy:
    return parse(merged(BASE, site))


def faults(policy: Policy) -> list[Finding]:
    """What is wrong with the rules; that the shipped table leads nowhere is the site's to mend."""
    return [finding for finding in findings(policy) if finding.kind != "nowhere"]


def kinds(site: Mapping[str, Any]) -> set[str]:
    return {finding.kind for finding in faults(with_site(site))}


# Our own table --------------------------------------------------------------------------------------------------------


def test_our_own_table_contradicts_nothing_and_leaves_nobody_out() -> None:
    assert faults(OURS) == []


@pytest.mark.parametrize(
    ("incident_type", "severity", "audience", "first_s", "every_s"),
    [
        # Section 11: SEV1 every 15 minutes, SEV2 every 30; E7: one first notice for each type and severity.
        ("exchange_outage", 1, "status_page", 300, 900),
        ("exchange_outage", 2, "status_page", 900, 1800),
        ("system_crash", 1, "status_page", 300, 900),
        ("exchange_outage", 3, "status_page", 3600, None),
        # Section 11 says five minutes, E8 at once.
        ("system_crash", 1, "trading_desk", 0, 900),
        ("exchange_outage", 2, "trading_desk", 0, 900),
        ("performance_degradation", 3, "trading_desk", 300, None),
        # E6: section 2 pages management at once, sections 4 and 11 write to them within 15 minutes.
        ("system_crash", 1, "management", 0, 1800),
        ("exchange_outage", 2, "management", 900, 3600),
        ("exchange_outage", 1, "stakeholders", 1800, 3600),
        ("system_crash", 1, "conference", 1800, None),
        ("security_breach", 1, "security", 0, 900),
        ("trading_anomaly", 2, "trading_desk", 0, 300),
        ("network_failure", 2, "network", 300, None),
        ("exchange_outage", 4, "tickets", 0, None),
    ],
)
def test_what_the_runbook_asks_for(
    incident_type: str, severity: int, audience: str, first_s: float, every_s: float | None
) -> None:
    row = cell(OURS, incident_type, severity, audience)
    assert row is not None
    assert (row.first_s, row.every_s) == (first_s, every_s)


def test_sev1_pages_all_on_call_and_management_and_sev3_pages_nobody() -> None:
    paged = {severity: {name for row in rows(OURS, "exchange_outage") if row.severity == severity
                        for name in row.channels if name.startswith("pag")} for severity in SEVERITIES}  # fmt: skip
    assert paged == {1: {"paging", "page_backup", "page_management"}, 2: {"paging"}, 3: set(), 4: set()}


def test_nothing_public_is_said_of_a_breach_without_legal() -> None:
    public = [row for row in rows(OURS, "security_breach") if OURS.audiences[row.audience].public]
    assert public
    assert {row.gate for row in public} == {"public_disclosure"}


def test_a_rule_of_a_site_cannot_forget_the_gate_of_a_breach() -> None:
    loud = {"audience": "status_page", "severities": [1], "first_s": 0, "channels": ["status_page"],
            "wording": "notice", "yields_to": []}  # fmt: skip
    policy = with_site({"rules": {"loud": loud, "status_sev1": None}})
    row = cell(policy, "security_breach", 1, "status_page")
    assert row is not None
    assert row.gate == "public_disclosure"


def test_inside_a_breach_the_wording_gives_nothing_away() -> None:
    inside = [row for row in rows(OURS, "security_breach") if not OURS.audiences[row.audience].public]
    assert {row.wording for row in inside} == {"breach"}
    assert not any("chat" in row.channels for row in inside if row.audience == "incident_team")


# The strictest rule ---------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(TYPES), st.sampled_from(SEVERITIES), st.sampled_from(sorted(OURS.audiences)))
def test_no_rule_of_a_cell_is_stricter_than_the_cell(incident_type: str, severity: int, audience: str) -> None:
    row = cell(OURS, incident_type, severity, audience)
    for rule in speaking_rules(OURS, incident_type, severity, audience):
        assert row is not None
        assert rule.first_s is None or row.first_s <= rule.first_s
        assert rule.every_s is None or (row.every_s is not None and row.every_s <= rule.every_s)
        assert set(rule.channels) <= set(row.channels)
        assert UNTIL.index(row.until) >= UNTIL.index(rule.until or UNTIL[-1])
        assert rule.gate is None or row.gate is not None


# The checker: what is planted is found --------------------------------------------------------------------------------

RULE = {
    "audience": "management",
    "severities": [2],
    "first_s": 60,
    "channels": ["mail_management"],
    "wording": "management",
}


def test_two_rules_that_say_different_times_contradict_each_other() -> None:
    assert kinds({"rules": {"mine": RULE}}) == {"contradiction"}
    assert kinds({"rules": {"mine": {**RULE, "yields_to": ["management_within_15_minutes"]}}}) == set()


def test_a_rule_that_decides_nothing_is_found() -> None:
    late = {**RULE, "first_s": 7200, "yields_to": ["management_within_15_minutes"]}
    assert kinds({"rules": {"late": late}}) == {"unreachable"}


def test_an_audience_that_nobody_tells_is_found() -> None:
    found = faults(with_site({"rules": {"management_within_15_minutes": None}}))
    assert {(finding.kind, finding.where) for finding in found} == {("missing", "management")}


def test_an_audience_without_any_rule_is_found() -> None:
    assert kinds({"audiences": {"press": {"needed": [], "help": "journalists"}}}) == {"missing"}


def test_who_hears_later_of_what_is_worse_is_found() -> None:
    assert kinds({"rules": {"management_at_once": {"first_s": 1000}}}) == {"inverted"}


def test_a_channel_that_leads_nowhere_is_told_with_its_mend() -> None:
    policy = with_site({"channels": {"desk": ["env:DESK"]}})
    nowhere = {finding.where: finding.says for finding in findings(policy) if finding.kind == "nowhere"}
    assert "desk" not in nowhere
    assert nowhere["paging"] == "leads nowhere: write `paging: [file:…]` under channels"


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("site", "says"),
    [
        ({"rules": {"mine": {**RULE, "audience": "managment"}}}, "audience: there is no 'managment', only on_call"),
        ({"rules": {"mine": {**RULE, "severities": [0]}}}, "severities: give a list of severities from 1 to 4"),
        ({"rules": {"mine": {**RULE, "first_s": -1}}}, "first_s: give a number from 0"),
        ({"rules": {"mine": {**RULE, "every_s": 0}}}, "every_s: give a number over 0"),
        ({"rules": {"mine": {**RULE, "wording": "loud"}}}, "wording: there is no 'loud'"),
        ({"rules": {"mine": {**RULE, "until": "friday"}}}, "until: there is no 'friday', only contained, restored"),
        ({"rules": {"mine": {**RULE, "gate": "nobody"}}}, "gate: there is no 'nobody', only public_disclosure"),
        ({"rules": {"mine": {**RULE, "yields_to": ["x"]}}}, "yields_to: there is no 'x'"),
        ({"rules": {"mine": {**RULE, "color": "red"}}}, "rules: 'mine': knows no 'color', only at_once, audience"),
        ({"rules": {"mine": {**RULE, "types": []}}}, "speaks of no type and severity at all"),
        ({"channels": {"desk": ["slack://T/B/x"]}}, "channels: desk: give apprise URLs as env:NAME"),
        ({"channels": {"status_page": ["env:X"]}}, "status_page is no URL; describe it under status_page"),
        ({"status_page": {"page_id": "x", "api_key": "clear"}}, "status_page: api_key: holds a value in clear"),
        ({"war_room": {"slack": {"token": "xoxb-1"}}}, "war_room: slack: token: holds a value in clear"),
        ({"war_room": {"severity": 7}}, "war_room: severity: give one from 1 to 4, not 7"),
        ({"time_scale": 0}, "time_scale: give a number over 0"),
        ({"wording": {"page": {"subject": "{{ secret }}"}}}, "wording: 'page': subject: nothing is called 'secret'"),
        ({"wording": {"page": {"text": "{% for x in %}"}}}, "wording: 'page': text:"),
        ({"wording": {"page": {"text": "{{ title.__class__.__mro__ }}"}}}, "wording: 'page': text:"),
        ({"gates": {"public_disclosure": {"people": 0}}}, "gates: gate public_disclosure: people"),
        ({"ladder": {"audience": "nobody"}}, "ladder: audience: there is no 'nobody'"),
        ({"rules": []}, "rules: give names with what each is"),
        ("x", "give sections with what changes"),
        ({"chanels": {}}, "knows no 'chanels', only allowed_signers, audiences"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(site: Any, says: str) -> None:
    with pytest.raises(BadPolicyError) as caught:
        with_site(site)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_secret_in_clear_is_refused_and_never_quoted() -> None:
    with pytest.raises(BadPolicyError) as caught:
        with_site({"status_page": {"page_id": "x", "api_key": "kanarienvogel"}})
    assert "kanarienvogel" not in str(caught.value)


# Files ----------------------------------------------------------------------------------------------------------------


def write(folder: Path, document: Any) -> Path:
    path = folder / "group_vars" / "all" / "communications.yml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(document))
    return path


def test_what_a_site_names_replaces_what_is_shipped_and_all_else_stays(tmp_path: Path) -> None:
    path = write(tmp_path, {"hft_communications": {"rules": {"status_sev1": {"first_s": 120}, "hand_over": None},
                                                   "channels": {"desk": "env:DESK"}}})  # fmt: skip
    policy = load([str(tmp_path)])
    assert policy.sources == (FILES.shipped, str(path))
    row = cell(policy, "exchange_outage", 1, "status_page")
    assert row is not None
    assert (row.first_s, row.every_s) == (120, 900)
    assert cell(policy, "exchange_outage", 1, "commander") is None
    assert policy.site.channels == {"desk": ("env:DESK",)}


def test_a_fault_names_its_file(tmp_path: Path) -> None:
    path = write(tmp_path, {"hft_communications": {"rules": {"x": None}, "late_after_s": "soon"}})
    with pytest.raises(UsageError, match="late_after_s: give a number from 0") as caught:
        load([str(tmp_path)])
    assert str(caught.value).startswith(f"{path}: ")


def test_the_environment_can_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.yml"
    path.write_text("hft_communications: {late_after_s: 5}\n")
    monkeypatch.setenv(FILES.env, str(path))
    assert load([]).late_after_s == 5
