# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``strategy``: stop strategies fast and all together, start them again slowly and one by one.

Source: runbook section 3 ("Stop strategies", "Resume trading gradually"); seed-faults D5.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from ..arguments import TRADING_SYSTEMS, require_positive
from ..deadline import Deadline
from ..errors import UnprovenError, UsageError
from ..fleet import failures, given_systems, unknown
from ..http_client import at_once
from ..reading import read_systems
from ..settings import SystemEntry
from ..trading_system import Strategy, TradingSystem
from ..venues.errors import UnknownOutcome, VenueError
from . import Context, Params, Result, event, inverse, unregistered
from .killswitch import as_argument

ARGUMENT_SPEC: dict[str, Any] = {
    **TRADING_SYSTEMS,
    "state": {"type": "str", "choices": ["stopped", "started"], "required": True},
    "exchange": {"type": "str"},
    "priority": {"type": "str", "choices": ["low", "normal", "high"]},
    "ids": {"type": "list", "elements": "str", "default": []},
    "all": {"type": "bool", "default": False},
    "timeout": {"type": "float", "default": 5.0},
    "health_timeout": {"type": "float", "default": 30.0},
    "settle": {"type": "float", "default": 5.0},
    "stale_after": {"type": "float", "default": 5.0},
}
#: Seconds between two looks at a trading system whose strategy was started, and for one request of such a look.
LOOK_INTERVAL_S, LOOK_REQUEST_S = 0.25, 2.0


class View(NamedTuple):
    """What one trading system has."""

    exchanges: tuple[str, ...]
    strategies: tuple[Strategy, ...]


class Selection(NamedTuple):
    """Which strategies are meant: those that match everything that is given."""

    exchange: str | None
    priority: str | None
    ids: tuple[str, ...]

    def of(self, view: View) -> list[Strategy]:
        """In the order of ``ids``, else in the trading system's own."""
        chosen = [
            strategy
            for strategy in view.strategies
            if (self.exchange is None or self.exchange in strategy.exchanges)
            and (self.priority is None or self.priority == strategy.priority)
            and (not self.ids or strategy.id in self.ids)
        ]
        return sorted(chosen, key=lambda strategy: self.ids.index(strategy.id)) if self.ids else chosen

    def unknown_to(self, views: Iterable[View]) -> str | None:
        """The first name that none of these knows, as a sentence."""
        seen = list(views)
        exchanges = [name for view in seen for name in view.exchanges]
        if self.exchange is not None and self.exchange not in exchanges:
            return unknown("exchange", self.exchange, exchanges)
        ids = [strategy.id for view in seen for strategy in view.strategies]
        return next((unknown("strategy", name, ids) for name in self.ids if name not in ids), None)


EVERY_ONE = Selection(None, None, ())


def run(params: Params, context: Context) -> Result:
    """Stop or start what is selected; raises UsageError, before anything is changed, for a name that nobody knows."""
    selection = Selection(params["exchange"], params["priority"], tuple(dict.fromkeys(params["ids"])))
    if (selection == EVERY_ONE) is not params["all"]:
        narrowed = "all means every strategy: leave out exchange, priority and ids"
        raise UsageError(narrowed if params["all"] else "nothing is selected: give exchange, priority, ids or all")
    require_positive(params, "timeout", "health_timeout", "stale_after")
    if not params["settle"] >= 0:
        raise UsageError("settle must not be negative")
    entries = given_systems(params)
    if params["state"] == "stopped":
        return _stop(entries, selection, params["timeout"], context)
    return _start(entries, selection, params, context)


# Stopping -----------------------------------------------------------------------------------------------------------


