# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Binance spot and margin as a server (developers.binance.com: /docs/binance-spot-api-docs/rest-api)."""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from typing import ClassVar

from .. import signatures
from .dialect import Dialect, Incoming, Json, Route, instrument, plain
from .exchange import Execution, Key, Order, Refusal
from .treasury import Address, Withdrawal

MAX_RECV_WINDOW_MS = 60_000
NINETY_DAYS_MS = 90 * 86_400_000
MARGIN_PREFIX, ISOLATED_PREFIX = "M:", "I:"  # the lab's own symbols for one pair on several lines

#: reason → (HTTP status, code, message) as the venue's error list has them.
ERRORS: dict[str, tuple[int, int, str]] = {
    "bad_key": (401, -2015, "Invalid API-key, IP, or permissions for action."),
    "bad_signature": (400, -1022, "Signature for this request is not valid."),
    "bad_timestamp": (400, -1021, "Timestamp for this request is outside of the recvWindow."),
    "bad_ip": (401, -2015, "Invalid API-key, IP, or permissions for action."),
    "permission": (401, -2015, "Invalid API-key, IP, or permissions for action."),
    "rate_limit": (429, -1003, "Too many requests; current limit of IP is exceeded."),
    "unknown_symbol": (400, -1121, "Invalid symbol."),
    "unknown_order": (400, -2011, "Unknown order sent."),
    "bad_request": (400, -1102, "A mandatory parameter was not sent, was empty/null, or malformed."),
    "maintenance": (503, -1016, "This service is no longer available."),
}


class BinanceApi(Dialect):
    """What the spot and the futures API share."""

    def authenticate(self, request: Incoming) -> Key:
        """HMAC over everything but the signature itself, which comes last; timestamp within recvWindow."""
        key = self.known_key(request.headers.get("x-mbx-apikey"))
        payload = request.query or request.body.decode()
        signed, _, signature = payload.rpartition("&signature=")
        if not hmac.compare_digest(signatures.binance(key.secret, signed), signature):
            raise Refusal("bad_signature")
        window = request.integer("recvWindow", 5000)
        age = self.exchange.now_ms() - request.integer("timestamp")
        if window > MAX_RECV_WINDOW_MS or not -1000 < age <= window:
            raise Refusal("bad_timestamp")
        return key

    def refuse(self, refusal: Refusal) -> tuple[int, Json]:
        status, code, message = ERRORS[refusal.reason]
        return status, {"code": code, "msg": message}

    def time(self, _request: Incoming) -> Json:
        return {"serverTime": self.exchange.now_ms()}

    def ticker(self, request: Incoming) -> Json:
        symbol = request.text("symbol")
        if symbol not in self.exchange.prices:
            raise Refusal("unknown_symbol")
        at = self.exchange.feed_at_ms
        return {"symbol": symbol, "lastPrice": plain(self.exchange.prices[symbol]), "openTime": at - 1, "closeTime": at}

    def order_of(self, request: Incoming) -> Order:
        order = self.exchange.orders.get(request.integer("orderId"))
        if order is None or order.symbol != request.text("symbol"):
            raise Refusal("unknown_order")
        return order


