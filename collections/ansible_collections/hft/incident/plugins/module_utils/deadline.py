# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A point in time after which nobody waits any longer."""

from __future__ import annotations

import time


class Deadline:
    """Seconds left until a fixed moment on the monotonic clock; a child can only be nearer than its parent."""

    __slots__ = ("_at",)

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._at - time.monotonic())

    def expired(self) -> bool:
        return self.remaining() == 0.0

    def end(self) -> None:
        """It is over now, for everybody who counts on it."""
        self._at = time.monotonic()

    def within(self, seconds: float) -> Deadline:
        """The nearer of this deadline and one ``seconds`` from now."""
        return Deadline(min(seconds, self.remaining()))
