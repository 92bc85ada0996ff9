# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``api_key`` against the lab's venues and a trading system: the order of things, and all that can go wrong.

That it may be killed anywhere is shown by test_rotation_killed.py; the rules alone by test_rotation_plan.py.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.unit.kv2_server import TOKEN, kv2_server

from ansible_collections.hft.incident.plugins.module_utils.api_keys import plan
from ansible_collections.hft.incident.plugins.module_utils.api_keys.entries import (
    fingerprint,
    key_entries,
    label_of,
    label_prefix,
)
from ansible_collections.hft.incident.plugins.module_utils.deadline import Deadline
from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.secret_stores import open_store
from ansible_collections.hft.incident.plugins.module_utils.secret_stores.api import (
    ABSENT,
    NEXT,
    PREVIOUS,
)
from ansible_collections.hft.incident.plugins.module_utils.trading_system import TradingSystem
from ansible_collections.hft.incident.plugins.module_utils.venues.accounts.bybit import BybitAccount
from ansible_collections.hft.incident.plugins.module_utils.venues.accounts.deribit import DeribitAccount
from ansible_collections.hft.incident.plugins.module_utils.venues.errors import (
    AuthError,
    ClockSkew,
    Rejected,
    UnknownOutcome,
    VenueError,
)

from ..accounts_host import made_key
from ..trading_system_process import trading_system
from ..venues_host import venue_host
from .api_key_stage import BREACH, HERE, PLANNED, ROTATION, VENUES, Stage, key_name, row, stored
from .steps import Ran, writes


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with venue_host({name: name for name in VENUES}) as host:
        yield Stage(tmp_path, host)


# The order of things --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("breach", [False, True])
def test_all_keys_are_replaced_and_a_second_run_changes_nothing(stage: Stage, breach: bool) -> None:
    foreseen = stage.play(check=True, breach=breach)
    assert not any(writes(stage.server(name)) for name in VENUES)
    seen = stage.play(breach=breach)
    assert (seen.outcome, seen["changed"]) == ("done", True)
    for name in VENUES:
        done, ahead = row(seen, name), row(foreseen, name)
        assert done["steps"] == ahead["steps"] == [s for s in (BREACH if breach else PLANNED) if s != "load"]
        assert (done["verdict"], done["working_keys"], done["before"]) == ("rotated", 1, fingerprint(stage.old[name]))
        assert stage.alive(name) == {stage.current(name).id} != {stage.old[name]}
        key = stage.server(name).exchange.keys[stage.current(name).id]
        assert (set(key.permissions), list(key.ips), key.label) == (
            {"read", "trade"}, HERE, label_of(key_name(name), ROTATION),
        )  # fmt: skip
        assert stage.store.read(f"{name}.trading{NEXT}") is stage.store.read(f"{name}.trading{PREVIOUS}") is None
    assert seen["diff"]["before"] == {key_name(n): {"fingerprint": fingerprint(stage.old[n])} for n in VENUES}
    assert seen["diff"]["after"] == {key_name(n): {"fingerprint": fingerprint(stage.current(n).id)} for n in VENUES}
    wrote = [len(writes(stage.server(name))) for name in VENUES]
    for again in (stage.play(breach=breach, check=True), stage.play(breach=breach)):
        assert (again.outcome, again["changed"], again["diff"]["after"]) == ("done", False, {})
        assert [row(again, name)["steps"] for name in VENUES] == [["verify"]] * 3
    assert [len(writes(stage.server(name))) for name in VENUES] == wrote


def requests(stage: Stage, name: str) -> list[str]:
    return [seen.op for seen in list(stage.server(name).seen)]


def test_planned_the_new_key_is_proven_before_the_old_one_dies(stage: Stage) -> None:
    stage.play()
    ops = requests(stage, "bybit")
    made, deleted = ops.index("create_key"), ops.index("delete_key")
    assert "own_key" in ops[made:deleted]
    assert "own_key" in ops[deleted:]
    assert "open_orders" not in ops


def test_in_a_breach_orders_and_withdrawals_come_first_then_the_old_key(stage: Stage) -> None:
    server = stage.server("bybit")
    server.place_one()
    server.exchange.balances["BTC"] = Decimal(5)
    asked_for = server.exchange.treasury.withdraw("BTC", Decimal(1), "bc1qthief")
    seen = stage.play(breach=True, only=["bybit"])
    ops = requests(stage, "bybit")
    order = [ops.index(op) for op in ("open_orders", "cancel_all", "cancel_withdrawal", "delete_key", "create_key")]
    assert order == sorted(order)
    assert not server.exchange.open_orders()
    assert asked_for.state == "cancelled"
    assert (row(seen, "bybit")["verdict"], row(seen, "bybit")["warnings"]) == ("rotated", [])


