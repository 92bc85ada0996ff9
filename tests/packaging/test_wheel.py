# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The one wheel: what is in it, and that it is enough on a machine that has never seen the repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.lab.modules.steps import seed
from tests.lab.venues_host import KEY, venue_host

from hft_incident.catalog import CATALOG

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (ROOT / "src", ROOT / "collections")
COLLECTION = "ansible_collections/hft/incident"
PATIENCE_S = 120
SHORT = ("hft_kill_interval_s=0.05", "hft_watch_interval_s=0.2", "hft_strategy_settle_s=0.1",
         "hft_stability_window_s=0.3")  # fmt: skip


class Jumphost(NamedTuple):
    """A virtual environment with the wheel and its dependencies, and an empty folder to work in."""

    python: Path
    folder: Path

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """A program of this environment, from the empty folder, with nothing that leads to the repository."""
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
        path = os.pathsep.join([str(self.python.parent), os.defpath])
        home = {"HOME": str(self.folder), "HFT_INCIDENT_HOME": str(self.folder / "state")}
        program = self.python.parent / words[0]
        return subprocess.run(
            [program, *words[1:]],
            cwd=self.folder,
            env={**kept, **home, "PATH": path, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index",
         "--no-build-isolation", "--wheel-dir", folder, ROOT],
        check=True,
    )  # fmt: skip
    (built,) = folder.glob("hft_incident-*.whl")
    return built


@pytest.fixture(scope="module")
def jumphost(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Jumphost:
    root = tmp_path_factory.mktemp("jumphost")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / "venv"], check=True)
    python = root / "venv" / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--no-index", wheel],
        check=True,
    )  # fmt: skip
    # The dependencies are this environment's own. Its .pth files, one of which leads to the repository, do not count.
    (site,) = (root / "venv").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    # Ansible's own program, which pip would have made.
    program = python.parent / "ansible-playbook"
    program.write_text(f"#!{python}\nimport sys\nfrom ansible.cli.playbook import main\nsys.exit(main())\n")
    program.chmod(0o755)
    folder = root / "empty"
    folder.mkdir()
    return Jumphost(python, folder)


@contextmanager
def lab(jumphost: Jumphost) -> Iterator[None]:
    up = jumphost.run("hft-incident", "lab", "up")
    try:
        assert up.returncode == 0, up.stderr
        yield
    finally:
        down = jumphost.run("hft-incident", "lab", "down")
    assert down.returncode == 0, down.stderr


# What is in it -------------------------------------------------------------------------------------------------------


def sources() -> set[str]:
    """Every file that belongs into the wheel, by its path there."""
    return {
        str(path.relative_to(source))
        for source in SOURCES
        for path in source.rglob("*")
        if path.is_file() and not any(map(_is_no_source, path.relative_to(source).parts))
    }


def _is_no_source(part: str) -> bool:
    """The caches of whatever tool was started in there are hidden."""
    return part.startswith(".") or part in ("tests", "__pycache__")


