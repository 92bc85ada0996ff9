# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The configuration that can be changed while the process runs: merged, checked, and tagged for compare-and-set."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

Document = dict[str, Any]
MODES = ("live", "observe")


class ConfigurationError(Exception):
    """The merged configuration would be wrong; nothing was changed."""


class UnknownExchange(ConfigurationError):
    """The fragment names an exchange that is not traded here."""


class Configuration:
    """One JSON document. What the process acts on is checked; the rest is kept as it comes. A process that was started
    to ``observe`` cannot be configured to do more."""

    def __init__(self, exchanges: Mapping[str, str], *, observe: bool = False) -> None:
        self._modes = ("observe",) if observe else MODES
        self.document: Document = {
            "mode": self._modes[0],
            "exchanges": {name: {"enabled": True, "driver": driver} for name, driver in exchanges.items()},
            "limits": {"scale_pct": 100},
            "market_data": {"stale_after_s": 1.0, "disconnect_after_s": 2.0},
        }
        self._exchanges = dict(exchanges)

    @property
    def etag(self) -> str:
        canonical = json.dumps(self.document, sort_keys=True, separators=(",", ":")).encode()
        return f'"{hashlib.sha256(canonical).hexdigest()[:32]}"'

    def matches(self, if_match: str | None) -> bool:
        """RFC 9110 13.1.1, strong comparison."""
        return if_match is None or if_match.strip() == "*" or self.etag in (tag.strip() for tag in if_match.split(","))

    def merge(self, fragment: Mapping[str, Any]) -> None:
        """Deep merge; raises ConfigurationError and then changes nothing."""
        merged = _merged(self.document, fragment)
        self._check(merged)
        self.document = merged

    def enabled(self, exchange: str) -> bool:
        return bool(self.document["exchanges"][exchange]["enabled"])

    @property
    def observing(self) -> bool:
        return bool(self.document["mode"] == "observe")

    @property
    def scale(self) -> Decimal:
        """The share of its usual size that an order may have."""
        return Decimal(str(self.document["limits"]["scale_pct"])) / 100

    @property
    def stale_after_s(self) -> float:
        return float(self.document["market_data"]["stale_after_s"])

    @property
    def disconnect_after_s(self) -> float:
        return float(self.document["market_data"]["disconnect_after_s"])

    def _check(self, document: Document) -> None:
        exchanges = _section(document, "exchanges")
        _refuse_unknown(exchanges, self._exchanges)
        for name, driver in self._exchanges.items():
            entry = _section(exchanges, name)
            if not isinstance(entry.get("enabled"), bool):
                raise ConfigurationError(f"exchanges.{name}.enabled must be true or false")
            if entry.get("driver") != driver:
                raise ConfigurationError(f"exchanges.{name}.driver cannot be changed")
        if document.get("mode") not in self._modes:
            raise ConfigurationError(f"mode must be {' or '.join(self._modes)} in this process")
        scale = _section(document, "limits").get("scale_pct")
        if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale <= 100:
            raise ConfigurationError("limits.scale_pct must be a number above 0 and at most 100")
        limits = _section(document, "market_data")
        for field in ("stale_after_s", "disconnect_after_s"):
            value = limits.get(field)
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise ConfigurationError(f"market_data.{field} must be a positive number")


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> Document:
    merged = copy.deepcopy(dict(old))
    for key, value in new.items():
        before = merged.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            merged[key] = _merged(before, value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = document.get(name)
    if not isinstance(section, dict):
        raise ConfigurationError(f"{name} must be an object")
    return section


def _refuse_unknown(exchanges: Iterable[str], known: Iterable[str]) -> None:
    for name in exchanges:
        if name not in known:
            raise UnknownExchange(f"unknown exchange '{name}'; known: {', '.join(known)}")
