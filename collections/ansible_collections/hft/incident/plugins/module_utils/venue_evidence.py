# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Gathering the evidence that ``diagnosis`` judges: everything is tried at the same moment, within one time limit.

Source: runbook section 3, "Verify exchange is really down" and "Check if it's our side"; seed-faults D8 and D9 (a ping
and a HEAD request prove nothing: an authenticated read does, and the status page is only shown).

What needs no key is asked without it, so that a key of ours that cannot be used never looks like a venue that is down.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Literal, TypeVar

from .deadline import Deadline
from .diagnosis import NO_ANSWER, Check, Evidence, OtherVenues, TradingSystemView
from .http_client import describe
from .reading import Answer, answers
from .settings import SettingsError, SystemEntry, VenueEntry
from .trading_system import ExchangeState, TradingSystem
from .venues import open_venue
from .venues.api import Balance, Venue

T = TypeVar("T")

_LATE = Check("failed", "unavailable", "no answer in time")
_KEY_LATE = Check("failed", "settings", "the key could not be read in time")


def gather(
    entry: VenueEntry,
    others: Sequence[VenueEntry],
    systems: Sequence[SystemEntry],
    *,
    timeout: float,
    stale_after: float,
) -> Evidence:
    """What can be known about one venue within ``timeout`` seconds; what did not answer stays unknown or failed."""
    deadline = Deadline(timeout)
    try:
        venue, tls = _reached_without_key(entry, deadline)
    except SettingsError as error:
        unusable = Check("failed", "settings", str(error))
        return Evidence(public_time=unusable, authenticated_read=unusable)
    path = _Path(venue, tls)
    account = _Account(entry, deadline)
    calls: dict[tuple[str, str], Callable[[], Any]] = {
        ("venue", "path"): partial(path.walk, deadline),
        ("venue", "time"): partial(_clocks, venue),
        ("venue", "read"): account.balances,
        ("venue", "ticker"): venue.ticker,
        ("venue", "status"): venue.status,
        **{("other", other.name): partial(_other_time, other, deadline) for other in others},
        **{("system", system.name): partial(_exchanges, system, deadline) for system in systems},
    }
    said = answers(calls, deadline)
    venue_ms, our_ms = said["venue", "time"].value or (None, None)
    ticker, status = said["venue", "ticker"].value, said["venue", "status"].value
    now_ms = venue_ms or _now_ms()
    return Evidence(
        **path.steps,
        public_time=_check(said["venue", "time"]),
        authenticated_read=_check(said["venue", "read"]) if account.has_key else account.fault(said["venue", "read"]),
        clock_offset_ms=None if venue_ms is None else venue_ms - our_ms,
        clock_window_ms=venue.clock_window_ms,
        market_data="unknown" if ticker is None else _freshness(now_ms - ticker.at_ms, stale_after),
        trading_system=_view(entry.name, _part("system", said), stale_after),
        stale_after_s=stale_after,
        others=_others(_part("other", said)),
        status_page="unknown" if status is None else "online" if status.online else "maintenance",
    )


# The venue ------------------------------------------------------------------------------------------------------------


def _reached_without_key(entry: VenueEntry, deadline: Deadline) -> tuple[Venue, ssl.SSLContext | None]:
    """The venue for public calls, and how its certificate is checked; raises SettingsError for an unusable entry."""
    # No retries here, so one request may take all the time there is: far venues are slow, and slow is not down.
    venue = open_venue(entry, request_timeout=deadline.remaining(), keyless=True)
    venue.http.deadline = deadline
    try:
        return venue, ssl.create_default_context(cafile=entry.ca_file) if venue.http.secure else None
    except OSError as error:
        raise SettingsError(f"ca_file: {describe(error)}") from None


