# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``trading_system_watch``: a bounded, visible wait for the trading systems, and a watch over them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ..arguments import ONLY, TRADING_SYSTEMS
from ..fleet import chosen_systems
from ..health_probe import WANTED, Sighting, changes, probe
from ..watching import Subject, require_times, watch
from . import Context, Params, Result, event
from .trading_system_info import described

ARGUMENT_SPEC: dict[str, Any] = {
    **TRADING_SYSTEMS,
    **ONLY,
    "wait_for": {"type": "str", "choices": list(WANTED), "default": "healthy"},
    "timeout": {"type": "float", "default": 60.0},
    "hold": {"type": "float", "default": 0.0},
    "interval": {"type": "float", "default": 1.0},
    "look_timeout": {"type": "float", "default": 1.0},
}


def run(params: Params, context: Context) -> Result:
    """Wait until all are as wanted, then watch that they stay so for ``hold`` seconds. Raises UnprovenError."""
    require_times(params)
    return watch(_Systems(params), params, context)


class _Systems(Subject):
    """The trading systems, seen as ``trading_system_info`` sees them."""

    watched_kind = "trading_system.watched"

    def __init__(self, params: Params) -> None:
        self._entries = chosen_systems(params)
        self._names = [entry.name for entry in self._entries]
        self._look_timeout: float = params["look_timeout"]
        self._is_wanted = WANTED[params["wait_for"]]
        self.wanted = f"{', '.join(self._names)} {'is' if len(self._names) == 1 else 'are'} {params['wait_for']}"
        self._sightings: Mapping[str, Sighting] = {}
        self._changes: list[str] = []

    def look(self, *, holding: bool) -> bool:
        asked_at = time.monotonic()
        probes = probe(self._entries, self._look_timeout)
        before, told_at = self._sightings, time.monotonic()
        self._sightings = {seen.name: Sighting(seen, asked_at, told_at) for seen in probes}
        self._changes = [
            f"{name}: {change}"
            for name, now in self._sightings.items()
            if holding
            for change in changes(before[name], now)
        ]
        return not self._changes and all(self._is_wanted(seen) for seen in probes)

    def sentence(self) -> str:
        return "; ".join([*self._changes, *(now.seen.sentence for now in self._sightings.values())])

    def shown(self) -> dict[str, Any]:
        return described([now.seen for now in self._sightings.values()])

    def told(self) -> dict[str, Any]:
        return {"names": self._names, "sentence": self.sentence()}

    def record(self) -> dict[str, Any]:
        return event("trading_systems.probed", self.shown())
