# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Whether an empty answer of ccxt's is the venue's: pure rules over a reply's text and a request's parameters.

ccxt reads "nothing open" out of a maintenance page, ``{}`` or nothing at all (venues.md). So the same reply is parsed
again with an order put into one of its empty places; where ccxt does not find it, the place that it reads orders from
was not in the reply. And an empty answer to a narrower question than was meant proves nothing either.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

#: What is put into an empty place of a reply: a row under the names that most venues use, also one level down (gate).
ROW = {
    **dict.fromkeys(("id", "orderId", "order_id", "ordId", "tradeId", "symbol", "instId", "instrument_name"), "CANARY"),
    **dict.fromkeys(("size", "qty", "pos", "positionAmt", "contracts", "amount", "vol"), "1"),
}
CANARY = {**ROW, "orders": [ROW]}
MAX_DEPTH = 6
#: Parameters (and, in a path, settle coins) that make a listing one of less than the account has on a line.
NARROWING = frozenset(
    (
        *("symbol", "market", "pair", "instid", "instrument_name", "contract_code", "underlying", "uly"),
        *("settle", "settlecoin", "basecoin", "currency", "margincoin", "marginasset"),
        *("producttype", "ordtype", "plantype"),
    )
)
SETTLE_COINS = frozenset(("btc", "usd", "usdt", "usdc"))


def with_canary(text: str) -> Iterator[str]:
    """The reply again and again, each time with a canary in another of its empty places. The reply as a whole is a
    place only where it is a list: ``{}`` shows nothing."""
    try:
        reply = json.loads(text)
    except ValueError:
        return
    for path in _empty_places(reply):
        spoiled = copy.deepcopy(reply)
        place = spoiled
        for step in path:
            place = place[step]
        if isinstance(place, list):
            place.append(CANARY)
        elif path:
            place["CANARY"] = CANARY
        else:
            continue
        yield json.dumps(spoiled)


def _empty_places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, (dict, list)) and len(path) <= MAX_DEPTH:
        if not value:
            yield path
        for step, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _empty_places(item, (*path, step))


def narrowing(path: str, query: str, body: Any) -> set[str]:
    """What in a request asks for a part of a line: "settleCoin=USDT"."""
    sent: dict[str, Any] = dict(parse_qsl(query))
    if isinstance(body, str):
        with suppress(ValueError):  # a body that is neither JSON nor a form names nothing
            sent |= json.loads(body) if body.startswith("{") else dict(parse_qsl(body))
    named = {f"{name}={value}" for name, value in sent.items() if name.lower() in NARROWING and value}
    return named | {step for step in path.lower().split("/") if step in SETTLE_COINS}
