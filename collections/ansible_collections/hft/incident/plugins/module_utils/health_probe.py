# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Do the trading systems answer? One question to each, all at the same moment, and what the answer or its lack means.

The ways of not answering are told apart, as they need different hands: a dead process refuses, a stopped or stuck one
takes the connection and stays silent, and one that talks nonsense is something else altogether.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal, NamedTuple

from .deadline import Deadline
from .reading import Answer, answers
from .settings import SystemEntry
from .trading_system import Health, Hung, TradingSystem, Unreachable

Verdict = Literal["answering", "no_answer", "hung", "unknown"]
#: A request ends by itself; this is how much later those are given up that do not (a name that is being resolved).
GRACE_S = 0.1
VERDICTS: dict[str, Verdict] = {Unreachable.kind: "no_answer", Hung.kind: "hung"}


class Probe(NamedTuple):
    """What one trading system said of itself.

    ``answering``: a valid health. ``no_answer``: no connection. ``hung``: a connection, and no complete reply in time.
    ``unknown``: an error, a reply that breaks off or is none of its contract, or an entry that cannot be used.
    Everything from ``status`` to ``restarted`` is None unless it is answering, ``error`` is None only then.
    """

    name: str
    verdict: Verdict
    status: str | None = None  #: ok | degraded | halted
    mode: str | None = None  #: live | observe | halted
    uptime_s: float | None = None
    version: str | None = None
    restarted: bool | None = None  #: up for less than was asked for; None where nothing was asked
    error: str | None = None

    @property
    def sentence(self) -> str:
        said = f"{self.status}, {self.mode}" if self.verdict == "answering" else self.error
        return f"{self.name}: {self.verdict} ({said}{', restarted' if self.restarted else ''})"


def probe(entries: Iterable[SystemEntry], timeout: float, restarted_within: float | None = None) -> tuple[Probe, ...]:
    """Ask each once, in the order given; done in ``timeout`` seconds, whatever hangs."""

    def ask(entry: SystemEntry) -> Health:
        return TradingSystem(entry, request_timeout=timeout).health()

    calls = {entry.name: partial(ask, entry) for entry in entries}
    said = answers(calls, Deadline(timeout + GRACE_S))
    return tuple(_probe(name, answer, restarted_within) for name, answer in said.items())


def _probe(name: str, answer: Answer[Health], restarted_within: float | None) -> Probe:
    health = answer.value
    if health is None:
        return Probe(name, VERDICTS.get(answer.kind, "unknown"), error=answer.error)
    restarted = None if restarted_within is None else health.uptime_s < restarted_within
    return Probe(name, "answering", *health, restarted=restarted)


# Watching -------------------------------------------------------------------------------------------------------------

#: What a trading system can be waited for, and what its answer has to say then.
WANTED: dict[str, Callable[[Probe], bool]] = {
    "answering": lambda seen: seen.verdict == "answering",
    "observe": lambda seen: seen.mode == "observe",
    "live": lambda seen: seen.mode == "live",
    "healthy": lambda seen: (seen.status, seen.mode) == ("ok", "live"),
}
#: An uptime may be told in whole seconds.
RESOLUTION_S = 1.0


class Sighting(NamedTuple):
    """A probe, and the moments (s, our monotonic clock) between which it was answered."""

    seen: Probe
    asked_at: float
    told_at: float


def changes(before: Sighting, now: Sighting) -> list[str]:
    """What happened to one trading system between two answers that must not while it has to stay as it is.

    It restarted where its uptime went back, or grew by less than the time that has passed.
    """
    then, seen = before.seen, now.seen
    if then.uptime_s is None or seen.uptime_s is None:
        return []
    told = []
    grown = seen.uptime_s - then.uptime_s
    if grown < 0 or grown + RESOLUTION_S < now.asked_at - before.told_at:
        told.append(f"restarted, up for {seen.uptime_s:.0f} s after {then.uptime_s:.0f} s")
    if then.mode != seen.mode:
        told.append(f"its mode was {then.mode}, is {seen.mode}")
    return told
