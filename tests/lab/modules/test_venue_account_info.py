# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The accounts of all venues after an intruder, and what happens where a venue does not answer, or lies."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.account_look import PER_KIND
from ansible_collections.hft.incident.plugins.module_utils.account_reading import PARTS
from ansible_collections.hft.incident.plugins.module_utils.incident import ENV_DIR
from ansible_collections.hft.incident.plugins.module_utils.steps import venue_account_info
from hft_incident.lab.venues.server import VenueServer

from ..accounts_host import made_key
from ..venues_host import Host, venue_host
from .account_arguments import ALL, COIN, ELSEWHERE, OURS, Accounts
from .steps import Ran, run, writes

ABROAD, CLIENT_IDS = "203.0.113.66", "hft[0-9a-f]{12}"
#: What each driver has an API for.
OFFERS = {
    "binance": {"own_keys", "withdrawals", "addresses"},
    "binanceusdm": set(),
    "bybit": {"own_keys", "keys", "withdrawals", "addresses"},
    "okx": {"own_keys", "keys", "withdrawals"},
    "kraken": {"own_keys", "withdrawals", "addresses"},
    "krakenfutures": {"own_keys"},
    "deribit": {"own_keys", "keys", "withdrawals", "addresses", "logins"},
}
LISTED_IN_PART = ("bybit", "okx")


@pytest.fixture
def host() -> Iterator[Host]:
    with venue_host(ALL) as running:
        yield running


@pytest.fixture
def given(tmp_path: Path, host: Host) -> Accounts:
    return Accounts(tmp_path, host)


def ask(given: Accounts, *, check: bool = False, **args: Any) -> Ran:
    usual = {
        "venues": given.venues(),
        "keys": given.approved(),
        "withdrawal_addresses": [OURS],
        "known_networks": ["127.0.0.0/8"],
        "client_id_pattern": CLIENT_IDS,
        "timeout": 10.0,
    }
    return run(venue_account_info, check=check, **{**usual, **args})


def intrude(server: VenueServer, coin: str) -> None:
    server.dialect.new_key("backup", ("read", "trade", "withdraw"), ())
    treasury = server.exchange.treasury
    treasury.withdraw(coin, Decimal("1.5"), ELSEWHERE)
    treasury.add_address(coin, ELSEWHERE, label="mine")
    treasury.add_login(ABROAD)
    treasury.add_login(ABROAD, event="changed_password")
    server.place_one(client_id="zz-not-ours")


def found(seen: Ran, venue: str | None = None) -> set[str]:
    return {finding["kind"] for finding in seen["findings"] if venue in (None, finding["venue"])}


@pytest.mark.parametrize("check", [False, True])
def test_a_clean_account_has_no_findings_and_names_all_that_a_person_has_to_look_at(
    given: Accounts, host: Host, check: bool
) -> None:
    for server in host.venues.values():
        server.place_one(client_id="hft0123456789ab")
        server.exchange.treasury.add_login("127.0.0.1")
        server.exchange.treasury.add_address("BTC", OURS, ago_s=900 * 86400)
    seen = ask(given, check=check)
    assert (seen["findings"], seen["worst"], seen["unknown"], seen["known"]) == ([], None, [], True)
    assert (seen.failed, seen["changed"], seen["not_judged"]) == (False, False, [])
    not_offered = {(row["venue"], row["part"]) for row in seen["not_offered"]}
    expected = {
        (driver, part) for driver in ALL for part in PARTS if part not in OFFERS[driver] and part != "orders"
    } | {(driver, "keys") for driver in LISTED_IN_PART}
    assert not_offered == expected
    assert all(row["steps"] for row in seen["not_offered"])
    assert not any(writes(server) for server in host.venues.values())
    (looked_at,) = seen.recorded("account.looked_at")
    assert looked_at["venues"]["deribit"]["keys"] == 3
    assert looked_at["venues"]["binance"]["keys"] is None
    assert seen.recorded("account.finding") == []


