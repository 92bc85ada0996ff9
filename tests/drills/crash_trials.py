# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The responder killed by ``kill -9`` at a random moment of the crash response, then resumed; again and again.

``python -m tests.drills.crash_trials COUNT [--seed N]``. Each trial crashes the trading system of a lab, starts the
response as a person would, kills it and everything that came from it after a seeded time, resumes until it is done, and
compares what is then so (units, hold file, killswitch, strategies, venues, record) with an undisturbed run.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.drills.stage import BIN, PATIENCE_S, environment_of
from tests.lab.waiting import wait_until

from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, doubts, list_incidents, state_of
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from hft_incident.drill.books import count_at
from hft_incident.drill.scenario import running_strategies, seconds, trading_system
from hft_incident.drill.system_crash import FAULTS, Crash
from hft_incident.lab.lab import Lab, running_lab

TYPE = "system_crash"
#: Quick to strike with, and different: dead, hung, dead with a traceback.
STRIKES = ("kill", "freeze", "exception")
VENUES = {"binance": "binance", "okx": "okx", "deribit": "deribit"}
CLOCKS = {
    "hft_kill_interval_s": "0.05",
    "hft_watch_interval_s": "0.1",
    "hft_strategy_settle_s": "0.1",
    "hft_stability_window_s": "0.3",
}
MAX_ROUNDS = 8


class End(NamedTuple):
    """What is so when a response is over; the same whether it was disturbed or not."""

    record: str
    is_open: bool
    doubts: tuple[str, ...]
    to_undo: tuple[str, ...]
    passages: int
    units: tuple[str, ...]
    hold_file: bool
    killswitch: bool
    mode: str
    strategies: frozenset[str]
    orphans: int
    placed_while_closed: int
    #: How often each thing was really done to the trading system, by its own log and its service manager.
    effects: tuple[tuple[str, int], ...]


class Trial(NamedTuple):
    """One response: what struck, when it was killed (s; None: not at all), how many runs it took, how it ended."""

    strike: str
    killed_at: float | None
    killed_in: str
    runs: int
    end: End


