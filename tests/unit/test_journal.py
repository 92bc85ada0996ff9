# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The journal as a file: private, on disk before it is believed, repaired after a crash, read without reading twice."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils import chain
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError
from ansible_collections.hft.incident.plugins.module_utils.journal import Journal, actor_name, verify

AT = "2026-11-23T10:00:00.000000Z"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inc" / "journal.jsonl"


def test_an_append_makes_a_private_file_in_a_private_folder(path: Path) -> None:
    old = os.umask(0)
    try:
        event = Journal(path).append("incident.opened", {"type": "exchange_outage"})
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert (event.seq, event.prev, event.actor) == (1, "0" * 64, actor_name())
    assert datetime.fromisoformat(event.at).tzinfo is not None
    assert len(event.at) == len(AT)
    assert event.at.endswith("Z")


def test_an_event_is_on_disk_before_append_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, bytes]] = []

    def fsync(fd: int) -> None:
        name = os.readlink(f"/proc/self/fd/{fd}")
        synced.append((name, b"" if os.path.isdir(name) else Path(name).read_bytes()))

    monkeypatch.setattr(os, "fsync", fsync)
    Journal(path).append("a.first", {})
    assert [name for name, _ in synced] == [str(path.parent.parent), str(path), str(path.parent)]
    synced.clear()
    event = Journal(path).append("a.second", {})
    assert [name for name, _ in synced] == [str(path)]
    assert synced[0][1].endswith(chain.to_line(event))


def test_events_come_back_as_they_went_in(path: Path) -> None:
    journal = Journal(path, actor="me@host")
    written = [journal.append("a.happened", {"text": "Zürich 🟥\n\u2028", "n": n}, actor=f"p{n}@h") for n in range(3)]
    assert journal.events() == written
    assert [event.actor for event in written] == ["p0@h", "p1@h", "p2@h"]


def test_a_reader_follows_and_waits_for_a_half_written_line(path: Path) -> None:
    journal = Journal(path)
    assert journal.read_from(0) == ([], 0)
    first = journal.append("a.first", {})
    events, offset = journal.read_from(0)
    assert events == [first]
    second = journal.append("a.second", {})
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert journal.read_from(offset) == ([], offset)
    path.write_bytes(whole)
    events, end = journal.read_from(offset)
    assert (events, end) == ([second], len(whole))
    assert journal.read_from(end) == ([], end)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The lines that were parsed, in order."""
    lines: list[bytes] = []

    def read_line(line: bytes, read: Callable[[bytes], Any] = chain.read_line) -> Any:
        lines.append(line)
        return read(line)

    monkeypatch.setattr(chain, "read_line", read_line)
    return lines


def test_what_was_read_is_not_read_again(path: Path, parsed: list[bytes]) -> None:
    """Every host of a fleet asks the record: read as a whole each time, it costs the square of the hosts."""
    written = [Journal(path).append("a.happened", {"n": n}) for n in range(3)]
    assert Journal(path).events() == written
    written.append(Journal(path).append("a.happened", {"n": 3}))
    parsed.clear()
    assert Journal(path).events() == written
    assert parsed == [chain.to_line(written[-1])]
    parsed.clear()
    assert Journal(path).events() == written
    assert parsed == []


def test_what_was_read_is_known_to_a_forked_child(path: Path, parsed: list[bytes]) -> None:
    """Ansible's workers are forks of the process that writes the record."""
    Journal(path).append("a.first", {})
    Journal(path).events()
    parsed.clear()
    child = os.fork()
    if child == 0:
        seen = Journal(path).events()
        os._exit(len(seen) * 10 + len(parsed))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 10


def test_a_caller_cannot_change_what_was_read(path: Path) -> None:
    Journal(path).append("a.first", {})
    Journal(path).events().clear()
    assert len(Journal(path).events()) == 1


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_a_journal_that_was_cut_or_replaced_is_read_anew(path: Path, keep: int) -> None:
    for n in range(3):
        Journal(path).append("a.happened", {"n": n})
    assert len(Journal(path).events()) == 3
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:keep]))
    kept = Journal(path).events()
    assert [event.data["n"] for event in kept] == list(range(keep))
    written = [Journal(path).append("b.happened", {"n": n, "long": "x" * 1000}) for n in range(3)]
    assert Journal(path).events() == kept + written


def test_a_journal_that_was_removed_has_no_events(path: Path) -> None:
    Journal(path).append("a.first", {})
    assert len(Journal(path).events()) == 1
    path.unlink()
    assert Journal(path).events() == []


def test_journals_are_not_taken_for_each_other(path: Path, tmp_path: Path) -> None:
    written = {where: Journal(where).append("a.first", {"at": str(where)}) for where in (path, tmp_path / "other")}
    for where, event in [*written.items(), *written.items()]:
        assert Journal(where).events() == [event]


def test_a_half_written_line_is_read_once_it_is_whole(path: Path) -> None:
    first = Journal(path).append("a.first", {})
    assert Journal(path).events() == [first]
    second = Journal(path).append("a.second", {})
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert Journal(path).events() == [first]
    path.write_bytes(whole)
    assert Journal(path).events() == [first, second]


