# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The accounts: their requests against ccxt's signature, their reading of the venues' documented replies."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    Account,
    Address,
    ApiKey,
    Login,
    NotOffered,
    Withdrawal,
)
from ansible_collections.hft.incident.plugins.module_utils.venues.api import Call, Credentials
from ansible_collections.hft.incident.plugins.module_utils.venues.binance import RECV_WINDOW_MS as BINANCE_WINDOW_MS
from ansible_collections.hft.incident.plugins.module_utils.venues.bybit import RECV_WINDOW_MS as BYBIT_WINDOW_MS
from ansible_collections.hft.incident.plugins.module_utils.venues.errors import (
    AuthError,
    MalformedReply,
    Rejected,
    UnknownOutcome,
    VenueError,
)
from ansible_collections.hft.incident.plugins.module_utils.venues.krakenfutures import KEY_CHECK

from . import oracle, stub
from .stub import FALSE_EMPTY, FALSE_EMPTY_LIST, Answer, Asked, Reply

SUB_ACCOUNT = {"bybit": "24617703", "okx": "labtrading"}
CANARY = "s3cr3tcanary"


def account(driver: str, answer: Answer | dict[str, Any]) -> tuple[Account, stub.Stub]:
    """The account at the oracle's frozen moment, and its venue."""
    entry = VenueEntry("x", driver, "http://127.0.0.1:9")
    build = type(open_venue(entry, keyless=True))
    options = {"nonce": lambda: str(oracle.NOW_MS)} if driver == "deribit" else {}
    venue, http = stub.venue(build, answer, **options)
    return account_class(driver)(venue, SUB_ACCOUNT.get(driver, "")), http


# The requests, against ccxt -----------------------------------------------------------------------------------------

#: What ccxt calls the section, and what of a path it does not name.
SECTIONS = {
    "binance": ("sapi", "/sapi/v1/"),
    "bybit": ("private", "/"),
    "okx": ("private", "/api/v5/"),
    "kraken": ("private", "/0/private/"),
    "deribit": ("private", "/api/v2/private/"),
}


def test_every_call_of_every_account_is_one_that_ccxt_knows_and_signs_likewise() -> None:
    signed = 0
    for driver, (section, prefix) in SECTIONS.items():
        for call in calls_of(driver):
            given_too = {"label": "a/c", "ips": "192.0.2.1,192.0.2.2"} if call.method == "POST" else {}
            if driver == "deribit":  # the one venue whose parameters have spaces and lists in them
                given_too = {"max_scope": "account:read trade:read_write", "ip_whitelist": '["192.0.2.1"]'}
            compare(driver, section, prefix, call.given(**given_too))
            signed += 1
    assert signed == 29


def calls_of(driver: str) -> list[Call]:
    return [call for call in vars(account_class(driver)).values() if isinstance(call, Call) and call.signed]


def compare(driver: str, section: str, prefix: str, call: Call) -> None:
    assert call.path.startswith(prefix)
    build = type(open_venue(VenueEntry("x", driver, "http://127.0.0.1:9"), keyless=True))
    options: dict[str, Any] = {"nonce": lambda: str(oracle.NOW_MS)} if driver == "deribit" else {}
    request = oracle.adapter(build, **options).sign(call)
    windows = {"binance": BINANCE_WINDOW_MS, "bybit": BYBIT_WINDOW_MS}
    exchange = oracle.ccxt_exchange(driver, **({"recvWindow": windows[driver]} if driver in windows else {}))
    if driver == "kraken":
        nonce = int(dict(parse_qsl((request.body or b"").decode()))["nonce"])
        exchange.incrementing_nonce = lambda: nonce
    assert known_to(exchange, section, call, call.path.removeprefix(prefix)), call.name
    theirs = oracle.theirs(exchange, call.path.removeprefix(prefix), [section, "GET"], call.method, dict(call.params))
    theirs.headers.pop("referer", None)  # ccxt's own broker id
    assert oracle.ours(request) == theirs


def known_to(exchange: Any, section: str, call: Call, path: str) -> bool:
    return path in exchange.api[section][call.method.lower()]


