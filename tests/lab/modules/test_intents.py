# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""How to undo a change stands in the journal before the change is made, so that no crash in between loses it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.hft.incident.plugins.module_utils.incident import open_incident, state_of
from ansible_collections.hft.incident.plugins.module_utils.intents import register
from ansible_collections.hft.incident.plugins.module_utils.steps import (
    Context,
    exchange,
    killswitch,
    run_step,
    strategy,
)

from .stand_in import StandIn, stand_ins

#: A venue that nobody can reach; what matters here is the trading system.
VENUE = {"name": "alpha", "driver": "binance", "base_url": "http://127.0.0.1:9"}
KILL = {
    "venues": [{**VENUE, "api_key": "env:NONE", "api_secret": "env:NONE"}],
    "reason": "test",
    "timeout": 1.0,
    "confirm": 1,
    "require_clear": False,
}
QUICK = {"settle": 0, "timeout": 2.0}

CASES: dict[str, tuple[ModuleType, dict[str, Any], str, str]] = {
    "close": (exchange, {"name": "alpha", "state": "disabled"}, "PUT /config", "enable alpha at hft-1"),
    "stop": (strategy, {"ids": ["mm"], "state": "stopped", **QUICK}, "POST /strategies/mm/stop", "start mm at hft-1"),
    "start": (strategy, {"ids": ["arb"], "state": "started", **QUICK}, "POST /strategies/arb/start",
              "stop arb at hft-1"),
    "kill one venue": (killswitch, {**KILL, "only": ["alpha"]}, "PUT /config", "enable alpha at hft-1"),
    "kill all": (killswitch, KILL, "POST /killswitch", "release the killswitch of hft-1"),
}  # fmt: skip


@pytest.fixture
def system() -> Iterator[StandIn]:
    with stand_ins("hft-1") as (one,):
        one.strategy("mm", "alpha")
        one.strategy("arb", "alpha", running=False)
        yield one


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("broken", [False, True])
def test_it_is_on_record_when_the_request_arrives_and_in_the_result_too(
    tmp_path: Path, system: StandIn, case: str, broken: bool
) -> None:
    step, args, request, describe = CASES[case]
    incident = open_incident("exchange_outage", home=tmp_path)
    known: list[list[str]] = []

    def intend(inverses: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return register(incident, inverses, task="a task", host="localhost")

    def arrived() -> int | None:
        known.append([inverse.describe for inverse in state_of(incident.journal.events()).inverses])
        return 500 if broken else None

    system.on[request] = arrived
    checked = ArgumentSpecValidator(step.ARGUMENT_SPEC).validate({**args, "trading_systems": [system.entry]})
    assert not checked.error_messages
    result = run_step(step.run, checked.validated_parameters, Context(False, lambda kind, data: None, intend))
    assert known[0] == [describe]
    (registered,) = state_of(incident.journal.events()).inverses
    assert [item["id"] for item in result["inverses"]] == [registered.id]


@pytest.mark.parametrize("case", CASES)
def test_check_mode_intends_nothing(system: StandIn, case: str) -> None:
    step, args, _, _ = CASES[case]
    intended: list[Any] = []

    def intend(inverses: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        intended.extend(inverses)
        return []

    checked = ArgumentSpecValidator(step.ARGUMENT_SPEC).validate({**args, "trading_systems": [system.entry]})
    run_step(step.run, checked.validated_parameters, Context(True, lambda kind, data: None, intend))
    assert (system.writes, intended) == ([], [])
