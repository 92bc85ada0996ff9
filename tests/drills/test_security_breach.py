# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The security breach end to end: real venues, an intruder's process that calls home, and the playbook as it serves
production.

What a response claims is held against the venues' own books and lists, the service manager and the intruder's end of
the line.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pyrage
import pytest
from tests.drills.breach_stage import BreachStage, Facts, breach_stage, touched_at
from tests.drills.crash_trials import kill_all_of
from tests.drills.stage import APPROVERS, BIN, GATE, PATIENCE_S, Ran, environment_of
from tests.lab.alone import only_intruder

from ansible_collections.hft.incident.plugins.module_utils.incident import doubts
from hft_incident.drill.books import all_emptied_for_good
from hft_incident.drill.security_breach import CLEARANCE, FAULTS, VENUES

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


def cli(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "hft-incident", *words],
        env=environment_of(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )


# The drills as the command plays them ---------------------------------------------------------------------------------


class Drilled(NamedTuple):
    """What the command printed, and the folder of the incident that it left."""

    told: dict[str, Any]
    folder: Path


@pytest.fixture(scope="module", params=sorted(FAULTS))
def drilled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Drilled:
    with only_intruder():
        done = cli(
            tmp_path_factory.mktemp(request.param), "drill", BreachStage.type, "--fault", request.param, "--json"
        )
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    return Drilled(told, Path(told["home"]) / told["incident"])


def test_a_drill_passes_every_line(drilled: Drilled) -> None:
    assert [line for line in drilled.told["lines"] if not line["passed"]] == []
    assert drilled.told["passed"] is True
    assert len(drilled.told["lines"]) >= 15


def test_in_clear_only_restricted_evidence_has_what_was_stolen(drilled: Drilled) -> None:
    home = Path(drilled.told["home"])
    has = {path for path in home.rglob("*") if path.is_file() and b"STOLEN" in path.read_bytes()}
    restricted = {
        path.parent / item["name"]
        for path in drilled.folder.rglob("manifest.json")
        for item in json.loads(path.read_text())["items"]
        if item["restricted"]
    }
    assert has <= restricted
    assert has or drilled.told["fault"] == "suspicion"


# A breach: rehearsed; answered by the playbook alone; resumed by the wrapper, to the end ------------------------------


class Breach(NamedTuple):
    """One breach, with everything that was tried at its gates; what runs left is as it was when they ended, and
    ``before``, ``held``, ``rehearsed`` and ``tried`` is what was so then."""

    stage: BreachStage
    before: Facts
    rehearsal: Ran
    writes: list[str]  # of the rehearsal, at the venues
    rehearsed: Facts
    first: Ran  # by ansible-playbook alone
    held: Facts
    unasked: Ran  # an approval of resume_trading long before its gate is reached
    mended: Ran  # after what a person had to do
    early: list[Ran]  # two approvals of resume_trading before the hosts are cleared
    of_trading: Ran  # a clearance by somebody of trading
    tried: Ran  # resumed all the same
    still: Facts
    cleared: Ran
    done: Ran
    ended: Facts
    strategies: tuple[set[str], set[str]]  # before and after
    secrets: set[str]
    overheard: dict[str, str]
    stolen: str
    identity: Path  # opens the evidence

    @property
    def runs(self) -> tuple[Ran, ...]:
        held = (self.first, self.unasked, self.mended, *self.early, self.of_trading, self.tried, self.cleared)
        return (self.rehearsal, *held, self.done)


@pytest.fixture(scope="module")
def breach(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Breach]:
    folder = tmp_path_factory.mktemp("breach")
    identity = pyrage.x25519.Identity.generate()
    (folder / "identity").write_text(f"{identity}\n")
    with breach_stage(folder) as made, made.overheard() as overheard:
        made.encrypt_to(str(identity.to_public()))
        made.quoting()
        strategies = made.running()
        secrets = made.secrets()

        made.quiet()
        stolen = made.break_in().token
        before = made.facts()
        for venue in made.lab.venues.values():
            venue.forget_requests()
        rehearsal, writes, rehearsed = made.wrapper("--check"), made.writes(), made.facts()

        made.trade()
        first = made.as_it_is(made.playbook(reason="orders that nobody placed"))
        held, incident = made.facts(), first.incident.id
        unasked = made.approve(incident, "alice")
        made.replace_keys()
        mended = made.as_it_is(made.resume(incident))
        early = [made.approve(incident, person) for person in APPROVERS]
        of_trading = made.approve(incident, "alice", CLEARANCE)
        tried, still = made.as_it_is(made.resume(incident)), made.facts()
        made.clear(incident)
        cleared = made.as_it_is(made.resume(incident))
        for person in APPROVERS:
            made.approve(incident, person)
        done = made.resume(incident)
        yield Breach(
            stage=made,
            before=before,
            rehearsal=rehearsal,
            writes=writes,
            rehearsed=rehearsed,
            first=first,
            held=held,
            unasked=unasked,
            mended=mended,
            early=early,
            of_trading=of_trading,
            tried=tried,
            still=still,
            cleared=cleared,
            done=done,
            ended=made.facts(),
            strategies=(strategies, made.running()),
            secrets={*secrets, *made.secrets(), stolen},
            stolen=stolen,
            overheard=dict(overheard),
            identity=folder / "identity",
        )


