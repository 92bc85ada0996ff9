# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Trials of the red button: venues with orders, faults put in force, one press, and what the venues' own books say.

Every trial has a number, and the number decides everything about it. One alone: ``python -m tests.lab.kill_trials 17``.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils import mass_cancel
from ansible_collections.hft.incident.plugins.module_utils.kill_order import KillOrder, Report
from ansible_collections.hft.incident.plugins.module_utils.killswitch import KillResult, kill
from ansible_collections.hft.incident.plugins.module_utils.mass_cancel import VenueResult
from ansible_collections.hft.incident.plugins.module_utils.settings import VenueEntry
from ansible_collections.hft.incident.plugins.module_utils.venues import DRIVERS, open_venue
from ansible_collections.hft.incident.plugins.module_utils.venues.api import OpenOrder, Venue
from hft_incident.lab.venues.exchange import Happening, Order
from hft_incident.lab.venues.faults import REPLY_FAULTS, STATE_FAULTS
from hft_incident.lab.venues.server import VenueServer

from .venues_host import KEY, Host, venue_host

FaultSpec = dict[str, Any]

#: A transient fault has all the time it needs; one that stays is waited for no longer than it takes to be sure.
PATIENT_S, HURRIED_S = 45.0, 1.1
#: Trials at the same moment: most of them wait for a venue that hangs.
CONCURRENCY = 12
#: Mixtures are numbered from here, single faults from 0.
FIRST_MIXTURE = 100_000

STATUSES: tuple[FaultSpec, ...] = (
    *({"kind": "status", "status": status} for status in (401, 408, 418, 429, 500, 502, 503)),
    {"kind": "status", "status": 429, "retry_after": 1},
)
REPLIES: tuple[FaultSpec, ...] = (*({"kind": kind} for kind in REPLY_FAULTS if kind != "status"), *STATUSES)
SLOW = ("hang", "drip")
#: What these do is nothing that the red button looks at.
HARMLESS = ("feed_stops", "status_lies")

#: The name by which the red button opens a venue.
HOW_IT_OPENS = "open_venue"
SECRETS = (KEY.id, KEY.secret, KEY.passphrase)
#: Nothing that a responder is told may hold these.
UNFIT = ("Traceback", "Error(", "internal error", "signature", "Exception", "object at 0x", "?", "<", "{", "None", "\n")


@dataclass(frozen=True)
class Plan:
    """One venue of a trial: ``plain`` and ``conditional`` orders rest there, ``crossing`` ones fill while it is killed,
    ``behind`` land right behind a cancel, ``meanwhile`` come from a thread that minds nothing."""

    driver: str
    plain: int
    conditional: int
    faults: tuple[FaultSpec, ...] = ()
    relapse: tuple[FaultSpec, ...] = ()  #: in force from the first empty listing on
    crossing: int = 0
    behind: int = 0
    meanwhile: int = 0

    @property
    def resting(self) -> int:
        return self.plain + self.conditional + self.behind

    @property
    def quiet(self) -> bool:
        """Nothing but the red button changes the book."""
        late = any(fault["kind"] == "late_order" for fault in (*self.faults, *self.relapse))
        return not (self.crossing or self.behind or self.meanwhile or late)

    @property
    def transient(self) -> bool:
        """Whatever is wrong passes, and nothing of it tells the red button to stay away."""
        return all(passes(fault) for fault in (*self.faults, *self.relapse))


@dataclass(frozen=True)
class Trial:
    number: int
    plans: tuple[Plan, ...]
    confirm: int = 2
    check: bool = False

    @property
    def timeout(self) -> float:
        return PATIENT_S if all(plan.transient for plan in self.plans) else HURRIED_S


def passes(fault: FaultSpec) -> bool:
    return not is_ban(fault) and (fault.get("remaining") is not None or fault["kind"] in HARMLESS)


def is_ban(fault: FaultSpec) -> bool:
    """The venue has shut us out, so that the red button stops asking, however soon the venue would forget."""
    return (fault["kind"], fault.get("status")) == ("status", 418)


