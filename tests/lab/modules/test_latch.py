# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The modules ``latch`` and ``latch_info``: closed by anybody, opened by two people, and never open by mistake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils import latch_host
from ansible_collections.hft.incident.plugins.module_utils.errors import UnprovenError
from ansible_collections.hft.incident.plugins.module_utils.hold_file import Hold, close, look
from ansible_collections.hft.incident.plugins.module_utils.incident import ENV_DIR, Incident, open_incident
from ansible_collections.hft.incident.plugins.module_utils.steps import Context, gate, latch, latch_info, run_step
from hft_incident import approve

from ..people import GATE, Firm
from ..trading_system_process import trading_system
from ..venues_host import venue_host
from ..waiting import wait_until
from .stand_in import StandIn, stand_ins
from .steps import Ran, run

ROOT = Path(__file__).parents[3]
ACTIVATE, RELEASE = "POST /killswitch", "DELETE /killswitch"


@pytest.fixture
def system() -> Iterator[StandIn]:
    with stand_ins("hft-1") as (one,):
        one.strategy("mm-1", "alpha")
        yield one


@pytest.fixture
def firm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Firm:
    made = Firm(tmp_path)
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(made.home))
    return made


@pytest.fixture
def incident(firm: Firm, monkeypatch: pytest.MonkeyPatch) -> Incident:
    made = firm.incident()
    monkeypatch.setenv(ENV_DIR, str(made.directory))
    return made


@pytest.fixture
def hold_file(tmp_path: Path) -> Path:
    return tmp_path / "hft" / "ir-hold"


class Desk:
    """One latch, one incident, and the people who may open it."""

    def __init__(self, firm: Firm, incident: Incident, system: StandIn, hold_file: Path) -> None:
        self.firm = firm
        self.incident = incident
        self.system = system
        self.hold_file = hold_file

    def args(self, **more: Any) -> dict[str, Any]:
        return {
            "hold_file": str(self.hold_file),
            "trading_systems": [self.system.entry],
            "gate": GATE,
            "gates": self.firm.gates,
            "allowed_signers": str(self.firm.signers),
            "timeout": 2.0,
            **more,
        }

    def close(self, *, check: bool = False, **more: Any) -> Ran:
        return self.keep(run(latch, check=check, **self.args(state="closed", reason="it crashed", **more)))

    def open(self, *, check: bool = False, **more: Any) -> Ran:
        return self.keep(run(latch, check=check, **self.args(state="open", **more)))

    def look(self, **more: Any) -> Ran:
        names = ("hold_file", "trading_systems", "timeout")
        return run(latch_info, **{**{name: self.args()[name] for name in names}, **more})

    def keep(self, ran: Ran) -> Ran:
        """What the scribe does with a result."""
        self.incident.journal.extend([(line["kind"], line["data"]) for line in ran.result.get("record", [])])
        return ran

    def allow(self) -> None:
        for name in ("alice", "bob"):
            approve(self.incident.id, GATE, key=self.firm.key(name))
        passed = run(gate, gate=GATE, gates=self.firm.gates, allowed_signers=str(self.firm.signers))
        assert not passed.failed, passed["msg"]
        self.keep(passed)

    @property
    def active(self) -> bool:
        return bool(self.system.killswitch["active"])


@pytest.fixture
def desk(firm: Firm, incident: Incident, system: StandIn, hold_file: Path) -> Desk:
    return Desk(firm, incident, system, hold_file)


# Closing --------------------------------------------------------------------------------------------------------------


def test_closing_needs_nobody_and_closes_everywhere(desk: Desk) -> None:
    done = desk.close()
    assert not done.failed
    assert (done["changed"], done["state"], done["agree"], done["difference"]) == (True, "closed", True, "")
    assert desk.hold_file.exists()
    assert desk.system.killswitch == {"active": True, "reason": "it crashed", "since": None}
    (hold,) = done["hold"]["holders"]
    assert (hold["incident"], hold["reason"]) == (desk.incident.id, "it crashed")
    (data,) = done.recorded("latch.changed")
    assert data == {
        "scope": "all",
        "name": "",
        "state": "closed",
        "host": "localhost",
        "hold_file": str(desk.hold_file),
        "hold": "closed",
        "api": [{"trading_system": "hft-1", "state": "closed", "error": ""}],
        "agree": True,
        "difference": "",
        "reason": "it crashed",
    }
    assert done["diff"] == {
        "before": {"localhost": {"hold_file": "open", "hft-1": "open"}},
        "after": {"localhost": {"hold_file": "closed", "hft-1": "closed"}},
    }


