# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The system crash end to end: real venues, PostgreSQL, a trading system under a service manager, and the playbook
as it serves production.

What a response claims is held against the venues' own books, the units' log and the trading system's log. Every fault
by itself is drilled in test_crash_drills and test_crash_drills_mended.
"""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.drills.crash_stage import CrashStage
from tests.drills.stage import APPROVERS, GATE, PATIENCE_S, Ran, command_lines, stage
from tests.lab.apart import own
from tests.lab.people import rewrite
from tests.lab.waiting import wait_until

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from hft_incident.drill.books import count_at
from hft_incident.drill.scenario import seconds
from hft_incident.drill.score import time_won
from hft_incident.fire_first import BY

DOORS = ("wrapper", "playbook")
PEOPLE = ["alice@lab.example", "bob@lab.example"]
FIRST_TIME = {"hft_repeat_within_s": "0.001"}
QUICK = {"hft_contain_timeout_s": "2", "hft_read_timeout_s": "1"}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CrashStage]:
    """A lab of its own, for a test that leaves something stopped, dead or open."""
    with stage(CrashStage, tmp_path) as made:
        yield made


# Two crashes, answered through the two doors; then a third, held ------------------------------------------------------


class Crashes(NamedTuple):
    """One lab; its crash was answered through each door to the end, one after the other, and the third is held."""

    stage: CrashStage
    held: dict[str, Ran]  # until the gate
    shut: dict[str, bool]  # whether nothing could trade then
    runs: dict[str, Ran]  # to the end
    strategies: dict[str, set[str]]  # what ran when it was over
    third: Ran
    leaks: list[str]  # what could be read of a secret while the third was held


@pytest.fixture(scope="module")
def crashes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crashes]:
    with stage(CrashStage, tmp_path_factory.mktemp("crashes")) as made:
        held, shut, runs, strategies = {}, {}, {}, {}
        for door in DOORS:
            made.break_it()
            held[door] = getattr(made, door)(**FIRST_TIME)
            assert held[door].outcome == "held", held[door].out + held[door].err
            shut[door] = made.is_shut()
            runs[door] = made.allowed(door, held[door], **FIRST_TIME)
            strategies[door] = made.running()
            made.quoting()
        made.break_it()
        third = made.wrapper()
        yield Crashes(made, held, shut, runs, strategies, third, made.leaks())


@pytest.mark.parametrize("door", DOORS)
def test_every_door_holds_for_two_people_and_then_ends_done_with_all_strategies(crashes: Crashes, door: str) -> None:
    held, ran = crashes.held[door], crashes.runs[door]
    assert held.code == (2 if door == "playbook" else 4), "Ansible's own code says failed; the record says held"
    assert crashes.shut[door]
    assert (ran.code, ran.outcome) == (0, "done"), ran.out + ran.err
    assert [data["outcome"] for data in ran.data("run.finished")] == ["held", "done"]
    assert ran.data("gate.passed")[0]["people"] == PEOPLE
    assert crashes.strategies[door] == set(ran.data("strategies.stopped")[0]["ids"])
    assert (ran.state.is_open, ran.state.inverses) == (False, ())


@pytest.mark.parametrize("door", DOORS)
def test_nothing_opens_before_books_agree_and_people_have_signed(crashes: Crashes, door: str) -> None:
    events = crashes.runs[door].events
    kinds = [event.kind for event in events]
    passed = kinds.index("gate.passed")
    assert kinds.index("positions.reconciled") < passed
    assert crashes.runs[door].data("positions.reconciled")[-1]["verdict"] == "reconciled"
    assert {"inverse.applied", "strategy.started"}.isdisjoint(kinds[:passed])
    opened = [event.seq for event in events if event.kind == "latch.changed" and event.data["state"] == "open"]
    started = [event.seq for event in events if event.kind == "service.changed" and event.data["state"] == "running"
               and event.data["unit"] == crashes.stage.host.unit]  # fmt: skip
    assert passed < opened[0] < started[0] < events[kinds.index("strategy.started")].seq


def test_the_playbook_by_itself_leaves_the_record_of_the_wrapper_but_for_the_shot_before(crashes: Crashes) -> None:
    def told(ran: Ran) -> Counter[str]:
        watched = ("venue.reported", "trading_system.watched")  # how often is a matter of time
        return Counter(e.kind for e in own(ran.events) if e.kind not in watched and e.data.get("by") != BY)

    wrapper, playbook = (told(crashes.runs[door]) for door in DOORS)
    assert wrapper - playbook == Counter({"run.resumed": 1}), "a person says the incident and the tags instead"
    assert playbook - wrapper == Counter({"alarm.judged": 1}), "the button was pressed: it is real"
    for kind in ("crash.classified", "incident.closed", "strategies.stopped", "strategies.started"):
        first, second = (crashes.runs[door].data(kind)[0] for door in DOORS)
        assert set(first) == set(second), kind


def test_the_red_button_is_pressed_before_the_playbook_comes_to_it(crashes: Crashes) -> None:
    fired, plain = (crashes.runs[door].events for door in DOORS)
    ordered = [event for event in fired if event.kind == "kill.ordered"]
    assert [event.data["by"] for event in ordered] == [BY]
    own = [event.seq for event in fired if event.kind == "venue.reported" and event.data.get("by") != BY]
    assert ordered[0].seq < own[0]
    won = time_won(fired)
    assert won is not None
    assert won > 0
    cancelled = {event.data.get("by"): sum(venue["cancelled"] for venue in event.data["venues"])
                 for event in reversed(fired) if event.kind == "kill.verified"}  # fmt: skip
    assert cancelled[BY] > 0
    assert cancelled[None] == 0, "the playbook's own found nothing left"
    assert [event for event in plain if event.data.get("by") == BY] == []


def test_the_venues_books_stay_empty_from_the_proof_until_two_people_have_signed(crashes: Crashes) -> None:
    for ran in crashes.runs.values():
        moments = {event.kind: event.at for event in reversed(ran.events)}
        proven, allowed = moments["kill.verified"], moments["gate.passed"]
        for venue in crashes.stage.lab.venues.values():
            happenings = venue.truth().happenings
            placed = [h.at for h in happenings if h.kind == "placed"]
            assert not [at for at in placed if seconds(proven) < at < seconds(allowed)]
            assert count_at(happenings, seconds(allowed)) == 0


def test_the_second_crash_within_an_hour_escalates_and_only_offers_the_failover(crashes: Crashes) -> None:
    ran = crashes.third
    assert ran.code == 4, ran.out + ran.err
    (escalated,) = ran.data("incident.escalated")
    assert set(escalated["earlier"]) == {crashes.runs[door].incident.id for door in DOORS}
    assert ran.state.severity == 1
    assert set(ran.state.gates) == {"failover", GATE}, "it goes on to its own gate"
    assert [data["gate"] for data in ran.data("gate.held")] == ["failover", GATE]
    shown = crashes.stage.finish(crashes.stage.start("hft-incident", "status", ran.incident.id)).out
    assert "gate failover" in shown
    assert "severity" in shown
    assert not ran.data("gate.passed")


# What does not open it ------------------------------------------------------------------------------------------------


class Waiting:
    """The third crash as it was held, before each test; nothing may come to trade in it."""

    def __init__(self, stage: CrashStage, held: Ran, other: Ran) -> None:
        self.stage = stage
        self.incident = held.incident
        self.other = other.incident
        self.journal = Path(held.incident.journal.path)
        self.as_held = self.journal.read_bytes()
        self._before = self._facts()

    def _facts(self) -> tuple[bool, int, int]:
        return self.stage.is_shut(), self.stage.starts(), self.stage.placed()

    @property
    def events(self) -> list[Event]:
        return self.incident.journal.events()

    def approve(self, person: str, gate: str = GATE) -> Ran:
        return self.stage.approve(self.incident.id, person, gate)

    def seed(self, venue: str, count: int) -> None:
        """Orders that nobody expects; no strategy has placed them."""
        shut, starts, placed = self._before
        self.stage.lab.venues[venue].seed(count)
        self._before = (shut, starts, placed + count)

    def refused(self, ran: Ran, reason: str) -> None:
        """The command said so in one line and wrote nothing."""
        assert ran.code == 2, ran.out + ran.err
        assert reason in ran.err.splitlines()[-1]
        assert "nothing was recorded" in ran.err

    def held_still(self, *reasons: str) -> None:
        """Resumed, it holds again, for these reasons, and nothing trades."""
        ran = self.stage.resume(self.incident.id)
        assert (ran.code, ran.outcome) == (4, "held"), ran.out + ran.err
        for reason in reasons:
            assert reason in ran.out
        self.nothing_trades()

    def nothing_trades(self) -> None:
        assert self._facts() == self._before
        assert self._before[0]


@pytest.fixture
def waiting(crashes: Crashes) -> Iterator[Waiting]:
    made = Waiting(crashes.stage, crashes.third, crashes.runs["wrapper"])
    yield made
    made.journal.write_bytes(made.as_held)
    made.nothing_trades()


def test_one_person_twice_is_one_person(waiting: Waiting) -> None:
    assert waiting.approve("alice").code == 0
    once = waiting.journal.read_bytes()
    waiting.refused(waiting.approve("alice"), "alice@lab.example: has approved already, and counts once")
    assert waiting.journal.read_bytes() == once
    # Nor where somebody writes it down by hand.
    waiting.incident.journal.append("approval.given", waiting.events[-1].data)
    waiting.held_still("refused: alice@lab.example: has approved already, and counts once", "so far alice@lab.example")


def test_a_strangers_key_approves_nothing(waiting: Waiting) -> None:
    waiting.refused(waiting.approve("mallory"), "is nobody's who may approve")
    assert waiting.journal.read_bytes() == waiting.as_held
    # Nor in the name of somebody else: bob's statement with a signature by mallory's key.
    assert waiting.approve("bob").code == 0
    forged = waiting.stage.signed_by("mallory", waiting.events)
    rewrite(waiting.incident, [*waiting.events[:-1], waiting.events[-1]._replace(data=forged)])
    waiting.held_still("is nobody's who may approve")


def test_an_approval_is_stale_once_something_else_had_to_be_cancelled(waiting: Waiting) -> None:
    assert waiting.approve("alice").code == 0
    waiting.seed("okx", 2)
    contained = waiting.stage.playbook_of(waiting.incident.id, "--tags", "detect,contain")
    assert contained.code == 0, contained.out
    assert waiting.stage.live_orders() == 0
    assert waiting.approve("bob").code == 0
    ran = waiting.stage.resume(waiting.incident.id)
    assert (ran.code, ran.outcome) == (4, "held"), ran.out + ran.err
    (refused,) = ran.data("gate.held")[-1]["refused"]
    assert refused["person"] == "alice@lab.example"
    assert refused["reason"].startswith("outdated: changed since: ")
    assert refused["reason"].endswith("last closed")
    assert f"refused: alice@lab.example: {refused['reason']}" in ran.out
    assert waiting.stage.live_orders() == 0


def test_an_approval_of_another_incident_opens_nothing_here(waiting: Waiting) -> None:
    foreign = [event for event in waiting.other.journal.events() if event.kind == "approval.given"]
    assert len(foreign) == 2, "which opened that one"
    rewrite(waiting.incident, [*waiting.events, *foreign])
    waiting.held_still(
        *(f"refused: {person}: it is for another incident, {waiting.other.id}" for person in PEOPLE),
        "needs 2 of trading or risk",
    )


def test_in_an_edited_journal_no_approval_counts(waiting: Waiting) -> None:
    assert all(waiting.approve(person).code == 0 for person in APPROVERS)
    whole = waiting.journal.read_bytes()
    waiting.journal.write_bytes(whole.replace(b'"killed_by_signal"', b'"clean_stop"', 1))
    waiting.refused(waiting.approve("carol"), "no approval counts in it")
    ran = waiting.stage.resume(waiting.incident.id)
    assert ran.code == 1
    assert "its record was altered" in ran.err
    waiting.nothing_trades()
    # Nor where who edits it makes its chain whole again.
    waiting.journal.write_bytes(whole)
    edited = [event._replace(data={**event.data, "kind": "clean_stop"}) if event.kind == "crash.classified" else event
              for event in waiting.events]  # fmt: skip
    rewrite(waiting.incident, edited)
    waiting.held_still(*(f"refused: {person}: it was signed over another record than this one" for person in PEOPLE))


def test_a_failover_that_two_people_approve_is_recorded_and_changes_nothing(waiting: Waiting) -> None:
    for person in APPROVERS:
        given = waiting.approve(person, "failover")
        assert given.code == 0, given.err
    assert [event.kind for event in waiting.events[-2:]] == ["approval.given", "approval.given"]
    assert {event.data["gate"] for event in waiting.events[-2:]} == {"failover"}
    waiting.nothing_trades()
    waiting.held_still("gate resume_trading needs 2 of trading or risk")
    assert not [event for event in waiting.events if event.kind == "gate.passed"]


# What observes dies ---------------------------------------------------------------------------------------------------


def test_an_observer_that_dies_right_after_its_start_is_started_again(lab: CrashStage) -> None:
    lab.break_it()
    with lab.when("service.changed", lab.kill_observer, unit=lab.host.observe_unit, state="running"):
        died = lab.wrapper(hft_start_timeout_s="10")
    assert (died.code, died.outcome) == (3, "unproven"), died.out + died.err
    assert lab.host.hold_file.exists()
    held = lab.resume(died.incident.id)
    assert (held.code, held.outcome) == (4, "held"), held.out + held.err
    assert lab.is_shut()
    trades_again(lab, held)


def test_an_observer_that_dies_while_people_decide_is_started_again_and_they_need_not_sign_twice(
    lab: CrashStage,
) -> None:
    lab.break_it()
    held = lab.wrapper()
    assert (held.code, held.outcome) == (4, "held"), held.out + held.err
    lab.kill_observer()
    trades_again(lab, held)


def trades_again(lab: CrashStage, held: Ran) -> None:
    """Two people approve, and one resume later it trades; of the two observers the second was left alive until then."""
    ran = lab.allowed("wrapper", held)
    assert (ran.code, ran.outcome) == (0, "done"), ran.out + ran.err
    assert lab.starts(lab.host.observe_unit) == 2
    assert lab.starts() == 2, "when the lab started, and when people had allowed it"
    assert not lab.host.hold_file.exists()
    assert lab.running() == set(ran.data("strategies.stopped")[0]["ids"])
    assert [data["people"] for data in ran.data("gate.passed")] == [PEOPLE]
    assert (ran.state.is_open, ran.state.inverses) == (False, ())


# A start that takes its time ------------------------------------------------------------------------------------------


def test_a_trading_system_that_listens_long_after_its_start_is_waited_for(lab: CrashStage) -> None:
    lab.break_it()
    held = lab.wrapper()
    assert (held.code, held.outcome) == (4, "held"), held.out + held.err
    lab.host.start_slowly()

    def waited_for() -> bool:
        events = held.incident.journal.events()
        started = [e.seq for e in events if e.kind == "service.changed" and e.data["unit"] == lab.host.unit]
        watched = [e.seq for e in events if e.kind == "trading_system.watched"]
        return watched[-1] > started[-1]

    def mend() -> None:
        wait_until(waited_for)
        lab.host.mend()

    with lab.when("service.changed", mend, resumed=held.incident, unit=lab.host.unit, state="running"):
        ran = lab.allowed("wrapper", held)
    assert (ran.code, ran.outcome) == (0, "done"), ran.out + ran.err
    assert lab.starts() == 2, "when the lab started, and when people had allowed it"


# Evidence, and what must not be in it ---------------------------------------------------------------------------------


def test_verify_reads_the_evidence_again_and_tells_what_was_altered(waiting: Waiting) -> None:
    def verified() -> Ran:
        return waiting.stage.finish(waiting.stage.start("hft-incident", "verify", waiting.incident.id))

    whole = verified()
    assert whole.code == 0, whole.out
    assert "evidence of hft-1 in evidence/hft-1: intact" in whole.out
    (log,) = (waiting.incident.directory / "evidence" / "hft-1" / "logs").glob("*.log")
    kept = log.read_bytes()
    log.write_bytes(kept.replace(b"INFO", b"WARN", 1))
    altered = verified()
    log.write_bytes(kept)
    assert altered.code == 1
    assert "evidence of hft-1 in evidence/hft-1: altered" in altered.out
    assert log.name in altered.out
    assert verified().code == 0


def test_no_secret_can_be_read_while_a_crash_is_held_nor_in_what_was_kept(crashes: Crashes) -> None:
    secrets = crashes.stage.secrets()
    assert len(secrets) >= 20, "two keys at each of three venues, a token, two passwords, four people's SSH keys"
    assert crashes.leaks == []
    runs = (crashes.third, *crashes.held.values(), *crashes.runs.values())
    said = {f"output {number}": ran.out + ran.err for number, ran in enumerate(runs)}
    kept = crashes.stage.kept()
    assert {"journal.jsonl", "manifest.json", "manifest.sha256", "hft-1.log"} <= {path.name for path in kept}
    said |= {str(path): path.read_bytes().decode(errors="replace") for path in kept}
    assert [place for place, text in said.items() if any(secret in text for secret in secrets)] == []


# A rehearsal ----------------------------------------------------------------------------------------------------------


class Snapshot(NamedTuple):
    """What a rehearsal must leave as it is."""

    files: dict[str, tuple[int, int]]  # size and moment of the last change (ns) by path
    processes: list[str]
    units: int
    orders: list[list[int]]
    database: tuple[object, ...]


def snapshot(lab: CrashStage) -> Snapshot:
    """All of the trading host but its logs and the server's own files, which are asked for what is in them."""
    root = lab.lab.inventory.parent
    left_out = (lab.lab.logs, lab.lab.database.folder)
    files = [path for path in root.rglob("*") if not any(path.is_relative_to(folder) for folder in left_out)]
    found = {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in files if not path.is_dir()}
    return Snapshot(
        found,
        sorted(command_lines(str(lab.home))),
        len(lab.host.unit_log()),
        [[order.id for order in venue.truth().open_orders] for venue in lab.lab.venues.values()],
        in_database(lab),
    )