# Which trials there are -----------------------------------------------------------------------------------------------


def _single_faults() -> Iterator[FaultSpec]:
    for reply in REPLIES:
        for op, executes in (
            ("open_orders", False),
            ("cancel_all", False),
            ("cancel_all", True),
            ("*", False),
            ("*", True),
            ("cancel", False),
            ("time", False),
        ):
            for remaining in (1 if reply["kind"] in SLOW else 2, None):
                yield {**reply, "op": op, "executes": executes, "remaining": remaining}
    for kind in STATE_FAULTS:
        if kind == "refuse":
            yield {"kind": kind}
            continue
        for remaining in (1, 3, None):
            ops = ("*", "open_orders", "cancel_all") if kind == "revoked_key" else ("*",)
            for op in ops:
                for seconds in (-3600, -40, 40, 3600) if kind == "clock_skew" else (0,):
                    yield {"kind": kind, "op": op, "remaining": remaining, "seconds": seconds}


SINGLES = [(driver, fault) for driver in DRIVERS for fault in _single_faults()]


def trial(number: int) -> Trial:
    """The trial with this number."""
    chance = random.Random(number)
    if number >= FIRST_MIXTURE:
        return _mixture(number, chance)
    driver, fault = SINGLES[number]
    return Trial(number, (Plan(driver, *_book(chance), faults=(fault,)),), confirm=chance.choice((2, 3)))


def _book(chance: random.Random) -> tuple[int, int]:
    """How many plain and conditional orders rest: a handful, now and then more than a page. At least two plain ones,
    so that a partial cancel always leaves one."""
    many = chance.random() < 0.03
    return (chance.randint(60, 130), chance.randint(0, 60)) if many else (chance.randint(2, 6), chance.randint(0, 4))


def _mixture(number: int, chance: random.Random) -> Trial:
    """One to three venues with one to four faults each, orders that arrive and orders that fill."""
    passing = chance.random() < 0.5
    plans = tuple(
        Plan(
            chance.choice(list(DRIVERS)),
            *_book(chance),
            faults=tuple(_any_fault(chance, passing) for _ in range(chance.randint(1, 4))),
            crossing=chance.choice((0, 0, 3)),
            relapse=chance.choice(((), (_any_fault(chance, passing),))),
            behind=chance.choice((0, 0, 2)),
            meanwhile=chance.choice((0, 0, 4)),
        )
        for _ in range(chance.randint(1, 3))
    )
    return Trial(number, plans, confirm=chance.randint(1, 3), check=chance.random() < 0.1)


def _any_fault(chance: random.Random, passing: bool) -> FaultSpec:
    while True:
        fault = dict(chance.choice(ALL_FAULTS))
        if fault["kind"] != "refuse":
            slow = fault["kind"] in SLOW
            fault["remaining"] = (
                chance.choice((1,) if slow else (1, 2, 3)) if passing or chance.random() < 0.5 else None
            )
        if not passing or passes(fault):
            return fault


ALL_FAULTS = list(_single_faults())


# One trial ------------------------------------------------------------------------------------------------------------


@dataclass
class Listing:
    """One attempt of the product to list; ``count`` is None where it got no valid answer. Seconds since 1970."""

    started: float
    ended: float
    count: int | None


@dataclass
class Seen:
    """What the product did, and what is to happen when it sees nothing open, by the name of the venue's entry."""

    listings: dict[str, list[Listing]] = field(default_factory=dict)
    at_first_empty: dict[str, Callable[[], None]] = field(default_factory=dict)


@contextmanager
def watched() -> Iterator[Seen]:
    """Every listing that the red button makes, as it saw it."""
    seen = Seen()

    def opened(entry: VenueEntry, **options: Any) -> Venue:
        venue = open_venue(entry, **options)
        genuine, attempts = venue.open_orders, seen.listings.setdefault(entry.name, [])

        def open_orders() -> list[OpenOrder]:
            started, count = time.time(), None
            try:
                orders = genuine()
                count = len(orders)
            finally:
                attempts.append(Listing(started, time.time(), count))
            if not orders and (happens := seen.at_first_empty.pop(entry.name, None)):
                happens()
            return orders

        venue.open_orders = open_orders  # type: ignore[method-assign]  # this one venue is watched
        return venue

    setattr(mass_cancel, HOW_IT_OPENS, opened)
    try:
        yield seen
    finally:
        setattr(mass_cancel, HOW_IT_OPENS, open_venue)


