# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Money on its way out of the lab's venues: stopped, proven by the venue's own listing, and never claimed otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.steps import withdrawals
from hft_incident.lab.venues.treasury import Withdrawal

from ..venues_host import Host, venue_host
from .account_arguments import ALL, COIN, ELSEWHERE, OURS, Accounts
from .steps import Ran, run, writes

CANCELLING, LISTING_ONLY, NOTHING = (
    ("bybit", "okx", "deribit", "kraken"),
    ("binance",),
    ("binanceusdm", "krakenfutures"),
)


@pytest.fixture
def host() -> Iterator[Host]:
    with venue_host(ALL) as running:
        yield running


@pytest.fixture
def given(tmp_path: Path, host: Host) -> Accounts:
    return Accounts(tmp_path, host)


def freeze(given: Accounts, *names: str, check: bool = False, **args: Any) -> Ran:
    venues = [given.venue(name) for name in names] if names else given.venues()
    return run(withdrawals, check=check, **{"venues": venues, "timeout": 5.0, "interval": 0.02, **args})


def asked(host: Host, name: str, amount: str = "1.5", address: str = ELSEWHERE) -> Withdrawal:
    return host.venues[name].exchange.treasury.withdraw(COIN[name], Decimal(amount), address)


def verdicts(done: Ran) -> dict[str, str]:
    return {row["name"]: row["verdict"] for row in done["venues"]}


def test_all_that_is_pending_is_stopped_at_every_venue_that_can(given: Accounts, host: Host) -> None:
    some = {name: [asked(host, name), asked(host, name, "2")] for name in CANCELLING}
    done = freeze(given, *CANCELLING)
    assert (done.failed, done["changed"], done["frozen"]) == (False, True, True)
    assert verdicts(done) == dict.fromkeys(CANCELLING, "frozen")
    assert {one.state for pair in some.values() for one in pair} == {"cancelled"}
    assert all(len(row["cancelled"]) == 2 and row["steps"] for row in done["venues"])
    assert "8 withdrawals cancelled, which nothing undoes" in done["msg"]
    assert "inverses" not in done.result
    (told,) = done.recorded("withdrawals.frozen")
    assert told["frozen"] is True
    again = freeze(given, *CANCELLING)
    assert (again["changed"], again["frozen"]) == (False, True)


def test_check_mode_says_the_same_and_stops_nothing(given: Accounts, host: Host) -> None:
    one = asked(host, "okx")
    seen = freeze(given, *CANCELLING, check=True)
    assert one.state == "pending"
    assert not any(writes(server) for server in host.venues.values())
    assert (seen["changed"], seen.failed, "record" in seen.result) == (True, False, False)
    assert "okx: 1 would be cancelled" in seen["msg"]
    real = freeze(given, *CANCELLING)
    assert (real["changed"], real["diff"]["before"]) == (seen["changed"], seen["diff"]["before"])
    after = freeze(given, *CANCELLING, check=True)
    assert after["changed"] is False


def test_to_our_own_addresses_is_left_alone_and_told(given: Accounts, host: Host) -> None:
    ours, theirs = asked(host, "deribit", address=OURS), asked(host, "deribit")
    done = freeze(given, "deribit", withdrawal_addresses=[OURS])
    assert (ours.state, theirs.state, done["frozen"]) == ("pending", "cancelled", True)
    assert [row["address"] for row in done["venues"][0]["kept"]] == [OURS]
    freeze(given, "deribit")
    assert ours.state == "cancelled", "with no address of ours, every one is stopped"


@pytest.mark.parametrize("name", CANCELLING)
def test_a_venue_that_says_cancelled_and_does_not_is_pending_not_frozen(given: Accounts, host: Host, name: str) -> None:
    one = asked(host, name)
    host.inject(name, kind="cancel_ignored", op="cancel_withdrawal")
    done = freeze(given, name, timeout=1.0)
    assert (one.state, verdicts(done), done.outcome) == ("pending", {name: "pending"}, "unproven")
    assert [row["id"] for row in done["venues"][0]["pending"]]
    assert done["changed"] is False


@pytest.mark.parametrize("name", CANCELLING)
def test_a_lie_that_ends_is_followed_up(given: Accounts, host: Host, name: str) -> None:
    one = asked(host, name)
    host.inject(name, kind="cancel_ignored", op="cancel_withdrawal", remaining=3)
    assert verdicts(freeze(given, name)) == {name: "frozen"}
    assert one.state == "cancelled"


@pytest.mark.parametrize("name", CANCELLING)
@pytest.mark.parametrize("kind", ["hang", "reset", "html"])
@pytest.mark.parametrize("executes", [False, True])
def test_a_cancel_whose_answer_is_lost_is_judged_by_the_next_listing(
    given: Accounts, host: Host, name: str, kind: str, executes: bool
) -> None:
    one = asked(host, name)
    host.inject(name, kind=kind, op="cancel_withdrawal", executes=executes, remaining=1)
    done = freeze(given, name)
    assert (one.state, verdicts(done)) == ("cancelled", {name: "frozen"})