def in_database(lab: CrashStage) -> tuple[object, ...]:
    """Its tables, and the number of the next transaction: every one that writes anything takes one."""
    with lab.lab.database.connect_as_admin() as connection:
        tables = connection.execute("SELECT schemaname || '.' || relname FROM pg_stat_user_tables ORDER BY 1")
        ((following,),) = connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
        return (*(name for (name,) in tables), following)


def test_a_rehearsal_while_it_is_dead_changes_nothing_anywhere_and_says_what_it_would_do(lab: CrashStage) -> None:
    with lab.lab.database.connect_as_admin() as connection:
        # What PostgreSQL does by itself would be taken for ours.
        connection.execute("ALTER SYSTEM SET autovacuum = off")
        connection.execute("SELECT pg_reload_conf()")
    lab.break_it()
    for venue in lab.lab.venues.values():
        venue.move_market(False)  # nothing is filled
        venue.forget_requests()
    before = snapshot(lab)
    log = lab.host.log_file.read_bytes()
    assert all(before.orders)
    assert len(before.database) > 1
    ran = lab.wrapper("--check")
    assert (ran.code, ran.outcome) == (0, "done"), ran.out + ran.err
    assert lab.writes() == []
    assert snapshot(lab) == before
    assert lab.host.log_file.read_bytes() == log, "nothing of it ran"
    assert not (ran.incident.directory / "evidence").exists()
    assert [data["resolution"] for data in ran.data("incident.closed")] == ["rehearsed"]
    assert (ran.state.inverses, dict(ran.state.gates)) == ((), {})
    told = [str(task["msg"]) for task in ran.data("task.finished")]
    for prediction in PREDICTIONS:
        assert [message for message in told if prediction in message], prediction


