# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What each open incident holds closed, so that none opens again what another still needs closed.

A claim is derived from the journal, never stored: whatever an open incident has closed and not given back. It stands in
nobody's way but that of opening again; closing never asks. A journal that was altered or cannot be read may hide
anything, so it claims everything: unknown is not free.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from . import chain
from .chain import Event
from .errors import HeldError, UsageError
from .incident import Incident, Inverse, list_incidents, state_of
from .intents import register

#: The states that an inverse sets when it opens something again.
OPENING = frozenset(("enabled", "started", "released", "open", "thawed"))
#: Modules whose inverses say by their ``state`` which way they go.
HOST_MODULES = frozenset(("latch", "service_state"))
TWO_WAY = frozenset(("exchange", "host_isolation", "killswitch", "latch", "service_state", "strategy"))


class Thing(NamedTuple):
    """What may be closed: ``kind`` is venue, trading system, strategy or host; ``at`` the trading system or host where
    it is closed, empty for everywhere."""

    kind: str
    name: str
    at: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    def overlaps(self, other: Thing) -> bool:
        """Whether opening one opens (a part of) the other."""
        if (self.kind, self.name) == (other.kind, other.name):
            return self.at == other.at or not (self.at and other.at)
        return self.contains(other) or other.contains(self)

    def contains(self, other: Thing) -> bool:
        """A trading system or its host as a whole: everything that is closed there."""
        return self.kind in ("trading system", "host") and self.name == other.at


class Held(NamedTuple):
    """Who closed a thing, and when (UTC)."""

    owner: str
    since: str


class Claim(NamedTuple):
    """``things`` that ``incident`` holds. Without things it claims everything, for the ``reason`` it gives."""

    incident: str
    owner: str
    since: str
    things: tuple[Thing, ...]
    reason: str = ""


def require_free(incident: Incident) -> None:
    """Raises HeldError where another open incident holds something that this one would open again."""
    if found := conflicts(incident):
        raise HeldError("; ".join(_sentence(incident.id, claim) for claim in found))


def conflicts(incident: Incident) -> list[Claim]:
    """The claims that stand in the way of this incident's opening again, each with only the things that both hold.

    Raises IncidentError where this incident's own record cannot be read.
    """
    events = incident.journal.events()
    mine = held_by(events)
    passed_over = {(e.data.get("incident"), e.data.get("sha256")) for e in events if e.kind == "claims.taken_over"}
    found = []
    for other in list_incidents(incident.directory.parent):
        claim = claim_of(other) if other.id != incident.id else None
        if claim is None:
            continue
        if not claim.things:
            # Passed over on purpose as its record stood: a byte more, and nobody knows again.
            if (other.id, fingerprint(other)) not in passed_over:
                found.append(claim)
        elif shared := tuple(thing for thing in claim.things if any(map(thing.overlaps, mine))):
            found.append(claim._replace(things=shared))
    return found


def take_from(incident: Incident, other: Incident) -> tuple[Thing, ...]:
    """Takes over, on purpose, what both hold: it is this incident's to open again from now on; returns it.

    With it go the other's inverses that would open it. Both journals say so, this one first: killed in between, both
    hold it, and doing it again mends that. A record that cannot be believed has nothing to hand over: from now on it is
    passed over as it stands. Raises UsageError where the other holds nothing that stands in the way.
    """
    claim = next((claim for claim in conflicts(incident) if claim.incident == other.id), None)
    if claim is None:
        raise UsageError(f"{other.id} holds nothing that {incident.id} would open again")
    if not claim.things:
        incident.journal.append("claims.taken_over", {"incident": other.id, "sha256": fingerprint(other)})
        return ()
    going = [
        inverse
        for inverse in state_of(other.journal.events()).inverses
        if any(thing.overlaps(mine) for thing in opened_by(inverse) for mine in claim.things)
    ]
    things = tuple(sorted({*claim.things, *(thing for inverse in going for thing in opened_by(inverse))}))
    listed = [thing._asdict() for thing in things]
    incident.journal.append("claims.taken_over", {"incident": other.id, "things": listed})
    for inverse in reversed(going):  # the first change first, as it was registered
        register(incident, [inverse._asdict()], task=f"taken over from {other.id}", host=inverse.host)
    handed = [inverse.id for inverse in going]
    other.journal.append("claims.given_up", {"incident": incident.id, "things": listed, "inverses": handed})
    return things


def claim_of(incident: Incident) -> Claim | None:
    """What this incident holds now; None: nothing (it is closed, a rehearsal, or has given everything back)."""
    try:
        stat = Path(incident.journal.path).stat()
        return _claim_of(incident, stat.st_ino, stat.st_size, stat.st_mtime_ns)
    except FileNotFoundError:
        return None  # the folder is made right before the first line: nothing was done yet
    except OSError as error:
        return _everything(incident, f"its record cannot be read ({error.strerror or error})")


def held_by(events: Sequence[Event]) -> dict[Thing, Held]:
    """What the events of an incident closed and did not open again. Whether it is open itself is not asked."""
    held: dict[Thing, Held] = {}
    inverses: dict[str, Inverse] = {}
    registered: dict[str, Held] = {}
    for event in events:
        if event.kind == "inverse.registered":
            inverse = state_of([event]).inverses[0]
            inverses[inverse.id], registered[inverse.id] = inverse, Held(event.actor, event.at)
        for thing in _CLOSED.get(event.kind, _nothing)(event.data):
            held.setdefault(thing, Held(event.actor, event.at))
        if event.kind == "claims.given_up":
            for thing in _listed(event.data):
                held.pop(thing, None)
        opened = _OPENED.get(event.kind, _nothing)(event.data)
        if event.kind == "inverse.applied" and event.data.get("id") in inverses:
            opened = opened_by(inverses[str(event.data["id"])])
        for thing in opened:
            for other in [other for other in held if _gives_back(thing, other)]:
                del held[other]
    for inverse in state_of(events).inverses:
        for thing in opened_by(inverse):
            held.setdefault(thing, registered[inverse.id])
    return held


