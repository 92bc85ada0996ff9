# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``venue_status_info``: their fault or ours, with the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..arguments import TRADING_SYSTEMS, VENUES
from ..diagnosis import Diagnosis, diagnose
from ..errors import UsageError
from ..evidence import gather
from ..settings import VenueEntry, system_entries, venue_entries
from . import Context, Params, Result, event

ARGUMENT_SPEC: dict[str, Any] = {
    **VENUES,
    **TRADING_SYSTEMS,
    "name": {"type": "str", "required": True},
    "timeout": {"type": "float", "default": 5.0},
    "stale_after": {"type": "float", "default": 30.0},
}


def run(params: Params, _context: Context) -> Result:
    """One look at one venue; never a failure because the venue is down, since that was the question."""
    diagnosis = look(params)
    return {
        "msg": f"{params['name']}: {diagnosis.verdict}: {diagnosis.sentence}",
        **described(diagnosis),
        "record": [event("venue.diagnosed", {"name": params["name"], **described(diagnosis)})],
    }


def look(params: Params) -> Diagnosis:
    """Gather and judge; raises UsageError for a venue that is not in ``venues``."""
    entries = venue_entries(params["venues"])
    entry = named(entries, params["name"])
    evidence = gather(
        entry,
        [other for other in entries if other is not entry],
        system_entries(params["trading_systems"]),
        timeout=params["timeout"],
        stale_after=params["stale_after"],
    )
    return diagnose(evidence)


def named(entries: Sequence[VenueEntry], name: str) -> VenueEntry:
    known = {entry.name: entry for entry in entries}
    if name not in known:
        wanted = f"unknown exchange '{name}'" if name else "no exchange is named"
        raise UsageError(f"{wanted}: give -e exchange=NAME, one of: {', '.join(known) or 'none (hft_venues is empty)'}")
    return known[name]


def described(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "verdict": diagnosis.verdict,
        "sentence": diagnosis.sentence,
        "because": list(diagnosis.because),
        "supporting": list(diagnosis.supporting),
        "venue_reachable": diagnosis.venue_reachable,
    }
