# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Trials of the key rotation: real venues and a real trading system, faults put in force, the rotation killed with
``kill -9`` at a random moment or step, run again, and then what the venues and the trading system themselves say.

The seed decides everything but the operating system's own timing. Many: ``python -m tests.lab.rotation_trials 200``.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import yaml

from ansible_collections.hft.incident.plugins.module_utils.api_keys.entries import fingerprint, label_of
from hft_incident.lab.lab import Lab, running_lab
from hft_incident.lab.venue_handle import LabVenue

from .waiting import wait_until

SEED = 20261127
VENUES = {"bybit": "bybit", "okx": "okx", "deribit": "deribit"}
ROOT = Path(__file__).parents[2]
SOURCES = os.pathsep.join(str(ROOT / folder) for folder in ("collections", "src", "."))
#: Requests and changes of files of a whole rotation at all venues, about.
MOST_STEPS = 130
LONGEST_S = 0.25
KINDS = (
    "reset",
    "status",
    "html",
    "empty_object",
    "empty_body",
    "truncated",
    "half_body",
    "wrong_schema",
    "revoked_key",
    "hang",
)
OPS = ("own_key", "keys", "create_key", "delete_key", "open_orders", "*")


@dataclass
class Bench:
    """A lab whose keys are rotated again and again, and everything secret that was ever in its store."""

    lab: Lab
    folder: Path
    args: dict[str, Any]
    secrets: set[str] = field(default_factory=set)
    said: list[str] = field(default_factory=list)

    def slot(self, venue: str, beside: str = "") -> dict[str, str] | None:
        """What is in a slot; None where nothing is. Its secret is remembered, to be looked for elsewhere."""
        try:
            found: dict[str, str] = json.loads((self.lab.keys / f"{venue}.trading{beside}.json").read_text())
        except FileNotFoundError:
            return None
        self.secrets |= {found[name] for name in ("secret", "passphrase") if found.get(name)}
        return found

    def held(self, venue: str) -> set[str]:
        slots = (self.slot(venue, beside) for beside in ("", ".next", ".previous"))
        return {slot["id"] for slot in slots if slot}

    def seen_in_processes(self) -> str:
        """The words of every process's command."""
        words = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words.append(path.read_bytes().decode(errors="replace"))
            except OSError:
                continue
        return "\n".join(words)

    def leaks(self) -> list[str]:
        """Where a secret is that belongs in the store."""
        found = [f"said by a run: {text[:80]}" for text in self.said if any(secret in text for secret in self.secrets)]
        for path in self.folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and self.lab.keys not in path.parents:
                text = path.read_bytes().decode(errors="replace")
                found += [str(path) for secret in self.secrets if secret in text][:1]
        return found


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    (folder / "tmp").mkdir(parents=True)
    with running_lab(folder / "home", VENUES, database=False) as lab:
        variables = yaml.safe_load((lab.inventory / "group_vars/all/api_keys.yml").read_text())
        variables |= yaml.safe_load(lab.venues_file.read_text())
        args = {name.removeprefix("hft_"): value for name, value in variables.items()}
        args["keys"] = args.pop("api_keys")
        yield Bench(lab, folder, {**args, "timeout": 30.0})


@dataclass
class Trial:
    """What befalls one rotation. ``kill_at`` is a step, ``kill_s`` a moment; neither: it is left alone."""

    number: int
    breach: bool
    faults: list[tuple[str, dict[str, Any]]]
    kill_at: int | None
    after: bool
    kill_s: float | None
    faults_stay: bool
    killed: bool = False


def trial(seed: int, number: int) -> Trial:
    rng = random.Random(f"{seed}/{number}")
    faults = []
    for _fault in range(rng.choice((0, 0, 1, 2, 3))):
        fault: dict[str, Any] = {"kind": rng.choice(KINDS), "op": rng.choice(OPS), "remaining": rng.randint(1, 2)}
        if fault["kind"] == "status":
            fault["status"] = rng.choice((429, 500, 502, 503))
        if fault["kind"] != "revoked_key":
            fault["executes"] = rng.random() < 0.5
        faults.append((rng.choice(list(VENUES)), fault))
    by_step = rng.random() < 0.6
    return Trial(
        number=number,
        breach=rng.random() < 0.4,
        faults=faults,
        kill_at=rng.randint(1, MOST_STEPS) if by_step else None,
        after=rng.random() < 0.5,
        kill_s=None if by_step else rng.uniform(0.0, LONGEST_S),
        faults_stay=rng.random() < 0.3,
    )


def run_trial(on: Bench, one: Trial) -> list[str]:
    """What is wrong in the end, a sentence each."""
    rotation = f"trial-{one.number}"
    before = {name: (on.slot(name) or {})["id"] for name in VENUES}
    for name, fault in one.faults:
        on.lab.venues[name].inject(**fault)
    result = rotate(on, rotation, one)
    one.killed = result is None
    wrong = []
    for name, venue in on.lab.venues.items():
        alive = {key.id: key.label for key in venue.truth().keys}
        new = [key for key, label in alive.items() if label == label_of(f"trading/{name}", rotation)]
        if len(new) > 1:
            wrong.append(f"{name}: {len(new)} new keys at once")
        if not one.breach and not on.held(name) & alive.keys():
            wrong.append(f"{name}: no key that works was left, and it was planned")
    if not one.faults_stay:
        clear(on.lab)
    again = rotate(on, rotation, unharmed(one))
    if again and again.get("failed"):
        clear(on.lab)
        again = rotate(on, rotation, unharmed(one))
    clear(on.lab)
    if again is None or again.get("failed"):
        wrong.append(f"the last run did not end well: {again and again['msg']}")
        return wrong
    for name, venue in on.lab.venues.items():
        wrong += [f"{name}: {what}" for what in in_the_end(on, venue, before[name])]
    return wrong


