# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Serves what is due for an incident: once, or for as long as it lasts. Any number of servers may do so at once.

Every job is done by a child of its own, which puts on record what came of it. So a service that hangs holds up nothing
else, a server that is killed leaves its children to finish, and a child that takes too long ends by its own alarm. Who
may do a job its claim says (``claims``); that it is still to be done is asked again of the record once it is claimed.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import NamedTuple, NoReturn

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError
from ansible_collections.hft.incident.plugins.module_utils.follower import FOLDER, following
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, state_of
from ansible_collections.hft.incident.plugins.module_utils.journal import make_private_directory
from ansible_collections.hft.incident.plugins.module_utils.run_lock import holder

from ..inventory import recorded_inventory
from ..notices import next_due
from . import claims
from .job import Job, Situation
from .jobs import jobs_of, wakes_of
from .policy import Policy
from .policy_reading import load, shipped
from .telling import unfinished

#: How often the record is looked at (s), and how long one job may take: a service that has not answered by then has
#: not answered.
POLL_S, JOB_LIMIT_S = 0.2, 45
MOST_AT_ONCE = 12
#: How far ahead the next notice is looked for; until then nothing is missed, because the record is looked at again.
HORIZON = timedelta(hours=1)
FAULT = "communications.fault"
#: Says up to which byte of the record everybody has been told of an incident that is over.
TOLD = "told"

_log = logging.getLogger("hft_incident")


class Served(NamedTuple):
    """What one pass came to: ``open``, notices that are due and not delivered yet, with the last error of each."""

    incident: str
    jobs: int
    open: tuple[tuple[str, str, str], ...]


