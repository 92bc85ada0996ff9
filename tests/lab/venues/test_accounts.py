# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Keys, withdrawals, addresses and logins at the lab's venues, through the product's accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest

from ansible_collections.hft.incident.plugins.module_utils.venues.accounts import ACCOUNTS, account_class
from ansible_collections.hft.incident.plugins.module_utils.venues.accounts.api import Account, ApiKey, NotOffered
from ansible_collections.hft.incident.plugins.module_utils.venues.api import Venue
from ansible_collections.hft.incident.plugins.module_utils.venues.errors import (
    AuthError,
    MalformedReply,
    Rejected,
    UnknownOutcome,
    VenueError,
)

from ..accounts_host import OTHER_ADDRESS, account, admin, admin_key, made_key
from ..venues_host import KEY, Host, venue_host

MANAGED = [driver for driver in ACCOUNTS if account_class(driver).manages_keys]
#: A coin that the lab's account has there.
COIN = dict.fromkeys(ACCOUNTS, "USDT") | {"deribit": "USDC", "kraken": "XXBT"}
ELSEWHERE = "0x00intruder"


@pytest.fixture(scope="module")
def running() -> Iterator[Host]:
    with venue_host() as host:
        yield host


@pytest.fixture
def host(running: Host) -> Iterator[Host]:
    """New venues for every test, on one event loop."""
    for driver in ACCOUNTS:
        running.add(driver, driver)
    yield running
    for driver in ACCOUNTS:
        running.remove(driver)


def offers(driver: str, operation: str) -> bool:
    """Whether the dialect has its own way to do this."""
    return operation in vars(account_class(driver))


def listed(boss: Account) -> list[ApiKey]:
    return boss.keys()


WITH_WITHDRAWALS = [driver for driver in ACCOUNTS if offers(driver, "withdrawals")]
CANCELLING = [driver for driver in ACCOUNTS if offers(driver, "cancel_withdrawal")]
WITH_ADDRESSES = [driver for driver in ACCOUNTS if offers(driver, "addresses")]
WITH_LOGINS = [driver for driver in ACCOUNTS if offers(driver, "logins")]
TELLING = [driver for driver in ACCOUNTS if offers(driver, "own_key")]


@pytest.mark.parametrize("driver", MANAGED)
def test_a_key_has_the_rights_and_addresses_it_was_made_with_and_works(host: Host, driver: str) -> None:
    server, boss = host.venues[driver], admin(host, driver)
    new = boss.create_key("rotated1", ["read", "trade"], ["127.0.0.1", "127.0.0.9"])
    truth = server.exchange.keys[new.facts.id]
    assert truth.permissions == {"read", "trade"}
    assert (truth.ips, truth.label) == (("127.0.0.1", "127.0.0.9"), "rotated1")
    own = account(server, driver, new.credentials).own_key()
    assert own.permissions == frozenset({"read", "trade"})
    assert (own.id, own.label) == (truth.id, "rotated1")
    assert own.ip_allow_list == ("127.0.0.1", "127.0.0.9")
    [seen] = [key for key in listed(boss) if key.id == truth.id]
    assert (seen.ip_allow_list, seen.permissions) == (own.ip_allow_list, own.permissions)
    assert account(server, driver, new.credentials).venue.open_orders() == []


@pytest.mark.parametrize("driver", MANAGED)
def test_a_key_that_may_only_read_may_only_read(host: Host, driver: str) -> None:
    server, boss = host.venues[driver], admin(host, driver)
    new = boss.create_key("reader", ["read"], [])
    reader = account(server, driver, new.credentials)
    own = reader.own_key()
    assert own.permissions == frozenset({"read"})
    assert own.ip_allow_list == ()
    server.place_one()
    with pytest.raises(AuthError):
        cancel_everything(reader.venue)
    assert len(server.exchange.open_orders()) == 1


def cancel_everything(venue: Venue) -> None:
    """Raises what the venue says, where a mass cancel takes it for a rejection among others."""
    reply = venue.cancel_all(venue.open_orders())
    if reply.rejected:
        raise AuthError("; ".join(reply.rejected))


