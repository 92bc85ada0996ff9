# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A response that was held, failed or killed goes on where it stopped; two never work on one incident.

Real wrapper, real ansible-playbook, real kills, the collection's own modules; only the trading system is a stand-in.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.lab.apart import own
from tests.lab.modules.stand_in import StandIn, stand_ins
from tests.lab.response_stage import Stage, kill_playbooks, playbook_processes
from tests.lab.waiting import wait_until

from ansible_collections.hft.incident.plugins.module_utils import journal
from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import (
    Incident,
    list_incidents,
    open_incident,
    state_of,
)
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from ansible_collections.hft.incident.plugins.module_utils.run_lock import acquire, holder
from hft_incident import Outcome, catalog, resume, takeover

PLAYBOOK = """
- name: Look
  hosts: localhost
  gather_facts: false
  tags: [detect]
  tasks:
    - name: Say which
      ansible.builtin.debug: {{msg: "it is {{{{ exchange }}}}, tolerance {{{{ hft_tolerance | default('none') }}}}"}}

- name: Close
  hosts: localhost
  gather_facts: false
  tags: [contain]
  module_defaults: &systems
    group/hft.incident.trading_systems: {{trading_systems: [{{name: hft-1, url: "{url}"}}]}}
  tasks:
    - name: Close the exchange
      hft.incident.exchange: {{name: alpha, state: disabled}}
    - name: Stop the strategies
      hft.incident.strategy: {{exchange: alpha, state: stopped}}
    - name: Rest after closing
      ansible.builtin.wait_for: {{path: "{{{{ playbook_dir }}}}/closed", sleep: 1, timeout: 60}}

- name: Ask
  hosts: localhost
  gather_facts: false
  tags: [recover, ask]
  tasks:
    - name: Pass the gate
      say:
        failed: "{{{{ (playbook_dir ~ '/approved') is not exists }}}}"
        outcome: held
        msg: two people must approve
        record: [{{kind: gate.asked, data: {{}}}}]

- name: Open
  hosts: localhost
  gather_facts: false
  tags: [recover, open]
  module_defaults: *systems
  tasks:
    - name: Rest before opening
      ansible.builtin.wait_for: {{path: "{{{{ playbook_dir }}}}/go", sleep: 1, timeout: 60}}
    - name: Undo
      hft.incident.undo: {{extra: {{settle: 0}}}}

- name: End
  hosts: localhost
  gather_facts: false
  tags: [review]
  tasks:
    - name: Close the record
      say: {{record: [{{kind: incident.closed, data: {{resolution: resolved}}}}]}}
"""


