# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What is to be done for an incident now: its plan, notices, its war room, measured exposure. Each is a job with a name
that says for good what it is, some work, and what to put on record where somebody died in the middle of that work.

Everything here is derived from the record, so whoever asks gets the same jobs. A job's work returns what happened as
drafts of events and raises nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.approvals import utc
from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, State, state_of
from ansible_collections.hft.incident.plugins.module_utils.redaction import iso_utc
from ansible_collections.hft.incident.plugins.module_utils.severity_rules import load as severity_rules

from ..metrics import instant, nature, number
from ..notices import FAILED, NOT_SENT, SENT, WITHHELD, Delivery, Notice, deliveries, schedule, turns_of
from ..report_sections import KEY_KINDS
from ..sentences import sentence
from .channels import DeliveryError, is_configured, send, take_way_out
from .disclosure import answer, is_allowed, question, signers_of
from .facts import facts_of, public_status
from .measuring import measured
from .plan import PLANNED, Plan, plan_of, planned
from .policy import STATUS_PAGE, Policy
from .status_page import publish
from .war_room import open_room, post
from .wording import Message, filled

ROOM_OPENED, ROOM_FAILED, ROOM_POSTED = "war_room.opened", "war_room.failed", "war_room.posted"
#: Between two attempts (s): doubled each time, up to the last; shortened like all waiting of a drill.
FIRST_RETRY_S, LAST_RETRY_S = 5.0, 60.0
#: An incident that is over is not told about for longer than this (s).
GIVE_UP_AFTER_S = 3600.0
#: So many lines of the record go into one message.
MOST_LINES = 30
LOST = "whoever sent it ended before it was known whether it arrived"

Draft = tuple[str, Mapping[str, Any]]


class Job(NamedTuple):
    """``name``: of this very job, for good. ``lost``: what to record where an earlier attempt ended in the middle.
    ``is_quick``: there is nothing to it but to put its result on record."""

    name: str
    work: Callable[[], Sequence[Draft]]
    lost: Callable[[], Sequence[Draft]]
    is_quick: bool = False


class Situation(NamedTuple):
    """What jobs are derived from; ``sources``: the incident's inventory."""

    incident: Incident
    policy: Policy
    sources: Sequence[str]
    events: Sequence[Event]
    now: datetime


def jobs_of(situation: Situation) -> list[Job]:
    """Everything that is to be done now."""
    state = state_of(situation.events)
    if state.type is None or state.check:
        return []
    plan = plan_of(situation.events)
    if plan is None:
        begun = state.is_open and _plan_due(situation) <= situation.now
        return [Job("plan", partial(_planning, situation, state.type), _nothing)] if begun else []
    found = [*_telling(situation, plan), *_meeting(situation, plan, state)]
    return [*found, *_measuring(situation, plan, state)]


def wakes_of(situation: Situation) -> list[datetime]:
    """When something is to be done that no new event would tell of: attempts to repeat, the next figures."""
    plan = plan_of(situation.events)
    if plan is None:
        return [_plan_due(situation)]
    retries = [found.retry_at for found in deliveries(situation.events).values() if found.state == "failed"]
    rooms = [instant(event.data.get("retry_at")) for event in situation.events if event.kind == ROOM_FAILED][-1:]
    return [at for at in (*retries, *rooms, _next_measure(situation, plan), _room_due(situation, plan)) if at]


def unfinished(situation: Situation) -> list[tuple[Notice, str, Delivery | None]]:
    """Notices that are due and of which nothing final is on record, by channel."""
    known = deliveries(situation.events)
    return [
        (notice, channel, known.get((notice.id, channel)))
        for notice in schedule(situation.events, situation.now)
        for channel in notice.channels
        if _is_open(known.get((notice.id, channel)))
    ]


def _is_open(found: Delivery | None) -> bool:
    return found is None or found.state == "failed"


def _nothing() -> Sequence[Draft]:
    return []


