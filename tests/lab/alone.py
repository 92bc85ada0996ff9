# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""One intruder at a time: a look at the host sees every process of this machine, also those of tests beside it."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def only_intruder() -> Iterator[None]:
    """Waits for its turn; whoever holds it gives it up by ending, however that comes about."""
    with (Path(tempfile.gettempdir()) / "hft-incident-intruder.lock").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield
