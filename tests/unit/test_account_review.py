# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What of an account is not ours: the rules by themselves, over arbitrary accounts."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.account_review import (
    ApprovedKey,
    Yardstick,
    approved_keys,
    missing_keys,
    not_judged,
    review_addresses,
    review_keys,
    review_logins,
    review_orders,
    review_withdrawals,
)
from ansible_collections.hft.incident.plugins.module_utils.api_keys.entries import network
from ansible_collections.hft.incident.plugins.module_utils.audit_accounts import networks
from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.venues.accounts.api import Address, ApiKey, Login, Withdrawal
from ansible_collections.hft.incident.plugins.module_utils.venues.api import OpenOrder

RIGHTS = st.frozensets(st.sampled_from(["read", "trade", "withdraw", "transfer", "manage_keys", "other:x"]))
ADDRESSES = st.lists(st.sampled_from(["192.0.2.1", "192.0.2.2", "198.51.100.0/24", "2001:db8::1"]), unique=True)
KEYS = st.builds(
    ApiKey,
    st.text(min_size=1, max_size=12),
    st.text(max_size=20),
    st.none() | RIGHTS,
    st.none() | ADDRESSES.map(tuple),
    st.booleans(),
    st.none() | st.integers(-(10**18), 10**18),
    st.text(max_size=5),
)


def approval(key: ApiKey, *, permissions: frozenset[str] | None, ips: frozenset[str] | None) -> ApprovedKey:
    return ApprovedKey("ours", "v", key.id, None, permissions, ips)


@given(KEYS, st.none() | RIGHTS, st.none() | ADDRESSES.map(frozenset))
def test_an_approved_key_is_found_exactly_where_it_goes_beyond_its_approval(
    key: ApiKey, permissions: frozenset[str] | None, ips: frozenset[str] | None
) -> None:
    known = Yardstick(keys=(approval(key, permissions=permissions, ips=ips),))
    found = {finding.kind: finding.severity for finding in review_keys("v", [key], {}, known)}
    beyond = bool(key.permissions is not None and permissions is not None and key.permissions - permissions)
    assert ("key_rights" in found) == beyond
    assert "key_unknown" not in found
    alarming = found.get("key_addresses") == "alarming"
    more = key.ip_allow_list is not None and (not key.ip_allow_list or bool(set(key.ip_allow_list) - (ips or set())))
    assert alarming == (bool(ips) and more)


@given(st.lists(KEYS, max_size=6), st.lists(KEYS, max_size=3))
def test_every_key_that_nobody_approved_is_found_once(keys: list[ApiKey], ours: list[ApiKey]) -> None:
    known = Yardstick(keys=tuple(approval(key, permissions=None, ips=None) for key in ours))
    unknown = [finding for finding in review_keys("v", keys, {}, known) if finding.kind == "key_unknown"]
    assert len(unknown) == sum(key.id not in {one.id for one in ours} for key in keys)
    # Of another venue, the same approval means nothing.
    assert len([f for f in review_keys("w", keys, {}, known) if f.kind == "key_unknown"]) == len(keys)
    assert all("\n" not in finding.what + finding.detail for finding in unknown)


@pytest.mark.parametrize(
    ("key", "approved", "severity"),
    [
        (ApiKey("a", permissions=frozenset({"read"})), True, "suspicious"),
        (ApiKey("a", permissions=frozenset({"read", "trade"})), True, "alarming"),
        (ApiKey("a", permissions=frozenset({"read", "other:odd"})), True, "alarming"),
        (ApiKey("a", permissions=None), True, "alarming"),
        (ApiKey("a", permissions=frozenset({"withdraw"}), enabled=False), True, "suspicious"),
        (ApiKey("a", permissions=frozenset({"withdraw"})), False, "suspicious"),
    ],
)
def test_how_bad_an_unknown_key_is(key: ApiKey, approved: bool, severity: str) -> None:
    known = Yardstick(keys=(ApprovedKey("b", "v", "b"),) if approved else ())
    assert [finding.severity for finding in review_keys("v", [key], {}, known)] == [severity]


def test_a_key_of_our_own_files_is_known_without_an_entry_and_should_be_bound() -> None:
    bound, unbound = ApiKey("a", ip_allow_list=("192.0.2.1",)), ApiKey("b", ip_allow_list=())
    ours = {"a": "api_key of the venues file", "b": "admin_api_key of the venues file"}
    [finding] = review_keys("v", [bound, unbound], ours, Yardstick(keys=(ApprovedKey("x", "v", "x"),)))
    assert (finding.kind, finding.severity) == ("key_addresses", "suspicious")


def test_a_key_in_two_slots_is_gone_only_where_neither_is_there() -> None:
    known = Yardstick(keys=(ApprovedKey("k", "v", "old"), ApprovedKey("k", "v", "new"), ApprovedKey("l", "v", "gone")))
    found = missing_keys("v", [ApiKey("new")], known)
    assert [finding.what for finding in found] == ["the approved key l is not there any more"]
    assert missing_keys("w", [], known) == []


WITHDRAWALS = st.builds(
    Withdrawal,
    st.text(min_size=1, max_size=5),
    st.sampled_from(["BTC", "USDT"]),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**9, places=8),
    st.sampled_from(["ours", "theirs"]),
    st.sampled_from(["pending", "done", "cancelled", "failed"]),
    st.integers(0, 2000),
)


