#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Undoing as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: undo
short_description: Undo what an incident's response changed, last change first
version_added: 0.1.0
description:
  - Every module of this collection that changes something returns how to undo it, and the scribe registers that in the
    incident's journal. This plays the inverses that are still open, the last change first, and records each.
  - An inverse that fails stops it and stays open, with those that were to follow; the next run goes on there.
  - It undoes what was changed on the play's own host and leaves the rest to plays on other hosts. It runs on the
    control node, where the journal is; each inverse is played on the host.
  - What opens something again is held (outcome C(held)) while another open incident keeps the same thing closed. With
    O(gate) it is held as well until that gate has been passed. What closes something needs nobody's leave.
extends_documentation_fragment:
  - hft.incident.gates
options:
  only:
    description: Undo only what these modules changed, for example V(strategy); everything where it is empty.
    type: list
    elements: str
    default: []
  skip:
    description: Leave what these modules changed for later.
    type: list
    elements: str
    default: []
  extra:
    description:
      - Further arguments for the inverses whose module has them, for example how gradually strategies start.
      - One that no inverse takes is refused before anything is undone.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: Says what would be undone, and what it would have to wait for.
  diff_mode:
    support: full
    description: What is open to undo, before and after.
  idempotent:
    support: full
    description: What is undone is not undone again.
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Open again what was closed, and leave the strategies for last
  hft.incident.undo:
    skip: [strategy]

- name: Open again what was closed on this host, once two people have approved
  hft.incident.undo:
    gate: resume_trading
    gates: "{{ hft_gates }}"
    allowed_signers: "{{ hft_allowed_signers }}"

- name: Start the strategies that were stopped, one by one
  hft.incident.undo:
    only: [strategy]
    extra:
      settle: 5
"""

RETURN = r"""
undone:
  description: What was undone (in check mode, what would be), in the order in which it happened.
  returned: always
  type: list
  elements: str
  sample: [enable binance at hft-1]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import undo


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=undo.ARGUMENT_SPEC, supports_check_mode=True), undo.run)


if __name__ == "__main__":
    main()
