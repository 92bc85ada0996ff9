# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Net exposure over lab venues: exact, and partial whenever something may be missing."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.steps import exposure_info
from hft_incident.lab.venues.exchange import Holding

from ..venues_host import Host, venue_host
from .steps import Arguments, Ran, run, writes

VENUES = {"alpha": "binance", "beta": "bybit"}


@pytest.fixture
def host() -> Iterator[Host]:
    with venue_host(VENUES) as running:
        for venue in running.venues.values():
            venue.exchange.balances.clear()
        yield running


@pytest.fixture
def given(tmp_path: Path, host: Host) -> Arguments:
    return Arguments(tmp_path, host)


def ask(given: Arguments, *, check: bool = False, **args: Any) -> Ran:
    venues = [given.venue(name, driver) for name, driver in VENUES.items()]
    return run(exposure_info, check=check, **{"venues": venues, "timeout": 5.0, **args})


def assets(seen: Ran) -> dict[str, dict[str, Any]]:
    return {asset["asset"]: asset for asset in seen["assets"]}


def hedge(host: Host) -> None:
    """Long spot at alpha, short the perpetual at beta."""
    host.venues["alpha"].exchange.balances["BTC"] = Decimal("0.30000001")
    host.venues["beta"].exchange.holdings["BTCUSDT"] = Holding(Decimal("-0.1"), Decimal("60000"))


@pytest.mark.parametrize("check", [False, True])
def test_a_hedge_over_two_venues_is_netted_exactly(given: Arguments, host: Host, check: bool) -> None:
    hedge(host)
    seen = ask(given, check=check)
    btc = assets(seen)["BTC"]
    assert (Decimal(btc["net"]), Decimal(btc["gross"])) == (Decimal("0.20000001"), Decimal("0.40000001"))
    assert [(leg["exchange"], leg["symbol"], Decimal(leg["qty"])) for leg in btc["legs"]] == [
        ("alpha", "BTC", Decimal("0.30000001")),
        ("beta", "BTCUSDT", Decimal("-0.1")),
    ]
    assert (btc["partial"], seen["partial"], seen["changed"], seen["unknown"]) == (False, False, False, {})
    assert "BTC +0.20000001" in seen["msg"]
    (measured,) = seen.recorded("exposure.measured")
    assert measured == {field: seen[field] for field in ("partial", "assets", "not_netted", "unknown")}
    assert not any(writes(venue) for venue in host.venues.values())


def test_a_venue_that_does_not_answer_makes_every_figure_partial(given: Arguments, host: Host) -> None:
    hedge(host)
    host.inject("beta", kind="refuse")
    seen = ask(given, timeout=1.0)
    assert (seen["partial"], seen.failed) == (True, False)
    assert seen["msg"].startswith("PARTIAL: ")
    assert "connection refused" in seen["unknown"]["beta"]
    btc = assets(seen)["BTC"]
    assert (btc["partial"], Decimal(btc["net"])) == (True, Decimal("0.30000001"))
    assert any("beta did not say what it holds" in line for line in btc["because"])


@pytest.mark.parametrize("kind", ["html", "empty_object", "empty_body", "wrong_schema"])
def test_a_false_empty_answer_is_never_no_exposure(given: Arguments, host: Host, kind: str) -> None:
    host.inject("alpha", kind=kind)
    seen = ask(given, timeout=1.0)
    assert (seen["partial"], list(seen["unknown"])) == (True, ["alpha"])


def test_nothing_held_anywhere_is_no_exposure(given: Arguments) -> None:
    seen = ask(given)
    assert (seen["partial"], seen["assets"], seen["msg"]) == (False, [], "no exposure")


def test_an_asset_of_unknown_name_is_shown_apart_until_it_is_named(given: Arguments, host: Host) -> None:
    host.venues["alpha"].exchange.balances["PUMPBTC"] = Decimal(7)
    odd = ask(given)
    assert odd["partial"] is True
    assert [(leg["symbol"], leg["asset"]) for leg in odd["not_netted"]] == [("PUMPBTC", None)]
    named = ask(given, base_assets={"alpha:PUMPBTC": "PUMP"})
    assert named["partial"] is False
    assert Decimal(assets(named)["PUMP"]["net"]) == 7


def test_stable_coins_are_shown_but_do_not_make_the_headline(given: Arguments, host: Host) -> None:
    host.venues["alpha"].exchange.balances["USDT"] = Decimal(1000)
    seen = ask(given)
    assert assets(seen)["USDT"]["stable"] is True
    assert seen["msg"] == "no exposure"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"venues": []}, "nothing to ask"), ({"only": ["nosuch"]}, "alpha, beta"), ({"timeout": -1}, "timeout")],
)
def test_wrong_usage_is_refused_before_anything_is_asked(
    given: Arguments, host: Host, wrong: dict[str, Any], words: str
) -> None:
    seen = ask(given, **wrong)
    assert seen.outcome == "usage"
    assert words in seen["msg"]
    assert not any(venue.seen for venue in host.venues.values())