def test_everything_that_an_intruder_did_is_found_at_every_venue_that_tells(given: Accounts, host: Host) -> None:
    for name, server in host.venues.items():
        intrude(server, COIN[name])
    seen = ask(given)
    by_part = {
        "keys": {"key_unknown"},
        "withdrawals": {"withdrawal_pending"},
        "addresses": {"address_added"},
        "logins": {"login_foreign", "account_changed"},
    }
    for driver in ALL:
        told = {kind for part in OFFERS[driver] for kind in by_part.get(part, set())} | {"order_foreign"}
        if driver in ("binance", "kraken"):  # they do not tell when it was added: it is none of ours
            assert "address_added" in found(seen, driver)
        assert found(seen, driver) == told, driver
    assert seen["worst"] == "alarming"
    assert len(seen.recorded("account.finding")) == len(seen["findings"])
    assert "1.5 USDT is on its way to 0x00intruder, which is none of ours" in seen["msg"]
    unknown = [finding for finding in seen["findings"] if finding["kind"] == "key_unknown"]
    assert all("'backup'" in finding["what"] and "withdraw" in finding["detail"] for finding in unknown)


def test_no_secret_is_in_the_result_or_the_record(given: Accounts) -> None:
    text = json.dumps(ask(given).result)
    for key in given.keys.values():
        assert key.secret not in text
        assert not key.passphrase or key.passphrase not in text


def test_a_dead_venue_holds_nobody_up_and_is_unknown_in_every_part(given: Accounts, host: Host) -> None:
    intrude(host.venues["deribit"], "USDC")
    host.inject("okx", kind="refuse")
    host.inject("bybit", kind="hang")
    seen = ask(given, timeout=1.5)
    unknown = {(row["venue"], row["part"]) for row in seen["unknown"]}
    # What okx has no API for needs no question.
    assert {part for venue, part in unknown if venue == "okx"} == {"own_keys", "keys", "withdrawals", "orders"}
    assert {part for venue, part in unknown if venue == "bybit"} == {*OFFERS["bybit"], "orders"}
    assert {venue for venue, _ in unknown} == {"okx", "bybit"}
    assert found(seen, "deribit") >= {"withdrawal_pending", "key_unknown", "login_foreign"}
    assert (seen["known"], seen.failed) == (False, False)
    assert "UNKNOWN: " in seen["msg"]
    accounts = {account["name"]: account["parts"] for account in seen["accounts"]}
    assert set(accounts["okx"].values()) == {None}


@pytest.mark.parametrize("op", ["keys", "withdrawals", "addresses", "logins", "open_orders", "own_key"])
@pytest.mark.parametrize("kind", ["html", "empty_object", "empty_body", "wrong_schema", "truncated"])
def test_one_part_that_lies_is_unknown_and_the_others_are_told(given: Accounts, host: Host, op: str, kind: str) -> None:
    intrude(host.venues["deribit"], "USDC")
    host.inject("deribit", kind=kind, op=op)
    seen = ask(given, venues=[given.venue("deribit")], timeout=1.0)
    part = {"open_orders": "orders", "own_key": ""}.get(op, op)
    unknown = {row["part"] for row in seen["unknown"]}
    # Deribit tells a key's own rights by listing all keys.
    assert unknown == ({"keys", "own_keys"} if op == "keys" else {part} - {""})
    lost = {
        "keys": {"key_unknown"},
        "withdrawals": {"withdrawal_pending"},
        "addresses": {"address_added"},
        "logins": {"login_foreign", "account_changed"},
        "open_orders": {"order_foreign"},
    }
    everything = set().union(*lost.values())
    assert found(seen) == everything - lost.get(op, set())


def test_what_nobody_has_said_is_ours_is_not_judged_and_says_so(given: Accounts, host: Host) -> None:
    intrude(host.venues["deribit"], "USDC")
    seen = ask(
        given,
        venues=[given.venue("deribit")],
        keys=[],
        withdrawal_addresses=[],
        known_networks=[],
        client_id_pattern=None,
    )
    assert {row["part"] for row in seen["not_judged"]} == {"keys", "withdrawals", "logins", "orders"}
    # A withdrawal, a new address and a changed password need no yardstick; two keys may be anybody's.
    assert found(seen) == {"withdrawal_pending", "address_added", "account_changed", "key_unknown"}
    keys = [finding for finding in seen["findings"] if finding["kind"] == "key_unknown"]
    assert {finding["severity"] for finding in keys} == {"suspicious"}
    assert len(keys) == 2
    assert "not judged: keys, withdrawals, logins, orders" in seen["msg"]


def test_withdrawals_to_our_own_addresses_are_told_and_do_not_alarm(given: Accounts, host: Host) -> None:
    host.venues["okx"].exchange.treasury.withdraw("USDT", Decimal(5), OURS)
    seen = ask(given)
    assert [(finding["kind"], finding["severity"]) for finding in seen["findings"]] == [
        ("withdrawal_pending", "suspicious")
    ]


