# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``service_state``: a service of this host started and seen to stay up, stopped and seen to be gone, or
frozen where it stands.

Source: runbook section 4 ("Restart"); seed-faults B2 and B3 (start limits, the hold file, an automatic restart that
races the responder), C4 (a stop that overlaps with the start after it), A3 (freeze what may still act, do not stop it).
"""

from __future__ import annotations

import time
from typing import Any

from ..arguments import HOST_TOOLS, REQUIRE_EVIDENCE, require_positive
from ..deadline import Deadline
from ..errors import HeldError, IncidentError, UnprovenError, UsageError
from ..systemd import LOOK_S, Service, UnitState, unmet_assertions
from . import Context, Params, Result, event, inverse

ARGUMENT_SPEC: dict[str, Any] = {
    **HOST_TOOLS,
    **REQUIRE_EVIDENCE,
    "unit": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["started", "stopped", "frozen", "thawed"], "required": True},
    "force": {"type": "bool", "default": False},
    "timeout": {"type": "float", "default": 30.0},
    "settle": {"type": "float", "default": 1.0},
    "undoable": {"type": "bool", "default": True},
}
OPPOSITE = {"started": "stopped", "stopped": "started", "frozen": "thawed", "thawed": "frozen"}
VERBS = {"started": "start", "stopped": "stop", "frozen": "freeze", "thawed": "thaw"}
POLL_S = 0.1


def run(params: Params, context: Context) -> Result:
    """Bring one service into that state; raises UsageError where that cannot be, before anything is changed."""
    require_positive(params, "timeout")
    if not params["settle"] >= 0:
        raise UsageError("settle must not be negative")
    service = Service(params["systemctl"], params["unit"])
    before = service.state(Deadline(params["timeout"]))
    _require_usable(service, before, params)
    if _is_already(before, params["state"]):
        return _described(service, params, before, before, f"{service.name} was {before.words} already")
    if context.check:
        return _predicted(service, params, before)
    # Also where the change fails: to set what is set changes nothing.
    inverses = context.intend([_inverse(service, params)] if params["undoable"] else [])
    failure: IncidentError | None = None
    try:
        if params["state"] == "started":
            _start(service, params["timeout"], params["settle"])
        elif params["state"] == "stopped":
            _stop(service, params["timeout"], force=params["force"])
        else:
            _freeze(service, params["timeout"], frozen=params["state"] == "frozen")
    except IncidentError as error:
        failure = error
    result = _told(service, params, before)
    result["inverses"] = inverses
    if failure:
        result |= {"failed": True, "outcome": failure.outcome, "msg": str(failure)}
    return result


def _is_already(state: UnitState, wanted: str) -> bool:
    """What has no process needs no freezing, and no thawing."""
    already = {
        "started": state.running,
        "stopped": state.stopped,
        "frozen": state.frozen or state.stopped,
        "thawed": not state.frozen,
    }
    return already[wanted]


def _require_usable(service: Service, state: UnitState, params: Params) -> None:
    """A unit whose file was taken away under it still runs, and must be stoppable."""
    started = params["state"] == "started"
    if state.frozen and (started or (params["state"] == "stopped" and not params["force"])):
        way = "thaw it first (state=thawed)" if started else "stop it with force=true, or thaw it first (state=thawed)"
        raise UsageError(f"{service.name} is frozen, and systemd would wake it for that: {way}")
    if params["state"] == "frozen" and not state.freezer_state and not state.stopped:
        raise UsageError(f"{service.name} cannot be frozen: that needs systemd 246 and control groups of version 2")
    if state.load_state == "not-found" and (started or state.stopped or not state.active_state):
        raise UsageError(f"there is no unit {service.name} on this host")
    if started and state.load_state == "masked":
        raise UsageError(f"{service.name} is masked: `systemctl unmask {service.name}` first")


# Starting -----------------------------------------------------------------------------------------------------------


def _start(service: Service, timeout: float, settle: float) -> None:
    """Raises HeldError where its assertion forbids it, UnprovenError where it does not come up or does not stay up."""
    deadline = Deadline(timeout)
    # Its complaint is of no interest: a unit that has never failed has nothing to forget. The start shows.
    service.reset(deadline)
    ran = service.start(deadline)
    state = _wait(service, deadline) if ran.ok else service.state(Deadline(LOOK_S))
    if not ran.ok and not state.running:
        held = ", ".join(unmet_assertions(state))
        # AssertResult alone may tell of an earlier attempt.
        if state.stopped and not state.asserted and (held or "assertion" in ran.err.lower()):
            held = held or "an assertion of its unit file (`systemctl status` shows it)"
            raise HeldError(f"{service.name} may not start: {held} is not met; a closed latch must be opened first")
        raise UnprovenError(f"{service.name} did not start: {ran.complaint}; it is {state.words}")
    _hold(service, state, settle)


def _wait(service: Service, deadline: Deadline) -> UnitState:
    """Its state once it runs, or has ended; raises UnprovenError at the deadline."""
    while True:
        state = service.state(Deadline(LOOK_S))
        if state.running or state.stopped:
            return state
        if deadline.remaining() <= POLL_S:
            raise UnprovenError(f"{service.name} is still {state.words}; NRestarts {state.n_restarts}")
        time.sleep(POLL_S)


def _hold(service: Service, first: UnitState, settle: float) -> None:
    """Look for so long whether the same process stays; a service counts as started before it has done anything."""
    state, deadline = first, Deadline(settle)
    while state.running and (state.main_pid, state.n_restarts) == (first.main_pid, first.n_restarts):
        if deadline.expired():
            return
        time.sleep(min(POLL_S, deadline.remaining()))
        state = service.state(Deadline(LOOK_S))
    raise UnprovenError(
        f"{service.name} was started and did not stay up: it is {state.active_state} ({state.sub_state}), "
        f"Result {state.result}, {state.ending}, NRestarts {state.n_restarts}"
    )


# Stopping -----------------------------------------------------------------------------------------------------------


def _stop(service: Service, timeout: float, *, force: bool) -> None:
    """Raises UnprovenError where a process may be left."""
    deadline = Deadline(timeout)
    if force:
        _kill(service, deadline)
    ran = service.stop(deadline)
    state = service.state(Deadline(LOOK_S))
    while not state.stopped and ran.ok and deadline.remaining() > POLL_S:
        time.sleep(POLL_S)
        state = service.state(Deadline(LOOK_S))
    if not state.stopped:
        why = "" if ran.ok else f": {ran.complaint}"
        raise UnprovenError(f"{service.name} is not proven stopped{why}; it is {state.words}, MainPID {state.main_pid}")


def _kill(service: Service, deadline: Deadline) -> None:
    """A stop alone sends SIGTERM and then SIGCONT, which wakes a process that hangs, with orders in mind that the
    venues have cancelled since. So it dies first, and where that is not certain no stop is sent."""
    first = service.state(Deadline(LOOK_S))
    ran = service.kill(deadline)
    state = first
    while state.main_pid and state.main_pid == first.main_pid:
        state = service.state(Deadline(LOOK_S))
        if not ran.ok or deadline.remaining() <= POLL_S:
            break
        time.sleep(POLL_S)
    if state.main_pid and state.main_pid == first.main_pid:
        why = "it outlives SIGKILL" if ran.ok else ran.complaint
        raise UnprovenError(f"{service.name} could not be killed: {why}; it is {state.words}, MainPID {state.main_pid}")


# Freezing -----------------------------------------------------------------------------------------------------------


def _freeze(service: Service, timeout: float, *, frozen: bool) -> None:
    """Raises UnprovenError where a process may act that should not, or cannot that should."""
    deadline = Deadline(timeout)
    ran = service.freeze(deadline) if frozen else service.thaw(deadline)
    state = service.state(Deadline(LOOK_S))
    # One that ends in the meantime does nothing any more.
    while state.frozen is not frozen and not state.stopped and ran.ok and deadline.remaining() > POLL_S:
        time.sleep(POLL_S)
        state = service.state(Deadline(LOOK_S))
    if state.frozen is not frozen and not (frozen and state.stopped):
        why = "" if ran.ok else f": {ran.complaint}"
        raise UnprovenError(
            f"{service.name} is not proven {'frozen' if frozen else 'thawed'}{why}; it is {state.words}"
        )


# What is said -------------------------------------------------------------------------------------------------------


def _told(service: Service, params: Params, before: UnitState) -> Result:
    """What has become of it."""
    try:
        after = service.state(Deadline(LOOK_S))
    except IncidentError as error:
        # The change was tried; that it cannot be seen makes it unproven, whatever was thought before.
        told = _described(service, params, before, before, str(error))
        return {**told, "changed": True, "failed": True, "outcome": error.outcome}
    words = "" if after.result == "success" else f" ({after.words})"
    told = _described(service, params, before, after, f"{service.name} is now {_word(after)}{words}")
    told["record"] = (
        [event("service.changed", {"unit": service.name, "state": _word(after), "before": _word(before)})]
        if told["changed"]
        else []
    )
    return told


def _predicted(service: Service, params: Params, before: UnitState) -> Result:
    started = params["state"] == "started"
    held = unmet_assertions(before) if started else []
    told = _described(service, params, before, before, f"{service.name} would be {params['state']}")
    if held:
        told["msg"] += f", once {', '.join(held)} is met"
    told["changed"] = True
    told["diff"]["after"] = {
        service.name: {"started": "running", "thawed": "running"}.get(params["state"], params["state"])
    }
    return told


def _described(service: Service, params: Params, before: UnitState, after: UnitState, msg: str) -> Result:
    return {
        "changed": _word(before) != _word(after) or before.main_pid != after.main_pid,
        "msg": msg,
        "unit": service.name,
        **_fields(after),
        "before": _fields(before),
        "held_by": unmet_assertions(after) if params["state"] == "started" else [],
        "diff": {"before": {service.name: _word(before)}, "after": {service.name: _word(after)}},
    }


def _word(state: UnitState) -> str:
    if state.frozen:
        return "frozen"
    if state.running:
        return "running"
    return "stopped" if state.stopped else f"{state.active_state} ({state.sub_state})"


def _fields(state: UnitState) -> Result:
    shown = state._asdict()
    del shown["asserted"], shown["unit_files"]
    return shown


def _inverse(service: Service, params: Params) -> dict[str, Any]:
    state = OPPOSITE[params["state"]]
    args = {"unit": service.name, "state": state, "timeout": params["timeout"], "systemctl": params["systemctl"]}
    return inverse("service_state", args, f"{VERBS[state]} {service.name}")
