# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The wrapper over the real ansible-runner and ansible-playbook in a world of its own: only the playbook stands in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import hft_incident
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, list_incidents
from hft_incident import Outcome, catalog, respond

SOURCES = os.pathsep.join([str(Path(hft_incident.__file__).parents[1]), str(catalog.COLLECTIONS_ROOT)])

# Stands for a module of the collection that fails the way it is told to.
SAY = """
from ansible.plugins.action import ActionBase
class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        return {**super().run(tmp, task_vars), "changed": False, **self._task.args}
"""

INVENTORY = """
all:
  hosts:
    localhost: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
"""

LOOK = """
- name: Look
  hosts: localhost
  gather_facts: false
  tags: [detect]
  tasks:
    - name: Say which
      ansible.builtin.debug: {msg: "it is {{ exchange }}"}
"""
TOUCH = """
- name: Act
  hosts: localhost
  gather_facts: false
  tags: [contain]
  tasks:
    - name: Touch
      ansible.builtin.copy: {content: "", dest: "{{ playbook_dir }}/touched"}
"""
WAIT = """
    - name: Wait
      ansible.builtin.wait_for: {path: "{{ playbook_dir }}/go", sleep: 1, timeout: 60}
"""


class Stage:
    """A stand-in collection with one playbook, an inventory, a state folder and a folder for scratch files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.inventory = root / "hosts.yml"
        self.scratch = root / "scratch"
        self.playbooks = root / "playbooks"
        for folder in (self.scratch, self.playbooks / "action_plugins"):
            folder.mkdir(parents=True)
        self.inventory.write_text(INVENTORY)
        (self.playbooks / "action_plugins" / "say.py").write_text(SAY)

    @property
    def go(self) -> Path:
        return self.playbooks / "go"

    @property
    def touched(self) -> Path:
        return self.playbooks / "touched"

    def playbook(self, text: str) -> Path:
        path = self.playbooks / "exchange_outage.yml"
        path.write_text(text)
        return path

    def respond(self, **options: Any) -> Outcome:
        asked = {"inputs": {"exchange": "binance"}, "inventory": str(self.inventory), "home": self.home, **options}
        return respond("exchange_outage", **asked)

    def incident(self) -> Incident:
        (found,) = list_incidents(self.home)
        return found

    def kinds(self) -> list[str]:
        return [event.kind for event in self.incident().journal.events()]

    def start_command(self, *words: str) -> subprocess.Popen[str]:
        """`hft-incident run` (or these words) as a process of its own, with the stand-in for the collection."""
        program = (
            "import sys; from pathlib import Path; from hft_incident import catalog, cli, fire_first; "
            f"catalog.COLLECTION = Path({str(self.root)!r}); sys.exit(cli.main(sys.argv[1:]))"
        )
        asked = words or ("run", "exchange_outage", "-e", "exchange=okx", "-i", str(self.inventory), "--json")
        environment = {
            **os.environ,
            "PYTHONPATH": SOURCES,
            "HFT_INCIDENT_HOME": str(self.home),
            "TMPDIR": str(self.scratch),
        }
        return subprocess.Popen(
            [sys.executable, "-P", "-c", program, *asked],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def playbook_processes(stage: Stage) -> list[int]:
    """Every process that has the stage on its command line, but for this one."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # a process that has ended has no command line
            if str(stage.playbooks) in file.read_text() and int(file.parent.name) != os.getpid():
                found.append(int(file.parent.name))
    return found


def kill_playbooks(stage: Stage) -> None:
    """`kill -9` of every playbook of the stage with its workers, and no return before they are gone."""
    while pids := playbook_processes(stage):
        for pid in pids:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGKILL)
