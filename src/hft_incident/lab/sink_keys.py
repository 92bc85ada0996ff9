# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a lab's message sinks and those who send to them share: keys of one lab, and the settings that refer to them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .people import DOMAIN, GROUPS, person
from .state import Files, SinkProcess, write_private

ADDRESS = "127.0.0.1"
SMTP_USER = "incidents"
STATUS_PAGE = ZOOM_ACCOUNT = ZOOM_CLIENT = "lab"
#: Channels of the product that page through PagerDuty, each by a service of its own.
PAGED = ("paging", "page_backup", "page_management", "page_database")
#: Channels of the product that write mails, each to an address of its own.
MAILED = ("mail_team", "mail_management", "mail_stakeholders", "legal", "network")
#: Channels of the product that call a webhook.
HOOKED = ("tickets", "risk")
SMS_FROM, SMS_TO = "15550100100", "15550100199"
#: Whom the bot can invite, with their addresses.
SLACK_USERS: Mapping[str, str] = {f"U_{name.upper()}": person(name) for name in GROUPS}


class SinkKeys(NamedTuple):
    """Random for each lab. ``slack_webhook``: the secret end of a webhook's address; ``routing_keys``: {name: key}."""

    slack_token: str
    slack_webhook: str
    routing_keys: Mapping[str, str]
    statuspage_key: str
    zoom_secret: str
    twilio_sid: str
    twilio_token: str
    smtp_password: str

    @classmethod
    def make(cls) -> SinkKeys:
        """As the services make theirs."""
        workspace, app = secrets.token_hex(5).upper(), secrets.token_hex(5).upper()
        return cls(
            slack_token=f"xoxb-{_digits(12)}-{_digits(13)}-{secrets.token_hex(12)}",
            slack_webhook=f"T{workspace}/B{app}/{secrets.token_hex(12)}",
            routing_keys={name: secrets.token_hex(16) for name in PAGED},
            statuspage_key=secrets.token_hex(16),
            zoom_secret=secrets.token_hex(16),
            twilio_sid=f"AC{secrets.token_hex(16)}",
            twilio_token=secrets.token_hex(16),
            smtp_password=secrets.token_hex(12),
        )

    @classmethod
    def read(cls, path: Path) -> SinkKeys:
        """As ``write`` wrote them. Raises OSError, ValueError."""
        try:
            return cls(**json.loads(path.read_text()))
        except TypeError as error:
            raise ValueError(f"{path} holds no keys of message sinks: {error}") from None

    def write(self, path: Path) -> None:
        write_private(path, json.dumps(self._asdict()) + "\n")


def communications(keys: SinkKeys, sinks: SinkProcess, files: Files) -> dict[str, Any]:
    """``hft_communications`` of this lab; the secrets that it refers to are written too. Raises OSError."""
    mail = (
        f"mailto://{SMTP_USER}:{keys.smtp_password}@{ADDRESS}:{sinks.smtp_port}?format=text&from={SMTP_USER}@{DOMAIN}"
    )
    paged = {name: f"pagerduty://{key}@lab/hft-incident" for name, key in keys.routing_keys.items()}
    urls = {
        "chat": f"slack://{keys.slack_token}/incident-response",
        **paged,
        "desk": f"slack://{keys.slack_webhook}",
        **{name: f"{mail}&to={name.removeprefix('mail_')}@{DOMAIN}" for name in MAILED},
        "page_security": f"twilio://{keys.twilio_sid}:{keys.twilio_token}@{SMS_FROM}/{SMS_TO}",
        **{name: f"json://{ADDRESS}:{sinks.webhook_port}/{name}" for name in HOOKED},
    }

    def reference(name: str, secret: str) -> str:
        path = files.keys / f"sinks.{name}"
        write_private(path, secret + "\n")
        return f"file:{path}"

    return {
        "proxy": sinks.proxy,
        "ca_file": str(files.sinks_ca_file),
        "channels": {name: [reference(f"{name}.url", url)] for name, url in urls.items()},
        "status_page": {
            "page_id": STATUS_PAGE,
            "api_key": reference("statuspage_key", keys.statuspage_key),
            "base_url": "https://api.statuspage.io",
        },
        "war_room": {
            "slack": {
                "token": reference("slack_token", keys.slack_token),
                "invite": list(SLACK_USERS)[:2],
            },
            "meeting": {
                "zoom": {
                    "account_id": ZOOM_ACCOUNT,
                    "client_id": ZOOM_CLIENT,
                    "client_secret": reference("zoom_secret", keys.zoom_secret),
                }
            },
        },
    }


def _digits(count: int) -> str:
    return "".join(secrets.choice("0123456789") for _ in range(count))
