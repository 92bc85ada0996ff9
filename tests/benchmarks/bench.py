# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``make bench``: the red button and the containment against their floors and rivals, and what was promised of them.

Every number is a time in ms of a process that was started for it; contestants take turns. The exit code says only
whether the benchmark could be run.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from hft_incident.lab.errors import LabError
from hft_incident.lab.lab import running_lab

from .containment import Outage
from .contest import Row, contest, pairwise, table
from .pressing import Arena
from .venues import ORDERS, BenchError, Farm, farm

CCXT_NOTE = "ccxt asks for the seeded symbols only, the others for every product line; Binance's markets set by hand"
LATENCY_MS = 50.0
COUNTS = (1, 5, 50)


class Promise(NamedTuple):
    """``ratio`` of what was measured, and what it may be at most."""

    what: str
    ratio: float
    limit: float

    def __str__(self) -> str:
        word = "kept" if self.ratio <= self.limit else "NOT KEPT"
        return f"{word:<8}  {self.what}: {self.ratio:.2f}, at most {self.limit:g}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="rounds after the warm-up (default: 7)")
    parser.add_argument("--only", choices=("kill", "containment"), help="only this part")
    parser.add_argument("--quick", action="store_true", help="only what the promises need, without the rivals")
    options = parser.parse_args(arguments)
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, {options.runs} rounds; times in ms")
    promises: list[Promise] = []
    try:
        with tempfile.TemporaryDirectory(prefix="hft-bench-") as folder:
            if options.only != "containment":
                promises += red_button(Path(folder), options.runs, quick=options.quick)
            if options.only != "kill":
                promises += containment(Path(folder), options.runs, quick=options.quick)
    except (BenchError, LabError) as error:
        print(f"the benchmark could not be run: {error}", file=sys.stderr)
        return 1
    print("\n".join(["promises (median of the ratios, round by round)", *(f"  {promise}" for promise in promises)]))
    return 0


def red_button(folder: Path, runs: int, *, quick: bool) -> Iterator[Promise]:
    """Prints the tables: every number of venues without latency and with it."""
    with farm(max(COUNTS), folder) as servers:
        found = {}
        for latency in (0.0, LATENCY_MS):
            servers.set_latency(latency)
            for count in COUNTS:
                rows = _press(servers, count, latency, folder, runs, quick=quick)
                found[count, latency] = rows["hft-incident kill"], rows["floor"]
        servers.set_latency(LATENCY_MS)
        few, many = _one_and_fifty(servers, folder, runs)
    button, floor = found[5, 0.0]
    yield Promise(
        f"red button, 5 venues with {ORDERS} orders each, against the floor", pairwise(button.times, floor.times), 1.5
    )
    yield Promise("red button, 50 venues at 50 ms against 1 venue at 50 ms", pairwise(many, few), 2)


def containment(folder: Path, runs: int, *, quick: bool) -> Iterator[Promise]:
    with running_lab(folder / "lab") as lab:
        rows = contest(Outage(lab).contestants(rivals=not quick), runs)
    _show(table("containment of an exchange outage, process start to venue-verified", list(rows.values())))
    nothing, contain = rows["ansible-playbook, nothing"], rows["ansible-playbook, contain"]
    yield Promise(
        "containment through ansible-playbook against ansible-playbook doing nothing",
        pairwise(contain.times, nothing.times),
        1.5,
    )


def _press(servers: Farm, count: int, latency: float, folder: Path, runs: int, *, quick: bool) -> dict[str, Row]:
    contestants = Arena(servers.venues[:count], folder).contestants(rivals=not quick)
    before = servers.cpu_ms()
    rows = contest(contestants, runs)
    cost = (servers.cpu_ms() - before) / ((runs + 1) * len(contestants))
    notes = [f"servers: {cost:.0f} ms of processor a run, on this machine too", *([] if quick else [CCXT_NOTE])]
    title = f"red button, {count} venue entries, {latency:.0f} ms latency, {ORDERS} orders each"
    _show([*table(title, list(rows.values())), *(f"    {note}" for note in notes)])
    return rows


def _one_and_fifty(servers: Farm, folder: Path, runs: int) -> tuple[list[float], list[float]]:
    """The button at one venue and at all of them, in turn."""
    one, all_of_them = (
        Arena(servers.venues[:count], folder).contestants(rivals=False)[1] for count in (1, max(COUNTS))
    )
    pairs = [(one.run(), all_of_them.run()) for _ in range(runs + 1)][1:]
    few, many = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    _show([f"red button at {LATENCY_MS:.0f} ms: 1 venue {median(few):.1f}, {max(COUNTS)} venues {median(many):.1f}"])
    return few, many


def _show(lines: Sequence[str]) -> None:
    print("\n".join(lines) + "\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
