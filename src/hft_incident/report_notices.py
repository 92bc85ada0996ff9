# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Who was told what and when, and who was not: the notices of an incident, its acknowledgement, war room and roles.

Pure rules over events. A notice counts as sent only where a line says so; one that was due and of which no line tells
is shown as that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Literal, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.redaction import iso_utc

from .comms.plan import Plan, plan_of
from .metrics import instant, number, word
from .notices import Notice, schedule
from .report_tables import NOT_KNOWN, Row, Table, clock, day_of, of, seconds, shown, since
from .sentences import plain

Standing = Literal["sent", "late", "failed", "withheld", "superseded", "not_sent", "silent", "due"]
#: What a person reads, and how it looks.
STANDINGS: dict[Standing, tuple[str, str]] = {
    "sent": ("sent", "good"),
    "late": ("SENT LATE", "bad"),
    "failed": ("failed, retrying", "bad"),
    "withheld": ("withheld", ""),
    "superseded": ("overtaken by a newer one", ""),
    "not_sent": ("NOT SENT", "bad"),
    "silent": ("DUE, nothing on record", "bad"),
    "due": ("due, not late yet where the record ends", ""),
}
_KINDS: dict[str, Standing] = {
    "notice.sent": "sent",
    "notice.failed": "failed",
    "notice.withheld": "withheld",
    "notice.not_sent": "not_sent",
}
PAGE = "page"
#: After more than this a clock was wrong, or nobody has served the incident for weeks.
UNANSWERED_LIMIT = 500
_NOBODY = "No notice is on record: nobody was told by this tool."


class Told(NamedTuple):
    """One notice on one channel, as it stands where the record ends. ``channel`` None: it never came to one. ``lines``:
    the plan, what it follows from, every failure and delay, and the line that decides; ``deciding``: the last of
    them."""

    notice: str
    channel: str | None
    standing: Standing
    audience: str
    kind: str
    severity: str
    due_at: str
    sent_at: str | None
    late_s: float | None
    attempts: str
    said: str
    lines: tuple[int, ...]
    deciding: int


def told(events: Sequence[Event]) -> list[Told]:
    """Every notice of the record, and every one that was due before it ended, on every channel, the earliest first."""
    plan, now = plan_of(events), max((moment for event in events if (moment := instant(event.at))), default=None)
    due = {notice.id: notice for notice in _due(events, now)} if now else {}
    found = [_told(*fate, _origin(plan, due.get(fate[0]))) for fate in _fates(events)]
    if plan and now:
        found += islice(_unanswered(plan, due, found, now), UNANSWERED_LIMIT)
    return sorted(found, key=lambda one: (one.due_at, one.audience, one.channel or ""))


def tables(events: Sequence[Event]) -> tuple[Table, ...]:
    """The section on communication, but for the clocks of the regulators."""
    found, day = told(events), day_of(events)
    return (_summary(found), _notices(found, day), _acknowledged(events), _pages(found, day), _war_room(events),
            _roles(events))  # fmt: skip


def _fates(events: Sequence[Event]) -> Iterator[tuple[str, str | None, list[Event]]]:
    """The lines of each notice by its channel; what was said before it had one belongs to all of its channels."""
    found: dict[str, dict[str | None, list[Event]]] = {}
    for event in of(events, *_KINDS):
        named = event.data.get("channel")
        channel = None if named is None else word(named)
        found.setdefault(word(event.data.get("notice")), {}).setdefault(channel, []).append(event)
    for notice, channels in found.items():
        nowhere = channels.pop(None, [])
        if not channels:
            yield notice, None, nowhere
        for channel, lines in channels.items():
            yield notice, channel, sorted([*nowhere, *lines], key=lambda event: event.seq)


def _due(events: Sequence[Event], now: datetime) -> list[Notice]:
    try:
        return schedule(events, now)
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError):
        return []  # an altered plan or line, which `verify` tells: the rows of what is on record stay


def _origin(plan: Plan | None, notice: Notice | None) -> tuple[int, ...]:
    """The lines that a notice follows from: the plan's, and that of what happened."""
    lines = (plan.line if plan else None, notice.line if notice else None)
    return tuple(dict.fromkeys(line for line in lines if line is not None))


def _unanswered(plan: Plan, due: Mapping[str, Notice], found: Sequence[Told], now: datetime) -> Iterator[Told]:
    """What was due and nothing is on record of: on a channel, or, where it came to none, at all."""
    known = {(one.notice, one.channel) for one in found}
    for notice in due.values():
        if (notice.id, None) in known:
            continue
        late = (now - notice.due_at).total_seconds() > plan.late_after_s / plan.time_scale
        for channel in notice.channels or (None,):
            if (notice.id, channel) not in known:
                yield Told(
                    notice.id,
                    channel,
                    "silent" if late else "due",
                    notice.audience,
                    notice.kind,
                    str(notice.severity),
                    iso_utc(notice.due_at),
                    None,
                    None,
                    "",
                    "",
                    _origin(plan, notice),
                    notice.line,
                )


def _told(notice: str, channel: str | None, lines: Sequence[Event], origin: Sequence[int]) -> Told:
    """What is final counts, whatever a second server said afterwards: that it was sent, else that it will not be."""
    final = (event for kind in ("notice.sent", "notice.not_sent") for event in lines if event.kind == kind)
    decides = next(final, lines[-1])
    data, standing = decides.data, _KINDS[decides.kind]
    if standing == "sent" and data.get("late") is True:
        standing = "late"
    if standing == "not_sent" and data.get("superseded_by"):
        standing = "superseded"
    waited = ("notice.failed", "notice.withheld")
    known = [*(event for event in lines if event.kind in waited and event.seq < decides.seq), decides]
    attempts = [event.data["attempt"] for event in known if number(event.data.get("attempt")) is not None]
    return Told(
        notice,
        channel,
        standing,
        shown(data.get("audience")),
        shown(data.get("kind")),
        shown(data.get("severity")),
        shown(data.get("due_at")),
        decides.at if decides.kind == "notice.sent" else None,
        number(data.get("late_s")) if decides.kind == "notice.sent" else None,
        shown(attempts[-1]) if attempts else "",
        _why(decides),
        tuple(dict.fromkeys((*origin, *(event.seq for event in known)))),
        decides.seq,
    )


