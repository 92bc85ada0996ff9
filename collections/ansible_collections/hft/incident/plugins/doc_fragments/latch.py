# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that say which latch is meant, and where it is."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  trading_system:
    description: The one of O(trading_systems) that runs on this host. All of them where it is not given.
    type: str
  scope:
    description: What is meant, all trading, one exchange, or one strategy.
    type: str
    choices: [all, exchange, strategy]
    default: all
  name:
    description: The exchange or the strategy. One that no trading system knows is an error, before anything is changed.
    type: str
  hold_file:
    description:
      - Absolute path of the hold file on the host, on a disk that survives a reboot (not under C(/run)). The trading
        system's unit carries C(AssertPathExists=!) with this path.
      - "An exchange's or a strategy's own is beside it: C(<hold_file>.d/exchange-NAME), C(<hold_file>.d/strategy-ID)."
      - Where it is left out, C(hft_hold_file) of the inventory is taken.
    type: str
    required: true
  timeout:
    description: Seconds in which the trading systems must answer.
    type: float
    default: 5.0
"""
