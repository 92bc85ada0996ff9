# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Every variable of the inventory: what it means, its unit, what the lab and the production example have, who reads it.

The variables are those of the inventories, of the playbooks and of the doors; ``variables.yml`` has what each means.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.severity_rules import FILES as SEVERITY
from ansible_collections.hft.incident.plugins.plugin_utils.door import FROM_INVENTORY
from hft_incident.comms.policy_reading import FILES as COMMUNICATIONS

from .playbooks import plays_of, ready, variables_in
from .text import DATA, NOTHING, ROOT, Pages, block, code, codes, page, plain, read, table, words

LAB = ROOT / "inventory/lab"
EXAMPLE = ROOT / "inventory/production.example"
#: What the lab's inventory needs to find its own values.
_LAB_ONLY = "hft_lab_"
#: A longer value is not shown in a table.
_SHORT = 32


class Use(NamedTuple):
    """``lab`` and ``example``: its value there; None where it is not set. ``file``: of the example."""

    name: str
    lab: Any
    example: Any
    file: str
    playbooks: tuple[str, ...]
    option: str | None


def uses() -> dict[str, Use]:
    """By name."""
    lab, example = _values(LAB), _values(EXAMPLE)
    options = {variable: option for option, variable in FROM_INVENTORY.items()}
    read_by: dict[str, list[str]] = {}
    for entry in ready():
        for name in variables_in(list(plays_of(read(entry.playbook)))):
            read_by.setdefault(name, []).append(entry.name)
    names = dict.fromkeys([*example, *lab, *options, *read_by, COMMUNICATIONS.key, SEVERITY.key])
    return {
        name: Use(
            name,
            lab.get(name, (None, ""))[0],
            example.get(name, (None, ""))[0],
            example.get(name, (None, ""))[1],
            tuple(read_by.get(name, ())),
            options.get(name),
        )
        for name in names
        if not name.startswith(_LAB_ONLY)
    }


def _values(inventory: Path) -> dict[str, tuple[Any, str]]:
    """By name, its value and the file that has it."""
    found: dict[str, tuple[Any, str]] = {}
    for path in sorted([*inventory.rglob("group_vars/**/*.yml"), *inventory.rglob("host_vars/**/*.yml")]):
        for name, value in read(path).items():
            found[name] = (value, str(path.relative_to(inventory)))
    return found


def meanings() -> Mapping[str, Mapping[str, str]]:
    """By name: ``means``, and ``unit`` where the name does not say it."""
    found: Mapping[str, Mapping[str, str]] = read(DATA / "variables.yml")
    return found


def pages() -> Pages:
    means = meanings()
    known = dict(sorted(uses().items(), key=lambda item: list(means).index(item[0])))
    files = dict.fromkeys(use.file for use in known.values() if use.file)
    return {
        "inventory.md": page(
            "Inventory",
            "Everything that is a site's own is a variable of the inventory, by default that in "
            "`/etc/hft-incident/inventory`; `hft-incident init` writes an example to start from. A threshold can be "
            "given for one response: `hft-incident run … -e hft_kill_confirm=5`. Who may open again, and which hosts, "
            "venues and files are meant, only the inventory says.",
            "Secrets are references, `env:NAME`, `file:PATH` (refused where others can read it) or `cmd:COMMAND`. One "
            "in clear is refused, naming the field and never the value.",
            *(part for file in files for part in _file(file, known, means)),
            "## Not in the example",
            "Not set unless you set them. Of severity and communications the collection has a whole policy, which "
            "yours changes: [severity](severity.md), [communications](communications.md).",
            _table([use for use in known.values() if not use.file], means),
            "## Hosts and signers",
            *(f"`{name}`\n\n{block(_example(name), kind)}" for name, kind in _OTHERS.items()),
        )
    }


_OTHERS = {"hosts.yml": "yaml", "allowed_signers.txt": "text"}


def _file(file: str, known: Mapping[str, Use], means: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    yield f"## {file}"
    yield _table([use for use in known.values() if use.file == file], means)
    yield f'??? example "The example\'s {file}"\n\n' + _indented(block(_example(file), "yaml"))


def _table(found: list[Use], means: Mapping[str, Mapping[str, str]]) -> str:
    rows = [
        [f'<a id="{use.name}"></a>{code(use.name)}', plain(means[use.name]["means"]),
         means[use.name].get("unit") or ("s" if use.name.endswith("_s") else ""),
         _value(use.lab, "by the lab"), _value(use.example, "below"), _readers(use)]
        for use in found
    ]  # fmt: skip
    return table(["Variable", "Means", "Unit", "Lab", "Example", "Read by"], rows)


def _value(value: Any, longer: str) -> str:
    """Short ones as they are; of those that are longer, or found out by a template, where they are."""
    if value is None:
        return NOTHING
    text = value if isinstance(value, str) else json.dumps(value)
    return code(text) if len(text) <= _SHORT and "hft_lab" not in text else longer


def _readers(use: Use) -> str:
    told = [f"[{words(name)}](playbooks/{name}.md)" for name in use.playbooks]
    told = ["every playbook"] if len(told) == len(ready()) else told
    told += [f"tasks that leave out {code(use.option)}"] if use.option else []
    return ", ".join(told) or codes(_ELSEWHERE.get(use.name, ()))


#: Read by no playbook and by no task.
_ELSEWHERE = {
    COMMUNICATIONS.key: ("hft-incident comms",),
    SEVERITY.key: ("hft-incident severity", "hft.incident.scribe"),
}


def _example(name: str) -> str:
    """A file of the example without the lines about its license."""
    lines = (EXAMPLE / name).read_text(encoding="utf-8").splitlines()
    about = ("# Copyright:", "# Apache License", "# SPDX-", "---")
    return "\n".join(line for line in lines if not line.startswith(about))


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.splitlines())
