#!/usr/bin/python
# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate as a module; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gate
short_description: Go on only where enough different people have signed that it may
version_added: 0.2.0
description:
  - Stopping needs nobody; to open again needs people. An approval is given by C(hft-incident approve INC GATE), which
    signs, with the person's own SSH key, the incident, the gate and the incident's record as it stands.
  - Every approval in the record is checked anew with C(ssh-keygen). It counts where it is for this incident and this
    gate, has not expired, was signed over this very record, and the facts that it was given upon are still the same
    (what is proven clear, the reconciliation, what is closed, what is still to be undone, the severity). Each person
    counts once, with however many keys, and so does each key, under however many names.
  - Without enough of them the run ends as C(held), exit code 4, and the message says exactly who can do what next. With
    enough of them the gate is passed, which is recorded, and stays so until something is closed again.
  - Modules that open something ask for the gate again themselves, so to leave this one out opens nothing.
  - Runs on the control node, where the record and the inventory are. A host that it is sent to refuses.
extends_documentation_fragment:
  - hft.incident.gates
options:
  gate:
    description: The gate, one of O(gates).
    type: str
    required: true
    aliases: [name]
  hold:
    description: V(false) offers the gate and goes on, whether it is passed or not, for what is a choice of people only.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    description: Says whether it would hold, and what it would need; it never holds and records nothing.
  diff_mode:
    support: N/A
    description: It changes nothing but the record.
  idempotent:
    support: full
    description: A gate that was passed needs no new approvals until something is closed again.
author:
  - hft-incident contributors (@hft-incident)
"""

EXAMPLES = r"""
- name: Two people allow trading to resume
  hft.incident.gate:
    gate: resume_trading
    gates:
      resume_trading:
        people: 2
        groups: [trading, risk]
        valid_for_s: 3600
        question: May trading resume?
    allowed_signers: /etc/hft-incident/allowed_signers

- name: Offer the failover, for two people to decide
  hft.incident.gate:
    gate: failover
    gates: "{{ hft_gates }}"
    allowed_signers: "{{ hft_allowed_signers }}"
    hold: false
"""

RETURN = r"""
passed:
  description: Whether enough people have approved.
  returned: where it could be found out
  type: bool
  sample: false
would_hold:
  description: Whether the run is held here (in check mode, would be).
  returned: where it could be found out
  type: bool
  sample: true
people:
  description: How many different people must approve.
  returned: where it could be found out
  type: int
  sample: 2
groups:
  description: Each of them must be in one of these.
  returned: where it could be found out
  type: list
  elements: str
  sample: [trading, risk]
question:
  description: What they are asked.
  returned: where it could be found out
  type: str
  sample: May trading resume?
valid_for_s:
  description: How long an approval stands (seconds).
  returned: where it could be found out
  type: int
  sample: 3600
guards:
  description: What it stands before, and so what takes its passage back.
  returned: where it could be found out
  type: str
  sample: trading
allowed_signers:
  description: The file with the keys that count.
  returned: where it could be found out
  type: str
  sample: /etc/hft-incident/allowed_signers
approved_by:
  description: Whose approvals count. Empty where the gate was passed before, so that none had to be looked at.
  returned: where it could be found out
  type: list
  elements: str
  sample: [alice@firm.example]
missing:
  description: So many more people are needed.
  returned: where it could be found out
  type: int
  sample: 1
may_approve:
  description: Who else could approve.
  returned: where it could be found out
  type: list
  elements: str
  sample: [bob@firm.example, carol@firm.example]
refused:
  description: The approvals that do not count, and why.
  returned: where it could be found out
  type: list
  elements: dict
  contains:
    person:
      description: Whose it is, as far as it is proven; else the key's fingerprint.
      type: str
    reason:
      description: Why it does not count.
      type: str
  sample:
    - person: bob@firm.example
      reason: it expired at 2026-11-23T11:00:00.000000Z
record:
  description: Events for the incident's journal.
  returned: where the gate was passed just now or holds
  type: list
  elements: dict
  sample:
    - kind: gate.passed
      data: {gate: resume_trading, people: [alice@firm.example, bob@firm.example], approvals: [41, 42]}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hft.incident.plugins.module_utils.host_door import finish
from ansible_collections.hft.incident.plugins.module_utils.steps import gate


def main() -> None:
    """The door on a host."""
    finish(AnsibleModule(argument_spec=gate.ARGUMENT_SPEC, supports_check_mode=True), gate.run)


if __name__ == "__main__":
    main()
