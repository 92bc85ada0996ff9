# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Defects that a drill can set off in the running process. Each is the real thing, not a message that says so."""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import traceback
from collections.abc import Callable, Mapping
from decimal import Decimal

log = logging.getLogger("system")
#: Read from the fault file at a live start: the process then dies soon after it listens, every time.
LOOP, LOOP_LIFE_S = "loop", 0.3
#: Read from it at a live start, too: the process listens only once the word is gone.
SLOW, SLOW_LOOK_S = "slow_start", 0.02
SPARE_BYTES, CHUNK_BYTES = 64 << 20, 8 << 20


def segfault() -> None:
    """Read what is at address 0. The kernel ends the process with SIGSEGV."""
    ctypes.string_at(0)


def out_of_memory() -> None:
    """Take memory until there is none under the limit, and end as allocators do: by SIGABRT."""
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE_BYTES, hard))
    cache: list[bytearray] = []
    try:
        while True:
            cache.append(bytearray(CHUNK_BYTES))
    except MemoryError:
        held = len(cache)
        cache.clear()
        log.critical("out of memory (MemoryError) after %d blocks of %d bytes", held, CHUNK_BYTES, exc_info=True)
        traceback.print_exc()
    os.abort()


def assertion() -> None:
    booked, reported = Decimal("0.01"), Decimal("0.02")
    assert booked == reported, f"position out of balance: booked {booked}, venue reports {reported}"


def exception() -> None:
    tick_sizes = {"BTCUSDT": Decimal("0.1")}
    tick_sizes["BTC-UNLISTED"]


#: By the word in the fault file.
MISHAPS: Mapping[str, Callable[[], None]] = {
    "segfault": segfault,
    "out_of_memory": out_of_memory,
    "assertion": assertion,
    "exception": exception,
}
