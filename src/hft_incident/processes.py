# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Ending a process with all that came from it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def kill_tree(root: int) -> None:
    """Ends a process and all that came from it: Ansible's workers are sessions of their own, a group is not enough."""
    family, parents = [root], _parents()
    for member in family:
        family += [pid for pid, parent in parents.items() if parent == member]
    for pid in family:
        with suppress(ProcessLookupError, PermissionError):  # it has ended, or is not ours to end
            os.kill(pid, signal.SIGKILL)


def _parents() -> dict[int, int]:
    """Each process's parent; empty where there is no /proc."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):  # it has ended as we look
            found[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return found
