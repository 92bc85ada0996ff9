# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``host_audit_info``: signs of an intruder on this host, and what could not be looked at.

Source: seed-faults A6, A7, A11. It only reads; what it looks at closely it looks at in a copy, as somebody who may do
nothing.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from .. import audit_accounts, audit_host, audit_packages, audit_repository
from ..arguments import require_positive
from ..audit_findings import ALARMING, INFO, SEVERITIES, SUSPICIOUS, Findings, accepted_of, with_accepted, worst
from ..deadline import Deadline
from ..errors import HeldError, UsageError
from ..host_command import MISSING, Ran
from ..host_command import run as run_command
from ..host_facts import read_tail, require_absolute
from ..log_lines import iso
from ..private_copy import private_copy
from ..timestamps import moment
from . import Context, Params, Result, event
from .release_info import DIFFERENT, SAME, UNREADABLE, file_state, release_of

DAY_S = 86_400.0
WINDOW_S = 7 * DAY_S
LOG_BYTES = 16 * 1024 * 1024
#: What ends by itself at its deadline is given this long (s) to say so.
GRACE_S = 2.0
#: Lines of sshd that are read, the newest.
SSHD_LINES = 50_000
ACCOUNTING = "/var/log"
SESSIONS = ("/run/utmp", "/var/run/utmp")

Check = Callable[[Params, float, Deadline, Findings], None]


def run(params: Params, _context: Context) -> Result:
    """All checks at the same time; only reads. One that fails or is late makes its part unknown and no other."""
    require_positive(params, "timeout")
    for option in ("watched_paths", "log_files", "setuid_paths", "expected_programs"):
        require_absolute(option, params[option])
    now = time.time()
    since = _since(params["since"], now)
    _require_usable(params)
    accepted = accepted_of(params["accepted_findings"])
    found, states = _look(params, since)
    findings, unknown = with_accepted(found.findings(), accepted), found.unknowns()
    host = socket.gethostname()
    told = {
        "host": host,
        "since": iso(since),
        "findings": [{"source": "host", **finding._asdict()} for finding in findings],
        "unknown": [entry._asdict() for entry in unknown],
        "checks": [{"name": name, "state": state} for name, state in states.items()],
        "worst": worst(finding.severity for finding in findings),
    }
    counts = {severity: sum(finding.severity == severity for finding in findings) for severity in SEVERITIES}
    result: Result = {
        "msg": _sentence(counts, [finding.what for finding in findings if finding.severity == ALARMING], len(unknown)),
        **told,
        "counts": counts,
        "record": [event("host.audited", {**told, "counts": counts})],
    }
    if params["require"] == "clean" and counts[ALARMING]:
        result |= {"failed": True, "outcome": HeldError.outcome, "msg": f"this host is not clean: {result['msg']}"}
    return result


def _since(given: str | None, now: float) -> float:
    if given is None:
        return now - WINDOW_S
    try:
        parsed = moment(given)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise UsageError(f"since: {given!r} is no time with a zone; it is written 2026-11-20T00:00:00Z")
    if parsed.timestamp() > now:
        raise UsageError(f"since: {given} has not come yet")
    return parsed.timestamp()


def _require_usable(params: Params) -> None:
    """What is expected here must be written so that it means something, or everything would be expected."""
    audit_host.listeners(params["expected_listeners"] or [])
    for option in ("expected_peers", "known_networks"):
        audit_accounts.networks(option, params[option] or [])
    if params["approved"]:
        release_of(params["approved"])
    if params["config_repository"]:
        require_absolute("config_repository", [params["config_repository"]])


def _look(params: Params, since: float) -> tuple[Findings, dict[str, str]]:
    """What all checks found, and how each of them ended: done, partly or unknown."""
    found = Findings()
    parts = {name: Findings() for name in CHECKS if name in params["checks"]}
    threads = {}
    for name, part in parts.items():
        work = partial(_guarded, name, CHECKS[name], params, since, Deadline(params["timeout"]), part)
        # Also one that hangs in the kernel must not keep this process from ending.
        threads[name] = threading.Thread(target=work, daemon=True)
        threads[name].start()
    deadline = Deadline(params["timeout"] + GRACE_S)
    states = {}
    for name, thread in threads.items():
        thread.join(deadline.remaining())
        part = parts[name]
        if thread.is_alive():
            part.unknown(name, f"no end in {params['timeout']:g} s")
        states[name] = "done" if not part.unknowns() else "partly" if part.findings() else "unknown"
        found.take(part)
    return found, states


