# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Whatever takes a POST: every path and method is accepted.

An ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header) is the arrival's key, and changes nothing else.
"""

from __future__ import annotations

from .service import Call, Incoming, Json, Reply, Service

SECRET_HEADERS = ("authorization", "proxy-authorization", "cookie")
TEXT_FIELDS = ("message", "text", "body")


class Webhook(Service):
    name = "webhook"

    def read(self, request: Incoming) -> Call:
        try:
            document = request.json()
        except ValueError:
            document = request.body.decode(errors="replace")
        headers = {name: "…" if name in SECRET_HEADERS else value for name, value in request.headers.items()}
        return Call(
            op=request.method.lower(),
            work=lambda: Reply(200, {"ok": True}),
            target=request.path,
            text=_text(document),
            key=request.headers.get("idempotency-key"),
            body={"headers": headers, "query": dict(request.query), "content": document},
        )


def _text(document: Json) -> str | None:
    if isinstance(document, str):
        return document
    fields = document if isinstance(document, dict) else {}
    return next((fields[name] for name in TEXT_FIELDS if isinstance(fields.get(name), str)), None)
