# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The exchange outage end to end: real venues, a real trading system, the playbook as it serves production.

What a response claims is held against the venues' own books.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.drills.outage_stage import OutageStage
from tests.drills.stage import BIN, PATIENCE_S, ROOT, Ran, command_lines, stage
from tests.lab.waiting import wait_until

from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import state_of
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from hft_incident import respond
from hft_incident.drill.exchange_outage import BREAKS

TYPE = OutageStage.type
AT_BINANCE = {"mm-binance", "probe-binance", "arb-binance-okx"}
DOORS = ("wrapper", "playbook", "python")
QUICK = {"hft_contain_timeout_s": "2", "hft_read_timeout_s": "1"}
PHASES = ["detect", "contain", "assess", "mitigate", "recover", "validate", "review"]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[OutageStage]:
    """A lab of its own, for a test that leaves something stopped, dead or open."""
    with stage(OutageStage, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutageStage]:
    """One lab for the tests in which nothing may be changed; its strategies rest, so that every write would show."""
    with stage(OutageStage, tmp_path_factory.mktemp("calm")) as made:
        made.quoting()
        made.quiet()
        yield made


def recap(ran: Ran) -> dict[str, int]:
    """The counts of Ansible's own recap."""
    (line,) = re.findall(r"^localhost +: (.*)$", ran.out, re.MULTILINE)
    return {name: int(count) for name, count in (pair.split("=") for pair in line.split())}


# The drill -----------------------------------------------------------------------------------------------------------


