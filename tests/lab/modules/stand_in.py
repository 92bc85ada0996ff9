# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for a trading system that can be made to misbehave request by request.

The lab's real one never lies; these modules must see through one that does.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BASE = "/api/v1"


class StandIn:
    """One trading system. Tests set its state and ``on``: what happens at a request (``"POST /strategies/a/stop"``)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.exchanges: dict[str, dict[str, Any]] = {
            exchange: {
                "name": exchange,
                "enabled": True,
                "connected": True,
                "last_market_data_age_s": 0.1,
                "open_orders": 0,
            }
            for exchange in ("alpha", "beta")
        }
        self.config: dict[str, Any] = {
            "exchanges": {},
            "risk": {"max_position": "5"},
            "limits": {"scale_pct": 100},
        }
        self.strategies: dict[str, dict[str, Any]] = {}
        self.health: dict[str, Any] = {"status": "ok", "mode": "live", "uptime_s": 60.5, "version": "1.2.3"}
        self.killswitch: dict[str, Any] = {"active": False, "reason": None, "since": None}
        self.positions: list[dict[str, Any]] = []
        self.total_pnl: Any = "the sum"
        self.orders: list[dict[str, Any]] = []
        self.seen: list[str] = []
        self.conditions: list[str] = []  #: what ``If-Match`` said
        #: A hook may change the state, or return how the reply is spoiled: "hang", "lost", "half", "html" or a status.
        self.on: dict[str, Callable[[], str | int | None]] = {}
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def entry(self) -> dict[str, Any]:
        return {"name": self.name, "url": f"http://127.0.0.1:{self._server.server_port}"}

    @property
    def writes(self) -> list[str]:
        return [request for request in self.seen if not request.startswith("GET ")]

    def strategy(self, name: str, *exchanges: str, priority: str = "normal", running: bool = True) -> None:
        state = "running" if running else "stopped"
        self.strategies[name] = {"id": name, "exchanges": list(exchanges), "priority": priority, "state": state}

    def running(self) -> list[str]:
        return [name for name, strategy in self.strategies.items() if strategy["state"] == "running"]

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, body: Any) -> tuple[str | int | None, Any]:
        """(how the reply is spoiled, the reply). The work is done all the same, but for "hang" and a status."""
        request = f"{method} {path}"
        with self._lock:
            self.seen.append(request)
        spoiled = self.on.get(request, lambda: None)()
        if spoiled == "hang":
            self._over.wait()
        if spoiled == "hang" or isinstance(spoiled, int):
            return spoiled, {"error": {"code": "no", "message": "not now"}}
        with self._lock:
            return spoiled, self._do(method, path, body)

    def _total_pnl(self) -> Any:
        if self.total_pnl != "the sum":
            return self.total_pnl
        return str(sum(Decimal(row.get("unrealized_pnl_usd") or 0) for row in self.positions))

    def _do(self, method: str, path: str, body: Any) -> Any:
        if method == "GET":
            return {
                "/config": self.config,
                "/exchanges": {"exchanges": list(self.exchanges.values())},
                "/strategies": {"strategies": list(self.strategies.values())},
                "/killswitch": self.killswitch,
                "/health": self.health,
                "/positions": {"positions": self.positions, "total_unrealized_pnl_usd": self._total_pnl()},
                "/orders": {"orders": self.orders, "cursor": None},
            }[path]
        if path == "/killswitch":
            self.killswitch = {"active": method == "POST", "reason": (body or {}).get("reason"), "since": None}
            return self.killswitch
        if path == "/config":
            if "frozen" not in self.config:
                self.config.get("limits", {}).update(body.get("limits", {}))
            for name, change in body.get("exchanges", {}).items():
                self.exchanges[name] |= change
                self.config["exchanges"].setdefault(name, {}).update(change)
            return self.config
        if found := re.fullmatch(r"/exchanges/(\w+)/reconnect", path):
            self.exchanges[found[1]]["connected"] = True
            return {"connected": True}
        if re.fullmatch(r"/exchanges/\w+/cancel_all_orders", path):
            return {"requested": 0}
        found = re.fullmatch(r"/strategies/([\w-]+)/(start|stop)", path)
        assert found, path
        self.strategies[found[1]]["state"] = "running" if found[2] == "start" else "stopped"
        return self.strategies[found[1]]


def _handler(owner: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __getattr__(self, name: str) -> Callable[[], None]:
            """``do_GET``, ``do_POST`` …: all the same."""
            if name.startswith("do_"):
                return self._serve
            raise AttributeError(name)

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.removeprefix(BASE).partition("?")[0]
            owner.conditions += filter(None, [self.headers.get("If-Match")])
            etag = f'"{owner.config.get("limits", {}).get("scale_pct")}"'
            spoiled, reply = owner.answer(self.command, path, json.loads(body) if body else None)
            if spoiled in ("hang", "lost"):
                self.close_connection = True
                return
            data = b"<html>maintenance</html>" if spoiled == "html" else json.dumps(reply).encode()
            self.send_response(spoiled if isinstance(spoiled, int) else 200)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", etag)
            self.end_headers()
            if spoiled == "half":
                data = data[: len(data) // 2]
                self.close_connection = True
            self.wfile.write(data)

        def log_message(self, *_args: object) -> None:
            """Nothing to the terminal."""

    return Handler


@contextmanager
def stand_ins(*names: str) -> Iterator[list[StandIn]]:
    systems = [StandIn(name) for name in names]
    try:
        yield systems
    finally:
        for system in systems:
            system.close()
