# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Programs run on a host: they end in time, all of them, and say how."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from tests.lab.waiting import wait_until

from ansible_collections.hft.incident.plugins.module_utils import host_command
from ansible_collections.hft.incident.plugins.module_utils.host_command import run


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def alive(pid: int) -> bool:
    """Also a zombie is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_it_says_and_how_it_ends_is_told_apart() -> None:
    ran = run(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"), timeout=20)
    assert ran == (3, "out\n", "err\n", False, "")
    assert (ran.ok, ran.complaint) == (False, "err")


def test_an_end_by_a_signal_is_the_signals_number() -> None:
    assert run(python("import os; os.kill(os.getpid(), 11)"), timeout=20).rc == -11


def test_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    assert run(["echo", f"$(touch {tmp_path}/x)", ";", "*"], timeout=20).out == f"$(touch {tmp_path}/x) ; *\n"
    assert not (tmp_path / "x").exists()


def test_its_words_are_in_english_and_nobody_can_answer_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    ran = run(python("import os, sys; print(os.environ['LC_ALL'], repr(sys.stdin.read()))"), timeout=20)
    assert ran.out == "C ''\n"
    assert "No such device" in run(python("open('/dev/tty')"), timeout=20).err


@pytest.mark.parametrize(
    ("argv", "rc"), [(["/nowhere/systemctl", "show"], 127), (["/etc/passwd"], 126), (["true", "\0"], 126)]
)
def test_what_cannot_be_started_says_so(argv: list[str], rc: int) -> None:
    ran = run(argv, timeout=20)
    assert (ran.rc, ran.ok) == (rc, False)
    assert ran.problem.startswith(argv[0])
    assert ran.complaint == ran.problem


def test_at_the_deadline_it_is_killed_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    ran = run(["sh", "-c", f"echo begun; sleep 1000 & echo $$ $! > {pids}; wait"], timeout=1)
    assert (ran.rc, ran.out, ran.problem) == (124, "begun\n", "sh: no end in 1 s")
    begun = [int(pid) for pid in pids.read_text().split()]
    wait_until(lambda: not any(map(alive, begun)))  # its child is not ours: that it is dying is all that we are told


def test_a_child_that_lives_on_and_holds_the_output_is_not_waited_for() -> None:
    ran = run(["sh", "-c", "sleep 1000 & echo $!"], timeout=30)
    child = int(ran.out)
    try:
        assert (ran.rc, ran.problem) == (0, "")
        assert alive(child)
    finally:
        os.kill(child, 9)


def test_a_flood_is_cut_off_and_it_can_end_all_the_same() -> None:
    ran = run(python("print('x' * 3_000_000)"), timeout=20, limit=10)
    assert (ran.rc, ran.out, ran.truncated) == (0, "x" * 10, True)


def test_it_gets_its_input_and_need_not_take_it() -> None:
    data = b"y" * 1_000_000
    assert run(python("import sys; print(len(sys.stdin.buffer.read()))"), timeout=20, stdin=data).out == "1000000\n"
    assert run(["true"], timeout=20, stdin=data).ok


def test_its_output_can_go_into_a_file_byte_for_byte() -> None:
    file = io.BytesIO()
    ran = run(python(r"import sys; sys.stdout.buffer.write(b'\xff\x00\n')"), timeout=20, into=file)
    assert (ran.ok, ran.out, file.getvalue()) == (True, "", b"\xff\x00\n")


def test_bytes_that_are_no_text_do_not_end_the_reading() -> None:
    assert run(python(r"import sys; sys.stdout.buffer.write(b'a\xffb')"), timeout=20).out == "a�b"


def test_a_full_disk_under_its_output_is_raised_and_leaves_no_process() -> None:
    class Full(io.BytesIO):
        def write(self, _data: object) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        run(python("import time; print('x', flush=True); time.sleep(1000)"), timeout=20, into=Full())
    assert host_command.run(["true"], timeout=20).ok
