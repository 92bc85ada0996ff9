# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's service manager does what systemd does: real processes, and the commands that the product uses."""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.lab.units_host import UnitsHost, define, units_host
from tests.lab.waiting import wait_until

from hft_incident.lab.lifeline import identify
from hft_incident.lab.unit_commands import Answer, run
from hft_incident.lab.unit_journal import UnitJournal, entries, moment_us
from hft_incident.lab.units import Definition, Manager, core_limit

WAITS = ("sleep", "1000")
DEAF = ("sh", "-c", "trap '' TERM; exec sleep 1000")
DUMPS = core_limit() is not None


def ends(how: str) -> tuple[str, ...]:
    """A process that ends as soon as its working directory has a file ``end``, and not before."""
    return ("sh", "-c", f"while [ ! -e end ]; do sleep 0.01; done; {how}")


def kill(host: UnitsHost, unit: str, signum: int = signal.SIGKILL) -> None:
    os.kill(host.pid(unit), signum)


# --- one unit ---


def test_a_unit_is_started_and_stopped(tmp_path: Path) -> None:
    with units_host(tmp_path, define(tmp_path, "a", *WAITS)) as host:
        assert host.state("a") == ("inactive", "dead", "success")
        assert (host.systemctl("is-active", "a").returncode, host.pid("a")) == (3, 0)
        host.start("a")
        shown = host.show("a")
        assert host.state("a") == ("active", "running", "success")
        assert host.systemctl("is-active", "a.service").stdout == b"active\n"
        assert identify(int(shown["MainPID"])) is not None
        assert shown["MainPID"] == shown["ExecMainPID"]
        assert (shown["ExecMainCode"], shown["ExecMainExitTimestamp"]) == ("0", "")
        host.start("a")
        assert host.pid("a") == int(shown["MainPID"]), "one that runs is not started again"

        assert host.systemctl("stop", "a").returncode == 0
        after = host.show("a")
        assert host.state("a") == ("inactive", "dead", "success"), "SIGTERM is a clean end"
        assert (after["MainPID"], after["ExecMainCode"], after["ExecMainStatus"]) == ("0", "2", "15")
        assert identify(int(shown["MainPID"])) is None
        assert host.systemctl("stop", "a").returncode == 0
        assert host.log("a") == ["started", "stopping", "succeeded", "stopped"]
        host.start("a")
        assert host.show("a")["InvocationID"] != shown["InvocationID"]


@pytest.mark.parametrize(
    ("how", "state", "result", "code", "status", "said"),
    [
        ("exit 0", "inactive", "success", 1, 0, ["succeeded"]),
        ("exit 7", "failed", "exit-code", 1, 7, ["exited 7", "failed exit-code"]),
        ("kill -KILL $$", "failed", "signal", 2, 9, ["killed SIGKILL", "failed signal"]),
        ("kill -HUP $$", "inactive", "success", 2, 1, ["succeeded"]),
        ("kill -36 $$", "failed", "signal", 2, 36, ["killed SIGRTMIN+2", "failed signal"]),
    ],
)
def test_how_a_process_ended_is_told(
    tmp_path: Path, how: str, state: str, result: str, code: int, status: int, said: list[str]
) -> None:
    with units_host(tmp_path, define(tmp_path, "a", *ends(how))) as host:
        host.start("a")
        (tmp_path / "a" / "end").touch()
        shown = host.until("a", state, {"inactive": "dead"}.get(state, state))
        assert (shown["Result"], shown["ExecMainCode"], shown["ExecMainStatus"]) == (result, str(code), str(status))
        assert shown["ExecMainExitTimestamp"]
        assert host.log("a") == ["started", *said]
        assert host.systemctl("is-failed", "a").returncode == (0 if state == "failed" else 1)


