# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The report tells of every notice that was due what became of it, and of who had the incident in hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.long_incident import FORGOTTEN, long_incident
from tests.unit.test_metrics import OPENED, Told, at, journal
from tests.unit.test_report import FOUND

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from hft_incident import report, report_notices
from hft_incident.comms.plan import PLANNED
from hft_incident.notices import schedule
from hft_incident.report_notices import told

LONG = long_incident()
END = datetime.fromisoformat(LONG[-1].at)
NOTICE: dict[str, Any] = {"notice": "management.first", "audience": "management", "kind": "first", "severity": 1,
                          "due_at": at(30)}  # fmt: skip
MAIL = {**NOTICE, "channel": "mail"}
SENT = {**MAIL, "attempt": 1, "late_s": 0.5, "late": False, "subject": "s", "text": "t"}
FAILED = {**MAIL, "attempt": 1, "error": "HTTP 503", "retry_at": at(60)}
WITHHELD = {**NOTICE, "gate": "public_disclosure", "reason": "Legal has not said yes"}
NOT_SENT = {**MAIL, "reason": "a newer one was sent"}


def rows(title: str, events: Sequence[Event] = LONG) -> list[tuple[str, ...]]:
    (table,) = (table for table in report_notices.tables(events) if table.title == title)
    return [row.cells for row in table.rows]


def standings(*lines: Told) -> list[tuple[str | None, str, tuple[int, ...]]]:
    return [(one.channel, one.standing, one.lines) for one in told(journal(OPENED, *lines))]


def test_a_whole_incident_shows_every_notice_with_what_became_of_it() -> None:
    assert Counter(one.standing for one in told(LONG)) == {
        "sent": 27, "late": 1, "not_sent": 3, "withheld": 1, "silent": 2,
    }  # fmt: skip
    found = rows("Notices due and sent")
    assert len(found) == 34
    assert found[0] == ("incident_team", "first", "2", "chat", "10:00:02", "10:00:02", "0.400 s", "1", "sent")
    assert [row for row in found if row[-1] == "SENT LATE"] == [
        ("incident_team", "update", "1", "mail_team", "10:19:00", "10:26:00", "7 min 00 s", "5", "SENT LATE")
    ]
    (withheld,) = (row for row in found if row[-1].startswith("withheld"))
    assert withheld == ("stakeholders", "first", "1", "none", "10:30:00", "", "", "",
                        "withheld: gate public_disclosure: Legal has not said yes")  # fmt: skip
    assert {row[-1] for row in found if row[0] == "status_page"} == {
        "NOT SENT: channel status_page leads nowhere: nothing is configured"
    }
    assert [row[3:] for row in found if row[-1].startswith("DUE")] == [
        (channel, "10:04:00", "", "", "", "DUE, nothing on record") for channel in ("page_backup", "paging")
    ]
    assert rows("Told or not") == [
        ("sent", "27"), ("SENT LATE", "1"), ("withheld", "1"), ("NOT SENT", "3"),
        ("DUE, nothing on record", "see below"),
    ]  # fmt: skip


def test_a_notice_names_its_plan_its_failures_and_the_line_that_sent_it() -> None:
    (late,) = (one for one in told(LONG) if one.standing == "late")
    kinds = [next(event.kind for event in LONG if event.seq == line) for line in late.lines]
    assert kinds == [PLANNED, "severity.set", *["notice.failed"] * 4, "notice.sent"]


def test_who_had_it_in_hand() -> None:
    assert rows("Acknowledged") == [(at(50), "alice", "50.000 s")]
    assert rows("Roles and hand-overs")[-1] == (
        at(1200), "commander", "erin@firm.example", "alice", "alice", "alice operates from now on",
    )  # fmt: skip
    assert [row[1] for row in rows("War room")] == ["FAILED", "made", "closed", "last told"]
    assert rows("Escalation pages") == []


def test_a_page_names_the_person() -> None:
    page = {**SENT, "notice": "on_call.page.bob", "audience": "on_call", "kind": "page", "channel": "bob"}
    assert rows("Escalation pages", journal(OPENED, (31, "notice.sent", page)))[0][:2] == ("bob", "bob")


def test_without_any_channel_the_report_says_of_each_that_it_was_not_sent() -> None:
    bare = [event for event in LONG if not event.kind.startswith("notice.")]
    lines: list[Told] = [(event_at(event), event.kind, dict(event.data)) for event in bare]
    for notice in schedule(LONG, END):
        data = {"notice": notice.id, "audience": notice.audience, "kind": notice.kind, "severity": notice.severity,
                "due_at": notice.due_at.isoformat(), "channel": None, "reason": "no channel is configured"}  # fmt: skip
        lines.append((2101, "notice.not_sent", data))
    found = told(journal(*lines))
    assert banner(journal(*lines)).startswith("NOBODY WAS TOLD: ")
    assert {(one.standing, one.said) for one in found} == {("not_sent", "no channel is configured")}
    assert {one.notice for one in found} == {notice.id for notice in schedule(LONG, END)}


