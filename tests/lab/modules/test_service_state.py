# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``service_state``: up and staying up, or gone for certain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.steps import service_state

from .steps import Ran, run
from .systemctl_stand_in import CRASHED, RESTARTING, RUNNING, UNIT, Systemctl

START = ["reset-failed", "start"]
#: Long enough for a few commands on a busy machine, short enough to wait for.
SHORT_S = 1.5


def do(stand_in: Systemctl, state: str, *, check: bool = False, **args: Any) -> Ran:
    given = {"systemctl": stand_in.program, "unit": UNIT, "state": state, "timeout": 20, "settle": 0.01, **args}
    return run(service_state, check=check, **given)


# Started --------------------------------------------------------------------------------------------------------------


def test_a_start_is_seen_recorded_and_undone_by_its_inverse(tmp_path: Path) -> None:
    systemctl = Systemctl(tmp_path, **CRASHED)
    done = do(systemctl, "started")
    assert not done.failed
    assert systemctl.writes == START
    assert (done["changed"], done["active_state"], done["sub_state"], done["main_pid"]) == (
        True,
        "active",
        "running",
        4711,
    )
    assert (done["before"]["result"], done["before"]["exec_main_status"]) == ("core-dump", 11)
    assert done["diff"] == {"before": {UNIT: "stopped"}, "after": {UNIT: "running"}}
    assert done.recorded("service.changed") == [{"unit": UNIT, "state": "running", "before": "stopped"}]
    (back,) = done["inverses"]
    assert run(service_state, **back["args"])["diff"] == {"before": {UNIT: "running"}, "after": {UNIT: "stopped"}}


def test_what_is_to_stay_has_no_inverse(tmp_path: Path) -> None:
    assert do(Systemctl(tmp_path), "started", undoable=False)["inverses"] == []


def test_a_service_that_runs_is_left_alone(tmp_path: Path) -> None:
    systemctl = Systemctl(tmp_path, **RUNNING)
    done = do(systemctl, "started")
    assert (done["changed"], systemctl.writes) == (False, [])
    assert "record" not in done.result


def test_a_start_limit_that_was_hit_is_reset_first(tmp_path: Path) -> None:
    systemctl = Systemctl(tmp_path, **{**CRASHED, "Result": "start-limit-hit", "NRestarts": 5})
    done = do(systemctl, "started")
    assert (done.failed, done["before"]["n_restarts"], done["n_restarts"]) == (False, 5, 0)


def test_a_start_that_the_hold_file_refuses_is_held_and_names_the_file(tmp_path: Path) -> None:
    systemctl = Systemctl(tmp_path, **CRASHED)
    systemctl.hold_file.touch()
    done = do(systemctl, "started")
    assert (done.outcome, done["changed"]) == ("held", False)
    assert f"AssertPathExists=!{systemctl.hold_file} is not met" in done["msg"]
    assert done["held_by"] == [f"AssertPathExists=!{systemctl.hold_file}"]
    assert systemctl.state["MainPID"] == 0


def test_an_assertion_that_cannot_be_read_is_held_too(tmp_path: Path) -> None:
    systemctl = Systemctl(tmp_path)
    systemctl.hold_file.touch()
    systemctl.unit_file.unlink()
    done = do(systemctl, "started")
    assert (done.outcome, done["held_by"]) == ("held", [])
    assert "an assertion of its unit file" in done["msg"]


def test_an_assertion_that_failed_once_is_not_blamed_for_another_refusal(tmp_path: Path) -> None:
    systemctl = Systemctl(tmp_path, AssertResult="no")
    systemctl.misbehave({"start": "denied"})
    done = do(systemctl, "started")
    assert done.outcome == "unproven"
    assert f"did not start: Failed to start {UNIT}: Access denied" in done["msg"]