@pytest.mark.skipif(not DUMPS, reason="this kernel does not put core dumps into the working directory")
def test_a_segmentation_fault_leaves_a_core_dump(tmp_path: Path) -> None:
    with units_host(tmp_path, define(tmp_path, "a", *ends("kill -SEGV $$"))) as host:
        host.start("a")
        (tmp_path / "a" / "end").touch()
        shown = host.until("a", "failed", "failed")
        assert (shown["Result"], shown["ExecMainCode"], shown["ExecMainStatus"]) == ("core-dump", "3", "11")
        assert host.log("a")[1:] == ["dumped SIGSEGV", "failed core-dump"]
        (core,) = (tmp_path / "a").glob("core*")
        assert core.read_bytes()[:4] == b"\x7fELF"
        assert shown["WorkingDirectory"] == str(core.parent)


def test_a_program_that_is_not_there_fails_as_systemd_has_it(tmp_path: Path) -> None:
    with units_host(tmp_path, define(tmp_path, "a", str(tmp_path / "nowhere"))) as host:
        assert host.systemctl("start", "a").returncode == 0, "Type=simple: nobody waits for the program"
        assert host.state("a") == ("failed", "failed", "exit-code")
        assert host.show("a", "ExecMainStatus") == {"ExecMainStatus": "203"}


def test_a_stopped_process_hears_of_its_stop(tmp_path: Path) -> None:
    with units_host(tmp_path, define(tmp_path, "a", *WAITS)) as host:
        host.start("a")
        kill(host, "a", signal.SIGSTOP)
        assert host.systemctl("stop", "a").returncode == 0
        assert host.state("a") == ("inactive", "dead", "success"), "SIGCONT followed SIGTERM"


def test_what_does_not_end_in_time_is_killed(tmp_path: Path) -> None:
    unit = define(tmp_path, "a", *DEAF, timeout_stop_s=0.2, restart="on-failure")
    with units_host(tmp_path, unit) as host:
        host.start("a")
        wait_until(lambda: b"sleep" in Path(f"/proc/{host.pid('a')}/cmdline").read_bytes())
        assert host.systemctl("stop", "a").returncode == 0, "the stop succeeded, if not the service"
        assert host.state("a") == ("failed", "failed", "timeout")
        assert host.log("a") == ["started", "stopping", "killed SIGKILL", "failed timeout", "stopped"]
        said = host.run("journalctl", "-u", "a", "-o", "cat").stdout.decode()
        assert "a.service: State 'stop-sigterm' timed out. Killing." in said
        assert "a.service: Main process exited, code=killed, status=9/KILL" in said


def test_a_signal_goes_to_every_process_of_the_unit(tmp_path: Path) -> None:
    family = ("sh", "-c", "sleep 1000 & echo $!; wait")
    with units_host(tmp_path, define(tmp_path, "a", *family)) as host:
        host.start("a")
        child = int(wait_until(lambda: printed(host, "a"))[0])
        kill(host, "a", signal.SIGSTOP)
        assert host.systemctl("kill", "-s", "KILL", "a").returncode == 0
        host.until("a", "failed", "failed")
        wait_until(lambda: identify(child) is None)
        assert host.systemctl("kill", "-s", "KILL", "a").returncode == 0, "as with systemd, none to kill is no error"
        assert host.systemctl("kill", "-s", "NONSENSE", "a").returncode == 1


def printed(host: UnitsHost, unit: str) -> list[str]:
    return [e["MESSAGE"] for e in entries(host.journal) if e.get("_SYSTEMD_UNIT") == f"{unit}.service"]


# --- the hold file ---


