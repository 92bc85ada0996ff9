# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""`hft-incident init`: the example as a whole, or nothing, and nothing of anybody's overwritten."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hft_incident import cli
from hft_incident.new_inventory import EXAMPLE

FILES = sorted(str(file.relative_to(EXAMPLE)) for file in EXAMPLE.rglob("*") if file.is_file())


def written(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("prepared", ["new", "empty"])
def test_the_whole_example_is_written_and_says_what_comes_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], prepared: str
) -> None:
    folder = tmp_path / "site" / "inventory"
    if prepared == "empty":
        folder.mkdir(parents=True)
    assert cli.main(["init", str(folder)]) == 0
    assert written(folder) == FILES
    assert "group_vars/all/venues.yml" in FILES
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines == [f"written: {folder / file}" for file in FILES]
    assert last == f"next: hft-incident doctor -i {folder}"
    assert os.listdir(folder.parent) == ["inventory"], "no draft is left"


def test_ansible_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["init", str(tmp_path / "inventory"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"inventory": str(tmp_path / "inventory"), "files": FILES}
    ansible = Path(sys.executable).parent / "ansible-inventory"
    listed = subprocess.run(
        [ansible, "-i", told["inventory"], "--list"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert json.loads(listed.stdout)["trading_hosts"]["hosts"] == ["hft-1"]


def somebodys(folder: Path) -> None:
    folder.mkdir()
    (folder / "mine.yml").write_text("mine")


def a_file(folder: Path) -> None:
    folder.write_text("mine")


def a_link(folder: Path) -> None:
    folder.symlink_to("nowhere")


@pytest.mark.parametrize("make", [somebodys, a_file, a_link])
def test_what_is_there_stays_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], None]
) -> None:
    folder = tmp_path / "inventory"
    make(folder)
    before = (os.lstat(folder), written(folder))
    assert cli.main(["init", str(folder)]) == 2
    said = f"{folder} is there already, and stays as it is: name a folder that is new or empty"
    assert capsys.readouterr().err == f"hft-incident: {said}\n"
    assert (os.lstat(folder), written(folder)) == before
    assert os.listdir(tmp_path) == ["inventory"]


def test_where_it_cannot_be_written_it_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main(["init", str(tmp_path / "file" / "inventory")]) == 2
    assert "no inventory can be written to" in capsys.readouterr().err
