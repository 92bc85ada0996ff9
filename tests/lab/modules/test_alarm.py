# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Whether there is an incident at all: judged once, and never taken back by a later run."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.hft.incident.plugins.module_utils.incident import ENV_DIR, Incident, open_incident
from ansible_collections.hft.incident.plugins.module_utils.steps import alarm

from .steps import Ran, run


@pytest.fixture
def incident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Incident:
    made = open_incident("system_crash", home=tmp_path / "home")
    monkeypatch.setenv(ENV_DIR, str(made.directory))
    return made


def keep(made: Incident, done: Ran) -> None:
    """What the scribe does with a result."""
    made.journal.extend([(line["kind"], line["data"]) for line in done.result.get("record", [])])


def test_a_judgement_is_kept_with_its_reason(incident: Incident) -> None:
    done = run(alarm, real=True, because="hft-1 does not answer")
    assert (done["real"], done["changed"]) == (True, False)
    assert done.recorded("alarm.judged") == [{"real": True, "because": "hft-1 does not answer"}]


def test_real_stands_whatever_a_later_run_finds(incident: Incident) -> None:
    keep(incident, run(alarm, real=True))
    again = run(alarm, real=False, because="it answers again")
    assert again["real"] is True
    assert "record" not in again.result


def test_a_false_alarm_can_turn_out_to_be_real(incident: Incident) -> None:
    keep(incident, run(alarm, real=False))
    assert run(alarm, real=False)["real"] is False
    assert run(alarm, real=True)["real"] is True


def test_what_the_red_button_has_killed_is_no_false_alarm(incident: Incident) -> None:
    incident.journal.append("kill.ordered", {"reason": "fired first"})
    assert run(alarm, real=False, because="it answers again")["real"] is True


def test_without_an_incident_there_is_nothing_to_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENV_DIR, raising=False)
    done = run(alarm, real=True)
    assert done.outcome == "usage"
    assert "no incident is open" in done["msg"]
