# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The reconciliation engine: what it must never overlook, and what it must never make up."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.reconciliation import (
    Book,
    Break,
    HeldPosition,
    LiveOrder,
    Reconciliation,
    parse_tolerances,
    persistent,
    reconcile,
    settled,
    tolerance_for,
)
from ansible_collections.hft.incident.plugins.module_utils.redaction import recordable

D = Decimal
EXCHANGES = ("binance", "okx")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "BTC-USDT-SWAP")

quantities = st.decimals(min_value=-(10**12), max_value=10**12, places=8)
amounts = st.decimals(min_value=0, max_value=10**12, places=8)
tolerances = st.decimals(min_value=0, max_value=100, places=8)


def position(qty: str | Decimal = "1", symbol: str = "BTCUSDT", account: str = "main") -> HeldPosition:
    return HeldPosition("binance", account, symbol, D(qty))


def order(order_id: str = "1", client_id: str = "", **changes: Any) -> LiveOrder:
    return LiveOrder("binance", order_id, client_id, "BTCUSDT", "buy", D("2"), D("100.5"))._replace(**changes)


def book(*rows: HeldPosition | LiveOrder, exchange: str = "binance") -> Book:
    return Book(
        exchange,
        [row for row in rows if isinstance(row, HeldPosition)],
        [row for row in rows if isinstance(row, LiveOrder)],
    )


def only(result: Reconciliation) -> Break:
    """The one break there is."""
    (found,) = result.breaks
    return found


@st.composite
def books(draw: st.DrawFn) -> list[Book]:
    """A consistent side: every exchange answered, positions and orders under distinct keys."""
    made = []
    for exchange in draw(st.lists(st.sampled_from(EXCHANGES), unique=True, min_size=1)):
        keys = draw(st.lists(st.tuples(st.sampled_from(["main", "sub"]), st.sampled_from(SYMBOLS)), unique=True))
        positions = [HeldPosition(exchange, *key, draw(quantities)) for key in keys]
        ids = draw(st.lists(st.integers(1, 50), unique=True, max_size=6))
        orders = [
            LiveOrder(
                exchange,
                str(number),
                f"c{number}",
                draw(st.sampled_from(SYMBOLS)),
                draw(st.sampled_from(["buy", "sell"])),
                draw(amounts),
                draw(st.none() | amounts),
            )
            for number in ids
        ]
        made.append(Book(exchange, positions, orders))
    return made


# Properties -----------------------------------------------------------------------------------------------------------


@given(books())
def test_a_side_agrees_with_itself(side: list[Book]) -> None:
    result = reconcile(side, side)
    assert result.verdict == "reconciled"
    assert result.breaks == ()
    assert all(not venue.drifts and not venue.duplicates for venue in result.venues)


@given(books(), books(), tolerances)
def test_swapping_the_sides_mirrors_every_break(one: list[Book], other: list[Book], tolerance: Decimal) -> None:
    mirror = {
        "missing_at_venue": "missing_in_system",
        "missing_in_system": "missing_at_venue",
        "orphan_order": "ghost_order",
        "ghost_order": "orphan_order",
    }
    there = reconcile(one, other, {"*": tolerance})
    back = reconcile(other, one, {"*": tolerance})
    assert there.verdict == back.verdict

    def told(found: Break, turned: bool) -> tuple[Any, ...]:
        kind = mirror.get(found.kind, found.kind) if turned else found.kind
        values = (found.venue, found.system) if turned else (found.system, found.venue)
        difference = found.difference
        if turned and difference is not None:
            difference = difference.copy_negate() + 0
        return (kind, found.exchange, found.account, found.symbol, found.order_id, found.field, *values, difference)

    assert {told(found, True) for found in there.breaks} == {told(found, False) for found in back.breaks}


@given(books(), st.data())
def test_one_perturbed_position_is_one_break_of_the_right_class_and_key(side: list[Book], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(side) - 1))
    positions = list(side[at].positions or ())
    assume(positions)
    index = data.draw(st.integers(0, len(positions) - 1))
    tolerance = data.draw(tolerances)
    old = positions[index]
    new = old._replace(qty=data.draw(quantities | st.just(D(0)) | st.just(-old.qty)))
    positions[index] = new
    venues = [*side[:at], side[at]._replace(positions=positions), *side[at + 1 :]]
    result = reconcile(side, venues, {old.symbol: tolerance})
    difference = new.qty - old.qty
    if abs(difference) <= tolerance:
        assert result.verdict == "reconciled"
        drifts = [drift for venue in result.venues for drift in venue.drifts]
        assert [drift.difference for drift in drifts] == ([difference] if difference else [])
        return
    found = only(result)
    expected = (
        "missing_at_venue" if new.qty == 0
        else "missing_in_system" if old.qty == 0
        else "sign_mismatch" if (new.qty > 0) != (old.qty > 0)
        else "quantity_mismatch"
    )  # fmt: skip
    assert (found.kind, found.exchange, found.account, found.symbol) == (expected, *old[:3])
    assert (found.system, found.venue, found.difference) == (old.qty, new.qty, difference)
    assert result.verdict == "breaks"


