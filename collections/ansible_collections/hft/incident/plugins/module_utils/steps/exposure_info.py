# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``exposure_info``: net exposure over all venues, at once (seed-faults D6: the other leg keeps trading)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ..arguments import ONLY, VENUES, chosen_venues, require_positive
from ..exposure import AssetExposure, Holding, VenueHoldings, net_exposure
from ..reading import Answer, read_venues
from ..settings import VenueEntry
from ..venues.api import Position
from . import Context, Params, Result, event

MEASURED = "exposure.measured"

ARGUMENT_SPEC: dict[str, Any] = {
    **VENUES,
    **ONLY,
    "timeout": {"type": "float", "default": 5.0},
    "base_assets": {"type": "dict", "default": {}},
}


def run(params: Params, _context: Context) -> Result:
    """Positions of every venue netted per base asset; what is not known makes the figure partial."""
    require_positive(params, "timeout")
    overrides = {str(symbol): str(asset) for symbol, asset in params["base_assets"].items()}
    measured = measure(chosen_venues(params), params["timeout"], overrides)
    risky = [row for row in measured["assets"] if not row["stable"]]
    return {
        "msg": ("PARTIAL: " if measured["partial"] else "")
        + (", ".join(f"{row['asset']} {row['net']:+f}" for row in risky) or "no exposure"),
        **measured,
        "record": [event(MEASURED, measured)],
    }


def measure(
    entries: Sequence[VenueEntry], timeout: float, overrides: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """The data of ``exposure.measured``: what these venues hold now, netted; ``overrides`` as ``base_assets``."""
    found = read_venues(entries, lambda venue: venue.positions(), timeout)
    exposure = net_exposure([_holdings(entry, found[entry.name]) for entry in entries], overrides)
    return {
        "partial": exposure.partial,
        "assets": [_row(asset) for asset in exposure.assets],
        "not_netted": [leg._asdict() for leg in (*exposure.not_netted, *exposure.unmapped)],
        "unknown": dict(exposure.unknown),
    }


def _holdings(entry: VenueEntry, answer: Answer[list[Position]]) -> VenueHoldings:
    if answer.value is None:
        return VenueHoldings(entry.name, entry.driver, None, answer.error or "")
    held = [Holding(p.line, p.symbol, p.qty, p.unit) for p in answer.value]  # type: ignore[arg-type]  # checked there
    return VenueHoldings(entry.name, entry.driver, held)


def _row(asset: AssetExposure) -> dict[str, Any]:
    return {
        "asset": asset.asset,
        "stable": asset.stable,
        "net": asset.net,
        "gross": asset.gross,
        "partial": asset.partial,
        "because": list(asset.because),
        "legs": [
            {"exchange": leg.exchange, "account": leg.account, "symbol": leg.symbol, "qty": leg.qty}
            for leg in asset.legs
        ],
    }