@pytest.mark.parametrize("driver", MANAGED)
def test_revoked_means_at_once_also_on_open_connections(host: Host, driver: str) -> None:
    server, boss = host.venues[driver], admin(host, driver)
    new = boss.create_key("shortlived", ["read", "trade"], ["127.0.0.1"])
    user = account(server, driver, new.credentials)
    user.own_key()
    [kept] = user.venue.http._idle
    local_port = kept.sock.getsockname()
    boss.delete_key(new.facts)
    assert new.facts.id not in server.exchange.keys
    with pytest.raises(AuthError):
        user.own_key()
    assert user.venue.http._idle[0].sock.getsockname() == local_port, "the open connection was used"
    with pytest.raises(AuthError):
        account(server, driver, new.credentials).venue.open_orders()
    assert new.facts.id not in {key.id for key in listed(boss)}


@pytest.mark.parametrize("driver", MANAGED)
def test_deleting_what_is_gone_is_no_error(host: Host, driver: str) -> None:
    boss = admin(host, driver)
    new = boss.create_key("once", ["read"], [])
    boss.delete_key(new.facts)
    boss.delete_key(new.facts)
    boss.delete_key(ApiKey("never-existed"))


@pytest.mark.parametrize("driver", TELLING)
def test_a_key_is_refused_from_an_address_that_is_not_on_its_list(host: Host, driver: str) -> None:
    server = host.venues[driver]
    bound = made_key(server, ["read", "trade"], ["127.0.0.1"])
    assert account(server, driver, bound).own_key().ip_allow_list in (("127.0.0.1",), None)
    with pytest.raises(AuthError):
        account(server, driver, bound, from_address=OTHER_ADDRESS).own_key()
    both = made_key(server, ["read", "trade"], ["127.0.0.1", OTHER_ADDRESS])
    account(server, driver, both, from_address=OTHER_ADDRESS).own_key()


@pytest.mark.parametrize("driver", [driver for driver in MANAGED if driver != "deribit"])  # there reading is enough
def test_a_key_that_may_not_manage_keys_sees_none(host: Host, driver: str) -> None:
    server = host.venues[driver]
    with pytest.raises(AuthError):
        account(server, driver, made_key(server, ["read", "trade"])).keys()


@pytest.mark.parametrize("driver", MANAGED)
def test_a_key_that_may_not_manage_keys_makes_and_deletes_none(host: Host, driver: str) -> None:
    server = host.venues[driver]
    before = set(server.exchange.keys)
    other = made_key(server, ["read", "trade"])
    user = account(server, driver, other)
    with pytest.raises(AuthError):
        user.create_key("mine", ["read", "trade"], [])
    with pytest.raises(AuthError):
        user.delete_key(ApiKey(KEY.id))
    assert set(server.exchange.keys) == before | {other.id}


@pytest.mark.parametrize("driver", MANAGED)
def test_what_a_person_makes_on_the_website_is_listed(host: Host, driver: str) -> None:
    server, boss = host.venues[driver], admin(host, driver)
    planted = made_key(server, ["read", "trade", "withdraw"], label="planted")
    [seen] = [key for key in listed(boss) if key.id == planted.id]
    assert seen.permissions is not None
    assert {"trade", "withdraw"} <= seen.permissions
    assert seen.ip_allow_list == ()
    assert seen.label == "planted"


@pytest.mark.parametrize("driver", MANAGED)
def test_all_pages_of_keys(host: Host, driver: str) -> None:
    server, boss = host.venues[driver], admin(host, driver)
    made = {made_key(server, ["read"], label=f"many{number}").id for number in range(45)}
    found = [key.id for key in listed(boss)]
    assert made <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("driver", MANAGED)
@pytest.mark.parametrize(("kind", "options"), [("hang", {}), ("reset", {}), ("status", {"status": 502}), ("html", {})])
def test_a_key_whose_creation_went_unheard_is_found_by_its_label(
    host: Host, driver: str, kind: str, options: dict[str, int]
) -> None:
    boss = admin(host, driver)
    boss.venue.http.request_timeout = 0.3
    host.inject(driver, kind=kind, op="create_key", executes=True, remaining=1, **options)
    with pytest.raises(UnknownOutcome):
        boss.create_key("lost1", ["read", "trade"], ["127.0.0.1"])
    [lost] = [key for key in listed(boss) if key.label == "lost1"]
    boss.delete_key(lost)
    assert "lost1" not in {key.label for key in listed(boss)}


