# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door on the control node: a module's own step, run in process where there is no remote host to go to.

An in-process step costs almost nothing, a shipped module 0.4 s (architecture.md, idea 5). On a remote host the module
itself is shipped, by the same task and with the same result.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

from ansible_collections.hft.incident.plugins.module_utils.incident import ENV_DIR, Incident
from ansible_collections.hft.incident.plugins.module_utils.intents import register
from ansible_collections.hft.incident.plugins.module_utils.steps import Context, Step, run_step


class Door(ActionBase):
    """One module's action plugin; subclasses name the ``step``."""

    step: ModuleType
    #: Whether what it intends is to be undone later; what undoes is not.
    registers = True
    #: Whether it works on the record, which is here: then it is not shipped to the play's host.
    stays = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The step's result, or the shipped module's on a remote host."""
        super().run(tmp, task_vars)
        if self._connection.transport != "local" and not self.stays:
            shipped: dict[str, Any] = self._execute_module(task_vars=task_vars)
            return shipped
        validator = ArgumentSpecValidator(self.step.ARGUMENT_SPEC, required_if=getattr(self.step, "REQUIRED_IF", None))
        checked = validator.validate(self._task.args)
        if checked.error_messages:
            return {"failed": True, "msg": "; ".join(checked.error_messages), "outcome": "usage"}
        step = self._step_for(task_vars or {})
        return run_step(step, checked.validated_parameters, self._context(task_vars or {}))

    def _step_for(self, _task_vars: Mapping[str, Any]) -> Step:
        """What is run here, for the play's host."""
        run: Step = self.step.run
        return run

    def _context(self, task_vars: Mapping[str, Any]) -> Context:
        """Where the scribe has opened a journal, what the step notes and intends goes straight into it."""
        check = bool(self._task.check_mode)
        folder = os.environ.get(ENV_DIR)
        if not folder:
            return Context(check, _nowhere)
        incident = Incident(Path(folder).name, Path(folder))

        def note(kind: str, data: Mapping[str, Any]) -> None:
            incident.journal.append(kind, data)

        if check or not self.registers:
            return Context(check, note)
        # Of a delegated task, too, the play's host: there it is undone.
        host = str(task_vars.get("inventory_hostname", ""))
        return Context(check, note, partial(register, incident, task=self._task.get_name(), host=host))


def _nowhere(_kind: str, _data: Mapping[str, Any]) -> None:
    """No incident is open."""
