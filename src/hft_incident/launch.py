# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""`ansible-playbook` as the wrapper starts it: ``launch.py FIFO ansible-playbook ARGUMENT…``. A program, not a library.

What it does before it becomes `ansible-playbook`, in the same process and interpreter:

- It reads its environment from a pipe. ansible-runner writes the environment that it starts a process with to disk, and
  the keys that ``env:NAME`` refers to are in there.
- It outlives the wrapper. A response half way must not be cut because the terminal of the person who started it was
  closed: from then on its output goes nowhere, the record goes on, and it removes the wrapper's folder in the end.
- It asks nobody: standard input is empty, so nothing waits for a password or an answer that cannot come.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer


class LastingOutput(io.FileIO):
    """Standard output that goes on as nothing once the terminal behind it is gone."""

    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(data).nbytes


def take_environment(pipe: str) -> None:
    """Replaces the environment by the NUL-separated ``NAME=value`` that come out of ``pipe``."""
    with open(pipe, "rb") as source:
        entries = [entry.partition(b"=") for entry in source.read().split(b"\0") if entry]
    os.environb.clear()
    os.environb.update({name: value for name, _, value in entries})


def main(pipe: str, command: list[str]) -> None:
    wrapper = os.getppid()
    take_environment(pipe)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.close(nothing)
    for name in ("stdout", "stderr"):
        raw = LastingOutput(getattr(sys, name).fileno(), "w", closefd=False)
        setattr(sys, name, io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", line_buffering=True))
    sys.argv = command
    from ansible.cli.playbook import main as ansible_playbook

    try:
        ansible_playbook()
    finally:
        if os.getppid() != wrapper:
            shutil.rmtree(os.path.dirname(pipe), ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
