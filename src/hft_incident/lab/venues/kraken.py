# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Kraken spot and margin as a server (docs.kraken.com/api: Spot REST, /0/)."""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar

from .. import signatures
from .dialect import Dialect, Incoming, Json, Route, instrument, plain
from .exchange import Exchange, Execution, Instrument, Key, Order, Refusal, Side
from .treasury import Address, Withdrawal

MARGIN_PREFIX = "M:"  # the lab's own symbol for a pair's margin line
LEVERAGE = "3"
FILLS_PER_PAGE = 50
#: Pairs have two names: requests may use either, orders and charts show the short one, trades the long one.
LONG_NAMES = {"XBTUSD": "XXBTZUSD", "ETHUSD": "XETHZUSD", "SOLUSD": "SOLUSD"}
SHORT_NAMES = {long: short for short, long in LONG_NAMES.items()}
#: Our words → the venue's.
RIGHTS = {
    "read": ("query-funds", "query-open-trades", "query-closed-trades", "query-ledger"),
    "trade": ("modify-trades", "close-trades"),
    "withdraw": ("withdraw-funds",),
}
CONDITIONAL_TYPES = (
    "stop-loss",
    "take-profit",
    "stop-loss-limit",
    "take-profit-limit",
    "trailing-stop",
    "trailing-stop-limit",
)

#: reason → the venue's error; the HTTP status is 200 all the same.
ERRORS = {
    "bad_key": "EAPI:Invalid key",
    "bad_signature": "EAPI:Invalid signature",
    "bad_nonce": "EAPI:Invalid nonce",
    "bad_ip": "EGeneral:Permission denied",
    "permission": "EGeneral:Permission denied",
    "rate_limit": "EAPI:Rate limit exceeded",
    "unknown_symbol": "EQuery:Unknown asset pair",
    "unknown_order": "EOrder:Unknown order",
    "unknown_withdrawal": "EFunding:Unknown reference id",
    "bad_request": "EGeneral:Invalid arguments",
    "maintenance": "EService:Unavailable",
}