def banner(events: Sequence[Event]) -> str:
    return " ".join(one.text for one in report.compose("inc", events, FOUND).banners)


def test_the_report_says_at_its_top_that_somebody_was_not_told() -> None:
    assert "Some notices that were due were not sent" in banner(LONG)
    assert "notice" not in banner(journal(OPENED, (31, "notice.sent", SENT))).lower()
    assert "NOBODY WAS TOLD" in banner(journal(OPENED, (31, "notice.failed", FAILED)))
    assert "TOLD" not in banner(journal(OPENED))


def event_at(event: Event) -> float:
    return (datetime.fromisoformat(event.at) - datetime.fromisoformat(at(0))).total_seconds()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([(31, "notice.sent", SENT)], [("mail", "sent", (2,))]),
        ([(31, "notice.sent", {**SENT, "late": True})], [("mail", "late", (2,))]),
        ([(31, "notice.failed", FAILED)], [("mail", "failed", (2,))]),
        ([(31, "notice.failed", FAILED), (61, "notice.sent", SENT)], [("mail", "sent", (2, 3))]),
        ([(31, "notice.failed", FAILED), (61, "notice.not_sent", NOT_SENT)], [("mail", "not_sent", (2, 3))]),
        # What is final stays so, whatever a second server that was slower says.
        ([(31, "notice.sent", SENT), (32, "notice.failed", FAILED)], [("mail", "sent", (2,))]),
        ([(31, "notice.not_sent", NOT_SENT), (32, "notice.failed", FAILED)], [("mail", "not_sent", (2,))]),
        ([(31, "notice.not_sent", NOT_SENT), (32, "notice.sent", SENT)], [("mail", "sent", (3,))]),
        # It waited for its gate, and then went out on every channel.
        ([(30, "notice.withheld", WITHHELD)], [(None, "withheld", (2,))]),
        ([(30, "notice.withheld", WITHHELD), (31, "notice.sent", SENT),
          (31, "notice.failed", {**FAILED, "channel": "chat"})],
         [("chat", "failed", (2, 4)), ("mail", "sent", (2, 3))]),
    ],
)  # fmt: skip
def test_what_became_of_a_notice(lines: list[Told], expected: list[Any]) -> None:
    assert standings(*lines) == expected


def test_what_is_due_as_the_record_ends_is_not_late_yet() -> None:
    until = next(n for n, event in enumerate(LONG) if event.kind == "incident.closed") + 1
    found = told(LONG[:until])
    assert {one.standing for one in found if one.kind == "resolved"} == {"due"}


NOTICES = [event for event in LONG if event.kind.startswith("notice.")]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.sets(st.sampled_from(range(len(NOTICES)))))
def test_whatever_is_lost_every_notice_that_was_due_is_shown_once_on_each_channel(lost: set[int]) -> None:
    gone = {NOTICES[place].seq for place in lost}
    found = told([event for event in LONG if event.seq not in gone])
    keys = [(one.notice, one.channel) for one in found]
    assert len(keys) == len(set(keys))
    for notice in schedule(LONG, END):
        channels = {channel for name, channel in keys if name == notice.id}
        assert channels in (set(notice.channels), {None}), notice.id
    assert {one.notice for one in found if one.standing == "silent"} >= {FORGOTTEN}


def test_a_plan_that_was_altered_leaves_what_is_on_record() -> None:
    plan = next(event for event in LONG if event.kind == PLANNED)
    for spoiled in ({**plan.data, "time_scale": 1e-6, "unjudged_for_s": 1e300}, {"rows": 7}, {}):
        events = [event._replace(data=spoiled) if event is plan else event for event in LONG]
        assert len(told(events)) == 32


def test_a_clock_that_was_wrong_does_not_drown_the_report() -> None:
    late = LONG[-1]._replace(at="2099-01-01T00:00:00.000000Z")
    events = [event for event in LONG if event.kind != "incident.closed"] + [late]
    assert sum(one.standing == "silent" for one in told(events)) == report_notices.UNANSWERED_LIMIT
    (table,) = (table for table in report_notices.tables(events) if table.title == "Notices due and sent")
    assert table.note == "Of those that nothing is on record of only the first 500."
