# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Kraken Futures' own key (docs.kraken.com/api-reference/api-keys). Money leaves through the spot wallet, at Kraken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from .. import schema
from ..errors import MalformedReply
from ..krakenfutures import KEY_CHECK
from .api import Account, ApiKey, iso_ms

#: What a key may do in each of the venue's two fields, by the level that it has there.
RIGHTS: Mapping[str, Mapping[str, frozenset[str]]] = {
    "general": {
        "NO_ACCESS": frozenset(),
        "READ_ONLY": frozenset({"read"}),
        "FULL_ACCESS": frozenset({"read", "trade"}),
    },
    "transfer": {
        "NO_ACCESS": frozenset(),
        "READ_ONLY": frozenset({"read"}),
        "FULL_ACCESS": frozenset({"read", "transfer"}),
    },
}
SPOT_WALLET = (
    "Money leaves through the spot wallet: an entry with 'driver: kraken' looks at its withdrawals and addresses.",
)


class KrakenFuturesAccount(Account):
    driver = "krakenfutures"
    steps_to_create = (
        "Log in to futures.kraken.com, account menu > Settings > 'Create Key' (or Kraken Pro > Settings > API).",
        "Name '{label}', General API: {permissions}, Withdrawal API: 'No access'; IP addresses: {ips}.",
        "Put public and private key where the venues file points to.",
    )
    steps_to_revoke = (
        "Log in to futures.kraken.com, account menu > Settings > API keys.",
        "Delete the key {key_id} ('{label}') and confirm.",
    )
    steps_to_freeze_withdrawals = (
        "Log in to futures.kraken.com, Wallets: see that no transfer to the spot wallet is under way.",
        "Then freeze withdrawals at kraken.com, where the money leaves.",
    )
    steps_to_look: ClassVar = {
        "keys": ("Log in to futures.kraken.com, Settings > API keys: compare the keys with the approved ones.",),
        "withdrawals": SPOT_WALLET,
        "addresses": SPOT_WALLET,
        "logins": ("Log in to kraken.com, Settings > Security > 'Sessions', 'Activity': look for what is not ours.",),
    }

    OWN_KEY = KEY_CHECK

    def own_key(self) -> ApiKey:
        where = self.OWN_KEY.name
        row = schema.as_object(self.venue.ask(self.OWN_KEY), where)
        blocks = [str(block) for block in schema.as_list(schema.member(row, "allowedCidrBlocks", where), where)]
        return ApiKey(
            id=schema.text(row, "apiKey", where),
            permissions=_permissions(schema.object_at(row, "permissions", where), where),
            ip_allow_list=tuple(block.removesuffix("/32").removesuffix("/128") for block in blocks),
            created_ms=iso_ms(schema.text(row, "createdAt", where), where),
        )


def _permissions(row: schema.Row, where: str) -> frozenset[str]:
    found: set[str] = set()
    for name, levels in RIGHTS.items():
        level = schema.text(row, name, where)
        if level not in levels:
            raise MalformedReply(f"{where}: '{name}' is '{level[:40]}', none of {', '.join(levels)}")
        found |= levels[level]
    return frozenset(found | {f"other:{name}" for name in row if name not in RIGHTS and row[name] != "NO_ACCESS"})
