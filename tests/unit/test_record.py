# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What status, timeline and verify print."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.chain import GENESIS, Event
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, open_incident
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from hft_incident import record, sentences, status

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "src", ROOT / "collections/ansible_collections/hft/incident/plugins")


@pytest.fixture
def incident(tmp_path: Path) -> Incident:
    incident = open_incident("exchange_outage", inputs={"exchange": "binance"}, severity=1, home=tmp_path)
    incident.journal.extend(
        [
            ("run.started", {"run": "r", "playbook": "exchange_outage.yml", "pid": 1, "check": False}),
            ("phase.entered", {"phase": "contain", "play": "Make it safe"}),
            (
                "kill.verified",
                {
                    "verdict": "open",
                    "venues": [
                        {"name": "binance", "verdict": "clear", "cancelled": 30, "open_after": 0, "error": None},
                        {"name": "okx", "verdict": "open", "cancelled": 2, "open_after": 3, "error": "rate limited"},
                    ],
                    "trading_systems": [{"name": "hft-1", "verdict": "stopped"}],
                },
            ),
            ("inverse.registered", {"id": "i1", "task": "t", "host": "h", "module": "m", "describe": "enable binance"}),
            ("venue.watched", {"venue": "okx", "checks": [1, 2], "note": None}),
            ("strategies.stopped", {"trading_system": "hft-1", "ids": ["mm-1", "arb-2"]}),
            ("run.finished", {"tasks": 3, "failed": 0, "unreachable": 0, "outcome": "unproven"}),
        ]
    )
    return incident


def event(kind: str, data: dict[str, Any], at: str = "2026-11-23T10:00:00.000000Z") -> Event:
    return Event(1, at, "me@host", kind, data, GENESIS, GENESIS)


def test_the_timeline_reads_like_a_report(incident: Incident) -> None:
    lines = record.timeline_lines(incident.journal.events())
    assert all(line == "" or line.startswith("T+0:00:0") for line in lines)
    assert [line[line.find("  ") + 2 :] for line in lines if line] == [
        "incident opened: exchange_outage, severity 1, exchange binance; severity by a person: given at the opening; "
        "the rules say 2: a single exchange is out: exchanges_down 1 (assumed, at least 1)",
        "run started: exchange_outage.yml",
        "CONTAIN: Make it safe",
        "kill verified, open: binance clear, 30 cancelled; okx open, 3 orders still open, 2 cancelled (rate limited); "
        "hft-1 stopped",
        "to undo later: enable binance",
        'venue.watched checks=[1,2] venue=okx',
        "strategies stopped at hft-1: mm-1, arb-2",
        "run finished: unproven (3 tasks, 0 failed, 0 unreachable)",
    ]  # fmt: skip
    assert record.timeline_lines([]) == []


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        ("2026-11-23T10:00:00.000999Z", "T+0:00:00.000"),
        ("2026-11-23T10:01:02.345678Z", "T+0:01:02.345"),
        ("2026-11-24T12:00:00.000000Z", "T+26:00:00.000"),
        ("2026-11-23T09:59:59.500000Z", "T-0:00:00.500"),
    ],
)
def test_the_offset_counts_from_the_first_event(at: str, shown: str) -> None:
    assert sentences.offset("2026-11-23T10:00:00.000000Z", at) == shown


def test_a_known_kind_with_other_data_shows_its_fields_instead_of_failing() -> None:
    assert sentences.sentence(event("kill.verified", {"venues": "odd"})) == "kill.verified venues=odd"
    assert sentences.sentence(event("severity.set", {"level": 2})) == "severity.set level=2"


