# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that say which commands of a trading host are used."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  systemctl:
    description:
      - The C(systemctl) of the host, a name or a path.
      - Where it is left out, C(hft_systemctl) of the inventory is taken.
    type: str
    default: systemctl
  journalctl:
    description:
      - The C(journalctl) of the host, a name or a path.
      - Where it is left out, C(hft_journalctl) of the inventory is taken.
    type: str
    default: journalctl
  coredumpctl:
    description:
      - The C(coredumpctl) of the host, a name or a path.
      - Where it is left out, C(hft_coredumpctl) of the inventory is taken.
    type: str
    default: coredumpctl
"""
