# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Reading from many places at once, until one deadline: every answer, or why there is none; nothing hangs, nothing is
guessed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from .deadline import Deadline
from .kill_order import MAX_REQUEST_S, REQUEST_SHARE, pause_after
from .secret_ref import SecretError
from .settings import SettingsError, SystemEntry, VenueEntry
from .trading_system import TradingSystem
from .venues import open_venue
from .venues.api import Venue
from .venues.errors import VenueError

T = TypeVar("T")


class Answer(NamedTuple, Generic[T]):
    """What one place said. ``error`` is None where ``value`` counts; ``kind`` is the error's kind, one word."""

    value: T | None
    error: str | None = None
    kind: str = ""


def read_venues(
    entries: Iterable[VenueEntry], read: Callable[[Venue], T], timeout: float, *, retry: bool = True
) -> dict[str, Answer[T]]:
    """``read`` at every venue at the same moment; by name. Failures are asked again while there is time and sense."""
    deadline = Deadline(timeout)

    def ask(entry: VenueEntry) -> Answer[T]:
        try:
            venue = open_venue(entry, request_timeout=_request_timeout(timeout))
        except (SettingsError, SecretError) as error:
            return Answer(None, str(error), "settings")
        venue.http.deadline = deadline
        return _persist(lambda: read(venue), deadline, retry)

    return answers({entry.name: partial(ask, entry) for entry in entries}, deadline)


def read_systems(
    entries: Iterable[SystemEntry], read: Callable[[TradingSystem], T], timeout: float, *, retry: bool = True
) -> dict[str, Answer[T]]:
    """``read`` at every trading system at the same moment; by name."""
    deadline = Deadline(timeout)

    def ask(entry: SystemEntry) -> Answer[T]:
        return _persist(
            lambda: read(TradingSystem(entry, request_timeout=_request_timeout(timeout), deadline=deadline)),
            deadline,
            retry,
        )

    return answers({entry.name: partial(ask, entry) for entry in entries}, deadline)


def answers(calls: Mapping[str, Callable[[], Answer[T]]], deadline: Deadline) -> dict[str, Answer[T]]:
    """All calls at once, in the order in which they were given; what has not answered in time says so."""
    given: dict[str, Answer[T]] = {}

    def run(name: str) -> None:
        try:
            given[name] = calls[name]()
        except Exception as error:  # noqa: BLE001  # whatever goes wrong in one place must not silence the others
            given[name] = Answer(None, f"internal error ({type(error).__name__})", "failed")

    threads = [threading.Thread(target=run, args=(name,), daemon=True) for name in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(deadline.remaining())
    late: Answer[T] = Answer(None, "no answer in time", "unknown_outcome")
    return {name: given.get(name, late) for name in calls}


def _persist(read: Callable[[], T], deadline: Deadline, retry: bool) -> Answer[T]:
    failures = 0
    while True:
        try:
            return Answer(read())
        except VenueError as error:
            failures += 1
            try:
                pause = pause_after(error, failures, deadline.remaining())
            except VenueError:
                return Answer(None, str(error), error.kind)
            if not retry or pause >= deadline.remaining():
                return Answer(None, str(error), error.kind)
            time.sleep(pause)


def _request_timeout(timeout: float) -> float:
    return max(0.2, min(MAX_REQUEST_S, timeout * REQUEST_SHARE))
