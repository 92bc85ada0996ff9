# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the trading process died, as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: crash_report_info
short_description: Say how a trading process died, with the lines that prove it
version_added: 0.2.0
description:
  - Looks at the properties of the unit, its journal, the program's log files, the kernel's log and the process itself
    where it still lives, and says what happened by a fixed table of real messages.
  - Only the last life of the process counts. What was logged before it started, and what the kernel says of another
    process, proves nothing.
  - A cause that is logged before its consequence beats it. A lost database, then an exception, then an exit status is
    a lost database.
  - Finds the core dump through C(kernel.core_pattern) and never reads it.
  - Lists what changed lately, files and packages.
  - What may not or cannot be seen is said in RV(not_seen) and is no failure of the task.
extends_documentation_fragment:
  - hft.incident.host_tools
  - hft.incident.attributes.reads
options:
  unit:
    description: The unit of the trading system, with or without C(.service).
    type: str
    required: true
  log_files:
    description:
      - The program's log files, as absolute paths. Of a large one only the end is read.
      - Their lines need a time at the beginning, ISO 8601, syslog's or glog's, or a JSON field C(time), C(ts) or
        C(timestamp). A time without a zone is local time. Without times give O(start_marker).
      - Where it is left out, C(hft_log_files) of the inventory is taken.
    type: list
    elements: path
    default: []
  start_marker:
    description: A regular expression for the line that the program logs when it starts; only what follows counts.
    type: str
    default: ""
  answering:
    description:
      - Whether the trading system answers, as a probe of its API found. A process that lives and does not answer is
        V(hung).
      - Without it only a process that is stopped (by SIGSTOP or a debugger) is known to be.
    type: bool
  since:
    description: Nothing older than so many seconds counts; seven days at the most.
    type: float
    default: 86400.0
  max_lines:
    description: So many lines are taken from each source, the newest ones.
    type: int
    default: 5000
  max_bytes:
    description: So much is read of each file, from its end.
    type: int
    default: 4194304
  watched_paths:
    description:
      - Files and folders, as absolute paths, whose changes are listed. Links are not followed.
      - Where it is left out, C(hft_watched_paths) of the inventory is taken.
    type: list
    elements: path
    default: []
  package_logs:
    description: Logs of package managers whose changes are listed. One that is not there is another host's.
    type: list
    elements: path
    default:
      - /var/log/dpkg.log
      - /var/log/apt/history.log
      - /var/log/dnf.rpm.log
  changed_within:
    description: Changes of the last so many seconds are listed; seven days at the most.
    type: float
    default: 86400.0
  timeout:
    description: Seconds for each command of the host.
    type: float
    default: 10.0
author:
  - hft-incident contributors (@hft-incident)
seealso:
  - module: hft.incident.host_pressure_info
  - module: hft.incident.release_info
"""

EXAMPLES = r"""
- name: How did it die?
  hft.incident.crash_report_info:
    unit: "{{ hft_unit }}"
    log_files: "{{ hft_log_files }}"
    watched_paths: "{{ hft_watched_paths }}"
    answering: "{{ detected.all_answer }}"
  register: crash

- name: Mend the database first
  ansible.builtin.debug:
    msg: "{{ crash.because | map(attribute='text') }}"
  when: crash.kind in ['database_connection_lost', 'database_read_only']
"""

RETURN = r"""
kind:
  description:
    - V(segmentation_fault), V(out_of_memory), V(assertion_failure), V(unhandled_exception), V(disk_full),
      V(database_connection_lost), V(database_read_only) or V(bad_configuration), what ended it.
    - V(killed_by_signal), a signal ended it and nothing tells why; RV(signal) is its name.
    - V(hung), it lives and does not answer, or its watchdog ended it for that.
    - V(clean_stop), it ended as asked. V(running), it lives.
    - V(unknown), nothing proves anything.
  returned: always
  type: str
  sample: database_connection_lost
confidence:
  description:
    - V(proven), the kernel or the service manager says so. V(reported), the program itself did as it died.
    - V(indicated), a general sign which something else may have caused. V(none), there is nothing.
  returned: always
  type: str
  sample: reported
because:
  description: What decided, the strongest first, verbatim but for secrets, eight at the most.
  returned: always
  type: list
  elements: dict
  contains:
    kind: {description: What it tells., type: str}
    source: {description: "V(unit), V(process), V(journal), V(kernel) or the path of a file.", type: str}
    place: {description: "Where in it, C(line 12), C(byte 81920) of a large file, or the journal's time.", type: str}
    at: {description: When it was logged (UTC)., type: str}
    text: {description: The line., type: str}
    why: {description: What it means., type: str}
  sample:
    - kind: database_connection_lost
      source: /var/log/hft/engine.log
      place: line 1182
      at: "2026-11-24T03:05:31.123456Z"
      text: "2026-11-24T03:05:31.123456Z CRITICAL [ledger] server closed the connection unexpectedly"
      why: the database client lost the server
