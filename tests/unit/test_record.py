# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What status, timeline and verify print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.chain import GENESIS, Event
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, open_incident
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from hft_incident import record


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
        "incident opened: exchange_outage, severity 1, exchange binance",
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
    assert record.offset("2026-11-23T10:00:00.000000Z", at) == shown


def test_a_known_kind_with_other_data_shows_its_fields_instead_of_failing() -> None:
    assert record.sentence(event("kill.verified", {"venues": "odd"})) == "kill.verified venues=odd"
    assert record.sentence(event("severity.set", {"level": 2})) == "severity.set level=2"


def test_closing_says_how_it_was_resolved() -> None:
    closed = event("incident.closed", {"resolution": "resolved", "summary": "venue back"})
    assert record.sentence(closed) == "incident closed: resolved, venue back"
    assert record.sentence(event("incident.closed", {"resolution": "rehearsed"})) == "incident closed: rehearsed"


def test_a_message_cannot_steer_the_terminal() -> None:
    told = record.sentence(event("run.no_hosts", {"reason": "\x1b[2J\r\nall clear\u202e"}))
    assert told.isprintable()


def test_status_shows_what_a_person_on_call_asks_first(incident: Incident, tmp_path: Path) -> None:
    other = open_incident("system_crash", check=True, home=tmp_path)
    other.journal.append("incident.closed", {"reason": "drill over"})
    rows = record.status_rows(tmp_path)
    assert [row[0].id for row in rows] == [incident.id, other.id], "open ones first"
    header, first, second = record.status_lines(rows)
    assert header.split() == ["INCIDENT", "SEVERITY", "PHASE", "STATE", "LAST", "RUN", "VENUES"]
    assert first.split() == [incident.id, "1", "contain", "open", "unproven", "binance:clear", "okx:open"]
    assert second.split() == [other.id, "-", "-", "closed", "(check)", "not", "finished", "-"]
    assert record.status_lines([]) == ["no incidents on record"]
    full = "\n".join(record.incident_lines(*rows[0]))
    for fact in ("venue okx", "open, 3 orders still open", "to undo", "enable binance", "strategy mm-1"):
        assert fact in full


def test_the_payloads_are_json_with_the_same_facts(incident: Incident, tmp_path: Path) -> None:
    (row,) = json.loads(json.dumps(record.status_payload(record.status_rows(tmp_path))))["incidents"]
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
