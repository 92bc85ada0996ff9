# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""How a drill went, by the venues' own books and the record; not by what the response says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.approvals import PASSED, TRADING, guards_of
from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.journal import verify

from ..fire_first import BY
from ..lab.venue_handle import Happening
from ..outcome import Outcome
from .books import all_emptied_for_good, count_at, empty_between
from .scenario import Line, seconds


@dataclass(frozen=True)
class Measured:
    """Seconds count from the alert; ``contained_s`` is when the venues' own books became empty for good (None: they
    never did), ``proven_s`` when the response had proven it, ``resumed_s`` when quotes came back. ``won_s``: how long
    before the playbook's own kill the red button was pressed (None: it was not). ``approved_by``: who allowed trading
    to resume."""

    contained_s: float | None
    proven_s: float | None
    resumed_s: float | None
    won_s: float | None
    false_safe: int
    reconciled: bool
    approved_by: tuple[str, ...]
    strategies_restored: bool
    orders_killed: int


@dataclass(frozen=True)
class Score(Measured):
    """How a drill went; it passed where every line did."""

    type: str
    fault: str
    passed: bool
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


class Drilled(NamedTuple):
    """What is scored: ``books`` of the venues that count, strategies that ran ``before`` and ``after``."""

    type: str
    fault: str
    home: str
    alert_at: float
    books: Mapping[str, Sequence[Happening]]
    before: frozenset[str]
    after: frozenset[str]
    events: Sequence[Event]
    outcome: Outcome
    own_lines: Sequence[Line]


def score(drilled: Drilled) -> Score:
    """The score of a drill."""
    events, outcome = drilled.events, drilled.outcome
    books = list(drilled.books.values())
    happenings = [happening for book in books for happening in book]
    passed_gate = [event for event in events if event.kind == PASSED and guards_of(event) == TRADING]
    reopened_at = seconds(passed_gate[0].at) if passed_gate else float("inf")
    claims = [at for at in claims_of_safety(events) if at < reopened_at]
    placed_again = [h.at for h in happenings if h.kind == "placed" and h.at > reopened_at]

    def since_alert(at: float | None) -> float | None:
        return None if at is None else round(at - drilled.alert_at, 2)

    measured = Measured(
        contained_s=since_alert(all_emptied_for_good(books, reopened_at)),
        proven_s=since_alert(min(claims, default=None)),
        resumed_s=since_alert(min(placed_again, default=None)),
        won_s=time_won(events),
        false_safe=false_claims(claims, books, reopened_at),
        reconciled=[e.data.get("verdict") for e in events if e.kind == "positions.reconciled"][-1:] == ["reconciled"],
        approved_by=tuple(passed_gate[-1].data.get("people") or ()) if passed_gate else (),
        strategies_restored=drilled.after == drilled.before,
        orders_killed=sum(h.kind == "canceled" and drilled.alert_at <= h.at < reopened_at for h in happenings),
    )
    lines = _lines(measured, drilled)
    return Score(
        type=drilled.type,
        fault=drilled.fault,
        passed=all(line.passed for line in lines),
        incident=outcome.incident,
        home=drilled.home,
        lines=lines,
        outcome=outcome,
        **asdict(measured),
    )


def _lines(measured: Measured, drilled: Drilled) -> tuple[Line, ...]:
    won, by, chain, end = measured.won_s, measured.approved_by, verify(drilled.outcome.journal), drilled.outcome
    restored = f"{len(drilled.after & drilled.before)} of {len(drilled.before)}"
    return (
        Line("contained, as the venues saw it", _told(measured.contained_s), measured.contained_s is not None),
        Line("proven by the response", _told(measured.proven_s), measured.proven_s is not None),
        *([] if won is None else [Line("won by firing first", f"{won:.2f} s", won >= 0)]),
        Line('false "safe"', str(measured.false_safe or "none"), not measured.false_safe),
        *drilled.own_lines,
        Line("positions and orders reconciled", "yes" if measured.reconciled else "NO", measured.reconciled),
        Line("allowed to resume by", " and ".join(by) or "NOBODY", len(set(by)) >= 2),
        Line("strategies restored", restored, measured.strategies_restored),
        Line("trading resumed", _told(measured.resumed_s), measured.resumed_s is not None),
        Line("record", f"{chain.events} events, {chain.state}", chain.state == "intact"),
        Line("outcome", f"{end.outcome}, exit code {end.exit_code}", end.exit_code == 0),
    )


def _told(after: float | None) -> str:
    if after is None:
        return "never"
    return f"{abs(after):.2f} s {'after' if after >= 0 else 'before'} the alert"


def false_claims(claims: Iterable[float], books: Iterable[Sequence[Happening]], until: float) -> int:
    """How many of the moments at which the record said "safe" were followed by a live order before ``until``."""
    seen = list(books)
    return sum(any(count_at(book, at) or not empty_between(book, at, until) for book in seen) for at in claims)


def claims_of_safety(events: Sequence[Event]) -> list[float]:
    """When the record first said "safe", and each time again: every venue clear, and nothing that could trade; that is,
    all trading systems have stopped, or the latch is closed on a host whose trading system could not be told."""
    latched = next((seconds(e.at) for e in events if e.kind == "latch.changed"), float("inf"))
    claims = []
    for event in events:
        if event.kind == "kill.verified" and event.data.get("verdict") == "clear":
            told = all(system.get("verdict") == "stopped" for system in event.data.get("trading_systems") or ())
            claims.append(seconds(event.at) if told else max(seconds(event.at), latched))
    return claims


def time_won(events: Sequence[Event]) -> float | None:
    """Seconds from the red button that was pressed first to the first word of the playbook's own kill; None where
    either of the two is missing."""
    pressed = next((e for e in events if e.kind == "kill.ordered" and e.data.get("by") == BY), None)
    own = next((e for e in events if e.kind == "venue.reported" and e.data.get("by") != BY), None)
    return round(seconds(own.at) - seconds(pressed.at), 2) if pressed and own else None


def sheet(scored: Score) -> list[str]:
    """The score sheet for people."""
    head = f"DRILL {scored.type}, {scored.fault}: {'PASSED' if scored.passed else 'FAILED'}"
    rows = [f"  {'ok ' if line.passed else 'BAD'}  {line.what:<37} {line.value}" for line in scored.lines]
    return [head, *rows, f"  record: HFT_INCIDENT_HOME={scored.home} hft-incident timeline {scored.incident}"]


def table(scores: Sequence[Score]) -> list[str]:
    """Several drills, a line each; what went wrong below it."""
    rows = []
    for scored in scores:
        word = "ok " if scored.passed else "BAD"
        facts = (scored.contained_s, scored.proven_s, scored.resumed_s)
        times = "  ".join("   never" if fact is None else f"{fact:6.2f} s" for fact in facts)
        rows.append(f"  {word}  {scored.fault:<20} {times}  {scored.orders_killed:>4} orders killed")
        rows += [f"       BAD  {line.what}: {line.value}" for line in scored.lines if not line.passed]
    good = sum(scored.passed for scored in scores)
    head = f"DRILL {scores[0].type}: {good} of {len(scores)} faults passed (contained, proven, trading again after)"
    return [head, *rows]
