# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``withdrawals``: what is on its way out is stopped at all venues at once, and proven by listing again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ..arguments import ONLY, VENUES, chosen_venues, require_positive
from ..deadline import Deadline
from ..errors import UnprovenError
from ..reading import answers
from ..settings import VenueEntry
from ..venues.accounts.api import Withdrawal
from ..withdrawal_freeze import Frozen, freeze
from . import Context, Params, Result, event

ARGUMENT_SPEC: dict[str, Any] = {
    **VENUES,
    **ONLY,
    "state": {"type": "str", "choices": ["frozen"], "default": "frozen"},
    "withdrawal_addresses": {"type": "list", "elements": "str", "default": []},
    "require_frozen": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 20.0},
    "interval": {"type": "float", "default": 1.0},
}
#: A venue's own deadline ends it; this (s) is how much longer its last sentence may take.
GRACE_S = 1.0


def run(params: Params, context: Context) -> Result:
    """Cancelled is cancelled: there is no inverse, and none is registered."""
    require_positive(params, "timeout", "interval")
    venues = [_row(frozen) for frozen in _freeze(chosen_venues(params), params, check=context.check)]
    stopped = "pending" if context.check else "cancelled"
    result: Result = {
        "changed": any(row[stopped] for row in venues if row["can_cancel"]),
        "msg": _checked_sentence(venues) if context.check else _sentence(venues),
        "venues": venues,
        "frozen": all(row["verdict"] == "frozen" for row in venues),
        "diff": {
            "before": {row["name"]: _count([*row["cancelled"], *row["pending"], *row["gone"]]) for row in venues},
            "after": {row["name"]: _count([] if context.check else row["pending"]) for row in venues},
        },
    }
    if context.check:
        return result
    result["record"] = [event("withdrawals.frozen", {"frozen": result["frozen"], "venues": venues})]
    if params["require_frozen"] and not result["frozen"]:
        result |= {"failed": True, "outcome": UnprovenError.outcome}
    return result


def _freeze(entries: Sequence[VenueEntry], params: Params, *, check: bool) -> list[Frozen]:
    deadline = Deadline(params["timeout"])
    ours = frozenset(params["withdrawal_addresses"])
    work = {entry.name: partial(freeze, entry, ours, deadline, params["interval"], check=check) for entry in entries}
    given = answers(work, Deadline(params["timeout"] + GRACE_S))
    return [answer.value or Frozen(name, "unknown", error=answer.error) for name, answer in given.items()]


def _row(frozen: Frozen) -> dict[str, Any]:
    row = frozen._asdict()
    for field in ("cancelled", "pending", "kept", "gone"):
        row[field] = [_withdrawal(one) for one in row[field]]
    return {**row, "steps": list(frozen.steps)}


def _withdrawal(one: Withdrawal) -> dict[str, Any]:
    return one._asdict()


def _count(rows: Sequence[object]) -> dict[str, int]:
    return {"pending": len(rows)}


def _checked_sentence(venues: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(
        f"{row['name']}: {row['verdict']} ({row['error']})"
        if row["verdict"] in ("unknown", "by_hand")
        else f"{row['name']}: {len(row['pending'])} would be cancelled"
        for row in venues
    )


def _sentence(venues: Sequence[Mapping[str, Any]]) -> str:
    stopped = sum(len(row["cancelled"]) for row in venues)
    told = [f"{stopped} withdrawal{'' if stopped == 1 else 's'} cancelled, which nothing undoes" if stopped else ""]
    told += [f"{row['name']}: TOO LATE for {len(row['gone'])}" for row in venues if row["gone"]]
    for row in venues:
        if row["verdict"] != "frozen":
            left = f", {len(row['pending'])} pending" if row["pending"] else ""
            why = f" ({row['error']})" if row["error"] else ""
            told.append(f"{row['name']}: {row['verdict'].upper()}{left}{why}")
    clear = [row["name"] for row in venues if row["verdict"] == "frozen"]
    told.append(f"nothing is on its way out at {', '.join(clear)}" if clear else "")
    return "; ".join(part for part in told if part)
