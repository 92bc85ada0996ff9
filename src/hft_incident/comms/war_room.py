# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The war room: a channel of its own for the incident, a call to join, and what matters of the record as it happens.

Source: runbook section 1.3, seed-faults E13 (one channel an incident, by its id). Everything may be done twice: a
channel that is there is taken, a meeting that is there is joined, lines that were posted are found again.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import requests

from ansible_collections.hft.incident.plugins.module_utils.secret_ref import SecretError, resolve

from .channels import DeliveryError
from .policy import Site, Slack, WarRoom, Zoom
from .wording import harmless

if TYPE_CHECKING:
    from slack_sdk import WebClient

TIMEOUT_S = 10
MARK = "hft_incident_record"
#: Slack cuts a longer message; an incident's hour is more than one.
POST_LIMIT = 3500
#: Pages of a hundred channels that are looked through for one that is there already.
MOST_PAGES = 50
_ZOOM, _ZOOM_API = "https://zoom.us/oauth/token", "https://api.zoom.us/v2/users/me/meetings"


class Meeting(NamedTuple):
    """A call: ``zoom`` with the address to join, or the ``bridge`` with what the site says of it."""

    kind: str
    join: str

    def told(self) -> dict[str, str]:
        """For the record. Who has the whole address of a meeting is in it, so that is told in the room alone."""
        return {"kind": self.kind, "join": self.join.partition("?")[0] if self.kind == "zoom" else self.join}


def open_room(site: Site, room: WarRoom, incident: str, *, private: bool, topic: str) -> dict[str, Any]:
    """The data of ``war_room.opened``. ``topic``: what the channel says on top. Raises DeliveryError.

    Without Slack there is still the call. A meeting that cannot be made falls back on the telephone bridge.
    """
    meeting, complaint = _meeting(room, incident)
    name, ident, url, created = incident.lower(), None, None, False
    if room.slack:
        client = _client(site, room.slack)
        ident, created = _channel(client, name, private)
        url = f"https://slack.com/app_redirect?channel={ident}"
        call = f"Call: {meeting.join}" if meeting else f"No call: {complaint or 'none is configured'}"
        with _slack_words("set the topic of the war room"):
            client.conversations_setTopic(channel=ident, topic=f"{topic[:150]} | {call}"[:250])
        _invite(client, ident, room.slack.invite)
    elif meeting is None:
        raise DeliveryError(complaint or "there is nothing to make a war room of", doubtful=False)
    return {"name": name, "id": ident, "url": url, "private": private, "created": created, "complaint": complaint,
            "meeting": meeting.told() if meeting else None}  # fmt: skip


def post(site: Site, slack: Slack, ident: str, lines: Mapping[int, str], *, again: bool) -> None:
    """What matters of the record, by journal line. ``again``: some of it may be there already.

    Raises DeliveryError.
    """
    client = _client(site, slack)
    known = _posted_through(client, ident) if again else 0
    fresh = {seq: line for seq, line in lines.items() if seq > known}
    if not fresh:
        return
    text = "\n".join(map(harmless, fresh.values()))
    with _slack_words("post into the war room"):
        client.chat_postMessage(
            channel=ident,
            text=text if len(text) <= POST_LIMIT else f"{text[:POST_LIMIT]}…",
            mrkdwn=False,
            metadata={"event_type": MARK, "event_payload": {"through": max(fresh)}},
            unfurl_links=False,
        )


def _client(site: Site, slack: Slack) -> WebClient:
    from slack_sdk import WebClient

    try:
        token = resolve(slack.token, "war_room: slack: token").reveal()
    except SecretError as error:
        raise DeliveryError(str(error), doubtful=False) from None
    trusted = ssl.create_default_context(cafile=site.ca_file)
    return WebClient(token=token, timeout=TIMEOUT_S, proxy=site.proxy, ssl=trusted)


