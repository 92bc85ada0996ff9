# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The venues: one file per dialect behind one small API (``api.Venue``); ``open_venue`` picks the dialect."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ..http_client import HttpClient
from ..secret_ref import resolve
from ..settings import SettingsError, VenueEntry
from .api import Credentials, Venue

if TYPE_CHECKING:
    # Never run: Ansible ships to a host the files that it sees imported, and below they are imported by name only.
    from . import binance, binanceusdm, bybit, ccxt_driver, deribit, kraken, krakenfutures, okx  # noqa: F401  # as said

#: Driver name → where its class lives. Only the dialects in use are imported: start-up time is the red button's.
DRIVERS = {
    "binance": ("binance", "Binance"),
    "binanceusdm": ("binanceusdm", "BinanceUsdm"),
    "bybit": ("bybit", "Bybit"),
    "okx": ("okx", "Okx"),
    "kraken": ("kraken", "Kraken"),
    "krakenfutures": ("krakenfutures", "KrakenFutures"),
    "deribit": ("deribit", "Deribit"),
}


def open_venue(
    entry: VenueEntry, *, request_timeout: float = 3.0, keyless: bool = False, key: Credentials | None = None
) -> Venue:
    """The account that ``entry`` names, with its secrets resolved; nothing is sent yet.

    ``keyless`` leaves the secrets alone: such a venue can make its public calls only. ``key`` is used in the place of
    the entry's own one. Raises SettingsError (unknown
    driver or product line, bad address) and SecretError; each concerns this venue only.
    """
    if entry.fault:
        raise SettingsError(entry.fault)
    driver, _colon, exchange_id = entry.driver.partition(":")
    if driver == "ccxt" and exchange_id:
        build: type[Venue] = import_module(".ccxt_driver", __name__).for_exchange(exchange_id)
    elif entry.driver in DRIVERS:
        module, name = DRIVERS[entry.driver]
        build = getattr(import_module(f".{module}", __name__), name)
    else:
        raise SettingsError(f"unknown driver '{entry.driver}'; known: {', '.join(DRIVERS)}, ccxt:<id>")
    http = HttpClient(
        entry.base_url or build.default_origin,
        ca_file=entry.ca_file,
        request_timeout=request_timeout,
    )
    unknown = [line for line in entry.product_lines if line not in build.all_lines]
    if unknown:
        raise SettingsError(f"unknown product line '{unknown[0]}'; {entry.driver} has: {', '.join(build.all_lines)}")
    return build(http, None if keyless else key or credentials(entry), lines=entry.product_lines)


def credentials(entry: VenueEntry) -> Credentials:
    """The entry's key, resolved where it is used; raises SecretError naming the field."""
    return Credentials(
        key=resolve(entry.api_key or "", "api_key"),
        secret=resolve(entry.api_secret or "", "api_secret"),
        passphrase=resolve(entry.api_passphrase, "api_passphrase") if entry.api_passphrase else None,
    )
