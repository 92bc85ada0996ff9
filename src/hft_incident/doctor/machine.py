# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The machine: its programs and versions, and room for the record."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from .. import __version__
from .findings import BAD, OK, WARN, Finding
from .site import Site

#: Free space for the record and its evidence, in bytes: below the first it may end in the middle, below the second it
#: is time to make room.
LEAST_FREE, FEW_FREE = 256 * 1024**2, 2 * 1024**3

PROGRAMS = {
    "ssh-keygen": ("approvals are signed and checked with it", "install OpenSSH's client (Debian: openssh-client)"),
    "ssh": ("hosts are reached with it", "install OpenSSH's client (Debian: openssh-client)"),
    "ansible-playbook": ("playbooks are run with it", "install ansible-core into the same virtual environment"),
}


def programs(_site: Site) -> list[Finding]:
    """The interpreter, what it needs by version, and the programs that are started."""
    return [_environment(), *_requirements(), *map(_program, PROGRAMS)]


def _environment() -> Finding:
    says = f"hft-incident {__version__}, Python {platform.python_version()} in {sys.prefix}"
    if sys.prefix == sys.base_prefix:
        mend = "python3 -m venv /opt/hft-incident && /opt/hft-incident/bin/pip install hft-incident"
        return Finding("environment", "", WARN, f"{says}: not a virtual environment, others may change it", mend)
    return Finding("environment", "", OK, says)


def _requirements() -> list[Finding]:
    """One line for all that fit, one for each that does not."""
    wanted = [Requirement(text) for text in metadata.requires("hft-incident") or ()]
    needed = [item for item in wanted if item.marker is None or item.marker.evaluate({"extra": ""})]
    wrong = [Finding("version", item.name, BAD, says, f"pip install '{item}'") for item in needed
             if (says := _misfit(item))]  # fmt: skip
    shown = ", ".join(f"{name} {metadata.version(name)}" for name in ("ansible-core", "ansible-runner"))
    return wrong or [Finding("version", "", OK, f"{len(needed)} requirements are met, {shown}")]


def _misfit(item: Requirement) -> str:
    try:
        found = metadata.version(item.name)
    except metadata.PackageNotFoundError:
        return "is not installed"
    return "" if item.specifier.contains(found, prereleases=True) else f"{found} is not {item.specifier}"


def _program(name: str) -> Finding:
    purpose, mend = PROGRAMS[name]
    # Ansible's own are found where a response finds them: beside this interpreter first.
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=path)
    return Finding("program", name, OK, found) if found else Finding("program", name, BAD, f"missing: {purpose}", mend)


def state(site: Site) -> list[Finding]:
    """The folder of all records: it can be written, nobody else can read it, and there is room."""
    home = site.home
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        mend = f"make it the responder's own: install -d -m 700 -o $USER {home}, or set HFT_INCIDENT_HOME"
        return [Finding("state", "", BAD, f"{home} cannot be written: no incident could be opened", mend)]
    return [_private(home, there), _room(there)]


def _private(home: Path, there: Path) -> Finding:
    if there != home:
        return Finding("state", "", OK, f"{home} is made with the first incident")
    if home.stat().st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        return Finding("state", "", WARN, f"{home} is open to others", f"chmod 700 {home}")
    return Finding("state", "", OK, f"{home} can be written, and is private")


def _room(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    says, mend = f"{free / 1024**3:.1f} GiB free for the record and its evidence", f"make room on the disk of {folder}"
    if free >= FEW_FREE:
        return Finding("disk", "", OK, says)
    return Finding("disk", "", BAD if free < LEAST_FREE else WARN, says, mend)
