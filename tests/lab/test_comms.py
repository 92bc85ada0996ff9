# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""`hft-incident comms` against real services that fail in every way, processes that die in the middle, hostile texts,
and no service at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.lab.comms_stage import PATIENCE_S, CommsStage, comms_stage, of_kind, until_recorded
from tests.lab.people import Firm
from tests.lab.waiting import wait_until

from ansible_collections.hft.incident.plugins.module_utils.follower import follower_of
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, find, open_incident, state_of
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from ansible_collections.hft.incident.plugins.module_utils.run_lock import acquire
from hft_incident.comms import claims
from hft_incident.comms.policy_check import findings
from hft_incident.comms.policy_reading import load
from hft_incident.comms.server import Server, is_over_and_told
from hft_incident.lab.sink_handle import Arrival
from hft_incident.status import code_name_of


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommsStage]:
    with comms_stage(tmp_path_factory.mktemp("comms")) as made:
        yield made


@pytest.fixture(autouse=True)
def _well(stage: CommsStage) -> Iterator[None]:
    """Every test finds services that work and nothing that arrived, and its own policy gone afterwards."""
    policy = stage.policy()
    stage.sinks.clear_faults()
    stage.sinks.forget()
    yield
    stage.sinks.clear_faults()
    stage.write_policy(policy)


def served(stage: CommsStage, incident: Incident) -> tuple[int, dict[str, Any]]:
    """One pass, to its end."""
    process = stage.serve(incident, "--json")
    out, err = process.communicate(timeout=PATIENCE_S)
    assert out, err
    document: dict[str, Any] = json.loads(out)
    return process.returncode, document


def about(stage: CommsStage, incident: Incident, service: str) -> list[Arrival]:
    return [one for one in stage.sinks.arrivals(service) if incident.id in f"{one.key} {one.text} {one.body}"]


def alerts(stage: CommsStage, incident: Incident) -> list[dict[str, Any]]:
    """The pager's own, merged by their key."""
    return [one for one in stage.sinks.alerts() if one["dedup_key"] == incident.id]


def paged(incident: Incident) -> list[str]:
    return [data["channel"] for data in of_kind(incident, "notice.sent") if data["channel"].startswith("pag")]


