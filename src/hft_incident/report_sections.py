# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What the report of an incident says, section by section: tables whose every row names the journal lines it is from.

Pure rules over events. A figure is shown as the journal has it, only the sentences of the timeline round some; the few
that are derived (counts, sums, spans) come from the lines that the row names. What the journal does not have is said
to be missing. Source: seed section 12.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.credentials import LISTED, ROTATED
from ansible_collections.hft.incident.plugins.module_utils.credentials import items as credential_items
from ansible_collections.hft.incident.plugins.module_utils.redaction import iso_utc
from ansible_collections.hft.incident.plugins.module_utils.regulatory_clocks import clocks_of

from . import report_impact, report_notices
from .metrics import Metrics, instant, items, label, number, rows, word
from .report_tables import NOT_KNOWN, Row, Section, Table, of, seconds, shown, since
from .sentences import plain, sentence


def sections(events: Sequence[Event], metrics: Metrics) -> list[Section]:
    """Everything that the journal says, in the order that a reader asks for it."""
    found = [
        Section("At a glance", (_glance(events), _moments(metrics), _spans(metrics))),
        Section("Severity", (_severity(events),)),
        Section("Impact", report_impact.tables(events, metrics)),
        Section("Timeline", (_phases(events), _key_moments(events))),
        Section("Kill record", (_kills(events), _systems(events))),
        Section("Reconciliation", (_reconciled(events), _breaks(events))),
        Section("Cause", (_crashes(events), _proof(events), _told(events, "What else was found out", _FINDINGS))),
        Section("Approvals and gates", (_gates(events),)),
        Section("Latch and holds", (_latches(events), _held(events))),
        Section("Overrides and take-overs", (_told(events, "", _OVERRIDES, "Nobody overrode anything on record."),)),
        Section("Steps", (_steps(events), _notable_steps(events), _inverses(events))),
        Section("Communication", (
            *report_notices.tables(events),
            _clocks(events),
            _told(events, "What was said of the clocks", _CLOCKS),
        )),
        Section("Evidence", (
            _evidence(events),
            _told(events, "Who looked at it", ("evidence.accessed",), "Nobody has, as far as the record tells."),
        )),
    ]  # fmt: skip
    if of(events, *_KEYS, LISTED):  # of a breach only
        found.append(Section("Keys and credentials", (_told(events, "API keys", _KEYS), _credentials(events))))
    return found


def _glance(events: Sequence[Event]) -> Table:
    told: list[Row] = []
    for event in of(events, "incident.opened")[:1]:
        data = event.data
        given = data.get("inputs")
        facts = {
            "type": shown(data.get("type")),
            "opened": f"{shown(event.at)} by {shown(event.actor)}",
            "check mode": "yes: a rehearsal, nothing was changed" if data.get("check") is True else "no",
            **{f"given: {plain(word(name))}": shown(value)
               for name, value in (given.items() if isinstance(given, Mapping) else ())},
            "inventory": ", ".join(map(shown, items(data, "inventory"))) or NOT_KNOWN,
        }  # fmt: skip
        told += [Row((name, value), (event.seq,)) for name, value in facts.items()]
    for event in of(events, "incident.closed", "incident.reopened"):
        told.append(Row((event.kind.partition(".")[2], f"{shown(event.at)}: {sentence(event)}"), (event.seq,)))
    for event in of(events, "run.finished")[-1:]:
        outcome = event.data.get("outcome")
        why = f": {shown(event.data.get('reason'))}" if event.data.get("reason") else ""
        told.append(Row(("last run", f"{shown(outcome)}{why}"), (event.seq,), "good" if outcome == "done" else "bad"))
    first: dict[str, int] = {}
    for event in events:
        first.setdefault(event.actor, event.seq)
    told += [Row(("took part", shown(actor)), (line,)) for actor, line in first.items()]
    return Table("", ("Fact", "Value"), tuple(told), "The journal says nothing.")


