# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The module ``latch``: permission to trade, kept outside the trading process.

Anybody closes it; to open it, its gate must have been passed. Both times the hold file comes first and the trading
system's API last, so that a response that is cut off in between leaves behind, when it closes, what outlives a restart,
and when it opens, what still stops a process that runs.

Source: runbook section 4 (start system); seed-faults B2, B3, E11 (anybody stops, resuming needs two).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..arguments import require_positive
from ..authority import gate_of, intact_events, objection_to_passage, require_passed
from ..chain import Event
from ..errors import HeldError, IncidentError, UnprovenError, UsageError
from ..hold_file import path_of
from ..incident import Incident
from ..journal import actor_name
from ..latch_host import CHANGE_REQUIRED_IF, CHANGE_SPEC
from ..latch_host import change as change_here
from ..latch_parts import Api, Scope, chosen_systems, compared, hold_part, journal_part, last_change, shown
from ..redaction import scrub_text
from ..timestamps import utc_now
from . import Context, Params, Result, event, inverse, run_step
from .killswitch import as_argument
from .undo import CONTROL_NODE, current_incident

ARGUMENT_SPEC = CHANGE_SPEC
REQUIRED_IF = CHANGE_REQUIRED_IF

#: Does the host's part with these arguments; its result is that of ``latch_host.change``.
HostPart = Callable[[Params, Context], Result]


def run(params: Params, context: Context) -> Result:
    """Close or open the latch of the control node itself."""
    return run_on(params, context, CONTROL_NODE, in_process)


def run_on(params: Params, context: Context, host: str, host_part: HostPart) -> Result:
    """Close or open the latch of ``host``, an inventory name; raises UsageError before anything is changed."""
    latch = _Latch(params, context, host, host_part)
    return latch.close() if params["state"] == "closed" else latch.open()


def in_process(params: Params, context: Context) -> Result:
    return run_step(change_here, params, context)