def test_the_trading_system_takes_the_new_key_before_the_old_one_dies(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "hft").mkdir()
    with trading_system(tmp_path / "hft", stage.host, {"okx": "okx"}) as hft:
        stage.use(hft)
        hft.key_file.unlink()  # it reads its key where the store has it
        hft.key_file.symlink_to(tmp_path / "keys/okx.trading.json")
        assert hft.call("POST", "/exchanges/okx/credentials/reload").status == 200
        seen = stage.play(only=["okx"])
        assert seen.outcome == "done", seen["msg"]
        assert (row(seen, "okx")["steps"], row(seen, "okx")["loaded"]) == (PLANNED, True)
        assert hft.get("/exchanges/okx")["key_fingerprint"] == fingerprint(stage.current("okx").id)
        again = stage.play(only=["okx"])
        assert (again["changed"], row(again, "okx")["loaded"]) == (False, True)
        present = stage.play(only=["okx"], state="present")
        assert (present.outcome, present["changed"], row(present, "okx")["verdict"]) == ("done", False, "present")


@pytest.mark.parametrize(("told", "words"), [(None, "does not tell"), ("0" * 12, "another one")])
def test_a_system_that_does_not_show_the_new_key_proves_nothing(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None, words: str
) -> None:
    (tmp_path / "hft").mkdir()
    monkeypatch.setattr(TradingSystem, "key_fingerprint", lambda _self, _exchange: told)
    with trading_system(tmp_path / "hft", stage.host, {"okx": "okx"}) as hft:
        stage.use(hft)
        seen = stage.play(only=["okx"])
    assert (row(seen, "okx")["verdict"], row(seen, "okx")["loaded"]) == ("unknown", False)
    assert words in seen["msg"]
    assert stage.old["okx"] in stage.alive("okx")


def test_a_system_that_is_stopped_keeps_the_old_key_alive_when_planned_and_not_in_a_breach(stage: Stage) -> None:
    stage.systems, stage.used_by = [{"name": "hft-1", "url": "http://127.0.0.1:1"}], ["hft-1"]
    seen = stage.play(only=["okx"])
    assert (seen.outcome, row(seen, "okx")["verdict"], row(seen, "okx")["loaded"]) == ("unproven", "unknown", False)
    assert "the old key is not revoked" in seen["msg"]
    assert stage.alive("okx") == {stage.old["okx"], stage.current("okx").id}
    assert row(seen, "okx")["working_keys"] == 2
    later = stage.play(only=["okx"], breach=True)  # it turned out to be one
    assert (later.outcome, row(later, "okx")["loaded"]) == ("done", False)
    assert "NOT LOADED" in later["msg"]
    assert stage.alive("okx") == {stage.current("okx").id}
    assert stage.play(only=["okx"], state="present").outcome == "unproven"


# What goes wrong ------------------------------------------------------------------------------------------------------


def test_a_key_whose_reply_was_lost_is_deleted_and_made_anew(stage: Stage) -> None:
    for name in VENUES:
        stage.host.inject(name, kind="reset", op="create_key", remaining=1, executes=True)
    seen = stage.play()
    assert seen.outcome == "done", seen["msg"]
    for name in VENUES:
        assert row(seen, name)["steps"][:2] == ["delete_stray", "create"]
        assert stage.alive(name) == {stage.current(name).id}


@pytest.mark.parametrize("executes", [False, True])
@pytest.mark.parametrize("op", ["keys", "own_key", "create_key", "delete_key"])
@pytest.mark.parametrize("kind", ["status", "html", "half_body", "empty_object", "wrong_schema"])
def test_a_fault_of_the_venue_is_overcome(stage: Stage, kind: str, op: str, executes: bool) -> None:
    for name in VENUES:
        stage.host.inject(name, kind=kind, op=op, remaining=1, executes=executes)
    seen = stage.play()
    assert seen.outcome == "done", seen["msg"]
    for name in VENUES:
        assert stage.alive(name) == {stage.current(name).id}


def test_one_venue_that_is_dead_does_not_stop_the_others(stage: Stage) -> None:
    stage.host.inject("okx", kind="refuse")
    seen = stage.play(timeout=2.0)
    assert (seen.outcome, row(seen, "okx")["verdict"], row(seen, "okx")["working_keys"]) == (
        "unproven",
        "unknown",
        None,
    )
    assert [row(seen, name)["verdict"] for name in ("bybit", "deribit")] == ["rotated", "rotated"]
    stage.host.clear("okx")
    assert stage.play().outcome == "done"


