#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Escalating as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: escalation
short_description: Raise the severity of an incident that happens again soon
version_added: 0.2.0
description:
  - Looks in the records of this state folder for another real incident of the same type that was opened shortly before
    this one. If there is one, that is recorded, once, and the severity rules know it from then on as the fact C(again).
    As shipped, they raise the severity to 1 (C(crash_again) in C(playbooks/vars/severity.yml)).
  - A record that cannot be read counts as such an incident, because the higher severity is the safer mistake.
  - Rehearsals (check mode) and false alarms do not count.
  - Runs on the control node, where the journals are.
options:
  within:
    description: How shortly before, in seconds.
    type: float
    default: 3600
attributes:
  check_mode:
    support: full
    description: Changes nothing but the record.
  diff_mode:
    support: none
    description: Changes nothing but the record.
  idempotent:
    support: full
    description: An incident is escalated once.
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Escalate a second crash within the hour
  hft.incident.escalation:
    within: 3600
  register: escalation
"""

RETURN = r"""
repeated:
  description: Whether it happened before, so shortly.
  returned: success
  type: bool
  sample: true
earlier:
  description: The earlier incidents, the oldest first.
  returned: success
  type: list
  elements: str
  sample: [inc-20261123T100000Z-system_crash-1]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import escalation


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=escalation.ARGUMENT_SPEC, supports_check_mode=True), escalation.run)


if __name__ == "__main__":
    main()