def test_the_hold_file_refuses_a_start(tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    with units_host(tmp_path, define(tmp_path, "a", *WAITS, assert_path_missing=hold)) as host:
        hold.touch()
        for verb in ("start", "restart"):
            ran = host.systemctl(verb, "a")
            assert (ran.returncode, ran.stderr) == (1, b"Assertion failed on job for a.service.\n")
        assert host.state("a") == ("inactive", "dead", "success")
        assert host.show("a", "AssertResult", "MainPID") == {"MainPID": "0", "AssertResult": "no"}
        assert host.log("a") == ["assertion_failed"] * 2
        hold.unlink()
        host.start("a")
        assert host.show("a", "AssertResult") == {"AssertResult": "yes"}
        hold.touch()
        assert host.systemctl("restart", "a").returncode == 1
        assert host.state("a") == ("inactive", "dead", "success"), "stopped, and not started again"


@pytest.mark.parametrize("closed", ["before the crash", "while the restart is due"])
def test_a_closed_latch_wins_against_an_automatic_restart(tmp_path: Path, closed: str) -> None:
    hold = tmp_path / "hold"
    unit = define(tmp_path, "a", *WAITS, assert_path_missing=hold, restart="on-failure", restart_s=0.4)
    with units_host(tmp_path, unit) as host:
        host.start("a")
        if closed == "before the crash":
            hold.touch()
        kill(host, "a")
        host.until("a", "activating", "auto-restart")
        hold.touch()
        shown = host.until("a", "inactive", "dead")
        assert (shown["MainPID"], shown["Result"], shown["NRestarts"]) == ("0", "signal", "1")
        assert host.log("a") == [
            "started",
            "killed SIGKILL",
            "failed signal",
            "restart_scheduled",
            "stopped",
            "assertion_failed",
        ]


# --- Restart= ---


def test_what_fails_is_started_again(tmp_path: Path) -> None:
    with units_host(tmp_path, define(tmp_path, "a", *WAITS, restart="on-failure", restart_s=0.01)) as host:
        host.start("a")
        pids = [host.pid("a")]
        for count in (1, 2):
            kill(host, "a")
            wait_until(lambda: host.pid("a") not in (0, *pids))
            pids.append(host.pid("a"))
            assert host.show("a", "NRestarts") == {"NRestarts": str(count)}
        assert host.state("a") == ("active", "running", "success")

        assert host.systemctl("stop", "a").returncode == 0
        assert host.state("a") == ("inactive", "dead", "success"), "who stops it wants it stopped"
        host.start("a")
        assert host.show("a", "NRestarts") == {"NRestarts": "0"}, "counted since somebody started it"


def test_a_clean_end_is_no_reason_to_restart(tmp_path: Path) -> None:
    with units_host(tmp_path, define(tmp_path, "a", *WAITS, restart="on-failure", restart_s=0.01)) as host:
        host.start("a")
        kill(host, "a", signal.SIGTERM)
        host.until("a", "inactive", "dead")
        assert "restart_scheduled" not in host.log("a")


def test_a_stop_takes_back_the_restart_that_is_due(tmp_path: Path) -> None:
    with units_host(tmp_path, define(tmp_path, "a", *WAITS, restart="on-failure", restart_s=600)) as host:
        host.start("a")
        kill(host, "a")
        host.until("a", "activating", "auto-restart")
        assert host.systemctl("stop", "a").returncode == 0
        assert host.state("a") == ("inactive", "dead", "signal")
        host.start("a")
        assert host.state("a") == ("active", "running", "success")


def test_a_start_waits_for_the_restart_that_is_due(tmp_path: Path) -> None:
    with units_host(tmp_path, define(tmp_path, "a", *WAITS, restart="on-failure", restart_s=0.3)) as host:
        host.start("a")
        kill(host, "a")
        host.until("a", "activating", "auto-restart")
        host.start("a")
        assert host.show("a", "SubState", "NRestarts") == {"NRestarts": "1", "SubState": "running"}


def test_too_many_starts_are_refused_until_they_are_forgotten(tmp_path: Path) -> None:
    unit = define(tmp_path, "a", "false", restart="on-failure", restart_s=0.01, start_limit_burst=3,
                  start_limit_interval_s=600)  # fmt: skip
    with units_host(tmp_path, unit) as host:
        host.start("a")
        shown = host.until("a", "failed", "failed")
        assert (shown["Result"], shown["NRestarts"]) == ("exit-code", "3"), "the first failure is the one that counts"
        assert host.log("a").count("started") == 3
        assert host.log("a")[-1] == "start_failed"

        ran = host.systemctl("start", "a")
        assert ran.returncode == 1
        assert b"Job for a.service failed because start of the service was attempted too often." in ran.stderr
        assert host.systemctl("reset-failed", "a").returncode == 0
        assert host.state("a") == ("inactive", "dead", "success")
        assert host.systemctl("start", "a").returncode == 0


def test_starts_by_hand_count_for_the_limit_too(tmp_path: Path) -> None:
    with units_host(tmp_path, define(tmp_path, "a", *WAITS, start_limit_burst=1, start_limit_interval_s=600)) as host:
        host.start("a")
        host.systemctl("stop", "a")
        assert host.systemctl("start", "a").returncode == 1
        assert host.state("a") == ("failed", "failed", "start-limit-hit")


# --- Conflicts= ---


def test_of_two_that_conflict_the_one_that_is_started_stops_the_other_first(tmp_path: Path) -> None:
    slow = ("sh", "-c", "trap 'sleep 0.3; exit 0' TERM; echo ready; while :; do sleep 0.01; done")
    live, watch = define(tmp_path, "live", *slow), define(tmp_path, "watch", *WAITS, conflicts=("live.service",))
    with units_host(tmp_path, live, watch) as host:
        host.start("live")
        wait_until(lambda: printed(host, "live"))
        host.start("watch")
        assert (host.pid("live"), host.state("live")[:2]) == (0, ("inactive", "dead"))
        host.start("live")
        assert (host.pid("watch"), host.state("watch")[:2]) == (0, ("inactive", "dead"))
        assert [what for what in host.log("live", "watch") if what.split()[1] in ("started", "stopped")] == [
            "live started",
            "live stopped",
            "watch started",
            "watch stopped",
            "live started",
        ]


def test_with_conflicts_a_start_that_is_refused_has_stopped_the_other_all_the_same(tmp_path: Path) -> None:
    live = define(tmp_path, "live", *WAITS, assert_path_missing=tmp_path / "hold")
    with units_host(tmp_path, live, define(tmp_path, "watch", *WAITS, conflicts=("live.service",))) as host:
        host.start("watch")
        (tmp_path / "hold").touch()
        assert host.systemctl("start", "live").returncode == 1
        assert (host.state("live")[0], host.state("watch")[0]) == ("inactive", "inactive")


def test_a_restart_that_is_due_is_taken_back_by_one_that_conflicts(tmp_path: Path) -> None:
    live = define(tmp_path, "live", *WAITS, restart="on-failure", restart_s=600)
    watch = define(tmp_path, "watch", *WAITS, conflicts=("live.service",))
    with units_host(tmp_path, live, watch) as host:
        host.start("live")
        kill(host, "live")
        host.until("live", "activating", "auto-restart")
        host.start("watch")
        assert host.state("live") == ("inactive", "dead", "signal")


def test_a_start_that_a_stop_overtakes_is_canceled(tmp_path: Path) -> None:
    live = define(tmp_path, "live", *DEAF, timeout_stop_s=600)
    watch = define(tmp_path, "watch", *WAITS, conflicts=("live.service",))
    with units_host(tmp_path, live, watch) as host:
        host.start("live")
        wait_until(lambda: b"sleep" in Path(f"/proc/{host.pid('live')}/cmdline").read_bytes())
        with subprocess.Popen([host.folder / "bin" / "systemctl", "start", "watch"], stderr=subprocess.PIPE) as waits:
            host.until("live", "deactivating", "stop-sigterm")
            assert host.systemctl("stop", "watch").returncode == 0
            assert waits.communicate(timeout=30)[1] == b"Job for watch.service canceled.\n"
        assert waits.returncode == 1
        assert host.systemctl("kill", "-s", "SIGKILL", "live").returncode == 0
        host.until("live", "failed", "failed")


# --- ExecStartPre=+systemctl stop ---


def two(folder: Path, **live: Any) -> tuple[Definition, Definition]:
    """One of a pair that never runs beside the other."""
    return (
        define(folder, "live", *WAITS, stops_first=("watch.service",), **live),
        define(folder, "watch", *WAITS, stops_first=("live.service",)),
    )


def test_of_two_that_stop_each_other_one_runs(tmp_path: Path) -> None:
    with units_host(tmp_path, *two(tmp_path)) as host:
        for one, other in (("live", "watch"), ("watch", "live"), ("live", "watch")):
            host.start(one)
            assert (host.pid(other), host.state(other)[:2]) == (0, ("inactive", "dead"))
            assert host.pid(one) != 0


def test_a_start_that_is_refused_stops_nobody(tmp_path: Path) -> None:
    with units_host(tmp_path, *two(tmp_path, assert_path_missing=tmp_path / "hold")) as host:
        host.start("watch")
        pid = host.pid("watch")
        (tmp_path / "hold").touch()
        assert host.systemctl("start", "live").returncode == 1
        assert (host.state("live")[0], host.pid("watch")) == ("inactive", pid)


def test_a_restart_that_is_due_is_taken_back_by_one_that_stops_it_first(tmp_path: Path) -> None:
    with units_host(tmp_path, *two(tmp_path, restart="on-failure", restart_s=600)) as host:
        host.start("live")
        kill(host, "live")
        host.until("live", "activating", "auto-restart")
        host.start("watch")
        assert host.state("live")[:2] == ("inactive", "dead")


def test_one_that_waits_until_the_other_has_stopped_can_be_stopped_itself(tmp_path: Path) -> None:
    deaf = define(tmp_path, "watch", *DEAF, timeout_stop_s=600)
    live = define(tmp_path, "live", *WAITS, stops_first=("watch.service",))
    with units_host(tmp_path, live, deaf) as host:
        host.start("watch")
        wait_until(lambda: b"sleep" in Path(f"/proc/{host.pid('watch')}/cmdline").read_bytes())
        with subprocess.Popen([host.folder / "bin" / "systemctl", "start", "live"], stderr=subprocess.PIPE) as waits:
            host.until("live", "activating", "start-pre")
            assert host.pid("live") == 0
            assert host.systemctl("stop", "live").returncode == 0
            assert waits.communicate(timeout=30)[1] == b"Job for live.service canceled.\n"
        assert host.state("live")[:2] == ("inactive", "dead")
        assert host.systemctl("kill", "-s", "SIGKILL", "watch").returncode == 0
        host.until("watch", "failed", "failed")


# --- the commands ---


def test_show_prints_what_was_asked_for(tmp_path: Path) -> None:
    with units_host(tmp_path, define(tmp_path, "a", *WAITS), define(tmp_path, "b", *WAITS)) as host:
        one = host.systemctl("show", "--no-pager", "-p", "SubState,Nonsense", "-p", "ActiveState", "--", "a.service")
        assert one.stdout == b"ActiveState=inactive\nSubState=dead\n"
        assert host.systemctl("show", "--value", "-p", "MainPID", "a").stdout == b"0\n"
        assert host.systemctl("show", "--property=Id", "a", "b").stdout == b"Id=a.service\n\nId=b.service\n"
        host.start("a")
        when = host.systemctl("show", "-p", "ActiveEnterTimestamp", "--timestamp=us+utc", "--value", "a").stdout
        at = datetime.strptime(when.decode(), "%a %Y-%m-%d %H:%M:%S.%f UTC\n").replace(tzinfo=UTC)
        assert abs(at.timestamp() - time.time()) < 60
        assert host.systemctl("--version").stdout.startswith(b"systemd 252")


def test_a_unit_that_does_not_exist_is_told_as_systemd_does(tmp_path: Path) -> None:
    with units_host(tmp_path) as host:
        assert host.show("x", "LoadState", "ActiveState", "MainPID") == {
            "MainPID": "0",
            "LoadState": "not-found",
            "ActiveState": "inactive",
        }
        for words, code, said in (
            (("start", "x"), 5, "Failed to start x.service: Unit x.service not found."),
            (("stop", "x"), 5, "Failed to stop x.service: Unit x.service not loaded."),
            (("kill", "x"), 1, "Failed to kill unit x.service: Unit x.service not loaded."),
            (("reset-failed", "x"), 1, "Failed to reset failed state of unit x.service: Unit x.service not loaded."),
            (("mask", "x"), 1, "Unknown command verb mask."),
            (("start",), 1, "Too few arguments."),
        ):
            ran = host.systemctl(*words)
            assert (ran.returncode, ran.stderr.decode()) == (code, f"{said}\n")
        assert host.systemctl("is-active", "x").returncode == 3
        for command in ("systemctl", "journalctl"):
            assert host.run(command, "--nonsense", "start").returncode == 1


TOOLS = st.sampled_from(["systemctl", "journalctl"])
OPTIONS = st.sampled_from(
    ["show", "start", "kill", "-s", "-p", "--value", "--", "-n", "-u", "-o", "json", "--since", "-h"]
)
VALUES = st.sampled_from(
    ["@inf", "@nan", "-1e9", "+" + "9" * 400, "9" * 30, "9" * 5000, "0001-01-01", "9999-12-31", "--version", "-", ""]
)


@example("journalctl", ["-n", "9" * 30])
@example("journalctl", ["-n", "9" * 5000])
@given(TOOLS, st.lists(OPTIONS | VALUES | st.text(), max_size=8))
def test_whatever_is_asked_there_is_one_answer(tool: str, words: list[str]) -> None:
    with selectors.DefaultSelector() as selector:
        manager = Manager([], UnitJournal(Path("/nonexistent")), selector)
        answers: list[Answer] = []
        run(manager, [tool, *words], answers.append)
    assert len(answers) == 1, "and no exception: the lab would end with its manager"


def test_without_its_manager_a_command_fails_in_words(tmp_path: Path) -> None:
    with units_host(tmp_path) as host:
        pass
    ran = host.systemctl("is-active", "a")
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, b"", b"Failed to connect to bus: Connection refused\n")


