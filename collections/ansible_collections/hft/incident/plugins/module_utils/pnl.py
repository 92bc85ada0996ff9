# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Profit and loss against the venue's own: entry prices, and what each side says a position has made so far.

Runbook section 4, validation 3: "P&L matches expectations" compares a system with itself (seed-faults B6); here it is
compared with the venue. What cannot be compared is listed with the reason and never counts as equal. No I/O here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

#: Assets that count as one US dollar; their distance from it is far below any tolerance.
DOLLARS = frozenset(("USD", "ZUSD", "USDT", "USDC", "BUSD", "FDUSD", "PYUSD", "TUSD", "USDE", "USDG", "RLUSD", "DAI"))
#: How far (of the price) a market may move between our two reads, or a mark be from a last price.
MARKET_MOVE = Decimal("0.005")
ZERO = Decimal(0)

Key = tuple[str, str, str]


class PnlTolerances(NamedTuple):
    """``entry`` is a share of the price, ``pnl_usd`` comes on top of what the market may have moved meanwhile."""

    entry: Decimal = Decimal("0.0001")
    pnl_usd: Decimal = Decimal(100)


USUAL = PnlTolerances()


class Valued(NamedTuple):
    """A position as one side values it; None for what that side does not state."""

    exchange: str
    account: str
    symbol: str
    qty: Decimal
    entry_price: Decimal | None
    unrealized_pnl: Decimal | None  #: in pnl_asset
    pnl_asset: str = "USD"
    mark_price: Decimal | None = None
    unit: str = "base"  #: what qty counts: "base" | "contract" | "usd"
    notional_usd: Decimal | None = None


class Compared(NamedTuple):
    """A position whose P&L both sides state, in US dollars."""

    exchange: str
    account: str
    symbol: str
    ours_usd: Decimal
    venue_usd: Decimal


class NotCompared(NamedTuple):
    """What could not be compared, and why: a whole ``position``, or only its ``unrealized_pnl``. ``symbol`` is "" where
    it is all that the exchange has."""

    exchange: str
    account: str
    symbol: str
    what: Literal["position", "unrealized_pnl"]
    reason: str


class Mismatch(NamedTuple):
    """A difference beyond tolerance."""

    exchange: str
    account: str
    symbol: str
    field: Literal["entry_price", "unrealized_pnl"]
    system: Decimal
    venue: Decimal


class Pnl(NamedTuple):
    """``ours_usd`` and ``venue_usd`` add up the same positions; None where there are none."""

    ours_usd: Decimal | None = None
    venue_usd: Decimal | None = None
    positions: tuple[Compared, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()


class Comparison(NamedTuple):
    """One exchange's positions, one by one."""

    compared: tuple[Compared, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()
    mismatches: tuple[Mismatch, ...] = ()


def compare(system: Iterable[Valued], venue: Iterable[Valued], tolerances: PnlTolerances) -> Comparison:
    """Each position with its counterpart. Raises ArithmeticError for numbers beyond all measure."""
    ours, theirs = _grouped(system), _grouped(venue)
    compared: list[Compared] = []
    silent: list[NotCompared] = []
    mismatches: list[Mismatch] = []
    for key in sorted(ours.keys() | theirs.keys()):
        reason = _unpaired(ours.get(key, []), theirs.get(key, []))
        if reason:
            silent.append(NotCompared(*key, "position", reason))
            continue
        (mine,), (its,) = ours[key], theirs[key]
        mismatches += _entries(key, mine, its, tolerances)
        venue_usd = in_dollars(its)
        if isinstance(venue_usd, str) or mine.unrealized_pnl is None:
            reason = venue_usd if isinstance(venue_usd, str) else "the trading system states no P&L"
            silent.append(NotCompared(*key, "unrealized_pnl", reason))
            continue
        compared.append(Compared(*key, mine.unrealized_pnl, venue_usd))
        if abs(mine.unrealized_pnl - venue_usd) > tolerances.pnl_usd + MARKET_MOVE * size_usd(its):
            mismatches.append(Mismatch(*key, "unrealized_pnl", mine.unrealized_pnl, venue_usd))
    return Comparison(tuple(compared), tuple(silent), tuple(mismatches))


def total(parts: Iterable[Comparison]) -> Pnl:
    """What several exchanges make together."""
    compared: list[Compared] = []
    silent: list[NotCompared] = []
    for part in parts:
        compared += part.compared
        silent += part.not_compared
    if not compared:
        return Pnl(None, None, (), tuple(silent))
    ours = sum((row.ours_usd for row in compared), ZERO)
    venue = sum((row.venue_usd for row in compared), ZERO)
    return Pnl(ours, venue, tuple(compared), tuple(silent))


def in_dollars(held: Valued) -> Decimal | str:
    """What the position has made so far by the venue's books, in US dollars; a sentence where that cannot be told.

    Recomputed from the venue's entry price at its mark where what a unit is worth is known: some state only what was
    made since their last settlement. Else the venue's own figure.
    """
    entry, mark = held.entry_price, held.mark_price
    if entry and mark and held.unit == "usd":  # inverse: that many dollars' worth, at the entry price
        return held.qty * (mark - entry) / entry
    if entry is not None and mark is not None and held.unit == "base" and held.pnl_asset in DOLLARS:
        return held.qty * (mark - entry)
    if held.unrealized_pnl is None:
        return "the venue states neither a P&L nor what to recompute it from"
    if held.pnl_asset not in DOLLARS:
        return f"the venue counts its P&L in {held.pnl_asset or 'an asset that it does not name'}"
    return held.unrealized_pnl


def size_usd(held: Valued) -> Decimal:
    """What the position is worth, for the scale of what a moving market does to it; 0 where that is not known."""
    if held.notional_usd is not None:
        return abs(held.notional_usd)
    if held.unit == "usd":
        return abs(held.qty)
    if held.unit == "base" and held.pnl_asset in DOLLARS:
        return abs(held.qty * (held.mark_price or held.entry_price or ZERO))
    return ZERO


def _entries(key: Key, mine: Valued, its: Valued, tolerances: PnlTolerances) -> list[Mismatch]:
    ours, theirs = mine.entry_price, its.entry_price
    if ours is None or theirs is None or abs(ours - theirs) <= tolerances.entry * max(abs(ours), abs(theirs)):
        return []
    return [Mismatch(*key, "entry_price", ours, theirs)]


def _unpaired(ours: Sequence[Valued], theirs: Sequence[Valued]) -> str:
    """Why there is no pair of rows that could be compared, "" where there is."""
    if len(ours) > 1 or len(theirs) > 1:
        # Averages of parts that were opened and closed apart are not the average of the whole.
        who = "several trading systems hold it" if len(ours) > 1 else "the venue lists it in several parts"
        return f"{who}, so their entry prices do not add up"
    if not ours or not theirs:
        return f"{'the venue' if ours else 'the trading system'} does not list it"
    if ours[0].qty != theirs[0].qty:
        return "the quantities differ"
    if theirs[0].entry_price is None:
        return "the venue states no entry price"
    return "the trading system states no entry price" if ours[0].entry_price is None else ""


def _grouped(rows: Iterable[Valued]) -> Mapping[Key, list[Valued]]:
    grouped: dict[Key, list[Valued]] = {}
    for row in rows:
        if row.qty:
            grouped.setdefault((row.exchange, row.account, row.symbol), []).append(row)
    return grouped
