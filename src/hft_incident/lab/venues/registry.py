# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The dialects that the lab speaks, by the driver names of the venues file."""

from __future__ import annotations

from importlib import import_module

from .dialect import Dialect
from .exchange import Exchange, Key

DIALECTS = {
    "binance": "Binance",
    "binanceusdm": "BinanceUsdm",
    "bybit": "Bybit",
    "okx": "Okx",
    "kraken": "Kraken",
    "krakenfutures": "KrakenFutures",
    "deribit": "Deribit",
}


def make_dialect(driver: str, keys: list[Key], *, seed: int = 0) -> Dialect:
    """A venue of this kind with an empty book."""
    build: type[Dialect] = getattr(import_module(f"{__package__}.{driver}"), DIALECTS[driver])
    return build(Exchange(build.instruments, keys, seed=seed))
