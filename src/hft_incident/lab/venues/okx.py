# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""OKX v5 as a server, one account in net position mode (okx.com/docs-v5/en)."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, TypeVar

from .. import signatures
from .dialect import MAIN_UID, SUB_ACCOUNT, SUB_ACCOUNT_UID, Dialect, Incoming, Json, Route, instrument, plain
from .exchange import Execution, Instrument, Key, Order, Refusal
from .treasury import Withdrawal

MARGIN_PREFIX = "MARGIN:"  # the lab's own symbols: spot and margin orders share a name here
ALGO_KINDS = ("conditional", "oco", "trigger", "move_order_stop", "iceberg", "twap", "chase", "smart_iceberg")
ORDERS_PER_BATCH, ALGOS_PER_BATCH, PAGE = 20, 10, 100
TIMESTAMP_WINDOW_MS = 30_000
FOUNDED_MS = 1_597_026_383_085
EXPIRY_MS = 1_798_185_600_000
T = TypeVar("T", Order, Execution)
SPECIAL = set("!@#$%^&*()_+-=")

#: reason → (HTTP status, code, message) as the venue's error list has them.
ERRORS: dict[str, tuple[int, str, str]] = {
    "bad_key": (401, "50111", "Invalid OK-ACCESS-KEY"),
    "bad_signature": (401, "50113", "Invalid Sign"),
    "bad_timestamp": (401, "50102", "Timestamp request expired"),
    "bad_passphrase": (401, "50105", 'Request header "OK-ACCESS-PASSPHRASE" incorrect'),
    "bad_ip": (401, "50110", "Your IP is not included in your API key's IP whitelist"),
    "permission": (401, "50120", "This API key doesn't have permission to use this function"),
    "rate_limit": (429, "50011", "Requests too frequent."),
    "unknown_symbol": (200, "51001", "Instrument ID does not exist"),
    "unknown_order": (200, "51603", "Order does not exist"),
    "unknown_key": (200, "59610", "API key does not exist"),
    "unknown_withdrawal": (200, "58215", "Withdrawal order does not exist or cannot be cancelled"),
    "bad_request": (400, "51000", "Parameter error"),
    "maintenance": (503, "50001", "Service temporarily unavailable. Try again later."),
}
NOT_OPEN = ("51400", "Cancellation failed as the order has been filled, canceled or does not exist.")


