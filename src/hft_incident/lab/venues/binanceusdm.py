# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Binance USDⓈ-M futures as a server (developers.binance.com/docs/derivatives/usds-margined-futures).

One-way mode. Conditional orders are "algo" orders: other ids, other endpoints, in no listing of the plain ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from .binance import BinanceApi
from .dialect import Incoming, Json, Route, instrument, plain
from .exchange import Execution, Instrument, Order, Refusal, Side

CONDITIONAL_TYPES = ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET")
TRADES_A_PAGE, MOST_TRADES_A_PAGE = 500, 1000
TRADES_SPAN_MS = 7 * 86_400_000
DONE = {"code": 200, "msg": "The operation of cancel all open order is done."}
STATUS = {"open": "NEW", "canceled": "CANCELED", "filled": "FILLED"}


class BinanceUsdm(BinanceApi):
    instruments: ClassVar = (
        instrument("BTCUSDT", "linear", "BTC", "USDT", "90000"),
        instrument("ETHUSDT", "linear", "ETH", "USDT", "3000"),
        instrument("SOLUSDT", "linear", "SOL", "USDT", "140"),
    )

    def routes(self) -> Mapping[tuple[str, str], Route]:
        return {
            ("GET", "/fapi/v1/time"): Route("time", self.time, None),
            ("GET", "/fapi/v1/ping"): Route("status", self.ping, None),
            ("GET", "/fapi/v1/exchangeInfo"): Route("instruments", self.exchange_info, None),
            ("GET", "/fapi/v1/ticker/24hr"): Route("ticker", self.ticker, None),
            ("GET", "/fapi/v1/openOrders"): Route("open_orders", self.open_orders),
            ("GET", "/fapi/v1/openAlgoOrders"): Route("open_orders", self.open_algo_orders),
            ("DELETE", "/fapi/v1/allOpenOrders"): Route("cancel_all", self.cancel_all, "trade"),
            ("DELETE", "/fapi/v1/algoOpenOrders"): Route("cancel_all", self.cancel_all_algo, "trade"),
            ("POST", "/fapi/v1/order"): Route("place", self.place, "trade"),
            ("POST", "/fapi/v1/algoOrder"): Route("place", self.place_algo, "trade"),
            ("DELETE", "/fapi/v1/order"): Route("cancel", self.cancel, "trade"),
            ("DELETE", "/fapi/v1/algoOrder"): Route("cancel", self.cancel_algo, "trade"),
            ("GET", "/fapi/v3/positionRisk"): Route("positions", self.positions),
            ("GET", "/fapi/v1/leverageBracket"): Route("positions", self.leverage_brackets),
            ("GET", "/fapi/v3/balance"): Route("balances", self.balances),
            ("GET", "/fapi/v3/account"): Route("balances", self.account),
            ("GET", "/fapi/v1/userTrades"): Route("fills", self.trades),
        }

    def ping(self, _request: Incoming) -> Json:
        if self.exchange.maintenance:
            raise Refusal("maintenance")
        return {}

    def exchange_info(self, _request: Incoming) -> Json:
        return {
            "timezone": "UTC",
            "serverTime": self.exchange.now_ms(),
            "rateLimits": [],
            "symbols": [instrument_row(traded) for traded in self.instruments],
        }

    # Orders -------------------------------------------------------------------------------------------------------

    def open_orders(self, request: Incoming) -> Json:
        """Every symbol's, where none is named; no pages."""
        return [order_row(order) for order in self._listed(request, conditional=False)]

    def open_algo_orders(self, request: Incoming) -> Json:
        return [algo_row(order) for order in self._listed(request, conditional=True)]

    def cancel_all(self, request: Incoming) -> Json:
        return self._cancel_symbol(request, conditional=False)

    def cancel_all_algo(self, request: Incoming) -> Json:
        return self._cancel_symbol(request, conditional=True)

    def place(self, request: Incoming) -> Json:
        if request.text("type") != "LIMIT":
            raise Refusal("bad_request", "conditional orders go to algoOrder")
        order = self.exchange.place(
            self._symbol(request),
            side_of(request),
            request.decimal("quantity"),
            request.decimal("price"),
            client_id=request.text("newClientOrderId", ""),
        )
        return order_row(order)

    def place_algo(self, request: Incoming) -> Json:
        if request.text("algoType") != "CONDITIONAL" or request.text("type") not in CONDITIONAL_TYPES:
            raise Refusal("bad_request")
        order = self.exchange.place(
            self._symbol(request),
            side_of(request),
            request.decimal("quantity"),
            request.decimal("triggerPrice"),
            client_id=request.text("clientAlgoId", ""),
            conditional=True,
        )
        return algo_row(order)

    def cancel(self, request: Incoming) -> Json:
        order = self.order_of(request)
        if order.conditional or not self.exchange.cancel(order):
            raise Refusal("unknown_order")
        return order_row(order)

    def cancel_algo(self, request: Incoming) -> Json:
        order = self.exchange.orders.get(request.integer("algoId"))
        if order is None or not order.conditional or not self.exchange.cancel(order):
            raise Refusal("unknown_order")
        return {"algoId": order.id, "clientAlgoId": order.client_id, "code": "200", "msg": "success"}

    # Account ------------------------------------------------------------------------------------------------------

    def positions(self, request: Incoming) -> Json:
        """Symbols without a position are left out."""
        symbol = request.params.get("symbol")
        held = [i for i in self.instruments if self.exchange.holdings[i.symbol].qty and symbol in (None, i.symbol)]
        return [self.position_row(traded) for traded in held]

    def position_row(self, traded: Instrument) -> Json:
        holding, price = self.exchange.holdings[traded.symbol], self.exchange.prices[traded.symbol]
        return {
            "symbol": traded.symbol,
            "positionSide": "BOTH",
            "positionAmt": plain(holding.qty),
            "entryPrice": plain(holding.avg_price),
            "breakEvenPrice": plain(holding.avg_price),
            "markPrice": plain(price),
            "unRealizedProfit": plain(self.exchange.unrealized_pnl(traded.symbol)),
            "liquidationPrice": "0",
            "isolatedMargin": "0",
            "notional": plain(holding.qty * price),
            "marginAsset": traded.quote,
            "isolatedWallet": "0",
            "initialMargin": "0",
            "maintMargin": "0",
            "adl": 1,
            "updateTime": self.exchange.now_ms(),
        }

    def leverage_brackets(self, _request: Incoming) -> Json:
        limits = {"notionalCap": 10**9, "notionalFloor": 0, "maintMarginRatio": 0.01, "cum": 0}
        bracket = {"bracket": 1, "initialLeverage": 20, **limits}
        return [{"symbol": traded.symbol, "brackets": [bracket]} for traded in self.instruments]

    def balances(self, _request: Incoming) -> Json:
        """The futures wallet holds the quote asset."""
        total = plain(self.exchange.balances["USDT"])
        amounts = dict.fromkeys(("balance", "crossWalletBalance", "availableBalance", "maxWithdrawAmount"), total)
        row = {"accountAlias": "lab", "asset": "USDT", **amounts, "crossUnPnl": "0", "marginAvailable": True}
        return [{**row, "updateTime": self.exchange.now_ms()}]

    def account(self, _request: Incoming) -> Json:
        total = plain(self.exchange.balances["USDT"])
        amounts = dict.fromkeys(("walletBalance", "marginBalance", "availableBalance", "maxWithdrawAmount"), total)
        return {"assets": [{"asset": "USDT", **amounts, "initialMargin": "0", "maintMargin": "0"}], "positions": []}

    def trades(self, request: Incoming) -> Json:
        """Oldest first, within a week of ``startTime``; the last week's where none is given."""
        symbol, now = self._symbol(request), self.exchange.now_ms()
        since = request.integer("startTime", now - TRADES_SPAN_MS)
        until = request.integer("endTime", since + TRADES_SPAN_MS)
        if until - since > TRADES_SPAN_MS or until < since:
            raise Refusal("bad_request", "more than 7 days")
        count = request.integer("limit", TRADES_A_PAGE)
        if not 0 < count <= MOST_TRADES_A_PAGE:
            raise Refusal("bad_request", "limit")
        found = [e for e in self.exchange.executions_since(since) if e.order.symbol == symbol and e.at_ms <= until]
        return [trade_row(execution) for execution in found[:count]]

    # Parameters ---------------------------------------------------------------------------------------------------

    def _symbol(self, request: Incoming) -> str:
        symbol = request.text("symbol")
        if symbol not in self.exchange.instruments:
            raise Refusal("unknown_symbol")
        return symbol

    def _listed(self, request: Incoming, *, conditional: bool) -> list[Order]:
        symbol = self._symbol(request) if "symbol" in request.params else None
        return self.exchange.open_orders(symbol=symbol, conditional=conditional)

    def _cancel_symbol(self, request: Incoming, *, conditional: bool) -> Json:
        """The answer is the same whether there was anything to cancel or not."""
        self.exchange.cancel_all(symbol=self._symbol(request), conditional=conditional)
        return DONE


