# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What the control APIs of the lab's processes have in common: JSON objects in, JSON out, errors in words."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def word_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """ValueError is 400, LookupError 404, each ``{"error": {"code", "message"}}``."""
    try:
        return await handler(request)
    except ValueError as error:
        return json_reply({"error": {"code": "bad_request", "message": str(error)}}, status=400)
    except LookupError as error:
        return json_reply({"error": {"code": "not_found", "message": str(error.args[0])}}, status=404)


async def json_object(request: web.Request) -> dict[str, Any]:
    """The body. Raises ValueError."""
    try:
        fields = json.loads(await request.read())
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise ValueError("the body must be a JSON object")
    return fields


def json_reply(document: object, status: int = 200) -> web.Response:
    text = json.dumps(document, default=str)  # decimals are the only things that JSON does not know
    return web.Response(status=status, text=text, content_type="application/json")
