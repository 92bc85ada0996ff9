# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Their fault or ours, as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: venue_status_info
short_description: Say whether a venue is down or the fault is ours, with the evidence
version_added: 0.1.0
description:
  - Looks at one venue from all sides at the same moment, its name, connection and certificate, its public clock and
    market data, an authenticated read with our key, what the trading systems see, and whether other venues answer.
  - Gives the verdict of a fixed table of rules, with the evidence that decided.
  - A venue that is down is an answer and no failure of the task. The venue's status page is shown and decides nothing.
  - That the exchange is switched off in a trading system, as a response does with it, is told behind the verdict and
    hides nothing else that is wrong. By itself it makes V(our_connection).
  - Everything public is asked without the key, so that a key that cannot be used never looks like a venue that is down.
extends_documentation_fragment:
  - hft.incident.venues
  - hft.incident.trading_systems
  - hft.incident.attributes.reads
options:
  name:
    description: The venue in question, as its entry in O(venues) is named.
    type: str
    required: true
  timeout:
    description: Seconds for everything; what has not answered by then counts as not answering.
    type: float
    default: 5.0
  stale_after:
    description: Market data older than this many seconds is stale.
    type: float
    default: 30.0
author:
  - hft-incident contributors (@hft-incident)
seealso:
  - module: hft.incident.venue_watch
"""

EXAMPLES = r"""
- name: Is it them or us?
  hft.incident.venue_status_info:
    venues: "{{ hft_venues }}"
    trading_systems: "{{ hft_trading_systems }}"
    name: binance
  register: detected

- name: Say what to mend, where the fault is ours
  ansible.builtin.debug:
    msg: "{{ [detected.sentence] + detected.because }}"
  when: detected.verdict in ['our_key', 'our_connection']
"""

RETURN = r"""
verdict:
  description:
    - V(venue_down), it is their fault.
    - V(our_connection), ours, the network, the clock, the trading system or its configuration.
    - V(our_key), ours, the API key or what the venues file says of it.
    - V(healthy), every part of the evidence is positive.
    - V(unknown), the evidence is missing or contradicts itself.
  returned: always
  type: str
  sample: venue_down
sentence:
  description: What the verdict means, in words.
  returned: always
  type: str
  sample: The venue takes no connection while other venues answer.
because:
  description: The evidence that decided, a line each.
  returned: always
  type: list
  elements: str
  sample: ["DNS: ok", "TCP: failed unavailable (connection refused)", "other venues: 6 of 6 answer from here"]
supporting:
  description: Evidence that is shown beside the verdict and decides nothing, such as the venue's status page.
  returned: always
  type: list
  elements: str
  sample: ["status page: online; it decides nothing"]
venue_reachable:
  description: Whether the venue answers a public call and an authenticated read, whatever the trading systems see.
  returned: always
  type: bool
  sample: false
evidence:
  description:
    - Everything that was looked at. A check has C(state) (V(ok), V(failed) or V(unknown)), C(kind) of the failure and
      C(detail).
    - Clocks are in milliseconds, ages in seconds.
  returned: always
  type: dict
  contains:
    dns: {description: Resolving the venue's name., type: dict}
    tcp: {description: Connecting to it., type: dict}
    tls: {description: Its certificate., type: dict}
    public_time: {description: Its public clock., type: dict}
    authenticated_read: {description: The account's balances., type: dict}
    clock_offset_ms: {description: The venue's clock minus ours., type: int}
    clock_window_ms: {description: How far apart the venue tolerates them., type: int}
    market_data: {description: "The venue's public ticker, V(fresh), V(stale) or V(unknown).", type: str}
    trading_system: {description: The worst of what the trading systems see., type: dict}
    stale_after_s: {description: The limit that was used., type: float}
    others: {description: How many of the other venues answer from here., type: dict}
    status_page: {description: "What the venue says of itself, V(online), V(maintenance) or V(unknown).", type: str}
  sample:
    dns: {state: ok, kind: "", detail: ""}
    tcp: {state: failed, kind: unavailable, detail: connection refused}
    tls: {state: unknown, kind: "", detail: ""}
    public_time: {state: failed, kind: unavailable, detail: "GET /api/v3/time: connection refused"}
    authenticated_read: {state: failed, kind: unavailable, detail: "GET /api/v3/account: connection refused"}
    clock_offset_ms: null
    clock_window_ms: 5000
    market_data: unknown
    trading_system: {connected: false, enabled: true, last_market_data_age_s: 41.2, detail: ""}
    stale_after_s: 30.0
    others: {ok: 6, tried: 6}
    status_page: online
record:
  description: Events for the incident's journal.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import venue_status_info


def main() -> None:
    """The door on a host."""
    finish(
        AnsibleModule(argument_spec=venue_status_info.ARGUMENT_SPEC, supports_check_mode=True), venue_status_info.run
    )


if __name__ == "__main__":
    main()
