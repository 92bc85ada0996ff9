# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Somebody breaks into the lab: a process that calls home, a changed configuration, stolen keys in use."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.steps import Context, host_audit_info

from ..lab.intruder import ABROAD, ADDRESS, CLIENT_ID, LABEL, Intruder, Planted
from ..lab.lab import Lab
from ..lab.units import Restart
from .books import all_emptied_for_good
from .by_hand import Website
from .scenario import RESUME, Line, Scenario, Seen, seconds
from .told import said_in_public

#: Where the intruder uses what it stole: venues whose API tells of keys, withdrawals, addresses or logins.
VENUES = ("okx", "bybit", "deribit")
#: The first trace of ours on a host.
ON_HOSTS = frozenset(("latch.changed", "service.changed", "evidence.kept", "host.audited", "host.isolated"))
#: Where findings stand in the record.
FINDINGS = frozenset(("host.audited", "account.finding", "account.looked_at"))
CLEARANCE = "security_clearance"
#: What is looked at on this machine, which serves other ends too; its packages would take a while.
CHECKS = ("repository", "release", "processes", "sockets", "persistence", "logins", "log")

#: Where the lab's policy says that people come from: a login to this machine from elsewhere has an explanation, too.
KNOWN_NETWORKS = ("127.0.0.0/8", "::1/128")


class Intrusion:
    """Confirmed by what is found: the host and the venues alarm, independently of each other."""

    story: ClassVar[str] = (
        "a process without a file calls home, the configuration is changed and booby-trapped, and at three venues "
        "somebody has logged in, made a key, places orders and withdraws"
    )
    alert: ClassVar[str] = "Unauthorized Access Detected (hft-1)"
    inputs: ClassVar[Mapping[str, str]] = {"reason": "drill"}
    restart: ClassVar[Restart] = "on-failure"
    restart_s: ClassVar[float] = 15.0
    ends: ClassVar[frozenset[str]] = frozenset({"held"})
    approvers: ClassVar[Mapping[str, Sequence[str]]] = {CLEARANCE: ("dave",), **RESUME}

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.system = next(iter(lab.trading_systems.values()))
        self._keys = {name: {key.id for key in venue.truth().keys} for name, venue in lab.venues.items()}
        self._website = Website(lab)
        self._intruder = Intruder(self.system, {name: lab.venues[name] for name in VENUES}, lab.home / "intruder")
        self._cut_off: bool | None = None

    def venues(self) -> Sequence[str]:
        return tuple(self.lab.venues)

    def break_it(self) -> None:
        accept_what_is_here(self.lab)
        self._intruder.break_in()

    def heard(self, event: Event) -> None:
        """Nothing mends itself here."""

    def before_approval(self, gate: str) -> None:
        """Security has the hosts rebuilt before it clears them."""
        if gate == CLEARANCE:
            self._cut_off = not self._intruder.connected
            self._intruder.evicted()

    def mend(self) -> None:
        """What a venue has no API for is done on its website."""
        self._website.replace_keys()

    def lines(self, seen: Seen) -> list[Line]:
        self._intruder.leave()
        return [
            self._orders_first(seen),
            self._found(seen),
            Line("executed of what was planted", self._executed(), not self._intruder.executed.exists()),
            self._evidence(seen),
            Line("cut off before the hosts were cleared", _word(self._cut_off), self._cut_off is True),
            self._withdrawals(),
            self._old_keys(),
            self._gates(seen),
            self._in_public(),
        ]

    def _orders_first(self, seen: Seen) -> Line:
        """By the venues' books: none was live any more when ours first touched the host."""
        touched = next((seconds(e.at) for e in seen.events if e.kind in ON_HOSTS), None)
        if touched is None:
            return Line("orders gone before the host was touched", "never touched", False)
        books = [venue.truth().happenings for venue in self.lab.venues.values()]
        gone = all_emptied_for_good(books, touched)
        value = "NO" if gone is None else f"by {touched - gone:.2f} s"
        return Line("orders gone before the host was touched", value, gone is not None)

    def _found(self, seen: Seen) -> Line:
        told = json.dumps([event.data for event in seen.events if event.kind in FINDINGS])
        missing = [planted.what for planted in self._planted() if planted.word not in told]
        count = len(self._planted())
        value = f"{count - len(missing)} of {count}" + (f"; NOT {', '.join(missing)}" if missing else "")
        return Line("found, of what was planted", value, not missing)

    def _planted(self) -> list[Planted]:
        return [
            *self._intruder.planted,
            Planted("a login from abroad", ABROAD),
            Planted("an address to withdraw to", ADDRESS),
            Planted("an order that is not ours", CLIENT_ID),
            Planted("a key that is not ours", LABEL),
        ]

    def _executed(self) -> str:
        try:
            return self._intruder.executed.read_text().splitlines()[0]
        except OSError:
            return "nothing"

    def _evidence(self, seen: Seen) -> Line:
        """What was kept, of the host and of the accounts; whether it is whole, `verify` says of the record."""
        kept = {str(event.data.get("host")) for event in seen.events if event.kind == "evidence.kept"}
        volatile = any(event.kind == "evidence.kept" and event.data.get("volatile") is True for event in seen.events)
        return Line("evidence kept of", ", ".join(sorted(kept)) or "NOTHING", volatile)

    def _withdrawals(self) -> Line:
        left = [w for venue in self.lab.venues.values() for w in venue.truth().withdrawals if w.state != "cancelled"]
        return Line("withdrawals stopped", "all" if not left else f"{len(left)} NOT", not left)

    def _old_keys(self) -> Line:
        """By the venues' own lists: of trading keys there is a new one each, and nobody else's."""
        faults = [name for name in self.lab.venues if not self._renewed(name)]
        good = len(self.lab.venues) - len(faults)
        value = f"{good} of {len(self.lab.venues)} venues" + (f"; NOT {', '.join(faults)}" if faults else "")
        return Line("old keys dead, a new one alive", value, not faults)

    def _renewed(self, name: str) -> bool:
        before, keys = self._keys[name], self.lab.venues[name].truth().keys
        new = [key for key in keys if key.id not in before]
        gone = before - {key.id for key in keys}
        return len(gone) == 1 and [key.id for key in new] == [self._website.key_in_use(name)]

    def _in_public(self) -> Line:
        """Nobody of legal has allowed a word."""
        times = said_in_public(self.lab)
        return Line("said in public", f"{times} TIMES" if times else "nothing", not times)

    def _gates(self, seen: Seen) -> Line:
        passed = [str(event.data.get("gate")) for event in seen.events if event.kind == "gate.passed"]
        wanted = [gate for gate in dict.fromkeys(passed) if gate in self.approvers]
        return Line("gates passed, in order", " then ".join(wanted) or "NONE", wanted == list(self.approvers))


