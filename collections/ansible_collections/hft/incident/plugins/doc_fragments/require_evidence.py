# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of what would destroy evidence."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  require_evidence:
    description:
      - Refuse, before anything is done, unless the volatile state of the host was kept in the open incident
        (M(hft.incident.evidence) with O(hft.incident.evidence#module:volatile=true)) and is still as it was put there,
        or people have waived it.
      - It ends as V(held) and names both ways to go on. Who may waive it, the gate C(waive_evidence) of C(hft_gates) of
        the inventory says; that somebody did is recorded for each host.
      - Check mode says whether it would be refused.
    type: bool
    default: false
  evidence_of:
    description:
      - With O(require_evidence=true), the hosts whose evidence must be there, by their names in the inventory.
      - Where it is empty, the host that the task works on.
    type: list
    elements: str
    default: []
"""
