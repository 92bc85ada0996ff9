# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What the trading system believes against what each venue says: positions, their P&L, open orders, in exact decimals.

Nothing may trade again before this says ``reconciled`` (seed-faults D2). The word is earned: a side that did not answer
is never read as "flat", a listing that contradicts itself proves nothing, and a break that went away between two reads
counts as settled only once a read shows none. No I/O here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Literal, NamedTuple

from .pnl import USUAL, Comparison, Mismatch, NotCompared, PnlTolerances, Valued, compare

BreakKind = Literal[
    "missing_at_venue",
    "missing_in_system",
    "sign_mismatch",
    "quantity_mismatch",
    "pnl",
    "orphan_order",
    "ghost_order",
    "order_mismatch",
]
Field = Literal["qty", "entry_price", "unrealized_pnl", "side", "price"]
Verdict = Literal["reconciled", "breaks", "unproven"]
Tolerances = Mapping[str, Decimal]

ZERO = Decimal(0)
#: Sums must be exact or fail loudly; the default context would round silently at 28 digits.
_EXACT = Context(prec=400, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact, InvalidOperation, Overflow])


class HeldPosition(NamedTuple):
    """A holding as one side states it. ``qty`` is signed (short is negative); both sides must use the same unit."""

    exchange: str
    account: str
    symbol: str
    qty: Decimal


class LiveOrder(NamedTuple):
    """An open order as one side states it. At least one id; "" where that id is not known (an order in flight)."""

    exchange: str
    order_id: str
    client_id: str
    symbol: str
    side: str  #: "buy" | "sell"
    remaining: Decimal  #: may be 0: some venues list "close the position" orders so
    price: Decimal | None  #: None: no limit price
    account: str = ""  #: told to the reader; not part of the order's identity, as the venue's ids are unique without it


class Book(NamedTuple):
    """What one side says about one exchange. None means it did not say, which is not the same as "nothing"."""

    exchange: str
    positions: Sequence[HeldPosition] | None
    orders: Sequence[LiveOrder] | None
    why: str = ""  #: why something is None, for the reader
    valued: Sequence[Valued] = ()  #: the positions once more, with what this side says they are worth


class Break(NamedTuple):
    """One difference somebody must explain. Positions: ``system``/``venue`` are quantities, 0 where not listed.
    P&L: the value of ``field``, US dollars for ``unrealized_pnl``.
    Orders: the remaining quantity (None where not listed), or for ``order_mismatch`` the value of ``field``.
    ``difference`` is venue minus system (what is not listed counts as 0); None where it makes no sense (sides)."""

    kind: BreakKind
    exchange: str
    account: str
    symbol: str
    order_id: str
    client_id: str
    field: Field
    system: Decimal | str | None
    venue: Decimal | str | None
    difference: Decimal | None
    sentence: str


class Drift(NamedTuple):
    """A position difference within tolerance: no break, but not hidden either."""

    exchange: str
    account: str
    symbol: str
    system: Decimal
    venue: Decimal
    difference: Decimal
    tolerance: Decimal


class Duplicate(NamedTuple):
    """An order that one side listed more than once. ``contradictory``: not with the same content each time."""

    side_of: Literal["system", "venue"]
    exchange: str
    symbol: str
    order_id: str
    client_id: str
    times: int
    contradictory: bool


class VenueReconciliation(NamedTuple):
    """The result for one exchange; ``why`` says what is not proven, whatever the verdict."""

    exchange: str
    verdict: Verdict
    why: str
    breaks: tuple[Break, ...]
    drifts: tuple[Drift, ...]
    duplicates: tuple[Duplicate, ...]
    pnl: Comparison = Comparison()


class Reconciliation(NamedTuple):
    """``breaks`` if any exchange has one, else ``unproven`` if any is or nothing was compared, else ``reconciled``."""

    verdict: Verdict
    reason: str
    venues: tuple[VenueReconciliation, ...]

    @property
    def breaks(self) -> tuple[Break, ...]:
        return tuple(found for venue in self.venues for found in venue.breaks)


