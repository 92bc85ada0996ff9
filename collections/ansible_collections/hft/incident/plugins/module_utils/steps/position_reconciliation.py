# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``position_reconciliation``: the trading systems' books against the venues' own (seed-faults B6, D2)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from ..arguments import ONLY, TRADING_SYSTEMS, VENUES, chosen_venues, require_positive
from ..deadline import Deadline
from ..errors import UnprovenError, UsageError
from ..fleet import given_systems
from ..http_client import at_once
from ..pnl import USUAL, Pnl, PnlTolerances, Valued, total
from ..reading import Answer, answers, read_systems, read_venues
from ..reconciliation import (
    Book,
    HeldPosition,
    LiveOrder,
    Reconciliation,
    Tolerances,
    VenueReconciliation,
    parse_tolerances,
    reconcile,
    settled,
)
from ..redaction import recordable
from ..settings import SystemEntry, VenueEntry
from ..trading_system import SystemOrder, SystemPosition, TradingSystem
from ..venues.api import OpenOrder, Position, Venue
from . import Context, Params, Result, event

ARGUMENT_SPEC: dict[str, Any] = {
    **VENUES,
    **TRADING_SYSTEMS,
    **ONLY,
    "tolerance": {"type": "dict", "default": {}},
    "entry_tolerance": {"type": "str", "default": str(USUAL.entry)},
    "pnl_tolerance_usd": {"type": "str", "default": str(USUAL.pnl_usd)},
    "reads": {"type": "int", "default": 2},
    "interval": {"type": "float", "default": 0.5},
    "timeout": {"type": "float", "default": 15.0},
    "require_reconciled": {"type": "bool", "default": True},
}
#: So many breaks are told in the message; all of them are in the result.
TOLD = 3


class Limits(NamedTuple):
    """How far the two sides may be apart."""

    positions: Tolerances
    pnl: PnlTolerances


class Read(NamedTuple):
    """Both sides, read at the same moment."""

    system: tuple[Book, ...]
    venues: tuple[Book, ...]

    def holdings(self) -> list[Book]:
        """Without what they are worth, which moves with the market while nothing is traded."""
        return [book._replace(valued=()) for book in (*self.system, *self.venues)]

    def known(self) -> bool:
        return all(book.positions is not None and book.orders is not None for book in (*self.system, *self.venues))


class VenueAnswer(NamedTuple):
    positions: list[Position]
    orders: list[OpenOrder]


class SystemAnswer(NamedTuple):
    positions: list[SystemPosition]
    orders: list[SystemOrder]


def run(params: Params, _context: Context) -> Result:
    """Compare until it is settled; changes nothing. Fails where it is not ``reconciled`` and has to be."""
    require_positive(params, "reads", "interval", "timeout")
    venues = chosen_venues(params)
    systems = given_systems(params)
    found = _settle(venues, systems, _limits(params), params)
    pnl = total(venue.pnl for venue in found.venues)
    told: dict[str, Any] = recordable(
        {
            "verdict": found.verdict,
            "reason": found.reason,
            "venues": [_venue(venue) for venue in found.venues],
            "pnl": {**pnl._asdict(), "compared": len(pnl.positions)},
        }
    )
    result: Result = {
        "msg": _sentence(found, pnl),
        **told,
        "breaks": recordable(found.breaks),
        "record": [event("positions.reconciled", told)],
    }
    if params["require_reconciled"] and found.verdict != "reconciled":
        result |= {"failed": True, "outcome": UnprovenError.outcome}
    return result


def _limits(params: Params) -> Limits:
    try:
        positions = parse_tolerances(params["tolerance"])
    except ValueError as error:
        raise UsageError(str(error)) from None
    return Limits(positions, PnlTolerances(_amount(params, "entry_tolerance"), _amount(params, "pnl_tolerance_usd")))


def _amount(params: Params, name: str) -> Decimal:
    try:
        amount = Decimal(params[name])
    except InvalidOperation:
        amount = Decimal("NaN")
    if not (amount.is_finite() and amount >= 0):
        raise UsageError(f"{name} must be a number of 0 or more, not {params[name]!r}")
    return amount


def _venue(venue: VenueReconciliation) -> dict[str, Any]:
    """One venue's result as it is told; its P&L is told with the others'."""
    return {field: value for field, value in venue._asdict().items() if field != "pnl"}


def _settle(
    venues: Sequence[VenueEntry], systems: Sequence[SystemEntry], limits: Limits, params: Params
) -> Reconciliation:
    """Read again and again until the two sides agree, or stand still and differ, or the time is up.

    A fill on the wire or an order in flight makes a difference that the next read does not have; while either side
    moves, a difference proves nothing yet.
    """
    deadline = Deadline(params["timeout"])
    # A share for each read, so that one place that hangs leaves time to see the others again; and no read is begun
    # that has less, since it would make those unknown that answer well.
    share = params["timeout"] / (params["reads"] + 1)
    reads: list[Read] = []
    compared: list[Reconciliation] = []
    while True:
        reads = [*reads, _read(venues, systems, share)][-params["reads"] :]
        compared = [*compared, _compare(reads[-1], limits)][-params["reads"] :]
        found = settled(compared)
        still = len(reads) == params["reads"] and reads[-1].known()
        still = still and all(read.holdings() == reads[-1].holdings() for read in reads)
        if found.verdict == "reconciled" or still or deadline.remaining() < params["interval"] + share:
            return found
        time.sleep(params["interval"])