@given(st.lists(WITHDRAWALS, max_size=8), st.booleans())
def test_money_on_its_way_is_always_told_and_money_gone_where_it_is_new(
    some: list[Withdrawal], somebody_has_said: bool
) -> None:
    known = Yardstick(addresses=frozenset({"ours"} if somebody_has_said else ()), since_ms=1000)
    found = review_withdrawals("v", some, known)
    assert [finding.kind for finding in found] == [
        f"withdrawal_{one.state}"
        for one in some
        if one.state == "pending" or (one.state == "done" and one.at_ms >= 1000)
    ]
    told = [one for one in some if one.state == "pending" or (one.state == "done" and one.at_ms >= 1000)]
    for one, finding in zip(told, found, strict=True):
        assert (finding.severity == "alarming") == (not (somebody_has_said and one.address == "ours"))


@pytest.mark.parametrize(
    ("entry", "said", "severity"),
    [
        (Address("BTC", "new", added_ms=1000), False, "alarming"),
        (Address("BTC", "new", added_ms=1000), True, "alarming"),
        (Address("BTC", "old", added_ms=999), False, None),
        (Address("BTC", "old", added_ms=999), True, "suspicious"),
        (Address("BTC", "untold"), False, None),
        (Address("BTC", "untold"), True, "suspicious"),
        (Address("BTC", "ours", added_ms=1000), True, None),
    ],
)
def test_the_address_book(entry: Address, said: bool, severity: str | None) -> None:
    known = Yardstick(addresses=frozenset({"ours"} if said else ()), since_ms=1000)
    assert [finding.severity for finding in review_addresses("v", [entry], known)] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("login", "kinds"),
    [
        (Login(1000, "192.0.2.7", True), []),
        (Login(1000, "203.0.113.7", True), [("login_foreign", "alarming")]),
        (Login(1000, "203.0.113.7", False), [("login_foreign", "suspicious")]),
        (Login(1000, "", True), [("login_foreign", "alarming")]),
        (Login(1000, "::ffff:192.0.2.7", True), []),
        (Login(999, "203.0.113.7", True), []),
        (Login(1000, "192.0.2.7", True, event="disabled_tfa"), [("account_changed", "suspicious")]),
        (Login(1000, "203.0.113.7", True, event="disabled_tfa"), [("account_changed", "alarming")]),
    ],
)
def test_logins(login: Login, kinds: list[tuple[str, str]]) -> None:
    known = Yardstick(networks=networks("known_networks", ["192.0.2.0/24"]), since_ms=1000)
    assert [(finding.kind, finding.severity) for finding in review_logins("v", [login], known)] == kinds


def test_where_nobody_says_where_we_come_from_no_login_is_foreign() -> None:
    assert review_logins("v", [Login(1, "203.0.113.7", True)], Yardstick()) == []


@given(st.lists(st.sampled_from(["hft1", "hft2", "hft1x", "xhft1", "", "zz"]), max_size=20))
def test_orders_are_ours_where_their_client_id_matches_as_a_whole(client_ids: list[str]) -> None:
    orders = [
        OpenOrder(str(number), "BTCUSDT", "spot", "buy", Decimal("0.10"), None, client_id=client_id)
        for number, client_id in enumerate(client_ids)
    ]
    found = review_orders("v", orders, Yardstick(client_id=re.compile("hft[0-9]")))
    foreign = [client_id for client_id in client_ids if client_id not in ("hft1", "hft2")]
    assert len(found) == len(set(foreign))
    counted = sum(int(finding.what.split(" ", 1)[0]) for finding in found)
    assert counted == len(foreign)
    assert review_orders("v", orders, Yardstick()) == []


def test_what_has_no_yardstick_is_not_judged() -> None:
    parts = ("keys", "withdrawals", "logins", "orders", "addresses")
    assert {row["part"] for row in not_judged(Yardstick(), parts)} == {"keys", "withdrawals", "logins", "orders"}
    assert not_judged(Yardstick(), ("addresses",)) == []
    whole = Yardstick(
        (ApprovedKey("k", "v"),), frozenset({"a"}), networks("known_networks", ["192.0.2.0/24"]), re.compile("x")
    )
    assert not_judged(whole, parts) == []


def test_entries_are_read_whoever_else_reads_other_fields_of_them() -> None:
    rows = [
        {
            "name": "hft-1/okx",
            "venue": "okx",
            "slot": "okx.trading",
            "used_by": ["hft-1"],
            "permissions": ["read"],
            "ip_allow_list": ["192.0.2.1/32", "2001:0db8::1"],
        },
        {"name": "r", "venue": "okx", "key_id": "file:/somewhere"},
    ]
    assert approved_keys(rows) == (
        ApprovedKey(
            "hft-1/okx", "okx", None, "okx.trading", frozenset({"read"}), frozenset({"192.0.2.1", "2001:db8::1"})
        ),
        ApprovedKey("r", "okx", "file:/somewhere"),
    )


@pytest.mark.parametrize("rows", [None, {}, "keys", [7], [{"name": "x"}], [{"venue": "x"}], [{"name": 1, "venue": 2}]])
def test_entries_that_are_none_are_refused(rows: object) -> None:
    with pytest.raises(UsageError, match=r"^keys: "):
        approved_keys(rows)


@given(st.ip_addresses())
def test_an_address_has_one_way_of_writing(address: object) -> None:
    text = str(address)
    bits = 32 if "." in text and ":" not in text else 128
    assert network(text) == network(f"{text}/{bits}") == network(f" {text.upper()} ")
