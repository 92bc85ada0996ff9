# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What venues document that their account APIs answer, and what it means."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.settings import VenueEntry
from ansible_collections.hft.incident.plugins.module_utils.venues import open_venue
from ansible_collections.hft.incident.plugins.module_utils.venues.accounts import (
    account_class,
)
from ansible_collections.hft.incident.plugins.module_utils.venues.accounts.api import (
    Account,
    Address,
    ApiKey,
    Login,
    Withdrawal,
)
from ansible_collections.hft.incident.plugins.module_utils.venues.krakenfutures import KEY_CHECK

from . import oracle, stub
from .stub import Answer

SUB_ACCOUNT = {"bybit": "24617703", "okx": "labtrading"}
CANARY = "s3cr3tcanary"


def account(driver: str, answer: Answer | dict[str, Any]) -> tuple[Account, stub.Stub]:
    """The account at the oracle's frozen moment, and its venue."""
    entry = VenueEntry("x", driver, "http://127.0.0.1:9")
    build = type(open_venue(entry, keyless=True))
    options = {"nonce": lambda: str(oracle.NOW_MS)} if driver == "deribit" else {}
    venue, http = stub.venue(build, answer, **options)
    return account_class(driver)(venue, SUB_ACCOUNT.get(driver, "")), http


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


def first_with(value: Any, field: str) -> Any:
    """The first object in the reply that has this field; a row before the envelope around it."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inside:
        found = first_with(item, field)
        if found is not None:
            return found
    return value if isinstance(value, dict) and field in value else None
