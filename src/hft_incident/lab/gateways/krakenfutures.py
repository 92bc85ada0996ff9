# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Kraken Futures for the trading system: the linear perpetual."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import urlencode

from .. import signatures
from .gateway import Gateway, GatewayError, Held, Json, Quote, Side, Trade, oldest_first

API = "/api/v3"
PREFIX = "/derivatives"  # part of the address, not of what is signed
FILLS_PER_PAGE = 100
GONE = ("cancelled", "notFound", "filled")


class KrakenFuturesGateway(Gateway):
    symbol = "PF_XBTUSD"
    qty = Decimal("0.01")
    tick = Decimal("0.1")
    line = "PF"

    async def place(self, side: Side, price: Decimal, client_id: str, qty: Decimal | None = None) -> str:
        order = {
            "orderType": "lmt",
            "symbol": self.symbol,
            "side": side,
            "size": str(qty or self.qty),
            "limitPrice": str(price),
            "cliOrdId": client_id,
        }
        status = (await self._private("POST", "sendorder", order))["sendStatus"]
        if status["status"] != "placed":
            raise GatewayError(f"sendorder: {status['status']}")
        return str(status["order_id"])

    async def cancel(self, order_id: str) -> None:
        status = (await self._private("POST", "cancelorder", {"order_id": order_id}))["cancelStatus"]["status"]
        if status not in GONE:
            raise GatewayError(f"cancelorder: {status}")

    async def open_order_ids(self) -> dict[str, str]:
        rows = (await self._private("GET", "openorders")).get("openOrders")
        if not isinstance(rows, list):
            raise GatewayError("openorders: not a listing")
        return {row["order_id"]: str(row.get("cliOrdId") or "") for row in rows if row["symbol"] == self.symbol}

    async def trades(self, since_ms: int) -> list[Trade]:
        found: dict[str, Trade] = {}
        page: dict[str, str] = {}
        while True:
            rows = (await self._private("GET", "fills", page))["fills"]
            before = len(found)
            found.update((trade.id, trade) for trade in map(_trade, rows))
            oldest = min((_ms(row["fillTime"]) for row in rows), default=0)
            if len(rows) < FILLS_PER_PAGE or oldest < since_ms or len(found) == before:
                break
            page = {"lastFillTime": _iso(oldest + 1)}  # fills of the same millisecond may be on the next page
        mine = (trade for trade in found.values() if trade.symbol == self.symbol and trade.at_ms >= since_ms)
        return oldest_first(mine)

    async def quote(self) -> Quote:
        status, reply = await self.http("GET", f"{PREFIX}{API}/tickers/{self.symbol}")
        if status != 200 or not isinstance(reply, dict) or reply.get("result") != "success":
            raise GatewayError(f"no market data: HTTP {status}")
        return Quote(Decimal(str(reply["ticker"]["last"])), _ms(reply["ticker"]["lastTime"]))

    async def held(self) -> list[Held]:
        rows = (await self._private("GET", "openpositions"))["openPositions"]
        return [
            Held(
                row["symbol"],
                Decimal(str(row["size"])) * (1 if row["side"] == "long" else -1),
                Decimal(str(row["price"])),
            )
            for row in rows
        ]

    async def _private(self, method: str, name: str, params: dict[str, str] | None = None) -> dict[str, Json]:
        path, sent = f"{API}/{name}", urlencode(params or {}, safe=":")  # aiohttp would undo %3A after the signing
        headers = {"APIKey": self.key.id, "Authent": signatures.krakenfutures(self.key.secret, sent, "", path)}
        target = PREFIX + path + (f"?{sent}" if sent and method == "GET" else "")
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        status, reply = await self.http(method, target, headers, sent if method == "POST" else None)
        if status == 200 and isinstance(reply, dict) and reply.get("result") == "success":
            return reply
        raise GatewayError(f"{method} {PREFIX}{path}: HTTP {status}")


def _trade(row: Json) -> Trade:
    return Trade(
        row["fill_id"],
        row["order_id"],
        row["symbol"],
        row["side"],
        Decimal(str(row["size"])),
        Decimal(str(row["price"])),
        _ms(row["fillTime"]),
    )


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _iso(ms: int) -> str:
    moment = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"
