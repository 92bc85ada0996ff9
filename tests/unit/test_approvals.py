# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The rules of approvals, without keys: what a decision rests on, and which approvals count."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given as any_of
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils import approvals
from ansible_collections.hft.incident.plugins.module_utils.approvals import (
    Given,
    Judgement,
    Policy,
    basis,
    is_closing,
    judge,
    policy_of,
    statement_of,
    to_bytes,
)
from ansible_collections.hft.incident.plugins.module_utils.chain import GENESIS, Event, sealed
from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.redaction import iso_utc

INCIDENT = "inc-20261124T100000Z-system_crash-1"
NOW = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
POLICY = Policy("resume_trading", 2, ("trading", "risk"), 3600, "May trading resume?")

Line = tuple[str, Mapping[str, Any]]

OPENED: Line = ("incident.opened", {"type": "system_crash", "inputs": {}, "severity": 1, "check": False})
CLEAR: Line = ("kill.verified", {"venues": [{"name": "alpha", "verdict": "clear", "open_after": 0, "cancelled": 7}]})
RECONCILED: Line = ("positions.reconciled", {"verdict": "reconciled", "venues": []})
STOPPED: Line = ("strategies.stopped", {"trading_system": "hft-1", "ids": ["mm"]})
LATCH: Line = ("latch.changed", {"host": "hft-1", "scope": "all", "name": "", "state": "closed", "agree": True})
REGISTERED: Line = ("inverse.registered", {"id": "i1", "module": "hft.incident.latch", "describe": "open the latch"})
STORY = (OPENED, CLEAR, STOPPED, LATCH, REGISTERED, RECONCILED)

