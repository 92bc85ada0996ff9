# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What every part of a kill shares: the order to kill, the clock it counts on, how it reports, how long it pauses."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from .errors import UsageError
from .settings import SystemEntry, VenueEntry
from .venues.api import OpenOrder
from .venues.errors import AuthError, Banned, RateLimited, VenueError

#: Seconds between attempts while the other side fails: doubled from the first to the last.
FIRST_PAUSE_S, LAST_PAUSE_S = 0.05, 1.0
#: A refused key is asked again seldom: venues lock out who insists.
AUTH_PAUSE_S = 0.5
#: Where a venue rate-limits without saying for how long.
RATE_LIMIT_PAUSE_S = 1.0
#: One request may take this share of the whole time, so that a single hang does not use it up.
REQUEST_SHARE, MAX_REQUEST_S = 0.2, 2.0


#: So many orders of one listing stand in the record one by one.
MOST_ORDERS = 1000


class KillOrder(NamedTuple):
    """What to kill and how strict to be about it; times in seconds."""

    venues: tuple[VenueEntry, ...]
    trading_systems: tuple[SystemEntry, ...]
    reason: str
    confirm: int = 3
    interval: float = 1.0
    timeout: float = 10.0
    #: Only the venues named here are killed, so trading systems are stopped there and nowhere else.
    scoped: bool = False
    #: List what would be cancelled and send nothing that writes.
    check: bool = False

    @property
    def request_timeout(self) -> float:
        return min(MAX_REQUEST_S, self.timeout * REQUEST_SHARE)


def checked(order: KillOrder) -> KillOrder:
    """The order, if it can be carried out as it says; raises UsageError otherwise."""
    if not order.venues:
        raise UsageError("'hft_venues' is empty; there is nothing to kill")
    if order.confirm < 1 or order.interval < 0 or order.timeout <= 0:
        raise UsageError("confirm must be at least 1, interval not negative, timeout more than 0")
    if not order.reason.strip():
        raise UsageError("the reason must say something")
    return order


class Report(NamedTuple):
    """Something happened at a venue or a trading system; one line for a person. ``orders`` were not seen before."""

    name: str
    state: str  #: open | cancelling | clear | unknown | stopped | refused | unreachable
    text: str
    elapsed_ms: float
    orders: tuple[OpenOrder, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """The data of ``venue.reported``. Once an order is cancelled, nobody else can tell whose it was."""
        told: dict[str, Any] = {"name": self.name, "state": self.state, "text": self.text, "ms": self.elapsed_ms}
        if self.orders:
            told["orders"] = [
                {"id": order.id, "client_id": order.client_id, "symbol": order.symbol, "line": order.line,
                 "side": order.side, "qty": str(order.qty), "price": None if order.price is None else str(order.price)}
                for order in self.orders[:MOST_ORDERS]
            ]  # fmt: skip
            told["orders_not_listed"] = max(0, len(self.orders) - MOST_ORDERS)
        return told


OnReport = Callable[[Report], None]


class Closing(NamedTuple):
    """What a trading system is about to be told, as far as it is not so already: the exchanges that it closes, or with
    none that it stops as a whole. To open this again restores what was."""

    system: SystemEntry
    exchanges: tuple[str, ...] = ()


OnClosing = Callable[[Closing], None]


class Clock:
    """Milliseconds since the start."""

    def __init__(self, started: float) -> None:
        self.started = started

    def elapsed_ms(self) -> float:
        return round((time.monotonic() - self.started) * 1000, 1)


def pause_after(error: VenueError, failures: int, remaining: float) -> float:
    """Seconds before the next attempt; raises the error where another attempt is of no use or comes too late."""
    if isinstance(error, Banned):
        raise error
    pause = min(LAST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10)) * random.uniform(0.75, 1.25)
    if isinstance(error, RateLimited):
        pause = max(pause, RATE_LIMIT_PAUSE_S if error.retry_after is None else error.retry_after)
        if pause > remaining:
            raise error
    return max(pause, AUTH_PAUSE_S) if isinstance(error, AuthError) else pause