FALSE_NONE = ("html", "empty_object", "empty_body", "truncated", "half_body", "wrong_schema")


@pytest.mark.parametrize("driver", MANAGED)
@pytest.mark.parametrize("kind", FALSE_NONE)
def test_a_damaged_listing_is_never_no_keys(host: Host, driver: str, kind: str) -> None:
    boss = admin(host, driver)
    host.inject(driver, kind=kind, op="keys")
    with pytest.raises(UnknownOutcome):
        listed(boss)


@pytest.mark.parametrize("driver", WITH_WITHDRAWALS)
@pytest.mark.parametrize("kind", FALSE_NONE)
def test_a_damaged_listing_is_never_no_withdrawals(host: Host, driver: str, kind: str) -> None:
    boss = admin(host, driver)
    host.inject(driver, kind=kind, op="withdrawals")
    with pytest.raises(UnknownOutcome):
        boss.withdrawals(0 if driver != "bybit" else boss.venue.now_ms() - 1000)


@pytest.mark.parametrize("driver", WITH_WITHDRAWALS)
def test_withdrawals_are_listed_in_every_state(host: Host, driver: str) -> None:
    server, boss = host.venues[driver], admin(host, driver)
    treasury, coin = server.exchange.treasury, COIN[driver]
    since = server.exchange.now_ms() - 1000
    pending, gone, stopped = (treasury.withdraw(coin, Decimal(n), ELSEWHERE) for n in (1, 2, 3))
    treasury.complete(gone.id)
    treasury.cancel(stopped.id)
    found = {w.amount: w for w in boss.withdrawals(since)}
    assert [found[Decimal(n)].state for n in (1, 2, 3)] == ["pending", "done", "cancelled"]
    assert found[Decimal(1)].address == ELSEWHERE
    assert found[Decimal(1)].asset == coin
    assert boss.withdrawals(server.exchange.now_ms() + 5000) == []
    assert pending.state == "pending"


@pytest.mark.parametrize("driver", WITH_WITHDRAWALS)
def test_all_pages_of_withdrawals(host: Host, driver: str) -> None:
    server, boss = host.venues[driver], admin(host, driver)
    since = server.exchange.now_ms()
    for number in range(230):
        made = server.exchange.treasury.withdraw(COIN[driver], Decimal("0.001"), ELSEWHERE)
        made.at_ms = since + number // 30  # several in one millisecond, also across a page's end
    assert len({w.id for w in boss.withdrawals(since)}) == 230


@pytest.mark.parametrize("driver", CANCELLING)
def test_a_pending_withdrawal_is_stopped_and_the_money_is_back(host: Host, driver: str) -> None:
    server, boss = host.venues[driver], admin(host, driver)
    coin = COIN[driver]
    before = server.exchange.balances[coin]
    server.exchange.treasury.withdraw(coin, Decimal(2), ELSEWHERE)
    [pending] = boss.withdrawals(server.exchange.now_ms() - 60_000)
    boss.cancel_withdrawal(pending)
    assert [w.state for w in boss.withdrawals(server.exchange.now_ms() - 60_000)] == ["cancelled"]
    assert server.exchange.balances[coin] == before
    with pytest.raises(Rejected):
        boss.cancel_withdrawal(pending)


@pytest.mark.parametrize("driver", CANCELLING)
def test_a_cancel_that_is_a_lie_shows_in_the_next_listing(host: Host, driver: str) -> None:
    server, boss = host.venues[driver], admin(host, driver)
    server.exchange.treasury.withdraw(COIN[driver], Decimal(2), ELSEWHERE)
    host.inject(driver, kind="cancel_ignored", op="cancel_withdrawal")
    [pending] = boss.withdrawals(server.exchange.now_ms() - 60_000)
    boss.cancel_withdrawal(pending)
    assert [w.state for w in boss.withdrawals(server.exchange.now_ms() - 60_000)] == ["pending"]


