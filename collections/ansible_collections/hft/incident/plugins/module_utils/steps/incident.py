# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``incident``: closes the incident, and only when its own record proves that it may be closed."""

from __future__ import annotations

from typing import Any

from ..errors import UnprovenError
from ..incident import state_of
from . import Context, Params, Result, event
from .undo import current_incident

ARGUMENT_SPEC: dict[str, Any] = {
    "state": {"type": "str", "choices": ["closed"], "default": "closed"},
    "resolution": {"type": "str", "choices": ["resolved", "not_confirmed"], "default": "resolved"},
    "summary": {"type": "str", "default": ""},
}


def run(params: Params, context: Context) -> Result:
    """Close; raises UnprovenError with everything that the record does not prove (``resolved`` only)."""
    incident = current_incident()
    events = incident.journal.events()
    state = state_of(events)
    if not state.is_open:
        return {"changed": False, "msg": f"{incident.id} is closed already"}
    rehearsal = state.check or context.check
    missing = [] if rehearsal or params["resolution"] == "not_confirmed" else _missing(events)
    if missing:
        raise UnprovenError(f"{incident.id} stays open: {'; '.join(missing)}")
    resolution = "rehearsed" if rehearsal else params["resolution"]
    return {
        "changed": True,
        "msg": f"{incident.id} closed: {resolution}",
        "record": [event("incident.closed", {"resolution": resolution, "summary": params["summary"]})],
        "diff": {"before": {"state": "open"}, "after": {"state": "closed"}},
    }


def _missing(events: list[Any]) -> list[str]:
    """What a resolved incident must show and this record does not."""
    state = state_of(events)
    missing = [f"{name} is {held.verdict}" for name, held in state.venues.items() if held.verdict != "clear"]
    if not state.venues:
        missing.append("no kill was verified")
    missing += [f"not undone: {inverse.describe}" for inverse in state.inverses]
    reconciled = [line.data.get("verdict") for line in events if line.kind == "positions.reconciled"]
    if not reconciled or reconciled[-1] != "reconciled":
        missing.append(f"positions are not reconciled ({reconciled[-1] if reconciled else 'never tried'})")
    return missing
