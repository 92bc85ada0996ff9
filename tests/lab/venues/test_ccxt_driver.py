# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The ccxt driver against the lab's venues: what it finds and cancels, and that no spoiled reply is "nothing open"."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import pytest

from ansible_collections.hft.incident.plugins.module_utils.http_client import HttpClient
from ansible_collections.hft.incident.plugins.module_utils.secret_ref import Secret
from ansible_collections.hft.incident.plugins.module_utils.venues.api import (
    Credentials,
    OpenOrder,
    PartialListing,
    Venue,
)
from ansible_collections.hft.incident.plugins.module_utils.venues.ccxt_driver import for_exchange
from ansible_collections.hft.incident.plugins.module_utils.venues.errors import (
    AuthError,
    RateLimited,
    Rejected,
    Unavailable,
    UnknownOutcome,
    VenueError,
)
from hft_incident.lab.venues.dialect import Route
from hft_incident.lab.venues.exchange import Key
from hft_incident.lab.venues.server import VenueServer

from ..venues_host import KEY, Host, venue_host


class Case(NamedTuple):
    """A lab venue, the lines that ccxt can list there, and the symbols to trade on them. ``narrow`` where ccxt asks for
    less than a line, so that an empty answer is an error."""

    lines: tuple[str, ...]
    symbols: tuple[str, ...]
    conditional: bool = False
    narrow: bool = False


CASES = {
    "binance": Case(("spot",), ("BTCUSDT", "ETHUSDT", "SOLUSDT")),
    "binanceusdm": Case(("swap.linear",), ("BTCUSDT", "ETHUSDT", "SOLUSDT"), conditional=True),
    "bybit": Case(("spot", "swap.linear", "swap.inverse"), ("BTCUSDT",), narrow=True),
    "kraken": Case((), ("XBTUSD", "ETHUSD", "M:XBTUSD"), conditional=True),
    "okx": Case(("spot", "swap.linear"), ("BTC-USDT", "BTC-USDT-SWAP"), narrow=True),
    "krakenfutures": Case((), ("PF_XBTUSD", "PI_XBTUSD"), conditional=True),
}
SPOILED = ["html", "empty_object", "empty_body", "truncated", "half_body", "wrong_schema"]


