# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Reading from many places at once, until one deadline: every answer, or why there is none; nothing hangs, nothing is
guessed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from .deadline import Deadline
from .kill_order import MAX_REQUEST_S, REQUEST_SHARE, pause_after
from .redaction import scrub_text
from .secret_ref import SecretError
from .settings import SettingsError, SystemEntry, VenueEntry
from .trading_system import TradingSystem
from .venues import open_venue
from .venues.api import Venue
from .venues.errors import AuthError, Rejected, VenueError

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

#: A definite "no" is asked once more, in case it was a stray one, and not again: venues lock out who insists.
ATTEMPTS_AFTER_NO = 2


class Answer(NamedTuple, Generic[T]):
    """What one place said. ``error`` is None where ``value`` counts; ``kind`` is a word: that of a ``VenueError``,
    "settings" for an entry or a secret that cannot be used, "failed" for a defect of ours."""

    value: T | None
    error: str | None = None
    kind: str = ""


def read_venues(entries: Iterable[VenueEntry], read: Callable[[Venue], T], timeout: float) -> dict[str, Answer[T]]:
    """``read`` at every venue at the same moment; by name. Failures are asked again while there is time and sense."""
    deadline = Deadline(timeout)

    def ask(entry: VenueEntry) -> T:
        venue = open_venue(entry, request_timeout=_request_timeout(timeout))
        venue.http.deadline = deadline
        return _persist(lambda: read(venue), deadline)

    return answers({entry.name: partial(ask, entry) for entry in entries}, deadline)


def read_systems(
    entries: Iterable[SystemEntry], read: Callable[[TradingSystem], T], timeout: float
) -> dict[str, Answer[T]]:
    """``read`` at every trading system at the same moment; by name."""
    deadline = Deadline(timeout)

    def ask(entry: SystemEntry) -> T:
        system = TradingSystem(entry, request_timeout=_request_timeout(timeout), deadline=deadline)
        return _persist(lambda: read(system), deadline)

    return answers({entry.name: partial(ask, entry) for entry in entries}, deadline)


def answers(calls: Mapping[K, Callable[[], T]], deadline: Deadline) -> dict[K, Answer[T]]:
    """All calls at once, each on a thread of its own, in the order in which they were given.

    Returns at the deadline at the latest, whatever hangs (a name that is being resolved heeds no time limit); what has
    not answered by then says so.
    """
    given: dict[K, Answer[T]] = {}

    def run(name: K) -> None:
        given[name] = _answer(calls[name])

    threads = [threading.Thread(target=run, args=(name,), daemon=True) for name in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(deadline.remaining())
    late: Answer[T] = Answer(None, "no answer in time", "unknown_outcome")
    return {name: given.get(name, late) for name in calls}


def _answer(call: Callable[[], T]) -> Answer[T]:
    try:
        return Answer(call())
    except VenueError as error:
        return Answer(None, scrub_text(str(error)), error.kind)
    except (SettingsError, SecretError) as error:
        return Answer(None, scrub_text(str(error)), "settings")
    except Exception as error:  # noqa: BLE001  # whatever goes wrong in one place must not silence the others
        return Answer(None, f"internal error ({type(error).__name__})", "failed")


def _persist(read: Callable[[], T], deadline: Deadline) -> T:
    """The first answer; raises the last VenueError where asking again is of no use or comes too late."""
    failures = 0
    while True:
        try:
            return read()
        except VenueError as error:
            failures += 1
            if isinstance(error, AuthError | Rejected) and failures >= ATTEMPTS_AFTER_NO:
                raise
            pause = pause_after(error, failures, deadline.remaining())
            if pause >= deadline.remaining():
                raise
        time.sleep(pause)


def _request_timeout(timeout: float) -> float:
    return max(0.2, min(MAX_REQUEST_S, timeout * REQUEST_SHARE))
