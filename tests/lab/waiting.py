# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.01


def wait_until(predicate: Callable[[], T], timeout: float = 15.0) -> T:
    """The first true answer of ``predicate``; fails the test where there is none within ``timeout`` seconds."""
    until = time.monotonic() + timeout
    while not (answer := predicate()):
        if time.monotonic() > until:
            raise AssertionError(f"not true within {timeout:g} s; the last answer was {answer!r}")
        time.sleep(POLL_S)
    return answer
