# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What is peculiar to one venue's accounts, and how they are opened."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils.secret_ref import Secret
from ansible_collections.hft.incident.plugins.module_utils.settings import SettingsError, VenueEntry
from ansible_collections.hft.incident.plugins.module_utils.venues import DRIVERS, open_venue
from ansible_collections.hft.incident.plugins.module_utils.venues.accounts import (
    ACCOUNTS,
    account_class,
    admin_credentials,
    open_account,
)
from ansible_collections.hft.incident.plugins.module_utils.venues.accounts.api import (
    NotOffered,
    Withdrawal,
)
from ansible_collections.hft.incident.plugins.module_utils.venues.api import Credentials
from ansible_collections.hft.incident.plugins.module_utils.venues.errors import (
    AuthError,
    MalformedReply,
    Rejected,
    UnknownOutcome,
    VenueError,
)

from .account_examples import (
    BINANCE_KEY,
    CANARY,
    DERIBIT_KEYS,
    EXAMPLES,
    KRAKENFUTURES_KEY,
    account,
    bybit,
    deribit,
    every_withdrawal,
    first_with,
    kraken,
    okx,
)
from .stub import Asked, Reply

# What is peculiar to a venue ----------------------------------------------------------------------------------------


def test_a_deribit_listing_carries_secrets_and_none_is_kept() -> None:
    asking, _ = account("deribit", {"/api/v2/private/list_api_keys": deribit(DERIBIT_KEYS)})
    assert CANARY not in repr(asking.keys())
    assert CANARY not in repr(vars(asking))


def test_a_deribit_account_that_demands_a_security_key_is_a_persons_work() -> None:
    refused = Reply(
        {"jsonrpc": "2.0", "error": {"message": "security_key_authorization_error", "code": 13668}, "usIn": 0},
        status=400,
    )
    asking, _ = account("deribit", lambda _: refused)
    with pytest.raises(AuthError, match="security_key"):
        asking.create_key("a", ["read"], [])


def test_a_key_that_deribit_does_not_list_is_not_good_there() -> None:
    asking, _ = account("deribit", {"/api/v2/private/list_api_keys": deribit(DERIBIT_KEYS[:1])})
    with pytest.raises(AuthError):
        asking.own_key()


def test_deribit_is_asked_for_just_these_rights_from_just_these_addresses() -> None:
    made = {**DERIBIT_KEYS[0], "client_secret": "new"}
    asking, http = account("deribit", {"/api/v2/private/create_api_key": deribit(made)})
    new = asking.create_key("hft_1", ["read", "trade"], ["192.0.2.7", "192.0.2.8"])
    assert http.asked[0].query == {
        "max_scope": "account:read trade:read_write wallet:read",
        "name": "hft_1",
        "ip_whitelist": '["192.0.2.7","192.0.2.8"]',
    }
    assert (new.credentials.key.reveal(), new.credentials.secret.reveal()) == ("TiA4AyLPq3", "new")
    assert "new" not in repr(new)


def test_deribit_gives_no_transfer_right_that_is_none_to_withdraw() -> None:
    asking, http = account("deribit", lambda _: {})
    with pytest.raises(NotOffered, match="withdraw"):
        asking.create_key("a", ["read", "transfer"], [])
    assert http.asked == []


def test_bybit_is_asked_for_just_these_rights_from_just_these_addresses() -> None:
    made = {"id": "16651283", "note": "n", "apiKey": "xxx", "readOnly": 0, "secret": "new", "permissions": {"Spot": []}}
    asking, http = account("bybit", {"/v5/user/create-sub-api": bybit(made)})
    new = asking.create_key("n", ["read", "trade"], ["192.0.2.7", "192.0.2.8"])
    assert http.asked[0].body == {
        "subuid": 24617703,
        "note": "n",
        "readOnly": 0,
        "ips": "192.0.2.7,192.0.2.8",
        "permissions": {"ContractTrade": ["Order", "Position"], "Spot": ["SpotTrade"], "Options": ["OptionsTrade"]},
    }
    assert (new.facts.owner, new.facts.ip_allow_list) == ("24617703", None)
    assert new.credentials.secret.reveal() == "new"