CRASH = {
    "unit": "hft-1.service", "host": "fra-1", "kind": "segmentation_fault", "confidence": "proven",
    "signal": "SIGSEGV", "exit_status": None, "repeated": False, "crashes": 1, "contradictions": [],
    "because": ["unit: dumped status=11 (SIGSEGV)", "journal 2026: more"], "changes": 3,
}  # fmt: skip
DISKS = [
    {"path": "/", "used_percent": 23.36},
    {"path": "/var/log", "used_percent": 99.6},
    {"path": "/odd", "used_percent": None},
]
HOST = {
    "host": "fra-1", "notable": [], "disks": DISKS, "memory": {"available_bytes": 24_076_869_632},
    "pressure": {"cpu": {"some": {"avg10_percent": 52.81}}, "io": {"some": {"avg10_percent": 0.0}}, "memory": None},
}  # fmt: skip
RELEASE = {"host": "fra-1", "verdict": "approved", "reasons": [], "version": {"approved": "1.4"}, "files": 15}
AUDIT = {
    "host": "fra-1",
    "counts": {"info": 0, "suspicious": 2, "alarming": 1},
    "findings": [{"severity": "alarming", "what": "git would run /x"}, {"severity": "suspicious", "what": "a file"}],
    "unknown": [{"check": "malware", "why": "not scanned"}],
}
EVIDENCE = {"host": "hft-1", "items": 8, "bytes": 4096, "folder": "evidence/hft-1", "missing": []}
DATABASE = {"dbname": "hft_db", "host": "db-1", "verdict": "read_only", "reason": "it is a standby"}
LATCH = {"host": "hft-1", "scope": "all", "name": "", "state": "open", "hold": "closed", "difference": ""}
PROBED = {"name": "hft-1", "verdict": "answering", "status": "halted", "mode": "halted", "error": None}


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        (
            "crash.classified", CRASH,
            "hft-1.service on fra-1: segmentation fault (proven, SIGSEGV): unit: dumped status=11 (SIGSEGV)",
        ),
        (
            "crash.classified",
            {**CRASH, "kind": "unhandled_exception", "signal": None, "exit_status": 1, "repeated": True, "crashes": 3},
            "hft-1.service on fra-1: unhandled exception (proven, exit status 1, crashes: 3): "
            "unit: dumped status=11 (SIGSEGV)",
        ),
        (
            "crash.classified",
            {**CRASH, "kind": "unknown", "signal": None, "because": [], "contradictions": ["but"]},
            "hft-1.service on fra-1: unknown (proven); against it: but",
        ),
        (
            "crash.classified", {**CRASH, "signal": None, "exit_status": 0, "repeated": True, "because": ["it ended"]},
            "hft-1.service on fra-1: segmentation fault (proven, exit status 0, started again since): it ended",
        ),
        (
            "host.measured", HOST,
            "fra-1: waiting for cpu 52.8 %, io 0.0 % of the last 10 s; 24.1 GB of memory available; "
            "/var/log 100 % full",
        ),
        (
            "host.measured", {**HOST, "notable": ["/log: the disk is full"], "disks": [], "pressure": {"cpu": None}},
            "fra-1: /log: the disk is full; 24.1 GB of memory available",
        ),
        (
            "host.measured", {"host": "fra-1", "notable": [], "disks": [], "pressure": {}, "memory": {}},
            "fra-1: it tells nothing of itself",
        ),
        (
            "release.checked", RELEASE,
            "release on fra-1: approved: version 1.4, 15 files, the configuration is valid",
        ),
        (
            "release.checked", {**RELEASE, "verdict": "not_approved", "reasons": ["a is different", "b is missing"]},
            "release on fra-1: not approved: a is different; b is missing",
        ),
        (
            "host.audited", AUDIT,
            "audit of fra-1: 1 alarming, 2 suspicious, 1 parts unknown: git would run /x",
        ),
        (
            "host.audited", {**AUDIT, "findings": [], "unknown": [], "counts": {"info": 0}},
            "audit of fra-1: nothing found, 0 parts unknown",
        ),
        (
            "breach.level_judged", {"level": "confirmed", "because": ["dave confirms it", "host: x"]},
            "breach CONFIRMED: dave confirms it; host: x",
        ),
        (
            "evidence.accessed",
            {"by": "erin", "reason": "who?", "host": "hft-1", "item": "a.json.age", "to": "/x", "decrypted": True},
            "evidence: erin looked at a.json.age of hft-1, copied to /x, decrypted: who?",
        ),
        (
            "evidence.accessed",
            {"by": "erin", "reason": "what is there?", "host": None, "item": None, "to": None, "decrypted": False},
            "evidence: erin looked at the list of all hosts: what is there?",
        ),
        (
            "evidence.waived",
            {"host": "hft-1", "gate": "waive_evidence", "people": ["bob"]},
            "VOLATILE EVIDENCE of hft-1 GIVEN UP: waived by bob",
        ),
        ("evidence.kept", EVIDENCE, "evidence of hft-1 kept: 8 items, 4096 bytes in evidence/hft-1"),
        (
            "evidence.kept", {**EVIDENCE, "missing": ["core", "maps"]},
            "evidence of hft-1 kept: 8 items, 4096 bytes in evidence/hft-1; missing: core, maps",
        ),
        ("database.probed", DATABASE, "database hft_db at db-1: read_only: it is a standby"),
        ("run.resumed", {"play": "Recover: open the latch"}, "going on from: Recover: open the latch"),
        ("latch.not_opened", LATCH, "latch of hft-1, all trading: NOT OPENED: the hold file is closed"),
        (
            "latch.not_opened", {**LATCH, "scope": "exchange", "name": "okx", "difference": "the API is closed"},
            "latch of hft-1, exchange okx: NOT OPENED: the API is closed",
        ),
        ("latch.changed", {**LATCH, "state": "closed"}, "latch of hft-1, all trading: told closed"),
        (
            "trading_systems.probed", {"systems": [{**PROBED, "restarted": True}]},
            "trading systems: hft-1 answering (halted, restarted)",
        ),
        (
            "trading_systems.probed", {"systems": [{**PROBED, "status": "ok", "restarted": None}]},
            "trading systems: hft-1 answering (ok, halted)",
        ),
        (
            "exchange.not_connected",
            {"name": "okx", "trading_system": "hft-1", "attempt": 2, "attempts": 5, "error": "timeout"},
            "okx at hft-1: attempt 2 of 5 to connect: timeout",
        ),
    ],
)  # fmt: skip
def test_what_a_crash_leaves_on_record_reads_like_sentences(kind: str, data: dict[str, Any], said: str) -> None:
    assert sentences.sentence(event(kind, data)) == said