def _guarded(name: str, check: Check, params: Params, since: float, deadline: Deadline, found: Findings) -> None:
    try:
        check(params, since, deadline, found)
    except (OSError, UsageError) as error:
        found.unknown(name, getattr(error, "strerror", None) or str(error))
    except Exception as error:  # noqa: BLE001  # what a hostile host makes of one check must not cost us the others
        found.unknown(name, f"the check itself failed: {type(error).__name__}: {error}")


# The checks -----------------------------------------------------------------------------------------------------------


def _repository(params: Params, since: float, deadline: Deadline, found: Findings) -> None:
    repository, commit = params["config_repository"], (params["approved"] or {}).get("config_commit")
    if not repository or not commit:
        missing = "config_commit of hft_release" if repository else "hft_config_repository"
        found.unknown("repository", f"the configuration is not compared: nobody gave {missing}")
        return
    audit_repository.audit(os.path.normpath(repository), str(commit), since, deadline, found)


def _release(params: Params, _since: float, deadline: Deadline, found: Findings) -> None:
    if not params["approved"]:
        found.unknown("release", "nobody says which release is approved (hft_release)")
        return
    for path, expected in release_of(params["approved"]).files.items():
        if deadline.expired():
            found.unknown("release", f"there was no time for {path}")
            return
        file = file_state(path, expected)
        if file.state == UNREADABLE:
            found.unknown("release", f"{path}: {file.reason}")
        elif file.state != SAME:
            severity = ALARMING if file.state == DIFFERENT else SUSPICIOUS
            hashes = f"approved {expected}, found {file.sha256 or 'none'}"
            found.add("release_file", severity, f"{path} of the approved release is {file.state}", hashes, path)


def _processes(params: Params, _since: float, _deadline: Deadline, found: Findings) -> None:
    audit_host.audit_processes(found, _expected_programs(params))


def _sockets(params: Params, _since: float, _deadline: Deadline, found: Findings) -> None:
    seen, holders = audit_host.sockets(), audit_host.holders_of_sockets()
    explained = {one.path for one in accepted_of(params["accepted_findings"]) if one.path}
    suspects = audit_host.audit_processes(Findings(), _expected_programs(params), explained=explained)
    audit_host.audit_suspects(found, seen, holders, suspects.pids)
    if params["expected_listeners"] is None:
        found.unknown("sockets", "nobody says what should listen here (hft_expected_listeners)")
    else:
        audit_host.audit_listeners(found, seen, holders, audit_host.listeners(params["expected_listeners"]))
    if params["expected_peers"] is None:
        found.unknown("sockets", "nobody says whom this host should speak to (hft_expected_peers)")
    else:
        peers = audit_accounts.networks("expected_peers", params["expected_peers"])
        known = audit_accounts.networks("known_networks", params["known_networks"] or [])
        audit_host.audit_connections(found, seen, holders, peers, known)


def _persistence(_params: Params, since: float, deadline: Deadline, found: Findings) -> None:
    audit_host.audit_starters(found, since, deadline)
    audit_host.audit_accounts(found, since, audit_host.accounts())


def _setuid(params: Params, since: float, deadline: Deadline, found: Findings) -> None:
    audit_host.audit_setuid(found, params["setuid_paths"], since, deadline)


def _kernel(params: Params, _since: float, _deadline: Deadline, found: Findings) -> None:
    audit_host.audit_kernel(found, params["kernel_modules"])


def _packages(params: Params, _since: float, deadline: Deadline, found: Findings) -> None:
    running = audit_host.audit_processes(Findings(), _expected_programs(params))
    audit_packages.audit(found, params["package_baseline"], running.others, deadline)


def _expected_programs(params: Params) -> list[str]:
    return [*params["expected_programs"], *(params["approved"] or {}).get("files", {})]


