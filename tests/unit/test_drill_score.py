# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a drill's score draws from a venue's happenings, held against a book that is kept order by order."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from hft_incident.drill.books import all_emptied_for_good, count_at, emptied_for_good, empty_between
from hft_incident.drill.score import claims_of_safety, false_claims, time_won
from hft_incident.fire_first import BY
from hft_incident.lab.venue_handle import Happening


@st.composite
def histories(draw: st.DrawFn) -> list[Happening]:
    """What a venue can tell: orders placed and then, perhaps, gone; in order of time, several at one moment."""
    happenings: list[Happening] = []
    live: list[int] = []
    at = 0.0
    for number in range(draw(st.integers(0, 12))):
        at += draw(st.sampled_from([0.0, 1.0, 2.0]))
        leaves = draw(st.booleans())
        if live and leaves:
            gone = live.pop(draw(st.integers(0, len(live) - 1)))
            happenings.append(Happening(at, draw(st.sampled_from(["canceled", "filled"])), gone, "BTCUSDT"))
        else:
            live.append(number)
            happenings.append(Happening(at, "placed", number, "BTCUSDT"))
    return happenings


#: On a happening, between two, before the first and after the last.
moments = st.integers(-1, 60).map(lambda half: half / 2)


def book(happenings: Sequence[Happening], at: float) -> set[int]:
    """The orders that are live at a moment, what happens at it included."""
    live: set[int] = set()
    for happening in happenings:
        if happening.at <= at:
            (live.add if happening.kind == "placed" else live.discard)(happening.order_id)
    return live


@given(histories(), moments)
def test_the_count_is_the_size_of_the_book(happenings: list[Happening], at: float) -> None:
    assert count_at(happenings, at) == len(book(happenings, at))


@given(histories(), moments, moments)
def test_nothing_came_between_two_moments_unless_an_order_was_placed_there(
    happenings: list[Happening], start: float, end: float
) -> None:
    placed = [happening.at for happening in happenings if happening.kind == "placed"]
    assert empty_between(happenings, start, end) == (not [at for at in placed if start < at < end])


@given(histories(), moments)
def test_from_the_moment_it_was_emptied_on_the_book_stays_empty_until_trading_resumes(
    happenings: list[Happening], before: float
) -> None:
    emptied = emptied_for_good(happenings, before)
    if emptied is None:
        return
    assert emptied < before
    for moment in {emptied, *(happening.at for happening in happenings)}:
        if emptied <= moment < before:
            assert not book(happenings, moment)


@given(histories(), moments)
def test_it_is_never_called_emptied_while_an_order_is_live(happenings: list[Happening], before: float) -> None:
    past = [happening for happening in happenings if happening.at < before]
    emptied = emptied_for_good(happenings, before)
    assert (emptied is None) == (not past or bool(book(past, before)))


@given(histories(), moments)
def test_it_was_emptied_by_the_last_order_that_left_and_not_sooner(happenings: list[Happening], before: float) -> None:
    emptied = emptied_for_good(happenings, before)
    if emptied is not None:
        assert [happening.kind for happening in happenings if happening.at == emptied][-1] != "placed"
        assert not [happening for happening in happenings if emptied < happening.at < before]


def test_an_order_that_lands_late_moves_the_containment() -> None:
    happenings = [
        Happening(1.0, "placed", 1, "X"),
        Happening(2.0, "canceled", 1, "X"),
        Happening(3.0, "placed", 2, "X"),
        Happening(4.0, "filled", 2, "X"),
    ]
    assert emptied_for_good(happenings, 2.5) == 2.0
    assert emptied_for_good(happenings, 3.5) is None
    assert emptied_for_good(happenings, float("inf")) == 4.0
    assert not empty_between(happenings, 2.0, 5.0)
    assert empty_between(happenings, 3.0, 5.0)


def test_a_placement_at_the_moment_of_resumption_does_not_undo_the_containment() -> None:
    happenings = [
        Happening(1.0, "placed", 1, "X"),
        Happening(2.0, "canceled", 1, "X"),
        Happening(3.0, "placed", 2, "X"),
    ]
    assert emptied_for_good(happenings, 3.0) == 2.0


@given(st.lists(histories(), max_size=3), moments)
def test_several_books_are_empty_for_good_when_the_last_of_them_is(books: list[list[Happening]], before: float) -> None:
    used = [each for each in books if any(happening.at < before for happening in each)]
    alone = [emptied_for_good(each, before) for each in used]
    expected = None if not alone or None in alone else max(at for at in alone if at is not None)
    assert all_emptied_for_good(books, before) == expected


def event(second: int, kind: str, **data: object) -> Event:
    return Event(second, f"2026-11-24T03:00:{second:02}.000000Z", "test", kind, data, "", "")


AT_ZERO = 1_795_489_200.0  # 2026-11-24T03:00:00Z
STOPPED, UNREACHABLE = [{"verdict": "stopped"}], [{"verdict": "unreachable"}]


def test_with_the_trading_systems_stopped_a_clear_kill_says_safe() -> None:
    kill = event(2, "kill.verified", verdict="clear", trading_systems=STOPPED)
    assert claims_of_safety([kill]) == [AT_ZERO + 2]
    assert claims_of_safety([kill._replace(data={"verdict": "unknown", "trading_systems": STOPPED})]) == []


def test_with_one_that_could_not_be_told_it_takes_the_latch_as_well() -> None:
    kill = event(2, "kill.verified", verdict="clear", trading_systems=UNREACHABLE)
    assert claims_of_safety([kill]) == [float("inf")]
    assert claims_of_safety([kill, event(5, "latch.changed", state="closed")]) == [AT_ZERO + 5]


def test_a_claim_is_false_where_an_order_is_live_then_or_comes_before_the_end() -> None:
    book_ = [Happening(1.0, "placed", 1, "X"), Happening(3.0, "canceled", 1, "X"), Happening(6.0, "placed", 2, "X")]
    assert false_claims([2.0, 4.0], [book_], 5.0) == 1
    assert false_claims([2.0, 4.0], [book_], 7.0) == 2
    assert false_claims([4.0], [book_, []], 5.0) == 0


def test_the_time_won_is_between_the_button_and_the_playbooks_own_kill() -> None:
    pressed = event(1, "kill.ordered", by=BY)
    first, own = event(2, "venue.reported", by=BY), event(4, "venue.reported")
    assert time_won([pressed, first, own]) == 3.0
    assert time_won([pressed, first]) is None
    assert time_won([own]) is None
