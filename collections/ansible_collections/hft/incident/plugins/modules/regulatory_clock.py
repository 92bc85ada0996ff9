#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By when a regulator has to be notified, as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: regulatory_clock
short_description: Keep the time by which regulators and others have to be notified
version_added: 0.3.0
description:
  - Starts the clocks of O(clocks) at awareness (the opening of the incident) and at its classification, and says by
    when each is due and whose it is. Whether a clock has run out is derived from the record whenever somebody looks.
  - Legal decides which of them apply. Time is kept here, and nothing is notified.
  - A clock whose due time is another by what is known now is started again, with the new time.
  - C(hft-incident clocks) shows them, and takes a person's word that one was met.
  - Runs on the control node, where the record is.
options:
  state:
    description:
      - V(started) starts those that can start.
      - V(met), O(name) was done, by O(by).
      - V(stopped), O(name) does not apply, as O(by) says; O(reference) is the reason.
    type: str
    choices: [started, met, stopped]
    required: true
  clocks:
    description:
      - The clocks, each with C(name), C(starts_at) (V(awareness), V(classification), or the name of a clock before it,
        when that one was met), C(due_s), C(owner), and optionally C(not_later_than) (C(from) and C(due_s)), C(question)
        and C(source).
      - Where it is left out, C(hft_regulatory_clocks) of the inventory is taken.
    type: list
    elements: dict
    default: []
  confirmed:
    description: Whether it is classified (as major) by now. It stays so.
    type: bool
    default: false
  aware_at:
    description: When we became aware of it, if that was before the opening. ISO 8601 with a zone.
    type: str
  name:
    description: The clock, with O(state=met) or O(state=stopped).
    type: str
  by:
    description: Who did it, or says so, with O(state=met) or O(state=stopped).
    type: str
  reference:
    description: The regulator's receipt, or why it does not apply.
    type: str
    default: ''
attributes:
  check_mode:
    support: full
    description: Says how the clocks would stand, and records nothing.
  diff_mode:
    support: none
    description: Changes nothing but the record.
  idempotent:
    support: full
    description: A clock that runs and is due at the same time is not started again.
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Start the clocks of a breach
  hft.incident.regulatory_clock:
    state: started
    confirmed: "{{ level.level == 'confirmed' }}"

- name: The initial notification was sent
  hft.incident.regulatory_clock:
    state: met
    name: dora_initial
    by: erin@example.com
    reference: receipt 4711
"""

RETURN = r"""
clocks:
  description: Every clock of the incident as it stands.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Its name., type: str}
    owner: {description: Who has to do it., type: str}
    from: {description: What it runs from., type: str}
    state: {description: "V(started), V(met) or V(stopped).", type: str}
    due_at: {description: "By when; null where it waits for another clock.", type: str}
    left_s: {description: "Seconds left, negative where it has run out; null where it does not run.", type: float}
    overdue: {description: "Whether it has run out, or was met too late.", type: bool}
    met_at: {description: When it was met., type: str}
    by: {description: Who says that it was met or does not apply., type: str}
    reference: {description: The receipt or the reason., type: str}
    question: {description: What has to be decided or done., type: str}
  sample:
    - name: dora_initial
      owner: legal
      from: classification
      state: started
      due_at: "2026-11-27T14:00:00.000000Z"
      left_s: 14400.0
      overdue: false
      met_at: null
      by: ""
      reference: ""
      question: Is it a major incident under DORA? Then send the initial notification.
record:
  description: Events for the incident's journal, C(clock.started), C(clock.met), C(clock.stopped).
  returned: when not in check mode
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import regulatory_clock


def main() -> None:
    """The door on a host."""
    module = AnsibleModule(
        argument_spec=regulatory_clock.ARGUMENT_SPEC,
        required_if=regulatory_clock.REQUIRED_IF,
        supports_check_mode=True,
    )
    finish(module, regulatory_clock.run)


if __name__ == "__main__":
    main()