def test_what_was_before_since_is_not_new_but_pending_is_pending(given: Accounts, host: Host) -> None:
    treasury = host.venues["deribit"].exchange.treasury
    old = treasury.withdraw("USDC", Decimal(1), ELSEWHERE)
    gone = treasury.withdraw("USDC", Decimal(2), ELSEWHERE)
    treasury.complete(gone.id)
    for one in (old, gone):
        one.at_ms -= 600_000
    treasury.add_address("USDC", OURS, ago_s=600)
    treasury.add_login(ABROAD, ago_s=600)
    since = "2026-01-01T00:00:00Z"
    assert found(ask(given, since=since), "deribit") >= {"withdrawal_pending", "withdrawal_done", "login_foreign"}
    now = host.venues["deribit"].exchange.now_ms() - 60_000
    recent = datetime.fromtimestamp(now / 1000, UTC).isoformat()
    assert found(ask(given, since=recent), "deribit") == {"withdrawal_pending"}


def test_what_an_intruder_can_make_plenty_of_is_cut_and_counted(given: Accounts, host: Host) -> None:
    for _ in range(PER_KIND + 7):
        host.venues["deribit"].exchange.treasury.add_login(ABROAD)
    seen = ask(given, venues=[given.venue("deribit")])
    assert len(seen["findings"]) == PER_KIND + 1
    assert seen["findings"][-1]["what"] == "7 more of login_foreign (alarming) are not listed"


def test_one_key_for_everything_is_enough_and_what_it_may_not_is_unknown(given: Accounts) -> None:
    venues = [
        {field: value for field, value in venue.items() if not field.startswith("admin_")} for venue in given.venues()
    ]
    seen = ask(given, venues=venues)
    refused = {(row["venue"], row["part"]) for row in seen["unknown"]}
    assert refused == {("bybit", "keys"), ("bybit", "addresses"), ("okx", "keys"), ("kraken", "addresses")}
    assert {row["kind"] for row in seen["unknown"]} == {"auth"}


def test_a_key_that_is_revoked_is_unknown_in_all_it_was_asked(given: Accounts, host: Host) -> None:
    host.venues["deribit"].exchange.remove_key(given.keys["deribit", "admin"].id)
    seen = ask(given, venues=[given.venue("deribit")])
    assert {row["part"] for row in seen["unknown"]} == {"own_keys", "keys", "withdrawals", "addresses", "logins"}


