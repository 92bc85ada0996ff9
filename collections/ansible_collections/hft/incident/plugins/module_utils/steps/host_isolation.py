# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``host_isolation``: a suspect host cut off from everything but its responders, and that proven.

From outside first, where the site can: what isolates a host on that host can be removed by an intruder who is root
there. Then on the host, with a revert armed; what the host did is proven over a connection that is newer than it, and
only then is the revert disarmed.

Source: runbook section 6 (isolate system from network); seed-faults A1.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from ..arguments import REQUIRE_EVIDENCE
from ..errors import IncidentError, UnprovenError, UsageError
from ..host_command import run as run_command
from ..isolation_host import SPEC, change, machine_id, wanted
from ..redaction import scrub_text
from . import Context, Params, Result, event, inverse

ARGUMENT_SPEC: dict[str, Any] = {**SPEC, **REQUIRE_EVIDENCE}

#: Does the host's part with these arguments, over a connection of its own; its result is that of
#: ``isolation_host.change``.
HostPart = Callable[[Params, Context], Result]

run = change


def run_on(params: Params, context: Context, host: str, host_part: HostPart) -> Result:
    """Isolate or open ``host``, an inventory name; raises UsageError before anything is changed."""
    if params["confirm"] or params["control_node"]:
        raise UsageError("confirm, control_node: only this module's own action plugin says that")
    if not params["on_host"]:
        return _Change(params, context, host, host_part).from_outside_only()
    if params["state"] == "isolated":
        wanted(params)
    change_of = _Change(params, context, host, host_part)
    return change_of.isolate() if params["state"] == "isolated" else change_of.open()


#: A host's part that has done and said nothing, and what else it says when it has rules to speak of.
_NOTHING: Result = {
    "changed": False,
    "msg": "the host gave no result",
    "outcome": IncidentError.outcome,
    "confirmed": False,
    "reverts_at": "",
    "reverted_at": "",
    "sockets_killed": [],
    "sockets_left": [],
    "conntrack": "",
    "probes": [],
}
_OF_RULES = ("ruleset", "responders", "ssh_ports", "diff")


