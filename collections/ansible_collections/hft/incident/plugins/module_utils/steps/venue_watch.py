# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``venue_watch``: a bounded, visible wait for a venue, and a watch that it stays well."""

from __future__ import annotations

import time
from typing import Any

from ..deadline import Deadline
from ..diagnosis import Diagnosis
from ..errors import UnprovenError, UsageError
from ..settings import venue_entries
from . import Context, Params, Result, event
from .venue_status_info import ARGUMENT_SPEC as LOOK_SPEC
from .venue_status_info import described, look, named

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


def run(params: Params, context: Context) -> Result:
    """Wait until the venue is as wanted, then watch that it stays so for ``hold`` seconds. Raises UnprovenError."""
    if params["interval"] <= 0:
        raise UsageError("interval must be more than 0")
    named(venue_entries(params["venues"]), params["name"])
    if context.check:
        return {"msg": f"would wait until {params['name']} is {params['wait_for']}"}
    watch = _Watch(params, context)
    waited = watch.wait()
    held = watch.hold() if params["hold"] > 0 else 0.0
    diagnosis = watch.latest
    return {
        "msg": f"{params['name']} is {params['wait_for']} after {waited:.0f} s"
        + (f" and stayed so for {held:.0f} s" if held else ""),
        **described(diagnosis),
        "waited_s": round(waited, 3),
        "held_s": round(held, 3),
        "record": [event("venue.diagnosed", {"name": params["name"], **described(diagnosis)})],
    }


class _Watch:
    """Looks at one venue again and again; says so when what it sees changes, and once a minute."""

    latest: Diagnosis

    def __init__(self, params: Params, context: Context) -> None:
        self._params = {**params, "timeout": params["look_timeout"]}
        self._wait_s = params["timeout"]
        self._context = context
        self._said = ("", 0.0)

    def wait(self) -> float:
        """Seconds until it was as wanted."""
        began, deadline = time.monotonic(), Deadline(self._wait_s)
        while not self._good(deadline.remaining()):
            if deadline.remaining() <= self._params["interval"]:
                raise UnprovenError(
                    f"{self._params['name']} is not {self._params['wait_for']} after {self._wait_s:g} s: "
                    f"{self.latest.sentence}"
                )
            time.sleep(self._params["interval"])
        return time.monotonic() - began

    def hold(self) -> float:
        """Seconds for which it stayed as wanted."""
        began, deadline = time.monotonic(), Deadline(self._params["hold"])
        bad = 0
        while not deadline.expired():
            time.sleep(min(self._params["interval"], deadline.remaining()))
            bad = 0 if self._good(deadline.remaining()) else bad + 1
            if bad >= BAD_LOOKS:
                raise UnprovenError(
                    f"{self._params['name']} was {self._params['wait_for']} for {time.monotonic() - began:.0f} s "
                    f"of {self._params['hold']:g} s only: {self.latest.sentence}"
                )
        if bad:
            raise UnprovenError(f"{self._params['name']} was not {self._params['wait_for']} at the last look")
        return time.monotonic() - began

    def _good(self, left: float) -> bool:
        self.latest = look(self._params)
        said, at = self._said
        if self.latest.sentence != said or time.monotonic() - at > HEARTBEAT_S:
            self._said = (self.latest.sentence, time.monotonic())
            seen = {"verdict": self.latest.verdict, "sentence": self.latest.sentence, "left_s": round(left)}
            self._context.note("venue.watched", {"name": self._params["name"], **seen})
        if self._params["wait_for"] == "reachable":
            return self.latest.venue_reachable
        return self.latest.verdict == "healthy"
