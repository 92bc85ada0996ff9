# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What one incident keeps closed, another does not open: derived from the journals, taken over only on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.claims import (
    Thing,
    claim_of,
    conflicts,
    held_by,
    require_free,
    take_from,
)
from ansible_collections.hft.incident.plugins.module_utils.errors import HeldError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, open_incident, state_of
from ansible_collections.hft.incident.plugins.module_utils.intents import register
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from ansible_collections.hft.incident.plugins.module_utils.steps import inverse

Line = tuple[str, Mapping[str, Any]]
SYSTEM = [{"name": "hft-1", "url": "http://127.0.0.1:1"}]


def killed(*venues: str) -> Line:
    return "kill.verified", {"verdict": "clear", "venues": [{"name": name, "verdict": "clear"} for name in venues]}


def latch(state: str) -> Line:
    return "latch.changed", {"scope": "all", "name": None, "state": state, "host": "hft-1"}


def enable(name: str) -> dict[str, Any]:
    return inverse("exchange", {"trading_systems": SYSTEM, "name": name, "state": "enabled"}, f"enable {name}")


def start(*ids: str) -> dict[str, Any]:
    return inverse("strategy", {"trading_systems": SYSTEM, "ids": list(ids), "state": "started"}, f"start {ids}")


def opened(home: Path, *lines: Line, inverses: tuple[dict[str, Any], ...] = (), check: bool = False) -> Incident:
    made = open_incident("exchange_outage", home=home, check=check)
    made.journal.extend(lines)
    register(made, inverses, task="a task", host="localhost")
    return made


def test_a_venue_that_another_open_incident_killed_is_not_free(tmp_path: Path) -> None:
    mine = opened(tmp_path, killed("okx", "bybit"), inverses=(enable("okx"),))
    theirs = opened(tmp_path, killed("okx"))
    with pytest.raises(HeldError) as held:
        require_free(mine)
    owner = theirs.journal.events()[1]
    for words in (theirs.id, "venue okx", owner.actor, owner.at, f"resume {mine.id} --take-from {theirs.id}"):
        assert words in str(held.value)
    assert "bybit" not in str(held.value)


def test_what_nobody_else_holds_is_free(tmp_path: Path) -> None:
    mine = opened(tmp_path, killed("okx"), inverses=(enable("okx"),))
    opened(tmp_path, killed("bybit"), inverses=(enable("bybit"),))
    opened(tmp_path, killed("okx"), check=True)
    over = opened(tmp_path, killed("okx"), inverses=(enable("okx"),))
    over.journal.append("incident.closed", {"resolution": "resolved"})
    (tmp_path / "inc-20261123T100000Z-exchange_outage-1").mkdir()
    require_free(mine)


@pytest.mark.parametrize(
    ("mine", "theirs", "both"),
    [
        ([killed("okx")], [killed("okx")], ["venue okx"]),
        ([latch("closed")], [latch("closed")], ["host hft-1"]),
        ([("exchange.changed", {"name": "okx", "state": "disabled", "trading_system": "hft-1"})], [latch("closed")],
         ["host hft-1"]),
        ([("strategies.stopped", {"trading_system": "hft-1", "ids": ["mm"]})], [latch("closed")], ["host hft-1"]),
        ([("strategies.stopped", {"trading_system": "hft-1", "ids": ["mm"]})],
         [("strategies.stopped", {"trading_system": "hft-1", "ids": ["arb"]})], []),
        ([("strategies.stopped", {"trading_system": "hft-1", "ids": ["mm"]})],
         [("strategies.stopped", {"trading_system": "hft-2", "ids": ["mm"]})], []),
        ([killed("okx"), ("kill.ordered", {"venues": ["bybit"], "reason": "r"})], [killed("bybit")], ["venue bybit"]),
    ],
)  # fmt: skip
def test_things_overlap_where_opening_one_opens_the_other(
    tmp_path: Path, mine: list[Line], theirs: list[Line], both: list[str]
) -> None:
    one, other = opened(tmp_path, *mine), opened(tmp_path, *theirs)
    assert [str(thing) for claim in conflicts(one) for thing in claim.things] == both
    assert bool(conflicts(other)) == bool(both), "it stands in the way of both"


@pytest.mark.parametrize(
    "back",
    [
        ("exchange.changed", {"name": "okx", "state": "enabled", "trading_system": "hft-1"}),
        latch("open"),
    ],
)
def test_what_is_opened_again_is_given_back(tmp_path: Path, back: Line) -> None:
    made = opened(tmp_path, killed("okx"))
    assert held_by(made.journal.events())
    made.journal.append(*back)
    assert claim_of(made) is None


def test_an_inverse_is_a_claim_until_it_is_applied_and_one_that_closes_is_none(tmp_path: Path) -> None:
    release = inverse("killswitch", {"venues": [], "trading_systems": SYSTEM, "state": "released"}, "release")
    stop = inverse("strategy", {"trading_systems": SYSTEM, "ids": ["mm"], "state": "stopped"}, "stop mm")
    made = opened(tmp_path, inverses=(enable("okx"), start("mm", "arb"), release, stop))
    assert set(held_by(made.journal.events())) == {
        Thing("venue", "okx", "hft-1"), Thing("strategy", "mm", "hft-1"), Thing("strategy", "arb", "hft-1"),
        Thing("trading system", "hft-1"),
    }  # fmt: skip
    for item in state_of(made.journal.events()).inverses:
        made.journal.append("inverse.applied", {"id": item.id})
    assert claim_of(made) is None


