# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``exchange``: switched and proven, connected with patience and a budget."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.steps import exchange

from ..trading_system_process import trading_system
from ..venues_host import venue_host
from ..waiting import wait_until
from .stand_in import StandIn, stand_ins
from .steps import Ran, run

RECONNECT = "POST /exchanges/alpha/reconnect"


@pytest.fixture
def systems() -> Iterator[list[StandIn]]:
    with stand_ins("one", "two") as both:
        yield both


@pytest.fixture
def one(systems: list[StandIn]) -> StandIn:
    return systems[0]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that connecting would make, which it then need not."""
    made: list[float] = []
    monkeypatch.setattr(exchange, "time", SimpleNamespace(sleep=made.append))
    monkeypatch.setattr("random.uniform", lambda _low, high: high)
    return made


def do(state: str, *systems: StandIn, name: str = "alpha", check: bool = False, **args: Any) -> Ran:
    given = {"trading_systems": [system.entry for system in systems], "name": name, "state": state, "timeout": 1}
    return run(exchange, check=check, **{**given, **args})


def undo(done: Ran) -> list[Ran]:
    return [run(exchange, **item["args"]) for item in done.result["inverses"]]


# Enabled and disabled ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "before"), [("disabled", "enabled"), ("enabled", "disabled")])
def test_switching_is_proven_recorded_and_undone_by_its_inverse(one: StandIn, state: str, before: str) -> None:
    one.exchanges["alpha"]["enabled"] = before == "enabled"
    done = do(state, one)
    assert one.exchanges["alpha"]["enabled"] is (state == "enabled")
    assert one.exchanges["beta"]["enabled"] is True
    assert one.config["risk"] == {"max_position": "5"}
    assert done.result["changed"] is True
    assert done.result["diff"] == {"before": {"one": {"alpha": before}}, "after": {"one": {"alpha": state}}}
    assert done.result["record"] == [
        {
            "kind": "exchange.changed",
            "data": {"name": "alpha", "state": state, "trading_system": "one", "before": before},
        }
    ]
    (back,) = undo(done)
    assert one.exchanges["alpha"]["enabled"] is (before == "enabled")
    assert back.result["changed"] is True


@pytest.mark.parametrize("state", ["disabled", "enabled", "connected"])
def test_check_mode_predicts_and_writes_nothing(one: StandIn, state: str) -> None:
    one.exchanges["alpha"] |= {"enabled": state == "disabled", "connected": False}
    would = do(state, one, check=True).result
    assert one.writes == []
    assert "record" not in would
    assert "inverses" not in would
    really = do(state, one).result
    assert [would[field] for field in ("changed", "exchanges", "diff")] == [
        really[field] for field in ("changed", "exchanges", "diff")
    ]
    assert would["changed"] is True


@pytest.mark.parametrize("state", ["disabled", "enabled", "connected"])
def test_what_is_as_wanted_is_left_alone(one: StandIn, state: str) -> None:
    one.exchanges["alpha"] |= {"enabled": state == "disabled", "connected": False}
    do(state, one)
    writes = list(one.writes)
    again = do(state, one).result
    assert one.writes == writes
    assert again["changed"] is False
    assert again["inverses"] == again["record"] == []


@pytest.mark.parametrize("state", ["disabled", "enabled", "connected"])
@pytest.mark.parametrize("name", ["gamma", ""])
def test_an_exchange_that_nobody_knows_is_refused(systems: list[StandIn], state: str, name: str) -> None:
    done = do(state, *systems, name=name).result
    assert done["outcome"] == "usage"
    assert f"unknown exchange '{name}'; the trading systems have: alpha, beta" in done["msg"]
    assert [system.writes for system in systems] == [[], []]


@pytest.mark.parametrize("args", [{"attempts": 0}, {"delay": -1}, {"timeout": 0}])
def test_numbers_without_a_meaning_are_refused(one: StandIn, args: dict[str, Any]) -> None:
    assert do("connected", one, **args).result["outcome"] == "usage"


def test_without_a_trading_system_nothing_is_not_a_success() -> None:
    assert do("disabled").result["outcome"] == "usage"


def test_all_trading_systems_that_have_it_are_switched(systems: list[StandIn]) -> None:
    one, two = systems
    del two.exchanges["alpha"]
    done = do("disabled", one, two).result
    assert [row["trading_system"] for row in done["exchanges"]] == ["one"]
    assert two.writes == []


def test_a_trading_system_that_fails_is_named_and_stops_no_other(systems: list[StandIn]) -> None:
    one, two = systems
    one.on["PUT /config"] = lambda: 503
    done = do("disabled", one, two).result
    assert two.exchanges["alpha"]["enabled"] is False
    assert (done["failed"], done["outcome"]) == (True, "unproven")
    assert "one: PUT /api/v1/config: HTTP 503, not now" in done["msg"]
    assert "alpha is now disabled at two" in done["msg"]
    assert [line["data"]["trading_system"] for line in done["record"]] == ["two"]


def test_a_change_whose_answer_is_lost_is_proven_and_can_be_undone(one: StandIn) -> None:
    answers = iter(["lost"])
    one.on["PUT /config"] = lambda: next(answers, None)
    done = do("disabled", one)
    assert "failed" not in done.result
    assert done.result["changed"] is True
    undo(done)
    assert one.exchanges["alpha"]["enabled"] is True


def test_a_change_that_may_have_happened_can_be_undone_too(one: StandIn) -> None:
    one.on["GET /exchanges"] = lambda: 500 if one.writes else None
    done = do("disabled", one)
    assert done.result["outcome"] == "unproven"
    assert done.result["record"] == []
    one.on.clear()
    undo(done)
    assert one.exchanges["alpha"]["enabled"] is True


def test_a_trading_system_that_only_says_yes_is_not_believed(one: StandIn) -> None:
    one.on["GET /exchanges"] = lambda: one.exchanges["alpha"].update(enabled=True)
    done = do("disabled", one).result
    assert done["outcome"] == "unproven"
    assert "does not show it" in done["msg"]


@pytest.mark.parametrize("spoiled", ["html", "half", "lost", "hang", 500, 401])
def test_no_valid_answer_is_never_taken_for_nothing_to_do(one: StandIn, spoiled: str | int) -> None:
    one.on["GET /exchanges"] = lambda: spoiled
    done = do("disabled", one).result
    assert done["outcome"] == "unproven"
    assert "unknown exchange" not in done["msg"]
    assert one.writes == []


# Connected --------------------------------------------------------------------------------------------------------


def fails(one: StandIn, times: int, how: str | int | None = None) -> None:
    """The exchange is lost, and so many attempts to connect fail."""
    one.exchanges["alpha"]["connected"] = False

    def attempt() -> str | int | None:
        return how if one.writes.count(RECONNECT) <= times else None

    one.on[RECONNECT] = attempt


def test_connecting_pauses_longer_each_time_and_never_more_than_thirty_seconds(
    one: StandIn, pauses: list[float]
) -> None:
    fails(one, 7, 503)
    done = do("connected", one, attempts=8, delay=1)
    assert done.result["changed"] is True
    assert done.result["msg"] == "alpha is now connected at one"
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert [data["attempt"] for kind, data in done.notes] == [1, 2, 3, 4, 5, 6, 7]
    assert done.result["inverses"] == []
    assert done.result["record"][0]["data"]["before"] == "disconnected"


def test_connecting_leaves_the_exchange_closed_to_orders(one: StandIn) -> None:
    one.exchanges["alpha"] |= {"connected": False, "enabled": False}
    do("connected", one)
    assert one.exchanges["alpha"]["enabled"] is False
    assert one.writes == [RECONNECT]


def test_the_budget_of_attempts_is_kept(one: StandIn, pauses: list[float]) -> None:
    fails(one, 99, 503)
    done = do("connected", one, attempts=3).result
    assert one.writes == [RECONNECT] * 3
    assert len(pauses) == 2
    assert (done["outcome"], done["changed"]) == ("unproven", False)
    assert "alpha is not connected after 3 attempts: POST /api/v1/exchanges/alpha/reconnect: HTTP 503" in done["msg"]


@pytest.mark.usefixtures("pauses")
def test_a_connection_that_is_only_said_to_stand_is_not_believed(one: StandIn) -> None:
    one.on["GET /exchanges"] = lambda: one.exchanges["alpha"].update(connected=False)
    done = do("connected", one, attempts=2).result
    assert one.writes == [RECONNECT] * 2
    assert "it did not connect" in done["msg"]


@pytest.mark.parametrize("status", [418, 429])
@pytest.mark.parametrize("asked", [RECONNECT, "GET /exchanges"])
def test_a_limit_or_a_ban_ends_the_attempts_at_once_and_says_so(
    one: StandIn, pauses: list[float], status: int, asked: str
) -> None:
    one.exchanges["alpha"]["connected"] = False
    one.on[asked] = lambda: status
    done = do("connected", one, attempts=5).result
    assert one.seen.count(asked) == 1
    assert pauses == []
    assert done["outcome"] == "unproven"
    assert (
        f"stopped at attempt 1, more would prolong the limit: {asked.replace(' ', ' /api/v1')}: HTTP {status}"
        in done["msg"]
    )


def test_a_connect_whose_answer_is_lost_is_found_connected_and_not_repeated(one: StandIn, pauses: list[float]) -> None:
    fails(one, 1, "lost")
    done = do("connected", one).result
    assert one.writes == [RECONNECT]
    assert len(pauses) == 1
    assert done["changed"] is True


# The real one -----------------------------------------------------------------------------------------------------


def test_at_the_lab_a_disabled_exchange_gets_no_order_until_it_is_enabled_again(tmp_path: Path) -> None:
    with venue_host({"alpha": "binance"}) as host:
        venue = host.venues["alpha"]
        venue.exchange.feed_running = True
        with trading_system(tmp_path, host, {"alpha": "binance"}) as hft:
            wait_until(lambda: venue.exchange.open_orders())
            args: dict[str, Any] = {
                "trading_systems": [{"name": "hft-1", "url": f"http://127.0.0.1:{hft.port}"}],
                "name": "alpha",
            }
            done = run(exchange, **args, state="disabled")
            wait_until(lambda: not venue.exchange.open_orders())
            host.inject("alpha", kind="refuse")
            wait_until(lambda: not hft.get("/exchanges/alpha")["connected"])
            assert run(exchange, **args, state="connected", attempts=1).result["outcome"] == "unproven"
            host.clear("alpha")
            assert run(exchange, **args, state="connected", delay=0.1).result["changed"] is True
            assert hft.get("/exchanges/alpha")["enabled"] is False
            assert not venue.exchange.open_orders()
            undo(done)
            wait_until(lambda: venue.exchange.open_orders())
