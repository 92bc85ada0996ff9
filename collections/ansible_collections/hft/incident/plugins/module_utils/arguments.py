# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Argument specs that several modules share, each mirrored by a documentation fragment of the same name."""

from __future__ import annotations

from typing import Any

#: fragment ``venues``. Entries are checked by ``settings``, one by one, so that one broken entry spoils only itself.
VENUES: dict[str, Any] = {"venues": {"type": "list", "elements": "dict", "required": True}}

#: fragment ``trading_systems``
TRADING_SYSTEMS: dict[str, Any] = {"trading_systems": {"type": "list", "elements": "dict", "default": []}}

#: fragment ``only``
ONLY: dict[str, Any] = {"only": {"type": "list", "elements": "str", "default": []}}
