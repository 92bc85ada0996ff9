# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``api_key``: the trading systems' API keys replaced, revoked, or proven to be as they should, at all
venues at once.

Source: runbook section 6 (rotate all API keys); seed-faults A8 (order, least privilege, from a clean machine).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..api_keys.entries import KeyEntry, chosen, key_entries, label_of, label_prefix
from ..api_keys.plan import Goal
from ..api_keys.rotation import Rotation, Row, Site
from ..arguments import ONLY, REQUIRE_EVIDENCE, TRADING_SYSTEMS, VENUES, require_positive
from ..deadline import Deadline
from ..errors import UsageError
from ..incident import ENV_DIR
from ..reading import answers
from ..secret_stores import open_store
from ..settings import system_entries, venue_entries
from . import Context, Params, Result, event

ARGUMENT_SPEC: dict[str, Any] = {
    **VENUES,
    **TRADING_SYSTEMS,
    **ONLY,
    **REQUIRE_EVIDENCE,
    "keys": {"type": "list", "elements": "dict", "required": True, "no_log": False},
    "secret_store": {"type": "dict", "required": True, "no_log": False},
    "state": {"type": "str", "choices": ["rotated", "revoked", "present"], "default": "rotated"},
    "rotation": {"type": "str"},
    "breach": {"type": "bool", "default": False},
    "deliver_command": {"type": "list", "elements": "str", "default": []},
    "withdrawal_addresses": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "float", "default": 120.0},
}
#: How a verdict ends the task, the worst first; the others are good.
OUTCOMES = {"failed": "failed", "unknown": "unproven", "held": "held"}
#: A key's own time limit ends it; this (s) is how much longer its last look and its tidying up may take.
GRACE_S = 10.0


def run(params: Params, context: Context) -> Result:
    """Raises UsageError, before anything is asked, for what cannot be meant."""
    require_positive(params, "timeout")
    venues = {entry.name: entry for entry in venue_entries(params["venues"])}
    systems = {entry.name: entry for entry in system_entries(params["trading_systems"])}
    entries = chosen(key_entries(params["keys"], venues, systems), params["only"])
    store = open_store(params["secret_store"])
    rotation = _rotation(params)

    def work(entry: KeyEntry) -> Row:
        site = Site(
            venues[entry.venue],
            tuple(systems[name] for name in entry.used_by),
            store,
            tuple(params["deliver_command"]),
            frozenset(params["withdrawal_addresses"]),
        )
        label, prefix = label_of(entry.name, rotation), label_prefix(entry.name)
        goal = Goal(params["state"], rotation, params["breach"], label, prefix)
        return Rotation(entry, goal, site, params["timeout"], context.note, check=context.check).run()

    given = answers({entry.name: partial(work, entry) for entry in entries}, Deadline(params["timeout"] + GRACE_S))
    rows = [given[entry.name].value or _silent(entry, given[entry.name].error or "") for entry in entries]
    return _result(rows, params, context)


def _rotation(params: Params) -> str:
    """What makes it safe to run again: the same id means the same rotation. Raises UsageError where there is none."""
    given = params["rotation"] or Path(os.environ.get(ENV_DIR) or "").name
    if not given and params["state"] != "present":
        raise UsageError(
            "rotation: give it a name (the same when you run it again); no incident is open to take it from"
        )
    return str(given)


def _silent(entry: KeyEntry, error: str) -> Row:
    """It did not even come to its own end."""
    return Row(entry.name, entry.venue, "unknown", True, (), None, None, None, None, error, (), ())


def _result(rows: Sequence[Row], params: Params, context: Context) -> Result:
    verdicts = [row.verdict for row in rows]
    changes = [row for row in rows if row.changed]
    result: Result = {
        "changed": bool(changes),
        "msg": "; ".join(_sentence(row, check=context.check) for row in rows),
        "rotations": [row._asdict() for row in rows],
        "by_hand": {row.key: list(row.by_hand) for row in rows if row.by_hand},
        "diff": {
            "before": {row.key: {"fingerprint": row.before} for row in changes},
            "after": {row.key: {"fingerprint": _after(row, params, check=context.check)} for row in changes},
        },
    }
    if not context.check and params["state"] != "present":
        told = [
            {"key": row.key, "venue": row.venue, "verdict": row.verdict, "working_keys": row.working_keys,
             "error": row.error}
            for row in rows
        ]  # fmt: skip
        result["record"] = [event("api_keys.rotated", {"state": params["state"], "keys": told})]
    worst = next((outcome for verdict, outcome in OUTCOMES.items() if verdict in verdicts), None)
    if worst:
        result |= {"failed": True, "outcome": worst}
    return result


def _after(row: Row, params: Params, *, check: bool) -> str | None:
    if not check:
        return row.fingerprint
    return row.before if params["state"] != "rotated" or "promote" not in row.steps else "(a new key)"


def _sentence(row: Row, *, check: bool) -> str:
    said = row.verdict.upper() if row.verdict in OUTCOMES else row.verdict
    if check and row.changed:
        said = f"would be {said}" if row.verdict not in OUTCOMES else said
    told = [row.error, *row.warnings]
    if row.loaded is False and row.verdict == "rotated":
        told.append("NOT LOADED: the key is in the store; prove it with state=present once the system runs")
    told += row.by_hand
    words = ": ".join(filter(None, [said, "; ".join(filter(None, told))]))
    return f"{row.key} {words}"
