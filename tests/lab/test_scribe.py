# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The scribe under a real `ansible-playbook`: what a run leaves in the journal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.incident import (
    PHASES,
    list_incidents,
    open_incident,
    state_of,
)
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from hft_incident.sentences import sentence

COLLECTIONS = Path(__file__).parents[2] / "collections"
ANSIBLE_PLAYBOOK = Path(sys.executable).parent / "ansible-playbook"
CANARY = "canary5a1tc0ffee"

# Stands for a module of the collection: returns what the task says, and fails if told to.
SAY = """
from ansible.plugins.action import ActionBase
class ActionModule(ActionBase):
    _supports_check_mode = True
    def run(self, tmp=None, task_vars=None):
        args = dict(self._task.args)
        if args.pop("remember", None):
            import os
            args["msg"] = os.environ["HFT_INCIDENT_ID"] + " " + os.environ["HFT_INCIDENT_DIR"]
        return {**super().run(tmp, task_vars), "changed": False, **args}
"""


class Ran(NamedTuple):
    code: int
    out: str
    err: str
    home: Path

    def events(self) -> list[Event]:
        (incident,) = list_incidents(self.home)
        assert verify(incident.journal.path).state == "intact"
        return incident.journal.events()

    def data(self, kind: str) -> list[Mapping[str, Any]]:
        return [event.data for event in self.events() if event.kind == kind]

    def statuses(self) -> dict[str, str]:
        return {task["task"]: task["status"] for task in self.data("task.finished")}

    @property
    def outcome(self) -> str:
        (finished,) = self.data("run.finished")
        return str(finished["outcome"])


