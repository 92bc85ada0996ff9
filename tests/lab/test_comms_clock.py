# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Thirty-five minutes of a SEV1 and a SEV2 at a scaled clock: two servers race for each, one of them is killed, and
mail is down for ten minutes. Every notice of the policy arrives exactly once, in its window."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

import pytest
from tests.lab.comms_stage import comms_stage, of_kind

from ansible_collections.hft.incident.plugins.module_utils.incident import Incident
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from hft_incident.lab.sink_handle import Arrival
from hft_incident.notices import Notice, deliveries, schedule
from hft_incident.report import compose

SCALE = 40.0
#: A minute more than the thirty-five, so that what is due at the very end is not overtaken by the end.
MINUTES = 36
PATIENCE_S = 120.0
#: The shortest interval of the policy, as it passes here.
WINDOW_S = 15 * 60 / SCALE

#: Where a channel's messages arrive: service and target.
TARGETS: Mapping[str, tuple[str, str]] = {
    "paging": ("pagerduty", "paging"),
    "page_backup": ("pagerduty", "page_backup"),
    "page_management": ("pagerduty", "page_management"),
    "chat": ("slack", "#incident-response"),
    "desk": ("slack", "#trading-desk"),
    "mail_team": ("smtp", "team@lab.example"),
    "mail_management": ("smtp", "management@lab.example"),
    "mail_stakeholders": ("smtp", "stakeholders@lab.example"),
    "tickets": ("webhook", "/tickets"),
}


class Told(NamedTuple):
    """One incident that was told about, with what was due."""

    incident: Incident
    due: list[Notice]
    arrivals: list[Arrival]


class Clock:
    """Minutes of the incident since it was opened, as they pass here."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def at(self, minute: float, act: Callable[[], object]) -> threading.Timer:
        """``act`` at that minute, on a thread of its own."""
        timer = threading.Timer(max(0.0, minute * 60 / SCALE - (time.monotonic() - self._start)), act)
        timer.start()
        return timer


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Mapping[int, Told]:
    """Both incidents, over, with all that arrived."""
    with comms_stage(tmp_path_factory.mktemp("comms")) as stage, ExitStack() as stack:
        incidents = {severity: stage.opened(severity=severity, scale=SCALE) for severity in (1, 2)}
        clock = Clock()
        servers = {severity: stack.enter_context(stage.followed(incident, servers=2))
                   for severity, incident in incidents.items()}  # fmt: skip
        timers = [
            clock.at(12, lambda: stage.sinks.inject("down", "smtp")),
            clock.at(22, stage.sinks.clear_faults),
            *(clock.at(4.5, partial(contain, one)) for one in incidents.values()),
            *(clock.at(13, pair[0].kill) for pair in servers.values()),
            *(clock.at(MINUTES, partial(close, one)) for one in incidents.values()),
        ]
        for timer in timers:
            timer.join()
        for _, survivor in servers.values():
            assert survivor.wait(PATIENCE_S) == 0, survivor.stderr and survivor.stderr.read()
        arrivals = stage.arrived()
    later = datetime.now(UTC) + timedelta(hours=1)
    return {severity: Told(incident, schedule(incident.journal.events(), later), arrivals)
            for severity, incident in incidents.items()}  # fmt: skip


def contain(incident: Incident) -> None:
    incident.journal.append("kill.verified", {"verdict": "clear", "venues": [{"name": "binance", "verdict": "clear"}]})


def close(incident: Incident) -> None:
    incident.journal.append("incident.closed", {"resolution": "resolved", "summary": "it is back"})


def arrived(told: Told, channel: str) -> list[Arrival]:
    """What arrived through a channel about this incident, oldest first. Pages are told apart by their key."""
    service, target = TARGETS[channel]
    mine = told.incident.id
    return [one for one in told.arrivals if (one.service, one.target) == (service, target)
            and mine in f"{one.key} {one.text} {one.body}"]  # fmt: skip


@pytest.mark.parametrize("severity", [1, 2])
def test_every_notice_of_the_policy_arrives_exactly_once(told: Mapping[int, Told], severity: int) -> None:
    """By the services' own count, against what the policy says was due."""
    found = told[severity]
    due = Counter(channel for notice in found.due for channel in notice.channels if channel in TARGETS)
    assert due
    assert {channel: len(arrived(found, channel)) for channel in due} == due


@pytest.mark.parametrize("severity", [1, 2])
def test_each_arrives_in_its_window(told: Mapping[int, Told], severity: int) -> None:
    """Not before it was due, and before the update after it would be: on a busy machine too, whatever was down."""
    found = told[severity]
    for channel in TARGETS:
        due = [notice.due_at.timestamp() for notice in found.due if channel in notice.channels]
        for at, arrival in zip(due, arrived(found, channel), strict=True):
            assert at <= arrival.at < at + WINDOW_S, channel


@pytest.mark.parametrize("severity", [1, 2])
def test_the_record_says_the_same(told: Mapping[int, Told], severity: int) -> None:
    found = told[severity]
    events = found.incident.journal.events()
    assert verify(found.incident.journal.path).state == "intact"
    states = deliveries(events)
    assert {states[notice.id, channel].state for notice in found.due for channel in notice.channels} == {"sent"}
    sent = Counter((data["notice"], data["channel"]) for data in of_kind(found.incident, "notice.sent"))
    assert set(sent.values()) == {1}


def test_what_was_due_while_mail_was_down_is_late_and_says_so(told: Mapping[int, Told]) -> None:
    """The update of SEV1 a quarter of an hour after it was contained; whatever else was due then was not held up."""
    sent = of_kind(told[1].incident, "notice.sent")
    late = {(data["notice"], data["channel"]) for data in sent if data["late"]}
    assert ("incident_team.update.1", "mail_team") in late
    failed = of_kind(told[1].incident, "notice.failed")
    assert {data["channel"] for data in failed} <= {"mail_team", "mail_management", "mail_stakeholders"}
    assert ("incident_team.update.1", "chat") in {(data["notice"], data["channel"]) for data in sent}


def test_the_report_names_what_came_late(told: Mapping[int, Told]) -> None:
    events = told[1].incident.journal.events()
    report = compose(told[1].incident.id, events, verify(told[1].incident.journal.path))
    rows = [row for section in report.sections for table in section.tables for row in table.rows]
    assert any("incident_team" in " ".join(row.cells) and "late" in " ".join(row.cells).lower() for row in rows)


def test_the_status_page_had_it_from_the_first_word_to_the_last(told: Mapping[int, Told]) -> None:
    for found in told.values():
        due = [notice for notice in found.due if notice.audience == "status_page"]
        sent = [data for data in of_kind(found.incident, "notice.sent") if data["audience"] == "status_page"]
        assert [data["notice"] for data in sent] == [notice.id for notice in due]
        assert len({data["external"] for data in sent}) == 1
    posts = [one for one in told[1].arrivals if one.service == "statuspage" and one.op.endswith(("create", "update"))]
    assert len(posts) == sum(notice.audience == "status_page" for found in told.values() for notice in found.due)


def test_nobody_acknowledged_so_the_next_ones_were_paged(told: Mapping[int, Told]) -> None:
    for found in told.values():
        pages = [notice.id for notice in found.due if notice.kind == "page"]
        assert pages == ["on_call.page.page_backup", "on_call.page.page_management"]


def test_nothing_is_left_in_hand(told: Mapping[int, Told]) -> None:
    for found in told.values():
        claims = [path for path in (found.incident.directory / "comms").iterdir() if "follower" not in path.name]
        assert claims
        assert [path.name for path in claims if path.stat().st_size] == []
