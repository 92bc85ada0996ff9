# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Exposure and P&L minute by minute, and the fills that were missed: what the record says, and nothing it does not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.long_incident import long_incident
from tests.unit.test_metrics import OPENED, Told, journal

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.redaction import iso_utc
from hft_incident.metrics import measure
from hft_incident.report_impact import BY_MINUTE, THEN_BY, by_minute, figure, series, tables

LONG = long_incident()
START = datetime.fromisoformat(LONG[0].at)


def rows(title: str, events: Sequence[Event] = LONG) -> list[tuple[str, ...]]:
    (table,) = (table for table in tables(events, measure(events)) if table.title == title)
    return [row.cells for row in table.rows]


def missing(events: Sequence[Event]) -> str:
    return next(table.missing for table in tables(events, measure(events)) if table.title == "Missed fills")


def measured(*seconds: float) -> list[Event]:
    """P&L at so many seconds after the opening."""
    events = journal((0, "incident.opened", {}), *((0, "pnl.measured", {"total_usd": str(n)}) for n in seconds))
    moments = [0.0, *seconds]
    return [event._replace(at=iso_utc(START + timedelta(seconds=s))) for event, s in zip(events, moments, strict=True)]


def test_every_minute_has_its_last_measurement() -> None:
    exposure = rows("Exposure by minute")
    assert len(exposure) == 36
    assert exposure[0] == ("10:00:21", "-0.288 (4.788)", "12.39 (40.25)", "307.2 (912.5)", "249580.00 (250000)", "")
    assert exposure[4][1] == "-0.728 (5.228), partial"
    assert exposure[4][-1] == "okx: no answer within 5 s"
    pnl = rows("Profit and loss by minute")
    assert len(pnl) == 38
    assert pnl[15] == ("10:15:05", "a reconciliation", "-3310.2", "-3344.9", "3", "")
    assert pnl[21] == ("10:20:22", "the trading systems", "not on record", "", "", "hft-2: timed out")


@settings(deadline=None)
@given(st.lists(st.floats(0, 5 * 3600), max_size=30).map(sorted))
def test_of_each_minute_and_after_an_hour_of_each_ten_the_last_is_kept(seconds: list[float]) -> None:
    events = measured(*seconds)
    kept = by_minute(events, events[1:])

    def stretch(event: Event) -> int:
        minute = int((datetime.fromisoformat(event.at) - START).total_seconds() // 60)
        return minute if minute < BY_MINUTE else minute // THEN_BY * THEN_BY

    assert kept == [
        event
        for event, following in zip(events[1:], [*events[2:], None], strict=False)
        if following is None or stretch(following) != stretch(event)
    ]


def test_an_incident_of_three_hours_is_72_rows() -> None:
    assert len(rows("Profit and loss by minute", measured(*range(5, 3 * 3600, 20)))) == 60 + 12


def asset(name: str, net: Any, **more: Any) -> dict[str, Any]:
    return {"asset": name, "net": net, "gross": "9", "partial": False, "stable": False, **more}


def exposure(*assets: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"partial": False, "unknown": {}, "assets": list(assets), "not_netted": [], **more}


LEG = {"exchange": "deribit", "symbol": "BTC-PERPETUAL", "qty": "100", "unit": "usd"}


def test_an_asset_that_is_not_listed_is_none_only_where_nothing_is_missing() -> None:
    events = journal(
        OPENED,
        (70, "exposure.measured", exposure(asset("BTC", "1.5"))),
        (130, "exposure.measured", exposure()),
        (190, "exposure.measured", exposure(partial=True, not_netted=[LEG])),
    )
    assert rows("Exposure by minute", events) == [
        ("10:01:10", "1.5 (9)", ""),
        ("10:02:10", "none", ""),
        ("10:03:10", "not on record", "deribit BTC-PERPETUAL 100 usd"),
    ]
    (btc,) = series(events)
    assert [(reading.value, reading.partial) for reading in btc.readings] == [(1.5, False), (0.0, False), (None, True)]


def test_many_assets_are_tables_that_fit_on_paper() -> None:
    events = journal(OPENED, (70, "exposure.measured", exposure(*(asset(f"A{n}", str(n)) for n in range(12)))))
    found = [table for table in tables(events, measure(events)) if table.title.startswith("Exposure by minute")]
    assert [len(table.columns) for table in found] == [7, 7, 4]
    assert [row.cells[1] for table in found for row in table.rows] == ["0 (9)", "5 (9)", "10 (9)"]


def reconciled(verdict: str, *breaks: dict[str, Any]) -> Told:
    return 80, "positions.reconciled", {"venues": [{"exchange": "okx", "verdict": verdict, "breaks": list(breaks)}]}


def test_missed_fills_are_the_breaks_that_a_fill_explains_each_once() -> None:
    missed = {"exchange": "okx", "symbol": "BTC-USDT", "kind": "missing_in_system", "system": "0", "venue": "2"}
    ghost = {**missed, "kind": "ghost_order", "system": "1", "venue": None}
    price = {**missed, "kind": "pnl", "field": "entry_price"}
    others = [{**missed, "kind": "orphan_order"}, {**missed, "kind": "pnl", "field": "unrealized_pnl"}]
    events = journal(OPENED, reconciled("breaks", missed, ghost, *others), reconciled("breaks", missed, price))
    (table,) = (table for table in tables(events, measure(events)) if table.title == "Missed fills")
    assert [(row.cells[2], row.lines) for row in table.rows] == [
        ("missing_in_system", (2, 3)), ("ghost_order", (2,)), ("pnl", (3,)),
    ]  # fmt: skip


def test_none_on_record_is_said_only_where_something_measured_it() -> None:
    nothing = "Nothing on record measures them: positions were not reconciled, or no reconciliation came to a result."
    assert missing(journal(OPENED)) == nothing
    assert missing(journal(OPENED, reconciled("unproven"))) == nothing
    assert missing(journal(OPENED, reconciled("unproven"), reconciled("reconciled"))) == "No missed fill is on record."


@pytest.mark.parametrize(
    ("value", "known"),
    [("-1.50", -1.5), (0, 0.0), ("1e29", 1e29), ("1e31", None), ("1e999999999", None), (10**400, None), ("NaN", None),
     ("-Infinity", None), (float("inf"), None), (True, None), (None, None), ("", None), ("<b>", None), ([1], None),
     ("1" * 1_000_000, None)],
)  # fmt: skip
def test_only_what_is_a_number_within_reason_is_drawn(value: Any, known: float | None) -> None:
    assert figure(value) == known
