# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a venue, as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: venue_watch
short_description: Wait until a venue is well again, and watch that it stays so
version_added: 0.1.0
description:
  - Takes the look of M(hft.incident.venue_status_info) again and again until the venue is as wanted, and then for as
    long as it has to stay so.
  - Fails, as not proven, when the time is up, or when two looks in a row are bad while it has to stay well.
  - Writes into the incident's journal whenever what it sees changes, and once a minute while nothing does.
  - A venue that limits or bans us is asked less and less often, down to once a minute.
extends_documentation_fragment:
  - hft.incident.venues
  - hft.incident.trading_systems
  - hft.incident.attributes.watches
options:
  name:
    description: The venue in question, as its entry in O(venues) is named.
    type: str
    required: true
  wait_for:
    description:
      - V(reachable), the venue answers a public call and takes our key, whatever the trading systems see.
      - V(healthy), and the trading systems are connected, enabled and have fresh market data.
    type: str
    choices: [reachable, healthy]
    default: healthy
  timeout:
    description: Seconds to wait until it is as wanted; the last look is taken when they are over.
    type: float
    default: 3600.0
  hold:
    description: Seconds for which it has to stay as wanted afterwards.
    type: float
    default: 0.0
  interval:
    description: Seconds between two looks.
    type: float
    default: 10.0
  look_timeout:
    description: Seconds that one look may take.
    type: float
    default: 5.0
  stale_after:
    description: Market data older than this many seconds is stale.
    type: float
    default: 30.0
author:
  - hft-incident contributors (@hft-incident)
seealso:
  - module: hft.incident.venue_status_info
"""

EXAMPLES = r"""
- name: Wait until the exchange answers again, with our key
  hft.incident.venue_watch:
    venues: "{{ hft_venues }}"
    name: binance
    wait_for: reachable
    timeout: 7200

- name: Half an hour without trouble
  hft.incident.venue_watch:
    venues: "{{ hft_venues }}"
    trading_systems: "{{ hft_trading_systems }}"
    name: binance
    timeout: 60
    hold: 1800
"""

RETURN = r"""
waited_s:
  description: Seconds until it was as wanted.
  returned: success
  type: float
  sample: 312.04
held_s:
  description: Seconds for which it then stayed so.
  returned: success
  type: float
  sample: 1800.6
verdict:
  description:
    - V(venue_down), it is their fault.
    - V(our_connection), ours, the network, the clock, the trading system or its configuration.
    - V(our_key), ours, the API key or what the venues file says of it.
    - V(healthy), every part of the evidence is positive.
    - V(unknown), the evidence is missing or contradicts itself.
  returned: success
  type: str
  sample: healthy
sentence:
  description: What the verdict means, in words.
  returned: success
  type: str
  sample: The venue answers, takes our key, and our trading system is connected, enabled and has fresh market data.
because:
  description: The evidence that decided at the last look, a line each.
  returned: success
  type: list
  elements: str
  sample: ["public time: ok", "authenticated read: ok", "market data read at the venue: fresh"]
supporting:
  description: Evidence that is shown beside the verdict and decides nothing.
  returned: success
  type: list
  elements: str
  sample: ["status page: online; it decides nothing"]
venue_reachable:
  description: Whether the venue answers a public call and an authenticated read.
  returned: success
  type: bool
  sample: true
evidence:
  description: Everything that was looked at last, in the form that M(hft.incident.venue_status_info) returns.
  returned: success
  type: dict
record:
  description: Events for the incident's journal.
  returned: success, not in check mode
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import venue_watch


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=venue_watch.ARGUMENT_SPEC, supports_check_mode=True), venue_watch.run)


if __name__ == "__main__":
    main()
