# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A venue in the place of the HTTP seam: it answers what a test says and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl

from ansible_collections.hft.incident.plugins.module_utils.http_client import HttpClient, Request, Response
from ansible_collections.hft.incident.plugins.module_utils.venues.api import Venue

from . import oracle

V = TypeVar("V", bound=Venue)

#: HTTP 200 and not a listing (venues.md): such bodies have made real clients report "nothing open".
FALSE_EMPTY = {
    "nothing": b"",
    "white space": b" \n",
    "an empty object": b"{}",
    "an empty list": b"[]",
    "an empty text": b'""',
    "null": b"null",
    "a number": b"0",
    "an HTML page": b"<!DOCTYPE html><html><body>Scheduled maintenance</body></html>",
    "half a reply": b'{"code":"0","retCode":0,"error":[],"result":{"list":[',
    "no text": b"\xff\xfe",
    "a list of texts": b'["maintenance"]',
    "another envelope": b'{"status": "ok", "data": []}',
}
#: The same where a venue lists in no envelope: there an empty list is the truth.
FALSE_EMPTY_LIST = {name: body for name, body in FALSE_EMPTY.items() if name != "an empty list"}


class Asked(NamedTuple):
    """A request as the venue reads it; ``body`` is decoded, JSON or form (None: there is none)."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    request: Request


class Reply(NamedTuple):
    """An answer that is not simply HTTP 200; ``content`` is bytes as they are or anything that JSON can say."""

    content: Any
    status: int = 200
    headers: Mapping[str, str] = {}


#: Content with HTTP 200, or a ``Reply``.
Answer = Callable[[Asked], Any]


class Stub(HttpClient):
    """Never opens a socket."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("http://127.0.0.1:9")
        self.asked: list[Asked] = []
        self._answer = answer

    @classmethod
    def saying(cls, *replies: Any) -> Stub:
        """Each request gets the next reply, the last one again and again."""
        return cls(_in_turn(replies))

    @classmethod
    def by_path(cls, replies: Mapping[str, Any]) -> Stub:
        """For requests that go out at once, so in no fixed order; several replies to one path are a tuple."""
        answers = {
            path: _in_turn(said if isinstance(said, tuple) and not isinstance(said, Reply) else (said,))
            for path, said in replies.items()
        }
        return cls(lambda asked: answers[asked.path](asked))

    def send(self, request: Request) -> Response:
        path, _, query = request.target.partition("?")
        asked = Asked(request.method, path, dict(parse_qsl(query)), _decoded(request.body), request)
        self.asked.append(asked)
        answer = self._answer(asked)
        content, status, headers = answer if isinstance(answer, Reply) else Reply(answer)
        return Response(status, headers, content if isinstance(content, bytes) else json.dumps(content).encode())


def venue(build: type[V], answer: Answer | Mapping[str, Any], **options: Any) -> tuple[V, Stub]:
    """The adapter at the oracle's frozen moment, and its venue, which answers by a function or by path."""
    http = Stub(answer) if callable(answer) else Stub.by_path(answer)
    return oracle.adapter(build, http, **options), http


def _in_turn(replies: tuple[Any, ...]) -> Answer:
    left = list(replies)
    lock = threading.Lock()

    def answer(_asked: Asked) -> Any:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return answer


def _decoded(body: bytes | None) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return dict(parse_qsl(body.decode()))
