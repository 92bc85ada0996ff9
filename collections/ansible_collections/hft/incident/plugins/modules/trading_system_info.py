# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do the trading systems answer, as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: trading_system_info
short_description: Ask every trading system how it is, and tell apart the ways in which it does not answer
version_added: 0.2.0
description:
  - Asks all trading systems for their health at the same moment, each once, with a short deadline.
  - A trading system that does not answer is an answer and no failure of the task, so look at RV(all_answer).
  - It never asks a venue and says nothing of orders. What is live is what M(hft.incident.open_orders_info) lists.
extends_documentation_fragment:
  - hft.incident.trading_systems
  - hft.incident.attributes.reads
options:
  only:
    description: Names of the trading systems that are meant; all of them where it is empty.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds for each of them, from connecting to the last byte of the reply.
    type: float
    default: 1.0
  restarted_within:
    description:
      - Seconds. One that answers and has been up for less is marked as restarted.
      - Without it, C(restarted) is null.
    type: float
author:
  - hft-incident contributors (@hft-incident)
seealso:
  - module: hft.incident.trading_system_watch
"""

EXAMPLES = r"""
- name: Is anybody there?
  hft.incident.trading_system_info:
    trading_systems: "{{ hft_trading_systems }}"
    restarted_within: 3600
  register: probe

- name: Cancel everything at the venues, where one does not answer
  hft.incident.killswitch:
    venues: "{{ hft_venues }}"
    trading_systems: "{{ hft_trading_systems }}"
    reason: "no answer from {{ probe.silent | join(', ') }}"
  when: not probe.all_answer
"""

RETURN = r"""
all_answer:
  description: Whether every one of them gave a valid answer, whatever the answer says.
  returned: when the arguments were valid
  type: bool
  sample: false
silent:
  description: The names of those that gave none, whatever the reason.
  returned: when the arguments were valid
  type: list
  elements: str
  sample: [hft-2]
systems:
  description: One entry a trading system, in the order in which they were given.
  returned: when the arguments were valid
  type: list
  elements: dict
  contains:
    name: {description: The trading system., type: str}
    verdict:
      description:
        - V(answering), it gave a valid health.
        - V(no_answer), it took no connection, so nothing listens there or the machine is not reached.
        - V(hung), it took the connection and gave no complete reply in time, as a stopped or stuck process does.
        - V(unknown), an HTTP error, a reply that broke off or does not fit its contract, or an entry that cannot be
          used.
      type: str
    status: {description: "C(ok), C(degraded) or C(halted); null unless it is answering.", type: str}
    mode: {description: "C(live), C(observe) or C(halted); null unless it is answering.", type: str}
    uptime_s: {description: Seconds since its process started; null unless it is answering., type: float}
    version: {description: What it says it runs; null unless it is answering., type: str}
    restarted:
      description: Whether it has been up for less than O(restarted_within); null where that is not known or not asked.
      type: bool
    error: {description: Why there is no valid answer; null where there is one., type: str}
  sample:
    - name: hft-1
      verdict: answering
      status: ok
      mode: live
      uptime_s: 86012.5
      version: 4.2.0
      restarted: false
      error: null
    - name: hft-2
      verdict: no_answer
      status: null
      mode: null
      uptime_s: null
      version: null
      restarted: null
      error: "GET /api/v1/health: connection refused"
record:
  description: Events for the incident's journal, C(trading_systems.probed).
  returned: when the arguments were valid
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import trading_system_info


def main() -> None:
    """The door on a host."""
    finish(
        AnsibleModule(argument_spec=trading_system_info.ARGUMENT_SPEC, supports_check_mode=True),
        trading_system_info.run,
    )


if __name__ == "__main__":
    main()
