# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Each playbook as its phases, from the playbook itself and what it imports, with the runbook's own steps beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.incident import PHASES
from hft_incident.catalog import CATALOG, IncidentType

from .text import COLLECTION, DATA, Pages, code, codes, page, plain, read, table, words

FOLDER = COLLECTION / "playbooks"
IMPORT = "ansible.builtin.import_playbook"
OURS = "hft.incident."
#: What a task or a block says of itself that is no module.
_ABOUT = {
    *("name", "when", "register", "vars", "tags", "block", "rescue", "always", "ignore_errors", "until", "retries"),
    *("delay", "failed_when", "changed_when", "loop", "delegate_to", "run_once", "no_log", "notify", "environment"),
}
VARIABLE = re.compile(r"\bhft_[a-z][a-z0-9_]*\b")

Play = Mapping[str, Any]


class Beside(NamedTuple):
    """What the runbook says of one phase. ``parts``: its headings, each with its steps; ``differs``: what we do
    otherwise, and why."""

    parts: Sequence[Mapping[str, Any]]
    differs: Sequence[str]


def ready() -> list[IncidentType]:
    return [entry for entry in CATALOG.values() if entry.is_ready]


def pages() -> Pages:
    runbook = read(DATA / "runbook.yml")
    made = {f"playbooks/{entry.name}.md": _page(entry, runbook) for entry in ready()}
    rows = [
        [
            f"[{words(entry.name)}]({entry.name}.md)" if entry.is_ready else words(entry.name),
            plain(entry.title),
            f"{entry.section}. {plain(runbook['sections'][entry.section])}",
            f"`hft-incident run {entry.name}`" if entry.is_ready else "not in this version",
        ]
        for entry in CATALOG.values()
    ]
    made["playbooks/index.md"] = page(
        "Playbooks",
        "One for each type of incident. Read from top to bottom, a playbook is what will happen; these pages are made "
        "from the playbooks themselves, with the steps of the runbook that they took the place of.",
        table(["Incident", "When", "Runbook", "Command"], rows),
        "Whatever the type: **stopping needs nobody**, and nothing is opened again before the people that a gate asks "
        "for have signed.",
    )
    return made


def _page(entry: IncidentType, runbook: Mapping[str, Any]) -> str:
    section = f"section {entry.section}, {runbook['sections'][entry.section]}"
    told = runbook["playbooks"].get(entry.name, {})
    plays = list(plays_of(read(entry.playbook)))
    asks = " ".join(f"-e {item.name}={item.example}" for item in entry.inputs if item.required)
    inputs = [
        [code(item.name) + (" **required**" if item.required else ""), plain(item.help), code(item.example)]
        for item in entry.inputs
    ]
    return page(
        words(entry.name).capitalize(),
        f"{plain(entry.title)}. Runbook: {plain(section)}.",
        f"```\nhft-incident run {entry.name} {asks}".rstrip() + "\n```",
        table(["Input", "Is", "For example"], inputs) if inputs else "",
        f"How severe it is: [by type](../severity.md#by-type-of-incident). Who is told: "
        f"[the table](../communications.md). {_fire_first(entry.name)}",
        *(_phase(phase, list(group), told) for phase, group in groupby(plays, key=phase_of)),
        *_unplaced(plays, told),
    )


def _fire_first(name: str) -> str:
    how = read(FOLDER / "vars/fire_first.yml")["fire_first"].get(name)
    said = {
        "always": "**Fire first:** `hft-incident run` presses the red button at once, while Ansible is still starting.",
        "unless_answering": "**Fire first:** `hft-incident run` presses the red button at once, while Ansible is "
        "still starting, unless every trading system answers.",
    }
    return said.get(how, "")


def _phase(phase: str, plays: Sequence[Play], told: Mapping[str, Any]) -> str:
    """The plays of a phase, beside what the runbook has for it."""
    ours = "\n\n".join(_play(play) for play in plays)
    theirs = "\n\n".join(_beside(_of_phase(told, phase)))
    if theirs:
        ours = (
            f'<div class="beside" markdown>\n<div markdown>\n\n{ours}\n\n</div>\n<div class="runbook" markdown>\n\n'
            f"{theirs}\n\n</div>\n</div>"
        )
    return f"## {phase.capitalize()}\n\n{ours}"