def test_no_core_dump_is_known_to_coredumpctl(tmp_path: Path) -> None:
    with units_host(tmp_path) as host:
        ran = host.run("coredumpctl", "--no-pager", "-1", "info", "COREDUMP_UNIT=a.service")
        assert (ran.returncode, ran.stderr) == (1, b"No coredumps found.\n")


def test_the_unit_file_is_one_for_systemd(tmp_path: Path) -> None:
    unit = define(tmp_path, "a", "/bin/sleep", "1 000", assert_path_missing=tmp_path / "hold", restart="on-failure",
                  conflicts=("b.service",), stops_first=("c.service",))  # fmt: skip
    text = unit.text()
    for line in (f"AssertPathExists=!{tmp_path / 'hold'}", "Conflicts=b.service", "Restart=on-failure",
                 "ExecStartPre=+/usr/bin/systemctl stop c.service"):  # fmt: skip
        assert line in text.splitlines()
    if shutil.which("systemd-analyze"):
        unit.file.write_text(text)
        (tmp_path / "a").mkdir()
        checked = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(unit.file)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "a.service" not in checked.stderr, checked.stderr


# --- the journal ---

TALKS = (
    "sh",
    "-c",
    r"echo one; echo two >&2; printf 'a\377b\n'; printf '%060000d\n' 1; printf 'no end of line'; exit 3",
)


