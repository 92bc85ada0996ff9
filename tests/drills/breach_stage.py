# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A lab that somebody breaks into, what people do about it, and somebody who looks for secrets all the while."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import yaml
from tests.drills.stage import PATIENCE_S, Ran, Stage, command_lines, stage
from tests.lab.waiting import wait_until

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident
from hft_incident.drill.by_hand import Website
from hft_incident.drill.scenario import seconds
from hft_incident.drill.security_breach import CHECKS, CLEARANCE, ON_HOSTS, VENUES, accept_what_is_here
from hft_incident.lab.intruder import ABROAD, Intruder
from hft_incident.lab.lab import Lab

#: Fields of a key that nobody but its owner may know; its id is public.
SECRET_PARTS = ("secret", "passphrase")
#: Processes are this machine's, also those of intruders whom tests beside this one play; the drills look at them, too.
QUIET_CHECKS = tuple(check for check in CHECKS if check != "processes")
LOOK_S = 0.05


class Facts(NamedTuple):
    """What is so at one moment, by the lab's own word."""

    open_orders: int
    withdrawals: frozenset[str]  # their states
    keys: Mapping[str, frozenset[str]]  # ids, by venue
    unit: Mapping[str, str]
    hold_file: bool
    unplugged: bool
    calls_home: bool


