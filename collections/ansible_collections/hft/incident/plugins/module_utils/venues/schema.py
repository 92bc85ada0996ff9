# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Reading a venue's JSON strictly: what is missing or of another type raises ``MalformedReply``, never means "empty".

An HTML page, ``{}`` or an empty body with HTTP 200 has made real clients report "nothing open" (venues.md), so a
reply counts only when every field that we rely on is there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from .errors import MalformedReply

Json = Any  # what json.loads returns; every use is narrowed by the functions below
Row = Mapping[str, Json]
MAX_DIGITS = 40


def _name(value: object) -> str:
    return {dict: "an object", list: "a list", str: "text", type(None): "null", bool: "a boolean"}.get(
        type(value), "a number"
    )


def _no_constant(text: str) -> None:
    raise ValueError(text)


def parse(body: bytes, where: str) -> Json:
    """The JSON in ``body``, numbers with a fraction as Decimal; raises MalformedReply on anything else."""
    if not body.strip():
        raise MalformedReply(f"{where}: empty reply")
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        kind = "an HTML page" if body.lstrip()[:1] == b"<" else "not JSON"
        raise MalformedReply(f"{where}: the reply is {kind}") from None


def as_object(value: Json, where: str) -> Row:
    if not isinstance(value, dict):
        raise MalformedReply(f"{where}: expected an object, got {_name(value)}")
    return value


def as_list(value: Json, where: str) -> list[Json]:
    if not isinstance(value, list):
        raise MalformedReply(f"{where}: expected a list, got {_name(value)}")
    return value


def rows(value: Json, where: str) -> list[Row]:
    """A list of objects."""
    return [as_object(row, where) for row in as_list(value, where)]


def rows_at(row: Row, key: str, where: str) -> list[Row]:
    """The list of objects under ''key''."""
    return rows(member(row, key, where), f"{where}: '{key}'")


def member(row: Row, key: str, where: str) -> Json:
    if key not in row:
        raise MalformedReply(f"{where}: no '{key}' in the reply")
    return row[key]


def object_at(row: Row, key: str, where: str) -> Row:
    return as_object(member(row, key, where), f"{where}: '{key}'")


def text(row: Row, key: str, where: str) -> str:
    """A non-empty text; whole numbers (order ids) are taken as text too."""
    value = member(row, key, where)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        raise MalformedReply(f"{where}: '{key}' is {_name(value) if value != '' else 'empty'}, expected text")
    return value


def decimal(row: Row, key: str, where: str) -> Decimal:
    """A finite number, sent as a number or as text."""
    value = member(row, key, where)
    if not isinstance(value, bool) and isinstance(value, (int, str, Decimal)):
        try:
            number = Decimal(value)
        except InvalidOperation:
            number = Decimal("NaN")
        # Venues' numbers have a few dozen digits; one with a huge exponent would overflow where it is computed with.
        if number.is_finite() and abs(number.adjusted()) < MAX_DIGITS:
            return number
    raise MalformedReply(f"{where}: '{key}' is not a number")


def integer(row: Row, key: str, where: str) -> int:
    """A whole number, sent as a number or as text (timestamps in ms)."""
    number = decimal(row, key, where)
    if number != number.to_integral_value():
        raise MalformedReply(f"{where}: '{key}' is not a whole number")
    return int(number)


def boolean(row: Row, key: str, where: str) -> bool:
    value = member(row, key, where)
    if not isinstance(value, bool):
        raise MalformedReply(f"{where}: '{key}' is {_name(value)}, expected true or false")
    return value
