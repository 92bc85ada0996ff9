# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a dialect is: a table of routes, how a request proves who sent it, and how the venue words a refusal."""

from __future__ import annotations

import json
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar

from .exchange import Exchange, Instrument, Key, Refusal

Json = Any
RATE_LIMIT = 1200
RATE_WINDOW_S = 10.0
#: What changes something without trading.
WRITING_OPS = ("create_key", "delete_key", "withdraw", "cancel_withdrawal")
#: The one sub-account of every lab account, by the names that venues give it.
SUB_ACCOUNT, SUB_ACCOUNT_UID, MAIN_UID = "labtrading", "24617703", "24600000"


@dataclass(frozen=True)
class Incoming:
    """A request as it came over the wire; ``params`` holds the decoded query, form or JSON body together."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    params: Mapping[str, Any] = field(default_factory=dict)
    remote: str = "127.0.0.1"  #: where it came from

    @property
    def target(self) -> str:
        return self.path + (f"?{self.query}" if self.query else "")

    def text(self, name: str, default: str | None = None) -> str:
        """A parameter as text; raises Refusal where it is missing and has no default."""
        value = self.params.get(name, default)
        if value is None:
            raise Refusal("bad_request", f"mandatory parameter '{name}' was not sent")
        return str(value)

    def decimal(self, name: str) -> Decimal:
        try:
            return Decimal(self.text(name))
        except InvalidOperation:
            raise Refusal("bad_request", f"parameter '{name}' is not a number") from None

    def integer(self, name: str, default: int | None = None) -> int:
        try:
            return int(self.text(name, None if default is None else str(default)))
        except ValueError:
            raise Refusal("bad_request", f"parameter '{name}' is not a whole number") from None

    def json(self) -> Json:
        """The body as JSON; raises Refusal where it is none."""
        try:
            return json.loads(self.body or b"{}")
        except ValueError:
            raise Refusal("bad_request", "the body is not JSON") from None


@dataclass(frozen=True)
class Route:
    """One endpoint. ``op`` names the operation for faults and counts; ``permission`` None means public."""

    op: str
    handler: Callable[[Incoming], Json]
    permission: str | None = "read"

    @property
    def writes(self) -> bool:
        return self.permission == "trade" or self.op in WRITING_OPS


class Dialect(ABC):
    """A venue's wire format over one ``Exchange``."""

    #: What trades at this venue; the first is the one that the lab's strategies quote.
    instruments: ClassVar[tuple[Instrument, ...]]

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    @abstractmethod
    def routes(self) -> Mapping[tuple[str, str], Route]:
        """(method, path) → route. A path may end in ``/*``."""

    @abstractmethod
    def authenticate(self, request: Incoming) -> Key:
        """The key that signed the request; raises Refusal as the venue would."""

    @abstractmethod
    def refuse(self, refusal: Refusal) -> tuple[int, Json]:
        """HTTP status and body of a refusal, in the venue's own words."""

    def find_route(self, method: str, path: str) -> Route | None:
        table = self.routes()
        return table.get((method, path)) or table.get((method, path.rpartition("/")[0] + "/*"))

    def known_key(self, key_id: str | None) -> Key:
        key = self.exchange.keys.get(key_id or "")
        if key is None or not key.enabled:
            raise Refusal("bad_key")
        return key

    def new_key(self, label: str, permissions: Collection[str], ips: Collection[str]) -> Key:
        """What a person makes on the website."""
        return self.exchange.new_key(
            label, permissions, ips, secret=self.new_secret(), passphrase=self.new_passphrase()
        )

    def new_secret(self) -> str:
        return secrets.token_hex(48)

    def new_passphrase(self) -> str:
        return ""

    def acting_key(self) -> Key:
        """The key whose request is being carried out."""
        return self.exchange.keys[self.exchange.acting]

    def allow(self, key: Key, permission: str, remote: str) -> None:
        """Address, permission and rate limit of an authenticated request."""
        if key.ips and remote not in key.ips:
            raise Refusal("bad_ip", remote)
        if permission not in key.permissions:
            raise Refusal("permission")
        now = time.monotonic()
        key.recent[:] = [t for t in key.recent if now - t < RATE_WINDOW_S]
        key.recent.append(now)
        if len(key.recent) > RATE_LIMIT:
            raise Refusal("rate_limit")


def plain(number: Decimal) -> str:
    """A decimal as venues write it: no exponent, no trailing zeros."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def iso(at_ms: int) -> str:
    """A time as "2026-11-27T01:50:57Z"."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ms / 1000))


def instrument(
    symbol: str, line: str, base: str, quote: str, price: str, *, spot: bool = False, inverse: bool = False
) -> Instrument:
    return Instrument(symbol, line, base, quote, Decimal(price), spot=spot, inverse=inverse)
