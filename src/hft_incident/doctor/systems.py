# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Each trading system's API, asked with our token for its health and its killswitch, and for its time."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from functools import partial
from typing import NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.http_client import HttpClient, Request, TransportError
from ansible_collections.hft.incident.plugins.module_utils.reading import Answer, answers, read_systems
from ansible_collections.hft.incident.plugins.module_utils.settings import SystemEntry
from ansible_collections.hft.incident.plugins.module_utils.trading_system import BASE, Health, TradingSystem

from . import clock
from .findings import BAD, OK, UNKNOWN, WARN, Finding
from .site import Site

_MENDS = {
    "unreachable": (BAD, "is it running (systemctl status on its host)? Is its url right, is the way to it open?"),
    "hung": (BAD, "it is stuck: hft-incident run system_crash"),
    "rejected": (BAD, "give the token that it takes; read and killswitch are needed"),
    "unavailable": (BAD, "mend the entry in the venues file: url, token, ca_file"),
    "malformed": (BAD, "it does not speak the API of contracts.md; is another program at this address?"),
}
_OTHERWISE = (UNKNOWN, "ask again")
#: The Date header has whole seconds.
_STEP_S = 1.0


class Seen(NamedTuple):
    health: Health
    stopped: bool  #: its killswitch is active


def systems(site: Site) -> list[Finding]:
    """A line for each trading system, and one for its clock where it tells it."""
    entries = site.settings.trading_systems
    if not entries:
        return [Finding("trading system", "", WARN, "none is listed: only venues can be stopped",
                        "list them in hft_trading_systems")]  # fmt: skip
    seen = read_systems(entries, _look, site.deadline.remaining())
    clocks = answers({entry.name: partial(_reading, entry, site) for entry in entries}, site.deadline)
    told = [_finding(name, answer) for name, answer in seen.items()]
    return told + [clock.finding(name, found.value) for name, found in clocks.items() if found.value]


def _look(system: TradingSystem) -> Seen:
    return Seen(system.health(), system.killswitch_active())


def _reading(entry: SystemEntry, site: Site) -> clock.Reading | None:
    """By the Date header of whatever it answers: without our token, which is not needed for that."""
    try:
        client = HttpClient(entry.url, ca_file=entry.ca_file)
        client.deadline = site.deadline
        before = time.time()
        date = client.send(Request("GET", f"{BASE}/health", {})).headers.get("date", "")
        return clock.Reading(before, parsedate_to_datetime(date).timestamp(), time.time(), _STEP_S)
    except (TransportError, ValueError, TypeError, OSError):
        return None  # why it cannot be reached is said of it already


def _finding(name: str, answer: Answer[Seen]) -> Finding:
    if answer.value is None:
        verdict, mend = _MENDS.get(answer.kind, _OTHERWISE)
        return Finding("trading system", name, verdict, answer.error or "no answer", mend)
    health, stopped = answer.value
    says = f"{health.status}, {health.mode}, version {health.version}, killswitch {'active' if stopped else 'released'}"
    if health.status == "ok":
        return Finding("trading system", name, OK, says)
    mend = "hft-incident status shows which incident keeps it so; without one: hft-incident run system_crash"
    return Finding("trading system", name, WARN, says, mend)
