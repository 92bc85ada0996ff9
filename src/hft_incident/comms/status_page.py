# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The status page: an incident is made there once, updated, and resolved (Statuspage's API and what speaks it).

Source: developer.statuspage.io, "Incidents". Which incident of the page is ours, and which of our notices it has last
taken, is kept in its ``metadata``, so that nothing is said twice, whoever says it and however the last answer ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests

from ansible_collections.hft.incident.plugins.module_utils.secret_ref import SecretError, resolve

from .channels import DeliveryError
from .policy import StatusPage
from .wording import Message

#: To connect, and between two bytes of an answer (s); the job as a whole has a limit of its own.
TIMEOUT_S = (5.0, 10.0)
OURS = "hft_incident"
_IMPACT = {1: "critical", 2: "major", 3: "minor", 4: "none"}


def publish(page: StatusPage, message: Message, status: str) -> str:
    """Says it on the page, and returns the page's id of the incident. ``status``: investigating, identified, monitoring
    or resolved. Raises DeliveryError."""
    try:
        key = resolve(page.api_key, "status_page: api_key").reveal()
    except SecretError as error:
        raise DeliveryError(str(error), doubtful=False) from None
    with requests.Session() as session:
        session.headers["Authorization"] = f"OAuth {key}"
        incidents = f"{page.base_url.rstrip('/')}/v1/pages/{page.page_id}/incidents"
        known = _ours(session, incidents, message.incident)
        if known and _mark(known).get("last") == message.id:
            return str(known["id"])
        body = {
            "name": message.subject,
            "status": status,
            "body": message.text,
            "impact_override": _IMPACT[message.severity],
            "metadata": {OURS: {"incident": message.incident, "last": message.id}},
        }
        if page.components:
            state = "operational" if status == "resolved" else "partial_outage"
            body |= {"component_ids": list(page.components), "components": dict.fromkeys(page.components, state)}
        if known:
            return str(_ask(session, "PATCH", f"{incidents}/{known['id']}", body)["id"])
        return str(_ask(session, "POST", incidents, body)["id"])


def _ours(session: requests.Session, incidents: str, incident: str) -> Mapping[str, Any] | None:
    """The page's incident that is ours, among the last hundred."""
    found = _ask(session, "GET", incidents, None)
    listed = [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []
    return next((row for row in listed if _mark(row).get("incident") == incident), None)


def _mark(row: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = row.get("metadata")
    mark = metadata.get(OURS) if isinstance(metadata, Mapping) else None
    return mark if isinstance(mark, Mapping) else {}


def _ask(session: requests.Session, method: str, url: str, incident: Mapping[str, Any] | None) -> Any:
    doubtful = method != "GET"
    try:
        body = None if incident is None else {"incident": incident}
        reply = session.request(method, url, json=body, timeout=TIMEOUT_S, allow_redirects=False)
        if reply.status_code >= 300:
            error = f"status page: {method} answered {reply.status_code}"
            raise DeliveryError(error, doubtful=doubtful and reply.status_code >= 500)
        document = reply.json()
    except (requests.RequestException, ValueError) as error:
        raise DeliveryError(f"status page: {_words(error)}", doubtful=doubtful) from None
    if method != "GET" and not (isinstance(document, Mapping) and "id" in document):
        raise DeliveryError(f"status page: {method} answered what is no incident", doubtful=True)
    return document


def _words(error: Exception) -> str:
    """What kind of failure it was; the message of the library may quote addresses and headers."""
    return type(error).__name__.replace("Error", " error").lower()
