# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``crash_report_info`` of processes that really die, each as a unit of the lab's service manager."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils import core_dump, host_facts
from ansible_collections.hft.incident.plugins.module_utils.steps import crash_report_info

from ..waiting import wait_until
from .steps import run
from .unit_host import UNIT, TradingHost, served


@pytest.fixture
def idle(tmp_path: Path) -> TradingHost:
    return TradingHost(tmp_path)


@pytest.fixture
def host(idle: TradingHost) -> Iterator[TradingHost]:
    with served(idle):
        yield idle


SEGFAULT = "import ctypes; ctypes.string_at(0)"
DEATHS = {
    "segmentation_fault": (SEGFAULT, "SIGSEGV", None),
    "out_of_memory": ("x = bytearray(1 << 60)", None, 1),
    "assertion_failure": (
        'import ctypes; ctypes.CDLL(None).__assert_fail(b"qty >= 0", b"book.cpp", 212, b"void apply(Fill)")',
        "SIGABRT",
        None,
    ),
    "unhandled_exception": ("1 / 0", None, 1),
    "database_connection_lost": ('import psycopg; psycopg.connect("host=127.0.0.1 port=1 user=hft")', None, 1),
    "disk_full": ('open("/dev/full", "w", buffering=1).write("fill\\n")', None, 1),
    "killed_by_signal": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL", None),
    "bad_configuration": ("import sys; sys.exit(78)", None, 78),
    "clean_stop": ("pass", None, 0),
    "unknown": ("import sys; sys.exit(1)", None, 1),
}


@pytest.mark.parametrize("kind", DEATHS)
def test_a_real_death_is_understood(host: TradingHost, kind: str) -> None:
    program, name, status = DEATHS[kind]
    host.dies(program)
    seen = host.report()
    assert (seen["kind"], seen["signal"], seen["exit_status"]) == (kind, name, status), seen.result
    assert seen["contradictions"] == []
    assert (seen["repeated"], seen["process"]) == (False, None)
    assert seen["started_at"] < seen["ended_at"]
    (told,) = seen.recorded("crash.classified")
    assert told.items() >= {"unit": UNIT, "kind": kind, "signal": name, "exit_status": status, "changes": 0}.items()
    assert bool(told["because"]) == (kind != "unknown")


def test_the_cause_in_the_log_file_beats_the_exception_on_standard_error(host: TradingHost) -> None:
    host.log.write_text("2020-01-01T00:00:00Z CRITICAL [disk] No space left on device\n")
    host.dies(
        f"""
        from datetime import UTC, datetime
        with open({str(host.log)!r}, "a") as log:
            at = datetime.now(UTC).isoformat()
            print(f"{{at}} INFO     [engine] a Segmentation fault is not expected", file=log)
            print(f"{{at}} CRITICAL [ledger] server closed the connection unexpectedly password=canary77", file=log)
        raise RuntimeError("no book")
        """
    )
    seen = host.report(log_files=[str(host.log)])
    assert (seen["kind"], seen["confidence"]) == ("database_connection_lost", "reported")
    first = seen["because"][0]
    assert (first["source"], first["place"]) == (str(host.log), "line 3")
    assert "server closed the connection unexpectedly" in first["text"]
    assert "canary77" not in json.dumps(seen.result)
    assert {line["kind"] for line in seen["also"]} == {"unhandled_exception"}


def test_the_life_before_does_not_count(host: TradingHost) -> None:
    host.dies(SEGFAULT)
    host.dies("import sys; sys.exit(1)")
    seen = host.report()
    assert (seen["kind"], seen["crashes"], seen["repeated"]) == ("unknown", 2, True)


def test_a_crash_loop_shows_its_cause_and_its_count(idle: TradingHost, request: pytest.FixtureRequest) -> None:
    idle.restarts(3)
    host: TradingHost = request.getfixturevalue("host")
    host.dies("raise MemoryError")
    seen = host.report()
    assert (seen["kind"], seen["repeated"], seen["crashes"]) == ("out_of_memory", True, 3)
    assert "3 crashes" in seen["msg"]


@pytest.fixture
def running(host: TradingHost) -> int:
    host.start(f'open({str(host.folder / "up")!r}, "w").close()\nimport signal\nwhile True: signal.pause()')
    wait_until((host.folder / "up").exists)
    return int(host.shown("MainPID"))


