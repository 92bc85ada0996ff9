#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Closing an incident as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: incident
short_description: Close an incident, if its own record proves that it may be closed
version_added: 0.1.0
description:
  - Closes the incident that the scribe keeps the record of.
  - V(resolved) is refused (the run ends as not proven) unless the record shows every killed venue clear, nothing left
    to undo, and positions and orders reconciled. V(not_confirmed) is refused where the record shows that something was
    killed, stopped or changed.
  - It never reports a change, since a record is closed and nothing of trading is touched. The diff tells whether the
    record was closed just now.
  - Runs on the control node, where the journal is.
options:
  state:
    description: The only state that a task can bring about.
    type: str
    choices: [closed]
    default: closed
  resolution:
    description:
      - V(resolved) for an incident that was contained and recovered from.
      - V(not_confirmed) for an alarm that turned out to be none, so that nothing was changed.
    type: str
    choices: [resolved, not_confirmed]
    default: resolved
  summary:
    description: One line for the record.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description:
      - An incident that was opened in check mode is a rehearsal; it is closed as such, and proves nothing.
      - In check mode a real incident stays open, and the result says whether it could be closed.
  diff_mode:
    support: full
    description: The incident's state, before and after.
  idempotent:
    support: full
    description: A closed incident is not closed again, and its diff is empty.
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Close the incident
  hft.incident.incident:
    summary: "{{ exchange }} was out; trading resumed"
"""

RETURN = r"""
record:
  description: Events for the incident's journal.
  returned: when it was closed
  type: list
  elements: dict
  sample:
    - kind: incident.closed
      data: {resolution: resolved, summary: binance was out; trading resumed}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import incident


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=incident.ARGUMENT_SPEC, supports_check_mode=True), incident.run)


if __name__ == "__main__":
    main()