def reconcile(
    system: Iterable[Book],
    venues: Iterable[Book],
    tolerances: Tolerances | None = None,
    pnl_tolerances: PnlTolerances = USUAL,
) -> Reconciliation:
    """Compare the two sides over every exchange that either names.

    Several books for one exchange (one an account) are joined. An exchange that only one side has a book for is
    ``unproven``: give ``system`` only the exchanges in question. Position tolerances are absolute and inclusive,
    looked up by ``tolerance_for``; orders must agree exactly. Raises ValueError for a row that no side can mean
    (wrong exchange, no id, an unknown side, NaN) and for a negative tolerance; ArithmeticError for a sum of more than
    400 digits. Results are NamedTuples of plain values: ``redaction.recordable`` makes them JSON.
    """
    ours, theirs = _joined(system), _joined(venues)
    results = tuple(
        _reconcile_one(
            ours.get(name, Book(name, None, None, "not asked")),
            theirs.get(name, Book(name, None, None, "not asked")),
            tolerances or {},
            pnl_tolerances,
        )
        for name in sorted(ours.keys() | theirs.keys())
    )
    return _overall(results)


def persistent(breaks_by_read: Sequence[Sequence[Break]]) -> tuple[Break, ...]:
    """The last read's breaks whose position or order was broken in every read, oldest read first.

    A fill on the wire or an order in flight is gone by the next read. What is compared is the position or order, not
    the kind or the size: a position that is wrong in another way each time is still wrong each time.
    """
    if not breaks_by_read:
        return ()
    *earlier, last = breaks_by_read
    seen = [{subject for found in read for subject in _subjects(found)} for read in earlier]
    return tuple(found for found in last if all(subjects & _subjects(found) for subjects in seen))


def settled(reads: Sequence[Reconciliation]) -> Reconciliation:
    """One result from successive reads, oldest first: only persistent breaks are breaks.

    A break in the last read that is too young to be persistent makes its exchange ``unproven``, since nothing has
    shown it gone: read again. So ``reconciled`` always rests on a last read without any break.
    """
    if not reads:
        return _overall(())
    lasting = set(persistent([read.breaks for read in reads]))
    venues = [_settled_venue(venue, lasting) for venue in reads[-1].venues]
    lost = {venue.exchange for read in reads for venue in read.venues} - {venue.exchange for venue in venues}
    venues += [VenueReconciliation(name, "unproven", "not in the last read", (), (), ()) for name in lost]
    return _overall(tuple(sorted(venues, key=lambda venue: venue.exchange)))


def tolerance_for(tolerances: Tolerances, exchange: str, symbol: str) -> Decimal:
    """The tolerance in the position's own unit: by "exchange:symbol", else "symbol", else "*", else 0."""
    for key in (f"{exchange}:{symbol}", symbol, "*"):
        if key in tolerances:
            found = tolerances[key]
            if not found.is_finite() or found < 0:
                raise ValueError(f"tolerance {key!r}: must be a number of 0 or more, not {found}")
            return found
    return ZERO


def parse_tolerances(raw: Mapping[str, object]) -> dict[str, Decimal]:
    """Tolerances from configuration: decimal strings or whole numbers. Raises ValueError naming the entry; a float is
    refused, as it is not the number that was written."""
    parsed = {}
    for key, value in raw.items():
        if isinstance(value, (bool, float)) or not isinstance(value, (str, int, Decimal)):
            raise ValueError(f"tolerance {key!r}: write the number in quotes")
        try:
            parsed[key] = Decimal(value)
        except InvalidOperation:
            raise ValueError(f"tolerance {key!r}: {value!r} is not a number") from None
        tolerance_for(parsed, "", key)
    return parsed


# One exchange -------------------------------------------------------------------------------------------------------


def _reconcile_one(
    system: Book, venue: Book, tolerances: Tolerances, pnl_tolerances: PnlTolerances
) -> VenueReconciliation:
    unproven = [
        f"{who}'s {what} are not known: {book.why or 'no answer'}"
        for who, book in (("the trading system", system), ("the venue", venue))
        for what, rows in (("positions", book.positions), ("open orders", book.orders))
        if rows is None
    ]
    breaks: list[Break] = []
    drifts: list[Drift] = []
    duplicates: list[Duplicate] = []
    if system.positions is not None and venue.positions is not None:
        breaks, drifts = _compare_positions(system.positions, venue.positions, tolerances)
        pnl = compare(system.valued, venue.valued, pnl_tolerances)
        breaks += [_pnl_break(found) for found in pnl.mismatches]
    else:
        silence = NotCompared(system.exchange, "", "", "position", unproven[0])
        pnl = Comparison(not_compared=(silence,))
    if system.orders is not None and venue.orders is not None:
        ours, our_duplicates = _distinct("system", system.orders)
        theirs, their_duplicates = _distinct("venue", venue.orders)
        duplicates = our_duplicates + their_duplicates
        breaks += _compare_orders(ours, theirs)
        unproven += [
            f"the {found.side_of} lists order {found.order_id or found.client_id} in {found.times} versions"
            for found in duplicates
            if found.contradictory
        ]
    verdict: Verdict = "breaks" if breaks else "unproven" if unproven else "reconciled"
    return VenueReconciliation(
        system.exchange, verdict, "; ".join(unproven), tuple(breaks), tuple(drifts), tuple(duplicates), pnl
    )


