# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Binance USDⓈ-M futures has no account API of its own: keys, withdrawals and logins are those of the Binance account.

An entry with ``driver: binance`` and the same account's key looks at what has an API; the rest is a person's work.
"""

from __future__ import annotations

from typing import ClassVar

from .api import Account
from .binance import BinanceAccount

SAME_ACCOUNT = "The account is that of binance.com: an entry with 'driver: binance' looks at its money."


class BinanceUsdmAccount(Account):
    driver = "binanceusdm"
    steps_to_create = BinanceAccount.steps_to_create
    steps_to_revoke = BinanceAccount.steps_to_revoke
    steps_to_freeze_withdrawals = BinanceAccount.steps_to_freeze_withdrawals
    steps_to_look: ClassVar = {
        **BinanceAccount.steps_to_look,
        "withdrawals": (SAME_ACCOUNT,),
        "addresses": (SAME_ACCOUNT,),
    }
