# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Net exposure and profit and loss while an incident lasts: what it cost, minute by minute, on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.reading import Answer, read_systems
from ansible_collections.hft.incident.plugins.module_utils.settings import SystemEntry
from ansible_collections.hft.incident.plugins.module_utils.steps.exposure_info import MEASURED, measure
from ansible_collections.hft.incident.plugins.module_utils.trading_system import SystemPosition

from ..inventory import plain_settings

PNL = "pnl.measured"
#: Who measured: not a step of the response.
BY = "clock"
CENT = Decimal("0.01")
#: Nobody waits for these figures (s).
TIMEOUT_S = 10.0


def measured(sources: Sequence[str]) -> list[tuple[str, Mapping[str, Any]]]:
    """``exposure.measured`` and ``pnl.measured`` of the inventory's venues and trading systems; what does not answer is
    named in them with the reason."""
    try:
        settings = plain_settings(sources)
    except UsageError as error:
        return [(PNL, {"by": BY, "systems": [], "total_usd": None, "error": str(error)})]
    exposure = [(MEASURED, {"by": BY, **measure(settings.venues, TIMEOUT_S)})] if settings.venues else []
    return [*exposure, (PNL, {"by": BY, **profit_and_loss(settings.trading_systems)})]


def profit_and_loss(systems: Sequence[SystemEntry]) -> dict[str, Any]:
    """What the trading systems say that their positions have made so far, in US dollars; ``total_usd`` is None where
    one of them does not say."""
    found = read_systems(systems, lambda system: system.positions(), TIMEOUT_S)
    rows = [_row(name, answer) for name, answer in found.items()]
    figures = [row["unrealized_usd"] for row in rows]
    known = [figure for figure in figures if figure is not None]
    return {"systems": rows, "total_usd": sum(known) if known and len(known) == len(figures) else None}


def _row(name: str, answer: Answer[list[SystemPosition]]) -> dict[str, Any]:
    if answer.value is None:
        return {"name": name, "unrealized_usd": None, "error": answer.error}
    total = sum((position.unrealized_pnl_usd for position in answer.value), Decimal(0))
    return {"name": name, "unrealized_usd": total.quantize(CENT), "error": None}
