# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Rows of the timeline picture: the severity as a stepped band, and the notices, a lane an audience and channel.

Geometry only. How a notice stands is told by its shape, so that print and color-blind readers see it too: a filled bar
from due to sent, a hollow one where that was late, a cross where it was never sent, a ring where it still waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from .metrics import instant
from .report_notices import STANDINGS, Standing, Told
from .report_scale import Scale, Timed, short
from .sentences import plain

STEP = 5.0  #: what one degree of severity is high
BAND = 4 * STEP
LANE = 13.0
#: More lanes than this would be a wall; the notices of the rest share the last.
MAX_LANES = 16
_SEVERITY_KINDS = ("incident.opened", "severity.set")
Shape = Literal["bar", "late", "cross", "ring"]
_SHAPES: dict[Standing, Shape] = {
    "sent": "bar", "late": "late", "not_sent": "cross", "failed": "ring", "withheld": "ring", "silent": "cross",
    "superseded": "ring", "due": "ring",
}  # fmt: skip
#: A cross or ring is so wide; a bar at least so much less that it can be seen.
SIGN, THINNEST = 7.0, 2.5


class Step(NamedTuple):
    """One stretch at one severity; the worse, the higher."""

    x: float
    y: float
    width: float
    height: float
    severity: int
    label: str
    title: str
    line: int


class Lane(NamedTuple):
    y: float
    name: str


class Sign(NamedTuple):
    """One notice on one channel, where it was due; ``width``: until it was sent."""

    x: float
    y: float
    width: float
    shape: Shape
    title: str
    line: int


def steps(found: Sequence[Timed], scale: Scale, top: float) -> tuple[Step, ...]:
    """The severity from each change until the next; where none is known the band has a gap."""
    changes = [(moment, event) for moment, event in found if event.kind in _SEVERITY_KINDS]
    ends = [moment for moment, _ in changes[1:]] + [moment for moment, _ in found[-1:]]
    drawn = []
    for (moment, event), end in zip(changes, ends, strict=False):
        severity = event.data.get("severity")
        if severity not in (1, 2, 3, 4) or isinstance(severity, bool):
            continue
        x = scale.x(moment)
        width = max(round(scale.x(end) - x, 1), THINNEST)
        title = f"severity {severity}, from {plain(event.at)} until {end:%H:%M:%S}"
        label = f"SEV {severity}" if width > 40 else ""
        y, height = top + (severity - 1) * STEP, (5 - severity) * STEP
        drawn.append(Step(x, y, width, height, int(severity), label, title, event.seq))
    return tuple(drawn)


def lanes(told: Sequence[Told], top: float) -> dict[tuple[str, str], Lane]:
    """By audience and channel, in the order in which they first had a notice."""
    keys = list(dict.fromkeys(_key(one) for one in told))
    placed = {}
    for place, (audience, channel) in enumerate(keys):
        at = min(place, MAX_LANES - 1)
        name = " · ".join(filter(None, (audience, channel)))
        if len(keys) > MAX_LANES and at == MAX_LANES - 1:
            name = "more"
        placed[audience, channel] = Lane(round(top + at * LANE, 1), short(plain(name)))
    return placed


def signs(told: Sequence[Told], scale: Scale, placed: dict[tuple[str, str], Lane]) -> tuple[Sign, ...]:
    """Those that went wrong come last, so that nothing covers them; one that was due at no readable time has none."""
    drawn = [_sign(one, due, scale, placed[_key(one)].y) for one in told if (due := instant(one.due_at)) is not None]
    return tuple(sorted(drawn, key=lambda sign: sign.shape != "bar"))


def _key(one: Told) -> tuple[str, str]:
    return one.audience, one.channel or ""


def _sign(one: Told, due: datetime, scale: Scale, y: float) -> Sign:
    shape = _SHAPES[one.standing]
    x, sent = scale.x(due), instant(one.sent_at)
    width = SIGN if sent is None else max(round(scale.x(sent) - x, 1), THINNEST)
    says = STANDINGS[one.standing][0]
    title = plain(f"{one.notice[:80]}, due {due:%H:%M:%S}: {says}" + (f" {sent:%H:%M:%S}" if sent else ""))
    return Sign(x, y, width, shape, title, one.deciding)
