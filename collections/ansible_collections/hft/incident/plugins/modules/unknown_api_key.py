#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of nobody, revoked, as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: unknown_api_key
short_description: Revoke the API keys that are none of ours at all venues at once, and prove it
version_added: 0.3.0
description:
  - Lists the keys of every account, deletes those that are neither in O(keys) nor in the venues file, and lists again.
    Only the venue's next listing counts.
  - It is for a breach that is confirmed. A key that somebody forgot to write into O(keys) is revoked, too.
  - What is ours is not guessed. Where one id of ours cannot be read, nothing is revoked at that venue, and it is
    V(unknown).
  - Where a venue has no API to list or to delete keys, that is V(by_hand), with the steps for a person.
  - What is revoked stays revoked, so there is nothing to undo and no inverse.
extends_documentation_fragment:
  - hft.incident.venues
  - hft.incident.only
options:
  keys:
    description:
      - The keys that are ours, as C(hft_api_keys) of the inventory has them, each with C(name), C(venue), and C(key_id)
        or C(slot). Those of the venues file are known without an entry.
      - Where it is left out, C(hft_api_keys) of the inventory is taken.
    type: list
    elements: dict
    required: true
  secret_store:
    description:
      - Where the ids of keys with a C(slot) are.
      - Where it is left out, C(hft_secret_store) of the inventory is taken.
    type: dict
    default: {}
  state:
    description: With V(revoked), no account has a key that is not ours.
    type: str
    choices: [revoked]
    default: revoked
  timeout:
    description: Seconds for listing at all venues, and as many for revoking.
    type: float
    default: 20.0
attributes:
  check_mode:
    support: full
    description: Lists, says what would be revoked, and revokes nothing.
  diff_mode:
    support: full
    description: The ids of unknown keys, before and after.
  idempotent:
    support: full
    description: Where no unknown key is left, nothing is done.
author:
  - hft-incident contributors (@hft-incident)
seealso:
  - module: hft.incident.api_key
  - module: hft.incident.venue_account_info
"""

EXAMPLES = r"""
- name: Whoever was here has no key to come back with
  hft.incident.unknown_api_key:
    state: revoked

- name: What would be revoked at one venue
  hft.incident.unknown_api_key:
    only: [okx]
  check_mode: true
"""

RETURN = r"""
venues:
  description: One entry a venue.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: The venue., type: str}
    verdict:
      description:
        - V(revoked), the last listing has no key that is not ours; V(left), it has; V(by_hand), the venue has no API
          for it; V(unknown), there is no valid listing, or nobody can say what is ours.
      type: str
    unknown:
      description: Keys that were not ours when they were first listed; C(left) says whether one is still there.
      type: list
      elements: dict
    steps: {description: "What a person does, a line each.", type: list, elements: str}
    error: {description: Why it is not done; null where nothing more is to be said., type: str}
  sample:
    - name: okx
      verdict: revoked
      unknown: [{id: 7286115c897167f8da, label: backup, left: false}]
      steps: []
      error:
record:
  description: Events for the incident's journal.
  returned: always, but in check mode
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import unknown_api_key


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=unknown_api_key.ARGUMENT_SPEC, supports_check_mode=True), unknown_api_key.run)


if __name__ == "__main__":
    main()
