# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The HTTP seam swapped for a function: each request that an adapter sends is answered by the test."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from ansible_collections.hft.incident.plugins.module_utils.http_client import HttpClient, Request, Response
from ansible_collections.hft.incident.plugins.module_utils.secret_ref import Secret
from ansible_collections.hft.incident.plugins.module_utils.venues.api import Credentials, Venue

from . import oracle

#: Bodies that came with HTTP 200 and made real clients report "nothing open" (venues.md), and their relatives.
HOLLOW = (
    b"",
    b"{}",
    b"[]",
    b"null",
    b'""',
    b"0",
    b"<!DOCTYPE html><html><body>Maintenance</body></html>",
    b'{"code":"0","retCode":0,"result":{"list":[',
    b"\xff\xfe",
)


class Asked(NamedTuple):
    """A request as the other side reads it."""

    method: str
    path: str
    query: dict[str, str]
    body: Any


Answer = Callable[[Asked], Any]


class AnsweredHttp(HttpClient):
    """Never opens a socket. An answer is the JSON to send, the bytes to send, or (HTTP status, either)."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("http://127.0.0.1:9")
        self.asked: list[Asked] = []
        self._answer = answer

    def send(self, request: Request) -> Response:
        path, _, query = request.target.partition("?")
        body = json.loads(request.body) if request.body else None
        asked = Asked(request.method, path, dict(parse_qsl(query)), body)
        self.asked.append(asked)
        answer = self._answer(asked)
        status, content = answer if isinstance(answer, tuple) else (200, answer)
        return Response(status, {}, content if isinstance(content, bytes) else json.dumps(content).encode())


def answered(build: type[Venue], answer: Answer, **options: Any) -> tuple[Venue, AnsweredHttp]:
    """An adapter at the oracle's frozen moment over ``answer``."""
    http = AnsweredHttp(answer)
    credentials = Credentials(Secret(oracle.KEY), Secret(oracle.SECRET), Secret(oracle.PASSPHRASE))
    return build(http, credentials, now=lambda: oracle.NOW_MS / 1000, **options), http
