# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Every playbook by itself, unrun, with the plays that it imports: nothing in it opens anything again before two people
have been asked, and whoever reads it sees by name every play that will be played."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from ansible_collections.hft.incident.plugins.module_utils.incident import PHASES
from ansible_collections.hft.incident.plugins.plugin_utils.door import FROM_INVENTORY
from hft_incident.catalog import COLLECTION

FOLDER = COLLECTION / "playbooks"
PLAYBOOKS = sorted(FOLDER.glob("*.yml"))
SHARED = sorted((FOLDER / "shared").glob("*.yml"))
IMPORT = "ansible.builtin.import_playbook"
#: The state that stops or only looks, of every module that can also open; any other, also a computed one, opens.
CLOSING: Mapping[str, set[str | None]] = {
    "latch": {"closed"},
    "exchange": {"disabled", "connected"},
    "strategy": {"stopped"},
    "killswitch": {"active", None},
    "service_state": {"stopped", "frozen"},
    "host_isolation": {"isolated"},
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
    def names_a_gate(self) -> bool:
        """As it stands here: what a template will make of it, nobody who reads it knows."""
        return bool(re.fullmatch(r"\w+", str(self.args.get("gate") or "")))

    @property
    def holds(self) -> bool:
        """Whether nothing after it happens before people have approved."""
        return self.module == "gate" and self.args.get("hold", True) is True and not self.may_fail


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def plays_of(plays: Any, folder: Path) -> Iterator[Mapping[str, Any]]:
    """All plays in order, those of an imported file with the conditions and variables that its import gives them."""
    for play in plays:
        imported = play.get(IMPORT)
        if imported is None:
            yield play
            continue
        for inner in plays_of(read(folder / imported), folder):
            given = {**inner.get("vars", {}), **play.get("vars", {})}
            yield {**inner, "vars": given, "when": [*_conditions(inner), *_conditions(play)]}


def tasks_of(plays: Any, folder: Path = FOLDER) -> Iterator[Task]:
    """All tasks of ours, in the order in which they stand."""
    for play in plays_of(plays, folder):
        for section in ("pre_tasks", "tasks", "post_tasks", "handlers"):
            for task in _walk(play.get(section, ()), frozenset(_conditions(play)), False):
                yield task._replace(args=_resolved(task.args, play.get("vars", {})))


def _conditions(entry: Mapping[str, Any]) -> list[str]:
    conditions = entry.get("when", [])
    return [str(one) for one in (conditions if isinstance(conditions, list) else [conditions])]


def _resolved(args: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """With what the play's variables say, where an argument is one of them."""
    names = {f"{{{{ {name} }}}}": value for name, value in given.items()}
    return {key: names.get(value, value) if isinstance(value, str) else value for key, value in args.items()}


def _walk(entries: Any, when: frozenset[str], may_fail: bool) -> Iterator[Task]:
    for entry in entries:
        here = when.union(_conditions(entry))
        excused = may_fail or bool(entry.get("ignore_errors")) or "failed_when" in entry
        for section in ("block", "rescue", "always"):
            # What fails in a block that has a rescue does not end the run.
            forgiven = excused or (section == "block" and "rescue" in entry)
            yield from _walk(entry.get(section, ()), here, forgiven)
        for key, args in entry.items():
            if match := re.fullmatch(r"hft\.incident\.([a-z_]+)", key):
                yield Task(str(entry.get("name")), match[1], args or {}, here, excused)


def unguarded(text: str, folder: Path = FOLDER) -> list[str]:
    """The names of tasks that open something without a gate: neither one that holds the run somewhere before, under no
    narrower condition, nor one of their own."""
    gates: list[Task] = []
    found = []
    for task in tasks_of(yaml.safe_load(text), folder):
        if task.holds:
            gates.append(task)
        if task.opens and not task.names_a_gate and not any(gate.when <= task.when for gate in gates):
            found.append(task.name)
    return found


def test_there_are_playbooks_and_they_open_again() -> None:
    assert {path.stem for path in PLAYBOOKS} >= {"exchange_outage", "system_crash"}
    for path in PLAYBOOKS:
        tasks = list(tasks_of(read(path)))
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


@pytest.mark.parametrize(
    "given", ["", ", vars: {leave: ''}", ", vars: {leave: null}", ", vars: {other: resume_trading}"]
)
def test_an_imported_opening_is_found_unless_its_import_names_a_gate(tmp_path: Path, given: str) -> None:
    (tmp_path / "again.yml").write_text("[{tasks: [{name: x, hft.incident.undo: {gate: '{{ leave }}'}}]}]")
    assert unguarded(f"[{{{IMPORT}: again.yml{given}}}]", tmp_path) == ["x"]
    assert unguarded(f"[{{{IMPORT}: again.yml, vars: {{leave: resume_trading}}}}]", tmp_path) == []


def test_a_gate_in_an_imported_file_guards_what_follows_under_no_wider_condition(tmp_path: Path) -> None:
    (tmp_path / "ask.yml").write_text(f"[{{tasks: [{{{GATE}}}]}}]")
    opening = f"{{name: x, {START}}}"
    assert unguarded(f"[{{{IMPORT}: ask.yml}}, {{tasks: [{opening}]}}]", tmp_path) == []
    assert unguarded(f"[{{{IMPORT}: ask.yml, when: somebody_asks}}, {{tasks: [{opening}]}}]", tmp_path) == ["x"]


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_the_real_playbook_without_its_gates_is_found_out(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    ungated = re.sub(
        r"hft\.incident\.gate:", "ansible.builtin.debug:", re.sub(r"(?m)^( *)(gate|leave): \w+$", r"\1\2: ''", text)
    )
    assert ungated != text
    assert unguarded(ungated)


# What is shared between playbooks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_it_imports_a_shared_file_once_and_calls_it_as_the_first_play_it_brings(path: Path) -> None:
    imports = [play for play in read(path) if IMPORT in play]
    files = [play[IMPORT] for play in imports]
    assert len(set(files)) == len(files)
    for play in imports:
        first, *_rest = read(path.parent / play[IMPORT])
        assert play["name"] == first["name"]


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_an_import_says_every_input_of_the_shared_file_and_nothing_else(path: Path) -> None:
    for play in read(path):
        if IMPORT in play:
            text = (path.parent / play[IMPORT]).read_text(encoding="utf-8")
            inputs = re.search(r"^# Inputs: (.*)$", text, re.MULTILINE)
            named = re.findall(r"(\w+) \(", inputs[1]) if inputs else []
            assert sorted(play.get("vars", {})) == sorted(named)


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_a_response_can_go_on_at_every_play(path: Path) -> None:
    """By its name, and by a tag that chooses nothing before it but what looks (``hft_incident.resumption``)."""
    plays = list(plays_of(read(path), path.parent))
    assert len({play["name"] for play in plays}) == len(plays)
    for number, play in enumerate(plays):
        (phase,) = (tag for tag in play["tags"] if tag in PHASES)
        own = [tag for tag in play["tags"] if tag != phase]
        assert len(own) <= 1, "Ansible gives an imported play's tags in any order"
        before = [earlier for earlier in plays[:number] if (own or [phase])[0] in earlier["tags"]]
        assert [task for task in tasks_of(before) if not task.module.endswith(("_info", "_watch"))] == []


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_what_the_inventory_says_is_not_said_again(path: Path) -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in (path, *SHARED))
    assert "module_defaults" not in text
    assert re.findall(rf"\{{\{{ *(?:{'|'.join(FROM_INVENTORY.values())}) *\}}\}}", text) == []


def test_what_is_shared_is_shared() -> None:
    files = [play[IMPORT] for path in PLAYBOOKS for play in read(path) if IMPORT in play]
    assert {file.name for file in SHARED if files.count(f"shared/{file.name}") < 2} == set()
