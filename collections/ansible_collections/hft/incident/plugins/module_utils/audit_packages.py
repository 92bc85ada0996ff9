# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The packages of a host: files against what was installed, versions against a baseline kept elsewhere, and programs
that belong to none.

Source: seed-faults A11 (verify packages against a trusted baseline). The hashes that dpkg and rpm compare with lie on
the host itself; without a baseline from elsewhere, what agrees proves little.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .audit_findings import ALARMING, INFO, SUSPICIOUS, Findings
from .deadline import Deadline
from .host_command import MISSING, Ran
from .host_command import run as run_command

CHECK = "packages"
OUTPUT = 8 * 1024 * 1024
#: Folders that small images leave away from their packages.
_TRIMMED = ("/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/info/", "/usr/share/lintian/")


class Manager(NamedTuple):
    """``owner`` is asked with many paths at once, and says ``PACKAGE: PATH`` or nothing for each."""

    name: str
    verify: tuple[str, ...]
    versions: tuple[str, ...]
    owner: tuple[str, ...]


MANAGERS = (
    Manager(
        "dpkg",
        ("dpkg", "--verify"),
        ("dpkg-query", "-W", "-f", "${db:Status-Abbrev}\t${binary:Package}\t${Version}\n"),
        ("dpkg-query", "-S"),
    ),
    Manager("rpm", ("rpm", "-Va"), ("rpm", "-qa", "--qf", "ii\t%{NAME}\t%{VERSION}-%{RELEASE}\n"), ("rpm", "-qf")),
)


class Changed(NamedTuple):
    """A line of a verification. ``sort``: ``c`` for a configuration file, "" for any other."""

    path: str
    content: bool
    missing: bool
    sort: str


_ROW = re.compile(r"(?P<tests>[.?SM5DLUGTPC]{8,9})\s+(?:(?P<sort>[cdglr])\s+)?(?P<path>/.*)")
_GONE = re.compile(r"missing\s+(?:(?P<sort>[cdglr])\s+)?(?P<path>/.*?)(?: \(.*\))?")


def verification(output: str) -> list[Changed]:
    """What ``dpkg --verify`` and ``rpm -Va`` print."""
    found = []
    for row in output.splitlines():
        match, gone = _ROW.fullmatch(row.rstrip()), _GONE.fullmatch(row.rstrip())
        if match:
            found.append(Changed(match["path"], "5" in match["tests"], False, match["sort"] or ""))
        elif gone:
            found.append(Changed(gone["path"], False, True, gone["sort"] or ""))
    return found


def audit(found: Findings, baseline: Mapping[str, str], programs: Sequence[str], deadline: Deadline) -> None:
    """With whichever manager this host has."""
    for manager in MANAGERS:
        ran = _run(manager.versions, deadline)
        if ran.ok and ran.out.strip():
            _versions(found, manager, ran.out, baseline)
            _owners(found, manager, programs, deadline)
            _verify(found, manager, deadline)
            return
    found.unknown(CHECK, "neither dpkg nor rpm says what is installed here")


def _verify(found: Findings, manager: Manager, deadline: Deadline) -> None:
    ran = _run(manager.verify, deadline)
    if ran.problem or ran.truncated:
        found.unknown(CHECK, f"{' '.join(manager.verify)}: {ran.problem or 'it says too much'}")
    elif ran.rc and not verification(ran.out):
        found.unknown(CHECK, f"{' '.join(manager.verify)}: {ran.complaint}")
    for changed in verification(ran.out):
        if changed.missing and not changed.path.startswith(_TRIMMED):
            severity = INFO if changed.sort == "c" else SUSPICIOUS
            found.add("package_file_missing", severity, f"{changed.path} of a package is gone", path=changed.path)
        elif changed.content and changed.sort == "c":
            what = f"{changed.path}, a configuration file of a package, was changed"
            found.add("package_config_changed", INFO, what, path=changed.path)
        elif changed.content:
            what = f"{changed.path} is not the file that its package installed"
            found.add("package_file_changed", ALARMING, what, f"by {manager.name}", changed.path)


def _versions(found: Findings, manager: Manager, output: str, baseline: Mapping[str, str]) -> None:
    if not baseline:
        why = "there is no baseline from elsewhere (hft_package_baseline); the host's own hashes may be an intruder's"
        found.unknown(CHECK, why)
        return
    rows = (row.split("\t") for row in output.splitlines())
    installed = {row[1].partition(":")[0]: row[2] for row in rows if len(row) == 3 and row[0].startswith("ii")}
    for name, version in sorted(installed.items()):
        if name not in baseline:
            found.add("package_unknown", SUSPICIOUS, f"package {name} {version} is not in the baseline")
        elif str(baseline[name]) != version:
            what = f"package {name} is {version}, and {baseline[name]} in the baseline"
            found.add("package_version", SUSPICIOUS, what, f"by {manager.name}")
    for name in sorted(set(baseline) - set(installed)):
        found.add("package_absent", INFO, f"package {name} of the baseline is not installed")


def _owners(found: Findings, manager: Manager, programs: Sequence[str], deadline: Deadline) -> None:
    """Programs that run and belong to no package."""
    if not programs:
        return
    # The same file by both of its names, before and after /bin became a part of /usr.
    names = {path: [path, path[4:]] if path.startswith("/usr/") else [path] for path in programs}
    ran = _run([*manager.owner, *(name for both in names.values() for name in both)], deadline)
    if ran.problem:
        found.unknown(CHECK, f"whose the programs are that run: {ran.problem}")
        return
    if manager.name == "rpm":
        said = ran.out.splitlines() + ran.err.splitlines()
        strangers = {row.split("file ", 1)[1].split(" is not owned")[0] for row in said if " is not owned by" in row}
        owned = {name for both in names.values() for name in both} - strangers
    else:
        owned = {path for row in ran.out.splitlines() for path in [row.partition(": ")[2]]}
    for path, both in names.items():
        if not owned.intersection(both):
            found.add("program_unpackaged", SUSPICIOUS, f"{path} runs and belongs to no package", path=path)


def _run(argv: Sequence[str], deadline: Deadline) -> Ran:
    ran = run_command(argv, timeout=max(0.1, deadline.remaining()), limit=OUTPUT)
    return ran._replace(problem=f"{argv[0]} is not there") if ran.rc == MISSING and ran.problem else ran
