# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Incidents: ids, finding, and what is derived from events."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.chain import GENESIS, Event
from ansible_collections.hft.incident.plugins.module_utils.errors import EXIT_CODES, IncidentError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import (
    find,
    home_directory,
    list_incidents,
    open_incident,
    open_inverses,
    state_of,
)

COLLECTIONS = Path(__file__).parents[2] / "collections"


def events(*items: tuple[str, dict[str, Any]]) -> list[Event]:
    return [
        Event(seq, f"2026-11-23T10:00:{seq:02}.000000Z", "me@host", kind, data, GENESIS, GENESIS)
        for seq, (kind, data) in enumerate(items, 1)
    ]


def test_the_home_is_the_named_folder_else_the_one_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    assert home_directory({"HFT_INCIDENT_HOME": "/srv/x", "XDG_STATE_HOME": "/y"}) == Path("/srv/x")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert home_directory({"XDG_STATE_HOME": "/y", "HFT_INCIDENT_HOME": ""}) == Path("/var/lib/hft-incident")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert home_directory({"XDG_STATE_HOME": "/y"}) == Path("/y/hft-incident")
    assert home_directory({"XDG_STATE_HOME": "relative"}) == Path.home() / ".local/state/hft-incident"
    monkeypatch.chdir("/")
    assert home_directory({"HFT_INCIDENT_HOME": "here"}) == Path("/here")


