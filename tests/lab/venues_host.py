# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's venue servers inside the test process, on a thread of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeVar

from ansible_collections.hft.incident.plugins.module_utils.http_client import HttpClient
from ansible_collections.hft.incident.plugins.module_utils.secret_ref import Secret
from ansible_collections.hft.incident.plugins.module_utils.venues import DRIVERS
from ansible_collections.hft.incident.plugins.module_utils.venues.api import Credentials, Venue
from hft_incident.lab.venues.exchange import Key
from hft_incident.lab.venues.registry import make_dialect
from hft_incident.lab.venues.server import VenueServer

T = TypeVar("T")
VENUES_PACKAGE = "ansible_collections.hft.incident.plugins.module_utils.venues"
#: A key for every dialect: Kraken's secrets are base64.
KEY = Key("lab-key-0001", "bGFiLXNlY3JldC1sYWItc2VjcmV0LWxhYi1zZWNyZXQtbGFiLXNlY3JldA==", "lab-passphrase")


class Host:
    """Venue servers by name, and a way to run something on their event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.venues: dict[str, VenueServer] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    def add(self, name: str, driver: str, **options: Any) -> VenueServer:
        """A running venue with an empty, still book."""
        key = Key(KEY.id, KEY.secret, KEY.passphrase)
        server = VenueServer(name, make_dialect(driver, [key]), **options)
        self.run(server.start())
        server.exchange.feed_running = False
        self.venues[name] = server
        return server

    def remove(self, name: str) -> None:
        self.run(self.venues.pop(name).stop())

    def inject(self, name: str, **fault: Any) -> None:
        self.venues[name].faults.inject(fault)
        self.run(self.venues[name].apply_state_faults())

    def clear(self, name: str) -> None:
        self.venues[name].faults.clear()
        self.run(self.venues[name].apply_state_faults())


@contextmanager
def venue_host(venues: Mapping[str, str] | None = None) -> Iterator[Host]:
    """``{name: driver}`` as running servers."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    host = Host(loop)
    try:
        for name, driver in (venues or {}).items():
            host.add(name, driver)
        yield host
    finally:
        for server in host.venues.values():
            host.run(server.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)


def adapter_for(server: VenueServer, driver: str, *, key: Key = KEY, request_timeout: float = 2.0) -> Venue:
    """The product's adapter talking to a lab venue."""
    module, name = DRIVERS[driver]
    build: type[Venue] = getattr(import_module(f"{VENUES_PACKAGE}.{module}"), name)
    http = HttpClient(f"http://127.0.0.1:{server.port}", request_timeout=request_timeout)
    return build(http, Credentials(Secret(key.id), Secret(key.secret), Secret(key.passphrase)))
