#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotate or revoke API keys, or prove them; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: api_key
short_description: Replace or revoke the trading systems' API keys at all venues at once, and prove it
version_added: 0.1.0
description:
  - Works on the control node, from there and nowhere else; a key that is made on a suspect host is a suspect key.
  - Planned, a new key is created with no more rights than it needs and bound to addresses, stored at once, verified by
    a fresh client, put in the place of the old one, taken by the trading systems, which prove that, and only then the
    old one is revoked and proven dead.
  - With O(breach=true) the order is another. Open orders are proven gone by the responder's own key and withdrawals are
    stopped where the venue can, then the old key is revoked, and then a new one is made. A trading system that is
    stopped or cut off takes it later, which O(state=present) proves.
  - Nothing is remembered but what the store and the venue show. A run that was killed after any step is followed by one
    that goes on. There are never two new keys; that no key works is said.
  - A key is proven dead by the venue's own refusal of a fresh client that has its secret, and by the venue's list.
  - Where a venue has no API for it, the exact steps for a person are told and the key is V(held). Once the person has
    put the new key into the store (C(hft-incident key put NAME)), the next run verifies it as strictly, and at last
    proves that the old one is dead.
  - All keys are worked on at once; what goes wrong with one does not stop the others.
  - Of the same key, only one rotation runs at a time; another one waits, and then says who has it.
  - What is revoked stays revoked, so there is nothing to undo and no inverse.
  - No secret is in a result, in the record or in a command.
extends_documentation_fragment:
  - hft.incident.venues
  - hft.incident.trading_systems
  - hft.incident.require_evidence
options:
  keys:
    description:
      - The keys, as C(hft_api_keys) of the inventory has them. One without C(slot) is none that this module manages.
      - C(name) is unique, C(venue) one of O(venues), C(slot) where the store has it, C(used_by) the O(trading_systems)
        that use it, C(permissions) C(read) and C(trade) (the default) or fewer, and C(ip_allow_list) the addresses that
        may use it. The standby hosts' and the control node's, which verifies it, belong to them. An empty list has to
        be written out.
      - Keys are managed with C(admin_api_key) of the venue's entry.
      - Where it is left out, C(hft_api_keys) of the inventory is taken.
    type: list
    elements: dict
    required: true
  secret_store:
    description:
      - Where keys are kept, as C(hft_secret_store) of the inventory has it. C(kind) is C(file) (a folder C(path) of
        files for us alone), C(ansible_vault) (one file C(path), with C(password)) or C(vault_kv2) (HashiCorp Vault or
        OpenBao at C(url), with C(token), and optionally C(mount), C(prefix), C(namespace), C(ca_file), C(timeout); it
        needs hvac).
      - C(password) and C(token) are references, C(env:NAME), C(file:PATH) or C(cmd:COMMAND).
      - Beside a slot, C(.next) is the key that is to take its place and C(.previous) the one that is being revoked.
      - Where it is left out, C(hft_secret_store) of the inventory is taken.
    type: dict
    required: true
  state:
    description:
      - With V(rotated), the key in the store was made by this O(rotation), works, has the rights it should, is used by
        its trading systems, and is the only one.
      - With V(revoked), there is no key any more, and none is made.
      - With V(present), the key in the store works, has the rights it should and is used by its trading systems, which
        are told to load it. Nothing is made or revoked.
    type: str
    choices: [rotated, revoked, present]
    default: rotated
  only:
    description: Names of the keys, or of the venues, that are meant; all of them where it is empty.
    type: list
    elements: str
    default: []
  rotation:
    description:
      - What this rotation is called. The same name goes on with it, and does nothing once it is complete.
      - Where it is left out, the open incident's id is taken.
    type: str
  breach:
    description: Whether the keys may be known to an intruder, so that the old ones die first.
    type: bool
    default: false
  deliver_command:
    description:
      - A command, as a list of words, that brings the key from the store to where its trading systems read it. It runs
        on the control node before they load it.
      - Its environment names the key, C(HFT_KEY_NAME), C(HFT_KEY_SLOT) and C(HFT_KEY_FINGERPRINT). It gets no secret.
      - With O(breach=true) it does not run while no trading system that uses the key answers. They may be stopped on
        hosts that are the intruder's. O(state=present) runs it once they answer.
      - Where it is left out, C(hft_deliver_command) of the inventory is taken.
    type: list
    elements: str
    default: []
  withdrawal_addresses:
    description:
      - With O(breach=true), withdrawals to these addresses of ours are not stopped. All others are.
      - Where it is left out, C(hft_withdrawal_addresses) of the inventory is taken.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds for each key.
    type: float
    default: 120.0
attributes:
  check_mode:
    support: full
    description: Reads only, and says which steps would be taken.
  diff_mode:
    support: full
    description: The keys' fingerprints before and after.
  idempotent:
    support: full
    description: A rotation that is complete is not done again under the same name.
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Replace all keys as planned
  hft.incident.api_key:
    rotation: 2026-q4

- name: Replace all keys that an intruder may have
  hft.incident.api_key:
    breach: true

- name: Prove that the trading systems use keys that work, once they run again
  hft.incident.api_key:
    state: present

- name: Replace one key, kept in a vault and brought to the host by the site's own command
  hft.incident.api_key:
    only: [hft-1/okx]
    rotation: okx-ticket-4711
    secret_store:
      kind: vault_kv2
      url: https://vault.example.com:8200
      token: file:/etc/hft-incident/vault.token
    deliver_command: [/usr/local/sbin/deliver-key]
"""

RETURN = r"""
rotations:
  description:
    - What became of each key.
    - C(verdict) is V(rotated), V(revoked) or V(present), or V(held) (a person has to do something, see C(by_hand)),
      V(unknown) (acted, but not proven) or V(failed).
    - C(steps) are those that were taken. C(working_keys) says how many of its keys the venue takes now, null where
      that is not known. C(loaded) says whether all trading systems use it, null where none was asked.
    - C(fingerprint) and C(before) name the key in the store now and before, by the first 12 hex digits of the SHA-256
      of its id.
  returned: when the arguments were valid
  type: list
  elements: dict
  sample:
    - key: hft-1/okx
      venue: okx
      verdict: rotated
      changed: true
      steps: [create, verify, keep_old, promote, load, revoke, drop_previous]
      working_keys: 1
      loaded: true
      fingerprint: 4fd50eea78b6
      before: 921349bd7cae
      error:
      warnings: []
      by_hand: []
by_hand:
  description: The steps for a person, for each key that needs some.
  returned: when the arguments were valid
  type: dict
  sample:
    hft-1/kraken:
      - "Put it into the store: hft-incident key put hft-1/kraken"
outcome:
  description: The worst of V(failed), V(unproven) and V(held); V(usage) where nothing was begun.
  returned: on failure
  type: str
  sample: held
record:
  description: Events for the incident's journal, C(api_keys.rotated).
  returned: when the state is not V(present)
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import api_key


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=api_key.ARGUMENT_SPEC, supports_check_mode=True), api_key.run)


if __name__ == "__main__":
    main()
