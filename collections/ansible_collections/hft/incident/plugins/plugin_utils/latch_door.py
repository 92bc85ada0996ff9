# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door of the modules about a latch: its record, its API and who may open it are on the control node, its hold file
is on the host."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ansible.errors import AnsibleConnectionFailure

from ansible_collections.hft.incident.plugins.module_utils.errors import UnprovenError
from ansible_collections.hft.incident.plugins.module_utils.steps import Context, Params, Result, Step
from ansible_collections.hft.incident.plugins.plugin_utils.door import Door


class LatchDoor(Door):
    """Subclasses name a ``step`` with ``run_on(params, context, host, host_part)``."""

    stays = True

    def _step_for(self, task_vars: Mapping[str, Any]) -> Step:
        host = str(task_vars.get("inventory_hostname", "localhost"))
        here = self._connection.transport == "local"
        part = self.step.in_process if here else partial(self._ship, task_vars)
        return lambda params, context: self.step.run_on(params, context, host, part)

    def _ship(self, task_vars: Mapping[str, Any], params: Params, _context: Context) -> Result:
        """The host's part, done by the module there. A host that cannot be reached must not keep the API from being
        closed, so it is an error like any other."""
        module = f"hft.incident.{self.step.__name__.rpartition('.')[2]}"
        try:
            shipped: Result = self._execute_module(
                module_name=module, module_args=dict(params), task_vars=dict(task_vars)
            )
        except AnsibleConnectionFailure as error:
            raise UnprovenError(f"{task_vars.get('inventory_hostname')} cannot be reached: {error}") from None
        return {"changed": False, "msg": "the host gave no result", **shipped}
