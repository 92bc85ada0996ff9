# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Binance USDⓈ-M futures for the trading system, which sends no conditional orders."""

from __future__ import annotations

from decimal import Decimal

from .binance import UNKNOWN_ORDER, BinanceApiGateway
from .gateway import GatewayError, Held, Quote, Side, Trade

TRADES_A_PAGE = 1000


class BinanceUsdmGateway(BinanceApiGateway):
    symbol = "BTCUSDT"
    qty = Decimal("0.01")
    tick = Decimal("0.1")
    line = "linear"

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
        return str((await self._signed("POST", "/fapi/v1/order", order))["orderId"])

    async def cancel(self, order_id: str) -> None:
        order = {"symbol": self.symbol, "orderId": order_id}
        await self._signed("DELETE", "/fapi/v1/order", order, gone=UNKNOWN_ORDER)

    async def open_order_ids(self) -> dict[str, str]:
        rows = await self._signed("GET", "/fapi/v1/openOrders", {"symbol": self.symbol})
        if not isinstance(rows, list):
            raise GatewayError("GET /fapi/v1/openOrders: not a list")
        return {str(row["orderId"]): str(row["clientOrderId"]) for row in rows}

    async def trades(self, since_ms: int) -> list[Trade]:
        """The venue looks at most a week back; the trading system never asks for more."""
        found: dict[str, Trade] = {}
        while True:
            page = {"symbol": self.symbol, "startTime": str(max(since_ms, self.now_ms() - 6 * 86_400_000))}
            rows = await self._signed("GET", "/fapi/v1/userTrades", {**page, "limit": str(TRADES_A_PAGE)})
            before = len(found)
            for row in rows:
                found[str(row["id"])] = Trade(
                    str(row["id"]),
                    str(row["orderId"]),
                    row["symbol"],
                    "buy" if row["side"] == "BUY" else "sell",
                    Decimal(row["qty"]),
                    Decimal(row["price"]),
                    row["time"],
                )
            if len(rows) < TRADES_A_PAGE or len(found) == before:
                return list(found.values())
            since_ms = max(row["time"] for row in rows)

    async def quote(self) -> Quote:
        status, row = await self.http("GET", f"/fapi/v1/ticker/24hr?symbol={self.symbol}")
        if status != 200 or not isinstance(row, dict) or "lastPrice" not in row:
            raise GatewayError(f"no market data: HTTP {status}")
        return Quote(Decimal(row["lastPrice"]), int(row["closeTime"]))

    async def held(self) -> list[Held]:
        rows = await self._signed("GET", "/fapi/v3/positionRisk", {})
        return [Held(row["symbol"], Decimal(row["positionAmt"]), Decimal(row["entryPrice"])) for row in rows]
