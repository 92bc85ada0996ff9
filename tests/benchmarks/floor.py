# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The floor: list, cancel, list, signed by hand, as somebody would write it who wants nothing but speed.

It sends what the product's adapters send (every product line, at the same moment where the venue allows it) over kept
connections, believes every reply, mends nothing and keeps no record. ``BENCH_VENUES`` is JSON, ``[[driver, port], …]``;
one key serves them all (``BENCH_KEY``, ``BENCH_SECRET``, ``BENCH_PASSPHRASE``). Prints JSON on one line: ``found``, and
``clear_at``, the moment of the last venue's first empty answer (seconds since 1970).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import os
import threading
import time
from urllib.parse import quote, urlencode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

KEY, SECRET, PASSPHRASE = (os.environ[f"BENCH_{part}"] for part in ("KEY", "SECRET", "PASSPHRASE"))
OKX_ALGOS = ("conditional,oco", "trigger", "move_order_stop", "twap", "iceberg", "chase", "smart_iceberg")


def together(work: list[Callable[[], Any]]) -> list[Any]:
    results: list[Any] = [None] * len(work)

    def run(index: int) -> None:
        results[index] = work[index]()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(1, len(work))]
    for thread in threads:
        thread.start()
    run(0)
    for thread in threads:
        thread.join()
    return results


