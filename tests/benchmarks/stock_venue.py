# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The script beside stock.yml: ``stock_venue.py list|cancel`` for Binance, spot and cross margin, signed by hand.

Environment: ``STOCK_PORT``, and the files that hold the key, ``STOCK_KEY_FILE`` and ``STOCK_SECRET_FILE``. Prints how
many orders there were.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

PATHS = ("/api/v3/openOrders", "/sapi/v1/margin/openOrders")
KEY, SECRET = (Path(os.environ[f"STOCK_{part}_FILE"]).read_text().strip() for part in ("KEY", "SECRET"))


def ask(method: str, path: str, **params: str) -> Any:
    query = urlencode({**params, "timestamp": int(time.time() * 1000)})
    signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
    url = f"http://127.0.0.1:{os.environ['STOCK_PORT']}{path}?{query}&signature={signature}"
    request = urllib.request.Request(url, headers={"X-MBX-APIKEY": KEY}, method=method)  # the lab's venue
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310  # the lab's venue
        return json.load(response)


def main() -> None:
    found = {path: ask("GET", path) for path in PATHS}
    if sys.argv[1] == "cancel":
        for path, orders in found.items():
            for symbol in {order["symbol"] for order in orders}:
                ask("DELETE", path, symbol=symbol)
    print(sum(map(len, found.values())))


if __name__ == "__main__":
    main()