class Kraken(Dialect):
    instruments: ClassVar = (
        instrument("XBTUSD", "spot", "XXBT", "ZUSD", "90000", spot=True),
        instrument("ETHUSD", "spot", "XETH", "ZUSD", "3000", spot=True),
        instrument("SOLUSD", "spot", "SOL", "ZUSD", "140", spot=True),
        instrument(MARGIN_PREFIX + "XBTUSD", "margin", "XXBT", "ZUSD", "90000"),
        instrument(MARGIN_PREFIX + "ETHUSD", "margin", "XETH", "ZUSD", "3000"),
    )

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        exchange.balances["ZUSD"] = Decimal("1000000")

    def routes(self) -> Mapping[tuple[str, str], Route]:
        return {
            ("GET", "/0/public/Time"): Route("time", self.time, None),
            ("GET", "/0/public/SystemStatus"): Route("status", self.system_status, None),
            ("GET", "/0/public/Assets"): Route("instruments", self.assets, None),
            ("GET", "/0/public/AssetPairs"): Route("instruments", self.asset_pairs, None),
            ("GET", "/0/public/Ticker"): Route("ticker", self.ticker, None),
            ("GET", "/0/public/Trades"): Route("ticker", self.public_trades, None),
            ("POST", "/0/private/OpenOrders"): Route("open_orders", self.open_orders),
            ("POST", "/0/private/CancelAll"): Route("cancel_all", self.cancel_all, "trade"),
            ("POST", "/0/private/AddOrder"): Route("place", self.add_order, "trade"),
            ("POST", "/0/private/CancelOrder"): Route("cancel", self.cancel_order, "trade"),
            ("POST", "/0/private/BalanceEx"): Route("balances", self.balance),
            ("POST", "/0/private/OpenPositions"): Route("positions", self.open_positions),
            ("POST", "/0/private/TradesHistory"): Route("fills", self.trades_history),
            ("POST", "/0/private/GetApiKeyInfo"): Route("own_key", self.key_info),
            ("POST", "/0/private/WithdrawStatus"): Route("withdrawals", self.withdraw_status),
            ("POST", "/0/private/Withdraw"): Route("withdraw", self.withdraw, "withdraw"),
            ("POST", "/0/private/WithdrawCancel"): Route("cancel_withdrawal", self.withdraw_cancel, "withdraw"),
            ("POST", "/0/private/WithdrawAddresses"): Route("addresses", self.withdraw_addresses, "withdraw"),
        }

    def authenticate(self, request: Incoming) -> Key:
        """HMAC over path, nonce and body; the nonce must be larger than the last one of this key."""
        key = self.known_key(request.headers.get("api-key"))
        nonce = request.text("nonce", "")
        expected = signatures.kraken(key.secret, request.path, nonce, request.body)
        if not hmac.compare_digest(expected, request.headers.get("api-sign", "")):
            raise Refusal("bad_signature")
        if not nonce.isdigit() or int(nonce) <= key.last_nonce:
            raise Refusal("bad_nonce")
        key.last_nonce = int(nonce)
        return key

    def refuse(self, refusal: Refusal) -> tuple[int, Json]:
        return 200, {"error": [ERRORS[refusal.reason]]}

    def new_secret(self) -> str:
        return base64.b64encode(secrets.token_bytes(64)).decode()  # they sign with the decoded bytes

    # Public -------------------------------------------------------------------------------------------------------

    def time(self, _request: Incoming) -> Json:
        seconds = self.exchange.now_ms() // 1000
        text = time.strftime("%a, %d %b %y %H:%M:%S +0000", time.gmtime(seconds))
        return success({"unixtime": seconds, "rfc1123": text})

    def system_status(self, _request: Incoming) -> Json:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.exchange.now_ms() / 1000))
        return success({"status": "maintenance" if self.exchange.maintenance else "online", "timestamp": at})

    def assets(self, _request: Incoming) -> Json:
        return success(
            {
                asset: {"aclass": "currency", "altname": short_asset(asset), "decimals": 10, "status": "enabled"}
                for asset in self.exchange.balances
            }
        )

    def asset_pairs(self, _request: Incoming) -> Json:
        leveraged = {i.symbol.removeprefix(MARGIN_PREFIX) for i in self.instruments if i.line == "margin"}
        return success(
            {
                LONG_NAMES[i.symbol]: pair_row(i, leverage=i.symbol in leveraged)
                for i in self.instruments
                if i.line == "spot"
            }
        )

    def ticker(self, request: Incoming) -> Json:
        return success({LONG_NAMES[name]: self.ticker_row(name) for name in self.pairs_of(request)})

    def public_trades(self, request: Incoming) -> Json:
        (name,) = self.pairs_of(request)
        at = self.exchange.feed_at_ms
        seconds = Decimal(at) / 1000
        trade = [plain(self.exchange.prices[name]), "0.01000000", float(seconds), "b", "l", "", 61044952]
        return success({LONG_NAMES[name]: [trade], "last": str(at * 1_000_000)})

    def ticker_row(self, name: str) -> Json:
        last, tick = self.exchange.prices[name], self.exchange.instruments[name].tick
        return {
            "a": [plain(last + tick), "1", "1.000"],
            "b": [plain(last - tick), "1", "1.000"],
            "c": [plain(last), "0.01000000"],
            "v": ["100.0", "100.0"],
            "p": [plain(last), plain(last)],
            "t": [1000, 1000],
            "l": [plain(last), plain(last)],
            "h": [plain(last), plain(last)],
            "o": plain(last),
        }

    def pairs_of(self, request: Incoming) -> list[str]:
        return [self.pair(name) for name in request.text("pair").split(",")]

    def pair(self, name: str) -> str:
        """The short name of a pair given by either; raises Refusal for one that is not traded here."""
        short = SHORT_NAMES.get(name, name)
        if short not in LONG_NAMES:
            raise Refusal("unknown_symbol", name)
        return short

    # Orders -------------------------------------------------------------------------------------------------------

    def open_orders(self, _request: Incoming) -> Json:
        """All lines and kinds in one reply, newest first; there are no pages."""
        return success({"open": {txid("O", o.id): order_row(o) for o in reversed(self.exchange.open_orders())}})

    def cancel_all(self, _request: Incoming) -> Json:
        return success({"count": len(self.exchange.cancel_all())})

    def add_order(self, request: Incoming) -> Json:
        side, kind = request.text("type"), request.text("ordertype")
        sides: dict[str, Side] = {"buy": "buy", "sell": "sell"}
        if side not in sides or kind not in ("limit", *CONDITIONAL_TYPES):
            raise Refusal("bad_request")
        margin = request.text("leverage", "none") != "none"
        order = self.exchange.place(
            (MARGIN_PREFIX if margin else "") + self.pair(request.text("pair")),
            sides[side],
            request.decimal("volume"),
            request.decimal("price"),
            client_id=request.text("cl_ord_id", ""),
            conditional=kind != "limit",
        )
        return success({"descr": {"order": description(order)}, "txid": [txid("O", order.id)]})

    def cancel_order(self, request: Incoming) -> Json:
        number = request.text("txid").removeprefix("O").replace("-", "")
        order = self.exchange.orders.get(int(number)) if number.isdigit() else None
        if not self.exchange.cancel(order):
            raise Refusal("unknown_order")
        return success({"count": 1})

    # Account ------------------------------------------------------------------------------------------------------

    def balance(self, _request: Incoming) -> Json:
        return success(
            {
                asset: {"balance": plain(total), "hold_trade": "0.00000000"}
                for asset, total in self.exchange.balances.items()
            }
        )

    def open_positions(self, request: Incoming) -> Json:
        """Consolidated by market the venue answers with a list, else with a mapping by transaction."""
        held = {symbol: holding for symbol, holding in self.exchange.holdings.items() if holding.qty}
        rows = [
            {
                "pair": LONG_NAMES[symbol.removeprefix(MARGIN_PREFIX)],
                "positions": "1",
                "type": "buy" if holding.qty > 0 else "sell",
                "leverage": f"{LEVERAGE}.00000",
                "cost": plain(abs(holding.qty) * holding.avg_price),
                "fee": "0.00000",
                "vol": plain(abs(holding.qty)),
                "vol_closed": "0.00000000",
                "margin": plain(abs(holding.qty) * holding.avg_price / int(LEVERAGE)),
                "net": plain(self.exchange.unrealized_pnl(symbol)),
            }
            for symbol, holding in held.items()
        ]
        if request.text("consolidation", "") == "market":
            return success(rows)
        return success({txid("T", number): row for number, row in enumerate(rows, 1)})

    def trades_history(self, request: Incoming) -> Json:
        """Newest first, 50 a page; 'start' in seconds and exclusive."""
        start = request.decimal("start") if "start" in request.params else Decimal(0)
        found = [e for e in reversed(self.exchange.executions_since(0)) if Decimal(e.at_ms) / 1000 > start]
        offset = request.integer("ofs", 0)
        page = found[offset : offset + FILLS_PER_PAGE]
        return success({"trades": {txid("T", e.id): trade_row(e) for e in page}, "count": len(found)})

    # Keys and money -----------------------------------------------------------------------------------------------

    def key_info(self, _request: Incoming) -> Json:
        key = self.acting_key()
        return success(
            {
                "apiKeyName": key.label,
                "apiKey": key.id,
                "nonce": str(key.last_nonce),
                "nonceWindow": 0,
                "permissions": [word for ours, words in RIGHTS.items() if ours in key.permissions for word in words],
                "iban": "AA88 N84G WOAK NMOI",
                "validUntil": "0",
                "queryFrom": "0",
                "queryTo": "0",
                "createdTime": str(key.created_ms // 1000),
                "modifiedTime": str(key.created_ms // 1000),
                "ipAllowlist": list(key.ips),
                "lastUsed": str(self.exchange.now_ms() // 1000),
            }
        )

    def withdraw_status(self, request: Incoming) -> Json:
        """The newest first; the cursor is where the next page starts."""
        since = int(request.decimal("start") * 1000) if "start" in request.params else 0
        found = list(reversed(self.exchange.treasury.withdrawals(since)))
        cursor = request.text("cursor", "false")
        if cursor == "false":
            return success([withdrawal_row(withdrawal) for withdrawal in found])
        start, limit = int(cursor) if cursor.isdigit() else 0, request.integer("limit", 50)
        rows = [withdrawal_row(withdrawal) for withdrawal in found[start : start + limit]]
        more = str(start + limit) if len(found) > start + limit else None
        return success({"withdrawals": rows, "next_cursor": more})

    def withdraw(self, request: Incoming) -> Json:
        """To an address of the book, by its label."""
        book = {address.label: address for address in self.exchange.treasury.addresses}
        if request.text("key") not in book:
            raise Refusal("bad_request")
        try:
            withdrawal = self.exchange.treasury.withdraw(
                request.text("asset"),
                request.decimal("amount"),
                book[request.text("key")].address,
                key=self.exchange.acting,
            )
        except ValueError as error:
            raise Refusal("bad_request", str(error)) from None
        return success({"refid": refid(withdrawal)})

    def withdraw_cancel(self, request: Incoming) -> Json:
        wanted = (request.text("refid"), request.text("asset"))
        found = next((w for w in self.exchange.treasury.withdrawals() if (refid(w), w.asset) == wanted), None)
        if found is None or not self.exchange.cancel_withdrawal(found.id):
            raise Refusal("unknown_withdrawal")
        return success(True)

    def withdraw_addresses(self, _request: Incoming) -> Json:
        return success([address_row(address) for address in self.exchange.treasury.addresses])


def success(result: Json) -> Json:
    return {"error": [], "result": result}


def txid(kind: str, number: int) -> str:
    """A transaction id in the venue's pattern, the lab's own number in it."""
    digits = f"{number:016d}"
    return f"{kind}{digits[:5]}-{digits[5:10]}-{digits[10:]}"


def short_asset(asset: str) -> str:
    return asset[1:] if len(asset) == 4 and asset[0] in "XZ" else asset


def pair_row(pair: Instrument, *, leverage: bool) -> Json:
    return {
        "altname": pair.symbol,
        "wsname": f"{short_asset(pair.base)}/{short_asset(pair.quote)}",
        "aclass_base": "currency",
        "base": pair.base,
        "aclass_quote": "currency",
        "quote": pair.quote,
        "lot": "unit",
        "pair_decimals": 1,
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": [2, 3] if leverage else [],
        "leverage_sell": [2, 3] if leverage else [],
        "fees": [[0, 0.4]],
        "fees_maker": [[0, 0.25]],
        "fee_volume_currency": "ZUSD",
        "ordermin": "0.0001",
        "costmin": "0.5",
        "tick_size": plain(pair.tick),
        "status": "online",
    }


def description(order: Order) -> str:
    kind = "stop loss" if order.conditional else "limit"
    margin = f" with {LEVERAGE}:1 leverage" if order.line == "margin" else ""
    name = order.symbol.removeprefix(MARGIN_PREFIX)
    return f"{order.side} {order.qty:.8f} {name} @ {kind} {plain(order.price)}{margin}"


def order_row(order: Order) -> Json:
    return {
        "refid": None,
        "userref": None,
        **({"cl_ord_id": order.client_id} if order.client_id else {}),
        "status": "open",
        "opentm": order.created_ms / 1000,
        "starttm": 0,
        "expiretm": 0,
        "descr": {
            "pair": order.symbol.removeprefix(MARGIN_PREFIX),
            "type": order.side,
            "ordertype": "stop-loss" if order.conditional else "limit",
            "price": plain(order.price),
            "price2": "0",
            "leverage": f"{LEVERAGE}:1" if order.line == "margin" else "none",
            "order": description(order),
            "close": "",
        },
        "vol": f"{order.qty:.8f}",
        "vol_exec": f"{order.filled:.8f}",
        "cost": "0.00000",
        "fee": "0.00000",
        "price": "0.00000",
        "stopprice": plain(order.price) if order.conditional else "0.00000",
        "limitprice": "0.00000",
        "misc": "",
        "oflags": "fciq",
    }


def trade_row(execution: Execution) -> Json:
    order, cost = execution.order, execution.price * execution.qty
    return {
        "ordertxid": txid("O", order.id),
        "postxid": txid("T", order.id),
        "pair": LONG_NAMES[order.symbol.removeprefix(MARGIN_PREFIX)],
        "time": execution.at_ms / 1000,
        "type": order.side,
        "ordertype": "limit",
        "price": plain(execution.price),
        "cost": plain(cost),
        "fee": "0.00000",
        "vol": f"{execution.qty:.8f}",
        "margin": plain(cost / int(LEVERAGE)) if order.line == "margin" else "0.00000",
        "misc": "",
        "trade_id": execution.id,
        "maker": True,
    }


def refid(withdrawal: Withdrawal) -> str:
    return f"FTQcuak-V6Za8q-{withdrawal.id}"


def withdrawal_row(withdrawal: Withdrawal) -> Json:
    return {
        "method": "Ether",
        "aclass": "currency",
        "asset": withdrawal.asset,
        "refid": refid(withdrawal),
        "txid": "0xdead" if withdrawal.state == "done" else None,
        "info": withdrawal.address,
        "amount": f"{withdrawal.amount:.8f}",
        "fee": "0.00000000",
        "time": withdrawal.at_ms // 1000,
        "status": {"pending": "Pending", "done": "Success", "cancelled": "Failure"}[withdrawal.state],
        **({"status-prop": "canceled"} if withdrawal.state == "cancelled" else {}),
        "key": "",
        "network": "Ethereum",
    }


def address_row(address: Address) -> Json:
    return {
        "address": address.address,
        "asset": address.asset,
        "method": "Ether",
        "key": address.label,
        "verified": address.trusted,
    }
