# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at a latch, from the control node."""

from __future__ import annotations

from ansible_collections.hft.incident.plugins.module_utils.steps import latch_info
from ansible_collections.hft.incident.plugins.plugin_utils.latch_door import LatchDoor


class ActionModule(LatchDoor):
    step = latch_info
