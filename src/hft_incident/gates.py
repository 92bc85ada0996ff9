# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Which gates a playbook asks people to open: read from the playbook itself, so that it is never out of date."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from .catalog import IncidentType

GATE_MODULE = "hft.incident.gate"


class Asked(NamedTuple):
    """``holds``: the run waits there; else it only offers what people may decide, and goes on."""

    gate: str
    holds: bool


def gates_of(entry: IncidentType) -> tuple[Asked, ...]:
    """The gates of a type that is ready, each once, in the order of its playbook."""
    plays = yaml.safe_load(entry.playbook.read_text(encoding="utf-8"))
    return tuple(dict.fromkeys(_asked(plays)))


def _asked(node: Any) -> Iterator[Asked]:
    if isinstance(node, list):
        for item in node:
            yield from _asked(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == GATE_MODULE:
                yield Asked(str(value["name"]), value.get("hold", True) is not False)
            elif isinstance(value, (list, dict)):
                yield from _asked(value)