class Okx(Dialect):
    # Prices far above the tick: a market that walks for hours must not reach the resting orders.
    instruments: ClassVar = (
        instrument("BTC-USDT", "SPOT", "BTC", "USDT", "90000", spot=True),
        instrument("ETH-USDT", "SPOT", "ETH", "USDT", "3000", spot=True),
        instrument(MARGIN_PREFIX + "ETH-USDT", "MARGIN", "ETH", "USDT", "3000", spot=True),
        instrument("BTC-USDT-SWAP", "SWAP", "BTC", "USDT", "90000"),
        instrument("BTC-USDT-261225", "FUTURES", "BTC", "USDT", "91000"),
        instrument("BTC-USD-261225-90000-C", "OPTION", "BTC", "USD", "5000"),
        instrument("BTC-USDT_BTC-USDT-SWAP", "spread", "BTC", "USDT", "2000"),
    )

    def routes(self) -> Mapping[tuple[str, str], Route]:
        return {
            ("GET", "/api/v5/public/time"): Route("time", self.time, None),
            ("GET", "/api/v5/system/status"): Route("status", self.system_status, None),
            ("GET", "/api/v5/market/ticker"): Route("ticker", self.ticker, None),
            ("GET", "/api/v5/public/instruments"): Route("instruments", self.instrument_list, None),
            ("GET", "/api/v5/trade/orders-pending"): Route("open_orders", self.open_orders),
            ("GET", "/api/v5/trade/orders-algo-pending"): Route("open_orders", self.open_algos),
            ("GET", "/api/v5/sprd/orders-pending"): Route("open_orders", self.open_spreads),
            ("POST", "/api/v5/trade/cancel-batch-orders"): Route("cancel_all", self.cancel_batch, "trade"),
            ("POST", "/api/v5/trade/cancel-algos"): Route("cancel_all", self.cancel_algos, "trade"),
            ("POST", "/api/v5/sprd/mass-cancel"): Route("cancel_all", self.cancel_spreads, "trade"),
            ("POST", "/api/v5/trade/order"): Route("place", self.place, "trade"),
            ("POST", "/api/v5/trade/batch-orders"): Route("place", self.place_batch, "trade"),
            ("POST", "/api/v5/trade/cancel-order"): Route("cancel", self.cancel, "trade"),
            ("GET", "/api/v5/account/positions"): Route("positions", self.positions),
            ("GET", "/api/v5/account/balance"): Route("balances", self.balance),
            ("GET", "/api/v5/trade/fills"): Route("fills", self.fills),
            ("GET", "/api/v5/trade/fills-history"): Route("fills", self.fills),
            ("GET", "/api/v5/account/config"): Route("own_key", self.config),
            ("GET", "/api/v5/users/subaccount/list"): Route("keys", self.sub_accounts, "manage_keys"),
            ("GET", "/api/v5/users/subaccount/apikey"): Route("keys", self.sub_keys, "manage_keys"),
            ("POST", "/api/v5/users/subaccount/apikey"): Route("create_key", self.create_sub_key, "manage_keys"),
            ("POST", "/api/v5/users/subaccount/delete-apikey"): Route("delete_key", self.delete_sub_key, "manage_keys"),
            ("GET", "/api/v5/asset/withdrawal-history"): Route("withdrawals", self.withdrawals),
            ("POST", "/api/v5/asset/withdrawal"): Route("withdraw", self.withdraw, "withdraw"),
            ("POST", "/api/v5/asset/cancel-withdrawal"): Route("cancel_withdrawal", self.cancel_withdrawal, "withdraw"),
        }

    def authenticate(self, request: Incoming) -> Key:
        """HMAC over timestamp, method, path with query, and body; passphrase; a timestamp of the last 30 seconds."""
        headers = request.headers
        key = self.known_key(headers.get("ok-access-key"))
        timestamp = headers.get("ok-access-timestamp", "")
        expected = signatures.okx(key.secret, timestamp, request.method, request.target, request.body.decode())
        if not hmac.compare_digest(expected, headers.get("ok-access-sign", "")):
            raise Refusal("bad_signature")
        if not hmac.compare_digest(key.passphrase, headers.get("ok-access-passphrase", "")):
            raise Refusal("bad_passphrase")
        try:
            at_ms = datetime.fromisoformat(timestamp).timestamp() * 1000
        except ValueError:
            raise Refusal("bad_timestamp") from None
        if abs(self.exchange.now_ms() - at_ms) > TIMESTAMP_WINDOW_MS:
            raise Refusal("bad_timestamp")
        return key

    def refuse(self, refusal: Refusal) -> tuple[int, Json]:
        status, code, message = ERRORS[refusal.reason]
        detail = str(refusal)
        if refusal.reason == "bad_request" and detail != refusal.reason and detail.isidentifier():
            message = f"Parameter {detail} error"
        return status, {"code": code, "data": [], "msg": message}

    def time(self, _request: Incoming) -> Json:
        return reply([{"ts": str(self.exchange.now_ms())}])

    def system_status(self, _request: Incoming) -> Json:
        now = str(self.exchange.now_ms())
        event = {"title": "maintenance", "state": "ongoing", "begin": now, "end": now, "href": "", "serviceType": "1"}
        return reply([event] if self.exchange.maintenance else [])

    def ticker(self, request: Incoming) -> Json:
        found = self._instrument(request.text("instId"), "cash")
        last = plain(self.exchange.prices[found.symbol])
        return reply(
            [{"instType": found.line, "instId": found.symbol, "last": last, "ts": str(self.exchange.feed_at_ms)}]
        )

    def instrument_list(self, request: Incoming) -> Json:
        kind = request.text("instType")
        return reply(
            [
                instrument_row(i)
                for i in self.instruments
                if i.line == kind and request.params.get("uly") in (None, f"{i.base}-{i.quote}")
            ]
        )

    def open_orders(self, request: Incoming) -> Json:
        """Orders of every instrument type but no algo orders and no spreads, newest first, 100 a page."""
        orders = [
            order
            for order in self.exchange.open_orders(conditional=False)
            if order.line != "spread"
            and request.params.get("instType") in (None, order.line)
            and request.params.get("instId") in (None, wire(order.symbol))
        ]
        return reply(paged(orders, request, order_row))

    def open_algos(self, request: Incoming) -> Json:
        """One kind of algo order (conditional and oco may be asked for together)."""
        kinds = request.text("ordType")
        if kinds not in (*ALGO_KINDS, "conditional,oco", "oco,conditional"):
            raise Refusal("bad_request", "ordType")
        orders = [
            order
            for order in self.exchange.open_orders(conditional=True)
            if order.line != "spread"
            and algo_kind(order) in kinds.split(",")
            and request.params.get("instType") in (None, order.line)
            and request.params.get("instId") in (None, wire(order.symbol))
        ]
        return reply(paged(orders, request, algo_row))

    def open_spreads(self, request: Incoming) -> Json:
        orders = self.exchange.open_orders(lines=("spread",))
        return reply(paged(orders, request, spread_row, older_than="endId"))

    def cancel_batch(self, request: Incoming) -> Json:
        return self._cancel_each(request, "ordId", ORDERS_PER_BATCH, conditional=False)

    def cancel_algos(self, request: Incoming) -> Json:
        return self._cancel_each(request, "algoId", ALGOS_PER_BATCH, conditional=True)

    def cancel_spreads(self, request: Incoming) -> Json:
        self.exchange.cancel_all(lines=("spread",), symbol=request.params.get("sprdId") or None)
        return reply([{"result": True}])

    def cancel(self, request: Incoming) -> Json:
        verdict = self._cancel_one(request.json(), "ordId", conditional=False)
        return reply([verdict], code="0" if verdict["sCode"] == "0" else "1")

    def place(self, request: Incoming) -> Json:
        return reply([self._place_one(request.json())])

    def place_batch(self, request: Incoming) -> Json:
        entries = request.json()
        if not isinstance(entries, list) or not 1 <= len(entries) <= ORDERS_PER_BATCH:
            raise Refusal("bad_request")
        return reply([self._place_one(entry) for entry in entries])

    def positions(self, request: Incoming) -> Json:
        held = [i for i in self.instruments if i.line in ("SWAP", "FUTURES", "OPTION")]
        return reply(
            [
                self._position_row(i)
                for i in held
                if self.exchange.holdings[i.symbol].qty and request.params.get("instType") in (None, i.line)
            ]
        )

    def balance(self, _request: Incoming) -> Json:
        now = str(self.exchange.now_ms())
        details = [
            {
                "ccy": asset,
                "eq": plain(total),
                "cashBal": plain(total),
                "availBal": plain(total),
                "availEq": plain(total),
                "frozenBal": "0",
                "ordFrozen": "0",
                "upl": "0",
                "uTime": now,
            }
            for asset, total in self.exchange.balances.items()
        ]
        return reply([{"uTime": now, "totalEq": "", "details": details}])

    def fills(self, request: Incoming) -> Json:
        found = [
            e
            for e in self.exchange.executions_since(request.integer("begin", 0))
            if e.order.line != "spread"
            and request.params.get("instType") in (None, e.order.line)
            and request.params.get("instId") in (None, wire(e.order.symbol))
        ]
        return reply(paged(found, request, fill_row))

    def new_passphrase(self) -> str:
        return secrets.token_hex(12) + "aA1!"

    # Account ------------------------------------------------------------------------------------------------------

    def config(self, _request: Incoming) -> Json:
        key = self.acting_key()
        return reply(
            [
                {
                    "uid": MAIN_UID if key.main else SUB_ACCOUNT_UID,
                    "mainUid": MAIN_UID,
                    "acctLv": "3",
                    "posMode": "net_mode",
                    "type": "0" if key.main else "1",
                    "label": key.label,
                    "perm": permission_words(key),
                    "ip": ",".join(key.ips),
                }
            ]
        )

    def sub_accounts(self, request: Incoming) -> Json:
        row = {
            "type": "1",
            "enable": True,
            "subAcct": SUB_ACCOUNT,
            "uid": SUB_ACCOUNT_UID,
            "label": "",
            "mobile": "",
            "gAuth": False,
            "frozenFunc": [],
            "canTransOut": False,
            "ts": str(FOUNDED_MS),
        }
        return reply([row] if request.integer("after", FOUNDED_MS + 1) > FOUNDED_MS else [])

    def sub_keys(self, request: Incoming) -> Json:
        self._sub_account(request)
        return reply([key_row(key) for key in self.exchange.keys.values() if not key.main])

    def create_sub_key(self, request: Incoming) -> Json:
        """Only for a key that is bound to addresses itself."""
        if not self.acting_key().ips:
            raise Refusal("permission")
        self._sub_account(request)
        label, passphrase = request.text("label"), request.text("passphrase")
        words = request.text("perm", "read_only").split(",")
        if not set(words) <= {"read_only", "trade"}:
            raise Refusal("bad_request", "perm")
        kinds = (str.islower, str.isupper, str.isdigit, SPECIAL.__contains__)
        if not 8 <= len(passphrase) <= 32 or not all(any(map(kind, passphrase)) for kind in kinds):
            raise Refusal("bad_request", "passphrase")
        ips = request.text("ip", "")
        permissions = {"read", *(word for word in words if word == "trade")}
        key = self.exchange.new_key(label, permissions, ips.split(",") if ips else (), passphrase=passphrase)
        return reply([{**key_row(key), "subAcct": SUB_ACCOUNT, "secretKey": key.secret, "passphrase": passphrase}])

    def delete_sub_key(self, request: Incoming) -> Json:
        self._sub_account(request)
        key = self.exchange.keys.get(request.text("apiKey"))
        if key is None or key.main:
            raise Refusal("unknown_key")
        self.exchange.remove_key(key.id)
        return reply([{"subAcct": SUB_ACCOUNT}])

    def withdrawals(self, request: Incoming) -> Json:
        before = request.integer("after", 2**62)
        found = [w for w in self.exchange.treasury.withdrawals() if w.at_ms < before]
        return reply([withdrawal_row(w) for w in reversed(found)][: request.integer("limit", PAGE)])

    def withdraw(self, request: Incoming) -> Json:
        try:
            withdrawal = self.exchange.treasury.withdraw(
                request.text("ccy"), request.decimal("amt"), request.text("toAddr"), key=self.exchange.acting
            )
        except ValueError as error:
            raise Refusal("bad_request", str(error)) from None
        return reply([{"amt": plain(withdrawal.amount), "wdId": str(withdrawal.id), "ccy": withdrawal.asset}])

    def cancel_withdrawal(self, request: Incoming) -> Json:
        if not self.exchange.cancel_withdrawal(request.integer("wdId")):
            raise Refusal("unknown_withdrawal")
        return reply([{"wdId": request.text("wdId")}])

    def _sub_account(self, request: Incoming) -> None:
        if request.text("subAcct") != SUB_ACCOUNT:
            raise Refusal("bad_request", "subAcct")

    def _instrument(self, inst_id: str, mode: str) -> Instrument:
        """A pair is traded on margin where the order's trade mode is not "cash"."""
        margin = self.exchange.instruments.get(MARGIN_PREFIX + inst_id)
        found = margin if margin and mode != "cash" else self.exchange.instruments.get(inst_id)
        if found is None or found.line == "spread":
            raise Refusal("unknown_symbol")
        return found

    def _place_one(self, entry: Mapping[str, Json]) -> Json:
        side = entry.get("side")
        if side not in ("buy", "sell"):
            raise Refusal("bad_request", "side")
        order = self.exchange.place(
            self._instrument(str(entry.get("instId")), str(entry.get("tdMode"))).symbol,
            "buy" if side == "buy" else "sell",
            number(entry, "sz"),
            number(entry, "px"),
            client_id=str(entry.get("clOrdId", "")),
        )
        return {"ordId": str(order.id), "clOrdId": order.client_id, "tag": "", "sCode": "0", "sMsg": ""}

    def _cancel_each(self, request: Incoming, id_name: str, most: int, *, conditional: bool) -> Json:
        """A verdict per id; the top says 0 where all went well, 1 where nothing did, 2 in between."""
        entries = request.json()
        if not isinstance(entries, list) or not 1 <= len(entries) <= most:
            raise Refusal("bad_request", id_name)
        verdicts = [self._cancel_one(entry, id_name, conditional=conditional) for entry in entries]
        failed = sum(verdict["sCode"] != "0" for verdict in verdicts)
        return reply(verdicts, code="0" if not failed else "1" if failed == len(verdicts) else "2")

    def _cancel_one(self, entry: Mapping[str, Json], id_name: str, *, conditional: bool) -> dict[str, str]:
        id_text = str(entry.get(id_name, ""))
        order = self.exchange.orders.get(int(id_text)) if id_text.isdigit() else None
        fits = (
            order is not None
            and order.conditional == conditional
            and order.line != "spread"
            and wire(order.symbol) == entry.get("instId")
        )
        code, message = ("0", "") if fits and self.exchange.cancel(order) else NOT_OPEN
        return {id_name: id_text, "sCode": code, "sMsg": message}

    def _position_row(self, found: Instrument) -> Json:
        holding = self.exchange.holdings[found.symbol]
        return {
            "instType": found.line,
            "instId": found.symbol,
            "posSide": "net",
            "pos": plain(holding.qty),
            "posCcy": "",
            "avgPx": plain(holding.avg_price),
            "markPx": plain(self.exchange.prices[found.symbol]),
            "upl": plain(self.exchange.unrealized_pnl(found.symbol)),
            "notionalUsd": plain(abs(holding.qty) * self.exchange.prices[found.symbol]),
            "lever": "10",
            "mgnMode": "cross",
            "liab": "",
            "ccy": found.quote,
            "cTime": str(self.exchange.now_ms()),
            "uTime": str(self.exchange.now_ms()),
        }


