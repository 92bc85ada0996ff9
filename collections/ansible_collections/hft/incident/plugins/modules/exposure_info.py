# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Net exposure over all venues, as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: exposure_info
short_description: Show the net exposure per asset over all venues
version_added: 0.1.0
description:
  - Reads the positions and balances at all venues at the same moment and nets them per base asset, for the desk to see
    at once what is open when one leg of a hedge is cut off.
  - Only shows. Whether to hedge or to hold is the desk's decision.
  - A figure in which a venue, a symbol or a unit is missing says so, RV(partial). That is an answer and no failure of
    the task.
extends_documentation_fragment:
  - hft.incident.venues
  - hft.incident.only
  - hft.incident.attributes.reads
options:
  timeout:
    description: Seconds for all venues; a failed read is tried again while there is time and sense.
    type: float
    default: 5.0
  base_assets:
    description:
      - The base asset of a symbol, where its name does not tell, by C(venue:symbol) or C(symbol).
      - An option's exposure is its delta, so options are never netted unless they are named here.
    type: dict
    default: {}
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Show the net exposure over all venues
  hft.incident.exposure_info:
    venues: "{{ hft_venues }}"

- name: The same, and say what an odd symbol is
  hft.incident.exposure_info:
    venues: "{{ hft_venues }}"
    base_assets:
      "bybit:PUMPBTC": PUMPBTC
"""

RETURN = r"""
partial:
  description: Whether something that belongs or may belong into the figures is not in them.
  returned: always
  type: bool
  sample: true
assets:
  description:
    - One entry a base asset. C(net) sums its legs, C(gross) their sizes, as exact decimals in text, over legs in units
      of the asset. C(because) says what is missing from them.
  returned: always
  type: list
  elements: dict
  contains:
    asset: {description: "Its name, the same for all venues.", type: str}
    stable: {description: Whether it is a coin that promises to be worth a currency., type: bool}
    net: {description: What is held over all venues., type: str}
    gross: {description: The sum of the sizes., type: str}
    partial: {description: Whether something may be missing., type: bool}
    because: {description: What that is., type: list, elements: str}
    legs: {description: The positions that were netted., type: list, elements: dict}
  sample:
    - asset: BTC
      stable: false
      net: "-0.50"
      gross: "1.50"
      partial: true
      because: ["kraken did not say what it holds: GET /0/private/Balance: connection refused"]
      legs:
        - {exchange: binance, account: spot, symbol: BTC, qty: "0.50"}
        - {exchange: bybit, account: linear, symbol: BTCUSDT, qty: "-1.00"}
not_netted:
  description: Positions in contracts or dollars, or of an asset that is not known, as they are.
  returned: always
  type: list
  elements: dict
  sample:
    - {exchange: deribit, account: future, symbol: BTC-PERPETUAL, asset: BTC, qty: "-1000", unit: usd}
unknown:
  description: The venues that did not say what they hold, and why.
  returned: always
  type: dict
  sample: {kraken: "GET /0/private/Balance: connection refused"}
record:
  description: Events for the incident's journal.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import exposure_info


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=exposure_info.ARGUMENT_SPEC, supports_check_mode=True), exposure_info.run)


if __name__ == "__main__":
    main()