#: What is true of an incident may change in these ways; each must outdate an approval of ``STORY``.
CHANGES: dict[str, Line] = {
    "a venue shows orders": ("kill.verified", {"venues": [{"name": "alpha", "verdict": "open", "open_after": 2}]}),
    "a venue is not known": ("kill.verified", {"venues": [{"name": "alpha", "verdict": "unknown"}]}),
    "another venue was killed": ("kill.verified", {"venues": [{"name": "beta", "verdict": "clear", "open_after": 0}]}),
    "orders had to be cancelled again": CLEAR,
    "a system had to be stopped": ("kill.verified", {"trading_systems": [{"name": "hft-1", "changed": True}]}),
    "a kill was ordered": ("kill.ordered", {"venues": ["alpha"], "reason": "once more"}),
    "the books differ": ("positions.reconciled", {"verdict": "breaks", "venues": []}),
    "the books are not proven": ("positions.reconciled", {"verdict": "unproven", "venues": []}),
    "there is a break": (
        "positions.reconciled",
        {"verdict": "reconciled", "venues": [{"exchange": "alpha", "verdict": "breaks", "breaks": [{"qty": "1"}]}]},
    ),
    "more strategies were stopped": ("strategies.stopped", {"trading_system": "hft-1", "ids": ["arb"]}),
    "a strategy runs": ("strategies.started", {"trading_system": "hft-1", "ids": ["mm"]}),
    "the latch was opened": ("latch.changed", {"host": "hft-1", "scope": "all", "name": "", "state": "open"}),
    "the latch was closed again": LATCH,
    "another host was closed": ("latch.changed", {"host": "hft-2", "scope": "all", "state": "closed"}),
    "an exchange was disabled": ("exchange.changed", {"trading_system": "hft-1", "name": "alpha", "state": "disabled"}),
    "an exchange was enabled": ("exchange.changed", {"trading_system": "hft-1", "name": "alpha", "state": "enabled"}),
    "a service was started": ("service.changed", {"host": "hft-1", "unit": "hft", "state": "started"}),
    "it crashed again": ("crash.classified", {"host": "h", "unit": "hft", "kind": "oom", "ended_at": "later"}),
    "the database takes no writes": ("database.probed", {"host": "db", "dbname": "hft", "verdict": "read_only"}),
    "the breach is confirmed": ("breach.level_judged", {"level": "confirmed", "because": ["dave confirms it"]}),
    "orders may be larger": ("trading_limit.changed", {"trading_system": "hft-1", "scale_pct": "50"}),
    "another release is there": ("release.checked", {"host": "hft-1", "verdict": "not_approved"}),
    "it took over from another": ("claims.taken_over", {"incident": "inc-2", "things": [{"name": "alpha"}]}),
    "it gave up to another": ("claims.given_up", {"incident": "inc-2", "things": [{"name": "alpha"}]}),
    "there is more to undo": ("inverse.registered", {"id": "i2", "describe": "enable alpha"}),
    "something was undone": ("inverse.applied", {"id": "i1"}),
    "it is worse than it seemed": ("severity.set", {"severity": 1}),
    "it happened before": ("incident.escalated", {"earlier": ["inc-1"]}),
    "a venue looks different": ("venue.diagnosed", {"name": "alpha", "verdict": "degraded"}),
    "a host was isolated": ("host.isolated", {"host": "hft-1", "state": "isolated"}),
    "it was closed": ("incident.closed", {"resolution": "resolved"}),
    "it was reopened": ("incident.reopened", {"reason": "not over"}),
}
#: And these change nothing of it, however often they come.
NOISE = [
    "run.started",
    "run.finished",
    "run.interrupted",
    "phase.entered",
    "task.finished",
    "task.retried",
    "gate.held",
    "approval.given",
    "gate.passed",
    "notice.sent",
    "venue.reported",
    "venue.watched",
    "open_orders.listed",
    "exposure.measured",
    "journal.torn_line",
    "trading_systems.probed",
    "trading_system.watched",
    "alarm.judged",
    "inverse.failed",
]
SAME_AGAIN: tuple[Line, ...] = (
    RECONCILED,
    ("kill.verified", {"venues": [{"name": "alpha", "verdict": "clear", "open_after": 0, "cancelled": 0}]}),
    ("strategies.stopped", {"trading_system": "hft-1", "ids": []}),
    REGISTERED,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
noise = st.tuples(st.sampled_from(NOISE), st.dictionaries(st.text(max_size=8), json_values, max_size=3))


def journal(lines: Iterable[Line]) -> list[Event]:
    events: list[Event] = []
    prev = GENESIS
    for seq, (kind, data) in enumerate(lines, 1):
        at = iso_utc(NOW - timedelta(minutes=20) + timedelta(seconds=seq))
        events.append(sealed(seq, at, "me@host", kind, data, prev))
        prev = events[-1].hash
    return events


def approval(
    events: Sequence[Event], person: str = "alice", key: str = "", moment: datetime = NOW, **changed: Any
) -> Given:
    """An approval of ``events`` as it is now, by a proven person; ``changed`` are fields of the statement."""
    statement = {**statement_of(INCIDENT, POLICY, events[-1], moment), **changed}
    return Given(events[-1].seq + 1, iso_utc(moment), statement, person, key or f"key of {person}", ("trading",), "")


def judged(events: Sequence[Event], *given: Given, policy: Policy = POLICY, now: datetime = NOW) -> Judgement:
    return judge(INCIDENT, policy, events, given, now)


# The policy -----------------------------------------------------------------------------------------------------------


def test_a_gate_is_read_with_its_defaults() -> None:
    gates = {"failover": {"people": 1, "groups": ["trading", "risk", "trading"]}}
    assert policy_of(gates, "failover") == Policy("failover", 1, ("trading", "risk"), 3600, "")


@pytest.mark.parametrize(
    ("gates", "words"),
    [
        ({}, "unknown gate 'g'; known: none"),
        ({"a": {}, "b": {}}, "known: a, b"),
        ({"g": None}, "not a mapping"),
        ({"g": {"people": 2, "groups": ["a"], "persons": 3}}, "unknown field 'persons'"),
        ({"g": {"people": 0, "groups": ["a"]}}, "people: must be a whole number, 1 or more"),
        ({"g": {"people": True, "groups": ["a"]}}, "people: must be"),
        ({"g": {"people": "2", "groups": ["a"]}}, "people: must be"),
        ({"g": {"groups": ["a"]}}, "people: must be"),
        ({"g": {"people": 2}}, "groups: say in which groups"),
        ({"g": {"people": 2, "groups": []}}, "groups: say"),
        ({"g": {"people": 2, "groups": "trading"}}, "groups: say"),
        ({"g": {"people": 2, "groups": ["*"]}}, "groups: say"),
        ({"g": {"people": 2, "groups": ["a"], "valid_for_s": 0}}, "valid_for_s: must be"),
        ({"g": {"people": 2, "groups": ["a"], "valid_for_s": None}}, "valid_for_s: must be"),
        ({"g": {"people": 2, "groups": ["a"], "question": 3}}, "question: not a text"),
        ({"g": {"people": 2, "groups": ["a"], "guards": "doors"}}, "guards: must be one of trading, hosts, decision"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(gates: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("*", r"\*")):
        policy_of(gates, "g")


def test_the_name_of_a_gate_cannot_hold_anything_strange() -> None:
    with pytest.raises(UsageError, match="small letters"):
        policy_of({"a b": {"people": 1, "groups": ["a"]}}, "a b")


# The statement --------------------------------------------------------------------------------------------------------


def test_a_statement_names_incident_gate_and_head_and_is_written_in_one_way() -> None:
    events = journal(STORY)
    said = to_bytes(statement_of(INCIDENT, POLICY, events[-1], NOW))
    assert said.endswith(b"}\n")
    assert json.loads(said) == {
        "purpose": "hft-incident approval",
        "incident": INCIDENT,
        "gate": "resume_trading",
        "head": {"seq": 6, "hash": events[-1].hash},
        "at": "2026-11-24T10:30:00.000000Z",
        "expires": "2026-11-24T11:30:00.000000Z",
    }
    assert to_bytes(json.loads(said)) == said, "it is the same after a trip through the journal"


# The basis ------------------------------------------------------------------------------------------------------------


@any_of(st.lists(noise | st.sampled_from(SAME_AGAIN), max_size=8))
def test_what_changes_nothing_outdates_nothing(lines: list[Line]) -> None:
    before = journal(STORY)
    given = approval(before)
    assert judged(journal([*STORY, *lines]), given).accepted == (given,)


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
@any_of(before=st.lists(noise, max_size=3), after=st.lists(noise, max_size=3))
def test_every_change_of_the_facts_outdates(change: Line, before: list[Line], after: list[Line]) -> None:
    given = approval(journal(STORY))
    found = judged(journal([*STORY, *before, change, *after]), given)
    assert found.accepted == ()
    assert found.refused[0].reason.startswith("outdated: changed since: ")


def test_every_kind_that_counts_has_a_test_here() -> None:
    tested = {kind for kind, _ in (*STORY, *CHANGES.values())}
    assert set(approvals._FACTS).union(*approvals._CLOSES.values()) <= tested
    assert not tested & set(NOISE)


def test_a_refusal_names_what_changed() -> None:
    given = approval(journal(STORY))
    found = judged(journal([*STORY, CHANGES["the books differ"], CHANGES["a kill was ordered"]]), given)
    assert found.refused[0].reason == "outdated: changed since: last closed, positions"


def test_a_break_that_was_mended_is_again_what_was_approved() -> None:
    given = approval(journal(STORY))
    assert judged(journal([*STORY, CHANGES["the books differ"], RECONCILED]), given).accepted == (given,)


def test_what_was_closed_and_opened_again_is_not_what_was_approved() -> None:
    given = approval(journal(STORY))
    opened = CHANGES["the latch was opened"]
    assert judged(journal([*STORY, opened, LATCH]), given).accepted == ()


def test_what_closes_is_told_from_what_only_proves_again() -> None:
    closing = {name for name, line in CHANGES.items() if is_closing(journal([line])[0])}
    assert closing == {
        "orders had to be cancelled again",
        "a system had to be stopped",
        "a kill was ordered",
        "more strategies were stopped",
        "the latch was closed again",
        "another host was closed",
        "an exchange was disabled",
        "it was closed",
        "it was reopened",
    }
    assert not any(map(is_closing, journal(SAME_AGAIN)))


def test_what_is_closed_is_another_thing_for_each_kind_of_gate() -> None:
    def closes(guards: str) -> set[str]:
        return {name for name, line in CHANGES.items() if is_closing(journal([line])[0], guards)}

    assert closes(approvals.HOSTS) == {"a host was isolated", "it was closed", "it was reopened"}
    assert closes(approvals.DECISION) == set()
    assert "a host was isolated" not in closes(approvals.TRADING)


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_decision_is_outdated_by_nothing_that_comes_to_light(change: Line) -> None:
    given = approval(journal(STORY))
    policy = POLICY._replace(guards=approvals.DECISION)
    found = judge(INCIDENT, policy, journal([*STORY, change]), [given], NOW, pressed=NOW)
    assert found.accepted == (given,)
    assert not judge(INCIDENT, POLICY, journal([*STORY, change]), [given], NOW).accepted


@any_of(
    st.sampled_from([*approvals._FACTS, *approvals._CLOSES[approvals.TRADING]]),
    st.dictionaries(st.text(), json_values, max_size=4),
)
def test_data_of_any_shape_has_a_basis(kind: str, data: dict[str, Any]) -> None:
    assert isinstance(basis(journal([OPENED, (kind, data)])), dict)


# The judgement --------------------------------------------------------------------------------------------------------

PEOPLE = ("alice", "Alice", "bob", "carol")
KEYS = ("k1", "k2", "k3")
anybody = st.builds(
    lambda person, key, groups, fault: approval(journal(STORY), person, key)._replace(groups=groups, fault=fault),
    st.sampled_from(PEOPLE),
    st.sampled_from(KEYS),
    st.sampled_from([("trading",), ("risk",), ("operations",), ()]),
    st.sampled_from(["", "", "", "the signature is damaged"]),
)


@any_of(st.lists(anybody, max_size=7), st.integers(1, 4))
def test_no_order_and_no_subset_passes_without_enough_different_people_and_keys(
    found: list[Given], people: int
) -> None:
    result = judged(journal(STORY), *found, policy=POLICY._replace(people=people))
    valid = [one for one in found if not one.fault and set(one.groups) & set(POLICY.groups)]
    persons = {one.person.casefold() for one in valid}
    keys = {one.fingerprint for one in valid}
    if result.missing == 0:
        assert min(len(persons), len(keys)) >= people
    assert len({one.person.casefold() for one in result.accepted}) == len(result.accepted)
    assert len({one.fingerprint for one in result.accepted}) == len(result.accepted)
    assert all(one in valid for one in result.accepted)
    assert result.missing == max(0, people - len(result.accepted))


@any_of(st.permutations([*PEOPLE, "dave"]), st.integers(1, 4))
def test_enough_different_people_pass_in_any_order(order: list[str], people: int) -> None:
    result = judged(
        journal(STORY), *(approval(journal(STORY), person) for person in order), policy=POLICY._replace(people=people)
    )
    assert (result.missing, len(result.accepted)) == (0, 4)  # Alice and alice are one


def test_one_person_with_two_keys_counts_once() -> None:
    found = judged(journal(STORY), approval(journal(STORY), key="k1"), approval(journal(STORY), key="k2"))
    assert (found.approved_by, found.missing) == (("alice",), 1)
    assert found.refused == (("alice", "has approved already, and counts once"),)


def test_two_people_with_one_key_count_once() -> None:
    found = judged(journal(STORY), approval(journal(STORY), key="k"), approval(journal(STORY), person="bob", key="k"))
    assert (found.approved_by, found.missing) == (("alice",), 1)
    assert found.refused == (("bob", "one key for several people"),)


LATER = NOW + timedelta(seconds=3600)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"incident": "inc-other"}, "it is for another incident, inc-other"),
        ({"gate": "failover"}, "it is for another gate, failover"),
        ({"purpose": "something else"}, "the statement is not one of ours"),
        ({"extra": 1}, "the statement is not one of ours"),
        ({"head": {"seq": True, "hash": "x"}}, "the statement is not one of ours"),
        ({"head": {"seq": 3}}, "the statement is not one of ours"),
        ({"head": "x"}, "the statement is not one of ours"),
        ({"head": {"seq": 3, "hash": GENESIS}}, "it was signed over another record than this one"),
        ({"head": {"seq": 0, "hash": GENESIS}}, "it was signed over another record than this one"),
        ({"head": {"seq": -1, "hash": GENESIS}}, "it was signed over another record than this one"),
        ({"at": "yesterday"}, "its times cannot be read"),
        ({"at": "2026-11-24T10:30:00.000000+00:00"}, "its times cannot be read"),
        ({"expires": ""}, "its times cannot be read"),
        ({"expires": iso_utc(LATER + timedelta(microseconds=1))}, "it would be valid for longer than 3600 s"),
        ({"expires": iso_utc(NOW - timedelta(seconds=1))}, "it expired at 2026-11-24T10:29:59.000000Z"),
        ({"at": iso_utc(NOW + timedelta(seconds=6))}, "it is dated in the future"),
    ],
)
def test_a_statement_that_says_something_else_is_refused(changed: dict[str, Any], reason: str) -> None:
    found = judged(journal(STORY), approval(journal(STORY), **changed))
    assert [refusal.reason for refusal in found.refused] == [reason]
    assert found.missing == 2


