# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Whether people were told, by the books of the services that tell them; not by what the response says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.follower import follower_of

from ..lab.lab import Lab
from ..lab.sink_handle import Arrival
from ..notices import SENT, schedule
from .scenario import Line, wait_quietly

#: Two minutes of waiting for the next notice are four seconds.
TIME_SCALE = 30
#: How long (s) the last ones may take after all is over.
PATIENCE_S = 30.0
#: What a service does when it tells somebody, by service; the rest is about rooms and meetings.
_TELLING = {
    "pagerduty": None,
    "smtp": None,
    "twilio": None,
    "webhook": None,
    "slack": frozenset(("webhook", "chat.postMessage")),
    "statuspage": frozenset(("incident.create", "incident.update")),
}


def wait_until_told(lab: Lab, incident: str) -> None:
    """Until whoever follows the incident has nothing left to tell, or it takes too long."""
    wait_quietly(lambda: follower_of(lab.home / incident) is None, PATIENCE_S)


def line(lab: Lab, events: Sequence[Event], now: datetime) -> Line:
    """Every notice that was due has arrived, each once, but for those that a gate keeps back."""
    rooms = [str(event.data.get("id")) for event in events if event.kind == "war_room.opened"]
    arrived = sum(_tells(arrival, rooms) for arrival in lab.sinks.arrivals())
    notices = schedule(events, now)
    due = sum(len(notice.channels) for notice in notices)
    sent, overtaken = _notices(events, SENT), _notices(events, "notice.not_sent")
    settled = {name for name, _channel in sent | overtaken}
    kept_back = {name for name, _channel in _notices(events, "notice.withheld")} - settled
    withheld = sum(len(notice.channels) for notice in notices if notice.id in kept_back)
    late = sum(event.kind == SENT and event.data.get("late") is True for event in events)
    said = ", ".join(
        [
            f"{arrived} of {due}",
            *([f"{len(overtaken)} overtaken by newer ones"] if overtaken else []),
            *([f"{withheld} withheld"] if withheld else []),
            *([f"{late} late"] if late else []),
        ]
    )
    passed = bool(due) and arrived == len(sent) == due - len(overtaken) - withheld
    return Line("people told, as the services saw it", said, passed)


def said_in_public(lab: Lab) -> int:
    """How often the status page was told anything."""
    return sum(arrival.service == "statuspage" and arrival.accepted for arrival in lab.sinks.arrivals())


def _notices(events: Sequence[Event], kind: str) -> set[tuple[str, str]]:
    return {(str(e.data.get("notice")), str(e.data.get("channel"))) for e in events if e.kind == kind}


def _tells(arrival: Arrival, rooms: Sequence[str]) -> bool:
    if not arrival.accepted or arrival.service not in _TELLING or arrival.target in rooms:
        return False
    operations = _TELLING[arrival.service]
    return operations is None or arrival.op in operations
