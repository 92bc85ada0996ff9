# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The small API that every venue is driven through, and what all dialects share: asking, checking, the venue's clock.

A dialect says how a call is signed (``sign``), what an answer means (``read``), and which calls make up each
operation over *every* product line. A dialect never retries and never sleeps: that is its caller's decision.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import ClassVar, NamedTuple

from ..http_client import HttpClient, Request, Response, TransportError
from ..secret_ref import Secret
from . import schema
from .errors import (
    AuthError,
    Banned,
    ClockSkew,
    MalformedReply,
    RateLimited,
    Rejected,
    Unavailable,
    UnknownOutcome,
    VenueError,
)
from .schema import Json


class Credentials(NamedTuple):
    """One API key, resolved. ``Secret`` keeps it out of every repr."""

    key: Secret
    secret: Secret
    passphrase: Secret | None = None


class Call(NamedTuple):
    """One request before it is signed; re-signed at every attempt, since timestamps age. ``params`` in wire order."""

    method: str
    path: str
    params: Mapping[str, Json] = {}
    signed: bool = True

    def given(self, **params: Json) -> Call:
        """The same call with further parameters."""
        return self._replace(params={**self.params, **params})

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


class OpenOrder(NamedTuple):
    """A live order as the venue lists it. ``qty`` is what remains, in the venue's own unit; symbols too are its own."""

    id: str
    symbol: str
    line: str  #: product line, as the venue calls it: "spot", "margin", "linear", "SWAP", a currency …
    side: str  #: "buy" | "sell"
    qty: Decimal
    price: Decimal | None  #: None for a market or trigger order without a limit
    conditional: bool = False
    client_id: str = ""


class PartialListing(Rejected):
    """Open orders of some lines, while the venue lists another one not at all: enough to cancel ``orders`` by, never a
    listing of what is open."""

    kind = "partial"

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        retry_after: float | None = None,
        orders: Sequence[OpenOrder] = (),
    ) -> None:
        super().__init__(message, code=code, retry_after=retry_after)
        self.orders = tuple(orders)


class Position(NamedTuple):
    """A holding: a derivative position, or a spot asset's balance. ``qty`` is signed (short is negative).

    What it is worth is None where the venue does not state it: of a spot balance, nothing is.
    """

    symbol: str
    line: str
    qty: Decimal
    avg_price: Decimal | None = None  #: at which it was entered
    unrealized_pnl: Decimal | None = None  #: in pnl_asset, at mark_price
    unit: str = "base"  #: what qty counts: "base" | "contract" | "usd"
    mark_price: Decimal | None = None
    pnl_asset: str = ""  #: as the venue calls it; "" where that is not known
    notional_usd: Decimal | None = None  #: its size in US dollars, where the venue states that and qty does not tell it


class Balance(NamedTuple):
    asset: str
    total: Decimal
    available: Decimal


class Fill(NamedTuple):
    """One execution; ``at_ms`` is the venue's time, fee in ``fee_asset``."""

    id: str
    order_id: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    at_ms: int


class SystemStatus(NamedTuple):
    """What the venue says of itself; supporting evidence only, since status pages lie (seed-faults D9)."""

    online: bool
    detail: str


class Ticker(NamedTuple):
    """The venue's own public market data; ``at_ms`` is the time the venue stamps on it."""

    symbol: str
    last: Decimal
    at_ms: int


class CancelReply(NamedTuple):
    """What the venue said to a mass cancel. It proves nothing; only the next listing does."""

    accepted: int
    rejected: tuple[str, ...] = ()  #: the venue's reasons, one an order or call


