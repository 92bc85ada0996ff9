# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``crash_report_info``: how the trading process died, and what the host knows of it (seed-faults B4-B7)."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .. import core_dump, host_changes
from ..arguments import HOST_TOOLS, require_positive
from ..crash_classification import CODES, STOPPED, Classification, Life, Process, classify, deaths_in, life_before
from ..errors import UsageError
from ..host_command import Ran
from ..host_command import run as run_command
from ..host_facts import (
    ProcessFacts,
    kernel_records,
    monotonic_zero,
    process_facts,
    read_small,
    read_tail,
    require_absolute,
)
from ..log_lines import Line, Tail, file_lines, iso, journal_lines, kernel_lines, kmsg_lines, since_marker, time_of
from ..redaction import recordable
from ..systemd import Service
from . import Context, Params, Result, event

DAY_S = 86_400.0
#: Nothing older than this (s) is ever read.
OLDEST_S = 7 * DAY_S
PACKAGE_LOGS = ["/var/log/dpkg.log", "/var/log/apt/history.log", "/var/log/dnf.rpm.log"]
ARGUMENT_SPEC: dict[str, Any] = {
    **HOST_TOOLS,
    "unit": {"type": "str", "required": True},
    "log_files": {"type": "list", "elements": "path", "default": []},
    "start_marker": {"type": "str", "default": ""},
    "answering": {"type": "bool"},
    "since": {"type": "float", "default": DAY_S},
    "max_lines": {"type": "int", "default": 5000},
    "max_bytes": {"type": "int", "default": 4 * 1024 * 1024},
    "watched_paths": {"type": "list", "elements": "path", "default": []},
    "package_logs": {"type": "list", "elements": "path", "default": PACKAGE_LOGS},
    "changed_within": {"type": "float", "default": DAY_S},
    "timeout": {"type": "float", "default": 10.0},
}
#: So many of the changes go into the record.
CHANGES_RECORDED = 20
#: Times to the microsecond and in UTC.
EXACT = "--timestamp=us+utc"
PROPERTIES = (
    *("LoadState", "ActiveState", "SubState", "Result", "NRestarts", "MainPID", "InvocationID", "LimitCORE"),
    *("ExecMainPID", "ExecMainCode", "ExecMainStatus", "ExecMainStartTimestamp", "ExecMainStartTimestampMonotonic"),
    *("ExecMainExitTimestamp", "ExecMainExitTimestampMonotonic", "WorkingDirectory", "PrivateTmp", "AssertResult"),
)


class Seen(NamedTuple):
    """Where the lines come from, and ``not_seen``: sentences about what could not be looked at."""

    lines: list[Line]
    not_seen: list[str]


class Settings(NamedTuple):
    """The arguments, checked."""

    unit: str
    marker: re.Pattern[str] | None
    now: float
    floor: float  #: nothing older counts (s since the epoch)
    params: Params


def run(params: Params, _context: Context) -> Result:
    """Look at everything and judge; only reads. What cannot be seen is said and is no failure."""
    settings = _checked(params)
    not_seen: list[str] = []
    properties = _properties(settings, not_seen)
    journal = _journal(settings, not_seen)
    facts, life = _life(settings, properties, journal, not_seen)
    before = None if facts is None or facts.state in STOPPED else life_before(life, deaths_in(journal), settings.now)
    if before:
        life = before
    lines = [*journal, *_kernel(settings, not_seen), *_logs(settings, life, not_seen)]
    process = None if facts is None or before else Process(facts.pid, facts.state, params["answering"])
    # What a process of months logged long ago has no part in its death.
    counted = life._replace(started=max(life.started or settings.floor, settings.floor))
    found = classify(counted, lines, process)
    core = _core(settings, properties, life, None if before else facts, not_seen)
    changes = _changes(settings, not_seen)
    judged = recordable(found)
    return {
        "msg": _sentence(settings.unit, found),
        **judged,
        "unit": settings.unit,
        "properties": properties,
        "started_at": iso(life.started),
        "ended_at": iso(life.ended),
        "n_restarts": life.n_restarts,
        "process": None if facts is None else facts._asdict(),
        "core": core,
        "changes": changes,
        "not_seen": not_seen,
        "record": [
            event(
                "crash.classified",
                {
                    "unit": settings.unit,
                    "host": socket.gethostname(),
                    **{field: judged[field] for field in _RECORDED},
                    "because": [f"{_where(line)}: {line['text']}" for line in judged["because"]],
                    "ended_at": iso(life.ended),
                    "core": {field: core[field] for field in ("how", "path", "size_bytes")},
                    "changes": changes["count"],
                    # The newest; the record must show what was deployed right before, without this result at hand.
                    "changed": [
                        f"{file['changed_at'] or file['modified_at']} {file['path']}" for file in changes["files"]
                    ][:CHANGES_RECORDED],
                    "packages": [change["line"] for change in changes["packages"]][:CHANGES_RECORDED],
                },
            )
        ],
    }


