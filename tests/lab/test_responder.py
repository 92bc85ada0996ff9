# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""respond() over the real ansible-runner and ansible-playbook; only the playbook is a stand-in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.lab.response_stage import LOOK, TOUCH, WAIT, Stage, kill_playbooks, playbook_processes
from tests.lab.waiting import wait_until

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.errors import EXIT_CODES, UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import list_incidents
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from hft_incident import Outcome, catalog, responder
from hft_incident.outcome import Steps, outcome_of

CANARY = "canary-7f3a9c1d5e2b"


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    made = Stage(tmp_path)
    monkeypatch.setattr(catalog, "COLLECTION", tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(made.scratch))
    yield made
    kill_playbooks(made)


def test_a_playbook_that_does_its_work_is_done(stage: Stage) -> None:
    stage.playbook(LOOK + TOUCH)
    steps: list[str] = []
    found = stage.respond(severity=2, on_step=steps.append)
    assert (found.outcome, found.exit_code, found.complete) == ("done", 0, True)
    assert [phase.name for phase in found.phases] == ["detect", "contain"]
    assert found.steps == Steps(ok=1, changed=1)
    assert (found.type, found.severity, found.incident) == ("exchange_outage", 2, stage.incident().id)
    assert steps == ["Say which", "Touch"]
    assert stage.touched.exists()
    assert verify(found.journal).state == "intact"


def test_the_events_come_in_order_and_all_of_them_and_in_the_thread_that_asked(stage: Stage) -> None:
    stage.playbook(LOOK)
    seen: list[tuple[Event, int]] = []
    found = stage.respond(on_event=lambda event: seen.append((event, threading.get_ident())))
    assert [event for event, _ in seen] == stage.incident().journal.events()
    assert {thread for _, thread in seen} == {threading.get_ident()}
    assert found.incident == stage.incident().id


def test_nothing_is_left_in_the_scratch_folder(stage: Stage) -> None:
    stage.playbook(LOOK)
    stage.respond()
    assert list(stage.scratch.iterdir()) == []


