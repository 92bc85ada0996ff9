# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A trading host of a running lab: what can befall its trading system, and what the inventory says of it."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.lab.test_units import DUMPS
from tests.lab.waiting import wait_until

from hft_incident.lab.errors import LabError
from hft_incident.lab.lab import Lab, down, running_lab, up
from hft_incident.lab.lifeline import is_alive, wait_for_end
from hft_incident.lab.people import NAMES, NAMESPACE
from hft_incident.lab.status import status
from hft_incident.lab.trading_system_handle import Crash, LabTradingSystem

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
ONE = {"binance": "binance"}
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("home"), ONE) as running:
        yield running


@pytest.fixture
def system(lab: Lab) -> Iterator[LabTradingSystem]:
    """The trading system, up and well; whatever a test does to it is mended."""
    one = lab.trading_systems["hft-1"]
    yield one
    one.mend()
    one.restore_config()
    one.free_log_disk()
    one.hold_file.unlink(missing_ok=True)
    if not lab.database.running:
        lab.database.start()
    lab.database.read_only(False)
    start(one)


def start(system: LabTradingSystem) -> None:
    system.systemctl("reset-failed", system.unit)
    system.systemctl("start", system.unit)
    wait_until(lambda: health(system), PATIENCE_S)


def health(system: LabTradingSystem) -> dict[str, Any]:
    """Nothing where it gives no answer."""
    token = Path(system.config_file).parents[2] / "keys" / f"{system.name}.token"
    connection = http.client.HTTPConnection("127.0.0.1", system.port, timeout=5)
    try:
        connection.request("GET", "/api/v1/health", headers={"Authorization": f"Bearer {token.read_text().strip()}"})
        document = json.loads(connection.getresponse().read())
        assert isinstance(document, dict)
        return document
    except OSError:
        return {}
    finally:
        connection.close()


def show(system: LabTradingSystem, unit: str = "") -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in system.systemctl("show", unit or system.unit).splitlines())


def ended(system: LabTradingSystem) -> tuple[str, int, int]:
    """(Result, ExecMainCode, ExecMainStatus) once the unit has failed."""
    shown = wait_until(lambda: {} if (now := show(system))["ActiveState"] != "failed" else now, PATIENCE_S)
    return shown["Result"], int(shown["ExecMainCode"]), int(shown["ExecMainStatus"])


def printed(lab: Lab) -> str:
    journalctl = lab.home / "lab" / "bin" / "journalctl"
    return subprocess.run([journalctl, "-o", "cat"], capture_output=True, text=True, check=True).stdout


# --- what befalls it ---


@pytest.mark.parametrize(
    ("kind", "ending", "word"),
    [
        ("segfault", ("core-dump" if DUMPS else "signal", 3 if DUMPS else 2, 11), "dumped SIGSEGV"),
        ("out_of_memory", ("core-dump" if DUMPS else "signal", 3 if DUMPS else 2, 6), "dumped SIGABRT"),
        ("assertion", ("exit-code", 1, 1), "exited 1"),
        ("exception", ("exit-code", 1, 1), "exited 1"),
    ],
)
def test_a_crash_is_the_real_thing(
    lab: Lab, system: LabTradingSystem, kind: Crash, ending: tuple[str, int, int], word: str
) -> None:
    before = len(system.unit_log())
    system.crash(kind)
    assert ended(system) == ending
    assert [e.what for e in system.unit_log()[before:]] == [
        word if DUMPS else word.replace("dumped", "killed"),
        f"failed {ending[0]}",
    ]
    if ending[0] == "core-dump":
        (core,) = Path(show(system)["WorkingDirectory"]).glob("core*")
        assert core.stat().st_size > 1_000_000
        core.unlink()


def test_a_killed_one_stays_dead_and_comes_back_at_the_same_port(lab: Lab, system: LabTradingSystem) -> None:
    first = system.process
    system.signal(signal.SIGKILL)
    assert ended(system) == ("signal", 2, 9)
    assert not any(row.alive for row in status(lab.home).processes if row.name == system.name)
    start(system)
    assert system.process != first
    (row,) = (row for row in status(lab.home).processes if row.name == system.name)
    assert (row.pid, row.port, row.answers) == (system.process.pid, system.port, True)


def test_a_stopped_process_does_not_answer_and_can_be_fenced(system: LabTradingSystem) -> None:
    victim = system.process
    system.signal(signal.SIGSTOP)
    system.systemctl("kill", "-s", "KILL", system.unit)
    assert ended(system) == ("signal", 2, 9)
    assert not is_alive(victim)


