# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The journal when many write at once, and when one of them is killed or stopped in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ansible_collections.hft.incident.plugins.module_utils import journal
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError
from ansible_collections.hft.incident.plugins.module_utils.journal import Journal, verify

COLLECTIONS = Path(__file__).parents[2] / "collections"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inc" / "journal.jsonl"


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