def test_the_playbook_alone_contains_keeps_evidence_isolates_and_rotates_until_a_person_must(breach: Breach) -> None:
    first, held, before = breach.first, breach.held, breach.before
    assert (first.code, first.outcome) == (2, "held"), first.out + first.err
    assert before.calls_home
    assert before.open_orders == 2 * len(VENUES), "the intruder's own; then the strategies quoted again"
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


def test_every_book_was_empty_before_a_host_was_touched_and_withdrawals_stopped_before_keys_went(
    breach: Breach,
) -> None:
    touched = touched_at(breach.first.events)
    venues = breach.stage.lab.venues
    emptied = all_emptied_for_good([venue.truth().happenings for venue in venues.values()], touched)
    assert emptied is not None
    assert emptied < touched
    for name in VENUES:
        done = [request.op for request in venues[name].requests() if request.op in ("cancel_withdrawal", "delete_key")]
        assert done[0] == "cancel_withdrawal", name
        assert done.count("delete_key") == 2, "the trading system's old key and the intruder's"
    happened = [event.kind for event in breach.first.events]
    order = ("kill.verified", "withdrawals.frozen", "latch.changed", "host.audited", "host.isolated", "api_key.revoked")
    places = [happened.index(kind) for kind in order]
    assert places == sorted(places)
    assert happened.index("unknown_api_keys.revoked") < happened.index("api_key.revoked")


def test_the_wrapper_goes_on_where_the_playbook_was_held_and_ends_with_all_as_it_was(breach: Breach) -> None:
    done, ended = breach.done, breach.ended
    assert (breach.mended.code, breach.mended.outcome) == (4, "held"), breach.mended.out + breach.mended.err
    assert (breach.cleared.code, breach.cleared.outcome) == (4, "held"), breach.cleared.out + breach.cleared.err
    assert (done.code, done.outcome) == (0, "done"), done.out + done.err
    assert (done.state.is_open, done.state.inverses, doubts(done.state)) == (False, (), [])
    assert (ended.hold_file, ended.unplugged) == (False, False)
    assert ended.unit == {"ActiveState": "active", "FreezerState": "running"}
    before, after = breach.strategies
    assert after == before
    for name in breach.stage.venues:
        (new,) = ended.keys[name] - breach.before.keys[name]
        assert new == breach.stage.key_in_store(name)
        assert len(breach.before.keys[name] & ended.keys[name]) == 2, "the responder's and the administrator's"
    assert not breach.stage.executed(), "nothing that the intruder has planted"
    assert done.data("incident.closed")[0]["resolution"] == "resolved"


# Its two gates --------------------------------------------------------------------------------------------------------


def test_who_allows_trading_before_the_hosts_are_cleared_opens_nothing(breach: Breach) -> None:
    for refused in (breach.unasked, *breach.early):
        assert refused.code == 2
        assert f"does not wait at gate '{GATE}'" in refused.err
        assert "nothing was recorded" in refused.err
    assert (breach.tried.code, breach.tried.outcome) == (4, "held"), breach.tried.out
    assert f"gate {CLEARANCE} needs 1 of security" in breach.tried.out
    assert breach.tried.data("approval.given") == []
    assert breach.tried.data("gate.passed") == []
    assert (breach.still.hold_file, breach.still.unplugged, breach.still.open_orders) == (True, True, 0)
    assert breach.still.unit["ActiveState"] == "inactive"


def test_nobody_of_trading_clears_the_hosts(breach: Breach) -> None:
    assert breach.of_trading.code == 2
    assert "not approved: alice@lab.example: is not in security (nothing was recorded)" in breach.of_trading.err