Play = Callable[..., Ran]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Runs a playbook given as text; `extra` are further arguments, `env` further variables."""
    (tmp_path / "action_plugins").mkdir()
    (tmp_path / "action_plugins" / "say.py").write_text(SAY)
    home = tmp_path / "home"

    def run(text: str, *extra: str, name: str = "exchange_outage.yml", env: Mapping[str, str] | None = None) -> Ran:
        (tmp_path / name).write_text(text)
        done = subprocess.run(
            command(tmp_path / name, *extra),
            env=environment(tmp_path, env or {}),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr, home)

    return run


def command(playbook: Path, *extra: str) -> list[str]:
    return [str(ANSIBLE_PLAYBOOK), "-i", "localhost,", "-c", "local", str(playbook), *extra]


def environment(tmp_path: Path, env: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "HFT_"))}
    return {
        **kept,
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_CALLBACKS_ENABLED": "hft.incident.scribe",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "HFT_INCIDENT_HOME": str(tmp_path / "home"),
        **env,
    }


def one_play(*tasks: str) -> str:
    """A playbook of one play in phase contain with these tasks, each the YAML of a mapping in flow style."""
    body = "".join(f"    - {task}\n" for task in tasks)
    return f"- name: Make it safe\n  hosts: all\n  gather_facts: false\n  tags: [contain]\n  tasks:\n{body}"


def test_a_run_leaves_the_record_the_contract_asks_for(play: Play) -> None:
    ran = play(
        one_play('{name: Cancel, say: {msg: "30 orders\\ncancelled", changed: true}}')
        + "- name: Look back\n  hosts: all\n  gather_facts: false\n  tags: [review]\n"
        "  tasks: [{name: Look, say: {}}, {name: Pass, say: {}, when: false}]\n",
        "-e", "exchange=binance reason='venue is down' confirmed=true severity=1 other=thing",
    )  # fmt: skip
    assert ran.code == 0, ran.out + ran.err
    assert [event.kind for event in ran.events()] == [
        "incident.opened", "run.started", "phase.entered", "task.finished", "phase.entered", "task.finished",
        "task.finished", "run.finished",
    ]  # fmt: skip
    (opened,) = ran.data("incident.opened")
    assert {name: opened[name] for name in opened if name not in ("assessment", "severity_rules")} == {
        "type": "exchange_outage",
        "inputs": {"exchange": "binance", "reason": "venue is down", "confirmed": "true"},
        "severity": 1,
        "check": False,
        "inventory": ["localhost,"],
    }
    (started,) = ran.data("run.started")
    assert (started["playbook"], started["check"], type(started["pid"])) == ("exchange_outage.yml", False, int)
    assert (started["inputs"], started["inventory"]) == (opened["inputs"], opened["inventory"])
    assert started["plays"] == [
        {"name": "Make it safe", "phase": "contain", "tag": "contain"},
        {"name": "Look back", "phase": "review", "tag": "review"},
    ]
    assert [dict(entered) for entered in ran.data("phase.entered")] == [
        {"phase": "contain", "play": "Make it safe"},
        {"phase": "review", "play": "Look back"},
    ]
    cancel = dict(ran.data("task.finished")[0])
    assert cancel.pop("elapsed_ms") > 0
    assert cancel == {
        "task": "Cancel", "play": "Make it safe", "phase": "contain", "host": "localhost", "action": "say",
        "status": "changed", "msg": "30 orders cancelled",
    }  # fmt: skip
    assert ran.statuses() == {"Cancel": "changed", "Look": "ok", "Pass": "skipped"}
    (finished,) = ran.data("run.finished")
    counts = {"tasks": 3, "failed": 0, "unreachable": 0}
    assert dict(finished) == {"run": started["run"], **counts, "outcome": "done", "reason": None}
    (incident,) = list_incidents(ran.home)
    assert f"incident {incident.id}: done; record {incident.journal.path}" in ran.out


def test_modules_on_the_control_node_find_the_journal(play: Play) -> None:
    ran = play(one_play("{name: Where, say: {remember: true}}"))
    (incident,) = list_incidents(ran.home)
    assert ran.data("task.finished")[0]["msg"] == f"{incident.id} {incident.directory}"


def test_records_and_inverses_of_a_result_are_written_before_its_task(play: Play) -> None:
    ran = play(
        one_play(
            "{name: Disable, say: {changed: true, record: [{kind: exchange.disabled, data: {exchange: okx}}],"
            " inverses: [{module: hft.incident.exchange, args: {name: okx, token: env:T}, describe: enable okx}]}}"
        )
    )
    kinds = [event.kind for event in ran.events()]
    assert kinds[3:6] == ["exchange.disabled", "inverse.registered", "task.finished"]
    (inverse,) = state_of(ran.events()).inverses
    assert re.fullmatch(r"[0-9a-f]{12}", inverse.id)
    assert inverse[1:] == ("Disable", "localhost", "hft.incident.exchange", {"name": "okx", "token": "env:T"},
                           "enable okx")  # fmt: skip


def test_check_mode_registers_no_inverse_and_says_so(play: Play) -> None:
    tasks = one_play(
        "{name: Disable, say: {inverses: [{module: m, args: {}, describe: d}]}}",
        "{name: Really, check_mode: false, say: {inverses: [{module: really, args: {}, describe: d}]}}",
    )
    ran = play(tasks, "--check")
    assert (ran.data("incident.opened")[0]["check"], ran.data("run.started")[0]["check"]) == (True, True)
    assert [inverse["module"] for inverse in ran.data("inverse.registered")] == ["really"]


def test_a_loop_is_one_task_and_its_items_are_recorded_once_each(play: Play) -> None:
    ran = play(
        one_play(
            "{name: Stop, loop: [a, b, c], say: {changed: true, record: [{kind: strategies.stopped,"
            " data: {id: '{{ item }}'}}], inverses: [{module: m, args: {id: '{{ item }}'}, describe: start}]}}",
            "{name: Mixed, loop: [failed, held, fine], ignore_errors: true,"
            " say: {failed: '{{ item != \"fine\" }}', record: [{kind: mixed.seen, data: {item: '{{ item }}'}}]}}",
        )
    )
    assert [data["id"] for data in ran.data("strategies.stopped")] == ["a", "b", "c"]
    assert [data["args"]["id"] for data in ran.data("inverse.registered")] == ["a", "b", "c"]
    assert [data["item"] for data in ran.data("mixed.seen")] == ["failed", "held", "fine"]
    assert ran.statuses() == {"Stop": "changed", "Mixed": "ignored"}


def test_a_retried_attempt_is_recorded_with_what_it_changed(play: Play) -> None:
    ran = play(
        one_play(
            "{name: Wait, register: seen, until: seen.attempts == 2, retries: 3, delay: 0, say: {msg: not yet,"
            " inverses: [{module: m, args: {}, describe: d}]}}"
        )
    )
    assert ran.data("task.retried") == [
        {"task": "Wait", "host": "localhost", "attempt": 1, "attempts": 4, "msg": "not yet"}
    ]
    assert len(ran.data("inverse.registered")) == 1, "to undo it once undoes both attempts"
    assert ran.statuses() == {"Wait": "ok"}


@pytest.mark.parametrize("outcome", ["unproven", "held", "usage", "failed"])
def test_the_outcome_of_the_run_is_the_one_the_failed_result_names(play: Play, outcome: str) -> None:
    ran = play(one_play(f"{{name: Prove, say: {{failed: true, msg: no, outcome: {outcome}}}}}"))
    assert ran.code == 2, "Ansible's own code for a failed host"
    assert (ran.outcome, ran.data("run.finished")[0]["failed"]) == (outcome, 1)
    told = sentence(next(event for event in ran.events() if event.kind == "task.finished"))
    assert told.split()[0] == ("held" if outcome == "held" else "failed")


def test_usage_after_a_change_and_any_plain_failure_are_failed(play: Play) -> None:
    changed = "{name: Change, say: {changed: true}}"
    assert play(one_play(changed, "{name: Typo, say: {failed: true, outcome: usage}}")).outcome == "failed"


def test_an_incident_whose_only_run_was_refused_is_closed_with_the_reason(play: Play) -> None:
    ran = play(one_play("{name: Look, say: {failed: true, msg: no such exchange, outcome: usage}}"))
    assert ran.data("incident.closed") == [{"resolution": "refused", "summary": "no such exchange"}]
    assert ran.events()[-1].kind == "run.finished", "the end of the run is still the end of its record"
    assert not state_of(ran.events()).is_open


def test_an_incident_in_which_no_play_found_a_host_is_closed_with_the_reason(play: Play) -> None:
    ran = play(one_play("{name: Any, say: {}}").replace("hosts: all", "hosts: nobody"))
    (closed,) = ran.data("incident.closed")
    assert (closed["resolution"], "no host matches" in closed["summary"]) == ("refused", True)


@pytest.mark.parametrize("outcome", ["unproven", "held", "failed"])
def test_an_incident_whose_run_was_not_refused_stays_open(play: Play, outcome: str) -> None:
    assert state_of(play(one_play(f"{{name: Prove, say: {{failed: true, outcome: {outcome}}}}}")).events()).is_open


def test_a_refused_run_leaves_an_incident_open_that_an_earlier_run_worked_on(play: Play, tmp_path: Path) -> None:
    given = open_incident("exchange_outage", home=tmp_path / "home")
    env = {"HFT_INCIDENT_ID": given.id}
    play(one_play("{name: Act, say: {changed: true}}"), env=env)
    ran = play(one_play("{name: Look, say: {failed: true, outcome: usage}}"), env=env)
    assert [data["outcome"] for data in ran.data("run.finished")] == ["done", "usage"]
    assert state_of(ran.events()).is_open


def test_a_failed_loop_takes_the_outcome_of_its_items(play: Play) -> None:
    ran = play(one_play("{name: Each, loop: [1, 2], say: {failed: '{{ item == 2 }}', outcome: unproven}}"))
    assert ran.outcome == "unproven"


def test_ignored_and_rescued_failures_are_recorded_as_such_and_do_not_fail_the_run(play: Play) -> None:
    ran = play(
        one_play(
            "{name: Ignored, ignore_errors: true, ansible.builtin.fail: {msg: never mind}}",
            "{block: [{block: [{name: Rescued, ansible.builtin.fail: {msg: oh}}]}], rescue: [{name: Rescue, say: {}}]}",
        )
    )
    assert ran.statuses() == {"Ignored": "ignored", "Rescued": "rescued", "Rescue": "ok"}
    assert (ran.code, ran.outcome) == (0, "done")


def test_a_failure_in_the_rescue_itself_fails_the_run(play: Play) -> None:
    ran = play(
        one_play(
            "{block: [{name: First, ansible.builtin.fail: {msg: oh}}],"
            " rescue: [{name: Second, say: {failed: true, outcome: unproven}}]}"
        )
    )
    assert ran.statuses() == {"First": "rescued", "Second": "failed"}
    assert ran.outcome == "unproven"


def test_an_unreachable_host_is_recorded_and_fails_the_run(play: Play) -> None:
    ran = play(
        one_play("{name: Reach, ansible.builtin.ping: {}}"),
        "-e", "ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1 ansible_ssh_common_args='-oBatchMode=yes'",
    )  # fmt: skip
    assert ran.statuses() == {"Reach": "unreachable"}
    assert (ran.outcome, ran.data("run.finished")[0]["unreachable"]) == ("failed", 1)


def test_no_secret_reaches_the_journal(play: Play, tmp_path: Path) -> None:
    nested = f"{{api_secret: {CANARY}, deep: [{{token: {CANARY}}}], url: 'https://x/?signature={CANARY}'}}"
    ran = play(
        one_play(
            f"{{name: Args, ansible.builtin.command: {{cmd: 'echo {CANARY}'}}, environment: {{K: {CANARY}}}}}",
            f"{{name: Hidden, no_log: true, say: {{msg: {CANARY}, changed: true}}}}",
            f"{{name: Hidden loop, no_log: true, loop: [{CANARY}], say: {{msg: '{{{{ item }}}}'}}}}",
            f"{{name: Result, say: {{answer: {CANARY}, diff: {{before: a, after: {CANARY}}}}}}}",
            f"{{name: Message, say: {{msg: 'refused GET /x?signature={CANARY}&a=1, Authorization: Bearer {CANARY}'}}}}",
            f"{{name: Record, say: {{record: [{{kind: a.happened, data: {nested}}}],"
            f" inverses: [{{module: m, args: {nested}, describe: d}}]}}}}",
            f"{{name: Fails, ignore_errors: true, ansible.builtin.command: {{cmd: 'false {CANARY}'}}}}",
        ),
        "-e", f"exchange=okx api_secret={CANARY}",
    )  # fmt: skip
    assert ran.statuses() == {
        "Args": "changed", "Hidden": "changed", "Hidden loop": "ok", "Result": "ok", "Message": "ok", "Record": "ok",
        "Fails": "ignored",
    }  # fmt: skip
    for path in (tmp_path / "home").rglob("*"):
        assert path.is_dir() or CANARY not in path.read_text()
    assert ran.data("task.finished")[4]["msg"] == "refused GET /x?signature=***&a=1, Authorization: Bearer ***"


def test_another_playbook_is_none_of_its_business(play: Play) -> None:
    ran = play(one_play("{name: Any, say: {}}"), name="site.yml")
    assert ran.code == 0, ran.err
    assert not ran.home.exists()
    assert "incident" not in ran.out


def test_a_run_goes_into_the_incident_it_is_given(play: Play, tmp_path: Path) -> None:
    given = open_incident("exchange_outage", home=tmp_path / "home")
    ran = play(one_play("{name: Any, say: {}}"), env={"HFT_INCIDENT_ID": given.id})
    kinds = [event.kind for event in ran.events()]
    assert kinds == ["incident.opened", "run.started", "phase.entered", "task.finished", "run.finished"]


@pytest.mark.parametrize("other", ["closed", "of another type", "a rehearsal"])
def test_an_incident_that_the_run_does_not_belong_to_is_refused(play: Play, tmp_path: Path, other: str) -> None:
    kind = "system_crash" if other == "of another type" else "exchange_outage"
    given = open_incident(kind, home=tmp_path / "home", check=other == "a rehearsal")
    if other == "closed":
        given.journal.append("incident.closed", {"resolution": "resolved"})
    before = given.journal.events()
    ran = play(one_play("{name: Any, say: {}}"), env={"HFT_INCIDENT_ID": given.id})
    assert ran.code == 2
    assert given.id in ran.err
    assert "nothing was started" in ran.err
    assert ran.events() == before


@pytest.mark.parametrize("name", ["hft_gates", "hft_allowed_signers"])
def test_who_may_open_again_is_not_said_on_the_command_line(play: Play, name: str) -> None:
    ran = play(one_play("{name: Any, say: {}}"), "-e", f'{{"{name}": {{"resume_trading": {{"people": 1}}}}}}')
    assert ran.code == 2
    assert f"{name}: who may open again" in ran.err
    assert not ran.home.exists(), "not even an incident was opened"


@pytest.mark.parametrize("broken", ["home", "id"])
def test_without_a_record_no_task_runs_and_the_exit_code_is_2(play: Play, tmp_path: Path, broken: str) -> None:
    (tmp_path / "file").write_text("")
    env = {"home": {"HFT_INCIDENT_HOME": str(tmp_path / "file" / "home")}, "id": {"HFT_INCIDENT_ID": "inc-nope"}}
    proof = tmp_path / "ran"
    ran = play(one_play(f"{{name: Touch, ansible.builtin.file: {{path: {proof}, state: touch}}}}"), env=env[broken])
    assert ran.code == 2
    assert not proof.exists()
    errors = [line for line in ran.err.splitlines() if line.strip()]
    assert any("nothing was started" in line for line in errors), ran.err
    assert "Traceback" not in ran.err + ran.out


def test_a_record_that_fails_on_the_way_does_not_stop_the_run_but_fails_it(play: Play, tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    ran = play(
        one_play(
            # A file where the folder was: nothing can be written there again.
            "{name: Block, ansible.builtin.shell: 'rm -rf $HFT_INCIDENT_DIR && touch $HFT_INCIDENT_DIR'}",
            f"{{name: Contain, ansible.builtin.file: {{path: {proof}, state: touch}}}}",
        )
    )
    assert proof.exists(), "containment goes on"
    assert ran.code == 1
    assert "cannot write the record" in ran.err
    assert ": failed; record" in ran.out


def test_a_record_that_is_taken_away_on_the_way_fails_the_run(play: Play) -> None:
    ran = play(one_play("{name: Erase, ansible.builtin.shell: 'rm -rf $HFT_INCIDENT_DIR'}"))
    assert ran.code == 1
    assert "was taken away" in ran.err


def test_an_event_that_cannot_be_recorded_is_noted_and_fails_the_run(play: Play) -> None:
    ran = play(one_play("{name: Odd, say: {record: [{kind: NotAKind, data: {}}, {kind: a.good, data: {}}]}}"))
    assert ran.data("record.refused")[0]["kind"] == "NotAKind"
    assert ran.data("a.good")
    assert (ran.code, ran.outcome) == (1, "failed")


def test_a_pattern_that_matches_no_host_is_never_a_silent_success(play: Play) -> None:
    nobody = one_play("{name: Any, say: {}}").replace("hosts: all", "hosts: nobody")
    ran = play(nobody)
    assert (ran.code, ran.outcome, ran.data("run.finished")[0]["tasks"]) == (2, "usage", 0)
    assert "no host matches" in ran.data("run.no_hosts")[0]["reason"]
    assert "no host matches" in ran.err


def test_a_play_without_hosts_after_others_acted_leaves_the_run_unproven(play: Play) -> None:
    acted = one_play("{name: Act, say: {changed: true}}")
    ran = play(acted + acted.replace("hosts: all", "hosts: nobody"))
    assert (ran.code, ran.outcome) == (3, "unproven")


def test_tags_that_leave_nothing_to_run_are_never_a_silent_success(play: Play) -> None:
    ran = play(one_play("{name: Any, say: {}}"), "--tags", "nothing")
    assert (ran.code, ran.outcome) == (2, "usage")
    assert ran.data("phase.entered") == []


def test_the_plays_of_imported_files_are_recorded_by_their_own_tags(play: Play, tmp_path: Path) -> None:
    """Of every such play Ansible mixes up the order of the two tags."""
    for phase in PHASES:
        text = one_play("{name: Say it, say: {msg: '{{ word }}'}}").replace("Make it safe", f"Shared {phase}")
        (tmp_path / f"{phase}.yml").write_text(text.replace("[contain]", f"[{phase}, own_{phase}]"))
    ran = play("".join(f"- import_playbook: {phase}.yml\n  vars: {{word: {phase}}}\n" for phase in PHASES))
    assert (ran.code, ran.outcome) == (0, "done"), ran.out + ran.err
    (started,) = ran.data("run.started")
    assert started["plays"] == [{"name": f"Shared {phase}", "phase": phase, "tag": f"own_{phase}"} for phase in PHASES]
    assert [entered["phase"] for entered in ran.data("phase.entered")] == list(PHASES)
    assert [task["msg"] for task in ran.data("task.finished")] == list(PHASES)


def test_a_phase_left_out_by_tags_is_not_entered(play: Play) -> None:
    both = one_play("{name: Any, say: {}}") + one_play("{name: Late, say: {}}").replace("contain", "review")
    ran = play(both, "--tags", "contain")
    assert [entered["phase"] for entered in ran.data("phase.entered")] == ["contain"]
    assert ran.outcome == "done"


def test_an_interrupted_run_says_so(play: Play, tmp_path: Path) -> None:
    started = tmp_path / "started"
    playbook = tmp_path / "system_crash.yml"
    os.mkfifo(started)
    playbook.write_text(
        one_play(
            "{name: First, say: {}}",
            f"{{name: Hang, ansible.builtin.shell: 'echo up > {started}; exec sleep 60'}}",
        )
    )
    process = subprocess.Popen(
        command(playbook),
        env=environment(tmp_path, {}),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert started.read_text() == "up\n"  # opening a pipe waits for the other end
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) != 0
    finally:
        os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
    (incident,) = list_incidents(tmp_path / "home")
    last = incident.journal.events()[-1]
    assert (last.kind, last.data["tasks"]) == ("run.interrupted", 1)
    assert state_of(incident.journal.events()).outcome is None


def test_its_documentation_renders(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(ANSIBLE_PLAYBOOK.with_name("ansible-doc")), "-t", "callback", "--json", "hft.incident.scribe"],
        env=environment(tmp_path, {}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (
        json.loads(done.stdout)["hft.incident.scribe"]["doc"]["short_description"] == "Writes the record of an incident"
    )


def test_a_run_whose_steps_all_went_well_is_not_done_while_a_venue_is_not_proven_clear(play: Play) -> None:
    kill = "{kind: kill.verified, data: {verdict: unknown, venues: [{name: okx, verdict: unknown}]}}"
    ran = play(one_play(f"{{name: Kill, say: {{record: [{kill}]}}}}"))
    assert (ran.code, ran.outcome) == (3, "unproven")
    assert ran.data("run.finished")[0]["reason"] == "not proven safe: okx is unknown"
