# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scribe: what happens in an incident playbook, written into the incident's journal as it happens."""

from __future__ import annotations

DOCUMENTATION = r"""
name: scribe
type: aggregate
short_description: Writes the record of an incident
version_added: 0.1.0
author:
  - hft-incident contributors (@hft-incident)
description:
  - Keeps the journal of an incident playbook, so that plain C(ansible-playbook) leaves the same record as
    C(hft-incident run).
  - It is silent unless the playbook is named after an incident type, for example C(exchange_outage.yml).
  - It opens a new incident, unless the environment variable E(HFT_INCIDENT_ID) names one that exists, and sets
    E(HFT_INCIDENT_ID) and E(HFT_INCIDENT_DIR) for the modules that run on the control node. An incident that is closed
    or of another type, and a rehearsal for what is none, are refused with exit code 2.
  - Extra variables that say who may open again (C(hft_gates), C(hft_allowed_signers)) are refused with exit code 2;
    that is the inventory's to say.
  - Of a task it records name, host, action, status, time and the module's own message, with secrets taken out. It never
    records a task's arguments or its whole result. Of extra variables it records C(exchange), C(reason), C(confirmed),
    C(force) and the thresholds that start with C(hft_), as far as they are plain values and no secrets in clear; with
    them, the inventory and the names of the plays C(hft-incident resume) goes on where a run stopped.
  - Two runs never work on one incident at the same time. A run that finds another one at work does not start; it ends
    with exit code 2 and names who works there.
  - An incident it opens has a severity at once, by the severity rules (C(playbooks/vars/severity.yml), and over them
    the inventory's C(group_vars/all/severity.yml)); extra variables named C(hft_fact_NAME) are facts for them,
    C(severity) is a person's word. What the run finds out may raise it, each time on record with the rule and the
    reason. It is never lowered here. Rules that cannot be read end the run with exit code 2 before the first task.
  - It starts the process that tells people what is due while the incident lasts, and afterwards (C(hft-incident comms)
    describes it), unless one follows the incident already. A rehearsal is told to nobody. Nothing waits for it.
  - "A module's result may carry C(record), a list of C({kind, data}) that is written as it is, C(inverses), a list of
    C({module, args, describe}) that say how to undo what it changed, and, if it failed, C(outcome), one of C(failed),
    C(usage), C(unproven) and C(held). Under C(no_log) Ansible hides these from the scribe as well."
  - A run without a record does not start, it ends with exit code 2 before the first task. A record that cannot be
    written any more later on does not stop the run, which may be in the middle of making things safe, but the run then
    ends as failed.
  - An incident whose only run was refused (outcome C(usage), nothing was changed) is closed as C(refused), with the
    reason; nobody has to look after it.
  - A run that is not C(done) never ends with exit code 0. That includes a play that matches no host, and tags that
    leave nothing to run.
requirements:
  - The state folder (E(HFT_INCIDENT_HOME)) is writable.
"""

EXAMPLES = r"""
enable: |
  # ansible.cfg
  [defaults]
  callbacks_enabled = hft.incident.scribe
"""

import atexit
import os
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible import constants as C  # noqa: N812  the name every plugin uses
from ansible import context
from ansible.plugins.callback import CallbackBase
from ansible.utils.vars import load_extra_vars

from ansible_collections.hft.incident.plugins.module_utils import follower
from ansible_collections.hft.incident.plugins.module_utils.chain import draft
from ansible_collections.hft.incident.plugins.module_utils.errors import EXIT_CODES, IncidentError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import (
    ENV_DIR,
    ENV_ID,
    ENV_RUN,
    PHASES,
    TYPES,
    Incident,
    Inverse,
    doubts,
    find,
    open_incident,
    open_inverses,
    state_of,
)
from ansible_collections.hft.incident.plugins.module_utils.intents import registration
from ansible_collections.hft.incident.plugins.module_utils.redaction import is_secret_field
from ansible_collections.hft.incident.plugins.module_utils.run_lock import RunLock, acquire
from ansible_collections.hft.incident.plugins.module_utils.secret_ref import is_reference
from ansible_collections.hft.incident.plugins.module_utils.severity import Rules
from ansible_collections.hft.incident.plugins.module_utils.severity_record import SET, TELLING, rise
from ansible_collections.hft.incident.plugins.module_utils.severity_rules import load as severity_rules

