# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a job is, and what jobs are derived from.

A job has a name that says for good what it is, some work, and what to put on record where somebody died in the middle
of that work. Its work returns what happened as drafts of events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.approvals import utc
from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident
from ansible_collections.hft.incident.plugins.module_utils.redaction import iso_utc

from .plan import Plan
from .policy import Policy

#: Between two attempts (s): doubled each time, up to the last; shortened like all waiting of a drill.
FIRST_RETRY_S, LAST_RETRY_S = 5.0, 60.0
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


def retry_at(plan: Plan, attempt: int) -> str:
    """When a job that failed for the ``attempt``-th time is tried again."""
    pause = min(FIRST_RETRY_S * 2 ** min(attempt - 1, 10), LAST_RETRY_S) / plan.time_scale
    return iso_utc(utc() + timedelta(seconds=pause))


def nothing() -> Sequence[Draft]:
    """What there is to record where nothing can be in doubt."""
    return []


def last(events: Sequence[Event], kind: str) -> Event | None:
    """The latest of its kind."""
    return next((event for event in reversed(events) if event.kind == kind), None)
