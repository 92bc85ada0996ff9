# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``undo``: plays the inverses that are still open in the incident's journal, the last change first."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ..arguments import GATES
from ..authority import require_passed
from ..claims import opened_by, require_free
from ..errors import HeldError, IncidentError, UsageError
from ..incident import ENV_DIR, Incident, Inverse, state_of
from ..intents import KIND
from . import Context, Params, Result, run_step, unregistered

PREFIX = "hft.incident."
CONTROL_NODE = "localhost"

ARGUMENT_SPEC: dict[str, Any] = {
    **GATES,
    "only": {"type": "list", "elements": "str", "default": []},
    "skip": {"type": "list", "elements": "str", "default": []},
    "extra": {"type": "dict", "default": {}},
}

#: Plays one inverse with these arguments; what it raises is that one's failure.
Perform = Callable[[Inverse, Params, Context], Result]


def run(params: Params, context: Context) -> Result:
    """Undo what is open on the control node, every step in this process."""
    return play(params, context, CONTROL_NODE, in_process)


def play(params: Params, context: Context, host: str, perform: Perform) -> Result:
    """Undo what is open on ``host``; the first inverse that fails stops it and stays open, and its outcome is ours.

    Killed between what an inverse does and the line that says so, it is played again, and finds nothing left to do.
    """
    incident = current_incident()
    events = incident.journal.events()
    there = [item for item in state_of(events).inverses if item.host == host]
    wanted = _selected(there, params["only"], params["skip"])
    described = [inverse.describe for inverse in wanted]
    result: Result = {"changed": bool(wanted), "undone": described, "diff": _diff(described, [])}
    if not wanted:
        return {**result, "msg": "nothing to undo"}
    _refuse_unused(params["extra"], {str(line.data.get("module")) for line in events if line.kind == KIND})
    if context.check:
        return {**result, "msg": f"would undo: {'; '.join(described)}{_obstacle(incident, params, wanted)}"}
    _require_leave(incident, params, wanted)
    # What undoes a change is no change that somebody would want to undo again.
    context = context._replace(intend=unregistered)
    undone: list[str] = []
    changed = False
    for inverse in wanted:
        # Asked again before each: while strategies start one by one, somebody may close again what this opens.
        inverse = _with_extra(inverse, params["extra"])  # what is asked for leave is what is then done
        found = _refusal(incident, params, inverse) or _apply(inverse, context, perform)
        changed = changed or found["changed"]
        # Straight into the journal that this reads, line by line: whatever ends this run, the next one knows.
        lines = [(line["kind"], line["data"]) for line in found.get("record", [])]
        told = {"id": inverse.id, "describe": inverse.describe}
        if found.get("failed"):
            incident.journal.extend([*lines, ("inverse.failed", {**told, "msg": found["msg"]})])
            left = described[len(undone) :]
            return {
                "failed": True,
                "changed": bool(undone) or changed,
                "outcome": found.get("outcome", IncidentError.outcome),
                "msg": f"could not {inverse.describe}: {found['msg']}; still to undo: {', '.join(left)}",
                "undone": undone,
                "diff": _diff(described, left),
            }
        incident.journal.extend([*lines, ("inverse.applied", {**told, "changed": found["changed"]})])
        undone.append(inverse.describe)
    return {**result, "msg": f"undid: {'; '.join(undone)}"}


def in_process(inverse: Inverse, args: Params, context: Context) -> Result:
    """The step of the inverse's module, its arguments checked as the module checks them."""
    step = _step(inverse.module)
    checked = ArgumentSpecValidator(step.ARGUMENT_SPEC, required_if=getattr(step, "REQUIRED_IF", None)).validate(args)
    if checked.error_messages:
        return _failure(f"its arguments are not valid: {'; '.join(checked.error_messages)}")
    return run_step(step.run, checked.validated_parameters, context)


def current_incident() -> Incident:
    """The incident whose journal the scribe keeps; raises UsageError where there is none, as on a remote host."""
    folder = os.environ.get(ENV_DIR)
    if not folder:
        raise UsageError(
            "no incident is open here: this runs on the control node, with the scribe callback enabled "
            "(ANSIBLE_CALLBACKS_ENABLED=hft.incident.scribe)"
        )
    return Incident(Path(folder).name, Path(folder))


def _require_leave(incident: Incident, params: Params, inverses: Iterable[Inverse]) -> None:
    """Raises HeldError where these may not be opened (yet). What closes needs nobody's leave."""
    if not any(map(opened_by, inverses)):
        return
    if params["gate"]:
        require_passed(incident, params["gate"], params["gates"], params["allowed_signers"])
    else:
        require_free(incident)


def _refusal(incident: Incident, params: Params, inverse: Inverse) -> Result | None:
    try:
        _require_leave(incident, params, [inverse])
    except IncidentError as error:
        return {**_failure(str(error)), "outcome": error.outcome}
    return None


def _obstacle(incident: Incident, params: Params, wanted: Sequence[Inverse]) -> str:
    """Check mode: what would have to happen first."""
    try:
        _require_leave(incident, params, wanted)
    except HeldError as error:
        return f"; but only once it may: {error}"
    return ""


def _selected(inverses: Sequence[Inverse], only: Iterable[str], skip: Iterable[str]) -> list[Inverse]:
    """Raises UsageError for a module that does not exist: a misspelt one would leave everything as it is."""
    chosen, left_out = ({_step(name).__name__ for name in names} for names in (only, skip))
    return [
        inverse
        for inverse in inverses
        if not chosen or _name(inverse.module) in chosen
        if _name(inverse.module) not in left_out
    ]


def _refuse_unused(extra: Params, modules: Iterable[str]) -> None:
    """Raises UsageError for an argument that no inverse of this incident ever took. One whose inverse is played already
    is none: the same task is run again to play the rest."""
    if not extra:
        return
    specs = [_step(module).ARGUMENT_SPEC for module in modules]
    unused = set(extra).difference(*specs)
    if unused:
        raise UsageError(f"extra: nothing that is to be undone takes '{min(unused)}'")


def _with_extra(inverse: Inverse, extra: Params) -> Inverse:
    """With those further arguments that its module takes; a module that is no more fails when it is applied."""
    try:
        spec = _step(inverse.module).ARGUMENT_SPEC
    except UsageError:
        return inverse
    return inverse._replace(args={**inverse.args, **{key: value for key, value in extra.items() if key in spec}})


def _apply(inverse: Inverse, context: Context, perform: Perform) -> Result:
    """Its result, also where it could not even begin: what stands in the way of one inverse is that one's failure."""
    try:
        return perform(inverse, inverse.args, context)
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


def _diff(before: Sequence[str], after: Sequence[str]) -> dict[str, Any]:
    return {"before": {"to_undo": list(before)}, "after": {"to_undo": list(after)}}
