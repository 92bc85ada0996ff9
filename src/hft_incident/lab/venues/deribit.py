# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Deribit as a server: JSON-RPC 2.0 over HTTP GET (docs.deribit.com/api-reference)."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar

from .. import signatures
from .dialect import Dialect, Incoming, Json, Route
from .exchange import Exchange, Execution, Instrument, Key, Order, Refusal, Side
from .treasury import Address, Login, Withdrawal

PREFIX = "/api/v2/"
CREDENTIALS = re.compile(r"deri-hmac-sha256 id=([^,]+),ts=(\d+),sig=([0-9a-f]+),nonce=(.+)")
TIMESTAMP_WINDOW_MS = 60_000
RECENT_TRADES_MS = 86_400_000  # older ones are "historical"
TRADES_A_PAGE, MOST_TRADES_A_PAGE = 10, 1000
CURRENCIES = ("BTC", "ETH", "USDC")
KINDS = ("future", "option", "spot", "future_combo", "option_combo")
EXPIRY_MS = 1_798_185_600_000
PERPETUAL_EXPIRY_MS = 32_503_708_800_000
SCOPE = re.compile(r"(account|trade|wallet|block_trade|block_rfq):(read|read_write|none)")
RIGHTS = {
    "account:read_write": ("manage_keys",),
    "trade:read_write": ("trade",),
    "wallet:read_write": ("withdraw", "transfer"),
}
CONDITIONAL_TYPES = ("stop_limit", "stop_market", "take_limit", "take_market", "trailing_stop")

#: reason → (HTTP status, code, message) as the venue's list of RPC errors has them.
ERRORS: dict[str, tuple[int, int, str]] = {
    "bad_key": (400, 13004, "invalid_credentials"),
    "bad_signature": (400, 13004, "invalid_credentials"),
    "bad_timestamp": (400, 13009, "unauthorized"),
    "bad_nonce": (400, 13009, "unauthorized"),
    "bad_ip": (400, 13009, "unauthorized"),
    "permission": (400, 13021, "forbidden"),
    "rate_limit": (429, 10028, "too_many_requests"),
    "unknown_symbol": (400, 13020, "not_found"),
    "unknown_order": (400, 10004, "order_not_found"),
    "unknown_key": (400, 13020, "not_found"),
    "unknown_withdrawal": (400, 13020, "not_found"),
    "bad_request": (400, -32602, "Invalid params"),
    "maintenance": (503, 11051, "system_maintenance"),
}


def traded(symbol: str, kind: str, base: str, quote: str, price: str, tick: str) -> Instrument:
    inverse = kind == "future" and quote == "USD"
    return Instrument(symbol, kind, base, quote, Decimal(price), Decimal(tick), spot=kind == "spot", inverse=inverse)


