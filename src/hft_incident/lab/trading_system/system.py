# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The trading system as a whole: its gates (killswitch, hold file, configuration), its desks and its strategies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection, Coroutine, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from . import VERSION
from .configuration import Configuration
from .desk import FILLS_INTERVAL_S, LISTING_INTERVAL_S, QUOTE_INTERVAL_S, Desk, Run
from .holds import Holds
from .mishaps import LOOP, LOOP_LIFE_S, MISHAPS, SLOW, SLOW_LOOK_S
from .settings import Settings, SettingsError
from .store import Killswitch
from .strategy import Strategy

HOLD_INTERVAL_S = 0.1
CONNECT_INTERVAL_S = 0.5
#: A stopping process tries to cancel its orders for this long.
FAREWELL_S = 2.0
#: The killswitch answers after this long even where its state is not stored yet.
STORE_PATIENCE_S = 0.25

log = logging.getLogger("system")


class TradingSystem:
    """Made and used on one event loop. It goes on from what ``run`` has stored."""

    def __init__(self, settings: Settings, run: Run | None = None) -> None:
        self._run = run or Run()
        self.store = self._run.store
        self.desks = {entry.name: Desk(entry, self._run) for entry in settings.exchanges}
        drivers = {entry.name: entry.driver for entry in settings.exchanges}
        self.configuration = Configuration(drivers, observe=self._run.observe)
        self.strategies = {
            entry.id: Strategy(entry, [self.desks[name] for name in entry.exchanges], self.may_send, self._scale)
            for entry in settings.strategies
        }
        for strategy in self.strategies.values():
            strategy.running = self.store.stored.running.get(strategy.id, True)
        self.killswitch = self.store.stored.killswitch
        self.holds = Holds(settings.hold_file)
        self._fault_file = settings.fault_file
        self._mishap = asyncio.Event()
        self._stopping = False
        self._born = time.monotonic()

    # Gates --------------------------------------------------------------------------------------------------------

    @property
    def mode(self) -> Literal["live", "observe", "halted"]:
        if self._run.observe:
            return "observe"
        if self.killswitch.active or self.holds.all:
            return "halted"
        return "observe" if self.configuration.observing else "live"

    def may_send(self, strategy: Strategy, desk: Desk) -> bool:
        """Every new order asks this in the moment before it is sent."""
        return (
            strategy.running
            and not self._stopping
            and desk.connected
            and self.configuration.enabled(desk.name)
            and desk.fresh(self.configuration.stale_after_s)
            and self.mode == "live"
            and not self.holds.exchange(desk.name)
            and not self.holds.strategy(strategy.id)
        )

    async def kill(self, reason: str) -> Killswitch:
        """Close the gates; returns once no new order can leave any more. Cancels go on in the background."""
        if not self.killswitch.active:
            self.killswitch = Killswitch(True, reason, utc_now())
            log.critical("killswitch activated: %s", " ".join(reason.split()))
            self.store.put_killswitch(self.killswitch)
        await self._silence(self.desks.values())
        with contextlib.suppress(TimeoutError):  # it is pressed; that it is stored can wait
            async with asyncio.timeout(STORE_PATIENCE_S):
                await self.store.saved()
        return self.killswitch

    async def release(self) -> Killswitch:
        """Returns once that is stored."""
        if self.killswitch.active:
            log.warning("killswitch released")
        self.killswitch = Killswitch()
        self.store.put_killswitch(self.killswitch)
        await self.store.saved()
        return self.killswitch

    async def configure(self, fragment: Mapping[str, Any]) -> None:
        """Merge and act on it; returns once no new order can leave for what it switched off.

        Raises ConfigurationError.
        """
        open_before, scale_before = self._open_desks(), self._scale()
        self.configuration.merge(fragment)
        log.warning("configuration changed: %s", ", ".join(fragment))
        open_now = self._open_desks()
        # What rests there is larger than it may be now.
        smaller = self._scale() < scale_before
        await self._silence([desk for desk in open_before if smaller or desk not in open_now])

    def _scale(self) -> Decimal:
        return self.configuration.scale

    def _open_desks(self) -> list[Desk]:
        """The desks that the configuration lets send orders."""
        if self.configuration.observing:
            return []
        return [desk for desk in self.desks.values() if self.configuration.enabled(desk.name)]

    async def _silence(self, desks: Collection[Desk]) -> None:
        await asyncio.gather(*(desk.settle() for desk in desks))
        for desk in desks:
            desk.request_cancels()

    # Exchanges and strategies -------------------------------------------------------------------------------------

    async def reconnect(self, desk: Desk) -> bool:
        """Connect and resynchronise; orders that should not be there by now are cancelled (again)."""
        connected = await desk.connect()
        if connected and (self.mode == "halted" or desk not in self._open_desks()):
            desk.request_cancels()
        return connected

    async def start(self, strategy: Strategy) -> None:
        """Returns once the wish is stored."""
        if not strategy.running:
            strategy.running = True
            log.info("strategy %s started", strategy.id)
        self.store.put_strategy(strategy.id, True)
        await self.store.saved()

    async def stop(self, strategy: Strategy) -> None:
        """Returns once no new order of this strategy can leave and the wish is stored; its resting orders are
        cancelled in the background."""
        if strategy.running:
            strategy.running = False
            log.warning("strategy %s stopped", strategy.id)
        self.store.put_strategy(strategy.id, False)
        await self._silence_strategy(strategy)
        await self.store.saved()

    async def _silence_strategy(self, strategy: Strategy) -> None:
        await asyncio.gather(*(desk.settle(strategy.id) for desk in strategy.desks))
        for desk in strategy.desks:
            desk.request_cancels(strategy.id)

    # What it shows ------------------------------------------------------------------------------------------------

    def health(self) -> dict[str, Any]:
        stale_after_s = self.configuration.stale_after_s
        components = {"killswitch": "active" if self.killswitch.active else "released"}
        components |= {hold.replace("-", ".", 1): "held" for hold in self.holds.present()}
        degraded = False
        for name, desk in self.desks.items():
            if not self.configuration.enabled(name):
                components[f"gateway.{name}"] = "disabled"
                continue
            components[f"gateway.{name}"] = "connected" if desk.connected else "disconnected"
            components[f"market_data.{name}"] = "fresh" if desk.fresh(stale_after_s) else "stale"
            degraded |= not (desk.connected and desk.fresh(stale_after_s))
        running = sum(strategy.running for strategy in self.strategies.values())
        components["strategies"] = f"{running} of {len(self.strategies)} running"
        mode = self.mode
        return {
            "status": "halted" if mode == "halted" else "degraded" if degraded else "ok",
            "mode": mode,
            "uptime_s": round(time.monotonic() - self._born, 3),
            "version": VERSION,
            "components": components,
        }

    def latencies_us(self, window_s: float) -> list[float]:
        """Round trips of new orders that were acknowledged within the window, ascending (µs)."""
        since = time.monotonic() - window_s
        return sorted(us for desk in self.desks.values() for at, us in desk.latencies if at >= since)

    # Life ---------------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Trade until ``stop`` is set; then leave nothing behind that can be cancelled in FAREWELL_S.

        A defect ends it at once, with its exception and without a farewell: a system that does not know what it does
        must not go on doing it.
        """
        for desk in self.desks.values():
            try:
                desk.load_key()
            except SettingsError as error:
                desk.log.error("%s", error)
        tasks = [asyncio.create_task(work) for work in self._work()]
        waiter = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([waiter, *tasks], return_when=asyncio.FIRST_COMPLETED)
        self._stopping = True
        try:
            if done == {waiter} and not self._run.observe:
                await self._cancel_everything()
            if done == {waiter}:
                done, _ = await asyncio.wait(
                    [asyncio.create_task(self.store.saved()), *tasks],
                    timeout=FAREWELL_S,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not done:
                    log.error("the latest changes are not stored")
        finally:
            for task in (waiter, *tasks):
                task.cancel()
            await asyncio.gather(waiter, *tasks, return_exceptions=True)
            await asyncio.gather(*(desk.close() for desk in self.desks.values()))
        for task in done:
            task.result()  # a defect of ours ends the process with its trace

    def _work(self) -> list[Coroutine[Any, Any, None]]:
        desks = self.desks.values()
        return [
            *(self._watch_market(desk) for desk in desks),
            *(self._watch_account(desk) for desk in desks),
            *(strategy.run() for strategy in self.strategies.values() if not self._run.observe),
            self._watch_holds(),
            self._suffer_mishap(),
            self.store.write(),
        ]

    async def _watch_market(self, desk: Desk) -> None:
        while True:
            await desk.watch_market(self.configuration.disconnect_after_s)
            await asyncio.sleep(QUOTE_INTERVAL_S)

    async def _watch_account(self, desk: Desk) -> None:
        """Connect at first; later only ``reconnect`` does."""
        while not (desk.connected or await desk.connect()):
            await asyncio.sleep(CONNECT_INTERVAL_S)
        listed_at = time.monotonic()
        while True:
            await asyncio.sleep(FILLS_INTERVAL_S)
            if desk.connected:
                listing = time.monotonic() - listed_at >= LISTING_INTERVAL_S
                if listing:
                    listed_at = time.monotonic()
                await desk.watch_account(listing=listing)

    async def _watch_holds(self) -> None:
        """A hold file closes its gate by itself; this makes it known and pulls the resting orders."""
        before: frozenset[str] = frozenset()
        while True:
            held = self.holds.present()
            for hold in sorted(held - before):
                log.critical("%s: no orders are sent", self.holds.path(hold))
                await self._obey(hold)
            for hold in sorted(before - held):
                log.warning("%s is gone", self.holds.path(hold))
            before = held
            await asyncio.sleep(HOLD_INTERVAL_S)

    async def _obey(self, hold: str) -> None:
        scope, _, name = hold.partition("-")
        if scope == "hold":
            await self._silence(self.desks.values())
        elif scope == "exchange" and name in self.desks:
            await self._silence([self.desks[name]])
        elif scope == "strategy" and name in self.strategies:
            await self._silence_strategy(self.strategies[name])

    async def prepare(self) -> None:
        """What a start does before anybody is answered; it takes as long as the fault file says."""
        while self._fault_word() == SLOW and not self._run.observe:
            await asyncio.sleep(SLOW_LOOK_S)

    def mishap(self) -> None:
        """The fault file's word is to happen now."""
        self._mishap.set()

    async def _suffer_mishap(self) -> None:
        if self._fault_word() == LOOP and not self._run.observe:
            await asyncio.sleep(LOOP_LIFE_S)
            MISHAPS["exception"]()
        while True:
            await self._mishap.wait()
            self._mishap.clear()
            if (happen := MISHAPS.get(self._fault_word())) is not None:
                happen()

    def _fault_word(self) -> str:
        try:
            return self._fault_file.read_text().strip() if self._fault_file else ""
        except FileNotFoundError:
            return ""

    async def _cancel_everything(self) -> None:
        log.warning("stopping; cancelling all orders")
        await asyncio.gather(*(desk.settle() for desk in self.desks.values()))
        resting = [(desk, list(desk.orders.live.values())) for desk in self.desks.values() if desk.orders.live]
        try:
            async with asyncio.timeout(FAREWELL_S):
                await asyncio.gather(*(desk.cancel_orders(orders, FAREWELL_S) for desk, orders in resting))
        except TimeoutError:
            log.error("orders may still be live at %s", ", ".join(desk.name for desk, _ in resting if desk.orders.live))


def utc_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
