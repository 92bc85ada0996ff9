# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signs of an intruder on a host, as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_audit_info
short_description: Look for signs of an intruder on a host, and say what could not be looked at
version_added: 0.3.0
description:
  - Looks at a host that somebody else may control, and tells what it finds as data. What could not be seen is told in
    RV(unknown), and is never taken for clean. Nothing found is no proof, since who is root on the host can deceive all
    of it.
  - The repository of the configuration is copied into a private folder (mode 0700, removed afterwards) and looked at
    there as the user C(nobody). Git is never shown the repository itself, nor its configuration, hooks or attributes,
    only its objects, each of which is hashed again. So nothing that was planted there is run.
  - It is compared with the approved commit, which the inventory has, and not with the local C(HEAD), which is the
    intruder's as well. What was committed since, what was not, what is untracked or ignored, is told apart.
  - All checks are made at the same time, and each has a time limit of its own. One that fails makes its part unknown.
extends_documentation_fragment:
  - hft.incident.attributes.reads
options:
  checks:
    description:
      - V(repository), the configuration against the approved commit, and programs that are planted for git.
      - V(release), the files of the approved release against their hashes.
      - V(processes), programs whose file is gone, was never one, or lies where anybody may write; libraries that are
        pushed into a process.
      - V(sockets), what listens and is not expected to; whom this host speaks to.
      - V(persistence), cron, units, accounts, keys and other things that make something run or let somebody in.
      - V(setuid), programs that run as somebody else and are new.
      - V(kernel), modules outside of the baseline.
      - V(packages), installed files against their packages (C(dpkg --verify), C(rpm -Va)), packages against the
        baseline, and programs that run and belong to no package.
      - V(logins), who came in, from where, and who tried (wtmp, btmp, sshd in the journal, the audit log).
      - V(log), refused authorizations in the trading system's own log.
      - V(malware), C(clamscan), where it is there, on a copy.
      - Where it is left out, C(hft_audit_checks) of the inventory is taken.
    type: list
    elements: str
    choices: [repository, release, processes, sockets, persistence, setuid, kernel, packages, logins, log, malware]
    default: [repository, release, processes, sockets, persistence, setuid, kernel, packages, logins, log, malware]
  since:
    description:
      - What happened after this time is looked at, such as the earliest suspicion. ISO 8601 with a zone.
      - Seven days ago where it is left out.
    type: str
  approved:
    description:
      - The approved release, with C(version), C(files) (absolute paths with their SHA-256) and C(config_commit), the
        whole id of the approved commit of O(config_repository), or of its tag.
      - Where it is left out, C(hft_release) of the inventory is taken.
    type: dict
    default: {}
  config_repository:
    description:
      - Absolute path of the git repository on the host that holds the configuration.
      - Where it is left out, C(hft_config_repository) of the inventory is taken.
    type: path
  watched_paths:
    description:
      - Absolute paths that are scanned for malware.
      - Where it is left out, C(hft_watched_paths) of the inventory is taken.
    type: list
    elements: str
    default: []
  log_files:
    description:
      - The trading system's logs.
      - Where it is left out, C(hft_log_files) of the inventory is taken.
    type: list
    elements: str
    default: []
  expected_programs:
    description:
      - Absolute paths of programs that belong to no package, or of folders of them. Those of O(approved) are expected.
        One that lies where anybody may write, or was never a file (C(/memfd:NAME)), may be named here as well.
      - Where it is left out, C(hft_expected_programs) of the inventory is taken.
    type: list
    elements: str
    default: []
  expected_listeners:
    description:
      - What may listen on this host, such as C(tcp/22) or C(udp/127.0.0.1:323). Nothing is judged where nobody says.
      - Where it is left out, C(hft_expected_listeners) of the inventory is taken.
    type: list
    elements: str
  expected_peers:
    description:
      - Networks and addresses that this host may speak to, such as C(192.0.2.0/24). Nothing is judged where nobody
        says. C(127.0.0.1) and C(::1) are the host itself.
      - Where it is left out, C(hft_expected_peers) of the inventory is taken.
    type: list
    elements: str
  known_networks:
    description:
      - Networks that people come from. A login from another one is alarming. Nothing is judged where nobody says.
      - Where it is left out, C(hft_known_networks) of the inventory is taken.
    type: list
    elements: str
  package_baseline:
    description:
      - Packages with their versions, as they should be. It must come from elsewhere than this host.
      - Where it is left out, C(hft_package_baseline) of the inventory is taken.
    type: dict
    default: {}
  kernel_modules:
    description:
      - Modules that the kernel may have loaded. Nothing is judged where nobody says.
      - Where it is left out, C(hft_kernel_modules) of the inventory is taken.
    type: list
    elements: str
  accepted_findings:
    description:
      - Findings that somebody has an explanation for. They are told as V(info), and a host that has only such ones is
        clean. Each has C(kind), and C(path) or C(what), as RV(findings) has them.
      - Where it is left out, C(hft_accepted_findings) of the inventory is taken.
    type: list
    elements: dict
    default: []
  setuid_paths:
    description: Absolute paths that are searched for programs that run as somebody else.
    type: list
    elements: str
    default: [/usr/bin, /usr/sbin, /usr/local, /opt, /home, /root, /tmp, /var/tmp, /dev/shm]
  require:
    description:
      - With V(clean), the run is held where anything alarming is found. What is suspicious or unknown holds nothing,
        since much of it is so on a host that was just rebuilt.
    type: str
    choices: [clean]
  journalctl:
    description:
      - The C(journalctl) of the host, a name or a path.
      - Where it is left out, C(hft_journalctl) of the inventory is taken.
    type: str
    default: journalctl
  timeout:
    description: Seconds for each of the checks.
    type: float
    default: 60.0
