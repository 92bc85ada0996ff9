# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What happened to a trading system between two answers: the rule of restarts and modes."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.health_probe import (
    RESOLUTION_S,
    Probe,
    Sighting,
    Verdict,
    changes,
)

moments = st.floats(0, 1e6)
short = st.floats(0, 30)


def sighting(uptime_s: float | None, asked_at: float = 0.0, told_at: float = 0.0, mode: str = "live") -> Sighting:
    verdict: Verdict = "unknown" if uptime_s is None else "answering"
    return Sighting(Probe("hft-1", verdict, "ok", mode, uptime_s, "1"), asked_at, told_at)


def seen(born: float, asked_at: float, after: float, whole: bool, rest: float = 0.0) -> Sighting:
    """What a process born then answers, ``after`` seconds after it was asked; some tell whole seconds only."""
    uptime = asked_at + after - born
    return sighting(float(int(uptime)) if whole else uptime, asked_at, asked_at + after + rest)


@given(moments, short, short, short, short, short, short, st.booleans())
def test_a_process_that_runs_on_never_restarted(
    born: float, age: float, first: float, rest: float, pause: float, second: float, last: float, whole: bool
) -> None:
    before = seen(born, born + age, first, whole, rest)
    now = seen(born, before.told_at + pause, second, whole, last)
    assert changes(before, now) == []


@given(moments, short, short, short, short, st.floats(0, 1e5), st.floats(0, 1), short)
def test_a_process_that_was_born_between_two_answers_restarted(
    born: float, age: float, first: float, rest: float, pause: float, more: float, share: float, second: float
) -> None:
    """However long after it we look: unless the first had lived for less than an uptime can tell."""
    before = seen(born, born + age, first, False, rest)
    asked_at = before.told_at + pause + more
    answered_at = before.asked_at + first
    reborn = answered_at + share * (asked_at - answered_at)
    now = seen(reborn, asked_at, second, False)
    assume((before.seen.uptime_s or 0) > RESOLUTION_S + rest + second + 1e-6)
    (told,) = changes(before, now)
    assert told.startswith("restarted, up for ")


def test_a_restart_between_two_looks_far_apart_is_seen_although_the_uptime_is_longer_than_before() -> None:
    assert changes(sighting(5.0, 0, 0), sighting(50.0, 60, 60)) == ["restarted, up for 50 s after 5 s"]
    assert changes(sighting(5.0, 0, 0), sighting(64.0, 60, 60)) == []


def test_another_mode_is_a_change_with_and_without_a_restart() -> None:
    assert changes(sighting(5.0), sighting(5.0, mode="observe")) == ["its mode was live, is observe"]
    assert len(changes(sighting(5.0), sighting(0.0, mode="observe"))) == 2


def test_without_two_answers_there_is_nothing_to_compare() -> None:
    assert changes(sighting(None), sighting(5.0, mode="observe")) == []
    assert changes(sighting(5.0), sighting(None, mode="observe")) == []


def test_an_uptime_that_goes_back_a_little_is_a_restart_all_the_same() -> None:
    assert changes(sighting(0.9), sighting(0.1)) == ["restarted, up for 0 s after 1 s"]