def test_a_key_with_more_rights_than_asked_for_is_deleted_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    create = DeribitAccount.create_key
    monkeypatch.setattr(
        DeribitAccount, "create_key", lambda self, label, perms, ips: create(self, label, [*perms, "withdraw"], ips)
    )
    seen = stage.play(only=["deribit"])
    assert (seen.outcome, row(seen, "deribit")["verdict"]) == ("failed", "failed")
    assert "may do more than it should: transfer, withdraw" in seen["msg"]
    assert stage.alive("deribit") == {stage.old["deribit"]}
    assert stage.current("deribit").id == stage.old["deribit"]
    assert stage.store.read(f"deribit.trading{NEXT}") is None
    assert row(seen, "deribit")["working_keys"] == 1


@pytest.mark.parametrize(("ips", "words"), [([], "from every address"), (["127.0.0.1", "192.0.2.9"], "192.0.2.9")])
def test_a_key_that_others_could_use_is_deleted_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, ips: list[str], words: str
) -> None:
    create = DeribitAccount.create_key
    monkeypatch.setattr(DeribitAccount, "create_key", lambda self, label, perms, _ips: create(self, label, perms, ips))
    seen = stage.play(only=["deribit"])
    assert (row(seen, "deribit")["verdict"], words in seen["msg"]) == ("failed", True)
    assert stage.alive("deribit") == {stage.old["deribit"]}


