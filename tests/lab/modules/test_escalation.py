# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""An incident that comes back soon is escalated, once, and by nothing that was none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

import pytest

from ansible_collections.hft.incident.plugins.module_utils import journal
from ansible_collections.hft.incident.plugins.module_utils.incident import ENV_DIR, Incident, open_incident
from ansible_collections.hft.incident.plugins.module_utils.severity_record import rise
from ansible_collections.hft.incident.plugins.module_utils.severity_rules import load
from ansible_collections.hft.incident.plugins.module_utils.steps import escalation

from .steps import Ran, run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def earlier(home: Path, *, real: bool = True, kind: str = "system_crash", check: bool = False) -> Incident:
    made = open_incident(kind, home=home, check=check)
    made.journal.append("alarm.judged", {"real": real, "because": "test"})
    return made


def now(home: Path, monkeypatch: pytest.MonkeyPatch, severity: int | None = None) -> Incident:
    made = open_incident("system_crash", home=home, severity=severity)
    monkeypatch.setenv(ENV_DIR, str(made.directory))
    return made


def keep(made: Incident, done: Ran) -> None:
    """What the scribe does with a result."""
    made.journal.extend([(line["kind"], line["data"]) for line in done.result.get("record", [])])


def test_a_second_crash_is_on_record_once_and_raises_the_severity(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = earlier(home)
    incident = now(home, monkeypatch, severity=2)
    done = run(escalation)
    assert (done["repeated"], done["earlier"], done["changed"]) == (True, [first.id], False)
    assert done.recorded("incident.escalated") == [{"earlier": [first.id], "within_s": 3600.0}]
    assert rise(load(), incident.journal.events()) is None
    keep(incident, done)
    raised = rise(load(), incident.journal.events())
    assert raised is not None
    assert (raised["severity"], raised["before"], raised["rule"]) == (1, 2, "crash_again")
    again = run(escalation)
    assert again["repeated"] is True
    assert "record" not in again.result


def test_one_that_is_the_worst_already_is_not_raised(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier(home)
    incident = now(home, monkeypatch)
    keep(incident, run(escalation))
    assert rise(load(), incident.journal.events()) is None


@pytest.mark.parametrize("none", [{"real": False}, {"kind": "exchange_outage"}, {"check": True}])
def test_what_was_no_crash_does_not_count(
    home: Path, monkeypatch: pytest.MonkeyPatch, none: dict[str, bool | str]
) -> None:
    earlier(home, **none)  # type: ignore[arg-type]  # one of its keywords at a time
    now(home, monkeypatch)
    done = run(escalation)
    assert done["repeated"] is False
    assert "record" not in done.result


class Clock(datetime):
    """What the journal takes the time from."""

    moment = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls.fromtimestamp(cls.moment.timestamp(), tz)


def test_what_came_later_or_long_before_does_not_count(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "datetime", Clock)
    incident = now(home, monkeypatch)
    for seconds in (-3601, 1):
        monkeypatch.setattr(Clock, "moment", Clock.moment + timedelta(seconds=seconds))
        earlier(home)
        monkeypatch.undo()
        monkeypatch.setattr(journal, "datetime", Clock)
    monkeypatch.setenv(ENV_DIR, str(incident.directory))
    assert run(escalation)["repeated"] is False
    assert run(escalation, within=3601.5)["repeated"] is True


def test_a_record_that_cannot_be_read_counts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = earlier(home)
    Path(first.journal.path).unlink()
    Path(first.journal.path).mkdir()
    now(home, monkeypatch)
    assert run(escalation)["repeated"] is True


@pytest.mark.parametrize("within", [0.0, -1.0, float("nan")])
def test_no_time_at_all_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch, within: float) -> None:
    now(home, monkeypatch)
    assert run(escalation, within=within).outcome == "usage"
