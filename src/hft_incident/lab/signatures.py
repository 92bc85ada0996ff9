# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""How each venue's requests are signed: written from the venues' documentation for the lab alone, so that the product's
own signatures are checked by something that does not share their code."""

from __future__ import annotations

import hashlib
import hmac


def binance(secret: str, payload: str) -> str:
    """Hex HMAC-SHA256 over the query string or form body (Binance: "SIGNED endpoint security")."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
