#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a breach is suspected or confirmed, as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: breach_level
short_description: Judge whether a breach is suspected or confirmed
version_added: 0.3.0
description:
  - A breach is V(suspected) from the first signal on. That is enough for what protects the money and can be taken back.
  - It is V(confirmed) by a person with a name (O(confirmed_by), or a signed approval of O(gate)), or by two signals
    that alarm and come from different sources. Two findings of one host are one source, since whoever holds it
    can make it say anything.
  - A level never goes down by itself. Signals and people of earlier runs, which the record has, still count. So do the
    findings of M(hft.incident.host_audit_info) and M(hft.incident.venue_account_info) that are on record, also where
    the run that made them was killed before it could hand them on.
  - Runs on the control node, where the record is.
extends_documentation_fragment:
  - hft.incident.gates
options:
  confirmed_by:
    description: The person who says that it is a breach; nobody where it is empty.
    type: str
    default: ''
  signals:
    description:
      - What was found, as RV(hft.incident.host_audit_info#module:findings) has it. Each has C(source) (V(host),
        V(venue), V(network) or V(person)), C(kind), C(severity) (V(info), V(suspicious) or V(alarming)) and C(what).
        One with C(venue) is of source V(venue).
    type: list
    elements: dict
    default: []
  gate:
    description: The gate of O(gates) by which people confirm it. It does not matter where there is none of that name.
    type: str
    default: confirm_breach
  clearance:
    description: The gate of O(gates) by which security says that the hosts are clean, which decides it the other way.
    type: str
    default: security_clearance
  require:
    description:
      - With V(confirmed), the run is held where it is only suspected.
      - With V(decided), it is held where it is neither confirmed nor cleared (O(clearance)).
    type: str
    choices: [decided, confirmed]
attributes:
  check_mode:
    support: full
    description: Judges the same, and never holds.
  diff_mode:
    support: none
    description: Changes nothing but the record.
  idempotent:
    support: full
    description: What the record has is not written again.
author:
  - hft-incident contributors (@hft-incident)
seealso:
  - module: hft.incident.host_audit_info
  - module: hft.incident.gate
"""

EXAMPLES = r"""
- name: Suspected or confirmed?
  hft.incident.breach_level:
    confirmed_by: "{{ confirmed_by | default('') }}"
    signals: "{{ audit.findings + accounts.findings }}"
  register: level

- name: Go no further on a suspicion
  hft.incident.breach_level:
    require: decided
"""

RETURN = r"""
level:
  description: V(suspected) or V(confirmed).
  returned: success
  type: str
  sample: confirmed
because:
  description: Why, a sentence each.
  returned: success
  type: list
  elements: str
  sample:
    - "host: process 4711 (kworker) runs a program whose file is gone"
    - "venue: okx: a key nobody of ours has made"
confirmed_by:
  description: The people who say so.
  returned: success
  type: list
  elements: str
  sample: [dave@firm.example]
signals:
  description: Everything that speaks for it, also from earlier runs, the alarming first.
  returned: success
  type: list
  elements: dict
  sample:
    - {source: host, kind: process_deleted, severity: alarming, what: "process 4711 runs a program whose file is gone"}
cleared:
  description: Whether the gate O(clearance) was passed.
  returned: success
  type: bool
  sample: false
outcome:
  description: V(held) where it has to be decided and is not.
  returned: on failure
  type: str
  sample: held
record:
  description: Events for the incident's journal, C(breach.level_judged) where it says something new.
  returned: success
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import breach_level


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=breach_level.ARGUMENT_SPEC, supports_check_mode=True), breach_level.run)


if __name__ == "__main__":
    main()
