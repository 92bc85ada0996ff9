# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The checklist of other credentials, as the record has it: listed once, ticked one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .chain import Event
from .errors import UsageError

LISTED, ROTATED = "credentials.listed", "credential.rotated"
FIELDS = ("name", "owner", "how")


class Item(NamedTuple):
    """One credential; ``done_by`` is "" as long as nobody has said that it is replaced."""

    name: str
    owner: str
    how: str = ""
    done_by: str = ""
    done_at: str = ""


def credential_items(rows: object, source: str = "credentials") -> tuple[Item, ...]:
    """The entries of ``hft_credentials``. Raises UsageError."""
    if not isinstance(rows, (list, tuple)) or not rows:
        raise UsageError(f"{source}: nothing is in it; list name, owner and how in hft_credentials of the inventory")
    found: dict[str, Item] = {}
    for number, row in enumerate(rows, 1):
        where = f"{source}: entry {number}"
        if not isinstance(row, Mapping) or not all(isinstance(row.get(name), str) and row[name] for name in FIELDS[:2]):
            raise UsageError(f"{where}: 'name' and 'owner' are needed, and are texts")
        unknown = [name for name in row if name not in FIELDS]
        if unknown:
            raise UsageError(f"{where}: unknown field '{unknown[0]}'; known: {', '.join(FIELDS)}")
        if row["name"] in found:
            raise UsageError(f"{where}: '{row['name']}' is listed twice")
        found[row["name"]] = Item(row["name"], row["owner"], str(row.get("how") or ""))
    return tuple(found.values())


def items(events: Iterable[Event]) -> tuple[Item, ...]:
    """All that were ever listed, ticked or not: what a later list leaves out is not replaced thereby."""
    found: dict[str, Item] = {}
    for event in events:
        if event.kind == LISTED:
            for row in _rows(event.data.get("items")):
                name = str(row.get("name"))
                before = found.get(name, Item(name, ""))
                found[name] = before._replace(owner=str(row.get("owner")), how=str(row.get("how") or ""))
        elif event.kind == ROTATED and str(event.data.get("name")) in found:
            name = str(event.data.get("name"))
            found[name] = found[name]._replace(done_by=str(event.data.get("by")), done_at=event.at)
    return tuple(found.values())


def _rows(found: object) -> list[Mapping[str, object]]:
    """Of a line that somebody may have altered."""
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []
