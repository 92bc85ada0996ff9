# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that keep what the venues told of the accounts, and what that does in check mode."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  keep:
    description:
      - Whether what each venue told is kept as evidence, on the control node, as JSON documents with a manifest that
        proves them. What it did not tell is named there.
      - What could not be kept fails the task; what was seen is in its result all the same.
    type: bool
    default: false
  dest:
    description:
      - The folder in which each venue's folder is made. Without an open incident it is needed to keep anything; with
        one it is the incident's C(evidence).
    type: path
  signing_key:
    description:
      - The SSH key that signs what is kept; without one it is not signed.
      - Where it is left out, C(hft_evidence_signing_key) of the inventory is taken.
    type: path
attributes:
  check_mode:
    support: full
    description: Reads the same, says whether it would keep anything, and keeps nothing.
  diff_mode:
    support: none
    description: Changes nothing but what it keeps.
  idempotent:
    support: none
    description: Changes nothing at a venue. With O(keep=true), it is kept again, in a folder of its own.
"""
