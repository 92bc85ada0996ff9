# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A mass cancel in several requests: order kept, no more than so many at the same moment, failures told apart."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest

from ansible_collections.hft.incident.plugins.module_utils.venues.api import CancelReply
from ansible_collections.hft.incident.plugins.module_utils.venues.errors import Banned, RateLimited, VenueError
from ansible_collections.hft.incident.plugins.module_utils.venues.parts import LANES, cancel_in_parts, in_lanes


@pytest.mark.parametrize("count", [0, 1, LANES - 1, LANES, LANES + 1, 3 * LANES + 2])
def test_results_keep_their_order_and_no_more_than_the_lanes_run_at_once(count: int) -> None:
    threads = set()

    def work(number: int) -> int:
        threads.add(threading.current_thread())
        return number

    assert in_lanes([partial(work, number) for number in range(count)]) == list(range(count))
    assert len(threads) == min(count, LANES)


def failing(error: VenueError) -> Callable[[], CancelReply]:
    def part() -> CancelReply:
        raise error

    return part


def test_a_failed_part_is_a_rejection_beside_the_others() -> None:
    parts = [lambda: CancelReply(2, ("one stays",)), failing(RateLimited("slow down"))]
    assert cancel_in_parts(parts) == (2, ("one stays", "slow down"))


def test_nothing_to_do_is_nothing_done() -> None:
    assert cancel_in_parts([]) == (0, ())


def test_it_raises_where_nothing_is_known() -> None:
    with pytest.raises(RateLimited):
        cancel_in_parts([failing(RateLimited("a")), failing(RateLimited("b"))])


@pytest.mark.parametrize("other", [lambda: CancelReply(1), failing(RateLimited("slow down"))])
def test_it_raises_where_the_venue_has_shut_us_out(other: Callable[[], CancelReply]) -> None:
    with pytest.raises(Banned):
        cancel_in_parts([other, failing(Banned("shut out"))])