@pytest.mark.parametrize("driver", ["bybit", "okx"])
@pytest.mark.parametrize("right", ["withdraw", "manage_keys"])
def test_no_api_gives_a_sub_accounts_key_such_a_right(driver: str, right: str) -> None:
    asking, http = account(driver, lambda _: {})
    with pytest.raises(NotOffered, match=right):
        asking.create_key("a", ["read", right], [])
    assert http.asked == []


@pytest.mark.parametrize("driver", ["bybit", "okx"])
def test_without_a_sub_account_no_key_is_made_and_the_mend_is_told(driver: str) -> None:
    asking, http = account(driver, lambda _: {})
    asking.sub_account = ""
    with pytest.raises(NotOffered, match="sub_account in the venues file"):
        asking.create_key("a", ["read"], [])
    assert http.asked == []


def test_okx_is_asked_for_just_these_rights_and_a_passphrase_it_takes() -> None:
    asked: list[Asked] = []

    def answer(asking: Asked) -> Any:
        asked.append(asking)
        return okx({**asking.body, "apiKey": "xxx", "secretKey": "new", "ts": "1597026383085"})

    asking, _ = account("okx", answer)
    new = asking.create_key("n", ["read", "trade"], ["192.0.2.7"])
    body = dict(asked[0].body)
    passphrase = body.pop("passphrase")
    assert body == {"subAcct": "labtrading", "label": "n", "perm": "read_only,trade", "ip": "192.0.2.7"}
    assert 8 <= len(passphrase) <= 32
    assert all(any(map(kind, passphrase)) for kind in (str.isupper, str.islower, str.isdigit))
    assert not passphrase.isalnum()
    assert new.credentials.passphrase is not None
    assert new.credentials.passphrase.reveal() == passphrase
    assert passphrase not in repr(new)


def test_okx_withdrawals_that_its_pages_cannot_tell_apart_are_unknown_not_none() -> None:
    row = {"ccy": "ETH", "amt": "1", "to": "0x", "state": "0", "ts": "1655251200000"}
    page = okx(*({**row, "wdId": str(number)} for number in range(100)))
    asking, _ = account("okx", lambda _: page)
    with pytest.raises(MalformedReply, match="again"):
        asking.withdrawals(0)


def test_a_withdrawal_in_a_state_that_nobody_knows_may_still_be_stopped() -> None:
    for example in EXAMPLES:
        if example.means and isinstance(example.means, list) and isinstance(example.means[0], Withdrawal):
            reply = copy.deepcopy(example.replies[example.path])
            field = "status" if first_with(reply, "status") else "state"
            first_with(reply, field)[field] = 77 if example.driver == "binance" else "Teleporting"
            asking, _ = account(example.driver, {**example.replies, example.path: reply})
            assert [found.state for found in example.ask(asking)] == ["pending"], example.driver


def test_kraken_says_beside_the_state_that_it_was_stopped() -> None:
    [example] = [e for e in EXAMPLES if e.driver == "kraken" and e.ask is every_withdrawal]
    for prop, state in {"canceled": "cancelled", "cancel-pending": "pending", "onhold": "pending"}.items():
        reply = copy.deepcopy(example.replies[example.path])
        first_with(reply, "status")["status-prop"] = prop
        asking, _ = account("kraken", {example.path: reply})
        assert [found.state for found in example.ask(asking)] == [state]


def test_binance_tells_that_a_key_is_bound_not_to_what() -> None:
    asking, _ = account("binance", lambda _: {**BINANCE_KEY, "ipRestrict": True, "enableEverything": True})
    own = asking.own_key()
    assert own.ip_allow_list is None
    assert own.permissions == frozenset({"read", "trade", "other:enableEverything"})