def test_in_a_breach_that_no_key_works_any_more_is_said(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    create = BybitAccount.create_key
    monkeypatch.setattr(
        BybitAccount, "create_key", lambda self, label, perms, _ips: create(self, label, perms, ["192.0.2.9"])
    )
    seen = stage.play(only=["bybit"], breach=True)
    assert (seen.failed, row(seen, "bybit")["working_keys"]) == (True, 0)
    assert "NO WORKING KEY IS LEFT" in seen["msg"]
    assert "ip_allow_list" in seen["msg"]
    assert stage.alive("bybit") == set()
    monkeypatch.undo()
    assert stage.play(only=["bybit"], breach=True).outcome == "done"


@pytest.mark.parametrize(
    ("deleted", "refusal"),
    [
        (False, AuthError("API key is invalid", code="10003")),  # and lists it
        (True, AuthError("HTTP 403, refused")),  # a proxy's
        (True, ClockSkew("timestamp", code="10002")),
        (True, UnknownOutcome("HTTP 502")),
    ],
    ids=["still listed", "a proxy", "a clock", "an error"],
)
def test_what_is_not_the_venues_own_last_word_proves_no_key_dead(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, deleted: bool, refusal: VenueError
) -> None:
    own_key = BybitAccount.own_key

    def asked(self: BybitAccount) -> Any:
        if self.venue.key == stage.old["bybit"]:
            raise refusal
        return own_key(self)

    monkeypatch.setattr(BybitAccount, "own_key", asked)
    if not deleted:
        monkeypatch.setattr(BybitAccount, "delete_key", lambda _self, _key: None)
    seen = stage.play(only=["bybit"], timeout=1.5)
    assert row(seen, "bybit")["verdict"] == "unknown", seen["msg"]
    assert "revoke" not in row(seen, "bybit")["steps"]
    assert (kept := stage.store.read(f"bybit.trading{PREVIOUS}")) is not None
    assert kept.id == stage.old["bybit"]
    monkeypatch.undo()
    assert stage.play(only=["bybit"]).outcome == "done"


def test_orders_that_cannot_be_cancelled_are_said_loudly_and_the_old_key_dies_all_the_same(stage: Stage) -> None:
    stage.server("okx").place_one()
    stage.host.inject("okx", kind="cancel_ignored")
    seen = stage.play(only=["okx"], breach=True)
    assert row(seen, "okx")["verdict"] == "rotated"
    assert "NOT PROVEN that no order is open: 1 orders are open" in seen["msg"]


def test_the_responders_own_key_is_not_revoked_while_orders_are_open(stage: Stage) -> None:
    own = stage.responder["okx"]
    stage.store.write("okx.trading", stored(own), stage.current("okx").version)
    stage.server("okx").place_one()
    stage.host.inject("okx", kind="cancel_ignored")
    seen = stage.play(only=["okx"], breach=True)
    assert (row(seen, "okx")["verdict"], "could not cancel" in seen["msg"]) == ("unknown", True)
    assert own.id in stage.server("okx").exchange.keys
    stage.host.clear("okx")
    assert stage.play(only=["okx"], breach=True).outcome == "done"
    assert own.id not in stage.server("okx").exchange.keys


def test_the_key_that_manages_keys_never_cuts_itself_off(stage: Stage) -> None:
    admin = stage.admin["deribit"]
    stage.store.write("deribit.trading", stored(admin), stage.current("deribit").version)
    seen = stage.play(only=["deribit"])
    assert (row(seen, "deribit")["verdict"], "admin_api_key" in seen["msg"]) == ("failed", True)
    assert not writes(stage.server("deribit"))


@pytest.mark.parametrize("state", ["rotated", "revoked", "present"])
def test_an_empty_slot_is_a_failure_and_nothing_is_written(stage: Stage, state: str) -> None:
    stage.store.delete("okx.trading")
    seen = stage.play(only=["okx"], state=state)
    assert (seen.outcome, "there is no key in okx.trading" in seen["msg"]) == ("failed", True)
    assert not writes(stage.server("okx"))


def test_a_second_rotation_of_the_same_key_waits_and_says_who_has_it(stage: Stage) -> None:
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with stage.store.lock("okx.trading", Deadline(5)):
            entered.set()
            leave.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert entered.wait(10)
    try:
        seen = stage.play(timeout=1.0)
    finally:
        leave.set()
        holder.join()
    assert (seen.outcome, row(seen, "okx")["verdict"], row(seen, "bybit")["verdict"]) == ("held", "held", "rotated")
    assert "okx.trading is being worked on by" in seen["msg"]
    assert not writes(stage.server("okx"))


def test_two_at_once_make_one_new_key(stage: Stage) -> None:
    done: list[Ran] = []
    threads = [threading.Thread(target=lambda: done.append(stage.play(only=["okx"]))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [seen.outcome for seen in done] == ["done", "done"]
    assert sorted(seen["changed"] for seen in done) == [False, True]
    assert stage.alive("okx") == {stage.current("okx").id}


def test_what_an_earlier_rotation_left_is_finished_first(stage: Stage) -> None:
    """Its new key is in place, the old one was never revoked, and another one of it lost its secret."""
    server = stage.server("okx")
    old = stage.current("okx")
    new = made_key(server, ("read", "trade"), HERE, label_of(key_name("okx"), "inc-6"))
    lost = made_key(server, ("read", "trade"), HERE, label_of(key_name("okx"), "inc-6"))
    stage.store.write(f"okx.trading{PREVIOUS}", old, ABSENT)
    stage.store.write("okx.trading", stored(new, "inc-6"), old.version)
    assert stage.play(only=["okx"]).outcome == "done"
    assert not {old.id, new.id, lost.id} & stage.alive("okx")
    assert stage.alive("okx") == {stage.current("okx").id}


def test_a_new_key_of_another_rotation_is_not_used(stage: Stage) -> None:
    """It was begun before the breach, so it may be known."""
    server = stage.server("okx")
    begun = made_key(server, ("read", "trade"), HERE, label_of(key_name("okx"), "inc-6"))
    stage.store.write(f"okx.trading{NEXT}", stored(begun, "inc-6"), ABSENT)
    seen = stage.play(only=["okx"], breach=True)
    assert row(seen, "okx")["steps"][0] == "discard_pending"
    assert begun.id not in stage.alive("okx")


def test_foreign_keys_are_left_alone(stage: Stage) -> None:
    foreign = made_key(stage.server("okx"), ("read",), (), "the fund's auditor")
    stage.play(only=["okx"])
    assert foreign.id in stage.alive("okx")


# Each store -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ansible_vault", "vault_kv2"])
def test_from_each_store_a_key_is_replaced_and_a_second_run_changes_nothing(stage: Stage, kind: str) -> None:
    (stage.folder / "vault").mkdir(0o700)
    with kv2_server() as kv2:
        specs = {
            "ansible_vault": {
                "path": str(stage.folder / "vault/keys.yml"),
                "password": stage.secret("password", "a test's"),
            },
            "vault_kv2": {"url": kv2.url, "token": stage.secret("token", TOKEN)},
        }
        spec = {"kind": kind, **specs[kind]}
        store = open_store(spec)
        store.write("okx.trading", stage.current("okx"), ABSENT)
        for breach in (False, True):
            rotation = f"inc-{breach}"
            seen = stage.play(only=["okx"], secret_store=spec, rotation=rotation, breach=breach)
            assert seen.outcome == "done", seen["msg"]
            assert (found := store.read("okx.trading")) is not None
            assert stage.alive("okx") == {found.id}
            assert store.read(f"okx.trading{NEXT}") is store.read(f"okx.trading{PREVIOUS}") is None
            again = stage.play(only=["okx"], secret_store=spec, rotation=rotation, breach=breach)
            assert (again.outcome, again["changed"]) == ("done", False)
        assert [path for path in kv2.entries if path.endswith(".lock")] == []


# Secrets --------------------------------------------------------------------------------------------------------------


def test_a_venue_that_echoes_the_secret_is_not_echoed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    own_key = BybitAccount.own_key

    def leaky(self: BybitAccount) -> Any:
        if self.venue.key == stage.admin["bybit"].id:
            return own_key(self)
        raise Rejected(f"bad request with {self.venue.secret}")

    monkeypatch.setattr(BybitAccount, "own_key", leaky)
    seen = stage.play(only=["bybit"], on_note=lambda kind, data: told.append(json.dumps([kind, data])))
    assert seen.failed
    left = [stage.store.read(f"bybit.trading{beside}") for beside in ("", NEXT)]
    secrets = [found.secret.reveal() for found in left if found]
    assert len(secrets) == 2
    assert not any(secret in text for secret in secrets for text in [json.dumps(seen.result), *told])


def test_a_defect_of_ours_is_told_without_its_words(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_args: Any, **_options: Any) -> Any:
        raise RuntimeError("canary")

    monkeypatch.setattr(plan, "next_move", defect)
    seen = stage.play()
    assert (seen.outcome, "canary" in json.dumps(seen.result)) == ("failed", False)
    assert "internal error (RuntimeError)" in seen["msg"]


# Wrong usage ----------------------------------------------------------------------------------------------------------


WRONG: dict[str, tuple[Callable[[Stage], dict[str, Any]], str]] = {
    "no key": (lambda _s: {"keys": []}, "there is no key in it"),
    "none with a slot": (lambda _s: {"keys": [{"name": "a", "venue": "okx"}]}, "has a 'slot'"),
    "an unknown venue": (lambda s: {"keys": [s.entry("okx", venue="nyse")]}, "the inventory has: bybit, okx, deribit"),
    "an unknown system": (lambda s: {"keys": [s.entry("okx", used_by=["hft-9"])]}, "there is no 'hft-9'"),
    "a misspelt field": (lambda s: {"keys": [s.entry("okx", permission=["read"])]}, "unknown field 'permission'"),
    "a right to withdraw": (lambda s: {"keys": [s.entry("okx", permissions=["withdraw"])]}, "given 'withdraw'"),
    "no address": (lambda s: {"keys": [s.entry("okx", ip_allow_list=["host.example"])]}, "no address or network"),
    "no list of addresses": (lambda s: {"keys": [s.entry("okx", ip_allow_list=None)]}, "'ip_allow_list' is missing"),
    "a slot that leaves the store": (lambda s: {"keys": [s.entry("okx", slot="../x")]}, "cannot name a slot"),
    "one slot for two": (lambda s: {"keys": [s.entry("okx"), s.entry("bybit", slot="okx.trading")]}, "used twice"),
    "a name that is none": (lambda _s: {"only": ["nyse"]}, "the keys are: hft-1/bybit"),
    "no name for the rotation": (lambda _s: {"rotation": ""}, "give it a name"),
    "no time": (lambda _s: {"timeout": 0}, "timeout must be more than 0"),
    "a secret in clear": (
        lambda _s: {"secret_store": {"kind": "vault_kv2", "url": "http://x", "token": "hvs.x"}}, "in clear",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_wrong_usage_is_refused_before_anything_is_asked(stage: Stage, what: str) -> None:
    args, words = WRONG[what]
    seen = stage.play(**args(stage))
    assert (seen.outcome, words in seen["msg"]) == ("usage", True), seen["msg"]
    assert not any(stage.server(name).seen for name in VENUES)


def test_names_whose_labels_could_be_mixed_up_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.hft.incident.plugins.module_utils.api_keys import entries

    monkeypatch.setattr(entries, "label_prefix", lambda _name: "ir00000000")
    rows = [{"name": name, "venue": "okx", "slot": name, "ip_allow_list": HERE} for name in ("a", "b")]
    with pytest.raises(UsageError, match="label"):
        key_entries(rows, ["okx"], [])


def test_a_label_is_short_plain_and_tells_key_and_rotation() -> None:
    label = label_of("hft-1/okx", "inc-1")
    assert len(label) == 16
    assert label.isalnum()
    assert label == label.lower()
    assert label.startswith(label_prefix("hft-1/okx"))
    assert len({label, label_of("hft-1/okx", "inc-2"), label_of("hft-2/okx", "inc-1")}) == 3
