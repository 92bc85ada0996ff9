# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Every fault at every service, and what the libraries then say; the way through the proxy."""

from __future__ import annotations

import http.client
import smtplib
import socket
from collections.abc import Callable, Mapping
from typing import Any
from urllib.error import URLError

import certifi
import pytest
import requests
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler

from hft_incident.lab.errors import LabError
from hft_incident.lab.sink_handle import Arrival
from hft_incident.lab.sinks.faults import KINDS

from ..sinks_host import Sinks, send
from ..waiting import wait_until

Send = Callable[[Sinks, float], bool]
PATIENCE_S = 5.0
HURRY_S = 0.5  # of who waits in vain for an answer


def by_apprise(template: str) -> Send:
    """It waits so long for an answer; for a mail server's, which it gives one time for all that it does, longer."""

    def through(sinks: Sinks, patience_s: float) -> bool:
        keys = sinks.keys
        url = template.format(keys=keys, paging=keys.routing_keys["paging"], lab=sinks.lab)
        connect_s = patience_s * 4 if url.startswith("mailto") else PATIENCE_S
        return send(f"{url}{'&' if '?' in url else '?'}rto={patience_s}&cto={connect_s}", "hello")

    return through


def by_requests(method: str, url: str, **options: Any) -> Send:
    def through(sinks: Sinks, patience_s: float) -> bool:
        headers = {"Authorization": f"OAuth {sinks.keys.statuspage_key}"} if "statuspage" in url else {}
        auth = ("lab", sinks.keys.zoom_secret) if "zoom" in url else None
        try:
            return sinks.ask(method, url, headers=headers, auth=auth, timeout=(PATIENCE_S, patience_s), **options).ok
        except requests.RequestException:
            return False

    return through


SENDERS: Mapping[str, tuple[str, Send]] = {
    "slack bot": ("slack", by_apprise("slack://{keys.slack_token}/incident-response")),
    "slack webhook": ("slack", by_apprise("slack://{keys.slack_webhook}")),
    "pagerduty": ("pagerduty", by_apprise("pagerduty://{paging}@lab/hft-incident")),
    "twilio": ("twilio", by_apprise("twilio://{keys.twilio_sid}:{keys.twilio_token}@15550100100/15550100199")),
    "webhook": ("webhook", by_apprise("json://127.0.0.1:{lab.webhook_port}/hook")),
    "smtp": (
        "smtp",
        by_apprise(
            "mailto://incidents:{keys.smtp_password}@127.0.0.1:{lab.smtp_port}?from=a@lab.example&to=b@lab.example"
        ),
    ),
    "statuspage": (
        "statuspage",
        by_requests("POST", "https://api.statuspage.io/v1/pages/lab/incidents", json={"incident": {"name": "x"}}),
    ),
    "zoom": (
        "zoom",
        by_requests(
            "POST",
            "https://zoom.us/oauth/token",
            data={"grant_type": "account_credentials", "account_id": "lab"},
        ),
    ),
}
#: Options of each fault; whether the service does its work; whether it answers an error.
FAULTS: Mapping[str, tuple[dict[str, Any], bool, bool]] = {
    "hang": ({}, False, False),
    "status": ({}, False, True),
    "slow": ({"seconds": 600}, True, False),
    "accepts_then_fails": ({}, True, True),
    "half_reply": ({}, True, False),
}


@pytest.fixture(params=list(SENDERS))
def sender(request: pytest.FixtureRequest) -> tuple[str, Send]:
    return SENDERS[request.param]


def last(sinks: Sinks) -> Arrival:
    return wait_until(sinks.lab.arrivals)[-1]


def test_all_kinds_are_tested() -> None:
    assert {*FAULTS, "down"} == set(KINDS)


def test_every_sender_is_served_where_there_is_no_fault(sinks: Sinks, sender: tuple[str, Send]) -> None:
    service, through = sender
    sinks.lab.inject("status", "slack" if service != "slack" else "pagerduty")
    assert through(sinks, PATIENCE_S)
    assert (last(sinks).service, last(sinks).accepted, last(sinks).ok) == (service, True, True)


