# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Message sinks as a part of a lab: its inventory leads to them, its end is theirs, and they keep its secrets."""

from __future__ import annotations

import json
import signal
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from ansible_collections.hft.incident.plugins.module_utils.secret_ref import resolve
from hft_incident.lab.errors import LabError
from hft_incident.lab.lab import Lab, down, running_lab, up
from hft_incident.lab.lifeline import send as send_signal
from hft_incident.lab.lifeline import wait_for_end
from hft_incident.lab.sink_handle import LabSinks
from hft_incident.lab.state import Record
from hft_incident.lab.status import status

from ..sinks_host import ask, behind_the_proxy, send

PATIENCE_S = 20.0
#: Which service each channel of the inventory leads to, and whom it names.
CHANNELS = {
    "chat": ("slack", "#incident-response"),
    "desk": ("slack", "#trading-desk"),
    "page_security": ("twilio", "+15550100199"),
    **{name: ("pagerduty", name) for name in ("paging", "page_backup", "page_management", "page_database")},
    "mail_team": ("smtp", "team@lab.example"),
    "mail_management": ("smtp", "management@lab.example"),
    "mail_stakeholders": ("smtp", "stakeholders@lab.example"),
    "legal": ("smtp", "legal@lab.example"),
    "network": ("smtp", "network@lab.example"),
    "tickets": ("webhook", "/tickets"),
    "risk": ("webhook", "/risk"),
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("home"), {}, trading_systems=(), sinks=True) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A state folder; whatever a failing test leaves running there is stopped."""
    yield tmp_path
    down(tmp_path)


def settings(lab: Lab) -> Any:
    text = (lab.inventory / "group_vars" / "all" / "communications.yml").read_text()
    return yaml.safe_load(text)["hft_communications"]


def secret(reference: str) -> str:
    return resolve(reference, "hft_communications").reveal()


def test_every_channel_of_the_inventory_leads_to_its_service(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    behind_the_proxy(lab.sinks, monkeypatch)
    lab.sinks.forget()
    channels = settings(lab)["channels"]
    for urls in channels.values():
        assert [send(secret(url), "All orders are canceled") for url in urls] == [True]
    arrived = [(arrival.service, arrival.target) for arrival in lab.sinks.arrivals() if arrival.ok]
    assert dict(zip(channels, arrived, strict=True)) == CHANNELS


def test_the_inventory_leads_to_the_page_the_room_and_the_meeting(lab: Lab) -> None:
    found = settings(lab)
    through = partial(ask, found["proxy"], found["ca_file"])
    page, room = found["status_page"], found["war_room"]["slack"]
    zoom = found["war_room"]["meeting"]["zoom"]
    url = f"{page['base_url']}/v1/pages/{page['page_id']}/incidents"
    assert through("GET", url, headers={"Authorization": f"OAuth {secret(page['api_key'])}"}).json() == []
    bearer = {"Authorization": f"Bearer {secret(room['token'])}"}
    assert through("POST", "https://slack.com/api/auth.test", headers=bearer).json()["ok"]
    form = {"grant_type": "account_credentials", "account_id": zoom["account_id"]}
    login = (zoom["client_id"], secret(zoom["client_secret"]))
    assert through("POST", "https://zoom.us/oauth/token", data=form, auth=login).status_code == 200
    assert room["invite"] == ["U_ALICE", "U_BOB"]


def test_secrets_are_in_the_keys_folder_and_nowhere_else(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    behind_the_proxy(lab.sinks, monkeypatch)
    for path in lab.keys.glob("sinks.*.url"):
        send(path.read_text().strip(), "hello")
    keys = json.loads((lab.keys / "sinks.json").read_text())
    secrets = [value for key in keys.values() for value in (key.values() if isinstance(key, dict) else [key])]
    secrets = [part for value in secrets for part in value.split("/")]  # a webhook's secret has three
    assert len(secrets) >= 10
    folder = lab.home / "lab"
    elsewhere = [path for path in folder.rglob("*") if path.is_file() and lab.keys not in path.parents]
    texts = [path.read_text(errors="replace") for path in elsewhere]
    texts += [
        Path(f"/proc/{process.pid}/{what}").read_text(errors="replace")
        for process in lab.record.processes
        for what in ("cmdline", "environ")
    ]
    texts += [str(lab.sinks.arrivals()), str(lab.sinks.rooms()), str(lab.sinks.alerts())]
    assert len(lab.sinks.arrivals()) >= len(CHANNELS)
    assert [value for value in secrets for text in texts if value in text] == []
    assert {stat.S_IMODE(path.stat().st_mode) for path in lab.keys.iterdir()} == {0o600}


def test_the_sinks_are_a_process_of_the_lab(lab: Lab) -> None:
    record = lab.record
    assert record.sinks is not None
    assert Record.from_json(record.to_json()) == record
    assert record.sinks.process in record.processes
    lab.sinks.clear_faults()
    (row,) = (row for row in status(lab.home).processes if row.name == "sinks")
    assert (row.kind, row.alive, row.answers, row.faults) == ("message sinks", True, True, ())
    lab.sinks.inject("down", "pagerduty")
    (row,) = (row for row in status(lab.home).processes if row.name == "sinks")
    assert (row.answers, row.faults) == (True, ("down (pagerduty)",)), "no fault reaches the controls"
    lab.sinks.clear_faults()
    assert any(lab.sinks.proxy in line for line in lab.render())


def test_two_labs_know_nothing_of_each_other(lab: Lab, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_lab(home, {}, trading_systems=(), sinks=True) as other:
        for one in (lab, other):
            one.sinks.forget()
        behind_the_proxy(other.sinks, monkeypatch)
        mine, theirs = ((one.keys / "sinks.chat.url").read_text().strip() for one in (lab, other))
        assert not send(mine, "the other lab's key")
        assert send(theirs, "hello")
        assert lab.sinks.arrivals() == []
        assert [arrival.ok for arrival in other.sinks.arrivals()] == [False, True]
        with pytest.raises(requests.exceptions.SSLError):
            ask(other.sinks.proxy, str(lab.sinks.ca_file), "GET", "https://slack.com/api/auth.test")


def test_a_lab_without_them(home: Path) -> None:
    with running_lab(home, {}, trading_systems=()) as plain:
        with pytest.raises(LabError, match="without message sinks"):
            _ = plain.sinks
        assert not list(plain.keys.glob("sinks*"))
        assert not (plain.inventory / "group_vars" / "all" / "communications.yml").exists()
        assert Record.from_json(plain.record.to_json()) == plain.record


def end_by_down(lab: Lab) -> None:
    assert down(lab.home).processes == 2


def end_by_murder(lab: Lab) -> None:
    send_signal(lab.record.supervisor, signal.SIGKILL)


@pytest.mark.parametrize("end", [end_by_down, end_by_murder])
def test_they_end_with_the_lab(home: Path, end: Any) -> None:
    lab = up(home, {}, trading_systems=(), sinks=True)
    sinks: LabSinks = lab.sinks
    sinks.inject("hang")
    end(lab)
    assert wait_for_end(sinks.process, PATIENCE_S)
    with pytest.raises(LabError, match="gives no answer"):
        sinks.arrivals()
