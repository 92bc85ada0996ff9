# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What an incident did: time without trading, orders cancelled, exposure and P&L minute by minute, missed fills.

Pure rules over events. Of every minute the last measurement is shown, after the first hour of every ten minutes; the
curves are drawn through the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.chain import Event

from .metrics import Metrics, instant, items, rows, word
from .report_tables import NOT_KNOWN, Row, Table, clock, day_of, of, seconds, shown, since
from .sentences import plain

#: Minutes after the opening that are shown one by one, and how many make a row after them.
BY_MINUTE, THEN_BY = 60, 10
RULE = f"The last measurement of each minute; from {BY_MINUTE} minutes after the opening on, of every {THEN_BY}."
#: More assets than this beside each other would not fit on paper.
ASSETS_A_TABLE = 5
#: A position that differs, an entry price that differs, an order that we believe open and the venue does not list.
FILL_BREAKS = ("missing_at_venue", "missing_in_system", "sign_mismatch", "quantity_mismatch", "pnl", "ghost_order")
EXPOSURE, PNL, RECONCILED = "exposure.measured", "pnl.measured", "positions.reconciled"


class Reading(NamedTuple):
    """One measured value of a curve. ``value`` None: it was asked for and is not known. ``text``: as the journal has
    it; ``partial``: something may be missing from it."""

    event: Event
    value: float | None
    text: str
    partial: bool


class Series(NamedTuple):
    name: str
    unit: str
    readings: tuple[Reading, ...]


def tables(events: Sequence[Event], metrics: Metrics) -> tuple[Table, ...]:
    """The section on impact."""
    return (
        _restricted(metrics),
        _cancelled(events),
        _strategies(events),
        *_exposure(events),
        _pnl(events),
        _missed_fills(events),
    )


def series(events: Sequence[Event]) -> list[Series]:
    """What can be drawn: unrealized P&L, then the net exposure in every asset whose price moves."""
    measured = by_minute(events, of(events, EXPOSURE))
    risky = dict.fromkeys(
        word(asset.get("asset")) for event in measured for asset in _assets(event) if asset.get("stable") is not True
    )
    pnl = tuple(_reading(event, event.data.get("total_usd"), False) for event in by_minute(events, of(events, PNL)))
    nets = (Series(plain(name), "net", tuple(_net(event, name) for event in measured)) for name in risky)
    return [one for one in (Series("Unrealized P&L", "USD", pnl), *nets) if one.readings]