def test_the_hold_file_keeps_it_down_and_the_observer_may_run(lab: Lab, system: LabTradingSystem) -> None:
    system.hold_file.touch()
    system.systemctl("stop", system.unit)
    with pytest.raises(LabError, match="Assertion failed on job for hft-1"):
        system.systemctl("start", system.unit)
    system.systemctl("start", system.observe_unit)
    assert wait_until(lambda: health(system), PATIENCE_S)["mode"] == "observe"
    (row,) = (row for row in status(lab.home).processes if row.name == system.name)
    assert (row.kind, row.pid) == ("trading system (observing)", system.process.pid)
    observer = system.process
    with pytest.raises(LabError, match="Assertion failed on job for hft-1"):
        system.systemctl("start", system.unit)
    assert is_alive(observer), "a start that is refused stops nobody"

    system.hold_file.unlink()
    system.systemctl("start", system.unit)
    assert not is_alive(observer), "ExecStartPre="
    assert wait_until(lambda: health(system), PATIENCE_S)["mode"] == "live"
    assert [e.what for e in system.unit_log() if e.unit == system.observe_unit][-3:] == [
        "stopping",
        "succeeded",
        "stopped",
    ]


def test_a_broken_configuration_is_found_wrong_by_all_who_look(lab: Lab, system: LabTradingSystem) -> None:
    variables = yaml.safe_load((lab.inventory / "host_vars" / "hft-1.yml").read_text())
    approved = variables["hft_release"]["files"][str(system.config_file)]
    validate = variables["hft_validate_command"]
    assert subprocess.run(validate, capture_output=True, check=False).returncode == 0
    system.break_config()
    assert subprocess.run(validate, capture_output=True, check=False).returncode == 2
    assert hashlib.sha256(system.config_file.read_bytes()).hexdigest() != approved
    system.systemctl("restart", system.unit)
    assert ended(system) == ("exit-code", 1, 2)
    assert "unknown driver 'binance-v2'" in printed(lab)
    system.restore_config()
    assert hashlib.sha256(system.config_file.read_bytes()).hexdigest() == approved


def test_a_full_log_disk_ends_it_with_the_kernel_s_own_error(lab: Lab, system: LabTradingSystem) -> None:
    logged = system.log_file.read_text()
    system.fill_log_disk()
    assert ended(system) == ("exit-code", 1, 1)
    assert "No space left on device" in printed(lab)
    system.systemctl("start", system.unit)
    assert ended(system) == ("exit-code", 1, 1), "as long as the disk is full"
    system.free_log_disk()
    start(system)
    assert system.log_file.read_text().startswith(logged)


def lost(lab: Lab) -> None:
    lab.database.stop()


def read_only(lab: Lab) -> None:
    lab.database.read_only(True)


@pytest.mark.parametrize("befalls", [lost, read_only])
def test_without_its_database_it_ends(lab: Lab, system: LabTradingSystem, befalls: Callable[[Lab], None]) -> None:
    befalls(lab)
    assert ended(system) == ("exit-code", 1, 1)
    (row,) = (row for row in status(lab.home).processes if row.kind == "database")
    assert row.answers == (befalls is read_only)


def test_the_database_is_the_one_of_the_inventory(lab: Lab) -> None:
    variables = yaml.safe_load((lab.inventory / "host_vars" / "hft-1.yml").read_text())
    assert variables["hft_database"] == lab.database.parts
    assert lab.record.database is not None
    assert lab.record.database.port == lab.database.port


# --- Restart=on-failure ---


def test_a_lab_may_start_it_again_until_the_limit_and_leaves_none_of_them(tmp_path: Path) -> None:
    lab = up(tmp_path, ONE, restart="on-failure", restart_s=0.2, database=False)
    try:
        system = lab.trading_systems["hft-1"]
        first = system.process
        system.signal(signal.SIGKILL)
        wait_until(lambda: system.process != first and health(system), PATIENCE_S)
        assert (show(system)["NRestarts"], show(system)["RestartUSec"]) == ("1", "200ms")

        system.systemctl("reset-failed", system.unit)
        system.crash("loop")
        assert ended(system) == ("exit-code", 1, 1)
        assert [e.what for e in system.unit_log()][-1] == "start_failed", "start limit"
        system.mend()
        start(system)
        last = system.process
        os.kill(lab.record.supervisor.pid, signal.SIGKILL)
        assert wait_for_end(last, PATIENCE_S), "one that was started later dies with the supervisor too"
    finally:
        down(tmp_path)


def test_down_ends_the_one_that_was_started_later(tmp_path: Path) -> None:
    lab = up(tmp_path, {}, database=False)
    try:
        system = lab.trading_systems["hft-1"]
        system.systemctl("restart", system.unit)
        wait_until(lambda: health(system), PATIENCE_S)
        last = system.process
    finally:
        stopped = down(tmp_path)
    assert (stopped.was_up, stopped.processes) == (True, 2)
    assert not is_alive(last)
    with pytest.raises(LabError, match="the lab is not up"):
        _ = system.process