def opened_by(inverse: Inverse) -> tuple[Thing, ...]:
    """What playing this inverse opens: nothing where it closes; of a module not known here, all that it names."""
    args = inverse.args
    module = inverse.module.rpartition(".")[2]
    if module in TWO_WAY and args.get("state") not in OPENING:
        return ()
    given = args.get("trading_systems") or ()
    systems = [str(entry.get("name")) for entry in given if isinstance(entry, Mapping)]
    if module == "exchange":
        return tuple(Thing("venue", str(args.get("name")), system) for system in systems)
    if module == "strategy":
        return tuple(Thing("strategy", str(name), system) for system in systems for name in args.get("ids") or ())
    if module == "trading_limit":
        return tuple(Thing("order limit", system, system) for system in systems)
    # What acts on a host opens something there, also where the control node is that host.
    on_host = inverse.host not in ("", "localhost") or module in HOST_MODULES
    host = (Thing("host", inverse.host or "localhost"),) if on_host else ()
    return (*(Thing("trading system", system) for system in systems), *host)


def fingerprint(incident: Incident) -> str:
    """SHA-256 of the record's bytes as they are; empty where they cannot be read."""
    try:
        return hashlib.sha256(Path(incident.journal.path).read_bytes()).hexdigest()
    except OSError:
        return ""


@lru_cache(maxsize=4096)
def _claim_of(incident: Incident, *_version: int) -> Claim | None:
    """Remembered for as long as the file stays as it is: most incidents were closed long ago."""
    found = chain.check(Path(incident.journal.path).read_bytes())
    if found.state == "altered":
        return _everything(incident, f"its record was {found.reason}")
    events = incident.journal.events()
    state = state_of(events)
    held = {} if state.check or not state.is_open else held_by(events)
    if not held:
        return None
    first = min(held.values(), key=lambda one: one.since)
    return Claim(incident.id, first.owner, first.since, tuple(sorted(held)))


def _everything(incident: Incident, reason: str) -> Claim:
    return Claim(incident.id, "nobody knows whom", "an unknown time", (), reason)


def _gives_back(opened: Thing, held: Thing) -> bool:
    """What was closed without saying where counts as open once it is opened anywhere: each place's own inverse still
    holds it there."""
    if (opened.kind, opened.name) == (held.kind, held.name):
        return held.at in ("", opened.at)
    return opened.contains(held) or (opened.kind in ("trading system", "host") and held == Thing("venue", held.name))


def _sentence(mine: str, claim: Claim) -> str:
    if not claim.things:
        return (
            f"{claim.incident} may hold anything, {claim.reason}: look into it, then pass it over on purpose with "
            f"`hft-incident resume {mine} --take-from {claim.incident}`"
        )
    things = ", ".join(dict.fromkeys(map(str, claim.things)))
    return (
        f"{claim.incident} holds {things} closed, by {claim.owner} since {claim.since}: finish it with "
        f"`hft-incident resume {claim.incident}`, or take that over on purpose with "
        f"`hft-incident resume {mine} --take-from {claim.incident}`"
    )


Things = Iterable[Thing]
Said = Callable[[Mapping[str, Any]], Things]


def _nothing(_data: Mapping[str, Any]) -> Things:
    return ()


def _killed(data: Mapping[str, Any]) -> Things:
    """``kill.ordered`` has names, ``kill.verified`` has results."""
    for venue in data.get("venues") or ():
        yield Thing("venue", str(venue.get("name") if isinstance(venue, Mapping) else venue))


def _exchange(states: tuple[str, ...], data: Mapping[str, Any]) -> Things:
    if data.get("state") in states:
        yield Thing("venue", str(data.get("name")), str(data.get("trading_system", "")))


def _strategies(data: Mapping[str, Any]) -> Things:
    for name in data.get("ids") or ():
        yield Thing("strategy", str(name), str(data.get("trading_system", "")))


def _latch(state: str, data: Mapping[str, Any]) -> Things:
    if data.get("state") != state:
        return
    host = str(data.get("host", ""))
    kind = {"exchange": "venue", "strategy": "strategy"}.get(str(data.get("scope")))
    yield Thing(kind, str(data.get("name")), host) if kind else Thing("host", host)


def _listed(data: Mapping[str, Any]) -> Things:
    for item in data.get("things") or ():
        yield Thing(str(item.get("kind")), str(item.get("name")), str(item.get("at", "")))


_CLOSED: Mapping[str, Said] = {
    "kill.ordered": _killed,
    "kill.verified": _killed,
    "exchange.changed": lambda data: _exchange(("disabled",), data),
    "strategies.stopped": _strategies,
    "latch.changed": lambda data: _latch("closed", data),
    "claims.taken_over": _listed,
}
_OPENED: Mapping[str, Said] = {
    "exchange.changed": lambda data: _exchange(("enabled",), data),
    "strategies.started": _strategies,
    "latch.changed": lambda data: _latch("open", data),
}
