# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Looking at what was kept as evidence: who did, what and why is on record before anything is shown or copied.

Source: seed-faults A5 (a chain of custody ends where nobody writes down who has looked). What cannot be recorded is not
shown; what is not as it was put there is not handed out as if it were.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError, UnprovenError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.evidence_cipher import SUFFIX, opened
from ansible_collections.hft.incident.plugins.module_utils.evidence_manifest import (
    FACTS,
    MANIFEST,
    create,
    digest_of,
    facts_of,
    hash_of,
    is_safe_path,
)
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, find
from ansible_collections.hft.incident.plugins.module_utils.journal import actor_name

from .roles import person_named

ACCESSED, KEPT = "evidence.accessed", "evidence.kept"
STANDARD_OUTPUT = "-"


class Item(NamedTuple):
    """One thing that was kept, of which host, in which folder of the incident; ``facts`` as its manifest has them."""

    host: str
    folder: str
    name: str
    facts: Mapping[str, Any]

    @property
    def sha256(self) -> str | None:
        found = self.facts.get("sha256")
        return str(found) if found else None

    @property
    def is_encrypted(self) -> bool:
        return self.name.endswith(SUFFIX)

    def to_json(self) -> dict[str, Any]:
        shown = ("source", "size", "sha256", "plain", "restricted", "truncated", "error", "started_at", "ended_at")
        told = {field: self.facts.get(field) for field in shown}
        return {"host": self.host, "folder": self.folder, "name": self.name, **told}


class Listing(NamedTuple):
    """What there is, of one host or of all."""

    incident: str
    items: tuple[Item, ...]

    def to_json(self) -> dict[str, Any]:
        return {"incident": self.incident, "items": [item.to_json() for item in self.items]}

    def lines(self) -> Iterator[str]:
        folder = ""
        for item in self.items:
            if item.folder != folder:
                folder = item.folder
                yield f"{item.host}: {folder}"
            marks = ["restricted"] if item.facts.get("restricted") else []
            marks += ["encrypted"] if item.is_encrypted else []
            said = item.facts.get("error") or ", ".join(marks)
            size = "-" if item.sha256 is None else str(item.facts.get("size"))
            yield f"  {size:>12}  {item.name}" + (f"  ({said})" if said else "")
        if not self.items:
            yield f"{self.incident}: no evidence is on record"


class Copied(NamedTuple):
    """An item that was copied out, and where to; ``sha256`` is that of the copy."""

    incident: str
    host: str
    item: str
    to: str
    sha256: str
    decrypted: bool

    def to_json(self) -> dict[str, Any]:
        return self._asdict()

    def lines(self) -> list[str]:
        opened_too = ", decrypted" if self.decrypted else ""
        return [f"{self.item} of {self.host} copied to {self.to}{opened_too}: sha256 {self.sha256}"]


def listed(
    incident_id: str, *, reason: str, host: str | None = None, by: str | None = None, home: Path | None = None
) -> Listing:
    """What was kept, of ``host`` or of all. That somebody looked is on record when this returns.

    Raises UsageError without a reason or for an unknown host, IncidentError where it cannot be recorded.
    """
    incident = find(incident_id, home)
    items = tuple(_items(incident, host))
    _record(incident, by, reason, {"host": host, "item": None, "to": None, "decrypted": False})
    return Listing(incident.id, items)


def copied(
    incident_id: str,
    name: str,
    *,
    to: str,
    reason: str,
    host: str | None = None,
    by: str | None = None,
    identity: str | None = None,
    home: Path | None = None,
) -> Copied:
    """One item, proven and copied to the new file ``to`` ("-": standard output); with ``identity``, decrypted.

    Raises UsageError for an item that there is not or that several hosts have, a file that is there already or an
    identity that does not open it; UnprovenError where the item is not what was put there; IncidentError where it
    cannot be recorded.
    """
    incident = find(incident_id, home)
    item = _item(incident, name, host)
    if identity and not item.is_encrypted:
        raise UsageError(f"--identity: {item.name} is not encrypted")
    path = None if to == STANDARD_OUTPUT else os.path.abspath(to)
    if path and os.path.lexists(path):
        raise UsageError(f"--to: {path} is there already")
    _require_as_kept(incident, item)
    told = {"host": item.host, "item": item.name, "sha256": item.sha256, "to": path or STANDARD_OUTPUT}
    _record(incident, by, reason, {**told, "decrypted": bool(identity)})
    source = os.path.join(incident.directory, item.folder, item.name)
    sha256 = _copy(source, path, identity, item)
    return Copied(incident.id, item.host, item.name, path or STANDARD_OUTPUT, sha256, bool(identity))