class Bench:
    """Lab venues that come and go with each trial."""

    def __init__(self, host: Host, folder: Path, seen: Seen) -> None:
        self.host = host
        self._seen = seen
        self._folder = folder
        for index, value in enumerate(SECRETS):
            self._key(index).write_text(value)
            self._key(index).chmod(0o600)

    def run(self, trial: Trial) -> list[str]:
        """What is wrong with the outcome, a line each."""
        names = [f"{trial.number}-{index}-{plan.driver}" for index, plan in enumerate(trial.plans)]
        servers = [self._prepared(name, plan) for name, plan in zip(names, trial.plans, strict=True)]
        arrivals = [
            _arriving(server, plan, trial.number)
            for server, plan in zip(servers, trial.plans, strict=True)
            if plan.meanwhile
        ]
        reports: list[Report] = []
        try:
            for thread in arrivals:
                thread.start()
            result = kill(self._order(trial, names, servers), reports.append)
            at = time.time()
            books = [server.exchange.open_orders() for server in servers]
            for thread in arrivals:
                thread.join()
            wrong = _told_badly(report.text for report in reports)
            wrong += _too_late(trial, result)
            for name, plan, server, venue, book in zip(names, trial.plans, servers, result.venues, books, strict=True):
                listings = [listing for listing in list(self._seen.listings.get(name, [])) if listing.ended <= at]
                wrong += [
                    f"{name}: {what}\n  told: {venue._asdict()}\n  plan: {plan}\n  listings: {listings[-6:]}"
                    for what in Judgment(trial, plan, server, venue, listings, book).complaints()
                ]
        finally:
            for name in names:
                self.host.remove(name)
        return [f"trial {trial.number} (python -m tests.lab.kill_trials {trial.number}): {what}" for what in wrong]

    def run_all(self, trials: Sequence[Trial]) -> list[str]:
        with ThreadPoolExecutor(CONCURRENCY) as pool:
            return [what for wrong in pool.map(self.run, trials) for what in wrong]

    def _key(self, index: int) -> Path:
        return self._folder / f"key.{index}"

    def _prepared(self, name: str, plan: Plan) -> VenueServer:
        server = self.host.add(name, plan.driver)
        symbols = list(server.exchange.instruments)
        for index in range(plan.plain + plan.conditional):
            server.place_one(symbols[index % len(symbols)], conditional=index >= plan.plain)
        for index in range(plan.crossing):
            _place_crossing(server, symbols[index % len(symbols)])
        for fault in plan.faults:
            self.host.inject(name, **fault)
        if plan.relapse:
            self._seen.at_first_empty[name] = partial(self._relapse, name, plan)
        if plan.behind:
            _land_behind_cancels(server, plan.behind)
        if plan.crossing:
            server.exchange.feed_running = True
        return server

    def _relapse(self, name: str, plan: Plan) -> None:
        for fault in plan.relapse:
            self.host.inject(name, **fault)

    def _order(self, trial: Trial, names: Sequence[str], servers: Sequence[VenueServer]) -> KillOrder:
        entries = [
            VenueEntry(
                name,
                plan.driver,
                base_url=f"http://127.0.0.1:{server.port}",
                api_key=f"file:{self._key(0)}",
                api_secret=f"file:{self._key(1)}",
                api_passphrase=f"file:{self._key(2)}",
            )
            for name, plan, server in zip(names, trial.plans, servers, strict=True)
        ]
        return KillOrder(
            tuple(entries), (), "a trial", trial.confirm, interval=0.02, timeout=trial.timeout, check=trial.check
        )