NOTICE = {"notice": "trading_desk.update.2", "audience": "trading_desk", "kind": "update", "severity": 1,
          "channel": "desk", "attempt": 2, "subject": "SEV1 exchange outage"}  # fmt: skip
ROOM = {"name": "inc-1", "id": "C7", "url": "https://chat.example/C7", "private": True, "created": True,
        "complaint": None, "meeting": {"kind": "bridge", "join": "+1 555 0100"}}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        ("incident.acknowledged", {"by": "alice"}, "alice has it: acknowledged"),
        (
            "role.assigned", {"role": "trading_liaison", "person": "carol", "by": "alice", "note": None},
            "carol is trading liaison, assigned by alice",
        ),
        (
            "role.handed_over", {"role": "commander", "from": "alice", "to": "bob", "by": "alice", "note": "after 8 h"},
            "commander: alice -> bob, by alice: after 8 h",
        ),
        (
            "communications.planned", {"rows": [{"audience": "trading_desk"}, {"audience": "legal"}] * 2},
            "communications planned for trading desk, legal",
        ),
        (
            "notice.sent", {**NOTICE, "late": False, "late_s": 0.4},
            "told trading desk (update) through desk: SEV1 exchange outage",
        ),
        (
            "notice.sent", {**NOTICE, "late": True, "late_s": 612.3},
            "told trading desk (update) through desk, 612 s LATE: SEV1 exchange outage",
        ),
        (
            "notice.failed", {**NOTICE, "error": "HTTP 503", "retry_at": "2026-11-23T10:01:00Z"},
            "could not tell trading desk (update) through desk, attempt 2: HTTP 503; again at 2026-11-23T10:01:00Z",
        ),
        (
            "notice.withheld", {**NOTICE, "gate": "public_disclosure", "reason": "nobody has said yes"},
            "trading desk (update) not told yet, gate public_disclosure is closed: nobody has said yes",
        ),
        (
            "notice.not_sent", {**NOTICE, "reason": "nothing is configured"},
            "NOT TOLD: trading desk (update) through desk: nothing is configured",
        ),
        ("notice.not_sent", {**NOTICE, "channel": None, "reason": "why"}, "NOT TOLD: trading desk (update): why"),
        (
            "war_room.opened", ROOM,
            "private war room inc-1 made: https://chat.example/C7; bridge call: +1 555 0100",
        ),
        (
            "war_room.opened", {**ROOM, "id": None, "url": None, "complaint": "zoom: HTTP 500"},
            "bridge call: +1 555 0100; zoom: HTTP 500",
        ),
        ("war_room.failed", {"error": "HTTP 429", "retry_at": "10:01"}, "war room: HTTP 429; again at 10:01"),
        ("war_room.posted", {"through": 41, "lines": 6}, "told the war room 6 lines, up to #41"),
        ("war_room.closed", {"name": "inc-1", "id": "C7"}, "war room inc-1 closed"),
        (
            "disclosure.allowed", {"gate": "public_disclosure", "people": ["erin", "bob"], "approvals": [4, 5]},
            "public_disclosure allowed by erin and bob",
        ),
        (
            "pnl.measured", {"total_usd": "-88.25", "systems": [{"name": "hft-1", "unrealized_usd": "-88.25"}]},
            "unrealized P&L: -88.25 USD",
        ),
        (
            "pnl.measured",
            {"total_usd": None, "systems": [{"name": "hft-2", "unrealized_usd": None, "error": "timed out"}]},
            "unrealized P&L: not known (hft-2: timed out)",
        ),
        ("pnl.measured", {"total_usd": None, "systems": [], "error": "no inventory"},
         "unrealized P&L: not known (no inventory)"),
    ],
)  # fmt: skip
def test_who_was_told_and_who_has_it_reads_like_sentences(kind: str, data: dict[str, Any], said: str) -> None:
    assert sentences.sentence(event(kind, data)) == said


