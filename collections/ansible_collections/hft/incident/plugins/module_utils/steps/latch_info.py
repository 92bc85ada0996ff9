# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``latch_info``: whether the parts of a latch agree, the hold file, the API and the journal."""

from __future__ import annotations

import os

from ..arguments import require_positive
from ..errors import IncidentError
from ..hold_file import path_of
from ..incident import ENV_DIR
from ..latch_host import INFO_REQUIRED_IF, INFO_SPEC
from ..latch_host import show as show_here
from ..latch_parts import Api, Part, Scope, chosen_systems, compared, hold_part, journal_part, last_change, shown
from . import Context, Params, Result, run_step
from .latch import HostPart
from .undo import CONTROL_NODE, current_incident

ARGUMENT_SPEC = INFO_SPEC
REQUIRED_IF = INFO_REQUIRED_IF


def run(params: Params, context: Context) -> Result:
    """The latch of the control node itself."""
    return run_on(params, context, CONTROL_NODE, in_process)


def in_process(params: Params, context: Context) -> Result:
    return run_step(show_here, params, context)


def run_on(params: Params, context: Context, host: str, host_part: HostPart) -> Result:
    """One look at the latch of ``host``; what cannot be seen is unknown and no failure, since that was the question."""
    require_positive(params, "timeout")
    scope = Scope(params["scope"], params["name"] or "")
    path = path_of(params["hold_file"], params["scope"], params["name"])
    api = Api(chosen_systems(params), scope, params["timeout"])
    api.look()
    api.require_known()
    args = {name: params[name] for name in ("scope", "name", "hold_file")}
    try:
        held = host_part(args, context)
    except IncidentError as error:
        held = {"msg": str(error)}
    hold = held.get("hold") or {"path": path, "state": "unknown", "holders": [], "error": held["msg"]}
    journal = _journal(scope, host)
    found = compared([hold_part(hold), *api.parts, journal])
    say = "all its parts agree" if found.agree else f"its parts differ: {found.difference}"
    return {"msg": f"{scope} is {found.state} at {host}; {say}", **shown(scope, host, hold, api, journal, found)}


def _journal(scope: Scope, host: str) -> Part:
    if not os.environ.get(ENV_DIR):
        return journal_part({})  # asked outside an incident
    try:
        return journal_part(last_change(current_incident().journal.events(), scope, host))
    except IncidentError as error:
        return Part("the journal's last word", "unknown", str(error))
