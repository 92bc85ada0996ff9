# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A response tells people by itself, whichever door it came through, through its holds and after `kill -9`; and it
waits for none of the services that tell them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from tests.drills.outage_stage import OutageStage
from tests.drills.stage import PATIENCE_S, Ran, stage
from tests.lab.waiting import wait_until

from ansible_collections.hft.incident.plugins.module_utils.follower import FOLDER, LOG, follower_of


class ToldStage(OutageStage):
    """With the services that tell people; two minutes of waiting are a second."""

    sinks: ClassVar[bool] = True
    clocks: ClassVar = {**OutageStage.clocks, "hft_time_scale": "120"}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[ToldStage]:
    with stage(ToldStage, tmp_path) as made:
        yield made


def told(ran: Ran) -> set[tuple[str, str]]:
    return {(data["audience"], data["kind"]) for data in ran.data("notice.sent")}


@pytest.mark.parametrize("door", ["wrapper", "playbook"])
def test_people_are_told_through_the_hold_until_it_is_over(lab: ToldStage, door: str) -> None:
    lab.break_it()
    with lab.healing():
        run = lab.wrapper if door == "wrapper" else lab.playbook
        held = run(exchange="binance")
    assert held.outcome == "held", held.out + held.err
    follower = follower_of(held.incident.directory)
    assert follower, "who tells people outlives the run"
    wait_until(lambda: ("status_page", "first") in told(held), PATIENCE_S)
    done = lab.allowed(door, held, exchange="binance")
    assert done.outcome == "done", done.out + done.err
    wait_until(lambda: follower_of(held.incident.directory) is None, PATIENCE_S)
    assert told(done) & {("trading_desk", "first"), ("trading_desk", "contained")}, "a newer one may have overtaken it"
    assert told(done) >= {("on_call", "first"), ("trading_desk", "restored"), ("trading_desk", "resolved"),
                          ("status_page", "resolved")}  # fmt: skip
    (shown,) = lab.lab.sinks.status_page()["incidents"]
    assert shown["status"] == "resolved"
    assert (held.incident.directory / FOLDER / LOG).read_text() == ""


def test_services_that_hang_hold_up_nothing(lab: ToldStage) -> None:
    lab.lab.sinks.inject("hang", "*")
    lab.break_it()
    ran = lab.wrapper("--until", "contain", exchange="binance")
    assert ran.outcome == "done", ran.out + ran.err
    assert ran.state.venues["binance"].verdict == "clear"
    assert ran.data("notice.sent") == []
    lab.lab.sinks.clear_faults()
    wait_until(lambda: ("trading_desk", "first") in told(ran) or ("trading_desk", "contained") in told(ran), PATIENCE_S)


def test_a_response_that_is_killed_goes_on_being_told_about(lab: ToldStage) -> None:
    lab.break_it()
    process = lab.command("hft-incident", "run", lab.type, exchange="binance")
    wait_until(lambda: lab.newest() and follower_of(lab.incidents()[-1].directory), PATIENCE_S)
    incident = lab.incidents()[-1]
    started = wait_until(lambda: [e for e in incident.journal.events() if e.kind == "kill.verified"], PATIENCE_S)
    assert started
    playbook = next(e.data["pid"] for e in incident.journal.events() if e.kind == "run.started")
    for pid in (process.pid, playbook):
        os.kill(pid, signal.SIGKILL)
    ran = lab.finish(process, incident.id)
    wait_until(lambda: ("status_page", "first") in told(ran), PATIENCE_S)


def test_with_the_lab_goes_whoever_follows_its_incidents(lab: ToldStage) -> None:
    lab.break_it()
    ran = lab.wrapper("--until", "contain", exchange="binance")
    assert follower_of(ran.incident.directory)
    done = lab.start("hft-incident", "lab", "down")
    done.communicate(timeout=PATIENCE_S)
    wait_until(lambda: follower_of(ran.incident.directory) is None, PATIENCE_S)


def test_a_rehearsal_tells_nobody(lab: ToldStage) -> None:
    lab.quoting()
    ran = lab.wrapper("--check", exchange="binance", confirmed="true")
    assert ran.state.check
    assert follower_of(ran.incident.directory) is None
    assert not (ran.incident.directory / FOLDER).exists()
    assert lab.lab.sinks.arrivals() == []
