# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The process that follows an incident and tells people what is due: how it is started beside a run, and how one knows
that it is there.

It is part of the wrapper (``hft_incident.comms``), a process and a session of its own, and outlives the run: an
incident that waits for approval goes on being told about. Nothing waits for it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from .journal import make_private_directory

#: Within an incident's folder: what is in hand (``hft_incident.comms.claims``), who follows, and what went wrong.
FOLDER, LOCK, LOG = "comms", "follower.lock", "follower.log"
PROGRAM = "hft_incident.comms"
LOOK_S = 0.02

# The shell ends at once, so that the process is nobody's child: ending a run with all that came from it spares it.
_DETACHED = 'umask 077; exec >>"$1" 2>&1 </dev/null; shift; "$@" &'


class Following:
    """Says that the incident is followed. Several may follow it; the first one says so."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def say(self) -> None:
        for _attempt in range(10):  # who only looks has the lock for a moment
            with suppress(BlockingIOError):  # tried again
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(self._fd, 0)
                os.pwrite(self._fd, str(os.getpid()).encode(), 0)
                return
            time.sleep(LOOK_S)

    def go_on(self, is_needed: Callable[[], bool]) -> bool:
        """Says that nobody follows, and looks once more: a run that began a moment ago has seen that somebody follows,
        and started nobody."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        if not is_needed():
            return False
        self.say()
        return True


@contextmanager
def following(directory: Path) -> Iterator[Following]:
    """This process follows the incident in ``directory``. Raises OSError where there is no place to say so."""
    make_private_directory(str(directory / FOLDER))
    fd = os.open(directory / FOLDER / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        mine = Following(fd)
        mine.say()
        yield mine
    finally:
        os.close(fd)


def follower_of(directory: Path) -> int | None:
    """The process that follows the incident in ``directory``; None: nobody does."""
    try:
        fd = os.open(directory / FOLDER / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        said = os.pread(fd, 20, 0)
        return int(said) if said.isdigit() else 0
    finally:
        os.close(fd)
    return None


def start(directory: Path) -> bool:
    """Starts one for the incident in ``directory``, unless it has one; False: the wrapper that has the program is not
    installed. Raises OSError."""
    if follower_of(directory) is not None:
        return True
    if find_spec(PROGRAM.partition(".")[0]) is None:
        return False
    make_private_directory(str(directory / FOLDER))
    words = [sys.executable, "-P", "-m", PROGRAM, directory.name]
    subprocess.run(  # noqa: S603  # our own interpreter running our own module
        ["/bin/sh", "-c", _DETACHED, "sh", str(directory / FOLDER / LOG), *words],
        env={**os.environ, "HFT_INCIDENT_HOME": str(directory.parent)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        check=False,
    )
    return True


def end(directory: Path) -> None:
    """Ends whoever follows the incident in ``directory``: of a drill that is over nobody is told any more."""
    if pid := follower_of(directory):
        with suppress(ProcessLookupError, PermissionError):  # it has ended, or is somebody else's by now
            os.kill(pid, signal.SIGTERM)
