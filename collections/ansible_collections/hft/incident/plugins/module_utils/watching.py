# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A bounded, visible wait for something, and a watch that it stays so: what the modules that watch have in common."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from .arguments import require_positive
from .deadline import Deadline
from .errors import UnprovenError, UsageError
from .steps import Context, Params, Result

#: While nothing changes, the journal still gets a line this often (s): a watch must be seen to be alive.
HEARTBEAT_S = 60.0


class Subject(ABC):
    """What is watched. Nothing of it is asked before the first ``look``."""

    #: The sentence of what is waited for: "alpha is healthy".
    wanted: str
    #: So many bad looks in a row end a hold.
    bad_looks = 1
    #: The kind of the journal's lines while it is watched.
    watched_kind: str

    @abstractmethod
    def look(self, *, holding: bool) -> bool:
        """Look, keep what is seen, and say whether it is as wanted; ``holding``: and still as it was."""

    @abstractmethod
    def sentence(self) -> str:
        """What was seen last, in words; a change of it goes into the journal."""

    @abstractmethod
    def shown(self) -> dict[str, Any]:
        """What was seen last, as the fields of the result."""

    @abstractmethod
    def told(self) -> dict[str, Any]:
        """What was seen last, in short, as the fields of a line of the journal."""

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """What was seen last, as an event of the result's ``record``."""

    def pause(self, interval: float) -> float:
        """Seconds until the next look."""
        return interval


def require_times(params: Mapping[str, Any]) -> None:
    """Raises UsageError for an ``interval``, ``look_timeout``, ``timeout`` or ``hold`` that means nothing."""
    require_positive(params, "interval", "look_timeout")
    if not (params["timeout"] >= 0 and params["hold"] >= 0):
        raise UsageError("timeout and hold must not be negative")


def watch(subject: Subject, params: Params, context: Context) -> Result:
    """Wait until it is as wanted, then watch that it stays so for ``hold`` seconds. Raises UnprovenError."""
    if context.check:
        subject.look(holding=False)
        return {"msg": f"would wait until {subject.wanted}; now: {subject.sentence()}", **_report(subject, 0, 0)}
    watching = _Watch(subject, params, context)
    waited = watching.wait()
    held = watching.hold() if params["hold"] else 0.0
    return {
        "msg": f"{subject.wanted} after {waited:.0f} s" + (f" and stayed so for {held:.0f} s" if held else ""),
        **_report(subject, waited, held),
        "record": [subject.record()],
    }


def _report(subject: Subject, waited: float, held: float) -> Result:
    return {**subject.shown(), "waited_s": round(waited, 3), "held_s": round(held, 3)}


class _Watch:
    """Looks again and again; says so when what it sees changes, and once a minute."""

    def __init__(self, subject: Subject, params: Params, context: Context) -> None:
        self._subject = subject
        self._timeout: float = params["timeout"]
        self._hold: float = params["hold"]
        self._interval: float = params["interval"]
        self._context = context
        self._said = ("", 0.0)

    def wait(self) -> float:
        """Seconds until it was as wanted; the last look is taken when the time is up."""
        began, deadline = time.monotonic(), Deadline(self._timeout)
        while not self._good(deadline, holding=False):
            if deadline.expired():
                raise UnprovenError(f"not after {self._timeout:g} s: {self._told()}")
            time.sleep(min(self._pause(), deadline.remaining()))
        return time.monotonic() - began

    def hold(self) -> float:
        """Seconds for which it stayed as wanted; it does not end on a bad look."""
        began, deadline = time.monotonic(), Deadline(self._hold)
        bad = 0
        while bad or not deadline.expired():
            time.sleep(self._pause() if bad else min(self._pause(), deadline.remaining()))
            bad = 0 if self._good(deadline, holding=True) else bad + 1
            if bad >= self._subject.bad_looks:
                held = time.monotonic() - began
                raise UnprovenError(f"only for {held:.0f} s of {self._hold:g} s: {self._told()}")
        return time.monotonic() - began

    def _good(self, deadline: Deadline, *, holding: bool) -> bool:
        good = self._subject.look(holding=holding)
        sentence = self._subject.sentence()
        said, at = self._said
        if sentence != said or time.monotonic() - at > HEARTBEAT_S:
            self._said = (sentence, time.monotonic())
            told = {**self._subject.told(), "left_s": round(deadline.remaining())}
            self._context.note(self._subject.watched_kind, told)
        return good

    def _pause(self) -> float:
        return self._subject.pause(self._interval)

    def _told(self) -> str:
        return f"{self._subject.wanted}; {self._subject.sentence()}"