#: What a rehearsal of a dead system says that it would do or wait for.
PREDICTIONS = (
    "all trading would be closed at hft-1",
    "would be cancelled",
    "would keep",
    "hft-1.service: killed_by_signal",
    "hft-1.service would be stopped",
    "would be writable",
    "approved: version",
    "hft-1-observe.service would be started",
    "would wait until hft-1 is observe",
    "would hold: gate resume_trading needs 2 of trading or risk",
    "hft-1.service would be started",
)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrashStage]:
    """A healthy system whose strategies rest, so that every write would show."""
    with stage(CrashStage, tmp_path_factory.mktemp("calm")) as made:
        made.quoting()
        made.quiet()
        yield made


def test_a_rehearsal_on_a_healthy_system_tells_it_nothing(calm: CrashStage) -> None:
    before, log = snapshot(calm), calm.host.log_file.read_bytes()
    ran = calm.playbook("--check", confirmed="true")
    assert (ran.code, ran.outcome) == (0, "done"), ran.out + ran.err
    assert calm.writes() == []
    assert snapshot(calm)._replace(database=()) == before._replace(database=())
    assert calm.host.log_file.read_bytes() == log
    assert not calm.system.killswitch_active()


@pytest.mark.parametrize("door", DOORS)
def test_where_every_system_answers_nothing_is_changed(calm: CrashStage, door: str) -> None:
    before, log = snapshot(calm), calm.host.log_file.read_bytes()
    # The lab has only just started: here that is no restart of its own.
    ran: Ran = getattr(calm, door)(hft_restarted_within_s="0.01")
    assert (ran.code, ran.outcome) == (0, "done"), ran.out + ran.err
    assert [data["resolution"] for data in ran.data("incident.closed")] == ["not_confirmed"]
    assert [data["real"] for data in ran.data("alarm.judged")] == [False]
    assert calm.writes() == []
    assert snapshot(calm)._replace(database=()) == before._replace(database=())
    assert calm.host.log_file.read_bytes() == log
    withheld = ["hft-1 answers; the playbook looks closer"] if door == "wrapper" else []
    assert [data["reason"] for data in ran.data("fire_first.withheld")] == withheld


