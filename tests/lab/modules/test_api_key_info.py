# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Which keys there are at the lab's venues, held against the approved ones and against the secret store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.steps import api_key_info
from hft_incident.lab.venues.exchange import Key

from ..accounts_host import made_key
from ..venues_host import Host, venue_host
from .account_arguments import HERE, Accounts
from .steps import Ran, run, writes

VENUES = {"bybit": "bybit", "okx": "okx", "deribit": "deribit", "kraken": "kraken"}
LISTING = ("bybit", "okx", "deribit")


@pytest.fixture
def host() -> Iterator[Host]:
    with venue_host(VENUES) as running:
        yield running


@pytest.fixture
def given(tmp_path: Path, host: Host) -> Accounts:
    return Accounts(tmp_path, host)


def ask(given: Accounts, *, check: bool = False, **args: Any) -> Ran:
    return run(api_key_info, check=check, **{"venues": given.venues(), "keys": given.approved(), **args})


def kinds(seen: Ran) -> set[tuple[str, str]]:
    return {(finding["venue"], finding["kind"]) for finding in seen["findings"]}


@pytest.mark.parametrize("check", [False, True])
def test_our_own_keys_are_nothing_to_find(given: Accounts, host: Host, check: bool) -> None:
    seen = ask(given, check=check)
    assert (seen["findings"], seen["unknown"], seen["changed"]) == ([], [], False)
    parts = {account["name"]: account["parts"] for account in seen["accounts"]}
    assert {key["label"] for key in parts["deribit"]["keys"]} == {"responder", "trading", "admin"}
    assert {key["label"] for key in parts["okx"]["keys"]} == {"responder", "trading", "admin"}
    assert {key["label"] for key in parts["kraken"]["own_keys"]} == {"responder", "admin"}
    assert parts["kraken"]["keys"] is None
    assert ("kraken", "keys") in {(row["venue"], row["part"]) for row in seen["not_offered"]}
    assert not any(writes(server) for server in host.venues.values())


def test_a_key_that_nobody_approved_is_named_with_all_that_it_may(given: Accounts, host: Host) -> None:
    for name in LISTING:
        made_key(host.venues[name], ("read", "trade", "withdraw"), label="backup")
    seen = ask(given)
    assert kinds(seen) == {(name, "key_unknown") for name in LISTING}
    assert all("withdraw, from every address" in finding["detail"] for finding in seen["findings"])
    assert all(finding["severity"] == "alarming" for finding in seen["findings"])


def test_a_key_that_only_reads_is_suspicious(given: Accounts, host: Host) -> None:
    made_key(host.venues["deribit"], ("read",), HERE)
    assert [finding["severity"] for finding in ask(given)["findings"]] == ["suspicious"]


def altered(host: Host, key: Key, venue: str, **change: Any) -> None:
    """What an intruder changes on the website: the key's id stays."""
    for field, value in change.items():
        setattr(host.venues[venue].exchange.keys[key.id], field, value)


@pytest.mark.parametrize("venue", LISTING)
@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"permissions": frozenset({"read", "trade", "withdraw"})}, "key_rights"),
        ({"ips": ()}, "key_addresses"),
        ({"ips": ("127.0.0.1", "203.0.113.66")}, "key_addresses"),
    ],
)
def test_an_approved_key_that_was_changed_is_found(
    given: Accounts, host: Host, venue: str, change: dict[str, Any], kind: str
) -> None:
    altered(host, given.keys[venue, "trading"], venue, **change)
    seen = ask(given)
    assert kinds(seen) == {(venue, kind)}
    assert seen["worst"] == "alarming"


def test_an_approved_key_that_is_gone_is_found_where_the_listing_is_complete(given: Accounts, host: Host) -> None:
    for name in LISTING:
        host.venues[name].exchange.remove_key(given.keys[name, "trading"].id)
    assert kinds(ask(given)) == {("deribit", "key_gone")}


def test_a_key_of_the_venues_file_that_is_good_from_everywhere_is_suspicious(given: Accounts, host: Host) -> None:
    altered(host, given.keys["deribit", "responder"], "deribit", ips=())
    seen = ask(given)
    assert [(f["venue"], f["kind"], f["severity"]) for f in seen["findings"]] == [
        ("deribit", "key_addresses", "suspicious")
    ]
    assert "api_key of the venues file" in seen["findings"][0]["what"]


def in_store(given: Accounts, folder: Path) -> dict[str, Any]:
    """``hft_api_keys`` and ``hft_secret_store`` as rotation has them: the ids are in the store only."""
    folder.mkdir(mode=0o700)
    entries = []
    for name in VENUES:
        key = given.keys[name, "trading"]
        path = folder / f"{name}.trading.json"
        path.write_text(json.dumps({"id": key.id, "secret": key.secret, "passphrase": key.passphrase or None}))
        path.chmod(0o600)
        entry = {"name": f"hft-1/{name}", "venue": name, "slot": f"{name}.trading", "used_by": ["hft-1"]}
        entries.append({**entry, "permissions": ["read", "trade"], "ip_allow_list": list(HERE)})
    return {"keys": entries, "secret_store": {"kind": "file", "path": str(folder)}}


def test_the_secret_store_says_which_keys_are_ours(given: Accounts, host: Host, tmp_path: Path) -> None:
    told = in_store(given, tmp_path / "store")
    assert ask(given, **told)["findings"] == []
    altered(host, given.keys["okx", "trading"], "okx", ips=())
    assert kinds(ask(given, **told)) == {("okx", "key_addresses")}


@pytest.mark.parametrize("suffix", [".next", ".previous"])
def test_in_the_middle_of_a_rotation_both_keys_are_ours(
    given: Accounts, host: Host, tmp_path: Path, suffix: str
) -> None:
    told = in_store(given, tmp_path / "store")
    other = made_key(host.venues["deribit"], ("read", "trade"), HERE)
    path = tmp_path / "store" / f"deribit.trading{suffix}.json"
    path.write_text(json.dumps({"id": other.id, "secret": other.secret}))
    path.chmod(0o600)
    assert ask(given, **told)["findings"] == []


def test_without_the_store_our_keys_are_not_known_and_that_is_said(given: Accounts, tmp_path: Path) -> None:
    told = in_store(given, tmp_path / "store")
    seen = ask(given, keys=told["keys"])
    assert not seen["known"]
    assert sum("hft_secret_store" in row["error"] for row in seen["unknown"]) == len(VENUES)
    broken = tmp_path / "store" / "okx.trading.json"
    broken.write_text("{")
    seen = ask(given, **told)
    assert [row["venue"] for row in seen["unknown"]] == ["okx"]


def test_an_id_may_be_a_reference_and_one_that_is_not_there_is_said(given: Accounts, tmp_path: Path) -> None:
    path = tmp_path / "id"
    path.write_text(given.keys["deribit", "trading"].id + "\n")
    path.chmod(0o600)
    entry = {"name": "hft-1/deribit", "venue": "deribit", "ip_allow_list": list(HERE)}
    venues = [given.venue("deribit")]
    assert ask(given, venues=venues, keys=[{**entry, "key_id": f"file:{path}"}])["findings"] == []
    seen = ask(given, venues=venues, keys=[{**entry, "key_id": "file:/nowhere"}])
    assert "the id of hft-1/deribit is not known" in seen["unknown"][0]["error"]
    assert kinds(seen) == {("deribit", "key_unknown")}
