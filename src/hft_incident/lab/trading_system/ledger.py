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

    def trade(self, signed: Decimal, price: Decimal) -> Decimal:
        """Average cost: adding moves the average, reducing realizes, crossing zero starts anew. What it realized."""
        before, self.qty = self.qty, self.qty + signed
        if self.avg_price is None:
            self.avg_price = None if before else price
            return ZERO
        if before * signed >= 0:
            cost = self.avg_price * abs(before) + price * abs(signed)
            self.avg_price = cost / abs(self.qty) if self.qty else ZERO
            return ZERO
        realized = (price - self.avg_price) * (min(abs(signed), abs(before)) * (1 if before > 0 else -1))
        if before * self.qty < 0:
            self.avg_price = price
        self.realized_pnl += realized
        return realized

    def unrealized_pnl(self, price: Decimal) -> Decimal:
        return ZERO if self.avg_price is None else (price - self.avg_price) * self.qty


class Ledger:
    """One account. Spot: a position per asset, and a fill moves two of them; derivatives: one per symbol, and where the
    account is unified, realized P&L moves an asset."""

    def __init__(
        self, line: str, spot_assets: tuple[str, str] | None, settlement: tuple[str, str] | None = None
    ) -> None:
        self.line = line
        self.spot_assets = spot_assets
        self.settlement = settlement
        self.positions: dict[tuple[str, str], Position] = {}

    def open(self, held: Iterable[Held], price: Decimal) -> None:
        """Start from what the venue says; ``price`` is what the traded spot asset is taken to have cost."""
        rows = [Position(row.line or self.line, row.symbol, row.qty, row.avg_price) for row in held]
        self.positions = {(row.account, row.symbol): row for row in rows}
        if self.spot_assets:
            self.of(self.line, self.spot_assets[0]).avg_price = price

    def of(self, account: str, symbol: str) -> Position:
        return self.positions.setdefault((account, symbol), Position(account, symbol))

    def book(self, trade: Trade) -> None:
        signed = trade.qty if trade.side == "buy" else -trade.qty
        if self.spot_assets:
            base, quote = self.spot_assets
            self.of(self.line, base).trade(signed, trade.price)
            self.of(self.line, quote).qty -= signed * trade.price
            return
        realized = self.of(self.line, trade.symbol).trade(signed, trade.price)
        if self.settlement:
            self.of(*self.settlement).qty += realized

    def held(self) -> list[Position]:
        return [position for position in self.positions.values() if position.qty]

    def unrealized_pnl(self, position: Position, symbol: str, price: Decimal | None) -> Decimal:
        """At the last price of the one symbol that is traded; what is not traded has no P&L here."""
        traded = self.spot_assets[0] if self.spot_assets else symbol
        if price is None or (position.account, position.symbol) != (self.line, traded):
            return ZERO
        return position.unrealized_pnl(price)