def test_first_security_then_trading_and_nothing_opens_before_its_own_gate(breach: Breach) -> None:
    passed = breach.done.data("gate.passed")
    assert [data["gate"] for data in passed] == [CLEARANCE, GATE]
    assert [data["people"] for data in passed] == [["dave@lab.example"], ["alice@lab.example", "bob@lab.example"]]
    cleared, allowed = (event.seq for event in breach.done.events if event.kind == "gate.passed")
    told = [(event.seq, event.kind, event.data.get("state")) for event in breach.done.events]
    connected = [seq for seq, kind, state in told if (kind, state) == ("host.external_isolation", "open")]
    assert connected
    assert min(connected) > cleared
    opened = [seq for seq, kind, state in told if (kind, state) == ("latch.changed", "open")]
    traded = [seq for seq, kind, _ in told if kind in ("trading_limit.changed", "strategy.started")]
    assert min(opened) > allowed
    assert min(traded) > allowed


# Evidence, and what must not be anywhere ------------------------------------------------------------------------------


def test_no_secret_can_be_read_anywhere_neither_ours_nor_what_was_stolen(breach: Breach) -> None:
    assert len(breach.secrets) > 30, "of four venues' keys, old and new; tokens, passwords, people's SSH keys"
    kept = breach.stage.kept()
    assert {"journal.jsonl", "manifest.json", "processes.json.age"} <= {path.name for path in kept}
    said = {str(path): path.read_bytes().decode(errors="replace") for path in kept}
    said |= {f"output {number}": ran.out + ran.err for number, ran in enumerate(breach.runs)}
    assert any("ansible-playbook" in place for place in breach.overheard)
    assert any(place.startswith(str(breach.stage.scratch)) for place in breach.overheard)
    said |= breach.overheard
    assert [place for place, text in said.items() if any(secret in text for secret in breach.secrets)] == []


def test_whoever_has_the_key_to_the_evidence_finds_what_was_stolen_in_it(breach: Breach, tmp_path: Path) -> None:
    copy = copied(breach, tmp_path)
    words = ["evidence", copy.name, "volatile/processes.json.age", "--host", "hft-1", "--reason", "what was taken?"]
    words += ["--identity", str(breach.identity), "--to", str(tmp_path / "processes.json")]
    done = cli(copy.parent, *words)
    assert done.returncode == 0, done.stderr
    assert breach.stolen in (tmp_path / "processes.json").read_text()


def copied(breach: Breach, home: Path) -> Path:
    """The incident's folder in a home of its own."""
    folder = breach.done.incident.directory
    return Path(shutil.copytree(folder, home / folder.name))


def test_what_was_kept_and_recorded_is_proven_to_be_intact(breach: Breach, tmp_path: Path) -> None:
    copy = copied(breach, tmp_path)
    done = cli(tmp_path, "verify", copy.name)
    assert done.returncode == 0, done.stdout
    assert f"{copy.name}: intact" in done.stdout
    for host in ("hft-1", *(f"venue-{name}" for name in breach.stage.venues)):
        assert f"evidence of {host} in evidence/{host}: intact" in done.stdout


def item(copy: Path) -> str:
    """One byte of what the host's memory knew."""
    path = copy / "evidence" / "hft-1" / "volatile" / "processes.json.age"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    return "evidence of hft-1 in evidence/hft-1: altered: volatile/processes.json.age"


def manifest(copy: Path) -> str:
    """Its list, and the hash beside it that should prove it."""
    path = copy / "evidence" / "venue-okx" / "manifest.json"
    path.write_text(path.read_text().replace("venue-okx", "venue-okk", 1))
    (path.parent / "manifest.sha256").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  manifest.json\n")
    return "evidence of venue-okx in evidence/venue-okx: altered"


def line(copy: Path) -> str:
    """What it says of the level."""
    path = copy / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    number = next(number for number, text in enumerate(lines) if b'"breach.level_judged"' in text)
    lines[number] = lines[number].replace(b'"suspected"', b'"confirmed"', 1)
    path.write_bytes(b"".join(lines))
    return f"{copy.name}: altered at event {number + 1}: its content does not match its hash"


@pytest.mark.parametrize("altered", [item, manifest, line])
def test_what_was_altered_is_named(breach: Breach, tmp_path: Path, altered: Callable[[Path], str]) -> None:
    copy = copied(breach, tmp_path)
    named = altered(copy)
    done = cli(tmp_path, "verify", copy.name)
    assert done.returncode == 1, done.stdout
    assert named in done.stdout


# A rehearsal ----------------------------------------------------------------------------------------------------------