INPUTS = ("exchange", "reason", "confirmed", "force")
THRESHOLD_PREFIX = "hft_"
POLICY = ("hft_gates", "hft_allowed_signers")
MESSAGE_LIMIT = 1000
_UNDEFINED = re.compile(r"'(?P<name>hft_\w+)' is undefined")

Draft = tuple[str, Mapping[str, Any]]


class Run:
    """What the scribe knows of the run that it is writing down."""

    def __init__(
        self, run_id: str, incident: Incident, lock: RunLock, playbook: str, check: bool, rules: Rules
    ) -> None:
        self.id = run_id
        self.incident = incident
        self.lock = lock
        self.playbook = playbook
        self.check = check
        self.rules = rules
        self.weighed = 0  # so many events of the record have been weighed for the severity
        self.play = ""
        self.phase: str | None = None
        self.entered: tuple[str, str] | None = None
        self.started: dict[tuple[str, str], float] = {}
        self.tasks = 0
        self.changed = False
        self.failed = 0
        self.unreachable = 0
        self.outcomes: set[str] = set()
        self.complaint = ""
        self.empty_plays: list[str] = []
        self.record_fault: str | None = None
        self.last_seq = 0

    def outcome(self) -> str:
        """The worst that happened. `usage` promises that nothing was changed: after a change it is `failed`."""
        if self.record_fault or "failed" in self.outcomes:
            return "failed"
        if "usage" in self.outcomes:
            return "failed" if self.changed else "usage"
        if self.tasks == 0:
            return "usage"
        if self.empty_plays:
            return "unproven"
        return next((name for name in ("unproven", "held") if name in self.outcomes), "done")


