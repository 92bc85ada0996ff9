# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""`hft-incident evidence`: who looked, at what and why is on record before anything is shown."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import pyrage
import pytest

from ansible_collections.hft.incident.plugins.module_utils import evidence_manifest
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError, UnprovenError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, open_incident
from ansible_collections.hft.incident.plugins.module_utils.journal import Journal
from ansible_collections.hft.incident.plugins.module_utils.steps import evidence
from hft_incident.cli import main
from hft_incident.evidence_access import copied, listed
from hft_incident.sentences import sentence

from .steps import run

SECRET = b'{"api_secret": "canary"}'


class Case:
    """An incident with evidence of two hosts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.incident: Incident = open_incident("security_breach", severity=1, home=folder / "home")
        self.identity = pyrage.x25519.Identity.generate()
        self.key = folder / "age.txt"
        self.key.write_text(str(self.identity))
        self.config = folder / "hft.json"
        self.config.write_bytes(SECRET)
        self.log = folder / "hft.log"
        self.log.write_text("crashed\n")
        for host in ("hft-1", "hft-2"):
            self.keep(host)

    def keep(self, host: str) -> None:
        asked: dict[str, Any] = {
            "log_files": [str(self.log)],
            "config_file": str(self.config) if host == "hft-1" else None,
        }
        dest = self.incident.directory / "evidence"
        done = run(evidence, host=host, dest=str(dest), encrypt_to=[str(self.identity.to_public())], **asked)
        (data,) = done.recorded("evidence.kept")
        folder = os.path.relpath(data["folder"], self.incident.directory)
        self.incident.journal.append("evidence.kept", {**data, "folder": folder, "inventory_host": host})

    @property
    def accesses(self) -> list[dict[str, Any]]:
        events = self.incident.journal.events()
        return [dict(event.data) for event in events if event.kind == "evidence.accessed"]

    def copy(self, name: str, **more: Any) -> Any:
        to = str(self.folder / "out")
        return copied(self.incident.id, name, **{"to": to, "reason": "why", "by": "alice", **more})


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(tmp_path / "home"))
    return Case(tmp_path)


def test_the_list_names_every_item_and_that_somebody_looked_is_on_record(case: Case) -> None:
    found = listed(case.incident.id, reason="what is there?", by="alice")
    names = [(item.host, item.name) for item in found.items]
    assert names == [("hft-1", "logs/hft.log"), ("hft-1", "config/hft.json.age"), ("hft-2", "logs/hft.log")]
    assert "  (restricted, encrypted)" in "\n".join(found.lines())
    assert [item.host for item in listed(case.incident.id, reason="again", host="hft-2").items] == ["hft-2"]
    first, second = case.accesses
    assert first == {
        "by": "alice",
        "reason": "what is there?",
        "host": None,
        "item": None,
        "to": None,
        "decrypted": False,
    }
    assert second["host"] == "hft-2"


def test_a_copy_is_what_was_put_there_and_for_its_owner_only(case: Case) -> None:
    done = case.copy("logs/hft.log", host="hft-1")
    out = case.folder / "out"
    assert (out.read_text(), stat.S_IMODE(out.stat().st_mode)) == ("crashed\n", 0o600)
    assert done.sha256 == hashlib.sha256(b"crashed\n").hexdigest()
    (access,) = case.accesses
    assert (access["item"], access["to"], access["sha256"]) == ("logs/hft.log", str(out), done.sha256)
    assert "alice looked at logs/hft.log of hft-1" in sentence(case.incident.journal.events()[-1])


def test_with_the_right_key_it_is_decrypted_and_proven_again(case: Case) -> None:
    done = case.copy("config/hft.json", identity=str(case.key))
    assert (case.folder / "out").read_bytes() == SECRET
    assert (done.decrypted, case.accesses[0]["decrypted"]) == (True, True)
    assert done.sha256 == hashlib.sha256(SECRET).hexdigest()


def test_without_a_key_the_encrypted_item_is_copied_as_it_is(case: Case) -> None:
    case.copy("config/hft.json")
    assert pyrage.decrypt((case.folder / "out").read_bytes(), [case.identity]) == SECRET


def test_with_a_wrong_key_nothing_is_left_but_the_attempt_on_record(case: Case) -> None:
    case.key.write_text(str(pyrage.x25519.Identity.generate()))
    with pytest.raises(UsageError, match="is no key that opens it"):
        case.copy("config/hft.json", identity=str(case.key))
    assert not (case.folder / "out").exists()
    assert len(case.accesses) == 1


def test_what_cannot_be_recorded_is_not_shown(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: Any, **_more: Any) -> None:
        raise IncidentError("cannot write the record")

    monkeypatch.setattr(Journal, "append", refuse)
    for access in (lambda: case.copy("logs/hft.log", host="hft-1"), lambda: listed(case.incident.id, reason="why")):
        with pytest.raises(IncidentError, match="cannot write the record"):
            access()
    assert not (case.folder / "out").exists()


@pytest.mark.parametrize("altered", ["item", "item and manifest", "gone"])
def test_what_was_altered_is_not_handed_out(case: Case, altered: str) -> None:
    folder = case.incident.directory / "evidence/hft-1"
    path = folder / "logs/hft.log"
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_text("nothing happened\n")
    if altered == "item and manifest":
        after = hashlib.sha256(path.read_bytes()).hexdigest()
        told = (folder / "manifest.json").read_bytes()
        forged = told.replace(before.encode(), after.encode())
        (folder / "manifest.json").write_bytes(forged)
        lines = (folder / "manifest.sha256").read_text().replace(before, after)
        was, becomes = (hashlib.sha256(data).hexdigest() for data in (told, forged))
        (folder / "manifest.sha256").write_text(lines.replace(was, becomes))
        assert evidence_manifest.check(str(folder)).intact, "by itself it is whole: only the journal knows better"
    elif altered == "gone":
        path.unlink()
    with pytest.raises(UnprovenError):
        case.copy("logs/hft.log", host="hft-1")
    assert (case.accesses, (case.folder / "out").exists()) == ([], False)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"name": "logs/hft.log"}, "hft-1, hft-2 all have"),
        ({"name": "nothing"}, "no item 'nothing' was kept"),
        ({"name": "../journal.jsonl", "host": "hft-1"}, "no item"),
        ({"name": "logs/hft.log", "host": "hft-9"}, "no evidence of 'hft-9'"),
        ({"name": "logs/hft.log", "host": "hft-1", "reason": " "}, "say why"),
        ({"name": "logs/hft.log", "host": "hft-1", "by": "<x>"}, "no name of a person"),
        ({"name": "logs/hft.log", "host": "hft-1", "identity": "key"}, "is not encrypted"),
        ({"name": "logs/hft.log", "host": "hft-1", "to": "/"}, "is there already"),
    ],
)
def test_wrong_usage_copies_and_records_nothing(case: Case, args: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        case.copy(**args)
    assert (case.accesses, (case.folder / "out").exists()) == ([], False)


def test_a_manifest_that_names_a_place_outside_is_refused(case: Case) -> None:
    path = case.incident.directory / "evidence/hft-1/manifest.json"
    path.write_text(path.read_text().replace('"logs/hft.log"', '"../../journal.jsonl"'))
    with pytest.raises(UnprovenError):
        case.copy("../../journal.jsonl", host="hft-1")


def test_from_the_command_line(case: Case, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    words = ["evidence", case.incident.id]
    assert main([*words, "--reason", "why", "--json"]) == 0
    assert len(json.loads(capfdbinary.readouterr().out)["items"]) == 3
    assert main([*words, "logs/hft.log", "--host", "hft-2", "--to", "-", "--reason", "why"]) == 0
    assert capfdbinary.readouterr().out == b"crashed\n"
    assert main([*words, "logs/hft.log", "--host", "hft-2", "--to", str(case.folder / "x"), "--reason", "why"]) == 0
    assert b"copied to" in capfdbinary.readouterr().out
    for wrong in (["logs/hft.log", "--reason", "why"], ["--to", "x", "--reason", "why"], []):
        assert main([*words, *wrong]) == 2
    assert main(["verify", case.incident.id]) == 0
    assert len(case.accesses) == 3
