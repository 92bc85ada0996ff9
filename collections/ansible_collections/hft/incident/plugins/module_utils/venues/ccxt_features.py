# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What ccxt knows of an exchange before anything is asked: its lists of open orders, its address, how it cancels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..settings import SettingsError


class Line(NamedTuple):
    """A list of its own at the venue, in ccxt's terms; ``triggers`` where trigger orders are asked for apart."""

    name: str
    type: str
    sub_type: str | None = None
    margin_mode: str | None = None
    triggers: bool = False
    by_symbol_only: bool = False


def lines(sample: Any) -> Iterator[Line]:
    """Every list that ccxt knows to ask this venue for."""
    features: Mapping[str, Any] = sample.features or {}
    listings = {
        (kind, sub): (described or {}).get("fetchOpenOrders") or {}
        for kind in ("spot", "swap", "future")
        for sub, described in _by_sub_type(features.get(kind))
    }
    by_symbol = any(listing.get("symbolRequired") for listing in listings.values())
    for (kind, sub), listing in listings.items():
        needs_symbol = bool(listing.get("symbolRequired", by_symbol))
        name = f"{kind}.{sub}" if sub else kind
        yield Line(name, kind, sub, None, bool(listing.get("trigger")), needs_symbol)
        if kind == "spot" and listing.get("marginMode"):
            yield Line("margin", "margin", None, "cross", bool(listing.get("trigger")), needs_symbol)
            yield Line("isolated", "margin", None, "isolated", bool(listing.get("trigger")), by_symbol_only=True)
    if sample.has.get("option") or not listings:
        yield Line("option" if listings else "account", "option" if listings else "spot", by_symbol_only=by_symbol)


def _by_sub_type(described: Any) -> list[tuple[str | None, Any]]:
    """Features of a market type, by sub-type where ccxt has them so; nothing where it knows of none."""
    if not described:
        return []
    if "linear" in described or "inverse" in described:
        return [(sub, described[sub]) for sub in ("linear", "inverse") if described.get(sub)]
    return [(None, described)]


def first_origin(sample: Any) -> str:
    """Scheme, host and port of the first address that ccxt has for the venue's API."""
    for url in _texts(sample.urls.get("api")):
        parts = urlsplit(sample.implode_hostname(url))
        if parts.scheme in ("http", "https") and parts.hostname:
            return f"{parts.scheme}://{parts.netloc}"
    raise SettingsError(f"ccxt has no http address for '{sample.id}'")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)


def cancels_by_symbol_only(sample: Any) -> bool:
    """Whether ccxt refuses to cancel everything without naming a symbol: tried without sending anything."""
    if not sample.has.get("cancelAllOrders"):
        return True
    sent: list[str] = []

    def record(url: str, *_request: Any) -> None:
        sent.append(url)
        raise LookupError

    sample.fetch, sample.markets, sample.markets_by_id = record, {}, {}
    for field, needed in sample.requiredCredentials.items():
        if needed:
            setattr(sample, field, "QUJDRA==")
    with suppress(Exception):  # it never gets an answer; what counts is whether it came to ask
        sample.cancel_all_orders()
    return not sent
