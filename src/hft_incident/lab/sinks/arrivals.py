# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The record of what arrived, whatever became of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from .service import Call, Json, Reply


@dataclass
class Arrival:
    """One request or mail. ``at`` is seconds since 1970; ``accepted``: the service did it; ``ok``: and said so, with
    ``status`` (None: nothing was answered); ``repeat``: the sender's ``key`` had been seen before; ``fault``: what hit
    it.
    """

    service: str
    op: str
    target: str | None = None
    text: str | None = None
    key: str | None = None
    body: Json = None
    repeat: bool = False
    accepted: bool = False
    ok: bool = False
    status: int | None = None
    fault: str | None = None
    at: float = field(default_factory=time.time)

    def do(self, call: Call) -> Reply:
        """Let the service work."""
        reply = call.done()
        self.accepted = reply.is_success
        self.key = self.key or reply.key
        return reply

    def tell(self, reply: Reply) -> None:
        """The sender is told so, now."""
        self.status = reply.status
        self.ok = reply.is_success


class Arrivals:
    """All of them since the start, or since the last ``forget``, oldest first."""

    def __init__(self) -> None:
        self._all: list[Arrival] = []

    @property
    def all(self) -> Sequence[Arrival]:
        return self._all

    def add(self, service: str, call: Call) -> Arrival:
        repeat = call.key is not None and any(
            (seen.service, seen.op, seen.key) == (service, call.op, call.key) for seen in self._all
        )
        arrival = Arrival(service, call.op, call.target, call.text, call.key, call.body, repeat)
        self._all.append(arrival)
        return arrival

    def forget(self) -> None:
        self._all.clear()
