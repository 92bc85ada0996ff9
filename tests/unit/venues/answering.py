# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""An adapter whose venue answers by path: for dialects whose requests go out at once, so in no fixed order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ansible_collections.hft.incident.plugins.module_utils.http_client import HttpClient, Request, Response
from ansible_collections.hft.incident.plugins.module_utils.venues.api import Venue

from . import canned, oracle

#: Bodies that prove nothing, whatever the venue.
FALSE_EMPTY = {
    **canned.FALSE_EMPTY,
    "a list of texts": b'["maintenance"]',
    "another envelope": b'{"status": "ok", "data": []}',
}


class AnswersByPath(HttpClient):
    """Answers each path with the next of its bodies, the last one again and again; keeps what was asked."""

    def __init__(self, bodies: Mapping[str, Any], status: int, headers: Mapping[str, str]) -> None:
        super().__init__("http://127.0.0.1:9")
        self._bodies = {path: list(body) if isinstance(body, tuple) else [body] for path, body in bodies.items()}
        self._status = status
        self._headers = headers
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    def send(self, request: Request) -> Response:
        url = urlsplit(request.target)
        self.asked.append((request.method, url.path, dict(parse_qsl(url.query))))
        bodies = self._bodies[url.path]
        body = bodies.pop(0) if len(bodies) > 1 else bodies[0]
        return Response(self._status, self._headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def venue(
    build: type[Venue],
    bodies: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **options: Any,
) -> tuple[Venue, AnswersByPath]:
    """The adapter at the oracle's frozen moment, and its venue; several replies to one path are a tuple."""
    http = AnswersByPath(bodies, status, headers or {})
    adapter = oracle.adapter(build, **options)
    adapter.http = http
    return adapter, http
