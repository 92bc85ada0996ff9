# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The journal: the chain as pure rules (properties), the file under crashes, crowds and tampering, and redaction."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils import chain, journal
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError
from ansible_collections.hft.incident.plugins.module_utils.journal import Journal, actor_name, verify
from ansible_collections.hft.incident.plugins.module_utils.redaction import is_secret_field, recordable, scrub_text

AT = "2026-11-23T10:00:00.000000Z"
COLLECTIONS = Path(__file__).parents[2] / "collections"

json_data = st.dictionaries(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


def chained(*data: dict[str, Any]) -> list[bytes]:
    """The lines of a journal with one event per argument."""
    lines, prev = [], chain.GENESIS
    for seq, item in enumerate(data, 1):
        kind, plain = chain.draft("test.written", item)
        event = chain.sealed(seq, AT, "me@host", kind, plain, prev)
        lines.append(chain.to_line(event))
        prev = event.hash
    return lines


journals = st.lists(json_data, min_size=1, max_size=6).map(lambda items: chained(*items))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inc" / "journal.jsonl"


# The chain


@given(journals)
def test_what_was_written_is_intact_and_names_its_head(lines: list[bytes]) -> None:
    found = chain.check(b"".join(lines))
    assert (found.state, found.events, found.head_seq) == ("intact", len(lines), len(lines))
    assert found.head_hash == json.loads(lines[-1])["hash"]


@given(journals)
def test_a_line_is_the_canonical_json_of_the_contract(lines: list[bytes]) -> None:
    prev = "0" * 64
    for seq, line in enumerate(lines, 1):
        event = json.loads(line)
        claimed = event.pop("hash")
        canonical = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        assert claimed == hashlib.sha256(canonical).hexdigest()
        assert (event["seq"], event["prev"]) == (seq, prev)
        prev = claimed


@given(journals, st.data())
def test_any_changed_byte_is_detected(lines: list[bytes], draw: st.DataObject) -> None:
    whole = bytearray(b"".join(lines))
    position = draw.draw(st.integers(0, len(whole) - 1))
    replacement = draw.draw(st.integers(0, 255))
    assume(whole[position] != replacement)
    whole[position] = replacement
    assert chain.check(bytes(whole)).state != "intact"


@given(journals, st.data())
def test_any_inserted_or_dropped_byte_is_detected(lines: list[bytes], draw: st.DataObject) -> None:
    whole = b"".join(lines)
    position = draw.draw(st.integers(0, len(whole) - 1))
    inserted = whole[:position] + bytes([draw.draw(st.integers(0, 255))]) + whole[position:]
    assert chain.check(inserted).state != "intact"
    dropped = whole[:position] + whole[position + 1 :]
    assert chain.check(dropped).state != "intact"


@given(st.lists(json_data, min_size=2, max_size=6).map(lambda items: chained(*items)), st.data())
def test_a_removed_moved_repeated_or_foreign_line_is_altered(lines: list[bytes], draw: st.DataObject) -> None:
    index = draw.draw(st.integers(0, len(lines) - 2))  # the last line removed is a shorter chain: see the next test
    other = draw.draw(st.integers(0, len(lines) - 1))
    removed = lines[:index] + lines[index + 1 :]
    assert chain.check(b"".join(removed)).state == "altered"
    inserted = [*lines[:index], lines[other], *lines[index:]]
    assert chain.check(b"".join(inserted)).state == "altered"
    assume(index != other)
    swapped = list(lines)
    swapped[index], swapped[other] = swapped[other], swapped[index]
    found = chain.check(b"".join(swapped))
    assert (found.state, found.altered_seq) == ("altered", min(index, other) + 1)


@given(journals, st.data())
def test_a_cut_is_torn_and_never_claims_more_than_is_there(lines: list[bytes], draw: st.DataObject) -> None:
    whole = b"".join(lines)
    cut = draw.draw(st.integers(0, len(whole) - 1))
    found = chain.check(whole[:cut])
    kept = whole[:cut].count(b"\n")
    at_boundary = cut == 0 or whole[cut - 1 : cut] == b"\n"
    assert (found.state, found.events) == ("intact" if at_boundary else "torn", kept)
    # At a line boundary only the head tells: it is no longer the one that was there before.
    assert found.head_hash != json.loads(lines[-1])["hash"]


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (lambda line: line.replace(b'"n":2', b'"n":3'), "content does not match its hash"),
        (lambda line: line.replace(b'"n":2', b'"n": 2'), "not written the way"),
        (lambda line: b"not json\n", "not a journal line"),
        (lambda line: b"[" * 100_000 + b"\n", "not a journal line"),
        (lambda line: line.replace(b'"n":2', b'"n":"\\ud800"'), "content does not match its hash"),
        (lambda line: line.replace(b'"seq":2', b'"seq":true'), "not a journal line"),
        (lambda line: b"", "a line before it is missing"),
        (lambda line: line + line, "put in, repeated or moved"),
        (lambda line: chain.to_line(chain.sealed(2, AT, "me", "test.forged", {}, "f" * 64)), "does not continue"),
    ],
)
def test_an_alteration_is_named_with_its_event(tamper: Callable[[bytes], bytes], reason: str) -> None:
    first, second, third, fourth = chained({"n": 1}, {"n": 2}, {"n": 3}, {"n": 4})
    found = chain.check(first + tamper(second) + third + fourth)
    assert found.state == "altered"
    assert found.altered_seq in (2, 3)
    assert reason in found.reason
    assert "\n" not in found.reason