class _Stop:
    """One stop of all trading systems. ``running`` keeps what the first look at each found running: a retry sees some
    of it stopped already, by us."""

    def __init__(self, entries: Sequence[SystemEntry], selection: Selection, context: Context) -> None:
        self.views: dict[str, View] = {}
        self.running: dict[str, list[str]] = {}
        self.inverses: dict[str, list[dict[str, Any]]] = {}
        self._entries = {entry.name: entry for entry in entries}
        self._selection = selection
        self._context = context

    def cautiously(self, system: TradingSystem) -> None:
        """Stop at once where every name is known; else wait for what the other trading systems know."""
        view = self.views[system.name] = _view(system)
        if self._selection.unknown_to([view]) is None:
            self._stop(system, view)

    def anyway(self, system: TradingSystem) -> None:
        self._stop(system, _view(system))

    def _stop(self, system: TradingSystem, view: View) -> None:
        running = [strategy.id for strategy in self._selection.of(view) if strategy.running]
        first = self.running.setdefault(system.name, running)
        if not running or self._context.check:
            return
        # Also where it is not proven afterwards that they stopped: to start what still runs changes nothing.
        self.inverses[system.name] = self._context.intend([_inverse(self._entries[system.name], first, "started")])
        at_once([partial(system.set_running, name, False) for name in running])
        left = [strategy.id for strategy in system.strategies() if strategy.running and strategy.id in running]
        if left:
            raise UnknownOutcome(f"told to stop, but still running: {', '.join(left)}")


def _stop(entries: Sequence[SystemEntry], selection: Selection, timeout: float, context: Context) -> Result:
    stop = _Stop(entries, selection, context)
    answers = read_systems(entries, stop.cautiously, timeout)
    views = [stop.views[entry.name] for entry in entries if entry.name in stop.views]
    missing = selection.unknown_to(views) if views else None
    if missing and not failures(answers):
        raise UsageError(missing)
    # A name that is not theirs belongs to another trading system (or one that is silent): they stop what they have.
    waiting = [entry for entry in entries if entry.name in stop.views and entry.name not in stop.running]
    answers |= read_systems(waiting, stop.anyway, timeout)

    failed = failures(answers)
    stopped = {name: ids for name, ids in stop.running.items() if ids and answers[name].error is None}
    touched = {name: ids for name, ids in stop.running.items() if ids}
    done = _sentence("would stop" if context.check else "stopped", stopped)
    result: Result = {
        "changed": bool(touched),
        "msg": done or "no strategy to stop was running",
        **_shown(touched, "running", "stopped"),
        "record": [_event("strategies.stopped", *item) for item in stopped.items()] if not context.check else [],
        "inverses": [item for entry in entries for item in stop.inverses.get(entry.name, ())],
    }
    if failed:
        sentence = "; ".join(filter(None, [*failed, missing, done]))
        result |= {"failed": True, "outcome": UnprovenError.outcome, "msg": f"NOT PROVEN: {sentence}"}
    return result


# Starting -----------------------------------------------------------------------------------------------------------


def _start(entries: Sequence[SystemEntry], selection: Selection, params: Params, context: Context) -> Result:
    """One at a time over all trading systems; nothing at all unless every one of them can be seen."""
    answers = read_systems(entries, _view, params["timeout"])
    if silent := failures(answers):
        raise UnprovenError(f"nothing was started: {'; '.join(silent)}")
    views = {name: answer.value for name, answer in answers.items() if answer.value is not None}
    if missing := selection.unknown_to(views.values()):
        raise UsageError(missing)
    plan = [
        (entry, strategy) for entry in entries for strategy in selection.of(views[entry.name]) if not strategy.running
    ]
    started: dict[str, list[str]] = {}
    inverses: list[dict[str, Any]] = []
    problem = None
    for entry, strategy in plan:
        problem = None if context.check else _start_one(entry, strategy, params, context, inverses)
        if problem:
            break
        started.setdefault(entry.name, []).append(strategy.id)
        if not context.check:
            context.note("strategy.started", {"trading_system": entry.name, "id": strategy.id})
    result: Result = {
        "changed": bool(started),
        "msg": _sentence("would start" if context.check else "started", started) or "every one was running",
        **_shown(started, "stopped", "running"),
    }
    if not context.check:
        result["record"] = [_event("strategies.started", *item) for item in started.items()]
        result["inverses"] = inverses
    if problem:
        left = [strategy.id for _system, strategy in plan[sum(map(len, started.values())) + 1 :]]
        sentences = [
            problem,
            _sentence("started and well", started) or "none was started before it",
            f"not started: {', '.join(left) or 'none'}",
        ]
        result |= {"failed": True, "outcome": UnprovenError.outcome, "msg": "; ".join(sentences)}
    return result


