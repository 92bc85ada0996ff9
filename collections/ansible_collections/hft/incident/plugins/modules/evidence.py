#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy what an investigation needs; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: evidence
short_description: Copy once what an investigation needs, with a manifest that proves it
version_added: 0.2.0
description:
  - Copies logs, the unit's journal and properties, version, configuration, the core dump and the facts of a process
    that still runs, the volatile state of the whole host, and trees of files into the incident's own folder on the
    control node, C($HFT_INCIDENT_HOME/<incident>/evidence/<host>).
  - Folders are C(0700) and files C(0600). They may hold secrets, since a configuration, a unit's environment and a core
    dump do.
  - The most volatile comes first. Nothing is stopped, traced or changed on the host; files are read without touching
    their time of access where the kernel permits that.
  - C(manifest.sha256) is what C(sha256sum -c) reads. It covers C(manifest.json), which has of every item its source or
    command, tool, collector, start and end (UTC), size, hash, whether it was cut off or changed while it was read, and
    the error. Its own hash goes into the incident's journal, and C(hft-incident verify) checks everything again.
  - An item that cannot be copied is noted and loses no other. The module fails only where nothing could be kept.
  - Nothing that was kept is ever written over. A collection that was cut short (it has no manifest), that answered
    other options, or that was altered since stays as it is, and a new one is made in C(attempt-2), C(attempt-3) and so
    on of the same folder.
  - On a remote host the copy is made in a private folder below O(host_dest), brought to the control node, proven there,
    and only then removed from the host. If it cannot be brought or proven, it stays on the host, and the message says
    where.
extends_documentation_fragment:
  - hft.incident.host_tools
