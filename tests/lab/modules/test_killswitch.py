# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The killswitch as a module, at real lab venues with a real trading system: each state with and without check mode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.steps import exchange, killswitch

from ..trading_system_process import TradingSystemProcess, trading_system
from ..venues_host import Host, venue_host
from ..waiting import wait_until
from .stand_in import stand_ins
from .steps import Arguments, Ran, run, seed, writes

EXCHANGES = {"alpha": "binance", "beta": "binance"}


@pytest.fixture
def host() -> Iterator[Host]:
    with venue_host(EXCHANGES) as running:
        yield running


@pytest.fixture
def held(tmp_path: Path, host: Host) -> Iterator[TradingSystemProcess]:
    """A trading system that is held from quoting, so that whatever writes at a venue is the module."""
    (tmp_path / "hold").touch()
    with trading_system(tmp_path, host, EXCHANGES) as system:
        wait_until(lambda: all(row["connected"] for row in system.get("/exchanges")["exchanges"]))
        yield system


@pytest.fixture
def given(tmp_path: Path, host: Host) -> Arguments:
    return Arguments(tmp_path, host)


def press(given: Arguments, *systems: TradingSystemProcess, check: bool = False, **args: Any) -> Ran:
    quick: dict[str, Any] = {
        "venues": [given.venue(name, driver) for name, driver in EXCHANGES.items()],
        "trading_systems": [given.system(system, f"hft-{n}") for n, system in enumerate(systems, 1)],
        "reason": "a test",
        "interval": 0.02,
        "timeout": 8.0,
    }
    return run(killswitch, check=check, **{**quick, **args})


def open_at(host: Host) -> dict[str, int]:
    """The truth."""
    return {name: len(venue.exchange.open_orders()) for name, venue in host.venues.items()}


def killed(hft: TradingSystemProcess) -> bool:
    return bool(hft.get("/killswitch")["active"])


def enabled(hft: TradingSystemProcess) -> dict[str, bool]:
    return {row["name"]: row["enabled"] for row in hft.get("/exchanges")["exchanges"]}


# Active ---------------------------------------------------------------------------------------------------------------


def test_everything_everywhere_is_cancelled_proven_and_recorded(
    given: Arguments, host: Host, held: TradingSystemProcess
) -> None:
    before = {name: seed(venue) for name, venue in host.venues.items()}
    done = press(given, held)
    assert open_at(host) == {"alpha": 0, "beta": 0}
    assert killed(held)
    assert (done["changed"], done.failed, done["kill"]["verdict"]) == (True, False, "clear")
    assert done["diff"] == {
        "before": {name: {"open_orders": count} for name, count in before.items()},
        "after": {"alpha": {"open_orders": 0}, "beta": {"open_orders": 0}},
    }
    assert done.recorded("kill.verified") == [done["kill"]]
    assert {data["name"] for data in done.noted("venue.reported")} == {"alpha", "beta", "hft-1"}


def test_check_mode_lists_what_it_would_cancel_and_sends_nothing_that_writes(
    given: Arguments, host: Host, held: TradingSystemProcess
) -> None:
    before = {name: seed(venue) for name, venue in host.venues.items()}
    log = held.log_file.read_text()
    would = press(given, held, check=True)
    assert open_at(host) == before
    assert [writes(venue) for venue in host.venues.values()] == [[], []]
    assert not killed(held)
    assert "killswitch" not in held.log_file.read_text().removeprefix(log)
    assert would["changed"] is True
    assert f"alpha: {before['alpha']} would be cancelled" in would["msg"]
    assert not {"record", "inverses"} & set(would.result)
    done = press(given, held)
    assert (would["changed"], would["diff"]) == (done["changed"], done["diff"])


@pytest.mark.parametrize("check", [False, True])
def test_a_second_run_finds_nothing_to_do(
    given: Arguments, host: Host, held: TradingSystemProcess, check: bool
) -> None:
    seed(host.venues["alpha"])
    press(given, held)
    for venue in host.venues.values():
        venue.seen.clear()
    again = press(given, held, check=check)
    assert (again["changed"], again.failed) == (False, False)
    assert again["diff"]["before"] == again["diff"]["after"]
    assert again.result.get("inverses", []) == []
    assert [writes(venue) for venue in host.venues.values()] == [[], []]


def test_a_trading_system_that_is_still_quoting_ends_with_nothing_open(
    tmp_path: Path, given: Arguments, host: Host
) -> None:
    for venue in host.venues.values():
        venue.exchange.feed_running = True
    with trading_system(tmp_path, host, EXCHANGES) as quoting:
        wait_until(lambda: all(open_at(host).values()))
        done = press(given, quoting)
        assert done["kill"]["verdict"] == "clear"
        assert open_at(host) == {"alpha": 0, "beta": 0}


def test_the_inverse_releases_the_trading_system_again(given: Arguments, held: TradingSystemProcess) -> None:
    (inverse,) = press(given, held)["inverses"]
    assert (inverse["module"], inverse["describe"]) == ("hft.incident.killswitch", "release the killswitch of hft-1")
    undone = run(killswitch, **inverse["args"])
    assert undone["changed"] is True
    assert not killed(held)


# Scoped ---------------------------------------------------------------------------------------------------------------


def test_a_scoped_kill_closes_that_exchange_and_leaves_the_others_trading(
    given: Arguments, host: Host, held: TradingSystemProcess
) -> None:
    seed(host.venues["alpha"])
    elsewhere = seed(host.venues["beta"])
    done = press(given, held, only=["alpha"])
    assert open_at(host) == {"alpha": 0, "beta": elsewhere}
    assert enabled(held) == {"alpha": False, "beta": True}
    assert not killed(held)
    (inverse,) = done["inverses"]
    assert (inverse["module"], inverse["describe"]) == ("hft.incident.exchange", "enable alpha at hft-1")
    assert run(exchange, **inverse["args"])["changed"] is True
    assert enabled(held) == {"alpha": True, "beta": True}


