# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A job is done by one process at a time, and whoever takes it up after a crash knows that it was begun.

A claim is the kernel's lock on a small file of the incident's folder, so it ends with its holder, by ``kill -9`` too.
The file is not empty while the job is at work: an empty one is a job that nobody had in hand. The journal says what was
done; a claim says only what may have been.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from pathlib import Path

from ansible_collections.hft.incident.plugins.module_utils.follower import FOLDER
from ansible_collections.hft.incident.plugins.module_utils.journal import make_private_directory


class Claim:
    """Held until ``release`` and by every process forked from the holder, until they have all ended."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @property
    def was_begun(self) -> bool:
        """An earlier holder ended in the middle of the job."""
        return os.fstat(self._fd).st_size > 0

    def begin(self) -> None:
        """On disk when it returns: what follows may happen."""
        os.pwrite(self._fd, b"begun\n", 0)
        os.fsync(self._fd)

    def end(self) -> None:
        """What happened is on record."""
        os.ftruncate(self._fd, 0)

    def release(self) -> None:
        """By this process; a child that was forked meanwhile still holds it."""
        os.close(self._fd)


def take(incident_directory: Path, job: str) -> Claim | None:
    """The claim on a job, or None: somebody has it in hand. Raises OSError where there is no place for it."""
    folder = incident_directory / FOLDER
    make_private_directory(str(folder))
    fd = os.open(folder / _file_name(job), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return Claim(fd)


def _file_name(job: str) -> str:
    """Readable, and different for different jobs whatever a site calls its audiences."""
    digest = hashlib.sha256(job.encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9.@_-]', '_', job)[:80]}-{digest}"
