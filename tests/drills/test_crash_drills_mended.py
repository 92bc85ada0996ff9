# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Every crash that holds the response until somebody has mended something, drilled in full."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.drills.crash_stage import MENDED, passes_every_line


def test_these_are_the_faults_that_somebody_mends() -> None:
    assert MENDED == ["database_stopped", "database_read_only", "disk_full", "bad_configuration", "crash_loop"]


@pytest.mark.parametrize("fault", MENDED)
def test_the_drill_passes_every_line_of_its_score(tmp_path: Path, fault: str) -> None:
    passes_every_line(fault, tmp_path)