options:
  unit:
    description: The unit that crashed. Its properties and its journal, the newest 50000 lines, are kept, and what
      C(/proc) tells of its process if it still runs. The kernel's journal too, where it may be read.
    type: str
  log_files:
    description:
      - Log files, or folders of log files.
      - A file that is named here may be a link; where it leads is noted. A link that is found in a folder could lead
        anywhere, so it is noted and not followed.
      - Where it is left out, C(hft_log_files) of the inventory is taken.
    type: list
    elements: path
    default: []
  config_file:
    description:
      - The configuration file, copied as it is on disk.
      - Where it is left out, C(hft_config_file) of the inventory is taken.
    type: path
  version_command:
    description:
      - The command, as a list, that says which version is deployed. No shell is involved.
      - Where it is left out, C(hft_version_command) of the inventory is taken.
    type: list
    elements: str
    default: []
  core:
    description: Whether the newest core dump of O(unit) is kept, from C(coredumpctl) or else the file that
      C(kernel.core_pattern) names. A core dump holds the process's secrets.
    type: bool
    default: false
  volatile:
    description:
      - Keep, before anything else, what only the running host knows, in the order of RFC 3227 and read from C(/proc).
        These are its clocks, its sockets in all network namespaces with the processes that hold them, every process
        (program, command line, environment, descriptors, folder, start, parent, ids), routes, neighbors, users, kernel
        modules, mounts, the mappings of each process, the hash of the program that each really runs, and a copy of each
        program whose file is gone.
      - What C(ss), C(ip), C(conntrack), C(nft), C(iptables-save), C(who), C(loginctl), C(chronyc) and C(timedatectl)
        say is kept beside it, where they are there.
      - Then, after the logs, what would start again or let somebody in again (timers, C(cron), units, C(ld.so.preload),
        C(authorized_keys) and others), and who was here.
      - O(hft.incident.service_state#module:require_evidence) and others rely on it. Whoever is not root sees too little
        for that.
    type: bool
    default: false
  volatile_timeout:
    description: Seconds for the volatile part, which comes first; O(timeout) is for the rest.
    type: float
    default: 120.0
  paths:
    description:
      - Trees (or files) that are kept whole, each as one C(tar) file that is the same for the same tree. For example
        the configuration's folder with its C(.git), or the folder of the programs.
      - Links in them are kept as links; pipes, sockets and devices are noted and not opened; other file systems in them
        are not entered. A file longer than O(item_size_limit) is not in it, which is noted.
    type: list
    elements: path
    default: []
  signing_key:
    description:
      - The SSH key that signs the manifest on the control node, once it is closed (C(ssh-keygen -Y sign -n
        hft-evidence)). It is the path of a private key, or of a public one whose private key an agent has. Nobody is
        asked for a passphrase.
      - The signature is C(manifest.sha256.sig), beside the manifest. C(hft-incident verify) checks it against the key
        that the journal knows, and against O(allowed_signers) where the key is in it for the namespace
        C(hft-evidence).
      - Evidence that could not be signed is kept all the same, and the message says so.
      - Where it is left out, C(hft_evidence_signing_key) of the inventory is taken.
    type: path
  encrypt_to:
    description:
      - The public keys of those who may read what is restricted (C(age1...), or SSH's), or files with one a line. Then
        it is stored encrypted with age on the control node (C(.age)), and is nowhere on its disk in the clear. What
        comes from another host is held in memory meanwhile.
      - The manifest has the hashes of both, so it is proven without a private key.
      - C(pip install 'hft-incident[age]') is needed on the control node.
      - Where it is left out, C(hft_evidence_recipients) of the inventory is taken.
    type: list
    elements: str
    default: []
  allowed_signers:
    description:
      - Path, on the control node, of the file that says whose keys count, in OpenSSH's own format.
      - Where it is left out, C(hft_allowed_signers) of the inventory is taken.
    type: path
  clock_offset:
    description: Seconds that the host's clock is ahead of the control node's. The control node measures it; it is not
      for a task to give.
    type: float
  item_size_limit:
    description: Bytes of one item that are kept at most. Of a longer log its end is kept.
    type: int
    default: 67108864
  core_size_limit:
    description: Bytes of a core dump. Of a larger one only its size is noted.
    type: int
    default: 1073741824
  total_size_limit:
    description: Bytes of everything together. Half of what is free on the disk is never exceeded either.
    type: int
    default: 2147483648
  timeout:
    description: Seconds for everything but the volatile part. No single item gets more than half of what is left of
      them.
    type: float
    default: 60.0
  dest:
    description: The folder on the control node in which the host's folder is made. Without an open incident it is
      needed; with one it is the incident's C(evidence).
    type: path
  host:
    description: The name of the host's folder; by default the name in the inventory.
    type: str
  host_dest:
    description: Where a remote host keeps its copy until it was brought to the control node.
    type: path
    default: /var/tmp
attributes:
  check_mode:
    support: full
    description: Writes nothing and lists what would be kept.
  diff_mode:
    support: full
    description: The items by name, each with its source.
  idempotent:
    support: full
    description: What was kept for the same options, and is as it was put there, is not copied again.
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Keep what the investigation will need
  hft.incident.evidence:
    unit: "{{ hft_unit }}"
    log_files: "{{ hft_log_files }}"
    config_file: "{{ hft_config_file }}"
    version_command: "{{ hft_version_command }}"
    core: true

- name: Keep what only the memory of the host knows, before anything is stopped or cut off
  hft.incident.evidence:
    volatile: true
    paths:
      - /etc/hft
      - /opt/hft
  become: true

- name: The same, without an open incident
  hft.incident.evidence:
    unit: hft_system.service
    log_files:
      - /var/log/hft
    dest: /srv/evidence/2026-11-24
"""

RETURN = r"""
host:
  description: The name of the host's folder.
  returned: success
  type: str
  sample: hft-1
folder:
  description: The folder on the control node that has the evidence, or would get it.
  returned: success
  type: str
  sample: /var/lib/hft-incident/inc-20261124T031500Z-system_crash-1/evidence/hft-1
items:
  description: What was kept, or would be, and what could not be (RV(items[].sha256) is null then).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its file in the folder.
      type: str
    source:
      description: The path or the command that it comes from.
      type: str
    size:
      description: Bytes that were kept; in check mode the size of the source if it is a file.
      type: int
    sha256:
      description: The hash of what was kept.
      type: str
    truncated:
      description: Whether there was more than was kept.
      type: bool
    changed_while_read:
      description: Whether the file grew, shrank, was written to or removed in the meantime.
      type: bool
    restricted:
      description: Whether it may hold secrets.
      type: bool
    error:
      description: Why it was not kept, or only in part.
      type: str
  sample:
    - name: logs/hft_system.log
      source: /var/log/hft/hft_system.log
      size: 48211
      sha256: 5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9
      truncated: false
      changed_while_read: false
      restricted: false
      error: null
signed_by:
  description: The fingerprint of the key that signed the manifest; null where it could not be signed.
  returned: when not in check mode and O(signing_key) is given
  type: str
  sample: SHA256:J4rI7ZiP4E2c2oJm1sIyWAdkMzC2r4s5hTQjYJmT6nM
volatile:
  description: Whether the whole volatile state was asked for and kept.
  returned: when not in check mode
  type: bool
  sample: true
bytes:
  description: The size of all items.
  returned: when not in check mode
  type: int
  sample: 61022
manifest_sha256:
  description: The hash of C(manifest.sha256).
  returned: when not in check mode
  type: str
  sample: 6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b
missing:
  description: What was not kept, or only in part, and why. What need not be there (a process's kernel stack, a core
    dump of a process that left none) or is no file (a link, a pipe) is noted beside the item and not missing.
  returned: when not in check mode
  type: list
  elements: str
  sample:
    - "/etc/hft/hft_system.json: permission denied"
complete:
  description: Whether nothing is missing.
  returned: when not in check mode
  type: bool
  sample: false
altered:
  description: Folders of this host that do not fit their manifest any more.
  returned: when there are any
  type: list
  elements: str
  sample:
    - /var/lib/hft-incident/inc-20261124T031500Z-system_crash-1/evidence/hft-1
record:
  description: The event C(evidence.kept) for the incident's journal; none where it is there already.
  returned: when not in check mode
  type: list
  elements: dict
  sample:
    - kind: evidence.kept
      data:
        host: hft-1
        inventory_host: hft-1
        folder: evidence/hft-1
        volatile: true
        items: 7
        bytes: 61022
        manifest_sha256: 6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b
        missing: ["/etc/hft/hft_system.json: permission denied"]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import evidence


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=evidence.ARGUMENT_SPEC, supports_check_mode=True), evidence.run)


if __name__ == "__main__":
    main()
