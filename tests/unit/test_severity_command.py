# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""`hft-incident severity`: what it tells, what it records, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.incident import list_incidents, open_incident, state_of
from ansible_collections.hft.incident.plugins.module_utils.severity_rules import ENV_RULES
from hft_incident import cli


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of its own, and no configuration of whoever runs the tests."""
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(tmp_path / "home"))
    for name in ("ANSIBLE_INVENTORY", "ANSIBLE_CONFIG", ENV_RULES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert cli.main(["severity", *words, "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_explain_names_the_rule_that_decided_for_a_type(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    said = told(capsys, "explain", "performance_degradation", "-e", "latency_p99_ms=12", "-e", "latency_for_s=40")
    assert (said["severity"], said["by_rules"]["rule"], said["respond_within_s"]) == (2, "latency_high", 300)
    assert said["by_rules"]["facts"] == {"latency_p99_ms": "12", "latency_for_s": "40"}
    assert (said["history"], said["by_rules"]["assumed"]) == ([], [])
    assert told(capsys, "explain", "performance_degradation")["by_rules"]["assumed"] == ["latency_p99_ms"]
    assert cli.main(["severity", "explain", "performance_degradation", "-e", "latency_p99_ms=12"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("performance_degradation: severity 2\n")
    assert (
        "2, by latency_high: high latency: latency_p99_ms 12 (above 10), latency_for_s unknown (nobody said" in printed
    )
    assert not home.exists(), "it only reads"


def test_explain_without_a_type_takes_the_facts_by_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "explain", "-e", "killswitch=drill")["severity"] == 4
    assert told(capsys, "explain", "-e", "killswitch=activated")["severity"] == 1


def test_explain_tells_how_the_severity_of_an_incident_came_about(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    incident = open_incident("exchange_outage", home=home)
    incident.journal.append("positions.reconciled", {"verdict": "breaks"})
    assert cli.main(["severity", "set", incident.id, "3", "--reason", "a test account"]) == 0
    assert "severity 2 -> 3" in capsys.readouterr().out
    said = told(capsys, "explain", incident.id)
    assert (said["incident"], said["type"], said["severity"]) == (incident.id, "exchange_outage", 3)
    assert [(one["severity"], one["rule"]) for one in said["history"]] == [(2, "exchange_disconnected"), (3, None)]
    assert (said["by_rules"]["severity"], said["by_rules"]["rule"]) == (1, "positions_not_trusted")
    assert cli.main(["severity", "explain", incident.id]) == 0
    printed = capsys.readouterr().out
    assert "2 -> 3, by " in printed
    assert "a test account" in printed
    assert told(capsys, "explain", incident.id, "-e", "security=breach")["by_rules"]["rule"] == "security_breach"


def test_set_is_a_persons_word_on_record_and_the_same_word_again_is_not(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    incident = open_incident("exchange_outage", home=home)
    said = told(capsys, "set", incident.id, "4", "--reason", "it was the\nmonitoring")
    assert (said["before"], said["severity"], said["changed"]) == (2, 4, True)
    (event,) = [event for event in incident.journal.events() if event.kind == "severity.set"]
    assert event.data == {
        "severity": 4, "before": 2, "by": "person", "rule": None, "reason": "it was the\nmonitoring"
    }  # fmt: skip
    assert "@" in event.actor
    assert told(capsys, "set", incident.id, "4", "--reason", "again")["changed"] is False
    assert state_of(incident.journal.events()).severity_reason == "it was the\nmonitoring"


def test_status_and_timeline_show_the_severity_and_why(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    incident = open_incident("system_crash", home=home)
    assert cli.main(["status", incident.id]) == 0
    assert "1, by system_crash: a trading system is down" in capsys.readouterr().out
    cli.main(["severity", "set", incident.id, "2", "--reason", "only the standby\x1b[2J"])
    assert cli.main(["timeline", incident.id]) == 0
    printed = capsys.readouterr().out
    assert "SEVERITY 1 -> 2, by a person: only the standby" in printed
    assert "\x1b" not in printed
    assert cli.main(["status"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[1] == "2"
    assert told_status(capsys, incident.id)["severity_reason"].startswith("only the standby")


def told_status(capsys: pytest.CaptureFixture[str], incident: str) -> dict[str, Any]:
    assert cli.main(["status", incident, "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "set|explain"),
        (["explain", "exchange_outag"], "did you mean 'exchange_outage'?"),
        (["explain", "-e", "speed=3"], "no fact is called 'speed'; there are: trading"),
        (["explain", "-e", "database=gone"], "'gone' is none of ok, warning"),
        (["explain", "inc-20260101T000000Z-system_crash-1"], "no incident"),
        (["explain", "system_crash", "-i", "nowhere"], "nowhere"),
        (["set", "inc-20260101T000000Z-system_crash-1", "2", "--reason", "x"], "no incident"),
        (["set", "inc-20260101T000000Z-system_crash-1", "2"], "--reason"),
        (["set", "inc-20260101T000000Z-system_crash-1", "5", "--reason", "x"], "5"),
        (["set", "inc-20260101T000000Z-system_crash-1", "2", "--reason", " "], "give a reason"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    assert cli.main(["severity", *words]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert not home.exists()


def test_a_record_that_was_altered_takes_no_severity(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    incident = open_incident("exchange_outage", home=home)
    path = Path(incident.journal.path)
    path.write_text(path.read_text().replace('"severity":2', '"severity":4'))
    before = path.read_bytes()
    assert cli.main(["severity", "set", incident.id, "1", "--reason", "x"]) == 1
    assert "altered" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_a_bad_rules_file_ends_a_run_with_one_line_before_anything_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    folder = tmp_path / "site" / "group_vars" / "all"
    folder.mkdir(parents=True)
    (folder / "venues.yml").write_text("hft_venues: [{name: okx, driver: okx}]")
    (folder / "severity.yml").write_text("hft_severity_rules: {rules: {x: {severity: 7, if: {disk: full}, why: y}}}")
    assert cli.main(["run", "exchange_outage", "-i", "site", "-e", "exchange=okx"]) == 2
    printed = capsys.readouterr().err
    assert "severity.yml: rules: 'x': a severity is 1 (worst) to 4, not 7" in printed
    assert printed.count("\n") == 1
    assert list_incidents(home) == []
