# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""How each venue's requests are signed: written from the venues' documentation for the lab alone, so that the product's
own signatures are checked by something that does not share their code."""

from __future__ import annotations

import base64
import hashlib
import hmac


def binance(secret: str, payload: str) -> str:
    """Hex HMAC-SHA256 over the query string or form body (Binance: "SIGNED endpoint security")."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def kraken(secret: str, path: str, nonce: str, body: bytes) -> str:
    """Base64 HMAC-SHA512 over the path and the SHA-256 of nonce and body (Kraken: "Spot REST Authentication")."""
    inner = hashlib.sha256(nonce.encode() + body).digest()
    return _kraken_hmac(secret, path.encode() + inner)


def krakenfutures(secret: str, sent: str, nonce: str, endpoint: str) -> str:
    """Base64 HMAC-SHA512 over the SHA-256 of parameters, nonce and path (Kraken: "Futures REST Authentication")."""
    return _kraken_hmac(secret, hashlib.sha256((sent + nonce + endpoint).encode()).digest())


def _kraken_hmac(secret: str, message: bytes) -> str:
    return base64.b64encode(hmac.new(base64.b64decode(secret), message, hashlib.sha512).digest()).decode()


def bybit(secret: str, timestamp: str, key: str, window: str, payload: str) -> str:
    """Hex HMAC-SHA256; ``payload`` is a GET's query or a POST's body, as sent (Bybit v5: "Integration guidance")."""
    return hmac.new(secret.encode(), f"{timestamp}{key}{window}{payload}".encode(), hashlib.sha256).hexdigest()


def okx(secret: str, timestamp: str, method: str, target: str, body: str) -> str:
    """Base64 HMAC-SHA256; ``target`` is the path with its query (OKX v5: "REST authentication")."""
    text = f"{timestamp}{method}{target}{body}"
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def deribit(secret: str, timestamp: str, nonce: str, method: str, target: str, body: str) -> str:
    """Hex HMAC-SHA256; ``target`` is the path with its query (Deribit: "Request signature credentials")."""
    text = f"{timestamp}\n{nonce}\n{method}\n{target}\n{body}\n"
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
