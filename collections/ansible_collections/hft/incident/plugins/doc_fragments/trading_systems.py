# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option that says which trading systems there are."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  trading_systems:
    description:
      - The trading systems' APIs, as C(hft_trading_systems) of the inventory has them.
      - Each entry has C(name) and C(url), and optionally C(token) (a reference, C(env:NAME), C(file:PATH) or
        C(cmd:COMMAND)) and C(ca_file).
      - Where it is left out, C(hft_trading_systems) of the inventory is taken.
    type: list
    elements: dict
    default: []
"""