def test_the_key_check_of_kraken_futures_is_signed_as_ccxt_signs_what_is_not_about_derivatives() -> None:
    """ccxt does not have this service; it has others beside the derivatives, and one rule for all of them."""
    exchange = oracle.ccxt_exchange("krakenfutures")
    exchange.urls["api"]["auth"] = "https://futures.kraken.com/api/auth/"
    exchange.options["access"]["auth"] = {"GET": {"api-keys/v3/check": "private"}}
    theirs = oracle.theirs(exchange, "api-keys/v3/check", ["auth"], "GET", {"version": "v1"})
    build = type(open_venue(VenueEntry("x", "krakenfutures", "http://127.0.0.1:9"), keyless=True))
    assert oracle.ours(oracle.adapter(build).sign(KEY_CHECK)) == theirs


# The venues' own examples -------------------------------------------------------------------------------------------


def bybit(result: Any) -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "", "result": result, "retExtInfo": {}, "time": 1672211918471}


def okx(*rows: Any) -> dict[str, Any]:
    return {"code": "0", "data": list(rows), "msg": ""}


def kraken(result: Any) -> dict[str, Any]:
    return {"error": [], "result": result}


def deribit(result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 2553, "result": result, "usIn": 1, "usOut": 2, "usDiff": 1}


BYBIT_KEY = {
    "id": "13770661",
    "note": "readwrite api key",
    "apiKey": "XXXXXX",
    "readOnly": 0,
    "secret": "",
    "permissions": {
        "ContractTrade": ["Order", "Position"],
        "Spot": ["SpotTrade"],
        "Wallet": ["AccountTransfer", "SubMemberTransfer"],
        "Options": ["OptionsTrade"],
        "Derivatives": [],
        "CopyTrading": [],
        "BlockTrade": [],
        "Exchange": [],
        "NFT": ["NFTQueryProductList"],
        "Affiliate": [],
    },
    "ips": ["*"],
    "type": 1,
    "deadlineDay": 66,
    "expiredAt": "2023-12-22T07:20:25Z",
    "createdAt": "2022-10-16T02:24:40Z",
    "uta": 0,
    "userID": 24617703,
    "isMaster": True,
    "parentUid": "0",
}
OKX_CONFIG = {
    "acctLv": "2",
    "ip": "117.37.203.58,117.37.203.57",
    "label": "v5 test",
    "mainUid": "44705892343619584",
    "perm": "read_only,withdraw,trade",
    "posMode": "long_short_mode",
    "type": "0",
    "uid": "44705892343619584",
}
DERIBIT_KEYS = [
    {
        "timestamp": 1560236001108,
        "max_scope": "account:read block_trade:read trade:read_write wallet:read",
        "id": 1,
        "enabled": False,
        "default": False,
        "client_secret": CANARY,
        "client_id": "TiA4AyLPq3",
        "name": "",
        "enabled_features": [],
    },
    {
        "timestamp": 1560236287708,
        "max_scope": "account:read_write block_trade:none custody:read_write trade:read_write wallet:read_write",
        "id": 2,
        "enabled": True,
        "default": True,
        "client_secret": CANARY,
        "client_id": oracle.KEY,
        "name": "desk",
        "enabled_features": [],
        "ip_whitelist": ["192.0.2.7"],
    },
]
KRAKEN_KEY = {
    "apiKeyName": "my-api-key",
    "apiKey": "4/SDrDBcOOPnm3nPlNfEMMJDeRcIVqPz+QhRxIodyZbI9po/aVRiHsgX",
    "nonce": "1772627060997",
    "nonceWindow": 0,
    "permissions": ["query-funds", "withdraw-funds", "query-open-trades", "modify-trades"],
    "iban": "AA88 N84G WOAK NMOI",
    "validUntil": "0",
    "queryFrom": "0",
    "queryTo": "0",
    "createdTime": "1772542900",
    "modifiedTime": "1772543095",
    "ipAllowlist": [],
    "lastUsed": "1772627061",
}
KRAKENFUTURES_KEY = {
    "apiKey": "Gom9BsP75m41c9fuY6oJk/unMWaDZjYIcTP4/5kqPvtzdbj5JU5/Fyeb",
    "accountUid": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
    "iiban": "AA08 N84G CPAR UN7A",
    "createdAt": "2019-08-24T14:15:22Z",
    "permissions": {"general": "FULL_ACCESS", "transfer": "NO_ACCESS"},
    "allowedCidrBlock": "192.168.0.0/16",
    "allowedCidrBlocks": ["192.168.0.0/16", "192.0.2.1/32"],
}
BINANCE_KEY = {
    "ipRestrict": False,
    "createTime": 1698645219000,
    "enableReading": True,
    "enableWithdrawals": False,
    "enableInternalTransfer": False,
    "enableMargin": False,
    "enableFutures": False,
    "permitsUniversalTransfer": False,
    "enableVanillaOptions": False,
    "enableFixApiTrade": False,
    "enableFixReadOnly": True,
    "enableSpotAndMarginTrading": False,
    "enablePortfolioMarginTrading": True,
}


