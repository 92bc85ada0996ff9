# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The report invents nothing, links every row to its lines, and lets no text of a venue become markup."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from html.parser import HTMLParser
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from tests.unit.long_incident import long_incident
from tests.unit.test_metrics import ORDERED, WHOLE, at, journal, kill

from ansible_collections.hft.incident.plugins.module_utils.chain import GENESIS, Event, Verification
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, open_incident
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from hft_incident import report, sentences
from hft_incident.commands import run_command
from hft_incident.metrics import instant, later, measure
from hft_incident.report_picture import picture
from hft_incident.report_sections import sections
from hft_incident.report_tables import Row, Table, seconds

FOUND = Verification("intact", 1, 1, GENESIS, None, "intact")
HOSTILE = (
    "<script>alert(1)</script> | [x](http://evil.example) `a` *b* </pre>\"'><img src=x> {{ 7*7 }} www.evil.example\n# h"
)

BREAK = {"exchange": "okx", "kind": "orphan_order", "symbol": "BTC-USDT", "system": None, "venue": "0.1",
         "difference": "0.1", "sentence": "order 7 is live at the venue and unknown to the trading system"}  # fmt: skip
FILL = {"exchange": "binance", "kind": "missing_in_system", "symbol": "ETH-USDT", "system": "0", "venue": "2.5",
        "difference": "2.5",
        "sentence": "the venue holds 2.5, the trading system knows of nothing"}  # fmt: skip
#: One of every kind that a table is made of, with figures that differ from each other.
EVERY = [
    *WHOLE[:-1],
    *journal(
        (131, "severity.set", {"severity": 2, "before": 1, "by": "person", "rule": None, "reason": "only 3 accounts"}),
        (132, "exposure.measured", {"partial": True, "unknown": {}, "assets": [
            {"asset": "BTC", "net": "-0.75", "gross": "12.5", "partial": True, "stable": False}]}),
        (133, "positions.reconciled", {"verdict": "breaks", "reason": "breaks at okx 1",
            "pnl": {"ours_usd": "-1234.5", "venue_usd": "-1230", "compared": 17},
            "venues": [{"exchange": "okx", "verdict": "breaks", "breaks": [BREAK]}]}),
        (134, "positions.reconciled", {"verdict": "reconciled", "reason": "agree",
            "venues": [{"exchange": "okx", "verdict": "reconciled", "breaks": []}]}),
        (135, "kill.verified", kill(134.5, binance=33, okx=None)),
        (136, "task.finished", {"status": "failed", "task": "Prove", "host": "hft-1", "elapsed_ms": 81.5, "msg": "no"}),
        (137, "inverse.registered", {"id": "i1", "module": "m", "host": "h", "describe": "open the latch"}),
        (138, "inverse.registered", {"id": "i2", "module": "m", "host": "h", "describe": "start 2 strategies"}),
        (139, "inverse.applied", {"id": "i1", "describe": "open the latch", "changed": True}),
        (140, "inverse.failed", {"id": "i2", "describe": "start 2 strategies", "msg": "HTTP 503"}),
        (141, "gate.held", {"gate": "resume", "people": 2, "groups": ["risk"], "approved_by": [], "refused": []}),
        (142, "approval.given", {"gate": "resume_trading", "person": "alice", "fingerprint": "SHA256:9x"}),
        (143, "gate.passed", {"gate": "resume_trading", "people": ["alice"], "approvals": [24]}),
        (144, "latch.changed", {"host": "hft-1", "scope": "exchange", "name": "okx", "state": "closed",
                                "agree": False, "difference": "the API says 4 are open"}),
        (144, "evidence.accessed", {"by": "erin", "reason": "who was it?", "host": "hft-1", "item": "logs/hft.log",
                                    "sha256": "0" * 64, "to": "/srv/hft.log", "decrypted": False}),
        (145, "evidence.kept", {"host": "hft-1", "folder": "evidence/hft-1", "items": 18, "bytes": 78194,
                                "manifest_sha256": "ab" * 32, "missing": ["core"]}),
        (146, "crash.classified", {"host": "v", "unit": "u", "kind": "segfault", "confidence": "proven",
            "signal": "SEGV", "exit_status": None, "crashes": 3, "ended_at": at(144), "because": ["status=11"],
            "contradictions": ["no 5"]}),
        (147, "run.taken_over", {"by": "bob", "from": {"user": "alice", "pid": 77}}),
        (148, "run.finished", {"outcome": "held", "reason": "2 of 2 missing", "tasks": 9, "failed": 1}),
        (149, "communications.planned", {"rows": [], "time_scale": 1.0}),
        (150, "notice.failed", {"notice": "management.first", "audience": "management", "kind": "first", "severity": 1,
            "channel": "mail", "due_at": at(149.5), "attempt": 4, "error": "HTTP 503", "retry_at": at(165)}),
        (166, "notice.sent", {"notice": "management.first", "audience": "management", "kind": "first", "severity": 1,
            "channel": "mail", "due_at": at(149.5), "late_s": 16.2, "late": False, "attempt": 5, "subject": "s"}),
        (167, "notice.sent", {"notice": "on_call.page.bob", "audience": "on_call", "kind": "page", "severity": 1,
            "channel": "pager", "due_at": at(151), "late_s": 15.75, "late": True, "attempt": 1, "subject": "s"}),
        (168, "role.assigned", {"role": "trading_liaison", "person": "carol", "by": "alice"}),
        (169, "role.handed_over", {"role": "scribe", "from": "alice", "to": "bob", "by": "alice", "note": "after 8 h"}),
        (170, "war_room.failed", {"error": "HTTP 429", "retry_at": at(171)}),
        (171, "war_room.opened", {"name": "inc-1", "id": "C7", "url": "x", "private": True, "created": True,
            "meeting": {"kind": "bridge", "join": "+1 555 0100"}}),
        (172, "war_room.posted", {"through": 41, "lines": 6}),
        (173, "pnl.measured", {"systems": [{"name": "hft-1", "unrealized_usd": "-88.25", "error": None}],
            "total_usd": "-88.25"}),
        (174, "positions.reconciled", {"verdict": "breaks", "reason": "breaks at binance 1",
            "venues": [{"exchange": "binance", "verdict": "breaks", "breaks": [FILL]}]}),
        (175, "incident.closed", {"resolution": "resolved", "summary": "over after 2 tries"}),
    ),
]  # fmt: skip
EVERY = [event._replace(seq=n) for n, event in enumerate(EVERY, 1)]