class _Change:
    """Of one host."""

    def __init__(self, params: Params, context: Context, host: str, host_part: HostPart) -> None:
        self._params = {**params, "control_node": machine_id()}
        self._context = context
        self._host = host
        self._host_part = host_part
        self._external: dict[str, Any] = {"state": "none", "msg": ""}

    def isolate(self) -> Result:
        """What the host says does not hold up what is done from outside: it may be in somebody else's hands."""
        inverses = [] if self._context.check else self._context.intend([self._inverse()])
        self._from_outside("isolated")
        applied = self._begun()
        if applied.get("failed") and applied["outcome"] != UsageError.outcome and not self._context.check:
            applied["msg"] += (
                f"; what was applied, if anything was, is taken back within {self._params['revert_after']} s"
            )
        if self._context.check or applied.get("failed"):
            return self._completed(applied)
        result = {**applied, "inverses": inverses if applied["changed"] else []}
        if not applied["confirmed"]:
            result |= self._proven(applied)
        if applied["changed"]:
            result["record"] = [*_reverted(self._host, applied), event("host.isolated", self._said(result))]
        return self._completed(result)

    def open(self) -> Result:
        """The host first: what could not be ended on it is still cut off from outside."""
        opened = self._begun()
        if opened.get("failed"):
            return self._completed(opened)
        self._from_outside("open")
        result = {**opened, "record": [] if self._context.check else _reverted(self._host, opened)}
        if opened["changed"] and not self._context.check:
            said = {"host": self._host, "table": self._params["table"], "by": "a responder"}
            left = {"sockets_left": opened["sockets_left"]}
            result["record"].append(event("host.isolation_reverted", {**said, **left}))
        if self._external["state"] == "failed":
            result |= {"failed": True, "outcome": UnprovenError.outcome}
        return self._completed(result)

    # From outside

    def from_outside_only(self) -> Result:
        """What nobody has tried out is told as such. Whether it was so before, only the site's command knows."""
        state = self._params["state"]
        if not self._params["external_command"]:
            raise UsageError("on_host: without it, external_command has to say how the host is isolated from outside")
        intended = [self._inverse()] if state == "isolated" and not self._context.check else []
        inverses = self._context.intend(intended) if intended else []
        self._from_outside(state)
        told: Result = {"changed": True, "confirmed": False, "sockets_left": [], "conntrack": "", "inverses": inverses}
        if self._external["state"] == "failed":
            told |= {"failed": True, "outcome": UnprovenError.outcome, "changed": False}
        words = ("would be " if self._context.check else "is ") + ("isolated" if state == "isolated" else "open again")
        told |= {"msg": f"{self._host} {words} from outside alone: NOT TRIED OUT", "outcome": UnprovenError.outcome}
        if not self._context.check and self._external["state"] != "failed":
            kind = "host.isolated" if state == "isolated" else "host.isolation_reverted"
            told["record"] = [event(kind, self._outside(state))]
        return self._completed(told)

    def _outside(self, state: str) -> dict[str, Any]:
        """What the record has of it."""
        if state == "open":
            return {"host": self._host, "by": "a responder", "sockets_left": []}
        nothing: dict[str, Any] = {"responders": [], "probes": [], "sockets_killed": [], "sockets_left": []}
        said = {"host": self._host, "state": "isolated", "confirmed": False, "external": "isolated", "reverts_at": ""}
        return {**said, **nothing, "on_host": False}

    def _from_outside(self, state: str) -> None:
        """By the site's own command. That it failed is said, and holds up nothing."""
        command = [*self._params["external_command"], self._host]
        if len(command) == 1:
            return
        if self._context.check:
            self._external = {"state": "not run", "msg": f"would be asked for {state}"}
            return
        env = {**os.environ, "LC_ALL": "C", "HFT_HOST": self._host, "HFT_STATE": state}
        ran = run_command(command, timeout=self._params["external_timeout"], env=env)
        self._external = {"state": state if ran.ok else "failed", "msg": "" if ran.ok else scrub_text(ran.complaint)}
        said = {"host": self._host, "state": state, "done": ran.ok, "msg": self._external["msg"]}
        self._context.note("host.external_isolation", said)

    @property
    def _untouched_from_outside(self) -> bool:
        return self._external["state"] in ("none", "not run")

    # On the host

    def _begun(self) -> Result:
        """The first of the host's part; raises UsageError where it refuses what was asked for, and nothing at all was
        changed."""
        found = self._on_host({})
        if found["outcome"] == UsageError.outcome and self._untouched_from_outside:
            raise UsageError(found["msg"])
        return found

    def _on_host(self, more: Mapping[str, Any], reverts_at: str = "") -> Result:
        """The host's part; what stood in its way is its result. What else the host says than it should is dropped: it
        may be in somebody else's hands."""
        try:
            found = self._host_part({**self._params, **more}, self._context)
        except IncidentError as error:
            found = {"failed": True, "msg": str(error), "outcome": error.outcome}
        said = {name: found[name] for name in (*_NOTHING, *_OF_RULES, "failed") if name in found}
        return {**_NOTHING, "reverts_at": reverts_at, **said}

    def _proven(self, applied: Result) -> Result:
        """By the host's own answer over a new connection."""
        proof = self._on_host({"confirm": applied["ruleset"]}, applied["reverts_at"])
        told = {name: proof[name] for name in ("confirmed", "probes", "reverts_at")}
        if proof["confirmed"] is True and not proof.get("failed"):
            msg = f"{self._host} is isolated, proven over a new connection"
            return {**told, "sockets_left": proof["sockets_left"], "msg": msg}
        at = proof["reverts_at"]
        when = f"the isolation is taken back at {at} unless proven" if at else "no revert is armed"
        msg = f"{self._host} is NOT PROVEN isolated: {proof['msg']}; {when}"
        return {**told, "confirmed": False, "failed": True, "outcome": UnprovenError.outcome, "msg": msg}

    # What is said

    def _completed(self, result: Result) -> Result:
        result = {**result, "table": self._params["table"], "external": self._external}
        state, msg = self._external["state"], self._external["msg"]
        if state == "failed":
            result["msg"] += f"; FROM OUTSIDE IT FAILED: {msg}"
        elif not self._untouched_from_outside:
            result["msg"] += f"; from outside it is {state}"
        if result["sockets_left"]:
            result["msg"] += f"; NOT CUT: {', '.join(result['sockets_left'])}"
        if result["conntrack"]:
            result["msg"] += f"; connection tracking: {result['conntrack']}"
        if not result.get("failed"):
            del result["outcome"]
        elif not self._untouched_from_outside:  # a wrong argument that only the host could see: no longer of no effect
            result |= {"changed": True, "outcome": UnprovenError.outcome}
        return result

    def _said(self, result: Result) -> dict[str, Any]:
        fields = ("confirmed", "responders", "probes", "sockets_killed", "sockets_left", "reverts_at")
        told = {name: result[name] for name in fields}
        said = {"host": self._host, "state": "isolated", "table": self._params["table"]}
        return {**said, **told, "external": self._external["state"]}

    def _inverse(self) -> dict[str, Any]:
        names = ("table", "timeout", "external_command", "external_timeout", "on_host")
        args = {"state": "open", **{name: self._params[name] for name in names}}
        return inverse("host_isolation", args, f"end the isolation of {self._host}")


def _reverted(host: str, found: Result) -> list[dict[str, Any]]:
    """What happened while nobody looked."""
    at = found["reverted_at"]
    return [event("host.isolation_reverted", {"host": host, "by": "its own revert", "at": at})] if at else []
