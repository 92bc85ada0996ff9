# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Bybit v5 as a server, one unified account (bybit-exchange.github.io/docs/v5)."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, TypeVar

from .. import signatures
from .dialect import MAIN_UID, SUB_ACCOUNT, SUB_ACCOUNT_UID, Dialect, Incoming, Json, Route, instrument, iso, plain
from .exchange import Execution, Instrument, Key, Order, Refusal
from .treasury import Address, Withdrawal

SPOT_PREFIX = "spot:"  # the lab's own symbols: a pair and a perpetual share a name here
CATEGORIES = ("spot", "linear", "inverse", "option")
SPOT_FILTERS = ("Order", "StopOrder", "tpslOrder", "OcoOrder", "BidirectionalTpslOrder")
FUTURES_PER_CANCEL = 500
EXPIRY_MS = 1_798_185_600_000
THIRTY_DAYS_MS = 30 * 86_400_000
TRADE_WORDS = {"Order", "Position", "SpotTrade", "OptionsTrade"}
NEW_KEY_FIELDS = ("id", "note", "apiKey", "permissions")
T = TypeVar("T", Order, Execution, Withdrawal, Address)

#: reason → (code, message) as the venue's error list has them; the HTTP status stays 200.
ERRORS: dict[str, tuple[int, str]] = {
    "bad_key": (10003, "API key is invalid."),
    "bad_signature": (10004, "error sign! Please check your signature generation algorithm."),
    "bad_ip": (10010, "Unmatched IP, please check your API key's bound IP addresses."),
    "bad_timestamp": (10002, "invalid request, please check your server timestamp or recv_window param."),
    "permission": (10005, "Permission denied, please check your API key permissions."),
    "rate_limit": (10006, "Too many visits. Exceeded the API Rate Limit."),
    "unknown_symbol": (10001, "params error: symbol invalid"),
    "unknown_order": (110001, "order not exists or too late to cancel"),
    "unknown_key": (10001, "apikey not exists"),
    "unknown_withdrawal": (131100, "withdrawal order not exist or its status cannot be cancelled"),
    "bad_request": (10001, "params error"),
    "maintenance": (10016, "Internal server error."),
}


