# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""``release_info``: the same, another one, or nobody can say."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.steps import release_info

from .steps import Ran, run


class Deployed:
    """A host with a release on it: a program, a configuration, and what was approved."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.json"
        self.config.write_text("{}")
        self.program = self.script("engine", "echo hft 1.4.2")
        self.check = self.script("check", "echo looking; echo the configuration is valid")
        self.approved: dict[str, Any] = {
            "version": "1.4.2",
            "files": {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in (self.config, self.program)},
        }

    def script(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def look(self, *, check: bool = False, **args: Any) -> Ran:
        given = {
            "approved": self.approved,
            "version_command": [str(self.program), "--version"],
            "validate_command": [str(self.check), f"--config={self.config}"],
        }
        return run(release_info, check=check, **{**given, **args})


@pytest.fixture
def host(tmp_path: Path) -> Deployed:
    return Deployed(tmp_path)


def held(seen: Ran) -> bool:
    return seen.outcome == "held"


def test_the_approved_release_is_approved(host: Deployed) -> None:
    for check in (False, True):
        seen = host.look(check=check, require="approved")
        assert (seen.failed, seen["changed"], seen["verdict"], seen["reasons"]) == (False, False, "approved", [])
        assert {file["state"] for file in seen["files"]} == {"same"}
        assert (seen["valid"], seen["validation"]["last_line"]) == (True, "the configuration is valid")
        assert seen["version"].items() >= {"approved": "1.4.2", "deployed": "hft 1.4.2", "same": True}.items()
        (told,) = seen.recorded("release.checked")
        assert told.items() >= {"verdict": "approved", "files": 2, "differences": [], "valid": True}.items()


def test_a_valid_configuration_that_nobody_approved_is_not_approved(host: Deployed) -> None:
    host.config.write_text('{"limit": 1}')
    seen = host.look()
    assert (seen.failed, seen["verdict"], seen["valid"]) == (False, "not_approved", True)
    (different,) = (file for file in seen["files"] if file["state"] == "different")
    assert different["sha256"] == hashlib.sha256(b'{"limit": 1}').hexdigest() != different["expected_sha256"]
    assert seen.recorded("release.checked")[0]["differences"] == [different]


def test_held_names_what_differs_and_how_to_mend_it_and_is_recorded(host: Deployed) -> None:
    host.config.unlink()
    for check in (False, True):
        seen = host.look(check=check, require="approved")
        assert held(seen)
        assert f"{host.config} is missing" in seen["msg"]
        assert "To mend it" in seen["msg"]
        assert seen.recorded("release.checked")[0]["verdict"] == "not_approved"


@pytest.mark.parametrize(
    ("script", "valid", "verdict", "words"),
    [
        ("echo 'venues: missing' >&2; exit 2", False, "not_approved", "venues: missing"),
        ("exit 3", False, "not_approved", "exit status 3"),
        ("kill -9 $$", None, "unknown", "killed by signal 9"),
        ("exec sleep 60", None, "unknown", "no end in"),
    ],
)
def test_what_the_programs_own_check_says(
    host: Deployed, script: str, valid: bool | None, verdict: str, words: str
) -> None:
    host.script("check", script)
    seen = host.look(timeout=0.5, require="approved")
    assert held(seen)
    assert (seen["valid"], seen["verdict"]) == (valid, verdict)
    assert any(words in reason for reason in seen["reasons"])


def test_a_secret_in_what_a_command_prints_does_not_travel(host: Deployed) -> None:
    host.script("check", "echo 'api_secret=canary8812 is refused'; exit 1")
    seen = host.look()
    assert "canary8812" not in json.dumps(seen.result)
    assert "api_secret" in seen["validation"]["last_line"]


@pytest.mark.parametrize(
    ("said", "same"),
    [("1.4.2", True), ("hft (1.4.2)", True), ("built long ago\nhft 1.4.2", True), ("hft 1.4.20", False),
     ("hft 1.4", False), ("", None)],
)  # fmt: skip
def test_the_version_is_a_whole_word(host: Deployed, said: str, same: bool | None) -> None:
    tells = host.script("version", f"printf '{said}'")
    seen = host.look(version_command=[str(tells)])
    assert seen["version"]["same"] is same
    assert seen["verdict"] == {True: "approved", False: "not_approved", None: "unknown"}[same]


@pytest.mark.parametrize("missing", ["version_command", "validate_command"])
def test_what_is_not_asked_is_not_known(host: Deployed, missing: str) -> None:
    args: dict[str, Any] = {missing: []}
    seen = host.look(**args, require="approved")
    assert held(seen)
    assert (seen["verdict"], len(seen["reasons"])) == ("unknown", 1)
    assert missing in seen["reasons"][0]


def test_a_release_without_files_is_never_approved(host: Deployed) -> None:
    assert host.look(approved={"version": "1.4.2"})["verdict"] == "unknown"


def test_what_cannot_be_read_is_unknown_and_nothing_waits_for_it(host: Deployed) -> None:
    pipe = host.folder / "pipe"
    os.mkfifo(pipe)
    host.approved["files"] |= {str(pipe): "0" * 64, str(host.folder): "0" * 64}
    seen = host.look()
    assert seen["verdict"] == "unknown"
    assert [file["state"] for file in seen["files"]] == ["same", "same", "unreadable", "unreadable"]


def test_a_difference_weighs_more_than_what_cannot_be_seen(host: Deployed) -> None:
    host.config.write_text("other")
    seen = host.look(validate_command=["/nonexistent/check"])
    assert seen["verdict"] == "not_approved"
    assert len(seen["reasons"]) == 2


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"validate_command": ["check"]}, "not an absolute path"),
        ({"version_command": ["./engine"]}, "not an absolute path"),
        ({"validate_command": ["/bin/check", "--config", "etc/config.json"]}, "relative path"),
        ({"validate_command": ["/bin/check", "--config=../config.json"]}, "relative path"),
        ({"approved": {"version": "1", "files": {"config.json": "0" * 64}}}, "not an absolute path"),
        ({"approved": {"version": "1", "files": {"/c": "abc"}}}, "64 hexadecimal"),
        ({"approved": {"version": "1", "files": ["/c"]}}, "mapping"),
        ({"approved": {"files": {}}}, "'version' must be given"),
        ({"approved": {"version": 1.1}}, "as text"),
        ({"approved": {"version": "1", "hashes": {}}}, "unknown field 'hashes'"),
        ({"timeout": 0}, "more than 0"),
    ],
)
def test_wrong_arguments_are_refused(host: Deployed, args: dict[str, Any], words: str) -> None:
    seen = host.look(**args)
    assert seen.outcome == "usage"
    assert words in seen["msg"]


def test_a_word_that_is_an_address_is_no_relative_path(host: Deployed) -> None:
    seen = host.look(validate_command=[str(host.check), "-m", "https://example.org/x", "--level=info", "/etc/x"])
    assert seen["valid"] is True


def test_no_shell_sees_the_words(host: Deployed) -> None:
    marker = host.folder / "planted"
    seen = host.look(validate_command=[str(host.check), f"; touch {marker}", f"$(touch {marker})"])
    assert seen.outcome == "usage"  # they hold what looks like a relative path
    host.look(validate_command=[str(host.check), "; echo > planted", "$(id)"])
    assert not marker.exists()


def test_a_hash_may_be_written_in_any_usual_way(host: Deployed) -> None:
    host.approved["files"] = {path: f"sha256:{value.upper()}" for path, value in host.approved["files"].items()}
    assert host.look()["verdict"] == "approved"
