# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's Slack, driven by slack_sdk and by apprise as they are."""

from __future__ import annotations

import uuid

import pytest
import requests
from slack_sdk.errors import SlackApiError
from slack_sdk.models.metadata import Metadata

from ..sinks_host import Sinks, send


def refused(error: pytest.ExceptionInfo[SlackApiError]) -> str:
    return str(error.value.response["error"])


@pytest.fixture
def room(sinks: Sinks) -> str:
    """The id of a new channel."""
    channel: str = sinks.slack().conversations_create(name=f"inc-{uuid.uuid4().hex}")["channel"]["id"]
    sinks.lab.forget()
    return channel


def test_a_token_is_checked(sinks: Sinks) -> None:
    assert sinks.slack().auth_test()["user"] == "incidents"
    with pytest.raises(SlackApiError) as error:
        sinks.slack("xoxb-somebody-elses").auth_test()
    assert (refused(error), error.value.response.status_code) == ("invalid_auth", 200)
    with pytest.raises(SlackApiError) as error:
        sinks.slack("").auth_test()
    assert refused(error) == "not_authed"
    assert [(a.op, a.ok, a.status) for a in sinks.lab.arrivals()] == [
        ("auth.test", True, 200),
        ("auth.test", False, 200),
        ("auth.test", False, 200),
    ]


def test_a_method_that_there_is_not(sinks: Sinks) -> None:
    with pytest.raises(SlackApiError) as error:
        sinks.slack().api_call("conversations.abolish")
    assert refused(error) == "unknown_method"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("", "invalid_name_required"),
        ("Inc-1", "invalid_name_specials"),
        ("inc 1", "invalid_name_specials"),
        ("inc.1", "invalid_name_specials"),
        ("--", "invalid_name_punctuation"),
        ("x" * 81, "invalid_name_maxlength"),
        ("trading-desk", "name_taken"),
    ],
)
def test_names_that_a_channel_cannot_have(sinks: Sinks, name: str, error: str) -> None:
    with pytest.raises(SlackApiError) as raised:
        sinks.slack().conversations_create(name=name)
    assert refused(raised) == error


def test_the_life_of_a_war_room(sinks: Sinks) -> None:
    slack, name = sinks.slack(), f"inc-20261126t223300z-exchange_outage-{uuid.uuid4().hex[:6]}"
    channel = slack.conversations_create(name=name, is_private=True)["channel"]
    assert (channel["name"], channel["is_private"], channel["is_member"]) == (name, True, True)
    slack.conversations_setTopic(channel=channel["id"], topic="SEV1 · contained")
    slack.conversations_setPurpose(channel=channel["id"], purpose="binance is down")
    alice = slack.users_lookupByEmail(email="alice@lab.example")["user"]["id"]
    slack.conversations_invite(channel=channel["id"], users=[alice, "U_BOB"])
    slack.chat_postMessage(channel=channel["id"], text="All orders are canceled")
    slack.conversations_archive(channel=channel["id"])

    room = sinks.lab.room(name)
    assert (room["topic"], room["purpose"], room["is_archived"]) == ("SEV1 · contained", "binance is down", True)
    assert set(room["members"]) >= {"U_ALICE", "U_BOB"}
    assert [message["text"] for message in room["messages"]] == ["All orders are canceled"]
    with pytest.raises(SlackApiError) as error:
        slack.chat_postMessage(channel=channel["id"], text="too late")
    assert refused(error) == "is_archived"
    with pytest.raises(SlackApiError) as error:
        slack.conversations_archive(channel=channel["id"])
    assert refused(error) == "already_archived"


def test_whom_one_cannot_invite(sinks: Sinks, room: str) -> None:
    slack = sinks.slack()
    slack.conversations_invite(channel=room, users="U_ALICE")
    for users, expected in (
        ("U_ALICE", "already_in_channel"),
        ("U_NOBODY", "user_not_found"),
        ("U0INCIDENTS", "cant_invite_self"),
        ("U_BOB,U_NOBODY", "user_not_found"),
    ):
        with pytest.raises(SlackApiError) as error:
            slack.conversations_invite(channel=room, users=users)
        assert refused(error) == expected
    with pytest.raises(SlackApiError) as error:
        slack.users_lookupByEmail(email="mallory@lab.example")
    assert refused(error) == "users_not_found"


