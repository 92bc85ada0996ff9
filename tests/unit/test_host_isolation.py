# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The control node's part of an isolation: from outside, then the host, then the proof; and a revert by systemd."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils import isolation_revert
from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.claims import held_by
from ansible_collections.hft.incident.plugins.module_utils.deadline import Deadline
from ansible_collections.hft.incident.plugins.module_utils.errors import UnprovenError
from ansible_collections.hft.incident.plugins.module_utils.isolation_host import SPEC
from ansible_collections.hft.incident.plugins.module_utils.isolation_revert import Isolation
from ansible_collections.hft.incident.plugins.module_utils.steps import Context, Params, Result, run_step
from ansible_collections.hft.incident.plugins.module_utils.steps.host_isolation import run_on
from hft_incident.sentences import sentence

AT = "2026-11-27T03:05:00.000000Z"
APPLIED: Result = {
    "changed": True,
    "msg": "is in force",
    "confirmed": False,
    "ruleset": "f" * 64,
    "responders": ["192.0.2.10/32"],
    "ssh_ports": [22],
    "reverts_at": AT,
    "sockets_killed": ["tcp 10.0.0.5:1 -> 203.0.113.9:4444"],
    "diff": {"before": "", "after": "table"},
}
PROBES = [{"destination": "198.51.100.7:443", "blocked": True, "how": "no answer in 2 s"}]
PROVEN: Result = {"changed": True, "confirmed": True, "reverts_at": "", "probes": PROBES, "msg": "proven"}
OPENED: Result = {"changed": True, "msg": "the host is open", "reverted_at": ""}
USAGE: Result = {"failed": True, "changed": False, "msg": "nft: not found", "outcome": "usage"}

Answer = Result | Exception


class Host:
    """Answers what it is told to, in this order, and remembers what it was asked."""

    def __init__(self, *answers: Answer, log: list[str] | None = None) -> None:
        self._answers = list(answers)
        self.asked: list[Params] = []
        self.log = [] if log is None else log

    def __call__(self, params: Params, _context: Context) -> Result:
        self.asked.append(params)
        self.log.append("confirm" if params["confirm"] else params["state"])
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def play(host: Host, *, check: bool = False, **given: Any) -> Result:
    defaults = {name: option.get("default") for name, option in SPEC.items()}
    task = {"state": "isolated", "responders": ["192.0.2.10"], "forbidden": ["198.51.100.7:443"], **given}

    def note(kind: str, data: Mapping[str, Any]) -> None:
        host.log.append(f"{kind} {data['state']} {data['done']}")

    def intend(inverses: Any) -> list[dict[str, Any]]:
        host.log.append("intend")
        return [{**inverse, "id": "i1"} for inverse in inverses]

    context = Context(check, note, intend)
    return run_step(lambda params, ctx: run_on(params, ctx, "hft-1", host), {**defaults, **task}, context)


def kinds(result: Result) -> list[str]:
    return [line["kind"] for line in result["record"]]


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., list[str]]:
    """A site's own command, which writes down what it was told."""

    def make(rest: str = "") -> list[str]:
        path = tmp_path / "switch-port"
        path.write_text(f'#!/bin/sh\necho "$HFT_HOST $HFT_STATE $*" >> {tmp_path / "told"}\n{rest}\n')
        path.chmod(0o755)
        return [str(path), "--vlan", "9"]

    return make


def test_intended_applied_proven_in_this_order() -> None:
    host = Host(APPLIED, PROVEN)
    result = play(host)
    assert host.log == ["intend", "isolated", "confirm"]
    assert (result["changed"], result["confirmed"], result["reverts_at"]) == (True, True, "")
    assert "outcome" not in result
    assert host.asked[1]["confirm"] == APPLIED["ruleset"]
    assert kinds(result) == ["host.isolated"]
    assert result["inverses"][0]["id"] == "i1"
    assert result["inverses"][0]["args"]["state"] == "open"
    assert APPLIED["sockets_killed"] == result["sockets_killed"]


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        (UnprovenError("hft-1 cannot be reached: timeout"), "cannot be reached"),
        ({"failed": True, "msg": "198.51.100.7:443 is in reach", "probes": [], "reverts_at": AT}, "is in reach"),
        ({"msg": "a hostile host's own idea", "confirmed": "yes"}, "NOT PROVEN"),
        ({"msg": "and another", "confirmed": True, "failed": True}, "NOT PROVEN"),
        ({}, "the host gave no result"),
    ],
)
def test_whatever_is_not_proven_is_unproven_and_says_when_it_is_taken_back(proof: Answer, said: str) -> None:
    result = play(Host(APPLIED, proof))
    assert (result["failed"], result["outcome"], result["confirmed"]) == (True, "unproven", False)
    assert said in result["msg"]
    assert AT in result["msg"]
    assert kinds(result) == ["host.isolated"]
    assert result["record"][0]["data"]["confirmed"] is False
    assert result["inverses"]


