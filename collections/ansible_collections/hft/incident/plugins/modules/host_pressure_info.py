# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How hard a host is pressed, as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_pressure_info
short_description: Measure pressure, memory, disks and the unit's limits of a host as numbers
version_added: 0.2.0
description:
  - Reads C(/proc/pressure), C(/proc/meminfo), C(/proc/loadavg), the file systems of O(paths) and the unit's cgroup.
  - Units are in the names, C(_bytes), C(_percent), C(_us), C(_s). Nothing that is printed for people is parsed.
  - Judges by no threshold, since a trading engine that polls is at 100 % by design. RV(notable) names only what stands
    in a program's way by itself, such as a full disk.
  - What this host does not tell is null, with the reason in RV(not_seen).
extends_documentation_fragment:
  - hft.incident.host_tools
  - hft.incident.attributes.reads
options:
  unit:
    description: The unit whose cgroup is measured, with or without C(.service).
    type: str
  paths:
    description: Absolute paths whose file systems are measured, such as the log folder.
    type: list
    elements: path
    default:
      - /
  timeout:
    description: Seconds for C(systemctl).
    type: float
    default: 5.0
author:
  - hft-incident contributors (@hft-incident)
seealso:
  - module: hft.incident.crash_report_info
"""

EXAMPLES = r"""
- name: Is the host in trouble?
  hft.incident.host_pressure_info:
    unit: "{{ hft_unit }}"
    paths: "{{ ['/'] + hft_log_files | map('dirname') | unique }}"
  register: host

- name: Say what stands in the way
  ansible.builtin.debug:
    var: host.notable
"""

RETURN = r"""
pressure:
  description:
    - For C(cpu), C(memory) and C(io), under C(some) and C(full), the share of time in which some, or all, tasks waited.
    - Null where the kernel does not tell it.
  returned: always
  type: dict
  sample:
    cpu:
      some: {avg10_percent: 0.95, avg60_percent: 1.3, avg300_percent: 0.77, total_us: 1482089027}
      full: {avg10_percent: 0.0, avg60_percent: 0.0, avg300_percent: 0.0, total_us: 0}
    memory: null
    io:
      some: {avg10_percent: 0.76, avg60_percent: 0.44, avg300_percent: 0.11, total_us: 34858880}
      full: {avg10_percent: 0.64, avg60_percent: 0.37, avg300_percent: 0.09, total_us: 26092736}
memory:
  description: The host's memory; null for what its kernel does not tell.
  returned: always
  type: dict
  sample:
    total_bytes: 67430125568
    free_bytes: 1226842112
    available_bytes: 41289650176
    dirty_bytes: 303104
    writeback_bytes: 0
    committed_bytes: 21474836480
    commit_limit_bytes: 33715060736
    swap_total_bytes: 0
    swap_free_bytes: 0
load:
  description: Tasks that run or wait for a disk, averaged over 1, 5 and 15 minutes; those that run now; all.
  returned: always
  type: dict
  sample: {avg1: 1.2, avg5: 0.9, avg15: 0.7, running: 2, tasks: 412}
cpus:
  description: How many CPUs the host has.
  returned: always
  type: int
  sample: 32
uptime_s:
  description: Seconds since the host started.
  returned: always
  type: float
  sample: 864000.52
disks:
  description: The file systems of O(paths), as an ordinary program sees them.
  returned: always
  type: list
  elements: dict
  contains:
    path: {description: The path that was asked for., type: str}
    total_bytes: {description: Its size., type: int}
    available_bytes: {description: "What is left, without what is kept for root.", type: int}
    used_percent: {description: How full it is., type: float}
    inodes_total: {description: "How many files it can hold; 0 where that is not fixed.", type: int}
    inodes_available: {description: How many more., type: int}
    inodes_used_percent: {description: How full it is of files., type: float}
    read_only: {description: Whether it is mounted read-only., type: bool}
    writable: {description: Whether the user of this task may write there., type: bool}
  sample:
    - path: /var/log/hft
      total_bytes: 107374182400
      available_bytes: 0
      used_percent: 100.0
      inodes_total: 6553600
      inodes_available: 6550000
      inodes_used_percent: 0.05
      read_only: false
      writable: true
cgroup:
  description: The unit's cgroup, null where no unit is given or it has none; a limit that is not set is null.
  returned: always
  type: dict
  sample:
    path: /system.slice/hft_system.service
    memory_current_bytes: 4294967296
    memory_peak_bytes: 4294967296
    memory_high_bytes: null
    memory_max_bytes: 4294967296
    swap_current_bytes: 0
    tasks: 48
    tasks_max: 4915
    memory_events: {low: 0, high: 0, max: 312, oom: 1, oom_kill: 1}
    pressure:
      cpu: null
      memory: null
      io: null
notable:
  description: What stands in the way of a program by itself, a sentence each.
  returned: always
  type: list
  elements: str
  sample: ["/var/log/hft: the disk is full"]
not_seen:
  description: What could not be measured and why, a sentence each.
  returned: always
  type: list
  elements: str
  sample: ["/proc/pressure/memory: No such file or directory"]
record:
  description: Events for the incident's journal.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import host_pressure_info


def main() -> None:
    """The door on a host."""
    finish(
        AnsibleModule(argument_spec=host_pressure_info.ARGUMENT_SPEC, supports_check_mode=True), host_pressure_info.run
    )


if __name__ == "__main__":
    main()
