# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``fleet_api.py COUNT``: as many trading systems, each a port with the killswitch of the API and nothing else.

Prints the ports as JSON. On each of them ``GET /closed`` counts those whose killswitch is active, ``DELETE /closed``
releases them all.
"""

from __future__ import annotations

import asyncio
import json
import sys

from aiohttp import web

CLOSED: set[int] = set()


def _port(request: web.Request) -> int:
    assert request.transport is not None  # a request that is being answered has one
    port: int = request.transport.get_extra_info("sockname")[1]
    return port


async def look(request: web.Request) -> web.Response:
    return web.json_response({"active": _port(request) in CLOSED})


async def close(request: web.Request) -> web.Response:
    CLOSED.add(_port(request))
    return web.json_response({"active": True}, status=202)


async def closed(_request: web.Request) -> web.Response:
    return web.json_response(len(CLOSED))


async def release(_request: web.Request) -> web.Response:
    CLOSED.clear()
    return web.json_response(0)


async def main(count: int) -> None:
    app = web.Application()
    app.add_routes([web.get("/api/v1/killswitch", look), web.post("/api/v1/killswitch", close)])
    app.add_routes([web.get("/closed", closed), web.delete("/closed", release)])
    runner = web.AppRunner(app)
    await runner.setup()
    for _ in range(count):
        await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps([address[1] for address in runner.addresses]), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
