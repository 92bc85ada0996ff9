# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The command line: what it refuses and how, what it prints where, what it loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import hft_incident
from ansible_collections.hft.incident.plugins.module_utils.incident import TYPES, open_incident
from hft_incident import cli, commands
from hft_incident.catalog import CATALOG, COLLECTION, COLLECTIONS_ROOT
from hft_incident.command_list import COMMANDS

ROOT = Path(__file__).parents[2]
SOURCES = os.pathsep.join([str(Path(hft_incident.__file__).parents[1]), str(COLLECTIONS_ROOT)])
RUN = ["run", "exchange_outage", "-e", "exchange=binance"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of its own, and no configuration of whoever runs the tests."""
    folder = tmp_path / "home"
    monkeypatch.setenv("HFT_INCIDENT_HOME", str(folder))
    for name in ("ANSIBLE_INVENTORY", "ANSIBLE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "hft-incident --help"),
        (["lst"], "did you mean 'list'"),
        (["frobnicate"], "unknown command 'frobnicate'"),
        (["run"], "required: TYPE"),
        (["run", "exchange_outgae"], "did you mean 'exchange_outage'"),
        (["run", "exchange_outage"], "exchange is missing"),
        (["run", "exchange_outage", "-e", "exchange="], "exchange is missing"),
        (["run", "exchange_outage", "-e", "binance"], "NAME=VALUE"),
        (["run", "exchange_outage", "-e", "exchang=binance"], "did you mean 'exchange'"),
        ([*RUN, "-e", "hft_api_token=abc"], "in clear"),
        ([*RUN, "--severity", "5"], "--severity"),
        ([*RUN, "--until", "contian"], "did you mean 'contain'"),
        ([*RUN, "--timeout", "-1"], "number of seconds"),
        ([*RUN, "--checkk"], "--checkk"),
        ([*RUN, "-i", "nowhere"], "no inventory at"),
        (RUN, "lab up"),
        (["timeline"], "INC"),
        (["timeline", "inc-7"], "no incident 'inc-7'"),
        (["verify", "../../etc"], "no incident"),
        (["status", "inc-7"], "no incident 'inc-7'"),
        (["lab", "sideways"], "sideways"),
        (["drill"], "required: TYPE"),
        (["drill", "exchange_outgae"], "did you mean 'exchange_outage'"),
        (["drill", "database_failure"], "database_failure has no playbook yet"),
        (["drill", "system_crash", "--fault", "fire"], "has no fault 'fire'"),
        ([*RUN, "-i", "a", "-i", "b"], "-i: given twice"),
        ([*RUN, "-e", "exchange=okx"], "exchange is given twice"),
        ([*RUN, "-e", "confirmed=ture"], "confirmed is true or false, not 'ture'"),
        ([*RUN, "-e", "hft_kill_confrim=5"], "did you mean 'hft_kill_confirm'"),
        ([*RUN, "-e", "hft_kill_confirm=0"], "hft_kill_confirm: '0' is not a whole number from 1"),
        ([*RUN, "-e", "hft_contain_timeout_s=0.0"], "no time at all"),
        (["run", "security_breach", "-e", "since=yesterday"], "'yesterday' is no time with a zone"),
        (["severity", "explain", "-e", "loss_usd=1", "-e", "loss_usd=2"], "loss_usd is given twice"),
        (["ack", "inc-7", "--by", "\udcff"], "not text in UTF-8"),
        (["completion"], "required: shell;"),
    ],
)
def test_wrong_usage_is_one_line_on_stderr_and_exit_2_and_changes_nothing(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    assert cli.main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("hft-incident: ")
    assert printed.err.count("\n") == 1
    assert said in printed.err
    assert not home.exists()


def test_a_missing_exchange_is_answered_with_the_venues_of_the_inventory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "site" / "group_vars" / "all"
    folder.mkdir(parents=True)
    (folder / "venues.yml").write_text("hft_venues: [{name: okx-main, driver: okx}, {name: bybit, driver: bybit}]")
    assert cli.main(["run", "exchange_outage", "-i", "site"]) == 2
    said = capsys.readouterr().err
    assert "-e exchange=okx-main" in said
    assert "okx-main, bybit" in said


@pytest.mark.parametrize("words", [["kill"], ["kill", "--reason", "x", "--confirm", "²"]])
def test_wrong_usage_of_the_red_button_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main(words)
    assert leaving.value.code == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err[:19], printed.err.count("\n")) == ("", "hft-incident kill: ", 1)
    assert "see `hft-incident kill --help`" in printed.err
    assert "_count" not in printed.err


def test_a_drill_without_the_lab_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert cli.main(["drill", "system_crash"]) == 2
    assert capsys.readouterr().err == "hft-incident: the lab is not installed here: pip install 'hft-incident[lab]'\n"
    assert not home.exists()


def test_an_error_in_json_mode_is_one_object_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify", "inc-7", "--json"]) == 2
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert (document["outcome"], document["exit_code"]) == ("usage", 2)
    assert document["reason"] in printed.err


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "drill"])
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main([name, "--help"])
    assert leaving.value.code == 0
    printed = capsys.readouterr().out
    assert "example" in printed
    assert f"  hft-incident {name}" in printed


def test_every_command_that_is_listed_is_there_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in COMMANDS)
    assert set(commands.NAMES) | {"kill"} == set(COMMANDS)


def test_the_version_is_that_of_the_package_and_of_the_collection(capsys: pytest.CaptureFixture[str]) -> None:
    galaxy = yaml.safe_load((COLLECTION / "galaxy.yml").read_text())
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"hft-incident {hft_incident.__version__}\n"
    assert galaxy["version"] == hft_incident.__version__
    assert f"\n## {hft_incident.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    changes = yaml.safe_load((COLLECTION / "changelogs/changelog.yaml").read_text())
    assert hft_incident.__version__ in changes["releases"]


def test_list_has_a_line_for_each_type(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(TYPES)
    unready = [line.split()[0] for line in lines if line.endswith("(not yet)")]
    assert unready == [name for name, entry in CATALOG.items() if not entry.is_ready]
    assert not {"exchange_outage", "system_crash"} & set(unready)
    assert "-e exchange=" in lines[0]


def test_list_as_json_tells_the_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "--json"]) == 0
    types = json.loads(capsys.readouterr().out)["types"]
    assert types[0]["inputs"][0]["name"] == "exchange"
    assert types[0]["inputs"][0]["required"]


def test_status_timeline_and_verify_read_the_record(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    incident = open_incident("exchange_outage", inputs={"exchange": "okx"}, severity=2, home=home)
    for words in (["status"], ["status", incident.id]):
        assert cli.main(words) == 0
        assert incident.id in capsys.readouterr().out
    assert cli.main(["timeline", incident.id]) == 0
    assert "incident opened: exchange_outage, severity 2" in capsys.readouterr().out
    assert cli.main(["verify", incident.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "intact"


def test_verify_of_an_altered_record_fails(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    incident = open_incident("exchange_outage", severity=2, home=home)
    path = Path(incident.journal.path)
    path.write_text(path.read_text().replace('"severity":2', '"severity":4'))
    assert cli.main(["verify", incident.id]) == 1
    assert "altered" in capsys.readouterr().out


def run(*words: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Python with these arguments, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": SOURCES}
    return subprocess.run(
        [sys.executable, *words], env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
    )


@pytest.mark.parametrize("words", [["--help"], ["list"], ["list", "--json"]])
def test_a_reader_that_has_gone_is_no_traceback(words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run("-P", "-m", "hft_incident.cli", *words, stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("words", [["--help"], ["list"], ["list", "--json"]])
def test_a_terminal_that_knows_no_ellipsis_is_no_traceback(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = run("-P", "-m", "hft_incident.cli", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "exchange_outage" in done.stdout
    if "--json" in words:
        assert json.loads(done.stdout)["types"]


def test_what_is_no_ascii_is_the_same_in_json(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    incident = open_incident("exchange_outage", inputs={"reason": "Zürich 🔥"}, home=home)
    assert cli.main(["timeline", incident.id, "--json"]) == 0
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert json.loads(printed)["events"][0]["data"]["inputs"]["reason"] == "Zürich 🔥"


def test_a_full_disk_behind_the_output_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = run("-P", "-m", "hft_incident.cli", "list", stdout=full.fileno())
    assert (done.returncode, done.stderr) == (1, "hft-incident: No space left on device\n")


def test_streams_that_are_closed_leave_their_places_to_no_file(tmp_path: Path) -> None:
    program = """
import os
os.close(0), os.close(1), os.close(2)
import sys
sys.stdin = sys.stdout = sys.stderr = None
from hft_incident.cli import main
code = main(["list"])
opened = os.open(os.devnull, os.O_RDONLY)
os._exit(code if opened > 2 else 70)
"""
    assert run("-c", program).returncode == 0


@pytest.mark.parametrize("words", ["'kill', '--help'", "'--help'"])
def test_the_way_to_the_red_button_loads_nothing_heavy(words: str) -> None:
    heavy = ["ansible", "ansible_runner", "rich", "asyncio", "dataclasses", "hft_incident.commands"]
    program = f"""
import sys
from hft_incident.cli import main
try:
    main([{words}])
except SystemExit:
    pass
sys.exit(', '.join(set({heavy}) & set(sys.modules)) or 0)
"""
    done = run("-c", program)
    assert done.returncode == 0, done.stderr


def test_the_package_gives_respond_and_kill_without_loading_them_before() -> None:
    program = """
import sys
import hft_incident
assert "hft_incident.responder" not in sys.modules
from hft_incident import respond, kill, Outcome
assert callable(respond) and callable(kill)
"""
    done = run("-c", program)
    assert done.returncode == 0, done.stderr


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = hft_incident.nothing