def _why(event: Event) -> str:
    """What there is to say beside how it stands."""
    data = event.data
    if event.kind == "notice.failed":
        again = f"; again at {shown(data['retry_at'])}" if data.get("retry_at") else ""
        return f"{shown(data.get('error'))}{again}"
    if event.kind == "notice.withheld":
        return f"gate {shown(data.get('gate'))}: {shown(data.get('reason'))}"
    return shown(data.get("reason")) if event.kind == "notice.not_sent" else ""


def _summary(found: Sequence[Told]) -> Table:
    """How many stand how; those of which nothing is on record are no lines that could be counted, so none are."""
    told = []
    for standing, (says, tone) in STANDINGS.items():
        lines = tuple(one.deciding for one in found if one.standing == standing)
        if lines:
            counted = standing not in ("silent", "due")
            told.append(Row((says, str(len(lines)) if counted else "see below"), tuple(dict.fromkeys(lines)), tone))
    return Table("Told or not", ("Notices", "How many, by channel"), tuple(told), _NOBODY)


def _notices(found: Sequence[Told], day: str) -> Table:
    columns = ("Audience", "Kind", "Sev.", "Channel", "Due (UTC)", "Sent (UTC)", "Late by", "Attempts", "State")
    rows = tuple(_row(one, day, one.audience, one.kind, one.severity) for one in found)
    unanswered = sum(one.standing in ("silent", "due") for one in found)
    note = (
        f"Of those that nothing is on record of only the first {unanswered}." if unanswered == UNANSWERED_LIMIT else ""
    )
    return Table("Notices due and sent", columns, rows, _NOBODY, note)


def _pages(found: Sequence[Told], day: str) -> Table:
    """A page's notice is ``<audience>.page.<person>``."""
    columns = ("Person", "Channel", "Due (UTC)", "Sent (UTC)", "Late by", "Attempts", "State")
    rows = tuple(
        _row(one, day, shown(one.notice.partition(f".{PAGE}.")[2] or one.notice)) for one in found if one.kind == PAGE
    )
    return Table("Escalation pages", columns, rows, "Nobody was paged on record.")


def _row(one: Told, day: str, *names: str) -> Row:
    says, tone = STANDINGS[one.standing]
    cells = (
        *names,
        "none" if one.channel is None else shown(one.channel),
        clock(one.due_at, day),
        "" if one.sent_at is None else clock(one.sent_at, day),
        "" if one.late_s is None else seconds(one.late_s),
        one.attempts,
        f"{says}: {one.said}" if one.said else says,
    )
    return Row(cells, one.lines, "" if one.standing == "sent" else tone)


def _acknowledged(events: Sequence[Event]) -> Table:
    opened = of(events, "incident.opened")[:1]
    rows = tuple(
        Row(
            (shown(event.at), shown(event.data.get("by")), since(opened[0], event) if opened else NOT_KNOWN),
            (*(line.seq for line in opened), event.seq),
        )
        for event in of(events, "incident.acknowledged")
    )
    return Table("Acknowledged", ("At (UTC)", "By", "After the opening"), rows, "Nobody acknowledged it on record.")


def _war_room(events: Sequence[Event]) -> Table:
    rows = []
    for event in of(events, "war_room.opened", "war_room.failed", "war_room.closed"):
        data = event.data
        opened, failed = event.kind == "war_room.opened", event.kind == "war_room.failed"
        meeting = data.get("meeting")
        made = "made" if data.get("created") is True else "found" if data.get("id") else "a call only"
        what = made if opened else "FAILED" if failed else "closed"
        cells = (
            shown(event.at),
            what,
            "" if failed else shown(data.get("name")),
            shown(data.get("private")) if opened else "",
            shown(data["url"]) if data.get("url") else "",
            shown(meeting.get("join") if isinstance(meeting, dict) else meeting) if opened else "",
            shown(said) if (said := data.get("error" if failed else "complaint")) else "",
        )
        rows.append(Row(cells, (event.seq,), "bad" if failed else ""))
    for event in of(events, "war_room.posted")[-1:]:
        through = plain(f"up to #{word(event.data.get('through'))}")
        rows.append(Row((shown(event.at), "last told", "", "", "", "", through), (event.seq,)))
    columns = ("At (UTC)", "What", "Room", "Private", "Where", "Meeting", "Said")
    return Table("War room", columns, tuple(rows), "No war room is on record.")


def _roles(events: Sequence[Event]) -> Table:
    rows = []
    for event in of(events, "role.assigned", "role.handed_over"):
        data = event.data
        assigned = event.kind == "role.assigned"
        person = data.get("person" if assigned else "to")
        cells = (
            shown(event.at),
            shown(data.get("role")),
            shown(person),
            "" if assigned else shown(data.get("from")),
            shown(data.get("by")),
            shown(data["note"]) if data.get("note") else "",
        )
        rows.append(Row(cells, (event.seq,)))
    columns = ("At (UTC)", "Role", "Now held by", "Taken over from", "By", "Note")
    return Table("Roles and hand-overs", columns, tuple(rows), "No role was given to anybody on record.")
