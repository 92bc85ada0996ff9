# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The collection's tarball: installed into an empty folder it is enough for Ansible, without the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.lab.modules.steps import seed
from tests.lab.venues_host import KEY, venue_host

from hft_incident.catalog import CATALOG

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "collections/ansible_collections/hft/incident"
NAME = "hft.incident"
BIN = Path(sys.executable).parent
PATIENCE_S = 120


class Folder(NamedTuple):
    """A folder that was empty before the collection was installed into ``collections``."""

    path: Path

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """A command of Ansible's from there, with nothing that leads to the repository, not even this environment's own
        path to it."""
        given = {
            "ANSIBLE_COLLECTIONS_PATH": str(self.path / "collections"),
            "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "false",
            "ANSIBLE_HOME": str(self.path / "ansible"),
            "HOME": str(self.path),
            "LANG": "C.UTF-8",
            "PATH": os.pathsep.join([str(BIN), os.defpath]),
        }
        return subprocess.run(
            [BIN / words[0], *words[1:]],
            cwd=self.path,
            env={**given, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tarball")
    program = str(BIN / "ansible-galaxy")
    subprocess.run([program, "collection", "build", SOURCE, "--output-path", folder], check=True, capture_output=True)
    (built,) = folder.glob("*.tar.gz")
    return built


@pytest.fixture(scope="module")
def folder(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    empty = Folder(tmp_path_factory.mktemp("empty"))
    to = str(empty.path / "collections")
    done = empty.run("ansible-galaxy", "collection", "install", str(tarball), "--offline", "--collections-path", to)
    assert done.returncode == 0, done.stdout + done.stderr
    return empty


def test_nothing_is_packed_that_a_tool_left_behind(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        names = archive.getnames()
    odd = ("__pycache__", ".pyc", "tests/output", ".ansible/", ".plugin-cache.yaml", ".git/")
    assert [name for name in names if any(part in name for part in odd)] == []
    assert {"plugins/callback/scribe.py", "meta/runtime.yml", "LICENSES/GPL-3.0-or-later.txt"} <= set(names)


@pytest.mark.parametrize("playbook", sorted(name for name, entry in CATALOG.items() if entry.is_ready))
def test_every_playbook_is_found_by_its_name(folder: Folder, playbook: str) -> None:
    done = folder.run("ansible-playbook", f"{NAME}.{playbook}", "--syntax-check")
    assert done.returncode == 0, done.stderr


def test_every_module_documents_itself(folder: Folder) -> None:
    names = [f"{NAME}.{path.stem}" for path in (SOURCE / "plugins/modules").glob("*.py")]
    done = folder.run("ansible-doc", "--json", *names)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert sorted(told) == sorted(names)
    assert all(Path(one["doc"]["filename"]).is_relative_to(folder.path) for one in told.values())


def test_a_module_asks_a_venue(folder: Folder) -> None:
    with venue_host({"alpha": "binance"}) as host:
        count = seed(host.venues["alpha"])
        url = f"http://127.0.0.1:{host.venues['alpha'].port}"
        venue = {"name": "alpha", "driver": "binance", "base_url": url}
        secrets = {"api_key": "env:KEY", "api_secret": "env:SECRET"}
        done = folder.run(
            "ansible", "localhost", "-m", f"{NAME}.open_orders_info", "-a", json.dumps({"venues": [venue | secrets]}),
            env={"KEY": KEY.id, "SECRET": KEY.secret},
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.partition("=>")[2])
    assert [row["count"] for row in told["venues"]] == [count]
    assert count > 1
