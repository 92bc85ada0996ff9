# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What of the modules ``latch`` and ``latch_info`` happens on the trading host: the hold file, and nothing else.

This is what is sent to a host. Who may open, the trading system's API and the journal are the control node's business;
its action plugin says in ``entry`` who holds, or under which gate the hold is released.
"""

from __future__ import annotations

from typing import Any

from .arguments import GATES, TRADING_SYSTEMS
from .errors import HeldError
from .hold_file import BY_HAND, SCOPES, Hold, Look, close, look, path_of, release
from .steps import Context, Params, Result
from .timestamps import utc_now

INFO_SPEC: dict[str, Any] = {
    **TRADING_SYSTEMS,
    "trading_system": {"type": "str"},
    "scope": {"type": "str", "choices": list(SCOPES), "default": "all"},
    "name": {"type": "str"},
    "hold_file": {"type": "str", "required": True},
    "timeout": {"type": "float", "default": 5.0},
}
INFO_REQUIRED_IF = [("scope", "exchange", ("name",)), ("scope", "strategy", ("name",))]

CHANGE_SPEC: dict[str, Any] = {
    **INFO_SPEC,
    **GATES,
    "state": {"type": "str", "choices": ["open", "closed"], "required": True},
    "reason": {"type": "str", "default": ""},
    "entry": {"type": "dict"},
}
CHANGE_REQUIRED_IF = [*INFO_REQUIRED_IF, ("state", "open", ("gate",))]


def change(params: Params, context: Context) -> Result:
    """Hold, or release what ``entry`` says. Raises UnprovenError, and HeldError for a release that nobody allowed."""
    path = path_of(params["hold_file"], params["scope"], params["name"])
    entry = params["entry"] or {}
    if params["state"] == "closed":
        said = {key: str(entry.get(key) or "") for key in ("by", "at")}
        hold = Hold(str(entry.get("incident") or BY_HAND), params["reason"], said["by"], said["at"] or utc_now())
        before, after = close(path, hold, check=context.check)
    elif entry.get("gate") and entry.get("gate") == params["gate"]:
        before, after = release(path, map(str, entry.get("incidents") or ()), check=context.check)
    else:
        raise HeldError(f"{path} is opened by the control node only, which asks who allows it")
    return {"changed": before != after, "msg": f"{path} is {after.state}", **_shown(path, before, after)}


def show(params: Params, _context: Context) -> Result:
    """The hold file as it is."""
    path = path_of(params["hold_file"], params["scope"], params["name"])
    found = look(path)
    return {"msg": f"{path} is {found.state}", **_shown(path, found, found)}


def _shown(path: str, before: Look, after: Look) -> Result:
    return {"hold": {"path": path, **after.shown()}, "hold_before": {"path": path, **before.shown()}}