def test_a_stopped_process_is_hung(host: TradingHost, running: int) -> None:
    assert host.report()["kind"] == "running"
    os.kill(running, signal.SIGSTOP)
    wait_until(lambda: host.report()["kind"] == "hung")
    seen = host.report()
    assert seen["process"].items() >= {"pid": running, "state": "T", "threads": 1}.items()
    assert seen["process"]["open_files"] >= 3
    assert seen["process"]["folder"] == str(host.folder / "run")
    assert (seen["signal"], seen["exit_status"], seen["ended_at"], seen["core"]["path"]) == (None, None, None, None)


def test_one_that_is_up_again_already_shows_what_ended_the_life_before(
    idle: TradingHost, request: pytest.FixtureRequest
) -> None:
    idle.restarts(5)
    host: TradingHost = request.getfixturevalue("host")
    pid: int = request.getfixturevalue("running")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: host.shown("MainPID") not in ("0", str(pid)))
    seen = host.report(answering=False)
    assert (seen["kind"], seen["signal"], seen["repeated"]) == ("killed_by_signal", "SIGKILL", True)
    assert seen["process"]["pid"] != pid


def test_a_process_that_lives_and_does_not_answer_is_hung(host: TradingHost, running: int) -> None:
    assert host.report(answering=True)["kind"] == "running"
    seen = host.report(answering=False)
    assert seen["kind"] == "hung"
    assert f"pid {running}" in seen["because"][0]["text"]


def test_a_process_that_only_the_service_manager_sees_is_said(host: TradingHost, running: int) -> None:
    odd = host.folder / "odd"
    odd.write_text(f'#!/bin/sh\n{host.systemctl} "$@" | sed s/^MainPID=.*/MainPID=99999999/\n')
    odd.chmod(0o755)
    seen = host.report(systemctl=str(odd))
    assert (seen["kind"], seen["process"]) == ("unknown", None)
    assert any("99999999" in line for line in seen["not_seen"])


def test_check_mode_sees_the_same(host: TradingHost) -> None:
    host.dies(SEGFAULT)
    real, checked = (host.report(check=check) for check in (False, True))
    for ran in (real, checked):
        ran.result["changes"].pop("since")
        ran.result.pop("not_counted")  # other processes of this machine may crash meanwhile
        assert ran["changed"] is False
    assert real.result == checked.result


def test_an_older_systemctl_that_tells_whole_seconds_only_is_understood(host: TradingHost) -> None:
    host.dies(SEGFAULT)
    exact = host.report()
    real, older = host.systemctl, host.folder / "older"
    older.write_text(
        f"""#!/bin/sh
        case "$*" in *--timestamp*) echo "systemctl: unrecognized option '--timestamp=us+utc'" >&2; exit 1;; esac
        exec {real} "$@"
        """
    )
    older.chmod(0o755)
    seen = host.report(systemctl=str(older))
    assert seen["kind"] == "segmentation_fault"
    assert seen["properties"]["ExecMainStartTimestamp"] != exact["properties"]["ExecMainStartTimestamp"]
    assert seen["started_at"][:22] == exact["started_at"][:22]


# The core dump --------------------------------------------------------------------------------------------------------


@pytest.fixture
def pattern(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bool], None]:
    """The kernel's core pattern is one of all; only what is read of it can be another one."""
    real = host_facts.read_small

    def set_to(pattern: str, uses_pid: bool) -> None:
        said = {"core_pattern": f"{pattern}\n", "core_uses_pid": f"{uses_pid:d}\n"}
        monkeypatch.setattr(
            crash_report_info, "read_small", lambda path: said.get(os.path.basename(path)) or real(path)
        )

    return set_to


def test_a_core_dump_is_found_in_the_working_directory_and_never_read(
    host: TradingHost, pattern: Callable[[str, bool], None]
) -> None:
    pattern("core", True)
    host.dies(SEGFAULT)
    pid = host.shown("ExecMainPID")
    old, ours = host.folder / "run/core.1", host.folder / f"run/core.{pid}"
    old.write_bytes(b"of yesterday")
    os.utime(old, (1, 1))
    ours.write_bytes(b"a secret")
    ours.chmod(0)
    accessed = ours.stat().st_atime_ns
    core = host.report()["core"]
    assert core.items() >= {"how": "file", "path": str(ours), "size_bytes": 8, "pid": int(pid), "note": ""}.items()
    assert ours.stat().st_atime_ns == accessed
    ours.unlink()
    assert host.report()["core"]["path"] is None


