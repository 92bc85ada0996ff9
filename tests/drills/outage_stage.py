# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A venue that breaks and heals from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from tests.drills.stage import PATIENCE_S, Stage
from tests.lab.waiting import wait_until

from ansible_collections.hft.incident.plugins.module_utils.incident import Incident
from ansible_collections.hft.incident.plugins.module_utils.venues.errors import VenueError
from hft_incident.drill.exchange_outage import BREAKS
from hft_incident.lab.lab import Lab
from hft_incident.lab.venue_handle import LabVenue


class OutageStage(Stage):
    """``exchange`` is the venue that breaks, ``other`` one that does not."""

    type = "exchange_outage"
    venues: ClassVar[Mapping[str, str]] = {"binance": "binance", "okx": "okx"}
    clocks: ClassVar[Mapping[str, str]] = {
        "hft_detect_timeout_s": "2",
        "hft_kill_interval_s": "0.05",
        "hft_watch_interval_s": "0.2",
        "hft_strategy_settle_s": "0.1",
        "hft_stability_window_s": "0.5",
    }
    resume_tags = "detect,recover,validate,review"

    def __init__(self, lab: Lab, scratch: Path) -> None:
        super().__init__(lab, scratch)
        self.exchange: LabVenue = lab.venues["binance"]
        self.other: LabVenue = lab.venues["okx"]

    def break_it(self, *faults: Mapping[str, Any]) -> None:
        """The drill's own faults, or these; returns once the trading system has noticed that it lost the exchange."""
        self.quoting()
        for fault in faults or BREAKS:
            self.exchange.inject(**fault)
        wait_until(lambda: not self.system.exchanges()["binance"].connected, PATIENCE_S)

    @contextmanager
    def healing(self, resumed: Incident | None = None, before: Callable[[], None] = lambda: None) -> Iterator[None]:
        """The venue comes back once the response waits for it; ``before`` is called in the middle of that wait."""

        def heal() -> None:
            before()
            self.exchange.clear_faults()

        with self.when("venue.watched", heal, resumed):
            yield

    def well(self) -> None:
        """Until all is as it was before: quotes at both venues, everything connected."""
        self.quoting()
        wait_until(self._connected, PATIENCE_S)

    def _connected(self) -> bool:
        try:
            return all(state.connected and state.enabled for state in self.system.exchanges().values())
        except VenueError:
            return False