def test_an_entry_that_cannot_be_used_is_unknown_and_the_others_are_read(given: Accounts) -> None:
    broken = {**given.venue("okx"), "api_key": "env:NOT_THERE_AT_ALL", "admin_api_key": "env:NOT_THERE_AT_ALL"}
    seen = ask(given, venues=[broken, given.venue("deribit"), {"name": "x", "driver": "ccxt:kucoin"}])
    assert {row["venue"] for row in seen["unknown"]} == {"okx", "x"}
    assert any("NOT_THERE_AT_ALL" in row["error"] for row in seen["unknown"])
    assert [account["name"] for account in seen["accounts"] if account["parts"]["keys"]] == ["deribit"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"venues": []}, "nothing to ask"),
        ({"only": ["nosuch"]}, "deribit"),
        ({"timeout": 0}, "timeout"),
        ({"since": "yesterday"}, "since: 'yesterday'"),
        ({"since": "2026-01-01T00:00:00"}, "zone"),
        ({"since": "2999-01-01T00:00:00Z"}, "not come yet"),
        ({"known_networks": ["everywhere"]}, "known_networks"),
        ({"client_id_pattern": "("}, "client_id_pattern"),
        ({"keys": [{"name": "x"}]}, "'venue'"),
        ({"keys": [{"name": "x", "venue": "okx", "permissions": "all"}]}, "'permissions' must be a list"),
        ({"keys": [{"name": "x", "venue": "okx", "ip_allow_list": ["home"]}]}, "ip_allow_list"),
        ({"keys": [{"name": "x", "venue": "okx", "key_id": 7}]}, "key_id"),
        ({"secret_store": {"kind": "shoebox"}}, "secret_store"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_asked(
    given: Accounts, host: Host, wrong: dict[str, Any], words: str
) -> None:
    seen = ask(given, **wrong)
    assert seen.outcome == "usage"
    assert words in seen["msg"]
    assert not any(server.seen for server in host.venues.values())


def test_a_key_with_more_rights_than_approved_is_found_where_only_it_tells(given: Accounts, host: Host) -> None:
    """Kraken lists no keys; what our own key says of itself is held against its approval all the same."""
    stolen = made_key(host.venues["kraken"], ("read", "trade", "withdraw"))
    given.keys["kraken", "responder"] = stolen
    approved = [{"name": "r", "venue": "kraken", "key_id": stolen.id, "permissions": ["read", "trade"]}]
    seen = ask(given, venues=[given.venue("kraken")], keys=approved)
    assert {(f["kind"], f["severity"]) for f in seen["findings"]} == {
        ("key_rights", "alarming"),
        ("key_addresses", "suspicious"),
    }


# Kept as evidence -----------------------------------------------------------------------------------------------------


def test_what_the_venues_told_is_kept_with_what_they_did_not_tell(
    given: Accounts, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = tmp_path / "incident"
    incident.mkdir(mode=0o700)
    monkeypatch.setenv(ENV_DIR, str(incident))
    intrude(host.venues["deribit"], "USDC")
    host.inject("deribit", kind="html", op="addresses")
    seen = ask(given, venues=[given.venue("deribit"), given.venue("okx")], keep=True, timeout=1.0)
    assert (seen.failed, seen["changed"], seen["not_kept"]) == (False, True, [])
    kept = {row["host"]: row for row in seen.recorded("evidence.kept")}
    assert kept["venue-okx"]["folder"] == "evidence/venue-okx"
    folder = incident / kept["venue-deribit"]["folder"]
    withdrawals = json.loads((folder / "withdrawals.json").read_text())
    assert [(row["address"], row["amount"], row["state"]) for row in withdrawals] == [(ELSEWHERE, "1.5", "pending")]
    assert not (folder / "addresses.json").exists(), "what was not told is not an empty list"
    assert [text.partition(":")[0] for text in kept["venue-deribit"]["missing"]] == ["addresses"]
    assert any("logins: okx has no API" in text for text in kept["venue-okx"]["missing"])
    for path in folder.iterdir():
        assert not any(key.secret in path.read_text() for key in given.keys.values())
    again = ask(given, venues=[given.venue("okx")], keep=True)
    assert again["kept"][0]["folder"] == "evidence/venue-okx/attempt-2"


def test_check_mode_and_no_wish_keep_nothing(given: Accounts, tmp_path: Path) -> None:
    dest = tmp_path / "kept"
    for wish in ({"keep": True, "check": True}, {"keep": False}):
        seen = ask(given, dest=str(dest), **wish)
        assert (seen["kept"], seen["changed"], dest.exists()) == ([], wish["keep"], False)


def test_without_a_place_nothing_is_asked(given: Accounts, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENV_DIR, raising=False)
    seen = ask(given, keep=True)
    assert (seen.outcome, "'dest'" in seen["msg"]) == ("usage", True)
    assert not any(server.seen for server in host.venues.values())


def test_what_cannot_be_kept_fails_and_is_told_all_the_same(given: Accounts, host: Host, tmp_path: Path) -> None:
    intrude(host.venues["deribit"], "USDC")
    dest = tmp_path / "taken"
    dest.write_text("a file where the folder should be")
    seen = ask(given, venues=[given.venue("deribit")], keep=True, dest=str(dest))
    assert (seen.outcome, seen["kept"]) == ("unproven", [])
    assert "NOT KEPT: deribit: " in seen["msg"]
    assert "withdrawal_pending" in found(seen)
    assert seen.recorded("account.finding")


def test_what_is_kept_is_signed_and_what_could_not_be_signed_is_kept(given: Accounts, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    venues = [given.venue("okx")]
    seen = ask(given, venues=venues, keep=True, dest=str(tmp_path / "signed"), signing_key=str(key))
    assert (seen.failed, seen["kept"][0]["signed_by"][:7]) == (False, "SHA256:")
    key.write_text("no key")
    seen = ask(given, venues=venues, keep=True, dest=str(tmp_path / "unsigned"), signing_key=str(key))
    assert (seen.outcome, seen["kept"][0]["signed_by"]) == ("unproven", None)
    assert "NOT SIGNED" in seen["msg"]
    missing = ask(given, venues=venues, keep=True, dest=str(tmp_path / "x"), signing_key="/nowhere/key")
    assert missing.outcome == "usage"
