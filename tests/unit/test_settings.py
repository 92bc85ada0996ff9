# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The venues file as entries: what is refused as a whole, what concerns one entry only, and that no secret is shown."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.settings import (
    VENUE_SECRETS,
    SettingsError,
    VenueEntry,
    parse,
    select,
    system_entries,
    venue_entries,
)

GOOD: dict[str, Any] = {"name": "a", "driver": "okx", "api_key": "env:K", "api_secret": "file:/s"}
CANARY = "s3cr3tcanary"

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


def test_an_entry_is_read_whole() -> None:
    (entry,) = venue_entries(
        [{**GOOD, "base_url": "https://h:1", "ca_file": "/ca", "product_lines": ["SPOT"], "symbols": ["X"]}]
    )
    assert entry == VenueEntry("a", "okx", "https://h:1", "/ca", "env:K", "file:/s", None, ("SPOT",), ("X",))


def test_the_administrators_key_is_apart_and_whole() -> None:
    admin = {"admin_api_key": "env:A", "admin_api_secret": "file:/a", "admin_api_passphrase": "cmd:p"}
    (entry,) = venue_entries([{**GOOD, **admin, "sub_account": 24617703}])
    assert (entry.admin_api_key, entry.admin_api_secret, entry.admin_api_passphrase) == ("env:A", "file:/a", "cmd:p")
    assert (entry.api_key, entry.sub_account, entry.fault) == ("env:K", "24617703", None)


@pytest.mark.parametrize("half", ["admin_api_key", "admin_api_secret"])
def test_half_an_administrators_key_is_that_entrys_fault(half: str) -> None:
    (entry,) = venue_entries([{**GOOD, half: "env:A"}])
    assert entry.fault is not None
    assert "go together" in entry.fault


@pytest.mark.parametrize("field", VENUE_SECRETS)
@pytest.mark.parametrize("value", [CANARY, 7, [CANARY], {"env": CANARY}, True, "", f"http://{CANARY}"])
def test_a_secret_in_clear_is_refused_by_field_and_never_shown(field: str, value: object) -> None:
    with pytest.raises(SettingsError, match=field) as caught:
        venue_entries([{**GOOD, field: value}])
    assert CANARY not in str(caught.value)


def test_a_token_in_clear_is_refused_by_field_and_never_shown() -> None:
    with pytest.raises(SettingsError, match="token") as caught:
        system_entries([{"name": "hft-1", "url": "http://h", "token": CANARY}])
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"driver": None}, "'driver' is missing"),
        ({"api_key": None}, "'api_key' is missing"),
        ({"api_secret": None}, "'api_secret' is missing"),
        ({"base_url": "h:1"}, "'base_url' is not an http(s) address"),
        ({"base_url": "ftp://h"}, "'base_url' is not an http(s) address"),
        ({"base_url": "http://"}, "'base_url' is not an http(s) address"),
        ({"base_url": "http://h:0"}, "'base_url' is not an http(s) address"),
        ({"base_url": "http://h:99999"}, "'base_url' is not an http(s) address"),
        ({"base_url": 7}, "'base_url' is not an http(s) address"),
        ({"product_lines": "SPOT"}, "'product_lines' must be a list"),
        ({"symbols": {}}, "'symbols' must be a list"),
    ],
)
def test_a_fault_in_one_entry_stays_in_that_entry(wrong: dict[str, Any], fault: str) -> None:
    broken, good = venue_entries([{**GOOD, **wrong}, {**GOOD, "name": "b"}])
    assert (broken.fault, good.fault) == (fault, None)


@pytest.mark.parametrize(
    "document", [None, [], "", {}, {"hft_venues": None}, {"hft_venues": {}}, {"hft_venues": ["a"]}]
)
def test_a_file_without_entries_is_refused(document: object) -> None:
    with pytest.raises(SettingsError):
        parse(document)


def test_names_must_be_there_and_unique() -> None:
    without: list[list[dict[str, Any]]] = [[{}], [{"name": ""}], [{"name": 7}], [GOOD, GOOD]]
    for rows in without:
        with pytest.raises(SettingsError):
            venue_entries(rows)


def test_select_keeps_the_asked_order_once_each_and_names_the_known_ones() -> None:
    entries = venue_entries([{**GOOD, "name": name} for name in "abc"])
    assert [entry.name for entry in select(entries, ["c", "a", "c"])] == ["c", "a"]
    assert select(entries, []) == entries
    with pytest.raises(SettingsError, match="unknown venue 'd'; the venues file has: a, b, c"):
        select(entries, ["a", "d"])


@given(anything)
def test_whatever_a_venues_file_holds_is_read_or_refused_in_words(value: Any) -> None:
    for document in (value, {"hft_venues": value}, {"hft_venues": [GOOD], "hft_trading_systems": value}):
        with suppress(SettingsError):  # refused in words is as good as read
            parse(document)


@given(st.dictionaries(st.sampled_from([*GOOD, "base_url", "ca_file", "product_lines", "symbols"]), anything))
def test_whatever_an_entry_holds_is_read_or_refused_in_words(row: dict[str, Any]) -> None:
    with suppress(SettingsError):  # refused in words is as good as read
        venue_entries([{**GOOD, **row}])
