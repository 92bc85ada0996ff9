# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``hft-incident drill TYPE``: the lab is started, broken and healed from outside, while the very playbook that serves
production responds. The score comes from the venues' own books, not from what the response says of itself."""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.errors import EXIT_CODES, IncidentError
from ansible_collections.hft.incident.plugins.module_utils.incident import home_directory
from ansible_collections.hft.incident.plugins.module_utils.journal import Journal, verify
from ansible_collections.hft.incident.plugins.module_utils.trading_system import TradingSystem
from ansible_collections.hft.incident.plugins.module_utils.venues.errors import VenueError

from .catalog import lookup
from .lab.lab import Happening, Lab, LabError, LabVenue, running_lab
from .outcome import Outcome
from .progress import View, watching
from .responder import respond
from .venues_file import load

QUOTING_TIMEOUT_S = ALERT_TIMEOUT_S = 30.0
POLL_S = 0.05


class Scenario(NamedTuple):
    """What breaks at which venue, and when it heals: so many seconds after the response has entered a phase."""

    story: str
    exchange: str
    faults: tuple[dict[str, Any], ...]
    heals_in_phase: str
    heals_after_s: float


_DOWN = tuple(
    {"kind": "status", "op": op, "status": 503} for op in ("time", "ticker", "place", "cancel", "balances", "fills")
)

SCENARIOS = {
    "exchange_outage": Scenario(
        story="market data stops, order entry answers 503, the first cancels fail, an order lands late, "
        "and the status page says that all is well",
        exchange="binance",
        faults=(
            *_DOWN,
            {"kind": "feed_stops"},
            {"kind": "status_lies"},
            {"kind": "status", "op": "cancel_all", "status": 502, "remaining": 2},
            {"kind": "html", "op": "open_orders", "remaining": 1},
            {"kind": "late_order", "op": "open_orders", "remaining": 1},
        ),
        heals_in_phase="mitigate",
        heals_after_s=3.0,
    ),
}


class Line(NamedTuple):
    """One line of the score sheet."""

    what: str
    value: str
    passed: bool


@dataclass(frozen=True)
class Score:
    """How a drill went. Seconds count from the alert; ``contained_s`` is when the venue's own book became empty for
    good (None: it never did), ``proven_s`` when the response had proven it, ``resumed_s`` when quotes came back."""

    type: str
    passed: bool
    contained_s: float | None
    proven_s: float | None
    resumed_s: float | None
    false_safe: int
    reconciled: bool
    strategies_restored: bool
    orders_killed: int
    incident: str
    home: str
    lines: tuple[Line, ...]
    outcome: Outcome

    def to_json(self) -> dict[str, Any]:
        """An object of plain JSON types."""
        return {
            **asdict(self),
            "lines": [line._asdict() for line in self.lines],
            "outcome": self.outcome.to_json(),
        }