class _Latch:
    """One latch of one host, about to be closed or opened."""

    def __init__(self, params: Params, context: Context, host: str, host_part: HostPart) -> None:
        require_positive(params, "timeout")
        if params["entry"]:
            raise UsageError("entry: only this module's own action plugin says that")
        self._scope = Scope(params["scope"], params["name"] or "")
        self._path = path_of(params["hold_file"], params["scope"], params["name"])
        self._entries = chosen_systems(params)
        self._api = Api(self._entries, self._scope, params["timeout"])
        self._params = {**params, "reason": scrub_text(params["reason"])}
        self._context = context
        self._host = host
        self._host_part = host_part

    def close(self) -> Result:
        """Waits for nobody. An API that cannot be reached is said, and is no failure; one that answers and stays open
        is, and so is a hold file that could not be written."""
        if self._scope.name:
            self._api.look()
            self._api.require_known()  # a misspelt name would close nothing, and look as if it had
        incident = _incident_or_none()
        inverses = [] if self._context.check else self._context.intend([self._inverse()])
        held = self._on_host({"incident": incident.id if incident else "", "by": actor_name(), "at": utc_now()})
        self._set_api()
        result = self._result(held, incident)
        if not self._context.check:
            result["inverses"] = inverses if result["changed"] else []
        failures = [held["msg"]] if held.get("failed") else []
        failures += [part.words for part in self._api.parts if part.state == "open"]
        return _unproven(result, failures) if failures else result

    def open(self) -> Result:
        """Raises HeldError where nobody allowed it, before anything is looked at."""
        incident = current_incident()
        missing = self._require_leave(incident)
        self._api.look()
        self._api.require_known()
        if silent := [part.words for part in self._api.parts if part.state == "unknown"]:
            raise UnprovenError(f"nothing was opened: {'; '.join(silent)}")
        held = self._on_host({"incidents": self._mine(incident), "gate": self._params["gate"]})
        if held["hold"]["state"] != "open":
            return self._not_opened(held, incident)
        self._set_api()
        result = self._result(held, incident)
        result["msg"] += missing
        unopened = [part.words for part in self._api.parts if part.state in ("closed", "unknown")]
        if not unopened:
            return result
        return self._recorded("latch.not_opened", _unproven(result, [f"{self._path} is open", *unopened]))

    def _require_leave(self, incident: Incident) -> str:
        """In check mode, what would have to happen first, as the end of a sentence."""
        asked = (self._params["gate"], self._params["gates"], self._params["allowed_signers"])
        if not self._context.check:
            require_passed(incident, *asked)
            return ""
        objection = objection_to_passage(gate_of(incident, *asked), intact_events(incident))
        return f"; but only once gate {asked[0]} is passed: {objection}" if objection else ""

    def _not_opened(self, held: Result, incident: Incident) -> Result:
        """Another one holds, or the host's part failed; the API stays as it is."""
        result = self._recorded("latch.not_opened", self._result(held, incident))
        if held.get("failed"):
            return {**result, "failed": True, "outcome": held["outcome"], "msg": held["msg"]}
        result["msg"] = f"{self._scope} stays closed at {self._host}: {self._path} is {_holders(held)}"
        return result if self._context.check else {**result, "failed": True, "outcome": HeldError.outcome}

    def _on_host(self, entry: Mapping[str, Any]) -> Result:
        """The host's part; what stood in its way is its result."""
        names = ("state", "scope", "name", "hold_file", "reason", "gate")
        args = {**{name: self._params[name] for name in names}, "entry": dict(entry)}
        try:
            found = self._host_part(args, self._context)
        except IncidentError as error:
            found = {"failed": True, "changed": False, "msg": str(error), "outcome": error.outcome}
        unseen = {"path": self._path, "state": "unknown", "holders": [], "error": found.get("msg", "")}
        return {"hold": unseen, "hold_before": unseen, "outcome": IncidentError.outcome, **found}

    def _set_api(self) -> None:
        reason = self._params["reason"] or "incident response"
        self._api.set(self._params["state"], reason, check=self._context.check)

    def _mine(self, incident: Incident) -> list[str]:
        """Whose holds this incident may release: its own, and those that it has taken over here, on purpose."""
        taken = [event.data for event in incident.journal.events() if event.kind == "claims.taken_over"]
        here = {self._host, *(entry.name for entry in self._entries)}
        return [incident.id, *(str(data.get("incident")) for data in taken if _places(data) & here)]

    def _result(self, held: Result, incident: Incident | None) -> Result:
        """Of both parts as they are now; in check mode, as they would be."""
        last = last_change(_events(incident), self._scope, self._host)
        found = compared([hold_part(held["hold"]), *self._api.parts])
        before = {"hold_file": held["hold_before"]["state"], **self._api.before}
        now = {row["trading_system"]: row["state"] for row in self._api.shown()}
        after = {"hold_file": held["hold"]["state"], **now}
        result: Result = {
            "changed": bool(held["changed"] or self._api.touched),
            **shown(self._scope, self._host, held["hold"], self._api, journal_part(last), found),
            "diff": {"before": {self._host: before}, "after": {self._host: after}},
        }
        wanted = self._params["state"]
        verb = ("would be" if self._context.check else "is now") if result["changed"] else "was already"
        result["msg"] = f"{self._scope} {verb} {wanted} at {self._host}"
        result["msg"] += f"; but its parts differ: {found.difference}" if found.difference else ""
        # Also where nothing was left to do: a response that was cut off closed it, and could not say so any more.
        news = result["changed"] or (last.get("state"), last.get("agree")) != (wanted, found.agree)
        return self._recorded("latch.changed", result) if news else self._recorded("", result)

    def _recorded(self, kind: str, result: Result) -> Result:
        """With this as its only event; without any in check mode."""
        if self._context.check:
            return result
        names = ("scope", "name", "host", "api", "agree", "difference")
        data = {
            **{name: result[name] for name in names},
            "state": self._params["state"],
            "hold_file": self._path,
            "hold": result["hold"]["state"],
            "reason": self._params["reason"],
        }
        return {**result, "record": [event(kind, data)] if kind else []}

    def _inverse(self) -> dict[str, Any]:
        names = ("scope", "name", "hold_file", "gate", "gates", "allowed_signers", "timeout")
        args = {name: self._params[name] for name in names if self._params[name]}
        args |= {"state": "open", "trading_systems": [as_argument(entry) for entry in self._entries]}
        return inverse("latch", args, f"open the latch of {self._host} for {self._scope}")


def _incident_or_none() -> Incident | None:
    """Closing needs no incident."""
    try:
        return current_incident()
    except UsageError:
        return None


def _events(incident: Incident | None) -> list[Event]:
    """A record that cannot be read keeps nobody from closing; what opens has read it before."""
    try:
        return incident.journal.events() if incident else []
    except IncidentError:
        return []


def _unproven(result: Result, failures: Iterable[str]) -> Result:
    return {
        **result,
        "failed": True,
        "outcome": UnprovenError.outcome,
        "msg": f"NOT PROVEN: {'; '.join(failures)}",
    }


def _holders(held: Result) -> str:
    return "held by " + "; ".join(map(_holder, held["hold"]["holders"]))


def _holder(hold: Mapping[str, str]) -> str:
    """Who holds, and how that ends."""
    words = (hold["reason"], hold["by"] and f"by {hold['by']}", hold["at"] and f"since {hold['at']}")
    said = ", ".join(filter(None, words))
    if hold["incident"]:
        return f"{hold['incident']} ({said}): `hft-incident resume {hold['incident']}` lets go when it opens"
    return f"somebody's hand ({said}): who agrees that it may go deletes the file on the host"


def _places(data: Mapping[str, Any]) -> set[str]:
    """The hosts and trading systems whose claims were taken over."""
    things = [thing for thing in data.get("things") or () if isinstance(thing, Mapping)]
    return {str(thing.get(key) or "") for thing in things for key in ("name", "at")}