def test_a_second_closing_changes_nothing(desk: Desk) -> None:
    desk.close()
    text, writes = desk.hold_file.read_text(), list(desk.system.writes)
    again = desk.close()
    assert (again["changed"], again["inverses"], again["record"]) == (False, [], [])
    assert (desk.hold_file.read_text(), desk.system.writes) == (text, writes)
    assert again["msg"] == "all trading was already closed at localhost"


def test_closing_needs_no_incident_either(system: StandIn, hold_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENV_DIR, raising=False)
    done = run(latch, state="closed", hold_file=str(hold_file), trading_systems=[system.entry])
    assert (done.failed, done["hold"]["holders"][0]["incident"]) == (False, "")


@pytest.mark.parametrize("how", ["hang", "lost", "html", 503, 401])
def test_a_trading_system_that_gives_no_answer_is_said_and_the_file_stands(desk: Desk, how: str | int) -> None:
    desk.system.on[ACTIVATE] = desk.system.on["GET /killswitch"] = lambda: how
    done = desk.close()
    assert not done.failed
    assert (done["changed"], done["state"], done["agree"]) == (True, "closed", False)
    assert desk.hold_file.exists()
    assert "the hold file is closed; the API of hft-1 is unknown (" in done["difference"]
    assert done["difference"] in done["msg"]
    assert done.recorded("latch.changed")[0]["agree"] is False


def test_when_it_answers_again_it_is_closed_as_well_and_that_is_recorded(desk: Desk) -> None:
    desk.system.on["GET /killswitch"] = lambda: 503
    desk.close()
    desk.system.on.clear()
    done = desk.close()
    assert (done["changed"], done["agree"], desk.active) == (True, True, True)
    assert done.recorded("latch.changed")[0]["agree"] is True


def test_a_trading_system_that_only_says_yes_is_not_proven(desk: Desk) -> None:
    desk.system.on["GET /killswitch"] = lambda: desk.system.killswitch.update(active=False)
    done = desk.close()
    assert done.outcome == "unproven"
    assert "the API of hft-1 is open (it was told, but is still open" in done["msg"]
    assert desk.hold_file.exists()


def test_a_file_that_cannot_be_written_is_said_loudly_and_the_trading_system_is_told_all_the_same(desk: Desk) -> None:
    desk.hold_file.parent.write_text("in the way")
    done = desk.close()
    assert done.outcome == "unproven"
    assert "NOT PROVEN: the hold file" in done["msg"]
    assert desk.active
    assert (done["changed"], done["agree"]) == (True, False)
    assert done["inverses"]


def test_a_host_that_cannot_be_reached_does_not_keep_the_trading_system_from_being_told(desk: Desk) -> None:
    def unreachable(_params: Any, _context: Context) -> Any:
        raise UnprovenError("the host cannot be reached: no route")

    params = {**{name: spec.get("default") for name, spec in latch.ARGUMENT_SPEC.items()}, **desk.args(state="closed")}
    done = latch.run_on(params, Context(check=False, note=lambda kind, data: None), "hft-1", unreachable)
    assert (done["outcome"], desk.active) == ("unproven", True)
    assert "the host cannot be reached" in done["msg"]


def test_a_record_that_cannot_be_read_keeps_nobody_from_closing(desk: Desk) -> None:
    journal = Path(desk.incident.journal.path)
    journal.unlink()
    journal.mkdir()
    done = run(latch, **desk.args(state="closed"))
    assert (done.failed, desk.hold_file.exists(), desk.active) == (False, True, True)


# Opening --------------------------------------------------------------------------------------------------------------


