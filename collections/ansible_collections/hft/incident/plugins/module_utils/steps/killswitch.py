# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``killswitch``: the red button pressed from a playbook, with the same result as ``hft-incident kill``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..arguments import ONLY, TRADING_SYSTEMS, VENUES
from ..errors import UnprovenError
from ..kill_order import Closing, KillOrder, Report, checked
from ..killswitch import KillResult, kill
from ..mass_cancel import VenueResult
from ..settings import SystemEntry, select, system_entries, venue_entries
from ..trading_system import TradingSystem
from ..venues.errors import VenueError
from . import Context, Params, Result, event, inverse

ARGUMENT_SPEC: dict[str, Any] = {
    **VENUES,
    **TRADING_SYSTEMS,
    **ONLY,
    "state": {"type": "str", "choices": ["active", "released"], "default": "active"},
    "reason": {"type": "str"},
    "confirm": {"type": "int", "default": 3},
    "interval": {"type": "float", "default": 1.0},
    "timeout": {"type": "float", "default": 10.0},
    "require_clear": {"type": "bool", "default": True},
}
REQUIRED_IF = [("state", "active", ("reason",))]


def run(params: Params, context: Context) -> Result:
    """Cancel everything and prove it; or release the trading systems' own killswitch (its inverse)."""
    if params["state"] == "released":
        return _release(system_entries(params["trading_systems"]), context)
    order = _order(params, check=context.check)

    def report(said: Report) -> None:
        context.note("venue.reported", said.to_record())

    closed: dict[str, list[dict[str, Any]]] = {}

    def closing(what: Closing) -> None:
        inverses = inverses_of(what)  # known even where they could not be written down
        closed.setdefault(what.system.name, inverses)
        closed[what.system.name] = context.intend(inverses)

    result = kill(order, report, closing)
    return _described(result, order, closed, require_clear=params["require_clear"])


def _order(params: Params, *, check: bool) -> KillOrder:
    return checked(
        KillOrder(
            venues=select(venue_entries(params["venues"]), params["only"]),
            trading_systems=system_entries(params["trading_systems"]),
            reason=params["reason"] or "",  # required_if lets null and "" through
            confirm=params["confirm"],
            interval=params["interval"],
            timeout=params["timeout"],
            scoped=bool(params["only"]),
            check=check,
        )
    )


def _described(
    result: KillResult, order: KillOrder, closed: Mapping[str, Sequence[Mapping[str, Any]]], *, require_clear: bool
) -> Result:
    described: Result = {
        "changed": any(system.changed for system in result.trading_systems) or any(map(_changed, result.venues)),
        "msg": _sentence(result, check=order.check),
        "kill": result.to_json(),
        "diff": {
            "before": {venue.name: {"open_orders": venue.open_before} for venue in result.venues},
            "after": {venue.name: {"open_orders": 0 if order.check else venue.open_after} for venue in result.venues},
        },
    }
    if order.check:
        return described
    described["record"] = [event("kill.verified", result.to_json())]
    # Also where a trading system did not answer: to open what is open changes nothing.
    described["inverses"] = [item for entry in order.trading_systems for item in closed.get(entry.name, ())]
    if require_clear and result.verdict != "clear":
        described |= {"failed": True, "outcome": UnprovenError.outcome}
    return described


def _changed(venue: VenueResult) -> bool:
    """Something was open there; cancelled before it could be listed counts as that."""
    return bool(venue.open_before) or (venue.verdict == "clear" and venue.open_before is None)


def _sentence(result: KillResult, *, check: bool) -> str:
    if check:
        return "; ".join(
            f"{venue.name}: " + ("unknown" if venue.open_before is None else f"{venue.open_before} would be cancelled")
            for venue in result.venues
        )
    doubtful = [
        f"{venue.name} is {venue.verdict} ({venue.error})" for venue in result.venues if venue.verdict != "clear"
    ]
    if doubtful:
        return "NOT PROVEN SAFE: " + "; ".join(doubtful)
    gone = sum(venue.cancelled or 0 for venue in result.venues)
    return f"clear at {', '.join(venue.name for venue in result.venues)}: {gone} orders gone"


def inverses_of(closing: Closing) -> list[dict[str, Any]]:
    """Cancelled orders have no inverse; what is closed at a trading system has."""
    entry = closing.system
    if not closing.exchanges:
        args = {"venues": [], "trading_systems": [as_argument(entry)], "state": "released"}
        return [inverse("killswitch", args, f"release the killswitch of {entry.name}")]
    return [
        inverse(
            "exchange",
            {"trading_systems": [as_argument(entry)], "name": name, "state": "enabled"},
            f"enable {name} at {entry.name}",
        )
        for name in closing.exchanges
    ]


def as_argument(entry: SystemEntry) -> dict[str, Any]:
    """The entry as a module's argument again; its token is a reference."""
    return {key: value for key, value in entry._asdict().items() if value is not None}


def _release(entries: tuple[SystemEntry, ...], context: Context) -> Result:
    released = []
    for entry in entries:
        try:
            system = TradingSystem(entry)
            if not system.killswitch_active():
                continue
            if not context.check:
                system.release_killswitch()
                if system.killswitch_active():
                    raise UnprovenError(f"{entry.name}: its killswitch is still active")
        except VenueError as error:
            raise UnprovenError(f"{entry.name}: {error}") from None
        released.append(entry.name)
    return {
        "changed": bool(released),
        "msg": f"killswitch released at {', '.join(released)}" if released else "no killswitch was active",
        "diff": {"before": dict.fromkeys(released, "active"), "after": dict.fromkeys(released, "released")},
    }
