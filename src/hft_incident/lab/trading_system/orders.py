# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What the trading system believes about its own orders at one exchange. No I/O."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from ..gateways.gateway import Side, Trade

State = Literal["pending", "open", "unknown", "filled", "canceled", "rejected"]
#: pending: on its way · unknown: sent, and nobody knows whether it arrived; both may be live.
LIVE: frozenset[State] = frozenset({"pending", "open", "unknown"})
#: An order that nobody acknowledged may still land for this long (s).
LANDING_TIME_S = 1.0
ENDED_KEPT = 5000

_sequence = itertools.count(1)


@dataclass
class WorkingOrder:
    """An order of this process or of an earlier run. ``at`` is the monotonic time (s) of its latest change of state."""

    client_id: str
    strategy: str
    side: Side
    qty: Decimal
    price: Decimal
    id: str = ""
    state: State = "pending"
    filled: Decimal = Decimal(0)
    at: float = 0.0
    archived: bool = False
    seq: int = field(default_factory=lambda: next(_sequence))

    @property
    def live(self) -> bool:
        return self.state in LIVE


class OrderBook:
    """Live orders, and the latest of those that ended, by client id. ``changed`` hears of every change of state."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, changed: Callable[[WorkingOrder], None] = lambda order: None
    ) -> None:
        self.clock = clock
        self._changed = changed
        self.live: dict[str, WorkingOrder] = {}
        self.ended: dict[str, WorkingOrder] = {}

    def restore(self, order: WorkingOrder) -> None:
        """One that an earlier run sent, as it was stored."""
        (self.live if order.live else self.ended)[order.client_id] = order

    def knows(self, client_id: str) -> bool:
        return client_id in self.live or client_id in self.ended

    def add(self, order: WorkingOrder) -> None:
        order.at = self.clock()
        self.live[order.client_id] = order
        self._changed(order)

    def acknowledge(self, order: WorkingOrder, order_id: str, earlier: Iterable[Trade] = ()) -> None:
        """The venue has it; ``earlier`` are trades that were booked before its id was known."""
        order.id = order_id
        self._set(order, "open")
        for trade in earlier:
            self.apply(trade)

    def doubt(self, order: WorkingOrder) -> None:
        """Nobody knows whether it arrived."""
        if order.state == "pending":
            self._set(order, "unknown")

    def cancelled(self, order: WorkingOrder) -> None:
        """The venue says that it is gone; a fill that crossed the cancel still counts when it comes."""
        if order.live:
            self._set(order, "canceled")

    def apply(self, trade: Trade) -> None:
        """A fill of one of ours."""
        for order in [*self.live.values(), *self.ended.values()]:
            if order.id == trade.order_id:
                order.filled += trade.qty
                if order.filled >= order.qty:
                    self._set(order, "filled")
                return

    def agree(self, listed: Mapping[str, str], asked_at: float) -> None:
        """Believe the venue's own listing (order id → client id), asked for at ``asked_at`` (monotonic s).

        What changed since then is left for the next listing; fills up to the listing must have been applied.
        """
        ids = {client_id: order_id for order_id, client_id in listed.items() if client_id}
        for order in [*self.live.values(), *self.ended.values()]:
            order_id = order.id if order.id in listed else ids.get(order.client_id)
            if order_id is not None:
                if order.state == "unknown" or (not order.live and order.state != "filled" and order.at < asked_at):
                    self.acknowledge(order, order_id)
            elif order.state == "open" and order.at < asked_at:
                self._set(order, "canceled")
            elif order.state == "unknown" and order.at + LANDING_TIME_S < asked_at:
                self._set(order, "rejected")

    def archive(self) -> int:
        """Forget the orders that ended; how many."""
        archived = list(self.ended.values())
        self.ended.clear()
        for order in archived:
            order.archived = True
            self._changed(order)
        return len(archived)

    def _set(self, order: WorkingOrder, state: State) -> None:
        order.state, order.at, order.archived = state, self.clock(), False
        kept, other = (self.live, self.ended) if order.live else (self.ended, self.live)
        other.pop(order.client_id, None)
        kept[order.client_id] = order
        while len(self.ended) > ENDED_KEPT:
            del self.ended[next(iter(self.ended))]
        self._changed(order)
