# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The control API of the message sinks: what arrived, what the services hold, faults. No fault reaches it.

``GET|DELETE /arrivals`` · ``GET|POST|DELETE /faults`` · ``GET /rooms`` (Slack) · ``GET /status_page`` ·
``GET /alerts`` (PagerDuty) · ``GET /meetings`` (Zoom). Errors are 400 with ``{"error": {"code", "message"}}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from aiohttp import web

from ..control_api import Handler, json_object, json_reply, word_errors
from .arrivals import Arrivals
from .faults import Faults
from .service import Service

#: Where the state of a service is looked up.
STATES = {"slack": "/rooms", "statuspage": "/status_page", "pagerduty": "/alerts", "zoom": "/meetings"}


class Control:
    """The API over these services by name."""

    def __init__(self, services: Mapping[str, Service], faults: Faults, arrivals: Arrivals) -> None:
        self._services = services
        self._faults = faults
        self._arrivals = arrivals

    def application(self) -> web.Application:
        app = web.Application(middlewares=[word_errors])
        app.add_routes(
            [
                web.get("/arrivals", self.arrivals),
                web.delete("/arrivals", self.forget),
                web.get("/faults", self.faults),
                web.post("/faults", self.inject),
                web.delete("/faults", self.clear_faults),
                *(web.get(path, _teller(self._services[name])) for name, path in STATES.items()),
            ]
        )
        return app

    async def arrivals(self, _request: web.Request) -> web.Response:
        return json_reply({"arrivals": [asdict(arrival) for arrival in self._arrivals.all]})

    async def forget(self, _request: web.Request) -> web.Response:
        self._arrivals.forget()
        return json_reply({"arrivals": []})

    async def faults(self, _request: web.Request) -> web.Response:
        return json_reply({"faults": self._faults.active()})

    async def inject(self, request: web.Request) -> web.Response:
        return json_reply(asdict(self._faults.inject(await json_object(request))), status=201)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        self._faults.clear()
        return json_reply({"faults": []})


def _teller(service: Service) -> Handler:
    async def tell(_request: web.Request) -> web.Response:
        return json_reply(service.state())

    return tell
