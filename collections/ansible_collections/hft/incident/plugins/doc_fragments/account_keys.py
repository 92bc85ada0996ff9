# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that say which API keys are ours."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  keys:
    description:
      - Which API keys are ours, as C(hft_api_keys) of the inventory has them.
      - C(name) and C(venue) say which key at which venue. Its id there is C(key_id), the id itself or a reference to it
        (C(env:NAME), C(file:PATH), C(cmd:COMMAND)), or what O(secret_store) has in C(slot).
      - C(permissions) and C(ip_allow_list), where they are there, are what the key was approved for.
      - The keys of O(venues) themselves are known without an entry.
      - Where it is left out, C(hft_api_keys) of the inventory is taken.
    type: list
    elements: dict
    default: []
  secret_store:
    description:
      - Where the ids of keys with a C(slot) are, as C(hft_secret_store) of the inventory has it. Only ids are read from
        it, no secrets are used.
      - Where it is left out, C(hft_secret_store) of the inventory is taken.
    type: dict
    default: {}
"""