@pytest.mark.parametrize("kind", list(FAULTS))
def test_a_fault_makes_the_sender_say_that_nothing_was_sent(sinks: Sinks, sender: tuple[str, Send], kind: str) -> None:
    (service, through), (options, accepted, answered) = sender, FAULTS[kind]
    sinks.lab.inject(kind, service, remaining=1, **options)
    assert not through(sinks, PATIENCE_S if answered or kind == "half_reply" else HURRY_S)
    arrival = last(sinks)
    assert (arrival.service, arrival.fault, arrival.accepted, arrival.ok) == (service, kind, accepted, False)
    if answered:
        assert arrival.status == (451 if service == "smtp" else 500)
    assert sinks.lab.faults() == [], "it was for one"


def test_a_service_that_is_down_is_reached_by_nobody(sinks: Sinks, sender: tuple[str, Send]) -> None:
    service, through = sender
    sinks.lab.inject("down", service)
    assert not through(sinks, PATIENCE_S)
    assert not through(sinks, PATIENCE_S)
    assert sinks.lab.arrivals() == []
    sinks.lab.clear_faults()
    assert through(sinks, PATIENCE_S)


def test_a_connection_that_is_cut_after_the_work(sinks: Sinks, sender: tuple[str, Send]) -> None:
    service, through = sender
    sinks.lab.inject("accepts_then_fails", service, cut=True)
    assert not through(sinks, PATIENCE_S)
    assert (last(sinks).accepted, last(sinks).ok, last(sinks).status) == (True, False, None)


def test_an_answer_that_is_slow_but_comes(sinks: Sinks, sender: tuple[str, Send]) -> None:
    service, through = sender
    sinks.lab.inject("slow", service, seconds=0.05)
    assert through(sinks, PATIENCE_S)
    assert (last(sinks).fault, last(sinks).accepted, last(sinks).ok) == ("slow", True, True)


def test_what_was_accepted_is_there_though_the_sender_heard_no(sinks: Sinks) -> None:
    sinks.lab.inject("accepts_then_fails", "slack")
    before = len(sinks.lab.room("incident-response")["messages"])
    assert not SENDERS["slack bot"][1](sinks, PATIENCE_S)
    assert len(sinks.lab.room("incident-response")["messages"]) == before + 1
    sinks.lab.clear_faults()
    sinks.lab.inject("status", "slack")
    assert not SENDERS["slack bot"][1](sinks, PATIENCE_S)
    assert len(sinks.lab.room("incident-response")["messages"]) == before + 1


def test_a_fault_of_one_operation(sinks: Sinks) -> None:
    slack = sinks.slack()
    sinks.lab.inject("down", "slack", op="chat.postMessage")
    assert slack.auth_test()["ok"]
    with pytest.raises((URLError, http.client.HTTPException, ConnectionError)):
        slack.chat_postMessage(channel="#incident-response", text="hello")
    assert (last(sinks).op, last(sinks).fault, last(sinks).status) == ("chat.postMessage", "down", None)


def test_a_fault_of_all_services(sinks: Sinks) -> None:
    sinks.lab.inject("down")
    assert not any(through(sinks, PATIENCE_S) for _service, through in SENDERS.values())


