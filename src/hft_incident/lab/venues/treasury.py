# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The account around the trading: withdrawals, the address book, the login history. No wire format."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

WITHDRAWAL_TAKES_MS = 3_600_000


@dataclass
class Withdrawal:
    """Money on its way out; ``key`` asked for it ("" on the website)."""

    id: int
    asset: str
    amount: Decimal
    address: str
    at_ms: int
    key: str = ""
    state: Literal["pending", "done", "cancelled"] = "pending"


@dataclass(frozen=True)
class Address:
    """An entry of the withdrawal address book."""

    id: int
    asset: str
    address: str
    label: str
    trusted: bool
    added_ms: int


@dataclass(frozen=True)
class Login:
    """A line of the access history; ``event`` is "login", or another act on the website."""

    id: int
    at_ms: int
    ip: str
    ok: bool
    event: str = "login"


class Treasury:
    """Thread-safe; every method takes effect at once."""

    def __init__(self, now_ms: Callable[[], int], balances: MutableMapping[str, Decimal]) -> None:
        self.addresses: list[Address] = []
        self.logins: list[Login] = []
        self._withdrawals: dict[int, Withdrawal] = {}
        self._balances = balances
        self._now_ms = now_ms
        self._ids = itertools.count(900_001)
        self._lock = threading.RLock()

    def withdraw(self, asset: str, amount: Decimal, address: str, *, key: str = "") -> Withdrawal:
        """Raises ValueError where the account has not that much of it."""
        with self._lock:
            if not 0 < amount <= self._balances.get(asset, Decimal(0)):
                raise ValueError(f"the account has not {amount} {asset}")
            self._balances[asset] -= amount
            withdrawal = Withdrawal(next(self._ids), asset, amount, address, self._now_ms(), key)
            self._withdrawals[withdrawal.id] = withdrawal
            return withdrawal

    def withdrawals(self, since_ms: int = 0) -> list[Withdrawal]:
        """Oldest first; one that has been pending for an hour is done."""
        with self._lock:
            for withdrawal in self._withdrawals.values():
                if withdrawal.state == "pending" and self._now_ms() - withdrawal.at_ms > WITHDRAWAL_TAKES_MS:
                    withdrawal.state = "done"
            return [withdrawal for withdrawal in self._withdrawals.values() if withdrawal.at_ms >= since_ms]

    def complete(self, number: int) -> bool:
        """The money is gone. False where there is no such pending withdrawal."""
        return self._end(number, "done")

    def cancel(self, number: int) -> bool:
        """False where there is no such pending withdrawal."""
        return self._end(number, "cancelled")

    def add_address(
        self, asset: str, address: str, *, label: str = "", trusted: bool = True, ago_s: float = 0
    ) -> Address:
        added = Address(next(self._ids), asset, address, label, trusted, self._now_ms() - int(ago_s * 1000))
        self.addresses.append(added)
        return added

    def add_login(self, ip: str, *, ok: bool = True, event: str = "login", ago_s: float = 0) -> Login:
        login = Login(next(self._ids), self._now_ms() - int(ago_s * 1000), ip, ok, event)
        self.logins.append(login)
        return login

    def _end(self, number: int, state: Literal["done", "cancelled"]) -> bool:
        with self._lock:
            withdrawal = self._withdrawals.get(number)
            if withdrawal is None or withdrawal.state != "pending":
                return False
            withdrawal.state = state
            if state == "cancelled":
                self._balances[withdrawal.asset] += withdrawal.amount
            return True
