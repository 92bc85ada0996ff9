# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A tree as one tar file: the same for the same tree, and whatever is in it or is done to it is survived and noted."""

from __future__ import annotations

import io
import os
import shutil
import socket
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils import tree_archive
from ansible_collections.hft.incident.plugins.module_utils.deadline import Deadline

MIB = 1024 * 1024


class Made(NamedTuple):
    told: dict[str, Any]
    data: bytes

    @property
    def members(self) -> dict[str, tarfile.TarInfo]:
        return {member.name: member for member in self.tar.getmembers()}

    @property
    def tar(self) -> tarfile.TarFile:
        return tarfile.open(fileobj=io.BytesIO(self.data), errors="surrogateescape")

    def content(self, name: str) -> bytes:
        file = self.tar.extractfile(name)
        assert file is not None
        return file.read()

    def noted(self, words: str) -> bool:
        return any(words in note for note in self.told["notes"])


def archive(root: Path, *, limit: int = 16 * MIB, file_limit: int = MIB, seconds: float = 60.0) -> Made:
    into = io.BytesIO()
    told = tree_archive.write_tree(str(root), into, limit, file_limit, Deadline(seconds))
    assert len(into.getvalue()) <= limit + tarfile.RECORDSIZE
    return Made(told, into.getvalue())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "etc"
    (root / ".git/objects").mkdir(parents=True)
    (root / "hft.json").write_text('{"a": 1}')
    (root / ".git/config").write_text("[core]\n\tfsmonitor = /tmp/evil\n")
    return root


def test_the_same_tree_gives_the_same_bytes_however_it_is_listed(tree: Path, tmp_path: Path) -> None:
    first = archive(tree)
    assert archive(tree) == first
    other = tmp_path / "other" / "etc"
    other.mkdir(parents=True)
    for name in ("hft.json", ".git"):  # another order of making gives another order of listing
        (shutil.copytree if (tree / name).is_dir() else shutil.copy2)(tree / name, other / name)
    shutil.copystat(tree, other)
    assert archive(other).data == first.data
    assert list(first.members) == ["etc", "etc/.git", "etc/.git/config", "etc/.git/objects", "etc/hft.json"]
    assert first.told["error"] is None


def test_what_is_kept_of_a_file(tree: Path) -> None:
    path = tree / "hft.json"
    os.utime(path, ns=(10**18, 1_700_000_000_123_456_789))
    path.chmod(0o4750)
    member = archive(tree).members["etc/hft.json"]
    assert member.pax_headers["mtime"] == "1700000000.123456789"
    assert (member.mode, member.uid, member.gid, member.uname) == (0o4750, os.getuid(), os.getgid(), "")
    assert path.stat().st_atime_ns == 10**18, "not touched"


def test_attributes_are_kept_where_the_file_system_has_them(tree: Path) -> None:
    try:
        os.setxattr(tree / "hft.json", "user.origin", b"\xff\x00evil")
    except OSError as error:
        pytest.skip(f"no attributes here: {error}")
    member = archive(tree).members["etc/hft.json"]
    assert member.pax_headers["SCHILY.xattr.user.origin"].encode("utf-8", "surrogateescape") == b"\xff\x00evil"


NAMES = st.binary(min_size=1, max_size=255).filter(lambda name: not {0, 47} & set(name) and name not in (b".", b".."))


@settings(max_examples=60, deadline=None)
@given(st.sets(NAMES, max_size=8))
def test_no_name_is_too_hostile(tmp_path_factory: pytest.TempPathFactory, names: set[bytes]) -> None:
    root = tmp_path_factory.mktemp("hostile") / "tree"
    root.mkdir()
    for name in names:
        with open(os.path.join(os.fsencode(root), name), "wb") as file:
            file.write(name)
    made = archive(root)
    found = {os.fsencode(name).partition(b"/")[2]: made.content(name) for name in made.members if "/" in name}
    assert found == {name: name for name in names}
    assert all(name.split("/")[0] == "tree" and ".." not in name.split("/") for name in made.members)


def test_links_are_kept_as_links_and_never_followed(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tree / "out").symlink_to("../secret")
    (tree / "folder").symlink_to(tmp_path)
    (tree / "loop").symlink_to("loop")
    made = archive(tree)
    assert {made.members[f"etc/{name}"].linkname for name in ("out", "folder", "loop")} == {
        "../secret",
        str(tmp_path),
        "loop",
    }
    assert b"secret" not in made.data.replace(b"../secret", b"")