def first_byte(port: int) -> bytes:
    """A reset may be noticed as early as while connecting."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        return connection.recv(1)


def test_down_for_one_connection(sinks: Sinks) -> None:
    sinks.lab.inject("down", "webhook", remaining=1)
    with pytest.raises(ConnectionResetError):
        first_byte(sinks.lab.webhook_port)
    assert SENDERS["webhook"][1](sinks, PATIENCE_S)


def test_slack_says_when_to_come_back(sinks: Sinks) -> None:
    slack = sinks.slack()
    sinks.lab.inject("status", "slack", status=429, retry_after=30, remaining=1)
    with pytest.raises(SlackApiError) as error:
        slack.auth_test()
    assert error.value.response.status_code == 429
    assert error.value.response.headers["Retry-After"] == "30"
    assert error.value.response["error"] == "ratelimited"
    sinks.lab.inject("status", "slack", status=429, retry_after=0, remaining=1)
    slack.retry_handlers.append(RateLimitErrorRetryHandler(max_retry_count=1))
    assert slack.auth_test()["ok"], "slack_sdk came back by itself"


@pytest.mark.parametrize(
    "url",
    [
        "https://events.pagerduty.com/v2/enqueue",
        "https://api.statuspage.io/v1/pages/lab/incidents",
        "https://api.zoom.us/v2/users/me/meetings",
        "https://api.twilio.com/2010-04-01/Accounts/AC0/Messages.json",
    ],
)
def test_every_service_says_in_its_own_words_that_it_is_too_much(sinks: Sinks, url: str) -> None:
    sinks.lab.inject("status", status=429, retry_after=7)
    answer = sinks.ask("POST", url, json={})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert isinstance(answer.json(), dict)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_any_status_can_be_had(sinks: Sinks, status: int) -> None:
    sinks.lab.inject("status", "pagerduty", status=status)
    answer = sinks.ask("POST", "https://events.pagerduty.com/v2/enqueue", json={})
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")


@pytest.mark.parametrize(("kind", "accepted"), [("status", False), ("accepts_then_fails", True)])
@pytest.mark.parametrize("code", [451, 452, 550])
def test_a_mail_server_refuses_after_data(sinks: Sinks, kind: str, accepted: bool, code: int) -> None:
    sinks.lab.inject(kind, "smtp", status=code)
    with smtplib.SMTP("127.0.0.1", sinks.lab.smtp_port, timeout=PATIENCE_S) as client:
        client.login("incidents", sinks.keys.smtp_password)
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail("a@lab.example", ["b@lab.example"], "Subject: x\r\n\r\nhello")
    assert refused.value.smtp_code == code
    assert (last(sinks).accepted, last(sinks).ok, last(sinks).status) == (accepted, False, code)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "grumpy"}, "unknown fault 'grumpy'"),
        ({"kind": "down", "service": "icq"}, "unknown service 'icq'"),
        ({"kind": "down", "colour": "red"}, "unexpected keyword argument 'colour'"),
    ],
)
def test_what_is_no_fault_is_refused(sinks: Sinks, fault: dict[str, Any], words: str) -> None:
    with pytest.raises(LabError, match=words):
        sinks.lab.inject(**fault)


# --- the proxy ---


@pytest.mark.parametrize("address", ["example.com:443", "slack.com:8443", "127.0.0.1:22"])
def test_nothing_leaves_the_machine_through_the_proxy(sinks: Sinks, address: str) -> None:
    with pytest.raises(requests.exceptions.ProxyError, match="502"):
        sinks.ask("GET", f"https://{address}/")
    (arrival,) = sinks.lab.arrivals()
    assert (arrival.service, arrival.op, arrival.target, arrival.status) == ("proxy", "connect", address, 502)


def test_nor_in_clear(sinks: Sinks) -> None:
    answer = requests.get("http://slack.com/api/auth.test", proxies={"http": sinks.lab.proxy}, timeout=PATIENCE_S)
    assert answer.status_code == 502


def test_who_does_not_trust_the_lab_is_told_nothing(sinks: Sinks) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        sinks.ask("GET", "https://slack.com/api/auth.test", verify=certifi.where())
    assert sinks.lab.arrivals() == []
    assert sinks.slack().auth_test()["ok"], "others are served"


def test_garbage_does_not_hurt_the_proxy(sinks: Sinks) -> None:
    for garbage in (b"\x16\x03\x01\x02\x00" * 20_000, b"CONNECT\r\n\r\n", b"GET http://[ HTTP/1.1\r\n\r\n"):
        port = int(sinks.lab.proxy.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(PATIENCE_S)
            try:
                while connection.recv(4096):
                    pass
            except ConnectionResetError:
                pass
    assert sinks.slack().auth_test()["ok"]


def test_one_connection_serves_many_requests(sinks: Sinks) -> None:
    with requests.Session() as session:
        session.proxies, session.verify = {"https": sinks.lab.proxy}, str(sinks.lab.ca_file)
        for number in range(3):
            headers = {"Authorization": f"Bearer {sinks.keys.slack_token}"}
            body = {"channel": "#incident-response", "text": str(number)}
            url = "https://slack.com/api/chat.postMessage"
            assert session.post(url, json=body, headers=headers, timeout=PATIENCE_S).json()["ok"]
    assert [arrival.text for arrival in sinks.lab.arrivals()] == ["0", "1", "2"]
