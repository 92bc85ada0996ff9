# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The venues file as typed entries (contracts.md, "The venues file"): ``hft_venues`` and ``hft_trading_systems``.

A fault of the file as a whole, or a secret written in clear, is refused before anything is sent. A fault in one
entry is kept in that entry, so that it makes one venue unknown and leaves the others to be killed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from .errors import UsageError
from .secret_ref import is_reference

ADMIN_SECRETS = ("admin_api_key", "admin_api_secret", "admin_api_passphrase")
VENUE_SECRETS = ("api_key", "api_secret", "api_passphrase", *ADMIN_SECRETS)


class SettingsError(UsageError):
    """The venues file, or one entry of it, cannot be used; the message names the field and never a secret's value."""


class VenueEntry(NamedTuple):
    """One account at one venue. Secrets are references; ``fault`` says why the entry cannot be used (None: it can)."""

    name: str
    driver: str
    base_url: str | None = None
    ca_file: str | None = None
    api_key: str | None = None
    api_secret: str | None = None
    api_passphrase: str | None = None
    product_lines: tuple[str, ...] = ()  #: only these (empty: every line that the venue has)
    symbols: tuple[str, ...] = ()  #: for venues that list fills by symbol only
    admin_api_key: str | None = None  #: a key that may manage keys and withdrawals (None: only api_key is there)
    admin_api_secret: str | None = None
    admin_api_passphrase: str | None = None
    sub_account: str | None = None  #: whose keys are managed, where a venue keeps keys by sub-account
    fault: str | None = None


class SystemEntry(NamedTuple):
    """One trading system's API; ``token`` is a reference."""

    name: str
    url: str
    token: str | None = None
    ca_file: str | None = None
    fault: str | None = None


class Settings(NamedTuple):
    venues: tuple[VenueEntry, ...]
    trading_systems: tuple[SystemEntry, ...]


Entry = TypeVar("Entry", VenueEntry, SystemEntry)


def parse(document: object, source: str = "the venues file") -> Settings:
    """The entries of a decoded venues file; raises SettingsError where the file as a whole cannot be used."""
    if not isinstance(document, Mapping) or "hft_venues" not in document:
        raise SettingsError(
            f"{source}: no 'hft_venues' in it: a list of venues, each with name, driver, api_key and api_secret"
        )
    return Settings(
        venue_entries(document["hft_venues"], source),
        system_entries(document.get("hft_trading_systems") or [], source),
    )


def venue_entries(rows: object, source: str = "venues") -> tuple[VenueEntry, ...]:
    entries = tuple(_venue(row, where) for row, where in _named_rows(rows, "hft_venues", source))
    _refuse_duplicates([entry.name for entry in entries], source)
    return entries


def system_entries(rows: object, source: str = "trading_systems") -> tuple[SystemEntry, ...]:
    entries = tuple(_system(row, where) for row, where in _named_rows(rows, "hft_trading_systems", source))
    _refuse_duplicates([entry.name for entry in entries], source)
    return entries


def select(entries: Sequence[Entry], names: Sequence[str], what: str = "venue") -> tuple[Entry, ...]:
    """The entries with these names (all where none is given); raises SettingsError naming the known ones."""
    known = {entry.name: entry for entry in entries}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SettingsError(f"unknown {what} '{unknown[0]}'; the venues file has: {', '.join(known) or 'none'}")
    return tuple(known[name] for name in dict.fromkeys(names)) if names else tuple(entries)


def _named_rows(rows: object, field: str, source: str) -> list[tuple[Mapping[str, Any], str]]:
    if isinstance(rows, str) and "{{" in rows:
        raise SettingsError(
            f"{source}: '{field}' is a template; name a plain file with --venues or HFT_INCIDENT_VENUES"
        )
    if not isinstance(rows, list):
        raise SettingsError(f"{source}: '{field}' must be a list of entries")
    named = []
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping) or not isinstance(row.get("name"), str) or not row["name"]:
            raise SettingsError(f"{source}: entry {number} of '{field}' has no 'name'")
        named.append((row, f"{source}: {row['name']}"))
    return named


def _refuse_duplicates(names: Sequence[str], source: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"{source}: the name '{name}' is used twice; names must be unique")


def _refuse_clear_secrets(row: Mapping[str, Any], fields: Sequence[str], where: str) -> None:
    for field in fields:
        value = row.get(field)
        if value is not None and not (isinstance(value, str) and is_reference(value)):
            raise SettingsError(
                f"{where}: {field} holds a value in clear; write env:NAME, file:PATH or cmd:COMMAND instead"
            )


def _venue(row: Mapping[str, Any], where: str) -> VenueEntry:
    _refuse_clear_secrets(row, VENUE_SECRETS, where)
    return VenueEntry(
        name=row["name"],
        driver=str(row.get("driver") or ""),
        base_url=row.get("base_url"),
        ca_file=row.get("ca_file"),
        api_key=row.get("api_key"),
        api_secret=row.get("api_secret"),
        api_passphrase=row.get("api_passphrase"),
        admin_api_key=row.get("admin_api_key"),
        admin_api_secret=row.get("admin_api_secret"),
        admin_api_passphrase=row.get("admin_api_passphrase"),
        sub_account=None if row.get("sub_account") is None else str(row["sub_account"]),
        product_lines=_texts(row.get("product_lines")),
        symbols=_texts(row.get("symbols")),
        fault=_first_fault(row, required=("driver", "api_key", "api_secret"), address="base_url"),
    )


def _system(row: Mapping[str, Any], where: str) -> SystemEntry:
    _refuse_clear_secrets(row, ("token",), where)
    return SystemEntry(
        name=row["name"],
        url=str(row.get("url") or ""),
        token=row.get("token"),
        ca_file=row.get("ca_file"),
        fault=_first_fault(row, required=("url",), address="url"),
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def _first_fault(row: Mapping[str, Any], *, required: Sequence[str], address: str) -> str | None:
    """The first reason why this entry cannot be used, or None."""
    for field in required:
        if not row.get(field):
            return f"'{field}' is missing"
    for field in ("product_lines", "symbols"):
        if not isinstance(row.get(field, []), list):
            return f"'{field}' must be a list"
    if bool(row.get("admin_api_key")) != bool(row.get("admin_api_secret")):
        return "'admin_api_key' and 'admin_api_secret' go together"
    url = row.get(address)
    if url is not None:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except (ValueError, AttributeError, TypeError):
            usable = False
        if not usable:
            return f"'{address}' is not an http(s) address"
    return None
