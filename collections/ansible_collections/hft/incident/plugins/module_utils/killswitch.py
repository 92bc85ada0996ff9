# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The red button: cancel everything at every venue at the same moment, and believe only the venues' own lists.

The trading systems are told to stop at the same moment; they delay and change no venue's verdict.
Source: contracts.md, "kill --json"; runbook sections 3, 4 and 6.

Standard library only: process start to first cancel is what this file is about.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from .deadline import Deadline
from .kill_order import Clock, Closing, KillOrder, OnClosing, OnReport, Report
from .mass_cancel import MassCancel, VenueResult
from .timestamps import utc_now
from .trading_stop import SystemResult, TradingStop

#: How long a trading system is waited for once every venue has its verdict (s, from the start).
SYSTEM_GRACE_S = 2.0


def silent(_report: Report) -> None:
    """Nobody watches."""


def unwritten(_closing: Closing) -> None:
    """Nobody will undo it."""


class KillResult(NamedTuple):
    """The whole: "clear" only if every venue is; ``started_at`` is UTC, ``elapsed_ms`` counts from the start."""

    verdict: str
    reason: str
    started_at: str
    elapsed_ms: float
    venues: tuple[VenueResult, ...]
    trading_systems: tuple[SystemResult, ...]

    def to_json(self) -> dict[str, Any]:
        """The object of contracts.md, "kill --json"."""
        return {
            **self._asdict(),
            "venues": [venue._asdict() for venue in self.venues],
            "trading_systems": [
                {**system._asdict(), "blocked": list(system.blocked)} for system in self.trading_systems
            ],
        }


class Kill:
    """One press of the button. ``start`` fires at everything at once; ``result`` may be asked for at any moment."""

    def __init__(
        self,
        order: KillOrder,
        on_report: OnReport = silent,
        started: float | None = None,
        on_closing: OnClosing = unwritten,
    ) -> None:
        """``started``: the monotonic moment from which times count (process start for the command). ``on_closing`` is
        called on a trading system's own thread right before that one is told to stop, and delays no venue."""
        self.order = order
        self._clock = Clock(time.monotonic() if started is None else started)
        self._deadline = Deadline(order.timeout)
        self._started_at = utc_now(ago=time.monotonic() - self._clock.started)

        def report(said: Report) -> None:
            with suppress(Exception):  # whoever listens and fails must not stop the kill of what it was told about
                on_report(said)

        def closing(what: Closing) -> None:
            with suppress(Exception):  # that nobody can write it down is no reason to leave it open
                on_closing(what)

        self._venues = [MassCancel(entry, order, self._deadline, self._clock, report) for entry in order.venues]
        self._told_until = Deadline(order.timeout)
        self._systems = [
            TradingStop(entry, order, self._told_until, self._clock, report, closing) for entry in order.trading_systems
        ]

    def start(self) -> None:
        """Fire. Never blocks: everything that can hang does so on a thread of its own."""
        for thread in [target.thread for target in self._venues] + [target.thread for target in self._systems]:
            thread.start()

    def wait(self) -> None:
        """Until every venue has its verdict or the time is up; trading systems get a little grace and no more.

        One that was silent until then is told no more: after the verdict nothing is pressed behind anybody's back.
        """
        for venue in self._venues:
            venue.thread.join(self._deadline.remaining())
        grace = Deadline(max(0.0, SYSTEM_GRACE_S - self._clock.elapsed_ms() / 1000)).within(self._deadline.remaining())
        for system in self._systems:
            system.thread.join(grace.remaining())
        self._told_until.end()

    def result(self) -> KillResult:
        """What is known now; whatever has not answered yet is unknown."""
        venues = tuple(venue.snapshot() for venue in self._venues)
        return KillResult(
            verdict=overall([venue.verdict for venue in venues]),
            reason=self.order.reason,
            started_at=self._started_at,
            elapsed_ms=self._clock.elapsed_ms(),
            venues=venues,
            trading_systems=tuple(system.snapshot() for system in self._systems),
        )


def kill(order: KillOrder, on_report: OnReport = silent, on_closing: OnClosing = unwritten) -> KillResult:
    """Press the button and wait for the verdict, ``order.timeout`` seconds at most."""
    press = Kill(order, on_report, on_closing=on_closing)
    press.start()
    press.wait()
    return press.result()


def overall(verdicts: Sequence[str]) -> str:
    """ "clear" only if every venue is (and there is one); a venue known to be open outweighs one that is unknown."""
    for verdict in ("open", "unknown"):
        if verdict in verdicts:
            return verdict
    return "clear" if verdicts else "unknown"
