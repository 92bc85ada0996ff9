# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Twilio's Programmable Messaging: https://www.twilio.com/docs/messaging/api/message-resource, errors by
https://www.twilio.com/docs/api/errors. A text over 1600 characters is refused (21617).
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import ClassVar

from .service import Call, Incoming, Json, Refusal, Reply, Service

E164 = re.compile(r"\+[1-9]\d{6,14}")
MAX_TEXT = 1600
SEGMENT = 160


class Twilio(Service):
    """One account; it may send ``From`` any number."""

    name = "twilio"
    hosts = ("api.twilio.com",)
    too_many: ClassVar[Json] = {
        "code": 20429,
        "message": "Too Many Requests",
        "more_info": "https://www.twilio.com/docs/errors/20429",
        "status": 429,
    }

    def __init__(self, account_sid: str, auth_token: str) -> None:
        self._sid = account_sid
        self._token = auth_token

    def read(self, request: Incoming) -> Call:
        form = request.form()
        path = f"/2010-04-01/Accounts/{self._sid}/Messages.json"
        is_message = (request.method, request.path) == ("POST", path)
        return Call(
            op="message" if is_message else "unknown",
            work=lambda: self._send(form, request.basic(), path if is_message else None),
            target=form.get("To"),
            text=form.get("Body"),
            body=form,
        )

    def _send(self, form: dict[str, str], login: tuple[str, str] | None, path: str | None) -> Reply:
        if login != (self._sid, self._token):
            raise _refusal(401, 20003, "Authenticate")
        if path is None:
            raise _refusal(404, 20404, "The requested resource was not found")
        to, text = form.get("To", ""), form.get("Body", "")
        wrong = [
            (not to, 21604, "A 'To' phone number is required."),
            (not form.get("From"), 21603, "A 'From' phone number is required."),
            (not text, 21602, "Message body is required."),
            (not E164.fullmatch(to), 21211, f"The 'To' number {to} is not a valid phone number."),
            (len(text) > MAX_TEXT, 21617, f"The concatenated message body exceeds the {MAX_TEXT} character limit"),
        ]
        for is_so, code, words in wrong:
            if is_so:
                raise _refusal(400, code, words)
        sid = f"SM{secrets.token_hex(16)}"
        return Reply(201, self._message(sid, path, form), sid)

    def _message(self, sid: str, path: str, form: dict[str, str]) -> Json:
        """As it is at first: nobody has it yet."""
        now = format_datetime(datetime.now(UTC))
        return {
            "sid": sid,
            "account_sid": self._sid,
            "from": form["From"],
            "to": form["To"],
            "body": form["Body"],
            "status": "queued",
            "direction": "outbound-api",
            "num_segments": str(-(-len(form["Body"]) // SEGMENT)),
            "num_media": "0",
            "date_created": now,
            "date_updated": now,
            "date_sent": None,
            "error_code": None,
            "error_message": None,
            "messaging_service_sid": None,
            "price": None,
            "price_unit": "USD",
            "api_version": "2010-04-01",
            "uri": path.replace("Messages.json", f"Messages/{sid}.json"),
        }


def _refusal(status: int, code: int, message: str) -> Refusal:
    more_info = f"https://www.twilio.com/docs/errors/{code}"
    return Refusal(status, {"code": code, "message": message, "more_info": more_info, "status": status})