def side_of(request: Incoming) -> Side:
    side = request.text("side")
    if side not in ("BUY", "SELL"):
        raise Refusal("bad_request")
    return "buy" if side == "BUY" else "sell"


def instrument_row(traded: Instrument) -> Json:
    tick = plain(traded.tick)
    return {
        "symbol": traded.symbol,
        "pair": traded.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4_133_404_800_000,
        "onboardDate": 1_569_398_400_000,
        "status": "TRADING",
        "baseAsset": traded.base,
        "quoteAsset": traded.quote,
        "marginAsset": traded.quote,
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "10000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
        ],
        "orderTypes": ["LIMIT", "MARKET", *CONDITIONAL_TYPES],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }


def order_row(order: Order) -> Json:
    return {
        "orderId": order.id,
        "symbol": order.symbol,
        "status": STATUS[order.state],
        "clientOrderId": order.client_id,
        "price": plain(order.price),
        "avgPrice": "0.00",
        "origQty": plain(order.qty),
        "executedQty": plain(order.filled),
        "cumQuote": "0",
        "timeInForce": "GTC",
        "type": "LIMIT",
        "origType": "LIMIT",
        "reduceOnly": False,
        "closePosition": False,
        "side": order.side.upper(),
        "positionSide": "BOTH",
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "time": order.created_ms,
        "updateTime": order.created_ms,
    }


