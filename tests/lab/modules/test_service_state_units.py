# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``service_state`` with real processes, and the lab's service manager between them."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils.steps import service_state

from ..units_host import UnitsHost, define, units_host
from ..waiting import wait_until
from .steps import Ran, run

WAITS = ("sleep", "1000")
CRASHES = ("sh", "-c", "exit 3")
#: A crash loop, until somebody mends it.
MENDABLE = ("sh", "-c", "[ -e mended ] || exit 3; exec sleep 1000")
#: Says so, when something wakes it.
HANGS = ("sh", "-c", "trap 'echo woken > woken' TERM CONT; while :; do sleep 0.01; done")


def do(host: UnitsHost, state: str, unit: str = "hft", **args: Any) -> Ran:
    given = {"systemctl": str(host.folder / "bin/systemctl"), "unit": unit, "state": state, "timeout": 20, **args}
    return run(service_state, **given)


def test_started_it_stays_and_stopped_it_is_gone(tmp_path: Path) -> None:
    with units_host(tmp_path, define(tmp_path, "hft", *WAITS)) as host:
        started = do(host, "started", settle=0.2)
        assert (started.failed, started["changed"], started["main_pid"]) == (False, True, host.pid("hft"))
        assert do(host, "started")["changed"] is False
        stopped = do(host, "stopped")
        assert (stopped.failed, stopped["changed"], host.pid("hft")) == (False, True, 0)
        assert do(host, "stopped")["changed"] is False
        assert run(service_state, **stopped["inverses"][0]["args"])["main_pid"] == host.pid("hft") != 0


def test_the_hold_file_refuses_the_start_and_is_named(tmp_path: Path) -> None:
    hold = tmp_path / "ir-hold"
    unit = define(tmp_path, "hft", *WAITS, assert_path_missing=hold)
    unit.file.write_text(unit.text())
    with units_host(tmp_path, unit) as host:
        hold.touch()
        held = do(host, "started")
        assert (held.outcome, held["held_by"]) == ("held", [f"AssertPathExists=!{hold}"])
        assert f"AssertPathExists=!{hold} is not met" in held["msg"]
        assert host.pid("hft") == 0
        hold.unlink()
        assert do(host, "started")["sub_state"] == "running"


def test_one_that_crashes_right_after_its_start_was_not_started(tmp_path: Path) -> None:
    with units_host(tmp_path, define(tmp_path, "hft", *CRASHES)) as host:
        done = do(host, "started")
        assert done.outcome == "unproven"
        assert "Result exit-code, exit status 3" in done["msg"]


def test_a_crash_loop_is_not_started_and_once_mended_its_start_limit_is_in_nobodys_way(tmp_path: Path) -> None:
    loop = define(tmp_path, "hft", *MENDABLE, restart="on-failure", restart_s=0.05, start_limit_interval_s=1000)
    with units_host(tmp_path, loop) as host:
        assert do(host, "started").outcome == "unproven"
        host.until("hft", "failed", "failed")
        assert host.systemctl("start", "hft").returncode != 0, "the limit is reached"
        (tmp_path / "hft" / "mended").touch()
        done = do(host, "started")
        assert (done.failed, done["n_restarts"]) == (False, 0)
        assert done["before"]["n_restarts"] > 0


def test_one_that_hangs_is_killed_and_never_wakes(tmp_path: Path) -> None:
    with units_host(tmp_path, define(tmp_path, "hft", *HANGS)) as host:
        host.start("hft")
        os.kill(host.pid("hft"), signal.SIGSTOP)
        done = do(host, "stopped", force=True)
        assert (done.failed, done["main_pid"], done["exec_main_status"]) == (False, 0, signal.SIGKILL)
        assert not (tmp_path / "hft" / "woken").exists()


def test_one_that_would_be_restarted_stays_stopped(tmp_path: Path) -> None:
    unit = define(tmp_path, "hft", *WAITS, restart="on-failure", restart_s=1000)
    with units_host(tmp_path, unit) as host:
        host.start("hft")
        os.kill(host.pid("hft"), signal.SIGKILL)
        host.until("hft", "activating", "auto-restart")
        done = do(host, "stopped", force=True)
        assert (done.failed, done["changed"], host.state("hft")[0] in ("inactive", "failed")) == (False, True, True)


def test_the_live_one_ends_the_observer_and_the_observers_inverse_finds_nothing_left(tmp_path: Path) -> None:
    live = define(tmp_path, "hft", *WAITS, conflicts=("observe.service",))
    with units_host(tmp_path, live, define(tmp_path, "observe", *WAITS)) as host:
        (back,) = do(host, "started", "observe")["inverses"]
        done = do(host, "started", undoable=False)
        assert (done["inverses"], host.pid("observe")) == ([], 0)
        assert run(service_state, **back["args"])["changed"] is False
        assert host.pid("hft") != 0


def test_a_unit_that_the_host_does_not_have_is_refused(tmp_path: Path) -> None:
    with units_host(tmp_path) as host:
        assert [do(host, state).outcome for state in ("started", "stopped")] == ["usage", "usage"]


def test_frozen_it_does_nothing_and_thawed_it_goes_on(tmp_path: Path) -> None:
    beats = ("sh", "-c", "while :; do echo >> beats; sleep 0.01; done")
    with units_host(tmp_path, define(tmp_path, "hft", *beats)) as host:
        host.start("hft")
        pid, file = host.pid("hft"), tmp_path / "hft/beats"
        wait_until(file.exists)
        frozen = do(host, "frozen")
        assert (frozen.failed, frozen["freezer_state"], frozen["main_pid"]) == (False, "frozen", pid)
        wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().split()[2] == "T")
        size = file.stat().st_size
        assert do(host, "stopped").outcome == "usage"
        assert file.stat().st_size == size
        assert run(service_state, **frozen["inverses"][0]["args"])["freezer_state"] == "running"
        wait_until(lambda: file.stat().st_size > size)
        do(host, "frozen")
        gone = do(host, "stopped", force=True)
        assert (gone.failed, gone["main_pid"], gone["freezer_state"]) == (False, 0, "running")
        assert run(service_state, **frozen["inverses"][0]["args"])["changed"] is False


def test_one_that_is_frozen_never_wakes_on_its_way_out(tmp_path: Path) -> None:
    with units_host(tmp_path, define(tmp_path, "hft", *HANGS)) as host:
        host.start("hft")
        do(host, "frozen")
        assert not do(host, "stopped", force=True).failed
        assert not (tmp_path / "hft/woken").exists()