@pytest.mark.parametrize(
    ("fate", "words"),
    [
        (
            {**CRASHED, "Result": "exit-code", "ExecMainCode": 1, "ExecMainStatus": 2},
            ["failed (failed)", "Result exit-code, exit status 2"],
        ),
        (CRASHED, ["Result core-dump, killed by SIGSEGV, core dumped"]),
        ({**RESTARTING, "NRestarts": 1}, ["activating (auto-restart)", "NRestarts 1"]),
        ({**RUNNING, "MainPID": 4712, "NRestarts": 1}, ["NRestarts 1"]),
        ({"SubState": "exited", "MainPID": 0}, ["active (exited)"]),
    ],
    ids=["ends", "dumps core", "restarts", "was restarted", "leaves no process"],
)
def test_a_service_that_does_not_stay_up_was_not_started(
    tmp_path: Path, fate: dict[str, Any], words: list[str]
) -> None:
    systemctl = Systemctl(tmp_path)
    systemctl.misbehave(then=[{}, fate])
    done = do(systemctl, "started")
    assert done.outcome == "unproven"
    for word in ["did not stay up", *words]:
        assert word in done["msg"]
    assert done["inverses"]


def test_one_between_two_crashes_is_not_started_and_waited_for_no_longer_than_said(tmp_path: Path) -> None:
    systemctl = Systemctl(tmp_path)
    systemctl.misbehave(then=[RESTARTING])
    done = do(systemctl, "started", timeout=SHORT_S)
    assert done.outcome == "unproven"
    assert "is still activating (auto-restart), Result core-dump, killed by SIGSEGV" in done["msg"]


def test_one_that_is_about_to_be_restarted_counts_as_not_running(tmp_path: Path) -> None:
    systemctl = Systemctl(tmp_path, **RESTARTING)
    assert do(systemctl, "started", check=True)["changed"] is True
    assert do(systemctl, "stopped", check=True)["changed"] is True


@pytest.mark.parametrize(
    ("verb", "state", "unit"),
    [("show", "started", {}), ("show", "stopped", RUNNING), ("start", "started", {}), ("stop", "stopped", RUNNING)],
)
def test_a_system_manager_that_hangs_is_not_waited_for(
    tmp_path: Path, verb: str, state: str, unit: dict[str, Any]
) -> None:
    systemctl = Systemctl(tmp_path, **unit)
    systemctl.misbehave({verb: "hang"})
    done = do(systemctl, state, timeout=SHORT_S)
    assert done.outcome == "unproven"
    assert f"systemctl {verb}: no end in" in done["msg"]


# Stopped --------------------------------------------------------------------------------------------------------------


def test_a_stop_is_seen_recorded_and_undone_by_its_inverse(tmp_path: Path) -> None:
    systemctl = Systemctl(tmp_path, **RUNNING)
    done = do(systemctl, "stopped")
    assert (done.failed, systemctl.writes, done["main_pid"]) == (False, ["stop"], 0)
    assert done.recorded("service.changed") == [{"unit": UNIT, "state": "stopped", "before": "running"}]
    (back,) = done["inverses"]
    assert run(service_state, **{**back["args"], "settle": 0})["main_pid"] == 4711


@pytest.mark.parametrize("state", [{}, CRASHED])
@pytest.mark.parametrize("force", [False, True])
def test_a_service_that_is_stopped_is_left_alone(tmp_path: Path, state: dict[str, Any], force: bool) -> None:
    systemctl = Systemctl(tmp_path, **state)
    assert do(systemctl, "stopped", force=force)["changed"] is False
    assert systemctl.writes == []


def test_a_process_that_hangs_is_killed_before_anything_can_wake_it(tmp_path: Path) -> None:
    systemctl = Systemctl(tmp_path, **RUNNING)
    done = do(systemctl, "stopped", force=True)
    assert systemctl.writes == ["kill -s KILL", "stop"]
    assert systemctl.woken is False
    assert (done.failed, done["main_pid"], done["exec_main_status"]) == (False, 0, 9)


@pytest.mark.parametrize(("how", "why"), [("denied", "Access denied"), ("survives", "it outlives SIGKILL")])
def test_where_the_kill_does_not_work_nothing_wakes_it(tmp_path: Path, how: str, why: str) -> None:
    systemctl = Systemctl(tmp_path, **RUNNING)
    systemctl.misbehave({"kill": how})
    done = do(systemctl, "stopped", force=True, timeout=SHORT_S)
    assert (done.outcome, systemctl.woken) == ("unproven", False)
    assert why in done["msg"]
    assert "MainPID 4711" in done["msg"]


