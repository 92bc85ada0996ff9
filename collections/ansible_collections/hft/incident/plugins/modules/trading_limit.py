#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large the trading systems' orders may be, as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: trading_limit
short_description: Limit the trading systems' orders to a share of their usual size
version_added: 0.3.0
description:
  - Sets C(limits.scale_pct) of the trading systems' configuration. After an incident, trading comes back in stages,
    such as 10, 50 and 100 %.
  - The change is made only to the configuration that was read (C(If-Match)), and read back. Where somebody else has
    changed it in between, it is read and tried again.
  - Lowering needs nobody. Raising needs O(gate), where it is given.
extends_documentation_fragment:
  - hft.incident.trading_systems
  - hft.incident.only
  - hft.incident.gates
options:
  only:
    description: Names of the trading systems that are meant; all of them where it is empty.
  gate:
    description: The gate that must have been passed before the limit is raised. None where it is left out.
  scale_pct:
    description: The share of their usual size that orders may have, in percent, above 0 and at most 100.
    type: str
    required: true
  undoable:
    description: V(false) where this is how the response leaves them. M(hft.incident.undo) then leaves them alone.
    type: bool
    default: true
  timeout:
    description: Seconds in which the trading systems must answer.
    type: float
    default: 5.0
attributes:
  check_mode:
    support: full
    description: Says what would change, and asks no gate.
  diff_mode:
    support: full
    description: C(scale_pct) of each trading system, before and after.
  idempotent:
    support: full
    description: A trading system that has this limit is not told again.
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Trade again with a tenth of the size
  hft.incident.trading_limit:
    scale_pct: 10

- name: Raise it, as two people have allowed
  hft.incident.trading_limit:
    scale_pct: 50
    gate: resume_trading
    undoable: false
"""

RETURN = r"""
systems:
  description: Each trading system that told its limit; C(scale_pct) is what holds now, or would.
  returned: always
  type: list
  elements: dict
  sample:
    - {name: hft-1, before_pct: "100", scale_pct: "10"}
outcome:
  description: V(unproven) where one does not show the limit, V(held) where the gate was not passed.
  returned: on failure
  type: str
  sample: unproven
inverses:
  description: The tasks that undo it.
  returned: when it was changed and not in check mode
  type: list
  elements: dict
  sample:
    - module: hft.incident.trading_limit
      args: {trading_systems: [{name: hft-1, url: "https://hft-1.example.com:8080"}], scale_pct: "100"}
      describe: limit orders at hft-1 to 100 % again
record:
  description: The events for the incident's journal, C(trading_limit.changed).
  returned: when it was changed and not in check mode
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import trading_limit


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=trading_limit.ARGUMENT_SPEC, supports_check_mode=True), trading_limit.run)


if __name__ == "__main__":
    main()
