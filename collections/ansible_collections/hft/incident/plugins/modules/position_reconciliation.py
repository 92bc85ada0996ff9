#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reconcile positions and open orders; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: position_reconciliation
short_description: Compare the trading systems' positions and open orders with the venues' own
version_added: 0.1.0
description:
  - Reads what the venues say and what the trading systems believe at the same moment and compares them in exact
    decimals. Nothing may trade again before this says V(reconciled).
  - The books of several trading systems at one venue account are added up.
  - A difference must stand in O(reads) reads, and while either side moves it is read again until O(timeout), since a
    fill on the wire is not a break. One read without any difference settles it.
  - A venue or a trading system without a valid answer makes its exchanges V(unproven); it is never read as flat.
  - Spot holdings are compared asset by asset, quote assets included; derivatives by symbol. Where a trading system does
    not say in which account it holds something, the exchange is compared as a whole. Open orders are matched by the
    venue's order id.
  - It changes nothing, at the venues, at the trading systems or in their books.
extends_documentation_fragment:
  - hft.incident.venues
  - hft.incident.trading_systems
  - hft.incident.only
options:
  tolerance:
    description:
      - How far a position may be off, in its own unit, by C(exchange:symbol), C(symbol) or C(*) for any other; 0 where
        nothing is said. Differences within it are listed as drifts.
      - Write the numbers in quotes; a fraction without quotes is refused, since it is not the number that was written.
      - Open orders must agree exactly.
    type: dict
    default: {}
  reads:
    description: In how many reads in a row a difference must be seen to be a break.
    type: int
    default: 2
  interval:
    description: Seconds between two reads.
    type: float
    default: 0.5
  timeout:
    description:
      - Seconds for everything. The verdict is then what the last reads show.
      - A read may take this divided by O(reads) plus one, and none is begun that could not end in time.
    type: float
    default: 15.0
  require_reconciled:
    description:
      - Whether the task fails when the verdict is another one than V(reconciled).
      - With V(false) the response goes on; the record still says what is not proven.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    description: The same as without, since it never changes anything.
  diff_mode:
    support: N/A
    description: Nothing is changed.
  idempotent:
    support: N/A
    description: Nothing is changed.
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Prove that our books and the venue's agree, before anything may trade
  hft.incident.position_reconciliation:
    venues: "{{ hft_venues }}"
    trading_systems: "{{ hft_trading_systems }}"
    only: [binance]
    tolerance:
      BTC: "0.00000001"
      "binance:BNB": "0.01"

- name: Look at all venues and go on whatever comes out
  hft.incident.position_reconciliation:
    venues: "{{ hft_venues }}"
    trading_systems: "{{ hft_trading_systems }}"
    require_reconciled: false
  register: books
"""

RETURN = r"""
verdict:
  description:
    - V(breaks) if any exchange has a difference that somebody must explain, else V(unproven) if anything is not known,
      else V(reconciled).
  returned: when the arguments were valid
  type: str
  sample: breaks
reason:
  description: Why, in one line.
  returned: when the arguments were valid
  type: str
  sample: breaks at binance 1
venues:
  description: The verdict for each exchange, with its breaks, drifts within tolerance, and orders listed twice.
  returned: when the arguments were valid
  type: list
  elements: dict
  sample:
    - exchange: binance
      verdict: breaks
      why: ""
      breaks: []
      drifts: []
      duplicates: []
breaks:
  description:
    - The breaks of all exchanges. C(kind) is one of C(missing_at_venue), C(missing_in_system), C(sign_mismatch),
      C(quantity_mismatch), C(orphan_order), C(ghost_order) and C(order_mismatch).
  returned: when the arguments were valid
  type: list
  elements: dict
  sample:
    - kind: quantity_mismatch
      exchange: binance
      account: spot
      symbol: BTC
      order_id: ""
      client_id: ""
      field: qty
      system: "1.5"
      venue: "1.4"
      difference: "-0.1"
      sentence: >-
        binance spot BTC: the trading system holds 1.5, the venue 1.4 (-0.1): compare the fills since the last
        agreement, then correct the trading system
outcome:
  description: V(unproven).
  returned: on failure
  type: str
  sample: unproven
record:
  description: Events for the incident's journal, C(positions.reconciled).
  returned: when the arguments were valid
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import position_reconciliation


def main() -> None:
    """The door on a host."""
    finish(
        AnsibleModule(argument_spec=position_reconciliation.ARGUMENT_SPEC, supports_check_mode=True),
        position_reconciliation.run,
    )


if __name__ == "__main__":
    main()
