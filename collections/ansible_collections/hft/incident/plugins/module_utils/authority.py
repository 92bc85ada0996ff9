# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Who may open again what an incident closed: gates, and the signed approvals that pass them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import HeldError
from .incident import Incident


def require_passed(incident: Incident, gate: str, gates: Mapping[str, Any], allowed_signers: str | None) -> None:
    """Raises HeldError unless this gate was passed in this incident and nothing was closed since.

    ``gates`` and ``allowed_signers`` are the inventory's (UsageError where they are missing or make no sense).
    """
    raise HeldError(f"gate {gate!r} of {incident.id} has not been passed; `hft-incident approve {incident.id} {gate}`")
