# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""One trading system told to stop sending orders, while the venues are cancelled without it.

Source: architecture.md, idea 2; runbook section 6 (the killswitch) and seed-faults A2.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from .deadline import Deadline
from .kill_order import MAX_REQUEST_S, Clock, Closing, KillOrder, OnClosing, OnReport, Report, pause_after
from .settings import SystemEntry
from .trading_system import ExchangeState, TradingSystem
from .venues.errors import MalformedReply, Unavailable, VenueError

#: How long (s) looking at a trading system may take before it is told to stop all the same.
LOOK_TIMEOUT_S = 0.3
T = TypeVar("T")


class SystemResult(NamedTuple):
    """One trading system's verdict: "stopped", "refused" or "unreachable" (in check mode also "running").

    ``changed``: it was not stopped before; ``blocked``: the exchanges that this kill has closed there.
    """

    name: str
    verdict: str
    elapsed_ms: float
    error: str | None
    changed: bool = False
    blocked: tuple[str, ...] = ()


class TradingStop:
    """One trading system told to stop, on its own thread, as often as it takes while there is time."""

    def __init__(
        self,
        entry: SystemEntry,
        order: KillOrder,
        deadline: Deadline,
        clock: Clock,
        on_report: OnReport,
        on_closing: OnClosing,
    ) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self._entry = entry
        self._order = order
        self._deadline = deadline
        self._clock = clock
        self._on_report = on_report
        self._on_closing = on_closing
        self._result = SystemResult(entry.name, "unreachable", 0.0, "no answer in time")
        self._active_before: bool | None = None
        self._before: dict[str, ExchangeState] | None = None

    def snapshot(self) -> SystemResult:
        waiting = self._result.elapsed_ms == 0.0
        return self._result._replace(elapsed_ms=self._clock.elapsed_ms()) if waiting else self._result

    def _run(self) -> None:
        failures = 0
        while not self._deadline.expired():
            try:
                system = TradingSystem(self._entry, request_timeout=MAX_REQUEST_S, deadline=self._deadline)
                verdict, changed, blocked = (self._look if self._order.check else self._stop)(system)
                self._settle(verdict, None, changed, blocked)
                return
            except Unavailable as error:
                failures += 1
                self._settle("unreachable", str(error))
                time.sleep(pause_after(error, failures, self._deadline.remaining()))
            except VenueError as error:
                self._settle("refused", str(error))
                if not _passing(error):
                    return
                failures += 1
                time.sleep(pause_after(error, failures, self._deadline.remaining()))
            except Exception as error:  # noqa: BLE001  # whatever it answers, it must not end this thread in silence
                self._settle("refused", f"internal error ({type(error).__name__})")
                return

    def _stop(self, system: TradingSystem) -> tuple[str, bool, tuple[str, ...]]:
        if self._order.scoped:
            return self._block(system)
        if self._active_before is None:
            self._active_before = self._first_look(TradingSystem.killswitch_active)
        if not self._active_before:
            self._on_closing(Closing(self._entry))
        system.activate_killswitch(self._order.reason)
        return "stopped", not self._active_before, ()

    def _block(self, system: TradingSystem) -> tuple[str, bool, tuple[str, ...]]:
        """No more orders at the venues that are killed, and its own cancels too; the others trade on.

        The inverse opens only what was seen open before the first attempt.
        """
        if self._before is None:
            self._before = self._first_look(TradingSystem.exchanges)
        names = [entry.name for entry in self._order.venues if self._before is None or entry.name in self._before]
        blocked = tuple(name for name in names if self._before is not None and self._before[name].enabled)
        if blocked:
            self._on_closing(Closing(self._entry, blocked))
        for name in names:
            system.set_enabled(name, False)
        for name in names:
            system.cancel_all_orders(name)
        return "stopped", bool(blocked) or self._before is None, blocked

    def _first_look(self, look: Callable[[TradingSystem], T]) -> T | None:
        """How it was before; only the inverse depends on it, so it must not hold the stop up for long."""
        try:
            return look(TradingSystem(self._entry, request_timeout=LOOK_TIMEOUT_S, deadline=self._deadline))
        except VenueError:
            return None

    def _look(self, system: TradingSystem) -> tuple[str, bool, tuple[str, ...]]:
        """Check mode: what stopping would change."""
        if self._order.scoped:
            known = system.exchanges()
            scope = {entry.name for entry in self._order.venues}
            would = tuple(name for name, state in known.items() if name in scope and state.enabled)
            return ("running" if would else "stopped"), bool(would), would
        active = system.killswitch_active()
        return ("stopped" if active else "running"), not active, ()

    def _settle(self, verdict: str, error: str | None, changed: bool = False, blocked: tuple[str, ...] = ()) -> None:
        first = self._result.error != error or self._result.verdict != verdict
        at = self._clock.elapsed_ms()
        self._result = SystemResult(self._entry.name, verdict, at, error, changed, blocked)
        if first:
            self._on_report(Report(self._entry.name, verdict, error or verdict, at))


def _passing(error: VenueError) -> bool:
    """Half an answer, or one of a proxy or a server in trouble: asking again may mend it."""
    return isinstance(error, MalformedReply) or error.code[:1] == "5"
