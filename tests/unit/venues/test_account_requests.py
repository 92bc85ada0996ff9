# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The accounts' requests, against ccxt's signature."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from ansible_collections.hft.incident.plugins.module_utils.settings import VenueEntry
from ansible_collections.hft.incident.plugins.module_utils.venues import open_venue
from ansible_collections.hft.incident.plugins.module_utils.venues.accounts import (
    account_class,
)
from ansible_collections.hft.incident.plugins.module_utils.venues.api import Call
from ansible_collections.hft.incident.plugins.module_utils.venues.binance import RECV_WINDOW_MS as BINANCE_WINDOW_MS
from ansible_collections.hft.incident.plugins.module_utils.venues.bybit import RECV_WINDOW_MS as BYBIT_WINDOW_MS
from ansible_collections.hft.incident.plugins.module_utils.venues.krakenfutures import KEY_CHECK

from . import oracle

#: What ccxt calls the section, and what of a path it does not name.
SECTIONS = {
    "binance": ("sapi", "/sapi/v1/"),
    "bybit": ("private", "/"),
    "okx": ("private", "/api/v5/"),
    "kraken": ("private", "/0/private/"),
    "deribit": ("private", "/api/v2/private/"),
}


def test_every_call_of_every_account_is_one_that_ccxt_knows_and_signs_likewise() -> None:
    signed = 0
    for driver, (section, prefix) in SECTIONS.items():
        for call in calls_of(driver):
            given_too = {"label": "a/c", "ips": "192.0.2.1,192.0.2.2"} if call.method == "POST" else {}
            if driver == "deribit":  # the one venue whose parameters have spaces and lists in them
                given_too = {"max_scope": "account:read trade:read_write", "ip_whitelist": '["192.0.2.1"]'}
            compare(driver, section, prefix, call.given(**given_too))
            signed += 1
    assert signed == 29


def calls_of(driver: str) -> list[Call]:
    return [call for call in vars(account_class(driver)).values() if isinstance(call, Call) and call.signed]


def compare(driver: str, section: str, prefix: str, call: Call) -> None:
    assert call.path.startswith(prefix)
    build = type(open_venue(VenueEntry("x", driver, "http://127.0.0.1:9"), keyless=True))
    options: dict[str, Any] = {"nonce": lambda: str(oracle.NOW_MS)} if driver == "deribit" else {}
    request = oracle.adapter(build, **options).sign(call)
    windows = {"binance": BINANCE_WINDOW_MS, "bybit": BYBIT_WINDOW_MS}
    exchange = oracle.ccxt_exchange(driver, **({"recvWindow": windows[driver]} if driver in windows else {}))
    if driver == "kraken":
        nonce = int(dict(parse_qsl((request.body or b"").decode()))["nonce"])
        exchange.incrementing_nonce = lambda: nonce
    assert known_to(exchange, section, call, call.path.removeprefix(prefix)), call.name
    theirs = oracle.theirs(exchange, call.path.removeprefix(prefix), [section, "GET"], call.method, dict(call.params))
    theirs.headers.pop("referer", None)  # ccxt's own broker id
    assert oracle.ours(request) == theirs


def known_to(exchange: Any, section: str, call: Call, path: str) -> bool:
    return path in exchange.api[section][call.method.lower()]


def test_the_key_check_of_kraken_futures_is_signed_as_ccxt_signs_what_is_not_about_derivatives() -> None:
    """ccxt does not have this service; it has others beside the derivatives, and one rule for all of them."""
    exchange = oracle.ccxt_exchange("krakenfutures")
    exchange.urls["api"]["auth"] = "https://futures.kraken.com/api/auth/"
    exchange.options["access"]["auth"] = {"GET": {"api-keys/v3/check": "private"}}
    theirs = oracle.theirs(exchange, "api-keys/v3/check", ["auth"], "GET", {"version": "v1"})
    build = type(open_venue(VenueEntry("x", "krakenfutures", "http://127.0.0.1:9"), keyless=True))
    assert oracle.ours(oracle.adapter(build).sign(KEY_CHECK)) == theirs
