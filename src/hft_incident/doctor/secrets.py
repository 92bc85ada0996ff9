# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The venues file and every secret that it refers to: resolved here and now, as the red button would, and dropped."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.hft.incident.plugins.module_utils.secret_ref import SecretError, resolve
from ansible_collections.hft.incident.plugins.module_utils.settings import VENUE_SECRETS, SystemEntry, VenueEntry

from .findings import BAD, OK, Finding
from .site import Site, exposure

_FILE = "file:"
#: How to mend a reference that gives nothing, by its scheme.
_MENDS = {
    "env": "export it where hft-incident is started (of a service: EnvironmentFile=)",
    "file": "write it there, for the responder's account only: install -m 600",
    "cmd": "run the command by hand, as the account that runs hft-incident",
}


def venues_file(site: Site) -> list[Finding]:
    """Whom the red button speaks to is decided by this file, so nobody else may change it."""
    if not site.venues_path:
        return []  # said where it was looked for
    counted = f"{len(site.settings.venues)} venues, {len(site.settings.trading_systems)} trading systems"
    if who := exposure(site.venues_path):
        says, _, mend = who.partition("; ")
        return [Finding("venues file", "", BAD, f"{site.venues_path} {says}", mend)]
    return [Finding("venues file", "", OK, f"{site.venues_path}: {counted}")]


def references(site: Site) -> list[Finding]:
    """A line for each entry."""
    entries: list[VenueEntry | SystemEntry] = [*site.settings.venues, *site.settings.trading_systems]
    return [_entry(entry) for entry in entries]


def _entry(entry: VenueEntry | SystemEntry) -> Finding:
    if entry.fault:
        return Finding("secret", entry.name, BAD, entry.fault, "write it into the venues file")
    given = dict(_given(entry))
    for field, reference in given.items():
        if wrong := fault(reference, field):
            return Finding("secret", entry.name, BAD, *wrong)
    says = f"{', '.join(given)} can be read" if given else "it has none"
    return Finding("secret", entry.name, OK, says)


def fault(reference: str, field: str) -> tuple[str, str] | None:
    """What is wrong with a reference, and its mend; None where it gives a secret that is nobody else's to change."""
    try:
        resolve(reference, field)
    except SecretError as error:
        says, _, mend = str(error).partition("; ")
        return says, mend or _MENDS.get(reference.partition(":")[0], "write it as env:NAME, file:PATH or cmd:COMMAND")
    path = reference.removeprefix(_FILE)
    if path != reference and (who := exposure(path)):
        says, _, mend = who.partition("; ")
        return f"{field}: {path} {says}", mend
    return None


def _given(entry: VenueEntry | SystemEntry) -> Iterator[tuple[str, str]]:
    for field in VENUE_SECRETS if isinstance(entry, VenueEntry) else ("token",):
        if reference := getattr(entry, field):
            yield field, reference
