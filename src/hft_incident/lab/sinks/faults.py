# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Faults, injected from outside on any service and any operation, for all requests or for the next n."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """``works``: the service does what it was asked to all the same."""

    meaning: str
    works: bool


KINDS = {
    "down": Kind("the connection is reset, for every operation at once as soon as it is made", works=False),
    "hang": Kind("nothing is ever answered", works=False),
    "status": Kind("an error status (status, retry_after); SMTP: after DATA", works=False),
    "slow": Kind("the answer comes after seconds", works=True),
    "accepts_then_fails": Kind("an error status, or the connection is reset (cut), after it was done", works=True),
    "half_reply": Kind("the connection ends in the middle of the answer", works=True),
}
HTTP_STATUS, SMTP_STATUS = 500, 451


@dataclass
class Fault:
    """One fault of a ``service`` and ``op`` (``*``: all); ``remaining`` None means until it is cleared; ``status`` None
    is 500, of SMTP 451.
    """

    kind: str
    service: str = "*"
    op: str = "*"
    remaining: int | None = None
    status: int | None = None
    retry_after: float | None = None
    seconds: float = 0.0
    cut: bool = False
    id: int = 0

    @property
    def works(self) -> bool:
        return KINDS[self.kind].works

    def hits(self, service: str, op: str) -> bool:
        return self.service in ("*", service) and self.op in ("*", op)


class Faults:
    """The faults in force at these services."""

    def __init__(self, services: Collection[str]) -> None:
        self._services = services
        self._active: list[Fault] = []
        self._ids = itertools.count(1)

    def inject(self, spec: Mapping[str, Any]) -> Fault:
        """Put a fault in force. Raises ValueError on a wrong description."""
        try:
            fault = Fault(**spec)
        except TypeError as error:
            raise ValueError(f"not the description of a fault: {error}") from None
        if fault.kind not in KINDS:
            raise ValueError(f"unknown fault {fault.kind!r}; known: {', '.join(KINDS)}")
        if fault.service != "*" and fault.service not in self._services:
            raise ValueError(f"unknown service {fault.service!r}; known: {', '.join(self._services)}")
        fault.id = next(self._ids)
        self._active.append(fault)
        return fault

    def clear(self) -> None:
        self._active.clear()

    def active(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._active]

    def take(self, service: str, op: str) -> Fault | None:
        """The fault that hits this request, counted against how many are left."""
        return self._take(next((fault for fault in self._active if fault.hits(service, op)), None))

    def refuses(self, service: str) -> bool:
        """Whether a connection to ``service`` is reset at once, which counts as a request does."""
        down = (fault for fault in self._active if fault.kind == "down" and fault.op == "*")
        return self._take(next((fault for fault in down if fault.hits(service, "*")), None)) is not None

    def _take(self, fault: Fault | None) -> Fault | None:
        if fault is not None and fault.remaining is not None:
            fault.remaining -= 1
            if fault.remaining <= 0:
                self._active.remove(fault)
        return fault