class World:
    """A stage whose playbook closes one exchange of a trading system, asks, and opens it again."""

    def __init__(self, stage: Stage, system: StandIn) -> None:
        self.stage = stage
        self.system = system
        stage.playbook(PLAYBOOK.format(url=system.entry["url"]))

    def allow(self, *names: str) -> None:
        """``closed``, ``approved``, ``go``: what the playbook waits for or asks."""
        for name in names or ("closed", "approved", "go"):
            (self.stage.playbooks / name).touch()

    @property
    def incident(self) -> Incident:
        return self.stage.incident()

    @property
    def events(self) -> list[Event]:
        return own(self.incident.journal.events())

    def happened(self, kind: str) -> bool:
        """Whether this is on record; there may be no record yet."""
        return any(event.kind == kind for found in list_incidents(self.stage.home) for event in found.journal.events())

    def resume(self, **options: Any) -> Outcome:
        return resume(self.incident.id, home=self.stage.home, **options)

    def kill_when(self, condition: Callable[[], object]) -> None:
        """A response as a process, killed with all that it started, at this moment."""
        with self.stage.start_command() as wrapper:
            try:
                wait_until(condition, 25)
            finally:
                wrapper.kill()
                kill_playbooks(self.stage)

    def kill_at(self, request: str, number: int, then: str) -> None:
        """The same at this request to the trading system (the ``number``th): the work of it is done or is not."""
        came: list[str] = []

        def die() -> str | int | None:
            came.append(request)
            if len(came) != number:
                return None
            kill_playbooks(self.stage)
            return 500 if then == "not done" else "lost"

        self.system.on[request] = die
        self.kill_when(lambda: len(came) >= number and not playbook_processes(self.stage))
        self.system.on.clear()

    def ended_well(self, outcome: Outcome) -> None:
        """As an undisturbed run leaves it."""
        assert (outcome.outcome, outcome.exit_code, outcome.complete, outcome.next) == ("done", 0, True, None), outcome
        assert verify(outcome.journal).state == "intact"
        assert self.system.exchanges["alpha"]["enabled"]
        assert sorted(self.system.running()) == ["arb", "mm"]
        state = state_of(self.events)
        assert (state.is_open, state.inverses) == (False, ())
        registered = [e.data["id"] for e in self.events if e.kind == "inverse.registered"]
        applied = [e.data["id"] for e in self.events if e.kind == "inverse.applied"]
        assert sorted(registered) == sorted(applied)
        assert holder(self.incident.directory) is None

    def entered(self, outcome: Outcome) -> list[str]:
        """The plays of the last run."""
        del outcome
        start = max(number for number, event in enumerate(self.events) if event.kind == "run.started")
        return [event.data["play"] for event in self.events[start:] if event.kind == "phase.entered"]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    stage = Stage(tmp_path)
    monkeypatch.setattr(catalog, "COLLECTION", tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(stage.scratch))
    with stand_ins("hft-1") as (system,):
        for name in ("mm", "arb"):
            system.strategy(name, "alpha")
        yield World(stage, system)
    kill_playbooks(stage)


# Where it goes on ---------------------------------------------------------------------------------------------------


def test_a_held_run_goes_on_at_its_gate_with_the_inputs_of_the_record(world: World) -> None:
    world.allow("closed", "go")
    held = world.stage.respond(inputs={"exchange": "alpha", "hft_tolerance": "0.5"}, severity=2)
    assert (held.outcome, held.exit_code) == ("held", 4)
    assert held.next == f"hft-incident resume {held.incident}"
    assert not world.system.exchanges["alpha"]["enabled"]
    writes = list(world.system.writes)
    world.allow("approved")
    seen: list[Event] = []
    steps: list[str] = []
    found = world.resume(on_event=seen.append, on_step=steps.append)
    world.ended_well(found)
    assert world.entered(found) == ["Look", "Ask", "Open", "End"]
    assert "it is alpha, tolerance 0.5" in Path(found.journal).read_text().rpartition("run.resumed")[2]
    assert (found.severity, found.incident) == (2, held.incident)
    assert seen[0].kind == "run.resumed", "what was told before is not told again"
    assert steps[0] == "Say which"
    assert sorted(world.system.writes[len(writes) :]) == [
        "POST /strategies/arb/start",
        "POST /strategies/mm/start",
        "PUT /config",
    ]


def test_what_still_holds_it_holds_it_again(world: World) -> None:
    world.allow("closed", "go")
    world.stage.respond()
    assert world.resume().outcome == "held"
    assert world.resume().outcome == "held"
    world.allow("approved")
    world.ended_well(world.resume())


def test_a_failed_step_is_tried_again_and_nothing_before_it(world: World) -> None:
    world.allow()
    world.system.on["PUT /config"] = lambda: 500
    failed = world.stage.respond()
    assert (failed.outcome, world.entered(failed)) == ("unproven", ["Look", "Close"])
    world.system.on.clear()
    world.ended_well(found := world.resume())
    assert world.entered(found) == ["Look", "Close", "Ask", "Open", "End"]