def _moments(metrics: Metrics) -> Table:
    told = [
        Row((name, moment.at or NOT_KNOWN, plain(moment.why)), () if moment.line is None else (moment.line,))
        for name, moment in metrics.moments.items()
    ]
    return Table("When", ("Moment", "At (UTC)", "Because"), tuple(told), "")


def _spans(metrics: Metrics) -> Table:
    told = [
        Row((label(name), seconds(span.seconds), plain(span.why)), span.lines)
        for name, span in metrics.spans.items()
        if name != "restricted"
    ]
    return Table("How long", ("Measure", "Time", "Because"), tuple(told), "")


def _severity(events: Sequence[Event]) -> Table:
    told = []
    for event in of(events, "incident.opened", "severity.set"):
        assessed = event.data.get("assessment")
        why = assessed if event.kind == "incident.opened" and isinstance(assessed, Mapping) else event.data
        cells = (event.at, event.data.get("severity"), why.get("by") or event.actor, why.get("rule"), why.get("reason"))
        told.append(Row(tuple(map(shown, cells)), (event.seq,)))
    return Table("", ("At (UTC)", "Severity", "By", "Rule", "Reason"), tuple(told), "No severity is on record.")


def _phases(events: Sequence[Event]) -> Table:
    """A play lasts until the next begins or its run ends; between two runs nothing was at work."""
    marks = of(events, "phase.entered", "run.finished", "run.interrupted", "run.lost")
    told = []
    for event, following in zip_longest(marks, marks[1:]):
        if event.kind != "phase.entered":
            continue
        lasted = since(event, following) if following else NOT_KNOWN
        cells = (shown(event.data.get("phase")), shown(event.data.get("play")), shown(event.at), lasted)
        told.append(Row(cells, (event.seq, following.seq) if following else (event.seq,)))
    return Table("Phases", ("Phase", "Play", "Entered (UTC)", "Lasted"), tuple(told), "No phase was entered on record.")


#: What a reader of a post-mortem wants to see first; all the rest is in the appendix.
KEY_KINDS = frozenset((
    *("incident.opened", "incident.closed", "incident.reopened", "incident.escalated", "incident.acknowledged"),
    *("severity.set", "alarm.judged", "kill.ordered", "kill.verified", "crash.classified", "database.probed"),
    *("release.checked", "host.audited", "breach.level_judged", "evidence.kept", "evidence.waived", "latch.changed"),
    *("latch.not_opened", "strategies.stopped", "strategies.started", "exchange.changed", "service.changed"),
    *("trading_limit.changed",),
    *("positions.reconciled", "gate.held", "approval.given", "gate.passed", "inverse.failed", "run.started"),
    *("run.resumed", "run.finished", "run.lost", "run.interrupted", "run.taken_over", "run.no_hosts"),
    *("claims.taken_over", "claims.given_up"),
    *("war_room.opened", "role.assigned", "role.handed_over", "disclosure.allowed"),
    *("fire_first.withheld", "record.refused", "journal.torn_line", "journal.alteration_found"),
))  # fmt: skip


def _key_moments(events: Sequence[Event]) -> Table:
    found = [event for event in events if event.kind in KEY_KINDS]
    told = [Row((shown(event.at), shown(event.kind), shown(sentence(event))), (event.seq,)) for event in found]
    return Table("Key moments", ("At (UTC)", "Kind", "What happened"), tuple(told), "The journal has none.")


def _kills(events: Sequence[Event]) -> Table:
    fields = ("open_before", "cancelled", "open_after", "first_clear_ms", "confirmed_ms", "requests", "error")
    told = []
    for event in of(events, "kill.verified"):
        for venue in rows(event.data, "venues"):
            values = (venue.get(field) for field in fields[:-1])
            error = shown(venue.get("error")) if venue.get("error") else ""
            by, named = event.data.get("by") or "playbook", (venue.get("name"), venue.get("verdict"))
            cells = (*map(shown, (by, *named, *values)), error)
            told.append(Row(cells, (event.seq,), "good" if venue.get("verdict") == "clear" else "bad"))
    columns = ("Kill by", "Venue", "Verdict", "Open before", "Cancelled", "Open after", "First clear (ms)",
               "Confirmed (ms)", "Requests", "Error")  # fmt: skip
    return Table("Venues", columns, tuple(told), "No kill is on record.")


