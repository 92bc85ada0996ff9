# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Which notices are due when: the life of an incident against the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.chain import GENESIS, Event, draft, sealed
from ansible_collections.hft.incident.plugins.module_utils.incident import TYPES
from ansible_collections.hft.incident.plugins.module_utils.redaction import iso_utc
from ansible_collections.hft.incident.plugins.module_utils.severity_rules import load as severity_rules
from hft_incident.comms.plan import PLANNED, planned
from hft_incident.comms.policy_reading import shipped
from hft_incident.notices import Notice, deliveries, next_due, schedule

T0 = datetime(2026, 11, 26, 10, 0, 0, tzinfo=UTC)
CLEAR = {"venues": [{"name": "binance", "verdict": "clear"}]}
STOPPED = {"trading_system": "hft-1", "ids": ["mm-1"]}
Happening = tuple[float, str, Mapping[str, Any]]


def life(
    *happenings: Happening, kind: str = "exchange_outage", severity: int = 1, scale: float = 1, check: bool = False
) -> list[Event]:
    """The journal of an incident: opened and planned at second 0, and what happened so many seconds later."""
    plan = planned(shipped(), severity_rules(), kind, {"hft_time_scale": str(scale)})
    told = [
        (0.0, "incident.opened", {"type": kind, "severity": severity, "check": check, "inputs": {}}),
        (0.0, PLANNED, plan),
        *happenings,
    ]
    events: list[Event] = []
    for at, name, data in told:
        prev = events[-1].hash if events else GENESIS
        moment = iso_utc(T0 + timedelta(seconds=at))
        events.append(sealed(len(events) + 1, moment, "test", *draft(name, data), prev))
    return events


def judged(at: float = 0.0) -> Happening:
    return at, "alarm.judged", {"real": True, "because": "it is out"}


def due(events: Sequence[Event], until: float) -> list[tuple[float, str]]:
    return [((n.due_at - T0).total_seconds(), n.id) for n in schedule(events, T0 + timedelta(seconds=until))]


def of(audience: str, events: Sequence[Event], until: float) -> list[tuple[float, str]]:
    return [
        (at, name.removeprefix(f"{audience}.")) for at, name in due(events, until) if name.startswith(f"{audience}.")
    ]


def test_a_sev1_outage_over_thirty_five_minutes() -> None:
    events = life(judged())
    assert of("trading_desk", events, 2100) == [(0, "first"), (900, "update.1"), (1800, "update.2")]
    assert of("status_page", events, 2100) == [(300, "first"), (1200, "update.1"), (2100, "update.2")]
    assert of("management", events, 2100) == [(0, "first"), (1800, "update.1")]
    assert of("stakeholders", events, 2100) == [(1800, "first")]
    assert of("on_call", events, 2100) == [(0, "first"), (300, "page.page_backup"), (600, "page.page_management")]


def test_a_sev2_outage_over_thirty_five_minutes() -> None:
    events = life(judged(), severity=2)
    assert of("status_page", events, 2100) == [(900, "first")]
    assert of("management", events, 2100) == [(900, "first")]
    assert of("on_call", events, 2100) == [(0, "first"), (300, "page.page_backup"), (600, "page.page_management")]


def test_an_alarm_that_is_judged_false_at_once_is_told_to_nobody() -> None:
    closed = (2.0, "incident.closed", {"resolution": "not_confirmed"})
    assert due(life((1.0, "alarm.judged", {"real": False}), closed), 3600) == []


def test_nobody_waits_for_a_judgement_that_does_not_come() -> None:
    assert of("trading_desk", life(), 60) == [(5, "first")]


@pytest.mark.parametrize("resolution", ["refused", "rehearsed"])
def test_what_was_no_incident_is_told_to_nobody(resolution: str) -> None:
    assert due(life(judged(), (1.0, "incident.closed", {"resolution": resolution})), 3600) == []