def test_opening_makes_a_private_folder_and_the_first_event(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    incident = open_incident("exchange_outage", inputs={"exchange": "binance"}, severity=1, home=home)
    assert re.fullmatch(r"inc-\d{8}T\d{6}Z-exchange_outage-1", incident.id)
    assert stat.S_IMODE(incident.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    (event,) = incident.journal.events()
    assert event.kind == "incident.opened"
    told = dict(event.data)
    assert told.pop("assessment")["by"] == "person"
    assert len(told.pop("severity_rules")) == 1
    assert told == {
        "type": "exchange_outage", "inputs": {"exchange": "binance"}, "severity": 1, "check": False, "inventory": []
    }  # fmt: skip


def test_processes_that_open_at_once_never_share_an_id(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from ansible_collections.hft.incident.plugins.module_utils.incident import open_incident
print(" ".join(open_incident("system_crash", home=Path(sys.argv[1])).id for _ in range(10)))
"""
    env = {**os.environ, "PYTHONPATH": str(COLLECTIONS)}
    command = [sys.executable, "-c", code, str(tmp_path / "home")]
    crowd = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    ids = [name for process in crowd for name in process.communicate(timeout=60)[0].split()]
    assert len(set(ids)) == 40
    assert {incident.id for incident in list_incidents(tmp_path / "home")} == set(ids)
    by_second: dict[str, list[int]] = {}
    for name in ids:
        moment, n = name.split("-")[1], name.rsplit("-", 1)[1]
        by_second.setdefault(moment, []).append(int(n))
    for numbers in by_second.values():
        assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_an_unknown_type_and_a_home_that_cannot_be_are_wrong_usage_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown incident type 'fire'; one of: exchange_outage, "):
        open_incident("fire", home=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"no place for the record: .*HFT_INCIDENT_HOME") as caught:
        open_incident("system_crash", home=tmp_path / "file" / "home")
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_wrong_configuration_and_leaves_no_incident(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(UsageError, match=r"No space left on device .*HFT_INCIDENT_HOME; `hft-incident kill` needs"):
        open_incident("system_crash", home=tmp_path / "home")
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.parametrize("wrong", ["inc-x", "../..", "", "inc-20261123T100000Z-system_crash-2", "inc-20261123T1*"])
def test_what_is_not_found_says_how_to_list(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "inc-20261123T100000Z-system_crash-1").mkdir()
    assert find("inc-20261123T100000Z-system_crash-1", tmp_path).directory.is_dir()
    with pytest.raises(UsageError, match=r"no incident .*hft-incident status"):
        find(wrong, tmp_path)


def test_incidents_are_listed_oldest_first_and_nothing_else_is(tmp_path: Path) -> None:
    names = [
        "inc-20261123T100000Z-system_crash-2",
        "inc-20261123T100000Z-system_crash-10",
        "inc-20261123T100001Z-exchange_outage-1",
    ]
    for name in [*reversed(names), "lab", "inc-junk"]:
        (tmp_path / name).mkdir()
    assert [incident.id for incident in list_incidents(tmp_path)] == names
    assert list_incidents(tmp_path / "missing") == []


def test_a_new_incident_without_events_has_nothing_derived() -> None:
    state = state_of([])
    assert (state.type, state.phase, state.outcome, state.is_open, dict(state.venues)) == (None, None, None, True, {})


def test_severity_phase_and_being_open_follow_the_last_word() -> None:
    state = state_of(
        events(
            ("incident.opened", {"type": "exchange_outage", "severity": 2, "check": False}),
            ("run.started", {}),
            ("phase.entered", {"phase": "contain", "play": "p"}),
            ("severity.set", {"severity": 1}),
            ("phase.entered", {"phase": "assess", "play": "q"}),
            ("run.finished", {"outcome": "held"}),
        )
    )
    assert (state.type, state.severity, state.phase, state.outcome) == ("exchange_outage", 1, "assess", "held")
    assert state.is_open
    closed = events(("incident.opened", {"type": "system_crash"}), ("incident.closed", {}))
    assert state_of(closed).closed_at == "2026-11-23T10:00:02.000000Z"
    assert state_of([*closed, *events(("incident.reopened", {}))]).is_open


def test_a_run_that_has_not_ended_has_no_outcome() -> None:
    again = events(("run.started", {}), ("run.finished", {"outcome": "done"}), ("run.started", {}))
    assert state_of(again).outcome is None


def test_containment_is_per_venue_from_the_last_kill_that_named_it() -> None:
    state = state_of(
        events(
            ("kill.verified", {"venues": [{"name": "okx", "verdict": "clear", "open_after": 0},
                                          {"name": "bybit", "verdict": "open", "open_after": 3}]}),
            ("kill.verified", {"venues": [{"name": "bybit", "verdict": "unknown", "open_after": None}]}),
        )
    )  # fmt: skip
    assert {name: venue.verdict for name, venue in state.venues.items()} == {"okx": "clear", "bybit": "unknown"}
    assert state.venues["bybit"].open_after is None
    assert state.venues["okx"].at.endswith("01.000000Z")


def test_inverses_still_open_come_last_change_first() -> None:
    def registered(name: str) -> tuple[str, dict[str, Any]]:
        inverse = {"id": name, "task": "t", "host": "h", "module": "hft.incident.exchange", "args": {"name": name}}
        return "inverse.registered", {**inverse, "describe": None}

    history = [registered("a"), registered("b"), registered("c"), ("inverse.applied", {"id": "b"})]
    inverses = state_of(events(*history)).inverses
    assert [inverse.id for inverse in inverses] == ["c", "a"]
    assert (inverses[0].args, inverses[0].describe) == ({"name": "c"}, "hft.incident.exchange")


def test_the_inverses_of_one_host_are_those_of_the_whole_that_are_its_own() -> None:
    def registered(number: int) -> tuple[str, dict[str, Any]]:
        inverse = {"id": str(number), "task": "t", "host": f"host-{number % 2}", "module": "m", "args": {}}
        return "inverse.registered", inverse

    record = events(
        *map(registered, range(8)),
        ("inverse.applied", {"id": "1"}),
        ("inverse.applied", {"id": "2", "host": "localhost"}),  # played from the control node
        ("claims.given_up", {"inverses": ["3", "4"]}),
        ("latch.changed", {"host": "host-0", "state": "closed"}),
    )
    for host, ids in {"host-0": ["6", "0"], "host-1": ["7", "5"], "host-2": []}.items():
        assert [inverse.id for inverse in open_inverses(record, host)] == ids
        assert list(open_inverses(record, host)) == [i for i in state_of(record).inverses if i.host == host]


def test_strategies_show_their_last_known_state() -> None:
    state = state_of(
        events(("strategies.stopped", {"ids": ["mm-1", "arb-2"]}), ("strategies.started", {"ids": ["arb-2"]}))
    )
    assert dict(state.strategies) == {"mm-1": "stopped", "arb-2": "running"}


def test_every_error_has_an_outcome_with_an_exit_code() -> None:
    classes: list[type[IncidentError]] = [IncidentError, *IncidentError.__subclasses__()]
    assert {kind.outcome for kind in classes} | {"done"} == set(EXIT_CODES)
    assert EXIT_CODES == {"done": 0, "failed": 1, "usage": 2, "unproven": 3, "held": 4}
