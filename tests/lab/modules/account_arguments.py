# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a playbook passes for accounts: the lab's venues with a responder's and an administrator's key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hft_incident.lab.supervisor import SUB_ACCOUNTS
from hft_incident.lab.venues.exchange import Key

from ..accounts_host import admin_key, made_key
from ..venues_host import Host

ALL = {driver: driver for driver in ("binance", "binanceusdm", "bybit", "okx", "kraken", "krakenfutures", "deribit")}
HERE = ("127.0.0.1",)
#: An asset that the lab's account has there.
COIN = dict.fromkeys(ALL, "USDT") | {"deribit": "USDC", "kraken": "XXBT", "krakenfutures": "XBT"}
ELSEWHERE, OURS = "0x00intruder", "0x00ours"


class Accounts:
    """Venues with three keys each, as the lab makes them; ids by (venue, holder)."""

    def __init__(self, folder: Path, host: Host) -> None:
        self._folder = folder
        self.host = host
        self.keys: dict[tuple[str, str], Key] = {}
        for name, server in host.venues.items():
            driver = ALL[name]
            server.exchange.keys.clear()
            self.keys[name, "responder"] = made_key(server, ("read", "trade"), HERE, "responder")
            self.keys[name, "trading"] = made_key(server, ("read", "trade"), HERE, "trading")
            self.keys[name, "admin"] = admin_key(server, driver)

    def venues(self) -> list[dict[str, Any]]:
        return [self.venue(name) for name in self.host.venues]

    def venue(self, name: str) -> dict[str, Any]:
        driver = ALL[name]
        return {
            "name": name,
            "driver": driver,
            "base_url": f"http://127.0.0.1:{self.host.venues[name].port}",
            **self._secrets(name, "responder", ""),
            **self._secrets(name, "admin", "admin_"),
            **({"sub_account": SUB_ACCOUNTS[driver]} if driver in SUB_ACCOUNTS else {}),
        }

    def approved(self) -> list[dict[str, Any]]:
        """``hft_api_keys``, with the trading keys' ids in them."""
        return [
            {
                "name": f"hft-1/{name}",
                "venue": name,
                "key_id": self.keys[name, "trading"].id,
                "permissions": ["read", "trade"],
                "ip_allow_list": list(HERE),
            }
            for name in self.host.venues
        ]

    def _secrets(self, name: str, holder: str, prefix: str) -> dict[str, str]:
        key = self.keys[name, holder]
        parts = {"api_key": key.id, "api_secret": key.secret, "api_passphrase": key.passphrase}
        return {
            prefix + field: self._secret(f"{name}.{holder}.{field}", value) for field, value in parts.items() if value
        }

    def _secret(self, name: str, value: str) -> str:
        path = self._folder / name
        path.write_text(value)
        path.chmod(0o600)
        return f"file:{path}"
