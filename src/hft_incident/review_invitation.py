# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The invitation to the review of an incident, within 48 hours of its resolution, as a calendar file (iCalendar).

Source: seed section 12 (when, who, agenda) and seed-faults E9. Only who is on record with a mail address is invited by
the file itself; it names those whom somebody has to invite by hand. The same record always makes the same file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from icalendar import Calendar, vCalAddress
from icalendar import Event as Meeting

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.incident import state_of

from . import __version__
from .metrics import instant, measure
from .report_tables import shown
from .sentences import plain

AGENDA = ("Timeline review", "What went well?", "What did not go well?", "Root cause analysis", "Action items",
          "Documentation updates")  # fmt: skip
#: The report has to be read first, so not on the same day; seed section 12 allows 48 hours.
EARLIEST, LATEST, LENGTH = timedelta(hours=24), timedelta(hours=48), timedelta(hours=1)
#: Hours (UTC) between which it should lie, Monday to Friday.
OPENS, CLOSES = 9, 17
_SATURDAY = 5
_ADDRESS = re.compile(r"[A-Za-z0-9._+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63}")
#: What says who was there, and in which field.
_PEOPLE = {"role.assigned": "person", "role.handed_over": "to", "incident.acknowledged": "by",
           "approval.given": "person"}  # fmt: skip


def review_start(resolved: datetime) -> datetime:
    """The first full hour, 24 to 48 hours after ``resolved`` (UTC), at which the review lies in working hours; where
    there is none, as on a weekend, the last at which it still ends in time."""
    hour = timedelta(hours=1)
    first = (resolved + EARLIEST).replace(minute=0, second=0, microsecond=0)
    first += hour if first < resolved + EARLIEST else timedelta(0)
    fitting = []
    while first + LENGTH <= resolved + LATEST:
        fitting.append(first)
        first += hour
    return next(filter(_in_working_hours, fitting), fitting[-1])


def invitation(incident: str, events: Sequence[Event]) -> bytes | None:
    """The calendar file; None where there is nothing to review: it is open, was a rehearsal or a false alarm."""
    metrics = measure(events)
    closings = [event for event in events if event.kind == "incident.closed"]
    resolved = instant(metrics.moments["resolved"].at)
    if resolved is None or closings[-1].data.get("resolution") != "resolved":
        return None
    try:
        start = review_start(resolved)
    except OverflowError:  # an altered line, at the end of all calendars
        return None
    drill = "DRILL: " if metrics.nature == "drill" else ""
    people = list(dict.fromkeys(_people(events)))
    meeting = Meeting()
    meeting.add("uid", f"review-{incident}@hft-incident")
    meeting.add("sequence", len(closings) - 1)  # one that was reopened and closed again moves the same meeting
    meeting.add("dtstamp", resolved)
    meeting.add("dtstart", start)
    meeting.add("dtend", start + LENGTH)
    meeting.add("summary", plain(f"{drill}Post-mortem review: {incident}"))
    meeting.add("description", _description(incident, events, resolved, drill, people))
    return _calendar(meeting, [person for person in people if _ADDRESS.fullmatch(person)], _commander(events))


def _calendar(meeting: Meeting, addresses: Sequence[str], commander: str | None) -> bytes:
    """A request to ``addresses``, by the commander or else by the first of them; with none, a mere entry."""
    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", f"-//hft-incident//{__version__}//EN")
    if addresses:
        calendar.add("method", "REQUEST")
        meeting.add("organizer", vCalAddress(f"mailto:{commander if commander in addresses else addresses[0]}"))
    for address in addresses:
        meeting.add("attendee", _attendee(address))
    calendar.add_component(meeting)
    made: bytes = calendar.to_ical()
    return made


def _in_working_hours(start: datetime) -> bool:
    return start.weekday() < _SATURDAY and start.hour >= OPENS and start.hour + LENGTH / timedelta(hours=1) <= CLOSES


def _people(events: Sequence[Event]) -> Iterator[str]:
    """Whoever is on record as having had part in it."""
    for event in events:
        named = event.data.get(_PEOPLE[event.kind]) if event.kind in _PEOPLE else None
        if isinstance(named, str) and plain(named).strip():
            yield plain(named).strip()


def _commander(events: Sequence[Event]) -> str | None:
    """Who leads it last."""
    return next(_people([event for event in reversed(events) if event.data.get("role") == "commander"]), None)


def _attendee(address: str) -> vCalAddress:
    attendee = vCalAddress(f"mailto:{address}")
    attendee.params |= {"ROLE": "REQ-PARTICIPANT", "PARTSTAT": "NEEDS-ACTION", "RSVP": "TRUE"}
    return attendee


def _description(incident: str, events: Sequence[Event], resolved: datetime, drill: str, people: Sequence[str]) -> str:
    state = state_of(events)
    by_hand = [person for person in people if not _ADDRESS.fullmatch(person)]
    guests = [*by_hand, "a representative of management", "the teams affected"]
    return "\n".join([
        plain(f"{drill}{incident}: {state.type}, severity {state.severity}, resolved {resolved:%Y-%m-%d %H:%M} UTC."),
        f"Read the report first: {incident}.html",
        "",
        "Agenda",
        *(f"{number}. {point}" for number, point in enumerate(AGENDA, 1)),
        "",
        f"To be invited by hand: {shown(', '.join(guests))}.",
    ])  # fmt: skip