also:
  description: What was seen besides and decided nothing, as RV(because).
  returned: always
  type: list
  elements: dict
not_counted:
  description: What looks alike and is of another process, as RV(because).
  returned: always
  type: list
  elements: dict
contradictions:
  description: What does not fit together, a sentence each.
  returned: always
  type: list
  elements: str
  sample: []
signal:
  description: The signal that ended it.
  returned: always
  type: str
  sample: SIGSEGV
exit_status:
  description: Its exit status, where it ended by itself.
  returned: always
  type: int
  sample: 1
repeated:
  description: Whether it crashed more than once, or was started again after a crash.
  returned: always
  type: bool
  sample: false
crashes:
  description: How often it crashed within O(since), as far as the journal and the service manager know.
  returned: always
  type: int
  sample: 1
n_restarts:
  description: How often the service manager started it again by itself.
  returned: always
  type: int
  sample: 0
unit:
  description: The unit.
  returned: always
  type: str
  sample: hft_system.service
properties:
  description: What C(systemctl show) says of it.
  returned: always
  type: dict
  sample: {ActiveState: failed, SubState: failed, Result: exit-code, ExecMainCode: "1", ExecMainStatus: "1"}
started_at:
  description: When its last life began (UTC).
  returned: always
  type: str
  sample: "2026-11-24T01:00:00.000000Z"
ended_at:
  description: When it ended (UTC); null where it did not.
  returned: always
  type: str
  sample: "2026-11-24T03:05:31.200000Z"
process:
  description: The main process, where it lives; else null.
  returned: always
  type: dict
  contains:
    pid: {description: Its number., type: int}
    name: {description: Its name., type: str}
    state: {description: "R, S, D, T and so on, as in proc(5).", type: str}
    threads: {description: How many threads it has., type: int}
    resident_bytes: {description: Memory that it holds., type: int}
    waits_in: {description: The kernel's function that it sleeps in., type: str}
    open_files: {description: How many descriptors are open., type: int}
    folder: {description: Its working directory., type: str}
  sample: null
core:
  description: The core dump of this crash. Its content is never read.
  returned: always
  type: dict
  contains:
    pattern: {description: "C(kernel.core_pattern).", type: str}
    how: {description: "V(file), V(handler), V(socket), V(nowhere) or V(unknown).", type: str}
    handler: {description: The program that the kernel hands it to., type: str}
    limit: {description: "C(LimitCORE) of the unit.", type: str}
    looked_in: {description: Where it was looked for., type: list, elements: str}
    path: {description: Where it is; null where none was found., type: str}
    size_bytes: {description: Its size., type: int}
    modified_at: {description: When it was written (UTC)., type: str}
    pid: {description: "The process, where the file's name or the handler tells.", type: int}
    note: {description: Why there is none., type: str}
  sample:
    pattern: core
    how: file
    handler: ""
    limit: infinity
    looked_in: [/var/lib/hft]
    path: /var/lib/hft/core.4242
    size_bytes: 52428800
    modified_at: "2026-11-24T03:05:31.190000Z"
    pid: 4242
    note: ""
changes:
  description: What changed within O(changed_within), the newest first, two hundred of each at the most.
  returned: always
  type: dict
  contains:
    since: {description: The earliest time that counts (UTC)., type: str}
    count: {description: How many are listed., type: int}
    files:
      description: Files, links, and folders in which something was made, renamed or removed.
      type: list
      elements: dict
    packages: {description: Lines of the package managers., type: list, elements: dict}
    truncated: {description: Whether there are more., type: bool}
  sample:
    since: "2026-11-23T03:05:40.000000Z"
    count: 1
    files:
      - path: /etc/hft/config.json
        sort: file
        size_bytes: 2048
        modified_at: "2026-11-24T02:58:00.000000Z"
        changed_at: "2026-11-24T02:58:00.000000Z"
    packages: []
    truncated: false
not_seen:
  description: What could not be looked at and why, a sentence each.
  returned: always
  type: list
  elements: str
  sample: ["the kernel's log: /dev/kmsg: Operation not permitted"]
record:
  description: Events for the incident's journal.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import crash_report_info


def main() -> None:
    """The door on a host."""
    finish(
        AnsibleModule(argument_spec=crash_report_info.ARGUMENT_SPEC, supports_check_mode=True), crash_report_info.run
    )


if __name__ == "__main__":
    main()
