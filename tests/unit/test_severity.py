# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Severity: every example of the runbook, and what holds for all facts whatever."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils import severity_rules
from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import TYPES
from ansible_collections.hft.incident.plugins.module_utils.severity import (
    UNKNOWN,
    BadRulesError,
    Fact,
    Rules,
    checked_facts,
    judge,
    merged,
    parse,
    respond_within_s,
    worse_of,
)

RULES = severity_rules.load()
DATA = yaml.safe_load(Path(severity_rules.SHIPPED).read_text())[severity_rules.KEY]

# Section 2 of the runbook, word for word.
EXAMPLES = [
    (1, "Complete system crash", "system_crash", {"systems_down": "1"}, "system_crash"),
    (1, "All exchanges disconnected", "exchange_outage", {"exchanges_down": "all"}, "all_exchanges_disconnected"),
    (1, "Security breach detected", "security_breach", {"security": "breach"}, "security_breach"),
    (1, "Killswitch activated", None, {"killswitch": "activated"}, "killswitch_activated"),
    (1, "Database completely down", "database_failure", {"database": "down"}, "database_down"),
    (2, "Single exchange disconnected", "exchange_outage", {"exchanges_down": "1"}, "exchange_disconnected"),
    (2, "High latency (P99 > 10ms)", "performance_degradation", {"latency_p99_ms": "10.1"}, "latency_high"),
    (2, "Strategy malfunction", None, {"strategies": "malfunction"}, "strategy_malfunction"),
    (2, "Database slow queries", "database_failure", {"database": "slow"}, "database_slow"),
    (2, "Partial data loss", None, {"data_loss": "partial"}, "partial_data_loss"),
    (3, "Single strategy underperforming", None, {"strategies": "underperforming"}, "strategy_underperforming"),
    (3, "Non-critical alert firing", None, {"alert_level": "warning"}, "noncritical_alert"),
    (3, "Disk space warning", None, {"disk": "warning"}, "disk_warning"),
    (3, "Elevated error rate", None, {"error_rate": "elevated"}, "error_rate_elevated"),
    (4, "Documentation needs update", None, {"work": "documentation"}, "future_work"),
    (4, "Monitoring improvement needed", None, {"work": "monitoring"}, "future_work"),
    (4, "Code cleanup required", None, {"work": "cleanup"}, "future_work"),
]
# Its definitions, the alerts of sections 3 to 6, and how its contradictions are settled (seed-faults).
SETTLED = [
    (1, "definition: complete service outage", None, {"trading": "stopped"}, "trading_stopped"),
    (1, "definition: major financial loss", None, {"loss": "major"}, "major_loss"),
    (2, "definition: reduced trading capacity", None, {"trading": "reduced"}, "trading_reduced"),
    (3, "definition: limited impact, workaround available", None, {"trading": "limited"}, "trading_limited"),
    (4, "definition: no immediate impact", None, {}, "floor"),
    (2, "alert of section 3", None, {"alerts": "Exchange Disconnected"}, "alert_exchange_disconnected"),
    (1, "alert of section 4", None, {"alerts": "SystemDown"}, "alert_system_down"),
    (3, "alert of section 5", None, {"alerts": "high_latency"}, "alert_high_latency"),
    (1, "alert of section 6", None, {"alerts": "Unauthorized Access Detected"}, "alert_unauthorized_access"),
    (3, "E1: 1 to 10 ms", None, {"latency_p99_ms": "5", "latency_for_s": "60"}, "latency_raised"),
    (3, "E1: exactly 10 ms", None, {"latency_p99_ms": "10", "latency_for_s": "60"}, "latency_raised"),
    (4, "E1: 1 ms is allowed", None, {"latency_p99_ms": "1", "latency_for_s": "600"}, "floor"),
    (4, "E1: not for long", None, {"latency_p99_ms": "50", "latency_for_s": "29"}, "floor"),
    (2, "E1: for long enough", None, {"latency_p99_ms": "50", "latency_for_s": "30"}, "latency_high"),
    (2, "E2: nobody has measured yet", "performance_degradation", {}, "latency_high"),
    (2, "E2: an exchange, nobody has looked", "exchange_outage", {}, "exchange_disconnected"),
    (1, "E2: a crash, nobody has looked", "system_crash", {}, "system_crash"),
    (1, "E2: suspicion is enough", "security_breach", {"security": "suspected"}, "security_breach"),
    (1, "E4: two exchanges, neither one nor all", "exchange_outage", {"exchanges_down": "2"},
     "several_exchanges_disconnected"),
    (1, "an alert of which nobody knows the name", None, {"alerts": UNKNOWN}, "alert_system_down"),
    (4, "E5: a planned drill of the killswitch", None, {"killswitch": "drill"}, "floor"),
    (1, "E5: nobody knows whether it was planned", None, {"killswitch": UNKNOWN}, "killswitch_activated"),
    (2, "E17: positions are trusted", "data_corruption", {"data_loss": "partial", "positions": "trusted"},
     "partial_data_loss"),
    (1, "E17: positions are not", "data_corruption", {"data_loss": "partial", "positions": "untrusted"},
     "positions_not_trusted"),
    (1, "E17: nobody knows", "data_corruption", {"data_loss": "partial"}, "positions_not_trusted"),
    (1, "E17: fills lost", None, {"data_loss": "fills"}, "fills_lost"),
    (3, "playbook 7: old market data", "data_corruption", {"data_loss": "history", "positions": "trusted"},
     "history_lost"),
    (1, "playbook 8: the kill path", "network_failure", {"kill_path": "lost"}, "kill_path_lost"),
    (2, "playbook 8: one link of a pair", "network_failure",
     {"links": "lost", "kill_path": "ready", "exchanges_down": "0"}, "link_lost"),
    (1, "playbook 9: unknown orders", "trading_anomaly", {"orders": "unexplained", "loss": "none"},
     "unexplained_orders"),
    (2, "playbook 9: one strategy contained", "trading_anomaly",
     {"strategies": "malfunction", "loss": "none", "orders": "known"}, "strategy_malfunction"),
    (1, "playbook 10: fills not persisted", "database_failure", {"database": "not_writable"}, "database_down"),
    (3, "playbook 10: disk or XID warning", "database_failure", {"database": "warning"}, "database_warning"),
    (1, "section 4: it crashes again", "exchange_outage", {"again": "repeated"}, "crash_again"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("severity", "case", "incident_type", "facts", "rule"), [*EXAMPLES, *SETTLED], ids=lambda value: str(value)[:50]
)
def test_the_runbook_says_so(
    severity: int, case: str, incident_type: str | None, facts: Mapping[str, str], rule: str
) -> None:
    verdict = judge(RULES, incident_type, checked_facts(RULES, facts))
    assert (verdict.severity, verdict.rule) == (severity, rule), f"{case}: {verdict.reason}"


def test_every_rule_of_the_file_that_is_not_in_the_table_fires_for_something() -> None:
    shown = {rule for *_, rule in (*EXAMPLES, *SETTLED)}
    left = {rule.name for rule in RULES.rules} - shown
    for name in left:
        rule = next(rule for rule in RULES.rules if rule.name == name)
        verdict = judge(RULES, None, {condition.fact.name: UNKNOWN for condition in rule.conditions})
        assert name in {fired.rule for fired in verdict.fired}, name


# What holds for all facts ---------------------------------------------------------------------------------------------


def values(fact: Fact) -> st.SearchStrategy[str]:
    if fact.kind == "scale":
        return st.sampled_from(fact.scale)
    if fact.kind == "number":
        # Around every limit of the file, and everywhere else.
        limits = [c.value for rule in RULES.rules for c in rule.conditions if c.fact == fact and c.value is not None]
        near = [f"{float(limit) + step:g}" for limit in limits for step in (-1, 0, 1) if limit != fact.worst]  # type: ignore[arg-type]  # a number
        return st.one_of(st.sampled_from([*near, "all", "0"]), st.decimals(-5, 200, places=1).map(str))
    return st.lists(st.sampled_from(["High Latency", "SystemDown", "monitoring", "other"]), min_size=1).map(", ".join)


@st.composite
def situations(draw: st.DrawFn) -> tuple[str | None, dict[str, str]]:
    incident_type = draw(st.sampled_from([None, *TYPES]))
    names = draw(st.lists(st.sampled_from(sorted(RULES.facts)), unique=True))
    return incident_type, {name: draw(values(RULES.facts[name]) | st.just(UNKNOWN)) for name in names}


@given(situations(), st.data())
def test_a_worse_fact_never_makes_a_better_severity(
    situation: tuple[str | None, dict[str, str]], data: st.DataObject
) -> None:
    incident_type, facts = situation
    assume(facts)
    name = data.draw(st.sampled_from(sorted(facts)))
    other = {**facts, name: data.draw(values(RULES.facts[name]))}
    worse = worse_of(RULES, facts, other)
    severity = judge(RULES, incident_type, worse).severity
    assert severity <= judge(RULES, incident_type, facts).severity
    assert severity <= judge(RULES, incident_type, other).severity


@given(situations(), st.data())
def test_not_knowing_never_makes_a_better_severity_than_any_answer(
    situation: tuple[str | None, dict[str, str]], data: st.DataObject
) -> None:
    incident_type, facts = situation
    name = data.draw(st.sampled_from(sorted(RULES.facts)))
    without = {fact: value for fact, value in facts.items() if fact != name}
    unknown = judge(RULES, incident_type, {**without, name: UNKNOWN})
    assert (
        unknown.severity
        <= judge(RULES, incident_type, {**without, name: data.draw(values(RULES.facts[name]))}).severity
    )
    assert unknown.severity <= judge(RULES, incident_type, without).severity


@given(situations())
def test_it_is_never_better_than_the_floor_of_the_type(situation: tuple[str | None, dict[str, str]]) -> None:
    incident_type, facts = situation
    floor = RULES.types[incident_type].floor if incident_type else 4
    assert judge(RULES, incident_type, facts).severity <= floor


@given(situations())
def test_the_rule_that_is_named_fires_by_itself_and_nothing_that_fires_is_worse(
    situation: tuple[str | None, dict[str, str]],
) -> None:
    incident_type, facts = situation
    verdict = judge(RULES, incident_type, facts)
    assert verdict.rule == verdict.fired[0].rule
    assert all(fired.severity >= verdict.severity for fired in verdict.fired)
    if verdict.rule != "floor":
        only = next(rule for rule in RULES.rules if rule.name == verdict.rule)
        alone = judge(RULES._replace(rules=(only,), types={}), None, verdict.facts)
        assert (alone.rule, alone.severity) == (verdict.rule, verdict.severity)
        assert all(condition.fact.name in verdict.reason for condition in only.conditions)


@given(st.text(), st.text())
def test_facts_of_another_time_are_passed_over_or_count_as_unknown(name: str, value: str) -> None:
    assert judge(RULES, None, {f"no {name}": value}).severity == 4
    said = judge(RULES, None, {"positions": value}).severity
    assert said == (4 if " ".join(value.split()) == "trusted" else 1)


# Times ----------------------------------------------------------------------------------------------------------------


def test_the_stricter_response_time_counts() -> None:
    assert [respond_within_s(RULES, None, severity) for severity in (1, 2, 3, 4)] == [300, 900, 3600, None]
    assert respond_within_s(RULES, "security_breach", 1) == 60
    assert respond_within_s(RULES, "exchange_outage", 2) == 300, "its playbook acts within 5 minutes (E4)"
    slow = RULES._replace(types={"x": RULES.types["exchange_outage"]._replace(respond_within_s={2: 5000.0})})
    assert respond_within_s(slow, "x", 2) == 900


def test_every_incident_type_has_a_floor_and_what_it_assumes() -> None:
    assert set(RULES.types) == set(TYPES)
    for name in TYPES:
        assert judge(RULES, name, {}).severity <= RULES.types[name].floor
        assert judge(RULES, name, {}).rule != "floor", f"{name} is graded by a fact, if only an assumed one"


# The file -------------------------------------------------------------------------------------------------------------

Spoil = Callable[[dict[str, Any]], object]
BAD: list[tuple[Spoil, str]] = [
    (lambda data: data["rules"].update(x={"severity": 0, "if": {"disk": "full"}, "why": "y"}), "1 (worst) to 4"),
    (lambda data: data["rules"].update(x={"severity": True, "if": {"disk": "full"}, "why": "y"}), "1 (worst) to 4"),
    (lambda data: data["rules"].update(x={"severity": 1, "if": {"dsik": "full"}, "why": "y"}), "'dsik'"),
    (lambda data: data["rules"].update(x={"severity": 1, "if": {"disk": "fool"}, "why": "y"}), "'fool'"),
    (lambda data: data["rules"].update(x={"severity": 1, "if": {"disk": "ok"}, "why": "y"}), "at all times"),
    (lambda data: data["rules"].update(x={"severity": 1, "if": {}, "why": "y"}), "if needs facts"),
    (lambda data: data["rules"].update(x={"severity": 1, "if": {"latency_for_s": {"above": 1}}, "why": "y"}), "nobody"),
    (lambda data: data["rules"].update(x={"severity": 1, "if": {"loss_usd": 5}, "why": "y"}), "above and at_least"),
    (lambda data: data["rules"].update(x={"severity": 1, "if": {"loss_usd": {"below": 5}}, "why": "y"}), "above and"),
    (lambda data: data["rules"].update(x={"severity": 1, "if": {"loss_usd": {"above": "NaN"}}, "why": "y"}), "no numb"),
    (lambda data: data["rules"].update(x={"severity": 1, "if": {"alerts": []}, "why": "y"}), "give names"),
    (lambda data: data["rules"].update(x={"severity": 1, "unless": {"disk": "full"}, "why": "y"}), "'unless'"),
    (lambda data: data["rules"].update(floor={"severity": 1, "if": {"disk": "full"}, "why": "y"}), "name is taken"),
    (lambda data: data["rules"].update(x="SEV1"), "rules: 'x'"),
    (lambda data: data["facts"].update(x={"scale": ["one"], "help": "y"}), "two different words"),
    (lambda data: data["facts"].update(x={"scale": ["one", "two"], "number": "s", "help": "y"}), "either a scale"),
    (lambda data: data["types"]["system_crash"].update(floor="high"), "floor"),
    (lambda data: data["types"]["system_crash"].update(assume={"disk": "maybe"}), "'maybe'"),
    (lambda data: data["types"]["system_crash"].update(respond_within_s={1: -5}), "seconds"),
    (lambda data: data["levels"].pop(3), "1 to 4"),
    (lambda data: data["levels"][3].pop("impact"), "impact is missing"),
    (lambda data: data.pop("types"), "types"),
    (lambda data: data.update(rulse={}), "'rulse'"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "said"), BAD, ids=[said for _, said in BAD])
def test_rules_that_mean_nothing_are_refused_in_one_line_that_says_where(spoil: Spoil, said: str) -> None:
    data = copy.deepcopy(DATA)
    spoil(data)
    with pytest.raises(BadRulesError) as refused:
        parse(data)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.text(max_size=5) | st.sampled_from(["disk", "full", "rules"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["rules", "facts", "types", "levels", "if", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(json_values)
def test_no_data_at_all_makes_reading_the_rules_fail_in_another_way(site: Any) -> None:
    with suppress(BadRulesError):  # refused in words is as good as read
        parse(merged(DATA, site))


def site(tmp_path: Path, text: str) -> list[str]:
    folder = tmp_path / "site" / "group_vars" / "all"
    folder.mkdir(parents=True)
    (folder / "severity.yml").write_text(text)
    (tmp_path / "site" / "hosts.yml").write_text("all: {}\n")
    return [str(tmp_path / "site" / "hosts.yml")]


def test_a_site_changes_one_value_and_the_rest_stays(tmp_path: Path) -> None:
    inventory = site(
        tmp_path,
        "hft_severity_rules:\n"
        "  rules:\n"
        "    latency_high: {severity: 1, if: {latency_p99_ms: {above: 3}}, why: here it is}\n"
        "    disk_warning: null\n"
        "  types: {exchange_outage: {floor: 1}}\n",
    )
    rules: Rules = severity_rules.load(["localhost,", *inventory])
    assert judge(rules, None, {"latency_p99_ms": "4"}).severity == 1
    assert judge(rules, None, {"disk": "warning"}).severity == 4
    assert judge(rules, "exchange_outage", {"exchanges_down": "0"}).severity == 1
    assert rules.types["exchange_outage"].assume == RULES.types["exchange_outage"].assume
    assert judge(rules, None, {"database": "slow"}) == judge(RULES, None, {"database": "slow"})
    assert len(severity_rules.fingerprints(rules)) == 2


def test_the_named_file_comes_before_the_inventorys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inventory = site(tmp_path, "hft_severity_rules: {types: {exchange_outage: {floor: 1}}}\n")
    named = tmp_path / "named.yml"
    named.write_text("hft_severity_rules: {types: {exchange_outage: {floor: 3}}}\n")
    monkeypatch.setenv(severity_rules.ENV_RULES, str(named))
    assert severity_rules.load(inventory).types["exchange_outage"].floor == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hft_severity_rules: {rules: {x: [}}\n", "not valid YAML, line 1"),
        ("hft_severity_rulse: {}\n", "give hft_severity_rules"),
        ("- 1\n", "give hft_severity_rules"),
        ("hft_severity_rules: {rules: {x: {severity: 9, if: {disk: full}, why: y}}}\n", "rules: 'x'"),
        ("hft_severity_rules: [1]\n", "give facts, levels, rules, types"),
    ],
)
def test_a_bad_file_is_named_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    inventory = site(tmp_path, text)
    with pytest.raises(UsageError) as refused:
        severity_rules.load(inventory)
    assert "severity.yml" in str(refused.value)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
