# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The kinds of events that the journal has, from the sentences that the product itself tells them with."""

from __future__ import annotations

import ast
import inspect
import string
from collections.abc import Iterator, Mapping
from typing import Any

from hft_incident import sentences
from hft_incident.report_sections import KEY_KINDS

from .text import DATA, Pages, block, code, codes, page, plain, read, table

HEADING = "phase.entered"  #: has no sentence of its own: it is the heading above others
EXAMPLE = """\
{"seq": 7, "at": "2026-11-23T10:00:00.000000Z", "actor": "oncall@jumphost",
 "kind": "alarm.judged", "data": {"real": true, "because": "…"},
 "prev": "…", "hash": "…"}"""


def kinds() -> list[str]:
    return [HEADING, *sentences.SENTENCES]


def pages() -> Pages:
    means: Mapping[str, str] = read(DATA / "events.yml")
    fields = told_from()
    rows = [
        [code(kind), plain(means[kind]) + (" ★" if kind in KEY_KINDS else ""), codes(fields[kind])] for kind in kinds()
    ]
    return {
        "journal.md": page(
            "The journal",
            "The journal *is* the incident. Severity, phase, what is contained, who approved, which notice is due: all "
            "of it is derived by reading one file, `$HFT_INCIDENT_HOME/<incident>/journal.jsonl`, one JSON object a "
            "line, shown here on three:",
            block(EXAMPLE, "json"),
            table(
                ["Field", "Is"],
                [
                    ["`seq`", "from 1, no gaps"],
                    ["`at`", "UTC, microseconds, `Z`"],
                    ["`actor`", "who wrote it"],
                    ["`kind`", "dotted, past tense; the table below"],
                    ["`data`", "the kind's own fields"],
                    ["`prev`", "the hash of the line before; 64 zeros in the first"],
                    ["`hash`", "SHA-256 of the line without `hash`, as JSON with sorted keys and no spaces, in UTF-8"],
                ],
            ),
            "A line is on disk before the next step starts. One that a crash tore is set aside (`journal.torn`), which "
            "is recorded, and the chain goes on; `hft-incident verify INC` tells torn (exit 3) from altered (exit 1). "
            "`hft-incident timeline INC` reads it to you, a sentence for each line. No secret ever enters it.",
            "## Events",
            "★: a key moment of the report. The fields are those that the sentence is told from; there may be more, "
            "and a reader passes over what it does not know.",
            table(["Kind", "Means", "Told from"], rows),
        )
    }


def told_from() -> dict[str, list[str]]:
    """By kind, the fields of its data that its sentence reads, as the source of the sentences has it."""
    tree = ast.parse(inspect.getsource(sentences))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    (written,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "SENTENCES"
    )
    if not isinstance(written, ast.Dict):
        raise TypeError("SENTENCES is written out as a mapping no more: this reads its source")
    pairs = ((ast.literal_eval(key), value) for key, value in zip(written.keys, written.values, strict=True) if key)
    return {HEADING: ["phase", "play"], **{kind: sorted(set(_fields(value, functions))) for kind, value in pairs}}


def _fields(node: ast.AST, functions: Mapping[str, ast.FunctionDef]) -> Iterator[str]:
    """In ``data["x"]``, ``data.get("x")``, a template "{x}", and in the functions of the module that are named."""
    for found in ast.walk(node):
        match found:
            case ast.Subscript(value=ast.Name(id="data"), slice=ast.Constant(value=str(name))):
                yield name
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="data"), attr="get"), args=[ast.Constant(value=str(name)), *_]
            ):
                yield name
            case ast.Call(func=ast.Name(id="_says"), args=[ast.Constant(value=str(template))]):
                yield from _placeholders(template)
            case ast.Name(id=name) if name in functions:
                yield from _fields(functions[name], functions)


def _placeholders(template: str) -> Iterator[Any]:
    return (name for _text, name, _format, _conversion in string.Formatter().parse(template) if name)