def packed(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_the_wheel_holds_every_file_of_the_sources_and_nothing_else(wheel: Path) -> None:
    assert packed(wheel) == sources()


@pytest.mark.parametrize(
    "path",
    [
        f"{COLLECTION}/playbooks/exchange_outage.yml",
        f"{COLLECTION}/playbooks/system_crash.yml",
        f"{COLLECTION}/playbooks/shared/close.yml",
        f"{COLLECTION}/playbooks/vars/communications.yml",
        f"{COLLECTION}/playbooks/vars/fire_first.yml",
        f"{COLLECTION}/playbooks/vars/severity.yml",
        f"{COLLECTION}/plugins/callback/scribe.py",
        f"{COLLECTION}/plugins/modules/killswitch.py",
        f"{COLLECTION}/plugins/action/killswitch.py",
        f"{COLLECTION}/plugins/module_utils/venues/__init__.py",
        f"{COLLECTION}/plugins/doc_fragments/venues.py",
        f"{COLLECTION}/meta/runtime.yml",
        f"{COLLECTION}/galaxy.yml",
        f"{COLLECTION}/LICENSES/GPL-3.0-or-later.txt",
        "hft_incident/cli.py",
        "hft_incident/comms/__main__.py",
        "hft_incident/doctor/callback/hft_told.py",
        "hft_incident/doctor/look.yml",
        "hft_incident/launch.py",
        "hft_incident/templates/report.html.j2",
        "hft_incident/templates/report.md.j2",
        "hft_incident/lab/inventory/hosts.yml",
        "hft_incident/lab/inventory/group_vars/all/lab.yml",
        "hft_incident/lab/inventory/group_vars/all/policy.yml",
    ],
)
def test_the_wheel_has_what_a_response_needs(wheel: Path, path: str) -> None:
    assert path in packed(wheel)


def test_other_collections_find_their_place_beside_ours(wheel: Path) -> None:
    for folder in ("ansible_collections", "ansible_collections/hft", COLLECTION, f"{COLLECTION}/plugins"):
        assert f"{folder}/__init__.py" not in packed(wheel)


def test_no_test_cache_or_secret_of_the_repository_is_packed(wheel: Path) -> None:
    odd = ("tests/", "__pycache__", ".pyc", ".git", ".venv", "/keys/", "venues.yml", "lab.json")
    shipped = [name for name in packed(wheel) if not name.startswith("hft_incident/inventory_example/")]
    assert [name for name in shipped if any(part in name for part in odd)] == []


# That it is enough ---------------------------------------------------------------------------------------------------


def test_everything_is_imported_from_the_wheel(jumphost: Jumphost) -> None:
    names = "hft_incident.responder", "hft_incident.drill", "ansible_collections.hft.incident.plugins.callback.scribe"
    program = f"import importlib\nfor name in {names!r}: print(importlib.import_module(name).__file__)"
    done = jumphost.run("python", "-c", program)
    files = done.stdout.splitlines()
    assert len(files) == len(names), done.stderr
    assert all(file.startswith(str(jumphost.python.parents[1])) for file in files)


def test_list_shows_every_type_and_which_one_is_ready(jumphost: Jumphost) -> None:
    done = jumphost.run("hft-incident", "list", "--json")
    assert done.returncode == 0, done.stderr
    types = {row["type"]: row["ready"] for row in json.loads(done.stdout)["types"]}
    assert types == {name: entry.is_ready for name, entry in CATALOG.items()}
    assert types["exchange_outage"]


def test_the_table_of_who_is_told_what_is_the_wheels_own(jumphost: Jumphost) -> None:
    done = jumphost.run("hft-incident", "comms", "--table", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {row["type"] for row in told["rows"]} == set(CATALOG)
    assert all(source.startswith(str(jumphost.python.parents[1])) for source in told["sources"])


@pytest.mark.parametrize("name", [name for name, entry in CATALOG.items() if entry.is_ready])
def test_a_playbook_is_found_by_its_collection_name_alone(jumphost: Jumphost, name: str) -> None:
    done = jumphost.run("ansible-playbook", f"hft.incident.{name}", "-i", "localhost,", "--syntax-check")
    assert done.returncode == 0, done.stderr
    assert str(jumphost.python.parents[1]) in done.stdout


@contextmanager
def incident_of(jumphost: Jumphost, *kinds: str) -> Iterator[str]:
    """A rehearsal on record, with these further events; gone afterward."""
    program = (
        "from ansible_collections.hft.incident.plugins.module_utils.incident import open_incident\n"
        "made = open_incident('exchange_outage', check=True)\n"
        f"for kind in {kinds!r}: made.journal.append(kind, {{}})\n"
        "print(made.id)"
    )
    opened = jumphost.run("python", "-c", program)
    assert opened.returncode == 0, opened.stderr
    incident = opened.stdout.strip()
    yield incident
    shutil.rmtree(jumphost.folder / "state" / incident)


def test_the_report_of_an_incident_is_made_from_the_wheel(jumphost: Jumphost) -> None:
    with incident_of(jumphost) as incident:
        reported = jumphost.run("hft-incident", "report", incident, "--output", "report", "--json")
    assert reported.returncode == 0, reported.stderr
    pages = [page for page in json.loads(reported.stdout)["files"].values() if page]
    assert len(pages) >= 2
    assert all(incident in (jumphost.folder / page).read_text() for page in pages)


def test_the_process_that_tells_people_runs_from_the_wheel(jumphost: Jumphost) -> None:
    """It follows an incident until that is over, as this one is."""
    with incident_of(jumphost, "incident.closed") as incident:
        done = jumphost.run("python", "-m", "hft_incident.comms", incident)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_doctor_looks_from_the_wheel_and_says_what_is_missing(jumphost: Jumphost) -> None:
    done = jumphost.run("hft-incident", "doctor", "--json")
    assert done.returncode == 3, done.stderr
    told = {row["check"]: row for row in json.loads(done.stdout)["checks"]}
    assert (told["inventory"]["verdict"], told["environment"]["verdict"]) == ("bad", "ok")
    assert str(jumphost.python.parents[1]) in told["environment"]["says"]


def test_an_inventory_is_started_from_the_wheel(jumphost: Jumphost) -> None:
    done = jumphost.run("hft-incident", "init", "a-site", "--json")
    assert done.returncode == 0, done.stderr
    assert {"hosts.yml", "allowed_signers.txt", "group_vars/all/venues.yml"} <= set(json.loads(done.stdout)["files"])


def test_completion_is_asked_of_the_wheel(jumphost: Jumphost) -> None:
    assert "complete -F" in jumphost.run("hft-incident", "completion", "bash").stdout
    assert jumphost.run("hft-incident", "completion", "words", "=run", "=sys").stdout == "system_crash\n"


def test_the_red_button_clears_a_venue(jumphost: Jumphost) -> None:
    with venue_host({"alpha": "binance"}) as host:
        count = seed(host.venues["alpha"])
        entry = f"{{name: alpha, driver: binance, base_url: 'http://127.0.0.1:{host.venues['alpha'].port}'"
        venues = jumphost.folder / "venues.yml"
        venues.write_text(f"hft_venues: [{entry}, api_key: 'env:THE_KEY', api_secret: 'env:THE_SECRET'}}]\n")
        done = jumphost.run(
            "hft-incident", "kill", "--venues", str(venues), "--reason", "a test", "--interval", "0.05", "--json",
            env={"THE_KEY": KEY.id, "THE_SECRET": KEY.secret},
        )  # fmt: skip
        left = host.venues["alpha"].exchange.open_orders()
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)["venues"]
    assert (told["verdict"], told["open_before"], told["cancelled"]) == ("clear", count, count)
    assert (count > 1, left) == (True, [])


def incidents(jumphost: Jumphost) -> list[dict[str, Any]]:
    """Every incident on record, the newest first."""
    status = jumphost.run("hft-incident", "status", "--json")
    assert status.returncode == 0, status.stderr
    rows: list[dict[str, Any]] = json.loads(status.stdout)["incidents"]
    return rows


def allow(jumphost: Jumphost) -> None:
    """Two people approve what is held, each with their own key of the lab, and it goes on to its end."""
    (held,) = (row for row in incidents(jumphost) if row["open"])
    assert held["gates"]["resume_trading"]["missing"] == 2
    for person in ("alice", "bob"):
        key = str(jumphost.folder / "state/lab/people" / person)
        approved = jumphost.run("hft-incident", "approve", held["id"], "resume_trading", "--key", key)
        assert approved.returncode == 0, approved.stderr
    resumed = jumphost.run("hft-incident", "resume", held["id"])
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr


def test_a_whole_response_runs_from_an_empty_folder_by_its_collection_name(jumphost: Jumphost) -> None:
    playbook = ("ansible-playbook", "hft.incident.exchange_outage", "-i", str(jumphost.folder / "state/lab/inventory"))
    with lab(jumphost):
        checked = jumphost.run(*playbook, "--syntax-check")
        assert checked.returncode == 0, checked.stderr
        scribe = {"ANSIBLE_CALLBACKS_ENABLED": "hft.incident.scribe"}
        done = jumphost.run(*playbook, "-e", " ".join(("exchange=okx confirmed=true", *SHORT)), env=scribe)
        assert ": held; record " in done.stdout, done.stdout + done.stderr
        allow(jumphost)
        run = jumphost.run("hft-incident", "run", "exchange_outage", "-e", "exchange=binance", "--json")
        assert run.returncode == 0, run.stderr
        examined = jumphost.run("hft-incident", "doctor", "--json")
        assert examined.returncode == 0, examined.stdout
    assert len(incidents(jumphost)) == 2
    closed(jumphost)


def test_the_lab_of_the_wheel_brings_what_a_system_crash_needs(jumphost: Jumphost) -> None:
    """A service manager, PostgreSQL and people with keys."""
    with lab(jumphost):
        held = jumphost.run(
            "hft-incident",
            "run",
            "system_crash",
            "-e",
            "confirmed=true",
            *(word for clock in SHORT for word in ("-e", clock)),
        )
        assert held.returncode == 4, held.stdout + held.stderr
        allow(jumphost)
    closed(jumphost)
    kinds = jumphost.run("hft-incident", "timeline", incidents(jumphost)[0]["id"], "--json").stdout
    assert '"database.probed"' in kinds


def closed(jumphost: Jumphost) -> None:
    """Everything on record is over, and proves itself."""
    for incident in incidents(jumphost):
        assert not incident["open"]
        assert jumphost.run("hft-incident", "verify", incident["id"]).returncode == 0
