# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a response itself puts on record, apart from what comes beside it when it comes."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from hft_incident.comms.measuring import BY

#: Said again while something is waited for, and told to people by another process.
BESIDE = ("venue.reported", "venue.watched", "communications.", "notice.", "war_room.")


def own(events: Iterable[Event]) -> list[Event]:
    return [event for event in events if not event.kind.startswith(BESIDE) and event.data.get("by") != BY]
