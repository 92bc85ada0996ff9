# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Who a process is (a number alone may belong to another one by now), and how one process dies with another."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

PR_SET_PDEATHSIG = 1  # linux/prctl.h
POLL_S = 0.02  # where the system cannot tell us of an end


class Process(NamedTuple):
    """One process for good: ``started`` tells it from a later one with the same number, also after a reboot."""

    pid: int
    started: str


def identify(pid: int) -> Process | None:
    """The live process with this number; None where there is none (a zombie has ended)."""
    try:
        # The name in the second field may hold spaces and brackets: what follows the last bracket is fixed (proc(5)).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        state, started = fields[0], f"{_boot_id()}/{fields[19]}"
    except FileNotFoundError:
        if sys.platform.startswith("linux"):
            return None
        state, started = _ask_ps(pid)
    except ProcessLookupError:
        return None
    return None if state[:1] in ("", "Z", "X") else Process(pid, started)


def myself() -> Process:
    process = identify(os.getpid())
    if process is None:
        raise OSError("this system does not tell when a process was started")
    return process


def is_alive(process: Process) -> bool:
    return identify(process.pid) == process


def send(process: Process, signum: int) -> None:
    """Signal this very process; one that has ended is no error."""
    if is_alive(process):
        try:
            os.kill(process.pid, signum)
        except ProcessLookupError:
            return


def end_of(process: Process) -> int | None:
    """A descriptor that becomes readable when ``process`` ends; None where the system has no such thing.

    Raises ProcessLookupError where it has ended already.
    """
    if not hasattr(os, "pidfd_open"):
        if not is_alive(process):
            raise ProcessLookupError(process.pid)
        return None
    descriptor: int = os.pidfd_open(process.pid)
    if not is_alive(process):
        os.close(descriptor)
        raise ProcessLookupError(process.pid)
    return descriptor


def readable(descriptor: int, timeout_s: float) -> bool:
    """Whether there is something to read, or an end, in time. Unlike select it takes descriptors of any number."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def wait_for_end(process: Process, timeout_s: float) -> bool:
    """Whether ``process`` ended in time."""
    try:
        descriptor = end_of(process)
    except ProcessLookupError:
        return True
    if descriptor is not None:
        try:
            return readable(descriptor, timeout_s)
        finally:
            os.close(descriptor)
    deadline = time.monotonic() + timeout_s
    while is_alive(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def tie_to_me() -> Callable[[], None] | None:
    """For ``Popen(preexec_fn=…)``: the kernel kills the child when this process ends, however it ends.

    Whatever the child runs, and even while it is stopped. The calling *thread* counts as the parent (prctl(2)), so
    call it from one that lives as long as the process. None where the system has no such thing.
    """
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def tie() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the line above
            os._exit(1)

    return tie


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _ask_ps(pid: int) -> tuple[str, str]:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # fixed words, a number
    state, _, started = answer.stdout.strip().partition(" ")
    return state, started.strip()
