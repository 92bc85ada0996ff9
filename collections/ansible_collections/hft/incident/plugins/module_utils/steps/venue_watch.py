# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``venue_watch``: a bounded, visible wait for a venue, and a watch that it stays well."""

from __future__ import annotations

import time
from typing import Any

from ..arguments import require_positive
from ..deadline import Deadline
from ..errors import UnprovenError, UsageError
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
#: While nothing changes, the journal still gets a line this often (s): a watch must be seen to be alive.
HEARTBEAT_S = 60.0
#: So many bad looks in a row end a watch; one alone may be a lost packet.
BAD_LOOKS = 2
#: A venue that has shut us out is asked less and less often, up to this pause (s): asking makes it longer (D11).
LONGEST_PAUSE_S = 60.0


def run(params: Params, context: Context) -> Result:
    """Wait until the venue is as wanted, then watch that it stays so for ``hold`` seconds. Raises UnprovenError."""
    require_positive(params, "interval", "look_timeout")
    if not (params["timeout"] >= 0 and params["hold"] >= 0):
        raise UsageError("timeout and hold must not be negative")
    watch = _Watch(params, context)
    if context.check:
        watch.look_once()
        return {"msg": f"would wait until {watch.wanted}; now: {watch.seen.diagnosis.sentence}", **_report(watch, 0, 0)}
    waited = watch.wait()
    held = watch.hold() if params["hold"] else 0.0
    return {
        "msg": f"{watch.wanted} after {waited:.0f} s" + (f" and stayed so for {held:.0f} s" if held else ""),
        **_report(watch, waited, held),
        "record": [event("venue.diagnosed", {"name": params["name"], **described(watch.seen)})],
    }


def _report(watch: _Watch, waited: float, held: float) -> Result:
    return {**described(watch.seen), "waited_s": round(waited, 3), "held_s": round(held, 3)}


class _Watch:
    """Looks at one venue again and again; says so when what it sees changes, and once a minute."""

    seen: Look

    def __init__(self, params: Params, context: Context) -> None:
        self._params = {**params, "timeout": params["look_timeout"]}
        self._wait_s = params["timeout"]
        self._context = context
        self._said = ("", 0.0)
        self._shut_out = 0  # looks in a row at which the venue told us to ask less
        self.wanted = f"{params['name']} is {params['wait_for']}"

    def wait(self) -> float:
        """Seconds until it was as wanted; the last look is taken when the time is up."""
        began, deadline = time.monotonic(), Deadline(self._wait_s)
        while not self._good(deadline):
            if deadline.expired():
                raise UnprovenError(f"not after {self._wait_s:g} s: {self.wanted}; {self.seen.diagnosis.sentence}")
            time.sleep(min(self._pause(), deadline.remaining()))
        return time.monotonic() - began

    def hold(self) -> float:
        """Seconds for which it stayed as wanted; it does not end on a bad look."""
        began, deadline = time.monotonic(), Deadline(self._params["hold"])
        bad = 0
        while bad or not deadline.expired():
            time.sleep(self._pause() if bad else min(self._pause(), deadline.remaining()))
            bad = 0 if self._good(deadline) else bad + 1
            if bad >= BAD_LOOKS:
                raise UnprovenError(
                    f"only for {time.monotonic() - began:.0f} s of {self._params['hold']:g} s: {self.wanted}; "
                    f"{self.seen.diagnosis.sentence}"
                )
        return time.monotonic() - began

    def look_once(self) -> None:
        self.seen = look(self._params)
        checks = (self.seen.evidence.public_time, self.seen.evidence.authenticated_read)
        told_off = any(check.kind in ("banned", "rate_limited") for check in checks)
        self._shut_out = self._shut_out + 1 if told_off else 0

    def _good(self, deadline: Deadline) -> bool:
        self.look_once()
        diagnosis = self.seen.diagnosis
        said, at = self._said
        if diagnosis.sentence != said or time.monotonic() - at > HEARTBEAT_S:
            self._said = (diagnosis.sentence, time.monotonic())
            seen = {"verdict": diagnosis.verdict, "sentence": diagnosis.sentence, "left_s": round(deadline.remaining())}
            self._context.note("venue.watched", {"name": self._params["name"], **seen})
        return diagnosis.venue_reachable if self._params["wait_for"] == "reachable" else diagnosis.verdict == "healthy"

    def _pause(self) -> float:
        interval: float = self._params["interval"]
        return max(interval, min(LONGEST_PAUSE_S, interval * 2.0 ** min(self._shut_out, 10)))