def test_a_heading_does_not_say_its_phase_twice() -> None:
    entered = [event("phase.entered", {"phase": "assess", "play": play}) for play in
               ("Assess: how far does it go?", "Look: what is it?", "assess")]  # fmt: skip
    assert [line.partition("  ")[2] for line in record.timeline_lines(entered) if line] == [
        "ASSESS: how far does it go?", "ASSESS: Look: what is it?", "ASSESS: assess",
    ]  # fmt: skip


def test_every_kind_that_the_product_records_has_a_sentence() -> None:
    recorded = re.compile(r"(?:event|note|append|_recorded)\(\s*\"([a-z_]+\.[a-z_]+)\"")
    sources = [path.read_text(encoding="utf-8") for root in SOURCES for path in root.rglob("*.py")]
    kinds = {kind for text in sources for kind in recorded.findall(text)} - {"phase.entered"}
    assert {"crash.classified", "run.started", "latch.not_opened"} <= kinds
    assert sorted(kinds - set(sentences.SENTENCES)) == []


def test_closing_says_how_it_was_resolved() -> None:
    closed = event("incident.closed", {"resolution": "resolved", "summary": "venue back"})
    assert sentences.sentence(closed) == "incident closed: resolved, venue back"
    assert sentences.sentence(event("incident.closed", {"resolution": "rehearsed"})) == "incident closed: rehearsed"


def test_a_message_cannot_steer_the_terminal() -> None:
    told = sentences.sentence(event("run.no_hosts", {"reason": "\x1b[2J\r\nall clear\u202e"}))
    assert told.isprintable()


def test_status_shows_what_a_person_on_call_asks_first(incident: Incident, tmp_path: Path) -> None:
    other = open_incident("system_crash", check=True, home=tmp_path)
    other.journal.append("incident.closed", {"reason": "drill over"})
    rows = status.status_rows(tmp_path)
    assert [row[0].id for row in rows] == [incident.id, other.id], "open ones first"
    header, first, second = status.status_lines(rows)
    assert header.split() == ["INCIDENT", "SEVERITY", "PHASE", "STATE", "LAST", "RUN", "WAITS", "FOR", "VENUES"]
    assert first.split() == [incident.id, "1", "contain", "open", "unproven", "-", "binance:clear", "okx:open"]
    assert second.split() == [other.id, "1", "-", "closed", "(check)", "not", "finished", "-", "-"]
    incident.journal.append("gate.held", {"gate": "resume_trading", "people": 2, "missing": 2})
    other.journal.append("gate.held", {"gate": "resume_trading", "people": 2, "missing": 2})
    _, first, second = status.status_lines(status.status_rows(tmp_path))
    assert first.split()[5] == "resume_trading"
    assert "resume_trading" not in second, "what is closed waits for nothing"
    assert status.status_lines([]) == ["no incidents on record"]
    full = "\n".join(status.incident_lines(*rows[0]))
    for fact in ("venue okx", "open, 3 orders still open", "to undo", "enable binance", "strategy mm-1"):
        assert fact in full


def test_the_payloads_are_json_with_the_same_facts(incident: Incident, tmp_path: Path) -> None:
    (row,) = json.loads(json.dumps(status.status_payload(status.status_rows(tmp_path))))["incidents"]
    assert (row["id"], row["type"], row["severity"], row["phase"], row["open"]) == (
        incident.id, "exchange_outage", 1, "contain", True
    )  # fmt: skip
    assert row["venues"]["okx"]["verdict"] == "open"
    assert row["inverses"][0]["id"] == "i1"
    timeline = json.loads(json.dumps(record.timeline_payload(incident, incident.journal.events())))
    assert (timeline["id"], len(timeline["events"]), timeline["events"][0]["seq"]) == (incident.id, 8, 1)
    assert timeline["events"][4]["text"] == "to undo later: enable binance"


def test_verification_says_the_verdict_and_the_head_to_compare(incident: Incident) -> None:
    path = Path(incident.journal.path)
    found = verify(path)
    assert record.verification_lines(incident, found) == [
        f"{incident.id}: intact: 8 events",
        f"  head: event 8, {incident.journal.events()[-1].hash}",
    ]
    assert record.verification_payload(incident, found)["outcome"] == "done"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert record.verification_payload(incident, verify(path))["outcome"] == "unproven"
    path.write_bytes(whole.replace(b'"cancelled":30', b'"cancelled":31'))
    payload = record.verification_payload(incident, verify(path))
    assert (payload["outcome"], payload["altered_seq"], payload["head_seq"]) == ("failed", 4, 3)
