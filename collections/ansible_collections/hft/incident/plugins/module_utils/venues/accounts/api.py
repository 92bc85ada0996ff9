# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The small API behind which every venue's key management, withdrawals and login history lie.

An ``Account`` asks through a ``Venue`` (signing, clock, errors are that one's). It never retries and never sleeps. What
a venue has no API for is raised as ``NotOffered``, so that nothing that was not looked at ever reads as "none".

Source: venues.md, "API keys by API"; seed-faults A8.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import ClassVar, Literal, NamedTuple

from ...timestamps import moment
from ..api import Credentials, Venue
from ..errors import MalformedReply, VenueError

#: What a key may do, in words that all venues share. A right that a dialect cannot place is kept as
#: ``other:<its word>``, so that a key that may more than it should never looks harmless.
Permission = Literal["read", "trade", "withdraw", "transfer", "manage_keys"]


class NotOffered(VenueError):
    """The venue has no API for this: a person has to look, or to do it, on the venue's website."""

    kind = "not_offered"


class ApiKey(NamedTuple):
    """A key as the venue lists it. Its ``id`` is what a request carries (``api_key``): public, so that a listed key can
    be told from the one in the store. Its secret is shown once, at its creation, to nobody else.

    ``permissions`` and ``ip_allow_list`` are None where the venue does not tell; an empty list admits every address.
    ``owner`` is the sub-account whose key it is, where the venue keeps keys by sub-account ("" is the main account).
    """

    id: str
    label: str = ""
    permissions: frozenset[str] | None = None
    ip_allow_list: tuple[str, ...] | None = None
    enabled: bool = True
    created_ms: int | None = None
    owner: str = ""


class NewKey(NamedTuple):
    """A key right after its creation, with what is never shown again."""

    facts: ApiKey
    credentials: Credentials


class Withdrawal(NamedTuple):
    """Money on its way out. ``pending`` covers everything that may still be stopped."""

    id: str
    asset: str
    amount: Decimal
    address: str
    state: Literal["pending", "done", "cancelled", "failed"]
    at_ms: int


class Address(NamedTuple):
    """An entry of the withdrawal address book. ``trusted``: withdrawals to it need no further confirmation."""

    asset: str
    address: str
    label: str = ""
    trusted: bool | None = None
    added_ms: int | None = None


class Login(NamedTuple):
    """A line of the account's access history. ``event`` is "login", or the venue's own word for another act there (a
    password or a key changed, for instance)."""

    at_ms: int
    ip: str
    ok: bool
    detail: str = ""
    event: str = "login"


class Account(ABC):
    """One account at one venue, seen with a key that may manage keys. Methods raise VenueError and nothing else."""

    driver: ClassVar[str]
    #: Whether keys can be listed, created and deleted by API.
    manages_keys: ClassVar[bool] = False
    #: What ``keys`` cannot see, for a person to look at ("" where the listing is complete).
    keys_not_listed: ClassVar[str] = ""
    #: What a person does on the venue's website instead, a line each; ``{label}``, ``{permissions}``, ``{ips}`` and
    #: ``{key_id}`` are filled in.
    steps_to_create: ClassVar[tuple[str, ...]] = ()
    steps_to_revoke: ClassVar[tuple[str, ...]] = ()
    steps_to_freeze_withdrawals: ClassVar[tuple[str, ...]] = ()
    #: Where a person looks up what no API tells: ``keys``, ``withdrawals``, ``addresses``, ``logins`` → steps.
    steps_to_look: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    #: The longest label the venue takes, and the characters besides letters and digits.
    label_length: ClassVar[int] = 16
    label_extra: ClassVar[str] = "_"

    def __init__(self, venue: Venue, sub_account: str = "") -> None:
        """``sub_account``: whose keys are created, where a venue keeps keys by sub-account."""
        self.venue = venue
        self.sub_account = sub_account

    def own_key(self) -> ApiKey:
        """The facts of the very key that asks; AuthError where the venue no longer takes it."""
        raise self._not_offered("to ask a key for its own rights")

    def keys(self) -> list[ApiKey]:
        """Every key of the account, all pages."""
        raise self._not_offered("to list API keys")

    def create_key(self, label: str, permissions: Collection[str], ips: Sequence[str]) -> NewKey:
        """A new key with just these rights, usable from these addresses only (none given: from everywhere).

        After an UnknownOutcome the key may exist, its secret lost: list the keys and delete it by its label."""
        raise self._not_offered("to create API keys")

    def delete_key(self, key: ApiKey) -> None:
        """Revoke it for good. One that is gone already is no error."""
        raise self._not_offered("to delete API keys")

    def withdrawals(self, since_ms: int) -> list[Withdrawal]:
        """Withdrawals asked for at or after ``since_ms``, the newest last, all pages."""
        raise self._not_offered("to list withdrawals")

    def cancel_withdrawal(self, withdrawal: Withdrawal) -> None:
        """Stop one that is pending."""
        raise self._not_offered("to cancel withdrawals")

    def addresses(self) -> list[Address]:
        """The withdrawal address book."""
        raise self._not_offered("to list withdrawal addresses")

    def logins(self, since_ms: int) -> list[Login]:
        """Logins to the account, not API calls, at or after ``since_ms``, the newest last."""
        raise self._not_offered("to list logins")

    def _not_offered(self, what: str) -> NotOffered:
        return NotOffered(f"{self.driver} has no API {what}")


def iso_ms(text: object, where: str) -> int:
    """Milliseconds since 1970 from ISO 8601 text."""
    try:
        return int(moment(str(text)).timestamp() * 1000)
    except ValueError:
        raise MalformedReply(f"{where}: '{str(text)[:40]}' is no time") from None


def filled(steps: Sequence[str], facts: Mapping[str, str]) -> list[str]:
    """The steps for a person, with what is known filled in."""
    return [step.format_map(facts) for step in steps]
