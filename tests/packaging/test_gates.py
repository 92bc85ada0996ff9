# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Each of the ecosystem's gates bites: a defect planted in what would be published is found, and said."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from tools.gates import COLLECTION, GATES, copied

pytestmark = pytest.mark.gates

MODULES = COLLECTION / "plugins" / "modules"
UTILS = COLLECTION / "plugins" / "module_utils"
KILLSWITCH = MODULES / "killswitch.py"
TIMESTAMPS = UTILS / "timestamps.py"


class Defect(NamedTuple):
    """In a file of the copy ``old`` becomes ``new``, and the gate says ``said``.

    Where ``old`` is empty, ``new`` is added to the file, which may be a new one.
    """

    path: Path
    old: str
    new: str
    said: str

    def plant(self, root: Path) -> None:
        file = root / self.path
        file.parent.mkdir(parents=True, exist_ok=True)
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        assert self.old in text
        file.write_text(text.replace(self.old, self.new, 1) if self.old else text + self.new, encoding="utf-8")


#: By gate; those of one case are planted together, since some gates take their time.
PLANTED: dict[str, dict[str, tuple[Defect, ...]]] = {
    "sanity": {
        "a default documented otherwise; a library that no host has, in a folder that git ignores": (
            Defect(KILLSWITCH, "    default: 10.0\n", "    default: 12.0\n", "doc-default-does-not-match-spec"),
            Defect(UTILS / "build" / "odd.py", "", "import requests\n", "module_utils/build/odd.py:1:0: traceback"),
        ),
        "something excused": (
            Defect(COLLECTION / "tests/sanity/ignore-2.19.txt", "", "galaxy.yml skip\n", "nothing is excused"),
        ),
    },
    "host_python": {
        "what old hosts do not have": (
            Defect(TIMESTAMPS, "datetime, timedelta", "UTC, datetime, timedelta", 'no attribute "UTC"'),
            Defect(UTILS / "pnl.py", "", "\n\nEITHER = int | str\n", "Unsupported left operand type for |"),
        ),
    },
    "plugins": {
        "no documentation": (Defect(MODULES / "silent.py", "", "#!/usr/bin/python\n", "hft.incident.silent"),),
        "no return values": (Defect(KILLSWITCH, "RETURN = ", "RETURNS = ", "hft.incident.killswitch: no return"),),
    },
    "roles": {
        "no argument specification": (
            Defect(COLLECTION / "roles/silent/tasks/main.yml", "", "---\n", "hft.incident.silent: no entry_points"),
        ),
    },
    "docs": {
        "an option that does not exist": (Defect(KILLSWITCH, "O(state=active)", "O(mood=active)", "mood"),),
    },
    "changelog": {
        "a kind of change that nobody knows": (
            Defect(COLLECTION / "changelogs/fragments/odd.yml", "", "---\nodd: [A change.]\n", "invalid section: odd"),
        ),
        "written by hand": (Defect(COLLECTION / "CHANGELOG.md", "", "\n* More.\n", "CHANGELOG.md is not what"),),
    },
    "importer": {
        "a license that nobody knows": (
            Defect(COLLECTION / "galaxy.yml", "  - Apache-2.0\n", "  - Apache-7.0\n", "'Apache-7.0'"),
        ),
        "a playbook that ansible-lint dislikes": (
            Defect(COLLECTION / "playbooks/odd.yml", "", "---\n- hosts: localhost\n", "All plays should be named"),
        ),
    },
    "licenses": {
        "a file without one": (Defect(COLLECTION / "playbooks/vars/odd.yml", "", "odd: true\n", "vars/odd.yml"),),
    },
    "environment": {
        "what no builder knows": (
            Defect(Path("execution-environment.yml"), "dependencies:\n", "dependencies:\n  luck: good\n", "'luck'"),
        ),
    },
}


@pytest.mark.parametrize(("gate", "case"), [(gate, case) for gate, cases in PLANTED.items() for case in cases])
def test_a_planted_defect_is_found(gate: str, case: str) -> None:
    defects = PLANTED[gate][case]
    with copied() as copy:
        for defect in defects:
            defect.plant(copy.root)
        objection = GATES[gate](copy)
    assert [defect.said for defect in defects if defect.said not in objection] == [], objection
    lines = objection.splitlines()
    print("\n".join(next(line for line in lines if defect.said in line) for defect in defects))


def test_there_is_a_defect_for_every_gate() -> None:
    assert set(PLANTED) == set(GATES)