@pytest.mark.parametrize("value", [b"NaN", b"-Infinity", b"1e999"])
def test_a_figure_that_json_does_not_have_is_an_alteration_and_stops_no_reader(path: Path, value: bytes) -> None:
    Journal(path).append("a.happened", {"n": 7})
    path.write_bytes(path.read_bytes().replace(b'"n":7', b'"n":' + value))
    assert (verify(path).state, verify(path).altered_seq) == ("altered", 1)
    assert Journal(path).events() == []


def test_a_last_line_of_blocks_the_disk_never_got_is_torn() -> None:
    first, second = chained({"n": 1}, {"n": 2})
    assert chain.check(first + b"\0" * 40 + second[40:]).state == "torn"
    assert chain.check(first + b"\0" * 4096).state == "torn"


# The file


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


APPENDER = """
import os, sys, threading
from ansible_collections.hft.incident.plugins.module_utils.journal import Journal
path, name, count, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
journal = Journal(path, actor=name)
print("ready", flush=True)
sys.stdin.readline()
def work(thread):
    for n in range(count):
        event = journal.append("crowd.appended", {"by": f"{name}.{thread}", "n": n})
        os.write(1, f"{event.seq} {event.hash}\\n".encode())  # one write: lines of threads do not mix
crowd = [threading.Thread(target=work, args=(thread,)) for thread in range(threads)]
[thread.start() for thread in crowd]
[thread.join() for thread in crowd]
"""


