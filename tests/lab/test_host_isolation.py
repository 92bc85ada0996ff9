# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A suspect host isolated for real: nftables, sshd, an intruder's open connection, in network namespaces."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.incident import ENV_DIR, open_incident, open_inverses
from ansible_collections.hft.incident.plugins.module_utils.steps import Context, Params, Result, run_step
from ansible_collections.hft.incident.plugins.module_utils.steps.host_isolation import run_on

from .isolation_net import C2_PORT, EXCHANGE_PORT, SERVICE_PORT, Net, isolation_net, v4, v6
from .isolation_stage import (
    FORBIDDEN,
    PART,
    ROOT,
    TABLE,
    USUAL,
    Intruder,
    Shell,
    asked,
    gets_in,
    kinds,
    nowhere,
    over_ssh,
    play,
    require_isolated,
    require_open,
    require_proven,
)
from .waiting import wait_until


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    with isolation_net(tmp_path_factory.mktemp("isolation") / "net") as made:
        yield made


@pytest.fixture
def net(shared: Net) -> Iterator[Net]:
    """Open before and, however the test ended, after."""
    assert TABLE not in shared.tables()
    yield shared
    shared.on_host("sh", "-c", f"nft delete table {TABLE}; rm -f /run/hft-incident/isolation-*")
    wait_until(lambda: not shared.reverts())


@pytest.fixture
def intruder(net: Net) -> Iterator[Intruder]:
    with contextlib.closing(Intruder(net)) as one:
        assert one.alive
        yield one


@pytest.fixture
def shell(net: Net) -> Iterator[Shell]:
    with contextlib.closing(Shell(net)) as one:
        yield one


# Again and again ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [10, pytest.param(100, marks=pytest.mark.endurance)])
def test_time_and_again_it_isolates_and_nothing_comes_back_to_life(net: Net, times: int) -> None:
    with contextlib.closing(Shell(net)) as shell:
        for _time in range(times):
            with contextlib.closing(Intruder(net)) as intruder:
                assert intruder.alive
                isolated = play(net, asked())
                require_proven(isolated)
                assert len(isolated["sockets_killed"]) >= 2
                assert (isolated["sockets_left"], isolated["conntrack"]) == ([], "")
                assert shell.alive
                assert gets_in(net)
                assert not net.reaches("host", v4("exchange"), EXCHANGE_PORT, 0.02)
                assert not net.reaches("c2", v6("host"), SERVICE_PORT, 0.02)
                opened = play(net, asked(state="open"))
                assert opened["changed"] is True, opened["msg"]
                intruder.require_dead()
                assert shell.alive
            require_open(net)


# Through Ansible ------------------------------------------------------------------------------------------------------


def playbook(net: Net, tasks: list[dict[str, Any]], *options: str, home: Path | None = None) -> list[Result]:
    """The results of a real ``ansible-playbook`` that reaches the host as any other and keeps the connection."""
    folder = net.folder
    keys = f"-F none -o IdentitiesOnly=yes -o UserKnownHostsFile={folder / 'known_hosts'}"
    variables = {
        "ansible_host": v4("host"),
        "ansible_user": "root",
        "ansible_python_interpreter": sys.executable,
        "ansible_ssh_private_key_file": str(folder / "ops"),
        "ansible_ssh_common_args": keys,
        "ansible_control_path_dir": str(folder / "cp"),
        "hft_responders": [v4("control")],
        "hft_isolation_forbidden": FORBIDDEN,
    }
    (folder / "inventory.yml").write_text(json.dumps({"all": {"hosts": {"hft-1": variables}}}))
    (folder / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    settings = {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_PIPELINING": "true",
    }
    settings |= {ENV_DIR: str(home)} if home else {}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "HFT_"))}
    program = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        net.command("control", [program, "-i", "inventory.yml", *options, "play.yml"]),
        cwd=folder, env={**kept, **settings}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    found = re.search(r"RESULTS=([\w+/=]+)", done.stdout)
    assert found, done.stdout + done.stderr
    results: list[Result] = json.loads(base64.b64decode(found[1]))
    return results


