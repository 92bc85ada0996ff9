# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``unknown_api_key`` on the control node, in process."""

from __future__ import annotations

from ansible_collections.hft.incident.plugins.module_utils.steps import unknown_api_key
from ansible_collections.hft.incident.plugins.plugin_utils.door import Door


class ActionModule(Door):
    step = unknown_api_key
