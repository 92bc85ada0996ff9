# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Deribit for the trading system: the linear perpetual, JSON-RPC over HTTP GET."""

from __future__ import annotations

import itertools
from decimal import Decimal
from urllib.parse import urlencode

from .. import signatures
from .gateway import Gateway, GatewayError, Held, Json, Quote, Side, Trade

PREFIX = "/api/v2/"
GONE = (10004, 10010)  # order_not_found, already_closed
TRADES_A_PAGE = 1000


class DeribitGateway(Gateway):
    symbol = "BTC_USDC-PERPETUAL"
    qty = Decimal("0.01")
    tick = Decimal("0.1")
    line = "future"
    _count = itertools.count(1)

    async def place(self, side: Side, price: Decimal, client_id: str, qty: Decimal | None = None) -> str:
        order = {
            "instrument_name": self.symbol,
            "amount": str(qty or self.qty),
            "type": "limit",
            "price": str(price),
            "label": client_id,
        }
        return str((await self._call(f"private/{side}", order))["order"]["order_id"])

    async def cancel(self, order_id: str) -> None:
        await self._call("private/cancel", {"order_id": order_id}, gone=GONE)

    async def open_order_ids(self) -> dict[str, str]:
        rows = await self._call("private/get_open_orders_by_instrument", {"instrument_name": self.symbol})
        if not isinstance(rows, list):
            raise GatewayError("get_open_orders_by_instrument: not a list")
        return {str(row["order_id"]): str(row["label"]) for row in rows}

    async def trades(self, since_ms: int) -> list[Trade]:
        found: dict[str, Trade] = {}
        more = True
        while more:
            page = await self._call(
                "private/get_user_trades_by_instrument_and_time",
                {
                    "instrument_name": self.symbol,
                    "start_timestamp": str(since_ms),
                    "end_timestamp": str(self.now_ms() + 3_600_000),
                    "count": str(TRADES_A_PAGE),
                    "sorting": "asc",
                },
            )
            before = len(found)
            found.update((trade.id, trade) for trade in map(_trade, page["trades"]))
            more = page["has_more"] and len(found) > before
            since_ms = max((trade.at_ms for trade in found.values()), default=since_ms)
        return list(found.values())

    async def quote(self) -> Quote:
        row = await self._call("public/ticker", {"instrument_name": self.symbol})
        return Quote(Decimal(str(row["last_price"])), int(row["timestamp"]))

    async def held(self) -> list[Held]:
        rows = await self._call("private/get_positions", {"currency": "any"})
        return [
            Held(row["instrument_name"], Decimal(str(row["size"])), Decimal(str(row["average_price"]))) for row in rows
        ]

    async def _call(self, method: str, params: dict[str, str], gone: tuple[int, ...] = ()) -> Json:
        target = f"{PREFIX}{method}?{urlencode(params)}"
        timestamp = str(self.now_ms())
        nonce = f"{timestamp}.{next(self._count)}"
        signature = signatures.deribit(self.key.secret, timestamp, nonce, "GET", target, "")
        credentials = f"deri-hmac-sha256 id={self.key.id},ts={timestamp},sig={signature},nonce={nonce}"
        public = method.startswith("public/")
        status, reply = await self.http("GET", target, {} if public else {"Authorization": credentials})
        if not isinstance(reply, dict):
            raise GatewayError(f"{method}: HTTP {status}")
        if status == 200 and "result" in reply:
            return reply["result"]
        if (reply.get("error") or {}).get("code") in gone:
            return {}
        raise GatewayError(f"{method}: HTTP {status}")


def _trade(row: Json) -> Trade:
    return Trade(
        str(row["trade_id"]),
        str(row["order_id"]),
        row["instrument_name"],
        row["direction"],
        Decimal(str(row["amount"])),
        Decimal(str(row["price"])),
        int(row["timestamp"]),
    )
