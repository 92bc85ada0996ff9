# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""All subjects at once, each on a thread of its own, until one deadline."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ansible_collections.hft.incident.plugins.module_utils.deadline import Deadline
from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import home_directory
from ansible_collections.hft.incident.plugins.module_utils.reading import answers
from ansible_collections.hft.incident.plugins.module_utils.settings import Settings

from .. import venues_file
from ..inventory import inventory_sources, plain_file
from . import accounts, inventory, machine, messages, record, secrets, systems, venues
from .findings import BAD, UNKNOWN, WARN, Diagnosis, Finding
from .site import Site

TIMEOUT_S = 30.0
#: How much of the time the subjects have, so that what they have found by then is told in the rest.
SHARE = 0.9
Examine = Callable[[Site], list[Finding]]

#: What is looked at, in the order in which it is told.
SUBJECTS: Mapping[str, Examine] = {
    "machine": machine.programs,
    "state": machine.state,
    "journal": record.journals,
    "leftover": record.leftovers,
    "venues file": secrets.venues_file,
    "secret": secrets.references,
    "venue": venues.venues,
    "account": accounts.accounts,
    "trading system": systems.systems,
    "inventory": inventory.inventory,
    "severity": messages.severity,
    "messages": messages.messages,
}
_NO_FILE = Settings((), ())


def diagnose(given: str | None = None, *, home: Path | None = None, timeout: float = TIMEOUT_S) -> Diagnosis:
    """Everything about this jumphost and the inventory ``given``, or the one that a response would find.

    ``timeout`` in seconds bounds it all. Raises UsageError where a named inventory is not there.
    """
    started = time.monotonic()
    deadline = Deadline(timeout)
    site, findings = site_of(given, home or home_directory(), deadline.within(timeout * SHARE))
    told = answers({name: partial(examine, site) for name, examine in SUBJECTS.items()}, deadline)
    for name, answer in told.items():
        missing = Finding(name, "", UNKNOWN, answer.error or "no answer", "ask again; with --timeout, give more time")
        findings += [missing] if answer.value is None else answer.value
    return Diagnosis(tuple(findings), time.monotonic() - started)


def site_of(given: str | None, home: Path, deadline: Deadline) -> tuple[Site, list[Finding]]:
    """What all checks look at, and what was wrong with finding it. Raises UsageError as ``diagnose``."""
    sources, findings = _sources(given, home)
    path, settings, found = _venues(given, sources)
    return Site(home, sources, path, settings, deadline), [*findings, *found]


def _sources(given: str | None, home: Path) -> tuple[tuple[str, ...], list[Finding]]:
    """The inventory; where none was named and the one that is configured is not there, that is a finding."""
    try:
        return tuple(inventory_sources(given, home)), []
    except UsageError as error:
        if given is not None:
            raise
        return (), [Finding("inventory", "", BAD, str(error), "correct ansible.cfg or ANSIBLE_INVENTORY, or name -i")]


def _venues(given: str | None, sources: tuple[str, ...]) -> tuple[str, Settings, list[Finding]]:
    """The file that the red button reads: that of the inventory which was named, else the one that it finds itself."""
    beside = plain_file(sources)
    try:
        path = beside if given is not None and beside else venues_file.find()
        settings = venues_file.load(path)
    except UsageError as error:
        mend = f"keep hft_venues and hft_trading_systems in {venues_file.IN_INVENTORY} of the inventory"
        return "", _NO_FILE, [Finding("venues file", "", BAD, f"the red button finds none: {error}", mend)]
    if beside and os.path.realpath(beside) != os.path.realpath(path):
        says = f"the red button reads {path}, playbooks read {beside}"
        return path, settings, [Finding("venues file", "", WARN, says, f"unset {venues_file.ENV_VENUES}, or agree")]
    return path, settings, []
