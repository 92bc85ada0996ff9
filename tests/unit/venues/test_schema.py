# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Reading a venue's JSON: what does not fit raises MalformedReply; nothing that is missing ever means "empty"."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.venues import schema
from ansible_collections.hft.incident.plugins.module_utils.venues.binance import Binance
from ansible_collections.hft.incident.plugins.module_utils.venues.bybit import Bybit
from ansible_collections.hft.incident.plugins.module_utils.venues.deribit import Deribit
from ansible_collections.hft.incident.plugins.module_utils.venues.errors import MalformedReply, VenueError
from ansible_collections.hft.incident.plugins.module_utils.venues.kraken import Kraken
from ansible_collections.hft.incident.plugins.module_utils.venues.krakenfutures import KrakenFutures
from ansible_collections.hft.incident.plugins.module_utils.venues.okx import Okx

from . import stub
from .stub import FALSE_EMPTY

# One value -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "empty reply"),
        (b" \r\n", "empty reply"),
        (b"  <html>", "an HTML page"),
        (b"OK", "not JSON"),
        (b'{"a": 1', "not JSON"),
        (b"{} {}", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"qty": NaN}', "not JSON"),
        (b'{"qty": -Infinity}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_json_is_told_by_its_kind(body: bytes, what: str) -> None:
    with pytest.raises(MalformedReply, match=f"GET /orders: .*{what}"):
        schema.parse(body, "GET /orders")


def test_a_number_with_a_fraction_keeps_every_digit() -> None:
    row = schema.parse(b'{"qty": 0.1000000000000000055511151231257827, "price": "1.10"}', "reply")
    assert schema.decimal(row, "qty", "reply") == Decimal("0.1000000000000000055511151231257827")
    assert schema.decimal(row, "price", "reply") == Decimal("1.1")


Reader = Callable[[schema.Row, str, str], object]
READERS: dict[str, tuple[Reader, list[Any], list[Any]]] = {
    "text": (schema.text, ["a", "0", 28, 0], ["", None, True, Decimal("1.5"), [], {}]),
    "decimal": (
        schema.decimal,
        [0, -3, "0.10", Decimal("1.5"), "1e-8"],
        ["", "many", "NaN", "Infinity", "-Infinity", "sNaN", "1,5", None, True, 1.5, [], {}],
    ),
    "integer": (schema.integer, [0, "1499827319559", "1.0", Decimal("2.0")], ["1.5", Decimal("0.1"), "", None, False]),
    "boolean": (schema.boolean, [True, False], ["true", 1, 0, None, "", [], {}]),
    "object_at": (schema.object_at, [{}, {"a": 1}], [[], "", None, 0, False]),
    "rows_at": (schema.rows_at, [[], [{}], [{"a": 1}, {}]], [{}, "", None, 0, [[]], [{}, None], ["a"]]),
}


@pytest.mark.parametrize(
    ("reader", "value"), [(name, value) for name, (_, good, _) in READERS.items() for value in good]
)
def test_a_value_of_the_right_type_is_read(reader: str, value: Any) -> None:
    READERS[reader][0]({"field": value}, "field", "reply")


@pytest.mark.parametrize(("reader", "value"), [(name, value) for name, (_, _, bad) in READERS.items() for value in bad])
def test_a_value_of_another_type_is_malformed_and_says_where(reader: str, value: Any) -> None:
    with pytest.raises(MalformedReply, match=r"^GET /orders: "):
        READERS[reader][0]({"field": value}, "field", "GET /orders")


@pytest.mark.parametrize("reader", READERS)
def test_a_field_that_is_missing_is_malformed_and_named(reader: str) -> None:
    with pytest.raises(MalformedReply, match="no 'field' in the reply"):
        READERS[reader][0]({"fields": 1}, "field", "GET /orders")


# Any JSON at all -----------------------------------------------------------------------------------------------------

UNHURRIED = settings(deadline=None)  # a busy machine is no failure

#: Field names that listings have, so that chance comes near to them.
NAMES = st.sampled_from(
    (
        *("code", "msg", "data", "result", "retCode", "list", "nextPageCursor", "category", "error", "open"),
        *("openOrders", "jsonrpc", "orders", "orderId", "symbol", "side", "type", "price", "origQty", "executedQty"),
    )
)
SCALARS = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(max_size=8) | st.floats(allow_nan=False)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=8), inner, max_size=6),
    max_leaves=12,
)

