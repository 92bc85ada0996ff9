# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Slack's Web API (https://docs.slack.dev/reference/methods) and incoming webhooks
(https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).

A method that fails says so with HTTP 200 and ``{"ok": false, "error": …}``. Arguments come as a form, whose structured
values are JSON in it, or as JSON. Text over 40,000 characters is cut. One workspace, and one bot.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

from ..sink_keys import SLACK_USERS
from .service import Call, Incoming, Json, Reply, Service

API_HOST, HOOK_HOST = "slack.com", "hooks.slack.com"
BOT, BOT_ID, TEAM = "U0INCIDENTS", "B0INCIDENTS", "T0LAB"
ALERTS_ROOM, DESK_ROOM = "incident-response", "trading-desk"
NAME = re.compile(r"[a-z0-9_-]+")
MAX_NAME, MAX_TOPIC, MAX_TEXT, MAX_ATTACHMENTS = 80, 250, 40_000, 100
DEFAULT_PAGE = 100
STRUCTURED = ("attachments", "blocks", "metadata")


class SlackError(Exception):
    """Refused, by the name that Slack has for it; ``more`` goes into the answer."""

    def __init__(self, error: str, **more: Json) -> None:
        super().__init__(error)
        self.body = {"ok": False, "error": error, **more}


@dataclass
class Room:
    """A channel; ``messages`` oldest first."""

    id: str
    name: str
    is_private: bool = False
    is_archived: bool = False
    topic: str = ""
    purpose: str = ""
    created: int = field(default_factory=lambda: int(time.time()))
    members: list[str] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)

    def describe(self) -> dict[str, Any]:
        """As the API describes a conversation."""
        return {
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "is_channel": not self.is_private,
            "is_group": self.is_private,
            "is_im": False,
            "is_mpim": False,
            "is_private": self.is_private,
            "is_archived": self.is_archived,
            "is_general": False,
            "is_member": BOT in self.members,
            "created": self.created,
            "creator": BOT,
            "num_members": len(self.members),
            "topic": {"value": self.topic, "creator": BOT if self.topic else "", "last_set": 0},
            "purpose": {"value": self.purpose, "creator": BOT if self.purpose else "", "last_set": 0},
        }


