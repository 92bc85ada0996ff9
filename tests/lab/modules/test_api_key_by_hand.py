# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``api_key`` where a person makes the keys: what they are told, and what is believed of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hft.incident.plugins.module_utils.api_keys.entries import (
    label_of,
)
from ansible_collections.hft.incident.plugins.module_utils.secret_stores.api import (
    ABSENT,
    NEXT,
    PREVIOUS,
    Stored,
    StoreError,
)
from ansible_collections.hft.incident.plugins.module_utils.secret_stores.file_tree import FileTree
from ansible_collections.hft.incident.plugins.module_utils.venues.accounts.api import ApiKey
from ansible_collections.hft.incident.plugins.module_utils.venues.accounts.bybit import BybitAccount

from ..accounts_host import made_key
from ..venues_host import venue_host
from .api_key_stage import HERE, ROTATION, VENUES, Stage, key_name, row, stored


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with venue_host({name: name for name in VENUES}) as host:
        yield Stage(tmp_path, host)


@pytest.fixture
def by_hand(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Bybit as a venue that only tells a key's own rights."""
    monkeypatch.setattr(BybitAccount, "manages_keys", False)
    for name in ("keys", "create_key", "delete_key"):
        monkeypatch.delattr(BybitAccount, name)
    return stage


def put(
    stage: Stage, permissions: tuple[str, ...] = ("read", "trade"), ips: list[str] = HERE, seen_by: str = ""
) -> str:
    """What a person makes on the website, and ``hft-incident key put`` stores."""
    key = made_key(stage.server("bybit"), permissions, ips)
    found = stage.store.read(f"bybit.trading{NEXT}")
    given = stored(key)._replace(seen_by=seen_by)
    stage.store.write(f"bybit.trading{NEXT}", given, found.version if found else ABSENT)
    return key.id


def test_by_hand_what_no_api_tells_counts_by_a_persons_word_only(
    by_hand: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = BybitAccount.own_key

    def without_addresses(account: BybitAccount) -> ApiKey:
        return told(account)._replace(ip_allow_list=None)

    monkeypatch.setattr(BybitAccount, "own_key", without_addresses)
    stage = by_hand
    put(stage)
    seen = stage.play(only=["bybit"])
    assert (seen.outcome, "nobody has said from where" in seen["msg"]) == ("held", True)
    assert any("--seen-by YOU" in step for step in seen["by_hand"][key_name("bybit")])
    assert stage.current("bybit").id == stage.old["bybit"]

    put(stage, ("read", "trade", "withdraw"), seen_by="dave@firm.example")
    seen = stage.play(only=["bybit"])
    assert (seen.outcome, "may do more than it should: withdraw" in seen["msg"]) == ("failed", True)

    new = put(stage, seen_by="dave@firm.example")
    stage.server("bybit").exchange.keys.pop(stage.old["bybit"])
    seen = stage.play(only=["bybit"])
    assert (seen.outcome, stage.current("bybit").id) == ("done", new)
    assert "bybit does not tell from where: dave@firm.example has seen it on the website" in seen["msg"]
    (verified,) = seen.noted("api_key.verified")[-1:]
    assert (verified["untold"], verified["seen_by"]) == ("from where", "dave@firm.example")
    assert stage.play(state="present", only=["bybit"]).outcome == "done"
    stage.store.write("bybit.trading", stage.current("bybit")._replace(seen_by=""), stage.current("bybit").version)
    assert stage.play(state="present", only=["bybit"]).outcome == "unproven"


def test_by_hand_planned_a_person_is_told_every_step_and_nothing_is_believed(by_hand: Stage) -> None:
    stage = by_hand
    seen = stage.play()
    assert (seen.outcome, row(seen, "bybit")["verdict"], row(seen, "okx")["verdict"]) == ("held", "held", "rotated")
    assert row(seen, "bybit")["working_keys"] == 1
    steps = seen["by_hand"][key_name("bybit")]
    assert any(label_of(key_name("bybit"), ROTATION) in step and "read, trade" in step for step in steps)
    assert steps[-2] == f"Put it into the store: hft-incident key put {key_name('bybit')} --seen-by YOU"
    assert stage.play()["changed"] is False

    wide = put(stage, ("read", "trade", "withdraw"))
    seen = stage.play()
    assert (seen.outcome, "may do more than it should: withdraw" in seen["msg"]) == ("failed", True)
    assert stage.current("bybit").id == stage.old["bybit"]

    stage.server("bybit").exchange.keys.pop(wide)
    seen = stage.play()
    assert (seen.outcome, "does not take the key that was put" in seen["msg"]) == ("held", True)

    new = put(stage)
    seen = stage.play()
    assert (seen.outcome, "THE OLD KEY STILL WORKS" in seen["msg"]) == ("held", True)
    assert any(stage.old["bybit"] in step for step in seen["by_hand"][key_name("bybit")])
    assert (stage.current("bybit").id, row(seen, "bybit")["working_keys"]) == (new, 2)
    assert stage.play().outcome == "held"

    stage.server("bybit").exchange.keys.pop(stage.old["bybit"])
    seen = stage.play()
    assert (seen.outcome, row(seen, "bybit")["verdict"], row(seen, "bybit")["working_keys"]) == ("done", "rotated", 1)
    assert stage.store.read(f"bybit.trading{PREVIOUS}") is None
    assert stage.play()["changed"] is False


def test_by_hand_in_a_breach_the_old_key_dies_first(by_hand: Stage) -> None:
    stage = by_hand
    seen = stage.play(breach=True, only=["bybit"])
    assert (seen.outcome, "THE OLD KEY STILL WORKS" in seen["msg"]) == ("held", True)
    steps = " ".join(seen["by_hand"][key_name("bybit")])
    assert stage.old["bybit"] in steps  # to be deleted
    assert label_of(key_name("bybit"), ROTATION) in steps  # to be made in its place, in one visit
    new = put(stage)
    assert stage.play(breach=True, only=["bybit"]).outcome == "held"
    assert stage.current("bybit").id == stage.old["bybit"]
    stage.server("bybit").exchange.keys.pop(stage.old["bybit"])
    seen = stage.play(breach=True, only=["bybit"])
    assert (seen.outcome, stage.current("bybit").id) == ("done", new)


def test_by_hand_the_old_key_put_again_is_no_new_one(by_hand: Stage) -> None:
    stage = by_hand
    stage.store.write(f"bybit.trading{NEXT}", stage.current("bybit")._replace(version=ABSENT), ABSENT)
    seen = stage.play(only=["bybit"])
    assert (seen.outcome, "the key that was put is not a new one" in seen["msg"]) == ("held", True)
    assert stage.store.read(f"bybit.trading{NEXT}") is None


def test_by_hand_nothing_takes_away_what_a_person_put(by_hand: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store fails right where the key is put in its place."""
    stage = by_hand
    new = put(stage)
    write = FileTree.write

    def full(self: FileTree, slot: str, what: Stored, expected: str) -> str:
        if slot == "bybit.trading":
            raise StoreError("no space left")
        return write(self, slot, what, expected)

    monkeypatch.setattr(FileTree, "write", full)
    assert stage.play(only=["bybit"]).outcome == "failed"
    assert (kept := stage.store.read(f"bybit.trading{NEXT}")) is not None
    assert kept.id == new


def test_by_hand_at_a_venue_that_truly_has_no_api(tmp_path: Path) -> None:
    with venue_host({"kraken": "kraken"}) as host:
        stage = Stage(tmp_path, host, ["kraken"])
        seen = stage.play(breach=True)
        assert (seen.outcome, "THE OLD KEY STILL WORKS" in seen["msg"]) == ("held", True)
        server = stage.server("kraken")
        new = made_key(server, ("read", "trade"), HERE)
        stage.store.write(f"kraken.trading{NEXT}", stored(new), ABSENT)
        server.exchange.keys.pop(stage.old["kraken"])
        seen = stage.play(breach=True)
        assert (seen.outcome, stage.alive("kraken")) == ("done", {new.id}), seen["msg"]
        assert stage.current("kraken").id == new.id