NUMBER = re.compile(r"\d+(?:\.\d+)?")


def tables(events: Sequence[Event]) -> Iterator[Table]:
    for section in sections(events, measure(events)):
        yield from section.tables


def moments(lines: Sequence[Event]) -> list[Any]:
    """Every moment that these lines state."""
    stated = [line.at for line in lines] + [line.data.get(name) for line in lines for name in ("ended_at", "due_at")]
    for line in lines:
        for venue in line.data.get("venues") or []:
            if isinstance(venue, dict):
                stated.append(later(line.data.get("started_at"), venue.get("first_clear_ms")))
    return [moment for text in stated if (moment := instant(text)) is not None]


def derivable(cell: str, lines: Sequence[Event]) -> bool:
    """Whether a cell is the span between two moments or one that a line states, the count of the lines, the sum of what
    they cancelled, a moment that a kill states, or the time of day of one."""
    found = moments(lines)
    spans = {seconds((b - a).total_seconds()) for a in found for b in found if b - a >= timedelta(0)}
    spans |= {seconds(late) for line in lines if (late := line.data.get("late_s")) is not None}
    stated = {f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z" for moment in found} | {f"{moment:%H:%M:%S}" for moment in found}
    cancelled: dict[str, int] = {}
    for line in lines:
        for venue in line.data.get("venues") or []:
            if isinstance(venue, dict) and isinstance(venue.get("cancelled"), int):
                name = str(venue.get("name"))
                cancelled[name] = cancelled.get(name, 0) + venue["cancelled"]
    return cell in spans | stated or cell in {str(len(lines)), *map(str, cancelled.values())}


def unfounded(row: Row, events: Sequence[Event]) -> list[str]:
    """The figures of a row that the lines it names do not have."""
    lines = [event for event in events if event.seq in row.lines]
    text = json.dumps([event._asdict() for event in lines], ensure_ascii=False)
    known = set(NUMBER.findall(text)) | {str(Decimal(found).normalize()) for found in NUMBER.findall(text)}
    return [cell for cell in row.cells if not derivable(cell, lines) and set(NUMBER.findall(cell)) - known]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(range(len(EVERY))), unique=True).map(sorted))