@pytest.mark.parametrize("torn", [b'{"actor":"x","da', b"\xff\xfe\x00", b"\0" * 5000, b"\0\0\n", b"x" * 100_000])
def test_a_torn_line_is_set_aside_recorded_and_the_chain_goes_on(path: Path, torn: bytes) -> None:
    journal = Journal(path)
    before = journal.append("a.first", {"n": 1})
    with path.open("ab") as file:
        file.write(torn)
    assert verify(path).state == "torn"
    after = journal.append("a.second", {"n": 2})
    assert after.seq == 3
    noted = journal.events()[1]
    assert (noted.kind, noted.prev) == ("journal.torn_line", before.hash)
    assert noted.data == {"bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}
    aside = path.parent / "journal.torn"
    assert aside.read_bytes() == torn + b"\n"
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600
    found = verify(path)
    assert (found.state, found.events) == ("intact", 3)
    assert "1 torn line" in found.reason


def test_a_first_line_that_was_torn_does_not_lose_the_journal(path: Path) -> None:
    journal = Journal(path)
    journal.append("a.first", {})
    path.write_bytes(path.read_bytes()[:20])
    assert [journal.append("a.second", {}).seq, verify(path).state] == [2, "intact"]


def test_a_crash_while_setting_aside_leaves_a_torn_line_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new lines are written over the torn bytes and what is left of those is cut off afterwards."""
    journal = Journal(path)
    journal.append("a.first", {})
    with path.open("ab") as file:
        file.write(b"x" * 5000)

    def crash(fd: int, length: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", crash)
        with pytest.raises(KeyboardInterrupt):
            journal.append("a.second", {})
    assert verify(path).state == "torn"
    journal.append("a.third", {})
    assert verify(path).state == "intact"
    assert [event.kind for event in journal.events()].count("journal.torn_line") == 2


@pytest.mark.parametrize(
    "tamper",
    [lambda line: line.replace(b'"n":2', b'"n":3'), lambda line: b"garbage\n", lambda line: line.replace(b":", b": ")],
)
def test_after_an_altered_last_line_the_new_event_is_kept_and_the_alteration_stays_visible(
    path: Path, tamper: Callable[[bytes], bytes]
) -> None:
    journal = Journal(path)
    journal.append("a.first", {"n": 1})
    original_first = path.read_bytes()
    journal.append("a.second", {"n": 2})
    second = path.read_bytes()[len(original_first) :]
    path.write_bytes(original_first + tamper(second))
    event = journal.append("a.third", {"n": 3})
    assert event.seq == 4
    noted, last = journal.events()[-2:]
    assert (noted.kind, last) == ("journal.alteration_found", event)
    assert noted.data["line_sha256"] == hashlib.sha256(tamper(second)).hexdigest()
    assert (verify(path).state, verify(path).altered_seq) == ("altered", 2)
    assert journal.append("a.fourth", {}).seq == 5, "it is noted once, not with every event"


def test_putting_an_altered_line_back_makes_the_chain_whole_again(path: Path) -> None:
    journal = Journal(path)
    journal.append("a.first", {"n": 1})
    original = path.read_bytes()
    path.write_bytes(original.replace(b'"n":1', b'"n":9'))
    journal.append("a.second", {})
    assert verify(path).state == "altered"
    path.write_bytes(path.read_bytes().replace(b'"n":9', b'"n":1'))
    assert verify(path).state == "intact"


def test_an_append_reads_the_tail_and_not_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(path)
    journal.extend([("a.filled", {"text": "x" * 1000})] * 500)
    read: list[int] = []
    real = os.pread

    def pread(fd: int, count: int, start: int) -> bytes:
        read.append(count)
        return real(fd, count, start)

    monkeypatch.setattr(os, "pread", pread)
    journal.append("a.last", {})
    assert sum(read) < 32 * 1024


def test_lines_longer_than_the_tail_are_chained_all_the_same(path: Path) -> None:
    journal = Journal(path)
    for size in (300_000, 10, 200_000, 16_384):
        journal.append("a.long", {"text": "x" * size})
    assert (verify(path).state, verify(path).events) == ("intact", 4)


def test_a_full_disk_is_one_clear_line_and_leaves_the_journal_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(path)
    journal.append("a.first", {})
    before = path.read_bytes()
    real = os.write

    def half_then_full(fd: int, data: bytes) -> int:
        if len(data) < 100:
            raise OSError(28, "No space left on device")
        return real(fd, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half_then_full)
    with pytest.raises(IncidentError, match=r"cannot write the record .*: No space left on device") as caught:
        journal.append("a.second", {})
    assert caught.value.outcome == "failed"
    assert path.read_bytes() == before


def test_a_journal_that_is_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.symlink_to(victim)
    with pytest.raises(IncidentError, match="cannot write the record"):
        Journal(path).append("a.first", {})
    assert victim.read_text() == "precious"


def test_verifying_a_journal_that_is_not_there_is_one_clear_line(path: Path) -> None:
    with pytest.raises(IncidentError, match=r"cannot read the record .*: No such file"):
        verify(path)


def test_the_actor_is_the_person_behind_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "maria")
    assert actor_name().startswith("maria@")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("LOGNAME", "somebody-else")
    assert not actor_name().startswith(("maria@", "somebody-else@"))
