# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Venues with keys, a store and what the module ``api_key`` is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils.secret_ref import Secret
from ansible_collections.hft.incident.plugins.module_utils.secret_stores import open_store
from ansible_collections.hft.incident.plugins.module_utils.secret_stores.api import (
    ABSENT,
    Stored,
)
from ansible_collections.hft.incident.plugins.module_utils.steps import api_key
from hft_incident.lab.supervisor import SUB_ACCOUNTS
from hft_incident.lab.venues.exchange import Key
from hft_incident.lab.venues.server import VenueServer

from ..accounts_host import admin_key, made_key
from ..trading_system_process import TradingSystemProcess
from ..venues_host import KEY, Host
from .steps import Ran, run

VENUES = ("bybit", "okx", "deribit")
HERE = ["127.0.0.1"]
PLANNED = ["create", "verify", "keep_old", "promote", "load", "revoke", "drop_previous"]
BREACH = ["keep_old", "secure", "revoke", "create", "verify", "promote", "load", "drop_previous"]
ROTATION = "inc-7"


class Stage:
    """Venues with three keys each, a store, and what the module is given."""

    def __init__(self, folder: Path, host: Host, names: Sequence[str] = VENUES) -> None:
        self.folder, self.host, self.names = folder, host, names
        self.store = open_store({"path": str(folder / "keys")})
        self.old: dict[str, str] = {}
        self.admin: dict[str, Key] = {}
        self.responder: dict[str, Key] = {}
        for name in names:
            server = host.venues[name]
            old = made_key(server, ("read", "trade"), HERE, "made by hand")
            self.admin[name], self.responder[name] = admin_key(server, name), made_key(server, ("read", "trade"))
            self.old[name] = old.id
            self.store.write(f"{name}.trading", stored(old), ABSENT)
        self.systems: list[dict[str, Any]] = []
        self.used_by: list[str] = []

    def use(self, system: TradingSystemProcess) -> None:
        self.systems, self.used_by = [{"name": "hft-1", "url": f"http://127.0.0.1:{system.port}"}], ["hft-1"]

    def venue(self, name: str) -> dict[str, Any]:
        keys = {"": self.responder[name], "admin_": self.admin[name]}
        parts = {"api_key": "id", "api_secret": "secret", "api_passphrase": "passphrase"}
        given = {
            prefix + field: self.secret(f"{name}.{prefix}{part}", getattr(key, part))
            for prefix, key in keys.items()
            for field, part in parts.items()
            if getattr(key, part)
        }
        sub = {"sub_account": SUB_ACCOUNTS[name]} if name in SUB_ACCOUNTS else {}
        return {"name": name, "driver": name, "base_url": f"http://127.0.0.1:{self.server(name).port}", **given, **sub}

    def secret(self, name: str, value: str) -> str:
        path = self.folder / name
        path.write_text(value)
        path.chmod(0o600)
        return f"file:{path}"

    def entry(self, name: str, **more: Any) -> dict[str, Any]:
        slot = f"{name}.trading"
        return {
            "name": key_name(name),
            "venue": name,
            "slot": slot,
            "used_by": self.used_by,
            "ip_allow_list": HERE,
            **more,
        }

    def server(self, name: str) -> VenueServer:
        return self.host.venues[name]

    def play(self, *, check: bool = False, on_note: Any = None, **args: Any) -> Ran:
        given = {
            "venues": [self.venue(name) for name in self.names],
            "trading_systems": self.systems,
            "keys": [self.entry(name) for name in self.names],
            "secret_store": {"kind": "file", "path": str(self.folder / "keys")},
            "rotation": ROTATION,
            "timeout": 20.0,
        }
        return run(api_key, check=check, on_note=on_note, **{**given, **args})

    def current(self, name: str) -> Stored:
        found = self.store.read(f"{name}.trading")
        assert found is not None
        return found

    def alive(self, name: str) -> set[str]:
        """The keys that work there, but for the responder's and the administrator's."""
        others = {self.admin[name].id, self.responder[name].id, KEY.id}
        return {key.id for key in self.server(name).exchange.keys.values()} - others


def key_name(venue: str) -> str:
    return f"hft-1/{venue}"


def stored(key: Key, rotation: str = "") -> Stored:
    return Stored(key.id, Secret(key.secret), Secret(key.passphrase) if key.passphrase else None, rotation)


def row(seen: Ran, venue: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in seen["rotations"] if one["venue"] == venue)
    return found
