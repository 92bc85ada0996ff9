# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``undo``: plays the inverses that are still open in the incident's journal, the last change first."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
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
    incident = current_incident()
    wanted = _selected(state_of(incident.journal.events()).inverses, params["only"], params["skip"])
    _refuse_unused(params["extra"], wanted)
    described = [inverse.describe for inverse in wanted]
    diff = {"before": {"to_undo": described}, "after": {"to_undo": []}}
    if context.check or not wanted:
        return {"changed": bool(wanted), "msg": _sentence("would undo", described), "undone": described, "diff": diff}
    undone: list[str] = []
    for inverse in wanted:
        result = _apply(inverse, params["extra"], context)
        # Straight into the journal that this reads, line by line: whatever ends this run, the next one knows.
        lines = [(line["kind"], line["data"]) for line in result.get("record", [])]
        told = {"id": inverse.id, "describe": inverse.describe}
        if result.get("failed"):
            incident.journal.extend([*lines, ("inverse.failed", {**told, "msg": result["msg"]})])
            left = described[len(undone) :]
            return {
                "failed": True,
                "changed": bool(undone) or result["changed"],
                "outcome": result.get("outcome", IncidentError.outcome),
                "msg": f"could not {inverse.describe}: {result['msg']}; still to undo: {', '.join(left)}",
                "undone": undone,
                "diff": {"before": {"to_undo": described}, "after": {"to_undo": left}},
            }
        incident.journal.extend([*lines, ("inverse.applied", {**told, "changed": result["changed"]})])
        undone.append(inverse.describe)
    return {"changed": True, "msg": _sentence("undid", undone), "undone": undone, "diff": diff}


def current_incident() -> Incident:
    """The incident whose journal the scribe keeps; raises UsageError where there is none, as on a remote host."""
    folder = os.environ.get(ENV_DIR)
    if not folder:
        raise UsageError("no incident is open here: this runs on the control node, with the scribe callback enabled")
    return Incident(Path(folder).name, Path(folder))


def _selected(inverses: Sequence[Inverse], only: Iterable[str], skip: Iterable[str]) -> list[Inverse]:
    """Raises UsageError for a module that does not exist: a misspelt one would leave everything as it is."""
    chosen, left_out = ({_step(name).__name__ for name in names} for names in (only, skip))
    return [
        inverse
        for inverse in inverses
        if not chosen or _name(inverse.module) in chosen
        if _name(inverse.module) not in left_out
    ]


def _refuse_unused(extra: Params, wanted: Sequence[Inverse]) -> None:
    if not extra or not wanted:
        return
    unused = set(extra).difference(*(_step(inverse.module).ARGUMENT_SPEC for inverse in wanted))
    if unused:
        raise UsageError(f"extra: nothing that is to be undone takes '{min(unused)}'")


def _apply(inverse: Inverse, extra: Params, context: Context) -> Result:
    """Its result, also where it could not even begin: what stands in the way of one inverse is that one's failure."""
    try:
        step = _step(inverse.module)
        args = {**inverse.args, **{key: value for key, value in extra.items() if key in step.ARGUMENT_SPEC}}
        required_if = getattr(step, "REQUIRED_IF", None)
        checked = ArgumentSpecValidator(step.ARGUMENT_SPEC, required_if=required_if).validate(args)
        if checked.error_messages:
            return _failure(f"its arguments are not valid: {'; '.join(checked.error_messages)}")
        return run_step(step.run, checked.validated_parameters, context)
    except Exception as error:  # noqa: BLE001  # a defect in one module must leave a record of how far this came
        return _failure(str(error) if isinstance(error, IncidentError) else f"internal error ({type(error).__name__})")


def _failure(msg: str) -> Result:
    return {"failed": True, "changed": False, "msg": msg, "outcome": IncidentError.outcome}


def _name(module: str) -> str:
    """The Python module of a step, from "hft.incident.exchange" or "exchange"."""
    return f"{__package__}.{module.removeprefix(PREFIX)}"


def _step(module: str) -> ModuleType:
    try:
        return import_module(_name(module))
    except ModuleNotFoundError:
        raise UsageError(f"no module '{module}' in this collection") from None


def _sentence(verb: str, described: list[str]) -> str:
    return f"{verb}: {'; '.join(described)}" if described else "nothing to undo"
