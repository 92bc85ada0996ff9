# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's venues with an administrator's key, and the product's accounts that talk to them."""

from __future__ import annotations

import http.client
from collections.abc import Collection

from ansible_collections.hft.incident.plugins.module_utils.deadline import Deadline
from ansible_collections.hft.incident.plugins.module_utils.http_client import HttpClient, Request
from ansible_collections.hft.incident.plugins.module_utils.secret_ref import Secret
from ansible_collections.hft.incident.plugins.module_utils.settings import VenueEntry
from ansible_collections.hft.incident.plugins.module_utils.venues import open_venue
from ansible_collections.hft.incident.plugins.module_utils.venues.accounts import account_class
from ansible_collections.hft.incident.plugins.module_utils.venues.accounts.api import Account
from ansible_collections.hft.incident.plugins.module_utils.venues.api import Credentials
from hft_incident.lab.keys import ADMIN, ADMIN_AT, HERE
from hft_incident.lab.supervisor import SUB_ACCOUNTS
from hft_incident.lab.venues.exchange import Key
from hft_incident.lab.venues.server import VenueServer

from .venues_host import Host

OTHER_ADDRESS = "127.0.0.7"


def credentials(key: Key) -> Credentials:
    return Credentials(Secret(key.id), Secret(key.secret), Secret(key.passphrase) if key.passphrase else None)


def made_key(server: VenueServer, permissions: Collection[str], ips: Collection[str] = (), label: str = "") -> Key:
    """What a person makes on the website."""
    return server.dialect.new_key(label, permissions, ips)


def admin_key(server: VenueServer, driver: str) -> Key:
    return made_key(server, ADMIN_AT.get(driver, ADMIN), HERE, "admin")


def account(server: VenueServer, driver: str, key: Key | Credentials, *, from_address: str | None = None) -> Account:
    """``from_address``: where its requests come from."""
    entry = VenueEntry("lab", driver, f"http://127.0.0.1:{server.port}", sub_account=SUB_ACCOUNTS.get(driver))
    known = key if isinstance(key, Credentials) else credentials(key)
    venue = open_venue(entry, request_timeout=2.0, key=known)
    if from_address:
        venue.http = HttpFrom(f"http://127.0.0.1:{server.port}", from_address)
    return account_class(driver)(venue, entry.sub_account or "")


def admin(host: Host, driver: str) -> Account:
    server = host.venues[driver]
    return account(server, driver, admin_key(server, driver))


class HttpFrom(HttpClient):
    """Its connections come from an address of this machine's own choosing."""

    def __init__(self, origin: str, address: str) -> None:
        super().__init__(origin, request_timeout=2.0)
        self._from = address

    def _connect(self, _request: Request, _deadline: Deadline) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(*self.address, timeout=2.0, source_address=(self._from, 0))
        connection.connect()
        return connection