def _overall(venues: tuple[VenueReconciliation, ...]) -> Reconciliation:
    broken = [venue for venue in venues if venue.verdict == "breaks"]
    open_questions = [f"{venue.exchange}: {venue.why}" for venue in venues if venue.why]
    if broken:
        counts = ", ".join(f"{venue.exchange} {len(venue.breaks)}" for venue in broken)
        return Reconciliation("breaks", "; ".join([f"breaks at {counts}", *open_questions]), venues)
    if open_questions:
        return Reconciliation("unproven", "; ".join(open_questions), venues)
    if not venues:
        return Reconciliation("unproven", "nothing was compared", venues)
    names = ", ".join(venue.exchange for venue in venues)
    return Reconciliation("reconciled", f"positions and open orders agree at {names}", venues)


def _settled_venue(venue: VenueReconciliation, lasting: set[Break]) -> VenueReconciliation:
    breaks = tuple(found for found in venue.breaks if found in lasting)
    why = venue.why
    if young := len(venue.breaks) - len(breaks):
        why = "; ".join(filter(None, (why, f"differences not yet seen in every read: {young}, read again")))
    verdict: Verdict = "breaks" if breaks else "unproven" if why else "reconciled"
    return venue._replace(verdict=verdict, why=why, breaks=breaks)


# Positions ----------------------------------------------------------------------------------------------------------

_POSITION_ADVICE: dict[str, str] = {
    "missing_at_venue": (
        "the trading system holds {system}, the venue nothing: look for a liquidation, a delivery or a missed fill, "
        "then correct the trading system"
    ),
    "missing_in_system": (
        "the venue holds {venue}, the trading system knows of nothing: find the fills in the venue's history, "
        "then correct the trading system before it trades"
    ),
    "sign_mismatch": (
        "the trading system holds {system}, the venue {venue}, the other way round: stop every hedge of it, "
        "then correct the trading system from the venue's fills"
    ),
    "quantity_mismatch": (
        "the trading system holds {system}, the venue {venue} ({difference}): compare the fills since the last "
        "agreement, then correct the trading system"
    ),
}


def _compare_positions(
    system: Sequence[HeldPosition], venue: Sequence[HeldPosition], tolerances: Tolerances
) -> tuple[list[Break], list[Drift]]:
    ours, theirs = _sums(system), _sums(venue)
    breaks, drifts = [], []
    for key in sorted(ours.keys() | theirs.keys()):
        held, there = ours.get(key, ZERO), theirs.get(key, ZERO)
        difference = _EXACT.subtract(there, held)
        if not difference:
            continue
        exchange, account, symbol = key
        tolerance = tolerance_for(tolerances, exchange, symbol)
        if difference.copy_abs() <= tolerance:  # abs() would round to the default context
            drifts.append(Drift(*key, held, there, difference, tolerance))
            continue
        kind = _position_kind(held, there)
        where = " ".join(filter(None, (exchange, account, symbol)))
        advice = _POSITION_ADVICE[kind].format(system=f"{held:f}", venue=f"{there:f}", difference=f"{difference:+f}")
        breaks.append(
            Break(kind, exchange, account, symbol, "", "", "qty", held, there, difference, f"{where}: {advice}")
        )
    return breaks, drifts


_PNL_ADVICE: dict[str, str] = {
    "entry_price": (
        "the trading system says it was entered at {system}, the venue at {venue} ({difference}): look for missed or "
        "doubled fills that cancel out in the quantity, then correct the trading system"
    ),
    "unrealized_pnl": (
        "the trading system says it has made {system} USD so far, the venue {venue} USD ({difference}): compare mark "
        "prices, contract values and fees before any limit that rests on P&L is trusted"
    ),
}