def test_a_rehearsal_while_somebody_is_in_changes_nothing_and_says_all_that_it_would_do(breach: Breach) -> None:
    ran = breach.rehearsal
    assert (ran.code, ran.outcome) == (0, "done"), ran.out + ran.err
    assert breach.writes == []
    assert breach.rehearsed == breach.before
    assert not (ran.incident.directory / "evidence").exists()
    assert (ran.state.inverses, dict(ran.state.gates)) == ((), {})
    assert FINAL.isdisjoint(ran.kinds)
    assert [data["resolution"] for data in ran.data("incident.closed")] == ["rehearsed"]
    told = [str(task["msg"]) for task in ran.data("task.finished")]
    for prediction in PREDICTIONS:
        assert [message for message in told if prediction in message], prediction


#: What a rehearsal of a breach says that it would do or wait for.
PREDICTIONS = (
    "would be cancelled",
    "all trading would be closed at hft-1",
    "hft-1.service would be frozen",
    "would keep",
    "confirmed: ",
    "hft-1 would be isolated from outside alone: NOT TRIED OUT",
    "hft-1.service would be stopped",
    "'backup' would be revoked",
    "trading/okx would be rotated",
    "would hold: gate security_clearance",
    "hft-1.config/hft.json is different",
    "hft-1-observe.service would be started",
    "would hold: gate resume_trading",
    "hft-1 would trade at 10 %",
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


# Killed in the middle -------------------------------------------------------------------------------------------------


class ApiStage(BreachStage):
    """Only venues at which nothing has to be done by hand."""

    venues: ClassVar[Mapping[str, str]] = {name: name for name in VENUES}


class Moment(NamedTuple):
    """As soon as this stands in the record; of the first run, or of the one that the clearance lets go on."""

    kind: str
    said: Mapping[str, object]
    cleared: bool = False


MOMENTS = (
    Moment("kill.verified", {}),
    Moment("evidence.kept", {"host": "hft-1"}),
    Moment("api_key.revoked", {}),
    Moment("gate.passed", {"gate": CLEARANCE}, cleared=True),
)


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BreachStage]:
    """A lab in which one breach follows the other."""
    with breach_stage(tmp_path_factory.mktemp("ring"), ApiStage) as made:
        yield made


@pytest.mark.parametrize("moment", MOMENTS, ids=[moment.kind for moment in MOMENTS])
def test_killed_in_the_middle_and_resumed_it_ends_as_in_one_go(ring: BreachStage, moment: Moment) -> None:
    ring.ready()
    strategies = ring.running()
    ring.break_in()
    before = ring.facts()
    if moment.cleared:
        held = ring.wrapper()
        assert (held.code, held.outcome) == (4, "held"), held.out + held.err
        ring.clear(held.incident.id)
        running = ring.start("hft-incident", "resume", held.incident.id)
        with ring.when(moment.kind, lambda: kill_all_of(running.pid), held.incident, **moment.said):
            ran = ring.finish(running)
    else:
        running = ring.command("hft-incident", "run", ring.type)
        with ring.when(moment.kind, lambda: kill_all_of(running.pid), None, **moment.said):
            ran = ring.finish(running)
    assert ran.code == -signal.SIGKILL
    incident = ran.incident
    outcome = ""
    while outcome != "done":
        ran = ring.resume(incident.id)
        outcome = ran.outcome
        assert outcome in ("held", "done"), ran.out + ran.err
        if outcome == "held":
            gate = ran.data("gate.held")[-1]["gate"]
            assert gate in (CLEARANCE, GATE), ran.out + ran.err
            assert gate not in {data["gate"] for data in ran.data("gate.passed")}, ran.out + ran.err
            if gate == CLEARANCE:
                ring.clear(incident.id)
            else:
                for person in APPROVERS:
                    assert ring.approve(incident.id, person).code == 0
    after = ring.facts()
    assert (ran.state.is_open, ran.state.inverses, doubts(ran.state)) == (False, (), [])
    assert [data["gate"] for data in ran.data("gate.passed")] == [CLEARANCE, GATE]
    assert (after.hold_file, after.unplugged, ring.executed()) == (False, False, False)
    assert after.unit == {"ActiveState": "active", "FreezerState": "running"}
    assert after.withdrawals == frozenset({"cancelled"})
    assert ring.running() == strategies
    for name in ring.venues:
        assert after.keys[name] - before.keys[name] == {ring.key_in_store(name)}, "one that works, and it is in use"
        assert len(before.keys[name] - after.keys[name]) == 2, "the trading system's old key and the intruder's"
    kept = [data["folder"] for data in ran.data("evidence.kept") if data["volatile"]]
    assert kept, "what only the memory of the host knew"
    assert cli(ring.home, "verify", incident.id).returncode == 0
    ring.ready()
