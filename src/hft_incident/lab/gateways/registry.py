# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The trading system's clients, by the driver names of the venues file."""

from __future__ import annotations

from importlib import import_module

from .gateway import Gateway

GATEWAYS = {
    "binance": "BinanceGateway",
    "binanceusdm": "BinanceUsdmGateway",
    "bybit": "BybitGateway",
    "okx": "OkxGateway",
    "kraken": "KrakenGateway",
    "krakenfutures": "KrakenFuturesGateway",
    "deribit": "DeribitGateway",
}


def gateway_class(driver: str) -> type[Gateway]:
    """The client for a driver; raises KeyError for one that the lab does not speak."""
    found: type[Gateway] = getattr(import_module(f"{__package__}.{driver}"), GATEWAYS[driver])
    return found