@contextmanager
def bench() -> Iterator[Bench]:
    with venue_host() as host, watched() as seen, tempfile.TemporaryDirectory() as folder:
        yield Bench(host, Path(folder), seen)


def _place_crossing(server: VenueServer, symbol: str) -> None:
    """An order that fills at the market's next move."""
    instrument = server.exchange.instruments[symbol]
    server.exchange.place(symbol, "buy", instrument.tick, server.exchange.prices[symbol] * 2)


def _land_behind_cancels(server: VenueServer, count: int) -> None:
    """After each cancelled order a new one, ``count`` times: a strategy that quotes again at once."""
    genuine, left = server.exchange.cancel, iter(range(count))

    def cancel(order: Order | None) -> bool:
        done = genuine(order)
        if done and next(left, None) is not None:
            server.place_one()
        return done

    server.exchange.cancel = cancel  # type: ignore[method-assign]  # this one exchange has someone who quotes again


def _arriving(server: VenueServer, plan: Plan, seed: int) -> threading.Thread:
    """A thread that places orders while the venue is killed."""
    chance = random.Random(seed)

    def place() -> None:
        for _ in range(plan.meanwhile):
            time.sleep(chance.uniform(0.0, 0.03))  # not a wait: the pace of whoever sends orders
            server.place_one(chance.choice(list(server.exchange.instruments)))

    return threading.Thread(target=place, daemon=True)


# The judgment ---------------------------------------------------------------------------------------------------------


def _told_badly(texts: Iterable[str | None]) -> list[str]:
    """What people are told is one short line without secrets and without the inside of a program."""
    wrong = []
    for text in texts:
        if text is None:
            continue
        found = [repr(word) for word in (*UNFIT, *SECRETS) if word in text]
        if found or not text.strip() or len(text) > 320 or not text.isprintable():
            wrong.append(f"a person would be told {text!r} (holds {', '.join(found) or 'too much or nothing'})")
    return wrong


def _too_late(trial: Trial, result: KillResult) -> list[str]:
    limit_ms = trial.timeout * 3000
    return [f"took {result.elapsed_ms} ms"] if result.elapsed_ms > limit_ms else []


