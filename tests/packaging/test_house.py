# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The rules of the house hold, the check that holds them bites, and the README names commands that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from hft_incident.catalog import COLLECTION
from hft_incident.command_list import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
UTILS = "collections/ansible_collections/hft/incident/plugins/module_utils"


def check_imports(root: Path) -> subprocess.CompletedProcess[str]:
    program = root / "tools" / "check_imports.py"
    return subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for folder in ("src", "collections", "tools"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_every_import_obeys_the_layers() -> None:
    done = check_imports(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        (f"{UTILS}/venues/binance.py", "import requests", "may not import requests"),
        (f"{UTILS}/http_client.py", "from ansible.module_utils.urls import open_url", "on the red button's path"),
        (f"{UTILS}/venues/api.py", "def late():\n    import yaml", "may not import yaml"),
        (f"{UTILS}/reconciliation.py", "from hft_incident import outcome", "may not import hft_incident.outcome"),
        ("src/hft_incident/responder.py", "from .lab import lab", "only the command line and the drill"),
        ("src/hft_incident/lab/keys.py", f"from {'ansible_collections.hft.incident.plugins'} import module_utils",
         "the lab may not import"),
        ("src/elsewhere.py", "", "belongs to no layer"),
    ],
)  # fmt: skip
def test_a_planted_violation_is_found(copy: Path, file: str, line: str, said: str) -> None:
    with open(copy / file, "a", encoding="utf-8") as source:
        source.write(f"\n{line}\n")
    done = check_imports(copy)
    assert done.returncode == 1
    assert said in done.stdout
    assert Path(file).name in done.stdout


def test_the_commands_of_the_readme_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    made = set(re.findall(r"^make ([a-z]+)|`make ([a-z]+)`", text, re.MULTILINE))
    named = {first or second for first, second in made}
    assert {"drill", "test", "lint", "bench"} <= named
    assert named <= targets
    assert set(re.findall(r"hft-incident ([a-z]+)\b", text)) <= set(COMMANDS)


def test_the_files_that_the_readme_names_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)\)", text) + re.findall(
        r"`((?:tools|tests|src|playbooks|inventory)/[^`\s…]*)`", text
    )
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_readme_of_the_collection_has_a_line_for_every_module_and_names_its_playbooks() -> None:
    text = (COLLECTION / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| \S", text, re.MULTILINE)
    assert sorted(rows) == sorted(path.stem for path in (COLLECTION / "plugins/modules").glob("*.py"))
    for playbook in (COLLECTION / "playbooks").glob("*.yml"):
        assert f"hft.incident.{playbook.stem}" in text


SOURCES = ("src", "collections", "tests", "tools")
#: Something that a tool would have said is kept quiet: by which mark, and the words after it.
SILENCED = re.compile(
    r"#\s*(?:noqa|type: ignore|pragma: no cover|nosec)\b(?::\s*\w+\d+(?:,\s*\w+\d+)*|\[[\w, -]+\])?(.*)$"
)
#: An exception is swallowed; where a comment does not fit behind it, it stands above.
SWALLOWED = re.compile(r"\bsuppress\(")


def silenced_without_a_reason(text: str) -> list[str]:
    found = (SILENCED.search(line) for line in text.splitlines())
    return [match.string.strip() for match in found if match and not re.search(r"\w", match[1])]


def test_nothing_is_silenced_without_a_reason_beside_it() -> None:
    files = [path for folder in SOURCES for suffix in ("py", "yml") for path in (ROOT / folder).rglob(f"*.{suffix}")]
    found = {str(path): silenced_without_a_reason(path.read_text(encoding="utf-8")) for path in files}
    assert {path: lines for path, lines in found.items() if lines} == {}


def swallowed_without_a_reason(text: str) -> list[str]:
    lines = ["", *text.splitlines()]
    return [
        line.strip()
        for above, line in pairwise(lines)
        if SWALLOWED.search(line) and "  # " not in line and not above.lstrip().startswith("# ")
    ]


def test_no_exception_is_swallowed_without_a_reason_beside_it() -> None:
    files = [path for folder in SOURCES for path in (ROOT / folder).rglob("*.py") if path != Path(__file__)]
    found = {str(path): swallowed_without_a_reason(path.read_text(encoding="utf-8")) for path in files}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ("with suppress(OSError):", 1),
        ("# above", 0),
        ("with suppress(OSError):  # behind", 0),
        ("# above\nwith suppress(OSError):", 0),
        ("# two above\n\nwith suppress(OSError):", 1),
    ],
)
def test_a_swallowed_exception_without_a_reason_is_found(lines: str, count: int) -> None:
    assert len(swallowed_without_a_reason(lines)) == count


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("x = 1  # " + "noqa", 1),
        ("x = 1  # " + "noqa: S608, E501", 1),
        ("x = 1  # " + "noqa: S608  # ours", 0),
        ("x = 1  # " + "noqa: S608  the name is ours", 0),
        ("x = 1  # " + "type: ignore[misc, arg-type]", 1),
        ("x = 1  # " + "type: ignore[misc]  # a lambda", 0),
    ],
)
def test_a_silence_without_a_reason_is_found(line: str, count: int) -> None:
    assert len(silenced_without_a_reason(f"y = 2\n{line}\n")) == count
