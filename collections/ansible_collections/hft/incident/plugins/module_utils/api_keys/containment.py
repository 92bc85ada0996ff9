# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""In a breach, before a key is revoked: that no order is open, as the venue itself lists them to the responder's own
key. That no money is on its way out is ``withdrawal_freeze``'s."""

from __future__ import annotations

from ..deadline import Deadline
from ..errors import IncidentError
from ..secret_ref import SecretError
from ..settings import VenueEntry
from ..venues import open_venue
from ..venues.errors import VenueError
from .witness import REQUEST_S

CANCELS = 3


def open_orders_left(entry: VenueEntry, until: Deadline) -> str | None:
    """None once the venue lists none, cancelled again where it did; else why that is not proven."""
    try:
        venue = open_venue(entry, request_timeout=REQUEST_S)
        venue.http.deadline = until
        for _attempt in range(CANCELS):
            orders = venue.open_orders()
            if not orders:
                return None
            venue.cancel_all(orders)
        left = venue.open_orders()
    except (VenueError, IncidentError, SecretError) as error:
        return str(error)
    return f"{len(left)} orders are open" if left else None