class Deribit(Dialect):
    instruments: ClassVar = (
        traded("BTC_USDC-PERPETUAL", "future", "BTC", "USDC", "90000", "0.1"),
        traded("BTC-PERPETUAL", "future", "BTC", "USD", "90000", "0.5"),
        traded("ETH-PERPETUAL", "future", "ETH", "USD", "3000", "0.05"),
        traded("BTC-25DEC26", "future", "BTC", "USD", "91000", "2.5"),
        traded("BTC-25DEC26-90000-C", "option", "BTC", "USD", "0.05", "0.0005"),
        traded("ETH-25DEC26-3000-P", "option", "ETH", "USD", "0.06", "0.0005"),
        traded("BTC_USDC", "spot", "BTC", "USDC", "90000", "0.5"),
        traded("BTC-FS-25DEC26_PERP", "future_combo", "BTC", "USD", "1000", "0.5"),
        traded("BTC-STRD-25DEC26-90000", "option_combo", "BTC", "USD", "0.1", "0.0005"),
    )

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self._nonces: dict[tuple[str, str], int] = {}  # (key, nonce) → time stamp

    def routes(self) -> Mapping[tuple[str, str], Route]:
        table = {
            "public/get_time": Route("time", self.time, None),
            "public/status": Route("status", self.system_status, None),
            "public/get_currencies": Route("instruments", self.currencies, None),
            "public/get_instruments": Route("instruments", self.instrument_list, None),
            "public/ticker": Route("ticker", self.ticker, None),
            "private/get_open_orders": Route("open_orders", self.open_orders),
            "private/get_open_orders_by_currency": Route("open_orders", self.open_orders_by_currency),
            "private/get_open_orders_by_instrument": Route("open_orders", self.open_orders_by_instrument),
            "private/cancel_all": Route("cancel_all", self.cancel_all, "trade"),
            "private/cancel_all_by_instrument": Route("cancel_all", self.cancel_all_by_instrument, "trade"),
            "private/cancel_all_by_kind_or_type": Route("cancel_all", self.cancel_all_by_kind, "trade"),
            "private/buy": Route("place", self.buy, "trade"),
            "private/sell": Route("place", self.sell, "trade"),
            "private/cancel": Route("cancel", self.cancel, "trade"),
            "private/get_positions": Route("positions", self.positions),
            "private/get_account_summaries": Route("balances", self.account_summaries),
            "private/get_user_trades_by_currency": Route("fills", self.trades_by_currency),
            "private/get_user_trades_by_currency_and_time": Route("fills", self.trades_by_currency),
            "private/get_user_trades_by_instrument": Route("fills", self.trades_by_instrument),
            "private/get_user_trades_by_instrument_and_time": Route("fills", self.trades_by_instrument),
            "private/list_api_keys": Route("keys", self.keys),
            "private/create_api_key": Route("create_key", self.create_key, "manage_keys"),
            "private/remove_api_key": Route("delete_key", self.remove_key, "manage_keys"),
            "private/get_withdrawals": Route("withdrawals", self.withdrawals),
            "private/withdraw": Route("withdraw", self.withdraw, "withdraw"),
            "private/cancel_withdrawal": Route("cancel_withdrawal", self.cancel_withdrawal, "withdraw"),
            "private/get_address_book": Route("addresses", self.address_book),
            "private/get_access_log": Route("logins", self.access_log),
        }
        return {("GET", PREFIX + method): route for method, route in table.items()}

    def authenticate(self, request: Incoming) -> Key:
        """HMAC over time stamp, nonce and request; the time stamp is good for a minute, the nonce once."""
        credentials = CREDENTIALS.fullmatch(request.headers.get("authorization", ""))
        if credentials is None:
            raise Refusal("bad_key")
        key_id, timestamp, signature, nonce = credentials.groups()
        key = self.known_key(key_id)
        body = request.body.decode(errors="replace")
        expected = signatures.deribit(key.secret, timestamp, nonce, request.method, request.target, body)
        if not hmac.compare_digest(expected, signature):
            raise Refusal("bad_signature")
        now = self.exchange.now_ms()
        if abs(now - int(timestamp)) > TIMESTAMP_WINDOW_MS:
            raise Refusal("bad_timestamp")
        self._nonces = {used: at for used, at in self._nonces.items() if now - at <= TIMESTAMP_WINDOW_MS}
        if (key_id, nonce) in self._nonces:
            raise Refusal("bad_nonce")
        self._nonces[key_id, nonce] = int(timestamp)
        return key

    def refuse(self, refusal: Refusal) -> tuple[int, Json]:
        status, code, message = ERRORS[refusal.reason]
        data = {"data": {"reason": str(refusal)}} if refusal.reason == "bad_request" else {}
        return status, self.envelope(error={"message": message, "code": code, **data})

    def envelope(self, **content: Json) -> Json:
        """Every reply says when it came in and went out, in microseconds."""
        now_us = self.exchange.now_ms() * 1000
        return {"jsonrpc": "2.0", **content, "usIn": now_us, "usOut": now_us + 42, "usDiff": 42, "testnet": False}

    def success(self, result: Json) -> Json:
        return self.envelope(result=result)

    # Public -------------------------------------------------------------------------------------------------------

    def time(self, _request: Incoming) -> Json:
        return self.success(self.exchange.now_ms())

    def system_status(self, _request: Incoming) -> Json:
        locked = list(CURRENCIES) if self.exchange.maintenance else []
        return self.success({"locked": "true" if locked else "false", "locked_indices": locked})

    def currencies(self, _request: Incoming) -> Json:
        return self.success(
            [
                {
                    "currency": currency,
                    "currency_long": currency,
                    "coin_type": currency,
                    "fee_precision": 4,
                    "min_confirmations": 1,
                    "min_withdrawal_fee": 0.0001,
                    "withdrawal_fee": 0.0001,
                    "withdrawal_priorities": [],
                }
                for currency in CURRENCIES
            ]
        )

    def instrument_list(self, request: Incoming) -> Json:
        currency, kinds = request.text("currency", "any"), self.kinds(request)
        rows = [i for i in self.instruments if i.line in kinds and currency in ("any", currency_of(i))]
        return self.success([instrument_row(instrument) for instrument in rows])

    def ticker(self, request: Incoming) -> Json:
        instrument = self.instrument_of(request)
        last = self.exchange.prices[instrument.symbol]
        return self.success(
            {
                "instrument_name": instrument.symbol,
                "timestamp": self.exchange.feed_at_ms,
                "state": "locked" if self.exchange.maintenance else "open",
                "last_price": number(last),
                "mark_price": number(last),
                "index_price": number(last),
                "best_bid_price": number(last - instrument.tick),
                "best_bid_amount": 1,
                "best_ask_price": number(last + instrument.tick),
                "best_ask_amount": 1,
                "stats": {"volume": 100, "low": number(last), "high": number(last), "price_change": 0.0},
            }
        )

    # Orders -------------------------------------------------------------------------------------------------------

    def open_orders(self, request: Incoming) -> Json:
        """All currencies, no pages; trigger orders too, unless a type is asked for."""
        orders = self.exchange.open_orders(lines=self.kinds(request), conditional=self.conditional(request))
        return self.success([order_row(order) for order in orders])

    def open_orders_by_currency(self, request: Incoming) -> Json:
        currency = request.text("currency")
        if currency not in CURRENCIES:
            raise Refusal("bad_request", "invalid currency")
        orders = self.exchange.open_orders(lines=self.kinds(request), conditional=self.conditional(request))
        return self.success([order_row(order) for order in orders if currency_of(order.instrument) == currency])

    def open_orders_by_instrument(self, request: Incoming) -> Json:
        symbol = self.instrument_of(request).symbol
        orders = self.exchange.open_orders(symbol=symbol, conditional=self.conditional(request))
        return self.success([order_row(order) for order in orders])

    def cancel_all(self, _request: Incoming) -> Json:
        return self.success(len(self.exchange.cancel_all()))

    def cancel_all_by_instrument(self, request: Incoming) -> Json:
        symbol = self.instrument_of(request).symbol
        return self.success(len(self.exchange.cancel_all(symbol=symbol, conditional=self.conditional(request))))

    def cancel_all_by_kind(self, request: Incoming) -> Json:
        if request.text("currency") != "any":
            raise Refusal("bad_request", "the lab takes 'any' only")
        lines, conditional = self.kinds(request), self.conditional(request)
        return self.success(len(self.exchange.cancel_all(lines=lines, conditional=conditional)))

    def buy(self, request: Incoming) -> Json:
        return self.place(request, "buy")

    def sell(self, request: Incoming) -> Json:
        return self.place(request, "sell")

    def place(self, request: Incoming, side: Side) -> Json:
        kind = request.text("type", "limit")
        if kind != "limit" and kind not in CONDITIONAL_TYPES:
            raise Refusal("bad_request", f"type {kind}")
        order = self.exchange.place(
            self.instrument_of(request).symbol,
            side,
            request.decimal("amount"),
            request.decimal("price" if kind == "limit" else "trigger_price"),
            client_id=request.text("label", ""),
            conditional=kind != "limit",
        )
        return self.success({"order": order_row(order), "trades": []})

    def cancel(self, request: Incoming) -> Json:
        order = self.exchange.orders.get(order_number(request.text("order_id")))
        if order is None or not self.exchange.cancel(order):
            raise Refusal("unknown_order")
        return self.success({**order_row(order), "order_state": "cancelled"})

    # Account ------------------------------------------------------------------------------------------------------

    def positions(self, request: Incoming) -> Json:
        currency, kinds = request.text("currency", "any"), self.kinds(request)
        held = [i for i in self.instruments if not i.spot and self.exchange.holdings[i.symbol].qty]
        chosen = [i for i in held if i.line in kinds and currency in ("any", currency_of(i))]
        return self.success([self.position_row(instrument) for instrument in chosen])

    def position_row(self, instrument: Instrument) -> Json:
        holding, price = self.exchange.holdings[instrument.symbol], self.exchange.prices[instrument.symbol]
        return {
            "instrument_name": instrument.symbol,
            "kind": instrument.line,
            "direction": "buy" if holding.qty > 0 else "sell",
            "size": number(holding.qty),
            "size_currency": number(holding.qty if "_" in instrument.symbol else holding.qty / price),
            "average_price": number(holding.avg_price),
            "mark_price": number(price),
            "index_price": number(price),
            "floating_profit_loss": number(self.exchange.unrealized_pnl(instrument.symbol)),
            "realized_profit_loss": 0,
            "total_profit_loss": number(self.exchange.unrealized_pnl(instrument.symbol)),
            "initial_margin": 0,
            "maintenance_margin": 0,
            "leverage": 50,
        }

    def account_summaries(self, _request: Incoming) -> Json:
        summaries = []
        for currency in CURRENCIES:
            cash = number(self.exchange.balances[currency])
            amounts = dict.fromkeys(("balance", "equity", "available_funds", "margin_balance"), cash)
            summaries.append({"currency": currency, **amounts, "initial_margin": 0, "maintenance_margin": 0})
        return self.success({"id": 10, "type": "main", "username": "lab", "summaries": summaries})

    def trades_by_currency(self, request: Incoming) -> Json:
        currency = request.text("currency")
        if currency not in CURRENCIES:
            raise Refusal("bad_request", "invalid currency")
        return self.trades(request, [i.symbol for i in self.instruments if currency_of(i) == currency])

    def trades_by_instrument(self, request: Incoming) -> Json:
        return self.trades(request, [self.instrument_of(request).symbol])

    def trades(self, request: Incoming, symbols: list[str]) -> Json:
        """A page of ``count``, newest first unless asked otherwise; a day of them unless history is asked for."""
        since, until = request.integer("start_timestamp", 0), request.integer("end_timestamp", 2**62)
        count = min(request.integer("count", TRADES_A_PAGE), MOST_TRADES_A_PAGE)
        if request.text("historical", "false") != "true":
            since = max(since, self.exchange.now_ms() - RECENT_TRADES_MS)
        found = [e for e in self.exchange.executions_since(since) if e.at_ms <= until and e.order.symbol in symbols]
        if request.text("sorting", "default") != "asc":
            found.reverse()
        return self.success({"trades": [trade_row(e) for e in found[:count]], "has_more": len(found) > count})

    # Keys and money -----------------------------------------------------------------------------------------------

    def keys(self, _request: Incoming) -> Json:
        return self.success([key_row(key) for key in self.exchange.keys.values()])

    def create_key(self, request: Incoming) -> Json:
        name, scopes = request.text("name", ""), request.text("max_scope").split()
        if not re.fullmatch(r"[A-Za-z0-9_]{0,16}", name) or not all(SCOPE.fullmatch(scope) for scope in scopes):
            raise Refusal("bad_request", "invalid name or scope")
        permissions = {"read", *(ours for scope in scopes for ours in RIGHTS.get(scope, ()))}
        try:
            ips = json.loads(request.text("ip_whitelist", "[]"))
        except ValueError:
            raise Refusal("bad_request", "ip_whitelist is no JSON") from None
        return self.success(key_row(self.exchange.new_key(name, permissions, ips)))

    def remove_key(self, request: Incoming) -> Json:
        number = request.integer("id")
        key = next((key for key in self.exchange.keys.values() if key.number == number), None)
        if key is None:
            raise Refusal("unknown_key")
        self.exchange.remove_key(key.id)
        return self.success("ok")

    def withdrawals(self, request: Incoming) -> Json:
        currency = self.currency(request)
        found = [w for w in reversed(self.exchange.treasury.withdrawals()) if w.asset == currency]
        offset, count = request.integer("offset", 0), request.integer("count", 10)
        rows = [withdrawal_row(withdrawal) for withdrawal in found[offset : offset + count]]
        return self.success({"data": rows, "count": len(found)})

    def withdraw(self, request: Incoming) -> Json:
        try:
            withdrawal = self.exchange.treasury.withdraw(
                self.currency(request), request.decimal("amount"), request.text("address"), key=self.exchange.acting
            )
        except ValueError as error:
            raise Refusal("bad_request", str(error)) from None
        return self.success(withdrawal_row(withdrawal))

    def cancel_withdrawal(self, request: Incoming) -> Json:
        number, currency = request.integer("id"), self.currency(request)
        found = next((w for w in self.exchange.treasury.withdrawals() if (w.id, w.asset) == (number, currency)), None)
        if found is None or not self.exchange.cancel_withdrawal(number):
            raise Refusal("unknown_withdrawal")
        return self.success({**withdrawal_row(found), "state": "cancelled"})

    def address_book(self, request: Incoming) -> Json:
        currency = self.currency(request)
        if request.text("type") != "withdrawal":
            raise Refusal("bad_request", "the lab has withdrawal addresses only")
        return self.success([address_row(a) for a in self.exchange.treasury.addresses if a.asset == currency])

    def access_log(self, request: Incoming) -> Json:
        offset, count = request.integer("offset", 0), request.integer("count", 10)
        newest_first = sorted(self.exchange.treasury.logins, key=lambda login: -login.at_ms)
        return self.success([login_row(login) for login in newest_first[offset : offset + count]])

    # Parameters ---------------------------------------------------------------------------------------------------

    def instrument_of(self, request: Incoming) -> Instrument:
        instrument = self.exchange.instruments.get(request.text("instrument_name"))
        if instrument is None:
            raise Refusal("unknown_symbol")
        return instrument

    def currency(self, request: Incoming) -> str:
        currency = request.text("currency")
        if currency not in CURRENCIES:
            raise Refusal("bad_request", "invalid currency")
        return currency

    def kinds(self, request: Incoming) -> tuple[str, ...]:
        kind = request.text("kind", "any")
        if kind not in (*KINDS, "any"):
            raise Refusal("bad_request", "invalid kind")
        return KINDS if kind == "any" else (kind,)

    def conditional(self, request: Incoming) -> bool | None:
        """What ``type`` chooses: trigger orders, others, or (None) both."""
        kind = request.text("type", "all")
        if kind == "all":
            return None
        if kind not in ("limit", "trigger_all", "stop_all", *CONDITIONAL_TYPES):
            raise Refusal("bad_request", "invalid type")
        return kind != "limit"


