#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the parts of a latch agree; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: latch_info
short_description: Whether the parts of a latch agree
version_added: 0.2.0
description:
  - Compares the parts of a latch (see M(hft.incident.latch)), the hold file on the host, the trading system's own API,
    and the last word of the incident's journal. Changes nothing.
  - What cannot be seen is unknown, which is never taken for open, and no failure.
notes:
  - The API and the journal are read from the control node, the hold file on the play's host.
extends_documentation_fragment:
  - hft.incident.trading_systems
  - hft.incident.latch
attributes:
  check_mode:
    support: full
    description: It only looks.
  diff_mode:
    support: none
    description: It changes nothing.
  idempotent:
    support: full
    description: It changes nothing.
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Is the latch closed, everywhere?
  hft.incident.latch_info:
    hold_file: /var/lib/hft/ir-hold
    trading_systems: "{{ hft_trading_systems }}"
    trading_system: "{{ inventory_hostname }}"
  register: latch
  failed_when: latch.state != 'closed' or not latch.agree
"""

RETURN = r"""
state:
  description: V(open) only where every part says so; what is closed anywhere, or unknown, is V(closed).
  returned: when the parts were looked at
  type: str
  sample: closed
scope:
  description: As given.
  returned: when the parts were looked at
  type: str
  sample: all
name:
  description: As given, empty with O(scope=all).
  returned: when the parts were looked at
  type: str
  sample: ""
host:
  description: The host's name in the inventory.
  returned: when the parts were looked at
  type: str
  sample: hft-1
hold:
  description:
    - The hold file. C(state) is V(closed) (it is there), V(open), or V(unknown) with the C(error) that hides it.
    - C(holders) are those who hold, each with C(incident) (empty where it is held by hand), C(reason), C(by) and C(at).
  returned: when the parts were looked at
  type: dict
  sample:
    path: /var/lib/hft/ir-hold
    state: closed
    holders:
      - incident: inc-20261124T030000Z-system_crash-1
        reason: hft-1 is down
        by: alice@control
        at: "2026-11-24T03:00:01.000000Z"
    error: ""
api:
  description:
    - The trading systems' own latch of that scope, the killswitch, whether the exchange is enabled, or whether the
      strategy runs.
    - C(state) is V(closed), V(open), V(stopped) (a strategy, which says nothing of whether it may run), V(absent) (it
      has no such exchange or strategy), or V(unknown) with the C(error).
  returned: when the parts were looked at
  type: list
  elements: dict
  sample:
    - {trading_system: hft-1, state: unknown, error: "GET /api/v1/killswitch: connection refused"}
journal:
  description: What the incident's journal said of it last, before this, V(closed), V(open), or V(silent) for nothing.
  returned: when the parts were looked at
  type: str
  sample: silent
agree:
  description: Whether all parts that say anything say the same.
  returned: when the parts were looked at
  type: bool
  sample: false
difference:
  description: Where they differ, what each part says; else empty.
  returned: when the parts were looked at
  type: str
  sample: "the hold file is closed; the API of hft-1 is unknown (GET /api/v1/killswitch: connection refused)"
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.latch_host import INFO_REQUIRED_IF, INFO_SPEC, show


def main() -> None:
    """The door on a host: the hold file."""
    finish(AnsibleModule(argument_spec=INFO_SPEC, required_if=INFO_REQUIRED_IF, supports_check_mode=True), show)


if __name__ == "__main__":
    main()