def _pnl_break(found: Mismatch) -> Break:
    exchange, account, symbol = found.exchange, found.account, found.symbol
    difference = found.venue - found.system
    where = " ".join(filter(None, (exchange, account, symbol)))
    advice = _PNL_ADVICE[found.field].format(
        system=f"{found.system:f}", venue=f"{found.venue:f}", difference=f"{difference:+f}"
    )
    values = (found.system, found.venue, difference)
    return Break("pnl", exchange, account, symbol, "", "", found.field, *values, f"{where}: {advice}")


def _position_kind(held: Decimal, there: Decimal) -> BreakKind:
    if not there:
        return "missing_at_venue"
    if not held:
        return "missing_in_system"
    return "quantity_mismatch" if (held > 0) == (there > 0) else "sign_mismatch"


def _sums(rows: Sequence[HeldPosition]) -> dict[tuple[str, str, str], Decimal]:
    sums: dict[tuple[str, str, str], Decimal] = {}
    for row in rows:
        key = (row.exchange, row.account, row.symbol)
        sums[key] = _EXACT.add(sums.get(key, ZERO), row.qty)
    return sums


# Orders -------------------------------------------------------------------------------------------------------------

_ORDER_ADVICE: dict[str, str] = {
    "orphan_order": "is live at the venue and unknown to the trading system: cancel it at the venue, nobody manages it",
    "ghost_order": (
        "is open in the trading system but not at the venue: look for its fill or cancel in the venue's history, "
        "then close it in the trading system"
    ),
    "order_mismatch": (
        "has {field} {system} in the trading system and {venue} at the venue: cancel it at the venue and look for "
        "missed fills or amendments"
    ),
}
_COMPARED: tuple[tuple[Field, Callable[[LiveOrder], Decimal | str | None]], ...] = (
    ("side", lambda order: order.side),
    ("qty", lambda order: order.remaining),
    ("price", lambda order: order.price),
)


def _distinct(
    side_of: Literal["system", "venue"], rows: Sequence[LiveOrder]
) -> tuple[list[LiveOrder], list[Duplicate]]:
    """Each order once, in a fixed order, and what was listed more than once. Pages overlap, so a repeated row is
    harmless; of two versions the first in that order is compared, and the contradiction is reported."""
    versions: dict[tuple[str, ...], list[LiveOrder]] = {}
    for row in sorted(rows, key=_order_of_rows):
        # Some venues number orders within a symbol, so the id alone is no key.
        key = (row.symbol, "id", row.order_id) if row.order_id else (row.symbol, "client", row.client_id)
        versions.setdefault(key, []).append(row)
    duplicates = [
        Duplicate(side_of, row.exchange, row.symbol, row.order_id, row.client_id, len(same), len(set(same)) > 1)
        for (row, *_others), same in ((same, same) for same in versions.values())
        if len(same) > 1
    ]
    return [same[0] for same in versions.values()], duplicates


def _compare_orders(system: list[LiveOrder], venue: list[LiveOrder]) -> list[Break]:
    pairs, ghosts, orphans = _matched(system, venue)
    breaks = [_order_break("ghost_order", ours, "qty", ours.remaining, None) for ours in ghosts]
    breaks += [_order_break("orphan_order", theirs, "qty", None, theirs.remaining) for theirs in orphans]
    breaks += [
        _order_break("order_mismatch", theirs, field, value_of(ours), value_of(theirs))
        for ours, theirs in pairs
        for field, value_of in _COMPARED
        if value_of(ours) != value_of(theirs)
    ]
    return sorted(breaks, key=lambda found: (found.symbol, found.order_id, found.client_id, found.kind, found.field))


