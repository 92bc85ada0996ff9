# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Reading from many places at once, until one deadline: every answer, or why there is none; nothing hangs, nothing is
guessed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Generic, TypeVar

from .deadline import Deadline
from .kill_order import MAX_REQUEST_S, REQUEST_SHARE, pause_after
from .redaction import scrub_text
from .secret_ref import SecretError
from .settings import SettingsError, SystemEntry, VenueEntry
from .trading_system import TradingSystem
from .venues import open_venue
from .venues.api import Venue
from .venues.errors import AuthError, Rejected, UnknownOutcome, VenueError

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

#: A definite "no" is asked once more, in case it was a stray one, and not again: venues lock out who insists.
ATTEMPTS_AFTER_NO = 2
LATE = "no answer in time"


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What one place said. ``error`` is None where ``value`` counts; ``kind`` is a word: that of a ``VenueError``,
    "settings" for an entry or a secret that cannot be used, "failed" for a defect of ours.

    No NamedTuple: one that is generic needs Python 3.11.
    """

    value: T | None
    error: str | None = None
    kind: str = ""


def read_venues(entries: Iterable[VenueEntry], read: Callable[[Venue], T], timeout: float) -> dict[str, Answer[T]]:
    """``read`` at every venue at the same moment; by name. Failures are asked again while there is time and sense."""
    deadline = Deadline(timeout)
    errors: dict[str, list[VenueError]] = {}

    def ask(entry: VenueEntry) -> T:
        venue = open_venue(entry, request_timeout=request_timeout(timeout))
        venue.http.deadline = deadline
        return persist(lambda: read(venue), deadline, errors.setdefault(entry.name, []))

    return answers({entry.name: partial(ask, entry) for entry in entries}, deadline, errors)


def read_systems(
    entries: Iterable[SystemEntry], read: Callable[[TradingSystem], T], timeout: float
) -> dict[str, Answer[T]]:
    """``read`` at every trading system at the same moment; by name."""
    deadline = Deadline(timeout)
    errors: dict[str, list[VenueError]] = {}

    def ask(entry: SystemEntry) -> T:
        system = TradingSystem(entry, request_timeout=request_timeout(timeout), deadline=deadline)
        return persist(lambda: read(system), deadline, errors.setdefault(entry.name, []))

    return answers({entry.name: partial(ask, entry) for entry in entries}, deadline, errors)


def answers(
    calls: Mapping[K, Callable[[], T]],
    deadline: Deadline,
    errors: Mapping[K, Sequence[VenueError]] = MappingProxyType({}),
) -> dict[K, Answer[T]]:
    """All calls at once, each on a thread of its own, in the order in which they were given.

    Returns at the deadline at the latest, whatever hangs (a name that is being resolved heeds no time limit); what has
    not answered by then says so, with the last of its ``errors`` where a call that asks again has kept them there.
    """
    given: dict[K, Answer[T]] = {}

    def run(name: K) -> None:
        given[name] = _answer(calls[name])

    threads = [threading.Thread(target=run, args=(name,), daemon=True) for name in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(deadline.remaining())
    return {name: given.get(name) or _no_answer(_cut_short(errors.get(name, ()))) for name in calls}


def _answer(call: Callable[[], T]) -> Answer[T]:
    try:
        return Answer(call())
    except VenueError as error:
        return _no_answer(error)
    except (SettingsError, SecretError) as error:
        return Answer(None, scrub_text(str(error)), "settings")
    except Exception as error:  # noqa: BLE001  # whatever goes wrong in one place must not silence the others
        return Answer(None, f"internal error ({type(error).__name__})", "failed")


def _no_answer(error: VenueError) -> Answer[T]:
    return Answer(None, scrub_text(str(error)), error.kind)


def persist(read: Callable[[], T], deadline: Deadline, errors: list[VenueError]) -> T:
    """The first answer; raises the last VenueError where asking again is of no use or comes too late.

    ``errors`` gets those that are followed by another attempt.
    """
    while True:
        try:
            return read()
        except VenueError as error:
            failures = len(errors) + 1
            if isinstance(error, (AuthError, Rejected)) and failures >= ATTEMPTS_AFTER_NO:
                raise
            pause = pause_after(error, failures, deadline.remaining())
            if errors and deadline.expired():
                # This attempt had only what was left of the time: why it ended tells nothing of the other side.
                raise _cut_short(errors) from None
            if pause >= deadline.remaining():
                raise
            errors.append(error)
        time.sleep(pause)


def _cut_short(errors: Sequence[VenueError]) -> VenueError:
    """What there is to tell where the deadline came before an answer: the last error until then, if there was one."""
    if not errors:
        return UnknownOutcome(LATE)
    last = errors[-1]
    if LATE in str(last):
        return last
    return type(last)(f"{last} ({LATE})", code=last.code, retry_after=last.retry_after)


def request_timeout(timeout: float) -> float:
    return max(0.2, min(MAX_REQUEST_S, timeout * REQUEST_SHARE))
