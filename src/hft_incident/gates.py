# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Which gates a playbook asks people to open: read from the playbook itself, so that it is never out of date."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from .catalog import IncidentType

GATE_MODULE = "hft.incident.gate"


def gates_of(entry: IncidentType) -> tuple[str, ...]:
    """The gates of a type that is ready, in the order of its playbook."""
    plays = yaml.safe_load(entry.playbook.read_text(encoding="utf-8"))
    return tuple(dict.fromkeys(_asked(plays)))


def _asked(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _asked(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == GATE_MODULE:
                yield str(value["name"])
            elif isinstance(value, (list, dict)):
                yield from _asked(value)