def main(arguments: Sequence[str]) -> int:
    """The command; 0 where every line of the score passes, 1 where one does not."""
    parser = argparse.ArgumentParser(
        prog="hft-incident drill",
        description="Start the lab, inject this type's fault, run the playbook, score it, stop the lab.",
        epilog="example:\n  hft-incident drill exchange_outage",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("type", metavar="TYPE", choices=tuple(SCENARIOS), help=f"one of: {', '.join(SCENARIOS)}")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    options = parser.parse_args(arguments)
    # Drills are kept apart from incidents: each has a home of its own.
    home = home_directory() / "drills" / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    try:
        with watching(sys.stderr) as view:
            score = drill(options.type, home, view)
    except LabError as error:
        raise IncidentError(str(error)) from error
    if options.json:
        print(json.dumps(score.to_json()))
    else:
        for line in sheet(score):
            print(line)
    return EXIT_CODES["done" if score.passed else "failed"]


def drill(incident_type: str, home: Path, view: View) -> Score:
    """One drill in a lab of its own under ``home``; raises LabError where the lab does not play its part."""
    lookup(incident_type)
    scenario = SCENARIOS[incident_type]
    view.step("starting the lab: seven venues and a trading system")
    with running_lab(home) as lab:
        venue = lab.venues[scenario.exchange]
        system = _trading_system(lab)
        _wait("the strategies do not quote", lambda: len(venue.truth().open_orders) > 1, QUOTING_TIMEOUT_S)
        running_before = _running(system)
        for fault in scenario.faults:
            venue.inject(**fault)
        view.step(f"{scenario.exchange} breaks: {scenario.story}")
        _wait("no alert", lambda: not system.exchanges()[scenario.exchange].connected, ALERT_TIMEOUT_S)
        alert_at = time.time()
        view.step(f"ALERT: Exchange Disconnected ({scenario.exchange})")
        outcome = respond(
            incident_type,
            inputs={"exchange": scenario.exchange, "reason": "drill"},
            inventory=str(lab.inventory),
            home=home,
            on_event=_healing(scenario, venue, view),
            on_step=view.step,
        )
        if outcome.outcome == "done":
            _wait_quietly(lambda: len(venue.truth().open_orders) > 0)
        return _score(incident_type, home, outcome, alert_at, venue, running_before, _running(system))


def _healing(scenario: Scenario, venue: LabVenue, view: View) -> Callable[[Event], None]:
    """Hands events on, and heals the venue a while after the response has begun to wait for it."""

    def heal() -> None:
        view.step(f"{scenario.exchange} comes back")
        venue.clear_faults()

    def seen(event: Event) -> None:
        if event.kind == "phase.entered" and event.data.get("phase") == scenario.heals_in_phase:
            timer = threading.Timer(scenario.heals_after_s, heal)
            timer.daemon = True
            timer.start()
        view.event(event)

    return seen


def _score(
    incident_type: str,
    home: Path,
    outcome: Outcome,
    alert_at: float,
    venue: LabVenue,
    before: frozenset[str],
    after: frozenset[str],
) -> Score:
    events = Journal(outcome.journal).events()
    happenings = venue.truth().happenings
    reopened_at = next((_seconds(e.at) for e in events if e.kind == "inverse.applied"), float("inf"))
    contained_at = emptied_for_good(happenings, reopened_at)
    claims = [_seconds(e.at) for e in events if e.kind == "kill.verified" and e.data.get("verdict") == "clear"]
    false_safe = sum(1 for at in claims if count_at(happenings, at) or not empty_between(happenings, at, reopened_at))
    resumed_at = next((h.at for h in happenings if h.kind == "placed" and h.at > reopened_at), None)
    reconciled = [e.data.get("verdict") for e in events if e.kind == "positions.reconciled"][-1:] == ["reconciled"]
    killed = sum(1 for h in happenings if h.kind == "canceled" and alert_at <= h.at < reopened_at)
    chain = verify(outcome.journal)

    def since(at: float | None) -> float | None:
        return None if at is None else round(at - alert_at, 2)

    def told(seconds: float | None) -> str:
        return "never" if seconds is None else f"{seconds:.2f} s after the alert"

    contained_s, proven_s, resumed_s = since(contained_at), since(min(claims, default=None)), since(resumed_at)
    lines = (
        Line("contained, as the venue saw it", told(contained_s), contained_s is not None),
        Line("proven by the response", told(proven_s), proven_s is not None),
        Line('false "safe"', str(false_safe) if false_safe else "none", not false_safe),
        Line("positions and orders reconciled", "yes" if reconciled else "NO", reconciled),
        Line("strategies restored", f"{len(after & before)} of {len(before)}", after == before),
        Line("trading resumed", told(resumed_s), resumed_s is not None),
        Line("record", f"{chain.events} events, {chain.state}", chain.state == "intact"),
        Line("outcome", f"{outcome.outcome}, exit code {outcome.exit_code}", outcome.exit_code == 0),
    )
    return Score(
        type=incident_type,
        passed=all(line.passed for line in lines),
        contained_s=contained_s,
        proven_s=proven_s,
        resumed_s=resumed_s,
        false_safe=false_safe,
        reconciled=reconciled,
        strategies_restored=after == before,
        orders_killed=killed,
        incident=outcome.incident,
        home=str(home),
        lines=lines,
        outcome=outcome,
    )


def sheet(score: Score) -> list[str]:
    """The score sheet for people."""
    head = f"DRILL {score.type}: {'PASSED' if score.passed else 'FAILED'}"
    rows = [f"  {'ok ' if line.passed else 'BAD'}  {line.what:<34} {line.value}" for line in score.lines]
    return [head, *rows, f"  record: HFT_INCIDENT_HOME={score.home} hft-incident timeline {score.incident}"]


def count_at(happenings: Sequence[Happening], at: float) -> int:
    """How many orders the venue's book held at a moment."""
    seen = [happening.kind for happening in happenings if happening.at <= at]
    return seen.count("placed") - seen.count("canceled") - seen.count("filled")


def empty_between(happenings: Sequence[Happening], start: float, end: float) -> bool:
    """Whether no order came to the book between two moments."""
    return not any(h.kind == "placed" and start < h.at < end for h in happenings)


def emptied_for_good(happenings: Sequence[Happening], before: float) -> float | None:
    """When the last order left the book before ``before``, if it was empty from then on."""
    past = [happening for happening in happenings if happening.at < before]
    if not past or count_at(past, before):
        return None
    return past[-1].at


def _trading_system(lab: Lab) -> TradingSystem:
    return TradingSystem(load(str(lab.venues_file)).trading_systems[0])


def _running(system: TradingSystem) -> frozenset[str]:
    return frozenset(strategy.id for strategy in system.strategies() if strategy.running)


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def _wait(otherwise: str, condition: Callable[[], bool], timeout: float) -> None:
    """Until the condition holds; raises LabError that says what did not come about."""
    if not _wait_quietly(condition, timeout):
        raise LabError(f"{otherwise} within {timeout:g} s; see the lab's logs")


def _wait_quietly(condition: Callable[[], bool], timeout: float = 5.0) -> bool:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            if condition():
                return True
        except VenueError:
            pass  # a trading system that cannot answer has not met the condition either
        time.sleep(POLL_S)
    return False
