#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The red button as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: killswitch
short_description: Cancel every order at every venue at once, and prove it
version_added: 0.1.0
description:
  - Cancels every open order at all venues at the same moment and tells the trading systems to stop, without waiting for
    either to help the other. A venue counts as clear only when its own list of open orders was valid and empty several
    times in a row.
  - Gives the same result as the command C(hft-incident kill).
  - Needs nobody's approval. Its cancels have no inverse; what it closes at a trading system has, and is returned.
extends_documentation_fragment:
  - hft.incident.venues
  - hft.incident.trading_systems
  - hft.incident.only
options:
  state:
    description:
      - V(active) cancels and stops.
      - V(released) releases the trading systems' killswitch again and touches no venue.
    type: str
    choices: [active, released]
    default: active
  reason:
    description: Why; told to the trading systems and kept in the record. Required when O(state=active).
    type: str
  confirm:
    description: How many empty answers in a row prove that a venue is clear.
    type: int
    default: 3
  interval:
    description: Seconds between these answers.
    type: float
    default: 1.0
  timeout:
    description: Seconds for everything; a venue without a verdict then is V(open) or V(unknown).
    type: float
    default: 10.0
  require_clear:
    description:
      - Whether the task fails when a venue is not proven clear.
      - With V(false) the response goes on; the record still says what is not proven.
    type: bool
    default: true
  only:
    description:
      - Names of the venues to kill; all of them where it is empty.
      - With names, trading systems are stopped at these venues only and trade on elsewhere.
attributes:
  check_mode:
    support: full
    description: Lists what would be cancelled and sends nothing that writes.
  diff_mode:
    support: full
    description: Open orders per venue, before and after.
  idempotent:
    support: full
    description: A second run finds nothing open and the trading systems stopped, and changes nothing.
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Cancel everything everywhere
  hft.incident.killswitch:
    venues: "{{ hft_venues }}"
    trading_systems: "{{ hft_trading_systems }}"
    reason: runaway quoting

- name: One venue is down; the others trade on
  hft.incident.killswitch:
    venues: "{{ hft_venues }}"
    trading_systems: "{{ hft_trading_systems }}"
    only: [binance]
    reason: exchange outage
    timeout: 20
    require_clear: false
  register: containment
"""

RETURN = r"""
kill:
  description: The same object that C(hft-incident kill --json) prints.
  returned: when O(state=active)
  type: dict
  sample:
    verdict: clear
    reason: exchange outage
    started_at: "2026-11-23T10:00:00.000000Z"
    elapsed_ms: 61.2
    venues:
      - name: binance
        driver: binance
        verdict: clear
        open_before: 30
        cancelled: 30
        open_after: 0
        requests: 5
        first_clear_ms: 41.0
        confirmed_ms: 41.0
        error: null
    trading_systems:
      - name: hft-1
        verdict: stopped
        elapsed_ms: 12.0
        error: null
        changed: true
        blocked: [binance]
inverses:
  description: The tasks that undo what was closed at the trading systems.
  returned: when something was closed
  type: list
  elements: dict
  sample:
    - module: hft.incident.exchange
      args: {name: binance, state: enabled}
      describe: enable binance at hft-1
record:
  description: Events for the incident's journal.
  returned: when O(state=active) and not in check mode
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import killswitch


def main() -> None:
    """The door on a host."""
    finish(
        AnsibleModule(
            argument_spec=killswitch.ARGUMENT_SPEC, required_if=killswitch.REQUIRED_IF, supports_check_mode=True
        ),
        killswitch.run,
    )


if __name__ == "__main__":
    main()
