# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Positions as the trading system books them, fill by fill, in exact decimals. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from ..gateways.gateway import Held, Trade

ZERO = Decimal(0)


@dataclass
class Position:
    """A signed quantity; ``avg_price`` None where nobody knows what it cost."""

    account: str
    symbol: str
    qty: Decimal = ZERO
    avg_price: Decimal | None = None
    realized_pnl: Decimal = ZERO

    def trade(self, signed: Decimal, price: Decimal) -> None:
        """Average cost: adding moves the average, reducing realizes, crossing zero starts anew."""
        after = self.qty + signed
        if self.avg_price is None:
            self.qty, self.avg_price = after, None if self.qty else price
            return
        if self.qty * signed >= 0:
            cost = self.avg_price * abs(self.qty) + price * abs(signed)
            self.avg_price = cost / abs(after) if after else ZERO
        else:
            closed = min(abs(signed), abs(self.qty)) * (1 if self.qty > 0 else -1)
            self.realized_pnl += (price - self.avg_price) * closed
            if self.qty * after < 0:
                self.avg_price = price
        self.qty = after

    def unrealized_pnl(self, price: Decimal | None) -> Decimal:
        if price is None or self.avg_price is None:
            return ZERO
        return (price - self.avg_price) * self.qty


class Ledger:
    """One account. Spot: a position per asset, and a fill moves two of them; derivatives: one per symbol."""

    def __init__(self, account: str, spot_assets: tuple[str, str] | None) -> None:
        self.account = account
        self.spot_assets = spot_assets
        self.positions: dict[str, Position] = {}

    def open(self, held: Iterable[Held], price: Decimal) -> None:
        """Start from what the venue says; ``price`` is what the traded spot asset is taken to have cost."""
        self.positions = {row.symbol: Position(self.account, row.symbol, row.qty, row.avg_price) for row in held}
        if self.spot_assets:
            self.of(self.spot_assets[0]).avg_price = price

    def of(self, symbol: str) -> Position:
        return self.positions.setdefault(symbol, Position(self.account, symbol))

    def book(self, trade: Trade) -> None:
        signed = trade.qty if trade.side == "buy" else -trade.qty
        if self.spot_assets is None:
            self.of(trade.symbol).trade(signed, trade.price)
            return
        base, quote = self.spot_assets
        self.of(base).trade(signed, trade.price)
        self.of(quote).qty -= signed * trade.price

    def held(self) -> list[Position]:
        return [position for position in self.positions.values() if position.qty]

    def marked_at(self, position: Position, price: Decimal | None) -> Decimal:
        """Unrealized P&L at the last price of the one symbol that is traded."""
        if self.spot_assets and position.symbol != self.spot_assets[0]:
            return ZERO
        return position.unrealized_pnl(price)
