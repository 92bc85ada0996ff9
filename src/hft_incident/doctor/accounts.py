# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Each account at a venue, asked as a response to a breach would ask it: what our keys may do there, and whether keys
and withdrawals can be listed. It only reads."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ansible_collections.hft.incident.plugins.module_utils.account_reading import DAY_MS, NotThere, Seen, read_accounts
from ansible_collections.hft.incident.plugins.module_utils.settings import VenueEntry
from ansible_collections.hft.incident.plugins.module_utils.venues.accounts import ACCOUNTS, account_class
from ansible_collections.hft.incident.plugins.module_utils.venues.accounts.api import ApiKey

from .findings import BAD, OK, WARN, Finding
from .site import Site
from .venues import mend_of

LACK = "replace keys or stop withdrawals at a venue (admin_api_key of its entry in hft_venues)"
#: What is asked, and what a response could not do without the answer.
PARTS = {"own_keys": "", "keys": "no key could be revoked", "withdrawals": "none could be stopped"}
_OF_A_PERSON = "a person looks there once, and again in a breach: {steps}"


def is_prepared(site: Site) -> bool:
    venues = site.settings.venues
    return not venues or any(entry.admin_api_key for entry in venues)


def accounts(site: Site) -> list[Finding]:
    """A line for each account, and one for each thing that is wrong with it."""
    entries = [entry for entry in site.settings.venues if not entry.fault]  # said of its secrets
    since_ms = int(time.time() * 1000) - DAY_MS
    seen = read_accounts(entries, PARTS, since_ms, site.deadline.remaining())
    some_have = any(entry.admin_api_key for entry in entries)
    return [found for one in seen.values() for found in of_account(one, some_have_an_admin=some_have)]


def of_account(seen: Seen, *, some_have_an_admin: bool) -> Iterator[Finding]:
    """That it has no admin key is said where others have one: that nobody has is one line for all."""
    name = seen.entry.name
    wrong = [*_failures(seen), *_rights(seen)]
    if some_have_an_admin and not seen.entry.admin_api_key:
        says = "has no admin_api_key: a response would ask with api_key, for keys and withdrawals too"
        wrong.append(Finding("account", name, WARN, says, "give its entry in hft_venues a key that may manage keys"))
    yield from wrong
    if not wrong:
        yield Finding("account", name, OK, "; ".join(_good(seen)))


def _failures(seen: Seen) -> Iterator[Finding]:
    for part, lost in PARTS.items():
        answer = seen.parts[part]
        if answer.value is None:
            verdict, mend = mend_of(answer.kind)
            what = "what our keys may do is unknown" if part == "own_keys" else f"{part} cannot be listed, {lost}"
            yield Finding("account", seen.entry.name, verdict, f"{what}: {answer.error}", mend)
    own = seen.parts["own_keys"].value
    if isinstance(own, NotThere):
        steps = " ".join(own.steps)
        mend = _OF_A_PERSON.format(steps=steps)
        yield Finding("account", seen.entry.name, WARN, f"{own.what}: what ours may do is unknown", mend)


def _rights(seen: Seen) -> Iterator[Finding]:
    """What the keys may do that they should not, or not do that they should."""
    entry, own = seen.entry, seen.value("own_keys") or ()
    one_for_both = bool(entry.admin_api_key) and len(own) == 1
    for key in own:
        field = _field(key, seen)
        if field == "admin_api_key":
            yield from _of_admin(key, entry)
        if field == "api_key" or one_for_both:
            yield from _of_responder(key, entry)
        if key.ip_allow_list == ():
            says = f"its {field} may be used from everywhere"
            yield Finding("account", entry.name, WARN, says, "bind it to this jumphost's address at the venue")


def _field(key: ApiKey, seen: Seen) -> str:
    """Of the entry. Where it is not known, it is judged as the one that may less."""
    return seen.ours.get(key.id, "api_key").partition(" ")[0]


def _of_responder(key: ApiKey, entry: VenueEntry) -> Iterator[Finding]:
    rights = key.permissions or frozenset()
    if too_many := sorted(rights & {"withdraw", "transfer", "manage_keys"}):
        verdict = BAD if "withdraw" in too_many else WARN
        says = f"its api_key may {', '.join(too_many)}: whoever reads it on this jumphost may, too"
        yield Finding("account", entry.name, verdict, says, "make it one that may read and trade, and nothing else")


def _of_admin(key: ApiKey, entry: VenueEntry) -> Iterator[Finding]:
    """Where keys are made by hand there is nothing that it must be able to do but to read."""
    if key.permissions is not None and _manages_keys(entry) and "manage_keys" not in key.permissions:
        says = f"its admin_api_key may not manage keys (it may {_words(key)}): none could be replaced"
        yield Finding("account", entry.name, BAD, says, "give it that right at the venue, or make another one")


def _good(seen: Seen) -> Iterator[str]:
    by_hand = []
    for part in ("keys", "withdrawals"):
        if isinstance(seen.parts[part].value, NotThere):
            by_hand.append(part)
        else:
            yield f"{part} can be listed"
    for key in seen.value("own_keys") or ():
        yield f"{_field(key, seen)} may {_words(key)}"
    if by_hand:
        yield f"by hand, as a response will say: {', '.join(by_hand)}"


def _manages_keys(entry: VenueEntry) -> bool:
    return entry.driver in ACCOUNTS and account_class(entry.driver).manages_keys


def _words(key: ApiKey) -> str:
    return ", ".join(sorted(key.permissions or ())) or "nothing that it tells"
