# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""How a run ended is read from its record: whole records say it themselves, anything less is no success."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.chain import GENESIS, Event, sealed
from ansible_collections.hft.incident.plugins.module_utils.errors import EXIT_CODES
from hft_incident.outcome import Outcome, Steps, outcome_of

Draft = tuple[str, Mapping[str, Any]]
OPENED: Draft = ("incident.opened", {"type": "exchange_outage", "inputs": {}, "severity": 2, "check": False})
STARTED: Draft = ("run.started", {"run": "r1", "playbook": "exchange_outage.yml", "pid": 4, "check": False})
STATUSES = ("ok", "changed", "skipped", "ignored", "rescued", "failed", "unreachable")


def chained(drafts: Sequence[Draft]) -> list[Event]:
    events: list[Event] = []
    for seq, (kind, data) in enumerate(drafts, 1):
        at = f"2026-11-23T10:{seq // 60:02}:{seq % 60:02}.000000Z"
        events.append(sealed(seq, at, "maria@desk", kind, data, events[-1].hash if events else GENESIS))
    return events


def read(*drafts: Draft) -> Outcome:
    return outcome_of("inc-1", chained(drafts), "/var/journal.jsonl")


def task(status: str = "ok", **more: Any) -> Draft:
    return (
        "task.finished",
        {"task": "cancel", "play": "p", "host": "localhost", "status": status, "msg": None, **more},
    )


def finished(outcome: str, tasks: int) -> Draft:
    return ("run.finished", {"run": "r1", "tasks": tasks, "failed": 0, "unreachable": 0, "outcome": outcome})


def killed(**verdicts: str) -> Draft:
    rows = [{"name": name, "verdict": verdict} for name, verdict in verdicts.items()]
    return ("kill.verified", {"verdict": "clear", "venues": rows})


def whole_run(statuses: Sequence[str], outcome: str) -> list[Draft]:
    tasks = [task(status) for status in statuses]
    return [
        OPENED,
        STARTED,
        ("phase.entered", {"phase": "contain", "play": "p"}),
        *tasks,
        finished(outcome, len(tasks)),
    ]


whole_runs = st.builds(
    whole_run, st.lists(st.sampled_from(STATUSES), min_size=1, max_size=8), st.sampled_from([*EXIT_CODES])
)
done_runs = st.builds(whole_run, st.lists(st.sampled_from(STATUSES), min_size=1, max_size=8), st.just("done"))


@given(whole_runs)
def test_a_whole_record_ends_as_it_says(drafts: list[Draft]) -> None:
    found = read(*drafts)
    assert found.outcome == drafts[-1][1]["outcome"]
    assert found.exit_code == EXIT_CODES[found.outcome]
    assert found.complete
    assert found.reason
    assert "\n" not in found.reason


@given(done_runs, st.data())
def test_a_record_that_lost_any_line_is_never_done(drafts: list[Draft], data: st.DataObject) -> None:
    events = chained(drafts)
    del events[data.draw(st.integers(0, len(events) - 1))]
    found = outcome_of("inc-1", events, "")
    assert found.outcome == "failed"
    assert not found.complete


@given(done_runs, st.data())
def test_a_record_that_stops_early_is_never_done(drafts: list[Draft], data: st.DataObject) -> None:
    assert read(*drafts[: data.draw(st.integers(0, len(drafts) - 1))]).outcome == "failed"


@given(done_runs, st.data())
def test_a_record_whose_writer_skipped_a_step_is_never_done(drafts: list[Draft], data: st.DataObject) -> None:
    """The chain is whole then, but fewer steps are told than were counted."""
    steps = [index for index, (kind, _) in enumerate(drafts) if kind == "task.finished"]
    del drafts[data.draw(st.sampled_from(steps))]
    found = read(*drafts)
    assert (found.outcome, found.complete) == ("failed", False)
    assert "incomplete" in found.reason


@given(done_runs, st.data(), st.sampled_from(["data", "kind", "at", "actor"]))
def test_a_record_that_was_altered_is_never_done(drafts: list[Draft], data: st.DataObject, field: str) -> None:
    events = chained(drafts)
    index = data.draw(st.integers(0, len(events) - 1))
    value: Any = {**events[index].data, "more": 1} if field == "data" else getattr(events[index], field) + "x"
    events[index] = events[index]._replace(**{field: value})
    assert outcome_of("inc-1", events, "").outcome == "failed"


@given(
    st.lists(
        st.tuples(st.sampled_from(["task.finished", "run.finished", "run.started", "kill.verified"]), st.just({})),
        max_size=6,
    )
)
def test_no_record_makes_it_stumble(drafts: list[Draft]) -> None:
    found = read(*drafts)
    assert found.outcome in EXIT_CODES
    json.dumps(found.to_json(), allow_nan=False)


