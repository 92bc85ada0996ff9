# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a venue says of keys: which there are, what one may do, and whether one is dead. A key is always asked about by
a fresh client that uses it, since a used one may still be let in."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from ..deadline import Deadline
from ..kill_order import pause_after
from ..secret_ref import Secret
from ..secret_stores.api import Stored
from ..settings import VenueEntry
from ..venues.accounts import open_account
from ..venues.accounts.api import Account, ApiKey, NotOffered
from ..venues.api import Credentials
from ..venues.errors import AuthError, Banned, ClockSkew, Rejected, UnknownOutcome, VenueError
from .entries import KeyEntry, network

T = TypeVar("T")
REQUEST_S = 2.0
#: A definite "no" is asked once more, in case it was a stray one; a new key's first answers may be late ones.
ATTEMPTS_AFTER_NO, ATTEMPTS_OF_A_NEW_KEY = 2, 4


def pause(error: VenueError, failures: int, deadline: Deadline, attempts_after_no: int = ATTEMPTS_AFTER_NO) -> None:
    """Before it is tried again; raises the error where that is of no use or comes too late."""
    definite = isinstance(error, (AuthError, Rejected)) and failures >= attempts_after_no
    if definite or isinstance(error, (Banned, NotOffered)):
        raise error
    seconds = pause_after(error, failures, deadline.remaining())
    if seconds >= deadline.remaining():
        raise error
    time.sleep(seconds)


def persist(ask: Callable[[], T], deadline: Deadline, attempts_after_no: int = ATTEMPTS_AFTER_NO) -> T:
    """The first answer; raises the VenueError that stands in the way of one."""
    failures = 0
    while True:
        try:
            return ask()
        except VenueError as error:
            failures += 1
            pause(error, failures, deadline, attempts_after_no)


class Witness:
    """One venue's word. Raises VenueError; SettingsError and SecretError where it cannot even be asked."""

    def __init__(self, venue: VenueEntry, deadline: Deadline) -> None:
        self._venue = venue
        self._deadline = deadline
        self._admin: Account | None = None

    @property
    def admin(self) -> Account:
        """Seen with the key that manages keys."""
        if self._admin is None:
            self._admin = self._opened(None)
        return self._admin

    def hurry(self, deadline: Deadline) -> None:
        """Nothing takes longer than until then."""
        self._deadline = deadline
        if self._admin:
            self._admin.venue.http.deadline = deadline

    def listing(self) -> tuple[ApiKey, ...] | None:
        """Every key of the account; None where the venue has no API for it."""
        if not self.admin.manages_keys:
            return None
        return tuple(persist(self.admin.keys, self._deadline))

    def facts(self, stored: Stored, listed: ApiKey | None) -> ApiKey:
        """What the key may do, asked with itself, and from the venue's list where it does not tell all of it. Raises
        AuthError where the venue does not take it, UnprovenError where nobody tells what it may do."""
        return persist(lambda: self._facts(stored, listed), self._deadline, ATTEMPTS_OF_A_NEW_KEY)

    def is_dead(self, stored: Stored) -> bool:
        """Whether the venue refuses it, in its own words, and lists it no more. Raises VenueError where that cannot be
        told."""
        account = self._opened(stored)
        try:
            try:
                account.own_key()
            except NotOffered:
                account.venue.open_orders()
        except ClockSkew as error:
            raise UnknownOutcome(str(error)) from None
        except AuthError as error:
            if not error.code:  # a proxy's 403 says nothing of the key
                raise UnknownOutcome(f"not the venue's own words: {error}") from None
            if any(key.id == stored.id and key.enabled for key in self.listing() or ()):
                raise UnknownOutcome("the venue refuses the old key, and still lists it") from None
            return True
        return False

    def _facts(self, stored: Stored, listed: ApiKey | None) -> ApiKey:
        account = self._opened(stored)
        try:
            own = account.own_key()
        except NotOffered:
            account.venue.open_orders()  # it works; its rights are in the list, if anywhere
            own = listed or ApiKey(stored.id)
        if own.id != stored.id:
            raise UnknownOutcome("the venue tells the facts of another key")
        if listed:
            rights = own.permissions if own.permissions is not None else listed.permissions
            addresses = own.ip_allow_list if own.ip_allow_list is not None else listed.ip_allow_list
            own = own._replace(permissions=rights, ip_allow_list=addresses, enabled=own.enabled and listed.enabled)
        return own

    def _opened(self, stored: Stored | None) -> Account:
        key = Credentials(Secret(stored.id), stored.secret, stored.passphrase) if stored else None
        account = open_account(self._venue, credentials=key, request_timeout=REQUEST_S)
        account.venue.http.deadline = self._deadline
        return account


def untold(facts: ApiKey, entry: KeyEntry) -> str:
    """What of the key's rights and addresses the venue does not tell; "" where it tells all that has to be known."""
    rights = ["what the key may do"] if facts.permissions is None else []
    addresses = ["from where"] if facts.ip_allow_list is None and entry.ip_allow_list else []
    return " and ".join(rights + addresses)


def unlike(facts: ApiKey, entry: KeyEntry) -> str | None:
    """What the key may do that it should not, or not do that it should; None where all that the venue tells is as it
    should be."""
    if not facts.enabled:
        return "is disabled"
    rights = entry.permissions if facts.permissions is None else facts.permissions
    if rights - entry.permissions:
        return f"may do more than it should: {', '.join(sorted(rights - entry.permissions))}"
    if entry.permissions - rights:
        return f"may not do what it should: {', '.join(sorted(entry.permissions - rights))}"
    if entry.ip_allow_list and facts.ip_allow_list is not None:
        listed = {_network(text) for text in facts.ip_allow_list}
        if listed != set(entry.ip_allow_list):
            told = ", ".join(sorted(listed)) or "every address"
            return f"may be used from {told}, not from {', '.join(entry.ip_allow_list)}"
    return None


def _network(text: str) -> str:
    try:
        return network(text)
    except ValueError:
        return text
