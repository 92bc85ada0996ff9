# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What may enter a journal, and what of it is masked."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from tests.unit.journal_data import json_data

from ansible_collections.hft.incident.plugins.module_utils.journal import Journal
from ansible_collections.hft.incident.plugins.module_utils.redaction import is_secret_field, recordable, scrub_text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inc" / "journal.jsonl"


class Verdict(NamedTuple):
    name: str
    open_after: int


def test_values_become_plain_json() -> None:
    zurich = datetime(2026, 11, 23, 11, 0, tzinfo=timezone(timedelta(hours=1)))
    given = {
        "price": Decimal("0.10"),
        "at": zurich,
        "utc": datetime(2026, 11, 23, 10, 0, 0, 5, tzinfo=UTC),
        "share": 0.5,
        "lost": float("nan"),
        "pair": (1, 2),
        "verdict": Verdict("okx", 3),
        "name": os.fsdecode(b"\xff"),
    }
    assert recordable(given) == {
        "price": "0.10",
        "at": "2026-11-23T10:00:00.000000Z",
        "utc": "2026-11-23T10:00:00.000005Z",
        "share": 0.5,
        "lost": "nan",
        "pair": [1, 2],
        "verdict": {"name": "okx", "open_after": 3},
        "name": "\\udcff",
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": {"b": [1, {2}]}}, r"data\.a\.b\[1\]: a set cannot be recorded"),
        ({"a": b"raw"}, r"data\.a: a bytes cannot be recorded"),
        ({"a": {1: 2}}, r"data\.a: a field name must be text, not int"),
        ({"a": datetime(2026, 1, 1)}, r"data\.a: a time without a zone"),  # noqa: DTZ001  that is what is refused
    ],
)
def test_what_json_cannot_say_is_a_clear_type_error_and_writes_nothing(path: Path, value: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Journal(path).append("a.happened", value)
    assert not path.exists()


@pytest.mark.parametrize("kind", ["opened", "Incident.Opened", "incident.", "a b.c", ""])
def test_a_kind_that_is_not_dotted_is_refused(path: Path, kind: str) -> None:
    with pytest.raises(ValueError, match="not an event kind"):
        Journal(path).append(kind, {})


SECRET_FIELDS = [
    "api_secret",
    "apiSecret",
    "API-Key",
    "OK-ACCESS-SIGN",
    "OK-ACCESS-PASSPHRASE",
    "X-BAPI-API-KEY",
    "X-MBX-APIKEY",
    "Authent",
    "password",
    "db_password",
    "token",
    "hft_api_token",
    "passphrase",
    "private_key",
    "Authorization",
    "signature",
    "secret",
]
HARMLESS_FIELDS = [
    "token_count",
    "key",
    "keys",
    "order_id",
    "signature_valid",
    "sign",
    "tokenized",
    "secretary",
    "passed",
    "api_key_id",
]


@pytest.mark.parametrize("name", SECRET_FIELDS)
def test_a_secret_field_is_masked_at_any_depth(path: Path, name: str) -> None:
    canary = "canary5a1t"
    Journal(path).append("a.happened", {"outer": [{name: canary, "deep": {name: {"value": [canary]}}}], name: canary})
    assert canary not in path.read_text()
    assert is_secret_field(name)


@pytest.mark.parametrize("name", HARMLESS_FIELDS)
def test_a_field_that_only_sounds_like_a_secret_stays(name: str) -> None:
    assert recordable({name: "value1"}) == {name: "value1"}


@pytest.mark.parametrize("value", ["env:BINANCE_KEY", "file:/etc/keys/k", "cmd:pass show k", None, True, ""])
def test_a_reference_or_the_lack_of_a_secret_stays(value: Any) -> None:
    assert recordable({"api_secret": value}) == {"api_secret": value}


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("GET /order?symbol=BTC&signature=ab12&x=1", "GET /order?symbol=BTC&signature=***&x=1"),
        ("see https://x/?a=1&signature=ab12", "see https://x/?a=1&signature=***"),
        ("error: token=ab12", "error: token=***"),
        ("Authorization: Bearer abcdef.123", "Authorization: Bearer ***"),
        ("OK-ACCESS-SIGN: abc123=", "OK-ACCESS-SIGN: ***"),
        ('refused {"api_key": "k1", "code": 3}', 'refused {"api_key": "***", "code": 3}'),
        ("postgres://me:hunter2@db/x", "postgres://***@db/x"),
        ("password: hunter2", "password: ***"),
        ("api_secret=env:BINANCE", "api_secret=env:BINANCE"),
        ("invalid token: expired", "invalid token: expired"),
        ("token_count=3, key: a1, cancelled: 30", "token_count=3, key: a1, cancelled: 30"),
        ("http://127.0.0.1:8080/api refused", "http://127.0.0.1:8080/api refused"),
    ],
)
def test_secret_fields_inside_a_sentence_are_masked_and_the_rest_stays(text: str, scrubbed: str) -> None:
    assert scrub_text(text) == scrubbed


@given(json_data)
def test_recording_is_stable_and_leaves_its_argument_alone(data: dict[str, Any]) -> None:
    before = json.dumps(data)
    once = recordable(data)
    assert recordable(once) == once
    assert json.dumps(data) == before
