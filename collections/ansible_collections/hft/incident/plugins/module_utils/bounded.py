# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Waiting for what cannot be told to end by itself: a read that hangs in the kernel, a server that was stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from .deadline import Deadline

T = TypeVar("T")


def in_time(work: Callable[[], T], deadline: Deadline, grace: float = 0.0) -> T:
    """What ``work`` returns or raises; TimeoutError ``grace`` seconds after the deadline, for what ends at it itself.

    What hangs (a dead NFS server, uninterruptible sleep) cannot be ended: it is left behind in a thread of its own.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def go() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001  # carried to the caller
            failed.append(error)

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    thread.join(deadline.remaining() + grace)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError("it did not answer in time")
    return done[0]
