# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A page for every module, from its own documentation as ``ansible-doc`` has it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from .text import COLLECTION, ROOT, Pages, block, code, codes, documented, page, table

Doc = Mapping[str, Any]


def names() -> list[str]:
    return sorted(path.stem for path in (COLLECTION / "plugins/modules").glob("*.py") if path.stem != "__init__")


def documentation() -> Mapping[str, Doc]:
    """By name, what each module says of itself: ``doc``, ``examples``, ``return``."""
    shown = subprocess.run(  # noqa: S603  # our own command
        [
            str(Path(sys.executable).with_name("ansible-doc")),
            *("--type", "module", "--json"),
            *(f"hft.incident.{name}" for name in names()),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.rpartition(".")[2]: found for name, found in json.loads(shown.stdout).items()}


def pages() -> Pages:
    found = documentation()
    made = {f"modules/{name}.md": _page(name, found[name]) for name in names()}
    rows = [[f"[{code(name)}]({name}.md)", documented(found[name]["doc"]["short_description"])] for name in names()]
    made["modules/index.md"] = page(
        "Modules",
        "What the playbooks are made of, and what a playbook of your own can use. Each runs in process on `localhost` "
        "and is shipped to a host elsewhere. What the site has, and where, a task need not say: it comes from the "
        "[inventory](../inventory.md).",
        table(["Module", "Does"], rows),
    )
    return made


def _page(name: str, found: Doc) -> str:
    doc = found["doc"]
    return page(
        name,
        f"**{documented(doc['short_description'])}.** In a playbook: {code(f'hft.incident.{name}')}",
        *(documented(line) for line in _lines(doc["description"])),
        "## Options",
        table(["Option", "Is", "Means"], _options(doc.get("options") or {})) if doc.get("options") else "None.",
        "## How it behaves",
        table(
            ["Mode", "Support", "Means"],
            [[code(what), str(how["support"]), _text(how)] for what, how in doc["attributes"].items()],
        ),
        "## Examples",
        block(found["examples"], "yaml"),
        "## What it returns",
        *_returned(found.get("return") or {}),
    )


def _options(options: Mapping[str, Doc], above: str = "") -> Iterator[list[str]]:
    """A row for each, what belongs into one below it, the required ones first."""
    for name, option in sorted(options.items(), key=lambda item: (not item[1].get("required"), item[0])):
        kind = option.get("type", "str") + (f" of {option['elements']}" if option.get("elements") else "")
        told = [kind, "**required**" if option.get("required") else f"default {_default(option)}"]
        told += [f"one of {codes(option['choices'])}"] if option.get("choices") else []
        yield [code(above + name), "; ".join(told), _text(option)]
        yield from _options(option.get("suboptions") or {}, f"{above}{name}.")


def _default(option: Doc) -> str:
    default = option.get("default")
    return "none" if default is None else code(json.dumps(default))


def _returned(values: Mapping[str, Doc]) -> Iterator[str]:
    if not values:
        yield "Only what every module does."
    for name, value in values.items():
        when = f" Returned {documented(value['returned'])}." if value.get("returned") else ""
        yield f"### {code(name)}\n\n{_text(value)}{when}"
        if "sample" in value:
            yield block(yaml.safe_dump({name: value["sample"]}, sort_keys=False, allow_unicode=True, width=100), "yaml")


def _text(entry: Doc) -> str:
    return " ".join(documented(line) for line in _lines(entry["description"]))


def _lines(text: Any) -> list[str]:
    return [text] if isinstance(text, str) else list(text)