def test_without_approvals_it_is_held_and_nothing_is_touched(desk: Desk) -> None:
    desk.close()
    text, seen = desk.hold_file.read_text(), list(desk.system.seen)
    approve(desk.incident.id, GATE, key=desk.firm.key("alice"))
    done = desk.open()
    assert (done.outcome, done["changed"]) == ("held", False)
    assert f"gate {GATE} is shut" in done["msg"]
    assert (desk.hold_file.read_text(), desk.system.seen, desk.active) == (text, seen, True)


def test_two_signatures_open_it_once(desk: Desk) -> None:
    desk.close()
    desk.allow()
    done = desk.open()
    assert not done.failed, done["msg"]
    assert (done["changed"], done["state"], done["agree"]) == (True, "open", True)
    assert (desk.hold_file.exists(), desk.active) == (False, False)
    assert done.recorded("latch.changed")[0]["state"] == "open"
    assert "inverses" not in done.result
    again = desk.open()
    assert (again.failed, again["changed"], again["record"]) == (False, False, [])


def test_what_was_closed_after_it_was_allowed_needs_two_people_again(desk: Desk) -> None:
    desk.close()
    desk.allow()
    desk.open()
    desk.close()
    assert desk.open().outcome == "held"
    assert (desk.hold_file.exists(), desk.active) == (True, True)


def test_the_inverse_of_closing_opens_it_only_with_leave(desk: Desk) -> None:
    (back,) = desk.close()["inverses"]
    assert back["describe"] == "open the latch of localhost for all trading"
    assert run(latch, **back["args"]).outcome == "held"
    desk.allow()
    assert run(latch, **back["args"])["state"] == "open"
    assert (desk.hold_file.exists(), desk.active) == (False, False)