def told(*tasks: dict[str, Any]) -> list[dict[str, Any]]:
    """These tasks, and one that says what came of them."""
    kept = [
        {"name": f"Task {n}", "ignore_errors": True, **task, "register": f"did_{n}"} for n, task in enumerate(tasks)
    ]
    names = ", ".join(f"did_{n}" for n in range(len(kept)))
    message = "RESULTS={{ [" + names + "] | to_json | b64encode }}"
    return [*kept, {"name": "Tell", "ansible.builtin.debug": {"msg": message}}]


ISOLATED = {"hft.incident.host_isolation": {"state": "isolated", "probe_timeout": 0.2}}
OPEN = {"hft.incident.host_isolation": {"state": "open"}}
LOOK = {"ansible.builtin.command": "true"}


def logins(net: Net) -> int:
    return (net.folder / "sshd.log").read_text().count("Accepted publickey")


def test_a_playbook_isolates_and_opens_over_connections_of_its_own(net: Net, intruder: Intruder) -> None:
    (predicted,) = playbook(net, told(ISOLATED), "--check", "--diff")
    assert intruder.alive
    require_open(net)
    before = logins(net)
    looked, isolated, again, still = playbook(net, told(LOOK, ISOLATED, ISOLATED, LOOK), "--diff")
    assert (isolated["confirmed"], isolated["msg"]) == (True, "hft-1 is isolated, proven over a new connection")
    assert (predicted["changed"], isolated["changed"], again["changed"]) == (True, True, False)
    assert predicted["diff"] == isolated["diff"]
    assert again["diff"]["before"] == again["diff"]["after"] == isolated["diff"]["after"]
    assert kinds(isolated) == ["host.isolated"]
    assert not looked.get("failed")
    assert not still.get("failed"), "what Ansible keeps open still works"
    assert logins(net) - before == 1 + 2 + 1, "one that is kept; to apply and to prove; to see that it is in force"
    require_isolated(net)
    opened, again = playbook(net, told(OPEN, OPEN), "--diff")
    assert (opened["changed"], again["changed"]) == (True, False)
    assert kinds(opened) == ["host.isolation_reverted"]
    intruder.require_dead()
    require_open(net)


def test_the_journal_knows_how_to_undo_it_before_it_is_done_and_undo_does(
    net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(tmp_path))
    incident = open_incident("security_breach", severity=1, home=tmp_path)
    playbook(net, told(ISOLATED), "--check", home=incident.directory)
    assert not open_inverses(incident.journal.events(), "hft-1")
    (isolated,) = playbook(net, told(ISOLATED), home=incident.directory)
    (inverse,) = open_inverses(incident.journal.events(), "hft-1")
    assert isolated["inverses"][0]["id"] == inverse.id
    assert inverse.describe == "end the isolation of hft-1"
    require_isolated(net)
    (undone,) = playbook(net, told({"hft.incident.undo": {"only": ["host_isolation"]}}), home=incident.directory)
    assert undone["undone"] == ["end the isolation of hft-1"], undone
    assert not open_inverses(incident.journal.events(), "hft-1")
    require_open(net)


def test_evidence_that_is_required_is_waited_for(net: Net, tmp_path: Path) -> None:
    incident = open_incident("security_breach", severity=1, home=tmp_path)
    task = {"hft.incident.host_isolation": {"state": "isolated", "require_evidence": True}}
    (held,) = playbook(net, told(task), home=incident.directory)
    assert held["outcome"] == "held"
    assert "evidence of hft-1 was not kept" in held["msg"]
    require_open(net)


# What it keeps and what it cuts ---------------------------------------------------------------------------------------


def test_rules_that_accept_open_no_hole_and_stay_as_they_are(net: Net) -> None:
    net.on_host("sh", "-c", f"nft -f - <<'N'{USUAL}N\n")
    try:
        with contextlib.closing(Intruder(net)) as intruder:
            usual = net.on_host("nft", "list", "table", "inet", "usual").stdout
            assert "established" in usual
            require_proven(play(net, asked()))
            require_isolated(net)
            assert net.on_host("nft", "list", "table", "inet", "usual").stdout == usual
            tracked = net.on_host("conntrack", "-L").stdout + net.on_host("conntrack", "-L", "-f", "ipv6").stdout
            assert v4("c2") not in tracked
            assert f"{v6('c2')} " not in tracked
            assert v4("control") in tracked, "a responder's own is not forgotten"
            play(net, asked(state="open"))
            intruder.require_dead()
            assert net.on_host("nft", "list", "table", "inet", "usual").stdout == usual
    finally:
        net.on_host("nft", "delete", "table", "inet", "usual")