def sender_of(process: subprocess.Popen[str]) -> list[int]:
    """The children in which a server does its jobs."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in listed.split()]


# Once -----------------------------------------------------------------------------------------------------------------


def test_what_is_due_is_told_once_and_a_second_pass_finds_nothing(stage: CommsStage) -> None:
    incident = stage.opened(scale=1)
    assert served(stage, incident)[0] == 0
    count, lines = len(stage.sinks.arrivals()), len(incident.journal.events())
    code, document = served(stage, incident)
    assert (code, document["incidents"][0]["jobs"]) == (0, 0)
    assert len(stage.sinks.arrivals()) == count
    assert len(incident.journal.events()) == lines


def test_all_open_incidents_are_served_where_none_is_named(stage: CommsStage) -> None:
    one, other = stage.opened(scale=1), stage.opened(severity=2, scale=1)
    done = subprocess.run(
        [*stage.words(), "comms"], env=stage.environment(), capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stderr
    for incident in (one, other):
        assert of_kind(incident, "notice.sent")


def test_an_incident_that_is_over_and_told_is_not_read_again_until_something_happens(stage: CommsStage) -> None:
    incident = stage.opened(scale=1)
    served(stage, incident)
    assert not is_over_and_told(incident)
    incident.journal.append("incident.closed", {"resolution": "resolved", "summary": "over"})
    served(stage, incident)
    served(stage, incident)
    assert is_over_and_told(incident)
    incident.journal.append("incident.reopened", {"reason": "it is back"})
    assert not is_over_and_told(incident)


def test_a_rehearsal_is_told_to_nobody(stage: CommsStage) -> None:
    incident = open_incident(
        "exchange_outage", inputs={}, check=True, home=stage.home, inventory=[str(stage.inventory)]
    )
    assert served(stage, incident)[0] == 0
    assert stage.sinks.arrivals() == []
    assert [event.kind for event in incident.journal.events()] == ["incident.opened"]
    incident.journal.append("incident.closed", {"resolution": "rehearsed", "summary": ""})
    assert served(stage, incident)[0] == 0


def test_a_drill_says_so_first(stage: CommsStage) -> None:
    incident = stage.opened(scale=1)
    served(stage, incident)
    assert {data["subject"][:8] for data in of_kind(incident, "notice.sent")} == {"[DRILL] "}


# What fails -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options"),
    [("down", {}), ("status", {"status": 500}), ("status", {"status": 429, "retry_after": 30}), ("half_reply", {})],
)
def test_a_service_that_fails_is_tried_again_and_holds_up_no_other(
    stage: CommsStage, kind: str, options: dict[str, Any]
) -> None:
    incident = stage.opened(scale=60)
    stage.sinks.inject(kind, "pagerduty", **options)
    code, document = served(stage, incident)
    assert code == 3
    left = {row["channel"] for row in document["incidents"][0]["open"]}
    assert left == {"paging", "page_backup", "page_management"}
    assert {data["channel"] for data in of_kind(incident, "notice.sent")} >= {"desk", "chat", "mail_team"}
    stage.sinks.clear_faults()
    wait_until(lambda: served(stage, incident)[0] == 0, PATIENCE_S)
    assert len(alerts(stage, incident)) == 3


def test_failures_are_further_and_further_apart(stage: CommsStage) -> None:
    incident = stage.opened(scale=60)
    stage.sinks.inject("down", "smtp")
    with stage.followed(incident):
        wait_until(lambda: len(of_kind(incident, "notice.failed")) >= 8, PATIENCE_S)
    attempts = [data["attempt"] for data in of_kind(incident, "notice.failed") if data["channel"] == "mail_team"]
    assert attempts == list(range(1, len(attempts) + 1))


@pytest.mark.parametrize(("service", "op"), [("statuspage", "incident.create"), ("pagerduty", "*")])
def test_what_was_taken_although_it_was_refused_is_not_there_twice(stage: CommsStage, service: str, op: str) -> None:
    """These know what they have: the page by its metadata, the pager by its key."""
    incident = stage.opened(scale=60)
    stage.sinks.inject("accepts_then_fails", service, op=op)
    channel = {"statuspage": "status_page", "pagerduty": "paging"}[service]

    def refused() -> bool:
        return any(data["channel"] == channel for data in of_kind(incident, "notice.failed"))

    wait_until(lambda: served(stage, incident) and refused(), PATIENCE_S)
    stage.sinks.clear_faults()

    def posted() -> bool:
        return any(data["channel"] == "status_page" for data in of_kind(incident, "notice.sent"))

    wait_until(lambda: served(stage, incident)[0] == 0 and posted(), PATIENCE_S)
    assert len(alerts(stage, incident)) == 3
    (shown,) = [one for one in stage.sinks.status_page()["incidents"]
                if one["metadata"]["hft_incident"]["incident"] == incident.id]  # fmt: skip
    bodies = [update["body"] for update in shown["incident_updates"]]
    assert len(bodies) == len(set(bodies)) == len([1 for data in of_kind(incident, "notice.sent")
                                                   if data["channel"] == "status_page"])  # fmt: skip


def test_what_may_have_arrived_is_sent_again_and_says_so(stage: CommsStage) -> None:
    incident = stage.opened(scale=60)
    stage.sinks.inject("accepts_then_fails", "slack", op="webhook", remaining=1)
    served(stage, incident)
    wait_until(lambda: served(stage, incident)[0] == 0, PATIENCE_S)
    first, second = [one for one in about(stage, incident, "slack") if one.op == "webhook"][:2]
    assert "Sent again" not in str(first.body)
    assert "Sent again" in str(second.body)


# Processes that die ---------------------------------------------------------------------------------------------------


def test_a_killed_server_leaves_its_senders_to_finish(stage: CommsStage) -> None:
    incident = stage.opened(scale=1)
    stage.sinks.inject("slow", "pagerduty", seconds=2)
    process = stage.serve(incident)
    wait_until(lambda: len(stage.sinks.arrivals("pagerduty")) == 3, PATIENCE_S)
    process.kill()
    process.communicate()
    wait_until(
        lambda: sum(data["channel"].startswith("pag") for data in of_kind(incident, "notice.sent")) == 3, PATIENCE_S
    )
    stage.sinks.clear_faults()
    assert served(stage, incident)[0] == 0
    assert len(about(stage, incident, "pagerduty")) == 3
    assert of_kind(incident, "notice.failed") == []


def test_a_sender_that_is_killed_is_on_record_as_a_doubt_and_its_notice_is_sent_again(stage: CommsStage) -> None:
    incident = stage.opened(scale=60)
    stage.sinks.inject("hang", "slack", op="webhook")
    process = stage.serve(incident)
    wait_until(lambda: [one for one in stage.sinks.arrivals("slack") if one.op == "webhook"], PATIENCE_S)
    for pid in sender_of(process):
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, signal.SIGKILL)
    process.kill()
    process.communicate()
    stage.sinks.clear_faults()
    served(stage, incident)
    doubts = [data for data in of_kind(incident, "notice.failed") if data["doubtful"]]
    assert doubts
    assert "ended before it was known" in doubts[0]["error"]
    wait_until(lambda: served(stage, incident)[0] == 0, PATIENCE_S)
    assert [data["channel"] for data in of_kind(incident, "notice.sent")].count("desk") == 1


def test_racing_servers_tell_everything_once(stage: CommsStage) -> None:
    incident = stage.opened(scale=1)
    processes = [stage.serve(incident) for _ in range(4)]
    for process in processes:
        process.communicate(timeout=PATIENCE_S)
    assert served(stage, incident)[0] == 0
    sent = [(data["notice"], data["channel"]) for data in of_kind(incident, "notice.sent")]
    assert len(sent) == len(set(sent)) == 7
    assert len(of_kind(incident, "communications.planned")) == 1
    assert len(of_kind(incident, "war_room.opened")) == 1
    assert len(about(stage, incident, "pagerduty")) == 3


def test_a_job_in_hand_is_left_alone_and_a_claim_ends_with_its_holder(tmp_path: Path) -> None:
    claim = claims.take(tmp_path, "desk.first@desk")
    assert claim is not None
    assert claims.take(tmp_path, "desk.first@desk") is None
    assert claims.take(tmp_path, "desk.first/desk") is not None  # another job, however it is spelled
    claim.begin()
    claim.release()
    again = claims.take(tmp_path, "desk.first@desk")
    assert again is not None
    assert again.was_begun
    again.end()
    again.release()


# Hostile texts --------------------------------------------------------------------------------------------------------

HOSTILE = (
    "<!channel> {{ 7919*7919 }} <script>alert(1)</script>\r\nBcc: all@firm.example\n"
    "@everyone [x](https://evil.example) \x1b[31m"
)


@pytest.mark.parametrize("text", [HOSTILE, "A" * 1_000_000], ids=["markup", "1MB"])
def test_hostile_text_is_delivered_harmlessly_everywhere(stage: CommsStage, text: str) -> None:
    incident = stage.opened(scale=1, real=False)
    incident.journal.append("alarm.judged", {"real": True, "because": text})
    incident.journal.append("severity.set", {"severity": 1, "before": 1, "by": "person", "rule": None, "reason": text})
    incident.journal.append("kill.verified", {"verdict": "open", "venues": [{"name": text, "verdict": "open"}]})
    assert served(stage, incident)[0] == 0
    arrivals = stage.arrived()
    assert len(arrivals) > 8
    for arrival in arrivals:
        shown = json.dumps([arrival.text, arrival.body])
        assert len(shown) < 20_000
        for poison in ("<!channel>", "62710561", "<script>", "@everyone", "https://evil", "\\u001b"):
            assert poison not in shown.replace(incident.id, ""), arrival.service
        if arrival.service == "smtp":
            assert arrival.target in ("team@lab.example", "management@lab.example")
    assert verify(incident.journal.path).state == "intact"


def test_a_page_that_is_too_long_for_its_service_is_cut_and_pages_all_the_same(stage: CommsStage) -> None:
    policy = stage.policy()
    policy["wording"] = {"page": {"text": "{{ standing }} {{ venues }} {{ severity_reason }} {{ exposure }}"}}
    stage.write_policy(policy)
    incident = stage.opened(scale=1, real=False)
    incident.journal.append(
        "severity.set", {"severity": 1, "before": 1, "by": "person", "rule": None, "reason": "x" * 400}
    )
    many = [{"name": f"venue-{number}", "verdict": "open", "open_after": 1} for number in range(80)]
    incident.journal.append("kill.verified", {"verdict": "open", "venues": many})
    assets = [{"asset": f"COIN{number}", "net": "123456.789", "stable": False} for number in range(80)]
    incident.journal.append("exposure.measured", {"assets": assets, "unknown": {}, "partial": False, "not_netted": []})
    incident.journal.append("alarm.judged", {"real": True, "because": "it is out"})
    assert served(stage, incident)[0] == 0
    pages = [one for one in about(stage, incident, "pagerduty") if one.target == "paging"]
    assert [one.ok for one in pages] == [True]
    assert len(str(pages[0].text)) == 1024
    assert str(pages[0].text).endswith("…")


# The war room ---------------------------------------------------------------------------------------------------------


def test_a_war_room_is_made_once_with_a_call_and_people(stage: CommsStage) -> None:
    incident = stage.opened(scale=1)
    served(stage, incident)
    room = stage.sinks.room(incident.id.lower())
    (opened,) = of_kind(incident, "war_room.opened")
    assert opened["id"] == room["id"]
    assert {"U_ALICE", "U_BOB"} <= set(room["members"])
    assert "https://zoom.us/j/" in room["topic"]
    assert "pwd=" not in json.dumps(opened)
    assert not room["is_private"]


def test_a_room_that_is_there_already_is_taken(stage: CommsStage) -> None:
    incident = stage.opened(scale=1)
    stage.slack().conversations_create(name=incident.id.lower())
    served(stage, incident)
    (opened,) = of_kind(incident, "war_room.opened")
    assert opened["created"] is False
    assert len([room for room in stage.sinks.rooms() if room["name"] == incident.id.lower()]) == 1


def test_the_room_gets_what_matters_and_not_every_step(stage: CommsStage) -> None:
    incident = stage.opened(scale=1)
    served(stage, incident)
    incident.journal.append("task.finished", {"task": "Diagnose", "status": "ok", "host": "localhost", "elapsed_ms": 1})
    incident.journal.append("kill.ordered", {"venues": ["binance"], "reason": "it is out"})
    served(stage, incident)
    said = "\n".join(message["text"] for message in stage.sinks.room(incident.id.lower())["messages"])
    assert "kill ordered: binance: it is out" in said
    assert "Diagnose" not in said
    assert said.count("kill ordered") == 1


def test_lines_that_may_be_in_the_room_are_looked_for_there(stage: CommsStage) -> None:
    incident = stage.opened(scale=600)
    served(stage, incident)
    ordered = incident.journal.append("kill.ordered", {"venues": ["binance"], "reason": "it is out"})
    stage.sinks.inject("accepts_then_fails", "slack", op="chat.postMessage", remaining=1)
    served(stage, incident)
    assert of_kind(incident, "war_room.failed")
    incident.journal.append("incident.acknowledged", {"by": "alice"})  # the next message would have both

    def posted() -> bool:
        return any(data["through"] >= ordered.seq for data in of_kind(incident, "war_room.posted"))

    wait_until(lambda: served(stage, incident) and posted(), PATIENCE_S)
    said = "\n".join(message["text"] for message in stage.sinks.room(incident.id.lower())["messages"])
    assert said.count("kill ordered") == 1


def test_without_zoom_there_is_the_telephone(stage: CommsStage) -> None:
    policy = stage.policy()
    policy["war_room"]["meeting"]["bridge"] = "+1-555-0100, code 4711"
    stage.write_policy(policy)
    stage.sinks.inject("status", "zoom", status=500)
    incident = stage.opened(scale=1)
    served(stage, incident)
    (opened,) = of_kind(incident, "war_room.opened")
    assert opened["meeting"] == {"kind": "bridge", "join": "+1-555-0100, code 4711"}
    assert "Zoom gave no meeting" in opened["complaint"]
    assert "+1-555-0100" in stage.sinks.room(incident.id.lower())["topic"]


def test_with_nothing_but_a_telephone_there_is_a_room_all_the_same(stage: CommsStage) -> None:
    stage.write_policy({"war_room": {"meeting": {"bridge": "+1-555-0100"}}})
    incident = stage.opened(scale=1)
    assert served(stage, incident)[0] == 0
    (opened,) = of_kind(incident, "war_room.opened")
    assert (opened["id"], opened["meeting"]) == (None, {"kind": "bridge", "join": "+1-555-0100"})
    assert stage.sinks.arrivals() == []


def test_a_small_incident_gets_a_room_only_when_it_lasts(stage: CommsStage) -> None:
    incident = stage.opened(severity=2, scale=1)
    served(stage, incident)
    assert of_kind(incident, "war_room.opened") == []
    lasting = stage.opened(severity=2, scale=3600)
    wait_until(lambda: served(stage, lasting) and of_kind(lasting, "war_room.opened"), PATIENCE_S)


# A breach -------------------------------------------------------------------------------------------------------------


def test_of_a_breach_nothing_is_public_before_legal_has_signed(stage: CommsStage, tmp_path: Path) -> None:
    firm = Firm(tmp_path)
    firm.write(*firm.usual(), firm.line("dave@firm.example,group:legal", "dave"))
    stage.write_policy({**stage.policy(), "allowed_signers": str(firm.signers)})
    incident = stage.opened("security_breach", scale=600)
    wait_until(lambda: served(stage, incident) and of_kind(incident, "notice.withheld"), PATIENCE_S)
    name = str(code_name_of(incident.journal.events()))
    shown = [one for one in stage.sinks.status_page()["incidents"]
             if one["metadata"]["hft_incident"]["incident"] in (incident.id, name)]  # fmt: skip
    assert shown == []
    assert stage.sinks.room(name)["is_private"]
    chat = [one for one in stage.arrived("slack") if one.target == "#incident-response"]
    assert chat == []
    for who, code in (("alice", 2), ("dave", 0)):
        done = stage.approve(incident, "public_disclosure", firm.key(who))
        assert done.returncode == code, done.stderr
    wait_until(lambda: served(stage, incident)[0] == 0, PATIENCE_S)
    (allowed,) = of_kind(incident, "disclosure.allowed")
    assert allowed["people"] == ["dave@firm.example"]
    assert [data for data in of_kind(incident, "notice.sent") if data["audience"] == "status_page"]
    assert "public_disclosure" in state_of(incident.journal.events()).gates


def test_outside_of_its_private_room_a_breach_has_a_code_name_and_nothing_else(stage: CommsStage) -> None:
    incident = stage.opened("security_breach", scale=600)
    level = {"level": "confirmed", "because": ["host: hft-secret-host is theirs"], "confirmed_by": [], "signals": []}
    incident.journal.append("breach.level_judged", level)
    wait_until(lambda: served(stage, incident) and of_kind(incident, "war_room.opened"), PATIENCE_S)
    wait_until(lambda: served(stage, incident) and of_kind(incident, "notice.sent"), PATIENCE_S)
    name = str(code_name_of(incident.journal.events()))
    (room,) = of_kind(incident, "war_room.opened")
    assert (room["name"], room["private"]) == (name, True)
    assert find(name, incident.directory.parent) == incident
    channel = stage.sinks.room(name)
    assert channel["is_private"]
    arrived = [one for one in stage.arrived() if one.target not in (f"#{name}", room["id"])]
    assert arrived
    for word in ("breach", "hft-secret-host", incident.id, incident.id.split("-")[1]):
        told = [one for one in [*arrived, channel.get("topic")] if word.lower() in str(one).lower()]
        assert told == [], word
    assert any(name in str(one) for one in arrived)


def test_a_line_in_the_record_opens_nothing_by_itself(stage: CommsStage, tmp_path: Path) -> None:
    firm = Firm(tmp_path)
    stage.write_policy({**stage.policy(), "allowed_signers": str(firm.signers)})
    incident = stage.opened("security_breach", scale=600)
    wait_until(lambda: served(stage, incident) and of_kind(incident, "notice.withheld"), PATIENCE_S)
    incident.journal.append("disclosure.allowed", {"gate": "public_disclosure", "people": ["dave"], "approvals": [3]})
    assert served(stage, incident)[0] == 3
    assert [data for data in of_kind(incident, "notice.sent") if data["audience"] == "status_page"] == []


# No service, and a policy that is none --------------------------------------------------------------------------------


def test_without_any_service_the_record_says_who_was_not_told(stage: CommsStage) -> None:
    stage.write_policy({"late_after_s": 60})
    incident = stage.opened(scale=1)
    assert served(stage, incident)[0] == 0
    missing = of_kind(incident, "notice.not_sent")
    assert {data["channel"] for data in missing} == {
        "paging", "page_backup", "page_management", "desk", "chat", "mail_team", "mail_management"
    }  # fmt: skip
    assert all("leads nowhere" in data["reason"] for data in missing)
    assert stage.sinks.arrivals() == []


def test_a_policy_that_cannot_be_read_silences_the_channels_and_not_the_record(stage: CommsStage) -> None:
    stage.write_policy({"rules": {"desk_at_once": {"first_s": "soon"}}})
    incident = stage.opened(scale=1)
    assert served(stage, incident)[0] == 0
    (fault,) = of_kind(incident, "communications.fault")
    assert "desk_at_once" in fault["error"]
    assert of_kind(incident, "notice.not_sent")


def test_a_secret_that_is_not_there_is_named_and_the_others_are_told(stage: CommsStage) -> None:
    policy = stage.policy()
    policy["channels"]["desk"] = ["env:NO_SUCH_URL"]
    stage.write_policy(policy)
    incident = stage.opened(scale=1)
    code, document = served(stage, incident)
    assert code == 3
    (row,) = document["incidents"][0]["open"]
    assert row["reason"] == "channel desk, URL 1: environment variable NO_SUCH_URL is not set"


# Secrets --------------------------------------------------------------------------------------------------------------


def test_no_secret_is_anywhere_but_where_it_was_kept(stage: CommsStage) -> None:
    secrets = [path.read_text().strip() for path in (stage.home / "lab" / "keys").iterdir() if path.suffix != ".pem"]
    parts = {part for secret in secrets for part in [secret, *secret.replace("@", "/").replace(":", "/").split("/")]}
    parts = {part for part in parts if len(part) >= 16}
    incident = stage.opened(scale=60)
    stage.sinks.inject("status", "*", status=500)
    served(stage, incident)
    stage.sinks.inject("down", "*")
    wait_until(lambda: served(stage, incident) and len(of_kind(incident, "notice.failed")) > 12, PATIENCE_S)
    for path in incident.directory.rglob("*"):
        if path.is_file():
            text = path.read_text(errors="replace")
            assert [part for part in parts if part in text] == [], path


# Who follows ----------------------------------------------------------------------------------------------------------


def test_a_follower_stays_while_somebody_may_have_to_be_told_and_ends_when_all_are(stage: CommsStage) -> None:
    incident = stage.opened(scale=60)
    with stage.followed(incident) as (process,):
        wait_until(lambda: follower_of(incident.directory) == process.pid, PATIENCE_S)
        until_recorded(incident, "notice.sent", 7)
        assert process.poll() is None
        incident.journal.append("incident.closed", {"resolution": "resolved", "summary": "over"})
        assert process.wait(PATIENCE_S) == 0
    assert follower_of(incident.directory) is None
    assert {data["audience"] for data in of_kind(incident, "notice.sent") if data["kind"] == "resolved"} >= {
        "on_call", "trading_desk", "incident_team", "management"
    }  # fmt: skip


def test_what_is_past_or_in_hand_keeps_nobody_busy(stage: CommsStage) -> None:
    """A retry that is long over, a notice that another server is sending: looked at again in a moment, not at once."""
    incident = stage.opened(scale=1)
    served(stage, incident)
    incident.journal.append("war_room.failed", {"error": "no answer", "retry_at": "2026-01-01T00:00:00.000000Z"})
    incident.journal.append("kill.verified", {"venues": [{"name": "binance", "verdict": "clear"}]})
    claim = claims.take(incident.directory, "trading_desk.contained@desk")
    assert claim is not None
    server = Server(incident)
    began = datetime.now(UTC)
    server.serve()
    claim.release()
    assert server.looks_again_at
    assert server.looks_again_at > began


def test_with_nowhere_to_tell_it_a_follower_stays_only_as_long_as_somebody_works(stage: CommsStage) -> None:
    stage.write_policy({"late_after_s": 60})
    incident = stage.opened(scale=1)
    lock = acquire(incident.directory, "run-1", lambda pids: None)
    with stage.followed(incident) as (process,):
        until_recorded(incident, "notice.not_sent", 7)
        assert process.poll() is None
        lock.release()
        assert process.wait(PATIENCE_S) == 0


def test_a_folder_that_is_taken_away_ends_it_and_is_not_made_again(stage: CommsStage, tmp_path: Path) -> None:
    incident = stage.opened(scale=60)
    with stage.followed(incident) as (process,):
        until_recorded(incident, "notice.sent", 7)
        incident.directory.rename(tmp_path / "away")
        assert process.wait(PATIENCE_S) == 0
    assert not incident.directory.exists()


# The command ----------------------------------------------------------------------------------------------------------


def test_the_table_and_the_check_of_a_site(stage: CommsStage) -> None:
    for words, code in ((("--table",), 0), (("--check",), 0)):
        done = subprocess.run(
            [*stage.words(), "comms", *words, "-i", str(stage.inventory), "--json"],
            env=stage.environment(), capture_output=True, text=True, timeout=PATIENCE_S,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert json.loads(done.stdout)["sources"][1].endswith("communications.yml")


def test_the_labs_policy_names_every_channel_of_the_table(stage: CommsStage) -> None:
    assert findings(load([str(stage.inventory)])) == []