@given(books(), st.data())
def test_one_perturbed_order_is_one_break_of_the_right_class_and_key(side: list[Book], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(side) - 1))
    orders = list(side[at].orders or ())
    assume(orders)
    index = data.draw(st.integers(0, len(orders) - 1))
    old = orders[index]
    change = data.draw(st.sampled_from(["lost", "qty", "side", "price"]))
    if change == "lost":
        del orders[index]
    elif change == "qty":
        orders[index] = old._replace(remaining=old.remaining + 1)
    elif change == "side":
        orders[index] = old._replace(side="sell" if old.side == "buy" else "buy")
    else:
        orders[index] = old._replace(price=None if old.price is not None else D(1))
    venues = [*side[:at], side[at]._replace(orders=orders), *side[at + 1 :]]
    found = only(reconcile(side, venues, {"*": D(10**12)}))
    expected = ("ghost_order", "qty") if change == "lost" else ("order_mismatch", change)
    assert (found.kind, found.field) == expected
    assert (found.exchange, found.symbol, found.order_id) == (old.exchange, old.symbol, old.order_id)
    assert old.order_id in found.sentence
    if change == "lost":
        assert only(reconcile(venues, side)).kind == "orphan_order"


@given(st.lists(quantities, max_size=8), st.lists(quantities, max_size=8))
@example([D("0.1"), D("0.2")], [D("0.3")])
def test_the_sum_of_differences_is_the_difference_of_sums(ours: list[Decimal], theirs: list[Decimal]) -> None:
    def spread(numbers: list[Decimal]) -> Book:
        return book(*(position(qty, symbol=SYMBOLS[index % 3]) for index, qty in enumerate(numbers)))

    result = reconcile([spread(ours)], [spread(theirs)])
    differences = [found.difference for found in result.breaks if found.difference is not None]
    assert sum(differences, D(0)) == sum(theirs, D(0)) - sum(ours, D(0))