def _start_one(
    entry: SystemEntry, strategy: Strategy, params: Params, context: Context, inverses: list[dict[str, Any]]
) -> str | None:
    """Start one and see it stay well; else stop it again, and say why. Adds its inverse to ``inverses``."""
    look = partial(_complaint, entry, strategy, params["stale_after"])
    if complaint := _wait(partial(look, started=False), params["health_timeout"]):
        return f"{strategy.id} was not started: {entry.name}: {complaint}"
    inverses += context.intend([_inverse(entry, [strategy.id], "stopped")])
    told = read_systems([entry], lambda system: system.set_running(strategy.id, True), params["timeout"])
    complaint = told[entry.name].error or _wait(partial(look, started=True), params["health_timeout"])
    complaint = complaint or _hold(partial(look, started=True), params["settle"])
    if complaint is None:
        return None
    stop = _Stop([entry], Selection(None, None, (strategy.id,)), context._replace(intend=unregistered))
    unstopped = failures(read_systems([entry], stop.anyway, params["timeout"]))
    end = f"NOT PROVEN that it stopped again: {'; '.join(unstopped)}" if unstopped else "it was stopped again"
    return f"{strategy.id} was started and is not well: {entry.name}: {complaint}; {end}"


def _complaint(entry: SystemEntry, strategy: Strategy, stale_after: float, *, started: bool) -> str | None:
    """What speaks against this strategy's trading now; None where nothing does."""
    try:
        system = TradingSystem(entry, request_timeout=LOOK_REQUEST_S)
        health, exchanges, strategies = system.health(), system.exchanges(), system.strategies()
        pressed = health.status != "ok" and system.killswitch_active()
    except VenueError as error:
        return str(error)
    if (health.status, health.mode) != ("ok", "live"):
        way_back = "; its killswitch is pressed: `hft-incident run system_crash -e confirmed=true` is the way back"
        return f"its health is {health.status}, its mode {health.mode}{way_back if pressed else ''}"
    if started and not any(other.id == strategy.id and other.running for other in strategies):
        return f"{strategy.id} is not running"
    for name in strategy.exchanges:
        state = exchanges.get(name)
        if state is None or not state.connected:
            return f"{name} is not connected"
        age = state.last_market_data_age_s
        if age is None or age > stale_after:
            return f"{name}: " + ("no market data" if age is None else f"market data is {age:.1f} s old")
    return None


def _wait(look: Callable[[], str | None], seconds: float) -> str | None:
    """Look until there is no complaint; the last one where the time is up."""
    deadline = Deadline(seconds)
    while (complaint := look()) and deadline.remaining() > LOOK_INTERVAL_S:
        time.sleep(LOOK_INTERVAL_S)
    return complaint


def _hold(look: Callable[[], str | None], seconds: float) -> str | None:
    """Look for so long; the first complaint ends it."""
    deadline = Deadline(seconds)
    while not deadline.expired():
        time.sleep(min(LOOK_INTERVAL_S, deadline.remaining()))
        if complaint := look():
            return complaint
    return None


# What both say ------------------------------------------------------------------------------------------------------


def _view(system: TradingSystem) -> View:
    return View(tuple(system.exchanges()), tuple(system.strategies()))


def _sentence(verb: str, ids: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{verb} at {name}: {', '.join(some)}" for name, some in ids.items() if some)


def _shown(ids: Mapping[str, Sequence[str]], before: str, after: str) -> Result:
    return {
        "strategies": [{"trading_system": name, "ids": list(some)} for name, some in ids.items()],
        "diff": {
            "before": {name: dict.fromkeys(some, before) for name, some in ids.items()},
            "after": {name: dict.fromkeys(some, after) for name, some in ids.items()},
        },
    }


def _event(kind: str, name: str, ids: Sequence[str]) -> dict[str, Any]:
    return event(kind, {"trading_system": name, "ids": list(ids)})


def _inverse(entry: SystemEntry, ids: Sequence[str], state: str) -> dict[str, Any]:
    args = {"trading_systems": [as_argument(entry)], "ids": list(ids), "state": state}
    verb = "start" if state == "started" else "stop"
    return inverse("strategy", args, f"{verb} {', '.join(ids)} at {entry.name}")
