# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``gate``: goes on only where enough different people have signed that it may.

Source: architecture.md, idea 3: stopping needs nobody, re-opening needs two people.
"""

from __future__ import annotations

from typing import Any

from ..approvals import HELD, PASSED, Judgement, utc
from ..arguments import GATES
from ..authority import (
    Gate,
    facts_of,
    gate_of,
    intact_events,
    judgement,
    may_approve,
    objection_to_passage,
    passage_of,
    refusals,
)
from ..errors import HeldError
from . import Context, Params, Result, event
from .undo import current_incident

ARGUMENT_SPEC: dict[str, Any] = {
    **GATES,
    "gate": {"type": "str", "required": True, "aliases": ["name"]},
    "hold": {"type": "bool", "default": True},
}


def run(params: Params, context: Context) -> Result:
    """Passed, or held with who can do what next; a gate that was passed stays so until something is closed again."""
    gate = gate_of(current_incident(), params["gate"], params["gates"], params["allowed_signers"])
    events = intact_events(gate.incident)
    if not objection_to_passage(gate, events):
        told = f"gate {gate.policy.gate} was passed before, and nothing was closed since"
        return {**facts_of(gate, None), "passed": True, "would_hold": False, "msg": told}
    found = judgement(gate, events, utc())
    if found.missing:
        return _held(gate, found, context, hold=params["hold"])
    told = f"gate {gate.policy.gate} passed: approved by {' and '.join(found.approved_by)}"
    result: Result = {**facts_of(gate, found), "passed": True, "would_hold": False, "msg": told}
    if not context.check:
        result["record"] = [event(PASSED, passage_of(gate.policy, found))]
    return result


def _held(gate: Gate, found: Judgement, context: Context, *, hold: bool) -> Result:
    facts = facts_of(gate, found)
    result: Result = {**facts, "passed": False, "would_hold": hold, "msg": _next(gate, found)}
    if context.check:
        return {**result, "msg": f"would {'hold' if hold else 'wait'}: {result['msg']}"}
    result["record"] = [event(HELD, {"gate": gate.policy.gate, **facts})]
    return {**result, "failed": True, "outcome": HeldError.outcome} if hold else result


def _next(gate: Gate, found: Judgement) -> str:
    """Exactly who can do what now."""
    policy = gate.policy
    so_far = f", so far {' and '.join(found.approved_by)}" if found.accepted else ""
    who = ", ".join(may_approve(gate, found))
    steps = [
        f"gate {policy.gate} needs {policy.people} of {' or '.join(policy.groups)}{so_far}",
        *([f"the question: {policy.question}"] if policy.question else []),
        *refusals(found),
        f"next: {found.missing} of {who}: `{gate.how_to_approve}`" if who else _nobody(gate, found),
        f"then: `{gate.how_to_go_on}`",
    ]
    return "; ".join(steps)


def _nobody(gate: Gate, found: Judgement) -> str:
    left = "else " if found.accepted else ""
    return f"nobody {left}of {' or '.join(gate.policy.groups)} is in {gate.signers.path}: add their keys"