@pytest.mark.parametrize(
    ("status", "expected"), [(401, AuthError), (403, AuthError), (500, UnknownOutcome), (429, VenueError)]
)
def test_kraken_futures_key_check_has_no_codes(status: int, expected: type[VenueError]) -> None:
    asking, _ = account(
        "krakenfutures", lambda _: Reply({"error": "x", "message": "y", "suberror": None}, status=status)
    )
    with pytest.raises(expected) as caught:
        asking.own_key()
    assert not isinstance(caught.value, MalformedReply)


@pytest.mark.parametrize("level", ["", "SOME_ACCESS", None])
def test_a_level_of_access_that_nobody_knows_proves_nothing(level: object) -> None:
    reply = {**KRAKENFUTURES_KEY, "permissions": {"general": level, "transfer": "NO_ACCESS"}}
    asking, _ = account("krakenfutures", lambda _: reply)
    with pytest.raises(MalformedReply):
        asking.own_key()


@pytest.mark.parametrize("driver", ["bybit", "okx", "deribit", "kraken"])
def test_a_cancel_that_the_venue_does_not_confirm_is_no_cancel(driver: str) -> None:
    replies = {
        "bybit": bybit({"status": 0}),
        "okx": okx({"wdId": "2"}),
        "deribit": deribit({"state": "confirmed"}),
        "kraken": kraken(False),
    }
    asking, _ = account(driver, lambda _: replies[driver])
    with pytest.raises((Rejected, MalformedReply)):
        asking.cancel_withdrawal(Withdrawal("1", "BTC", Decimal(1), "x", "pending", 0))


# Opening ------------------------------------------------------------------------------------------------------------

ENTRY = VenueEntry("b", "bybit", "http://127.0.0.1:9", None, "env:K", "env:S", sub_account="7")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("K", "S", "AK", "AS", "AP"):
        monkeypatch.setenv(name, f"value-of-{name}")


@pytest.mark.usefixtures("environment")
def test_the_administrators_key_is_taken_where_there_is_one() -> None:
    with_admin = ENTRY._replace(admin_api_key="env:AK", admin_api_secret="env:AS", admin_api_passphrase="env:AP")
    opened = open_account(with_admin)
    assert (opened.venue.key, opened.venue.secret, opened.venue.passphrase) == (
        "value-of-AK",
        "value-of-AS",
        "value-of-AP",
    )
    assert opened.sub_account == "7"
    assert open_account(ENTRY).venue.key == "value-of-K"
    assert admin_credentials(ENTRY) is None


@pytest.mark.usefixtures("environment")
def test_credentials_that_are_given_are_taken_before_any_other() -> None:
    given_ones = Credentials(Secret("new"), Secret("secret"))
    entry = ENTRY._replace(admin_api_key="env:NOT_THERE", admin_api_secret="env:NOT_THERE")
    assert open_account(entry, credentials=given_ones).venue.key == "new"
    assert open_venue(entry._replace(api_key="env:NOT_THERE"), key=given_ones).key == "new"


@pytest.mark.parametrize("driver", ["ccxt:kucoin", "mtgox", ""])
def test_a_driver_without_accounts_names_those_that_have_one(driver: str) -> None:
    with pytest.raises(SettingsError, match="binance, binanceusdm, bybit"):
        open_account(ENTRY._replace(driver=driver))


def test_an_entry_with_a_fault_is_not_opened() -> None:
    with pytest.raises(SettingsError, match="missing"):
        open_account(ENTRY._replace(fault="'driver' is missing"))


def test_every_driver_of_our_own_has_an_account() -> None:
    assert set(ACCOUNTS) == set(DRIVERS)
    assert {driver: account_class(driver).driver for driver in ACCOUNTS} == {driver: driver for driver in ACCOUNTS}


def test_the_steps_for_a_person_take_what_is_known() -> None:
    facts = {"label": "hft-1", "permissions": "read, trade", "ips": "192.0.2.7", "key_id": "abc"}
    for driver in ACCOUNTS:
        build = account_class(driver)
        for steps in (build.steps_to_create, build.steps_to_revoke, build.steps_to_freeze_withdrawals):
            text = json.dumps([step.format_map(facts) for step in steps])
            assert "{" not in text
        assert "abc" in "".join(step.format_map(facts) for step in build.steps_to_revoke)