def test_a_plain_playbook_run_is_resumed_by_the_wrapper_and_the_other_way_round(world: World) -> None:
    world.allow("closed", "go")
    environment = {
        **os.environ,
        "HFT_INCIDENT_HOME": str(world.stage.home),
        "ANSIBLE_COLLECTIONS_PATH": str(catalog.COLLECTIONS_ROOT),
        "ANSIBLE_CALLBACKS_ENABLED": "hft.incident.scribe",
    }
    playbook = world.stage.playbooks / "exchange_outage.yml"
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(world.stage.inventory), str(playbook)]
    more = ["-e", "exchange=alpha hft_tolerance=3 hft_api_secret=5a1tc0ffee other=thing"]
    first = subprocess.run([*command, *more], env=environment, capture_output=True, text=True, check=False)
    assert first.returncode == 2, first.stdout
    (started,) = [event.data for event in world.events if event.kind == "run.started"]
    assert started["inputs"] == {"exchange": "alpha", "hft_tolerance": "3"}, "no secret in clear, nothing unknown"
    assert started["inventory"] == [str(world.stage.inventory)]
    assert world.resume().outcome == "held"
    world.allow("approved")
    by_hand = {**environment, "HFT_INCIDENT_ID": world.incident.id}
    subprocess.run([*command, *more, "--tags", "detect,ask"], env=by_hand, capture_output=True, check=False)
    found = world.resume()
    world.ended_well(found)
    assert world.entered(found) == ["Look", "Open", "End"]


def test_a_rehearsal_goes_on_as_a_rehearsal(world: World) -> None:
    world.allow("closed", "go")
    held = world.stage.respond(check=True)
    assert (held.outcome, held.check) == ("held", True)
    world.allow("approved")
    found = world.resume()
    assert (found.outcome, found.check, world.system.writes) == ("done", True, [])


def test_after_until_it_goes_on_with_the_rest(world: World) -> None:
    world.allow()
    assert world.stage.respond(until="contain").outcome == "done"
    world.ended_well(found := world.resume())
    assert world.entered(found) == ["Look", "Ask", "Open", "End"]


# What cannot go on --------------------------------------------------------------------------------------------------


def test_a_closed_incident_is_not_taken_up_again(world: World) -> None:
    world.allow()
    done = world.stage.respond()
    events = len(world.events)
    with pytest.raises(UsageError, match=r"was closed at .* \(resolved\)"):
        world.resume()
    assert (len(world.events), done.next) == (events, None)


def test_an_altered_record_is_refused_with_the_reason(world: World) -> None:
    world.allow("closed", "go")
    held = world.stage.respond()
    path = Path(held.journal)
    path.write_text(path.read_text().replace('"describe":"enable alpha', '"describe":"enable omega'))
    altered = path.read_bytes()
    with pytest.raises(IncidentError, match="altered at event") as refused:
        world.resume()
    assert refused.value.outcome == "failed"
    assert path.read_bytes() == altered


def test_an_unknown_incident_is_refused_before_anything(world: World) -> None:
    with pytest.raises(UsageError, match="no incident"):
        resume("inc-20261123T100000Z-exchange_outage-1", home=world.stage.home)


def test_an_incident_without_a_line_on_record_has_nothing_to_go_on_with(world: World) -> None:
    made = world.stage.home / "inc-20261123T100000Z-exchange_outage-1"
    made.mkdir(parents=True)
    with pytest.raises(UsageError, match="never opened"):
        world.resume()


# kill -9 ------------------------------------------------------------------------------------------------------------


def test_killed_before_the_playbook_began(world: World) -> None:
    world.allow()
    world.kill_when(lambda: world.happened("incident.opened"))
    assert [event.kind for event in world.events] == ["incident.opened"]
    world.ended_well(world.resume())


def test_killed_in_the_middle_of_a_line(world: World) -> None:
    world.kill_when(lambda: world.happened("strategies.stopped"))
    path = Path(world.incident.journal.path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 40])
    assert verify(path).state == "torn"
    world.allow()
    world.ended_well(world.resume())
    assert "journal.torn_line" in [event.kind for event in world.events]


@pytest.mark.parametrize("then", ["done", "not done"])
def test_killed_between_a_change_and_its_line(world: World, then: str) -> None:
    world.allow()
    world.kill_at("PUT /config", 1, then)
    assert "exchange.changed" not in [event.kind for event in world.events]
    assert [inverse.describe for inverse in state_of(world.events).inverses] == ["enable alpha at hft-1"]
    wait_until(lambda: world.system.exchanges["alpha"]["enabled"] is (then == "not done"))
    world.ended_well(found := world.resume())
    assert world.entered(found) == ["Look", "Close", "Ask", "Open", "End"]