def _matched(
    system: list[LiveOrder], venue: list[LiveOrder]
) -> tuple[list[tuple[LiveOrder, LiveOrder]], list[LiveOrder], list[LiveOrder]]:
    """Pairs (system, venue), then what only the system lists and what only the venue lists.

    By the venue's id; by client id only while one side has not learned the venue's: a replaced order may keep its
    client id, and the system could not cancel it by the id it believes in.
    """
    by_id = {(theirs.symbol, theirs.order_id): theirs for theirs in venue if theirs.order_id}
    pairs = [(ours, by_id[key]) for ours in system if (key := (ours.symbol, ours.order_id)) in by_id]
    done = {order for pair in pairs for order in pair}
    by_client: dict[tuple[str, str], list[LiveOrder]] = {}
    for theirs in venue:
        if theirs not in done:
            by_client.setdefault((theirs.symbol, theirs.client_id), []).append(theirs)
    ghosts = []
    for ours in (order for order in system if order not in done):
        candidates = by_client.get((ours.symbol, ours.client_id), [])
        match = next((theirs for theirs in candidates if not (ours.order_id and theirs.order_id)), None)
        if match is None:
            ghosts.append(ours)
        else:
            candidates.remove(match)
            pairs.append((ours, match))
    matched = {theirs for _ours, theirs in pairs}
    return pairs, ghosts, [theirs for theirs in venue if theirs not in matched]


def _order_break(
    kind: BreakKind,
    order: LiveOrder,
    field: Field,
    system: Decimal | str | None,
    venue: Decimal | str | None,
) -> Break:
    price = "without a limit" if order.price is None else f"at {order.price:f}"
    what = f"{order.exchange} {order.symbol} order {order.order_id or order.client_id}"
    terms = f"({order.side} {order.remaining:f} {price})"
    advice = _ORDER_ADVICE[kind].format(field=field, system=_text(system), venue=_text(venue))
    return Break(
        kind,
        order.exchange,
        order.account,
        order.symbol,
        order.order_id,
        order.client_id,
        field,
        system,
        venue,
        _difference(kind, system, venue),
        f"{what} {terms} {advice}",
    )


def _difference(kind: BreakKind, system: Decimal | str | None, venue: Decimal | str | None) -> Decimal | None:
    if kind != "order_mismatch":  # one side does not list it: nothing remains there
        system, venue = system or ZERO, venue or ZERO
    if isinstance(system, Decimal) and isinstance(venue, Decimal):
        return _EXACT.subtract(venue, system)
    return None


def _text(value: Decimal | str | None) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else value or "none"


# Input --------------------------------------------------------------------------------------------------------------


def _joined(books: Iterable[Book]) -> dict[str, Book]:
    joined: dict[str, Book] = {}
    for book in books:
        _check(book)
        known = joined.get(book.exchange)
        joined[book.exchange] = book if known is None else _join(known, book)
    return joined


def _join(one: Book, other: Book) -> Book:
    """Two books of one exchange as one; what either does not know, the join does not."""
    positions = None if one.positions is None or other.positions is None else [*one.positions, *other.positions]
    orders = None if one.orders is None or other.orders is None else [*one.orders, *other.orders]
    why = "; ".join(filter(None, (one.why, other.why)))
    return Book(one.exchange, positions, orders, why, [*one.valued, *other.valued])


def _check(book: Book) -> None:
    names = {row.exchange for row in book.positions or ()} | {row.exchange for row in book.orders or ()}
    names |= {row.exchange for row in book.valued}
    if strangers := names - {book.exchange}:
        raise ValueError(f"the book of {book.exchange!r} has rows of {sorted(strangers)}")
    for position in book.positions or ():
        if not position.qty.is_finite():
            raise ValueError(f"{book.exchange} {position.symbol}: quantity {position.qty}")
    for order in book.orders or ():
        if not (order.order_id or order.client_id):
            raise ValueError(f"{book.exchange} {order.symbol}: an order without an id")
        if order.side not in ("buy", "sell"):
            raise ValueError(f"{book.exchange} {order.symbol}: side {order.side!r}")
        if not order.remaining.is_finite() or not (order.price is None or order.price.is_finite()):
            raise ValueError(f"{book.exchange} {order.symbol}: quantity {order.remaining}, price {order.price}")


def _order_of_rows(row: LiveOrder) -> tuple[object, ...]:
    price = (row.price is None, row.price or ZERO)
    return (row.symbol, row.order_id, row.client_id, row.side, row.remaining, price, row.account)


def _subjects(found: Break) -> set[tuple[str, ...]]:
    """The names by which a break's position or order may be met again; an order may learn its id between two reads."""
    if found.kind in _POSITION_ADVICE:
        return {("position", found.exchange, found.account, found.symbol)}
    if found.kind == "pnl":
        return {("pnl", found.exchange, found.account, found.symbol)}
    ids = (("id", found.order_id), ("client", found.client_id))
    return {("order", found.exchange, found.symbol, name, value) for name, value in ids if value}
