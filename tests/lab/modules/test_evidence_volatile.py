# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The volatile state of this very machine, with an intruder on it: a program whose file is gone, with a connection."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils import evidence_manifest, host_volatile
from ansible_collections.hft.incident.plugins.module_utils.deadline import Deadline
from ansible_collections.hft.incident.plugins.module_utils.steps import evidence

from ..alone import only_intruder
from .steps import Ran, run

CANARY = "canary-5b1e77aa20"
#: Connects back, says so, and waits.
REVERSE = "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); s.recv(1)"


def keep(dest: Path, *, check: bool = False, **args: Any) -> Ran:
    given = {"volatile": True, "dest": str(dest), "host": "hft-1", "systemctl": "/nowhere", **args}
    return run(evidence, check=check, **given)


def rows(dest: Path, name: str) -> list[dict[str, Any]]:
    document = json.loads((dest / "hft-1/volatile" / f"{name}.json").read_text())
    assert document["cut"] == ""
    return list(document["rows"])


class Intruder:
    def __init__(self, folder: Path) -> None:
        program = folder / "intruder"
        shutil.copy2(os.path.realpath(sys.executable), program)
        self.sha256 = hashlib.sha256(program.read_bytes()).hexdigest()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        environment = {"SECRET": CANARY, "PYTHONHOME": sys.base_prefix, "LD_LIBRARY_PATH": f"{sys.base_prefix}/lib"}
        words = [str(program), "-c", REVERSE, str(self.port)]
        self.process = subprocess.Popen(words, env=environment, cwd=folder)
        self.server.settimeout(30)
        self.connection, _ = self.server.accept()
        program.unlink()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.connection.close()
        self.server.close()


@pytest.fixture(scope="module")
def intruder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intruder]:
    with only_intruder():
        made = Intruder(tmp_path_factory.mktemp("intruder"))
        yield made
        made.end()


@pytest.fixture(scope="module")
def kept(intruder: Intruder, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Path]:
    dest = tmp_path_factory.mktemp("volatile")
    return keep(dest, clock_offset=1.5), dest


def test_the_intruders_program_is_there_although_its_file_is_gone(kept: tuple[Ran, Path], intruder: Intruder) -> None:
    (ran,) = [row for row in rows(kept[1], "executables") if row["pid"] == intruder.process.pid]
    assert (ran["deleted"], ran["sha256"]) == (True, intruder.sha256)
    (copy,) = (kept[1] / "hft-1/volatile/deleted").glob(f"{intruder.process.pid}-intruder")
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == intruder.sha256


def test_its_process_is_described_with_its_parent_and_its_secrets(kept: tuple[Ran, Path], intruder: Intruder) -> None:
    (row,) = [row for row in rows(kept[1], "processes") if row["pid"] == intruder.process.pid]
    assert row["exe"].endswith("intruder (deleted)")
    assert (row["ppid"], row["cmdline"][-1], row["deleted"]) == (os.getpid(), str(intruder.port), True)
    assert f"SECRET={CANARY}" in row["environ"]
    assert row["ids"]["uid"][0] == os.getuid()
    assert any(target.startswith("socket:[") for target in row["fds"].values())
    assert 0 <= row["started_after_boot_s"] <= rows(kept[1], "clock")[0]["since_boot_s"]
    (maps,) = [row for row in rows(kept[1], "maps") if row["pid"] == intruder.process.pid]
    assert any("intruder (deleted)" in line for line in maps["maps"])


def test_its_connection_is_told_with_both_ends_and_who_holds_them(kept: tuple[Ran, Path], intruder: Intruder) -> None:
    found = [row for row in rows(kept[1], "sockets") if row.get("remote_port") == intruder.port]
    (row,) = [row for row in found if row["held_by"] and row["held_by"][0]["pid"] == intruder.process.pid]
    assert (row["protocol"], row["state"], row["remote"]) == ("tcp", "established", "127.0.0.1")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="only root makes a network namespace")
def test_a_socket_in_a_network_of_its_own_is_told_with_who_holds_it(tmp_path: Path) -> None:
    program = "import socket, sys; s = socket.create_server(('0.0.0.0', 4444)); print(flush=True); sys.stdin.read()"
    words = ["unshare", "--net", sys.executable, "-c", program]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as hidden:
        assert hidden.stdout is not None
        hidden.stdout.readline()
        theirs = os.readlink(f"/proc/{hidden.pid}/ns/net")
        keep(tmp_path)
        hidden.communicate(b"")
    found = [row for row in rows(tmp_path, "sockets") if row["namespace"] == theirs and row.get("local_port") == 4444]
    assert [(row["state"], row["held_by"][0]["pid"]) for row in found] == [("listen", hidden.pid)]


