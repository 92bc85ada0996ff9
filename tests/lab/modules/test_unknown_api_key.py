# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Keys of nobody are revoked, ours never, and what could not be listed is never "none"."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.steps import unknown_api_key

from ..accounts_host import made_key
from ..venues_host import Host, venue_host
from .account_arguments import Accounts
from .steps import Ran, run, writes

VENUES = ("bybit", "okx", "deribit", "kraken")


@pytest.fixture
def host() -> Iterator[Host]:
    with venue_host({name: name for name in VENUES}) as running:
        yield running


@pytest.fixture
def given(tmp_path: Path, host: Host) -> Accounts:
    return Accounts(tmp_path, host)


def ask(given: Accounts, *, check: bool = False, **args: Any) -> Ran:
    told = {"venues": given.venues(), "keys": given.approved(), "timeout": 5.0}
    return run(unknown_api_key, check=check, **{**told, **args})


def verdicts(seen: Ran) -> dict[str, str]:
    return {row["name"]: row["verdict"] for row in seen["venues"]}


def alive(host: Host, name: str) -> set[str]:
    return set(host.venues[name].exchange.keys)


def test_what_an_intruder_made_is_revoked_and_nothing_of_ours(given: Accounts, host: Host) -> None:
    ours = {name: alive(host, name) for name in VENUES}
    theirs = {name: made_key(host.venues[name], ("read", "trade", "withdraw"), (), "backup").id for name in VENUES}
    foreseen = ask(given, check=True)
    assert foreseen["changed"]
    assert not any(writes(host.venues[name]) for name in VENUES)
    seen = ask(given)
    assert (seen.outcome, seen["changed"]) == ("done", True)
    assert verdicts(seen) == {"bybit": "revoked", "okx": "revoked", "deribit": "revoked", "kraken": "by_hand"}
    assert {name: alive(host, name) for name in VENUES if name != "kraken"} == {
        name: keys for name, keys in ours.items() if name != "kraken"
    }
    assert theirs["kraken"] in alive(host, "kraken")
    assert "a person has to look: kraken" in seen["msg"]
    assert seen["diff"] == foreseen["diff"]
    again = ask(given)
    assert (again.outcome, again["changed"]) == ("done", False)


def test_where_an_id_of_ours_cannot_be_read_nothing_is_revoked(given: Accounts, host: Host) -> None:
    theirs = made_key(host.venues["okx"], ("read",), (), "backup").id
    keys = [
        {**entry, "key_id": "file:/nonexistent/id"} if entry["venue"] == "okx" else entry for entry in given.approved()
    ]
    seen = ask(given, keys=keys)
    assert (seen.outcome, verdicts(seen)["okx"], verdicts(seen)["bybit"]) == ("unproven", "unknown", "revoked")
    assert theirs in alive(host, "okx")
    assert "could be taken for somebody else's" in seen["msg"]


def test_where_our_own_key_cannot_be_read_nothing_is_revoked_either(given: Accounts, host: Host) -> None:
    theirs, before = made_key(host.venues["okx"], ("read",), (), "backup").id, alive(host, "okx")
    venues = [{**one, "api_key": "env:NOT_SET"} if one["name"] == "okx" else one for one in given.venues()]
    seen = ask(given, venues=venues)
    assert (seen.outcome, verdicts(seen)["okx"]) == ("unproven", "unknown")
    assert alive(host, "okx") == before | {theirs}


@pytest.mark.parametrize("kind", ["html", "empty_object", "empty_body"])
def test_a_listing_that_is_none_is_unknown_and_holds_up_no_other(given: Accounts, host: Host, kind: str) -> None:
    made_key(host.venues["deribit"], ("read",), (), "backup")
    host.venues["okx"].faults.inject({"kind": kind, "op": "keys"})
    seen = ask(given, timeout=2.0)
    assert (verdicts(seen)["okx"], verdicts(seen)["deribit"]) == ("unknown", "revoked")
    assert seen.outcome == "unproven"


def test_a_key_that_the_venue_does_not_delete_is_not_told_as_revoked(given: Accounts, host: Host) -> None:
    theirs = made_key(host.venues["bybit"], ("read",), (), "backup").id
    host.venues["bybit"].faults.inject({"kind": "status", "op": "delete_key", "status": 503})
    seen = ask(given)
    assert (seen.outcome, verdicts(seen)["bybit"]) == ("unproven", "left")
    assert f"{theirs} 'backup' NOT PROVEN REVOKED" in seen["msg"]


def test_where_nobody_says_what_is_ours_everything_would_be_somebody_elses(given: Accounts) -> None:
    with pytest.raises(UsageError, match="nobody says which keys are ours"):
        unknown_api_key.run({**_DEFAULTS, "venues": given.venues(), "keys": []}, _no_context())


_DEFAULTS = {name: spec.get("default") for name, spec in unknown_api_key.ARGUMENT_SPEC.items()}


def _no_context() -> Any:
    return None
