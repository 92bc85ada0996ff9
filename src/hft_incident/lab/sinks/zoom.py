# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Zoom: a token by server-to-server OAuth (https://developers.zoom.us/docs/internal-apps/s2s-oauth/), then meetings
(https://developers.zoom.us/docs/api/meetings/).

A topic names no meeting: every creation makes another one. Instant meetings (type 1) are not listed as scheduled.
"""

from __future__ import annotations

import base64
import random
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

from .service import Call, Incoming, Json, Refusal, Reply, Service

TOKEN_LIFE_S = 3599
MEETINGS = "/v2/users/me/meetings"
MAX_TOPIC, MAX_AGENDA = 200, 2000
INSTANT, SCHEDULED = 1, 2
OWNER = {"host_id": "UZoomLabHost", "host_email": "incidents@lab.example"}


class Zoom(Service):
    name = "zoom"
    hosts = ("zoom.us", "api.zoom.us")
    too_many: ClassVar[Json] = {
        "code": 429,
        "message": "You have reached the maximum per-second rate limit.",
    }

    def __init__(self, account_id: str, client_id: str, client_secret: str) -> None:
        self._account_id = account_id
        self._login = (client_id, client_secret)
        self._tokens: dict[str, float] = {}  # until when
        self._meetings: list[dict[str, Any]] = []

    def read(self, request: Incoming) -> Call:
        where = (request.host, request.method, request.path)
        if where == ("zoom.us", "POST", "/oauth/token"):
            form = request.form() | dict(request.query)  # both are seen in the wild
            return Call("token", partial(self._give_token, form, request.basic()), body=form)
        token = request.credential("bearer")
        if where == ("api.zoom.us", "GET", MEETINGS):
            kind = request.query.get("type", "scheduled")
            return Call("meeting.list", self._behind(token, partial(self._list, kind)), body=dict(request.query))
        if where == ("api.zoom.us", "POST", MEETINGS):
            fields = request.json_object()
            topic = (fields or {}).get("topic")
            return Call("meeting.create", self._behind(token, partial(self._create, fields)), text=topic, body=fields)
        return Call("unknown", self._behind(token, lambda: Reply(404, _error(404, "Not found."))))

    def state(self) -> Json:
        return {"meetings": self._meetings}

    def _give_token(self, form: Mapping[str, str], login: tuple[str, str] | None) -> Reply:
        if login != self._login:
            raise Refusal(400, {"reason": "Invalid client_id or client_secret", "error": "invalid_client"})
        if form.get("grant_type") != "account_credentials":
            raise Refusal(400, {"reason": "unsupported grant type", "error": "unsupported_grant_type"})
        if form.get("account_id") != self._account_id:
            raise Refusal(400, {"reason": "Bad Request", "error": "invalid_request"})
        token = secrets.token_urlsafe(48)
        self._tokens[token] = time.monotonic() + TOKEN_LIFE_S
        return Reply(
            200,
            {
                "access_token": token,
                "token_type": "bearer",
                "expires_in": TOKEN_LIFE_S,
                "scope": "meeting:read:list_meetings meeting:write:meeting",
                "api_url": "https://api.zoom.us",
            },
        )

    def _behind(self, token: str | None, work: Callable[[], Reply]) -> Callable[[], Reply]:
        """The work, for those whose token is one of ours and has not expired."""

        def checked() -> Reply:
            if self._tokens.get(token or "", 0.0) < time.monotonic():
                raise Refusal(401, _error(124, "Invalid access token."))
            return work()

        return checked

    def _create(self, fields: Mapping[str, Any] | None) -> Reply:
        if fields is None:
            raise Refusal(400, _error(300, "Request Body should be a valid JSON object."))
        wrong = {
            "topic": len(str(fields.get("topic", ""))) > MAX_TOPIC,
            "agenda": len(str(fields.get("agenda", ""))) > MAX_AGENDA,
            "type": fields.get("type", SCHEDULED) not in (INSTANT, SCHEDULED, 3, 8),
        }
        errors = [{"field": name, "message": "Invalid field."} for name, is_so in wrong.items() if is_so]
        if errors:
            raise Refusal(400, _error(300, "Validation Failed.") | {"errors": errors})
        meeting = _meeting(fields)
        self._meetings.append(meeting)
        return Reply(201, meeting, str(meeting["id"]))

    def _list(self, kind: str) -> Reply:
        found = [meeting for meeting in self._meetings if kind != "scheduled" or meeting["type"] != INSTANT]
        return Reply(200, {"page_size": 30, "total_records": len(found), "next_page_token": "", "meetings": found})


def _meeting(fields: Mapping[str, Any]) -> dict[str, Any]:
    number = random.randint(80_000_000_000, 89_999_999_999)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    password = secrets.token_urlsafe(8)
    return OWNER | {
        "uuid": base64.b64encode(uuid.uuid4().bytes).decode(),
        "id": number,
        "topic": fields.get("topic", "Zoom Meeting"),
        "type": fields.get("type", SCHEDULED),
        "status": "waiting",
        "start_time": fields.get("start_time", now),
        "duration": fields.get("duration", 60),
        "timezone": fields.get("timezone", "UTC"),
        "agenda": fields.get("agenda", ""),
        "created_at": now,
        "start_url": f"https://zoom.us/s/{number}?zak={secrets.token_urlsafe(16)}",
        "join_url": f"https://zoom.us/j/{number}?pwd={password}",
        "password": password,
        "settings": fields.get("settings", {}),
    }


def _error(code: int, message: str) -> dict[str, Any]:
    return {"code": code, "message": message}
