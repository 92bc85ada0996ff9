# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The invitation to the review: within 48 hours, to who is on record, and nobody's text adds a line to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar
from tests.unit.long_incident import long_incident
from tests.unit.test_metrics import Told, at, journal

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from hft_incident.review_invitation import AGENDA, invitation, review_start

ID = "inc-20261123T100000Z-exchange_outage-1"
OPENED: Told = (0, "incident.opened", {"type": "exchange_outage", "severity": 1, "check": False, "inventory": []})
CLOSED: Told = (100, "incident.closed", {"resolution": "resolved"})


def meeting(events: Sequence[Event]) -> Any:
    """The one event of the calendar, read back."""
    made = invitation(ID, events)
    assert made is not None
    (found,) = Calendar.from_ical(made).walk("VEVENT")
    return found


def addresses(found: Any) -> list[str]:
    told = found.get("attendee", [])
    return [str(one).removeprefix("mailto:") for one in (told if isinstance(told, list) else [told])]


def test_a_whole_incident_invites_who_is_on_record() -> None:
    found = meeting(long_incident())
    assert found["uid"] == f"review-{ID}@hft-incident"
    assert (found.decoded("dtstart"), found.decoded("dtend")) == (
        datetime(2026, 11, 24, 11, tzinfo=UTC), datetime(2026, 11, 24, 12, tzinfo=UTC),
    )  # fmt: skip
    assert addresses(found) == [f"{name}@firm.example" for name in ("carol", "dave", "erin", "frank")]
    assert str(found["organizer"]) == "mailto:erin@firm.example", "who led it last"
    text = str(found["description"])
    assert "To be invited by hand: alice, grace, a representative of management, the teams affected." in text
    assert [text.index(f"{number}. {point}\n") for number, point in enumerate(AGENDA, 1)] == sorted(
        text.index(point) - 3 for point in AGENDA
    )
    assert str(found["summary"]) == f"Post-mortem review: {ID}"


def test_the_same_record_makes_the_same_file_and_one_closed_again_moves_the_meeting() -> None:
    events = journal(OPENED, CLOSED)
    assert invitation(ID, events) == invitation(ID, events)
    again = meeting(journal(OPENED, CLOSED, (110, "incident.reopened", {}), (3000, *CLOSED[1:])))
    assert (again["uid"], again["sequence"]) == (meeting(events)["uid"], 1)


def test_with_nobody_to_write_to_it_is_an_entry_and_no_request() -> None:
    made = invitation(ID, journal(OPENED, (50, "incident.acknowledged", {"by": "alice@jumphost"}), CLOSED))
    assert made is not None
    assert b"METHOD" not in made
    assert b"ATTENDEE" not in made
    assert b"alice@jumphost" in made.replace(b"\r\n ", b"")


def test_a_drill_says_so() -> None:
    drill = (0.0, "incident.opened", {**OPENED[2], "inventory": ["/srv/x/lab/inventory"]})
    found = meeting(journal(drill, CLOSED))
    assert str(found["summary"]).startswith("DRILL: ")
    assert str(found["description"]).startswith("DRILL: ")


@pytest.mark.parametrize(
    "told",
    [
        [],
        [OPENED],
        [OPENED, CLOSED, (110, "incident.reopened", {})],
        [OPENED, (100, "incident.closed", {"resolution": "not_confirmed"})],
        [OPENED, (100, "incident.closed", {"resolution": "refused"})],
        [(0, "incident.opened", {**OPENED[2], "check": True}), (100, "incident.closed", {"resolution": "rehearsed"})],
    ],
)
def test_what_is_open_or_was_no_incident_has_no_review(told: list[Told]) -> None:
    assert invitation(ID, journal(*told)) is None


