# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``trading_limit``: the share of their usual size that the trading systems' orders may have.

Source: seed-faults A12 (staged limits on the way back), D4 (a change of the configuration has a precondition).
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from ..arguments import GATES, ONLY, TRADING_SYSTEMS, require_positive
from ..authority import require_passed
from ..errors import UnprovenError, UsageError
from ..fleet import chosen_systems, failures
from ..reading import Answer, read_systems
from ..settings import SystemEntry
from ..trading_system import TradingSystem
from ..venues.errors import Rejected, UnknownOutcome
from . import Context, Params, Result, event, inverse
from .killswitch import as_argument
from .undo import current_incident

ARGUMENT_SPEC: dict[str, Any] = {
    **TRADING_SYSTEMS,
    **ONLY,
    **GATES,
    "scale_pct": {"type": "str", "required": True},
    "undoable": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 5.0},
}
#: Somebody else may change the configuration at the same time; so often we look again.
ATTEMPTS = 3
CHANGED_MEANWHILE = "412"


def run(params: Params, context: Context) -> Result:
    """Set it at all of them at once, compare-and-set, and see that it holds; raising it may need people."""
    entries = chosen_systems(params)
    require_positive(params, "timeout")
    change = _Change(entries, _percent(params["scale_pct"]), params, context)
    before = read_systems(entries, lambda system: system.order_limit().scale_pct, params["timeout"])
    known = {name: answer.value for name, answer in before.items() if answer.value is not None}
    if not context.check and params["gate"] and any(value < change.wanted for value in known.values()):
        require_passed(current_incident(), params["gate"], params["gates"], params["allowed_signers"])
    given = read_systems([entry for entry in entries if entry.name in known], change.set, params["timeout"])
    return change.result(known, {**{name: one for name, one in before.items() if name not in known}, **given})


class _Change:
    """One change at all trading systems."""

    def __init__(self, entries: tuple[SystemEntry, ...], wanted: Decimal, params: Params, context: Context) -> None:
        self.wanted = wanted
        self._params = params
        self._context = context
        self._entries = {entry.name: entry for entry in entries}
        self._inverses: dict[str, list[dict[str, Any]]] = {}

    def set(self, system: TradingSystem) -> bool:
        """Whether there was anything to do; raises VenueError."""
        for attempt in range(1, ATTEMPTS + 1):
            limit = system.order_limit()
            if limit.scale_pct == self.wanted:
                return system.name in self._inverses
            if self._context.check:
                return True
            if system.name not in self._inverses:
                back = self._inverse(self._entries[system.name], limit.scale_pct)
                self._inverses[system.name] = self._context.intend([back] if self._params["undoable"] else [])
            try:
                system.set_order_limit(self.wanted, limit.etag)
                break
            except Rejected as error:
                if error.code != CHANGED_MEANWHILE or attempt == ATTEMPTS:
                    raise
        if system.order_limit().scale_pct != self.wanted:
            raise UnknownOutcome(f"told to trade at {self.wanted:f} %, but it does not show it")
        return True

    def result(self, before: dict[str, Decimal], given: dict[str, Answer[Any]]) -> Result:
        done = [name for name, answer in given.items() if answer.value]
        failed = failures(given)
        after = {name: self.wanted if given[name].error is None else was for name, was in before.items()}
        verb = "would trade" if self._context.check else "trade now"
        words = f"{', '.join(done)} {verb} at {self.wanted:f} %" if done else ""
        result: Result = {
            "changed": bool(done) or any(name in self._inverses for name in given),
            "msg": words or f"they traded at {self.wanted:f} % already",
            "systems": [
                {"name": name, "before_pct": _plain(was), "scale_pct": _plain(after[name])}
                for name, was in before.items()
            ],
            "diff": {
                "before": {name: {"scale_pct": _plain(was)} for name, was in before.items()},
                "after": {name: {"scale_pct": _plain(value)} for name, value in after.items()},
            },
        }
        if not self._context.check:
            result["record"] = [
                event(
                    "trading_limit.changed",
                    {"trading_system": name, "scale_pct": _plain(self.wanted), "before_pct": _plain(before[name])},
                )
                for name in done
            ]
            result["inverses"] = [item for items in self._inverses.values() for item in items]
        if failed:
            sentence = "; ".join(filter(None, [*failed, words]))
            result |= {"failed": True, "outcome": UnprovenError.outcome, "msg": f"NOT PROVEN: {sentence}"}
        return result

    def _inverse(self, entry: SystemEntry, former: Decimal) -> dict[str, Any]:
        args = {"trading_systems": [as_argument(entry)], "scale_pct": _plain(former)}
        return inverse("trading_limit", args, f"limit orders at {entry.name} to {former:f} % again")


def _percent(given: str) -> Decimal:
    """Raises UsageError for what is no share."""
    try:
        scale = Decimal(given.strip())
    except InvalidOperation:
        scale = Decimal("NaN")
    if not scale.is_finite() or not 0 < scale <= 100 or scale != round(scale, 4):
        raise UsageError(f"scale_pct: {given!r} is no share above 0 and at most 100, with four decimals at the most")
    return scale


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"