@pytest.mark.parametrize("name", [*CANCELLING, *LISTING_ONLY])
@pytest.mark.parametrize("kind", ["html", "empty_object", "empty_body", "wrong_schema", "truncated", "hang"])
def test_a_listing_that_is_none_is_unknown_never_frozen(given: Accounts, host: Host, name: str, kind: str) -> None:
    asked(host, name)
    host.inject(name, kind=kind, op="withdrawals")
    done = freeze(given, name, timeout=0.7)
    assert (verdicts(done), done["frozen"], done.outcome) == ({name: "unknown"}, False, "unproven")
    assert done["venues"][0]["error"]


def test_one_that_went_through_meanwhile_is_told_as_too_late(given: Accounts, host: Host) -> None:
    asked(host, "okx")
    gone = asked(host, "okx", "2")
    host.inject("okx", kind="cancel_ignored", op="cancel_withdrawal", remaining=2)
    treasury = host.venues["okx"].exchange.treasury
    real_cancel = treasury.cancel

    def completes_instead(number: int) -> bool:
        return treasury.complete(number) and False if number == gone.id else real_cancel(number)

    treasury.cancel = completes_instead  # type: ignore[method-assign]  # the venue's chain was faster
    done = freeze(given, "okx")
    assert verdicts(done) == {"okx": "frozen"}
    assert [row["amount"] for row in done["venues"][0]["gone"]] == ["2"]
    assert "okx: TOO LATE for 1" in done["msg"]


def test_a_venue_that_breaks_down_after_the_cancel_is_never_frozen(given: Accounts, host: Host) -> None:
    asked(host, "okx")
    server = host.venues["okx"]
    real = server.exchange.cancel_withdrawal

    def cancels_and_breaks_down(number: int) -> bool:
        server.faults.inject({"kind": "html", "op": "withdrawals"})
        return real(number)

    server.exchange.cancel_withdrawal = cancels_and_breaks_down  # type: ignore[method-assign]  # in this order
    done = freeze(given, "okx", timeout=1.0)
    assert verdicts(done)["okx"] in ("unknown", "pending")
    assert done.outcome == "unproven"
    assert len(done["venues"][0]["pending"]) == 1


def test_one_that_vanishes_from_the_list_is_unknown(given: Accounts, host: Host) -> None:
    one = asked(host, "okx")
    host.inject("okx", kind="cancel_ignored", op="cancel_withdrawal")
    treasury = host.venues["okx"].exchange.treasury
    real = treasury.withdrawals
    listings = iter([real()])
    treasury.withdrawals = lambda since_ms=0: next(listings, [])  # type: ignore[method-assign]  # the venue forgets
    host.venues["okx"].exchange.treasury = treasury
    done = freeze(given, "okx", timeout=1.0)
    assert verdicts(done) == {"okx": "unknown"}
    assert str(one.id) in done["venues"][0]["error"]


@pytest.mark.parametrize("name", LISTING_ONLY)
def test_a_venue_that_only_lists_is_frozen_where_nothing_is_pending_else_by_hand(
    given: Accounts, host: Host, name: str
) -> None:
    assert verdicts(freeze(given, name)) == {name: "frozen"}
    asked(host, name)
    seen = freeze(given, name, check=True)
    assert seen["changed"] is False, "nothing would be cancelled there"
    done = freeze(given, name)
    assert (verdicts(done), done.outcome) == ({name: "by_hand"}, "unproven")
    assert done["venues"][0]["steps"]
    assert len(done["venues"][0]["pending"]) == 1


def test_a_venue_without_any_api_for_it_is_by_hand_never_frozen(given: Accounts) -> None:
    done = freeze(given, *NOTHING)
    assert verdicts(done) == dict.fromkeys(NOTHING, "by_hand")
    assert (done.outcome, done["frozen"]) == ("unproven", False)
    tolerated = freeze(given, *NOTHING, require_frozen=False)
    assert (tolerated.failed, tolerated["frozen"]) == (False, False)


def test_a_dead_venue_does_not_hold_the_others(given: Accounts, host: Host) -> None:
    some = [asked(host, name) for name in ("okx", "deribit")]
    host.inject("bybit", kind="hang")
    host.inject("kraken", kind="refuse")
    done = freeze(given, *CANCELLING, timeout=1.5)
    assert verdicts(done) == {"bybit": "unknown", "kraken": "unknown", "okx": "frozen", "deribit": "frozen"}
    assert {one.state for one in some} == {"cancelled"}


def test_a_key_without_the_right_stops_nothing_and_says_why(given: Accounts, host: Host) -> None:
    asked(host, "deribit")
    entry = {k: v for k, v in given.venue("deribit").items() if not k.startswith("admin_")}
    done = run(withdrawals, venues=[entry], timeout=0.5, interval=0.05)
    assert (verdicts(done), done.outcome) == ({"deribit": "pending"}, "unproven")
    assert "forbidden" in done["venues"][0]["error"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"venues": []}, "nothing to ask"),
        ({"only": ["nosuch"]}, "okx"),
        ({"timeout": 0}, "timeout"),
        ({"interval": 0}, "interval"),
        ({"state": "thawed"}, "state"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_asked(
    given: Accounts, host: Host, wrong: dict[str, Any], words: str
) -> None:
    done = freeze(given, **wrong)
    assert done.outcome == "usage"
    assert words in done["msg"]
    assert not any(server.seen for server in host.venues.values())