def test_systemds_handler_is_asked(host: TradingHost, pattern: Callable[[str, bool], None]) -> None:
    pattern("|/usr/lib/systemd/systemd-coredump %P %u %g %s %t %c %h", False)
    host.dies(SEGFAULT)
    pid = host.shown("ExecMainPID")
    stored = host.folder / "core.engine.0.1234.zst"
    stored.write_bytes(b"compressed")
    tool = host.folder / "coredumpctl"
    tool.write_text(
        f"""#!/bin/sh
        echo "$@" > {host.folder}/asked
        cat <<END
           PID: {pid} (engine)
           UID: 0 (root)
        Signal: 11 (SEGV)
     Timestamp: Tue 2026-11-24 03:05:31 UTC (1min ago)
  Command Line: /opt/hft/engine
       Storage: {stored} (present)
  Size on Disk: 10B
       Message: Process {pid} (engine) of user 0 dumped core.
END
"""
    )
    tool.chmod(0o755)
    core = host.report(coredumpctl=str(tool))["core"]
    assert core.items() >= {"how": "handler", "handler": "systemd-coredump", "path": str(stored)}.items()
    assert (core["size_bytes"], core["pid"]) == (10, int(pid))
    assert (host.folder / "asked").read_text().split()[-2:] == ["info", pid]
    tool.write_text("#!/bin/sh\necho 'No coredumps found.' >&2\nexit 1\n")
    seen = host.report(coredumpctl=str(tool))
    assert (seen["core"]["path"], [line for line in seen["not_seen"] if "core dumps" in line]) == (None, [])
    missing = host.report(coredumpctl="/nonexistent/coredumpctl")
    assert any("core dumps" in line for line in missing["not_seen"])


@pytest.mark.parametrize(("container", "words"), [(True, "the host's own"), (False, "shows none")])
def test_another_handler_is_named(
    host: TradingHost,
    pattern: Callable[[str, bool], None],
    monkeypatch: pytest.MonkeyPatch,
    container: bool,
    words: str,
) -> None:
    monkeypatch.setattr(core_dump, "in_container", lambda: container)
    pattern("|/opt/site/collect %p", False)
    host.dies(SEGFAULT)
    core = host.report()["core"]
    assert (core["handler"], core["path"]) == ("collect", None)
    assert words in core["note"]
    assert "collect" in core["note"]


# Changes --------------------------------------------------------------------------------------------------------------


def test_what_changed_lately_is_listed(host: TradingHost) -> None:
    watched = host.folder / "etc"
    (watched / "old").mkdir(parents=True)
    (watched / "old/settings").write_text("x")
    (watched / "config.json").write_text("{}")
    (watched / "link").symlink_to("/")
    packages = host.folder / "dpkg.log"
    packages.write_text(
        "2020-01-01 00:00:00 upgrade libc6:amd64 2.30 2.31\n"
        "2099-01-01 00:00:00 status installed libc6:amd64 2.36\n"
        "2099-01-01 00:00:00 upgrade libc6:amd64 2.31 2.36\n"
    )
    gone = str(host.folder / "gone")
    host.dies("pass")
    seen = host.report(watched_paths=[str(watched), gone], package_logs=[str(packages), "/nonexistent.log"])
    assert {os.path.basename(file["path"]): file["sort"] for file in seen["changes"]["files"]} == {
        "settings": "file",
        "config.json": "file",
        "link": "link",
    }
    assert [change["line"][20:] for change in seen["changes"]["packages"]] == ["upgrade libc6:amd64 2.31 2.36"]
    (recorded,) = seen.recorded("crash.classified")
    assert seen["changes"]["count"] == recorded["changes"] == 4
    assert [line.split()[1] for line in recorded["changed"]] == [file["path"] for file in seen["changes"]["files"]]
    assert recorded["packages"] == [change["line"] for change in seen["changes"]["packages"]]
    assert any(gone in line for line in seen["not_seen"])


