# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``host_audit_info``: what an intruder leaves on a host, planted here and found; and what is not seen is unknown."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils import audit_host, audit_packages, private_copy
from ansible_collections.hft.incident.plugins.module_utils.audit_accounts import networks
from ansible_collections.hft.incident.plugins.module_utils.audit_findings import PER_KIND, Findings
from ansible_collections.hft.incident.plugins.module_utils.audit_host import Account
from ansible_collections.hft.incident.plugins.module_utils.deadline import Deadline
from ansible_collections.hft.incident.plugins.module_utils.steps import host_audit_info

from ..alone import only_intruder
from ..waiting import wait_until
from .steps import Ran, run


@pytest.fixture(scope="module", autouse=True)
def alone() -> Iterator[None]:
    """What is planted here would alarm others, and what others plant this."""
    with only_intruder():
        yield


def look(*checks: str, **args: Any) -> Ran:
    return run(host_audit_info, checks=list(checks), **args)


def found(seen: Ran, kind: str) -> list[dict[str, Any]]:
    return [finding for finding in seen["findings"] if finding["kind"] == kind]


@contextmanager
def program(argv: list[str], **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(argv, **how)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Commands of our own, before the host's."""
    folder = tmp_path / "commands"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def make(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return make


# Processes and sockets ------------------------------------------------------------------------------------------------


def test_a_program_whose_file_is_gone_is_named(tmp_path: Path) -> None:
    copy = Path(tempfile.mkdtemp(dir="/var/lib" if os.access("/var/lib", os.W_OK) else tmp_path)) / "engine"
    try:
        shutil.copy("/bin/sleep", copy)
        with program([str(copy), "60"]) as process:
            wait_until(lambda: os.readlink(f"/proc/{process.pid}/exe") == str(copy))
            copy.unlink()
            seen = look("processes")
            assert any(f"process {process.pid} " in one["what"] for one in found(seen, "process_deleted")) or any(
                f"process {process.pid} " in one["what"] for one in found(seen, "process_open_folder")
            )
            assert seen["worst"] == "alarming"
    finally:
        shutil.rmtree(copy.parent)


def test_a_program_from_where_anybody_may_write_and_one_that_was_never_a_file() -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    memory = os.memfd_create("payload")
    try:
        shutil.copy("/bin/sleep", folder / "x")
        os.write(memory, Path("/bin/sleep").read_bytes())
        with (
            program([str(folder / "x"), "60"]) as one,
            program([f"/proc/self/fd/{memory}", "60"], pass_fds=[memory]) as two,
        ):
            wait_until(lambda: "memfd" in os.readlink(f"/proc/{two.pid}/exe"))
            seen = look("processes")
            assert any(f"process {one.pid} " in finding["what"] for finding in found(seen, "process_open_folder"))
            assert any(f"process {two.pid} " in finding["what"] for finding in found(seen, "process_memory_only"))
    finally:
        os.close(memory)
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("library", "severity"),
    [
        ("/run/user/1/x.so", "alarming"),
        ("/usr/lib/a.so:/dev/mqueue/b.so", "alarming"),
        ("/usr/lib/jemalloc.so", "suspicious"),
    ],
)
def test_a_library_that_is_pushed_in_is_named_and_the_rest_of_the_environment_is_not(
    library: str, severity: str
) -> None:
    environment = {"LD_PRELOAD": library, "API_SECRET": "canary8812"}
    with program(["/bin/sleep", "60"], env=environment, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: b"LD_PRELOAD" in Path(f"/proc/{process.pid}/environ").read_bytes())
        seen = look("processes")
        mine = [one for one in found(seen, "preload") if f"process {process.pid} " in one["what"]]
        assert [(one["severity"], one["detail"]) for one in mine] == [(severity, library)]
        assert "canary8812" not in json.dumps(seen.result)


def test_an_intruders_connection_and_listener_are_named_with_their_process() -> None:
    code = (
        "import socket, sys\n"
        "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "l = socket.create_server(('127.0.0.1', 0)); print(l.getsockname()[1], flush=True); sys.stdin.read()\n"
    )
    with socket.create_server(("127.66.0.1", 0)) as server:
        port = server.getsockname()[1]
        argv = [sys.executable, "-c", code, "127.66.0.1", str(port)]
        with program(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout
            listens = int(process.stdout.readline())
            seen = look("sockets", expected_listeners=["tcp/22"], expected_peers=["192.0.2.0/24"])
            out = [one for one in found(seen, "connection_out") if f"process {process.pid} " in one["what"]]
            assert [one["severity"] for one in out] == ["alarming"]
            assert f"127.66.0.1:{port}" in out[0]["what"]
            ears = [one for one in found(seen, "listener") if f"process {process.pid} " in one["what"]]
            assert len(ears) == 1
            assert f"tcp/127.0.0.1:{listens}" in ears[0]["what"]
            expected = look(
                "sockets", expected_listeners=[f"tcp/127.0.0.1:{listens}"], expected_peers=["127.66.0.0/16"]
            )
            assert not [one for one in expected["findings"] if f"process {process.pid} " in one["what"]]


def test_a_caller_from_elsewhere_is_named() -> None:
    with socket.create_server(("127.66.0.2", 0)) as server, socket.socket() as caller:
        caller.bind(("127.66.0.3", 0))
        caller.connect(server.getsockname())
        told = Findings()
        seen = [one for one in audit_host.sockets() if one.local.address == "127.66.0.2"]
        for known, count in (([], 0), (["127.66.0.0/16"], 0), (["192.0.2.0/24"], 1)):
            told = Findings()
            audit_host.audit_connections(told, seen, {}, [], networks("known_networks", known))
            assert len(told.findings()) == count


def test_a_host_may_speak_to_itself() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as caller,
    ):
        mine = {server.getsockname()[1], caller.getsockname()[1]}
        seen = [one for one in audit_host.sockets() if one.local.port in mine and one.state == audit_host.ESTABLISHED]
        assert len(seen) == 2
        told = Findings()
        audit_host.audit_connections(told, seen, {}, [], networks("known_networks", ["192.0.2.0/24"]))
        assert told.findings() == []


def test_what_nobody_expects_is_not_judged_and_that_is_said() -> None:
    seen = look("sockets")
    assert seen["findings"] == []
    assert len(seen["unknown"]) == 2
    assert seen["checks"] == [{"name": "sockets", "state": "unknown"}]


def test_addresses_of_the_kernel_are_read(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    row = "   0: {} {} {} 00000000:00000000 00:00000000 00000000     0        0 {} 1\n"
    swap = sys.byteorder == "little"
    four = "0100007F" if swap else "7F000001"
    mapped = "0000000000000000FFFF00000201000A"[:24] + ("0100000A" if swap else "0A000001") if swap else ""
    (tmp_path / "net/tcp").write_text(head + row.format(f"{four}:1F90", "00000000:0000", "0A", "77"))
    (tmp_path / "net/tcp6").write_text(
        head + (row.format(f"{mapped}:0016", f"{mapped}:C350", "01", "78") if swap else "")
    )
    seen = audit_host.sockets(str(tmp_path))
    assert (str(seen[0].local), seen[0].listens, seen[0].inode) == ("127.0.0.1:8080", True, "77")
    if swap:
        assert str(seen[1].remote) == "10.0.0.1:50000"


# Persistence ----------------------------------------------------------------------------------------------------------


def test_what_would_start_again_is_named(tmp_path: Path) -> None:
    for name in ("etc/cron.d/backdoor", "etc/systemd/system/evil.timer", "etc/pam.d/sshd", "etc/ld.so.preload"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("/usr/lib/evil.so\n")
    old = tmp_path / "etc/cron.d/old"
    old.write_text("x")
    told = Findings()
    audit_host.audit_starters(told, time.time() - 60, Deadline(10), str(tmp_path))
    kinds = {finding.kind: finding.severity for finding in told.findings()}
    assert kinds == {
        **dict.fromkeys(("changed_cron", "changed_unit", "changed_access"), "suspicious"),
        "preload": "alarming",
    }
    later = Findings()
    audit_host.audit_starters(later, time.time() + 60, Deadline(10), str(tmp_path))
    assert [finding.kind for finding in later.findings()] == ["preload"]


def test_keys_and_second_roots_are_named(tmp_path: Path) -> None:
    keys = tmp_path / "root/.ssh/authorized_keys"
    keys.parent.mkdir(parents=True)
    keys.write_text('# comment\nssh-ed25519 AAAA ada@firm\ncommand="/x" ssh-rsa BBBB evil@elsewhere\n')
    people = [Account("root", 0, "/root"), Account("toor", 0, "/root"), Account("hft", 1000, "/home/hft")]
    told = Findings()
    audit_host.audit_accounts(told, time.time() - 60, people, str(tmp_path))
    said = {finding.kind: finding for finding in told.findings()}
    assert set(said) == {"second_root", "authorized_keys"}
    assert (said["authorized_keys"].severity, said["second_root"].severity) == ("alarming", "alarming")
    assert "evil@elsewhere" in said["authorized_keys"].detail
    later = Findings()
    audit_host.audit_accounts(later, time.time() + 60, people, str(tmp_path))
    assert {finding.severity for finding in later.findings() if finding.kind == "authorized_keys"} == {"info"}


def test_a_new_setuid_program_is_named(tmp_path: Path) -> None:
    shell = tmp_path / "sh"
    shell.write_text("x")
    shell.chmod(0o4755)
    (tmp_path / "plain").write_text("x")
    (tmp_path / "link").symlink_to(shell)
    seen = look("setuid", setuid_paths=[str(tmp_path)])
    assert [finding["path"] for finding in seen["findings"]] == [str(shell)]
    assert seen["worst"] == "alarming"


def test_modules_outside_of_the_baseline_are_named(tmp_path: Path) -> None:
    (tmp_path / "modules").write_text("nf_tables 1 0 - Live 0x0\nrootkit 1 0 - Live 0x0 (OE)\n")
    (tmp_path / "sys/kernel").mkdir(parents=True)
    (tmp_path / "sys/kernel/tainted").write_text("12288\n")
    told = Findings()
    audit_host.audit_kernel(told, ["nf-tables"], str(tmp_path))
    assert [(one.kind, one.severity) for one in told.findings()] == [
        ("kernel_module", "alarming"), ("kernel_tainted", "suspicious"), ("kernel_tainted", "suspicious")
    ]  # fmt: skip
    silent = Findings()
    audit_host.audit_kernel(silent, None, str(tmp_path))
    assert silent.unknowns()


# Packages, malware ----------------------------------------------------------------------------------------------------

VERIFIED = """\
??5??????   /usr/sbin/sshd
??5?????? c /etc/hosts
missing     /usr/bin/ss
missing     /usr/share/doc/x/copyright
??????G..   /usr/bin/only-the-group
"""


def test_packages_are_compared_with_their_files_and_with_the_baseline(commands: Callable[[str, str], Path]) -> None:
    commands("dpkg", f"cat <<'X'\n{VERIFIED}X\nexit 1")
    commands("dpkg-query", r"""case $1 in
        -W) printf 'ii \topenssh-server\t1.0\nii \tevil:amd64\t6.6.6\nrc \tgone\t1\n';;
        -S) echo 'coreutils: /bin/sleep';;
    esac""")  # fmt: skip
    told = Findings()
    baseline = {"openssh-server": "1.1", "auditd": "3"}
    audit_packages.audit(told, baseline, ["/usr/bin/sleep", "/opt/x/evil"], Deadline(10))
    assert {(one.kind, one.severity, one.path) for one in told.findings() if one.path} == {
        ("package_file_changed", "alarming", "/usr/sbin/sshd"),
        ("package_config_changed", "info", "/etc/hosts"),
        ("package_file_missing", "suspicious", "/usr/bin/ss"),
        ("program_unpackaged", "suspicious", "/opt/x/evil"),
    }
    assert {one.kind for one in told.findings() if not one.path} == {
        "package_version", "package_unknown", "package_absent"
    }  # fmt: skip
    assert told.unknowns() == []
    audit_packages.audit(told, {}, [], Deadline(10))
    assert "hft_package_baseline" in told.unknowns()[0].why


def test_rpms_own_words_are_read() -> None:
    rows = audit_packages.verification(
        "S.5....T.  c /etc/ssh/sshd_config\n..5......    /usr/sbin/sshd\n"
        "missing   d /usr/share/man/x (Permission denied)\n"
    )
    assert [(row.path, row.content, row.missing, row.sort) for row in rows] == [
        ("/etc/ssh/sshd_config", True, False, "c"),
        ("/usr/sbin/sshd", True, False, ""),
        ("/usr/share/man/x", False, True, "d"),
    ]


def test_a_verification_that_hangs_is_unknown(commands: Callable[[str, str], Path]) -> None:
    commands("dpkg-query", r"printf 'ii \tx\t1\n'")
    commands("dpkg", "exec sleep 60")
    seen = look("packages", timeout=1.0, package_baseline={"x": "1"})
    assert any("dpkg --verify" in entry["why"] for entry in seen["unknown"])


def test_a_host_without_a_scanner_is_not_scanned_and_never_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    seen = look("malware", watched_paths=["/etc/hosts"])
    assert seen["findings"] == []
    assert seen["unknown"] == [{"check": "malware", "why": "not scanned: there is no clamscan here"}]


@pytest.mark.parametrize(
    ("script", "kinds", "unknown"),
    [
        ('for last; do :; done; echo "$last/0/evil: Win.Test FOUND"; exit 1', ["malware"], False),
        ("exit 0", ["malware_scan"], False),
        ("echo 'no database' >&2; exit 2", [], True),
        ("exec sleep 60", [], True),
    ],
)
def test_what_the_scanner_says(
    commands: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str,
    kinds: list[str], unknown: bool
) -> None:  # fmt: skip
    scanner = commands("clamscan", f'[ "$1" = --version ] && exit 0\n{script}')
    monkeypatch.setattr(private_copy, "ENVIRONMENT", {"PATH": f"{scanner.parent}:/usr/bin:/bin"})
    monkeypatch.setattr(private_copy, "unprivileged", lambda: None)  # pytest's folders are ours alone
    (tmp_path / "watched").mkdir()
    (tmp_path / "watched/evil").write_text("x")
    seen = look("malware", watched_paths=[str(tmp_path / "watched")], timeout=2.0)
    assert [finding["kind"] for finding in seen["findings"]] == kinds
    assert bool(seen["unknown"]) is unknown
    if kinds == ["malware"]:
        assert found(seen, "malware")[0]["path"] == str(tmp_path / "watched/evil")


# Logins, logs, release ------------------------------------------------------------------------------------------------


def record(sort: int, user: str, address: str, at: int) -> bytes:
    raw = socket.inet_aton(address) + bytes(12)
    return struct.pack(
        "=hxxi32s4s32s256shhiii16s20x", sort, 1, b"pts/0", b"ts/0", user.encode(), b"", 0, 0, 0, at, 0, raw
    )


def test_logins_of_every_source_are_judged_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commands: Callable[[str, str], Path]
) -> None:
    now = int(time.time())
    (tmp_path / "wtmp").write_bytes(record(7, "root", "203.0.113.9", now - 100) + record(8, "", "192.0.2.1", now - 50))
    (tmp_path / "btmp").write_bytes(b"".join(record(6, "root", "203.0.113.9", now - 200 - n) for n in range(12)))
    entry = {
        "MESSAGE": "Accepted publickey for root from 203.0.113.9 port 4 ssh2: ED25519 SHA256:x",
        "__REALTIME_TIMESTAMP": str((now - 99) * 1_000_000),
    }
    journalctl = commands("journal", f"echo '{json.dumps(entry)}'")
    commands("ausearch", "echo '<no matches>' >&2; exit 1")
    monkeypatch.setattr(host_audit_info, "ACCOUNTING", str(tmp_path))
    monkeypatch.setattr(host_audit_info, "SESSIONS", (str(tmp_path / "wtmp"),))
    seen = look("logins", journalctl=str(journalctl), known_networks=["192.0.2.0/24"])
    assert seen["unknown"] == []
    told = [(finding["kind"], finding["severity"]) for finding in seen["findings"]]
    assert told == [
        ("login_after_failures", "alarming"), ("login_foreign", "alarming"), ("login_root", "suspicious"),
        ("login_failures", "suspicious"), ("logins", "info"), ("session", "info"),
    ]  # fmt: skip


def test_a_host_that_tells_nothing_of_logins_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commands: Callable[[str, str], Path]
) -> None:
    monkeypatch.setattr(host_audit_info, "ACCOUNTING", str(tmp_path))
    monkeypatch.setattr(host_audit_info, "SESSIONS", ())
    commands("ausearch", "exit 127")
    seen = look("logins", journalctl="/nonexistent/journalctl")
    assert seen["findings"] == []
    assert len(seen["unknown"]) == 6
    (tmp_path / "wtmp").write_bytes(os.urandom(4000))
    (tmp_path / "btmp").write_bytes(b"")
    assert any("holds no records" in entry["why"] for entry in look("logins")["unknown"])
    (tmp_path / "wtmp").write_bytes(b"")
    assert found(look("logins"), "login_record_empty")


def test_refusals_in_the_trading_systems_log_are_counted(tmp_path: Path) -> None:
    log = tmp_path / "system.log"
    log.write_text(
        "2020-01-01T00:00:00Z WARNING [api] unauthorized\n"
        '{"ts": "2099-01-01T00:00:00Z", "event": "request", "status": 401, "token": "canary8812"}\n'
        "2099-01-01T00:00:01Z INFO [api] all is well\n"
        "2099-01-01T00:00:02Z WARNING [api] FAILED AUTH for admin token=canary8812\n"
    )
    seen = look("log", log_files=[str(log), str(tmp_path / "gone")])
    (finding,) = seen["findings"]
    assert finding["what"].startswith("2 lines")
    assert "canary8812" not in json.dumps(seen.result)
    assert [entry["check"] for entry in seen["unknown"]] == ["log"]


def test_a_changed_file_of_the_release_alarms(tmp_path: Path) -> None:
    (tmp_path / "engine").write_text("other")
    files = {str(tmp_path / "engine"): "0" * 64, str(tmp_path / "gone"): "0" * 64, str(tmp_path): "0" * 64}
    seen = look("release", approved={"version": "1", "files": files})
    assert [(finding["severity"], Path(finding["path"]).name) for finding in seen["findings"]] == [
        ("alarming", "engine"), ("suspicious", "gone")
    ]  # fmt: skip
    assert seen["checks"] == [{"name": "release", "state": "partly"}]


# The whole ------------------------------------------------------------------------------------------------------------


def test_a_check_that_breaks_or_hangs_costs_none_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def breaks(*_args: object) -> None:
        raise RuntimeError("a hostile byte")

    def hangs(*_args: object) -> None:
        released.wait(60)

    checks = {**host_audit_info.CHECKS, "kernel": breaks, "log": hangs}
    monkeypatch.setattr(host_audit_info, "CHECKS", checks)
    monkeypatch.setattr(host_audit_info, "GRACE_S", 0.1)
    try:
        seen = look("kernel", "log", "release", timeout=0.2, approved={"version": "1", "files": {"/none": "0" * 64}})
    finally:
        released.set()
    assert [check["state"] for check in seen["checks"]] == ["done", "unknown", "unknown"]
    assert {entry["check"]: entry["why"] for entry in seen["unknown"]} == {
        "kernel": "the check itself failed: RuntimeError: a hostile byte", "log": "no end in 0.2 s"
    }  # fmt: skip
    (told,) = seen.recorded("host.audited")
    assert told["counts"] == {"info": 0, "suspicious": 1, "alarming": 0}


def test_a_host_that_has_to_be_clean_and_is_not_is_held(tmp_path: Path) -> None:
    (tmp_path / "engine").write_text("other")
    for path, held in ((tmp_path / "engine", True), (tmp_path / "gone", False)):
        seen = look("release", approved={"version": "1", "files": {str(path): "0" * 64}}, require="clean")
        assert seen.outcome == ("held" if held else "done")
        assert seen.recorded("host.audited")


def test_an_expected_program_may_lie_anywhere_but_its_file_must_be_there() -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # where anybody may write is the point
    try:
        shutil.copy("/bin/sleep", folder / "x")
        with program([str(folder / "x"), "60"]) as process:
            wait_until(lambda: os.readlink(f"/proc/{process.pid}/exe") == str(folder / "x"))
            told = Findings()
            assert process.pid not in audit_host.audit_processes(told, [str(folder)]).pids
            assert not [one for one in told.findings() if f"process {process.pid} " in one.what]
            (folder / "x").unlink()
            assert process.pid in audit_host.audit_processes(told, [str(folder)]).pids
    finally:
        shutil.rmtree(folder)


def test_this_host_as_it_is_can_be_audited() -> None:
    args = {"expected_listeners": [], "expected_peers": [], "known_networks": ["192.0.2.0/24"]}
    seen = look("processes", "sockets", "persistence", "kernel", "logins", **args)
    assert not seen.failed
    assert len(seen["checks"]) == 5
    assert all(finding["source"] == "host" and finding["what"] for finding in seen["findings"])


def test_plenty_of_one_kind_crowds_nothing_out() -> None:
    told = Findings()
    for number in range(PER_KIND + 10):
        told.add("changed_cron", "suspicious", f"file {number}")
    told.add("changed_cron", "alarming", "the one")
    findings = told.findings()
    assert findings[0].what == "the one"
    assert findings[-1].what == "10 more of changed_cron are not listed"
    assert len(findings) == PER_KIND + 2


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"timeout": 0}, "more than 0"),
        ({"since": "yesterday"}, "no time with a zone"),
        ({"since": "2026-01-01T00:00:00"}, "no time with a zone"),
        ({"since": "2999-01-01T00:00:00Z"}, "not come yet"),
        ({"expected_listeners": ["22"]}, "it is written tcp/22"),
        ({"expected_listeners": ["tcp/99999"]}, "it is written tcp/22"),
        ({"expected_peers": ["firm.example"]}, "expected_peers: 'firm.example' is no network"),
        ({"known_networks": ["10.0.0.1/8"]}, "has host bits set"),
        ({"log_files": ["system.log"]}, "not an absolute path"),
        ({"config_repository": "etc"}, "not an absolute path"),
        ({"checks": ["everything"]}, "value of checks must be one or more of"),
    ],
)
def test_wrong_arguments_are_refused(args: dict[str, Any], words: str) -> None:
    seen = run(host_audit_info, **args)
    assert seen.outcome == "usage"
    assert words in seen["msg"]