_RECORDED = ("kind", "confidence", "signal", "exit_status", "repeated", "crashes", "contradictions")


def _where(line: Mapping[str, Any]) -> str:
    """The source of a line, and the place in it where it has one."""
    return " ".join(part for part in (line["source"], line["place"]) if part)


def _checked(params: Params) -> Settings:
    require_positive(params, "since", "max_lines", "max_bytes", "changed_within", "timeout")
    for option in ("log_files", "watched_paths", "package_logs"):
        require_absolute(option, params[option])
    for option in ("since", "changed_within"):
        if params[option] > OLDEST_S:
            raise UsageError(f"{option} must not be more than {OLDEST_S:.0f} (seven days)")
    try:
        marker = re.compile(params["start_marker"]) if params["start_marker"] else None
    except re.error as error:
        raise UsageError(f"start_marker is no regular expression: {error}") from None
    now = time.time()
    return Settings(Service(params["systemctl"], params["unit"]).name, marker, now, now - params["since"], params)


# What the service manager says ----------------------------------------------------------------------------------------


def _properties(settings: Settings, not_seen: list[str]) -> dict[str, str]:
    params = settings.params
    words = [params["systemctl"], "show", "-p", ",".join(PROPERTIES), settings.unit]
    ran = run_command([*words, EXACT], timeout=params["timeout"])
    if not ran.ok and not ran.problem:  # systemd before 247 does not know the option
        ran = run_command(words, timeout=params["timeout"])
    if not ran.ok:
        not_seen.append(f"the unit's properties: {ran.complaint}")
        return {}
    shown = dict(line.partition("=")[::2] for line in ran.out.splitlines() if "=" in line)
    if shown.get("LoadState") == "not-found":
        not_seen.append(f"the unit's properties: no unit {settings.unit} is known here")
    return {name: shown[name] for name in PROPERTIES if name in shown}


def _life(
    settings: Settings, properties: Mapping[str, str], journal: Sequence[Line], not_seen: list[str]
) -> tuple[ProcessFacts | None, Life]:
    """The last life of the main process, and what it is now where it lives."""
    pid = _number(properties.get("MainPID")) or 0
    facts = process_facts(pid) if pid else None
    if pid and facts is None:
        not_seen.append(f"process {pid}: the service manager calls it the unit's, and it cannot be seen here")
    return facts, life_of(settings.unit, properties, journal, settings.now)


def life_of(unit: str, properties: Mapping[str, str], journal: Sequence[Line], now: float) -> Life:
    """As the properties have it; how it ended by the journal, where they do not say."""
    code = CODES.get(properties.get("ExecMainCode", ""), "")
    status = _number(properties.get("ExecMainStatus")) if code else None
    ended = _moment(properties, "ExecMainExitTimestamp", now) if code else None
    deaths = deaths_in(journal)
    if not properties and deaths:
        last = deaths[-1]
        code, status, ended = last.code, last.status, last.at
    return Life(
        unit,
        _number(properties.get("ExecMainPID")) or None,
        _moment(properties, "ExecMainStartTimestamp", now),
        ended,
        properties.get("Result", ""),
        code,
        status,
        _number(properties.get("NRestarts")) or 0,
        properties.get("InvocationID", ""),
    )