# What goes another way ------------------------------------------------------------------------------------------------


def test_confirmed_by_a_person_it_acts_on_a_system_that_answers(lab: CrashStage) -> None:
    lab.quoting()
    ran = lab.wrapper(confirmed="true")
    assert (ran.code, ran.outcome) == (4, "held"), ran.out + ran.err
    assert [data["real"] for data in ran.data("alarm.judged")] == [True]
    assert lab.live_orders() == 0
    assert lab.is_shut()
    assert lab.starts() == 1, "when the lab started"
    assert [data["verdict"] for data in ran.data("positions.reconciled")] == ["reconciled"]


def test_a_venue_that_hangs_keeps_neither_the_button_nor_the_response_from_ending(lab: CrashStage) -> None:
    lab.break_it()
    lab.lab.venues["okx"].inject("hang")
    ran = lab.wrapper("--until", "contain", **QUICK)
    assert (ran.code, ran.outcome) == (3, "unproven"), ran.out + ran.err
    assert ran.data("kill.verified")
    fired = [data for data in ran.data("kill.verified") if data.get("by") == BY]
    verdicts = {venue["name"]: venue["verdict"] for venue in fired[0]["venues"]}
    assert verdicts == {"binance": "clear", "okx": "unknown", "deribit": "clear"}
    assert {name: venue.verdict for name, venue in ran.state.venues.items()} == verdicts
    assert [len(lab.lab.venues[name].truth().open_orders) for name in ("binance", "deribit")] == [0, 0]
    assert lab.host.hold_file.exists()