def test_a_session_that_only_listens_hears_the_host_after_it_is_isolated(net: Net) -> None:
    """Connection tracking has not seen it begin, and is told nothing by the responder."""
    wait = "echo waiting; until nft list table inet ir_isolate; do sleep 0.05; done >/dev/null; sleep 0.3; echo heard"
    silent = net.ssh(wait)
    silent.insert(silent.index("ssh") + 1, "-oServerAliveInterval=0")
    with subprocess.Popen(silent, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as listening:
        try:
            assert listening.stdout
            assert listening.stdout.readline() == "waiting\n"
            isolated = play(net, asked())
            require_proven(isolated)
            assert listening.communicate(timeout=60)[0] == "heard\n"
        finally:
            listening.kill()


def test_responders_may_come_over_ipv6_and_from_networks(net: Net) -> None:
    given = asked(responders=["10.77.0.8/30", f"{v6('control')}/128"])
    require_proven(play(net, given))
    assert gets_in(net, address=v6("host"))
    assert gets_in(net, "other"), "10.77.0.11 is in 10.77.0.8/30"
    assert not gets_in(net, "other", v6("host"))


def test_a_process_that_was_named_is_killed_if_it_has_a_connection_that_is_cut(net: Net) -> None:
    talk = "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2]))); s.recv(1); s.recv(1)"
    with net.listen("c2", C2_PORT) as server:
        argv = [sys.executable, "-c", talk]
        away = subprocess.Popen(net.command("host", [*argv, v4("c2"), str(C2_PORT)]), stderr=subprocess.DEVNULL)
        there, _from = server.accept()
        home = subprocess.Popen(net.command("host", [*argv, "127.0.0.1", str(SERVICE_PORT)]))
        try:
            wait_until(lambda: str(SERVICE_PORT) in net.on_host("ss", "-Htnp", "state", "established").stdout)
            isolated = play(net, asked(kill_processes=[str(away.pid), str(home.pid), "sshd"]))
            require_proven(isolated)
            assert away.wait(10) == -signal.SIGKILL
            assert home.poll() is None, "within the host it may talk"
            assert gets_in(net)
        finally:
            there.close()
            for process in (away, home):
                process.kill()
                process.wait()


# Taken back -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def in_its_place(net: Net, program: str, script: str) -> Iterator[None]:
    """A program of the host is another one; ``$REAL`` is where the first one is."""
    path = net.on_host("sh", "-c", f"PATH=$PATH:/usr/sbin readlink -f $(command -v {program})").stdout.strip()
    net.on_host("cp", path, f"/run/real-{program}")
    other = net.folder / f"{program}.sh"
    other.write_text(f"#!/bin/bash\nREAL=/run/real-{program}\n{script}\n")
    other.chmod(0o755)
    assert net.on_host("mount", "--bind", str(other), path).returncode == 0
    try:
        yield
    finally:
        net.on_host("umount", path)


def test_what_is_still_in_reach_is_named_and_the_host_opens_again(net: Net, intruder: Intruder) -> None:
    """A proxy on the host itself, say, that takes what is meant for the exchange."""
    assert net.on_host("ip", "route", "add", "local", v4("exchange"), "dev", "lo").returncode == 0
    try:
        with net.listen("host", EXCHANGE_PORT):
            failed = play(net, asked(revert_after=2))
        assert (failed["failed"], failed["outcome"], failed["confirmed"]) == (True, "unproven", False)
        assert f"hft-1 is NOT PROVEN isolated: {FORBIDDEN[0]} is in reach (connected)" in failed["msg"]
        assert f"taken back at {failed['reverts_at']}" in failed["msg"]
        assert kinds(failed) == ["host.isolated"]
        assert failed["inverses"]
        wait_until(lambda: TABLE not in net.tables())
        intruder.require_dead()
        wait_until(lambda: not net.reverts())
    finally:
        net.on_host("ip", "route", "del", "local", v4("exchange"), "dev", "lo")
    again = play(net, asked())
    require_proven(again)
    assert kinds(again) == ["host.isolation_reverted", "host.isolated"], "what happened meanwhile is on record"
    assert again["record"][0]["data"]["by"] == "its own revert"


def test_a_destination_that_refuses_was_reached(net: Net) -> None:
    """Nobody listens there, but that is the answer of another host."""
    answer = (
        "table inet before { chain out { type filter hook output priority -20; tcp dport 9 reject with tcp reset; }; }"
    )
    assert net.on_host("nft", answer).returncode == 0
    try:
        failed = play(net, asked(forbidden=[f"{v4('exchange')}:9"], revert_after=1))
        assert f"{v4('exchange')}:9 is in reach (Connection refused)" in failed["msg"]
    finally:
        net.on_host("nft", "delete", "table", "inet", "before")
    wait_until(lambda: TABLE not in net.tables())


def test_the_host_begins_nothing_with_a_responder_either(net: Net) -> None:
    """From the port that answers, too, which whoever is root there may use."""
    require_proven(play(net, asked()))

    def from_ssh_port() -> socket.socket:
        begun = socket.socket()
        begun.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        begun.settimeout(0.5)
        begun.bind((v4("host"), 2222))
        begun.connect((v4("control"), 9999))
        return begun

    with net.listen("control", 9999):
        both = asked(ssh_ports=[22, 2222])
        require_proven(play(net, both))
        with pytest.raises(OSError, match="timed out"):
            net.within("host", from_ssh_port)


@pytest.mark.parametrize("when", ["before it is proven", "after it was proven"])
def test_rules_that_somebody_has_tampered_with_are_not_those(net: Net, when: str) -> None:
    hole = ("nft", "insert", "rule", "inet", "ir_isolate", "ir_out", "ip", "daddr", v4("c2"), "accept")
    if when == "after it was proven":
        require_proven(play(net, asked()))
        assert net.on_host(*hole).returncode == 0
        again = play(net, asked())
        assert again["changed"] is True
        require_proven(again)
        require_isolated(net)
        return

    def meanwhile(params: Params, context: Context) -> Result:
        if params["confirm"]:
            assert net.on_host(*hole).returncode == 0
        return over_ssh(net, params, context)

    context = Context(False, nowhere)
    failed = run_step(lambda given, ctx: run_on(given, ctx, "hft-1", meanwhile), asked(), context)
    assert failed["outcome"] == "unproven"
    assert "the rules in force are not those that were applied" in failed["msg"]


def test_responders_who_are_not_us_give_us_the_host_back(net: Net, intruder: Intruder) -> None:
    """Applied by a colleague whose addresses leave this control node out."""
    nodes = iter(["other", "control"])
    failed = run_step(
        lambda given, context: run_on(
            given, context, "hft-1", lambda params, _: over_ssh(net, params, context, node=next(nodes))
        ),
        asked(responders=[v4("other")], revert_after=3),
        Context(False, nowhere),
    )
    assert failed["outcome"] == "unproven"
    # Or it can be again: ssh may have tried for as long as that.
    assert "the host cannot be reached" in failed["msg"] or "has opened by itself already" in failed["msg"]
    wait_until(lambda: gets_in(net), 30)
    intruder.require_dead()
    wait_until(lambda: not net.reverts())


def test_a_proof_that_comes_too_late_is_none(net: Net, intruder: Intruder) -> None:
    """The host opens between what was applied and the new connection."""

    def late(params: Params, context: Context) -> Result:
        if params["confirm"]:
            wait_until(lambda: TABLE not in net.tables())
            wait_until(lambda: not net.reverts())
        return over_ssh(net, params, context)

    context = Context(False, nowhere)
    failed = run_step(lambda given, ctx: run_on(given, ctx, "hft-1", late), asked(revert_after=1), context)
    assert (failed["outcome"], failed["confirmed"]) == ("unproven", False)
    assert failed["msg"] == "hft-1 is NOT PROVEN isolated: the host has opened by itself already; no revert is armed"
    intruder.require_dead()


def killed(net: Net, where: str, **given: Any) -> None:
    """The host's part, killed right before it does what is named; at the host's console."""
    code = (
        "import json, os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from ansible_collections.hft.incident.plugins.module_utils import isolation_host, nftables\n"
        "from ansible_collections.hft.incident.plugins.module_utils.steps import Context\n"
        "def die(*_args, **_options): os.kill(os.getpid(), 9)\n"
        f"{where} = die\n"
        "isolation_host.change(json.loads(sys.argv[2]), Context(False, None))\n"
    )
    params = json.dumps({**asked(**given), "control_node": None})
    done = net.on_host(sys.executable, "-c", code, str(ROOT / "collections"), params)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_killed_right_after_it_has_applied_the_host_opens_by_itself(net: Net, intruder: Intruder) -> None:
    killed(net, "isolation_host.Connections.destroy", revert_after=2)
    assert TABLE in net.tables()
    wait_until(lambda: TABLE not in net.tables())
    intruder.require_dead()
    assert gets_in(net)


def test_one_that_was_armed_by_a_killed_run_takes_nothing_back_that_was_proven_since(net: Net) -> None:
    killed(net, "nftables.apply", revert_after=3)
    killed(net, "isolation_host.Isolation.note", revert_after=3)
    assert len(net.reverts()) >= 1
    require_proven(play(net, asked()))
    wait_until(lambda: not net.reverts())
    require_isolated(net)


def test_one_that_was_armed_by_a_killed_run_does_not_cut_the_next_one_short(net: Net) -> None:
    killed(net, "nftables.apply", revert_after=2)
    killed(net, "isolation_host.Connections.destroy", revert_after=60)
    wait_until(lambda: len(net.reverts()) == 1)
    assert TABLE in net.tables()


def test_rules_that_the_kernel_does_not_take_change_nothing(net: Net, intruder: Intruder) -> None:
    with in_its_place(net, "nft", '[ "$*" = "-f -" ] && { echo "Error: no memory" >&2; exit 1; }; exec $REAL "$@"'):
        failed = play(net, asked())
    assert (failed["outcome"], failed["changed"]) == ("unproven", False)
    assert "was not applied: nft: Error: no memory" in failed["msg"]
    assert intruder.alive
    wait_until(lambda: not net.reverts())
    require_open(net)


def test_rules_that_fail_to_replace_proven_ones_leave_them(net: Net) -> None:
    require_proven(play(net, asked()))
    with in_its_place(net, "nft", '[ "$*" = "-f -" ] && exit 1; exec $REAL "$@"'):
        failed = play(net, asked(responders=[v4("control"), v4("other")], revert_after=1))
    assert failed["outcome"] == "unproven"
    wait_until(lambda: not net.reverts())
    require_isolated(net)
    assert play(net, asked())["changed"] is False


def test_a_revert_that_cannot_be_armed_isolates_nobody(net: Net, intruder: Intruder) -> None:
    with in_its_place(net, "sh", 'case "$*" in *"echo armed"*) exit 1;; esac; exec $REAL "$@"'):
        failed = play(net, asked())
    assert failed["outcome"] == "unproven"
    assert "could not be armed, so nothing was applied" in failed["msg"]
    assert intruder.alive
    require_open(net)


def test_two_responders_at_once_end_with_one_isolation_that_is_proven(net: Net) -> None:
    both = asked(responders=[v4("control"), v4("other")])
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda node: play(net, both, node=node), ["control", "other"]))
    assert [result["confirmed"] for result in results] == [True, True], results
    require_isolated(net)
    wait_until(lambda: not net.reverts())
    assert play(net, both)["changed"] is False