def accept_what_is_here(lab: Lab, checks: Sequence[str] = CHECKS) -> None:
    """As on any host while all is well: what a look at it finds has an explanation, which the inventory gets."""
    asked = _DEFAULTS | {"checks": list(checks), "known_networks": list(KNOWN_NETWORKS)}
    looked = host_audit_info.run(asked, Context(True, lambda _kind, _data: None))
    alarming = [finding for finding in looked["findings"] if finding["severity"] == "alarming"]
    accepted = [
        {"kind": found["kind"], **({"path": found["path"]} if found["path"] else {"what": found["what"]})}
        for found in alarming
    ]
    lab.say_of_trading_hosts({"hft_audit_checks": list(checks), "hft_accepted_findings": accepted})


_DEFAULTS = {name: spec.get("default") for name, spec in host_audit_info.ARGUMENT_SPEC.items()}


def _word(fact: bool | None) -> str:
    return {True: "yes", False: "NO", None: "never cleared"}[fact]


class Suspicion(Intrusion):
    """One source alarms, which is no proof: all is safe and still, until security finds that it was one of us."""

    story = "somebody logs in to a venue from abroad, and nothing else is found: a colleague on a journey"
    alert = f"Login from an unknown network ({VENUES[-1]})"

    def break_it(self) -> None:
        accept_what_is_here(self.lab)
        self.lab.venues[VENUES[-1]].add_login(ABROAD)

    def before_approval(self, gate: str) -> None:
        """Nothing has to be rebuilt."""

    def lines(self, seen: Seen) -> list[Line]:
        self._intruder.leave()
        kinds = {event.kind for event in seen.events}
        rash = sorted(kinds & {"host.isolated", "api_keys.rotated", "unknown_api_keys.revoked"})
        levels = [str(event.data.get("level")) for event in seen.events if event.kind == "breach.level_judged"]
        return [
            self._orders_first(seen),
            Line("level", ", ".join(dict.fromkeys(levels)) or "NONE", set(levels) == {"suspected"}),
            Line("done that nobody could take back", ", ".join(rash) or "nothing", not rash),
            self._evidence(seen),
            self._gates(seen),
            self._in_public(),
        ]


FAULTS: Mapping[str, type[Scenario]] = {"intrusion": Intrusion, "suspicion": Suspicion}