def appender(path: Path, name: str, count: int, threads: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", APPENDER, str(path), name, str(count), str(threads)],
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_many_processes_and_threads_leave_no_gap_and_lose_nothing(path: Path) -> None:
    crowd = [appender(path, f"p{n}", 10, 4) for n in range(5)]
    for process in crowd:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    acknowledged: set[tuple[int, str]] = set()
    for process in crowd:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in crowd:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        acknowledged |= {(int(seq), found) for seq, found in (line.split() for line in out.splitlines())}
    events = Journal(path).events()
    assert [event.seq for event in events] == list(range(1, 201))
    assert {(event.seq, event.hash) for event in events} == acknowledged
    assert verify(path).state == "intact"
    for name in {event.data["by"] for event in events}:
        assert [event.data["n"] for event in events if event.data["by"] == name] == list(range(10))


def test_a_forked_child_and_its_parent_exclude_each_other(path: Path) -> None:
    """Ansible's workers are forks of the process that holds the journal object."""
    journal = Journal(path)
    journal.append("a.first", {})
    child = os.fork()
    if child == 0:
        try:
            for n in range(30):
                journal.append("child.appended", {"n": n})
        finally:
            os._exit(0)
    for n in range(30):
        journal.append("parent.appended", {"n": n})
    assert os.waitpid(child, 0)[1] == 0
    assert (verify(path).state, verify(path).events) == ("intact", 61)


@pytest.mark.parametrize("acknowledgements", [1, 7, 25])
def test_kill_9_in_the_middle_of_appends_loses_nothing_that_was_acknowledged(path: Path, acknowledgements: int) -> None:
    process = appender(path, "doomed", 1_000_000, 3)
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()
    lines = [process.stdout.readline() for _ in range(acknowledgements)]
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate(timeout=60)
    lines += [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    assert verify(path).state in ("intact", "torn")
    Journal(path).append("after.crash", {})
    assert verify(path).state == "intact"
    on_disk = {(event.seq, event.hash) for event in Journal(path).events()}
    acknowledged = {(int(seq), found) for seq, found in (line.split() for line in lines)}
    assert acknowledged <= on_disk


def test_a_write_that_kill_9_cut_short_is_repaired_by_the_next_process(path: Path) -> None:
    """The kernel seldom cuts so small a write, so the child is made to die with half of its line written."""
    Journal(path).append("a.first", {})
    dying = """
import os, signal, sys
from ansible_collections.hft.incident.plugins.module_utils import journal
real = os.write
def half(fd, data):
    real(fd, data[: len(data) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
journal.os.write = half
journal.Journal(sys.argv[1]).append("half.written", {"text": "x" * 200})
"""
    done = subprocess.run(
        [sys.executable, "-c", dying, str(path)], env={**os.environ, "PYTHONPATH": str(COLLECTIONS)}, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert verify(path).state == "torn"
    Journal(path).append("a.second", {})
    assert [event.kind for event in Journal(path).events()] == ["a.first", "journal.torn_line", "a.second"]
    assert verify(path).state == "intact"
    assert b"x" * 50 in (path.parent / "journal.torn").read_bytes()


def test_a_reader_never_sees_a_gap_while_others_append(path: Path) -> None:
    journal = Journal(path)
    writers = [threading.Thread(target=lambda: [journal.append("a.happened", {}) for _ in range(40)]) for _ in range(3)]
    for writer in writers:
        writer.start()
    seen, offset = 0, 0
    while seen < 120:
        events, offset = journal.read_from(offset)
        assert [event.seq for event in events] == list(range(seen + 1, seen + 1 + len(events)))
        seen += len(events)
    for writer in writers:
        writer.join()


# What may enter


class Verdict(NamedTuple):
    name: str
    open_after: int


def test_values_become_plain_json() -> None:
    zurich = datetime(2026, 11, 23, 11, 0, tzinfo=timezone(timedelta(hours=1)))
    given = {
        "price": Decimal("0.10"),
        "at": zurich,
        "utc": datetime(2026, 11, 23, 10, 0, 0, 5, tzinfo=UTC),
        "share": 0.5,
        "lost": float("nan"),
        "pair": (1, 2),
        "verdict": Verdict("okx", 3),
        "name": os.fsdecode(b"\xff"),
    }
    assert recordable(given) == {
        "price": "0.10",
        "at": "2026-11-23T10:00:00.000000Z",
        "utc": "2026-11-23T10:00:00.000005Z",
        "share": 0.5,
        "lost": "nan",
        "pair": [1, 2],
        "verdict": {"name": "okx", "open_after": 3},
        "name": "\\udcff",
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": {"b": [1, {2}]}}, r"data\.a\.b\[1\]: a set cannot be recorded"),
        ({"a": b"raw"}, r"data\.a: a bytes cannot be recorded"),
        ({"a": {1: 2}}, r"data\.a: a field name must be text, not int"),
        ({"a": datetime(2026, 1, 1)}, r"data\.a: a time without a zone"),  # noqa: DTZ001  that is what is refused
    ],
)
def test_what_json_cannot_say_is_a_clear_type_error_and_writes_nothing(path: Path, value: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Journal(path).append("a.happened", value)
    assert not path.exists()


@pytest.mark.parametrize("kind", ["opened", "Incident.Opened", "incident.", "a b.c", ""])
def test_a_kind_that_is_not_dotted_is_refused(path: Path, kind: str) -> None:
    with pytest.raises(ValueError, match="not an event kind"):
        Journal(path).append(kind, {})


SECRET_FIELDS = [
    "api_secret",
    "apiSecret",
    "API-Key",
    "OK-ACCESS-SIGN",
    "OK-ACCESS-PASSPHRASE",
    "X-BAPI-API-KEY",
    "X-MBX-APIKEY",
    "Authent",
    "password",
    "db_password",
    "token",
    "hft_api_token",
    "passphrase",
    "private_key",
    "Authorization",
    "signature",
    "secret",
]
HARMLESS_FIELDS = [
    "token_count",
    "key",
    "keys",
    "order_id",
    "signature_valid",
    "sign",
    "tokenized",
    "secretary",
    "passed",
    "api_key_id",
]


@pytest.mark.parametrize("name", SECRET_FIELDS)
def test_a_secret_field_is_masked_at_any_depth(path: Path, name: str) -> None:
    canary = "canary5a1t"
    Journal(path).append("a.happened", {"outer": [{name: canary, "deep": {name: {"value": [canary]}}}], name: canary})
    assert canary not in path.read_text()
    assert is_secret_field(name)


@pytest.mark.parametrize("name", HARMLESS_FIELDS)
def test_a_field_that_only_sounds_like_a_secret_stays(name: str) -> None:
    assert recordable({name: "value1"}) == {name: "value1"}


@pytest.mark.parametrize("value", ["env:BINANCE_KEY", "file:/etc/keys/k", "cmd:pass show k", None, True, ""])
def test_a_reference_or_the_lack_of_a_secret_stays(value: Any) -> None:
    assert recordable({"api_secret": value}) == {"api_secret": value}


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("GET /order?symbol=BTC&signature=ab12&x=1", "GET /order?symbol=BTC&signature=***&x=1"),
        ("see https://x/?a=1&signature=ab12", "see https://x/?a=1&signature=***"),
        ("error: token=ab12", "error: token=***"),
        ("Authorization: Bearer abcdef.123", "Authorization: Bearer ***"),
        ("OK-ACCESS-SIGN: abc123=", "OK-ACCESS-SIGN: ***"),
        ('refused {"api_key": "k1", "code": 3}', 'refused {"api_key": "***", "code": 3}'),
        ("postgres://me:hunter2@db/x", "postgres://***@db/x"),
        ("password: hunter2", "password: ***"),
        ("api_secret=env:BINANCE", "api_secret=env:BINANCE"),
        ("invalid token: expired", "invalid token: expired"),
        ("token_count=3, key: a1, cancelled: 30", "token_count=3, key: a1, cancelled: 30"),
        ("http://127.0.0.1:8080/api refused", "http://127.0.0.1:8080/api refused"),
    ],
)
def test_secret_fields_inside_a_sentence_are_masked_and_the_rest_stays(text: str, scrubbed: str) -> None:
    assert scrub_text(text) == scrubbed


@given(json_data)
def test_recording_is_stable_and_leaves_its_argument_alone(data: dict[str, Any]) -> None:
    before = json.dumps(data)
    once = recordable(data)
    assert recordable(once) == once
    assert json.dumps(data) == before


def test_the_actor_is_the_person_behind_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "maria")
    assert actor_name().startswith("maria@")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("LOGNAME", "somebody-else")
    assert not actor_name().startswith(("maria@", "somebody-else@"))


def test_a_process_that_stopped_with_the_journal_locked_hangs_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Journal(tmp_path / "journal.jsonl")
    made.append("run.started", {})
    locks = "import fcntl, os, sys; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX)"
    holder = f"{locks}; print(flush=True); os.kill(os.getpid(), {signal.SIGSTOP:d})"
    with subprocess.Popen([sys.executable, "-c", holder, made.path], stdout=subprocess.PIPE) as stopped:
        try:
            assert stopped.stdout is not None
            stopped.stdout.readline()
            monkeypatch.setattr(journal, "LOCK_PATIENCE_S", 0.05)
            with pytest.raises(IncidentError, match="another process has had it locked"):
                made.append("task.finished", {})
            with pytest.raises(IncidentError, match="another process has had it locked"):
                verify(made.path)
            assert len(made.events()) == 1
        finally:
            stopped.kill()
    made.append("task.finished", {})
    assert verify(made.path).state == "intact"
