# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Gathering the evidence that ``diagnosis`` judges: everything is tried at the same moment, within one time limit.

Source: runbook section 3, "Verify exchange is really down" and "Check if it's our side"; seed-faults D8 and D9 (a ping
and a HEAD request prove nothing: an authenticated read does, and the status page is only shown).
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .deadline import Deadline
from .diagnosis import Check, Evidence, OtherVenues, TradingSystemView
from .http_client import describe
from .reading import Answer, answers, read_systems, read_venues
from .settings import SystemEntry, VenueEntry
from .trading_system import ExchangeState, TradingSystem
from .venues import open_venue
from .venues.api import Venue

T = TypeVar("T")


def gather(
    entry: VenueEntry,
    others: Sequence[VenueEntry],
    systems: Sequence[SystemEntry],
    *,
    timeout: float,
    stale_after: float,
) -> Evidence:
    """What can be known about one venue within ``timeout`` seconds; what did not answer stays unknown or failed."""

    def at_venue(read: Callable[[Venue], T]) -> Callable[[], Answer[Any]]:
        return lambda: read_venues([entry], read, timeout, retry=False)[entry.name]

    def at_others() -> Answer[Any]:
        replies = read_venues(others, Venue.server_time, timeout, retry=False)
        return Answer(OtherVenues(ok=sum(reply.error is None for reply in replies.values()), tried=len(replies)))

    said = answers(
        {
            "path": lambda: Answer(_path(entry, Deadline(timeout))),
            "time": at_venue(lambda venue: (venue.server_time(), int(time.time() * 1000))),
            "read": at_venue(Venue.balances),
            "ticker": at_venue(Venue.ticker),
            "status": at_venue(Venue.status),
            "others": at_others,
            "systems": lambda: Answer(read_systems(systems, TradingSystem.exchanges, timeout, retry=False)),
        },
        Deadline(timeout + 0.1),
    )
    venue_ms, our_ms = said["time"].value or (None, None)
    ticker, status = said["ticker"].value, said["status"].value
    now_ms = venue_ms or int(time.time() * 1000)
    return Evidence(
        **(said["path"].value or {}),
        public_time=_check(said["time"]),
        authenticated_read=_check(said["read"]),
        clock_offset_ms=None if venue_ms is None else venue_ms - our_ms,
        market_data="unknown" if ticker is None else _freshness(now_ms - ticker.at_ms, stale_after),
        trading_system=_view(entry.name, said["systems"].value or {}),
        stale_after_s=stale_after,
        others=said["others"].value or OtherVenues(),
        status_page="unknown" if status is None else "online" if status.online else "maintenance",
    )


def _check(answer: Answer[Any]) -> Check:
    return Check("ok") if answer.error is None else Check("failed", answer.kind, answer.error)


def _freshness(age_ms: int, stale_after: float) -> Any:
    return "fresh" if age_ms <= stale_after * 1000 else "stale"


def _view(exchange: str, systems: dict[str, Answer[dict[str, ExchangeState]]]) -> TradingSystemView:
    """The worst of what the trading systems see; nothing unless every one of them answered."""
    if not systems or any(answer.value is None for answer in systems.values()):
        return TradingSystemView()
    states = [answer.value[exchange] for answer in systems.values() if answer.value and exchange in answer.value]
    if not states:
        return TradingSystemView()
    ages = [state.last_market_data_age_s for state in states]
    return TradingSystemView(
        connected=all(state.connected for state in states),
        enabled=all(state.enabled for state in states),
        last_market_data_age_s=None if None in ages else max(age for age in ages if age is not None),
    )


def _path(entry: VenueEntry, deadline: Deadline) -> dict[str, Check]:
    """Name, connection and certificate, one after the other; a step that was not reached stays unknown."""
    try:
        venue = open_venue(entry)
    except Exception as error:  # noqa: BLE001  # the entry's fault is told by the requests
        return {"dns": Check(detail=str(error))}
    host, port = venue.http.address
    path: dict[str, Check] = {}
    step = "dns"
    try:
        address = str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0])
        path[step] = Check("ok")
        step = "tcp"
        with socket.create_connection((address, port), timeout=deadline.remaining()) as connection:
            path[step] = Check("ok")
            if venue.http.secure:
                step = "tls"
                context = ssl.create_default_context(cafile=entry.ca_file)
                with context.wrap_socket(connection, server_hostname=host):
                    path[step] = Check("ok")
    except OSError as error:
        path[step] = Check("failed", "unavailable", describe(error))
    return path