class Bybit(Dialect):
    # Prices far above the tick: a market that walks for hours must not reach the resting orders.
    instruments: ClassVar = (
        instrument("BTCUSDT", "linear", "BTC", "USDT", "90000"),
        instrument("ETHUSDT", "linear", "ETH", "USDT", "3000"),
        instrument("BTCPERP", "linear", "BTC", "USDC", "90000"),
        instrument("BTCUSD", "inverse", "BTC", "USD", "90000", inverse=True),
        instrument("BTC-25DEC26-90000-C-USDT", "option", "BTC", "USDT", "5000"),
        instrument(SPOT_PREFIX + "BTCUSDT", "spot", "BTC", "USDT", "90000", spot=True),
        instrument("SOLUSDT_SOL/USDT", "spread", "SOL", "USDT", "2000"),
    )

    def routes(self) -> Mapping[tuple[str, str], Route]:
        return {
            ("GET", "/v5/market/time"): Route("time", self.time, None),
            ("GET", "/v5/system/status"): Route("status", self.system_status, None),
            ("GET", "/v5/market/recent-trade"): Route("ticker", self.recent_trade, None),
            ("GET", "/v5/market/instruments-info"): Route("instruments", self.instruments_info, None),
            ("GET", "/v5/order/realtime"): Route("open_orders", self.open_orders),
            ("GET", "/v5/spread/order/realtime"): Route("open_orders", self.open_spreads),
            ("POST", "/v5/order/cancel-all"): Route("cancel_all", self.cancel_all, "trade"),
            ("POST", "/v5/spread/order/cancel-all"): Route("cancel_all", self.cancel_spreads, "trade"),
            ("POST", "/v5/order/create"): Route("place", self.place, "trade"),
            ("POST", "/v5/order/cancel"): Route("cancel", self.cancel, "trade"),
            ("GET", "/v5/position/list"): Route("positions", self.positions),
            ("GET", "/v5/account/wallet-balance"): Route("balances", self.wallet),
            ("GET", "/v5/execution/list"): Route("fills", self.executions),
            ("GET", "/v5/user/query-api"): Route("own_key", self.own_key),
            ("GET", "/v5/user/submembers"): Route("keys", self.sub_members, "manage_keys"),
            ("GET", "/v5/user/sub-apikeys"): Route("keys", self.sub_keys, "manage_keys"),
            ("POST", "/v5/user/create-sub-api"): Route("create_key", self.create_sub_key, "manage_keys"),
            ("POST", "/v5/user/delete-sub-api"): Route("delete_key", self.delete_sub_key, "manage_keys"),
            ("GET", "/v5/asset/withdraw/query-record"): Route("withdrawals", self.withdrawals),
            ("POST", "/v5/asset/withdraw/create"): Route("withdraw", self.withdraw, "withdraw"),
            ("POST", "/v5/asset/withdraw/cancel"): Route("cancel_withdrawal", self.cancel_withdrawal, "withdraw"),
            ("GET", "/v5/asset/withdraw/query-address"): Route("addresses", self.addresses, "withdraw"),
        }

    def authenticate(self, request: Incoming) -> Key:
        """HMAC over timestamp, key, window and what was sent; the timestamp within the window of the venue's clock."""
        headers = request.headers
        key = self.known_key(headers.get("x-bapi-api-key"))
        timestamp, window = headers.get("x-bapi-timestamp", ""), headers.get("x-bapi-recv-window", "5000")
        payload = request.query if request.method == "GET" else request.body.decode()
        expected = signatures.bybit(key.secret, timestamp, key.id, window, payload)
        if not hmac.compare_digest(expected, headers.get("x-bapi-sign", "")):
            raise Refusal("bad_signature")
        if not timestamp.isdigit() or not window.isdigit():
            raise Refusal("bad_timestamp")
        if not -1000 < self.exchange.now_ms() - int(timestamp) <= int(window):
            raise Refusal("bad_timestamp")
        return key

    def refuse(self, refusal: Refusal) -> tuple[int, Json]:
        code, message = ERRORS[refusal.reason]
        return 200, self._reply({}, code, message)

    def time(self, _request: Incoming) -> Json:
        now = self.exchange.now_ms()
        return self._reply({"timeSecond": str(now // 1000), "timeNano": str(now * 1_000_000)})

    def system_status(self, _request: Incoming) -> Json:
        now = self.exchange.now_ms()
        event = {"id": "1", "title": "maintenance", "state": "ongoing", "begin": str(now), "end": str(now), "href": ""}
        return self._reply({"list": [event] if self.exchange.maintenance else []})

    def recent_trade(self, request: Incoming) -> Json:
        found = self._instrument(request)
        trade = {
            "execId": "1",
            "symbol": wire(found.symbol),
            "price": plain(self.exchange.prices[found.symbol]),
            "size": "0.01",
            "side": "Buy",
            "time": str(self.exchange.feed_at_ms),
            "isBlockTrade": False,
        }
        return self._reply({"category": found.line, "list": [trade]})

    def instruments_info(self, request: Incoming) -> Json:
        category = self._category(request)
        wanted = [] if request.params.get("status") == "PreLaunch" else self.instruments
        rows = [instrument_row(i) for i in wanted if i.line == category]
        return self._reply({"category": category, "list": rows, "nextPageCursor": ""})

    def open_orders(self, request: Incoming) -> Json:
        """All kinds of orders of a category, newest first; linear must name a symbol or a coin."""
        category = self._category(request)
        if category == "linear" and not {"symbol", "baseCoin", "settleCoin"} & request.params.keys():
            raise Refusal("bad_request")
        kinds = {"Order": (False,), "StopOrder": (True,)}.get(request.text("orderFilter", ""), (False, True))
        orders = [order for order in self._select(category, request) if order.conditional in kinds]
        return self._reply({"category": category, **paged(orders, request, 20, 50, order_row)})

    def open_spreads(self, request: Incoming) -> Json:
        return self._reply(paged(self.exchange.open_orders(lines=("spread",)), request, 20, 50, spread_row))

    def cancel_all(self, request: Incoming) -> Json:
        """Spot: one kind of order per request. Futures: by symbol, base or settle coin, 500 a time. Options: all."""
        category = self._category(request)
        orders = self._select(category, request)
        if category in ("linear", "inverse"):
            if not {"symbol", "baseCoin", "settleCoin"} & request.params.keys():
                raise Refusal("bad_request")
            orders = orders[:FUTURES_PER_CANCEL]
        if category == "spot":
            kind = request.text("orderFilter", "Order")
            if kind not in SPOT_FILTERS:
                raise Refusal("bad_request")
            orders = [order for order in orders if spot_filter(order) == kind]
        return self._canceled(orders)

    def cancel_spreads(self, request: Incoming) -> Json:
        if request.params.get("cancelAll") is not True:
            raise Refusal("bad_request")
        return self._canceled(self.exchange.open_orders(lines=("spread",)))

    def place(self, request: Incoming) -> Json:
        found, side = self._instrument(request), request.text("side")
        if side not in ("Buy", "Sell"):
            raise Refusal("bad_request")
        order = self.exchange.place(
            found.symbol,
            "buy" if side == "Buy" else "sell",
            request.decimal("qty"),
            request.decimal("price"),
            client_id=request.text("orderLinkId", ""),
            conditional="triggerPrice" in request.params,
        )
        return self._reply({"orderId": str(order.id), "orderLinkId": order.client_id})

    def cancel(self, request: Incoming) -> Json:
        order = self.exchange.orders.get(request.integer("orderId"))
        if order is None or order.instrument != self._instrument(request) or not self.exchange.cancel(order):
            raise Refusal("unknown_order")
        return self._reply({"orderId": str(order.id), "orderLinkId": order.client_id})

    def positions(self, request: Incoming) -> Json:
        category = self._category(request)
        if category == "linear" and not {"symbol", "settleCoin"} & request.params.keys():
            raise Refusal("bad_request")
        held = [
            i for i in self._instruments_of(category, request) if not i.spot and self.exchange.holdings[i.symbol].qty
        ]
        return self._reply({"category": category, "list": [self._position_row(i) for i in held], "nextPageCursor": ""})

    def wallet(self, request: Incoming) -> Json:
        if request.text("accountType") != "UNIFIED":
            raise Refusal("bad_request")
        coins = [
            {
                "coin": asset,
                "equity": plain(total),
                "walletBalance": plain(total),
                "locked": "0",
                "spotBorrow": "0",
                "borrowAmount": "0",
                "availableToWithdraw": "",
            }
            for asset, total in self.exchange.balances.items()
        ]
        return self._reply({"list": [{"accountType": "UNIFIED", "totalEquity": "", "coin": coins}]})

    def executions(self, request: Incoming) -> Json:
        category, since = self._category(request), request.integer("startTime", 0)
        found = [
            e
            for e in self.exchange.executions_since(since)
            if e.order.line == category and request.params.get("symbol") in (None, wire(e.order.symbol))
        ]
        return self._reply({"category": category, **paged(found, request, 50, 100, execution_row)})

    # Account ------------------------------------------------------------------------------------------------------

    def own_key(self, _request: Incoming) -> Json:
        key = self.acting_key()
        row = key_row(key)
        return self._reply(
            {
                **row,
                "secret": "",
                "readOnly": int(row["readOnly"]),
                "isMaster": key.main,
                "userID": int(MAIN_UID if key.main else SUB_ACCOUNT_UID),
                "parentUid": "0" if key.main else MAIN_UID,
            }
        )

    def sub_members(self, _request: Incoming) -> Json:
        member = {
            "uid": SUB_ACCOUNT_UID,
            "username": SUB_ACCOUNT,
            "memberType": 1,
            "status": 1,
            "accountMode": 5,
            "remark": "",
        }
        return self._reply({"subMembers": [member], "nextCursor": "0"})

    def sub_keys(self, request: Incoming) -> Json:
        if request.text("subMemberId") != SUB_ACCOUNT_UID:
            raise Refusal("bad_request")
        keys = [key for key in self.exchange.keys.values() if not key.main]
        return self._reply(renamed(paged_by_number(keys, request, 20, 20, key_row), "result"))

    def create_sub_key(self, request: Incoming) -> Json:
        if request.text("subuid") != SUB_ACCOUNT_UID:
            raise Refusal("bad_request")
        groups, read_only = request.params.get("permissions"), request.integer("readOnly")
        if not isinstance(groups, dict) or not any(groups.values()):
            raise Refusal("bad_request")
        words = {word for group in groups.values() for word in group}
        permissions = {"read"}
        if words & TRADE_WORDS and not read_only:
            permissions.add("trade")
        if "Wallet" in groups and not read_only:
            permissions.add("transfer")
        ips = request.text("ips", "*")
        key = self.exchange.new_key(request.text("note", ""), permissions, () if ips == "*" else ips.split(","))
        row = {name: value for name, value in key_row(key).items() if name in NEW_KEY_FIELDS}
        return self._reply({**row, "secret": key.secret, "readOnly": read_only})

    def delete_sub_key(self, request: Incoming) -> Json:
        key = self.exchange.keys.get(request.text("apikey"))
        if key is None or key.main:
            raise Refusal("unknown_key")
        self.exchange.remove_key(key.id)
        return self._reply({})

    def withdrawals(self, request: Incoming) -> Json:
        since, until = request.integer("startTime", 0), request.integer("endTime", 2**62)
        if until - since >= THIRTY_DAYS_MS and "startTime" in request.params:
            raise Refusal("bad_request")
        found = [w for w in self.exchange.treasury.withdrawals(since) if w.at_ms <= until]
        return self._reply(renamed(paged(found, request, 50, 50, withdrawal_row), "rows"))

    def withdraw(self, request: Incoming) -> Json:
        try:
            withdrawal = self.exchange.treasury.withdraw(
                request.text("coin"), request.decimal("amount"), request.text("address"), key=self.exchange.acting
            )
        except ValueError as error:
            raise Refusal("bad_request", str(error)) from None
        return self._reply({"id": str(withdrawal.id)})

    def cancel_withdrawal(self, request: Incoming) -> Json:
        if not self.exchange.cancel_withdrawal(request.integer("id")):
            raise Refusal("unknown_withdrawal")
        return self._reply({"status": 1})

    def addresses(self, request: Incoming) -> Json:
        return self._reply(renamed(paged(self.exchange.treasury.addresses, request, 50, 50, address_row), "rows"))

    def _category(self, request: Incoming) -> str:
        category = request.text("category")
        if category not in CATEGORIES:
            raise Refusal("bad_request")
        return category

    def _instrument(self, request: Incoming) -> Instrument:
        category, symbol = self._category(request), request.text("symbol")
        found = self.exchange.instruments.get(SPOT_PREFIX + symbol if category == "spot" else symbol)
        if found is None or found.line != category:
            raise Refusal("unknown_symbol")
        return found

    def _instruments_of(self, category: str, request: Incoming) -> list[Instrument]:
        """Those of a category that symbol, base coin or settle coin select (the first of them that is there)."""
        wanted = request.params
        found = [i for i in self.instruments if i.line == category]
        if "symbol" in wanted:
            return [i for i in found if wire(i.symbol) == wanted["symbol"]]
        if "baseCoin" in wanted:
            return [i for i in found if i.base == wanted["baseCoin"]]
        if "settleCoin" in wanted:
            return [i for i in found if settle_coin(i) == wanted["settleCoin"]]
        return found

    def _select(self, category: str, request: Incoming) -> list[Order]:
        symbols = {i.symbol for i in self._instruments_of(category, request)}
        return [order for order in self.exchange.open_orders(lines=(category,)) if order.symbol in symbols]

    def _canceled(self, orders: Sequence[Order]) -> Json:
        done = [order for order in orders if self.exchange.cancel(order)]
        return self._reply({"list": [{"orderId": str(o.id), "orderLinkId": o.client_id} for o in done], "success": "1"})

    def _position_row(self, found: Instrument) -> Json:
        holding = self.exchange.holdings[found.symbol]
        return {
            "positionIdx": 0,
            "symbol": found.symbol,
            "side": "Buy" if holding.qty > 0 else "Sell",
            "size": plain(abs(holding.qty)),
            "avgPrice": plain(holding.avg_price),
            "markPrice": plain(self.exchange.prices[found.symbol]),
            "positionValue": plain(abs(holding.qty) * holding.avg_price),
            "unrealisedPnl": plain(self.exchange.unrealized_pnl(found.symbol)),
            "leverage": "10",
            "liqPrice": "",
            "positionStatus": "Normal",
            "updatedTime": str(self.exchange.now_ms()),
        }

    def _reply(self, result: Json, code: int = 0, message: str = "OK") -> Json:
        return {
            "retCode": code,
            "retMsg": message,
            "result": result,
            "retExtInfo": {},
            "time": self.exchange.now_ms(),
        }


def renamed(page: Mapping[str, Json], name: str) -> Json:
    """Some endpoints call their list otherwise."""
    return {name: page["list"], "nextPageCursor": page["nextPageCursor"]}


def paged_by_number(
    keys: Sequence[Key], request: Incoming, default: int, most: int, row: Callable[[Key], Json]
) -> dict[str, Json]:
    """Keys are numbered beside their id."""
    after = request.text("cursor", "")
    limit = request.integer("limit", default)
    if not 1 <= limit <= most:
        raise Refusal("bad_request")
    older = [key for key in reversed(keys) if not after.isdigit() or key.number < int(after)]
    page = older[:limit]
    return {"list": [row(key) for key in page], "nextPageCursor": str(page[-1].number) if len(older) > limit else ""}


def paged(found: Sequence[T], request: Incoming, default: int, most: int, row: Callable[[T], Json]) -> Json:
    """One page, newest first; the cursor names the last row of a page that has another one after it."""
    limit = request.integer("limit", default)
    if not 1 <= limit <= most:
        raise Refusal("bad_request")
    after = request.text("cursor", "").partition(":")[0]
    older = [entry for entry in reversed(found) if not after.isdigit() or entry.id < int(after)]
    page = older[:limit]
    cursor = f"{page[-1].id}%3A{page[0].id}" if len(older) > limit else ""
    return {"list": [row(entry) for entry in page], "nextPageCursor": cursor}


def wire(symbol: str) -> str:
    return symbol.rpartition(":")[2]


def settle_coin(found: Instrument) -> str:
    return found.base if found.line == "inverse" else found.quote


def spot_filter(order: Order) -> str:
    """What kind of spot order it is: the lab has plain ones, stops, and take-profit/stop-loss ones."""
    if not order.conditional:
        return "Order"
    return "StopOrder" if order.id % 2 else "tpslOrder"


def order_row(order: Order) -> Json:
    stop = ""
    if order.conditional:
        stop = {"StopOrder": "Stop", "tpslOrder": "tpslOrder"}[spot_filter(order)] if order.line == "spot" else "Stop"
    return {
        "orderId": str(order.id),
        "orderLinkId": order.client_id,
        "symbol": wire(order.symbol),
        "price": plain(order.price),
        "qty": plain(order.qty),
        "side": order.side.capitalize(),
        "isLeverage": "",
        "positionIdx": 0,
        "orderStatus": "Untriggered" if order.conditional else "New",
        "avgPrice": "",
        "leavesQty": plain(order.remaining),
        "cumExecQty": plain(order.filled),
        "cumExecValue": "0",
        "cumExecFee": "0",
        "timeInForce": "GTC",
        "orderType": "Limit",
        "stopOrderType": stop,
        "triggerPrice": plain(order.price) if order.conditional else "0.00",
        "reduceOnly": False,
        "createdTime": str(order.created_ms),
        "updatedTime": str(order.created_ms),
    }


def spread_row(order: Order) -> Json:
    return {
        "symbol": order.symbol,
        "baseCoin": order.instrument.base,
        "orderType": "Limit",
        "orderLinkId": order.client_id,
        "side": order.side.capitalize(),
        "timeInForce": "GTC",
        "orderId": str(order.id),
        "leavesQty": plain(order.remaining),
        "orderStatus": "New",
        "cumExecQty": plain(order.filled),
        "price": plain(order.price),
        "qty": plain(order.qty),
        "createdTime": str(order.created_ms),
        "updatedTime": str(order.created_ms),
    }


def execution_row(execution: Execution) -> Json:
    order = execution.order
    return {
        "symbol": wire(order.symbol),
        "orderId": str(order.id),
        "orderLinkId": order.client_id,
        "side": order.side.capitalize(),
        "orderPrice": plain(order.price),
        "orderQty": plain(order.qty),
        "orderType": "Limit",
        "execFee": "0",
        "feeCurrency": settle_coin(order.instrument),
        "execId": str(execution.id),
        "execPrice": plain(execution.price),
        "execQty": plain(execution.qty),
        "execValue": plain(execution.price * execution.qty),
        "execType": "Trade",
        "execTime": str(execution.at_ms),
        "isMaker": True,
    }


def instrument_row(found: Instrument) -> Json:
    row: dict[str, Json] = {
        "symbol": wire(found.symbol),
        "status": "Trading",
        "baseCoin": found.base,
        "quoteCoin": found.quote,
        "priceFilter": {"tickSize": plain(found.tick), "minPrice": plain(found.tick), "maxPrice": "1999999.8"},
        "lotSizeFilter": {
            "basePrecision": "0.000001",
            "quotePrecision": "0.00000001",
            "minOrderQty": "0.001",
            "maxOrderQty": "1000",
            "qtyStep": "0.001",
        },
    }
    if found.line == "spot":
        return row
    kinds = {"linear": "LinearPerpetual", "inverse": "InversePerpetual"}
    row |= {"settleCoin": settle_coin(found), "deliveryTime": "0", "launchTime": "1585526400000"}
    if found.line in kinds:
        return {**row, "contractType": kinds[found.line], "leverageFilter": {"minLeverage": "1", "maxLeverage": "100"}}
    return {**row, "optionsType": "Call", "deliveryTime": str(EXPIRY_MS)}


def key_row(key: Key) -> dict[str, Json]:
    trade = "trade" in key.permissions
    wallet: list[str] = []
    if "transfer" in key.permissions or key.main:
        wallet += ["AccountTransfer", "SubMemberTransfer" if key.main else "SubMemberTransferList"]
    if "withdraw" in key.permissions:
        wallet.append("Withdraw")
    return {
        "id": str(key.number),
        "ips": list(key.ips) or ["*"],
        "apiKey": key.id,
        "note": key.label,
        "status": 3,
        "expiredAt": iso(key.created_ms + 90 * 86_400_000),
        "createdAt": iso(key.created_ms),
        "type": 1,
        "permissions": {
            "ContractTrade": ["Order", "Position"] if trade else [],
            "Spot": ["SpotTrade"] if trade else [],
            "Wallet": wallet,
            "Options": ["OptionsTrade"] if trade else [],
            "Derivatives": ["DerivativesTrade"] if trade else [],
            "CopyTrading": [],
            "BlockTrade": [],
            "Exchange": [],
            "NFT": [],
            "Affiliate": [],
            "Earn": [],
        },
        "secret": "******",
        "readOnly": not key.permissions & {"trade", "transfer", "withdraw", "manage_keys"},
        "deadlineDay": 83,
        "flag": "hmac",
    }


def withdrawal_row(withdrawal: Withdrawal) -> Json:
    return {
        "coin": withdrawal.asset,
        "chain": "ETH",
        "amount": plain(withdrawal.amount),
        "txID": "0xdead" if withdrawal.state == "done" else "",
        "status": {"pending": "Pending", "done": "success", "cancelled": "CancelByUser"}[withdrawal.state],
        "toAddress": withdrawal.address,
        "tag": "",
        "withdrawFee": "0",
        "createTime": str(withdrawal.at_ms),
        "updateTime": str(withdrawal.at_ms),
        "withdrawId": str(withdrawal.id),
        "withdrawType": 0,
    }


def address_row(address: Address) -> Json:
    return {
        "coin": address.asset,
        "chain": "ETH",
        "address": address.address,
        "tag": "",
        "remark": address.label,
        "status": 0,
        "addressType": 0,
        "verified": int(address.trusted),
        "createdAt": str(address.added_ms // 1000),
    }
