# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab as processes: it starts, says what it is, and nothing of it outlives what it should."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from hft_incident.lab.errors import LabError
from hft_incident.lab.lab import down, find, up
from hft_incident.lab.lifeline import Process, identify, is_alive, send, wait_for_end
from hft_incident.lab.state import Record
from hft_incident.lab.status import status
from hft_incident.lab.venues.registry import DIALECTS

from .waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
ONE = {"binance": "binance"}
TWO = {"binance": "binance", "second": "binance"}
PATIENCE_S = 20.0


def assert_all_ended(record: Record) -> None:
    left = [process for process in record.processes if not wait_for_end(process, PATIENCE_S)]
    assert not left, f"still running: {left}"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A state folder; whatever a failing test leaves running there is stopped."""
    yield tmp_path
    down(tmp_path)


@contextmanager
def caller(home: Path, *, attached: bool) -> Iterator[tuple[subprocess.Popen[str], Record]]:
    """Another process that brings a lab up and waits."""
    program = textwrap.dedent(
        f"""
        import signal, threading
        from pathlib import Path
        from hft_incident.lab.lab import up

        def start():
            lab = up(Path({str(home)!r}), {TWO!r}, attached={attached})
            print("already" if lab.already_up else "new", lab.record.to_json().replace(chr(10), " "), flush=True)

        thread = threading.Thread(target=start)  # the lab belongs to the process, not to the thread
        thread.start()
        thread.join()
        signal.pause()
        """
    )
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("src", "collections"))
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
        start_new_session=True,
    )
    with process:
        try:
            assert process.stdout is not None
            word, _, record = process.stdout.readline().partition(" ")
            assert word == "new"
            yield process, Record.from_json(record)
        finally:
            process.kill()


# --- up, status, down ---


def test_a_lab_comes_up_is_described_and_goes_without_a_trace(home: Path) -> None:
    lab = up(home, TWO, database=False)

    assert not lab.already_up
    assert set(lab.venues) == set(TWO)
    assert set(lab.trading_systems) == {"hft-1"}
    for process in lab.record.processes:
        assert is_alive(process)
    now = status(home)
    assert now.up
    assert [(p.name, p.alive, p.answers) for p in now.processes] == [
        ("supervisor", True, None),
        ("binance", True, True),
        ("second", True, True),
        ("hft-1", True, True),
    ]
    assert any(
        re.search(rf"binance +venue \(binance\) +\d+ +{lab.venues['binance'].port} +yes", x) for x in now.render()
    )

    stopped = down(home)
    assert stopped.was_up
    assert stopped.processes == 4
    assert_all_ended(lab.record)
    assert sorted(path.name for path in (home / "lab").iterdir()) == ["lock", "logs"]
    assert status(home).render() == ["the lab is not up: run 'hft-incident lab up'"]


def test_down_with_nothing_up_says_so(tmp_path: Path) -> None:
    assert down(tmp_path).render() == ["the lab was not up"]
    assert not list(tmp_path.iterdir()), "asking leaves nothing behind"


def test_up_twice_is_the_same_lab(home: Path) -> None:
    first = up(home, ONE, trading_systems=())
    second = up(home, TWO)

    assert second.already_up
    assert second.record == first.record == find(home).record
    assert second.render()[0].startswith("the lab is already up: 1 venues")
    assert second.render()[-1] == f"people, who approve with --key: {second.people['alice'].parent}"


def test_of_two_that_start_at_once_one_wins_and_both_get_its_lab(home: Path) -> None:
    words = "import sys; from pathlib import Path; from hft_incident.lab.lab import up\n"
    words += f"lab = up(Path({str(home)!r}), {ONE!r}, trading_systems=())\n"
    words += "print(lab.already_up, lab.record.supervisor.pid)"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", words]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(3)]
    said = sorted(racer.communicate(timeout=60)[0].split() for racer in racers)

    assert [already for already, _pid in said] == ["False", "True", "True"]
    assert len({pid for _already, pid in said}) == 1


def test_the_record_and_every_key_are_for_the_owner_only(home: Path) -> None:
    lab = up(home, {"okx-like": "binance"})
    private = [home / "lab" / "lab.json", lab.venues_file, *lab.keys.iterdir(), *(home / "lab" / "systems").iterdir()]
    folders = [path for path in private if path.is_dir()]

    assert {stat.S_IMODE(path.stat().st_mode) for path in private if path not in folders} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    assert stat.S_IMODE((home / "lab").stat().st_mode) == 0o700
    secrets = [path.read_text().strip() for path in lab.keys.glob("*.secret")]
    assert secrets
    shown = [path.read_text() for path in (home / "lab" / "lab.json", lab.venues_file)]
    shown += [Path(f"/proc/{p.pid}/cmdline").read_text() for p in lab.record.processes]
    assert not any(secret in text for secret in secrets for text in shown)


def test_the_record_has_the_ports_that_listen(home: Path) -> None:
    lab = up(home, ONE)
    document = json.loads((home / "lab" / "lab.json").read_text())

    for row in (*document["venues"], *document["trading_systems"]):
        assert row["url"] == f"http://127.0.0.1:{row['port']}"
        socket.create_connection(("127.0.0.1", row["port"]), timeout=5).close()
    assert document["supervisor"]["pid"] == lab.record.supervisor.pid
    assert Record.from_json(json.dumps(document)) == lab.record


def test_a_lab_that_cannot_start_says_why_and_leaves_nothing(home: Path) -> None:
    with pytest.raises(LabError, match=r"nonsense.*is not NAME=DRIVER"):
        up(home, {**ONE, "other": "nonsense"}, trading_systems=())

    assert down(home) == (False, 0, False)
    assert not (home / "lab" / "keys").exists()


@pytest.mark.parametrize("name", ["../x", "a b", "", "-x"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LabError, match="cannot name a process"):
        up(tmp_path, {name: "binance"})
    with pytest.raises(LabError, match="two processes"):
        up(tmp_path, ONE, trading_systems=["binance"])


def test_the_default_lab_has_every_dialect_and_trades_at_each(home: Path) -> None:
    lab = up(home)

    assert set(lab.venues) == set(DIALECTS)
    assert all(process.alive and process.answers in (True, None) for process in status(home).processes)
    wait_until(lambda: all(venue.truth().happenings for venue in lab.venues.values()))
    (okx,) = (row for row in yaml.safe_load(lab.venues_file.read_text())["hft_venues"] if row["name"] == "okx")
    assert Path(okx["api_passphrase"].removeprefix("file:")).read_text().strip()


# --- nothing is left behind ---


def test_kill_9_of_the_supervisor_leaves_no_process(home: Path) -> None:
    lab = up(home, TWO)
    os.kill(lab.record.supervisor.pid, signal.SIGKILL)

    assert_all_ended(lab.record)
    now = status(home)
    assert not now.up
    assert now.render()[0].endswith("was not stopped and is gone: run 'hft-incident lab up'")
    with pytest.raises(LabError, match="the lab is not up"):
        find(home)


def test_a_stopped_process_dies_with_the_supervisor_too(home: Path) -> None:
    lab = up(home, ONE, trading_systems=())
    os.kill(lab.venues["binance"].process.pid, signal.SIGSTOP)
    os.kill(lab.record.supervisor.pid, signal.SIGKILL)

    assert_all_ended(lab.record)


def test_kill_9_of_the_process_it_is_attached_to_ends_the_lab(home: Path) -> None:
    with caller(home, attached=True) as (process, record):
        assert all(is_alive(p) for p in record.processes)
        process.kill()
        assert_all_ended(record)
    wait_until(lambda: not (home / "lab" / "lab.json").exists())


def test_a_detached_lab_survives_its_starter_and_the_starter_s_terminal(home: Path) -> None:
    with caller(home, attached=False) as (process, record):
        os.killpg(process.pid, signal.SIGHUP)
        process.wait(PATIENCE_S)
        assert all(p.alive for p in status(home).processes)
    assert up(home, TWO).record == record


def test_a_crashed_lab_is_replaced(home: Path) -> None:
    first = up(home, ONE, trading_systems=())
    os.kill(first.record.supervisor.pid, signal.SIGKILL)
    assert wait_for_end(first.record.supervisor, PATIENCE_S)
    second = up(home, ONE, trading_systems=())

    assert not second.already_up
    assert second.record.supervisor != first.record.supervisor
    assert_all_ended(first.record)


def test_a_stale_record_never_hits_the_process_that_has_the_number_now(home: Path) -> None:
    """As after a reboot: every number in the record belongs to somebody else."""
    lab = up(home, ONE)
    text = (home / "lab" / "lab.json").read_text()
    down(home)
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as bystander:
        bystander_process = identify(bystander.pid)
        stale = re.sub(r'"pid": \d+', f'"pid": {bystander.pid}', text)
        (home / "lab" / "lab.json").write_text(stale)

        assert not status(home).up
        assert not any(process.alive for process in status(home).processes)
        assert not up(home, ONE, trading_systems=()).already_up
        down(home)
        (home / "lab" / "lab.json").write_text(stale)
        assert down(home).render() == ["the lab was not up; removed what a crash had left of one"]
        assert bystander_process is not None
        assert is_alive(bystander_process)
        bystander.kill()
    assert lab.record.processes


def test_a_record_that_is_not_json_counts_as_none(home: Path) -> None:
    (home / "lab").mkdir()
    (home / "lab" / "lab.json").write_text('{"started_at": "2026-')

    assert status(home).record is None
    assert not up(home, ONE, trading_systems=()).already_up


def test_a_process_that_dies_stays_dead_and_status_says_so(home: Path) -> None:
    lab = up(home, TWO)
    victim = lab.trading_systems["hft-1"].process
    send(victim, signal.SIGKILL)
    assert wait_for_end(victim, PATIENCE_S)

    rows = {row.name: (row.alive, row.answers) for row in status(home).processes}
    assert rows["hft-1"] == (False, False)
    assert rows["binance"] == (True, True)
    log = lab.logs / "supervisor.log"
    wait_until(lambda: "hft-1 was killed by SIGKILL" in log.read_text())


@pytest.mark.parametrize("told_by_the_system", [True, False])
def test_a_process_is_told_from_another_one_with_its_number(
    monkeypatch: pytest.MonkeyPatch, told_by_the_system: bool
) -> None:
    if not told_by_the_system:  # as where a process cannot be watched
        monkeypatch.delattr(os, "pidfd_open")
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as child:
        now, before = identify(child.pid), Process(child.pid, "another boot/1")
        assert now is not None
        send(before, signal.SIGKILL)
        assert wait_for_end(before, 0)
        assert not wait_for_end(now, 0)
        send(now, signal.SIGKILL)
        assert wait_for_end(now, PATIENCE_S), "a zombie has ended"


# --- the generated inventory ---


def test_the_inventory_refers_to_keys_and_never_holds_one(home: Path) -> None:
    lab = up(home, ONE)
    document = yaml.safe_load(lab.venues_file.read_text())

    (venue,) = document["hft_venues"]
    assert venue["base_url"] == lab.venues["binance"].url
    assert venue["symbols"] == ["BTCUSDT"]
    for field in ("api_key", "api_secret"):
        assert Path(venue[field].removeprefix("file:")).is_file()
    assert document["hft_trading_systems"] == [
        {"name": "hft-1", "url": lab.trading_systems["hft-1"].url, "token": f"file:{lab.keys / 'hft-1.token'}"}
    ]
    assert not (lab.inventory / "group_vars" / "all" / "lab.yml").exists(), "one truth"


def play(environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """The lab's addresses as a playbook sees them."""
    ansible = Path(sys.executable).parent / "ansible"
    command = [str(ansible), "control", *options, "-m", "ansible.builtin.debug", "-a", "msg={{ hft_venues | to_json }}"]
    clean = {name: text for name, text in os.environ.items() if name not in ("HFT_INCIDENT_HOME", "XDG_STATE_HOME")}
    return subprocess.run(command, cwd=ROOT, env=clean | environment, capture_output=True, text=True, check=False)


