# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Waiting for a venue and watching it, at a lab venue whose faults come and go between two looks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils import watching
from ansible_collections.hft.incident.plugins.module_utils.steps import venue_watch
from hft_incident.lab.venues.server import VenueServer

from ..venues_host import Host, venue_host
from .steps import Arguments, Ran, run, writes

DOWN = {"kind": "status", "status": 503}


@pytest.fixture
def host() -> Iterator[Host]:
    with venue_host({"alpha": "binance", "beta": "binance"}) as running:
        yield running


@pytest.fixture
def alpha(host: Host) -> VenueServer:
    return host.venues["alpha"]


@pytest.fixture
def watch(tmp_path: Path, host: Host) -> Callable[..., Ran]:
    """A quick watch of alpha; `when` says what happens as the watch says what it sees (a word of it → what to do)."""
    given = Arguments(tmp_path, host)

    def watched(*, check: bool = False, when: Mapping[str, Callable[[], None]] | None = None, **args: Any) -> Ran:
        def on_note(_kind: str, data: Mapping[str, Any]) -> None:
            for word, act in (when or {}).items():
                if word in data["verdict"]:
                    act()

        quick = {"wait_for": "reachable", "timeout": 30.0, "interval": 0.01, "look_timeout": 2.0}
        venues = [given.venue(name, "binance") for name in ("alpha", "beta")]
        return run(venue_watch, check=check, on_note=on_note, **{"venues": venues, "name": "alpha", **quick, **args})

    return watched


def verdicts(seen: Ran) -> list[str]:
    return [data["verdict"] for data in seen.noted("venue.watched")]


def looks(venue: VenueServer) -> int:
    """Each look asks the public clock once."""
    return sum(seen.op == "time" for seen in list(venue.seen))


def test_a_venue_that_answers_is_reachable_at_the_first_look(watch: Callable[..., Ran], alpha: VenueServer) -> None:
    seen = watch()
    assert (seen.failed, seen["changed"], seen["venue_reachable"], seen["held_s"]) == (False, False, True, 0)
    assert looks(alpha) == 1
    (told,) = seen.recorded("venue.diagnosed")
    assert told["name"] == "alpha"
    assert writes(alpha) == []


def test_it_waits_until_the_venue_is_back_and_says_what_it_sees_only_when_that_changes(
    watch: Callable[..., Ran], host: Host, alpha: VenueServer
) -> None:
    host.inject("alpha", **DOWN)

    def back_soon() -> None:
        host.clear("alpha")
        host.inject("alpha", **DOWN, op="time", remaining=3)

    seen = watch(when={"venue_down": back_soon})
    assert not seen.failed
    assert verdicts(seen) == ["venue_down", "unknown"]
    assert looks(alpha) == 5


def test_it_ends_as_not_proven_when_the_time_is_up(watch: Callable[..., Ran], host: Host) -> None:
    host.inject("alpha", **DOWN)
    seen = watch(timeout=0.1)
    assert seen.outcome == "unproven"
    assert "alpha is reachable" in seen["msg"]
    assert "no usable answers" in seen["msg"]


def test_no_time_to_wait_still_means_one_look(watch: Callable[..., Ran], host: Host, alpha: VenueServer) -> None:
    assert not watch(timeout=0).failed
    host.inject("alpha", **DOWN)
    assert watch(timeout=0).outcome == "unproven"
    assert looks(alpha) == 2


def test_a_time_shorter_than_the_interval_is_used_whole(watch: Callable[..., Ran], host: Host) -> None:
    """It was down at the first look and is back at the last one, which is taken when the time is up."""
    host.inject("alpha", **DOWN)
    seen = watch(timeout=1.0, interval=3600, when={"venue_down": lambda: host.clear("alpha")})
    assert not seen.failed


def test_healthy_is_more_than_reachable(watch: Callable[..., Ran]) -> None:
    """There is no trading system here that could say that it is connected."""
    assert watch(wait_for="healthy", timeout=0).outcome == "unproven"


# Holding --------------------------------------------------------------------------------------------------------------


def test_it_watches_for_as_long_as_it_has_to_stay_well(watch: Callable[..., Ran], alpha: VenueServer) -> None:
    seen = watch(hold=0.2)
    assert seen["held_s"] >= 0.2
    assert looks(alpha) > 2


def test_a_venue_that_goes_down_again_ends_the_watch_as_not_proven(watch: Callable[..., Ran], host: Host) -> None:
    seen = watch(hold=3600, when={"unknown": lambda: host.inject("alpha", **DOWN)})
    assert seen.outcome == "unproven"
    assert "of 3600 s" in seen["msg"]
    assert verdicts(seen) == ["unknown", "venue_down"]


def test_one_bad_look_alone_does_not_end_the_watch_nor_does_the_watch_end_on_one(
    watch: Callable[..., Ran], host: Host, alpha: VenueServer
) -> None:
    """The window is over with the second look, which is bad: a third one decides."""
    bad_looks: list[int] = []

    def fail_once() -> None:
        if not bad_looks:
            bad_looks.append(looks(alpha))
            host.inject("alpha", **DOWN, op="time", remaining=1)

    seen = watch(hold=0.05, interval=0.05, when={"unknown": fail_once})
    assert not seen.failed
    assert verdicts(seen)[:2] == ["unknown", "venue_down"]
    assert seen["venue_reachable"] is True


# The rest -------------------------------------------------------------------------------------------------------------


def test_a_venue_that_bans_us_is_asked_less_and_less_often(
    watch: Callable[..., Ran], host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(round(seconds))
        if len(pauses) == 5:
            host.clear("alpha")

    monkeypatch.setattr(watching, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    host.inject("alpha", kind="status", status=418)
    assert not watch(interval=5, timeout=3600).failed
    assert pauses == [10, 20, 40, 60, 60]


def test_check_mode_takes_one_look_and_waits_for_nothing(
    watch: Callable[..., Ran], host: Host, alpha: VenueServer
) -> None:
    host.inject("alpha", **DOWN)
    seen = watch(check=True, hold=3600)
    assert (seen.failed, seen["changed"], seen["verdict"]) == (False, False, "venue_down")
    assert "would wait until alpha is reachable" in seen["msg"]
    assert looks(alpha) == 1
    assert seen.notes == []
    assert "record" not in seen.result


@pytest.mark.parametrize(
    "wrong", [{"interval": 0}, {"look_timeout": 0}, {"timeout": -1}, {"hold": -1}, {"stale_after": 0}, {"name": "x"}]
)
@pytest.mark.parametrize("check", [False, True])
def test_arguments_that_mean_nothing_are_refused_before_anything_is_asked(
    watch: Callable[..., Ran], alpha: VenueServer, wrong: dict[str, Any], check: bool
) -> None:
    assert watch(check=check, **wrong).outcome == "usage"
    assert alpha.seen == []