def test_a_run_that_did_nothing_is_not_done() -> None:
    assert read(OPENED, STARTED, finished("done", 0)).outcome == "failed"


def test_a_play_without_hosts_ends_as_the_scribe_says_with_its_reason() -> None:
    nothing = ("run.no_hosts", {"reason": "play 'Look': no host matches"})
    found = read(OPENED, STARTED, nothing, finished("usage", 0))
    assert (found.outcome, found.exit_code, found.reason) == ("usage", 2, "play 'Look': no host matches")


def test_an_outcome_nobody_knows_is_a_failure() -> None:
    assert read(OPENED, STARTED, task(), finished("splendid", 1)).outcome == "failed"


def test_an_incident_whose_playbook_never_started_has_failed() -> None:
    found = read(OPENED)
    assert (found.outcome, found.reason) == ("failed", "the playbook was never started")


def test_a_failure_is_told_by_its_first_failed_step() -> None:
    steps = [task("rescued", msg="no"), task("failed", task="reconcile", msg="3 breaks"), task("failed", msg="later")]
    assert read(OPENED, STARTED, *steps, finished("unproven", 3)).reason == "reconcile: 3 breaks"


@pytest.mark.parametrize(
    "touched", [killed(okx="open"), task("changed"), ("inverse.registered", {"id": "1", "module": "m"})]
)
def test_an_interrupted_run_that_had_acted_is_unproven(touched: Draft) -> None:
    found = read(OPENED, STARTED, touched, ("run.interrupted", {"run": "r1", "tasks": 1}))
    assert (found.outcome, found.exit_code, found.complete) == ("unproven", 3, False)


def test_an_interrupted_run_that_had_changed_nothing_has_failed_and_says_who_stopped_it() -> None:
    stop = ("run.stop_requested", {"reason": "Ctrl-C"})
    found = read(OPENED, STARTED, task("ok"), stop, ("run.interrupted", {"run": "r1", "tasks": 1}))
    assert (found.outcome, found.exit_code) == ("failed", 1)
    assert "Ctrl-C" in found.reason


def test_a_lost_run_has_failed_even_where_it_had_said_that_all_was_done() -> None:
    found = read(OPENED, STARTED, task(), finished("done", 1), ("run.lost", {"reason": "code 250 after all was done"}))
    assert (found.outcome, found.reason) == ("failed", "code 250 after all was done")


def test_only_the_last_run_counts_but_for_what_is_contained() -> None:
    first = (STARTED, killed(okx="clear"), task("failed", msg="no"), finished("failed", 1))
    found = read(OPENED, *first, STARTED, task("ok"), task("changed"), finished("done", 2))
    assert found.outcome == "done"
    assert found.steps == Steps(ok=1, changed=1)
    assert found.contained == {"okx": "clear"}


def test_contained_since_is_when_the_last_venue_became_clear() -> None:
    drafts = (OPENED, STARTED, killed(okx="clear", deribit="open"), killed(deribit="clear"), killed(okx="clear"))
    events = chained(drafts)
    assert outcome_of("inc-1", events, "").contained_at == events[3].at


def test_an_order_that_shows_up_again_ends_the_containment() -> None:
    found = read(OPENED, STARTED, killed(okx="clear"), killed(okx="open"))
    assert found.contained_at is None
    assert found.contained == {"okx": "open"}


def test_a_phase_is_told_once_however_many_plays_follow_each_other_in_it() -> None:
    plays = (("detect", "a"), ("contain", "b"), ("contain", "c"), ("assess", "d"), ("contain", "e"))
    entered = [("phase.entered", {"phase": phase, "play": play}) for phase, play in plays]
    found = read(OPENED, STARTED, *entered, task("ok"), finished("done", 1))
    assert [phase.name for phase in found.phases] == ["detect", "contain", "assess", "contain"]
    assert found.phases[1].at == "2026-11-23T10:00:04.000000Z"


def test_the_json_has_the_fields_of_the_result() -> None:
    found = read(*whole_run(["ok", "changed"], "done"))
    document = json.loads(json.dumps(found.to_json()))
    assert set(document) == set(Outcome.__dataclass_fields__)
    assert document["phases"] == [{"name": "contain", "at": "2026-11-23T10:00:03.000000Z"}]
    assert document["elapsed_ms"] == 5000.0
    assert (document["type"], document["severity"], document["steps"]["changed"]) == ("exchange_outage", 2, 1)
