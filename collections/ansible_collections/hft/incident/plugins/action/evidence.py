# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence into the incident's own folder on the control node; a remote host's is brought over and proven here."""

from __future__ import annotations

import os
import shlex
import time
import uuid
from base64 import b64decode
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.hft.incident.plugins.module_utils.errors import UnprovenError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.evidence_manifest import (
    FACTS,
    MANIFEST,
    create,
    listed,
    make_folder,
    sync,
    sync_folder,
)
from ansible_collections.hft.incident.plugins.module_utils.incident import ENV_DIR, Incident
from ansible_collections.hft.incident.plugins.module_utils.steps import Context, Params, evidence, run_step
from ansible_collections.hft.incident.plugins.plugin_utils.door import Door, refusal

Result = dict[str, Any]

#: What Ansible adds to a module's result, some of it in types of its own.
ANSIBLES_OWN = ("invocation", "exception", "warnings", "deprecations")


class ActionModule(Door):
    step = evidence

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The step here, or its folder brought over from a remote host; either way what it says is of this node."""
        ActionBase.run(self, tmp, task_vars)
        variables = task_vars or {}
        try:
            said = {"host": variables.get("inventory_hostname"), **self._arguments(variables)}
            params = dict(self._checked(said))
        except UsageError as error:
            return refusal(error)
        case = _Case(os.environ.get(ENV_DIR), self._loader.get_basedir())
        params["dest"] = case.place(params["dest"])

        def step(given: Params, context: Context) -> Result:
            if self._connection.transport == "local":
                return evidence.keep({**given, "clock_offset": 0.0}, context.check, case.recorded)
            return self._brought(given, context, case, variables)

        result = run_step(step, params, self._context(variables))
        return case.as_recorded(result, self._works_on(variables, self._connection.transport != "local"))

    def _brought(self, params: Params, context: Context, case: _Case, task_vars: dict[str, Any]) -> Result:
        """Raises IncidentError."""
        asked, _limits, _tools, place = evidence.given(params)
        before = evidence.finished(place, asked, case.recorded)
        if before:
            return evidence.described(before, place, case.recorded, changed=False)
        there = os.path.join(params["host_dest"], f"hft-evidence-{uuid.uuid4().hex}")
        args = {**params, "dest": there}
        if args["clock_offset"] is None and not context.check:
            args["clock_offset"] = self._clock_offset()
        said = self._execute_module(module_args=args, task_vars=task_vars)
        result: Result = {name: value for name, value in said.items() if name not in ANSIBLES_OWN}
        if result.get("failed"):
            if "outcome" in result:  # the step's own word that nothing was kept
                self._removed(there)
            return result
        if context.check:
            return {**result, "folder": place, "msg": f"would keep {len(result['items'])} items in {place}"}
        source, folder = result["folder"], evidence.fresh_folder(place)
        try:
            self._fetch(source, folder, task_vars, readable=self._readable(there))
            kept = evidence.proven(folder, result["manifest_sha256"])
        except (UnprovenError, AnsibleError, OSError, ValueError) as error:
            host = params["host"]
            raise UnprovenError(f"the evidence of {host} is still on it, in {source}: {_line(error)}") from None
        told = evidence.described(kept, place, case.recorded, changed=True)
        if not self._removed(there):
            told["msg"] += f"; the host's own copy is still in {there}"
        return told

    def _clock_offset(self) -> float | None:
        """How far ahead of ours the host's clock is (s): ours is taken half-way through the question."""
        before = time.time()
        said = self._low_level_execute_command("date -u +%s.%N", sudoable=False)["stdout"].strip()
        try:
            return round(float(said) - (before + time.time()) / 2, 3)
        except ValueError:
            return None

    def _removed(self, there: str) -> bool:
        return not self._low_level_execute_command(self._connection._shell.remove(there, recurse=True))["rc"]

    def _readable(self, there: str) -> bool:
        """Whether the connection's own user may fetch it. Root's copy is given to that user (it is in a folder that
        only root could enter so far); what another user made stays that user's."""
        if not self._connection.become:
            return True
        uid = self._low_level_execute_command("id -u", sudoable=False)["stdout"].strip()
        return uid.isdigit() and not self._low_level_execute_command(f"chown -R {uid} {shlex.quote(there)}")["rc"]

    def _fetch(self, source: str, folder: str, task_vars: dict[str, Any], *, readable: bool) -> None:
        """The manifest says what there is; its names are checked, since the host may be in somebody else's hands."""
        self._file(source, folder, MANIFEST, task_vars, readable)
        names = listed(Path(folder, MANIFEST).read_bytes())
        if FACTS not in names:
            raise ValueError(f"its manifest does not know {FACTS}")
        for name in names:
            make_folder(os.path.dirname(os.path.join(folder, name)))
            self._file(source, folder, name, task_vars, readable)
        sync_folder(folder)

    def _file(self, source: str, folder: str, name: str, task_vars: dict[str, Any], readable: bool) -> None:
        there, here = f"{source}/{name}", os.path.join(folder, name)
        if readable:
            create(here).close()  # private from the first byte on
            self._connection.fetch_file(there, here)
            with open(here, "rb") as file:
                os.fsync(file.fileno())
            return
        # As the user that made it, and through memory: slow for what is large, but there is no other way.
        data = self._execute_module(module_name="ansible.legacy.slurp", module_args={"src": there}, task_vars=task_vars)
        if data.get("failed"):
            raise OSError(0, str(data.get("msg")))
        with create(here) as file:
            file.write(b64decode(data["content"]))
            sync(file)


class _Case:
    """The open incident, if there is one: where its evidence lies and what its journal knows of it."""

    def __init__(self, folder: str | None, base: str) -> None:
        self._incident = Incident(Path(folder).name, Path(folder)) if folder else None
        self._base = base

    def place(self, dest: str | None) -> str | None:
        """A relative ``dest`` is meant from the playbook's folder, as everywhere in Ansible."""
        if dest:
            return os.path.join(self._base, dest)
        return str(self._incident.directory / "evidence") if self._incident else None

    @property
    def recorded(self) -> dict[str, str]:
        """The hash of each manifest by its folder, as the journal had it first."""
        found: dict[str, str] = {}
        for event in self._incident.journal.events() if self._incident else ():
            if event.kind == "evidence.kept":
                folder = os.path.join(self._directory, str(event.data.get("folder")))
                found.setdefault(folder, str(event.data.get("manifest_sha256")))
        return found

    def as_recorded(self, result: Result, inventory_host: str) -> Result:
        """The journal names a folder relative to itself, so that an incident's folder can be moved as a whole; what it
        has already is not recorded twice."""
        known = self.recorded if result.get("record") else {}
        if known.get(result.get("folder", "")) == result.get("manifest_sha256"):
            result["record"] = []
        for line in result.get("record", ()):
            line["data"]["folder"] = self._relative(line["data"]["folder"])
            # `host` is the folder's name, which a task may choose; this is whose evidence it is.
            line["data"]["inventory_host"] = inventory_host
        return result

    def _relative(self, folder: str) -> str:
        inside = self._directory and Path(folder).is_relative_to(self._directory)
        return os.path.relpath(folder, self._directory) if inside else folder

    @property
    def _directory(self) -> str:
        return str(self._incident.directory) if self._incident else ""


def _line(error: Exception) -> str:
    return " ".join((getattr(error, "strerror", None) or str(error)).split())
