# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Each venue, asked for its open orders with our key, and for its time. Nothing is cancelled, nothing is sent twice
that a venue could take for insistence."""

from __future__ import annotations

import time
from typing import NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.reading import Answer, read_venues
from ansible_collections.hft.incident.plugins.module_utils.venues.api import Venue
from ansible_collections.hft.incident.plugins.module_utils.venues.errors import VenueError

from . import clock
from .findings import BAD, OK, UNKNOWN, WARN, Finding
from .site import Site

#: What a failed listing means, and how to mend it, by the kind of the error.
_MENDS = {
    "auth": (BAD, "at the venue: is the key alive, may it read, is this address on its list? Then the venues file"),
    "clock_skew": (BAD, clock.MEND),
    "rate_limited": (UNKNOWN, "ask again later; give the responder a key of its own"),
    "banned": (BAD, "leave it alone until the ban ends; have another address or key for the red button"),
    "unavailable": (BAD, "from here: name, route, firewall, proxy, base_url, ca_file; then the venue's status page"),
    "rejected": (BAD, "name the lines that the account has in product_lines"),
    "settings": (BAD, "mend the entry in the venues file"),
}
_OTHERWISE = (UNKNOWN, "ask again; hft-incident kill would call it unknown too")


def mend_of(kind: str) -> tuple[str, str]:
    """The verdict on a venue that did not answer as it should, and the mend, by the kind of the error."""
    return _MENDS.get(kind, _OTHERWISE)


class Seen(NamedTuple):
    """``reading`` None: its clock could not be read, though its orders could."""

    orders: int
    reading: clock.Reading | None
    window_s: float


def venues(site: Site) -> list[Finding]:
    """A line for each venue, and one for its clock."""
    answers = read_venues(site.settings.venues, _look, site.deadline.remaining())
    return [finding for name, answer in answers.items() for finding in _findings(name, answer)]


def _look(venue: Venue) -> Seen:
    orders = len(venue.open_orders())
    window = clock.WRONG_S if venue.clock_window_ms is None else venue.clock_window_ms / 1000
    try:
        before = time.time()
        theirs = venue.server_time() / 1000
        return Seen(orders, clock.Reading(before, theirs, time.time(), step=1.0), window)
    except VenueError:
        return Seen(orders, None, window)


def _findings(name: str, answer: Answer[Seen]) -> list[Finding]:
    if answer.value is None:
        verdict, mend = mend_of(answer.kind)
        return [Finding("venue", name, verdict, answer.error or "no answer", mend)]
    seen = answer.value
    listed = Finding("venue", name, OK, f"our key lists {seen.orders} open orders")
    if seen.reading is None:
        return [listed, Finding("clock", name, WARN, "it does not tell its time", "ask again")]
    return [listed, clock.finding(name, seen.reading, seen.window_s)]