@pytest.mark.parametrize("statement", [None, [], "x", {}, 7])
def test_what_is_no_statement_at_all_is_refused(statement: Any) -> None:
    found = judged(journal(STORY), approval(journal(STORY))._replace(statement=statement))
    assert found.accepted == ()


def test_it_counts_until_it_expires_and_not_a_moment_longer() -> None:
    given = approval(journal(STORY))
    assert judged(journal(STORY), given, now=LATER).accepted == (given,)
    assert judged(journal(STORY), given, now=LATER + timedelta(microseconds=1)).accepted == ()


def test_a_longer_policy_of_the_past_does_not_stretch_an_approval() -> None:
    given = approval(journal(STORY))
    assert judged(journal(STORY), given, policy=POLICY._replace(valid_for_s=60)).accepted == ()


def test_it_cannot_be_postdated_by_whoever_records_it() -> None:
    tomorrow = NOW + timedelta(days=1)
    ahead = approval(journal(STORY), moment=tomorrow)._replace(at=iso_utc(NOW))
    assert judged(journal(STORY), ahead, now=tomorrow).refused[0].reason == "it is dated in the future"


def test_it_cannot_be_signed_over_a_line_that_comes_after_it() -> None:
    events = journal([*STORY, ("notice.sent", {"to": "desk"})])
    early = approval(events)._replace(seq=events[-1].seq)
    assert judged(events, early).refused[0].reason == "it was signed over another record than this one"