def in_the_end(on: Bench, venue: LabVenue, old: str) -> Iterator[str]:
    """Exactly one key of the trading system's works, it is a new one, and the trading system trades with it."""
    current = on.slot(venue.name) or {"id": ""}
    responders = {"responder", "admin"}
    alive = {key.id for key in venue.truth().keys if key.label not in responders}
    if alive != {current["id"]}:
        yield f"{len(alive)} keys work, and the store's {'is one' if current['id'] in alive else 'is none'} of them"
    if old in alive or current["id"] == old:
        yield "the old key was not replaced"
    if any((on.lab.keys / f"{venue.name}.trading{beside}.json").exists() for beside in (".next", ".previous")):
        yield "the store is not tidy"
    told = ask(on.lab, "GET", f"/exchanges/{venue.name}")["key_fingerprint"]
    if told != fingerprint(current["id"]):
        yield f"the trading system uses {told}"
    elif quiet := trades(on, venue):
        yield quiet


def trades(on: Bench, venue: LabVenue) -> str | None:
    """None once the venue has an order that was placed with the key in the store.

    A breach takes the old key from a system that trades, and a fault hits its own requests, too: a session that it has
    given up is connected again, as recovery does, however often that takes.
    """
    key = (on.slot(venue.name) or {"id": ""})["id"]

    def placed() -> bool:
        if not ask(on.lab, "GET", f"/exchanges/{venue.name}")["connected"]:
            ask(on.lab, "POST", f"/exchanges/{venue.name}/reconnect")
        return any(happened.kind == "placed" and happened.key == key for happened in venue.truth().happenings)

    try:
        wait_until(placed, 60.0)
    except AssertionError:
        return f"no order was placed with the new key: {ask(on.lab, 'GET', f'/exchanges/{venue.name}')}"
    return None


def ask(lab: Lab, method: str, path: str) -> dict[str, Any]:
    """Of the trading system."""
    system = next(iter(lab.trading_systems.values()))
    token = next(lab.home.rglob("*token*")).read_text().strip()
    url = f"{system.url}/api/v1{path}"
    request = Request(url, method=method, headers={"Authorization": f"Bearer {token}"})  # noqa: S310  # the lab's own
    with urlopen(request, timeout=10) as reply:  # noqa: S310  # as above
        found: dict[str, Any] = json.loads(reply.read())
    return found


def clear(lab: Lab) -> None:
    for venue in lab.venues.values():
        venue.clear_faults()


def unharmed(one: Trial) -> Trial:
    return Trial(one.number, one.breach, [], None, False, None, False)


def rotate(on: Bench, rotation: str, one: Trial) -> dict[str, Any] | None:
    """The result of one run in a process of its own; None where it was killed."""
    args = {**on.args, "rotation": rotation, "breach": one.breach}
    order = {"args": args, "journal": str(on.folder / "journal.jsonl"), "kill_at": one.kill_at, "after": one.after}
    environment = {**os.environ, "PYTHONPATH": SOURCES, "TMPDIR": str(on.folder / "tmp")}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.lab.rotation_child"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment,
    ) as child:  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(order) + "\n")
        child.stdin.flush()
        assert child.stdout.readline() == "started\n", child.communicate()[1]
        if one.kill_s is not None:
            try:
                child.wait(one.kill_s)
            except subprocess.TimeoutExpired:
                on.said.append(on.seen_in_processes())
                child.send_signal(signal.SIGKILL)
        for name in VENUES:
            on.held(name)
        out, err = child.communicate(timeout=120)
    on.said += [out, err]
    for name in VENUES:
        on.held(name)
    if child.returncode == -signal.SIGKILL:
        return None
    assert child.returncode == 0, err
    result: dict[str, Any] = json.loads(out)
    return result


def main() -> None:
    """``python -m tests.lab.rotation_trials [TRIALS [SEED]]``, 200 where it is not said."""
    words = [*sys.argv[1:], *("200", str(SEED))[len(sys.argv) - 1 :]]
    trials, seed = int(words[0]), int(words[1])
    counts: Counter[str] = Counter()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, bench(Path(folder) / "bench") as on:
        for number in range(trials):
            one = trial(seed, number)
            wrong = run_trial(on, one)
            how = "at a step" if one.kill_at else "at a moment"
            counts[f"{'killed ' + how if one.killed else 'ended before it was killed'}"] += 1
            counts["in a breach" if one.breach else "planned"] += 1
            counts["with faults"] += bool(one.faults)
            if wrong:
                counts["WRONG"] += 1
                print(f"trial {number}: {one}: {wrong}", flush=True)
            if number % 20 == 19:
                print(f"{number + 1} trials, {time.monotonic() - started:.0f} s, {dict(counts)}", flush=True)
        leaks = on.leaks()
        print(f"seed {seed}: {trials} trials, {dict(counts)}; {len(on.secrets)} secrets, found elsewhere: {leaks}")
    sys.exit(bool(counts["WRONG"] or leaks))


if __name__ == "__main__":
    main()
