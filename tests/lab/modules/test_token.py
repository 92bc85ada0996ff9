# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A trading system's token stays out of every result, whatever the trading system or the standard library say of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.steps import exchange, killswitch, venue_status_info

from ..venues_host import Host, venue_host
from .steps import Arguments, run

CANARY = "5a1tc0ffee"


class Echoing(BaseHTTPRequestHandler):
    """Refuses everything and quotes the token."""

    def do_GET(self) -> None:
        given = str(self.headers.get("Authorization")).removeprefix("Bearer ")
        body = json.dumps({"error": {"code": "unauthorized", "message": f"the token {given} is not known"}}).encode()
        self.send_response(401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_GET  # noqa: N815  # the names that http.server looks for

    def log_message(self, *_args: object) -> None:
        """Nothing to the terminal."""


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echoing)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def host() -> Iterator[Host]:
    with venue_host({"alpha": "binance"}) as running:
        yield running


@pytest.mark.parametrize("token", [CANARY, f"{CANARY}\nand a second line", f"{CANARY}\u00e9"])
@pytest.mark.parametrize(
    ("step", "args"),
    [
        (killswitch, {"reason": "a test", "interval": 0.01, "timeout": 1.0, "confirm": 1}),
        (exchange, {"name": "alpha", "state": "disabled", "timeout": 1.0}),
        (venue_status_info, {"name": "alpha", "timeout": 1.0}),
    ],
    ids=["killswitch", "exchange", "venue_status_info"],
)
def test_the_token_is_in_no_result_and_no_note(
    tmp_path: Path, host: Host, url: str, step: Any, args: dict[str, Any], token: str
) -> None:
    given = Arguments(tmp_path, host)
    venues: dict[str, Any] = {"venues": [given.venue("alpha", "binance")]} if "venues" in step.ARGUMENT_SPEC else {}
    system = {"name": "hft-1", "url": url, "token": given.secret("token", token)}
    done = run(step, trading_systems=[system], **venues, **args)
    told = json.dumps([done.result, done.notes])
    assert "hft-1" in told
    assert CANARY not in told
