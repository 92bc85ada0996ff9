# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an intruder would touch in the accounts, as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: venue_account_info
short_description: Read everything an intruder would touch in the accounts at the venues
version_added: 0.2.0
description:
  - Reads at all venues at the same moment, in minute zero of a breach, withdrawals, the withdrawal address book, API
    keys, the login history and open orders, and says what of it is not ours.
  - One venue or one part that hangs or refuses does not hold the others. What could not be read is RV(unknown), what
    the venue has no API for is RV(not_offered) with the steps for a person, and what nobody has said what is ours of is
    RV(not_judged). None of that is "nothing found", and none of it is a failure of the task, so look at RV(known).
  - Pending withdrawals are told whenever they were asked for, up to 30 days back.
  - Asked with C(admin_api_key) of a venue's entry where it has one, else with its C(api_key).
extends_documentation_fragment:
  - hft.incident.venues
  - hft.incident.only
  - hft.incident.account_keys
  - hft.incident.account_evidence
options:
  since:
    description:
      - What has been added, sent away or done since then counts, ISO 8601 with a zone. Go back to the earliest moment
        at which the intruder may have come.
      - Where it is left out, a week is looked back.
    type: str
  withdrawal_addresses:
    description:
      - The addresses that are ours. Withdrawals to any other one, and entries of the address book that are not among
        them, are findings.
      - Where it is left out, C(hft_withdrawal_addresses) of the inventory is taken.
    type: list
    elements: str
    default: []
  known_networks:
    description:
      - Where people of ours log in from. Where nobody says so, logins are not judged.
      - Where it is left out, C(hft_known_networks) of the inventory is taken.
    type: list
    elements: str
  client_id_pattern:
    description:
      - A regular expression that the client ids of all our orders match as a whole. Where nobody says so, orders are
        not judged.
      - Where it is left out, C(hft_client_id_pattern) of the inventory is taken.
    type: str
  timeout:
    description: Seconds for all of it; a failed read is tried again while there is time and sense.
    type: float
    default: 10.0
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Is money leaving, and who else is in the accounts?
  hft.incident.venue_account_info:
    since: "2026-11-20T00:00:00Z"
  register: accounts

- name: Nobody takes an unread account for a clean one
  ansible.builtin.debug:
    msg: "{{ accounts.unknown + accounts.not_offered }}"
  when: not accounts.known or accounts.not_offered
"""

RETURN = r"""
since:
  description: From when on something counts as new.
  returned: always
  type: str
  sample: "2026-11-20T00:00:00Z"
findings:
  description: What does not look like ours, the worst first.
  returned: always
  type: list
  elements: dict
  contains:
    venue: {description: Where., type: str}
    kind:
      description:
        - For programs; C(withdrawal_pending), C(withdrawal_done), C(address_added), C(key_unknown), C(key_rights),
          C(key_addresses), C(key_gone), C(login_foreign), C(account_changed), C(order_foreign) or C(more).
      type: str
    severity:
      description: V(info); V(suspicious), which somebody must explain; or V(alarming).
      type: str
    what: {description: A sentence., type: str}
    detail: {description: More words., type: str}
  sample:
    - venue: bybit
      kind: withdrawal_pending
      severity: alarming
      what: "1.5 BTC is on its way to bc1q-somebody-else, which is none of ours"
      detail: "withdrawal 900001, asked for 2026-11-27T01:50:57Z"
counts:
  description: How many findings there are of each severity.
  returned: always
  type: dict
  sample: {info: 0, suspicious: 1, alarming: 1}
worst:
  description: The severity of the worst finding; null where there is none.
  returned: always
  type: str
  sample: alarming
known:
  description: Whether everything that has an API was read at every venue.
  returned: always
  type: bool
  sample: false
unknown:
  description: What could not be read, and why. Nothing is known of it.
  returned: always
  type: list
  elements: dict
  contains:
    venue: {description: Where., type: str}
    part: {description: "Which part.", type: str}
    error: {description: Why., type: str}
    kind: {description: "The same in one word, C(auth) for example.", type: str}
  sample:
    - {venue: okx, part: keys, error: "GET /api/v5/users/subaccount/list: no answer in time", kind: unknown_outcome}
not_offered:
  description: What the venue has no API for, with the steps for a person. Nothing is known of it either.
  returned: always
  type: list
  elements: dict
  contains:
    venue: {description: Where., type: str}
    part: {description: "Which part.", type: str}
    what: {description: What has no API., type: str}
    steps: {description: "What a person does, a line each.", type: list, elements: str}
  sample:
    - venue: kraken
      part: keys
      what: kraken has no API to list API keys
      steps: ["Log in to kraken.com, Settings > API: compare the keys with the approved ones."]
not_judged:
  description: What was read and held against nothing, since nobody has said what is ours.
  returned: always
  type: list
  elements: dict
  sample:
    - {part: keys, why: "nobody has said which keys are ours: hft_api_keys"}
kept:
  description: The evidence that was kept, one folder a venue; where an incident is open, relative to its folder.
  returned: always
  type: list
  elements: dict
  sample:
    - host: venue-okx
      folder: evidence/venue-okx
      items: 4
      bytes: 2048
      manifest_sha256: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
      missing: ["logins: okx has no API to list logins"]
not_kept:
  description: What could not be kept, and why.
  returned: always
  type: list
  elements: str
  sample: []
accounts:
  description:
    - Each account as it was read, without a secret. A part that is not known, or has no API, is
      null, which is not the same as empty.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: The venue., type: str}
    driver: {description: Its driver., type: str}
    parts: {description: "C(own_keys), C(keys), C(withdrawals), C(addresses), C(logins) and C(orders).", type: dict}
record:
  description: Events for the incident's journal.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import venue_account_info


def main() -> None:
    """The door on a host."""
    finish(
        AnsibleModule(argument_spec=venue_account_info.ARGUMENT_SPEC, supports_check_mode=True), venue_account_info.run
    )


if __name__ == "__main__":
    main()
