# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for the trading systems, as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: trading_system_watch
short_description: Wait until the trading systems are as wanted, and watch that they stay so
version_added: 0.2.0
description:
  - Takes the look of M(hft.incident.trading_system_info) again and again until every trading system is as wanted, and
    then for as long as they have to stay so.
  - Fails, as not proven, when the time is up. While they have to stay so, one bad look ends it, and so does a restart
    or another mode between two looks.
  - A restart is seen where an uptime went back or did not grow as time did, so also one that falls between two looks.
  - Writes into the incident's journal whenever what it sees changes, and once a minute while nothing does.
extends_documentation_fragment:
  - hft.incident.trading_systems
  - hft.incident.attributes.watches
options:
  only:
    description: Names of the trading systems that are meant; all of them where it is empty.
    type: list
    elements: str
    default: []
  wait_for:
    description:
      - V(answering), it gives a valid health, whatever the health says.
      - V(observe), its mode is C(observe), so it watches the market and sends nothing.
      - V(live), its mode is C(live), whatever its status.
      - V(healthy), its mode is C(live) and its status is C(ok).
    type: str
    choices: [answering, observe, live, healthy]
    default: healthy
  timeout:
    description: Seconds to wait until all are as wanted; the last look is taken when they are over.
    type: float
    default: 60.0
  hold:
    description: Seconds for which they have to stay as wanted afterwards.
    type: float
    default: 0.0
  interval:
    description: Seconds between two looks.
    type: float
    default: 1.0
  look_timeout:
    description: Seconds for each trading system at one look, from connecting to the last byte of the reply.
    type: float
    default: 1.0
author:
  - hft-incident contributors (@hft-incident)
seealso:
  - module: hft.incident.trading_system_info
"""

EXAMPLES = r"""
- name: Wait until it has come up and watches the market, without trading
  hft.incident.trading_system_watch:
    trading_systems: "{{ hft_trading_systems }}"
    only: [hft-1]
    wait_for: observe
    timeout: 120

- name: Half an hour of live trading without a restart or a flap
  hft.incident.trading_system_watch:
    trading_systems: "{{ hft_trading_systems }}"
    hold: 1800
    interval: 5
"""

RETURN = r"""
waited_s:
  description: Seconds until all were as wanted.
  returned: success
  type: float
  sample: 4.02
held_s:
  description: Seconds for which they then stayed so.
  returned: success
  type: float
  sample: 1800.6
all_answer:
  description: Whether every one of them gave a valid answer at the last look.
  returned: success
  type: bool
  sample: true
silent:
  description: The names of those that gave none.
  returned: success
  type: list
  elements: str
  sample: []
systems:
  description: The last look, in the form that M(hft.incident.trading_system_info) returns.
  returned: success
  type: list
  elements: dict
  sample:
    - name: hft-1
      verdict: answering
      status: ok
      mode: live
      uptime_s: 1806.1
      version: 4.2.0
      restarted: null
      error: null
record:
  description: Events for the incident's journal, C(trading_systems.probed).
  returned: success, not in check mode
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import trading_system_watch


def main() -> None:
    """The door on a host."""
    finish(
        AnsibleModule(argument_spec=trading_system_watch.ARGUMENT_SPEC, supports_check_mode=True),
        trading_system_watch.run,
    )


if __name__ == "__main__":
    main()
