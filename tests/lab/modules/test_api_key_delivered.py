# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``api_key``: a key revoked, and a new one brought to where it is used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hft.incident.plugins.module_utils.api_keys.entries import (
    fingerprint,
)

from ..trading_system_process import trading_system
from ..venues_host import venue_host
from .api_key_stage import VENUES, Stage, row


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with venue_host({name: name for name in VENUES}) as host:
        yield Stage(tmp_path, host)


def test_revoked_there_is_no_key_any_more_and_none_is_made(stage: Stage) -> None:
    seen = stage.play(state="revoked", breach=True)
    assert (seen.outcome, seen["changed"]) == ("done", True)
    assert [row(seen, name)["working_keys"] for name in VENUES] == [0, 0, 0]
    assert not any(stage.alive(name) for name in VENUES)
    again = stage.play(state="revoked", breach=True)
    assert (again.outcome, [row(again, name)["steps"] for name in VENUES]) == ("done", [["secure"]] * 3)


def test_the_sites_command_learns_which_slot_and_no_secret(stage: Stage, tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = f'env | grep ^HFT_KEY > {told}; echo "$@" >> {told}'
    stage.play(only=["okx"], deliver_command=["/bin/sh", "-c", script])
    text = told.read_text()
    assert "HFT_KEY_SLOT=okx.trading\n" in text
    assert f"HFT_KEY_FINGERPRINT={fingerprint(stage.current('okx').id)}\n" in text
    assert stage.current("okx").secret.reveal() not in text


def test_planned_a_delivery_that_failed_keeps_the_old_key_alive(stage: Stage) -> None:
    leak = f"cat {stage.folder}/keys/okx.trading.json >&2; exit 1"
    seen = stage.play(only=["okx"], deliver_command=["/bin/sh", "-c", leak])
    assert (row(seen, "okx")["verdict"], "deliver_command failed" in seen["msg"]) == ("unknown", True)
    assert stage.old["okx"] in stage.alive("okx")
    assert stage.current("okx").secret.reveal() not in json.dumps(seen.result)
    assert stage.play(only=["okx"], deliver_command=["/bin/true"]).outcome == "done"
    assert stage.old["okx"] not in stage.alive("okx")


def test_in_a_breach_nothing_is_brought_to_a_host_whose_trading_system_is_stopped(stage: Stage, tmp_path: Path) -> None:
    brought = tmp_path / "hft" / "okx.json"
    brought.parent.mkdir()
    command = ["/bin/cp", f"{tmp_path}/keys/okx.trading.json", str(brought)]
    stage.systems, stage.used_by = [{"name": "hft-1", "url": "http://127.0.0.1:1"}], ["hft-1"]
    seen = stage.play(only=["okx"], breach=True, deliver_command=command)
    assert (seen.outcome, row(seen, "okx")["loaded"], brought.exists()) == ("done", False, False)
    assert "hft-1 gets the key once it answers again" in row(seen, "okx")["warnings"]
    with trading_system(tmp_path / "hft", stage.host, {"okx": "okx"}) as hft:  # it is back, with another key
        stage.use(hft)
        command[-1] = str(hft.key_file)
        seen = stage.play(only=["okx"], state="present", deliver_command=command)
        assert (seen.outcome, row(seen, "okx")["loaded"]) == ("done", True), seen["msg"]
        assert hft.get("/exchanges/okx")["key_fingerprint"] == fingerprint(stage.current("okx").id)


def test_in_a_breach_it_is_brought_to_a_trading_system_that_answers(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "hft").mkdir()
    with trading_system(tmp_path / "hft", stage.host, {"okx": "okx"}) as hft:
        stage.use(hft)
        command = ["/bin/cp", f"{tmp_path}/keys/okx.trading.json", str(hft.key_file)]
        seen = stage.play(only=["okx"], breach=True, deliver_command=command)
        assert (seen.outcome, row(seen, "okx")["loaded"]) == ("done", True), seen["msg"]
        assert hft.get("/exchanges/okx")["key_fingerprint"] == fingerprint(stage.current("okx").id)


def test_planned_it_is_brought_to_a_stopped_trading_system_as_well(stage: Stage, tmp_path: Path) -> None:
    stage.systems, stage.used_by = [{"name": "hft-1", "url": "http://127.0.0.1:1"}], ["hft-1"]
    stage.play(only=["okx"], deliver_command=["/bin/touch", str(tmp_path / "brought")])
    assert (tmp_path / "brought").exists()
