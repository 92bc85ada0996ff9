# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The way of a key from the store into the trading systems, and their word that they use it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from .. import host_command
from ..deadline import Deadline
from ..errors import UnprovenError
from ..settings import SystemEntry
from ..trading_system import TradingSystem
from ..venues.errors import Rejected, Unavailable
from .entries import KeyEntry, fingerprint
from .witness import REQUEST_S, persist

T = TypeVar("T")

DELIVER_S = 30.0


def deliver(command: Sequence[str], entry: KeyEntry, key_id: str, deadline: Deadline) -> None:
    """Run the site's command, which learns which slot, never what is in it. Raises UnprovenError."""
    told = {
        **os.environ,
        "LC_ALL": "C",
        "HFT_KEY_NAME": entry.name,
        "HFT_KEY_SLOT": entry.slot,
        "HFT_KEY_FINGERPRINT": fingerprint(key_id),
    }
    ran = host_command.run(command, timeout=min(DELIVER_S, deadline.remaining()), env=told)
    if not ran.ok:
        raise UnprovenError(f"deliver_command failed: {ran.complaint}")


def uses(system: SystemEntry, exchange: str, wanted: str, deadline: Deadline) -> bool | None:
    """Whether it uses the key with this fingerprint; None where it does not tell. Raises VenueError."""
    told = _asked(lambda: _client(system, deadline).key_fingerprint(exchange), deadline)
    return None if told is None else told == wanted


def reload(system: SystemEntry, exchange: str, wanted: str, deadline: Deadline) -> bool | None:
    """As ``uses``, once it has read its key again. Raises VenueError, also where it then uses another one."""

    def once() -> bool | None:
        client = _client(system, deadline)
        client.reload_credentials(exchange)
        told = client.key_fingerprint(exchange)
        if told not in (None, wanted):
            raise Rejected("it was told to use the new key, and still uses another one")
        return None if told is None else True

    return _asked(once, deadline)


def _client(system: SystemEntry, deadline: Deadline) -> TradingSystem:
    return TradingSystem(system, request_timeout=REQUEST_S, deadline=deadline)


def _asked(read: Callable[[], T], deadline: Deadline) -> T:
    """Where nobody listens nobody is waited for: in a breach a trading system that is stopped is as it should be."""

    def once() -> T | Unavailable:
        try:
            return read()
        except Unavailable as error:
            return error

    found = persist(once, deadline.within(2 * REQUEST_S))
    if isinstance(found, Unavailable):
        raise found
    return found