@pytest.mark.parametrize("then", ["done", "not done"])
def test_killed_while_strategies_are_being_stopped(world: World, then: str) -> None:
    world.allow()
    world.kill_at("POST /strategies/mm/stop", 1, then)
    (last, _) = state_of(world.events).inverses
    assert set(last.args["ids"]) == {"mm", "arb"}
    world.ended_well(world.resume())


@pytest.mark.parametrize("then", ["done", "not done"])
def test_killed_during_undo(world: World, then: str) -> None:
    world.allow()
    world.kill_at("PUT /config", 2, then)
    assert "inverse.applied" in [event.kind for event in world.events], "the strategies were started before"
    started = world.system.seen.count("POST /strategies/mm/start")
    world.ended_well(found := world.resume())
    assert world.entered(found) == ["Look", "Open", "End"]
    assert world.system.seen.count("POST /strategies/mm/start") == started == 1


def test_killed_between_the_gate_and_the_undo(world: World) -> None:
    world.allow("closed", "approved")
    world.kill_when(lambda: world.happened("gate.asked") and [e for e in world.events if e.data.get("play") == "Open"])
    world.allow()
    world.ended_well(found := world.resume())
    assert world.entered(found) == ["Look", "Open", "End"]


def test_killed_after_the_incident_was_closed(world: World) -> None:
    world.allow()
    world.kill_when(lambda: world.happened("incident.closed"))
    with pytest.raises(UsageError, match="was closed"):
        world.resume()


# Two at once --------------------------------------------------------------------------------------------------------


@pytest.fixture
def busy(world: World) -> Iterator[World]:
    """A response that somebody else has started, in the middle of its work."""
    with world.stage.start_command() as wrapper:
        wait_until(lambda: world.happened("strategies.stopped"), 25)
        yield world
        wrapper.kill()


def test_a_second_one_is_refused_and_told_who_works_there(busy: World) -> None:
    before = len(busy.events)
    owner = holder(busy.incident.directory)
    assert owner is not None
    assert owner.pid == next(event.data["pid"] for event in busy.events if event.kind == "run.started")
    with pytest.raises(UsageError, match=rf"being worked on by {owner.user} \(process {owner.pid} .*--take-over"):
        busy.resume()
    assert len(busy.events) == before


def test_a_plain_playbook_is_refused_too_and_runs_nothing(busy: World) -> None:
    environment = {
        **os.environ,
        "HFT_INCIDENT_HOME": str(busy.stage.home),
        "HFT_INCIDENT_ID": busy.incident.id,
        "ANSIBLE_COLLECTIONS_PATH": str(catalog.COLLECTIONS_ROOT),
        "ANSIBLE_CALLBACKS_ENABLED": "hft.incident.scribe",
    }
    command = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        "-i",
        str(busy.stage.inventory),
        "exchange_outage.yml",
    ]
    before = len(busy.events)
    done = subprocess.run(
        command, cwd=busy.stage.playbooks, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, len(busy.events)) == (2, before)
    assert "being worked on by" in done.stderr
    assert "Say which" not in done.stdout


def test_taking_over_ends_the_other_run_records_it_and_goes_on(busy: World) -> None:
    owner = holder(busy.incident.directory)
    assert owner is not None
    busy.allow()
    found = busy.resume(take_over=True)
    busy.ended_well(found)
    (taken,) = [event.data for event in busy.events if event.kind == "run.taken_over"]
    assert (taken["from"]["pid"], taken["from"]["user"], taken["by"]) == (owner.pid, owner.user, owner.user)
    kinds = [event.kind for event in busy.events]
    assert kinds.index("run.interrupted") < kinds.index("run.taken_over") < kinds.index("run.resumed")


def test_the_one_who_was_taken_over_is_told_and_spoils_nothing(world: World) -> None:
    with world.stage.start_command() as wrapper:
        wait_until(lambda: world.happened("strategies.stopped"), 25)
        world.allow()
        found = world.resume(take_over=True)
        out, _ = wrapper.communicate(timeout=60)
    world.ended_well(found)
    theirs = json.loads(out)
    assert (wrapper.returncode, theirs["outcome"]) == (3, "unproven")
    assert "taken over by" in theirs["reason"]