def test_a_removal_shows_at_its_folder(host: TradingHost) -> None:
    watched = host.folder / "etc"
    watched.mkdir()
    host.dies("pass")
    (file,) = host.report(watched_paths=[str(watched)])["changes"]["files"]
    assert (file["path"], file["sort"]) == (str(watched), "folder")


# What cannot be seen --------------------------------------------------------------------------------------------------


def test_missing_commands_are_said_and_are_no_failure(tmp_path: Path) -> None:
    tools: dict[str, Any] = dict.fromkeys(("systemctl", "journalctl", "coredumpctl"), "/nonexistent/tool")
    seen = run(crash_report_info, unit="hft_system", log_files=[str(tmp_path / "none.log")], **tools)
    assert (seen.failed, seen["kind"], seen["confidence"]) == (False, "unknown", "none")
    told = "\n".join(seen["not_seen"])
    for missing in ("the unit's properties", "the unit's journal", "none.log"):
        assert missing in told


def test_a_unit_that_does_not_exist_is_said(host: TradingHost) -> None:
    seen = host.report(unit="other")
    assert seen["kind"] == "unknown"
    assert "no unit other.service is known here" in "\n".join(seen["not_seen"])


def test_a_log_without_times_needs_a_start_marker(host: TradingHost) -> None:
    host.log.write_text("hft starts\nMemoryError\nhft starts\nAssertion failed: (qty), function f, file b.c, line 1.\n")
    host.dies("import sys; sys.exit(1)")
    seen = host.report(log_files=[str(host.log)])
    assert seen["kind"] == "unknown"
    assert "start_marker" in "\n".join(seen["not_seen"])
    seen = host.report(log_files=[str(host.log)], start_marker="^hft starts$")
    assert seen["kind"] == "assertion_failure"


def test_of_a_huge_log_only_the_end_is_read(host: TradingHost) -> None:
    host.dies(
        f"""
        from datetime import UTC, datetime
        with open({str(host.log)!r}, "wb") as log:
            log.seek(1 << 40)  # a terabyte that is not there
            log.write(f"\\n{{datetime.now(UTC).isoformat()}} ERROR No space left on device\\n".encode())
        raise SystemExit(1)
        """
    )
    seen = host.report(log_files=[str(host.log)], max_bytes=4096)
    assert seen["kind"] == "disk_full"
    assert seen["because"][0]["place"] == f"byte {(1 << 40) + 1}"


def test_of_a_long_journal_the_end_is_read(host: TradingHost) -> None:
    host.dies('for number in range(300): print("quote", number)\nraise MemoryError')
    assert host.report(max_bytes=2000)["kind"] == "out_of_memory"
    assert host.report(max_lines=4)["kind"] == "out_of_memory"


def test_what_is_no_file_is_not_waited_for(host: TradingHost) -> None:
    os.mkfifo(host.folder / "pipe")
    host.dies("pass")
    seen = host.report(log_files=[str(host.folder / "pipe"), str(host.folder)])
    assert sum("regular file" in line or "directory" in line for line in seen["not_seen"]) == 2


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"log_files": ["engine.log"]}, "not an absolute path"),
        ({"watched_paths": ["etc"]}, "not an absolute path"),
        ({"since": 8 * 86400}, "seven days"),
        ({"since": 0}, "more than 0"),
        ({"max_lines": 0}, "more than 0"),
        ({"start_marker": "("}, "no regular expression"),
        ({"unit": "--help"}, "not the name of a unit"),
        ({"unit": "a/b"}, "not the name of a unit"),
    ],
)
def test_wrong_arguments_are_refused(args: dict[str, Any], words: str) -> None:
    seen = run(crash_report_info, **{"unit": UNIT, **args})
    assert seen.outcome == "usage"
    assert words in seen["msg"]


def test_nothing_on_the_host_is_changed(host: TradingHost) -> None:
    host.dies(SEGFAULT)

    def state() -> dict[str, tuple[int, int]]:
        found = {}
        for path in host.folder.rglob("*"):
            seen = path.lstat()
            if stat.S_ISREG(seen.st_mode):
                found[str(path)] = (seen.st_size, seen.st_mtime_ns)
        return found

    before = state()
    host.report(log_files=[str(host.log)], watched_paths=[str(host.folder)])
    assert state() == before
