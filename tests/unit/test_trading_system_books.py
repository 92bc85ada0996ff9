# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What the lab's trading system believes: positions against the venue's own arithmetic, orders against listings."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hft_incident.lab.gateways.gateway import Held, Side, Trade
from hft_incident.lab.trading_system.configuration import Configuration, ConfigurationError, UnknownExchange
from hft_incident.lab.trading_system.ledger import Ledger
from hft_incident.lab.trading_system.orders import LANDING_TIME_S, OrderBook, WorkingOrder
from hft_incident.lab.venues.dialect import instrument
from hft_incident.lab.venues.exchange import Exchange, Instrument

SPOT = instrument("BTCUSDT", "spot", "BTC", "USDT", "90000", spot=True)
LINEAR = instrument("BTCUSDT", "linear", "BTC", "USDT", "90000")
Fills = list[tuple[Side, Decimal, Decimal]]
SIDES: tuple[Side, ...] = ("buy", "sell")
FILLS = st.lists(
    st.tuples(st.sampled_from(SIDES), st.decimals("0.001", "9", places=3), st.decimals("1", "99999", places=1)),
    max_size=30,
)


def traded(instrument: Instrument, fills: Fills) -> tuple[Exchange, list[Trade]]:
    """The fills, done at the venue."""
    exchange = Exchange([instrument], [])
    for side, qty, price in fills:
        order = exchange.place("BTCUSDT", side, qty, price)
        exchange.prices["BTCUSDT"] = price + (-10 if side == "buy" else 10)
        exchange.advance()  # moves the market by less than that
        assert order.state == "filled"
    rows = exchange.executions
    return exchange, [Trade(str(e.id), str(e.order.id), e.order.symbol, e.order.side, e.qty, e.price, 0) for e in rows]


@given(FILLS)
def test_spot_balances_equal_the_venues(fills: Fills) -> None:
    exchange, trades = traded(SPOT, fills)
    ledger = Ledger("spot", ("BTC", "USDT"))
    start = Exchange([SPOT], []).balances
    ledger.open([Held(asset, qty) for asset, qty in start.items()], Decimal(90000))
    for trade in trades:
        ledger.book(trade)
    booked = {position.symbol: position.qty for position in ledger.held()}
    assert booked == {asset: qty for asset, qty in exchange.balances.items() if qty}


@given(FILLS)
def test_a_derivative_position_its_average_and_the_wallet_equal_the_venues(fills: Fills) -> None:
    exchange, trades = traded(LINEAR, fills)
    ledger = Ledger("linear", None, ("wallet", "USDT"))
    ledger.open([Held("USDT", Decimal(1000000), line="wallet")], Decimal(90000))
    for trade in trades:
        ledger.book(trade)
    holding, position = exchange.holdings["BTCUSDT"], ledger.of("linear", "BTCUSDT")
    assert position.qty == holding.qty
    assert ledger.of("wallet", "USDT").qty == exchange.balances["USDT"]
    if holding.qty:
        assert position.avg_price == holding.avg_price
        price = exchange.prices["BTCUSDT"]
        assert ledger.unrealized_pnl(position, "BTCUSDT", price) == exchange.unrealized_pnl("BTCUSDT")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(clock: Clock) -> OrderBook:
    return OrderBook(clock)


def sent(book: OrderBook, client_id: str = "c1") -> WorkingOrder:
    order = WorkingOrder(client_id, "mm", "buy", Decimal("0.01"), Decimal(100))
    book.add(order)
    return order


def state(order: WorkingOrder) -> str:
    return order.state


def fill_of(order_id: str) -> Trade:
    return Trade("t1", order_id, "BTCUSDT", "buy", Decimal("0.01"), Decimal(100), 0)


def test_an_open_order_that_is_not_listed_is_gone(book: OrderBook, clock: Clock) -> None:
    order = sent(book)
    book.acknowledge(order, "7")
    book.agree({}, asked_at=clock.now + 1)
    assert (state(order), book.live) == ("canceled", {})