def test_plain_ansible_finds_the_running_lab_and_says_when_there_is_none(home: Path) -> None:
    environment = {"HFT_INCIDENT_HOME": str(home)}
    without = play(environment)
    assert without.returncode != 0
    assert "the lab is not up: run 'hft-incident lab up'" in without.stdout + without.stderr

    lab = up(home, ONE, trading_systems=())
    for done in (play(environment), play({}, "-i", str(lab.inventory))):
        assert done.returncode == 0, done.stdout + done.stderr
        assert lab.venues["binance"].url in done.stdout


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({"HFT_INCIDENT_HOME": "/srv/x"}, "/srv/x"),
        ({"HFT_INCIDENT_HOME": "~/x"}, "/home/me/x"),
        ({"XDG_STATE_HOME": "/state"}, "/state/hft-incident"),
        ({"XDG_STATE_HOME": "relative"}, "/home/me/.local/state/hft-incident"),
        ({}, "/home/me/.local/state/hft-incident"),
    ],
)
def test_plain_ansible_looks_where_everything_else_does(
    environment: dict[str, str], found: str, tmp_path: Path
) -> None:
    if os.geteuid() == 0 and "HFT_INCIDENT_HOME" not in environment:
        found = "/var/lib/hft-incident"
    said = play({**environment, "HOME": "/home/me", "ANSIBLE_HOME": str(tmp_path), "ANSIBLE_LOCAL_TEMP": str(tmp_path)})
    assert f"looked for {found}/lab/inventory/group_vars/all/venues.yml" in said.stdout + said.stderr