def test_a_scoped_check_changes_nothing_and_predicts(given: Arguments, held: TradingSystemProcess) -> None:
    would = press(given, held, only=["alpha"], check=True)
    assert enabled(held) == {"alpha": True, "beta": True}
    done = press(given, held, only=["alpha"])
    assert (would["changed"], done["changed"]) == (True, True)
    assert press(given, held, only=["alpha"], check=True)["changed"] is False


# Not proven -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("require_clear", [True, False])
def test_a_venue_that_is_not_proven_clear_fails_the_task_only_where_it_has_to_be(
    given: Arguments, host: Host, require_clear: bool
) -> None:
    host.inject("alpha", kind="html")
    done = press(given, timeout=1.0, require_clear=require_clear)
    assert done.failed is require_clear
    assert done.outcome == ("unproven" if require_clear else "done")
    assert done["msg"].startswith("NOT PROVEN SAFE: alpha is unknown")
    assert {venue["name"]: venue["verdict"] for venue in done["kill"]["venues"]} == {
        "alpha": "unknown",
        "beta": "clear",
    }
    assert done.recorded("kill.verified") == [done["kill"]]


def test_what_was_closed_is_undoable_also_where_the_venue_is_not_proven(
    given: Arguments, host: Host, held: TradingSystemProcess
) -> None:
    host.inject("alpha", kind="hang")
    done = press(given, held, only=["alpha"], timeout=1.0)
    assert done.outcome == "unproven"
    assert [inverse["describe"] for inverse in done["inverses"]] == ["enable alpha at hft-1"]


# Released -------------------------------------------------------------------------------------------------------------


def release(given: Arguments, hft: TradingSystemProcess, *, check: bool = False) -> Ran:
    return run(killswitch, check=check, venues=[], trading_systems=[given.system(hft)], state="released")


def test_released_opens_the_trading_system_touches_no_venue_and_is_done_once(
    given: Arguments, host: Host, held: TradingSystemProcess
) -> None:
    press(given, held)
    for venue in host.venues.values():
        venue.seen.clear()
    would = release(given, held, check=True)
    assert killed(held)
    done = release(given, held)
    assert not killed(held)
    assert (
        (would["changed"], would["diff"])
        == (done["changed"], done["diff"])
        == (
            True,
            {"before": {"hft-1": "active"}, "after": {"hft-1": "released"}},
        )
    )
    assert [release(given, held, check=check)["changed"] for check in (True, False)] == [False, False]
    assert [writes(venue) for venue in host.venues.values()] == [[], []]


def test_a_trading_system_that_cannot_be_released_is_not_proven(given: Arguments, held: TradingSystemProcess) -> None:
    press(given, held)
    held.kill_dash_nine()
    done = release(given, held)
    assert done.outcome == "unproven"
    assert "hft-1" in done["msg"]


# Wrong usage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"confirm": 0}, "confirm"),
        ({"interval": -1}, "interval"),
        ({"timeout": 0}, "timeout"),
        ({"venues": []}, "nothing to kill"),
        ({"only": ["nosuch"]}, "alpha, beta"),
        ({"reason": None}, "reason"),
        ({"reason": ""}, "reason"),
        ({"state": "paused"}, "state"),
        ({"confirm": "many"}, "confirm"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_wrong_usage_is_refused_before_anything_is_sent(
    given: Arguments, host: Host, wrong: dict[str, Any], words: str, check: bool
) -> None:
    done = press(given, check=check, **wrong)
    assert done.outcome == "usage"
    assert words in done["msg"]
    assert not any(venue.seen for venue in host.venues.values())


def test_a_broken_entry_never_delays_the_others(given: Arguments, host: Host) -> None:
    seed(host.venues["beta"])
    alpha = given.venue("alpha", "binance", api_key="env:HFT_TEST_NO_SUCH_KEY")
    done = press(given, venues=[alpha, given.venue("beta", "binance")])
    verdicts = {venue["name"]: (venue["verdict"], venue["error"]) for venue in done["kill"]["venues"]}
    assert verdicts["beta"] == ("clear", None)
    assert verdicts["alpha"] == ("unknown", "api_key: environment variable HFT_TEST_NO_SUCH_KEY is not set")


def test_a_trading_system_that_shows_nothing_is_still_told_to_stop(given: Arguments, host: Host) -> None:
    """Looking at it first is for the inverse only: a look that hangs must not hold the stop up, nor undo what it cannot
    know."""
    with stand_ins("hft-1") as (system,):
        system.on["GET /exchanges"] = lambda: "hang"
        ran = press(given, only=["alpha"], trading_systems=[system.entry], require_clear=False)
        assert not system.exchanges["alpha"]["enabled"]
    assert ran.result["inverses"] == []


def test_what_was_closed_stays_undoable_when_a_later_request_fails(given: Arguments, host: Host) -> None:
    with stand_ins("hft-1") as (system,):
        answers = iter(["lost", None, None])
        system.on["PUT /config"] = lambda: next(answers)
        ran = press(given, only=["alpha"], trading_systems=[system.entry], require_clear=False)
        assert not system.exchanges["alpha"]["enabled"]
    assert [inverse["describe"] for inverse in ran.result["inverses"]] == ["enable alpha at hft-1"]