class Slack(Service):
    """``webhook``: the path of the incoming webhook of the trading desk's channel."""

    name = "slack"
    hosts = (API_HOST, HOOK_HOST)
    too_many: ClassVar[Json] = {"ok": False, "error": "ratelimited"}

    def __init__(self, token: str, webhook: str) -> None:
        self._token = token
        self._webhook = f"/services/{webhook}"
        self._last_ts = 0
        self._rooms = [Room("C0ALERTS", ALERTS_ROOM, members=[BOT]), Room("C0DESK", DESK_ROOM)]
        self._methods: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Json]]] = {
            "auth.test": self._auth_test,
            "chat.postMessage": self._post_message,
            "conversations.archive": self._archive,
            "conversations.create": self._create,
            "conversations.history": self._history,
            "conversations.invite": self._invite,
            "conversations.list": self._list,
            "conversations.setPurpose": partial(self._describe_room, "purpose"),
            "conversations.setTopic": partial(self._describe_room, "topic"),
            "users.lookupByEmail": self._lookup_by_email,
        }

    def read(self, request: Incoming) -> Call:
        fields = _arguments(request)
        known = {name: value for name, value in (fields or {}).items() if name != "token"}
        text = _text_of(known)
        if request.host == HOOK_HOST:
            return Call("webhook", partial(self._hook, request.path, fields), f"#{DESK_ROOM}", text, body=known)
        method = request.path.removeprefix("/api/")
        target = known.get("channel") or known.get("name")
        return Call(method, partial(self._run, method, request, fields), target, text, body=known)

    def state(self) -> Json:
        return {
            "rooms": [
                {
                    "id": room.id,
                    "name": room.name,
                    "is_private": room.is_private,
                    "is_archived": room.is_archived,
                    "topic": room.topic,
                    "purpose": room.purpose,
                    "members": room.members,
                    "messages": room.messages,
                }
                for room in self._rooms
            ]
        }

    def _run(self, method: str, request: Incoming, fields: Mapping[str, Any] | None) -> Reply:
        try:
            if method not in self._methods:
                raise SlackError("unknown_method", req_method=method)
            if fields is None:
                raise SlackError("invalid_json")
            token = request.credential("bearer") or str(fields.get("token") or "")
            if not token:
                raise SlackError("not_authed")
            if token != self._token:
                raise SlackError("invalid_auth")
            answer = self._methods[method](fields)
        except SlackError as error:
            return Reply(200, error.body)
        return Reply(200, {"ok": True, **answer}, answer.get("ts"))

    def _hook(self, path: str, fields: Mapping[str, Any] | None) -> Reply:
        """Webhooks answer in plain text."""
        room = self._room(DESK_ROOM)
        if path != self._webhook:
            return Reply(403, "invalid_token")
        if fields is None:
            return Reply(400, "invalid_payload")
        try:
            self._add_message(room, fields)
        except SlackError as error:
            return Reply(400, str(error))
        return Reply(200, "ok", room.messages[-1]["ts"])

    def _auth_test(self, _fields: Mapping[str, Any]) -> dict[str, Json]:
        names = {"url": "https://lab.slack.com/", "team": "lab", "user": "incidents"}
        return names | {"team_id": TEAM, "user_id": BOT, "bot_id": BOT_ID, "is_enterprise_install": False}

    def _create(self, fields: Mapping[str, Any]) -> dict[str, Json]:
        name = str(fields.get("name") or "")
        wrong = {
            "invalid_name_required": not name,
            "invalid_name_maxlength": len(name) > MAX_NAME,
            "invalid_name_specials": not NAME.fullmatch(name),
            "invalid_name_punctuation": not name.strip("-_"),
            "name_taken": any(room.name == name for room in self._rooms),
        }
        for error, is_so in wrong.items():
            if is_so:
                raise SlackError(error)
        room = Room(f"C0LAB{len(self._rooms):04}", name, is_private=_flag(fields.get("is_private")), members=[BOT])
        self._rooms.append(room)
        return {"channel": room.describe()}

    def _list(self, fields: Mapping[str, Any]) -> dict[str, Json]:
        kinds = str(fields.get("types") or "public_channel").split(",")
        visible = [
            room.describe()
            for room in self._rooms
            if ("private_channel" if room.is_private else "public_channel") in kinds
            and not (room.is_archived and _flag(fields.get("exclude_archived")))
        ]
        page, cursor = _page(visible, fields)
        return {"channels": page, "response_metadata": {"next_cursor": cursor}}

    def _invite(self, fields: Mapping[str, Any]) -> dict[str, Json]:
        room = self._writable(fields)
        users = [user.strip() for user in str(fields.get("users") or "").split(",") if user.strip()]
        if not users:
            raise SlackError("no_user")
        errors = [{"user": user, "ok": False, "error": error} for user in users if (error := _why_not(user, room))]
        if errors:
            raise SlackError(str(errors[0]["error"]), errors=errors)
        room.members += users
        return {"channel": room.describe()}

    def _describe_room(self, what: str, fields: Mapping[str, Any]) -> dict[str, Json]:
        room, value = self._writable(fields), str(fields.get(what) or "")
        if len(value) > MAX_TOPIC:
            raise SlackError("too_long")
        setattr(room, what, value)
        return {what: value, "channel": room.describe()}

    def _archive(self, fields: Mapping[str, Any]) -> dict[str, Json]:
        room = self._room(fields.get("channel"))
        if room.is_archived:
            raise SlackError("already_archived")
        room.is_archived = True
        return {}

    def _post_message(self, fields: Mapping[str, Any]) -> dict[str, Json]:
        room = self._writable(fields)
        metadata = fields.get("metadata")
        is_metadata = isinstance(metadata, dict) and {"event_type", "event_payload"} <= metadata.keys()
        if metadata is not None and not is_metadata:
            raise SlackError("invalid_metadata_format")
        message = self._add_message(room, fields)
        return {"channel": room.id, "ts": message["ts"], "message": message}

    def _add_message(self, room: Room, fields: Mapping[str, Any]) -> dict[str, Any]:
        """In the room. Raises SlackError."""
        text, attachments = str(fields.get("text") or ""), fields.get("attachments") or []
        if not (text or attachments or fields.get("blocks")):
            raise SlackError("no_text")
        if not isinstance(attachments, list):
            raise SlackError("invalid_arguments")
        if len(attachments) > MAX_ATTACHMENTS:
            raise SlackError("too_many_attachments")
        message: dict[str, Any] = {"type": "message", "subtype": "bot_message", "ts": self._ts(), "bot_id": BOT_ID}
        message |= {name: fields[name] for name in (*STRUCTURED, "thread_ts", "username") if fields.get(name)}
        message["text"] = text[:MAX_TEXT]
        room.messages.append(message)
        return message

    def _history(self, fields: Mapping[str, Any]) -> dict[str, Json]:
        room = self._room(fields.get("channel"), by_name=False)
        if BOT not in room.members:
            raise SlackError("not_in_channel")
        hidden = () if _flag(fields.get("include_all_metadata")) else ("metadata",)
        oldest, latest = _ts(fields, "oldest", 0.0), _ts(fields, "latest", float("inf"))
        is_in = float.__le__ if _flag(fields.get("inclusive")) else float.__lt__
        newest_first = [
            {name: value for name, value in message.items() if name not in hidden}
            for message in reversed(room.messages)
            if message.get("thread_ts", message["ts"]) == message["ts"]  # replies are elsewhere
            and is_in(oldest, float(message["ts"]))
            and is_in(float(message["ts"]), latest)
        ]
        page, cursor = _page(newest_first, fields)
        metadata = {"response_metadata": {"next_cursor": cursor}} if cursor else {}
        return {"messages": page, "has_more": bool(cursor), "pin_count": 0, **metadata}

    def _lookup_by_email(self, fields: Mapping[str, Any]) -> dict[str, Json]:
        wanted = str(fields.get("email") or "").lower()
        for user, email in SLACK_USERS.items():
            if email == wanted:
                name = email.partition("@")[0]
                profile = {"email": email, "real_name": name.title(), "display_name": name}
                return {"user": {"id": user, "team_id": TEAM, "name": name, "is_bot": False, "profile": profile}}
        raise SlackError("users_not_found")

    def _room(self, channel: object, *, by_name: bool = True) -> Room:
        """By id; some methods also take the name, with or without ``#``. Raises SlackError."""
        names = (str(channel or ""), str(channel or "").removeprefix("#"))
        for room in self._rooms:
            if room.id == names[0] or (by_name and room.name == names[1]):
                return room
        raise SlackError("channel_not_found")

    def _writable(self, fields: Mapping[str, Any]) -> Room:
        room = self._room(fields.get("channel"))
        if room.is_archived:
            raise SlackError("is_archived")
        if BOT not in room.members:
            raise SlackError("not_in_channel")
        return room

    def _ts(self) -> str:
        """No two messages have the same."""
        self._last_ts = max(self._last_ts + 1, time.time_ns() // 1000)
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06}"


