# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""One trading system at all of the lab's venues: what it believes is what the product's own adapters read there."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from hft_incident.lab.gateways.registry import GATEWAYS

from .trading_system_process import TradingSystemProcess, trading_system
from .venues_host import Host, adapter_for, venue_host
from .waiting import wait_until

EVERYWHERE = {driver: driver for driver in GATEWAYS}


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with venue_host(EVERYWHERE) as running:
        yield running


@pytest.fixture(scope="module")
def hft(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TradingSystemProcess]:
    """It traded everywhere; then every market stood still, and it has booked what happened."""
    folder: Path = tmp_path_factory.mktemp("everywhere")
    for venue in host.venues.values():
        venue.exchange.feed_running = True
    with trading_system(folder, host, EVERYWHERE) as system:
        wait_until(lambda: min(len(venue.exchange.executions) for venue in host.venues.values()) >= 4, timeout=40)
        for venue in host.venues.values():
            venue.exchange.feed_running = False
        wait_until(lambda: all(is_settled(system, host, name) for name in EVERYWHERE))
        yield system


def is_settled(system: TradingSystemProcess, host: Host, name: str) -> bool:
    """Quoting has paused for want of data, no order is in doubt, and every fill is booked."""
    fills = system.get(f"/fills?exchange={name}&limit=1000")["fills"]
    in_doubt = [system.get(f"/orders?exchange={name}&status={state}")["orders"] for state in ("pending", "unknown")]
    age = system.get(f"/exchanges/{name}")["last_market_data_age_s"]
    return age > 1.5 and in_doubt == [[], []] and len(fills) == len(host.venues[name].exchange.executions)


@pytest.mark.parametrize("name", EVERYWHERE)
def test_its_positions_are_the_venues(name: str, hft: TradingSystemProcess, host: Host) -> None:
    read = {(p.line, p.symbol): p.qty for p in adapter_for(host.venues[name], name).positions()}
    rows = [row for row in hft.get("/positions")["positions"] if row["exchange"] == name]
    assert {(row["account"], row["symbol"]): Decimal(row["qty"]) for row in rows} == read


@pytest.mark.parametrize("name", EVERYWHERE)
def test_its_open_orders_are_the_venues_and_it_cancels_them_when_told(
    name: str, hft: TradingSystemProcess, host: Host
) -> None:
    read = {
        (o.id, o.client_id, o.line, o.symbol, o.side, o.qty, o.price)
        for o in adapter_for(host.venues[name], name).open_orders()
    }
    believed = {
        (o["id"], o["client_id"], o["account"], o["symbol"], o["side"], Decimal(o["qty"]), Decimal(o["price"]))
        for o in hft.open_orders(name)
    }
    assert believed == read
    assert len(read) >= 4
    assert hft.call("POST", f"/exchanges/{name}/cancel_all_orders").body["requested"] >= 4
    wait_until(lambda: not host.venues[name].exchange.open_orders())
    wait_until(lambda: hft.open_orders(name) == [])