# --- the inventory ---


def ansible_says(environment: dict[str, str], *words: str) -> Any:
    """The host's variables as plays see them."""
    names = ["hft_allowed_signers", *yaml.safe_load((ROOT / "inventory/lab/host_vars/hft-1.yml").read_text())]
    asked = ", ".join(f"{n!r}: {n}" for n in names if n.startswith("hft_") and not n.startswith("hft_lab_"))
    command = [
        str(BIN / "ansible"),
        "trading_hosts",
        *words,
        "-m",
        "ansible.builtin.debug",
        "-a",
        f"msg={{{{ {{{asked}}} }}}}",
    ]
    clean = {name: text for name, text in os.environ.items() if name not in ("HFT_INCIDENT_HOME", "XDG_STATE_HOME")}
    done = subprocess.run(
        [*command, "-o"], cwd=ROOT, env=clean | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    host, _, said = done.stdout.partition(" | SUCCESS => ")
    assert host == "hft-1"
    return json.loads(said)["msg"]


def test_both_inventories_say_the_same_of_the_host(lab: Lab) -> None:
    written = yaml.safe_load((lab.inventory / "host_vars" / "hft-1.yml").read_text())
    written["hft_allowed_signers"] = str(lab.allowed_signers)
    assert ansible_says({}, "-i", str(lab.inventory)) == written
    assert ansible_says({"HFT_INCIDENT_HOME": str(lab.home)}) == written


def test_the_host_s_commands_and_release_are_what_is_there(lab: Lab) -> None:
    variables = yaml.safe_load((lab.inventory / "host_vars" / "hft-1.yml").read_text())
    release = variables["hft_release"]
    said = subprocess.run(variables["hft_version_command"], capture_output=True, text=True, check=True).stdout
    assert said.strip() == release["version"]
    assert len(release["files"]) > 5
    for path, digest in release["files"].items():
        assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == digest
    for tool in ("hft_systemctl", "hft_journalctl", "hft_coredumpctl"):
        assert os.access(variables[tool], os.X_OK)
    assert all(Path(path).exists() for path in (*variables["hft_log_files"], *variables["hft_watched_paths"]))
    unit = Path(show(lab.trading_systems["hft-1"])["FragmentPath"]).read_text()
    assert f"AssertPathExists=!{variables['hft_hold_file']}\n" in unit


def test_the_lab_without_a_host_says_that_it_is_not_up(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="the lab is not up: run 'hft-incident lab up'"):
        ansible_says({"HFT_INCIDENT_HOME": str(tmp_path)})


# --- its people ---


def signed(lab: Lab, name: str, folder: Path) -> tuple[Path, list[str]]:
    """A signature of theirs, and the principals that allowed_signers knows its key by."""
    statement = folder / name
    statement.write_text("approved")
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", lab.people[name], statement],
        check=True,
        capture_output=True,
    )
    signature = folder / f"{name}.sig"
    found = subprocess.run(
        ["ssh-keygen", "-Y", "find-principals", "-s", signature, "-f", lab.allowed_signers],
        check=False,
        capture_output=True,
        text=True,
    )
    return signature, found.stdout.split()


def verified(lab: Lab, who: str, namespace: str, signature: Path) -> bool:
    words = ["-Y", "verify", "-f", str(lab.allowed_signers), "-I", who, "-n", namespace, "-s", str(signature)]
    return subprocess.run(["ssh-keygen", *words], input=b"approved", check=False, capture_output=True).returncode == 0


def test_people_sign_for_their_groups_and_the_stranger_for_none(lab: Lab, tmp_path: Path) -> None:
    assert set(lab.people) == set(NAMES) == {"alice", "bob", "carol", "dave", "mallory"}
    groups = {"alice": "trading", "bob": "risk", "carol": "trading", "dave": "security"}
    for name, group in groups.items():
        signature, principals = signed(lab, name, tmp_path)
        assert principals == [f"{name}@lab.example", f"group:{group}"]
        assert verified(lab, f"{name}@lab.example", NAMESPACE, signature)
        assert verified(lab, f"group:{group}", NAMESPACE, signature)
        assert not verified(lab, f"{name}@lab.example", "file", signature)
        assert not verified(lab, f"group:{'risk' if group == 'trading' else 'trading'}", NAMESPACE, signature)
    signature, principals = signed(lab, "mallory", tmp_path)
    assert principals == []
    assert not verified(lab, "mallory@lab.example", NAMESPACE, signature)


def test_without_ssh_keygen_the_lab_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match=r"ssh-keygen is missing \(package openssh-client\)"):
        up(tmp_path / "home", {}, trading_systems=())
