# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``host_pressure_info``: how hard a host is pressed, as numbers (seed-faults C3)."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from .. import host_pressure
from ..arguments import HOST_TOOLS, require_positive
from ..host_command import run as run_command
from ..host_facts import read_small, require_absolute
from ..host_pressure import Disk
from ..systemd import Service
from . import Context, Params, Result, event

ARGUMENT_SPEC: dict[str, Any] = {
    **HOST_TOOLS,
    "unit": {"type": "str"},
    "paths": {"type": "list", "elements": "path", "default": ["/"]},
    "timeout": {"type": "float", "default": 5.0},
}
RESOURCES = ("cpu", "memory", "io")
CGROUPS = "/sys/fs/cgroup"
#: Numbers of a cgroup by file; ``None`` means no limit.
CGROUP_FILES = {
    "memory.current": "memory_current_bytes",
    "memory.peak": "memory_peak_bytes",
    "memory.high": "memory_high_bytes",
    "memory.max": "memory_max_bytes",
    "memory.swap.current": "swap_current_bytes",
    "pids.current": "tasks",
    "pids.max": "tasks_max",
}


class Reader:
    """Reads small files, and keeps a sentence for each that cannot be read."""

    def __init__(self, proc: str = "/proc", cgroups: str = CGROUPS) -> None:
        self.proc, self.cgroups = proc, cgroups
        self.not_seen: list[str] = []

    def read(self, path: str, meaning: Callable[[str], Any]) -> Any:
        """What the file says, or None."""
        try:
            value = meaning(read_small(path))
        except OSError as error:
            self.not_seen.append(f"{path}: {error.strerror or error}")
            return None
        if value is None:
            self.not_seen.append(f"{path}: it says something else than expected")
        return value


def run(params: Params, _context: Context) -> Result:
    """Measure once; only reads. What this host does not tell is null, with the reason in ``not_seen``."""
    require_positive(params, "timeout")
    require_absolute("paths", params["paths"])
    reader = Reader()
    cgroup = _cgroup(params, reader)
    measured = measure(reader, params["paths"], cgroup)
    return {
        "msg": _sentence(measured),
        **measured,
        "not_seen": reader.not_seen,
        "record": [event("host.measured", {"host": socket.gethostname(), **measured, "not_seen": reader.not_seen})],
    }


def measure(reader: Reader, paths: list[str], cgroup: str | None) -> dict[str, Any]:
    """Everything, by the files that ``reader`` reads."""
    figures = {
        resource: reader.read(f"{reader.proc}/pressure/{resource}", host_pressure.pressure) for resource in RESOURCES
    }
    memory = reader.read(f"{reader.proc}/meminfo", host_pressure.memory) or {}
    disks = [disk for path in paths if (disk := _disk(path, reader.not_seen))]
    of_unit = None if cgroup is None else _figures(cgroup, reader)
    return {
        "pressure": figures,
        "memory": memory,
        "load": reader.read(f"{reader.proc}/loadavg", host_pressure.load),
        "cpus": os.cpu_count(),
        "uptime_s": reader.read(f"{reader.proc}/uptime", host_pressure.uptime_s),
        "disks": [disk._asdict() for disk in disks],
        "cgroup": of_unit,
        "notable": host_pressure.notable(disks, of_unit, memory),
    }


def _cgroup(params: Params, reader: Reader) -> str | None:
    """The unit's folder of the unified hierarchy, where it has one now."""
    if not params["unit"]:
        return None
    unit = Service(params["systemctl"], params["unit"]).name
    argv = [params["systemctl"], "show", "-p", "ControlGroup,MainPID", unit]
    ran = run_command(argv, timeout=params["timeout"])
    if not ran.ok:
        reader.not_seen.append(f"the cgroup of {unit}: {ran.complaint}")
        return None
    shown = dict(line.partition("=")[::2] for line in ran.out.splitlines())
    path = shown.get("ControlGroup")
    pid = shown.get("MainPID", "0")
    if not path and pid.isdigit() and pid != "0":
        path = reader.read(f"{reader.proc}/{int(pid)}/cgroup", host_pressure.unified_cgroup)
    if not path:
        reader.not_seen.append(f"the cgroup of {unit}: it has none now (the unit does not run)")
        return None
    return str(path)


def _figures(path: str, reader: Reader) -> dict[str, Any] | None:
    """Null where it is no cgroup of version 2 with a memory controller (the root of the hierarchy has none)."""
    folder = os.path.join(reader.cgroups, path.strip("/"))
    if not os.path.exists(f"{folder}/memory.current"):
        reader.not_seen.append(f"{folder}: no memory controller of cgroup v2 is there")
        return None
    told: dict[str, Any] = {"path": path}
    for name, field in CGROUP_FILES.items():
        told[field] = _limit(f"{folder}/{name}")
    told["memory_events"] = reader.read(f"{folder}/memory.events", host_pressure.events) or {}
    told["pressure"] = {
        resource: _silently(f"{folder}/{resource}.pressure", host_pressure.pressure) for resource in RESOURCES
    }
    return told


def _limit(path: str) -> int | None:
    value: int | None = _silently(path, host_pressure.limit)
    return value


def _silently(path: str, meaning: Callable[[str], Any]) -> Any:
    """Older kernels do not have every file."""
    try:
        return meaning(read_small(path))
    except OSError:
        return None


def _disk(path: str, not_seen: list[str]) -> Disk | None:
    try:
        seen = os.statvfs(path)
    except OSError as error:
        not_seen.append(f"{path}: {error.strerror or error}")
        return None
    total, available = seen.f_blocks * seen.f_frsize, seen.f_bavail * seen.f_frsize
    kept_for_root = (seen.f_bfree - seen.f_bavail) * seen.f_frsize
    return Disk(
        path,
        total,
        available,
        host_pressure.share_used(total - kept_for_root, available),
        seen.f_files,
        seen.f_favail,
        host_pressure.share_used(seen.f_files, seen.f_favail),
        bool(seen.f_flag & os.ST_RDONLY),
        os.access(path, os.W_OK),
    )


def _sentence(measured: dict[str, Any]) -> str:
    parts = list(measured["notable"])
    for resource, figures in measured["pressure"].items():
        if figures and "some" in figures:
            parts.append(f"{resource} stalled {figures['some']['avg10_percent']:g} % of the last 10 s")
    if measured["load"]:
        parts.append(f"load {measured['load']['avg1']:g} on {measured['cpus']} CPUs")
    available, total = (measured["memory"].get(name) for name in ("available_bytes", "total_bytes"))
    if available is not None and total:
        parts.append(f"{100 * available // total} % of the memory available")
    parts += [f"{disk['path']} {disk['used_percent']} % used" for disk in measured["disks"] if disk["used_percent"]]
    return "; ".join(parts) or "this host tells nothing of itself"
