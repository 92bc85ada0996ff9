#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Enable, disable or connect an exchange at the trading systems; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: exchange
short_description: Enable, disable or connect an exchange at the trading systems
version_added: 0.1.0
description:
  - Allows or forbids orders at one exchange, or connects to it again, at every trading system that has it. It touches
    no venue.
  - What is changed is read back. A trading system that does not show it has not done it.
  - To connect is tried O(attempts) times with growing pauses, and no more once somebody answers 418 or 429, since
    insisting earns a ban.
extends_documentation_fragment:
  - hft.incident.trading_systems
options:
  name:
    description: The exchange. One that no trading system knows is an error, before anything is changed.
    type: str
    required: true
  state:
    description:
      - V(enabled) and V(disabled) set C(exchanges.<name>.enabled) of the trading system's configuration and leave the
        rest of it as it is.
      - V(connected) connects again where there is no connection; whether orders are allowed stays as it is.
    type: str
    choices: [enabled, disabled, connected]
    required: true
  attempts:
    description: How often to try at most to connect, at each trading system.
    type: int
    default: 5
  delay:
    description: Seconds before the second attempt; doubled before each further one, up to 30, with some jitter.
    type: float
    default: 1.0
  timeout:
    description: Seconds in which O(state=enabled) and O(state=disabled) must be done.
    type: float
    default: 5.0
attributes:
  check_mode:
    support: full
    description: Says what would change and sends nothing that writes. Whether connecting will work, nobody can say.
  diff_mode:
    support: full
    description: The exchange's state at each trading system, before and after.
  idempotent:
    support: full
    description: What is enabled, disabled or connected already is left alone.
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Forbid orders at an exchange
  hft.incident.exchange:
    trading_systems: "{{ hft_trading_systems }}"
    name: binance
    state: disabled

- name: Connect to it again, still closed to orders
  hft.incident.exchange:
    trading_systems: "{{ hft_trading_systems }}"
    name: binance
    state: connected
    attempts: 8
    delay: 2
"""

RETURN = r"""
exchanges:
  description:
    - The trading systems that have this exchange and what it was there, V(enabled) or V(disabled), or with
      O(state=connected) V(connected) or V(disconnected).
  returned: when the exchange is known
  type: list
  elements: dict
  sample:
    - trading_system: hft-1
      name: binance
      before: enabled
outcome:
  description: V(unproven) where a trading system did not do as it was told, or did not connect.
  returned: on failure
  type: str
  sample: unproven
inverses:
  description: The tasks that undo it, one a trading system. To connect has none.
  returned: when not in check mode
  type: list
  elements: dict
  sample:
    - module: hft.incident.exchange
      args: {trading_systems: [{name: hft-1, url: "http://127.0.0.1:8080"}], name: binance, state: enabled}
      describe: enable binance at hft-1
record:
  description: Events for the incident's journal, C(exchange.changed), one a trading system.
  returned: when not in check mode
  type: list
  elements: dict
  sample:
    - kind: exchange.changed
      data: {name: binance, state: disabled, trading_system: hft-1, before: enabled}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import exchange


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=exchange.ARGUMENT_SPEC, supports_check_mode=True), exchange.run)


if __name__ == "__main__":
    main()