def test_killed_in_the_middle_it_leaves_no_manifest_and_is_made_anew(tmp_path: Path) -> None:
    """The collector dies while it copies: by SIGKILL, from within, right before an item in the middle."""
    program = (
        "import os, signal, sys\n"
        "from ansible_collections.hft.incident.plugins.module_utils import proc_net\n"
        "from ansible_collections.hft.incident.plugins.module_utils.steps import Context, evidence\n"
        "proc_net.mounts = lambda text: os.kill(os.getpid(), signal.SIGKILL)\n"
        "params = {name: spec.get('default') for name, spec in evidence.ARGUMENT_SPEC.items()}\n"
        "from ansible_collections.hft.incident.plugins.module_utils import host_volatile\n"
        "params |= {'volatile': True, 'dest': sys.argv[1], 'host': 'hft-1', 'systemctl': '/nowhere'}\n"
        "evidence.run(params, Context(False, lambda *_: None))\n"
    )
    path = os.pathsep.join(str(Path(__file__).parents[3] / folder) for folder in ("collections", "src"))
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], env={"PYTHONPATH": path}, check=False)
    assert done.returncode == -signal.SIGKILL
    first = tmp_path / "hft-1"
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    assert first / "volatile/processes.json" in before
    assert first / "manifest.sha256" not in before
    again = keep(tmp_path)
    assert again["folder"] == str(first / "attempt-2")
    assert {path: path.read_bytes() for path in before} == before


def test_two_collectors_at_once_share_no_folder(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: keep(tmp_path, volatile=False, log_files=[__file__]), range(2)))
    assert {done["folder"] for done in both} <= {str(tmp_path / "hft-1"), str(tmp_path / "hft-1/attempt-2")}
    for folder in {done["folder"] for done in both}:
        assert evidence_manifest.check(folder).intact


def test_the_most_volatile_comes_first(kept: tuple[Ran, Path]) -> None:
    names = [item["name"] for item in kept[0]["items"] if item["name"].endswith(".json")]
    assert names == [f"volatile/{name}.json" for name in host_volatile.SUBJECTS]


def test_what_may_hold_secrets_is_restricted_and_no_secret_is_in_result_or_manifest(kept: tuple[Ran, Path]) -> None:
    restricted = {item["name"] for item in kept[0]["items"] if item["restricted"]}
    assert {item["name"] for item in kept[0]["items"] if item["sha256"]} - restricted
    for item in kept[0]["items"]:
        if item["sha256"] and CANARY.encode() in (kept[1] / "hft-1" / item["name"]).read_bytes():
            assert item["name"] in restricted
    assert "volatile/processes.json" in restricted
    written = {item["name"] for item in kept[0]["items"] if item["name"].startswith("persistence/") and item["sha256"]}
    assert written - restricted <= {"persistence/timers.txt", "persistence/unit-files.txt"}
    assert CANARY not in json.dumps(kept[0].result) + (kept[1] / "hft-1/manifest.json").read_text()


def test_every_row_of_the_manifest_says_how_the_clocks_differ(kept: tuple[Ran, Path]) -> None:
    facts = json.loads((kept[1] / "hft-1/manifest.json").read_text())
    assert {row["clock_offset_s"] for row in facts["items"]} == {1.5}
    assert rows(kept[1], "clock")[0]["ahead_of_control_node_s"] == 1.5


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees all")
def test_root_has_kept_it_all_and_the_record_says_so(kept: tuple[Ran, Path]) -> None:
    assert kept[0]["volatile"] is True, kept[0]["missing"]
    assert kept[0].recorded("evidence.kept")[0]["volatile"] is True


def test_whoever_is_not_root_has_not_kept_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    real = os.readlink

    def readlink(path: Any, **more: Any) -> str:
        if str(path).endswith("/exe"):
            raise PermissionError(13, "Permission denied")
        return str(real(path, **more))

    monkeypatch.setattr(os, "readlink", readlink)
    done = keep(tmp_path)
    assert done["volatile"] is False
    assert any("only root may look into all processes" in words for words in done["missing"])


def test_other_evidence_is_not_volatile(tmp_path: Path) -> None:
    assert keep(tmp_path, volatile=False, log_files=[__file__])["volatile"] is False


@pytest.mark.parametrize("subject", host_volatile.SUBJECTS)
def test_a_subject_that_is_missing_makes_it_incomplete(subject: str) -> None:
    whole: list[dict[str, Any]] = [
        {"name": f"volatile/{name}.json", "sha256": "0", "error": None} for name in host_volatile.SUBJECTS
    ]
    assert host_volatile.is_whole(whole)
    assert not host_volatile.is_whole([row for row in whole if subject not in row["name"]])
    for change in ({"sha256": None}, {"error": "the time was up"}):
        spoiled = [{**row, **change} if subject in str(row["name"]) else row for row in whole]
        assert not host_volatile.is_whole(spoiled)


def test_when_its_time_is_up_it_says_so_and_the_rest_has_its_own(tmp_path: Path) -> None:
    done = keep(tmp_path, volatile_timeout=0.000001, log_files=[__file__])
    assert done["volatile"] is False
    assert "the time was up" in json.dumps(done["missing"])
    assert (tmp_path / "hft-1/logs/test_evidence_volatile.py").exists()


