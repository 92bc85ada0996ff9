# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What each module does: one file and one plain function a module; both of its doors call it.

A step takes the validated arguments and a ``Context``, and returns the module's result: ``changed``, ``msg``, its own
fields, and what the record needs: ``record`` (events for the journal) and ``inverses`` (how to undo it). What it is
about to change it says first, by ``Context.intend``: a change that nobody knows how to undo must not outlive a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ..errors import IncidentError
from ..redaction import recordable, scrub_text

Params = Mapping[str, Any]
Result = dict[str, Any]
Note = Callable[[str, Mapping[str, Any]], None]
Intend = Callable[[Iterable[Mapping[str, Any]]], list[dict[str, Any]]]


def unregistered(inverses: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The inverses as they are: where there is no journal (a host), the scribe registers them from the result."""
    return [dict(item) for item in inverses]


class Context(NamedTuple):
    """How a step runs: ``check`` forbids every write; ``note`` puts an event into the journal while it works.

    ``intend`` is called with the inverses of a change right before the change, never in check mode. It writes them
    down, and returns what belongs into the result's ``inverses``: the same, each with its ``id`` in the journal. An
    inverse whose change did not come about in the end must be harmless: it sets what is set already.
    """

    check: bool
    note: Note
    intend: Intend = unregistered


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