@contextmanager
def ssh_that_hangs(until: Callable[[], bool]) -> Iterator[int]:
    """A port where somebody takes connections and says nothing, until it hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                connection, _ = server.accept()
                with connection:
                    wait_until(lambda: over.is_set() or until(), PATIENCE_S)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            over.set()
            socket.create_connection(server.getsockname()).close()
            thread.join()


def test_a_trading_host_out_of_reach_delays_no_kill_and_is_named_in_the_end(lab: CrashStage) -> None:
    lab.break_it()

    def proven() -> bool:
        newest = lab.newest()
        return newest is not None and any(event.kind == "kill.verified" for event in newest.journal.events())

    with ssh_that_hangs(until=proven) as port:
        inventory = lab.home / "two-hosts"
        shutil.copytree(lab.lab.inventory, inventory)
        host = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": port, "ansible_timeout": 60}
        variables = (inventory / "host_vars" / "hft-1.yml").read_text()
        (inventory / "host_vars" / "hft-2.yml").write_text(variables)
        (inventory / "more.yml").write_text(json.dumps({"trading_hosts": {"hosts": {"hft-2": host}}}))
        ran = lab.playbook("-i", str(inventory))
    assert lab.live_orders() == 0
    assert lab.host.hold_file.exists()
    kinds = [event.kind for event in ran.events]
    assert ran.data("kill.verified")[0]["verdict"] == "clear"
    # While the host hung: nothing is said of it before the kill was proven.
    told = [event.data for event in ran.events[: kinds.index("kill.verified")] if event.kind == "task.finished"]
    assert {"hft-1", "hft-2"} == {task["host"] for task in told if task["host"] != "localhost"}
    latched = {task["host"] for task in told if task["action"] == "hft.incident.latch"}
    assert latched == {"hft-1"}
    assert (ran.outcome, ran.code) == ("unproven", 2), ran.out + ran.err
    assert ran.data("run.finished")[-1]["reason"].startswith("NOT PROVEN: hft-2 cannot be reached: ")
    assert ran.phases[-1] == "mitigate"
    assert ran.state.is_open
    assert {"gate.passed", "inverse.applied"}.isdisjoint(kinds)
    assert lab.starts() == 1
