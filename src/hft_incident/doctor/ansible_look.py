# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""One run of `ansible-playbook` over ``look.yml``, and what it told: the inventory's own truth, templates and all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.deadline import Deadline
from ansible_collections.hft.incident.plugins.module_utils.redaction import scrub_text

from ..catalog import COLLECTIONS_ROOT
from ..processes import kill_tree

HERE = Path(__file__).parent
PLAYBOOK = HERE / "look.yml"
CALLBACK = "hft_told"
#: How long a host may take to let us in (s).
CONNECT_S = 5


class Told(NamedTuple):
    """One result. ``ended``: ok, failed or unreachable; times by our own clock, in seconds since 1970."""

    task: str
    host: str
    ended: str
    started_at: float
    ended_at: float
    result: Mapping[str, Any]

    @property
    def why(self) -> str:
        """Why it did not end well, in one line. Ansible's words about the inventory may quote it."""
        said = self.result.get("stderr") or self.result.get("msg") or "it gave no reason"
        return scrub_text(" ".join(str(said).split()))[:300]


class Look(NamedTuple):
    """All results; ``fault``: why there are no more ("" where it ran to its end)."""

    told: tuple[Told, ...]
    fault: str

    def of(self, task: str, host: str = "localhost") -> Told | None:
        return next((one for one in self.told if (one.task, one.host) == (task, host)), None)


def look(sources: tuple[str, ...], deadline: Deadline) -> Look:
    """Runs it; killed with all that it has started at the deadline."""
    words = [os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), str(PLAYBOOK)]
    words += [word for source in sources for word in ("-i", source)]
    try:
        process = subprocess.Popen(  # noqa: S603  # our own playbook over the inventory that was asked for
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(),
            start_new_session=True,
        )
    except OSError as error:
        return Look((), f"ansible-playbook cannot be started: {error.strerror}")
    with process:
        try:
            out, err = process.communicate(timeout=deadline.remaining())
        except subprocess.TimeoutExpired:
            kill_tree(process.pid)
            out, err = process.communicate()
            return Look(tuple(_told(out)), "ansible-playbook did not end in time")
    told = tuple(_told(out))
    return Look(told, "" if told or process.returncode == 0 else _last_words(err))


def _environment() -> dict[str, str]:
    """Ours, but with no other callback than our own: nothing is recorded, whatever the site has enabled."""
    collections = [str(COLLECTIONS_ROOT), os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")]
    return {
        **os.environ,
        "ANSIBLE_CALLBACKS_ENABLED": CALLBACK,
        "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback"),
        "ANSIBLE_STDOUT_CALLBACK": CALLBACK,
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(filter(None, collections)),
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_PIPELINING": "True",
        # A connection that an earlier run left open would prove nothing.
        "ANSIBLE_SSH_CONTROL_PATH": "none",
        "ANSIBLE_TIMEOUT": str(CONNECT_S),
        "ANSIBLE_FORKS": "25",
        # Or Ansible warns, goes on without hosts and calls that a success.
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
    }


def _told(out: str) -> Iterator[Told]:
    """Every whole line; warnings in between are none."""
    for line in out.splitlines():
        try:
            yield Told(**json.loads(line))
        except (ValueError, TypeError):
            continue


def _last_words(err: str) -> str:
    lines = [" ".join(line.split()) for line in err.splitlines() if "ERROR" in line] or ["it says nothing"]
    return f"ansible-playbook: {lines[0][:300]}"
