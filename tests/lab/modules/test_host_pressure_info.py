# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``host_pressure_info`` of this host, and of a host that tells less."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.steps import host_pressure_info
from ansible_collections.hft.incident.plugins.module_utils.steps.host_pressure_info import Reader, measure

from .steps import run
from .systemctl_stand_in import RUNNING, UNIT, Systemctl


def test_this_host_is_measured_and_recorded(tmp_path: Path) -> None:
    seen = run(host_pressure_info, paths=[str(tmp_path)])
    assert (seen.failed, seen["changed"], seen["cgroup"]) == (False, False, None)
    assert 0 < seen["memory"]["available_bytes"] <= seen["memory"]["total_bytes"]
    assert seen["uptime_s"] > 0
    assert seen["cpus"] == os.cpu_count()
    (disk,) = seen["disks"]
    real = os.statvfs(tmp_path)
    assert (disk["total_bytes"], disk["inodes_total"]) == (real.f_blocks * real.f_frsize, real.f_files)
    assert (disk["writable"], disk["read_only"]) == (True, False)
    (told,) = seen.recorded("host.measured")
    assert told["memory"] == seen["memory"]
    assert told["host"]


def test_a_read_only_file_system_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = list(os.statvfs(tmp_path))
    real[8] |= os.ST_RDONLY
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result(real))
    seen = run(host_pressure_info, paths=[str(tmp_path)])
    assert seen["disks"][0]["read_only"] is True
    assert any(line.startswith(f"{tmp_path}: the file system is read-only") for line in seen["notable"])


def test_a_path_that_is_not_there_is_said_and_the_others_are_measured(tmp_path: Path) -> None:
    seen = run(host_pressure_info, paths=[str(tmp_path / "none"), str(tmp_path)])
    assert [disk["path"] for disk in seen["disks"]] == [str(tmp_path)]
    assert any("none" in line for line in seen["not_seen"])


def test_a_kernel_without_pressure_gives_null_and_the_reason(tmp_path: Path) -> None:
    (tmp_path / "loadavg").write_text("1.20 0.90 0.70 2/412 31337\n")
    (tmp_path / "meminfo").write_text("MemTotal: 1024 kB\n")
    (tmp_path / "uptime").write_text("nonsense")
    reader = Reader(proc=str(tmp_path))
    seen = measure(reader, [], None)
    assert seen["pressure"] == {"cpu": None, "memory": None, "io": None}
    assert seen["load"]["tasks"] == 412
    assert (seen["memory"]["total_bytes"], seen["memory"]["available_bytes"]) == (1024 * 1024, None)
    assert sum("/pressure/" in line for line in reader.not_seen) == 3
    assert seen["uptime_s"] is None
    assert any("uptime: it says something else" in line for line in reader.not_seen)


def test_the_limits_of_a_unit_are_those_of_its_cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "system.slice" / UNIT
    folder.mkdir(parents=True)
    files = {
        "memory.current": "4096",
        "memory.max": "4096",
        "memory.high": "max",
        "memory.events": "low 0\noom 1\noom_kill 1",
        "pids.current": "48",
        "memory.pressure": "some avg10=1.00 avg60=0.00 avg300=0.00 total=5",
    }
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n")
    monkeypatch.setattr(host_pressure_info.Reader, "__init__", _reading(tmp_path))
    systemctl = Systemctl(tmp_path, **{**RUNNING, "ControlGroup": f"/system.slice/{UNIT}"})
    seen = run(host_pressure_info, unit=UNIT, systemctl=systemctl.program)
    assert (
        seen["cgroup"].items()
        >= {
            "path": f"/system.slice/{UNIT}",
            "memory_current_bytes": 4096,
            "memory_max_bytes": 4096,
            "memory_high_bytes": None,
            "memory_peak_bytes": None,
            "tasks": 48,
            "memory_events": {"low": 0, "oom": 1, "oom_kill": 1},
        }.items()
    )
    assert seen["cgroup"]["pressure"]["memory"]["some"]["avg10_percent"] == 1.0
    assert len([line for line in seen["notable"] if "unit" in line]) == 2


def _reading(cgroups: Path) -> Any:
    def init(self: Reader) -> None:
        self.proc, self.cgroups, self.not_seen = "/proc", str(cgroups), []

    return init


def test_a_unit_without_a_cgroup_and_a_missing_systemctl_are_said(tmp_path: Path) -> None:
    systemctl = Systemctl(tmp_path, **{**RUNNING, "ControlGroup": "", "MainPID": "0"})
    seen = run(host_pressure_info, unit=UNIT, systemctl=systemctl.program)
    assert seen["cgroup"] is None
    assert any("does not run" in line for line in seen["not_seen"])
    seen = run(host_pressure_info, unit=UNIT, systemctl="/nonexistent/systemctl")
    assert (seen.failed, seen["cgroup"]) == (False, None)
    assert any("not found" in line for line in seen["not_seen"])


@pytest.mark.parametrize("args", [{"paths": ["var/log"]}, {"timeout": 0}, {"unit": "-x"}])
def test_wrong_arguments_are_refused(args: dict[str, Any]) -> None:
    assert run(host_pressure_info, **args).outcome == "usage"