class BreachStage(Stage):
    """``host`` is the trading system's own; ``intruder`` is the one that is in, if any is."""

    type = "security_breach"
    venues: ClassVar[Mapping[str, str]] = {name: name for name in ("binance", *VENUES)}
    clocks: ClassVar[Mapping[str, str]] = {
        "hft_kill_interval_s": "0.05",
        "hft_watch_interval_s": "0.1",
        "hft_strategy_settle_s": "0.1",
        "hft_stability_window_s": "0.3",
        "hft_limit_stage_hold_s": "0.1",
    }
    restart = "on-failure"
    restart_s = 15.0

    def __init__(self, lab: Lab, scratch: Path) -> None:
        super().__init__(lab, scratch)
        (self.host,) = lab.trading_systems.values()
        self.intruder: Intruder | None = None
        self._breaches = 0
        self._website = Website(lab)
        self._in_account = {name: lab.venues[name] for name in VENUES}

    def command(self, *words: str, **inputs: str) -> Any:
        """With the running lab's own inventory: it says what is all right on this host."""
        return super().command(*words, "-i", str(self.lab.inventory), **inputs)

    def start(self, *words: str, **environment: str) -> Any:
        return super().start(*words, ANSIBLE_HOME=str(self.scratch / "ansible"), **environment)

    def encrypt_to(self, recipient: str) -> None:
        """Evidence, from now on."""
        told = yaml.safe_dump({"hft_evidence_recipients": [recipient]})
        (self.lab.inventory / "group_vars" / "all" / "evidence.yml").write_text(told)

    def break_in(self) -> Intruder:
        """On the host and at the venues, where nobody was before."""
        accept_what_is_here(self.lab, QUIET_CHECKS)
        if self.intruder:
            self.intruder.leave()
        self._breaches += 1
        self._website = Website(self.lab)
        self.intruder = Intruder(self.host, self._in_account, self.home / f"intruder-{self._breaches}")
        self.intruder.break_in()
        return self.intruder

    def raise_suspicion(self) -> None:
        """One signal, and nothing else."""
        accept_what_is_here(self.lab, QUIET_CHECKS)
        self.lab.venues[VENUES[-1]].add_login(ABROAD)

    def replace_keys(self) -> None:
        """By hand, where a venue has no API for it."""
        self._website.replace_keys()

    def trade(self) -> None:
        """As before it was made quiet."""
        for strategy in self.system.strategies():
            self.system.set_running(strategy.id, True)
        self.quoting()

    def executed(self) -> bool:
        """Whether anybody has run a program that the intruder has planted."""
        return self.intruder is not None and self.intruder.executed.exists()

    def facts(self) -> Facts:
        truths = {name: venue.truth() for name, venue in self.lab.venues.items()}
        shown = self.host.systemctl("show", "-p", "ActiveState,FreezerState", self.host.unit)
        return Facts(
            open_orders=sum(len(truth.open_orders) for truth in truths.values()),
            withdrawals=frozenset(w.state for truth in truths.values() for w in truth.withdrawals),
            keys={name: frozenset(key.id for key in truth.keys) for name, truth in truths.items()},
            unit=dict(line.split("=", 1) for line in shown.split()),
            hold_file=self.host.hold_file.exists(),
            unplugged=self.host.unplugged_file.exists(),
            calls_home=self.intruder is not None and self.intruder.connected,
        )

    def key_in_store(self, venue: str) -> str:
        """The id of the trading system's own."""
        return str(json.loads((self.lab.keys / f"{venue}.trading.json").read_text())["id"])

    def clear(self, incident: str) -> None:
        """Security has the host rebuilt, and says so."""
        if self.intruder:
            self.intruder.evicted()
        given = self.approve(incident, "dave", CLEARANCE)
        assert given.code == 0, given.err

    def as_it_is(self, ran: Ran) -> Ran:
        """With a copy of its record, to which nothing comes any more."""
        folder = self.scratch.parent / "records" / f"{ran.incident.id}-{len(ran.events)}"
        shutil.copytree(ran.incident.directory, folder)
        return ran._replace(newest=Incident(ran.incident.id, folder))

    def secrets(self) -> set[str]:
        """As in any lab; of keys, only what is secret of them."""
        found = {path.read_text().strip() for path in self.lab.keys.iterdir() if path.suffix not in (".json", ".id")}
        for path in self.lab.keys.glob("*.json"):
            found |= set(_secret_parts(json.loads(path.read_text())))
        found |= {path.read_text().strip() for path in self.lab.database.folder.glob("*password")}
        for key in self.lab.people.values():
            found |= set(key.read_text().splitlines()[3:-1])
        return found

    @contextmanager
    def overheard(self) -> Iterator[dict[str, str]]:
        """What any user of this machine could read meanwhile: scratch files and command lines, text by place."""
        heard: dict[str, str] = {}
        over = threading.Event()

        def listen() -> None:
            while not over.wait(LOOK_S):
                heard.update((line, line) for line in command_lines())
                with suppress(OSError):  # gone while we looked: the next look comes soon
                    for path in self.scratch.rglob("*"):
                        if path.is_file() and (place := f"{path} of {path.stat().st_mtime_ns}") not in heard:
                            heard[place] = path.read_bytes().decode(errors="replace")

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield heard
        finally:
            over.set()
            thread.join()

    def ready(self) -> None:
        """For the next breach: it trades at every venue with the key in the store."""

        def trades() -> bool:
            books = {name: venue.truth() for name, venue in self.lab.venues.items()}
            return all(
                any(h.kind == "placed" and h.key == self.key_in_store(name) for h in truth.happenings)
                for name, truth in books.items()
            )

        self.quoting()
        wait_until(trades, PATIENCE_S)


@contextmanager
def breach_stage(folder: Path, make: type[BreachStage] = BreachStage) -> Iterator[BreachStage]:
    with stage(make, folder) as made:
        try:
            yield made
        finally:
            if made.intruder:
                made.intruder.leave()


def touched_at(events: Sequence[Event]) -> float:
    """When the response first did anything on a host, or was about to."""
    return next(
        seconds(e.at)
        for e in events
        if e.kind in ON_HOSTS or (e.kind == "inverse.registered" and e.data.get("host") == "hft-1")
    )


def _secret_parts(document: Any) -> Iterator[str]:
    for item in document.values() if isinstance(document, Mapping) else document:
        if isinstance(item, Mapping | list):
            yield from _secret_parts(item)
    if isinstance(document, Mapping):
        yield from (str(document[part]) for part in SECRET_PARTS if document.get(part))