def reply(rows: Sequence[Json], *, code: str = "0") -> Json:
    return {"code": code, "data": list(rows), "msg": "" if code == "0" else "All operations failed" * (code == "1")}


def paged(found: Sequence[T], request: Incoming, row: Callable[[T], Json], *, older_than: str = "after") -> list[Json]:
    """At most 100 rows, newest first, older than the id that ``older_than`` names."""
    limit = request.integer("limit", PAGE)
    if not 1 <= limit <= PAGE:
        raise Refusal("bad_request", "limit")
    before = request.integer(older_than, 0)
    return [row(entry) for entry in reversed(found) if not before or entry.id < before][:limit]


def number(entry: Mapping[str, Json], name: str) -> Decimal:
    try:
        return Decimal(str(entry[name]))
    except (KeyError, ArithmeticError):
        raise Refusal("bad_request", name) from None


def wire(symbol: str) -> str:
    return symbol.rpartition(":")[2]


def algo_kind(order: Order) -> str:
    """The lab's algo orders are of every kind in turn."""
    return ALGO_KINDS[order.id % len(ALGO_KINDS)]


def order_row(order: Order) -> Json:
    return {
        "instType": order.line,
        "instId": wire(order.symbol),
        "ordId": str(order.id),
        "clOrdId": order.client_id,
        "tag": "",
        "px": plain(order.price),
        "sz": plain(order.qty),
        "accFillSz": plain(order.filled),
        "fillPx": "",
        "fillSz": "0",
        "avgPx": "",
        "ordType": "limit",
        "side": order.side,
        "posSide": "net",
        "tdMode": "cash" if order.line == "SPOT" else "cross",
        "state": "live",
        "fee": "0",
        "feeCcy": "",
        "cTime": str(order.created_ms),
        "uTime": str(order.created_ms),
    }


