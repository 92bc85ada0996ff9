# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.benchmarks.fleet``: containment and evidence on 1, 10, 50 and 200 hosts, and what a host costs.

Every host is this machine. Times in s, from the start of the process to its end; what it should have done is checked
afterwards. Beside them the processor's time, which depends less on what else this machine does. Ratios are to this
collection with its modules shipped, which is what a host over ssh has, less ssh.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import linear_regression, median
from typing import NamedTuple

from ansible_collections.hft.incident.plugins.module_utils import follower

from .contest import pairwise
from .fleet_hosts import HERE, Fleet, fleet
from .pressing import BIN, ROOT, with_bytecode
from .venues import BenchError

PLAYS = HERE / "fleet_plays"
#: Rounds by number of hosts.
ROUNDS = {1: 3, 10: 3, 50: 1, 200: 1}
#: Who would take longer than this (s), going by the size before, is left out.
PATIENCE_S = 90.0
TIMEOUT_S = 600.0
OURS = "shipped"
NOTES = (
    "shipped: what a host does is done on this machine, too; real hosts do it themselves, at the same time",
    "in process: as in the lab, whose hosts are the control node",
    "stock: told which Python to use; without record, second look, or proof of what was kept",
    "pyinfra: ships no module but runs shell commands; without record, second look, or proof of what was kept",
)

Command = Callable[[Fleet], Sequence[str]]


class Rival(NamedTuple):
    """``command`` does it to a fleet; with ``stock`` it has Ansible's own settings, else ours."""

    name: str
    command: Command
    stock: bool = False


class Job(NamedTuple):
    """``require`` raises BenchError where it was not done."""

    name: str
    rivals: Sequence[Rival]
    require: Callable[[Fleet], None]


class Cost(NamedTuple):
    """Of one run, in s: by the clock, and of processors, its own processes' and their children's."""

    took: float
    cpu: float


#: By job, rival and number of hosts.
Costs = dict[tuple[str, str, int], list[Cost]]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.fleet", description=__doc__)
    parser.add_argument("--sizes", type=_sizes, default=tuple(ROUNDS), help="numbers of hosts (default: 1,10,50,200)")
    parser.add_argument("--rounds", type=int, help="at every size (default: fewer at a larger one)")
    parser.add_argument("--only", help="only this rival: shipped, in process, stock or pyinfra")
    options = parser.parse_args(arguments)
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, load {_load()}; times in s", flush=True)
    costs: Costs = {}
    try:
        for size in options.sizes:
            rounds = options.rounds or ROUNDS.get(size, 1)
            with tempfile.TemporaryDirectory(prefix="hft-fleet-") as folder, fleet(Path(folder), size) as hosts:
                for job in JOBS:
                    _measure(job, hosts, rounds, options.only, costs)
    except BenchError as error:
        print(f"the benchmark could not be run: {error}", file=sys.stderr)
        return 1
    for job in JOBS:
        print("\n".join(slopes(job, costs, options.sizes)) + "\n")
    print("\n".join([*NOTES, f"load at the end: {_load()}"]))
    return 0


def _measure(job: Job, hosts: Fleet, rounds: int, only: str | None, costs: Costs) -> None:
    """All rivals in turn, ``rounds`` times; prints the table of this size."""
    size = len(hosts.hosts)
    rivals = [rival for rival in job.rivals if only in (None, rival.name)]
    forecast = {rival.name: expected(costs, job.name, rival.name, size) for rival in rivals}
    for _ in range(rounds):
        for rival in rivals:
            if forecast[rival.name] <= PATIENCE_S:
                costs.setdefault((job.name, rival.name, size), []).append(_run(job, rival, hosts))
    lines = [
        f"{job.name}, hosts: {size}, rounds: {rounds}, load {_load()}",
        f"  {'':<12} {'min':>7} {'median':>7} {'max':>7}  ratio  {'cpu':>7}  ratio",
    ]
    ours = costs.get((job.name, OURS, size), ())
    for rival in rivals:
        mine = costs.get((job.name, rival.name, size))
        said = _row(mine, ours) if mine else f"left out: {forecast[rival.name]:.0f} s by the size before"
        lines.append(f"  {rival.name:<12} {said}")
    print("\n".join(lines) + "\n", flush=True)


