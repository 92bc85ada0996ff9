# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Undoing, from the control node: the record is here, and each inverse goes through the door of its own module, which
ships it to the play's host where that is a remote one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils.incident import Inverse
from ansible_collections.hft.incident.plugins.module_utils.steps import Context, Params, Result, Step, undo
from ansible_collections.hft.incident.plugins.plugin_utils.door import Door


class ActionModule(Door):
    step = undo
    registers = False
    stays = True

    def _step_for(self, task_vars: Mapping[str, Any]) -> Step:
        host = str(task_vars.get("inventory_hostname", undo.CONTROL_NODE))
        return lambda params, context: undo.play(params, context, host, partial(self._perform, task_vars))

    def _perform(self, task_vars: Mapping[str, Any], inverse: Inverse, args: Params, _context: Context) -> Result:
        """The module's result, as if it were a task of this play."""
        task = self._task.copy()
        task.action, task.args = inverse.module, dict(args)
        found = self._shared_loader_obj.action_loader.get(
            inverse.module,
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        if isinstance(found, Door):
            found.registers = False
        answer = (
            found.run(task_vars=dict(task_vars))
            if found
            else self._execute_module(module_name=inverse.module, module_args=dict(args), task_vars=dict(task_vars))
        )
        result: Result = {"changed": False, "msg": "", **answer}
        return result
