# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The pictures of the report: what stands where, what looks different from what, and that the whole page is valid."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import html5lib
import pytest
from tests.unit.long_incident import long_incident
from tests.unit.test_metrics import OPENED, at, journal
from tests.unit.test_report import EVERY, FOUND, HOSTILE, checked, tables, unfounded

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from hft_incident import report
from hft_incident.metrics import instant
from hft_incident.report_chart import MAX_PANELS, PANEL, chart
from hft_incident.report_impact import figure, series
from hft_incident.report_lanes import MAX_LANES
from hft_incident.report_picture import picture
from hft_incident.report_scale import LEFT, MARGIN, WIDTH

LONG = long_incident()
BIG = journal(OPENED, *((n, "run.lost", {"reason": HOSTILE * 9_000}) for n in range(20, 23)))


def test_severity_is_a_stepped_band() -> None:
    drawn = picture(LONG)
    assert drawn is not None
    assert [(step.severity, step.label) for step in drawn.steps] == [(2, "SEV 2"), (1, "SEV 1")]
    two, one = drawn.steps
    assert (one.height > two.height, one.y < two.y, one.y + one.height) == (True, True, two.y + two.height)
    assert (two.x, round(two.x + two.width, 1), round(one.x + one.width, 1)) == (LEFT, one.x, WIDTH - MARGIN)


def test_notices_have_a_lane_for_each_channel_and_a_shape_for_each_fate() -> None:
    drawn = picture(LONG)
    assert drawn is not None
    assert Counter(sign.shape for sign in drawn.signs) == {"bar": 27, "late": 1, "ring": 1, "cross": 5}
    assert "status_page · status_page" in [lane.name for lane in drawn.lanes]
    assert len({lane.y for lane in drawn.lanes}) == len(drawn.lanes)
    (late,) = (sign for sign in drawn.signs if sign.shape == "late")
    assert late.width > 100, "seven of 35 minutes"
    assert late.title == "incident_team.update.1, due 10:19:00: SENT LATE 10:26:00"
    shapes = [sign.shape for sign in drawn.signs]
    assert "bar" not in shapes[shapes.index("late") :], "what went wrong is drawn over what went well"
    assert all(LEFT <= sign.x <= WIDTH - MARGIN for sign in drawn.signs)
    assert min(mark.y for mark in drawn.marks) > max(lane.y for lane in drawn.lanes) + 10


def test_more_channels_than_fit_share_the_last_lane() -> None:
    sent: dict[str, Any] = {"notice": "n", "audience": "a", "kind": "first", "severity": 1, "due_at": at(30)}
    events = journal(OPENED, *((31, "notice.sent", {**sent, "channel": f"c{n:02}"}) for n in range(40)))
    drawn = picture(events)
    assert drawn is not None
    assert [lane.name for lane in drawn.lanes][-2:] == ["a · c14", "more"]
    assert (len(drawn.lanes), len(drawn.signs)) == (MAX_LANES, 40)


def test_a_curve_has_its_own_scale_with_zero_in_it_and_a_gap_where_nothing_is_known() -> None:
    drawn = chart(LONG, series(LONG))
    assert drawn is not None
    assert [panel.name for panel in drawn.panels] == ["Unrealized P&L", "BTC", "ETH", "SOL"]
    pnl, btc, eth, _ = drawn.panels
    assert len(pnl.paths) == 2, "two minutes are not known"
    assert len(pnl.points) == 34
    assert (pnl.zero, eth.zero) == (pnl.top, eth.bottom), "a loss hangs from zero, a holding stands on it"
    assert [label.text for label in btc.labels] == ["0.000", "-1.758"]
    assert [point.whole for point in btc.points[:7]] == [True] * 3 + [False] * 3 + [True]
    assert all(panel.top <= point.y <= panel.top + PANEL for panel in drawn.panels for point in panel.points)


def test_more_curves_than_fit_are_said_to_be_left_out() -> None:
    assets = [{"asset": f"A{n}", "net": str(n), "gross": "1", "partial": False} for n in range(9)]
    events = journal(OPENED, *((s, "exposure.measured", {"partial": False, "assets": assets}) for s in (70, 130, 190)))
    drawn = chart(events, series(events))
    assert drawn is not None
    assert (len(drawn.panels), drawn.left_out) == (MAX_PANELS, 3)
    assert "3 more assets are in the tables only" in report.html(report.compose("inc", events, FOUND))


def test_one_measurement_is_no_curve() -> None:
    events = journal(OPENED, (70, "pnl.measured", {"total_usd": "1"}), (80, "pnl.measured", {"total_usd": None}))
    assert chart(events, series(events)) is None


@pytest.mark.parametrize("events", [LONG, EVERY, BIG, EVERY[:1], []], ids=["long", "every", "big", "one", "none"])
def test_the_page_is_valid_and_asks_for_nothing_from_elsewhere(events: list[Event]) -> None:
    page, _ = checked(events)
    document = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)
    links = [value for element in document.iter() for name, value in element.attrib.items()
             if str(name).rpartition("}")[2] in ("href", "src", "srcset", "data", "action", "poster")]  # fmt: skip
    assert all(link.startswith("#") for link in links)
    style = page[page.index("<style>") : page.index("</style>")]
    assert not re.search(r"url\(|@import|https?:", style)


def test_a_page_with_a_fault_is_not_valid() -> None:
    page = report.html(report.compose("inc", EVERY, FOUND))
    with pytest.raises(html5lib.html5parser.ParseError):
        html5lib.HTMLParser(strict=True).parse(page.replace("</svg>", "</svg></p>"))


def poisoned(value: Any) -> Any:
    """Hostile text in place of every text, however deep, that is no time and no number; those are drawn."""
    if isinstance(value, dict):
        return {name: poisoned(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [poisoned(item) for item in value]
    plain = not isinstance(value, str) or instant(value) is not None or figure(value) is not None
    return value if plain else HOSTILE


def test_hostile_names_stay_text_in_pictures_and_heads_of_tables() -> None:
    events = [event._replace(data=poisoned(event.data)) for event in LONG]
    drawn = report.compose("inc", events, FOUND)
    assert drawn.picture is not None
    assert drawn.picture.signs
    assert drawn.chart is not None
    assert len(drawn.chart.panels) == 2, "the P&L and the one asset that all of them became"
    page, _ = checked(events)
    html5lib.HTMLParser(strict=True).parse(page)


def test_megabytes_of_hostile_text_make_a_page_that_opens() -> None:
    assert len(str(BIG)) > 1_000_000
    page, text = checked(BIG)
    assert len(page) < 300_000
    assert len(text) < 100_000


def test_every_figure_of_a_whole_incident_is_in_its_lines() -> None:
    """But when something was due that no line tells of: that follows from the plan."""
    for table in tables(LONG):
        for row in table.rows:
            if not row.cells[-1].startswith("DUE"):
                assert unfounded(row, LONG) == [], (table.title, row)
