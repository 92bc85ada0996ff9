# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Their fault or ours: one test a rule, and what must hold for any evidence at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.diagnosis import (
    RULES,
    SWITCHED_OFF,
    Check,
    Evidence,
    OtherVenues,
    TradingSystemView,
    diagnose,
)
from ansible_collections.hft.incident.plugins.module_utils.redaction import recordable

OK = Check("ok")
LOST = Check("failed")
UNTRIED = Check()
FINE = Evidence(
    dns=OK,
    tcp=OK,
    tls=OK,
    public_time=OK,
    authenticated_read=OK,
    clock_offset_ms=3,
    clock_window_ms=5000,
    market_data="fresh",
    trading_system=TradingSystemView(connected=True, enabled=True, last_market_data_age_s=0.2),
    others=OtherVenues(4, 4),
    status_page="online",
)
DOWN = TradingSystemView(connected=False, enabled=True, last_market_data_age_s=90)
STALE = TradingSystemView(connected=True, enabled=True, last_market_data_age_s=90)
OFF = TradingSystemView(connected=False, enabled=False, last_market_data_age_s=90)
ALONE = OtherVenues(0, 4)
SILENT = {"public_time": LOST, "authenticated_read": LOST}


def failed(kind: str) -> Check:
    return Check("failed", kind, f"what {kind} looks like")


CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("all is well", {}, "healthy", "fresh market data"),
    ("an entry of no use", {"public_time": failed("settings")}, "our_connection", "entry for this venue"),
    ("a key that cannot be read", {"authenticated_read": failed("settings")}, "our_key", "cannot be used here"),
    (
        "a key that cannot be read, and a venue that is down",
        {"authenticated_read": failed("settings"), "tcp": LOST, "public_time": LOST},
        "venue_down",
        "no connection",
    ),
    ("the IP is banned", {"public_time": failed("banned")}, "our_connection", "banned"),
    ("banned on the key only", {"authenticated_read": failed("banned")}, "our_connection", "banned"),
    ("too many requests", {"authenticated_read": failed("rate_limited")}, "our_connection", "limits our rate"),
    (
        "banned and rate limited",
        {"public_time": failed("rate_limited"), "authenticated_read": failed("banned")},
        "our_connection",
        "banned",
    ),
    ("timestamp refused", {"authenticated_read": failed("clock_skew")}, "our_connection", "timestamps"),
    (
        "key refused while the clocks are apart",
        {"authenticated_read": failed("auth"), "clock_offset_ms": -5001},
        "our_connection",
        "timestamps",
    ),
    ("key refused", {"authenticated_read": failed("auth"), "clock_offset_ms": 5000}, "our_key", "refuses our key"),
    ("key refused, clock unknown", {"authenticated_read": failed("auth"), "clock_offset_ms": None}, "our_key", "key"),
    ("their feed stopped", {"trading_system": STALE, "market_data": "stale"}, "venue_down", "feed stopped"),
    ("their feed stopped, we hung up", {"trading_system": DOWN, "market_data": "stale"}, "venue_down", "feed stopped"),
    (
        "switched off by us",
        {"trading_system": FINE.trading_system._replace(enabled=False)},
        "our_connection",
        "Nothing is wrong",
    ),
    ("switched off, and the connection lost", {"trading_system": OFF}, "our_connection", "not connected"),
    (
        "switched off, and the feed lost",
        {"trading_system": STALE._replace(enabled=False)},
        "our_connection",
        "data is old",
    ),
    (
        "switched off, and one trading system silent",
        {"trading_system": OFF._replace(connected=None, last_market_data_age_s=None)},
        "unknown",
        "missing",
    ),
    (
        "switched off, and clocks apart",
        {"trading_system": FINE.trading_system._replace(enabled=False), "clock_offset_ms": 5001},
        "our_connection",
        "further apart",
    ),
    ("switched off, and the venue down", {"trading_system": OFF, "tcp": LOST, **SILENT}, "venue_down", "no connection"),
    ("disconnected", {"trading_system": DOWN}, "our_connection", "not connected"),
    ("disconnected, ticker not read", {"trading_system": DOWN, "market_data": "unknown"}, "our_connection", "not conn"),
    ("stale here, fresh there", {"trading_system": STALE}, "our_connection", "data is old"),
    ("clocks apart though the key works", {"clock_offset_ms": 5001}, "our_connection", "further apart"),
    ("DNS is gone", {"dns": LOST, "tcp": UNTRIED, "tls": UNTRIED, **SILENT}, "venue_down", "does not resolve"),
    ("refuses connections", {"tcp": LOST, "tls": UNTRIED, **SILENT}, "venue_down", "takes no connection"),
    ("certificate expired", {"tls": LOST, **SILENT}, "venue_down", "TLS"),
    ("half of the others answer", {"tcp": LOST, **SILENT, "others": OtherVenues(1, 2)}, "venue_down", "no connection"),
    ("our DNS is gone", {"dns": LOST, **SILENT, "others": ALONE}, "our_connection", "our own network"),
    ("our line is cut", {"tcp": LOST, **SILENT, "others": OtherVenues(1, 4)}, "our_connection", "our own network"),
    (
        "our proxy eats everything",
        {"public_time": failed("malformed"), "authenticated_read": failed("malformed"), "others": ALONE},
        "our_connection",
        "our own network",
    ),
    ("nobody to compare with", {"tcp": LOST, **SILENT, "others": OtherVenues(0, 0)}, "unknown", "missing"),
    ("this address is blocked", {"public_time": failed("auth")}, "our_connection", "region is blocked"),
    ("maintenance page", {"public_time": failed("malformed")}, "venue_down", "no usable answers"),
    ("5xx", {"authenticated_read": failed("unknown_outcome")}, "venue_down", "no usable answers"),
    ("not now", {"authenticated_read": failed("unavailable")}, "venue_down", "no usable answers"),
    (
        "private side down, others too",
        {"authenticated_read": failed("unavailable"), "others": ALONE},
        "venue_down",
        "no usable answers",
    ),
    ("a timeout over a connection not proven", {"tcp": UNTRIED, "public_time": failed("unavailable")}, "unknown", ""),
    ("a kind nobody knows", {"authenticated_read": failed("surprise")}, "unknown", "contradicts"),
    ("nothing tried", Evidence()._asdict(), "unknown", "missing"),
    ("the trading system is silent", {"trading_system": TradingSystemView()}, "unknown", "missing"),
    ("their feed stopped, we switched off", {"trading_system": OFF, "market_data": "stale"}, "venue_down", "feed"),
    (
        "their feed stopped, our age not told",
        {"trading_system": DOWN._replace(last_market_data_age_s=None), "market_data": "stale"},
        "venue_down",
        "feed stopped",
    ),
    ("neither name nor connection", {"dns": LOST, "tcp": LOST, **SILENT}, "venue_down", "does not resolve"),
    (
        "TLS fails, nobody to compare with",
        {"tls": LOST, "public_time": failed("unavailable"), "others": OtherVenues()},
        "unknown",
        "missing",
    ),
    ("a kind left over from nothing tried", {"authenticated_read": Check("unknown", "banned")}, "unknown", "missing"),
    (
        "blocked, and the private side says nothing",
        {"public_time": failed("auth"), "authenticated_read": failed("unknown_outcome")},
        "our_connection",
        "blocked",
    ),
    ("old data and clocks apart", {"trading_system": STALE, "clock_offset_ms": 9999}, "our_connection", "data is old"),
    ("the ticker contradicts", {"market_data": "stale"}, "unknown", "contradicts"),
    ("DNS contradicts", {"dns": LOST}, "unknown", "contradicts"),
    ("the data comes from the future", {"trading_system": STALE._replace(last_market_data_age_s=-1)}, "unknown", ""),
]