def test_a_rehearsal_is_told_to_nobody() -> None:
    assert due(life(judged(), check=True), 3600) == []


def test_a_raise_is_told_at_once_and_brings_forward_what_is_due() -> None:
    events = life(judged(), (600, "severity.set", {"severity": 1}), severity=2)
    assert of("management", events, 2400) == [(600, "first"), (2400, "update.1")]
    assert of("trading_desk", events, 1800) == [(0, "first"), (600, "severity.1"), (1500, "update.1")]
    assert of("status_page", events, 1800) == [(600, "first"), (1500, "update.1")]


def test_a_severity_that_is_lowered_is_told_and_slows_the_updates() -> None:
    events = life(judged(), (1000, "severity.set", {"severity": 2}))
    assert of("incident_team", events, 3000) == [
        (0, "first"),
        (900, "update.1"),
        (1000, "severity.1"),
        (2800, "update.2"),
    ]


def test_the_same_severity_again_is_no_news() -> None:
    assert of("trading_desk", life(judged(), (60, "severity.set", {"severity": 1})), 120) == [(0, "first")]


def test_containment_recovery_and_the_end_are_told_as_they_happen() -> None:
    events = life(
        judged(),
        (1.0, "strategies.stopped", STOPPED),
        (2.0, "kill.verified", CLEAR),
        (100.0, "strategies.started", STOPPED),
        (200.0, "incident.closed", {"resolution": "resolved"}),
    )
    assert of("trading_desk", events, 9999) == [
        (0, "first"), (2, "contained"), (100, "restored"), (200, "resolved")
    ]  # fmt: skip
    assert of("on_call", events, 9999) == [(0, "first"), (200, "resolved")]
    assert of("status_page", events, 9999) == []  # it was over before anything was said there


def test_what_is_meant_for_a_long_outage_is_not_told_after_a_short_one() -> None:
    restored = [(1.0, "strategies.stopped", STOPPED), (1700.0, "strategies.started", STOPPED)]
    assert of("stakeholders", life(judged(), *restored), 9999) == []


def test_what_starts_without_having_been_stopped_restores_nothing() -> None:
    events = life(judged(), (2.0, "strategies.started", STOPPED))
    assert of("trading_desk", events, 60) == [(0, "first")]


def test_a_venue_that_opens_again_contains_anew() -> None:
    unknown = {"venues": [{"name": "okx", "verdict": "unknown"}]}
    later = {"venues": [{"name": "okx", "verdict": "clear"}]}
    events = life(
        judged(), (2.0, "kill.verified", CLEAR), (3.0, "kill.verified", unknown), (9.0, "kill.verified", later)
    )
    assert of("trading_desk", events, 60) == [(0, "first"), (2, "contained"), (9, "contained.2")]


def test_reopened_is_told_and_goes_on() -> None:
    closed = (100.0, "incident.closed", {"resolution": "resolved"})
    events = life(judged(), closed, (200.0, "incident.reopened", {}))
    assert of("trading_desk", events, 1100) == [(0, "first"), (100, "resolved"), (200, "reopened"), (1100, "update.1")]


def test_whoever_says_that_they_have_it_ends_the_paging() -> None:
    events = life(judged(), (301.0, "incident.acknowledged", {"by": "alice"}))
    assert of("on_call", events, 9999) == [(0, "first"), (300, "page.page_backup")]


def test_a_crash_is_answered_faster() -> None:
    pages = of("on_call", life(judged(), kind="system_crash"), 9999)
    assert [at for at, name in pages if name.startswith("page.")] == [120, 240]


def test_a_raise_pages_the_next_one_sooner() -> None:
    events = life(judged(), (200.0, "severity.set", {"severity": 1}), kind="system_crash", severity=2)
    assert [at for at, name in of("on_call", events, 9999) if name.startswith("page.")] == [200, 320]