def _row(mine: Sequence[Cost], ours: Sequence[Cost]) -> str:
    took, cpu = ([cost[field] for cost in mine] for field in (0, 1))
    ratios = [f"{pairwise(column, [cost[field] for cost in ours]):5.2f}" if ours else "     "
              for field, column in enumerate((took, cpu))]  # fmt: skip
    return f"{min(took):7.2f} {median(took):7.2f} {max(took):7.2f}  {ratios[0]}  {median(cpu):7.2f}  {ratios[1]}"


def expected(costs: Costs, job: str, rival: str, size: int) -> float:
    """What a run would take in s, growing as the number of hosts does; 0 where nothing is known."""
    known = [(hosts, spent) for (done, name, hosts), spent in costs.items() if (done, name) == (job, rival)]
    if not known:
        return 0.0
    hosts, spent = max(known)
    return median(cost.took for cost in spent) * size / hosts


def slopes(job: Job, costs: Costs, sizes: Sequence[int]) -> list[str]:
    """What each rival pays for one more host: least squares over the medians."""
    lines = [f"{job.name}: ms for each further host, least squares"]
    for rival in job.rivals:
        points = [(size, spent) for size in sizes if (spent := costs.get((job.name, rival.name, size)))]
        if len(points) > 1:
            hosts = [size for size, _ in points]
            took, cpu = (
                linear_regression(hosts, [median(cost[field] for cost in spent) for _, spent in points]).slope * 1000
                for field in (0, 1)
            )
            lines.append(f"  {rival.name:<12} {took:7.0f}, of processors {cpu:7.0f}, up to {hosts[-1]} hosts")
    return lines


def _run(job: Job, rival: Rival, hosts: Fleet) -> Cost:
    hosts.reset()
    stock = hosts.home.with_name("stock.cfg")
    stock.touch()
    environment = with_bytecode(os.environ) | {
        "HFT_INCIDENT_HOME": str(hosts.home),
        "ANSIBLE_CONFIG": str(stock if rival.stock else ROOT / "ansible.cfg"),
        "ANSIBLE_CONNECTION_PLUGINS": str(PLAYS / "connection"),
        "ANSIBLE_NOCOLOR": "1",
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }
    try:
        cost = _timed(rival.command(hosts), environment)
        job.require(hosts)
    finally:
        for incident in hosts.home.glob("inc-*"):
            follower.end(incident)
    return cost


def _timed(command: Sequence[str], environment: Mapping[str, str]) -> Cost:
    before, started = _children_cpu(), time.monotonic()
    done = subprocess.run(
        command,
        env=environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    cost = Cost(time.monotonic() - started, _children_cpu() - before)
    if done.returncode != 0:
        raise BenchError(f"{command[0]} ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    return cost


def _children_cpu() -> float:
    """Of those that have been waited for, so without the process that follows an incident."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _playbook(play: str, *extra: str) -> Command:
    return lambda hosts: [str(BIN / "ansible-playbook"), "-i", str(hosts.inventory), str(PLAYS / play), *extra]


def _pyinfra(deploy: str) -> Command:
    here = [sys.executable, str(HERE / "pyinfra_here.py")]
    return lambda hosts: [*here, "-y", str(hosts.pyinfra_inventory), str(PLAYS / deploy)]


def _rivals(ours: str, stock: str, pyinfra: str) -> list[Rival]:
    return [
        Rival(OURS, _playbook(ours)),
        Rival("in process", _playbook(ours, "-e", "ansible_connection=local")),
        Rival("stock", _playbook(stock), stock=True),
        Rival("pyinfra", _pyinfra(pyinfra)),
    ]


JOBS = (
    Job(
        "containment",
        _rivals("contain/system_crash.yml", "stock_contain.yml", "pyinfra_contain.py"),
        Fleet.require_contained,
    ),
    Job(
        "evidence",
        _rivals("evidence/system_crash.yml", "stock_evidence.yml", "pyinfra_evidence.py"),
        Fleet.require_kept,
    ),
)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted(map(int, text.split(","))))


def _load() -> str:
    return " ".join(f"{load:.1f}" for load in os.getloadavg())


if __name__ == "__main__":
    sys.exit(main())
