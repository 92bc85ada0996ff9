# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Incidents: where their records live, how one is opened and found, and what its events say about it.

Source: contracts.md, "Commands" (types, phases, state folder) and "The journal" (ids). Nothing about an incident is
stored but its journal; ``state_of`` derives the rest.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from .chain import Event
from .errors import IncidentError, UsageError
from .journal import FILE_NAME, Journal, make_private_directory

TYPES = (
    "exchange_outage",
    "system_crash",
    "performance_degradation",
    "security_breach",
    "data_corruption",
    "network_failure",
    "trading_anomaly",
    "database_failure",
)
#: The gate at which people may do without the evidence of a host.
WAIVE_EVIDENCE = "waive_evidence"
PHASES = ("detect", "contain", "assess", "mitigate", "recover", "validate", "review")

ENV_HOME = "HFT_INCIDENT_HOME"
ENV_ID = "HFT_INCIDENT_ID"
ENV_DIR = "HFT_INCIDENT_DIR"
ENV_RUN = "HFT_INCIDENT_RUN"  # the id that the wrapper gives to the run it starts

_CODE_NAME = re.compile(r"[a-z]+-[a-z]+-[a-z]+")
_ID = re.compile(rf"inc-(?P<opened>\d{{8}}T\d{{6}}Z)-(?P<type>{'|'.join(TYPES)})-(?P<n>[1-9]\d*)")


class Incident(NamedTuple):
    """One incident: its id and its folder."""

    id: str
    directory: Path

    @property
    def journal(self) -> Journal:
        return Journal(self.directory / FILE_NAME)


class Containment(NamedTuple):
    """What the last ``kill.verified`` said of a venue: ``clear``, ``open`` or ``unknown``; None where nobody knows."""

    verdict: str
    open_after: int | None
    at: str


class Inverse(NamedTuple):
    """How to undo a change: ``module`` with ``args``; ``describe`` is for people."""

    id: str
    task: str
    host: str
    module: str
    args: Mapping[str, Any]
    describe: str


class Waiting(NamedTuple):
    """A gate that holds the incident: ``approved_by`` as the record says (only the gate itself checks signatures).

    ``missing``: so many more people are needed, of ``may_approve``.
    """

    people: int
    groups: Sequence[str]
    question: str
    approved_by: Sequence[str]
    missing: int
    may_approve: Sequence[str]


class State(NamedTuple):
    """What the events of an incident amount to. ``inverses``: not undone yet, the last change first.
    ``severity_rule`` decided the severity; None: a person did, for ``severity_reason``.

    ``outcome`` is that of the last run (done, failed, usage, unproven, held), None while it has not ended: it runs, or
    it was interrupted. ``strategies``: the last known state (``stopped``, ``running``) of those this incident touched.
    ``latches``: by host and scope, what is not proven of the last change ("": nothing).
    """

    type: str | None
    severity: int | None
    check: bool
    opened_at: str | None
    closed_at: str | None
    phase: str | None
    outcome: str | None
    venues: Mapping[str, Containment]
    strategies: Mapping[str, str]
    inverses: Sequence[Inverse]
    gates: Mapping[str, Waiting]
    latches: Mapping[str, str]
    severity_rule: str | None = None
    severity_reason: str | None = None

    @property
    def is_open(self) -> bool:
        return self.closed_at is None