def test_every_figure_is_in_the_lines_that_its_row_names(chosen: list[int]) -> None:
    events = [EVERY[place] for place in chosen]
    numbers = {event.seq for event in events}
    for table in tables(events):
        for row in table.rows:
            assert unfounded(row, events) == [], (table.title, row)
            assert set(row.lines) <= numbers


def test_the_check_of_figures_bites() -> None:
    assert unfounded(Row(("99",), (1,)), WHOLE) == ["99"]
    assert unfounded(Row(("6",), (1, 4)), WHOLE) == ["6"]
    assert unfounded(Row(("6.000 s",), (1, 4)), WHOLE) == []


def test_every_table_has_rows_where_the_journal_has_its_facts() -> None:
    silent = [table.title for table in tables(EVERY) if not table.rows]
    assert silent == ["Trading systems", "What else was found out", "Regulatory clocks", "What was said of the clocks"]
    assert all(table.missing for table in tables([]) if not table.rows)


def cells(title: str, events: Sequence[Event] = EVERY) -> list[tuple[str, ...]]:
    (table,) = (table for table in tables(events) if table.title == title)
    return [row.cells for row in table.rows]


def test_a_kill_that_does_not_know_what_it_cancelled_makes_the_sum_unknown() -> None:
    blind = (15.0, "kill.verified", {"venues": [{"name": "okx", "verdict": "unknown", "cancelled": None}]})
    events = journal(ORDERED, (14, "kill.verified", kill(11, binance=5, okx=5)), blind)
    assert cells("Orders cancelled", events) == [("binance", "2"), ("okx", "not on record")]


def test_a_break_is_mended_only_where_its_venue_was_compared_again() -> None:
    assert [row[-1] for row in cells("Breaks and repairs")] == ["gone", "not seen mended"]
    before = [event for event in EVERY if event.data.get("verdict") != "reconciled"]
    assert [row[-1] for row in cells("Breaks and repairs", before)] == ["not seen mended"] * 2


def test_inverses_say_what_became_of_them() -> None:
    assert cells("Inverses") == [
        ("open the latch", "h", "undone", ""),
        ("start 2 strategies", "h", "FAILED", "HTTP 503"),
    ]


def test_a_strategy_shows_how_long_it_stood_still() -> None:
    assert cells("Strategies")[1] == ("b", "hft-1", at(21), at(90), "1 min 09 s")


# Whatever stands in the journal --------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """The elements and attributes of a page, and the places that links lead to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.targets: set[str] = set()
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.targets |= {value or "" for name, value in attrs if name == "href"}
        if tag not in ("meta", "line", "rect", "path", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "elements are nested"


TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "nav", "main", "section", "h1", "h2", "h3", "p"),
    *("a", "div", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "pre", "code"),
    *("svg", "g", "text", "tspan", "line", "rect", "circle", "path", "polyline"),
}


def checked(events: Sequence[Event], found: Verification = FOUND) -> tuple[str, str]:
    """Both pages of a journal, after what must hold of any."""
    made = report.compose("inc-20261123T100000Z-system_crash-1", events, found)
    page, text = report.html(made), report.markdown(made)
    seen = Tags(page)
    assert seen.tags <= TAGS
    assert not {name for name in seen.attributes if name.startswith("on") or name in ("src", "style")}
    assert all(target.startswith("#") for target in seen.targets), "no link leaves the page"
    assert len(seen.ids) == len(set(seen.ids))
    assert seen.open == []
    parsed = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    inline = [child for token in parsed for child in token.children or []]
    markup = {token.content for token in (*parsed, *inline) if token.type.startswith("html")}
    assert markup <= {f'<a id="line-{event.seq}">' for event in events} | {"</a>"}
    links = [str(token.attrs["href"]) for token in inline if token.type == "link_open"]
    assert all(link.startswith("#line-") for link in links)
    assert {token.type for token in inline} <= {"text", "html_inline", "link_open", "link_close", "em_open", "em_close",
                                                "strong_open", "strong_close", "text_special"}  # fmt: skip
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    for is_table, block in groupby(text.splitlines(), key=lambda line: line.startswith("|")):
        assert not is_table or len({line.count("|") for line in block}) == 1, "no bar of a text makes one more cell"
    assert sum(token.type == "tr_open" for token in parsed) == len(rows), "a table is one from its head to its end"
    return page, text


