#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reconcile positions and open orders; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: position_reconciliation
short_description: Compare the trading systems' positions, P&L and open orders with the venues' own
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
  - The P&L is compared with the venue's too, a position at a time. The entry prices must agree, and what the trading
    system says the position has made must be what the venue's entry price and mark make of it (or, where the venue
    counts in contracts, what the venue itself says). A difference is a break of kind C(pnl).
  - What cannot be compared is listed in RV(pnl) with the reason and never counts as equal. Venues state no entry price
    of spot balances.
  - A trading system that leaves out a figure, or whose C(total_unrealized_pnl_usd) is not the sum of its positions, has
    given no valid answer.
  - Where a venue lists the open orders of some lines only, its open orders are not known.
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
  entry_tolerance:
    description: How far an entry price may be from the venue's, as a share of it.
    type: str
    default: "0.0001"
  pnl_tolerance_usd:
    description:
      - How far the unrealized P&L of a position may be from the venue's, in US dollars, on top of half a percent of the
        position's size, which the market may move between the two reads.
    type: str
    default: "100"
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
    pnl_tolerance_usd: "25"
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
      C(quantity_mismatch), C(pnl), C(orphan_order), C(ghost_order) and C(order_mismatch).
    - C(field) says what differs, C(entry_price) or C(unrealized_pnl) (in US dollars) where the kind is C(pnl).
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
pnl:
  description: The unrealized P&L of the last read, all exchanges together.
  returned: when the arguments were valid
  type: dict
  contains:
    ours_usd: {description: "By the trading systems, of the compared positions; null where there are none.", type: str}
    venue_usd: {description: "By the venues, of the same positions.", type: str}
    compared: {description: How many positions that is., type: int}
    positions: {description: "These positions, each with C(ours_usd) and C(venue_usd).", type: list, elements: dict}
    not_compared:
      description:
        - What could not be compared, with the reason; C(what) is a whole C(position) or only its C(unrealized_pnl).
      type: list
      elements: dict
  sample:
    ours_usd: "512.40"
    venue_usd: "509.85"
    compared: 1
    positions:
      - exchange: binanceusdm
        account: linear
        symbol: BTCUSDT
        ours_usd: "512.40"
        venue_usd: "509.85"
    not_compared:
      - exchange: binance
        account: spot
        symbol: BTC
        what: position
        reason: the venue states no entry price
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