class Judgment:
    """What the red button says of one venue, held against that venue's own book."""

    def __init__(
        self,
        trial: Trial,
        plan: Plan,
        server: VenueServer,
        venue: VenueResult,
        listings: Sequence[Listing],
        book: Sequence[Order],
    ) -> None:
        self.trial, self.plan, self.venue, self.listings, self.book = trial, plan, venue, listings, book
        self.happenings = list(server.exchange.happenings)
        self.writes = [seen.op for seen in list(server.seen) if seen.writes]

    def complaints(self) -> list[str]:
        wrong = _told_badly([self.venue.error])
        wrong += {"clear": self._clear, "open": self._open, "unknown": self._unknown}[self.venue.verdict]()
        wrong += self._counts()
        allowed = self._allowed()
        if self.venue.verdict not in allowed:
            wrong.append(f"ended {self.venue.verdict}, expected {' or '.join(sorted(allowed))}")
        if self.trial.check and self.writes:
            wrong.append(f"check mode sent {self.writes}")
        return wrong

    def _clear(self) -> list[str]:
        confirm, wrong = self.trial.confirm, []
        streak = self.listings[-confirm:]
        if self.trial.check:
            wrong.append("check mode proves nothing, yet it says clear")
        if [listing.count for listing in streak] != [0] * confirm:
            wrong.append(f"the last {confirm} listings were not all valid and empty")
        if live := live_at(self.happenings, streak[-1].started):
            wrong.append(f"FALSE CLEAR: {sorted(live)} were live when the last listing began")
        late = [h.order_id for h in self.happenings if h.kind == "placed" and h.at > streak[-1].started]
        if left := [order.id for order in self.book if order.id not in late]:
            wrong.append(f"FALSE CLEAR: {left} still in the book")
        before = {h.order_id for h in self.happenings if h.kind == "placed" and h.at < streak[0].started}
        if outlasted := before & live_at(self.happenings, streak[0].ended):
            wrong.append(f"the streak began before {sorted(outlasted)} were gone")
        if self.venue.error is not None or self.venue.open_after != 0:
            wrong.append("clear, with an error or with something open after it")
        first, confirmed = self.venue.first_clear_ms, self.venue.confirmed_ms
        if first is None or confirmed is None or first > confirmed:
            wrong.append("clear, without the times of it")
        return wrong

    def _open(self) -> list[str]:
        """The latest listing was valid and not empty; one that ended as the time was up may have come too late."""
        counts = [listing.count for listing in self.listings[-2:]]
        wrong = [] if self.venue.open_after in counts else [f"open, but the last listings were {counts}"]
        if not self.venue.open_after or not self.venue.error or self.venue.confirmed_ms is not None:
            wrong.append("open, without what is open or why, or with a confirmation")
        return wrong

    def _unknown(self) -> list[str]:
        wrong = []
        if not self.venue.error:
            wrong.append("unknown without a reason")
        if self.venue.open_after or self.venue.confirmed_ms is not None:
            wrong.append("unknown, yet with open orders counted or a confirmation")
        return wrong

    def _counts(self) -> list[str]:
        """Null or true: open_before and cancelled against the log of the venue."""
        wrong = []
        placed = sum(h.kind == "placed" for h in self.happenings)
        before, cancelled, after = self.venue.open_before, self.venue.cancelled, self.venue.open_after
        if self.plan.quiet and before is not None and before != placed:
            wrong.append(f"open_before {before}, but there were {placed}")
        if cancelled is not None and not 0 <= cancelled <= placed:
            wrong.append(f"cancelled {cancelled} of {placed}")
        if self.plan.quiet and cancelled is not None and after is not None and cancelled + after != placed:
            wrong.append(f"cancelled {cancelled} and open_after {after} of {placed}")
        if self.trial.check and cancelled:
            wrong.append(f"check mode counts {cancelled} cancelled")
        return wrong

    def _allowed(self) -> set[str]:
        if self.trial.check:
            return {"open", "unknown"}
        if self.plan.transient:
            # An impatient neighbour in the same trial may end the time for everyone.
            return {"clear"} if self.trial.timeout == PATIENT_S else {"clear", "open", "unknown"}
        if len(self.plan.faults) == 1 and not self.plan.relapse:
            return lasting(self.plan.faults[0])
        return {"clear", "open", "unknown"}


def lasting(fault: FaultSpec) -> set[str]:
    """How a kill with orders at a venue may end under one fault that stays (or that bans us)."""
    kind, op = fault["kind"], fault.get("op", "*")
    if op in ("cancel", "time") or kind == "clock_skew":
        return {"clear"}  # not asked, or mended by reading the venue's clock
    if kind in REPLY_FAULTS and op == "cancel_all":
        if not fault["executes"]:
            return {"open"}
        # The cancel worked, but what came back may have told us to stay away for longer than there was time.
        stopped = is_ban(fault) or kind in SLOW or fault.get("status") == 429
        return {"clear", "open", "unknown"} if stopped else {"clear"}
    if kind == "drip":
        return {"clear", "open", "unknown"}  # some venues' empty answer is two bytes
    if kind in ("cancel_ignored", "cancel_partial") or (kind == "revoked_key" and op == "cancel_all"):
        return {"open"}
    return {"open", "unknown"} if kind == "late_order" else {"unknown"}


def live_at(happenings: Iterable[Happening], at: float) -> set[int]:
    """The orders in the book at a moment, from the venue's own log."""
    live: set[int] = set()
    for happening in happenings:
        if happening.at <= at:
            (live.add if happening.kind == "placed" else live.discard)(happening.order_id)
    return live


def main(numbers: Sequence[str]) -> int:
    wrong = []
    with bench() as ready:
        for number in numbers:
            chosen = trial(int(number))
            print(chosen)
            wrong += ready.run(chosen)
    print("\n".join(wrong) or "nothing wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