def _plan_due(situation: Situation) -> datetime:
    """When there is something to plan: it is judged real, or nobody has judged it for a while."""
    turns = list(turns_of(situation.events))
    policy = situation.policy
    if not turns or any(turn.kind == "judged" for turn in turns):
        return situation.now
    return turns[0].at + timedelta(seconds=policy.unjudged_for_s / policy.time_scale)


def _planning(situation: Situation, incident_type: str) -> Sequence[Draft]:
    opened = next(event for event in situation.events if event.kind == "incident.opened")
    started = [event.data.get("inputs") or {} for event in situation.events if event.kind == "run.started"]
    inputs = {**(opened.data.get("inputs") or {}), **(started[-1] if started else {})}
    try:
        rules = severity_rules(situation.sources)
    except IncidentError:
        rules = severity_rules()  # the run itself does not start with such rules
    return [(PLANNED, planned(situation.policy, rules, incident_type, inputs))]


# Notices --------------------------------------------------------------------------------------------------------------


def _telling(situation: Situation, plan: Plan) -> Iterator[Job]:
    """Whatever becomes of a notice on a channel is one job, so that nobody calls off what somebody else is sending."""
    open_notices = unfinished(situation)
    for notice, channel, found in open_notices:
        newer = next((other for other, where, _ in open_notices if _supersedes(other, where, notice, channel)), None)
        delivery = _delivery(situation, plan, notice, channel, found)
        if why := _never(situation, plan, channel, newer):
            settled = [(NOT_SENT, {**_about(notice), "channel": channel, **why})]
            yield delivery._replace(work=partial(list, settled), is_quick=True)
        elif notice.gate and not is_allowed(situation.incident, situation.events, notice.gate, situation.now):
            if waits := _waiting(situation, plan, notice, notice.gate):
                yield Job(f"{notice.id} waits for {notice.gate}", partial(list, waits), _nothing, is_quick=True)
        elif found is None or found.retry_at is None or found.retry_at <= situation.now:
            yield delivery


def _never(situation: Situation, plan: Plan, channel: str, newer: Notice | None) -> dict[str, str]:
    """The ``reason`` why a notice is not sent on this channel, now or later; empty: it is."""
    if not is_configured(situation.policy.site, channel):
        return {"reason": f"channel {channel} leads nowhere: nothing is configured"}
    if newer is not None:
        return {"reason": f"superseded by {newer.id}, which says what is so now", "superseded_by": newer.id}
    closed = _closed_at(situation.events)
    if closed and situation.now - closed > timedelta(seconds=GIVE_UP_AFTER_S / plan.time_scale):
        return {"reason": "given up: the incident is over"}
    return {}


def _waiting(situation: Situation, plan: Plan, notice: Notice, gate: str) -> list[Draft]:
    """That it waits for somebody's word, once; the question, and the answer where there is one by now."""
    incident, events = situation.incident, situation.events
    drafts: list[Draft | None] = []
    if not any(event.kind == WITHHELD and event.data.get("notice") == notice.id for event in events):
        reason = f"waits for {gate}: `hft-incident approve {incident.id} {gate}`"
        drafts.append((WITHHELD, {**_about(notice), "gate": gate, "reason": reason}))
    signers = signers_of(situation.policy.site.allowed_signers, situation.sources)
    drafts += [question(events, gate, plan.gates.get(gate), signers), answer(incident, events, gate, situation.now)]
    return [draft for draft in drafts if draft]


def _supersedes(newer: Notice, where: str, notice: Notice, channel: str) -> bool:
    """A later notice to the same people by the same way: only one of them says what is so now. What pages somebody is
    not held back by an update."""
    return (
        where == channel
        and newer.audience == notice.audience
        and newer.due_at > notice.due_at
        and (notice.kind != "page" or newer.kind == "resolved")
    )


