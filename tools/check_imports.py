# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: the layers of the house, held against every import statement. Exit 1 where one is broken.

The red button is the strictest: whatever it reaches, directly or through others, is the standard library and our own
files that obey the same rule, since its start-up time is the firm's exposure.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SOURCES = (ROOT / "src", ROOT / "collections")
PLUGINS = "ansible_collections.hft.incident.plugins"
UTILS = f"{PLUGINS}.module_utils"


class Layer(NamedTuple):
    """Modules under ``members`` may import the standard library, themselves, and what starts with one of ``may``."""

    name: str
    members: tuple[str, ...]
    may: tuple[str, ...]
    but: tuple[str, ...] = ()  #: members of another layer


LAYERS = (
    Layer(
        "the work",
        (UTILS,),
        (UTILS, "ansible.module_utils"),
        but=(
            f"{UTILS}.venues.ccxt_driver",
            f"{UTILS}.database_probe",
            f"{UTILS}.evidence_cipher",
            f"{UTILS}.yaml_file",
            f"{UTILS}.secret_stores.ansible_vault",
            f"{UTILS}.secret_stores.vault_kv2",
        ),
    ),
    Layer("the ccxt driver", (f"{UTILS}.venues.ccxt_driver",), (UTILS, "ccxt")),
    Layer("the database probe", (f"{UTILS}.database_probe",), (UTILS, "psycopg")),
    Layer("keys in ansible-vault", (f"{UTILS}.secret_stores.ansible_vault",), (UTILS, "yaml")),
    Layer("keys in Vault or OpenBao", (f"{UTILS}.secret_stores.vault_kv2",), (UTILS, "hvac", "requests")),
    Layer("encrypted evidence", (f"{UTILS}.evidence_cipher",), (UTILS, "pyrage")),
    Layer("files of the site", (f"{UTILS}.yaml_file",), (UTILS, "yaml")),
    Layer("doors on a host", (f"{PLUGINS}.modules",), (UTILS, "ansible.module_utils")),
    Layer("doors on the control node", (f"{PLUGINS}.action",), (UTILS, f"{PLUGINS}.plugin_utils", "ansible")),
    Layer(
        "the shared doors and the scribe",
        (f"{PLUGINS}.plugin_utils", f"{PLUGINS}.callback"),
        (UTILS, f"{PLUGINS}.plugin_utils", "ansible"),
    ),
    Layer("documentation", (f"{PLUGINS}.doc_fragments",), ()),
    Layer(
        "the lab",
        ("hft_incident.lab",),
        ("hft_incident.lab", "aiohttp", "aiosmtpd", "psycopg", "trustme", "yarl", "yaml"),
    ),
    Layer(
        "the communications clock",
        ("hft_incident.comms",),
        ("hft_incident", UTILS, "apprise", "jinja2", "requests", "slack_sdk"),
    ),
    Layer("the drill", ("hft_incident.drill",), ("hft_incident", UTILS, "rich")),
    Layer("the doctor", ("hft_incident.doctor",), ("hft_incident", UTILS, "ansible", "packaging")),
    Layer("the invitation to the review", ("hft_incident.review_invitation",), ("hft_incident", UTILS, "icalendar")),
    Layer(
        "the wrapper",
        ("hft_incident",),
        ("hft_incident", UTILS, "ansible", "ansible_runner", "jinja2", "rich", "yaml"),
        but=(
            "hft_incident.lab",
            "hft_incident.drill",
            "hft_incident.comms",
            "hft_incident.doctor",
            "hft_incident.review_invitation",
        ),
    ),
)
#: The command line may start the lab and the drill; nothing else of the product knows that they exist.
LAB_DOORS = ("hft_incident.commands", "hft_incident.drill")
RED_BUTTON = (f"{UTILS}.killswitch", f"{UTILS}.venues")
#: Named in a function of theirs only, for the one driver that needs it.
NOT_ON_THE_RED_BUTTON = (f"{UTILS}.venues.ccxt_driver",)


def modules() -> dict[str, Path]:
    """Every module of the project by its dotted name."""
    found = {}
    for source in SOURCES:
        for path in sorted(source.rglob("*.py")):
            parts = path.relative_to(source).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path) -> Iterator[str]:
    """The dotted names that a module imports, wherever in it; what is only imported for types does not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in _runtime_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            target = ".".join(part for part in (base, node.module) if part)
            yield from (f"{target}.{alias.name}" for alias in node.names)


def _runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _runtime_nodes(child)


def within(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


def standard(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names


def broken_layers(known: dict[str, Path]) -> Iterator[str]:
    for name, path in known.items():
        layer = next((one for one in LAYERS if within(name, one.members) and not within(name, one.but)), None)
        if layer is None:
            yield f"{path.relative_to(ROOT)}: belongs to no layer"
            continue
        for target in imports(name, path):
            if not standard(target) and not within(target, layer.may):
                yield f"{path.relative_to(ROOT)}: {layer.name} may not import {target}"
            elif within(target, ("hft_incident.lab", "hft_incident.drill")) and not (
                within(name, LAB_DOORS) or within(name, ("hft_incident.lab",))
            ):
                yield f"{path.relative_to(ROOT)}: only the command line and the drill may import the lab"


def broken_red_button(known: dict[str, Path]) -> Iterator[str]:
    """Everything that the red button reaches through imports."""
    todo = [name for name in known if within(name, RED_BUTTON) and not within(name, NOT_ON_THE_RED_BUTTON)]
    reached: set[str] = set()
    while todo:
        name = todo.pop()
        if name in reached or name not in known:
            continue
        reached.add(name)
        for target in imports(name, known[name]):
            ours = target if target in known else target.rpartition(".")[0]
            if ours in known:
                todo.append(ours)
            elif not standard(target):
                yield f"{known[name].relative_to(ROOT)}: on the red button's path, may not import {target}"


def main() -> int:
    known = modules()
    broken = [*broken_layers(known), *broken_red_button(known)]
    for line in broken:
        print(line)
    print(f"imports: {len(known)} modules, {len(broken)} broken rules")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
