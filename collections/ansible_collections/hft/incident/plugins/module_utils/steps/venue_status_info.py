# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``venue_status_info``: their fault or ours, with the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..arguments import TRADING_SYSTEMS, VENUES, require_positive
from ..diagnosis import Diagnosis, Evidence, diagnose
from ..errors import UsageError
from ..settings import VenueEntry, system_entries, venue_entries
from ..venue_evidence import gather
from . import Context, Params, Result, event

ARGUMENT_SPEC: dict[str, Any] = {
    **VENUES,
    **TRADING_SYSTEMS,
    "name": {"type": "str", "required": True},
    "timeout": {"type": "float", "default": 5.0},
    "stale_after": {"type": "float", "default": 30.0},
}


class Look(NamedTuple):
    """What was seen, and what it means."""

    evidence: Evidence
    diagnosis: Diagnosis


def run(params: Params, _context: Context) -> Result:
    """One look at one venue; never a failure because the venue is down, since that was the question."""
    seen = look(params)
    return {
        "msg": f"{params['name']}: {seen.diagnosis.verdict}: {seen.diagnosis.sentence}",
        **described(seen),
        "record": [event("venue.diagnosed", {"name": params["name"], **described(seen)})],
    }


def look(params: Params) -> Look:
    """Gather and judge; raises UsageError for a venue that is not in ``venues``."""
    require_positive(params, "timeout", "stale_after")
    entries = venue_entries(params["venues"])
    entry = named(entries, params["name"])
    evidence = gather(
        entry,
        [other for other in entries if other is not entry],
        system_entries(params["trading_systems"]),
        timeout=params["timeout"],
        stale_after=params["stale_after"],
    )
    return Look(evidence, diagnose(evidence))


def named(entries: Sequence[VenueEntry], name: str) -> VenueEntry:
    known = {entry.name: entry for entry in entries}
    if name not in known:
        wanted = f"unknown exchange '{name}'" if name else "no exchange is named"
        raise UsageError(f"{wanted}: give -e exchange=NAME, one of: {', '.join(known) or 'none (hft_venues is empty)'}")
    return known[name]


def described(seen: Look) -> dict[str, Any]:
    """The fields of a look, in results and in the record."""
    return {**seen.diagnosis._asdict(), "evidence": seen.evidence}