def _compare(read: Read, limits: Limits) -> Reconciliation:
    try:
        return reconcile(read.system, read.venues, limits.positions, limits.pnl)
    except (ValueError, ArithmeticError) as error:
        # One side said what no side can mean: it counts as not having said anything.
        why = f"the books cannot be compared: {error}"
        unsaid = [Book(book.exchange, None, None, why) for book in read.venues]
        return reconcile(unsaid, read.venues)


# Reading ------------------------------------------------------------------------------------------------------------


def _read(venues: Sequence[VenueEntry], systems: Sequence[SystemEntry], timeout: float) -> Read:
    said: dict[str, Answer[Any]] = answers(
        {
            "venues": lambda: read_venues(venues, _venue_answer, timeout),
            "systems": lambda: read_systems(systems, _system_answer, timeout),
        },
        Deadline(timeout + 0.1),
    )
    at_venues: Mapping[str, Answer[VenueAnswer]] = said["venues"].value or {}
    at_systems: Mapping[str, Answer[SystemAnswer]] = said["systems"].value or {}
    silent: Answer[Any] = Answer(None, "no answer in time")
    ours: list[Book] = []
    theirs: list[Book] = []
    for venue in venues:
        books = [_system_book(venue.name, entry.name, at_systems.get(entry.name, silent)) for entry in systems]
        book = _venue_book(venue.name, at_venues.get(venue.name, silent))
        if any(not held.account for ours_there in books for held in ours_there.positions or ()):
            books, book = [_without_accounts(one) for one in books], _without_accounts(book)
        ours += books
        theirs.append(book)
    return Read(tuple(ours), tuple(theirs))


def _venue_answer(venue: Venue) -> VenueAnswer:
    answer = VenueAnswer([], [])
    at_once([lambda: answer.positions.extend(venue.positions()), lambda: answer.orders.extend(venue.open_orders())])
    return answer


def _system_answer(system: TradingSystem) -> SystemAnswer:
    return SystemAnswer(system.positions(), system.open_orders())


def _venue_book(name: str, answer: Answer[VenueAnswer]) -> Book:
    if answer.value is None:
        return Book(name, None, None, answer.error or "")
    positions = [HeldPosition(name, held.line, held.symbol, held.qty) for held in answer.value.positions]
    orders = [
        LiveOrder(name, order.id, order.client_id, order.symbol, order.side, order.qty, order.price, order.line)
        for order in answer.value.orders
    ]
    valued = [
        Valued(
            name,
            held.line,
            held.symbol,
            held.qty,
            held.avg_price,
            held.unrealized_pnl,
            held.pnl_asset,
            held.mark_price,
            held.unit,
            held.notional_usd,
        )
        for held in answer.value.positions
    ]
    return Book(name, positions, orders, valued=valued)


def _system_book(name: str, system: str, answer: Answer[SystemAnswer]) -> Book:
    """What one trading system believes of one exchange; where it lists nothing of it, it believes that it is flat."""
    if answer.value is None:
        return Book(name, None, None, f"{system}: {answer.error}")
    here = [held for held in answer.value.positions if held.exchange == name]
    positions = [HeldPosition(name, held.account, held.symbol, held.qty) for held in here]
    valued = [
        Valued(name, held.account, held.symbol, held.qty, held.avg_price, held.unrealized_pnl_usd) for held in here
    ]
    orders = [
        LiveOrder(name, order.id, order.client_id, order.symbol, order.side, order.qty, order.price, order.account)
        for order in answer.value.orders
        if order.exchange == name
    ]
    return Book(name, positions, orders, valued=valued)


def _without_accounts(book: Book) -> Book:
    """For a trading system that does not say in which account it holds something: the exchange as a whole."""
    if book.positions is None:
        return book
    return book._replace(
        positions=[held._replace(account="") for held in book.positions],
        valued=[held._replace(account="") for held in book.valued],
    )


def _sentence(found: Reconciliation, pnl: Pnl) -> str:
    if found.verdict == "reconciled":
        return f"{found.reason}; {_pnl_sentence(pnl)}"
    told = [broken.sentence for broken in found.breaks[:TOLD]]
    more = len(found.breaks) - len(told)
    return "NOT RECONCILED: " + "; ".join([found.reason, *told, *([f"and {more} more"] if more > 0 else [])])


def _pnl_sentence(pnl: Pnl) -> str:
    told = [f"P&L of {len(pnl.positions)} agrees"] if pnl.positions else []
    told += [f"that of {len(pnl.not_compared)} could not be compared"] if pnl.not_compared else []
    return " and ".join(told) or "no P&L to compare"
