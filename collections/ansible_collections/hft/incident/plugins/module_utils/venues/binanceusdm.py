# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Binance USDⓈ-M futures (developers.binance.com/docs/derivatives/usds-margined-futures).

Since December 2025 conditional orders (stop, take profit, trailing) are "algo" orders with endpoints of their own:
they are not in ``openOrders``, and cancelling the open orders leaves them standing. TWAP and VP orders are another
product, at api.binance.com under /sapi/v1/algo; the orders they send show here, they themselves do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ..http_client import at_once
from . import schema
from .api import Balance, Call, CancelReply, Fill, OpenOrder, Position, SystemStatus, Ticker
from .binance import BinanceApi
from .errors import MalformedReply

#: The venue answers no more than this span, and no more than this number, of own trades at once.
FILLS_SPAN_MS = 7 * 86_400_000 - 1
FILLS_A_PAGE = 1000
MAX_PAGES = 100


class BinanceUsdm(BinanceApi):
    driver = "binanceusdm"
    default_origin = "https://fapi.binance.com"
    all_lines = ("linear",)
    cancel_needs_listing = True
    reference_symbol = "BTCUSDT"

    TIME = Call("GET", "/fapi/v1/time", signed=False)
    PING = Call("GET", "/fapi/v1/ping", signed=False)
    TICKER = Call("GET", "/fapi/v1/ticker/24hr", signed=False)
    ORDERS = Call("GET", "/fapi/v1/openOrders")
    ALGO_ORDERS = Call("GET", "/fapi/v1/openAlgoOrders")
    CANCEL = Call("DELETE", "/fapi/v1/allOpenOrders")
    CANCEL_ALGO = Call("DELETE", "/fapi/v1/algoOpenOrders")
    POSITIONS = Call("GET", "/fapi/v3/positionRisk")
    BALANCES = Call("GET", "/fapi/v3/balance")
    FILLS = Call("GET", "/fapi/v1/userTrades")

    def status(self) -> SystemStatus:
        """This API has no status endpoint, and the one of api.binance.com speaks of another system: so it is pinged.
        The one right answer to a ping is ``{}``."""
        if self.ask(self.PING) != {}:
            raise MalformedReply(f"{self.PING.name}: expected an empty object")
        return SystemStatus(True, "answers a ping; this API does not publish a status")

    def ticker(self) -> Ticker:
        call = self.TICKER.given(symbol=self.reference_symbol)
        row = schema.as_object(self.ask(call), call.name)
        return Ticker(
            self.reference_symbol,
            schema.decimal(row, "lastPrice", call.name),
            schema.integer(row, "closeTime", call.name),
        )

    def open_orders(self) -> list[OpenOrder]:
        orders, algo_orders = at_once([partial(self.ask, self.ORDERS), partial(self.ask, self.ALGO_ORDERS)])
        return [
            *(_order(row) for row in schema.rows(orders, self.ORDERS.name)),
            *(_algo_order(row) for row in schema.rows(algo_orders, self.ALGO_ORDERS.name)),
        ]

    def cancel_all(self, orders: Sequence[OpenOrder]) -> CancelReply:
        """One request a symbol and kind; the venue does not say how many it cancelled."""
        wanted = dict.fromkeys((order.symbol, order.conditional) for order in orders)
        return self.cancel_by_symbol(
            [(self.CANCEL_ALGO if conditional else self.CANCEL).given(symbol=symbol) for symbol, conditional in wanted]
        )

    def positions(self) -> list[Position]:
        """Signed quantities in the base asset; in hedge mode a symbol has a long and a short row."""
        rows = schema.rows(self.ask(self.POSITIONS), self.POSITIONS.name)
        return [position for position in map(_position, rows) if position.qty]

    def balances(self) -> list[Balance]:
        where = self.BALANCES.name
        balances = [
            Balance(
                schema.text(row, "asset", where),
                schema.decimal(row, "balance", where),
                schema.decimal(row, "availableBalance", where),
            )
            for row in schema.rows(self.ask(self.BALANCES), where)
        ]
        return [balance for balance in balances if balance.total]

    def fills(self, since_ms: int, symbols: Sequence[str] = ()) -> list[Fill]:
        pages = at_once([partial(self._fills, self.FILLS.given(symbol=symbol), since_ms) for symbol in symbols])
        return sorted((fill for page in pages for fill in page), key=lambda fill: (fill.at_ms, fill.id))

    def _fills(self, call: Call, since_ms: int) -> list[Fill]:
        """One symbol's trades in windows of a week; a full page goes on from its last time stamp."""
        found: dict[str, Fill] = {}
        for _page in range(MAX_PAGES):
            until_ms = since_ms + FILLS_SPAN_MS
            reply = self.ask(call.given(startTime=since_ms, endTime=until_ms, limit=FILLS_A_PAGE))
            fills = {fill.id: fill for fill in map(_fill, schema.rows(reply, call.name))}
            if len(fills) >= FILLS_A_PAGE:
                if not fills.keys() - found.keys():
                    raise MalformedReply(f"{call.name}: the same page of trades again")
                since_ms = max(fill.at_ms for fill in fills.values())
            else:
                since_ms = until_ms + 1
            found.update(fills)
            if since_ms > self.now_ms():
                return list(found.values())
        raise MalformedReply(f"{call.name}: no end after {MAX_PAGES} pages")


def _order(row: schema.Row) -> OpenOrder:
    where = BinanceUsdm.ORDERS.name
    return OpenOrder(
        id=schema.text(row, "orderId", where),
        symbol=schema.text(row, "symbol", where),
        line="linear",
        side=schema.text(row, "side", where).lower(),
        qty=schema.decimal(row, "origQty", where) - schema.decimal(row, "executedQty", where),
        price=schema.decimal(row, "price", where) or None,
        client_id=str(row.get("clientOrderId", "")),
    )


def _algo_order(row: schema.Row) -> OpenOrder:
    """``quantity`` is 0 on an order that closes whatever the position then is."""
    where = BinanceUsdm.ALGO_ORDERS.name
    return OpenOrder(
        id=schema.text(row, "algoId", where),
        symbol=schema.text(row, "symbol", where),
        line="linear",
        side=schema.text(row, "side", where).lower(),
        qty=schema.decimal(row, "quantity", where),
        price=schema.decimal(row, "price", where) or None,
        conditional=True,
        client_id=str(row.get("clientAlgoId", "")),
    )


def _position(row: schema.Row) -> Position:
    where = BinanceUsdm.POSITIONS.name
    return Position(
        symbol=schema.text(row, "symbol", where),
        line="linear",
        qty=schema.decimal(row, "positionAmt", where),
        avg_price=schema.decimal(row, "entryPrice", where),
        unrealized_pnl=schema.decimal(row, "unRealizedProfit", where),
        mark_price=schema.decimal(row, "markPrice", where),
        pnl_asset=schema.text(row, "marginAsset", where),
    )


def _fill(row: schema.Row) -> Fill:
    where = BinanceUsdm.FILLS.name
    return Fill(
        id=schema.text(row, "id", where),
        order_id=schema.text(row, "orderId", where),
        symbol=schema.text(row, "symbol", where),
        side=schema.text(row, "side", where).lower(),
        qty=schema.decimal(row, "qty", where),
        price=schema.decimal(row, "price", where),
        fee=schema.decimal(row, "commission", where),
        fee_asset=schema.text(row, "commissionAsset", where),
        at_ms=schema.integer(row, "time", where),
    )