def test_a_breach_waits_for_legal_in_public_and_gives_nothing_away_inside() -> None:
    found = schedule(life(judged(), kind="security_breach"), T0 + timedelta(seconds=900))
    public = [notice for notice in found if notice.audience == "status_page"]
    assert public
    assert {notice.gate for notice in public} == {"public_disclosure"}
    assert {notice.wording for notice in found if notice.audience != "status_page"} == {"breach"}
    assert "incident_team" not in {notice.audience for notice in found}


def test_a_drill_waits_shorter_and_for_the_same() -> None:
    real = due(life(judged()), 2100)
    fast = due(life(judged(), scale=60), 2100 / 60)
    assert [name for _, name in real] == [name for _, name in fast]
    assert [at for at, _ in fast] == pytest.approx([at / 60 for at, _ in real])


def test_next_due_is_when_something_happens_next() -> None:
    events, now = life(judged()), T0 + timedelta(seconds=301)
    assert next_due(events, now, timedelta(hours=1)) == T0 + timedelta(seconds=600)
    assert next_due(events, now, timedelta(seconds=10)) is None


def test_what_became_of_a_notice_is_the_first_final_word() -> None:
    said = {"notice": "trading_desk.first", "channel": "desk"}
    events = life(
        (1.0, "notice.failed", {**said, "error": "HTTP 500", "retry_at": iso_utc(T0), "doubtful": True}),
        (2.0, "notice.sent", said),
        (3.0, "notice.failed", {**said, "error": "late answer"}),
        (4.0, "notice.not_sent", {"notice": "tickets.first", "channel": None, "reason": "no channel"}),
    )
    found = deliveries(events)
    assert found["trading_desk.first", "desk"].state == "sent"
    assert found["trading_desk.first", "desk"].attempts == 2
    assert found["trading_desk.first", "desk"].lines == (3, 4)
    assert found["tickets.first", None].reason == "no channel"


# Properties -----------------------------------------------------------------------------------------------------------

HAPPENINGS = st.lists(
    st.one_of(
        st.tuples(st.just("severity.set"), st.fixed_dictionaries({"severity": st.integers(1, 4)})),
        st.tuples(st.just("alarm.judged"), st.fixed_dictionaries({"real": st.booleans()})),
        st.tuples(st.just("incident.acknowledged"), st.just({"by": "alice"})),
        st.tuples(st.just("strategies.stopped"), st.just(STOPPED)),
        st.tuples(st.just("strategies.started"), st.just(STOPPED)),
        st.tuples(
            st.just("kill.verified"),
            st.sampled_from(["clear", "open", "unknown"]).map(lambda v: {"venues": [{"name": "a", "verdict": v}]}),
        ),
        st.tuples(st.just("incident.closed"), st.just({"resolution": "resolved"})),
        st.tuples(st.just("incident.reopened"), st.just({})),
    ),
    max_size=8,
)
LIVES = st.tuples(
    st.sampled_from(TYPES),
    st.integers(1, 4),
    HAPPENINGS,
    st.lists(st.floats(0, 4000), min_size=8, max_size=8).map(sorted),
)


def _lived(told: tuple[str, int, list[tuple[str, Any]], list[float]]) -> list[Event]:
    kind, severity, happenings, times = told
    return life(
        *[(at, name, data) for at, (name, data) in zip(times, happenings, strict=False)], kind=kind, severity=severity
    )


@settings(max_examples=150, deadline=None)
@given(LIVES, st.floats(0, 8000), st.floats(0, 8000))
def test_time_only_adds_notices(told: Any, one: float, other: float) -> None:
    events = _lived(told)
    early, late = (schedule(events, T0 + timedelta(seconds=at)) for at in sorted((one, other)))
    assert late[: len(early)] == early
    assert len({notice.id for notice in late}) == len(late)


