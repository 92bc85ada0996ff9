# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What is on record: every journal as it was written, and nothing left behind by an incident."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError
from ansible_collections.hft.incident.plugins.module_utils.incident import (
    Incident,
    State,
    kills_journal,
    list_incidents,
    state_of,
)
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from ansible_collections.hft.incident.plugins.module_utils.run_lock import holder

from .findings import BAD, OK, WARN, Finding
from .site import Site

_VERDICTS = {"intact": OK, "torn": WARN, "altered": BAD}
_MENDS = {
    "torn": "go on with it, which sets the torn line aside: hft-incident resume",
    "altered": "keep it as evidence, and compare it with the copy on your log host: hft-incident verify",
}


def journals(site: Site) -> list[Finding]:
    """One line for all that are intact, one for each that is not."""
    incidents = list_incidents(site.home)
    places = [(incident.id, incident.journal.path) for incident in incidents]
    kills = kills_journal(site.home).path
    places += [("kills", kills)] if os.path.exists(kills) else []
    wrong = []
    for name, path in places:
        try:
            found = verify(path)
        except IncidentError as error:
            wrong.append(Finding("journal", name, BAD, str(error), "restore it from a copy, or find out who took it"))
            continue
        if found.state != "intact":
            wrong.append(
                Finding("journal", name, _VERDICTS[found.state], found.reason, f"{_MENDS[found.state]} {name}")
            )
    intact = len(places) - len(wrong)
    return [*wrong, Finding("journal", "", OK, f"{intact} intact")]


def leftovers(site: Site) -> list[Finding]:
    """Incidents that are still open, and changes that nobody has undone."""
    found = [finding for incident in list_incidents(site.home) for finding in _left(incident)]
    return found or [Finding("leftover", "", OK, "no incident is open, and nothing is left to undo")]


def _left(incident: Incident) -> Iterator[Finding]:
    try:
        state = state_of(incident.journal.events())
    except IncidentError:
        return  # said of its journal
    if state.check or not (state.is_open or state.inverses):
        return
    undone = f"{len(state.inverses)} changes not undone ({_first(state)})" if state.inverses else "nothing to undo"
    if state.is_open and holder(incident.directory):
        yield Finding("leftover", incident.id, WARN, f"open, a response is at work; {undone}", "let it end")
    elif state.is_open:
        yield Finding("leftover", incident.id, WARN, f"open; {undone}", f"hft-incident resume {incident.id}")
    else:
        mend = f"see what each was and undo it by hand: hft-incident status {incident.id}"
        yield Finding("leftover", incident.id, WARN, f"closed, with {undone}", mend)


def _first(state: State) -> str:
    more = "; …" if len(state.inverses) > 1 else ""
    return f"{state.inverses[0].describe}{more}"