GOOD_TEXT: tuple[Any, ...] = ("LTCBTC", "0", 7)
BAD_TEXT: tuple[Any, ...] = ("", None, True, [], {}, 1.5)
GOOD_NUMBER: tuple[Any, ...] = ("1.0", 0, 2.5)
BAD_NUMBER: tuple[Any, ...] = ("", "NaN", "many", None, False, [], {})
FIELDS = {
    **dict.fromkeys(("orderId", "symbol", "side", "type"), (GOOD_TEXT, BAD_TEXT)),
    **dict.fromkeys(("price", "origQty", "executedQty"), (GOOD_NUMBER, BAD_NUMBER)),
}
GOOD_ROW = st.fixed_dictionaries({name: st.sampled_from(good) for name, (good, _) in FIELDS.items()})


@st.composite
def bad_rows(draw: st.DrawFn) -> Any:
    """A row with one field missing or of another type, or no row at all."""
    row: dict[str, Any] = dict(draw(GOOD_ROW))
    name = draw(st.sampled_from([*FIELDS, ""]))
    if not name:
        return draw(SCALARS | st.lists(SCALARS, max_size=2))
    if draw(st.booleans()):
        del row[name]
    else:
        row[name] = draw(st.sampled_from(FIELDS[name][1]))
    return row


@st.composite
def listings_with_a_bad_row(draw: st.DrawFn) -> list[Any]:
    before, after = draw(st.lists(GOOD_ROW, max_size=3)), draw(st.lists(GOOD_ROW, max_size=3))
    return [*before, draw(bad_rows()), *after]


def spot_orders(document: Any) -> list[Any]:
    adapter, _ = stub.venue(Binance, lambda _: document, lines=("spot",))
    return [*adapter.open_orders()]


@UNHURRIED
@given(st.lists(GOOD_ROW, max_size=5))
def test_a_listing_that_fits_is_read_row_by_row(rows: list[Any]) -> None:
    assert [order.id for order in spot_orders(rows)] == [str(row["orderId"]) for row in rows]


@UNHURRIED
@given(listings_with_a_bad_row())
def test_one_row_that_does_not_fit_spoils_the_whole_listing(rows: list[Any]) -> None:
    with pytest.raises(MalformedReply):
        spot_orders(rows)


@UNHURRIED
@given(DOCUMENTS)
@example([])
def test_arbitrary_json_never_becomes_a_list_of_orders_unless_it_is_one(document: Any) -> None:
    try:
        orders = spot_orders(document)
    except VenueError:
        return
    assert isinstance(document, list)
    assert len(orders) == len(document)
    assert all(row.keys() >= FIELDS.keys() for row in document)


@UNHURRIED
@given(st.binary(max_size=200) | DOCUMENTS.map(lambda document: json.dumps(document).encode()[:-1]))
def test_arbitrary_bytes_never_become_a_list_of_orders(body: bytes) -> None:
    try:
        json.loads(body)
    except ValueError:
        with pytest.raises(MalformedReply):
            spot_orders(body)


#: Venues that answer in an envelope: where each has its listing (every step has to be there).
ENVELOPES = {
    Bybit: ("result", "list"),
    Okx: ("data",),
    Kraken: ("result", "open"),
    KrakenFutures: ("openOrders",),
    Deribit: ("result",),
}


def has_a_listing(document: Any, steps: tuple[str, ...]) -> bool:
    for step in steps:
        if not isinstance(document, dict) or step not in document:
            return False
        document = document[step]
    return isinstance(document, (list, dict))


@pytest.mark.parametrize("build", ENVELOPES, ids=lambda build: build.driver)
@UNHURRIED
@given(document=DOCUMENTS | st.sampled_from(sorted(FALSE_EMPTY.values())))
def test_no_venue_with_an_envelope_calls_arbitrary_json_empty(build: Any, document: Any) -> None:
    adapter, _ = stub.venue(build, lambda _: document)
    try:
        adapter.open_orders()
    except VenueError:
        return
    assert has_a_listing(document, ENVELOPES[build])
