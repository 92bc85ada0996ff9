# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""When an incident began, was contained and was over, from hand-made journals with known answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.chain import GENESIS, Event
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, open_incident
from hft_incident import metrics, metrics_record
from hft_incident.commands import run_command

Told = tuple[float, str, dict[str, Any]]


def at(second: float) -> str:
    return f"2026-11-23T10:{int(second) // 60:02}:{second % 60:09.6f}Z"


def journal(*told: Told) -> list[Event]:
    """Events from (second, kind, data), numbered from 1."""
    return [
        Event(n, at(second), "me@host", kind, data, GENESIS, GENESIS) for n, (second, kind, data) in enumerate(told, 1)
    ]


def kill(started: float, **venues: float | None) -> dict[str, Any]:
    """A verified kill: each venue clear after so many milliseconds, or open."""
    rows = [
        {"name": name, "verdict": "open" if ms is None else "clear", "first_clear_ms": ms, "cancelled": 2}
        for name, ms in venues.items()
    ]
    return {"started_at": at(started), "venues": rows}


def phase(name: str) -> dict[str, Any]:
    return {"phase": name, "play": name}


def strategies(*ids: str) -> dict[str, Any]:
    return {"trading_system": "hft-1", "ids": list(ids)}


OPENED: Told = (10, "incident.opened", {"type": "system_crash", "check": False, "inventory": ["/etc/hft/inventory"]})
ORDERED: Told = (10.5, "kill.ordered", {"venues": ["binance", "okx"], "trading_systems": ["hft-1"]})
WHOLE = journal(
    OPENED,
    ORDERED,
    (14, "kill.verified", kill(10.5, binance=250, okx=1500)),
    (15, "crash.classified", {"ended_at": at(4)}),
    (16, "incident.acknowledged", {}),
    (20, "phase.entered", phase("mitigate")),
    (21, "strategies.stopped", strategies("a", "b")),
    (70, "phase.entered", phase("recover")),
    (80, "strategy.started", {"trading_system": "hft-1", "id": "a"}),
    (90, "strategy.started", {"trading_system": "hft-1", "id": "b"}),
    (91, "strategies.started", strategies("a", "b")),
    (130, "incident.closed", {"resolution": "resolved"}),
)


def test_a_whole_incident_has_every_moment_and_span_with_its_lines() -> None:
    found = metrics.measure(WHOLE)
    assert {name: (moment.at, moment.line) for name, moment in found.moments.items()} == {
        "started": (at(4), 4),
        "detected": (at(10), 1),
        "acknowledged": (at(16), 5),
        "trading stopped": (at(4), 4),
        "contained": (at(12), 3),
        "mitigated": (at(70), 8),
        "restored": (at(90), 10),
        "resolved": (at(130), 12),
    }
    assert {name: (span.seconds, span.lines) for name, span in found.spans.items()} == {
        "detect": (6.0, (4, 1)),
        "acknowledge": (6.0, (1, 5)),
        "contain": (2.0, (1, 3)),
        "mitigate": (60.0, (1, 8)),
        "restore": (80.0, (1, 10)),
        "resolve": (120.0, (1, 12)),
        "restricted": (86.0, (4, 10)),
    }


def test_what_is_not_on_record_is_none_with_the_reason() -> None:
    found = metrics.measure(journal(OPENED))
    assert {name: (span.seconds, span.why) for name, span in found.spans.items()} == {
        "detect": (None, "nothing on record says when the fault began"),
        "acknowledge": (None, "nothing on record says that a person acknowledged it"),
        "contain": (None, "no kill is on record"),
        "mitigate": (None, "the phase mitigate was not entered"),
        "restore": (None, "no strategy was stopped on record"),
        "resolve": (None, "it is still open"),
        "restricted": (None, "nothing on record stopped trading"),
    }
    assert metrics.measure([]).moments["detected"].at is None


@pytest.mark.parametrize(
    ("more", "contained", "why"),
    [
        ([], None, "not proven clear: binance, okx"),
        ([(14, "kill.verified", kill(11, binance=500))], None, "not proven clear: okx"),
        ([(14, "kill.verified", kill(11, binance=500, okx=None))], None, "not proven clear: okx"),
        # Two kills at once: the venue was clear at the earlier of its two proofs, whichever was recorded first.
        ([(14, "kill.verified", kill(13, binance=500, okx=500)), (15, "kill.verified", kill(11, binance=500, okx=0))],
         at(11.5), ""),
        # Proven once more later on: it was contained since the first time.
        ([(14, "kill.verified", kill(11, binance=500, okx=0)), (20, "kill.verified", kill(19, binance=500, okx=0))],
         at(11.5), ""),
        # Orders came back: it was not contained before they were gone again.
        ([(14, "kill.verified", kill(11, binance=500, okx=0)), (20, "kill.verified", kill(19, okx=None))],
         None, "not proven clear: okx"),
        ([(14, "kill.verified", kill(11, binance=500, okx=0)), (20, "kill.verified", kill(19, okx=None)),
          (30, "kill.verified", kill(29, okx=250))], at(29.25), ""),
    ],
)  # fmt: skip
def test_contained_is_when_the_last_venue_was_clear(more: list[Told], contained: str | None, why: str) -> None:
    moment = metrics.measure(journal(OPENED, ORDERED, *more)).moments["contained"]
    assert moment.at == contained
    assert not why or moment.why == why


