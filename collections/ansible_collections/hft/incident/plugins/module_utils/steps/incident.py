# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``incident``: closes the incident, and only when its own record proves that it may be closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..approvals import PASSED, TRADING, guards_of, is_closing
from ..chain import Event
from ..errors import UnprovenError
from ..incident import State, doubts, state_of
from . import Context, Params, Result, event
from .undo import current_incident

ARGUMENT_SPEC: dict[str, Any] = {
    "state": {"type": "str", "choices": ["closed"], "default": "closed"},
    "resolution": {"type": "str", "choices": ["resolved", "not_confirmed"], "default": "resolved"},
    "summary": {"type": "str", "default": ""},
}


def run(params: Params, context: Context) -> Result:
    """Close; raises UnprovenError with everything that the record does not prove.

    The record of a rehearsal (check mode from its opening on) is closed as such; a check of a real incident says
    whether it could be closed, and leaves it open.
    """
    incident = current_incident()
    events = incident.journal.events()
    state = state_of(events)
    if not state.is_open:
        return {"changed": False, "msg": f"{incident.id} is closed already"}
    missing = [] if state.check else MISSING[params["resolution"]](events)
    if missing:
        raise UnprovenError(f"{incident.id} stays open: {'; '.join(missing)}")
    resolution = "rehearsed" if state.check else params["resolution"]
    # "changed" is about trading: to close a record changes nothing there.
    result: Result = {"changed": False, "diff": {"before": {"state": "open"}, "after": {"state": "closed"}}}
    if context.check and not state.check:
        return {**result, "msg": f"{incident.id} would be closed: {resolution}"}
    closed = event("incident.closed", {"resolution": resolution, "summary": params["summary"]})
    return {**result, "msg": f"{incident.id} closed: {resolution}", "record": [closed]}


def _missing_for_resolved(events: Sequence[Event]) -> list[str]:
    """What an incident that was contained and recovered from must show, and this record does not."""
    state = state_of(events)
    missing = doubts(state)
    if not state.venues:
        missing.append("no kill was verified")
    missing += _not_undone(state)
    passed = max((line.seq for line in events if line.kind == PASSED and guards_of(line) == TRADING), default=None)
    if passed is None:
        missing.append("nobody has allowed trading to resume: no gate was passed")
    elif any(line.seq > passed and is_closing(line) for line in events):
        missing.append("something was closed again since trading was allowed to resume")
    reconciled = [line.data.get("verdict") for line in events if line.kind == "positions.reconciled"]
    if not reconciled or reconciled[-1] != "reconciled":
        missing.append(f"positions are not reconciled ({reconciled[-1] if reconciled else 'never tried'})")
    return missing


def _missing_for_not_confirmed(events: Sequence[Event]) -> list[str]:
    """An alarm was none only where nothing was done about it."""
    state = state_of(events)
    acted = [f"{name} was killed, so it is no mere alarm" for name in state.venues]
    acted += [f"{name} was stopped" for name, now in state.strategies.items() if now == "stopped"]
    return acted + _not_undone(state)


def _not_undone(state: State) -> list[str]:
    return [f"not undone: {inverse.describe}" for inverse in state.inverses]


MISSING: dict[str, Callable[[Sequence[Event]], list[str]]] = {
    "resolved": _missing_for_resolved,
    "not_confirmed": _missing_for_not_confirmed,
}
