# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for ``systemctl`` and its one unit that can be made to misbehave; the lab's own never lies.

Its words, exit statuses and properties are those of systemd 252.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

UNIT = "hft_system.service"
RUNNING = {"ActiveState": "active", "SubState": "running", "Result": "success", "MainPID": 4711}
CRASHED = {
    "ActiveState": "failed",
    "SubState": "failed",
    "Result": "core-dump",
    "ExecMainCode": 3,
    "ExecMainStatus": 11,
    "MainPID": 0,
}
RESTARTING = {**CRASHED, "ActiveState": "activating", "SubState": "auto-restart"}

SCRIPT = """#!{python} -SE
import json, os, sys, time

PATH = {path!r}
with open(PATH) as file:
    world = json.load(file)
verb, options, unit = sys.argv[1], sys.argv[2:-1], sys.argv[-1]
world["calls"].append(" ".join([verb, *options] if verb != "show" else [verb]))
state, misbehaves = world["state"], world["on"].get(verb)
STOPPED = dict(ActiveState="inactive", SubState="dead", MainPID=0)


def leave(rc, words=""):
    with open(PATH + ".new", "w") as file:
        json.dump(world, file)
    os.rename(PATH + ".new", PATH)
    sys.stderr.write(words + "\\n" if words else "")
    sys.exit(rc)


if misbehaves == "hang":
    leave_open = os.fork()
    if not leave_open:
        leave(0)
    time.sleep(1000)
if misbehaves == "bus":
    leave(1, "Failed to connect to bus: No such file or directory")
if misbehaves == "denied":
    leave(4, "Failed to " + verb + " " + unit + ": Access denied")
if verb == "show":
    if misbehaves == "nonsense":
        print("<html>")
        leave(0)
    then = world["then"].pop(0) if world["then"] and world["begun"] else None
    state.update(then or {{}})
    shown = state if unit == world["unit"] else dict(state, LoadState="not-found", FragmentPath="", **STOPPED)
    for name in options[1].split(","):
        print(name + "=" + str(shown[name]))
    leave(0)
if unit != world["unit"]:
    leave(5, "Failed to " + verb + " " + unit + ": Unit " + unit + " not found.")
if verb == "reset-failed":
    if state["ActiveState"] == "failed":
        state.update(ActiveState="inactive", SubState="dead")
    state.update(NRestarts=0, Result="success")
if verb == "start":
    state["AssertResult"] = "no" if os.path.exists(world["hold"]) else "yes"
    if state["AssertResult"] == "no":
        state.update(STOPPED)
        leave(1, "Assertion failed on job for " + unit + ".")
    if state["Result"] == "start-limit-hit":
        leave(1, "Job for " + unit + " failed.")
    state.update(ActiveState="active", SubState="running", Result="success", MainPID=4711, ExecMainCode=0,
                 ExecMainStatus=0)
    world["begun"] = True
if verb == "kill" and misbehaves != "survives" and state["MainPID"]:
    state.update(ActiveState="failed", SubState="failed", Result="signal", MainPID=0, ExecMainCode=2, ExecMainStatus=9)
    state.update(FreezerState="running" if state["FreezerState"] else "")
if verb in ("freeze", "thaw"):
    if not state["MainPID"]:
        leave(1, "Failed to " + verb + " unit " + unit + ": Unit is not active.")
    if misbehaves != "ignores":
        state["FreezerState"] = "frozen" if verb == "freeze" else "running"
if verb == "stop":
    world["woken"] = world["woken"] or bool(state["MainPID"])
    if misbehaves == "survives":
        state.update(ActiveState="deactivating", SubState="stop-sigterm")
    elif state["ActiveState"] != "failed":
        state.update(STOPPED)
leave(0)
"""


class Systemctl:
    """``program`` is the command; tests set the unit's properties and ``on``: how a verb misbehaves ("hang", "bus",
    "denied", "nonsense", "survives", "ignores"). ``then``: what has happened to a started unit by each further look.
    """

    def __init__(self, folder: Path, **state: Any) -> None:
        self.hold_file = folder / "ir-hold"
        self.unit_file = folder / UNIT
        self.unit_file.write_text(f"[Unit]\nAssertPathExists=!{self.hold_file}\n[Service]\nExecStart=/opt/hft\n")
        self._path = folder / "systemctl.json"
        program = folder / "systemctl"
        program.write_text(SCRIPT.format(python=sys.executable, path=str(self._path)))
        program.chmod(0o755)
        self.program = str(program)
        self._write(
            {
                "unit": UNIT,
                "hold": str(self.hold_file),
                "calls": [],
                "on": {},
                "then": [],
                "begun": False,
                "woken": False,
                "state": {
                    "LoadState": "loaded",
                    "ActiveState": "inactive",
                    "SubState": "dead",
                    "Result": "success",
                    "ExecMainCode": 0,
                    "ExecMainStatus": 0,
                    "NRestarts": 0,
                    "MainPID": 0,
                    "UnitFileState": "enabled",
                    "AssertResult": "no",
                    "FragmentPath": str(self.unit_file),
                    "DropInPaths": "",
                    "FreezerState": "running",
                    **state,
                },
            }
        )

    def misbehave(self, on: Mapping[str, str] | None = None, *, then: Sequence[Mapping[str, Any]] = ()) -> None:
        self._write({**self._read(), "on": dict(on or {}), "then": list(then)})

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self._read()["state"]
        return found

    @property
    def writes(self) -> list[str]:
        return [call for call in self._read()["calls"] if call != "show"]

    @property
    def woken(self) -> bool:
        """Whether a living process was sent SIGTERM, and SIGCONT with it."""
        return bool(self._read()["woken"])

    def _read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._path.read_text())
        return found

    def _write(self, world: dict[str, Any]) -> None:
        self._path.write_text(json.dumps(world))