def algo_row(order: Order) -> Json:
    return {
        "instType": order.line,
        "instId": wire(order.symbol),
        "algoId": str(order.id),
        "algoClOrdId": order.client_id,
        "ordId": "",
        "ordType": algo_kind(order),
        "ordPx": plain(order.price),
        "triggerPx": plain(order.price),
        "sz": plain(order.qty),
        "side": order.side,
        "posSide": "net",
        "tdMode": "cash" if order.line == "SPOT" else "cross",
        "state": "live",
        "cTime": str(order.created_ms),
        "uTime": str(order.created_ms),
    }


def spread_row(order: Order) -> Json:
    return {
        "sprdId": order.symbol,
        "ordId": str(order.id),
        "clOrdId": order.client_id,
        "tag": "",
        "px": plain(order.price),
        "sz": plain(order.qty),
        "ordType": "limit",
        "side": order.side,
        "accFillSz": plain(order.filled),
        "pendingFillSz": plain(order.remaining),
        "pendingSettleSz": "0",
        "canceledSz": "0",
        "state": "live",
        "cTime": str(order.created_ms),
        "uTime": str(order.created_ms),
    }


def fill_row(execution: Execution) -> Json:
    order = execution.order
    return {
        "instType": order.line,
        "instId": wire(order.symbol),
        "tradeId": str(execution.id),
        "billId": str(execution.id),
        "ordId": str(order.id),
        "clOrdId": order.client_id,
        "side": order.side,
        "posSide": "net",
        "fillPx": plain(execution.price),
        "fillSz": plain(execution.qty),
        "fee": "0",
        "feeCcy": order.instrument.quote,
        "execType": "M",
        "ts": str(execution.at_ms),
    }