@given(books(), books(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_is_irrelevant(one: list[Book], other: list[Book], rng: random.Random) -> None:
    def shuffled(side: list[Book]) -> list[Book]:
        return [
            made._replace(
                positions=rng.sample(list(made.positions or ()), len(made.positions or ())),
                orders=rng.sample(list(made.orders or ()), len(made.orders or ())),
            )
            for made in rng.sample(side, len(side))
        ]

    assert reconcile(shuffled(one), shuffled(other)) == reconcile(one, other)


@given(books(), books(), st.data())
def test_an_unknown_part_can_never_be_reconciled(one: list[Book], other: list[Book], data: st.DataObject) -> None:
    side = data.draw(st.sampled_from([one, other]))
    at = data.draw(st.integers(0, len(side) - 1))
    gone: dict[str, Any] = dict.fromkeys(
        data.draw(st.sampled_from([["positions"], ["orders"], ["positions", "orders"]]))
    )
    side[at] = side[at]._replace(why="timed out", **gone)
    for result in (reconcile(one, other), settled([reconcile(one, one), reconcile(one, other)])):
        assert result.verdict != "reconciled"
        (venue,) = (venue for venue in result.venues if venue.exchange == side[at].exchange)
        assert venue.verdict != "reconciled"
        assert "timed out" in venue.why
        assert "timed out" in result.reason


@given(books(), books())
def test_every_break_says_what_to_do_in_one_line_and_the_result_is_json(one: list[Book], other: list[Book]) -> None:
    result = reconcile(one, other)
    for found in result.breaks:
        assert "\n" not in found.sentence
        assert found.exchange in found.sentence
        assert found.symbol in found.sentence
        assert "{" not in found.sentence
    json.dumps(recordable(result))


# Positions ------------------------------------------------------------------------------------------------------------


def test_decimals_are_exact_beyond_the_default_precision() -> None:
    tiny, huge = position("0." + "0" * 39 + "1"), position("1" + "0" * 30)
    difference = only(reconcile([book(huge)], [book(huge, tiny)])).difference
    assert difference == tiny.qty
    exact = [book(position("0.1"), position("0.2"))]
    assert reconcile(exact, [book(position("0.3"))]).verdict == "reconciled"
    edge = D("1." + "0" * 39 + "1")
    assert reconcile([book()], [book(position(edge))], {"*": D(1)}).verdict == "breaks"


def test_duplicate_position_rows_are_summed_but_accounts_stay_apart() -> None:
    assert reconcile([book(position("1"), position("2"))], [book(position("3"))]).verdict == "reconciled"
    moved = reconcile([book(position("1", account="a"))], [book(position("1", account="b"))])
    assert [(found.kind, found.account) for found in moved.breaks] == [
        ("missing_at_venue", "a"),
        ("missing_in_system", "b"),
    ]


def test_a_listed_position_of_zero_is_the_same_as_none() -> None:
    assert reconcile([book(position("0"))], [book()]).verdict == "reconciled"


def test_the_tolerance_is_inclusive_and_the_closest_key_wins() -> None:
    known = {"*": D(1), "BTCUSDT": D(2), "binance:BTCUSDT": D(3)}
    assert tolerance_for(known, "binance", "BTCUSDT") == 3
    assert tolerance_for(known, "okx", "BTCUSDT") == 2
    assert tolerance_for(known, "okx", "ETHUSDT") == 1
    assert tolerance_for({}, "okx", "ETHUSDT") == 0
    assert reconcile([book()], [book(position("3"))], known).verdict == "reconciled"
    assert reconcile([book()], [book(position("3.00000001"))], known).verdict == "breaks"


@pytest.mark.parametrize("wrong", [0.1, True, None, [], "a lot", "-1", "NaN", "Infinity"])
def test_a_tolerance_that_is_no_exact_number_is_refused_by_name(wrong: object) -> None:
    with pytest.raises(ValueError, match="'BTCUSDT'"):
        parse_tolerances({"*": "0.5", "BTCUSDT": wrong})


def test_tolerances_are_read_as_written() -> None:
    assert parse_tolerances({"*": "0.10", "okx:BTC": 2}) == {"*": D("0.10"), "okx:BTC": D(2)}


# Orders ---------------------------------------------------------------------------------------------------------------


def test_an_order_in_flight_is_found_by_its_client_id() -> None:
    in_flight = order("", "c1")
    assert reconcile([book(in_flight)], [book(order("77", "c1"))]).verdict == "reconciled"
    assert reconcile([book(order("77", "c1"))], [book(in_flight)]).verdict == "reconciled"


def test_a_replaced_order_that_kept_its_client_id_is_an_orphan_and_a_ghost() -> None:
    result = reconcile([book(order("1", "c1"))], [book(order("2", "c1"))])
    assert {(found.kind, found.order_id) for found in result.breaks} == {("ghost_order", "1"), ("orphan_order", "2")}


def test_the_same_number_on_two_symbols_is_two_orders() -> None:
    result = reconcile([book(order("1"))], [book(order("1", symbol="ETHUSDT"))])
    assert {found.kind for found in result.breaks} == {"ghost_order", "orphan_order"}
    both = [book(order("1"), order("1", symbol="ETHUSDT"))]
    assert reconcile(both, both).verdict == "reconciled"
    assert reconcile(both, both).venues[0].duplicates == ()


def test_orders_without_client_ids_are_not_taken_for_each_other() -> None:
    result = reconcile([book(order("1"))], [book(order("2"))])
    assert len(result.breaks) == 2


def test_one_client_id_serves_one_order_only() -> None:
    result = reconcile([book(order("", "c1"))], [book(order("5", "c1"), order("6", "c1"))])
    assert (only(result).kind, only(result).order_id) == ("orphan_order", "6")
    result = reconcile([book(order("", "c1"), order("9", "c1"))], [book(order("", "c1"))])
    assert (only(result).kind, only(result).order_id) == ("ghost_order", "9")


def test_an_order_with_nothing_left_to_fill_still_counts() -> None:
    assert only(reconcile([book()], [book(order(remaining=D(0)))])).kind == "orphan_order"


def test_an_order_listed_twice_alike_is_reported_and_harmless() -> None:
    (venue,) = reconcile([book(order())], [book(order(), order())]).venues
    assert venue.verdict == "reconciled"
    (twice,) = venue.duplicates
    assert (twice.side_of, twice.order_id, twice.times, twice.contradictory) == ("venue", "1", 2, False)


def test_a_limit_against_no_limit_has_no_difference_but_a_price_has() -> None:
    assert only(reconcile([book(order())], [book(order(price=None))])).difference is None
    assert only(reconcile([book(order())], [book(order(price=D("100")))])).difference == D("-0.5")


def test_an_order_listed_in_two_versions_proves_nothing() -> None:
    listed = [order(remaining=D(left)) for left in ("2", "1")]
    for ours in ("1", "2"):
        result = reconcile([book(order(remaining=D(ours)))], [book(*listed)])
        assert result == reconcile([book(order(remaining=D(ours)))], [book(*reversed(listed))])
        (venue,) = result.venues
        assert venue.verdict != "reconciled"
        assert "order 1 in 2 versions" in venue.why
        assert venue.duplicates[0].contradictory


# What is not known ----------------------------------------------------------------------------------------------------


def test_nothing_compared_is_not_reconciled() -> None:
    assert reconcile([], []).verdict == "unproven"
    assert settled([]).verdict == "unproven"


def test_an_exchange_only_one_side_was_asked_about_is_unproven() -> None:
    for result in (reconcile([book()], []), reconcile([], [book()])):
        assert result.verdict == "unproven"
        assert "not asked" in result.reason


def test_an_unknown_half_does_not_hide_the_breaks_of_the_other() -> None:
    result = reconcile([book(position())], [Book("binance", [], None, "HTTP 502")])
    assert only(result).kind == "missing_at_venue"
    assert result.verdict == "breaks"
    assert "HTTP 502" in result.reason


def test_an_unknown_venue_does_not_hide_the_breaks_of_another() -> None:
    result = reconcile([book(position()), book(exchange="okx")], [book(), Book("okx", None, None, "HTTP 502")])
    assert [venue.verdict for venue in result.venues] == ["breaks", "unproven"]
    assert result.verdict == "breaks"


def test_books_of_one_exchange_are_joined_and_one_unknown_makes_all_unknown() -> None:
    ours = [book(position("3"), order("1"), order("2"))]
    assert reconcile(ours, [book(position("1"), order("1")), book(position("2"), order("2"))]).verdict == "reconciled"
    assert reconcile([book()], [book(), Book("binance", None, [], "revoked key")]).verdict == "unproven"


@pytest.mark.parametrize(
    "row",
    [
        position("NaN"),
        position("Infinity"),
        position()._replace(exchange="okx"),
        order(""),
        order(side="long"),
        order(remaining=D("NaN")),
        order(price=D("sNaN")),
    ],
)
def test_a_row_that_no_side_can_mean_is_an_error(row: HeldPosition | LiveOrder) -> None:
    with pytest.raises(ValueError, match="binance"):
        reconcile([book()], [book(row)])


# Successive reads -----------------------------------------------------------------------------------------------------


def test_only_what_is_broken_in_every_read_persists() -> None:
    fill_on_the_wire = reconcile([book(position("1"))], [book(position("2"))])
    lasting = reconcile([book(order("9"))], [book()])
    both = reconcile([book(position("1"), order("9"))], [book(position("2"))])
    assert persistent([both.breaks, lasting.breaks, both.breaks]) == lasting.breaks
    assert persistent([both.breaks, (), both.breaks]) == ()
    assert persistent([fill_on_the_wire.breaks]) == fill_on_the_wire.breaks
    assert persistent([]) == ()


def test_a_position_wrong_in_another_way_each_time_persists() -> None:
    reads = [reconcile([book(position("1"))], [book(position(there))]) for there in ("2", "0", "-1")]
    assert [found.kind for found in persistent([read.breaks for read in reads])] == ["sign_mismatch"]


def test_positions_of_two_accounts_do_not_vouch_for_each_other() -> None:
    reads = [reconcile([book(position("1", account=name))], [book()]) for name in ("a", "b")]
    assert persistent([read.breaks for read in reads]) == ()


def test_an_order_that_learned_its_id_between_two_reads_persists() -> None:
    reads = [reconcile([book(order(number, "c1"))], [book()]) for number in ("", "77")]
    assert [found.order_id for found in persistent([read.breaks for read in reads])] == ["77"]


@given(st.lists(st.tuples(books(), books()), min_size=1, max_size=3))
def test_settled_is_reconciled_only_on_a_last_read_without_breaks(pairs: list[tuple[list[Book], list[Book]]]) -> None:
    reads = [reconcile(one, other) for one, other in pairs]
    result = settled(reads)
    assert set(result.breaks) <= set(reads[-1].breaks)
    if result.verdict == "reconciled":
        assert reads[-1].verdict == "reconciled"
    if len(reads) == 1:
        assert result == reads[0]


def test_settled_waits_for_young_breaks_and_names_lasting_ones() -> None:
    fine, broken = reconcile([book()], [book()]), reconcile([book()], [book(order())])
    assert settled([broken, fine]).verdict == "reconciled"
    assert settled([broken, broken]).verdict == "breaks"
    young = settled([fine, broken])
    assert (young.verdict, young.breaks) == ("unproven", ())
    assert "read again" in young.reason


def test_settled_does_not_forget_an_exchange_that_the_last_read_lacks() -> None:
    okx = reconcile([book(exchange="okx")], [book(exchange="okx")])
    result = settled([okx, reconcile([book()], [book()])])
    assert result.verdict == "unproven"
    assert "okx" in result.reason
