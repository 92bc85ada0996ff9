# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The severity of an incident over time: raised by facts, lowered only by a person."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.chain import GENESIS, Event
from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import list_incidents, open_incident, state_of
from ansible_collections.hft.incident.plugins.module_utils.severity_record import (
    at_opening,
    changes,
    facts_of,
    rise,
    set_by_person,
)
from ansible_collections.hft.incident.plugins.module_utils.severity_rules import ENV_RULES, load

RULES = load()
Line = tuple[str, Mapping[str, Any]]


def events(*lines: Line) -> list[Event]:
    return [
        Event(seq, f"2026-11-23T10:00:{seq:02}.000000Z", "me@host", kind, data, GENESIS, GENESIS)
        for seq, (kind, data) in enumerate(lines, 1)
    ]


def opened(kind: str = "exchange_outage", given: int | None = None, **facts: str) -> Line:
    inputs = {f"hft_fact_{name}": value for name, value in facts.items()}
    return "incident.opened", {"type": kind, "inputs": inputs, **at_opening(RULES, kind, inputs, given)}


def killed(**venues: str) -> Line:
    return "kill.verified", {"venues": [{"name": name, "verdict": verdict} for name, verdict in venues.items()]}


def diagnosed(name: str, verdict: str = "venue_down") -> Line:
    return "venue.diagnosed", {"name": name, "verdict": verdict}


def person(severity: int, before: int = 1) -> Line:
    return "severity.set", set_by_person(before, severity, "I have looked")


BREAKS: Line = ("positions.reconciled", {"verdict": "breaks"})


def test_an_incident_is_opened_with_the_severity_of_the_rules_and_says_which(tmp_path: Path) -> None:
    made = open_incident("exchange_outage", inputs={"exchange": "okx", "hft_fact_exchanges_down": "all"}, home=tmp_path)
    (event,) = made.journal.events()
    assert event.data["severity"] == 1
    assert event.data["assessment"] == {
        "by": "rules",
        "proposed": 1,
        "rule": "all_exchanges_disconnected",
        "reason": "all exchanges disconnected: exchanges_down all (at least all)",
    }
    assert [set(source) for source in event.data["severity_rules"]] == [{"path", "sha256"}]
    state = state_of(made.journal.events())
    assert (state.severity, state.severity_rule) == (1, "all_exchanges_disconnected")


@pytest.mark.parametrize("given", [1, 3])
def test_a_persons_word_stands_and_what_the_rules_said_is_on_record(tmp_path: Path, given: int) -> None:
    made = open_incident("exchange_outage", severity=given, home=tmp_path)
    (event,) = made.journal.events()
    assert event.data["severity"] == given
    why = event.data["assessment"]
    assert (why["by"], why["rule"], why["proposed"]) == ("person", None, 2)
    assert "the rules say 2: a single exchange is out" in why["reason"]
    assert rise(RULES, [event]) is None, "what the rules said then, the person has heard"


@pytest.mark.parametrize("inputs", [{"hft_fact_exchange_down": "1"}, {"hft_fact_exchanges_down": "many"}])
def test_a_fact_that_there_is_none_of_opens_nothing(tmp_path: Path, inputs: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="exchange"):
        open_incident("exchange_outage", inputs=inputs, home=tmp_path)
    assert list_incidents(tmp_path) == []


def test_rules_that_cannot_be_read_open_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_RULES, str(tmp_path / "none.yml"))
    with pytest.raises(UsageError, match=r"none\.yml: no such file"):
        open_incident("exchange_outage", home=tmp_path)
    assert list_incidents(tmp_path) == []


@pytest.mark.parametrize(
    ("found", "rule"),
    [
        ((diagnosed("a"), diagnosed("b", "our_connection")), "several_exchanges_disconnected"),
        ((diagnosed("a"), killed(a="unknown", b="unknown")), "several_exchanges_disconnected"),
        ((killed(a="open", b="open"),), "several_exchanges_not_proven"),
        ((BREAKS,), "positions_not_trusted"),
        ((("positions.reconciled", {"verdict": "unproven"}),), "positions_not_trusted"),
        ((("trading_systems.probed", {"systems": [{"name": "hft-1", "verdict": "hung"}]}),), "system_crash"),
        ((("database.probed", {"verdict": "read_only"}),), "database_down"),
        ((("database.probed", {"verdict": "something new"}),), "database_down"),
        ((("incident.escalated", {"earlier": ["inc"]}),), "crash_again"),
    ],
)
def test_later_facts_raise_it_and_the_record_says_why(found: tuple[Line, ...], rule: str) -> None:
    change = rise(RULES, events(opened(), *found))
    assert change is not None
    assert (change["severity"], change["before"], change["by"], change["rule"]) == (1, 2, "rules", rule)
    assert change["reason"]
    after = events(opened(), *found, ("severity.set", change))
    assert rise(RULES, after) is None, "once"
    assert (state_of(after).severity, state_of(after).severity_rule) == (1, rule)


