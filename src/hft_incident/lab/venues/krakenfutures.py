# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Kraken Futures as a server (docs.kraken.com/api: Futures REST, /derivatives/api/v3)."""

from __future__ import annotations

import base64
import hmac
import secrets
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar

from .. import signatures
from .dialect import Dialect, Incoming, Json, Route, instrument
from .exchange import Execution, Instrument, Key, Order, Refusal, Side

API, KEY_CHECK = "/derivatives/api/v3", "/api/auth/v1/api-keys/v3/check"
FILLS_PER_PAGE = 100
PLAIN_TYPES, CONDITIONAL_TYPES = ("lmt", "post"), ("stp", "take_profit")
SIDES: dict[str, Side] = {"buy": "buy", "sell": "sell"}

#: reason → the venue's error; the HTTP status is 200 all the same.
ERRORS = {
    "bad_key": "authenticationError",
    "bad_signature": "authenticationError",
    "bad_nonce": "nonceBelowThreshold",
    "bad_ip": "authenticationError",
    "permission": "authenticationError",
    "rate_limit": "apiLimitExceeded",
    "unknown_symbol": "contractNotFound",
    "unknown_order": "notFound",
    "bad_request": "requiredArgumentMissing",
    "maintenance": "Unavailable",
}


class KrakenFutures(Dialect):
    #: Perpetual and dated, each linear (PF, FF) and inverse (PI, FI).
    instruments: ClassVar = (
        instrument("PF_XBTUSD", "PF", "XBT", "USD", "90000"),
        instrument("PF_ETHUSD", "PF", "ETH", "USD", "3000"),
        instrument("PI_XBTUSD", "PI", "XBT", "USD", "90000", inverse=True),
        instrument("FF_XBTUSD_270326", "FF", "XBT", "USD", "91000"),
        instrument("FI_XBTUSD_270326", "FI", "XBT", "USD", "91000", inverse=True),
    )

    def routes(self) -> Mapping[tuple[str, str], Route]:
        return {
            ("GET", f"{API}/instruments"): Route("instruments", self.list_instruments, None),
            ("GET", f"{API}/tickers"): Route("ticker", self.tickers, None),
            ("GET", f"{API}/tickers/*"): Route("ticker", self.ticker, None),
            ("GET", f"{API}/openorders"): Route("open_orders", self.open_orders),
            ("POST", f"{API}/cancelallorders"): Route("cancel_all", self.cancel_all, "trade"),
            ("POST", f"{API}/sendorder"): Route("place", self.send_order, "trade"),
            ("POST", f"{API}/cancelorder"): Route("cancel", self.cancel_order, "trade"),
            ("GET", f"{API}/openpositions"): Route("positions", self.open_positions),
            ("GET", f"{API}/accounts"): Route("balances", self.accounts),
            ("GET", f"{API}/fills"): Route("fills", self.fills),
            ("GET", KEY_CHECK): Route("own_key", self.check_key),
        }

    def authenticate(self, request: Incoming) -> Key:
        """HMAC over the parameters, the nonce where one is sent, and the path without /derivatives."""
        key = self.known_key(request.headers.get("apikey"))
        nonce = request.headers.get("nonce", "")
        sent = request.query + request.body.decode(errors="replace")
        expected = signatures.krakenfutures(key.secret, sent, nonce, request.path.removeprefix("/derivatives"))
        if not hmac.compare_digest(expected, request.headers.get("authent", "")):
            raise Refusal("bad_signature")
        if nonce:
            if not nonce.isdigit() or int(nonce) <= key.last_nonce:
                raise Refusal("bad_nonce")
            key.last_nonce = int(nonce)
        return key

    def refuse(self, refusal: Refusal) -> tuple[int, Json]:
        return 200, {"result": "error", "error": ERRORS[refusal.reason], "serverTime": self.server_time()}

    def success(self, **members: Json) -> Json:
        return {"result": "success", **members, "serverTime": self.server_time()}

    def server_time(self) -> str:
        return iso(self.exchange.now_ms())

    def new_secret(self) -> str:
        return base64.b64encode(secrets.token_bytes(64)).decode()  # they sign with the decoded bytes

    def check_key(self, _request: Incoming) -> Json:
        """This service has no envelope."""
        key = self.acting_key()
        level = "FULL_ACCESS" if "trade" in key.permissions else "READ_ONLY"
        blocks = [f"{ip}/32" for ip in key.ips]
        return {
            "apiKey": key.id,
            "accountUid": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
            "iiban": "AA08 N84G CPAR UN7A",
            "createdAt": iso(key.created_ms),
            "permissions": {
                "general": level,
                "transfer": "FULL_ACCESS" if "transfer" in key.permissions else "NO_ACCESS",
            },
            "allowedCidrBlock": blocks[0] if blocks else None,
            "allowedCidrBlocks": blocks,
        }

    # Public -------------------------------------------------------------------------------------------------------

    def list_instruments(self, _request: Incoming) -> Json:
        return self.success(instruments=[instrument_row(i) for i in self.instruments])

    def tickers(self, _request: Incoming) -> Json:
        return self.success(tickers=[self.ticker_row(symbol) for symbol in self.exchange.instruments])

    def ticker(self, request: Incoming) -> Json:
        symbol = request.path.rpartition("/")[2].upper()
        if symbol not in self.exchange.instruments:
            raise Refusal("unknown_symbol", symbol)
        return self.success(ticker=self.ticker_row(symbol))

    def ticker_row(self, symbol: str) -> Json:
        last, tick = self.exchange.prices[symbol], self.exchange.instruments[symbol].tick
        return {
            "symbol": symbol,
            "last": number(last),
            "lastTime": iso(self.exchange.feed_at_ms),
            "lastSize": 0.01,
            "tag": "perpetual" if symbol.startswith("P") else "month",
            "pair": "XBT:USD" if "XBT" in symbol else "ETH:USD",
            "markPrice": number(last),
            "indexPrice": number(last),
            "bid": number(last - tick),
            "bidSize": 1,
            "ask": number(last + tick),
            "askSize": 1,
            "vol24h": 1000,
            "openInterest": 1000,
            "open24h": number(last),
            "suspended": self.exchange.maintenance,
            "postOnly": False,
        }

    # Orders -------------------------------------------------------------------------------------------------------

    def open_orders(self, _request: Incoming) -> Json:
        """Trigger orders too; there are no pages."""
        return self.success(openOrders=[order_row(order) for order in self.exchange.open_orders()])

    def cancel_all(self, request: Incoming) -> Json:
        symbol = request.text("symbol", "").upper() or None
        cancelled = self.exchange.cancel_all(symbol=symbol)
        status = {
            "receivedTime": self.server_time(),
            "cancelOnly": symbol or "all",
            "status": "cancelled" if cancelled else "noOrdersToCancel",
            "cancelledOrders": [{"order_id": order_id(order), "cliOrdId": client_id(order)} for order in cancelled],
            "orderEvents": [event(order, "CANCEL") for order in cancelled],
        }
        return self.success(cancelStatus=status)

    def send_order(self, request: Incoming) -> Json:
        """What is wrong with an order is told in ``status``; the call as such succeeds."""
        kind, side = request.text("orderType"), request.text("side")
        if kind not in PLAIN_TYPES + CONDITIONAL_TYPES:
            return self.success(sendStatus={"status": "invalidOrderType", "receivedTime": self.server_time()})
        if side not in SIDES:
            return self.success(sendStatus={"status": "invalidSide", "receivedTime": self.server_time()})
        conditional = kind in CONDITIONAL_TYPES
        order = self.exchange.place(
            request.text("symbol").upper(),
            SIDES[side],
            request.decimal("size"),
            request.decimal("stopPrice" if conditional else "limitPrice"),
            client_id=request.text("cliOrdId", ""),
            conditional=conditional,
        )
        status = {
            "order_id": order_id(order),
            "status": "placed",
            "receivedTime": iso(order.created_ms),
            "orderEvents": [{**event(order, "PLACE"), "reducedQuantity": None}],
        }
        return self.success(sendStatus=status)

    def cancel_order(self, request: Incoming) -> Json:
        order = self.exchange.orders.get(order_number(request.text("order_id")))
        found = self.exchange.cancel(order)
        gone = "filled" if order is not None and order.state == "filled" else "notFound"
        status = {
            "status": "cancelled" if found else gone,
            "order_id": request.text("order_id"),
            "receivedTime": self.server_time(),
            "orderEvents": [event(order, "CANCEL")] if found and order is not None else [],
        }
        return self.success(cancelStatus=status)

    # Account ------------------------------------------------------------------------------------------------------

    def open_positions(self, _request: Incoming) -> Json:
        return self.success(
            openPositions=[
                {
                    "side": "long" if holding.qty > 0 else "short",
                    "symbol": symbol,
                    "price": number(holding.avg_price),
                    "fillTime": self.server_time(),
                    "size": number(abs(holding.qty)),
                    "unrealizedFunding": 0.0,
                    "unrealizedPnl": number(self.exchange.unrealized_pnl(symbol)),
                    # Told of the multi-collateral ones only.
                    **({} if self.exchange.instruments[symbol].inverse else {"pnlCurrency": "USD"}),
                }
                for symbol, holding in self.exchange.holdings.items()
                if holding.qty
            ]
        )

    def accounts(self, _request: Incoming) -> Json:
        """What there is lies in the shared wallet; the cash wallet and the inverse market's own are empty."""
        currencies = {
            asset: {"quantity": number(qty), "value": number(qty), "collateral": number(qty), "available": number(qty)}
            for asset, qty in self.exchange.balances.items()
        }
        accounts = {
            "cash": {"type": "cashAccount", "balances": {asset.lower(): "0.0" for asset in self.exchange.balances}},
            "fi_xbtusd": {
                "type": "marginAccount",
                "currency": "xbt",
                "balances": {"xbt": 0.0},
                "auxiliary": {"usd": 0, "pv": 0.0, "pnl": 0.0, "af": 0.0, "funding": 0.0},
                "marginRequirements": {"im": 0.0, "mm": 0.0, "lt": 0.0, "tt": 0.0},
                "triggerEstimates": {"im": 0.0, "mm": 0.0, "lt": 0.0, "tt": 0.0},
            },
            "flex": {"type": "multiCollateralMarginAccount", "currencies": currencies, "initialMargin": 0.0},
        }
        return self.success(accounts=accounts)

    def fills(self, request: Incoming) -> Json:
        """Newest first, a hundred: the latest ones, or those before ``lastFillTime``."""
        before = milliseconds(request.text("lastFillTime")) if "lastFillTime" in request.params else None
        found = [e for e in reversed(self.exchange.executions_since(0)) if before is None or e.at_ms < before]
        return self.success(fills=[fill_row(execution) for execution in found[:FILLS_PER_PAGE]])


