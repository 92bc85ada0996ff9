# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The security breach end to end: real venues, an intruder's process that calls home, and the playbook as it serves
production.

What a response claims is held against the venues' own books and lists, the service manager and the intruder's end of
the line.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.drills.breach_stage import BreachStage, Facts, breach_stage
from tests.drills.stage import BIN, PATIENCE_S, Ran, environment_of

from hft_incident.drill.security_breach import FAULTS, VENUES

#: What cannot be taken back, as the record calls it.
FINAL = {
    "host.isolated",
    "host.external_isolation",
    "unknown_api_keys.revoked",
    "api_key.revoked",
    "api_key.created",
    "api_keys.rotated",
}
BY_HAND = "binance"


# The drills as the command plays them ---------------------------------------------------------------------------------


class Drilled(NamedTuple):
    """What the command printed, and the folder of the incident that it left."""

    told: dict[str, Any]
    folder: Path


@pytest.fixture(scope="module", params=sorted(FAULTS))
def drilled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Drilled:
    done = subprocess.run(
        [BIN / "hft-incident", "drill", BreachStage.type, "--fault", request.param, "--json"],
        env=environment_of(tmp_path_factory.mktemp(request.param)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    return Drilled(told, Path(told["home"]) / told["incident"])


def test_a_drill_passes_every_line(drilled: Drilled) -> None:
    assert [line for line in drilled.told["lines"] if not line["passed"]] == []
    assert drilled.told["passed"] is True
    assert len(drilled.told["lines"]) >= 15


# A breach, answered by the playbook alone -----------------------------------------------------------------------------


class Breach(NamedTuple):
    """One breach; ``before`` and ``held`` are what was so before the response and at its first hold."""

    stage: BreachStage
    before: Facts
    first: Ran  # by ansible-playbook alone
    held: Facts


@pytest.fixture(scope="module")
def breach(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Breach]:
    with breach_stage(tmp_path_factory.mktemp("breach")) as made:
        made.quoting()
        made.break_in()
        before = made.facts()
        first = made.playbook(reason="orders that nobody placed")
        yield Breach(made, before, first, made.facts())


def test_the_playbook_alone_contains_keeps_evidence_isolates_and_rotates_until_a_person_must(breach: Breach) -> None:
    first, held, before = breach.first, breach.held, breach.before
    assert (first.code, first.outcome) == (2, "held"), first.out + first.err
    assert before.calls_home
    assert before.open_orders > 2 * len(VENUES), "the intruder's own, and what the strategies quote"
    assert before.withdrawals == frozenset({"pending"})
    assert held.withdrawals == frozenset({"cancelled"})
    assert held.open_orders == 0
    assert held.hold_file
    assert (held.unplugged, held.calls_home) == (True, False)
    assert held.unit["ActiveState"] in ("inactive", "failed")
    assert [data["level"] for data in first.data("breach.level_judged")][-1] == "confirmed"
    assert [data["verdict"] for data in first.data("kill.verified")] == ["clear", "clear"]
    kept = {data["host"]: data["volatile"] for data in first.data("evidence.kept")}
    assert kept["hft-1"] is True
    assert set(kept) == {"hft-1", *(f"venue-{name}" for name in breach.stage.venues)}


def test_keys_are_new_where_a_venue_has_an_api_for_it_and_a_person_is_asked_for_the_others(breach: Breach) -> None:
    for name in VENUES:
        (new,) = breach.held.keys[name] - breach.before.keys[name]
        assert new == breach.stage.key_in_store(name)
        assert len(breach.before.keys[name] - breach.held.keys[name]) == 2, "the trading system's and the intruder's"
    assert breach.held.keys[BY_HAND] == breach.before.keys[BY_HAND]
    assert breach.first.data("run.finished")[-1]["reason"].startswith(
        f"trading/{BY_HAND} HELD: THE OLD KEY STILL WORKS"
    )


# A suspicion: nothing that cannot be taken back, until a person has said that it is one -------------------------------


class Suspected(NamedTuple):
    """Held on a suspicion; then somebody has signed that it is a breach."""

    stage: BreachStage
    before: Facts
    first: Ran
    held: Facts
    signed: Ran
    after: Facts


@pytest.fixture(scope="module")
def suspected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suspected]:
    with breach_stage(tmp_path_factory.mktemp("suspected")) as made:
        made.quoting()
        made.raise_suspicion()
        before = made.facts()
        first = made.as_it_is(made.wrapper())
        held = made.facts()
        given = made.approve(first.incident.id, "dave", "confirm_breach")
        assert given.code == 0, given.err
        signed = made.resume(first.incident.id)
        yield Suspected(made, before, first, held, signed, made.facts())


def test_a_suspicion_makes_money_safe_and_keeps_still_and_does_nothing_for_good(suspected: Suspected) -> None:
    first, held, before = suspected.first, suspected.held, suspected.before
    assert (first.code, first.outcome) == (4, "held"), first.out + first.err
    assert {data["level"] for data in first.data("breach.level_judged")} == {"suspected"}
    assert held.open_orders == 0
    assert held.hold_file
    assert held.unit == {"ActiveState": "active", "FreezerState": "frozen"}, "its memory is there to be looked at"
    assert FINAL.isdisjoint(first.kinds)
    assert held.keys == before.keys
    assert not held.unplugged
    assert [data["volatile"] for data in first.data("evidence.kept") if data["host"] == "hft-1"] == [True]
    assert set(first.state.gates) == {"confirm_breach", "security_clearance"}
    assert f"hft-incident approve {first.incident.id} confirm_breach" in first.out


def test_one_signature_of_security_makes_it_a_breach_and_the_rest_follows(suspected: Suspected) -> None:
    signed, after, before = suspected.signed, suspected.after, suspected.before
    assert (signed.code, signed.outcome) == (4, "held"), signed.out + signed.err
    assert [data["level"] for data in signed.data("breach.level_judged")][-1] == "confirmed"
    assert [data["gate"] for data in signed.data("gate.passed")] == ["confirm_breach"]
    assert after.unplugged
    assert after.unit["ActiveState"] in ("inactive", "failed")
    for name in VENUES:
        assert after.keys[name] - before.keys[name] == {suspected.stage.key_in_store(name)}
        assert len(before.keys[name] - after.keys[name]) == 1
    assert signed.data("run.finished")[-1]["reason"].startswith(f"trading/{BY_HAND} HELD")
