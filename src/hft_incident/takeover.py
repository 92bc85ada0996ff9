# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Taking over an incident that somebody else works on: on purpose, on record, and never by two at once."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident
from ansible_collections.hft.incident.plugins.module_utils.journal import actor_name
from ansible_collections.hft.incident.plugins.module_utils.run_lock import LOOK_S, Owner, busy, holder

from .processes import kill_tree

#: How long the other run has to close its record after it was asked to end, and after it was killed (s).
GRACE_S, END_S = 10.0, 5.0
POLL_S = 0.1


def require_idle(incident: Incident) -> None:
    """Raises UsageError that names who works on the incident now. A process that is just dying is waited for."""
    owner = holder(incident.directory)
    if owner and not _gone(incident, owner, LOOK_S):
        raise UsageError(busy(incident.id, owner))


def end_other_run(incident: Incident) -> None:
    """Ends the run that works on the incident now, if there is one, and records who took over from whom.

    Raises UsageError where it cannot be ended from here (another host, another user), before anything was done.
    """
    owner = holder(incident.directory)
    if owner is None:
        return
    if not owner.is_here or not owner.pid:
        raise UsageError(busy(incident.id, owner))
    by = actor_name()
    _signal(incident, owner, 0)  # may we?
    with suppress(IncidentError):  # it may have been stopped with the record locked; that is what ending it mends
        incident.journal.append("run.stop_requested", {"run": owner.run, "reason": f"taken over by {by}"})
    _signal(incident, owner, signal.SIGINT)
    if not _gone(incident, owner, GRACE_S):
        # Between this look and the signal the process may end, but its id is not given away that fast.
        if owner.is_alive:
            kill_tree(owner.pid)
        if not _gone(incident, owner, END_S):
            raise IncidentError(f"could not end the run of {owner}")
    incident.journal.append("run.taken_over", {"from": owner._asdict(), "by": by})


def _signal(incident: Incident, owner: Owner, number: int) -> None:
    try:
        if owner.is_alive:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(owner.pid, number)
    except PermissionError as error:
        raise UsageError(f"{incident.id} is being worked on by {owner}, whose process you may not end") from error


def _gone(incident: Incident, owner: Owner, patience: float) -> bool:
    until = time.monotonic() + patience
    while holder(incident.directory) == owner:
        if time.monotonic() > until:
            return False
        time.sleep(POLL_S)
    return True
