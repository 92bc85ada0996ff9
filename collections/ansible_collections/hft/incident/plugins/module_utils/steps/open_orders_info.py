# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``open_orders_info``: what is live at the venues, as they themselves list it."""

from __future__ import annotations

from typing import Any

from ..arguments import ONLY, VENUES, chosen_venues, require_positive
from ..reading import Answer, read_venues
from ..venues.api import OpenOrder
from . import Context, Params, Result, event

ARGUMENT_SPEC: dict[str, Any] = {**VENUES, **ONLY, "timeout": {"type": "float", "default": 5.0}}


def run(params: Params, _context: Context) -> Result:
    """Every venue's open orders; a venue without a valid answer is ``known: false``, never empty."""
    require_positive(params, "timeout")
    found = read_venues(chosen_venues(params), lambda venue: venue.open_orders(), params["timeout"])
    venues = [_row(name, answer) for name, answer in found.items()]
    counts = {venue["name"]: venue["count"] for venue in venues}
    return {
        "msg": ", ".join(f"{name}: {'unknown' if count is None else count} open" for name, count in counts.items()),
        "venues": venues,
        "known": all(venue["known"] for venue in venues),
        "record": [event("open_orders.listed", {"venues": counts})],
    }


def _row(name: str, answer: Answer[list[OpenOrder]]) -> dict[str, Any]:
    orders = answer.value
    return {
        "name": name,
        "known": orders is not None,
        "count": None if orders is None else len(orders),
        "error": answer.error,
        "orders": [order._asdict() for order in orders or []],
    }