author:
  - hft-incident contributors (@hft-incident)
seealso:
  - module: hft.incident.breach_level
  - module: hft.incident.release_info
"""

EXAMPLES = r"""
- name: Look for an intruder on the suspected host
  hft.incident.host_audit_info:
    since: "2026-11-20T00:00:00Z"
  become: true
  register: audit

- name: Only compare the configuration with the approved commit
  hft.incident.host_audit_info:
    checks: [repository]
    config_repository: /etc/hft_system
    approved:
      version: "1.4.2"
      config_commit: 3f0c1c2b8c0a4f5d9e7b6a5d4c3b2a1908f7e6d5
"""

RETURN = r"""
host:
  description: The host's own name.
  returned: always
  type: str
  sample: hft-1
since:
  description: What happened after this time was looked at.
  returned: always
  type: str
  sample: "2026-11-20T00:00:00.000000Z"
findings:
  description: What was found, the worst first; one line each, and harmless to a terminal.
  returned: always
  type: list
  elements: dict
  contains:
    source: {description: "V(host).", type: str}
    kind: {description: "For programs, such as V(git_program) or V(login_foreign).", type: str}
    severity: {description: "V(info), V(suspicious) or V(alarming).", type: str}
    what: {description: A sentence., type: str}
    detail: {description: "More of it; empty where there is none.", type: str}
    path: {description: The file that is meant; null where there is none., type: str}
  sample:
    - source: host
      kind: git_program
      severity: alarming
      what: git would run or read what core.fsmonitor in /etc/hft_system/.git/config names
      detail: /tmp/.x
      path: /etc/hft_system/.git/config
unknown:
  description: What could not be looked at, and why.
  returned: always
  type: list
  elements: dict
  contains:
    check: {description: One of O(checks)., type: str}
    why: {description: A sentence., type: str}
  sample:
    - check: malware
      why: "not scanned: there is no clamscan here"
checks:
  description: How each check ended, V(done), V(partly) or V(unknown).
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: One of O(checks)., type: str}
    state: {description: "V(partly), something was found and something is unknown.", type: str}
  sample:
    - {name: repository, state: done}
counts:
  description: How many findings of each severity.
  returned: always
  type: dict
  sample: {info: 2, suspicious: 4, alarming: 1}
worst:
  description: The worst severity of the findings; null where nothing was found.
  returned: always
  type: str
  sample: alarming
outcome:
  description: V(held) where it has to be clean and is not.
  returned: on failure
  type: str
  sample: held
record:
  description: The event for the incident's journal, C(host.audited).
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import host_audit_info


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=host_audit_info.ARGUMENT_SPEC, supports_check_mode=True), host_audit_info.run)


if __name__ == "__main__":
    main()
