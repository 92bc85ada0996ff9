# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Closing an incident: only its own record can allow it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.incident import ENV_DIR, Incident, open_incident, state_of
from ansible_collections.hft.incident.plugins.module_utils.steps import incident

from .steps import Ran, run

Line = tuple[str, dict[str, Any]]


def kill(verdict: str, name: str = "alpha") -> Line:
    return "kill.verified", {"verdict": verdict, "venues": [{"name": name, "verdict": verdict, "open_after": 0}]}


def registered(number: int, describe: str) -> Line:
    return "inverse.registered", {"id": f"i{number}", "module": "hft.incident.exchange", "describe": describe}


def applied(number: int) -> Line:
    return "inverse.applied", {"id": f"i{number}"}


def reconciled(verdict: str) -> Line:
    return "positions.reconciled", {"verdict": verdict}


def latch(state: str, *, hold: str = "closed", api: str = "unknown", agree: bool = True) -> Line:
    rows = [{"trading_system": "hft-1", "state": api}]
    return "latch.changed", {
        "host": "hft-1", "scope": "all", "state": state, "hold": hold, "api": rows, "agree": agree,
    }  # fmt: skip


STOPPED: Line = ("strategies.stopped", {"ids": ["mm"]})
PASSED: Line = ("gate.passed", {"gate": "resume_trading", "people": ["a", "b"]})
PROOF = [kill("clear"), registered(1, "enable alpha"), reconciled("reconciled"), PASSED, applied(1)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def opened(home: Path, monkeypatch: pytest.MonkeyPatch, *lines: Line, check: bool = False) -> Incident:
    made = open_incident("exchange_outage", home=home, check=check)
    monkeypatch.setenv(ENV_DIR, str(made.directory))
    made.journal.extend(lines)
    return made


def keep(made: Incident, done: Ran) -> None:
    """What the scribe does with a result."""
    made.journal.extend([(line["kind"], line["data"]) for line in done.result.get("record", [])])


def test_a_proven_incident_is_closed_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = opened(home, monkeypatch, *PROOF)
    done = run(incident, summary="alpha was out")
    assert (done["changed"], done.failed) == (False, False), "closing a record changes nothing of trading"
    assert done.recorded("incident.closed") == [{"resolution": "resolved", "summary": "alpha was out"}]
    assert done["diff"] == {"before": {"state": "open"}, "after": {"state": "closed"}}
    keep(made, done)
    assert not state_of(made.journal.events()).is_open
    again = run(incident)
    assert (again["changed"], "record" in again.result, "diff" in again.result) == (False, False, False)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([reconciled("reconciled")], "no kill was verified"),
        ([kill("open"), reconciled("reconciled")], "alpha is open"),
        ([kill("clear"), kill("unknown", "beta"), reconciled("reconciled")], "beta is unknown"),
        ([kill("clear"), kill("unknown"), reconciled("reconciled")], "alpha is unknown"),
        ([kill("clear"), registered(1, "enable alpha"), reconciled("reconciled")], "not undone: enable alpha"),
        ([kill("clear"), reconciled("reconciled")], "nobody has allowed trading to resume"),
        ([*PROOF, STOPPED], "something was closed again"),
        ([*PROOF, latch("closed", hold="open")], "the latch of hft-1 is not closed: its hold file is open"),
        ([*PROOF, latch("closed", api="open")], "the latch of hft-1 is not closed: hft-1 may trade"),
        ([*PROOF, latch("open", agree=False)], "the latch of hft-1 is not open"),
        ([kill("clear")], "not reconciled (never tried)"),
        ([kill("clear"), reconciled("breaks")], "not reconciled (breaks)"),
        ([kill("clear"), reconciled("reconciled"), reconciled("unproven")], "not reconciled (unproven)"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_each_missing_proof_keeps_it_open(
    home: Path, monkeypatch: pytest.MonkeyPatch, lines: list[Line], words: str, check: bool
) -> None:
    opened(home, monkeypatch, *lines)
    done = run(incident, check=check)
    assert done.outcome == "unproven"
    assert words in done["msg"]
    assert "record" not in done.result


def test_everything_that_is_missing_is_said_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(home, monkeypatch, kill("open"), registered(1, "enable alpha"))
    done = run(incident)
    for words in ("alpha is open", "not undone: enable alpha", "not reconciled"):
        assert words in done["msg"]


def test_an_alarm_that_was_none_is_closed_where_nothing_was_done(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(home, monkeypatch, ("venue.diagnosed", {"name": "alpha", "verdict": "healthy"}))
    done = run(incident, resolution="not_confirmed")
    assert done.recorded("incident.closed")[0]["resolution"] == "not_confirmed"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([kill("clear")], "alpha was killed"),
        ([STOPPED], "mm was stopped"),
        ([registered(1, "enable alpha")], "not undone: enable alpha"),
    ],
)
def test_an_alarm_is_not_called_none_where_something_was_done(
    home: Path, monkeypatch: pytest.MonkeyPatch, lines: list[Line], words: str
) -> None:
    opened(home, monkeypatch, *lines)
    done = run(incident, resolution="not_confirmed")
    assert done.outcome == "unproven"
    assert words in done["msg"]


def test_a_rehearsal_is_closed_as_such(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(home, monkeypatch, check=True)
    done = run(incident, check=True)
    assert done["changed"] is False
    assert done.recorded("incident.closed")[0]["resolution"] == "rehearsed"


def test_a_check_of_a_real_incident_predicts_and_leaves_it_open(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(home, monkeypatch, *PROOF)
    would = run(incident, check=True)
    assert "record" not in would.result
    assert "would be closed" in would["msg"]
    done = run(incident)
    assert (would["changed"], would["diff"]) == (done["changed"], done["diff"])


def test_without_an_incident_there_is_nothing_to_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENV_DIR, raising=False)
    assert run(incident).outcome == "usage"
