# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What is live: everything that a lab venue holds, and never "nothing" from a venue that did not say so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.steps import killswitch, open_orders_info

from ..venues_host import Host, venue_host
from .steps import Arguments, Ran, run, seed, writes

VENUES = {"alpha": "binance", "beta": "bybit"}


@pytest.fixture
def host() -> Iterator[Host]:
    with venue_host(VENUES) as running:
        yield running


@pytest.fixture
def given(tmp_path: Path, host: Host) -> Arguments:
    return Arguments(tmp_path, host)


def ask(given: Arguments, *, check: bool = False, **args: Any) -> Ran:
    venues = [given.venue(name, driver) for name, driver in VENUES.items()]
    return run(open_orders_info, check=check, **{"venues": venues, "timeout": 5.0, **args})


def counts(seen: Ran) -> dict[str, int | None]:
    return {venue["name"]: venue["count"] for venue in seen["venues"]}


@pytest.mark.parametrize("check", [False, True])
def test_every_order_of_every_line_is_listed_and_nothing_is_changed(given: Arguments, host: Host, check: bool) -> None:
    held = {name: seed(venue) for name, venue in host.venues.items()}
    seen = ask(given, check=check)
    assert counts(seen) == held
    assert (seen["known"], seen["changed"], seen.failed) == (True, False, False)
    for venue in seen["venues"]:
        truth = host.venues[venue["name"]].exchange.open_orders()
        assert {order["id"] for order in venue["orders"]} == {str(order.id) for order in truth}
        # A spread has no conditional orders at the real venue, and its rows have no such field.
        conditional = {str(order.id) for order in truth if order.conditional and order.line != "spread"}
        assert {order["id"] for order in venue["orders"] if order["conditional"]} == conditional
        assert all(isinstance(order["qty"], str) for order in venue["orders"])
        assert writes(host.venues[venue["name"]]) == []
    assert seen.recorded("open_orders.listed") == [{"venues": held}]


def test_empty_venues_are_known_to_be_empty(given: Arguments) -> None:
    seen = ask(given)
    assert (seen["known"], counts(seen)) == (True, {"alpha": 0, "beta": 0})


@pytest.mark.parametrize("kind", ["html", "empty_object", "empty_body", "truncated", "wrong_schema", "hang", "refuse"])
def test_a_venue_without_a_valid_answer_is_not_known_and_the_others_are(
    given: Arguments, host: Host, kind: str
) -> None:
    for venue in host.venues.values():
        seed(venue)
    host.inject("alpha", kind=kind)
    seen = ask(given, timeout=1.0)
    alpha, beta = seen["venues"]
    assert (alpha["known"], alpha["count"], alpha["orders"]) == (False, None, [])
    assert alpha["error"]
    assert beta["count"] == len(host.venues["beta"].exchange.open_orders())
    assert (seen["known"], seen.failed) == (False, False)
    assert "alpha: unknown open" in seen["msg"]


def test_a_passing_fault_is_asked_again(given: Arguments, host: Host) -> None:
    host.inject("alpha", kind="status", status=502, op="open_orders", remaining=2)
    assert ask(given)["known"] is True


def test_a_refused_key_is_tried_twice_and_no_more(given: Arguments, host: Host) -> None:
    host.inject("beta", kind="revoked_key")
    seen = ask(given, only=["beta"], timeout=60.0)
    assert seen["known"] is False
    asked = [seen.path for seen in host.venues["beta"].seen]
    healthy = [given.venue("beta", "bybit")]
    host.clear("beta")
    host.venues["beta"].seen.clear()
    assert ask(given, venues=healthy)["known"] is True
    once = [seen.path for seen in host.venues["beta"].seen]
    assert 0 < len(asked) <= 2 * len(once)


def test_only_the_venues_that_are_meant_are_asked(given: Arguments, host: Host) -> None:
    seen = ask(given, only=["beta"])
    assert list(counts(seen)) == ["beta"]
    assert host.venues["alpha"].seen == []


def test_a_key_that_cannot_be_read_spoils_its_own_venue_only(given: Arguments) -> None:
    broken = given.venue("alpha", "binance", api_secret="env:HFT_TEST_NO_SUCH_SECRET")
    seen = ask(given, venues=[broken, given.venue("beta", "bybit")])
    assert counts(seen) == {"alpha": None, "beta": 0}
    assert seen["venues"][0]["error"] == "api_secret: environment variable HFT_TEST_NO_SUCH_SECRET is not set"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"venues": []}, "nothing to ask"), ({"only": ["nosuch"]}, "alpha, beta"), ({"timeout": 0}, "timeout")],
)
def test_wrong_usage_is_refused_before_anything_is_asked(
    given: Arguments, host: Host, wrong: dict[str, Any], words: str
) -> None:
    seen = ask(given, **wrong)
    assert seen.outcome == "usage"
    assert words in seen["msg"]
    assert not any(venue.seen for venue in host.venues.values())


def test_a_secret_in_clear_is_refused_and_not_repeated(given: Arguments) -> None:
    seen = ask(given, venues=[given.venue("alpha", "binance", api_secret="5a1tc0ffee")])
    assert seen.outcome == "usage"
    assert "api_secret" in seen["msg"]
    assert "5a1tc0ffee" not in str(seen.result)


def test_orders_beside_a_line_that_cannot_be_listed_are_no_list_but_a_kill_cancels_by_them(
    given: Arguments, host: Host
) -> None:
    """ccxt lists Binance's isolated margin by symbol only."""
    alpha = host.venues["alpha"]
    for _ in range(3):
        alpha.place_one("BTCUSDT")
    venues = [given.venue("alpha", "ccxt:binance", product_lines=["spot", "isolated"])]
    seen = ask(given, venues=venues)
    (row,) = seen["venues"]
    assert (seen["known"], row["count"], row["orders"]) == (False, None, [])
    assert "3 open orders are known" in row["error"]
    done = run(killswitch, venues=venues, reason="a test", interval=0.01, timeout=3.0)
    assert alpha.exchange.open_orders() == []
    (told,) = done.recorded("kill.verified")
    (killed,) = told["venues"]
    assert (killed["verdict"], killed["open_before"]) == ("unknown", 3)