def test_two_trading_systems_each_hold_their_own(tmp_path: Path) -> None:
    """The venue is opened at one of them; at the other it is still closed."""
    other = [{"name": "hft-2", "url": "http://127.0.0.1:2"}]
    second = inverse("exchange", {"trading_systems": other, "name": "okx", "state": "enabled"}, "enable okx there")
    made = opened(tmp_path, killed("okx"), inverses=(enable("okx"), second))
    (last, first) = state_of(made.journal.events()).inverses
    made.journal.append("inverse.applied", {"id": first.id})
    assert list(held_by(made.journal.events())) == [Thing("venue", "okx", "hft-2")]
    made.journal.append("inverse.applied", {"id": last.id})
    assert claim_of(made) is None


@pytest.mark.parametrize("how", ["altered", "unreadable"])
def test_a_record_that_cannot_be_believed_claims_everything(tmp_path: Path, how: str) -> None:
    mine = opened(tmp_path, killed("okx"))
    theirs = opened(tmp_path, killed("deribit"))
    theirs.journal.append("incident.closed", {"resolution": "resolved"})
    path = Path(theirs.journal.path)
    if how == "altered":
        path.write_text(path.read_text().replace("deribit", "bybit"))
    else:
        path.unlink()
        path.mkdir()
    with pytest.raises(HeldError, match=f"{theirs.id} may hold anything"):
        require_free(mine)
    if how == "altered":
        assert take_from(mine, theirs) == ()
        require_free(mine)
        path.write_text(path.read_text() + "one more line\n")
        with pytest.raises(HeldError):
            require_free(mine)


def test_taking_over_moves_what_both_hold_and_the_other_leaves_it_alone(tmp_path: Path) -> None:
    mine = opened(tmp_path, killed("okx"))
    theirs = opened(tmp_path, killed("okx", "bybit"), inverses=(enable("okx"), enable("bybit"), start("mm")))
    take_from(mine, theirs)
    require_free(mine)
    require_free(theirs)
    assert [item.describe for item in state_of(mine.journal.events()).inverses] == ["enable okx"]
    assert [item.describe for item in state_of(theirs.journal.events()).inverses] == ["start ('mm',)", "enable bybit"]
    assert set(held_by(theirs.journal.events())) == {
        Thing("venue", "bybit", ""), Thing("venue", "bybit", "hft-1"), Thing("strategy", "mm", "hft-1")
    }  # fmt: skip
    (given,) = [event.data for event in theirs.journal.events() if event.kind == "claims.given_up"]
    (taken,) = [event.data for event in mine.journal.events() if event.kind == "claims.taken_over"]
    assert (given["incident"], taken["incident"], given["things"]) == (mine.id, theirs.id, taken["things"])
    assert {verify(each.journal.path).state for each in (mine, theirs)} == {"intact"}
    with pytest.raises(UsageError, match="holds nothing"):
        take_from(mine, theirs)


def test_a_take_over_that_was_cut_short_is_mended_by_doing_it_again(tmp_path: Path) -> None:
    mine = opened(tmp_path, killed("okx"))
    theirs = opened(tmp_path, killed("okx"), inverses=(enable("okx"),))
    path = Path(theirs.journal.path)
    before = path.read_bytes()
    take_from(mine, theirs)
    path.write_bytes(before)  # killed before its last line
    take_from(mine, theirs)
    require_free(mine)
    assert len(state_of(mine.journal.events()).inverses) == 1
    assert claim_of(theirs) is None


def test_what_is_closed_again_after_a_take_over_is_a_claim_again(tmp_path: Path) -> None:
    mine = opened(tmp_path, killed("okx"))
    theirs = opened(tmp_path, killed("okx"))
    take_from(mine, theirs)
    theirs.journal.extend([killed("okx")])
    with pytest.raises(HeldError, match="venue okx"):
        require_free(mine)


def test_an_inverse_that_is_open_is_registered_once_whatever_the_order_of_its_fields(tmp_path: Path) -> None:
    made = opened(tmp_path)
    one = {"module": "hft.incident.exchange", "args": {"a": 1, "b": [{"x": 1, "y": 2}]}, "describe": "d"}
    same = {"module": "hft.incident.exchange", "args": {"b": [{"y": 2, "x": 1}], "a": 1}, "describe": "e"}
    (first,) = register(made, [one], task="t", host="localhost")
    (second,) = register(made, [same], task="t", host="localhost")
    (elsewhere,) = register(made, [same], task="t", host="hft-1")
    assert first["id"] == second["id"] != elsewhere["id"]
    made.journal.append("inverse.applied", {"id": first["id"]})
    (again,) = register(made, [one], task="t", host="localhost")
    assert again["id"] not in (first["id"], elsewhere["id"])


def test_where_nothing_can_be_written_the_inverse_comes_back_and_nothing_is_raised(tmp_path: Path) -> None:
    made = opened(tmp_path)
    path = Path(made.journal.path)
    path.unlink()
    path.mkdir()
    assert register(made, [enable("okx")], task="t", host="h") == [enable("okx")]