def test_no_revert_is_promised_where_none_is_armed() -> None:
    result = play(Host(APPLIED, {"failed": True, "msg": "the rules are others", "reverts_at": ""}))
    assert result["msg"].endswith("the rules are others; no revert is armed")


def test_a_host_that_goes_away_meanwhile_is_unproven() -> None:
    result = play(Host(UnprovenError("hft-1 cannot be reached: reset")), revert_after=77)
    assert (result["failed"], result["outcome"]) == ("failed" in result, "unproven")
    assert result["msg"].endswith("what was applied, if anything was, is taken back within 77 s")


def test_what_was_proven_already_is_not_proven_again() -> None:
    host = Host({**APPLIED, "changed": False, "confirmed": True})
    result = play(host)
    assert (result["changed"], result.get("record"), result["inverses"]) == (False, None, [])
    assert host.log == ["intend", "isolated"]


def test_a_wrong_argument_changes_nothing_anywhere(command: Callable[..., list[str]], tmp_path: Path) -> None:
    host = Host()
    result = play(host, responders=["TRUSTED_IP"], external_command=command())
    assert (result["outcome"], host.log) == ("usage", [])
    assert not (tmp_path / "told").exists()


@pytest.mark.parametrize("option", ["confirm", "control_node"])
def test_what_only_the_action_plugin_says_a_task_may_not(option: str) -> None:
    host = Host()
    given: dict[str, Any] = {option: "x"}
    assert play(host, **given)["outcome"] == "usage"
    assert host.log == []


def test_what_the_host_refuses_is_wrong_usage() -> None:
    assert play(Host(USAGE)) == {**USAGE, "changed": False}


def test_a_refusal_after_something_was_changed_is_not() -> None:
    result = play(Host(APPLIED, USAGE))
    assert (result["outcome"], result["changed"]) == ("unproven", True)


def test_check_mode_asks_the_host_and_does_nothing(command: Callable[..., list[str]], tmp_path: Path) -> None:
    host = Host({**APPLIED, "msg": "would be applied"})
    result = play(host, check=True, external_command=command())
    assert (result["changed"], host.log) == (True, ["isolated"])
    assert result["external"] == {"state": "not run", "msg": "would be asked for isolated"}
    assert "record" not in result
    assert not (tmp_path / "told").exists()


# From outside ---------------------------------------------------------------------------------------------------------


def test_from_outside_comes_first_and_is_told_host_and_state(command: Callable[..., list[str]], tmp_path: Path) -> None:
    host = Host(APPLIED, PROVEN)
    result = play(host, external_command=command())
    assert host.log == ["intend", "host.external_isolation isolated True", "isolated", "confirm"]
    assert (tmp_path / "told").read_text() == "hft-1 isolated --vlan 9 hft-1\n"
    assert result["external"] == {"state": "isolated", "msg": ""}
    assert result["inverses"][0]["args"]["external_command"] == command()


@pytest.mark.parametrize(
    ("rest", "said"), [("echo no such port >&2; exit 4", "no such port"), ("exec sleep 60", "no end in 0.5 s")]
)
def test_that_it_failed_is_loud_and_holds_nothing_up(command: Callable[..., list[str]], rest: str, said: str) -> None:
    host = Host(APPLIED, PROVEN)
    result = play(host, external_command=command(rest), external_timeout=0.5)
    assert host.log == ["intend", "host.external_isolation isolated False", "isolated", "confirm"]
    assert result["confirmed"] is True
    assert "FROM OUTSIDE IT FAILED: " in result["msg"]
    assert said in result["msg"]
    assert result["external"]["state"] == "failed"


@pytest.mark.parametrize("answer", [USAGE, UnprovenError("hft-1 cannot be reached")])
def test_what_was_done_from_outside_stays_said_where_the_host_fails(
    command: Callable[..., list[str]], answer: Answer
) -> None:
    result = play(Host(answer), external_command=command())
    assert (result["failed"], result["changed"], result["outcome"]) == (True, True, "unproven")
    assert "from outside it is isolated" in result["msg"]


def test_it_is_opened_from_outside_only_once_the_host_is(command: Callable[..., list[str]], tmp_path: Path) -> None:
    held = {"failed": True, "changed": False, "msg": "1 connections could not be cut", "outcome": "held"}
    result = play(Host(held), state="open", external_command=command())
    assert (result["outcome"], result["external"]["state"]) == ("held", "none")
    assert not (tmp_path / "told").exists()
    host = Host(OPENED)
    assert kinds(play(host, state="open", external_command=command())) == ["host.isolation_reverted"]
    assert host.log == ["open", "host.external_isolation open True"]
    assert (tmp_path / "told").read_text() == "hft-1 open --vlan 9 hft-1\n"


def test_what_stays_shut_from_outside_is_not_undone(command: Callable[..., list[str]]) -> None:
    result = play(Host(OPENED), state="open", external_command=command("exit 1"))
    assert (result["failed"], result["outcome"], result["changed"]) == (True, "unproven", True)


# On record ------------------------------------------------------------------------------------------------------------


