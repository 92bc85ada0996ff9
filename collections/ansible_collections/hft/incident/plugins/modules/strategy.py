#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop strategies together, start them one by one; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: strategy
short_description: Stop strategies at once, start them again one by one
version_added: 0.1.0
description:
  - Stops or starts the strategies of all trading systems that match everything given of O(exchange), O(priority) and
    O(ids); at least one of them is needed, or O(all).
  - Stopping is fast. All are told at the same moment, each is asked again while there is time, and the trading system's
    own list must then show them stopped. A trading system that does not answer holds up no other one.
  - Starting is gradual. One strategy at a time, over all trading systems, in the order of O(ids) (else in the trading
    systems' own). A strategy is started only into a healthy trading system, and the next one only after it is shown to
    run well.
  - Well means that the trading system's health is V(ok) and its mode V(live), that the strategy is running, and that
    each of its exchanges is connected and has fresh market data. This must come about within O(health_timeout) and then
    last for O(settle).
  - The first strategy that is not well is stopped again and the rest are not started. Nothing at all is started unless
    every trading system answers.
extends_documentation_fragment:
  - hft.incident.trading_systems
options:
  state:
    description: What the strategies shall be.
    type: str
    choices: [stopped, started]
    required: true
  exchange:
    description:
      - Strategies that trade at this exchange, also those that trade at others too.
      - An exchange that no trading system knows is an error; one that nobody trades at is not.
    type: str
  priority:
    description: Strategies of this priority.
    type: str
    choices: [low, normal, high]
  ids:
    description: These strategies. An id that no trading system knows is an error, before anything is changed.
    type: list
    elements: str
    default: []
  all:
    description: Every strategy of every trading system, where O(exchange), O(priority) and O(ids) are left out.
    type: bool
    default: false
  timeout:
    description: Seconds in which a trading system must have answered and have done as it was told.
    type: float
    default: 5.0
  health_timeout:
    description: Seconds in which all must be well before a strategy is started, and again after its start.
    type: float
    default: 30.0
  settle:
    description: Seconds for which all must then stay well before the next strategy is started.
    type: float
    default: 5.0
  stale_after:
    description: Market data older than this many seconds is not fresh.
    type: float
    default: 5.0
attributes:
  check_mode:
    support: full
    description: Lists what would be stopped or started and sends nothing that writes.
  diff_mode:
    support: full
    description: The state of each strategy that changes, by trading system, before and after.
  idempotent:
    support: full
    description: Strategies that are as wanted are left alone.
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Stop everything that trades at one exchange
  hft.incident.strategy:
    trading_systems: "{{ hft_trading_systems }}"
    exchange: binance
    state: stopped

- name: Take load off by stopping what matters least
  hft.incident.strategy:
    trading_systems: "{{ hft_trading_systems }}"
    priority: low
    state: stopped

- name: Start two strategies, this one first, with a minute of good health after each
  hft.incident.strategy:
    trading_systems: "{{ hft_trading_systems }}"
    ids: [probe-binance, mm-binance]
    state: started
    settle: 60
"""

RETURN = r"""
strategies:
  description: The strategies that were (in check mode, would be) stopped or started, in that order.
  returned: when the selection was valid
  type: list
  elements: dict
  sample:
    - trading_system: hft-1
      ids: [mm-binance, arb-binance-okx]
outcome:
  description: V(unproven) where a trading system did not do as it was told or a strategy is not well.
  returned: on failure
  type: str
  sample: unproven
inverses:
  description: The tasks that undo it, one a trading system, with exactly the ids that were changed there.
  returned: when not in check mode
  type: list
  elements: dict
  sample:
    - module: hft.incident.strategy
      args: {trading_systems: [{name: hft-1, url: "http://127.0.0.1:8080"}], ids: [mm-binance], state: started}
      describe: start mm-binance at hft-1
record:
  description: Events for the incident's journal, C(strategies.stopped) or C(strategies.started).
  returned: when not in check mode
  type: list
  elements: dict
  sample:
    - kind: strategies.stopped
      data: {trading_system: hft-1, ids: [mm-binance]}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import strategy


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=strategy.ARGUMENT_SPEC, supports_check_mode=True), strategy.run)


if __name__ == "__main__":
    main()
