# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What all checks look at: where the record and the inventory are, and the venues file that both doors read."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.deadline import Deadline
from ansible_collections.hft.incident.plugins.module_utils.settings import Settings

#: Who may own what decides whom the red button speaks to: root, and who presses it.
TRUSTED = frozenset((0, os.geteuid()))


class Site(NamedTuple):
    """``sources``: the inventory, as `ansible-playbook -i` takes it; empty where none was found. ``settings``: the
    venues file at ``venues_path``, empty where there is none. ``deadline`` bounds every check."""

    home: Path
    sources: tuple[str, ...]
    venues_path: str
    settings: Settings
    deadline: Deadline


def exposure(path: str) -> str:
    """Who else may change the file, in words that are their own mend; "" where nobody may."""
    try:
        found = os.stat(os.path.expanduser(path))
    except OSError as error:
        return f"cannot be looked at: {(error.strerror or 'error').lower()}; see who owns its folder"
    if found.st_uid not in TRUSTED:
        return f"belongs to uid {found.st_uid}; chown it to root, or to the responder's account"
    return "may be changed by others; chmod o-w it" if found.st_mode & stat.S_IWOTH else ""


def command_fault(words: Sequence[str]) -> tuple[str, str] | None:
    """Why a command of the inventory could not be started here, or should not be, and the mend; None where it can."""
    name = words[0]
    if os.sep in name and not os.path.isabs(name):
        return f"{name} is no absolute path: where it is looked for nobody knows", "write its whole path"
    found = shutil.which(name)
    if found is None:
        there = os.path.exists(name)
        return (
            (f"{name} may not be executed", f"chmod u+x {name}") if there else (f"{name} is not there", "put it there")
        )
    if who := exposure(found):
        says, _, mend = who.partition("; ")
        return f"{found} {says}", mend
    return None


def texts(value: object) -> tuple[str, ...]:
    """As Ansible reads an option that is a list of texts."""
    if isinstance(value, str):
        return tuple(value.split(","))
    return tuple(map(str, value)) if isinstance(value, Sequence) else ()
