# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""P&L against the venue's: what agrees, what does not, and what cannot be told, which never counts as equal."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.pnl import (
    MARKET_MOVE,
    USUAL,
    Comparison,
    PnlTolerances,
    Valued,
    compare,
    in_dollars,
    total,
)
from ansible_collections.hft.incident.plugins.module_utils.reconciliation import (
    Book,
    HeldPosition,
    reconcile,
    settled,
)

D = Decimal
EXACT = PnlTolerances(D(0), D(0))
prices = st.decimals("0.0001", "1000000", places=4)
quantities = st.decimals("-1000", "1000", places=4).filter(bool)
names = st.sampled_from(["BTCUSDT", "ETHUSDT", "SOLUSDT"])


def ours(qty: str | D = "2", entry: str | D | None = "100", pnl: str | D = "20", symbol: str = "BTCUSDT") -> Valued:
    return Valued("okx", "linear", symbol, D(qty), None if entry is None else D(entry), D(pnl))


def theirs(qty: str | D = "2", entry: str | D | None = "100", mark: str | D | None = "110", **more: Any) -> Valued:
    held = Valued("okx", "linear", "BTCUSDT", D(qty), None if entry is None else D(entry), None, "USDT")
    return held._replace(mark_price=None if mark is None else D(mark), **more)


def fields(found: Comparison) -> list[str]:
    return [mismatch.field for mismatch in found.mismatches]


# Properties -----------------------------------------------------------------------------------------------------------


@st.composite
def positions(draw: st.DrawFn) -> tuple[list[Valued], list[Valued]]:
    """Both sides as they are where everything agrees at one mark."""
    system, venue = [], []
    for symbol in draw(st.lists(names, unique=True)):
        qty, entry, mark = draw(quantities), draw(prices), draw(prices)
        system.append(ours(qty, entry, (mark - entry) * qty, symbol))
        venue.append(theirs(qty, entry, mark, symbol=symbol))
    return system, venue


@given(positions())
def test_two_sides_that_value_alike_agree_to_the_last_digit(sides: tuple[list[Valued], list[Valued]]) -> None:
    found = compare(*sides, EXACT)
    assert (found.mismatches, found.not_compared) == ((), ())
    assert len(found.compared) == len(sides[0])
    sums = total([found])
    assert sums.ours_usd == sums.venue_usd
    assert (sums.ours_usd is None) == (not sides[0])


@given(positions(), st.randoms(use_true_random=False))
def test_every_position_is_compared_or_listed_with_its_reason_whatever_is_missing(
    sides: tuple[list[Valued], list[Valued]], rng: Any
) -> None:
    system, venue = sides
    keep_ours = [row for row in system if rng.random() < 0.8]
    shown = [row for row in venue if rng.random() < 0.8]
    hidden = [row._replace(entry_price=None) if rng.random() < 0.3 else row for row in shown]
    hidden = [row._replace(mark_price=None) if rng.random() < 0.3 else row for row in hidden]
    found = compare(keep_ours, hidden, EXACT)
    told = [row.symbol for row in found.compared] + [row.symbol for row in found.not_compared]
    assert sorted(told) == sorted({row.symbol for row in [*keep_ours, *hidden]})
    assert all(row.reason for row in found.not_compared)


@given(quantities, prices, prices, st.decimals("0.01", "1", places=3))
def test_an_entry_price_beyond_tolerance_is_told_whatever_the_market_does(
    qty: Decimal, entry: Decimal, mark: Decimal, off: Decimal
) -> None:
    wrong = entry * (1 + off)
    found = compare([ours(qty, wrong, (mark - entry) * qty)], [theirs(qty, entry, mark)], USUAL)
    assert fields(found) == ["entry_price"]
    assert (found.mismatches[0].system, found.mismatches[0].venue) == (wrong, entry)


@given(quantities, prices, prices, st.decimals("-1000000", "1000000", places=2))
def test_a_pnl_is_wrong_exactly_beyond_the_tolerance_and_what_a_market_may_move(
    qty: Decimal, entry: Decimal, mark: Decimal, off: Decimal
) -> None:
    right = (mark - entry) * qty
    found = compare([ours(qty, entry, right + off)], [theirs(qty, entry, mark)], USUAL)
    limit = USUAL.pnl_usd + MARKET_MOVE * abs(qty * mark)
    assert fields(found) == (["unrealized_pnl"] if abs(off) > limit else [])


@given(quantities, prices, prices)
def test_an_inverse_position_is_recomputed_from_its_entry_price(qty: Decimal, entry: Decimal, mark: Decimal) -> None:
    """What the venue itself counts in coins, since its last settlement, is not looked at."""
    held = theirs(qty, entry, mark, unit="usd", pnl_asset="BTC", unrealized_pnl=D("77"))
    coins = qty / entry - qty / mark
    made = in_dollars(held)
    assert isinstance(made, Decimal)
    assert abs(made - coins * mark) <= abs(made) * D("1e-15") + D("1e-15")


