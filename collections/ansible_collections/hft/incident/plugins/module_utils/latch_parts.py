# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The parts of a latch beside its hold file, the trading systems' own APIs and the journal, and whether all agree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .chain import Event
from .errors import UsageError
from .fleet import unknown
from .reading import read_systems
from .settings import SystemEntry, select, system_entries
from .trading_system import TradingSystem
from .venues.errors import UnknownOutcome

#: Words of a part that agree with any other: the trading system has no such exchange or strategy; the strategy is
#: stopped, which is how it stands behind a closed latch as well as behind an open one; the journal says nothing.
SILENT = frozenset(("absent", "stopped", "silent"))


class Scope(NamedTuple):
    """What is closed: everything, one exchange or one strategy."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.name else "all trading"


class Part(NamedTuple):
    """``state``: closed, open, unknown (with the ``error``) or one of ``SILENT``."""

    name: str
    state: str
    error: str = ""

    @property
    def words(self) -> str:
        return f"{self.name} is {self.state}{f' ({self.error})' if self.error else ''}"


class Comparison(NamedTuple):
    """``state`` is open only where every part that says anything says so; ``difference`` is "" where they agree."""

    state: str
    agree: bool
    difference: str


def compared(parts: Iterable[Part]) -> Comparison:
    said = [part for part in parts if part.state not in SILENT]
    states = {part.state for part in said}
    agree = len(states) == 1 and "unknown" not in states
    return Comparison(
        "open" if states == {"open"} else "closed", agree, "" if agree else "; ".join(part.words for part in said)
    )


def hold_part(hold: Mapping[str, Any]) -> Part:
    return Part("the hold file", str(hold["state"]), str(hold["error"]))


def last_change(events: Sequence[Event], scope: Scope, host: str) -> Mapping[str, Any]:
    """The data of this latch's last ``latch.changed`` in an incident; empty where there is none."""
    for event in reversed(events):
        data = event.data
        if event.kind == "latch.changed" and (data.get("scope"), data.get("name") or "", data.get("host")) == (
            *scope,
            host,
        ):
            return dict(data)
    return {}


def journal_part(changed: Mapping[str, Any]) -> Part:
    return Part("the journal's last word", str(changed.get("state", "silent")))


def shown(
    scope: Scope, host: str, hold: Mapping[str, Any], api: Api, journal: Part, found: Comparison
) -> dict[str, Any]:
    """The fields that the results of ``latch`` and ``latch_info`` have in common."""
    return {
        "state": found.state,
        "scope": scope.kind,
        "name": scope.name,
        "host": host,
        "hold": dict(hold),
        "api": api.shown(),
        "journal": journal.state,
        "agree": found.agree,
        "difference": found.difference,
    }


def chosen_systems(params: Mapping[str, Any]) -> tuple[SystemEntry, ...]:
    """The entries of ``trading_systems`` that ``trading_system`` means: the one of that name, else all."""
    entries = system_entries(params["trading_systems"])
    return select(entries, [params["trading_system"]], "trading system") if params["trading_system"] else entries


# The API ------------------------------------------------------------------------------------------------------------


class Api:
    """The trading systems' own latches of one scope. ``before`` is the first answer of each."""

    def __init__(self, entries: Sequence[SystemEntry], scope: Scope, timeout: float) -> None:
        self.before: dict[str, str] = {}
        self.touched: set[str] = set()  #: those that were (in check mode: would be) told to change
        self._now: dict[str, str] = {}
        self._defied: dict[str, str] = {}  #: how those still stood that were told
        self._errors: dict[str, str] = {}
        self._known: dict[str, list[str]] = {}
        self._entries = entries
        self._scope = scope
        self._timeout = timeout

    def look(self) -> None:
        self._everywhere(self._state)

    def set(self, state: str, reason: str, *, check: bool = False) -> None:
        """Close, or open, and read back. A strategy is stopped, and never started here."""
        predicted = "stopped" if (self._scope.kind, state) == ("strategy", "closed") else state

        def change(system: TradingSystem) -> None:
            if not self._differs(self._state(system), state):
                self._defied.pop(system.name, None)
                return
            self.touched.add(system.name)
            if check:
                self._now[system.name] = predicted
                return
            del self._now[system.name]  # until it is read again, nobody knows
            _SET[self._scope.kind, state](system, self._scope.name, reason)
            if self._differs(now := self._state(system), state):
                self._defied[system.name] = now
                raise UnknownOutcome(f"it was told, but is still {now}")
            self._defied.pop(system.name, None)

        self._everywhere(change)

    def require_known(self) -> None:
        """Raises UsageError where every trading system answered and none has this exchange or strategy."""
        if self._now and not self._errors and set(self._now.values()) == {"absent"}:
            names = [name for known in self._known.values() for name in known]
            raise UsageError(unknown(self._scope.kind, self._scope.name, names))

    @property
    def parts(self) -> list[Part]:
        # What was cut off by the deadline hides nothing that was seen before it.
        states = {**dict.fromkeys((entry.name for entry in self._entries), "unknown"), **self._defied, **self._now}
        return [
            Part(f"the API of {entry.name}", states[entry.name], self._errors.get(entry.name, ""))
            for entry in self._entries
        ]

    def shown(self) -> list[dict[str, str]]:
        """For results and the record."""
        return [
            {"trading_system": entry.name, "state": part.state, "error": part.error}
            for entry, part in zip(self._entries, self.parts)
        ]

    def _everywhere(self, act: Callable[[TradingSystem], object]) -> None:
        given = read_systems(self._entries, act, self._timeout)
        self._errors = {name: answer.error for name, answer in given.items() if answer.error is not None}

    @staticmethod
    def _differs(now: str, wanted: str) -> bool:
        return now not in SILENT and now != wanted

    def _state(self, system: TradingSystem) -> str:
        self._now.pop(system.name, None)
        self._now[system.name] = state = _STATE[self._scope.kind](self, system)
        self.before.setdefault(system.name, state)
        return state

    def _killswitch(self, system: TradingSystem) -> str:
        return "closed" if system.killswitch_active() else "open"

    def _exchange(self, system: TradingSystem) -> str:
        exchanges = system.exchanges()
        self._known[system.name] = list(exchanges)
        if self._scope.name not in exchanges:
            return "absent"
        return "open" if exchanges[self._scope.name].enabled else "closed"

    def _strategy(self, system: TradingSystem) -> str:
        strategies = {strategy.id: strategy for strategy in system.strategies()}
        self._known[system.name] = list(strategies)
        if self._scope.name not in strategies:
            return "absent"
        return "open" if strategies[self._scope.name].running else "stopped"


_STATE: Mapping[str, Callable[[Api, TradingSystem], str]] = {
    "all": Api._killswitch,
    "exchange": Api._exchange,
    "strategy": Api._strategy,
}
_SET: Mapping[tuple[str, str], Callable[[TradingSystem, str, str], object]] = {
    ("all", "closed"): lambda system, _name, reason: system.activate_killswitch(reason),
    ("all", "open"): lambda system, _name, _reason: system.release_killswitch(),
    ("exchange", "closed"): lambda system, name, _reason: system.set_enabled(name, False),
    ("exchange", "open"): lambda system, name, _reason: system.set_enabled(name, True),
    ("strategy", "closed"): lambda system, name, _reason: system.set_running(name, False),
}
