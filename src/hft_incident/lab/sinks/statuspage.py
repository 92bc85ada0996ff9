# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Atlassian Statuspage: https://developer.statuspage.io/ (incidents and components of a page), in JSON.

Every change of status or body is an update of the incident, the newest first. A resolved incident keeps its page.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

from .service import Call, Incoming, Json, Refusal, Reply, Service

PAGE = re.compile(r"/v1/pages/(?P<page>\w+)/(?P<what>incidents|components)(?:\.json)?(?:/(?P<id>\w+)(?:\.json)?)?")
STATUSES = ("investigating", "identified", "monitoring", "resolved")
IMPACTS = ("none", "minor", "major", "critical")
COMPONENT_STATUSES = (
    "operational",
    "under_maintenance",
    "degraded_performance",
    "partial_outage",
    "major_outage",
)
#: What a component's state means for the incident where nobody overrides it.
IMPACT_OF = {"degraded_performance": "minor", "partial_outage": "major", "major_outage": "critical"}
COMPONENTS = {"c0trading": "Trading", "c0marketdata": "Market data"}
ID_LETTERS = string.ascii_lowercase + string.digits
MAX_BODY = 25_000


class Statuspage(Service):
    name = "statuspage"
    hosts = ("api.statuspage.io",)
    too_many: ClassVar[Json] = {"error": "Too many requests, you have been rate limited"}

    def __init__(self, page_id: str, api_key: str) -> None:
        self._page_id = page_id
        self._api_key = api_key
        self._incidents: list[dict[str, Any]] = []
        self._components = {
            number: {"id": number, "page_id": page_id, "name": name, "status": "operational"}
            for number, name in COMPONENTS.items()
        }

    def read(self, request: Incoming) -> Call:
        found = PAGE.fullmatch(request.path)
        document = request.json_object() or {}
        fields = document.get("incident")
        fields = fields if isinstance(fields, dict) else {}
        op, work = self._find(request, found, fields)
        return Call(
            op=op,
            work=partial(self._behind_the_key, request, found["page"] if found else "", work),
            target=found["page"] if found else None,
            text=fields.get("body") or fields.get("name"),
            body=document,
        )

    def state(self) -> Json:
        return {"incidents": self._incidents, "components": list(self._components.values())}

    def _find(
        self, request: Incoming, found: re.Match[str] | None, fields: Mapping[str, Any]
    ) -> tuple[str, Callable[[], Reply]]:
        """The operation's name, and it."""
        what, number = (found["what"], found["id"]) if found else ("", None)
        if what == "components":
            return "component.list", lambda: Reply(200, list(self._components.values()))
        if what == "incidents" and number in (None, "unresolved") and request.method == "GET":
            return "incident.list", partial(self._list, request.query, only_open=number == "unresolved")
        if what == "incidents" and number is None and request.method == "POST":
            return "incident.create", partial(self._create, fields)
        if what == "incidents" and number is not None and request.method in ("PATCH", "PUT"):
            return "incident.update", partial(self._update, number, fields)
        if what == "incidents" and number is not None and request.method == "GET":
            return "incident.get", lambda: Reply(200, self._incident(number))
        return "unknown", _not_found

    def _behind_the_key(self, request: Incoming, page: str, work: Callable[[], Reply]) -> Reply:
        given = request.credential("OAuth") or request.query.get("api_key") or ""
        if given != self._api_key:
            raise Refusal(401, {"error": "Could not authenticate"})
        return work() if page == self._page_id else _not_found()

    def _list(self, query: Mapping[str, str], *, only_open: bool) -> Reply:
        newest = [i for i in reversed(self._incidents) if not (only_open and i["status"] == "resolved")]
        named = [i for i in newest if query.get("q", "").lower() in i["name"].lower()]
        limit, page = query.get("limit", "100"), query.get("page", "1")
        if not (limit.isdecimal() and page.isdecimal()):
            raise Refusal(400, {"error": "limit and page must be numbers"})
        end = int(page) * int(limit)
        return Reply(200, named[end - int(limit) : end])

    def _create(self, fields: Mapping[str, Any]) -> Reply:
        if not str(fields.get("name", "")).strip():
            raise Refusal(422, {"error": ["Name can't be blank"]})
        now, number = _now(), _new_id()
        incident: dict[str, Any] = {
            "id": number,
            "page_id": self._page_id,
            "name": fields["name"],
            "status": "investigating",
            "impact": "none",
            "impact_override": None,
            "created_at": now,
            "updated_at": now,
            "started_at": now,
            "monitoring_at": None,
            "resolved_at": None,
            "scheduled_for": None,
            "scheduled_until": None,
            "postmortem_body": None,
            "shortlink": f"https://stspg.io/{number[:6]}",
            "metadata": {},
            "components": [],
            "incident_updates": [],
        }
        self._change(incident, {"status": "investigating", "body": "", **fields})
        self._incidents.append(incident)
        return Reply(201, incident, number)

    def _update(self, number: str, fields: Mapping[str, Any]) -> Reply:
        incident = self._incident(number)
        self._change(incident, fields)
        return Reply(200, incident, number)

    def _change(self, incident: dict[str, Any], fields: Mapping[str, Any]) -> None:
        """All of it or, where the API refuses it, nothing. Raises Refusal."""
        components = self._wanted_components(fields)
        status, impact = fields.get("status", incident["status"]), fields.get("impact_override")
        if status not in STATUSES:
            raise Refusal(422, {"error": ["Status is not included in the list"]})
        if impact not in (None, *IMPACTS):
            raise Refusal(422, {"error": ["Impact override is not included in the list"]})
        if len(str(fields.get("body") or "")) > MAX_BODY:
            raise Refusal(422, {"error": [f"Body is too long (maximum is {MAX_BODY} characters)"]})
        now = _now()
        affected = [self._affect(component, new) for component, new in components.items()]
        known = {component["id"]: component for component in incident["components"]}
        incident |= {name: fields[name] for name in ("name", "metadata") if name in fields}
        incident |= {"status": status, "updated_at": now, "impact_override": impact or incident["impact_override"]}
        incident["components"] = list((known | {one: self._components[one] for one in components}).values())
        incident["impact"] = incident["impact_override"] or _worst(incident["components"], incident["impact"])
        reached = {"monitoring": "monitoring_at", "resolved": "resolved_at"}.get(status)
        if reached:
            incident[reached] = incident[reached] or now
        if "body" in fields or "status" in fields:
            incident["incident_updates"].insert(0, _update_of(incident, fields, affected, now))

    def _wanted_components(self, fields: Mapping[str, Any]) -> dict[str, str | None]:
        """{component: its new status, None where it stays}. Raises Refusal."""
        states = fields.get("components")
        states = states if isinstance(states, dict) else {}
        wanted = dict.fromkeys(fields.get("component_ids") or ()) | states
        for component, status in wanted.items():
            if component not in self._components or status not in (None, *COMPONENT_STATUSES):
                raise Refusal(422, {"error": [f"Component {component} is invalid"]})
        return wanted

    def _affect(self, number: str, status: str | None) -> dict[str, Any]:
        component = self._components[number]
        old = component["status"]
        component["status"] = status or old
        return {"code": number, "name": component["name"], "old_status": old, "new_status": component["status"]}

    def _incident(self, number: str) -> dict[str, Any]:
        found = next((incident for incident in self._incidents if incident["id"] == number), None)
        if found is None:
            raise Refusal(404, {"error": "not found"})
        return found


def _update_of(incident: Mapping[str, Any], fields: Mapping[str, Any], affected: Json, now: str) -> dict[str, Any]:
    return {
        "id": _new_id(),
        "incident_id": incident["id"],
        "status": incident["status"],
        "body": fields.get("body") or "",
        "created_at": now,
        "updated_at": now,
        "display_at": now,
        "affected_components": affected or None,
        "deliver_notifications": fields.get("deliver_notifications", True),
        "wants_twitter_update": False,
    }


def _worst(components: list[dict[str, Any]], otherwise: str) -> str:
    impacts = [IMPACT_OF[component["status"]] for component in components if component["status"] in IMPACT_OF]
    return max(impacts, key=IMPACTS.index, default=otherwise)


def _not_found() -> Reply:
    raise Refusal(404, {"error": "not found"})


def _new_id() -> str:
    return "".join(secrets.choice(ID_LETTERS) for _ in range(12))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
