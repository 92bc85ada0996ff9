# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Argument specs that several modules share, each mirrored by a documentation fragment of the same name, and how their
values are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import UsageError
from .settings import VenueEntry, select, venue_entries

#: fragment ``venues``. Entries are checked by ``settings``, one by one, so that one broken entry spoils only itself.
VENUES: dict[str, Any] = {"venues": {"type": "list", "elements": "dict", "required": True}}

#: fragment ``trading_systems``
TRADING_SYSTEMS: dict[str, Any] = {"trading_systems": {"type": "list", "elements": "dict", "default": []}}

#: fragment ``gates``: what opens again needs people's approval; which ones, the inventory says.
GATES: dict[str, Any] = {
    "gate": {"type": "str"},
    "gates": {"type": "dict", "default": {}},
    "allowed_signers": {"type": "path"},
}

#: fragment ``only``
ONLY: dict[str, Any] = {"only": {"type": "list", "elements": "str", "default": []}}

#: fragment ``require_evidence``: for what would destroy evidence of a host. The door on the control node looks, since
#: the record and the evidence are there (``evidence_guard``).
REQUIRE_EVIDENCE: dict[str, Any] = {
    "require_evidence": {"type": "bool", "default": False},
    "evidence_of": {"type": "list", "elements": "str", "default": []},
}

#: fragment ``host_tools``: commands of a trading host
HOST_TOOLS: dict[str, Any] = {
    "systemctl": {"type": "str", "default": "systemctl"},
    "journalctl": {"type": "str", "default": "journalctl"},
    "coredumpctl": {"type": "str", "default": "coredumpctl"},
}


def chosen_venues(params: Mapping[str, Any]) -> tuple[VenueEntry, ...]:
    """The entries that ``venues`` and ``only`` mean; raises UsageError where that is none or an unknown one."""
    entries = select(venue_entries(params["venues"]), params["only"])
    if not entries:
        raise UsageError("'venues' is empty; there is nothing to ask")
    return entries


def require_positive(params: Mapping[str, Any], *names: str) -> None:
    """Raises UsageError naming the first of these arguments that is not more than 0."""
    for name in names:
        if not params[name] > 0:  # also true for NaN
            raise UsageError(f"{name} must be more than 0")