def test_a_listing_asked_for_before_the_acknowledgement_says_nothing(book: OrderBook, clock: Clock) -> None:
    order = sent(book)
    asked_at = clock.now
    clock.now += 1
    book.acknowledge(order, "7")
    book.agree({}, asked_at)
    assert state(order) == "open"


def test_an_order_on_its_way_is_left_alone_by_a_listing(book: OrderBook, clock: Clock) -> None:
    order = sent(book)
    book.agree({}, asked_at=clock.now + 100)
    assert state(order) == "pending"


def test_an_order_in_doubt_is_found_by_its_client_id(book: OrderBook, clock: Clock) -> None:
    order = sent(book)
    book.doubt(order)
    book.agree({"7": "c1"}, asked_at=clock.now)
    assert (state(order), order.id) == ("open", "7")


def test_an_order_in_doubt_may_land_late(book: OrderBook, clock: Clock) -> None:
    order = sent(book)
    book.doubt(order)
    book.agree({}, asked_at=clock.now + LANDING_TIME_S / 2)
    assert state(order) == "unknown"
    book.agree({}, asked_at=clock.now + LANDING_TIME_S * 2)
    assert state(order) == "rejected"
    clock.now += LANDING_TIME_S * 3
    book.agree({"7": "c1"}, asked_at=clock.now + 1)
    assert (state(order), order.id, list(book.live)) == ("open", "7", ["c1"])


def test_a_cancel_that_was_only_claimed_comes_back(book: OrderBook, clock: Clock) -> None:
    order = sent(book)
    book.acknowledge(order, "7")
    book.cancelled(order)
    book.agree({"7": "c1"}, asked_at=clock.now)  # asked for before the cancel took effect
    assert state(order) == "canceled"
    book.agree({"7": "c1"}, asked_at=clock.now + 1)
    assert state(order) == "open"


def test_a_fill_that_crossed_the_cancel_counts_and_a_filled_order_never_comes_back(
    book: OrderBook, clock: Clock
) -> None:
    order = sent(book)
    book.acknowledge(order, "7")
    book.cancelled(order)
    book.apply(fill_of("7"))
    assert (state(order), order.filled) == ("filled", Decimal("0.01"))
    book.agree({"7": "c1"}, asked_at=clock.now + 1)
    assert state(order) == "filled"


def test_a_fill_that_came_before_the_acknowledgement_counts(book: OrderBook) -> None:
    order = sent(book)
    book.acknowledge(order, "7", [fill_of("7")])
    assert (state(order), book.live) == ("filled", {})


def test_archiving_forgets_what_ended_and_nothing_else(book: OrderBook) -> None:
    gone, live = sent(book, "c1"), sent(book, "c2")
    book.acknowledge(gone, "7")
    book.cancelled(gone)
    assert (book.archive(), book.ended, list(book.live)) == (1, {}, [live.client_id])


def test_a_wrong_fragment_changes_nothing() -> None:
    configuration = Configuration({"alpha": "binance"})
    before = configuration.etag
    with pytest.raises(ConfigurationError):
        configuration.merge({"mode": "observe", "exchanges": {"alpha": {"driver": "okx"}}})
    with pytest.raises(UnknownExchange):
        configuration.merge({"mode": "observe", "exchanges": {"beta": {"enabled": False}}})
    assert configuration.etag == before
    configuration.merge({"mode": "observe"})
    assert configuration.etag != before
    assert configuration.observing


def test_if_match_takes_a_list_a_star_and_no_weak_tag() -> None:
    configuration = Configuration({"alpha": "binance"})
    tag = configuration.etag
    assert all(map(configuration.matches, (None, "*", tag, f'"other", {tag}')))
    assert not any(map(configuration.matches, ('"other"', f"W/{tag}", "")))