def test_outside_an_incident_nobody_opens(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.close()
    monkeypatch.delenv(ENV_DIR)
    assert run(latch, **desk.args(state="open")).outcome == "usage"
    assert desk.hold_file.exists()


@pytest.mark.parametrize("left_out", ["gate", "gates", "allowed_signers"])
def test_without_a_policy_nobody_opens(desk: Desk, left_out: str) -> None:
    desk.close()
    args = desk.args(state="open")
    del args[left_out]
    assert run(latch, **args).outcome == "usage"
    assert (desk.hold_file.exists(), desk.active) == (True, True)


def test_a_task_cannot_say_itself_that_it_is_allowed(desk: Desk) -> None:
    desk.close()
    done = desk.open(entry={"gate": GATE, "incidents": [desk.incident.id]})
    assert (done.outcome, desk.hold_file.exists()) == ("usage", True)


def test_the_hosts_part_alone_opens_nothing(desk: Desk) -> None:
    desk.close()
    params = {**{name: spec.get("default") for name, spec in latch.ARGUMENT_SPEC.items()}, **desk.args(state="open")}
    done = run_step(latch_host.change, params, Context(check=False, note=lambda kind, data: None))
    assert (done["outcome"], desk.hold_file.exists()) == ("held", True)


def test_another_incidents_hold_keeps_it_closed_everywhere_and_is_named(desk: Desk) -> None:
    desk.close()
    close(str(desk.hold_file), Hold("inc-other", "a breach", "bob@there", "2026-11-24T03:00:00.000000Z"))
    desk.allow()
    done = desk.open()
    assert (done.outcome, done["changed"], done["state"]) == ("held", True, "closed")
    assert "is held by inc-other (a breach, by bob@there, since 2026-11-24T03:00:00.000000Z)" in done["msg"]
    assert [hold.incident for hold in look(str(desk.hold_file)).holds] == ["inc-other"]
    assert desk.active
    assert done.recorded("latch.changed") == []
    assert len(done.recorded("latch.not_opened")) == 1
    desk.hold_file.unlink()
    assert desk.open()["state"] == "open"


def test_what_somebody_holds_by_hand_only_a_hand_takes_away(desk: Desk) -> None:
    desk.hold_file.parent.mkdir()
    desk.hold_file.touch()
    desk.close()
    desk.allow()
    done = desk.open()
    assert done.outcome == "held"
    assert "somebody's hand (an empty file)" in done["msg"]
    assert (desk.hold_file.exists(), desk.active) == (True, True)


def test_what_was_taken_over_from_another_incident_is_let_go_with_our_own(desk: Desk) -> None:
    desk.close()
    close(str(desk.hold_file), Hold("inc-other"))
    things = [{"kind": "trading system", "name": "hft-1", "at": ""}]
    desk.incident.journal.append("claims.taken_over", {"incident": "inc-other", "things": things})
    desk.allow()
    assert (desk.open()["state"], desk.hold_file.exists()) == ("open", False)


def test_what_was_taken_over_elsewhere_changes_nothing_here(desk: Desk) -> None:
    desk.close()
    close(str(desk.hold_file), Hold("inc-other"))
    things = [{"kind": "trading system", "name": "hft-2", "at": ""}]
    desk.incident.journal.append("claims.taken_over", {"incident": "inc-other", "things": things})
    desk.allow()
    assert (desk.open().outcome, desk.hold_file.exists()) == ("held", True)


@pytest.mark.parametrize("how", ["hang", 503])
def test_a_trading_system_that_does_not_answer_is_not_opened_around(desk: Desk, how: str | int) -> None:
    desk.close()
    desk.allow()
    desk.system.on["GET /killswitch"] = lambda: how
    done = desk.open()
    assert (done.outcome, desk.hold_file.exists(), desk.active) == ("unproven", True, True)
    assert "nothing was opened: the API of hft-1 is unknown" in done["msg"]


def test_a_trading_system_that_does_not_open_is_not_proven_and_a_second_run_ends_it(desk: Desk) -> None:
    desk.close()
    desk.allow()
    desk.system.on[RELEASE] = lambda: 503
    done = desk.open()
    assert (done.outcome, done["state"], desk.active) == ("unproven", "closed", True)
    assert "the API of hft-1 is unknown" in done["msg"]
    assert [line["kind"] for line in done["record"]] == ["latch.not_opened"]
    desk.system.on.clear()
    assert (desk.open()["state"], desk.active) == ("open", False)


# Check mode -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", [{}, {"scope": "exchange", "name": "alpha"}, {"scope": "strategy", "name": "mm-1"}])
def test_check_mode_predicts_closing_and_opening_and_touches_nothing(desk: Desk, scope: dict[str, Any]) -> None:
    fields = ("changed", "state", "hold", "agree", "diff")
    would = desk.close(check=True, **scope)
    assert (desk.system.writes, desk.hold_file.parent.exists()) == ([], False)
    assert {"record", "inverses"}.isdisjoint(would.result)
    done = desk.close(**scope)
    would["hold"]["holders"][0]["at"] = done["hold"]["holders"][0]["at"]
    assert [would[field] for field in fields] == [done[field] for field in fields]
    files, writes = list(desk.hold_file.parent.rglob("*")), list(desk.system.writes)
    would = desk.open(check=True, **scope)
    assert not would.failed
    assert f"but only once gate {GATE} is passed: it was not passed" in would["msg"]
    assert (list(desk.hold_file.parent.rglob("*")), desk.system.writes) == (files, writes)
    desk.allow()
    done = desk.open(**scope)
    assert [would[field] for field in fields] == [done[field] for field in fields]


def test_check_mode_names_who_else_holds(desk: Desk) -> None:
    desk.close()
    close(str(desk.hold_file), Hold("inc-other"))
    would = desk.open(check=True)
    assert not would.failed
    assert "is held by inc-other" in would["msg"]
    assert len(look(str(desk.hold_file)).holds) == 2


# Exchanges and strategies ---------------------------------------------------------------------------------------------


def test_one_exchange_is_closed_and_opened_and_nothing_else(desk: Desk) -> None:
    scope: dict[str, Any] = {"scope": "exchange", "name": "alpha"}
    done = desk.close(**scope)
    file = Path(f"{desk.hold_file}.d/exchange-alpha")
    assert (done["state"], file.exists(), desk.hold_file.exists(), desk.active) == ("closed", True, False, False)
    assert [desk.system.exchanges[name]["enabled"] for name in ("alpha", "beta")] == [False, True]
    desk.allow()
    assert (desk.open(**scope)["state"], file.exists()) == ("open", False)
    assert desk.system.exchanges["alpha"]["enabled"] is True


def test_a_strategy_is_stopped_and_to_open_its_latch_does_not_start_it(desk: Desk) -> None:
    scope: dict[str, Any] = {"scope": "strategy", "name": "mm-1"}
    done = desk.close(**scope)
    file = Path(f"{desk.hold_file}.d/strategy-mm-1")
    assert (done["state"], done["agree"], file.exists(), desk.system.running()) == ("closed", True, True, [])
    desk.allow()
    done = desk.open(**scope)
    assert (done["state"], done["agree"], file.exists(), desk.system.running()) == ("open", True, False, [])
    assert desk.open(**scope)["changed"] is False


@pytest.mark.parametrize("scope", ["exchange", "strategy"])
@pytest.mark.parametrize("act", ["close", "open", "look"])
def test_a_name_that_nobody_knows_is_refused_before_anything_is_closed(desk: Desk, scope: str, act: str) -> None:
    if act == "open":
        desk.allow()
    done = getattr(desk, act)(scope=scope, name="binnance")
    assert (done.outcome, desk.system.writes) == ("usage", [])
    assert f"unknown {scope} 'binnance'; the trading systems have:" in done["msg"]
    assert not desk.hold_file.parent.exists()


def test_a_name_that_nobody_can_confirm_is_closed_on_the_safe_side(desk: Desk) -> None:
    desk.system.on["GET /exchanges"] = lambda: 503
    done = desk.close(scope="exchange", name="alpha")
    assert (done.failed, done["agree"], Path(f"{desk.hold_file}.d/exchange-alpha").exists()) == (False, False, True)


def test_only_the_trading_system_of_this_host_is_told(desk: Desk) -> None:
    with stand_ins("hft-2") as (other,):
        systems = [desk.system.entry, other.entry]
        done = desk.close(trading_systems=systems, trading_system="hft-2")
        assert (desk.active, other.killswitch["active"]) == (False, True)
        assert [row["trading_system"] for row in done["api"]] == ["hft-2"]
        assert desk.close(trading_systems=systems, trading_system="hft-3").outcome == "usage"


# Cut off --------------------------------------------------------------------------------------------------------------

CUT_OFF = """
import json, sys
from ansible_collections.hft.incident.plugins.module_utils.steps import Context, latch
params = {name: spec.get("default") for name, spec in latch.ARGUMENT_SPEC.items()}
latch.run({**params, **json.load(sys.stdin)}, Context(check=False, note=lambda kind, data: None))
"""


def cut_off(desk: Desk, request: str, **args: Any) -> None:
    """Killed when this request arrives, and is never answered."""
    desk.system.seen.clear()
    desk.system.on[request] = lambda: "hang"
    process = subprocess.Popen(
        [sys.executable, "-c", CUT_OFF],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'collections'}:{ROOT / 'src'}"},
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(desk.args(timeout=60.0, **args)))
    process.stdin.close()
    wait_until(lambda: request in desk.system.seen)
    process.send_signal(signal.SIGKILL)
    process.wait()
    desk.system.on.clear()


