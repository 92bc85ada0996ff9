# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Regulatory clocks: due when the regulation says, from the record alone, and met by a person's word."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.chain import GENESIS, Event
from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import ENV_DIR, Incident, open_incident
from ansible_collections.hft.incident.plugins.module_utils.redaction import iso_utc
from ansible_collections.hft.incident.plugins.module_utils.regulatory_clocks import (
    AWARENESS,
    CLASSIFICATION,
    clocks_of,
    due_at,
    parse,
)
from ansible_collections.hft.incident.plugins.module_utils.steps import Context, regulatory_clock, run_step
from hft_incident.cli import main
from hft_incident.clocks import clocks, end

ROOT = Path(__file__).parents[2]
T0 = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
SHIPPED = yaml.safe_load((ROOT / "inventory/production.example/group_vars/all/policy.yml").read_text())
CLOCKS = SHIPPED["hft_regulatory_clocks"]
DORA = parse(CLOCKS)[0]


# Due times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classified_after_h", "due_after_h"),
    [(None, 24), (0, 4), (1, 5), (19, 23), (20, 24), (22, 24), (24, 24), (24.5, 28.5), (100, 104)],
)
def test_the_initial_notification_under_dora(classified_after_h: float | None, due_after_h: float) -> None:
    """Within 4 h of the classification and 24 h of awareness; classified later than that, within 4 h."""
    moments = {AWARENESS: T0}
    if classified_after_h is not None:
        moments[CLASSIFICATION] = T0 + classified_after_h * HOUR
    assert due_at(DORA, moments) == T0 + due_after_h * HOUR


@given(st.floats(0, 1e6))
def test_it_is_never_due_before_it_is_classified_nor_later_than_either_rule_allows(after_s: float) -> None:
    classified = T0 + timedelta(seconds=after_s)
    due = due_at(DORA, {AWARENESS: T0, CLASSIFICATION: classified})
    assert due is not None
    assert classified <= due <= classified + 4 * HOUR
    if classified <= T0 + 24 * HOUR:
        assert due <= T0 + 24 * HOUR


def test_a_clock_waits_for_its_moment() -> None:
    assert due_at(DORA._replace(not_later_than=None), {AWARENESS: T0}) is None
    assert due_at(parse(CLOCKS)[1], {AWARENESS: T0, CLASSIFICATION: T0}) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "DORA"}, "small letters"),
        ({"due_s": 0}, "due_s must be a number"),
        ({"due_s": True}, "due_s must be a number"),
        ({"due_s": "4h"}, "due_s must be a number"),
        ({"starts_at": "someday"}, "starts_at must be one of awareness, classification"),
        ({"starts_at": "dora_initial"}, "starts_at must be one of"),
        ({"owner": " "}, "owner"),
        ({"not_later_than": {"due_s": 1}}, "has from and due_s"),
        ({"not_later_than": {"from": "x", "due_s": 1}}, "from must be one of"),
        ({"due": 1}, "unknown field 'due'"),
    ],
)
def test_what_makes_no_sense_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse([{**CLOCKS[0], **change}])
    with pytest.raises(UsageError, match="there twice"):
        parse([CLOCKS[0], CLOCKS[0]])
    with pytest.raises(UsageError, match="number 1"):
        parse(["x"])


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_no_record_breaks_it(anything: Any) -> None:
    data = dict.fromkeys(("clock", "from", "due_s", "due_at", "owner", "by", "reference"), anything)
    events = [Event(n, iso_utc(T0), "me", kind, data, GENESIS, GENESIS)
              for n, kind in enumerate(("clock.met", "clock.started", "clock.met", "clock.stopped"), 1)]  # fmt: skip
    for clock in clocks_of(events):
        clock.overdue(T0)
        regulatory_clock.sentence(clock, T0)


# An incident ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def incident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Incident:
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(tmp_path / "home"))
    made = open_incident("security_breach", home=tmp_path / "home")
    monkeypatch.setenv(ENV_DIR, str(made.directory))
    return made


def do(incident: Incident, state: str = "started", *, check: bool = False, **args: Any) -> dict[str, Any]:
    given = {"state": state, "clocks": CLOCKS, **args}
    checked = ArgumentSpecValidator(regulatory_clock.ARGUMENT_SPEC, required_if=regulatory_clock.REQUIRED_IF)
    found = checked.validate(given)
    assert not found.error_messages
    result = run_step(regulatory_clock.run, found.validated_parameters, Context(check=check, note=lambda *_: None))
    incident.journal.extend([(line["kind"], line["data"]) for line in result.get("record", [])])
    return result


