# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``evidence``: copied once, whatever is in the way, and proven ever after."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils import evidence_manifest, host_evidence
from ansible_collections.hft.incident.plugins.module_utils.steps import evidence

from .steps import Ran, run

CANARY = "canary-7f3a91d2c4"
SHELL = "#!/bin/sh\n"


class Machine:
    """A host with a unit: its commands answer from files, everything else is real."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.logs, self.dest = folder / "bin", folder / "log", folder / "dest"
        self.bin.mkdir()
        self.logs.mkdir()
        self.log = self.logs / "hft.log"
        self.log.write_text("started\ncrashed\n")
        self.config = folder / "hft.json"
        self.config.write_text(json.dumps({"api_secret": CANARY}))
        self.properties = folder / "properties"
        self.unit(ExecMainStatus="139", MainPID="0", WorkingDirectory=str(folder))
        self.command("systemctl", f"cat {self.properties}")
        self.command("journalctl", 'echo "journal of $*"')
        self.command("coredumpctl", "exit 1")

    def command(self, name: str, script: str) -> None:
        version = '[ "$1" = --version ] && echo "systemd 252" && exit 0\n'
        path = self.bin / name
        path.write_text(f"{SHELL}{version}{script}\n")
        path.chmod(0o755)

    def unit(self, **properties: str) -> None:
        self.properties.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))

    def do(self, *, check: bool = False, **args: Any) -> Ran:
        given = {
            "unit": "hft_system.service",
            "log_files": [str(self.log)],
            "config_file": str(self.config),
            "version_command": ["/bin/echo", "hft 1.2.3"],
            "dest": str(self.dest),
            "host": "hft-1",
            **{name: str(self.bin / name) for name in ("systemctl", "journalctl", "coredumpctl")},
            **args,
        }
        return run(evidence, check=check, **given)

    @property
    def folder(self) -> Path:
        return self.dest / "hft-1"

    def row(self, name: str, folder: Path | None = None) -> dict[str, Any]:
        """An item as the manifest has it."""
        facts = json.loads(((folder or self.folder) / "manifest.json").read_text())
        (found,) = (row for row in facts["items"] if row["name"] == name)
        return dict(found)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def living(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that hangs, as one does that is alive and does not answer."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    process.send_signal(signal.SIGSTOP)
    yield process
    process.kill()
    process.wait()


def sha256sum(folder: Path) -> str:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "manifest.sha256"], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else f"FAILED: {done.stdout}{done.stderr}"


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "attempt-" not in str(path)
    }


# What is kept ---------------------------------------------------------------------------------------------------------


def test_everything_is_kept_and_the_manifest_proves_it_to_anybody(machine: Machine) -> None:
    done = machine.do()
    assert (done["changed"], done["complete"], done["missing"]) == (True, True, [])
    assert done["folder"] == str(machine.folder)
    kept = {
        path: (machine.folder / path).read_text() for path in ("logs/hft.log", "version.txt", "unit/properties.txt")
    }
    assert kept["logs/hft.log"] == "started\ncrashed\n"
    assert kept["version.txt"] == "hft 1.2.3\n"
    assert "ExecMainStatus=139" in kept["unit/properties.txt"]
    assert "-u hft_system.service" in (machine.folder / "unit/journal.export").read_text()
    assert sha256sum(machine.folder).count(": OK\n") == len(done["items"]) + 1  # and manifest.json
    assert done.recorded("evidence.kept") == [
        {field: done[field] for field in ("host", "folder", "manifest_sha256", "missing", "bytes", "volatile")}
        | {"items": len(done["items"])}
    ]


def test_only_the_owner_may_look_into_it(machine: Machine) -> None:
    machine.do()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in machine.dest.rglob("*") if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in (machine.dest, *machine.dest.rglob("*")) if path.is_dir()}
    assert (modes, folders) == ({0o600}, {0o700})


def test_the_manifest_says_who_copied_what_when_and_how(machine: Machine) -> None:
    machine.do()
    log, journal = machine.row("logs/hft.log"), machine.row("unit/journal.export")
    assert log["source"] == str(machine.log)
    assert log["source_size"] == log["size"] == 16
    assert log["started_at"] <= log["ended_at"]
    assert journal["tool"].endswith("systemd 252")
    assert journal["source"].endswith("-u hft_system.service")
    facts = json.loads((machine.folder / "manifest.json").read_text())
    assert facts["collector"].endswith(os.uname().nodename)
    assert facts["host"] == "hft-1"


def test_a_secret_in_what_is_kept_enters_no_result_and_no_record(machine: Machine) -> None:
    done = machine.do()
    assert CANARY in (machine.folder / "config/hft.json").read_text()
    assert CANARY not in json.dumps(done.result)
    assert CANARY not in (machine.folder / "manifest.json").read_text()


def test_the_time_of_access_of_a_log_is_left_as_it_was(machine: Machine) -> None:
    os.utime(machine.log, ns=(10**18, 2 * 10**18))
    machine.do()
    assert machine.log.stat().st_atime_ns == 10**18


def test_a_process_that_hangs_is_described_and_not_touched(machine: Machine, living: subprocess.Popen[bytes]) -> None:
    machine.unit(MainPID=str(living.pid))
    done = machine.do()
    assert "State:\tT (stopped)" in (machine.folder / "process/status").read_text()
    assert b"time.sleep" in (machine.folder / "process/cmdline").read_bytes()
    assert "0 -> " in (machine.folder / "process/fds.txt").read_text()
    assert f"== {living.pid}\n" in (machine.folder / "process/threads.txt").read_text()
    assert done["complete"] is True
    assert done["items"][0]["name"] == "process/status"  # the most volatile first
    assert living.poll() is None


def test_a_process_that_is_gone_by_then_is_not_missed(machine: Machine) -> None:
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    machine.unit(MainPID=str(gone.pid))
    done = machine.do()
    assert done["complete"] is True
    assert not (machine.folder / "process/status").exists()


# Once -----------------------------------------------------------------------------------------------------------------


def test_a_second_run_finds_it_proven_and_copies_nothing(machine: Machine) -> None:
    first = machine.do()
    machine.log.write_text("somebody started it again\n")
    before = snapshot(machine.dest)
    again = machine.do()
    assert again["changed"] is False
    assert snapshot(machine.dest) == before
    assert again["manifest_sha256"] == first["manifest_sha256"]
    assert again["items"] == first["items"]


def test_what_was_missing_the_first_time_is_not_copied_later(machine: Machine) -> None:
    machine.log.unlink()
    assert machine.do()["complete"] is False
    machine.log.write_text("too late to be evidence\n")
    again = machine.do()
    assert (again["changed"], again["complete"]) == (False, False)


@pytest.mark.parametrize("cut", ["manifest.sha256", "manifest.json"])
def test_a_collection_that_was_cut_short_stays_and_a_new_one_is_made_beside_it(machine: Machine, cut: str) -> None:
    machine.do()
    (machine.folder / "manifest.sha256").unlink()
    (machine.folder / cut).unlink(missing_ok=True)
    before = snapshot(machine.folder)
    again = machine.do()
    assert (again["changed"], again["folder"]) == (True, str(machine.folder / "attempt-2"))
    assert snapshot(machine.folder) == before
    assert sha256sum(machine.folder / "attempt-2").count("OK")
    assert machine.do()["changed"] is False


def test_another_question_is_answered_beside_the_first(machine: Machine) -> None:
    machine.do()
    before = snapshot(machine.folder)
    other = machine.do(unit="hft_system-observe.service")
    assert other["folder"] == str(machine.folder / "attempt-2")
    assert snapshot(machine.folder) == before
    assert evidence_manifest.check(str(machine.folder)).intact
    assert machine.do()["changed"] is machine.do(unit="hft_system-observe.service")["changed"] is False


@pytest.mark.parametrize("how", ["written over", "removed", "put there", "linked"])
def test_what_was_altered_since_is_told_and_kept_as_it_is(machine: Machine, how: str) -> None:
    machine.do()
    target = machine.folder / "logs/hft.log"
    if how == "put there":
        (machine.folder / "logs/other.log").write_text("planted")
    elif how == "written over":
        target.write_text("started\nCRASHED\n")
    else:
        content = target.read_text()
        target.unlink()
        if how == "linked":
            (machine.dest / "elsewhere").write_text(content)
            target.symlink_to(machine.dest / "elsewhere")
    assert not evidence_manifest.check(str(machine.folder)).intact
    again = machine.do()
    assert again["folder"] == str(machine.folder / "attempt-2")
    assert again["altered"] == [str(machine.folder)]
    assert "ALTERED" in again["msg"]


def test_hosts_with_hostile_names_get_folders_of_their_own(machine: Machine) -> None:
    names = ["../up", "a/b", "a_b", ".hidden", "", "ä", "x" * 300]
    places = [evidence.place_of(str(machine.dest), name) for name in names]
    assert len(set(places)) == len(names)
    assert all(Path(place).parent == machine.dest and len(Path(place).name) < 200 for place in places)


# What is in the way ---------------------------------------------------------------------------------------------------


def test_one_failing_item_loses_no_other(machine: Machine) -> None:
    machine.command("journalctl", "echo broken >&2; exit 3")
    done = machine.do(log_files=["/nonexistent/other.log", str(machine.log)], version_command=["/nonexistent/hft"])
    assert (done.failed, done["complete"]) == (False, False)
    assert sorted(done["missing"]) == [
        "/nonexistent/hft: /nonexistent/hft: not found",
        "/nonexistent/other.log: no such file or directory",
        f"{machine.bin}/journalctl --no-pager -o export -n 50000 -u hft_system.service: broken",
    ]
    assert (machine.folder / "logs/hft.log").read_text() == "started\ncrashed\n"
    assert "NOT COMPLETE" in done["msg"]
    assert sha256sum(machine.folder).count("OK")


def test_a_command_that_fails_after_it_said_something_is_kept_with_its_error(machine: Machine) -> None:
    machine.command("journalctl", "echo half of it; exit 1")
    done = machine.do()
    assert (machine.folder / "unit/journal.export").read_text() == "half of it\n"
    assert machine.row("unit/journal.export")["rc"] == 1
    assert done["complete"] is False


def test_a_command_that_never_ends_costs_its_share_and_no_more(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_evidence, "COMMAND_S", 0.2)
    machine.command("journalctl", "echo begun; exec sleep 600")
    done = machine.do()
    assert (machine.folder / "unit/journal.export").read_text() == "begun\n"
    assert "no end in 0.2 s" in done["missing"][0]
    assert (machine.folder / "version.txt").read_text() == "hft 1.2.3\n"


def test_a_read_that_hangs_in_the_kernel_loses_no_other_item(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    real, forever = host_evidence.copy_file, threading.Event()

    def stuck(path: str, *args: Any, **more: Any) -> dict[str, Any]:
        if path == str(machine.log):
            forever.wait(60)
        return real(path, *args, **more)

    monkeypatch.setattr(host_evidence, "copy_file", stuck)
    monkeypatch.setattr(host_evidence, "GRACE_S", 0.0)
    done = machine.do(timeout=4)
    forever.set()
    assert done["missing"] == [f"{machine.log}: it did not answer in time"]
    assert (machine.folder / "config/hft.json").exists()
    assert sorted(path.name for path in (machine.folder / "logs").iterdir()) == []


def test_when_the_time_is_up_the_rest_is_noted_and_the_folder_is_closed(machine: Machine) -> None:
    machine.command("systemctl", "exec sleep 600")
    done = machine.do(timeout=0.2)
    assert done.failed
    assert "nothing could be kept" in done["msg"]
    assert "the time was up" in done["msg"]


def test_nothing_kept_at_all_is_a_failure_that_says_why(machine: Machine) -> None:
    done = machine.do(unit=None, config_file=None, version_command=[], log_files=["/nonexistent"])
    assert done.outcome == "failed"
    assert done["msg"] == "nothing could be kept of hft-1: /nonexistent: no such file or directory"
    assert machine.do(log_files=["/nonexistent"])["folder"] == str(machine.folder / "attempt-2")


def test_links_pipes_and_devices_are_noted_and_never_read(machine: Machine, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(CANARY)
    (machine.logs / "evil").symlink_to(secret)
    (machine.logs / "evil.d").symlink_to("/etc")
    os.mkfifo(machine.logs / "pipe")
    (machine.logs / "deep").mkdir()
    (machine.logs / "deep/more.log").write_text("more\n")
    done = machine.do(log_files=[str(machine.logs), "/dev/zero"])
    kept = {path.name for path in (machine.folder / "logs").rglob("*") if path.is_file()}
    assert kept == {"hft.log", "deep_more.log"}
    assert machine.row("logs/log.d/evil")["error"] == f"is a link to {secret}, which is not followed"
    assert machine.row("logs/log.d/evil.d")["error"] == "is a link to /etc, which is not followed"
    assert machine.row("logs/log.d/pipe")["error"] == "is not a regular file"
    assert done["missing"] == ["/dev/zero: is not a regular file"]


def test_a_link_that_the_operator_names_is_followed_and_where_it_leads_is_noted(machine: Machine) -> None:
    current = machine.logs / "current"
    current.symlink_to(machine.log)
    machine.do(log_files=[str(current)])
    assert (machine.folder / "logs/current").read_text() == "started\ncrashed\n"
    assert not (machine.folder / "logs/current").is_symlink()
    assert machine.row("logs/current")["real_path"] == str(machine.log)


def test_a_file_swapped_for_a_link_at_the_last_moment_is_not_followed(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(CANARY)
    real = host_evidence.no_file

    def swapped(path: str) -> str:
        answer = real(path)
        machine.log.unlink()
        machine.log.symlink_to(tmp_path / "secret")
        return answer

    monkeypatch.setattr(host_evidence, "no_file", swapped)
    done = machine.do(log_files=[str(machine.logs)])
    assert not list((machine.folder / "logs").rglob("*.log"))
    assert done["complete"] is False


def test_hostile_names_stay_in_the_folder_and_the_manifest_stays_readable(machine: Machine) -> None:
    names = ["-rf", "two\nlines", "tab\t", "..x", "a\\b", "ü", "'quote\"", "x" * 250, "attempt-2", "hft-2.log"]
    for name in names:
        (machine.logs / name).write_text(name[:3])
    (machine.logs / os.fsdecode(b"\xff\xfe.log")).write_text("bytes")
    done = machine.do(log_files=[str(machine.logs)])
    assert done["complete"] is True
    assert sha256sum(machine.folder).count(": OK\n") == len(done["items"]) + 1
    assert evidence_manifest.check(str(machine.folder)).intact
    contents = [path.read_text() for path in (machine.folder / "logs").rglob("*") if path.is_file()]
    assert len(contents) == len(names) + 2
    sources = {row["source"] for row in done["items"]}
    assert f"{machine.logs}/two\\nlines" in sources


def test_two_files_of_one_name_are_both_kept(machine: Machine) -> None:
    other = machine.logs / "old"
    other.mkdir()
    (other / "hft.log").write_text("yesterday\n")
    machine.do(log_files=[str(machine.log), str(other / "hft.log")])
    assert (machine.folder / "logs/hft.log").read_text() == "started\ncrashed\n"
    assert (machine.folder / "logs/hft-2.log").read_text() == "yesterday\n"


@pytest.mark.parametrize("happening", ["grows", "shrinks", "vanishes"])
def test_a_file_that_changes_while_it_is_read_is_kept_as_far_as_it_was_there_and_marked(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, happening: str
) -> None:
    machine.log.write_bytes(b"x" * 100)
    monkeypatch.setattr(host_evidence, "CHUNK", 40)

    def grow() -> None:
        with machine.log.open("ab") as file:
            file.write(b"y" * 50)

    changes: dict[str, Callable[[], object]] = {
        "grows": grow,
        "shrinks": lambda: os.truncate(machine.log, 60),
        "vanishes": machine.log.unlink,
    }
    real, change = os.read, [changes[happening]]

    def read(descriptor: int, size: int) -> bytes:
        data = real(descriptor, size)
        if size == 40 and change:
            change.pop()()
        return data

    monkeypatch.setattr(os, "read", read)
    machine.do(unit=None, config_file=None, version_command=[])
    row = machine.row("logs/hft.log")
    assert row["changed_while_read"] is True
    assert row["size"] == (60 if happening == "shrinks" else 100)
    assert set((machine.folder / "logs/hft.log").read_bytes()) == {ord("x")}


def test_of_a_log_that_is_too_long_the_end_is_kept(machine: Machine) -> None:
    machine.do(item_size_limit=8)
    assert (machine.folder / "logs/hft.log").read_text() == "crashed\n"
    row = machine.row("logs/hft.log")
    assert (row["truncated"], row["from_byte"], row["source_size"]) == (True, 8, 16)


def test_a_huge_sparse_file_takes_no_more_than_its_limit(machine: Machine) -> None:
    with machine.log.open("wb") as file:
        file.truncate(2**42)
        file.seek(-4, os.SEEK_END)
        file.write(b"end\n")
    machine.do(item_size_limit=1024)
    assert (machine.folder / "logs/hft.log").read_bytes() == b"\0" * 1020 + b"end\n"


def test_everything_together_keeps_its_limit(machine: Machine) -> None:
    for n in range(5):
        (machine.logs / f"{n}.log").write_text("z" * 100)
    done = machine.do(unit=None, log_files=[str(machine.logs)], total_size_limit=250)
    assert done["bytes"] == 250
    assert "there is room for no more" in done["missing"][-1]


def test_a_full_disk_loses_the_item_and_says_so(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    real = host_evidence._Hashed.write

    def full(self: Any, data: bytes) -> int:
        if data.startswith(b"started"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(host_evidence._Hashed, "write", full)
    done = machine.do()
    assert done["missing"] == [f"{machine.log}: no space left for it"]
    assert list((machine.folder / "logs").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_noted(machine: Machine) -> None:
    machine.log.chmod(0)
    assert machine.do()["missing"] == [f"{machine.log}: permission denied"]


def test_a_null_byte_in_a_path_is_noted_like_any_other_file_that_is_not_there(machine: Machine) -> None:
    assert "embedded null byte" in machine.do(log_files=["/nonexistent/a\0b"])["missing"][0]


# The core dump --------------------------------------------------------------------------------------------------------


def test_a_core_dump_is_only_kept_where_it_is_asked_for(machine: Machine) -> None:
    machine.command("coredumpctl", "echo core")
    machine.do()
    assert not (machine.folder / "core").exists()


def dumps(machine: Machine, content: str, size: int | None = None) -> None:
    row = json.dumps([{"pid": 42, "sig": 11, "corefile": "present", **({"size": size} if size else {})}])
    ours = "COREDUMP_UNIT=hft_system.service"
    answers = f"""*" list {ours}") echo '{row}';; *" dump {ours}") printf {content};;"""
    machine.command("coredumpctl", f'case " $*" in {answers} *) exit 1;; esac')


def test_the_core_dump_that_systemd_keeps_is_kept(machine: Machine) -> None:
    dumps(machine, "CORE", 4)
    done = machine.do(core=True)
    assert (machine.folder / "core/core").read_text() == "CORE"
    assert machine.row("core/core")["dump"]["sig"] == "11"
    assert done["complete"] is True


@pytest.mark.parametrize("size", [5_000_000, None])
def test_a_core_dump_that_is_too_large_is_noted_and_not_kept(machine: Machine, size: int | None) -> None:
    dumps(machine, "x" * 5000, size)
    done = machine.do(core=True, core_size_limit=4096)
    assert not (machine.folder / "core/core").exists()
    row = machine.row("core/core")
    assert (row["sha256"], row["size"]) == (None, 0)
    assert "more than 4096 bytes are not kept, and no hash was taken" in row["error"]
    assert size is None or str(size) in row["error"]
    assert done["complete"] is False


def test_without_coredumpctl_the_file_that_core_pattern_names_is_kept(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pattern = tmp_path / "core_pattern"
    pattern.write_text("crash/core.%e.%p.100%%\n")
    monkeypatch.setattr(host_evidence, "CORE_PATTERN", str(pattern))
    machine.unit(MainPID="0", ExecMainPID="77", WorkingDirectory=str(tmp_path))
    (tmp_path / "crash").mkdir()
    (tmp_path / "crash/core.hft.76.100%").write_text("another")
    (tmp_path / "crash/core.hft.77.100%").write_text("ours")
    machine.do(core=True)
    assert (machine.folder / "core/core").read_text() == "ours"
    assert stat.S_IMODE((machine.folder / "core/core").stat().st_mode) == 0o600


def test_a_process_that_left_no_core_dump_is_noted_with_what_was_looked_for(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(host_evidence, "CORE_PATTERN", str(tmp_path / "properties"))
    monkeypatch.setattr(host_evidence, "_core_pattern", lambda: "|/usr/share/apport/apport %p")
    done = machine.do(core=True)
    assert machine.row("core/core")["error"].startswith("none found; core_pattern is '|/usr/share/apport")
    assert done["complete"] is True


# Wrong usage and check mode -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"dest": None}, "no incident is open here, so nobody knows where to keep it: give dest"),
        ({"unit": None, "log_files": [], "config_file": None, "version_command": []}, "nothing is to be kept"),
        ({"unit": None, "core": True}, "the unit is needed"),
        ({"unit": "--root=/"}, "is no name of a unit"),
        ({"timeout": 0}, "timeout must be more than 0"),
        ({"item_size_limit": -1}, "item_size_limit must be more than 0"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_written(machine: Machine, args: dict[str, Any], said: str) -> None:
    done = machine.do(**args)
    assert done.outcome == "usage"
    assert said in done["msg"]
    assert not machine.dest.exists()


def test_check_mode_writes_nothing_and_lists_what_would_be_kept(machine: Machine) -> None:
    would = machine.do(check=True)
    assert not machine.dest.exists()
    assert (would["changed"], would["folder"]) == (True, str(machine.folder))
    assert "record" not in would.result
    really = machine.do()
    assert [item["name"] for item in would["items"]] == [item["name"] for item in really["items"]]
    assert machine.do(check=True)["changed"] is False