@pytest.fixture(params=CASES)
def exchange_id(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def host(exchange_id: str) -> Iterator[Host]:
    with venue_host({"venue": exchange_id}) as running:
        yield running


@pytest.fixture
def venue(host: Host, exchange_id: str, monkeypatch: pytest.MonkeyPatch) -> VenueServer:
    server = host.venues["venue"]
    if exchange_id == "bybit":  # before it cancels, ccxt asks what kind of account this is; our own adapter does not
        find, known = server.dialect.find_route, {"uta": 1, "unified": 0, "unifiedMarginStatus": 5}
        account = Route("account", lambda _request: {"retCode": 0, "retMsg": "OK", "result": known})
        asked = ("/v5/user/query-api", "/v5/account/info")
        monkeypatch.setattr(
            server.dialect, "find_route", lambda method, path: account if path in asked else find(method, path)
        )
    return server


def driver(venue: VenueServer, exchange_id: str, key: Key = KEY) -> Venue:
    http = HttpClient(f"http://127.0.0.1:{venue.port}", request_timeout=2.0)
    credentials = Credentials(Secret(key.id), Secret(key.secret), Secret(key.passphrase))
    return for_exchange(exchange_id)(http, credentials, lines=CASES[exchange_id].lines)


def seed(venue: VenueServer, exchange_id: str) -> int:
    case = CASES[exchange_id]
    for symbol in case.symbols:
        for _ in range(3):
            venue.place_one(symbol)
        if case.conditional:
            venue.place_one(symbol, conditional=True)
    return len(venue.exchange.open_orders())


def assert_empty(adapter: Venue, exchange_id: str) -> None:
    if CASES[exchange_id].narrow:
        with pytest.raises(Rejected, match="proves nothing"):
            adapter.open_orders()
    else:
        assert adapter.open_orders() == []


def known(adapter: Venue) -> list[OpenOrder]:
    """What a listing shows, be it of all lines or not: what a kill cancels by."""
    try:
        return adapter.open_orders()
    except PartialListing as listing:
        return list(listing.orders)


def test_it_lists_cancels_and_then_finds_nothing(venue: VenueServer, exchange_id: str) -> None:
    adapter = driver(venue, exchange_id)
    assert_empty(adapter, exchange_id)
    count = seed(venue, exchange_id)
    listed = known(adapter)
    assert len(listed) == count
    named = {order.symbol for order in listed}
    assert named == {symbol.rpartition(":")[2] for symbol in CASES[exchange_id].symbols}
    assert sum(order.qty for order in listed) == sum(order.qty for order in venue.exchange.open_orders())
    adapter.cancel_all(listed)
    assert_empty(adapter, exchange_id)
    assert venue.exchange.open_orders() == []


def test_no_order_anywhere_at_the_venue_is_called_nothing(venue: VenueServer, exchange_id: str) -> None:
    """Whatever the product line, settle coin or kind of order: with ccxt's lines as they come, never empty."""
    build = for_exchange(exchange_id)
    for instrument in venue.exchange.instruments.values():
        for conditional in (False, True):
            venue.place_one(instrument.symbol, conditional=conditional)
            http = HttpClient(f"http://127.0.0.1:{venue.port}", request_timeout=2.0)
            adapter = build(http, Credentials(Secret(KEY.id), Secret(KEY.secret), Secret(KEY.passphrase)))
            with suppress(VenueError):  # unknown is honest
                assert adapter.open_orders() != []
            venue.exchange.cancel_all()


def test_it_counts_its_requests_at_the_seam(venue: VenueServer, exchange_id: str) -> None:
    adapter = driver(venue, exchange_id)
    assert_empty(adapter, exchange_id)
    assert adapter.http.requests == len(venue.seen) > 0


@pytest.mark.parametrize("kind", SPOILED)
def test_a_spoiled_listing_is_unknown_whether_or_not_orders_are_open(
    host: Host, venue: VenueServer, exchange_id: str, kind: str
) -> None:
    adapter = driver(venue, exchange_id)
    host.inject("venue", kind=kind, op="open_orders")
    with pytest.raises(UnknownOutcome):
        adapter.open_orders()
    seed(venue, exchange_id)
    with pytest.raises(UnknownOutcome):
        adapter.open_orders()
    host.clear("venue")
    assert len(known(adapter)) == len(venue.exchange.open_orders())


def test_a_spoiled_cancel_leaves_the_listing_to_say_what_is_open(
    host: Host, venue: VenueServer, exchange_id: str
) -> None:
    adapter = driver(venue, exchange_id)
    count = seed(venue, exchange_id)
    for kind in SPOILED:
        host.inject("venue", kind=kind, op="cancel_all")
        host.inject("venue", kind=kind, op="cancel")
        with suppress(VenueError):  # what is left is the point, not what it says
            adapter.cancel_all(known(adapter))
        host.clear("venue")
        assert len(known(adapter)) == count


@pytest.mark.parametrize(
    ("status", "expected"), [(502, UnknownOutcome), (503, UnknownOutcome), (408, UnknownOutcome), (429, RateLimited)]
)
def test_an_http_error_is_what_it_means(
    host: Host, venue: VenueServer, exchange_id: str, status: int, expected: type[VenueError]
) -> None:
    host.inject("venue", kind="status", status=status, retry_after=3)
    with pytest.raises(expected) as caught:
        driver(venue, exchange_id).open_orders()
    if expected is RateLimited:
        assert caught.value.retry_after == 3.0


def test_a_wrong_key_is_refused_and_not_repeated_in_the_message(venue: VenueServer, exchange_id: str) -> None:
    wrong = Key("nobody-at-all", KEY.secret, KEY.passphrase)
    with pytest.raises(AuthError) as caught:
        driver(venue, exchange_id, wrong).open_orders()
    for text in (wrong.id, wrong.secret, "signature=", "http://"):
        assert text not in str(caught.value)


def test_a_key_revoked_between_two_listings_is_an_auth_error(host: Host, venue: VenueServer, exchange_id: str) -> None:
    adapter = driver(venue, exchange_id)
    assert_empty(adapter, exchange_id)
    host.inject("venue", kind="revoked_key")
    with pytest.raises(AuthError):
        adapter.open_orders()


def test_a_venue_that_refuses_connections_was_not_asked(host: Host, venue: VenueServer, exchange_id: str) -> None:
    host.inject("venue", kind="refuse")
    with pytest.raises(Unavailable):
        driver(venue, exchange_id).open_orders()