def _systems(events: Sequence[Event]) -> Table:
    told = []
    for event in of(events, "kill.verified"):
        for system in rows(event.data, "trading_systems"):
            cells = (
                event.data.get("by") or "playbook",
                *(system.get(name) for name in ("name", "verdict", "elapsed_ms")),
            )
            error = shown(system.get("error")) if system.get("error") else ""
            tone = "good" if system.get("verdict") == "stopped" else "bad"
            told.append(Row((*map(shown, cells), error), (event.seq,), tone))
    columns = ("Kill by", "Trading system", "Verdict", "After (ms)", "Error")
    return Table("Trading systems", columns, tuple(told), "No trading system was told to stop on record.")


def _reconciled(events: Sequence[Event]) -> Table:
    told = []
    for event in of(events, "positions.reconciled"):
        verdict = event.data.get("verdict")
        tone = "good" if verdict == "reconciled" else "bad"
        told.append(Row(tuple(map(shown, (event.at, verdict, event.data.get("reason")))), (event.seq,), tone))
    return Table("", ("At (UTC)", "Verdict", "Reason"), tuple(told), "Positions were not reconciled on record.")


def _breaks(events: Sequence[Event]) -> Table:
    """Whether a break was mended: it is not in the next reconciliation of the same venue."""
    told: list[Row] = []
    open_breaks: dict[str, tuple[int, Mapping[str, Any]]] = {}
    for event in of(events, "positions.reconciled"):
        for venue in rows(event.data, "venues"):
            now = {word(item): (event.seq, item) for item in rows(venue, "breaks")}
            name = word(venue.get("exchange"))
            for key, (line, item) in list(open_breaks.items()):
                if (
                    word(item.get("exchange")) == name
                    and key not in now
                    and venue.get("verdict") in ("reconciled", "breaks")
                ):
                    told.append(_break(item, "gone", (line, event.seq), "good"))
                    del open_breaks[key]
            open_breaks |= {key: found for key, found in now.items() if key not in open_breaks}
    told += [_break(item, "not seen mended", (line,), "bad") for line, item in open_breaks.values()]
    columns = ("Venue", "Kind", "Symbol", "Ours", "Venue's", "Difference", "What it is", "Since")
    return Table("Breaks and repairs", columns, tuple(told), "No break is on record.")


def _break(item: Mapping[str, Any], since: str, lines: tuple[int, ...], tone: str) -> Row:
    names = ("exchange", "kind", "symbol", "system", "venue", "difference", "sentence")
    return Row((*(shown(item.get(name)) for name in names), since), lines, tone)


def _crashes(events: Sequence[Event]) -> Table:
    names = ("host", "unit", "kind", "confidence", "signal", "exit_status", "crashes", "ended_at")
    told = [Row(tuple(shown(event.data.get(name)) for name in names), (event.seq,))
            for event in of(events, "crash.classified")]  # fmt: skip
    columns = ("Host", "Unit", "Kind", "Confidence", "Signal", "Exit status", "Crashes", "Ended (UTC)")
    return Table("Classification", columns, tuple(told), "No crash was classified on record.")


def _proof(events: Sequence[Event]) -> Table:
    told = [
        Row((says, shown(line)), (event.seq,), tone)
        for event in of(events, "crash.classified")
        for field, says, tone in (("because", "for it", ""), ("contradictions", "against it", "bad"))
        for line in items(event.data, field)
    ]
    return Table("Lines that prove it", ("Speaks", "Line"), tuple(told), "No proof is on record.")