def number(amount: Decimal) -> int | float:
    """This venue writes JSON numbers; a float's shortest form has the digits that the decimal has."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def iso(ms: int) -> str:
    moment = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def milliseconds(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal("bad_request", "lastFillTime is not a time") from None
    return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)


def order_id(order: Order) -> str:
    return str(uuid.UUID(int=order.id))


def order_number(text: str) -> int:
    try:
        return uuid.UUID(text).int
    except ValueError:
        return 0  # no such order


def client_id(order: Order) -> str | None:
    return order.client_id or None


def instrument_row(traded: Instrument) -> Json:
    inverse = traded.line in ("PI", "FI")
    return {
        "symbol": traded.symbol,
        "type": "futures_inverse" if inverse else "flexible_futures",
        "tradeable": True,
        "base": traded.base,
        "quote": traded.quote,
        "underlying": "rr_xbtusd" if traded.base == "XBT" else "rr_ethusd",
        **({"lastTradingTime": "2027-03-26T15:00:00.000Z"} if traded.line in ("FF", "FI") else {}),
        "tickSize": number(traded.tick),
        "contractSize": 1,
        "contractValueTradePrecision": 0 if inverse else 4,
        "impactMidSize": 1,
        "maxPositionSize": 1000000,
        "openingDate": "2022-01-01T00:00:00.000Z",
        "marginLevels": [{"contracts": 0, "initialMargin": 0.02, "maintenanceMargin": 0.01}],
        "postOnly": False,
        "tags": [],
    }


def order_row(order: Order) -> Json:
    price = {"stopPrice": number(order.price), "triggerSignal": "mark"} if order.conditional else {}
    return {
        "order_id": order_id(order),
        **({"cliOrdId": order.client_id} if order.client_id else {}),
        "symbol": order.symbol,
        "side": order.side,
        "orderType": "stop" if order.conditional else "lmt",
        **(price or {"limitPrice": number(order.price)}),
        "unfilledSize": number(order.remaining),
        "receivedTime": iso(order.created_ms),
        "status": "partiallyFilled" if order.filled else "untouched",
        "filledSize": number(order.filled),
        "reduceOnly": False,
        "lastUpdateTime": iso(order.created_ms),
    }


def event(order: Order, kind: str) -> Json:
    details = {
        "orderId": order_id(order),
        "cliOrdId": client_id(order),
        "type": "stop" if order.conditional else "lmt",
        "symbol": order.symbol,
        "side": order.side,
        "quantity": number(order.qty),
        "filled": number(order.filled),
        "limitPrice": number(order.price),
        "reduceOnly": False,
        "timestamp": iso(order.created_ms),
        "lastUpdateTimestamp": iso(order.created_ms),
    }
    return {"type": kind, "uid": order_id(order), "order": details}


def fill_row(execution: Execution) -> Json:
    return {
        "fill_id": str(uuid.UUID(int=execution.id)),
        "symbol": execution.order.symbol,
        "side": execution.order.side,
        "order_id": order_id(execution.order),
        "cliOrdId": client_id(execution.order),
        "size": number(execution.qty),
        "price": number(execution.price),
        "fillTime": iso(execution.at_ms),
        "fillType": "maker",
    }
