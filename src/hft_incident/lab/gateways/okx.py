# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""OKX spot for the trading system."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

from .. import signatures
from .gateway import Gateway, GatewayError, Held, Json, Quote, Side, Trade, oldest_first

GONE = ("51400", "51401", "51402", "51603")
PAGE = 100


class OkxGateway(Gateway):
    symbol = "BTC-USDT"
    qty = Decimal("0.01")
    tick = Decimal("0.1")
    line = "SPOT"
    spot_assets = ("BTC", "USDT")

    async def place(self, side: Side, price: Decimal, client_id: str, qty: Decimal | None = None) -> str:
        order = {
            "instId": self.symbol,
            "tdMode": "cash",
            "side": side,
            "ordType": "limit",
            "sz": str(qty or self.qty),
            "px": str(price),
            "clOrdId": client_id,
        }
        row = _rows("POST order", await self._post("/api/v5/trade/order", order))[0]
        if row["sCode"] != "0":
            raise GatewayError(f"POST order: {row['sMsg']}")
        return str(row["ordId"])

    async def cancel(self, order_id: str) -> None:
        reply = await self._post("/api/v5/trade/cancel-order", {"instId": self.symbol, "ordId": order_id})
        rows = reply.get("data") if isinstance(reply, dict) else None
        if not (rows and isinstance(rows[0], dict) and rows[0].get("sCode") in ("0", *GONE)):
            raise GatewayError("POST cancel-order: refused")

    async def open_order_ids(self) -> dict[str, str]:
        rows = await self._pages("/api/v5/trade/orders-pending", f"instType=SPOT&instId={self.symbol}", "ordId")
        return {str(row["ordId"]): str(row["clOrdId"]) for row in rows}

    async def trades(self, since_ms: int) -> list[Trade]:
        query = f"instType=SPOT&instId={self.symbol}&begin={since_ms}"
        return oldest_first(
            Trade(
                str(row["tradeId"]),
                str(row["ordId"]),
                row["instId"],
                "buy" if row["side"] == "buy" else "sell",
                Decimal(row["fillSz"]),
                Decimal(row["fillPx"]),
                int(row["ts"]),
            )
            for row in await self._pages("/api/v5/trade/fills", query, "billId")
        )

    async def quote(self) -> Quote:
        status, reply = await self.http("GET", f"/api/v5/market/ticker?instId={self.symbol}")
        rows = _rows(f"no market data: HTTP {status}", reply)
        return Quote(Decimal(rows[0]["last"]), int(rows[0]["ts"]))

    async def held(self) -> list[Held]:
        account = _rows("GET balance", await self._get("/api/v5/account/balance"))[0]
        rows = ((row["ccy"], Decimal(row["cashBal"])) for row in account["details"])
        return [Held(asset, qty) for asset, qty in rows if qty]

    async def _pages(self, path: str, query: str, id_name: str) -> list[Json]:
        rows: list[Json] = []
        while True:
            older = f"&after={rows[-1][id_name]}" if rows else ""
            page = _rows(f"GET {path}", await self._get(f"{path}?{query}&limit={PAGE}{older}"))
            rows += page
            if len(page) < PAGE:
                return rows

    async def _get(self, target: str) -> Json:
        return (await self.http("GET", target, self._headers("GET", target, "")))[1]

    async def _post(self, path: str, params: dict[str, str]) -> Json:
        body = json.dumps(params)
        return (await self.http("POST", path, self._headers("POST", path, body), body))[1]

    def _headers(self, method: str, target: str, body: str) -> dict[str, str]:
        now = datetime.fromtimestamp(self.now_ms() / 1000, UTC)
        timestamp = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            "Content-Type": "application/json",
            "OK-ACCESS-KEY": self.key.id,
            "OK-ACCESS-PASSPHRASE": self.key.passphrase,
            "OK-ACCESS-TIMESTAMP": timestamp,
            "OK-ACCESS-SIGN": signatures.okx(self.key.secret, timestamp, method, target, body),
        }


def _rows(what: str, reply: Json) -> list[Json]:
    """The rows of a reply that the venue calls a success."""
    if not isinstance(reply, dict) or reply.get("code") != "0" or not isinstance(reply.get("data"), list):
        raise GatewayError(what + (f", {reply.get('msg')}" if isinstance(reply, dict) else ""))
    return list(reply["data"])
