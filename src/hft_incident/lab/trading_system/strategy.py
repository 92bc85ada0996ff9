# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A strategy of the lab: it keeps a few orders resting around the market and moves one of them every round."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence
from decimal import Decimal

from ..gateways.gateway import Side
from .desk import Desk
from .orders import WorkingOrder
from .settings import StrategyEntry

Slot = tuple[Side, int]
SIDES: tuple[Side, Side] = ("buy", "sell")


class Strategy:
    """Quotes while it runs and while ``may_send`` says so for it and the exchange, in the size that ``scale`` says."""

    def __init__(
        self,
        entry: StrategyEntry,
        desks: Sequence[Desk],
        may_send: Callable[[Strategy, Desk], bool],
        scale: Callable[[], Decimal] = lambda: Decimal(1),
    ) -> None:
        self.id = entry.id
        self.priority = entry.priority
        self.desks = tuple(desks)
        self.running = True
        self._interval_s = entry.interval_s
        self._may_send = may_send
        self._scale = scale
        slots: list[Slot] = [(side, offset) for offset in entry.offsets for side in SIDES]
        self._slots = {desk.name: dict.fromkeys(slots, None) for desk in desks}
        self._turns = itertools.cycle(slots)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s * random.uniform(0.8, 1.2))
            turn = next(self._turns)
            await asyncio.gather(*(self._round(desk, turn) for desk in self.desks))

    async def _round(self, desk: Desk, turn: Slot) -> None:
        """Move the order whose turn it is, and fill every empty place."""
        await self._quote(desk, turn)
        empty = [slot for slot, order in self._resting(desk).items() if not (order and order.live)]
        await asyncio.gather(*(self._quote(desk, slot) for slot in empty))

    async def _quote(self, desk: Desk, slot: Slot) -> None:
        resting = self._resting(desk)
        if not self._may_send(self, desk):
            return
        old = resting[slot]
        if old is not None and old.live and not await desk.cancel(old):
            return
        if desk.quote is None or not self._may_send(self, desk):
            return
        side, offset = slot
        distance = desk.gateway.tick * offset
        price = desk.quote.price - distance if side == "buy" else desk.quote.price + distance
        resting[slot], sent = desk.send(self.id, side, price.quantize(desk.gateway.tick), self._scale())
        await asyncio.wait({sent})
        if not sent.cancelled():
            sent.result()  # a defect of ours must not stay in a forgotten task

    def _resting(self, desk: Desk) -> dict[Slot, WorkingOrder | None]:
        return self._slots[desk.name]
