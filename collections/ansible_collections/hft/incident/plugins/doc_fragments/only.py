# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option that narrows a module to some venues."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  only:
    description: Names of the venues that are meant; all of them where it is empty.
    type: list
    elements: str
    default: []
"""