class Server:
    """One incident's server, which ``looks_again_at`` it by itself even where nothing happens. Not for threads: it
    forks."""

    def __init__(self, incident: Incident) -> None:
        self._incident = incident
        self._offset = 0
        self._events: list[Event] = []
        self.looks_again_at: datetime | None = None
        self._children: set[int] = set()
        self._tried: set[str] | None = None
        self._asked_at: datetime | None = None
        self._jobs = 0
        self._policy: Policy | None = None

    def serve(self) -> Served:
        """What is due now, each job once; returns when all are done or have failed. Raises IncidentError where the
        record cannot be read."""
        self._tried, self._asked_at = set(), datetime.now(UTC)
        self._read()
        while self._turn() or self._children:
            self._wait(lambda: not self._children)
            self._read()
        left = [(notice.id, channel, found.reason if found else "not tried yet")
                for notice, channel, found in unfinished(self._situation())]  # fmt: skip
        if not left and not state_of(self._events).is_open:
            folder = self._incident.directory / FOLDER
            make_private_directory(str(folder))
            (folder / TOLD).write_text(str(self._offset))
        return Served(self._incident.id, self._jobs, tuple(left))

    def follow(self) -> None:
        """Until the incident is over and everybody knows, its folder is gone, or there is nothing to serve it with and
        nobody at work on it."""
        with following(self._incident.directory) as mine:
            while self._incident.directory.is_dir():
                try:
                    if self._read() or self._is_time():
                        self._turn()
                    if self._is_over() and not self._children and not mine.go_on(lambda: not self._is_over()):
                        return
                except IncidentError as error:  # a disk that is full or gone comes back, or the folder is gone, too
                    _log.error("%s", error)
                self._wait(lambda: self._grew() or self._is_time())

    def _turn(self) -> bool:
        """Starts every job that is due and that nobody has in hand; whether there was one."""
        situation = self._situation()
        jobs = jobs_of(situation)
        fresh = [job for job in jobs if self._tried is None or job.name not in self._tried]
        begun = [self._begin(job) for job in fresh if job.is_quick or len(self._children) < MOST_AT_ONCE]
        # What is due by now is begun or in somebody's hands, who may die: it is looked at again soon, and not at once.
        soon = situation.now + timedelta(seconds=1 if jobs else HORIZON.total_seconds())
        times = (next_due(self._events, situation.now, HORIZON), *wakes_of(situation))
        self.looks_again_at = min([soon, *(at for at in times if at and at > situation.now)])
        return any(begun)

    def _begin(self, job: Job) -> bool:
        """A child for the job, unless somebody has it in hand, or it is done by now."""
        claim = claims.take(self._incident.directory, job.name)
        if claim is None:
            return False
        try:
            self._read()
            current = next((one for one in jobs_of(self._situation()) if one.name == job.name), None)
            if claim.was_begun:
                # Done and on record, or else nobody knows: either way this attempt is over.
                self._record(current.lost() if current else [])
                claim.end()
                return True
            if current is None:
                return False
            self._jobs += 1
            if self._tried is not None:
                self._tried.add(job.name)
            if current.is_quick:
                self._record(current.work())
                return True
            claim.begin()
            child = os.fork()
            if child == 0:
                _work(self._incident, claim, current)
            self._children.add(child)
            return True
        finally:
            claim.release()

    def _situation(self) -> Situation:
        sources = recorded_inventory(self._events, self._incident.directory.parent)
        if self._policy is None:
            self._policy = self._loaded(sources)
            if self._policy.site.channels:
                import_module("apprise")  # once here, or every child would
        # One pass is about what was due when it was asked for: it ends, however fast a drill's clock goes.
        return Situation(self._incident, self._policy, sources, self._events, self._asked_at or datetime.now(UTC))

    def _loaded(self, sources: Sequence[str]) -> Policy:
        """A policy that cannot be read is said so loudly and does not silence everything: the table is then ours, which
        leads nowhere, and the report says what nobody was told."""
        try:
            return load(sources)
        except IncidentError as error:
            if not any(event.kind == FAULT for event in self._events):
                self._record([(FAULT, {"error": str(error)})])
            return shipped()

    def _is_over(self) -> bool:
        situation = self._situation()
        site, room = situation.policy.site, situation.policy.war_room
        somewhere = bool(site.channels or site.status_page or room.slack)
        state = state_of(self._events)
        at_work = holder(self._incident.directory) is not None
        if state.check or not (somewhere or at_work):
            return True
        return not state.is_open and not at_work and not jobs_of(situation) and not unfinished(situation)

    def _record(self, drafts: Sequence[tuple[str, object]]) -> None:
        _append(self._incident, drafts)
        self._read()

    def _read(self) -> bool:
        """Takes in what is new; whether there was something. Raises IncidentError: nothing is done on a guess."""
        fresh, self._offset = self._incident.journal.read_from(self._offset)
        self._events += fresh
        return bool(fresh)

    def _is_time(self) -> bool:
        return self.looks_again_at is None or datetime.now(UTC) >= self.looks_again_at

    def _grew(self) -> bool:
        try:
            return os.stat(self._incident.journal.path).st_size > self._offset
        except OSError:
            return True

    def _wait(self, until: Callable[[], bool]) -> None:
        """A moment, or less where a child ends or ``until`` holds."""
        deadline = time.monotonic() + POLL_S
        while time.monotonic() < deadline:
            if self._reap() or until():
                return
            time.sleep(POLL_S / 10 if self._children else POLL_S)

    def _reap(self) -> bool:
        ended = set()
        for child in self._children:
            with suppress(ChildProcessError):  # somebody has reaped it
                if os.waitpid(child, os.WNOHANG)[0] == 0:
                    continue
            ended.add(child)
        self._children -= ended
        return bool(ended)


def is_over_and_told(incident: Incident) -> bool:
    """Whether nothing is left to tell, without reading the record: a timer asks this of every incident there was."""
    try:
        return int((incident.directory / FOLDER / TOLD).read_text()) == os.stat(incident.journal.path).st_size
    except (OSError, ValueError):
        return False


def _work(incident: Incident, claim: claims.Claim, job: Job) -> NoReturn:
    """In the child: the work, its result on record, and the end. Nothing gets out of here."""
    code = 1
    try:
        os.setsid()  # Ctrl-C is meant for the server
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.alarm(JOB_LIMIT_S)
        try:
            drafts = job.work()
        except Exception:  # noqa: BLE001  # a defect of ours is an attempt that failed, and is tried again
            _log.exception("%s: %s", incident.id, job.name)
            drafts = job.lost()
        _append(incident, drafts)
        claim.end()
        code = 0
    finally:
        os._exit(code)


def _append(incident: Incident, drafts: Sequence[tuple[str, object]]) -> None:
    if drafts and incident.directory.is_dir():  # a record that was taken away is not begun again
        incident.journal.extend(drafts)  # type: ignore[arg-type]  # drafts of ours are mappings
