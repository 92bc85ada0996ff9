#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A checklist of credentials on record; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: credential_checklist
short_description: Put on record which other credentials an intruder may have, and whether all are replaced
version_added: 0.1.0
description:
  - For what no program replaces, such as the database's, SSH, CI, paging, cloud, custody and code signing. Each has an
    owner and stays open, in C(hft-incident status) and in the report, until somebody says on record that it is
    replaced, with C(hft-incident credentials INC --done NAME --by PERSON).
  - What is on the list once stays on it.
  - It changes nothing but the record. It works on the open incident, so it belongs on C(localhost).
options:
  credentials:
    description:
      - The list, as C(hft_credentials) of the inventory has it. Each entry has C(name), C(owner) and optionally C(how).
      - Where it is left out, C(hft_credentials) of the inventory is taken.
    type: list
    elements: dict
    required: true
  require_all:
    description: Whether the task is held until all of them are replaced.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: The same as without, since it never changes anything.
  diff_mode:
    support: N/A
    description: Nothing is changed.
  idempotent:
    support: full
    description: The same list is put on record once.
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Have everything else replaced by its owner
  hft.incident.credential_checklist:

- name: Nothing is opened again before that is done
  hft.incident.credential_checklist:
    credentials:
      - name: database, role hft
        owner: database team
        how: rotate hft in the vault, then restart pgbouncer
    require_all: true
"""

RETURN = r"""
open:
  description: The names of those that are still to be replaced.
  returned: success
  type: list
  elements: str
  sample: [CI deploy token]
items:
  description: All of them; C(done_by) and C(done_at) are empty as long as nobody has said that it is replaced.
  returned: success
  type: list
  elements: dict
  sample:
    - name: CI deploy token
      owner: platform team
      how: revoke it in the CI's settings
      done_by: ""
      done_at: ""
outcome:
  description: V(held) where some are still to be replaced, V(usage) where no incident is open.
  returned: on failure
  type: str
  sample: held
record:
  description: Events for the incident's journal, C(credentials.listed).
  returned: success
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import credential_checklist


def main() -> None:
    """The door on a host."""
    finish(
        AnsibleModule(argument_spec=credential_checklist.ARGUMENT_SPEC, supports_check_mode=True),
        credential_checklist.run,
    )


if __name__ == "__main__":
    main()
