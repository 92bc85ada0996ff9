# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's PagerDuty, driven by apprise as it is, and by hand where apprise says less than the API takes."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import requests

from ..sinks_host import Sinks, send

URL = "https://events.pagerduty.com/v2/enqueue"


def event(sinks: Sinks, action: str = "trigger", key: str | None = None, **payload: Any) -> requests.Response:
    """A valid event but for ``payload``."""
    body = {"routing_key": sinks.keys.routing_keys["paging"], "event_action": action}
    body |= {"dedup_key": key} if key else {}
    alert = {"summary": "binance is down", "source": "jumphost", "severity": "critical"} | payload
    return sinks.ask("POST", URL, json=body | ({"payload": alert} if action == "trigger" else {}))


def alerts(sinks: Sinks, key: str) -> list[tuple[str, int]]:
    return [(alert["status"], alert["events"]) for alert in sinks.lab.alerts() if alert["dedup_key"] == key]


@pytest.mark.parametrize("service", ["paging", "page_backup", "page_management", "page_database"])
def test_apprise_pages_by_the_key_of_each_service(sinks: Sinks, service: str) -> None:
    key = uuid.uuid4().hex
    assert send(f"pagerduty://{sinks.keys.routing_keys[service]}@lab/hft-incident?dedup={key}", "SEV1: call in")
    (arrival,) = sinks.lab.arrivals()
    assert (arrival.service, arrival.op, arrival.target) == ("pagerduty", "trigger", service)
    assert (arrival.text, arrival.key, arrival.status) == ("SEV1: call in", key, 202)
    assert (arrival.accepted, arrival.ok, arrival.repeat) == (True, True, False)


def test_events_with_one_key_are_one_alert(sinks: Sinks) -> None:
    key = uuid.uuid4().hex
    url = f"pagerduty://{sinks.keys.routing_keys['paging']}@lab/hft-incident?dedup={key}"
    assert send(url, "first")
    assert send(url, "again")
    assert alerts(sinks, key) == [("triggered", 2)]
    assert [arrival.repeat for arrival in sinks.lab.arrivals()] == [False, True]
    event(sinks, "acknowledge", key)
    assert alerts(sinks, key) == [("acknowledged", 3)]
    assert send(f"{url}&action=resolve", "over")
    assert alerts(sinks, key) == [("resolved", 4)]
    assert send(url, "once more")
    assert alerts(sinks, key) == [("resolved", 4), ("triggered", 1)], "a resolved alert is not opened again"


def test_a_key_is_made_where_none_was_given(sinks: Sinks) -> None:
    answer = event(sinks)
    assert (answer.status_code, answer.json()["status"], answer.json()["message"]) == (
        202,
        "success",
        "Event processed",
    )
    assert sinks.lab.arrivals()[0].key == answer.json()["dedup_key"]


def test_an_acknowledgement_of_nothing_is_accepted(sinks: Sinks) -> None:
    key = uuid.uuid4().hex
    assert event(sinks, "acknowledge", key).status_code == 202
    assert alerts(sinks, key) == []


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"summary": "x" * 1025}, "'summary' is too long (maximum is 1024 characters)"),
        ({"summary": " "}, "'payload.summary' is missing or blank"),
        ({"source": None}, "'payload.source' is missing or blank"),
        ({"severity": "SEV1"}, "'payload.severity' is missing or invalid"),
    ],
)
def test_events_that_are_refused(sinks: Sinks, payload: dict[str, Any], words: str) -> None:
    answer = event(sinks, **payload)
    assert answer.status_code == 400
    assert answer.json() == {"status": "invalid event", "message": "Event object is invalid", "errors": [words]}
    (arrival,) = sinks.lab.arrivals()
    assert (arrival.accepted, arrival.ok, arrival.status) == (False, False, 400)


def test_the_longest_summary_is_taken(sinks: Sinks) -> None:
    assert event(sinks, summary="x" * 1024).status_code == 202


def test_a_key_that_nobody_has(sinks: Sinks) -> None:
    assert not send("pagerduty://0123456789abcdef0123456789abcdef@lab/hft-incident", "SEV1")
    (arrival,) = sinks.lab.arrivals()
    assert (arrival.target, arrival.status) == (None, 400)
    assert "0123456789abcdef" not in str(arrival), "whatever it opens, it is a secret of somebody's"


def test_what_is_no_event(sinks: Sinks) -> None:
    assert sinks.ask("POST", URL, data="{").status_code == 400
    assert sinks.ask("POST", URL, data='{"a": "' + "x" * 512 * 1024 + '"}').status_code == 413
    assert sinks.ask("GET", URL).status_code == 404
