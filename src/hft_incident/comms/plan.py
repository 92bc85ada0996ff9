# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What the policy comes to for one incident, put on record once: whoever serves it later, under whatever files, derives
the same notices from it. Pure rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.policy_files import fingerprints
from ansible_collections.hft.incident.plugins.module_utils.severity import Rules, respond_within_s

from .policy import SEVERITIES, UNTIL, Policy, Row, rows

PLANNED = "communications.planned"
#: An input of the run by which a drill lets waiting go faster.
TIME_SCALE = "hft_time_scale"


class Steps(NamedTuple):
    """The ladder: who is paged next, ``within_s`` seconds apart by severity, as long as nobody has it."""

    audience: str
    people: tuple[str, ...]
    within_s: Mapping[int, float]


class Room(NamedTuple):
    """A war room for this severity or worse, and for what lasts longer than ``after_s``."""

    severity: int
    after_s: float
    private: bool


class Plan(NamedTuple):
    """``line``: where it stands in the journal. Seconds are as the policy has them; ``time_scale`` shortens them.
    ``code_name``: what the incident is called wherever somebody else may read it; "" where it is no secret."""

    line: int
    time_scale: float
    late_after_s: float
    unjudged_for_s: float
    exposure_every_s: float
    rows: tuple[Row, ...]
    ladder: Steps
    room: Room
    gates: Mapping[str, Any]
    code_name: str = ""

    def row(self, severity: int, audience: str) -> Row | None:
        return next((row for row in self.rows if (row.severity, row.audience) == (severity, audience)), None)

    def audiences(self) -> list[str]:
        return list(dict.fromkeys(row.audience for row in self.rows))


def planned(
    policy: Policy, severities: Rules, incident_type: str, inputs: Mapping[str, Any], code_name: str = ""
) -> dict[str, Any]:
    """The data of ``communications.planned``; the response times are those of the severity rules. ``code_name``: for an
    incident that is spoken of with care."""
    discreet = incident_type in policy.discreet.types
    within = {
        str(severity): seconds
        for severity in policy.ladder.severities
        if (seconds := respond_within_s(severities, incident_type, severity)) is not None
    }
    return {
        "type": incident_type,
        "time_scale": _scale(inputs.get(TIME_SCALE), policy.time_scale),
        "late_after_s": policy.late_after_s,
        "unjudged_for_s": policy.unjudged_for_s,
        "exposure_every_s": policy.exposure_every_s,
        "rows": [row._asdict() for row in rows(policy, incident_type)],
        "ladder": {"audience": policy.ladder.audience, "people": policy.ladder.people, "within_s": within},
        "war_room": {
            "severity": policy.war_room.severity,
            "after_s": policy.war_room.after_s,
            "private": discreet,
        },
        "code_name": code_name if discreet else "",
        "gates": dict(policy.gates),
        "sources": fingerprints(policy.sources),
    }


def plan_of(events: Sequence[Event]) -> Plan | None:
    """The plan on record, the first if there were two; None where there is none that can be read."""
    for event in events:
        if event.kind == PLANNED and (plan := _read(event)) is not None:
            return plan
    return None


def _read(event: Event) -> Plan | None:
    data = event.data
    try:
        ladder, room = data["ladder"], data["war_room"]
        return Plan(
            event.seq,
            max(float(data["time_scale"]), 1e-6),
            float(data["late_after_s"]),
            float(data["unjudged_for_s"]),
            max(float(data["exposure_every_s"]), 1e-6),
            tuple(_row(row) for row in data["rows"]),
            Steps(
                str(ladder["audience"]),
                tuple(map(str, ladder["people"])),
                {int(severity): float(seconds) for severity, seconds in ladder["within_s"].items()},
            ),
            Room(int(room["severity"]), float(room["after_s"]), bool(room["private"])),
            dict(data["gates"]),
            str(data.get("code_name") or ""),
        )
    except (LookupError, TypeError, ValueError, AttributeError):  # an altered line, which `verify` tells
        return None


def _row(data: Mapping[str, Any]) -> Row:
    if data["severity"] not in SEVERITIES or data["until"] not in UNTIL:
        raise ValueError("not a row of the plan")
    return Row(
        data["severity"],
        str(data["audience"]),
        float(data["first_s"]),
        None if data["every_s"] is None else max(float(data["every_s"]), 1e-3),
        data["until"],
        tuple(map(str, data["at_once"])),
        tuple(map(str, data["channels"])),
        str(data["wording"]),
        None if data["gate"] is None else str(data["gate"]),
        tuple(map(str, data["rules"])),
    )


def _scale(given: Any, usual: float) -> float:
    """An input is text; one that is no number over 0 is none."""
    try:
        asked = float(given)
    except (TypeError, ValueError):
        return usual
    return asked if 0 < asked < float("inf") else usual