@pytest.mark.parametrize(("changes", "verdict", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_each_situation_has_its_verdict_and_sentence(changes: dict[str, Any], verdict: str, words: str) -> None:
    result = diagnose(FINE._replace(**changes))
    assert result.verdict == verdict
    assert words in result.sentence
    assert result.because


@pytest.mark.parametrize("untried", ["public_time", "authenticated_read"])
@pytest.mark.parametrize(
    "changes",
    [
        {"trading_system": DOWN},
        {"trading_system": OFF},
        {"trading_system": STALE},
        {"trading_system": STALE, "market_data": "stale"},
        {"clock_offset_ms": 9999},
    ],
)
def test_the_trading_systems_word_decides_nothing_while_the_venue_is_not_proven(
    changes: dict[str, Any], untried: str
) -> None:
    assert diagnose(FINE._replace(**{**changes, untried: UNTRIED})).verdict == "unknown"


def test_every_rule_decides_at_least_one_situation() -> None:
    reached = {diagnose(FINE._replace(**changes)).sentence for _, changes, _, _ in CASES}
    assert {rule.sentence for rule in RULES} <= {sentence.removesuffix(f" {SWITCHED_OFF}") for sentence in reached}


def test_the_deciding_evidence_is_told_in_order_and_in_full() -> None:
    evidence = FINE._replace(
        authenticated_read=Check("failed", "auth", "-2015:\n  invalid key"), others=OtherVenues(3, 4)
    )
    assert diagnose(evidence).because == (
        "public time: ok",
        "clock: the venue's is +3 ms from ours, it tolerates 5000 ms",
        "authenticated read: failed auth (-2015: invalid key)",
    )
    down = diagnose(evidence._replace(public_time=failed("unavailable"), tls=LOST))
    assert down.because[-1] == "other venues: 3 of 4 answer from here"
    stale = diagnose(FINE._replace(trading_system=STALE, market_data="unknown"))
    assert stale.because[2:] == (
        "trading system: connected yes, enabled yes, market data 90 s old, limit 30 s",
        "market data read at the venue: not known",
    )


def test_an_undecided_case_shows_everything_but_the_status_page() -> None:
    result = diagnose(Evidence(status_page="maintenance"))
    assert len(result.because) == 9
    assert not any("status page" in line for line in result.because)
    assert result.supporting == ("status page: maintenance; it decides nothing",)


def test_the_limits_are_the_evidences_own() -> None:
    at_limit = FINE.trading_system._replace(last_market_data_age_s=30.0)
    assert diagnose(FINE._replace(trading_system=at_limit)).verdict == "healthy"
    assert diagnose(FINE._replace(trading_system=at_limit, stale_after_s=29.9)).verdict == "our_connection"
    assert diagnose(FINE._replace(clock_offset_ms=10**9, clock_window_ms=None)).verdict == "healthy"


# For any evidence -----------------------------------------------------------------------------------------------------

KINDS = [
    "",
    "auth",
    "clock_skew",
    "rate_limited",
    "banned",
    "unavailable",
    "rejected",
    "unknown_outcome",
    "malformed",
    "settings",
    "?",
]
checks = st.builds(Check, st.sampled_from(["ok", "failed", "unknown"]), st.sampled_from(KINDS), st.text(max_size=5))
maybe = st.sampled_from([True, False, None])
evidences = st.builds(
    Evidence,
    dns=checks,
    tcp=checks,
    tls=checks,
    public_time=checks,
    authenticated_read=checks,
    clock_offset_ms=st.none() | st.integers(),
    clock_window_ms=st.none() | st.integers(0, 60_000),
    market_data=st.sampled_from(["fresh", "stale", "unknown"]),
    trading_system=st.builds(TradingSystemView, maybe, maybe, st.none() | st.floats(), st.text(max_size=5)),
    stale_after_s=st.floats(),
    others=st.builds(OtherVenues, st.integers(0, 9), st.integers(0, 9)),
    status_page=st.sampled_from(["online", "maintenance", "unknown"]),
)

#: A healthy venue with any few things exchanged, since chance alone rarely makes one.
nearly_fine = st.builds(
    lambda other, fields: FINE._replace(**{field: getattr(other, field) for field in fields}),
    evidences,
    st.sets(st.sampled_from(Evidence._fields), max_size=3),
)


@settings(max_examples=500)
@given(evidences)
def test_any_evidence_has_one_verdict_with_reasons(evidence: Evidence) -> None:
    result = diagnose(evidence)
    assert result == diagnose(evidence)
    assert result.verdict in {"venue_down", "our_connection", "our_key", "healthy", "unknown"}
    assert result.because
    assert all("\n" not in line for line in result.because)
    reachable = evidence.public_time.state == "ok" and evidence.authenticated_read.state == "ok"
    assert result.venue_reachable is reachable
    json.dumps(recordable(result))


@settings(max_examples=500)
@given(evidences, st.sampled_from(["online", "maintenance", "unknown"]))
def test_the_status_page_changes_no_verdict(evidence: Evidence, page: Any) -> None:
    said = diagnose(evidence._replace(status_page=page))
    assert said._replace(supporting=()) == diagnose(evidence)._replace(supporting=())


@settings(max_examples=500)
@given(evidences | nearly_fine)
def test_our_own_switch_hides_nothing_that_is_wrong_and_is_always_told(evidence: Evidence) -> None:
    switched = {
        on: evidence._replace(trading_system=evidence.trading_system._replace(enabled=on)) for on in (True, False)
    }
    on, off = (diagnose(switched[on]) for on in (True, False))
    assert SWITCHED_OFF not in on.sentence
    assert off.sentence.endswith(SWITCHED_OFF)
    assert any("enabled no" in line for line in off.because)
    if on.verdict == "healthy":
        assert off.verdict == "our_connection"
    else:
        assert (off.verdict, off.sentence) == (on.verdict, f"{on.sentence} {SWITCHED_OFF}")


@pytest.mark.parametrize("state", ["failed", "unknown"])
@pytest.mark.parametrize("required", ["public_time", "authenticated_read"])
@given(kind=st.sampled_from(KINDS))
def test_healthy_needs_both_answers_of_the_venue(required: str, state: Any, kind: str) -> None:
    changes: dict[str, Any] = {required: Check(state, kind)}
    assert diagnose(FINE._replace(**changes)).verdict != "healthy"


@pytest.mark.parametrize(
    "view",
    [
        FINE.trading_system._replace(connected=None),
        FINE.trading_system._replace(connected=False),
        FINE.trading_system._replace(enabled=None),
        FINE.trading_system._replace(enabled=False),
        FINE.trading_system._replace(last_market_data_age_s=None),
        FINE.trading_system._replace(last_market_data_age_s=31),
        FINE.trading_system._replace(last_market_data_age_s=float("nan")),
        FINE.trading_system._replace(last_market_data_age_s=-0.001),
    ],
)
def test_healthy_needs_the_whole_view_of_the_trading_system(view: TradingSystemView) -> None:
    assert diagnose(FINE._replace(trading_system=view)).verdict != "healthy"


@settings(max_examples=500)
@given(nearly_fine)
def test_healthy_is_never_said_over_a_failure(evidence: Evidence) -> None:
    if diagnose(evidence).verdict == "healthy":
        assert "failed" not in {check.state for check in evidence[:5]}
        assert (evidence.public_time.state, evidence.authenticated_read.state) == ("ok", "ok")
        assert evidence.market_data != "stale"
        assert evidence.trading_system[:2] == (True, True)
        age = evidence.trading_system.last_market_data_age_s
        assert age is not None
        assert age <= evidence.stale_after_s


#: The venue refused it, or we could not even read it.
OUR_KEYS_FAULT = {("failed", "auth"), ("failed", "settings")}


@settings(max_examples=500)
@given(evidences)
def test_only_a_venue_that_answers_can_blame_our_key(evidence: Evidence) -> None:
    if diagnose(evidence).verdict == "our_key":
        assert evidence.public_time.state == "ok"
        assert (evidence.authenticated_read.state, evidence.authenticated_read.kind) in OUR_KEYS_FAULT


@given(st.sampled_from(["dns", "tcp", "tls"]), st.integers(0, 9), st.integers(1, 9))
def test_who_is_to_blame_for_a_dead_line_depends_on_the_other_venues(step: str, answering: int, tried: int) -> None:
    changes: dict[str, Any] = {step: LOST, **SILENT, "others": OtherVenues(answering, tried)}
    assert diagnose(FINE._replace(**changes)).verdict == ("venue_down" if 2 * answering >= tried else "our_connection")
