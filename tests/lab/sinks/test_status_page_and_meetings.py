# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's Statuspage and Zoom, which no library that we have speaks: by requests, as the product does."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from ..sinks_host import Sinks

PAGE = "https://api.statuspage.io/v1/pages/lab"
MEETINGS = "https://api.zoom.us/v2/users/me/meetings"


def page(sinks: Sinks, method: str, path: str, **incident: Any) -> requests.Response:
    headers = {"Authorization": f"OAuth {sinks.keys.statuspage_key}"}
    body = {"json": {"incident": incident}} if incident else {}
    return sinks.ask(method, f"{PAGE}/{path}", headers=headers, **body)


def test_the_life_of_an_incident_on_the_page(sinks: Sinks) -> None:
    made = page(
        sinks,
        "POST",
        "incidents",
        name="Trading is interrupted",
        body="We are looking into it.",
        impact_override="critical",
        components={"c0trading": "major_outage"},
    )
    assert made.status_code == 201
    number = made.json()["id"]
    assert page(sinks, "GET", "components").json()[0]["status"] == "major_outage"
    page(sinks, "PATCH", f"incidents/{number}", status="identified", body="It is the venue.")
    page(sinks, "PATCH", f"incidents/{number}", status="monitoring")
    assert number in [incident["id"] for incident in page(sinks, "GET", "incidents/unresolved").json()]
    last = page(
        sinks,
        "PATCH",
        f"incidents/{number}",
        status="resolved",
        body="Trading is on.",
        components={"c0trading": "operational"},
    )

    assert last.status_code == 200
    shown = next(incident for incident in sinks.lab.status_page()["incidents"] if incident["id"] == number)
    assert shown == last.json() == page(sinks, "GET", f"incidents/{number}").json()
    assert [(update["status"], update["body"]) for update in shown["incident_updates"]] == [
        ("resolved", "Trading is on."),
        ("monitoring", ""),
        ("identified", "It is the venue."),
        ("investigating", "We are looking into it."),
    ]
    assert (shown["impact"], shown["impact_override"], shown["status"]) == ("critical", "critical", "resolved")
    assert shown["monitoring_at"] <= shown["resolved_at"]
    affected = shown["incident_updates"][0]["affected_components"]
    assert [(one["old_status"], one["new_status"]) for one in affected] == [("major_outage", "operational")]
    assert number not in [incident["id"] for incident in page(sinks, "GET", "incidents/unresolved").json()]
    writes = [a for a in sinks.lab.arrivals("statuspage") if a.op in ("incident.create", "incident.update")]
    assert [(a.target, a.key, a.text) for a in writes] == [
        ("lab", number, "We are looking into it."),
        ("lab", number, "It is the venue."),
        ("lab", number, None),
        ("lab", number, "Trading is on."),
    ]


def test_incidents_are_found_by_name_the_newest_first(sinks: Sinks) -> None:
    for name in ("inc-1 interrupted", "inc-2 interrupted"):
        page(sinks, "POST", "incidents", name=name)
    found = page(sinks, "GET", "incidents?q=INC-1").json()
    assert [incident["name"] for incident in found] == ["inc-1 interrupted"]
    assert page(sinks, "GET", "incidents?limit=1").json()[0]["name"] == "inc-2 interrupted"
    assert page(sinks, "GET", "incidents?limit=1&page=2").json()[0]["name"] == "inc-1 interrupted"


def test_impact_follows_the_components_where_nobody_says_otherwise(sinks: Sinks) -> None:
    made = page(sinks, "POST", "incidents", name="slow", components={"c0marketdata": "partial_outage"}).json()
    assert (made["impact"], made["impact_override"]) == ("major", None)


@pytest.mark.parametrize(
    ("incident", "words"),
    [
        ({"body": "no name"}, "Name can't be blank"),
        ({"name": "x", "status": "fixed"}, "Status is not included in the list"),
        ({"name": "x", "impact_override": "SEV1"}, "Impact override is not included in the list"),
        ({"name": "x", "components": {"c0nothing": "operational"}}, "Component c0nothing is invalid"),
    ],
)
def test_incidents_that_the_page_refuses(sinks: Sinks, incident: dict[str, Any], words: str) -> None:
    before = sinks.lab.status_page()
    answer = page(sinks, "POST", "incidents", **incident)
    assert (answer.status_code, answer.json()) == (422, {"error": [words]})
    assert sinks.lab.status_page() == before


def test_the_page_wants_its_key(sinks: Sinks) -> None:
    answer = sinks.ask("GET", f"{PAGE}/incidents", headers={"Authorization": "OAuth somebody-elses"})
    assert (answer.status_code, answer.json()) == (401, {"error": "Could not authenticate"})
    assert sinks.ask("GET", f"{PAGE}/incidents?api_key={sinks.keys.statuspage_key}").status_code == 200
    assert page(sinks, "GET", "../other/incidents").status_code == 404
    assert page(sinks, "PATCH", "incidents/nothing", status="resolved").status_code == 404


def zoom_token(sinks: Sinks, secret: str | None = None, **fields: str) -> requests.Response:
    form = {"grant_type": "account_credentials", "account_id": "lab"} | fields
    login = ("lab", secret or sinks.keys.zoom_secret)
    return sinks.ask("POST", "https://zoom.us/oauth/token", data=form, auth=login)


def test_a_meeting(sinks: Sinks) -> None:
    token = zoom_token(sinks).json()
    assert (token["token_type"], token["api_url"]) == ("bearer", "https://api.zoom.us")
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    fields = {"topic": "inc-1", "type": 2, "start_time": "2026-11-26T22:33:00Z", "duration": 60}
    made = sinks.ask("POST", MEETINGS, json=fields, headers=headers)
    assert made.status_code == 201
    assert made.json()["join_url"].startswith(f"https://zoom.us/j/{made.json()['id']}?pwd=")
    instant = sinks.ask("POST", MEETINGS, json={"topic": "inc-1", "type": 1}, headers=headers).json()
    assert instant["id"] != made.json()["id"]
    listed = sinks.ask("GET", MEETINGS, headers=headers).json()
    assert [(meeting["id"], meeting["topic"]) for meeting in listed["meetings"]] == [(made.json()["id"], "inc-1")]
    assert [meeting["id"] for meeting in sinks.lab.meetings()] == [made.json()["id"], instant["id"]]
    arrival = sinks.lab.arrivals("zoom")[1]
    assert (arrival.op, arrival.text, arrival.key) == ("meeting.create", "inc-1", str(made.json()["id"]))


def test_what_zoom_refuses(sinks: Sinks) -> None:
    refused = zoom_token(sinks, secret="somebody-elses")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client")
    assert zoom_token(sinks, grant_type="client_credentials").json()["error"] == "unsupported_grant_type"
    assert zoom_token(sinks, account_id="other").status_code == 400
    nobody = sinks.ask("POST", MEETINGS, json={"topic": "x"}, headers={"Authorization": "Bearer guessed"})
    assert (nobody.status_code, nobody.json()["code"]) == (401, 124)
    headers = {"Authorization": f"Bearer {zoom_token(sinks).json()['access_token']}"}
    long = sinks.ask("POST", MEETINGS, json={"topic": "x" * 201}, headers=headers)
    assert (long.status_code, long.json()["code"], long.json()["errors"][0]["field"]) == (400, 300, "topic")
