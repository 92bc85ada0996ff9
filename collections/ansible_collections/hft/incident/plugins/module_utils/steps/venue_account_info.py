# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``venue_account_info``: everything an intruder would touch in the accounts, read in minute zero."""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..account_evidence import KEEPING
from ..account_look import YARDSTICKS, look, told
from ..arguments import ONLY, VENUES
from ..incident import ENV_DIR, Incident
from ..timestamps import utc_now
from ..venues.api import OpenOrder
from . import Context, Params, Result

ARGUMENT_SPEC: dict[str, Any] = {
    **VENUES,
    **ONLY,
    **YARDSTICKS,
    "since": {"type": "str"},
    **KEEPING,
    "timeout": {"type": "float", "default": 10.0},
}


def run(params: Params, context: Context) -> Result:
    """One look at all venues at once; what could not be read, or has no API, is named and is never "nothing"."""
    started_at = utc_now()
    return told(params, look(params, killed=_killed()), started_at, check=context.check)


def _killed() -> dict[str, list[OpenOrder]]:
    """Orders by venue that this incident's kills have found, as its record has them; none without an open incident."""
    folder = os.environ.get(ENV_DIR)
    found: dict[str, list[OpenOrder]] = {}
    for event_ in Incident(Path(folder).name, Path(folder)).journal.events() if folder else ():
        if event_.kind == "venue.reported":
            rows = found.setdefault(str(event_.data.get("name")), [])
            rows += [_order(row) for row in event_.data.get("orders") or ()]
    return {name: list(dict.fromkeys(orders)) for name, orders in found.items()}


def _order(row: Mapping[str, Any]) -> OpenOrder:
    price = row["price"]
    return OpenOrder(
        id=row["id"],
        symbol=row["symbol"],
        line=row["line"],
        side=row["side"],
        qty=Decimal(row["qty"]),
        price=None if price is None else Decimal(price),
        client_id=row["client_id"],
    )