class Venue(ABC):
    """One account at one venue. Methods raise VenueError and nothing else."""

    driver: ClassVar[str]
    default_origin: ClassVar[str]
    #: Every product line the dialect knows; an account is clear only when all are (venues.md).
    all_lines: ClassVar[tuple[str, ...]]
    #: How far our timestamps may be from the venue's clock (ms); None where it documents no limit.
    clock_window_ms: ClassVar[int | None] = None
    #: Cancelling needs the symbols or ids of a listing (no "cancel everything" call over all product lines).
    cancel_needs_listing: ClassVar[bool] = False
    #: A public call whose time stamp shows whether the venue's market data moves.
    reference_symbol: ClassVar[str]

    def __init__(
        self,
        http: HttpClient,
        credentials: Credentials | None,
        *,
        lines: Sequence[str] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        """``lines`` restricts the account to the product lines its key may use (empty: all of them)."""
        self.http = http
        self.lines: tuple[str, ...] = tuple(lines) or self.all_lines
        self._credentials = credentials
        self._now = now
        self._offset_ms = 0

    # What a dialect says ------------------------------------------------------------------------------------------

    @abstractmethod
    def sign(self, call: Call) -> Request:
        """The exact request for ``call`` at this moment."""

    @abstractmethod
    def read(self, call: Call, status: int, payload: Json) -> Json:
        """The useful part of a decoded reply; raises the VenueError that the venue's own error code means."""

    @abstractmethod
    def server_time(self) -> int:
        """The venue's clock in ms since 1970, read without a key."""

    @abstractmethod
    def status(self) -> SystemStatus:
        """What the venue says of its own state."""

    @abstractmethod
    def ticker(self) -> Ticker:
        """Public market data for ``reference_symbol``."""

    @abstractmethod
    def open_orders(self) -> list[OpenOrder]:
        """Every live order: all product lines, all pages, conditional ones too."""

    @abstractmethod
    def cancel_all(self, orders: Sequence[OpenOrder]) -> CancelReply:
        """Ask the venue to cancel everything, with as few requests as it allows; ``orders`` is the latest listing,
        empty where there was none (a venue with ``cancel_needs_listing`` then has nothing to do)."""

    @abstractmethod
    def positions(self) -> list[Position]:
        """All non-zero holdings."""

    @abstractmethod
    def balances(self) -> list[Balance]:
        """All non-zero balances."""

    @abstractmethod
    def fills(self, since_ms: int, symbols: Sequence[str] = ()) -> list[Fill]:
        """Own executions at or after ``since_ms``, oldest first; ``symbols`` where the venue cannot list them all."""

    # What all dialects share --------------------------------------------------------------------------------------

    @property
    def key(self) -> str:
        return self._need().key.reveal()

    @property
    def secret(self) -> str:
        return self._need().secret.reveal()

    @property
    def passphrase(self) -> str:
        passphrase = self._need().passphrase
        if passphrase is None:
            raise AuthError(f"{self.driver}: this venue's keys have a passphrase; api_passphrase is not set")
        return passphrase.reveal()

    def now_ms(self) -> int:
        """This machine's clock corrected to the venue's, where it has been read."""
        return int(self._now() * 1000) + self._offset_ms

    def ask(self, call: Call) -> Json:
        """Sign, send, check. A refused timestamp is mended once by reading the venue's clock."""
        try:
            return self._ask_once(call)
        except ClockSkew:
            self._offset_ms = self.server_time() - int(self._now() * 1000)
            return self._ask_once(call)

    def _ask_once(self, call: Call) -> Json:
        try:
            response = self.http.send(self.sign(call))
        except TransportError as error:
            raise (UnknownOutcome if error.sent else Unavailable)(str(error)) from None
        try:
            return self._judge(call, response)
        except VenueError as error:
            error.args = (self.scrub(str(error)),)
            raise

    def _judge(self, call: Call, response: Response) -> Json:
        """Raise what the HTTP status means where the venue's own words do not say more."""
        if response.status == 200:
            return self.read(call, 200, schema.parse(response.body, call.name))
        try:
            payload = schema.parse(response.body, call.name)
            self.read(call, response.status, payload)
        except MalformedReply:
            pass  # a proxy's page or half an error: the status has to do
        except RateLimited as error:
            error.retry_after = error.retry_after or self._retry_after(response)
            raise
        raise self._error_of_status(call, response)

    def _error_of_status(self, call: Call, response: Response) -> VenueError:
        status = f"{call.name}: HTTP {response.status}"
        if response.status == 429:
            return RateLimited(f"{status}, too many requests", retry_after=self._retry_after(response))
        if response.status == 418:
            return Banned(f"{status}, this address is banned")
        if response.status in (401, 403):
            return AuthError(f"{status}, refused")
        if response.status in (400, 404, 405, 409, 422):
            return Rejected(status)
        return UnknownOutcome(status)

    def _retry_after(self, response: Response) -> float | None:
        """Seconds from a Retry-After header in either of its forms (RFC 9110 10.2.3)."""
        value = response.headers.get("retry-after", "")
        if value.isdigit():
            return float(value)
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - self._now())
        except (ValueError, TypeError):
            return None

    def scrub(self, message: str) -> str:
        """One printable line without key material or signature: venues echo what they were sent."""
        # Imported here: only a failure needs it, and the red button pays for every import.
        from ..redaction import scrub_text

        message = scrub_text(message)
        if self._credentials:
            for secret in self._credentials:
                if secret is not None:
                    message = message.replace(secret.reveal(), "***")
        line = " ".join("".join(c if c.isprintable() else " " for c in message).split())
        return line if len(line) <= 240 else line[:239] + "…"

    def _need(self) -> Credentials:
        if self._credentials is None:
            raise AuthError(f"{self.driver}: this call needs a key")
        return self._credentials
