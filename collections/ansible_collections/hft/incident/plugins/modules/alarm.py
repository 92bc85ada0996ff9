#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging an alarm as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: alarm
short_description: Judge whether an alarm is real, once for the whole incident
version_added: 0.2.0
description:
  - Writes into the incident's journal whether there is an incident at all, and why.
  - A judgement of V(true) stands for the whole incident. A run that resumes it gets V(true) whatever it finds itself. A
    response that has closed something must open it in order, also where what broke looks healthy again.
  - Runs on the control node, where the journal is.
options:
  real:
    description: What this run found.
    type: bool
    required: true
  because:
    description: The reason in a sentence, for the record.
    type: str
    default: ''
attributes:
  check_mode:
    support: full
    description: Changes nothing anyway.
  diff_mode:
    support: none
    description: Changes nothing.
  idempotent:
    support: full
    description: A judgement that stands is not written again.
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Judge the alarm
  hft.incident.alarm:
    real: "{{ not probe.all_answer }}"
    because: "{{ probe.msg }}"
  register: alarm

- name: Cancel everything
  hft.incident.killswitch:
    venues: "{{ hft_venues }}"
    reason: the trading system is dead
  when: alarm.real
"""

RETURN = r"""
real:
  description: Whether the response acts.
  returned: success
  type: bool
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import alarm


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=alarm.ARGUMENT_SPEC, supports_check_mode=True), alarm.run)


if __name__ == "__main__":
    main()
