# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A server that speaks the part of Vault's KV version 2 that hvac asks for: versions, compare-and-set, soft deletion.

It stands in for a real one, which no package brings along; it was written from the HTTP API's documentation.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

TOKEN = "hvs.canary-token-of-the-store"
META = {"created_time": "2026-11-27T00:00:00Z", "deletion_time": "", "destroyed": False, "custom_metadata": None}


class Entry:
    """A secret: its versions from 1, None where one is deleted."""

    def __init__(self) -> None:
        self.versions: list[dict[str, Any] | None] = []


class Kv2(NamedTuple):
    url: str
    entries: dict[str, Entry]
    seen: list[tuple[str, str]]
    #: What is answered instead, once each: (HTTP status, body).
    instead: list[tuple[int, bytes]]

    def soft_delete(self, path: str) -> None:
        """What ``vault kv delete`` does by hand: the version number stays."""
        self.entries[path].versions[-1] = None


@contextmanager
def kv2_server() -> Iterator[Kv2]:
    entries: dict[str, Entry] = {}
    seen: list[tuple[str, str]] = []
    instead: list[tuple[int, bytes]] = []
    together = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(lambda path, _body: _read(entries, path))

        def do_POST(self) -> None:
            self._answer(lambda path, body: _write(entries, path, body))

        do_PUT = do_POST  # noqa: N815  # the handler's own names

        def do_DELETE(self) -> None:
            self._answer(lambda path, _body: _forget(entries, path))

        def _answer(self, work: Any) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.append((self.command, self.path))
            if instead:
                status, data = instead.pop(0)
            elif self.headers.get("X-Vault-Token") != TOKEN:
                status, data = 403, b'{"errors":["permission denied"]}'
            else:
                with together:
                    status, reply = work(self.path, json.loads(body or b"{}"))
                data = b"" if reply is None else json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Kv2(f"http://127.0.0.1:{server.server_port}", entries, seen, instead)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def _read(entries: dict[str, Entry], path: str) -> tuple[int, Any]:
    entry = entries.get(path.partition("/data/")[2].partition("?")[0])
    if entry is None:
        return 404, {"errors": []}
    content, meta = entry.versions[-1], {**META, "version": len(entry.versions)}
    if content is None:
        return 404, {"data": {"data": None, "metadata": {**meta, "deletion_time": "2026-11-27T00:00:00Z"}}}
    return 200, {"data": {"data": content, "metadata": meta}}


def _write(entries: dict[str, Entry], path: str, body: dict[str, Any]) -> tuple[int, Any]:
    name = path.partition("/data/")[2]
    entry = entries.get(name) or Entry()
    cas = body.get("options", {}).get("cas")
    if cas is None:
        return 400, {"errors": ["check-and-set parameter required for this call"]}
    if cas != len(entry.versions):
        return 400, {"errors": ["check-and-set parameter did not match the current version"]}
    entries[name] = entry
    entry.versions.append(body["data"])
    return 200, {"data": {**META, "version": len(entry.versions)}}


def _forget(entries: dict[str, Entry], path: str) -> tuple[int, Any]:
    entries.pop(path.partition("/metadata/")[2], None)
    return 204, None