class CallbackModule(CallbackBase):
    """Ansible calls these methods one at a time, in the main process."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "hft.incident.scribe"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._run: Run | None = None
        self._opened_here: str | None = None
        atexit.register(self._interrupted, os.getpid())

    def v2_playbook_on_start(self, playbook: Any) -> None:
        path = Path(playbook._file_name)
        self._run = None
        if path.stem not in TYPES:
            return
        check = bool(context.CLIARGS.get("check"))
        try:
            run = self._start(path, check, _told(playbook))
        except IncidentError as error:
            # Ansible turns an exception of a callback into a warning and goes on; SystemExit it lets through.
            self._display.error(f"{error}; nothing was started")
            raise SystemExit(EXIT_CODES["usage"]) from error
        # Task workers are forked from here, so modules on the control node find the journal.
        os.environ[ENV_ID] = run.incident.id
        os.environ[ENV_DIR] = str(run.incident.directory)
        self._run = run

    def _start(self, path: Path, check: bool, told: Mapping[str, Any]) -> Run:
        """The run with its first line on record; raises IncidentError where it must not start."""
        rules = severity_rules(told["inventory"])
        run_id = os.environ.pop(ENV_RUN, "") or uuid.uuid4().hex[:12]
        incident = self._incident(path.stem, told, check)

        def ended(pids: list[int]) -> None:
            incident.journal.append("run.orphans_ended", {"pids": pids})

        run = Run(run_id, incident, acquire(incident.directory, run_id, ended), path.name, check, rules)
        started = {"run": run.id, "playbook": run.playbook, "pid": os.getpid(), "check": check, **told}
        run.last_seq = incident.journal.append("run.started", started).seq
        if not check:
            self._accompany(incident)
        return run

    def _accompany(self, incident: Incident) -> None:
        """People are told by a process of its own; that there is none is no reason not to respond."""
        try:
            if follower.start(incident.directory):
                return
            reason = "pip install hft-incident has what tells them"
        except OSError as error:
            reason = error.strerror or str(error)
        self._display.warning(f"nobody is told of {incident.id} by itself: {reason}")

    def v2_playbook_on_play_start(self, play: Any) -> None:
        if self._run:
            self._run.play = play.get_name()
            self._run.phase = _phase(play.tags)

    def v2_playbook_on_no_hosts_matched(self) -> None:
        if self._run:
            self._run.empty_plays.append(self._run.play)
            self._no_hosts(f"play {self._run.play!r}: no host matches, so none of its tasks ran")

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """A phase is entered with its first task: a play that tags leave out of this run enters nothing."""
        run = self._run
        if run and run.phase and run.entered != (run.phase, run.play):
            run.entered = (run.phase, run.play)
            self._write([("phase.entered", {"phase": run.phase, "play": run.play})])

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        if self._run:
            self._run.started[host.get_name(), task._uuid] = time.monotonic()

    def v2_runner_on_ok(self, result: Any) -> None:
        # An include is a task that only makes others; they are recorded themselves.
        if result._task.action not in C._ACTION_ALL_INCLUDES:
            self._finished(result, "changed" if result._result.get("changed") else "ok")

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._finished(result, "skipped")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if ignore_errors:
            self._finished(result, "ignored")
        else:
            self._finished(result, "rescued" if _will_be_rescued(result._task) else "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._finished(result, "ignored" if result._task.ignore_unreachable else "unreachable")

    def v2_runner_item_on_ok(self, result: Any) -> None:
        self._write(self._carried(result))

    def v2_runner_item_on_failed(self, result: Any) -> None:
        self._write(self._carried(result))

    def v2_runner_retry(self, result: Any) -> None:
        """An attempt that is tried again has happened all the same: what it changed must be undoable."""
        data = result._result
        retried = {
            "task": result._task.get_name(),
            "host": result._host.get_name(),
            "attempt": data.get("attempts"),
            "attempts": data.get("retries"),
            "msg": _message(data),
        }
        self._write([*self._carried(result), ("task.retried", retried)])

    def v2_playbook_on_stats(self, stats: Any) -> None:
        run = self._run
        if run is None:
            return
        if run.tasks == 0 and not run.empty_plays:
            self._no_hosts(f"{run.playbook}: no task ran at all")
        self._doubt(run)
        counts = {"tasks": run.tasks, "failed": run.failed, "unreachable": run.unreachable}
        if run.outcome() == "usage" and self._fired_first(run):
            run.changed = True
        self._raise_severity()
        refused = self._refused(run) if run.outcome() == "usage" else []
        ended = {"run": run.id, **counts, "outcome": run.outcome(), "reason": run.complaint or None}
        self._write([*refused, ("run.finished", ended)])
        outcome = run.outcome()  # again: that line may have failed to be written
        self._run = None
        run.lock.release()
        if self._opened_here == run.incident.id:
            # A second playbook on the same command line is an incident of its own.
            del os.environ[ENV_ID], os.environ[ENV_DIR]
        self._display.display(f"incident {run.incident.id}: {outcome}; record {run.incident.journal.path}")
        if outcome != "done" and not any(stats.failures.values()) and not any(stats.dark.values()):
            raise SystemExit(EXIT_CODES[outcome])

    def _incident(self, incident_type: str, told: Mapping[str, Any], check: bool) -> Incident:
        named = os.environ.get(ENV_ID)
        if named:
            return _taken_up(find(named), incident_type, check=check)
        incident = open_incident(
            incident_type, inputs=told["inputs"], severity=told["severity"], check=check, inventory=told["inventory"]
        )
        self._opened_here = incident.id
        return incident

    def _doubt(self, run: Run) -> None:
        """Steps may all have gone well and a venue still not be proven clear: that is never "done" (contracts.md)."""
        if run.outcome() != "done":
            return
        try:
            doubtful = doubts(state_of(run.incident.journal.events()))
        except IncidentError as error:
            self._fault(run, str(error))
            return
        if doubtful:
            run.outcomes.add("unproven")
            run.complaint = f"not proven safe: {', '.join(doubtful)}"
            self._display.error(run.complaint)

    def _fired_first(self, run: Run) -> bool:
        """Whether the red button was pressed beside this run: then "nothing was changed" would be a lie."""
        try:
            events = run.incident.journal.events()
        except IncidentError as error:
            self._fault(run, str(error))
            return True
        last = max((event.seq for event in events if event.kind == "run.finished"), default=0)
        return any(event.kind == "kill.ordered" and event.seq > last for event in events)

    def _refused(self, run: Run) -> list[Draft]:
        """The end of an incident in which nothing was done; one that an earlier run has worked on stays as it is."""
        try:
            runs = sum(event.kind == "run.started" for event in run.incident.journal.events())
        except IncidentError as error:
            self._fault(run, str(error))
            return []
        return [("incident.closed", {"resolution": "refused", "summary": run.complaint})] if runs == 1 else []

    def _no_hosts(self, reason: str) -> None:
        self._display.error(reason)
        if self._run:
            self._run.complaint = self._run.complaint or reason
        self._write([("run.no_hosts", {"reason": reason})])

    def _finished(self, result: Any, status: str) -> None:
        run = self._run
        if run is None:
            return
        data = result._result
        host = result._host.get_name()
        started = run.started.pop((host, result._task._uuid), None)
        finished = {
            "task": result._task.get_name(),
            "play": run.play,
            "phase": run.phase,
            "host": host,
            "action": result._task.action,
            "status": status,
            "elapsed_ms": None if started is None else round((time.monotonic() - started) * 1000, 1),
            "msg": _message(data),
        }
        run.tasks += 1
        run.changed = run.changed or bool(data.get("changed"))
        run.failed += status == "failed"
        run.unreachable += status == "unreachable"
        if status in ("failed", "unreachable"):
            if name := _left_out(data.get("msg")):
                finished["msg"] = f"the inventory has no {name}; the example that `hft-incident init` writes has it"
            outcomes = _outcomes(data)
            run.outcomes |= outcomes
            if outcomes == {"held"}:  # it waits, as it should; who reads the record must not take it for a fault
                finished["outcome"] = "held"
            run.complaint = run.complaint or finished["msg"] or f"{finished['task']}: {status}"
        self._write([*self._carried(result), ("task.finished", finished)])
        self._raise_severity()

    def _raise_severity(self) -> None:
        """Whatever was found out since, here or beside this run, may make it worse than was thought."""
        run = self._run
        if run is None:
            return
        try:
            events = run.incident.journal.events()
        except IncidentError as error:
            self._fault(run, str(error))
            return
        fresh, run.weighed = events[run.weighed :], len(events)
        if any(event.kind in TELLING for event in fresh) and (change := rise(run.rules, events)):
            self._display.warning(f"severity {change['before']} -> {change['severity']}: {change['reason']}")
            self._write([(SET, change)])

    def _carried(self, result: Any) -> list[Draft]:
        """The events that a result brings along: its own, not those of a loop's items, which came with the items."""
        data = result._result
        events: list[Draft] = [(item.get("kind", ""), item.get("data", {})) for item in _listed(data, "record")]
        check = result._task_fields.get("check_mode", context.CLIARGS.get("check"))
        inverses = [] if check else _listed(data, "inverses")
        if not inverses or self._run is None:
            return events
        # What a step on the control node wrote down before it acted is open already, and not written twice.
        task, host = result._task.get_name(), result._host.get_name()
        still_open: Sequence[Inverse] = ()
        try:
            still_open = open_inverses(self._run.incident.journal.events(), host)
        except IncidentError as error:
            self._fault(self._run, str(error))
        try:
            return events + registration(still_open, inverses, task=task, host=host).drafts
        except TypeError as error:
            self._fault(self._run, f"how to undo {task!r} could not be recorded: {error}")
            return events

    def _write(self, events: Sequence[Draft]) -> None:
        """Writes what can be written. A fault is said once, loudly, and fails the run at its end: stopping here could
        stop a containment half way."""
        run = self._run
        if run is None or not events:
            return
        good: list[Draft] = []
        for kind, data in events:
            try:
                good.append(draft(kind, data))
            except (TypeError, ValueError) as error:
                good.append(("record.refused", {"kind": str(kind), "reason": str(error)}))
                self._fault(run, f"an event of the record was refused: {error}")
        try:
            written = run.incident.journal.extend(good)
        except IncidentError as error:
            self._fault(run, str(error))
            return
        if written[0].seq <= run.last_seq:
            self._fault(run, f"the record {run.incident.journal.path} was taken away or cut short by somebody")
        run.last_seq = written[-1].seq

    def _fault(self, run: Run, text: str) -> None:
        if run.record_fault is None:
            run.record_fault = text
            self._display.error(f"{text}; the run goes on, but will end as failed")

    def _interrupted(self, pid: int) -> None:
        """At the end of the process: a run without statistics was cut short (Ctrl-C, an error of Ansible's own)."""
        if self._run and os.getpid() == pid:
            self._write([("run.interrupted", {"run": self._run.id, "tasks": self._run.tasks})])
            self._run.lock.release()


