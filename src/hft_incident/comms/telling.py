# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Notices as jobs: each is sent on each of its channels, called off, or waits for somebody's word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils.approvals import utc
from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.redaction import iso_utc

from ..metrics import instant, nature
from ..notices import FAILED, NOT_SENT, SENT, WITHHELD, Delivery, Notice, deliveries, schedule
from .channels import DeliveryError, is_configured, send, take_way_out
from .disclosure import answer, is_allowed, question, signers_of
from .facts import facts_of, public_status
from .job import Draft, Job, Situation, nothing, retry_at
from .plan import Plan
from .policy import STATUS_PAGE
from .status_page import publish
from .wording import Message, filled

#: An incident that is over is not told about for longer than this (s).
GIVE_UP_AFTER_S = 3600.0
LOST = "whoever sent it ended before it was known whether it arrived"


def telling(situation: Situation, plan: Plan) -> Iterator[Job]:
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
                yield Job(f"{notice.id} waits for {notice.gate}", partial(list, waits), nothing, is_quick=True)
        elif found is None or found.retry_at is None or found.retry_at <= situation.now:
            yield delivery


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

    def failed(error: str, doubtful: bool) -> Sequence[Draft]:
        return [(FAILED, {**about, "error": error, "doubtful": doubtful, "retry_at": retry_at(plan, attempt)})]

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
    incident = plan.code_name or situation.incident.id
    wording = situation.policy.wording.get(notice.wording) or situation.policy.wording["notice"]
    subject, text = filled(wording, facts_of(situation.events, incident, plan, notice))
    drill = "[DRILL] " if nature(situation.events) == "drill" else ""
    return Message(notice.id, incident, notice.kind, notice.severity, drill + subject, drill + text)


def _closed_at(events: Sequence[Event]) -> datetime | None:
    ends = [event for event in events if event.kind in ("incident.closed", "incident.reopened")]
    return instant(ends[-1].at) if ends and ends[-1].kind == "incident.closed" else None