def _logins(params: Params, since: float, deadline: Deadline, found: Findings) -> None:
    known = audit_accounts.networks("known_networks", params["known_networks"] or [])
    if not known:
        found.unknown("logins", "nobody says where we come from, so no login is a foreign one (hft_known_networks)")
    seen = []
    for name, ok in (("wtmp", True), ("wtmp.1", True), ("btmp", False), ("btmp.1", False)):
        logins = _accounting(f"{ACCOUNTING}/{name}", ok, found)
        if name == "wtmp" and logins == []:
            found.add("login_record_empty", SUSPICIOUS, "wtmp knows of no login; somebody may have emptied it")
        seen += logins or []
    seen += _journal(params["journalctl"], since, deadline, found)
    seen += _audit_log(deadline, found)
    for verdict in audit_accounts.judged(seen, since, known):
        found.add(*verdict)
    for path in SESSIONS:
        if os.path.exists(path):
            for login in _accounting(path, ok=True, found=found) or []:
                found.add("session", INFO, f"a session that is open now, as {path} has it: {login.words}")
            return
    found.unknown("logins", "which sessions are open now: there is no utmp")


def _accounting(path: str, ok: bool, found: Findings) -> list[audit_accounts.Login] | None:
    try:
        tail = read_tail(path, LOG_BYTES - LOG_BYTES % (384 * 400))
    except FileNotFoundError:
        if not path.endswith(".1"):
            found.unknown("logins", f"{path} is not there")
        return None
    except OSError as error:
        found.unknown("logins", f"{path}: {error.strerror or error}")
        return None
    logins = audit_accounts.utmp_records(tail.data, os.path.basename(path), ok=ok)
    if logins is None:
        found.unknown("logins", f"{path} holds no records of logins")
    elif tail.offset:
        found.unknown("logins", f"{path} is long; only its end was read")
    return logins


def _journal(journalctl: str, since: float, deadline: Deadline, found: Findings) -> list[audit_accounts.Login]:
    # _COMM is the kernel's word; an identifier is the program's own.
    argv = [journalctl, "--no-pager", "-o", "json", f"--since=@{int(since)}", "-n", str(SSHD_LINES), "_COMM=sshd", "+",
            "_COMM=sshd-session"]  # fmt: skip
    ran = _asked(argv, deadline)
    if not ran.ok or ran.truncated:
        why = "only its beginning was read" if ran.ok else ran.complaint
        found.unknown("logins", f"the journal of sshd: {why}")
    elif not ran.out.strip():
        found.unknown("logins", "the journal has no line of sshd in this time")
    return audit_accounts.sshd_logins(ran.out)


def _audit_log(deadline: Deadline, found: Findings) -> list[audit_accounts.Login]:
    """Of all that it has: its own words for times depend on the country."""
    ran = _asked(["ausearch", "-m", "USER_LOGIN", "--raw"], deadline)
    if ran.problem or ran.truncated or (ran.rc and "no matches" not in ran.err):
        missing = ran.rc == MISSING and ran.problem
        found.unknown("logins", f"the audit log: {'ausearch is not there' if missing else ran.complaint}")
    return audit_accounts.audit_logins(ran.out)


def _asked(argv: Sequence[str], deadline: Deadline) -> Ran:
    return run_command(argv, timeout=max(0.1, deadline.remaining()), limit=LOG_BYTES)


def _log(params: Params, since: float, deadline: Deadline, found: Findings) -> None:
    if not params["log_files"]:
        found.unknown("log", "nobody says where the trading system's log is (hft_log_files)")
    for path in params["log_files"]:
        if deadline.expired():
            found.unknown("log", f"there was no time for {path}")
            return
        try:
            tail = read_tail(path, LOG_BYTES)
        except OSError as error:
            found.unknown("log", f"{path}: {error.strerror or error}")
            continue
        if tail.offset:
            found.unknown("log", f"{path} is long; only its last {LOG_BYTES} bytes were read")
        lines = audit_accounts.refusals(tail, since, time.time())
        if lines:
            first, last = iso(lines[0][0]) or "?", iso(lines[-1][0]) or "?"
            what = f"{len(lines)} lines of {path} tell of somebody who was not let in, {first} to {last}"
            found.add("authorization_refused", SUSPICIOUS, what, f"the last: {lines[-1][1]}", path)