def states(incident: Incident) -> dict[str, str]:
    return {name: told["state"] for _incident, clock in clocks(incident.id).clocks
            for name, told in [(clock.name, regulatory_clock.shown(clock, datetime.now(UTC)))]}  # fmt: skip


def test_clocks_start_once_and_again_where_the_time_is_another(incident: Incident) -> None:
    first = do(incident)
    assert [line["data"]["clock"] for line in first["record"]] == ["dora_initial", "dora_intermediate", "gdpr"]
    assert do(incident)["record"] == []
    left = {clock["name"]: clock["left_s"] for clock in first["clocks"]}
    assert 86300 < left["dora_initial"] <= 86400
    assert left["dora_intermediate"] is None
    confirmed = do(incident, confirmed=True)
    assert [line["data"]["clock"] for line in confirmed["record"]] == ["dora_initial"]
    assert 14300 < confirmed["clocks"][0]["left_s"] <= 14400
    # A later run that no longer knows does not take it back, nor does it begin anew.
    assert do(incident)["record"] == []
    assert do(incident, confirmed=True)["record"] == []


def test_check_mode_says_it_and_records_nothing(incident: Incident) -> None:
    predicted = do(incident, check=True)
    assert "record" not in predicted
    assert [clock["name"] for clock in predicted["clocks"]] == ["dora_initial", "dora_intermediate", "gdpr"]
    assert clocks(incident.id).clocks == ()


def test_awareness_may_be_before_the_opening_and_never_after_it(incident: Incident) -> None:
    earlier = iso_utc(datetime.now(UTC) - 2 * HOUR)
    assert do(incident, aware_at=earlier)["clocks"][0]["left_s"] < 22 * 3600 + 1
    assert do(incident, aware_at="2999-01-01T00:00:00Z")["record"] == []
    assert do(incident, aware_at="yesterday")["outcome"] == "usage"


def test_one_that_was_met_starts_the_next_and_is_met_once(incident: Incident) -> None:
    do(incident, confirmed=True)
    do(incident, "met", name="dora_initial", by="erin", reference="receipt 4711")
    told = {clock["name"]: clock for clock in do(incident)["clocks"]}
    assert (told["dora_initial"]["state"], told["dora_initial"]["overdue"]) == ("met", False)
    assert 259100 < told["dora_intermediate"]["left_s"] <= 259200
    assert do(incident, "met", name="dora_initial", by="erin")["outcome"] == "usage"
    assert do(incident, "met", name="nothing", by="erin")["outcome"] == "usage"
    stopped = do(incident, "stopped", name="gdpr", by="erin", reference="no personal data")
    assert stopped["clocks"][2]["state"] == "stopped"
    assert do(incident, confirmed=True)["record"] == []


def test_one_that_ran_out_is_overdue_by_the_record_alone(incident: Incident) -> None:
    past = {"clock": "x", "from": "awareness", "due_s": 60, "owner": "legal", "due_at": iso_utc(T0 - 300 * HOUR)}
    incident.journal.append("clock.started", past)
    (line,) = clocks(incident.id).lines()
    assert "OVERDUE since" in line
    assert "TOO LATE" in end(incident.id, "x", "met", "erin").lines()[0]


def test_the_command_shows_and_takes_a_persons_word(incident: Incident, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clocks"]) == 0
    assert "no clock is on record" in capsys.readouterr().out
    do(incident)
    assert main(["clocks"]) == 0
    out = capsys.readouterr().out
    assert out.index("dora_initial") < out.index("gdpr") < out.index("dora_intermediate")
    assert main(["clocks", incident.id, "--met", "dora_initial", "--by", "erin", "--reference", "receipt 1"]) == 0
    assert "met by erin (receipt 1)" in capsys.readouterr().out
    assert states(incident)["dora_initial"] == "met"
    for wrong in (
        ["clocks", "--met", "gdpr", "--by", "erin"],
        ["clocks", incident.id, "--met", "gdpr"],
        ["clocks", incident.id, "--stop", "gdpr", "--by", "erin"],
        ["clocks", incident.id, "--by", "erin"],
        ["clocks", incident.id, "--met", "other", "--by", "erin"],
    ):
        assert main(wrong) == 2
    assert states(incident)["gdpr"] == "started"
    assert main(["status", incident.id]) == 0
    assert "clock" in capsys.readouterr().out
    assert main(["clocks", incident.id, "--json"]) == 0