def home_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Where the state of all incidents lives, absolute; it need not exist."""
    env = os.environ if environ is None else environ
    if env.get(ENV_HOME):
        return Path(env[ENV_HOME]).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/hft-incident")
    state = env.get("XDG_STATE_HOME", "")
    # The XDG specification: a relative path there is to be ignored.
    base = Path(state) if os.path.isabs(state) else Path("~/.local/state").expanduser()
    return base / "hft-incident"


def open_incident(
    incident_type: str,
    *,
    inputs: Mapping[str, Any] | None = None,
    severity: int | None = None,
    check: bool = False,
    home: Path | None = None,
    inventory: Sequence[str] = (),
) -> Incident:
    """A new incident with ``incident.opened`` in its journal.

    ``severity``: a person's word; where there is none, what the severity rules of the ``inventory`` say of the type and
    the ``inputs``: no incident is without one (seed-faults E2). Raises UsageError where the rules cannot be read, an
    input names a fact that there is none of, or there is no room for a record.
    """
    from .severity_record import at_opening  # only who opens one reads the rules
    from .severity_rules import fingerprints, load

    if incident_type not in TYPES:
        raise UsageError(f"unknown incident type {incident_type!r}; one of: {', '.join(TYPES)}")
    rules = load(inventory)
    assessed = at_opening(rules, incident_type, inputs or {}, severity)
    incident = _allocate(incident_type, home or home_directory())
    opened = {
        "type": incident_type,
        "inputs": dict(inputs or {}),
        **assessed,
        "severity_rules": fingerprints(rules),
        "check": check,
        "inventory": list(inventory),
    }
    try:
        incident.journal.append("incident.opened", opened)
    except IncidentError as error:
        with suppress(OSError):  # an incident without a record was none
            os.unlink(incident.journal.path)
            incident.directory.rmdir()
        mend = f"make room there, or set {ENV_HOME}; `hft-incident kill` needs no record"
        raise UsageError(f"{error} ({mend})") from error
    return incident


def _is_called(incident: Incident, code_name: str) -> bool:
    """Whether its record says so; one that cannot be read is called nothing."""
    try:
        events = incident.journal.events()
    except IncidentError:
        return False
    return any(e.kind == "communications.planned" and e.data.get("code_name") == code_name for e in events)


def find(incident_id: str, home: Path | None = None) -> Incident:
    """The incident of exactly this id, or code name. Raises UsageError that says how to list the ids."""
    where = home or home_directory()
    if _CODE_NAME.fullmatch(incident_id):
        for incident in reversed(list_incidents(where)):
            if _is_called(incident, incident_id):
                return incident
    directory = where / incident_id
    if not _ID.fullmatch(incident_id) or not directory.is_dir():
        raise UsageError(f"no incident {incident_id!r} under {where}; `hft-incident status` lists them")
    return Incident(incident_id, directory)


def kills_journal(home: Path) -> Journal:
    """The record of the red button pressed by hand, beside all incidents and part of none."""
    return Journal(home / "kills" / FILE_NAME)


def list_incidents(home: Path | None = None) -> list[Incident]:
    """All incidents, the oldest first; none where there is no state folder yet."""
    where = home or home_directory()
    try:
        names = [name for name in os.listdir(where) if _ID.fullmatch(name)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"cannot read {where}: {error.strerror}") from error
    return [Incident(name, where / name) for name in sorted(names, key=_age)]


def state_of(events: Iterable[Event]) -> State:
    """Everything that is derived about an incident, from its events in order."""
    state = State(None, None, False, None, None, None, None, {}, {}, (), {}, {})
    for event in events:
        update = _UPDATES.get(event.kind)
        if update:
            state = update(state, event)
    return state


def open_inverses(events: Iterable[Event], host: str) -> Sequence[Inverse]:
    """Those of ``state_of`` that are ``host``'s, for the price of one look at each event: each of a fleet asks."""
    return state_of(
        event
        for event in events
        if event.kind in _ENDS_INVERSES or (event.kind == _STARTS_INVERSE and event.data.get("host", "") == host)
    ).inverses


def doubts(state: State) -> list[str]:
    """Every venue that was killed and is not proven clear, and every latch that is not as it was told: as long as there
    is one, no run may call itself done."""
    venues = [f"{name} is {held.verdict}" for name, held in sorted(state.venues.items()) if held.verdict != "clear"]
    return venues + [doubt for _latch, doubt in sorted(state.latches.items()) if doubt]


def is_real(events: Iterable[Event]) -> bool:
    """Whether the alarm was judged real in any run so far, or the red button was pressed before it could be judged."""
    return any(event.kind == "kill.ordered" or (event.kind == "alarm.judged" and event.data.get("real") is True)
               for event in events)  # fmt: skip


def _opened(state: State, event: Event) -> State:
    data = event.data
    why = data.get("assessment") or {}
    return state._replace(
        type=data.get("type"),
        severity=data.get("severity"),
        check=bool(data.get("check")),
        opened_at=event.at,
        severity_rule=why.get("rule"),
        severity_reason=why.get("reason"),
    )


def _severity_set(state: State, event: Event) -> State:
    data = event.data
    return state._replace(
        severity=data.get("severity"), severity_rule=data.get("rule"), severity_reason=data.get("reason")
    )


def _killed(state: State, event: Event) -> State:
    """A kill of one venue says nothing about the others, so theirs stay as they were."""
    venues = dict(state.venues)
    for venue in event.data.get("venues") or ():
        verdict = venue.get("verdict", "unknown")
        venues[str(venue.get("name"))] = Containment(verdict, venue.get("open_after"), event.at)
    return state._replace(venues=venues)


def _latched(state: State, event: Event) -> State:
    data = event.data
    name = " ".join(str(data.get(part) or "") for part in ("host", "scope", "name")).strip()
    return state._replace(latches={**state.latches, name: _latch_doubt(data)})