def _moment(properties: Mapping[str, str], name: str, now: float) -> float | None:
    """A time of the unit; where its text is whole seconds of local time, by its microseconds on the kernel's clock."""
    _weekday, _space, text = properties.get(name, "").partition(" ")
    micros = _number(properties.get(f"{name}Monotonic"))
    if micros and "." not in text:
        return monotonic_zero() + micros / 1_000_000
    return time_of(text, now)


def _number(text: str | None) -> int | None:
    return int(text) if text and len(text) < 20 and text.isascii() and text.isdigit() else None


# Lines ----------------------------------------------------------------------------------------------------------------


def _journal(settings: Settings, not_seen: list[str]) -> list[Line]:
    ran = _ask_journal(settings, "-u", settings.unit)
    if not ran.ok:
        not_seen.append(f"the unit's journal: {ran.complaint}")
        return []
    lines = journal_lines(_oldest_first(ran), settings.unit)
    if not lines:
        not_seen.append("the unit's journal: it shows nothing (to see it takes root or the group systemd-journal)")
    return lines


def _kernel(settings: Settings, not_seen: list[str]) -> list[Line]:
    """From the journal, else from the kernel itself (the journal's reader may not be allowed to see it)."""
    ran = _ask_journal(settings, "-k")
    lines = kernel_lines(_oldest_first(ran)) if ran.ok else []
    if lines:
        return lines
    try:
        return kmsg_lines(kernel_records(), monotonic_zero())
    except OSError as error:
        why = f"/dev/kmsg: {error.strerror or error}"
        not_seen.append(f"the kernel's log: {why if ran.ok else f'{ran.complaint}; {why}'}")
        return []


def _ask_journal(settings: Settings, *which: str) -> Ran:
    params = settings.params
    since = f"@{int(settings.floor)}"
    limit = params["max_bytes"] * 4  # each line comes with some thirty fields
    argv = [params["journalctl"], "--no-pager", "-q", "-o", "json", "-r", "-n", str(params["max_lines"])]
    return run_command([*argv, "--since", since, *which], timeout=params["timeout"], limit=limit)


def _oldest_first(ran: Ran) -> str:
    """It is read from its end, so that what is cut off is the oldest."""
    return "\n".join(reversed(ran.out.split("\n")))


def _logs(settings: Settings, life: Life, not_seen: list[str]) -> list[Line]:
    found: list[Line] = []
    for path in settings.params["log_files"]:
        try:
            tail = read_tail(path, settings.params["max_bytes"])
        except OSError as error:
            not_seen.append(f"{path}: {error.strerror or error}")
            continue
        lines, why = _lines_of_life(settings, tail)
        found += lines
        if why:
            not_seen.append(why)
    return found


def _lines_of_life(settings: Settings, tail: Tail) -> tuple[list[Line], str]:
    """The lines that may belong to the last life, and why there are none although the file has some."""
    lines = file_lines(tail, settings.params["max_lines"], settings.now)
    marked = since_marker(lines, settings.marker) if settings.marker else None
    if marked is not None:
        return marked, ""
    dated = [line for line in lines if line.at is not None]
    if lines and not dated:
        return [], f"{tail.path}: its lines have no time; give a start_marker that the program logs when it starts"
    return dated, ""


# The core dump --------------------------------------------------------------------------------------------------------


