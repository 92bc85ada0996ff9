# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What an attacker would touch in an account: its API keys, withdrawals, withdrawal addresses and logins. One file per
dialect behind one small API (``api.Account``); apart from the venues' own files, which are the red button's start-up
time."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ...secret_ref import resolve
from ...settings import SettingsError, VenueEntry
from .. import open_venue
from ..api import Credentials
from .api import Account

if TYPE_CHECKING:
    # Never run: Ansible ships to a host the files that it sees imported, and below they are imported by name only.
    from . import binance, binanceusdm, bybit, deribit, kraken, krakenfutures, okx  # noqa: F401  # as said

#: Driver name → where its class lives.
ACCOUNTS = {
    "binance": ("binance", "BinanceAccount"),
    "binanceusdm": ("binanceusdm", "BinanceUsdmAccount"),
    "bybit": ("bybit", "BybitAccount"),
    "okx": ("okx", "OkxAccount"),
    "kraken": ("kraken", "KrakenAccount"),
    "krakenfutures": ("krakenfutures", "KrakenFuturesAccount"),
    "deribit": ("deribit", "DeribitAccount"),
}


def account_class(driver: str) -> type[Account]:
    """What is known of a dialect's accounts without asking: what it offers, the steps for a person.

    Raises SettingsError for a driver that has none (``ccxt:<id>`` among them).
    """
    if driver not in ACCOUNTS:
        raise SettingsError(f"driver '{driver}' has no account API here; it is in: {', '.join(ACCOUNTS)}")
    module, name = ACCOUNTS[driver]
    build: type[Account] = getattr(import_module(f".{module}", __name__), name)
    return build


def open_account(entry: VenueEntry, *, credentials: Credentials | None = None, request_timeout: float = 3.0) -> Account:
    """The account that ``entry`` names, asked with ``credentials``, else with the entry's admin key, else with its only
    key; nothing is sent yet. Raises SettingsError and SecretError; each concerns this venue only.
    """
    if entry.fault:
        raise SettingsError(entry.fault)
    build = account_class(entry.driver)
    key = credentials or admin_credentials(entry)
    return build(open_venue(entry, request_timeout=request_timeout, key=key), entry.sub_account or "")


def admin_credentials(entry: VenueEntry) -> Credentials | None:
    """The entry's admin key, resolved where it is used; None where it has none."""
    if not entry.admin_api_key:
        return None
    return Credentials(
        key=resolve(entry.admin_api_key, "admin_api_key"),
        secret=resolve(entry.admin_api_secret or "", "admin_api_secret"),
        passphrase=(
            resolve(entry.admin_api_passphrase, "admin_api_passphrase") if entry.admin_api_passphrase else None
        ),
    )