def _arguments(request: Incoming) -> dict[str, Any] | None:
    """Of a method or a webhook; None where the JSON is none."""
    if request.content_type == "application/json":
        body = request.json_object()
        return None if body is None else dict(request.query) | body
    fields: dict[str, Any] = dict(request.query) | request.form()
    try:
        if "payload" in fields:  # the old way of webhooks
            return dict(json.loads(fields["payload"]))
        return fields | {name: json.loads(fields[name]) for name in STRUCTURED if name in fields}
    except (ValueError, TypeError):
        return None


def _text_of(fields: Mapping[str, Any]) -> str | None:
    """What people see: the text, and those of the attachments with their titles."""
    attachments = fields.get("attachments")
    parts = [fields.get("text")]
    for attachment in attachments if isinstance(attachments, list) else []:
        parts += [attachment.get("title"), attachment.get("text")] if isinstance(attachment, dict) else []
    return "\n".join(str(part) for part in parts if part) or None


def _why_not(user: str, room: Room) -> str | None:
    """The error of inviting them; None where they can be."""
    if user == BOT:
        return "cant_invite_self"
    if user not in SLACK_USERS:
        return "user_not_found"
    return "already_in_channel" if user in room.members else None


def _page(rows: Sequence[Json], fields: Mapping[str, Any]) -> tuple[list[Json], str]:
    """Those from the cursor on, and the cursor of the next ones ("": there are no more). Raises SlackError."""
    try:
        start = int(base64.b64decode(str(fields.get("cursor") or ""))[len("next:") :] or 0)
    except ValueError:
        raise SlackError("invalid_cursor") from None
    try:
        end = start + int(str(fields.get("limit") or DEFAULT_PAGE))
    except ValueError:
        raise SlackError("invalid_limit") from None
    return list(rows[start:end]), base64.b64encode(f"next:{end}".encode()).decode() if end < len(rows) else ""


def _ts(fields: Mapping[str, Any], name: str, default: float) -> float:
    """Raises SlackError."""
    try:
        return float(str(fields.get(name) or default))
    except ValueError:
        raise SlackError(f"invalid_ts_{name}") from None


def _flag(value: object) -> bool:
    """A boolean of JSON or of a form."""
    return value is True or str(value).lower() in ("1", "true")
