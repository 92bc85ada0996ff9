# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""`hft-incident key put` and `hft-incident credentials`, as they are typed."""

from __future__ import annotations

import getpass
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, open_incident
from ansible_collections.hft.incident.plugins.module_utils.steps import Context, credential_checklist, run_step
from hft_incident.cli import main

NAME = "hft-1/kraken"
CANARY = "canary-secret-9f2c"
KEY = {"id": "canary-id-77", "secret": CANARY, "passphrase": "canary-pass"}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """An inventory with one key and a store of files."""
    group = tmp_path / "inventory/group_vars/all"
    group.mkdir(parents=True)
    key = {"name": NAME, "venue": "kraken", "slot": "kraken.trading", "ip_allow_list": ["192.0.2.1"]}
    known = {"name": "responder/kraken", "venue": "kraken", "permissions": ["read", "withdraw"]}
    variables = {"hft_api_keys": [known, key], "hft_secret_store": {"kind": "file", "path": str(tmp_path / "keys")}}
    (group / "venues.yml").write_text(yaml.safe_dump({"hft_venues": []}))
    (group / "keys.yml").write_text(yaml.safe_dump(variables))
    return tmp_path


def put(site: Path, monkeypatch: pytest.MonkeyPatch, given: Any, *more: str) -> int:
    text = given if isinstance(given, bytes) else json.dumps(given).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    return main(["key", "put", NAME, "-i", str(site / "inventory"), *more])


def stored(site: Path, beside: str = ".next") -> dict[str, str]:
    found: dict[str, str] = json.loads((site / f"keys/kraken.trading{beside}.json").read_text())
    return found


