#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a service and see it stay up, stop it and see it gone, or freeze it; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_state
short_description: Start a service and see it stay up, stop it and see it gone, or freeze it
version_added: 0.2.0
description:
  - Starts, stops, freezes or thaws one systemd service of the host. That C(systemctl) says yes is not taken for proof.
    A started service must keep running, with the same process, for O(settle) seconds; a stopped one must have no
    process, and none on its way.
  - A start that is refused by an assertion of the unit (C(AssertPathExists=!) of the hold file, which module
    M(hft.incident.latch) writes) ends as V(held) and names the file.
  - Close the latch before you stop a trading system. Otherwise C(Restart=) of the unit may be faster than you.
extends_documentation_fragment:
  - hft.incident.host_tools
  - hft.incident.require_evidence
options:
  unit:
    description: The service, with or without C(.service). One that the host does not have is an error.
    type: str
    required: true
  state:
    description:
      - V(started) resets a start limit that earlier crashes have reached, then starts it. A service that is restarting
        after a crash (C(activating (auto-restart\))) is not started.
      - V(stopped) stops it, also one that is only about to be restarted. One that is frozen needs O(force=true), since
        systemd would wake it first.
      - V(frozen) suspends every process of it through its control group (C(systemctl freeze)). It can do nothing then,
        and nothing is lost, neither its memory nor its connections. A service that is stopped is left alone.
      - V(thawed) lets a frozen one go on.
    type: str
    choices: [started, stopped, frozen, thawed]
    required: true
  force:
    description:
      - With O(state=stopped), kill every process of it at once (SIGKILL), and stop it only then. A stop alone wakes a
        process that hangs, which may send orders before it ends.
      - Where the kill does not work no stop is sent.
    type: bool
    default: false
  timeout:
    description: Seconds in which it must be up, or gone.
    type: float
    default: 30.0
  settle:
    description: Seconds for which a started service must stay up.
    type: float
    default: 1.0
  undoable:
    description: V(false) where this is how the response leaves the service. M(hft.incident.undo) then leaves it alone.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    description:
      - Says what would change, from the state that the service is in, and which assertion would stand in the way now.
        Whether it stays up, nobody can say.
  diff_mode:
    support: full
    description: V(running), V(stopped), V(frozen) or systemd's own words, before and after.
  idempotent:
    support: full
    description: A service that runs is not started, and one that is stopped is not stopped, again.
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Make sure that a trading system that hangs is gone, without waking it
  hft.incident.service_state:
    unit: hft_system.service
    state: stopped
    force: true

- name: Stop what an intruder may be in, once what only the memory knows is kept
  hft.incident.service_state:
    unit: hft_system.service
    state: stopped
    force: true
    require_evidence: true

- name: Hold still what may be an intruder's, with its memory
  hft.incident.service_state:
    unit: hft_system.service
    state: frozen

- name: Start it to look on, without trading
  hft.incident.service_state:
    unit: hft_system-observe.service
    state: started
    timeout: 60

- name: Start it for good
  hft.incident.service_state:
    unit: hft_system.service
    state: started
    settle: 10
    undoable: false
"""

RETURN = r"""
unit:
  description: The unit's whole name.
  returned: when the unit is known
  type: str
  sample: hft_system.service
active_state:
  description: C(ActiveState) of C(systemctl show), as it is now.
  returned: when the unit is known
  type: str
  sample: active
sub_state:
  description: C(SubState).
  returned: when the unit is known
  type: str
  sample: running
load_state:
  description: C(LoadState).
  returned: when the unit is known
  type: str
  sample: loaded
unit_file_state:
  description: C(UnitFileState).
  returned: when the unit is known
  type: str
  sample: enabled
result:
  description: C(Result), how its last run ended, V(success) while it runs.
  returned: when the unit is known
  type: str
  sample: success
exec_main_code:
  description: C(ExecMainCode), how the last main process ended, 1 by itself, 2 by a signal, 3 by one that dumps core.
  returned: when the unit is known
  type: int
  sample: 0
exec_main_status:
  description: C(ExecMainStatus), the exit status or the number of the signal.
  returned: when the unit is known
  type: int
  sample: 0
n_restarts:
  description: C(NRestarts), how often it was restarted automatically.
  returned: when the unit is known
  type: int
  sample: 0
main_pid:
  description: C(MainPID), 0 where there is no process.
  returned: when the unit is known
  type: int
  sample: 4711
freezer_state:
  description: C(FreezerState); empty where the host's systemd cannot freeze.
  returned: when the unit is known
  type: str
  sample: running
before:
  description: The same fields as they were before anything was done.
  returned: when the unit is known
  type: dict
  sample:
    load_state: loaded
    active_state: failed
    sub_state: failed
    result: core-dump
    exec_main_code: 3
    exec_main_status: 11
    n_restarts: 2
    main_pid: 0
    unit_file_state: enabled
    freezer_state: running
held_by:
  description: The assertions of the unit's files that forbid a start now. Empty with O(state=stopped).
  returned: when the unit is known
  type: list
  elements: str
  sample: ["AssertPathExists=!/var/lib/hft/ir-hold"]
outcome:
  description: V(held) where an assertion refused the start, or evidence is missing that was required; V(unproven) where
    it is not up, or not gone.
  returned: on failure
  type: str
  sample: held
inverses:
  description: The task that undoes it.
  returned: when it was changed and not in check mode
  type: list
  elements: dict
  sample:
    - module: hft.incident.service_state
      args: {unit: hft_system-observe.service, state: stopped, timeout: 30.0, systemctl: systemctl}
      describe: stop hft_system-observe.service
record:
  description: The event for the incident's journal, C(service.changed).
  returned: when it was changed and not in check mode
  type: list
  elements: dict
  sample:
    - kind: service.changed
      data: {unit: hft_system.service, state: stopped, before: running}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import service_state


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=service_state.ARGUMENT_SPEC, supports_check_mode=True), service_state.run)


if __name__ == "__main__":
    main()