_FINDINGS = ("alarm.judged", "venue.diagnosed", "host.measured", "database.probed", "release.checked",
             "host.audited", "breach.level_judged", "incident.escalated")  # fmt: skip
_OVERRIDES = ("run.taken_over", "claims.taken_over", "claims.given_up", "run.stop_requested", "incident.reopened",
              "fire_first.withheld", "run.orphans_ended", "record.refused")  # fmt: skip
_KEYS = ("api_key.created", "api_key.verified", "api_key.loaded", "api_key.revoked", "api_key.rotated",
         "api_key.stray_deleted", "api_key.discarded", "api_keys.rotated")  # fmt: skip
_CLOCKS = ("clock.started", "clock.met", "clock.stopped")


def _clocks(events: Sequence[Event]) -> Table:
    """Each as it stands, judged at the record's last line: a report says the same whenever it is made."""
    last = instant(events[-1].at) if events else None
    told = []
    for clock in clocks_of(events):
        late = last is not None and clock.overdue(last)
        state = "does not apply" if clock.stopped else "met" if clock.met_at else "not met"
        cells = (clock.name, clock.owner, iso_utc(clock.due_at) if clock.due_at else NOT_KNOWN,
                 f"{state}{', TOO LATE' if late else ''}", clock.by, clock.reference)  # fmt: skip
        told.append(Row(tuple(map(shown, cells)), (clock.line,), "bad" if late else ""))
    columns = ("Clock", "Owner", "Due (UTC)", "State", "By", "Reference")
    return Table("Regulatory clocks", columns, tuple(told), "No regulatory clock is on record.")


def _told(events: Sequence[Event], title: str, kinds: Sequence[str], missing: str = "Nothing is on record.") -> Table:
    told = [Row((shown(event.at), shown(event.kind), shown(sentence(event))), (event.seq,))
            for event in of(events, *kinds)]  # fmt: skip
    return Table(title, ("At (UTC)", "Kind", "What happened"), tuple(told), missing)


def _gates(events: Sequence[Event]) -> Table:
    told = []
    for event in of(events, "gate.held", "approval.given", "gate.passed", "disclosure.allowed"):
        said = (
            f"key {shown(event.data.get('fingerprint'))}" if event.kind == "approval.given" else shown(sentence(event))
        )
        people = ([event.data.get("person")] if event.kind == "approval.given"
                  else items(event.data, "approved_by" if event.kind == "gate.held" else "people"))  # fmt: skip
        cells = (shown(event.at), shown(event.data.get("gate")), event.kind.partition(".")[2],
                 ", ".join(map(shown, people)) or "nobody", said)  # fmt: skip
        told.append(Row(cells, (event.seq,), "good" if event.kind in ("gate.passed", "disclosure.allowed") else ""))
    return Table("", ("At (UTC)", "Gate", "What", "People", "Said"), tuple(told), "No gate is on record.")


def _latches(events: Sequence[Event]) -> Table:
    told = []
    for event in of(events, "latch.changed", "latch.not_opened"):
        data = event.data
        state = data.get("state") if event.kind == "latch.changed" else "NOT OPENED"
        scope = (
            f"{shown(data.get('scope'))} {plain(word(data['name']))}" if data.get("name") else shown(data.get("scope"))
        )
        cells = (shown(event.at), shown(data.get("host")), scope, shown(state), shown(data.get("agree")),
                 shown(data.get("difference")) if data.get("difference") else "none")  # fmt: skip
        told.append(Row(cells, (event.seq,), "bad" if data.get("difference") or state == "NOT OPENED" else ""))
    columns = ("At (UTC)", "Host", "Scope", "Told", "All parts agree", "Difference")
    return Table("Latch", columns, tuple(told), "No latch was closed or opened on record.")


def _held(events: Sequence[Event]) -> Table:
    told = [
        Row((shown(event.at), shown(event.data.get("reason"))), (event.seq,))
        for event in of(events, "run.finished")
        if event.data.get("outcome") == "held"
    ]
    return Table("Held", ("At (UTC)", "Waited for"), tuple(told), "No run was held on record.")