def _about(notice: Notice) -> dict[str, Any]:
    return {
        "notice": notice.id,
        "audience": notice.audience,
        "kind": notice.kind,
        "severity": notice.severity,
        "due_at": iso_utc(notice.due_at),
    }


def _delivery(situation: Situation, plan: Plan, notice: Notice, channel: str, found: Delivery | None) -> Job:
    attempt = (found.attempts if found else 0) + 1
    about = {**_about(notice), "channel": channel, "attempt": attempt}
    pause = min(FIRST_RETRY_S * 2 ** min(attempt - 1, 10), LAST_RETRY_S) / plan.time_scale

    def failed(error: str, doubtful: bool) -> Sequence[Draft]:
        retry_at = iso_utc(utc() + timedelta(seconds=pause))
        return [(FAILED, {**about, "error": error, "doubtful": doubtful, "retry_at": retry_at})]

    def work() -> Sequence[Draft]:
        message = _message(situation, plan, notice)
        again = found is not None and found.doubtful
        try:
            external = _deliver(situation, channel, message, again)
        except DeliveryError as error:
            return failed(str(error), error.doubtful)
        late_s = (utc() - notice.due_at).total_seconds()
        told = {
            **about,
            "late_s": round(late_s, 3),
            "late": late_s > plan.late_after_s / plan.time_scale,
            "again": again,
            "subject": message.subject,
            "text": message.text,
        }
        return [(SENT, told if external is None else {**told, "external": external})]

    return Job(f"{notice.id}@{channel}", work, partial(failed, LOST, True))


def _deliver(situation: Situation, channel: str, message: Message, again: bool) -> str | None:
    """What the other side calls it, where that matters."""
    site = situation.policy.site
    take_way_out(site)
    if channel == STATUS_PAGE and site.status_page:
        return publish(site.status_page, message, public_status(situation.events))
    send(site, channel, message, again=again)
    return None


def _message(situation: Situation, plan: Plan, notice: Notice) -> Message:
    """A drill says so before anything else, wherever it is read."""
    incident = situation.incident.id
    wording = situation.policy.wording.get(notice.wording) or situation.policy.wording["notice"]
    subject, text = filled(wording, facts_of(situation.events, incident, plan, notice))
    drill = "[DRILL] " if nature(situation.events) == "drill" else ""
    return Message(notice.id, incident, notice.kind, notice.severity, drill + subject, drill + text)


# The war room ---------------------------------------------------------------------------------------------------------


def _meeting(situation: Situation, plan: Plan, state: State) -> Iterator[Job]:
    room = situation.policy.war_room
    if room.slack is None and room.zoom is None and room.bridge is None:
        return
    opened = _last(situation.events, ROOM_OPENED)
    if opened is None:
        due = _room_due(situation, plan)
        if state.is_open and due and due <= situation.now:
            yield Job("war room", partial(_open_room, situation, plan, state), _nothing)
        return
    ident = opened.data.get("id")
    if room.slack is None or not isinstance(ident, str):
        return
    news = _news(situation.events)
    if news and not _is_pausing(situation):
        through = news[-1].seq
        yield Job(
            f"war room post {through}",
            partial(_post, situation, plan, ident, news, False),
            partial(_room_failed, plan, LOST, 1),
        )


def _room_due(situation: Situation, plan: Plan) -> datetime | None:
    """When there has to be a war room: at once for this severity, for the others once it lasts. None: there is one."""
    opened = instant(state_of(situation.events).opened_at)
    if opened is None or _last(situation.events, ROOM_OPENED):
        return None
    told = schedule(situation.events, situation.now)
    if not told:
        return None  # it may be no incident at all
    severity = state_of(situation.events).severity
    at = told[0].due_at if severity and severity <= plan.room.severity else None
    at = at or opened + timedelta(seconds=plan.room.after_s / plan.time_scale)
    failed = _last(situation.events, ROOM_FAILED)
    retry_at = instant(failed.data.get("retry_at")) if failed else None
    return max(at, retry_at) if retry_at else at


