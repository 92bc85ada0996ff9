# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What each module does: one file and one plain function a module; both of its doors call it.

A step takes the validated arguments and a ``Context``, and returns the module's result: ``changed``, ``msg``, its own
fields, and what the record needs: ``record`` (events for the journal) and ``inverses`` (how to undo it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..errors import IncidentError
from ..redaction import recordable, scrub_text

Params = Mapping[str, Any]
Result = dict[str, Any]
Note = Callable[[str, Mapping[str, Any]], None]


class Context(NamedTuple):
    """How a step runs: ``check`` forbids every write; ``note`` puts an event into the journal while it works."""

    check: bool
    note: Note


Step = Callable[[Params, Context], Result]


def run_step(step: Step, params: Params, context: Context) -> Result:
    """The step's result in plain JSON types; an IncidentError becomes a failure that says how the run ends.

    What came from outside may hold a secret, whoever scrubbed it before: results are printed and kept.
    """
    try:
        result = step(params, context)
    except IncidentError as error:
        return {"failed": True, "changed": False, "msg": scrub_text(str(error)), "outcome": error.outcome}
    plain: Result = recordable({"changed": False, **result}, "result")
    return plain


def event(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """One line of a result's ``record``."""
    return {"kind": kind, "data": dict(data)}


def inverse(module: str, args: Mapping[str, Any], describe: str) -> dict[str, Any]:
    """One item of a result's ``inverses``: the module and arguments that undo what was just done."""
    return {"module": f"hft.incident.{module}", "args": dict(args), "describe": describe}