def test_a_link_that_is_named_is_followed_and_that_is_told(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(tree)
    made = archive(tmp_path / "current")
    assert made.told["real_path"] == str(tree)
    assert "etc/hft.json" in made.members


def test_one_file_of_two_names_is_there_once(tree: Path) -> None:
    os.link(tree / "hft.json", tree / "zz.json")
    member = archive(tree).members["etc/zz.json"]
    assert (member.islnk(), member.linkname) == (True, "etc/hft.json")


def test_pipes_sockets_and_devices_are_noted_and_not_opened(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tree / "pipe")
    monkeypatch.chdir(tree)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")
        made = archive(tree)
    assert made.noted("etc/pipe: is a pipe, which is not opened")
    assert made.noted("etc/sock: is a socket, which is not opened")
    assert (made.told["error"], "etc/pipe" in made.members) == (None, False)


def test_a_file_that_is_too_long_is_noted_and_the_rest_is_kept(tree: Path) -> None:
    with open(tree / "a-sparse", "wb") as file:
        file.truncate(1 << 40)
    made = archive(tree)
    assert "1099511627776 bytes long, 0 of them on the disk; the limit is 1048576" in made.told["error"]
    assert made.told["truncated"] is True
    assert "etc/hft.json" in made.members


def test_everything_together_keeps_its_limit(tree: Path) -> None:
    for number in range(40):
        (tree / f"{number:02}").write_bytes(b"x" * 10_000)
    made = archive(tree, limit=200_000)
    assert made.told["error"]
    assert len(made.data) < 220_000
    assert made.tar.getmembers()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_noted(tree: Path) -> None:
    (tree / "hft.json").chmod(0)
    assert "permission denied" in archive(tree).told["error"]


def test_a_file_that_shrinks_while_it_is_read_is_filled_with_zeros_and_said(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "hft.json").write_bytes(b"x" * 3_000)
    real = tree_archive._attributes

    def shrink(descriptor: int) -> Any:
        if os.fstat(descriptor).st_size == 3_000:
            os.truncate(tree / "hft.json", 1_000)
        return real(descriptor)

    monkeypatch.setattr(tree_archive, "_attributes", shrink)
    made = archive(tree)
    assert made.content("etc/hft.json") == b"x" * 1_000 + bytes(2_000)
    assert "2000 bytes of it could not be read any more" in made.told["error"]
    assert made.told["changed_while_read"] is True


def test_a_file_that_grows_while_it_is_read_is_kept_as_it_was_and_marked(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tree_archive._attributes

    def grow(descriptor: int) -> Any:
        if os.fstat(descriptor).st_ino == (tree / "hft.json").stat().st_ino:
            with open(tree / "hft.json", "ab") as file:
                file.write(b"more")
        return real(descriptor)

    monkeypatch.setattr(tree_archive, "_attributes", grow)
    made = archive(tree)
    assert made.content("etc/hft.json") == b'{"a": 1}'
    assert (made.told["changed_while_read"], made.told["error"]) == (True, None)


@pytest.mark.parametrize("became", ["link", "folder", "gone", "another file"])
def test_a_name_that_is_swapped_at_the_last_moment_leads_nowhere(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, became: str
) -> None:
    (tmp_path / "secret").write_text("canary")
    real = tree_archive._open

    def swap(name: str, parent: int) -> int:
        if name == "hft.json":
            (tree / name).unlink()
            if became == "link":
                (tree / name).symlink_to(tmp_path / "secret")
            elif became == "folder":
                (tree / name).mkdir()
            elif became == "another file":
                (tmp_path / "secret").rename(tree / name)
        return real(name, parent)

    monkeypatch.setattr(tree_archive, "_open", swap)
    made = archive(tree)
    assert "etc/hft.json: " in made.told["error"]
    assert b"canary" not in made.data
    assert "etc/.git/config" in made.members


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="nothing is mounted there")  # noqa: S108  # only looked at
def test_another_file_system_in_it_is_not_entered(tmp_path: Path) -> None:
    made = archive(Path("/dev"), seconds=60)
    assert made.noted("dev/shm: is another file system, which is not entered")
    assert not [name for name in made.members if name.startswith("dev/shm/")]
    assert made.noted("dev/null: is a device, which is not opened")


def test_a_tree_that_is_deeper_than_any_is_not_followed_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree_archive, "MAX_DEPTH", 20)
    deep = tmp_path / "tree"
    for _ in range(30):
        deep /= "d"
    deep.mkdir(parents=True)
    made = archive(tmp_path / "tree")
    assert "deeper than 20 folders" in made.told["error"]
    assert len(made.members) == 21


def test_a_tree_that_grows_without_end_is_cut(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_archive, "MAX_ENTRIES", 50)
    for number in range(100):
        (tree / f"{number:03}").touch()
    made = archive(tree)
    assert "more than 50 names" in made.told["error"] or "more names than the 50" in made.told["error"]
    assert len(made.members) <= 50


def test_when_the_time_is_up_it_is_closed_properly(tree: Path) -> None:
    made = archive(tree, seconds=0)
    assert "the time was up" in made.told["error"]
    assert list(made.members) == ["etc"]


def test_so_many_notes_and_no_more(tree: Path) -> None:
    for number in range(tree_archive.MAX_NOTES + 7):
        os.mkfifo(tree / f"pipe-{number}")
    told = archive(tree).told
    assert (len(told["notes"]), told["notes_left_out"]) == (tree_archive.MAX_NOTES, 7)


def test_a_tree_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        archive(tmp_path / "nowhere")


def test_one_file_is_a_tree_as_well(tree: Path) -> None:
    assert list(archive(tree / "hft.json").members) == ["hft.json"]


def test_a_note_of_a_hostile_name_is_one_line(tree: Path) -> None:
    os.mkfifo(tree / "a\nb\x1b[31m")
    assert archive(tree).told["notes"] == ["etc/a\\nb\\x1b[31m: is a pipe, which is not opened"]
