# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Binance spot for the trading system."""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import urlencode

from .. import signatures
from .gateway import Gateway, GatewayError, Held, Json, Quote, Side, Trade

UNKNOWN_ORDER = -2011


class BinanceApiGateway(Gateway):
    """What spot and futures share: how a request is signed."""

    async def _signed(self, method: str, path: str, params: dict[str, str], gone: int | None = None) -> Json:
        query = urlencode({**params, "timestamp": str(self.now_ms())})
        query += "&signature=" + signatures.binance(self.key.secret, query)
        headers = {"X-MBX-APIKEY": self.key.id}
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            status, reply = await self.http(method, path, headers, query)
        else:
            status, reply = await self.http(method, f"{path}?{query}", headers)
        if status == 200 and isinstance(reply, list | dict):
            return reply
        if isinstance(reply, dict) and gone is not None and reply.get("code") == gone:
            return {}
        raise GatewayError(f"{method} {path}: HTTP {status}")


class BinanceGateway(BinanceApiGateway):
    symbol = "BTCUSDT"
    qty = Decimal("0.01")
    tick = Decimal("0.1")
    line = "spot"
    spot_assets = ("BTC", "USDT")

    async def place(self, side: Side, price: Decimal, client_id: str, qty: Decimal | None = None) -> str:
        order = {
            "symbol": self.symbol,
            "side": side.upper(),
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": str(qty or self.qty),
            "price": str(price),
            "newClientOrderId": client_id,
        }
        return str((await self._signed("POST", "/api/v3/order", order))["orderId"])

    async def cancel(self, order_id: str) -> None:
        await self._signed("DELETE", "/api/v3/order", {"symbol": self.symbol, "orderId": order_id}, gone=UNKNOWN_ORDER)

    async def open_order_ids(self) -> dict[str, str]:
        rows = await self._signed("GET", "/api/v3/openOrders", {"symbol": self.symbol})
        if not isinstance(rows, list):
            raise GatewayError("GET /api/v3/openOrders: not a list")
        return {str(row["orderId"]): str(row["clientOrderId"]) for row in rows}

    async def trades(self, since_ms: int) -> list[Trade]:
        rows = await self._signed("GET", "/api/v3/myTrades", {"symbol": self.symbol, "startTime": str(since_ms)})
        if not isinstance(rows, list):
            raise GatewayError("GET /api/v3/myTrades: not a list")
        return [
            Trade(
                str(row["id"]),
                str(row["orderId"]),
                row["symbol"],
                "buy" if row["isBuyer"] else "sell",
                Decimal(row["qty"]),
                Decimal(row["price"]),
                row["time"],
            )
            for row in rows
        ]

    async def quote(self) -> Quote:
        status, row = await self.http("GET", f"/api/v3/ticker/24hr?symbol={self.symbol}")
        if status != 200 or not isinstance(row, dict) or "lastPrice" not in row:
            raise GatewayError(f"no market data: HTTP {status}")
        return Quote(Decimal(row["lastPrice"]), int(row["closeTime"]))

    async def held(self) -> list[Held]:
        account = await self._signed("GET", "/api/v3/account", {})
        rows = ((row["asset"], Decimal(row["free"]) + Decimal(row["locked"])) for row in account["balances"])
        return [Held(asset, qty) for asset, qty in rows if qty]