class Binance(BinanceApi):
    instruments: ClassVar = (
        instrument("BTCUSDT", "spot", "BTC", "USDT", "90000", spot=True),
        instrument("ETHUSDT", "spot", "ETH", "USDT", "3000", spot=True),
        instrument("SOLUSDT", "spot", "SOL", "USDT", "140", spot=True),
        instrument(MARGIN_PREFIX + "BTCUSDT", "margin", "BTC", "USDT", "90000", spot=True),
        instrument(ISOLATED_PREFIX + "ETHUSDT", "isolated", "ETH", "USDT", "3000", spot=True),
    )

    def routes(self) -> Mapping[tuple[str, str], Route]:
        return {
            ("GET", "/api/v3/time"): Route("time", self.time, None),
            ("GET", "/sapi/v1/system/status"): Route("status", self.system_status, None),
            ("GET", "/api/v3/ticker/24hr"): Route("ticker", self.ticker, None),
            ("GET", "/api/v3/openOrders"): Route("open_orders", self.spot_orders),
            ("GET", "/sapi/v1/margin/openOrders"): Route("open_orders", self.margin_orders),
            ("GET", "/sapi/v1/margin/isolated/account"): Route("open_orders", self.isolated_account),
            ("DELETE", "/api/v3/openOrders"): Route("cancel_all", self.cancel_spot, "trade"),
            ("DELETE", "/sapi/v1/margin/openOrders"): Route("cancel_all", self.cancel_margin, "trade"),
            ("POST", "/api/v3/order"): Route("place", self.place, "trade"),
            ("DELETE", "/api/v3/order"): Route("cancel", self.cancel, "trade"),
            ("GET", "/api/v3/account"): Route("balances", self.account),
            ("GET", "/sapi/v1/margin/account"): Route("positions", self.margin_account),
            ("GET", "/api/v3/myTrades"): Route("fills", self.trades),
            ("GET", "/sapi/v1/account/apiRestrictions"): Route("own_key", self.api_restrictions),
            ("GET", "/sapi/v1/capital/withdraw/history"): Route("withdrawals", self.withdrawals),
            ("POST", "/sapi/v1/capital/withdraw/apply"): Route("withdraw", self.withdraw, "withdraw"),
            ("GET", "/sapi/v1/capital/withdraw/address/list"): Route("addresses", self.addresses),
        }

    def system_status(self, _request: Incoming) -> Json:
        return {
            "status": int(self.exchange.maintenance),
            "msg": "maintenance" if self.exchange.maintenance else "normal",
        }

    def spot_orders(self, request: Incoming) -> Json:
        symbol = request.params.get("symbol")
        return [order_row(order) for order in self.exchange.open_orders(lines=("spot",), symbol=symbol)]

    def margin_orders(self, request: Incoming) -> Json:
        if request.text("isIsolated", "FALSE") == "TRUE":
            symbol: str | None = ISOLATED_PREFIX + request.text("symbol")
            line = "isolated"
        else:
            symbol = MARGIN_PREFIX + request.text("symbol") if "symbol" in request.params else None
            line = "margin"
        return [order_row(order) for order in self.exchange.open_orders(lines=(line,), symbol=symbol)]

    def isolated_account(self, _request: Incoming) -> Json:
        pairs = [i for i in self.instruments if i.line == "isolated"]
        return {"assets": [{"symbol": wire_symbol(i.symbol), "isolatedCreated": True, "enabled": True} for i in pairs]}

    def cancel_spot(self, request: Incoming) -> Json:
        return self._cancel_symbol(request.text("symbol"), "spot")

    def cancel_margin(self, request: Incoming) -> Json:
        isolated = request.text("isIsolated", "FALSE") == "TRUE"
        prefix, line = (ISOLATED_PREFIX, "isolated") if isolated else (MARGIN_PREFIX, "margin")
        return self._cancel_symbol(prefix + request.text("symbol"), line)

    def place(self, request: Incoming) -> Json:
        side = request.text("side")
        if side not in ("BUY", "SELL"):
            raise Refusal("bad_request")
        order = self.exchange.place(
            request.text("symbol"),
            "buy" if side == "BUY" else "sell",
            request.decimal("quantity"),
            request.decimal("price"),
            client_id=request.text("newClientOrderId", ""),
        )
        return order_row(order)

    def cancel(self, request: Incoming) -> Json:
        order = self.order_of(request)
        if not self.exchange.cancel(order):
            raise Refusal("unknown_order")
        return order_row(order)

    def account(self, _request: Incoming) -> Json:
        return {
            "canTrade": True,
            "permissions": ["SPOT"],
            "balances": [
                {"asset": asset, "free": plain(total), "locked": "0"} for asset, total in self.exchange.balances.items()
            ],
        }

    def margin_account(self, _request: Incoming) -> Json:
        return {"marginLevel": "999", "userAssets": []}

    def trades(self, request: Incoming) -> Json:
        symbol, since = request.text("symbol"), request.integer("startTime", 0)
        return [trade_row(e) for e in self.exchange.executions_since(since) if e.order.symbol == symbol][:1000]

    # Account ------------------------------------------------------------------------------------------------------

    def api_restrictions(self, _request: Incoming) -> Json:
        key = self.acting_key()
        return {
            "ipRestrict": bool(key.ips),
            "createTime": key.created_ms,
            "enableReading": "read" in key.permissions,
            "enableWithdrawals": "withdraw" in key.permissions,
            "enableInternalTransfer": "transfer" in key.permissions,
            "enableMargin": "trade" in key.permissions,
            "enableFutures": "trade" in key.permissions,
            "permitsUniversalTransfer": "transfer" in key.permissions,
            "enableVanillaOptions": False,
            "enableFixApiTrade": False,
            "enableFixReadOnly": False,
            "enableSpotAndMarginTrading": "trade" in key.permissions,
            "enablePortfolioMarginTrading": False,
        }

    def withdrawals(self, request: Incoming) -> Json:
        """The newest first; 90 days at most, by whole seconds."""
        since, until = request.integer("startTime", 0), request.integer("endTime", 2**62)
        if "startTime" in request.params and until - since >= NINETY_DAYS_MS:
            raise Refusal("bad_request")
        found = [w for w in self.exchange.treasury.withdrawals(since // 1000 * 1000) if w.at_ms <= until]
        offset, limit = request.integer("offset", 0), request.integer("limit", 1000)
        return [withdrawal_row(w) for w in list(reversed(found))[offset : offset + limit]]

    def withdraw(self, request: Incoming) -> Json:
        try:
            withdrawal = self.exchange.treasury.withdraw(
                request.text("coin"), request.decimal("amount"), request.text("address"), key=self.exchange.acting
            )
        except ValueError as error:
            raise Refusal("bad_request", str(error)) from None
        return {"id": str(withdrawal.id)}

    def addresses(self, _request: Incoming) -> Json:
        return [address_row(address) for address in self.exchange.treasury.addresses]

    def _cancel_symbol(self, symbol: str, line: str) -> Json:
        if symbol not in self.exchange.instruments:
            raise Refusal("unknown_symbol")
        if not self.exchange.open_orders(lines=(line,), symbol=symbol):
            raise Refusal("unknown_order")
        return [order_row(order) for order in self.exchange.cancel_all(lines=(line,), symbol=symbol)]


def wire_symbol(symbol: str) -> str:
    return symbol.rpartition(":")[2]


def order_row(order: Order) -> Json:
    return {
        "symbol": wire_symbol(order.symbol),
        "orderId": order.id,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        "price": plain(order.price),
        "origQty": plain(order.qty),
        "executedQty": plain(order.filled),
        "status": {"open": "NEW", "canceled": "CANCELED", "filled": "FILLED"}[order.state],
        "timeInForce": "GTC",
        "type": "STOP_LOSS_LIMIT" if order.conditional else "LIMIT",
        "side": order.side.upper(),
        "time": order.created_ms,
        "updateTime": order.created_ms,
        "isWorking": not order.conditional,
    }


def trade_row(execution: Execution) -> Json:
    return {
        "symbol": wire_symbol(execution.order.symbol),
        "id": execution.id,
        "orderId": execution.order.id,
        "price": plain(execution.price),
        "qty": plain(execution.qty),
        "commission": "0",
        "commissionAsset": execution.order.instrument.quote,
        "time": execution.at_ms,
        "isBuyer": execution.order.side == "buy",
        "isMaker": True,
    }


def withdrawal_row(withdrawal: Withdrawal) -> Json:
    return {
        "id": str(withdrawal.id),
        "amount": plain(withdrawal.amount),
        "transactionFee": "0",
        "coin": withdrawal.asset,
        "status": {"pending": 2, "done": 6, "cancelled": 1}[withdrawal.state],
        "address": withdrawal.address,
        "txId": "0xdead" if withdrawal.state == "done" else "",
        "applyTime": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(withdrawal.at_ms / 1000)),
        "network": "ETH",
        "transferType": 0,
    }


def address_row(address: Address) -> Json:
    return {
        "address": address.address,
        "addressTag": "",
        "coin": address.asset,
        "name": address.label,
        "network": "ETH",
        "origin": "",
        "originType": "others",
        "whiteStatus": address.trusted,
    }
