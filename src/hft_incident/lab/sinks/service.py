# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a service is: how it reads a request, what it then does, and how it words what it refuses."""

from __future__ import annotations

import base64
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qsl

Json = Any
HTML = "<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>"


@dataclass(frozen=True)
class Incoming:
    """A request as it came over the wire; the names of ``headers`` are in lower case."""

    host: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def form(self) -> dict[str, str]:
        """The body as a form."""
        return dict(parse_qsl(self.body.decode(errors="replace"), keep_blank_values=True))

    def json(self) -> Json:
        """The body as JSON. Raises ValueError."""
        return json.loads(self.body)

    def json_object(self) -> dict[str, Json] | None:
        """The body as a JSON object; None where it is none."""
        try:
            document = self.json()
        except ValueError:
            return None
        return document if isinstance(document, dict) else None

    def credential(self, scheme: str) -> str | None:
        """What ``Authorization`` says after ``scheme``; None where it says something else."""
        said, _, value = self.headers.get("authorization", "").partition(" ")
        return value.strip() if said.lower() == scheme.lower() else None

    def basic(self) -> tuple[str, str] | None:
        """User and password of basic authentication."""
        try:
            user, colon, password = base64.b64decode(self.credential("basic") or "").decode().partition(":")
        except ValueError:
            return None
        return (user, password) if colon else None


class Reply(NamedTuple):
    """What is answered: text is sent as it is, all else as JSON. ``key`` names what was made, where something was."""

    status: int
    body: Json
    key: str | None = None

    @property
    def is_success(self) -> bool:
        """Slack says no with HTTP 200."""
        refused = isinstance(self.body, dict) and self.body.get("ok") is False
        return 200 <= self.status < 300 and not refused


class Refusal(Exception):
    """The service does not do it, and says so."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(status, body)
        self.reply = Reply(status, body)


class Call(NamedTuple):
    """A request as its service understands it. Nothing has happened yet: ``work`` does it, and may raise Refusal.

    ``op`` names the operation for faults; the rest is what is recorded, without secrets.
    """

    op: str
    work: Callable[[], Reply]
    target: str | None = None
    text: str | None = None
    key: str | None = None
    body: Json = None

    def done(self) -> Reply:
        try:
            return self.work()
        except Refusal as refusal:
            return refusal.reply


class Service(ABC):
    """A service over HTTP. ``hosts`` are its names on the Internet; ``too_many`` is what it says with HTTP 429."""

    name: ClassVar[str]
    hosts: ClassVar[tuple[str, ...]] = ()
    too_many: ClassVar[Json] = HTML

    @abstractmethod
    def read(self, request: Incoming) -> Call:
        """What is asked; changes nothing and raises nothing."""

    def state(self) -> Json:
        """What the service holds, for whoever looks from outside."""
        return {}
