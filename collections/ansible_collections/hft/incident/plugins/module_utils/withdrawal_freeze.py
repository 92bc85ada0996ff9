# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Money that is on its way out, stopped at one venue, and proven by the venue's own next listing.

It stops what was asked for; it cannot forbid the next one. The lasting lock is on the venue's website, a person's work:
its steps come with every verdict.

Source: seed-faults A8 (withdrawals are the largest loss path of such a firm: minute zero, not "within 30 minutes").
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from .account_reading import DAY_MS, STEPS_ANYWHERE, WITHDRAWALS_DAYS
from .deadline import Deadline
from .reading import persist, request_timeout
from .secret_ref import SecretError
from .settings import SettingsError, VenueEntry
from .venues.accounts import ACCOUNTS, account_class, open_account
from .venues.accounts.api import Account, NotOffered, Withdrawal
from .venues.errors import Banned, VenueError

#: ``frozen``: the last listing has none on its way (but to addresses of ours). ``pending``: it has. ``by_hand``: the
#: venue has no API for it. ``unknown``: no valid listing, or one in which something is missing that was there.
Verdict = Literal["frozen", "pending", "by_hand", "unknown"]


class Frozen(NamedTuple):
    """What came of it at one venue. ``kept``: to addresses of ours, left alone; ``gone``: too late for those."""

    name: str
    verdict: Verdict
    cancelled: tuple[Withdrawal, ...] = ()
    pending: tuple[Withdrawal, ...] = ()
    kept: tuple[Withdrawal, ...] = ()
    gone: tuple[Withdrawal, ...] = ()
    can_cancel: bool = False  #: whether the venue has an API for it
    steps: tuple[str, ...] = ()
    error: str | None = None


def freeze(entry: VenueEntry, ours: Collection[str], deadline: Deadline, interval: float, *, check: bool) -> Frozen:
    """Cancel what is pending, list again, until none is or time is up; never raises for a venue's sake.

    ``check``: list only; then ``pending`` is what would be cancelled.
    """
    if entry.driver not in ACCOUNTS and not entry.fault:
        steps = tuple(step.format(part="withdrawals") for step in STEPS_ANYWHERE)
        return Frozen(entry.name, "by_hand", steps=steps, error=f"'{entry.driver}' has no account API here")
    try:
        account = open_account(entry, request_timeout=request_timeout(deadline.remaining()))
        account.venue.http.deadline = deadline
        return _Freeze(entry.name, account, ours, deadline, interval).run(check=check)
    except (VenueError, SettingsError, SecretError) as error:
        steps = account_class(entry.driver).steps_to_freeze_withdrawals if entry.driver in ACCOUNTS else ()
        return Frozen(entry.name, "unknown", steps=steps, error=str(error))


class _Freeze:
    def __init__(self, name: str, account: Account, ours: Collection[str], deadline: Deadline, interval: float) -> None:
        self._name = name
        self._account = account
        self._ours = ours
        self._deadline = deadline
        self._interval = interval
        self._since_ms = max(0, account.venue.now_ms() - WITHDRAWALS_DAYS * DAY_MS)
        self._wanted: dict[str, Withdrawal] = {}  # to be stopped, as they were first seen
        self._refusals: dict[str, str] = {}

    def run(self, *, check: bool) -> Frozen:
        """Raises VenueError where the venue gives no valid listing."""
        try:
            listed = self._list()
        except NotOffered as error:
            return self._told("by_hand", [], str(error))
        while True:
            pending = self._to_stop(listed)
            if not pending or check or self._deadline.expired():
                return self._judged(listed, pending)
            try:
                self._cancel(pending)
            except (NotOffered, Banned) as error:
                return self._told("by_hand" if isinstance(error, NotOffered) else "unknown", listed, str(error))
            try:
                listed = self._list()
            except VenueError as error:
                # Time is up, or the venue has broken down meanwhile: the listing before is the last word there is.
                return self._told("pending" if self._deadline.expired() else "unknown", listed, str(error))
            if self._to_stop(listed):
                time.sleep(min(self._interval, self._deadline.remaining()))

    def _list(self) -> list[Withdrawal]:
        errors: list[VenueError] = []

        def read() -> list[Withdrawal] | NotOffered:
            try:
                return self._account.withdrawals(self._since_ms)
            except NotOffered as error:  # an answer, and nothing to be asked again
                return error

        found = persist(read, self._deadline, errors)
        if isinstance(found, NotOffered):
            raise found
        return found

    def _to_stop(self, listed: Sequence[Withdrawal]) -> list[Withdrawal]:
        pending = [one for one in listed if one.state == "pending" and one.address not in self._ours]
        for one in pending:
            self._wanted.setdefault(one.id, one)
        return pending

    def _cancel(self, pending: Sequence[Withdrawal]) -> None:
        """Only the next listing says what came of it. Raises NotOffered and Banned."""
        for one in pending:
            try:
                self._account.cancel_withdrawal(one)
            except (NotOffered, Banned):
                raise
            except VenueError as error:
                self._refusals[one.id] = str(error)

    def _judged(self, listed: Sequence[Withdrawal], pending: Sequence[Withdrawal]) -> Frozen:
        lost = self._wanted.keys() - {one.id for one in listed}
        if lost:
            return self._told("unknown", listed, f"not listed any more, and nobody says why: {', '.join(sorted(lost))}")
        if pending:
            why = "; ".join(f"{one.id}: {self._refusals[one.id]}" for one in pending if one.id in self._refusals)
            return self._told("pending", listed, why or None)
        return self._told("frozen", listed)

    def _told(self, verdict: Verdict, listed: Sequence[Withdrawal], error: str | None = None) -> Frozen:
        known = {one.id: one for one in listed}
        now = [known[number] for number in self._wanted if number in known]
        return Frozen(
            self._name,
            verdict,
            cancelled=tuple(one for one in now if one.state in ("cancelled", "failed")),
            pending=tuple(one for one in now if one.state == "pending"),
            kept=tuple(one for one in listed if one.state == "pending" and one.address in self._ours),
            gone=tuple(one for one in now if one.state == "done"),
            can_cancel=type(self._account).cancel_withdrawal is not Account.cancel_withdrawal,
            steps=self._account.steps_to_freeze_withdrawals,
            error=error,
        )
