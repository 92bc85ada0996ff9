# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's real PostgreSQL, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hft_incident.lab.database import Database
from hft_incident.lab.lifeline import tie_to_me

ROOT = Path(__file__).parents[2]


def launch(folder: Path) -> subprocess.Popen[str]:
    """On its way. Call it from the main thread: the keeper dies with the thread that started it."""
    return subprocess.Popen(
        [sys.executable, "-m", "hft_incident.lab.database", "--folder", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        preexec_fn=tie_to_me(),
    )


def ready(keeper: subprocess.Popen[str]) -> subprocess.Popen[str]:
    assert keeper.stdout is not None
    with keeper.stdout:
        assert keeper.stdout.readline(), "the database did not start"
    return keeper


@contextmanager
def postgres(folder: Path) -> Iterator[Database]:
    """A running server with an empty database."""
    keeper = ready(launch(folder))
    try:
        yield Database(folder)
    finally:
        keeper.terminate()
        keeper.wait(timeout=20)


def emptied(database: Database) -> Database:
    """As if new: running, writable, without a table."""
    database.start()
    database.read_only(False)
    with database.connect_as_admin() as connection:
        connection.execute("DROP OWNED BY hft")
    return database