def _open_room(situation: Situation, plan: Plan, state: State) -> Sequence[Draft]:
    site, room, incident = situation.policy.site, situation.policy.war_room, situation.incident.id
    discreet = plan.room.private
    drill = "[DRILL] " if nature(situation.events) == "drill" else ""
    take_way_out(site)
    topic = f"{drill}SEV{state.severity}" + ("" if discreet else f" {str(state.type).replace('_', ' ')}")
    try:
        return [(ROOM_OPENED, open_room(site, room, incident, private=discreet, topic=topic))]
    except DeliveryError as error:
        attempts = sum(event.kind == ROOM_FAILED for event in situation.events) + 1
        return _room_failed(plan, str(error), attempts)


def _room_failed(plan: Plan, error: str, attempts: int) -> Sequence[Draft]:
    pause = min(FIRST_RETRY_S * 2 ** min(attempts - 1, 10), LAST_RETRY_S) / plan.time_scale
    return [(ROOM_FAILED, {"error": error, "retry_at": iso_utc(utc() + timedelta(seconds=pause))})]


def _is_pausing(situation: Situation) -> bool:
    failed = _last(situation.events, ROOM_FAILED)
    retry_at = instant(failed.data.get("retry_at")) if failed else None
    return retry_at is not None and retry_at > situation.now


def _news(events: Sequence[Event]) -> list[Event]:
    """What matters of the record and is not in the room yet: the report's key moments, and who has what."""
    posted = max((number(event.data.get("through")) or 0 for event in events if event.kind == ROOM_POSTED), default=0)
    kinds = (KEY_KINDS - {SENT}) | {"role.assigned", "role.handed_over", FAILED, WITHHELD}
    return [event for event in events if event.seq > posted and event.kind in kinds][:MOST_LINES]


def _post(situation: Situation, plan: Plan, ident: str, news: Sequence[Event], again: bool) -> Sequence[Draft]:
    site, slack = situation.policy.site, situation.policy.war_room.slack
    if slack is None:
        return []
    # One that failed before may have arrived all the same: the room itself is asked.
    again = again or any(event.kind == ROOM_FAILED for event in situation.events)
    lines = [f"{event.at[11:19]} {sentence(event)}" for event in news]
    try:
        post(site, slack, ident, lines, news[-1].seq, again=again)
    except DeliveryError as error:
        attempts = sum(event.kind == ROOM_FAILED for event in situation.events) + 1
        return _room_failed(plan, str(error), attempts)
    return [(ROOM_POSTED, {"through": news[-1].seq, "lines": len(lines)})]


# Figures --------------------------------------------------------------------------------------------------------------


def _measuring(situation: Situation, plan: Plan, state: State) -> Iterator[Job]:
    due = _next_measure(situation, plan)
    if state.is_open and due and due <= situation.now:
        yield Job(f"figures {iso_utc(due)}", partial(measured, situation.sources), _nothing)


def _next_measure(situation: Situation, plan: Plan) -> datetime | None:
    """Once a minute from the opening on; a minute that was missed is not caught up with."""
    opened = instant(state_of(situation.events).opened_at)
    if opened is None or not schedule(situation.events, situation.now):
        return None
    every = timedelta(seconds=plan.exposure_every_s / plan.time_scale)
    last = next((instant(event.at) for event in reversed(situation.events) if event.kind == "pnl.measured"), None)
    return opened + every if last is None else opened + every * ((last - opened) // every + 1)


def _closed_at(events: Sequence[Event]) -> datetime | None:
    ends = [event for event in events if event.kind in ("incident.closed", "incident.reopened")]
    return instant(ends[-1].at) if ends and ends[-1].kind == "incident.closed" else None


def _last(events: Sequence[Event], kind: str) -> Event | None:
    return next((event for event in reversed(events) if event.kind == kind), None)