def test_a_kill_that_finds_no_process_does_not_keep_it_from_being_stopped(tmp_path: Path) -> None:
    systemctl = Systemctl(tmp_path, **RESTARTING)
    systemctl.misbehave({"kill": "denied"})
    done = do(systemctl, "stopped", force=True)
    assert (done.failed, systemctl.state["ActiveState"]) == (False, "inactive")


@pytest.mark.parametrize("how", ["survives", "denied"])
def test_a_stop_that_leaves_a_process_is_not_proven(tmp_path: Path, how: str) -> None:
    systemctl = Systemctl(tmp_path, **RUNNING)
    systemctl.misbehave({"stop": how})
    done = do(systemctl, "stopped", timeout=SHORT_S)
    assert done.outcome == "unproven"
    assert "is not proven stopped" in done["msg"]
    assert "MainPID 4711" in done["msg"]
    assert done["inverses"]


# Both -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "unit"), [("started", CRASHED), ("stopped", RUNNING)])
def test_check_mode_predicts_and_changes_nothing(tmp_path: Path, state: str, unit: dict[str, Any]) -> None:
    systemctl = Systemctl(tmp_path, **unit)
    would = do(systemctl, state, check=True)
    assert systemctl.writes == []
    assert {"record", "inverses"}.isdisjoint(would.result)
    done = do(systemctl, state)
    assert [would[field] for field in ("changed", "diff", "before")] == [
        done[field] for field in ("changed", "diff", "before")
    ]
    assert do(systemctl, state)["changed"] is False


def test_check_mode_says_what_would_refuse_the_start_now(tmp_path: Path) -> None:
    systemctl = Systemctl(tmp_path)
    systemctl.hold_file.touch()
    would = do(systemctl, "started", check=True)
    assert would["msg"] == f"{UNIT} would be started, once AssertPathExists=!{systemctl.hold_file} is met"
    assert would["held_by"] == [f"AssertPathExists=!{systemctl.hold_file}"]


def test_drop_ins_count_and_an_empty_assertion_takes_the_earlier_ones_back(tmp_path: Path) -> None:
    drop_in = tmp_path / "hold.conf"
    systemctl = Systemctl(tmp_path, DropInPaths=str(drop_in))
    drop_in.write_text(
        f"[Unit]\nAssertPathExists=\nAssertPathExists={tmp_path}/needed\nAssertPathExists=|!{tmp_path}\n"
    )
    assert do(systemctl, "started", check=True)["held_by"] == [
        f"AssertPathExists={tmp_path}/needed",
        f"AssertPathExists=|!{tmp_path}",
    ]


@pytest.mark.parametrize("state", ["started", "stopped"])
def test_an_unknown_unit_is_refused(tmp_path: Path, state: str) -> None:
    systemctl = Systemctl(tmp_path)
    done = do(systemctl, state, unit="hft_sytsem")
    assert (done.outcome, done["msg"]) == ("usage", "there is no unit hft_sytsem.service on this host")
    assert systemctl.writes == []


def test_a_masked_unit_is_refused_and_can_still_be_stopped(tmp_path: Path) -> None:
    systemctl = Systemctl(tmp_path, **RUNNING, LoadState="masked")
    assert do(systemctl, "stopped").failed is False
    assert do(systemctl, "started").outcome == "usage"


def test_a_service_whose_unit_file_is_gone_can_be_stopped(tmp_path: Path) -> None:
    systemctl = Systemctl(tmp_path, **RUNNING, LoadState="not-found", FragmentPath="")
    assert do(systemctl, "stopped")["changed"] is True