def _taken_up(incident: Incident, incident_type: str, *, check: bool) -> Incident:
    """The incident, if such a run belongs into its record: what is done there must be claimed, and proven."""
    state = state_of(incident.journal.events())
    if not state.is_open:
        raise UsageError(f"{incident.id} is closed: what is done now is an incident of its own (unset {ENV_ID})")
    if state.type not in (None, incident_type):
        raise UsageError(f"{incident.id} is a {state.type}, not a {incident_type} (unset {ENV_ID})")
    if state.check and not check:
        raise UsageError(f"{incident.id} is a rehearsal: only --check belongs into it (unset {ENV_ID})")
    return incident


def _told(playbook: Any) -> dict[str, Any]:
    """What this run was started with, as far as another one needs it to go on where it stops."""
    options = context.CLIARGS
    given = load_extra_vars(playbook._loader)
    if weakened := [name for name in POLICY if name in given]:
        raise UsageError(f"{weakened[0]}: who may open again what an incident closed, only the inventory says")
    severity = str(given.get("severity", ""))
    return {
        "inputs": {name: value for name, value in given.items() if _is_input(name, value)},
        "severity": int(severity) if severity in ("1", "2", "3", "4") else None,
        "inventory": [str(source) for source in options.get("inventory") or ()],
        "tags": [str(tag) for tag in options.get("tags") or ()],
        "skip_tags": [str(tag) for tag in options.get("skip_tags") or ()],
        "plays": [
            {"name": play.get_name(), "phase": _phase(play.tags), "tag": _own_tag(play.tags)}
            for play in playbook.get_plays()
        ],
    }