def test_closing_that_is_cut_off_has_closed_the_file_and_a_second_run_ends_it(desk: Desk) -> None:
    cut_off(desk, ACTIVATE, state="closed")
    assert (desk.hold_file.exists(), desk.active) == (True, False)
    done = desk.close()
    assert (done["changed"], done["agree"], desk.active) == (True, True, True)
    assert len(done["hold"]["holders"]) == 1


def test_closing_that_is_cut_off_after_its_work_is_recorded_by_the_second_run(desk: Desk) -> None:
    run(latch, **desk.args(state="closed"))  # and nobody wrote it down
    again = desk.close()
    assert (again["changed"], [line["kind"] for line in again["record"]]) == (False, ["latch.changed"])


def test_opening_that_is_cut_off_leaves_the_process_stopped_and_a_second_run_ends_it(desk: Desk) -> None:
    desk.close()
    desk.allow()
    cut_off(desk, RELEASE, state="open")
    assert (desk.hold_file.exists(), desk.active) == (False, True)
    assert desk.look()["state"] == "closed"
    done = desk.open()
    assert (done["changed"], done["state"], desk.active) == (True, "open", False)


# Looking --------------------------------------------------------------------------------------------------------------


def test_the_parts_agree_when_closed_and_when_open(desk: Desk) -> None:
    found = desk.look()
    assert (found["state"], found["agree"], found["journal"]) == ("open", True, "silent")
    desk.close()
    found = desk.look()
    assert (found["changed"], found["state"], found["agree"], found["journal"]) == (False, "closed", True, "closed")
    assert found["msg"] == "all trading is closed at localhost; all its parts agree"


