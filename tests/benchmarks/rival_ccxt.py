# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a program on ccxt does: list, cancel, list, for the symbols it knows. ``rival_ccxt.py on|off`` (rate limiter).

In ccxt's favor: it asks only for the symbols that hold orders, not for every product line. Where the lab serves no
markets (binance), they are set by hand. Environment and output as those of floor.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from itertools import count
from typing import Any

import ccxt.async_support as ccxt

Orders = list[tuple[str, str]]  # symbol, id


async def symbols_of(exchange: Any, wanted: list[str]) -> list[str | None]:
    if exchange.id == "binance":
        exchange.set_markets([_spot_market(exchange, symbol) for symbol in wanted])
    else:
        await exchange.load_markets()
    if exchange.id == "kraken":
        return [None]  # one list has them all there
    # By id: unified names would have to be known for every product line.
    return [exchange.safe_market(symbol, None, None, _kind(exchange.id, symbol))["symbol"] for symbol in wanted]


async def listed(exchange: Any, symbols: list[str | None]) -> Orders:
    pages = await asyncio.gather(*(exchange.fetch_open_orders(symbol) for symbol in symbols))
    return [(order["symbol"], order["id"]) for page in pages for order in page]


async def cancel(exchange: Any, orders: Orders) -> None:
    symbols = sorted({symbol for symbol, _ in orders})
    if exchange.id in ("kraken", "deribit"):
        await exchange.cancel_all_orders()
    elif exchange.id == "okx":  # ccxt has no mass cancel there
        batches = {symbol: [order_id for s, order_id in orders if s == symbol] for symbol in symbols}
        await asyncio.gather(*(exchange.cancel_orders(ids, symbol) for symbol, ids in batches.items()))
    else:
        await asyncio.gather(*(exchange.cancel_all_orders(symbol) for symbol in symbols))


async def clear(driver: str, port: int, wanted: list[str], limiter: bool) -> tuple[int, float]:
    key = {"apiKey": os.environ["BENCH_KEY"], "secret": os.environ["BENCH_SECRET"]}
    exchange = getattr(ccxt, driver)(
        key | {"password": os.environ["BENCH_PASSPHRASE"], "enableRateLimit": limiter, "timeout": 30000}
    )
    _turn_to(exchange, f"http://127.0.0.1:{port}")
    try:
        symbols = await symbols_of(exchange, wanted)
        found = len(orders := await listed(exchange, symbols))
        while orders:
            await cancel(exchange, orders)
            orders = await listed(exchange, symbols)
        return found, time.time()
    finally:
        await exchange.close()


def _turn_to(exchange: Any, origin: str) -> None:
    exchange.has["fetchCurrencies"] = False
    if exchange.id == "binance":
        paths = {"public": "/api/v3", "private": "/api/v3", "sapi": "/sapi/v1"}
        exchange.urls["api"] |= {name: origin + path for name, path in paths.items()}
    else:
        exchange.urls["api"] = dict.fromkeys(("rest", "public", "private"), origin)
    if exchange.id in ("deribit", "kraken"):
        # Its own, the time in ms, serves twice in a lab that answers at once, and lags the µs that others count in.
        nonces = count(time.time_ns() // 1000)
        exchange.nonce = lambda: next(nonces)
    if exchange.id == "bybit":  # else it asks the venue first what kind of account this is
        exchange.options |= {"enableUnifiedMargin": False, "enableUnifiedAccount": True}


def _spot_market(exchange: Any, symbol: str) -> dict[str, Any]:
    base = symbol.removesuffix("USDT")
    market = {"id": symbol, "symbol": f"{base}/USDT", "base": base, "quote": "USDT", "baseId": base, "quoteId": "USDT"}
    return market | {"type": "spot", "spot": True, "inverse": False, "active": True, "precision": {}, "limits": {}}


def _kind(driver: str, symbol: str) -> str:
    if driver == "bybit" or symbol.endswith(("-SWAP", "-PERPETUAL")):
        return "swap"
    return "spot"


async def main(limiter: bool) -> None:
    venues = json.loads(os.environ["BENCH_VENUES"])
    wanted = json.loads(os.environ["BENCH_SYMBOLS"])
    results = await asyncio.gather(*(clear(driver, port, wanted[driver], limiter) for driver, port in venues))
    print(json.dumps({"found": sum(found for found, _ in results), "clear_at": max(at for _, at in results)}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] == "on"))