def test_two_responders_who_want_different_things_are_not_both_told_yes(net: Net) -> None:
    us = [v4("control"), v4("other")]
    wanted = {"control": asked(responders=us), "other": asked(responders=[*us, "10.77.0.12"])}
    with ThreadPoolExecutor() as pool:
        results = dict(zip(wanted, pool.map(lambda node: play(net, wanted[node], node=node), wanted), strict=True))
    proven = [node for node in wanted if results[node]["confirmed"] is True]
    for node in set(wanted) - set(proven):
        assert results[node]["outcome"] == "unproven"
        assert "another responder has isolated it differently meanwhile" in results[node]["msg"]
    assert [node for node in proven if not play(net, wanted[node], node=node)["changed"]], "the last one is in force"
    require_isolated(net)


# Refused --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"responders": ["10.77.0.99"]}, "this very connection, from 10.77.0.10 to port 22, is not let in"),
        ({"ssh_ports": [2222]}, "this very connection, from 10.77.0.10 to port 22, is not let in"),
        ({"responders": ["10.77.0.10", "10.77.0.2"]}, "10.77.0.2 is this host's own address"),
        ({"forbidden": ["10.77.0.2:443"]}, "10.77.0.2:443 is this host's own address"),
    ],
)
def test_what_only_the_host_can_see_is_refused_before_anything_is_changed(
    net: Net, intruder: Intruder, given: dict[str, Any], said: str
) -> None:
    for check in (True, False):
        refused = play(net, asked(**given), check=check)
        assert refused["outcome"] == "usage"
        assert said in refused["msg"]
    assert intruder.alive
    require_open(net)