def _record(incident: Incident, by: str | None, reason: str, told: Mapping[str, Any]) -> None:
    """Before anything is shown; raises IncidentError where it cannot be."""
    why = " ".join(reason.split())
    if not why or len(why) > 500:
        raise UsageError("--reason: say why, in 500 letters at most")
    incident.journal.append(ACCESSED, {"by": person_named(by or actor_name()), "reason": why, **told})


def _items(incident: Incident, host: str | None) -> Iterator[Item]:
    """By folder, as the journal has them; raises UsageError where there is nothing of this host."""
    known = {}
    for event in incident.journal.events():
        if event.kind == KEPT:
            known[str(event.data.get("folder"))] = event
    hosts = [_host(event) for event in known.values()]
    if host and host not in hosts:
        raise UsageError(
            f"--host: no evidence of {host!r} is on record; of: {', '.join(sorted(set(hosts))) or 'nobody'}"
        )
    for folder, event in known.items():
        if host in (None, _host(event)):
            facts = facts_of(os.path.join(incident.directory, folder))
            for row in facts.get("items", ()):
                yield Item(_host(event), folder, str(row.get("name")), row)


def _host(event: Event) -> str:
    return str(event.data.get("inventory_host") or event.data.get("host"))


def _item(incident: Incident, name: str, host: str | None) -> Item:
    """The newest of that name; an encrypted one may be named without its ending."""
    there = [item for item in _items(incident, host) if item.name in (name, name + SUFFIX) and item.sha256]
    hosts = sorted({item.host for item in there})
    if not there:
        raise UsageError(f"no item {name!r} was kept; `hft-incident evidence {incident.id}` lists them")
    if len(hosts) > 1:
        raise UsageError(f"{', '.join(hosts)} all have {name!r}: say --host")
    if not is_safe_path(there[-1].name):
        raise UnprovenError(f"{there[-1].folder}: its {FACTS} names what can be no item")
    return there[-1]


def _require_as_kept(incident: Incident, item: Item) -> None:
    """The item by its manifest, the manifest by the journal."""
    folder = os.path.join(incident.directory, item.folder)
    known = {event.data.get("manifest_sha256") for event in incident.journal.events()
             if event.kind == KEPT and event.data.get("folder") == item.folder}  # fmt: skip
    try:
        manifest = hash_of(os.path.join(folder, MANIFEST))[0]
        lines = Path(folder, MANIFEST).read_text("ascii").splitlines()
        told = hash_of(os.path.join(folder, FACTS))[0]
        found = hash_of(os.path.join(folder, item.name))[0]
    except (OSError, ValueError) as error:
        raise UnprovenError(f"{item.folder}: {getattr(error, 'strerror', None) or error}") from None
    entries = (f"{told}  {FACTS}", f"{found}  {item.name}")
    if manifest not in known or not set(entries) <= set(lines):
        raise UnprovenError(
            f"{item.name} of {item.host} is not what was put there; `hft-incident verify {incident.id}` says what is"
        )


def _copy(source: str, path: str | None, identity: str | None, item: Item) -> str:
    try:
        with open(source, "rb") as data, _into(path) as file:
            if identity:
                opened(data, file, identity)
            else:
                while part := data.read(1024 * 1024):
                    file.write(part)
        if path is None:
            return str(item.sha256)
        with open(path, "rb") as written:
            found = digest_of(written)[0]
    except OSError as error:
        raise IncidentError(f"{path or 'standard output'}: {(error.strerror or str(error)).lower()}") from None
    expected = (item.facts.get("plain") or {}).get("sha256") if identity else item.sha256
    if found != expected:
        os.unlink(path)
        raise UnprovenError(f"{item.name} of {item.host}: what came out is not what was put there")
    return found


@contextmanager
def _into(path: str | None) -> Iterator[IO[bytes]]:
    """A new file for its owner only, gone again where the copy fails; or standard output."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with create(path) as file:
        try:
            yield file
        except BaseException:
            os.unlink(path)
            raise
