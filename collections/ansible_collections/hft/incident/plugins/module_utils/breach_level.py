# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""How sure we are that there is a breach: pure rules, no input or output.

Source: seed-faults A9. A suspicion is enough for what protects the money and can be taken back. What destroys
(isolation, new keys, stopping) needs a breach that is confirmed: by a person with a name, or by two signals that alarm
and do not come from the same source, for whoever holds one source can make it say anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .audit_findings import ALARMING, INFO, SEVERITIES, line
from .chain import Event
from .errors import UsageError

LEVELS = ("suspected", "confirmed")
SUSPECTED, CONFIRMED = LEVELS
JUDGED = "breach.level_judged"
#: What was found in an account, one by one, and on a host, all at once; as the modules that look record it.
FOUND, AUDITED = "account.finding", "host.audited"
#: What one intruder would have to hold at the same time to make two of them lie.
SOURCES = ("host", "venue", "network", "person")
#: So many signals are kept on record, the alarming ones first.
KEPT = 200


class Signal(NamedTuple):
    """Something that speaks for an intruder; ``what`` is a sentence."""

    source: str
    kind: str
    severity: str
    what: str


class Level(NamedTuple):
    """``because``: a sentence each; ``confirmed_by``: the people who say so."""

    level: str
    because: tuple[str, ...]
    confirmed_by: tuple[str, ...]
    signals: tuple[Signal, ...]


def signals_of(given: Iterable[Any]) -> list[Signal]:
    """Findings of modules, and what people have seen; raises UsageError naming the one that is none."""
    found = []
    for number, item in enumerate(given, 1):
        if not isinstance(item, Mapping):
            raise UsageError(f"signals: number {number} is no mapping with source, kind, severity and what")
        source = item.get("source") or ("venue" if item.get("venue") else None)
        for field, value, known in (("source", source, SOURCES), ("severity", item.get("severity"), SEVERITIES)):
            if value not in known:
                raise UsageError(f"signals: number {number}: {field} must be one of {', '.join(known)}, not {value!r}")
        kind, what = item.get("kind"), item.get("what")
        if not kind or not what:
            raise UsageError(f"signals: number {number}: it needs a kind, and what was seen")
        place = f"{item['venue']}: " if item.get("venue") else ""
        found.append(Signal(str(source), line(kind), str(item["severity"]), line(f"{place}{what}")))
    return found


def judge(signals: Sequence[Signal], people: Sequence[str], before: Level | None = None) -> Level:
    """From all that is known now and ``before``: a level never goes down, and a signal that was seen stays one."""
    named = tuple(dict.fromkeys([*(before.confirmed_by if before else ()), *people]))
    worth = [one for one in [*(before.signals if before else ()), *signals] if one.severity != INFO]
    kept = sorted(dict.fromkeys(worth), key=lambda one: -SEVERITIES.index(one.severity))
    alarming: dict[str, Signal] = {}
    for one in kept:
        if one.severity == ALARMING:
            alarming.setdefault(one.source, one)
    because = [f"{person} confirms it" for person in named]
    because += [f"{source}: {one.what}" for source, one in alarming.items()]
    confirmed = bool(named) or len(alarming) > 1
    if not confirmed and before and before.level == CONFIRMED:
        # By a record that was written under other rules, or cut.
        confirmed, because = True, ["it was confirmed before", *because]
    if not confirmed:
        one_short = "one source alarms, and a second one would confirm it" if alarming else "no signal alarms so far"
        because += [f"{one_short}; so would a person"]
    return Level(CONFIRMED if confirmed else SUSPECTED, tuple(because), named, tuple(kept[:KEPT]))


def level_of(events: Iterable[Event]) -> Level | None:
    """As the record has it: the worst that was judged, with every signal; None where nothing was."""
    level: str | None = None
    people: list[str] = []
    signals: list[Signal] = []
    for event in events:
        if event.kind == JUDGED:
            said = CONFIRMED if event.data.get("level") == CONFIRMED else SUSPECTED
            level = max(level or SUSPECTED, said, key=LEVELS.index)
            people += map(str, _list(event.data, "confirmed_by"))
            signals += _readable(_list(event.data, "signals"))
    return None if level is None else judge(signals, people, Level(level, (), (), ()))


def signals_on_record(events: Iterable[Event]) -> list[Signal]:
    """What was found, whichever run has found it: one that was killed before it judged has told nobody else."""
    found: list[Signal] = []
    for event in events:
        if event.kind == FOUND:
            found += _readable([event.data])
        elif event.kind == AUDITED:
            found += _readable(_list(event.data, "findings"))
    return found


def _readable(given: Iterable[Any]) -> Iterable[Signal]:
    for item in given:
        try:
            yield from signals_of([item])
        except UsageError:  # of a record that was written under other rules
            continue


def _list(data: Mapping[str, Any], field: str) -> list[Any]:
    value = data.get(field)
    return list(value) if isinstance(value, (list, tuple)) else []