@pytest.mark.parametrize(
    ("resolved", "start"),
    [
        ("2026-11-23T10:00:00Z", "2026-11-24T10:00:00Z"),  # Monday, on the hour
        ("2026-11-23T10:00:00.000001Z", "2026-11-24T11:00:00Z"),
        ("2026-11-23T15:30:00Z", "2026-11-24T16:00:00Z"),  # the last hour of the day
        ("2026-11-23T16:30:00Z", "2026-11-25T09:00:00Z"),  # after work: the morning after
        ("2026-11-23T02:10:00Z", "2026-11-24T09:00:00Z"),  # at night: the next morning but one
        ("2026-11-26T17:00:00Z", "2026-11-28T16:00:00Z"),  # Thursday evening: no working hour within 48 hours
        ("2026-11-26T12:00:00Z", "2026-11-27T12:00:00Z"),
        ("2026-11-27T18:00:00Z", "2026-11-29T17:00:00Z"),  # Friday evening: the last slot, on Sunday
        ("2026-11-28T10:30:00Z", "2026-11-30T09:00:00Z"),  # Saturday: Monday morning
    ],
)
def test_the_review_lies_in_working_hours_where_there_are_any(resolved: str, start: str) -> None:
    assert review_start(datetime.fromisoformat(resolved)) == datetime.fromisoformat(start)


@settings(deadline=None)
@given(st.timedeltas(timedelta(0), timedelta(days=40_000)))
def test_the_review_is_a_day_later_and_over_within_48_hours(later: timedelta) -> None:
    resolved = datetime(2000, 1, 1, tzinfo=UTC) + later
    start = review_start(resolved)
    assert timedelta(hours=24) <= start - resolved
    assert start + timedelta(hours=1) - resolved <= timedelta(hours=48)
    assert (start.minute, start.second, start.microsecond) == (0, 0, 0)


HOSTILE = st.text() | st.sampled_from((
    "a@b.example\r\nATTENDEE:mailto:evil@evil.example", "x\nEND:VEVENT\nBEGIN:VEVENT\nSUMMARY:evil", "a;b,c\\n\u2028d",
    "evil@evil.example?cc=x@y.example", "é" * 500, "x" * 20_000, "a@b.example\n",
))  # fmt: skip
KINDS = ("incident.opened", "role.assigned", "role.handed_over", "incident.acknowledged", "approval.given")
FIELDS = ("type", "severity", "person", "to", "by", "role", "resolution", "inventory", "check")
NAMES = {"BEGIN", "END", "VERSION", "PRODID", "METHOD", "UID", "SEQUENCE", "DTSTAMP", "DTSTART", "DTEND", "SUMMARY",
         "DESCRIPTION", "ORGANIZER", "ATTENDEE"}  # fmt: skip


DATA = st.dictionaries(st.sampled_from(FIELDS), HOSTILE | st.integers() | st.none(), max_size=4)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(KINDS), DATA), max_size=4))
def test_no_text_of_the_record_adds_a_line(told: list[tuple[str, dict[str, Any]]]) -> None:
    events = journal(*((n, kind, data) for n, (kind, data) in enumerate(told)), OPENED, CLOSED)
    made = invitation(ID, events)
    assert made is not None
    lines = made.decode().replace("\r\n ", "").split("\r\n")
    assert {line.partition(":")[0].partition(";")[0] for line in lines if line} <= NAMES
    assert "\n" not in "".join(lines)
    assert len(made) < 20_000
    found = meeting(events)
    assert (str(found["uid"]), len(found.subcomponents)) == (f"review-{ID}@hft-incident", 0)
    assert set(addresses(found)) <= {
        text.strip() for _, data in told for text in data.values() if isinstance(text, str)
    }


def test_a_time_beyond_all_calendars_is_no_meeting() -> None:
    closed = journal(OPENED, CLOSED)[-1]._replace(at="9999-12-31T23:00:00Z")
    assert invitation(ID, [*journal(OPENED), closed]) is None
    assert at(0).startswith("2026-11-23T10:00:00")


def test_a_name_of_a_megabyte_is_cut() -> None:
    made = invitation(ID, journal(OPENED, (50, "incident.acknowledged", {"by": "x" * 1_000_000}), CLOSED))
    assert made is not None
    assert len(made) < 3_000