@settings(max_examples=150, deadline=None)
@given(LIVES, st.integers(2, 10))
def test_what_happens_later_moves_nothing_that_was_due_before(told: Any, keep: int) -> None:
    events = _lived(told)
    known = events[:keep]
    if any(event.data.get("resolution") for event in events):
        return  # an end as no incident takes everything back
    before = datetime.fromisoformat(events[keep].at) if keep < len(events) else T0 + timedelta(hours=2)
    sure = [notice for notice in schedule(known, before) if notice.due_at < before]
    assert set(sure) <= set(schedule(events, T0 + timedelta(hours=3)))


@settings(max_examples=100, deadline=None)
@given(LIVES)
def test_nobody_hears_updates_faster_than_the_plan_says(told: Any) -> None:
    """Between two updates of one audience lies at least its shortest interval."""
    events = _lived(told)
    by_audience: dict[str, list[Notice]] = {}
    for notice in schedule(events, T0 + timedelta(hours=2)):
        by_audience.setdefault(notice.audience, []).append(notice)
    for notices in by_audience.values():
        updates = [notice.due_at for notice in notices if notice.kind == "update"]
        gaps = [later - earlier for earlier, later in pairwise(updates)]
        assert all(gap >= timedelta(seconds=300) for gap in gaps)


def test_a_worse_severity_is_never_told_later() -> None:
    for kind in TYPES:
        for severity in (2, 3):
            worse = {n.audience: n.due_at for n in schedule(life(judged(), kind=kind, severity=severity - 1),
                     T0 + timedelta(hours=5)) if n.kind == "first"}  # fmt: skip
            better = {n.audience: n.due_at for n in schedule(life(judged(), kind=kind, severity=severity),
                      T0 + timedelta(hours=5)) if n.kind == "first"}  # fmt: skip
            assert all(worse[name] <= at for name, at in better.items() if name in worse)


def clock(at: float, due: float, name: str = "dora_initial", owner: str = "legal") -> Happening:
    data = {"clock": name, "from": "classification", "due_s": 14400, "owner": owner}
    return at, "clock.started", {**data, "due_at": iso_utc(T0 + timedelta(seconds=due))}


def clocks_told(events: Sequence[Event], until: float = 200_000) -> list[tuple[float, str]]:
    return [(at, name) for at, name in due(events, until) if ".clock." in name]


def test_a_clock_is_told_of_before_it_runs_out_and_when_it_has() -> None:
    events = life(judged(), clock(0, 14400), kind="security_breach")
    names = [(10800, "legal.clock.dora_initial.1"), (10800, "security.clock.dora_initial.1"),
             (14400, "legal.clock.dora_initial.2"), (14400, "security.clock.dora_initial.2")]  # fmt: skip
    assert clocks_told(events) == names
    assert clocks_told(events, 10799) == []
    # Nothing that comes later moves what was due before.
    assert clocks_told([*events, *life(judged(), clock(0, 14400), clock(99_999, 199_999, "gdpr"))[-1:]])[:4] == names


def test_a_clock_that_was_met_or_moved_is_told_of_no_more() -> None:
    met = (12_000.0, "clock.met", {"clock": "dora_initial", "by": "erin"})
    told = clocks_told(life(judged(), clock(0, 14400), met, kind="security_breach"))
    assert {at for at, _name in told} == {10800}
    moved = clocks_told(life(judged(), clock(0, 86400), clock(1000, 15400), kind="security_breach"))
    assert [at for at, name in moved if name.startswith("legal.")] == [15400 - 15400 * 0.25, 15400]


def test_a_clock_with_no_time_left_for_a_warning_is_told_of_at_once() -> None:
    told = clocks_told(life(judged(), clock(0, 86400), clock(50_000, 51_000), kind="security_breach"))
    assert [at for at, name in told if name.startswith("legal.")] == [50_000, 51_000]


def test_a_drill_shortens_no_regulators_clock() -> None:
    told = clocks_told(life(judged(), clock(0, 14400), kind="security_breach", scale=60), 20_000)
    assert {at for at, _name in told} == {10800, 14400}
