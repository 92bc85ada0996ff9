# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What may be said of a delivery that failed, and whether it may have arrived all the same."""

from __future__ import annotations

import logging
import os

import pytest

from hft_incident.comms.channels import DeliveryError, _Complaints, fitting, send, take_way_out
from hft_incident.comms.policy import Site
from hft_incident.comms.wording import Message

URL = "pagerduty://kanarienvogel0123@lab/hft-incident?dedup=x"
MESSAGE = Message("desk.first", "inc-1", "first", 1, "subject", "text")


def complaint(text: str) -> DeliveryError:
    with _Complaints([URL]) as complaints:
        logging.getLogger("apprise").warning(text)
    return complaints.error()


def test_a_librarys_complaint_names_no_part_of_a_secret_address() -> None:
    said = str(complaint(f"Failed to send to {URL} for kanarienvogel0123: error=500."))
    assert "kanarienvogel" not in said
    assert "error=500" in said


@pytest.mark.parametrize("length", [1, 50, 91, 92, 5000])
def test_subject_and_text_fit_together(length: int) -> None:
    message = MESSAGE._replace(text="x" * length)
    text = fitting(message, 100)
    assert len(f"{message.subject}\r\n{text}") <= 100
    assert (text == message.text) is (length <= 91)


@pytest.mark.parametrize(
    ("text", "doubtful"),
    [
        ("Failed to send Slack notification: Forbidden, error=403.", False),
        ("Failed to send Slack notification: Too Many Requests, error=429.", False),
        ("Failed to send Slack notification: Internal Server Error, error=500.", True),
        ("A Connection error occurred sending Slack notification.", True),
        ("", True),
    ],
)
def test_only_a_plain_refusal_did_not_arrive(text: str, doubtful: bool) -> None:
    assert complaint(text).doubtful is doubtful


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "channel desk, URL 1: not an apprise URL"),
        ("nosuchservice://x", "channel desk, URL 1: not an apprise URL"),
    ],
)
def test_what_is_no_address_is_named_by_its_place(monkeypatch: pytest.MonkeyPatch, url: str, says: str) -> None:
    monkeypatch.setenv("DESK", url)
    with pytest.raises(DeliveryError, match=says) as caught:
        send(Site({"desk": ("env:DESK",)}, None, None, None, None), "desk", MESSAGE, again=False)
    assert not caught.value.doubtful


def test_the_way_out_leaves_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, "")
    take_way_out(Site({}, None, "http://proxy.firm.example:3128", "/etc/ca.pem", None))
    assert os.environ["HTTPS_PROXY"] == "http://proxy.firm.example:3128"
    assert "127.0.0.1" in os.environ["NO_PROXY"]
    assert os.environ["REQUESTS_CA_BUNDLE"] == "/etc/ca.pem"
