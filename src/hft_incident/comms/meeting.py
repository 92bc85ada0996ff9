# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The war room as jobs: opened once where the incident is severe or lasts, then told what matters as it happens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.incident import State, state_of

from ..metrics import instant, nature, number
from ..notices import FAILED, SENT, WITHHELD, schedule
from ..report_sections import KEY_KINDS
from ..sentences import sentence
from .channels import DeliveryError, take_way_out
from .job import Draft, Job, Situation, last, nothing, retry_at
from .plan import Plan
from .telling import LOST
from .war_room import open_room, post

ROOM_OPENED, ROOM_FAILED, ROOM_POSTED = "war_room.opened", "war_room.failed", "war_room.posted"
#: So many lines of the record go into one message.
MOST_LINES = 30


def meeting(situation: Situation, plan: Plan, state: State) -> Iterator[Job]:
    room = situation.policy.war_room
    if room.slack is None and room.zoom is None and room.bridge is None:
        return
    opened = last(situation.events, ROOM_OPENED)
    if opened is None:
        due = room_due(situation, plan)
        if state.is_open and due and due <= situation.now:
            yield Job("war room", partial(_open_room, situation, plan, state), nothing)
        return
    ident = opened.data.get("id")
    if room.slack is None or not isinstance(ident, str):
        return
    news = _news(situation.events)
    if news and not _is_pausing(situation):
        through = news[-1].seq
        yield Job(
            f"war room post {through}",
            partial(_post, situation, plan, ident, news),
            partial(_room_failed, plan, LOST, 1),
        )


def room_due(situation: Situation, plan: Plan) -> datetime | None:
    """When there has to be a war room: at once for this severity, for the others once it lasts. None: there is one."""
    opened = instant(state_of(situation.events).opened_at)
    if opened is None or last(situation.events, ROOM_OPENED):
        return None
    told = schedule(situation.events, situation.now)
    if not told:
        return None  # it may be no incident at all
    severity = state_of(situation.events).severity
    at = told[0].due_at if severity and severity <= plan.room.severity else None
    at = at or opened + timedelta(seconds=plan.room.after_s / plan.time_scale)
    failed = last(situation.events, ROOM_FAILED)
    retry_at = instant(failed.data.get("retry_at")) if failed else None
    return max(at, retry_at) if retry_at else at


def _open_room(situation: Situation, plan: Plan, state: State) -> Sequence[Draft]:
    site, room = situation.policy.site, situation.policy.war_room
    incident = plan.code_name or situation.incident.id
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
    return [(ROOM_FAILED, {"error": error, "retry_at": retry_at(plan, attempts)})]


def _is_pausing(situation: Situation) -> bool:
    failed = last(situation.events, ROOM_FAILED)
    retry_at = instant(failed.data.get("retry_at")) if failed else None
    return retry_at is not None and retry_at > situation.now


def _news(events: Sequence[Event]) -> list[Event]:
    """What matters of the record and is not in the room yet: the report's key moments, and who has what."""
    posted = max((number(event.data.get("through")) or 0 for event in events if event.kind == ROOM_POSTED), default=0)
    kinds = (KEY_KINDS - {SENT}) | {"role.assigned", "role.handed_over", FAILED, WITHHELD}
    return [event for event in events if event.seq > posted and event.kind in kinds][:MOST_LINES]


def _post(situation: Situation, plan: Plan, ident: str, news: Sequence[Event]) -> Sequence[Draft]:
    site, slack = situation.policy.site, situation.policy.war_room.slack
    if slack is None:
        return []
    # One that failed before may have arrived all the same: the room itself is asked.
    again = any(event.kind == ROOM_FAILED for event in situation.events)
    lines = {event.seq: f"{event.at[11:19]} {sentence(event)}" for event in news}
    try:
        post(site, slack, ident, lines, again=again)
    except DeliveryError as error:
        attempts = sum(event.kind == ROOM_FAILED for event in situation.events) + 1
        return _room_failed(plan, str(error), attempts)
    return [(ROOM_POSTED, {"through": news[-1].seq, "lines": len(lines)})]