def test_both_pages_have_empty_places_for_what_only_people_know() -> None:
    page, text = checked(EVERY)
    for question in ("Contributing factors", "What went well", "What did not go well", "Where we were lucky"):
        assert f'<h3>{question}</h3>\n<div class="place">to be written</div>' in page
        assert f"### {question}\n\n*to be written*\n" in text
    assert "| Action | Owner | Due | Done |\n| --- | --- | --- | --- |\n|  |  |  |  |\n" in text
    assert '<td class="place-cell"></td>' in page


def test_every_link_of_an_intact_record_leads_to_a_line() -> None:
    made = report.compose("inc", EVERY, FOUND)
    seen = Tags(report.html(made))
    assert {target.removeprefix("#") for target in seen.targets} <= set(seen.ids)
    assert f"line-{len(EVERY)}" in seen.ids


def test_hostile_text_of_a_venue_stays_text() -> None:
    told = [(n, event.kind, {name: HOSTILE if isinstance(value, str) else value for name, value in event.data.items()})
            for n, event in enumerate(EVERY)]  # fmt: skip
    venue = {"name": HOSTILE, "verdict": HOSTILE, "error": HOSTILE}
    page, text = checked(journal(*told, (99, "kill.verified", {"venues": [venue]}), (99, HOSTILE, {HOSTILE: HOSTILE})))
    assert "&lt;script&gt;" in page
    assert "49" not in re.findall(r"{{ \d", page), "no template in a text is run"
    assert "www.evil" not in text
    assert "://evil" not in text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([HOSTILE, "", at(3), "2026-11-23", "0001-01-01T00:00:00+23:59", 10**400]) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["name", "verdict", HOSTILE]), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip
KINDS = sorted({*sentences.SENTENCES, *(event.kind for event in EVERY), "odd.kind"})
FIELDS = sorted({name for event in EVERY for name in event.data} | {"inputs", "inventory", "check", "play", "phase"})
ANYTHING = st.builds(
    lambda seq, moment, kind, data: Event(seq, moment, HOSTILE, kind, data, GENESIS, GENESIS),
    st.integers(min_value=1, max_value=5),
    st.integers(0, 999).map(at) | st.sampled_from(["", HOSTILE, "9999-12-31T23:59:59-23:59", "2026-11-23T10:00:00"]),
    st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ANYTHING, max_size=6))
def test_any_journal_is_rendered_and_none_becomes_markup(events: list[Event]) -> None:
    checked(events)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(EVERY), st.sampled_from(FIELDS), JSON), max_size=6))
def test_a_field_that_is_not_what_it_should_be_spoils_nothing(spoiled: list[tuple[Event, str, Any]]) -> None:
    checked([event._replace(data={**event.data, name: value}) for event, name, value in spoiled])


LONG = long_incident()
OURS = [event for event in LONG if event.kind.partition(".")[0] in ("communications", "notice", "role", "war_room")]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_one_altered_field_of_a_whole_incident_spoils_nothing(data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(OURS))
    field = data.draw(st.sampled_from(sorted(place.data)))
    value = data.draw(JSON | st.lists(st.dictionaries(st.sampled_from(["severity", "until", "every_s"]), JSON)))
    altered = place._replace(data={**place.data, field: value})
    made = report.compose("inc", [altered if event is place else event for event in LONG], FOUND)
    assert "Notices due and sent" in report.markdown(made)
    assert report.html(made).count("<svg") == 3


def test_a_megabyte_of_error_text_is_cut_and_said_to_be() -> None:
    page, text = checked(journal((1, "run.lost", {"reason": "x" * 1_000_000})))
    assert len(page) < 100_000
    assert "cut; the journal has all of it" in page
    assert "cut; the line has all of it" in text


def test_the_picture_keeps_its_marks_apart_and_inside() -> None:
    drawn = picture(EVERY)
    assert drawn is not None
    assert all(bar.x >= 0 and bar.x + bar.width <= 1000.5 for bar in drawn.bars)
    assert all(0 <= mark.x <= 1000 for mark in drawn.marks)
    assert [(bar.phase, bar.line) for bar in drawn.bars] == [("mitigate", 6), ("recover", 8)]
    assert picture(journal((1, "incident.opened", {}))) is None