def test_a_session_that_sudo_has_hidden_is_found_all_the_same(net: Net) -> None:
    told = json.dumps({**asked(responders=[v4("other")]), "check": False})
    hidden = net.ssh(f"env -u SSH_CONNECTION {sys.executable} {PART}; true")  # with a parent that knows, as sudo is
    refused = subprocess.run(hidden, input=told, capture_output=True, text=True, check=True, timeout=30).stdout
    assert "this very connection, from 10.77.0.10" in json.loads(refused)["msg"]
    require_open(net)


def test_without_root_it_says_what_to_do(net: Net) -> None:
    told = json.dumps({**asked(), "check": False})
    # All that root may do is taken away; who it is stays, since this Python may be root's alone.
    argv = net.ssh("setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, str(PART))
    refused = subprocess.run(argv, input=told, capture_output=True, text=True, check=True, timeout=30).stdout
    assert json.loads(refused)["msg"] == "nft: not permitted: only root may isolate a host (`become: true`)"
    require_open(net)


def test_the_control_node_itself_is_never_isolated(net: Net) -> None:
    told = {**asked(), "control_node": (net.folder / "machine-id").read_text().strip(), "check": False}
    argv = net.ssh(sys.executable, str(PART))
    ran = subprocess.run(argv, input=json.dumps(told), capture_output=True, text=True, check=True, timeout=30)
    assert "is the control node itself" in json.loads(ran.stdout)["msg"]
    require_open(net)


# What could not be cut ------------------------------------------------------------------------------------------------


def test_a_connection_that_cannot_be_destroyed_is_named_and_keeps_the_host_closed(net: Net, intruder: Intruder) -> None:
    """As on a kernel without CONFIG_INET_DIAG_DESTROY: ss says nothing and nothing happens."""
    with in_its_place(net, "ss", 'case " $* " in *" -K "*) exit 0;; esac; exec $REAL "$@"'):
        isolated = play(net, asked())
        require_proven(isolated)
        assert any(v4("c2") in left for left in isolated["sockets_left"])
        assert f"NOT CUT: {isolated['sockets_left'][0]}" in isolated["msg"]
        held = play(net, asked(state="open"))
        assert (held["outcome"], held["changed"]) == ("held", False)
        assert v4("c2") in held["msg"]
        assert "force: true" in held["msg"]
        require_isolated(net)
        forced = play(net, asked(state="open", force=True))
        assert forced["changed"] is True
        assert forced["sockets_left"]
    assert intruder.alive, "as was said"
    require_open(net)


def test_a_table_of_nobody_knows_whom_is_opened_without_cutting_our_own_session(net: Net, shell: Shell) -> None:
    net.on_host("nft", "add", "table", "inet", "ir_isolate")
    opened = play(net, asked(state="open"))
    assert opened["changed"] is True
    assert shell.alive
    require_open(net)


def test_to_open_what_is_open_is_no_change_also_without_nft(net: Net) -> None:
    assert play(net, asked(state="open"))["changed"] is False
    assert play(net, asked(state="open"), check=True)["changed"] is False
    require_open(net)
