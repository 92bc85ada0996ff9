# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The kernel's own figures of how hard a host is pressed, as numbers with their units in their names. Pure.

Sources: Documentation/accounting/psi.rst, Documentation/admin-guide/cgroup-v2.rst, proc(5); seed-faults C3 (what
``top``, ``free`` and ``iostat`` print is for people, and a busy-polling engine is at 100 % by design).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_STALL = re.compile(
    r"^(some|full) avg10=(\d+\.\d+) avg60=(\d+\.\d+) avg300=(\d+\.\d+) total=(\d+)$", re.MULTILINE | re.ASCII
)
_MEMINFO = re.compile(r"^([A-Za-z()_0-9]+): +(\d+) kB$", re.MULTILINE | re.ASCII)
_LOAD = re.compile(r"^(\d+\.\d+) (\d+\.\d+) (\d+\.\d+) (\d+)/(\d+) \d+\s*$", re.ASCII)
_EVENT = re.compile(r"^([a-z_]+) (\d+)$", re.MULTILINE | re.ASCII)
#: What is told of /proc/meminfo, by its own names.
MEMORY = {
    "MemTotal": "total_bytes",
    "MemFree": "free_bytes",
    "MemAvailable": "available_bytes",
    "Dirty": "dirty_bytes",
    "Writeback": "writeback_bytes",
    "Committed_AS": "committed_bytes",
    "CommitLimit": "commit_limit_bytes",
    "SwapTotal": "swap_total_bytes",
    "SwapFree": "swap_free_bytes",
}


class Disk(NamedTuple):
    """One file system, as an ordinary program sees it: what is kept for root is not available."""

    path: str
    total_bytes: int
    available_bytes: int
    used_percent: float | None
    inodes_total: int
    inodes_available: int
    inodes_used_percent: float | None
    read_only: bool
    writable: bool


def pressure(text: str) -> dict[str, dict[str, float | int]] | None:
    """One file of ``/proc/pressure``: for ``some`` and ``full`` the share of time (percent) in which some, or all, of
    the tasks waited, and all such time since the start (microseconds). None where it is not that."""
    found = {
        share: {
            "avg10_percent": float(avg10),
            "avg60_percent": float(avg60),
            "avg300_percent": float(avg300),
            "total_us": int(total),
        }
        for share, avg10, avg60, avg300, total in _STALL.findall(text)
        if len(total) < 20
    }
    return found or None


def memory(text: str) -> dict[str, int | None]:
    """``/proc/meminfo``; None for what this kernel does not tell."""
    shown = {name: int(kilobytes) * 1024 for name, kilobytes in _MEMINFO.findall(text) if len(kilobytes) < 20}
    return {field: shown.get(name) for name, field in MEMORY.items()}


def load(text: str) -> dict[str, float | int] | None:
    """``/proc/loadavg``: tasks that run or wait for a disk, averaged over minutes; those that run now; all."""
    found = _LOAD.match(text)
    if not found or len(text) > 200:
        return None
    return {
        "avg1": float(found[1]),
        "avg5": float(found[2]),
        "avg15": float(found[3]),
        "running": int(found[4]),
        "tasks": int(found[5]),
    }


def uptime_s(text: str) -> float | None:
    """``/proc/uptime``."""
    found = re.match(r"(\d{1,15}\.\d{1,3}) ", text, re.ASCII)
    return float(found[1]) if found else None


def events(text: str) -> dict[str, int]:
    """``memory.events`` of a cgroup: how often, since it was made."""
    return {name: int(count) for name, count in _EVENT.findall(text) if len(count) < 20}


def limit(text: str) -> int | None:
    """A number of a cgroup; None for ``max``, and for what is none."""
    text = text.strip()
    return int(text) if len(text) < 20 and text.isascii() and text.isdigit() else None


def unified_cgroup(text: str) -> str | None:
    """The path in the unified hierarchy (cgroup v2), of ``/proc/PID/cgroup``."""
    for line in text.splitlines():
        if line.startswith("0::/"):
            return line[3:]
    return None


def share_used(total: int, available: int) -> float | None:
    """Percent; None where there is nothing to share (a file system without a fixed number of inodes)."""
    return round(100.0 * (total - available) / total, 2) if total > 0 else None


def notable(disks: list[Disk], cgroup: Mapping[str, Any] | None, memory_figures: Mapping[str, int | None]) -> list[str]:
    """What stands in the way of a program by itself, whatever is normal here: a sentence each."""
    told = [sentence for disk in disks for sentence in _of_disk(disk)]
    kills = (cgroup or {}).get("memory_events", {}).get("oom_kill", 0)
    if kills:
        told.append(f"the kernel's OOM killer killed {kills} of the unit's processes")
    current, most = ((cgroup or {}).get(name) for name in ("memory_current_bytes", "memory_max_bytes"))
    if current is not None and most is not None and current >= most:
        told.append("the unit is at its memory limit")
    if memory_figures.get("available_bytes") == 0:
        told.append("no memory is available")
    return told


def _of_disk(disk: Disk) -> list[str]:
    told = []
    if disk.read_only:
        told.append(f"{disk.path}: the file system is read-only")
    elif not disk.writable:
        told.append(f"{disk.path}: may not be written by the user who asked")
    if disk.total_bytes > 0 and disk.available_bytes <= 0:
        told.append(f"{disk.path}: the disk is full")
    if disk.inodes_total > 0 and disk.inodes_available <= 0:
        told.append(f"{disk.path}: no inode is left")
    return told