def test_the_record_reads_as_what_happened() -> None:
    def said(result: Result) -> list[str]:
        return [sentence(Event(1, AT, "x", line["kind"], line["data"], "", "")) for line in result["record"]]

    (proven,) = said(play(Host(APPLIED, PROVEN)))
    assert proven == (
        "hft-1 is isolated, proven over a new connection; only 192.0.2.10/32 get in, it cannot reach "
        "198.51.100.7:443; 1 connections cut"
    )
    (unproven,) = said(play(Host({**APPLIED, "sockets_left": ["tcp a -> b"]}, {"msg": "no"})))
    assert unproven.startswith(f"hft-1 is NOT PROVEN isolated; open again at {AT}; ")
    assert unproven.endswith("NOT CUT: tcp a -> b")
    by_itself, opened = said(play(Host({**OPENED, "reverted_at": AT}), state="open"))
    assert by_itself == f"hft-1 is no longer isolated, by its own revert at {AT}"
    assert opened == "hft-1 is no longer isolated, by a responder"


def test_another_incident_does_not_open_what_this_one_isolated() -> None:
    (inverse,) = play(Host(APPLIED, PROVEN))["inverses"]
    told = {**inverse, "task": "Isolate", "host": "hft-1"}
    event = Event(1, AT, "x", "inverse.registered", told, "", "")
    assert [(thing.kind, thing.name) for thing in held_by([event])] == [("host", "hft-1")]


# A revert by systemd --------------------------------------------------------------------------------------------------


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs in the place of systemd's own, which write down what they were told."""
    (tmp_path / "bin").mkdir()
    for name in ("systemd-run", "systemctl", "nft", "ss"):
        path = tmp_path / "bin" / name
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {tmp_path / name}.told\n')
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(isolation_revert, "SYSTEMD", tmp_path)
    monkeypatch.setattr(isolation_revert, "FOLDER", tmp_path / "run")
    (tmp_path / "run").mkdir()
    return tmp_path


def told(folder: Path, program: str) -> list[str]:
    path = folder / f"{program}.told"
    return path.read_text().splitlines() if path.exists() else []


def test_where_systemd_is_there_it_keeps_the_time(systemd: Path) -> None:
    isolation = Isolation("ir_isolate")
    name, _at = isolation.arm(300, "ss -K", Deadline(10))
    argv = told(systemd, "systemd-run")
    unit = f"hft-isolation-revert-{name}"
    assert argv[:-3] == [
        "--quiet",
        "--collect",
        f"--unit={unit}",
        "--on-active=300s",
        "--timer-property=AccuracySec=1s",
    ]
    assert argv[-3:-1] == ["/bin/sh", "-c"]
    assert not set("$%") & set(argv[-1]), "systemd would expand it"
    assert told(systemd, "systemctl") == ["is-active", f"{unit}.timer"]
    assert isolation.armed
    subprocess.run(argv[-3:], check=True)  # as systemd does when the time has come
    assert told(systemd, "ss") == ["-K"]
    assert told(systemd, "nft") == ["delete", "table", "inet", "ir_isolate"]
    assert not isolation.armed
    assert isolation.reverted_at


def test_one_that_was_disarmed_does_nothing_when_its_time_comes(systemd: Path) -> None:
    isolation = Isolation("ir_isolate")
    first, _at = isolation.arm(300, "ss -K", Deadline(10))
    script = told(systemd, "systemd-run")[-3:]
    second, _at = isolation.arm(300, "ss -K", Deadline(10))
    assert isolation.disarm(but=second) == [first]
    assert isolation.armed
    assert isolation.disarm() == [second]
    assert told(systemd, "systemctl")[-2:] == ["stop", f"hft-isolation-revert-{second}.timer"]
    subprocess.run(script, check=True, stderr=subprocess.DEVNULL)
    assert (told(systemd, "nft"), isolation.reverted_at) == ([], "")


def test_one_that_has_begun_cannot_be_disarmed_any_more(systemd: Path) -> None:
    isolation = Isolation("ir_isolate")
    isolation.arm(300, "ss -K", Deadline(10))
    subprocess.run(told(systemd, "systemd-run")[-3:], check=True)
    assert isolation.disarm() == []


@pytest.mark.parametrize("program", ["systemd-run", "systemctl"])
def test_a_timer_that_does_not_run_is_not_armed(systemd: Path, program: str) -> None:
    path = systemd / "bin" / program
    path.write_text("#!/bin/sh\necho bus is gone >&2\nexit 1\n")
    isolation = Isolation("ir_isolate")
    with pytest.raises(UnprovenError, match="could not be armed, so nothing was applied: bus is gone"):
        isolation.arm(300, "ss -K", Deadline(10))
    assert not isolation.armed


@pytest.mark.parametrize("text", ["", "{", "[]", '{"digest": 1}', json.dumps({"responders": ["0.0.0.0/0"]})])
def test_what_is_not_ours_to_read_counts_as_nothing(systemd: Path, text: str) -> None:
    (systemd / "run/isolation-ir_isolate.json").write_text(text)
    assert Isolation("ir_isolate").applied is None
