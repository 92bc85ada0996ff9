# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Every crash after which people have only to approve, drilled in full; the others are in test_crash_drills_mended.

Two files, so that two workers can share the minutes that they take.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.drills.crash_stage import MENDED, passes_every_line
from tests.drills.crash_trials import TYPE
from tests.drills.stage import BIN, PATIENCE_S, command_lines, environment_of
from tests.lab.waiting import wait_until

from hft_incident.drill.system_crash import FAULTS

BY_COMMAND = "kill"


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in (*MENDED, BY_COMMAND)])
def test_the_drill_passes_every_line_of_its_score(tmp_path: Path, fault: str) -> None:
    passes_every_line(fault, tmp_path)


def test_the_command_drills_a_crash_prints_its_score_and_leaves_no_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [BIN / "hft-incident", "drill", TYPE, "--fault", BY_COMMAND, "--json"],
        cwd=tmp_path,
        env=environment_of(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    score = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert [line["what"] for line in score["lines"] if not line["passed"]] == []
    lines = {line["what"]: line["value"] for line in score["lines"]}
    assert len(lines) == 13
    assert lines["found out why"] == "killed_by_signal"
    assert lines["restarted while the latch was closed"].startswith("never")
    assert lines["allowed to resume by"] == "alice@lab.example and bob@lab.example"
    assert (score["false_safe"], score["orders_killed"] > 0, score["strategies_restored"]) == (0, True, True)
    assert 0 < score["contained_s"] <= score["proven_s"] < score["resumed_s"]
    assert score["won_s"] >= 0
    wait_until(lambda: not command_lines(str(tmp_path)))