def test_channels_are_listed_page_by_page(sinks: Sinks) -> None:
    slack = sinks.slack()
    made = {slack.conversations_create(name=f"page-{uuid.uuid4().hex}")["channel"]["name"] for _ in range(3)}
    secret = slack.conversations_create(name=f"page-{uuid.uuid4().hex}", is_private=True)["channel"]["name"]
    pages = [[channel["name"] for channel in page["channels"]] for page in slack.conversations_list(limit=2)]
    names = [name for page in pages for name in page]
    assert max(len(page) for page in pages) == 2
    assert len(names) == len(set(names))
    assert made < set(names)
    assert secret not in names
    both = slack.conversations_list(types="public_channel,private_channel", limit=1000)["channels"]
    assert secret in {channel["name"] for channel in both}


def test_a_message_is_found_again_by_its_metadata(sinks: Sinks, room: str) -> None:
    slack = sinks.slack()
    for number in range(5):
        metadata = Metadata(event_type="journal", event_payload={"through": number})
        slack.chat_postMessage(channel=room, text=f"line {number}", metadata=metadata)

    pages = [
        [message["metadata"]["event_payload"]["through"] for message in page["messages"]]
        for page in slack.conversations_history(channel=room, limit=2, include_all_metadata=True)
    ]
    assert pages == [[4, 3], [2, 1], [0]], "the newest first"
    messages = slack.conversations_history(channel=room)["messages"]
    assert not any("metadata" in message for message in messages), "only for those who ask for it"
    newest = slack.conversations_history(channel=room, oldest=messages[1]["ts"])["messages"]
    assert [message["text"] for message in newest] == ["line 4"]


def test_metadata_has_a_form(sinks: Sinks, room: str) -> None:
    with pytest.raises(SlackApiError) as error:
        sinks.slack().chat_postMessage(channel=room, text="x", metadata={"through": 3})
    assert refused(error) == "invalid_metadata_format"


@pytest.mark.parametrize(
    ("channel", "error"), [("C0NOWHERE", "channel_not_found"), ("#trading-desk", "not_in_channel")]
)
def test_where_the_bot_cannot_write(sinks: Sinks, channel: str, error: str) -> None:
    with pytest.raises(SlackApiError) as raised:
        sinks.slack().chat_postMessage(channel=channel, text="hello")
    assert refused(raised) == error
    (arrival,) = sinks.lab.arrivals()
    assert (arrival.target, arrival.text, arrival.accepted, arrival.ok) == (channel, "hello", False, False)


def test_text_is_cut_at_forty_thousand_characters(sinks: Sinks, room: str) -> None:
    sinks.slack().chat_postMessage(channel=room, text="é" * 1_000_000)
    (arrival,) = sinks.lab.arrivals()
    assert len(arrival.text or "") == 1_000_000, "what arrived is recorded whole"
    (message,) = sinks.slack().conversations_history(channel=room)["messages"]
    assert message["text"] == "é" * 40_000


def test_a_message_without_content(sinks: Sinks, room: str) -> None:
    with pytest.raises(SlackApiError) as error:
        sinks.slack().chat_postMessage(channel=room, attachments=[])
    assert refused(error) == "no_text"


def test_apprise_as_a_bot(sinks: Sinks) -> None:
    assert send(f"slack://{sinks.keys.slack_token}/incident-response", "binance: <b>clear</b> & {{ done }}", "SEV1")
    (arrival,) = sinks.lab.arrivals("slack")
    assert (arrival.op, arrival.target, arrival.ok) == ("chat.postMessage", "#incident-response", True)
    assert arrival.text == "SEV1\nbinance: &lt;b&gt;clear&lt;/b&gt; &amp; {{ done }}"
    assert sinks.lab.room("incident-response")["messages"][-1]["ts"] == arrival.key
    assert not send(f"slack://{sinks.keys.slack_token}/nowhere", "hello")
    assert not send("slack://xoxb-1-2-abc/incident-response", "hello")


def test_apprise_through_a_webhook(sinks: Sinks) -> None:
    assert send(f"slack://{sinks.keys.slack_webhook}", "Trading is stopped", "SEV2")
    (arrival,) = sinks.lab.arrivals("slack")
    assert (arrival.op, arrival.target, arrival.text) == ("webhook", "#trading-desk", "SEV2\nTrading is stopped")
    assert len(sinks.lab.room("trading-desk")["messages"]) == 1
    assert not send("slack://T0/B0/somebodyelses", "hello")
    assert sinks.lab.arrivals()[-1].status == 403


def test_what_a_webhook_says_to_a_bad_payload(sinks: Sinks) -> None:
    def post(body: str) -> requests.Response:
        url = f"https://hooks.slack.com/services/{sinks.keys.slack_webhook}"
        return sinks.ask("POST", url, data=body, headers={"Content-Type": "application/json"})

    assert [(r.status_code, r.text) for r in map(post, ('{"text": "hi"}', "{", "{}"))] == [
        (200, "ok"),
        (400, "invalid_payload"),
        (400, "no_text"),
    ]