@pytest.fixture(scope="module")
def talked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnitsHost]:
    """A host whose unit ``a`` has printed things and failed; read-only for the tests below."""
    folder = tmp_path_factory.mktemp("units")
    with units_host(folder, define(folder, "a", *TALKS), define(folder, "b", "true")) as host:
        host.start("a")
        host.start("b")
        host.until("a", "failed", "failed")
        host.until("b", "inactive", "dead")
        yield host


def journal(host: UnitsHost, *words: str) -> list[bytes]:
    ran = host.run("journalctl", "--no-pager", *words)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_everything_that_a_unit_prints_is_in_the_journal(talked: UnitsHost) -> None:
    rows = [json.loads(line) for line in journal(talked, "-u", "a", "-o", "json")]
    mine = [row["MESSAGE"] for row in rows if row.get("_SYSTEMD_UNIT") == "a.service"]
    assert mine[:3] == ["one", "two", list(b"a\xffb")], "bytes that are no text come as numbers"
    assert "".join(mine[3:5]) == "1".rjust(60000, "0")
    assert len(mine[3]) == 48 * 1024
    assert mine[5] == "no end of line"
    said = [row["MESSAGE"] for row in rows if row.get("UNIT") == "a.service"]
    assert said == [
        "Started a.service - Test of a.",
        "a.service: Main process exited, code=exited, status=3/NOTIMPLEMENTED",
        "a.service: Failed with result 'exit-code'.",
    ]
    assert {row["SYSLOG_IDENTIFIER"] for row in rows} == {"a", "systemd"}
    assert len({row["__CURSOR"] for row in rows}) == len(rows)
    times = [int(row["__REALTIME_TIMESTAMP"]) for row in rows]
    assert times == sorted(times)


