# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The trading systems' API keys as a rotation finds them: which they are, each in its slot of the store, and the
command that brings a new one to where it is used. They are read, and dropped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils.api_keys.entries import KeyEntry, key_entries
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.reading import Answer, answers
from ansible_collections.hft.incident.plugins.module_utils.secret_stores import open_store
from ansible_collections.hft.incident.plugins.module_utils.secret_stores.api import SecretStore

from .ansible_look import Look
from .findings import BAD, OK, UNKNOWN, WARN, Finding
from .site import Site, command_fault, texts

LACK = "replace a trading system's keys (hft_api_keys, hft_secret_store)"
#: How to mend a store that does not answer as it should, by its kind.
_MENDS = {
    "file": "make it the responder's own: chmod 700 the folder, 600 its files",
    "ansible_vault": "see hft_secret_store: path, and the reference to its password",
    "vault_kv2": "see hft_secret_store: url, token, mount, prefix; what the token may read; the way there",
}


def is_prepared(seen: Look) -> bool:
    found = seen.of("api_keys")
    return found is None or found.ended != "ok" or bool(found.result["msg"]["keys"] or found.result["msg"]["store"])


def api_keys(seen: Look, site: Site) -> list[Finding]:
    found = seen.of("api_keys")
    if found is None:
        return [Finding("secret store", "", UNKNOWN, "no answer in time", "ask again, with more time")]
    if found.ended != "ok":
        return [Finding("secret store", "", BAD, f"no key would be replaced: {found.why}", "correct it")]
    said = found.result["msg"]
    return [*_stored(said, seen, site), *_delivery(said, seen)]


def _stored(said: Mapping[str, Any], seen: Look, site: Site) -> list[Finding]:
    """A line for the store, and one for each key that is not in it."""
    venues, systems = _names(seen, "venues"), _names(seen, "trading_systems")
    try:
        entries = key_entries(said["keys"], venues, systems, "hft_api_keys")
        store = open_store(_mapping(said["store"]))
    except UsageError as error:
        mend = "write hft_api_keys and hft_secret_store into group_vars/all/venues.yml"
        return [Finding("secret store", "", BAD, f"no key would be replaced: {error}", mend)]
    kind = str(said["store"].get("kind", "file"))
    read = answers({entry.name: partial(_fault, store, entry) for entry in entries}, site.deadline)
    told = [_finding(name, answer, kind) for name, answer in read.items()]
    wrong = [one for one in told if one.verdict != OK]
    if len(wrong) == len(entries) > 1:  # it is the store's fault
        says = f"none of {len(entries)} keys can be read: {wrong[0].says}"
        wrong = [Finding("secret store", kind, wrong[0].verdict, says, wrong[0].mend)]
    elif not wrong:
        wrong = [Finding("secret store", kind, OK, f"{len(entries)} keys are in it")]
    return [*wrong, *_left_out(entries, venues)]


def _mapping(found: object) -> Mapping[str, Any]:
    """Raises UsageError where it is none, or where there is nothing in it: that a store is a folder is to be said."""
    if not isinstance(found, Mapping) or not found:
        raise UsageError("hft_secret_store must be a mapping with 'kind'")
    return found


def _names(seen: Look, kind: str) -> Sequence[str]:
    found = seen.of("venues")
    return list(found.result["msg"][kind]) if found and found.ended == "ok" else []


def _fault(store: SecretStore, entry: KeyEntry) -> str:
    """Why a rotation would not find the key; "" where it would."""
    try:
        return "" if store.read(entry.slot) else f"there is no key in slot {entry.slot}"
    except IncidentError as error:
        return str(error)


def _finding(name: str, answer: Answer[str], kind: str) -> Finding:
    if answer.value is None:
        return Finding("key", name, UNKNOWN, answer.error or "no answer", "ask again; with --timeout, give more time")
    if not answer.value:
        return Finding("key", name, OK, "is in the store")
    if answer.value.startswith("there is no key"):
        mend = f"put the one that is in use there: hft-incident key put {name} --in-use"
        return Finding("key", name, BAD, f"{answer.value}: it could not be replaced", mend)
    says, _, mend = answer.value.removeprefix("secret_store: ").partition("; ")
    return Finding("key", name, BAD, says, mend or _MENDS[kind])


def _left_out(entries: Sequence[KeyEntry], venues: Sequence[str]) -> Iterator[Finding]:
    """Venues at which nobody's key would be replaced."""
    if missing := [name for name in venues if name not in {entry.venue for entry in entries}]:
        says = f"of {', '.join(missing)} none is in hft_api_keys: what trades there would keep its key"
        yield Finding("key", "", WARN, says, "list it with its slot; or know that nothing trades there")


def _delivery(said: Mapping[str, Any], seen: Look) -> Iterator[Finding]:
    command = texts(said["deliver_command"])
    if command:
        if fault := command_fault(command):
            says, mend = fault
            yield Finding("key delivery", "", BAD, f"no new key would reach a trading system: {says}", mend)
        else:
            yield Finding("key delivery", "", OK, f"{command[0]} can be started")
        return
    remote = [one.host for one in seen.told
              if one.task == "isolation_settings" and one.ended == "ok" and not one.result["msg"]["here"]]  # fmt: skip
    kind = said["store"].get("kind", "file") if isinstance(said["store"], Mapping) else ""
    if remote and kind in ("file", "ansible_vault"):
        says = f"a new key would stay on this jumphost: nothing brings it to {', '.join(remote)}"
        yield Finding("key delivery", "", WARN, says, "hft_deliver_command: a command of the site's that does")
    else:
        yield Finding("key delivery", "", OK, "not needed: trading systems read the store themselves")
