# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""`hft-incident key put`: a key that a person made on a venue's website, into the secret store, for the rotation to go
on with. Asked for without echo, or read as JSON from standard input; never an argument, which everybody on the machine
could read."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.api_keys.entries import KeyEntry, fingerprint, rotated_keys
from ansible_collections.hft.incident.plugins.module_utils.deadline import Deadline
from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import home_directory
from ansible_collections.hft.incident.plugins.module_utils.secret_ref import Secret
from ansible_collections.hft.incident.plugins.module_utils.secret_stores import open_store
from ansible_collections.hft.incident.plugins.module_utils.secret_stores.api import ABSENT, NEXT, Stored

from .inventory import inventory_sources, plain_variable
from .roles import person_named

PARTS = ("id", "secret", "passphrase")
MAX_BYTES = 64 * 1024
LOCK_S = 5.0


class Put(NamedTuple):
    """What was stored where; the fingerprint names the key in the record."""

    key: str
    slot: str
    fingerprint: str
    in_use: bool

    def to_json(self) -> dict[str, Any]:
        return self._asdict()

    def lines(self) -> list[str]:
        where = "as the key in use" if self.in_use else "as the new key; run the rotation again: it verifies it"
        return [f"{self.key}: key {self.fingerprint} is in the store, {where}"]


def put(name: str, inventory: str | None, *, in_use: bool = False, seen_by: str = "", home: Path | None = None) -> Put:
    """Store what the person gives. ``in_use``: it is the one that the trading systems use, for a store without one.
    ``seen_by``: who has seen on the website what it may do and from where, since some venues do not tell.

    Raises UsageError for what cannot be meant or is no key, StoreError and Busy.
    """
    sources = inventory_sources(inventory, home or home_directory())
    entry = _entry(name, plain_variable(sources, "hft_api_keys"))
    spec = plain_variable(sources, "hft_secret_store")
    if not isinstance(spec, Mapping):
        raise UsageError("hft_secret_store of the inventory must be a mapping with 'kind'")
    store = open_store(spec)
    witness = person_named(seen_by) if seen_by else ""
    given = (_asked(entry) if sys.stdin.isatty() else _read())._replace(seen_by=witness)
    slot = entry.slot if in_use else entry.slot + NEXT
    with store.lock(entry.slot, Deadline(LOCK_S)):
        found = store.read(slot)
        if found and in_use:
            raise UsageError(
                f"{entry.name} has a key in use already; leave out --in-use to put the one that follows it"
            )
        if found and found.rotation:
            raise UsageError(
                f"rotation {found.rotation} has made a key that is not in its place yet: run it again first"
            )
        store.write(slot, given, found.version if found else ABSENT)
    return Put(entry.name, entry.slot, fingerprint(given.id), in_use)


def _entry(name: str, rows: object) -> KeyEntry:
    entries = {entry.name: entry for entry in rotated_keys(rows, "hft_api_keys")}
    if name not in entries:
        raise UsageError(f"there is no key '{name}' in hft_api_keys; it has: {', '.join(entries)}")
    return entries[name]


def _asked(entry: KeyEntry) -> Stored:
    print(f"The key for {entry.name}, which nobody will see as you type it.", file=sys.stderr)
    parts = {
        "id": getpass.getpass("API key (id): "),
        "secret": getpass.getpass("Secret: "),
        "passphrase": getpass.getpass("Passphrase (none: just Enter): "),
    }
    return _key(parts)


def _read() -> Stored:
    text = sys.stdin.buffer.read(MAX_BYTES + 1)
    try:
        found = json.loads(text) if len(text) <= MAX_BYTES else None
    except (ValueError, RecursionError):
        found = None  # what stands there may be a secret
    if not isinstance(found, dict):
        raise UsageError('standard input is no JSON object: {"id": …, "secret": …, "passphrase": …}')
    unknown = len([name for name in found if name not in PARTS])
    if unknown:
        raise UsageError(f"standard input has {unknown} fields too many; a key has: {', '.join(PARTS)}")
    return _key(found)


def _key(parts: Mapping[str, Any]) -> Stored:
    """Raises UsageError, which never shows a part."""
    texts: dict[str, str] = {}
    for name in PARTS:
        value = parts.get(name) or ""
        text = value.strip() if isinstance(value, str) else "\n"
        if not text.isprintable() or any(map(str.isspace, text)):
            raise UsageError(f"the key's {name} is not one word of printable characters")
        texts[name] = text
    for name in ("id", "secret"):
        if not texts[name]:
            raise UsageError(f"the key has no {name}")
    passphrase = Secret(texts["passphrase"]) if texts["passphrase"] else None
    return Stored(texts["id"], Secret(texts["secret"]), passphrase)
