# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's mail server, SMS service and webhook, driven by apprise and smtplib as they are."""

from __future__ import annotations

import smtplib
import ssl
from urllib.parse import quote

import pytest
import requests

from ..sinks_host import Sinks, send

HOSTILE = "<script>alert(1)</script> {{ 7 * 7 }} & 'quotes'\r\n.\r\nRCPT TO:<mallory@lab.example>\r\n\r\nünïcödé ✓"


def mail_url(sinks: Sinks, password: str | None = None, schema: str = "mailto") -> str:
    login = f"incidents:{password or sinks.keys.smtp_password}"
    return (
        f"{schema}://{login}@127.0.0.1:{sinks.lab.smtp_port}"
        "?format=text&from=incidents@lab.example&to=management@lab.example"
    )


@pytest.mark.parametrize("schema", ["mailto", "mailtos"])
def test_apprise_sends_mail_in_clear_or_over_tls(sinks: Sinks, schema: str) -> None:
    assert send(mail_url(sinks, schema=schema), "All orders are canceled", "SEV1: binance")
    (arrival,) = sinks.lab.arrivals()
    assert (arrival.service, arrival.op, arrival.target) == ("smtp", "message", "management@lab.example")
    assert (arrival.text or "").strip() == "All orders are canceled"
    assert arrival.body["subject"] == "SEV1: binance"
    assert arrival.body["from"] == "incidents@lab.example"
    assert arrival.key == arrival.body["headers"]["Message-ID"]
    assert (arrival.accepted, arrival.ok, arrival.status) == (True, True, 250)


def test_hostile_mail_arrives_as_it_was_written(sinks: Sinks) -> None:
    text = HOSTILE + "x" * 1_000_000
    assert send(mail_url(sinks), text, "subject\r\nBcc: mallory@lab.example")
    (arrival,) = sinks.lab.arrivals()
    assert (arrival.text or "").replace("\r\n", "\n").strip() == text.replace("\r\n", "\n").strip()
    assert arrival.body["to"] == ["management@lab.example"]
    assert "Bcc" not in arrival.body["headers"]


def test_mail_without_a_password_or_with_a_wrong_one(sinks: Sinks) -> None:
    assert not send(mail_url(sinks, password="guessed"), "hello")
    with smtplib.SMTP("127.0.0.1", sinks.lab.smtp_port, timeout=5) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login("incidents", "guessed")
        assert refused.value.smtp_code == 535
        with pytest.raises(smtplib.SMTPSenderRefused) as nobody:
            client.sendmail("a@lab.example", ["b@lab.example"], "Subject: x\r\n\r\nx")
        assert nobody.value.smtp_code == 530
    assert sinks.lab.arrivals() == []


def test_the_mail_server_has_a_certificate(sinks: Sinks) -> None:
    with smtplib.SMTP("127.0.0.1", sinks.lab.smtp_port, timeout=5) as client:
        client.starttls(context=ssl.create_default_context(cafile=str(sinks.lab.ca_file)))
        client.login("incidents", sinks.keys.smtp_password)
        client.sendmail("a@lab.example", ["b@lab.example", "c@lab.example"], "Subject: x\r\n\r\nhello")
    assert sinks.lab.arrivals()[0].target == "b@lab.example,c@lab.example"


def sms_url(sinks: Sinks, token: str | None = None, to: str = "15550100199") -> str:
    return f"twilio://{sinks.keys.twilio_sid}:{token or sinks.keys.twilio_token}@15550100100/{to}"


def test_apprise_sends_an_sms(sinks: Sinks) -> None:
    assert send(sms_url(sinks), "Call the bridge: 1 + 1 = 2 & <now>")
    (arrival,) = sinks.lab.arrivals()
    assert (arrival.service, arrival.op, arrival.target) == ("twilio", "message", "+15550100199")
    assert arrival.text == "Call the bridge: 1 + 1 = 2 & <now>"
    assert (arrival.status, (arrival.key or "")[:2]) == (201, "SM")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"To": ""}, 21604),
        ({"From": ""}, 21603),
        ({"Body": ""}, 21602),
        ({"To": "0199"}, 21211),
        ({"Body": "x" * 1601}, 21617),
    ],
)
def test_what_the_sms_service_refuses(sinks: Sinks, fields: dict[str, str], code: int) -> None:
    url = f"https://api.twilio.com/2010-04-01/Accounts/{sinks.keys.twilio_sid}/Messages.json"
    form = {"From": "+15550100100", "To": "+15550100199", "Body": "hello"} | fields
    answer = sinks.ask("POST", url, data=form, auth=(sinks.keys.twilio_sid, sinks.keys.twilio_token))
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_the_sms_service_wants_its_token(sinks: Sinks) -> None:
    assert not send(sms_url(sinks, token="guessed"), "hello")
    assert sinks.lab.arrivals()[0].status == 401


def test_apprise_posts_to_a_webhook(sinks: Sinks) -> None:
    url = f"json://127.0.0.1:{sinks.lab.webhook_port}/desk/hft?%2BX-Incident={quote('inc-1')}"
    assert send(url, HOSTILE, "SEV1")
    (arrival,) = sinks.lab.arrivals()
    assert (arrival.service, arrival.op, arrival.target) == ("webhook", "post", "/desk/hft")
    assert (arrival.text or "").splitlines()[0] == HOSTILE.splitlines()[0]
    assert arrival.body["content"]["title"] == "SEV1"
    assert arrival.key is None


def test_a_webhook_reports_what_came_twice(sinks: Sinks) -> None:
    url = f"http://127.0.0.1:{sinks.lab.webhook_port}/hook"
    for key in ("one", "two", "one"):
        requests.post(url, data=f"text {key}", headers={"Idempotency-Key": key, "Authorization": "Bearer x"}, timeout=5)
    assert [(a.key, a.repeat, a.accepted, a.text) for a in sinks.lab.arrivals()] == [
        ("one", False, True, "text one"),
        ("two", False, True, "text two"),
        ("one", True, True, "text one"),
    ]
    assert sinks.lab.arrivals()[0].body["headers"]["authorization"] == "…"


def test_a_webhook_is_reached_through_the_proxy_too(sinks: Sinks) -> None:
    url = f"http://127.0.0.1:{sinks.lab.webhook_port}/hook?a=b"
    answer = requests.post(url, json={"text": "hello"}, proxies={"http": sinks.lab.proxy}, timeout=5)
    assert answer.json() == {"ok": True}
    (arrival,) = sinks.lab.arrivals()
    assert (arrival.target, arrival.text, arrival.body["query"]) == ("/hook", "hello", {"a": "b"})