def _steps(events: Sequence[Event]) -> Table:
    """Counted by how they ended; every line that is counted is named."""
    found = of(events, "task.finished")
    counts = Counter(word(event.data.get("status")) for event in found)
    told = [
        Row((shown(status), str(count)),
            tuple(event.seq for event in found if word(event.data.get("status")) == status),
            "bad" if status in ("failed", "unreachable") else "")
        for status, count in sorted(counts.items())
    ]  # fmt: skip
    return Table("How they ended", ("Ended", "Steps"), tuple(told), "No step is on record.")


def _notable_steps(events: Sequence[Event]) -> Table:
    """Every step but those that only looked and found everything well."""
    told = []
    for event in of(events, "task.finished", "task.retried"):
        data = event.data
        status = "retried" if event.kind == "task.retried" else data.get("status")
        if status == "ok":
            continue
        took = "" if number(data.get("elapsed_ms")) is None else shown(data["elapsed_ms"])
        said = shown(data.get("msg")) if data.get("msg") else ""
        cells = (shown(status), shown(data.get("task")), shown(data.get("host")), took, said)
        told.append(Row(cells, (event.seq,), "bad" if status in ("failed", "unreachable") else ""))
    columns = ("Ended", "Step", "Host", "Took (ms)", "Said")
    return Table("Changed, skipped, failed", columns, tuple(told), "No step changed, skipped or failed anything.")


def _inverses(events: Sequence[Event]) -> Table:
    told: dict[str, Row] = {}
    known: dict[str, tuple[Event, str]] = {}
    for event in of(events, "inverse.registered", "inverse.applied", "inverse.failed"):
        key = word(event.data.get("id"))
        if event.kind == "inverse.registered":
            known[key] = (event, shown(event.data.get("describe") or event.data.get("module")))
            told[key] = Row((known[key][1], shown(event.data.get("host")), "still to undo", ""), (event.seq,), "bad")
            continue
        registered, describe = known.get(key, (event, shown(event.data.get("describe"))))
        lines = tuple(dict.fromkeys((registered.seq, event.seq)))
        applied = event.kind == "inverse.applied"
        said = shown(event.data.get("msg")) if event.data.get("msg") else ""
        told[key] = Row((describe, shown(registered.data.get("host")), "undone" if applied else "FAILED", said), lines,
                        "good" if applied else "bad")  # fmt: skip
    return Table("Inverses", ("How to undo", "Host", "Now", "Said"), tuple(told.values()), "No inverse is on record.")


def _credentials(events: Sequence[Event]) -> Table:
    """Each with the line that listed it and the one that says it is replaced."""
    told = []
    for item in credential_items(events):
        lines = [event.seq for event in of(events, LISTED) if any(row.get("name") == item.name
                 for row in rows(event.data, "items"))][-1:]  # fmt: skip
        lines += [event.seq for event in of(events, ROTATED) if event.data.get("name") == item.name]
        cells = (
            shown(item.name),
            shown(item.owner),
            shown(item.how) if item.how else "",
            shown(item.done_by or "OPEN"),
        )
        told.append(Row(cells, tuple(lines), "good" if item.done_by else "bad"))
    columns = ("Credential", "Owner", "How", "Replaced by")
    return Table("Other credentials", columns, tuple(told), "No other credentials are on record.")


def _evidence(events: Sequence[Event]) -> Table:
    told = []
    for event in of(events, "evidence.kept"):
        names = ("host", "folder", "items", "bytes", "manifest_sha256")
        missing = ", ".join(map(shown, items(event.data, "missing"))) or "nothing"
        told.append(Row((*(shown(event.data.get(name)) for name in names), missing), (event.seq,)))
    columns = ("Host", "Folder", "Items", "Bytes", "SHA-256 of its manifest", "Missing")
    return Table("As it was kept", columns, tuple(told), "No evidence is on record.")
