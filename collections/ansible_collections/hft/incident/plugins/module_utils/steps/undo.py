# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``undo``: plays the inverses that are still open in the incident's journal, the last change first."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ..errors import IncidentError, UsageError
from ..incident import ENV_DIR, Incident, Inverse, state_of
from . import Context, Params, Result, run_step

PREFIX = "hft.incident."

ARGUMENT_SPEC: dict[str, Any] = {
    "only": {"type": "list", "elements": "str", "default": []},
    "skip": {"type": "list", "elements": "str", "default": []},
    "extra": {"type": "dict", "default": {}},
}


def run(params: Params, context: Context) -> Result:
    """Undo what is open; the first inverse that fails stops it and stays open (its own outcome is the result's)."""
    wanted = _selected(current_incident(), params["only"], params["skip"])
    described = [inverse.describe for inverse in wanted]
    diff = {"before": {"to_undo": described}, "after": {"to_undo": []}}
    if context.check or not wanted:
        return {"changed": bool(wanted), "msg": _sentence("would undo", described), "undone": described, "diff": diff}
    undone: list[str] = []
    for inverse in wanted:
        result = _apply(inverse, params["extra"], context)
        if result.get("failed"):
            context.note("inverse.failed", {"id": inverse.id, "describe": inverse.describe, "msg": result.get("msg")})
            left = described[len(undone) :]
            return {
                "failed": True,
                "changed": bool(undone),
                "outcome": result.get("outcome", IncidentError.outcome),
                "msg": f"could not {inverse.describe}: {result.get('msg')}; still to undo: {', '.join(left)}",
                "undone": undone,
            }
        for line in result.get("record", []):
            context.note(line["kind"], line["data"])
        context.note("inverse.applied", {"id": inverse.id, "describe": inverse.describe, "changed": result["changed"]})
        undone.append(inverse.describe)
    return {"changed": True, "msg": _sentence("undid", undone), "undone": undone, "diff": diff}


def current_incident() -> Incident:
    """The incident whose journal the scribe keeps; raises UsageError where there is none, as on a remote host."""
    folder = os.environ.get(ENV_DIR)
    if not folder:
        raise UsageError("no incident is open here: this runs on the control node, with the scribe callback enabled")
    return Incident(Path(folder).name, Path(folder))


def _selected(incident: Incident, only: Iterable[str], skip: Iterable[str]) -> list[Inverse]:
    chosen, left_out = {_short(name) for name in only}, {_short(name) for name in skip}
    open_inverses = state_of(incident.journal.events()).inverses
    return [
        inverse
        for inverse in open_inverses
        if _short(inverse.module) not in left_out and (not chosen or _short(inverse.module) in chosen)
    ]


def _apply(inverse: Inverse, extra: Params, context: Context) -> Result:
    step = import_module(f"{__package__}.{_short(inverse.module)}")
    known = {key: value for key, value in extra.items() if key in step.ARGUMENT_SPEC}
    checked = ArgumentSpecValidator(step.ARGUMENT_SPEC).validate({**inverse.args, **known})
    if checked.error_messages:
        raise UsageError(f"the inverse '{inverse.describe}' is not valid: {'; '.join(checked.error_messages)}")
    return run_step(step.run, checked.validated_parameters, context)


def _short(module: str) -> str:
    return module.removeprefix(PREFIX)


def _sentence(verb: str, described: list[str]) -> str:
    return f"{verb}: {'; '.join(described)}" if described else "nothing to undo"