def number(amount: Decimal) -> int | float:
    """This venue writes JSON numbers; a float's shortest form has the digits that the decimal has."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def currency_of(instrument: Instrument) -> str:
    """What it settles in: linear and spot instruments name it, the others settle in their base."""
    return instrument.quote if "_" in instrument.symbol.partition("-")[0] else instrument.base


def order_id(order: Order) -> str:
    """ "7000001" in BTC, "ETH-7000001" elsewhere, "ETH-SLTB-7000001" for a trigger order."""
    currency = currency_of(order.instrument)
    if order.conditional:
        return f"{currency}-SLT{order.side[0].upper()}-{order.id}"
    return str(order.id) if currency == "BTC" else f"{currency}-{order.id}"


def order_number(text: str) -> int:
    digits = text.rpartition("-")[2]
    return int(digits) if digits.isdigit() else 0  # no such order


def instrument_row(instrument: Instrument) -> Json:
    perpetual = instrument.symbol.endswith("PERPETUAL")
    option = {"strike": 90000 if instrument.base == "BTC" else 3000, "option_type": "call"}
    if instrument.symbol.endswith("-P"):
        option["option_type"] = "put"
    return {
        "instrument_name": instrument.symbol,
        "kind": instrument.line,
        "base_currency": instrument.base,
        "quote_currency": instrument.quote,
        "counter_currency": instrument.quote,
        **({} if instrument.spot else {"settlement_currency": currency_of(instrument)}),
        "settlement_period": "perpetual" if perpetual else "month",
        "is_active": True,
        "contract_size": 10 if instrument.line == "future" and "_" not in instrument.symbol else 1,
        "min_trade_amount": 0.0001,
        "tick_size": number(instrument.tick),
        "maker_commission": 0,
        "taker_commission": 0,
        "creation_timestamp": 1_534_242_287_000,
        "expiration_timestamp": PERPETUAL_EXPIRY_MS if perpetual or instrument.spot else EXPIRY_MS,
        **(option if instrument.line == "option" else {}),
    }


def order_row(order: Order) -> Json:
    """An untriggered order has no ``filled_amount``, and no price where it will be a market order."""
    row = {
        "order_id": order_id(order),
        "instrument_name": order.symbol,
        "direction": order.side,
        "amount": number(order.qty),
        "label": order.client_id,
        "time_in_force": "good_til_cancelled",
        "reduce_only": False,
        "post_only": False,
        "api": True,
        "max_show": number(order.qty),
        "creation_timestamp": order.created_ms,
        "last_update_timestamp": order.created_ms,
        "average_price": 0,
    }
    if order.conditional:
        trigger = {"trigger": "last_price", "trigger_price": number(order.price), "triggered": False}
        return {**row, **trigger, "order_type": "stop_market", "order_state": "untriggered", "price": "market_price"}
    state = {"open": "open", "canceled": "cancelled", "filled": "filled"}[order.state]
    filled, price = number(order.filled), number(order.price)
    return {**row, "order_type": "limit", "order_state": state, "filled_amount": filled, "price": price}


def trade_row(execution: Execution) -> Json:
    order = execution.order
    return {
        "trade_id": f"{currency_of(order.instrument)}-{execution.id}",
        "trade_seq": execution.id,
        "order_id": order_id(order),
        "instrument_name": order.symbol,
        "direction": order.side,
        "amount": number(execution.qty),
        "price": number(execution.price),
        "fee": 0,
        "fee_currency": currency_of(order.instrument),
        "timestamp": execution.at_ms,
        "state": "filled",
        "order_type": "limit",
        "liquidity": "M",
        "label": order.client_id,
    }


def key_row(key: Key) -> Json:
    rights = {"account": "manage_keys", "trade": "trade", "wallet": "withdraw"}
    scopes = (f"{scope}:read{'_write' * (right in key.permissions)}" for scope, right in rights.items())
    return {
        "timestamp": key.created_ms,
        "max_scope": " ".join(scopes),
        "id": key.number,
        "enabled": key.enabled,
        "default": False,
        "client_secret": key.secret,  # as in the venue's own examples of a listing
        "client_id": key.id,
        "name": key.label,
        "enabled_features": [],
        **({"ip_whitelist": list(key.ips)} if key.ips else {}),
    }


def withdrawal_row(withdrawal: Withdrawal) -> Json:
    done = withdrawal.state == "done"
    return {
        "address": withdrawal.address,
        "amount": number(withdrawal.amount),
        "confirmed_timestamp": withdrawal.at_ms if done else None,
        "created_timestamp": withdrawal.at_ms,
        "currency": withdrawal.asset,
        "fee": 0.0001,
        "id": withdrawal.id,
        "priority": 0.15,
        "state": {"pending": "unconfirmed", "done": "completed", "cancelled": "cancelled"}[withdrawal.state],
        "transaction_id": "dead" if done else None,
        "updated_timestamp": withdrawal.at_ms,
    }


def address_row(address: Address) -> Json:
    return {
        "address": address.address,
        "currency": address.asset,
        "type": "withdrawal",
        "label": address.label,
        "personal": True,
        "agreed": True,
        "info_required": False,
        "requires_confirmation": not address.trusted,
        "requires_confirmation_change": False,
        "creation_timestamp": address.added_ms,
        "waiting_timestamp": address.added_ms,
        "status": "confirmed",
    }


def login_row(login: Login) -> Json:
    word = {True: "success", False: "failure"}[login.ok] if login.event == "login" else login.event
    return {
        "id": login.id,
        "ip": login.ip,
        "timestamp": login.at_ms,
        "country": "Nowhere",
        "city": "Somewhere",
        "log": word,
    }