def _of_phase(told: Mapping[str, Any], phase: str) -> Beside:
    found = told.get(phase, {})
    return Beside(found.get("runbook", ()), found.get("differs", ()))


def _beside(found: Beside) -> Iterator[str]:
    for part in found.parts:
        yield f"*Runbook:* **{plain(part['part'])}**\n\n" + "\n".join(f"- {plain(step)}" for step in part["steps"])
    if found.differs:
        yield "*What we do otherwise, and why*\n\n" + "\n".join(f"- {plain(line)}" for line in found.differs)


def _unplaced(plays: Sequence[Play], told: Mapping[str, Any]) -> Iterator[str]:
    """What the runbook has for phases that this playbook has no play for."""
    played = {phase_of(play) for play in plays}
    for phase in PHASES:
        if phase in told and phase not in played:
            yield "\n\n".join([f"## {phase.capitalize()}", *_beside(_of_phase(told, phase))])


def phase_of(play: Play) -> str:
    """Its tag that is a phase."""
    return next(phase for phase in PHASES if phase in play["tags"])


def plays_of(plays: Sequence[Play]) -> Iterator[Play]:
    """All plays in order; those of an imported file with the condition that its import gives them, and its variables'
    values in place of their names."""
    for play in plays:
        if IMPORT not in play:
            yield play
            continue
        for inner in plays_of(read(FOLDER / play[IMPORT])):
            yield {**inner, "when": play.get("when", ""), "shared": play[IMPORT]}


def _play(play: Play) -> str:
    _phase, _colon, title = str(play["name"]).partition(": ")
    hosts = " and ".join(words(name) for name in str(play["hosts"]).split(","))
    where = "" if hosts == "localhost" else f" *on {plain(hosts)}*"
    shared = f" *(the same for every incident: {code(play['shared'])})*" if "shared" in play else ""
    head = f"**{plain(title[:1].upper() + title[1:])}**{where}{_condition(play)}{shared}"
    return "\n".join([head, "", *_steps(tasks_of(play), 0)])


def tasks_of(play: Play) -> list[Mapping[str, Any]]:
    """Its tasks and blocks, in the order in which they are done."""
    return [task for section in ("pre_tasks", "tasks", "post_tasks") for task in play.get(section, ())]


def _steps(entries: Sequence[Mapping[str, Any]], depth: int) -> Iterator[str]:
    indent = "    " * depth
    for entry in entries:
        yield f"{indent}1. {plain(entry['name'])}{_module(entry)}{_condition(entry)}"
        if used := variables_in(
            {key: value for key, value in entry.items() if key not in ("block", "rescue", "always")}
        ):
            links = ", ".join(f"[{code(name)}](../inventory.md#{name})" for name in used)
            yield f'{indent}    <span class="by">{links}</span>'
        yield from _steps(entry.get("block", ()), depth + 1)
        for section, says in (("rescue", "If that fails"), ("always", "Whatever becomes of it")):
            if section in entry:
                yield f"{indent}1. *{says}:*"
                yield from _steps(entry[section], depth + 1)


def module_of(entry: Mapping[str, Any]) -> str | None:
    """The module of a task; of a block, None."""
    return next((key for key in entry if key not in _ABOUT and "." in key), None)


def _module(entry: Mapping[str, Any]) -> str:
    module = module_of(entry) or ""
    if module.startswith(OURS):
        name = module.removeprefix(OURS)
        state = entry[module].get("state") if isinstance(entry[module], Mapping) else None
        return f" [{code(name)}](../modules/{name}.md)" + (f" *{plain(state)}*" if state else "")
    return ""


def _condition(entry: Mapping[str, Any]) -> str:
    when = entry.get("when") or []
    conditions = when if isinstance(when, list) else [when]
    return f" *if* {codes(conditions)}" if conditions else ""


def variables_in(value: Any) -> list[str]:
    """The variables of the inventory that are named anywhere in it, each once."""
    return list(dict.fromkeys(_variables(value)))


def _variables(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from VARIABLE.findall(value)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _variables(part)
    elif isinstance(value, list):
        for part in value:
            yield from _variables(part)
