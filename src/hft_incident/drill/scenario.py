# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a drill breaks, from outside, and what it looks at afterwards; one scenario a fault, one file a type."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar, NamedTuple, Protocol

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.trading_system import TradingSystem
from ansible_collections.hft.incident.plugins.module_utils.venues.errors import VenueError

from ..lab.errors import LabError
from ..lab.lab import Lab
from ..lab.units import Restart
from ..outcome import Outcome
from ..venues_file import load

POLL_S = 0.05
#: Whom it takes for trading to resume: one from trading, one from risk.
RESUME: Mapping[str, Sequence[str]] = {"resume_trading": ("alice", "bob")}


class Line(NamedTuple):
    """One line of the score sheet."""

    what: str
    value: str
    passed: bool


class Seen(NamedTuple):
    """What a drill saw, for the lines that only this type of incident has; ``alert_at`` in seconds since 1970."""

    alert_at: float
    events: Sequence[Event]
    outcome: Outcome


class Scenario(Protocol):
    """One fault in one running lab, which it is made with."""

    #: What happens, for people; what the monitoring would say; what the response is told.
    story: ClassVar[str]
    alert: ClassVar[str]
    inputs: ClassVar[Mapping[str, str]]
    #: Whether the service manager starts a dead trading system again, and so many seconds later.
    restart: ClassVar[Restart]
    restart_s: ClassVar[float]
    #: How a run may end that people then mend or approve, and resume.
    ends: ClassVar[frozenset[str]]
    #: Who approves which gate, with keys of the lab's own; in this order, where a run waits at several.
    approvers: ClassVar[Mapping[str, Sequence[str]]]

    def __init__(self, lab: Lab) -> None: ...

    def venues(self) -> Sequence[str]:
        """The venues whose books count."""

    def break_it(self) -> None:
        """Returns once the monitoring would have raised the alert; raises LabError where it does not come to that."""

    def heard(self, event: Event) -> None:
        """An event of the response's record."""

    def before_approval(self, gate: str) -> None:
        """What people do before they say yes."""

    def mend(self) -> None:
        """The response holds for a condition: do what it asks people to do."""

    def lines(self, seen: Seen) -> list[Line]:
        """What only this type of incident has on its score sheet."""


def trading_system(lab: Lab) -> TradingSystem:
    """The product's client of the lab's first trading system."""
    return TradingSystem(load(str(lab.venues_file)).trading_systems[0], request_timeout=1.0)


def running_strategies(lab: Lab) -> frozenset[str]:
    return frozenset(strategy.id for strategy in trading_system(lab).strategies() if strategy.running)


def seconds(at: str) -> float:
    """A journal's time as seconds since 1970."""
    return datetime.fromisoformat(at).timestamp()


def wait(otherwise: str, condition: Callable[[], bool], timeout: float) -> None:
    """Until the condition holds; raises LabError that says what did not come about."""
    if not wait_quietly(condition, timeout):
        raise LabError(f"{otherwise} within {timeout:g} s; see the lab's logs")


def wait_quietly(condition: Callable[[], bool], timeout: float = 5.0) -> bool:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            if condition():
                return True
        except VenueError:
            pass  # a trading system that cannot answer has not met the condition either
        time.sleep(POLL_S)
    return False
