# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``venue_watch``: a bounded, visible wait for a venue, and a watch that it stays well."""

from __future__ import annotations

from typing import Any

from ..watching import Subject, require_times, watch
from . import Context, Params, Result, event
from .venue_status_info import ARGUMENT_SPEC as LOOK_SPEC
from .venue_status_info import Look, described, look

ARGUMENT_SPEC: dict[str, Any] = {
    **LOOK_SPEC,
    "wait_for": {"type": "str", "choices": ["reachable", "healthy"], "default": "healthy"},
    "timeout": {"type": "float", "default": 3600.0},
    "hold": {"type": "float", "default": 0.0},
    "interval": {"type": "float", "default": 10.0},
    "look_timeout": {"type": "float", "default": 5.0},
}
#: A venue that has shut us out is asked less and less often, up to this pause (s): asking makes it longer (D11).
LONGEST_PAUSE_S = 60.0


def run(params: Params, context: Context) -> Result:
    """Wait until the venue is as wanted, then watch that it stays so for ``hold`` seconds. Raises UnprovenError."""
    require_times(params)
    return watch(_Venue(params), params, context)


class _Venue(Subject):
    """One venue, seen as ``venue_status_info`` sees it."""

    bad_looks = 2  # one alone may be a lost packet
    watched_kind = "venue.watched"
    _seen: Look

    def __init__(self, params: Params) -> None:
        self._params = {**params, "timeout": params["look_timeout"]}
        self._shut_out = 0  # looks in a row at which the venue told us to ask less
        self.wanted = f"{params['name']} is {params['wait_for']}"

    def look(self, *, holding: bool) -> bool:
        self._seen = look(self._params)
        evidence, diagnosis = self._seen
        checks = (evidence.public_time, evidence.authenticated_read)
        told_off = any(check.kind in ("banned", "rate_limited") for check in checks)
        self._shut_out = self._shut_out + 1 if told_off else 0
        return diagnosis.venue_reachable if self._params["wait_for"] == "reachable" else diagnosis.verdict == "healthy"

    def sentence(self) -> str:
        return self._seen.diagnosis.sentence

    def shown(self) -> dict[str, Any]:
        return described(self._seen)

    def told(self) -> dict[str, Any]:
        diagnosis = self._seen.diagnosis
        return {"name": self._params["name"], "verdict": diagnosis.verdict, "sentence": diagnosis.sentence}

    def record(self) -> dict[str, Any]:
        return event("venue.diagnosed", {"name": self._params["name"], **self.shown()})

    def pause(self, interval: float) -> float:
        return max(interval, min(LONGEST_PAUSE_S, interval * 2.0 ** min(self._shut_out, 10)))