@pytest.mark.parametrize("driver", CANCELLING)
def test_a_key_that_may_not_withdraw_stops_nothing(host: Host, driver: str) -> None:
    server, boss = host.venues[driver], admin(host, driver)
    server.exchange.treasury.withdraw(COIN[driver], Decimal(2), ELSEWHERE)
    [pending] = boss.withdrawals(server.exchange.now_ms() - 60_000)
    with pytest.raises(AuthError):
        account(server, driver, made_key(server, ["read", "trade"])).cancel_withdrawal(pending)


@pytest.mark.parametrize("driver", WITH_ADDRESSES)
def test_the_address_book(host: Host, driver: str) -> None:
    server, boss = host.venues[driver], admin(host, driver)
    for number in range(60):
        server.exchange.treasury.add_address(COIN[driver], f"0x{number}", label=f"cold {number}", ago_s=90 * 86400)
    server.exchange.treasury.add_address(COIN[driver], ELSEWHERE, label="new", trusted=False)
    book = {entry.address: entry for entry in boss.addresses()}
    assert len(book) == 61
    new, old = book[ELSEWHERE], book["0x1"]
    assert (new.asset, new.label) == (COIN[driver], "new")
    if new.trusted is not None:
        assert (new.trusted, old.trusted) == (False, True)
    if new.added_ms is not None and old.added_ms is not None:
        assert new.added_ms - old.added_ms > 80 * 86_400_000


@pytest.mark.parametrize("driver", WITH_LOGINS)
def test_logins(host: Host, driver: str) -> None:
    server, boss = host.venues[driver], admin(host, driver)
    treasury = server.exchange.treasury
    for _ in range(250):
        treasury.add_login("10.0.0.5", ago_s=3600)
    treasury.add_login("203.0.113.66", ok=False)
    treasury.add_login("203.0.113.66")
    treasury.add_login("203.0.113.66", event="changed_password")
    found = boss.logins(server.exchange.now_ms() - 60_000)
    assert [(login.ip, login.ok, login.event) for login in found] == [
        ("203.0.113.66", False, "login"),
        ("203.0.113.66", True, "login"),
        ("203.0.113.66", True, "changed_password"),
    ]
    assert len(boss.logins(server.exchange.now_ms() - 7_200_000)) == 253


@pytest.mark.parametrize("driver", ACCOUNTS)
def test_what_is_not_offered_says_so_and_has_steps_for_a_person(host: Host, driver: str) -> None:
    boss, build = admin(host, driver), account_class(driver)
    asks: dict[str, Callable[[], object]] = {
        "keys": boss.keys,
        "withdrawals": lambda: boss.withdrawals(0),
        "addresses": boss.addresses,
        "logins": lambda: boss.logins(0),
    }
    for part, ask in asks.items():
        if not offers(driver, part):
            with pytest.raises(NotOffered):
                ask()
            assert build.steps_to_look[part], part
    assert build.steps_to_create
    assert build.steps_to_revoke
    assert build.steps_to_freeze_withdrawals


@pytest.mark.parametrize("driver", MANAGED)
def test_what_only_a_person_may_give_is_not_offered_before_anything_is_sent(host: Host, driver: str) -> None:
    server, boss = host.venues[driver], admin(host, driver)
    boss.venue.http.close()
    asked = len(server.seen)
    with pytest.raises(NotOffered):
        boss.create_key("odd", ["read", "mint"], [])
    assert len(server.seen) == asked


@pytest.mark.parametrize("driver", ACCOUNTS)
def test_nothing_is_lost_of_the_reason_and_no_secret_is_told(host: Host, driver: str) -> None:
    server = host.venues[driver]
    key = admin_key(server, driver)
    boss = account(server, driver, key)
    server.exchange.remove_key(key.id)
    with pytest.raises(VenueError) as caught:
        boss.own_key()
    assert key.secret not in str(caught.value)
    assert key.id not in str(caught.value)
    assert not isinstance(caught.value, MalformedReply)


def test_a_key_that_was_disabled_is_refused_and_listed_as_that(host: Host) -> None:
    server, boss = host.venues["deribit"], admin(host, "deribit")
    key = made_key(server, ["read", "trade"])
    key.enabled = False
    with pytest.raises(AuthError):
        account(server, "deribit", key).venue.open_orders()
    assert [one.enabled for one in listed(boss) if one.id == key.id] == [False]