@pytest.mark.parametrize(
    "found",
    [
        (diagnosed("a"), killed(a="unknown")),  # one and the same venue
        (diagnosed("a"), diagnosed("a", "healthy"), diagnosed("b")),  # one after the other
        (killed(a="clear", b="clear", c="clear"),),  # an effect of the response, not its cause (E5)
        (("kill.ordered", {"venues": ["a", "b"], "trading_systems": ["hft-1"]}),),
        (("positions.reconciled", {"verdict": "reconciled"}),),
        (("database.probed", {"verdict": "writable"}),),
        (("venue.diagnosed", {}), ("kill.verified", {"venues": "odd"}), ("trading_systems.probed", {})),
    ],
)
def test_what_is_no_worse_raises_nothing(found: tuple[Line, ...]) -> None:
    assert rise(RULES, events(opened(), *found)) is None


def test_better_facts_lower_nothing() -> None:
    told = events(opened(exchanges_down="all"), diagnosed("a", "healthy"), killed(a="clear"))
    assert rise(RULES, told) is None
    assert state_of(told).severity == 1


def test_a_person_lowers_it_and_only_news_raises_it_again() -> None:
    told = [opened(), diagnosed("a"), diagnosed("b"), person(3)]
    assert state_of(events(*told)).severity == 3
    assert rise(RULES, events(*told)) is None
    assert rise(RULES, events(*told, diagnosed("c"))) is None, "that several are out was known"
    unproven = rise(RULES, events(*told, killed(a="unknown")))
    assert unproven is not None
    assert (unproven["severity"], unproven["rule"]) == (2, "exchange_not_proven")
    change = rise(RULES, events(*told, BREAKS))
    assert change is not None
    assert (change["severity"], change["before"], change["rule"]) == (1, 3, "positions_not_trusted")
    to_two = [*told[:-1], person(2), killed(a="unknown")]
    assert rise(RULES, events(*to_two)) is None, "news that are no worse than what the person said"


def test_a_person_who_opens_it_lower_has_settled_what_was_known_only() -> None:
    assert rise(RULES, events(opened("system_crash", given=3))) is None
    change = rise(RULES, events(opened("system_crash", given=3), ("incident.escalated", {"earlier": ["inc"]})))
    assert change is not None
    assert (change["severity"], change["rule"]) == (1, "crash_again")


def test_a_record_of_before_the_rules_is_raised_from_nothing() -> None:
    old: Line = ("incident.opened", {"type": "exchange_outage", "inputs": {}, "severity": None})
    change = rise(RULES, events(old))
    assert change is not None
    assert (change["severity"], change["before"]) == (2, None)
    given: Line = ("incident.opened", {"type": "exchange_outage", "inputs": {}, "severity": 4})
    assert rise(RULES, events(given)) is None, "before the rules only people gave one"


def test_a_closed_incident_is_raised_no_more_until_it_is_reopened() -> None:
    closed: tuple[Line, ...] = (opened(), ("incident.closed", {}), BREAKS)
    assert rise(RULES, events(*closed)) is None
    assert rise(RULES, events(*closed, ("incident.reopened", {}))) is not None
    assert rise(RULES, []) is None


def test_what_was_stated_and_what_was_found_count_as_the_worse_of_the_two() -> None:
    assert facts_of(RULES, events(opened(exchanges_down="3"), diagnosed("a")))["exchanges_down"] == "3"
    assert facts_of(RULES, events(opened(positions="trusted"), BREAKS))["positions"] == "untrusted"
    assert facts_of(RULES, events(opened(positions="unknown"), BREAKS))["positions"] in ("unknown", "untrusted")


def test_the_history_names_who_or_what_decided() -> None:
    told = changes(events(opened(), person(1, 2), ("severity.set", {"severity": 2, "before": 1, "reason": "old"})))
    assert [(one.severity, one.before, one.by, one.rule) for one in told] == [
        (2, None, "rules", "exchange_disconnected"),
        (1, 2, "person", None),
        (2, 1, "rules", None),
    ]


lines = st.sampled_from(
    [
        diagnosed("a"), diagnosed("b"), diagnosed("b", "healthy"), killed(a="unknown"), killed(a="open", b="unknown"),
        killed(a="clear", b="clear"), BREAKS, ("positions.reconciled", {"verdict": "reconciled"}),
        ("incident.escalated", {}), ("database.probed", {"verdict": "disk_full"}),
    ]
)  # fmt: skip


@given(st.sampled_from(["exchange_outage", "data_corruption", "performance_degradation"]), st.lists(lines, max_size=8))
def test_without_a_person_it_never_gets_better_and_each_change_gives_its_rule(kind: str, found: list[Line]) -> None:
    told = [opened(kind)]
    for line in found:
        told.append(line)
        before = state_of(events(*told)).severity
        if change := rise(RULES, events(*told)):
            assert before is not None
            assert change["severity"] < before == change["before"]
            assert change["rule"] in {rule.name for rule in RULES.rules}
            told.append(("severity.set", change))
        assert rise(RULES, events(*told)) is None
