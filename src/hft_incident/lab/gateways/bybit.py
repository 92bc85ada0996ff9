# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Bybit linear perpetuals for the trading system."""

from __future__ import annotations

import json
from decimal import Decimal

from .. import signatures
from .gateway import Gateway, GatewayError, Held, Json, Quote, Side, Trade, oldest_first

GONE = 110001
WINDOW = "5000"


class BybitGateway(Gateway):
    symbol = "BTCUSDT"
    qty = Decimal("0.01")
    tick = Decimal("0.1")
    line = "linear"
    settlement = ("spot", "USDT")

    async def place(self, side: Side, price: Decimal, client_id: str, qty: Decimal | None = None) -> str:
        order = {
            "category": "linear",
            "symbol": self.symbol,
            "side": side.capitalize(),
            "orderType": "Limit",
            "qty": str(qty or self.qty),
            "price": str(price),
            "timeInForce": "GTC",
            "orderLinkId": client_id,
        }
        return str((await self._post("/v5/order/create", order))["orderId"])

    async def cancel(self, order_id: str) -> None:
        order = {"category": "linear", "symbol": self.symbol, "orderId": order_id}
        await self._post("/v5/order/cancel", order, gone=GONE)

    async def open_order_ids(self) -> dict[str, str]:
        rows = await self._pages("/v5/order/realtime", f"category=linear&symbol={self.symbol}&limit=50")
        return {str(row["orderId"]): str(row["orderLinkId"]) for row in rows}

    async def trades(self, since_ms: int) -> list[Trade]:
        query = f"category=linear&symbol={self.symbol}&startTime={since_ms}&limit=100"
        return oldest_first(
            Trade(
                str(row["execId"]),
                str(row["orderId"]),
                row["symbol"],
                "buy" if row["side"] == "Buy" else "sell",
                Decimal(row["execQty"]),
                Decimal(row["execPrice"]),
                int(row["execTime"]),
            )
            for row in await self._pages("/v5/execution/list", query)
        )

    async def quote(self) -> Quote:
        status, reply = await self.http("GET", f"/v5/market/recent-trade?category=linear&symbol={self.symbol}&limit=1")
        last = _result(f"no market data: HTTP {status}", reply)["list"][0]
        return Quote(Decimal(last["price"]), int(last["time"]))

    async def held(self) -> list[Held]:
        rows = await self._pages("/v5/position/list", f"category=linear&symbol={self.symbol}&limit=200")
        signed = ((row, Decimal(row["size"]) * (-1 if row["side"] == "Sell" else 1)) for row in rows)
        positions = [Held(row["symbol"], qty, Decimal(row["avgPrice"])) for row, qty in signed if qty]
        wallet = await self._get("/v5/account/wallet-balance", "accountType=UNIFIED")
        coins = [Held(coin["coin"], Decimal(coin["walletBalance"]), line="spot") for coin in wallet["list"][0]["coin"]]
        return [*positions, *(coin for coin in coins if coin.qty)]

    async def _pages(self, path: str, query: str) -> list[Json]:
        rows: list[Json] = []
        cursor = ""
        while True:
            result = await self._get(path, query + (f"&cursor={cursor}" if cursor else ""))
            if not isinstance(result.get("list"), list) or not isinstance(result.get("nextPageCursor"), str):
                raise GatewayError(f"GET {path}: not a list")
            rows += result["list"]
            cursor = result["nextPageCursor"]
            if not cursor:
                return rows

    async def _get(self, path: str, query: str) -> Json:
        status, reply = await self.http("GET", f"{path}?{query}", self._headers(query))
        return _result(f"GET {path}: HTTP {status}", reply)

    async def _post(self, path: str, params: dict[str, str], gone: int | None = None) -> Json:
        body = json.dumps(params)
        status, reply = await self.http("POST", path, self._headers(body), body)
        if gone is not None and isinstance(reply, dict) and reply.get("retCode") == gone:
            return {}
        return _result(f"POST {path}: HTTP {status}", reply)

    def _headers(self, payload: str) -> dict[str, str]:
        timestamp = str(self.now_ms())
        return {
            "Content-Type": "application/json",
            "X-BAPI-API-KEY": self.key.id,
            "X-BAPI-TIMESTAMP": timestamp,
            "X-BAPI-RECV-WINDOW": WINDOW,
            "X-BAPI-SIGN": signatures.bybit(self.key.secret, timestamp, self.key.id, WINDOW, payload),
        }


def _result(what: str, reply: Json) -> Json:
    if not isinstance(reply, dict) or reply.get("retCode") != 0 or not isinstance(reply.get("result"), dict):
        raise GatewayError(what + (f", {reply.get('retMsg')}" if isinstance(reply, dict) else ""))
    return reply["result"]