def _malware(params: Params, _since: float, deadline: Deadline, found: Findings) -> None:
    """On a copy: a scanner reads what an intruder wrote, and a scan in place would change the times of access."""
    paths = [*params["watched_paths"], *filter(None, [params["config_repository"]])]
    if not paths:
        found.unknown("malware", "not scanned: nobody says what (hft_watched_paths)")
        return
    if run_command(["clamscan", "--version"], timeout=max(0.1, deadline.remaining())).rc == MISSING:
        found.unknown("malware", "not scanned: there is no clamscan here")
        return
    with private_copy() as copy:
        for number, path in enumerate(paths):
            try:
                copy.take(path, str(number), deadline)
            except OSError as error:
                found.unknown("malware", f"{path} was not scanned: {error.strerror or error}")
        for why in copy.incomplete:
            found.unknown("malware", why)
        # What is left of the time is the scan's, less what it takes to clear up.
        ran = copy.run(["clamscan", "--recursive", "--infected", "--no-summary", "--stdout", copy.folder],
                       timeout=max(0.1, deadline.remaining()))  # fmt: skip
        originals = {str(number): path for number, path in enumerate(paths)}
        for row in ran.out.splitlines():
            place, _colon, name = row.rpartition(": ")
            if name.endswith(" FOUND"):
                first, _slash, rest = os.path.relpath(place, copy.folder).partition("/")
                path = os.path.join(originals.get(first, first), rest).rstrip("/")
                found.add("malware", ALARMING, f"{path}: {name[: -len(' FOUND')]}", "by clamscan", path)
        if ran.problem or ran.rc not in (0, 1):
            found.unknown("malware", f"not scanned to its end: {ran.complaint}")
        elif ran.rc == 0:
            found.add("malware_scan", INFO, "clamscan knows nothing of what it was shown, which proves little")


#: In the order in which they are told.
CHECKS: dict[str, Check] = {
    "repository": _repository,
    "release": _release,
    "processes": _processes,
    "sockets": _sockets,
    "persistence": _persistence,
    "setuid": _setuid,
    "kernel": _kernel,
    "packages": _packages,
    "logins": _logins,
    "log": _log,
    "malware": _malware,
}

ARGUMENT_SPEC: dict[str, Any] = {
    "checks": {"type": "list", "elements": "str", "choices": list(CHECKS), "default": list(CHECKS)},
    "since": {"type": "str"},
    "approved": {"type": "dict", "default": {}},
    "config_repository": {"type": "path"},
    "watched_paths": {"type": "list", "elements": "str", "default": []},
    "log_files": {"type": "list", "elements": "str", "default": []},
    "expected_programs": {"type": "list", "elements": "str", "default": []},
    "expected_listeners": {"type": "list", "elements": "str"},
    "expected_peers": {"type": "list", "elements": "str"},
    "known_networks": {"type": "list", "elements": "str"},
    "package_baseline": {"type": "dict", "default": {}},
    "kernel_modules": {"type": "list", "elements": "str"},
    "setuid_paths": {
        "type": "list",
        "elements": "str",
        "default": ["/usr/bin", "/usr/sbin", "/usr/local", "/opt", "/home", "/root", *audit_host.OPEN_FOLDERS[:3]],
    },
    "accepted_findings": {"type": "list", "elements": "dict", "default": []},
    "require": {"type": "str", "choices": ["clean"]},
    "journalctl": {"type": "str", "default": "journalctl"},
    "timeout": {"type": "float", "default": 60.0},
}


def _sentence(counts: dict[str, int], alarming: Sequence[str], unknown: int) -> str:
    parts = [f"{count} {severity}" for severity, count in reversed(list(counts.items())) if count]
    told = f"findings: {', '.join(parts) or 'none'}"
    if alarming:
        told += f" ({'; '.join(alarming[:3])}{'; …' if len(alarming) > 3 else ''})"
    return f"{told}; {unknown} parts unknown" if unknown else told
