# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``hft-incident drill TYPE``: the lab is started, broken and mended from outside, while the very playbook that serves
production responds, two people approve, and the response is resumed. The score comes from the venues' own books, not
from what the response says of itself."""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ansible_collections.hft.incident.plugins.module_utils import follower
from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.errors import EXIT_CODES, IncidentError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import find, home_directory, list_incidents

from ..approval import approve
from ..catalog import did_you_mean, lookup
from ..commands.command import Parser, require_lab
from ..comms.plan import TIME_SCALE
from ..lab.errors import LabError
from ..lab.lab import Lab, running_lab
from ..lab.people import person
from ..outcome import Outcome
from ..progress import View, watching
from ..responder import respond, resume
from ..roles import acknowledge
from . import exchange_outage, security_breach, system_crash, told
from .scenario import Scenario, Seen, running_strategies, wait, wait_quietly
from .score import Drilled, Score, score, sheet, table

QUOTING_TIMEOUT_S = 30.0
#: A response that holds more often than this is going nowhere.
MAX_HOLDS = 8
#: Who is on call.
AWAKE = "alice"
ALL = "all"

FAULTS: Mapping[str, Mapping[str, type[Scenario]]] = {
    "exchange_outage": exchange_outage.FAULTS,
    "system_crash": system_crash.FAULTS,
    "security_breach": security_breach.FAULTS,
}


def main(arguments: Sequence[str]) -> int:
    """The command; 0 where every line of every score passes, 1 where one does not."""
    options = parser().parse_args(arguments)
    lookup(options.type)
    if options.type not in FAULTS:
        raise UsageError(f"there is no drill of {options.type} yet; there is one of: {', '.join(FAULTS)}")
    require_lab()
    faults = FAULTS[options.type]
    if options.fault not in (None, ALL, *faults):
        meant = did_you_mean(options.fault, faults)
        raise UsageError(f"{options.type} has no fault {options.fault!r}{meant}; it has: {', '.join(faults)}, {ALL}")
    names = list(faults) if options.fault == ALL else [options.fault or random.choice(list(faults))]
    scores = []
    try:
        for name in names:
            with watching(sys.stderr) as view:
                scores.append(drill(options.type, name, _new_home(), view))
            if options.fault == ALL:
                print("\n".join(sheet(scores[-1])), file=sys.stderr)
    except LabError as error:
        raise IncidentError(str(error)) from error
    passed = all(scored.passed for scored in scores)
    if options.fault == ALL:
        payload = {"type": options.type, "passed": passed, "drills": [scored.to_json() for scored in scores]}
        lines = table(scores)
    else:
        payload, lines = scores[0].to_json(), sheet(scores[0])
    print(json.dumps(payload) if options.json else "\n".join(lines))
    return EXIT_CODES["done" if passed else "failed"]


def drill(incident_type: str, fault: str, home: Path, view: View) -> Score:
    """One drill in a lab of its own under ``home``; raises LabError where the lab does not play its part."""
    lookup(incident_type)
    make = FAULTS[incident_type][fault]
    view.step(
        f"starting the lab for {incident_type}, {fault}: seven venues, a database, a trading system, message sinks"
    )
    with running_lab(home, restart=make.restart, restart_s=make.restart_s, sinks=True) as lab, _told_to_nobody(home):
        scenario = make(lab)
        books = [lab.venues[name] for name in scenario.venues()]
        wait(
            "the strategies do not quote",
            lambda: all(len(venue.truth().open_orders) > 1 for venue in books),
            QUOTING_TIMEOUT_S,
        )
        before = running_strategies(lab)
        view.step(f"it breaks: {scenario.story}")
        scenario.break_it()
        alert_at = time.time()
        view.step(f"ALERT: {scenario.alert}")
        outcome = _response(incident_type, scenario, lab, view)
        if outcome.outcome == "done":
            wait_quietly(lambda: any(venue.truth().open_orders for venue in books))
            told.wait_until_told(lab, outcome.incident)
        events = find(outcome.incident, home).journal.events()
        people = told.line(lab, events, datetime.now(UTC))
        return score(
            Drilled(
                type=incident_type,
                fault=fault,
                home=str(home),
                alert_at=alert_at,
                books={venue.name: venue.truth().happenings for venue in books},
                before=before,
                after=running_strategies(lab) if outcome.outcome == "done" else frozenset(),
                events=events,
                outcome=outcome,
                own_lines=[*scenario.lines(Seen(alert_at, events, outcome)), people],
            )
        )


def _response(incident_type: str, scenario: Scenario, lab: Lab, view: View) -> Outcome:
    """The response, and what people do where it holds: approve at a gate, mend what it waits for; then resume."""

    def heard(event: Event) -> None:
        scenario.heard(event)
        view.event(event)
        if event.kind == "alarm.judged":
            _acknowledge(lab, view)

    outcome = respond(
        incident_type,
        inputs={**scenario.inputs, TIME_SCALE: str(told.TIME_SCALE)},
        inventory=str(lab.inventory),
        home=lab.home,
        on_event=heard,
        on_step=view.step,
    )
    for _ in range(MAX_HOLDS):
        if outcome.outcome not in scenario.ends:
            break
        gate = waiting_gate(find(outcome.incident, lab.home).journal.events(), scenario.approvers)
        if gate is None:
            view.step(f"{outcome.outcome.upper()}: {outcome.reason}; somebody mends it")
            scenario.mend()
        else:
            scenario.before_approval(gate)
            for person in scenario.approvers[gate]:
                given = approve(outcome.incident, gate, key=lab.people[person], home=lab.home)
                view.step(f"{given.person} approves {gate}")
        outcome = resume(outcome.incident, home=lab.home, on_event=heard, on_step=view.step)
    return outcome


def _acknowledge(lab: Lab, view: View) -> None:
    """Somebody is awake: the first of those who approve says that they have it."""
    incident = list_incidents(lab.home)[-1]
    done = acknowledge(incident.id, person(AWAKE), lab.home)
    if done.changed:
        view.step(done.says)


def waiting_gate(events: Sequence[Event], wanted: Iterable[str]) -> str | None:
    """The first of these gates that the last run waits at; None where it waits for something else."""
    starts = [number for number, event in enumerate(events) if event.kind == "run.started"]
    last = events[max(starts, default=0) :]
    held = {event.data.get("gate") for event in last if event.kind == "gate.held"}
    passed = {event.data.get("gate") for event in last if event.kind == "gate.passed"}
    return next((gate for gate in wanted if gate in held - passed), None)


@contextmanager
def _told_to_nobody(home: Path) -> Iterator[None]:
    """What is left of a drill when it is over follows nobody any more."""
    try:
        yield
    finally:
        for incident in list_incidents(home):
            follower.end(incident.directory)


def _new_home() -> Path:
    """Drills are kept apart from incidents: each has a home of its own."""
    return home_directory() / "drills" / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def parser() -> argparse.ArgumentParser:
    made = Parser(
        prog="hft-incident drill",
        description="Start the lab, inject a fault, run the playbook, approve, resume, score it, stop the lab.",
        epilog="examples:\n"
        "  hft-incident drill exchange_outage\n"
        "  hft-incident drill system_crash --fault segfault\n"
        "  hft-incident drill system_crash --fault all\n\n"
        + "\n".join(f"faults of {kind}: {', '.join(faults)}" for kind, faults in FAULTS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("type", metavar="TYPE", help=f"one of: {', '.join(FAULTS)}")
    made.add_argument(
        "--fault", metavar="NAME", help=f"what breaks; {ALL!r}: one after the other (default: one by chance)"
    )
    made.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    return made