class _Path:
    """Name, connection and certificate, one after the other. The step that is under way counts as failed until it has
    succeeded, so that one that hangs is told as such; a step that was not reached stays unknown."""

    def __init__(self, venue: Venue, tls: ssl.SSLContext | None) -> None:
        self.steps: dict[str, Check] = {}
        self._host, self._port = venue.http.address
        self._tls = tls

    def walk(self, deadline: Deadline) -> None:
        found = self._step("dns", partial(socket.getaddrinfo, self._host, self._port, type=socket.SOCK_STREAM))
        # Every address that the name has, as the requests themselves try them.
        connect = partial(socket.create_connection, (self._host, self._port), timeout=deadline.remaining())
        connection = self._step("tcp", connect) if found else None
        if connection is None:
            return
        with closing(connection):
            if self._tls is not None:
                secured = self._step("tls", partial(self._tls.wrap_socket, connection, server_hostname=self._host))
                if secured is not None:
                    secured.close()

    def _step(self, name: str, attempt: Callable[[], T]) -> T | None:
        self.steps[name] = _LATE
        try:
            result = attempt()
        except OSError as error:
            self.steps[name] = Check("failed", "unavailable", describe(error))
            return None
        self.steps[name] = Check("ok")
        return result


class _Account:
    """The authenticated read, and whether our own side of it, the key, was there at all."""

    def __init__(self, entry: VenueEntry, deadline: Deadline) -> None:
        self.has_key = False
        self._entry = entry
        self._deadline = deadline

    def balances(self) -> list[Balance]:
        venue = open_venue(self._entry, request_timeout=self._deadline.remaining())
        venue.http.deadline = self._deadline
        self.has_key = True
        return venue.balances()

    def fault(self, answer: Answer[Any]) -> Check:
        """Why there is no key: a command that hangs leaves no answer but that it is late."""
        return _KEY_LATE if answer.kind == "unknown_outcome" else _check(answer)


def _clocks(venue: Venue) -> tuple[int, int]:
    """The venue's clock and ours at the same moment (ms): ours is taken half-way through the request."""
    before = _now_ms()
    at_venue = venue.server_time()
    return at_venue, (before + _now_ms()) // 2


def _now_ms() -> int:
    return int(time.time() * 1000)


def _check(answer: Answer[Any]) -> Check:
    return Check("ok") if answer.error is None else Check("failed", answer.kind, answer.error)


def _freshness(age_ms: int, stale_after: float) -> Literal["fresh", "stale"]:
    return "fresh" if age_ms <= stale_after * 1000 else "stale"


# The others -----------------------------------------------------------------------------------------------------------


def _part(group: str, said: dict[tuple[str, str], Answer[Any]]) -> dict[str, Answer[Any]]:
    return {name: answer for (of, name), answer in said.items() if of == group}


def _other_time(entry: VenueEntry, deadline: Deadline) -> int:
    venue = open_venue(entry, request_timeout=deadline.remaining(), keyless=True)
    venue.http.deadline = deadline
    return venue.server_time()


def _others(replies: dict[str, Answer[int]]) -> OtherVenues:
    """How our network does elsewhere: a refusal is an answer too, and an unusable entry says nothing about it."""
    asked = [answer for answer in replies.values() if answer.kind not in ("settings", "failed")]
    return OtherVenues(ok=sum(answer.kind not in NO_ANSWER for answer in asked), tried=len(asked))


def _exchanges(entry: SystemEntry, deadline: Deadline) -> dict[str, ExchangeState]:
    return TradingSystem(entry, request_timeout=deadline.remaining(), deadline=deadline).exchanges()


def _view(exchange: str, replies: dict[str, Answer[dict[str, ExchangeState]]], stale_after: float) -> TradingSystemView:
    """The worst of what the trading systems see; good is believed only where every one of them has answered."""
    silent = [f"{name}: {answer.error}" for name, answer in replies.items() if answer.value is None]
    states = [answer.value[exchange] for answer in replies.values() if answer.value and exchange in answer.value]
    if not states and not silent:
        return TradingSystemView(detail=f"none trades at {exchange}" if replies else "none is configured")
    known = [state.last_market_data_age_s for state in states if state.last_market_data_age_s is not None]
    oldest = max(known, default=None)
    all_known = not silent and len(known) == len(states)
    return TradingSystemView(
        connected=_every([state.connected for state in states], whole=not silent),
        enabled=_every([state.enabled for state in states], whole=not silent),
        last_market_data_age_s=oldest if all_known or (oldest or 0.0) > stale_after else None,
        detail="; ".join(silent),
    )


def _every(values: Sequence[bool], *, whole: bool) -> bool | None:
    """False where one is; True only where nobody is missing."""
    if not all(values):
        return False
    return True if whole and values else None