def by_minute(events: Sequence[Event], measured: Sequence[Event]) -> list[Event]:
    """The last of each kind in every minute or ten; one whose time cannot be read stands by itself."""
    opened = next((moment for event in events if (moment := instant(event.at))), None)
    kept: dict[object, Event] = {}
    for event in measured:
        moment = instant(event.at)
        minute = int((moment - opened).total_seconds() // 60) if moment and opened else None
        key: object = event.seq if minute is None else (event.kind, _stretch(minute))
        kept[key] = event
    return list(kept.values())


def _stretch(minute: int) -> int:
    return minute if minute < BY_MINUTE else BY_MINUTE + (minute - BY_MINUTE) // THEN_BY * THEN_BY


def _assets(event: Event) -> list[Mapping[str, Any]]:
    return rows(event.data, "assets")


def _of_asset(event: Event, name: str) -> Mapping[str, Any] | None:
    return next((asset for asset in _assets(event) if word(asset.get("asset")) == name), None)


def _net(event: Event, name: str) -> Reading:
    """An asset that a whole measurement does not list is one that nothing is held of."""
    asset, whole = _of_asset(event, name), event.data.get("partial") is False
    if asset is None:
        return Reading(event, 0.0, "none", False) if whole else Reading(event, None, NOT_KNOWN, True)
    return _reading(event, asset.get("net"), asset.get("partial") is not False)


def _reading(event: Event, value: object, partial: bool) -> Reading:
    return Reading(event, figure(value), shown(value), partial)


def figure(value: object) -> float | None:
    """A decimal of the journal as far as a picture needs it; None for what is no number or beyond all sense."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = Decimal(value)
    except (InvalidOperation, ValueError):
        return None
    return float(found) if found.is_finite() and found.copy_abs() < Decimal("1e30") else None


def _restricted(metrics: Metrics) -> Table:
    span = metrics.spans["restricted"]
    row = Row(("Trading stopped or restricted", seconds(span.seconds), plain(span.why)), span.lines)
    return Table("Time without trading", ("Measure", "Time", "Because"), (row,), "")


def _cancelled(events: Sequence[Event]) -> Table:
    """The sum of what every kill says it cancelled; one that does not know makes the sum unknown, not smaller."""
    found: dict[str, list[tuple[int, object]]] = {}
    for event in of(events, "kill.verified"):
        for venue in rows(event.data, "venues"):
            found.setdefault(word(venue.get("name")), []).append((event.seq, venue.get("cancelled")))
    told = []
    for name, counts in found.items():
        known = [count for _, count in counts if isinstance(count, int) and not isinstance(count, bool)]
        total = str(sum(known)) if len(known) == len(counts) else NOT_KNOWN
        told.append(Row((shown(name), total), tuple(line for line, _ in counts)))
    return Table("Orders cancelled", ("Venue", "Orders cancelled, all kills"), tuple(told), "No kill is on record.")


def _strategies(events: Sequence[Event]) -> Table:
    stopped: dict[tuple[str, str], Event] = {}
    told: dict[tuple[str, str, int], Row] = {}
    for event in of(events, "strategies.stopped", "strategies.started", "strategy.started"):
        system = word(event.data.get("trading_system"))
        ids = [event.data.get("id")] if event.kind == "strategy.started" else items(event.data, "ids")
        for name in map(word, ids):
            key = (system, name)
            if event.kind == "strategies.stopped":
                stopped.setdefault(key, event)
                first = stopped[key]
                told[*key, first.seq] = Row(
                    (shown(name), shown(system), shown(first.at), NOT_KNOWN, "still stopped"), (first.seq,), "bad"
                )
            elif began := stopped.pop(key, None):
                cells = (shown(name), shown(system), shown(began.at), shown(event.at), since(began, event))
                told[*key, began.seq] = Row(cells, (began.seq, event.seq))
    columns = ("Strategy", "Trading system", "Stopped", "Trades again", "For")
    return Table("Strategies", columns, tuple(told.values()), "No strategy was stopped on record.")


def _exposure(events: Sequence[Event]) -> Iterator[Table]:
    """A column an asset, so many to a table."""
    measured, day = by_minute(events, of(events, EXPOSURE)), day_of(events)
    names = list(dict.fromkeys(word(asset.get("asset")) for event in measured for asset in _assets(event)))
    for start in range(0, max(len(names), 1), ASSETS_A_TABLE):
        here = names[start : start + ASSETS_A_TABLE]
        told = [
            Row(
                (clock(event.at, day), *(_amounts(event, name) for name in here), _not_in_it(event)),
                (event.seq,),
                "" if event.data.get("partial") is False else "bad",
            )
            for event in measured
        ]
        columns = ("At (UTC)", *(f"{shown(name)} net (gross)" for name in here), "Not in these figures")
        title = "Exposure by minute" if start == 0 else "Exposure by minute, more assets"
        yield Table(title, columns, tuple(told), "Exposure was not measured on record.", RULE)


def _amounts(event: Event, name: str) -> str:
    asset = _of_asset(event, name)
    if asset is None:
        return "none" if event.data.get("partial") is False else NOT_KNOWN
    partial = "" if asset.get("partial") is False else ", partial"
    return f"{shown(asset.get('net'))} ({shown(asset.get('gross'))}){partial}"


def _not_in_it(event: Event) -> str:
    """The venues that did not say, and the positions whose size in the asset is not known."""
    unknown = event.data.get("unknown")
    told = [f"{plain(word(name))}: {shown(why)}" for name, why in unknown.items()] if isinstance(unknown, dict) else []
    for leg in rows(event.data, "not_netted"):
        told.append(" ".join(shown(leg.get(name)) for name in ("exchange", "symbol", "qty", "unit")))
    if not told:
        return "" if event.data.get("partial") is False else NOT_KNOWN
    return _joined(told)


def _joined(told: Sequence[str]) -> str:
    return shown("; ".join(told)) if told else ""


def _pnl(events: Sequence[Event]) -> Table:
    """By the trading systems' own word once a minute, and as a reconciliation compared it with the venues'."""
    day = day_of(events)
    stated = [event for event in of(events, PNL, RECONCILED) if event.kind == PNL or _pnl_of(event)]
    told = [_PNL_ROWS[event.kind](event, day) for event in sorted(by_minute(events, stated), key=lambda one: one.seq)]
    columns = ("At (UTC)", "Measured by", "Unrealized, ours (USD)", "Unrealized, venues (USD)", "Positions compared",
               "Not in these figures")  # fmt: skip
    return Table("Profit and loss by minute", columns, tuple(told), "Profit and loss is not on record.", RULE)


def _pnl_measured(event: Event, day: str) -> Row:
    silent = [
        f"{shown(system.get('name'))}: {shown(system.get('error'))}"
        for system in rows(event.data, "systems")
        if system.get("unrealized_usd") is None
    ]
    silent += [shown(event.data["error"])] if event.data.get("error") else []
    total = event.data.get("total_usd")
    cells = (clock(event.at, day), "the trading systems", shown(total), "", "", _joined(silent))
    return Row(cells, (event.seq,), "bad" if silent or total is None else "")


def _pnl_of(event: Event) -> Mapping[str, Any]:
    """What a reconciliation says on P&L, which one of an earlier version does not."""
    found = event.data.get("pnl")
    return found if isinstance(found, Mapping) else {}


def _pnl_reconciled(event: Event, day: str) -> Row:
    pnl = _pnl_of(event)
    silent = [
        f"{' '.join(shown(row[name]) for name in ('exchange', 'symbol') if row.get(name))}: {shown(row.get('reason'))}"
        for row in rows(pnl, "not_compared")
    ]
    figures = (shown(pnl.get(name)) for name in ("ours_usd", "venue_usd", "compared"))
    cells = (clock(event.at, day), "a reconciliation", *figures, _joined(silent))
    return Row(cells, (event.seq,), "bad" if silent else "")


_PNL_ROWS = {PNL: _pnl_measured, RECONCILED: _pnl_reconciled}


def _missed_fills(events: Sequence[Event]) -> Table:
    """Each break that a fill explains which our books do not have, once, with every reconciliation that found it."""
    found: dict[str, tuple[Mapping[str, Any], list[int]]] = {}
    proven = False
    for event in of(events, RECONCILED):
        for venue in rows(event.data, "venues"):
            proven = proven or venue.get("verdict") in ("reconciled", "breaks")
            for item in rows(venue, "breaks"):
                if _is_fill(item):
                    found.setdefault(word(item), (item, []))[1].append(event.seq)
    names = ("exchange", "symbol", "kind", "system", "venue", "difference", "sentence")
    told = [
        Row(tuple(shown(item.get(name)) for name in names), tuple(dict.fromkeys(lines)), "bad")
        for item, lines in found.values()
    ]
    columns = ("Venue", "Symbol", "Kind", "Ours", "Venue's", "Difference", "What it is")
    missing = "No missed fill is on record." if proven else (
        "Nothing on record measures them: positions were not reconciled, or no reconciliation came to a result."
    )  # fmt: skip
    return Table("Missed fills", columns, tuple(told), missing)


def _is_fill(item: Mapping[str, Any]) -> bool:
    """A P&L that differs at the same entry price is the market's, not a fill's."""
    return item.get("kind") in FILL_BREAKS and (item.get("kind") != "pnl" or item.get("field") == "entry_price")
