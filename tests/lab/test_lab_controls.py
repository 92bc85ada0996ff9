# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's controls and faults, over the wire: each spoils what it says and nothing else."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from hft_incident.lab import signatures
from hft_incident.lab.errors import LabError
from hft_incident.lab.lab import Lab, down, running_lab, up
from hft_incident.lab.lifeline import send, wait_for_end
from hft_incident.lab.status import status
from hft_incident.lab.venue_handle import LabVenue
from hft_incident.lab.venues.faults import REPLY_FAULTS, STATE_FAULTS

from .waiting import wait_until

ONE = {"binance": "binance"}
PATIENCE_S = 20.0
Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A state folder; whatever a failing test leaves running there is stopped."""
    yield tmp_path
    down(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("lab"), ONE, trading_systems=()) as lab:
        yield lab


@pytest.fixture
def venue(shared: Lab) -> Iterator[LabVenue]:
    """Binance without faults, orders or requests."""
    one = shared.venues["binance"]
    one.clear_faults()
    for symbol in {order.symbol for order in one.truth().open_orders}:
        signed(shared, "DELETE", "/api/v3/openOrders", symbol=symbol)
    one.forget_requests()
    yield one
    one.clear_faults()
    one.set_latency(0)
    one.move_market(True)


def fetch(venue: LabVenue, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", venue.port, timeout=2)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def signed(lab: Lab, method: str, path: str, **parameters: str) -> Answer:
    key, secret = ((lab.keys / f"binance.responder.{part}").read_text().strip() for part in ("id", "secret"))
    query = urlencode({**parameters, "timestamp": int(time.time() * 1000)})
    target = f"{path}?{query}&signature={signatures.binance(secret, query)}"
    return fetch(lab.venues["binance"], target, method, {"X-MBX-APIKEY": key})


def venue_time(venue: LabVenue) -> Any:
    status_code, _headers, body = fetch(venue, "/api/v3/time")
    assert status_code == 200
    return json.loads(body)["serverTime"]


def expect_error(kind: type[Exception]) -> Callable[[LabVenue], None]:
    def check(venue: LabVenue) -> None:
        with pytest.raises(kind):
            fetch(venue, "/api/v3/time")

    return check


def expect_body(matches: Callable[[bytes], bool]) -> Callable[[LabVenue], None]:
    def check(venue: LabVenue) -> None:
        status_code, _headers, body = fetch(venue, "/api/v3/time")
        assert status_code == 200
        assert matches(body), body

    return check


def expect_retry_after(venue: LabVenue) -> None:
    status_code, headers, _body = fetch(venue, "/api/v3/time")
    assert (status_code, headers["Retry-After"]) == (429, "7")


def expect_single_bytes(venue: LabVenue) -> None:
    with socket.create_connection(("127.0.0.1", venue.port), timeout=5) as connection:
        connection.sendall(b"GET /api/v3/time HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        pieces = list(iter(lambda: connection.recv(65536), b""))
    body = b"".join(pieces).partition(b"\r\n\r\n")[2]
    assert json.loads(body)["serverTime"] > 0
    assert len(pieces) > len(body) / 2, "it came in pieces of about a byte"


def is_cut_json(body: bytes) -> bool:
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads(body)
    return body.startswith(b"{")


REPLIES: dict[str, tuple[dict[str, Any], Callable[[LabVenue], None]]] = {
    "reset": ({}, expect_error(ConnectionResetError)),
    "hang": ({}, expect_error(TimeoutError)),
    "drip": ({}, expect_single_bytes),
    "status": ({"status": 429, "retry_after": 7}, expect_retry_after),
    "html": ({}, expect_body(lambda body: body.startswith(b"<!DOCTYPE html>"))),
    "empty_object": ({}, expect_body(lambda body: body == b"{}")),
    "empty_body": ({}, expect_body(lambda body: body == b"")),
    "truncated": ({}, expect_body(is_cut_json)),
    "half_body": ({}, expect_error(http.client.IncompleteRead)),
    "wrong_schema": ({}, expect_body(lambda body: "serverTime" not in json.loads(body))),
}


@pytest.mark.parametrize("kind", list(REPLY_FAULTS))
def test_a_reply_fault_spoils_the_next_reply_and_no_other(venue: LabVenue, kind: str) -> None:
    options, check = REPLIES[kind]
    venue.inject(kind, op="time", remaining=1, **options)
    assert fetch(venue, "/sapi/v1/system/status")[0] == 200, "another operation is not touched"
    check(venue)

    assert venue.faults() == []
    assert venue_time(venue) > 0


@pytest.mark.parametrize("code", [408, 418, 502, 503])
def test_every_error_status_can_be_had(venue: LabVenue, code: int) -> None:
    venue.inject("status", status=code)
    assert [fetch(venue, "/api/v3/time")[0] for _ in range(3)] == [code] * 3


def orders_listed(lab: Lab) -> Any:
    return json.loads(signed(lab, "GET", "/api/v3/openOrders")[2])


def a_refusing_venue(lab: Lab, venue: LabVenue) -> None:
    venue.inject("refuse")
    with pytest.raises(ConnectionRefusedError):
        fetch(venue, "/api/v3/time")
    with socket.socket() as thief, pytest.raises(OSError, match="in use"):
        thief.bind(("127.0.0.1", venue.port))
    row = next(row for row in status(lab.home).processes if row.name == "binance")
    assert (row.answers, row.faults) == (True, ("refuse",)), "the process is well, the venue is not"
    venue.clear_faults()
    assert venue_time(venue) > 0


def a_clock_that_is_off(_lab: Lab, venue: LabVenue) -> None:
    venue.inject("clock_skew", seconds=-30)
    assert venue_time(venue) / 1000 - time.time() < -20


def a_revoked_key(lab: Lab, venue: LabVenue) -> None:
    venue.inject("revoked_key")
    code, _headers, body = signed(lab, "GET", "/api/v3/openOrders")
    assert (code, json.loads(body)["code"]) == (401, -2015)


def cancels_that_do_nothing(lab: Lab, venue: LabVenue) -> None:
    venue.seed(3)
    venue.inject("cancel_ignored")
    assert signed(lab, "DELETE", "/api/v3/openOrders", symbol="BTCUSDT")[0] == 200
    assert len(venue.truth().open_orders) == len(orders_listed(lab)) == 3


def cancels_that_do_a_part(lab: Lab, venue: LabVenue) -> None:
    venue.seed(4)
    venue.inject("cancel_partial", remaining=1)
    signed(lab, "DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
    assert len(venue.truth().open_orders) == 2
    signed(lab, "DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
    assert venue.truth().open_orders == ()


def an_order_after_the_first_empty_listing(lab: Lab, venue: LabVenue) -> None:
    venue.inject("late_order", remaining=1)
    assert orders_listed(lab) == []
    assert len(orders_listed(lab)) == 1


def ticker_time(venue: LabVenue) -> Any:
    return json.loads(fetch(venue, "/api/v3/ticker/24hr?symbol=BTCUSDT")[2])["closeTime"]


def market_data_that_stops(_lab: Lab, venue: LabVenue) -> None:
    venue.inject("feed_stops")
    stopped = ticker_time(venue)
    wait_until(lambda: venue_time(venue) > stopped + 300)
    assert ticker_time(venue) == stopped
    venue.clear_faults()
    wait_until(lambda: ticker_time(venue) > stopped)


def a_status_page_that_lies(_lab: Lab, venue: LabVenue) -> None:
    venue.inject("status", status=503)
    assert fetch(venue, "/sapi/v1/system/status")[0] == 503
    venue.inject("status_lies")
    assert fetch(venue, "/api/v3/time")[0] == 503
    code, _headers, body = fetch(venue, "/sapi/v1/system/status")
    assert (code, json.loads(body)["status"]) == (200, 0)


STATES: dict[str, Callable[[Lab, LabVenue], None]] = {
    "refuse": a_refusing_venue,
    "clock_skew": a_clock_that_is_off,
    "revoked_key": a_revoked_key,
    "cancel_ignored": cancels_that_do_nothing,
    "cancel_partial": cancels_that_do_a_part,
    "late_order": an_order_after_the_first_empty_listing,
    "feed_stops": market_data_that_stops,
    "status_lies": a_status_page_that_lies,
}


@pytest.mark.parametrize("kind", list(STATE_FAULTS))
def test_a_state_fault_changes_what_the_venue_does(shared: Lab, venue: LabVenue, kind: str) -> None:
    STATES[kind](shared, venue)


def test_seeded_orders_are_the_truth_and_what_the_venue_lists(shared: Lab, venue: LabVenue) -> None:
    ids = [*venue.seed(2), *venue.seed(1, symbol="ETHUSDT", conditional=True)]

    truth = venue.truth()
    assert [order.id for order in truth.open_orders] == ids
    assert [(order.symbol, order.conditional) for order in truth.open_orders][1:] == [
        ("BTCUSDT", False),
        ("ETHUSDT", True),
    ]
    assert {row["orderId"] for row in orders_listed(shared)} == set(ids)
    assert [(h.kind, h.order_id) for h in truth.happenings[-3:]] == [("placed", order_id) for order_id in ids]
    assert truth.balances["BTC"] == Decimal(100)


def test_every_request_is_counted_until_it_is_forgotten(shared: Lab, venue: LabVenue) -> None:
    fetch(venue, "/api/v3/time")
    orders_listed(shared)
    signed(shared, "DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
    fetch(venue, "/no/such/thing")

    assert [(seen.op, seen.method, seen.path, seen.writes) for seen in venue.requests()] == [
        ("time", "GET", "/api/v3/time", False),
        ("open_orders", "GET", "/api/v3/openOrders", False),
        ("cancel_all", "DELETE", "/api/v3/openOrders", True),
        ("unknown", "GET", "/no/such/thing", False),
    ]
    venue.forget_requests()
    assert venue.requests() == []


def test_a_market_at_rest_is_not_a_feed_that_stopped(venue: LabVenue) -> None:
    def price() -> Any:
        return json.loads(fetch(venue, "/api/v3/ticker/24hr?symbol=BTCUSDT")[2])["lastPrice"]

    venue.move_market(False)
    venue.inject("html", op="place")  # any change of the faults used to set the market going again
    rest, at = price(), ticker_time(venue)
    wait_until(lambda: ticker_time(venue) > at + 300)
    assert price() == rest
    venue.move_market(True)
    wait_until(lambda: price() != rest)


def test_latency_holds_every_reply_back(venue: LabVenue) -> None:
    venue.set_latency(60_000)
    with pytest.raises(TimeoutError):
        fetch(venue, "/api/v3/time")
    venue.set_latency(0)
    assert venue_time(venue) > 0


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda venue: venue.inject("gremlins"), "unknown fault 'gremlins'; known: reset"),
        (lambda venue: venue.inject("hang", nonsense=1), "not the description of a fault"),
        (lambda venue: venue.inject("refuse", remaining=1), "holds for the whole venue"),
        (lambda venue: venue.seed(1, symbol="DOGE"), "unknown symbol 'DOGE'; known: BTCUSDT"),
        (lambda venue: venue.seed(0), "whole number from 1"),
        (lambda venue: venue.set_latency(-1), "must be from 0"),
        (lambda venue: venue.move_market("yes"), "'moving' is missing or of the wrong type"),
    ],
)
def test_a_wrong_order_to_the_controls_is_refused_in_words(
    venue: LabVenue, act: Callable[[LabVenue], None], message: str
) -> None:
    with pytest.raises(LabError, match=re.escape(message)):
        act(venue)
    assert venue.faults() == []
    assert venue.truth().open_orders == ()


def test_controls_of_a_dead_venue_say_so(home: Path) -> None:
    lab = up(home, ONE, trading_systems=())
    one = lab.venues["binance"]
    send(one.process, signal.SIGKILL)
    assert wait_for_end(one.process, PATIENCE_S)

    with pytest.raises(LabError, match="binance gives no answer to its controls"):
        one.truth()