def test_what_is_read_is_stored_for_the_rotation_and_not_shown(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert put(site, monkeypatch, KEY) == 0
    assert stored(site) == KEY
    said = capsys.readouterr()
    assert "run the rotation again" in said.out
    assert "canary" not in said.out + said.err


def test_it_is_asked_for_without_echo(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    answers = iter([KEY["id"], CANARY, ""])
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(getpass, "getpass", lambda _prompt: next(answers))
    assert main(["key", "put", NAME, "-i", str(site / "inventory"), "--json"]) == 0
    assert stored(site) == {"id": KEY["id"], "secret": CANARY}
    said = capsys.readouterr()
    assert json.loads(said.out)["slot"] == "kraken.trading"
    assert "canary" not in said.out + said.err


def test_put_again_it_replaces_what_was_put(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert put(site, monkeypatch, KEY) == 0
    assert put(site, monkeypatch, {**KEY, "id": "another"}) == 0
    assert stored(site)["id"] == "another"


def test_what_a_rotation_has_made_is_never_replaced(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert put(site, monkeypatch, KEY) == 0
    path = site / "keys/kraken.trading.next.json"
    path.write_text(json.dumps({**KEY, "rotation": "inc-1"}))
    assert put(site, monkeypatch, {**KEY, "id": "another"}) == 2
    assert "rotation inc-1 has made a key" in capsys.readouterr().err
    assert stored(site)["id"] == KEY["id"]


def test_the_key_in_use_is_put_into_an_empty_slot_only(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert put(site, monkeypatch, KEY, "--in-use") == 0
    assert stored(site, "") == KEY
    assert put(site, monkeypatch, {**KEY, "id": "another"}, "--in-use") == 2
    assert "has a key in use already" in capsys.readouterr().err
    assert stored(site, "") == KEY


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (b"canary", "no JSON object"),
        (b"[" * 100_000, "no JSON object"),
        ([CANARY], "no JSON object"),
        ({"id": "canary"}, "has no secret"),
        ({"id": "", "secret": CANARY}, "has no id"),
        ({"id": "canary", "secret": f"{CANARY}\nsecond"}, "secret is not one word"),
        ({"id": "canary", "secret": [CANARY]}, "secret is not one word"),
        ({**KEY, CANARY: ""}, "1 fields too many"),
    ],
)
def test_what_is_no_key_is_refused_and_not_shown(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: Any, words: str
) -> None:
    assert put(site, monkeypatch, given) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert "canary" not in said.out + said.err
    assert not (site / "keys").exists() or not list((site / "keys").glob("*.json"))


def test_an_unknown_key_is_named_with_the_known_ones(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "put", "hft-9/kraken", "-i", str(site / "inventory")]) == 2
    assert f"it has: {NAME}" in capsys.readouterr().err


def test_an_inventory_without_keys_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hosts.yml").write_text("all: {}\n")
    assert main(["key", "put", NAME, "-i", str(tmp_path / "hosts.yml")]) == 2
    assert "no hft_api_keys" in capsys.readouterr().err


# The other credentials ------------------------------------------------------------------------------------------------


LISTED = [
    {"name": "database", "owner": "database team", "how": "ALTER ROLE"},
    {"name": "CI tokens", "owner": "platform team"},
]


@pytest.fixture
def incident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Incident:
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(tmp_path / "home"))
    incident = open_incident("security_breach")
    monkeypatch.setenv("HFT_INCIDENT_DIR", str(incident.directory))
    return incident


def play(incident: Incident, rows: Any = LISTED, *, require_all: bool = False) -> dict[str, Any]:
    """The module, and the scribe's part of it."""
    result = run_step(
        credential_checklist.run,
        {"credentials": rows, "require_all": require_all},
        Context(False, lambda _kind, _data: None),
    )
    for line in result.get("record", ()):
        incident.journal.append(line["kind"], line["data"])
    return result


def test_the_list_is_open_until_each_is_ticked_on_record(
    incident: Incident, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["credentials", incident.id]) == 0
    assert "no other credentials are on its record" in capsys.readouterr().out
    assert play(incident)["open"] == ["database", "CI tokens"]
    assert main(["credentials", incident.id]) == 4
    assert "OPEN  database: database team: ALTER ROLE" in capsys.readouterr().out
    assert main(["credentials", incident.id, "--done", "database", "--by", "bob"]) == 0
    assert "database is replaced, by bob; 1 left" in capsys.readouterr().out
    assert main(["status", incident.id]) == 0
    shown = capsys.readouterr().out
    assert "OPEN  CI tokens: platform team" in shown
    assert "database team" not in shown
    held = play(incident, require_all=True)
    assert (held["outcome"], "CI tokens (platform team)" in held["msg"]) == ("held", True)
    assert main(["credentials", incident.id, "--done", "CI tokens", "--by", "carol"]) == 0
    assert main(["credentials", incident.id, "--json"]) == 0
    assert play(incident, require_all=True)["open"] == []
    assert main(["timeline", incident.id]) == 0
    assert "database is replaced, by bob" in capsys.readouterr().out


def test_a_second_tick_and_a_second_list_are_not_recorded_again(incident: Incident) -> None:
    play(incident)
    assert main(["credentials", incident.id, "--done", "database", "--by", "bob"]) == 0
    seq = incident.journal.events()[-1].seq
    assert main(["credentials", incident.id, "--done", "database", "--by", "eve"]) == 0
    assert play(incident)["open"] == ["CI tokens"]
    assert incident.journal.events()[-1].seq == seq


def test_what_a_later_list_leaves_out_stays_open(incident: Incident) -> None:
    play(incident)
    assert play(incident, LISTED[:1])["open"] == ["database", "CI tokens"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "nothing is in it"),
        ([{"name": "database"}], "'owner'"),
        ([{**LISTED[0], "who": "x"}], "unknown field 'who'"),
        ([LISTED[0], LISTED[0]], "listed twice"),
    ],
)
def test_a_wrong_list_is_refused(incident: Incident, rows: Any, words: str) -> None:
    result = play(incident, rows)
    assert (result["outcome"], words in result["msg"]) == ("usage", True)


def test_what_is_not_on_the_list_cannot_be_ticked(incident: Incident, capsys: pytest.CaptureFixture[str]) -> None:
    play(incident)
    assert main(["credentials", incident.id, "--done", "pager", "--by", "bob"]) == 2
    assert "it has: database, CI tokens" in capsys.readouterr().err
    assert main(["credentials", incident.id, "--by", "bob"]) == 2
