# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The one time scale of the report's pictures: the same moment stands at the same place in all of them.

It is linear, so that a wait looks as long as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.chain import Event

from .metrics import instant

#: ``LEFT`` leaves room for the names of the rows.
WIDTH, LEFT, MARGIN = 1000.0, 190.0, 12.0
#: A name longer than this does not fit there.
NAME_LIMIT = 28

Timed = tuple[datetime, Event]


class Scale(NamedTuple):
    """``first`` and ``last``: the journal lines that the two ends are; ``length`` in seconds, above 0."""

    start: datetime
    length: float
    first: Event
    last: Event

    def x(self, moment: datetime) -> float:
        """Where a moment stands; one from outside the record stands at its end."""
        share = min(max((moment - self.start).total_seconds() / self.length, 0.0), 1.0)
        return round(LEFT + share * (WIDTH - LEFT - MARGIN), 1)


def timed(events: Sequence[Event]) -> list[Timed]:
    """The events whose time can be read, the earliest first."""
    found = [(moment, event) for event in events if (moment := instant(event.at)) is not None]
    return sorted(found, key=lambda one: one[0])


def scale_of(found: Sequence[Timed]) -> Scale | None:
    """None where fewer than two moments can be told apart."""
    if not found or found[0][0] == found[-1][0]:
        return None
    (start, first), (end, last) = found[0], found[-1]
    return Scale(start, (end - start).total_seconds(), first, last)


def short(name: str) -> str:
    """A name that fits beside its row."""
    return name if len(name) <= NAME_LIMIT else f"{name[: NAME_LIMIT - 1]}…"