def algo_row(order: Order) -> Json:
    return {
        "algoId": order.id,
        "clientAlgoId": order.client_id,
        "algoType": "CONDITIONAL",
        "orderType": "STOP_MARKET",
        "symbol": order.symbol,
        "side": order.side.upper(),
        "positionSide": "BOTH",
        "timeInForce": "GTC",
        "quantity": plain(order.qty),
        "algoStatus": STATUS[order.state],
        "actualOrderId": "",
        "actualPrice": "0.00000",
        "triggerPrice": plain(order.price),
        "price": "0.000",
        "icebergQuantity": None,
        "workingType": "CONTRACT_PRICE",
        "priceMatch": "NONE",
        "closePosition": False,
        "priceProtect": False,
        "reduceOnly": False,
        "createTime": order.created_ms,
        "updateTime": order.created_ms,
        "triggerTime": 0,
        "goodTillDate": 0,
    }


def trade_row(execution: Execution) -> Json:
    order = execution.order
    return {
        "symbol": order.symbol,
        "id": execution.id,
        "orderId": order.id,
        "side": order.side.upper(),
        "positionSide": "BOTH",
        "price": plain(execution.price),
        "qty": plain(execution.qty),
        "quoteQty": plain(execution.qty * execution.price),
        "realizedPnl": "0",
        "commission": "0",
        "commissionAsset": order.instrument.quote,
        "time": execution.at_ms,
        "buyer": order.side == "buy",
        "maker": True,
    }