def test_the_journal_in_its_other_formats(talked: UnitsHost) -> None:
    assert journal(talked, "-u", "a", "-o", "cat")[1:3] == [b"one", b"two"]
    head = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d{4} \S+ (a|systemd)\[\d+\]: ")
    assert all(head.match(line) for line in journal(talked, "-u", "a", "-o", "short-iso-precise"))
    exported = talked.run("journalctl", "-u", "a", "-o", "export").stdout
    assert b"\nMESSAGE=one\n" in exported
    assert b"\nMESSAGE\n" + struct.pack("<Q", 3) + b"a\xffb\n" in exported
    assert exported.endswith(b"\n\n")


def test_the_journal_is_selected_by_unit_number_and_time(talked: UnitsHost) -> None:
    whole = journal(talked, "-u", "a", "-o", "json")
    assert journal(talked, "-u", "a", "-o", "json", "-n", "2") == whole[-2:]
    assert journal(talked, "-u", "a", "-o", "json", "-n", "2", "-r") == whole[:-3:-1]
    assert journal(talked, "-u", "a", "-u", "b.service", "-o", "json") == journal(talked, "-o", "json")
    at = int(json.loads(whole[3])["__REALTIME_TIMESTAMP"]) / 1e6
    assert journal(talked, "-u", "a", "-o", "json", "--since", f"@{at:.6f}") == whole[3:]
    assert journal(talked, "-u", "a", "-o", "json", "-S", "-1h", "-U", f"@{at:.6f}") == whole[:4]
    assert journal(talked, "-k", "-o", "json") == []
    assert journal(talked, "-u", "nobody") == [b"-- No entries --"]
    assert journal(talked, "-u", "nobody", "-q") == []
    refused = talked.run("journalctl", "--since", "2026-11-24T03:05:30Z")
    assert (refused.returncode, refused.stderr) == (1, b"Failed to parse timestamp: 2026-11-24T03:05:30Z\n")


@pytest.mark.parametrize(
    "text",
    ["2026-11-24 03:05:30.123456 UTC", "2026-11-24 03:05:30", "2026-11-24 03:05", "2026-11-24", "@1700000000.5",
     "today", "yesterday", "2026-11-24T03:05:30Z", "2026-11-24 03:05:30 +00:00", "nonsense", "5 apples ago"],
)  # fmt: skip
def test_a_time_means_what_it_means_to_systemd(text: str) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd here to compare with")
    asked = subprocess.run(
        ["systemd-analyze", "timestamp", text],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"LC_ALL": "C"},
    )
    found = re.search(r"UNIX seconds: @([\d.]+)", asked.stdout)
    expected = round(float(found[1]) * 1e6) if found else None
    assert moment_us(text) == expected


@pytest.mark.parametrize(
    ("text", "seconds"), [("-24h", 86400), ("24 hours ago", 86400), ("-1h30m", 5400), ("90s ago", 90), ("+5min", -300)]
)
def test_a_time_may_be_told_from_now(text: str, seconds: float) -> None:
    before, found, after = time.time(), moment_us(text), time.time()
    assert found is not None
    assert before - 0.001 <= found / 1e6 + seconds <= after + 0.001
