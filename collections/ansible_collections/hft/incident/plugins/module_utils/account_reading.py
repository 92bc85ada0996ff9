# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Reading accounts at all venues at once, part by part, until one deadline: one part, or one venue, that hangs or
refuses does not hold the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from .deadline import Deadline
from .reading import Answer, answers, persist, request_timeout
from .settings import SettingsError, VenueEntry
from .venues import credentials, open_venue
from .venues.accounts import ACCOUNTS, account_class, admin_credentials, open_account
from .venues.accounts.api import Account, ApiKey, NotOffered
from .venues.api import Credentials
from .venues.errors import VenueError

#: Further back than an intrusion is noticed late; what is pending is told whenever it was asked for.
WITHDRAWALS_DAYS = 30
DAY_MS = 86_400_000

#: What an intruder would touch, in the order in which it is told.
PARTS = ("own_keys", "keys", "withdrawals", "addresses", "logins", "orders")
#: Where a venue of a driver without an account API is concerned.
STEPS_ANYWHERE = ("Log in to the venue's website and look at the account's {part}: this driver has no account API.",)


class NotThere(NamedTuple):
    """A part that the venue has no API for, and what a person does instead."""

    what: str
    steps: tuple[str, ...]


class Seen(NamedTuple):
    """One account: part → what was read, ``NotThere``, or why it is not known."""

    entry: VenueEntry
    parts: Mapping[str, Answer[Any]]
    ours: Mapping[str, str]  #: ids of keys that our own files use there → as what

    def value(self, part: str) -> Any:
        """What was read; None where it was not, whatever the reason."""
        answer = self.parts.get(part)
        return None if answer is None or isinstance(answer.value, NotThere) else answer.value


class Keys:
    """The keys that the venues file gives for one venue, each resolved once and where it is needed."""

    def __init__(self, entry: VenueEntry) -> None:
        self._entry = entry
        self._lock = threading.Lock()
        self._resolved: dict[str, Credentials | None] = {}

    def own(self) -> Credentials:
        """Raises SecretError, SettingsError."""
        found = self._once("api_key", credentials)
        if found is None:
            raise AssertionError("an entry without a key has a fault")
        return found

    def admin(self) -> Credentials | None:
        """None where there is none; raises SecretError."""
        return self._once("admin_api_key", admin_credentials)

    def ids(self) -> dict[str, str]:
        """Those that are resolved by now, id → as what."""
        known = dict(self._resolved)
        return {key.key.reveal(): f"{field} of the venues file" for field, key in known.items() if key is not None}

    def _once(self, field: str, resolve: Callable[[VenueEntry], Credentials | None]) -> Credentials | None:
        if self._entry.fault:
            raise SettingsError(self._entry.fault)
        with self._lock:
            if field not in self._resolved:
                self._resolved[field] = resolve(self._entry)
            return self._resolved[field]


class _Asking(NamedTuple):
    """How one part of one account is read."""

    entry: VenueEntry
    keys: Keys
    since_ms: int
    deadline: Deadline
    per_request: float
    errors: list[VenueError]

    def account(self, key: Credentials | None = None) -> Account:
        """Asked with this key, else with the administrator's, else with the only one there is."""
        key = key or self.keys.admin() or self.keys.own()
        account = open_account(self.entry, credentials=key, request_timeout=self.per_request)
        account.venue.http.deadline = self.deadline
        return account

    def persist(self, read: Callable[[], Any]) -> Any:
        return persist(_tolerant(read), self.deadline, self.errors)


def read_accounts(
    entries: Sequence[VenueEntry], parts: Collection[str], since_ms: int, timeout: float
) -> dict[str, Seen]:
    """Every part of every account at the same moment; by name."""
    deadline, per_request = Deadline(timeout), request_timeout(timeout)
    keys = {entry.name: Keys(entry) for entry in entries}
    asking = {
        (entry.name, part): _Asking(entry, keys[entry.name], since_ms, deadline, per_request, [])
        for entry in entries
        for part in parts
    }
    given = answers(
        {place: partial(_read, place[1], how) for place, how in asking.items()},
        deadline,
        {place: how.errors for place, how in asking.items()},
    )
    return {
        entry.name: Seen(entry, {part: given[entry.name, part] for part in parts}, keys[entry.name].ids())
        for entry in entries
    }


def _read(part: str, how: _Asking) -> Any:
    """What this part is. Raises VenueError, SettingsError, SecretError."""
    if part == "orders":
        venue = open_venue(how.entry, request_timeout=how.per_request, key=how.keys.own())
        venue.http.deadline = how.deadline
        return how.persist(venue.open_orders)
    if how.entry.driver not in ACCOUNTS and not how.entry.fault:
        steps = tuple(step.format(part=part.replace("_", " ")) for step in STEPS_ANYWHERE)
        return NotThere(f"'{how.entry.driver}' has no account API here", steps)
    if part == "own_keys":
        return _own_keys(how)
    account = how.account()
    reads: Mapping[str, Callable[[], Any]] = {
        "keys": account.keys,
        "withdrawals": lambda: account.withdrawals(
            max(0, min(how.since_ms, account.venue.now_ms() - WITHDRAWALS_DAYS * DAY_MS))
        ),
        "addresses": account.addresses,
        "logins": lambda: account.logins(how.since_ms),
    }
    return _offered(account, part, how.persist(reads[part]))


def _own_keys(how: _Asking) -> list[ApiKey] | NotThere:
    """What each key of the venues file says of itself."""
    found: dict[str, ApiKey] = {}
    for key in (how.keys.own(), how.keys.admin()):
        if key is not None:
            account = how.account(key)
            own = _offered(account, "own_keys", how.persist(account.own_key))
            if isinstance(own, NotThere):
                return own
            found[own.id] = own
    return list(found.values())


def _tolerant(read: Callable[[], Any]) -> Callable[[], Any]:
    """That there is no API is an answer, and nothing to be asked again."""

    def ask() -> Any:
        try:
            return read()
        except NotOffered as error:
            return error

    return ask


def _offered(account: Account, part: str, found: Any) -> Any:
    return NotThere(str(found), steps_for(account.driver, part)) if isinstance(found, NotOffered) else found


def steps_for(driver: str, part: str) -> tuple[str, ...]:
    """What a person does where the API does not tell a part."""
    return tuple(account_class(driver).steps_to_look.get("keys" if part == "own_keys" else part, ()))
