# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Faults, injected from outside on any venue and any endpoint, for all requests or for the next n.

Reply faults spoil what comes over the wire; ``executes`` says whether the venue did the work all the same (the cruel
case: a 502 after the cancel went through, or before it). State faults change what the venue does.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

REPLY_FAULTS = {
    "reset": "the connection is reset",
    "hang": "nothing is ever answered",
    "drip": "the reply comes a byte at a time",
    "status": "an HTTP error status (status, retry_after)",
    "html": "a maintenance page with HTTP 200",
    "empty_object": "{} with HTTP 200",
    "empty_body": "nothing with HTTP 200",
    "truncated": "the JSON stops half-way",
    "half_body": "fewer bytes than Content-Length promises",
    "wrong_schema": "the reply's field names are not the venue's",
}
STATE_FAULTS = {
    "refuse": "connections are refused (for all requests only: a refused one cannot be counted)",
    "clock_skew": "the venue's clock is off by seconds",
    "revoked_key": "the key is refused",
    "cancel_ignored": "cancels are accepted and do nothing",
    "cancel_partial": "a part of the orders is not cancelled",
    "late_order": "an order lands right after the first empty listing",
    "feed_stops": "public market data stands still",
    "status_lies": "the status page says that all is well",
}


@dataclass
class Fault:
    """One fault; ``op`` is an operation (open_orders, cancel_all, cancel, place, time, status, ticker, positions,
    balances, fills, own_key, keys, create_key, delete_key, withdrawals, withdraw, cancel_withdrawal, addresses, logins)
    or ``*``; ``remaining`` None means until it is cleared."""

    kind: str
    op: str = "*"
    remaining: int | None = None
    status: int = 503
    retry_after: float | None = None
    seconds: float = 0.0
    executes: bool = False
    id: int = 0

    def __post_init__(self) -> None:
        if self.kind not in REPLY_FAULTS and self.kind not in STATE_FAULTS:
            raise ValueError(f"unknown fault '{self.kind}'; known: {', '.join([*REPLY_FAULTS, *STATE_FAULTS])}")
        if self.kind == "refuse" and (self.remaining is not None or self.op != "*"):
            raise ValueError(
                "'refuse' holds for the whole venue until it is cleared: nobody can count what was refused"
            )


class Faults:
    """The faults in force at one venue. Thread-safe."""

    def __init__(self) -> None:
        self._active: list[Fault] = []
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def inject(self, spec: Mapping[str, Any]) -> Fault:
        """Put a fault in force; raises ValueError or TypeError on a wrong description."""
        fault = Fault(**spec)
        with self._lock:
            fault.id = next(self._ids)
            self._active.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._active.clear()

    def active(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(fault) for fault in self._active]

    def holds(self, kind: str, op: str = "*") -> Fault | None:
        """The fault of this kind in force for ``op``, without using it up."""
        with self._lock:
            return next((f for f in self._active if f.kind == kind and f.op in ("*", op)), None)

    def take(self, kind: str, op: str) -> Fault | None:
        """The fault of this kind for this request, counted against how many are left."""
        return self._take({kind}, op)

    def take_reply_fault(self, op: str) -> Fault | None:
        return self._take(set(REPLY_FAULTS), op)

    def _take(self, kinds: set[str], op: str) -> Fault | None:
        with self._lock:
            fault = next((f for f in self._active if f.kind in kinds and f.op in ("*", op)), None)
            if fault is not None and fault.remaining is not None:
                fault.remaining -= 1
                if fault.remaining <= 0:
                    self._active.remove(fault)
            return fault
