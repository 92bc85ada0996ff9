#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cut a suspect host off from everything but its responders, or end that; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_isolation
short_description: Cut a suspect host off from everything but its responders, and prove it
version_added: 0.3.0
description:
  - Applies one nftables table of its own on the host, at once or not at all. It drops what comes in, goes out and is
    forwarded, over IPv4 and IPv6, but for loopback and for SSH from O(responders). What other tables accept does not
    matter, since in nftables a drop is final; they are not touched.
  - Before that, an automatic revert is armed on the host. It is disarmed only after a new connection from the control
    node has got in, and the host has seen over it that none of O(forbidden) can be reached and that loopback works.
    Otherwise the task fails as V(unproven), says which of it does not hold, and the host opens again by itself.
  - Connections that the table cuts are destroyed on the host (C(ss -K)) and forgotten by connection tracking, right
    after the table is applied and again before it is taken away. A filter alone only stalls them; they would go on when
    it is gone.
  - Whoever is root on the host can take the table away. So O(external_command) is run first, where the site has one,
    and whatever comes of that the host is isolated, too.
  - The control node is never isolated; it is what the kill path needs.
notes:
  - The host needs C(nft), C(ss) and C(ip), and to be root (C(become)). Without C(conntrack), connection tracking
    forgets nothing, which is said.
  - What bypasses the kernel's network stack (OpenOnload, DPDK, raw sockets) is not seen by nftables, and a connection
    of a container is cut, but not destroyed. Both take an isolation from outside.
  - A reboot of the host ends the isolation, and so does whoever flushes the whole ruleset, as a reload of the host's
    own firewall may. To play the task again shows it.
  - Where other rules replace proven ones and are not proven in turn, the host opens.
  - DNS and DHCP are cut, too.
  - The other ends of what was cut are not told. A database keeps such a session, and its locks, until keepalives find
    it dead (C(tcp_keepalives_idle) of PostgreSQL; two hours where nobody sets it).
extends_documentation_fragment:
  - hft.incident.require_evidence
options:
  state:
    description:
      - V(isolated) applies the table, unless the very same one is in force and was proven.
      - V(open) destroys the connections that the table cuts and then deletes it.
    type: str
    choices: [isolated, open]
    required: true
  responders:
    description:
      - Addresses and networks, IPv4 and IPv6, that may still connect to O(ssh_ports). Names are refused, and so is what
        the connection of this very task is not among. Required with O(state=isolated).
      - Where it is left out, C(hft_responders) of the inventory is taken.
    type: list
    elements: str
    default: []
  forbidden:
    description:
      - Destinations that must be out of the host's reach, such as an exchange and the database, as V(192.0.2.1:443) or
        V([2001:db8::1]:443). One at least is required with O(state=isolated). A destination that refuses a connection
        was reached.
      - Where it is left out, C(hft_isolation_forbidden) of the inventory is taken.
    type: list
    elements: str
    default: []
  ssh_ports:
    description: The host's SSH ports. Where none is given, the one that the task's own connection came to, else 22.
    type: list
    elements: int
    default: []
  table:
    description: The table's name, of the family C(inet). One that is there already is replaced.
    type: str
    default: ir_isolate
  revert_after:
    description: Seconds after which the host opens again by itself, unless the isolation was proven by then.
    type: int
    default: 300
  probe_timeout:
    description: Seconds without an answer after which a destination counts as out of reach.
    type: float
    default: 2.0
  timeout:
    description: Seconds that the host may take for its part.
    type: float
    default: 30.0
  kill_processes:
    description:
      - Processes, by name or id, that are killed (SIGKILL) if they have a connection that the table cuts. For kernels
        that cannot destroy a connection, and for an intruder's program that would connect again.
    type: list
    elements: str
    default: []
  force:
    description: With O(state=open), open also where connections could not be destroyed, which then go on.
    type: bool
    default: false
  external_command:
    description:
      - A command of the control node that isolates a host from outside (a switch, a security group, a hypervisor), and
        opens it again. It is given the host's inventory name as its last argument, C(HFT_HOST), and C(HFT_STATE), which
        is V(isolated) or V(open).
      - It is run each time, so it must not mind being told twice, and must leave O(responders) in.
      - Where it is left out, C(hft_external_isolation_command) of the inventory is taken.
    type: list
    elements: str
    default: []
  external_timeout:
    description: Seconds that O(external_command) may take.
    type: float
    default: 60.0
  on_host:
    description:
      - Whether the host is isolated on itself, too. Without it O(external_command) is all there is, for a host that has
        no nftables or is the control node itself; whether it has worked, nobody has tried out then.
      - Where it is left out, C(hft_isolate_on_host) of the inventory is taken.
    type: bool
    default: true
  control_node:
    description: For the action plugin of this module only. It tells the host which machine the control node is.
    type: str
  confirm:
    description: For the action plugin of this module only. It has the host try out what it has applied.
    type: str
