# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The trading hosts: they let us in, their unit heeds the hold file, their clock is right, and their latch is whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError
from ansible_collections.hft.incident.plugins.module_utils.incident import find, state_of
from ansible_collections.hft.incident.plugins.module_utils.systemd import path_assertions

from . import clock
from .ansible_look import Look, Told
from .findings import BAD, OK, UNKNOWN, WARN, Finding
from .site import Site

#: What modules need there; older ones cannot even load them.
LEAST_PYTHON = (3, 9)
#: Whoever of the two says it.
_CONFLICTS = ("Conflicts", "ConflictedBy")
_GET_IN = "ssh there by hand as the inventory says: its address, our key, its host key in known_hosts"


def hosts(seen: Look, site: Site) -> list[Finding]:
    names = dict.fromkeys(one.host for one in seen.told if one.host != "localhost")
    if not names and not seen.fault:
        return [Finding("host", "", WARN, "no trading host is listed: none could be latched or stopped",
                        "list them in the group trading_hosts, one for each trading system")]  # fmt: skip
    found = [finding for name in names for finding in _host(seen, name, site)]
    if seen.fault and seen.told:
        found.append(Finding("host", "", UNKNOWN, f"not all answered: {seen.fault}", "ask again, with more time"))
    return found


def _host(seen: Look, name: str, site: Site) -> Iterator[Finding]:
    shell, hold, latch = (seen.of(task, name) for task in ("host", "hold_file", "latch"))
    if shell is None:
        return
    if shell.ended == "unreachable":
        yield Finding("host", name, BAD, f"cannot be reached: {shell.why}", _GET_IN)
        return
    yield Finding("host", name, OK, "lets us in")
    yield from _shell(shell, name, str(hold.result.get("msg")) if hold and hold.ended == "ok" else "")
    yield _latch(latch, name, site) if latch else Finding("latch", name, UNKNOWN, "no answer in time", "ask again")


def _shell(shell: Told, name: str, hold_file: str) -> Iterator[Finding]:
    """The time, the Python there, what the service manager says of the unit, then the lines of the unit's files."""
    lines = str(shell.result.get("stdout") or "").splitlines()
    try:
        moment = float(lines[0])
    except (ValueError, IndexError):
        yield Finding("unit", name, UNKNOWN, f"its answer is no answer: {shell.why}", "try it by hand: systemctl cat")
        return
    yield clock.finding(f"of host {name}", clock.Reading(shell.started_at, moment, shell.ended_at))
    yield python(lines[1:], name)
    if not any(line.startswith("LoadState=") for line in lines):
        mend = "give hft_systemctl in the inventory, or see what is wrong with its systemd"
        yield Finding("unit", name, UNKNOWN, f"its service manager does not answer: {shell.why}", mend)
        return
    yield _unit(lines[1:], name, hold_file)


def python(lines: list[str], name: str) -> Finding:
    """Whether modules could be run there."""
    version = next((line.partition("=")[2] for line in lines if line.startswith("Python=")), "")
    wanted = ".".join(map(str, LEAST_PYTHON))
    if version and tuple(map(int, version.split("."))) >= LEAST_PYTHON:
        return Finding("python", name, OK, f"{version} runs modules")
    says = f"{version or 'none that starts'}: nothing could be latched, stopped, isolated or kept as evidence there"
    mend = f"install Python {wanted} or later there; ansible_python_interpreter, where it is not the first python3"
    return Finding("python", name, BAD, says, mend)


def _unit(lines: list[str], name: str, hold_file: str) -> Finding:
    if "LoadState=loaded" not in lines:
        return Finding("unit", name, BAD, "its service manager knows no such unit", "correct hft_unit in the inventory")
    if "NeedDaemonReload=yes" in lines:
        return Finding("unit", name, WARN, "its file was changed since it was loaded", "systemctl daemon-reload there")
    if not hold_file:
        return Finding("unit", name, BAD, "the inventory names no hold file", "give hft_hold_file to trading_hosts")
    heeded = [path for _line, path, must_exist in path_assertions(lines) if not must_exist]
    if hold_file in heeded:
        if rivals := _conflicting(lines):
            mend = "no Conflicts=, but ExecStartPre=+/usr/bin/systemctl stop of the other in each (docs/rollout.md, 5)"
            says = f"a start that {hold_file} refuses would stop {', '.join(rivals)}, which conflicts with it"
            return Finding("unit", name, WARN, says, mend)
        return Finding("unit", name, OK, f"does not start while {hold_file} is there")
    other = f", only {', '.join(heeded)}" if heeded else ""
    mend = f"write AssertPathExists=!{hold_file} into its [Unit], then systemctl daemon-reload"
    return Finding("unit", name, BAD, f"starts whatever {hold_file} says: it does not assert that{other}", mend)


def _conflicting(lines: list[str]) -> list[str]:
    """The services that systemd stops for a start of the unit, before it asks what the unit asserts."""
    said = [value for key, _sign, value in (line.partition("=") for line in lines) if key in _CONFLICTS]
    return sorted({unit for value in said for unit in value.split() if unit.endswith(".service")})


def _latch(latch: Told, name: str, site: Site) -> Finding:
    found = latch.result
    if latch.ended != "ok":
        return Finding("latch", name, UNKNOWN, latch.why, "mend what it says; modules need Python on the host")
    if found.get("agree"):
        if found.get("state") == "open":
            return Finding("latch", name, OK, "open; hold file and killswitch agree")
        return _closed(found, name, site)
    rows = [found.get("hold") or {}, *(found.get("api") or [])]
    verdict = UNKNOWN if any(row.get("state") == "unknown" for row in rows) else BAD
    mend = f"find out who closed it: hft-incident status; to close all of it: hft-incident run system_crash ({name})"
    return Finding("latch", name, verdict, f"its parts differ: {found.get('difference')}", mend)


def _closed(found: Mapping[str, Any], name: str, site: Site) -> Finding:
    """Closed is safe, and no trading: somebody has to know why."""
    hold = found.get("hold") or {}
    holders = [str(row.get("incident") or "") for row in hold.get("holders") or []]
    known = [holder for holder in holders if _is_open(holder, site)]
    if known:
        return Finding("latch", name, WARN, f"closed by {', '.join(known)}", f"hft-incident resume {known[0]}")
    by = ", ".join(filter(None, holders)) or "hand"
    mend = f"once somebody has said why it may go: rm {hold.get('path')} on {name}"
    return Finding("latch", name, WARN, f"closed by {by}, no incident that is open here", mend)


def _is_open(incident: str, site: Site) -> bool:
    try:
        return state_of(find(incident, site.home).journal.events()).is_open
    except IncidentError:
        return False
