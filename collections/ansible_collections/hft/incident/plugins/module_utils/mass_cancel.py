# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""One venue made clear, or honestly not: list → cancel → list, until its own answers prove that nothing is open.

Source: contracts.md, "kill --json"; venues.md; runbook section 3, with seed-faults D1 and A2.
"""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from .deadline import Deadline
from .kill_order import FIRST_PAUSE_S, Clock, KillOrder, OnReport, Report, pause_after
from .secret_ref import SecretError
from .settings import SettingsError, VenueEntry
from .venues import open_venue
from .venues.api import OpenOrder, PartialListing, Venue
from .venues.errors import AuthError, Banned, RateLimited, VenueError

#: The longest pause (s) between two mass cancels while orders are still listed.
LAST_CANCEL_PAUSE_S = 0.25


class VenueResult(NamedTuple):
    """One venue's verdict: "clear", "open" or "unknown"; counts are None where unknown, times in ms from the start."""

    name: str
    driver: str
    verdict: str
    open_before: int | None
    cancelled: int | None
    open_after: int | None
    requests: int
    first_clear_ms: float | None
    confirmed_ms: float | None
    error: str | None


class MassCancel:
    """One venue's list → cancel → list, on its own thread. What is known is kept in fields that ``snapshot`` reads."""

    def __init__(
        self, entry: VenueEntry, order: KillOrder, deadline: Deadline, clock: Clock, on_report: OnReport
    ) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self._entry = entry
        self._order = order
        self._deadline = deadline
        self._clock = clock
        self._on_report = on_report
        self._venue: Venue | None = None
        self._together = threading.Lock()  # a snapshot sees an answer and all that follows from it, or nothing of it
        self._seen: set[tuple[str, str, str]] = set()  # every order that was ever listed
        self._live: list[OpenOrder] = []  # the last valid listing
        self._open_before: int | None = None  # None for good once something was cancelled that no listing had shown
        self._counted = False  # whether open_before is settled
        self._current = False  # whether the latest attempt to list succeeded
        self._streak = 0  # valid empty answers in a row
        self._first_clear_ms: float | None = None
        self._confirmed_ms: float | None = None
        self._error: str | None = None
        self._said = ""

    def snapshot(self) -> VenueResult:
        with self._together:
            return self._result()

    def _result(self) -> VenueResult:
        known = self._open_before is not None
        return VenueResult(
            name=self._entry.name,
            driver=self._entry.driver,
            verdict=self._verdict(),
            open_before=self._open_before,
            cancelled=len(self._seen) - len(self._live) if known and self._current else None,
            open_after=len(self._live) if self._current else None,
            requests=self._venue.http.requests if self._venue else 0,
            first_clear_ms=self._first_clear_ms,
            confirmed_ms=self._confirmed_ms,
            error=self._explanation(),
        )

    def _verdict(self) -> str:
        if self._confirmed_ms is not None:
            return "clear"
        return "open" if self._current and self._live else "unknown"

    def _explanation(self) -> str | None:
        """Why it is not clear, in a line; None where it is."""
        if self._confirmed_ms is not None:
            return None
        if self._current and self._live:
            return f"{len(self._live)} open at the last listing" + (f"; {self._error}" if self._error else "")
        if self._current:
            return f"empty {self._streak} of {self._order.confirm} times when the time was up"
        seen = f"; {len(self._live)} open when last seen" if self._live else ""
        return (self._error or "no answer in time") + seen

    def _run(self) -> None:
        try:
            self._venue = open_venue(self._entry, request_timeout=self._order.request_timeout)
            self._venue.http.deadline = self._deadline
            self._drive(self._venue)
        except (SettingsError, SecretError, VenueError) as error:
            self._explain(str(error))
        except Exception as error:  # noqa: BLE001  # a bug in one dialect must end as "unknown", never as silence
            self._current = False
            self._explain(f"internal error ({type(error).__name__})")
        finally:
            if self._venue is not None:
                self._venue.http.close()

    def _drive(self, venue: Venue) -> None:
        """Until clear or out of time; raises VenueError where asking again is of no use."""
        failures = rounds = 0
        while not self._deadline.expired():
            try:
                self._list(venue)
            except VenueError as error:
                if self._deadline.expired():
                    return  # cut off by our own time, which says nothing of the venue: what was known holds
                failures += 1
                self._failed(error)
                if not self._order.check:
                    self._cancel_blindly(venue, error)
                self._sleep(pause_after(error, failures, self._deadline.remaining()))
                continue
            failures = 0
            if self._order.check:
                return
            if self._live:
                self._sleep(max(self._cancel(venue), min(LAST_CANCEL_PAUSE_S, rounds * FIRST_PAUSE_S)))
                rounds += 1
            elif self._streak >= self._order.confirm:
                self._confirmed_ms = self._clock.elapsed_ms()
                self._say("clear", f"clear, {self._streak} empty answers in a row, {len(self._seen)} orders gone")
                return
            else:
                rounds = 0
                self._sleep(self._order.interval)

    def _list(self, venue: Venue) -> None:
        """One valid listing; raises VenueError where there is none."""
        try:
            orders = venue.open_orders()
        except PartialListing as listing:
            if not listing.orders:
                raise
            orders = list(listing.orders)  # not all that is open, but enough to know that it is, and to cancel by
        fresh = tuple(order for order in orders if _identity(order) not in self._seen)
        with self._together:
            self._seen.update(_identity(order) for order in fresh)
            self._live, self._current, self._error = orders, True, None
            if not self._counted:
                self._open_before, self._counted = len(orders), True
            self._streak = 0 if orders else self._streak + 1
            if self._streak <= 1:
                self._first_clear_ms = self._clock.elapsed_ms() if self._streak else None
        if orders:
            self._say("open", f"{len(orders)} open orders", fresh)
        elif self._streak == 1:
            self._say("empty", "nothing open" + (", asking again" if self._order.confirm > 1 else ""))

    def _cancel(self, venue: Venue) -> float:
        """Ask for the mass cancel, and how long (s) to wait before listing again: not at all, unless the cancel failed.

        Whatever the venue says to it proves nothing; only the next listing does.
        """
        try:
            reply = venue.cancel_all(self._live)
        except VenueError as error:
            self._explain(f"cancel: {error}", "open")
            return pause_after(error, 1, self._deadline.remaining())
        if reply.rejected:
            self._explain(f"cancel refused: {reply.rejected[0]}", "open")
        return 0.0

    def _cancel_blindly(self, venue: Venue, error: VenueError) -> None:
        """No list does not mean no cancel: what needs no listing, or the orders last seen, is tried at once."""
        hopeless = isinstance(error, (AuthError, RateLimited, Banned))
        if hopeless or (venue.cancel_needs_listing and not self._live):
            return
        self._counted = True
        try:
            venue.cancel_all(self._live)
        except VenueError:
            return  # the failure to list is what is reported
        self._say("unknown", "cancel sent without a listing")

    def _failed(self, error: VenueError) -> None:
        """No valid answer: nothing that was known still holds."""
        with self._together:
            self._current, self._streak, self._first_clear_ms = False, 0, None
            self._error = str(error)
        self._say("unknown", str(error))

    def _explain(self, text: str, state: str = "unknown") -> None:
        self._error = text
        self._say(state, text)

    def _sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, self._deadline.remaining()))

    def _say(self, state: str, text: str, fresh: tuple[OpenOrder, ...] = ()) -> None:
        if text != self._said or fresh:
            self._said = text
            self._on_report(Report(self._entry.name, state, text, self._clock.elapsed_ms(), fresh))


def _identity(order: OpenOrder) -> tuple[str, str, str]:
    return order.line, order.symbol, order.id
