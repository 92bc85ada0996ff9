# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which API keys there are, as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: api_key_info
short_description: Show the API keys at the venues, what each may do, and which are not ours
version_added: 0.2.0
description:
  - Asks every key of the venues file for its own rights and addresses, and, where the venue has an API for it, lists
    all keys of the account, at all venues at the same moment.
  - Each is held against the approved keys. One that nobody approved, that may more than it was approved for, or that is
    good from other addresses, is a finding.
  - What could not be read is RV(unknown) and what the venue has no API for is RV(not_offered), with the steps for a
    person. Neither is "no other keys", and neither is a failure of the task, so look at RV(known).
  - Bybit and OKX list the keys of sub-accounts only; those of the main account are RV(not_offered).
  - No secret of a key is returned. Its id is public and is.
extends_documentation_fragment:
  - hft.incident.venues
  - hft.incident.only
  - hft.incident.account_keys
  - hft.incident.account_evidence
options:
  timeout:
    description: Seconds for all of it; a failed read is tried again while there is time and sense.
    type: float
    default: 10.0
seealso:
  - module: hft.incident.api_key
  - module: hft.incident.venue_account_info
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Which keys are there, and are they ours?
  hft.incident.api_key_info:
  register: keys

- name: No key is there that nobody approved
  ansible.builtin.assert:
    that: keys.known and keys.findings | selectattr('kind', 'equalto', 'key_unknown') | length == 0
"""

RETURN = r"""
findings:
  description: What does not look like ours, the worst first.
  returned: always
  type: list
  elements: dict
  contains:
    venue: {description: Where., type: str}
    kind:
      description: For programs; C(key_unknown), C(key_rights), C(key_addresses), C(key_gone) or C(more).
      type: str
    severity:
      description: V(info); V(suspicious), which somebody must explain; or V(alarming).
      type: str
    what: {description: A sentence., type: str}
    detail: {description: More words., type: str}
  sample:
    - venue: deribit
      kind: key_unknown
      severity: alarming
      what: "key aD-KFx-H 'backup' is none of ours"
      detail: "may read, trade, transfer, withdraw, from every address, made 2026-11-27T01:50:57Z"
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
    parts: {description: "C(own_keys) and C(keys).", type: dict}
record:
  description: Events for the incident's journal.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import api_key_info


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=api_key_info.ARGUMENT_SPEC, supports_check_mode=True), api_key_info.run)


if __name__ == "__main__":
    main()