# The files -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def incident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Incident:
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(tmp_path))
    made = open_incident("exchange_outage", inputs={"exchange": "okx"}, severity=1, home=tmp_path)
    made.journal.append("kill.verified", kill(1, okx=5))
    return made


def test_an_open_incident_has_a_draft_and_prints_where_it_is(
    incident: Incident, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("report", [incident.id]) == 0
    markdown, html = capsys.readouterr().out.splitlines()  # and no invitation to the review
    assert [Path(path).parent for path in (markdown, html)] == [incident.directory / "report"] * 2
    assert "DRAFT: the incident is still open." in Path(markdown).read_text()
    assert '<p class="banner hold">DRAFT: the incident is still open.</p>' in Path(html).read_text()
    assert Path(html).stat().st_mode & 0o777 == 0o600
    incident.journal.append("incident.closed", {"resolution": "resolved"})
    assert run_command("report", [incident.id, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["draft"], told["outcome"], told["files"]["html"], told["kept"]) == (False, "done", html, [])
    assert "DRAFT" not in Path(markdown).read_text()
    assert sorted(path.name for path in Path(html).parent.iterdir()) == [
        f"{incident.id}.{ending}" for ending in ("html", "ics", "md")
    ]
    assert b"BEGIN:VEVENT" in Path(told["files"]["invitation"]).read_bytes()
    incident.journal.append("incident.reopened", {"reason": "it is back"})
    assert run_command("report", [incident.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"]["invitation"] is None
    assert not Path(told["files"]["invitation"]).exists(), "the review of what is not over is called off"


def test_what_people_wrote_is_kept(incident: Incident, tmp_path: Path) -> None:
    written = report.write(incident, tmp_path / "out")
    written.markdown.write_text(written.markdown.read_text().replace("*to be written*", "It was the certificate.", 1))
    again = report.write(incident, tmp_path / "out")
    assert "It was the certificate." not in again.markdown.read_text()
    (kept,) = again.kept
    assert "It was the certificate." in kept.read_text()
    assert report.write(incident, tmp_path / "out").kept == ()


def test_an_altered_record_is_said_at_the_top_and_fails(incident: Incident, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(incident.journal.path)
    path.write_bytes(path.read_bytes().replace(b'"cancelled":2', b'"cancelled":9'))
    assert run_command("report", [incident.id]) == 1
    told = capsys.readouterr().out
    assert "the record does not prove itself" in told
    page = (incident.directory / "report" / f"{incident.id}.html").read_text()
    banner = page.index('<p class="banner bad">The record does not prove itself: altered at event 2')
    assert banner < page.index("<nav")


def test_a_torn_record_is_said_at_the_top_and_is_unproven(incident: Incident) -> None:
    with open(incident.journal.path, "ab") as file:
        file.write(b'{"seq":3')
    written = report.write(incident)
    assert written.exit_code == 3
    assert '<p class="banner bad">The record does not prove itself: torn after event 2' in written.html.read_text()


def test_what_is_written_while_the_report_is_made_waits_for_the_next(
    incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verify_then_write(path: str) -> Verification:
        found = verify(path)
        incident.journal.append("run.lost", {"reason": "too late for this one"})
        return found

    monkeypatch.setattr(report, "verify", verify_then_write)
    assert "too late for this one" not in report.write(incident).html.read_text()


def test_altered_evidence_is_said_at_the_top(incident: Incident) -> None:
    kept = {"host": "hft-1", "folder": "evidence/hft-1", "items": 1, "bytes": 1, "manifest_sha256": "00", "missing": []}
    incident.journal.append("evidence.kept", kept)
    written = report.write(incident)
    assert written.exit_code == 1
    assert '<p class="banner bad">Evidence of hft-1 in evidence/hft-1: altered' in written.html.read_text()


def test_an_incident_without_a_journal_is_a_failure_that_says_so(incident: Incident) -> None:
    Path(incident.journal.path).unlink()
    with pytest.raises(IncidentError, match="cannot read the record"):
        report.write(incident)
