# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's trading system: what is on its way when a gate closes."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from hft_incident.lab.gateways.binance import BinanceGateway
from hft_incident.lab.gateways.gateway import GatewayKey, Side
from hft_incident.lab.trading_system.desk import Desk
from hft_incident.lab.trading_system.orders import WorkingOrder
from hft_incident.lab.trading_system.settings import ExchangeEntry, Settings, StrategyEntry
from hft_incident.lab.trading_system.system import TradingSystem

NOWHERE = "http://127.0.0.1:9"


class SlowConnection(BinanceGateway):
    """An order leaves once there is a connection for it."""

    connection: asyncio.Event
    left: list[str]

    async def place(self, side: Side, price: Decimal, client_id: str, qty: Decimal | None = None) -> str:
        await self.connection.wait()
        self.left.append(client_id)
        return "7"


def slow(desk: Desk) -> SlowConnection:
    gateway = SlowConnection(desk._session, NOWHERE, GatewayKey("", ""))
    gateway.connection, gateway.left = asyncio.Event(), []
    desk.gateway = gateway
    return gateway


def a_system(folder: Path) -> TradingSystem:
    exchange = ExchangeEntry("alpha", "binance", NOWHERE, folder / "key")
    strategies = (StrategyEntry("mm", ("alpha",)), StrategyEntry("probe", ("alpha",)))
    return TradingSystem(Settings(0, folder / "hold", folder / "log", None, (exchange,), strategies))


async def close(system: TradingSystem, gate: str) -> None:
    if gate == "killswitch":
        await system.kill("a test")
    elif gate == "strategy":
        await system.stop(system.strategies["mm"])
    else:
        await system.configure({"exchanges": {"alpha": {"enabled": False}}} if gate == "exchange" else {"mode": gate})


@pytest.mark.parametrize("gate", ["killswitch", "strategy", "exchange", "observe"])
def test_an_order_that_has_not_left_when_a_gate_closes_never_leaves(tmp_path: Path, gate: str) -> None:
    async def scenario() -> tuple[list[str], WorkingOrder]:
        system = a_system(tmp_path)
        desk = system.desks["alpha"]
        gateway = slow(desk)
        order, task = desk.send("mm", "buy", Decimal(100))
        await asyncio.sleep(0)  # it has passed the gates and waits for its connection
        await close(system, gate)
        gateway.connection.set()
        await asyncio.wait({task})
        await desk.close()
        return gateway.left, order

    left, order = asyncio.run(scenario())
    assert left == []
    assert order.state == "unknown"  # given up on the way: only the venue's own list can tell


def test_an_order_that_is_answered_in_time_is_known_when_the_gate_has_closed(tmp_path: Path) -> None:
    async def scenario() -> WorkingOrder:
        system = a_system(tmp_path)
        desk = system.desks["alpha"]
        gateway = slow(desk)
        order, _ = desk.send("mm", "buy", Decimal(100))
        asyncio.get_running_loop().call_later(0.01, gateway.connection.set)
        await system.kill("a test")
        known = WorkingOrder(order.client_id, order.strategy, order.side, order.qty, order.price, order.id, order.state)
        await desk.close()
        return known

    known = asyncio.run(scenario())
    assert (known.id, known.state) == ("7", "open")


def test_stopping_one_strategy_leaves_the_others_orders_on_their_way(tmp_path: Path) -> None:
    async def scenario() -> tuple[list[str], WorkingOrder]:
        system = a_system(tmp_path)
        desk = system.desks["alpha"]
        gateway = slow(desk)
        order, task = desk.send("probe", "buy", Decimal(100))
        await asyncio.sleep(0)
        await system.stop(system.strategies["mm"])
        gateway.connection.set()
        await asyncio.wait({task})
        await desk.close()
        return gateway.left, order

    left, order = asyncio.run(scenario())
    assert left == [order.client_id]
