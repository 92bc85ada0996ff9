# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A suspect host isolated, from the control node, which must still get in and sees whether it does."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.loader import connection_loader

from ansible_collections.hft.incident.plugins.module_utils.errors import UnprovenError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.isolation_host import CONTROL_NODE
from ansible_collections.hft.incident.plugins.module_utils.steps import Context, Params, Result, Step, host_isolation
from ansible_collections.hft.incident.plugins.plugin_utils.door import Door

#: Of what ssh reads twice it takes the first. Never through a socket that is open already; and one that gets no answer
#: any more says so within 15 seconds.
NEW_CONNECTION = "-o ControlMaster=no -o ControlPath=none -o ServerAliveInterval=5 -o ServerAliveCountMax=3"


class ActionModule(Door):
    step = host_isolation
    stays = True
    _connection: Any  # Ansible says no type

    def _step_for(self, task_vars: Mapping[str, Any]) -> Step:
        host = str(task_vars.get("inventory_hostname", "localhost"))
        if self._task.delegate_to:
            return partial(_refuse, "delegate_to: play it on the host itself, where it is undone later")
        here = self._connection.transport == "local"
        part = partial(_refuse, CONTROL_NODE) if here else partial(self._ship, task_vars)
        return lambda params, context: host_isolation.run_on(params, context, host, part)

    def _ship(self, task_vars: Mapping[str, Any], params: Params, _context: Context) -> Result:
        """The host's part, done by the module there, over a connection that is made for it and closed after it."""
        used, self._connection = self._connection, self._another_connection()
        try:
            shipped: Result = self._execute_module(module_args=dict(params), task_vars=dict(task_vars))
        except AnsibleError as error:
            raise UnprovenError(f"{task_vars.get('inventory_hostname')} cannot be reached: {_line(error)}") from None
        finally:
            self._connection.close()
            self._connection = used
        return shipped

    def _another_connection(self) -> Any:
        """Of the same kind, with the same options, to the same host."""
        used = self._connection
        fresh = connection_loader.get(used.ansible_name, self._play_context, task_uuid=self._task._uuid)
        fresh._options, fresh._shell = dict(used._options), used._shell
        fresh.set_become_plugin(used.become)
        if "ssh_args" in fresh._options:
            fresh.set_option("ssh_args", f"{NEW_CONNECTION} {fresh.get_option('ssh_args') or ''}")
        return fresh


def _line(error: AnsibleError) -> str:
    return " ".join(str(error).split())


def _refuse(why: str, _params: Params, _context: Context) -> Result:
    raise UsageError(why)