def test_the_wrong_group_is_named() -> None:
    found = judged(journal(STORY), approval(journal(STORY))._replace(groups=("operations",)))
    assert found.refused == (("alice", "is not in trading or risk"),)


def test_an_edited_record_is_another_one_though_its_chain_is_whole() -> None:
    given = [approval(journal(STORY), person) for person in ("alice", "bob")]
    edited = journal([OPENED, CLEAR, STOPPED, LATCH, REGISTERED, ("positions.reconciled", {"verdict": "reconciled"})])
    found = judged(edited, *given)
    assert found.missing == 2
    assert {refusal.reason for refusal in found.refused} == {"it was signed over another record than this one"}


def test_a_record_that_lost_its_signed_line_is_another_one() -> None:
    found = judged(journal(STORY[:-1]), approval(journal(STORY)))
    assert found.refused[0].reason == "it was signed over another record than this one"


def test_a_signature_of_nobody_is_refused_by_its_key() -> None:
    stranger = approval(journal(STORY))._replace(person="", fingerprint="SHA256:x", fault="nobody's")
    assert judged(journal(STORY), stranger).refused == (("SHA256:x", "nobody's"),)
    unproven = approval(journal(STORY))._replace(fingerprint="")
    assert judged(journal(STORY), unproven).accepted == ()
