# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Kraken spot for the trading system."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from urllib.parse import urlencode

import aiohttp

from .. import signatures
from .gateway import Gateway, GatewayError, GatewayKey, Held, Json, Quote, Side, Trade, oldest_first

UNKNOWN_ORDER = "EOrder:Unknown order"
PAIR = "XXBTZUSD"  # what trades call the symbol


class KrakenGateway(Gateway):
    symbol = "XBTUSD"
    qty = Decimal("0.01")
    tick = Decimal("0.1")
    line = "spot"
    spot_assets = ("XXBT", "ZUSD")

    def __init__(self, session: aiohttp.ClientSession, base_url: str, key: GatewayKey) -> None:
        super().__init__(session, base_url, key)
        self._turn = asyncio.Lock()  # nonces must arrive in the order in which they were drawn
        self._nonce = 0

    async def place(self, side: Side, price: Decimal, client_id: str, qty: Decimal | None = None) -> str:
        order = {
            "pair": self.symbol,
            "type": side,
            "ordertype": "limit",
            "volume": str(qty or self.qty),
            "price": str(price),
            "cl_ord_id": client_id,
        }
        return str((await self._private("AddOrder", order))["txid"][0])

    async def cancel(self, order_id: str) -> None:
        await self._private("CancelOrder", {"txid": order_id}, gone=UNKNOWN_ORDER)

    async def open_order_ids(self) -> dict[str, str]:
        rows = (await self._private("OpenOrders", {})).get("open")
        if not isinstance(rows, dict):
            raise GatewayError("OpenOrders: not a listing")
        return {
            txid: str(row.get("cl_ord_id") or "")
            for txid, row in rows.items()
            if (row["descr"]["pair"], row["descr"]["leverage"]) == (self.symbol, "none")
        }

    async def trades(self, since_ms: int) -> list[Trade]:
        found: dict[str, Json] = {}
        while True:
            page = {"start": str(since_ms // 1000 - 1), "ofs": str(len(found))}
            reply = await self._private("TradesHistory", page)
            before = len(found)
            found.update(reply["trades"])
            if len(found) >= reply["count"] or len(found) == before:
                break
        trades = [
            Trade(
                txid,
                row["ordertxid"],
                self.symbol,
                row["type"],
                Decimal(row["vol"]),
                Decimal(row["price"]),
                round(row["time"] * 1000),
            )
            for txid, row in found.items()
            if row["pair"] == PAIR and not Decimal(row["margin"])
        ]
        return oldest_first(trade for trade in trades if trade.at_ms >= since_ms)

    async def quote(self) -> Quote:
        status, reply = await self.http("GET", f"/0/public/Trades?pair={self.symbol}&count=1")
        if status != 200 or not isinstance(reply, dict) or reply.get("error") or "result" not in reply:
            raise GatewayError(f"no market data: HTTP {status}")
        price, _volume, at, *_rest = reply["result"][PAIR][-1]
        return Quote(Decimal(price), round(at * 1000))

    async def held(self) -> list[Held]:
        rows = await self._private("BalanceEx", {})
        return [Held(asset, Decimal(row["balance"])) for asset, row in rows.items() if Decimal(row["balance"])]

    async def _private(self, name: str, params: dict[str, str], gone: str | None = None) -> dict[str, Json]:
        path = f"/0/private/{name}"
        async with self._turn:
            self._nonce = max(self._nonce + 1, time.time_ns() // 1000)
            body = urlencode({"nonce": str(self._nonce), **params})
            headers = {
                "API-Key": self.key.id,
                "API-Sign": signatures.kraken(self.key.secret, path, str(self._nonce), body.encode()),
                "Content-Type": "application/x-www-form-urlencoded",
            }
            status, reply = await self.http("POST", path, headers, body)
        if status == 200 and isinstance(reply, dict):
            if reply.get("error") == [] and isinstance(reply.get("result"), dict):
                return dict(reply["result"])
            if gone is not None and reply.get("error") == [gone]:
                return {}
        raise GatewayError(f"POST {path}: HTTP {status}")
