# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A trading system that is killed in the middle of quoting, and the whole drill of any fault."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.drills.crash_trials import CLOCKS, TYPE, VENUES
from tests.drills.stage import Ran, Stage, command_lines

from ansible_collections.hft.incident.plugins.module_utils.approvals import to_bytes
from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.ssh_signature import sign
from hft_incident.drill import drill
from hft_incident.drill.system_crash import FAULTS, Killed
from hft_incident.lab.lab import Lab
from hft_incident.progress import watching

#: The faults that hold the response until somebody has mended something.
MENDED = [name for name, fault in FAULTS.items() if "mend" in vars(fault)]


def passes_every_line(fault: str, home: Path) -> None:
    """The drill of this fault as the command plays it, with all venues."""
    with watching(io.StringIO()) as view:
        scored = drill(TYPE, fault, home, view)
    assert [line for line in scored.lines if not line.passed] == [], scored.outcome.reason
    assert scored.passed
    assert scored.fault == fault
    assert scored.approved_by == ("alice@lab.example", "bob@lab.example")
    # In a crash loop each start cancels what the one before has left: how much the response still finds is chance.
    assert scored.orders_killed > 0 or fault == "crash_loop"
    assert command_lines(str(home)) == [], "the lab is gone with its drill"


class CrashStage(Stage):
    """``host`` is the trading system's own: its units, hold file and log."""

    type = TYPE
    venues = VENUES
    clocks = CLOCKS
    resume_tags = "detect,observe,quiet,latch,authority,open,trade,validate,review"
    # Nothing but a response starts it in the time that a test takes; the race with systemd has drills of its own.
    restart = "on-failure"
    restart_s = 3600.0

    def __init__(self, lab: Lab, scratch: Path) -> None:
        super().__init__(lab, scratch)
        (self.host,) = lab.trading_systems.values()

    def wrapper(self, *words: str, **inputs: str) -> Ran:
        """With the running lab's own inventory: its venues can be read without Ansible, so the button comes first."""
        return super().wrapper("-i", str(self.lab.inventory), *words, **inputs)

    def break_it(self) -> None:
        """Kill it; returns once it does not answer."""
        self.quoting()
        Killed(self.lab).break_it()

    def kill_observer(self) -> None:
        """What observes dies, and nobody starts it again but a response."""
        self.host.systemctl("kill", "-s", "KILL", self.host.observe_unit)

    def starts(self, unit: str = "") -> int:
        """How often this unit, by default the live one, has been started."""
        wanted = unit or self.host.unit
        return sum(name == wanted and what == "started" for _at, name, what in self.host.unit_log())

    def placed(self) -> int:
        """How many orders all venues together have ever taken."""
        return sum(h.kind == "placed" for venue in self.lab.venues.values() for h in venue.truth().happenings)

    def live_orders(self) -> int:
        return sum(len(venue.truth().open_orders) for venue in self.lab.venues.values())

    def is_shut(self) -> bool:
        """By each part: the hold file, the unit, and what observes in its place."""
        observes = self.system.health().mode == "observe" and self.system.killswitch_active()
        return observes and self.host.hold_file.exists() and "inactive" in self.active_state()

    def active_state(self) -> str:
        return self.host.systemctl("show", "-p", "ActiveState", self.host.unit)

    def signed_by(self, person: str, events: Sequence[Event]) -> dict[str, Any]:
        """What a forger puts in the place of the last approval: its statement and its name, signed with another key."""
        given = events[-1].data
        return {**given, "sshsig": sign(to_bytes(given["statement"]), str(self.lab.people[person]))}
