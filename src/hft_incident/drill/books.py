# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a venue's own happenings say about its book at a moment. Pure; moments are seconds since 1970."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..lab.venue_handle import Happening


def count_at(happenings: Sequence[Happening], at: float) -> int:
    """How many orders the venue's book held at a moment."""
    seen = [happening.kind for happening in happenings if happening.at <= at]
    return seen.count("placed") - seen.count("canceled") - seen.count("filled")


def empty_between(happenings: Sequence[Happening], start: float, end: float) -> bool:
    """Whether no order came to the book between two moments."""
    return not any(h.kind == "placed" and start < h.at < end for h in happenings)


def emptied_for_good(happenings: Sequence[Happening], before: float) -> float | None:
    """When the last order left the book before ``before``, if it was empty from then on."""
    past = [happening for happening in happenings if happening.at < before]
    if not past or count_at(past, before):
        return None
    return past[-1].at


def all_emptied_for_good(books: Iterable[Sequence[Happening]], before: float) -> float | None:
    """When the last of several books was empty for good; one that never held an order was empty all along."""
    moments = [emptied_for_good(book, before) for book in books if any(h.at < before for h in book)]
    emptied = [moment for moment in moments if moment is not None]
    return max(emptied) if emptied and len(emptied) == len(moments) else None
