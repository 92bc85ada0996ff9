# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Random keys for one lab: two per venue, one for the product (``responder``), one for the trading system."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from .state import write_private

#: Parts of a key → their fields in the venues file.
FIELDS = {"id": "api_key", "secret": "api_secret", "passphrase": "api_passphrase"}
BASE64_SECRETS = ("kraken", "krakenfutures")  # they sign with the decoded bytes
WITH_PASSPHRASE = ("okx",)


class KeyFiles(NamedTuple):
    """Where a venue's keys lie: ``venue`` has all of them, for the venue process; ``trading`` is the trading system's;
    ``responder`` is the product's, {field of the venues file: path}.
    """

    venue: Path
    trading: Path
    responder: Mapping[str, Path]


def make_keys(folder: Path, venue: str, driver: str) -> KeyFiles:
    """New keys for everybody at this venue, on disk."""
    responder, trading = _key(driver), _key(driver)
    files = KeyFiles(
        venue=folder / f"{venue}.venue.json",
        trading=folder / f"{venue}.trading.json",
        responder={FIELDS[part]: folder / f"{venue}.responder.{part}" for part in responder},
    )
    write_private(files.venue, json.dumps({venue: [responder, trading]}) + "\n")
    write_private(files.trading, json.dumps(trading) + "\n")
    for part, value in responder.items():
        write_private(files.responder[FIELDS[part]], value + "\n")
    return files


def make_token(path: Path) -> None:
    """A bearer token for a trading system's API."""
    write_private(path, secrets.token_hex(24) + "\n")


def _key(driver: str) -> dict[str, str]:
    raw = secrets.token_bytes(48)
    secret = base64.b64encode(raw).decode() if driver in BASE64_SECRETS else raw.hex()
    passphrase = {"passphrase": secrets.token_hex(12)} if driver in WITH_PASSPHRASE else {}
    return {"id": secrets.token_hex(16), "secret": secret, **passphrase}