def _is_input(name: str, value: Any) -> bool:
    """A secret in clear is masked in the record, and a mask is nothing to go on with."""
    if not (name in INPUTS or name.startswith(THRESHOLD_PREFIX)) or not isinstance(value, (str, int, float)):
        return False
    return not is_secret_field(name) or (isinstance(value, str) and is_reference(value))


def _phase(tags: Sequence[str]) -> str | None:
    return next((phase for phase in PHASES if phase in tags), None)


def _own_tag(tags: Sequence[str]) -> str | None:
    """The last that is no phase, else the phase. Of an imported play Ansible mixes up the order, so it has only one."""
    return next((str(tag) for tag in reversed(tags) if tag not in PHASES), _phase(tags))


def _outcomes(data: Mapping[str, Any]) -> set[str]:
    """How a failed task says it failed; a loop says it in its items."""
    failed = [item for item in _listed(data, "results") if item.get("failed") or item.get("unreachable")] or [data]
    said = [item.get("outcome") for item in failed]
    found = {word if isinstance(word, str) and word in ("usage", "unproven", "held") else "failed" for word in said}
    return {"usage"} if found == {"failed"} and _left_out(data.get("msg")) else found


def _left_out(text: object) -> str | None:
    """The variable of the site's that the inventory does not have, where a step failed for want of it."""
    found = _UNDEFINED.search(text) if isinstance(text, str) else None
    return found["name"] if found else None


def _message(data: Mapping[str, Any]) -> str | None:
    """The module's own message on one line; the journal masks secrets named in it."""
    text = data.get("msg")
    if not isinstance(text, str) or not text:
        return None
    line = " ".join(text.split())
    return line if len(line) <= MESSAGE_LIMIT else line[: MESSAGE_LIMIT - 1] + "…"


def _listed(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = data.get(key)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _will_be_rescued(task: Any) -> bool:
    """Whether the task stands in the main part of a block, at any depth, that has a rescue part."""
    inner, outer = task, task._parent
    while outer is not None:
        if getattr(outer, "rescue", None) and any(inner._uuid == member._uuid for member in outer.block):
            return True
        inner, outer = outer, outer._parent
    return False
