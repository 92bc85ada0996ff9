# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Money on its way out, stopped, as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: withdrawals
short_description: Cancel what is on its way out at all venues at once, and prove it
version_added: 0.2.0
description:
  - Cancels every pending withdrawal at all venues at the same moment, except those to addresses of ours, and lists
    again until none is left or time is up. Only the venue's next listing counts, never its answer to a cancel.
  - It stops what was asked for and cannot forbid the next one. The lasting lock is on the venue's website; its steps
    for a person come with every venue, RV(venues[].steps).
  - Where a venue has no API to list or to cancel withdrawals, that is V(by_hand). That is never V(frozen), except
    where a valid listing shows that nothing is on its way.
  - Nothing undoes a cancelled withdrawal, so no inverse is registered. It can be asked for again.
  - Asked with C(admin_api_key) of a venue's entry where it has one, else with its C(api_key); the venues want a right
    to withdraw for it.
extends_documentation_fragment:
  - hft.incident.venues
  - hft.incident.only
options:
  state:
    description: With V(frozen), no withdrawal is on its way to an address that is not ours.
    type: str
    choices: [frozen]
    default: frozen
  withdrawal_addresses:
    description:
      - The addresses that are ours; withdrawals to them are left alone, and told. Where it is empty, every pending
        withdrawal is cancelled.
      - Give an empty list in a breach, unless somebody has proven that the list itself is not the intruder's.
      - Where it is left out, C(hft_withdrawal_addresses) of the inventory is taken.
    type: list
    elements: str
    default: []
  require_frozen:
    description: Whether the task fails, as unproven, unless every venue is V(frozen).
    type: bool
    default: true
  timeout:
    description: Seconds for all venues.
    type: float
    default: 20.0
  interval:
    description: Seconds between a cancel that did not do it and the next one.
    type: float
    default: 1.0
attributes:
  check_mode:
    support: full
    description: Lists, says what would be cancelled, and cancels nothing.
  diff_mode:
    support: full
    description: How many were pending before and after.
  idempotent:
    support: full
    description: Where nothing is on its way, nothing is cancelled and nothing has changed.
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Stop the money that is on its way out
  hft.incident.withdrawals:
    withdrawal_addresses: []

- name: The same where the venues can, and a person has to do the rest
  hft.incident.withdrawals:
    require_frozen: false
  register: withdrawals
"""

RETURN = r"""
frozen:
  description: Whether nothing is on its way out at any venue, as the venues themselves list it.
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
    verdict:
      description:
        - V(frozen), the last listing has nothing on its way but to addresses of ours; V(pending), it has; V(by_hand),
          the venue has no API for it; V(unknown), there is no valid listing, or something that was there is missing in
          it.
      type: str
    cancelled: {description: Those that were stopped., type: list, elements: dict}
    pending: {description: Those that were not., type: list, elements: dict}
    kept: {description: Those that are on their way to addresses of ours., type: list, elements: dict}
    gone: {description: Those that were pending and went through meanwhile., type: list, elements: dict}
    can_cancel: {description: Whether the venue has an API to cancel., type: bool}
    steps: {description: "The lasting lock, for a person, a line each.", type: list, elements: str}
    error: {description: Why it is not frozen; null where nothing more is to be said., type: str}
  sample:
    - name: okx
      verdict: frozen
      cancelled:
        - id: "900001"
          asset: BTC
          amount: "1.5"
          address: bc1q-somebody-else
          state: cancelled
          at_ms: 1795744257000
      pending: []
      kept: []
      gone: []
      can_cancel: true
      steps: ["Log in to okx.com, Assets > Order history > Withdrawals: cancel each one that is pending."]
      error: null
record:
  description: Events for the incident's journal.
  returned: always, but in check mode
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import withdrawals


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=withdrawals.ARGUMENT_SPEC, supports_check_mode=True), withdrawals.run)


if __name__ == "__main__":
    main()