class Account:
    """One account at one venue; a dialect signs (``ask``), lists (line, symbol, id) and cancels."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.idle: list[http.client.HTTPConnection] = []

    def send(self, method: str, target: str, headers: dict[str, str], body: str | None = None) -> Any:
        connection = self.idle.pop() if self.idle else http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, target, body, headers)
        reply = json.loads(connection.getresponse().read())
        self.idle.append(connection)
        return reply

    def ask_all(self, asked: list[tuple[Any, ...]]) -> list[Any]:
        return together([lambda words=words: self.ask(*words) for words in asked])  # type: ignore[misc]  # lambdas

    def ask(self, *words: Any) -> Any:
        raise NotImplementedError

    def orders(self) -> list[tuple[str, str, str]]:
        raise NotImplementedError

    def cancel(self, orders: list[tuple[str, str, str]]) -> None:
        raise NotImplementedError


class Binance(Account):
    def ask(self, method: str, path: str, params: dict[str, Any]) -> Any:
        query = urlencode({"timestamp": int(time.time() * 1000), **params, "recvWindow": 5000})
        signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
        return self.send(method, f"{path}?{query}&signature={signature}", {"X-MBX-APIKEY": KEY})

    def orders(self) -> list[tuple[str, str, str]]:
        spot, margin, isolated = together(
            [
                lambda: self.ask("GET", "/api/v3/openOrders", {}),
                lambda: self.ask("GET", "/sapi/v1/margin/openOrders", {}),
                self.isolated,
            ]
        )
        lists = {"spot": spot, "margin": margin, "isolated": isolated}
        return [(line, row["symbol"], row["orderId"]) for line, rows in lists.items() for row in rows]

    def isolated(self) -> list[Any]:
        pairs = self.ask("GET", "/sapi/v1/margin/isolated/account", {})["assets"]
        asked = [
            ("GET", "/sapi/v1/margin/openOrders", {"symbol": pair["symbol"], "isIsolated": "TRUE"}) for pair in pairs
        ]
        return [row for rows in self.ask_all(asked) for row in rows]

    def cancel(self, orders: list[tuple[str, str, str]]) -> None:
        extra = {"isolated": {"isIsolated": "TRUE"}}
        self.ask_all(
            [
                (
                    "DELETE",
                    "/api/v3/openOrders" if line == "spot" else "/sapi/v1/margin/openOrders",
                    {"symbol": symbol, **extra.get(line, {})},
                )
                for line, symbol in {(line, symbol) for line, symbol, _ in orders}
            ]
        )


class Bybit(Account):
    def ask(self, method: str, path: str, params: dict[str, Any]) -> Any:
        query = "&".join(f"{name}={value}" for name, value in params.items())
        body = None if method == "GET" else json.dumps(params)
        timestamp = str(int(time.time() * 1000))
        payload = f"{timestamp}{KEY}5000{query if body is None else body}"
        headers = {
            "Content-Type": "application/json",
            "X-BAPI-API-KEY": KEY,
            "X-BAPI-TIMESTAMP": timestamp,
            "X-BAPI-RECV-WINDOW": "5000",
            "X-BAPI-SIGN": hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest(),
        }
        return self.send(method, f"{path}?{query}" if body is None else path, headers, body)["result"]

    def orders(self) -> list[tuple[str, str, str]]:
        path, limit = "/v5/order/realtime", {"limit": 50}
        asked: list[tuple[str, str, dict[str, Any]]] = [
            ("GET", path, {**limit, "category": "spot"}),
            ("GET", path, {**limit, "category": "linear", "settleCoin": "USDT"}),
            ("GET", path, {**limit, "category": "linear", "settleCoin": "USDC"}),
            ("GET", path, {**limit, "category": "inverse"}),
            ("GET", path, {**limit, "category": "option"}),
            ("GET", "/v5/spread/order/realtime", limit),
        ]
        found = []
        for words, reply in zip(asked, self.ask_all(asked), strict=True):
            line = str(words[2].get("category", "spread"))
            while True:
                found += [(line, row["symbol"], row["orderId"]) for row in reply["list"]]
                if not reply["nextPageCursor"]:
                    break
                reply = self.ask("GET", words[1], {**words[2], "cursor": quote(reply["nextPageCursor"])})
        return found

    def cancel(self, orders: list[tuple[str, str, str]]) -> None:
        wanted: list[dict[str, str]] = []
        for line in {line for line, _, _ in orders}:
            if line == "linear":
                wanted += [{"category": line, "settleCoin": coin} for coin in ("USDT", "USDC")]
            elif line == "inverse":
                wanted += [{"category": line, "symbol": symbol} for symbol in {o[1] for o in orders if o[0] == line}]
            else:
                wanted.append({"category": line})
        self.ask_all([("POST", "/v5/order/cancel-all", params) for params in wanted])


class Okx(Account):
    def ask(self, method: str, target: str, content: Any = None) -> Any:
        now = int(time.time() * 1000)
        timestamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now // 1000))}.{now % 1000:03d}Z"
        body = None if content is None else json.dumps(content)
        digest = hmac.new(SECRET.encode(), f"{timestamp}{method}{target}{body or ''}".encode(), hashlib.sha256).digest()
        headers = {
            "OK-ACCESS-KEY": KEY,
            "OK-ACCESS-PASSPHRASE": PASSPHRASE,
            "OK-ACCESS-TIMESTAMP": timestamp,
            "OK-ACCESS-SIGN": base64.b64encode(digest).decode(),
            "Content-Type": "application/json",
        }
        return self.send(method, target, headers, body)["data"]

    def orders(self) -> list[tuple[str, str, str]]:
        asked = [
            ("GET", "/api/v5/trade/orders-pending?limit=100"),
            ("GET", "/api/v5/sprd/orders-pending?limit=100"),
            *(("GET", f"/api/v5/trade/orders-algo-pending?limit=100&ordType={quote(kind)}") for kind in OKX_ALGOS),
        ]
        book, _spreads, *_algos = self.ask_all(asked)
        return [("book", row["instId"], row["ordId"]) for row in book]

    def cancel(self, orders: list[tuple[str, str, str]]) -> None:
        batches = [orders[start : start + 20] for start in range(0, len(orders), 20)]
        self.ask_all(
            [
                (
                    "POST",
                    "/api/v5/trade/cancel-batch-orders",
                    [{"instId": symbol, "ordId": order_id} for _, symbol, order_id in batch],
                )
                for batch in batches
            ]
        )


class Kraken(Account):
    def ask(self, path: str) -> Any:
        nonce = str(time.time_ns() // 1000)
        body = urlencode({"nonce": nonce})
        message = path.encode() + hashlib.sha256((nonce + body).encode()).digest()
        signature = hmac.new(base64.b64decode(SECRET), message, hashlib.sha512).digest()
        headers = {
            "API-Key": KEY,
            "API-Sign": base64.b64encode(signature).decode(),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return self.send("POST", path, headers, body)["result"]

    def orders(self) -> list[tuple[str, str, str]]:
        return [("all", row["descr"]["pair"], txid) for txid, row in self.ask("/0/private/OpenOrders")["open"].items()]

    def cancel(self, orders: list[tuple[str, str, str]]) -> None:
        self.ask("/0/private/CancelAll")


class Deribit(Account):
    def ask(self, target: str) -> Any:
        timestamp, nonce = int(time.time() * 1000), os.urandom(8).hex()
        signed = f"{timestamp}\n{nonce}\nGET\n{target}\n\n"
        signature = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest()
        proof = f"deri-hmac-sha256 id={KEY},ts={timestamp},sig={signature},nonce={nonce}"
        return self.send("GET", target, {"Authorization": proof})["result"]

    def orders(self) -> list[tuple[str, str, str]]:
        rows = self.ask("/api/v2/private/get_open_orders?type=all")
        return [("all", row["instrument_name"], row["order_id"]) for row in rows]

    def cancel(self, orders: list[tuple[str, str, str]]) -> None:
        self.ask("/api/v2/private/cancel_all")


DIALECTS: dict[str, type[Account]] = {
    "binance": Binance,
    "bybit": Bybit,
    "okx": Okx,
    "kraken": Kraken,
    "deribit": Deribit,
}


def clear(account: Account) -> tuple[int, float]:
    """How many orders there were, and when the venue had said that there are none."""
    found = len(orders := account.orders())
    while orders:
        account.cancel(orders)
        orders = account.orders()
    return found, time.time()


def main() -> None:
    accounts = [DIALECTS[driver](port) for driver, port in json.loads(os.environ["BENCH_VENUES"])]
    results = together([lambda account=account: clear(account) for account in accounts])  # type: ignore[misc]  # lambdas
    print(json.dumps({"found": sum(found for found, _ in results), "clear_at": max(at for _, at in results)}))


if __name__ == "__main__":
    main()