class Theatre:
    """A lab in which one crash follows the other."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.system = next(iter(lab.trading_systems.values()))
        self.client = trading_system(lab)
        self._log = self.system.log_file

    def trial(self, strike: str, kill_after: float | None) -> Trial:
        """``kill_after`` counts from the start of the first run, the time that people take not counted."""
        wait_until(self._quoting, PATIENCE_S)
        before = running_strategies(self.lab)
        log_from, alert_at = self._log.stat().st_size, time.time()
        crash = FAULTS[strike](self.lab)
        assert isinstance(crash, Crash)
        crash.break_it()
        known = {incident.id for incident in self._incidents()}
        words, runs, left, killed_in = self._first_words(), 0, kill_after, ""
        while True:
            runs += 1
            assert runs <= MAX_ROUNDS, "it goes on and on"
            code, took, said = self._run(words, left)
            fresh = [incident for incident in self._incidents() if incident.id not in known]
            if code is None:
                killed_in = self._phase(fresh)
                left = None
            elif left is not None:
                left -= took
            if code == 0:
                break
            if not fresh:  # it was killed before there was an incident
                continue
            (incident,) = fresh
            if code == 4:
                self._approve(incident)
            assert code in (None, 4), f"{strike} killed after {kill_after} s: exit code {code}: {said}"
            words = ["resume", incident.id]
        (incident,) = fresh
        wait_until(lambda: running_strategies(self.lab) == before and self._quoting(), PATIENCE_S)
        return Trial(strike, kill_after, killed_in, runs, self._end(incident, alert_at, log_from))

    def _first_words(self) -> list[str]:
        clocks = [word for name, value in CLOCKS.items() for word in ("-e", f"{name}={value}")]
        return ["run", TYPE, "-i", str(self.lab.inventory), "-e", "reason=trial", *clocks]

    def _run(self, words: list[str], kill_after: float | None) -> tuple[int | None, float, str]:
        """Its exit code (None: killed), how long (s) it took, and what it said."""
        began = time.monotonic()
        with subprocess.Popen(
            [BIN / "hft-incident", *words],
            env=environment_of(self.lab.home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            try:
                said, _ = process.communicate(timeout=PATIENCE_S if kill_after is None else max(0.0, kill_after))
            except subprocess.TimeoutExpired:
                kill_all_of(process.pid)
                assert kill_after is not None, f"it does not end: {words}"
                return None, time.monotonic() - began, ""
        return process.returncode, time.monotonic() - began, said

    def _approve(self, incident: Incident) -> None:
        for person in ("alice", "bob"):
            subprocess.run(
                [BIN / "hft-incident", "approve", incident.id, "resume_trading", "--key", self.lab.people[person]],
                env=environment_of(self.lab.home),
                check=True,
                capture_output=True,
                timeout=PATIENCE_S,
            )

    def _end(self, incident: Incident, alert_at: float, log_from: int) -> End:
        events = incident.journal.events()
        state = state_of(events)
        passages = [seconds(event.at) for event in events if event.kind == "gate.passed"]
        clears = [seconds(e.at) for e in events if e.kind == "kill.verified" and e.data.get("verdict") == "clear"]
        books = [venue.truth().happenings for venue in self.lab.venues.values()]
        closed_from, opened_at = clears[0], passages[0]
        units = (self.system.unit, self.system.observe_unit)
        return End(
            record=verify(incident.journal.path).state,
            is_open=state.is_open,
            doubts=tuple(doubts(state)),
            to_undo=tuple(inverse.describe for inverse in state.inverses),
            passages=len(passages),
            units=tuple(self.system.systemctl("show", "-p", "Id,ActiveState", unit) for unit in units),
            hold_file=self.system.hold_file.exists(),
            killswitch=self.client.killswitch_active(),
            mode=self.client.health().mode,
            strategies=running_strategies(self.lab),
            orphans=sum(count_at(book, opened_at) for book in books),
            placed_while_closed=sum(h.kind == "placed" and closed_from < h.at < opened_at for b in books for h in b),
            effects=tuple(sorted(self._effects(alert_at, log_from).items())),
        )

    def _effects(self, alert_at: float, log_from: int) -> Counter[str]:
        with self._log.open("rb") as log:
            log.seek(log_from)
            text = log.read().decode(errors="replace")
        done = Counter(
            line.split("] ", 1)[1] for line in text.splitlines() if "] strategy " in line or "] killswitch " in line
        )
        done.update(
            f"{unit} started" for at, unit, what in self.system.unit_log() if what == "started" and at > alert_at
        )
        return done

    def _incidents(self) -> list[Incident]:
        return list_incidents(self.lab.home)

    @staticmethod
    def _phase(fresh: list[Incident]) -> str:
        if not fresh:
            return "before there was an incident"
        return str(state_of(fresh[0].journal.events()).phase)

    def _quoting(self) -> bool:
        return all(len(venue.truth().open_orders) > 1 for venue in self.lab.venues.values())


def kill_all_of(root: int) -> None:
    """``kill -9`` to a process and all that came from it, at one moment: first frozen, so that none can fork away."""
    frozen: set[int] = set()
    while fresh := _family(root) - frozen:
        for pid in fresh:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGSTOP)
        frozen |= fresh
    for pid in frozen:
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, signal.SIGKILL)


def _family(root: int) -> set[int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):  # a process that ended while we looked
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    family = [root]
    for member in family:
        family += [pid for pid, parent in parents.items() if parent == member]
    return set(family)


@contextmanager
def theatre(folder: Path) -> Iterator[Theatre]:
    with running_lab(folder / "home", VENUES, restart="on-failure", restart_s=15.0) as lab:
        yield Theatre(lab)


def trials(scene: Theatre, count: int, seed: int) -> Iterator[tuple[Trial, End]]:
    """Each disturbed trial with how an undisturbed run of the same strike ended."""
    whole: dict[str, tuple[Trial, float]] = {}
    for strike in STRIKES:
        began = time.monotonic()
        whole[strike] = (scene.trial(strike, None), time.monotonic() - began)
    for number in range(count):
        dice = random.Random(f"{seed}/{number}")
        strike = dice.choice(STRIKES)
        undisturbed, took = whole[strike]
        yield scene.trial(strike, dice.uniform(0.0, took)), undisturbed.end


def differences(found: End, expected: End) -> dict[str, tuple[object, object]]:
    """What was found and what was expected, for the fields that differ."""
    pairs = zip(found._fields, found, expected, strict=True)
    return {name: (mine, theirs) for name, mine, theirs in pairs if mine != theirs}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drills.crash_trials")
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    different, phases = 0, Counter[str]()
    with tempfile.TemporaryDirectory() as folder, theatre(Path(folder)) as scene:
        for number, (trial, expected) in enumerate(trials(scene, options.count, options.seed)):
            same = trial.end == expected
            different += not same
            phases[trial.killed_in or "not killed: it was over before"] += 1
            where = f"killed after {trial.killed_at:.2f} s in {trial.killed_in or 'nothing: it was over'}"
            end = "same end" if same else f"DIFFERENT: {differences(trial.end, expected)}"
            print(f"{number}: {trial.strike}, {where}, {trial.runs} runs: {end}", flush=True)
    print(f"{options.count - different} of {options.count} ended as an undisturbed run; killed in: {dict(phases)}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
