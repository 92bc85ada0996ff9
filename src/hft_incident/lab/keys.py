# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Random keys for one lab: three per venue. ``responder`` is the product's (it cancels), ``trading`` the trading
system's, ``admin`` the product's too, for keys and withdrawals."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from .state import write_private

#: Parts of a key → their fields in the venues file.
FIELDS = {"id": "api_key", "secret": "api_secret", "passphrase": "api_passphrase"}
BASE64_SECRETS = ("kraken", "krakenfutures")  # they sign with the decoded bytes
WITH_PASSPHRASE = ("okx",)
HERE = ("127.0.0.1",)
TRADER = ("read", "trade")
ADMIN = ("read", "transfer", "withdraw", "manage_keys")
#: What an administrator's key can be there; elsewhere ``ADMIN``.
ADMIN_AT: Mapping[str, tuple[str, ...]] = {
    "binance": ("read",),
    "binanceusdm": ("read",),
    "kraken": ("read", "withdraw"),
    "krakenfutures": ("read",),
    "okx": ("read", "trade", "withdraw", "manage_keys"),
}


class KeyFiles(NamedTuple):
    """Where a venue's keys lie: ``venue`` has all of them, for the venue process; ``trading`` is the trading system's;
    ``responder`` is the product's, {field of the venues file: path}.
    """

    venue: Path
    trading: Path
    responder: Mapping[str, Path]


def make_keys(folder: Path, venue: str, driver: str, ips: Sequence[str] = HERE) -> KeyFiles:
    """New keys for everybody at this venue, on disk, good from ``ips`` only."""
    keys = {
        "responder": _key(driver, "responder", TRADER, ips),
        "trading": _key(driver, "trading", TRADER, ips),
        "admin": _key(driver, "admin", ADMIN_AT.get(driver, ADMIN), ips),
    }
    secret_parts = [part for part in FIELDS if part in keys["responder"]]
    files = KeyFiles(
        venue=folder / f"{venue}.venue.json",
        trading=folder / f"{venue}.trading.json",
        responder={
            prefix + FIELDS[part]: folder / f"{venue}.{holder}.{part}"
            for holder, prefix in (("responder", ""), ("admin", "admin_"))
            for part in secret_parts
        },
    )
    write_private(files.venue, json.dumps({venue: list(keys.values())}) + "\n")
    write_private(files.trading, json.dumps({part: keys["trading"][part] for part in secret_parts}) + "\n")
    for holder, prefix in (("responder", ""), ("admin", "admin_")):
        for part in secret_parts:
            write_private(files.responder[prefix + FIELDS[part]], f"{keys[holder][part]}\n")
    return files


def make_token(path: Path) -> None:
    """A bearer token for a trading system's API."""
    write_private(path, secrets.token_hex(24) + "\n")


def _key(driver: str, label: str, permissions: Sequence[str], ips: Sequence[str]) -> dict[str, object]:
    raw = secrets.token_bytes(48)
    secret = base64.b64encode(raw).decode() if driver in BASE64_SECRETS else raw.hex()
    passphrase = {"passphrase": secrets.token_hex(12)} if driver in WITH_PASSPHRASE else {}
    return {
        "id": secrets.token_hex(16),
        "secret": secret,
        **passphrase,
        "label": label,
        "permissions": list(permissions),
        "ips": list(ips),
    }
