# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``trading_limit``: compare-and-set, proven, undone; and a trading system that really sends smaller orders."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.claims import opened_by
from ansible_collections.hft.incident.plugins.module_utils.incident import ENV_DIR, Inverse
from ansible_collections.hft.incident.plugins.module_utils.steps import trading_limit

from ..people import GATE, Firm
from ..trading_system_process import trading_system
from ..venues_host import venue_host
from ..waiting import wait_until
from .stand_in import StandIn, stand_ins
from .steps import Ran, run


@pytest.fixture
def systems() -> Iterator[list[StandIn]]:
    with stand_ins("one", "two") as both:
        yield both


@pytest.fixture
def one(systems: list[StandIn]) -> StandIn:
    return systems[0]


def do(scale: object, *systems: StandIn, check: bool = False, **args: Any) -> Ran:
    given = {"trading_systems": [system.entry for system in systems], "scale_pct": scale, "timeout": 1}
    return run(trading_limit, check=check, **{**given, **args})


def scales(*systems: StandIn) -> list[Any]:
    return [system.config["limits"]["scale_pct"] for system in systems]


def test_a_limit_is_set_proven_recorded_and_undone_by_its_inverse(systems: list[StandIn]) -> None:
    done = do(10, *systems)
    assert (done.failed, done["changed"], scales(*systems)) == (False, True, [10, 10])
    assert systems[0].config["risk"] == {"max_position": "5"}
    assert done["diff"]["after"] == {"one": {"scale_pct": "10"}, "two": {"scale_pct": "10"}}
    assert done.recorded("trading_limit.changed") == [
        {"trading_system": name, "scale_pct": "10", "before_pct": "100"} for name in ("one", "two")
    ]
    for item in done["inverses"]:
        assert not run(trading_limit, **item["args"]).failed
    assert scales(*systems) == [100, 100]


def test_what_is_so_already_is_not_told_again(one: StandIn) -> None:
    do("12.5", one)
    one.seen.clear()
    done = do("12.50", one)
    assert (done["changed"], one.writes, done["inverses"], done["record"]) == (False, [], [], [])


def test_check_mode_predicts_and_writes_nothing(one: StandIn) -> None:
    predicted = do(10, one, check=True)
    assert (predicted["changed"], one.writes) == (True, [])
    real = do(10, one)
    assert (predicted["changed"], predicted["diff"]) == (real["changed"], real["diff"])
    assert "record" not in predicted.result


def test_what_is_to_stay_has_no_inverse(one: StandIn) -> None:
    done = do(50, one, undoable=False)
    assert (done["changed"], done["inverses"]) == (True, [])


def test_a_change_by_somebody_else_in_between_is_kept(one: StandIn) -> None:
    meddled: list[bool] = []

    def meddle() -> int | None:
        if not meddled:
            meddled.append(True)
            one.config["risk"] = {"max_position": "6"}
            return 412
        return None

    one.on["PUT /config"] = meddle
    done = do(10, one)
    assert (done.failed, scales(one), one.config["risk"]) == (False, [10], {"max_position": "6"})
    assert len(done["inverses"]) == 1


def test_the_precondition_is_really_sent(one: StandIn) -> None:
    do(10, one)
    assert one.conditions == ['"100"']


def test_somebody_who_never_stops_changing_it_makes_it_unproven(one: StandIn) -> None:
    one.on["PUT /config"] = lambda: 412
    done = do(10, one)
    assert (done.outcome, scales(one)) == ("unproven", [100])
    assert len(one.writes) >= trading_limit.ATTEMPTS


@pytest.mark.parametrize("spoiled", ["lost", "half", "html"])
def test_an_answer_that_is_lost_is_looked_for(one: StandIn, spoiled: str) -> None:
    one.on["PUT /config"] = lambda: spoiled
    done = do(10, one)
    assert (done.failed, done["changed"], len(done["inverses"])) == (False, True, 1)
    assert done["diff"]["before"] == {"one": {"scale_pct": "100"}}


@pytest.mark.parametrize("spoiled", ["hang", 500])
def test_what_does_not_come_about_is_unproven_and_can_be_undone(one: StandIn, spoiled: str | int) -> None:
    one.on["PUT /config"] = lambda: spoiled
    done = do(10, one)
    assert (done.outcome, done["changed"]) == ("unproven", True)
    one.on.clear()
    run(trading_limit, **done["inverses"][0]["args"])
    assert scales(one) == [100]


def test_one_that_lies_is_found(one: StandIn) -> None:
    one.config["frozen"] = True
    done = do(10, one)
    assert done.outcome == "unproven"
    assert "does not show" in done["msg"]


def test_one_that_does_not_answer_keeps_nobody_from_being_limited(systems: list[StandIn]) -> None:
    systems[0].on["GET /config"] = lambda: "hang"
    done = do(10, *systems)
    assert (done.outcome, scales(systems[1])) == ("unproven", [10])
    assert "one:" in done["msg"]


def test_one_without_such_a_limit_says_so(one: StandIn) -> None:
    del one.config["limits"]
    done = do(10, one)
    assert done.outcome == "unproven"
    assert "has no limits.scale_pct" in done["msg"]
    assert one.writes == []


@pytest.mark.parametrize("scale", [0, -1, 101, "NaN", "x", "1e9", "", "Infinity", "0.00001"])
def test_what_is_no_share_is_refused(one: StandIn, scale: object) -> None:
    done = do(scale, one)
    assert done.outcome == "usage"
    assert "scale_pct" in done["msg"]
    assert one.seen == []


def test_raising_needs_the_gate_and_lowering_does_not(
    one: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    firm = Firm(tmp_path)
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(firm.home))
    incident = firm.incident()
    monkeypatch.setenv(ENV_DIR, str(incident.directory))
    asked: dict[str, Any] = {"gate": GATE, "gates": firm.gates, "allowed_signers": str(firm.signers)}
    assert not do(10, one, **asked).failed
    held = do(50, one, **asked)
    assert (held.outcome, scales(one)) == ("held", [10])
    assert not do(50, one, check=True, **asked).failed
    for name in ("alice", "bob"):
        statement = firm.statement(incident)
        firm.record(incident, name, statement, firm.signature(name, statement))
    assert not do(50, one, **asked).failed
    assert scales(one) == [50]


def test_its_inverse_opens_the_limit_of_that_trading_system_and_nothing_else(one: StandIn) -> None:
    (item,) = do(10, one)["inverses"]
    inverse = Inverse("i1", "a task", "localhost", item["module"], item["args"], item["describe"])
    assert [str(thing) for thing in opened_by(inverse)] == ["order limit one"]


def test_a_trading_system_sends_orders_of_that_size(tmp_path: Path) -> None:
    exchanges = {"alpha": "binance", "beta": "okx"}
    with venue_host(exchanges) as host, trading_system(tmp_path, host, exchanges) as hft:
        for venue in host.venues.values():
            venue.exchange.feed_running = True
        entry = {"name": "hft-1", "url": f"http://127.0.0.1:{hft.port}"}

        def sizes() -> set[Decimal]:
            return {order.qty for venue in host.venues.values() for order in venue.exchange.open_orders()}

        wait_until(lambda: sizes() == {Decimal("0.01")})
        for scale, size in (("10", "0.001"), ("50", "0.005"), ("100", "0.01")):
            done = run(trading_limit, trading_systems=[entry], scale_pct=scale)
            assert not done.failed
            wait_until(partial(lambda wanted: sizes() == {wanted}, Decimal(size)))
        assert hft.get("/config")["limits"] == {"scale_pct": 100}
