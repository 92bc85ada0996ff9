# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""ccxt as the independent oracle: at one frozen moment its ``sign()`` must give the same request as our adapter."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import ccxt

from ansible_collections.hft.incident.plugins.module_utils.http_client import HttpClient, Request
from ansible_collections.hft.incident.plugins.module_utils.secret_ref import Secret
from ansible_collections.hft.incident.plugins.module_utils.venues.api import Credentials, Venue

V = TypeVar("V", bound=Venue)

NOW_MS = 1_795_478_400_123
KEY = "k3yK3yk3yK3yk3yK3y"
SECRET = "c2VjcmV0U2VjcmV0c2VjcmV0U2VjcmV0c2VjcmV0U2VjcmV0c2VjcmV0"  # base64, as Kraken's secrets are
PASSPHRASE = "p4ssphr4se"


class Wire(NamedTuple):
    """A request as it goes over the wire; headers lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: str


def adapter(build: type[V], http: HttpClient | None = None, **options: Any) -> V:
    """An adapter at the frozen moment; without ``http`` it can sign but not send."""
    credentials = Credentials(Secret(KEY), Secret(SECRET), Secret(PASSPHRASE))
    return build(http or HttpClient("http://127.0.0.1:9"), credentials, now=lambda: NOW_MS / 1000, **options)


def ccxt_exchange(exchange_id: str, **options: Any) -> Any:
    """ccxt's client with the same key and the same frozen clock."""
    exchange = getattr(ccxt, exchange_id)({"apiKey": KEY, "secret": SECRET, "password": PASSPHRASE, "options": options})
    exchange.milliseconds = lambda: NOW_MS
    exchange.microseconds = lambda: NOW_MS * 1000
    exchange.seconds = lambda: NOW_MS // 1000
    exchange.iso8601 = type(exchange).iso8601
    return exchange


def theirs(exchange: Any, path: str, api: Any, method: str, params: dict[str, Any]) -> Wire:
    """The request that ccxt would send."""
    signed = exchange.sign(path, api, method, params)
    url = urlsplit(signed["url"])
    return Wire(
        signed["method"],
        url.path + (f"?{url.query}" if url.query else ""),
        {k.lower(): str(v) for k, v in (signed["headers"] or {}).items()},
        _text(signed["body"]),
    )


def ours(request: Request) -> Wire:
    """The request that our adapter would send."""
    return Wire(request.method, request.target, {k.lower(): v for k, v in request.headers.items()}, _text(request.body))


def _text(body: str | bytes | None) -> str:
    return body.decode() if isinstance(body, bytes) else (body or "")
