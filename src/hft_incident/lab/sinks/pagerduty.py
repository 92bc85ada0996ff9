# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""PagerDuty's Events API v2: https://developer.pagerduty.com/docs/events-api-v2-overview and …/send-alert-event.

Events with one ``dedup_key`` are one alert, as long as it is not resolved. A summary over 1024 characters is refused,
not cut; more than 512 KB is too large. The API answers 202 before it knows whether anybody can be paged.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from .service import Call, Incoming, Json, Reply, Service

PATH = "/v2/enqueue"
ACTIONS = ("trigger", "acknowledge", "resolve")
SEVERITIES = ("critical", "error", "warning", "info")
MAX_SUMMARY = 1024
MAX_DEDUP_KEY = 255
MAX_BODY = 512 * 1024
STATUS_AFTER = {"trigger": "triggered", "acknowledge": "acknowledged", "resolve": "resolved"}


class PagerDuty(Service):
    """``routing_keys``: {name: key}. The name stands for the key in what is recorded."""

    name = "pagerduty"
    hosts = ("events.pagerduty.com", "events.eu.pagerduty.com")
    too_many: ClassVar[Json] = {
        "status": "throttle exceeded",
        "message": "Requests for this service arrive too quickly.",
    }

    def __init__(self, routing_keys: Mapping[str, str]) -> None:
        self._names = {key: name for name, key in routing_keys.items()}
        self._alerts: list[dict[str, Any]] = []

    def read(self, request: Incoming) -> Call:
        event = request.json_object()
        if (request.method, request.path) != ("POST", PATH):
            return Call("unknown", lambda: Reply(404, ""), body=event)
        if event is None or len(request.body) > MAX_BODY:
            reply = Reply(413, "") if event else _invalid("Invalid JSON")
            return Call("enqueue", lambda: reply)
        action = str(event.get("event_action"))
        return Call(
            op=action if action in ACTIONS else "enqueue",
            work=partial(self._enqueue, event, action),
            target=self._names.get(str(event.get("routing_key"))),
            text=_payload(event).get("summary"),
            key=event.get("dedup_key"),
            body=event | {"routing_key": "…"},
        )

    def state(self) -> Json:
        return {"alerts": self._alerts}

    def _enqueue(self, event: Mapping[str, Any], action: str) -> Reply:
        errors = self._errors(event, action)
        if errors:
            return _invalid(*errors)
        service = self._names[str(event["routing_key"])]
        key = event.get("dedup_key") or secrets.token_hex(16)
        alert = self._open_alert(service, key)
        if alert is None and action == "trigger":
            alert = {"service": service, "dedup_key": key, "events": 0}
            self._alerts.append(alert)
        if alert is not None:  # an acknowledgement of nothing is accepted, and does nothing
            alert |= {"status": STATUS_AFTER[action], "events": alert["events"] + 1}
            if action == "trigger":
                alert |= {name: _payload(event)[name] for name in ("summary", "severity", "source")}
        return Reply(202, {"status": "success", "message": "Event processed", "dedup_key": key}, key)

    def _open_alert(self, service: str, key: str) -> dict[str, Any] | None:
        mine = (alert for alert in self._alerts if (alert["service"], alert["dedup_key"]) == (service, key))
        return next((alert for alert in mine if alert["status"] != "resolved"), None)

    def _errors(self, event: Mapping[str, Any], action: str) -> list[str]:
        """All that is wrong, in the API's words."""
        payload, key = _payload(event), event.get("dedup_key")
        found = {
            "Invalid routing key": str(event.get("routing_key")) not in self._names,
            "'event_action' is missing or invalid": action not in ACTIONS,
            f"'dedup_key' is too long (maximum is {MAX_DEDUP_KEY} characters)": len(str(key or "")) > MAX_DEDUP_KEY,
        }
        if action == "trigger":
            summary, severity = payload.get("summary"), payload.get("severity")
            found |= {
                "'payload.summary' is missing or blank": not isinstance(summary, str) or not summary.strip(),
                f"'summary' is too long (maximum is {MAX_SUMMARY} characters)": len(str(summary)) > MAX_SUMMARY,
                "'payload.source' is missing or blank": not payload.get("source"),
                "'payload.severity' is missing or invalid": severity not in SEVERITIES,
            }
        else:
            found["'dedup_key' is missing or blank"] = not key
        return [words for words, is_so in found.items() if is_so]


def _payload(event: Mapping[str, Any]) -> Mapping[str, Any]:
    payload = event.get("payload")
    return payload if isinstance(payload, dict) else {}


def _invalid(*errors: str) -> Reply:
    return Reply(400, {"status": "invalid event", "message": "Event object is invalid", "errors": list(errors)})