def test_a_file_that_somebody_took_away_is_reported(desk: Desk) -> None:
    desk.close()
    desk.hold_file.unlink()
    found = desk.look()
    assert (found["state"], found["agree"]) == ("closed", False)
    assert found["difference"] == (
        "the hold file is open; the API of hft-1 is closed; the journal's last word is closed"
    )


def test_a_killswitch_that_somebody_released_is_reported(desk: Desk) -> None:
    desk.close()
    desk.system.killswitch["active"] = False
    found = desk.look()
    assert (found["state"], found["agree"]) == ("closed", False)
    assert "the API of hft-1 is open" in found["msg"]


def test_what_was_opened_behind_the_journals_back_is_reported(desk: Desk) -> None:
    desk.close()
    desk.hold_file.unlink()
    desk.system.killswitch["active"] = False
    found = desk.look()
    assert (found["state"], found["agree"]) == ("closed", False)
    assert "the journal's last word is closed" in found["difference"]


@pytest.mark.parametrize("how", ["hang", "html", "half", 500])
def test_what_cannot_be_seen_is_never_open_and_no_failure(desk: Desk, how: str | int) -> None:
    desk.system.on["GET /killswitch"] = lambda: how
    found = desk.look(timeout=0.5)
    assert (found.failed, found["state"], found["agree"]) == (False, "closed", False)
    desk.system.on.clear()
    desk.hold_file.parent.mkdir()
    desk.hold_file.symlink_to("nowhere")
    found = desk.look()
    assert (found.failed, found["state"], found["hold"]["state"]) == (False, "closed", "unknown")


def test_outside_an_incident_the_journal_says_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.close()
    monkeypatch.delenv(ENV_DIR)
    assert desk.look()["journal"] == "silent"


def test_the_journal_of_another_host_or_scope_is_another_latch(desk: Desk) -> None:
    desk.close(scope="exchange", name="alpha")
    assert desk.look()["journal"] == "silent"
    assert desk.look(scope="exchange", name="alpha")["journal"] == "closed"
    assert desk.look(scope="exchange", name="beta")["journal"] == "silent"


def test_two_incidents_each_let_go_of_their_own(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.close()
    other = open_incident("security_breach", home=desk.firm.home)
    monkeypatch.setenv(ENV_DIR, str(other.directory))
    both = run(latch, **desk.args(state="closed"))
    assert [hold["incident"] for hold in both["hold"]["holders"]] == [desk.incident.id, other.id]
    assert (both["changed"], desk.active) == (True, True)


# The real one ---------------------------------------------------------------------------------------------------------


def test_at_the_lab_a_closed_latch_stops_orders_and_an_open_one_lets_them_through(
    firm: Firm, incident: Incident, tmp_path: Path
) -> None:
    with venue_host({"alpha": "binance"}) as host:
        venue = host.venues["alpha"]
        venue.exchange.feed_running = True
        with trading_system(tmp_path, host, {"alpha": "binance"}) as hft, stand_ins("unused") as (unused,):
            desk = Desk(firm, incident, unused, hft.hold_file)
            entry = {"name": "hft-1", "url": f"http://127.0.0.1:{hft.port}"}
            wait_until(lambda: venue.exchange.open_orders())
            assert desk.close(trading_systems=[entry])["agree"] is True
            wait_until(lambda: not venue.exchange.open_orders())
            desk.allow()
            assert desk.open(trading_systems=[entry])["state"] == "open"
            wait_until(lambda: venue.exchange.open_orders())
