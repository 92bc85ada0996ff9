# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Suspected or confirmed: two sources or a person, never one source alone, and never down again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.audit_findings import SEVERITIES
from ansible_collections.hft.incident.plugins.module_utils.breach_level import (
    CONFIRMED,
    JUDGED,
    LEVELS,
    SOURCES,
    SUSPECTED,
    Level,
    Signal,
    judge,
    level_of,
    signals_of,
)
from ansible_collections.hft.incident.plugins.module_utils.chain import GENESIS, Event
from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.severity_record import facts_of
from ansible_collections.hft.incident.plugins.module_utils.severity_rules import load

signals = st.builds(
    Signal, st.sampled_from(SOURCES), st.sampled_from("ab"), st.sampled_from(SEVERITIES), st.sampled_from("xyz")
)
people = st.lists(st.sampled_from(["dave", "erin"]), max_size=2)


def event(seq: int, level: Level) -> Event:
    data = {"level": level.level, "because": list(level.because), "confirmed_by": list(level.confirmed_by),
            "signals": [signal._asdict() for signal in level.signals]}  # fmt: skip
    return Event(seq, "2026-11-23T10:00:00.000000Z", "me", JUDGED, data, GENESIS, GENESIS)


@given(st.lists(signals), people)
def test_it_is_confirmed_by_a_person_or_by_two_sources_that_alarm_and_by_nothing_else(
    seen: list[Signal], named: list[str]
) -> None:
    found = judge(seen, named)
    sources = {signal.source for signal in seen if signal.severity == "alarming"}
    assert (found.level == CONFIRMED) is (bool(named) or len(sources) > 1)
    assert found.because


@given(st.lists(st.tuples(st.lists(signals, max_size=3), people), min_size=1, max_size=5))
def test_a_level_never_goes_down_and_the_record_says_the_same(runs: list[tuple[list[Signal], list[str]]]) -> None:
    before: Level | None = None
    events: list[Event] = []
    for number, (seen, named) in enumerate(runs, 1):
        now = judge(seen, named, before)
        if before:
            assert LEVELS.index(now.level) >= LEVELS.index(before.level)
            assert set(before.signals) <= set(now.signals)
            assert set(before.confirmed_by) <= set(now.confirmed_by)
        events.append(event(number, now))
        recorded = level_of(events)
        assert recorded is not None
        assert (recorded.level, set(recorded.signals)) == (now.level, set(now.signals))
        before = now
    assert judge([], [], level_of(events)).level == events[-1].data["level"]
    # All runs at once come to the same.
    everything = judge([one for seen, _ in runs for one in seen], [one for _, named in runs for one in named])
    assert everything.level == events[-1].data["level"]


def test_two_findings_of_one_host_are_one_source_and_a_second_run_adds_the_other() -> None:
    host = [Signal("host", kind, "alarming", "x") for kind in ("a", "b")]
    first = judge(host, [])
    assert first.level == SUSPECTED
    assert "one source alarms" in first.because[-1]
    venue = signals_of([{"venue": "okx", "kind": "key_unknown", "severity": "alarming", "what": "a key", "detail": ""}])
    second = judge(venue, [], first)
    assert second.level == CONFIRMED
    assert second.because == ("host: x", "venue: okx: a key")


@pytest.mark.parametrize(
    "item",
    [
        "x",
        {},
        {"source": "moon", "kind": "a", "severity": "alarming", "what": "x"},
        {"source": "host", "kind": "a", "severity": "terrible", "what": "x"},
        {"source": "host", "kind": "", "severity": "alarming", "what": "x"},
        {"source": "host", "kind": "a", "severity": "alarming"},
    ],
)
def test_what_is_no_signal_is_refused_by_its_number(item: Any) -> None:
    with pytest.raises(UsageError, match="number 2"):
        signals_of([{"source": "person", "kind": "a", "severity": "info", "what": "x"}, item])


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_no_record_breaks_it(anything: Any) -> None:
    data = {"level": anything, "confirmed_by": anything, "signals": anything}
    odd = Event(1, "2026-11-23T10:00:00.000000Z", "me", JUDGED, data, GENESIS, GENESIS)
    found = level_of([odd])
    assert found is not None
    assert found.level in LEVELS


def test_more_signals_than_are_kept_leave_the_alarming_ones() -> None:
    plenty = [Signal("host", f"k{number}", "suspicious", "x") for number in range(500)]
    found = judge([*plenty, Signal("host", "the one", "alarming", "x")], [])
    assert len(found.signals) == 200
    assert found.signals[0].kind == "the one"


def test_the_severity_rules_hear_of_it() -> None:
    rules = load()
    suspected = event(1, judge([], []))
    confirmed = event(2, judge([], ["dave"]))
    audit = Event(3, "2026-11-23T10:00:00.000000Z", "me", "host.audited", {"worst": "alarming"}, GENESIS, GENESIS)
    fine = audit._replace(data={"worst": "suspicious"})
    assert facts_of(rules, [suspected])["security"] == "suspected"
    assert facts_of(rules, [suspected, confirmed, audit])["security"] == "breach"
    assert facts_of(rules, [audit])["security"] == "suspected"
    assert "security" not in facts_of(rules, [fine])
