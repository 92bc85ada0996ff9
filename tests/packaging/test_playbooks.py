# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Every playbook by itself, unrun: nothing in it opens anything again before two people have been asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from hft_incident.catalog import COLLECTION

PLAYBOOKS = sorted((COLLECTION / "playbooks").glob("*.yml"))
#: The state that stops or only looks, of every module that can also open; any other, also a computed one, opens.
CLOSING: Mapping[str, set[str | None]] = {
    "latch": {"closed"},
    "exchange": {"disabled", "connected"},
    "strategy": {"stopped"},
    "killswitch": {"active", None},
    "service_state": {"stopped"},
}
#: Units that never trade, whatever anybody tells them.
OBSERVERS = {"{{ hft_observe_unit }}"}


class Task(NamedTuple):
    """A task of ours: its module, its arguments, and the conditions on it and on every block around it."""

    name: str
    module: str
    args: Mapping[str, Any]
    when: frozenset[str]
    may_fail: bool

    @property
    def opens(self) -> bool:
        if self.module == "service_state" and self.args.get("unit") in OBSERVERS:
            return False
        closing = CLOSING.get(self.module)
        return self.module == "undo" or (closing is not None and self.args.get("state") not in closing)

    @property
    def holds(self) -> bool:
        """Whether nothing after it happens before people have approved."""
        return self.module == "gate" and self.args.get("hold", True) is True and not self.may_fail


def tasks_of(plays: Any) -> Iterator[Task]:
    """All tasks of ours, in the order in which they stand."""
    for play in plays:
        for section in ("pre_tasks", "tasks", "post_tasks", "handlers"):
            yield from _walk(play.get(section, ()), frozenset(), False)


def _walk(entries: Any, when: frozenset[str], may_fail: bool) -> Iterator[Task]:
    for entry in entries:
        conditions = entry.get("when", [])
        here = when | {str(one) for one in (conditions if isinstance(conditions, list) else [conditions])}
        excused = may_fail or bool(entry.get("ignore_errors")) or "failed_when" in entry
        for section in ("block", "rescue", "always"):
            # What fails in a block that has a rescue does not end the run.
            forgiven = excused or (section == "block" and "rescue" in entry)
            yield from _walk(entry.get(section, ()), here, forgiven)
        for key, args in entry.items():
            if match := re.fullmatch(r"hft\.incident\.([a-z_]+)", key):
                yield Task(str(entry.get("name")), match[1], args or {}, here, excused)


def unguarded(text: str) -> list[str]:
    """The names of tasks that open something without a gate: neither one that holds the run somewhere before, under no
    narrower condition, nor one of their own."""
    gates: list[Task] = []
    found = []
    for task in tasks_of(yaml.safe_load(text)):
        if task.holds:
            gates.append(task)
        if task.opens and not task.args.get("gate") and not any(gate.when <= task.when for gate in gates):
            found.append(task.name)
    return found


def test_there_are_playbooks_and_they_open_again() -> None:
    assert {path.stem for path in PLAYBOOKS} >= {"exchange_outage", "system_crash"}
    for path in PLAYBOOKS:
        tasks = list(tasks_of(yaml.safe_load(path.read_text(encoding="utf-8"))))
        assert any(task.opens for task in tasks)
        assert any(task.holds for task in tasks)


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_what_opens_again_stands_behind_a_gate(path: Path) -> None:
    assert unguarded(path.read_text(encoding="utf-8")) == []


GATE = "hft.incident.gate: {name: resume_trading}"
START = "hft.incident.service_state: {unit: '{{ hft_unit }}', state: started}"


@pytest.mark.parametrize(
    "opening",
    [
        "hft.incident.undo: {only: [strategy]}",
        "hft.incident.latch: {state: open}",
        "hft.incident.latch: {state: '{{ wanted }}'}",
        "hft.incident.exchange: {name: okx, state: enabled}",
        "hft.incident.strategy: {all: true, state: started}",
        "hft.incident.killswitch: {state: released}",
        START,
    ],
)
def test_a_planted_opening_is_found_unless_a_gate_holds_before_it(opening: str) -> None:
    assert unguarded(f"[{{tasks: [{{name: x, {opening}}}]}}]") == ["x"]
    assert unguarded(f"[{{tasks: [{{name: x, {opening}}}, {{{GATE}}}]}}]") == ["x"]
    assert unguarded(f"[{{tasks: [{{{GATE}}}]}}, {{tasks: [{{block: [{{name: x, {opening}}}]}}]}}]") == []


@pytest.mark.parametrize(
    "gate",
    [
        "{hft.incident.gate: {name: failover, hold: false}}",
        f"{{{GATE}, ignore_errors: true}}",
        f"{{{GATE}, failed_when: false}}",
        f"{{{GATE}, when: somebody_asks}}",
        f"{{block: [{{{GATE}}}], rescue: [{{debug: {{}}}}]}}",
    ],
)
def test_a_gate_that_lets_the_run_go_on_guards_nothing(gate: str) -> None:
    assert unguarded(f"[{{tasks: [{gate}, {{name: x, {START}}}]}}]") == ["x"]


def test_one_that_carries_its_own_gate_or_only_closes_or_observes_needs_none_before_it() -> None:
    tasks = (
        "hft.incident.undo: {gate: resume_trading}",
        "hft.incident.latch: {state: closed}",
        "hft.incident.exchange: {name: okx, state: connected}",
        "hft.incident.killswitch: {reason: test}",
        "hft.incident.service_state: {unit: '{{ hft_observe_unit }}', state: started}",
    )
    assert unguarded("".join(f"- tasks: [{{name: x, {task}}}]\n" for task in tasks)) == []


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_the_real_playbook_without_its_gates_is_found_out(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    ungated = re.sub(r"hft\.incident\.gate:", "ansible.builtin.debug:", re.sub(r"(?m)^ *gate: \w+$", "", text))
    assert ungated != text
    assert unguarded(ungated)