def test_a_single_empty_answer_proves_no_containment() -> None:
    told = (11.0, "venue.reported", {"name": "binance", "state": "empty", "ms": 5})
    assert metrics.measure(journal(OPENED, ORDERED, told)).moments["contained"].at is None


def test_a_strategy_that_was_stopped_again_has_not_come_back() -> None:
    again = metrics.measure([*WHOLE, *journal((140, "strategies.stopped", strategies("b")))])
    assert again.moments["restored"].why == "still stopped: b"


def test_an_incident_that_was_reopened_is_not_resolved() -> None:
    assert metrics.measure([*WHOLE, *journal((140, "incident.reopened", {}))]).spans["resolve"].seconds is None


def test_a_crash_after_the_alarm_is_not_its_start() -> None:
    later = journal(OPENED, (20, "crash.classified", {"ended_at": at(12)}))
    assert metrics.measure(later).moments["started"].why == "the crash on record came after the incident was opened"


def test_a_rehearsal_contains_and_restores_nothing() -> None:
    opened = (10.0, "incident.opened", {"check": True})
    found = metrics.measure([*journal(opened), *WHOLE[1:]])
    assert found.nature == "rehearsal"
    assert [name for name, span in found.spans.items() if span.seconds is not None] == ["detect", "acknowledge"]


@pytest.mark.parametrize(
    ("opened", "resolution", "nature"),
    [
        ({"inventory": ["/etc/hft/inventory"]}, "resolved", "real"),
        ({"inventory": ["/var/lib/hft-incident/lab/inventory"]}, "resolved", "drill"),
        ({"inventory": ["/srv/project/inventory/lab/"]}, "not_confirmed", "drill"),
        ({"inventory": []}, "not_confirmed", "false alarm"),
        ({"inventory": ["/x/lab/inventory"], "check": True}, "rehearsed", "rehearsal"),
        ({}, "rehearsed", "rehearsal"),
    ],
)
def test_the_nature_of_an_incident(opened: dict[str, Any], resolution: str, nature: str) -> None:
    events = journal((0, "incident.opened", opened), (9, "incident.closed", {"resolution": resolution}))
    assert metrics.nature(events) == nature


def test_the_first_who_says_that_they_have_it_has_acknowledged_it_in_drills_apart() -> None:
    def answered(*seconds: float, inventory: str = "/etc/inventory") -> metrics.Metrics:
        opened = (0.0, "incident.opened", {"inventory": [inventory]})
        return metrics.measure(journal(opened, *((s, "incident.acknowledged", {"by": "alice"}) for s in seconds)))

    one = answered(42, 50)
    assert (one.moments["acknowledged"].at, one.moments["acknowledged"].line) == (at(42), 2)
    found = metrics.totals([one, answered(), answered(3, inventory="/x/lab/inventory")])
    assert {total.nature: total[2:] for total in found if total.span == "acknowledge"} == {
        "real": (1, 2, 42.0, 42.0), "drill": (1, 1, 3.0, 3.0),
    }  # fmt: skip


def test_totals_keep_drills_apart_and_say_of_how_many() -> None:
    def lasting(seconds: int, inventory: str = "/etc/inventory") -> metrics.Metrics:
        opened = (0, "incident.opened", {"inventory": [inventory]})
        return metrics.measure(journal(opened, (seconds, "incident.closed", {"resolution": "resolved"})))

    found = metrics.totals(
        [*map(lasting, range(1, 11)), metrics.measure(journal(OPENED)), lasting(99, "/x/lab/inventory")]
    )
    resolve = {total.nature: total[2:] for total in found if total.span == "resolve"}
    assert resolve == {"real": (10, 11, 5.5, 9.0), "drill": (1, 1, 99.0, 99.0)}
    contain = [total[2:] for total in found if total.span == "contain" and total.nature == "real"]
    assert contain == [(0, 11, None, None)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(tmp_path))
    return tmp_path


def closed(home: Path) -> Incident:
    incident = open_incident("system_crash", home=home)
    incident.journal.append("incident.closed", {"resolution": "resolved"})
    return incident


def test_the_command_counts_the_home_and_its_drills_but_no_record_that_was_altered(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = closed(home)
    drill = closed(home / "drills" / "20261124T000000Z")
    altered = closed(home)
    path = Path(altered.journal.path)
    path.write_bytes(path.read_bytes().replace(b'"resolved"', b'"resolves"'))
    (home / "inc-20261124T000000Z-system_crash-7").mkdir()
    assert run_command("metrics", ["--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["id"]: one["record"] for one in told["incidents"]} == {
        real.id: "intact", drill.id: "intact", altered.id: "altered", "inc-20261124T000000Z-system_crash-7": "missing"
    }  # fmt: skip
    assert [total["of"] for total in told["totals"] if total["span"] == "resolve"] == [2]
    lines = metrics_record.metrics_lines(metrics_record.measured_home(home))
    assert lines[0].split() == ["WHAT", "MEASURE", "KNOWN", "OF", "MEDIAN", "P90"]
    assert f"not counted: {altered.id}: its record is altered" in lines
    assert metrics_record.metrics_lines([]) == ["no incidents on record"]


def test_one_incident_shows_the_line_of_every_moment(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    incident = closed(home)
    assert run_command("metrics", [incident.id]) == 0
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == [f"{incident.id}: real, record intact"]
    (resolved,) = ([cell.strip() for cell in line if cell] for line in lines if line[1:2] == ["resolved"])
    assert resolved[2:] == ["#2", "the incident was closed"]