def test_a_run_that_does_not_listen_is_ended_by_force(busy: World, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = holder(busy.incident.directory)
    assert owner is not None
    monkeypatch.setattr(takeover, "GRACE_S", 0.2)
    os.kill(owner.pid, signal.SIGSTOP)
    busy.allow()
    busy.ended_well(busy.resume(take_over=True))


@contextmanager
def held_until_gone(path: str, pid: int) -> Iterator[None]:
    """The record, locked for as long as this process lives; it may have been stopped while it had it locked itself."""
    with open(path, "rb") as record:
        with suppress(BlockingIOError):  # the stopped process has it already
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)

        def let_go() -> None:
            wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 25)
            fcntl.flock(record, fcntl.LOCK_UN)

        thread = threading.Thread(target=let_go)
        thread.start()
        try:
            yield
        finally:
            thread.join()


def test_with_nobody_at_work_there_is_nothing_to_take_over(world: World) -> None:
    world.allow("closed", "go")
    world.stage.respond()
    world.allow("approved")
    world.ended_well(world.resume(take_over=True))
    assert "run.taken_over" not in [event.kind for event in world.events]


def test_a_worker_that_outlived_its_killed_run_is_ended_before_the_next_one_acts(world: World) -> None:
    world.allow("approved", "go")
    hanging: list[str] = []

    def hang() -> str:
        """The worker is in the middle of its request when its run is killed, and stays there."""
        main = next(event.data["pid"] for event in world.events if event.kind == "run.started")
        for pid in set(playbook_processes(world.stage)) - {main}:
            os.kill(pid, signal.SIGSTOP)
        os.kill(main, signal.SIGKILL)
        hanging.append("PUT /config")
        return "hang"

    world.system.on["PUT /config"] = hang
    with world.stage.start_command() as wrapper:
        wait_until(lambda: hanging, 25)
        wrapper.kill()
    assert playbook_processes(world.stage), "the worker is still there"
    assert holder(world.incident.directory) is None
    world.system.on.clear()
    world.allow()
    world.ended_well(world.resume())
    assert [len(event.data["pids"]) for event in world.events if event.kind == "run.orphans_ended"] == [1]


def test_a_run_on_another_host_cannot_be_ended_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = open_incident("exchange_outage", home=tmp_path, inputs={"exchange": "alpha"}, inventory=["localhost,"])
    lock = acquire(made.directory, "r1", lambda pids: None)
    path = made.directory / "run.lock"
    path.write_text(json.dumps({**json.loads(path.read_text()), "host": "jump-2"}))
    events = len(made.journal.events())
    with pytest.raises(UsageError, match="only be ended on jump-2"):
        resume(made.id, take_over=True, home=tmp_path)
    assert len(made.journal.events()) == events
    lock.release()
    assert holder(made.directory) is None


def test_a_process_that_got_the_id_of_a_dead_owner_is_left_alone(tmp_path: Path) -> None:
    """The lock is held by what is left of a killed run; its id belongs to somebody else by now: to us."""
    made = open_incident("exchange_outage", home=tmp_path)
    lock = acquire(made.directory, "r1", lambda pids: None)
    path = made.directory / "run.lock"
    path.write_text(json.dumps({**json.loads(path.read_text()), "born": 1}))
    assert holder(made.directory) is None
    lock.release()


def test_a_run_that_was_stopped_in_the_middle_of_a_line_is_ended_by_force(
    busy: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the record locked, as a process does that is stopped while the disk writes."""
    owner = holder(busy.incident.directory)
    assert owner is not None
    monkeypatch.setattr(takeover, "GRACE_S", 0.2)
    monkeypatch.setattr(journal, "LOCK_PATIENCE_S", 0.5)
    os.kill(owner.pid, signal.SIGSTOP)
    with held_until_gone(busy.incident.journal.path, owner.pid):
        busy.allow()
        busy.ended_well(busy.resume(take_over=True))
