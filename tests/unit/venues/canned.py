# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Canned replies in the place of the HTTP seam, and the bodies that have made real clients report "nothing open"."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils.http_client import HttpClient, Request, Response

#: HTTP 200 and not a listing (venues.md): each must raise MalformedReply, whatever the venue.
FALSE_EMPTY = {
    "nothing": b"",
    "white space": b" \n",
    "an empty object": b"{}",
    "an empty list": b"[]",
    "an empty text": b'""',
    "null": b"null",
    "a number": b"0",
    "an HTML page": b"<!DOCTYPE html><html><body>Scheduled maintenance</body></html>",
    "half a reply": b'{"error":[],"result":{"open":{"OABC',
}


class Canned(HttpClient):
    """Answers each request with the next reply (the last one again and again) and keeps what was sent."""

    def __init__(self, *replies: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        super().__init__("http://127.0.0.1:9")
        self.sent: list[Request] = []
        self._replies = [reply if isinstance(reply, bytes) else json.dumps(reply).encode() for reply in replies]
        self._status = status
        self._headers = headers or {}

    def send(self, request: Request) -> Response:
        self.sent.append(request)
        body = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        return Response(self._status, self._headers, body)
