# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that say whose approval something needs."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  gate:
    description: The gate that must have been passed, one of O(gates).
    type: str
  gates:
    description:
      - What each gate asks for, as C(hft_gates) of the inventory has it.
      - Each has C(people) (how many different people must approve), C(groups) (each of them must be in one of these),
        and optionally C(valid_for_s) (how long an approval stands, 3600 where it is not said) and C(question) (what
        they are asked).
      - V(guards) says what it stands before, and so what takes its passage back, V(trading) where it is not said.
        V(trading), that something is closed again; V(hosts), that a host is isolated again; V(decision), nothing, since
        what was confirmed or waived stays so.
      - Where it is left out, C(hft_gates) of the inventory is taken.
    type: dict
    default: {}
  allowed_signers:
    description:
      - Path, on the control node, of the file that says whose keys count, as C(hft_allowed_signers) of the inventory
        has it. It is in OpenSSH's own format.
      - The principals of a line are the person first, then the person's groups as C(group:NAME), for example
        C(alice@firm.example,group:trading namespaces="approval@hft-incident" ssh-ed25519 AAAA...).
      - Where it is left out, C(hft_allowed_signers) of the inventory is taken.
    type: path
"""