attributes:
  check_mode:
    support: full
    description:
      - Checks every address, and has the host's own C(nft -c) check the rules. Says what would change. Whether it would
        be proven, nobody can say; O(external_command) is not run.
  diff_mode:
    support: full
    description: The table, before and after.
  idempotent:
    support: full
    description: What is in force and proven is left alone. What is in force and not proven yet is armed and proven.
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Isolate the suspect host
  hft.incident.host_isolation:
    state: isolated
    responders: [192.0.2.10, 2001:db8:10::/64]
    forbidden: ["198.51.100.7:443", "192.0.2.20:5432"]
  become: true

- name: The same, from outside first, with what the inventory knows, once what only the memory knows is kept
  hft.incident.host_isolation:
    state: isolated
    require_evidence: true
    external_command: [/usr/local/bin/switch-port]
    kill_processes: [xmrig]
  become: true

- name: End it
  hft.incident.host_isolation:
    state: open
  become: true
"""

RETURN = r"""
table:
  description: The table's name.
  returned: unless an argument was wrong
  type: str
  sample: ir_isolate
confirmed:
  description: Whether the isolation is proven and no revert is armed any more.
  returned: unless an argument was wrong
  type: bool
  sample: true
reverts_at:
  description: When the host opens again by itself (UTC); empty where it does not.
  returned: unless an argument was wrong
  type: str
  sample: ""
reverted_at:
  description: When it last did so (UTC), where nobody has been told yet.
  returned: unless an argument was wrong
  type: str
  sample: ""
ruleset:
  description: SHA-256 of the rules.
  returned: with O(state=isolated), unless an argument was wrong
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
responders:
  description: The networks that are let in.
  returned: with O(state=isolated), unless an argument was wrong
  type: list
  elements: str
  sample: [192.0.2.10/32]
ssh_ports:
  description: The ports that they are let in to.
  returned: with O(state=isolated), unless an argument was wrong
  type: list
  elements: int
  sample: [22]
probes:
  description: What the host saw of each of O(forbidden).
  returned: when it was tried
  type: list
  elements: dict
  sample: [{destination: "198.51.100.7:443", blocked: true, how: no answer in 2 s}]
sockets_killed:
  description: Connections that were destroyed, with the processes that had them.
  returned: unless an argument was wrong
  type: list
  elements: str
  sample: ["tcp 10.0.0.5:51234 -> 203.0.113.9:4444 of nc (4711)"]
sockets_left:
  description: Connections that could not be destroyed. They are stalled, and go on if the table is deleted.
  returned: unless an argument was wrong
  type: list
  elements: str
  sample: []
conntrack:
  description: Why connection tracking may still remember what was cut; empty where it does not.
  returned: unless an argument was wrong
  type: str
  sample: ""
external:
  description: What came of O(external_command), V(none) where there is none.
  returned: unless an argument was wrong
  type: dict
  sample: {state: isolated, msg: ""}
outcome:
  description: V(unproven) where the isolation does not hold or was not proven; V(held) where connections would go on,
    or evidence is missing that was required.
  returned: on failure
  type: str
  sample: unproven
inverses:
  description: The task that undoes it.
  returned: when it was isolated and not in check mode
  type: list
  elements: dict
  sample:
    - module: hft.incident.host_isolation
      args: {state: open, table: ir_isolate, timeout: 30.0, external_command: [], external_timeout: 60.0}
      describe: end the isolation of hft-1
record:
  description: The events for the incident's journal, C(host.isolated) and C(host.isolation_reverted).
  returned: when it was changed and not in check mode
  type: list
  elements: dict
  sample:
    - kind: host.isolation_reverted
      data: {host: hft-1, table: ir_isolate, by: a responder, sockets_left: []}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import host_isolation


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=host_isolation.ARGUMENT_SPEC, supports_check_mode=True), host_isolation.run)


if __name__ == "__main__":
    main()
