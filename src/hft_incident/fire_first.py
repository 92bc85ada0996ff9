# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Fire first: the red button pressed by the wrapper while Ansible is still starting (0.6 s in which orders are live).

Which incident types do so, and when, is data beside the playbooks (``playbooks/vars/fire_first.yml``). The playbook's
own step comes all the same, finds nothing left to cancel, verifies and records. What stands in the way here (no plain
venues file, an answer that says all is well) is written down and leaves the work to that step.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import yaml

from ansible_collections.hft.incident.plugins.module_utils.deadline import Deadline
from ansible_collections.hft.incident.plugins.module_utils.errors import IncidentError, UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident
from ansible_collections.hft.incident.plugins.module_utils.intents import register
from ansible_collections.hft.incident.plugins.module_utils.kill_order import Closing, KillOrder, Report, checked
from ansible_collections.hft.incident.plugins.module_utils.killswitch import kill
from ansible_collections.hft.incident.plugins.module_utils.reading import answers
from ansible_collections.hft.incident.plugins.module_utils.settings import Settings, SystemEntry
from ansible_collections.hft.incident.plugins.module_utils.steps.killswitch import inverses_of
from ansible_collections.hft.incident.plugins.module_utils.steps.undo import CONTROL_NODE
from ansible_collections.hft.incident.plugins.module_utils.trading_system import Health, TradingSystem

from .catalog import COLLECTION
from .inventory import plain_settings

TABLE = COLLECTION / "playbooks" / "vars" / "fire_first.yml"
#: How long a trading system has to answer before it counts as not answering (s).
PROBE_TIMEOUT_S = 0.5
BY = "fire first"

_log = logging.getLogger("hft_incident")


def condition_of(incident_type: str) -> str | None:
    """When this type presses the button before its playbook: ``always``, ``unless_answering``; None: it does not."""
    table: Mapping[str, str] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))["fire_first"]
    return table.get(incident_type)


@contextmanager
def firing_first(incident: Incident, incident_type: str, sources: Sequence[str], reason: str) -> Iterator[None]:
    """Presses the button beside what the ``with`` block does, where this type wants it; waits for its verdict."""
    condition = condition_of(incident_type)
    if condition is None:
        yield
        return
    thread = threading.Thread(target=_fire, args=(incident, condition, sources, reason), name="fire-first", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()  # every part of a kill has its deadline


def _fire(incident: Incident, condition: str, sources: Sequence[str], reason: str) -> None:
    record = partial(_record, incident)
    try:
        settings = plain_settings(sources)
        if objection := OBJECTIONS[condition](settings):
            record("fire_first.withheld", {"reason": objection})
            return
        order = checked(KillOrder(settings.venues, settings.trading_systems, reason))
        names = [venue.name for venue in order.venues]
        systems = [system.name for system in order.trading_systems]
        record("kill.ordered", {"by": BY, "reason": reason, "venues": names, "trading_systems": systems})
        result = kill(order, partial(_report, record), partial(_closing, incident))
        record("kill.verified", {"by": BY, **result.to_json()})
    except UsageError as error:
        record("fire_first.withheld", {"reason": f"left to the playbook: {error}"})


def _report(record: Callable[[str, Mapping[str, Any]], None], said: Report) -> None:
    record("venue.reported", {"by": BY, **said.to_record()})


def _closing(incident: Incident, what: Closing) -> None:
    """How to open again what this closes: the playbook's own step finds it closed, and would not know."""
    register(incident, inverses_of(what), task=BY, host=CONTROL_NODE)


def _nothing(_settings: Settings) -> None:
    """Nothing speaks against it."""


def _all_answer(settings: Settings) -> str | None:
    """Why the button is left alone: every trading system gives a valid answer about its health."""
    said = answers(
        {entry.name: partial(_health, entry) for entry in settings.trading_systems}, Deadline(PROBE_TIMEOUT_S)
    )
    if not said or any(answer.error for answer in said.values()):
        return None
    return f"{', '.join(said)} answer{'s'[: len(said) == 1]}; the playbook looks closer"


def _health(entry: SystemEntry) -> Health:
    """Asked once: a refusal is an answer too, and the button waits for it."""
    return TradingSystem(entry, request_timeout=PROBE_TIMEOUT_S).health()


OBJECTIONS: Mapping[str, Callable[[Settings], str | None]] = {"always": _nothing, "unless_answering": _all_answer}


def _record(incident: Incident, kind: str, data: Mapping[str, Any]) -> None:
    try:
        incident.journal.append(kind, data)
    except IncidentError as error:  # the kill goes on; the run's own end tells that its record is not whole
        _log.error("%s", error)
