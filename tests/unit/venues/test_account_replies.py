# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The accounts' reading of the venues' documented replies, and of every spoilt one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.venues.errors import (
    MalformedReply,
    UnknownOutcome,
    VenueError,
)

from .account_examples import EXAMPLES, Example, account, first_with
from .stub import FALSE_EMPTY, FALSE_EMPTY_LIST


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
