# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``unknown_api_key``: keys that are none of ours are revoked at all venues at once, and proven gone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ..account_look import YARDSTICKS, read_ids, unread_keys, with_ids
from ..account_reading import read_accounts
from ..account_review import approved_keys
from ..arguments import ONLY, VENUES, chosen_venues, require_positive
from ..deadline import Deadline
from ..errors import UnprovenError, UsageError
from ..reading import answers
from ..secret_ref import SecretError
from ..secret_stores import open_store
from ..settings import SettingsError
from ..unknown_keys import Outcome, found, own_ids, revoke
from . import Context, Params, Result, event

ARGUMENT_SPEC: dict[str, Any] = {
    **VENUES,
    **ONLY,
    "keys": {**YARDSTICKS["keys"], "required": True},
    "secret_store": YARDSTICKS["secret_store"],
    "state": {"type": "str", "choices": ["revoked"], "default": "revoked"},
    "timeout": {"type": "float", "default": 20.0},
}
del ARGUMENT_SPEC["keys"]["default"]
#: A venue's own deadline ends it; this (s) is how much longer its last sentence may take.
GRACE_S = 1.0


def run(params: Params, context: Context) -> Result:
    """Revoked is revoked: there is no inverse. Raises UsageError, before anything is asked."""
    require_positive(params, "timeout")
    entries = {entry.name: entry for entry in chosen_venues(params)}
    keys = [key for key in approved_keys(params["keys"]) if key.venue in entries]
    if not keys:
        raise UsageError("keys: nobody says which keys are ours (hft_api_keys), so each would be somebody else's")
    store = open_store(params["secret_store"]) if params["secret_store"] else None
    ids = read_ids(keys, store, params["timeout"])
    unread = {row["venue"]: str(row["error"]) for row in unread_keys(keys, ids)}
    ours = {key.key_id for key in with_ids(keys, ids) if key.key_id}
    for name, entry in entries.items():
        try:
            ours |= own_ids(entry)
        except (SecretError, SettingsError) as error:
            unread[name] = str(error)
    seen = read_accounts(list(entries.values()), ("keys",), 0, params["timeout"])
    outcomes = [found(one, ours, unread.get(name, "")) for name, one in seen.items()]
    changes = [outcome for outcome in outcomes if outcome.unknown]
    if not context.check and changes:
        deadline = Deadline(params["timeout"])
        work = {one.name: partial(revoke, one, entries[one.name], deadline) for one in changes}
        given = answers(work, Deadline(params["timeout"] + GRACE_S))
        late = {name: answer.error for name, answer in given.items() if answer.value is None}
        done = {name: answer.value for name, answer in given.items() if answer.value}
        outcomes = [
            done.get(one.name, one._replace(verdict="unknown", error=late[one.name]) if one.name in late else one)
            for one in outcomes
        ]
    return _result(outcomes, changed=bool(changes), check=context.check)


def _result(outcomes: Sequence[Outcome], *, changed: bool, check: bool) -> Result:
    venues = [_row(outcome) for outcome in outcomes]
    result: Result = {
        "changed": changed,
        "msg": _sentence(outcomes, check=check),
        "venues": venues,
        "diff": {
            "before": {one.name: [key.id for key in one.unknown] for one in outcomes},
            "after": {one.name: [] if check else [key.id for key in one.left] for one in outcomes},
        },
    }
    if check:
        return result
    result["record"] = [event("unknown_api_keys.revoked", {"venues": venues})]
    if any(one.verdict in ("unknown", "left") for one in outcomes):
        result |= {"failed": True, "outcome": UnprovenError.outcome}
    return result


def _row(outcome: Outcome) -> dict[str, Any]:
    named = [{"id": key.id, "label": key.label, "left": key in outcome.left} for key in outcome.unknown]
    return {
        "name": outcome.name,
        "verdict": outcome.verdict,
        "unknown": named,
        "steps": list(outcome.steps),
        "error": outcome.error,
    }


def _sentence(outcomes: Sequence[Outcome], *, check: bool) -> str:
    told = []
    for one in outcomes:
        names = ", ".join(f"{key.id} '{key.label}'" if key.label else key.id for key in one.unknown)
        why = f" ({one.error})" if one.error else ""
        if one.unknown:
            words = "would be revoked" if check else "revoked" if one.verdict == "revoked" else "NOT PROVEN REVOKED"
            told.append(f"{one.name}: {names} {words}{why}")
        elif one.verdict == "unknown":
            told.append(f"{one.name}: UNKNOWN{why}")
    by_hand = [one.name for one in outcomes if one.verdict == "by_hand"]
    told += [f"no API, a person has to look: {', '.join(by_hand)}"] if by_hand else []
    clean = [one.name for one in outcomes if one.verdict == "revoked" and not one.unknown]
    return "; ".join([*told, *([f"no unknown key at {', '.join(clean)}"] if clean else [])])