def instrument_row(found: Instrument) -> Json:
    spot = found.line == "SPOT"
    return {
        "instType": found.line,
        "instId": found.symbol,
        "uly": "" if spot else f"{found.base}-{found.quote}",
        "baseCcy": found.base if spot else "",
        "quoteCcy": found.quote if spot else "",
        "settleCcy": "" if spot else (found.base if found.quote == "USD" else found.quote),
        "ctVal": "" if spot else "0.01",
        "tickSz": plain(found.tick),
        "lotSz": "0.0001",
        "minSz": "0.0001",
        "lever": "10",
        "expTime": str(EXPIRY_MS) if found.line in ("FUTURES", "OPTION") else "",
        "stk": "90000" if found.line == "OPTION" else "",
        "optType": "C" if found.line == "OPTION" else "",
        "state": "live",
    }


def permission_words(key: Key) -> str:
    """Whoever may manage keys may trade."""
    words = {"read_only": "read", "withdraw": "withdraw", "trade": "trade"}
    trading = {"trade"} if key.main else set()
    return ",".join(word for word, ours in words.items() if ours in key.permissions | trading)


def key_row(key: Key) -> dict[str, Json]:
    return {
        "label": key.label,
        "apiKey": key.id,
        "perm": permission_words(key),
        "ip": ",".join(key.ips),
        "ts": str(key.created_ms),
    }


def withdrawal_row(withdrawal: Withdrawal) -> Json:
    return {
        "chain": f"{withdrawal.asset}-ERC20",
        "ccy": withdrawal.asset,
        "clientId": "",
        "amt": plain(withdrawal.amount),
        "fee": "0",
        "from": "",
        "to": withdrawal.address,
        "txId": "0xdead" if withdrawal.state == "done" else "",
        "state": {"pending": "0", "done": "2", "cancelled": "-2"}[withdrawal.state],
        "ts": str(withdrawal.at_ms),
        "wdId": str(withdrawal.id),
    }
