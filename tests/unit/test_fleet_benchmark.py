# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What the benchmark of fleets makes of its measurements."""

from __future__ import annotations

import pytest
from tests.benchmarks.fleet import JOBS, OURS, Cost, expected, slopes

JOB = JOBS[0]
#: A start of 2 s, 0.1 s a host; half of it of processors.
COSTS = {(JOB.name, OURS, size): [Cost(2 + 0.1 * size, 1 + 0.05 * size)] * 2 for size in (1, 10, 50)}


def test_the_slope_is_what_one_more_host_costs() -> None:
    title, row = slopes(JOB, COSTS, (1, 10, 50, 200))
    assert title.startswith(JOB.name)
    assert row.split() == [OURS, "100,", "of", "processors", "50,", "up", "to", "50", "hosts"]


@pytest.mark.parametrize(("rival", "seconds"), [(OURS, 28.0), ("stock", 0.0)])
def test_the_size_before_says_what_the_next_one_would_take(rival: str, seconds: float) -> None:
    assert expected(COSTS, JOB.name, rival, 200) == pytest.approx(seconds)