def test_a_document_that_grows_too_long_is_closed_properly_and_marked(tmp_path: Path) -> None:
    done = keep(tmp_path, item_size_limit=20_000)
    document = json.loads((tmp_path / "hft-1/volatile/processes.json").read_text())
    assert document["cut"] == "there was more than its limit"
    assert done["volatile"] is False


def test_a_process_that_vanishes_or_hangs_loses_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_volatile, "STUCK_S", 0.05)
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    real = host_volatile._pids
    monkeypatch.setattr(host_volatile, "_pids", lambda: [gone.pid, *real()])
    stuck = os.getppid()
    monkeypatch.setattr(host_volatile, "_stat", _hanging(host_volatile._stat, stuck))
    keep(tmp_path)
    found = {row["pid"]: row for row in rows(tmp_path, "processes")}
    assert found[gone.pid] == {"pid": gone.pid, "gone": True}
    assert found[stuck] == {"pid": stuck, "stuck": True}
    assert len(found) > 2


def _hanging(real: Any, pid: int) -> Any:
    import threading

    def stat(asked: int, boot: float) -> Any:
        if asked == pid:
            threading.Event().wait(5)
        return real(asked, boot)

    return stat


def test_a_name_with_brackets_and_a_line_break_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "7").mkdir()
    fields = "S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 3 0 500 0 0"
    (tmp_path / "7/stat").write_text(f"7 (evil) R 1\n(x) {fields}")
    monkeypatch.setattr(host_volatile, "PROC", str(tmp_path))
    row = host_volatile._stat(7, 0.0)
    assert (row["comm"], row["state"], row["ppid"], row["threads"]) == ("evil) R 1\n(x", "S", 1, 3)


def test_users_are_read_from_utmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = host_volatile._UTMP.pack
    user = pack(7, 42, b"pts/0", b"0", b"mallory", b"198.51.100.9", 0, 0, 0, 1_700_000_000, 0, 1, 0, 0, 0, b"")
    empty = pack(0, 0, b"", b"", b"", b"", 0, 0, 0, 0, 0, 0, 0, 0, 0, b"")
    (tmp_path / "utmp").write_bytes(user + empty + b"torn")
    monkeypatch.setattr(host_volatile, "UTMP", (str(tmp_path / "none"), str(tmp_path / "utmp")))
    (row,) = host_volatile._users()
    assert (row["kind"], row["user"], row["host"], row["line"]) == ("user", "mallory", "198.51.100.9", "pts/0")


def test_a_program_of_many_processes_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[tuple[int, int], dict[str, Any]] = {}
    first = host_volatile._hash_of(f"/proc/{os.getpid()}/exe", known, Deadline(10))
    monkeypatch.setattr(os, "read", lambda *_: pytest.fail("read again"))
    assert host_volatile._hash_of("/proc/self/exe", known, Deadline(10)) == first


def test_what_starts_again_is_kept_and_a_link_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, secret = tmp_path / "home", tmp_path / "secret"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh/authorized_keys").write_text("ssh-ed25519 AAAA mallory\n")
    (home / ".profile").symlink_to(secret)
    secret.write_text(CANARY)
    monkeypatch.setattr(host_volatile, "PERSISTENCE", (str(tmp_path / "preload"),))
    (tmp_path / "preload").write_text("/lib/evil.so\n")
    monkeypatch.setattr(host_volatile, "LOGINS", ())
    monkeypatch.setattr(host_volatile, "_homes", lambda: [str(home)])
    dest = tmp_path / "dest"
    done = keep(dest)
    there = {item["source"]: item for item in done["items"] if item["name"].startswith("persistence/")}
    assert (dest / "hft-1" / there[str(home / ".ssh/authorized_keys")]["name"]).read_text().endswith("mallory\n")
    assert (dest / "hft-1" / there[str(tmp_path / "preload")]["name"]).read_text() == "/lib/evil.so\n"
    assert f"is a link to {secret}" in there[str(home / ".profile")]["error"]
    monkeypatch.setattr(host_volatile, "no_file", lambda _path: "")  # it became a link a moment later
    again = keep(tmp_path / "again")
    assert [item["error"] for item in again["items"] if item["source"] == str(home / ".profile")] != [None]


def test_trees_are_kept_as_restricted_archives(tmp_path: Path) -> None:
    tree = tmp_path / "etc"
    tree.mkdir()
    (tree / "hft.json").write_text(CANARY)
    done = keep(tmp_path / "dest", volatile=False, paths=[str(tree), str(tmp_path / "none")])
    kept, none = done["items"]
    assert kept["name"].endswith("_etc.tar")
    assert (kept["restricted"], kept["error"]) == (True, None)
    assert "no such file" in none["error"]


def test_check_mode_lists_it_and_writes_nothing(tmp_path: Path) -> None:
    would = keep(tmp_path / "dest", check=True, paths=["/etc/hft"])
    names = [item["name"] for item in would["items"]]
    assert names[0] == "volatile/clock.json"
    assert "trees/etc_hft.tar" in names
    assert not (tmp_path / "dest").exists()
