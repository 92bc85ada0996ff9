# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What is to be done for an incident now: its plan, its notices, its war room, its figures.

Everything here is derived from the record, so whoever asks gets the same jobs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError
from ansible_collections.hft.incident.plugins.module_utils.incident import State, state_of
from ansible_collections.hft.incident.plugins.module_utils.redaction import iso_utc
from ansible_collections.hft.incident.plugins.module_utils.severity_rules import load as severity_rules

from ..metrics import instant
from ..notices import deliveries, schedule, turns_of
from .code_names import code_name
from .job import Draft, Job, Situation, nothing
from .measuring import measured
from .meeting import ROOM_FAILED, meeting, room_due
from .plan import PLANNED, Plan, plan_of, planned
from .telling import telling


def jobs_of(situation: Situation) -> list[Job]:
    """Everything that is to be done now."""
    state = state_of(situation.events)
    if state.type is None or state.check:
        return []
    plan = plan_of(situation.events)
    if plan is None:
        begun = state.is_open and _plan_due(situation) <= situation.now
        return [Job("plan", partial(_planning, situation, state.type), nothing)] if begun else []
    found = [*telling(situation, plan), *meeting(situation, plan, state)]
    return [*found, *_measuring(situation, plan, state)]


def wakes_of(situation: Situation) -> list[datetime]:
    """When something is to be done that no new event would tell of: attempts to repeat, the next figures."""
    plan = plan_of(situation.events)
    if plan is None:
        return [_plan_due(situation)]
    retries = [found.retry_at for found in deliveries(situation.events).values() if found.state == "failed"]
    rooms = [instant(event.data.get("retry_at")) for event in situation.events if event.kind == ROOM_FAILED][-1:]
    return [at for at in (*retries, *rooms, _next_measure(situation, plan), room_due(situation, plan)) if at]


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
    name = code_name(situation.incident.id, situation.events)
    return [(PLANNED, planned(situation.policy, rules, incident_type, inputs, name))]


def _measuring(situation: Situation, plan: Plan, state: State) -> Iterator[Job]:
    due = _next_measure(situation, plan)
    if state.is_open and due and due <= situation.now:
        yield Job(f"figures {iso_utc(due)}", partial(measured, situation.sources), nothing)


def _next_measure(situation: Situation, plan: Plan) -> datetime | None:
    """Once a minute from the opening on; a minute that was missed is not caught up with."""
    opened = instant(state_of(situation.events).opened_at)
    if opened is None or not schedule(situation.events, situation.now):
        return None
    every = timedelta(seconds=plan.exposure_every_s / plan.time_scale)
    last = next((instant(event.at) for event in reversed(situation.events) if event.kind == "pnl.measured"), None)
    return opened + every if last is None else opened + every * ((last - opened) // every + 1)
