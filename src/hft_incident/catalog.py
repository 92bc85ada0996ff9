# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The incident types as data: what each is called, where the runbook tells of it, and what its playbook asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from ansible_collections.hft.incident.plugins.module_utils import errors
from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.redaction import is_secret_field
from ansible_collections.hft.incident.plugins.module_utils.secret_ref import is_reference
from ansible_collections.hft.incident.plugins.module_utils.severity_record import FACT_PREFIX
from ansible_collections.hft.incident.plugins.module_utils.timestamps import moment

# …/ansible_collections/hft/incident/plugins/module_utils/errors.py, in the source tree and in an installed wheel alike.
COLLECTION = Path(errors.__file__).absolute().parents[2]
COLLECTIONS_ROOT = COLLECTION.parents[2]

# Thresholds of the playbooks are numbers in variables of this prefix; every playbook takes them.
THRESHOLD_PREFIX = "hft_"
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
_THRESHOLD = re.compile(r"\bhft_[a-z0-9_]+")
# What is counted, and what is waited for: with none of it nothing could be proven.
_COUNTS, _PATIENCE = ("_confirm", "_attempts"), "_timeout_s"
#: Read by the communications clock, not by a playbook.
_OF_NO_PLAYBOOK = ("hft_time_scale",)
_BOOLEAN = ("true", "false", "yes", "no", "on", "off", "1", "0")


class Input(NamedTuple):
    """A variable that a playbook asks for; ``kind``: text, boolean, or time (with its zone)."""

    name: str
    help: str
    example: str
    required: bool = False
    kind: str = "text"


class IncidentType(NamedTuple):
    """One kind of incident; ``section`` is the runbook's."""

    name: str
    title: str
    section: int
    inputs: tuple[Input, ...] = ()

    @property
    def playbook(self) -> Path:
        return COLLECTION / "playbooks" / f"{self.name}.yml"

    @property
    def is_ready(self) -> bool:
        """Whether its playbook is part of this version."""
        return self.playbook.is_file()


CATALOG: Mapping[str, IncidentType] = {
    entry.name: entry
    for entry in (
        IncidentType(
            "exchange_outage",
            "A venue is down, or answers nothing that can be trusted",
            3,
            (
                Input("exchange", "the venue, by its name in the venues file", "binance", required=True),
                Input("reason", "why, in a few words; it goes into the record", "'binance answers 503'"),
                Input("confirmed", "true: act although the venue looks healthy", "true", kind="boolean"),
            ),
        ),
        IncidentType(
            "system_crash",
            "The trading system died or hangs",
            4,
            (
                Input("reason", "why, in a few words; it goes into the record", "'hft-1 is down'"),
                Input("confirmed", "true: act although every trading system answers", "true", kind="boolean"),
            ),
        ),
        IncidentType("performance_degradation", "Latency or throughput is out of bounds", 5),
        IncidentType(
            "security_breach",
            "Somebody else may hold our keys or our hosts",
            6,
            (
                Input("reason", "why, in a few words; it goes into the record", "'orders that nobody placed'"),
                Input("confirmed_by", "who says that it is a breach", "dave@firm.example"),
                Input(
                    "since",
                    "the earliest suspicion, in UTC; how far back is looked",
                    "2026-11-20T00:00:00Z",
                    kind="time",
                ),
            ),
        ),
        IncidentType("data_corruption", "Positions, orders or market data are wrong", 7),
        IncidentType("network_failure", "A line to the venues or between our sites is lost", 8),
        IncidentType("trading_anomaly", "A strategy does what nobody meant it to do", 9),
        IncidentType("database_failure", "The database is down, lags or cannot be trusted", 10),
    )
}


def lookup(name: str) -> IncidentType:
    """The type of this name, if its playbook is there; raises UsageError that says what could have been meant."""
    found = CATALOG.get(name)
    if found is None:
        raise UsageError(f"unknown incident type {name!r}{did_you_mean(name, CATALOG)}; `hft-incident list` shows all")
    if not found.is_ready:
        ready = ", ".join(entry.name for entry in CATALOG.values() if entry.is_ready)
        raise UsageError(f"{name} has no playbook yet; this version has: {ready or 'none'}")
    return found


def checked_inputs(entry: IncidentType, inputs: Mapping[str, str]) -> dict[str, str]:
    """``inputs`` if the playbook of ``entry`` takes them all and lacks none; raises UsageError otherwise.

    A variable that is named like a secret must be a reference: values in clear have no business on a command line. Any
    other threshold must be a number: who may open again, and which hosts, venues and files are meant, is not for the
    person in a hurry to say.
    """
    known = {item.name: item for item in entry.inputs}
    for name, value in inputs.items():
        if name not in known and not (name.startswith(THRESHOLD_PREFIX) and name.isidentifier()):
            raise UsageError(
                f"{entry.name} takes no {name!r}{did_you_mean(name, known)}; it takes: {', '.join(sorted(known))}, "
                f"and thresholds that start with {THRESHOLD_PREFIX}"
            )
        if is_secret_field(name) and value and not is_reference(value):
            raise UsageError(f"{name} holds a value in clear; write env:NAME, file:PATH or cmd:COMMAND instead")
        if name in known:
            _check_input(known[name], value)
        elif not is_secret_field(name):
            _check_threshold(name, value)
    return dict(inputs)


def _check_input(asked: Input, value: str) -> None:
    """An empty one is as good as none."""
    if asked.kind == "boolean" and value and value.lower() not in _BOOLEAN:
        raise UsageError(f"{asked.name} is true or false, not {value!r}")
    if asked.kind == "time" and value and not _is_time(value):
        raise UsageError(f"{asked.name}: {value!r} is no time with a zone; it is written {asked.example}")


def _is_time(text: str) -> bool:
    try:
        return moment(text).tzinfo is not None
    except ValueError:
        return False


def _check_threshold(name: str, value: str) -> None:
    if name.startswith(FACT_PREFIX):
        return  # which there are, and what they may be, the severity rules know
    if not _NUMBER.fullmatch(value):
        raise UsageError(f"{name}: a threshold is a number; what else starts with hft_, only the inventory says")
    if name not in (known := _thresholds()):
        raise UsageError(f"no playbook reads {name!r}{did_you_mean(name, known)}")
    if name.endswith(_COUNTS) and not (value.isdecimal() and int(value)):
        raise UsageError(f"{name}: {value!r} is not a whole number from 1")
    if name.endswith(_PATIENCE) and not float(value):
        raise UsageError(f"{name}: no time at all proves nothing")


def _thresholds() -> set[str]:
    """The variables of this prefix that any playbook reads."""
    texts = (path.read_text(encoding="utf-8") for path in (COLLECTION / "playbooks").rglob("*.yml"))
    return {*_OF_NO_PLAYBOOK, *(name for text in texts for name in _THRESHOLD.findall(text))}


def missing_input(entry: IncidentType, inputs: Mapping[str, str]) -> Input | None:
    """The first required input that is not there or empty."""
    return next((item for item in entry.inputs if item.required and not inputs.get(item.name, "").strip()), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` or nothing."""
    near = get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
