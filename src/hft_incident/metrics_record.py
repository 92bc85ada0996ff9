# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What `hft-incident metrics` prints: how long things took, over all incidents and their drills, or in one of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, home_directory, list_incidents
from ansible_collections.hft.incident.plugins.module_utils.journal import verify

from .metrics import Metrics, label, measure, totals
from .report_tables import NOT_KNOWN, seconds
from .sentences import plain


class Measured(NamedTuple):
    """One incident; ``state``: intact, torn, altered, or missing where there is no journal. ``home``: whose it is."""

    id: str
    home: Path
    state: str
    metrics: Metrics

    @property
    def counts(self) -> bool:
        """Figures of a record that was altered prove nothing, so they are in no total."""
        return self.state in ("intact", "torn")

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "home": str(self.home), "record": self.state, **self.metrics.to_json()}


def measured_home(home: Path | None = None) -> list[Measured]:
    """Every incident of the home, the oldest first, then those of its drills, which have homes of their own."""
    where = home or home_directory()
    drills = sorted((where / "drills").glob("*")) if (where / "drills").is_dir() else []
    return [measured(incident, place) for place in (where, *drills) for incident in list_incidents(place)]


def measured(incident: Incident, home: Path) -> Measured:
    """One incident, with how far its record can be believed."""
    try:
        state: str = verify(incident.journal.path).state
        events = incident.journal.events()
    except IncidentError:  # an incident that was being opened when the power went
        state, events = "missing", []
    return Measured(incident.id, home, state, measure(events))


def metrics_payload(found: Sequence[Measured]) -> dict[str, Any]:
    """`metrics --json`: every incident, and the totals over those whose record counts."""
    counted = totals(one.metrics for one in found if one.counts)
    return {"incidents": [one.to_json() for one in found], "totals": [total._asdict() for total in counted]}


def metrics_lines(found: Sequence[Measured]) -> list[str]:
    """A table of the totals, real incidents first; then what is not in it and why."""
    if not found:
        return ["no incidents on record"]
    table = [("WHAT", "MEASURE", "KNOWN OF", "MEDIAN", "P90")]
    table += [
        (total.nature, label(total.span), f"{total.known}/{total.of}", seconds(total.median_s), seconds(total.p90_s))
        for total in totals(one.metrics for one in found if one.counts)
    ]
    left_out = [f"not counted: {one.id}: its record is {one.state}" for one in found if not one.counts]
    return [*_aligned(table), *map(plain, left_out)]


def incident_metrics_lines(one: Measured) -> list[str]:
    """The moments and spans of one incident, with the journal line of each, or why there is none."""
    moments = [
        (name, moment.at or NOT_KNOWN, *_proof(moment.why, () if moment.line is None else (moment.line,)))
        for name, moment in one.metrics.moments.items()
    ]
    spans = [
        (label(name), seconds(span.seconds), *_proof(span.why, span.lines)) for name, span in one.metrics.spans.items()
    ]
    head = f"{one.id}: {one.metrics.nature}, record {one.state}"
    return [head, *(f"  {line}" for line in _aligned([*moments, *spans]))]


def _proof(why: str, lines: Sequence[int]) -> tuple[str, str]:
    return " ".join(f"#{line}" for line in lines) or "-", plain(why)


def _aligned(table: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
