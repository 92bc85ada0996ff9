# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``trading_system_info``: do the trading systems answer, and if not, in which way?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..arguments import ONLY, TRADING_SYSTEMS, require_positive
from ..fleet import chosen_systems
from ..health_probe import Probe, probe
from . import Context, Params, Result, event

ARGUMENT_SPEC: dict[str, Any] = {
    **TRADING_SYSTEMS,
    **ONLY,
    "timeout": {"type": "float", "default": 1.0},
    "restarted_within": {"type": "float"},
}


def run(params: Params, _context: Context) -> Result:
    """One question to each; never a failure because one is down, since that was the question."""
    require_positive(params, "timeout")
    if params["restarted_within"] is not None:
        require_positive(params, "restarted_within")
    probes = probe(chosen_systems(params), params["timeout"], params["restarted_within"])
    seen = described(probes)
    return {
        "msg": "; ".join(each.sentence for each in probes),
        **seen,
        "record": [event("trading_systems.probed", seen)],
    }


def described(probes: Sequence[Probe]) -> dict[str, Any]:
    """The fields of a probe of all, in results and in the record."""
    silent = [each.name for each in probes if each.verdict != "answering"]
    return {"all_answer": not silent, "silent": silent, "systems": [each._asdict() for each in probes]}
