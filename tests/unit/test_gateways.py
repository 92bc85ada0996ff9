# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's trading system books fills in the order in which they happened, whichever way a venue lists them."""

from __future__ import annotations

from decimal import Decimal

from hft_incident.lab.gateways.gateway import Trade, oldest_first
from hft_incident.lab.trading_system.ledger import Ledger


def fill(number: int, side: str, price: str, at_ms: int = 1000) -> Trade:
    return Trade(str(number), "o", "BTCUSDT", "buy" if side == "buy" else "sell", Decimal(1), Decimal(price), at_ms)


HAPPENED = [fill(1, "buy", "100"), fill(2, "sell", "103"), fill(3, "buy", "101"), fill(4, "sell", "102", 1001)]


def test_fills_of_one_millisecond_keep_their_order() -> None:
    assert oldest_first(reversed(HAPPENED)) == HAPPENED


def test_in_the_wrong_order_they_would_have_made_something_else() -> None:
    """Realized after the first three: 3 from the round trip. Booked from the newest on, the same fills make 2."""

    def realized(trades: list[Trade]) -> Decimal:
        ledger = Ledger("linear", None, ("spot", "USDT"))
        for trade in trades:
            ledger.book(trade)
        return ledger.of("spot", "USDT").qty

    newest_first = list(reversed(HAPPENED[:3]))
    assert realized(oldest_first(newest_first)) == 3
    assert realized(newest_first) != 3
