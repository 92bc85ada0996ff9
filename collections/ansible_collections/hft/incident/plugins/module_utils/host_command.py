# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A program run on this host: no shell, no terminal, a deadline for it and its children, and a bound for its output.

Source: seed-faults C6 (an interactive or hanging command never returns), F1 (no exit code discipline).
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import IO, Any, NamedTuple

from .deadline import Deadline

#: The most that is kept of an output (bytes); what comes after it is read and dropped, so that the program can end.
LIMIT = 1024 * 1024
CHUNK = 64 * 1024
#: After this long (s) without output from a program that has ended, only a child of its own still holds the pipe.
QUIET_S = 0.1
#: ``rc`` of a program that could not be started, that is not there (both as a shell has them) and that was out of
#: time (as timeout(1) has it).
CANNOT_START, MISSING, LATE = 126, 127, 124


class Ran(NamedTuple):
    """How a program ended: ``rc`` is its exit status, or the negative number of the signal that killed it.

    ``problem`` is "" where it ran to its end, whatever it said; else a sentence: it is not there, it may not be run, it
    was killed at the deadline. ``out`` and ``err`` are what it had said by then; ``truncated``: there was more.
    """

    rc: int
    out: str
    err: str
    truncated: bool = False
    problem: str = ""

    @property
    def ok(self) -> bool:
        return self.rc == 0 and not self.problem

    @property
    def complaint(self) -> str:
        """Why it was not ``ok``, in one line: the problem, else its own last words, else its exit status."""
        words = (self.err.strip() or self.out.strip()).splitlines()
        return self.problem or (" ".join(words[-1].split())[:300] if words else f"exit status {self.rc}")


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    stdin: bytes | None = None,
    limit: int = LIMIT,
    into: IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    owner: tuple[int, int] | None = None,
) -> Ran:
    """Run ``argv`` and wait for it, ``timeout`` seconds at most; then it is killed with everything that it has started.

    ``limit``: bytes that are kept of each of its outputs. ``into``: a file that takes its output instead of ``out``.
    ``env``: its whole environment instead of ours; ``owner``: the user and group that it runs as, and no other group.
    Raises nothing but what writing ``into`` raises.
    """
    deadline = Deadline(timeout)
    identity: dict[str, Any] = {"user": owner[0], "group": owner[1], "extra_groups": []} if owner else {}
    try:
        process = subprocess.Popen(  # noqa: S603  # the commands of our own modules, never a shell
            list(argv),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"} if env is None else dict(env),
            start_new_session=True,  # a process group to kill, and no terminal to ask for a password
            **identity,
        )
    except FileNotFoundError:
        return _not_started(MISSING, f"{argv[0]}: not found")
    except (OSError, ValueError) as error:  # ValueError: a null byte in an argument
        return _not_started(CANNOT_START, f"{argv[0]}: {getattr(error, 'strerror', None) or error}")
    out, err = _Kept(limit, into), _Kept(limit)
    try:
        _pump(process, out, err, stdin, deadline)
        rc = process.wait(deadline.remaining())
    except subprocess.TimeoutExpired:
        return Ran(LATE, out.text(), err.text(), out.truncated or err.truncated, f"{argv[0]}: no end in {timeout:g} s")
    finally:
        _end(process)
    return Ran(rc, out.text(), err.text(), out.truncated or err.truncated)


def located(name: str) -> str:
    """Where the program is, also in the folders that only root's own shell looks through; its name where it is not."""
    folders = [os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"]
    return shutil.which(name, path=os.pathsep.join(folders)) or name


class _Kept:
    """The first ``limit`` bytes of an output."""

    def __init__(self, limit: int, into: IO[bytes] | None = None) -> None:
        self.truncated = False
        self._left = limit
        self._into = into
        self._parts: list[bytes] = []

    def take(self, data: bytes) -> None:
        kept = data[: self._left]
        self._left -= len(kept)
        self.truncated = self.truncated or len(kept) < len(data)
        if self._into is None:
            self._parts.append(kept)
        else:
            self._into.write(kept)

    def text(self) -> str:
        return b"".join(self._parts).decode("utf-8", "replace")


def _pump(process: subprocess.Popen[bytes], out: _Kept, err: _Kept, stdin: bytes | None, deadline: Deadline) -> None:
    """Feed and drain it until it closes its outputs, or ends and leaves them to a child, or the deadline comes."""
    with selectors.DefaultSelector() as selector:
        for pipe, kept in ((process.stdout, out), (process.stderr, err)):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, kept)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        unsent = memoryview(stdin or b"")
        while selector.get_map() and not deadline.expired():
            ready = selector.select(min(QUIET_S, deadline.remaining()))
            if not ready and process.poll() is not None:
                return
            for key, _events in ready:
                if key.data is None:
                    unsent = _feed(key.fd, unsent)
                    done = not unsent
                else:
                    data = os.read(key.fd, CHUNK)
                    key.data.take(data)
                    done = not data
                if done:
                    selector.unregister(key.fileobj)
                    if key.data is None and process.stdin is not None:
                        process.stdin.close()


def _feed(descriptor: int, unsent: memoryview) -> memoryview:
    """What is still to be sent; nothing where it does not want it."""
    try:
        return unsent[os.write(descriptor, unsent[:CHUNK]) :]
    except BrokenPipeError:
        return unsent[:0]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it and its children, where it still runs; nothing of it is left behind, also not a zombie."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _not_started(rc: int, problem: str) -> Ran:
    return Ran(rc, "", problem, problem=problem)