def _latch_doubt(data: Mapping[str, Any]) -> str:
    """What is not proven of a latch, in words; "" where nothing is. A dead process answers nothing: that is no doubt
    of a latch that is closed."""
    if data.get("state") != "closed":
        return "" if data.get("agree") else f"the latch of {data.get('host')} is not open: {data.get('difference')}"
    if data.get("hold") != "closed":
        return f"the latch of {data.get('host')} is not closed: its hold file is {data.get('hold')}"
    rows = [row for row in data.get("api") or () if isinstance(row, Mapping)]
    live = [str(row.get("trading_system")) for row in rows if row.get("state") == "open"]
    return f"the latch of {data.get('host')} is not closed: {', '.join(live)} may trade" if live else ""


def _strategy(state: State, event: Event) -> State:
    now = "stopped" if event.kind == "strategies.stopped" else "running"
    touched = {str(name): now for name in event.data.get("ids") or ()}
    return state._replace(strategies={**state.strategies, **touched})


def _registered(state: State, event: Event) -> State:
    data = event.data
    module = str(data.get("module"))
    inverse = Inverse(
        id=str(data.get("id")),
        task=data.get("task", ""),
        host=data.get("host", ""),
        module=module,
        args=data.get("args") or {},
        describe=data.get("describe") or module,
    )
    return state._replace(inverses=(inverse, *state.inverses))


def _applied(state: State, event: Event) -> State:
    return state._replace(inverses=tuple(item for item in state.inverses if item.id != event.data.get("id")))


def _given_up(state: State, event: Event) -> State:
    """Another incident has taken over what these would open: they are its to play."""
    gone = event.data.get("inverses") or ()
    return state._replace(inverses=tuple(item for item in state.inverses if item.id not in gone))


def _gate_held(state: State, event: Event) -> State:
    data = event.data
    waiting = Waiting(
        people=data.get("people") or 1,
        groups=tuple(data.get("groups") or ()),
        question=str(data.get("question") or ""),
        approved_by=tuple(data.get("approved_by") or ()),
        missing=data.get("missing") or 0,
        may_approve=tuple(data.get("may_approve") or ()),
    )
    return state._replace(gates={**state.gates, str(data.get("gate")): waiting})


def _gate_approved(state: State, event: Event) -> State:
    gate, person = str(event.data.get("gate")), str(event.data.get("person"))
    waiting = state.gates.get(gate)
    if waiting is None or person in waiting.approved_by:
        return state
    waiting = waiting._replace(
        approved_by=(*waiting.approved_by, person),
        missing=max(0, waiting.missing - 1),
        may_approve=tuple(name for name in waiting.may_approve if name != person),
    )
    return state._replace(gates={**state.gates, gate: waiting})


def _gate_passed(state: State, event: Event) -> State:
    passed = str(event.data.get("gate"))
    return state._replace(gates={gate: waiting for gate, waiting in state.gates.items() if gate != passed})


def _evidence_kept(state: State, event: Event) -> State:
    """Nobody need waive any more what is kept by now. A host of which it is not yet is asked about again."""
    if event.data.get("volatile") is not True:
        return state
    return state._replace(gates={gate: waiting for gate, waiting in state.gates.items() if gate != WAIVE_EVIDENCE})


_STARTS_INVERSE, _ENDS_INVERSES = "inverse.registered", ("inverse.applied", "claims.given_up")

# What each kind of event changes; kinds that are not here change nothing that is derived.
_UPDATES = {
    "incident.opened": _opened,
    "incident.closed": lambda state, event: state._replace(closed_at=event.at),
    "incident.reopened": lambda state, event: state._replace(closed_at=None),
    "severity.set": _severity_set,
    "run.started": lambda state, event: state._replace(outcome=None),
    "run.finished": lambda state, event: state._replace(outcome=event.data.get("outcome")),
    "phase.entered": lambda state, event: state._replace(phase=event.data.get("phase")),
    "kill.verified": _killed,
    "strategies.stopped": _strategy,
    "strategies.started": _strategy,
    "latch.changed": _latched,
    _STARTS_INVERSE: _registered,
    "inverse.applied": _applied,
    "claims.given_up": _given_up,
    "gate.held": _gate_held,
    "approval.given": _gate_approved,
    "gate.passed": _gate_passed,
    "evidence.kept": _evidence_kept,
}


def _allocate(incident_type: str, home: Path) -> Incident:
    """mkdir either makes the folder or fails, so two processes never get one id."""
    moment = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    try:
        make_private_directory(str(home))
        n = 1
        while True:
            directory = home / f"inc-{moment}-{incident_type}-{n}"
            try:
                directory.mkdir(mode=0o700)
            except FileExistsError:
                n += 1
            else:
                return Incident(directory.name, directory)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"no place for the record: {home}: {reason} (set {ENV_HOME} to a writable folder)") from error


def _age(incident_id: str) -> tuple[str, int, str]:
    found = _ID.fullmatch(incident_id)
    return (found["opened"], int(found["n"]), incident_id) if found else ("", 0, incident_id)