def _core(
    settings: Settings,
    properties: Mapping[str, str],
    life: Life,
    facts: ProcessFacts | None,
    not_seen: list[str],
) -> dict[str, Any]:
    """Where it is; it is never read. A process that lives has none."""
    pattern, uses_pid = _core_pattern(not_seen)
    folder = (facts.folder if facts else None) or properties.get("WorkingDirectory", "").lstrip("!-")
    private = settings.unit if properties.get("PrivateTmp") == "yes" else ""
    plan = core_dump.plan_of(pattern, uses_pid, folder if folder.startswith("/") else "/", private)
    told: dict[str, Any] = {
        "pattern": pattern,
        "how": plan.how if pattern else "unknown",
        "handler": plan.handler,
        "limit": properties.get("LimitCORE"),
        "looked_in": list(plan.folders),
        "path": None,
        "size_bytes": None,
        "modified_at": None,
        "pid": None,
    }
    if facts is not None:
        return {**told, "note": "the process lives"}
    cores, note = _found_cores(settings, plan, life, told, not_seen)
    if cores:
        told.update(cores[0]._asdict())
    return {**told, "note": note or ("" if cores else _why_no_core(told["limit"]))}


def _core_pattern(not_seen: list[str]) -> tuple[str, bool]:
    try:
        pattern = read_small("/proc/sys/kernel/core_pattern").strip()
        return pattern, read_small("/proc/sys/kernel/core_uses_pid").strip() == "1"
    except OSError as error:
        not_seen.append(f"kernel.core_pattern: {error.strerror or error}")
        return "", False


def _found_cores(
    settings: Settings, plan: core_dump.Plan, life: Life, told: dict[str, Any], not_seen: list[str]
) -> tuple[list[core_dump.Core], str]:
    if plan.how == core_dump.FILE:
        return core_dump.find(plan.folders, plan.name, life.pid, life.started), ""
    if plan.how not in (core_dump.HANDLER, core_dump.SOCKET):
        return [], "the kernel writes none (kernel.core_pattern is empty)"
    if plan.handler == core_dump.SYSTEMD_HANDLER:
        cores = _stored(settings, life, not_seen)
        if cores:
            return cores, ""
    elif plan.handler in core_dump.FOLDERS:
        told["looked_in"] = [core_dump.FOLDERS[plan.handler]]
        cores = core_dump.find(told["looked_in"], None, life.pid, life.started)
        if cores:
            return cores, ""
    if core_dump.in_container():
        return [], f"this is a container: the host's own {plan.handler} takes core dumps; look there"
    return [], f"the kernel hands core dumps to {plan.handler}, which shows none of this process"


def _stored(settings: Settings, life: Life, not_seen: list[str]) -> list[core_dump.Core]:
    params = settings.params
    match = str(life.pid) if life.pid else f"COREDUMP_UNIT={settings.unit}"
    since = f"@{int(life.started or settings.floor)}"
    ran = run_command(
        [params["coredumpctl"], "--no-pager", "-r", "--since", since, "info", match], timeout=params["timeout"]
    )
    if ran.problem or (not ran.ok and "No coredumps found" not in ran.err):
        not_seen.append(f"core dumps of systemd: {ran.complaint}")
        return []
    return core_dump.stored(ran.out)


def _why_no_core(limit: str | None) -> str:
    return "none was written: LimitCORE=0" if limit == "0" else "none was found"


# Changes --------------------------------------------------------------------------------------------------------------


def _changes(settings: Settings, not_seen: list[str]) -> dict[str, Any]:
    since = settings.now - settings.params["changed_within"]
    files = host_changes.changed_files(settings.params["watched_paths"], since)
    not_seen += files.unseen
    tails = []
    for path in settings.params["package_logs"]:
        try:
            tails.append(read_tail(path, settings.params["max_bytes"]))
        except FileNotFoundError:
            continue  # another package manager's
        except OSError as error:
            not_seen.append(f"{path}: {error.strerror or error}")
    packages = host_changes.package_changes(tails, since, settings.now)
    return {
        "since": iso(since),
        "count": len(files.files) + len(packages),
        "files": [file._asdict() for file in files.files],
        "packages": [package._asdict() for package in packages],
        "truncated": files.truncated or len(packages) == host_changes.TOLD,
    }


def _sentence(unit: str, found: Classification) -> str:
    how = f", {found.confidence}" if found.because else ", nothing proves how it ended"
    again = f", {found.crashes} crashes seen" if found.repeated else ""
    first = f": {found.because[0].text.strip()[:160]}" if found.because else ""
    return f"{unit}: {found.kind}{how}{again}{first}"
