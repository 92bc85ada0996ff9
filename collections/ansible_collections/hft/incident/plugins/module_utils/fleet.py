# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The trading systems as a whole: what steps that act on all of them share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .errors import UsageError
from .reading import Answer
from .settings import SystemEntry, select, system_entries


def given_systems(params: Mapping[str, Any]) -> tuple[SystemEntry, ...]:
    """The entries of ``trading_systems``; with none, a step would do nothing and call it success: UsageError."""
    entries = system_entries(params["trading_systems"])
    if not entries:
        raise UsageError("'trading_systems' is empty; give hft_trading_systems of the inventory")
    return entries


def chosen_systems(params: Mapping[str, Any]) -> tuple[SystemEntry, ...]:
    """The entries that ``trading_systems`` and ``only`` mean; raises UsageError for none and for an unknown one."""
    return select(given_systems(params), params["only"], "trading system")


def failures(answers: Mapping[str, Answer[Any]]) -> list[str]:
    """One sentence for each trading system that failed."""
    return [f"{name}: {answer.error}" for name, answer in answers.items() if answer.error is not None]


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that no trading system knows; what they do know stands in it."""
    return f"unknown {what} '{name}'; the trading systems have: {', '.join(dict.fromkeys(known)) or 'none'}"