def test_three_responses_at_once_do_not_mix(stage: Stage) -> None:
    stage.playbook(LOOK)
    before = (dict(os.environ), os.getcwd(), signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    found: dict[str, Outcome] = {}

    def go(name: str) -> None:
        found[name] = stage.respond(inputs={"exchange": name})

    threads = [threading.Thread(target=go, args=(name,)) for name in ("okx", "bybit", "deribit")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcome.outcome for outcome in found.values()] == ["done"] * 3
    assert len({outcome.incident for outcome in found.values()}) == 3
    for name, outcome in found.items():
        assert f"it is {name}" in Path(outcome.journal).read_text()
    assert before == (
        dict(os.environ),
        os.getcwd(),
        signal.getsignal(signal.SIGINT),
        signal.getsignal(signal.SIGTERM),
    )


def test_a_secret_of_the_environment_reaches_the_playbook_and_nothing_else(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENUE_SECRET", CANARY)
    stage.playbook(
        LOOK
        + f"""
    - name: The secret is here
      ansible.builtin.assert: {{that: "lookup('env', 'VENUE_SECRET') | length == {len(CANARY)}", quiet: true}}
    - name: Carry it about
      ansible.builtin.debug: {{msg: "{{{{ lookup('env', 'VENUE_SECRET') }}}}"}}
      no_log: true
"""
        + WAIT
    )
    searched: list[str] = []
    leaks: list[Path] = []

    def search(name: str) -> None:
        if name == "Wait":
            files = [path for path in stage.scratch.rglob("*") if path.is_file()]
            for place in (*files, *Path("/proc").glob("[0-9]*/cmdline")):
                with suppress(OSError):  # what is gone as we look leaks nothing
                    searched.append(place.name)
                    leaks.extend([place] if CANARY.encode() in place.read_bytes() else [])
            stage.go.touch()

    found = stage.respond(inputs={"exchange": "okx", "hft_api_key": "env:VENUE_SECRET"}, on_step=search)
    assert found.outcome == "done", found.reason
    assert leaks == []
    assert {"command", "extravars", "cmdline"} <= set(searched)
    assert CANARY not in Path(found.journal).read_text()


def test_what_an_alert_says_is_data_and_never_evaluated(stage: Stage) -> None:
    stage.playbook(LOOK)
    text = "{{ lookup('pipe', 'touch " + str(stage.touched) + '\') }}: "x"\n#'
    found = stage.respond(inputs={"exchange": text})
    assert found.outcome == "done"
    assert not stage.touched.exists()
    assert "lookup('pipe'" in Path(found.journal).read_text()


@pytest.mark.parametrize("text", ["🔥 runaway", "\x7f\x85\ufffe\t\\ \"'"])
def test_any_text_reaches_the_playbook_as_it_was_typed(stage: Stage, text: str) -> None:
    stage.playbook(LOOK + "    - {name: Say, ansible.builtin.debug: {msg: '{{ exchange | to_json }}'}}\n")
    found = stage.respond(inputs={"exchange": text})
    assert found.outcome == "done", found.reason
    assert any(event.data.get("inputs", {}).get("exchange") == text for event in stage.incident().journal.events())


def test_an_inventory_that_lacks_a_variable_is_wrong_configuration_and_names_it(stage: Stage) -> None:
    stage.playbook(LOOK.replace("it is", "{{ hft_detect_timeout_s }} it is"))
    found = stage.respond()
    assert (found.outcome, found.exit_code) == ("usage", EXIT_CODES["usage"])
    assert "the inventory has no hft_detect_timeout_s" in found.reason


def test_a_file_of_the_inventory_that_is_no_yaml_is_named(stage: Stage) -> None:
    stage.playbook(LOOK)
    broken = stage.root / "group_vars" / "all" / "policy.yml"
    broken.parent.mkdir(parents=True)
    broken.write_text("hft_gates: {\n")
    found = stage.respond()
    assert (found.outcome, found.complete) == ("failed", False)
    assert f"{broken} is not valid YAML, line 2" in found.reason


def test_a_play_without_a_host_is_no_success(stage: Stage) -> None:
    stage.playbook(LOOK.replace("localhost", "nobody"))
    found = stage.respond()
    assert found.exit_code == EXIT_CODES["usage"]
    assert "no host matches" in found.reason
    assert found.steps == Steps()


def test_a_failing_step_fails_and_is_named(stage: Stage) -> None:
    stage.playbook(LOOK + "    - {name: Reconcile, ansible.builtin.fail: {msg: 3 breaks}}")
    found = stage.respond()
    assert (found.outcome, found.exit_code, found.reason) == ("failed", 1, "Reconcile: 3 breaks")
    assert found.complete


@pytest.mark.parametrize("word", ["held", "unproven", "usage"])
def test_what_a_module_says_of_its_failure_passes_through(stage: Stage, word: str) -> None:
    stage.playbook(LOOK + f"    - {{name: Gate, say: {{failed: true, outcome: {word}, msg: because}}}}")
    found = stage.respond()
    assert (found.outcome, found.exit_code, found.reason) == (word, EXIT_CODES[word], "Gate: because")


def test_a_playbook_that_cannot_be_read_fails_with_what_ansible_says(stage: Stage) -> None:
    stage.playbook("- hosts: localhost\n  tasks: [{no_such_module_anywhere: {}}]")
    found = stage.respond()
    assert (found.outcome, found.complete) == ("failed", False)
    assert "no_such_module_anywhere" in found.reason
    assert "code 4" in found.reason


def test_a_playbook_that_is_killed_leaves_a_failure_and_an_incomplete_record(stage: Stage) -> None:
    stage.playbook(LOOK + WAIT)
    pids: list[int] = []

    def kill(name: str) -> None:
        if name == "Wait":
            os.kill(pids[0], signal.SIGKILL)

    found = stage.respond(
        on_event=lambda event: pids.append(event.data["pid"]) if event.kind == "run.started" else None, on_step=kill
    )
    stage.go.touch()
    assert (found.outcome, found.exit_code, found.complete) == ("failed", 1, False)
    assert "incomplete" in found.reason
    assert stage.kinds()[-1] == "run.lost"
    assert verify(found.journal).state == "intact"
    assert list(stage.scratch.iterdir()) == []


def test_a_response_that_takes_too_long_is_stopped_and_says_so(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.playbook(LOOK + TOUCH + WAIT)
    now = [0.0]
    monkeypatch.setattr(responder, "time", SimpleNamespace(monotonic=lambda: now[0]))
    found = stage.respond(timeout=60, on_step=lambda name: now.append(now.pop() + 61) if name == "Wait" else None)
    assert (found.outcome, found.exit_code) == ("unproven", 3)
    assert "not done within 60 s" in found.reason
    assert stage.kinds()[-2:] == ["run.stop_requested", "run.interrupted"]
    wait_until(lambda: not playbook_processes(stage))


def test_check_mode_changes_nothing(stage: Stage) -> None:
    stage.playbook(LOOK + TOUCH)
    found = stage.respond(check=True)
    assert (found.outcome, found.check) == ("done", True)
    assert not stage.touched.exists()


def test_until_stops_after_its_phase(stage: Stage) -> None:
    stage.playbook(LOOK + TOUCH)
    found = stage.respond(until="detect")
    assert (found.outcome, found.phase) == ("done", "detect")
    assert not stage.touched.exists()


def test_a_listener_that_fails_stops_nothing(stage: Stage) -> None:
    stage.playbook(LOOK)

    def fail(event: Event) -> None:
        raise RuntimeError(event.kind)

    assert stage.respond(on_event=fail).outcome == "done"


def test_a_relative_path_means_what_it_means_here(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(stage.root)
    stage.playbook(LOOK + "    - {name: Where, ansible.builtin.debug: {msg: \"{{ lookup('env', 'PWD') }}\"}}")
    assert stage.respond(inventory="hosts.yml").outcome == "done"


def test_without_an_inventory_nothing_is_started(stage: Stage) -> None:
    stage.playbook(LOOK)
    with pytest.raises(UsageError, match="no inventory at"):
        stage.respond(inventory=str(stage.root / "nowhere"))
    assert not stage.home.exists()


def test_plain_ansible_playbook_leaves_the_same_record(stage: Stage) -> None:
    path = stage.playbook(LOOK + TOUCH.replace("Touch", "Break").replace("playbook_dir", "nowhere"))
    ours = stage.respond(home=stage.root / "ours")
    environment = {
        **os.environ,
        "HFT_INCIDENT_HOME": str(stage.home),
        "ANSIBLE_COLLECTIONS_PATH": str(catalog.COLLECTIONS_ROOT),
        "ANSIBLE_CALLBACKS_ENABLED": "hft.incident.scribe",
    }
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(stage.inventory), str(path)]
    done = subprocess.run([*command, "-e", "exchange=binance"], env=environment, capture_output=True, check=False)
    assert done.returncode == 2  # Ansible's own code of a failed step
    theirs = outcome_of(stage.incident().id, stage.incident().journal.events(), "")
    assert (theirs.outcome, theirs.reason, theirs.steps) == (ours.outcome, ours.reason, ours.steps)
    (mine,) = list_incidents(stage.root / "ours")
    assert stage.kinds() == [event.kind for event in mine.journal.events()]


def test_ctrl_c_stops_the_playbook_and_reports_what_is_known(stage: Stage) -> None:
    stage.playbook(LOOK + TOUCH + WAIT)
    with stage.start_command() as command:
        assert command.stderr is not None
        assert any("Wait" in line for line in command.stderr)
        os.kill(command.pid, signal.SIGINT)
        out, _ = command.communicate(timeout=30)
    document = json.loads(out)
    assert command.returncode == 3
    assert (document["outcome"], document["incident"]) == ("unproven", stage.incident().id)
    assert "Ctrl-C" in document["reason"]
    assert stage.kinds()[-2:] == ["run.stop_requested", "run.interrupted"]
    assert list(stage.scratch.iterdir()) == []
    wait_until(lambda: not playbook_processes(stage))


def test_a_response_outlives_the_wrapper_and_cleans_up_after_it(stage: Stage) -> None:
    stage.playbook(LOOK + WAIT + TOUCH)
    with stage.start_command() as command:
        assert command.stderr is not None
        assert any("Wait" in line for line in command.stderr)
        command.kill()
    assert list(stage.scratch.iterdir()) != []
    stage.go.touch()
    wait_until(lambda: "run.finished" in stage.kinds())
    events = stage.incident().journal.events()
    assert outcome_of(stage.incident().id, events, "").outcome == "done"
    assert stage.touched.exists()
    wait_until(lambda: list(stage.scratch.iterdir()) == [])