@given(quantities, quantities, prices)
def test_where_the_quantities_differ_pnl_is_not_told_twice(one: Decimal, other: Decimal, price: Decimal) -> None:
    assume(one != other)
    found = compare([ours(one, price)], [theirs(other, price * 2)], EXACT)
    assert found.mismatches == ()
    assert [(row.what, row.reason) for row in found.not_compared] == [("position", "the quantities differ")]


# What cannot be told --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "venue", "what", "reason"),
    [
        ([ours()], [], "position", "the venue does not list it"),
        ([], [theirs()], "position", "the trading system does not list it"),
        ([ours("1"), ours("1")], [theirs()], "position", "several trading systems hold it"),
        ([ours()], [theirs("1"), theirs("1")], "position", "the venue lists it in several parts"),
        ([ours()], [theirs(entry=None)], "position", "the venue states no entry price"),
        ([ours(entry=None)], [theirs()], "position", "the trading system states no entry price"),
        ([ours()], [theirs(mark=None)], "unrealized_pnl", "the venue states neither a P&L nor"),
        ([ours()], [theirs(unit="contract")], "unrealized_pnl", "the venue states neither a P&L nor"),
        ([ours()], [theirs(pnl_asset="BTC", unrealized_pnl=D(1))], "unrealized_pnl", "counts its P&L in BTC"),
        ([ours()], [theirs(pnl_asset="", unrealized_pnl=D(1))], "unrealized_pnl", "an asset that it does not name"),
    ],
)
def test_what_cannot_be_compared_is_listed_with_its_reason(
    system: list[Valued], venue: list[Valued], what: str, reason: str
) -> None:
    found = compare(system, venue, EXACT)
    (row,) = found.not_compared
    assert (row.exchange, row.account, row.symbol, row.what) == ("okx", "linear", "BTCUSDT", what)
    assert reason in row.reason
    assert found.compared == ()
    assert total([found]) == (None, None, (), (row,))  # null is not 0


def test_an_entry_price_is_compared_although_the_pnl_cannot_be() -> None:
    assert fields(compare([ours()], [theirs(entry="101", mark=None)], USUAL)) == ["entry_price"]


def test_contracts_are_compared_by_the_venues_own_figure() -> None:
    held = theirs(unit="contract", unrealized_pnl=D(20), notional_usd=D(1000))
    assert fields(compare([ours(pnl="20")], [held], EXACT)) == []
    assert fields(compare([ours(pnl="25")], [held], EXACT)) == []  # what a market of 1000 may move
    assert fields(compare([ours(pnl="25.01")], [held], EXACT)) == ["unrealized_pnl"]


def test_what_is_flat_on_both_sides_is_nothing_to_compare() -> None:
    assert compare([ours("0")], [theirs("0")], EXACT) == Comparison()


def test_the_sums_are_of_the_same_positions() -> None:
    system = [ours(), ours(symbol="ETHUSDT", pnl="1000")]
    sums = total([compare(system, [theirs()], EXACT), compare([ours(pnl="-5")], [theirs(mark="97.5")], EXACT)])
    assert (sums.ours_usd, sums.venue_usd, len(sums.positions), len(sums.not_compared)) == (D(15), D(15), 2, 1)


# As breaks ------------------------------------------------------------------------------------------------------------


def book(held: Valued) -> Book:
    return Book("okx", [HeldPosition(*held[:4])], [], valued=[held])


def test_a_difference_is_a_break_with_both_values_and_what_to_do() -> None:
    result = reconcile([book(ours(entry="150"))], [book(theirs())])
    (found,) = result.breaks
    assert (result.verdict, found.kind, found.field) == ("breaks", "pnl", "entry_price")
    assert (found.system, found.venue, found.difference) == (D(150), D(100), D(-50))
    assert found.sentence.startswith("okx linear BTCUSDT: the trading system says it was entered at 150, the venue at")


def test_a_pnl_break_is_one_only_in_every_read() -> None:
    wrong = reconcile([book(ours(pnl="9999"))], [book(theirs())])
    right = reconcile([book(ours())], [book(theirs())])
    assert settled([wrong, wrong]).verdict == "breaks"
    assert settled([wrong, right]).verdict == "reconciled"
    assert settled([right, wrong]).verdict == "unproven"


def test_an_unknown_side_has_nothing_to_compare_and_says_so() -> None:
    (venue,) = reconcile([book(ours())], [Book("okx", None, None, "HTTP 502")]).venues
    (row,) = venue.pnl.not_compared
    assert (row.exchange, row.symbol, "HTTP 502" in row.reason) == ("okx", "", True)
