# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The red button pressed beside the start of a playbook: when it fires, when it does not, and what it writes down."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.hft.incident.plugins.module_utils.incident import TYPES, Incident, open_incident, state_of
from ansible_collections.hft.incident.plugins.module_utils.kill_order import KillOrder
from ansible_collections.hft.incident.plugins.module_utils.killswitch import Kill
from hft_incident import fire_first
from hft_incident.fire_first import OBJECTIONS, condition_of, firing_first
from hft_incident.inventory import plain_settings

from .modules.stand_in import StandIn, stand_ins
from .venues_host import KEY, Host, venue_host
from .waiting import wait_until


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with venue_host({"alpha": "binance"}) as running:
        yield running


@pytest.fixture
def book(host: Host) -> Iterator[Host]:
    """Three orders rest at the venue."""
    for _ in range(3):
        host.venues["alpha"].place_one("BTCUSDT")
    yield host
    host.venues["alpha"].exchange.cancel_all()


@pytest.fixture
def incident(tmp_path: Path) -> Incident:
    return open_incident("system_crash", home=tmp_path / "home")


@pytest.fixture
def system() -> Iterator[StandIn]:
    with stand_ins("hft-1") as (running,):
        yield running


def inventory(folder: Path, host: Host, *systems: str) -> list[str]:
    """A folder with a plain venues file."""
    secrets: dict[str, str] = {}
    for name, value in (("api_key", KEY.id), ("api_secret", KEY.secret)):
        path = folder / name
        path.write_text(value)
        path.chmod(0o600)
        secrets[name] = f"file:{path}"
    url = f"http://127.0.0.1:{host.venues['alpha'].port}"
    document = {
        "hft_venues": [{"name": "alpha", "driver": "binance", "base_url": url, **secrets}],
        "hft_trading_systems": [{"name": f"hft-{number}", "url": url} for number, url in enumerate(systems, 1)],
    }
    file = folder / "inventory" / "group_vars" / "all" / "venues.yml"
    file.parent.mkdir(parents=True)
    file.write_text(yaml.safe_dump(document))
    return [str(folder / "inventory")]


def data(incident: Incident, kind: str) -> list[Mapping[str, Any]]:
    return [event.data for event in incident.journal.events() if event.kind == kind]


def fire(incident: Incident, sources: list[str], incident_type: str = "system_crash") -> None:
    with firing_first(incident, incident_type, sources, "drill"):
        pass


def test_the_table_names_types_that_exist_and_conditions_that_are_known() -> None:
    table = yaml.safe_load(fire_first.TABLE.read_text())["fire_first"]
    assert set(table) == {"system_crash", "security_breach", "trading_anomaly"}
    assert set(table) <= set(TYPES)
    assert set(table.values()) <= set(OBJECTIONS)


def test_a_dead_trading_systems_orders_are_killed_and_that_is_on_record(
    tmp_path: Path, book: Host, incident: Incident
) -> None:
    fire(incident, inventory(tmp_path, book, "http://127.0.0.1:9"))
    assert not book.venues["alpha"].exchange.open_orders()
    (ordered,), (verified,) = data(incident, "kill.ordered"), data(incident, "kill.verified")
    assert ordered["by"] == verified["by"] == "fire first"
    assert (ordered["venues"], ordered["trading_systems"], ordered["reason"]) == (["alpha"], ["hft-1"], "drill")
    assert (verified["verdict"], verified["venues"][0]["cancelled"]) == ("clear", 3)
    assert verified["trading_systems"][0]["verdict"] == "unreachable"
    assert state_of(incident.journal.events()).venues["alpha"].verdict == "clear"


def test_one_that_answers_is_left_to_the_playbook(
    tmp_path: Path, book: Host, incident: Incident, system: StandIn
) -> None:
    fire(incident, inventory(tmp_path, book, system.entry["url"]))
    assert len(book.venues["alpha"].exchange.open_orders()) == 3
    assert "hft-1 answers" in data(incident, "fire_first.withheld")[0]["reason"]
    assert not data(incident, "kill.ordered")


def test_one_silent_system_of_two_is_enough(tmp_path: Path, book: Host, incident: Incident, system: StandIn) -> None:
    fire(incident, inventory(tmp_path, book, system.entry["url"], "http://127.0.0.1:9"))
    assert not book.venues["alpha"].exchange.open_orders()


def test_a_breach_asks_nobody(tmp_path: Path, book: Host, incident: Incident, system: StandIn) -> None:
    fire(incident, inventory(tmp_path, book, system.entry["url"]), "security_breach")
    assert not book.venues["alpha"].exchange.open_orders()
    (release,) = state_of(incident.journal.events()).inverses
    assert (release.describe, release.host) == ("release the killswitch of hft-1", "localhost")


def test_other_types_wait_for_their_playbook(tmp_path: Path, book: Host, incident: Incident) -> None:
    assert condition_of("exchange_outage") is None
    fire(incident, inventory(tmp_path, book, "http://127.0.0.1:9"), "exchange_outage")
    assert len(book.venues["alpha"].exchange.open_orders()) == 3
    assert [event.kind for event in incident.journal.events()] == ["incident.opened"]


@pytest.mark.parametrize("content", [None, "hft_venues: [", "hft_venues: []"])
def test_without_a_usable_venues_file_it_is_left_to_the_playbook_and_said(
    tmp_path: Path, incident: Incident, content: str | None
) -> None:
    file = tmp_path / "inventory" / "group_vars" / "all" / "venues.yml"
    file.parent.mkdir(parents=True)
    if content is not None:
        file.write_text(content)
    fire(incident, [str(tmp_path / "inventory")])
    assert "left to the playbook" in data(incident, "fire_first.withheld")[0]["reason"]


def test_it_fires_while_the_playbook_starts_and_is_waited_for(tmp_path: Path, book: Host, incident: Incident) -> None:
    sources = inventory(tmp_path, book, "http://127.0.0.1:9")
    with firing_first(incident, "system_crash", sources, "drill"):
        wait_until(lambda: not book.venues["alpha"].exchange.open_orders())  # it needs nothing from this block
    assert data(incident, "kill.verified")


def test_after_the_verdict_nothing_is_pressed_any_more(tmp_path: Path, book: Host) -> None:
    settings = plain_settings(inventory(tmp_path, book, "http://127.0.0.1:9"))
    before = set(threading.enumerate())
    press = Kill(KillOrder(settings.venues, settings.trading_systems, "drill", 1, 0.0, timeout=600.0))
    press.start()
    press.wait()
    assert press.result().trading_systems[0].verdict == "unreachable"
    wait_until(lambda: set(threading.enumerate()) <= before)  # it had ten minutes to go on trying
