# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Every request of the Binance adapter, against ccxt's own signature."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.venues.api import Call
from ansible_collections.hft.incident.plugins.module_utils.venues.binance import RECV_WINDOW_MS, Binance

from . import oracle

SYMBOL = {"symbol": "BTCUSDT"}
ISOLATED = {"symbol": "BTCUSDT", "isIsolated": "TRUE"}

REQUESTS: list[tuple[Call, str, str]] = [
    (Binance.TIME, "public", "time"),
    (Binance.STATUS, "sapi", "system/status"),
    (Binance.TICKER.given(**SYMBOL), "public", "ticker/24hr"),
    (Binance.SPOT_ORDERS, "private", "openOrders"),
    (Binance.MARGIN_ORDERS, "sapi", "margin/openOrders"),
    (Binance.MARGIN_ORDERS.given(**ISOLATED), "sapi", "margin/openOrders"),
    (Binance.ISOLATED_ACCOUNT, "sapi", "margin/isolated/account"),
    (Binance.CANCEL_SPOT.given(**SYMBOL), "private", "openOrders"),
    (Binance.CANCEL_MARGIN.given(**SYMBOL), "sapi", "margin/openOrders"),
    (Binance.CANCEL_MARGIN.given(**ISOLATED), "sapi", "margin/openOrders"),
    (Binance.ACCOUNT, "private", "account"),
    (Binance.MARGIN_ACCOUNT, "sapi", "margin/account"),
    (Binance.FILLS.given(startTime=oracle.NOW_MS - 1000, **SYMBOL), "private", "myTrades"),
]


@pytest.fixture(scope="module")
def exchange() -> Any:
    return oracle.ccxt_exchange("binance", recvWindow=RECV_WINDOW_MS)


@pytest.mark.parametrize(("call", "api", "path"), REQUESTS, ids=lambda value: getattr(value, "name", None))
def test_every_request_is_the_one_ccxt_would_send(exchange: Any, call: Call, api: str, path: str) -> None:
    wire = oracle.ours(oracle.adapter(Binance).sign(call))
    assert wire == oracle.theirs(exchange, path, [api, "GET"], call.method, dict(call.params))