def test_the_drill_passes_every_line_of_its_score_and_leaves_no_process(tmp_path: Path) -> None:
    environment = os.environ | {"HFT_INCIDENT_HOME": str(tmp_path), "PATH": f"{BIN}:{os.environ['PATH']}"}
    with subprocess.Popen(
        [BIN / "hft-incident", "drill", TYPE, "--json"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_until(lambda: len(command_lines(str(tmp_path))) > len(("supervisor", "venues", "hft-1")), PATIENCE_S)
            out, err = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    score = json.loads(out)
    assert process.returncode == 0, err
    assert [line for line in score["lines"] if not line["passed"]] == []
    assert len(score["lines"]) == 10
    assert score["approved_by"] == ["alice@lab.example", "bob@lab.example"]
    assert score["outcome"]["outcome"] == "done"
    assert (score["false_safe"], score["orders_killed"] > 0) == (0, True)
    assert 0 < score["contained_s"] <= score["proven_s"] < score["resumed_s"]
    assert [phase["name"] for phase in score["outcome"]["phases"]] == ["detect", *PHASES[4:]], "it was resumed there"
    wait_until(lambda: not command_lines(str(tmp_path)))


# Three doors, one record ---------------------------------------------------------------------------------------------


class Doors(NamedTuple):
    """The same outage answered through each door, on one lab, one after the other."""

    stage: OutageStage
    runs: dict[str, Ran]
    strategies: dict[str, set[str]]  # what ran when it was over
    leaks: list[str]  # what was seen of a secret while a run waited
    held: dict[str, tuple[Ran, set[str], bool]]  # the run until the gate; what ran then, and whether binance was open


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with stage(OutageStage, tmp_path_factory.mktemp("doors")) as made:
        found = Doors(made, {}, {}, [], {})
        for door in DOORS:
            made.break_it()
            with made.healing(before=lambda: found.leaks.extend(made.leaks())):
                held = getattr(made, door)(exchange="binance")
            found.held[door] = held, made.running(), made.system.exchanges()["binance"].enabled
            ran = found.runs[door] = made.allowed(door, held, exchange="binance")
            assert ran.code == 0, f"{door}: {ran.out}{ran.err}"
            found.strategies[door] = made.running()
            made.well()
        yield found


@pytest.mark.parametrize("door", DOORS)
def test_every_door_ends_done_with_the_strategies_that_ran_before(doors: Doors, door: str) -> None:
    ran = doors.runs[door]
    assert ran.outcome == "done"
    assert ran.phases == [*PHASES[:5], "detect", *PHASES[4:]], "held in recover, and resumed there"
    assert doors.strategies[door] == AT_BINANCE | {"mm-okx", "probe-okx"}
    assert not ran.state.is_open
    assert ran.state.inverses == ()


@pytest.mark.parametrize("door", DOORS)
def test_nothing_trades_there_before_two_people_have_signed(doors: Doors, door: str) -> None:
    held, running, enabled = doors.held[door]
    assert held.code == (2 if door == "playbook" else 4), "Ansible's own code says failed; the record says held"
    assert (running, enabled) == ({"mm-okx", "probe-okx"}, False)
    ran = doors.runs[door]
    assert [data["outcome"] for data in ran.data("run.finished")] == ["held", "done"]
    assert f"hft-incident approve {ran.incident.id} resume_trading" in ran.data("run.finished")[0]["reason"]
    kinds = ran.kinds
    assert kinds.index("gate.passed") < kinds.index("inverse.applied")
    assert ran.data("gate.passed")[0]["people"] == ["alice@lab.example", "bob@lab.example"]


def test_every_door_leaves_the_same_record(doors: Doors) -> None:
    wrapper, playbook, python = (doors.runs[door] for door in DOORS)
    resumed = "run.resumed"  # by `resume`; the person at `ansible-playbook` says the incident and the tags instead
    assert wrapper.kinds == python.kinds
    assert [kind for kind in wrapper.kinds if kind != resumed] == playbook.kinds
    for kind in ("incident.closed", "strategies.stopped", "strategies.started", "exchange.changed"):
        assert wrapper.data(kind) == playbook.data(kind) == python.data(kind), kind


def test_the_books_are_reconciled_before_anything_may_trade(doors: Doors) -> None:
    for ran in doors.runs.values():
        kinds = [event.kind for event in ran.events]
        reconciled = kinds.index("positions.reconciled")
        assert ran.data("positions.reconciled")[-1]["verdict"] == "reconciled"
        assert "inverse.applied" not in kinds[:reconciled]
        assert kinds.index("inverse.applied") < kinds.index("strategy.started")


def test_no_secret_is_seen_while_a_response_runs_nor_afterwards(doors: Doors) -> None:
    secrets = doors.stage.secrets()
    assert len(secrets) >= 10, "two keys at each of two venues, and a token"
    assert doors.leaks == []
    said = [text for ran in doors.runs.values() for text in (ran.out, ran.err)]
    kept = doors.stage.kept()
    assert any(path.name == "journal.jsonl" for path in kept)
    said += [path.read_bytes().decode(errors="replace") for path in kept]
    assert [text[:200] for text in said if any(secret in text for secret in secrets)] == []
    assert list(doors.stage.scratch.rglob("journal*")) == []


def test_a_second_run_finds_it_healthy_and_changes_nothing(doors: Doors) -> None:
    doors.stage.quiet()
    again = doors.stage.playbook(exchange="binance")
    assert (again.code, recap(again)["changed"], again.outcome) == (0, 0, "done"), again.out
    assert doors.stage.writes() == []
    assert [data["resolution"] for data in again.data("incident.closed")] == ["not_confirmed"]


# Part of the way -----------------------------------------------------------------------------------------------------


def test_until_contain_contains_and_goes_no_further_and_a_second_time_it_changes_nothing(lab: OutageStage) -> None:
    lab.break_it()
    first = lab.wrapper("--until", "contain", exchange="binance")
    assert (first.code, first.phases) == (0, ["detect", "contain"]), first.out + first.err
    assert lab.exchange.truth().open_orders == ()
    assert lab.running() == {"mm-okx", "probe-okx"}
    assert {inverse.module for inverse in first.state.inverses} == {"hft.incident.exchange", "hft.incident.strategy"}
    assert first.state.is_open

    lab.exchange.forget_requests()
    second = lab.playbook("--tags", "detect,contain", exchange="binance")
    assert (second.code, recap(second)["changed"]) == (0, 0), second.out
    assert second.state.inverses == ()
    assert "cancel_all" not in [seen.op for seen in lab.exchange.requests()]


def test_a_rehearsal_of_an_outage_changes_nothing_and_says_what_it_would_do(lab: OutageStage) -> None:
    seeded = set(lab.exchange.seed(3))
    lab.break_it()
    before = (lab.running(), lab.system.exchanges()["binance"].enabled)
    lab.exchange.forget_requests()
    ran = lab.wrapper("--check", exchange="binance", hft_reconciliation_timeout_s="1")
    assert (ran.code, ran.outcome) == (0, "done"), ran.out + ran.err
    assert (lab.running(), lab.system.exchanges()["binance"].enabled) == before
    assert seeded <= {order.id for order in lab.exchange.truth().open_orders}
    assert "cancel_all" not in [seen.op for seen in lab.exchange.requests()]
    messages = [str(task["msg"]) for task in ran.data("task.finished")]
    assert any("would be cancelled" in message for message in messages)
    assert any(message.startswith("would stop at hft-1: mm-binance") for message in messages)
    rehearsed = {"resolution": "rehearsed", "summary": "a rehearsal: nothing was changed"}
    assert ran.data("incident.closed") == [rehearsed]
    assert ran.state.inverses == ()


def test_a_rehearsal_sends_no_writing_request_to_any_venue(calm: OutageStage) -> None:
    calm.exchange.seed(2)
    calm.quiet()
    ran = calm.playbook("--check", exchange="binance", confirmed="true")
    assert ran.code == 0, ran.out + ran.err
    assert calm.writes() == []
    assert calm.exchange.requests() != [], "it did look"


# What does not come good ---------------------------------------------------------------------------------------------


def test_with_the_trading_system_dead_its_orders_are_cancelled_and_the_run_is_not_proven(lab: OutageStage) -> None:
    lab.break_it()
    lab.exchange.seed(3)
    os.kill(lab.lab.trading_systems["hft-1"].process.pid, signal.SIGKILL)
    assert lab.exchange.truth().open_orders != ()
    ran = lab.wrapper(exchange="binance", **QUICK)
    assert (ran.code, ran.outcome) == (3, "unproven"), ran.out + ran.err
    assert lab.exchange.truth().open_orders == ()
    assert ran.state.venues["binance"].verdict == "clear"
    assert "hft-1" in ran.reason
    assert "hft-1" in ran.out
    assert ran.phases == PHASES[:4]
    assert ran.state.is_open
    assert {"strategies.started", "positions.reconciled", "inverse.applied"}.isdisjoint(ran.kinds)


def test_a_venue_that_never_comes_back_ends_unproven_with_everything_left_to_undo(lab: OutageStage) -> None:
    elsewhere = set(lab.other.seed(3))
    lab.break_it({"kind": "status", "status": 503})
    lab.other.forget_requests()
    ran = lab.wrapper(exchange="binance", hft_recovery_timeout_s="1", **QUICK)
    assert (ran.code, ran.outcome) == (3, "unproven"), ran.out + ran.err
    assert "not after 1 s: binance is reachable" in ran.reason
    assert ran.state.is_open
    assert ran.state.venues["binance"].verdict == "unknown"
    assert [inverse.module for inverse in ran.state.inverses] == ["hft.incident.strategy", "hft.incident.exchange"]
    assert lab.running() == {"mm-okx", "probe-okx"}
    assert not lab.system.exchanges()["binance"].enabled
    assert elsewhere <= {order.id for order in lab.other.truth().open_orders}
    assert "cancel_all" not in [seen.op for seen in lab.other.requests()]


def test_where_cancels_are_accepted_and_ignored_it_is_never_done(lab: OutageStage) -> None:
    lab.break_it({"kind": "cancel_ignored"}, {"kind": "feed_stops"})
    ran = lab.wrapper(exchange="binance", **QUICK)
    assert (ran.code, ran.outcome) == (3, "unproven"), ran.out + ran.err
    live = len(lab.exchange.truth().open_orders)
    assert f"NOT PROVEN SAFE: binance is open ({live} open at the last listing)" in ran.reason
    assert {kill["verdict"] for kill in ran.data("kill.verified")} == {"open"}
    assert ran.phases == PHASES[:4]
    assert ran.state.is_open
    assert lab.running().isdisjoint(AT_BINANCE)


def test_a_containment_that_is_not_proven_is_not_done_although_no_step_failed(lab: OutageStage) -> None:
    lab.break_it({"kind": "cancel_ignored"}, {"kind": "feed_stops"})
    ran = lab.playbook("--tags", "detect,contain", exchange="binance", **QUICK)
    assert (ran.code, ran.outcome) == (3, "unproven"), ran.out + ran.err
    assert "not proven safe: binance is open" in ran.err


def test_a_playbook_killed_in_the_middle_of_containment_is_resumed_and_everything_comes_back(lab: OutageStage) -> None:
    lab.break_it({"kind": "cancel_ignored"}, {"kind": "status", "op": "time"}, {"kind": "feed_stops"})
    process = lab.command("ansible-playbook", f"playbooks/{TYPE}.yml", exchange="binance")
    with lab.when("venue.reported", process.kill):
        first = lab.finish(process)
    assert first.code == -signal.SIGKILL
    assert verify(first.incident.journal.path).state in ("intact", "torn")
    state = state_of(first.incident.journal.events())
    assert (state.is_open, state.outcome, state.phase) == (True, None, "contain")

    lab.exchange.clear_faults()
    for fault in BREAKS:
        lab.exchange.inject(**fault)
    with lab.healing(first.incident):
        held = lab.finish(lab.start("hft-incident", "resume", first.incident.id))
    assert held.code == 4, held.out + held.err
    # What the first run closed when it died, it had written down before.
    assert [inverse.module for inverse in held.state.inverses][-1] == "hft.incident.exchange"
    assert lab.running().isdisjoint(AT_BINANCE)
    done = lab.allowed("wrapper", held)
    assert (done.code, done.outcome, done.state.is_open) == (0, "done", False), done.out + done.err
    assert lab.running() >= AT_BINANCE
    lab.well()


def test_what_two_incidents_hold_is_opened_only_by_taking_it_over_on_purpose(lab: OutageStage) -> None:
    lab.break_it()
    first = lab.wrapper("--until", "contain", exchange="binance")
    with lab.healing():
        second = lab.wrapper(exchange="binance")
    assert second.code == 4, second.out + second.err

    held = lab.finish(lab.start("hft-incident", "resume", first.incident.id))._replace(newest=first.newest)
    refused = lab.allowed("wrapper", held)
    assert refused.code == 4, refused.out + refused.err
    assert f"--take-from {second.incident.id}" in refused.reason
    assert lab.running().isdisjoint(AT_BINANCE)
    assert not lab.system.exchanges()["binance"].enabled

    words = ("resume", first.incident.id, "--take-from", second.incident.id)
    done = lab.finish(lab.start("hft-incident", *words))._replace(newest=first.newest)
    assert done.code == 0, done.out + done.err
    assert done.data("claims.taken_over")[0]["incident"] == second.incident.id
    assert second.data("claims.given_up")[0]["incident"] == first.incident.id
    assert lab.running() >= AT_BINANCE


# Wrong from the start ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", DOORS)
def test_an_unknown_exchange_is_refused_and_leaves_nothing_open(calm: OutageStage, door: str) -> None:
    calm.quiet()
    ran: Ran = getattr(calm, door)(exchange="binnance")
    sentence = "unknown exchange 'binnance': give -e exchange=NAME, one of: binance, okx"
    assert (ran.code, ran.outcome) == (2, "usage"), ran.out + ran.err
    assert sentence in ran.out
    assert ran.data("incident.closed") == [{"resolution": "refused", "summary": sentence}]
    assert not ran.state.is_open
    assert calm.writes() == []


def test_without_an_exchange_the_wrapper_refuses_in_one_line_before_there_is_an_incident(calm: OutageStage) -> None:
    before = calm.incidents()
    ran = calm.wrapper()
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 1
    assert "exchange is missing" in ran.err
    with pytest.raises(UsageError, match="exchange is missing"):
        respond(TYPE, inputs=calm.clocks, inventory=str(calm.lab.inventory), home=calm.home)
    assert calm.incidents() == before


def test_without_an_exchange_the_playbook_is_refused_and_leaves_nothing_open(calm: OutageStage) -> None:
    calm.quiet()
    ran = calm.playbook()
    assert (ran.code, ran.outcome) == (2, "usage"), ran.out + ran.err
    assert "no exchange is named: give -e exchange=NAME, one of: binance, okx" in ran.out
    assert not ran.state.is_open
    assert calm.writes() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--limit", "nohost"), "no hosts to target"),
        (("--limit", "!localhost"), "no host matches"),
        (("--tags", "nothing"), "no task ran at all"),
        (("-i", "empty.yml"), "is undefined"),
        (("-i", "missing.yml"), "is undefined"),
    ],
)
def test_a_playbook_that_finds_nothing_to_work_on_is_never_a_success(
    calm: OutageStage, words: tuple[str, str], said: str
) -> None:
    (calm.home / "empty.yml").write_text("all: {hosts: {}}\n")
    calm.quiet()
    option, value = words
    ran = calm.playbook(option, str(calm.home / value) if option == "-i" else value, exchange="binance")
    assert ran.code in (1, 2), ran.out
    assert said in ran.out + ran.err
    assert calm.writes() == []


@pytest.mark.parametrize("inventory", ["empty.yml", "missing.yml"])
def test_the_wrapper_without_hosts_is_never_a_success(calm: OutageStage, inventory: str) -> None:
    (calm.home / "empty.yml").write_text("all: {hosts: {}}\n")
    ran = calm.wrapper("-i", str(calm.home / inventory), exchange="binance")
    assert ran.code in (1, 2), ran.out
    assert "hft_" in ran.out or "no inventory at" in ran.err
    assert "Traceback" not in ran.err


def test_with_the_lab_down_the_playbook_says_how_to_start_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [BIN / "ansible-playbook", f"playbooks/{TYPE}.yml", "-e", "exchange=binance"],
        cwd=ROOT,
        env=os.environ | {"HFT_INCIDENT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 2
    assert "the lab is not up: run 'hft-incident lab up'" in done.stdout + done.stderr
