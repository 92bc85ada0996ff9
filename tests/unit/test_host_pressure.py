# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The kernel's figures: what its files say becomes numbers, what they do not say becomes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils import host_pressure
from ansible_collections.hft.incident.plugins.module_utils.host_pressure import Disk

PSI = (
    "some avg10=0.95 avg60=1.30 avg300=0.77 total=1482089027\n"
    "full avg10=100.00 avg60=0.00 avg300=0.00 total=18446744073709551615\n"
)
MEMINFO = (
    "MemTotal:       65849732 kB\nMemFree:         1198088 kB\nMemAvailable:   40321924 kB\nHugePages_Total:       0\n"
)


def test_pressure_is_shares_and_microseconds() -> None:
    assert host_pressure.pressure(PSI) == {
        "some": {"avg10_percent": 0.95, "avg60_percent": 1.3, "avg300_percent": 0.77, "total_us": 1482089027}
    }  # a total that no counter reaches is none
    only_some = host_pressure.pressure(PSI.splitlines()[0])
    assert only_some is not None
    assert list(only_some) == ["some"]


def test_memory_is_bytes_and_what_is_not_told_is_none() -> None:
    figures = host_pressure.memory(MEMINFO)
    assert (figures["total_bytes"], figures["available_bytes"]) == (65849732 * 1024, 40321924 * 1024)
    assert figures["swap_free_bytes"] is None
    assert set(figures) == set(host_pressure.MEMORY.values())


def test_load_and_uptime() -> None:
    assert host_pressure.load("1.20 0.90 0.70 2/412 31337\n") == {
        "avg1": 1.2, "avg5": 0.9, "avg15": 0.7, "running": 2, "tasks": 412,
    }  # fmt: skip
    assert host_pressure.uptime_s("864000.52 1234567.89\n") == 864000.52


def test_figures_of_a_cgroup() -> None:
    assert host_pressure.events("low 0\nhigh 3\nmax 312\noom 1\noom_kill 1\n")["oom_kill"] == 1
    assert host_pressure.limit("4294967296\n") == 4294967296
    assert host_pressure.limit("max\n") is None
    assert host_pressure.unified_cgroup("9:memory:/x\n0::/system.slice/hft.service\n") == "/system.slice/hft.service"
    assert host_pressure.unified_cgroup("9:memory:/x\n") is None


PARSERS: list[Callable[[str], Any]] = [
    host_pressure.pressure,
    host_pressure.load,
    host_pressure.uptime_s,
    host_pressure.limit,
    host_pressure.unified_cgroup,
]


@pytest.mark.parametrize(
    "text", ["", "\n", "not a number", "some avg10=x", "{}", "\u0663.\u0663 \u0663.\u0663 \u0663.\u0663 3/3 3"]
)
@pytest.mark.parametrize("parse", PARSERS)
def test_what_is_something_else_is_none(parse: Callable[[str], Any], text: str) -> None:
    assert parse(text) is None


@settings(deadline=None)
@given(st.text() | st.text(alphabet="0123456789. /:\nsomefullavg=kBmax", max_size=300))
def test_no_text_raises(text: str) -> None:
    for parse in (*PARSERS, host_pressure.memory, host_pressure.events):
        parse(text)


@settings(deadline=None)
@given(st.floats(0, 100), st.integers(0, 2**63), st.sampled_from(["some", "full"]))
def test_whatever_the_kernel_writes_is_read_back(share: float, total: int, which: str) -> None:
    found = host_pressure.pressure(f"{which} avg10={share:.2f} avg60=0.00 avg300=0.00 total={total}\n")
    assert found is not None
    assert (found[which]["avg10_percent"], found[which]["total_us"]) == (float(f"{share:.2f}"), total)


@settings(deadline=None)
@given(st.integers(1, 2**60), st.data())
def test_a_share_is_between_nothing_and_all(total: int, data: st.DataObject) -> None:
    used = host_pressure.share_used(total, data.draw(st.integers(0, total)))
    assert used is not None
    assert 0 <= used <= 100


def disk(**more: Any) -> Disk:
    fine = {"total_bytes": 100, "available_bytes": 50, "inodes_total": 10, "inodes_available": 5}
    rest = {"used_percent": 50.0, "inodes_used_percent": 50.0, "read_only": False, "writable": True}
    return Disk(**{"path": "/log", **fine, **rest, **more})


@pytest.mark.parametrize(
    ("given_disk", "words"),
    [
        (disk(), []),
        (disk(inodes_total=0, inodes_available=0), []),  # a file system without a fixed number of them
        (disk(available_bytes=0), ["the disk is full"]),
        (disk(inodes_available=0), ["no inode is left"]),
        (disk(read_only=True, writable=False), ["read-only"]),
        (disk(writable=False), ["may not be written"]),
    ],
)
def test_what_stands_in_the_way_of_a_program_is_said(given_disk: Disk, words: list[str]) -> None:
    told = host_pressure.notable([given_disk], None, {})
    assert len(told) == len(words)
    assert all(word in line and "/log" in line for word, line in zip(words, told, strict=True))


def test_a_unit_at_its_limit_is_said() -> None:
    cgroup = {"memory_current_bytes": 10, "memory_max_bytes": 10, "memory_events": {"oom_kill": 2}}
    assert len(host_pressure.notable([], cgroup, {})) == 2
    assert host_pressure.notable([], {**cgroup, "memory_max_bytes": None, "memory_events": {}}, {}) == []
    assert host_pressure.notable([], None, {"available_bytes": 0}) == ["no memory is available"]