@pytest.mark.parametrize(
    "args",
    [
        {"unit": "-H evil"},
        {"unit": ""},
        {"unit": "a b"},
        {"unit": "hft.timer"},
        {"timeout": 0},
        {"settle": -1},
        {"systemctl": "/nowhere/systemctl"},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, args: dict[str, Any]) -> None:
    systemctl = Systemctl(tmp_path)
    assert do(systemctl, "started", **args).outcome == "usage"
    assert systemctl.writes == []


@pytest.mark.parametrize("how", ["bus", "nonsense"])
def test_a_state_that_nobody_tells_is_no_state(tmp_path: Path, how: str) -> None:
    systemctl = Systemctl(tmp_path, **RUNNING)
    systemctl.misbehave({"show": how})
    done = do(systemctl, "stopped")
    assert (done.outcome, systemctl.writes) == ("unproven", [])
    assert f"the state of {UNIT} is unknown" in done["msg"]


def test_the_machines_own_systemctl_says_clearly_that_there_is_no_systemd_here(tmp_path: Path) -> None:
    if Path("/run/systemd/system").exists():
        pytest.skip("systemd runs here")
    done = do(Systemctl(tmp_path), "stopped", systemctl="systemctl")
    assert done.outcome in ("unproven", "usage")  # not reachable, or not installed
    assert "systemctl" in done["msg"] or "is unknown: " in done["msg"]


# Frozen ---------------------------------------------------------------------------------------------------------------


def test_freezing_is_seen_recorded_and_undone_by_its_inverse(tmp_path: Path) -> None:
    systemctl = Systemctl(tmp_path, **RUNNING)
    done = do(systemctl, "frozen")
    assert (done.failed, done["changed"], done["freezer_state"], systemctl.writes) == (
        False,
        True,
        "frozen",
        ["freeze"],
    )
    assert done["diff"] == {"before": {UNIT: "running"}, "after": {UNIT: "frozen"}}
    assert done.recorded("service.changed") == [{"unit": UNIT, "state": "frozen", "before": "running"}]
    assert do(systemctl, "frozen")["changed"] is False
    (back,) = done["inverses"]
    assert (back["args"]["state"], back["describe"]) == ("thawed", f"thaw {UNIT}")
    thawed = run(service_state, **back["args"])
    assert (thawed["changed"], systemctl.state["FreezerState"], systemctl.woken) == (True, "running", False)
    assert run(service_state, **back["args"])["changed"] is False


@pytest.mark.parametrize(("state", "before"), [("frozen", "running"), ("thawed", "frozen")])
def test_check_mode_predicts_the_freezing_and_does_nothing(tmp_path: Path, state: str, before: str) -> None:
    systemctl = Systemctl(tmp_path, **RUNNING, FreezerState=before)
    predicted = do(systemctl, state, check=True)
    assert systemctl.writes == []
    real = do(systemctl, state)
    assert (predicted["changed"], predicted["diff"]) == (real["changed"], real["diff"])


@pytest.mark.parametrize("state", ["frozen", "thawed"])
def test_what_does_not_run_is_neither_frozen_nor_thawed(tmp_path: Path, state: str) -> None:
    systemctl = Systemctl(tmp_path)
    done = do(systemctl, state)
    assert (done.failed, done["changed"], systemctl.writes) == (False, False, [])


def test_a_frozen_one_is_not_woken_by_a_start_or_a_plain_stop_and_dies_by_force(tmp_path: Path) -> None:
    systemctl = Systemctl(tmp_path, **RUNNING, FreezerState="frozen")
    for state in ("started", "stopped"):
        refused = do(systemctl, state)
        assert refused.outcome == "usage"
        assert "is frozen" in refused["msg"]
    assert systemctl.writes == []
    done = do(systemctl, "stopped", force=True)
    assert (done.failed, done["main_pid"], systemctl.woken) == (False, 0, False)


def test_a_host_that_cannot_freeze_says_so_before_anything_is_done(tmp_path: Path) -> None:
    systemctl = Systemctl(tmp_path, **RUNNING, FreezerState="")
    done = do(systemctl, "frozen")
    assert done.outcome == "usage"
    assert "systemd 246" in done["msg"]
    assert systemctl.writes == []


@pytest.mark.parametrize(
    ("how", "words"), [("ignores", "it is active (running)"), ("denied", "Access denied"), ("hang", "no end in")]
)
def test_what_does_not_freeze_is_unproven(tmp_path: Path, how: str, words: str) -> None:
    systemctl = Systemctl(tmp_path, **RUNNING)
    systemctl.misbehave({"freeze": how})
    done = do(systemctl, "frozen", timeout=SHORT_S)
    assert done.outcome == "unproven"
    assert "not proven frozen" in done["msg"]
    assert words in done["msg"]
    assert done["inverses"]
