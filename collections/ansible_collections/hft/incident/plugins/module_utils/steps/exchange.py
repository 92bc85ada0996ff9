# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``exchange``: what the trading systems may do at one exchange (enabled), and their connection to it.

Source: runbook section 3 (mitigation and recovery); seed-faults D3 (what is disabled must come back), D11 (a reconnect
loop earns rate limits and bans).
"""

from __future__ import annotations

import random
import time
from functools import partial
from typing import Any

from ..arguments import TRADING_SYSTEMS, require_positive
from ..deadline import Deadline
from ..errors import UnprovenError, UsageError
from ..fleet import failures, given_systems, unknown
from ..reading import Answer, answers, read_systems
from ..settings import SystemEntry
from ..trading_system import ExchangeState, TradingSystem
from ..venues.errors import Banned, Unavailable, UnknownOutcome, VenueError
from . import Context, Params, Result, event, inverse
from .killswitch import as_argument

ARGUMENT_SPEC: dict[str, Any] = {
    **TRADING_SYSTEMS,
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["enabled", "disabled", "connected"], "required": True},
    "attempts": {"type": "int", "default": 5},
    "delay": {"type": "float", "default": 1.0},
    "timeout": {"type": "float", "default": 5.0},
}
OPPOSITE = {"enabled": "disabled", "disabled": "enabled"}
#: The longest pause between two attempts to connect, and the longest that one request of an attempt may take (s).
MAX_PAUSE_S, ATTEMPT_REQUEST_S = 30.0, 10.0
#: The venue limits or bans us: every further attempt makes it longer.
STOP_CODES = ("418", "429")


def run(params: Params, context: Context) -> Result:
    """Enable, disable or connect one exchange at every trading system that has it."""
    entries = given_systems(params)
    require_positive(params, "attempts", "delay", "timeout")
    change = _Change(entries, params, context)
    if params["state"] == "connected":
        # Ends by itself; this only bounds it: each attempt makes at most three requests.
        longest = params["attempts"] * (MAX_PAUSE_S + 3 * ATTEMPT_REQUEST_S)
        given = answers({entry.name: partial(change.connect, entry) for entry in entries}, Deadline(longest))
    else:
        given = read_systems(entries, change.switch, params["timeout"])
    return change.result(entries, given)


class _Change:
    """One change at all trading systems. ``before`` keeps the first look at each: a request whose answer was lost may
    have worked, and the next look then finds nothing left to do."""

    def __init__(self, entries: tuple[SystemEntry, ...], params: Params, context: Context) -> None:
        self._name: str = params["name"]
        self._state: str = params["state"]
        self._params = params
        self._context = context
        self._known: dict[str, list[str]] = {}
        self._before: dict[str, ExchangeState] = {}
        self._entries = {entry.name: entry for entry in entries}
        self._inverses: dict[str, list[dict[str, Any]]] = {}

    def switch(self, system: TradingSystem) -> bool:
        """True, once it is proven; raises VenueError."""
        if self._as_wanted(system) or self._context.check:
            return True
        # A change whose answer is lost may have worked all the same; to set what is set already changes nothing.
        self._inverses[system.name] = self._context.intend([self._inverse(self._entries[system.name])])
        system.set_enabled(self._name, self._state == "enabled")
        if not self._as_wanted(system):
            raise UnknownOutcome(f"told that {self._name} is {self._state}, but it does not show it")
        return True

    def connect(self, entry: SystemEntry) -> bool:
        """True, once it is proven: attempts with growing pauses between them, until the budget is used up or somebody
        limits us; then it raises VenueError."""
        attempts = self._params["attempts"]
        why = ""
        for attempt in range(1, attempts + 1):
            if attempt > 1:
                time.sleep(_pause(self._params["delay"], attempt - 1))
            try:
                system = TradingSystem(entry, request_timeout=ATTEMPT_REQUEST_S)
                if self._as_wanted(system) or self._context.check:
                    return True
                if system.reconnect(self._name) and self._as_wanted(system):
                    return True
                why = "it did not connect"
            except VenueError as error:
                why = str(error)
                if error.code in STOP_CODES:
                    raise Banned(f"stopped at attempt {attempt}, more would prolong the limit: {why}") from None
            data = {"name": self._name, "trading_system": entry.name, "attempt": attempt, "attempts": attempts}
            self._context.note("exchange.not_connected", {**data, "error": why})
        raise Unavailable(f"{self._name} is not connected after {attempts} attempts: {why}")

    def result(self, entries: tuple[SystemEntry, ...], given: dict[str, Answer[bool]]) -> Result:
        """Raises UsageError where every trading system answered and none has this exchange."""
        failed = failures(given)
        names = [name for entry in entries for name in self._known.get(entry.name, ())]
        missing = unknown("exchange", self._name, names) if self._known and not self._before else None
        if missing and not failed:
            raise UsageError(missing)
        before = {name: self._word(state) for name, state in self._before.items()}
        touched = [entry for entry in entries if before.get(entry.name, self._state) != self._state]
        done = [entry.name for entry in touched if given[entry.name].error is None]
        result: Result = {
            "changed": bool(touched) if self._state in OPPOSITE else bool(done),
            "msg": self._sentence(done) or f"{self._name} was {self._state} already",
            "exchanges": [{"trading_system": name, "name": self._name, "before": was} for name, was in before.items()],
            "diff": {
                "before": {name: {self._name: was} for name, was in before.items()},
                "after": {name: {self._name: self._state if name in done else was} for name, was in before.items()},
            },
        }
        if not self._context.check:
            result["record"] = [
                event(
                    "exchange.changed",
                    {"name": self._name, "state": self._state, "trading_system": name, "before": before[name]},
                )
                for name in done
            ]
            result["inverses"] = [item for entry in entries for item in self._inverses.get(entry.name, ())]
        if failed:
            sentence = "; ".join(filter(None, [*failed, missing, self._sentence(done)]))
            result |= {"failed": True, "outcome": UnprovenError.outcome, "msg": f"NOT PROVEN: {sentence}"}
        return result

    def _as_wanted(self, system: TradingSystem) -> bool:
        """Whether there is nothing (more) to do here; a trading system without this exchange has nothing to do."""
        known = system.exchanges()
        if self._name not in known:
            self._known[system.name] = list(known)
            return True
        self._before.setdefault(system.name, known[self._name])
        return self._word(known[self._name]) == self._state

    def _word(self, state: ExchangeState) -> str:
        if self._state == "connected":
            return "connected" if state.connected else "disconnected"
        return "enabled" if state.enabled else "disabled"

    def _sentence(self, done: list[str]) -> str:
        verb = "would be" if self._context.check else "is now"
        return f"{self._name} {verb} {self._state} at {', '.join(done)}" if done else ""

    def _inverse(self, entry: SystemEntry) -> dict[str, Any]:
        state = OPPOSITE[self._state]
        args = {"trading_systems": [as_argument(entry)], "name": self._name, "state": state}
        return inverse("exchange", args, f"{state.removesuffix('d')} {self._name} at {entry.name}")


def _pause(delay: float, failures_so_far: int) -> float:
    """Doubled after each failure; the jitter keeps several trading systems from knocking in step."""
    return min(MAX_PAUSE_S, delay * 2.0 ** min(failures_so_far - 1, 10)) * random.uniform(0.75, 1.0)
