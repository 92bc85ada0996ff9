# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is live at the venues, as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: open_orders_info
short_description: List what is live at the venues, as they themselves list it
version_added: 0.1.0
description:
  - Lists every open order at all venues at the same moment, over every product line and every page, conditional orders
    included.
  - A venue that gave no valid list is not known, which is not the same as empty. That is an answer and no failure of
    the task, so look at RV(known).
extends_documentation_fragment:
  - hft.incident.venues
  - hft.incident.only
  - hft.incident.attributes.reads
options:
  timeout:
    description: Seconds for all venues; a failed read is tried again while there is time and sense.
    type: float
    default: 5.0
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: What is still live?
  hft.incident.open_orders_info:
    venues: "{{ hft_venues }}"
  register: live

- name: Nothing is, and every venue says so
  ansible.builtin.assert:
    that: live.known and live.venues | map(attribute='count') | sum == 0
"""

RETURN = r"""
known:
  description: Whether every venue gave a valid list.
  returned: always
  type: bool
  sample: true
venues:
  description: One entry a venue.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: The venue., type: str}
    known: {description: Whether it gave a valid list., type: bool}
    count: {description: How many orders are open; null where that is not known., type: int}
    error: {description: Why it is not known; null where it is., type: str}
    orders:
      description:
        - The orders in the venue's own words. C(qty) is what remains, C(price) is null where there is none; both are
          exact decimals in text.
      type: list
      elements: dict
  sample:
    - name: binance
      known: true
      count: 1
      error: null
      orders:
        - id: "7000001"
          symbol: BTCUSDT
          line: spot
          side: buy
          qty: "0.01"
          price: "50000"
          conditional: false
          client_id: hft-1
record:
  description: Events for the incident's journal.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import open_orders_info


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=open_orders_info.ARGUMENT_SPEC, supports_check_mode=True), open_orders_info.run)


if __name__ == "__main__":
    main()