class Example(NamedTuple):
    """One question, its documented answer, and what it means. ``needs``: the fields without which it means nothing."""

    driver: str
    ask: Callable[[Account], Any]
    replies: dict[str, Any]
    means: Any
    path: str
    needs: tuple[str, ...]


def own_key(account: Account) -> ApiKey:
    return account.own_key()


def keys(account: Account) -> list[ApiKey]:
    return account.keys()


def withdrawals(account: Account) -> list[Withdrawal]:
    return account.withdrawals(0 if account.driver == "okx" else oracle.NOW_MS - 86_400_000)


def every_withdrawal(account: Account) -> list[Withdrawal]:
    return account.withdrawals(0)


def addresses(account: Account) -> list[Address]:
    return account.addresses()


def logins(account: Account) -> list[Login]:
    return account.logins(0)


CURRENCIES = {"/api/v2/public/get_currencies": deribit([{"currency": "BTC", "fee_precision": 4}])}
EXAMPLES = [
    Example(
        "bybit",
        own_key,
        {"/v5/user/query-api": bybit(BYBIT_KEY)},
        ApiKey(
            "XXXXXX",
            "readwrite api key",
            frozenset({"read", "trade", "transfer", "manage_keys", "other:NFTQueryProductList"}),
            (),
            created_ms=1665887080000,
        ),
        "/v5/user/query-api",
        ("apiKey", "readOnly", "permissions", "ips", "isMaster"),
    ),
    Example(
        "okx",
        own_key,
        {"/api/v5/account/config": okx(OKX_CONFIG)},
        ApiKey(
            oracle.KEY,
            "v5 test",
            frozenset({"read", "trade", "withdraw", "manage_keys"}),
            ("117.37.203.58", "117.37.203.57"),
        ),
        "/api/v5/account/config",
        ("perm", "ip", "type"),
    ),
    Example(
        "deribit",
        keys,
        {"/api/v2/private/list_api_keys": deribit(DERIBIT_KEYS)},
        [
            ApiKey("TiA4AyLPq3", "", frozenset({"read", "trade"}), (), enabled=False, created_ms=1560236001108),
            ApiKey(
                oracle.KEY,
                "desk",
                frozenset({"read", "trade", "withdraw", "transfer", "manage_keys", "other:custody:read_write"}),
                ("192.0.2.7",),
                created_ms=1560236287708,
            ),
        ],
        "/api/v2/private/list_api_keys",
        ("timestamp", "max_scope", "enabled", "client_id"),
    ),
    Example(
        "kraken",
        own_key,
        {"/0/private/GetApiKeyInfo": kraken(KRAKEN_KEY)},
        ApiKey(
            "4/SDrDBcOOPnm3nPlNfEMMJDeRcIVqPz+QhRxIodyZbI9po/aVRiHsgX",
            "my-api-key",
            frozenset({"read", "trade", "withdraw"}),
            (),
            created_ms=1772542900000,
        ),
        "/0/private/GetApiKeyInfo",
        ("apiKey", "permissions", "ipAllowlist", "createdTime"),
    ),
    Example(
        "krakenfutures",
        own_key,
        {KEY_CHECK.path: KRAKENFUTURES_KEY},
        ApiKey(
            "Gom9BsP75m41c9fuY6oJk/unMWaDZjYIcTP4/5kqPvtzdbj5JU5/Fyeb",
            "",
            frozenset({"read", "trade"}),
            ("192.168.0.0/16", "192.0.2.1"),
            created_ms=1566656122000,
        ),
        KEY_CHECK.path,
        ("apiKey", "createdAt", "permissions", "allowedCidrBlocks"),
    ),
    Example(
        "binance",
        own_key,
        {"/sapi/v1/account/apiRestrictions": BINANCE_KEY},
        ApiKey(oracle.KEY, "", frozenset({"read", "trade"}), (), created_ms=1698645219000),
        "/sapi/v1/account/apiRestrictions",
        ("ipRestrict", "createTime", "enableWithdrawals"),
    ),
    Example(
        "bybit",
        withdrawals,
        {
            "/v5/asset/withdraw/query-record": bybit(
                {
                    "rows": [
                        {
                            "coin": "USDT",
                            "chain": "ETH",
                            "amount": "77",
                            "txID": "",
                            "status": "SecurityCheck",
                            "toAddress": "0x99ced129603abc771c0dabe935c326ff6c86645d",
                            "tag": "",
                            "withdrawFee": "10",
                            "createTime": "1670922217000",
                            "updateTime": "1670922217000",
                            "withdrawId": "9976",
                            "withdrawType": 0,
                        }
                    ],
                    "nextPageCursor": "",
                }
            )
        },
        [
            Withdrawal(
                "9976",
                "USDT",
                Decimal(77),
                "0x99ced129603abc771c0dabe935c326ff6c86645d",
                "pending",
                1670922217000,
            )
        ],
        "/v5/asset/withdraw/query-record",
        ("coin", "amount", "status", "toAddress", "createTime", "withdrawId"),
    ),
    Example(
        "okx",
        withdrawals,
        {
            "/api/v5/asset/withdrawal-history": okx(
                {
                    "note": "",
                    "chain": "ETH-Ethereum",
                    "fee": "0.007",
                    "ccy": "ETH",
                    "clientId": "",
                    "amt": "0.029809",
                    "txId": "0x35c360",
                    "from": "156",
                    "to": "0xa30d1fab",
                    "state": "2",
                    "ts": "1655251200000",
                    "wdId": "15447421",
                }
            )
        },
        [Withdrawal("15447421", "ETH", Decimal("0.029809"), "0xa30d1fab", "done", 1655251200000)],
        "/api/v5/asset/withdrawal-history",
        ("ccy", "amt", "to", "state", "ts", "wdId"),
    ),
    Example(
        "deribit",
        every_withdrawal,
        {
            **CURRENCIES,
            "/api/v2/private/get_withdrawals": deribit(
                {
                    "count": 1,
                    "data": [
                        {
                            "address": "2NBqqD5GRJ8wHy1PYyCXTe9ke5226FhavBz",
                            "amount": 0.5,
                            "confirmed_timestamp": None,
                            "created_timestamp": 1550571443070,
                            "currency": "BTC",
                            "fee": 0.0001,
                            "id": 1,
                            "priority": 0.15,
                            "state": "unconfirmed",
                            "transaction_id": None,
                            "updated_timestamp": 1550571443070,
                        }
                    ],
                }
            ),
        },
        [Withdrawal("1", "BTC", Decimal("0.5"), "2NBqqD5GRJ8wHy1PYyCXTe9ke5226FhavBz", "pending", 1550571443070)],
        "/api/v2/private/get_withdrawals",
        ("address", "amount", "created_timestamp", "currency", "id", "state"),
    ),
    Example(
        "kraken",
        every_withdrawal,
        {
            "/0/private/WithdrawStatus": kraken(
                {
                    "withdrawals": [
                        {
                            "method": "Bitcoin",
                            "aclass": "currency",
                            "asset": "XXBT",
                            "refid": "FTQcuak-V6Za8qrWnhzTx67yYHz8Tg",
                            "txid": "THVRQM-33VKH-UCI7BS",
                            "info": "mzp6yUVMRxfasyfwzTZjjy38dHqMX7Z3GR",
                            "amount": "0.72485000",
                            "fee": "0.00020000",
                            "time": 1688014586,
                            "status": "Pending",
                            "key": "btc-wallet-1",
                        }
                    ],
                    "next_cursor": None,
                }
            )
        },
        [
            Withdrawal(
                "FTQcuak-V6Za8qrWnhzTx67yYHz8Tg",
                "XXBT",
                Decimal("0.72485"),
                "mzp6yUVMRxfasyfwzTZjjy38dHqMX7Z3GR",
                "pending",
                1688014586000,
            )
        ],
        "/0/private/WithdrawStatus",
        ("asset", "refid", "info", "amount", "time", "status"),
    ),
    Example(
        "binance",
        withdrawals,
        {
            "/sapi/v1/capital/withdraw/history": [
                {
                    "id": "b6ae22b3aa844210a7041aee7589627c",
                    "amount": "8.91000000",
                    "transactionFee": "0.004",
                    "coin": "USDT",
                    "status": 6,
                    "address": "0x94df8b352de7f46f64b01d3666bf6e936e44ce60",
                    "txId": "0xb5ef8c13",
                    "applyTime": "2019-10-12 11:12:02",
                    "network": "ETH",
                    "transferType": 0,
                }
            ]
        },
        [
            Withdrawal(
                "b6ae22b3aa844210a7041aee7589627c",
                "USDT",
                Decimal("8.91"),
                "0x94df8b352de7f46f64b01d3666bf6e936e44ce60",
                "done",
                1570878722000,
            )
        ],
        "/sapi/v1/capital/withdraw/history",
        ("id", "amount", "coin", "status", "address", "applyTime"),
    ),
    Example(
        "bybit",
        addresses,
        {
            "/v5/asset/withdraw/query-address": bybit(
                {
                    "rows": [
                        {
                            "coin": "USDT",
                            "chain": "ETH",
                            "address": "0x48101adb67d426cb15e46be5f1d9f6ab25f311ea",
                            "tag": "",
                            "remark": "cold",
                            "status": 0,
                            "addressType": 0,
                            "verified": 0,
                            "createdAt": "1760951195",
                        }
                    ],
                    "nextPageCursor": "",
                }
            )
        },
        [Address("USDT", "0x48101adb67d426cb15e46be5f1d9f6ab25f311ea", "cold", False, 1760951195000)],
        "/v5/asset/withdraw/query-address",
        ("coin", "address", "verified", "createdAt"),
    ),
    Example(
        "deribit",
        addresses,
        {
            **CURRENCIES,
            "/api/v2/private/get_address_book": deribit(
                [
                    {
                        "creation_timestamp": 1719993033041,
                        "requires_confirmation": True,
                        "currency": "BTC",
                        "address": "2NBqqD5GRJ8wHy1PYyCXTe9ke5226FhavBz",
                        "type": "withdrawal",
                        "status": "waiting",
                        "label": "Main Address",
                    }
                ]
            ),
        },
        [Address("BTC", "2NBqqD5GRJ8wHy1PYyCXTe9ke5226FhavBz", "Main Address", False, 1719993033041)],
        "/api/v2/private/get_address_book",
        ("creation_timestamp", "requires_confirmation", "currency", "address"),
    ),
    Example(
        "kraken",
        addresses,
        {
            "/0/private/WithdrawAddresses": kraken(
                [
                    {
                        "address": "bc1qxdsh4sdd29h6ldehz0se5c61asq8cgwyjf2y3z",
                        "asset": "XBT",
                        "method": "Bitcoin",
                        "key": "btc-wallet-1",
                        "verified": True,
                    }
                ]
            )
        },
        [Address("XBT", "bc1qxdsh4sdd29h6ldehz0se5c61asq8cgwyjf2y3z", "btc-wallet-1", True)],
        "/0/private/WithdrawAddresses",
        ("address", "asset", "verified"),
    ),
    Example(
        "binance",
        addresses,
        {
            "/sapi/v1/capital/withdraw/address/list": [
                {
                    "address": "1EJWTtEQAaXnQNDRcZ8w4uRXeRgtCYjfSj",
                    "addressTag": "",
                    "coin": "BTC",
                    "name": "satoshi",
                    "network": "BTC",
                    "origin": "bla",
                    "originType": "others",
                    "whiteStatus": True,
                }
            ]
        },
        [Address("BTC", "1EJWTtEQAaXnQNDRcZ8w4uRXeRgtCYjfSj", "satoshi", True)],
        "/sapi/v1/capital/withdraw/address/list",
        ("address", "coin", "whiteStatus"),
    ),
    Example(
        "deribit",
        logins,
        {
            "/api/v2/private/get_access_log": deribit(
                [
                    {"id": 2, "ip": "192.0.2.9", "timestamp": 2000, "country": "", "city": "", "log": "failure"},
                    {"id": 1, "ip": "192.0.2.9", "timestamp": 1000, "country": "NL", "city": "A", "log": "new_api_key"},
                ]
            )
        },
        [Login(1000, "192.0.2.9", True, "A, NL", "new_api_key"), Login(2000, "192.0.2.9", False)],
        "/api/v2/private/get_access_log",
        ("id", "ip", "timestamp", "log"),
    ),
]


