# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``escalation``: an incident that comes back soon is worse than the first (runbook section 4, "Escalation:
if crash repeats within 1 hour")."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from ..arguments import require_positive
from ..chain import Event
from ..errors import IncidentError
from ..incident import Incident, is_real, list_incidents, state_of
from ..timestamps import moment
from . import Context, Params, Result, event
from .undo import current_incident

ARGUMENT_SPEC: dict[str, Any] = {
    "within": {"type": "float", "default": 3600.0},
}


def run(params: Params, context: Context) -> Result:
    """``repeated``, and by which earlier incidents; the first time that is seen, it is recorded, and with that a fact
    for the severity rules."""
    del context  # it changes nothing but the record
    require_positive(params, "within")
    incident = current_incident()
    events = incident.journal.events()
    within = timedelta(seconds=params["within"])
    earlier = [other.id for other in list_incidents(incident.directory.parent) if _precedes(other, events, within)]
    result: Result = {"repeated": bool(earlier), "earlier": earlier}
    if not earlier:
        return {**result, "msg": f"the first one within {within}"}
    reason = f"it happened within {within} before: {', '.join(earlier)}"
    if any(line.kind == "incident.escalated" for line in events):
        return {**result, "msg": reason}
    record = [event("incident.escalated", {"earlier": earlier, "within_s": params["within"]})]
    return {**result, "msg": f"ESCALATED: {reason}", "record": record}


def _precedes(other: Incident, events: Sequence[Event], within: timedelta) -> bool:
    """Whether ``other`` is a real one of the same type that was opened so shortly before; one that cannot be read
    counts, because the higher severity is the safer mistake."""
    mine = state_of(events)
    if f"-{mine.type}-" not in other.id or mine.opened_at is None:
        return False
    try:
        theirs = other.journal.events()
    except IncidentError:
        return True
    state = state_of(theirs)
    if state.opened_at is None or state.check or not is_real(theirs):
        return False
    age = moment(mine.opened_at) - moment(state.opened_at)
    return timedelta(0) < age <= within
