# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The red button under every fault of the lab on every dialect, and under random mixtures of them: never "clear" while
the venue holds an order, "clear" where the fault passes, and otherwise "open" or "unknown" with a reason for people.

Some 2,600 trials, each decided by its number (see kill_trials.py, also for how to run one alone).
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ansible_collections.hft.incident.plugins.module_utils.venues import DRIVERS

from .kill_trials import FIRST_MIXTURE, SINGLES, Trial, bench, trial

MIXTURES, BATCH = 720, 60
SHOWN = 10


def complaints_about(trials: Sequence[Trial]) -> str:
    with bench() as ready:
        wrong = ready.run_all(trials)
    return "" if not wrong else f"{len(wrong)} complaints\n" + "\n".join(wrong[:SHOWN])


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("driver", DRIVERS)
def test_each_fault_alone_ends_as_it_must_and_never_in_a_false_clear(driver: str, half: int) -> None:
    numbers = [number for number, (at, _fault) in enumerate(SINGLES) if at == driver]
    assert not (wrong := complaints_about([trial(number) for number in numbers[half::2]])), wrong


@pytest.mark.parametrize("first", range(FIRST_MIXTURE, FIRST_MIXTURE + MIXTURES, BATCH))
def test_mixtures_of_faults_never_end_in_a_false_clear(first: int) -> None:
    assert not (wrong := complaints_about([trial(number) for number in range(first, first + BATCH)])), wrong


def test_there_are_at_least_two_thousand_trials() -> None:
    assert len(SINGLES) + MIXTURES >= 2000