def _channel(client: WebClient, name: str, private: bool) -> tuple[str, bool]:
    """Its id, and whether it was made just now."""
    from slack_sdk.errors import SlackApiError

    with _slack_words("make the war room"):
        try:
            made = client.conversations_create(name=name, is_private=private)
            return str(made["channel"]["id"]), True
        except SlackApiError as error:
            if error.response.get("error") != "name_taken":
                raise
        for row in _channels(client):
            if row.get("name") == name:
                return str(row["id"]), False
    raise DeliveryError(f"the channel {name} is there, and not ours to see: invite the app to it", doubtful=False)


def _channels(client: WebClient) -> Iterator[Mapping[str, Any]]:
    cursor = ""
    for _ in range(MOST_PAGES):
        page = client.conversations_list(types="public_channel,private_channel", limit=200, cursor=cursor or None)
        yield from page["channels"]
        cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
        if not cursor:
            return


def _invite(client: WebClient, ident: str, users: Sequence[str]) -> None:
    """One by one, so that somebody who has left the firm keeps nobody out."""
    for user in users:
        with suppress(DeliveryError), _slack_words("invite"):  # the others are invited all the same
            client.conversations_invite(channel=ident, users=user)


def _posted_through(client: WebClient, ident: str) -> int:
    """The last journal line that the room has, by its own newest messages; 0: none."""
    with _slack_words("look into the war room"):
        history = client.conversations_history(channel=ident, limit=100, include_all_metadata=True)
    marks = (message.get("metadata") or {} for message in history["messages"])
    lines = ((mark.get("event_payload") or {}).get("through") for mark in marks if mark.get("event_type") == MARK)
    return max((line for line in lines if isinstance(line, int)), default=0)


class _slack_words:  # noqa: N801  # a context manager that reads as the verb it is
    """Turns every failure of slack_sdk into a DeliveryError that says what could not be done."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _traceback: object) -> None:
        from slack_sdk.errors import SlackApiError, SlackClientError

        if isinstance(error, SlackApiError):
            code = error.response.get("error") if hasattr(error.response, "get") else None
            raise DeliveryError(f"cannot {self._what}: Slack says {code or 'nothing valid'}", doubtful=code is None)
        if isinstance(error, (SlackClientError, OSError, ValueError, LookupError)):
            raise DeliveryError(f"cannot {self._what}: {type(error).__name__}", doubtful=True) from None


def _meeting(room: WarRoom, incident: str) -> tuple[Meeting | None, str | None]:
    """The call, and what went wrong on the way to it."""
    complaint = None
    if room.zoom:
        try:
            return Meeting("zoom", _zoom(room.zoom, incident)), None
        except SecretError as error:
            complaint = str(error)
        except (requests.RequestException, ValueError, LookupError, TypeError) as error:
            complaint = f"Zoom gave no meeting: {type(error).__name__}"
    return (Meeting("bridge", room.bridge) if room.bridge else None), complaint


def _zoom(zoom: Zoom, incident: str) -> str:
    """The address to join; the meeting of this incident that is there already, else a new one."""
    secret = resolve(zoom.client_secret, "war_room: meeting: zoom: client_secret").reveal()
    asked = {"grant_type": "account_credentials", "account_id": zoom.account_id}
    reply = requests.post(_ZOOM, data=asked, auth=(zoom.client_id, secret), timeout=TIMEOUT_S, allow_redirects=False)
    reply.raise_for_status()
    authorized = {"Authorization": f"Bearer {reply.json()['access_token']}"}
    asked = {"type": "scheduled", "page_size": "300"}
    listed = requests.get(_ZOOM_API, params=asked, headers=authorized, timeout=TIMEOUT_S)
    listed.raise_for_status()
    known = next((row for row in listed.json()["meetings"] if row.get("topic") == incident), None)
    if known is None:
        # A scheduled one (2): Zoom lists no instant ones, so they could not be found again.
        wanted = {"topic": incident, "type": 2, "duration": 240, "settings": {"join_before_host": True}}
        made = requests.post(_ZOOM_API, json=wanted, headers=authorized, timeout=TIMEOUT_S)
        made.raise_for_status()
        known = made.json()
    join = str(known["join_url"])
    if not join.startswith("https://"):
        raise ValueError("not an address to join")
    return join
