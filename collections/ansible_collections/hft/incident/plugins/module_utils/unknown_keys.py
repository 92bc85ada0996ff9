# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""API keys that nobody of us knows, revoked at one venue, and proven gone by the venue's own next listing.

Whoever was in an account makes a key to come back with. What is ours is not guessed: where one id of ours could not be
read, nothing is revoked, since it would look like somebody else's.

Source: seed-faults A8 (newly created keys and their permissions).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from .account_reading import Keys, NotThere, Seen, steps_for
from .deadline import Deadline
from .reading import request_timeout
from .secret_ref import SecretError
from .settings import SettingsError, VenueEntry
from .venues.accounts import open_account
from .venues.accounts.api import ApiKey
from .venues.errors import VenueError

#: ``revoked``: the last listing has no key that is not ours. ``by_hand``: the venue has no API to list or to delete
#: keys. ``unknown``: no valid listing, or nobody can say what is ours. ``left``: it still lists one.
Verdict = Literal["revoked", "by_hand", "unknown", "left"]


class Outcome(NamedTuple):
    """What came of it at one venue; ``unknown`` were not ours when it was first listed."""

    name: str
    verdict: Verdict
    unknown: tuple[ApiKey, ...] = ()
    left: tuple[ApiKey, ...] = ()
    steps: tuple[str, ...] = ()
    error: str | None = None


def strangers(keys: Sequence[ApiKey], ours: Collection[str]) -> tuple[ApiKey, ...]:
    """Those whose ids are none of ours."""
    return tuple(key for key in keys if key.id not in ours)


def own_ids(entry: VenueEntry) -> set[str]:
    """Of the keys that the venues file itself has: to lose one of these is to lose the way to cancel.

    Raises SecretError and SettingsError.
    """
    keys = Keys(entry)
    return {key.key.reveal() for key in (keys.own(), keys.admin()) if key is not None}


def found(seen: Seen, ours: Collection[str], unread: str) -> Outcome:
    """What a look at the account shows; ``ours``: the ids of our keys; ``unread``: why they are not all known."""
    name, answer = seen.entry.name, seen.parts["keys"]
    if isinstance(answer.value, NotThere):
        return Outcome(name, "by_hand", steps=answer.value.steps, error=answer.value.what)
    if answer.value is None:
        return Outcome(name, "unknown", error=answer.error)
    if unread:
        return Outcome(name, "unknown", error=f"{unread}: it could be taken for somebody else's")
    unknown = strangers(answer.value, ours)
    return Outcome(name, "left" if unknown else "revoked", unknown, unknown)


def revoke(outcome: Outcome, entry: VenueEntry, deadline: Deadline) -> Outcome:
    """Deletes what is not ours and lists again; never raises for a venue's sake. A venue that refuses to delete one is
    asked for the others all the same."""
    errors = []
    try:
        account = open_account(entry, request_timeout=request_timeout(deadline.remaining()))
        account.venue.http.deadline = deadline
        for key in outcome.unknown:
            try:
                account.delete_key(key)
            except VenueError as error:
                errors.append(str(error))
        listed = {key.id for key in account.keys()}  # noqa: SIM118  # it asks the venue
    except (VenueError, SettingsError, SecretError) as error:
        return outcome._replace(verdict="unknown", error=str(error))
    left = tuple(key for key in outcome.unknown if key.id in listed)
    if not left:
        return outcome._replace(verdict="revoked", left=())
    return outcome._replace(left=left, steps=steps_for(entry.driver, "keys"), error="; ".join(dict.fromkeys(errors)))
