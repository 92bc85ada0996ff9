# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""An exchange goes down in the lab, lies about it, and comes back."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ansible_collections.hft.incident.plugins.module_utils.chain import Event

from ..lab.lab import Lab
from ..lab.units import Restart
from .scenario import RESUME, Line, Scenario, Seen, trading_system, wait

EXCHANGE = "binance"
ALERT_TIMEOUT_S = 30.0
#: It heals so long (s) after the response has entered this phase.
HEALS_IN_PHASE, HEALS_AFTER_S = "mitigate", 3.0

_DOWN = tuple(
    {"kind": "status", "op": op, "status": 503} for op in ("time", "ticker", "place", "cancel", "balances", "fills")
)
BREAKS: tuple[dict[str, Any], ...] = (
    *_DOWN,
    {"kind": "feed_stops"},
    {"kind": "status_lies"},
    {"kind": "status", "op": "cancel_all", "status": 502, "remaining": 2},
    {"kind": "html", "op": "open_orders", "remaining": 1},
    {"kind": "late_order", "op": "open_orders", "remaining": 1},
)


class Outage:
    """The exchange is out; it comes back a while after the response has begun to wait for it."""

    story: ClassVar[str] = (
        "market data stops, order entry answers 503, the first cancels fail, an order lands late, "
        "and the status page says that all is well"
    )
    alert: ClassVar[str] = f"Exchange Disconnected ({EXCHANGE})"
    inputs: ClassVar[Mapping[str, str]] = {"exchange": EXCHANGE, "reason": "drill"}
    restart: ClassVar[Restart] = "no"
    restart_s: ClassVar[float] = 0.0
    ends: ClassVar[frozenset[str]] = frozenset({"held"})
    approvers: ClassVar[Mapping[str, Sequence[str]]] = RESUME

    def __init__(self, lab: Lab) -> None:
        self._venue = lab.venues[EXCHANGE]
        self._system = trading_system(lab)

    def venues(self) -> Sequence[str]:
        return (EXCHANGE,)

    def break_it(self) -> None:
        for fault in BREAKS:
            self._venue.inject(**fault)
        wait("no alert", lambda: not self._system.exchanges()[EXCHANGE].connected, ALERT_TIMEOUT_S)

    def heard(self, event: Event) -> None:
        if event.kind == "phase.entered" and event.data.get("phase") == HEALS_IN_PHASE:
            timer = threading.Timer(HEALS_AFTER_S, self.mend)
            timer.daemon = True
            timer.start()

    def before_approval(self, gate: str) -> None:
        """Nothing has to be done by hand."""

    def mend(self) -> None:
        self._venue.clear_faults()

    def lines(self, seen: Seen) -> list[Line]:
        del seen  # all that counts is on every sheet
        return []


FAULTS: Mapping[str, type[Scenario]] = {"outage": Outage}
