# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A rotation that is killed with ``kill -9``, run again: exactly one key works at each venue, the old one is dead, and
the trading system trades with the new one. No secret is anywhere but in the store.

A few trials (see rotation_trials.py, also for how to run two hundred).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .rotation_trials import SEED, Bench, bench, run_trial, trial

TRIALS = 20


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder: Path = tmp_path_factory.mktemp("rotation")
    with bench(folder / "bench") as running:
        yield running


@pytest.mark.parametrize("number", range(TRIALS))
def test_killed_and_run_again_one_key_works(on: Bench, number: int) -> None:
    one = trial(SEED, number)
    assert run_trial(on, one) == [], one


def test_no_secret_is_anywhere_but_in_the_store(on: Bench) -> None:
    assert len(on.secrets) > 2 * TRIALS
    assert (on.folder / "journal.jsonl").stat().st_size > 1000
    assert on.leaks() == []
