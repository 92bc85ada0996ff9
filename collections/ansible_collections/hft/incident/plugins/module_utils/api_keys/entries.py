# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``hft_api_keys`` of the inventory as typed entries, and how a key is named without telling it.

Source: seed-faults A8 (least privilege, address lists with the standby addresses, never a right to withdraw).
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import UsageError
from ..secret_stores.api import slot_name

FIELDS = ("name", "venue", "slot", "used_by", "permissions", "ip_allow_list", "key_id")
NEEDED = ("name", "venue", "slot", "ip_allow_list")
#: What a key that trades may be given; the rest is an intruder's.
PERMISSIONS = ("read", "trade")
#: Venues cut labels, and not every one takes more than letters and digits.
LABEL_LENGTH = 16


class KeyEntry(NamedTuple):
    """One key: at which venue, in which slot of the store, which trading systems use it, and what it may do.

    An empty ``ip_allow_list`` is a site's own word that the key may be used from everywhere.
    """

    name: str
    venue: str
    slot: str
    used_by: tuple[str, ...]
    permissions: frozenset[str]
    ip_allow_list: tuple[str, ...]


def key_entries(
    rows: object, venues: Collection[str], trading_systems: Collection[str], source: str = "keys"
) -> tuple[KeyEntry, ...]:
    """The checked entries. Raises UsageError naming the entry, what is wrong with it, and what it may be."""
    entries = rotated_keys(rows, source)
    for entry in entries:
        _known(entry.venue, venues, f"{source}: {entry.name}: venue")
        for name in entry.used_by:
            _known(name, trading_systems, f"{source}: {entry.name}: used_by")
    return entries


def rotated_keys(rows: object, source: str) -> tuple[KeyEntry, ...]:
    """Those that are kept in the store, each by itself. Raises UsageError."""
    if not isinstance(rows, (list, tuple)) or not rows:
        raise UsageError(f"{source}: there is no key in it; list them in hft_api_keys of the inventory")
    entries = tuple(
        _entry(row, f"{source}: entry {number}") for number, row in enumerate(rows, 1) if not _only_known(row)
    )
    if not entries:
        raise UsageError(f"{source}: none of these keys has a 'slot', which says where the store has it")
    _refuse_twins([entry.name for entry in entries], f"{source}: the name")
    _refuse_twins([entry.slot for entry in entries], f"{source}: the slot")
    _refuse_twins([label_prefix(entry.name) for entry in entries], f"{source}: two names give the label")
    return entries


def chosen(entries: Sequence[KeyEntry], only: Sequence[str]) -> tuple[KeyEntry, ...]:
    """Those that are named, by key or by venue; all where nothing is. Raises UsageError for what is neither."""
    for name in only:
        if not any(name in (entry.name, entry.venue) for entry in entries):
            known = ", ".join(entry.name for entry in entries)
            raise UsageError(f"only: there is no key or venue '{name}'; the keys are: {known}")
    return tuple(entry for entry in entries if not only or {entry.name, entry.venue} & set(only))


def fingerprint(key_id: str) -> str:
    """How a key is told apart from others in a record: enough to compare, too little to use."""
    return hashlib.sha256(key_id.encode()).hexdigest()[:12]


def label_prefix(name: str) -> str:
    """How every label of this key begins, whichever rotation made it."""
    return "ir" + hashlib.sha256(name.encode()).hexdigest()[:8]


def label_of(name: str, rotation: str) -> str:
    """The new key's name at the venue: says whose it is and which rotation made it, also when all else is lost."""
    return (label_prefix(name) + hashlib.sha256(rotation.encode()).hexdigest())[:LABEL_LENGTH]


def network(text: str) -> str:
    """An address or network in one way of writing, whichever the venue uses; raises ValueError."""
    found = ipaddress.ip_network(text.strip(), strict=False)
    return str(found.network_address) if found.num_addresses == 1 else str(found)


def _only_known(row: object) -> bool:
    """A key that the site has and that nobody rotates here: the responder's own, an administrator's."""
    return isinstance(row, Mapping) and "slot" not in row


def _entry(row: object, where: str) -> KeyEntry:
    if not isinstance(row, Mapping):
        raise UsageError(f"{where} is no entry: write {', '.join(NEEDED)}")
    if isinstance(row.get("name"), str) and row["name"]:
        where = f"{where} ({row['name']})"
    unknown = [name for name in row if name not in FIELDS]
    if unknown:
        raise UsageError(f"{where} has an unknown field '{unknown[0]}'; known: {', '.join(FIELDS)}")
    missing = [name for name in NEEDED if row.get(name) in (None, "")]
    if missing:
        raise UsageError(f"{where}: '{missing[0]}' is missing")
    permissions = _texts(row, "permissions", where) or PERMISSIONS
    beyond = [word for word in permissions if word not in PERMISSIONS]
    if beyond:
        raise UsageError(f"{where}: no key that trades is given '{beyond[0]}'; permissions: {', '.join(PERMISSIONS)}")
    return KeyEntry(
        name=_text(row["name"], "name", where),
        venue=_text(row["venue"], "venue", where),
        slot=slot_name(row["slot"], where),
        used_by=_texts(row, "used_by", where),
        permissions=frozenset(permissions),
        ip_allow_list=tuple(_network(text, where) for text in _texts(row, "ip_allow_list", where)),
    )


def _text(value: Any, name: str, where: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{where}: '{name}' must be text")
    return value


def _texts(row: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    value = row.get(name, [])
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"{where}: '{name}' must be a list of texts")
    return tuple(value)


def _network(text: str, where: str) -> str:
    try:
        return network(text)
    except ValueError:
        raise UsageError(f"{where}: ip_allow_list: '{text}' is no address or network") from None


def _known(name: str, known: Collection[str], where: str) -> None:
    if name not in known:
        raise UsageError(f"{where}: there is no '{name}'; the inventory has: {', '.join(known) or 'none'}")


def _refuse_twins(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UsageError(f"{what} '{name}' is used twice; each key needs its own")
        seen.add(name)