def named(example: Example) -> str:
    return f"{example.driver}-{example.ask.__name__}"


each_example = pytest.mark.parametrize("example", EXAMPLES, ids=named)


@each_example
def test_the_venues_own_example_is_read(example: Example) -> None:
    asking, _ = account(example.driver, example.replies)
    assert example.ask(asking) == example.means


@each_example
def test_a_reply_without_a_field_that_matters_proves_nothing(example: Example) -> None:
    for field in example.needs:
        for spoilt in spoilings(example.replies[example.path], field):
            asking, _ = account(example.driver, {**example.replies, example.path: spoilt})
            with pytest.raises(MalformedReply):
                example.ask(asking)


def spoilings(reply: Any, field: str) -> Iterator[Any]:
    """The reply with this field missing and of another type, wherever it first is."""
    values: tuple[Any, ...] = (None, [], {"a": 1}, ...)
    for value in values:
        spoilt = copy.deepcopy(reply)
        holder = first_with(spoilt, field)
        if value is ...:
            del holder[field]
        elif type(value) is not type(holder[field]):
            holder[field] = value
        else:
            continue
        yield spoilt


def first_with(value: Any, field: str) -> Any:
    """The first object in the reply that has this field; a row before the envelope around it."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inside:
        found = first_with(item, field)
        if found is not None:
            return found
    return value if isinstance(value, dict) and field in value else None


@each_example
def test_what_is_no_reply_is_never_an_empty_one(example: Example) -> None:
    # What binance lists comes in no envelope: there an empty list is the truth.
    bodies = FALSE_EMPTY_LIST if example.driver == "binance" else FALSE_EMPTY
    for name, body in bodies.items():
        asking, _ = account(example.driver, {**example.replies, example.path: body})
        with pytest.raises(UnknownOutcome):
            pytest.fail(f"{name}: {example.ask(asking)}")


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["0", "ok", "2.0"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["result", "data", "code", "retCode", "error", "rows", "nextPageCursor", "jsonrpc", "withdrawals"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@each_example
@given(document=DOCUMENTS)
def test_arbitrary_json_is_a_venue_error_or_really_a_reply(example: Example, document: Any) -> None:
    asking, _ = account(example.driver, {**example.replies, example.path: document})
    try:
        found = example.ask(asking)
    except VenueError:
        return
    assert found == []
    assert empty_listing(example.driver, document)


def empty_listing(driver: str, document: Any) -> bool:
    """Whether this is how the venue says that there is nothing."""
    if driver == "binance":
        return isinstance(document, list) and not document
    key = {"okx": "data"}.get(driver, "result")
    inside = document[key]
    return bool(inside == [] or (isinstance(inside, dict) and [] in inside.values()))


@each_example
@given(data=st.data())
def test_a_reply_spoilt_anywhere_is_a_venue_error_or_as_long_as_before(example: Example, data: st.DataObject) -> None:
    reply = copy.deepcopy(example.replies[example.path])
    holder, key = data.draw(st.sampled_from(list(places(reply))))
    if data.draw(st.booleans()):
        del holder[key]
    else:
        holder[key] = data.draw(DOCUMENTS)
    asking, _ = account(example.driver, {**example.replies, example.path: reply})
    try:
        found = example.ask(asking)
    except VenueError:
        return
    if isinstance(found, list) and not found:
        assert empty_listing(example.driver, reply)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a reply, as what holds it and the key it has there."""
    items = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for key, item in items:
        yield value, key
        yield from places(item)


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
