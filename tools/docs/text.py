# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Markdown by hand: what every generated page is made of."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = ROOT / "collections/ansible_collections/hft/incident"
DATA = Path(__file__).parent

NOTHING = "-"  #: in a cell
#: By path in the site, the Markdown of each page.
Pages = dict[str, str]

# Ansible's markup in documentation (O(option=value), M(collection.module) …), by what remains of it.
_ANSIBLE = re.compile(r"\b(?P<how>RV|[BCEILMOPUV])\((?P<what>[^()]*(?:\([^()]*\)[^()]*)*)\)")
_AROUND = {"B": "**", "I": "*"}


def read(path: Path) -> Any:
    """The data of a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def plain(text: Any) -> str:
    """Text that Markdown and HTML leave as it is, on one line."""
    return _escaped(" ".join(str(text).split()))


def _escaped(line: str) -> str:
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", html.escape(line, quote=False))


def code(text: Any) -> str:
    """Text as code, on one line; of nothing, nothing. ``|`` would end a cell of a table, also in code."""
    line = " ".join(str(text).split())
    return f"<code>{html.escape(line, quote=False).replace('|', '&#124;').replace('*', '&#42;')}</code>" if line else ""


def codes(names: Iterable[Any]) -> str:
    return ", ".join(code(name) for name in names)


def block(text: str, language: str = "text") -> str:
    """Lines as they are."""
    return f"```{language}\n{text.strip(chr(10))}\n```"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells are Markdown already; it scrolls by itself where the window is narrow."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell or ' ' for cell in line)} |" for line in lines)


def page(title: str, *parts: str) -> str:
    """A page that says that nobody wrote it."""
    return "\n\n".join([f"# {title}", *filter(None, parts)]) + "\n"


def span(seconds: float | None) -> str:
    """``at once``, ``90 s``, ``5 min``, ``4 h``, on one line; of None, nothing."""
    if seconds is None:
        return NOTHING
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}&nbsp;{unit}"
    return f"{seconds:g}&nbsp;s" if seconds else "at&nbsp;once"


def words(name: str) -> str:
    """``exchange_outage`` as people say it."""
    return name.replace("_", " ")


def documented(text: Any) -> str:
    """A line of Ansible's documentation as Markdown."""
    found, kept, line = [], 0, " ".join(str(text).split())
    for match in _ANSIBLE.finditer(line):
        found += [_escaped(line[kept : match.start()]), _marked(match["how"], match["what"])]
        kept = match.end()
    return "".join([*found, _escaped(line[kept:])])


def _marked(how: str, what: str) -> str:
    if how in _AROUND:
        return f"{_AROUND[how]}{plain(what)}{_AROUND[how]}"
    if how == "L":
        label, _comma, address = what.rpartition(",")
        return f"[{plain(label)}]({address.strip()})"
    if how == "M" and what.startswith("hft.incident."):
        name = what.rpartition(".")[2]
        return f"[{code(name)}]({name}.md)"
    return code(what)
