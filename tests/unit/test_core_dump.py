# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Where a core dump lies, by what the kernel is told, and what of a host changed lately."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.core_dump import find, plan_of, stored
from ansible_collections.hft.incident.plugins.module_utils.host_changes import changed_files, package_changes
from ansible_collections.hft.incident.plugins.module_utils.log_lines import Tail

NOW = 1_763_956_800.0


@pytest.mark.parametrize(
    ("pattern", "uses_pid", "folders", "name", "pid"),
    [
        ("core", False, ["/srv/hft"], "core", None),
        ("core", True, ["/srv/hft"], "core.4242", "4242"),
        ("core.%p", True, ["/srv/hft"], "core.4242", "4242"),
        ("/var/cores/%e.%t.core", False, ["/var/cores"], "hft.1763956800.core", None),
        ("/var/cores/core-%e-%s-%u-%g-%P-%t", False, ["/var/cores"], "core-hft-11-0-0-4242-1763956800", "4242"),
        ("/cores/%h/%E.%P", False, ["/cores/*"], "!opt!hft!engine.4242", "4242"),
        ("cores/100%%.%p", False, ["/srv/hft/cores"], "100%.4242", "4242"),
        ("core.%p.%", False, ["/srv/hft"], "core.4242.", "4242"),
    ],
)
def test_a_pattern_says_where_to_look(
    pattern: str, uses_pid: bool, folders: list[str], name: str, pid: str | None
) -> None:
    plan = plan_of(pattern, uses_pid, "/srv/hft")
    assert (plan.how, list(plan.folders)) == ("file", folders)
    assert plan.name is not None
    match = plan.name.fullmatch(name)
    assert match is not None
    assert match.groupdict().get("pid") == pid
    assert not plan.name.fullmatch(f"x/{name}")


@pytest.mark.parametrize(
    ("pattern", "how", "handler"),
    [
        ("", "nowhere", ""),
        ("|/usr/lib/systemd/systemd-coredump %P %u", "handler", "systemd-coredump"),
        ("|/usr/share/apport/apport -p%p", "handler", "apport"),
        ("@/run/coredump.socket", "socket", "/run/coredump.socket"),
    ],
)
def test_a_pattern_may_name_somebody_else(pattern: str, how: str, handler: str) -> None:
    plan = plan_of(pattern, True, "/srv/hft")
    assert (plan.how, plan.handler, plan.folders) == (how, handler, ())


def test_a_service_with_a_tmp_of_its_own_is_looked_for_there_too() -> None:
    tmp = "/tmp"  # noqa: S108  # nothing is written there
    own = f"{tmp}/systemd-private-*-hft.service-*/tmp"
    assert plan_of(f"{tmp}/core.%p", False, "/", "hft.service").folders == (tmp, own)
    assert plan_of(f"{tmp}fs/core.%p", False, "/", "hft.service").folders == (f"{tmp}fs",)
    assert plan_of(f"/var{tmp}/x/core", False, "/", "hft.service").folders[1] == f"/var{own}/x"


@settings(deadline=None)
@given(st.text(), st.booleans(), st.text(), st.text())
def test_no_pattern_raises(pattern: str, uses_pid: bool, folder: str, unit: str) -> None:
    plan_of(pattern, uses_pid, folder, unit)
    stored(pattern)


def test_the_core_of_another_process_is_not_ours_and_the_newest_comes_first(tmp_path: Path) -> None:
    for pid, age in ((1, 1), (4242, 30), (3, 10), (4, 100)):
        path = tmp_path / f"core.{pid}"
        path.touch()
        os.utime(path, (NOW - age, NOW - age))
    (tmp_path / "core.5").mkdir()
    (tmp_path / "core.6").symlink_to(tmp_path / "core.1")
    name = re.compile(r"core\.(?P<pid>\d+)")
    assert [core.pid for core in find([str(tmp_path)], name, 4242, NOW - 60)] == [4242]
    assert [core.pid for core in find([str(tmp_path)], name, None, NOW - 60)] == [1, 3, 4242]
    nameless = find([str(tmp_path)], re.compile(r"core\.\d+"), 4242, NOW - 20)
    assert [core.path[-1] for core in nameless] == ["1", "3"]
    assert find([str(tmp_path / "none")], name, 4242, None) == []


def test_a_stored_core_that_is_gone_has_no_size() -> None:
    output = (
        "           PID: 7 (hft)\n       Storage: /nowhere/core.hft.zst (missing)\n\n"
        "           PID: 8 (hft)\n       Storage: none\n"
    )
    assert [(core.path, core.size_bytes, core.pid) for core in stored(output)] == [("/nowhere/core.hft.zst", None, 7)]


def test_what_did_not_change_lately_is_not_listed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).touch()
    at = (tmp_path / "b").stat().st_ctime
    assert {os.path.basename(file.path) for file in changed_files([str(tmp_path)], at - 60).files} == {"a", "b"}
    assert changed_files([str(tmp_path)], at + 60).files == ()


def test_a_new_name_for_old_content_is_a_change(tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.touch()
    os.utime(moved, (1, 1))
    (file,) = changed_files([str(moved)], moved.stat().st_ctime - 60).files
    assert file.modified_at == "1970-01-01T00:00:01.000000Z"
    assert (file.changed_at or "") > "2020"


def test_apts_command_has_the_time_above_it_and_dnf_its_own() -> None:
    apt = b"Start-Date: 2025-11-24  03:59:00\nCommandline: apt-get upgrade hft\nUpgrade: hft:amd64 (1, 2)\n"
    dnf = b"2025-11-24T03:58:00+0000 SUBDEBUG Upgraded: hft-1-1.x86_64\n2025-11-24T03:58:01+0000 INFO --- logging\n"
    found = package_changes([Tail("/apt", apt), Tail("/dnf", dnf)], NOW - 15 * 3600, NOW)
    assert {(change.source, change.line.split(" ", 1)[0][:11].rstrip(":")) for change in found} == {
        ("/apt", "Commandline"),
        ("/apt", "Upgrade"),
        ("/dnf", "2025-11-24T"),
    }
    assert package_changes([Tail("/apt", apt), Tail("/dnf", dnf)], NOW + 86_400, NOW) == []


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_log_of_a_package_manager_raises(data: bytes) -> None:
    package_changes([Tail("/log", data), Tail("/log", b"Start-Date: " + data)], 0.0, NOW)
